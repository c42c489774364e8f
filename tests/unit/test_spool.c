/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The spool on a real folder: order, room, one file cut at each byte, what dead writers left; and the agent's
 * end of it, whose disk refuses at first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/spool_writer.h"
#include "notify/spool.h"
#include "util/clock.h"

static char folder[64];

static int set_up(void **state)
{
	strcpy(folder, "/tmp/ovirt-ha-spool-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static struct alert sample(uint64_t sequence)
{
	struct alert t = {.sequence = sequence,
			  .wall = 1000,
			  .host = "h=1 \xc3\xa9",
			  .from = "EngineDown",
			  .to = "EngineStart",
			  .reason = "best-score",
			  .score = -5};

	return t;
}

static size_t count(enum spool_kind kind)
{
	struct spool_entry *entries;
	size_t n, found = 0;

	assert_int_equal(spool_list(folder, &entries, &n), 0);
	for (size_t i = 0; i < n; i++)
		found += entries[i].kind == kind;
	free(entries);
	return found;
}

static void test_round(void **state)
{
	struct alert t = sample(7), other = sample(7), early = sample(2), got;
	struct spool_entry *entries;
	char detail[ALERT_DETAIL_MAX];
	size_t n, dropped = 9;

	assert_int_equal(spool_put(folder, SPOOL_EVENT, &t, &dropped), 0);
	assert_int_equal(dropped, 0);
	/* A sequence that is taken: the clock went back, or the agent was restarted at once. */
	assert_int_equal(spool_put(folder, SPOOL_EVENT, &other, NULL), 0);
	assert_int_equal(other.sequence, 8);
	assert_int_equal(spool_put(folder, SPOOL_TEST, &early, NULL), 0);
	assert_int_equal(spool_list(folder, &entries, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(entries[0].sequence, 2);
	assert_int_equal(entries[0].kind, SPOOL_TEST);
	assert_string_equal(entries[2].name, "00000000000000000008.event");
	assert_int_equal(spool_read(folder, entries[1].name, &got), 0);
	assert_memory_equal(&got.wall, &t.wall, sizeof(t.wall));
	assert_string_equal(got.host, t.host);
	assert_int_equal(got.score, -5);
	assert_int_equal(got.sequence, 7);
	alert_detail(&got, detail);
	assert_string_equal(detail, "EngineDown-EngineStart");

	assert_int_equal(spool_turn(folder, &entries[1], SPOOL_MAIL), 0);
	assert_string_equal(entries[1].name, "00000000000000000007.mail");
	assert_int_equal(count(SPOOL_MAIL), 1);
	assert_int_equal(spool_remove(folder, entries[1].name), 0);
	assert_int_equal(spool_remove(folder, entries[1].name), 0);
	assert_int_equal(count(SPOOL_MAIL), 0);
	free(entries);
}

static void test_cut_at_each_byte(void **state)
{
	struct alert t = sample(1), got;
	char path[128], text[512];
	ssize_t size;
	int fd;

	assert_int_equal(spool_put(folder, SPOOL_EVENT, &t, NULL), 0);
	snprintf(path, sizeof(path), "%s/00000000000000000001.event", folder);
	fd = open(path, O_RDWR);
	size = read(fd, text, sizeof(text));
	assert_true(size > 50);
	/* Without its last newline it is whole still. */
	for (ssize_t cut = size - 2; cut >= 0; cut--) {
		assert_int_equal(ftruncate(fd, cut), 0);
		assert_int_equal(spool_read(folder, "00000000000000000001.event", &got), -EBADMSG);
	}
	close(fd);
}

static void put_file(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

#define NAME_TOO_LONG "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void test_damaged(void **state)
{
	static const char *const texts[] = {
		"time=1\nhost=h\nfrom=A\\nB\nto=B\nreason=r\nscore=1\nwhole=yes\n",
		"time=1\nhost=h\nfrom=A\nto=B C\nreason=r\nscore=1\nwhole=yes\n",
		"time=1\nhost=h\nfrom=A\nto=B\nreason=r\nscore=99999999999\nwhole=yes\n",
		"time=x\nhost=h\nfrom=A\nto=B\nreason=r\nscore=1\nwhole=yes\n",
		"time=1\nhost=h\nfrom=A\nto=B\nreason=r\nscore=1\nwhole=no\n",
		"time=1\nhost=h\nfrom=" NAME_TOO_LONG "\nto=B\nreason=r\nscore=1\nwhole=yes\n",
	};
	static const char *const names[] = {
		"1.event",
		"00000000000000000001.event.aBcDeF",
		"00000000000000000001.other",
		"99999999999999999999.event",
		".event",
	};
	struct spool_entry *entries;
	struct alert got;
	size_t n;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put_file("00000000000000000001.event", texts[i]);
		assert_int_equal(spool_read(folder, "00000000000000000001.event", &got), -EBADMSG);
	}
	assert_int_equal(spool_remove(folder, "00000000000000000001.event"), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put_file(names[i], "");
	assert_int_equal(spool_list(folder, &entries, &n), 0);
	assert_int_equal(n, 0);
	free(entries);

	/* Not before a minute: a writer may be at work. */
	spool_sweep(folder, clock_wall());
	put_file("00000000000000000002.event", "");
	put_file("00000000000000000003.result", "");
	spool_sweep(folder, clock_wall() + 62);
	assert_int_equal(count(SPOOL_EVENT), 1);
	assert_int_equal(count(SPOOL_RESULT), 0);
	assert_int_equal(spool_remove(folder, "00000000000000000002.event"), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(spool_list(folder, &entries, &n), 0); /* that is not there */
	assert_int_equal(n, 0);
	assert_int_equal(mkdir(folder, 0700), 0);
}

static void test_room(void **state)
{
	struct alert t = sample(0);
	size_t dropped = 0;
	char name[128];

	for (unsigned i = 0; i < SPOOL_MAX; i++) {
		snprintf(name, sizeof(name), "%020u.%s", i + 100, i % 2 ? "event" : "mail");
		put_file(name, "");
	}
	t.sequence = 5000;
	assert_int_equal(spool_put(folder, SPOOL_EVENT, &t, &dropped), 0);
	assert_int_equal(dropped, 1);
	assert_int_equal(count(SPOOL_EVENT) + count(SPOOL_MAIL), SPOOL_MAX);
	snprintf(name, sizeof(name), "%s/00000000000000000100.mail", folder);
	assert_int_equal(access(name, F_OK), -1);

	/* A test alert pushes nobody out, and is seen behind all that a server which is away has left; what
	 * is too many is not. */
	t.sequence = 9000;
	assert_int_equal(spool_put(folder, SPOOL_TEST, &t, &dropped), 0);
	assert_int_equal(dropped, 0);
	put_file("00000000000000009001.event", "");
	assert_int_equal(count(SPOOL_TEST), 1);
	assert_int_equal(count(SPOOL_EVENT) + count(SPOOL_MAIL), SPOOL_MAX);
}

static void test_result(void **state)
{
	struct spool_entry test = {.name = "00000000000000000004.test", .sequence = 4, .kind = SPOOL_TEST};
	struct alert t = sample(4);
	char text[32];
	int error;

	assert_int_equal(spool_put(folder, SPOOL_TEST, &t, NULL), 0);
	assert_int_equal(spool_take_result(folder, 4, &error, text, sizeof(text)), -ENOENT);
	assert_int_equal(spool_put_result(folder, &test, -EACCES, "refused = so"), 0);
	assert_int_equal(count(SPOOL_TEST), 0);
	assert_int_equal(spool_take_result(folder, 4, &error, text, sizeof(text)), 0);
	assert_int_equal(error, -EACCES);
	assert_string_equal(text, "refused = so");
	assert_int_equal(count(SPOOL_RESULT), 0);
}

struct look {
	struct timer timer; /* first */
	struct loop *loop;
	size_t wanted;
	mono_t until;
};

static void look(struct timer *timer)
{
	struct look *l = (struct look *)timer;

	if (count(SPOOL_EVENT) >= l->wanted || clock_mono() > l->until)
		loop_stop(l->loop);
	else
		loop_clock(l->loop)->set(loop_clock(l->loop), timer, clock_mono() + 20);
}

static void run_until(struct loop *loop, size_t wanted, int64_t ms)
{
	struct look l = {{.fire = look}, loop, wanted, clock_mono() + ms};

	loop_clock(loop)->set(loop_clock(loop), &l.timer, clock_mono());
	assert_int_equal(loop_run(loop), 0);
}

static void test_writer(void **state)
{
	struct spool_writer *writer;
	struct spool_entry *entries;
	struct alert got;
	struct loop *loop;
	size_t n;

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(spool_writer_new(folder, "h1", loop, &writer), 0);
	assert_int_equal(rmdir(folder), 0);
	/* Nowhere to write: as many as there is room for wait, the newest. */
	for (int i = 0; i < 2 * SPOOL_QUEUE_MAX; i++)
		spool_writer_put(writer, STATE_ENGINE_DOWN, STATE_ENGINE_START, REASON_BEST_SCORE, i);
	run_until(loop, 1, 300);
	assert_int_equal(count(SPOOL_EVENT), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	run_until(loop, SPOOL_QUEUE_MAX, 10000);
	assert_int_equal(spool_list(folder, &entries, &n), 0);
	assert_int_equal(n, SPOOL_QUEUE_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(spool_read(folder, entries[i].name, &got), 0);
		assert_int_equal(got.score, SPOOL_QUEUE_MAX + i);
		assert_string_equal(got.to, "EngineStart");
		assert_string_equal(got.reason, "best-score");
		assert_int_equal(spool_remove(folder, entries[i].name), 0);
	}
	free(entries);
	/* The last one before the end is written, too. */
	spool_writer_put(writer, STATE_ENGINE_DOWN, STATE_AGENT_STOPPED, REASON_STOP_WANTED, 0);
	spool_writer_free(writer);
	assert_int_equal(count(SPOOL_EVENT), 1);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut_at_each_byte, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_result, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_writer, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
