/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a write by libnfs failed. Of one by version 3 the library keeps the server's answer, such as a full
 * disk, in its text alone: "NFS: Write failed with NFS3ERR_NOSPC(-28)". What it says of itself ends with no
 * number. */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <nfsc/libnfs.h>

/* `error` is what the write ended with. The server's -errno, or `error` where it said nothing. */
static inline int nfs_write_error(int error, struct nfs_context *nfs)
{
	const char *text = nfs_get_error(nfs), *number = text ? strrchr(text, '(') : NULL;
	long said = number ? strtol(number + 1, NULL, 10) : 0;

	return error == -EFAULT && said < 0 && said > -4096 ? (int)said : error;
}
