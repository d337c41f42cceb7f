/* Arrays of any bytes, inputs and targets: headers that disagree, labels of any value, elements that end early. */
#include "prepare.h"

#define HEADER(descr, shape) "\x93NUMPY\1\0\x38\0{'descr':'" descr "','fortran_order':False,'shape':(" shape
#define IMAGES               HEADER("|u1", "1,4,4),}  ")
#define LABELS               HEADER("<i8", "1,),}     ")
#define VALUES               HEADER("<f4", "2,2),}    ")

static const struct seed seeds[] = {
	SEED("\0\x52" IMAGES "0123456789abcdef" LABELS "\3\0\0\0\0\0\0\0"),
	SEED("\0\x52" VALUES "\0\0\x80\x3f\0\0\xc0\x7f\0\0\x80\xff\1\0\0\0" HEADER("<i2", "2,),}     ") "\xff\xff\1\0"),
	SEED("\0\x52" VALUES "\0\0\x80\x3f\0\0\xc0\x7f\0\0\x80\xff\1\0\0\0" HEADER("|b1", "2,1),}    ") "\0\1"),
	SEED("\0\x46" HEADER("<i4", "1,),}     ") "\5\0\0\0" HEADER("<f8", "1,),}     ") "\0\0\0\0\0\0\xf8\x7f"),
};

FUZZ_MUTATOR(seeds)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	static const char *const format[] = { "{\"type\":\"arrays\"}" }, *const names[] = { "x.npy", "y.npy" };
	static cJSON *tree;

	fuzz_two(fuzz_format(format, &tree, 1, 0), names, data, n);
	return 0;
}
