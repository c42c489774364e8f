/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a scenario of hosted-engine-sim: what is taken can be played, what is refused is named with
 * its line in words that a terminal can show. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tests/fuzz/fuzz_target.h"
#include "tools/simulator/scenario.h"

static void check_printable(const char *text)
{
	assert(text[0]);
	for (; *text; text++)
		assert(*text >= 0x20 && *text < 0x7f);
}

static void check_events(const struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->n_events; i++) {
		const struct scenario_event *event = &scenario->events[i];
		char text[SCENARIO_TEXT_MAX];

		assert(event->at >= (i > 0 ? event[-1].at : 0) && event->at <= scenario->run_ms);
		assert(event->host <= scenario->n_hosts || event->host == SCENARIO_VM_HOST);
		assert(event->for_ms >= 0 && event->line > 0);
		assert((unsigned)event->fault < FAULT_COUNT && (unsigned)event->how < HOW_COUNT);
		scenario_event_text(event, text);
		assert(memchr(text, '\0', sizeof(text)));
		check_printable(text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scenario_problem problem = {0};
	struct scenario scenario;
	int r = scenario_parse((const char *)data, size, &scenario, &problem);

	if (r < 0) {
		assert(r == -EINVAL && memchr(problem.expected, '\0', sizeof(problem.expected)));
		check_printable(problem.expected);
		return 0;
	}
	assert(scenario.n_hosts >= 1 && scenario.n_hosts <= HOST_ID_MAX);
	assert(scenario.run_ms > 0 && scenario.run_ms <= SCENARIO_RUN_MAX);
	assert(scenario.n_events <= SCENARIO_EVENTS_MAX && memchr(scenario.title, '\0', SCENARIO_TEXT_MAX));
	for (uint16_t id = 1; id <= scenario.n_hosts; id++) {
		const struct scenario_host *host = &scenario.hosts[id];

		assert(host->policy.loop > 0 && host->policy.lease.io_timeout_s > 0 &&
		       (unsigned)host->watchdog < WATCHDOG_COUNT);
	}
	check_events(&scenario);
	scenario_done(&scenario);
	return 0;
}
