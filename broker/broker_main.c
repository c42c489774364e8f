/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-broker: reads and checks the configuration, makes the real ports and monitors, and runs the loop.
 * It decides nothing else. READY=1 once configuration and IPC are up; STATUS= tells the rest. Exit: 0
 * stopped, 2 configuration, 1 other. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "broker/backing_port.h"
#include "broker/broker.h"
#include "broker/broker_conf.h"
#include "broker/broker_ports.h"
#include "broker/conf_refresh.h"
#include "broker/ipc_server.h"
#include "broker/monitor.h"
#include "daemon/agent_conf.h"
#include "util/cleanup.h"
#include "util/engine_conf.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/options.h"
#include "util/paths.h"
#include "util/problems.h"

#define STATUS_MS 2000
#define SHARED_CONF_MS 10000 /* the agent takes a copy of 60 s for outdated */

struct configuration {
	struct engine_conf engine;
	struct agent_conf agent;
	struct broker_conf broker_local; /* without the shared one over it */
	struct broker_conf broker;
};

struct store_text {
	char spec[PATH_MAX + 32];
	char name[256];
	struct store_access access;
};

struct service {
	struct configuration configuration;
	struct loop *loop;
	struct broker_ports ports;
	struct broker *broker;
	struct ipc_server *ipc;
	struct conf_refresh *refresh;
	struct monitor_network *network;
	struct monitor_bridge *bridge;
	struct monitor_memory *memory;
	struct monitor_cpu *cpu;
	struct monitor_engine *engine;
	struct timer status_timer;
	char status[TEXT_MAX + 64];
};

/* The name in the own record and for servers: what is not plain ASCII would be another name when it is read
 * back. */
static void own_name(char ret[256])
{
	if (gethostname(ret, 255) < 0)
		strcpy(ret, "localhost");
	ret[255] = '\0';
	for (char *c = ret; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '|')
			*c = '?';
}

/* The whiteboard's spec and who we are to its server. 0 or -ENAMETOOLONG. */
static int fill_store(const struct engine_conf *engine, struct store_text *ret)
{
	own_name(ret->name);
	ret->access = (struct store_access){
		.user = engine->user, .password = engine->password, .host_name = ret->name};
	return place_format(&engine->metadata, ret->spec, sizeof(ret->spec));
}

static void check_store(const struct engine_conf *engine, const char *path, struct problems *problems)
{
	struct store_text store;
	char what[256];

	if (engine->metadata.path[0] && fill_store(engine, &store) == 0 &&
	    store_check(store.spec, &store.access, what, sizeof(what)) < 0)
		problems_add(problems, path, 0, "metadata_path", engine->metadata.path, "%s", what);
}

/* The shared broker.conf over this host's. One that is not right must not end the broker of every host: it is
 * said, and what was before stays. */
static void overlay(struct configuration *configuration, const struct keyfile *shared)
{
	struct problems problems = {.say = problems_log};
	struct broker_conf both = configuration->broker_local;

	if (broker_conf_overlay(shared, &both, &problems) == 0)
		configuration->broker = both;
}

static void overlay_copy(struct configuration *configuration)
{
	struct problems problems = {.say = problems_log};
	_cleanup_keyfile_ struct keyfile *shared = NULL;
	char path[PATH_MAX];

	if (configuration->engine.conf_volume.path[0] &&
	    keyfile_load(file_path(FILE_SHARED_BROKER_CONF, path), true, &shared, &problems) == 0)
		overlay(configuration, shared);
}

/* 0, or -errno with every problem said. */
static int load(struct configuration *ret, struct problems *problems)
{
	char path[PATH_MAX];

	if (engine_conf_load_deployed(file_path(FILE_ENGINE_CONF, path), &ret->engine, problems) == 0)
		check_store(&ret->engine, path, problems);
	agent_conf_load(file_path(FILE_AGENT_CONF, path), &ret->engine, &ret->agent, problems);
	broker_conf_load(file_path(FILE_BROKER_CONF, path), &ret->broker_local, problems);
	ret->broker = ret->broker_local;
	overlay_copy(ret);
	return problems->count ? -EINVAL : 0;
}

static void take_sample(void *data, enum monitor monitor, bool known, int32_t value)
{
	broker_sample(((struct service *)data)->broker, monitor, known, value);
}

static int32_t engine_pid(void *data)
{
	return broker_qemu_pid(((struct service *)data)->broker);
}

static bool engine_here(void *data)
{
	return broker_vm_runs(((struct service *)data)->broker);
}

/* A monitor that can't be made is unknown from then on; the rest works. */
static void note_monitor(const char *name, int error)
{
	if (error < 0)
		log_error("monitor %s does not run, its penalty is not counted: %s", name, strerror(-error));
}

static void start_monitors(struct service *service)
{
	const struct engine_conf *engine = &service->configuration.engine;
	const struct broker_conf *conf = &service->configuration.broker;
	struct clock_port *clock = loop_clock(service->loop);
	struct sink sink = {take_sample, service};
	struct network_target target = {
		.test = engine->network_test,
		.address = engine->network_test == NETWORK_TEST_TCP ? engine->tcp_t_address : engine->gateway,
		.port = engine->tcp_t_port};

	note_monitor("network",
		     monitor_network_new(service->loop, &target, conf->network_probes, conf->network_timeout,
					 conf->network_period, sink, &service->network));
	if (engine->bridge[0])
		note_monitor("mgmt-bridge",
			     monitor_bridge_new(clock, engine->bridge, conf->mgmt_bridge_period, sink,
						&service->bridge));
	note_monitor("mem-free", monitor_memory_new(clock, "/proc/meminfo", conf->mem_free_period, sink,
						    &service->memory));
	note_monitor("cpu-load", monitor_cpu_new(clock, "/proc", conf->cpu_load_window, conf->cpu_load_period,
						 engine_pid, sink, &service->cpu));
	if (engine->health_url[0])
		note_monitor("engine-health",
			     monitor_engine_new(service->loop, engine->health_url, engine->health_ca,
						conf->engine_health_timeout, conf->engine_health_period,
						engine_here, sink, &service->engine));
}

static void stop_monitors(struct service *service)
{
	monitor_engine_free(TAKE_PTR(service->engine));
	monitor_cpu_free(TAKE_PTR(service->cpu));
	monitor_memory_free(TAKE_PTR(service->memory));
	monitor_bridge_free(TAKE_PTR(service->bridge));
	monitor_network_free(TAKE_PTR(service->network));
}

static bool same_monitors(const struct broker_conf *a, const struct broker_conf *b)
{
	size_t begin = offsetof(struct broker_conf, network_period),
	       end = offsetof(struct broker_conf, io_deadline);

	return memcmp((const char *)a + begin, (const char *)b + begin, end - begin) == 0;
}

static void shared_changed(void *data, const char *text, size_t length)
{
	struct service *service = data;
	struct problems problems = {.say = problems_log};
	struct broker_conf before = service->configuration.broker;
	_cleanup_keyfile_ struct keyfile *shared = NULL;
	int64_t monitor_ms[MONITOR_COUNT];

	if (keyfile_parse("shared broker.conf", text, length, true, &shared, &problems) < 0)
		return;
	overlay(&service->configuration, shared);
	if (same_monitors(&before, &service->configuration.broker))
		return;
	log_info("shared broker.conf has other monitors: they begin anew");
	stop_monitors(service);
	broker_conf_monitor_ms(&service->configuration.broker, monitor_ms);
	broker_set_monitor_ms(service->broker, monitor_ms);
	start_monitors(service);
}

/* Without it all else works; the agent sees how old the copy of vm.conf is. */
static void start_refresh(struct service *service)
{
	const struct engine_conf *engine = &service->configuration.engine;
	struct conf_refresh_config config = {.volume = engine->conf_volume,
					     .period_ms = SHARED_CONF_MS,
					     .io_ms = service->configuration.broker.io_deadline,
					     .changed = shared_changed,
					     .data = service};
	int r;

	if (!engine->conf_volume.path[0])
		return;
	snprintf(config.vm_conf, sizeof(config.vm_conf), "%s", engine->vm_conf);
	file_path(FILE_SHARED_BROKER_CONF, config.broker_conf);
	r = conf_refresh_new(&config, service->loop, &service->refresh);
	if (r < 0)
		log_error("the shared configuration is not brought here: %s; restart ovirt-ha-broker",
			  strerror(-r));
}

static void fill_place(const char *key, const struct place *place, char *ret, size_t size)
{
	char text[PATH_MAX + 32];

	if (place->offset == 0)
		snprintf(text, sizeof(text), "%s", place->path);
	else if (place_format(place, text, sizeof(text)) < 0)
		text[0] = '\0';
	snprintf(ret, size, "%s=%s", key, text);
}

static void fill_places(const struct engine_conf *engine, struct storage_places *ret)
{
	fill_place("metadata_path", &engine->metadata, ret->whiteboard, sizeof(ret->whiteboard));
	fill_place("lockspace_path", &engine->lockspace, ret->lockspace, sizeof(ret->lockspace));
	fill_place("lease_path", &engine->lease, ret->lease, sizeof(ret->lease));
	if (engine->disk.path[0])
		fill_place("disk_path", &engine->disk, ret->disk, sizeof(ret->disk));
}

static void fill_config(const struct configuration *configuration, struct broker_config *ret)
{
	const struct engine_conf *engine = &configuration->engine;
	const struct broker_conf *conf = &configuration->broker;

	memset(ret, 0, sizeof(*ret));
	ret->host_id = engine->host_id;
	own_name(ret->hostname);
	strcpy(ret->domain, engine->sd_uuid);
	strcpy(ret->lockspace, engine->lockspace_name);
	fill_places(engine, &ret->places);
	ret->policy = configuration->agent.policy;
	ret->io_ms = conf->io_deadline;
	broker_conf_monitor_ms(conf, ret->monitor_ms);
}

static void fill_lease(const struct engine_conf *engine, struct lease_config *ret)
{
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->lockspace, sizeof(ret->lockspace), "%s", engine->lockspace_name);
	snprintf(ret->engine, sizeof(ret->engine), "%s", engine->engine_lease_name);
	snprintf(ret->lockspace_place.path, sizeof(ret->lockspace_place.path), "%s", engine->lockspace.path);
	ret->lockspace_place.offset = engine->lockspace.offset;
	snprintf(ret->engine_place.path, sizeof(ret->engine_place.path), "%s", engine->lease.path);
	ret->engine_place.offset = engine->lease.offset;
	ret->host_id = engine->host_id;
	ret->io_timeout_s = engine->io_timeout_s;
}

static void fill_block0(const struct lease_config *lease, struct block0_config *ret)
{
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->lockspace, lease->lockspace, sizeof(ret->lockspace));
	snprintf(ret->name, sizeof(ret->name), "%s", BLOCK0_LEASE_NAME);
	ret->engine_place = lease->engine_place;
	ret->behind = BLOCK0_LEASE_BEHIND;
}

/* What systemctl status shows. */
static void tell_status(struct timer *timer)
{
	struct service *service = (struct service *)((char *)timer - offsetof(struct service, status_timer));
	struct clock_port *clock = loop_clock(service->loop);
	char trouble[TEXT_MAX], text[sizeof(service->status)];

	clock->set(clock, timer, mono_add(clock->now(clock), STATUS_MS));
	broker_trouble(service->broker, trouble);
	snprintf(text, sizeof(text), "%s", trouble[0] ? trouble : "all is well");
	if (strcmp(text, service->status) == 0)
		return;
	strcpy(service->status, text);
	sd_notifyf(0, "STATUS=%s", text);
}

static void stopped(void *data)
{
	loop_stop(((struct service *)data)->loop);
}

static bool stopping(void *data)
{
	struct service *service = data;

	sd_notify(0, "STOPPING=1");
	log_info("stopping");
	broker_stop(service->broker, stopped, service);
	return true;
}

static int start(struct service *service)
{
	const struct engine_conf *engine = &service->configuration.engine;
	struct broker_config config;
	struct lease_config lease;
	struct block0_config block0;
	struct service_account account;
	const char *const paths[PART_COUNT] = {engine->metadata.path, engine->lockspace.path,
					       engine->lease.path, engine->disk.path};
	struct store_text store;
	char path[PATH_MAX], what[256] = "can't be used";
	int r;

	r = loop_new(&service->loop);
	if (r < 0)
		return r;
	service->ports.clock = loop_clock(service->loop);
	r = fill_store(engine, &store);
	if (r == 0)
		r = store_open(store.spec, &store.access, service->loop, &service->ports.store, what,
			       sizeof(what));
	if (r < 0) {
		log_error("metadata_path %s: %s", what, strerror(-r));
		return r;
	}
	fill_lease(engine, &lease);
	fill_block0(&lease, &block0);
	r = lease_sanlock_new(&lease, service->loop, &service->ports.lease);
	if (r == 0)
		r = fence_guard_new(service->loop, &service->ports.fence);
	if (r == 0)
		r = qemu_proc_new(engine->vmid, service->loop, &service->ports.qemu);
	if (r == 0)
		r = kept_file_new(file_path(FILE_GLOBAL_FLAG, path), service->loop, &service->ports.kept);
	if (r == 0)
		r = block0_lease_new(&block0, service->loop, &service->ports.block0);
	if (r == 0)
		r = backing_worker_new(paths, service->loop, &service->ports.backing);
	if (r == 0 && engine->domain_type != DOMAIN_UNTYPED)
		r = connect_socket_new(service->loop, &service->ports.connect);
	if (r == 0 && service->configuration.broker.pokes == POKES_AUTO) {
		r = poke_cpg_new(engine->sd_uuid, engine->lockspace_name, service->loop,
				 &service->ports.poke);
		if (r == -EOPNOTSUPP)
			r = 0; /* built without it */
	}
	if (r < 0) {
		log_error("a port can't be made: %s", strerror(-r));
		return r;
	}
	fill_config(&service->configuration, &config);
	r = broker_new(&config, &service->ports, &service->broker);
	if (r < 0)
		return r;
	start_monitors(service);
	start_refresh(service);
	service_account_find(&account);
	r = ipc_server_new(service->broker, &account, service->loop, &service->ipc);
	if (r < 0) {
		log_error("IPC %s can't be served: %s%s", BROKER_SOCKET, strerror(-r),
			  r == -EADDRINUSE ? "; another ovirt-ha-broker runs" : "");
		return r;
	}
	return loop_on_signals(service->loop, stopping, service);
}

static void finish(struct service *service)
{
	struct broker_ports *ports = &service->ports;

	if (!service->loop)
		return;
	loop_clock(service->loop)->cancel(loop_clock(service->loop), &service->status_timer);
	ipc_server_free(service->ipc);
	conf_refresh_free(service->refresh);
	stop_monitors(service);
	broker_free(service->broker);
	if (ports->poke)
		ports->poke->close(ports->poke);
	if (ports->block0)
		ports->block0->close(ports->block0);
	if (ports->connect)
		ports->connect->close(ports->connect);
	if (ports->backing)
		ports->backing->close(ports->backing);
	kept_file_free(ports->kept);
	if (ports->qemu)
		ports->qemu->close(ports->qemu);
	if (ports->fence)
		ports->fence->close(ports->fence);
	if (ports->lease)
		ports->lease->close(ports->lease);
	if (ports->store)
		ports->store->close(ports->store);
	loop_free(service->loop);
}

int main(int argc, char **argv)
{
	_cleanup_free_ struct service *service = calloc(1, sizeof(*service));
	struct problems problems = {.say = problems_log};
	struct options options;
	int r = options_parse(
		argc, argv, "ovirt-ha-broker",
		"Reads and writes the whiteboard, holds the host id, watches this host, serves clients.",
		NULL, 0, &options);

	if (r >= 0)
		return r;
	if (!service)
		return EXIT_FAILURE;
	log_open("ovirt-ha-broker", options.debug);
	if (options.check) {
		problems.say = problems_print;
		problems.data = stderr;
	}
	r = load(&service->configuration, &problems);
	if (options.check || r < 0)
		return r < 0 ? EXIT_CONFIG : EXIT_SUCCESS;

	signal(SIGPIPE, SIG_IGN);
	r = start(service);
	if (r == 0) {
		log_info("started host_id=%u lockspace=%s", service->configuration.engine.host_id,
			 service->configuration.engine.lockspace_name);
		sd_notify(0, "READY=1");
		loop_watchdog(service->loop);
		service->status_timer.fire = tell_status;
		service->status_timer.slack_ms = STATUS_MS;
		tell_status(&service->status_timer);
		r = loop_run(service->loop);
	}
	finish(service);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
