/* Pictures of any bytes: refused with a reason, or pixels that are all there and become a PNG again.
 *
 * A PNG chunk whose CRC is wrong is not looked into: CRCs are set right after each mutation.  And sizes are small in
 * most: a large picture only takes its time. */
#include <zlib.h>
#include "io/image.h"
#include "seeds.h"

#define PNG_MAGIC "\x89PNG\r\n\x1a\n"

/* A grey JPEG of 8 x 8 pixels, all of one value: quantisation, frame, two Huffman tables of few codes, scan. */
static const unsigned char jpeg[] = { 0xff, 0xd8, 0xff, 0xdb, 0, 67, 0, 8, 6, 6, 7, 6, 5, 8, 7, 7, 7, 9, 9, 8, 10, 12,
	20, 13, 12, 11, 11, 12, 25, 18, 19, 15, 20, 29, 26, 31, 30, 29, 26, 28, 28, 32, 36, 46, 39, 32, 34, 44, 35, 28,
	28, 40, 55, 41, 44, 48, 49, 52, 52, 52, 31, 39, 57, 61, 56, 50, 60, 46, 51, 52, 50, 0xff, 0xc0, 0, 11, 8, 0, 8,
	0, 8, 1, 1, 0x11, 0, 0xff, 0xc4, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xc4, 0, 20,
	0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x3f, 0xff,
	0xd9 };
static char pngs[2][256];
static struct seed seeds[3] = { { jpeg, sizeof jpeg } };

static void make_seeds(void)
{
	static uint8_t pixels[3 * 4 * 5] = { 1, 2, 3, 250 };

	for (int k = 0; k < 2; k++) {
		struct image i = { .channels = k ? 3 : 1, .height = 4, .width = 5, .pixels = pixels };
		struct err e = { 0 };
		struct buf png;

		buf_init(&png, sizeof pngs[k]);
		TD_ASSERT(image_encode_png(&i, &png, &e) == TD_OK);
		memcpy(pngs[k], png.data, png.len);
		seeds[1 + k] = (struct seed){ pngs[k], png.len };
		buf_release(&png);
	}
}

static uint32_t big_endian(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void mend_png(unsigned char *data, size_t n, bool small)
{
	size_t at = sizeof PNG_MAGIC - 1, length;

	if (n < at || memcmp(data, PNG_MAGIC, at) != 0)
		return;
	for (; n - at >= 12; at += 12 + length) {
		unsigned char *chunk = data + at;
		uint32_t crc;

		length = big_endian(chunk);
		if (length > n - at - 12)
			return;
		if (small && length >= 8 && !memcmp(chunk + 4, "IHDR", 4))
			memset(chunk + 8, 0, 3), memset(chunk + 12, 0, 3);
		crc = (uint32_t)crc32(0, chunk + 4, (uInt)length + 4);
		for (int i = 0; i < 4; i++)
			chunk[8 + length + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
	}
}

size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t n, size_t most, unsigned random)
{
	if (!seeds[1].n)
		make_seeds();
	n = fuzz_mutate(data, n, most, random, seeds, TD_COUNT(seeds));
	if (random / SEED_AGAIN % 16)
		mend_png(data, n, random / SEED_AGAIN % 16 > 1);
	return n;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct err e = { 0 };
	struct image i;
	struct buf png;

	if (image_decode(data, n, &i, &e)) {
		TD_ASSERT(e.text[0] && !i.pixels);
		return 0;
	}
	TD_ASSERT((i.channels == 1 || i.channels == 3) && i.height >= 1 && i.width >= 1);
	if (i.height * i.width <= 1 << 12 && !image_fit(&i, 8, 8, &e)) {
		buf_init(&png, 1 << 16);
		TD_ASSERT(image_encode_png(&i, &png, &e) == TD_OK);
		buf_release(&png);
	}
	image_release(&i);
	return 0;
}
