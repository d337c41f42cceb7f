/* CIFAR's binary files: records that end early, labels beyond all names. */
#include "prepare.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	fuzz_prepare("{\"type\":\"cifar\"}", "data_batch_1.bin", data, n);
	return 0;
}
