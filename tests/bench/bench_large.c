/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a host costs among 2000: broker and agent as they are, on virtual time, with 1999 hosts of which only
 * the outside is simulated. The processor's time of a minute is that of the whole simulation, so an upper
 * bound, and the memory that it has more of after an hour. Asserts neither. */
#include <malloc.h>
#include <stdio.h>

#include "tests/bench/bench_figure.h"
#include "tests/sim/sim_cluster.h"
#include "tests/sim/sim_log.h"

#define MINUTE (60 * MONO_SECOND)
#define SETTLE_MINUTES 10
#define MINUTES 60

int main(void)
{
	struct sim_cluster_config config = {.seed = 1,
					    .n_hosts = 1,
					    .n_light = HOST_ID_MAX - 1,
					    .policy = policy_default,
					    .watchdog = true};
	struct sim_cluster *cluster = sim_cluster_new(&config);
	double seconds[MINUTES], growth;
	struct mallinfo2 before;
	int r;

	sim_log_to(NULL);
	sim_cluster_boot(cluster);
	sim_cluster_run(cluster, SETTLE_MINUTES * MINUTE);
	if (cluster->running != 1)
		return 1;
	before = mallinfo2();
	for (int i = 0; i < MINUTES; i++) {
		double begin = bench_own_ms();

		sim_cluster_run(cluster, (SETTLE_MINUTES + i + 1) * MINUTE);
		seconds[i] = (bench_own_ms() - begin) / 1000;
	}
	growth = ((double)mallinfo2().uordblks - (double)before.uordblks) / 1024;
	if (cluster->running != 1)
		return 1;
	sim_cluster_free(cluster);
	r = bench_figure("2000 hosts: CPU of agent and broker per minute", "s", seconds, MINUTES, 0.3);
	if (r == 0)
		r = bench_figure("2000 hosts: memory growth in an hour", "KiB", &growth, 1, 0);
	return r < 0;
}
