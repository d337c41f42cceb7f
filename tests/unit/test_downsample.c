/* Buckets, pieces and the packing of chunks: the pure half of the metrics. */
#include "store/chunk.h"
#include "store/downsample.h"
#include "store/store.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static double from_bits(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof v);
	return v;
}

static double random_value(void)
{
	switch (rand() % 12) {
	case 0: return NAN;
	case 1: return INFINITY;
	case 2: return -INFINITY;
	case 3: return -0.0;
	default: return (rand() - RAND_MAX / 2) / 1000.0;
	}
}

static void a_bucket_is_what_a_naive_summary_says(void **state)
{
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 2000; round++) {
		struct bucket whole = bucket_empty, left = bucket_empty, right = bucket_empty;
		int n = 1 + rand() % 40, cut = rand() % (n + 1), finite = 0;
		double min = NAN, max = NAN, sum = 0;
		struct point p = { 0 };

		for (int i = 0; i < n; i++) {
			p = (struct point){ i * 3, i * 7, random_value() };
			bucket_add_point(&whole, &p);
			bucket_add_point(i < cut ? &left : &right, &p);
			if (!isfinite(p.value))
				continue;
			finite++;
			sum += p.value;
			min = finite == 1 || p.value < min ? p.value : min;
			max = finite == 1 || p.value > max ? p.value : max;
		}
		bucket_add(&left, &right);
		for (const struct bucket *b = &whole; b; b = b == &whole ? &left : NULL) {
			assert_int_equal(b->count, n);
			assert_int_equal(b->non_finite, n - finite);
			assert_int_equal(b->step, p.step);
			assert_int_equal(b->time_ms, p.time_ms);
			assert_memory_equal(&b->value, &p.value, sizeof p.value);
			if (!finite) {
				assert_true(isnan(b->min) && isnan(b->max) && isnan(b->mean));
				continue;
			}
			assert_true(b->min == min && b->max == max);
			assert_true(fabs(b->mean - sum / finite) <= 1e-9 * (1 + fmax(fabs(min), fabs(max))));
		}
	}
}

static void the_mean_of_huge_values_does_not_overflow(void **state)
{
	struct bucket b = bucket_empty;

	(void)state;
	for (int i = 0; i < 1000; i++)
		bucket_add_point(&b, &(struct point){ i, i, 1.7e308 });
	assert_true(isfinite(b.mean));
	assert_true(b.mean <= b.max && b.mean >= b.min);
}

static void the_width_is_the_smallest_that_suffices(void **state)
{
	(void)state;
	assert_int_equal(downsample_width(0, 0, 2), 0);
	assert_int_equal(downsample_width(0, 2048, 2048), 0);
	assert_int_equal(downsample_width(0, 2049, 2048), 1);
	for (int i = 0; i < 5000; i++) {
		int64_t first = rand() % 100000, end = first + 1 + rand(), most = 2 + rand() % 2047;
		int w = downsample_width(first, end, most);

		assert_true(((end - 1) >> w) - (first >> w) + 1 <= most);
		if (w)
			assert_true(((end - 1) >> (w - 1)) - (first >> (w - 1)) + 1 > most);
	}
}

static void pieces_cover_a_view_once_and_use_what_is_there(void **state)
{
	(void)state;
	for (int i = 0; i < 5000; i++) {
		int64_t count = 1 + rand() % 3000000, folded = count / 1024 * 1024, have[DOWNSAMPLE_LEVELS] = { count };
		int64_t first = rand() % count, end = first + 1 + rand() % (count - first), at = first, small = 0;
		int level = rand() % 5;

		for (int k = 1; k < DOWNSAMPLE_LEVELS; k++)
			have[k] = folded >> 5 * (k + 1) << 5 * (k + 1);
		while (at < end) {
			struct piece p = downsample_piece(at, end, level, have);
			int64_t length = (int64_t)1 << 5 * p.level;

			assert_int_equal(p.first, at);
			assert_true(p.end > at && p.end <= end);
			assert_true(p.level <= level);
			assert_true(p.end <= have[p.level]);
			assert_true(p.first % length == 0 && p.end % length == 0);
			if (p.level < level)
				small += (p.end - p.first) / length;
			at = p.end;
		}
		/* Only the ragged ends are read finer than wanted: 31 of each level on the left, and on the right up to
		 * what is not folded (of level 0) or not complete yet (at most 32 * 32 of each level). */
		assert_true(small <= level * (31 + 32 * 32 + 1024));
	}
}

static void points_come_out_of_a_chunk_with_the_same_bits(void **state)
{
	static const uint64_t special[] = { 0x7ff8000000000000, 0x7ff0000000000001, 0xfff8deadbeef1234,
		0x7ff0000000000000, 0xfff0000000000000, 0x8000000000000000, 0, 1, 0x000fffffffffffff,
		0x7fefffffffffffff };
	struct point in[CHUNK_POINTS], out[CHUNK_POINTS];
	struct buf b;

	(void)state;
	buf_init(&b, CHUNK_BYTES);
	for (int round = 0; round < 300; round++) {
		int n = round == 0 ? 0 : round == 1 ? CHUNK_POINTS : rand() % (CHUNK_POINTS + 1);

		for (int i = 0; i < n; i++) {
			uint64_t wild = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();

			in[i].step = round % 3 ? i * 10 : (int64_t)wild;
			in[i].time_ms = round % 3 ? 1767225600000 + i * 37 : (i % 2 ? INT64_MAX : INT64_MIN);
			in[i].value = from_bits(i % 3 ? special[i % 10] : wild);
		}
		buf_clear(&b);
		chunk_pack_points(in, n, &b);
		assert_int_equal(chunk_unpack_points(b.data, b.len, out), n);
		assert_memory_equal(in, out, sizeof *in * (size_t)n);
		if (round % 3 && n == CHUNK_POINTS)
			assert_true(b.len < (size_t)n * 11);
	}
	buf_release(&b);
}

static void buckets_come_out_of_a_chunk_with_the_same_bits(void **state)
{
	struct bucket in[CHUNK_BUCKETS], out[CHUNK_BUCKETS];
	struct buf b;

	(void)state;
	buf_init(&b, CHUNK_BYTES);
	memset(in, 0, sizeof in);
	memset(out, 0, sizeof out);
	for (int i = 0; i < CHUNK_BUCKETS; i++) {
		struct bucket *k = &in[i];

		k->count = 1024;
		k->non_finite = i * 33;
		k->step = i * 1000;
		k->time_ms = 5 - i;
		k->value = from_bits(0x7ff8000000000000u + (unsigned)i);
		k->min = i % 2 ? -0.0 : NAN;
		k->max = i;
		k->mean = 1e-310;
	}
	chunk_pack_buckets(in, CHUNK_BUCKETS, &b);
	assert_int_equal(chunk_unpack_buckets(b.data, b.len, 1024, out), CHUNK_BUCKETS);
	assert_memory_equal(in, out, sizeof in);
	buf_release(&b);
}

static void damaged_chunks_are_noticed_and_never_read_past_their_end(void **state)
{
	struct point in[100], out[CHUNK_POINTS];
	struct bucket buckets[CHUNK_BUCKETS];
	struct buf b;

	(void)state;
	for (int i = 0; i < 100; i++)
		in[i] = (struct point){ i * 1000, i, i };
	buf_init(&b, CHUNK_BYTES);
	chunk_pack_points(in, 100, &b);
	for (size_t n = 0; n < b.len; n++) {
		unsigned char *exact = malloc(n + 1); /* the sanitizer sees a read past the end */

		memcpy(exact, b.data, n);
		exact = realloc(exact, n ? n : 1);
		assert_int_equal(chunk_unpack_points(exact, n, out), -1);
		free(exact);
	}
	buf_append(&b, "x", 1);
	assert_int_equal(chunk_unpack_points(b.data, b.len, out), -1);
	assert_int_equal(chunk_unpack_points("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11, out), -1);
	srand(1);
	for (int round = 0; round < 20000; round++) {
		unsigned char noise[64];

		for (size_t i = 0; i < sizeof noise; i++)
			noise[i] = (unsigned char)rand();
		noise[0] &= 0x1f;
		assert_in_range(chunk_unpack_points(noise, sizeof noise, out) + 1, 0, CHUNK_POINTS + 1);
		assert_in_range(chunk_unpack_buckets(noise, sizeof noise, 32, buckets) + 1, 0, CHUNK_BUCKETS + 1);
	}
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_is_what_a_naive_summary_says),
		cmocka_unit_test(the_mean_of_huge_values_does_not_overflow),
		cmocka_unit_test(the_width_is_the_smallest_that_suffices),
		cmocka_unit_test(pieces_cover_a_view_once_and_use_what_is_there),
		cmocka_unit_test(points_come_out_of_a_chunk_with_the_same_bits),
		cmocka_unit_test(buckets_come_out_of_a_chunk_with_the_same_bits),
		cmocka_unit_test(damaged_chunks_are_noticed_and_never_read_past_their_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
