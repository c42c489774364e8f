/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real VM port: libvirt, behind threads, since any of its calls may block for as long as libvirtd hangs.
 * Used by agent_main.c alone. */
#pragma once

#include <limits.h>

#include "daemon/vm_port.h"

struct libvirt_config {
	char uri[256];	    /* qemu:///system */
	char uuid[37];	    /* the engine's, lower case */
	char xml[PATH_MAX]; /* the file with the domain's XML */
	char lockspace[48];
	char lease_name[48];
	char lease_path[PATH_MAX];
	uint64_t lease_offset;	     /* bytes */
	char disk[PATH_MAX];	     /* the VM's disk, "": not configured */
	char migration_uri[256];     /* see util/migration_uri.h */
	int32_t migration_bandwidth; /* MiB/s, 0 no limit */
	int64_t migration_downtime;  /* ms, 0 QEMU's own */
};

struct loop;

/* Connects at the first look. 0 or -errno. At most one per process: libvirt's event loop is the process's. */
int vm_libvirt_new(const struct libvirt_config *config, struct loop *loop, struct vm_port **ret);
