/* Antialiased bilinear resizing: see resize.h. */
#include "data/resize.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* A byte times a weight, summed over weights that add up to 1.0, and two bits to spare: 32 - 8 - 2. */
#define WEIGHT_BITS 22
#define HALF        (1 << (WEIGHT_BITS - 1))

static double triangle(double x)
{
	return fabs(x) < 1.0 ? 1.0 - fabs(x) : 0.0;
}

/* The weights of output I in doubles, normalised; returns how many there are and where they begin. */
static int64_t weigh(const struct resize_axis *a, int64_t i, double *weights, int32_t *first)
{
	double scale = (double)a->in / (double)a->out, wide = TD_MAX(scale, 1.0), centre = ((double)i + 0.5) * scale;
	double inverse = 1.0 / wide, sum = 0;
	int64_t from = (int64_t)(centre - wide + 0.5), to = (int64_t)(centre + wide + 0.5);

	from = TD_MAX(from, 0);
	to = TD_MIN(to, a->in);
	for (int64_t k = from; k < to; k++) {
		weights[k - from] = triangle(((double)k - centre + 0.5) * inverse);
		sum += weights[k - from];
	}
	for (int64_t k = 0; k < to - from && sum != 0; k++)
		weights[k] /= sum;
	*first = (int32_t)from;
	return to - from;
}

static td_status axis_init(struct resize_axis *a, int64_t in, int64_t out, struct err *e)
{
	double scale = (double)in / (double)out, *weights;

	TD_ASSERT(in >= 1 && in <= RESIZE_SIDE_MOST && out >= 1 && out <= RESIZE_SIDE_MOST);
	*a = (struct resize_axis){ .in = in, .out = out, .n_taps = (int64_t)ceil(TD_MAX(scale, 1.0)) * 2 + 1 };
	a->first = MEM_NEW_N(int32_t, out);
	a->n = MEM_NEW_N(int32_t, out);
	a->weights = mem_try_alloc(sizeof(int32_t) * (size_t)(out * a->n_taps));
	if (!a->weights)
		return err_set(
			e, TD_NO_MEMORY, "no memory for resizing %lld pixels to %lld", (long long)in, (long long)out);
	memset(a->weights, 0, sizeof(int32_t) * (size_t)(out * a->n_taps));
	weights = MEM_NEW_N(double, a->n_taps);
	for (int64_t i = 0; i < out; i++) {
		a->n[i] = (int32_t)weigh(a, i, weights, &a->first[i]);
		for (int32_t k = 0; k < a->n[i]; k++)
			a->weights[i * a->n_taps + k] = (int32_t)(0.5 + weights[k] * (1 << WEIGHT_BITS));
	}
	mem_free(weights);
	return TD_OK;
}

static void axis_release(struct resize_axis *a)
{
	mem_free(a->first);
	mem_free(a->n);
	mem_free(a->weights);
}

td_status resize_init(
	struct resize *r, int64_t height, int64_t width, int64_t out_height, int64_t out_width, struct err *e)
{
	td_status s;

	*r = (struct resize){ 0 };
	s = axis_init(&r->x, width, out_width, e);
	if (!s)
		s = axis_init(&r->y, height, out_height, e);
	if (!s) {
		r->between = mem_try_alloc((size_t)(height * out_width));
		if (!r->between)
			s = err_set(e, TD_NO_MEMORY, "no memory for resizing a picture of %lld x %lld",
				(long long)height, (long long)width);
	}
	if (s)
		resize_release(r);
	return s;
}

void resize_release(struct resize *r)
{
	axis_release(&r->x);
	axis_release(&r->y);
	mem_free(r->between);
	*r = (struct resize){ 0 };
}

static uint8_t to_byte(int32_t sum)
{
	int32_t value = sum >> WEIGHT_BITS;

	return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resize_rows(const struct resize_axis *a, const uint8_t *in, int64_t n_rows, uint8_t *out)
{
	for (int64_t y = 0; y < n_rows; y++, in += a->in, out += a->out) {
		for (int64_t i = 0; i < a->out; i++) {
			const int32_t *w = a->weights + i * a->n_taps;
			const uint8_t *from = in + a->first[i];
			int32_t sum = HALF;

			for (int32_t k = 0; k < a->n[i]; k++)
				sum += from[k] * w[k];
			out[i] = to_byte(sum);
		}
	}
}

static void resize_columns(const struct resize_axis *a, const uint8_t *in, int64_t width, uint8_t *out)
{
	for (int64_t i = 0; i < a->out; i++, out += width) {
		const int32_t *w = a->weights + i * a->n_taps;
		const uint8_t *from = in + a->first[i] * width;

		for (int64_t x = 0; x < width; x++) {
			int32_t sum = HALF;
			for (int32_t k = 0; k < a->n[i]; k++)
				sum += from[k * width + x] * w[k];
			out[x] = to_byte(sum);
		}
	}
}

void resize_apply(struct resize *r, const uint8_t *in, int64_t channels, uint8_t *out)
{
	for (int64_t c = 0; c < channels; c++, in += r->x.in * r->y.in, out += r->x.out * r->y.out) {
		const uint8_t *rows = in;

		/* A pass that changes nothing is left out, as Pillow does; the bytes are the same. */
		if (r->x.in != r->x.out) {
			resize_rows(&r->x, in, r->y.in, r->between);
			rows = r->between;
		}
		if (r->y.in != r->y.out)
			resize_columns(&r->y, rows, r->x.out, out);
		else
			memcpy(out, rows, (size_t)(r->x.out * r->y.out));
	}
}

void resize_cover(
	int64_t in_height, int64_t in_width, int64_t out_height, int64_t out_width, int64_t *height, int64_t *width)
{
	bool by_height = out_height * in_width >= out_width * in_height;

	*height = by_height ? out_height : TD_MAX(out_width * in_height / in_width, out_height);
	*width = by_height ? TD_MAX(out_height * in_width / in_height, out_width) : out_width;
}

int64_t resize_centre(int64_t size, int64_t crop)
{
	int64_t spare = size - crop, half = spare / 2;

	return half + (spare % 2 && half % 2);
}
