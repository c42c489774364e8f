/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what may stand in the address of another host's libvirt. It asks nobody. */
#include "util/migration_uri.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PLACE "{host}"
#define NAME_MAX_LENGTH 253
#define NAME_SET "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."

const char *migration_uri_check(const char *pattern)
{
	const char *place = strstr(pattern, PLACE);

	if (strncmp(pattern, "qemu+", strlen("qemu+")) != 0 || !strstr(pattern, "://"))
		return "is no address of another host's libvirt; give one like qemu+tls://{host}/system";
	if (!place || strstr(place + strlen(PLACE), PLACE))
		return "does not have {host} once, for the other host's name; give one like "
		       "qemu+tls://{host}/system";
	return NULL;
}

int migration_uri_make(const char *pattern, const char *host, char ret[MIGRATION_URI_MAX])
{
	const char *place = strstr(pattern, PLACE);
	size_t length = strlen(host);
	int n;

	if (length == 0 || length > NAME_MAX_LENGTH || strspn(host, NAME_SET) != length || host[0] == '-' ||
	    host[0] == '.' || !place)
		return -EINVAL;
	n = snprintf(ret, MIGRATION_URI_MAX, "%.*s%s%s", (int)(place - pattern), pattern, host,
		     place + strlen(PLACE));
	return n < MIGRATION_URI_MAX ? 0 : -EINVAL;
}

bool migration_uri_plain(const char *pattern)
{
	return strncmp(pattern, "qemu+tcp:", strlen("qemu+tcp:")) == 0;
}
