/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole: N hosts, their shared storage, an operator. It runs until a moment, and calls a hook after every
 * event, where checkers look; everything that goes wrong is a function of sim_fault.h. The same configuration
 * and seed give the same run, to the last bit of sim.hash.
 *
 *     struct sim_cluster_config config = {.seed = 1, .n_hosts = 3, .policy = policy_default, .watchdog =
 * true}; struct sim_cluster *cluster = sim_cluster_new(&config); cluster->after = look;
 *     sim_cluster_boot(cluster);
 *     sim_cluster_run(cluster, 600 * 1000);
 *     sim_cluster_free(cluster);
 */
#pragma once

#include "tests/sim/sim_host.h"
#include "tests/sim/sim_light.h"

#define SIM_DOMAIN "2a1f3c6e-5b1d-4f0e-9a7c-0d1e2f3a4b5c"
#define SIM_LOCKSPACE "hosted-engine"

struct sim_cluster_config {
	uint64_t seed;
	uint16_t n_hosts; /* 1..HOST_ID_MAX, host ids 1..n_hosts */
	uint16_t n_light; /* hosts of which only the outside is simulated, their ids follow; together to
			     HOST_ID_MAX */
	struct policy policy;
	bool watchdog; /* sanlock uses one */
	bool corosync; /* runs on every host */
};

/* What an operator, or a program, has asked for. Freed with the cluster. */
struct sim_request {
	struct sim_request *next;
	struct sim_host *asked_of;
	enum command command; /* 0: global maintenance */
	bool on;	      /* of global maintenance */
	int64_t asked_at;
	bool ended; /* false for ever: its broker is gone */
	int64_t ended_at;
	int error;
	char text[TEXT_MAX];
};

struct sim_cluster {
	struct sim sim;
	struct sim_cluster_config config;
	struct policy policy;
	bool watchdog;
	struct sim_storage storage;	  /* that all hosts see */
	struct sim_storage other_storage; /* that a host may be led to (safety rule 9) */
	struct sim_host *hosts;		  /* [0] is host 1 */
	uint16_t n_hosts;
	struct sim_light *lights; /* [0] is host n_hosts + 1 */
	int running;		  /* guests that run now: more than one is what must never be */
	unsigned watchdog_resets;
	struct sim_request *requests; /* the latest first */
	int64_t answered_at;	      /* the last answer to one of them */
	struct lease_host *scratch_hosts;
	struct peer *scratch_peers;

	/* After every event; after every step of an agent; NULL: nobody. sim.stop ends the run. */
	void (*after)(void *data, struct sim_cluster *cluster);
	void (*stepped)(void *data, struct sim_host *host, const struct step *step);
	void *data;
};

/* All hosts off, the whiteboard empty but for its identity. Never fails (no memory: aborts). */
struct sim_cluster *sim_cluster_new(const struct sim_cluster_config *config);
void sim_cluster_free(struct sim_cluster *cluster);
/* Boots every host within the next 3 s; the light ones, as our version, within 10 s. */
void sim_cluster_boot(struct sim_cluster *cluster);
/* Until `end` (ms since the beginning), or until sim.stop. */
void sim_cluster_run(struct sim_cluster *cluster, int64_t end);
/* 1..n_hosts */
struct sim_host *sim_cluster_host(struct sim_cluster *cluster, uint16_t id);
/* The host where the guest runs, the lowest id of several, NULL: nowhere. */
struct sim_host *sim_cluster_runner(struct sim_cluster *cluster);
