/* NPY headers are text from elsewhere: what NumPy writes is read, everything else is refused with what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "io/npy.h"

/* A file of VERSION whose header is TEXT. */
static size_t file_of(int version, const char *text, uint8_t out[512])
{
	size_t n = strlen(text), at = version > 1 ? 12 : 10;

	memcpy(out, "\x93NUMPY", 6);
	out[6] = (uint8_t)version;
	out[7] = 0;
	out[8] = (uint8_t)n;
	out[9] = (uint8_t)(n >> 8);
	out[10] = out[11] = 0;
	memcpy(out + at, text, n);
	return at + n;
}

static void parsed(int version, const char *text, enum npy_type type, int rank, int64_t n)
{
	uint8_t bytes[512];
	struct err e = { 0 };
	struct npy a;
	size_t n_bytes = file_of(version, text, bytes);

	assert_int_equal(npy_parse(bytes, n_bytes, &a, &e), TD_OK);
	assert_int_equal(a.type, type);
	assert_int_equal(a.rank, rank);
	assert_int_equal(a.n, n);
	assert_int_equal(a.n_header, n_bytes);
}

static void what_numpy_writes_is_read(void **state)
{
	(void)state;
	parsed(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }          \n", NPY_F32, 2, 12);
	parsed(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }\n", NPY_U8, 1, 7);
	parsed(2, "{'descr': '<i8', 'fortran_order': True, 'shape': (5,), }\n", NPY_I64, 1, 5);
	parsed(3, "{\"shape\": (), \"fortran_order\": False, \"descr\": \"<f8\"}", NPY_F64, 0, 1);
	parsed(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 0), }\n", NPY_BOOL, 2, 0);
	parsed(1, "{'descr': '>i1', 'fortran_order': False, 'shape': (2L, 3L)}\n", NPY_I8, 2, 6);
}

static void refused(const char *text, td_status status, const char *says)
{
	uint8_t bytes[512];
	struct err e = { 0 };
	struct npy a;

	assert_int_equal(npy_parse(bytes, file_of(1, text, bytes), &a, &e), status);
	if (!strstr(e.text, says))
		fail_msg("\"%s\" does not say \"%s\"", e.text, says);
}

static void what_is_not_read_is_refused_with_what_to_do(void **state)
{
	(void)state;
	refused("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4)}", TD_UNSUPPORTED, "ascontiguousarray");
	refused("{'descr': '>f4', 'fortran_order': False, 'shape': (3,)}", TD_UNSUPPORTED, "astype('f4')");
	refused("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", TD_UNSUPPORTED, "Python objects");
	refused("{'descr': '<U5', 'fortran_order': False, 'shape': (3,)}", TD_UNSUPPORTED, "np.unique");
	refused("{'descr': '<c8', 'fortran_order': False, 'shape': (3,)}", TD_UNSUPPORTED, "<c8");
	refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}", TD_CORRUPT, "records");
	refused("{'descr': '<f4', 'fortran_order': False}", TD_CORRUPT, "header");
	refused("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}", TD_CORRUPT, "header");
	refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", TD_CORRUPT, "header");
	refused("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", TD_CORRUPT, "header");
	refused("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000)}", TD_CORRUPT, "larger");
	refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)", TD_CORRUPT, "header");
	refused("__import__('os')", TD_CORRUPT, "header");
	refused("", TD_CORRUPT, "numpy.save");
}

static void a_header_that_is_longer_than_the_file_is_refused(void **state)
{
	uint8_t bytes[512];
	struct err e = { 0 };
	struct npy a;
	size_t n = file_of(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n", bytes);

	(void)state;
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(npy_parse(bytes, cut, &a, NULL), TD_CORRUPT);
	bytes[6] = 2;
	bytes[11] = 0x7f; /* two billion bytes of header */
	assert_int_equal(npy_parse(bytes, n, &a, &e), TD_CORRUPT);
	assert_non_null(strstr(e.text, "at most"));
}

static void elements_become_floats_and_integers(void **state)
{
	const uint16_t halves[] = { 0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x7e00 };
	const int16_t shorts[] = { -2, 300 };
	const uint8_t bools[] = { 0, 1, 7 };
	int64_t integers[3];
	float floats[6];
	double doubles[6];

	(void)state;
	npy_to_floats(NPY_F16, halves, 6, floats);
	assert_true(floats[0] == 1 && floats[1] == -2 && floats[2] == 65504 && floats[3] == 0x1p-24f);
	assert_true(isinf(floats[4]) && isnan(floats[5]));
	npy_to_doubles(NPY_I16, shorts, 2, doubles);
	assert_true(doubles[0] == -2 && doubles[1] == 300);
	npy_to_ints(NPY_BOOL, bools, 3, integers);
	assert_true(integers[0] == 0 && integers[1] == 1 && integers[2] == 1);
}

static void a_written_header_reads_back(void **state)
{
	int64_t dim[] = { 60000, 1, 28 };
	struct err e = { 0 };
	struct npy a;
	struct buf b;

	(void)state;
	for (int rank = 0; rank <= 3; rank++) {
		buf_init(&b, 4096);
		assert_true(npy_write_header(&b, NPY_U8, dim, rank));
		assert_int_equal(b.len % 64, 0); /* as NumPy aligns */
		assert_int_equal(npy_parse(b.data, b.len, &a, &e), TD_OK);
		assert_int_equal(a.rank, rank);
		assert_int_equal(a.type, NPY_U8);
		for (int i = 0; i < rank; i++)
			assert_int_equal(a.dim[i], dim[i]);
		buf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_numpy_writes_is_read),
		cmocka_unit_test(what_is_not_read_is_refused_with_what_to_do),
		cmocka_unit_test(a_header_that_is_longer_than_the_file_is_refused),
		cmocka_unit_test(elements_become_floats_and_integers),
		cmocka_unit_test(a_written_header_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
