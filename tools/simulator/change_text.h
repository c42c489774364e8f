/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A change of a simulated cluster for people, for scripts and for the picture. Pure but for the stream and
 * heap. */
#pragma once

#include <stdio.h>

#include <jansson.h>

#include "tools/simulator/simulation.h"
#include "tools/simulator/timeline.h"

/* One line: `   123.456  host 2  EngineDown -> EngineStart best-score score=3400 do=start`. */
void change_put(const struct change *change, int64_t zero, FILE *out);
/* NULL: out of memory. */
json_t *change_json(const struct change *change);
/* Draws it. 0 or -ENOMEM. */
int change_draw(const struct change *change, uint16_t n_hosts, struct timeline *timeline);
