/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs schedules made from seeds, or read from a file, and tells what was found: nothing, for the daemons as
 * they are; the named checker's finding, for a daemon with a planted bug. What fails is cut down and printed
 * with the command that replays it. The tests of suite sim, and the tool for soaks (--hours). */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/sim/sim_trial.h"
#include "util/clock.h"

/* Of the machine: for a loop without end, which virtual time does not see. And one for each host. */
#define TRIAL_SECONDS 60
#define SHRINK_TRIALS 300
#define SHRINK_MS (100 * MONO_SECOND) /* of the machine, for all that fails in a run */
#define WHOLE_EVERY 16		      /* seeds whose second run looks at all hosts after every event */
#define KNOWN_MAX 4096
#define WHOLE_HOSTS_MAX 5 /* more take too long when all are looked at after every event */
/* What else runs on the machine costs each some of the processor's cache: the best counts. */
#define SPEED_TRIES 5

struct run {
	const char *program, *expect, *folder;
	enum trial_log log;
	bool shrink;
	mono_t shrink_ms; /* spent */
	bool hit;	  /* what was expected was found */
	uint64_t seeds, failures;
	uint64_t events, starts;
	int64_t simulated_ms; /* of all hosts, also of what runs twice */
	uint64_t fired[FAULT_COUNT];
};

struct shrinking {
	const char *failed;
	mono_t until;
};

static void run_apart(const struct schedule *schedule, enum trial_log log, bool whole, struct trial *ret)
{
	trial_run_apart(schedule, TRIAL_SECONDS + (unsigned)schedule->hosts, log, whole, ret);
}

/* What did not fire is a finding as well, of whoever made the schedule. */
static void judge_fired(struct trial *trial)
{
	if (trial->failed[0] || !trial->missed[0])
		return;
	strcpy(trial->failed, "not-fired");
	snprintf(trial->text, sizeof(trial->text), "%s did not fire", trial->missed);
}

static bool fails_alike(const struct schedule *schedule, void *data)
{
	const struct shrinking *shrinking = data;
	struct trial trial;

	if (clock_mono() >= shrinking->until)
		return false;
	run_apart(schedule, TRIAL_QUIET, false, &trial);
	judge_fired(&trial);
	return strcmp(trial.failed, shrinking->failed) == 0;
}

/* Writes it where the replaying command finds it, and prints both. */
static void tell(const struct run *run, const struct schedule *schedule, const struct trial *trial)
{
	char path[512];
	FILE *out;

	printf("# %s at %" PRId64 " ms: %s\n", trial->failed, trial->at, trial->text);
	snprintf(path, sizeof(path), "%s/%s-%" PRIu64 ".schedule", run->folder, trial->failed,
		 schedule->seed);
	out = fopen(path, "we");
	if (out) {
		schedule_print(schedule, out);
		fclose(out);
	}
	schedule_print(schedule, stdout);
	printf("# replay it: %s --loud --replay %s\n", run->program, out ? path : "-");
	fflush(stdout);
}

static void take_in(struct run *run, const struct schedule *schedule, const struct trial *trial)
{
	run->seeds++;
	run->events += trial->events;
	run->starts += trial->starts;
	run->simulated_ms += trial->at * schedule->hosts;
	for (int i = 0; i < FAULT_COUNT; i++)
		run->fired[i] += trial->fired[i];
}

/* `twice`: the second run has to give the same hash; `whole`: with all hosts looked at after every event. */
static void run_schedule(struct run *run, struct schedule *schedule, bool twice, bool whole)
{
	struct trial trial, again;

	run_apart(schedule, run->log, false, &trial);
	take_in(run, schedule, &trial);
	if (twice && !trial.failed[0]) {
		run_apart(schedule, TRIAL_QUIET, whole && schedule->hosts <= WHOLE_HOSTS_MAX, &again);
		run->simulated_ms += again.at * schedule->hosts;
		if (again.hash != trial.hash || again.events != trial.events || again.failed[0]) {
			strcpy(trial.failed, "two-runs-differ");
			snprintf(trial.text, sizeof(trial.text),
				 "hash %016" PRIx64 " and %016" PRIx64 ", %.32s %.150s", trial.hash,
				 again.hash, again.failed, again.text);
		}
	}
	judge_fired(&trial);
	if (!trial.failed[0])
		return;
	run->failures++;
	if (run->expect) {
		run->hit = strcmp(trial.failed, run->expect) == 0;
		return;
	}
	/* One run alone can't show that two differ. */
	if (run->shrink && strcmp(trial.failed, "two-runs-differ") != 0) {
		mono_t begun = clock_mono();
		struct shrinking shrinking = {.failed = trial.failed,
					      .until = begun + SHRINK_MS - run->shrink_ms};

		schedule_shrink(schedule, fails_alike, &shrinking, SHRINK_TRIALS);
		run->shrink_ms += clock_mono() - begun;
		run_apart(schedule, TRIAL_QUIET, false, &again);
		judge_fired(&again);
		if (again.failed[0])
			trial = again;
	}
	tell(run, schedule, &trial);
}

struct known {
	uint64_t seed;
	unsigned kinds; /* of fault that there were when it was found */
};

/* SEED[:KINDS] */
static bool parse_known(const char *text, struct known *ret)
{
	int n = sscanf(text, "%" SCNu64 ":%u", &ret->seed, &ret->kinds);

	if (n == 1)
		ret->kinds = FAULT_COUNT;
	return n >= 1 && ret->kinds >= 1 && ret->kinds <= FAULT_COUNT;
}

static size_t read_seeds(const char *path, struct known *seeds, size_t max)
{
	FILE *in = fopen(path, "re");
	char line[256];
	size_t n = 0;

	if (!in) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	while (n < max && fgets(line, sizeof(line), in))
		if (parse_known(line, &seeds[n]))
			n++;
	fclose(in);
	return n;
}

/* The checker's name stands in the patch's first line, behind "Found by: ". */
static const char *read_expected(const char *path, char name[32])
{
	static const char before[] = "Found by: ";
	FILE *in = fopen(path, "re");
	char line[256] = "", *at;

	if (in && !fgets(line, sizeof(line), in))
		line[0] = '\0';
	if (in)
		fclose(in);
	at = strstr(line, before);
	if (!at || sscanf(at + sizeof(before) - 1, "%31[a-z0-9-]", name) != 1) {
		fprintf(stderr, "%s: its first line names no checker\n", path);
		exit(2);
	}
	return name;
}

static int replay(struct run *run, const char *path)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	static struct schedule schedule;
	struct trial trial;
	char why[128];

	if (!in || schedule_read(in, &schedule, why) < 0) {
		fprintf(stderr, "%s: %s\n", path, in ? why : strerror(errno));
		return 2;
	}
	run_apart(&schedule, run->log, false, &trial);
	if (run->log == TRIAL_TRACE)
		printf("end: %s%s%s%s%s\n", trial.failed[0] ? trial.failed : "all holds",
		       trial.text[0] ? ": " : "", trial.text, trial.missed[0] ? ", did not fire: " : "",
		       trial.missed);
	else
		printf("%s at=%" PRId64 " hash=%016" PRIx64 " events=%" PRIu64 " starts=%" PRIu64
		       " up_after=%" PRId64 "%s%s%s%s\n",
		       trial.failed[0] ? trial.failed : "all-holds", trial.at, trial.hash, trial.events,
		       trial.starts, trial.up_after, trial.text[0] ? ": " : "", trial.text,
		       trial.missed[0] ? " missed: " : "", trial.missed);
	if (run->shrink && (trial.failed[0] || trial.missed[0]))
		run_schedule(run, &schedule, false, false);
	return trial.failed[0] != 0 || trial.missed[0] != 0;
}

static double host_hours(const struct run *run)
{
	return (double)run->simulated_ms / 3600e3;
}

/* Seconds of the processor that trials have taken so far. */
static double trials_s(void)
{
	struct rusage used;

	getrusage(RUSAGE_CHILDREN, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Clusters that are larger cost more for a host, since each host sees all: what that may be is stated for
 * 2000 hosts (run_sim). */
#define SPEED_HOSTS_MAX 64

/* `wanted`, HOURS:SECONDS: so many host hours, 10,000 of which would take so many seconds of the processor at
 * most. */
static int check_speed(struct run *run, uint64_t from, const char *wanted)
{
	double hours, limit, took = INFINITY;
	static struct schedule schedule;

	if (sscanf(wanted, "%lf:%lf", &hours, &limit) != 2)
		return 2;
	for (int i = 0; i < SPEED_TRIES && took > limit && run->failures == 0; i++) {
		double begun = trials_s();

		run->simulated_ms = 0;
		for (uint64_t seed = from; host_hours(run) < hours && run->failures == 0; seed++) {
			schedule_generate(seed, FAULT_COUNT, &schedule);
			if (schedule.hosts <= SPEED_HOSTS_MAX)
				run_schedule(run, &schedule, false, false);
		}
		took = (trials_s() - begun) * 10000 / host_hours(run);
		printf("# %.0f host hours: 10000 in %.1f s of the processor, at most %.0f\n", host_hours(run),
		       took, limit);
	}
	return run->failures != 0 || took > limit;
}

static void report(const struct run *run, mono_t took)
{
	double hours = host_hours(run), seconds = trials_s();

	printf("# %" PRIu64 " schedules, %.0f host hours in %.1f s, %" PRIu64 " events, %" PRIu64
	       " starts, %" PRIu64 " failed\n",
	       run->seeds, hours, (double)took / MONO_SECOND, run->events, run->starts, run->failures);
	printf("# %.1f s of the processor: 10000 host hours in %.0f s, stated 60\n", seconds,
	       hours > 0 ? seconds * 10000 / hours : 0);
}

static void usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--from SEED] [--seeds COUNT] [--known FILE] [--hours N] [--planted PATCH] "
		"[--shrink] [--loud]\n"
		"          [--all-fire] [--folder DIR] | --print SEED[:KINDS] | --replay FILE [--shrink] "
		"[--loud]\n"
		"          | --trace FILE | --speed HOURS:SECONDS [--full HOURS:SECONDS]\n",
		program);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"from", required_argument, NULL, 'f'},
						{"seeds", required_argument, NULL, 'n'},
						{"known", required_argument, NULL, 'k'},
						{"hours", required_argument, NULL, 'h'},
						{"planted", required_argument, NULL, 'e'},
						{"shrink", no_argument, NULL, 's'},
						{"loud", no_argument, NULL, 'l'},
						{"all-fire", no_argument, NULL, 'a'},
						{"folder", required_argument, NULL, 'd'},
						{"print", required_argument, NULL, 'p'},
						{"replay", required_argument, NULL, 'r'},
						{"trace", required_argument, NULL, 't'},
						{"speed", required_argument, NULL, 'S'},
						{"full", required_argument, NULL, 'F'},
						{0}};
	struct run run = {.program = argv[0], .folder = "."};
	static struct known known[KNOWN_MAX];
	struct known printed;
	static struct schedule schedule;
	uint64_t from = 1, count = 100;
	char expected[32];
	const char *replayed = NULL, *speed = NULL, *full = NULL, *asked = getenv("OVIRT_HA_TEST_FULL");
	mono_t begun = clock_mono(), limit = 0; /* of the machine: no trial goes by it */
	bool all_fire = false;
	size_t n_known = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			from = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			count = strtoull(optarg, NULL, 10);
			break;
		case 'k':
			n_known = read_seeds(optarg, known, KNOWN_MAX);
			break;
		case 'h':
			limit = (mono_t)(strtod(optarg, NULL) * 3600 * MONO_SECOND);
			break;
		case 'e':
			run.expect = read_expected(optarg, expected);
			break;
		case 's':
			run.shrink = true;
			break;
		case 'l':
			run.log = TRIAL_LOUD;
			break;
		case 'a':
			all_fire = true;
			break;
		case 'd':
			run.folder = optarg;
			break;
		case 'p':
			if (!parse_known(optarg, &printed))
				usage(argv[0]);
			schedule_generate(printed.seed, printed.kinds, &schedule);
			schedule_print(&schedule, stdout);
			return 0;
		case 'S':
			speed = optarg;
			break;
		case 'F':
			full = optarg;
			break;
		case 't':
			run.log = TRIAL_TRACE;
			__attribute__((fallthrough));
		case 'r':
			replayed = optarg;
			break;
		default:
			usage(argv[0]);
		}
	}
	if (optind != argc)
		usage(argv[0]);
	if (replayed)
		return replay(&run, replayed);
	if (speed)
		return check_speed(&run, from, full && asked && strcmp(asked, "1") == 0 ? full : speed);

	for (size_t i = 0; i < n_known + count && !run.hit; i++) {
		if (i < n_known)
			schedule_generate(known[i].seed, known[i].kinds, &schedule);
		else
			schedule_generate(from + i - n_known, FAULT_COUNT, &schedule);
		/* Of a planted bug one finding is enough. */
		run_schedule(&run, &schedule, !run.expect, i % WHOLE_EVERY == 0);
		if (run.hit)
			printf("# found by %s with seed %" PRIu64 ", after %zu\n", run.expect, schedule.seed,
			       i + 1);
		if (i + 1 == n_known + count && clock_mono() - begun < limit)
			count++;
	}
	report(&run, clock_mono() - begun);
	for (int i = 0; i < FAULT_COUNT && all_fire; i++)
		if (run.fired[i] == 0) {
			printf("# no schedule fired %s\n", fault_str((enum fault)i));
			run.failures++;
		}
	if (run.expect)
		return !run.hit;
	return run.failures != 0;
}
