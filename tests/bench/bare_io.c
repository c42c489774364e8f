/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One way for each kind of store; decides as little as can be. It does what the stores' files may not: waits
 * for a library. Called by bench_store. */
#include "tests/bench/bare_io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <nfsc/libnfs.h>

#include "metadata/store_url.h"
#include "util/cleanup.h"

#define CALL_BYTES (1024 * 1024) /* of a read, as the stores ask */
#define V4_WRITE_BYTES 2048	 /* in one call, as the store does: the library has no room for a block */

/* What a thread is asked for; neither `to` nor `from`: to end. */
struct asked {
	uint64_t at;
	size_t size;
	uint8_t *to;
	const uint8_t *from;
	int error; /* its answer */
};

struct bare_io {
	int (*read)(struct bare_io *io, uint64_t at, size_t size, uint8_t *to);
	int (*write)(struct bare_io *io, uint64_t at, const uint8_t *from);
	int fd;
	uint8_t *buffer; /* aligned, of a path */
	struct nfs_context *nfs;
	struct nfsfh *file;
	size_t write_bytes;
	struct iscsi_context *iscsi;
	int lun, sector;
	bool thread;
	pthread_t id;
	struct asked asked;
	sem_t to_thread;
	int from_thread; /* eventfd */
};

static int path_read(struct bare_io *io, uint64_t at, size_t size, uint8_t *to)
{
	if (pread(io->fd, io->buffer, size, (off_t)at) != (ssize_t)size)
		return -EIO;
	memcpy(to, io->buffer, size);
	return 0;
}

static int path_write(struct bare_io *io, uint64_t at, const uint8_t *from)
{
	memcpy(io->buffer, from, BLOCK_SIZE);
	return pwrite(io->fd, io->buffer, BLOCK_SIZE, (off_t)at) == BLOCK_SIZE ? 0 : -EIO;
}

static int path_open(struct bare_io *io, const char *path)
{
	io->read = path_read;
	io->write = path_write;
	io->buffer = aligned_alloc(BLOCK_SIZE, (size_t)BLOCKS_MAX * BLOCK_SIZE);
	io->fd = open(path, O_RDWR | O_DIRECT | O_SYNC | O_CLOEXEC);
	return io->buffer && io->fd >= 0 ? 0 : -EIO;
}

static int nfs_read_blocks(struct bare_io *io, uint64_t at, size_t size, uint8_t *to)
{
	for (size_t done = 0; done < size;) {
		size_t part = size - done < CALL_BYTES ? size - done : CALL_BYTES;
		int n = nfs_pread(io->nfs, io->file, at + done, part, (char *)to + done);

		if (n <= 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

static int nfs_write_block(struct bare_io *io, uint64_t at, const uint8_t *from)
{
	for (size_t left = BLOCK_SIZE; left > 0; left -= io->write_bytes)
		if (nfs_pwrite(io->nfs, io->file, at + left - io->write_bytes, io->write_bytes,
			       from + left - io->write_bytes) != (int)io->write_bytes)
			return -EIO;
	return 0;
}

static int nfs_begin(struct bare_io *io, const struct store_url *url)
{
	const char *slash = strrchr(url->path, '/'), *version = store_url_text(url, "version");
	_cleanup_free_ char *folder = strndup(url->path, (size_t)(slash - url->path));

	io->read = nfs_read_blocks;
	io->write = nfs_write_block;
	io->write_bytes = strcmp(version, "4") == 0 ? V4_WRITE_BYTES : BLOCK_SIZE;
	io->nfs = nfs_init_context();
	return io->nfs && nfs_set_version(io->nfs, atoi(version)) == 0 &&
			       nfs_mount(io->nfs, url->places[0].host, folder) == 0 &&
			       nfs_open(io->nfs, slash, O_RDWR | O_SYNC, &io->file) == 0
		       ? 0
		       : -EIO;
}

static int task_end(struct scsi_task *task, uint8_t *to, size_t size)
{
	int r = task && task->status == SCSI_STATUS_GOOD ? 0 : -EIO;

	if (r == 0 && to)
		memcpy(to, task->datain.data, size);
	if (task)
		scsi_free_scsi_task(task);
	return r;
}

static int iscsi_read_blocks(struct bare_io *io, uint64_t at, size_t size, uint8_t *to)
{
	return task_end(iscsi_read16_sync(io->iscsi, io->lun, at / (unsigned)io->sector, (uint32_t)size,
					  io->sector, 0, 0, 0, 0, 0),
			to, size);
}

static int iscsi_write_block(struct bare_io *io, uint64_t at, const uint8_t *from)
{
	return task_end(iscsi_write16_sync(io->iscsi, io->lun, at / (unsigned)io->sector, (uint8_t *)from,
					   BLOCK_SIZE, io->sector, 0, 0, 1, 0, 0),
			NULL, 0);
}

static int iscsi_begin(struct bare_io *io, const struct store_url *url, const struct store_access *access)
{
	const char *slash = strrchr(url->path, '/');
	_cleanup_free_ char *target = strndup(url->path + 1, (size_t)(slash - url->path - 1));
	const struct scsi_readcapacity16 *capacity;
	struct scsi_task *task;

	io->read = iscsi_read_blocks;
	io->write = iscsi_write_block;
	io->lun = atoi(slash + 1);
	io->iscsi = iscsi_create_context("iqn.2026-11.lab:bare");
	if (!io->iscsi || iscsi_set_targetname(io->iscsi, target) < 0 ||
	    iscsi_set_session_type(io->iscsi, ISCSI_SESSION_NORMAL) < 0 ||
	    iscsi_set_header_digest(io->iscsi, ISCSI_HEADER_DIGEST_NONE_CRC32C) < 0 ||
	    iscsi_set_initiator_username_pwd(io->iscsi, access->user, access->password) < 0 ||
	    iscsi_full_connect_sync(io->iscsi, url->places[0].host, io->lun) < 0)
		return -EIO;
	task = iscsi_readcapacity16_sync(io->iscsi, io->lun);
	capacity = task ? scsi_datain_unmarshall(task) : NULL;
	io->sector = capacity ? (int)capacity->block_length : 0;
	if (task)
		scsi_free_scsi_task(task);
	return io->sector > 0 ? 0 : -EIO;
}

static int perform(struct bare_io *io, const struct asked *asked)
{
	return asked->to ? io->read(io, asked->at, asked->size, asked->to)
			 : io->write(io, asked->at, asked->from);
}

static void *serve(void *data)
{
	struct bare_io *io = data;

	for (;;) {
		while (sem_wait(&io->to_thread) < 0)
			;
		if (!io->asked.to && !io->asked.from)
			return NULL;
		io->asked.error = perform(io, &io->asked);
		(void)eventfd_write(io->from_thread, 1);
	}
}

static int thread_begin(struct bare_io *io)
{
	io->from_thread = eventfd(0, EFD_CLOEXEC);
	if (io->from_thread < 0 || sem_init(&io->to_thread, 0, 0) < 0)
		return -errno;
	io->thread = pthread_create(&io->id, NULL, serve, io) == 0;
	return io->thread ? 0 : -EAGAIN;
}

static int ask(struct bare_io *io, struct asked asked)
{
	struct pollfd ended = {.fd = io->from_thread, .events = POLLIN};
	eventfd_t count;

	if (!io->thread)
		return perform(io, &asked);
	io->asked = asked;
	sem_post(&io->to_thread);
	while (poll(&ended, 1, -1) < 1)
		;
	return eventfd_read(io->from_thread, &count) < 0 ? -errno : io->asked.error;
}

static void thread_end(struct bare_io *io)
{
	if (!io->thread)
		return;
	io->asked = (struct asked){0};
	sem_post(&io->to_thread);
	pthread_join(io->id, NULL);
}

int bare_io_open(const char *spec, const struct store_access *access, bool thread, struct bare_io **ret)
{
	struct bare_io *io = calloc(1, sizeof(*io));
	struct store_url url = {0};
	char what[256];
	int r;

	if (!io)
		return -ENOMEM;
	io->fd = io->from_thread = -1;
	if (spec[0] == '/') {
		r = path_open(io, spec);
	} else {
		r = store_url_parse(spec, &url, what, sizeof(what));
		if (r == 0)
			r = strncmp(spec, "nfs:", 4) == 0 ? nfs_begin(io, &url)
							  : iscsi_begin(io, &url, access);
	}
	store_url_done(&url);
	if (r == 0 && thread)
		r = thread_begin(io);
	if (r < 0)
		bare_io_close(io);
	else
		*ret = io;
	return r;
}

int bare_io_read(struct bare_io *io, uint32_t first, uint32_t count, uint8_t *ret)
{
	return ask(io, (struct asked){.at = (uint64_t)first * BLOCK_SIZE,
				      .size = (size_t)count * BLOCK_SIZE,
				      .to = ret});
}

int bare_io_write(struct bare_io *io, uint32_t block, const uint8_t *data)
{
	return ask(io, (struct asked){.at = (uint64_t)block * BLOCK_SIZE, .from = data});
}

void bare_io_close(struct bare_io *io)
{
	if (!io)
		return;
	thread_end(io);
	if (io->file)
		nfs_close(io->nfs, io->file);
	if (io->nfs)
		nfs_destroy_context(io->nfs);
	if (io->iscsi)
		iscsi_destroy_context(io->iscsi);
	cleanup_close(&io->from_thread);
	cleanup_close(&io->fd);
	free(io->buffer);
	free(io);
}
