/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides whose whiteboard this is and whose record stands in our block (safety rule 8), and says when the
 * storage fails. It writes nothing. Called by broker.c, and by the files that read and write the blocks. */
#include "broker/board_parts.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metadata/record.h"
#include "util/log.h"

/* What the gate was told may be so old, no older. */
#define GATE_FRESH_MS 3000

mono_t board_now(const struct board *board)
{
	return board->clock->now(board->clock);
}

void board_set_timer(struct board *board, struct timer *timer, int64_t ms)
{
	board->clock->set(board->clock, timer, mono_add(board_now(board), ms));
}

const char *board_advice(int error)
{
	switch (-error) {
	case EFBIG:
		return "it ends before our block: it was cut short or its unit shrunk; give it 8200192 bytes";
	case ENOSPC:
	case EDQUOT:
		return "its storage is full: make room there";
	case EROFS:
		return "it is read-only: export it for writing";
	case ESTALE:
		return "the server has another file or export in its place: check that it is the right one";
	case EXDEV:
		return "the server gives other storage than before, where nothing is written: check what it "
		       "exports";
	case EREMOTE:
		return "the portal sends on to a name, or more than once: give the portal of the unit itself";
	case ENOENT:
	case ENXIO:
		return "it is not there: connect the storage, or check metadata_path in hosted-engine.conf";
	case EACCES:
	case EPERM:
		return "let the service's user write it; a server may ask for another user, password or "
		       "address, or have it for reading alone";
	default:
		return "check that the storage is there and that the service's user may write it";
	}
}

/* Says once per change of the error that the whiteboard can't be used, and where; and once that it can again.
 */
static void note_io(struct board *board, const char *what, int error, int *last, mono_t *failing_since)
{
	if (error < 0 && error != *last)
		log_warning("whiteboard can't be %s, tried again: %s %s; %s", what, strerror(-error),
			    board->place, board_advice(error));
	else if (error == 0 && *failing_since != MONO_UNSET)
		log_info("whiteboard is %s again after_s=%lld", what,
			 (long long)((board_now(board) - *failing_since) / MONO_SECOND));
	*last = error;
	if (error == 0)
		*failing_since = MONO_UNSET;
	else if (*failing_since == MONO_UNSET)
		*failing_since = board_now(board);
}

void board_note_read(struct board *board, int error)
{
	note_io(board, "read", error, &board->read_error, &board->read_failing_since);
}

void board_note_write(struct board *board, int error)
{
	note_io(board, "written", error, &board->write_error, &board->write_failing_since);
}

/* Safety rule 8: whose whiteboard is it? Asked at the gate of a join, and by who finds the lockspace joined
 * already: the configuration or the storage may have changed since. */
void board_judge_domain(struct board *board, const uint8_t block[BLOCK_SIZE])
{
	enum identity_match was = board->domain;

	board->domain = identity_compare(block, &board->identity);
	/* An older cluster's whiteboard names no domain; one that did and does no more is another one, or has
	 * lost its end. */
	board->named |= board->domain == IDENTITY_SAME;
	board->nameless = board->named && board->domain == IDENTITY_UNKNOWN;
	if (board->nameless)
		board->domain = IDENTITY_OTHER;
	board->domain_at = board_now(board);
	if (was == board->domain)
		return;
	if (board->domain == IDENTITY_OTHER)
		log_error("%s; nothing is written to it and no VM is started: %s", board_domain_text(board),
			  board->place);
	else if (was == IDENTITY_OTHER)
		log_info("whiteboard is of our domain again");
	board->calls->changed(board->data);
}

bool board_other_domain(const struct board *board)
{
	return board->domain == IDENTITY_OTHER;
}

const char *board_domain_text(const struct board *board)
{
	return board->nameless ? nameless_domain_text : other_domain_text;
}

bool board_cut_short(const struct board *board)
{
	return board->write_error == -EFBIG;
}

/* Safety rule 8: a write of ours may have stopped inside its line, with a power cut or on storage that takes
 * pieces. A whole record of our name is ours at once; this one names us in a line that nothing vouches for,
 * so it has to stand still for as long as makes a record stale. Another machine of our name and id would not
 * have stood still: it writes each loop, and each second what did not land. Nor may one begin: who has not
 * the host id writes nothing, and sanlock gives it to one, after this gate. */
static void judge_half(struct board *board, const uint8_t block[BLOCK_SIZE])
{
	if (board->own_fault != RECORD_BAD || !record_half_written(block, board->host_id, board->hostname)) {
		board->half_since = MONO_UNSET;
		return;
	}
	if (board->half_since == MONO_UNSET || memcmp(board->foreign_block, block, BLOCK_SIZE) != 0) {
		board->half_since = board_now(board);
		board->half_said = false;
		memcpy(board->foreign_block, block, BLOCK_SIZE);
	}
}

static bool half_expired(struct board *board)
{
	/* As the last look found it: before that nothing is known. */
	if (board->half_since == MONO_UNSET ||
	    !mono_passed(board->half_since, board->policy.stale, board->judged_at))
		return false;
	if (!board->half_said)
		log_warning(
			"our block holds half a record of ours, which has stood still, and is written over "
			"id=%u for_s=%lld",
			board->host_id, (long long)((board->judged_at - board->half_since) / MONO_SECOND));
	board->half_said = true;
	return true;
}

/* At the gate it is looked at each second, joined each loop. */
static int64_t look_gap(const struct board *board)
{
	return (board->joined ? board->policy.loop : 0) + GATE_FRESH_MS;
}

/* Safety rule 8: whose record stands in our block? One of another host name that changes is a host that
 * lives; a file system copied from a dead host holds one that does not change. */
void board_judge_own(struct board *board, const uint8_t block[BLOCK_SIZE])
{
	mono_t now = board_now(board);
	struct record record;
	char cause[RECORD_CAUSE_SIZE];
	bool was = board->foreign, was_newer = board->own_fault == RECORD_TOO_NEW;

	/* While our block could not be read its writer may have been unable to write, too: nothing has stood
	 * still before our eyes. */
	if (board->judged_at == MONO_UNSET || mono_passed(board->judged_at, look_gap(board), now)) {
		board->half_since = MONO_UNSET;
		board->foreign_since = now;
		if (board->foreign_changed != MONO_UNSET)
			board->foreign_changed = now;
	}
	board->judged_at = now;
	board->own_fault = record_decode(block, board->host_id, &record, cause);
	/* Nothing that a newer version wrote is overwritten, however long it stands still. */
	if (board->own_fault == RECORD_TOO_NEW && !was_newer) {
		log_warning("our block is not overwritten id=%u: %s", board->host_id, cause);
		board->calls->changed(board->data);
	}
	judge_half(board, block);
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

	return mono_passed(last, board->policy.stale, board->judged_at);
}

bool board_taken(const struct board *board)
{
	return board->joined &&
	       ((board->foreign && !foreign_expired(board)) || board->own_fault == RECORD_TOO_NEW);
}

int board_read_own(struct board *board, enum board_own_io io, uint32_t block,
		   void (*done)(struct store_op *op, int error))
{
	int r;

	board->own_io = io;
	board->own_op.done = done;
	board->own_op.deadline = mono_add(board_now(board), board->io_ms);
	r = board->store->read(board->store, STORE_QUEUE_OWN, block, 1, board->own_buffer, &board->own_op);
	if (r < 0)
		board->own_io = BOARD_OWN_IDLE;
	return r;
}

/* At the gate the identity is read, and then our block. */
static void gate_done(struct store_op *op, int error)
{
	struct board *board = (struct board *)((char *)op - offsetof(struct board, own_op));
	bool identity = board->own_io == BOARD_OWN_IDENTITY;

	board->own_io = BOARD_OWN_IDLE;
	board_note_read(board, error);
	board->gate_error = error;
	if (error == 0 && identity) {
		board_judge_domain(board, board->own_buffer);
		board->gate_error = board_read_own(board, BOARD_OWN_GATE, board->host_id, gate_done);
		if (board->gate_error == 0)
			return;
	} else if (error == 0) {
		board->gate_read = board_now(board);
		board_judge_own(board, board->own_buffer);
	}
	board_own_resume(board);
}

enum board_verdict board_verdict(struct board *board)
{
	mono_t now = board_now(board);

	if (board->own_io == BOARD_OWN_IDLE &&
	    (board->gate_asked == MONO_UNSET || mono_passed(board->gate_asked, BOARD_CLOSE_MS - 1, now))) {
		board->gate_asked = now;
		board_read_own(board, BOARD_OWN_IDENTITY, IDENTITY_BLOCK, gate_done);
	}
	if (board->gate_read == MONO_UNSET || board->gate_error < 0 ||
	    mono_passed(board->gate_read, GATE_FRESH_MS, now))
		return BOARD_UNREAD;
	if (board->domain == IDENTITY_OTHER)
		return board->nameless ? BOARD_NAMELESS : BOARD_OTHER_DOMAIN;
	/* Nothing is overwritten that was not understood. */
	if (board->own_fault == RECORD_TOO_NEW || (board->own_fault == RECORD_BAD && !half_expired(board)))
		return board->half_since == MONO_UNSET ? BOARD_NOT_OURS : BOARD_HALF;
	if (!board->foreign || foreign_expired(board))
		return BOARD_CLEAR;
	return board->foreign_changed != MONO_UNSET ? BOARD_TAKEN : BOARD_WATCHED;
}

int board_start(struct board *board)
{
	int r;

	assert(board->clock && board->store && board->calls && board->io_ms > 0);
	assert(board->host_id >= 1 && board->host_id <= HOST_ID_MAX);
	r = slots_new(board->host_id, &board->slots);
	if (r < 0)
		return r;
	board->timing = board->policy.lease;
	board->domain_at = board->gate_asked = board->gate_read = MONO_UNSET;
	board->read_failing_since = board->write_failing_since = MONO_UNSET;
	board->foreign_since = board->foreign_changed = board->half_since = board->judged_at = MONO_UNSET;
	board->own_fault = RECORD_ABSENT;
	board_own_start(board);
	board_scan_start(board);
	return 0;
}

void board_done(struct board *board)
{
	board->clock->cancel(board->clock, &board->cycle_timer);
	board->clock->cancel(board->clock, &board->write_timer);
	slots_free(board->slots);
	board->slots = NULL;
}
