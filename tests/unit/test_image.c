/* Pictures come from elsewhere: their pixels must be PIL's, and no bytes may do more than be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <jpeglib.h>
#include "io/image.h"

/* Written by Pillow: the pixels (250, 10, 20), (0, 255, 0); (0, 0, 255), (128, 64, 32), as colour, with transparency,
 * as a palette; two black and two white pixels of one bit; 0x1234, 0xffff; 0, 0x80ff of 16 bits; an 8 x 8 grey JPEG. */
static const uint8_t png_rgb[] = { 137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 2,
	8, 2, 0, 0, 0, 253, 212, 154, 115, 0, 0, 0, 22, 73, 68, 65, 84, 120, 156, 99, 248, 197, 37, 194, 240, 159, 129,
	129, 129, 225, 127, 131, 131, 2, 0, 29, 39, 3, 247, 16, 21, 153, 203, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96,
	130 };
static const uint8_t png_rgba[] = { 137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0,
	2, 8, 6, 0, 0, 0, 114, 182, 13, 36, 0, 0, 0, 26, 73, 68, 65, 84, 120, 156, 99, 248, 197, 37, 194, 192, 240, 159,
	161, 129, 129, 129, 225, 255, 255, 6, 7, 5, 102, 0, 49, 100, 5, 121, 179, 63, 184, 185, 0, 0, 0, 0, 73, 69, 78,
	68, 174, 66, 96, 130 };
static const uint8_t png_palette[] = { 137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0,
	0, 2, 2, 3, 0, 0, 0, 15, 216, 229, 183, 0, 0, 0, 12, 80, 76, 84, 69, 0, 255, 0, 128, 64, 32, 250, 10, 20, 0, 0,
	255, 163, 103, 82, 153, 0, 0, 0, 12, 73, 68, 65, 84, 120, 156, 99, 104, 96, 184, 0, 0, 2, 84, 1, 81, 97, 38, 81,
	225, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130 };
static const uint8_t png_bits[] = { 137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0,
	2, 1, 0, 0, 0, 0, 90, 205, 48, 137, 0, 0, 0, 12, 73, 68, 65, 84, 120, 156, 99, 112, 96, 114, 0, 0, 1, 8, 0, 131,
	24, 134, 139, 206, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130 };
static const uint8_t png_16[] = { 137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 2,
	16, 0, 0, 0, 0, 7, 77, 142, 187, 0, 0, 0, 18, 73, 68, 65, 84, 120, 156, 99, 16, 50, 249, 255, 159, 129, 129,
	161, 225, 63, 0, 17, 62, 3, 196, 235, 122, 253, 226, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130 };
static const uint8_t jpeg_grey[] = { 255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 255, 219,
	0, 67, 0, 8, 6, 6, 7, 6, 5, 8, 7, 7, 7, 9, 9, 8, 10, 12, 20, 13, 12, 11, 11, 12, 25, 18, 19, 15, 20, 29, 26, 31,
	30, 29, 26, 28, 28, 32, 36, 46, 39, 32, 34, 44, 35, 28, 28, 40, 55, 41, 44, 48, 49, 52, 52, 52, 31, 39, 57, 61,
	56, 50, 60, 46, 51, 52, 50, 255, 192, 0, 11, 8, 0, 8, 0, 8, 1, 1, 17, 0, 255, 196, 0, 31, 0, 0, 1, 5, 1, 1, 1,
	1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255, 196, 0, 181, 16, 0, 2, 1, 3, 3, 2, 4,
	3, 5, 5, 4, 4, 0, 0, 1, 125, 1, 2, 3, 0, 4, 17, 5, 18, 33, 49, 65, 6, 19, 81, 97, 7, 34, 113, 20, 50, 129, 145,
	161, 8, 35, 66, 177, 193, 21, 82, 209, 240, 36, 51, 98, 114, 130, 9, 10, 22, 23, 24, 25, 26, 37, 38, 39, 40, 41,
	42, 52, 53, 54, 55, 56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101,
	102, 103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135, 136, 137, 138, 146,
	147, 148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182,
	183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210, 211, 212, 213, 214, 215, 216, 217, 218,
	225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 255, 218, 0,
	8, 1, 1, 0, 0, 63, 0, 229, 60, 57, 226, 111, 43, 237, 63, 232, 153, 206, 223, 249, 105, 245, 246, 175, 255,
	217 };

static const uint8_t planes[] = { 250, 0, 0, 128, 10, 255, 0, 64, 20, 0, 255, 32 };

static void decoded(const uint8_t *bytes, size_t n, int64_t channels, int64_t side, const uint8_t *expected)
{
	struct err e = { 0 };
	struct image i;

	assert_true(image_is_known(bytes, n));
	assert_int_equal(image_decode(bytes, n, &i, &e), TD_OK);
	assert_int_equal(i.channels, channels);
	assert_int_equal(i.height, side);
	assert_int_equal(i.width, side);
	assert_memory_equal(i.pixels, expected, (size_t)(channels * side * side));
	image_release(&i);
}

static void png_of_every_kind_becomes_grey_or_colour(void **state)
{
	(void)state;
	decoded(png_rgb, sizeof png_rgb, 3, 2, planes);
	decoded(png_rgba, sizeof png_rgba, 3, 2, planes); /* transparency is dropped */
	decoded(png_palette, sizeof png_palette, 3, 2, planes);
	decoded(png_bits, sizeof png_bits, 1, 2, (const uint8_t[]){ 0, 255, 255, 0 });
	decoded(png_16, sizeof png_16, 1, 2, (const uint8_t[]){ 0x12, 0xff, 0, 0x80 });
}

static void a_jpeg_has_the_pixels_that_pil_reads(void **state)
{
	struct err e = { 0 };
	struct image i;

	(void)state;
	assert_int_equal(image_decode(jpeg_grey, sizeof jpeg_grey, &i, &e), TD_OK);
	assert_int_equal(i.channels, 1);
	assert_int_equal(crc32(0, i.pixels, 64), 0x55238992);
	image_release(&i);
}

/* A JPEG file of 16 x 16 grey values in the colours SPACE (mem: free). */
static uint8_t *jpeg_of(J_COLOR_SPACE space, int components, bool progressive, unsigned long *n)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr errors;
	uint8_t row[16 * 4], *bytes = NULL;

	c.err = jpeg_std_error(&errors);
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, &bytes, n);
	c.image_width = c.image_height = 16;
	c.input_components = components;
	c.in_color_space = space;
	jpeg_set_defaults(&c);
	if (progressive)
		jpeg_simple_progression(&c);
	jpeg_start_compress(&c, TRUE);
	for (int y = 0; y < 16; y++) {
		JSAMPROW rows[] = { row };
		memset(row, 16 * y, sizeof row);
		jpeg_write_scanlines(&c, rows, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	return bytes;
}

static void progressive_jpeg_is_read_and_cmyk_is_refused(void **state)
{
	struct err e = { 0 };
	struct image i;
	unsigned long n = 0;
	uint8_t *bytes = jpeg_of(JCS_RGB, 3, true, &n);

	(void)state;
	assert_int_equal(image_decode(bytes, n, &i, &e), TD_OK);
	assert_int_equal(i.channels, 3);
	assert_in_range(i.pixels[15 * 16], 230, 250);
	image_release(&i);
	free(bytes);
	bytes = jpeg_of(JCS_CMYK, 4, false, &n);
	assert_int_equal(image_decode(bytes, n, &i, &e), TD_UNSUPPORTED);
	assert_non_null(strstr(e.text, "CMYK"));
	assert_null(i.pixels);
	free(bytes);
}

static void every_cut_file_is_refused(void **state)
{
	unsigned long n = 0;
	uint8_t *bytes = jpeg_of(JCS_RGB, 3, false, &n);
	struct image i;

	(void)state;
	for (size_t cut = 0; cut < n - 2; cut++) { /* the last two bytes are the end's mark, which nobody misses */
		struct err e = { 0 };
		if (image_decode(bytes, cut, &i, &e) == TD_OK)
			fail_msg("%zu of %lu bytes were read as a whole JPEG", cut, n);
		assert_true(e.text[0] && !i.pixels);
	}
	free(bytes);
	for (size_t cut = 0; cut < sizeof png_rgb; cut++) {
		struct err e = { 0 };
		assert_int_not_equal(image_decode(png_rgb, cut, &i, &e), TD_OK);
		assert_true(e.text[0] && !i.pixels);
	}
}

static void every_damaged_byte_is_survived(void **state)
{
	(void)state;
	for (size_t at = 0; at < sizeof png_rgb; at++)
		for (int bit = 0; bit < 8; bit++) {
			uint8_t bytes[sizeof png_rgb];
			struct image i;

			memcpy(bytes, png_rgb, sizeof bytes);
			bytes[at] ^= (uint8_t)(1 << bit);
			if (image_decode(bytes, sizeof bytes, &i, NULL) == TD_OK)
				image_release(&i);
		}
}

static void a_huge_header_allocates_nothing(void **state)
{
	uint8_t png[sizeof png_rgb];
	struct err e = { 0 };
	struct image i;
	uint32_t sum;

	(void)state;
	memcpy(png, png_rgb, sizeof png);
	memcpy(png + 16, (const uint8_t[]){ 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff }, 8);
	sum = (uint32_t)crc32(0, png + 12, 17);
	for (int k = 0; k < 4; k++)
		png[29 + k] = (uint8_t)(sum >> (24 - 8 * k));
	assert_int_equal(image_decode(png, sizeof png, &i, &e), TD_TOO_LARGE);
	assert_non_null(strstr(e.text, "2147483647"));
}

static void png_and_back_is_the_same_picture(void **state)
{
	struct err e = { 0 };
	struct image i, again;
	struct buf file;

	(void)state;
	for (int64_t channels = 1; channels <= 3; channels += 2) {
		assert_int_equal(image_init(&i, channels, 5, 9, &e), TD_OK);
		for (int64_t k = 0; k < channels * 45; k++)
			i.pixels[k] = (uint8_t)(k * k);
		buf_init(&file, 1 << 16);
		assert_int_equal(image_encode_png(&i, &file, &e), TD_OK);
		assert_int_equal(image_decode(file.data, file.len, &again, &e), TD_OK);
		assert_int_equal(again.channels, channels);
		assert_memory_equal(again.pixels, i.pixels, (size_t)(channels * 45));
		image_release(&again);
		file.cap = 40; /* less than the file needs */
		buf_clear(&file);
		assert_int_equal(image_encode_png(&i, &file, &e), TD_TOO_LARGE);
		err_clear(&e);
		image_release(&i);
		buf_release(&file);
	}
}

static void channels_are_changed_as_pil_does(void **state)
{
	struct err e = { 0 };
	struct image i;

	(void)state;
	assert_int_equal(image_decode(png_rgb, sizeof png_rgb, &i, &e), TD_OK);
	assert_int_equal(image_set_channels(&i, 1, &e), TD_OK);
	assert_memory_equal(i.pixels, ((const uint8_t[]){ 83, 150, 29, 79 }), 4); /* PIL's convert("L") */
	assert_int_equal(image_set_channels(&i, 3, &e), TD_OK);
	assert_memory_equal(i.pixels + 8, i.pixels, 4);
	image_release(&i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(png_of_every_kind_becomes_grey_or_colour),
		cmocka_unit_test(a_jpeg_has_the_pixels_that_pil_reads),
		cmocka_unit_test(progressive_jpeg_is_read_and_cmyk_is_refused),
		cmocka_unit_test(every_cut_file_is_refused),
		cmocka_unit_test(every_damaged_byte_is_survived),
		cmocka_unit_test(a_huge_header_allocates_nothing),
		cmocka_unit_test(png_and_back_is_the_same_picture),
		cmocka_unit_test(channels_are_changed_as_pil_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
