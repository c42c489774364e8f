/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which blocks are read when, and whether the own block may be written. It may not write without the
 * host id joined, nor over a record of another host, nor a new timestamp for an agent that is silent. Called
 * by broker.c. */
#include "broker/board.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metadata/record.h"
#include "util/log.h"

#define SCAN_BLOCKS 250 /* about 1 MiB at a time */
#define CYCLE_BLOCKS 64
#define CLOSE_MS 1000
#define RETRY_MS 1000
#define DOMAIN_MS 60000
/* Which blocks are in use is known from the scan at start and from sanlock's hosts; a host on another
 * lockspace (safety rule 9) that began to write later is in neither. So one piece of CYCLE_BLOCKS a minute is
 * read whether in use or not: 256 KiB, 4.3 KiB/s, and all 2000 blocks within 33 minutes. */
#define RESCAN_MS 60000
/* What the gate was told may be so old, no older. */
#define GATE_FRESH_MS 3000

static void cycle(struct board *board);
static void publish_now(struct board *board);
static void read_done(struct store_op *op, int error);
static void own_done(struct store_op *op, int error);

static mono_t now_of(struct board *board)
{
	return board->clock->now(board->clock);
}

static void set_timer(struct board *board, struct timer *timer, int64_t ms)
{
	board->clock->set(board->clock, timer, mono_add(now_of(board), ms));
}

/* Says once per change of the error that the whiteboard can't be used, and where; and once that it can again.
 */
static void note_io(struct board *board, const char *what, int error, int *last, mono_t *failing_since)
{
	if (error < 0 && error != *last)
		log_warning("whiteboard can't be %s, tried again: %s %s; check that the storage is there and "
			    "that "
			    "the service's user may write it",
			    what, strerror(-error), board->place);
	else if (error == 0 && *failing_since != MONO_UNSET)
		log_info("whiteboard is %s again after_s=%lld", what,
			 (long long)((now_of(board) - *failing_since) / MONO_SECOND));
	*last = error;
	if (error == 0)
		*failing_since = MONO_UNSET;
	else if (*failing_since == MONO_UNSET)
		*failing_since = now_of(board);
}

static void note_read(struct board *board, int error)
{
	note_io(board, "read", error, &board->read_error, &board->read_failing_since);
}

static void note_write(struct board *board, int error)
{
	note_io(board, "written", error, &board->write_error, &board->write_failing_since);
}

/* Safety rule 8: whose whiteboard is it? Asked at the gate of a join, and by who finds the lockspace joined
 * already: the configuration or the storage may have changed since. */
static void judge_domain(struct board *board, const uint8_t block[BLOCK_SIZE])
{
	enum identity_match was = board->domain;

	board->domain = identity_compare(block, &board->identity);
	board->domain_at = now_of(board);
	if (was == board->domain)
		return;
	if (board->domain == IDENTITY_OTHER)
		log_error("%s; nothing is written to it and no VM is started: %s", other_domain_text,
			  board->place);
	else if (was == IDENTITY_OTHER)
		log_info("whiteboard is of our domain again");
	board->calls->changed(board->data);
}

bool board_other_domain(const struct board *board)
{
	return board->domain == IDENTITY_OTHER;
}

/* Safety rule 8: whose record stands in our block? One of another host name that changes is a host that
 * lives; a file system copied from a dead host holds one that does not change. */
static void judge_own(struct board *board, const uint8_t block[BLOCK_SIZE])
{
	mono_t now = now_of(board);
	struct record record;
	char cause[RECORD_CAUSE_SIZE];
	bool was = board->foreign, was_newer = board->own_fault == RECORD_TOO_NEW;

	board->own_fault = record_decode(block, board->host_id, &record, cause);
	/* Nothing that a newer version wrote is overwritten, however long it stands still. */
	if (board->own_fault == RECORD_TOO_NEW && !was_newer) {
		log_warning("our block is not overwritten id=%u: %s", board->host_id, cause);
		board->calls->changed(board->data);
	}
	if (board->own_fault != RECORD_OK || strcmp(record.hostname, board->hostname) == 0) {
		board->foreign = false;
		return;
	}
	if (!was || memcmp(board->foreign_block, block, BLOCK_SIZE) != 0) {
		/* While we are joined and have written, whoever replaces our record lives. */
		board->foreign_changed = was || board->ever_written ? now : MONO_UNSET;
		if (!was)
			board->foreign_since = now;
		memcpy(board->foreign_block, block, BLOCK_SIZE);
	}
	board->foreign = true;
	snprintf(board->foreign_name, sizeof(board->foreign_name), "%.63s", record.hostname);
	/* It is shown in STATUS=, where a newline would begin another message to systemd. */
	for (char *c = board->foreign_name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (was)
		return;
	log_warning("our block holds the record of another host id=%u name=%s ours=%s", board->host_id,
		    board->foreign_name, board->hostname);
	board->calls->changed(board->data);
}

/* The other's record has stood still for as long as makes a record stale. */
static bool foreign_expired(const struct board *board)
{
	mono_t last = board->foreign_changed != MONO_UNSET ? board->foreign_changed : board->foreign_since;

	return mono_passed(last, board->policy.stale, board->clock->now(board->clock));
}

/* Does our block hold what we wrote? If not, whose is it? */
static bool still_written(struct board *board, const uint8_t block[BLOCK_SIZE])
{
	if (!board->ever_written || memcmp(block, board->written, BLOCK_SIZE) != 0) {
		board->stored = false;
		judge_own(board, block);
		return false;
	}
	board->own_fault = RECORD_OK;
	if (board->foreign) {
		board->foreign = false;
		board->calls->changed(board->data);
	}
	return true;
}

/* The id is ours, so is the block: a late write of the past, zeros or noise are written over. */
static bool to_be_repaired(const struct board *board)
{
	return board->ever_written && !board->foreign && board->own_fault != RECORD_TOO_NEW;
}

static void take_own(struct board *board, const uint8_t block[BLOCK_SIZE])
{
	/* The gate looks for itself; and what was asked before our last write ended tells nothing about it.
	 */
	if (!board->joined || (board->wrote_at != MONO_UNSET && board->scan_begun <= board->wrote_at))
		return;
	if (!still_written(board, block) && to_be_repaired(board) && board->own.io == BOARD_IO_NONE) {
		board->dirty = true;
		publish_now(board);
	}
}

/* Reading the others. */

static int begin_read(struct board *board, struct board_queue *queue, enum store_queue which,
		      enum board_io io, uint32_t first, uint32_t count, uint8_t *blocks)
{
	int r;

	queue->board = board;
	queue->io = io;
	queue->first = first;
	queue->count = count;
	queue->blocks = blocks;
	queue->op.done = which == STORE_QUEUE_OWN ? own_done : read_done;
	queue->op.deadline = mono_add(now_of(board), board->io_ms);
	r = board->store->read(board->store, which, first, count, blocks, &queue->op);
	if (r < 0)
		queue->io = BOARD_IO_NONE;
	return r;
}

static bool in_use(const struct board *board, uint32_t id)
{
	return id == board->host_id || slots_get(board->slots, (uint16_t)id);
}

/* The next id in use from `from` on, 0: none. */
static uint32_t next_in_use(const struct board *board, uint32_t from)
{
	const struct slot *slot = slots_next(board->slots, (uint16_t)(from - 1));
	uint32_t id = slot ? slot->peer.id : 0;

	if (board->host_id >= from && (id == 0 || board->host_id < id))
		id = board->host_id;
	return id;
}

static int64_t cycle_gap(const struct board *board)
{
	return (board->closely || board->watched != 0) && CLOSE_MS < board->policy.loop ? CLOSE_MS
											: board->policy.loop;
}

static bool rescan_due(const struct board *board)
{
	return mono_passed(board->rescanned_at, RESCAN_MS, board->cycled_at);
}

static void cycle_end(struct board *board)
{
	free(board->scan.blocks);
	board->scan.blocks = NULL;
	board->scan.io = BOARD_IO_NONE;
}

/* Reads the next run of blocks in use. */
static void cycle_go_on(struct board *board)
{
	uint32_t first, count = 1, most = board->scanned ? CYCLE_BLOCKS : SCAN_BLOCKS;
	enum board_io io = board->scanned ? BOARD_IO_CYCLE : BOARD_IO_SCAN;
	uint8_t *blocks;
	int r;

	if (board->cycle_all &&
	    (board->domain_at == MONO_UNSET || mono_passed(board->domain_at, DOMAIN_MS, now_of(board)))) {
		/* Before the hosts' blocks: who reads those knows whose they are. */
		first = IDENTITY_BLOCK;
		io = BOARD_IO_DOMAIN;
	} else if (!board->scanned) {
		first = board->cycle_next;
		count = first > HOST_ID_MAX		 ? 0
			: HOST_ID_MAX - first + 1 < most ? HOST_ID_MAX - first + 1
							 : most;
	} else if (board->cycle_all) {
		first = board->cycle_next > HOST_ID_MAX ? 0 : next_in_use(board, board->cycle_next);
		while (first != 0 && count < most && first + count <= HOST_ID_MAX &&
		       in_use(board, first + count))
			count++;
		if (first == 0 && rescan_due(board)) {
			io = BOARD_IO_RESCAN;
			first = board->rescan_next;
			count = HOST_ID_MAX - first + 1 < most ? HOST_ID_MAX - first + 1 : most;
			board->rescan_next = first + count > HOST_ID_MAX ? 1 : first + count;
			board->rescanned_at = board->cycled_at;
		}
	} else {
		first = board->cycle_next == 0 ? board->watched : 0;
	}
	if (first == 0 || count == 0) {
		bool ended_scan = !board->scanned;

		cycle_end(board);
		if (!ended_scan)
			return;
		board->scanned = true;
		board->rescan_next = 1;
		board->rescanned_at = board->cycled_at;
		log_info("whiteboard scanned hosts=%zu", slots_count(board->slots));
		set_timer(board, &board->cycle_timer, cycle_gap(board));
		board->calls->changed(board->data);
		return;
	}
	if (io == BOARD_IO_SCAN || io == BOARD_IO_CYCLE)
		board->cycle_next = first + count;
	board->scan_begun = now_of(board);
	blocks = reallocarray(board->scan.blocks, most, BLOCK_SIZE);
	if (!blocks) {
		cycle_end(board);
		return;
	}
	r = begin_read(board, &board->scan, STORE_QUEUE_SCAN, io, first, count, blocks);
	if (r < 0) {
		board->scan.blocks = blocks;
		cycle_end(board);
		note_read(board, r);
	}
}

static void read_done(struct store_op *op, int error)
{
	struct board_queue *queue = (struct board_queue *)((char *)op - offsetof(struct board_queue, op));
	struct board *board = queue->board;
	mono_t now = now_of(board);
	bool changed = false;

	if (error < 0 && queue->io == BOARD_IO_DOMAIN && board->domain_at != MONO_UNSET) {
		/* Whose whiteboard it was is known, and the hosts' blocks may be fine. */
		if (board->domain_error != error)
			log_warning("whose whiteboard it is can't be read again, what it said stays: %s %s",
				    strerror(-error), board->place);
		board->domain_error = error;
		board->domain_at = now;
		queue->io = BOARD_IO_NONE;
		cycle_go_on(board);
		return;
	}
	note_read(board, error);
	if (error < 0) {
		/* What was read before stays, and grows old by itself. */
		cycle_end(board);
		return;
	}
	if (queue->io == BOARD_IO_DOMAIN) {
		queue->io = BOARD_IO_NONE;
		board->domain_error = 0;
		judge_domain(board, queue->blocks);
		if (board->dirty)
			publish_now(board);
		cycle_go_on(board);
		return;
	}
	queue->io = BOARD_IO_NONE;
	for (uint32_t i = 0; i < queue->count; i++) {
		const uint8_t *block = queue->blocks + (size_t)i * BLOCK_SIZE;
		uint16_t id = (uint16_t)(queue->first + i);

		if (slots_take_block(board->slots, id, block, &board->timing, now) == SLOT_CHANGED)
			changed = true;
		if (id == board->host_id)
			take_own(board, block);
	}
	if (changed && board->scanned)
		board->calls->changed(board->data);
	cycle_go_on(board);
}

static void cycle(struct board *board)
{
	mono_t now = now_of(board);

	set_timer(board, &board->cycle_timer, board->scanned ? cycle_gap(board) : RETRY_MS);
	if (board->scan.io != BOARD_IO_NONE)
		return;
	board->cycle_all = board->closely || !board->scanned || board->cycled_at == MONO_UNSET ||
			   mono_passed(board->cycled_at, board->policy.loop, now);
	if (board->cycle_all)
		board->cycled_at = now;
	board->cycle_next = !board->scanned || board->cycle_all ? 1 : 0;
	cycle_go_on(board);
}

static void cycle_fired(struct timer *timer)
{
	cycle((struct board *)((char *)timer - offsetof(struct board, cycle_timer)));
}

void board_watch(struct board *board, bool closely, uint16_t owner)
{
	int64_t was = cycle_gap(board);
	bool sooner;

	if (owner == board->host_id)
		owner = 0;
	if (board->closely == closely && board->watched == owner)
		return;
	sooner = closely && !board->closely;
	board->closely = closely;
	board->watched = owner;
	if (!board->scanned)
		return;
	if (sooner)
		cycle(board);
	else if (cycle_gap(board) != was)
		set_timer(board, &board->cycle_timer, cycle_gap(board));
}

void board_take_hosts(struct board *board, const struct lease_look *look)
{
	mono_t now = now_of(board);
	bool changed = false;
	const struct slot *slot;
	size_t at = 0;

	if (look->error < 0 || !look->hosts_known) {
		for (slot = slots_next(board->slots, 0); slot; slot = slots_next(board->slots, slot->peer.id))
			changed |= slots_take_host(board->slots, slot->peer.id, HOST_UNKNOWN, 0, 0, now);
	} else {
		/* Those listed and those with a slot, by rising id. */
		for (uint16_t id = 0;;) {
			const struct lease_host *host = at < look->n_hosts ? &look->hosts[at] : NULL;

			slot = slots_next(board->slots, id);
			if (!slot && !host)
				break;
			if (host && (!slot || host->id <= slot->peer.id)) {
				id = host->id;
				changed |= slots_take_host(board->slots, id, host->state, host->generation,
							   host->timestamp, now);
				at++;
			} else {
				id = slot->peer.id;
				changed |= slots_take_host(board->slots, id, HOST_ABSENT, 0, 0, now);
			}
		}
	}
	if (changed)
		board->calls->changed(board->data);
}

/* Writing the own block. */

static void make_record(struct board *board, struct record *ret)
{
	const struct publish_request *said = &board->published;
	mono_t now = now_of(board);
	int64_t wall = board->clock->wall(board->clock);

	memset(ret, 0, sizeof(*ret));
	ret->claim = said->claim;
	ret->claim.timestamp = (uint64_t)(now / MONO_SECOND);
	ret->claim.generation = board->generation;
	ret->claim.io_timeout_s = board->timing.io_timeout_s;
	ret->claim.watchdog_fire_s = board->timing.watchdog_fire_s;
	ret->host_id = board->host_id;
	ret->n_fields = 12;
	ret->config_shared = said->config_shared;
	ret->config_timestamp =
		said->config_age_ms < 0 ? 0 : (uint64_t)((now - said->config_age_ms) / MONO_SECOND);
	ret->parse_version = ret->feature_version = RECORD_VERSION;
	snprintf(ret->hostname, sizeof(ret->hostname), "%s", board->hostname);
	if (said->engine_reason != ENGINE_REASON_NONE)
		strncpy(ret->engine_reason, engine_reason_str(said->engine_reason),
			sizeof(ret->engine_reason) - 1);
	snprintf(ret->state, sizeof(ret->state), "%s", state_str(said->state));
	snprintf(ret->reason, sizeof(ret->reason), "%s", reason_str(said->reason));
	snprintf(ret->version, sizeof(ret->version), "%s", VERSION);
	if (said->timeout_in_ms >= 0) {
		/* It was so long when the agent said it. */
		int64_t left_ms = said->timeout_in_ms - (now - board->published_at);

		record_time_text(wall + left_ms / MONO_SECOND, ret->timeout);
	}
	record_set_penalties(ret, &said->score);
}

static bool same_claim(const struct claim *a, const struct claim *b)
{
	return a->score == b->score && a->vm == b->vm && a->health == b->health && a->detail == b->detail &&
	       a->maintenance == b->maintenance && a->stopped == b->stopped &&
	       a->migrating_to == b->migrating_to;
}

static bool same_words(const struct publish_request *a, const struct publish_request *b)
{
	return same_claim(&a->claim, &b->claim) && a->engine_reason == b->engine_reason &&
	       a->state == b->state && a->reason == b->reason && a->config_shared == b->config_shared;
}

static void answer(struct board *board, uint64_t serial, int error)
{
	if (serial <= board->serial_done)
		return;
	board->serial_done = serial;
	board->calls->published(board->data, serial, error);
}

bool board_taken(const struct board *board)
{
	return board->joined &&
	       ((board->foreign && !foreign_expired(board)) || board->own_fault == RECORD_TOO_NEW);
}

/* Why nothing may be written now, 0: it may. -EAGAIN: not before it is known whose whiteboard it is. */
static int write_forbidden(struct board *board)
{
	if (board->published_at == MONO_UNSET)
		return -ENODATA;
	/* Rule 8: host N of our cluster has no block on another's whiteboard, joined or not. */
	if (board->domain == IDENTITY_OTHER)
		return -EXDEV;
	/* A host without its host id writes nothing: the block may be another's (rules 8 and 9). */
	if (!board->joined)
		return -ENOLCK;
	if (board_taken(board))
		return -EEXIST;
	if (mono_passed(board->published_at, AGENT_SILENT_MS, now_of(board))) {
		if (!board->silent_said)
			log_warning("the agent is silent, our record is not renewed for_s=%lld",
				    (long long)((now_of(board) - board->published_at) / MONO_SECOND));
		board->silent_said = true;
		return -ESTALE;
	}
	board->silent_said = false;
	return board->domain_at == MONO_UNSET ? -EAGAIN : 0;
}

static void write_failed(struct board *board, uint64_t serial, int error)
{
	board->stored = false;
	answer(board, serial, error);
	set_timer(board, &board->write_timer, RETRY_MS);
}

/* Safety rule 8: before each write of a loop. Who writes our block in step with us stands there only between
 * two of our writes, and what a cycle reads may always be from before the last one; and a broker that begins
 * anew where the host id is joined already came past no gate. News between two loops do not wait for it. */
static bool must_look(struct board *board)
{
	return !board->own_looked &&
	       (board->looked_at == MONO_UNSET ||
		mono_passed(board->looked_at, board->policy.loop - CLOSE_MS, now_of(board)));
}

static void publish_now(struct board *board)
{
	struct record record;
	int r;

	if (board->own.io != BOARD_IO_NONE)
		return; /* `dirty` is looked at when it has ended */
	if (!board->own_looked)
		set_timer(board, &board->write_timer, board->policy.loop);
	r = write_forbidden(board);
	if (r == 0 && must_look(board)) {
		r = begin_read(board, &board->own, STORE_QUEUE_OWN, BOARD_IO_LOOK, board->host_id, 1,
			       board->own_buffer);
		if (r == 0) {
			board->dirty = false;
			return;
		}
	}
	board->own_looked = false;
	if (r == 0) {
		make_record(board, &record);
		r = record_encode(&record, board->clock->wall(board->clock), board->written);
		if (r < 0)
			log_error("our record can't be encoded: %s", strerror(-r));
	}
	board->dirty = r == -EAGAIN;
	if (r == -EAGAIN)
		return;
	if (r < 0) {
		answer(board, board->published.serial, r);
		return;
	}
	board->foreign = false;
	board->serial_writing = board->published.serial;
	board->own.board = board;
	board->own.io = BOARD_IO_WRITE;
	board->own.op.done = own_done;
	board->own.op.deadline = mono_add(now_of(board), board->io_ms);
	r = board->store->write(board->store, STORE_QUEUE_OWN, board->host_id, board->written,
				&board->own.op);
	if (r < 0) {
		board->own.io = BOARD_IO_NONE;
		note_write(board, r);
		write_failed(board, board->serial_writing, r);
	}
}

static void own_done(struct store_op *op, int error)
{
	struct board_queue *queue = (struct board_queue *)((char *)op - offsetof(struct board_queue, op));
	struct board *board = queue->board;
	enum board_io io = queue->io;
	int r;

	queue->io = BOARD_IO_NONE;
	switch (io) {
	case BOARD_IO_WRITE:
		note_write(board, error);
		if (error < 0) {
			write_failed(board, board->serial_writing, error);
			break;
		}
		board->ever_written = true;
		board->wrote_at = now_of(board);
		r = begin_read(board, queue, STORE_QUEUE_OWN, BOARD_IO_VERIFY, board->host_id, 1,
			       board->own_buffer);
		if (r == 0)
			return;
		write_failed(board, board->serial_writing, r);
		break;
	case BOARD_IO_VERIFY:
		note_read(board, error);
		if (error < 0) {
			write_failed(board, board->serial_writing, error);
			break;
		}
		if (memcmp(board->own_buffer, board->written, BLOCK_SIZE) != 0) {
			judge_own(board, board->own_buffer);
			write_failed(board, board->serial_writing, -ESTALE);
			break;
		}
		/* Now, not only at the next cycle: what clients see of this host is what it wrote. */
		slots_take_block(board->slots, board->host_id, board->own_buffer, &board->timing,
				 now_of(board));
		board->stored = !board->dirty;
		answer(board, board->serial_writing, 0);
		break;
	case BOARD_IO_LOOK:
		note_read(board, error);
		if (error < 0) {
			write_failed(board, board->published.serial, error);
			break;
		}
		board->own_looked = board->dirty = true;
		board->looked_at = now_of(board);
		if (!still_written(board, board->own_buffer) && to_be_repaired(board) &&
		    board->write_error == 0)
			log_warning("our block was changed by somebody, written again id=%u", board->host_id);
		break;
	case BOARD_IO_IDENTITY:
		note_read(board, error);
		board->gate_error = error;
		if (error < 0)
			break;
		judge_domain(board, board->own_buffer);
		r = begin_read(board, queue, STORE_QUEUE_OWN, BOARD_IO_GATE, board->host_id, 1,
			       board->own_buffer);
		if (r == 0)
			return;
		board->gate_error = r;
		break;
	case BOARD_IO_GATE:
		note_read(board, error);
		board->gate_error = error;
		if (error < 0)
			break;
		board->gate_read = now_of(board);
		judge_own(board, board->own_buffer);
		break;
	case BOARD_IO_NONE:
	case BOARD_IO_SCAN:
	case BOARD_IO_CYCLE:
	case BOARD_IO_RESCAN:
	case BOARD_IO_DOMAIN:
		assert(false);
	}
	if (board->dirty)
		publish_now(board);
}

static void write_fired(struct timer *timer)
{
	struct board *board = (struct board *)((char *)timer - offsetof(struct board, write_timer));

	if (board->own.io != BOARD_IO_NONE)
		set_timer(board, timer, RETRY_MS);
	else
		publish_now(board);
}

void board_publish(struct board *board, const struct publish_request *request)
{
	if (board->published_at == MONO_UNSET || !same_words(&board->published, request))
		board->stored = false;
	board->published = *request;
	board->published_at = now_of(board);
	if (board->stored && !board->dirty && board->own.io == BOARD_IO_NONE) {
		/* The block on storage says so already, or may not. */
		answer(board, request->serial, write_forbidden(board));
		return;
	}
	board->dirty = true;
	publish_now(board);
}

void board_forget_agent(struct board *board)
{
	board->published.serial = board->serial_writing = board->serial_done = 0;
}

void board_set_member(struct board *board, bool joined, uint64_t generation, struct lease_timing timing)
{
	bool same = board->joined == joined && board->generation == generation &&
		    board->timing.io_timeout_s == timing.io_timeout_s;

	board->timing = timing;
	if (same)
		return;
	if (!joined || generation != board->generation)
		board->ever_written = board->stored = false;
	if (!joined)
		board->looked_at = MONO_UNSET;
	board->joined = joined;
	board->generation = generation;
	if (joined && board->published_at != MONO_UNSET) {
		board->dirty = true;
		publish_now(board);
	}
}

enum board_verdict board_verdict(struct board *board)
{
	mono_t now = now_of(board);

	if (board->own.io == BOARD_IO_NONE &&
	    (board->gate_asked == MONO_UNSET || mono_passed(board->gate_asked, CLOSE_MS - 1, now))) {
		board->gate_asked = now;
		begin_read(board, &board->own, STORE_QUEUE_OWN, BOARD_IO_IDENTITY, IDENTITY_BLOCK, 1,
			   board->own_buffer);
	}
	if (board->gate_read == MONO_UNSET || board->gate_error < 0 ||
	    mono_passed(board->gate_read, GATE_FRESH_MS, now))
		return BOARD_UNREAD;
	if (board->domain == IDENTITY_OTHER)
		return BOARD_OTHER_DOMAIN;
	/* Nothing is overwritten that was not understood. */
	if (board->own_fault == RECORD_BAD || board->own_fault == RECORD_TOO_NEW)
		return BOARD_NOT_OURS;
	if (!board->foreign || foreign_expired(board))
		return BOARD_CLEAR;
	return board->foreign_changed != MONO_UNSET ? BOARD_TAKEN : BOARD_WATCHED;
}

int board_start(struct board *board)
{
	int r;

	assert(board->clock && board->store && board->calls && board->io_ms > 0);
	assert(board->host_id >= 1 && board->host_id <= HOST_ID_MAX);
	r = slots_new(&board->slots);
	if (r < 0)
		return r;
	board->timing = board->policy.lease;
	board->cycle_timer.fire = cycle_fired;
	board->write_timer.fire = write_fired;
	board->domain_at = board->cycled_at = board->published_at = board->gate_asked = board->gate_read =
		MONO_UNSET;
	board->wrote_at = board->scan_begun = board->rescanned_at = board->looked_at = MONO_UNSET;
	board->read_failing_since = board->write_failing_since = MONO_UNSET;
	board->foreign_since = board->foreign_changed = MONO_UNSET;
	board->own_fault = RECORD_ABSENT;
	cycle(board);
	return 0;
}

void board_done(struct board *board)
{
	board->clock->cancel(board->clock, &board->cycle_timer);
	board->clock->cancel(board->clock, &board->write_timer);
	free(board->scan.blocks);
	slots_free(board->slots);
	board->slots = NULL;
}
