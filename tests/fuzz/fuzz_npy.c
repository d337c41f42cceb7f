/* NPY headers of any bytes, and the elements behind them as numbers. */
#include "io/npy.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct err e = { 0 };
	struct npy a;
	float floats[64];
	int64_t n_whole;

	if (npy_parse(data, n, &a, &e)) {
		TD_ASSERT(e.text[0]);
		return 0;
	}
	TD_ASSERT(a.n >= 0 && a.n_header <= (int64_t)n && a.rank <= NPY_RANK_MOST);
	n_whole = ((int64_t)n - a.n_header) / npy_type_bytes(a.type);
	npy_to_floats(a.type, data + a.n_header, TD_MIN(n_whole, 64), floats);
	__asm__ volatile("" : : "r"(floats) : "memory");
	return 0;
}
