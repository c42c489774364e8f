/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which files the storage daemon has to show, and for which storage it can't. It may not look at the
 * host or the storage. Called by storage_userspace.c and storage_daemon.c. */
#include "storage/storage_export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
#define LUN_MAX 16383
#define BYTES_MAX (UINT64_C(1) << 62)

static int refuse(char why[STORAGE_EXPORT_WHY_SIZE], int error, const char *text)
{
	snprintf(why, STORAGE_EXPORT_WHY_SIZE, "%s", text);
	return error;
}

int storage_server(const char *source, char ret[256], const char **ret_path)
{
	bool bracket = source[0] == '[';
	const char *colon = strstr(source, ":/"), *from = source + bracket;
	size_t length = bracket ? strcspn(from, "]") : colon ? (size_t)(colon - from) : strcspn(from, ",");

	if (length == 0 || length >= 256 || (bracket && from[length] != ']'))
		return -EINVAL;
	memcpy(ret, from, length);
	ret[length] = '\0';
	if (ret_path)
		*ret_path = colon ? colon + 1 : "";
	return 0;
}

static int check_kind(const struct engine_conf *conf, char why[STORAGE_EXPORT_WHY_SIZE])
{
	char host[256];
	int r = -EOPNOTSUPP;

	switch (conf->domain_type) {
	case DOMAIN_NFS:
		if (conf->nfs_version != NFS_AUTO && conf->nfs_version != NFS_V3)
			return refuse(why, r,
				      "a storage daemon speaks NFS of version 3 alone: set nfs_version=v3");
		break;
	case DOMAIN_NFS4:
		return refuse(why, r,
			      "a storage daemon speaks NFS of version 3 alone: set domainType=nfs3 if the "
			      "server has "
			      "it");
	case DOMAIN_ISCSI:
		if (!conf->lun[0] || conf->lun[strspn(conf->lun, "0123456789")])
			return refuse(why, -EINVAL,
				      "a storage daemon needs the number of the target's unit: set lun");
		break;
	case DOMAIN_NFS3:
	case DOMAIN_GLUSTERFS:
		break;
	case DOMAIN_UNTYPED:
	case DOMAIN_FC:
	case DOMAIN_POSIX:
	case DOMAIN_TYPE_COUNT:
		return refuse(why, r, "a storage daemon connects NFS, iSCSI and Gluster alone");
	}
	if (storage_server(conf->storage, host, NULL) < 0)
		return refuse(why, -EINVAL,
			      "storage names no server: give SERVER:/PATH, or a target's address");
	return 0;
}

/* The number that begins here, up to `most`; what follows it, or NULL where none does. */
static const char *take_number(const char *text, uint64_t most, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return text[0] < '0' || text[0] > '9' || errno || *ret > most ? NULL : end;
}

/* `lun` or `lun-N`, and perhaps `.OFFSET.SIZE`. */
static bool name_lun(const struct engine_conf *conf, const char *name, struct storage_export *ret)
{
	const char *end = NULL;
	uint64_t lun = 0;

	if (strncmp(name, "lun-", 4) == 0)
		end = take_number(name + 4, LUN_MAX, &lun);
	else if (strncmp(name, "lun", 3) == 0 && take_number(conf->lun, LUN_MAX, &lun))
		end = name + 3;
	if (end && *end == '.') {
		end = take_number(end + 1, BYTES_MAX, &ret->offset);
		end = end && *end == '.' ? take_number(end + 1, BYTES_MAX, &ret->size) : NULL;
		if (ret->size == 0)
			return false;
	}
	ret->lun = (unsigned)lun;
	return end && !*end;
}

static int add(const struct engine_conf *conf, const char *folder, const char *path,
	       struct storage_exports *exports, char why[STORAGE_EXPORT_WHY_SIZE])
{
	struct storage_export *new = &exports->all[exports->n];
	size_t length = strlen(folder);
	const char *name = path + length + 1;

	if (strncmp(path, folder, length) != 0 || path[length] != '/')
		return 0; /* it is somewhere else */
	for (size_t i = 0; i < exports->n; i++)
		if (strcmp(exports->all[i].path, path) == 0)
			return 0;
	if (!name[0] || name[0] == '.' || name[strspn(name, NAME_BYTES)] ||
	    strlen(name) >= sizeof(new->name)) {
		snprintf(why, STORAGE_EXPORT_WHY_SIZE,
			 "%.150s: a storage daemon shows files of a folder alone, called by letters and "
			 "digits",
			 path);
		return -EINVAL;
	}
	if (conf->domain_type == DOMAIN_ISCSI && !name_lun(conf, name, new)) {
		snprintf(why, STORAGE_EXPORT_WHY_SIZE,
			 "%.140s: of a target a storage daemon shows units: call it lun or lun-NUMBER, with "
			 ".OFFSET.SIZE for a part of it",
			 path);
		return -EINVAL;
	}
	snprintf(new->path, sizeof(new->path), "%s", path);
	snprintf(new->name, sizeof(new->name), "%s", name);
	exports->n++;
	return 0;
}

int storage_exports_plan(const struct engine_conf *conf, const char *folder, struct storage_exports *ret,
			 char why[STORAGE_EXPORT_WHY_SIZE])
{
	const struct place *const places[STORAGE_EXPORTS_MAX] = {
		&conf->lockspace, &conf->metadata, &conf->lease, &conf->conf_volume, &conf->disk};
	struct storage_exports exports = {.n = 0};
	int r = check_kind(conf, why);

	/* A kernel's mount has all files there are; here the VM's disk would just be missing. */
	if (r == 0 && !conf->disk.path[0])
		r = refuse(why, -EINVAL, "a storage daemon has to know the VM's disk: set disk_path");
	for (size_t i = 0; r == 0 && i < STORAGE_EXPORTS_MAX; i++)
		r = add(conf, folder, places[i]->path, &exports, why);
	if (r == 0 && exports.n == 0) {
		snprintf(why, STORAGE_EXPORT_WHY_SIZE,
			 "none of lockspace_path, metadata_path, lease_path, conf_path, disk_path lies in "
			 "%.100s",
			 folder);
		r = -EINVAL;
	}
	if (r == 0)
		*ret = exports;
	return r;
}
