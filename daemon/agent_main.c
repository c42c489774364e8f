/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-agent: options, configuration, the real ports, and the service's life. It decides nothing about
 * the VM: daemon/agent.c runs the core. Exit codes: 0 stopped, 2 the configuration is wrong (not restarted by
 * systemd), 1 anything else. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "broker/broker_client.h"
#include "broker/broker_conf.h"
#include "daemon/agent.h"
#include "daemon/agent_conf.h"
#include "daemon/history.h"
#include "daemon/libvirt_port.h"
#include "daemon/local_files.h"
#include "daemon/spool_writer.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/options.h"
#include "util/paths.h"

#define LOCAL_FILES_MS 10000
#define VM_COPY_S 60 /* six periods of the broker that brings it */

/* What is open, in the order of its opening. */
struct service {
	struct engine_conf engine;
	struct agent_conf conf;
	struct loop *loop;
	struct agent *agent;
	struct agent_ports ports;
	struct history *history;
	struct spool_writer *spool; /* NULL: alerts can't be made */
	enum state state;	    /* after the last step */
	char shown[160];	    /* in STATUS= */
};

/* The three files, as every daemon checks them; all problems are said. 0 or -EINVAL. */
static int load_configuration(struct service *service, struct problems *problems)
{
	struct broker_conf broker;
	char path[PATH_MAX];
	int worst = 0;

	if (engine_conf_load_deployed(file_path(FILE_ENGINE_CONF, path), &service->engine, problems) < 0)
		worst = -EINVAL;
	if (agent_conf_load(file_path(FILE_AGENT_CONF, path), &service->engine, &service->conf, problems) < 0)
		worst = -EINVAL;
	if (broker_conf_load(file_path(FILE_BROKER_CONF, path), &broker, problems) < 0)
		worst = -EINVAL;
	return worst;
}

static int check(struct service *service)
{
	struct problems problems = {.say = problems_print, .data = stderr};

	return load_configuration(service, &problems) < 0 ? EXIT_CONFIG : 0;
}

static int open_vm(struct service *service)
{
	const struct engine_conf *engine = &service->engine;
	_cleanup_free_ struct libvirt_config *config = calloc(1, sizeof(*config));

	if (!config)
		return -ENOMEM;
	snprintf(config->uri, sizeof(config->uri), "%s", service->conf.libvirt_uri);
	memcpy(config->uuid, engine->vmid, sizeof(config->uuid));
	snprintf(config->xml, sizeof(config->xml), "%s", engine_conf_vm(engine));
	memcpy(config->lockspace, engine->lockspace_name, sizeof(config->lockspace));
	memcpy(config->lease_name, engine->engine_lease_name, sizeof(config->lease_name));
	snprintf(config->lease_path, sizeof(config->lease_path), "%s", engine->lease.path);
	config->lease_offset = engine->lease.offset;
	snprintf(config->disk, sizeof(config->disk), "%s", engine->disk.path);
	memcpy(config->migration_uri, service->conf.migration_uri, sizeof(config->migration_uri));
	config->migration_bandwidth = service->conf.migration_bandwidth;
	config->migration_downtime = service->conf.migration_downtime;
	return vm_libvirt_new(config, service->loop, &service->ports.vm);
}

static int open_local(struct service *service, struct saved *ret_saved)
{
	const struct engine_conf *engine = &service->engine;
	_cleanup_free_ struct local_files_config *config = calloc(1, sizeof(*config));

	if (!config)
		return -ENOMEM;
	file_path(FILE_HA_CONF, config->ha_conf);
	file_path(FILE_AGENT_STATE, config->state);
	snprintf(config->vm_xml, sizeof(config->vm_xml), "%s", engine_conf_vm(engine));
	config->vm_age_s = engine_conf_vm_shared(engine) ? VM_COPY_S : 0;
	memcpy(config->uuid, engine->vmid, sizeof(config->uuid));
	memcpy(config->lockspace, engine->lockspace_name, sizeof(config->lockspace));
	memcpy(config->lease_name, engine->engine_lease_name, sizeof(config->lease_name));
	snprintf(config->lease_path, sizeof(config->lease_path), "%s", engine->lease.path);
	config->lease_offset = engine->lease.offset;
	config->limit_ms = LOCAL_FILES_MS;
	local_files_load(config->state, ret_saved);
	return local_files_new(config, service->loop, &service->ports.local);
}

static void note_transition(struct service *service, const struct step *step)
{
	struct transition it = {.wall = service->ports.clock->wall(service->ports.clock),
				.score = step->score.value};

	if (step->next.state == service->state)
		return;
	snprintf(it.from, sizeof(it.from), "%s", state_str(service->state));
	snprintf(it.to, sizeof(it.to), "%s", state_str(step->next.state));
	snprintf(it.reason, sizeof(it.reason), "%s", reason_str(step->next.reason));
	history_add(service->history, &it);
	if (service->spool)
		spool_writer_put(service->spool, service->state, step->next.state, step->next.reason,
				 step->score.value);
	service->state = step->next.state;
}

static void stepped(void *data, const struct step *step)
{
	struct service *service = data;
	const struct penalty_entry *entries = step->score.entries;
	char shown[sizeof(service->shown)];
	unsigned worst = 0;

	for (unsigned i = 1; i < PENALTY_COUNT; i++)
		if (entries[i].points > entries[worst].points)
			worst = i;
	note_transition(service, step);
	snprintf(shown, sizeof(shown), "%s since %s, score %d%s%s", state_str(step->next.state),
		 reason_str(step->next.reason), step->score.value, entries[worst].points ? " for " : "",
		 entries[worst].points ? penalty_str((enum penalty)worst) : "");
	if (strcmp(shown, service->shown) == 0)
		return;
	strcpy(service->shown, shown);
	sd_notifyf(0, "STATUS=%s", shown);
}

/* Alerts have no part in what the agent does: it runs without them. */
static void open_spool(struct service *service)
{
	char folder[PATH_MAX], host[256] = "";
	int r;

	if (gethostname(host, sizeof(host) - 1) < 0)
		strcpy(host, "localhost");
	r = spool_writer_new(file_path(FILE_SPOOL, folder), host, service->loop, &service->spool);
	if (r < 0)
		log_error("alerts can't be sent until the agent is started again: %s", strerror(-r));
	service->state = STATE_START;
}

static void stopped(void *data)
{
	struct service *service = data;

	loop_stop(service->loop);
}

static bool stopping(void *data)
{
	struct service *service = data;

	sd_notify(0, "STOPPING=1");
	agent_stop(service->agent, stopped, service);
	return true;
}

static int open_service(struct service *service)
{
	struct agent_config config = {.policy = service->conf.policy,
				      .libvirt_ms = service->conf.libvirt_timeout,
				      .config_shared = engine_conf_vm_shared(&service->engine)};
	struct saved saved;
	char path[PATH_MAX];
	int r;

	r = loop_new(&service->loop);
	if (r == 0)
		r = history_new(file_path(FILE_HISTORY, path), service->loop, &service->history);
	if (r == 0)
		r = agent_new(&config, &service->agent);
	if (r == 0)
		r = loop_on_signals(service->loop, stopping, service);
	if (r == 0)
		r = open_vm(service);
	if (r == 0)
		r = open_local(service, &saved);
	if (r == 0)
		r = fence_guard_new(service->loop, &service->ports.fence);
	if (r == 0)
		r = broker_client_port_new(service->loop, &agent_broker_calls, service->agent,
					   &service->ports.broker);
	if (r < 0)
		return r;
	open_spool(service);
	service->ports.clock = loop_clock(service->loop);
	service->ports.stepped = stepped;
	service->ports.data = service;
	agent_start(service->agent, &service->ports, &saved);
	return 0;
}

static void close_service(struct service *service)
{
	if (service->ports.broker)
		service->ports.broker->close(service->ports.broker);
	if (service->ports.vm)
		service->ports.vm->close(service->ports.vm);
	if (service->ports.fence)
		service->ports.fence->close(service->ports.fence);
	if (service->ports.local)
		service->ports.local->close(service->ports.local);
	agent_free(service->agent);
	spool_writer_free(service->spool);
	history_free(service->history);
	loop_free(service->loop);
}

static int serve(struct service *service)
{
	struct problems problems = {.say = problems_log};
	int r;

	if (load_configuration(service, &problems) < 0)
		return EXIT_CONFIG;
	signal(SIGPIPE, SIG_IGN);
	r = open_service(service);
	if (r == 0) {
		log_info("started host_id=%u vm=%s", service->engine.host_id, service->engine.vmid);
		/* Ready is: it runs. Whether broker, libvirt or storage answer, STATUS= and the score tell.
		 */
		sd_notify(0, "READY=1");
		loop_watchdog(service->loop);
		r = loop_run(service->loop);
	}
	if (r < 0)
		log_error("ended error=%s", strerror(-r));
	else
		log_info("stopped");
	close_service(service);
	return r < 0 ? EXIT_FAILURE : 0;
}

int main(int argc, char *argv[])
{
	_cleanup_free_ struct service *service = calloc(1, sizeof(*service));
	struct options options;
	int r = options_parse(argc, argv, "ovirt-ha-agent",
			      "Decides where the engine VM runs, and drives libvirt on this host.", NULL, 0,
			      &options);

	if (r >= 0)
		return r;
	if (!service)
		return EXIT_FAILURE;
	log_open("ovirt-ha-agent", options.debug);
	return options.check ? check(service) : serve(service);
}
