/* One sample on its way through the operations: its room, its crops and its resizes. */
#include "data/image_ops.h"

#include <string.h>

static uint32_t draw_u32(const struct draws *d, int k)
{
	TD_ASSERT(k < DRAWS_MOST);
	return rng_u32(&d->key, d->first + (uint64_t)k);
}

double draw_unit(const struct draws *d, int k)
{
	return rng_unit(draw_u32(d, k));
}

double draw_between(const struct draws *d, int k, double low, double high)
{
	return low + (high - low) * draw_unit(d, k);
}

int64_t draw_below(const struct draws *d, int k, int64_t n)
{
	return (int64_t)((uint64_t)draw_u32(d, k) * (uint64_t)n >> 32);
}

/* Room for N floats in AT, which keeps what it holds, and in OTHER. */
static td_status picture_room(struct picture *p, int64_t n, struct err *e)
{
	float *at, *other;

	if (n <= p->room)
		return TD_OK;
	at = mem_try_alloc(sizeof *at * (size_t)n);
	other = mem_try_alloc(sizeof *other * (size_t)n);
	if (!at || !other) {
		mem_free(at);
		mem_free(other);
		return err_set(e, TD_NO_MEMORY, "no memory for a picture of %lld values", (long long)n);
	}
	if (p->room)
		memcpy(at, p->at, sizeof *at * (size_t)p->room);
	mem_free(p->at);
	mem_free(p->other);
	p->at = at;
	p->other = other;
	p->room = n;
	return TD_OK;
}

static td_status bytes_room(uint8_t **bytes, int64_t *room, int64_t n, struct err *e)
{
	if (n <= *room)
		return TD_OK;
	mem_free(*bytes);
	*bytes = mem_try_alloc((size_t)n);
	*room = *bytes ? n : 0;
	return *bytes ? TD_OK : err_set(e, TD_NO_MEMORY, "no memory for a picture of %lld bytes", (long long)n);
}

void picture_release(struct picture *p)
{
	mem_free(p->at);
	mem_free(p->other);
	mem_free(p->bytes);
	mem_free(p->resized);
	resize_release(&p->plan);
	*p = (struct picture){ 0 };
}

void picture_begin(struct picture *p, const uint8_t *bytes, int64_t channels, int64_t height, int64_t width)
{
	p->channels = channels;
	p->height = height;
	p->width = width;
	p->source = bytes;
}

static void to_floats(const uint8_t *bytes, int64_t n, float *out)
{
	for (int64_t i = 0; i < n; i++)
		out[i] = (float)bytes[i] / 255.0f;
}

td_status picture_floats(struct picture *p, struct err *e)
{
	int64_t n = p->channels * p->height * p->width;
	td_status s = TD_OK;

	if (p->source) {
		s = picture_room(p, n, e);
		if (!s)
			to_floats(p->source, n, p->at);
		p->source = NULL;
	}
	return s;
}

void picture_swap(struct picture *p, int64_t height, int64_t width)
{
	float *at = p->at;

	p->at = p->other;
	p->other = at;
	p->height = height;
	p->width = width;
}

/* ---- Resizing -------------------------------------------------------------------------------------------------- */

static void row_to_bytes(const float *row, int64_t n, uint8_t *to)
{
	for (int64_t x = 0; x < n; x++) {
		float value = row[x] * 255.0f + 0.5f;
		to[x] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
	}
}

/* The window's bytes in P->bytes. */
static void cut_bytes(struct picture *p, struct window from)
{
	uint8_t *to = p->bytes;

	for (int64_t c = 0; c < p->channels; c++)
		for (int64_t y = 0; y < from.height; y++, to += from.width) {
			int64_t at = (c * p->height + from.top + y) * p->width + from.left;

			if (p->source)
				memcpy(to, p->source + at, (size_t)from.width);
			else
				row_to_bytes(p->at + at, from.width, to);
		}
}

static td_status plan_resize(struct resize *r, struct window from, int64_t height, int64_t width, struct err *e)
{
	if (r->y.in == from.height && r->x.in == from.width && r->y.out == height && r->x.out == width)
		return TD_OK;
	resize_release(r);
	return resize_init(r, from.height, from.width, height, width, e);
}

td_status picture_resize(struct picture *p, struct window from, int64_t height, int64_t width, struct err *e)
{
	int64_t n = p->channels * height * width, n_window = p->channels * from.height * from.width;
	bool as_it_is = p->source && from.height == p->height && from.width == p->width;
	td_status s = TD_OK;

	if (p->source && p->source == p->resized) { /* the second resize of two */
		s = picture_floats(p, e);
		as_it_is = false;
	}
	if (!s)
		s = bytes_room(&p->resized, &p->resized_room, n, e);
	if (!s && !as_it_is)
		s = bytes_room(&p->bytes, &p->bytes_room, n_window, e);
	if (!s)
		s = plan_resize(&p->plan, from, height, width, e);
	if (s)
		return s;
	if (!as_it_is)
		cut_bytes(p, from);
	resize_apply(&p->plan, as_it_is ? p->source : p->bytes, p->channels, p->resized);
	picture_begin(p, p->resized, p->channels, height, width);
	return TD_OK;
}

/* ---- Cropping -------------------------------------------------------------------------------------------------- */

/* Position I of an axis of SIZE, reflected at its ends until it lies within. */
static int64_t reflect_index(int64_t i, int64_t size)
{
	int64_t period = 2 * (size - 1), at;

	if (size == 1)
		return 0;
	at = (i % period + period) % period;
	return at < size ? at : period - at;
}

static void crop_row(const float *from, int64_t width, int64_t left, int64_t n, bool reflect, float *to)
{
	int64_t before = TD_MIN(TD_MAX(-left, 0), n), end = TD_MAX(TD_MIN(width - left, n), before);

	for (int64_t x = 0; x < before; x++)
		to[x] = reflect ? from[reflect_index(left + x, width)] : 0.0f;
	if (end > before)
		memcpy(to + before, from + left + before, sizeof *to * (size_t)(end - before));
	for (int64_t x = end; x < n; x++)
		to[x] = reflect ? from[reflect_index(left + x, width)] : 0.0f;
}

td_status picture_crop(struct picture *p, struct window from, bool reflect, struct err *e)
{
	td_status s = picture_floats(p, e);
	float *to;

	if (!s)
		s = picture_room(p, p->channels * from.height * from.width, e);
	if (s)
		return s;
	to = p->other;
	for (int64_t c = 0; c < p->channels; c++)
		for (int64_t y = 0; y < from.height; y++, to += from.width) {
			int64_t row = from.top + y;
			bool inside = row >= 0 && row < p->height;

			if (inside || reflect)
				crop_row(p->at + (c * p->height + reflect_index(row, p->height)) * p->width, p->width,
					from.left, from.width, reflect, to);
			else
				memset(to, 0, sizeof *to * (size_t)from.width);
		}
	picture_swap(p, from.height, from.width);
	return TD_OK;
}
