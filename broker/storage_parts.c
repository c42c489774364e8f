/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares what the configured places live on, each with each. Two that are certainly of different storage
 * are a fault of the configuration; what can't be told is accepted, since one storage has many names. It asks
 * the backing port alone and blocks nobody itself: membership_gate.c and broker.c do. Called by broker.c. */
#include "broker/storage_parts.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "util/log.h"

#define FIND_MS 10000
#define PERIOD_MS 60000
#define WRONG_PERIOD_MS 5000 /* an operator waits for it to be right */

static mono_t now_of(const struct storage_parts *parts)
{
	return parts->clock->now(parts->clock);
}

/* The first two that are of different storage, or else whether all are known to be of one. */
static enum backing_match compare(const struct storage_parts *parts, const struct backing *backings,
				  enum part *ret_a, enum part *ret_b)
{
	enum backing_match all = BACKING_SAME;

	for (enum part a = 0; a < PART_COUNT; a++) {
		for (enum part b = a + 1; b < PART_COUNT; b++) {
			enum backing_match match;

			if (!parts->places[a] || !parts->places[b])
				continue;
			match = backing_compare(&backings[a], &backings[b]);
			if (match == BACKING_OTHER) {
				*ret_a = a;
				*ret_b = b;
				return match;
			}
			if (match == BACKING_UNSURE)
				all = match;
		}
	}
	return all;
}

/* A file, a device or a mount that is away. A server that the broker asks itself is no file. */
static const char *find_missing(const struct storage_parts *parts, const struct backing *backings)
{
	for (enum part i = 0; i < PART_COUNT; i++)
		if (parts->places[i] && backings[i].error < 0 && backings[i].error != -EACCES &&
		    !strstr(parts->places[i], "://"))
			return parts->places[i];
	return NULL;
}

static void found(void *data, const struct backing *backings)
{
	struct storage_parts *parts = data;
	enum part a = 0, b = 0;
	enum backing_match was = parts->match;
	const char *missed = parts->missing;
	bool first = !parts->asked;
	char text[sizeof(parts->text)] = "";

	parts->asked = true;
	if (!backings) {
		/* No answer is no proof that it was put right, and none of a fault. */
		log_debug("storage parts: no answer in %d ms", FIND_MS);
	} else {
		parts->match = compare(parts, backings, &a, &b);
		parts->missing = find_missing(parts, backings);
		for (enum part i = 0; i < PART_COUNT; i++)
			if (parts->places[i])
				log_debug("storage parts: %s on %s", parts->places[i], backings[i].what);
		if (parts->match == BACKING_OTHER)
			snprintf(text, sizeof(text),
				 "%.105s is on %.75s, but %.105s on %.75s: not one storage domain; correct "
				 "hosted-engine.conf",
				 parts->places[a], backings[a].what, parts->places[b], backings[b].what);
		if (text[0] && strcmp(text, parts->text) != 0)
			log_error("%s", text);
		else if (!text[0] && was == BACKING_OTHER)
			log_info("storage parts are not of different storage any more");
		memcpy(parts->text, text, sizeof(parts->text));
	}
	parts->clock->set(parts->clock, &parts->timer,
			  mono_add(now_of(parts), parts->match == BACKING_OTHER || parts->missing
							  ? WRONG_PERIOD_MS
							  : PERIOD_MS));
	if (first || was != parts->match || (backings && (missed || parts->missing)))
		parts->changed(parts->data);
}

void storage_parts_look(struct storage_parts *parts)
{
	if (parts->port->find(parts->port, mono_add(now_of(parts), FIND_MS), found, parts) < 0)
		found(parts, NULL);
}

static void timer_fired(struct timer *timer)
{
	storage_parts_look((struct storage_parts *)((char *)timer - offsetof(struct storage_parts, timer)));
}

void storage_parts_start(struct storage_parts *parts)
{
	assert(parts->clock && parts->port && parts->changed);
	parts->timer.fire = timer_fired;
	storage_parts_look(parts);
}

void storage_parts_done(struct storage_parts *parts)
{
	parts->clock->cancel(parts->clock, &parts->timer);
}
