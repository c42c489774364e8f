/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes the input of a step as a line. Called by the agent for its log, by tests and the simulator. */
#include "core/trace_fields.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct line {
	char *at;
	size_t left; /* room, with the NUL, which is always there */
	bool cut;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->at, line->left, format, args);
	va_end(args);
	assert(n >= 0);
	if ((size_t)n >= line->left) {
		line->cut = true;
		n = (int)line->left - 1;
	}
	line->at += n;
	line->left -= (size_t)n;
}

static void put_word(struct line *line, const char *word)
{
	for (; *word; word++)
		put(line, "%c", *word == ' ' ? '_' : *word);
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

static void put_samples(struct line *line, const char *prefix, const struct trace_field *field,
			const void *at)
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

static void put_causes(struct line *line, const char *prefix, const struct trace_field *field, const void *at)
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

static void put_penalties(struct line *line, const char *prefix, const struct trace_field *field,
			  const void *at)
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
static uint64_t scalar(const struct trace_field *field, const void *at)
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
	default:
		assert(field->type == TYPE_I64 || field->type == TYPE_MOMENT);
		return (uint64_t) * (const int64_t *)at;
	}
}

static void put_scalar(struct line *line, const struct trace_field *field, uint64_t value)
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

static void put_fields(struct line *line, const char *prefix, const struct trace_fields *fields,
		       const void *base, const void *defaults)
{
	for (size_t i = 0; i < fields->n; i++) {
		const struct trace_field *field = &fields->fields[i];
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
	put_fields(&line, "policy.", &trace_policy_fields, policy, &defaults.policy);
	put_fields(&line, "machine.", &trace_machine_fields, machine, &defaults.machine);
	put_fields(&line, "", &trace_known_fields, known, &defaults.known);
	put_fields(&line, "vm.", &trace_vm_fields, &known->vm, &defaults.known.vm);
	put_fields(&line, "cluster.", &trace_cluster_fields, &known->cluster, &defaults.known.cluster);
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
		put_fields(&line, prefix, &trace_peer_fields, peer, &empty);
	}
	return line.cut ? -EMSGSIZE : (int)(line.at - ret_line);
}
