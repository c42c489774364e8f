/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long the broker of this host takes to answer for its status: `bench_query` prints a time in ms per
 * line, of a client that is connected, as the agent is. Put into a host of the lab and read by bench_lab.py.
 */
#include <stdio.h>

#include "broker/broker_client.h"
#include "tests/bench/bench_figure.h"
#include "util/cleanup.h"

#define QUERIES 100
#define ANSWER_MS 5000

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

int main(void)
{
	_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
	struct status_reply status;

	if (broker_client_open(ANSWER_MS, &client) < 0)
		return 1;
	for (int i = 0; i < QUERIES; i++) {
		double begin = bench_now_ms();

		if (broker_client_status(client, ANSWER_MS, &status) < 0)
			return 1;
		printf("%.6f\n", bench_now_ms() - begin);
	}
	return 0;
}
