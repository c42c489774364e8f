/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries what agent and broker say, each direction as one event for all that waits. It decides nothing.
 * Called by both, and by sim_host.c when one of them comes or goes. */
#include "tests/sim/sim_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LATENCY_MS 1
#define CONNECT_MS 100

#define OF(pointer, member) ((struct sim_link *)((char *)(pointer)-offsetof(struct sim_link, member)))

static mono_t now_of(const struct sim_link *link)
{
	return sim_clock_mono(link->clock);
}

static void set_event(struct sim_link *link, struct sim_event *event, int64_t ms)
{
	if (!sim_is_set(event))
		sim_set(link->clock->sim, event, link->clock->host,
			sim_clock_due(link->clock, mono_add(now_of(link), ms)));
}

static bool stands(const struct sim_link *link, enum sim_daemon daemon)
{
	return sim_stands(link->clock->sim, link->clock->host, daemon);
}

static void on_changed(void *data)
{
	struct sim_link *link = data;

	link->changed = true;
	set_event(link, &link->to_agent, LATENCY_MS);
}

static void on_published(void *data, uint64_t serial, int error, const char *target)
{
	struct sim_link *link = data;

	link->published = true;
	link->published_serial = serial;
	link->published_error = error;
	snprintf(link->published_target, sizeof(link->published_target), "%s", target);
	set_event(link, &link->to_agent, LATENCY_MS);
}

static void on_command(void *data, uint64_t ticket, enum command command, const char *argument)
{
	struct sim_link *link = data;

	for (size_t i = 0; i < SIM_LINK_COMMANDS; i++)
		if (link->commands[i].ticket == 0) {
			link->commands[i].ticket = ticket;
			link->commands[i].command = command;
			snprintf(link->commands[i].argument, TEXT_MAX, "%s", argument);
			set_event(link, &link->to_agent, LATENCY_MS);
			return;
		}
	broker_answer(link->broker, ticket, -EBUSY, "too many commands wait");
}

static const struct agent_calls agent_calls = {on_changed, on_published, on_command};

static void to_broker_fired(struct sim_event *event)
{
	struct sim_link *link = OF(event, to_broker);

	if (!link->attached)
		return;
	if (link->publishes) {
		link->publishes = false;
		broker_publish(link->broker, &link->request);
	}
	for (size_t i = 0; i < SIM_LINK_COMMANDS; i++) {
		struct sim_link_answer answer;

		if (link->answers[i].ticket == 0)
			continue;
		answer = link->answers[i];
		link->answers[i].ticket = 0;
		broker_answer(link->broker, answer.ticket, answer.error, answer.text);
	}
	if (link->asked && !link->answered) {
		link->answered = true;
		set_event(link, &link->to_agent, LATENCY_MS);
	}
}

static void tell_facts(struct sim_link *link)
{
	struct cluster cluster;
	size_t n;

	link->asked = link->answered = false;
	n = broker_facts(link->broker, &cluster, link->peers);
	link->calls->facts(link->agent, 0, &cluster, link->peers, n);
}

static void to_agent_fired(struct sim_event *event)
{
	struct sim_link *link = OF(event, to_agent);

	if (!link->attached)
		return;
	if (link->published) {
		link->published = false;
		link->calls->published(link->agent, link->published_serial, link->published_error,
				       link->published_target);
	}
	if (link->changed) {
		link->changed = false;
		link->calls->changed(link->agent);
	}
	for (size_t i = 0; i < SIM_LINK_COMMANDS && link->attached; i++) {
		struct sim_link_command command;

		if (link->commands[i].ticket == 0)
			continue;
		command = link->commands[i];
		link->commands[i].ticket = 0;
		link->calls->command(link->agent, command.ticket, command.command, command.argument);
	}
	if (link->answered && link->attached)
		tell_facts(link);
}

static void drop_all(struct sim_link *link)
{
	link->asked = link->answered = link->changed = link->published = link->publishes = false;
	memset(link->commands, 0, sizeof(link->commands));
	memset(link->answers, 0, sizeof(link->answers));
	sim_cancel(link->clock->sim, &link->to_agent);
	sim_cancel(link->clock->sim, &link->to_broker);
}

static void connect_fired(struct sim_event *event)
{
	struct sim_link *link = OF(event, connect);

	if (!link->calls || link->attached)
		return;
	if (link->lost_waits) {
		link->lost_waits = false;
		link->lost_said = true;
		link->calls->lost(link->agent, -ENOTCONN);
	}
	if (!link->broker || stands(link, SIM_DAEMON_BROKER) ||
	    broker_agent_attach(link->broker, &agent_calls, link) < 0) {
		set_event(link, &link->connect, CONNECT_MS);
		if (!link->lost_said) {
			link->lost_said = true;
			link->calls->lost(link->agent, -ENOTCONN);
		}
		return;
	}
	link->attached = true;
	link->lost_said = false;
	link->calls->connected(link->agent);
}

static int port_ask(struct broker_port *port)
{
	struct sim_link *link = (struct sim_link *)port;

	if (!link->attached)
		return -ENOTCONN;
	if (link->asked)
		return 0;
	link->asked = true;
	set_event(link, &link->to_broker, LATENCY_MS);
	return 0;
}

static int port_publish(struct broker_port *port, const struct publish_request *request, uint64_t *ret_serial)
{
	struct sim_link *link = (struct sim_link *)port;

	if (!link->attached)
		return -ENOTCONN;
	link->request = *request;
	link->request.serial = *ret_serial = ++link->serial;
	link->publishes = true;
	set_event(link, &link->to_broker, LATENCY_MS);
	return 0;
}

static int port_answer(struct broker_port *port, uint64_t ticket, int error, const char *text)
{
	struct sim_link *link = (struct sim_link *)port;

	if (!link->attached)
		return -ENOTCONN;
	if (stands(link, SIM_DAEMON_BROKER)) {
		for (size_t i = 0; i < SIM_LINK_COMMANDS; i++)
			if (link->answers[i].ticket == 0) {
				link->answers[i].ticket = ticket;
				link->answers[i].error = error;
				snprintf(link->answers[i].text, TEXT_MAX, "%s", text);
				set_event(link, &link->to_broker, LATENCY_MS);
				return 0;
			}
		return -EBUSY;
	}
	broker_answer(link->broker, ticket, error, text);
	return 0;
}

static bool port_connected(struct broker_port *port)
{
	return ((struct sim_link *)port)->attached;
}

static void port_close(struct broker_port *port)
{
	sim_link_agent((struct sim_link *)port, NULL, NULL);
}

static void detach_fired(struct sim_event *event)
{
	struct sim_link *link = OF(event, detach);

	broker_agent_detach(link->broker, link);
}

void sim_link_agent(struct sim_link *link, const struct broker_calls *calls, void *agent)
{
	if (link->attached && stands(link, SIM_DAEMON_BROKER))
		sim_set(link->clock->sim, &link->detach, link->clock->host, link->clock->sim->now);
	else if (link->attached)
		broker_agent_detach(link->broker, link);
	link->attached = link->lost_said = link->lost_waits = false;
	drop_all(link);
	sim_cancel(link->clock->sim, &link->connect);
	link->calls = calls;
	link->agent = agent;
	link->serial = 0;
	if (calls)
		set_event(link, &link->connect, LATENCY_MS);
}

void sim_link_broker(struct sim_link *link, struct broker *broker)
{
	bool was = link->attached;

	/* The broker's end: nobody is left to detach from. */
	link->attached = false;
	link->broker = broker;
	drop_all(link);
	sim_cancel(link->clock->sim, &link->detach);
	if (was && link->calls && stands(link, SIM_DAEMON_AGENT)) {
		link->lost_waits = true;
	} else if (was && link->calls) {
		link->lost_said = true;
		link->calls->lost(link->agent, -ENOTCONN);
	}
	if (link->calls)
		set_event(link, &link->connect, CONNECT_MS);
}

void sim_link_init(struct sim_link *link, struct sim_clock *clock, struct peer *peers)
{
	memset(link, 0, sizeof(*link));
	link->port = (struct broker_port){port_ask, port_publish, port_answer, port_connected, port_close};
	link->clock = clock;
	link->peers = peers;
	link->to_broker.fire = to_broker_fired;
	link->to_agent.fire = to_agent_fired;
	link->connect.fire = connect_fired;
	link->detach.fire = detach_fired;
	link->to_broker.kind = link->to_agent.kind = link->connect.kind = link->detach.kind = SIM_LINK;
	link->to_broker.daemon = link->detach.daemon = SIM_DAEMON_BROKER;
	link->to_agent.daemon = link->connect.daemon = SIM_DAEMON_AGENT;
}
