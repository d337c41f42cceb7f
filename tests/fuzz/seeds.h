/* Where a fuzzer begins: whole files of its format, among which mutations return now and then.  A fuzzer that defines
 * LLVMFuzzerCustomMutator by fuzz_mutate keeps no files for that.  And its input as a file, which leaves nothing behind. */
#ifndef FUZZ_SEEDS_H
#define FUZZ_SEEDS_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/mem.h"

#define SEED_AGAIN 200 /* one of so many mutations begins with a seed */

struct seed {
	const void *bytes;
	size_t n;
};

/* A seed of text; its zero byte is not of it. */
#define SEED(text)                                                                                                     \
	{                                                                                                              \
		text, sizeof(text) - 1                                                                                 \
	}

size_t LLVMFuzzerMutate(unsigned char *data, size_t n, size_t most);
size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t n, size_t most, unsigned random);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static inline size_t fuzz_mutate(
	unsigned char *data, size_t n, size_t most, unsigned random, const struct seed *seeds, size_t n_seeds)
{
	const struct seed *s = &seeds[random / SEED_AGAIN % n_seeds];

	if ((n <= 1 || random % SEED_AGAIN == 0) && s->n <= most) {
		memcpy(data, s->bytes, s->n);
		return s->n;
	}
	return LLVMFuzzerMutate(data, n, most);
}

/* The mutator of a fuzzer whose seeds are an array. */
#define FUZZ_MUTATOR(seeds)                                                                                            \
	size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t n, size_t most, unsigned random)                    \
	{                                                                                                              \
		return fuzz_mutate(data, n, most, random, seeds, TD_COUNT(seeds));                                     \
	}

#define FUZZ_FILES 2

/* DATA as file K in memory, until the next of that number. */
static inline const char *fuzz_file(int k, const unsigned char *data, size_t n)
{
	static char paths[FUZZ_FILES][40];
	static int fds[FUZZ_FILES];

	if (!paths[k][0]) {
		fds[k] = memfd_create("data", 0);
		snprintf(paths[k], sizeof paths[k], "/proc/self/fd/%d", fds[k]);
	}
	TD_ASSERT(fds[k] >= 0 && !ftruncate(fds[k], (off_t)n) && pwrite(fds[k], data, n, 0) == (ssize_t)n);
	return paths[k];
}

#endif
