/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What clients are told of this host and of the whiteboard, and in words what is wrong. It changes nothing.
 * Called by ipc_server.c and broker_main.c. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker_state.h"

/* Appends one sentence; what does not fit is left out. */
static void __attribute__((format(printf, 2, 3))) say(char text[TEXT_MAX], const char *format, ...)
{
	size_t length = strlen(text);
	va_list arguments;

	if (length > 0 && length + 2 < TEXT_MAX) {
		strcpy(text + length, "; ");
		length += 2;
	}
	va_start(arguments, format);
	vsnprintf(text + length, TEXT_MAX - length, format, arguments);
	va_end(arguments);
}

static long long seconds_since(const struct broker *broker, mono_t since)
{
	return (long long)((broker_now(broker) - since) / MONO_SECOND);
}

/* A corosync that is away for so long was taken away, which is no trouble: the journal has it. */
#define AWAY_SAID_MS (24 * 60 * 60 * MONO_SECOND)

/* Sooner than by its record's age: the broker of a host has left the group, and its record has not changed
 * since. It may have ended, or its corosync, or the network between; whether that host is dead nobody knows
 * but sanlock. */
static void say_pokes(const struct broker *broker, char text[TEXT_MAX])
{
	const struct poke_link *pokes = &broker->pokes;
	const struct slot *slot;

	if (pokes->lost_at != MONO_UNSET && !mono_passed(pokes->lost_at, AWAY_SAID_MS, broker_now(broker)))
		/* In minutes: each change of the text goes to systemd. */
		say(text, "corosync: away for %lld min, blocks are read in their rhythm",
		    seconds_since(broker, pokes->lost_at) / 60);
	for (size_t i = 0; i < POKE_GONE_MAX; i++) {
		const struct poke_gone *gone = &pokes->intake.gone[i];

		slot = gone->host_id != 0 ? slots_get(broker->board.slots, gone->host_id) : NULL;
		if (slot && slot->peer.fault == RECORD_OK && !slot->peer.claim.stopped &&
		    slot->peer.changed_at <= gone->at &&
		    peer_fresh(&slot->peer, &broker->config.policy, broker_now(broker)))
			say(text, "corosync: the broker of host %u is not heard for %lld s", gone->host_id,
			    seconds_since(broker, gone->at));
	}
}

void broker_trouble(struct broker *broker, char ret[TEXT_MAX])
{
	const struct board *board = &broker->board;
	const struct global_flag *flag = &broker->flag;
	struct store_health health;

	ret[0] = '\0';
	broker->ports.store->health(broker->ports.store, &health);
	if (broker->link.since != MONO_UNSET)
		say(ret, "storage: %s (for %lld s)",
		    broker->link.text[0] ? broker->link.text : "it is being connected",
		    seconds_since(broker, broker->link.since));
	if (health.stuck_since != MONO_UNSET)
		say(ret, "storage: I/O stuck for %lld s", seconds_since(broker, health.stuck_since));
	else if (broker->slow_ms > 0)
		say(ret, "storage: slow, an I/O took %lld ms", (long long)broker->slow_ms);
	if (board->write_failing_since != MONO_UNSET)
		say(ret, "storage: writes fail for %lld s: %s %s; %s",
		    seconds_since(broker, board->write_failing_since), strerror(-board->write_error),
		    board->place, board_advice(board->write_error));
	/* What is said twice crowds out what else is wrong. */
	if (board->read_failing_since != MONO_UNSET && board->write_failing_since != MONO_UNSET &&
	    board->read_error == board->write_error)
		say(ret, "storage: reads fail for %lld s, too",
		    seconds_since(broker, board->read_failing_since));
	else if (board->read_failing_since != MONO_UNSET)
		say(ret, "storage: reads fail for %lld s: %s %s; %s",
		    seconds_since(broker, board->read_failing_since), strerror(-board->read_error),
		    board->place, board_advice(board->read_error));
	if (board->untrue)
		say(ret, "storage: our record was acknowledged and does not stand there: %s", board->place);
	if (broker->member.trouble[0])
		say(ret, "lockspace: %s (for %lld s)", broker->member.trouble,
		    seconds_since(broker, broker->member.trouble_since));
	if (broker->guard_error < 0)
		say(ret, "guard: not listening for %lld s: %s",
		    seconds_since(broker, broker->guard_away_since), strerror(-broker->guard_error));
	/* Not joined it has been said above. */
	if (broker->member.membership == MEMBERSHIP_JOINED && board_other_domain(board))
		say(ret, "%s", board_domain_text(board));
	if (broker->member.membership == MEMBERSHIP_JOINED && broker->parts.text[0])
		say(ret, "%s", broker->parts.text);
	if (broker_timing(broker).io_timeout_s != broker->config.policy.lease.io_timeout_s)
		say(ret,
		    "sanlock uses io_timeout %u s, hosted-engine.conf says %u s: restart ovirt-ha-broker "
		    "while the engine VM is not on this host",
		    broker_timing(broker).io_timeout_s, broker->config.policy.lease.io_timeout_s);
	if (board_taken(board) && board->own_fault == RECORD_TOO_NEW)
		say(ret,
		    "block %u holds the record of a newer version and is not overwritten: nothing is "
		    "published",
		    broker->config.host_id);
	else if (board_taken(board))
		say(ret, "block %u is written by another host, %.63s: nothing is published",
		    broker->config.host_id, board->foreign_name);
	if (flag->unread_since != MONO_UNSET)
		say(ret, "block 0 unreadable for %lld s: %s", seconds_since(broker, flag->unread_since),
		    flag->cause);
	if (broker->member.membership == MEMBERSHIP_JOINED && broker->member.owner.error < 0)
		say(ret, "the engine lease can't be read: %s %s", strerror(-broker->member.owner.error),
		    broker->config.places.lease);
	say_pokes(broker, ret);
	if (board->published.move_failed[0])
		say(ret,
		    "the last live migration failed: %s; MIGRATION in hosted-engine-ha(7) has what it needs, "
		    "hosted-engine --vm-migrate tries again",
		    board->published.move_failed);
	if (!broker->agent)
		say(ret, "no agent");
	else if (board->published_at != MONO_UNSET &&
		 mono_passed(board->published_at, AGENT_SILENT_MS, broker_now(broker)))
		say(ret, "the agent is silent for %lld s", seconds_since(broker, board->published_at));
}

void broker_status(struct broker *broker, struct status_reply *ret)
{
	broker_fill_cluster(broker, &ret->cluster);
	broker->ports.store->health(broker->ports.store, &ret->store);
	ret->published = broker->board.published;
	ret->now = broker_now(broker);
	ret->published_at = broker->board.published_at;
	ret->agent_connected = broker->agent;
	memcpy(ret->hostname, broker->config.hostname, sizeof(ret->hostname));
	broker_trouble(broker, ret->trouble);
}

size_t broker_blocks(struct broker *broker, uint32_t first, struct slot_block *ret, size_t max,
		     uint32_t *ret_next)
{
	const struct board *board = &broker->board;
	mono_t now = broker_now(broker);
	const struct slot *slot;
	size_t n = 0;

	*ret_next = 0;
	if (first > HOST_ID_MAX)
		return 0;
	if (first == 0) {
		memset(&ret[n], 0, sizeof(ret[n]));
		ret[n].read_at = broker->flag.read_at;
		ret[n].changed_at = MONO_UNSET;
		ret[n].fresh = broker->flag.unread_since == MONO_UNSET && broker->flag.read;
		memcpy(ret[n].block, broker->flag.block, BLOCK_SIZE);
		n++;
	}
	for (slot = slots_next(board->slots, first == 0 ? 0 : (uint16_t)(first - 1)); slot;
	     slot = slots_next(board->slots, slot->peer.id)) {
		if (!slot->image)
			continue; /* sanlock lists it, it wrote nothing */
		if (n == max) {
			*ret_next = slot->peer.id;
			break;
		}
		memset(&ret[n], 0, sizeof(ret[n]));
		ret[n].id = slot->peer.id;
		ret[n].read_at = slot->read_at;
		ret[n].changed_at = slot->peer.changed_at;
		if (slot->peer.id == broker->config.host_id)
			ret[n].fresh = broker->agent && board->published_at != MONO_UNSET &&
				       !mono_passed(board->published_at, AGENT_SILENT_MS, now);
		else
			ret[n].fresh = peer_fresh(&slot->peer, &broker->config.policy, now);
		image_copy(slot->image, ret[n].block);
		n++;
	}
	return n;
}
