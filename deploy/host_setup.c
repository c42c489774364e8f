/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what the files of this host have to say. It changes single lines and keeps what was there; whatever
 * is not in the record is not taken back. Called by deployment and by the clean-up. */
#include "deploy/host_setup.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deploy/config_lines.h"
#include "deploy/host_units.h"
#include "deploy/setup_record.h"
#include "util/cleanup.h"
#include "util/file_replace.h"

#define HOOK "/etc/libvirt/hooks/qemu.d/ovirt-ha"
#define UNITS_FOLDER "/etc/systemd/system/"
#define KEYS_MAX 2
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* The lines that a file has to have. */
struct wanted_file {
	const char *path;
	const char *package; /* that brings it */
	const char *unit;    /* that reads it */
	struct {
		const char *key, *value;
		bool quoted;
	} keys[KEYS_MAX];
};

static const struct wanted_file qemu_conf = {
	"/etc/libvirt/qemu.conf", "libvirt-daemon-system", "libvirtd", {{"lock_manager", "sanlock", true}}};
/* Without host_id: that is for the automatic leases alone. */
static const struct wanted_file qemu_sanlock = {
	"/etc/libvirt/qemu-sanlock.conf",
	"libvirt-sanlock",
	"libvirtd",
	{{"auto_disk_leases", "0", false}, {"require_lease_for_disks", "1", false}}};
/* Its value is made from what is there: sanlock_options(). */
static const struct wanted_file sanlock_defaults = {
	"/etc/default/sanlock", "sanlock", "sanlock", {{"sanlock_opts", NULL, true}}};

static const struct wanted_file *const files_of[HOST_SETUP_STEP_COUNT] = {
	[HOST_SETUP_QEMU_CONF] = &qemu_conf,
	[HOST_SETUP_QEMU_SANLOCK] = &qemu_sanlock,
	[HOST_SETUP_SANLOCK] = &sanlock_defaults,
};

static const char *const sleep_targets[] = {"sleep.target", "suspend.target", "hibernate.target",
					    "hybrid-sleep.target", "suspend-then-hibernate.target"};

const char *host_setup_step_text(enum host_setup_step step)
{
	static const char *const texts[] = {
		[HOST_SETUP_QEMU_CONF] = "have libvirt ask sanlock",
		[HOST_SETUP_QEMU_SANLOCK] = "have libvirt require a lease",
		[HOST_SETUP_HOOK] = "look for libvirt's hook",
		[HOST_SETUP_SANLOCK] = "set sanlock's options",
		[HOST_SETUP_SLEEP] = "mask suspend and hibernation",
		[HOST_SETUP_SUPPORT] = "start the guard, sanlock and libvirt",
		[HOST_SETUP_STORAGE] = "start the storage's service",
		[HOST_SETUP_DAEMONS] = "start broker and agent",
	};

	_Static_assert(sizeof(texts) / sizeof(texts[0]) == HOST_SETUP_STEP_COUNT, "a text each");
	assert(step < HOST_SETUP_STEP_COUNT);
	return texts[step];
}

void host_setup_name(const char *uuid, const char *host_name, char ret[49])
{
	snprintf(ret, 49, "%s.%s", uuid, host_name);
	for (char *c = ret; *c; c++)
		if (!strchr(NAME_CHARACTERS, *c))
			*c = '_';
}

/* The options with ours in the place of theirs; all others stay. sanlock takes a value behind each of these
 * as a word of its own. For free(); NULL: no memory. */
static char *sanlock_options(const struct host_setup *setup, const char *old)
{
	_cleanup_free_ char *words = strdup(old);
	bool w_right = !setup->require_watchdog, e_right = false, skip = false;
	char *result = NULL, *rest = NULL, *word;
	const char *option = "";
	size_t size = 0;
	FILE *to = words ? open_memstream(&result, &size) : NULL;

	if (!to)
		return NULL;
	for (word = strtok_r(words, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
		if (word[0] == '-') {
			option = word;
			skip = strcmp(word, "-e") == 0 ||
			       (setup->require_watchdog && strcmp(word, "-w") == 0);
		} else {
			/* The last one counts. */
			if (setup->require_watchdog && strcmp(option, "-w") == 0)
				w_right = strcmp(word, "1") == 0;
			if (strcmp(option, "-e") == 0)
				e_right = strcmp(word, setup->name) == 0;
		}
		if (!skip)
			fprintf(to, "%s ", word);
	}
	fprintf(to, "%s-e %s", setup->require_watchdog ? "-w 1 " : "", setup->name);
	if (fclose(to) != 0 || !result || !w_right || !e_right)
		return result;
	free(result);
	return strdup(old);
}

/* 0 and the line that the key has to have, or NULL where the file says the same already; *ret_old: what it
 * says, or NULL. */
static int want(struct setup_record *record, const struct wanted_file *file, size_t i, const char *text,
		char **ret_line, char **ret_old)
{
	const char *key = file->keys[i].key, *value = file->keys[i].value,
		   *quote = file->keys[i].quoted ? "\"" : "";
	_cleanup_free_ char *old = NULL, *made = NULL;
	size_t at, length;
	int r = config_line_find(text, key, &at, &length);

	if (r < 0)
		return setup_fail(record, r,
				  "%s sets %s twice, or over two lines: leave one line, and try again",
				  file->path, key);
	if (r > 0)
		old = config_line_value(text + at, length);
	if (!value) {
		if (old && strpbrk(old, "\\$\"'`"))
			return setup_fail(
				record, -EINVAL,
				"%s: %s has quotes, `$` or a backslash: write it plainly, and try again",
				file->path, key);
		made = sanlock_options(record->setup, old ? old : "");
		value = made;
	}
	if (!value || (r > 0 && !old))
		return setup_fail(record, -ENOMEM, "%s", strerror(ENOMEM));
	*ret_line = NULL;
	if ((!old || strcmp(old, value) != 0) &&
	    asprintf(ret_line, strncmp(file->path, "/etc/default/", 13) == 0 ? "%s=%s%s%s" : "%s = %s%s%s",
		     key, quote, value, quote) < 0)
		return setup_fail(record, -ENOMEM, "%s", strerror(ENOMEM));
	*ret_old = TAKE_PTR(old);
	return 0;
}

static int store(struct setup_record *record, const struct wanted_file *file, const char *text)
{
	char below[PATH_MAX];
	int r = setup_record_put(record, RECORD_RESTART, file->unit, "yes");

	if (r < 0)
		return r;
	r = file_replace(setup_path(record, file->path, below), text, strlen(text), 0644);
	return r < 0 ? setup_fail(record, r, "%s: %s", file->path, strerror(-r)) : 0;
}

static int do_file(struct setup_record *record, const struct wanted_file *file)
{
	_cleanup_free_ char *text = NULL, *first = NULL;
	int r = setup_read(record, file->path, &text);

	if (r == -ENOENT)
		return setup_fail(record, r, "there is no %s: install the package %s", file->path,
				  file->package);
	if (r < 0)
		return setup_fail(record, r, "%s can't be read: %s", file->path, strerror(-r));
	first = strdup(text);
	if (!first)
		return setup_fail(record, -ENOMEM, "%s", strerror(ENOMEM));
	for (size_t i = 0; i < KEYS_MAX && file->keys[i].key; i++) {
		_cleanup_free_ char *line = NULL, *old = NULL;
		char *next;

		r = want(record, file, i, text, &line, &old);
		if (r == 0 && line) {
			r = setup_record_put(record, file->path, file->keys[i].key, line);
			if (r == 0)
				r = setup_record_keep(record, file->path, first);
		}
		if (r < 0)
			return r;
		if (!line)
			continue;
		next = config_line_replace(text, file->keys[i].key, line);
		if (!next)
			return setup_fail(record, -ENOMEM, "%s", strerror(ENOMEM));
		free(text);
		text = next;
		if (old)
			setup_say(record, "%s: %s (was: %s)", file->path, line, old);
		else
			setup_say(record, "%s: %s (was not set)", file->path, line);
	}
	return strcmp(first, text) != 0 ? store(record, file, text) : 0;
}

/* The key's line in a text, for free(); NULL: none, or not to be told. */
static char *line_of(const char *text, const char *key)
{
	size_t at, length;

	if (!text || config_line_find(text, key, &at, &length) <= 0)
		return NULL;
	while (strchr(" \t", text[at])) {
		at++;
		length--;
	}
	return strndup(text + at, length);
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* One key's way back. 0 and the text, changed or not. */
static int undo_key(struct setup_record *record, const struct wanted_file *file, const char *key,
		    const char *before, char **text)
{
	const char *ours = keyfile_get(record->lines, file->path, key);
	_cleanup_free_ char *now = line_of(*text, key), *old = line_of(before, key);
	size_t at, length;
	char *next;

	/* Twice by now, it is not as it was either. */
	if (!ours || (same(now, old) && config_line_find(*text, key, &at, &length) >= 0))
		return 0;
	if (!same(now, ours)) {
		setup_say(record, "%s: %s was changed since, and stays as it is", file->path, key);
		return 0;
	}
	next = config_line_replace(*text, key, old);
	if (!next)
		return setup_fail(record, -ENOMEM, "%s", strerror(ENOMEM));
	free(*text);
	*text = next;
	if (old)
		setup_say(record, "%s: %s again", file->path, old);
	else
		setup_say(record, "%s: %s is no longer set", file->path, key);
	return 0;
}

static int undo_file(struct setup_record *record, const struct wanted_file *file)
{
	_cleanup_free_ char *text = NULL, *first = NULL, *before = NULL;
	bool recorded = false;
	int r;

	for (size_t i = 0; i < KEYS_MAX && file->keys[i].key; i++)
		recorded = recorded || setup_record_has(record, file->path, file->keys[i].key);
	if (!recorded)
		return 0;
	r = setup_record_kept(record, file->path, &before);
	if (r < 0 && r != -ENOENT)
		return setup_fail(
			record, r,
			"what %s said before can't be read below /etc/ovirt-hosted-engine/setup: %s; "
			"mend it, or take it away to go without, and try again",
			file->path, strerror(-r));
	r = setup_read(record, file->path, &text);
	if (r < 0 && r != -ENOENT)
		return setup_fail(record, r, "%s can't be read: %s", file->path, strerror(-r));
	first = text ? strdup(text) : NULL;
	r = 0;
	for (size_t i = 0; i < KEYS_MAX && file->keys[i].key && text && r == 0; i++)
		r = undo_key(record, file, file->keys[i].key, before, &text);
	if (r == 0 && !same(first, text))
		r = store(record, file, text);
	/* The record goes last, and was there first: an old file without one would be the next deployment's.
	 */
	if (r == 0)
		setup_record_drop(record, file->path);
	for (size_t i = 0; i < KEYS_MAX && file->keys[i].key && r == 0; i++)
		r = setup_record_put(record, file->path, file->keys[i].key, NULL);
	return r;
}

static int do_hook(struct setup_record *record)
{
	char path[PATH_MAX];

	return access(setup_path(record, HOOK, path), X_OK) == 0
		       ? 0
		       : setup_fail(record, -ENOENT,
				    "libvirt's hook " HOOK " is missing: install this program again");
}

static int do_sleep(struct setup_record *record)
{
	bool changed = false;

	for (size_t i = 0; i < sizeof(sleep_targets) / sizeof(sleep_targets[0]); i++) {
		char name[PATH_MAX], path[PATH_MAX], target[16] = "";
		int r;

		snprintf(name, sizeof(name), UNITS_FOLDER "%s", sleep_targets[i]);
		setup_path(record, name, path);
		if (readlink(path, target, sizeof(target) - 1) > 0 && strcmp(target, "/dev/null") == 0)
			continue;
		r = setup_record_put(record, RECORD_MASKED, sleep_targets[i], "yes");
		if (r == 0 && symlink("/dev/null", path) < 0)
			r = setup_fail(record, -errno,
				       "%s: %s; this host must not sleep: take it away and try again", name,
				       strerror(errno));
		if (r < 0)
			return r;
		changed = true;
		setup_say(record, "%s: masked", sleep_targets[i]);
	}
	return changed ? host_units_reload(record) : 0;
}

static int undo_sleep(struct setup_record *record)
{
	bool changed = false;
	int r = 0;

	for (size_t i = 0; i < sizeof(sleep_targets) / sizeof(sleep_targets[0]) && r == 0; i++) {
		char name[PATH_MAX], path[PATH_MAX], target[16] = "";

		if (!setup_record_has(record, RECORD_MASKED, sleep_targets[i]))
			continue;
		snprintf(name, sizeof(name), UNITS_FOLDER "%s", sleep_targets[i]);
		setup_path(record, name, path);
		if (readlink(path, target, sizeof(target) - 1) > 0 && strcmp(target, "/dev/null") == 0) {
			unlink(path);
			changed = true;
			setup_say(record, "%s: no longer masked", sleep_targets[i]);
		}
		r = setup_record_put(record, RECORD_MASKED, sleep_targets[i], NULL);
	}
	return r == 0 && changed ? host_units_reload(record) : r;
}

static int check(struct setup_record *record)
{
	const char *name = record->setup->name;

	return name && name[0] && strlen(name) <= 48 && !name[strspn(name, NAME_CHARACTERS)]
		       ? 0
		       : setup_fail(record, -EINVAL,
				    "sanlock's name of this host has 1 to 48 letters, digits, `.`, "
				    "`_`, `-`");
}

int host_setup_do(const struct host_setup *setup, enum host_setup_step step,
		  char ret_text[HOST_SETUP_TEXT_SIZE])
{
	_cleanup_setup_record_ struct setup_record record = {0};
	int r;

	assert(setup && setup->root && step < HOST_SETUP_STEP_COUNT && ret_text);
	r = setup_record_open(&record, setup, ret_text);
	if (r == 0)
		r = check(&record);
	if (r < 0)
		return r;
	if (files_of[step])
		return do_file(&record, files_of[step]);
	if (step == HOST_SETUP_HOOK)
		return do_hook(&record);
	return step == HOST_SETUP_SLEEP ? do_sleep(&record) : host_units_do(&record, step);
}

int host_setup_undo(const struct host_setup *setup, enum host_setup_step step,
		    char ret_text[HOST_SETUP_TEXT_SIZE])
{
	_cleanup_setup_record_ struct setup_record record = {0};
	int r;

	assert(setup && setup->root && step < HOST_SETUP_STEP_COUNT && ret_text);
	r = setup_record_open(&record, setup, ret_text);
	if (r < 0)
		return r;
	if (files_of[step])
		r = undo_file(&record, files_of[step]);
	else if (step == HOST_SETUP_SLEEP)
		r = undo_sleep(&record);
	else if (step != HOST_SETUP_HOOK)
		r = host_units_undo(&record, step);
	if (r == 0 && step == HOST_SETUP_QEMU_CONF)
		r = host_units_restart_libvirtd(&record);
	return r;
}
