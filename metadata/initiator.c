/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides the name of this host as an initiator. Called by the iSCSI store and by discovery. */
#include "metadata/initiator.h"

#include <stdio.h>
#include <string.h>

void initiator_name(const char *host, char ret[INITIATOR_NAME_SIZE])
{
	snprintf(ret, INITIATOR_NAME_SIZE, "iqn.2014-07.org.ovirt:%s", host);
	for (char *c = ret; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
		else if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789.-:", *c))
			*c = '-';
}
