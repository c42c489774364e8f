/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The copies of the shared configuration, from a conf volume in a file: brought, kept when the volume is not
 * to be had, changed with it, touched while they are up to date. */
#include "broker/conf_refresh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "util/cleanup.h"

#define WAIT_MS 5000

static struct {
	char dir[64];
	struct conf_refresh_config config;
	struct loop *loop;
	struct conf_refresh *refresh;
	struct timer look;
	mono_t until;
	bool (*holds)(void);
	char broker[256]; /* the text that was told last */
	unsigned told;
} t;

static void put(const char *path, const void *data, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
}

static void get(const char *path, char ret[256])
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	ret[file ? fread(ret, 1, 255, file) : 0] = '\0';
}

static void put_volume(const char *broker, const char *vm)
{
	_cleanup_free_ uint8_t *packed = NULL;
	struct conf_archive archive = {0};
	size_t size;

	assert_int_equal(conf_archive_set(&archive, CONF_ENTRY_BROKER, broker, strlen(broker)), 0);
	assert_int_equal(conf_archive_set(&archive, CONF_ENTRY_VM, vm, strlen(vm)), 0);
	assert_int_equal(conf_archive_pack(&archive, &packed, &size), 0);
	conf_archive_done(&archive);
	put(t.config.volume.path, packed, size);
}

static void changed(void *data, const char *text, size_t length)
{
	assert_ptr_equal(data, &t);
	assert_true(length < sizeof(t.broker));
	memcpy(t.broker, text, length);
	t.broker[length] = '\0';
	t.told++;
}

static void look(struct timer *timer)
{
	struct clock_port *clock = loop_clock(t.loop);

	if (t.holds() || clock->now(clock) > t.until)
		loop_stop(t.loop);
	else
		clock->set(clock, timer, clock->now(clock) + 10);
}

static void wait_for(bool (*holds)(void))
{
	struct clock_port *clock = loop_clock(t.loop);

	t.holds = holds;
	t.until = clock->now(clock) + WAIT_MS;
	t.look.fire = look;
	look(&t.look);
	assert_int_equal(loop_run(t.loop), 0);
	assert_true(holds());
}

static bool vm_is(const char *want)
{
	char text[256];

	get(t.config.vm_conf, text);
	return strcmp(text, want) == 0;
}

static bool first_is_here(void)
{
	char text[256];

	get(t.config.broker_conf, text);
	return vm_is("<one/>") && strcmp(text, "[email]\n") == 0;
}

static bool second_is_here(void)
{
	return vm_is("<two/>");
}

static mono_t touched(void)
{
	struct stat st;

	return stat(t.config.vm_conf, &st) < 0
		       ? 0
		       : (mono_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

static mono_t touched_before;

static bool touched_again(void)
{
	return touched() > touched_before;
}

static bool time_over(void)
{
	struct clock_port *clock = loop_clock(t.loop);

	return clock->now(clock) > t.until - WAIT_MS + 300;
}

static int setup(void **state)
{
	memset(&t, 0, sizeof(t));
	strcpy(t.dir, "/tmp/conf_refresh.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.config.volume.path, sizeof(t.config.volume.path), "%s/volume", t.dir);
	snprintf(t.config.vm_conf, sizeof(t.config.vm_conf), "%s/vm.conf", t.dir);
	snprintf(t.config.broker_conf, sizeof(t.config.broker_conf), "%s/broker.conf", t.dir);
	t.config.period_ms = 50;
	t.config.io_ms = 5000;
	t.config.changed = changed;
	t.config.data = &t;
	put_volume("[email]\n", "<one/>");
	assert_int_equal(loop_new(&t.loop), 0);
	assert_int_equal(conf_refresh_new(&t.config, t.loop, &t.refresh), 0);
	return 0;
}

static int teardown(void **state)
{
	conf_refresh_free(t.refresh);
	loop_free(t.loop);
	unlink(t.config.volume.path);
	unlink(t.config.vm_conf);
	unlink(t.config.broker_conf);
	return rmdir(t.dir);
}

static void test_follows_the_volume(void **state)
{
	wait_for(first_is_here);
	assert_int_equal(t.told, 1);
	assert_string_equal(t.broker, "[email]\n");
	touched_before = touched();
	wait_for(touched_again);
	put_volume("[notify]\n", "<two/>");
	wait_for(second_is_here);
	assert_string_equal(t.broker, "[notify]\n");
	/* told once for each, and written once */
	assert_int_equal(t.told, 2);
	/* who removes the copy gets it back */
	assert_int_equal(unlink(t.config.vm_conf), 0);
	wait_for(second_is_here);
	assert_int_equal(t.told, 2);
}

/* The copies stay, and show that they are not up to date. */
static void test_volume_away(void **state)
{
	static const char noise[8192] = "no tar";

	wait_for(first_is_here);
	put(t.config.volume.path, noise, sizeof(noise));
	wait_for(time_over);
	touched_before = touched();
	wait_for(time_over);
	assert_true(first_is_here() && !touched_again());
	put_volume("[notify]\n", "<two/>");
	wait_for(second_is_here);
}

/* A volume whose vm.conf is empty takes none away. */
static void test_no_vm(void **state)
{
	wait_for(first_is_here);
	touched_before = touched();
	put_volume("[notify]\n", "");
	wait_for(time_over);
	assert_string_equal(t.broker, "[notify]\n");
	assert_true(vm_is("<one/>"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_follows_the_volume, setup, teardown),
		cmocka_unit_test_setup_teardown(test_volume_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_vm, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
