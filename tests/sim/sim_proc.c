/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers from the model of QEMU, and from what the host was told its places live on. Decides nothing. Called
 * by the broker. */
#include "tests/sim/sim_proc.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MS 1

static mono_t now_of(const struct sim_proc *proc)
{
	return sim_clock_mono(proc->vm->clock);
}

static void tell_backings(struct sim_proc_question *question)
{
	struct backing backings[PART_COUNT];

	memset(backings, 0, sizeof(backings));
	for (int i = 0; i < PART_COUNT; i++) {
		backings[i].kind = BACKING_VOLUME_GROUP;
		backings[i].device = 1;
		snprintf(backings[i].id, sizeof(backings[i].id), "%s",
			 question->proc->other_storage && i == PART_WHITEBOARD ? "other" : "shared");
		snprintf(backings[i].what, sizeof(backings[i].what), "volume group %s", backings[i].id);
	}
	question->told(question->data, question->late ? NULL : backings);
}

static void tell_pid(struct sim_proc_question *question)
{
	struct sim_proc *proc = question->proc;

	proc->found = proc->vm->pid != 0;
	question->found(question->data, 0, proc->vm->pid, question->begun);
}

static void ends_fired(struct sim_event *event)
{
	struct sim_proc *proc = (struct sim_proc *)((char *)event - offsetof(struct sim_proc, ends));

	if (proc->qemu.ended)
		proc->qemu.ended(proc->qemu.data);
}

void sim_proc_ended(struct sim_proc *proc)
{
	struct sim_clock *clock = proc->vm->clock;

	if (!proc->found)
		return;
	proc->found = false;
	sim_set(proc->vm->sim, &proc->ends, clock->host,
		sim_clock_due(clock, mono_add(now_of(proc), ANSWER_MS)));
}

static void answers_fired(struct sim_event *event)
{
	struct sim_proc_question *question = (struct sim_proc_question *)event;
	struct sim_proc *proc = question->proc;

	question->under_way = false;
	if (question == &proc->questions[SIM_PROC_BACKING])
		tell_backings(question);
	else if (question->late || proc->fails)
		question->found(question->data, question->late ? -ETIMEDOUT : -EPERM, 0, question->begun);
	else
		tell_pid(question);
}

static int ask(struct sim_proc *proc, enum sim_proc_kind kind, mono_t deadline, void *data)
{
	struct sim_proc_question *question = &proc->questions[kind];
	struct sim_clock *clock = proc->vm->clock;

	if (question->under_way)
		return -EBUSY;
	question->under_way = true;
	question->late = proc->hangs;
	question->begun = now_of(proc);
	question->data = data;
	sim_set(proc->vm->sim, &question->answers, clock->host,
		sim_clock_due(clock, question->late ? deadline : mono_add(question->begun, ANSWER_MS)));
	return 0;
}

static int qemu_find_pid(struct qemu_port *port, mono_t deadline, qemu_found_fn found, void *data)
{
	struct sim_proc *proc = (struct sim_proc *)port;
	int r = ask(proc, SIM_PROC_FIND, deadline, data);

	if (r == 0)
		proc->questions[SIM_PROC_FIND].found = found;
	return r;
}

static int qemu_prove(struct qemu_port *port, mono_t deadline, qemu_found_fn found, void *data)
{
	struct sim_proc *proc = (struct sim_proc *)port;
	int r = ask(proc, SIM_PROC_PROVE, deadline, data);

	if (r == 0)
		proc->questions[SIM_PROC_PROVE].found = found;
	return r;
}

static void qemu_close(struct qemu_port *port)
{
	sim_proc_close((struct sim_proc *)port);
}

static struct sim_proc *of_backing(struct backing_port *port)
{
	return (struct sim_proc *)((char *)port - offsetof(struct sim_proc, backing));
}

static int backing_look(struct backing_port *port, mono_t deadline,
			void (*done)(void *data, const struct backing *backings), void *data)
{
	struct sim_proc *proc = of_backing(port);
	int r = ask(proc, SIM_PROC_BACKING, deadline, data);

	if (r == 0)
		proc->questions[SIM_PROC_BACKING].told = done;
	return r;
}

static void backing_close(struct backing_port *port)
{
	sim_proc_close(of_backing(port));
}

void sim_proc_close(struct sim_proc *proc)
{
	proc->found = false;
	proc->qemu.ended = NULL;
	sim_cancel(proc->vm->sim, &proc->ends);
	for (int i = 0; i < SIM_PROC_KIND_COUNT; i++) {
		sim_cancel(proc->vm->sim, &proc->questions[i].answers);
		proc->questions[i].under_way = false;
	}
}

void sim_proc_init(struct sim_proc *proc, struct sim_vm *vm)
{
	memset(proc, 0, sizeof(*proc));
	proc->qemu = (struct qemu_port){.find = qemu_find_pid, .prove = qemu_prove, .close = qemu_close};
	proc->backing = (struct backing_port){backing_look, backing_close};
	proc->vm = vm;
	proc->ends.fire = ends_fired;
	proc->ends.kind = SIM_LOCAL;
	proc->ends.daemon = SIM_DAEMON_BROKER;
	for (int i = 0; i < SIM_PROC_KIND_COUNT; i++) {
		proc->questions[i].proc = proc;
		proc->questions[i].answers.fire = answers_fired;
		proc->questions[i].answers.kind = SIM_LOCAL;
		proc->questions[i].answers.daemon = SIM_DAEMON_BROKER;
	}
}
