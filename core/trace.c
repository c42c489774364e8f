/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One table of fields per struct; formatting and parsing walk the same tables, so that what is written can be
 * read. A field that is missing here would make a replay differ from what happened: tests/unit/test_trace.c
 * takes random machines and facts through a line and compares the steps. */
#include "core/trace.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKEN_MAX 128
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum type {
	TYPE_BOOL,
	TYPE_WORD, /* an enum with a string table */
	TYPE_U8,
	TYPE_U16,
	TYPE_U32,
	TYPE_I32,
	TYPE_U64,
	TYPE_I64,
	TYPE_MOMENT,
	/* Arrays; the key goes on with the word of the index. */
	TYPE_SAMPLES,	/* number/value/known */
	TYPE_CAUSES,	/* number/samples/since/value */
	TYPE_PENALTIES, /* of struct score_memory: since when it applies */
};

struct field {
	const char *name;
	size_t offset;
	enum type type;
	const char *(*str)(unsigned value);
	unsigned count; /* of the words */
};

#define FIELD(base, member, type)                                                                            \
	{                                                                                                    \
#member, offsetof(struct base, member), TYPE_##type, NULL, 0                                 \
	}
#define AS(base, name, member, type)                                                                         \
	{                                                                                                    \
		name, offsetof(struct base, member), TYPE_##type, NULL, 0                                    \
	}
#define WORD(base, member, words, count)                                                                     \
	{                                                                                                    \
#member, offsetof(struct base, member), TYPE_WORD, words##_str, count                        \
	}
#define WORD_AS(base, name, member, words, count)                                                            \
	{                                                                                                    \
		name, offsetof(struct base, member), TYPE_WORD, words##_str, count                           \
	}
#define EACH(base, name, member, type, words, count)                                                         \
	{                                                                                                    \
		name, offsetof(struct base, member), TYPE_##type, words##_str, count                         \
	}

static const struct field policy_fields[] = {
	FIELD(policy, loop, I64),
	FIELD(policy, stale, I64),
	FIELD(policy, bad_health, I64),
	FIELD(policy, shutdown, I64),
	FIELD(policy, starting, I64),
	FIELD(policy, away, I64),
	FIELD(policy, unexpected, I64),
	FIELD(policy, retry_window, I64),
	FIELD(policy, healthy_clears, I64),
	FIELD(policy, untaken, I64),
	FIELD(policy, paused, I64),
	FIELD(policy, kill_limit, I64),
	FIELD(policy, owner_retry, I64),
	FIELD(policy, rank_delay, I64),
	FIELD(policy, better_held, I64),
	FIELD(policy, move_interval, I64),
	FIELD(policy, better_threshold, I32),
	FIELD(policy, cpu_load_from, U32),
	FIELD(policy, cpu_load_to, U32),
	AS(policy, "network_samples", network.samples, U32),
	AS(policy, "network_ms", network.ms, I64),
	AS(policy, "cpu_samples", cpu.samples, U32),
	AS(policy, "cpu_ms", cpu.ms, I64),
	AS(policy, "other_samples", other.samples, U32),
	AS(policy, "other_ms", other.ms, I64),
	FIELD(policy, require_watchdog, BOOL),
	FIELD(policy, live_migration, BOOL),
	AS(policy, "base", weights.base, I32),
	AS(policy, "weight_network", weights.network, I32),
	AS(policy, "weight_mgmt_bridge", weights.mgmt_bridge, I32),
	AS(policy, "weight_cpu_load", weights.cpu_load, I32),
	AS(policy, "weight_memory", weights.memory, I32),
	AS(policy, "weight_config", weights.config, I32),
	AS(policy, "weight_retry", weights.retry, I32),
	AS(policy, "io_timeout_s", lease.io_timeout_s, U32),
	AS(policy, "watchdog_fire_s", lease.watchdog_fire_s, U32),
};

static const struct field machine_fields[] = {
	WORD(machine, state, state, STATE_COUNT),
	FIELD(machine, entered, MOMENT),
	FIELD(machine, deadline, MOMENT),
	WORD(machine, reason, reason, REASON_COUNT),
	WORD(machine, in_flight, action, ACTION_COUNT),
	FIELD(machine, in_flight_since, MOMENT),
	FIELD(machine, must_leave, BOOL),
	FIELD(machine, failed_tries, U32),
	FIELD(machine, last_failed, MOMENT),
	FIELD(machine, crashes, U32),
	FIELD(machine, last_crash, MOMENT),
	FIELD(machine, lease_refusals, U32),
	FIELD(machine, refused_at, MOMENT),
	FIELD(machine, next_owner_try, MOMENT),
	FIELD(machine, unexpected_until, MOMENT),
	FIELD(machine, healthy_since, MOMENT),
	FIELD(machine, lease_free_since, MOMENT),
	FIELD(machine, free_version, U64),
	FIELD(machine, start_due_since, MOMENT),
	FIELD(machine, better_since, MOMENT),
	FIELD(machine, last_move, MOMENT),
	FIELD(machine, unknown_since, MOMENT),
	FIELD(machine, paused_since, MOMENT),
	FIELD(machine, config_since, MOMENT),
	FIELD(machine, held_version, U64),
	FIELD(machine, held_at, MOMENT),
	FIELD(machine, resume_version, U64),
	FIELD(machine, kill_since, MOMENT),
	FIELD(machine, next_kill, MOMENT),
	EACH(machine, "cause.", scores.causes, CAUSES, monitor, MONITOR_COUNT),
	EACH(machine, "penalty.", scores, PENALTIES, penalty, PENALTY_COUNT),
};

static const struct field cluster_fields[] = {
	FIELD(cluster, host_id, U16),
	FIELD(cluster, generation, U64),
	WORD(cluster, membership, membership, MEMBERSHIP_COUNT),
	FIELD(cluster, hosts_known, BOOL),
	FIELD(cluster, whiteboard_read, BOOL),
	WORD(cluster, maintenance, flag, FLAG_COUNT),
	FIELD(cluster, maintenance_read, BOOL),
	WORD(cluster, watchdog, watchdog, WATCHDOG_COUNT),
	WORD(cluster, block, block_reason, BLOCK_REASON_COUNT),
	AS(cluster, "io_timeout_s", lease.io_timeout_s, U32),
	AS(cluster, "watchdog_fire_s", lease.watchdog_fire_s, U32),
	WORD(cluster, owner, owner_kind, OWNER_KIND_COUNT),
	FIELD(cluster, owner_id, U16),
	FIELD(cluster, owner_generation, U64),
	FIELD(cluster, owner_version, U64),
	FIELD(cluster, owner_begun, MOMENT),
	FIELD(cluster, qemu_pid, I32),
	WORD(cluster, held, held, HELD_COUNT),
	FIELD(cluster, held_begun, MOMENT),
	EACH(cluster, "monitor.", monitors, SAMPLES, monitor, MONITOR_COUNT),
};

static const struct field vm_fields[] = {
	WORD(vm_facts, vm, vm, VM_COUNT),	   WORD(vm_facts, detail, detail, DETAIL_COUNT),
	WORD(vm_facts, pause, pause, PAUSE_COUNT), WORD(vm_facts, reason, engine_reason, ENGINE_REASON_COUNT),
	FIELD(vm_facts, running_since, MOMENT),	   FIELD(vm_facts, seen_at, MOMENT),
	FIELD(vm_facts, memory_mib, I32),
};

static const struct field known_fields[] = {
	FIELD(snapshot, local_maintenance, BOOL),     FIELD(snapshot, stop_wanted, BOOL),
	FIELD(snapshot, config_outdated, BOOL),	      FIELD(snapshot, broker_answers, BOOL),
	WORD(snapshot, wanted, action, ACTION_COUNT),
};

static const struct field peer_fields[] = {
	WORD(peer, fault, record_fault, RECORD_FAULT_COUNT),
	AS(peer, "timestamp", claim.timestamp, U64),
	AS(peer, "generation", claim.generation, U64),
	AS(peer, "score", claim.score, I32),
	WORD_AS(peer, "vm", claim.vm, vm, VM_COUNT),
	WORD_AS(peer, "health", claim.health, health, HEALTH_COUNT),
	WORD_AS(peer, "detail", claim.detail, detail, DETAIL_COUNT),
	AS(peer, "maintenance", claim.maintenance, BOOL),
	AS(peer, "stopped", claim.stopped, BOOL),
	AS(peer, "migrating_to", claim.migrating_to, U16),
	AS(peer, "io_timeout_s", claim.io_timeout_s, U32),
	AS(peer, "watchdog_fire_s", claim.watchdog_fire_s, U32),
	FIELD(peer, first_seen, MOMENT),
	FIELD(peer, changed_at, MOMENT),
	FIELD(peer, able_since, MOMENT),
	FIELD(peer, vm_since, MOMENT),
	WORD(peer, host, host_state, HOST_STATE_COUNT),
	FIELD(peer, host_generation, U64),
	FIELD(peer, host_timestamp, U64),
	FIELD(peer, renewed_at, MOMENT),
	FIELD(peer, claim_generation, U64),
	FIELD(peer, alien_since, MOMENT),
	FIELD(peer, alien_advances, U8),
};

void trace_init(struct trace *trace, struct peer *peers, size_t max_peers)
{
	assert(max_peers <= HOST_ID_MAX);
	*trace = (struct trace){
		.policy = policy_default,
		.known = {.peers = peers, .vm = {.running_since = MONO_UNSET}},
		.peers = peers,
		.max_peers = max_peers,
	};
	machine_init(&trace->machine, 0);
}

struct line {
	char *at;
	size_t left; /* room, with the NUL */
	bool cut;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->at, line->left, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= line->left) {
		line->cut = true;
		n = line->left > 0 ? (int)line->left - 1 : 0;
	}
	line->at += n;
	line->left -= (size_t)n;
}

static void put_word(struct line *line, const char *word)
{
	char text[TOKEN_MAX];
	size_t i;

	for (i = 0; word[i] && i < sizeof(text) - 1; i++)
		text[i] = word[i] == ' ' ? '_' : word[i];
	text[i] = '\0';
	put(line, "%s", text);
}

static void put_moment(struct line *line, mono_t at)
{
	if (at == MONO_UNSET)
		put(line, "unset");
	else if (at == MONO_NEVER)
		put(line, "never");
	else
		put(line, "%" PRId64, at);
}

static void put_key(struct line *line, const char *prefix, const char *name, const char *index)
{
	put(line, " %s%s%s=", prefix, name, index);
}

static void put_samples(struct line *line, const char *prefix, const struct field *field, const void *at)
{
	const struct sample *samples = at;

	for (unsigned i = 0; i < field->count; i++) {
		const struct sample *s = &samples[i];

		if (s->number == 0 && s->value == 0 && !s->known)
			continue;
		put_key(line, prefix, field->name, field->str(i));
		put(line, "%" PRIu32 "/%" PRId32 "/%d", s->number, s->value, s->known);
	}
}

static void put_causes(struct line *line, const char *prefix, const struct field *field, const void *at)
{
	const struct cause *causes = at;

	for (unsigned i = 0; i < field->count; i++) {
		const struct cause *c = &causes[i];

		if (c->number == 0 && c->samples == 0 && c->since == 0 && c->value == 0)
			continue;
		put_key(line, prefix, field->name, field->str(i));
		put(line, "%" PRIu32 "/%" PRIu32 "/%" PRId64 "/%" PRId32, c->number, c->samples, c->since,
		    c->value);
	}
}

static void put_penalties(struct line *line, const char *prefix, const struct field *field, const void *at)
{
	const struct score_memory *memory = at;

	for (unsigned i = 0; i < field->count; i++) {
		if (!memory->applied[i])
			continue;
		put_key(line, prefix, field->name, field->str(i));
		put_moment(line, memory->since[i]);
	}
}

/* Every scalar widened to the type it is printed as. */
static uint64_t scalar(const struct field *field, const void *at)
{
	switch (field->type) {
	case TYPE_BOOL:
		return *(const bool *)at;
	case TYPE_WORD:
		return *(const unsigned *)at;
	case TYPE_U8:
		return *(const uint8_t *)at;
	case TYPE_U16:
		return *(const uint16_t *)at;
	case TYPE_U32:
		return *(const uint32_t *)at;
	case TYPE_I32:
		return (uint64_t)(int64_t) * (const int32_t *)at;
	case TYPE_U64:
		return *(const uint64_t *)at;
	case TYPE_I64:
	case TYPE_MOMENT:
		return (uint64_t) * (const int64_t *)at;
	default:
		break;
	}
	assert(!"not a scalar");
	return 0;
}

static void put_scalar(struct line *line, const struct field *field, uint64_t value)
{
	switch (field->type) {
	case TYPE_WORD:
		put_word(line, field->str((unsigned)value));
		break;
	case TYPE_I32:
	case TYPE_I64:
		put(line, "%" PRId64, (int64_t)value);
		break;
	case TYPE_MOMENT:
		put_moment(line, (mono_t)value);
		break;
	default:
		put(line, "%" PRIu64, value);
		break;
	}
}

static void put_fields(struct line *line, const char *prefix, const struct field *fields, size_t n,
		       const void *base, const void *defaults)
{
	for (size_t i = 0; i < n; i++) {
		const struct field *field = &fields[i];
		const void *at = (const char *)base + field->offset;

		switch (field->type) {
		case TYPE_SAMPLES:
			put_samples(line, prefix, field, at);
			break;
		case TYPE_CAUSES:
			put_causes(line, prefix, field, at);
			break;
		case TYPE_PENALTIES:
			put_penalties(line, prefix, field, at);
			break;
		default:
			if (scalar(field, at) == scalar(field, (const char *)defaults + field->offset))
				break;
			put_key(line, prefix, field->name, "");
			put_scalar(line, field, scalar(field, at));
			break;
		}
	}
}

int trace_format(const struct machine *machine, const struct snapshot *known, const struct policy *policy,
		 mono_t now, char *ret_line, size_t size)
{
	struct line line = {.at = ret_line, .left = size};
	struct trace defaults;

	assert(size > 0);
	ret_line[0] = '\0';
	trace_init(&defaults, NULL, 0);
	put(&line, "now=");
	put_moment(&line, now);
	put_fields(&line, "policy.", policy_fields, LENGTH(policy_fields), policy, &defaults.policy);
	put_fields(&line, "machine.", machine_fields, LENGTH(machine_fields), machine, &defaults.machine);
	put_fields(&line, "", known_fields, LENGTH(known_fields), known, &defaults.known);
	put_fields(&line, "vm.", vm_fields, LENGTH(vm_fields), &known->vm, &defaults.known.vm);
	put_fields(&line, "cluster.", cluster_fields, LENGTH(cluster_fields), &known->cluster,
		   &defaults.known.cluster);
	for (size_t i = 0; i < known->n_results; i++)
		put(&line, " result=%s:%s", action_str(known->results[i].action),
		    outcome_str(known->results[i].outcome));
	for (size_t i = 0; i < known->n_peers; i++) {
		const struct peer *peer = &known->peers[i];
		char prefix[sizeof("peer.65535.")];
		struct peer empty;

		snprintf(prefix, sizeof(prefix), "peer.%u.", (unsigned)peer->id);
		peer_init(&empty, peer->id);
		put(&line, " peer=%u", (unsigned)peer->id);
		put_fields(&line, prefix, peer_fields, LENGTH(peer_fields), peer, &empty);
	}
	return line.cut ? -EMSGSIZE : (int)(line.at - ret_line);
}

/* A number up to the end of the text or to `stop`; *text is moved there. */
static int take_number(const char **text, char stop, int64_t min, int64_t max, int64_t *ret)
{
	char *end;
	long long value;

	if (**text != '-' && (**text < '0' || **text > '9'))
		return -EINVAL;
	errno = 0;
	value = strtoll(*text, &end, 10);
	if (errno || end == *text || *end != stop || value < min || value > max)
		return -EINVAL;
	*text = stop ? end + 1 : end;
	*ret = value;
	return 0;
}

static int take_unsigned(const char *text, uint64_t *ret)
{
	char *end;
	unsigned long long value;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int take_moment(const char *text, mono_t *ret)
{
	if (strcmp(text, "unset") == 0)
		*ret = MONO_UNSET;
	else if (strcmp(text, "never") == 0)
		*ret = MONO_NEVER;
	else
		return take_number(&text, '\0', INT64_MIN, INT64_MAX, ret);
	return 0;
}

static bool word_is(const char *word, const char *text)
{
	while (*word && (*word == *text || (*word == ' ' && *text == '_')))
		word++, text++;
	return *word == '\0' && *text == '\0';
}

static int take_word(const char *(*str)(unsigned), unsigned count, const char *text, unsigned *ret)
{
	for (unsigned i = 0; i < count; i++) {
		if (word_is(str(i), text)) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int take_scalar(const struct field *field, const char *text, void *at)
{
	int64_t value;
	int r;

#define TAKE(type, min, max)                                                                                 \
	do {                                                                                                 \
		r = take_number(&text, '\0', min, max, &value);                                              \
		if (r == 0)                                                                                  \
			*(type *)at = (type)value;                                                           \
		return r;                                                                                    \
	} while (0)

	switch (field->type) {
	case TYPE_BOOL:
		TAKE(bool, 0, 1);
	case TYPE_WORD:
		return take_word(field->str, field->count, text, at);
	case TYPE_U8:
		TAKE(uint8_t, 0, UINT8_MAX);
	case TYPE_U16:
		TAKE(uint16_t, 0, UINT16_MAX);
	case TYPE_U32:
		TAKE(uint32_t, 0, UINT32_MAX);
	case TYPE_I32:
		TAKE(int32_t, INT32_MIN, INT32_MAX);
	case TYPE_I64:
		TAKE(int64_t, INT64_MIN, INT64_MAX);
	case TYPE_U64:
		return take_unsigned(text, at);
	case TYPE_MOMENT:
		return take_moment(text, at);
	default:
		break;
	}
#undef TAKE
	assert(!"not a scalar");
	return -EINVAL;
}

static int take_sample(const char *text, struct sample *ret)
{
	int64_t number, value, known;

	if (take_number(&text, '/', 0, UINT32_MAX, &number) ||
	    take_number(&text, '/', INT32_MIN, INT32_MAX, &value) || take_number(&text, '\0', 0, 1, &known))
		return -EINVAL;
	*ret = (struct sample){.number = (uint32_t)number, .value = (int32_t)value, .known = known};
	return 0;
}

static int take_cause(const char *text, struct cause *ret)
{
	int64_t number, samples, since, value;

	if (take_number(&text, '/', 0, UINT32_MAX, &number) ||
	    take_number(&text, '/', 0, UINT32_MAX, &samples) ||
	    take_number(&text, '/', INT64_MIN, INT64_MAX, &since) ||
	    take_number(&text, '\0', INT32_MIN, INT32_MAX, &value))
		return -EINVAL;
	*ret = (struct cause){.number = (uint32_t)number,
			      .samples = (uint32_t)samples,
			      .since = since,
			      .value = (int32_t)value};
	return 0;
}

static int take_penalty(const char *text, unsigned which, struct score_memory *ret)
{
	int r = take_moment(text, &ret->since[which]);

	if (r == 0)
		ret->applied[which] = true;
	return r;
}

static int set_field(const struct field *fields, size_t n, const char *key, const char *value, void *base)
{
	for (size_t i = 0; i < n; i++) {
		const struct field *field = &fields[i];
		void *at = (char *)base + field->offset;
		size_t length = strlen(field->name);
		unsigned index;

		if (field->type < TYPE_SAMPLES) {
			if (strcmp(key, field->name) == 0)
				return take_scalar(field, value, at);
			continue;
		}
		if (strncmp(key, field->name, length) != 0)
			continue;
		if (take_word(field->str, field->count, key + length, &index) < 0)
			return -EINVAL;
		if (field->type == TYPE_SAMPLES)
			return take_sample(value, (struct sample *)at + index);
		if (field->type == TYPE_CAUSES)
			return take_cause(value, (struct cause *)at + index);
		return take_penalty(value, index, at);
	}
	return -EINVAL;
}

/* The peer of that id, made in its place in the order of ids when there is none. NULL: no room. */
static struct peer *want_peer(struct trace *trace, uint16_t id)
{
	struct snapshot *known = &trace->known;
	size_t i = 0;

	while (i < known->n_peers && trace->peers[i].id < id)
		i++;
	if (i < known->n_peers && trace->peers[i].id == id)
		return &trace->peers[i];
	if (known->n_peers == trace->max_peers)
		return NULL;
	memmove(&trace->peers[i + 1], &trace->peers[i], (known->n_peers - i) * sizeof(struct peer));
	known->n_peers++;
	peer_init(&trace->peers[i], id);
	return &trace->peers[i];
}

static int set_peer(struct trace *trace, const char *key, const char *value)
{
	struct peer *peer;
	int64_t id;

	if (take_number(&key, *key && strchr(key, '.') ? '.' : '\0', 1, HOST_ID_MAX, &id) < 0)
		return -EINVAL;
	peer = want_peer(trace, (uint16_t)id);
	if (!peer)
		return -ENOSPC;
	return value ? set_field(peer_fields, LENGTH(peer_fields), key, value, peer) : 0;
}

static int add_result(struct trace *trace, char *value)
{
	struct snapshot *known = &trace->known;
	char *outcome = strchr(value, ':');
	unsigned action, ended;

	if (!outcome)
		return -EINVAL;
	*outcome++ = '\0';
	if (take_word(action_str, ACTION_COUNT, value, &action) < 0 ||
	    take_word(outcome_str, OUTCOME_COUNT, outcome, &ended) < 0)
		return -EINVAL;
	if (known->n_results == RESULTS_MAX)
		return -ENOSPC;
	known->results[known->n_results++] = (struct result){.action = action, .outcome = ended};
	return 0;
}

/* The token in `text`, cut at its `=`; the value, or NULL: it is none, or too long. */
static char *split_token(const char *token, size_t length, char text[TOKEN_MAX])
{
	char *value;

	if (length >= TOKEN_MAX)
		return NULL;
	memcpy(text, token, length);
	text[length] = '\0';
	value = strchr(text, '=');
	if (value)
		*value++ = '\0';
	return value;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int set_token(struct trace *trace, const char *token, size_t length)
{
	char key[TOKEN_MAX];
	char *value = split_token(token, length, key);

	if (!value)
		return -EINVAL;
	if (strcmp(key, "now") == 0)
		return take_moment(value, &trace->now);
	if (strcmp(key, "result") == 0)
		return add_result(trace, value);
	if (strcmp(key, "peer") == 0)
		return set_peer(trace, value, NULL);
	if (starts_with(key, "peer."))
		return set_peer(trace, key + 5, value);
	if (starts_with(key, "policy."))
		return set_field(policy_fields, LENGTH(policy_fields), key + 7, value, &trace->policy);
	if (starts_with(key, "machine."))
		return set_field(machine_fields, LENGTH(machine_fields), key + 8, value, &trace->machine);
	if (starts_with(key, "cluster."))
		return set_field(cluster_fields, LENGTH(cluster_fields), key + 8, value,
				 &trace->known.cluster);
	if (starts_with(key, "vm."))
		return set_field(vm_fields, LENGTH(vm_fields), key + 3, value, &trace->known.vm);
	return set_field(known_fields, LENGTH(known_fields), key, value, &trace->known);
}

int trace_set(struct trace *trace, const char *token)
{
	return set_token(trace, token, strlen(token));
}

int trace_set_peer(struct peer *peer, const char *token)
{
	char key[TOKEN_MAX];
	const char *value = split_token(token, strlen(token), key);

	return value ? set_field(peer_fields, LENGTH(peer_fields), key, value, peer) : -EINVAL;
}

int trace_set_policy(struct policy *policy, const char *token)
{
	char key[TOKEN_MAX];
	const char *value = split_token(token, strlen(token), key);

	return value ? set_field(policy_fields, LENGTH(policy_fields), key, value, policy) : -EINVAL;
}

int trace_parse(const char *line, struct trace *trace, size_t *ret_at)
{
	const char *at = line;

	for (;;) {
		size_t length;
		int r;

		while (*at == ' ')
			at++;
		if (!*at)
			return 0;
		for (length = 0; at[length] && at[length] != ' ';)
			length++;
		r = set_token(trace, at, length);
		if (r < 0) {
			*ret_at = (size_t)(at - line);
			return r;
		}
		at += length;
	}
}
