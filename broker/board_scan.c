/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which of the hosts' blocks are read when, and takes in what they say and what sanlock says of the
 * hosts. It writes nothing, and never waits for the own block. Called by broker.c. */
#include <stddef.h>
#include <string.h>

#include "broker/board_parts.h"
#include "util/log.h"

#define CYCLE_BLOCKS 64
#define DOMAIN_MS 60000
/* Which blocks are in use is known from the scan at start and from sanlock's hosts; a host on another
 * lockspace (safety rule 9) that began to write later is in neither. It scans all blocks when it begins, sees
 * ours move while its sanlock lists none of us, and starts nothing: that needs nothing of us. What we read
 * again is for our own alarm, and for a host of a version that does not look. So one piece a minute is read
 * whether in use or not: 64 KiB, 10.7 KiB in a loop of 10 s, and all 2000 within 125 minutes. What is in use
 * is read in every loop, wherever it is. */
#define RESCAN_BLOCKS 16
#define RESCAN_MS 60000

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
	int64_t gap = board->closely	     ? BOARD_CLOSE_MS
		      : board->watched == 0  ? board->policy.loop
		      : board->watched_tells ? BOARD_TOLD_MS
					     : BOARD_CLOSE_MS;

	return gap < board->policy.loop ? gap : board->policy.loop;
}

static uint16_t take_poked(struct board *board)
{
	uint16_t id = board->poked[0];

	memmove(&board->poked[0], &board->poked[1], --board->n_poked * sizeof(board->poked[0]));
	board->poked_reads++;
	return id;
}

static bool rescan_due(const struct board *board)
{
	return mono_passed(board->rescanned_at, RESCAN_MS, board->cycled_at);
}

static void cycle(struct board *board);

/* One that was asked for meanwhile is waited for; not on storage that answers nobody. */
static void cycle_ended(struct board *board, int error)
{
	bool looked =
		error < 0 ? board->looking || board->look_wanted : board->looking && !board->look_wanted;

	board->cycling = board->looking = false;
	if (error < 0)
		board->look_wanted = false;
	if (looked)
		board->calls->looked(board->data, error);
	if (board->look_wanted && !board->cycling)
		cycle(board);
}

/* Reads the next run of blocks in use. */
static void cycle_go_on(struct board *board)
{
	uint32_t first, count = 1, most = board->scanned ? CYCLE_BLOCKS : BOARD_SCAN_BLOCKS;
	enum board_scan_io io = board->scanned ? BOARD_SCAN_CYCLE : BOARD_SCAN_ALL;
	/* On slow storage a poked block may always wait: then the cycle has every other read, else pokes
	 * would keep it from all other blocks, and from the look at whose whiteboard it is. */
	bool turn_of_cycle = board->cycling && board->scan_io == BOARD_SCAN_POKED;
	int r;

	/* Only now: who hears of what was read may ask for another cycle, over the same images. */
	board->scan_io = BOARD_SCAN_IDLE;
	if (board->scanned && board->n_poked > 0 && !turn_of_cycle) {
		io = BOARD_SCAN_POKED;
		first = take_poked(board);
	} else if (!board->cycling) {
		return;
	} else if (board->cycle_all && (board->domain_at == MONO_UNSET ||
					mono_passed(board->domain_at, DOMAIN_MS, board_now(board)))) {
		/* Before the hosts' blocks: who reads those knows whose they are. */
		first = IDENTITY_BLOCK;
		io = BOARD_SCAN_DOMAIN;
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
			io = BOARD_SCAN_AGAIN;
			first = board->rescan_next;
			count = HOST_ID_MAX - first + 1 < RESCAN_BLOCKS ? HOST_ID_MAX - first + 1
									: RESCAN_BLOCKS;
			board->rescan_next = first + count > HOST_ID_MAX ? 1 : first + count;
			board->rescanned_at = board->cycled_at;
		}
	} else {
		first = board->cycle_next == 0 ? board->watched : 0;
	}
	if (first == 0 || count == 0) {
		if (!board->scanned) {
			board->scanned = true;
			board->rescan_next = 1;
			board->rescanned_at = board->cycled_at;
			log_info("whiteboard scanned hosts=%zu", slots_count(board->slots));
			board_set_timer(board, &board->cycle_timer, cycle_gap(board));
			board->calls->changed(board->data);
		}
		cycle_ended(board, 0);
		/* At most once: no cycle is under way now. */
		if (!board->cycling && turn_of_cycle && board->n_poked > 0)
			cycle_go_on(board);
		return;
	}
	if (io == BOARD_SCAN_ALL || io == BOARD_SCAN_CYCLE)
		board->cycle_next = first + count;
	board->scan_begun = board_now(board);
	board->scan_io = io;
	board->scan_first = first;
	board->scan_count = count;
	board->scan_op.deadline = mono_add(board->scan_begun, board->io_ms);
	r = io == BOARD_SCAN_DOMAIN ? board->store->read(board->store, STORE_QUEUE_SCAN, first, 1,
							 board->identity_buffer, &board->scan_op)
				    : board->store->scan(board->store, STORE_QUEUE_SCAN, first, count,
							 board->scan_images, &board->scan_op);
	if (r < 0) {
		board->scan_io = BOARD_SCAN_IDLE;
		board_note_read(board, r);
		cycle_ended(board, r);
	}
}

/* Returns whether something that decisions or people look at has changed. */
static bool take_images(struct board *board, mono_t now)
{
	uint8_t own[BLOCK_SIZE];
	bool changed = false;

	for (uint32_t i = 0; i < board->scan_count; i++) {
		struct image *image = board->scan_images[i];
		uint16_t id = (uint16_t)(board->scan_first + i);

		if (slots_take_image(board->slots, id, image, &board->timing, now) == SLOT_CHANGED)
			changed = true;
		if (id == board->host_id) {
			image_copy(image, own);
			board_own_seen(board, own);
		}
		image_drop(image);
	}
	return changed;
}

static void read_done(struct store_op *op, int error)
{
	struct board *board = (struct board *)((char *)op - offsetof(struct board, scan_op));
	enum board_scan_io io = board->scan_io;
	mono_t now = board_now(board);

	if (error < 0 && io == BOARD_SCAN_DOMAIN && board->domain_at != MONO_UNSET) {
		/* Whose whiteboard it was is known, and the hosts' blocks may be fine. */
		if (board->domain_error != error)
			log_warning("whose whiteboard it is can't be read again, what it said stays: %s %s",
				    strerror(-error), board->place);
		board->domain_error = error;
		board->domain_at = now;
		cycle_go_on(board);
		return;
	}
	board_note_read(board, error);
	/* What was read before stays, and grows old by itself. */
	if (error < 0) {
		board->scan_io = BOARD_SCAN_IDLE;
		cycle_ended(board, error);
		return;
	}
	if (io == BOARD_SCAN_DOMAIN) {
		board->domain_error = 0;
		board_judge_domain(board, board->identity_buffer);
		board_own_resume(board);
		cycle_go_on(board);
		return;
	}
	if (take_images(board, now) && board->scanned)
		board->calls->changed(board->data);
	cycle_go_on(board);
}

static void cycle(struct board *board)
{
	mono_t now = board_now(board);

	board_set_timer(board, &board->cycle_timer, board->scanned ? cycle_gap(board) : BOARD_RETRY_MS);
	if (board->cycling)
		return;
	board->cycling = true;
	board->looking = board->look_wanted;
	board->look_wanted = false;
	board->cycle_all = board->looking || board->closely || !board->scanned ||
			   board->cycled_at == MONO_UNSET ||
			   mono_passed(board->cycled_at, board->policy.loop, now);
	if (board->cycle_all)
		board->cycled_at = now;
	board->cycle_next = !board->scanned || board->cycle_all ? 1 : 0;
	if (board->scan_io == BOARD_SCAN_IDLE)
		cycle_go_on(board);
}

static void cycle_fired(struct timer *timer)
{
	cycle((struct board *)((char *)timer - offsetof(struct board, cycle_timer)));
}

void board_watch(struct board *board, bool closely, uint16_t owner, bool tells)
{
	int64_t was = cycle_gap(board);
	bool sooner;

	if (owner == board->host_id)
		owner = 0;
	if (board->closely == closely && board->watched == owner && board->watched_tells == tells)
		return;
	sooner = closely && !board->closely;
	board->closely = closely;
	board->watched = owner;
	board->watched_tells = tells;
	if (!board->scanned)
		return;
	if (sooner)
		cycle(board);
	else if (cycle_gap(board) != was)
		board_set_timer(board, &board->cycle_timer, cycle_gap(board));
}

void board_look(struct board *board)
{
	board->look_wanted = true;
	cycle(board);
}

void board_poked(struct board *board, uint16_t id)
{
	for (size_t i = 0; i < board->n_poked; i++)
		if (board->poked[i] == id)
			return;
	/* Full only while the storage hangs: everything is read when it is back. */
	if (id == board->host_id || board->n_poked == POKE_BURST_ALL)
		return;
	board->poked[board->n_poked++] = id;
	if (board->scan_io == BOARD_SCAN_IDLE)
		cycle_go_on(board);
}

void board_take_hosts(struct board *board, const struct lease_look *look)
{
	mono_t now = board_now(board);
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

void board_scan_start(struct board *board)
{
	board->scan_op.done = read_done;
	board->cycle_timer.fire = cycle_fired;
	board->cycled_at = board->scan_begun = board->rescanned_at = MONO_UNSET;
	cycle(board);
}
