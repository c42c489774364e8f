/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must hold whatever happens, judged after every event by what is true in the simulated world, not by
 * what the daemons believe. It may not touch the world. Called by sim_trial.c; the first thing that does not
 * hold ends the run.
 *
 * Times are simulated ms. The bounds, at io_timeout N seconds and the defaults of core/policy.h, worked
 * through:
 *
 * A VM without its lease (unleased-vm), each counted while those that must act can act (`calm`, below):
 *
 *   sanlock gone, or joined no more, while the guard lives
 *     0  SIGKILL of sanlock
 *     1  the guard hears it (pidfd at once, else its poll of 1 s)
 *     5  GUARD_GRACE_MS, when nothing answers
 *     8  BOUND_GUARD: and QEMU has died of it
 *   taken on disk, or not registered
 *     0  just after a look; rule 3 asks each loop
 *    10  the next look; its answer counts at the look at libvirt after it
 *    20  libvirt is looked at again, the next loop at the latest
 *    27  BOUND_AGENT: with the latencies of sanlock, disk, IPC and kill
 *   no renewal, guard alive, no watchdog
 *    6N  rule 6; + 3 s for its poll of 1 s, the question and the kill
 *   no renewal, with a watchdog
 * 8N+60  the host is reset at the latest, whatever else is dead; + 3 s
 *   QEMU does not die
 *   +60  rule 12: the host is reset a minute after the SIGKILL; + 5 s
 *
 * A domain without a lease runs never (start-without-lease, rule 1): sanlock knows nothing of it.
 *
 * Two VMs run never (two-running), with one exemption, nothing_left: without a watchdog, guard, agent and
 * sanlock of a host were dead together. What README.md calls outside of the guarantee no schedule does.
 *
 * The VM is up again (progress), counted from the end of the last fault, on at least one host that may start
 * it:
 *
 *     0  mended; the worst that may be under way: EngineStop just entered on a host whose guest ignores ACPI
 *   300  policy.shutdown over: EngineForceStop
 *   380  destroyed: 20 s of libvirt, the guard, or a reset after rule 12's minute
 *   380  or: every host was cut at 0, boots (60), joins: up to the dead time where it has no history
 *  +8N+60  an owner that did not come back is dead
 *  +60  nobody above score 0: policy.untaken
 *  +60  owner_retry, try gap: 60 s each at most, one after the other
 *  +8N+60+60  a start may wait for the lease as long as lease_start_ms()
 *  +30  QEMU boots, its health is seen
 *
 * Scores are whole (recovery) a retry window, or the 560 s after an unexpected shutdown, after the last start
 * that may fail, which is that moment at the latest; + 60 s for monitors and loops. */
#pragma once

#include <limits.h>

#include "broker/protocol.h"
#include "core/machine.h"

#define CHECK_HOSTS_MAX (HOST_ID_MAX + 1) /* and one of other versions */
#define CHECK_HOSTS_NONE UINT_MAX
#define CHECK_QEMUS_MAX 2

struct check_qemu {
	uint64_t life;	 /* its number, 0: no QEMU */
	bool runs;	 /* guest CPUs on */
	bool registered; /* with sanlock here, for the engine lease */
	bool leased;	 /* registered, and the leader on disk is this host and generation */
	bool unkillable;
	bool bare;    /* its domain has no lease */
	bool arrives; /* a migration brings it: it has not run here */
	bool past;    /* its memory is from before another one ran: it stood still for a migration then */
};

/* The truth about one host. Zeroed before it is filled in: it is compared as bytes, but for the last member.
 */
struct check_host {
	uint16_t id; /* 0: not there */
	bool on;
	bool agent, broker, guard, sanlock; /* they run */
	bool watchdog;
	bool calm;   /* no fault on its way to storage, libvirt and sanlock, and it does not stand still */
	bool joined; /* sanlock here has the host id */
	bool unfit;  /* its setup keeps its score at 0 */
	uint32_t io_timeout_s; /* its own */
	int32_t score;	       /* the agent's last */
	enum state state;
	struct check_qemu qemus[CHECK_QEMUS_MAX];
	int64_t renewed_at; /* by the host's clock, whose drift moves it by the ms */
};

struct check_memory {
	int64_t judged_at; /* the last event for which this host was judged */
	enum state state;
	bool stepped;
	bool was_acting, was_guarded, was_served; /* at the event before */
	int64_t out_since;			  /* no sanlock, or no host id */
	int64_t agent_began;			  /* the last one */
	int64_t calm_since, guard_since, agent_since, joined_since, joined_until;
	int64_t spoke_at;	 /* its agent last ran, its broker or not */
	bool guard_back;	 /* the guard has run since, first */
	int64_t guard_back_at;	 /* then */
	int64_t nothing_left_at; /* guard, agent and sanlock were last dead together, 0: not since it booted
				  */
	bool ran[CHECK_QEMUS_MAX], stands[CHECK_QEMUS_MAX];
	int64_t life_since[CHECK_QEMUS_MAX], unleased_since[CHECK_QEMUS_MAX], paused_since[CHECK_QEMUS_MAX];
	int64_t lost_since[CHECK_QEMUS_MAX];  /* the lease has moved since, while it is paused; else now */
	int64_t stood_at[CHECK_QEMUS_MAX];    /* when its CPUs last stood still */
	int64_t stood_since[CHECK_QEMUS_MAX]; /* when they last began to */
	uint64_t life[CHECK_QEMUS_MAX];
	bool tainted[CHECK_QEMUS_MAX]; /* paused once, or its lease was rewritten: a kill may be right */
	uint64_t held_version[CHECK_QEMUS_MAX];
	enum flag flag;		       /* that this host last read of block 0 and could read */
	int64_t flag_at;	       /* when */
	int64_t wrote0_at;	       /* its last write of block 0 */
	int64_t foreign_at;	       /* somebody else wrote its block */
	int64_t clone_since, clone_at; /* first and last record of another name in it */
	int64_t asked0, missed0; /* block 0's lease, for the next write: first asked for, -1 not; said in
				    the log that it is not to be had, -1 not */
	int64_t leased0_at;	 /* began to write block 0 under its lease, -1: not, or it has landed */
	uint64_t timestamp;	 /* of its last record */
	int64_t stamped_at;	 /* when that changed */
	int64_t regular_since;	 /* since when it does so at least each 25 s */
	int64_t moved_at;	 /* last move for score of this agent, -1 none */
	int64_t starts[128];	 /* of the last hour, a ring */
	uint16_t migrating_to;	 /* in its last record that landed */
	unsigned n_starts;
	int64_t futile_at[2]; /* the last tries against a living owner */
	uint64_t heeded;      /* pokes, of its broker that runs */
	int64_t heeded_until; /* by its clock: what they have used up of the bound */
};

struct check {
	/* Set by the caller. */
	const int64_t *now;
	unsigned n_hosts; /* that look() knows, 1..CHECK_HOSTS_MAX */
	/* The truth about one host; `ret` zeroed. */
	void (*look)(void *data, unsigned host, struct check_host *ret);
	void *data;
	bool whole; /* looks at every host after every event, and finds it as the short look has it */
	struct lease_timing timing;
	bool require_watchdog;

	struct check_host hosts[CHECK_HOSTS_MAX]; /* of the last event */
	int64_t event_at, whole_at;		  /* the last event; the last that looked at all hosts */
	unsigned running;			  /* VMs */
	bool up, fit;				  /* the VM is up; all scores are whole */
	struct check_memory memory[CHECK_HOSTS_MAX];
	uint64_t version; /* of the engine lease */
	unsigned aliens;
	int64_t alien_since;	   /* since when there is one */
	int64_t rewritten_at;	   /* by nobody of ours, -1 never */
	bool block0_known, block0; /* what stands in block 0 */
	int64_t block0_since;
	uint32_t block0_writer;
	int64_t healed_at;	    /* -1: faults go on */
	int64_t up_since, up_first; /* since heal: runs, leased and its host says EngineUp; -1 not */
	int64_t good_since;
	uint64_t starts; /* that were begun */

	const char *failed; /* the checker's name, NULL: all holds */
	char text[256];	    /* what was seen */
};

void check_init(struct check *check);
/* After every event: the host (index) that it touched, CHECK_HOSTS_MAX: it may have been any,
 * CHECK_HOSTS_NONE: it changed nothing that look() tells; and the version of the engine lease, which is part
 * of every host's truth: it moves with CHECK_HOSTS_MAX only. See sim_check.c for why it is enough to look at
 * that host. */
void check_event(struct check *check, unsigned host, uint64_t version);
/* An event of `host` changed what it said that it does not. */
void check_unseen(struct check *check, unsigned host);
/* An agent of `host` (index) took a step; `known` is what it knew. */
struct agent;
void check_stepped(struct check *check, unsigned host, const struct agent *agent, const struct step *step);
/* A new agent, which remembers nothing. */
void check_agent_began(struct check *check, unsigned host);
/* A write landed; `host` CHECK_HOSTS_MAX: of nobody of ours. */
struct image;
void check_landed(struct check *check, unsigned host, uint32_t block, struct image *image);
/* `host` has read block 0. */
void check_read_flag(struct check *check, unsigned host, const uint8_t *bytes);
/* Block 0's lease: `host` begins to ask for it, has said in its log that it writes without, begins to write
 * and has it (`held`, the truth) or not, asks and writes no more. Its write lands, and its broker keeps the
 * lease (`kept`) or has let it go: judged where nothing was in its way, since what lands after its deadline,
 * or after sanlock has taken the lease, nobody can call back. */
void check_block0_asked(struct check *check, unsigned host);
void check_block0_missed(struct check *check, unsigned host);
void check_block0_begun(struct check *check, unsigned host, bool held);
void check_block0_landed(struct check *check, unsigned host, bool kept);
void check_block0_ended(struct check *check, unsigned host);
/* sanlock here was asked to join, or let go of the host id because it was asked to. */
void check_join(struct check *check, unsigned host);
void check_left(struct check *check, unsigned host);
/* A write landed that a storage daemon of this host held since an earlier life of it in the lockspace. */
void check_late_write(struct check *check, unsigned host);
/* Its broker has heeded so many pokes since it began, and it is `mono` by its clock: one bound holds for any
 * while, whatever comes (broker/poke_intake.h). */
void check_poked(struct check *check, unsigned host, uint64_t heeded, int64_t mono);
/* An operator's command ended. */
void check_global_answered(struct check *check, unsigned host, bool maintenance, int error);
void check_local_answered(struct check *check, unsigned host, bool maintenance, int error,
			  const uint8_t *own_block);
/* An operator's command on `host` has made the leases anew, all but those that are `owned` still, and is
 * about to make the lockspace so. */
void check_made_anew(struct check *check, unsigned host, bool owned);
/* The lease was rewritten by nobody of ours. */
void check_rewritten(struct check *check);
/* A host on another lockspace writes our whiteboard from now on, or does not any more. */
void check_alien(struct check *check, bool on);
/* No VM came up for as long as a fault of the VM waited for one. */
void check_fail_progress(struct check *check);
/* The faults are over; maintenance is off everywhere. */
void check_healed(struct check *check);
/* The end: has all come back? */
void check_end(struct check *check);
/* ms after the last fault until the VM is up, and until the scores are whole. */
int64_t check_up_ms(const struct lease_timing *timing);
int64_t check_whole_ms(const struct lease_timing *timing);
