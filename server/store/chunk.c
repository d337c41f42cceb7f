/* Packing: see chunk.h.
 *
 *	points:  varint n; n step differences; n time differences; n values (8 bytes, little-endian)
 *	buckets: varint n; for each: step difference, time difference, varint non_finite, value, min, max, mean
 *
 * Differences are taken modulo 2^64, so no pair of integers is a special case. */
#include "store/chunk.h"

#include <string.h>

static void put_varint(struct buf *out, uint64_t v)
{
	unsigned char bytes[10];
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		bytes[n++] = (unsigned char)(v | 0x80);
	bytes[n++] = (unsigned char)v;
	buf_append(out, bytes, n);
}

/* V minus BEFORE, small numbers of either sign near zero. */
static void put_difference(struct buf *out, int64_t v, int64_t before)
{
	uint64_t d = (uint64_t)v - (uint64_t)before;

	put_varint(out, d << 1 ^ (d >> 63 ? UINT64_MAX : 0));
}

static void put_double(struct buf *out, double v)
{
	unsigned char bytes[8];
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(bits >> (8 * i));
	buf_append(out, bytes, sizeof bytes);
}

struct bytes {
	const unsigned char *at, *end;
	bool broken;
};

static uint64_t get_varint(struct bytes *in)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64 && in->at < in->end; shift += 7) {
		unsigned char c = *in->at++;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return v;
	}
	in->broken = true;
	return 0;
}

static int64_t get_difference(struct bytes *in, int64_t before)
{
	uint64_t z = get_varint(in);

	return (int64_t)((uint64_t)before + (z >> 1 ^ (z & 1 ? UINT64_MAX : 0)));
}

static double get_double(struct bytes *in)
{
	uint64_t bits = 0;
	double v;

	if (in->end - in->at < 8) {
		in->broken = true;
		return 0;
	}
	for (int i = 0; i < 8; i++)
		bits |= (uint64_t)*in->at++ << (8 * i);
	memcpy(&v, &bits, sizeof v);
	return v;
}

void chunk_pack_points(const struct point *points, int n, struct buf *out)
{
	put_varint(out, (uint64_t)n);
	for (int i = 0; i < n; i++)
		put_difference(out, points[i].step, i ? points[i - 1].step : 0);
	for (int i = 0; i < n; i++)
		put_difference(out, points[i].time_ms, i ? points[i - 1].time_ms : 0);
	for (int i = 0; i < n; i++)
		put_double(out, points[i].value);
	TD_ASSERT(!out->full);
}

int chunk_unpack_points(const void *bytes, size_t n_bytes, struct point *out)
{
	struct bytes in = { .at = bytes, .end = (const unsigned char *)bytes + n_bytes };
	uint64_t n = get_varint(&in);

	if (n > CHUNK_POINTS)
		return -1;
	for (uint64_t i = 0; i < n; i++)
		out[i].step = get_difference(&in, i ? out[i - 1].step : 0);
	for (uint64_t i = 0; i < n; i++)
		out[i].time_ms = get_difference(&in, i ? out[i - 1].time_ms : 0);
	for (uint64_t i = 0; i < n; i++)
		out[i].value = get_double(&in);
	return in.broken || in.at != in.end ? -1 : (int)n;
}

void chunk_pack_buckets(const struct bucket *buckets, int n, struct buf *out)
{
	put_varint(out, (uint64_t)n);
	for (int i = 0; i < n; i++) {
		const struct bucket *b = &buckets[i];

		put_difference(out, b->step, i ? b[-1].step : 0);
		put_difference(out, b->time_ms, i ? b[-1].time_ms : 0);
		put_varint(out, (uint64_t)b->non_finite);
		put_double(out, b->value);
		put_double(out, b->min);
		put_double(out, b->max);
		put_double(out, b->mean);
	}
	TD_ASSERT(!out->full);
}

int chunk_unpack_buckets(const void *bytes, size_t n_bytes, int64_t count, struct bucket *out)
{
	struct bytes in = { .at = bytes, .end = (const unsigned char *)bytes + n_bytes };
	uint64_t n = get_varint(&in);

	if (n > CHUNK_BUCKETS)
		return -1;
	for (uint64_t i = 0; i < n; i++) {
		struct bucket *b = &out[i];

		b->count = count;
		b->step = get_difference(&in, i ? b[-1].step : 0);
		b->time_ms = get_difference(&in, i ? b[-1].time_ms : 0);
		b->non_finite = (int64_t)get_varint(&in);
		b->value = get_double(&in);
		b->min = get_double(&in);
		b->max = get_double(&in);
		b->mean = get_double(&in);
	}
	return in.broken || in.at != in.end ? -1 : (int)n;
}
