/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of decisions as sentences, for people who don't know the words yet. Pure. */
#pragma once

#include "core/machine.h"

/* What is off a score and why, without a full stop: "the network test fails". */
const char *penalty_meaning(enum penalty penalty);
/* Why a step did what it did. */
const char *reason_meaning(enum reason reason);
