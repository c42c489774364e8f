/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the broker reads of its host's /proc, /sys and mounts: the QEMU port and the backing port. Answers
 * take 1 ms; a reader can be kept waiting by a process in state D, or be refused. */
#pragma once

#include "broker/backing_port.h"
#include "broker/qemu_port.h"
#include "tests/sim/sim_vm.h"

enum sim_proc_kind { SIM_PROC_FIND, SIM_PROC_PROVE, SIM_PROC_BACKING, SIM_PROC_KIND_COUNT };

struct sim_proc;

struct sim_proc_question {
	struct sim_event answers; /* first */
	struct sim_proc *proc;
	bool under_way, late;
	mono_t begun;
	qemu_found_fn found;
	void (*told)(void *data, const struct backing *backings);
	void *data;
};

struct sim_proc {
	struct qemu_port qemu; /* first */
	struct backing_port backing;
	struct sim_vm *vm;
	bool fails, hangs;
	bool other_storage; /* the whiteboard lives on another storage than the leases */
	struct sim_proc_question questions[SIM_PROC_KIND_COUNT];
	bool found; /* the broker has a pidfd of the QEMU that lives */
	struct sim_event ends;
};

void sim_proc_init(struct sim_proc *proc, struct sim_vm *vm);
/* QEMU has ended: who has its pidfd is told. */
void sim_proc_ended(struct sim_proc *proc);
/* The broker is gone: nothing is answered any more. */
void sim_proc_close(struct sim_proc *proc);
