/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirtd's jobs, and the VM port as daemon/libvirt_port.c gives it to the agent: looks that are answered in
 * ms, or not before a deadline; events 20 ms after what they tell; jobs that the agent gives up and libvirt
 * does not. */
#include "tests/sim/sim_libvirt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim_domain.h"

#define LOOK_MS 3
#define EVENT_MS 20
#define NOTICE_MS 200 /* libvirtd sleeps so long when a QEMU that was killed is not reaped yet */
#define RESUME_MS 30
#define DESTROY_MS 120
#define DESTROY_LIMIT_MS 15000 /* SIGTERM 10 s, SIGKILL 5 s */
#define RETRY_MS 1000
#define AGAIN_LOOK_MS 5000

#define OF(pointer, member) ((struct sim_vm *)((char *)(pointer)-offsetof(struct sim_vm, member)))

static mono_t now_of(const struct sim_vm *vm)
{
	return sim_clock_mono(vm->clock);
}

static void set_event(struct sim_vm *vm, struct sim_event *event, int64_t ms)
{
	sim_set(vm->sim, event, vm->clock->host, sim_clock_due(vm->clock, mono_add(now_of(vm), ms)));
}

/* Looks and events. */

/* What has ended is as it was, to libvirtd, before it notices. */
static bool unnoticed(const struct sim_vm *vm)
{
	return vm->pid == 0 && now_of(vm) < vm->listed_until;
}

static void fill_view(struct sim_vm *vm)
{
	vm->view.pause = PAUSE_NONE;
	switch (vm->lost ? SIM_GUEST_NONE : unnoticed(vm) ? vm->listed : vm->guest) {
	case SIM_GUEST_NONE:
		vm->view.state = DOMAIN_NONE;
		vm->view.leaving = false;
		break;
	case SIM_GUEST_PAUSED:
		vm->view.state = DOMAIN_PAUSED;
		vm->view.pause = vm->pause;
		break;
	case SIM_GUEST_RUNNING:
		vm->view.state = DOMAIN_RUNNING;
		break;
	case SIM_GUEST_SHUTTING_DOWN:
		vm->view.state = DOMAIN_SHUTTING_DOWN;
		break;
	}
}

/* Asked for while a migration is under way, or may be. */
static void note_leaving(struct sim_vm *vm)
{
	bool migrates = vm->acting.under_way && vm->acting.asked && vm->acting.action == ACTION_MIGRATE;

	if (!vm->libvirt_up || vm->libvirt_hangs)
		return;
	vm->view.leaving = (migrates || vm->unsure) && vm->leaving;
	vm->unsure = vm->unsure && vm->view.leaving;
}

static void look_begin(struct sim_vm *vm, mono_t deadline)
{
	if (vm->looking)
		return;
	vm->looking = true;
	vm->look_begun = now_of(vm);
	vm->look_deadline = deadline;
	if (vm->libvirt_hangs)
		sim_set(vm->sim, &vm->look_ends, vm->clock->host, sim_clock_due(vm->clock, deadline));
	else
		set_event(vm, &vm->look_ends, LOOK_MS);
}

static void look_ended(struct sim_event *event)
{
	struct sim_vm *vm = OF(event, look_ends);
	bool locked;

	if (!vm->looking) { /* libvirtd was away: it is tried again */
		look_begin(vm, mono_add(now_of(vm), AGAIN_LOOK_MS));
		return;
	}
	/* A resume that waits for its lease holds libvirt's lock of the domain; one that was given up is
	 * waited for no longer than for a libvirtd that hangs. */
	locked = vm->libvirt_up && vm->acting.resuming;
	if (locked && (!vm->acting.given_up || now_of(vm) < vm->look_deadline)) {
		set_event(vm, event, RETRY_MS);
		return;
	}
	vm->looking = false;
	note_leaving(vm);
	if (!vm->libvirt_up || vm->libvirt_hangs || locked) {
		vm->view.state = DOMAIN_UNKNOWN;
		vm->view.begun = now_of(vm);
		set_event(vm, event, RETRY_MS);
	} else {
		fill_view(vm);
		vm->view.begun = vm->look_begun;
	}
	vm->port.changed(vm->port.data, &vm->view);
}

static void told_fired(struct sim_event *event)
{
	struct sim_vm *vm = OF(event, told);

	if (!vm->libvirt_up || vm->libvirt_hangs)
		return;
	fill_view(vm);
	vm->view.begun = now_of(vm);
	if (vm->events_ends > 0 && !unnoticed(vm)) {
		vm->view.end = vm->last_end;
		vm->view.ends += vm->events_ends;
		vm->events_ends = 0;
	}
	vm->port.changed(vm->port.data, &vm->view);
	if (vm->attached)
		look_begin(vm, mono_add(now_of(vm), AGAIN_LOOK_MS));
}

void sim_libvirt_told(struct sim_vm *vm)
{
	/* A connection that is not there hears nothing, and a view of libvirt's that is not known has none.
	 */
	if (vm->attached && vm->libvirt_up && vm->view.state != DOMAIN_UNKNOWN && !unnoticed(vm))
		set_event(vm, &vm->told, EVENT_MS);
}

static void port_look(struct vm_port *port, mono_t deadline)
{
	struct sim_vm *vm = (struct sim_vm *)port;

	vm->unsure |= !vm->attached; /* what was begun before gave it no event */
	vm->attached = true;
	look_begin(vm, deadline);
}

/* Jobs. */

static void job_end(struct sim_job *job, enum outcome outcome, const char *text)
{
	struct sim_vm *vm = job->vm;
	bool asked = job->asked && !job->given_up;

	sim_cancel(vm->sim, &job->step);
	sim_cancel_timer(vm->sim, &job->late);
	job->under_way = job->resuming = job->asked = job->undoing = false;
	if (!asked)
		return;
	vm->unsure |= job->action == ACTION_MIGRATE && outcome != OUTCOME_OK;
	if (!sim_stands(vm->sim, vm->clock->host, SIM_DAEMON_AGENT)) {
		vm->port.ended(vm->port.data, job->action, outcome, text);
		return;
	}
	job->told_action = job->action;
	job->told_outcome = outcome;
	job->told_text = text;
	sim_set(vm->sim, &job->told, vm->clock->host, vm->sim->now);
}

static void job_told(struct sim_event *event)
{
	struct sim_job *job = (struct sim_job *)((char *)event - offsetof(struct sim_job, told));

	job->vm->port.ended(job->vm->port.data, job->told_action, job->told_outcome, job->told_text);
}

/* What the job created and does not run is destroyed, and its end is told after that. */
static void job_undo(struct sim_job *job, enum outcome outcome, const char *text)
{
	struct sim_vm *vm = job->vm;

	if (vm->pid == 0 || job->made != vm->number) {
		job_end(job, outcome, text);
		return;
	}
	job->undoing = true;
	job->outcome = outcome;
	job->text = text;
	sim_vm_kill(vm, END_BY_US);
	set_event(vm, &job->step, DESTROY_LIMIT_MS);
}

static void resume_ended(void *data, int error)
{
	struct sim_job *job = data;
	struct sim_vm *vm = job->vm;

	job->resuming = false;
	if (!job->under_way)
		return;
	if (vm->pid == 0 || vm->killed || error < 0) {
		enum outcome outcome =
			error == -EBUSY || error == -EXDEV ? OUTCOME_LEASE_HELD : OUTCOME_FAILED;
		const char *text = error < 0 ? "take the lease and run" : "QEMU is gone";

		if (job->action == ACTION_START)
			job_undo(job, outcome, text);
		else
			job_end(job, job->action == ACTION_MIGRATE ? OUTCOME_FAILED : outcome, text);
		return;
	}
	if (job->action == ACTION_START && job->given_up) {
		/* The loop has given it up: the machine counts it as failed and may have moved on. */
		job_undo(job, OUTCOME_FAILED, "given up");
		return;
	}
	sim_vm_run(vm);
	job_end(job, job->action == ACTION_MIGRATE ? OUTCOME_FAILED : OUTCOME_OK, "the migration failed");
}

static bool takes_lease(const struct sim_vm *vm)
{
	return vm->pid != 0 && (vm->guest == SIM_GUEST_PAUSED || vm->handed);
}

static void resume_begin(struct sim_job *job)
{
	struct sim_vm *vm = job->vm;
	int r = -EIO;

	if (!takes_lease(vm)) {
		job_end(job, OUTCOME_FAILED, "the domain is not here, or not paused");
		return;
	}
	/* Somebody's `virsh resume` asks for no more. */
	if (job->action == ACTION_RESUME && job->asked && sim_domain_check(vm) < 0) {
		job_end(job, OUTCOME_FAILED, "the domain's live XML");
		return;
	}
	/* Without one in its domain none is taken, and nobody is told; and where sanlock was restarted
	 * libvirt resumes it without a lease and without an error (DESIGN, rule 4). */
	if (vm->bare || (vm->sanlock->running && vm->sanlock->registered != vm->pid)) {
		sim_vm_run(vm);
		job_end(job, OUTCOME_OK, "");
		return;
	}
	job->resuming = true;
	if (vm->sanlock->running && !vm->sanlock->stopped)
		r = sim_sanlock_acquire(vm->sanlock, SIM_LEASE_ENGINE, vm->pid, resume_ended, job);
	else if (vm->sanlock->stopped) {
		set_event(vm, &job->step, RETRY_MS); /* its socket takes the call, nobody answers */
		return;
	}
	if (r < 0)
		resume_ended(job, r);
}

void sim_libvirt_migrated(struct sim_vm *vm, bool done, bool lives)
{
	struct sim_job *job = &vm->acting;

	if (!job->under_way || job->action != ACTION_MIGRATE || job->made == 0) {
		if (!done && lives)
			sim_vm_resume(vm);
	} else if (!done && lives && takes_lease(vm)) {
		resume_begin(job);
	} else {
		job_end(job, done ? OUTCOME_OK : OUTCOME_FAILED, "the migration failed");
	}
}

void sim_libvirt_stopped(struct sim_vm *vm, enum domain_end end)
{
	/* What waited for its lease waits no more. */
	if (vm->acting.under_way && vm->acting.undoing)
		job_end(&vm->acting, vm->acting.outcome, vm->acting.text);
	else if (vm->acting.under_way && vm->acting.resuming)
		resume_ended(&vm->acting, -EIO);
	if (!vm->libvirt_up)
		return;
	if (end == END_CRASHED && !vm->lost)
		vm->listed_until = mono_add(now_of(vm), NOTICE_MS);
	if (!vm->attached || vm->view.state == DOMAIN_UNKNOWN)
		return;
	vm->last_end = end;
	vm->events_ends++;
	set_event(vm, &vm->told, unnoticed(vm) ? NOTICE_MS + EVENT_MS : EVENT_MS);
}

static void start_step(struct sim_job *job)
{
	struct sim_vm *vm = job->vm;

	if ((vm->pid != 0 || unnoticed(vm)) && job->made != vm->number) {
		job_end(job, OUTCOME_FAILED, "the domain exists and is not shut off");
		return;
	}
	if (job->made == 0) {
		if (vm->ways.create_fails) {
			job_end(job, OUTCOME_FAILED, "create the domain");
			return;
		}
		if (sim_domain_prepare(vm) < 0) {
			job_end(job, OUTCOME_FAILED, "the configured domain");
			return;
		}
		sim_vm_create(vm, NULL);
		job->made = vm->number;
		sim_libvirt_told(vm);
		set_event(vm, &job->step, RESUME_MS);
		return;
	}
	/* The thread that would go on was given up, or is gone with its agent: then QEMU stays, paused. */
	if (job->given_up)
		job_undo(job, OUTCOME_FAILED, "given up");
	else if (!job->asked)
		job_end(job, OUTCOME_FAILED, "nobody goes on");
	else if (vm->pid == 0) /* ended while libvirtd stood */
		job_end(job, OUTCOME_FAILED, "QEMU is gone");
	else if (sim_domain_check(vm) < 0)
		job_undo(job, OUTCOME_FAILED, "the domain's live XML");
	else if (job->action == ACTION_START_PAUSED)
		job_end(job, OUTCOME_OK, "");
	else
		resume_begin(job);
}

static void destroy_step(struct sim_job *job)
{
	struct sim_vm *vm = job->vm;

	if (vm->pid == 0 || vm->lost) {
		vm->listed_until = MONO_UNSET; /* noticed by that */
		job_end(job, OUTCOME_OK, "");
		return;
	}
	if (!job->resuming) {
		job->resuming = true; /* the signal is sent */
		sim_vm_kill(vm, END_BY_US);
		set_event(vm, &job->step, 20);
		job->made = 0;
		return;
	}
	job->made++;
	if ((int64_t)job->made * 500 > DESTROY_LIMIT_MS)
		job_end(job, OUTCOME_FAILED, "destroy the domain");
	else
		set_event(vm, &job->step, 500);
}

static void job_fired(struct sim_event *event)
{
	struct sim_job *job = (struct sim_job *)event;
	struct sim_vm *vm = job->vm;

	if (vm->libvirt_hangs)
		return; /* goes on with it */
	if (!vm->libvirt_up) {
		job_end(job, OUTCOME_FAILED, "connect to libvirt");
		return;
	}
	if (job->undoing) {
		job_end(job, job->outcome, job->text);
		return;
	}
	if (job->resuming && job == &vm->acting) {
		resume_begin(job);
		return;
	}
	switch (job->action) {
	case ACTION_START:
	case ACTION_START_PAUSED:
		start_step(job);
		return;
	case ACTION_RESUME:
		resume_begin(job);
		return;
	case ACTION_DESTROY:
		destroy_step(job);
		return;
	case ACTION_MIGRATE:
		if (job->made != 0)
			return;
		job->made = 1;
		if (!vm->calls->migrates(vm->calls_data, vm->target))
			job_end(job, OUTCOME_UNDER_WAY, "somebody else migrates it");
		return;
	case ACTION_CANCEL:
		vm->calls->cancels(vm->calls_data);
		job_end(job, OUTCOME_OK, "");
		return;
	case ACTION_SHUTDOWN:
		if (vm->pid == 0) {
			job_end(job, OUTCOME_FAILED, "the domain is not here");
			return;
		}
		sim_vm_press_button(vm);
		job_end(job, OUTCOME_OK, "");
		return;
	default:
		assert(false);
	}
}

static void job_late(struct timer *timer)
{
	struct sim_job *job = (struct sim_job *)((char *)timer - offsetof(struct sim_job, late));
	struct sim_vm *vm = job->vm;

	job->given_up = true;
	job->asked = false;
	vm->unsure |= job->action == ACTION_MIGRATE;
	vm->port.ended(vm->port.data, job->action, OUTCOME_FAILED, "no answer");
}

static int port_act(struct vm_port *port, enum action action, const char *argument, mono_t deadline)
{
	struct sim_vm *vm = (struct sim_vm *)port;
	struct sim_job *job =
		action == ACTION_DESTROY || action == ACTION_CANCEL ? &vm->destroying : &vm->acting;
	struct clock_port *clock = &vm->clock->daemons[SIM_DAEMON_AGENT].port;
	int64_t ms = action == ACTION_DESTROY				       ? DESTROY_MS
		     : action == ACTION_START || action == ACTION_START_PAUSED ? vm->ways.create_ms
									       : RESUME_MS;

	if (job->under_way)
		return -EBUSY;
	job->action = action;
	job->under_way = job->asked = true;
	job->given_up = job->resuming = job->undoing = false;
	job->made = 0;
	if (action == ACTION_MIGRATE)
		snprintf(vm->target, sizeof(vm->target), "%s", argument);
	clock->set(clock, &job->late, deadline);
	set_event(vm, &job->step, vm->libvirt_up ? ms : EVENT_MS);
	return 0;
}

static void port_close(struct vm_port *port)
{
	sim_vm_close((struct sim_vm *)port);
}

void sim_vm_close(struct sim_vm *vm)
{
	vm->attached = vm->looking = false;
	sim_cancel(vm->sim, &vm->look_ends);
	sim_cancel(vm->sim, &vm->told);
	sim_cancel_timer(vm->sim, &vm->acting.late);
	sim_cancel_timer(vm->sim, &vm->destroying.late);
	sim_cancel(vm->sim, &vm->acting.told);
	sim_cancel(vm->sim, &vm->destroying.told);
	/* libvirt's side of them goes on. A migration does so by itself, in nobody's thread. */
	vm->acting.asked = vm->destroying.asked = false;
	if (vm->acting.action == ACTION_MIGRATE && !vm->acting.resuming) {
		vm->acting.under_way = false;
		sim_cancel(vm->sim, &vm->acting.step);
	}
	vm->view = (struct domain_view){.state = DOMAIN_UNKNOWN, .begun = MONO_UNSET};
	vm->events_ends = 0;
	vm->unsure = false;
}

/* What sanlock has begun for libvirtd ends without it: the lease may be taken for a paused QEMU. */
static void job_drop(struct sim_job *job, const char *why)
{
	if (job->under_way)
		job_end(job, OUTCOME_FAILED, why);
}

void sim_vm_libvirt_start(struct sim_vm *vm)
{
	vm->libvirt_up = true;
	vm->libvirt_starts++;
	vm->libvirt_hangs = false;
	if (vm->attached) {
		vm->looking = false;
		look_begin(vm, mono_add(now_of(vm), AGAIN_LOOK_MS));
	}
}

void sim_vm_libvirt_crash(struct sim_vm *vm)
{
	if (!vm->libvirt_up)
		return;
	vm->libvirt_up = vm->libvirt_hangs = false;
	vm->listed_until = MONO_UNSET;
	job_drop(&vm->acting, "the connection was closed");
	job_drop(&vm->destroying, "the connection was closed");
	sim_cancel(vm->sim, &vm->told);
	vm->events_ends = 0;
	if (vm->attached) {
		vm->unsure = true;
		vm->looking = true;
		set_event(vm, &vm->look_ends, EVENT_MS);
	}
}

void sim_vm_libvirt_hang(struct sim_vm *vm, bool hangs)
{
	if (!vm->libvirt_up || vm->libvirt_hangs == hangs)
		return;
	vm->libvirt_hangs = hangs;
	if (hangs && vm->looking)
		sim_set(vm->sim, &vm->look_ends, vm->clock->host,
			sim_clock_due(vm->clock, vm->look_deadline));
	if (hangs)
		return;
	if (vm->acting.under_way && !vm->sanlock->acquires[SIM_LEASE_ENGINE].active &&
	    !sim_is_set(&vm->acting.step))
		set_event(vm, &vm->acting.step, 1);
	if (vm->destroying.under_way && !sim_is_set(&vm->destroying.step))
		set_event(vm, &vm->destroying.step, 1);
	if (vm->attached) {
		vm->looking = false;
		look_begin(vm, mono_add(now_of(vm), AGAIN_LOOK_MS));
	}
}

void sim_vm_resume(struct sim_vm *vm)
{
	if (vm->libvirt_up && !vm->acting.under_way && takes_lease(vm)) {
		vm->acting.action = ACTION_RESUME;
		vm->acting.under_way = true;
		vm->acting.asked = vm->acting.given_up = vm->acting.resuming = false;
		set_event(vm, &vm->acting.step, RESUME_MS);
	}
}

void sim_libvirt_power_off(struct sim_vm *vm)
{
	sim_vm_close(vm);
	vm->libvirt_up = vm->libvirt_hangs = false;
	vm->listed_until = MONO_UNSET;
	vm->acting.under_way = vm->destroying.under_way = false;
	vm->acting.resuming = vm->acting.undoing = vm->destroying.resuming = false;
	sim_cancel(vm->sim, &vm->acting.step);
	sim_cancel(vm->sim, &vm->destroying.step);
}

void sim_libvirt_init(struct sim_vm *vm)
{
	vm->port.look = port_look;
	vm->port.act = port_act;
	vm->port.close = port_close;
	vm->view = (struct domain_view){.state = DOMAIN_UNKNOWN, .begun = MONO_UNSET};
	vm->look_ends.fire = look_ended;
	vm->told.fire = told_fired;
	vm->acting.vm = vm->destroying.vm = vm;
	vm->acting.step.fire = vm->destroying.step.fire = job_fired;
	vm->acting.late.fire = vm->destroying.late.fire = job_late;
	vm->acting.told.fire = vm->destroying.told.fire = job_told;
	vm->acting.told.kind = vm->destroying.told.kind = SIM_VM;
	vm->acting.told.daemon = vm->destroying.told.daemon = vm->look_ends.daemon = vm->told.daemon =
		SIM_DAEMON_AGENT;
	vm->look_ends.kind = vm->told.kind = vm->acting.step.kind = vm->destroying.step.kind = SIM_VM;
}
