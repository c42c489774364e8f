/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this host calls itself to iSCSI targets where nobody gave it a name: the same for whoever asks, since
 * targets let names in. Pure. */
#pragma once

#define INITIATOR_NAME_SIZE 224 /* the standard's 223 bytes */

/* Of any host name: lower-case letters, digits, '.', '-' and ':' stay, all else becomes '-'. */
void initiator_name(const char *host, char ret[INITIATOR_NAME_SIZE]);
