/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A step and what it knew, as people and scripts read it. Pure but for the stream and the heap of JSON. */
#pragma once

#include <stdio.h>

#include <jansson.h>

#include "core/machine.h"

/* `EngineDown -> EngineStart best-score score=3400 do=start`, without a newline. */
void step_put_line(enum state before, const struct step *step, FILE *out);
/* One indented line each: the reason in words, what is off the score, what this host knew, each other host.
 */
void step_put_details(const struct snapshot *known, const struct policy *policy, const struct step *step,
		      mono_t now, FILE *out);
/* NULL: out of memory. */
json_t *step_json(enum state before, const struct step *step, mono_t now);
