/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine's VM on one host: QEMU as a process, libvirtd around it, and the VM port of the agent. QEMU
 * lives on without agent, broker and libvirtd; libvirt's jobs go on without the agent that began them. A
 * start is create paused, then resume, which takes the lease and may wait for it; a suspend, also QEMU's own
 * on an I/O error, lets it go. */
#pragma once

#include "daemon/vm_port.h"
#include "tests/sim/sim_sanlock.h"

enum sim_guest {
	SIM_GUEST_NONE, /* no QEMU */
	SIM_GUEST_PAUSED,
	SIM_GUEST_RUNNING,	 /* it may write to the disk */
	SIM_GUEST_SHUTTING_DOWN, /* likewise */
};

#define SIM_COPY_MS 800 /* of the memory of a small guest that is migrated, measured */

/* How the VM behaves; settable at any time, for what begins then. */
struct sim_vm_ways {
	int64_t create_ms;    /* 400 */
	int64_t boot_ms;      /* 40 s from running to a good health page */
	int64_t copy_ms;      /* SIM_COPY_MS that the next migration from here copies memory */
	int64_t shutdown_ms;  /* 8 s from the button to the end; MONO_NEVER: the guest ignores it */
	bool create_fails;    /* libvirt refuses to make it */
	bool unheard;	      /* libvirt here does not hear that the target of a migration runs it */
	int64_t hand_over_ms; /* libvirtd here dies in each hand-over from here, for so long; 0: not */
	bool strips_lease;    /* a hook takes the lease out of what libvirt creates, which runs without */
	bool dies_early;      /* QEMU crashes 2 s after the start */
	bool hangs;	      /* the guest never gets healthy, or is not any more */
};

struct sim_vm;

/* One of libvirt's jobs. */
struct sim_job {
	struct sim_event step; /* first */
	struct sim_vm *vm;
	enum action action;
	bool under_way, asked; /* asked: an agent waits for its end */
	bool given_up;	       /* the agent's deadline has passed */
	bool resuming;	       /* waits for its lease */
	bool undoing;	       /* it has failed as `outcome`, what it made is being destroyed */
	enum outcome outcome;
	const char *text;
	uint32_t made; /* number of the QEMU that it created, 0 none */
	struct timer late;
	struct sim_event told; /* its end, to an agent that stood still */
	enum action told_action;
	enum outcome told_outcome;
	const char *told_text;
};

struct sim_vm_calls {
	/* The guest began or ceased to run (`running` of all hosts is what safety is about). */
	void (*runs)(void *data, bool runs);
	/* Its agent wants it migrated to the host of that name; sim_libvirt_migrated() tells the end. False:
	 * it is being migrated already. */
	bool (*migrates)(void *data, const char *target);
	void (*cancels)(void *data);
	/* libvirtd dies, and is back after so long. */
	void (*libvirt_dies)(void *data, int64_t back_ms);
	/* QEMU's process has ended. */
	void (*ended)(void *data);
};

struct sim_vm {
	struct vm_port port; /* first */
	struct sim *sim;
	struct sim_clock *clock;
	struct sim_disk *disk;
	struct sim_sanlock *sanlock;
	const struct sim_vm_calls *calls;
	void *calls_data;
	struct sim_vm_ways ways;

	/* QEMU. */
	int32_t pid;	 /* 0: none lives */
	uint32_t number; /* counts QEMUs of this host */
	enum sim_guest guest;
	enum pause pause;
	mono_t running_since;	/* MONO_UNSET: its CPUs do not run */
	bool killed;		/* SIGKILL was sent and it is in state D */
	enum domain_end ending; /* what its end will be told as */
	struct sim_event dies, guest_off;
	unsigned starts, ends;
	bool unkillable; /* in state D whatever the path does */
	char *xml;	 /* its domain, or what was prepared for it */
	bool bare;	 /* its domain has no lease */
	bool lost;	 /* libvirt has forgotten it, and does not list it */
	bool ran;	 /* its CPUs ran here once */
	bool past;	 /* it stood still for a migration, and ran elsewhere since (rule 14) */
	bool handed;	 /* it stands, or goes on by itself, after a hand-over */
	bool leaving;	 /* libvirt migrates it to another host */

	/* libvirtd. */
	bool libvirt_up, libvirt_hangs;
	uint32_t libvirt_starts; /* how often it came up */
	enum sim_guest listed;	 /* as it lists what has ended, */
	mono_t listed_until;	 /* which it has not noticed before then */
	struct sim_job acting, destroying;
	char target[64]; /* of the migration that an agent asked for */
	bool unsure;	 /* the agent's migration has failed, or was refused: one may be under way */

	/* The agent's connection. */
	bool attached;
	bool looking;
	mono_t look_begun, look_deadline;
	struct sim_event look_ends, told;
	struct domain_view view;
	enum domain_end last_end; /* events on their way, merged */
	uint32_t events_ends;
	int32_t last_pid;
};

void sim_vm_init(struct sim_vm *vm, struct sim_clock *clock, struct sim_disk *disk,
		 struct sim_sanlock *sanlock);
/* The agent is gone, or comes. */
void sim_vm_close(struct sim_vm *vm);
/* The host is off. */
void sim_vm_power_off(struct sim_vm *vm);
/* libvirtd begins, dies (QEMU lives on), hangs. */
void sim_vm_libvirt_start(struct sim_vm *vm);
void sim_vm_libvirt_crash(struct sim_vm *vm);
void sim_vm_libvirt_hang(struct sim_vm *vm, bool hangs);

/* SIGKILL. It is gone now, or when its state D ends. */
void sim_vm_kill(struct sim_vm *vm, enum domain_end end);
/* The guest powers itself off now. */
void sim_vm_off_inside(struct sim_vm *vm);
/* `virsh suspend` and `virsh resume` by somebody. */
void sim_vm_suspend(struct sim_vm *vm, enum pause pause);
void sim_vm_resume(struct sim_vm *vm);
/* The path got better or worse: QEMU pauses on an I/O error (`error`), or leaves state D. */
void sim_vm_storage(struct sim_vm *vm, bool error);
static inline bool sim_vm_runs(const struct sim_vm *vm)
{
	return vm->guest == SIM_GUEST_RUNNING || vm->guest == SIM_GUEST_SHUTTING_DOWN;
}
/* Of the health page now. */
enum health sim_vm_health(const struct sim_vm *vm);
