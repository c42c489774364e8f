/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --history: what this host's agent wrote down of its changes of state, and below it the last one of every
 * host as its record has it. Decides form alone. Without the broker this host's own are shown all the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "metadata/transition.h"
#include "tools/board_source.h"
#include "tools/broker_trouble.h"
#include "tools/commands.h"
#include "tools/json_text.h"
#include "tools/status_view.h"
#include "tools/terminal_text.h"
#include "util/cleanup.h"
#include "util/paths.h"

#define BYTES_MAX (TRANSITIONS_MAX * TRANSITION_LINE)

struct cluster_view {
	struct status_reply reply;
	struct slot_block *blocks;
	struct board_status status;
	int error;
};

/* 0, or -errno; a host whose agent never ran has none. */
static int load(struct transition ret[TRANSITIONS_MAX], size_t *ret_n)
{
	_cleanup_free_ char *text = malloc(BYTES_MAX + 1);
	_cleanup_fclose_ FILE *file = NULL;
	char path[PATH_MAX];

	*ret_n = 0;
	file = fopen(file_path(FILE_HISTORY, path), "re");
	if (!file)
		return errno == ENOENT ? 0 : -errno;
	if (!text)
		return -ENOMEM;
	text[fread(text, 1, BYTES_MAX, file)] = '\0';
	*ret_n = transitions_parse(text, ret);
	return 0;
}

static void moment(int64_t wall, char ret[32])
{
	time_t seconds = (time_t)wall;
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || strftime(ret, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		strcpy(ret, "?");
}

static void put_word(const char *word, FILE *out)
{
	terminal_put(out, word, strlen(word));
}

static void put_text(const struct transition *kept, size_t n, struct cluster_view *cluster)
{
	char when[32];

	for (size_t i = 0; i < n; i++) {
		moment(kept[i].wall, when);
		printf("%s  ", when);
		put_word(kept[i].from, stdout);
		fputs(" -> ", stdout);
		put_word(kept[i].to, stdout);
		fputs("  because of ", stdout);
		put_word(kept[i].reason, stdout);
		printf(", score %" PRId32 "\n", kept[i].score);
	}
	if (n == 0)
		puts("This host's agent has not changed its state yet.");
	for (size_t i = 0; cluster->error == 0 && i < cluster->status.n_blocks; i++) {
		struct status_view view;

		status_view_of(&cluster->status, &cluster->blocks[i], &view);
		if (view.id == 0 || view.fault != RECORD_OK || !view.record.state[0])
			continue;
		printf("Host %" PRIu32 " is in ", view.id);
		put_word(view.record.state, stdout);
		fputs(" because of ", stdout);
		put_word(view.record.reason[0] ? view.record.reason : "?", stdout);
		puts(view.fresh ? "" : " (not up to date)");
	}
}

static json_t *hosts_json(const struct cluster_view *cluster)
{
	json_t *hosts = json_object();

	for (size_t i = 0; hosts && i < cluster->status.n_blocks; i++) {
		struct status_view view;
		char id[16];

		status_view_of(&cluster->status, &cluster->blocks[i], &view);
		snprintf(id, sizeof(id), "%" PRIu32, view.id);
		if (view.id != 0 && view.fault == RECORD_OK && view.record.state[0])
			json_object_set_new(
				hosts, id,
				json_pack("{s:o, s:o, s:b}", "state",
					  json_text(view.record.state, strlen(view.record.state)), "reason",
					  json_text(view.record.reason, strlen(view.record.reason)),
					  "live-data", view.fresh));
	}
	return hosts;
}

static int put_json(const struct transition *kept, size_t n, const struct cluster_view *cluster)
{
	_cleanup_(json_decref_p) json_t *root = NULL;
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		json_array_append_new(list,
				      json_pack("{s:I, s:o, s:o, s:o, s:i}", "time", (json_int_t)kept[i].wall,
						"from", json_text(kept[i].from, strlen(kept[i].from)), "to",
						json_text(kept[i].to, strlen(kept[i].to)), "reason",
						json_text(kept[i].reason, strlen(kept[i].reason)), "score",
						(int)kept[i].score));
	root = json_pack("{s:o, s:o}", "history", list, "hosts",
			 cluster->error == 0 ? hosts_json(cluster) : json_null());
	return json_line(root, stdout);
}

int command_run_history(const struct invocation *call)
{
	_cleanup_free_ struct transition *kept = calloc(TRANSITIONS_MAX, sizeof(*kept));
	struct cluster_view cluster = {0};
	size_t n = 0;
	int r = kept ? load(kept, &n) : -ENOMEM;

	if (r < 0) {
		fprintf(stderr, "This host's history cannot be read: %s\n", strerror(-r));
		return 1;
	}
	cluster.error = board_from_broker(&cluster.reply, &cluster.blocks, &cluster.status);
	if (cluster.error < 0) {
		fputs("The other hosts are left out: ", stderr);
		broker_trouble_put(stderr, cluster.error, "");
		fputc('\n', stderr);
	}
	if (invocation_value(call, "json")) {
		r = put_json(kept, n, &cluster);
	} else {
		put_text(kept, n, &cluster);
		r = 0;
	}
	free(cluster.blocks);
	return r;
}
