/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What storage servers offer over the network: iSCSI targets with their LUNs, and NFS exports. All calls wait
 * until the deadline at most, but for the resolver of host names, which has a time of its own. What they give
 * is for the matching _free(). Texts are the server's, any bytes. */
#pragma once

#include <stddef.h>

#include "storage/lun.h"
#include "util/mono.h"

#define TARGET_NAME_SIZE 224
#define TARGET_PORTALS_MAX 8

struct iscsi_query {
	const char *portal;	   /* HOST or HOST:PORT, an IPv6 address in brackets */
	const char *initiator;	   /* this host's iqn */
	const char *user, *secret; /* CHAP; NULL: none */
};

struct iscsi_target {
	char iqn[TARGET_NAME_SIZE];
	char portals[TARGET_PORTALS_MAX][80];
	unsigned n_portals;
	char trouble[256]; /* why its LUNs are not known, "": they are */
	struct lun *luns;
	size_t n_luns;
};

/* 0, or -errno with a line in `ret_why`. A target that refuses is an entry with its trouble. */
int iscsi_targets_find(const struct iscsi_query *query, mono_t deadline, struct iscsi_target **ret,
		       size_t *ret_n, char ret_why[DISCOVERY_WHY_SIZE]);
void iscsi_targets_free(struct iscsi_target *targets, size_t n);

struct nfs_export {
	char *path;
	char *clients; /* who may mount it, as the server says, with blanks between; "": it does not say */
};

/* port 0: the server's own portmapper is asked for the one of its mount service. */
int nfs_exports_find(const char *server, uint16_t port, mono_t deadline, struct nfs_export **ret,
		     size_t *ret_n, char ret_why[DISCOVERY_WHY_SIZE]);
void nfs_exports_free(struct nfs_export *exports, size_t n);
