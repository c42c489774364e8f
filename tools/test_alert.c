/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --test-alert: puts a test into the spool, as the agent puts its transitions, and shows what became of it.
 * Decides how long to wait for whom. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "broker/broker_conf.h"
#include "notify/spool.h"
#include "tools/commands.h"
#include "tools/json_text.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/paths.h"

#define START_MS 10000 /* systemd and the sender's first look */
#define DETAIL_SIZE (PATH_MAX + 2048)

/* 0 with the result, -ETIMEDOUT after `ms`. */
static int wait_result(const char *folder, uint64_t sequence, int64_t ms, int *ret_error, char *ret_text,
		       size_t size)
{
	_cleanup_close_ int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	mono_t end = clock_mono() + ms;
	char events[4096];

	if (fd < 0 || inotify_add_watch(fd, folder, IN_MOVED_TO) < 0)
		return -errno;
	for (;;) {
		int r = spool_take_result(folder, sequence, ret_error, ret_text, size);
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		mono_t now = clock_mono();

		if (r != -ENOENT)
			return r;
		if (now >= end)
			return -ETIMEDOUT;
		if (poll(&wait, 1, (int)(end - now)) > 0)
			while (read(fd, events, sizeof(events)) > 0)
				;
	}
}

static void withdraw(const char *folder, uint64_t sequence)
{
	_cleanup_free_ struct spool_entry *entries = NULL;
	size_t n = 0;

	if (spool_list(folder, &entries, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (entries[i].sequence == sequence && entries[i].kind == SPOOL_TEST)
			(void)spool_remove(folder, entries[i].name);
}

/* 1: the server has taken it; 0: it has not; -1: it was not asked. `detail`: why not, or who does not get it.
 */
static int try_mail(const struct broker_conf *conf, char detail[DETAIL_SIZE])
{
	struct alert test = {.wall = clock_wall(), .from = "Test", .to = "Alert", .reason = "test-alert"};
	char folder[PATH_MAX], text[2048] = "";
	int r, error = 0;

	file_path(FILE_SPOOL, folder);
	if (gethostname(test.host, sizeof(test.host) - 1) < 0)
		strcpy(test.host, "localhost");
	test.sequence = (uint64_t)test.wall * 1000;
	r = spool_put(folder, SPOOL_TEST, &test, NULL);
	if (r < 0) {
		snprintf(detail, DETAIL_SIZE, "%s: %s; %s", folder, strerror(-r),
			 r == -EACCES ? "this needs root" : "ovirt-ha-agent makes the folder when it starts");
		return -1;
	}
	/* A mail that is under way may take its time first. */
	r = wait_result(folder, test.sequence, START_MS + 2000 * (int64_t)conf->smtp_timeout_s, &error, text,
			sizeof(text));
	if (r == -ETIMEDOUT) {
		withdraw(folder, test.sequence);
		snprintf(detail, DETAIL_SIZE,
			 "ovirt-ha-notify did not take the test alert; see `systemctl status "
			 "ovirt-ha-notify.path "
			 "ovirt-ha-notify.service`");
		return -1;
	}
	snprintf(detail, DETAIL_SIZE, "%s%s",
		 r < 0 || error < 0 ? "The test alert was not sent: "
		 : text[0]	    ? "Not all receivers get it: "
				    : "",
		 r < 0 ? strerror(-r) : text);
	return r < 0 ? -1 : error == 0;
}

int command_run_test_alert(const struct invocation *call)
{
	struct problems problems = {.say = problems_print, .data = stderr};
	char path[PATH_MAX], copy[PATH_MAX], detail[DETAIL_SIZE] = "";
	_cleanup_free_ struct broker_conf *conf = calloc(1, sizeof(*conf));
	bool json = invocation_value(call, "json");
	int taken = -1, code;

	if (!conf)
		return 1;
	if (broker_conf_load_both(file_path(FILE_BROKER_CONF, path), file_path(FILE_SHARED_BROKER_CONF, copy),
				  conf, &problems) == 0) {
		taken = try_mail(conf, detail);
	} else {
		*conf = (struct broker_conf){0};
		strcpy(detail, "No alert is sent until broker.conf is right");
	}
	code = taken != 1 || detail[0];
	if (json)
		code = json_answer(json_pack("{s:o, s:o, s:o, s:o}", "taken", json_known(taken), "server",
					     json_detail(conf->smtp_server), "receivers",
					     json_detail(conf->destination_emails), "detail",
					     json_detail(detail)),
				   code);
	else if (taken == 1)
		printf("The mail server %s has taken the test alert for %s\n", conf->smtp_server,
		       conf->destination_emails);
	if (detail[0])
		fprintf(stderr, "%s\n", detail);
	return code;
}
