/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many steps fuzz_step.c has made, for step_walk.c that runs it without a fuzzer. */
#pragma once

#include <stdint.h>

extern uint64_t step_walk_steps;
