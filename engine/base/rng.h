/* Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based generator, so
 * the number at an address depends on the address alone, not on threads, workers or what was drawn before. */
#ifndef TD_BASE_RNG_H
#define TD_BASE_RNG_H

#include <stdint.h>

/* Where a random number lives: (seed, stream, step, element). */
struct rng_key {
	uint64_t seed;
	uint32_t stream; /* which use of randomness: a random op's position in the step, or a hash of a name */
	uint32_t step;   /* which step, or which epoch */
};

/* The block of four numbers that holds elements 4*BLOCK .. 4*BLOCK+3. */
void rng_block(const struct rng_key *key, uint64_t block, uint32_t out[4]);
/* One number. */
uint32_t rng_u32(const struct rng_key *key, uint64_t element);
/* Uniform in [0, 1), 24 bits: exact in float32. */
static inline float rng_unit(uint32_t x)
{
	return (float)(x >> 8) * (1.0f / 16777216.0f);
}
/* Stream of a name (FNV-1a, never below 2^31, so it never meets a position). */
uint32_t rng_stream(const char *name);
/* PERM becomes a permutation of 0..n-1 (Fisher-Yates, unbiased). */
void rng_permutation(const struct rng_key *key, int64_t n, int64_t *perm);

#endif
