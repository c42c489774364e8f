/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guard's loop. It hears of sanlock (answers, the end of its connection, the end of its
 * process), of clients (kill, reset) and of the clock, lets guard_rule.c judge, and kills. Storage is never
 * touched and nothing here blocks: sanlock is asked in a thread, and /proc is read in another, where a
 * process in state D may hold it; then the search goes on without that process. While all is well /proc is
 * not read at all: only a reason to kill makes it look for QEMU, so a healthy host pays one call to sanlock
 * every few seconds. Called by guard_main.c. */
#include "daemon/guard.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include <systemd/sd-daemon.h>

#include "daemon/guard_rule.h"
#include "daemon/guard_state.h"
#include "daemon/guard_watch.h"
#include "lockspace/guard_protocol.h"
#include "lockspace/qemu_pid.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/engine_conf.h"
#include "util/log.h"
#include "util/seqpacket.h"
#include "util/service_account.h"
#include "util/worker.h"

#define TICK_MS 1000
#define AGAIN_MS 100	    /* to ask again after QEMU was seen without a lockspace, and to kill again */
#define LATE_MS 300	    /* a wake-up this late: we were held up ourselves, an answer may be on its way */
#define HELD_UP_MS 500	    /* then it has this long to come, */
#define HELD_UP_MAX_MS 1000 /* but never until later than this after the deadline */
#define CLOCKS_APART_MS 100
#define QUESTION_MAX_MS 10000 /* a question is left to hang: three can, then only the deadline counts */
#define REFUSED_MS 10000      /* between two lines in the log about strangers */
#define PET_MS 5000	      /* half of the unit's WatchdogSec=10, and no less than the longest wait */

void guard_fd_set(struct guard *guard, int slot, int fd, short events)
{
	if (guard->fds[slot].fd >= 0)
		close(guard->fds[slot].fd);
	guard->fds[slot] = (struct pollfd){.fd = fd, .events = events};
}

static void watch_reset(struct guard *guard, mono_t now)
{
	guard->facts = (struct guard_facts){.qemu_seen = MONO_UNSET,
					    .renewed = MONO_UNSET,
					    .since = now,
					    .asked = now,
					    .io_timeout_s = guard->conf.io_timeout_s};
	guard->watchdog_asked = false;
	guard->tick = now;
}

/* 0 or -EINVAL: nothing in it tells what to watch. */
static int conf_read(struct guard *guard, mono_t now)
{
	struct problems problems = {.say = problems_log};
	struct engine_conf conf;
	struct stat st;
	bool deployed;
	int r;

	if (stat(guard->conf_path, &st) < 0)
		memset(&st, 0, sizeof(st));
	if (memcmp(&st.st_mtim, &guard->conf_changed, sizeof(st.st_mtim)) == 0)
		return 0;
	guard->conf_changed = st.st_mtim;
	r = engine_conf_load(guard->conf_path, &conf, &problems);
	deployed = engine_conf_deployed(&conf) && conf.host_id; /* true of a file with another fault, too */
	/* A file that went bad or away under a running VM must not take its guard away. */
	if (guard->deployed && (r < 0 || !deployed)) {
		log_warning("%s names no engine VM that can be watched: the one known stays, until this "
			    "guard is restarted",
			    guard->conf_path);
		return 0;
	}
	guard->conf = conf;
	guard->deployed = deployed;
	watch_reset(guard, now);
	if (guard->deployed)
		log_info("watching vm=%s lockspace=%s host_id=%u io_timeout=%u require_watchdog=%s",
			 conf.vmid, conf.lockspace_name, conf.host_id, conf.io_timeout_s,
			 conf.require_watchdog ? "yes" : "no");
	else
		log_info("not deployed, waiting for %s", guard->conf_path);
	return r < 0 && r != -ENOENT && !guard->deployed ? -EINVAL : 0;
}

static void reply(struct guard *guard, int i, uint32_t kind, int error, int alive)
{
	struct guard_reply message = {.version = GUARD_VERSION, .kind = kind, .error = error, .alive = alive};

	/* A client that doesn't read has itself to blame. */
	(void)send(guard->fds[SLOT_CLIENTS + i].fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (kind == GUARD_END_STORAGE)
		guard->clients[i].waits_storage = false;
	else
		guard->clients[i].waits = false;
}

void guard_reply_storage(struct guard *guard, int error)
{
	for (int i = 0; i < GUARD_CLIENTS_MAX; i++)
		if (guard->clients[i].waits_storage)
			reply(guard, i, GUARD_END_STORAGE, error == -ETIMEDOUT ? 0 : error,
			      error == -ETIMEDOUT);
}

void guard_reply_all(struct guard *guard, int error, int alive)
{
	for (int i = 0; i < GUARD_CLIENTS_MAX; i++)
		if (guard->clients[i].waits)
			reply(guard, i, GUARD_KILL, error, alive);
}

/* Is one there that should not be? */
void guard_sighted(struct guard *guard, int count, mono_t now)
{
	if (count == 0) {
		guard->facts.qemu_seen = MONO_UNSET;
	} else if (count > 0 && guard->facts.qemu_seen == MONO_UNSET &&
		   (guard->facts.word == WORD_GONE || guard->facts.word == WORD_OUT)) {
		guard->facts.qemu_seen = now;
		guard->tick = now + AGAIN_MS; /* a younger answer is needed */
	}
}

void guard_decide(struct guard *guard, mono_t now)
{
	enum guard_reason reason;

	if (!guard->deployed)
		return;
	reason = guard_judge(&guard->facts, now);
	guard->facts.slept_ms = 0;
	if (reason == GUARD_SUSPENDED)
		guard->owed = now;
	if (reason != GUARD_FINE)
		hunt_begin(guard, guard_reason_str(reason), now);
}

/* Looks for QEMU when it should not be there, and judges by what is found. */
static void look_and_judge(struct guard *guard, mono_t now)
{
	if (guard->deployed && guard->facts.slept_ms <= 0 &&
	    (guard->facts.word == WORD_GONE || guard->facts.word == WORD_OUT)) {
		hunt_look(guard, now);
	} else {
		guard_decide(guard, now);
	}
}

static void word_take(struct guard *guard, enum guard_word word, mono_t asked, mono_t now)
{
	mono_t next;

	if (word != guard->facts.word) {
		log_info("sanlock %s -> %s", guard_word_str(guard->facts.word), guard_word_str(word));
		guard->facts.since = now;
		/* What was known before a join says nothing after it; else it is kept for the log. */
		if (word == WORD_JOINED)
			guard->facts.renewed = MONO_UNSET;
		/* Nor does a suspend: before the join it was proven that no QEMU lives (rule 4). */
		if (word == WORD_JOINED && guard->facts.word != WORD_SILENT)
			guard->owed = MONO_NEVER;
	}
	guard->facts.word = word;
	guard->facts.asked = asked;
	if (word != WORD_GONE && word != WORD_OUT)
		guard->facts.qemu_seen = MONO_UNSET;
	/* Sooner than it was thought to be. */
	next = now + guard_ask_gap(&guard->facts, now);
	guard->tick = next < guard->tick ? next : guard->tick;
}

static void connection_take(struct guard *guard, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	guard_fd_set(guard, SLOT_CONNECTION, fd, POLLIN | POLLRDHUP);
	/* The kernel names the process that listens, whoever forked it. The pid can't have been used again
	 * while its own connection is open; if that has closed meanwhile, the loop sees it. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
		guard_fd_set(guard, SLOT_SANLOCK, (int)syscall(SYS_pidfd_open, peer.pid, 0), POLLIN);
	log_info("connected to sanlock pid=%d", peer.pid);
}

static void answered(struct job *job)
{
	struct guard_question *q = (struct guard_question *)job;
	struct guard *guard = q->asker;
	mono_t now = clock_mono();

	guard->question_ends = MONO_NEVER;
	/* Asked before the daemon ended, or before the configuration changed: its words mean nothing now. */
	if (q->asked < guard->facts.asked) {
		job->destroy(job);
		return;
	}
	if (q->connection >= 0)
		connection_take(guard, TAKE_FD(q->connection));
	if (q->word != WORD_SILENT)
		word_take(guard, q->word, q->asked, now);
	else
		log_debug("sanlock gave no answer error=%d", q->error);
	/* Late answers are older than what is known. */
	if (q->word == WORD_JOINED && q->renewed != MONO_UNSET && q->renewed > guard->facts.renewed)
		guard->facts.renewed = q->renewed;
	if (q->renewed_io_timeout_s)
		guard->facts.io_timeout_s = q->renewed_io_timeout_s;
	if (q->use_watchdog >= 0) {
		guard->watchdog_asked = true;
		guard->facts.watchdog = guard->conf.require_watchdog && q->use_watchdog;
	}
	job->destroy(job);
	look_and_judge(guard, now);
}

/* What was known before a join says nothing after it. */
static mono_t known_renewal(const struct guard_facts *facts)
{
	return facts->word == WORD_JOINED ? facts->renewed : MONO_UNSET;
}

/* In the rule's rhythm, and at the moment when what is known becomes doubtful, so that the answer has all the
 * time that is left. */
static mono_t next_question(const struct guard *guard, mono_t now)
{
	mono_t doubtful = guard_doubtful_from(known_renewal(&guard->facts), guard->facts.io_timeout_s);
	mono_t tick = now + guard_ask_gap(&guard->facts, now);

	return !guard->facts.watchdog && doubtful > now && doubtful < tick ? doubtful : tick;
}

static void ask(struct guard *guard, mono_t now)
{
	struct guard_question *q;

	if (now >= guard->question_ends) {
		log_warning("sanlock does not answer for %d s, left waiting", QUESTION_MAX_MS / 1000);
		worker_give_up(guard->worker);
		guard->question_ends = MONO_NEVER;
	}
	if (now < guard->tick)
		return;
	guard->tick = next_question(guard, now);
	if (!guard->deployed || worker_busy(guard->worker))
		return;
	q = guard_question_new();
	if (!q)
		return;
	q->job.done = answered;
	q->asker = guard;
	memcpy(q->lockspace, guard->conf.lockspace_name, sizeof(q->lockspace));
	q->host_id = guard->conf.host_id;
	q->io_timeout_s = guard->conf.io_timeout_s;
	q->connect = guard->fds[SLOT_CONNECTION].fd < 0;
	q->ask_watchdog = !guard->watchdog_asked;
	q->joined = guard->facts.word == WORD_JOINED;
	q->known = guard->facts.watchdog ? MONO_NEVER : known_renewal(&guard->facts);
	q->asked = now;
	if (worker_start(guard->worker, &q->job) < 0)
		q->job.destroy(&q->job); /* too many hang: silence, on which the deadline stands */
	else
		guard->question_ends = now + QUESTION_MAX_MS;
}

/* The daemon's end is certain: QEMU has no lease from now on, whatever a new daemon may say (rule 4). */
static void sanlock_ended(struct guard *guard, mono_t now)
{
	log_warning("sanlock ended");
	guard_fd_set(guard, SLOT_CONNECTION, -1, 0);
	guard_fd_set(guard, SLOT_SANLOCK, -1, 0);
	guard->watchdog_asked = false;
	guard->facts.watchdog = false;
	word_take(guard, WORD_GONE, now, now);
	if (guard->deployed)
		hunt_begin(guard, guard_reason_str(GUARD_SANLOCK_GONE), now);
}

/* The socket is open to the service's group, for no other reason than that a refusal tells more than a socket
 * that is not to be had. A stranger gets its answer and no more of the guard's time and log. */
static void refuse(struct guard *guard, int i, const struct ucred *peer, mono_t now)
{
	guard->refused++;
	if (guard->refused_told == MONO_UNSET || mono_passed(guard->refused_told, REFUSED_MS, now)) {
		log_warning("refused uid=%u pid=%d times=%u", peer->uid, peer->pid, guard->refused);
		guard->refused_told = now;
		guard->refused = 0;
	}
	reply(guard, i, 0, -EPERM, 0);
	guard_fd_set(guard, SLOT_CLIENTS + i, -1, 0);
}

/* A client waits for its answer, or has given its request up. */
static bool has_gone(int fd)
{
	struct pollfd peer = {.fd = fd, .events = POLLRDHUP};

	return poll(&peer, 1, 0) > 0;
}

static void request_take(struct guard *guard, int i, mono_t now)
{
	int fd = guard->fds[SLOT_CLIENTS + i].fd, slot = SLOT_CLIENTS + i;
	struct guard_request request;
	struct ucred peer;
	int r;
	ssize_t n = recv(fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		guard->clients[i].waits = guard->clients[i].waits_storage = false;
		guard_fd_set(guard, slot, -1, 0);
		return;
	}
	if (!seqpacket_allowed(fd, guard->service_uid, &peer)) {
		refuse(guard, i, &peer, now);
		return;
	}
	/* While we stood still: another VM may run by now, with its lease. Who still wants it asks again. */
	if (has_gone(fd)) {
		log_info("dropped the request of a client that has gone uid=%u pid=%d", peer.uid, peer.pid);
		guard->clients[i].waits = false;
		guard_fd_set(guard, slot, -1, 0);
		return;
	}
	guard->clients[i].heard = now;
	if (n != sizeof(request) || request.version != GUARD_VERSION ||
	    !memchr(request.why, '\0', sizeof(request.why))) {
		reply(guard, i, 0, -EPROTO, 0);
		return;
	}
	switch (request.kind) {
	case GUARD_KILL:
		log_info("asked to kill uid=%u pid=%d why=%s", peer.uid, peer.pid, request.why);
		if (!guard->deployed) {
			reply(guard, i, GUARD_KILL, -ENODATA, 0);
			return;
		}
		guard->clients[i].waits = true;
		hunt_asked(guard, now);
		break;
	case GUARD_END_STORAGE:
		log_info("asked to end the storage daemon uid=%u pid=%d why=%s", peer.uid, peer.pid,
			 request.why);
		r = storage_end_begin(guard, now);
		guard->clients[i].waits_storage = r == 0;
		if (r < 0)
			reply(guard, i, GUARD_END_STORAGE, r, 0);
		break;
	case GUARD_RESET:
		log_info("asked to reset uid=%u pid=%d", peer.uid, peer.pid);
		reply(guard, i, GUARD_RESET, hunt_reset(request.why), 0);
		break;
	default:
		reply(guard, i, 0, -EPROTO, 0);
	}
}

/* Where a newcomer goes, -1: nowhere. Who is silent must not keep out who has to kill, so when all places are
 * taken the one of a stranger is given away, else that of who was silent longest: a client of ours asks as
 * soon as it has connected. A stranger pushes out none but strangers, and who waits for the end of a killing
 * keeps its place: all of them have asked for what the newcomer wants. */
static int client_place(const struct guard *guard, bool stranger)
{
	int best = -1;

	for (int i = 0; i < GUARD_CLIENTS_MAX; i++) {
		const struct client *client = &guard->clients[i];

		if (guard->fds[SLOT_CLIENTS + i].fd < 0)
			return i;
		if (client->waits || client->waits_storage || (stranger && !client->stranger))
			continue;
		if (best < 0 || client->stranger > guard->clients[best].stranger ||
		    (client->stranger == guard->clients[best].stranger &&
		     client->heard < guard->clients[best].heard))
			best = i;
	}
	return best;
}

static void client_take(struct guard *guard, mono_t now)
{
	int fd = accept4(guard->fds[SLOT_LISTENER].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	bool stranger;
	int i;

	if (fd < 0)
		return;
	stranger = !seqpacket_allowed(fd, guard->service_uid, &peer);
	i = client_place(guard, stranger);
	if (i < 0) {
		close(fd);
		return;
	}
	guard_fd_set(guard, SLOT_CLIENTS + i, fd, POLLIN);
	guard->clients[i] = (struct client){.stranger = stranger, .heard = now};
}

/* A suspend wakes the loop when it is over, however long that would wait else: its poll counts by the clock
 * that stood still, this timer by the one that went on. */
static void resume_arm(struct guard *guard)
{
	const struct itimerspec when = {.it_value.tv_sec = GUARD_RESUME_MS / MONO_SECOND};

	(void)timerfd_settime(guard->fds[SLOT_RESUME].fd, 0, &when, NULL);
}

/* A suspended host neither renewed nor counted the time (the manual rules it out, this catches it). */
static void sleep_check(struct guard *guard)
{
	mono_t before = clock_mono();
	int64_t ahead = clock_boot() - before;

	guard->facts.slept_ms = 0;
	/* Held up between the two clocks, not suspended: it would kill a VM that is well. A real suspend
	 * shows at the next look too. */
	if (clock_mono() - before > CLOCKS_APART_MS)
		return;
	guard->facts.slept_ms = ahead - guard->boot_ahead_ms;
	guard->boot_ahead_ms = ahead;
}

/* Is the time over, and were we awake to hear otherwise? A host that stood still for seconds has sanlock's
 * answers still on their way, and killing on a deadline that both slept through would be for nothing. */
static bool deadline_over(const struct guard *guard, mono_t now)
{
	mono_t deadline = guard_deadline(&guard->facts);

	return now >= deadline && (now >= guard->held_up_until || now >= mono_add(deadline, HELD_UP_MAX_MS));
}

static void due(struct guard *guard)
{
	mono_t now = clock_mono();

	sleep_check(guard);
	resume_arm(guard);
	if (now >= guard->tick)
		(void)conf_read(guard, now); /* said by itself; there is nothing else to do about it */
	ask(guard, now);
	hunt_check(guard, now);
	/* The end of each look wakes this loop: once the deadline is over, not at each wake. */
	if (guard->facts.slept_ms > 0 ||
	    (deadline_over(guard, now) && now >= mono_add(guard->overdue_judged, TICK_MS / 2))) {
		guard->overdue_judged = now;
		look_and_judge(guard, now);
	}
}

static int next_ms(const struct guard *guard, mono_t now)
{
	mono_t at = guard->tick;
	/* After the deadline, and while a hunt waits for something, every tick looks again. */
	int64_t most = hunt_rests(guard) ? guard_ask_gap(&guard->facts, now) : TICK_MS;
	mono_t deadline = guard_deadline(&guard->facts);

	if (deadline > now && deadline < at)
		at = deadline;
	if (guard->held_up_until > now && guard->held_up_until < at)
		at = guard->held_up_until;
	if (hunt_wake(guard) < at)
		at = hunt_wake(guard);
	return at <= now ? 0 : (int)(at - now > most ? most : at - now);
}

/* Before a wait at whose end it would be late, not after one: no two are further apart than the longest wait.
 */
static void pet(struct guard *guard, mono_t now, mono_t wake)
{
	if (wake <= mono_add(guard->petted, PET_MS))
		return;
	guard->petted = now;
	sd_notify(0, "WATCHDOG=1");
}

int guard_run(struct guard *guard)
{
	sd_notify(0, "READY=1");
	for (;;) {
		mono_t now, wake;
		int ms;

		due(guard);
		now = clock_mono();
		ms = next_ms(guard, now);
		wake = now + ms;
		pet(guard, now, wake);
		if (poll(guard->fds, SLOT_COUNT, ms) < 0 && errno != EINTR)
			return -errno;
		now = clock_mono();
		if (now > wake + LATE_MS) {
			guard->held_up_until = now + HELD_UP_MS;
			guard->tick = now;
		}
		if (guard->fds[SLOT_CONNECTION].revents || guard->fds[SLOT_SANLOCK].revents)
			sanlock_ended(guard, now);
		if (guard->fds[SLOT_SIGNAL].revents)
			return 0;
		/* Before anything is judged: an answer that says what is known comes without a wake-up. */
		worker_dispatch(guard->worker);
		if (guard->fds[SLOT_SWEEPER].revents)
			worker_dispatch(guard->sweeper);
		if (guard->fds[SLOT_STORAGE].revents)
			worker_dispatch(guard->storage);
		for (int i = 0; i < GUARD_CLIENTS_MAX; i++)
			if (guard->fds[SLOT_CLIENTS + i].fd >= 0 && guard->fds[SLOT_CLIENTS + i].revents)
				request_take(guard, i, now);
		if (guard->fds[SLOT_LISTENER].revents)
			client_take(guard, now);
	}
}

void guard_free(struct guard *guard)
{
	if (!guard)
		return;
	guard->fds[SLOT_WORKER].fd = guard->fds[SLOT_SWEEPER].fd = guard->fds[SLOT_STORAGE].fd =
		-1; /* the workers' own */
	worker_free(guard->worker);
	worker_free(guard->sweeper);
	worker_free(guard->storage);
	for (size_t i = 0; i < guard->n_late; i++)
		guard->late[i]->job.destroy(&guard->late[i]->job);
	for (int i = 0; i < SLOT_COUNT; i++)
		guard_fd_set(guard, i, -1, 0);
	free(guard);
}

int guard_new(const char *conf_path, int listener, struct guard **ret)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	struct service_account account;
	sigset_t ending;
	int r;

	assert(conf_path && listener >= 0 && ret);
	if (!guard)
		return -ENOMEM;
	for (int i = 0; i < SLOT_COUNT; i++)
		guard->fds[i].fd = -1;
	guard->conf_path = conf_path;
	guard->conf_changed.tv_nsec = -1; /* no file's */
	service_account_find(&account);
	guard->service_uid = account.has_user ? account.uid : 0;
	guard->question_ends = MONO_NEVER;
	guard->petted = guard->refused_told = guard->overdue_judged = MONO_UNSET;
	guard->boot_ahead_ms = clock_boot() - clock_mono();
	guard_fd_set(guard, SLOT_LISTENER, listener, POLLIN);
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	guard_fd_set(guard, SLOT_SIGNAL, signalfd(-1, &ending, SFD_CLOEXEC), POLLIN);
	guard_fd_set(guard, SLOT_RESUME, timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC), POLLIN);
	guard->sweep_ends = guard->owed = MONO_NEVER;
	r = guard->fds[SLOT_SIGNAL].fd < 0 || guard->fds[SLOT_RESUME].fd < 0
		    ? -errno
		    : worker_new("sanlock", &guard->worker);
	if (r == 0)
		r = worker_new("proc", &guard->sweeper);
	if (r == 0)
		r = worker_new("storage", &guard->storage);
	if (r == 0)
		r = conf_read(guard, clock_mono());
	if (r < 0) {
		guard_free(guard);
		return r;
	}
	guard->fds[SLOT_WORKER] = (struct pollfd){.fd = worker_fd(guard->worker), .events = POLLIN};
	guard->fds[SLOT_SWEEPER] = (struct pollfd){.fd = worker_fd(guard->sweeper), .events = POLLIN};
	guard->fds[SLOT_STORAGE] = (struct pollfd){.fd = worker_fd(guard->storage), .events = POLLIN};
	hunt_resume(guard, clock_mono());
	*ret = guard;
	return 0;
}

size_t guard_wait_gone(int *pidfds, size_t n, mono_t deadline)
{
	struct pollfd fds[QEMU_PIDS_MAX];
	size_t left = n;
	mono_t now;

	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){.fd = pidfds[i], .events = POLLIN};
	while (left && (now = clock_mono()) < deadline) {
		poll(fds, (nfds_t)n, (int)(deadline - now));
		for (size_t i = 0; i < n; i++)
			if (fds[i].fd >= 0 && fds[i].revents) {
				fds[i].fd = -1;
				left--;
			}
	}
	for (size_t i = 0; i < n; i++)
		close(pidfds[i]);
	return left;
}

int guard_prove_gone(const char *uuid, int timeout_ms)
{
	mono_t deadline = clock_mono() + timeout_ms;

	for (;;) {
		int killed[QEMU_PIDS_MAX], r;
		size_t n;

		r = qemu_kill(uuid, killed, &n);
		if (r < 0 || n == 0)
			return r;
		log_warning("killing QEMU reason=prove-gone vm=%s count=%zu", uuid, n);
		/* Until all are gone, then /proc is read again. */
		if (guard_wait_gone(killed, n, deadline))
			return -ETIMEDOUT;
	}
}
