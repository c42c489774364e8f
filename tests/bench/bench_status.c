/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long a status of 2000 hosts takes on the command's side: the answer carried over the real IPC by a
 * stand-in for the broker that has it ready, and then printed as text and as JSON. Prints what it measured
 * beside what is stated; asserts no time. */
#include <stdio.h>

#include "broker/broker_client.h"
#include "core/peer.h"
#include "tests/unit/broker_stand_in.h"
#include "tests/vectors/vector_file.h"
#include "tools/status_text.h"
#include "util/clock.h"

#define MEASURE_MS 1000
#define STATED_MS 20.0

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

/* `stated_ms` 0: nothing is stated for it. */
static void print(const char *what, double ms, double stated_ms)
{
	printf("%-28s %8.3f ms", what, ms);
	if (stated_ms > 0)
		printf(", stated %6.1f ms, ratio %.3f", stated_ms, ms / stated_ms);
	putchar('\n');
}

/* One printing, in ms; below 0: it failed. */
static double print_ms(const struct board_status *status, bool json)
{
	mono_t begin = clock_mono(), now;
	unsigned n = 0;

	do {
		_cleanup_free_ char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		if (!out || (json && status_put_json(status, out) < 0))
			return -1;
		if (!json)
			status_put_text(status, out);
		fclose(out);
		n++;
		now = clock_mono();
	} while (now - begin < MEASURE_MS);
	return (double)(now - begin) / n;
}

/* Connect, facts and all blocks, in ms; below 0: it failed. */
static double fetch_ms(void)
{
	mono_t begin = clock_mono(), now;
	unsigned n = 0;

	do {
		_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
		_cleanup_free_ struct slot_block *blocks = NULL;
		struct status_reply status;
		size_t n_blocks;

		if (broker_client_open(5000, &client) < 0 ||
		    broker_client_status(client, 5000, &status) < 0 ||
		    broker_client_all_blocks(client, 5000, &blocks, &n_blocks) < 0 || n_blocks != HOST_ID_MAX)
			return -1;
		n++;
		now = clock_mono();
	} while (now - begin < MEASURE_MS);
	return (double)(now - begin) / n;
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
	double text_ms, json_ms, carried_ms;
	char name[64];
	pid_t broker;

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
	carried_ms = fetch_ms();
	if (broker_stand_in_stop(broker) != 0 || carried_ms < 0)
		return 1;
	text_ms = print_ms(&status, false);
	json_ms = print_ms(&status, true);
	if (text_ms < 0 || json_ms < 0)
		return 1;
	print("answer 2000 hosts", carried_ms, STATED_MS);
	print("print 2000 hosts", text_ms, 0);
	print("print 2000 hosts as JSON", json_ms, 0);
	return 0;
}
