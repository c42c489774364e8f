/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connection between one host's agent and broker, in one process: the agent's broker port on one side,
 * the broker's agent calls on the other, 1 ms in between. Like the real one it merges publishes, tells of its
 * loss, and connects again by itself. */
#pragma once

#include "broker/broker.h"
#include "broker/broker_port.h"
#include "tests/sim/sim_clock.h"

#define SIM_LINK_COMMANDS 4

struct sim_link_command {
	uint64_t ticket; /* 0: free */
	enum command command;
	char argument[TEXT_MAX];
};

struct sim_link {
	struct broker_port port; /* first */
	struct sim_clock *clock;
	const struct broker_calls *calls; /* NULL: no agent */
	void *agent;
	struct broker *broker; /* NULL: none */
	bool attached, lost_said;
	struct peer *peers; /* room for HOST_ID_MAX, shared by all hosts */
	uint64_t serial, published_serial;
	int published_error;
	char published_target[HOST_NAME_MAX_SIZE];
	bool asked, answered, changed, published, publishes;
	struct publish_request request; /* the last one */
	struct sim_link_command commands[SIM_LINK_COMMANDS];
	struct sim_event to_broker, to_agent, connect;
	/* What one end did while the other stood still. */
	struct sim_event detach; /* the agent's end */
	bool lost_waits;	 /* the broker's */
	struct sim_link_answer {
		uint64_t ticket; /* 0: free */
		int error;
		char text[TEXT_MAX];
	} answers[SIM_LINK_COMMANDS];
};

void sim_link_init(struct sim_link *link, struct sim_clock *clock, struct peer *peers);
/* `calls` NULL: the agent is gone. */
void sim_link_agent(struct sim_link *link, const struct broker_calls *calls, void *agent);
/* NULL: the broker is gone. Before it is freed. */
void sim_link_broker(struct sim_link *link, struct broker *broker);
