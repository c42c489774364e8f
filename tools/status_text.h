/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whiteboard as people and scripts read it: one printer, as text and as JSON, for --vm-status and
 * --dump-whiteboard. Decides wording and order alone; it gets blocks and facts, reads no clock and no file.
 * Everything in a block is untrusted: text is cleaned for the terminal, JSON escapes it. */
#pragma once

#include <stdio.h>

#include "broker/protocol.h"
#include "lockspace/sanlock_status.h"

struct board_status {
	const struct slot_block *blocks; /* by rising id; block 0 may be among them */
	size_t n_blocks;
	bool live;	       /* from the broker: freshness and ages mean something */
	mono_t now;	       /* of the broker's clock, with `live` */
	enum flag maintenance; /* the broker's, with `live`; else block 0 tells */
	uint16_t own_id;       /* of the host that answered, 0: none */
	const char *trouble;   /* the broker's, "" none */
	/* Of own_id, by the broker's clock. */
	const struct store_health *store;	 /* NULL: there is no broker */
	const struct sanlock_renewals *renewals; /* NULL: sanlock does not tell */
};

void status_put_text(const struct board_status *status, FILE *out);
/* One line. 0, or -ENOMEM and the line is not whole. */
int status_put_json(const struct board_status *status, FILE *out);
/* {"error": TEXT} as one line. */
void status_put_error(const char *text, FILE *out);
