/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how a whiteboard is read: through the broker, from a file past the page cache, or from a server by
 * the store that the broker would have. Never writes. */
#include "tools/board_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker_client.h"
#include "util/cleanup.h"
#include "util/loop.h"

#define OPEN_MS 5000
#define ANSWER_MS 5000
#define SERVER_MS 10000
#define IMAGE_SIZE ((size_t)BLOCKS_MAX * BLOCK_SIZE)
#define PIECE ((size_t)1024 * 1024)

/* Reads up to `size` bytes from the start of `fd`; what the file lacks stays as it is. 0 or -errno. */
static int read_up_to(int fd, uint8_t *buf, size_t size)
{
	size_t got = 0;

	while (got < size) {
		size_t want = size - got < PIECE ? size - got : PIECE;
		ssize_t n = read(fd, buf + got, want);
		int flags;

		if (n > 0) {
			got += (size_t)n;
			continue;
		}
		if (n == 0)
			return 0;
		if (errno == EINTR)
			continue;
		/* After a short read, or on a file system without it, O_DIRECT is refused: the rest goes
		 * without. */
		flags = fcntl(fd, F_GETFL);
		if (errno != EINVAL || flags < 0 || !(flags & O_DIRECT) ||
		    fcntl(fd, F_SETFL, flags & ~O_DIRECT) < 0)
			return -errno;
	}
	return 0;
}

static int read_file(const char *path, uint8_t image[IMAGE_SIZE])
{
	_cleanup_close_ int fd = -1;

	/* O_DIRECT, since other hosts write and the page cache does not know of it. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	if (fd < 0 && errno == EINVAL)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return read_up_to(fd, image, IMAGE_SIZE);
}

struct server_read {
	struct store_op op; /* first */
	struct loop *loop;
	int error;
};

static void server_read_done(struct store_op *op, int error)
{
	struct server_read *read = (struct server_read *)op;

	read->error = error;
	loop_stop(read->loop);
}

static int read_server(const char *spec, const struct store_access *access, uint8_t image[IMAGE_SIZE])
{
	struct server_read read = {.op.done = server_read_done};
	struct store *store = NULL;
	char what[256];
	int r = loop_new(&read.loop);

	if (r < 0)
		return r;
	r = store_open(spec, access, read.loop, &store, what, sizeof(what));
	if (r == 0) {
		struct clock_port *clock = loop_clock(read.loop);

		read.op.deadline = mono_add(clock->now(clock), SERVER_MS);
		r = store->read(store, STORE_QUEUE_SCAN, 0, BLOCKS_MAX, image, &read.op);
		if (r == 0)
			r = loop_run(read.loop);
		if (r == 0)
			r = read.error;
		store->close(store);
	}
	loop_free(read.loop);
	return r;
}

static int blocks_in_use(const uint8_t image[IMAGE_SIZE], struct slot_block **ret, size_t *ret_n)
{
	_cleanup_free_ struct slot_block *blocks = NULL;
	size_t n = 0;

	for (size_t i = 0; i < BLOCKS_MAX; i++)
		n += image[i * BLOCK_SIZE] != 0;
	blocks = calloc(n ? n : 1, sizeof(*blocks));
	if (!blocks)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < BLOCKS_MAX; i++) {
		if (image[i * BLOCK_SIZE] == 0)
			continue;
		blocks[n].id = (uint32_t)i;
		blocks[n].read_at = blocks[n].changed_at = MONO_UNSET;
		memcpy(blocks[n].block, image + i * BLOCK_SIZE, BLOCK_SIZE);
		n++;
	}
	*ret = TAKE_PTR(blocks);
	*ret_n = n;
	return 0;
}

int board_from_place(const char *place, const struct store_access *access, struct slot_block **ret_blocks,
		     struct board_status *ret)
{
	_cleanup_free_ uint8_t *image = aligned_alloc(BLOCK_SIZE, IMAGE_SIZE);
	size_t n = 0;
	int r;

	if (!image)
		return -ENOMEM;
	memset(image, 0, IMAGE_SIZE);
	r = access ? read_server(place, access, image) : read_file(place, image);
	if (r == 0)
		r = blocks_in_use(image, ret_blocks, &n);
	if (r == 0)
		*ret = (struct board_status){
			.blocks = *ret_blocks, .n_blocks = n, .now = MONO_UNSET, .trouble = ""};
	return r;
}

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

int board_from_broker(struct status_reply *reply, struct slot_block **ret_blocks, struct board_status *ret)
{
	_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
	size_t n = 0;
	int r;

	r = broker_client_open(OPEN_MS, &client);
	if (r < 0)
		return r;
	r = broker_client_status(client, ANSWER_MS, reply);
	if (r < 0)
		return r;
	r = broker_client_all_blocks(client, ANSWER_MS, ret_blocks, &n);
	if (r < 0)
		return r;
	reply->trouble[sizeof(reply->trouble) - 1] = '\0';
	*ret = (struct board_status){
		.blocks = *ret_blocks,
		.n_blocks = n,
		.live = true,
		.now = reply->now,
		.maintenance = reply->cluster.maintenance,
		.own_id = reply->cluster.host_id,
		.trouble = reply->trouble,
		.store = &reply->store,
	};
	return 0;
}
