/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how each kind of change reads and is drawn. */
#include "tools/simulator/change_text.h"

#include <string.h>

#include "tools/simulator/meanings.h"
#include "tools/simulator/step_text.h"

static const char *const guests[] = {"QEMU is gone", "QEMU lives, its guest stands", "the VM runs"};
static const char *const guest_words[] = {"none", "stands", "runs"};

/* The fault, and whom it hit where the text leaves that open. */
static void fault_text(const struct change *change, char ret[SCENARIO_TEXT_MAX])
{
	size_t used;

	scenario_event_text(change->event, ret);
	used = strlen(ret);
	if (change->event->host == SCENARIO_VM_HOST)
		snprintf(ret + used, SCENARIO_TEXT_MAX - used, ": host %u", (unsigned)change->host);
}

static void put_fault(const struct change *change, FILE *out)
{
	char text[SCENARIO_TEXT_MAX];

	fault_text(change, text);
	fprintf(out, "%s %s", change->over ? "over" : "fault", text);
}

void change_put(const struct change *change, int64_t zero, FILE *out)
{
	fprintf(out, "%9.3f  ", (double)(change->at - zero) / 1000);
	if (change->kind == CHANGE_FAULT) {
		put_fault(change, out);
	} else if (change->host) {
		fprintf(out, "host %u  ", (unsigned)change->host);
	}
	switch (change->kind) {
	case CHANGE_FAULT:
		break;
	case CHANGE_STEP:
		step_put_line(change->before, change->step, out);
		break;
	case CHANGE_HOST:
		fputs(change->value ? "its agent runs" : "its agent is gone", out);
		break;
	case CHANGE_GUEST:
		fputs(guests[change->value], out);
		break;
	case CHANGE_LEASE:
		fputs(change->host ? "takes the lease" : "nobody has the lease", out);
		break;
	case CHANGE_REFUSED:
		fprintf(out, "refused: %s", change->text);
		break;
	}
	fputc('\n', out);
}

static json_t *fault_json(const struct change *change)
{
	char text[SCENARIO_TEXT_MAX];

	fault_text(change, text);
	return json_pack("{s:s, s:s, s:b, s:i}", "kind", "fault", "fault", text, "over", change->over, "line",
			 (int)change->event->line);
}

json_t *change_json(const struct change *change)
{
	json_t *json = NULL;

	switch (change->kind) {
	case CHANGE_FAULT:
		json = fault_json(change);
		break;
	case CHANGE_STEP:
		json = step_json(change->before, change->step, change->at);
		json_object_set_new(json, "kind", json_string("step"));
		break;
	case CHANGE_HOST:
		json = json_pack("{s:s, s:b}", "kind", "host", "runs", change->value);
		break;
	case CHANGE_GUEST:
		json = json_pack("{s:s, s:s}", "kind", "vm", "vm", guest_words[change->value]);
		break;
	case CHANGE_LEASE:
		json = json_pack("{s:s, s:i}", "kind", "lease", "owner", (int)change->host);
		break;
	case CHANGE_REFUSED:
		json = json_pack("{s:s, s:s}", "kind", "refused", "text", change->text);
		break;
	}
	json_object_set_new(json, "at_ms", json_integer((json_int_t)change->at));
	json_object_set_new(json, "host", change->host ? json_integer(change->host) : json_null());
	return json;
}

int change_draw(const struct change *change, uint16_t n_hosts, struct timeline *timeline)
{
	char text[SCENARIO_TEXT_MAX];
	int r = 0;

	switch (change->kind) {
	case CHANGE_FAULT:
		if (change->over)
			break;
		fault_text(change, text);
		return timeline_mark(timeline, change->at, change->host, text);
	case CHANGE_STEP:
		return timeline_set(timeline, change->at, change->host, LANE_STATE, change->step->next.state);
	case CHANGE_HOST:
		return change->value
			       ? 0
			       : timeline_set(timeline, change->at, change->host, LANE_STATE, TIMELINE_OFF);
	case CHANGE_GUEST:
		return timeline_set(timeline, change->at, change->host, LANE_VM, change->value);
	case CHANGE_LEASE:
		for (uint16_t id = 1; r == 0 && id <= n_hosts; id++)
			r = timeline_set(timeline, change->at, id, LANE_LEASE, id == change->host);
		return r;
	case CHANGE_REFUSED:
		break;
	}
	return 0;
}
