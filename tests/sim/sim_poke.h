/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* corosync as brokers see it: one group of all hosts, whose messages come to all, the sender too, some ms
 * later and in order; or are lost, come twice and in another order; and a member that forges what it likes.
 * Not there at all unless the cluster's configuration asks for it. */
#pragma once

#include "broker/poke.h"
#include "broker/poke_port.h"
#include "tests/sim/sim_clock.h"

#define SIM_POKES_WAITING 128 /* messages that come while half of it is taken are lost */

struct sim_cluster;

struct sim_arrival {
	enum { SIM_POKE_JOINED, SIM_POKE_LOST, SIM_POKE_CAME, SIM_POKE_LEFT, SIM_POKE_MESSAGE } what;
	int64_t at;
	struct poke_member member;
	uint8_t bytes[POKE_SIZE];
	size_t size;
};

struct sim_poke {
	struct poke_port port; /* first */
	struct sim_cluster *cluster;
	struct sim *sim;
	uint16_t host;
	const struct poke_calls *calls; /* NULL: no broker */
	void *data;
	bool down;	 /* corosync does not run */
	bool lossy;	 /* half of what is sent to here is lost */
	bool shuffled;	 /* it comes twice, and up to 5 s late */
	bool member;	 /* the group has it */
	uint32_t pid;	 /* another with each connection */
	uint32_t forger; /* a member on this host that forges, 0: there is none */
	uint64_t forged; /* so much so far */
	uint64_t hit;	 /* messages that were lost, doubled or forged */
	struct sim_arrival waiting[SIM_POKES_WAITING];
	size_t n_waiting;
	struct sim_event arrives, connects, forges;
};

void sim_poke_init(struct sim_poke *poke, struct sim_cluster *cluster, uint16_t host);
/* The broker's end; its port is started anew. */
void sim_poke_close(struct sim_poke *poke);
void sim_poke_set_down(struct sim_poke *poke, bool down);
/* Begins or ends a member that sends a malformed, repeated, foreign or forged poke each 10 ms, and leaves and
 * comes as another now and then. */
void sim_poke_forge(struct sim_poke *poke, bool on);
