/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long a status of 2000 hosts takes on the command's side: the answer carried over the real IPC by a
 * stand-in for the broker that has it ready, and then printed as text and as JSON. Asserts no time. */
#include <errno.h>
#include <stdio.h>

#include "broker/broker_client.h"
#include "core/peer.h"
#include "tests/bench/bench_figure.h"
#include "tests/unit/broker_stand_in.h"
#include "tests/vectors/vector_file.h"
#include "tools/status_text.h"

#define TURNS 50

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

static int print_once(const struct board_status *status, bool json)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int r = 0;

	if (!out)
		return -ENOMEM;
	if (json)
		r = status_put_json(status, out);
	else
		status_put_text(status, out);
	fclose(out);
	return r;
}

/* It waits for nothing: its own time of the processor counts. */
static int print_figure(const char *name, const struct board_status *status, bool json)
{
	double values[TURNS];

	for (unsigned i = 0; i < TURNS; i++) {
		double begin = bench_own_ms();
		int r = print_once(status, json);

		if (r < 0)
			return r;
		values[i] = bench_own_ms() - begin;
	}
	return bench_figure(name, "ms", values, TURNS, -1);
}

/* Connect, facts and all blocks. */
static int fetch_once(void)
{
	_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
	_cleanup_free_ struct slot_block *blocks = NULL;
	struct status_reply status;
	size_t n_blocks;

	if (broker_client_open(5000, &client) < 0 || broker_client_status(client, 5000, &status) < 0 ||
	    broker_client_all_blocks(client, 5000, &blocks, &n_blocks) < 0 || n_blocks != HOST_ID_MAX)
		return -EIO;
	return 0;
}

static int fetch_figure(void)
{
	double values[TURNS];

	for (unsigned i = 0; i < TURNS; i++) {
		double begin = bench_now_ms();
		int r = fetch_once();

		if (r < 0)
			return r;
		values[i] = bench_now_ms() - begin;
	}
	return bench_figure("2000 hosts: status answered", "ms", values, TURNS, 10);
}

int main(void)
{
	size_t size;
	_cleanup_free_ uint8_t *image = vector_read("image-2000hosts.bin", 0, &size);
	_cleanup_free_ struct slot_block *blocks = calloc(HOST_ID_MAX, sizeof(*blocks));
	struct board_status status = {.blocks = blocks,
				      .n_blocks = HOST_ID_MAX,
				      .live = true,
				      .now = 10000,
				      .maintenance = FLAG_NO,
				      .trouble = ""};
	struct script script = {.n_hosts = HOST_ID_MAX, .block = image + BLOCK_SIZE};
	char name[64];
	pid_t broker;
	int r;

	if (!blocks)
		return 1;
	for (uint16_t id = 1; id <= HOST_ID_MAX; id++) {
		blocks[id - 1] =
			(struct slot_block){.id = id, .fresh = true, .read_at = 8000, .changed_at = 8000};
		memcpy(blocks[id - 1].block, image + (size_t)id * BLOCK_SIZE, BLOCK_SIZE);
	}
	snprintf(name, sizeof(name), "bench_status.%d", (int)getpid());
	setenv("OVIRT_HA_BROKER_SOCKET", name, 1);
	broker = broker_stand_in_start(&script);
	if (broker < 0)
		return 1;
	r = fetch_figure();
	if (broker_stand_in_stop(broker) != 0 || r < 0)
		return 1;
	return print_figure("2000 hosts: status printed", &status, false) < 0 ||
	       print_figure("2000 hosts: status printed as JSON", &status, true) < 0;
}
