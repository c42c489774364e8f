/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a loop for one question to sanlock or the whiteboard, and watches host ids. Decides when this host
 * counts as out of the lockspace: when that is known, not when nobody answers. Called by the commands that
 * repair. */
#include "tools/host_outside.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker_client.h"
#include "lockspace/lease_port.h"
#include "tools/error_advice.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/loop.h"

#define ASK_MS 10000
#define LOOK_MS 1000

CLEANUP_DEFINE(struct loop *, loop_free)
CLEANUP_DEFINE(struct broker_client *, broker_client_close)

struct question {
	struct store_op op; /* first */
	struct loop *loop;
	enum membership membership;
	int error;
};

static int say_error(int error, const char *what)
{
	fprintf(stderr, "%s: %s%s\n", what, strerror(-error), error_advice(error));
	return error;
}

static int say(int error, const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	return error;
}

static void looked(void *data, const struct lease_look *look)
{
	struct question *question = data;

	question->error = look->error;
	question->membership = look->membership;
	loop_stop(question->loop);
}

static int look(const struct engine_conf *conf, struct question *question)
{
	_cleanup_(loop_free_p) struct loop *loop = NULL;
	struct lease_config config = {.host_id = conf->host_id, .io_timeout_s = conf->io_timeout_s};
	struct lease_port *port = NULL;
	int r = loop_new(&loop);

	memcpy(config.lockspace, conf->lockspace_name, sizeof(config.lockspace));
	snprintf(config.lockspace_place.path, sizeof(config.lockspace_place.path), "%s",
		 conf->lockspace.path);
	config.lockspace_place.offset = conf->lockspace.offset;
	question->loop = loop;
	if (r == 0)
		r = lease_sanlock_new(&config, loop, &port);
	if (r < 0)
		return r;
	r = port->look(port, 0, mono_add(clock_mono(), ASK_MS), looked, question);
	if (r == 0)
		r = loop_run(loop);
	port->close(port);
	return r < 0 ? r : question->error;
}

int host_outside_check(const struct engine_conf *conf)
{
	static const char stop[] =
		"stop ovirt-ha-agent and ovirt-ha-broker (systemctl stop) on every host first";
	_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
	struct question question = {.membership = MEMBERSHIP_UNKNOWN};
	int r = broker_client_open(ASK_MS, &client);

	if (r != -ENOTCONN)
		return say(-EBUSY, "ovirt-ha-broker runs on this host", stop);
	r = look(conf, &question);
	/* Without a daemon nothing is joined; QEMU is looked for apart. */
	if (r == -ECONNREFUSED || (r == 0 && question.membership == MEMBERSHIP_NONE))
		return 0;
	if (r == 0 || r == -EXDEV)
		return say(-EBUSY, "this host is in the lockspace", stop);
	return say(r, "sanlock does not tell whether this host is in the lockspace", strerror(-r));
}

static void transferred(struct store_op *op, int error)
{
	struct question *question = (struct question *)op;

	question->error = error;
	loop_stop(question->loop);
}

/* `data`: what is written; NULL: it is read. */
static int transfer(const struct engine_conf *conf, uint32_t block, const uint8_t *data, uint8_t *ret)
{
	const struct store_access access = {
		.user = conf->user, .password = conf->password, .host_name = "hosted-engine"};
	_cleanup_(loop_free_p) struct loop *loop = NULL;
	struct question question = {.op = {.done = transferred, .deadline = mono_add(clock_mono(), ASK_MS)}};
	char spec[sizeof(conf->metadata.path) + 32], what[256];
	struct store *store = NULL;
	int r = place_format(&conf->metadata, spec, sizeof(spec));

	if (r == 0)
		r = loop_new(&loop);
	if (r == 0)
		r = store_open(spec, &access, loop, &store, what, sizeof(what));
	if (r < 0)
		return r;
	question.loop = loop;
	r = data ? store->write(store, STORE_QUEUE_GLOBAL, block, data, &question.op)
		 : store->read(store, STORE_QUEUE_GLOBAL, block, 1, ret, &question.op);
	if (r == 0)
		r = loop_run(loop);
	store->close(store);
	return r < 0 ? r : question.error;
}

int whiteboard_read(const struct engine_conf *conf, uint32_t block, uint8_t ret[BLOCK_SIZE])
{
	int r = transfer(conf, block, NULL, ret);

	return r < 0 ? say_error(r, "the whiteboard cannot be read") : 0;
}

int whiteboard_write(const struct engine_conf *conf, uint32_t block, const uint8_t data[BLOCK_SIZE])
{
	uint8_t back[BLOCK_SIZE];
	int r = transfer(conf, block, data, NULL);

	if (r == 0)
		r = transfer(conf, block, NULL, back);
	if (r == 0 && memcmp(back, data, BLOCK_SIZE) != 0)
		return say(-EIO, "the whiteboard was not changed",
			   "another host writes this block; see which has its "
			   "host id");
	return r < 0 ? say_error(r, "the whiteboard cannot be written") : 0;
}

void host_ids_request(const struct engine_conf *conf, uint16_t only, struct watch_request *ret)
{
	*ret = (struct watch_request){
		.lockspace_path = conf->lockspace.path,
		.lockspace_offset = conf->lockspace.offset,
		.lease_path = conf->lease.path,
		.lease_offset = conf->lease.offset,
		.lockspace = conf->lockspace_name,
		.timing = {.io_timeout_s = conf->io_timeout_s, .watchdog_fire_s = conf->watchdog_fire_s},
		.only = only,
	};
}

int host_ids_watch(const struct engine_conf *conf, uint16_t only, struct lockspace_watch **ret)
{
	struct lockspace_watch *watch;
	struct watch_request request;
	char why[WATCH_WHY_SIZE];
	int r;

	host_ids_request(conf, only, &request);
	r = lockspace_watch_new(&request, &watch, why);
	if (r < 0)
		return say(r, "the host ids cannot be watched", why);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "Watching for %lld s whether host ids are in use ...\n",
			(long long)lockspace_watch_ms(watch) / 1000);
	while ((r = lockspace_watch_look(watch, clock_mono(), why)) == 0)
		poll(NULL, 0, LOOK_MS);
	if (r < 0) {
		lockspace_watch_free(watch);
		return say(r, "refused", why);
	}
	*ret = watch;
	return 0;
}
