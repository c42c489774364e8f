/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* broker.conf: defaults, files of existing clusters, ranges, and values that must not reach a mail's header.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker_conf.h"

static char said[4096];
static char path[64];

static void listen(void *data, const char *line)
{
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "F%s\n", line + strlen(path));
}

static int load(const char *text, struct broker_conf *conf)
{
	struct problems problems = {.say = listen};
	int fd, r;

	said[0] = '\0';
	strcpy(path, "/tmp/ovirt-ha-broker-conf-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	r = broker_conf_load(path, conf, &problems);
	unlink(path);
	return r;
}

static void test_defaults(void **state)
{
	struct broker_conf c;

	assert_int_equal(broker_conf_load("/nonexistent/broker.conf", &c, NULL), 0);
	assert_string_equal(c.smtp_server, "localhost");
	assert_int_equal(c.smtp_port, 25);
	assert_int_equal(c.smtp_timeout_s, 10);
	assert_string_equal(c.destination_emails, "root@localhost");
	assert_string_equal(c.source_email, "root@localhost");
	assert_string_equal(c.state_transition, "maintenance|start|stop|up|down");
	assert_int_equal(c.smtp_tls, SMTP_TLS_NONE);
	assert_int_equal(c.smtp_retry, 10000);
	assert_int_equal(c.smtp_keep, 24 * 3600000);
	assert_int_equal(c.mails_per_minute, 10);
	assert_string_equal(c.command, "");
	assert_int_equal(c.cpu_load_window, 900000);
	assert_int_equal(c.network_period, 10000);
	assert_int_equal(c.io_deadline, 10000);
}

static void test_existing_cluster(void **state)
{
	struct broker_conf c;

	assert_int_equal(
		load("[email]\nsmtp-server = mail.example\nsmtp-port = 587\nsource-email = ha@example.com\n"
		     "destination-emails = a@example.com,b@example.com\n\n[notify]\nstate_transition = "
		     "maintenance|start\n",
		     &c),
		0);
	assert_string_equal(c.smtp_server, "mail.example");
	assert_int_equal(c.smtp_port, 587);
	assert_string_equal(c.destination_emails, "a@example.com,b@example.com");
	assert_string_equal(c.state_transition, "maintenance|start");
}

static void test_problems(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"[email]\nsmtp-port=0\n", "F:2: smtp-port=0: is too small; give whole number, 1 to 65535\n"},
		{"[email]\nsmtp-timeout=601\n", "F:2: smtp-timeout=601: is too large; give 1 s to 10 min\n"},
		{"[email]\nsource-email=a>b@x\n",
		 "F:2: source-email=a>b@x: is not one plain address; give user@host\n"},
		{"[email]\nsource-email=a@x,b@x\n",
		 "F:2: source-email=a@x,b@x: is not one plain address; give user@host\n"},
		{"[email]\ndestination-emails=a@x, b <b@x>\n",
		 "F:2: destination-emails=a@x, b <b@x>: is not a plain list of addresses; give "
		 "user@host, more of them separated by commas\n"},
		{"[email]\ndestination-emails=\xc3\xa9@x\n",
		 "F:2: destination-emails=\\xc3\\xa9@x: is not a plain list of addresses; give "
		 "user@host, more of them separated by commas\n"},
		{"[email]\nsmtp-server=\"$(mail)\"\n",
		 "F:2: smtp-server=\"$(mail)\": is neither a host name nor an address; give one without a "
		 "port\n"},
		{"[email]\nsmtp-server=mail:25/x\n",
		 "F:2: smtp-server=mail:25/x: is neither a host name nor an address; give one without a "
		 "port\n"},
		{"[email]\nsmtp-tls=ssl\n",
		 "F:2: smtp-tls=ssl: is not a word for this key; give none, starttls or tls\n"},
		{"[notify]\nstate_transition=(\n",
		 "F:2: state_transition=(: is not a regular expression: a ( or ) without the other; give "
		 "words like maintenance|start|stop|up|down\n"},
		{"[notify]\ncommand=script\nstate_transition=a{\n",
		 "F:2: command=script: is not an absolute path; begin it with /\nF:3: "
		 "state_transition=a{: is not a regular expression: a { without its }; "
		 "give words like maintenance|start|stop|up|down\n"},
		{"[monitors]\nnetwork_probes=21\n",
		 "F:2: network_probes=21: is too large; give whole number, 1 to 20\n"},
		{"[monitors]\ncpu_load_window=5\n", "F: cpu_load_window: is shorter than cpu_load_period; "
						    "make it longer or the period shorter\n"},
		{"[storage]\nio_deadline=100ms\n",
		 "F:2: io_deadline=100ms: is too small; give 500 ms to 1 min\n"},
		{"[email]\nsmtp_server=x\n",
		 "F:2: smtp_server=x: is unknown in [email]; did you mean smtp-server in "
		 "[email]?\n"},
	};
	struct broker_conf c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (load(cases[i].text, &c) != -EINVAL)
			fail_msg("%s: was taken", cases[i].text);
		if (strcmp(said, cases[i].said) != 0)
			fail_msg("%s: said %s", cases[i].text, said);
	}
}

/* The shared file goes over this host's, and does nothing when it is not right. */
static void test_overlay(void **state)
{
	static const struct {
		const char *name, *text;
		int r;
		uint16_t port;
	} rows[] = {
		{"its keys alone", "[email]\nsmtp-port=587\n", 0, 587},
		{"nothing", "", 0, 26},
		{"a wrong value", "[email]\nsmtp-port=587\nsmtp-timeout=0\n", -EINVAL, 26},
		{"wrong with the other", "[email]\nsmtp-port=587\n[monitors]\ncpu_load_window=5\n", -EINVAL,
		 26},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_keyfile_ struct keyfile *shared = NULL;
		struct problems problems = {0};
		struct broker_conf c;

		assert_int_equal(load("[email]\nsmtp-port=26\nsmtp-server=here\n", &c), 0);
		assert_int_equal(
			keyfile_parse("shared", rows[i].text, strlen(rows[i].text), true, &shared, NULL), 0);
		if (broker_conf_overlay(shared, &c, &problems) != rows[i].r || c.smtp_port != rows[i].port)
			fail_msg("%s: port %u", rows[i].name, c.smtp_port);
		assert_string_equal(c.smtp_server, "here");
		assert_int_equal(problems.count > 0, rows[i].r < 0);
	}
}

/* A monitor that is at work must not look dead: its slowest round fits, with all probes lost. */
static void test_monitor_ms(void **state)
{
	int64_t ms[MONITOR_COUNT] = {0};
	struct broker_conf c;

	assert_int_equal(load("[monitors]\nnetwork_period=1\nnetwork_timeout=3\nnetwork_probes=20\n"
			      "engine_health_period=2\nengine_health_timeout=7\nmgmt_bridge_period=3\n"
			      "mem_free_period=4\ncpu_load_period=5\nstorage_domain_period=6\n",
			      &c),
			 0);
	broker_conf_monitor_ms(&c, ms);
	assert_int_equal(ms[MONITOR_NETWORK], 1000 + 3000 + 20 * 200);
	assert_int_equal(ms[MONITOR_ENGINE_HEALTH], 2000 + 7000);
	assert_int_equal(ms[MONITOR_MGMT_BRIDGE], 3000);
	assert_int_equal(ms[MONITOR_MEM_FREE], 4000);
	assert_int_equal(ms[MONITOR_CPU_LOAD], 5000);
	assert_int_equal(ms[MONITOR_STORAGE_DOMAIN], 6000);
	for (unsigned i = 0; i < MONITOR_COUNT; i++)
		assert_true(ms[i] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_existing_cluster),
		cmocka_unit_test(test_problems),   cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_monitor_ms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
