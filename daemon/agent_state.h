/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the agent is made of, for its own files alone: agent.c (events and steps), perform.c (actions),
 * agent_command.c (what the operator asks for). */
#pragma once

#include "daemon/agent.h"
#include "daemon/vm_watch.h"

#define PENDING_RESULTS_MAX 8 /* one per kind of action is the most that can be under way */

/* One DESTROY or KILL, which has two ways: libvirt and the guard. */
struct ending {
	struct agent *agent;
	enum action action;
	bool under_way;
	bool tried_libvirt, tried_guard;
	bool survived; /* the guard sent SIGKILL, and QEMU lived on */
};

/* One command of the operator's. Idle: command 0. */
struct order {
	enum command command;
	uint64_t ticket;
	char argument[TEXT_MAX];
	mono_t deadline;
	/* VM commands */
	enum action wanted;  /* not yet given to the core, ACTION_NONE: it was */
	enum action awaited; /* the core began it, ACTION_NONE: not yet */
	bool cleans_up;
	bool informed; /* facts of after the order have come */
	uint16_t host; /* of ACTION_MIGRATE, 0 the best */
	/* maintenance */
	bool set;	 /* ha.conf is synced */
	uint64_t serial; /* of the record that says so, 0: not yet published */
};

struct agent {
	struct agent_config config;
	struct agent_ports ports;
	struct machine machine;
	struct step step;
	struct vm_watch watch;

	struct cluster cluster;
	struct peer *peers;
	size_t n_peers, peers_size;
	mono_t facts_at;   /* MONO_UNSET: never */
	bool facts_late;   /* the broker did not answer the last question */
	bool libvirt_told; /* an answer, or that there is none, came since the start */

	struct local_view local;
	bool local_seen;
	bool ha_seen, ha_told; /* ha.conf was understood once; the log knows that it is not */
	mono_t config_good_at; /* MONO_UNSET never */
	struct saved saved;

	struct result results[PENDING_RESULTS_MAX];
	size_t n_results;
	struct ending destroy, kill;
	struct ending *by_libvirt; /* whose destroy libvirt does */

	struct order vm_order, maintenance_order;

	/* Safety rule 14: whom the last record names as the target of a migration, with the serial that first
	 * said so; and the same once it is on storage, with the target's host name. */
	uint16_t announcing, announced;
	uint64_t announcing_serial;
	char target[HOST_NAME_MAX_SIZE];
	char move_failed[MOVE_FAILED_MAX]; /* why the last migration did, "": it did not */
	mono_t move_failed_at;

	struct timer step_timer, beat_timer, stop_timer;
	mono_t first_step_at; /* at the latest */
	bool ending;	      /* QEMU has ended by the last step, and libvirt was still to say so */
	bool stop_wanted, stopping_said;
	uint64_t stop_serial, serial; /* of publishes */
	bool alarmed, alarm_told;
	enum reason alarm_why;
	mono_t alarm_since; /* the one of `alarm_why`, while alarmed */
	void (*stopped)(void *data);
	void *stopped_data;
};

/* agent.c */
mono_t agent_now(const struct agent *agent);
void agent_poke(struct agent *agent); /* a step as soon as the loop gets to it */
void agent_result(struct agent *agent, enum action action, enum outcome outcome, const char *text);
void agent_vm_facts(struct agent *agent, struct vm_facts *ret);

/* perform.c */
void perform_step(struct agent *agent);
/* libvirt's end of an action. */
void perform_vm_ended(struct agent *agent, enum action action, enum outcome outcome, const char *text);

/* publish.c */
void publish_step(struct agent *agent);
void publish_acknowledged(struct agent *agent, uint64_t serial, const char *target);
void publish_forget(struct agent *agent); /* what was said may never be written */

/* agent_command.c */
void command_take(struct agent *agent, uint64_t ticket, enum command command, const char *argument);
enum action command_wanted(struct agent *agent, mono_t now);
void command_stepped(struct agent *agent);
void command_result(struct agent *agent, enum action action, enum outcome outcome, const char *text);
void command_maintenance_set(struct agent *agent, int error, const char *why);
void command_published(struct agent *agent, uint64_t serial, int error);
void command_lost(struct agent *agent);
