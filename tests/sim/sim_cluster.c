/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes, runs and ends a cluster. It decides nothing. Called by run_sim.c, checkers' drivers and
 * hosted-engine-sim. */
#include "tests/sim/sim_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metadata/identity.h"

#define BOOT_SPREAD_MS 3000

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void write_identity(struct sim_storage *storage)
{
	struct identity identity = {.domain = SIM_DOMAIN, .lockspace = SIM_LOCKSPACE};
	uint8_t block[BLOCK_SIZE];
	int r = identity_encode(&identity, block);

	assert(r == 0);
	sim_storage_write(storage, 0, IDENTITY_BLOCK, block, 0xff);
}

static void after_event(void *data)
{
	struct sim_cluster *cluster = data;

	if (cluster->after)
		cluster->after(cluster->data, cluster);
}

struct sim_cluster *sim_cluster_new(const struct sim_cluster_config *config)
{
	struct sim_cluster *cluster = must(calloc(1, sizeof(*cluster)));

	assert(config->n_hosts >= 1 && config->n_hosts + config->n_light <= HOST_ID_MAX);
	cluster->config = *config;
	cluster->policy = config->policy;
	cluster->watchdog = config->watchdog;
	cluster->n_hosts = config->n_hosts;
	sim_init(&cluster->sim, config->seed);
	cluster->sim.after = after_event;
	cluster->sim.data = cluster;
	sim_storage_init(&cluster->storage);
	sim_storage_init(&cluster->other_storage);
	write_identity(&cluster->storage);
	write_identity(&cluster->other_storage);
	cluster->scratch_hosts = must(calloc(HOST_ID_MAX + 1, sizeof(*cluster->scratch_hosts)));
	cluster->scratch_peers = must(calloc(HOST_ID_MAX + 1, sizeof(*cluster->scratch_peers)));
	cluster->lights = must(calloc((size_t)config->n_light + 1, sizeof(*cluster->lights)));
	cluster->hosts = must(calloc(config->n_hosts, sizeof(*cluster->hosts)));
	for (uint16_t i = 0; i < config->n_hosts; i++)
		sim_host_init(&cluster->hosts[i], cluster, (uint16_t)(i + 1), &cluster->storage);
	return cluster;
}

void sim_cluster_free(struct sim_cluster *cluster)
{
	if (!cluster)
		return;
	cluster->after = NULL;
	cluster->stepped = NULL;
	for (uint16_t i = 0; i < cluster->n_hosts; i++)
		sim_host_done(&cluster->hosts[i]);
	while (cluster->requests) {
		struct sim_request *request = cluster->requests;

		cluster->requests = request->next;
		free(request);
	}
	sim_storage_done(&cluster->storage);
	sim_storage_done(&cluster->other_storage);
	sim_done(&cluster->sim);
	free(cluster->hosts);
	free(cluster->lights);
	free(cluster->scratch_hosts);
	free(cluster->scratch_peers);
	free(cluster);
}

void sim_cluster_boot(struct sim_cluster *cluster)
{
	for (uint16_t i = 0; i < cluster->n_hosts; i++) {
		struct sim_host *host = &cluster->hosts[i];

		if (!host->powered)
			sim_set(&cluster->sim, &host->boots_again, host->id,
				cluster->sim.now +
					sim_random_between(&cluster->sim.random, 0, BOOT_SPREAD_MS));
	}
	for (uint16_t i = 0; i < cluster->config.n_light; i++)
		if (!sim_is_set(&cluster->lights[i].beat))
			sim_light_start(&cluster->lights[i], &cluster->sim, &cluster->storage,
					(uint16_t)(cluster->n_hosts + i + 1), SIM_WRITER_OURS,
					&cluster->policy.lease);
}

void sim_cluster_run(struct sim_cluster *cluster, int64_t end)
{
	sim_run(&cluster->sim, end);
}

struct sim_host *sim_cluster_host(struct sim_cluster *cluster, uint16_t id)
{
	assert(id >= 1 && id <= cluster->n_hosts);
	return &cluster->hosts[id - 1];
}

struct sim_host *sim_cluster_runner(struct sim_cluster *cluster)
{
	for (uint16_t i = 0; cluster->running > 0 && i < cluster->n_hosts; i++)
		if (sim_vm_runs(&cluster->hosts[i].vm))
			return &cluster->hosts[i];
	return NULL;
}
