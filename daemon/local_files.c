/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This host's own files behind a worker: even a local disk can hang, and the VM's configuration may lie on a
 * shared one. It decides only the order (maintenance, saving, looking) and gives up what takes too long. */
#include "daemon/local_files.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/domain_file.h"
#include "util/clock.h"
#include "util/ha_conf.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/worker.h"

#define HA_WHY_MAX (PATH_MAX + 512)

enum kind { KIND_SET, KIND_SAVE, KIND_LOOK, KIND_COUNT };

struct local_call {
	struct job job;
	struct local_files *owner; /* for the loop */
	enum kind kind;
	struct local_files_config config;
	bool on;
	struct saved saved;
	struct local_view view;
	bool outdated;
	char why[DOMAIN_WHY_MAX];
	char ha_why[HA_WHY_MAX];
	int error;
};

struct local_files {
	struct local_port port; /* first: the port's `this` */
	struct local_files_config config;
	struct loop *loop;
	struct clock_port *clock;
	struct worker *worker;
	struct timer limit;
	struct local_call *call;
	bool wanted[KIND_COUNT];
	bool on;
	struct saved saved;
	char told[DOMAIN_WHY_MAX]; /* the fault of the VM's configuration that the log knows */
	char ha_told[HA_WHY_MAX];  /* that of ha.conf */
	bool outdated_told;
};

_Static_assert(offsetof(struct local_files, port) == 0, "the port is its first member");
_Static_assert(offsetof(struct local_call, job) == 0, "the job is its first member");

static void keep_first(void *data, const char *line)
{
	struct local_call *call = data;

	if (!call->ha_why[0])
		snprintf(call->ha_why, sizeof(call->ha_why), "%s; correct it, or remove the file", line);
}

/* A file that can't be understood says nothing, and is not overwritten. */
static int read_ha(struct local_call *call, struct ha_conf *ret)
{
	struct problems problems = {.say = keep_first, .data = call};
	int r = ha_conf_load(call->config.ha_conf, ret, &problems);

	if (r < 0 && !call->ha_why[0])
		snprintf(call->ha_why, sizeof(call->ha_why), "%s: %s", call->config.ha_conf, strerror(-r));
	return r;
}

/* The wall clock dates files. One that jumps makes a copy look old, or new, until the next touch. */
static bool is_outdated(const char *path, int64_t age_s)
{
	struct stat st;

	return age_s > 0 && (stat(path, &st) < 0 || llabs(clock_wall() - (int64_t)st.st_mtime) > age_s);
}

static void run_look(struct local_call *call)
{
	const struct local_files_config *config = &call->config;
	const struct domain_lease lease = {.lockspace = config->lockspace,
					   .key = config->lease_name,
					   .path = config->lease_path,
					   .offset = config->lease_offset};
	_cleanup_free_ char *xml = NULL;
	struct ha_conf ha;

	call->view = (struct local_view){0};
	if (read_ha(call, &ha) == 0) {
		call->view.ha_known = true;
		call->view.maintenance_management = ha.local_maintenance;
		call->view.maintenance_operator = ha.local_maintenance_manual;
	}
	call->view.vm_known = true;
	if (domain_file_prepare(config->vm_xml, config->uuid, &lease, &xml, &call->view.vm_memory_mib,
				call->why) == 0) {
		call->outdated = is_outdated(config->vm_xml, config->vm_age_s);
		call->view.vm_config_good = !call->outdated;
	}
}

static int run_set(struct local_call *call)
{
	struct ha_conf ha;
	int r;

	r = read_ha(call, &ha);
	if (r < 0)
		return r;
	ha.local_maintenance_manual = call->on;
	r = ha_conf_save(call->config.ha_conf, &ha);
	if (r == 0)
		run_look(call);
	else
		snprintf(call->ha_why, sizeof(call->ha_why), "%s could not be written: %s",
			 call->config.ha_conf, strerror(-r));
	return r;
}

static int run_save(const struct local_call *call)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	char number[32];
	int r;

	r = keyfile_new(call->config.state, false, &file);
	if (r < 0)
		return r;
	snprintf(number, sizeof(number), "%" PRIu32, call->saved.failed_tries);
	r = keyfile_set(file, "", "failed_tries", number);
	if (r < 0)
		return r;
	snprintf(number, sizeof(number), "%" PRId64, call->saved.last_failed_wall);
	r = keyfile_set(file, "", "last_failed", number);
	return r < 0 ? r : keyfile_save(file, call->config.state, 0644);
}

static void call_run(struct job *job)
{
	struct local_call *call = (struct local_call *)job;

	if (call->kind == KIND_LOOK)
		run_look(call);
	else
		call->error = call->kind == KIND_SET ? run_set(call) : run_save(call);
}

static void call_destroy(struct job *job)
{
	free(job);
}

static void next(struct local_files *l);

static void ended(struct local_files *l, enum kind kind, int error, const char *why,
		  const struct local_view *view)
{
	if (kind == KIND_SAVE && error < 0)
		log_warning("%s: failed tries can't be saved: %s; a restart of the agent forgets them",
			    l->config.state, strerror(-error));
	if (view)
		l->port.seen(l->port.data, view);
	if (kind == KIND_SET)
		l->port.maintenance_set(l->port.data, error, error < 0 ? why : "");
	next(l);
}

static void call_done(struct job *job)
{
	struct local_call *call = (struct local_call *)job;
	struct local_files *l = call->owner;
	bool looked = call->error == 0 && call->kind != KIND_SAVE;

	l->clock->cancel(l->clock, &l->limit);
	l->call = NULL;
	if (looked && strcmp(l->told, call->why) != 0) {
		memcpy(l->told, call->why, sizeof(l->told));
		if (call->why[0])
			log_error("%s: %s; correct it, or the VM can't be started here", l->config.vm_xml,
				  call->why);
		else
			log_info("%s: the VM's configuration is good again", l->config.vm_xml);
	}
	if (looked && call->outdated != l->outdated_told) {
		l->outdated_told = call->outdated;
		if (call->outdated)
			log_warning("%s: not brought from the shared configuration for over %lld s, "
				    "tolerated, the VM "
				    "is started from it; the broker's log says why",
				    l->config.vm_xml, (long long)l->config.vm_age_s);
		else
			log_info("%s: up to date again", l->config.vm_xml);
	}
	if (looked && strcmp(l->ha_told, call->ha_why) != 0) {
		memcpy(l->ha_told, call->ha_why, sizeof(l->ha_told));
		if (call->ha_why[0])
			log_error("%s", call->ha_why);
		else
			log_info("%s: it is understood again", l->config.ha_conf);
	}
	ended(l, call->kind, call->error, call->ha_why, looked ? &call->view : NULL);
	free(call);
}

static void late(struct timer *timer)
{
	static const struct local_view nothing;
	struct local_files *l = (struct local_files *)((char *)timer - offsetof(struct local_files, limit));
	const struct local_call *call = l->call;
	enum kind kind;

	/* It may have ended this instant, and the next one have begun: that one is not late. */
	worker_dispatch(l->worker);
	if (!l->call || l->call != call)
		return;
	kind = l->call->kind;
	l->call = NULL;
	worker_give_up(l->worker);
	log_warning("this host's own files can't be read or written within %lld ms",
		    (long long)l->config.limit_ms);
	ended(l, kind, -ETIMEDOUT, "ha.conf could not be read or written in time",
	      kind == KIND_LOOK ? &nothing : NULL);
}

static void next(struct local_files *l)
{
	struct local_call *call;
	enum kind kind = 0;
	int r;

	while (kind < KIND_COUNT && !l->wanted[kind])
		kind++;
	if (l->call || kind == KIND_COUNT)
		return;
	call = calloc(1, sizeof(*call));
	if (!call) {
		log_error("out of memory");
		return;
	}
	call->job = (struct job){.run = call_run, .done = call_done, .destroy = call_destroy};
	call->owner = l;
	call->kind = kind;
	call->config = l->config;
	call->on = l->on;
	call->saved = l->saved;
	r = worker_start(l->worker, &call->job);
	if (r < 0) {
		/* All threads hang: what is wanted stays so, and each look tries again. */
		free(call);
		return;
	}
	l->wanted[kind] = false;
	l->call = call;
	l->clock->set(l->clock, &l->limit, mono_add(l->clock->now(l->clock), l->config.limit_ms));
}

static void port_look(struct local_port *port)
{
	struct local_files *l = (struct local_files *)port;

	if (l->call && l->call->kind == KIND_LOOK)
		return;
	l->wanted[KIND_LOOK] = true;
	next(l);
}

static int port_set_maintenance(struct local_port *port, bool on)
{
	struct local_files *l = (struct local_files *)port;

	if (l->wanted[KIND_SET] || (l->call && l->call->kind == KIND_SET))
		return -EBUSY;
	l->wanted[KIND_SET] = true;
	l->on = on;
	next(l);
	return 0;
}

static void port_save(struct local_port *port, const struct saved *saved)
{
	struct local_files *l = (struct local_files *)port;

	l->wanted[KIND_SAVE] = true;
	l->saved = *saved;
	next(l);
}

static void port_close(struct local_port *port)
{
	struct local_files *l = (struct local_files *)port;

	l->clock->cancel(l->clock, &l->limit);
	if (l->worker) {
		loop_del_fd(l->loop, worker_fd(l->worker));
		worker_free(l->worker);
	}
	free(l);
}

int local_files_new(const struct local_files_config *config, struct loop *loop, struct local_port **ret)
{
	struct local_files *l = calloc(1, sizeof(*l));
	int r;

	assert(config && loop && ret);
	if (!l)
		return -ENOMEM;
	l->port = (struct local_port){.look = port_look,
				      .set_maintenance = port_set_maintenance,
				      .save = port_save,
				      .close = port_close};
	l->config = *config;
	l->loop = loop;
	l->clock = loop_clock(loop);
	l->limit.fire = late;
	r = worker_new("local-files", &l->worker);
	if (r == 0)
		r = loop_add_worker(loop, l->worker);
	if (r < 0) {
		port_close(&l->port);
		return r;
	}
	*ret = &l->port;
	return 0;
}

static bool number(const struct keyfile *file, const char *key, int64_t max, int64_t *ret)
{
	const char *text = keyfile_get(file, "", key);
	char *end;
	long long value;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || value > max)
		return false;
	*ret = value;
	return true;
}

static void forgotten(void *data, const char *line)
{
	log_warning("%s; failed tries of before are forgotten", line);
}

void local_files_load(const char *path, struct saved *ret)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct problems problems = {.say = forgotten};
	int64_t tries, last;

	*ret = (struct saved){0};
	if (keyfile_load(path, false, &file, &problems) < 0)
		return;
	if (!number(file, "failed_tries", UINT32_MAX, &tries) ||
	    !number(file, "last_failed", INT64_MAX / 2000, &last)) {
		problems_add(&problems, path, 0, NULL, NULL,
			     "failed_tries and last_failed are not both numbers");
		return;
	}
	*ret = (struct saved){.failed_tries = (uint32_t)tries, .last_failed_wall = last};
}
