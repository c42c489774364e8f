/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which of sysfs's block devices are disks, which of them are ways to one disk, and which are free.
 * It opens them for reading alone, in child processes. Called by hosted-engine, for deployment. */
#include "storage/disk_discovery.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/content_child.h"
#include "util/cleanup.h"

const struct disk_sources disk_machine = {"/sys", "/dev"};

CLEANUP_DEFINE(DIR *, closedir)

/* A disk while they are put together. */
struct disk {
	struct lun lun;
	char name[32]; /* the kernel's, of what is used: the map, or the first path */
	char map[32];  /* the multipath map that a path belongs to */
	bool taken;    /* a path of another entry */
};

/* One attribute, without blanks around it. False: there is none. */
static bool read_attribute(const char *folder, const char *name, char *ret, size_t size)
{
	char path[PATH_MAX];
	size_t begin = 0, end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%.2000s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, ret, size - 1);
	close(fd);
	end = n > 0 ? (size_t)n : 0;
	while (end > 0 && strchr(" \t\n", ret[end - 1]) && ret[end - 1])
		end--;
	while (begin < end && strchr(" \t\n", ret[begin]) && ret[begin])
		begin++;
	memmove(ret, ret + begin, end - begin);
	ret[end - begin] = '\0';
	return ret[0] != '\0';
}

static uint64_t read_number(const char *folder, const char *name)
{
	char text[32];

	return read_attribute(folder, name, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

/* SCSI's unit serial number: page 0x80, its length in bytes 2 and 3. */
static void read_serial(const char *folder, struct lun *lun)
{
	char path[PATH_MAX];
	uint8_t page[4 + sizeof(lun->serial)];
	ssize_t n = -1;
	size_t length;
	int fd;

	snprintf(path, sizeof(path), "%.2000s/device/vpd_pg80", folder);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, page, sizeof(page));
		close(fd);
	}
	if (n < 4) {
		if (!read_attribute(folder, "device/serial", lun->serial, sizeof(lun->serial)))
			read_attribute(folder, "serial", lun->serial, sizeof(lun->serial));
		return;
	}
	length = (size_t)page[2] << 8 | page[3];
	if (length > (size_t)n - 4)
		length = (size_t)n - 4;
	if (length >= sizeof(lun->serial))
		length = sizeof(lun->serial) - 1;
	for (n = 4; length > 0 && page[n] == ' '; n++)
		length--;
	memcpy(lun->serial, page + n, length);
	lun->serial[length] = '\0';
	for (size_t end = strlen(lun->serial); end > 0 && lun->serial[end - 1] == ' '; end--)
		lun->serial[end - 1] = '\0';
}

static const char *transport_of(const char *folder)
{
	static const struct {
		const char *part, *name;
	} transports[] = {{"/rport-", "fc"}, {"/session", "iscsi"}, {"/nvme", "nvme"}, {"/virtio", "virtio"},
			  {"/usb", "usb"},   {"/ata", "ata"},	    {"/loop", "loop"}};

	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		if (strstr(folder, transports[i].part))
			return transports[i].name;
	return "other";
}

/* The name of the folder in the way to the device that begins with `prefix`. */
static bool part_of_way(const char *folder, const char *prefix, char ret[64])
{
	const char *at = strstr(folder, prefix);
	size_t length;

	if (!at)
		return false;
	length = strcspn(at + 1, "/");
	if (length >= 64)
		return false;
	memcpy(ret, at + 1, length);
	ret[length] = '\0';
	return true;
}

static void read_ports(const char *sys, const char *folder, struct lun_path *ret)
{
	char name[64], class[PATH_MAX];

	if (part_of_way(folder, "/host", name)) {
		snprintf(class, sizeof(class), "%.1000s/class/fc_host/%s", sys, name);
		read_attribute(class, "port_name", ret->initiator, sizeof(ret->initiator));
	}
	if (part_of_way(folder, "/rport-", name)) {
		snprintf(class, sizeof(class), "%.1000s/class/fc_remote_ports/%s", sys, name);
		read_attribute(class, "port_name", ret->target, sizeof(ret->target));
	}
}

/* The only entry's name, or the first one's, of a folder; "" when it is empty. */
static void first_entry(const char *folder, const char *name, char ret[32])
{
	char path[PATH_MAX];
	_cleanup_(closedir_p) DIR *entries = NULL;
	const struct dirent *entry;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "%.2000s/%s", folder, name);
	entries = opendir(path);
	while (entries && (entry = readdir(entries)))
		if (entry->d_name[0] != '.' && (ret[0] == '\0' || strcmp(entry->d_name, ret) < 0))
			snprintf(ret, 32, "%.31s", entry->d_name);
}

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_disk(const char *folder, const char *name)
{
	static const char *const others[] = {"ram", "zram", "sr", "fd", "md", "dm-"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (starts(name, others[i]))
			return false;
	return read_number(folder, "removable") == 0;
}

/* False: not a disk, or one without a size. */
static bool read_disk(const struct disk_sources *from, const char *name, struct disk *ret)
{
	char link[PATH_MAX], folder[PATH_MAX], uuid[200] = "";
	struct lun *lun = &ret->lun;

	snprintf(link, sizeof(link), "%.1000s/block/%.31s", from->sys, name);
	if (!realpath(link, folder))
		return false;
	read_attribute(folder, "dm/uuid", uuid, sizeof(uuid));
	lun->multipath = starts(uuid, "mpath-");
	if (!lun->multipath && !is_disk(folder, name))
		return false;
	snprintf(ret->name, sizeof(ret->name), "%.31s", name);
	lun->size = read_number(folder, "size") * 512; /* sysfs counts so, whatever the sectors are */
	if (lun->size == 0)
		return false;
	lun->sector_size = (unsigned)read_number(folder, "queue/logical_block_size");
	lun->read_only = read_number(folder, "ro") != 0;
	lun->number = -1;
	first_entry(folder, "holders", ret->map);
	if (lun->multipath)
		return true;
	snprintf(lun->transport, sizeof(lun->transport), "%s", transport_of(folder));
	read_attribute(folder, "device/vendor", lun->vendor, sizeof(lun->vendor));
	read_attribute(folder, "device/model", lun->model, sizeof(lun->model));
	read_serial(folder, lun);
	if (!read_attribute(folder, "device/wwid", lun->wwid, sizeof(lun->wwid)))
		read_attribute(folder, "wwid", lun->wwid, sizeof(lun->wwid));
	lun->n_paths = 1;
	snprintf(lun->paths[0].device, sizeof(lun->paths[0].device), "%.31s", name);
	if (!read_attribute(folder, "device/state", lun->paths[0].state, sizeof(lun->paths[0].state)))
		lun->paths[0].state[0] = '\0';
	read_ports(from->sys, folder, &lun->paths[0]);
	return true;
}

/* `path` is a way to the disk `to`, which says of itself what its ways say. */
static void join(struct disk *to, struct disk *path)
{
	struct lun *lun = &to->lun;

	path->taken = true;
	if (lun->n_paths == LUN_PATHS_MAX)
		return;
	if (lun->n_paths == 0) {
		memcpy(lun->transport, path->lun.transport, sizeof(lun->transport));
		memcpy(lun->vendor, path->lun.vendor, sizeof(lun->vendor));
		memcpy(lun->model, path->lun.model, sizeof(lun->model));
		memcpy(lun->serial, path->lun.serial, sizeof(lun->serial));
		memcpy(lun->wwid, path->lun.wwid, sizeof(lun->wwid));
	}
	lun->paths[lun->n_paths++] = path->lun.paths[0];
}

static void join_paths(struct disk *disks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; disks[i].lun.multipath && k < n; k++)
			if (!disks[k].lun.multipath && strcmp(disks[k].map, disks[i].name) == 0)
				join(&disks[i], &disks[k]);
	/* Two ways without multipath: one disk all the same. */
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; !disks[i].taken && disks[i].lun.wwid[0] && k < n; k++)
			if (!disks[k].taken && !disks[k].lun.multipath &&
			    strcmp(disks[k].lun.wwid, disks[i].lun.wwid) == 0)
				join(&disks[i], &disks[k]);
}

/* Of the names under by-id the last in order, by which a WWN comes before what a driver made up. */
static void find_path(const struct disk_sources *from, struct disk *disk)
{
	char folder[PATH_MAX], link[PATH_MAX], to[PATH_MAX], best[200] = "";
	_cleanup_(closedir_p) DIR *entries = NULL;
	const struct dirent *entry;

	snprintf(folder, sizeof(folder), "%.1000s/disk/by-id", from->dev);
	entries = opendir(folder);
	while (entries && (entry = readdir(entries))) {
		ssize_t n;

		snprintf(link, sizeof(link), "%.1100s/%.255s", folder, entry->d_name);
		n = readlink(link, to, sizeof(to) - 1);
		if (n <= 0)
			continue;
		to[n] = '\0';
		if (strcmp(strrchr(to, '/') ? strrchr(to, '/') + 1 : to, disk->name) == 0 &&
		    strcmp(entry->d_name, best) > 0 && strlen(entry->d_name) < sizeof(best))
			strcpy(best, entry->d_name);
	}
	if (best[0])
		snprintf(disk->lun.path, sizeof(disk->lun.path), "%.40s/disk/by-id/%s", from->dev, best);
	else
		snprintf(disk->lun.path, sizeof(disk->lun.path), "%.200s/%s", from->dev, disk->name);
}

static void set_use(struct lun *lun, int found, const char *text)
{
	lun->use = found > 0 ? LUN_USED : found == 0 ? LUN_FREE : LUN_UNKNOWN;
	snprintf(lun->holds, sizeof(lun->holds), "%.255s",
		 found > 0	       ? text
		 : found == -ETIMEDOUT ? "did not answer"
		 : found < 0	       ? strerror(-found)
				       : "");
}

/* All are asked at once, for as long as there is time; then each that has not answered is unknown. */
static int find_uses(const struct disk_sources *from, struct disk *disks, size_t n, mono_t deadline)
{
	_cleanup_free_ struct content_child *children = calloc(n + 1, sizeof(*children));

	if (!children)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		char path[PATH_MAX], text[CONTENT_TEXT_SIZE];
		int r;

		if (disks[i].map[0]) {
			snprintf(text, sizeof(text), "in use by %s", disks[i].map);
			set_use(&disks[i].lun, 1, text);
			continue;
		}
		snprintf(path, sizeof(path), "%.1000s/%s", from->dev, disks[i].name);
		r = content_child_start(path, &children[i]);
		if (r < 0)
			set_use(&disks[i].lun, r, "");
	}
	for (size_t i = 0; i < n; i++) {
		char text[CONTENT_TEXT_SIZE] = "";

		if (children[i].pid > 0)
			set_use(&disks[i].lun, content_child_end(&children[i], deadline, text), text);
	}
	return 0;
}

static int list_disks(const struct disk_sources *from, struct disk **ret, size_t *ret_n)
{
	_cleanup_free_ struct disk *disks = NULL;
	struct dirent **entries = NULL;
	char path[PATH_MAX];
	size_t n = 0;
	int count;

	snprintf(path, sizeof(path), "%.1000s/block", from->sys);
	count = scandir(path, &entries, NULL, versionsort);
	if (count < 0)
		return -errno;
	disks = calloc((size_t)count + 1, sizeof(*disks));
	for (int i = 0; i < count; i++) {
		if (disks && entries[i]->d_name[0] != '.') {
			memset(&disks[n], 0, sizeof(disks[n]));
			n += read_disk(from, entries[i]->d_name, &disks[n]);
		}
		free(entries[i]);
	}
	free(entries);
	if (!disks)
		return -ENOMEM;
	*ret = TAKE_PTR(disks);
	*ret_n = n;
	return 0;
}

int disks_find(const struct disk_sources *from, bool fc_only, mono_t deadline, struct lun **ret,
	       size_t *ret_n, char ret_why[DISCOVERY_WHY_SIZE])
{
	_cleanup_free_ struct disk *disks = NULL;
	_cleanup_free_ struct lun *luns = NULL;
	size_t n = 0, kept = 0;
	int r;

	r = list_disks(from, &disks, &n);
	if (r == 0)
		join_paths(disks, n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (!disks[i].taken && (!fc_only || strcmp(disks[i].lun.transport, "fc") == 0)) {
			if (kept != i)
				disks[kept] = disks[i];
			kept++;
		}
	if (r == 0)
		r = find_uses(from, disks, kept, deadline);
	luns = r == 0 ? calloc(kept + 1, sizeof(*luns)) : NULL;
	if (r == 0 && !luns)
		r = -ENOMEM;
	if (r < 0) {
		snprintf(ret_why, DISCOVERY_WHY_SIZE, "%.200s/block: %s", from->sys, strerror(-r));
		return r;
	}
	for (size_t i = 0; i < kept; i++) {
		find_path(from, &disks[i]);
		luns[i] = disks[i].lun;
	}
	*ret = TAKE_PTR(luns);
	*ret_n = kept;
	return 0;
}
