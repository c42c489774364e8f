/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's own files on a real loop and a real directory: maintenance is set durably and without loss,
 * tries are saved and read back, a VM's configuration that can't be started is seen. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/domain_file.h"
#include "daemon/local_files.h"
#include "util/clock.h"
#include "util/loop.h"

#define UUID "11111111-2222-4333-8444-00000000000a"
#define XML "<domain><name>e</name><uuid>" UUID "</uuid><memory unit='MiB'>96</memory><devices/></domain>"

static struct {
	char folder[64];
	struct local_files_config config;
	struct loop *loop;
	struct local_port *port;
	struct local_view view;
	unsigned seen, set;
	int error;
	char why[512];
	struct timer limit;
} t;

/* The disk under the VM's configuration: it may hang. */
static atomic_bool hangs;
static atomic_uint read_ends;

int __real_domain_file_prepare(const char *path, const char *uuid, const struct domain_lease *lease,
			       char **ret, int32_t *ret_memory_mib, char why[DOMAIN_WHY_MAX]);
int __wrap_domain_file_prepare(const char *path, const char *uuid, const struct domain_lease *lease,
			       char **ret, int32_t *ret_memory_mib, char why[DOMAIN_WHY_MAX]);

int __wrap_domain_file_prepare(const char *path, const char *uuid, const struct domain_lease *lease,
			       char **ret, int32_t *ret_memory_mib, char why[DOMAIN_WHY_MAX])
{
	int r;

	while (atomic_load(&hangs))
		poll(NULL, 0, 5);
	r = __real_domain_file_prepare(path, uuid, lease, ret, ret_memory_mib, why);
	atomic_fetch_add(&read_ends, 1);
	return r;
}

static void on_seen(void *data, const struct local_view *view)
{
	t.view = *view;
	t.seen++;
	if (t.set == 0 || t.error < 0)
		loop_stop(t.loop);
}

static void on_set(void *data, int error, const char *why)
{
	snprintf(t.why, sizeof(t.why), "%s", why);
	t.error = error;
	t.set++;
	loop_stop(t.loop);
}

static void too_late(struct timer *timer)
{
	fail_msg("no answer within 10 s");
}

static void run(void)
{
	struct clock_port *clock = loop_clock(t.loop);

	t.limit.fire = too_late;
	clock->set(clock, &t.limit, mono_add(clock->now(clock), 10 * MONO_SECOND));
	assert_int_equal(loop_run(t.loop), 0);
	clock->cancel(clock, &t.limit);
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void get(const char *path, char text[1024])
{
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	text[fread(text, 1, 1023, file)] = '\0';
	fclose(file);
}

static void port_open(void)
{
	assert_int_equal(local_files_new(&t.config, t.loop, &t.port), 0);
	t.port->seen = on_seen;
	t.port->maintenance_set = on_set;
}

static int setup(void **state)
{
	memset(&t, 0, sizeof(t));
	strcpy(t.folder, "/tmp/local_files.XXXXXX");
	assert_non_null(mkdtemp(t.folder));
	snprintf(t.config.ha_conf, sizeof(t.config.ha_conf), "%s/ha.conf", t.folder);
	snprintf(t.config.state, sizeof(t.config.state), "%s/agent-state", t.folder);
	snprintf(t.config.vm_xml, sizeof(t.config.vm_xml), "%s/vm.xml", t.folder);
	strcpy(t.config.uuid, UUID);
	strcpy(t.config.lockspace, "hosted-engine");
	strcpy(t.config.lease_name, "engine");
	strcpy(t.config.lease_path, "/srv/leases");
	t.config.limit_ms = 10000;
	put(t.config.vm_xml, XML);
	assert_int_equal(loop_new(&t.loop), 0);
	port_open();
	return 0;
}

static int teardown(void **state)
{
	t.port->close(t.port);
	loop_free(t.loop);
	/* A thread that was given up may write what it was asked even now. */
	for (int tries = 0; tries < 100; tries++) {
		unlink(t.config.ha_conf);
		unlink(t.config.state);
		unlink(t.config.vm_xml);
		if (rmdir(t.folder) == 0)
			return 0;
		poll(NULL, 0, 20);
	}
	return -1;
}

static void look(void)
{
	unsigned before = t.seen;

	t.port->look(t.port);
	run();
	assert_int_equal(t.seen, before + 1);
}

static void test_nothing_there(void **state)
{
	look();
	assert_true(t.view.ha_known);
	assert_false(t.view.maintenance_management || t.view.maintenance_operator);
	assert_true(t.view.vm_config_good);
	assert_int_equal(t.view.vm_memory_mib, 96);
}

/* A copy that nobody touches any more is outdated; it can be started from all the same. */
static void test_outdated_copy(void **state)
{
	static const struct {
		int64_t limit_s, age_s;
		bool good;
	} rows[] = {{0, 1000, true}, {60, 0, true}, {60, 50, true}, {60, 70, false}, {60, -70, false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct timespec when = {.tv_sec = clock_wall() - rows[i].age_s};

		t.port->close(t.port);
		t.config.vm_age_s = rows[i].limit_s;
		port_open();
		assert_int_equal(utimensat(AT_FDCWD, t.config.vm_xml, (struct timespec[]){when, when}, 0), 0);
		look();
		if (t.view.vm_config_good != rows[i].good)
			fail_msg("row %zu: good=%d", i, t.view.vm_config_good);
		assert_true(t.view.vm_known);
		assert_int_equal(t.view.vm_memory_mib, 96);
	}
}

static void test_sets_the_operators_key_alone(void **state)
{
	char text[1024];

	put(t.config.ha_conf, "# mine\nlocal_maintenance=True\nother=1\n");
	assert_int_equal(t.port->set_maintenance(t.port, true), 0);
	assert_int_equal(t.port->set_maintenance(t.port, true), -EBUSY);
	while (t.set == 0)
		run();
	assert_int_equal(t.error, 0);
	assert_true(t.view.maintenance_operator && t.view.maintenance_management);
	get(t.config.ha_conf, text);
	assert_non_null(strstr(text, "# mine\n"));
	assert_non_null(strstr(text, "other=1\n"));
	assert_non_null(strstr(text, "local_maintenance_manual=True\n"));
	t.set = 0;
	assert_int_equal(t.port->set_maintenance(t.port, false), 0);
	while (t.set == 0)
		run();
	assert_false(t.view.maintenance_operator);
	assert_true(t.view.maintenance_management);
}

static void test_noise_is_not_overwritten(void **state)
{
	char text[1024];

	put(t.config.ha_conf, "#\nlocal_maintenance=perhaps\n");
	look();
	assert_false(t.view.ha_known);
	assert_int_equal(t.port->set_maintenance(t.port, true), 0);
	while (t.set == 0)
		run();
	assert_true(t.error < 0);
	assert_non_null(strstr(t.why, t.config.ha_conf));
	assert_non_null(strstr(t.why, ":2: local_maintenance=perhaps"));
	assert_non_null(strstr(t.why, "remove the file"));
	get(t.config.ha_conf, text);
	assert_string_equal(text, "#\nlocal_maintenance=perhaps\n");
}

static void test_bad_vm_configuration(void **state)
{
	static const char *const bad[] = {"", "<domain/>",
					  "<domain><name>e</name><uuid>other</uuid><devices/></domain>"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(t.config.vm_xml, bad[i]);
		look();
		assert_false(t.view.vm_config_good);
	}
	unlink(t.config.vm_xml);
	look();
	assert_false(t.view.vm_config_good);
	/* A FIFO would hold a reader for ever. */
	assert_int_equal(mkfifo(t.config.vm_xml, 0600), 0);
	look();
	assert_false(t.view.vm_config_good);
	unlink(t.config.vm_xml);
	put(t.config.vm_xml, XML);
	look();
	assert_true(t.view.vm_config_good);
}

static void limit(int64_t ms)
{
	t.port->close(t.port);
	t.config.limit_ms = ms;
	port_open();
}

static void wait_read_ends(unsigned n)
{
	for (int i = 0; i < 1000 && atomic_load(&read_ends) < n; i++)
		poll(NULL, 0, 5);
	assert_true(atomic_load(&read_ends) >= n);
}

/* What hangs is given up in its time, at once where that is over, and nothing is known of it; then all goes
 * on. */
static void test_hangs(void **state)
{
	static const int64_t limits[] = {0, 50};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		unsigned ends = atomic_load(&read_ends);
		mono_t begun = loop_clock(t.loop)->now(loop_clock(t.loop));

		limit(limits[i]);
		atomic_store(&hangs, true);
		look();
		assert_in_range(loop_clock(t.loop)->now(loop_clock(t.loop)) - begun, limits[i], 2000);
		assert_false(t.view.ha_known || t.view.vm_config_good);
		t.set = 0;
		assert_int_equal(t.port->set_maintenance(t.port, true), 0);
		while (t.set == 0)
			run();
		assert_int_equal(t.error, -ETIMEDOUT);
		atomic_store(&hangs, false);
		wait_read_ends(ends + 2);
		t.set = 0;
		limit(10000);
		look();
		assert_true(t.view.ha_known && t.view.vm_config_good);
	}
}

/* A call that ends while its deadline passes has ended, and the next one is not late in its place. */
static void test_ends_with_its_deadline(void **state)
{
	unsigned ends = atomic_load(&read_ends);

	limit(100);
	atomic_store(&hangs, true);
	t.port->look(t.port);
	assert_int_equal(t.port->set_maintenance(t.port, true), 0);
	poll(NULL, 0, 150); /* the loop hears of the deadline first, */
	atomic_store(&hangs, false);
	wait_read_ends(ends + 1);
	poll(NULL, 0, 50); /* then of the end */
	run();
	assert_true(t.seen > 0 && t.view.ha_known && t.view.vm_config_good);
	while (t.set == 0)
		run();
	assert_int_equal(t.error, 0);
	assert_true(t.view.maintenance_operator);
}

/* `told`: what is logged meanwhile. */
static void load(struct saved *ret, char told[1024])
{
	FILE *file = tmpfile();
	int before = dup(2);

	assert_non_null(file);
	assert_true(before >= 0 && dup2(fileno(file), 2) >= 0);
	local_files_load(t.config.state, ret);
	fflush(stderr);
	assert_true(dup2(before, 2) >= 0);
	close(before);
	rewind(file);
	told[fread(told, 1, 1023, file)] = '\0';
	fclose(file);
}

static void test_saves_and_loads(void **state)
{
	const struct saved saved = {.failed_tries = 3, .last_failed_wall = 1700000000};
	struct saved read = {0};
	char told[1024];

	load(&read, told);
	assert_int_equal(read.failed_tries, 0);
	assert_string_equal(told, ""); /* no file: nothing was saved yet */
	t.port->save(t.port, &saved);
	look(); /* comes after it */
	local_files_load(t.config.state, &read);
	assert_int_equal(read.failed_tries, 3);
	assert_int_equal(read.last_failed_wall, 1700000000);
}

static void test_noise_in_the_state(void **state)
{
	static const char *const noise[] = {"failed_tries=3\n",
					    "failed_tries=-1\nlast_failed=1\n",
					    "failed_tries=4294967296\nlast_failed=1\n",
					    "failed_tries=3x\nlast_failed=1\n",
					    "failed_tries=3\nlast_failed=9223372036854775807\n",
					    "\x01\x02"};

	for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++) {
		struct saved read = {.failed_tries = 77};
		char told[1024];

		put(t.config.state, noise[i]);
		load(&read, told);
		assert_int_equal(read.failed_tries, 0);
		if (!strstr(told, t.config.state) || !strstr(told, "are forgotten"))
			fail_msg("%s: logged: %s", noise[i], told);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outdated_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sets_the_operators_key_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noise_is_not_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_vm_configuration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_with_its_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_saves_and_loads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noise_in_the_state, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
