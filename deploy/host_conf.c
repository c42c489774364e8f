/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which answer stands in which key. All places are written out: a host may see the storage by
 * another path than the one before it. */
#include "deploy/host_conf.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "storage/storage_export.h"
#include "util/engine_conf.h"

#define FIRST_HOST_ID "1"

static const char *const place_keys[AREA_COUNT] = {
	[AREA_LOCKSPACE] = "lockspace_path", [AREA_LEASES] = "lease_path", [AREA_METADATA] = "metadata_path",
	[AREA_CONF] = "conf_path",	     [AREA_DISK] = "disk_path",
};

/* Keys of this host alone; and who reaches the storage has said the password. */
static const char *const own_keys[] = {"host_id", "configured", "password"};

static bool connects(enum answer which)
{
	return which >= ANSWER_STORAGE && which <= ANSWER_STORAGE_DRIVER;
}

static int put(struct keyfile *file, const struct answers *answers, enum answer which)
{
	const struct answer_row *row = &answer_rows[which];
	const char *value = answer_get(answers, which);

	if (!row->setting)
		return 0;
	/* What the shared file says of the VM stays; where the storage is, this host alone knows. */
	if (!answer_applies(answers, which))
		return connects(which) ? keyfile_set(file, "", row->setting, NULL) : 0;
	return keyfile_set(file, "", row->setting, value[0] ? value : NULL);
}

static bool of_path(const struct answers *answers)
{
	return answer_is(answers, ANSWER_STORAGE_TYPE, "path");
}

static bool of_lun(const struct answers *answers)
{
	return answer_is(answers, ANSWER_STORAGE_TYPE, "iscsi") ||
	       answer_is(answers, ANSWER_STORAGE_TYPE, "fc");
}

int host_conf_connection(const struct answers *answers, const char *domain, struct keyfile *file)
{
	const char *type = answer_get(answers, ANSWER_STORAGE_TYPE);
	int r = keyfile_set(file, "", "configured", "False");

	if (r == 0)
		r = keyfile_set(file, "", "domainType", of_path(answers) ? "none" : type);
	if (r == 0)
		r = keyfile_set(file, "", "sdUUID", domain);
	for (int i = 0; r == 0 && i < ANSWER_COUNT; i++)
		if (connects(i))
			r = put(file, answers, i);
	if (r == 0 && of_path(answers))
		r = keyfile_set(file, "", "storage", NULL);
	/* A storage daemon has to know what to show. */
	for (int i = 0; r == 0 && i < AREA_COUNT; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), STORAGE_RUN_DIR "/%s/%s", domain,
			 of_lun(answers) ? "lun" : domain_area_names[i]);
		r = keyfile_set(file, "", place_keys[i], of_path(answers) ? NULL : path);
	}
	return r;
}

int host_conf_disk(const struct domain *domain, char ret[PATH_MAX], bool *ret_block)
{
	*ret_block = !domain->files && !domain->image;
	if (domain->files)
		snprintf(ret, PATH_MAX, "%s", domain->areas[AREA_DISK].path);
	else if (domain->image && strncmp(domain->areas[AREA_DISK].path, STORAGE_RUN_DIR "/",
					  strlen(STORAGE_RUN_DIR "/")) == 0)
		storage_part_path(domain->areas[AREA_DISK].path, domain->areas[AREA_DISK].offset,
				  domain->areas[AREA_DISK].size, ret);
	else if (domain->areas[AREA_DISK].partition_uuid[0])
		snprintf(ret, PATH_MAX, "/dev/disk/by-partuuid/%s", domain->areas[AREA_DISK].partition_uuid);
	else
		return -EOPNOTSUPP;
	return 0;
}

int host_conf_whole(const struct answers *answers, const struct domain *domain, struct keyfile *file)
{
	char text[PATH_MAX + 32], disk[PATH_MAX];
	bool block;
	int r = host_conf_disk(domain, disk, &block);

	if (r == 0)
		r = host_conf_connection(answers, domain->identity.domain, file);
	for (int i = 0; r == 0 && i < ANSWER_COUNT; i++)
		if (!connects(i) && i != ANSWER_DOMAIN)
			r = put(file, answers, i);
	for (int i = 0; r == 0 && i < AREA_COUNT; i++) {
		if (i == AREA_DISK)
			snprintf(text, sizeof(text), "%s", disk);
		else
			snprintf(text, sizeof(text), "%s:%" PRIu64, domain->areas[i].path,
				 domain->areas[i].offset);
		r = keyfile_set(file, "", place_keys[i], text);
	}
	if (r == 0)
		r = keyfile_set(file, "", "lockspace_name", domain->identity.lockspace);
	if (r == 0)
		r = keyfile_set(file, "", "host_id",
				answers->further ? answer_get(answers, ANSWER_HOST_ID) : FIRST_HOST_ID);
	return r;
}

int host_conf_shared(const struct keyfile *file, char **ret, size_t *ret_size)
{
	_cleanup_keyfile_ struct keyfile *copy = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = keyfile_format(file, &text, &size);

	if (r == 0)
		r = keyfile_parse("hosted-engine.conf", text, size, false, &copy, NULL);
	for (size_t i = 0; r == 0 && i < sizeof(own_keys) / sizeof(own_keys[0]); i++)
		r = keyfile_set(copy, "", own_keys[i], NULL);
	return r == 0 ? keyfile_format(copy, ret, ret_size) : r;
}
