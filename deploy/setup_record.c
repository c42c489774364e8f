/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps the record and the old files. Decides nothing of what is changed. Called by host_setup.c and
 * host_units.c. */
#include "deploy/setup_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/file_replace.h"

#define CONF_FOLDER "/etc/ovirt-hosted-engine"
#define FOLDER CONF_FOLDER "/setup"
#define CHANGES FOLDER "/changes"
#define FILE_MAX (1024 * 1024)

void setup_say(struct setup_record *record, const char *format, ...)
{
	size_t used = strlen(record->text);
	va_list args;

	va_start(args, format);
	vsnprintf(record->text + used, HOST_SETUP_TEXT_SIZE - used, format, args);
	va_end(args);
	used = strlen(record->text);
	if (used < HOST_SETUP_TEXT_SIZE - 1)
		strcpy(record->text + used, "\n");
	else
		record->text[used - 1] = '\n';
}

int setup_fail(struct setup_record *record, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(record->text, HOST_SETUP_TEXT_SIZE, format, args);
	va_end(args);
	return error;
}

const char *setup_path(const struct setup_record *record, const char *path, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s%s", record->setup->root, path);
	return ret;
}

int setup_read(const struct setup_record *record, const char *path, char **ret)
{
	char below[PATH_MAX];
	_cleanup_fclose_ FILE *file = fopen(setup_path(record, path, below), "re");
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t n;

	if (!file || fstat(fileno(file), &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return -EINVAL;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = fread(text, 1, (size_t)st.st_size, file);
	text[n] = '\0';
	if (n != (size_t)st.st_size || strlen(text) != n)
		return -EINVAL;
	*ret = TAKE_PTR(text);
	return 0;
}

static void say_problem(void *data, const char *line)
{
	snprintf(data, HOST_SETUP_TEXT_SIZE, "%s", line);
}

int setup_record_open(struct setup_record *record, const struct host_setup *setup, char *text)
{
	struct problems problems = {.say = say_problem, .data = text};
	char path[PATH_MAX];
	int r;

	*record = (struct setup_record){.setup = setup, .text = text};
	text[0] = '\0';
	r = keyfile_load(setup_path(record, CHANGES, path), true, &record->lines, &problems);
	if (r == -ENOENT)
		r = keyfile_new(CHANGES, true, &record->lines);
	return r;
}

void setup_record_close(struct setup_record *record)
{
	if (record->lines)
		keyfile_free(record->lines);
}

bool setup_record_has(const struct setup_record *record, const char *section, const char *key)
{
	return keyfile_get(record->lines, section, key) != NULL;
}

static int make_folders(struct setup_record *record)
{
	static const struct {
		const char *path;
		mode_t mode;
	} folders[] = {{CONF_FOLDER, 0755}, {FOLDER, 0700}};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (mkdir(setup_path(record, folders[i].path, path), folders[i].mode) < 0 && errno != EEXIST)
			return setup_fail(record, -errno, "%s: %s", folders[i].path, strerror(errno));
	return 0;
}

int setup_record_put(struct setup_record *record, const char *section, const char *key, const char *value)
{
	char path[PATH_MAX];
	int r;

	if (!value && !setup_record_has(record, section, key))
		return 0;
	r = make_folders(record);
	if (r < 0)
		return r;
	r = keyfile_set(record->lines, section, key, value);
	if (r == 0)
		r = keyfile_save(record->lines, setup_path(record, CHANGES, path), 0600);
	return r < 0 ? setup_fail(record, r, "%s: %s", CHANGES, strerror(-r)) : 0;
}

static const char *kept_path(const char *path, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, FOLDER "/%s.before", strrchr(path, '/') + 1);
	return ret;
}

int setup_record_keep(struct setup_record *record, const char *path, const char *content)
{
	char kept[PATH_MAX], below[PATH_MAX];
	int r;

	kept_path(path, kept);
	if (access(setup_path(record, kept, below), F_OK) == 0)
		return 0;
	r = make_folders(record);
	if (r < 0)
		return r;
	r = file_replace(below, content, strlen(content), 0600);
	return r < 0 ? setup_fail(record, r, "%s: %s", kept, strerror(-r)) : 0;
}

int setup_record_kept(struct setup_record *record, const char *path, char **ret)
{
	char kept[PATH_MAX];

	return setup_read(record, kept_path(path, kept), ret);
}

void setup_record_drop(struct setup_record *record, const char *path)
{
	char kept[PATH_MAX], below[PATH_MAX];

	unlink(setup_path(record, kept_path(path, kept), below));
}
