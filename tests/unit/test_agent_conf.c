/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent.conf: its defaults are the policy's, every constant of the policy can be set, and each number is
 * refused outside its range. What the policy has and the table does not is named here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/agent_conf.h"

static char said[4096];
static char path[64];

static void listen(void *data, const char *line)
{
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "F%s\n", line + strlen(path));
}

static int load(const char *text, const struct engine_conf *engine, struct agent_conf *conf)
{
	struct problems problems = {.say = listen};
	int fd, r;

	said[0] = '\0';
	strcpy(path, "/tmp/ovirt-ha-agent-conf-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	r = agent_conf_load(path, engine, conf, &problems);
	unlink(path);
	return r;
}

static void test_defaults_are_the_policy(void **state)
{
	const struct policy *d = &policy_default, *p;
	struct agent_conf conf;

	assert_int_equal(agent_conf_load("/nonexistent/agent.conf", NULL, &conf, NULL), 0);
	p = &conf.policy;
#define SAME(member) assert_int_equal(p->member, d->member)
	SAME(loop);
	SAME(stale);
	SAME(bad_health);
	SAME(shutdown);
	SAME(starting);
	SAME(away);
	SAME(unexpected);
	SAME(retry_window);
	SAME(healthy_clears);
	SAME(untaken);
	SAME(paused);
	SAME(kill_limit);
	SAME(owner_retry);
	SAME(rank_delay);
	SAME(migration);
	SAME(better_held);
	SAME(move_interval);
	SAME(better_threshold);
	SAME(cpu_load_from);
	SAME(cpu_load_to);
	SAME(network.samples);
	SAME(network.ms);
	SAME(cpu.samples);
	SAME(cpu.ms);
	SAME(other.samples);
	SAME(other.ms);
	SAME(require_watchdog);
	SAME(live_migration);
	SAME(weights.base);
	SAME(weights.network);
	SAME(weights.mgmt_bridge);
	SAME(weights.cpu_load);
	SAME(weights.memory);
	SAME(weights.config);
	SAME(weights.retry);
	SAME(lease.io_timeout_s);
	SAME(lease.watchdog_fire_s);
#undef SAME
	assert_string_equal(conf.libvirt_uri, "qemu:///system");
}

/* A member of the policy that no row covers can't be set: only those that hosted-engine.conf rules. */
static void test_every_member_has_a_key(void **state)
{
	static const struct {
		size_t offset, size;
	} elsewhere[] = {
		{offsetof(struct agent_conf, policy.require_watchdog), sizeof(bool)},
		{offsetof(struct agent_conf, policy.lease), sizeof(struct lease_timing)},
	};
	unsigned char covered[sizeof(struct policy)] = {0};
	size_t gaps = 0;

	for (size_t i = 0; i < agent_settings.n_rows; i++)
		for (size_t j = 0; j < agent_settings.rows[i].size; j++) {
			size_t at = agent_settings.rows[i].offset + j;

			if (at >= sizeof(covered))
				continue;
			if (covered[at])
				fail_msg("%s: two keys set the same bytes", agent_settings.rows[i].key);
			covered[at] = 1;
		}
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		memset(covered + elsewhere[i].offset, 1, elsewhere[i].size);
	for (size_t i = 0; i < sizeof(covered); i++)
		gaps += !covered[i];
	/* Padding: 4 in each patience, 4 before the first, 2 after the bools. */
	assert_true(gaps <= 3 * 4 + 4 + 2);
}

static void test_ranges(void **state)
{
	for (size_t i = 0; i < agent_settings.n_rows; i++) {
		const struct setting *row = &agent_settings.rows[i];
		const char *unit = row->type == SETTING_DURATION ? "ms" : "";
		char text[128], expected[64];
		struct agent_conf conf;

		if (row->type != SETTING_INT && row->type != SETTING_DURATION)
			continue;
		snprintf(text, sizeof(text), "[%s]\n%s=%" PRId64 "%s\n", row->section, row->key, row->min - 1,
			 unit);
		snprintf(expected, sizeof(expected), "F:2: %s=%" PRId64 "%s: is too small; give ", row->key,
			 row->min - 1, unit);
		assert_int_equal(load(text, NULL, &conf), -EINVAL);
		if (strncmp(said, expected, strlen(expected)) != 0)
			fail_msg("%s: said %s", text, said);
		snprintf(text, sizeof(text), "[%s]\n%s=%" PRId64 "%s\n", row->section, row->key, row->max + 1,
			 unit);
		assert_int_equal(load(text, NULL, &conf), -EINVAL);
		assert_non_null(strstr(said, ": is too large; give "));
	}
}

static void test_set(void **state)
{
	struct engine_conf engine = {.io_timeout_s = 1, .watchdog_fire_s = 70, .require_watchdog = false};
	struct agent_conf conf;

	assert_int_equal(
		load("[policy]\nloop=5\nbad_health=20s\nrank_delay=0\n[score]\nnetwork=7\nnetwork_samples=1\n"
		     "network_held=0\ncpu_load_to=50\n[agent]\nlibvirt_uri=test:///default\n",
		     &engine, &conf),
		0);
	assert_int_equal(conf.policy.loop, 5000);
	assert_int_equal(conf.policy.bad_health, 20000);
	assert_int_equal(conf.policy.rank_delay, 0);
	assert_int_equal(conf.policy.weights.network, 7);
	assert_int_equal(conf.policy.network.samples, 1);
	assert_int_equal(conf.policy.network.ms, 0);
	assert_int_equal(conf.policy.cpu_load_to, 500);
	assert_string_equal(conf.libvirt_uri, "test:///default");
	assert_int_equal(conf.policy.lease.io_timeout_s, 1);
	assert_int_equal(conf.policy.lease.watchdog_fire_s, 70);
	assert_false(conf.policy.require_watchdog);
}

static void test_together(void **state)
{
	struct agent_conf conf;

	assert_int_equal(load("[policy]\nloop=15\nstale=15\n", NULL, &conf), -EINVAL);
	assert_string_equal(said, "F: stale: is not longer than loop; make it several loops long\n");
	assert_int_equal(load("[policy]\nloop=16\n", NULL, &conf), -EINVAL);
	assert_string_equal(said, "F:2: loop=16: is too large; give 1 s to 15 s\n");
	/* Safety rules go by points above 0. */
	assert_int_equal(load("[score]\nbase=0\n", NULL, &conf), -EINVAL);
	assert_non_null(strstr(said, ": base=0: is too small; give "));
	assert_int_equal(load("[score]\ncpu_load_from=90\n", NULL, &conf), -EINVAL);
	assert_string_equal(said, "F: cpu_load_from: is not below cpu_load_to; lower it\n");
	assert_int_equal(load("loop=10\n", NULL, &conf), -EINVAL);
	assert_string_equal(said, "F:1: loop=10: is unknown in []; did you mean loop in [policy]?\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_the_policy),
		cmocka_unit_test(test_every_member_has_a_key),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
