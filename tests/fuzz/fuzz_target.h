/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a fuzz target defines: called by libFuzzer's main, or by fuzz_replay.c's with the recorded files. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
