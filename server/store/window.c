/* Reading metrics: the list of series, windows, and raw points for exports. */
#include "store/internal.h"
#include "store/series.h"

#include <string.h>

td_status store_series_each(struct store_reader *r, const char *id,
	void (*each)(void *arg, const struct series_info *s), void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT name, deterministic, count, non_finite, min_bits, max_bits, last_step, last_time_ms, last_bits "
		"FROM series WHERE job = ? ORDER BY name");
	query_text(&q, id);
	while (query_row(&q)) {
		struct series_info s = { .name = query_get_text(&q, 0),
			.deterministic = query_get_int(&q, 1) != 0,
			.count = query_get_int(&q, 2),
			.non_finite = query_get_int(&q, 3),
			.min = query_get_bits(&q, 4),
			.max = query_get_bits(&q, 5),
			.last = { .step = query_get_int(&q, 6),
				.time_ms = query_get_int(&q, 7),
				.value = query_get_bits(&q, 8) } };

		each(arg, &s);
	}
	return query_end(&q);
}

/* ---- Windows ---------------------------------------------------------------------------------------------------- */

static void window_room(struct window *w, int64_t n)
{
	w->step = MEM_NEW_N(int64_t, n);
	w->time_ms = MEM_NEW_N(int64_t, n);
	w->value = MEM_NEW_N(double, n);
	w->min = MEM_NEW_N(double, n);
	w->max = MEM_NEW_N(double, n);
	w->mean = MEM_NEW_N(double, n);
	w->count = MEM_NEW_N(int64_t, n);
	w->non_finite = MEM_NEW_N(bool, n);
}

void window_release(struct window *w)
{
	void *owned[] = { w->step, w->time_ms, w->value, w->min, w->max, w->mean, w->count, w->non_finite };

	for (size_t i = 0; i < TD_COUNT(owned); i++)
		mem_free(owned[i]);
	*w = (struct window){ 0 };
}

struct fill {
	struct window *w; /* borrowed */
	int width;        /* bits of position per bucket */
	int64_t current;  /* number of the bucket that is being filled; -1: none yet */
	struct bucket bucket;
};

static void flush(struct fill *f)
{
	struct window *w = f->w;

	if (f->current < 0)
		return;
	w->step[w->n] = f->bucket.step;
	w->time_ms[w->n] = f->bucket.time_ms;
	w->value[w->n] = f->bucket.value;
	w->min[w->n] = f->bucket.min;
	w->max[w->n] = f->bucket.max;
	w->mean[w->n] = f->bucket.mean;
	w->count[w->n] = f->bucket.count;
	w->non_finite[w->n] = f->bucket.non_finite > 0;
	w->n++;
}

static void fill_bucket(void *arg, int64_t position, const struct bucket *b)
{
	struct fill *f = arg;

	if (position >> f->width != f->current) {
		flush(f);
		f->current = position >> f->width;
		f->bucket = bucket_empty;
	}
	bucket_add(&f->bucket, b);
}

static td_status read_window(struct db *db, const char *id, const char *name, int64_t from, int64_t to, int max_points,
	struct window *out, struct err *e)
{
	struct fill f = { .w = out, .current = -1 };
	int64_t first = 0, end = 0;
	struct series s;
	td_status status = series_find(db, id, name, &s, e);

	if (status == TD_OK && from > 0)
		status = series_position(db, &s, from - 1, &first, e);
	if (status == TD_OK)
		status = series_position(db, &s, to, &end, e);
	if (status != TD_OK || first >= end)
		return status;
	f.width = downsample_width(first, end, max_points);
	window_room(out, ((end - 1) >> f.width) - (first >> f.width) + 1);
	status = series_buckets(db, &s, first, end, f.width / DOWNSAMPLE_FAN_BITS, fill_bucket, &f, e);
	flush(&f);
	out->raw = f.width == 0;
	out->total = end - first;
	return status;
}

td_status store_window(struct store_reader *r, const char *id, const char *name, int64_t from, int64_t to,
	int max_points, struct window *out, struct err *e)
{
	td_status status;
	bool mine;

	*out = (struct window){ .raw = true };
	if (max_points < 2 || max_points > STORE_WINDOW_MOST)
		return err_set(
			e, TD_INVALID, "max_points is %d; it must be within 2 and %d", max_points, STORE_WINDOW_MOST);
	/* One transaction: the row of the series, its chunks and its tail must be of one moment. */
	status = db_snapshot(&r->db, &mine, e);
	if (status != TD_OK)
		return status;
	status = read_window(&r->db, id, name, from, to, max_points, out, e);
	db_snapshot_end(&r->db, mine);
	if (status != TD_OK)
		window_release(out);
	return status;
}

/* ---- Raw points ------------------------------------------------------------------------------------------------- */

struct copy {
	struct point *out; /* borrowed */
	int n;
};

static void copy_point(void *arg, int64_t position, const struct point *p)
{
	struct copy *c = arg;

	(void)position;
	c->out[c->n++] = *p;
}

td_status store_points_read(struct store_reader *r, const char *id, const char *name, int64_t after_step,
	struct point *out, int n, int *got, struct err *e)
{
	struct copy c = { .out = out };
	struct series s;
	int64_t first = 0;
	bool mine;
	td_status status = db_snapshot(&r->db, &mine, e);

	*got = 0;
	if (status != TD_OK)
		return status;
	status = series_find(&r->db, id, name, &s, e);
	if (status == TD_OK && after_step >= 0)
		status = series_position(&r->db, &s, after_step, &first, e);
	if (status == TD_OK)
		status = series_points(&r->db, &s, first, TD_MIN(s.count, first + n), copy_point, &c, e);
	db_snapshot_end(&r->db, mine);
	*got = status == TD_OK ? c.n : 0;
	return status;
}
