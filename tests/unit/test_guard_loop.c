/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* That the guard's loop does what guard_rule.c says of a host that was suspended and of a QEMU that SIGKILL
 * does not end. The loop is real; clock, sanlock's answers, /proc and reboot(2) stand here: neither can be
 * had in a test. It runs in a child, since it ends by a signal only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/guard.h"
#include "daemon/guard_watch.h"
#include "lockspace/qemu_pid.h"
#include "util/clock.h"

#define SPEED 20 /* of the child's clock */
#define STEP_MS 5
#define PET_GAP_MS 5000 /* half of the unit's WatchdogSec= */
#define ASK_GAP_MS 1000 /* of a lockspace that is not joined */
#define HOLDER 1	/* a pid that is not QEMU's */

/* Shared with the child. */
struct stage {
	atomic_int word; /* sanlock's answer */
	atomic_llong slept_ms;
	atomic_llong late_ms; /* of waits that a busy machine made longer: the clock stood still */
	atomic_bool dies;     /* QEMU, when it is killed */
	atomic_int proc_error;
	atomic_bool held;     /* a process holds who reads it in a killing, */
	atomic_bool hidden;   /* and QEMU can't be read from then on */
	atomic_bool holds[2]; /* each look is held: by a stranger, by QEMU */
	atomic_int qemu;      /* its pid, 0 none */
	atomic_bool waits;    /* it is gone as soon as the storage daemon is */
	atomic_uint woken;    /* the loop, before its time */
	atomic_bool early;    /* something wakes it shortly before its time */
	atomic_bool suspend;  /* in its next long wait; then it is heard of in that wait, or missed: */
	atomic_uint heard, missed;
	/* Waits that it begins and that would end too late for systemd, for the next question. */
	atomic_uint unpetted, late_questions;
	atomic_uint pets, told_out;
	atomic_uint kills, resets, answers, failures, blind, left, not_left, storage_ends;
	/* systemd's: the survivor's name, and what was taken and given back. */
	char kept[64];
	atomic_uint keeps, drops;
};

static struct stage *stage;
static char dir[] = "/tmp/ovirt-ha-guard-XXXXXX";
static char conf_path[64];
static pid_t guard, qemu;

/* Real, and faster: the guard's threads are, and go by the machine. A clock that went on as soon as all wait
 * would pass the deadline of a thread that is only waiting for its turn on a CPU. */
static mono_t real_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (mono_t)ts.tv_sec * MONO_SECOND + ts.tv_nsec / 1000000;
}

static mono_t fast_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (mono_t)ts.tv_sec * MONO_SECOND * SPEED + ts.tv_nsec * SPEED / 1000000 -
	       atomic_load(&stage->late_ms);
}

static mono_t fast_boot_ms(void)
{
	return fast_ms() + atomic_load(&stage->slept_ms);
}

/* What the loop saw last of it: its waits are judged by that. */
static _Thread_local mono_t clock_seen;

mono_t clock_mono(void)
{
	return clock_seen = fast_ms();
}

mono_t clock_boot(void)
{
	return fast_boot_ms();
}

int64_t clock_wall(void)
{
	return 0;
}

/* The loop's timer, which goes by the clock that does not stand still in a suspend. */
static struct {
	int fd;
	mono_t at;
} resume;

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old)
{
	const struct itimerspec never = {0};

	resume.fd = fd;
	resume.at = fast_boot_ms() + when->it_value.tv_sec * MONO_SECOND;
	return (int)syscall(SYS_timerfd_settime, fd, flags, &never, old);
}

/* Moments of what the loop did, by its own clock. */
static struct {
	mono_t petted;
	mono_t told_out; /* that the lockspace is not joined, MONO_UNSET: it has asked since */
} did = {.told_out = MONO_UNSET};

static void judge_wait(int ms)
{
	mono_t ends = clock_seen + ms;

	atomic_fetch_add(&stage->unpetted, ends > did.petted + PET_GAP_MS);
	atomic_fetch_add(&stage->late_questions,
			 did.told_out != MONO_UNSET && ms > 0 && ends > did.told_out + ASK_GAP_MS);
}

/* The loop's waits go by the same clock. */
static int loop_poll(struct pollfd *fds, nfds_t n, int ms)
{
	const struct itimerspec now = {.it_value.tv_nsec = 1};
	bool suspended = false, rang = false;
	mono_t until = clock_seen;
	int r;

	for (;; ms -= STEP_MS) {
		if (ms >= 1000 / SPEED && atomic_exchange(&stage->suspend, false)) {
			atomic_fetch_add(&stage->slept_ms, 60000);
			suspended = true;
		}
		if (fast_boot_ms() >= resume.at)
			syscall(SYS_timerfd_settime, resume.fd, 0, &now, NULL);
		r = (int)syscall(SYS_poll, fds, n, ms < STEP_MS ? ms : STEP_MS);
		until += STEP_MS * SPEED;
		if (fast_ms() > until)
			atomic_fetch_add(&stage->late_ms, fast_ms() - until);
		if (r != 0 || ms <= STEP_MS)
			break;
	}
	for (nfds_t i = 0; r > 0 && i < n; i++)
		rang |= fds[i].revents && fds[i].fd == resume.fd;
	if (suspended)
		atomic_fetch_add(rang ? &stage->heard : &stage->missed, 1);
	return r;
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
	int r;

	if (n <= 1) /* a wait of ours */
		return (int)syscall(SYS_poll, fds, n, (ms + SPEED - 1) / SPEED);
	judge_wait(ms);
	if (ms > 1000 && atomic_load(&stage->early))
		ms -= 500;
	r = loop_poll(fds, n, (ms + SPEED - 1) / SPEED);
	/* The clock's timer aside, which a slow machine makes ring. */
	for (nfds_t i = 0; r > 0 && i < n; i++)
		atomic_fetch_add(&stage->woken, fds[i].revents && fds[i].fd != resume.fd);
	return r;
}

static void question_run(struct job *job)
{
	struct guard_question *q = (struct guard_question *)job;

	q->word = (enum guard_word)atomic_load(&stage->word);
	q->renewed = q->word == WORD_JOINED ? q->asked : MONO_UNSET;
	job->quiet = q->joined && q->word == WORD_JOINED;
	atomic_fetch_add(&stage->answers, 1);
}

/* By the loop, which has read the clock for it. */
static void question_destroy(struct job *job)
{
	if (((struct guard_question *)job)->word == WORD_OUT) {
		did.told_out = clock_seen;
		atomic_fetch_add(&stage->told_out, 1);
	}
	free(job);
}

struct guard_question *guard_question_new(void)
{
	struct guard_question *q = calloc(1, sizeof(*q));

	did.told_out = MONO_UNSET;
	q->job.run = question_run;
	q->job.destroy = question_destroy;
	q->renewed = MONO_UNSET;
	q->use_watchdog = -1;
	q->connection = -1;
	return q;
}

int guard_leave(const char *lockspace, uint16_t host_id)
{
	return 0;
}

/* True: it is to be passed over. */
static bool read_or_skip(struct qemu_walk *walk, pid_t pid, atomic_bool *holds)
{
	for (size_t i = 0; i < walk->n_skip; i++)
		if (walk->skip[i] == pid)
			return true;
	walk->reading = pid;
	while (atomic_load(holds))
		poll(NULL, 0, SPEED);
	return false;
}

int qemu_find_past(const char *uuid, struct qemu_walk *walk, struct qemu_pids *ret)
{
	int r = atomic_load(&stage->proc_error);

	atomic_fetch_add(&stage->failures, r < 0);
	if (r < 0)
		return r;
	*ret = (struct qemu_pids){.unread = read_or_skip(walk, HOLDER, &stage->holds[0])};
	if (atomic_load(&stage->hidden) || read_or_skip(walk, atomic_load(&stage->qemu), &stage->holds[1]))
		ret->unread++;
	else if (atomic_load(&stage->qemu) != 0)
		ret->pids[ret->n++] = atomic_load(&stage->qemu);
	atomic_fetch_add(&stage->blind, ret->unread == 2);
	return 0;
}

int qemu_kill_past(const char *uuid, struct qemu_walk *walk, int ret_fds[QEMU_PIDS_MAX], size_t *ret_n)
{
	pid_t pid = atomic_load(&stage->qemu);

	*ret_n = 0;
	if (strcmp(uuid, STORAGE_DAEMON_PID_FILE) == 0) {
		if (pid && atomic_load(&stage->waits)) {
			kill(pid, SIGKILL);
			atomic_store(&stage->qemu, 0);
		}
		atomic_fetch_add(&stage->storage_ends, 1);
		return 0;
	}
	if (atomic_load(&stage->hidden))
		return 0;
	atomic_fetch_add(&stage->kills, 1);
	if (atomic_load(&stage->held)) {
		walk->killed = (int)syscall(SYS_pidfd_open, pid, 0);
		atomic_store(&stage->hidden, true);
		walk->reading = HOLDER;
		while (atomic_load(&stage->held))
			poll(NULL, 0, SPEED);
		atomic_fetch_add(walk->left ? &stage->left : &stage->not_left, 1);
		return -ECANCELED;
	}
	*ret_n = pid != 0;
	if (pid)
		ret_fds[0] = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pid && atomic_load(&stage->dies)) {
		kill(pid, SIGKILL);
		atomic_store(&stage->qemu, 0);
	}
	return 0;
}

/* Of guard_prove_gone(), which no test here calls. */
int qemu_kill(const char *uuid, int ret_fds[QEMU_PIDS_MAX], size_t *ret_n)
{
	return -ENOSYS;
}

int reboot(int how)
{
	atomic_fetch_add(&stage->resets, how == RB_AUTOBOOT);
	errno = EPERM;
	return -1;
}

int sd_pid_notify_with_fds(pid_t pid, int unset, const char *text, const int *fds, unsigned n)
{
	static const char keep[] = "FDSTORE=1\nFDNAME=";

	if (n != 1 || strncmp(text, keep, strlen(keep)) != 0)
		return -EINVAL;
	snprintf(stage->kept, sizeof(stage->kept), "%s", text + strlen(keep));
	atomic_fetch_add(&stage->keeps, 1);
	return 1;
}

int sd_notify(int unset, const char *text)
{
	static const char drop[] = "FDSTOREREMOVE=1\nFDNAME=";

	if (strncmp(text, drop, strlen(drop)) == 0 && strcmp(text + strlen(drop), stage->kept) == 0)
		atomic_fetch_add(&stage->drops, 1);
	if (strcmp(text, "READY=1") == 0 || strcmp(text, "WATCHDOG=1") == 0) {
		did.petted = clock_seen;
		atomic_fetch_add(&stage->pets, 1);
	}
	return 1;
}

int sd_listen_fds_with_names(int unset, char ***ret_names)
{
	if (atomic_load(&stage->keeps) == 0)
		return 0;
	*ret_names = calloc(2, sizeof(**ret_names));
	**ret_names = strdup(stage->kept);
	return 1;
}

/* A process that waits, in the place of QEMU. */
static pid_t sleeper(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		pause();
		_exit(0);
	}
	return pid;
}

static void guard_start(void)
{
	sigset_t ending;
	struct guard *loop;
	int pair[2], fd;

	guard = fork();
	assert_true(guard >= 0);
	if (guard > 0)
		return;
	alarm(60);
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigprocmask(SIG_BLOCK, &ending, NULL);
	fd = atomic_load(&stage->keeps) ? (int)syscall(SYS_pidfd_open, qemu, 0) : -1;
	if (fd >= 0 && fd != SD_LISTEN_FDS_START)
		dup2(fd, SD_LISTEN_FDS_START);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 || guard_new(conf_path, pair[0], &loop) < 0)
		_exit(1);
	_exit(guard_run(loop) < 0);
}

/* Waits until `count` is `least`; false: it is not after `ms`. */
static bool wait_for(atomic_uint *count, unsigned least, int ms)
{
	mono_t deadline = real_ms() + ms;

	while (atomic_load(count) < least) {
		if (real_ms() >= deadline)
			return false;
		poll(NULL, 0, 5 * SPEED);
	}
	return true;
}

static void begin(enum guard_word word)
{
	qemu = sleeper();
	memset(stage, 0, sizeof(*stage));
	atomic_store(&stage->word, WORD_JOINED);
	atomic_store(&stage->qemu, qemu);
	guard_start();
	assert_true(wait_for(&stage->answers, 3, 10000));
	assert_int_equal(atomic_load(&stage->kills), 0);
	atomic_store(&stage->word, word);
}

static int end(void **state)
{
	int status;

	kill(guard, SIGKILL);
	waitpid(guard, &status, 0);
	kill(qemu, SIGKILL);
	waitpid(qemu, &status, 0);
	return 0;
}

/* Answers that say what is known wake nobody, and count all the same: of many renewals the last one. */
static void test_healthy(void **state)
{
	unsigned woken;

	begin(WORD_JOINED);
	woken = atomic_load(&stage->woken);
	/* For longer than 6 x io_timeout. */
	assert_true(wait_for(&stage->answers, atomic_load(&stage->answers) + 20, 20000));
	assert_int_equal(atomic_load(&stage->woken), woken);
	assert_int_equal(atomic_load(&stage->kills), 0);
}

static void test_suspend(void **state)
{
	begin(WORD_JOINED);
	atomic_store(&stage->dies, true);
	atomic_store(&stage->slept_ms, 500); /* clocks that drift */
	assert_true(wait_for(&stage->answers, atomic_load(&stage->answers) + 3, 10000));
	assert_int_equal(atomic_load(&stage->kills), 0);
	atomic_store(&stage->slept_ms, 500 + 5000);
	assert_true(wait_for(&stage->kills, 1, 10000));
	assert_int_equal(atomic_load(&stage->resets), 0);
}

/* While all is well: a question every 5 s. What sanlock gave up meanwhile is found all the same. */
static void test_asked_rarely(void **state)
{
	unsigned answers;
	mono_t begun;

	begin(WORD_JOINED);
	answers = atomic_load(&stage->answers);
	begun = clock_mono();
	assert_true(wait_for(&stage->answers, answers + 12, 20000));
	assert_true(clock_mono() - begun >= 45 * MONO_SECOND);
	assert_int_equal(atomic_load(&stage->kills), 0);
	atomic_store(&stage->dies, true);
	atomic_store(&stage->word, WORD_OUT);
	assert_true(wait_for(&stage->kills, 1, 10000));
}

/* Once it has, the next question is not as far away as it was. */
static void test_asked_often_again(void **state)
{
	begin(WORD_JOINED);
	atomic_store(&stage->qemu, 0);
	for (int i = 0; i < 5; i++) {
		atomic_store(&stage->word, WORD_JOINED);
		assert_true(wait_for(&stage->answers, atomic_load(&stage->answers) + 4, 10000));
		atomic_store(&stage->word, WORD_OUT);
		assert_true(wait_for(&stage->told_out, atomic_load(&stage->told_out) + 2, 10000));
	}
	assert_int_equal(atomic_load(&stage->late_questions), 0);
	assert_int_equal(atomic_load(&stage->kills), 0);
}

/* It is seen when it is over, not at the next question. */
static void test_suspend_between_questions(void **state)
{
	begin(WORD_JOINED);
	atomic_store(&stage->dies, true);
	atomic_store(&stage->suspend, true);
	assert_true(wait_for(&stage->kills, 1, 10000));
	assert_int_equal(atomic_load(&stage->heard), 1);
	assert_int_equal(atomic_load(&stage->missed), 0);
}

/* Whenever else the loop is woken: for what comes late the watchdog's other half is left. */
static void test_petted(void **state)
{
	begin(WORD_JOINED);
	atomic_store(&stage->early, true);
	assert_true(wait_for(&stage->pets, atomic_load(&stage->pets) + 8, 10000));
	assert_int_equal(atomic_load(&stage->unpetted), 0);
}

/* A suspend is seen once; a hunt that could not be ended is begun again until one is. */
static void test_suspend_owed(void **state)
{
	begin(WORD_JOINED);
	atomic_store(&stage->proc_error, -EPERM);
	atomic_store(&stage->slept_ms, 5000);
	assert_true(wait_for(&stage->failures, 2, 10000));
	assert_int_equal(atomic_load(&stage->kills), 0);
	atomic_store(&stage->dies, true);
	atomic_store(&stage->proc_error, 0);
	assert_true(wait_for(&stage->kills, 1, 10000));
	/* Once is enough: the next one is of after the suspend. */
	assert_true(wait_for(&stage->answers, atomic_load(&stage->answers) + 3, 10000));
	atomic_store(&stage->qemu, qemu);
	assert_true(wait_for(&stage->answers, atomic_load(&stage->answers) + 3, 10000));
	assert_int_equal(atomic_load(&stage->kills), 1);
}

/* Who joins has proven that no QEMU of before lives: what is found then is another. */
static void test_suspend_owed_until_a_join(void **state)
{
	begin(WORD_JOINED);
	atomic_store(&stage->proc_error, -EPERM);
	atomic_store(&stage->slept_ms, 5000);
	assert_true(wait_for(&stage->failures, 2, 10000));
	atomic_store(&stage->word, WORD_OUT);
	assert_true(wait_for(&stage->answers, atomic_load(&stage->answers) + 3, 10000));
	atomic_store(&stage->word, WORD_JOINED);
	assert_true(wait_for(&stage->answers, atomic_load(&stage->answers) + 3, 10000));
	atomic_store(&stage->proc_error, 0);
	assert_true(wait_for(&stage->answers, atomic_load(&stage->answers) + 5, 10000));
	assert_int_equal(atomic_load(&stage->kills), 0);
}

static void test_survivor(void **state)
{
	mono_t begun;

	begin(WORD_GONE);
	assert_true(wait_for(&stage->kills, 1, 10000));
	begun = clock_mono();
	assert_true(wait_for(&stage->resets, 1, 10000));
	assert_true(clock_mono() - begun >= 55 * MONO_SECOND);
	assert_int_equal(atomic_load(&stage->storage_ends), 1);
}

/* The guard is killed in the survivor's minute, which the next one goes on with; then QEMU is gone after all.
 */
static void test_survivor_outlives_guard(void **state)
{
	mono_t begun;
	int status;

	begin(WORD_GONE);
	assert_true(wait_for(&stage->keeps, 1, 10000));
	begun = clock_mono();
	while (clock_mono() < begun + 30 * MONO_SECOND)
		poll(NULL, 0, SPEED);
	kill(guard, SIGKILL);
	waitpid(guard, &status, 0);
	assert_int_equal(atomic_load(&stage->resets), 0);
	begun = clock_mono();
	guard_start();
	assert_true(wait_for(&stage->resets, 1, 10000));
	/* A minute that it had begun itself would not be over. */
	assert_true(clock_mono() - begun < 60 * MONO_SECOND);
	assert_int_equal(atomic_load(&stage->drops), 0);
	kill(qemu, SIGKILL);
	atomic_store(&stage->qemu, 0);
	assert_true(wait_for(&stage->drops, 1, 10000));
}

/* It waits for a storage daemon that stands still: that one is ended, and the host need not be reset. */
static void test_survivor_waits_for_storage(void **state)
{
	mono_t begun;

	begin(WORD_GONE);
	atomic_store(&stage->waits, true);
	assert_true(wait_for(&stage->kills, 1, 10000));
	begun = clock_mono();
	assert_true(wait_for(&stage->storage_ends, 1, 10000));
	assert_true(clock_mono() - begun >= 8 * MONO_SECOND);
	assert_false(wait_for(&stage->resets, 1, 4000)); /* of real time: more than a minute of the guard's */
	assert_int_equal(atomic_load(&stage->storage_ends), 1);
}

/* QEMU that is only slow to read is read by the next look, for as long as another process holds its reader.
 */
static void test_slow_qemu_beside_a_holder(void **state)
{
	begin(WORD_JOINED);
	atomic_store(&stage->dies, true);
	atomic_store(&stage->holds[0], true);
	atomic_store(&stage->holds[1], true);
	atomic_store(&stage->word, WORD_OUT);
	assert_true(wait_for(&stage->blind, 1, 10000));
	assert_int_equal(atomic_load(&stage->kills), 0);
	atomic_store(&stage->holds[1], false);
	assert_true(wait_for(&stage->kills, 1, 10000));
}

/* The killing hangs behind the first that it has killed: that one has its minute, and nobody else is killed
 * when the thread is let go. */
static void test_survivor_of_a_strike_that_hangs(void **state)
{
	mono_t begun;

	begin(WORD_JOINED);
	atomic_store(&stage->held, true);
	atomic_store(&stage->slept_ms, 5000);
	assert_true(wait_for(&stage->kills, 1, 10000));
	begun = clock_mono();
	assert_true(wait_for(&stage->resets, 1, 10000));
	assert_true(clock_mono() - begun >= 55 * MONO_SECOND);
	assert_int_equal(atomic_load(&stage->kills), 1);
	atomic_store(&stage->held, false);
	assert_true(wait_for(&stage->left, 1, 10000));
	assert_int_equal(atomic_load(&stage->not_left), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_healthy, end),
		cmocka_unit_test_teardown(test_suspend, end),
		cmocka_unit_test_teardown(test_asked_rarely, end),
		cmocka_unit_test_teardown(test_asked_often_again, end),
		cmocka_unit_test_teardown(test_suspend_between_questions, end),
		cmocka_unit_test_teardown(test_petted, end),
		cmocka_unit_test_teardown(test_suspend_owed, end),
		cmocka_unit_test_teardown(test_suspend_owed_until_a_join, end),
		cmocka_unit_test_teardown(test_slow_qemu_beside_a_holder, end),
		cmocka_unit_test_teardown(test_survivor, end),
		cmocka_unit_test_teardown(test_survivor_outlives_guard, end),
		cmocka_unit_test_teardown(test_survivor_waits_for_storage, end),
		cmocka_unit_test_teardown(test_survivor_of_a_strike_that_hangs, end),
	};
	FILE *file;
	int r;

	if (!mkdtemp(dir))
		return 1;
	snprintf(conf_path, sizeof(conf_path), "%s/hosted-engine.conf", dir);
	file = fopen(conf_path, "w");
	if (!file)
		return 1;
	fputs("vmid=0fa57e57-0000-4000-8000-000000000001\nhost_id=1\nlockspace_path=/s/lockspace\n"
	      "metadata_path=/s/metadata\nlease_path=/s/leases\nnetwork_test=none\nvm_xml=/s/vm.xml\n"
	      "io_timeout=10\nrequire_watchdog=no\nfqdn=engine.example.com\n",
	      file);
	fclose(file);
	stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stage == MAP_FAILED)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(conf_path);
	rmdir(dir);
	return r;
}
