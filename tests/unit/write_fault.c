/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands before calls that write. Decides only whether the n-th of them happens; unarmed, all do. Called by
 * the unit tests of storage/. */
#include "tests/unit/write_fault.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT_MAX 1000

static struct {
	bool armed, fired;
	enum write_fault_kind kind;
	unsigned at, seen;
	int error;
	struct kept_write kept[KEPT_MAX];
	size_t n_kept;
} fault;

void write_fault_arm(enum write_fault_kind kind, unsigned at, int error)
{
	for (size_t i = 0; i < fault.n_kept; i++)
		free(fault.kept[i].data);
	memset(&fault, 0, sizeof(fault));
	fault.kind = kind;
	fault.at = at;
	fault.error = error;
	fault.armed = true;
}

unsigned write_fault_end(bool *ret_fired)
{
	fault.armed = false;
	if (ret_fired)
		*ret_fired = fault.fired;
	return fault.seen;
}

size_t write_fault_kept(const struct kept_write **ret)
{
	*ret = fault.kept;
	return fault.n_kept;
}

static void keep(const void *data, size_t size, uint64_t offset, bool durable)
{
	struct kept_write *kept;

	if (!fault.armed || fault.kind != WRITE_KEEP)
		return;
	assert(fault.n_kept < KEPT_MAX);
	kept = &fault.kept[fault.n_kept++];
	*kept = (struct kept_write){.offset = offset, .size = size, .durable = durable};
	if (size > 0) {
		kept->data = malloc(size);
		assert(kept->data);
		memcpy(kept->data, data, size);
	}
}

/* False: the operation fails, errno is set. */
static bool may(void)
{
	unsigned number;

	if (!fault.armed)
		return true;
	number = fault.seen++;
	if (fault.kind == WRITE_CUT && number == fault.at)
		_exit(WRITE_CUT_STATUS);
	if (fault.kind == WRITE_FAIL && (number == fault.at || (number > fault.at && fault.error != EIO))) {
		fault.fired = true;
		errno = fault.error;
		return false;
	}
	return true;
}

static bool on_storage(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset);
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	if (!may())
		return -1;
	keep(data, size, (uint64_t)offset, false);
	return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return pwrite64(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size)
{
	if (fault.armed && on_storage(fd)) {
		if (!may())
			return -1;
		keep(data, size, (uint64_t)lseek(fd, 0, SEEK_CUR), false);
	}
	return syscall(SYS_write, fd, data, size);
}

/* One context for the whole process: sanlock makes one for each call, and each end of one takes 30 ms. */
static struct {
	pid_t owner;
	aio_context_t context;
} aio;

int io_setup(int n, aio_context_t *ret);
int io_setup(int n, aio_context_t *ret)
{
	if (aio.owner != getpid()) {
		aio.context = 0;
		if (syscall(SYS_io_setup, n, &aio.context) < 0)
			return -errno;
		aio.owner = getpid();
	}
	*ret = aio.context;
	return 0;
}

int io_destroy(aio_context_t context);
int io_destroy(aio_context_t context)
{
	return 0;
}

int io_submit(aio_context_t context, long n, struct iocb **calls);
int io_submit(aio_context_t context, long n, struct iocb **calls)
{
	long r;

	for (long i = 0; i < n; i++)
		if (calls[i]->aio_lio_opcode == IOCB_CMD_PWRITE) {
			if (!may())
				return -errno;
			keep((const void *)(uintptr_t)calls[i]->aio_buf, calls[i]->aio_nbytes,
			     (uint64_t)calls[i]->aio_offset, true);
		}
	r = syscall(SYS_io_submit, context, n, calls);
	return r < 0 ? -errno : (int)r;
}

/* While armed nothing is flushed for real: what a cut loses is the test's own affair, and it saves minutes.
 */
static int flush(int fd, long call)
{
	int r;

	if (!may())
		return -1;
	r = fault.armed ? 0 : (int)syscall(call, fd);
	keep(NULL, 0, 0, false);
	return r;
}

int fsync(int fd)
{
	return flush(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return flush(fd, SYS_fdatasync);
}

int ftruncate64(int fd, off64_t size)
{
	return may() ? (int)syscall(SYS_ftruncate, fd, size) : -1;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return may() ? (int)syscall(SYS_renameat, from_dir, from, to_dir, to) : -1;
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	return may() ? (int)syscall(SYS_fchown, fd, uid, gid) : -1;
}

int fchmod(int fd, mode_t mode)
{
	return may() ? (int)syscall(SYS_fchmod, fd, mode) : -1;
}

/* A removal may fail nobody: cleaning up after a fault is what is under test. */
int unlinkat(int dir, const char *name, int flags)
{
	if (fault.armed && fault.kind == WRITE_CUT && !may())
		return -1;
	return (int)syscall(SYS_unlinkat, dir, name, flags);
}

/* sanlock's library keeps the buffer of a lease's write that failed. Asked for by LeakSanitizer alone. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:paxos_lease_init";
}
