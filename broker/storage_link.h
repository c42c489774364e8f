/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Has the storage connected when its places are missing, again and again with growing pauses, and knows in
 * words how it goes. Used by broker.c. */
#pragma once

#include <stdbool.h>

#include "broker/connect_port.h"
#include "util/loop.h"

struct storage_link {
	struct clock_port *clock;
	struct connect_port *port; /* NULL: hosted-engine.conf has nothing to connect */
	void (*connected)(void *data);
	void *data;

	const char *place; /* that is not there, NULL none */
	bool asking;
	mono_t since;	   /* of the first question that is not answered well, MONO_UNSET: all is there */
	unsigned failures; /* in a row, up to now */
	char text[320];	   /* why it is not connected, "" not known or nothing */
	struct timer timer;
};

/* Zeroed before; clock, port, connected and data set by the caller. */
void storage_link_start(struct storage_link *link);
/* Told after each look: the place that is not there, for people; NULL: all are. */
void storage_link_missing(struct storage_link *link, const char *place);
void storage_link_done(struct storage_link *link);
