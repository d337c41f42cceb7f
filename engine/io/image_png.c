/* PNG by libpng.  As with JPEG, errors are jumps, and what must survive them lives in a struct of the caller. */
#include "io/image_codecs.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

#define CHUNK_MOST  (8u << 20) /* bytes of one ancillary chunk, unpacked: text and profiles are not pictures */
#define CHUNKS_MOST 100        /* ancillary chunks that are kept */
#define WRITE_LEVEL 6          /* zlib's default */

struct decoding {
	png_structp png;
	png_infop info;
	struct image *out;   /* borrowed */
	uint8_t *pixels;     /* owned; rows of interleaved pixels */
	png_bytep *rows;     /* owned */
	const uint8_t *next; /* of the file */
	size_t left;         /* bytes of it */
	struct err *err;
};

static void on_error(png_structp png, const char *text)
{
	struct decoding *d = png_get_error_ptr(png);

	err_set(d->err, TD_CORRUPT, "it is a damaged PNG file: %s", text);
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, const char *text)
{
	(void)png, (void)text; /* about profiles and text, not about pixels */
}

static void read_bytes(png_structp png, png_bytep out, size_t n)
{
	struct decoding *d = png_get_io_ptr(png);

	if (n > d->left)
		png_error(png, "it ends too early");
	memcpy(out, d->next, n);
	d->next += n;
	d->left -= n;
}

/* Whatever is stored, rows come out as bytes of grey or of red, green and blue. */
static void ask_for_bytes(struct decoding *d)
{
	int colour = png_get_color_type(d->png, d->info);

	if (colour == PNG_COLOR_TYPE_PALETTE)
		png_set_palette_to_rgb(d->png);
	if (colour == PNG_COLOR_TYPE_GRAY)
		png_set_expand_gray_1_2_4_to_8(d->png);
	png_set_strip_16(d->png);
	png_set_strip_alpha(d->png);
	png_set_interlace_handling(d->png);
	png_read_update_info(d->png, d->info);
}

static td_status decode(struct decoding *d)
{
	struct image *i = d->out;
	td_status s;

	png_set_read_fn(d->png, d, read_bytes);
	png_set_user_limits(d->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* image_check_size says it better */
	png_set_chunk_malloc_max(d->png, CHUNK_MOST);
	png_set_chunk_cache_max(d->png, CHUNKS_MOST);
	png_read_info(d->png, d->info);
	s = image_check_size(png_get_image_height(d->png, d->info), png_get_image_width(d->png, d->info), d->err);
	if (s)
		return s;
	ask_for_bytes(d);
	s = image_init(i, png_get_channels(d->png, d->info), png_get_image_height(d->png, d->info),
		png_get_image_width(d->png, d->info), d->err);
	if (s)
		return s;
	d->pixels = mem_try_alloc((size_t)(i->channels * i->height * i->width));
	if (!d->pixels)
		return err_set(d->err, TD_NO_MEMORY, "no memory for a picture of %lld x %lld pixels",
			(long long)i->width, (long long)i->height);
	d->rows = MEM_NEW_N(png_bytep, i->height);
	for (int64_t y = 0; y < i->height; y++)
		d->rows[y] = d->pixels + y * i->width * i->channels;
	png_read_image(d->png, d->rows);
	png_read_end(d->png, NULL);
	for (int64_t c = 0; c < i->channels; c++)
		for (int64_t k = 0; k < i->height * i->width; k++)
			i->pixels[c * i->height * i->width + k] = d->pixels[k * i->channels + c];
	return TD_OK;
}

td_status image_decode_png(const uint8_t *bytes, size_t n_bytes, struct image *out, struct err *e)
{
	struct err own = { 0 };
	struct decoding d = { .out = out, .next = bytes, .left = n_bytes, .err = e ? e : &own };
	td_status s;

	d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning);
	TD_ASSERT(d.png);
	d.info = png_create_info_struct(d.png);
	TD_ASSERT(d.info);
	if (setjmp(png_jmpbuf(d.png)))
		s = TD_CORRUPT;
	else
		s = decode(&d);
	png_destroy_read_struct(&d.png, &d.info, NULL);
	mem_free(d.pixels);
	mem_free(d.rows);
	return s;
}

/* ---- Writing --------------------------------------------------------------------------------------------------- */

struct encoding {
	struct buf *out; /* borrowed */
	uint8_t *row;    /* owned; interleaved */
	struct err *err;
};

static void on_write_error(png_structp png, const char *text)
{
	struct encoding *w = png_get_error_ptr(png);

	err_set(w->err, TD_TOO_LARGE, "a picture does not become a PNG file: %s", text);
	png_longjmp(png, 1);
}

static void write_bytes(png_structp png, png_bytep bytes, size_t n)
{
	struct encoding *w = png_get_io_ptr(png);

	if (!buf_append(w->out, bytes, n))
		png_error(png, "it is larger than its place");
}

static void flush_nothing(png_structp png)
{
	(void)png;
}

static void encode(struct encoding *w, png_structp png, png_infop info, const struct image *i)
{
	png_set_write_fn(png, w, write_bytes, flush_nothing);
	png_set_compression_level(png, WRITE_LEVEL);
	png_set_IHDR(png, info, (png_uint_32)i->width, (png_uint_32)i->height, 8,
		i->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
	w->row = mem_alloc((size_t)(i->width * i->channels));
	for (int64_t y = 0; y < i->height; y++) {
		for (int64_t c = 0; c < i->channels; c++)
			for (int64_t x = 0; x < i->width; x++)
				w->row[x * i->channels + c] = i->pixels[(c * i->height + y) * i->width + x];
		png_write_row(png, w->row);
	}
	png_write_end(png, NULL);
}

td_status image_encode_png(const struct image *i, struct buf *out, struct err *e)
{
	struct encoding w = { .out = out, .err = e };
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, on_write_error, on_warning);
	png_infop info;
	td_status s = TD_OK;

	TD_ASSERT(png);
	info = png_create_info_struct(png);
	TD_ASSERT(info && (i->channels == 1 || i->channels == 3));
	if (setjmp(png_jmpbuf(png)))
		s = TD_TOO_LARGE;
	else
		encode(&w, png, info, i);
	png_destroy_write_struct(&png, &info);
	mem_free(w.row);
	return s;
}
