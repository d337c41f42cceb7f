/* Points: exact, complete, and quick to look at, whatever the length of the series. */
#include "test_store.h"
#include "store/series.h"

#include <math.h>
#include <time.h>

static struct point *random_points(int n, int64_t first_step)
{
	struct point *p = MEM_NEW_N(struct point, n);
	int64_t step = first_step, time_ms = 1767225600000;

	for (int i = 0; i < n; i++) {
		step += 1 + rand() % 20;
		time_ms += rand() % 500 - 20;
		p[i] = (struct point){ step, time_ms, (rand() - RAND_MAX / 2) / 1e6 };
		if (rand() % 500 == 0)
			p[i].value = rand() % 2 ? NAN : -INFINITY;
	}
	return p;
}

/* Add POINTS in batches of random sizes. */
static void add_in_batches(struct box *b, const char *id, const struct point *points, int n, int most)
{
	for (int at = 0, batch; at < n; at += batch) {
		batch = 1 + rand() % most;
		batch = TD_MIN(batch, n - at);
		if (add_points(b, id, "train/loss", points + at, batch) != TD_OK)
			fail_msg("%s", b->err.text);
	}
}

static void values_keep_their_bits_in_the_tail_and_in_chunks(void **state)
{
	static const uint64_t bits[] = { 0x7ff8000000000000, 0x7ff0000000000001, 0xfff8deadbeef1234, 0x7ff0000000000000,
		0xfff0000000000000, 0x8000000000000000, 0, 1, 0x7fefffffffffffff, 0x3ff0000000000001 };
	struct box *b = *state;
	struct err e = { 0 };
	struct point in[2500], out[2500];
	char id[ULID_TEXT];
	int got;

	add_job(b, id);
	for (int i = 0; i < 2500; i++) {
		in[i] = (struct point){ i * 3, 1767225600000 - i, 0 };
		memcpy(&in[i].value, &bits[i % 10], 8);
	}
	add_in_batches(b, id, in, 2500, 700);
	assert_int_equal(store_points_read(b->reader, id, "train/loss", -1, out, 2500, &got, &e), TD_OK);
	assert_int_equal(got, 2500);
	assert_memory_equal(in, out, sizeof in);
}

static void steps_must_grow_and_a_refused_batch_leaves_nothing(void **state)
{
	struct box *b = *state;
	struct err e = { 0 };
	struct point out[10];
	char id[ULID_TEXT];
	int got;

	add_job(b, id);
	assert_int_equal(add_points(b, id, "a", (struct point[]){ { 5, 0, 1 }, { 7, 0, 2 } }, 2), TD_OK);
	assert_int_equal(add_points(b, id, "a", (struct point[]){ { 8, 0, 1 }, { 8, 0, 2 } }, 2), TD_CONFLICT);
	assert_non_null(strstr(b->err.text, "step 8 comes after step 8"));
	assert_int_equal(add_points(b, id, "a", (struct point[]){ { 7, 0, 1 } }, 1), TD_CONFLICT);
	assert_int_equal(add_points(b, id, "new", (struct point[]){ { -1, 0, 1 } }, 1), TD_CONFLICT);
	assert_int_equal(add_points(b, id, "", (struct point[]){ { 1, 0, 1 } }, 1), TD_INVALID);
	assert_int_equal(add_points(b, "nobody", "a", (struct point[]){ { 1, 0, 1 } }, 1), TD_NOT_FOUND);
	assert_int_equal(store_points_read(b->reader, id, "a", -1, out, 10, &got, &e), TD_OK);
	assert_int_equal(got, 2);
	assert_int_equal(store_points_read(b->reader, id, "new", -1, out, 10, &got, &e), TD_NOT_FOUND);
}

static void exports_page_through_every_point_once(void **state)
{
	struct box *b = *state;
	struct err e = { 0 };
	struct point *in, page[777];
	char id[ULID_TEXT];
	int n = 5000, got, at = 0;
	int64_t after = -1;

	add_job(b, id);
	in = random_points(n, -1);
	add_in_batches(b, id, in, n, 900);
	do {
		assert_int_equal(store_points_read(b->reader, id, "train/loss", after, page, 777, &got, &e), TD_OK);
		assert_true(at + got <= n);
		assert_memory_equal(in + at, page, sizeof *page * (size_t)got);
		at += got;
		if (got)
			after = page[got - 1].step;
	} while (got == 777);
	assert_int_equal(at, n);
	mem_free(in);
}

/* ---- Windows against a naive model ------------------------------------------------------------------------------ */

/* Check a window of POINTS (all N of the series) over FROM..TO. */
static void check_window(
	struct box *b, const char *id, const struct point *points, int n, int64_t from, int64_t to, int most)
{
	struct err e = { 0 };
	struct window w;
	int first = 0, end, at;

	assert_int_equal(store_window(b->reader, id, "train/loss", from, to, most, &w, &e), TD_OK);
	while (first < n && points[first].step < from)
		first++;
	for (end = first; end < n && points[end].step <= to;)
		end++;
	assert_int_equal(w.total, end - first);
	assert_true(w.n <= most);
	if (end - first <= most)
		assert_true(w.raw && w.n == w.total);
	else
		assert_true(w.n * 2 >= most - 2); /* no coarser than need be */
	at = first;
	for (int64_t i = 0; i < w.n; i++) {
		double min = NAN, max = NAN, sum = 0;
		int finite = 0;

		assert_true(w.count[i] > 0 && at + w.count[i] <= end);
		for (int64_t k = 0; k < w.count[i]; k++, at++) {
			double v = points[at].value;

			if (!isfinite(v))
				continue;
			finite++;
			sum += v;
			min = fmin(min, v);
			max = fmax(max, v);
		}
		assert_int_equal(w.step[i], points[at - 1].step);
		assert_int_equal(w.time_ms[i], points[at - 1].time_ms);
		assert_memory_equal(&w.value[i], &points[at - 1].value, sizeof(double));
		assert_int_equal(w.non_finite[i], finite < w.count[i]);
		if (!finite) {
			assert_true(isnan(w.min[i]) && isnan(w.max[i]) && isnan(w.mean[i]));
			continue;
		}
		assert_true(w.min[i] == min && w.max[i] == max);
		assert_true(fabs(w.mean[i] - sum / finite) < 1e-6);
	}
	assert_int_equal(at, end);
	window_release(&w);
}

static void check_random_windows(struct box *b, const char *id, const struct point *points, int n, int rounds)
{
	int64_t last = n ? points[n - 1].step : 0;

	check_window(b, id, points, n, 0, INT64_MAX, STORE_WINDOW_MOST);
	check_window(b, id, points, n, INT64_MIN, INT64_MAX, 2);
	for (int i = 0; i < rounds; i++) {
		int64_t from = rand() % (last + 10), to = from + rand() % (last + 10 - from);

		check_window(b, id, points, n, from, to, 2 + rand() % (i % 2 ? 2047 : 30));
	}
}

static void any_window_shows_what_a_naive_model_shows(void **state)
{
	struct box *b = *state;
	static const int lengths[] = { 1, 31, 1023, 1024, 1025, 4096, 33000, 150000 };
	unsigned seed = (unsigned)time(NULL);

	print_message("seed %u\n", seed);
	srand(seed);
	for (size_t i = 0; i < TD_COUNT(lengths); i++) {
		struct point *points = random_points(lengths[i], -1);
		char id[ULID_TEXT];

		add_job(b, id);
		add_in_batches(b, id, points, lengths[i], i < 6 ? 300 : 5000);
		check_random_windows(b, id, points, lengths[i], 60);
		mem_free(points);
	}
}

static void a_window_out_of_range_is_refused_or_empty(void **state)
{
	struct box *b = *state;
	struct window w;
	struct err e = { 0 };
	char id[ULID_TEXT];

	add_job(b, id);
	assert_int_equal(add_points(b, id, "a", (struct point[]){ { 5, 0, 1 } }, 1), TD_OK);
	assert_int_equal(store_window(b->reader, id, "a", 6, 5, 100, &w, &e), TD_OK);
	assert_int_equal(w.n, 0);
	assert_int_equal(store_window(b->reader, id, "a", 6, 100, 100, &w, &e), TD_OK);
	assert_int_equal(w.n, 0);
	assert_int_equal(store_window(b->reader, id, "a", 0, 100, 1, &w, &e), TD_INVALID);
	err_clear(&e);
	assert_int_equal(store_window(b->reader, id, "a", 0, 100, STORE_WINDOW_MOST + 1, &w, &e), TD_INVALID);
	err_clear(&e);
	assert_int_equal(store_window(b->reader, id, "b", 0, 100, 100, &w, &e), TD_NOT_FOUND);
	window_release(&w);
}

/* ---- Rewind ----------------------------------------------------------------------------------------------------- */

static void check_info(void *arg, const struct series_info *s)
{
	struct series_info *out = arg;

	*out = *s;
	out->name = NULL;
}

static void a_rewind_leaves_the_series_as_if_the_rest_had_never_been(void **state)
{
	struct box *b = *state;
	unsigned seed = (unsigned)time(NULL);

	print_message("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 12; round++) {
		int n = round < 8 ? 1 + rand() % 4000 : 30000 + rand() % 40000, kept = rand() % (n + 1),
		    more = rand() % 3000;
		struct point *points = random_points(n, -1), *again;
		struct series_info info = { 0 };
		struct bucket model = bucket_empty;
		struct err e = { 0 };
		char id[ULID_TEXT];
		int64_t step = kept ? points[kept - 1].step : -1;

		add_job(b, id);
		add_in_batches(b, id, points, n, 2000);
		assert_int_equal(do_tx(b, fn_rewind, &(struct step_args){ id, step }), TD_OK);
		check_random_windows(b, id, points, kept, 10);

		again = random_points(more, step);
		points = mem_realloc(points, sizeof *points * (size_t)(kept + more + 1));
		memcpy(points + kept, again, sizeof *points * (size_t)more);
		add_in_batches(b, id, again, more, 2000);
		check_random_windows(b, id, points, kept + more, 10);

		for (int i = 0; i < kept + more; i++)
			bucket_add_point(&model, &points[i]);
		assert_int_equal(store_series_each(b->reader, id, check_info, &info, &e), TD_OK);
		assert_int_equal(info.count, kept + more);
		assert_int_equal(info.non_finite, model.non_finite);
		assert_true(info.min == model.min || (isnan(info.min) && isnan(model.min)));
		assert_true(info.max == model.max || (isnan(info.max) && isnan(model.max)));
		if (kept + more)
			assert_int_equal(info.last.step, points[kept + more - 1].step);
		mem_free(again);
		mem_free(points);
	}
}

/* ---- Speed ------------------------------------------------------------------------------------------------------ */

struct bulk {
	const char *id;
	int64_t first;
	int n;
	struct point *points;
};

static td_status fn_bulk(struct store_tx *tx, void *arg, struct err *e)
{
	struct bulk *k = arg;

	return metrics_append(tx, k->id, "train/loss", k->points, k->n, e);
}

/* TANDEM_POINTS sets the length; the promise is for ten million and is kept with a wide margin for slow machines. */
#ifdef __SANITIZE_THREAD__
#define AT_ONCE_NS (1000 * 1000000)
#else
#define AT_ONCE_NS (100 * 1000000)
#endif

static void a_long_series_answers_at_once(void **state)
{
	struct box *b = *state;
	const char *wanted = getenv("TANDEM_POINTS");
	int64_t n = wanted ? atoll(wanted) : 1000000, worst_ns = 0;
	struct bulk k = { .n = 1 << 16, .points = MEM_NEW_N(struct point, 1 << 16) };
	int64_t start = clock_monotonic_ns();
	char id[ULID_TEXT];

	add_job(b, id);
	for (k.id = id; k.first < n; k.first += k.n) {
		for (int i = 0; i < k.n; i++)
			k.points[i] = (struct point){ k.first + i, (k.first + i) * 37, sin((double)(k.first + i)) };
		assert_int_equal(do_tx(b, fn_bulk, &k), TD_OK);
	}
	print_message("%.2f million points a second written\n",
		(double)k.first * 1e3 / (double)(clock_monotonic_ns() - start));
	for (int i = 0; i < 40; i++) {
		struct window w;
		struct err e = { 0 };
		int64_t from = i % 4 ? rand() % n : 0, began = clock_monotonic_ns(), took;

		assert_int_equal(
			store_window(b->reader, id, "train/loss", from, INT64_MAX, STORE_WINDOW_MOST, &w, &e), TD_OK);
		took = clock_monotonic_ns() - began;
		worst_ns = TD_MAX(worst_ns, took);
		assert_int_equal(w.total, k.first - from);
		window_release(&w);
	}
	print_message("slowest of 40 windows: %.2f ms\n", (double)worst_ns / 1e6);
	assert_true(worst_ns < AT_ONCE_NS);
	mem_free(k.points);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		box_test(values_keep_their_bits_in_the_tail_and_in_chunks),
		box_test(steps_must_grow_and_a_refused_batch_leaves_nothing),
		box_test(exports_page_through_every_point_once),
		box_test(any_window_shows_what_a_naive_model_shows),
		box_test(a_window_out_of_range_is_refused_or_empty),
		box_test(a_rewind_leaves_the_series_as_if_the_rest_had_never_been),
		box_test(a_long_series_answers_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
