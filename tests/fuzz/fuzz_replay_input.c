/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a line of a log that `hosted-engine-sim replay` reads: a step's input, whatever it claims,
 * gives a step or a place where it is wrong; what can be read reads the same after it was written. The bytes
 * also choose fields and values of lines that are well-formed, of machines that no agent ever had. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/trace_fields.h"
#include "tests/fuzz/fuzz_target.h"
#include "tools/simulator/replayed_step.h"

static char *as_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

static void check_written(const struct replayed_step *step)
{
	static char line[1 << 20], again[1 << 20];
	const struct trace *trace = &step->trace;
	struct replayed_step second;
	size_t at = 0;

	assert(trace_format(&trace->machine, &trace->known, &trace->policy, trace->now, line, sizeof(line)) >
	       0);
	assert(replay_take(line, &second, &at) == 0);
	trace = &second.trace;
	assert(trace_format(&trace->machine, &trace->known, &trace->policy, trace->now, again,
			    sizeof(again)) > 0);
	assert(strcmp(line, again) == 0);
	assert(second.step.reason == step->step.reason && second.step.wake == step->step.wake);
	replay_done(&second);
}

static void follow(const char *text)
{
	struct logged_step logged = {0};

	replay_follow(text, &logged);
	assert(logged.n_actions <= ACTIONS_MAX);
}

static void take_line(const char *input)
{
	struct replayed_step step;
	size_t at = SIZE_MAX;
	int r = replay_take(input, &step, &at);

	if (r < 0) {
		assert((r == -EINVAL || r == -ENOSPC) && at <= strlen(input));
		return;
	}
	check_written(&step);
	replay_done(&step);
}

#define NOW 1000000

static int put_value(char *ret, size_t size, const struct trace_field *field, uint8_t choice)
{
	static const char *const numbers[] = {"0",     "1",	     "2",	   "3",
					      "7",     "60",	     "255",	   "1000",
					      "65535", "2147483647", "4294967295", "9223372036854775807"};
	static const int64_t moments[] = {0, -1, 1, -1000, 1000, -30000, -60000, -600000, 60000, -NOW};

	switch (field->type) {
	case TYPE_BOOL:
		return snprintf(ret, size, "=%d", choice & 1);
	case TYPE_WORD:
		return snprintf(ret, size, "=%s", field->str(choice % field->count));
	case TYPE_MOMENT:
		if (choice < 16)
			return snprintf(ret, size, "=%s", choice & 1 ? "unset" : "never");
		return snprintf(ret, size, "=%" PRId64, NOW + moments[choice % 10]);
	case TYPE_SAMPLES:
		return snprintf(ret, size, "%s=%d/%d/%d", field->str(choice % field->count), choice >> 4,
				choice >> 3, choice & 1);
	case TYPE_CAUSES:
		return snprintf(ret, size, "%s=%d/%d/%d/%d", field->str(choice % field->count), choice >> 4,
				choice >> 5, NOW - choice * 1000, choice);
	case TYPE_PENALTIES:
		return snprintf(ret, size, "%s=%d", field->str(choice % field->count), NOW - choice);
	default:
		return snprintf(ret, size, "=%s", numbers[choice % 12]);
	}
}

/* Three bytes choose a struct, a field and a value. */
static void make_line(const uint8_t *data, size_t size, char *ret, size_t room)
{
	static const struct {
		const char *prefix;
		const struct trace_fields *fields;
	} structs[] = {{" machine.", &trace_machine_fields}, {" cluster.", &trace_cluster_fields},
		       {" vm.", &trace_vm_fields},	     {" ", &trace_known_fields},
		       {" peer.2.", &trace_peer_fields},     {" peer.9.", &trace_peer_fields}};
	size_t used = (size_t)snprintf(
		ret, room,
		"now=%d broker_answers=1 cluster.host_id=3 cluster.generation=7 cluster.membership=joined "
		"cluster.hosts_known=1 cluster.whiteboard_read=1 cluster.maintenance_read=1 "
		"cluster.maintenance=no cluster.watchdog=hard cluster.owner=nobody cluster.owner_begun=%d "
		"cluster.held_begun=%d vm.vm=down vm.seen_at=%d",
		NOW, NOW - 1, NOW - 1, NOW - 1);

	for (; size >= 3 && used + TRACE_TOKEN_MAX < room; data += 3, size -= 3) {
		size_t which = data[0] % (sizeof(structs) / sizeof(structs[0]));
		const struct trace_field *field =
			&structs[which].fields->fields[data[1] % structs[which].fields->n];
		size_t begin = used;

		used += (size_t)snprintf(ret + used, room - used, "%s%s", structs[which].prefix, field->name);
		used += (size_t)put_value(ret + used, room - used, field, data[2]);
		for (size_t i = begin + 1; i < used; i++)
			if (ret[i] == ' ')
				ret[i] = '_';
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char line[16384];
	char *text = as_text(data, size);
	bool cut = false;
	const char *input = replay_input(text, &cut);

	follow(text);
	take_line(input ? input : text);
	free(text);
	make_line(data, size, line, sizeof(line));
	take_line(line);
	return 0;
}
