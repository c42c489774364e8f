/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker's own small port: the last good value of global maintenance on local disk. It decides nothing.
 * Called by global_flag.c through it. */
#include "broker/broker_ports.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/file_replace.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/worker.h"

#define RETRY_MS 2000

struct kept_file {
	struct kept_port port; /* first */
	struct loop *loop;
	struct clock_port *clock;
	struct timer retry;
	char path[PATH_MAX];
	struct worker *worker;
	enum flag wanted; /* to be written when the worker is free, FLAG_UNKNOWN: nothing */
	int said;	  /* the last failure that was logged, 0: it is written */
};

struct keep_job {
	struct job job;		/* first */
	struct kept_file *kept; /* for done() only */
	char path[PATH_MAX];
	enum flag value;
	int error;
};

static void keep_run(struct job *job)
{
	struct keep_job *keep = (struct keep_job *)job;

	const char *text = keep->value == FLAG_YES ? "maintenance=1\n" : "maintenance=0\n";

	keep->error = file_replace(keep->path, text, strlen(text), 0640);
}

static void keep_destroy(struct job *job)
{
	free(job);
}

static void keep_start(struct kept_file *kept);

static void retry_fired(struct timer *timer)
{
	keep_start((struct kept_file *)((char *)timer - offsetof(struct kept_file, retry)));
}

static void retry_later(struct kept_file *kept)
{
	kept->clock->set(kept->clock, &kept->retry, mono_add(kept->clock->now(kept->clock), RETRY_MS));
}

static void keep_done(struct job *job)
{
	struct keep_job *keep = (struct keep_job *)job;
	struct kept_file *kept = keep->kept;

	if (keep->error < 0 && keep->error != kept->said)
		log_warning(
			"global maintenance is not kept on local disk, tried again, tolerated while storage "
			"can be read: %s: %s",
			keep->path, strerror(-keep->error));
	else if (keep->error == 0 && kept->said < 0)
		log_info("global maintenance is kept on local disk again");
	kept->said = keep->error;
	/* What stands there may be the opposite, and is believed after a start without storage. */
	if (keep->error < 0 && kept->wanted == FLAG_UNKNOWN)
		kept->wanted = keep->value;
	if (keep->error < 0)
		retry_later(kept);
	else
		keep_start(kept);
	free(keep);
}

static void keep_start(struct kept_file *kept)
{
	struct keep_job *keep;

	if (kept->wanted == FLAG_UNKNOWN || worker_busy(kept->worker))
		return;
	keep = calloc(1, sizeof(*keep));
	if (!keep) {
		retry_later(kept);
		return;
	}
	keep->job = (struct job){.run = keep_run, .done = keep_done, .destroy = keep_destroy};
	keep->kept = kept;
	keep->value = kept->wanted;
	memcpy(keep->path, kept->path, sizeof(keep->path));
	if (worker_start(kept->worker, &keep->job) < 0) {
		free(keep);
		retry_later(kept);
	} else {
		kept->wanted = FLAG_UNKNOWN;
	}
}

static void kept_save(struct kept_port *port, enum flag value)
{
	struct kept_file *kept = (struct kept_file *)port;

	kept->wanted = value;
	keep_start(kept);
}

static enum flag kept_load(struct kept_port *port)
{
	const struct kept_file *kept = (const struct kept_file *)port;
	_cleanup_fclose_ FILE *file = fopen(kept->path, "re");
	char line[32];

	if (!file || !fgets(line, sizeof(line), file))
		return FLAG_UNKNOWN;
	if (strcmp(line, "maintenance=1\n") == 0)
		return FLAG_YES;
	return strcmp(line, "maintenance=0\n") == 0 ? FLAG_NO : FLAG_UNKNOWN;
}

int kept_file_new(const char *path, struct loop *loop, struct kept_port **ret)
{
	_cleanup_free_ struct kept_file *kept = calloc(1, sizeof(*kept));
	int r;

	if (!kept)
		return -ENOMEM;
	if (strlen(path) + 5 >= sizeof(kept->path))
		return -ENAMETOOLONG;
	strcpy(kept->path, path);
	kept->wanted = FLAG_UNKNOWN;
	kept->loop = loop;
	kept->clock = loop_clock(loop);
	kept->retry.fire = retry_fired;
	kept->port.load = kept_load;
	kept->port.save = kept_save;
	r = worker_new("kept-flag", &kept->worker);
	if (r < 0)
		return r;
	r = loop_add_worker(loop, kept->worker);
	if (r < 0) {
		worker_free(kept->worker);
		return r;
	}
	*ret = &TAKE_PTR(kept)->port;
	return 0;
}

void kept_file_free(struct kept_port *port)
{
	struct kept_file *kept = (struct kept_file *)port;

	if (!kept)
		return;
	kept->clock->cancel(kept->clock, &kept->retry);
	loop_del_fd(kept->loop, worker_fd(kept->worker));
	worker_free(kept->worker);
	free(kept);
}
