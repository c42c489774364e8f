/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the broker knows, and what its files need of each other: broker.c joins the parts, broker_watch.c
 * keeps the monitors' samples, broker_status.c tells. For these three alone. */
#pragma once

#include "broker/broker.h"
#include "broker/poke_link.h"
#include "broker/storage_link.h"

#define COMMANDS_MAX 16

struct waiting_command {
	uint64_t ticket; /* 0: free */
	broker_answer_fn answer;
	void *data;
	/* A start, until the whiteboard has been looked at for it; else 0. */
	enum command held;
	char argument[TEXT_MAX];
};

/* What decides whether the agent is told; moments and counters aside. */
struct digest {
	struct cluster cluster;
	uint64_t peers; /* slots_news() */
};

struct broker {
	struct broker_config config;
	struct broker_ports ports;
	struct member member;
	struct storage_parts parts;
	struct storage_link link;
	struct board board;
	struct poke_link pokes;
	struct global_flag flag;
	struct sample samples[MONITOR_COUNT];
	int32_t health_pid; /* the QEMU whose health is in the sample, 0 none */
	mono_t sampled_at[MONITOR_COUNT];
	const struct agent_calls *agent;
	void *agent_data;
	uint64_t last_ticket;
	struct waiting_command commands[COMMANDS_MAX];
	struct timer changed_timer, watch_timer;
	mono_t told_until; /* as many EVENT_CHANGED as went out are spent by then, one each CHANGED_GAP_MS */
	mono_t guard_asked, guard_away_since;
	int guard_error;
	int64_t slow_ms; /* what the last slow I/O of the whiteboard took, 0: it is not slow */
	struct digest told;
	void (*stopped)(void *data);
	void *stopped_data;
	bool started;
};

mono_t broker_now(const struct broker *broker);
/* That sanlock lives by on this host. */
struct lease_timing broker_timing(const struct broker *broker);
void broker_fill_cluster(const struct broker *broker, struct cluster *ret);
/* Something may have changed: the agent hears of it if it matters. */
void broker_changed(struct broker *broker);
void broker_watch_start(struct broker *broker);
