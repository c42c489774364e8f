/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Joins the broker's parts: passes what one learns to the others, keeps the agent's and the clients'
 * requests, and tells the agent when something that matters changed. It does no I/O of its own and waits for
 * nothing. Called by ipc_server.c, the monitors and broker_main.c. */
#include "broker/broker.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/log.h"

#define CHANGED_GAP_MS 50 /* between two EVENT_CHANGED */
#define COMMANDS_MAX 16
#define WATCH_MS 1000	 /* of the monitors and of storage */
#define GUARD_MS 5000	 /* of the guard */
#define MONITOR_SILENT 3 /* periods without a sample: its monitor is dead */
#define FIRST_WORDS 3	 /* samples after which a monitor should have told something */

struct waiting_command {
	uint64_t ticket; /* 0: free */
	broker_answer_fn answer;
	void *data;
};

/* What decides whether the agent is told; moments and counters aside. */
struct digest {
	struct cluster cluster;
	uint64_t peers;
};

struct broker {
	struct broker_config config;
	struct broker_ports ports;
	struct member member;
	struct storage_parts parts;
	struct board board;
	struct global_flag flag;
	struct sample samples[MONITOR_COUNT];
	int32_t health_pid; /* the QEMU whose health is in the sample, 0 none */
	mono_t sampled_at[MONITOR_COUNT];
	const struct agent_calls *agent;
	void *agent_data;
	uint64_t last_ticket;
	struct waiting_command commands[COMMANDS_MAX];
	struct timer changed_timer, watch_timer;
	mono_t told_at; /* last EVENT_CHANGED */
	mono_t guard_asked, guard_away_since;
	int guard_error;
	struct digest told;
	void (*stopped)(void *data);
	void *stopped_data;
	bool started;
};

static mono_t now_of(const struct broker *broker)
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
static struct lease_timing timing(const struct broker *broker)
{
	struct lease_timing ret = broker->config.policy.lease;

	if (broker->member.io_timeout_s != 0)
		ret.io_timeout_s = broker->member.io_timeout_s;
	return ret;
}

static void fill_cluster(const struct broker *broker, struct cluster *ret)
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
	ret->block = member->block != BLOCK_NONE   ? member->block
		     : other_domain(broker)	   ? BLOCK_DOMAIN
		     : board_taken(&broker->board) ? BLOCK_ID_TAKEN
						   : BLOCK_NONE;
	ret->lease = timing(broker);
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

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x100000001b3ULL;
	return hash ^ hash >> 29;
}

static uint64_t digest_peer(uint64_t hash, const struct peer *peer)
{
	const struct claim *claim = &peer->claim;

	hash = mix(hash, peer->id);
	hash = mix(hash, (uint64_t)peer->fault << 32 | (uint64_t)peer->host);
	hash = mix(hash, peer->host_generation);
	hash = mix(hash, claim->generation);
	hash = mix(hash, (uint64_t)claim->score << 32 | (uint64_t)claim->vm << 16 |
				 (uint64_t)claim->health << 8 | (uint64_t)claim->detail);
	hash = mix(hash,
		   (uint64_t)claim->migrating_to << 8 | (uint64_t)claim->maintenance << 1 | claim->stopped);
	hash = mix(hash, (uint64_t)claim->io_timeout_s << 32 | claim->watchdog_fire_s);
	return mix(hash, peer->alien_advances);
}

static void make_digest(const struct broker *broker, struct digest *ret)
{
	const struct slot *slot;

	memset(ret, 0, sizeof(*ret));
	fill_cluster(broker, &ret->cluster);
	ret->cluster.owner_begun = ret->cluster.held_begun = 0;
	for (int i = 0; i < MONITOR_COUNT; i++) {
		ret->cluster.monitors[i].number = ret->cluster.monitors[i].number != 0;
		/* These move all the time; their verdict needs minutes. */
		if (i == MONITOR_MEM_FREE || i == MONITOR_CPU_LOAD)
			ret->cluster.monitors[i].value = 0;
	}
	ret->peers = 0xcbf29ce484222325ULL;
	for (slot = slots_next(broker->board.slots, 0); slot;
	     slot = slots_next(broker->board.slots, slot->peer.id))
		if (slot->peer.id != broker->config.host_id)
			ret->peers = digest_peer(ret->peers, &slot->peer);
}

static void tell_agent(struct broker *broker)
{
	struct digest digest;

	if (!broker->agent)
		return;
	make_digest(broker, &digest);
	if (memcmp(&digest, &broker->told, sizeof(digest)) == 0)
		return;
	broker->told = digest;
	broker->told_at = now_of(broker);
	broker->agent->changed(broker->agent_data);
}

static void changed_fired(struct timer *timer)
{
	tell_agent((struct broker *)((char *)timer - offsetof(struct broker, changed_timer)));
}

/* Something may have changed. */
static void changed(struct broker *broker)
{
	if (!broker->started || !broker->agent || broker->changed_timer.set)
		return;
	if (broker->told_at == MONO_UNSET || mono_passed(broker->told_at, CHANGED_GAP_MS, now_of(broker)))
		tell_agent(broker);
	else
		broker->ports.clock->set(broker->ports.clock, &broker->changed_timer,
					 mono_add(broker->told_at, CHANGED_GAP_MS));
}

/* Everything is read every second while a change is due; while the VM is up elsewhere, its host's block is.
 */
static void follow_owner(struct broker *broker)
{
	bool closely = broker->agent && broker->board.published_at != MONO_UNSET &&
		       broker->board.published.watch_closely;
	const struct lease_owner *owner = &broker->member.owner;

	membership_watch_closely(&broker->member, closely);
	board_watch(&broker->board, closely, owner->kind == OWNER_HOST ? owner->id : 0);
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
			 broker->member.generation, timing(broker));
	follow_owner(broker);
	changed(broker);
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

	changed(broker);
	if (broker->started)
		membership_look(&broker->member);
}

static void board_published(void *data, uint64_t serial, int error)
{
	struct broker *broker = data;

	if (broker->agent)
		broker->agent->published(broker->agent_data, serial, error);
}

static const struct board_calls board_calls = {.changed = board_changed, .published = board_published};

static void flag_changed(void *data)
{
	changed(data);
}

static void parts_changed(void *data)
{
	changed(data);
}

void broker_sample(struct broker *broker, enum monitor monitor, bool known, int32_t value)
{
	struct sample *sample = &broker->samples[monitor];

	assert((unsigned)monitor < MONITOR_COUNT);
	if (++sample->number == 0)
		sample->number = 1;
	/* Some need two samples for their first word, which is no news then. One that gives a value all the
	 * same has nothing to tell about: the health of a VM that left. */
	if (!known && value < 0 && (sample->known || sample->number == FIRST_WORDS))
		log_warning("monitor %s can't tell, its last penalty stays", monitor_str(monitor));
	else if (known && !sample->known && sample->number > FIRST_WORDS)
		log_info("monitor %s tells again", monitor_str(monitor));
	sample->known = known;
	if (value >= 0)
		sample->value = value;
	broker->sampled_at[monitor] = now_of(broker);
	changed(broker);
}

/* Storage is judged from what the whiteboard's I/O does anyway. */
static bool storage_good(const struct broker *broker)
{
	const struct board *board = &broker->board;
	struct store_health health;

	broker->ports.store->health(broker->ports.store, &health);
	return board->scanned && board->read_failing_since == MONO_UNSET &&
	       board->write_failing_since == MONO_UNSET && health.stuck_since == MONO_UNSET;
}

/* In its rhythm, and at once when it turns. */
static void sample_storage(struct broker *broker, mono_t now)
{
	const struct sample *sample = &broker->samples[MONITOR_STORAGE_DOMAIN];
	bool good = storage_good(broker);

	if (sample->number == 0 || sample->value != good ||
	    mono_passed(broker->sampled_at[MONITOR_STORAGE_DOMAIN],
			broker->config.monitor_ms[MONITOR_STORAGE_DOMAIN], now))
		broker_sample(broker, MONITOR_STORAGE_DOMAIN, true, good);
}

/* Without it nothing kills the VM when sanlock is gone (rule 5), and nothing at all on a host without a
 * watchdog (rule 6): people must know. The score stays, since all that a host loses is its second net. */
static void look_at_guard(struct broker *broker, mono_t now)
{
	int error, was = broker->guard_error;

	if (broker->guard_asked != MONO_UNSET && !mono_passed(broker->guard_asked, GUARD_MS, now))
		return;
	broker->guard_asked = now;
	error = broker->ports.fence->listens(broker->ports.fence);
	broker->guard_error = error;
	if (error < 0 && was == 0) {
		broker->guard_away_since = now;
		log_error("the guard does not listen, nothing ends the VM when sanlock can't: %s; see "
			  "systemctl status ovirt-ha-guard",
			  strerror(-error));
	} else if (error == 0 && was < 0) {
		log_info("the guard listens again");
	}
}

static void watch_fired(struct timer *timer)
{
	struct broker *broker = (struct broker *)((char *)timer - offsetof(struct broker, watch_timer));
	mono_t now = now_of(broker);

	broker->ports.clock->set(broker->ports.clock, timer, mono_add(now, WATCH_MS));
	look_at_guard(broker, now);
	for (unsigned i = 0; i < MONITOR_COUNT; i++) {
		if (broker->config.monitor_ms[i] == 0)
			continue;
		if (i == MONITOR_STORAGE_DOMAIN) {
			sample_storage(broker, now);
		} else if (broker->samples[i].known &&
			   mono_passed(broker->sampled_at[i], MONITOR_SILENT * broker->config.monitor_ms[i],
				       now)) {
			broker_sample(broker, (enum monitor)i, false, -1);
		}
	}
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
	return said->claim.vm == VM_UP && said->claim.detail != DETAIL_PAUSED &&
	       said->claim.detail != DETAIL_WAIT_FOR_LAUNCH;
}

int broker_agent_attach(struct broker *broker, const struct agent_calls *calls, void *data)
{
	if (broker->agent)
		return -EEXIST;
	broker->agent = calls;
	broker->agent_data = data;
	broker->told_at = MONO_UNSET;
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

int broker_command(struct broker *broker, enum command command, const char *argument, broker_answer_fn answer,
		   void *data)
{
	if (!broker->agent)
		return -EHOSTDOWN;
	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		if (broker->commands[i].ticket != 0)
			continue;
		broker->commands[i] = (struct waiting_command){++broker->last_ticket, answer, data};
		broker->agent->command(broker->agent_data, broker->commands[i].ticket, command, argument);
		return 0;
	}
	return -EBUSY;
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
	fill_cluster(broker, ret);
	if (board_other_domain(&broker->board))
		return 0; /* hosts of another cluster: no VM of ours moves to them */
	return slots_peers(broker->board.slots, broker->config.host_id, peers);
}

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
	return (long long)((now_of(broker) - since) / MONO_SECOND);
}

void broker_trouble(struct broker *broker, char ret[TEXT_MAX])
{
	const struct board *board = &broker->board;
	const struct global_flag *flag = &broker->flag;
	struct store_health health;

	ret[0] = '\0';
	broker->ports.store->health(broker->ports.store, &health);
	if (health.stuck_since != MONO_UNSET)
		say(ret, "storage: I/O stuck for %lld s", seconds_since(broker, health.stuck_since));
	if (board->write_failing_since != MONO_UNSET)
		say(ret, "storage: writes fail for %lld s: %s %s",
		    seconds_since(broker, board->write_failing_since), strerror(-board->write_error),
		    board->place);
	if (board->read_failing_since != MONO_UNSET)
		say(ret, "storage: reads fail for %lld s: %s %s",
		    seconds_since(broker, board->read_failing_since), strerror(-board->read_error),
		    board->place);
	if (broker->member.trouble[0])
		say(ret, "lockspace: %s (for %lld s)", broker->member.trouble,
		    seconds_since(broker, broker->member.trouble_since));
	if (broker->guard_error < 0)
		say(ret, "guard: not listening for %lld s: %s",
		    seconds_since(broker, broker->guard_away_since), strerror(-broker->guard_error));
	/* Not joined it has been said above. */
	if (broker->member.membership == MEMBERSHIP_JOINED && board_other_domain(board))
		say(ret, "%s", other_domain_text);
	if (broker->member.membership == MEMBERSHIP_JOINED && broker->parts.text[0])
		say(ret, "%s", broker->parts.text);
	if (timing(broker).io_timeout_s != broker->config.policy.lease.io_timeout_s)
		say(ret,
		    "sanlock uses io_timeout %u s, hosted-engine.conf says %u s: restart ovirt-ha-broker "
		    "while "
		    "the engine VM is not on this host",
		    timing(broker).io_timeout_s, broker->config.policy.lease.io_timeout_s);
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
	if (!broker->agent)
		say(ret, "no agent");
	else if (board->published_at != MONO_UNSET &&
		 mono_passed(board->published_at, AGENT_SILENT_MS, now_of(broker)))
		say(ret, "the agent is silent for %lld s", seconds_since(broker, board->published_at));
}

void broker_status(struct broker *broker, struct status_reply *ret)
{
	fill_cluster(broker, &ret->cluster);
	broker->ports.store->health(broker->ports.store, &ret->store);
	ret->published = broker->board.published;
	ret->now = now_of(broker);
	ret->published_at = broker->board.published_at;
	ret->agent_connected = broker->agent;
	memcpy(ret->hostname, broker->config.hostname, sizeof(ret->hostname));
	broker_trouble(broker, ret->trouble);
}

size_t broker_blocks(struct broker *broker, uint32_t first, struct slot_block *ret, size_t max,
		     uint32_t *ret_next)
{
	const struct board *board = &broker->board;
	mono_t now = now_of(broker);
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
		if (!slot->bytes)
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
		slot_block_copy(slot, ret[n].block);
		n++;
	}
	return n;
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
	broker->told_at = broker->guard_asked = MONO_UNSET;
	for (size_t i = 0; i < MONITOR_COUNT; i++)
		broker->sampled_at[i] = MONO_UNSET;
	broker->changed_timer.fire = changed_fired;
	broker->watch_timer.fire = watch_fired;

	broker->parts.clock = ports->clock;
	broker->parts.port = ports->backing;
	broker->parts.places[PART_WHITEBOARD] = broker->config.places.whiteboard;
	broker->parts.places[PART_LOCKSPACE] = broker->config.places.lockspace;
	broker->parts.places[PART_LEASE] = broker->config.places.lease;
	if (config->places.disk[0])
		broker->parts.places[PART_DISK] = broker->config.places.disk;
	broker->parts.changed = parts_changed;
	broker->parts.data = broker;

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

	broker->flag.clock = ports->clock;
	broker->flag.store = ports->store;
	broker->flag.lease = ports->block0;
	broker->flag.kept = ports->kept;
	broker->flag.changed = flag_changed;
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
	storage_parts_start(&broker->parts);
	membership_start(&broker->member);
	watch_fired(&broker->watch_timer);
	*ret = TAKE_PTR(broker);
	return 0;
}

void broker_free(struct broker *broker)
{
	if (!broker)
		return;
	broker->started = false;
	broker->agent = NULL;
	membership_done(&broker->member);
	storage_parts_done(&broker->parts);
	global_flag_done(&broker->flag);
	board_done(&broker->board);
	broker->ports.clock->cancel(broker->ports.clock, &broker->changed_timer);
	broker->ports.clock->cancel(broker->ports.clock, &broker->watch_timer);
	free(broker);
}
