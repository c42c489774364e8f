/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the conf volume each period and keeps copies of what the daemons need of it. Decides when a copy is
 * written: when another generation counts, or the last writing failed; and that vm.conf's is touched each
 * time, which says how old it is. It judges no text: who uses a copy does. Called by the loop. */
#include "broker/conf_refresh.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/engine_conf.h"
#include "util/file_replace.h"
#include "util/log.h"
#include "util/worker.h"

#define COPY_MODE 0640 /* the VM's console and the mail server have passwords */

struct conf_refresh {
	struct conf_transfer transfer; /* first */
	struct conf_refresh_config config;
	struct loop *loop;
	struct worker *worker;
	struct timer timer;
	bool reading;
	struct conf_place copied; /* what the copies are of, all zeros: not known */
	char told[CONF_CAUSE_SIZE + PATH_MAX];
};

struct copy_job {
	struct job job;		      /* first */
	struct conf_refresh *refresh; /* for done() only */
	char vm_conf[PATH_MAX], broker_conf[PATH_MAX];
	struct conf_archive archive;
	struct conf_place place;
	bool fresh; /* the copies are of it already */
	int error;
};

/* Each fault once, until it is another or gone. */
static void tell(struct conf_refresh *refresh, const char *file, const char *cause)
{
	char text[sizeof(refresh->told)] = "";

	if (cause[0])
		snprintf(text, sizeof(text), "%s: %s", file, cause);
	if (strcmp(text, refresh->told) == 0)
		return;
	memcpy(refresh->told, text, sizeof(text));
	if (text[0])
		log_warning("the shared configuration is not brought here, tolerated, the copies stay: %s",
			    text);
	else
		log_info("the shared configuration is brought here again");
}

static int copy(const char *path, const struct conf_text *text)
{
	return file_replace(path, text->text, text->length, COPY_MODE);
}

static void copy_run(struct job *job)
{
	struct copy_job *it = (struct copy_job *)job;
	const struct conf_text *vm = &it->archive.texts[CONF_ENTRY_VM];

	it->error = 0;
	if (!it->fresh)
		it->error = copy(it->broker_conf, &it->archive.texts[CONF_ENTRY_BROKER]);
	/* Somebody may have removed it. A volume that has none yet leaves none here. */
	if (it->error == 0 && vm->length > 0 && (!it->fresh || utimensat(AT_FDCWD, it->vm_conf, NULL, 0) < 0))
		it->error = copy(it->vm_conf, vm);
}

static void copy_destroy(struct job *job)
{
	conf_archive_done(&((struct copy_job *)job)->archive);
	free(job);
}

static void copy_done(struct job *job)
{
	struct copy_job *it = (struct copy_job *)job;
	struct conf_refresh *refresh = it->refresh;

	if (it->error < 0) {
		refresh->copied = (struct conf_place){0};
		tell(refresh, "the copies here", strerror(-it->error));
	} else {
		tell(refresh, "", "");
		if (!it->fresh)
			log_info("shared configuration generation=%" PRIu64 " taken", it->place.generation);
		refresh->copied = it->place;
	}
	copy_destroy(job);
}

static void copy_start(struct conf_refresh *refresh)
{
	const struct conf_place *place = &refresh->transfer.place;
	struct copy_job *it = calloc(1, sizeof(*it));

	if (!it)
		return;
	it->job = (struct job){.run = copy_run, .done = copy_done, .destroy = copy_destroy};
	it->refresh = refresh;
	it->place = *place;
	it->fresh = place->generation == refresh->copied.generation &&
		    place->length == refresh->copied.length && place->crc32 == refresh->copied.crc32;
	strcpy(it->vm_conf, refresh->config.vm_conf);
	strcpy(it->broker_conf, refresh->config.broker_conf);
	it->archive = refresh->transfer.archive;
	refresh->transfer.archive = (struct conf_archive){0};
	if (!it->fresh)
		refresh->config.changed(refresh->config.data, it->archive.texts[CONF_ENTRY_BROKER].text,
					it->archive.texts[CONF_ENTRY_BROKER].length);
	if (worker_start(refresh->worker, &it->job) < 0)
		copy_destroy(&it->job); /* the one before hangs; the next period tries again */
}

static void was_read(struct conf_transfer *transfer, int error)
{
	struct conf_refresh *refresh = (struct conf_refresh *)transfer;

	refresh->reading = false;
	if (error == 0)
		copy_start(refresh);
	else
		tell(refresh, refresh->config.volume.path,
		     error == -EBADMSG	 ? transfer->cause
		     : error == -ENODATA ? "nothing was written there yet"
					 : strerror(-error));
}

static void timer_fired(struct timer *timer)
{
	struct conf_refresh *refresh =
		(struct conf_refresh *)((char *)timer - offsetof(struct conf_refresh, timer));
	struct clock_port *clock = refresh->transfer.clock;
	mono_t now = clock->now(clock);
	int r;

	clock->set(clock, timer, mono_add(now, refresh->config.period_ms));
	if (refresh->reading || worker_busy(refresh->worker))
		return;
	refresh->transfer.deadline = mono_add(now, refresh->config.io_ms);
	r = conf_read(&refresh->transfer);
	refresh->reading = r == 0;
	if (r < 0)
		tell(refresh, refresh->config.volume.path, strerror(-r));
}

int conf_refresh_new(const struct conf_refresh_config *config, struct loop *loop, struct conf_refresh **ret)
{
	struct conf_refresh *refresh = calloc(1, sizeof(*refresh));
	char spec[sizeof(config->volume.path) + 32];
	int r;

	if (!refresh)
		return -ENOMEM;
	refresh->config = *config;
	refresh->loop = loop;
	refresh->transfer.done = was_read;
	refresh->transfer.clock = loop_clock(loop);
	refresh->timer.fire = timer_fired;
	r = place_format(&config->volume, spec, sizeof(spec));
	if (r == 0)
		r = store_path_new(spec, loop, &refresh->transfer.store);
	if (r == 0)
		r = worker_new("shared-conf", &refresh->worker);
	if (r == 0)
		r = loop_add_worker(loop, refresh->worker);
	if (r < 0) {
		conf_refresh_free(refresh);
		return r;
	}
	timer_fired(&refresh->timer);
	*ret = refresh;
	return 0;
}

void conf_refresh_free(struct conf_refresh *refresh)
{
	if (!refresh)
		return;
	refresh->transfer.clock->cancel(refresh->transfer.clock, &refresh->timer);
	if (refresh->worker) {
		loop_del_fd(refresh->loop, worker_fd(refresh->worker));
		worker_free(refresh->worker);
	}
	if (refresh->transfer.store)
		refresh->transfer.store->close(refresh->transfer.store);
	conf_transfer_done(&refresh->transfer);
	free(refresh);
}
