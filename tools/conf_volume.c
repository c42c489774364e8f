/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a loop for one reading of the conf volume: storage that hangs costs a command its 10 s and no more.
 * Never writes. */
#include "tools/conf_volume.h"

#include <string.h>

#include "util/cleanup.h"
#include "util/engine_conf.h"

#define READ_MS 10000

CLEANUP_DEFINE(struct loop *, loop_free)

struct reading {
	struct conf_transfer transfer; /* first */
	struct loop *loop;
	int error;
};

static void done(struct conf_transfer *transfer, int error)
{
	struct reading *reading = (struct reading *)transfer;

	reading->error = error;
	loop_stop(reading->loop);
}

int conf_volume_load(const struct place *place, struct conf_archive *ret, char cause[CONF_CAUSE_SIZE])
{
	_cleanup_(loop_free_p) struct loop *loop = NULL;
	struct reading reading = {.transfer = {.done = done}};
	char spec[sizeof(place->path) + 32];
	int r;

	cause[0] = '\0';
	r = place_format(place, spec, sizeof(spec));
	if (r == 0)
		r = loop_new(&loop);
	if (r == 0)
		r = store_path_new(spec, loop, &reading.transfer.store);
	if (r < 0)
		return r;
	reading.loop = loop;
	reading.transfer.clock = loop_clock(loop);
	reading.transfer.deadline = reading.transfer.clock->now(reading.transfer.clock) + READ_MS;
	r = conf_read(&reading.transfer);
	if (r == 0)
		r = loop_run(loop);
	if (r == 0)
		r = reading.error;
	if (r == 0) {
		*ret = reading.transfer.archive;
		reading.transfer.archive = (struct conf_archive){0};
	}
	memcpy(cause, reading.transfer.cause, CONF_CAUSE_SIZE);
	reading.transfer.store->close(reading.transfer.store);
	conf_transfer_done(&reading.transfer);
	return r;
}
