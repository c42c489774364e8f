/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a domain writes to the disk that is configured (safety rule 8). Used by libvirt_call.c alone. */
#pragma once

#include "daemon/domain_xml.h"
#include "metadata/backing.h"

/* 0: `disk` is one of the domain's writable disks, or that can't be told, or `disk` is "" (not configured).
 * -EINVAL: it certainly is none, with the reason in `why`; or an error of domain_xml_disks(). Blocks while a
 * storage hangs. */
int domain_disk_check(const struct backing_sources *from, const char *text, size_t length, const char *disk,
		      char why[DOMAIN_WHY_MAX]);
