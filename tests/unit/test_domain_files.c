/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domains in real folders, with sectors of 512 and 4096 bytes; what is refused; full and read-only storage;
 * faults and power cuts at every operation. Mounts are in a namespace of this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#undef BLOCK_SIZE /* the kernel's, of another meaning */
#include "storage/domain.h"
#include "tests/unit/storage_place.h"
#include "tests/unit/write_fault.h"

#define UUID "0c33e9c5-5bd8-4f4e-8f5c-0123456789ab"
#define OTHER "99999999-5bd8-4f4e-8f5c-0123456789ab"
#define MIB DOMAIN_MIB

static struct storage_place place;
static char folder[100];

static void make_folder(void)
{
	snprintf(folder, sizeof(folder), "%s/folder", place.dir);
	assert_int_equal(mkdir(folder, 0755), 0);
}

static struct domain_request request_here(void)
{
	return (struct domain_request){
		.path = folder,
		.identity = {UUID, "hosted-engine"},
		.disk_size = 3 * MIB,
		.io_timeout_s = 1,
		.uid = DOMAIN_OWNER_ID,
		.gid = DOMAIN_OWNER_ID,
	};
}

static void assert_files(const char *wanted)
{
	char *output;

	assert_true(place_run(&place, "ls -A $DIR/folder | tr '\\n' ' '", &output));
	assert_string_equal(output, wanted);
	free(output);
}

static void check_domain(const struct domain *domain)
{
	const char *align = domain->sector_size == 512 ? "1M" : "8M";
	char command[300], *output;
	struct stat st;

	assert_files("conf disk leases lockspace metadata ");
	for (int i = 0; i < AREA_COUNT; i++) {
		assert_int_equal(stat(domain->areas[i].path, &st), 0);
		assert_int_equal(st.st_mode, S_IFREG | 0660);
		assert_int_equal(st.st_uid, DOMAIN_OWNER_ID);
		assert_int_equal(st.st_gid, DOMAIN_OWNER_ID);
		assert_int_equal(st.st_size, domain->areas[i].size);
		assert_int_equal(domain->areas[i].offset, 0);
		assert_string_equal(domain->areas[i].partition_uuid, "");
	}
	assert_true(domain->files);
	assert_int_equal(domain->alignment, domain->sector_size == 512 ? MIB : 8 * MIB);
	snprintf(command, sizeof(command), "sanlock direct dump $DIR/folder/leases -Z %u -A %s",
		 domain->sector_size, align);
	assert_true(place_run(&place, command, &output));
	assert_non_null(strstr(output, " engine "));
	assert_non_null(strstr(output, " whiteboard "));
	assert_non_null(strstr(output, " conf "));
	free(output);
	snprintf(command, sizeof(command),
		 "sanlock direct read_leader -s hosted-engine:2000:$DIR/folder/lockspace:0 -Z %u -A %s",
		 domain->sector_size, align);
	assert_true(place_run(&place, command, &output));
	assert_non_null(strstr(output, "read_leader done 0"));
	free(output);
}

static void test_real(void **state)
{
	static struct domain domain, again;
	char why[DOMAIN_WHY_SIZE] = "";
	struct domain_request request;

	(void)state;
	place_open(&place, 0, 0, false);
	make_folder();
	/* What a filesystem makes itself. */
	assert_true(place_run(&place, "mkdir $DIR/folder/lost+found", NULL));
	request = request_here();
	assert_int_equal(domain_read(folder, 0, &domain, why), -ENODATA);
	assert_int_equal(domain_format(&request, &domain, why), 0);
	assert_true(place_run(&place, "rmdir $DIR/folder/lost+found", NULL));
	check_domain(&domain);
	assert_int_equal(domain.sector_size, 512);
	assert_string_equal(domain.identity.domain, UUID);
	assert_int_equal(domain.areas[AREA_DISK].size, 3 * MIB);

	/* Again it is refused, with its files' names; asked to, it is replaced, and nothing else. */
	assert_int_equal(domain_format(&request, &domain, why), -EEXIST);
	assert_non_null(strstr(why, "metadata"));
	assert_true(place_run(&place, "echo mine >$DIR/folder/letter", NULL));
	request.force = true;
	strcpy(request.identity.domain, OTHER);
	assert_int_equal(domain_format(&request, &domain, why), 0);
	assert_true(place_run(&place, "grep -q mine $DIR/folder/letter && rm $DIR/folder/letter", NULL));
	check_domain(&domain);
	assert_string_equal(domain.identity.domain, OTHER);
	assert_int_equal(domain_read(folder, 0, &again, why), 0);
	assert_memory_equal(&domain, &again, sizeof(domain));

	assert_true(place_run(&place, "truncate -s 1M $DIR/folder/leases", NULL));
	assert_int_equal(domain_read(folder, 0, &again, why), -EBADMSG);
	assert_non_null(strstr(why, "leases is too small"));
	assert_true(place_run(&place, "rm $DIR/folder/leases", NULL));
	assert_int_equal(domain_read(folder, 0, &again, why), -EBADMSG);
	assert_memory_equal(&domain, &again, sizeof(domain));
	place_close(&place);
}

static void test_refused(void **state)
{
	static const struct {
		const char *name, *command, *says;
	} rows[] = {
		{"a file", "touch $DIR/folder/letter", "holds letter"},
		{"a hidden file", "touch $DIR/folder/.htaccess", "holds .htaccess"},
		{"a folder", "mkdir $DIR/folder/iso", "holds iso"},
		{"many", "cd $DIR/folder && touch 1 2 3 4 5 6 7 8", ", 3 more"},
		{"escape codes", "touch \"$DIR/folder/$(printf 'a\\033[31m')\"", "holds a?[31m"},
		{"what a power cut left", "touch $DIR/folder/metadata.new", "holds metadata.new"},
	};
	static struct domain domain;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct domain_request request;
		char why[DOMAIN_WHY_SIZE] = "";

		print_message("# %s\n", rows[i].name);
		place_open(&place, 0, 0, false);
		make_folder();
		assert_true(place_run(&place, rows[i].command, NULL));
		request = request_here();
		assert_int_equal(domain_format(&request, &domain, why), -EEXIST);
		if (!strstr(why, rows[i].says))
			fail_msg("%s", why);
		assert_true(place_run(&place, "test ! -e $DIR/folder/lockspace", NULL));
		request.force = true;
		assert_int_equal(domain_format(&request, &domain, why), 0);
		place_close(&place);
	}
}

/* Whoever has a file of it goes on writing into what is gone: refused even when it may be lost. */
static void test_in_use(void **state)
{
	static struct domain domain;
	char why[DOMAIN_WHY_SIZE] = "", path[200];
	struct domain_request request;
	int ends[2];
	pid_t child;
	char byte;

	(void)state;
	place_open(&place, 0, 0, false);
	make_folder();
	request = request_here();
	assert_int_equal(domain_format(&request, &domain, why), 0);
	request.force = true;
	strcpy(request.identity.domain, OTHER);
	assert_int_equal(pipe(ends), 0);
	for (int flags = O_RDONLY; flags <= O_RDWR; flags += O_RDWR - O_RDONLY) {
		snprintf(path, sizeof(path), "%s/lockspace", folder);
		child = fork();
		if (child == 0) {
			(void)!write(ends[1], open(path, flags) < 0 ? "n" : "y", 1);
			for (;;)
				pause();
		}
		assert_int_equal(read(ends[0], &byte, 1), 1);
		assert_int_equal(byte, 'y');
		assert_int_equal(domain_format(&request, &domain, why), flags == O_RDWR ? -EBUSY : 0);
		if (flags == O_RDWR) {
			assert_non_null(strstr(why, "/lockspace is in use on this host by test_domain"));
			strcpy(request.identity.domain, UUID);
		}
		assert_int_equal(domain_read(folder, 0, &domain, why), 0);
		assert_string_equal(domain.identity.domain, OTHER);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	close(ends[0]);
	close(ends[1]);
	/* And a loop device. */
	assert_true(place_run(&place, "losetup --find --show $DIR/folder/disk >$DIR/loop", NULL));
	assert_int_equal(domain_format(&request, &domain, why), -EBUSY);
	assert_non_null(strstr(why, "/disk is in use on this host by /dev/loop"));
	assert_true(place_run(&place, "losetup --detach $(cat $DIR/loop)", NULL));
	assert_int_equal(domain_format(&request, &domain, why), 0);
	place_close(&place);
}

/* The old domain stays whole where one of its files can't go. */
static void test_folder_of_a_files_name(void **state)
{
	static struct domain domain;
	char why[DOMAIN_WHY_SIZE] = "";
	struct domain_request request = request_here();

	(void)state;
	place_open(&place, 0, 0, false);
	make_folder();
	assert_int_equal(domain_format(&request, &domain, why), 0);
	assert_true(place_run(&place, "rm $DIR/folder/conf && mkdir $DIR/folder/conf", NULL));
	request.force = true;
	assert_int_equal(domain_format(&request, &domain, why), -EISDIR);
	assert_files("conf disk leases lockspace metadata ");
	place_close(&place);
}

/* `mount` a filesystem of a disk with these sectors over the folder. */
static void open_mounted(uint64_t size, unsigned sectors)
{
	place_open(&place, size, sectors, false);
	make_folder();
	assert_true(place_run(&place, "mke2fs -q -t ext4 -b 4096 -m 0 -O ^has_journal $DISK", NULL));
	assert_int_equal(mount(place.disk, folder, "ext4", 0, NULL), 0);
}

static void close_mounted(void)
{
	assert_int_equal(umount(folder), 0);
	place_close(&place);
}

static void test_mounted(void **state)
{
	static struct domain domain;
	struct domain_request request;
	char why[DOMAIN_WHY_SIZE] = "";

	(void)state;
	for (unsigned sectors = 512; sectors <= 4096; sectors += 4096 - 512) {
		open_mounted(100 * MIB, sectors);
		request = request_here();
		if (domain_format(&request, &domain, why) < 0)
			fail_msg("%s", why);
		assert_int_equal(domain.sector_size, sectors);
		assert_true(place_run(&place, "rmdir $DIR/folder/lost+found", NULL));
		check_domain(&domain);
		close_mounted();
	}

	/* Full before it begins: the VM's disk counts, though it has holes. */
	open_mounted(20 * MIB, 512);
	request = request_here();
	request.disk_size = 40 * MIB;
	assert_int_equal(domain_format(&request, &domain, why), -ENOSPC);
	assert_non_null(strstr(why, "bytes left, the domain takes 5"));
	assert_files("lost+found ");

	/* Read-only. */
	assert_int_equal(mount(NULL, folder, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	request.disk_size = MIB;
	assert_int_equal(domain_format(&request, &domain, why), -EROFS);
	assert_non_null(strstr(why, "Read-only"));
	close_mounted();
}

/* What a server's squashing of root takes from it, too. */
static void become_nobody(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	const uint32_t lost =
		1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_CHOWN | 1u << CAP_FOWNER;

	assert_int_equal(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~lost;
	data[0].permitted &= ~lost;
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

/* A folder of the owner is written as the owner: a server that squashes root lets it in as nobody, who may
 * neither write there nor change owners. */
static void test_owners_folder(void **state)
{
	static struct domain domain;
	char why[DOMAIN_WHY_SIZE] = "";
	struct domain_request request;
	int status;
	pid_t pid;

	(void)state;
	place_open(&place, 0, 0, false);
	assert_int_equal(chmod(place.dir, 0755), 0);
	make_folder();
	assert_int_equal(chown(folder, DOMAIN_OWNER_ID, DOMAIN_OWNER_ID), 0);
	assert_int_equal(chmod(folder, 0700), 0);
	request = request_here();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		become_nobody();
		if (open(folder, O_RDONLY) >= 0)
			_exit(1);
		if (domain_format(&request, &domain, why) < 0) {
			print_message("# %s\n", why);
			_exit(2);
		}
		_exit(setfsuid((uid_t)-1) != 0 || setfsgid((gid_t)-1) != 0 ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(domain_read(folder, 0, &domain, why), 0);
	check_domain(&domain);
	place_close(&place);
}

static void test_faults(void **state)
{
	static const int errors[] = {EIO, ENOSPC};
	static struct domain domain;

	(void)state;
	for (size_t e = 0; e < 2; e++) {
		bool fired = true;

		for (unsigned at = 0; fired; at++) {
			struct domain_request request;
			char why[DOMAIN_WHY_SIZE] = "";
			int r;

			place_open(&place, 0, 0, false);
			make_folder();
			request = request_here();
			write_fault_arm(WRITE_FAIL, at, errors[e]);
			r = domain_format(&request, &domain, why);
			write_fault_end(&fired);
			if (fired) {
				assert_true(r == -EIO || r == -ENOSPC);
				assert_non_null(strstr(why, folder));
				assert_files(""); /* nothing half made */
			} else {
				assert_int_equal(r, 0);
				assert_true(at > 20);
			}
			place_close(&place);
		}
	}
}

/* The process ends at every operation, over an old domain: what is found then is nothing, the old one before
 * anything was touched, or the new one whole; and it can be laid out again. */
static void test_power_cut(void **state)
{
	static struct domain domain;
	unsigned none = 0, old = 0, whole = 0;
	int status = WRITE_CUT_STATUS;

	(void)state;
	for (unsigned at = 0; status == WRITE_CUT_STATUS; at++) {
		struct domain_request request;
		char why[DOMAIN_WHY_SIZE] = "";
		pid_t pid;
		int r;

		place_open(&place, 0, 0, false);
		make_folder();
		request = request_here();
		strcpy(request.identity.domain, OTHER);
		write_fault_arm(WRITE_COUNT, 0, 0);
		assert_int_equal(domain_format(&request, &domain, why), 0);
		strcpy(request.identity.domain, UUID);
		request.force = true;
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			write_fault_arm(WRITE_CUT, at, 0);
			r = domain_format(&request, &domain, why);
			_exit(r == 0 ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		status = WEXITSTATUS(status);
		assert_true(status == 0 || status == WRITE_CUT_STATUS);
		r = domain_read(folder, 0, &domain, why);
		if (r < 0) {
			none++;
			assert_int_equal(r, -ENODATA);
		} else if (strcmp(domain.identity.domain, OTHER) == 0) {
			old++;
			assert_int_equal(none, 0);
		} else {
			whole++;
			check_domain(&domain);
		}
		assert_int_equal(domain_format(&request, &domain, why), 0);
		check_domain(&domain);
		place_close(&place);
	}
	assert_true(none > 20 && old > 0 && whole > 0);
}

static int own_mounts(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0;
}

/* What a deployment that was broken off takes away again: its own domain, or what is left of its format. */
static void test_erased(void **state)
{
	static struct domain domain;
	char why[DOMAIN_WHY_SIZE] = "";
	struct domain_request request;

	(void)state;
	place_open(&place, 0, 0, false);
	make_folder();
	request = request_here();
	assert_int_equal(domain_vacant(folder, 0, why), 0);
	assert_int_equal(domain_erase(folder, UUID, 0, why), 0);
	assert_int_equal(domain_format(&request, &domain, why), 0);
	assert_int_equal(domain_vacant(folder, 0, why), -EEXIST);
	assert_non_null(strstr(why, "metadata"));
	assert_true(place_run(&place, "echo mine >$DIR/folder/notes", NULL));
	assert_int_equal(domain_erase(folder, OTHER, 0, why), -EXDEV);
	assert_non_null(strstr(why, UUID));
	assert_files("conf disk leases lockspace metadata notes ");
	assert_int_equal(domain_erase(folder, UUID, 0, why), 0);
	assert_files("notes ");
	/* A domain that is damaged is left to people. */
	assert_true(place_run(&place, "touch $DIR/folder/metadata $DIR/folder/disk", NULL));
	assert_int_equal(domain_erase(folder, UUID, 0, why), -EXDEV);
	assert_files("disk metadata notes ");
	assert_true(place_run(&place, "rm $DIR/folder/metadata $DIR/folder/disk", NULL));
	assert_true(place_run(
		&place, "rm $DIR/folder/notes; touch $DIR/folder/lockspace $DIR/folder/metadata.new", NULL));
	assert_int_equal(domain_erase(folder, UUID, 0, why), 0);
	assert_files("");
	assert_int_equal(domain_erase("/nowhere", UUID, 0, why), -ENOENT);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),	cmocka_unit_test(test_refused),
		cmocka_unit_test(test_real),	cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_real),	cmocka_unit_test(test_folder_of_a_files_name),
		cmocka_unit_test(test_mounted), cmocka_unit_test(test_owners_folder),
		cmocka_unit_test(test_faults),	cmocka_unit_test(test_power_cut),
		cmocka_unit_test(test_erased),
	};

	return cmocka_run_group_tests(tests, own_mounts, NULL);
}
