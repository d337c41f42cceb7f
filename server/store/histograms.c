/* Histograms of weights and gradients: a few per job and name, so each is one row. */
#include "store/internal.h"

#include <math.h>
#include <string.h>

#define NAME_MOST 200 /* bytes of a histogram's name */

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

/* N numbers, each at least what the one before it was (GROW), or at least 0. */
static bool numbers(const cJSON *list, int n, bool grow)
{
	double before = grow ? -INFINITY : 0;
	const cJSON *v;

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != n)
		return false;
	cJSON_ArrayForEach(v, list)
	{
		if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble) || v->valuedouble < before)
			return false;
		if (grow)
			before = v->valuedouble;
	}
	return true;
}

static td_status check(const char *name, int64_t step, const cJSON *edges, const cJSON *counts, struct err *e)
{
	int n = cJSON_GetArraySize(counts);

	if (!*name || strlen(name) > NAME_MOST)
		return err_set(e, TD_INVALID, "a histogram's name has 1 to %d bytes, not %zu", NAME_MOST, strlen(name));
	if (step < 0)
		return err_set(e, TD_INVALID, "histogram %s: step %lld is below 0", name, (long long)step);
	if (n < 1 || n > STORE_HISTOGRAM_BINS || !numbers(counts, n, false) || !numbers(edges, n + 1, true))
		return err_set(e, TD_INVALID,
			"histogram %s: expected 1 to %d counts of at least 0, and one more edge, in ascending order",
			name, STORE_HISTOGRAM_BINS);
	return TD_OK;
}

/* How many of NAME there are, and how many names besides. */
static td_status count(
	struct store_tx *tx, const char *id, const char *name, int64_t *n, int64_t *n_names, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "SELECT count(*) FROM histograms WHERE job = ? AND name = ?");
	query_text(&q, id);
	query_text(&q, name);
	*n = query_row(&q) ? query_get_int(&q, 0) : 0;
	if (query_end(&q) != TD_OK || *n)
		return q.status;
	query_begin(&q, tx->db, e, "SELECT count(DISTINCT name) FROM histograms WHERE job = ?");
	query_text(&q, id);
	*n_names = query_row(&q) ? query_get_int(&q, 0) : 0;
	return query_end(&q);
}

static td_status insert(
	struct store_tx *tx, const char *id, const char *name, int64_t step, const char *data, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"INSERT INTO histograms (job, name, step, data) SELECT id, ?2, ?3, ?4 FROM jobs WHERE id = ?1 "
		"ON CONFLICT (job, name, step) DO UPDATE SET data = excluded.data");
	query_text(&q, id);
	query_text(&q, name);
	query_int(&q, step);
	query_text(&q, data);
	if (query_run(&q) == TD_OK && !query_changes(&q))
		return job_missing(id, e);
	return q.status;
}

static td_status drop_oldest(struct store_tx *tx, const char *id, const char *name, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"DELETE FROM histograms WHERE job = ?1 AND name = ?2 AND step <= "
		"(SELECT step FROM histograms WHERE job = ?1 AND name = ?2 ORDER BY step DESC LIMIT 1 OFFSET ?3)");
	query_text(&q, id);
	query_text(&q, name);
	query_int(&q, STORE_HISTOGRAMS_MOST);
	return query_run(&q);
}

td_status store_histogram_add(struct store_tx *tx, const char *id, const char *name, int64_t step, const cJSON *edges,
	const cJSON *counts, struct err *e)
{
	cJSON *data, *event;
	int64_t n = 0, n_names = 0;
	char *text;
	td_status status = check(name, step, edges, counts, e);

	if (status == TD_OK)
		status = count(tx, id, name, &n, &n_names, e);
	if (status == TD_OK && n_names >= STORE_HISTOGRAM_NAMES)
		return err_set(e, TD_TOO_LARGE, "a job may have histograms of %d names", STORE_HISTOGRAM_NAMES);
	if (status != TD_OK)
		return status;
	data = cJSON_CreateObject();
	cJSON_AddItemReferenceToObject(data, "edges", (cJSON *)edges);
	cJSON_AddItemReferenceToObject(data, "counts", (cJSON *)counts);
	text = json_print(data);
	status = insert(tx, id, name, step, text, e);
	mem_free(text);
	cJSON_Delete(data);
	if (status == TD_OK && n >= STORE_HISTOGRAMS_MOST)
		status = drop_oldest(tx, id, name, e);
	if (status != TD_OK)
		return status;
	event = cJSON_CreateObject();
	cJSON_AddStringToObject(event, "name", name);
	cJSON_AddNumberToObject(event, "step", (double)step);
	return tx_event(tx, id, "histogram", event, e);
}

td_status histograms_truncate(struct store_tx *tx, const char *job, int64_t step, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "DELETE FROM histograms WHERE job = ? AND step > ?");
	query_text(&q, job);
	query_int(&q, step);
	return query_run(&q);
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

td_status store_histogram_names(struct store_reader *r, const char *id,
	void (*each)(void *arg, const char *name, int64_t n, int64_t last_step), void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT name, count(*), max(step) FROM histograms WHERE job = ? GROUP BY name ORDER BY name");
	query_text(&q, id);
	while (query_row(&q))
		each(arg, query_get_text(&q, 0), query_get_int(&q, 1), query_get_int(&q, 2));
	return query_end(&q);
}

td_status store_histograms(struct store_reader *r, const char *id, const char *name, int most,
	void (*each)(void *arg, int64_t step, const char *data), void *arg, struct err *e)
{
	struct query q;

	/* Counted from the newest, every so many-th: the newest always, and as many as fit. */
	query_begin(&q, &r->db, e,
		"SELECT step, data FROM (SELECT step, data, row_number() OVER (ORDER BY step DESC) - 1 AS place, "
		"count(*) OVER () AS n FROM histograms WHERE job = ?1 AND name = ?2) "
		"WHERE place % ((n + ?3 - 1) / ?3) = 0 ORDER BY step");
	query_text(&q, id);
	query_text(&q, name);
	query_int(&q, most);
	while (query_row(&q))
		each(arg, query_get_int(&q, 0), query_get_text(&q, 1));
	return query_end(&q);
}
