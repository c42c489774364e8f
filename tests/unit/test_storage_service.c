/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-storage over its socket, with drivers of the test's own, whose world is a folder: idempotence,
 * restarts, refusals, deadlines, and answers while something hangs. The service runs in a child process, so
 * that it can be killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/storage_protocol.h"
#include "storage/storage_service.h"
#include "tests/unit/qemu_stand_in.h"
#include "tests/unit/sanlock_domain.h"
#include "util/clock.h"
#include "util/loop.h"
#include "util/seqpacket.h"

#define SD "0d5a3f2b-8c1e-4c6f-9b7e-2a1d8e4f5c60"
#define DOMAIN "domainType=posix\nvfs_type=x\nstorage=y\nsdUUID=" SD "\n"
#define PATIENCE_S 20

static char top[64];
static pid_t service_pid;

static const char *at(const char *name)
{
	static char paths[4][192];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(paths[next], sizeof(paths[next]), "%s/%s", top, name);
	return paths[next];
}

static void put(const char *name, const char *text)
{
	FILE *file = fopen(at(name), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static bool there(const char *name)
{
	return access(at(name), F_OK) == 0;
}

/* Two drivers that differ in the name: a file NAME-can, and what is connected is a file NAME. */
static int probe_as(const char *name, char why[STORAGE_WHY_SIZE])
{
	char can[32];

	snprintf(can, sizeof(can), "%s-can", name);
	if (there(can))
		return 0;
	snprintf(why, STORAGE_WHY_SIZE, "no %s here", name);
	return -EOPNOTSUPP;
}

static void plan_as(const char *name, const char *verb, struct storage_plan *plan)
{
	if (strcmp(verb, "connect") == 0)
		storage_plan_add(plan, STORAGE_STEP_FOLDER, 10000, storage_text(plan, "%s/" SD, top), NULL);
	storage_plan_add(plan, STORAGE_STEP_RUN, 10000, "sh", storage_text(plan, "%s/first", top), verb, NULL)
		->optional = true;
	if (there("disk-wanted"))
		storage_plan_add(plan, STORAGE_STEP_AWAIT, 300, storage_text(plan, "%s/disk", top), NULL);
	storage_plan_add(plan, STORAGE_STEP_RUN, there("hurry") ? 300 : 10000, "sh",
			 storage_text(plan, "%s/prog", top), verb, storage_text(plan, "%s/%s", top, name),
			 NULL);
	storage_plan_add(plan, STORAGE_STEP_RUN, 10000, "sh", storage_text(plan, "%s/last", top), verb, NULL);
}

static int state_as(const char *name, enum storage_state *ret)
{
	if (there("unreadable"))
		return -EIO;
	*ret = there(name) ? STORAGE_CONNECTED : STORAGE_DISCONNECTED;
	return 0;
}

#define DRIVER(word)                                                                                         \
	static int word##_probe(const struct storage_world *world, const struct engine_conf *conf,           \
				char why[STORAGE_WHY_SIZE])                                                  \
	{                                                                                                    \
		return probe_as(#word, why);                                                                 \
	}                                                                                                    \
	static void word##_connect(const struct storage_world *world, const struct engine_conf *conf,        \
				   struct storage_plan *plan)                                                \
	{                                                                                                    \
		plan_as(#word, "connect", plan);                                                             \
	}                                                                                                    \
	static void word##_disconnect(const struct storage_world *world, const struct engine_conf *conf,     \
				      struct storage_plan *plan)                                             \
	{                                                                                                    \
		plan_as(#word, "disconnect", plan);                                                          \
	}                                                                                                    \
	static int word##_state(const struct storage_world *world, const struct engine_conf *conf,           \
				enum storage_state *ret)                                                     \
	{                                                                                                    \
		return state_as(#word, ret);                                                                 \
	}                                                                                                    \
	static const struct storage_driver word = {#word, word##_probe, word##_connect, word##_disconnect,   \
						   word##_state}

DRIVER(kernel);
DRIVER(userspace);

static void serve(void)
{
	static const struct storage_driver *const drivers[] = {&kernel, &userspace, NULL};
	struct storage_world world = storage_machine;
	struct storage_service *service;
	struct loop *loop;
	int fd = seqpacket_listen(at("socket"));

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	chmod(at("socket"), 0666);
	world.run = top;
	if (fd < 0 || loop_new(&loop) < 0 ||
	    storage_service_new(loop, fd, strdup(at("conf")), drivers, &world, &service) < 0)
		_exit(1);
	loop_run(loop);
	_exit(0);
}

static int dial(void)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = seqpacket_connect(at("socket"));

	if (fd < 0)
		return fd;
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return fd;
}

static bool answers(void *data)
{
	int fd = dial();

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void start_service(void)
{
	service_pid = fork();
	assert_true(service_pid >= 0);
	if (service_pid == 0)
		serve();
	assert_true(domain_wait(answers, NULL, PATIENCE_S * 1000));
}

static void kill_service(void)
{
	kill(service_pid, SIGKILL);
	assert_int_equal(waitpid(service_pid, NULL, 0), service_pid);
}

static int begin(uint32_t kind)
{
	struct storage_request request = {.version = STORAGE_VERSION, .kind = kind};
	int fd = dial();

	assert_true(fd >= 0);
	assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
	return fd;
}

static struct storage_reply end(int fd)
{
	struct storage_reply reply;

	assert_int_equal(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
	assert_int_equal(reply.version, STORAGE_VERSION);
	assert_non_null(memchr(reply.text, '\0', sizeof(reply.text)));
	assert_int_equal(reply.error == 0, reply.text[0] == '\0');
	close(fd);
	return reply;
}

static struct storage_reply ask(uint32_t kind)
{
	struct storage_reply reply = end(begin(kind));

	assert_int_equal(reply.kind, kind);
	return reply;
}

static void expect(uint32_t kind, int error, enum storage_state state, const char *text)
{
	struct storage_reply reply = ask(kind);

	if (reply.error != error || reply.state != state || !strstr(reply.text, text))
		fail_msg("kind %u: error=%d state=%u %s", kind, reply.error, reply.state, reply.text);
}

/* How often prog was run. */
static size_t runs(void)
{
	struct stat st;

	return stat(at("runs"), &st) == 0 ? (size_t)st.st_size : 0;
}

static int setup(void **state)
{
	strcpy(top, "/tmp/ovirt-ha-service-XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(chmod(top, 0755), 0);
	assert_int_equal(mkdir(at(SD), 0755), 0);
	put("conf", DOMAIN);
	put("first", "exit 1\n");
	put("prog", "printf x >> ${2%/*}/runs\nif [ $1 = connect ]; then : > $2; else rm -f $2; fi\n");
	put("last", "exit 0\n");
	put("kernel-can", "");
	start_service();
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	kill_service();
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) != 0;
}

static void test_twice_is_once(void **state)
{
	expect(STORAGE_STATUS, 0, STORAGE_DISCONNECTED, "");
	expect(STORAGE_DISCONNECT, 0, STORAGE_DISCONNECTED, "");
	assert_int_equal(runs(), 0);
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
	assert_int_equal(runs(), 1);
	/* A service that was killed has forgotten nothing. */
	kill_service();
	start_service();
	expect(STORAGE_STATUS, 0, STORAGE_CONNECTED, "");
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
	assert_int_equal(runs(), 1);
	expect(STORAGE_DISCONNECT, 0, STORAGE_DISCONNECTED, "");
	expect(STORAGE_STATUS, 0, STORAGE_DISCONNECTED, "");
	assert_int_equal(runs(), 2);
}

static void test_configuration(void **state)
{
	unlink(at("conf"));
	expect(STORAGE_CONNECT, -ENOENT, STORAGE_DISCONNECTED, "conf does not exist");
	put("conf", "host_id=1\n");
	expect(STORAGE_CONNECT, -ENODATA, STORAGE_DISCONNECTED, "no domainType");
	put("conf", "domainType=posix\nsdUUID=" SD "\n");
	expect(STORAGE_CONNECT, -EINVAL, STORAGE_DISCONNECTED, "storage: is missing");
	put("conf", DOMAIN "nosuchkey=1\n");
	expect(STORAGE_CONNECT, -EINVAL, STORAGE_DISCONNECTED, "conf:5: nosuchkey");
	assert_int_equal(runs(), 0);
}

static void test_which_driver(void **state)
{
	unlink(at("kernel-can"));
	expect(STORAGE_CONNECT, -EOPNOTSUPP, STORAGE_DISCONNECTED, "no kernel here");
	put("userspace-can", "");
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
	assert_true(there("userspace"));
	/* Whose work it is does it all, whoever else could now, and whatever is wished. */
	put("kernel-can", "");
	put("conf", DOMAIN "storage_driver=kernel\n");
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
	expect(STORAGE_DISCONNECT, 0, STORAGE_DISCONNECTED, "");
	assert_false(there("userspace"));
	put("conf", DOMAIN "storage_driver=userspace\n");
	unlink(at("userspace-can"));
	expect(STORAGE_CONNECT, -EOPNOTSUPP, STORAGE_DISCONNECTED, "no userspace here");
	put("conf", DOMAIN "storage_driver=kernel\n");
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
	assert_true(there("kernel"));
}

static void test_failures(void **state)
{
	put("prog", "echo 'mount: refused' >&2; exit 1\n");
	put(SD "/somebodys", "");
	expect(STORAGE_CONNECT, -EIO, STORAGE_DISCONNECTED, "mount: refused");
	assert_true(there(SD "/somebodys"));
	unlink(at(SD "/somebodys"));
	expect(STORAGE_CONNECT, -EIO, STORAGE_DISCONNECTED, "mount: refused");
	assert_false(there(SD));
	put("first", "echo 'login: no answer' >&2; exit 1\n");
	expect(STORAGE_CONNECT, -EIO, STORAGE_DISCONNECTED, "mount: refused; before that: login: no answer");
	put("first", "exit 0\n");
	expect(STORAGE_CONNECT, -EIO, STORAGE_DISCONNECTED, "mount: refused");
	put("prog", "exit 0\n");
	expect(STORAGE_CONNECT, -EIO, STORAGE_DISCONNECTED,
	       "all was done, and yet the storage is not connected: check that the server has what "
	       "storage= in hosted-engine.conf names, and what its client logged");
	/* It is there and says that it is not well. */
	put("kernel", "");
	expect(STORAGE_STATUS, -ENOENT, STORAGE_CONNECTED, "No such file");
	expect(STORAGE_CONNECT, -ENOENT, STORAGE_CONNECTED, "No such file");
	/* What can be taken away is, and the first failure told. */
	put("prog", "echo 'umount: busy' >&2; exit 1\n");
	put("last", ": > ${0%/*}/last-was-run; exit 1\n");
	expect(STORAGE_DISCONNECT, -EIO, STORAGE_CONNECTED, "umount: busy");
	assert_true(there("last-was-run"));
	put("prog", "exit 0\n");
	put("last", "exit 0\n");
	expect(STORAGE_DISCONNECT, -EIO, STORAGE_CONNECTED, "still connected");
	put("unreadable", "");
	expect(STORAGE_STATUS, -EIO, STORAGE_DISCONNECTED, "can't be told");
}

/* The process of a file system in user space ended: /dev/fuse is closed. */
static void test_dead(void **state)
{
	char options[64];
	int fd = open("/dev/fuse", O_RDWR);

	assert_true(fd >= 0);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	put("kernel", "");
	assert_int_equal(mount("test", at(SD), "fuse", 0, options), 0);
	close(fd);
	expect(STORAGE_STATUS, -ENOTCONN, STORAGE_CONNECTED, "not connected");
	put("prog", "printf x >> ${2%/*}/runs\n"
		    "if [ $1 = connect ]; then : > $2; else umount ${2%/*}/" SD " || exit 1; rm -f $2; fi\n");
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
	assert_int_equal(runs(), 2);
	expect(STORAGE_STATUS, 0, STORAGE_CONNECTED, "");
}

static bool under_way(void *data)
{
	struct storage_reply reply = ask(STORAGE_STATUS);

	return reply.error == -EINPROGRESS && strstr(reply.text, "connecting for 0 s: run sh");
}

static void test_hang(void **state)
{
	int first, second, disconnect;
	mono_t begun = clock_mono();
	struct storage_reply reply;

	put("prog", "printf x >> ${2%/*}/runs; exec sleep 600\n");
	put("hurry", "");
	for (int i = 0; i < 2; i++)
		expect(STORAGE_CONNECT, -ETIMEDOUT, STORAGE_DISCONNECTED, "no end in");
	assert_true(clock_mono() - begun < 10000);
	unlink(at("hurry"));
	put("prog", "printf x >> ${2%/*}/runs\nwhile [ ! -e ${2%/*}/go ]; do sleep 0.05; done\n"
		    "if [ $1 = connect ]; then : > $2; else rm -f $2; fi\n");
	/* Two who want the same get the same, and who wants something else waits, while a question is
	 * answered. */
	first = begin(STORAGE_CONNECT);
	assert_true(domain_wait(under_way, NULL, PATIENCE_S * 1000));
	second = begin(STORAGE_CONNECT);
	disconnect = begin(STORAGE_DISCONNECT);
	assert_true(domain_wait(under_way, NULL, PATIENCE_S * 1000));
	put("go", "");
	assert_int_equal(end(first).error, 0);
	assert_int_equal(end(second).error, 0);
	reply = end(disconnect);
	assert_int_equal(reply.error, 0);
	assert_int_equal(reply.state, STORAGE_DISCONNECTED);
	assert_int_equal(runs(), 4);
}

static void test_disk_that_does_not_come(void **state)
{
	put("disk-wanted", "");
	expect(STORAGE_CONNECT, -ETIMEDOUT, STORAGE_DISCONNECTED,
	       "/disk: no end in 0 s; hosted-engine --discover-storage shows what is there");
	put("disk", "");
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
}

/* A client that goes away takes nothing with it. */
static bool connected(void *data)
{
	return there("kernel");
}

static void test_client_gone(void **state)
{
	close(begin(STORAGE_CONNECT));
	assert_true(domain_wait(connected, NULL, PATIENCE_S * 1000));
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
	assert_int_equal(runs(), 1);
}

static void test_words(void **state)
{
	struct storage_request requests[] = {{STORAGE_VERSION + 1, STORAGE_CONNECT},
					     {STORAGE_VERSION, 0},
					     {STORAGE_VERSION, STORAGE_STATUS + 1}};
	struct storage_reply reply;
	char byte = 1,
	     long_one[sizeof(struct storage_request) + 1] = {STORAGE_VERSION, 0, 0, 0, STORAGE_CONNECT};
	int fd;

	for (size_t i = 0; i < 5; i++) {
		fd = dial();
		assert_true(fd >= 0);
		if (i < 3)
			assert_true(send(fd, &requests[i], sizeof(requests[i]), 0) > 0);
		else
			assert_true(send(fd, i == 3 ? &byte : long_one, i == 3 ? 1 : sizeof(long_one), 0) >
				    0);
		assert_int_equal(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
		assert_int_equal(reply.error, -EPROTO);
		assert_int_equal(recv(fd, &reply, sizeof(reply), 0), 0);
		close(fd);
	}
	assert_int_equal(runs(), 0);
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
}

static void test_stranger(void **state)
{
	struct storage_reply reply;
	int status, fd;
	pid_t pid;

	assert_int_equal(getuid(), 0);
	pid = fork();
	if (pid == 0) {
		struct storage_request request = {STORAGE_VERSION, STORAGE_CONNECT};

		if (setuid(65534) < 0)
			_exit(3);
		fd = dial();
		(void)!send(fd, &request, sizeof(request), MSG_NOSIGNAL);
		_exit(recv(fd, &reply, sizeof(reply), 0) == sizeof(reply) && reply.error == -EPERM ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(runs(), 0);
}

static void test_used(void **state)
{
	struct sanlock_domain domain;
	char uuid[37], text[1024];
	const char *argv[] = {"qemu-system-x86_64", "-uuid", uuid, NULL};
	pid_t vm;

	stand_in_uuid(uuid);
	domain_open(&domain); /* no daemon */
	kill_service();
	start_service();
	snprintf(text, sizeof(text), DOMAIN "vmid=%s\nhost_id=1\nnetwork_test=none\n", uuid);
	put("conf", text);
	expect(STORAGE_CONNECT, 0, STORAGE_CONNECTED, "");
	vm = stand_in_start(argv, false);
	expect(STORAGE_DISCONNECT, -EBUSY, STORAGE_CONNECTED, "the engine VM runs on this host");
	assert_int_equal(runs(), 1);
	stand_in_kill(vm);
	expect(STORAGE_DISCONNECT, 0, STORAGE_DISCONNECTED, "");
	domain_close(&domain);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_twice_is_once), TEST(test_configuration),
		TEST(test_which_driver),  TEST(test_disk_that_does_not_come),
		TEST(test_failures),	  TEST(test_dead),
		TEST(test_hang),	  TEST(test_client_gone),
		TEST(test_words),	  TEST(test_stranger),
		TEST(test_used),
	};

	stand_in_main();
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
