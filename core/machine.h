/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state machine of the agent: one pure function from (machine, snapshot, now) to a step. It allocates
 * nothing, reads no clock, logs nothing; what it wants done it says as actions, and hears of their end in a
 * later snapshot. The agent calls it on every event and at the latest when the last step's `wake` has come.
 */
#pragma once

#include "core/score.h"

enum state {
	STATE_START, /* StartState */
	STATE_REINITIALIZE,
	STATE_GLOBAL_MAINTENANCE,
	STATE_LOCAL_MAINTENANCE,
	STATE_UNKNOWN_LOCAL_VM,
	STATE_ENGINE_DOWN,
	STATE_ENGINE_START,
	STATE_ENGINE_STARTING,
	STATE_ENGINE_UP,
	STATE_ENGINE_UP_BAD_HEALTH,
	STATE_ENGINE_STOP,
	STATE_ENGINE_FORCE_STOP,
	STATE_ENGINE_MAYBE_AWAY,
	STATE_ENGINE_UNEXPECTEDLY_DOWN,
	STATE_ENGINE_MIGRATING_AWAY,
	STATE_AGENT_STOPPED,
	STATE_COUNT
};
STRTAB_DECLARE(
	state,
	enum state); /* the names that clusters and tools know: StartState ReinitializeFSM ... AgentStopped */

/* Why a step did what it did. Never absent; the word stands in the log, the trace and the status. */
enum reason {
	REASON_STARTED, /* the agent began */
	REASON_INITIALIZED,
	REASON_STAY, /* nothing to do: see `hold` of EngineDown below for the finer ones */
	REASON_STOP_WANTED,
	REASON_GLOBAL_MAINTENANCE,
	REASON_MAINTENANCE_CLEARED,
	REASON_BROKER_AWAY, /* its facts are old: begin nothing */
	REASON_MAINTENANCE_UNKNOWN,
	REASON_LOCAL_MAINTENANCE,
	REASON_NO_HOST_TO_MOVE_TO,
	REASON_VM_UNKNOWN,
	REASON_VM_KNOWN,
	REASON_VM_UP_HERE,
	REASON_VM_GONE,
	REASON_VM_UNEXPECTEDLY_DOWN,
	REASON_VM_MISSING,
	REASON_VM_PAUSED,
	REASON_VM_HEALTHY,
	REASON_VM_UP_ELSEWHERE,
	REASON_BAD_HEALTH,
	REASON_LEASE_OWNED,	/* a live owner holds it */
	REASON_OWNER_SAYS_DOWN, /* its record says so for two loops: try */
	REASON_OWNER_SILENT,	/* alive, no readable record: try, once a minute */
	REASON_OWNER_OVERDUE,	/* its dead moment by our clock has passed, sanlock may lag: try */
	REASON_MIGRATION_UNDER_WAY,
	REASON_CLAIMED_UP, /* a fresh record says up; wait until the lease was free for 40 s */
	REASON_NOT_READY,  /* see the score's reasons */
	REASON_SCORE_ZERO,
	REASON_BETTER_HOST,   /* somebody else is better: they start */
	REASON_BEST_SCORE,    /* we start */
	REASON_LEASE_UNTAKEN, /* free for a minute: we start though our score is 0 or lower */
	REASON_RANK_WAIT,     /* equal scores: our turn comes */
	REASON_TRY_GAP,	      /* failed tries: not yet */
	REASON_OPERATOR,
	REASON_IN_FLIGHT, /* an action has not ended */
	REASON_START_OK,
	REASON_START_FAILED,
	REASON_START_TIMEOUT,
	REASON_LEASE_REFUSED,	    /* sanlock gave it to somebody else */
	REASON_LEASE_NOT_TO_BE_HAD, /* three times, though nobody owns it */
	REASON_STARTING_TIMEOUT,
	REASON_BAD_HEALTH_TIMEOUT,
	REASON_SHUTDOWN_TIMEOUT,
	REASON_SHUTDOWN_REFUSED,
	REASON_DESTROYED,
	REASON_AWAY_TIMEOUT,
	REASON_UNEXPECTED_TIMEOUT,
	REASON_ALONE, /* no other host is eligible */
	REASON_MOVED,
	REASON_MOVE_FAILED,
	REASON_LEASE_LOST,   /* safety rule 3: the lease is not ours, QEMU is killed */
	REASON_LEASE_MOVED,  /* safety rule 11: it changed while the VM was paused */
	REASON_KILL_FAILED,  /* safety rule 12 */
	REASON_STORAGE_BACK, /* paused on an I/O error, storage good again: resume */
	REASON_QEMU_LIVES,   /* libvirt has no VM here, /proc has its QEMU or can't be read */
	REASON_ALIEN_PEER,   /* safety rule 9: of an alarm alone, the step's own reason stands */
	REASON_LOOK_OLD,     /* libvirt was asked too long ago: what it says now comes first */
	REASON_COUNT
};
STRTAB_DECLARE(reason, enum reason);

#define ACTIONS_MAX 2

/* Everything that is remembered between steps. POD; written to the trace; `failed_*` also to /var/lib by the
 * agent. */
struct machine {
	enum state state;
	mono_t entered;	       /* when */
	mono_t deadline;       /* of the state, MONO_NEVER: it has none */
	enum reason reason;    /* of the last transition */
	enum action in_flight; /* ACTION_NONE: none */
	mono_t in_flight_since;
	bool shutdown_refused; /* the last one asked for in this state; it may be told while a check rules */
	bool must_leave; /* EngineMigratingAway: by shutdown where it can't be live, for it is no operator's
			    own move */
	uint16_t migrate_to;   /* the host id that the VM is being moved to live, our own: somebody else moves
				  it, 0 none; to publish */
	int32_t migrate_score; /* that host's when it was chosen, 0: no other one does as well */
	mono_t cancel_at; /* when that migration is cancelled, once it has ended when; MONO_UNSET: not begun
			   */

	uint32_t failed_tries;
	uint32_t crashes; /* how often the VM ended unexpectedly here without being healthy for long */
	mono_t last_failed;
	mono_t last_crash;
	uint32_t lease_refusals; /* in a row with nobody owning it */
	mono_t refused_at;	 /* the last start whose lease was not to be had */
	mono_t next_owner_try;	 /* against a live owner that is silent */

	mono_t unexpected_until; /* score 0 until then */
	mono_t healthy_since;	 /* up and good here without a break */
	mono_t lease_free_since; /* nobody, or nobody alive, owns it, and nobody took it meanwhile */
	uint64_t free_version;	 /* the lease's version then */
	mono_t version_since;	 /* since when it has been this one, as far as was read */
	mono_t start_due_since;	 /* since when only the rank holds us */
	mono_t better_since;	 /* the best remote is better by the threshold */
	mono_t last_move;
	mono_t unknown_since; /* libvirt has not answered */
	mono_t paused_since;
	mono_t config_since;	 /* the VM's configuration has been out of date */
	uint64_t held_version;	 /* of the lease while it was last seen held here, 0 never */
	mono_t held_at;		 /* when the question was asked that told held_version */
	mono_t gave_lease;	 /* a migration that failed may have given the lease up until then;
				    MONO_NEVER: it is under way; MONO_UNSET: none since it was last seen held */
	uint64_t resume_version; /* after a resume: what the version must be, 0 nothing to check */
	mono_t kill_since;	 /* QEMU was sent SIGKILL then and has not been seen gone since; MONO_NEVER:
				    no destroy of EngineForceStop's has sent it yet */
	mono_t next_kill;	 /* not to be killed again before */
	struct score_memory scores;
};

struct step {
	struct machine next;
	enum reason reason;		  /* of this step */
	mono_t wake;			  /* call again then, if no event comes before */
	enum action actions[ACTIONS_MAX]; /* in order */
	size_t n_actions;
	struct score score;
	enum health health;  /* to publish */
	bool may_start;	     /* for the status: nothing but score and order holds us */
	bool can_move;	     /* there is an eligible host for the VM */
	bool alarm;	     /* the operator is needed */
	enum reason why;     /* of the alarm */
	bool in_turn;	     /* few hosts would take the VM before this one: it follows the VM each second */
	bool watch_closely;  /* no VM is up anywhere or a change is due: look every second */
	bool wanted_refused; /* the operator's command can't be begun now: the reason and the score say why */
};

/* A machine at the agent's start; `failed_tries` and `last_failed` may be set from what was saved. */
void machine_init(struct machine *machine, mono_t now);
void machine_step(const struct machine *cur, const struct snapshot *known, const struct policy *policy,
		  mono_t now, struct step *ret);
/* What machine_step() assumes of a machine that it has not made itself, one read from a log: only a state
 * that has a time has a deadline. */
bool machine_sound(const struct machine *machine);
/* The table: may `from` become `to`? Asserted at every transition. */
bool machine_allowed(enum state from, enum state to);
