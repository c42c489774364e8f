/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The volume of the shared configuration in memory, for tests: a store whose operations end when the test
 * lets them, whose writes are kept, and can be lost or refused. Archives are known by a number. */
#pragma once

#include "metadata/conf_transfer.h"

#define SECTOR 512
#define SECTORS (BLOCK_SIZE / SECTOR)
#define WRITES_MAX 32
#define ENDLESS 100000

struct written {
	uint32_t block;
	uint8_t data[BLOCK_SIZE];
};

struct conf_disk {
	struct store store;
	struct clock_port clock;
	mono_t now;
	uint8_t bytes[CONF_VOLUME_BLOCKS * BLOCK_SIZE];
	struct store_op *op;	     /* under way */
	unsigned ops, writes;	     /* of this transfer */
	unsigned fail_at;	     /* the operation that ends with -EIO */
	unsigned lose_at;	     /* the write that is lost */
	unsigned ms_per_op;	     /* what each takes */
	void (*before)(unsigned op); /* called before operation `op`, a read */
	struct written log[WRITES_MAX];

	struct conf_transfer transfer;
	unsigned ended;
	int error;
};
extern struct conf_disk disk;

int disk_setup(void **state);
int disk_teardown(void **state);

/* A transfer may begin, with a second until its deadline; disk_finish() takes it to its end. */
void disk_begin(void);
int disk_finish(void);
/* Both at once; what done() was told. */
int read_volume(void);
int write_volume(unsigned number, const struct conf_place *expected);
/* An archive without a head at the volume's begin. */
void disk_put_plain(unsigned number);

/* Of more than a block. */
void make_archive(unsigned number, struct conf_archive *ret);
/* Fails the test where the archive is not one of those, whole. */
unsigned number_of(const struct conf_archive *found);
/* Of what counts; there has to be something. */
unsigned number_read(void);
/* What a tar that reads the volume from its begin finds. 0: nothing. */
unsigned number_by_tar(void);
