/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides when the own block is written, and whether it may be. It may not be without the host id joined, nor
 * over a record of another host, nor with a new timestamp for an agent that is silent. Called by broker.c. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "broker/board_parts.h"
#include "broker/poke.h"
#include "metadata/record.h"
#include "util/cleanup.h"
#include "util/log.h"

static void own_done(struct store_op *op, int error);

/* Does our block hold what we wrote? If not, whose is it? */
static bool still_written(struct board *board, const uint8_t block[BLOCK_SIZE])
{
	if (!board->ever_written || memcmp(block, board->written, BLOCK_SIZE) != 0) {
		board->stored = false;
		board_judge_own(board, block);
		return false;
	}
	board->own_fault = RECORD_OK;
	board->half_since = MONO_UNSET;
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

static void make_record(struct board *board, struct record *ret)
{
	const struct publish_request *said = &board->published;
	mono_t now = board_now(board);
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
	strncpy(ret->hostname, board->hostname, sizeof(ret->hostname) - 1);
	if (said->engine_reason != ENGINE_REASON_NONE)
		strncpy(ret->engine_reason, engine_reason_str(said->engine_reason),
			sizeof(ret->engine_reason) - 1);
	strncpy(ret->state, state_str(said->state), sizeof(ret->state) - 1);
	strncpy(ret->reason, reason_str(said->reason), sizeof(ret->reason) - 1);
	strncpy(ret->version, VERSION, sizeof(ret->version) - 1);
	if (said->timeout_in_ms >= 0) {
		/* It was so long when the agent said it. */
		int64_t left_ms = said->timeout_in_ms - (now - board->published_at);

		record_time_text(wall + left_ms / MONO_SECOND, ret->timeout);
	}
	record_set_penalties(ret, &said->score);
}

/* What the record says otherwise, enum poke_what or-ed; 0: the same but for moments. */
static uint32_t news_of(const struct publish_request *before, const struct publish_request *request)
{
	const struct claim *a = &before->claim, *b = &request->claim;

	return (a->vm != b->vm || a->health != b->health || a->detail != b->detail ||
				a->migrating_to != b->migrating_to ||
				before->engine_reason != request->engine_reason
			? POKE_VM
			: 0) |
	       (a->score != b->score ? POKE_SCORE : 0) |
	       (a->maintenance != b->maintenance ? POKE_MAINTENANCE : 0) |
	       (a->stopped != b->stopped || before->state != request->state ||
				before->reason != request->reason ||
				before->config_shared != request->config_shared
			? POKE_STATE
			: 0);
}

static void answer(struct board *board, uint64_t serial, int error)
{
	if (serial <= board->serial_done)
		return;
	board->serial_done = serial;
	board->calls->published(board->data, serial, error);
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
	if (mono_passed(board->published_at, AGENT_SILENT_MS, board_now(board))) {
		if (!board->silent_said)
			log_warning("the agent is silent, our record is not renewed for_s=%lld",
				    (long long)((board_now(board) - board->published_at) / MONO_SECOND));
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
	board_set_timer(board, &board->write_timer, BOARD_RETRY_MS);
}

/* Safety rule 8: before each write of a loop. Who writes our block in step with us stands there only between
 * two of our writes, and what a cycle reads may always be from before the last one; and a broker that begins
 * anew where the host id is joined already came past no gate. News between two loops do not wait for it. */
static bool must_look(struct board *board)
{
	return !board->own_looked &&
	       (board->looked_at == MONO_UNSET ||
		mono_passed(board->looked_at, board->policy.loop - BOARD_CLOSE_MS, board_now(board)));
}

static void publish_now(struct board *board)
{
	struct record record;
	int r;

	if (board->own_io != BOARD_OWN_IDLE)
		return; /* `dirty` is looked at when it has ended */
	if (!board->own_looked)
		board_set_timer(board, &board->write_timer, board->policy.loop);
	r = write_forbidden(board);
	if (r == 0 && must_look(board)) {
		r = board_read_own(board, BOARD_OWN_LOOK, board->host_id, own_done);
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
	board->news_writing |= board->news;
	board->news = 0;
	board->serial_writing = board->published.serial;
	board->own_io = BOARD_OWN_WRITE;
	board->own_op.done = own_done;
	board->own_op.deadline = mono_add(board_now(board), board->io_ms);
	r = board->store->write(board->store, STORE_QUEUE_OWN, board->host_id, board->written,
				&board->own_op);
	if (r < 0) {
		board->own_io = BOARD_OWN_IDLE;
		board_note_write(board, r);
		write_failed(board, board->serial_writing, r);
	}
}

void board_own_resume(struct board *board)
{
	if (board->dirty)
		publish_now(board);
}

void board_own_seen(struct board *board, const uint8_t block[BLOCK_SIZE])
{
	/* The gate looks for itself; and what was asked before our last write ended tells nothing about it.
	 */
	if (!board->joined || (board->wrote_at != MONO_UNSET && board->scan_begun <= board->wrote_at))
		return;
	if (!still_written(board, block) && to_be_repaired(board) && board->own_io == BOARD_OWN_IDLE) {
		board->dirty = true;
		publish_now(board);
	}
}

static int read_back(struct board *board)
{
	int r;

	board->own_io = BOARD_OWN_VERIFY;
	board->own_op.deadline = mono_add(board_now(board), board->io_ms);
	r = board->store->scan(board->store, STORE_QUEUE_OWN, board->host_id, 1, &board->own_image,
			       &board->own_op);
	if (r < 0)
		board->own_io = BOARD_OWN_IDLE;
	return r;
}

/* Does it say what was written? */
static bool take_back(struct board *board)
{
	struct image *image = TAKE_PTR(board->own_image);
	uint8_t block[BLOCK_SIZE];
	bool same;

	image_copy(image, block);
	same = memcmp(block, board->written, BLOCK_SIZE) == 0;
	/* Now, not only at the next cycle: what clients see of this host is what it wrote. */
	if (same)
		slots_take_image(board->slots, board->host_id, image, &board->timing, board_now(board));
	else
		board_judge_own(board, block);
	image_drop(image);
	return same;
}

static void own_done(struct store_op *op, int error)
{
	struct board *board = (struct board *)((char *)op - offsetof(struct board, own_op));
	enum board_own_io io = board->own_io;
	int r;

	board->own_io = BOARD_OWN_IDLE;
	switch (io) {
	case BOARD_OWN_WRITE:
		board_note_write(board, error);
		if (error < 0) {
			write_failed(board, board->serial_writing, error);
			break;
		}
		board->ever_written = true;
		board->wrote_at = board_now(board);
		if (board->news_writing != 0)
			board->calls->news(board->data, board->news_writing);
		board->news_writing = 0;
		r = read_back(board);
		if (r == 0)
			return;
		write_failed(board, board->serial_writing, r);
		break;
	case BOARD_OWN_VERIFY:
		board_note_read(board, error);
		if (error < 0) {
			write_failed(board, board->serial_writing, error);
			break;
		}
		if (!take_back(board)) {
			if (!board->untrue)
				log_warning(
					"our record was acknowledged and does not stand there, written again "
					"id=%u %s",
					board->host_id, board->place);
			board->untrue = true;
			write_failed(board, board->serial_writing, -ESTALE);
			break;
		}
		board->untrue = false;
		board->stored = !board->dirty;
		answer(board, board->serial_writing, 0);
		break;
	case BOARD_OWN_LOOK:
		board_note_read(board, error);
		if (error < 0) {
			write_failed(board, board->published.serial, error);
			break;
		}
		board->own_looked = board->dirty = true;
		board->looked_at = board_now(board);
		if (!still_written(board, board->own_buffer) && to_be_repaired(board) &&
		    board->write_error == 0)
			log_warning("our block was changed by somebody, written again id=%u", board->host_id);
		break;
	case BOARD_OWN_IDLE:
	case BOARD_OWN_IDENTITY:
	case BOARD_OWN_GATE:
		assert(false);
	}
	board_own_resume(board);
}

static void write_fired(struct timer *timer)
{
	struct board *board = (struct board *)((char *)timer - offsetof(struct board, write_timer));

	if (board->own_io != BOARD_OWN_IDLE)
		board_set_timer(board, timer, BOARD_RETRY_MS);
	else
		publish_now(board);
}

void board_publish(struct board *board, const struct publish_request *request)
{
	mono_t now = board_now(board);
	uint32_t news = board->published_at == MONO_UNSET ? POKE_STATE : news_of(&board->published, request);

	if (news != 0)
		board->stored = false;
	board->news |= news;
	board->published = *request;
	/* What waited for us while we stood still is as old as it is: the agent may have been silent since.
	 * No moment of the past: it comes from now. */
	board->published_at = request->said_at > 0 && request->said_at < now ? request->said_at : now;
	if (board->stored && !board->dirty && board->own_io == BOARD_OWN_IDLE) {
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
	board->news |= POKE_STATE;
	if (!joined)
		board->looked_at = MONO_UNSET;
	board->joined = joined;
	board->generation = generation;
	if (joined && board->published_at != MONO_UNSET) {
		board->dirty = true;
		publish_now(board);
	}
}

void board_own_start(struct board *board)
{
	board->write_timer.fire = write_fired;
	board->published_at = board->wrote_at = board->looked_at = MONO_UNSET;
}
