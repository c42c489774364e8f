/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks through a reading (both heads, then the archives that they name until one is whole) and through a
 * writing (a reading, the blocks of the plan, a reading). Decides when what was read counts; where things lie
 * and in which order they are written is conf_layout.c's. It may not take the lease, nor log. Called by the
 * broker and the tools. */
#include "metadata/conf_transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "util/cleanup.h"

#define QUEUE STORE_QUEUE_GLOBAL /* the cluster's; one at a time */
/* A reader without the lease can be overtaken: the slot it reads is written anew after two writings. */
#define TRIES 3

static struct conf_transfer *transfer_of(struct store_op *op)
{
	return (struct conf_transfer *)((char *)op - offsetof(struct conf_transfer, op));
}

static void transfer_end(struct conf_transfer *transfer, int error)
{
	free(TAKE_PTR(transfer->packed));
	free(TAKE_PTR(transfer->blocks));
	transfer->done(transfer, error); /* last: it may start the next one */
}

/* Each step goes on with the next one, or ends all and says 0, or says with which error all ends. */
static void op_done(struct store_op *op, int error)
{
	struct conf_transfer *transfer = transfer_of(op);

	if (error == 0)
		error = transfer->next(transfer);
	if (error < 0)
		transfer_end(transfer, error);
}

/* Nothing is begun after the deadline: the lease may be another's by then. */
static int op_prepare(struct conf_transfer *transfer, int (*next)(struct conf_transfer *transfer))
{
	transfer->op = (struct store_op){.done = op_done, .deadline = transfer->deadline};
	transfer->next = next;
	return transfer->clock->now(transfer->clock) >= transfer->deadline ? -ETIMEDOUT : 0;
}

static int read_blocks(struct conf_transfer *transfer, uint32_t first, uint32_t count, uint8_t *blocks,
		       int (*next)(struct conf_transfer *transfer))
{
	int r = op_prepare(transfer, next);

	return r < 0 ? r : transfer->store->read(transfer->store, QUEUE, first, count, blocks, &transfer->op);
}

static int first_read(struct conf_transfer *transfer);

static int read_heads(struct conf_transfer *transfer)
{
	transfer->place_count = 0;
	return read_blocks(transfer, CONF_FIRST_BLOCK, 1, transfer->first, first_read);
}

/* `found` is told 0, -ENODATA or -EBADMSG; another error ends all. */
static int reading_begin(struct conf_transfer *transfer,
			 int (*found)(struct conf_transfer *transfer, int error))
{
	transfer->found = found;
	transfer->tries = 0;
	return read_heads(transfer);
}

static int reading_failed(struct conf_transfer *transfer)
{
	return ++transfer->tries < TRIES ? read_heads(transfer) : transfer->found(transfer, -EBADMSG);
}

static int place_read(struct conf_transfer *transfer);

static int read_place(struct conf_transfer *transfer)
{
	const struct conf_place *place = &transfer->places[transfer->place_at];
	uint32_t count = (place->length + BLOCK_SIZE - 1) / BLOCK_SIZE;

	transfer->blocks = malloc((size_t)count * BLOCK_SIZE);
	return transfer->blocks ? read_blocks(transfer, place->first, count, transfer->blocks, place_read)
				: -ENOMEM;
}

static int place_read(struct conf_transfer *transfer)
{
	_cleanup_free_ uint8_t *blocks = TAKE_PTR(transfer->blocks);
	struct conf_place place = transfer->places[transfer->place_at];
	uint32_t crc = (uint32_t)crc32(0, blocks, place.length);
	struct conf_archive archive;
	int r = -EBADMSG;

	if (place.generation > 0 && crc != place.crc32)
		snprintf(transfer->cause, sizeof(transfer->cause), "generation %" PRIu64 ": bad CRC",
			 place.generation);
	else
		r = conf_archive_unpack(blocks, place.length, &archive, transfer->cause);
	if (r == 0) {
		place.crc32 = crc;
		transfer->place = place;
		conf_archive_done(&transfer->archive);
		transfer->archive = archive;
		return transfer->found(transfer, 0);
	}
	if (r != -EBADMSG)
		return r;
	return ++transfer->place_at < transfer->place_count ? read_place(transfer) : reading_failed(transfer);
}

static int spare_read(struct conf_transfer *transfer)
{
	int r = conf_heads_decode(transfer->first, transfer->spare, &transfer->heads);

	if (r == -ENODATA)
		return transfer->found(transfer, r);
	if (r < 0) {
		snprintf(transfer->cause, sizeof(transfer->cause), "neither a head nor an archive");
		return reading_failed(transfer);
	}
	transfer->place_count = conf_heads_places(&transfer->heads, transfer->places);
	transfer->place_at = 0;
	return read_place(transfer);
}

static int first_read(struct conf_transfer *transfer)
{
	return read_blocks(transfer, CONF_SPARE_BLOCK, 1, transfer->spare, spare_read);
}

static bool same_archive(const struct conf_place *a, const struct conf_place *b)
{
	return a->generation == b->generation && a->length == b->length && a->crc32 == b->crc32;
}

static int found_back(struct conf_transfer *transfer, int error)
{
	/* Another writer, without the lease, or a storage that loses writes. */
	if (error < 0 || !same_archive(&transfer->place, &transfer->plan.next))
		return -EIO;
	transfer_end(transfer, 0);
	return 0;
}

static int write_next(struct conf_transfer *transfer)
{
	uint8_t data[BLOCK_SIZE];
	uint32_t block;
	int r;

	if (transfer->step == transfer->plan.count)
		return reading_begin(transfer, found_back);
	r = conf_plan_block(&transfer->plan, transfer->step++, &block, data);
	if (r == 0)
		r = op_prepare(transfer, write_next);
	return r < 0 ? r : transfer->store->write(transfer->store, QUEUE, block, data, &transfer->op);
}

static int found_old(struct conf_transfer *transfer, int error)
{
	int r;

	if (transfer->checked && error == -EBADMSG)
		return error;
	if (transfer->checked && !same_archive(&transfer->place, &transfer->expected))
		return -ESTALE;
	r = conf_plan_init(&transfer->plan, transfer->place_count > 0 ? &transfer->heads : NULL,
			   &transfer->place, transfer->first, transfer->packed, transfer->packed_size);
	transfer->step = 0;
	return r < 0 ? r : write_next(transfer);
}

static int found_for_reader(struct conf_transfer *transfer, int error)
{
	if (error == 0)
		transfer_end(transfer, 0);
	return error;
}

static void forget(struct conf_transfer *transfer)
{
	conf_archive_done(&transfer->archive);
	transfer->place = (struct conf_place){0};
	transfer->cause[0] = '\0';
}

int conf_read(struct conf_transfer *transfer)
{
	forget(transfer);
	return reading_begin(transfer, found_for_reader);
}

int conf_write(struct conf_transfer *transfer, const struct conf_archive *archive,
	       const struct conf_place *expected)
{
	int r = conf_archive_pack(archive, &transfer->packed, &transfer->packed_size);

	if (r < 0)
		return r;
	transfer->checked = expected != NULL;
	if (expected)
		transfer->expected = *expected;
	forget(transfer); /* last: the two may be what it found */
	r = reading_begin(transfer, found_old);
	if (r < 0)
		free(TAKE_PTR(transfer->packed));
	return r;
}

void conf_transfer_done(struct conf_transfer *transfer)
{
	if (!transfer)
		return;
	free(TAKE_PTR(transfer->packed));
	free(TAKE_PTR(transfer->blocks));
	conf_archive_done(&transfer->archive);
}
