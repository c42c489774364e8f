/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connects this host's storage domain, and disconnects it, for clients that may not: one request after the
 * other, each a plan of a driver, each step in a child process with a deadline, so that nothing that hangs
 * keeps an answer back. What is connected is asked of the world each time: a restart forgets nothing. It
 * decides which driver; a driver decides how. Called by storage_main.c. */
#include "storage/storage_service.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/storage_protocol.h"
#include "storage/storage_step.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/seqpacket.h"
#include "util/service_account.h"

#define CLIENTS_MAX 16
#define LEFT_MAX 3 /* children that hang in the kernel, or what they started does */
#define TOUCH_MS 5000
#define CHECK_SERVER                                                                                         \
	": check that the server has what storage= in hosted-engine.conf names, and what its client logged"
#define PROOF_MS 15000

struct client {
	struct storage_service *service;
	int fd;				/* -1: none */
	enum storage_request_kind kind; /* that it waits for, 0 none */
};

struct storage_service {
	struct loop *loop;
	const char *conf_path;
	const struct storage_driver *const *drivers;
	const struct storage_world *world;
	int listener;
	uid_t service_uid;
	struct client clients[CLIENTS_MAX];
	pid_t left[LEFT_MAX]; /* their process groups, 0 none */

	enum storage_request_kind doing; /* 0: nothing */
	struct engine_conf conf;
	const struct storage_driver *driver;
	struct storage_plan plan;
	size_t step;
	struct storage_child child;
	struct timer timer;
	mono_t begun;
	struct storage_reply reply;    /* that is being made */
	char before[STORAGE_WHY_SIZE]; /* why the first step failed that may */
};

static void serve_next(struct storage_service *service);
static void step_start(struct storage_service *service);

static mono_t now_of(const struct storage_service *service)
{
	struct clock_port *clock = loop_clock(service->loop);

	return clock->now(clock);
}

static void client_drop(struct client *client)
{
	if (client->fd < 0)
		return;
	loop_del_fd(client->service->loop, client->fd);
	close(client->fd);
	client->fd = -1;
	client->kind = 0;
}

static void client_answer(struct client *client, const struct storage_reply *reply)
{
	/* A client that doesn't read has itself to blame. */
	(void)send(client->fd, reply, sizeof(*reply), MSG_DONTWAIT | MSG_NOSIGNAL);
	client->kind = 0;
}

static void __attribute__((format(printf, 3, 4)))
say(struct storage_service *service, int error, const char *format, ...)
{
	va_list args;

	service->reply.error = error;
	va_start(args, format);
	vsnprintf(service->reply.text, sizeof(service->reply.text), format, args);
	va_end(args);
}

/* The first problem of the file is the reason. */
static void hear_problem(void *data, const char *line)
{
	struct storage_service *service = data;

	if (!service->reply.text[0])
		say(service, -EINVAL, "%s", line);
}

static bool conf_read(struct storage_service *service)
{
	struct problems problems = {.say = hear_problem, .data = service};
	struct engine_conf *conf = &service->conf;
	int r = engine_conf_load(service->conf_path, conf, &problems);

	/* While a host is deployed its storage comes first: what else is missing is not asked here. */
	if (r == 0 && !engine_conf_deployed(conf))
		r = engine_conf_check_domain(conf, service->conf_path, &problems);
	if (r == -ENOENT)
		say(service, r, "%s does not exist", service->conf_path);
	else if (r < 0 && !service->reply.text[0])
		say(service, r, "%s can't be read: %s", service->conf_path, strerror(-r));
	else if (r == 0 && conf->domain_type == DOMAIN_UNTYPED)
		say(service, -ENODATA, "%s has no domainType: its storage is connected by other means",
		    service->conf_path);
	return service->reply.error == 0;
}

/* Whose work is there already, else who is to do it. */
static bool find_driver(struct storage_service *service)
{
	char why[STORAGE_WHY_SIZE];

	for (const struct storage_driver *const *driver = service->drivers; *driver; driver++) {
		enum storage_state state = STORAGE_DISCONNECTED;
		int r = (*driver)->state(service->world, &service->conf, &state);

		if (r < 0) {
			say(service, r, "what is connected can't be told: %s", strerror(-r));
			return false;
		}
		if (state != STORAGE_DISCONNECTED) {
			service->driver = *driver;
			service->reply.state = state;
			return true;
		}
	}
	if (service->doing != STORAGE_CONNECT)
		return true;
	service->driver = storage_driver_choose(service->drivers, service->world, &service->conf, why);
	if (!service->driver)
		say(service, -EOPNOTSUPP, "this storage can't be connected here: %s", why);
	return service->driver;
}

static void plan_touch(struct storage_service *service)
{
	storage_plan_add(&service->plan, STORAGE_STEP_TOUCH, TOUCH_MS,
			 storage_folder(&service->plan, service->world, &service->conf), NULL);
}

static void make_plan(struct storage_service *service)
{
	struct storage_plan *plan = &service->plan;
	const struct engine_conf *conf = &service->conf;

	if (service->doing == STORAGE_DISCONNECT && service->driver) {
		storage_plan_add(plan, STORAGE_STEP_UNUSED, PROOF_MS, conf->vmid, conf->lockspace_name, NULL);
		service->driver->disconnect(service->world, conf, plan);
	}
	if (service->doing == STORAGE_CONNECT && service->reply.state != STORAGE_CONNECTED)
		service->driver->connect(service->world, conf, plan);
	if (service->doing == STORAGE_CONNECT ||
	    (service->doing == STORAGE_STATUS && service->reply.state == STORAGE_CONNECTED))
		plan_touch(service);
	if (plan->full)
		say(service, -E2BIG, "the plan to connect this storage is too long; give fewer portals");
}

/* The place for a child that has to be left behind, or NULL: so many hang. */
static pid_t *left_place(struct storage_service *service)
{
	pid_t *place = NULL;

	for (int i = 0; i < LEFT_MAX; i++) {
		if (service->left[i] > 0 && storage_step_gone(service->left[i]))
			service->left[i] = 0;
		if (service->left[i] == 0)
			place = &service->left[i];
	}
	return place;
}

/* A file system whose process in user space has ended works for nobody any more: it is taken away and
 * connected anew. As long as somebody has a file of it open that is refused, and the next request tries
 * again. */
static void begin_anew(struct storage_service *service)
{
	struct storage_plan *plan = &service->plan;

	memset(plan, 0, sizeof(*plan));
	service->step = 0;
	service->before[0] = '\0';
	service->driver->disconnect(service->world, &service->conf, plan);
	service->driver->connect(service->world, &service->conf, plan);
	plan_touch(service);
	step_start(service);
}

static void finish(struct storage_service *service)
{
	enum storage_request_kind doing = service->doing;
	struct storage_reply *reply = &service->reply;
	enum storage_state state = STORAGE_DISCONNECTED;
	char folder[PATH_MAX];

	if (service->driver && service->driver->state(service->world, &service->conf, &state) == 0)
		reply->state = state;
	if (reply->error == 0 && service->driver &&
	    (doing == STORAGE_CONNECT ? reply->state != STORAGE_CONNECTED
				      : doing == STORAGE_DISCONNECT && reply->state != STORAGE_DISCONNECTED))
		say(service, -EIO, "all was done, and yet the storage is %s connected%s",
		    doing == STORAGE_CONNECT ? "not" : "still", doing == STORAGE_CONNECT ? CHECK_SERVER : "");
	/* Made for a mount that did not come. Of what is mounted or holds anything this is refused, without a
	 * look at the storage. */
	if (doing == STORAGE_CONNECT && reply->error < 0 && service->driver &&
	    reply->state == STORAGE_DISCONNECTED) {
		snprintf(folder, sizeof(folder), "%s/%s", service->world->run, service->conf.sd_uuid);
		(void)rmdir(folder);
	}
	if (reply->error == 0 && service->plan.n_steps > 1)
		log_info("storage %s domain=%s driver=%s ms=%lld",
			 doing == STORAGE_CONNECT ? "connected" : "disconnected", service->conf.sd_uuid,
			 service->driver->name, (long long)(now_of(service) - service->begun));
	explicit_bzero(&service->plan, sizeof(service->plan)); /* it may have had a password */
	explicit_bzero(&service->conf, sizeof(service->conf));
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (service->clients[i].fd >= 0 && service->clients[i].kind == doing)
			client_answer(&service->clients[i], reply);
	service->doing = 0;
	serve_next(service);
}

static void step_over(struct storage_service *service, int error, const char *why);

static void step_ended(int fd, short revents, void *data)
{
	struct storage_service *service = data;
	char why[STORAGE_WHY_SIZE];
	int r;

	(void)revents;
	loop_clock(service->loop)->cancel(loop_clock(service->loop), &service->timer);
	loop_del_fd(service->loop, fd);
	r = storage_step_end(&service->child, why);
	step_over(service, r, why);
}

static void step_late(struct timer *timer)
{
	struct storage_service *service =
		(struct storage_service *)((char *)timer - offsetof(struct storage_service, timer));
	const struct storage_step *step = &service->plan.steps[service->step];
	char text[160], why[STORAGE_WHY_SIZE];

	loop_del_fd(service->loop, service->child.fd);
	storage_step_kill(&service->child, left_place(service));
	storage_step_describe(step, text, sizeof(text));
	snprintf(why, sizeof(why), "%s: no end in %lld s%s", text, (long long)step->ms / 1000,
		 step->kind == STORAGE_STEP_AWAIT ? "; hosted-engine --discover-storage shows what is there"
						  : "");
	log_warning("%s; it is killed", why);
	step_over(service, -ETIMEDOUT, why);
}

static void step_start(struct storage_service *service)
{
	struct clock_port *clock = loop_clock(service->loop);
	const struct storage_step *step = &service->plan.steps[service->step];
	int r;

	if (service->step == service->plan.n_steps) {
		finish(service);
		return;
	}
	if (!left_place(service)) {
		say(service, -ETIMEDOUT,
		    "%d processes hang in the kernel on this storage; heal it, or reboot this host",
		    LEFT_MAX);
		finish(service);
		return;
	}
	r = storage_step_start(service->world, step, &service->child);
	if (r == 0) {
		r = loop_add_fd(service->loop, service->child.fd, POLLIN, step_ended, service);
		if (r < 0)
			storage_step_kill(&service->child, left_place(service));
	}
	if (r < 0) {
		say(service, r, "no child process: %s", strerror(-r));
		finish(service);
		return;
	}
	clock->set(clock, &service->timer, mono_add(clock->now(clock), step->ms));
}

static void step_over(struct storage_service *service, int error, const char *why)
{
	const struct storage_step *step = &service->plan.steps[service->step];
	char text[160];

	storage_step_describe(step, text, sizeof(text));
	log_debug("step \"%s\" error=%d%s%s", text, error, error < 0 ? " why=" : "", error < 0 ? why : "");
	if (error == -ENOTCONN && service->doing == STORAGE_CONNECT && service->plan.n_steps == 1) {
		begin_anew(service);
		return;
	}
	if (error < 0 && step->optional && !service->before[0])
		snprintf(service->before, sizeof(service->before), "%s", why);
	/* A disk that did not come is no reason; the login before it may have had one. */
	if (error < 0 && !step->optional && service->reply.error == 0)
		say(service, error, "%s%s%s%s", why, service->before[0] ? "; before that: " : "",
		    service->before, error == -ENOTCONN ? CHECK_SERVER : "");
	service->step++;
	/* What is taken away is taken away as far as it goes, once it is proven that nobody needs it. */
	if (service->reply.error < 0 &&
	    (service->doing != STORAGE_DISCONNECT || step->kind == STORAGE_STEP_UNUSED))
		finish(service);
	else
		step_start(service);
}

static void begin(struct storage_service *service, enum storage_request_kind kind)
{
	service->doing = kind;
	service->reply = (struct storage_reply){.version = STORAGE_VERSION, .kind = kind};
	service->driver = NULL;
	service->before[0] = '\0';
	service->step = 0;
	service->begun = now_of(service);
	memset(&service->plan, 0, sizeof(service->plan));
	if (conf_read(service) && find_driver(service))
		make_plan(service);
	if (service->reply.error < 0)
		finish(service);
	else
		step_start(service);
}

/* Of those that wait, in no order: few ever do. */
static void serve_next(struct storage_service *service)
{
	for (int i = 0; i < CLIENTS_MAX && service->doing == 0; i++)
		if (service->clients[i].fd >= 0 && service->clients[i].kind)
			begin(service, service->clients[i].kind);
}

static void tell_progress(struct client *client)
{
	const struct storage_service *service = client->service;
	struct storage_reply reply = {.version = STORAGE_VERSION,
				      .kind = STORAGE_STATUS,
				      .error = -EINPROGRESS,
				      .state = STORAGE_PARTIAL};
	char text[160];

	storage_step_describe(&service->plan.steps[service->step], text, sizeof(text));
	snprintf(reply.text, sizeof(reply.text), "%s for %lld s: %s",
		 service->doing == STORAGE_CONNECT ? "connecting" : "disconnecting",
		 (long long)(now_of(service) - service->begun) / 1000, text);
	client_answer(client, &reply);
}

static void request_take(int fd, short revents, void *data)
{
	struct client *client = data;
	struct storage_service *service = client->service;
	struct storage_reply refusal = {.version = STORAGE_VERSION, .error = -EPROTO};
	struct storage_request request;
	struct ucred peer;
	ssize_t n = recv(fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);

	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_drop(client);
		return;
	}
	if (!seqpacket_allowed(fd, service->service_uid, &peer)) {
		log_warning("refused uid=%u pid=%d", peer.uid, peer.pid);
		refusal.error = -EPERM;
		client_answer(client, &refusal);
		client_drop(client);
		return;
	}
	if (n != sizeof(request) || request.version != STORAGE_VERSION || client->kind ||
	    request.kind < STORAGE_CONNECT || request.kind > STORAGE_STATUS) {
		client_answer(client, &refusal);
		client_drop(client);
		return;
	}
	client->kind = request.kind;
	if (request.kind == STORAGE_STATUS && service->doing != 0 && service->doing != STORAGE_STATUS)
		tell_progress(client);
	serve_next(service);
}

/* The socket is open to the service's group, for no other reason than that a refusal tells more than a socket
 * that is not to be had: half of the places are for those who may ask. */
static void client_take(int fd, short revents, void *data)
{
	struct storage_service *service = data;
	_cleanup_close_ int taken = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client = NULL;
	struct ucred peer;
	int places;

	(void)revents;
	if (taken < 0)
		return;
	places = seqpacket_allowed(taken, service->service_uid, &peer) ? CLIENTS_MAX : CLIENTS_MAX / 2;
	for (int i = 0; i < places && !client; i++)
		if (service->clients[CLIENTS_MAX - 1 - i].fd < 0)
			client = &service->clients[CLIENTS_MAX - 1 - i];
	if (!client || loop_add_fd(service->loop, taken, POLLIN, request_take, client) < 0)
		return;
	client->fd = TAKE_FD(taken);
	client->kind = 0;
}

int storage_service_new(struct loop *loop, int listener, const char *conf_path,
			const struct storage_driver *const *drivers, const struct storage_world *world,
			struct storage_service **ret)
{
	struct storage_service *service = calloc(1, sizeof(*service));
	struct service_account account;
	int r;

	assert(loop && listener >= 0 && conf_path && drivers && world && ret);
	if (!service)
		return -ENOMEM;
	service->loop = loop;
	service->listener = listener;
	service->conf_path = conf_path;
	service->drivers = drivers;
	service->world = world;
	service->timer.fire = step_late;
	service_account_find(&account);
	service->service_uid = account.has_user ? account.uid : 0;
	for (int i = 0; i < CLIENTS_MAX; i++)
		service->clients[i] = (struct client){.service = service, .fd = -1};
	r = loop_add_fd(loop, listener, POLLIN, client_take, service);
	if (r < 0) {
		free(service);
		return r;
	}
	*ret = service;
	return 0;
}

void storage_service_free(struct storage_service *service)
{
	if (!service)
		return;
	loop_clock(service->loop)->cancel(loop_clock(service->loop), &service->timer);
	if (service->child.pid > 0) {
		loop_del_fd(service->loop, service->child.fd);
		close(service->child.fd);
	}
	for (int i = 0; i < CLIENTS_MAX; i++)
		client_drop(&service->clients[i]);
	loop_del_fd(service->loop, service->listener);
	close(service->listener);
	explicit_bzero(&service->conf, sizeof(service->conf));
	free(service);
}
