/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A world for the agent: its ports on a virtual clock, with switches for what goes wrong, around the real
 * core. Each port answers 10 ms after it was asked. Used by the unit tests of agent, perform, agent_command
 * and publish; asserts with cmocka, which is included before. */
#pragma once

#include "daemon/agent.h"
#include "tests/unit/virtual_clock.h"

#define S MONO_SECOND

extern struct agent_world {
	struct virtual_clock clock;
	struct agent *agent;
	struct agent_ports ports;

	struct broker_port broker;
	struct cluster cluster;
	struct peer peer;
	size_t n_peers;
	bool connected, deaf, unwritable, asked;
	uint64_t serial, acknowledged;
	struct publish_request published;
	char target[HOST_NAME_MAX_SIZE]; /* that an acknowledgement tells */
	uint64_t answered_ticket;
	int answered_error;
	char answered[TEXT_MAX];
	unsigned answers;

	struct vm_port vm;
	struct domain_view view;
	bool silent;
	enum action acted[256];
	size_t n_acted;
	char argument[TEXT_MAX];
	int64_t act_ms; /* that the last action was given */
	enum action acting;
	enum outcome start_outcome;
	bool destroy_fails;
	bool start_hangs, hanging; /* it waits for its lease in libvirt */

	struct fence_port fence;
	unsigned kills, resets;
	int kill_error, reset_error;
	bool survives; /* SIGKILL */
	void (*kill_done)(void *data, int error, int alive);
	void *kill_data;

	struct local_port local;
	struct local_view local_view;
	bool local_setting, local_on;
	int set_error;
	unsigned sets, saves;
	struct saved saved;

	struct timer broker_timer, vm_timer, act_timer, fence_timer, local_timer;
	bool stopped;
	struct step last;
} world;

/* One host, joined, knowing all, nobody owning the lease, no other host; its agent is not started. */
void world_make(void);
/* The same, its agent started beside a VM that runs well. */
void world_make_with_vm_up(void);
void world_end(void);
/* Another host that may take the VM. */
void world_add_peer(void);
void world_start(const struct saved *saved);
/* The peer lives on, health is probed again. */
void world_run(int64_t ms);
/* The lease is this host's and QEMU has it, or nobody's. */
void world_own_lease(bool ours);
/* QEMU ends, and libvirt says how. */
void world_vm_ends(enum domain_end end);
/* For agent_stop(). */
void world_stopped(void *data);
