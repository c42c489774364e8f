/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what sanlock's answers mean to the guard, and when its exact word has to be asked. It reads the
 * daemon's memory alone, never storage. Called in the guard's worker thread. */
#include "daemon/guard_watch.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_resource.h>

#include "lockspace/sanlock_status.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define STATUS_MS 2000

static enum guard_word word_of_connection(int r)
{
	return r == -ECONNREFUSED || r == -ENOENT ? WORD_GONE : WORD_SILENT;
}

/* get_hosts says -ENOENT of a lockspace that is not joined, but also of a socket that is not there while a
 * daemon may live. Only a list that came from the daemon and has not ours proves anything. */
static enum guard_word word_of_absence(const char *lockspace)
{
	_cleanup_free_ struct sanlk_lockspace *list = NULL;
	int count = 0;
	int r = sanlock_get_lockspaces(&list, &count, 0);

	if (r < 0)
		return word_of_connection(r);
	for (int i = 0; i < count; i++)
		if (strncmp(list[i].name, lockspace, SANLK_NAME_LEN) == 0 && list[i].flags == 0)
			return WORD_SILENT; /* joined this moment: the next question tells */
	return WORD_OUT;
}

static void ask_hosts(struct guard_question *q)
{
	_cleanup_free_ struct sanlk_host *hosts = NULL;
	int count = 0;
	int r = sanlock_get_hosts(q->lockspace, q->host_id, &hosts, &count, 0);

	if (r == -ENOENT) {
		q->word = word_of_absence(q->lockspace);
	} else if (r == -EAGAIN) {
		q->word = WORD_JOINED; /* and its first renewal is not read back yet */
	} else if (r < 0) {
		q->word = word_of_connection(r);
		q->error = r;
	} else {
		q->word = WORD_JOINED;
		if (count == 1 && hosts[0].timestamp > 0) {
			q->renewed = (mono_t)hosts[0].timestamp * MONO_SECOND;
			q->renewed_io_timeout_s = hosts[0].io_timeout;
		}
	}
}

static void ask_status(struct guard_question *q)
{
	struct sanlock_status status;

	if (sanlock_status_read(q->lockspace, STATUS_MS, &status) < 0)
		return;
	q->use_watchdog = status.use_watchdog;
	if (q->word == WORD_JOINED && status.last_renewal_s >= 0 &&
	    status.last_renewal_s * MONO_SECOND > q->renewed)
		q->renewed = status.last_renewal_s * MONO_SECOND;
}

/* Is what is known too old to go on without a process that asks for more? */
static bool status_needed(const struct guard_question *q)
{
	uint32_t io_timeout_s = q->renewed_io_timeout_s ? q->renewed_io_timeout_s : q->io_timeout_s;
	mono_t known = q->renewed > q->known ? q->renewed : q->known;

	return q->ask_watchdog || (q->word == WORD_JOINED && q->known != MONO_NEVER &&
				   clock_mono() >= guard_doubtful_from(known, io_timeout_s));
}

/* Joined as before: the renewal in it can only put the deadline off, and is taken in before that is judged.
 */
static bool brings_no_news(const struct guard_question *q)
{
	return q->joined && q->word == WORD_JOINED && q->connection < 0 && q->use_watchdog < 0;
}

static void run(struct job *job)
{
	struct guard_question *q = (struct guard_question *)job;

	/* A registered connection holds no lease and costs sanlock one slot. */
	if (q->connect) {
		int r = sanlock_register();

		if (r < 0) {
			q->word = word_of_connection(r);
			q->error = r;
			return;
		}
		q->connection = r;
	}
	ask_hosts(q);
	if (status_needed(q))
		ask_status(q);
	q->job.quiet = brings_no_news(q);
}

static void destroy(struct job *job)
{
	struct guard_question *q = (struct guard_question *)job;

	if (q->connection >= 0)
		close(q->connection);
	free(q);
}

struct guard_question *guard_question_new(void)
{
	struct guard_question *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->job.run = run;
	q->job.destroy = destroy;
	q->word = WORD_SILENT;
	q->renewed = MONO_UNSET;
	q->use_watchdog = -1;
	q->connection = -1;
	return q;
}

int guard_leave(const char *lockspace, uint16_t host_id)
{
	_cleanup_free_ struct sanlk_lockspace *list = NULL;
	int count = 0;
	int r = sanlock_get_lockspaces(&list, &count, 0);

	if (r < 0)
		return r == -ECONNREFUSED || r == -ENOENT ? 0 : r;
	for (int i = 0; i < count; i++) {
		if (list[i].host_id != host_id || strncmp(list[i].name, lockspace, sizeof(list[i].name)) != 0)
			continue;
		/* Safety rule 7: without UNUSED sanlock would kill holders. */
		r = sanlock_rem_lockspace(&list[i], SANLK_REM_UNUSED);
		return r == -ENOENT ? 0 : r;
	}
	return 0;
}
