/* Reading a series: see series.h.  The same code serves the readers and the writer, each with its own connection. */
#include "store/series.h"
#include "base/mem.h"

static td_status damaged(const struct series *s, int64_t first, struct err *e)
{
	return err_set(e, TD_CORRUPT, "the chunk at position %lld of series %lld is damaged", (long long)first,
		(long long)s->key);
}

td_status series_find(struct db *db, const char *job, const char *name, struct series *out, struct err *e)
{
	struct query q;
	bool found;

	query_begin(&q, db, e,
		"SELECT key, count, folded, non_finite, min_bits, max_bits, last_step, last_time_ms, last_bits "
		"FROM series WHERE job = ? AND name = ?");
	query_text(&q, job);
	query_text(&q, name);
	found = query_row(&q);
	if (found)
		*out = (struct series){ .key = query_get_int(&q, 0),
			.count = query_get_int(&q, 1),
			.folded = query_get_int(&q, 2),
			.non_finite = query_get_int(&q, 3),
			.min = query_get_bits(&q, 4),
			.max = query_get_bits(&q, 5),
			.last = { .step = query_get_int(&q, 6),
				.time_ms = query_get_int(&q, 7),
				.value = query_get_bits(&q, 8) } };
	if (query_end(&q) == TD_OK && !found)
		return err_set(e, TD_NOT_FOUND,
			"job %.40s has no series '%.200s'; GET /api/v1/jobs/%.40s/metrics lists them", job, name, job);
	return q.status;
}

td_status series_position(struct db *db, const struct series *s, int64_t step, int64_t *position, struct err *e)
{
	struct point points[CHUNK_POINTS];
	struct query q;
	bool found;

	if (step >= s->last.step) {
		*position = s->count;
		return TD_OK;
	}
	query_begin(&q, db, e,
		"SELECT first, data FROM chunks WHERE series = ? AND level = 0 AND last_step > ? ORDER BY last_step "
		"LIMIT 1");
	query_int(&q, s->key);
	query_int(&q, step);
	found = query_row(&q);
	if (found) {
		size_t n_bytes;
		const void *bytes = query_get_blob(&q, 1, &n_bytes);
		int n = chunk_unpack_points(bytes, n_bytes, points), k = 0;

		if (n < 0)
			q.status = damaged(s, query_get_int(&q, 0), e);
		while (k < n && points[k].step <= step)
			k++;
		*position = query_get_int(&q, 0) + k;
	}
	if (query_end(&q) != TD_OK || found)
		return q.status;

	*position = s->folded;
	query_begin(&q, db, e, "SELECT count(*) FROM tail WHERE series = ? AND step <= ?");
	query_int(&q, s->key);
	query_int(&q, step);
	if (query_row(&q))
		*position += query_get_int(&q, 0);
	return query_end(&q);
}

/* ---- Points ----------------------------------------------------------------------------------------------------- */

static td_status folded_points(struct db *db, const struct series *s, int64_t first, int64_t end,
	void (*each)(void *arg, int64_t position, const struct point *p), void *arg, struct err *e)
{
	struct point points[CHUNK_POINTS];
	struct query q;

	query_begin(&q, db, e,
		"SELECT first, data FROM chunks WHERE series = ? AND level = 0 AND first > ? AND first < ? ORDER BY "
		"first");
	query_int(&q, s->key);
	query_int(&q, first - CHUNK_POINTS);
	query_int(&q, end);
	while (query_row(&q)) {
		size_t n_bytes;
		const void *bytes = query_get_blob(&q, 1, &n_bytes);
		int64_t start = query_get_int(&q, 0);
		int n = chunk_unpack_points(bytes, n_bytes, points);

		if (n != CHUNK_POINTS) {
			q.status = damaged(s, start, e);
			break;
		}
		for (int64_t p = TD_MAX(first, start); p < TD_MIN(end, start + n); p++)
			each(arg, p, &points[p - start]);
	}
	return query_end(&q);
}

td_status series_points(struct db *db, const struct series *s, int64_t first, int64_t end,
	void (*each)(void *arg, int64_t position, const struct point *p), void *arg, struct err *e)
{
	struct query q;
	td_status status = TD_OK;

	if (first < s->folded)
		status = folded_points(db, s, first, TD_MIN(end, s->folded), each, arg, e);
	if (status != TD_OK || end <= s->folded)
		return status;
	query_begin(&q, db, e,
		"SELECT position, step, time_ms, value_bits FROM tail WHERE series = ? AND position >= ? AND position "
		"< ? ORDER BY position");
	query_int(&q, s->key);
	query_int(&q, first);
	query_int(&q, end);
	while (query_row(&q)) {
		struct point p = {
			.step = query_get_int(&q, 1), .time_ms = query_get_int(&q, 2), .value = query_get_bits(&q, 3)
		};

		each(arg, query_get_int(&q, 0), &p);
	}
	return query_end(&q);
}

/* ---- Buckets ---------------------------------------------------------------------------------------------------- */

struct points_as_buckets {
	void (*each)(void *arg, int64_t position, const struct bucket *b);
	void *arg; /* borrowed */
};

static void point_as_bucket(void *arg, int64_t position, const struct point *p)
{
	struct points_as_buckets *to = arg;
	struct bucket b = bucket_empty;

	bucket_add_point(&b, p);
	to->each(to->arg, position, &b);
}

static td_status stored_buckets(struct db *db, const struct series *s, const struct piece *piece,
	void (*each)(void *arg, int64_t position, const struct bucket *b), void *arg, struct err *e)
{
	int64_t length = (int64_t)1 << (piece->level * DOWNSAMPLE_FAN_BITS);
	struct bucket buckets[CHUNK_BUCKETS];
	struct query q;

	query_begin(&q, db, e,
		"SELECT first, data FROM chunks WHERE series = ? AND level = ? AND first > ? AND first < ? ORDER BY "
		"first");
	query_int(&q, s->key);
	query_int(&q, piece->level);
	query_int(&q, piece->first - chunk_span(piece->level));
	query_int(&q, piece->end);
	while (query_row(&q)) {
		size_t n_bytes;
		const void *bytes = query_get_blob(&q, 1, &n_bytes);
		int64_t position = query_get_int(&q, 0);
		int n = chunk_unpack_buckets(bytes, n_bytes, length, buckets);

		if (n != CHUNK_BUCKETS) {
			q.status = damaged(s, position, e);
			break;
		}
		for (int i = 0; i < n; i++, position += length)
			if (position >= piece->first && position < piece->end)
				each(arg, position, &buckets[i]);
	}
	return query_end(&q);
}

td_status series_buckets(struct db *db, const struct series *s, int64_t first, int64_t end, int level,
	void (*each)(void *arg, int64_t position, const struct bucket *b), void *arg, struct err *e)
{
	struct points_as_buckets to = { .each = each, .arg = arg };
	int64_t have[DOWNSAMPLE_LEVELS] = { s->count };
	td_status status = TD_OK;

	for (int k = 1; k < DOWNSAMPLE_LEVELS; k++)
		have[k] = s->folded / chunk_span(k) * chunk_span(k);
	level = TD_MIN(level, DOWNSAMPLE_LEVELS - 1);
	while (first < end && status == TD_OK) {
		struct piece piece = downsample_piece(first, end, level, have);

		if (piece.level == 0)
			status = series_points(db, s, piece.first, piece.end, point_as_bucket, &to, e);
		else
			status = stored_buckets(db, s, &piece, each, arg, e);
		first = piece.end;
	}
	return status;
}
