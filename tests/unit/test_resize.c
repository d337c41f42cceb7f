/* Resized pictures must have Pillow's bytes: the expected values below were computed with Pillow 11.3, BILINEAR. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "base/mem.h"
#include "data/resize.h"

/* Bytes that a Python script can make too: x = (1103515245 x + 12345) mod 2^31, bits 16 to 23. */
static uint8_t *noise(int64_t n, uint32_t x)
{
	uint8_t *bytes = mem_alloc((size_t)n);

	for (int64_t i = 0; i < n; i++) {
		x = (x * 1103515245u + 12345u) & 0x7fffffff;
		bytes[i] = (uint8_t)(x >> 16);
	}
	return bytes;
}

static uint8_t *resized(const uint8_t *in, int64_t h, int64_t w, int64_t oh, int64_t ow)
{
	uint8_t *out = mem_alloc((size_t)(oh * ow));
	struct err e = { 0 };
	struct resize r;

	assert_int_equal(resize_init(&r, h, w, oh, ow, &e), TD_OK);
	resize_apply(&r, in, 1, out);
	resize_release(&r);
	return out;
}

static const uint8_t smaller[] = { 170, 155, 151, 165, 153, 104, 136, 121, 116, 77, 140, 80 };
static const uint8_t larger[] = { 198, 150, 127, 124, 107, 82, 173, 243, 226, 238, 143, 149, 206, 169, 182, 169, 130,
	78, 236, 155, 109, 122, 190, 137, 155, 142, 62, 179, 116, 60, 58, 154, 90, 135, 153, 87, 128, 73, 56, 75, 100,
	127, 128, 106, 72, 170, 147, 102, 66, 89, 202, 152, 64, 19 };
static const uint8_t mixed[] = { 152, 114, 204, 163, 152, 163, 176, 194, 113, 151, 139, 128, 114, 105, 129, 67, 93, 114,
	101, 107, 102, 132, 119, 94 };

static void small_pictures_have_pillows_bytes(void **state)
{
	static const struct {
		int64_t height, width;
		const uint8_t *expected;
	} cases[] = { { 3, 4, smaller }, { 6, 9, larger }, { 8, 3, mixed } };
	uint8_t *in = noise(35, 1);

	(void)state;
	for (size_t i = 0; i < TD_COUNT(cases); i++) {
		uint8_t *out = resized(in, 5, 7, cases[i].height, cases[i].width);
		assert_memory_equal(out, cases[i].expected, (size_t)(cases[i].height * cases[i].width));
		mem_free(out);
	}
	mem_free(in);
}

static void odd_sizes_have_pillows_bytes(void **state)
{
	static const struct {
		int64_t h, w, oh, ow;
		uint32_t crc;
	} cases[] = {
		{ 97, 61, 32, 32, 0x05dbb465 },
		{ 40, 300, 224, 224, 0x089c779c },
		{ 256, 256, 1, 1, 0x3fba6cad },
		{ 1, 1, 50, 3, 0x86cbe410 },
		{ 333, 2, 2, 333, 0xf5345ca6 },
		{ 64, 64, 63, 65, 0xd85611c1 },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(cases); i++) {
		uint8_t *in = noise(cases[i].h * cases[i].w, 7);
		uint8_t *out = resized(in, cases[i].h, cases[i].w, cases[i].oh, cases[i].ow);

		assert_int_equal(crc32(0, out, (unsigned)(cases[i].oh * cases[i].ow)), cases[i].crc);
		mem_free(in);
		mem_free(out);
	}
}

static void planes_do_not_mix_and_the_same_size_changes_nothing(void **state)
{
	uint8_t *in = noise(3 * 40 * 30, 3), out[3 * 20 * 10];
	struct err e = { 0 };
	struct resize r;

	(void)state;
	assert_int_equal(resize_init(&r, 40, 30, 20, 10, &e), TD_OK);
	resize_apply(&r, in, 3, out);
	for (int c = 0; c < 3; c++) {
		uint8_t *alone = resized(in + c * 1200, 40, 30, 20, 10);
		assert_memory_equal(alone, out + c * 200, 200);
		mem_free(alone);
	}
	resize_release(&r);
	assert_int_equal(resize_init(&r, 40, 30, 40, 30, &e), TD_OK);
	{
		uint8_t same[1200];
		resize_apply(&r, in, 1, same);
		assert_memory_equal(same, in, 1200);
	}
	resize_release(&r);
	mem_free(in);
}

static void a_constant_stays_constant_at_the_largest_reduction(void **state)
{
	uint8_t *in = mem_alloc(RESIZE_SIDE_MOST), *out;

	(void)state;
	memset(in, 255, RESIZE_SIDE_MOST);
	out = resized(in, 1, RESIZE_SIDE_MOST, 2, 1); /* sums of weights must not pass 32 bits */
	assert_int_equal(out[0], 255);
	assert_int_equal(out[1], 255);
	mem_free(in);
	mem_free(out);
}

static void covering_keeps_proportions_and_crops_as_torchvision(void **state)
{
	int64_t h, w;

	(void)state;
	resize_cover(300, 451, 224, 224, &h, &w);
	assert_int_equal(h, 224);
	assert_int_equal(w, 336); /* int(224 * 451 / 300) */
	resize_cover(800, 441, 224, 224, &h, &w);
	assert_int_equal(w, 224);
	assert_int_equal(h, 406);
	resize_cover(10, 10, 20, 5, &h, &w);
	assert_int_equal(h, 20);
	assert_int_equal(w, 20);
	assert_int_equal(resize_centre(336, 224), 56);
	assert_int_equal(resize_centre(5, 2), 2); /* 1.5 rounds to even */
	assert_int_equal(resize_centre(3, 2), 0); /* 0.5 too */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_pictures_have_pillows_bytes),
		cmocka_unit_test(odd_sizes_have_pillows_bytes),
		cmocka_unit_test(planes_do_not_mix_and_the_same_size_changes_nothing),
		cmocka_unit_test(a_constant_stays_constant_at_the_largest_reduction),
		cmocka_unit_test(covering_keeps_proportions_and_crops_as_torchvision),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
