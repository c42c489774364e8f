/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The networked kinds of stores, for metadata/store_open.c alone: everybody else opens a store by its spec.
 */
#pragma once

#include "metadata/store.h"
#include "metadata/store_url.h"

/* 0; -EINVAL with what is wrong, and what to do, in `what`; another -errno. `loop` NULL: the spec is checked
 * and nothing made. */
int store_nfs_new(const struct store_url *url, const struct store_access *access, struct loop *loop,
		  struct store **ret, char *what, size_t size);
int store_iscsi_new(const struct store_url *url, const struct store_access *access, struct loop *loop,
		    struct store **ret, char *what, size_t size);
