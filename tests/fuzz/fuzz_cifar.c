/* CIFAR's binary files: records that end early, labels beyond all names, and the file of names. */
#include "prepare.h"

#define RECORD 3073 /* a label, and 32 x 32 pixels of three channels */
#define NAMES  "cat\ndog\n\xc3\xa9\r\n"

static unsigned char whole[2 + 2 * RECORD + sizeof NAMES - 1] = { 2 * RECORD >> 8, 2 * RECORD & 255, 1,
	[2 + RECORD] = 2 };
static const struct seed seeds[] = {
	{ whole, sizeof whole },
	SEED("\0\0one\ntwo\none\n"),
};

size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t n, size_t most, unsigned random)
{
	memcpy(whole + sizeof whole - (sizeof NAMES - 1), NAMES, sizeof NAMES - 1);
	return fuzz_mutate(data, n, most, random, seeds, TD_COUNT(seeds));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	static const char *const format[] = { "{\"type\":\"cifar\"}" }, *const names[] = { "data_batch_1.bin",
		"batches.meta.txt" };
	static cJSON *tree;

	fuzz_two(fuzz_format(format, &tree, 1, 0), names, data, n);
	return 0;
}
