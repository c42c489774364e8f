/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One figure of a bench: printed for who watches, and kept for the table of all
 * (tests/bench/bench_figures.py) as a line of JSON in the file that OVIRT_HA_BENCH_FIGURES names. Called by
 * the benches in C. */
#pragma once

#include <stddef.h>

/* The calling thread's time of the processor, and time as it passes, in ms of some past moment. util/clock.h
 * counts in whole ms, which is much of what is measured here. */
double bench_own_ms(void);
double bench_now_ms(void);

/* `values` has n >= 1 measurements, which are sorted; `limit` what the median must not pass, below 0: nothing
 * is stated. `name` and `unit` are plain words. 0, or -errno when the line could not be kept. */
int bench_figure(const char *name, const char *unit, double *values, size_t n, double limit);
