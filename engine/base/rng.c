/* Philox 4x32-10: see rng.h. */
#include "base/rng.h"

void rng_block(const struct rng_key *key, uint64_t block, uint32_t out[4])
{
	uint32_t k0 = (uint32_t)key->seed, k1 = (uint32_t)(key->seed >> 32);
	uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = key->step, c3 = key->stream;

	for (int round = 0; round < 10; round++) {
		uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
		uint32_t next0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, next2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;

		c1 = (uint32_t)p1;
		c3 = (uint32_t)p0;
		c0 = next0;
		c2 = next2;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

uint32_t rng_u32(const struct rng_key *key, uint64_t element)
{
	uint32_t four[4];

	rng_block(key, element / 4, four);
	return four[element % 4];
}

uint32_t rng_stream(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h | 0x80000000u;
}

/* Uniform below N without bias (Lemire's multiply and reject); *AT counts the numbers used. */
static uint64_t below(const struct rng_key *key, uint64_t n, uint64_t *at)
{
	for (;;) {
		uint64_t x = (uint64_t)rng_u32(key, *at) << 32 | rng_u32(key, *at + 1);
		unsigned __int128 product = (unsigned __int128)x * n;

		*at += 2;
		if ((uint64_t)product >= -n % n)
			return (uint64_t)(product >> 64);
	}
}

void rng_permutation(const struct rng_key *key, int64_t n, int64_t *perm)
{
	uint64_t at = 0;

	for (int64_t i = 0; i < n; i++)
		perm[i] = i;
	for (int64_t i = n - 1; i > 0; i--) {
		int64_t j = (int64_t)below(key, (uint64_t)i + 1, &at), swapped = perm[i];

		perm[i] = perm[j];
		perm[j] = swapped;
	}
}
