/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A change of the shared configuration with its real lease, child and sanlock: alone, by several at once, by
 * one that dies in the middle, refused, on storage that is full. (tests/unit/test_conf_cut.c cuts the writes
 * themselves.) */
#include <sys/mount.h>

#undef BLOCK_SIZE /* the kernel's, of another meaning */
#include "tools/conf_volume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/sanlock_domain.h"
#include "util/cleanup.h"

#define WRITERS 3
#define LONG 20000 /* bytes: several blocks of an archive */

static struct {
	struct sanlock_domain domain;
	struct place volume;
	struct block0_config lease;
	char cause[CONF_CAUSE_SIZE];
	int pipe; /* one that is to die tells here that it holds the lease */
} t;

static int setup(void **state)
{
	_cleanup_free_ uint8_t *packed = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	struct conf_archive archive = {0};
	size_t size;

	memset(&t, 0, sizeof(t));
	domain_open(&t.domain);
	snprintf(t.volume.path, sizeof(t.volume.path), "%s/volume", t.domain.dir);
	assert_int_equal(conf_archive_pack(&archive, &packed, &size), 0);
	file = fopen(t.volume.path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(packed, 1, size, file), size);
	t.lease = (struct block0_config){
		.lockspace = "LS", .engine_place.offset = DOMAIN_ENGINE_OFFSET, .program = WHITEBOARD_LEASE};
	strcpy(t.lease.engine_place.path, t.domain.disk);
	domain_start(&t.domain);
	return 0;
}

static int teardown(void **state)
{
	domain_close(&t.domain);
	return 0;
}

static int append(void *data, struct conf_archive *archive)
{
	const struct conf_text *old = &archive->texts[CONF_ENTRY_VERSION];
	char text[64];

	snprintf(text, sizeof(text), "%s%s", old->text, (const char *)data);
	return conf_archive_set(archive, CONF_ENTRY_VERSION, text, strlen(text));
}

static int refuse(void *data, struct conf_archive *archive)
{
	append(data, archive);
	return -ECANCELED;
}

static int die(void *data, struct conf_archive *archive)
{
	assert_int_equal(write(t.pipe, "x", 1), 1);
	pause();
	return -EINTR;
}

static int edit(int (*how)(void *data, struct conf_archive *archive), const char *what)
{
	return conf_volume_edit(&t.volume, &t.lease, how, (void *)what, t.cause);
}

/* The text that counts, for free(). */
static char *text_now(void)
{
	struct conf_archive archive = {0};
	char *text;

	assert_int_equal(conf_volume_load(&t.volume, &archive, t.cause), 0);
	text = TAKE_PTR(archive.texts[CONF_ENTRY_VERSION].text);
	conf_archive_done(&archive);
	return text;
}

static void assert_text(const char *want)
{
	_cleanup_free_ char *text = text_now();

	assert_string_equal(text, want);
}

static pid_t in_child(int (*how)(void *data, struct conf_archive *archive), const char *what)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(edit(how, what) == 0 ? 0 : 1);
	return pid;
}

static void test_one_after_another(void **state)
{
	domain_join(&t.domain);
	assert_int_equal(edit(append, "a"), 0);
	assert_string_equal(t.cause, "");
	assert_text("a");
	assert_int_equal(edit(refuse, "b"), -ECANCELED);
	assert_string_equal(t.cause, "");
	assert_int_equal(edit(append, "c"), 0);
	assert_text("ac");
}

/* None is lost: each waits for the lease, and makes its change of what counts then. */
static void test_at_once(void **state)
{
	_cleanup_free_ char *text = NULL;
	pid_t pids[WRITERS];
	int status;

	domain_join(&t.domain);
	for (unsigned i = 0; i < WRITERS; i++)
		pids[i] = in_child(append, "x");
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) != 0)
			fail_msg("writer %u failed", i);
	}
	text = text_now();
	assert_string_equal(text, "xxx");
}

/* The lease goes with who held it, and nothing has changed. */
static void test_killed(void **state)
{
	int ends[2], status;
	pid_t pid;
	char byte;

	domain_join(&t.domain);
	assert_int_equal(pipe(ends), 0);
	t.pipe = ends[1];
	pid = in_child(die, "");
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(edit(append, "d"), 0);
	assert_text("d");
	close(ends[0]);
	close(ends[1]);
}

static void test_no_lease(void **state)
{
	assert_int_equal(edit(append, "a"), -EBUSY);
	assert_non_null(strstr(t.cause, "its lease could not be had within 10 s"));
	assert_text("");
	t.lease.program = "/nowhere/ovirt-ha-whiteboard-lease";
	assert_int_equal(edit(append, "a"), -ENOENT);
	assert_text("");
}

static void test_volumes(void **state)
{
	static const char zeros[2 * BLOCK_SIZE];
	_cleanup_fclose_ FILE *file = fopen(t.volume.path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(zeros, 1, sizeof(zeros), file), sizeof(zeros));
	assert_int_equal(fflush(file), 0);
	domain_join(&t.domain);
	assert_int_equal(edit(append, "a"), -ENODATA);
	assert_string_equal(t.cause, "nothing was written there yet: a deployment writes the first");
	rewind(file);
	assert_int_equal(fputs("noise", file), 1);
	assert_int_equal(fflush(file), 0);
	assert_int_equal(edit(append, "a"), -EBADMSG);
	assert_string_equal(t.cause, "neither a head nor an archive");
}

/* The first generation, for which there is no lockspace yet; once. */
static void test_created(void **state)
{
	struct conf_archive archive = {0};
	FILE *file = fopen(t.volume.path, "we");

	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), CONF_VOLUME_BLOCKS * BLOCK_SIZE), 0);
	fclose(file);
	assert_int_equal(conf_archive_set(&archive, CONF_ENTRY_VERSION, "new", 3), 0);
	assert_int_equal(conf_volume_create(&t.volume, &archive, t.cause), 0);
	assert_text("new");
	assert_int_equal(conf_volume_create(&t.volume, &archive, t.cause), -ESTALE);
	assert_string_not_equal(t.cause, "");
	strcat(t.volume.path, ".none");
	assert_int_equal(conf_volume_create(&t.volume, &archive, t.cause), -ENOENT);
	conf_archive_done(&archive);
}

/* A volume with holes, as thin storage leaves them, on a file system with `left` blocks to spare. */
static void fill(const char *folder, unsigned left)
{
	struct conf_archive archive = {0};
	char vm[LONG + 1], path[128];
	struct statvfs st;
	FILE *file;

	memset(vm, 'v', LONG);
	vm[LONG] = '\0';
	assert_int_equal(mount("tmpfs", folder, "tmpfs", 0, "size=1m"), 0);
	file = fopen(t.volume.path, "we");
	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), CONF_VOLUME_BLOCKS * BLOCK_SIZE), 0);
	fclose(file);
	assert_int_equal(conf_archive_set(&archive, CONF_ENTRY_VERSION, "old", 3), 0);
	assert_int_equal(conf_archive_set(&archive, CONF_ENTRY_VM, vm, LONG), 0);
	assert_int_equal(conf_volume_create(&t.volume, &archive, t.cause), 0);
	conf_archive_done(&archive);

	snprintf(path, sizeof(path), "%s/filler", folder);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(statvfs(folder, &st), 0);
	assert_int_equal(st.f_bsize, BLOCK_SIZE);
	assert_int_equal(fallocate(fileno(file), 0, 0, (off_t)((st.f_bfree - left) * BLOCK_SIZE)), 0);
	fclose(file);
	assert_int_equal(statvfs(folder, &st), 0);
	assert_int_equal(st.f_bfree, left);
}

/* Storage that is full at any block of a new generation: the old one counts on, the reason is said, and with
 * room the change is made. */
static void test_full(void **state)
{
	unsigned full = 0;
	char folder[96], filler[128];
	int r = -ENOSPC;

	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	snprintf(folder, sizeof(folder), "%s/full", t.domain.dir);
	assert_int_equal(mkdir(folder, 0755), 0);
	snprintf(t.volume.path, sizeof(t.volume.path), "%s/volume", folder);
	snprintf(filler, sizeof(filler), "%s/filler", folder);
	domain_join(&t.domain);
	for (unsigned left = 0; r < 0; left++) {
		fill(folder, left);
		r = edit(append, "er");
		if (r < 0) {
			assert_int_equal(r, -ENOSPC);
			assert_non_null(strstr(t.cause, "the storage is full: "));
			assert_text("old");
			assert_int_equal(unlink(filler), 0);
			assert_int_equal(edit(append, "er"), 0);
			full++;
		}
		assert_text("older");
		assert_int_equal(umount(folder), 0);
	}
	assert_true(full > LONG / BLOCK_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_after_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_lease, setup, teardown),
		cmocka_unit_test_setup_teardown(test_volumes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_created, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
