/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clang-format off */
/* Plays scenarios against machine_step() and compares what the steps say with the trace recorded beside each:
 *
 *     run_golden [--update] NAME.scenario...
 *
 * A line of a scenario is a command and its words, `#` begins a comment:
 *     policy KEY=VALUE..           constants (core/trace.h has the keys)
 *     set KEY=VALUE..              facts: vm.vm=up cluster.owner=nobody local_maintenance=1 machine.failed_tries=2
 *     peer N [KEY=VALUE|silent|frozen|awake]..   another host; silent: no new records, frozen: no renewals either
 *     forget N                     it is gone from whiteboard and lockspace
 *     monitor NAME=VALUE|unknown|good|bad..      a new sample now, and the same one every 10 s from then on
 *     here, there N, gone [down|down_unexpected|down_missing]   where the VM is, and its lease
 *     auto [on|off|lease-held|failed]   actions are done by the world; starts end so
 *     result ACTION OUTCOME, command ACTION, stop, restart, step   an event now
 *     facts old|fresh              whether lease and QEMU are looked at
 *     run 10s|5m|500ms             time passes; a step at each wake
 *     pause 10s                    time passes, and this host hears nothing of it
 *     expect KEY=VALUE..           state reason score health can_move may_start alarm why refused watch failed_tries
 *                                  in_flight; start shutdown destroy kill resume reset-host: how often begun so far */
/* clang-format on */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_world.h"

#define WORDS_MAX 24

struct player {
	struct world world;
	const char *path;
	unsigned line;
	char *words[WORDS_MAX];
	size_t n_words;
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct player *player, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%u: ", player->path, player->line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return -EINVAL;
}

static int parse_id(struct player *player, struct world_host **ret)
{
	const char *text = player->n_words > 1 ? player->words[1] : "";
	char *end;
	unsigned long id = strtoul(text, &end, 10);

	if (end == text || *end || id < 1 || id > HOST_ID_MAX)
		return wrong(player, "expected a host id 1..%d after %s", HOST_ID_MAX, player->words[0]);
	*ret = world_host(&player->world, (uint16_t)id);
	return *ret ? 0 : wrong(player, "expected at most %d hosts", WORLD_HOSTS_MAX);
}

static int play_policy(struct player *player)
{
	struct trace *trace = &player->world.trace;

	for (size_t i = 1; i < player->n_words; i++)
		if (trace_set_policy(&trace->policy, player->words[i]) < 0)
			return wrong(player, "expected a policy's KEY=VALUE, not %s", player->words[i]);
	trace->known.cluster.lease = trace->policy.lease;
	return 0;
}

static int play_set(struct player *player)
{
	for (size_t i = 1; i < player->n_words; i++)
		if (trace_set(&player->world.trace, player->words[i]) < 0)
			return wrong(player, "expected a fact's KEY=VALUE, not %s", player->words[i]);
	return 0;
}

static int play_peer(struct player *player)
{
	struct world_host *host = NULL;
	int r = parse_id(player, &host);
	uint64_t said, renewed;

	if (r < 0)
		return r;
	said = host->says.claim.timestamp;
	renewed = host->says.host_timestamp;
	for (size_t i = 2; i < player->n_words; i++) {
		const char *word = player->words[i];

		if (strcmp(word, "silent") == 0)
			host->silent = true;
		else if (strcmp(word, "frozen") == 0)
			host->frozen = true;
		else if (strcmp(word, "awake") == 0)
			host->silent = host->frozen = false;
		else if (trace_set_peer(&host->says, word) < 0)
			return wrong(player, "expected a peer's KEY=VALUE, silent, frozen or awake, not %s",
				     word);
	}
	/* What a host says anew it writes at once; a silent one's record stays as it is. */
	if (host->says.claim.timestamp != said)
		host->clock = host->says.claim.timestamp;
	else if (!host->silent && !host->frozen)
		host->clock++;
	if (host->says.host_timestamp != renewed)
		host->lockspace = host->says.host_timestamp;
	world_observe(&player->world, host);
	return 0;
}

static int play_forget(struct player *player)
{
	struct world_host *host = NULL;
	int r = parse_id(player, &host);

	if (r == 0)
		world_forget(&player->world, host->says.id);
	return r;
}

static int play_monitor(struct player *player)
{
	for (size_t i = 1; i < player->n_words; i++) {
		char *word = player->words[i], *value = strchr(word, '='), *end;
		int monitor, health;
		long number;

		if (!value)
			return wrong(player, "expected MONITOR=VALUE, not %s", word);
		*value++ = '\0';
		monitor = monitor_parse(word);
		if (monitor < 0)
			return wrong(player, "expected the name of a monitor, not %s", word);
		number = strtol(value, &end, 10);
		health = health_parse(value);
		if (health > 0)
			number = health;
		else if (health < 0 && (end == value || *end))
			return wrong(player, "expected a number, good, bad or unknown, not %s", value);
		world_sample(&player->world, (enum monitor)monitor, (int32_t)number, health != 0);
	}
	return 0;
}

static int play_here(struct player *player)
{
	world_vm_here(&player->world);
	return 0;
}

static int play_there(struct player *player)
{
	struct world_host *host = NULL;
	int r = parse_id(player, &host);

	if (r == 0)
		world_vm_there(&player->world, host);
	return r;
}

static int play_gone(struct player *player)
{
	int vm = player->n_words > 1 ? vm_parse(player->words[1]) : VM_DOWN;

	if (vm < 0)
		return wrong(player, "expected down, down_unexpected or down_missing");
	world_vm_gone(&player->world, (enum vm)vm);
	return 0;
}

static int play_auto(struct player *player)
{
	const char *how = player->n_words > 1 ? player->words[1] : "on";
	int outcome = outcome_parse(how);

	if (strcmp(how, "on") != 0 && strcmp(how, "off") != 0 && outcome <= 0)
		return wrong(player, "expected on, off, ok, failed or lease-held, not %s", how);
	player->world.automatic = strcmp(how, "off") != 0;
	player->world.start_as = outcome > 0 ? (enum outcome)outcome : OUTCOME_OK;
	return 0;
}

static int spun(const struct player *player, int r)
{
	return r < 0 ? wrong(player, "more than %d steps without time passing", WORLD_SPIN_MAX) : 0;
}

static int play_result(struct player *player)
{
	int action = player->n_words > 1 ? action_parse(player->words[1]) : -1;
	int outcome = player->n_words > 2 ? outcome_parse(player->words[2]) : -1;

	if (action < 0 || outcome < 0)
		return wrong(player, "expected an action and its outcome: ok, failed, lease-held, survived");
	return spun(player, world_step(&player->world, ACTION_NONE,
				       (struct result){(enum action)action, (enum outcome)outcome}));
}

static int play_command(struct player *player)
{
	int action = player->n_words > 1 ? action_parse(player->words[1]) : -1;

	if (action < 0)
		return wrong(player, "expected an action");
	return spun(player, world_step(&player->world, (enum action)action, (struct result){0}));
}

static int play_step(struct player *player)
{
	return spun(player, world_step(&player->world, ACTION_NONE, (struct result){0}));
}

static int play_stop(struct player *player)
{
	player->world.trace.known.stop_wanted = true;
	return play_step(player);
}

static int play_restart(struct player *player)
{
	world_restart(&player->world);
	return 0;
}

static int play_facts(struct player *player)
{
	player->world.old_facts = player->n_words > 1 && strcmp(player->words[1], "old") == 0;
	return 0;
}

static int parse_time(struct player *player, int64_t *ret_ms)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", MONO_SECOND}, {"m", 60 * MONO_SECOND}};
	const char *text = player->n_words > 1 ? player->words[1] : "";
	char *end;
	long number = strtol(text, &end, 10);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (end != text && number > 0 && strcmp(end, units[i].name) == 0)
			return *ret_ms = number * units[i].ms, 0;
	return wrong(player, "expected a time like 10s, 5m or 500ms");
}

static int play_pause(struct player *player)
{
	int64_t ms = 0;
	int r = parse_time(player, &ms);

	if (r == 0)
		world_pause(&player->world, ms);
	return r;
}

static int play_run(struct player *player)
{
	int64_t ms = 0;
	int r = parse_time(player, &ms);

	return r < 0 ? r : spun(player, world_run(&player->world, ms));
}

/* What a step says under that name, as text. False: there is no such name. */
static bool say(const struct world *world, const char *name, char *text, size_t size)
{
	const struct step *step = &world->last;
	int action = action_parse(name);
	long number;

	if (strcmp(name, "state") == 0)
		return snprintf(text, size, "%s", state_str(step->next.state)) >= 0;
	if (strcmp(name, "reason") == 0)
		return snprintf(text, size, "%s", reason_str(step->reason)) >= 0;
	if (strcmp(name, "why") == 0)
		return snprintf(text, size, "%s", step->alarm ? reason_str(step->why) : "none") >= 0;
	if (strcmp(name, "health") == 0)
		return snprintf(text, size, "%s", health_str(step->health)) >= 0;
	if (strcmp(name, "in_flight") == 0)
		return snprintf(text, size, "%s", action_str(step->next.in_flight)) >= 0;
	if (strcmp(name, "score") == 0)
		number = step->score.value;
	else if (strcmp(name, "can_move") == 0)
		number = step->can_move;
	else if (strcmp(name, "may_start") == 0)
		number = step->may_start;
	else if (strcmp(name, "alarm") == 0)
		number = step->alarm;
	else if (strcmp(name, "refused") == 0)
		number = step->wanted_refused;
	else if (strcmp(name, "watch") == 0)
		number = step->watch_closely;
	else if (strcmp(name, "migrating_to") == 0)
		number = step->next.migrate_to;
	else if (strcmp(name, "failed_tries") == 0)
		number = step->next.failed_tries;
	else if (action > 0)
		number = world->counts[action];
	else
		return false;
	snprintf(text, size, "%ld", number);
	return true;
}

static int play_expect(struct player *player)
{
	for (size_t i = 1; i < player->n_words; i++) {
		char *word = player->words[i], *value = strchr(word, '=');
		char text[64];

		if (!value)
			return wrong(player, "expected KEY=VALUE, not %s", word);
		*value++ = '\0';
		if (!say(&player->world, word, text, sizeof(text)))
			return wrong(player, "expected a key that a step has, not %s", word);
		if (strcmp(text, value) != 0)
			return wrong(player, "expected %s=%s, but it is %s", word, value, text);
	}
	return 0;
}

static int play_line(struct player *player, char *text)
{
	static const struct {
		const char *name;
		int (*play)(struct player *player);
	} commands[] = {{"policy", play_policy},   {"set", play_set},	      {"peer", play_peer},
			{"forget", play_forget},   {"monitor", play_monitor}, {"here", play_here},
			{"there", play_there},	   {"gone", play_gone},	      {"auto", play_auto},
			{"result", play_result},   {"command", play_command}, {"stop", play_stop},
			{"restart", play_restart}, {"step", play_step},	      {"facts", play_facts},
			{"pause", play_pause},	   {"run", play_run},	      {"expect", play_expect}};
	char *save = NULL;

	text[strcspn(text, "#\n")] = '\0';
	if (strncmp(text, "run", 3) != 0 && strncmp(text, "expect", 6) != 0 && text[strspn(text, " \t")])
		fprintf(player->world.out, "%8.1f | %s\n",
			(double)(player->world.trace.now - player->world.zero) / 1000, text);
	player->n_words = 0;
	for (char *word = strtok_r(text, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
		if (player->n_words == WORDS_MAX)
			return wrong(player, "expected at most %d words", WORDS_MAX);
		player->words[player->n_words++] = word;
	}
	if (player->n_words == 0)
		return 0;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(player->words[0], commands[i].name) == 0)
			return commands[i].play(player);
	return wrong(player, "expected a command, not %s", player->words[0]);
}

static int play(const char *path, FILE *out)
{
	static struct player player;
	FILE *file = fopen(path, "re");
	char line[512];
	int r = 0;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -errno;
	}
	player = (struct player){.path = path};
	world_init(&player.world, out);
	while (r == 0 && fgets(line, sizeof(line), file)) {
		player.line++;
		r = play_line(&player, line);
	}
	fclose(file);
	return r;
}

/* Says where the two part. */
static int compare(const char *path, const char *was, const char *is)
{
	unsigned line = 1;

	while (*was && *is) {
		size_t a = strcspn(was, "\n"), b = strcspn(is, "\n");

		if (a != b || memcmp(was, is, a) != 0)
			break;
		was += a + (was[a] != '\0');
		is += b + (is[b] != '\0');
		line++;
	}
	if (!*was && !*is)
		return 0;
	fprintf(stderr, "%s:%u: differs\n- %.*s\n+ %.*s\n", path, line, (int)strcspn(was, "\n"), was,
		(int)strcspn(is, "\n"), is);
	return -EINVAL;
}

static char *read_all(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!file)
		return NULL;
	if (getdelim(&text, &size, '\0', file) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(file);
	return text;
}

static int run_one(const char *path, bool update)
{
	char trace_path[4096];
	size_t length = strlen(path), suffix = strlen(".scenario");
	char *is = NULL, *was = NULL;
	size_t size = 0;
	FILE *out;
	int r;

	if (length < suffix || strcmp(path + length - suffix, ".scenario") != 0) {
		fprintf(stderr, "%s: expected a name that ends in .scenario\n", path);
		return -EINVAL;
	}
	snprintf(trace_path, sizeof(trace_path), "%.*s.trace", (int)(length - suffix), path);
	out = open_memstream(&is, &size);
	if (!out)
		return -ENOMEM;
	r = play(path, out);
	fclose(out);
	if (r < 0) {
		fputs(is, stderr);
	} else if (update) {
		FILE *file = fopen(trace_path, "we");

		if (!file || fputs(is, file) < 0 || fclose(file) != 0) {
			fprintf(stderr, "%s: %s\n", trace_path, strerror(errno));
			r = -EIO;
		}
	} else {
		was = read_all(trace_path);
		r = compare(trace_path, was ? was : "", is);
	}
	free(was);
	free(is);
	return r;
}

int main(int argc, char **argv)
{
	bool update = argc > 1 && strcmp(argv[1], "--update") == 0;
	int failed = 0;

	if (argc < 2 + update) {
		fprintf(stderr, "run_golden [--update] NAME.scenario...\n");
		return 2;
	}
	for (int i = 1 + update; i < argc; i++)
		failed += run_one(argv[i], update) < 0;
	return failed != 0;
}
