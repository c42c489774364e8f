/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints and keeps figures; judges none: tests/bench/bench_figure.h. */
#include "tests/bench/bench_figure.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "util/cleanup.h"

static double clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

double bench_own_ms(void)
{
	return clock_ms(CLOCK_THREAD_CPUTIME_ID);
}

double bench_now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

static int compare(const void *one, const void *other)
{
	double x = *(const double *)one, y = *(const double *)other;

	return (x > y) - (x < y);
}

int bench_figure(const char *name, const char *unit, double *values, size_t n, double limit)
{
	const char *path = getenv("OVIRT_HA_BENCH_FIGURES");
	_cleanup_fclose_ FILE *file = NULL;
	double median;

	assert(n >= 1);
	qsort(values, n, sizeof(*values), compare);
	median = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
	printf("%-44s %10.3f %s (%.3f .. %.3f, n %zu)", name, median, unit, values[0], values[n - 1], n);
	if (limit >= 0)
		printf(", limit %.3f", limit);
	putchar('\n');
	if (!path)
		return 0;
	file = fopen(path, "ae");
	if (!file)
		return -errno;
	fprintf(file, "{\"name\": \"%s\", \"unit\": \"%s\", \"limit\": ", name, unit);
	if (limit >= 0)
		fprintf(file, "%.17g", limit);
	else
		fputs("null", file);
	fputs(", \"values\": [", file);
	for (size_t i = 0; i < n; i++)
		fprintf(file, "%s%.17g", i ? ", " : "", values[i]);
	fputs("]}\n", file);
	return ferror(file) ? -EIO : 0;
}
