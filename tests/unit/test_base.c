/* What the engine stands on: random numbers, threads, and maps of addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/ptrs.h"
#include "base/rng.h"
#include "base/threads.h"

static void philox_gives_the_published_numbers(void **state)
{
	struct rng_key zero = { 0, 0, 0 }, ones = { UINT64_MAX, UINT32_MAX, UINT32_MAX };
	uint32_t out[4];

	(void)state; /* Random123's known answers for philox4x32-10 */
	rng_block(&zero, 0, out);
	assert_memory_equal(out, ((uint32_t[]){ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 }), sizeof out);
	rng_block(&ones, UINT64_MAX, out);
	assert_memory_equal(out, ((uint32_t[]){ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd }), sizeof out);
}

static void count_slice(void *arg, int slice)
{
	((int *)arg)[slice]++;
}

static void every_slice_runs_once_whatever_the_number_of_threads(void **state)
{
	int counts[257];

	(void)state;
	for (int n = 1; n <= 4; n++) {
		struct threads *t = threads_create(n);

		for (int round = 0; round < 2000; round++) {
			int slices = round % 257 + 1;
			memset(counts, 0, sizeof counts);
			threads_run(t, slices, count_slice, counts);
			for (int i = 0; i < slices; i++)
				assert_int_equal(counts[i], 1);
		}
		threads_free(t);
	}
}

static void every_address_keeps_its_value_while_the_map_grows(void **state)
{
	enum { N = 5000 };
	static char values[N];

	(void)state;
	for (size_t stride = 1; stride <= 1 << 20; stride <<= 4) {
		struct ptrs m = { 0 };

		for (size_t i = 1; i <= N; i++) {
			void **place = ptrs_at(&m, (void *)(i * stride)); /* keys are not looked at */

			assert_null(*place);
			*place = &values[i - 1];
		}
		for (size_t i = 1; i <= N; i++)
			assert_ptr_equal(*ptrs_at(&m, (void *)(i * stride)), &values[i - 1]);
		assert_int_equal(m.n, N);
		ptrs_release(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(philox_gives_the_published_numbers),
		cmocka_unit_test(every_address_keeps_its_value_while_the_map_grows),
		cmocka_unit_test(every_slice_runs_once_whatever_the_number_of_threads),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
