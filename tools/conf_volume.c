/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a loop for one reading or one change of the conf volume: storage that hangs costs a reader its 10 s
 * and no more. Decides how long a writer holds the lease: until nothing of its own can land any more. What is
 * written in which order is metadata/conf_layout.h's. */
#include "tools/conf_volume.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/error_advice.h"
#include "util/cleanup.h"
#include "util/engine_conf.h"

#define READ_MS 10000
#define EDIT_MS 60000 /* well before the child's end, BLOCK0_HOLD_S: nothing is begun without the lease */
#define STUCK_LOOK_MS 200

_Static_assert(EDIT_MS < BLOCK0_HOLD_S * 1000, "the lease outlasts the transfer");

CLEANUP_DEFINE(struct loop *, loop_free)

struct volume_work {
	struct conf_transfer transfer; /* first */
	struct loop *loop;
	int error;
	/* Of a change. */
	struct block0_port *lease;
	int (*edit)(void *data, struct conf_archive *archive);
	void *data;
	struct timer stuck_timer;
	mono_t lease_ends;
	char *cause;
};

static struct clock_port *clock_of(const struct volume_work *work)
{
	return loop_clock(work->loop);
}

static mono_t now(const struct volume_work *work)
{
	return clock_of(work)->now(clock_of(work));
}

static int work_open(struct volume_work *work, const struct place *place)
{
	char spec[sizeof(place->path) + 32];
	int r = place_format(place, spec, sizeof(spec));

	if (r == 0)
		r = store_path_new(spec, work->loop, &work->transfer.store);
	if (r == 0)
		work->transfer.clock = loop_clock(work->loop);
	return r;
}

static void work_close(struct volume_work *work)
{
	if (work->transfer.store)
		work->transfer.store->close(work->transfer.store);
	conf_transfer_done(&work->transfer);
}

/* Of a reading, or of the first writing. */
static void was_read(struct conf_transfer *transfer, int error)
{
	struct volume_work *work = (struct volume_work *)transfer;

	work->error = error;
	loop_stop(work->loop);
}

int conf_volume_load(const struct place *place, struct conf_archive *ret, char cause[CONF_CAUSE_SIZE])
{
	_cleanup_(loop_free_p) struct loop *loop = NULL;
	struct volume_work work = {.transfer = {.done = was_read}};
	int r;

	cause[0] = '\0';
	r = loop_new(&loop);
	if (r < 0)
		return r;
	work.loop = loop;
	r = work_open(&work, place);
	if (r == 0) {
		work.transfer.deadline = mono_add(now(&work), READ_MS);
		r = conf_read(&work.transfer);
	}
	if (r == 0)
		r = loop_run(loop);
	if (r == 0)
		r = work.error;
	if (r == 0) {
		*ret = work.transfer.archive;
		work.transfer.archive = (struct conf_archive){0};
	}
	memcpy(cause, work.transfer.cause, CONF_CAUSE_SIZE);
	work_close(&work);
	return r;
}

/* A write that timed out can still land, and must not do so under another's lease. */
static void let_go(struct timer *timer)
{
	struct volume_work *work =
		(struct volume_work *)((char *)timer - offsetof(struct volume_work, stuck_timer));
	struct store_health health;

	work->transfer.store->health(work->transfer.store, &health);
	if (health.stuck > 0 && now(work) < work->lease_ends) {
		clock_of(work)->set(clock_of(work), timer, mono_add(now(work), STUCK_LOOK_MS));
		return;
	}
	work->lease->release(work->lease);
	loop_stop(work->loop);
}

static void edit_end(struct volume_work *work, int error, const char *cause)
{
	work->error = error;
	snprintf(work->cause, CONF_CAUSE_SIZE, "%s", cause);
	let_go(&work->stuck_timer);
}

static const char *with_advice(int error, char ret[CONF_CAUSE_SIZE])
{
	snprintf(ret, CONF_CAUSE_SIZE, "%s%s", strerror(-error), error_advice(error));
	return ret;
}

static const char *write_cause(int error)
{
	switch (-error) {
	case ENOTSUP:
		return "a newer version has put more into it than this one can keep: change it from a host "
		       "of "
		       "that version";
	case EFBIG:
		return "it would get too long; give a shorter value";
	case ESTALE:
		return "another host, without the lease, changes it at this moment; try again";
	case ENOSPC:
		return "the storage is full: make room there, see with --get-shared-config what counts now, "
		       "then try again";
	case EIO:
		return "what was written does not read back; see with --get-shared-config what counts now, "
		       "then try "
		       "again";
	case ETIMEDOUT:
		return "the storage does not answer in time; see with --get-shared-config what counts now, "
		       "then try "
		       "again";
	default:
		return strerror(-error);
	}
}

static void was_written(struct conf_transfer *transfer, int error)
{
	edit_end((struct volume_work *)transfer, error, error < 0 ? write_cause(error) : "");
}

static void was_read_to_edit(struct conf_transfer *transfer, int error)
{
	struct volume_work *work = (struct volume_work *)transfer;
	struct conf_archive archive = transfer->archive;
	char text[CONF_CAUSE_SIZE];
	int r;

	if (error < 0) {
		edit_end(work, error,
			 error == -EBADMSG   ? transfer->cause
			 : error == -ENODATA ? "nothing was written there yet: a deployment writes the first"
			 : error == -ETIMEDOUT ? "the storage does not answer in time; see --vm-status"
					       : with_advice(error, text));
		return;
	}
	transfer->archive = (struct conf_archive){0};
	r = work->edit(work->data, &archive);
	if (r < 0) {
		edit_end(work, r, "");
	} else {
		transfer->done = was_written;
		r = conf_write(transfer, &archive, &transfer->place);
		if (r < 0)
			edit_end(work, r, write_cause(r));
	}
	conf_archive_done(&archive);
}

static void lease_taken(void *data, int error)
{
	struct volume_work *work = data;
	int r = error;

	if (error < 0) {
		edit_end(work, error,
			 error == -ENOENT
				 ? "ovirt-ha-whiteboard-lease is not installed"
				 : "its lease could not be had within 10 s: another host changes it, or this "
				   "host is not in the lockspace; see --vm-status and try again");
		return;
	}
	work->transfer.deadline = mono_add(now(work), EDIT_MS);
	work->lease_ends = mono_add(now(work), BLOCK0_HOLD_S * MONO_SECOND);
	r = conf_read(&work->transfer);
	if (r < 0)
		edit_end(work, r, strerror(-r));
}

static int edit_begin(struct volume_work *work, const struct place *place, const struct block0_config *lease)
{
	struct block0_config config = *lease;
	int r = work_open(work, place);

	snprintf(config.name, sizeof(config.name), "%s", CONF_LEASE_NAME);
	config.behind = CONF_LEASE_BEHIND;
	config.quiet = true;
	if (r == 0)
		r = block0_lease_new(&config, work->loop, &work->lease);
	return r < 0 ? r : work->lease->take(work->lease, lease_taken, work);
}

int conf_volume_edit(const struct place *place, const struct block0_config *lease,
		     int (*edit)(void *data, struct conf_archive *archive), void *data,
		     char cause[CONF_CAUSE_SIZE])
{
	_cleanup_(loop_free_p) struct loop *loop = NULL;
	struct volume_work work = {.transfer = {.done = was_read_to_edit},
				   .edit = edit,
				   .data = data,
				   .stuck_timer.fire = let_go,
				   .cause = cause};
	int r = loop_new(&loop);

	cause[0] = '\0';
	work.loop = loop;
	if (r == 0)
		r = edit_begin(&work, place, lease);
	if (r < 0)
		with_advice(r, cause);
	else
		r = loop_run(loop);
	if (r == 0)
		r = work.error;
	if (work.lease)
		work.lease->close(work.lease);
	work_close(&work);
	return r;
}

int conf_volume_create(const struct place *place, const struct conf_archive *archive,
		       char cause[CONF_CAUSE_SIZE])
{
	static const struct conf_place none;
	_cleanup_(loop_free_p) struct loop *loop = NULL;
	struct volume_work work = {.transfer = {.done = was_read}};
	int r = loop_new(&loop);

	if (r == 0) {
		work.loop = loop;
		r = work_open(&work, place);
	}
	if (r == 0) {
		work.transfer.deadline = mono_add(now(&work), EDIT_MS);
		r = conf_write(&work.transfer, archive, &none);
	}
	if (r == 0)
		r = loop_run(loop);
	if (r == 0)
		r = work.error;
	snprintf(cause, CONF_CAUSE_SIZE, "%s", r < 0 ? write_cause(r) : "");
	work_close(&work);
	return r;
}
