/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each kind of step, in its child process: done, done again, and what is said when it can't be. Mounts are
 * real, in a mount namespace of the test's own; sanlock is too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lockspace/sanlock_status.h"
#include "storage/storage_step.h"
#include "tests/unit/qemu_stand_in.h"
#include "tests/unit/sanlock_domain.h"

#define PATIENCE_MS 20000

static char top[64];
static char why[STORAGE_WHY_SIZE];
static struct storage_world world;

static const char *at(const char *name)
{
	static char paths[4][160];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(paths[next], sizeof(paths[next]), "%s/%s", top, name);
	return paths[next];
}

static int run_step(const struct storage_step *step)
{
	struct storage_child child;
	struct pollfd fd;
	int r;

	why[0] = '\0';
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(storage_step_start(&world, step, &child), 0);
	fd = (struct pollfd){.fd = child.fd, .events = POLLIN};
	assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
	r = storage_step_end(&child, why);
	assert_true(r <= 0);
	assert_int_equal(r < 0, why[0] != '\0');
	return r;
}

static int run(enum storage_step_kind kind, const char *a, const char *b, const char *c, const char *d)
{
	const struct storage_step step = {.kind = kind, .ms = 1, .args = {a, b, c, d}};

	return run_step(&step);
}

static const char *content(const char *path)
{
	static char text[1024];
	FILE *file = fopen(path, "r");
	size_t n;

	assert_non_null(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static int setup(void **state)
{
	strcpy(top, "/tmp/ovirt-ha-step-XXXXXX");
	assert_non_null(mkdtemp(top));
	world = storage_machine;
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	signal(SIGCHLD, SIG_DFL);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) != 0;
}

static void test_files(void **state)
{
	struct stat st;

	assert_int_equal(run(STORAGE_STEP_FOLDER, at("a/b"), NULL, NULL, NULL), 0);
	assert_int_equal(run(STORAGE_STEP_FOLDER, at("a/b"), NULL, NULL, NULL), 0);
	assert_int_equal(run(STORAGE_STEP_FILE, at("a/b/f"), "one\n", NULL, NULL), 0);
	assert_int_equal(run(STORAGE_STEP_FILE, at("a/b/f"), "two\n", NULL, NULL), 0);
	assert_string_equal(content(at("a/b/f")), "two\n");
	assert_int_equal(stat(at("a/b/f"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* A mount point keeps what it has. */
	assert_int_equal(run(STORAGE_STEP_FILE, at("a/b/f"), "", NULL, NULL), 0);
	assert_string_equal(content(at("a/b/f")), "two\n");
	assert_int_equal(run(STORAGE_STEP_FILE, at("a/b/g"), "", NULL, NULL), 0);
	assert_string_equal(content(at("a/b/g")), "");
	assert_int_equal(run(STORAGE_STEP_LINK, at("a/l"), "b/f", NULL, NULL), 0);
	assert_int_equal(run(STORAGE_STEP_LINK, at("a/l"), "b/g", NULL, NULL), 0);
	assert_string_equal(content(at("a/l")), "");
	assert_int_equal(run(STORAGE_STEP_TOUCH, at("a"), NULL, NULL, NULL), 0);
	assert_int_equal(run(STORAGE_STEP_REMOVE, at("a/b/g"), NULL, NULL, NULL), 0);
	assert_int_equal(run(STORAGE_STEP_REMOVE, at("a/b/g"), NULL, NULL, NULL), 0);
	/* A device that went. */
	assert_int_equal(run(STORAGE_STEP_TOUCH, at("a"), NULL, NULL, NULL), -ENOENT);
	assert_int_equal(run(STORAGE_STEP_REMOVE, at("a"), NULL, NULL, NULL), -ENOTEMPTY);
	assert_int_equal(run(STORAGE_STEP_TOUCH, at("none"), NULL, NULL, NULL), -ENOENT);
	assert_int_equal(run(STORAGE_STEP_FOLDER, at("a/b/f/c"), NULL, NULL, NULL), -ENOTDIR);
}

static void test_line(void **state)
{
	struct stat st;

	assert_int_equal(run(STORAGE_STEP_LINE, at("r"), "k", "v", NULL), -ENOENT);
	assert_int_equal(run(STORAGE_STEP_FILE, at("r"), "# BEGIN\na.k = 1\nk = old\n# END\n", NULL, NULL),
			 0);
	assert_int_equal(run(STORAGE_STEP_LINE, at("r"), "k", "a b", NULL), 0);
	assert_string_equal(content(at("r")), "# BEGIN\na.k = 1\nk = a b\n# END\n");
	assert_int_equal(run(STORAGE_STEP_LINE, at("r"), "n", "x", NULL), 0);
	assert_string_equal(content(at("r")), "# BEGIN\na.k = 1\nk = a b\nn = x\n# END\n");
	assert_int_equal(stat(at("r"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_mount(void **state)
{
	const char *folder = at("m");
	char path[160];
	FILE *file;

	strcpy(path, folder);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(run(STORAGE_STEP_UNMOUNT, path, NULL, NULL, NULL), 0);
	assert_int_equal(run(STORAGE_STEP_MOUNT, "none", path, "tmpfs", "size=64k"), 0);
	assert_int_equal(run(STORAGE_STEP_MOUNT, "none", path, "tmpfs", "size=64k"), 0);
	assert_int_equal(storage_mounts(&world, path), 1);
	assert_int_equal(run(STORAGE_STEP_TOUCH, path, NULL, NULL, NULL), 0);
	file = fopen(at("m/open"), "w");
	assert_non_null(file);
	assert_int_equal(run(STORAGE_STEP_UNMOUNT, path, NULL, NULL, NULL), -EBUSY);
	fclose(file);
	assert_int_equal(run(STORAGE_STEP_UNMOUNT, path, NULL, NULL, NULL), 0);
	assert_int_equal(storage_mounts(&world, path), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(mount("none", path, "tmpfs", 0, "size=64k"), 0);
	assert_int_equal(storage_mounts(&world, path), 2);
	assert_int_equal(run(STORAGE_STEP_UNMOUNT, path, NULL, NULL, NULL), 0);
	assert_int_equal(storage_mounts(&world, path), 0);
	assert_int_equal(run(STORAGE_STEP_MOUNT, "none", path, "nosuchfs", ""), -ENODEV);
	assert_non_null(strstr(why, "nosuchfs"));
}

static void put_program(const char *name, const char *text)
{
	FILE *file = fopen(at(name), "w");

	assert_non_null(file);
	fprintf(file, "#!/bin/sh\n%s", text);
	fclose(file);
	chmod(at(name), 0755);
}

static void test_run(void **state)
{
	struct storage_step step = {.kind = STORAGE_STEP_RUN, .ms = 1, .args = {"prog", NULL}, .okay = 15};
	char path[160];

	snprintf(path, sizeof(path), "%s:/bin:/usr/bin", top);
	world.path = path;
	put_program("prog", "[ \"$1\" = one ] && [ $# = 2 ] && echo \"$*\" > \"$2\"\n");
	assert_int_equal(run(STORAGE_STEP_RUN, "prog", "one", at("said"), NULL), 0);
	assert_non_null(strstr(content(at("said")), "one /tmp/"));
	put_program("prog", "echo first >&2; echo 'prog: no record' >&2; exit 21\n");
	assert_int_equal(run(STORAGE_STEP_RUN, "prog", NULL, NULL, NULL), -EIO);
	assert_string_equal(why, "prog: no record");
	put_program("prog", "exit 3\n");
	assert_int_equal(run(STORAGE_STEP_RUN, "prog", NULL, NULL, NULL), -EIO);
	assert_string_equal(why, "prog ended with status 3");
	/* What goes on in the background keeps nobody waiting. */
	put_program("prog", "sleep 60 & exit 0\n");
	assert_int_equal(run(STORAGE_STEP_RUN, "prog", NULL, NULL, NULL), 0);
	assert_int_equal(run(STORAGE_STEP_RUN, "nosuchprogram", NULL, NULL, NULL), -ENOENT);
	assert_string_equal(why, "nosuchprogram: No such file or directory");
	put_program("prog", "exit 15\n");
	for (int okay = 15; okay <= 16; okay++) {
		struct storage_child child;
		struct pollfd fd;

		step.okay = okay;
		assert_int_equal(storage_step_start(&world, &step, &child), 0);
		fd = (struct pollfd){.fd = child.fd, .events = POLLIN};
		assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
		assert_int_equal(storage_step_end(&child, why), okay == 15 ? 0 : -EIO);
	}
}

/* What was started by another has told the reason elsewhere, when it has. */
static void test_words_elsewhere(void **state)
{
	static const struct {
		const char *name, *words, *want;
	} rows[] = {
		{"none", NULL, "see the journal"},
		{"empty", "", "see the journal"},
		{"last line", "one\nno such export\n",
		 "no such export; check the server, and what hosted-engine.conf says of it"},
		{"after an option", "qemu: --blockdev {\"a\":{\"b\":1}}: Login failed\n",
		 "Login failed; check the server, and what hosted-engine.conf says of it"},
	};
	struct storage_step step = {.kind = STORAGE_STEP_RUN, .ms = 1, .args = {"prog", NULL}};
	char path[160];

	(void)state;
	snprintf(path, sizeof(path), "%s:/bin:/usr/bin", top);
	world.path = path;
	step.words = at("words");
	put_program("prog", "echo see the journal >&2; exit 1\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].words)
			assert_int_equal(run(STORAGE_STEP_FILE, step.words, rows[i].words, NULL, NULL), 0);
		assert_int_equal(run_step(&step), -EIO);
		if (strcmp(why, rows[i].want) != 0)
			fail_msg("%s: %s", rows[i].name, why);
	}
}

static bool gone_at_last(pid_t group)
{
	for (int i = 0; i < PATIENCE_MS / 10 && !storage_step_gone(group); i++)
		poll(NULL, 0, 10);
	return storage_step_gone(group);
}

/* One that waits for ever, and what it has started. */
static void test_kill(void **state)
{
	struct storage_step step = {.kind = STORAGE_STEP_RUN, .ms = 1, .args = {"prog", NULL}};
	struct storage_child child;
	struct pollfd fd = {.events = POLLIN};
	char path[160], text[64];
	pid_t pid, group;
	int program;

	/* What has lost its parent ends as a child of this test, and is not waited for. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	signal(SIGCHLD, SIG_IGN);
	snprintf(path, sizeof(path), "%s:/bin:/usr/bin", top);
	world.path = path;
	put_program("prog", "echo $$ > \"$(dirname \"$0\")/pid.new\"; mv \"$(dirname \"$0\")/pid.new\" "
			    "\"$(dirname \"$0\")/pid\"; sleep 600\n");
	assert_int_equal(storage_step_start(&world, &step, &child), 0);
	assert_int_equal(run(STORAGE_STEP_AWAIT, at("pid"), NULL, NULL, NULL), 0);
	pid = atoi(content(at("pid")));
	assert_true(pid > 1);
	program = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(program >= 0);
	/* The child alone has ended, and its program hangs: it is not gone. */
	assert_int_equal(kill(child.pid, SIGKILL), 0);
	fd.fd = child.fd;
	assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
	assert_false(storage_step_gone(child.pid));
	storage_step_kill(&child, &group);
	assert_int_equal(child.pid, 0);
	fd.fd = program;
	assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
	close(program);
	assert_true(gone_at_last(group));
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	storage_step_describe(&step, text, sizeof(text));
	assert_string_equal(text, "run prog");
}

static void test_secret_is_not_described(void **state)
{
	struct storage_step step = {.kind = STORAGE_STEP_LINE, .args = {"/db/record", "password", "secret"}};
	char text[64];

	storage_step_describe(&step, text, sizeof(text));
	assert_string_equal(text, "write /db/record");
	step.kind = STORAGE_STEP_FILE;
	step.args[1] = "secret";
	storage_step_describe(&step, text, sizeof(text));
	assert_string_equal(text, "write /db/record");
}

static bool is_leaving(void *data)
{
	struct sanlock_status status;

	(void)data;
	return sanlock_status_read("LS", 2000, &status) == 0 && status.leaving;
}

static void test_unused(void **state)
{
	struct sanlock_domain domain;
	char uuid[37], place[256];
	const char *argv[] = {"qemu-system-x86_64", "-uuid", uuid, NULL};
	const char *leave[] = {"sanlock", "client", "rem_lockspace", "-s", place, NULL};
	pid_t vm, leaver;

	signal(SIGCHLD, SIG_DFL);
	stand_in_uuid(uuid);
	domain_open(&domain);
	assert_int_equal(run(STORAGE_STEP_UNUSED, uuid, "LS", NULL, NULL), 0);
	signal(SIGCHLD, SIG_DFL);
	vm = stand_in_start(argv, false);
	assert_int_equal(run(STORAGE_STEP_UNUSED, uuid, "LS", NULL, NULL), -EBUSY);
	assert_string_equal(why, "the engine VM runs on this host");
	signal(SIGCHLD, SIG_DFL);
	stand_in_kill(vm);
	domain_start(&domain);
	assert_int_equal(run(STORAGE_STEP_UNUSED, uuid, "LS", NULL, NULL), 0);
	signal(SIGCHLD, SIG_DFL);
	domain_join(&domain);
	assert_int_equal(run(STORAGE_STEP_UNUSED, uuid, "LS", NULL, NULL), -EBUSY);
	assert_non_null(strstr(why, "the lockspace LS is joined"));
	assert_int_equal(run(STORAGE_STEP_UNUSED, "", "OTHER", NULL, NULL), 0);
	/* One that is being left is waited for: seconds, of which a broker that stops sees the first. */
	signal(SIGCHLD, SIG_DFL);
	snprintf(place, sizeof(place), "LS:1:%s:0", domain.disk);
	leaver = domain_spawn(&domain, leave);
	assert_true(domain_wait(is_leaving, NULL, 5000));
	assert_int_equal(run(STORAGE_STEP_UNUSED, uuid, "LS", NULL, NULL), 0);
	signal(SIGCHLD, SIG_DFL);
	waitpid(leaver, NULL, 0);
	/* No answer is no proof. */
	domain_signal(&domain, SIGSTOP);
	assert_int_equal(run(STORAGE_STEP_UNUSED, uuid, "OTHER", NULL, NULL), -EBUSY);
	assert_non_null(strstr(why, "does not tell"));
	signal(SIGCHLD, SIG_DFL);
	domain_close(&domain);
}

static void own_mounts(void)
{
	char map[64];
	FILE *file;
	uid_t uid = getuid();

	if (uid == 0) {
		assert_int_equal(unshare(CLONE_NEWNS), 0);
	} else {
		assert_int_equal(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0);
		snprintf(map, sizeof(map), "0 %u 1\n", uid);
		file = fopen("/proc/self/uid_map", "w");
		assert_non_null(file);
		fputs(map, file);
		assert_int_equal(fclose(file), 0);
	}
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_files),	    TEST(test_line),
		TEST(test_mount),	    TEST(test_run),
		TEST(test_words_elsewhere), TEST(test_kill),
		TEST(test_unused),	    TEST(test_secret_is_not_described),
	};

	stand_in_main();
	own_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
