/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what becomes of each transition in the spool, in an order that a power cut can't break: it is
 * turned into a mail before its command is run, so that runs once at most, and its file is removed after the
 * mail was taken, so that arrives once at least; the same mail again has the same Message-ID. Reads the
 * configuration at each look. Called by notify_main.c. */
#include "notify/alert_sender.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "notify/alert_conf.h"
#include "notify/alert_script.h"
#include "notify/mail_plan.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/paths.h"
#include "util/worker.h"

#define IDLE_MS (60 * MONO_SECOND)    /* over the minute that mails are counted in */
#define TROUBLE_MS (30 * MONO_SECOND) /* of broker.conf or the disk: looked at again */

struct alert_sender {
	struct timer timer; /* first: the next look */
	struct loop *loop;
	struct clock_port *clock;
	char folder[PATH_MAX];
	int inotify;
	struct worker *worker;
	struct alert_scripts *scripts;
	struct mail_plan plan;
	struct alert_files files; /* that mail was set up by at the last look */
	bool sending;
	bool bad_conf;		 /* said */
	bool stuck;		 /* said that the disk lets no transition be taken on */
	char said[MAIL_WHY_MAX]; /* why the last mail could not be sent, "" it could */
	mono_t busy_at;		 /* when there was something to do */
	void (*idle)(void *data);
	void *data;
};

struct mail_job {
	struct job job;		     /* first */
	struct alert_sender *sender; /* for done() only */
	struct mail_server server;
	struct mail mail;
	struct spool_entry *entries;
	size_t n;
	int64_t retry_ms;
	int error;
	char why[MAIL_WHY_MAX];
};

static void job_destroy(struct job *base)
{
	struct mail_job *job = (struct mail_job *)base;

	mail_done(&job->mail);
	free(job->entries);
	explicit_bzero(job->server.password, sizeof(job->server.password));
	free(job);
}

static void job_run(struct job *base)
{
	struct mail_job *job = (struct mail_job *)base;

	job->error = mail_send(&job->server, &job->mail, job->why);
}

static void look_at(struct alert_sender *sender, mono_t at)
{
	sender->clock->set(sender->clock, &sender->timer, at);
}

static void look_now(void *data)
{
	struct alert_sender *sender = data;

	look_at(sender, sender->clock->now(sender->clock));
}

/* False: it is still there, said. */
static bool remove_entry(struct alert_sender *sender, const struct spool_entry *entry)
{
	int r = spool_remove(sender->folder, entry->name);

	if (r < 0)
		log_error("%s/%s can't be removed: %s; it will be told of again", sender->folder, entry->name,
			  strerror(-r));
	return r == 0;
}

/* False: the test is still there, said. */
static bool tell_test(struct alert_sender *sender, const struct spool_entry *test, int error,
		      const char *text)
{
	int r = spool_put_result(sender->folder, test, error, text);

	if (r == 0)
		return true;
	log_error("the result of a test alert can't be written: %s", strerror(-r));
	return remove_entry(sender, test);
}

/* Said once, until it is another one or all is well. */
static void mail_failed(struct alert_sender *sender, const char *why, int64_t retry_ms, size_t n)
{
	mail_plan_failed(&sender->plan, retry_ms, sender->clock->now(sender->clock));
	if (strcmp(sender->said, why) != 0)
		log_error("mail of %zu state transitions is not sent, tried again: %s", n, why);
	snprintf(sender->said, sizeof(sender->said), "%s", why);
}

static void job_done(struct job *base)
{
	struct mail_job *job = (struct mail_job *)base;
	struct alert_sender *sender = job->sender;
	mono_t now = sender->clock->now(sender->clock);
	bool gone = true;

	sender->sending = false;
	if (job->entries[0].kind == SPOOL_TEST) {
		gone = tell_test(sender, &job->entries[0], job->error, job->why);
		if (job->error == 0)
			mail_plan_renew(&sender->plan);
	} else if (job->error < 0) {
		mail_failed(sender, job->why, job->retry_ms, job->n);
	} else {
		for (size_t i = 0; i < job->n; i++)
			gone = remove_entry(sender, &job->entries[i]) && gone;
		/* What stays is mailed again, so at the pace of failures. */
		if (gone)
			mail_plan_sent(&sender->plan, now);
		else
			mail_plan_failed(&sender->plan, job->retry_ms, now);
		log_info("mail sent transitions=%zu server=%s", job->n, job->server.host);
		if (job->why[0])
			log_warning("not all receivers get the mail: %s", job->why);
		sender->said[0] = '\0';
	}
	job_destroy(base);
	look_at(sender, gone ? now : mono_add(now, TROUBLE_MS));
}

/* One mail of the entries. 0: it is under way, else -errno with words. */
static int send_mail(struct alert_sender *sender, const struct alert_conf *conf,
		     const struct spool_entry *entries, const struct alert *transitions, size_t n,
		     char why[MAIL_WHY_MAX])
{
	struct mail_job *job;
	int r;

	if (conf->trouble[0]) {
		memcpy(why, conf->trouble, sizeof(conf->trouble));
		return -EACCES;
	}
	job = calloc(1, sizeof(*job));
	if (job)
		job->entries = calloc(n, sizeof(*entries));
	if (!job || !job->entries) {
		free(job);
		snprintf(why, MAIL_WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	job->job = (struct job){.run = job_run, .done = job_done, .destroy = job_destroy};
	job->sender = sender;
	job->server = conf->server;
	job->retry_ms = conf->settings.smtp_retry;
	memcpy(job->entries, entries, n * sizeof(*entries));
	job->n = n;
	snprintf(why, MAIL_WHY_MAX, "out of memory or threads");
	r = mail_compose(conf->text, conf->server.from, conf->server.to, transitions, n,
			 sender->clock->wall(sender->clock), &job->mail, why);
	if (r == 0)
		r = worker_start(sender->worker, &job->job);
	if (r < 0) {
		job_destroy(&job->job);
		return r;
	}
	sender->sending = true;
	return 0;
}

static void try_test(struct alert_sender *sender, const struct alert_conf *conf,
		     const struct spool_entry *test)
{
	struct alert transition;
	char why[MAIL_WHY_MAX];
	int r = spool_read(sender->folder, test->name, &transition);

	if (r < 0) {
		(void)remove_entry(sender, test);
		return;
	}
	r = send_mail(sender, conf, test, &transition, 1, why);
	if (r < 0)
		(void)tell_test(sender, test, r, why);
}

/* A transition that nobody has looked at: it becomes a mail, stays for lack of room, or goes. 0, or -errno:
 * the disk did not let it. */
static int sort_event(struct alert_sender *sender, const struct alert_conf *conf, struct spool_entry *event)
{
	const struct broker_conf *settings = &conf->settings;
	char detail[ALERT_DETAIL_MAX];
	struct alert transition;
	int r;

	if (settings->command[0] && alert_scripts_running(sender->scripts) == ALERT_SCRIPTS_MAX)
		return 0; /* the end of one looks again */
	r = spool_read(sender->folder, event->name, &transition);
	if (r == -EBADMSG)
		log_warning("%s/%s is damaged: it is left out", sender->folder, event->name);
	else if (r < 0)
		return r == -ENOENT ? 0 : r; /* the agent needed its room */
	if (r == 0)
		alert_detail(&transition, detail);
	/* Matched here, not in the agent: some expressions take glibc very long. */
	if (r < 0 || regexec(&conf->match, detail, 0, NULL, 0) != 0)
		return spool_remove(sender->folder, event->name);
	r = spool_turn(sender->folder, event, SPOOL_MAIL);
	if (r == 0 && settings->command[0])
		alert_scripts_run(sender->scripts, settings->command, &transition, settings->command_timeout);
	return r == -ENOENT ? 0 : r;
}

/* The first `*n` mails that can be read and are not too old, at the front of `entries` afterwards. False: one
 * of the others can't be removed. */
static bool read_mails(struct alert_sender *sender, const struct alert_conf *conf,
		       struct spool_entry *entries, struct alert *transitions, size_t *n)
{
	int64_t now = sender->clock->wall(sender->clock), keep = conf->settings.smtp_keep / MONO_SECOND;
	size_t kept = 0, old = 0;
	bool gone = true;

	for (size_t i = 0; i < *n; i++) {
		int r = spool_read(sender->folder, entries[i].name, &transitions[kept]);

		if (r == 0 && now - transitions[kept].wall <= keep) {
			entries[kept++] = entries[i];
			continue;
		}
		old += r == 0;
		if (r < 0)
			log_warning("%s/%s can't be read: it is left out: %s", sender->folder,
				    entries[i].name, strerror(-r));
		gone = remove_entry(sender, &entries[i]) && gone;
	}
	if (old > 0)
		log_error("%zu state transitions could not be mailed for too long and are given up; the "
			  "journal of "
			  "ovirt-ha-agent has them",
			  old);
	*n = kept;
	return gone;
}

static mono_t send_next(struct alert_sender *sender, const struct alert_conf *conf, struct spool_entry *mails,
			size_t pending)
{
	mono_t now = sender->clock->now(sender->clock), wake;
	size_t n = mail_plan_next(&sender->plan, pending, conf->settings.mails_per_minute, now, &wake);
	_cleanup_free_ struct alert *transitions = n > 0 ? calloc(n, sizeof(*transitions)) : NULL;
	char why[MAIL_WHY_MAX];
	bool gone;

	if (n == 0)
		return wake;
	if (!transitions)
		return mono_add(now, TROUBLE_MS);
	gone = read_mails(sender, conf, mails, transitions, &n);
	if (n == 0)
		return gone ? now : mono_add(now, TROUBLE_MS);
	if (send_mail(sender, conf, mails, transitions, n, why) < 0) {
		mail_failed(sender, why, conf->settings.smtp_retry, n);
		return sender->plan.retry_at;
	}
	return MONO_NEVER; /* its end looks again */
}

static void put_in_front(struct spool_entry *entries, size_t n, enum spool_kind kind, size_t *ret)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (entries[i].kind == kind)
			entries[kept++] = entries[i];
	*ret = kept;
}

/* All that can be done now; when to look again. */
static mono_t work(struct alert_sender *sender, const struct alert_conf *conf, struct spool_entry *entries,
		   size_t n)
{
	mono_t again = MONO_NEVER, next;
	size_t mails;
	int error = 0;

	for (size_t i = 0; i < n; i++) {
		int r = 0;

		if (entries[i].kind == SPOOL_TEST && !sender->sending)
			try_test(sender, conf, &entries[i]);
		else if (entries[i].kind == SPOOL_EVENT)
			r = sort_event(sender, conf, &entries[i]);
		error = r < 0 ? r : error;
	}
	if (error < 0 && !sender->stuck)
		log_error(
			"%s: state transitions can't be taken on, tried again: %s; make room, or give it to "
			"the user ovirt-ha",
			sender->folder, strerror(-error));
	sender->stuck = error < 0;
	if (sender->stuck)
		again = mono_add(sender->clock->now(sender->clock), TROUBLE_MS);
	put_in_front(entries, n, SPOOL_MAIL, &mails);
	next = sender->sending ? MONO_NEVER : send_next(sender, conf, entries, mails);
	return next < again ? next : again;
}

/* A wrong broker.conf is said once; who tests is told at once. */
static int load_conf(struct alert_sender *sender, struct alert_conf *conf, const struct spool_entry *entries,
		     size_t n)
{
	struct problems problems = {.say = sender->bad_conf ? NULL : problems_log};
	int r = alert_conf_load(conf, &problems);

	if (r < 0 && !sender->bad_conf)
		log_error("no alert is sent until broker.conf is right again; ovirt-ha-notify -n checks it");
	sender->bad_conf = r < 0;
	for (size_t i = 0; r < 0 && i < n; i++)
		if (entries[i].kind == SPOOL_TEST)
			(void)tell_test(sender, &entries[i], r,
					"broker.conf is wrong; ovirt-ha-notify -n tells where");
	return r;
}

/* By the configuration as it is now; when to look again. */
static mono_t work_on(struct alert_sender *sender, struct alert_conf *conf, struct spool_entry *entries,
		      size_t n)
{
	mono_t next = sender->clock->now(sender->clock);
	int r = load_conf(sender, conf, entries, n);
	/* A mail that is under way has the settings of before: once it has ended the change is taken. */
	bool changed = !sender->sending && alert_files_changed(&sender->files, conf, sender->inotify);

	/* Who has just set mail up is not kept waiting by the failures of before. */
	if (changed)
		mail_plan_renew(&sender->plan);
	if (r < 0)
		return mono_add(next, TROUBLE_MS);
	if (!changed) /* else it is read again: what it was read from may have changed meanwhile */
		next = work(sender, conf, entries, n);
	alert_conf_done(conf);
	explicit_bzero(conf->server.password, sizeof(conf->server.password));
	return next;
}

static void look(struct timer *timer)
{
	struct alert_sender *sender = (struct alert_sender *)timer;
	_cleanup_free_ struct alert_conf *conf = malloc(sizeof(*conf));
	_cleanup_free_ struct spool_entry *entries = NULL;
	mono_t now = sender->clock->now(sender->clock);
	size_t n = 0, waiting = 0;
	int r;

	spool_sweep(sender->folder, sender->clock->wall(sender->clock));
	r = conf ? spool_list(sender->folder, &entries, &n) : -ENOMEM;
	if (r < 0)
		log_error("%s can't be read: %s; give it to the user ovirt-ha", sender->folder, strerror(-r));
	for (size_t i = 0; i < n; i++)
		waiting += entries[i].kind != SPOOL_RESULT;
	if (r < 0 || waiting > 0 || sender->sending || alert_scripts_running(sender->scripts) > 0)
		sender->busy_at = now;
	if (r < 0)
		look_at(sender, mono_add(now, TROUBLE_MS));
	else if (waiting > 0)
		look_at(sender, work_on(sender, conf, entries, n));
	else if (mono_passed(sender->busy_at, IDLE_MS, now))
		sender->idle(sender->data);
	else
		look_at(sender, mono_add(sender->busy_at, IDLE_MS));
}

static void files_changed(int fd, short revents, void *data)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	while (read(fd, events, sizeof(events)) > 0)
		;
	look_now(data);
}

int alert_sender_new(struct loop *loop, void (*idle)(void *data), void *data, struct alert_sender **ret)
{
	struct alert_sender *sender = calloc(1, sizeof(*sender));
	int r;

	if (!sender)
		return -ENOMEM;
	sender->loop = loop;
	sender->clock = loop_clock(loop);
	sender->timer.fire = look;
	sender->idle = idle;
	sender->data = data;
	sender->busy_at = sender->clock->now(sender->clock);
	file_path(FILE_SPOOL, sender->folder);
	sender->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	r = sender->inotify < 0 ||
			    inotify_add_watch(sender->inotify, sender->folder, IN_MOVED_TO | IN_ONLYDIR) < 0
		    ? -errno
		    : loop_add_fd(loop, sender->inotify, POLLIN, files_changed, sender);
	if (r == 0)
		r = worker_new("mail", &sender->worker);
	if (r == 0)
		r = loop_add_worker(loop, sender->worker);
	if (r == 0)
		r = alert_scripts_new(loop, look_now, sender, &sender->scripts);
	if (r < 0) {
		alert_sender_free(sender);
		return r;
	}
	look_now(sender);
	*ret = sender;
	return 0;
}

void alert_sender_free(struct alert_sender *sender)
{
	if (!sender)
		return;
	sender->clock->cancel(sender->clock, &sender->timer);
	if (sender->inotify >= 0) {
		loop_del_fd(sender->loop, sender->inotify);
		close(sender->inotify);
	}
	if (sender->worker) {
		loop_del_fd(sender->loop, worker_fd(sender->worker));
		worker_free(sender->worker);
	}
	alert_scripts_free(sender->scripts);
	free(sender);
}
