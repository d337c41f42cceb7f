/* Pictures in general: see image.h.  The two file formats stand in image_jpeg.c and image_png.c. */
#include "io/image.h"
#include "data/resize.h"
#include "io/image_codecs.h"

#include <nettle/base64.h>
#include <string.h>

#define PNG_IN_JSON_MOST (16u << 20) /* bytes: pictures in JSON are thumbnails and grids of them */

static bool is_jpeg(const uint8_t *b, size_t n)
{
	return n >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff;
}

static bool is_png(const uint8_t *b, size_t n)
{
	return n >= 8 && !memcmp(b, "\x89PNG\r\n\x1a\n", 8);
}

bool image_is_known(const void *bytes, size_t n_bytes)
{
	return is_jpeg(bytes, n_bytes) || is_png(bytes, n_bytes);
}

td_status image_check_size(int64_t height, int64_t width, struct err *e)
{
	if (height < 1 || width < 1)
		return err_set(
			e, TD_CORRUPT, "its header says %lld x %lld pixels", (long long)width, (long long)height);
	if (height > IMAGE_SIDE_MOST || width > IMAGE_SIDE_MOST || height * width > IMAGE_PIXELS_MOST)
		return err_set(e, TD_TOO_LARGE,
			"it has %lld x %lld pixels; at most %d a side and %d in all are read, so make it smaller",
			(long long)width, (long long)height, IMAGE_SIDE_MOST, IMAGE_PIXELS_MOST);
	return TD_OK;
}

td_status image_init(struct image *i, int64_t channels, int64_t height, int64_t width, struct err *e)
{
	*i = (struct image){ channels, height, width, mem_try_alloc((size_t)(channels * height * width)) };
	if (!i->pixels)
		return err_set(e, TD_NO_MEMORY, "no memory for a picture of %lld x %lld pixels", (long long)width,
			(long long)height);
	return TD_OK;
}

void image_release(struct image *i)
{
	mem_free(i->pixels);
	*i = (struct image){ 0 };
}

td_status image_decode(const void *bytes, size_t n_bytes, struct image *out, struct err *e)
{
	td_status s;

	*out = (struct image){ 0 };
	if (is_jpeg(bytes, n_bytes))
		s = image_decode_jpeg(bytes, n_bytes, out, e);
	else if (is_png(bytes, n_bytes))
		s = image_decode_png(bytes, n_bytes, out, e);
	else
		s = err_set(e, TD_UNSUPPORTED, "it begins neither as a JPEG nor as a PNG file; convert it to one");
	if (s)
		image_release(out);
	return s;
}

/* 299, 587 and 114 thousandths, scaled by 2^16, as PIL has them. */
static uint8_t luma(const uint8_t *rgb, int64_t plane)
{
	return (uint8_t)((19595 * rgb[0] + 38470 * rgb[plane] + 7471 * rgb[2 * plane] + 0x8000) >> 16);
}

td_status image_set_channels(struct image *i, int64_t channels, struct err *e)
{
	int64_t plane = i->height * i->width;
	struct image other;
	td_status s;

	if (channels == i->channels)
		return TD_OK;
	s = image_init(&other, channels, i->height, i->width, e);
	if (s)
		return s;
	if (channels == 3)
		for (int64_t c = 0; c < 3; c++)
			memcpy(other.pixels + c * plane, i->pixels, (size_t)plane);
	else
		for (int64_t k = 0; k < plane; k++)
			other.pixels[k] = luma(i->pixels + k, plane);
	image_release(i);
	*i = other;
	return TD_OK;
}

static td_status crop_centre(struct image *i, int64_t height, int64_t width, struct err *e)
{
	int64_t top = resize_centre(i->height, height), left = resize_centre(i->width, width);
	struct image cut;
	td_status s;

	if (height == i->height && width == i->width)
		return TD_OK;
	s = image_init(&cut, i->channels, height, width, e);
	if (s)
		return s;
	for (int64_t c = 0; c < i->channels; c++)
		for (int64_t y = 0; y < height; y++)
			memcpy(cut.pixels + (c * height + y) * width,
				i->pixels + (c * i->height + top + y) * i->width + left, (size_t)width);
	image_release(i);
	*i = cut;
	return TD_OK;
}

td_status image_fit(struct image *i, int64_t height, int64_t width, struct err *e)
{
	struct image scaled;
	struct resize r;
	int64_t h, w;
	td_status s;

	resize_cover(i->height, i->width, height, width, &h, &w);
	/* A strip of 16384 x 1 would have to become larger than any picture that is read. */
	s = image_check_size(h, w, e);
	if (s || (h == i->height && w == i->width))
		return s ? s : crop_centre(i, height, width, e);
	s = resize_init(&r, i->height, i->width, h, w, e);
	if (s)
		return s;
	s = image_init(&scaled, i->channels, h, w, e);
	if (!s) {
		resize_apply(&r, i->pixels, i->channels, scaled.pixels);
		image_release(i);
		*i = scaled;
		s = crop_centre(i, height, width, e);
	}
	resize_release(&r);
	return s;
}

char *image_png_base64(const struct image *i, struct err *e)
{
	struct buf png;
	char *text = NULL;

	buf_init(&png, PNG_IN_JSON_MOST);
	if (!image_encode_png(i, &png, e)) {
		text = mem_alloc(BASE64_ENCODE_RAW_LENGTH(png.len) + 1);
		base64_encode_raw(text, png.len, (const uint8_t *)png.data);
	}
	buf_release(&png);
	return text;
}
