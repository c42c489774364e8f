/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This host's id in the lockspace and what follows from it: joins through the gate of safety rules 4 and 8,
 * joins again after a loss, keeps the facts about hosts, owner and QEMU fresh, and leaves only when no QEMU
 * can be hurt. Talks to sanlock, the guard and /proc through ports alone. Used by broker.c. */
#pragma once

#include "broker/qemu_port.h"
#include "broker/storage_parts.h"
#include "lockspace/fence_port.h"
#include "lockspace/lease_port.h"
#include "util/loop.h"

/* What the whiteboard says about joining (safety rule 8). */
enum board_verdict {
	BOARD_UNREAD, /* not known yet: wait */
	BOARD_CLEAR,
	BOARD_WATCHED,	    /* another's record stands in our block: watched whether it lives */
	BOARD_TAKEN,	    /* it lives */
	BOARD_HALF,	    /* half a record of ours stands there: watched whether its writer lives */
	BOARD_NOT_OURS,	    /* not a record we may overwrite */
	BOARD_OTHER_DOMAIN, /* the identity block names another domain or lockspace */
	BOARD_NAMELESS,	    /* it named ours, and names none any more */
	BOARD_VERDICT_COUNT
};

enum gate {
	GATE_CLOSED,  /* nothing to do: joined, or sanlock does not answer */
	GATE_STORAGE, /* rule 13: the guard ends the storage daemon */
	GATE_PROVE,   /* rule 4: is there a QEMU */
	GATE_KILL,    /* the guard kills it */
	GATE_BOARD,   /* rule 8 */
	GATE_JOIN,
	GATE_COUNT
};

/* `key=PATH` of hosted-engine.conf, as an operator is told of it. */
struct storage_places {
	char whiteboard[200], lockspace[200], lease[200], disk[200]; /* disk "": not configured */
};

/* What BOARD_OTHER_DOMAIN and BOARD_NAMELESS mean, in words. */
extern const char other_domain_text[], nameless_domain_text[];

struct membership_calls {
	/* Facts changed or were confirmed. */
	void (*observed)(void *data);
	/* sanlock's answer for all hosts; `look` is valid during the call. */
	void (*looked)(void *data, const struct lease_look *look);
	/* Asked at the gate and once more right before the join: begin to read the own block and the identity
	 * if that is not under way, and say what is known. */
	enum board_verdict (*verdict)(void *data);
};

struct member {
	struct clock_port *clock;
	struct lease_port *lease;
	struct fence_port *fence;
	struct qemu_port *qemu;
	const struct membership_calls *calls;
	void *data;
	uint16_t host_id;
	int64_t loop_ms;
	const struct storage_places *places;
	const struct storage_parts *parts;

	/* What is known; written by the files of membership_parts.h alone. */
	enum membership membership;
	bool hosts_known;
	uint64_t generation;
	uint32_t io_timeout_s; /* that sanlock uses for our host id, 0: not known */
	enum watchdog watchdog;
	enum block_reason block;
	struct lease_owner owner; /* the last good one; kind OWNER_UNREAD: none since the last failure */
	int32_t qemu_pid;
	mono_t find_begun; /* of qemu_pid: what `held` may be younger than */
	enum held held;
	mono_t held_begun;
	int lease_error;      /* of the last look */
	mono_t trouble_since; /* since when not joined, MONO_UNSET: joined */
	char trouble[448];    /* why, "" joined or nothing to say */

	/* The engine. */
	enum gate gate;
	mono_t board_since; /* since when the whiteboard could not be read */
	mono_t join_begun;  /* when sanlock last said so, MONO_UNSET: it has not */
	bool looking, reading, asking_watchdog, proving, joining, killing, ending, stopping, left;
	bool look_again; /* QEMU ended during a look, which may be of before */
	bool leave_held; /* a lease in the lockspace was held when it was last asked to leave */
	bool end_void;	 /* the end of the storage daemon under way was begun in an earlier membership */
	bool closely;
	bool spare_qemu;
	bool settled; /* nothing more is to be expected of sanlock soon */
	void (*stopped)(void *data);
	mono_t stop_by;
	struct timer look_timer, gate_timer, stop_timer, leave_timer;
};

/* `member` zeroed before; the ports, calls, host_id and loop_ms are set by the caller. Begins at once. */
void membership_start(struct member *member);
/* Look every second instead of every loop. */
void membership_watch_closely(struct member *member, bool closely);
/* While the VM is paused, or waits for its launch, sanlock is not asked about its QEMU, and `held` is
 * unknown.
 */
void membership_spare_qemu(struct member *member, bool spare);
/* Looks now, besides its rhythm. */
void membership_look(struct member *member);
/* Ends: leaves the lockspace only when it is proven that no QEMU lives (safety rule 7), calls `stopped`
 * within 1.5 s. */
void membership_stop(struct member *member, void (*stopped)(void *data));
/* Cancels its timers; the ports must be closed by their owner so that no late call comes. */
void membership_done(struct member *member);
