/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Joins the broker's parts: passes what one learns to the others, keeps the agent's and the clients'
 * requests, and tells the agent when something that matters changed. It does no I/O of its own and waits for
 * nothing. Called by ipc_server.c, the monitors and broker_main.c. */
#include "broker/broker_state.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/poke.h"
#include "metadata/record.h"
#include "util/cleanup.h"
#include "util/log.h"

/* Between two EVENT_CHANGED in the long run. So many may come at once before it counts: what a start or an
 * end of the VM brings comes in two or three, and each of them is waited for. */
#define CHANGED_GAP_MS 50
#define CHANGED_BURST 4

mono_t broker_now(const struct broker *broker)
{
	return broker->ports.clock->now(broker->ports.clock);
}

/* Safety rule 8 where nobody passed the gate: the lockspace was joined before this broker began, or its
 * configuration or storage changed since. The host gets score 0 and starts nothing. It stays joined: leaving
 * would end a VM that runs (rule 7), and without one it mends nothing, since a foreign lockspace only sees
 * one of its ids renewed; the broker's stop leaves then (membership_stop), and who corrects the configuration
 * restarts it. A VM that runs is left to sanlock, which holds its lease, and to rule 3, which asks for it.
 * Nothing is written to the whiteboard of another domain. */
static bool other_domain(const struct broker *broker)
{
	return broker->parts.match == BACKING_OTHER || board_other_domain(&broker->board) ||
	       broker->member.owner.error == -EXDEV;
}

/* Rule 10 goes by what sanlock does, which is not what the file says when that was changed while the host id
 * was joined. */
struct lease_timing broker_timing(const struct broker *broker)
{
	struct lease_timing ret = broker->config.policy.lease;

	if (broker->member.io_timeout_s != 0)
		ret.io_timeout_s = broker->member.io_timeout_s;
	return ret;
}

void broker_fill_cluster(const struct broker *broker, struct cluster *ret)
{
	const struct member *member = &broker->member;

	memset(ret, 0, sizeof(*ret));
	ret->host_id = broker->config.host_id;
	ret->generation = member->membership == MEMBERSHIP_JOINED ? member->generation : 0;
	ret->membership = member->membership;
	ret->hosts_known = member->hosts_known;
	/* Before the parts were asked for, what was read may be of any storage. */
	ret->whiteboard_read = broker->board.scanned && broker->parts.asked;
	ret->maintenance = broker->flag.value;
	ret->maintenance_read = broker->flag.read;
	ret->watchdog = member->watchdog;
	/* What another domain's whiteboard says is no knowledge of ours, its global maintenance neither. */
	if (board_other_domain(&broker->board)) {
		ret->whiteboard_read = ret->maintenance_read = false;
		ret->maintenance = FLAG_UNKNOWN;
	}
	ret->block = member->block != BLOCK_NONE       ? member->block
		     : other_domain(broker)	       ? BLOCK_DOMAIN
		     : board_cut_short(&broker->board) ? BLOCK_DOMAIN
		     : board_taken(&broker->board)     ? BLOCK_ID_TAKEN
						       : BLOCK_NONE;
	ret->lease = broker_timing(broker);
	ret->owner = member->owner.kind;
	ret->owner_id = member->owner.id;
	ret->owner_generation = member->owner.generation;
	ret->owner_version = member->owner.version;
	ret->owner_begun = member->owner.begun;
	ret->qemu_pid = member->qemu_pid;
	ret->held = member->held;
	ret->held_begun = member->held_begun;
	memcpy(ret->monitors, broker->samples, sizeof(ret->monitors));
}

static void make_digest(const struct broker *broker, struct digest *ret)
{
	memset(ret, 0, sizeof(*ret));
	broker_fill_cluster(broker, &ret->cluster);
	ret->cluster.owner_begun = ret->cluster.held_begun = 0;
	for (int i = 0; i < MONITOR_COUNT; i++) {
		ret->cluster.monitors[i].number = ret->cluster.monitors[i].number != 0;
		/* These move all the time; their verdict needs minutes. */
		if (i == MONITOR_MEM_FREE || i == MONITOR_CPU_LOAD)
			ret->cluster.monitors[i].value = 0;
	}
	ret->peers = slots_news(broker->board.slots);
}

static void tell_agent(struct broker *broker)
{
	mono_t now = broker_now(broker);
	struct digest digest;

	if (!broker->agent)
		return;
	make_digest(broker, &digest);
	if (memcmp(&digest, &broker->told, sizeof(digest)) == 0)
		return;
	broker->told = digest;
	broker->told_until = mono_add(broker->told_until > now ? broker->told_until : now, CHANGED_GAP_MS);
	broker->agent->changed(broker->agent_data);
}

static void changed_fired(struct timer *timer)
{
	tell_agent((struct broker *)((char *)timer - offsetof(struct broker, changed_timer)));
}

void broker_changed(struct broker *broker)
{
	mono_t due = mono_add(broker->told_until, -(int64_t)(CHANGED_BURST - 1) * CHANGED_GAP_MS);

	if (!broker->started || !broker->agent || broker->changed_timer.set)
		return;
	if (broker_now(broker) >= due)
		tell_agent(broker);
	else
		broker->ports.clock->set(broker->ports.clock, &broker->changed_timer, due);
}

/* Paused, migrated, or a start of ours that may wait for its lease, as the agent says. It hears of the run by
 * libvirt's event, and says so at once. */
static bool vm_waits(const struct broker *broker)
{
	const struct claim *said = &broker->board.published.claim;

	return broker->agent && broker->board.published_at != MONO_UNSET && said->vm != VM_UNKNOWN &&
	       (said->detail == DETAIL_PAUSED || said->detail == DETAIL_WAIT_FOR_LAUNCH ||
		said->detail == DETAIL_MIGRATION_SOURCE || said->detail == DETAIL_MIGRATION_DESTINATION);
}

/* Everything is read every second while a change is due; while the VM is up elsewhere, its host's block is,
 * less often if it tells of changes, and by those alone that would take the VM soon. What is saved is only
 * such looks: every block is read each loop whoever tells.
 */
static void follow_owner(struct broker *broker)
{
	bool told = broker->board.published_at != MONO_UNSET;
	bool closely = broker->agent && told && broker->board.published.watch_closely;
	bool in_turn = !told || broker->board.published.in_turn;
	const struct lease_owner *owner = &broker->member.owner;

	membership_spare_qemu(&broker->member, vm_waits(broker));
	membership_watch_closely(&broker->member, closely);
	board_watch(&broker->board, closely, in_turn && owner->kind == OWNER_HOST ? owner->id : 0,
		    poke_link_trusts(&broker->pokes, owner->id));
}

/* The health of the VM before is not the next one's: one that is started again here within the monitor's
 * period would count as up at once. */
static void forget_health_of_another(struct broker *broker)
{
	int32_t pid = broker->member.qemu_pid;

	if (pid < 0 || pid == broker->health_pid)
		return;
	broker->health_pid = pid;
	if (broker->samples[MONITOR_ENGINE_HEALTH].known)
		broker_sample(broker, MONITOR_ENGINE_HEALTH, false, HEALTH_UNKNOWN);
}

static void member_observed(void *data)
{
	struct broker *broker = data;

	if (!broker->started)
		return;
	forget_health_of_another(broker);
	board_set_member(&broker->board, broker->member.membership == MEMBERSHIP_JOINED,
			 broker->member.generation, broker_timing(broker));
	follow_owner(broker);
	broker_changed(broker);
}

static void member_looked(void *data, const struct lease_look *look)
{
	struct broker *broker = data;

	if (broker->started)
		board_take_hosts(&broker->board, look);
}

static enum board_verdict member_verdict(void *data)
{
	return board_verdict(&((struct broker *)data)->board);
}

static const struct membership_calls membership_calls = {
	.observed = member_observed,
	.looked = member_looked,
	.verdict = member_verdict,
};

/* A record that changed may tell that the lease is free: its owner is asked for at once, not at the next
 * loop. */
static void board_changed(void *data)
{
	struct broker *broker = data;

	broker_changed(broker);
	if (broker->started)
		membership_look(&broker->member);
}

/* The name of the host that the VM is being moved to, as its record has it. */
static void migration_target(const struct broker *broker, char ret[HOST_NAME_MAX_SIZE])
{
	uint16_t id = broker->board.published.claim.migrating_to;
	const struct slot *slot = id != 0 ? slots_get(broker->board.slots, id) : NULL;
	uint8_t block[BLOCK_SIZE];
	struct record record;
	char cause[RECORD_CAUSE_SIZE];

	ret[0] = '\0';
	if (!slot)
		return;
	image_copy(slot->image, block);
	if (record_decode(block, id, &record, cause) == RECORD_OK)
		snprintf(ret, HOST_NAME_MAX_SIZE, "%.255s", record.hostname);
}

static void board_published(void *data, uint64_t serial, int error)
{
	struct broker *broker = data;
	char target[HOST_NAME_MAX_SIZE];

	if (!broker->agent)
		return;
	migration_target(broker, target);
	broker->agent->published(broker->agent_data, serial, error, target);
}

static void board_news(void *data, uint32_t what)
{
	struct broker *broker = data;

	poke_link_tell(&broker->pokes, what);
}

static void board_looked(void *data, int error);

static const struct board_calls board_calls = {
	.changed = board_changed, .looked = board_looked, .published = board_published, .news = board_news};

static void pokes_changed(void *data)
{
	struct broker *broker = data;

	if (broker->started)
		follow_owner(broker);
}

static void poked(void *data, uint16_t host_id)
{
	struct broker *broker = data;

	board_poked(&broker->board, host_id);
	pokes_changed(broker);
}

static const struct poke_link_calls poke_calls = {.poked = poked, .changed = pokes_changed};

static void facts_changed(void *data)
{
	broker_changed(data);
}

static void parts_looked_at(void *data)
{
	struct broker *broker = data;

	storage_link_missing(&broker->link, broker->parts.missing);
	broker_changed(broker);
}

static void storage_connected(void *data)
{
	struct broker *broker = data;

	storage_parts_look(&broker->parts);
}

int32_t broker_qemu_pid(const struct broker *broker)
{
	return broker->member.qemu_pid;
}

bool broker_vm_runs(const struct broker *broker)
{
	const struct publish_request *said = &broker->board.published;

	if (broker->member.qemu_pid == 0)
		return false;
	/* Without an agent nobody knows better. With one, a /proc that can't be read must not make the health
	 * of a VM that is up unknown: it would be shut down for it. */
	if (!broker->agent || broker->board.published_at == MONO_UNSET || said->claim.vm == VM_UNKNOWN)
		return broker->member.qemu_pid > 0;
	return said->claim.vm == VM_UP && !vm_waits(broker);
}

int broker_agent_attach(struct broker *broker, const struct agent_calls *calls, void *data)
{
	if (broker->agent)
		return -EEXIST;
	broker->agent = calls;
	broker->agent_data = data;
	broker->told_until = MONO_UNSET;
	board_forget_agent(&broker->board);
	make_digest(broker, &broker->told);
	log_info("agent connected");
	return 0;
}

void broker_agent_detach(struct broker *broker, void *data)
{
	if (!broker->agent || broker->agent_data != data)
		return;
	broker->agent = NULL;
	broker->agent_data = NULL;
	broker->ports.clock->cancel(broker->ports.clock, &broker->changed_timer);
	log_info("agent gone");
	follow_owner(broker);
	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct waiting_command waiting = broker->commands[i];

		broker->commands[i].ticket = 0;
		if (waiting.ticket != 0)
			waiting.answer(waiting.data, -EHOSTDOWN,
				       "the agent ended before it answered; see --vm-status");
	}
}

void broker_publish(struct broker *broker, const struct publish_request *request)
{
	const struct publish_request *was = &broker->board.published;
	bool vm_moved = broker->board.published_at == MONO_UNSET || was->claim.vm != request->claim.vm ||
			was->claim.detail != request->claim.detail || was->state != request->state;

	board_publish(&broker->board, request);
	follow_owner(broker);
	/* A VM that came or went changes the owner, QEMU and what sanlock holds. */
	if (vm_moved)
		membership_look(&broker->member);
}

/* A start that is held would come behind what was ordered after it, and the VM run against the last word. Nor
 * does an end wait for storage that is slow. */
static void withdraw_starts(struct broker *broker)
{
	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct waiting_command waiting = broker->commands[i];

		if (waiting.ticket == 0 || waiting.held == 0)
			continue;
		broker->commands[i].ticket = 0;
		waiting.answer(waiting.data, -ECANCELED, START_WITHDRAWN);
	}
}

int broker_command(struct broker *broker, enum command command, const char *argument, broker_answer_fn answer,
		   void *data)
{
	bool start = command == COMMAND_VM_START || command == COMMAND_VM_START_PAUSED;

	if (!broker->agent)
		return -EHOSTDOWN;
	if (command == COMMAND_VM_SHUTDOWN || command == COMMAND_VM_POWEROFF)
		withdraw_starts(broker);
	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct waiting_command *waiting = &broker->commands[i];

		if (waiting->ticket != 0)
			continue;
		*waiting = (struct waiting_command){
			.ticket = ++broker->last_ticket, .answer = answer, .data = data};
		if (!start) {
			broker->agent->command(broker->agent_data, waiting->ticket, command, argument);
			return 0;
		}
		waiting->held = command;
		snprintf(waiting->argument, sizeof(waiting->argument), "%s", argument);
		board_look(&broker->board);
		return 0;
	}
	return -EBUSY;
}

/* Safety rule 14: a hand-over leaves the lease free, and who is ordered to start has to know of it. Elsewhere
 * than on the hosts whose turn is next, or where storage has been silent, what is known is older than one. */
static void board_looked(void *data, int error)
{
	struct broker *broker = data;

	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct waiting_command waiting = broker->commands[i];

		if (waiting.ticket == 0 || waiting.held == 0)
			continue;
		broker->commands[i].held = 0;
		if (error == 0) {
			broker->agent->command(broker->agent_data, waiting.ticket, waiting.held,
					       waiting.argument);
			continue;
		}
		broker->commands[i].ticket = 0;
		waiting.answer(
			waiting.data, -EIO,
			"VM failed to launch\nthe whiteboard can't be read, so it is not known whether "
			"another host has the VM: see hosted-engine --vm-status");
	}
}

int broker_answer(struct broker *broker, uint64_t ticket, int error, const char *text)
{
	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct waiting_command waiting = broker->commands[i];

		if (ticket == 0 || waiting.ticket != ticket)
			continue;
		broker->commands[i].ticket = 0;
		waiting.answer(waiting.data, error, text);
		return 0;
	}
	return -ENOENT;
}

int broker_set_global(struct broker *broker, bool maintenance, broker_answer_fn answer, void *data)
{
	if (board_other_domain(&broker->board))
		return -EXDEV;
	return global_flag_set(&broker->flag, maintenance, answer, data);
}

void broker_forget(struct broker *broker, void *data)
{
	global_flag_forget(&broker->flag, data);
	for (size_t i = 0; i < COMMANDS_MAX; i++)
		if (broker->commands[i].ticket != 0 && broker->commands[i].data == data)
			broker->commands[i].ticket = 0;
}

size_t broker_facts(struct broker *broker, struct cluster *ret, struct peer *peers)
{
	broker_fill_cluster(broker, ret);
	if (board_other_domain(&broker->board))
		return 0; /* hosts of another cluster: no VM of ours moves to them */
	return slots_peers(broker->board.slots, peers);
}

static void member_stopped(void *data)
{
	struct broker *broker = data;

	broker->stopped(broker->stopped_data);
}

void broker_stop(struct broker *broker, void (*stopped)(void *data), void *data)
{
	broker->stopped = stopped;
	broker->stopped_data = data;
	membership_stop(&broker->member, member_stopped);
}

int broker_new(const struct broker_config *config, const struct broker_ports *ports, struct broker **ret)
{
	_cleanup_free_ struct broker *broker = calloc(1, sizeof(*broker));
	int r;

	assert(config->io_ms > 0);
	if (!broker)
		return -ENOMEM;
	broker->config = *config;
	broker->ports = *ports;
	broker->told_until = MONO_UNSET;
	broker->changed_timer.fire = changed_fired;

	broker->parts.clock = ports->clock;
	broker->parts.port = ports->backing;
	broker->parts.places[PART_WHITEBOARD] = broker->config.places.whiteboard;
	broker->parts.places[PART_LOCKSPACE] = broker->config.places.lockspace;
	broker->parts.places[PART_LEASE] = broker->config.places.lease;
	if (config->places.disk[0])
		broker->parts.places[PART_DISK] = broker->config.places.disk;
	broker->parts.changed = parts_looked_at;
	broker->parts.data = broker;

	broker->link.clock = ports->clock;
	broker->link.port = ports->connect;
	broker->link.connected = storage_connected;
	broker->link.data = broker;

	broker->board.clock = ports->clock;
	broker->board.store = ports->store;
	broker->board.calls = &board_calls;
	broker->board.data = broker;
	broker->board.host_id = config->host_id;
	broker->board.place = broker->config.places.whiteboard;
	broker->board.policy = config->policy;
	broker->board.io_ms = config->io_ms;
	strcpy(broker->board.hostname, config->hostname);
	strcpy(broker->board.identity.domain, config->domain);
	strcpy(broker->board.identity.lockspace, config->lockspace);
	r = board_start(&broker->board);
	if (r < 0)
		return r;

	broker->pokes.clock = ports->clock;
	broker->pokes.port = ports->poke;
	broker->pokes.calls = &poke_calls;
	broker->pokes.data = broker;
	broker->pokes.host_id = config->host_id;
	broker->pokes.cluster = poke_cluster(config->domain, config->lockspace);

	broker->flag.clock = ports->clock;
	broker->flag.store = ports->store;
	broker->flag.lease = ports->block0;
	broker->flag.kept = ports->kept;
	broker->flag.changed = facts_changed;
	broker->flag.data = broker;
	broker->flag.loop_ms = config->policy.loop;
	broker->flag.io_ms = broker->board.io_ms;
	global_flag_start(&broker->flag);

	broker->member.clock = ports->clock;
	broker->member.lease = ports->lease;
	broker->member.fence = ports->fence;
	broker->member.qemu = ports->qemu;
	broker->member.calls = &membership_calls;
	broker->member.data = broker;
	broker->member.host_id = config->host_id;
	broker->member.places = &broker->config.places;
	broker->member.parts = &broker->parts;
	broker->member.loop_ms = config->policy.loop;
	broker->started = true;
	storage_link_start(&broker->link);
	storage_parts_start(&broker->parts);
	membership_start(&broker->member);
	broker_watch_start(broker);
	poke_link_start(&broker->pokes);
	*ret = TAKE_PTR(broker);
	return 0;
}

void broker_free(struct broker *broker)
{
	if (!broker)
		return;
	broker->started = false;
	broker->agent = NULL;
	poke_link_done(&broker->pokes);
	membership_done(&broker->member);
	storage_parts_done(&broker->parts);
	storage_link_done(&broker->link);
	global_flag_done(&broker->flag);
	board_done(&broker->board);
	broker->ports.clock->cancel(broker->ports.clock, &broker->changed_timer);
	broker->ports.clock->cancel(broker->ports.clock, &broker->watch_timer);
	free(broker);
}
