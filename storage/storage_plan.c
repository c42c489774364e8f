/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Puts plans together, and reads what the kernel's lists say for those who plan. It decides nothing and runs
 * nothing. Called by the drivers and by storage_service.c. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libmount/libmount.h>

#include "storage/storage_driver.h"
#include "util/cleanup.h"

#define PROGRAMS "/usr/sbin:/usr/bin:/sbin:/bin"

const struct storage_world storage_machine = {
	.run = STORAGE_RUN_DIR,
	.mountinfo = "/proc/self/mountinfo",
	.filesystems = "/proc/filesystems",
	.sys = "/sys",
	.dev = "/dev",
	.iscsi = ISCSI_DIR,
	.path = PROGRAMS,
};

CLEANUP_DEFINE(struct libmnt_table *, mnt_unref_table)

struct storage_step *storage_plan_add(struct storage_plan *plan, enum storage_step_kind kind, int64_t ms, ...)
{
	struct storage_step *step = &plan->steps[plan->n_steps];
	const char *arg;
	va_list args;
	size_t n = 0;

	if (plan->n_steps + 1 < STORAGE_STEPS_MAX)
		plan->n_steps++;
	else
		plan->full = true;
	*step = (struct storage_step){.kind = kind, .ms = ms};
	va_start(args, ms);
	while ((arg = va_arg(args, const char *)) && n < STORAGE_ARGS_MAX)
		step->args[n++] = arg;
	va_end(args);
	if (arg)
		plan->full = true;
	return step;
}

const char *storage_text(struct storage_plan *plan, const char *format, ...)
{
	char *text = plan->text + plan->used;
	size_t left = sizeof(plan->text) - plan->used;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, left, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= left) {
		plan->full = true;
		return "";
	}
	plan->used += (size_t)n + 1;
	return text;
}

const char *storage_folder(struct storage_plan *plan, const struct storage_world *world,
			   const struct engine_conf *conf)
{
	return storage_text(plan, "%s/%s", world->run, conf->sd_uuid);
}

int storage_mounts(const struct storage_world *world, const char *path)
{
	_cleanup_(mnt_unref_table_p) struct libmnt_table *table = mnt_new_table_from_file(world->mountinfo);
	struct libmnt_iter *each = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	int n = 0;

	if (!table || !each) {
		mnt_free_iter(each);
		return errno > 0 ? -errno : -EIO;
	}
	while (mnt_table_next_fs(table, each, &fs) == 0)
		n += mnt_fs_get_target(fs) && strcmp(mnt_fs_get_target(fs), path) == 0;
	mnt_free_iter(each);
	return n;
}

bool storage_program(const struct storage_world *world, const char *name)
{
	char path[PATH_MAX];

	for (const char *folder = world->path; *folder;) {
		size_t length = strcspn(folder, ":");

		snprintf(path, sizeof(path), "%.*s/%s", (int)length, folder, name);
		if (access(path, X_OK) == 0)
			return true;
		folder += length + (folder[length] == ':');
	}
	return false;
}

bool storage_filesystem(const struct storage_world *world, const char *name)
{
	_cleanup_fclose_ FILE *file = fopen(world->filesystems, "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		const char *word = strrchr(line, '\t');

		line[strcspn(line, "\n")] = '\0';
		if (word && strcmp(word + 1, name) == 0)
			return true;
	}
	return false;
}
