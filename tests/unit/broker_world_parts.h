/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of broker_world.h share. */
#pragma once

#include <stddef.h>

#include "tests/unit/broker_world.h"

#define LATENCY_MS 1
#define WORLD_OF(pointer, member) ((struct world *)((char *)(pointer)-offsetof(struct world, member)))

void world_store_init(struct world *world);
