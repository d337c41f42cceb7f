/* IDX files of any bytes: a header alone, which is refused or makes sense, and files of images and labels. */
#include "data/idx.h"
#include "prepare.h"

#define IMAGES                                                                                                         \
	"\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03"                                                                   \
	"abcdefghijkl"

static const struct seed seeds[] = {
	SEED("\0\x1c" IMAGES "\0\0\x08\x01\0\0\0\x02\3\1"),
	SEED("\0\x14\0\0\x08\x04\0\0\0\x01\0\0\0\x03\0\0\0\x01\0\0\0\x01"
	     "rgb\0\0\x08\x01\0\0\0\x01\7"),
	SEED("\0\x14\0\0\x08\x04\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\x01\0\0\x0d\x02\0\0\0\x01\0\0\0\x01"),
};

FUZZ_MUTATOR(seeds)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	static const char *const format[] = { "{\"type\":\"idx\"}" }, *const names[] = { "train-images-idx3-ubyte",
		"train-labels-idx1-ubyte" };
	static cJSON *tree;
	struct err e = { 0 };
	struct idx idx;
	int64_t n_header;

	if (n >= IDX_MAGIC && !idx_header_bytes(data, &n_header, &e) && (int64_t)n >= n_header &&
		!idx_parse(data, &idx, &e))
		TD_ASSERT(idx.rank >= 1 && idx.rank <= IDX_RANK_MOST && idx.n >= 1 && idx.n <= IDX_ELEMENTS_MOST);
	fuzz_two(fuzz_format(format, &tree, 1, 0), names, data, n);
	return 0;
}
