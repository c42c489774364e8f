/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides when ovirt-ha-storage is asked to connect the storage: at once when a place is missing, then after
 * 5, 10, 20, 40 and 60 seconds, for as long as it is. It blocks nobody: what the broker does goes on, and
 * finds the storage when it comes. Called by broker.c. */
#include "broker/storage_link.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "storage/storage_protocol.h"
#include "util/log.h"

#define AGAIN_MS 5000
#define AGAIN_MAX_MS 60000

static mono_t now_of(const struct storage_link *link)
{
	return link->clock->now(link->clock);
}

static void again_later(struct storage_link *link, const char *text)
{
	int64_t pause = AGAIN_MS;

	for (unsigned i = 0; i < link->failures && pause < AGAIN_MAX_MS; i++)
		pause *= 2;
	link->failures++;
	if (strcmp(link->text, text) != 0)
		log_error("%s; it is tried again", text);
	snprintf(link->text, sizeof(link->text), "%s", text);
	link->clock->set(link->clock, &link->timer,
			 mono_add(now_of(link), pause < AGAIN_MAX_MS ? pause : AGAIN_MAX_MS));
}

static void all_there(struct storage_link *link)
{
	if (link->since != MONO_UNSET)
		log_info("the storage is connected");
	link->clock->cancel(link->clock, &link->timer);
	link->since = MONO_UNSET;
	link->failures = 0;
	link->text[0] = '\0';
}

static void answered(void *data, int error, const char *why)
{
	struct storage_link *link = data;
	char text[sizeof(link->text)];

	link->asking = false;
	if (error == 0) {
		link->connected(link->data);
		return;
	}
	/* It came by itself meanwhile. */
	if (!link->place) {
		all_there(link);
		return;
	}
	snprintf(text, sizeof(text), "the storage is not connected: %.280s", why);
	again_later(link, text);
}

static void ask(struct storage_link *link)
{
	char text[sizeof(link->text)];
	int r = link->port->connect(link->port, mono_add(now_of(link), STORAGE_CONNECT_MS), answered, link);

	link->asking = r == 0;
	if (r == 0)
		return;
	snprintf(text, sizeof(text),
		 "the storage is not connected: ovirt-ha-storage does not answer: %s; see systemctl status "
		 "ovirt-ha-storage",
		 strerror(-r));
	again_later(link, text);
}

static void timer_fired(struct timer *timer)
{
	ask((struct storage_link *)((char *)timer - offsetof(struct storage_link, timer)));
}

void storage_link_start(struct storage_link *link)
{
	assert(link->clock && link->connected);
	link->timer.fire = timer_fired;
	link->since = MONO_UNSET;
}

void storage_link_missing(struct storage_link *link, const char *place)
{
	char text[sizeof(link->text)];

	link->place = place;
	if (!link->port || link->asking)
		return;
	if (!place) {
		all_there(link);
		return;
	}
	if (link->timer.set)
		return;
	if (link->since == MONO_UNSET) {
		log_info("the storage is to be connected, not there is %s", place);
		link->since = now_of(link);
		ask(link);
		return;
	}
	/* All was connected, and yet: another export, or a name that is not in it. */
	snprintf(text, sizeof(text), "the storage is connected, but %.200s is not there", place);
	again_later(link, text);
}

void storage_link_done(struct storage_link *link)
{
	link->clock->cancel(link->clock, &link->timer);
}
