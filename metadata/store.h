/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store port: what carries the whiteboard. Real ones do their I/O on workers or asynchronous libraries;
 * an operation that is late ends with -ETIMEDOUT at its deadline, by the loop, whatever its I/O does (a
 * timed-out write can still land later). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "util/mono.h"

#define BLOCK_SIZE 4096
#define BLOCKS_MAX 2001 /* block 0 and one per host id; one more follows, see metadata/identity.h */

struct image;

/* One operation. Owned by the caller, must stay until done() was called. */
struct store_op {
	void (*done)(struct store_op *op,
		     int error); /* 0 or -errno; in the loop; called once; may start the op again */
	mono_t deadline;
	void *impl;
};

enum store_queue {		       /* they do not wait for each other */
		   STORE_QUEUE_OWN,    /* the own block */
		   STORE_QUEUE_GLOBAL, /* block 0 */
		   STORE_QUEUE_SCAN,   /* the others' blocks */
		   STORE_QUEUE_COUNT
};

struct store_health {
	mono_t last_read, last_write; /* ends of the last good ones, MONO_UNSET never */
	int64_t read_ms, write_ms;    /* how long those took */
	mono_t stuck_since;	      /* begin of the oldest operation that is late, MONO_UNSET none */
	unsigned stuck;		      /* threads left behind */
};

struct store {
	/* Reads `count` blocks from block `first` into `blocks` (BLOCK_SIZE each; valid until done). What
	 * lies beyond the end of the file reads as zeros. 0: under way. -EBUSY: the queue has one under way.
	 * -ETIMEDOUT: as many threads as may hang do so in earlier operations; nothing was begun. */
	int (*read)(struct store *store, enum store_queue queue, uint32_t first, uint32_t count,
		    uint8_t *blocks, struct store_op *op);
	/* As read(), but what was read are images (metadata/image.h): `images` (valid until done) has one per
	 * block, which the caller drops, NULL for a block that begins with NUL; untouched on failure. A store
	 * that knows that a block has not changed gives the same image again, and nobody takes it apart
	 * twice. */
	int (*scan)(struct store *store, enum store_queue queue, uint32_t first, uint32_t count,
		    struct image **images, struct store_op *op);
	/* Writes one block, durable when done. The data is copied. -EFBIG: it lies beyond the end of
	 * the file or device; -EXDEV: a new connection to a server gives another identity block
	 * (metadata/identity.h) than was read last: nothing was written. */
	int (*write)(struct store *store, enum store_queue queue, uint32_t block, const uint8_t *data,
		     struct store_op *op);
	void (*health)(struct store *store, struct store_health *ret);
	/* done() of what is under way is never called. */
	void (*close)(struct store *store);
};

struct clock_port;
struct loop;

/* The store of a file or block device: `spec` is PATH[:OFFSET]. O_DIRECT with the alignment of 512 or 4096
 * byte sectors. Opens lazily in its workers, so it succeeds while the path is not there; the operations then
 * fail. 0 or -errno. */
int store_path_new(const char *spec, struct loop *loop, struct store **ret);
/* From now on a write beyond the end of the file fails with -EFBIG; before, it makes the file longer. */
void store_path_fix_end(struct store *store);

/* Who we are to a server that asks. Empty: it is not told. */
struct store_access {
	const char *user, *password; /* of iSCSI's CHAP */
	const char *host_name;	     /* of this host */
};

/* The store that `spec` means: PATH[:OFFSET], nfs://SERVER/EXPORT/FILE[?PARAMETERS] or
 * iscsi://PORTAL[,PORTAL..]/IQN/LUN[?PARAMETERS], see hosted-engine.conf(5). Opens lazily, so it succeeds
 * while server or path are not there. 0; -EINVAL with what is wrong and what to do in `what`, as in "names no
 * server; give .."; or another -errno. Keeps nothing of `spec` and `access`. */
int store_open(const char *spec, const struct store_access *access, struct loop *loop, struct store **ret,
	       char *what, size_t size);
/* The same for a networked spec without making anything; the form of a path is for who reads the
 * configuration. */
int store_check(const char *spec, const struct store_access *access, char *what, size_t size);
