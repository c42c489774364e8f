/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whiteboard as this host sees it: reads the others' blocks (board_scan.c), writes its own (board_own.c),
 * and tells whose they are (board.c, safety rule 8). Writes nothing without the host id joined. Storage is a
 * port. Used by broker.c. */
#pragma once

#include "broker/membership.h"
#include "broker/poke_intake.h"
#include "broker/protocol.h"
#include "metadata/identity.h"
#include "metadata/slots.h"
#include "metadata/store.h"
#include "util/loop.h"

/* Without a word from the agent for so long the own timestamp stands still: others must see that nobody
 * decides here. */
#define AGENT_SILENT_MS 20000

struct board_calls {
	/* Something beyond timestamps changed in what was read, or the scan at start ended. */
	void (*changed)(void *data);
	/* The look that board_look() asked for has ended, 0 or -errno: then not all was read. */
	void (*looked)(void *data, int error);
	/* What the agent said under `serial` and before is on storage, or is not. */
	void (*published)(void *data, uint64_t serial, int error);
	/* Our block on storage says something new, enum poke_what or-ed. */
	void (*news)(void *data, uint32_t what);
};

enum board_scan_io {
	BOARD_SCAN_IDLE,
	BOARD_SCAN_ALL,	   /* at start: all blocks, large reads */
	BOARD_SCAN_CYCLE,  /* blocks in use */
	BOARD_SCAN_AGAIN,  /* a piece of all blocks, in use or not */
	BOARD_SCAN_DOMAIN, /* the identity, before the scan and every minute */
	BOARD_SCAN_POKED,  /* a block whose host says that it has changed */
};

enum board_own_io {
	BOARD_OWN_IDLE,
	BOARD_OWN_IDENTITY, /* at the gate */
	BOARD_OWN_GATE,	    /* the own block, at the gate */
	BOARD_OWN_LOOK,	    /* the own block, before the write of each loop */
	BOARD_OWN_WRITE,
	BOARD_OWN_VERIFY, /* read back */
};

#define BOARD_SCAN_BLOCKS 250 /* about 1 MiB at a time */

struct board {
	struct clock_port *clock;
	struct store *store;
	const struct board_calls *calls;
	void *data;
	uint16_t host_id;
	const char *place; /* of the whiteboard, for people */
	char hostname[256];
	struct identity identity; /* domain "": every whiteboard that names its domain is another's */
	struct policy policy;
	int64_t io_ms; /* deadline of one read or write */

	struct slots *slots;
	bool scanned;					/* every block was read once */
	int read_error, write_error;			/* of the last read and write */
	mono_t read_failing_since, write_failing_since; /* MONO_UNSET: they work */

	/* The hosts' blocks. */
	struct store_op scan_op;
	enum board_scan_io scan_io;
	uint32_t scan_first, scan_count; /* of the read under way */
	struct image *scan_images[BOARD_SCAN_BLOCKS];
	uint8_t identity_buffer[BLOCK_SIZE];
	struct timer cycle_timer;
	mono_t scan_begun;	   /* of the read under way */
	mono_t domain_at;	   /* end of the last read of the identity, MONO_UNSET: none was good yet */
	int domain_error;	   /* of that read */
	mono_t cycled_at;	   /* begin of the last cycle over all blocks in use, MONO_UNSET: none */
	uint32_t cycle_next;	   /* id to go on from */
	bool cycle_all;		   /* else the one block of `watched` */
	bool cycling;		   /* it is under way, maybe behind a poked block */
	bool look_wanted, looking; /* the next cycle, and the one under way, is board_look()'s */
	mono_t rescanned_at; /* begin of the cycle with the last piece, MONO_UNSET: the scan at start goes on
			      */
	uint32_t rescan_next;
	bool closely;
	uint16_t watched;   /* the owner's id, 0 none or ours */
	bool watched_tells; /* it pokes us when its block changes */
	uint16_t poked[POKE_BURST_ALL];
	size_t n_poked;
	uint64_t poked_reads;

	/* The own block. */
	struct store_op own_op;
	enum board_own_io own_io;
	uint8_t own_buffer[BLOCK_SIZE], written[BLOCK_SIZE];
	struct image *own_image; /* read back */
	mono_t wrote_at;	 /* end of the last good write, MONO_UNSET: none */
	bool ever_written;	 /* in this membership: `written` is what should stand there */
	struct timer write_timer;
	bool joined;
	uint64_t generation;
	struct lease_timing timing;	  /* that we live by */
	struct publish_request published; /* the agent's last */
	mono_t published_at;		  /* MONO_UNSET: none */
	uint64_t serial_writing, serial_done;
	bool dirty;		     /* the agent said something new */
	uint32_t news, news_writing; /* of what it said: not yet being written, and not yet on storage */
	bool stored; /* what it said was read back from the own block, which has not changed since */
	bool silent_said;
	bool untrue; /* our last write was acknowledged, and read back it does not stand there */

	/* What stands in the own block, and whose it is. */
	bool foreign; /* a record of another host name, joined or not */
	char foreign_name[64];
	mono_t foreign_since, foreign_changed; /* first seen; last seen to change (MONO_UNSET: not yet) */
	mono_t judged_at;		       /* the last look at our block, MONO_UNSET: none */
	uint8_t foreign_block[BLOCK_SIZE];     /* or the half record of `half_since` */
	mono_t half_since; /* since when half a record of ours stands there unchanged, MONO_UNSET: none does
			    */
	bool half_said;
	mono_t gate_asked, gate_read; /* MONO_UNSET: never */
	int gate_error;
	enum identity_match domain; /* IDENTITY_UNKNOWN also before the first read */
	bool named;		    /* it once named our domain */
	bool nameless;		    /* and names none any more: IDENTITY_OTHER */
	enum record_fault own_fault;
	bool own_looked;  /* it was read for the write that comes next */
	mono_t looked_at; /* when last, MONO_UNSET: not since we are joined */
};

/* Zeroed before; clock, store, calls, host_id, hostname, identity, policy and io_ms set by the caller. 0 or
 * -errno. */
int board_start(struct board *board);
void board_done(struct board *board);
/* sanlock's word about all hosts. */
void board_take_hosts(struct board *board, const struct lease_look *look);
/* `timing`: what sanlock does on this host, for the record (safety rule 10). */
void board_set_member(struct board *board, bool joined, uint64_t generation, struct lease_timing timing);
/* Read every second: everything, or the one block of `owner` (0: none); less often if the owner `tells` of
 * changes. */
void board_watch(struct board *board, bool closely, uint16_t owner, bool tells);
/* Reads all blocks in use, each after this call; `looked` tells the end, maybe before this returns. */
void board_look(struct board *board);
/* A host says that its block has changed: it is read as soon as the read under way has ended, or the next
 * piece of the cycle after it. */
void board_poked(struct board *board, uint16_t id);
/* What the agent says of this host; written at once when it is news. */
void board_publish(struct board *board, const struct publish_request *request);
/* Another agent comes, whose serials begin anew: what the one before asked is answered to nobody. */
void board_forget_agent(struct board *board);
/* For membership_gate.c. */
enum board_verdict board_verdict(struct board *board);
/* The whiteboard names another domain: nothing that stands there is of our cluster, and nothing is written.
 */
bool board_other_domain(const struct board *board);
/* What that means, in words. */
const char *board_domain_text(const struct board *board);
/* The whiteboard ends before our block. */
bool board_cut_short(const struct board *board);
/* What to do about an error of reading or writing it, in words. */
const char *board_advice(int error);
/* Another host's or a newer version's record stands in our block while we are joined, and publishing has
 * stopped. */
bool board_taken(const struct board *board);
