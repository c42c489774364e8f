/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which services are enabled, started and restarted, and keeps a record of those it enabled. It never
 * takes sanlock away from one that uses it. Called by host_setup.c. */
#include "deploy/host_units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "deploy/tool_run.h"
#include "util/cleanup.h"

#define QUESTION_MS 10000
#define WORK_MS 90000
#define WORDS_SIZE 512
#define ENGINE_CONF "/etc/ovirt-hosted-engine/hosted-engine.conf"

/* In the order of their start. */
static const struct unit {
	const char *name;
	enum host_setup_step step;
	bool ours;	      /* stopped on the way back */
	bool watchdog;	      /* with require_watchdog alone */
	const char *files[3]; /* that it reads when it starts */
} units[] = {
	{"wdmd", HOST_SETUP_SUPPORT, false, true, {NULL}},
	{"ovirt-ha-guard", HOST_SETUP_SUPPORT, true, false, {ENGINE_CONF}},
	{"sanlock", HOST_SETUP_SUPPORT, false, false, {"/etc/default/sanlock"}},
	{"libvirtd",
	 HOST_SETUP_SUPPORT,
	 false,
	 false,
	 {"/etc/libvirt/qemu.conf", "/etc/libvirt/qemu-sanlock.conf", "/etc/libvirt/hooks/qemu.d/ovirt-ha"}},
	{"ovirt-ha-storage", HOST_SETUP_STORAGE, true, false, {ENGINE_CONF}},
	{"ovirt-ha-broker", HOST_SETUP_DAEMONS, true, false, {ENGINE_CONF}},
	{"ovirt-ha-agent", HOST_SETUP_DAEMONS, true, false, {ENGINE_CONF}},
};
#define N_UNITS (sizeof(units) / sizeof(units[0]))

/* `unit` may be NULL. */
static int systemctl(struct setup_record *record, const char *word, const char *unit)
{
	const char *const args[] = {"systemctl", "--no-ask-password", "-q", word, unit, NULL};
	struct tool_run run = {.args = args, .quiet_ms = WORK_MS};
	char words[WORDS_SIZE];
	int r = tool_run(&run, words, sizeof(words));

	if (r < 0)
		return setup_fail(record, r, "systemctl %s%s%s: %.300s%s%s", word, unit ? " " : "",
				  unit ? unit : "", words, unit ? "; see journalctl -u " : "",
				  unit ? unit : "");
	return 0;
}

/* 1: yes, 0: no. */
static int ask(struct setup_record *record, const char *question, const char *unit)
{
	const char *const args[] = {"systemctl", "-q", question, unit, NULL};
	struct tool_run run = {.args = args, .quiet_ms = QUESTION_MS};
	char words[WORDS_SIZE];
	int r = tool_run(&run, words, sizeof(words));

	if (r == -EIO)
		return 0;
	return r < 0 ? setup_fail(record, r, "systemctl %s %s: %.300s", question, unit, words) : 1;
}

/* 1: nothing of it runs, nor will by itself; 0: not so. `is-active` says no of one that waits for its next
 * start, and where systemd does not answer. */
static int is_down(struct setup_record *record, const char *unit)
{
	const char *const args[] = {"systemctl", "show", "-P", "ActiveState", unit, NULL};
	_cleanup_free_ char *answer = NULL;
	char words[WORDS_SIZE];
	int r = tool_ask(args, QUESTION_MS, 0, &answer, words, sizeof(words));

	if (r < 0)
		return setup_fail(record, r, "systemctl show %s: %.300s", unit, words);
	return strcmp(answer, "inactive\n") == 0 || strcmp(answer, "failed\n") == 0;
}

/* Is a file of the unit's newer than its process? A file that can't be looked at is not. */
static int is_outdated(struct setup_record *record, const struct unit *unit)
{
	const char *const args[] = {"systemctl", "show", "--timestamp=unix", "-P", "ExecMainStartTimestamp",
				    unit->name,	 NULL};
	_cleanup_free_ char *answer = NULL;
	char words[WORDS_SIZE], path[PATH_MAX];
	struct stat st;
	long long started;
	int r;

	if (setup_record_has(record, RECORD_RESTART, unit->name))
		return 1;
	r = tool_ask(args, QUESTION_MS, 0, &answer, words, sizeof(words));
	if (r < 0)
		return setup_fail(record, r, "systemctl show %s: %.300s", unit->name, words);
	if (sscanf(answer, "@%lld", &started) != 1)
		return 0;
	for (size_t i = 0; i < 3 && unit->files[i]; i++)
		if (stat(setup_path(record, unit->files[i], path), &st) == 0 && st.st_ctim.tv_sec > started)
			return 1;
	return 0;
}

/* Its end would be that of all that hold a lease. */
static int prove_idle(struct setup_record *record)
{
	const char *const args[] = {"sanlock", "client", "gets", NULL};
	_cleanup_free_ char *answer = NULL;
	char words[WORDS_SIZE];
	int r = tool_ask(args, QUESTION_MS, 0, &answer, words, sizeof(words));

	if (r < 0)
		return setup_fail(record, r, "sanlock does not tell what it holds: %.300s", words);
	if (strncmp(answer, "s ", 2) == 0)
		return setup_fail(
			record, -EBUSY,
			"sanlock must be restarted, and holds the lockspace %.100s: stop what uses it, or "
			"restart this host, and try again",
			strtok(answer + 2, " \n"));
	return 0;
}

static int do_unit(struct setup_record *record, const struct unit *unit)
{
	int r = ask(record, "is-enabled", unit->name);

	if (r == 0) {
		r = setup_record_put(record, RECORD_ENABLED, unit->name, "yes");
		if (r == 0)
			r = systemctl(record, "enable", unit->name);
		if (r == 0)
			setup_say(record, "%s: enabled", unit->name);
	}
	if (r >= 0)
		r = ask(record, "is-active", unit->name);
	if (r < 0)
		return r;
	if (r == 0) {
		r = systemctl(record, "start", unit->name);
		if (r == 0)
			setup_say(record, "%s: started", unit->name);
	} else {
		r = is_outdated(record, unit);
		if (r <= 0)
			return r;
		r = strcmp(unit->name, "sanlock") == 0 ? prove_idle(record) : 0;
		if (r == 0)
			r = systemctl(record, "restart", unit->name);
		if (r == 0)
			setup_say(record, "%s: restarted", unit->name);
	}
	return r < 0 ? r : setup_record_put(record, RECORD_RESTART, unit->name, NULL);
}

int host_units_do(struct setup_record *record, enum host_setup_step step)
{
	int r = 0;

	for (size_t i = 0; i < N_UNITS && r == 0; i++)
		if (units[i].step == step && (!units[i].watchdog || record->setup->require_watchdog))
			r = do_unit(record, &units[i]);
	return r;
}

static int undo_unit(struct setup_record *record, const struct unit *unit)
{
	bool enabled = setup_record_has(record, RECORD_ENABLED, unit->name);
	int r = 0;

	if (unit->ours) {
		r = is_down(record, unit->name);
		if (r == 0) {
			r = systemctl(record, "stop", unit->name);
			if (r == 0)
				setup_say(record, "%s: stopped", unit->name);
		}
	}
	if (r >= 0 && enabled) {
		r = systemctl(record, "disable", unit->name);
		if (r == 0)
			setup_say(record, "%s: disabled", unit->name);
	}
	return r < 0 ? r : setup_record_put(record, RECORD_ENABLED, unit->name, NULL);
}

int host_units_undo(struct setup_record *record, enum host_setup_step step)
{
	int r = 0;

	for (size_t i = N_UNITS; i > 0 && r == 0; i--)
		if (units[i - 1].step == step)
			r = undo_unit(record, &units[i - 1]);
	return r;
}

int host_units_restart_libvirtd(struct setup_record *record)
{
	int r;

	if (!setup_record_has(record, RECORD_RESTART, "libvirtd"))
		return 0;
	r = systemctl(record, "try-restart", "libvirtd");
	return r < 0 ? r : setup_record_put(record, RECORD_RESTART, "libvirtd", NULL);
}

int host_units_reload(struct setup_record *record)
{
	return systemctl(record, "daemon-reload", NULL);
}
