/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads a domain's XML, no more of it than a domain can have, and nothing but a regular file: a FIFO or a
 * device would hold the thread. What the text must be is domain_xml.c's. Called by libvirt_port.c and
 * local_files.c in their threads. */
#include "daemon/domain_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"

static int read_text(const char *path, char **ret, size_t *ret_length)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t length = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > DOMAIN_XML_MAX)
		return -EFBIG;
	text = malloc(DOMAIN_XML_MAX + 1);
	if (!text)
		return -ENOMEM;
	while (length < DOMAIN_XML_MAX) {
		ssize_t n = read(fd, text + length, DOMAIN_XML_MAX - length);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	text[length] = '\0';
	*ret = TAKE_PTR(text);
	*ret_length = length;
	return 0;
}

int domain_file_prepare(const char *path, const char *uuid, const struct domain_lease *lease, char **ret_xml,
			int32_t *ret_memory_mib, char why[DOMAIN_WHY_MAX])
{
	_cleanup_free_ char *text = NULL;
	size_t length = 0;
	int r;

	why[0] = '\0';
	r = read_text(path, &text, &length);
	if (r < 0) {
		snprintf(why, DOMAIN_WHY_MAX, "the VM's configuration can't be read: %s",
			 r == -EINVAL ? "not a regular file" : strerror(-r));
		return r;
	}
	r = domain_xml_prepare(text, length, uuid, lease, ret_xml, ret_memory_mib, why);
	if (r < 0 && !why[0])
		snprintf(why, DOMAIN_WHY_MAX, "%s", strerror(-r));
	return r;
}
