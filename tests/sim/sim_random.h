/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The simulator's random numbers: a splitmix64 stream per seed. The same seed gives the same numbers on every
 * machine. Whoever wants numbers that don't move with those of others keeps a stream of its own. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

struct sim_random {
	uint64_t state;
};

static inline uint64_t sim_random_next(struct sim_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* A stream of its own, from a seed and a word that tells it from the seed's other streams. */
static inline struct sim_random sim_random_make(uint64_t seed, uint64_t word)
{
	struct sim_random random = {.state = seed * 0xd1342543de82ef95ULL + word};

	sim_random_next(&random);
	return random;
}

/* from..to, both included. */
static inline int64_t sim_random_between(struct sim_random *random, int64_t from, int64_t to)
{
	assert(from <= to);
	return from + (int64_t)(sim_random_next(random) % ((uint64_t)(to - from) + 1));
}

/* True `per_mille` times of a thousand; 0 takes no number. */
static inline bool sim_random_chance(struct sim_random *random, uint32_t per_mille)
{
	return per_mille != 0 && sim_random_next(random) % 1000 < per_mille;
}
