/* Writing points: into the tail, from the tail into chunks, and the pyramid over the chunks.
 *
 * A chunk is written once, when it is full, with the level of the pyramid that it completes; nothing is rewritten while
 * a series grows.  Only a rewind takes chunks away again. */
#include "store/internal.h"
#include "store/series.h"

#include <math.h>
#include <string.h>

/* ---- Declaring -------------------------------------------------------------------------------------------------- */

static td_status check_new_series(struct store_tx *tx, const char *job, const char *name, struct err *e)
{
	struct query q;
	int64_t n = 0;

	if (!name[0] || strlen(name) > STORE_SERIES_NAME)
		return err_set(e, TD_INVALID, "a series' name has 1 to %d bytes, '%.60s' has %zu", STORE_SERIES_NAME,
			name, strlen(name));
	query_begin(&q, tx->db, e, "SELECT count(*) FROM series WHERE job = ?");
	query_text(&q, job);
	if (query_row(&q))
		n = query_get_int(&q, 0);
	if (query_end(&q) == TD_OK && n >= STORE_SERIES_MOST)
		return err_set(e, TD_TOO_LARGE,
			"job %s has %lld series already, which is the limit; '%.60s' is not added", job, (long long)n,
			name);
	return q.status;
}

/* The job's series NAME, made if need be. */
static td_status declare(
	struct store_tx *tx, const char *job, const char *name, bool deterministic, struct series *out, struct err *e)
{
	struct err missing = { 0 };
	struct query q;
	td_status status = series_find(tx->db, job, name, out, &missing);

	if (status != TD_NOT_FOUND)
		return status == TD_OK ? TD_OK : err_copy(e, &missing);
	status = check_new_series(tx, job, name, e);
	if (status != TD_OK)
		return status;
	query_begin(&q, tx->db, e,
		"INSERT INTO series (job, name, deterministic, min_bits, max_bits, last_bits) "
		"SELECT id, ?2, ?3, ?4, ?4, ?4 FROM jobs WHERE id = ?1");
	query_text(&q, job);
	query_text(&q, name);
	query_int(&q, deterministic);
	query_bits(&q, NAN);
	if (query_run(&q) == TD_OK && !query_changes(&q))
		return job_missing(job, e);
	return q.status == TD_OK ? series_find(tx->db, job, name, out, e) : q.status;
}

td_status store_series(
	struct store_tx *tx, const char *id, const char *name, bool deterministic, int64_t *series, struct err *e)
{
	struct series s;
	td_status status = declare(tx, id, name, deterministic, &s, e);

	if (status == TD_OK)
		*series = s.key;
	return status;
}

/* ---- Chunks and the pyramid ------------------------------------------------------------------------------------- */

static td_status insert_chunk(struct store_tx *tx, int64_t series, int level, int64_t first, int64_t last_step,
	const struct buf *data, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "INSERT INTO chunks (series, level, first, last_step, data) VALUES (?, ?, ?, ?, ?)");
	query_int(&q, series);
	query_int(&q, level);
	query_int(&q, first);
	query_int(&q, last_step);
	query_blob(&q, data->data, data->len);
	return query_run(&q);
}

struct gather {
	struct bucket buckets[CHUNK_BUCKETS];
	int64_t first; /* position of the first */
	int shift;     /* bits of position per bucket */
};

static void gather_bucket(void *arg, int64_t position, const struct bucket *b)
{
	struct gather *g = arg;

	bucket_add(&g->buckets[(position - g->first) >> g->shift], b);
}

/* Write the chunk of LEVEL that ends at END, from the level below. */
static td_status write_level(
	struct store_tx *tx, const struct series *s, int level, int64_t end, struct buf *packed, struct err *e)
{
	struct gather g = { .first = end - chunk_span(level), .shift = level * DOWNSAMPLE_FAN_BITS };
	td_status status;

	for (int i = 0; i < CHUNK_BUCKETS; i++)
		g.buckets[i] = bucket_empty;
	status = series_buckets(tx->db, s, g.first, end, level - 1, gather_bucket, &g, e);
	if (status != TD_OK)
		return status;
	buf_clear(packed);
	chunk_pack_buckets(g.buckets, CHUNK_BUCKETS, packed);
	return insert_chunk(tx, s->key, level, g.first, g.buckets[CHUNK_BUCKETS - 1].step, packed, e);
}

/* Write CHUNK_POINTS points as a chunk, and every level of the pyramid that it completes. */
static td_status write_chunk(struct store_tx *tx, struct series *s, const struct point *points, struct err *e)
{
	struct buf packed;
	td_status status;

	buf_init(&packed, CHUNK_BYTES);
	chunk_pack_points(points, CHUNK_POINTS, &packed);
	status = insert_chunk(tx, s->key, 0, s->folded, points[CHUNK_POINTS - 1].step, &packed, e);
	s->folded += CHUNK_POINTS;
	for (int level = 1; level < DOWNSAMPLE_LEVELS && s->folded % chunk_span(level) == 0 && status == TD_OK; level++)
		status = write_level(tx, s, level, s->folded, &packed, e);
	buf_release(&packed);
	return status;
}

/* ---- The tail --------------------------------------------------------------------------------------------------- */

static td_status tail_add(
	struct store_tx *tx, int64_t series, int64_t position, const struct point *points, int64_t n, struct err *e)
{
	for (int64_t i = 0; i < n; i++) {
		struct query q;

		query_begin(&q, tx->db, e,
			"INSERT INTO tail (series, position, step, time_ms, value_bits) VALUES (?, ?, ?, ?, ?)");
		query_int(&q, series);
		query_int(&q, position + i);
		query_int(&q, points[i].step);
		query_int(&q, points[i].time_ms);
		query_bits(&q, points[i].value);
		if (query_run(&q) != TD_OK)
			return q.status;
	}
	return TD_OK;
}

static td_status tail_drop(struct store_tx *tx, int64_t series, int64_t from, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "DELETE FROM tail WHERE series = ? AND position >= ?");
	query_int(&q, series);
	query_int(&q, from);
	return query_run(&q);
}

struct collect {
	struct point *points; /* borrowed */
	int64_t first;        /* position of points[0] */
};

static void collect_point(void *arg, int64_t position, const struct point *p)
{
	struct collect *c = arg;

	c->points[position - c->first] = *p;
}

/* Append N points behind S's tail; whatever fills chunks goes into chunks.  S's count is still that before. */
static td_status append(struct store_tx *tx, struct series *s, const struct point *points, int64_t n, struct err *e)
{
	int64_t waiting = s->count - s->folded, taken = 0;
	struct point chunk[CHUNK_POINTS];
	struct collect c = { .points = chunk, .first = s->folded };
	td_status status;

	if (waiting + n < CHUNK_POINTS)
		return tail_add(tx, s->key, s->count, points, n, e);
	status = series_points(tx->db, s, s->folded, s->count, collect_point, &c, e);
	if (status == TD_OK)
		status = tail_drop(tx, s->key, s->folded, e);
	while (status == TD_OK && waiting + n - taken >= CHUNK_POINTS) {
		int64_t more = CHUNK_POINTS - waiting;

		memcpy(chunk + waiting, points + taken, (size_t)more * sizeof *chunk);
		status = write_chunk(tx, s, chunk, e);
		taken += more;
		waiting = 0;
	}
	if (status == TD_OK)
		status = tail_add(tx, s->key, s->folded, points + taken, n - taken, e);
	return status;
}

static td_status write_row(struct store_tx *tx, const struct series *s, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"UPDATE series SET count = ?, folded = ?, non_finite = ?, min_bits = ?, max_bits = ?, last_step = ?, "
		"last_time_ms = ?, last_bits = ? WHERE key = ?");
	query_int(&q, s->count);
	query_int(&q, s->folded);
	query_int(&q, s->non_finite);
	query_bits(&q, s->min);
	query_bits(&q, s->max);
	query_int(&q, s->last.step);
	query_int(&q, s->last.time_ms);
	query_bits(&q, s->last.value);
	query_int(&q, s->key);
	return query_run(&q);
}

static td_status check_steps(const char *name, const struct series *s, const struct point *points, int n, struct err *e)
{
	int64_t last = s->last.step;

	for (int i = 0; i < n; i++) {
		if (points[i].step <= last)
			return err_set(e, TD_CONFLICT,
				"series '%.200s': step %lld comes after step %lld; steps must grow and be at least 0",
				name, (long long)points[i].step, (long long)last);
		last = points[i].step;
	}
	return TD_OK;
}

td_status metrics_append(
	struct store_tx *tx, const char *job, const char *name, const struct point *points, int n, struct err *e)
{
	struct bucket all = bucket_empty;
	struct series s;
	td_status status = declare(tx, job, name, false, &s, e);

	if (status == TD_OK)
		status = check_steps(name, &s, points, n, e);
	if (status == TD_OK)
		status = append(tx, &s, points, n, e);
	if (status != TD_OK || !n)
		return status;
	for (int i = 0; i < n; i++)
		bucket_add_point(&all, &points[i]);
	s.count += n;
	s.non_finite += all.non_finite;
	s.min = fmin(s.min, all.min); /* NaN, "none", loses to a number in fmin and fmax */
	s.max = fmax(s.max, all.max);
	s.last = points[n - 1];
	return write_row(tx, &s, e);
}

td_status store_points_add(
	struct store_tx *tx, const char *id, const char *series_name, const struct point *points, int n, struct err *e)
{
	td_status status = metrics_append(tx, id, series_name, points, n, e);

	return status == TD_OK ? tx_event_points(tx, id, series_name, points, n, e) : status;
}

/* ---- Rewind ----------------------------------------------------------------------------------------------------- */

/* Drop every chunk that reaches past CUT, and give the points before CUT that were in one back to the tail. */
static td_status unfold(struct store_tx *tx, struct series *s, int64_t cut, struct err *e)
{
	int64_t folded = cut / CHUNK_POINTS * CHUNK_POINTS;
	struct point kept[CHUNK_POINTS];
	struct collect c = { .points = kept, .first = folded };
	td_status status = series_points(tx->db, s, folded, cut, collect_point, &c, e);

	if (status == TD_OK)
		status = tail_drop(tx, s->key, 0, e);
	for (int level = 0; level < DOWNSAMPLE_LEVELS && status == TD_OK; level++) {
		struct query q;

		query_begin(&q, tx->db, e, "DELETE FROM chunks WHERE series = ? AND level = ? AND first > ?");
		query_int(&q, s->key);
		query_int(&q, level);
		query_int(&q, folded - chunk_span(level));
		status = query_run(&q);
	}
	s->folded = folded;
	if (status == TD_OK)
		status = tail_add(tx, s->key, folded, kept, cut - folded, e);
	return status;
}

static void summarise(void *arg, int64_t position, const struct bucket *b)
{
	(void)position;
	bucket_add(arg, b);
}

static td_status truncate_series(struct store_tx *tx, const char *job, const char *name, int64_t step, struct err *e)
{
	struct bucket all = bucket_empty;
	struct series s;
	int64_t cut = 0;
	td_status status = series_find(tx->db, job, name, &s, e);

	if (status == TD_OK)
		status = series_position(tx->db, &s, step, &cut, e);
	if (status != TD_OK || cut == s.count)
		return status;
	status = cut < s.folded ? unfold(tx, &s, cut, e) : tail_drop(tx, s.key, cut, e);
	s.count = cut;
	if (status == TD_OK)
		status = series_buckets(tx->db, &s, 0, cut, DOWNSAMPLE_LEVELS - 1, summarise, &all, e);
	if (status != TD_OK)
		return status;
	s.non_finite = all.non_finite;
	s.min = all.min;
	s.max = all.max;
	s.last = (struct point){ .step = cut ? all.step : -1, .time_ms = all.time_ms, .value = all.value };
	return write_row(tx, &s, e);
}

td_status metrics_truncate(struct store_tx *tx, const char *job, int64_t step, struct err *e)
{
	char *names[STORE_SERIES_MOST];
	int n = 0;
	struct query q;
	td_status status;

	query_begin(&q, tx->db, e, "SELECT name FROM series WHERE job = ? AND last_step > ?");
	query_text(&q, job);
	query_int(&q, step);
	while (query_row(&q) && n < STORE_SERIES_MOST)
		names[n++] = query_take_text(&q, 0);
	status = query_end(&q);
	for (int i = 0; i < n; i++) {
		if (status == TD_OK)
			status = truncate_series(tx, job, names[i], step, e);
		mem_free(names[i]);
	}
	return status;
}
