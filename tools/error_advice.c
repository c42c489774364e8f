/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what is worth trying after an error, from its number alone. Called by the commands that read or
 * write files and the shared storage. */
#include "tools/error_advice.h"

#include <errno.h>
#include <stddef.h>

const char *error_advice(int error)
{
	static const struct {
		int error;
		const char *words;
	} rows[] = {
		{EACCES, "; run this command as root, and see whom the storage lets in"},
		{EPERM, "; run this command as root"},
		{ENOENT, "; check the path, and connect shared storage: hosted-engine --connect-storage"},
		{ENOTDIR, "; check the path"},
		{ENAMETOOLONG, "; check the path"},
		{EISDIR, "; give a file"},
		{ENXIO, "; connect the storage again: hosted-engine --connect-storage"},
		{ENODEV, "; connect the storage again: hosted-engine --connect-storage"},
		{ENOTCONN, "; connect the storage again: hosted-engine --connect-storage"},
		{ESTALE, "; connect the storage again: hosted-engine --connect-storage"},
		{EIO, "; mend the storage, then try again"},
		{ETIMEDOUT, "; see that the storage answers, then try again"},
		{ECONNREFUSED, "; see that the storage's server runs, then try again"},
		{EHOSTUNREACH, "; see that the storage's server can be reached, then try again"},
		{ENOSPC, "; make room"},
		{EDQUOT, "; make room"},
		{EROFS, "; make the file system writable"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (error == -rows[i].error)
			return rows[i].words;
	return "";
}
