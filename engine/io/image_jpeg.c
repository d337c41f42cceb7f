/* JPEG by libjpeg(-turbo), with its default (exact) inverse transform and upsampling, as PIL uses them.
 *
 * The library reports an error by a function that must not return, so the decoding is one setjmp; what must survive the
 * jump lives in `struct decoding`.  A file that ends early or has damaged data is only warned of: those warnings are
 * errors here, since half a picture is not a sample. */
#include "io/image_codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>

/* The library's working memory: a progressive picture of the largest size needs 2 bytes of coefficients a value. */
#define WORK_MOST  ((long)256 << 20)
#define SCANS_MOST 200 /* passes over a progressive picture: encoders write about 10, each costs the whole picture */

struct decoding {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf failed;
	struct image *out; /* borrowed */
	uint8_t *row;      /* owned; one interleaved row */
	struct err *err;
};

static void on_error(j_common_ptr jpeg)
{
	struct decoding *d = jpeg->client_data;
	char text[JMSG_LENGTH_MAX];

	jpeg->err->format_message(jpeg, text);
	err_set(d->err, TD_CORRUPT, "it is a damaged JPEG file: %s", text);
	longjmp(d->failed, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
	/* Early ends and damaged data; other warnings (bytes between markers, odd headers) harm no pixel. */
	int code = jpeg->err->msg_code;

	if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE))
		on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg)
{
	struct decoding *d = jpeg->client_data;

	if (d->jpeg.input_scan_number <= SCANS_MOST)
		return;
	err_set(d->err, TD_CORRUPT, "it is a JPEG file of more than %d scans, which no encoder writes", SCANS_MOST);
	longjmp(d->failed, 1);
}

static td_status read_rows(struct decoding *d)
{
	struct image *i = d->out;
	JSAMPROW row;

	d->row = mem_alloc((size_t)(i->width * i->channels));
	row = d->row;
	while (d->jpeg.output_scanline < d->jpeg.output_height) {
		int64_t y = d->jpeg.output_scanline;

		jpeg_read_scanlines(&d->jpeg, &row, 1);
		for (int64_t c = 0; c < i->channels; c++)
			for (int64_t x = 0; x < i->width; x++)
				i->pixels[(c * i->height + y) * i->width + x] = d->row[x * i->channels + c];
	}
	jpeg_finish_decompress(&d->jpeg);
	return TD_OK;
}

static td_status decode(struct decoding *d, const uint8_t *bytes, size_t n_bytes)
{
	td_status s;

	jpeg_create_decompress(&d->jpeg);
	d->jpeg.mem->max_memory_to_use = WORK_MOST;
	d->progress.progress_monitor = on_progress;
	d->jpeg.progress = &d->progress;
	jpeg_mem_src(&d->jpeg, bytes, n_bytes);
	jpeg_read_header(&d->jpeg, TRUE);
	s = image_check_size(d->jpeg.image_height, d->jpeg.image_width, d->err);
	if (s)
		return s;
	if (d->jpeg.jpeg_color_space == JCS_CMYK || d->jpeg.jpeg_color_space == JCS_YCCK)
		return err_set(d->err, TD_UNSUPPORTED,
			"it is a JPEG file for printing (CMYK), whose colours have no exact meaning here; save it as "
			"RGB");
	d->jpeg.out_color_space = d->jpeg.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
	jpeg_start_decompress(&d->jpeg);
	s = image_init(d->out, d->jpeg.output_components, d->jpeg.output_height, d->jpeg.output_width, d->err);
	return s ? s : read_rows(d);
}

td_status image_decode_jpeg(const uint8_t *bytes, size_t n_bytes, struct image *out, struct err *e)
{
	struct err own = { 0 };
	struct decoding d = { .out = out, .err = e ? e : &own };
	td_status s;

	d.jpeg.err = jpeg_std_error(&d.errors);
	d.errors.error_exit = on_error;
	d.errors.emit_message = on_message;
	d.jpeg.client_data = &d;
	if (setjmp(d.failed))
		s = TD_CORRUPT;
	else
		s = decode(&d, bytes, n_bytes);
	jpeg_destroy_decompress(&d.jpeg);
	mem_free(d.row);
	return s;
}
