/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store of a file or block device. Each queue has a worker and at most one operation; the loop's timer
 * ends what is late and leaves its thread behind. Descriptors belong to the queues and are lent to their
 * jobs, so that a stuck thread keeps its own. It may not do I/O in the loop's thread, nor serve anything from
 * the page cache: other hosts write the same blocks. Called by the broker and the tools. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#undef BLOCK_SIZE /* the kernel's, of another meaning */
#include "metadata/op_queue.h"
#include "util/cleanup.h"
#include "util/loop.h"
#include "util/worker.h"

/* Memory and offsets aligned so serve sectors of 512 and of 4096 bytes. */
#define ALIGNMENT 4096
#define SECTOR_MAX ALIGNMENT

_Static_assert(BLOCK_SIZE % ALIGNMENT == 0, "every block starts at a sector of either size");

/* A buffer kept may be so much larger than what is read or written. */
#define BUFFER_SLACK 16

struct path_queue;

/* What a thread is given. Nothing in it is shared. */
struct path_job {
	struct job job;		  /* first: util/worker.h */
	struct path_queue *queue; /* only for done(), in the loop's thread */
	char *path;
	uint64_t at; /* byte in the file */
	size_t size;
	uint8_t *buffer; /* aligned, of `buffer_size` bytes or more */
	size_t buffer_size;
	int fd; /* -1: to be opened */
	bool write, fixed_end;
	int error;
};

struct path_queue {
	struct op_queue ops; /* stuck as long as the worker has stuck threads */
	struct store_path *store;
	struct worker *worker;
	int fd; /* -1: not open, or lent to a job */
	/* Kept from one job to the next: the kernel makes 256 pages anew for each that is given back to it, a
	 * third of the time that a MiB takes. NULL: none yet, or lent. */
	uint8_t *buffer;
	size_t buffer_size;
};

struct store_path {
	struct store store; /* first */
	char *path;
	uint64_t offset;
	struct loop *loop;
	struct clock_port *clock;
	struct store_health health;
	bool fixed_end;
	struct path_queue queues[STORE_QUEUE_COUNT];
};

static void job_free(struct path_job *job)
{
	if (!job)
		return;
	cleanup_close(&job->fd);
	free(job->buffer);
	free(job->path);
	free(job);
}

static void job_destroy(struct job *job)
{
	job_free((struct path_job *)job);
}

/* Which file that is and how long. Never its times: the kernel gives a file whose times were told new ones at
 * the next write, and that write then waits for the journal too, which costs as much again. */
static int look(int folder, const char *path, struct statx *ret)
{
	return statx(folder, path, AT_EMPTY_PATH, STATX_TYPE | STATX_INO | STATX_SIZE, ret) < 0 ? -errno : 0;
}

static bool same_file(const struct statx *a, const struct statx *b)
{
	return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
	       a->stx_dev_minor == b->stx_dev_minor && a->stx_rdev_major == b->stx_rdev_major &&
	       a->stx_rdev_minor == b->stx_rdev_minor;
}

static int check_sectors(int fd, const struct statx *file)
{
	int sector;

	if (!S_ISBLK(file->stx_mode))
		return S_ISREG(file->stx_mode) ? 0 : -EINVAL;
	if (ioctl(fd, BLKSSZGET, &sector) < 0)
		return -errno;
	return sector <= 0 || sector > SECTOR_MAX ? -EINVAL : 0;
}

static int open_path(const char *path, struct statx *ret)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_DIRECT | O_SYNC | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0)
		return -errno;
	r = look(fd, "", ret);
	if (r == 0)
		r = check_sectors(fd, ret);
	return r < 0 ? r : TAKE_FD(fd);
}

/* Somebody may have put another file in the path's place: a restored whiteboard, a remount. Writing on into
 * the old one would be a host that nobody sees. */
static int find_file(struct path_job *job, struct statx *ret)
{
	struct statx ours;

	if (job->fd >= 0 && look(job->fd, "", &ours) == 0 && look(AT_FDCWD, job->path, ret) == 0 &&
	    same_file(&ours, ret))
		return 0;
	cleanup_close(&job->fd);
	job->fd = open_path(job->path, ret);
	return job->fd < 0 ? job->fd : 0;
}

static int read_all(struct path_job *job)
{
	size_t done = 0;

	while (done < job->size) {
		ssize_t n = pread(job->fd, job->buffer + done, job->size - done, (off_t)(job->at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
		/* The end of the file; it need not be one of a sector, and from there O_DIRECT can't go on.
		 */
		if (n == 0 || done % 512 != 0)
			break;
	}
	memset(job->buffer + done, 0, job->size - done);
	return 0;
}

/* A file that was cut short is not made longer: whoever cut it has another one in mind. */
static int check_end(const struct path_job *job, const struct statx *file)
{
	uint64_t end = file->stx_size;

	if (S_ISBLK(file->stx_mode) && ioctl(job->fd, BLKGETSIZE64, &end) < 0)
		return -errno;
	return job->at + job->size > end ? -EFBIG : 0;
}

/* The kernel says "not permitted" of a disk that is read-only, as it says of what its rights forbid. */
static int write_error(int fd, int error)
{
	int read_only = 0;

	if (error == EPERM && ioctl(fd, BLKROGET, &read_only) == 0 && read_only)
		return -EROFS;
	return -error;
}

static int write_all(struct path_job *job, const struct statx *file)
{
	size_t done = 0;
	int r = job->fixed_end ? check_end(job, file) : 0;

	if (r < 0)
		return r;
	while (done < job->size) {
		ssize_t n = pwrite(job->fd, job->buffer + done, job->size - done, (off_t)(job->at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return write_error(job->fd, errno);
		done += (size_t)n;
		if (n == 0 || done % 512 != 0)
			return -EIO;
	}
	return 0;
}

static void job_run(struct job *base)
{
	struct path_job *job = (struct path_job *)base;
	struct statx file;

	job->error = find_file(job, &file);
	if (job->error == 0)
		job->error = job->write ? write_all(job, &file) : read_all(job);
	/* After an error the descriptor may be one of storage that is gone (ESTALE, a device that came back).
	 */
	if (job->error < 0) {
		cleanup_close(&job->fd);
		job->fd = -1;
	}
}

static void queue_end(struct path_queue *queue, int error)
{
	struct store_path *store = queue->store;

	op_queue_end(&queue->ops, store->clock, &store->health, error);
}

static void take_back(struct path_queue *queue, struct path_job *job)
{
	queue->fd = TAKE_FD(job->fd);
	queue->buffer = TAKE_PTR(job->buffer);
	queue->buffer_size = job->buffer_size;
	job_free(job);
}

static void job_done(struct job *base)
{
	struct path_job *job = (struct path_job *)base;
	struct path_queue *queue = job->queue;
	int error = job->error;

	if (error == 0 && !job->write)
		op_queue_fill(&queue->ops, job->buffer, job->size / BLOCK_SIZE);
	take_back(queue, job);
	queue_end(queue, error);
}

static struct path_queue *queue_of(struct timer *timer)
{
	return (struct path_queue *)((char *)timer - offsetof(struct path_queue, ops.timer));
}

static void forget_returned(struct path_queue *queue)
{
	if (worker_stuck(queue->worker) == 0)
		queue->ops.stuck_since = MONO_UNSET;
}

/* Whatever its I/O does, the operation ends here. */
static void deadline_passed(struct timer *timer)
{
	struct path_queue *queue = queue_of(timer);

	forget_returned(queue);
	worker_give_up(queue->worker);
	queue_end(queue, -ETIMEDOUT);
}

/* With the queue's descriptor and buffer: take_back() returns them. */
static struct path_job *job_new(struct path_queue *queue, uint32_t first, uint32_t count, bool write)
{
	const struct store_path *store = queue->store;
	struct path_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	*job = (struct path_job){
		.job = {.run = job_run, .done = job_done, .destroy = job_destroy},
		.queue = queue,
		.at = store->offset + block_offset(first, count),
		.size = (size_t)count * BLOCK_SIZE,
		.fd = TAKE_FD(queue->fd),
		.write = write,
		.fixed_end = store->fixed_end,
		.path = strdup(store->path),
		.buffer = TAKE_PTR(queue->buffer),
		.buffer_size = queue->buffer_size,
	};
	/* What the scan at start took is not kept for the few blocks of each cycle. */
	if (!job->buffer || job->buffer_size < job->size || job->buffer_size / BUFFER_SLACK > job->size) {
		free(job->buffer);
		job->buffer = aligned_alloc(ALIGNMENT, job->size);
		job->buffer_size = job->size;
	}
	if (!job->path || !job->buffer) {
		take_back(queue, job);
		return NULL;
	}
	return job;
}

static int queue_begin(struct path_queue *queue, uint32_t first, uint32_t count, uint8_t *blocks,
		       struct image **images, const uint8_t *data, struct store_op *op)
{
	struct store_path *store = queue->store;
	struct path_job *job;
	int r;

	if (queue->ops.op)
		return -EBUSY;
	job = job_new(queue, first, count, data != NULL);
	if (!job)
		return -ENOMEM;
	if (data)
		memcpy(job->buffer, data, BLOCK_SIZE);
	r = worker_start(queue->worker, &job->job);
	if (r < 0) {
		take_back(queue, job);
		/* Not this queue's operation: all its threads hang in earlier ones. */
		return r == -EBUSY ? -ETIMEDOUT : r;
	}
	return op_queue_begin(&queue->ops, store->clock, first, blocks, images, op);
}

static int path_read(struct store *base, enum store_queue queue, uint32_t first, uint32_t count,
		     uint8_t *blocks, struct store_op *op)
{
	assert(blocks && queue < STORE_QUEUE_COUNT);
	return queue_begin(&((struct store_path *)base)->queues[queue], first, count, blocks, NULL, NULL, op);
}

static int path_scan(struct store *base, enum store_queue queue, uint32_t first, uint32_t count,
		     struct image **images, struct store_op *op)
{
	assert(images && queue < STORE_QUEUE_COUNT);
	return queue_begin(&((struct store_path *)base)->queues[queue], first, count, NULL, images, NULL, op);
}

static int path_write(struct store *base, enum store_queue queue, uint32_t block, const uint8_t *data,
		      struct store_op *op)
{
	assert(data && queue < STORE_QUEUE_COUNT);
	return queue_begin(&((struct store_path *)base)->queues[queue], block, 1, NULL, NULL, data, op);
}

static void path_health(struct store *base, struct store_health *ret)
{
	struct store_path *store = (struct store_path *)base;

	*ret = store->health;
	ret->stuck_since = MONO_UNSET;
	ret->stuck = 0;
	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++) {
		struct path_queue *queue = &store->queues[i];

		forget_returned(queue);
		op_queue_health(&queue->ops, worker_stuck(queue->worker), ret);
	}
}

static void path_close(struct store *base)
{
	struct store_path *store = (struct store_path *)base;

	for (size_t i = 0; i < STORE_QUEUE_COUNT; i++) {
		struct path_queue *queue = &store->queues[i];

		if (!queue->worker)
			continue;
		store->clock->cancel(store->clock, &queue->ops.timer);
		op_queue_done(&queue->ops);
		loop_del_fd(store->loop, worker_fd(queue->worker));
		worker_free(queue->worker);
		cleanup_close(&queue->fd);
		free(queue->buffer);
	}
	free(store->path);
	free(store);
}

/* PATH[:OFFSET]; an offset is what follows the last colon when it is a number. */
static int parse_spec(const char *spec, char **ret_path, uint64_t *ret_offset)
{
	const char *colon = strrchr(spec, ':');
	unsigned long long offset = 0;
	char *end;

	if (colon && colon[1] >= '0' && colon[1] <= '9') {
		errno = 0;
		offset = strtoull(colon + 1, &end, 10);
		if (*end != '\0')
			colon = NULL;
		else if (errno != 0 || offset > INT64_MAX - (uint64_t)BLOCK_LIMIT * BLOCK_SIZE ||
			 offset % 512 != 0)
			return -EINVAL;
	} else {
		colon = NULL;
	}
	if (spec[0] != '/')
		return -EINVAL;
	*ret_path = colon ? strndup(spec, (size_t)(colon - spec)) : strdup(spec);
	if (!*ret_path)
		return -ENOMEM;
	*ret_offset = colon ? offset : 0;
	return 0;
}

void store_path_fix_end(struct store *store)
{
	((struct store_path *)store)->fixed_end = true;
}

int store_path_new(const char *spec, struct loop *loop, struct store **ret)
{
	static const char *const names[STORE_QUEUE_COUNT] = {"store-own", "store-global", "store-scan"};
	struct store_path *store = calloc(1, sizeof(*store));
	int r;

	assert(spec && loop && ret);
	if (!store)
		return -ENOMEM;
	store->store = (struct store){path_read, path_scan, path_write, path_health, path_close};
	store->loop = loop;
	store->clock = loop_clock(loop);
	store->health = (struct store_health){
		.last_read = MONO_UNSET, .last_write = MONO_UNSET, .stuck_since = MONO_UNSET};
	r = parse_spec(spec, &store->path, &store->offset);
	for (size_t i = 0; r == 0 && i < STORE_QUEUE_COUNT; i++) {
		struct path_queue *queue = &store->queues[i];

		*queue = (struct path_queue){.store = store, .fd = -1};
		op_queue_init(&queue->ops, deadline_passed);
		r = worker_new(names[i], &queue->worker);
		if (r == 0)
			r = loop_add_worker(loop, queue->worker);
	}
	if (r < 0) {
		path_close(&store->store);
		return r;
	}
	*ret = &store->store;
	return 0;
}
