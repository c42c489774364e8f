/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The address of another host's libvirt, from a pattern such as qemu+tls://{host}/system and a host name that
 * stood on the whiteboard: anybody may have written that, so only what a host name may hold gets into an
 * address. Pure. Called by agent_conf.c and libvirt_call.c. */
#pragma once

#include <stdbool.h>

#define MIGRATION_URI_MAX 512

/* What is wrong with a pattern and what to do, NULL: nothing. */
const char *migration_uri_check(const char *pattern);
/* 0; -EINVAL: that is no host's name (letters, digits, `-` and `.`, 1 to 253 of them). `pattern` is right. */
int migration_uri_make(const char *pattern, const char *host, char ret[MIGRATION_URI_MAX]);
/* Memory is to go over the network as it is: only where the administrator has chosen so for libvirt, too. */
bool migration_uri_plain(const char *pattern);
