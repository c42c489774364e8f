/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One host: the real broker and the real agent on simulated ports, the models of sanlock, libvirt with QEMU,
 * the guard, the path to storage, the clocks, and the small files that survive a power cut. Services come in
 * the order of their units, and systemd starts again what died. */
#pragma once

#include "daemon/agent.h"
#include "tests/sim/sim_guard.h"
#include "tests/sim/sim_lease.h"
#include "tests/sim/sim_link.h"
#include "tests/sim/sim_migrate.h"
#include "tests/sim/sim_poke.h"
#include "tests/sim/sim_proc.h"
#include "tests/sim/sim_store.h"

enum sim_service {
	SIM_GUARD_SERVICE,
	SIM_SANLOCK_SERVICE,
	SIM_LIBVIRT_SERVICE,
	SIM_BROKER_SERVICE,
	SIM_AGENT_SERVICE,
	SIM_SERVICE_COUNT
};

struct sim_host;
struct sim_cluster;

struct sim_unit {
	struct sim_event starts; /* first */
	struct sim_host *host;
	enum sim_service service;
	bool running;
	int64_t back_ms; /* after a stop */
};

/* The local port, and what it reads: files of the host, which stay over power cuts. */
struct sim_files {
	struct local_port port; /* first */
	struct sim_host *host;
	struct local_view view;
	struct saved saved;
	enum flag kept_flag;
	struct kept_port kept;
	bool set_fails; /* ha.conf can't be written */
	bool looking, setting, set_to;
	struct sim_event answers;
};

struct sim_host {
	struct sim_cluster *cluster;
	struct sim *sim;
	uint16_t id;
	char name[64];
	bool powered;
	unsigned boots;
	struct sim_clock clock;
	struct sim_disk disk;
	struct sim_store store;
	struct sim_sanlock sanlock;
	struct sim_lease_port lease;
	struct sim_block0 block0;
	struct sim_vm vm;
	struct sim_migration migration; /* away from here */
	struct sim_guard guard;
	struct sim_proc proc;
	struct sim_link link;
	struct sim_poke poke;
	struct sim_files files;
	struct sim_unit units[SIM_SERVICE_COUNT];
	struct sim_event boots_again, monitors, health;
	int64_t health_at; /* the last question for it; none is asked while no QEMU lives */
	bool no_proof; /* sanlock is started without the proof that no QEMU lives (its drop-in is not there)
			*/

	struct broker_config broker_config;
	struct agent_config agent_config;
	struct broker *broker; /* NULL: does not run */
	struct agent *agent;
	bool agent_stopping, broker_stopping;

	/* What the monitors see; known false: their probe can't tell. */
	struct sim_sample {
		int32_t value;
		bool known;
	} monitored[MONITOR_COUNT];
	/* Of the last step, for checkers; valid while the agent runs. */
	struct step step;
	bool stepped;
	uint64_t steps;
};

/* A host that is off, with id `id` (its name and its name in the lockspace follow from it). */
void sim_host_init(struct sim_host *host, struct sim_cluster *cluster, uint16_t id,
		   struct sim_storage *storage);
void sim_host_done(struct sim_host *host);
void sim_host_boot(struct sim_host *host);
/* Everything stops this instant; it boots again after `back_ms`, MONO_NEVER: it does not. */
void sim_host_power_off(struct sim_host *host, int64_t back_ms);
/* Dies, and is started again after `back_ms`, MONO_NEVER: it is not. Fine when it does not run. */
void sim_host_crash(struct sim_host *host, enum sim_service service, int64_t back_ms);
/* SIM_DAEMON_NONE: not one that can be stopped alone. */
enum sim_daemon sim_host_daemon(enum sim_service service);
/* Starts it now; fine when it runs. */
void sim_host_start(struct sim_host *host, enum sim_service service);
/* `systemctl stop` of agent or broker; started again after `back_ms` once it has ended. */
void sim_host_stop(struct sim_host *host, enum sim_service service, int64_t back_ms);
