/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs clusters by seed: `run_sim [--seed N | --seeds A-B] [--hosts N] [--light N] [--hours N] [--trace]
 * [--once] [--pace SECONDS] [--full HOSTS:HOURS:SECONDS]`. Each seed is run twice and must give the same
 * hash. Prints what was simulated, how fast, and on failure the command that runs it again. `--pace`: fails
 * when 10,000 host hours take more of the processor than that. `--full`: with OVIRT_HA_TEST_FULL=1 so many
 * instead, and once. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/sim_fault.h"
#include "tests/sim/sim_log.h"
#include "util/log.h"

#define HOUR_MS (3600 * MONO_SECOND)

struct arguments {
	uint64_t first, last;
	uint16_t hosts, light;
	double hours, pace; /* s for 10,000 host hours, 0: whatever it takes */
	bool trace, once;
};

static void print_line(void *data, const char *text)
{
	fprintf(data, "%s\n", text);
}

/* A healthy cluster has its VM up and healthy after three minutes, and again after QEMU crashed. */
static int check_up(struct sim_cluster *cluster, const char *when)
{
	const struct sim_host *runner = sim_cluster_runner(cluster);

	if (cluster->running == 1 && runner->stepped && runner->step.next.state == STATE_ENGINE_UP)
		return 0;
	fprintf(stderr, "seed %llu: %s the VM is not up on one host: running=%d\n",
		(unsigned long long)cluster->config.seed, when, cluster->running);
	return -EPROTO;
}

static int run_seed(const struct arguments *arguments, uint64_t seed, bool trace, uint64_t *ret_hash,
		    uint64_t *ret_events)
{
	struct sim_cluster_config config = {.seed = seed,
					    .n_hosts = arguments->hosts,
					    .n_light = arguments->light,
					    .policy = policy_default,
					    .watchdog = true};
	struct sim_cluster *cluster = sim_cluster_new(&config);
	struct sim_log log = {.sim = &cluster->sim, .most = LOG_INFO, .line = print_line, .data = stdout};
	int64_t end = (int64_t)(arguments->hours * (double)HOUR_MS);
	int r;

	sim_log_to(trace ? &log : NULL);
	sim_cluster_boot(cluster);
	sim_cluster_run(cluster, 180 * MONO_SECOND);
	r = check_up(cluster, "after the boot");
	if (r == 0) {
		sim_qemu_crash(sim_cluster_runner(cluster));
		sim_cluster_run(cluster, 420 * MONO_SECOND);
		r = check_up(cluster, "after the crash of QEMU");
	}
	if (r == 0) {
		sim_cluster_run(cluster, end);
		r = check_up(cluster, "at the end");
	}
	*ret_hash = cluster->sim.hash;
	*ret_events = cluster->sim.events;
	sim_log_to(NULL);
	sim_cluster_free(cluster);
	return r;
}

static int run_twice(const struct arguments *arguments, uint64_t seed, uint64_t *ret_events)
{
	uint64_t hash, again, events;
	int r = run_seed(arguments, seed, arguments->trace, &hash, ret_events);

	if (r < 0 || arguments->once)
		return r;
	r = run_seed(arguments, seed, false, &again, &events);
	if (r == 0 && hash != again) {
		fprintf(stderr, "seed %llu: two runs differ: %016llx %016llx\n", (unsigned long long)seed,
			(unsigned long long)hash, (unsigned long long)again);
		return -EPROTO;
	}
	*ret_events += events;
	return r;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},	 {"seeds", required_argument, NULL, 'S'},
		{"hosts", required_argument, NULL, 'n'}, {"hours", required_argument, NULL, 'h'},
		{"light", required_argument, NULL, 'l'}, {"trace", no_argument, NULL, 't'},
		{"once", no_argument, NULL, 'o'},	 {"full", required_argument, NULL, 'f'},
		{"pace", required_argument, NULL, 'p'},	 {NULL, 0, NULL, 0},
	};
	const char *asked = getenv("OVIRT_HA_TEST_FULL"), *full = NULL;
	unsigned long long first, last;
	int c;

	*ret = (struct arguments){.first = 1, .last = 1, .hosts = 3, .hours = 1};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 's':
			ret->first = ret->last = strtoull(optarg, NULL, 10);
			break;
		case 'S':
			if (sscanf(optarg, "%llu-%llu", &first, &last) != 2 || last < first)
				return -EINVAL;
			ret->first = first;
			ret->last = last;
			break;
		case 'n':
			ret->hosts = (uint16_t)atoi(optarg);
			break;
		case 'l':
			ret->light = (uint16_t)atoi(optarg);
			break;
		case 'h':
			ret->hours = atof(optarg);
			break;
		case 't':
			ret->trace = true;
			break;
		case 'o':
			ret->once = true;
			break;
		case 'f':
			full = optarg;
			break;
		case 'p':
			ret->pace = atof(optarg);
			break;
		default:
			return -EINVAL;
		}
	if (full && asked && strcmp(asked, "1") == 0) {
		if (sscanf(full, "%hu:%lf:%lf", &ret->hosts, &ret->hours, &ret->pace) != 3)
			return -EINVAL;
		ret->once = true;
	}
	return ret->hosts >= 1 && ret->hosts + ret->light <= HOST_ID_MAX && ret->hours > 0 ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	uint64_t events = 0;
	double hours, seconds;
	clock_t begin = clock();

	if (parse(argc, argv, &arguments) < 0) {
		fprintf(stderr, "usage: run_sim [--seed N | --seeds A-B] [--hosts N] [--light N] [--hours N] "
				"[--trace] "
				"[--once] [--pace SECONDS] [--full HOSTS:HOURS:SECONDS]\n");
		return 2;
	}
	/* Records carry times of the wall clock for people. */
	setenv("TZ", "UTC", 1);
	tzset();
	for (uint64_t seed = arguments.first; seed <= arguments.last; seed++) {
		uint64_t these;

		if (run_twice(&arguments, seed, &these) < 0) {
			fprintf(stderr, "replay: run_sim --seed %llu --hosts %u --hours %g --trace\n",
				(unsigned long long)seed, arguments.hosts, arguments.hours);
			return 1;
		}
		events += these;
	}
	hours = (double)(arguments.last - arguments.first + 1) * (arguments.hosts + arguments.light) *
		arguments.hours * (arguments.once ? 1 : 2);
	seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
	printf("%.1f host hours in %.2f s: 10000 host hours in %.0f s, %.0f events per s\n", hours, seconds,
	       seconds * 10000 / hours, (double)events / seconds);
	if (arguments.pace > 0 && seconds * 10000 / hours > arguments.pace) {
		fprintf(stderr, "that is more than the %.0f s stated: profile it\n", arguments.pace);
		return 1;
	}
	return 0;
}
