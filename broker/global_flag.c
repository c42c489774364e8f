/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what the cluster's maintenance flag is and carries out changes of it. Unreadable is the last good
 * value, never "no". It may not wait, and may not acknowledge what it has not read back (safety rule 16,
 * FORMAT: block 0). Called by broker.c. */
#include "broker/global_flag.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "broker/protocol.h"
#include "metadata/global.h"
#include "util/log.h"

#define TRIES_MAX 5 /* rewrites against a writer that undoes them */
#define SETTLE_LOOPS 2
#define ASK_AGAIN_MS 500 /* for a lease that was refused at once */

_Static_assert(sizeof(((struct global_flag *)0)->cause) >= GLOBAL_CAUSE_SIZE, "the cause must fit");

static void set_start(struct global_flag *flag);
static void loop_read(struct global_flag *flag);

static mono_t now_of(struct global_flag *flag)
{
	return flag->clock->now(flag->clock);
}

static struct global_flag *from_timer(struct timer *timer, size_t offset)
{
	return (struct global_flag *)((char *)timer - offset);
}

static const char *word(bool maintenance)
{
	return maintenance ? "on" : "off";
}

/* Takes a value in that storage holds. */
static void take_in(struct global_flag *flag, const uint8_t block[BLOCK_SIZE])
{
	char cause[GLOBAL_CAUSE_SIZE] = "";
	enum flag value = global_decode(block, cause);
	bool news = !flag->read;

	memcpy(flag->block, block, BLOCK_SIZE);
	flag->read_at = now_of(flag);
	if (value == FLAG_UNKNOWN) {
		/* The last good value goes on, also the one kept from before a restart; it is not "no". */
		flag->read |= flag->value != FLAG_UNKNOWN;
		if (news && flag->read)
			flag->changed(flag->data);
		if (flag->unread_since == MONO_UNSET)
			flag->unread_since = flag->read_at;
		if (strcmp(flag->cause, cause) != 0) {
			snprintf(flag->cause, sizeof(flag->cause), "%s", cause);
			log_error("block 0 of the whiteboard is unreadable, its last good value goes on: %s; "
				  "hosted-engine --set-maintenance writes it anew value=%s",
				  cause, flag_str(flag->value));
		}
		return;
	}
	flag->unread_since = MONO_UNSET;
	flag->cause[0] = '\0';
	flag->read = true;
	if (value != flag->value) {
		log_info("global maintenance %s -> %s", flag_str(flag->value), flag_str(value));
		flag->value = value;
		flag->kept->save(flag->kept, value);
		news = true;
	}
	if (news)
		flag->changed(flag->data);
}

static void not_read(struct global_flag *flag, int error)
{
	if (flag->unread_since == MONO_UNSET)
		flag->unread_since = now_of(flag);
	snprintf(flag->cause, sizeof(flag->cause), "%s", strerror(-error));
}

static void answer_all(struct global_flag *flag, int error, const char *text)
{
	struct global_waiter waiters[GLOBAL_WAITERS_MAX];
	size_t n = flag->n_waiters;

	memcpy(waiters, flag->waiters, n * sizeof(waiters[0]));
	flag->n_waiters = 0;
	for (size_t i = 0; i < n; i++)
		waiters[i].answer(waiters[i].data, error, text);
}

static void set_end(struct global_flag *flag, int error, const char *text)
{
	flag->lease->release(flag->lease);
	flag->clock->cancel(flag->clock, &flag->settle_timer);
	flag->clock->cancel(flag->clock, &flag->ask_timer);
	flag->step = SET_IDLE;
	flag->again = false;
	if (error < 0)
		log_error("global maintenance not set target=%s: %s", word(flag->target), text);
	answer_all(flag, error, text);
}

static void set_failed(struct global_flag *flag, const char *what, int error)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "%s of block 0 failed: %s%s", what, strerror(-error),
		 error == -ETIMEDOUT && flag->step == SET_WRITE ? "; the write may still land" : "");
	set_end(flag, error, text);
}

static void io_done(struct store_op *op, int error);

/* Begins the read or write of the step. */
static void step_io(struct global_flag *flag)
{
	int r;

	flag->op.done = io_done;
	flag->op.deadline = mono_add(now_of(flag), flag->io_ms);
	flag->in_flight = true;
	flag->reading = false;
	if (flag->step == SET_WRITE)
		r = flag->store->write(flag->store, STORE_QUEUE_GLOBAL, 0, flag->written, &flag->op);
	else
		r = flag->store->read(flag->store, STORE_QUEUE_GLOBAL, 0, 1, flag->buffer, &flag->op);
	if (r < 0) {
		flag->in_flight = false;
		set_failed(flag, flag->step == SET_WRITE ? "the write" : "a read", r);
	}
}

static void set_next(struct global_flag *flag, enum set_step step)
{
	flag->step = step;
	/* The loop's own read may be under way: its end goes on with the step. */
	if (!flag->in_flight)
		step_io(flag);
}

/* Other writers, without our lease, may have overwritten it from an old copy. */
static void write_again(struct global_flag *flag)
{
	if (++flag->tries >= TRIES_MAX) {
		set_end(flag, -EAGAIN, "another writer keeps changing block 0 back");
		return;
	}
	log_warning("global maintenance was changed back by another writer, written again target=%s try=%u",
		    word(flag->target), flag->tries + 1);
	set_start(flag);
}

/* Rule 16: sanlock has ended its holder meanwhile, so another host may be writing. */
static void lease_lost(struct global_flag *flag)
{
	if (++flag->tries >= TRIES_MAX) {
		set_end(flag, -EAGAIN, "the lease of block 0 is lost again and again");
		return;
	}
	log_warning("lease of block 0 lost before the write, asked for again try=%u", flag->tries + 1);
	set_start(flag);
}

static void step_done(struct global_flag *flag)
{
	char cause[GLOBAL_CAUSE_SIZE];
	static const uint8_t none[BLOCK_SIZE];
	enum flag wanted = flag->target ? FLAG_YES : FLAG_NO;
	enum flag found;

	/* A later request came with another value: it begins anew, on what is there now. */
	if (flag->again) {
		set_start(flag);
		return;
	}
	switch (flag->step) {
	case SET_READ:
		if (!flag->unleased && !flag->lease->held(flag->lease)) {
			lease_lost(flag);
			return;
		}
		found = global_decode(flag->buffer, cause);
		global_encode(found == FLAG_UNKNOWN ? none : flag->buffer, flag->target, flag->written);
		set_next(flag, SET_WRITE);
		return;
	case SET_WRITE:
		set_next(flag, SET_VERIFY);
		return;
	case SET_VERIFY:
		take_in(flag, flag->buffer);
		if (global_decode(flag->buffer, cause) != wanted) {
			write_again(flag);
			return;
		}
		flag->lease->release(flag->lease);
		flag->step = SET_SETTLE;
		flag->clock->set(flag->clock, &flag->settle_timer,
				 mono_add(now_of(flag), SETTLE_LOOPS * flag->loop_ms));
		return;
	case SET_CHECK:
		take_in(flag, flag->buffer);
		if (global_decode(flag->buffer, cause) != wanted) {
			write_again(flag);
			return;
		}
		log_info("global maintenance set value=%s%s", word(flag->target),
			 flag->unleased ? " without lease" : "");
		set_end(flag, 0,
			flag->unleased ? "Written without the lease of block 0, which was not to be had: "
					 "another host may "
					 "have changed it at the same moment."
				       : "");
		return;
	case SET_IDLE:
	case SET_LEASE:
	case SET_SETTLE:
	case SET_STEP_COUNT:
		break;
	}
	assert(false);
}

static void io_done(struct store_op *op, int error)
{
	struct global_flag *flag = (struct global_flag *)((char *)op - offsetof(struct global_flag, op));

	flag->in_flight = false;
	if (flag->reading) {
		flag->reading = false;
		if (error < 0)
			not_read(flag, error);
		else
			take_in(flag, flag->buffer);
		/* A change that came meanwhile waited for the queue. */
		if (flag->step == SET_READ || flag->step == SET_CHECK)
			step_io(flag);
		return;
	}
	if (error < 0) {
		set_failed(flag, flag->step == SET_WRITE ? "the write" : "a read", error);
		return;
	}
	step_done(flag);
}

static void lease_taken(void *data, int error)
{
	struct global_flag *flag = data;

	if (flag->step != SET_LEASE)
		return;
	/* Rule 16: without it only when it was asked for in all that time. */
	if (error < 0 && !mono_passed(flag->asked, BLOCK0_TAKE_MS, now_of(flag))) {
		flag->clock->set(flag->clock, &flag->ask_timer, mono_add(now_of(flag), ASK_AGAIN_MS));
		return;
	}
	flag->unleased = error < 0;
	if (error < 0)
		log_warning("lease of block 0 not to be had, written without: %s", strerror(-error));
	set_next(flag, SET_READ);
}

static void ask_fired(struct timer *timer)
{
	struct global_flag *flag = from_timer(timer, offsetof(struct global_flag, ask_timer));
	int r = flag->lease->take(flag->lease, lease_taken, flag);

	if (r < 0)
		lease_taken(flag, r);
}

static void set_start(struct global_flag *flag)
{
	flag->again = false;
	flag->clock->cancel(flag->clock, &flag->settle_timer);
	flag->clock->cancel(flag->clock, &flag->ask_timer);
	flag->lease->release(flag->lease);
	flag->step = SET_LEASE;
	flag->asked = now_of(flag);
	ask_fired(&flag->ask_timer);
}

static void settle_fired(struct timer *timer)
{
	set_next(from_timer(timer, offsetof(struct global_flag, settle_timer)), SET_CHECK);
}

int global_flag_set(struct global_flag *flag, bool maintenance,
		    void (*answer)(void *data, int error, const char *text), void *data)
{
	if (flag->n_waiters >= GLOBAL_WAITERS_MAX)
		return -EBUSY;
	if (flag->step != SET_IDLE && maintenance != flag->target) {
		char text[TEXT_MAX];

		/* The last one wins, and the others are told so. */
		snprintf(text, sizeof(text), "a later request turns global maintenance %s",
			 word(maintenance));
		answer_all(flag, -ECANCELED, text);
	}
	flag->waiters[flag->n_waiters++] = (struct global_waiter){answer, data};
	if (flag->step != SET_IDLE && maintenance == flag->target)
		return 0;
	log_info("global maintenance asked value=%s", word(maintenance));
	flag->target = maintenance;
	flag->tries = 0;
	if (flag->step == SET_IDLE || flag->step == SET_SETTLE) {
		set_start(flag);
	} else if (flag->step == SET_LEASE) {
		/* The target is used after the lease came. */
	} else {
		flag->again = true; /* when the I/O under way has ended */
	}
	return 0;
}

void global_flag_forget(struct global_flag *flag, void *data)
{
	size_t kept = 0;

	for (size_t i = 0; i < flag->n_waiters; i++)
		if (flag->waiters[i].data != data)
			flag->waiters[kept++] = flag->waiters[i];
	flag->n_waiters = kept;
}

static void loop_read(struct global_flag *flag)
{
	if (flag->in_flight)
		return;
	flag->op.done = io_done;
	flag->op.deadline = mono_add(now_of(flag), flag->io_ms);
	flag->reading = flag->in_flight = true;
	if (flag->store->read(flag->store, STORE_QUEUE_GLOBAL, 0, 1, flag->buffer, &flag->op) < 0)
		flag->reading = flag->in_flight = false;
}

static void loop_fired(struct timer *timer)
{
	struct global_flag *flag = from_timer(timer, offsetof(struct global_flag, loop_timer));

	/* At start it is read every second until it was read once. */
	flag->clock->set(flag->clock, timer,
			 mono_add(now_of(flag), flag->read || flag->loop_ms < 1000 ? flag->loop_ms : 1000));
	loop_read(flag);
}

void global_flag_start(struct global_flag *flag)
{
	assert(flag->clock && flag->store && flag->lease && flag->kept && flag->changed && flag->loop_ms > 0);
	flag->loop_timer.fire = loop_fired;
	flag->settle_timer.fire = settle_fired;
	flag->ask_timer.fire = ask_fired;
	flag->value = flag->kept->load(flag->kept);
	flag->read_at = flag->unread_since = MONO_UNSET;
	loop_fired(&flag->loop_timer);
}

void global_flag_done(struct global_flag *flag)
{
	flag->clock->cancel(flag->clock, &flag->loop_timer);
	flag->clock->cancel(flag->clock, &flag->settle_timer);
	flag->clock->cancel(flag->clock, &flag->ask_timer);
	flag->lease->release(flag->lease);
}
