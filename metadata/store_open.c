/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which kind of store a spec means. It may not touch storage: each kind opens lazily. Called by the
 * broker and the tests. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "metadata/store_kinds.h"

struct kind {
	const char *scheme; /* with its :// */
	int (*make)(const struct store_url *url, const struct store_access *access, struct loop *loop,
		    struct store **ret, char *what, size_t size);
};

static const struct kind kinds[] = {
	{"nfs://", store_nfs_new},
	{"iscsi://", store_iscsi_new},
};

static const struct kind *kind_of(const char *spec)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(spec, kinds[i].scheme, strlen(kinds[i].scheme)) == 0)
			return &kinds[i];
	return NULL;
}

static int make_path(const char *spec, struct loop *loop, struct store **ret, char *what, size_t size)
{
	int r = store_path_new(spec, loop, ret);

	if (r == 0)
		store_path_fix_end(*ret);
	if (r == -EINVAL)
		snprintf(what, size,
			 "is no PATH or PATH:OFFSET; the path begins with / and the offset is a multiple "
			 "of 512");
	return r;
}

static int make(const char *spec, const struct store_access *access, struct loop *loop, struct store **ret,
		char *what, size_t size)
{
	const struct kind *kind = kind_of(spec);
	struct store_url url;
	int r;

	snprintf(what, size, "can't be used");
	if (!kind && strstr(spec, "://")) {
		snprintf(what, size,
			 "is of no kind that is known; give a PATH, or an address of nfs:// or iscsi://");
		return -EINVAL;
	}
	if (!kind)
		return loop ? make_path(spec, loop, ret, what, size) : 0;
	r = store_url_parse(spec, &url, what, size);
	if (r < 0)
		return r;
	r = kind->make(&url, access, loop, ret, what, size);
	store_url_done(&url);
	return r;
}

int store_open(const char *spec, const struct store_access *access, struct loop *loop, struct store **ret,
	       char *what, size_t size)
{
	assert(spec && access && loop && ret && what && size);
	return make(spec, access, loop, ret, what, size);
}

int store_check(const char *spec, const struct store_access *access, char *what, size_t size)
{
	assert(spec && access && what && size);
	return make(spec, access, NULL, NULL, what, size);
}
