/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what a scenario's text means, line by line, and what was expected where it means nothing. Bytes are
 * untrusted; nothing of them reaches a message but printable ASCII. */
#include "tools/simulator/scenario.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define LINE_MAX_SIZE 1024
#define WORDS_MAX 64
#define HOSTS_DEFAULT 3
#define RUN_DEFAULT (10 * 60 * MONO_SECOND)

STRTAB_DEFINE(scenario_fault, enum scenario_fault, FAULT_COUNT, "power-cut", "power-on", "stall", "suspend",
	      "drift", "wall-jump", "crash", "stop", "start", "freeze", "thaw", "proc-fails", "storage",
	      "qemu-crash", "qemu-unkillable", "guest-off", "guest-hang", "guest-suspend", "guest-resume",
	      "network", "bridge", "memory", "cpu", "local-maintenance", "management-maintenance",
	      "global-maintenance", "vm-start", "vm-shutdown", "vm-poweroff", "vm-migrate",
	      "vm-migrate-cancel")
STRTAB_DEFINE(scenario_how, enum scenario_how, HOW_COUNT, "", "on", "off", "up", "down", "guard", "sanlock",
	      "libvirtd", "broker", "agent", "eio", "hang", "lost", "torn", "stale", "slow", "other", "heal")

#define ONE(how) (1u << HOW_##how)
#define SERVICES (ONE(GUARD) | ONE(SANLOCK) | ONE(LIBVIRTD) | ONE(BROKER) | ONE(AGENT))
#define DISK_FAULTS                                                                                          \
	(ONE(EIO) | ONE(HANG) | ONE(LOST) | ONE(TORN) | ONE(STALE) | ONE(SLOW) | ONE(OTHER) | ONE(HEAL))

enum lasting { LASTS_NOT, LASTS_MAYBE, LASTS_ALWAYS };

/* What follows the host of a fault. */
static const struct fault_row {
	unsigned hows;	    /* the words that it can have, 0: none */
	const char *number; /* what its number is, NULL: it has none */
	int32_t min, max;
	int32_t otherwise; /* when the number is left out */
	bool number_optional;
	enum lasting lasting; /* `for TIME` */
} faults[] = {
	[FAULT_POWER_CUT] = {.lasting = LASTS_MAYBE},
	[FAULT_POWER_ON] = {0},
	[FAULT_STALL] = {.lasting = LASTS_ALWAYS},
	[FAULT_SUSPEND] = {.lasting = LASTS_ALWAYS},
	[FAULT_DRIFT] = {.number = "parts per million", .min = -1000, .max = 1000, .lasting = LASTS_MAYBE},
	[FAULT_WALL_JUMP] = {.number = "seconds", .min = -1000000000, .max = 1000000000},
	[FAULT_CRASH] = {.hows = SERVICES, .lasting = LASTS_MAYBE},
	[FAULT_STOP] = {.hows = ONE(BROKER) | ONE(AGENT), .lasting = LASTS_MAYBE},
	[FAULT_START] = {.hows = SERVICES},
	[FAULT_FREEZE] = {.hows = ONE(SANLOCK) | ONE(LIBVIRTD), .lasting = LASTS_MAYBE},
	[FAULT_THAW] = {.hows = ONE(SANLOCK) | ONE(LIBVIRTD)},
	[FAULT_PROC_FAILS] = {.lasting = LASTS_MAYBE},
	[FAULT_STORAGE] = {.hows = DISK_FAULTS,
			   .number = "I/Os in a thousand",
			   .min = 1,
			   .max = 1000,
			   .otherwise = 1000,
			   .number_optional = true,
			   .lasting = LASTS_MAYBE},
	[FAULT_QEMU_CRASH] = {0},
	[FAULT_QEMU_UNKILLABLE] = {.lasting = LASTS_MAYBE},
	[FAULT_GUEST_OFF] = {0},
	[FAULT_GUEST_HANG] = {.lasting = LASTS_MAYBE},
	[FAULT_GUEST_SUSPEND] = {.lasting = LASTS_MAYBE},
	[FAULT_GUEST_RESUME] = {0},
	[FAULT_NETWORK] = {.number = "failed probes in a thousand",
			   .min = 0,
			   .max = 1000,
			   .lasting = LASTS_MAYBE},
	[FAULT_BRIDGE] = {.hows = ONE(UP) | ONE(DOWN), .lasting = LASTS_MAYBE},
	[FAULT_MEMORY] = {.number = "free MiB", .min = 0, .max = 1 << 30, .lasting = LASTS_MAYBE},
	[FAULT_CPU] = {.number = "load in a thousand", .min = 0, .max = 1000, .lasting = LASTS_MAYBE},
	[FAULT_LOCAL_MAINTENANCE] = {.hows = ONE(ON) | ONE(OFF), .lasting = LASTS_MAYBE},
	[FAULT_MANAGEMENT_MAINTENANCE] = {.hows = ONE(ON) | ONE(OFF), .lasting = LASTS_MAYBE},
	[FAULT_GLOBAL_MAINTENANCE] = {.hows = ONE(ON) | ONE(OFF), .lasting = LASTS_MAYBE},
	[FAULT_VM_START] = {0},
	[FAULT_VM_SHUTDOWN] = {0},
	[FAULT_VM_POWEROFF] = {0},
	[FAULT_VM_MIGRATE] = {0},
	[FAULT_VM_MIGRATE_CANCEL] = {0},
};
_Static_assert(LENGTH(faults) == FAULT_COUNT, "a fault without a row");

static struct scenario_host host_default(void)
{
	return (struct scenario_host){
		.policy = policy_default,
		.watchdog = WATCHDOG_HARD,
		.bridge = 1,
		.memory_mib = 16384,
		.cpu = 100,
		.boot_s = 40,
	};
}

int scenario_hosts(struct scenario *scenario, uint16_t n)
{
	struct scenario_host *hosts = calloc((size_t)n + 1, sizeof(*hosts));

	if (!hosts)
		return -ENOMEM;
	for (size_t i = 0; i <= n; i++)
		hosts[i] = host_default();
	free(scenario->hosts);
	scenario->hosts = hosts;
	scenario->n_hosts = n;
	return 0;
}

int scenario_add(struct scenario *scenario, const struct scenario_event *event)
{
	size_t i;

	if (scenario->n_events == SCENARIO_EVENTS_MAX)
		return -ENOSPC;
	if (scenario->n_events == scenario->events_size) {
		size_t size = scenario->events_size ? 2 * scenario->events_size : 16;
		void *more = reallocarray(scenario->events, size, sizeof(*scenario->events));

		if (!more)
			return -ENOMEM;
		scenario->events = more;
		scenario->events_size = size;
	}
	for (i = scenario->n_events; i > 0 && scenario->events[i - 1].at > event->at; i--)
		scenario->events[i] = scenario->events[i - 1];
	scenario->events[i] = *event;
	scenario->n_events++;
	return 0;
}

struct parser {
	struct scenario *scenario;
	struct scenario_problem *problem;
	unsigned line;
	char *words[WORDS_MAX];
	size_t n_words;
	bool told_hosts, told_run, told_seed;
};

__attribute__((format(printf, 2, 3))) static int expected(struct parser *parser, const char *format, ...)
{
	struct scenario_problem *problem = parser->problem;
	va_list args;
	int n;

	problem->line = parser->line;
	n = snprintf(problem->expected, sizeof(problem->expected), "expected ");
	va_start(args, format);
	vsnprintf(problem->expected + n, sizeof(problem->expected) - (size_t)n, format, args);
	va_end(args);
	for (char *p = problem->expected; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return -EINVAL;
}

/* The word at `i`, "nothing" beyond the end: for messages. */
static const char *word(const struct parser *parser, size_t i)
{
	return i < parser->n_words ? parser->words[i] : "nothing";
}

/* A number and nothing after it. */
static bool number_of(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	char *end;
	long long value;

	if (*text != '-' && (*text < '0' || *text > '9'))
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || end == text || value < min || value > max)
		return false;
	*ret = value;
	return true;
}

/* 90s, 2m30s, 1h, 500ms. */
static bool time_of(const char *text, int64_t *ret)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"h", 3600 * MONO_SECOND}, {"m", 60 * MONO_SECOND}, {"s", MONO_SECOND}};
	int64_t sum = 0, last = INT64_MAX;

	do {
		int64_t number = 0, unit = 0;

		if (*text < '0' || *text > '9')
			return false;
		for (; *text >= '0' && *text <= '9'; text++) {
			number = number * 10 + (*text - '0');
			if (number > SCENARIO_RUN_MAX)
				return false;
		}
		for (size_t i = 0; i < LENGTH(units) && !unit; i++) {
			if (strncmp(text, units[i].name, strlen(units[i].name)) == 0) {
				unit = units[i].ms;
				text += strlen(units[i].name);
			}
		}
		/* Larger units first, none twice. */
		if (!unit || unit >= last || number > SCENARIO_RUN_MAX / unit)
			return false;
		last = unit;
		sum += number * unit;
	} while (*text);
	*ret = sum;
	return sum <= SCENARIO_RUN_MAX;
}

static int want_end(struct parser *parser, size_t n)
{
	return parser->n_words > n ? expected(parser, "the line's end, not %.60s", parser->words[n]) : 0;
}

static int take_host(struct parser *parser, size_t i, bool vm, uint16_t *ret)
{
	uint16_t last = parser->scenario->n_hosts;
	int64_t id;

	if (strcmp(word(parser, i), "all") == 0 || (vm && strcmp(word(parser, i), "vm") == 0)) {
		*ret = word(parser, i)[0] == 'a' ? 0 : SCENARIO_VM_HOST;
		return 0;
	}
	if (!number_of(word(parser, i), 1, last, &id))
		return expected(parser, "a host 1..%u%s or all after %s, not %.60s", (unsigned)last,
				vm ? ", vm" : "", word(parser, i - 1), word(parser, i));
	*ret = (uint16_t)id;
	return 0;
}

static int play_title(struct parser *parser)
{
	char *to = parser->scenario->title;
	size_t used = 0;

	if (parser->n_words < 2)
		return expected(parser, "words after title");
	for (size_t i = 1; i < parser->n_words && used < SCENARIO_TEXT_MAX; i++)
		used += (size_t)snprintf(to + used, SCENARIO_TEXT_MAX - used, "%s%s", i > 1 ? " " : "",
					 parser->words[i]);
	for (char *p = to; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return 0;
}

static int play_seed(struct parser *parser)
{
	int64_t seed;

	if (parser->told_seed)
		return expected(parser, "seed once");
	if (!number_of(word(parser, 1), 0, INT64_MAX, &seed))
		return expected(parser, "a number 0..%" PRId64 " after seed, not %.60s", INT64_MAX,
				word(parser, 1));
	parser->told_seed = true;
	parser->scenario->seed = (uint64_t)seed;
	return want_end(parser, 2);
}

static int play_hosts(struct parser *parser)
{
	int64_t n;

	/* Later lines were checked against the number of hosts. */
	if (parser->told_hosts)
		return expected(parser, "hosts once, before the lines that name hosts");
	if (!number_of(word(parser, 1), 1, HOST_ID_MAX, &n))
		return expected(parser, "1..%d after hosts, not %.60s", HOST_ID_MAX, word(parser, 1));
	parser->told_hosts = true;
	if (parser->n_words > 2)
		return want_end(parser, 2);
	return scenario_hosts(parser->scenario, (uint16_t)n);
}

static int play_run(struct parser *parser)
{
	if (parser->told_run)
		return expected(parser, "run once");
	if (!time_of(word(parser, 1), &parser->scenario->run_ms) || parser->scenario->run_ms == 0)
		return expected(parser, "a time up to 30 days like 90s, 2m30s or 1h after run, not %.60s",
				word(parser, 1));
	parser->told_run = true;
	return want_end(parser, 2);
}

/* A setting of a host at the begin. */
static const struct setting_row {
	const char *name;
	const char *words; /* in the order of their values from 0 on, NULL: a number */
	size_t offset;
	int32_t min, max;
} settings[] = {
	{"watchdog", "none|soft|hard", offsetof(struct scenario_host, watchdog), WATCHDOG_NONE,
	 WATCHDOG_HARD},
	{"drift", NULL, offsetof(struct scenario_host, drift_ppm), -1000, 1000},
	{"network", NULL, offsetof(struct scenario_host, network), 0, 1000},
	{"bridge", "down|up", offsetof(struct scenario_host, bridge), 0, 1},
	{"memory", NULL, offsetof(struct scenario_host, memory_mib), 0, 1 << 30},
	{"cpu", NULL, offsetof(struct scenario_host, cpu), 0, 1000},
	{"boot", NULL, offsetof(struct scenario_host, boot_s), 0, 3600},
	{"tries", NULL, offsetof(struct scenario_host, failed_tries), 0, 100},
	{"config", "good|outdated", offsetof(struct scenario_host, config_outdated), 0, 1},
};

/* The place of `text` in `a|b|c`, -1: it is none. */
static int32_t place_in(const char *words, const char *text)
{
	size_t length = strlen(text);
	int32_t place = 0;

	for (const char *at = words; at; place++) {
		if (strcspn(at, "|") == length && strncmp(at, text, length) == 0)
			return place;
		at = strchr(at, '|');
		if (at)
			at++;
	}
	return -1;
}

static int set_number(struct parser *parser, const struct setting_row *row, const char *value,
		      struct scenario_host *host)
{
	int64_t number;

	if (row->words) {
		number = place_in(row->words, value);
		if (number < 0)
			return expected(parser, "%s=%s, not %.60s", row->name, row->words, value);
		number += row->min;
	} else if (!number_of(value, row->min, row->max, &number)) {
		return expected(parser, "%s=%d..%d, not %.60s", row->name, (int)row->min, (int)row->max,
				value);
	}
	*(int32_t *)((char *)host + row->offset) = (int32_t)number;
	return 0;
}

/* What agent.conf and sanlock's timeouts may be; the core counts on it. */
static bool policy_sane(const struct policy *p)
{
	const int64_t times[] = {p->stale,	p->bad_health,	p->shutdown,	  p->starting,
				 p->away,	p->unexpected,	p->retry_window,  p->healthy_clears,
				 p->untaken,	p->paused,	p->kill_limit,	  p->owner_retry,
				 p->rank_delay, p->better_held, p->move_interval, p->network.ms,
				 p->cpu.ms,	p->other.ms};
	const int32_t points[] = {p->weights.base,     p->weights.network, p->weights.mgmt_bridge,
				  p->weights.cpu_load, p->weights.memory,  p->weights.config,
				  p->weights.retry,    p->better_threshold};

	for (size_t i = 0; i < LENGTH(times); i++)
		if (times[i] < 0 || times[i] > 24 * 3600 * MONO_SECOND)
			return false;
	for (size_t i = 0; i < LENGTH(points); i++)
		if (points[i] < 0 || points[i] > 10000)
			return false;
	return p->weights.base > 0 && p->loop >= MONO_SECOND && p->loop <= 60 * MONO_SECOND &&
	       p->cpu_load_from < p->cpu_load_to && p->cpu_load_to <= 1000 && p->network.samples >= 1 &&
	       p->network.samples <= 1000 && p->cpu.samples >= 1 && p->cpu.samples <= 1000 &&
	       p->other.samples >= 1 && p->other.samples <= 1000 && p->lease.io_timeout_s >= 1 &&
	       p->lease.io_timeout_s <= 60 && p->lease.watchdog_fire_s >= 1 &&
	       p->lease.watchdog_fire_s <= 600;
}

static int set_one(struct parser *parser, const char *token, struct scenario_host *host)
{
	const char *value = strchr(token, '=');
	size_t length = value ? (size_t)(value - token) : strlen(token);
	struct policy policy = host->policy;

	if (strcmp(token, "off") == 0) {
		host->off = true;
		return 0;
	}
	if (strcmp(token, "local-maintenance") == 0) {
		host->local_maintenance = true;
		return 0;
	}
	for (size_t i = 0; value && i < LENGTH(settings); i++)
		if (strlen(settings[i].name) == length && strncmp(settings[i].name, token, length) == 0)
			return set_number(parser, &settings[i], value + 1, host);
	if (!value || trace_set_policy(&policy, token) < 0)
		return expected(parser,
				"off, local-maintenance, watchdog= drift= network= bridge= memory= cpu= "
				"boot= tries= config= or a "
				"KEY=VALUE of the policy, not %.60s",
				token);
	if (!policy_sane(&policy))
		return expected(parser, "a value of that key within its range, not %.60s", token);
	host->policy = policy;
	return 0;
}

static int play_host(struct parser *parser)
{
	struct scenario *scenario = parser->scenario;
	uint16_t id;
	int r;

	parser->told_hosts = true;
	r = take_host(parser, 1, false, &id);
	if (r == 0 && parser->n_words < 3)
		return expected(parser, "settings after host %s", parser->words[1]);
	for (size_t i = 2; r == 0 && i < parser->n_words; i++)
		for (uint16_t k = id ? id : 1; r == 0 && k <= (id ? id : scenario->n_hosts); k++)
			r = set_one(parser, parser->words[i], &scenario->hosts[k]);
	return r;
}

static void put_hows(unsigned hows, char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = '\0';
	for (unsigned how = 0; how < HOW_COUNT && used < size; how++)
		if (hows & 1u << how)
			used += (size_t)snprintf(ret + used, size - used, "%s%s", used ? "|" : "",
						 scenario_how_str((enum scenario_how)how));
}

/* What follows the host: a word, a number, `for TIME`. */
static int take_rest(struct parser *parser, size_t i, struct scenario_event *event)
{
	const struct fault_row *row = &faults[event->fault];
	const char *name = scenario_fault_str(event->fault);

	if (row->hows) {
		int how = i < parser->n_words ? scenario_how_parse(parser->words[i]) : -1;
		char hows[SCENARIO_TEXT_MAX];

		put_hows(row->hows, hows, sizeof(hows));
		if (how < 0 || !(row->hows & 1u << how))
			return expected(parser, "%s HOST %s, not %.60s", name, hows, word(parser, i));
		event->how = (enum scenario_how)how;
		i++;
	}
	if (row->number) {
		const char *given = word(parser, i);
		bool left_out = row->number_optional && (i == parser->n_words || strcmp(given, "for") == 0);
		int64_t value = row->otherwise;

		if (!left_out && !number_of(given, row->min, row->max, &value))
			return expected(parser, "%s HOST %d..%d (%s), not %.60s", name, (int)row->min,
					(int)row->max, row->number, word(parser, i));
		event->value = (int32_t)value;
		i += !left_out;
	}
	if (row->lasting == LASTS_NOT || (row->lasting == LASTS_MAYBE && i == parser->n_words))
		return want_end(parser, i);
	if (strcmp(word(parser, i), "for") != 0 || !time_of(word(parser, i + 1), &event->for_ms) ||
	    event->for_ms == 0)
		return expected(parser, "%s, not %.60s",
				row->lasting == LASTS_ALWAYS ? "for TIME" : "for TIME or the line's end",
				strcmp(word(parser, i), "for") == 0 ? word(parser, i + 1) : word(parser, i));
	return want_end(parser, i + 2);
}

static int play_at(struct parser *parser)
{
	struct scenario_event event = {.line = parser->line};
	int fault, r;

	parser->told_hosts = true;
	if (!time_of(word(parser, 1), &event.at))
		return expected(parser, "a time up to 30 days like 90s, 2m30s or 1h after at, not %.60s",
				word(parser, 1));
	fault = parser->n_words > 2 ? scenario_fault_parse(parser->words[2]) : -1;
	if (fault < 0)
		return expected(parser, "a fault (hosted-engine-sim(1) lists them) after the time, not %.60s",
				word(parser, 2));
	event.fault = (enum scenario_fault)fault;
	r = take_host(parser, 3, true, &event.host);
	if (r == 0)
		r = take_rest(parser, 4, &event);
	if (r == 0)
		r = scenario_add(parser->scenario, &event);
	return r == -ENOSPC ? expected(parser, "at most %d faults", SCENARIO_EVENTS_MAX) : r;
}

static int play_line(struct parser *parser, char *text)
{
	static const struct {
		const char *name;
		int (*play)(struct parser *parser);
	} commands[] = {{"title", play_title}, {"seed", play_seed}, {"hosts", play_hosts},
			{"host", play_host},   {"at", play_at},	    {"run", play_run}};
	char *save = NULL;

	text[strcspn(text, "#")] = '\0';
	parser->n_words = 0;
	for (char *next = strtok_r(text, " \t\r", &save); next; next = strtok_r(NULL, " \t\r", &save)) {
		if (parser->n_words == WORDS_MAX)
			return expected(parser, "at most %d words in a line", WORDS_MAX);
		parser->words[parser->n_words++] = next;
	}
	if (parser->n_words == 0)
		return 0;
	for (size_t i = 0; i < LENGTH(commands); i++)
		if (strcmp(parser->words[0], commands[i].name) == 0)
			return commands[i].play(parser);
	return expected(parser, "title, seed, hosts, host, at or run, not %.60s", parser->words[0]);
}

static int parse_lines(struct parser *parser, const char *text, size_t size)
{
	while (size > 0) {
		const char *newline = memchr(text, '\n', size);
		size_t length = newline ? (size_t)(newline - text) : size;
		char line[LINE_MAX_SIZE];
		int r;

		parser->line++;
		if (length >= sizeof(line))
			return expected(parser, "a line shorter than %d bytes", LINE_MAX_SIZE);
		if (memchr(text, '\0', length))
			return expected(parser, "text, not a NUL byte");
		memcpy(line, text, length);
		line[length] = '\0';
		r = play_line(parser, line);
		if (r < 0)
			return r;
		text += length + (newline != NULL);
		size -= length + (newline != NULL);
	}
	return 0;
}

/* What happens after the end would never be seen. */
static int check_times(struct parser *parser)
{
	struct scenario *scenario = parser->scenario;
	const struct scenario_event *last =
		scenario->n_events ? &scenario->events[scenario->n_events - 1] : NULL;

	if (!last || last->at < scenario->run_ms)
		return 0;
	parser->line = last->line;
	if (!parser->told_run)
		return expected(parser, "a line `run TIME` with a longer time: it ends after 10 minutes");
	return expected(parser, "a time before the end of the run");
}

int scenario_parse(const char *text, size_t size, struct scenario *ret, struct scenario_problem *ret_problem)
{
	struct scenario scenario = {.seed = 1, .run_ms = RUN_DEFAULT};
	struct parser parser = {.scenario = &scenario, .problem = ret_problem};
	int r = scenario_hosts(&scenario, HOSTS_DEFAULT);

	if (r == 0)
		r = parse_lines(&parser, text, size);
	if (r == 0)
		r = check_times(&parser);
	if (r < 0)
		scenario_done(&scenario);
	else
		*ret = scenario;
	return r;
}

void scenario_done(struct scenario *scenario)
{
	free(scenario->hosts);
	free(scenario->events);
	scenario->hosts = NULL;
	scenario->events = NULL;
}

void scenario_event_text(const struct scenario_event *event, char ret[SCENARIO_TEXT_MAX])
{
	const struct fault_row *row = &faults[event->fault];
	int n = snprintf(ret, SCENARIO_TEXT_MAX, "%s", scenario_fault_str(event->fault));

	if (event->host == SCENARIO_VM_HOST)
		n += snprintf(ret + n, SCENARIO_TEXT_MAX - (size_t)n, " vm");
	else if (event->host)
		n += snprintf(ret + n, SCENARIO_TEXT_MAX - (size_t)n, " %u", (unsigned)event->host);
	else
		n += snprintf(ret + n, SCENARIO_TEXT_MAX - (size_t)n, " all");
	if (row->hows)
		n += snprintf(ret + n, SCENARIO_TEXT_MAX - (size_t)n, " %s", scenario_how_str(event->how));
	if (row->number && !(row->number_optional && event->value == row->otherwise))
		n += snprintf(ret + n, SCENARIO_TEXT_MAX - (size_t)n, " %d", (int)event->value);
	if (event->for_ms)
		snprintf(ret + n, SCENARIO_TEXT_MAX - (size_t)n, " for %g s", (double)event->for_ms / 1000);
}
