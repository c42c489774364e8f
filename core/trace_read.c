/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads a line back, or single fields of it. The text comes from a log or from a scenario and is checked. */
#include "core/trace_fields.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

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

static int take_scalar(const struct trace_field *field, const char *text, void *at)
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
	default:
		assert(field->type == TYPE_MOMENT);
		return take_moment(text, at);
	}
#undef TAKE
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

static int set_field(const struct trace_fields *fields, const char *key, const char *value, void *base)
{
	for (size_t i = 0; i < fields->n; i++) {
		const struct trace_field *field = &fields->fields[i];
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

	if (take_number(&key, strchr(key, '.') ? '.' : '\0', 1, HOST_ID_MAX, &id) < 0)
		return -EINVAL;
	peer = want_peer(trace, (uint16_t)id);
	if (!peer)
		return -ENOSPC;
	return value ? set_field(&trace_peer_fields, key, value, peer) : 0;
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
static char *split_token(const char *token, size_t length, char text[TRACE_TOKEN_MAX])
{
	char *value;

	if (length >= TRACE_TOKEN_MAX)
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
	char key[TRACE_TOKEN_MAX];
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
		return set_field(&trace_policy_fields, key + 7, value, &trace->policy);
	if (starts_with(key, "machine."))
		return set_field(&trace_machine_fields, key + 8, value, &trace->machine);
	if (starts_with(key, "cluster."))
		return set_field(&trace_cluster_fields, key + 8, value, &trace->known.cluster);
	if (starts_with(key, "vm."))
		return set_field(&trace_vm_fields, key + 3, value, &trace->known.vm);
	return set_field(&trace_known_fields, key, value, &trace->known);
}

int trace_set(struct trace *trace, const char *token)
{
	return set_token(trace, token, strlen(token));
}

int trace_set_peer(struct peer *peer, const char *token)
{
	char key[TRACE_TOKEN_MAX];
	const char *value = split_token(token, strlen(token), key);

	return value ? set_field(&trace_peer_fields, key, value, peer) : -EINVAL;
}

int trace_set_policy(struct policy *policy, const char *token)
{
	char key[TRACE_TOKEN_MAX];
	const char *value = split_token(token, strlen(token), key);

	return value ? set_field(&trace_policy_fields, key, value, policy) : -EINVAL;
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
