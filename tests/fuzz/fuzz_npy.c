/* NPY headers of any bytes, and the elements behind them as numbers. */
#include "io/npy.h"
#include "seeds.h"

#define HEADER(version, n, text) "\x93NUMPY" version n text

static const struct seed seeds[] = {
	SEED(HEADER("\1\0", "\x3a\0",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n") "\0\0\x80?"
										 "\0\0\xc0\x7f\0\0\x80\xff\1\0\0\0\0\0"
										 "\0\0\0\0\0\0"),
	SEED(HEADER("\2\0", "\x35\0\0\0", "{'descr': '|u1', 'fortran_order': True, 'shape': (4,)}") "\1\2\3\4"),
	SEED(HEADER(
		"\3\0", "\x36\0\0\0", "{'shape': (), 'fortran_order': False, 'descr': '<i8'} ") "\1\2\3\4\5\6\7\x80"),
	SEED(HEADER("\1\0", "\x45\0", "{\"descr\": \"<f2\", \"fortran_order\": False, \"shape\": (99999999999, 9)}")),
};

FUZZ_MUTATOR(seeds)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct err e = { 0 };
	struct npy a;
	float floats[64];
	double doubles[64];
	int64_t ints[64], n_header, n_whole;
	td_status s = npy_header_bytes(data, n, &n_header, &e);

	TD_ASSERT(s ? e.text[0] != 0 : n_header <= NPY_PREFIX + NPY_HEADER_MOST);
	e = (struct err){ 0 };
	if (npy_parse(data, n, &a, &e)) {
		TD_ASSERT(e.text[0]);
		return 0;
	}
	TD_ASSERT(!s && a.n >= 0 && a.n_header == n_header && n_header <= (int64_t)n && a.rank <= NPY_RANK_MOST);
	n_whole = TD_MIN(((int64_t)n - a.n_header) / npy_type_bytes(a.type), 64);
	npy_to_floats(a.type, data + a.n_header, n_whole, floats);
	npy_to_doubles(a.type, data + a.n_header, n_whole, doubles);
	if (!npy_is_float(a.type))
		npy_to_ints(a.type, data + a.n_header, n_whole, ints);
	__asm__ volatile("" : : "r"(floats), "r"(doubles), "r"(ints) : "memory");
	return 0;
}
