/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes and reads partition tables. Decides neither names nor places. The only file that includes
 * libfdisk. */
#include "storage/gpt_table.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libfdisk.h>

#include "util/cleanup.h"

#define LINUX_DATA "0FC63DAF-8483-4772-8E79-3D69D8477DE4"

CLEANUP_DEFINE(struct fdisk_context *, fdisk_unref_context)
CLEANUP_DEFINE(struct fdisk_partition *, fdisk_unref_partition)
CLEANUP_DEFINE(struct fdisk_parttype *, fdisk_unref_parttype)
CLEANUP_DEFINE(struct fdisk_table *, fdisk_unref_table)

/* libfdisk gives -errno, or 1 and the like where it has none. */
static int code(int r)
{
	return r == 0 ? 0 : r < 0 ? r : -EIO;
}

static int context_open(int fd, const char *path, unsigned sector_size, int read_only,
			struct fdisk_context **ret)
{
	_cleanup_(fdisk_unref_context_p) struct fdisk_context *context = fdisk_new_context();
	int r;

	if (!context)
		return -ENOMEM;
	fdisk_disable_dialogs(context, 1);
	if (sector_size) {
		r = fdisk_save_user_sector_size(context, sector_size, sector_size);
		if (r != 0)
			return code(r);
	}
	r = fdisk_assign_device_by_fd(context, fd, path, read_only);
	if (r != 0)
		return code(r);
	*ret = TAKE_PTR(context);
	return 0;
}

static int add_partition(struct fdisk_context *context, size_t number, const struct gpt_partition *partition)
{
	_cleanup_(fdisk_unref_partition_p) struct fdisk_partition *to = fdisk_new_partition();
	_cleanup_(fdisk_unref_parttype_p) struct fdisk_parttype *type =
		fdisk_label_get_parttype_from_string(fdisk_get_label(context, NULL), LINUX_DATA);
	unsigned long sector = fdisk_get_sector_size(context);
	int r;

	if (!to || !type)
		return -ENOMEM;
	fdisk_partition_set_partno(to, number);
	fdisk_partition_set_start(to, partition->offset / sector);
	fdisk_partition_set_size(to, partition->size / sector);
	fdisk_partition_size_explicit(to, 1); /* to the sector, whatever libfdisk's own grain is */
	fdisk_partition_set_type(to, type);
	r = fdisk_partition_set_name(to, partition->name);
	return r != 0 ? code(r) : code(fdisk_add_partition(context, to, NULL));
}

int gpt_write(int fd, const char *path, unsigned sector_size, const char *uuid,
	      const struct gpt_partition *partitions, size_t n)
{
	_cleanup_(fdisk_unref_context_p) struct fdisk_context *context = NULL;
	int r;

	r = context_open(fd, path, sector_size, 0, &context);
	if (r < 0)
		return r;
	r = fdisk_create_disklabel(context, "gpt");
	if (r == 0)
		r = fdisk_set_disklabel_id_from_string(context, uuid);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_partition(context, i, &partitions[i]);
	if (r == 0)
		r = fdisk_write_disklabel(context);
	if (r != 0)
		return code(r);
	if (fsync(fd) < 0)
		return -errno;
	/* A loop device without partitions refuses, and the areas are found all the same: by their offset. */
	if (sector_size == 0)
		(void)fdisk_reread_partition_table(context);
	return 0;
}

static void take(const struct fdisk_partition *from, unsigned long sector, struct gpt_partition *ret)
{
	const char *name = fdisk_partition_get_name((struct fdisk_partition *)from);
	const char *uuid = fdisk_partition_get_uuid((struct fdisk_partition *)from);

	*ret = (struct gpt_partition){
		.offset = fdisk_partition_get_start((struct fdisk_partition *)from) * sector,
		.size = fdisk_partition_get_size((struct fdisk_partition *)from) * sector,
	};
	snprintf(ret->name, sizeof(ret->name), "%s", name ? name : "");
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", uuid ? uuid : "");
	for (char *at = ret->uuid; *at; at++)
		*at = (char)tolower((unsigned char)*at);
}

int gpt_read(int fd, const char *path, unsigned sector_size, struct gpt_partition *ret, size_t max)
{
	_cleanup_(fdisk_unref_context_p) struct fdisk_context *context = NULL;
	_cleanup_(fdisk_unref_table_p) struct fdisk_table *table = NULL;
	size_t n, filled = 0;
	int r;

	r = context_open(fd, path, sector_size, 1, &context);
	if (r < 0)
		return r;
	if (!fdisk_has_label(context) || !fdisk_is_labeltype(context, FDISK_DISKLABEL_GPT))
		return -ENODATA;
	r = fdisk_get_partitions(context, &table);
	if (r != 0)
		return code(r);
	n = fdisk_table_get_nents(table);
	for (size_t i = 0; i < n && filled < max; i++) {
		const struct fdisk_partition *entry = fdisk_table_get_partition(table, i);

		if (fdisk_partition_has_start((struct fdisk_partition *)entry) &&
		    fdisk_partition_has_size((struct fdisk_partition *)entry))
			take(entry, fdisk_get_sector_size(context), &ret[filled++]);
	}
	return (int)filled;
}
