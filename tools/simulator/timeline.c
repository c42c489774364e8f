/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how the picture looks: sizes, colours, which labels fit. Colours go together where operators would
 * act alike: green runs, yellow begins or ends, grey waits, violet is maintenance, red is trouble. */
#include "tools/simulator/timeline.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 1180
#define LEFT 110 /* of the lanes */
#define RIGHT 20
#define TOP 64
#define LANE 58
#define STATE_HEIGHT 20
#define VM_HEIGHT 9
#define LEASE_HEIGHT 4
#define FLAG 17	   /* of a mark's number */
#define LETTER 6.1 /* pixels of a letter of 11 px */
#define MARK_TEXT_MAX 160

struct change {
	int64_t at;
	int value;
};

struct track {
	struct change *changes;
	size_t n, size;
};

struct mark {
	int64_t at;
	uint16_t host;
	char text[MARK_TEXT_MAX];
};

struct timeline {
	uint16_t n_hosts;
	struct track *tracks; /* LANE_COUNT per host */
	struct mark *marks;
	size_t n_marks, marks_size;
};

static const struct {
	const char *fill, *text;
} colours[STATE_COUNT + 1] = {
	[STATE_START] = {"#fff3c4", "#333"},
	[STATE_REINITIALIZE] = {"#fff3c4", "#333"},
	[STATE_GLOBAL_MAINTENANCE] = {"#b39ddb", "#222"},
	[STATE_LOCAL_MAINTENANCE] = {"#d1c4e9", "#222"},
	[STATE_UNKNOWN_LOCAL_VM] = {"#ef9a9a", "#222"},
	[STATE_ENGINE_DOWN] = {"#dfe5ea", "#333"},
	[STATE_ENGINE_START] = {"#ffe082", "#333"},
	[STATE_ENGINE_STARTING] = {"#ffd54f", "#333"},
	[STATE_ENGINE_UP] = {"#81c784", "#123"},
	[STATE_ENGINE_UP_BAD_HEALTH] = {"#ffab91", "#222"},
	[STATE_ENGINE_STOP] = {"#ffcc80", "#222"},
	[STATE_ENGINE_FORCE_STOP] = {"#ffb74d", "#222"},
	[STATE_ENGINE_MAYBE_AWAY] = {"#ffcdd2", "#222"},
	[STATE_ENGINE_UNEXPECTEDLY_DOWN] = {"#e57373", "#222"},
	[STATE_ENGINE_MIGRATING_AWAY] = {"#ffe0b2", "#222"},
	[STATE_AGENT_STOPPED] = {"#b0bec5", "#222"},
	[TIMELINE_OFF] = {"url(#off)", "#666"},
};

int timeline_new(uint16_t n_hosts, struct timeline **ret)
{
	struct timeline *timeline = calloc(1, sizeof(*timeline));

	assert(n_hosts >= 1 && n_hosts <= HOST_ID_MAX);
	if (timeline)
		timeline->tracks = calloc((size_t)n_hosts * LANE_COUNT, sizeof(*timeline->tracks));
	if (!timeline || !timeline->tracks) {
		timeline_free(timeline);
		return -ENOMEM;
	}
	timeline->n_hosts = n_hosts;
	*ret = timeline;
	return 0;
}

void timeline_free(struct timeline *timeline)
{
	if (!timeline)
		return;
	for (size_t i = 0; timeline->tracks && i < (size_t)timeline->n_hosts * LANE_COUNT; i++)
		free(timeline->tracks[i].changes);
	free(timeline->tracks);
	free(timeline->marks);
	free(timeline);
}

/* Room for one more. 0 or -ENOMEM. */
static int grow(void **array, size_t n, size_t *size, size_t item)
{
	size_t want = *size ? *size * 2 : 16;
	void *more;

	if (n < *size)
		return 0;
	more = reallocarray(*array, want, item);
	if (!more)
		return -ENOMEM;
	*array = more;
	*size = want;
	return 0;
}

static struct track *track_of(const struct timeline *timeline, uint16_t host, enum lane lane)
{
	assert(host >= 1 && host <= timeline->n_hosts && lane < LANE_COUNT);
	return &timeline->tracks[(size_t)(host - 1) * LANE_COUNT + lane];
}

int timeline_set(struct timeline *timeline, int64_t at, uint16_t host, enum lane lane, int value)
{
	struct track *track = track_of(timeline, host, lane);
	int r;

	if (track->n > 0 && track->changes[track->n - 1].value == value)
		return 0;
	/* What lasted no time can't be seen. */
	if (track->n > 0 && track->changes[track->n - 1].at == at) {
		track->changes[track->n - 1].value = value;
		return 0;
	}
	r = grow((void **)&track->changes, track->n, &track->size, sizeof(*track->changes));
	if (r == 0)
		track->changes[track->n++] = (struct change){.at = at, .value = value};
	return r;
}

int timeline_mark(struct timeline *timeline, int64_t at, uint16_t host, const char *text)
{
	int r = grow((void **)&timeline->marks, timeline->n_marks, &timeline->marks_size,
		     sizeof(*timeline->marks));
	struct mark *mark;

	if (r < 0)
		return r;
	mark = &timeline->marks[timeline->n_marks++];
	*mark = (struct mark){.at = at, .host = host};
	snprintf(mark->text, sizeof(mark->text), "%s", text);
	return 0;
}

static void put_escaped(const char *text, FILE *out)
{
	for (const char *p = text; *p; p++) {
		if (*p == '&')
			fputs("&amp;", out);
		else if (*p == '<')
			fputs("&lt;", out);
		else if (*p == '>')
			fputs("&gt;", out);
		else
			fputc(*p >= ' ' && *p < 0x7f ? *p : '?', out);
	}
}

static double x_of(int64_t at, int64_t end)
{
	return LEFT + (double)(WIDTH - LEFT - RIGHT) * (double)at / (double)end;
}

static int y_of(uint16_t host)
{
	return TOP + (host - 1) * LANE;
}

static void put_clock(int64_t at, FILE *out)
{
	int64_t s = at / MONO_SECOND;

	if (s >= 3600)
		fprintf(out, "%" PRId64 ":%02" PRId64 ":%02" PRId64, s / 3600, s / 60 % 60, s % 60);
	else
		fprintf(out, "%" PRId64 ":%02" PRId64, s / 60, s % 60);
}

/* Lines of time: the smallest step that leaves room for their labels. */
static void put_axis(const struct timeline *timeline, int64_t end, FILE *out)
{
	static const int steps[] = {1,	 2,   5,   10,	 15,   30,   60,    120,
				    300, 600, 900, 1800, 3600, 7200, 14400, 43200};
	int64_t step = 86400 * MONO_SECOND;
	int bottom = y_of(timeline->n_hosts) + LANE;

	for (size_t i = sizeof(steps) / sizeof(steps[0]); i-- > 0;)
		if (end / (steps[i] * MONO_SECOND) <= 16)
			step = steps[i] * MONO_SECOND;
	for (int64_t at = 0; at <= end; at += step) {
		fprintf(out,
			"<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#e8e8e8\"/>\n"
			"<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#555\">",
			x_of(at, end), TOP - 6, x_of(at, end), bottom, x_of(at, end), TOP - 12);
		put_clock(at, out);
		fputs("</text>\n", out);
	}
}

static void put_state(const struct change *change, int64_t to, int64_t end, int y, FILE *out)
{
	double x = x_of(change->at, end), width = x_of(to, end) - x;
	const char *name = change->value == TIMELINE_OFF ? "off" : state_str((enum state)change->value);

	assert(change->value >= 0 && change->value <= STATE_COUNT);
	fprintf(out, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>%s ", x, y,
		width, STATE_HEIGHT, colours[change->value].fill, name);
	put_clock(change->at, out);
	fputs(" to ", out);
	put_clock(to, out);
	fputs("</title></rect>\n", out);
	if (width > LETTER * (double)strlen(name) + 4)
		fprintf(out, "<text x=\"%.1f\" y=\"%d\" fill=\"%s\">%s</text>\n", x + 4, y + 14,
			colours[change->value].text, name);
}

static void put_bar(const struct change *change, int64_t to, int64_t end, int y, int height, const char *fill,
		    FILE *out)
{
	double x = x_of(change->at, end), width = x_of(to, end) - x;

	/* Short ones must be seen, too. */
	fprintf(out, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", x, y,
		width < 1 ? 1 : width, height, fill);
}

static void put_lane(const struct timeline *timeline, uint16_t host, int64_t end, FILE *out)
{
	int y = y_of(host);

	fprintf(out, "<text x=\"12\" y=\"%d\" font-size=\"13\" fill=\"#222\">host %u</text>\n", y + 15,
		(unsigned)host);
	for (enum lane lane = 0; lane < LANE_COUNT; lane++) {
		const struct track *track = track_of(timeline, host, lane);

		for (size_t i = 0; i < track->n && track->changes[i].at < end; i++) {
			const struct change *change = &track->changes[i];
			int64_t to = i + 1 < track->n && track->changes[i + 1].at < end
					     ? track->changes[i + 1].at
					     : end;

			if (lane == LANE_STATE)
				put_state(change, to, end, y, out);
			else if (lane == LANE_VM && change->value != TIMELINE_VM_NONE)
				put_bar(change, to, end, y + STATE_HEIGHT + 4, VM_HEIGHT,
					change->value == TIMELINE_VM_RUNS ? "#2e7d32" : "#a5d6a7", out);
			else if (lane == LANE_LEASE && change->value)
				put_bar(change, to, end, y + STATE_HEIGHT + VM_HEIGHT + 7, LEASE_HEIGHT,
					"#1565c0", out);
		}
	}
}

/* A flag at the lane's top edge; its text stands below the picture. */
static void put_mark(const struct timeline *timeline, size_t i, int64_t end, double flag_x, FILE *out)
{
	const struct mark *mark = &timeline->marks[i];
	double x = x_of(mark->at, end);
	int y = y_of(mark->host ? mark->host : 1),
	    bottom = mark->host ? y + LANE - 12 : y_of(timeline->n_hosts) + LANE - 12;

	fprintf(out,
		"<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#c62828\" "
		"stroke-width=\"1.5\"/>\n"
		"<circle cx=\"%.1f\" cy=\"%d\" r=\"8\" fill=\"#c62828\"/>\n"
		"<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" font-size=\"10\" "
		"fill=\"#fff\">%zu</text>\n",
		x, y - 2, x, bottom, flag_x, bottom, flag_x, bottom + 4, i + 1);
}

/* Flags stand beside each other where their moments are too near. */
static void put_marks(const struct timeline *timeline, int64_t end, FILE *out)
{
	for (size_t i = 0; i < timeline->n_marks; i++) {
		double x = 0;

		for (size_t k = 0; k <= i; k++) {
			double own = x_of(timeline->marks[k].at, end);

			if (timeline->marks[k].host == timeline->marks[i].host)
				x = own < x + FLAG ? x + FLAG : own;
		}
		put_mark(timeline, i, end, x, out);
	}
}

static void put_mark_text(const struct timeline *timeline, size_t i, int y, FILE *out)
{
	const struct mark *mark = &timeline->marks[i];

	fprintf(out,
		"<circle cx=\"20\" cy=\"%d\" r=\"8\" fill=\"#c62828\"/>\n"
		"<text x=\"20\" y=\"%d\" text-anchor=\"middle\" font-size=\"10\" fill=\"#fff\">%zu</text>\n"
		"<text x=\"36\" y=\"%d\" fill=\"#222\">",
		y - 4, y, i + 1, y);
	put_clock(mark->at, out);
	fputs("  ", out);
	put_escaped(mark->text, out);
	fputs("</text>\n", out);
}

struct keys {
	int x, y;
};

static void put_key(struct keys *keys, int height, const char *fill, const char *text, FILE *out)
{
	int width = 32 + (int)(LETTER * (double)strlen(text)) + 20;

	if (keys->x + width > WIDTH) {
		keys->x = LEFT;
		keys->y += 22;
	}
	fprintf(out,
		"<rect x=\"%d\" y=\"%d\" width=\"26\" height=\"%d\" fill=\"%s\"/>\n"
		"<text x=\"%d\" y=\"%d\" fill=\"#222\">%s</text>\n",
		keys->x, keys->y - 5 - height / 2, height, fill, keys->x + 32, keys->y, text);
	keys->x += width;
}

static bool occurs(const struct timeline *timeline, int state)
{
	for (uint16_t host = 1; host <= timeline->n_hosts; host++) {
		const struct track *track = track_of(timeline, host, LANE_STATE);

		for (size_t i = 0; i < track->n; i++)
			if (track->changes[i].value == state)
				return true;
	}
	return false;
}

/* Narrow pieces have no label: every colour that occurs has its key. Returns where the next line is. */
static int put_keys(const struct timeline *timeline, int y, FILE *out)
{
	struct keys keys = {.x = LEFT, .y = y};

	put_key(&keys, VM_HEIGHT, "#2e7d32", "the VM runs", out);
	put_key(&keys, VM_HEIGHT, "#a5d6a7", "QEMU lives, stopped", out);
	put_key(&keys, LEASE_HEIGHT, "#1565c0", "holds the lease", out);
	if (occurs(timeline, TIMELINE_OFF))
		put_key(&keys, STATE_HEIGHT - 6, "url(#off)", "host or agent off", out);
	for (int state = 0; state < STATE_COUNT; state++)
		if (occurs(timeline, state))
			put_key(&keys, STATE_HEIGHT - 6, colours[state].fill, state_str((enum state)state),
				out);
	return keys.y + 22;
}

void timeline_put_svg(const struct timeline *timeline, const char *title, int64_t end, FILE *out)
{
	int y = y_of(timeline->n_hosts) + LANE + 24;
	/* The keys take three lines at most. */
	int height = y + 3 * 22 + 8 + (int)timeline->n_marks * 20;

	assert(end > 0);
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
		"font-family=\"sans-serif\" font-size=\"11\">\n"
		"<defs><pattern id=\"off\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
		"<rect width=\"6\" height=\"6\" fill=\"#f4f4f4\"/>"
		"<path d=\"M0 6 6 0\" stroke=\"#bbb\" stroke-width=\"1\"/></pattern></defs>\n"
		"<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
		"<text x=\"12\" y=\"24\" font-size=\"16\" fill=\"#111\">",
		WIDTH, height, WIDTH, height, WIDTH, height);
	put_escaped(title, out);
	fputs("</text>\n", out);
	put_axis(timeline, end, out);
	for (uint16_t host = 1; host <= timeline->n_hosts; host++)
		put_lane(timeline, host, end, out);
	put_marks(timeline, end, out);
	y = put_keys(timeline, y, out);
	for (size_t i = 0; i < timeline->n_marks; i++)
		put_mark_text(timeline, i, y + 8 + (int)i * 20, out);
	fputs("</svg>\n", out);
}
