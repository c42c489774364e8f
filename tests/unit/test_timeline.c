/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture of a run: what was set is drawn where it was, and text of others can't break the file. */
#include "tools/simulator/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *drawn(const struct timeline *timeline, const char *title, int64_t end)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	timeline_put_svg(timeline, title, end, out);
	fclose(out);
	return text;
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/* 1050 px are 600 s: 0 is at 110, 300 s at 635, 600 s at 1160. */
static void test_lanes(void **state)
{
	struct timeline *t = NULL;
	char *svg;

	assert_int_equal(timeline_new(2, &t), 0);
	assert_int_equal(timeline_set(t, 0, 1, LANE_STATE, STATE_ENGINE_UP), 0);
	assert_int_equal(timeline_set(t, 60000, 1, LANE_STATE, STATE_ENGINE_UP), 0);
	assert_int_equal(timeline_set(t, 300000, 1, LANE_STATE, TIMELINE_OFF), 0);
	assert_int_equal(timeline_set(t, 0, 2, LANE_STATE, STATE_START), 0);
	assert_int_equal(timeline_set(t, 0, 2, LANE_STATE, STATE_ENGINE_DOWN), 0);
	assert_int_equal(timeline_set(t, 0, 1, LANE_VM, TIMELINE_VM_RUNS), 0);
	assert_int_equal(timeline_set(t, 300000, 1, LANE_VM, TIMELINE_VM_NONE), 0);
	assert_int_equal(timeline_set(t, 450000, 2, LANE_LEASE, 1), 0);
	assert_int_equal(timeline_mark(t, 300000, 1, "power-off 1 & <all>"), 0);
	svg = drawn(t, "a \"title\" <1> & \x1b", 600000);

	assert_non_null(strstr(svg,
			       "<rect x=\"110.0\" y=\"64\" width=\"525.0\" height=\"20\" fill=\"#81c784\">"
			       "<title>EngineUp 0:00 to 5:00</title>"));
	assert_non_null(
		strstr(svg, "<rect x=\"635.0\" y=\"64\" width=\"525.0\" height=\"20\" fill=\"url(#off)\">"));
	/* What lasted no time is not drawn. */
	assert_null(strstr(svg, "StartState"));
	assert_non_null(strstr(svg, "EngineDown 0:00 to 10:00"));
	assert_non_null(
		strstr(svg, "<rect x=\"110.0\" y=\"88\" width=\"525.0\" height=\"9\" fill=\"#2e7d32\"/>"));
	assert_non_null(
		strstr(svg, "<rect x=\"897.5\" y=\"158\" width=\"262.5\" height=\"4\" fill=\"#1565c0\"/>"));
	assert_non_null(strstr(svg, "5:00  power-off 1 &amp; &lt;all&gt;</text>"));
	assert_non_null(strstr(svg, ">a \"title\" &lt;1&gt; &amp; ?</text>"));
	assert_int_equal(count(svg, "<text"), count(svg, "</text>"));
	assert_memory_equal(svg, "<svg ", 5);
	assert_string_equal(svg + strlen(svg) - 7, "</svg>\n");
	free(svg);
	timeline_free(t);
}

static void test_many_changes(void **state)
{
	struct timeline *t = NULL;
	char *svg;

	assert_int_equal(timeline_new(1, &t), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(timeline_set(t, i, 1, LANE_LEASE, i % 2), 0);
	svg = drawn(t, "", 1000);
	/* And one in the key. */
	assert_int_equal(count(svg, "fill=\"#1565c0\""), 500 + 1);
	free(svg);
	timeline_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_many_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
