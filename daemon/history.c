/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file of transitions behind a worker: even a local disk can hang, and no step waits for it. Decides
 * nothing but when it is written. Called in the loop's thread. */
#include "daemon/history.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/file_replace.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/worker.h"

#define FILE_MODE 0644
#define BYTES_MAX (TRANSITIONS_MAX * TRANSITION_LINE)

struct history {
	char path[PATH_MAX];
	struct loop *loop;
	struct worker *worker;
	bool more; /* added since the writing began that is under way */
	int told;  /* the last failure that was logged, 0: it is written */
	size_t n;
	struct transition kept[TRANSITIONS_MAX];
};

struct write_job {
	struct job job;		 /* first */
	struct history *history; /* for done() only */
	char path[PATH_MAX];
	char *text;
	size_t size;
	int error;
};

static void write_run(struct job *job)
{
	struct write_job *it = (struct write_job *)job;

	it->error = file_replace(it->path, it->text, it->size, FILE_MODE);
}

static void write_destroy(struct job *job)
{
	free(((struct write_job *)job)->text);
	free(job);
}

static void write_start(struct history *history);

static void write_done(struct job *job)
{
	struct write_job *it = (struct write_job *)job;
	struct history *history = it->history;

	if (it->error < 0 && it->error != history->told)
		log_warning("%s: the history can't be written, tolerated: %s", history->path,
			    strerror(-it->error));
	history->told = it->error;
	write_destroy(job);
	if (history->more)
		write_start(history);
}

static void write_start(struct history *history)
{
	struct write_job *it = calloc(1, sizeof(*it));

	history->more = false;
	if (!it)
		return;
	it->job = (struct job){.run = write_run, .done = write_done, .destroy = write_destroy};
	it->history = history;
	strcpy(it->path, history->path);
	it->text = malloc(BYTES_MAX);
	for (size_t i = 0; it->text && i < history->n; i++) {
		char line[TRANSITION_LINE];
		size_t length;

		transition_format(&history->kept[i], line);
		length = strlen(line);
		memcpy(it->text + it->size, line, length);
		it->size += length;
	}
	if (!it->text || worker_start(history->worker, &it->job) < 0)
		write_destroy(&it->job);
}

void history_add(struct history *history, const struct transition *transition)
{
	if (history->n == TRANSITIONS_MAX)
		memmove(&history->kept[0], &history->kept[1], --history->n * sizeof(history->kept[0]));
	history->kept[history->n++] = *transition;
	if (worker_busy(history->worker))
		history->more = true;
	else
		write_start(history);
}

static void load(struct history *history)
{
	_cleanup_fclose_ FILE *file = fopen(history->path, "re");
	_cleanup_free_ char *text = malloc(BYTES_MAX + 1);

	if (!file || !text)
		return;
	text[fread(text, 1, BYTES_MAX, file)] = '\0';
	history->n = transitions_parse(text, history->kept);
}

int history_new(const char *path, struct loop *loop, struct history **ret)
{
	struct history *history = calloc(1, sizeof(*history));
	int r;

	if (!history)
		return -ENOMEM;
	snprintf(history->path, sizeof(history->path), "%s", path);
	history->loop = loop;
	load(history);
	r = worker_new("history", &history->worker);
	if (r == 0)
		r = loop_add_worker(loop, history->worker);
	if (r < 0) {
		history_free(history);
		return r;
	}
	*ret = history;
	return 0;
}

void history_free(struct history *history)
{
	if (!history)
		return;
	if (history->worker) {
		loop_del_fd(history->loop, worker_fd(history->worker));
		worker_free(history->worker);
	}
	free(history);
}
