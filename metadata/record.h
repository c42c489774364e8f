/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The codec of a host's block on the whiteboard: bytes <-> struct record. Pure: no I/O, no clock. Everything
 * read is untrusted: any byte can be there, and strings of a decoded record are cleaned by whoever shows
 * them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/peer.h"
#include "core/score.h"
#include "metadata/store.h"

#define RECORD_VERSION 1    /* parse and feature version of what we read and write */
#define RECORD_LINE_MAX 512 /* bytes of the first part, NUL padding included */
#define RECORD_TEXT_SIZE (RECORD_LINE_MAX + 1)
#define RECORD_CAUSE_SIZE 96
#define RECORD_WORD_SIZE 48
#define RECORD_PENALTIES_SIZE 512

struct record {
	struct claim claim; /* timestamp in s of the writer's monotonic clock */
	uint16_t host_id;
	uint8_t n_fields;   /* in the line, 7..12 and 12 for more; 8 and 9, then 10, then 11 and 12 may be
			       missing */
	bool config_shared; /* 12 fields: the VM's configuration is on shared storage */
	uint32_t parse_version, feature_version;
	uint32_t crc;		   /* 10 fields */
	uint64_t config_timestamp; /* 12 fields: s of the same clock, 0 never */
	char hostname[RECORD_TEXT_SIZE];
	char status[RECORD_TEXT_SIZE];	      /* the engine status as it stands; only filled by reading */
	char engine_reason[RECORD_TEXT_SIZE]; /* of the engine status, "" none */

	bool torn; /* line and text are of two writes, and the text's keys in `claim` are another's: a write
		      stopped between its sectors. Only filled by reading */

	/* From the text part, "" or 0: not there. Nothing protects it, so it is for people, but for the keys
	 * in `claim`. */
	uint16_t extra_at,
		extra_length; /* where in the block it is, without padding; only filled by reading */
	char state[RECORD_WORD_SIZE];
	char timeout[RECORD_WORD_SIZE]; /* when the state's timeout ends, as record_time_text() writes it */
	char reason[RECORD_WORD_SIZE];	/* of the last transition */
	char version[RECORD_WORD_SIZE]; /* of the writer */
	char penalties[RECORD_PENALTIES_SIZE]; /* see record_penalty_next() */
};

/* Takes a block of slot `slot` (1..HOST_ID_MAX) apart. Other results than RECORD_OK leave *ret as it was and
 * say why in `cause`, in plain ASCII ("" for RECORD_ABSENT). */
enum record_fault record_decode(const uint8_t block[BLOCK_SIZE], uint16_t slot, struct record *ret,
				char cause[RECORD_CAUSE_SIZE]);
/* The same of a block whose first `length` bytes these are, and all others NUL. */
enum record_fault record_decode_bytes(const uint8_t *bytes, size_t length, uint16_t slot, struct record *ret,
				      char cause[RECORD_CAUSE_SIZE]);

/* What a write leaves that stopped in the middle of the line: does the line name this slot and host, in the
 * version that we write, and is its CRC wrong? */
bool record_half_written(const uint8_t block[BLOCK_SIZE], uint16_t slot, const char *hostname);

/* Makes the block of `record`; `wall` is the wall clock (s since the epoch) at claim.timestamp, printed in
 * this host's time zone. What is not printable ASCII is escaped or becomes `?`. Keys of ours are left out
 * when 0 or "". 0, or -EMSGSIZE when the line would be longer than RECORD_LINE_MAX. */
int record_encode(const struct record *record, int64_t wall, uint8_t ret[BLOCK_SIZE]);

/* ctime() without its newline, in the C locale's words whatever the locale is. */
void record_time_text(int64_t wall, char ret[RECORD_WORD_SIZE]);

/* The score's breakdown: `word:points:since:until` joined by commas, moments in s of the writer's clock,
 * `until` 0 when it does not end by time. */
struct record_penalty {
	char word[RECORD_WORD_SIZE]; /* penalty_str(), or a newer writer's */
	int32_t points;
	int64_t since_s, until_s;
};
void record_set_penalties(struct record *record, const struct score *score);
/* Takes the next entry off *cursor (record.penalties at first). False at the end; what can't be read is
 * passed over. */
bool record_penalty_next(const char **cursor, struct record_penalty *ret);
