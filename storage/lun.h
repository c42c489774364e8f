/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk that a domain could be laid out on, as discovery found it. Text is what devices and servers said,
 * any bytes; "" where it is not known. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "storage/content_probe.h"

#define LUN_PATHS_MAX 16
#define DISCOVERY_WHY_SIZE 512

enum lun_use { LUN_UNKNOWN, LUN_FREE, LUN_USED };

struct lun_path {
	char device[32];    /* the kernel's name */
	char state[16];	    /* as the kernel says: running, offline .. */
	char initiator[40]; /* Fibre Channel: the host's port */
	char target[40];    /* Fibre Channel: the storage's port */
};

struct lun {
	char path[256];	    /* the device to use: of all its names the one that stays; "" where it has none */
	char transport[16]; /* fc iscsi nvme virtio usb ata loop other */
	char vendor[40], model[80], serial[128], wwid[160];
	uint64_t size;	      /* bytes */
	unsigned sector_size; /* bytes */
	bool read_only;
	bool multipath; /* a multipath map: `path` goes on when a path of it dies */
	int number;	/* of the LUN at its target, -1: not asked for */
	enum lun_use use;
	char holds[CONTENT_TEXT_SIZE]; /* what it is used for, or why that is unknown */
	struct lun_path paths[LUN_PATHS_MAX];
	unsigned n_paths;
};
