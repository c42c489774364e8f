/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker without its outside: membership, whiteboard, global flag, monitors' samples and the requests of
 * clients, on ports alone, so that it runs unchanged against virtual time. broker_main.c puts the real ports
 * and the IPC around it. */
#pragma once

#include "broker/board.h"
#include "broker/connect_port.h"
#include "broker/global_flag.h"
#include "broker/membership.h"
#include "broker/poke_port.h"
#include "broker/protocol.h"

struct broker_config {
	uint16_t host_id;
	char hostname[256];
	char domain[64]; /* sdUUID, "" not configured: then a whiteboard that names its domain is refused */
	char lockspace[LEASE_NAME_MAX];
	struct policy policy;		   /* loop, stale and lease are used */
	int64_t io_ms;			   /* > 0: deadline of one read or write of the whiteboard */
	int64_t monitor_ms[MONITOR_COUNT]; /* period of each, 0: it is not watched for silence */
	struct storage_places places;	   /* to be named where one can't be used */
};

/* All required but connect and poke. Owned by the caller and closed after broker_done(). */
struct broker_ports {
	struct clock_port *clock;
	struct store *store;
	struct lease_port *lease;
	struct fence_port *fence;
	struct qemu_port *qemu;
	struct block0_port *block0;
	struct kept_port *kept;
	struct backing_port *backing;
	struct connect_port *connect; /* NULL: the storage is there by other means */
	struct poke_port *poke;	      /* NULL: others are not told of changes, nor heard */
};

/* What the agent's connection hears. */
struct agent_calls {
	void (*changed)(void *data);
	/* `target`: as in struct publish_reply. */
	void (*published)(void *data, uint64_t serial, int error, const char *target);
	void (*command)(void *data, uint64_t ticket, enum command command, const char *argument);
};

typedef void (*broker_answer_fn)(void *data, int error, const char *text);

struct broker;

int broker_new(const struct broker_config *config, const struct broker_ports *ports, struct broker **ret);
void broker_free(struct broker *broker);
/* Stops: leaves the lockspace when that hurts nobody; `stopped` comes within 1.5 s, maybe from inside. */
void broker_stop(struct broker *broker, void (*stopped)(void *data), void *data);

/* A monitor's result: known false when the probe could not tell. */
void broker_sample(struct broker *broker, enum monitor monitor, bool known, int32_t value);
/* For the monitors: the engine's QEMU here (0 none, -1 unknown), and whether the VM runs: as the agent says,
 * unless there is no QEMU; without an agent that knows, whether there is one. */
int32_t broker_qemu_pid(const struct broker *broker);
bool broker_vm_runs(const struct broker *broker);

/* The agent. -EEXIST: there is one. */
int broker_agent_attach(struct broker *broker, const struct agent_calls *calls, void *data);
void broker_agent_detach(struct broker *broker, void *data);
void broker_publish(struct broker *broker, const struct publish_request *request);
/* -ENOENT: nobody waits for this ticket (any more). */
int broker_answer(struct broker *broker, uint64_t ticket, int error, const char *text);

/* Other periods of the monitors than broker_new() was told. */
void broker_set_monitor_ms(struct broker *broker, const int64_t monitor_ms[MONITOR_COUNT]);

/* Requests. The facts' peers are copied to `peers` (room for HOST_ID_MAX), their number is the result. */
size_t broker_facts(struct broker *broker, struct cluster *ret, struct peer *peers);
void broker_status(struct broker *broker, struct status_reply *ret); /* all but the header */
/* Up to `max` slots from id `first` on; *ret_next as in blocks_reply. */
size_t broker_blocks(struct broker *broker, uint32_t first, struct slot_block *ret, size_t max,
		     uint32_t *ret_next);
/* Answered by `answer`, once, maybe from inside; 0, or -errno and no answer comes. -EXDEV: the whiteboard is
 * another domain's, whose maintenance is not ours to set. */
int broker_set_global(struct broker *broker, bool maintenance, broker_answer_fn answer, void *data);
int broker_command(struct broker *broker, enum command command, const char *argument, broker_answer_fn answer,
		   void *data);
/* Whoever waits with `data` is gone. */
void broker_forget(struct broker *broker, void *data);
/* What is wrong in words, "" nothing. */
void broker_trouble(struct broker *broker, char ret[TEXT_MAX]);
