/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine domain's XML: what libvirt is given, and whether what it runs is still that. Pure text in, text
 * out: it reads no file and asks nobody. It refuses rather than repairs wherever the writer may have meant
 * something else (safety rule 1). Called by the libvirt port before a start and before a resume, and by the
 * agent's local port for the VM's memory. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOMAIN_XML_MAX (1024 * 1024) /* bytes; a domain of 200 disks has 100 KiB */
#define DOMAIN_WHY_MAX 256

#define DOMAIN_DISKS_MAX 8

/* The disks that the domain writes to. */
struct domain_disks {
	size_t n; /* files and block devices, in the XML's order */
	char paths[DOMAIN_DISKS_MAX][PATH_MAX / 4];
	bool others; /* there are more, or some that have no path here: of a network, of a pool */
};

/* The engine lease as it has to stand in the domain. All strings non-empty. */
struct domain_lease {
	const char *lockspace;
	const char *key;  /* the resource's name */
	const char *path; /* of the leases' file or device */
	uint64_t offset;  /* bytes */
};

/* The text of the configured domain becomes the text to start: with our lease and `poweroff` when it is lost.
 * 0 and *ret_xml (to free) and *ret_memory_mib (rounded up, 0: not given); -EFBIG too long; -EBADMSG not
 * well-formed, or with a DTD; -EINVAL a domain that must not be started, with the reason in `why`. */
int domain_xml_prepare(const char *text, size_t length, const char *uuid, const struct domain_lease *lease,
		       char **ret_xml, int32_t *ret_memory_mib, char why[DOMAIN_WHY_MAX]);

/* The live XML of a domain that was created: 0 when it would run under our lease alone, else as above. */
int domain_xml_check(const char *text, size_t length, const char *uuid, const struct domain_lease *lease,
		     char why[DOMAIN_WHY_MAX]);

/* 0 and *ret, or -EFBIG, -EBADMSG, -EINVAL as above: not a domain. */
int domain_xml_disks(const char *text, size_t length, struct domain_disks *ret, char why[DOMAIN_WHY_MAX]);
