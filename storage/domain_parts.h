/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What domain.c, domain_files.c and domain_lun.c share: the two kinds of storage, and what both write into
 * the areas. Called by no other file. */
#pragma once

#include "storage/domain.h"

/* Says why in the caller's buffer; returns `error`, for `return domain_why(..)`. */
int domain_why(char ret_why[DOMAIN_WHY_SIZE], int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A kind of storage, whose path is known to be of it. As domain_format(), which reads back itself,
 * domain_read(), domain_vacant(), and domain_erase() once it is known whose it is. */
struct domain_kind {
	int (*format)(const struct domain_request *request, char ret_why[DOMAIN_WHY_SIZE]);
	int (*read)(const char *path, unsigned sector_size, struct domain *ret,
		    char ret_why[DOMAIN_WHY_SIZE]);
	int (*vacant)(const char *path, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE]);
	int (*erase)(const char *path, unsigned sector_size, char ret_why[DOMAIN_WHY_SIZE]);
};
extern const struct domain_kind domain_files, domain_lun, domain_share;

/* The areas of a domain of files are as large as they have to be; says of which sectors. 0 or -EBADMSG. */
int domain_files_judge(const char *path, struct domain *domain, char ret_why[DOMAIN_WHY_SIZE]);

/* Zeros from `at` on, in large pieces. Not durable. 0 or -errno. */
int area_clear(int fd, uint64_t at, uint64_t size);
/* The block that says whose whiteboard it is; `metadata` is the whiteboard's first byte. Not durable. */
int area_put_identity(int fd, uint64_t metadata, const struct identity *identity);
/* 0, -ENODATA: absent, -EBADMSG, or what reading gave. */
int area_get_identity(int fd, uint64_t metadata, struct identity *ret);
/* Lockspace and leases at the places that `layout` has in these files, or in the LUN that is both. Durable.
 */
int area_put_leases(int lockspace, int leases, const struct domain_layout *layout,
		    const struct domain_request *request);
