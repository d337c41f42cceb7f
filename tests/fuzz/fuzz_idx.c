/* IDX files of any bytes: the header alone, which is refused or makes sense, and the file as one of images. */
#include "data/idx.h"
#include "prepare.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct err e = { 0 };
	struct idx idx;
	int64_t n_header;

	if (n < IDX_MAGIC || idx_header_bytes(data, &n_header, &e) || (int64_t)n < n_header)
		return 0;
	if (!idx_parse(data, &idx, &e))
		TD_ASSERT(idx.rank >= 1 && idx.rank <= IDX_RANK_MOST && idx.n >= 1 && idx.n <= IDX_ELEMENTS_MOST);
	fuzz_prepare("{\"type\":\"idx\"}", "train-images-idx3-ubyte", data, n);
	return 0;
}
