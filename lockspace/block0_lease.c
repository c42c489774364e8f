/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parent of ovirt-ha-whiteboard-lease, for whichever lease behind the engine's: starts it, hears `held`
 * on its stdout, lets it go by closing its stdin, and starts it again while the lease is somebody else's and
 * there is time. It never waits: a child that has to end is killed and reaped when its pidfd says so. Called
 * by the broker, and by who writes the conf volume, through its port. */
#include "lockspace/block0_port.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/loop.h"

#define AGAIN_MS 500 /* right after another's release sanlock may still refuse for a second */
#define RELEASE_MS                                                                                           \
	5000 /* for a child whose stdin was closed: then it is killed, which frees the lease too             \
	      */

extern char **environ;

enum step {
	STEP_IDLE,
	STEP_TAKING, /* a child runs and has said nothing, or the next is about to be started */
	STEP_HELD,
	STEP_RELEASING, /* stdin is closed, the child's end is to come */
};

struct block0_lease {
	struct block0_port port; /* first */
	struct loop *loop;
	struct block0_config config;
	enum step step;
	bool wanted; /* taken while the child before is still releasing */
	struct timer timer;
	mono_t give_up; /* of STEP_TAKING */
	bool said; /* the first child of a take has said on stderr what is wrong, the next would say the same
		    */
	pid_t pid; /* 0: no child */
	int pidfd, in, out;
	void (*taken)(void *data, int error);
	void *data;
};

static struct block0_lease *of_timer(struct timer *timer)
{
	return (struct block0_lease *)((char *)timer - offsetof(struct block0_lease, timer));
}

static void fd_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void out_drop(struct block0_lease *lease)
{
	if (lease->out >= 0)
		loop_del_fd(lease->loop, lease->out);
	fd_drop(&lease->out);
}

static int child_spawn(struct block0_lease *lease, int in, int out)
{
	const char *program = lease->config.program ? lease->config.program : WHITEBOARD_LEASE_PROGRAM;
	char offset[24], behind[16], seconds[16];
	char *argv[] = {(char *)"ovirt-ha-whiteboard-lease",
			lease->config.lockspace,
			lease->config.name,
			lease->config.engine_place.path,
			offset,
			behind,
			seconds,
			NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, usual;
	int r;

	snprintf(offset, sizeof(offset), "%llu", (unsigned long long)lease->config.engine_place.offset);
	snprintf(behind, sizeof(behind), "%u", lease->config.behind);
	snprintf(seconds, sizeof(seconds), "%d", BLOCK0_HOLD_S);
	sigemptyset(&none);
	sigfillset(&usual);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &usual);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (lease->said || lease->config.quiet)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	lease->said = true;
	r = posix_spawn(&lease->pid, program, &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (r != 0)
		lease->pid = 0;
	return -r;
}

static void heard(int fd, short revents, void *data);
static void ended(int fd, short revents, void *data);

static int child_start(struct block0_lease *lease)
{
	_cleanup_close_ int in = -1, out = -1;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	lease->in = fds[1];
	r = pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;
	if (r == 0) {
		lease->out = fds[0];
		out = fds[1];
		r = child_spawn(lease, in, out);
	}
	if (r == 0) {
		lease->pidfd = (int)syscall(SYS_pidfd_open, lease->pid, 0);
		r = lease->pidfd < 0 ? -errno : loop_add_fd(lease->loop, lease->pidfd, POLLIN, ended, lease);
		if (r < 0) {
			kill(lease->pid, SIGKILL);
			waitpid(lease->pid, NULL, 0);
			lease->pid = 0;
			fd_drop(&lease->pidfd);
		}
	}
	if (r < 0) {
		fd_drop(&lease->in);
		fd_drop(&lease->out);
		return r;
	}
	r = loop_add_fd(lease->loop, lease->out, POLLIN, heard, lease);
	if (r < 0) {
		fd_drop(&lease->out);
		kill(lease->pid, SIGKILL); /* ended() follows */
	}
	return 0;
}

static void timer_set(struct block0_lease *lease, int64_t ms)
{
	struct clock_port *clock = loop_clock(lease->loop);

	clock->set(clock, &lease->timer, mono_add(clock->now(clock), ms));
}

static void taken(struct block0_lease *lease, int error)
{
	struct clock_port *clock = loop_clock(lease->loop);

	clock->cancel(clock, &lease->timer);
	lease->taken(lease->data, error);
}

static void heard(int fd, short revents, void *data)
{
	struct block0_lease *lease = data;
	char text[16];
	ssize_t n = read(fd, text, sizeof(text));

	(void)revents;
	if (n <= 0) {
		out_drop(lease); /* ended() follows */
		return;
	}
	if (lease->step != STEP_TAKING || n < 5 || memcmp(text, "held\n", 5) != 0)
		return;
	lease->step = STEP_HELD;
	taken(lease, 0);
}

/* Starts the next child, or says that the time is over. */
static void try(struct block0_lease *lease)
{
	struct clock_port *clock = loop_clock(lease->loop);
	int r = child_start(lease);

	if (r < 0) {
		lease->step = STEP_IDLE;
		taken(lease, r);
		return;
	}
	clock->set(clock, &lease->timer, lease->give_up);
}

static void ended(int fd, short revents, void *data)
{
	struct block0_lease *lease = data;
	struct clock_port *clock = loop_clock(lease->loop);
	enum step step = lease->step;

	(void)revents;
	waitpid(lease->pid, NULL, WNOHANG);
	lease->pid = 0;
	loop_del_fd(lease->loop, fd);
	fd_drop(&lease->pidfd);
	fd_drop(&lease->in);
	out_drop(lease);
	if (step == STEP_TAKING || lease->wanted) {
		/* Somebody else's, or still: again, until the time is over. */
		lease->step = STEP_TAKING;
		lease->wanted = false;
		if (mono_add(clock->now(clock), AGAIN_MS) < lease->give_up) {
			timer_set(lease, AGAIN_MS);
		} else {
			lease->step = STEP_IDLE;
			taken(lease, -EBUSY);
		}
		return;
	}
	clock->cancel(clock, &lease->timer);
	lease->step = STEP_IDLE;
	if (step == STEP_HELD)
		log_warning("lease %s lost while it was held", lease->config.name);
}

static void timer_fired(struct timer *timer)
{
	struct block0_lease *lease = of_timer(timer);
	struct clock_port *clock = loop_clock(lease->loop);
	bool late = lease->wanted || lease->step == STEP_TAKING;

	late &= clock->now(clock) >= lease->give_up;
	if (!late && lease->step == STEP_TAKING && !lease->pid) {
		try(lease);
		return;
	}
	if (lease->pid)
		kill(lease->pid, SIGKILL);
	if (late) {
		lease->wanted = false;
		lease->step = lease->pid ? STEP_RELEASING : STEP_IDLE;
		taken(lease, -ETIMEDOUT);
	}
}

static int port_take(struct block0_port *port, void (*done)(void *data, int error), void *data)
{
	struct block0_lease *lease = (struct block0_lease *)port;
	struct clock_port *clock = loop_clock(lease->loop);
	int r;

	if (lease->wanted || lease->step == STEP_TAKING || lease->step == STEP_HELD)
		return -EBUSY;
	lease->give_up = mono_add(clock->now(clock), BLOCK0_TAKE_MS);
	lease->said = false;
	lease->taken = done;
	lease->data = data;
	if (lease->step == STEP_RELEASING) {
		lease->wanted = true; /* when the one before is gone */
		return 0;
	}
	r = child_start(lease);
	if (r < 0)
		return r;
	lease->step = STEP_TAKING;
	clock->set(clock, &lease->timer, lease->give_up);
	return 0;
}

static bool port_held(struct block0_port *port)
{
	return ((struct block0_lease *)port)->step == STEP_HELD;
}

static void port_release(struct block0_port *port)
{
	struct block0_lease *lease = (struct block0_lease *)port;
	struct clock_port *clock = loop_clock(lease->loop);

	lease->wanted = false;
	if (lease->step == STEP_TAKING && lease->pid)
		kill(lease->pid, SIGKILL);
	if (lease->step == STEP_TAKING || lease->step == STEP_HELD) {
		fd_drop(&lease->in);
		lease->step = lease->pid ? STEP_RELEASING : STEP_IDLE;
		if (lease->pid)
			timer_set(lease, RELEASE_MS);
		else
			clock->cancel(clock, &lease->timer);
	}
}

static void port_close(struct block0_port *port)
{
	struct block0_lease *lease = (struct block0_lease *)port;
	struct clock_port *clock = loop_clock(lease->loop);

	clock->cancel(clock, &lease->timer);
	out_drop(lease);
	fd_drop(&lease->in);
	if (lease->pid) {
		/* It waits on sockets only, so SIGKILL ends it at once. */
		loop_del_fd(lease->loop, lease->pidfd);
		kill(lease->pid, SIGKILL);
		waitpid(lease->pid, NULL, 0);
	}
	fd_drop(&lease->pidfd);
	free(lease);
}

int block0_lease_new(const struct block0_config *config, struct loop *loop, struct block0_port **ret)
{
	struct block0_lease *lease;

	assert(config && loop && ret);
	lease = calloc(1, sizeof(*lease));
	if (!lease)
		return -ENOMEM;
	lease->port = (struct block0_port){
		.take = port_take, .held = port_held, .release = port_release, .close = port_close};
	lease->loop = loop;
	lease->config = *config;
	lease->timer.fire = timer_fired;
	lease->pidfd = lease->in = lease->out = -1;
	*ret = &lease->port;
	return 0;
}
