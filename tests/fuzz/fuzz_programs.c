/* Random programs: the input is a seed; whatever it stands for has to compute the same bits in every mode. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/random_graphs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t seed = 0;
	const char *wrong;

	memcpy(&seed, data, size < sizeof seed ? size : sizeof seed);
	wrong = random_graph_check(seed, false);
	if (wrong) {
		fprintf(stderr, "%s\n", wrong);
		abort();
	}
	return 0;
}
