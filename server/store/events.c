/* The event stream: what happened, numbered, for clients that go on after a break.
 *
 * Events are written in the transaction of the change that they tell of, with all that a client needs in their text, so
 * reading them is one range scan and needs no second look at tables that may have changed since.  They are kept up to a
 * cap per job; who asks for older ones is sent a reset in their place. */
#include "store/internal.h"

#include <string.h>

#define POINTS_PER_EVENT 256  /* keeps one line of the stream near 10 kB */
#define DELETED_KEPT     1000 /* events that only say that a job is gone */
#define OTHERS_KEPT      1000 /* events of what is not a job */
#define POINT_TEXT       96   /* more than "[step,time,value]," ever takes: 16 + 16 + 24 digits */

void json_add_time(cJSON *object, const char *name, int64_t ms)
{
	char text[CLOCK_TEXT];

	clock_text(ms, text);
	cJSON_AddStringToObject(object, name, text);
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

/* Drop the oldest eighth of a job's events until the rest is within the caps. */
static td_status prune(struct store_tx *tx, const char *job, int64_t n_events, int64_t n_bytes, struct err *e)
{
	struct query q;
	int64_t gone = 0;

	while (n_events > STORE_EVENTS_MOST || n_bytes > STORE_EVENTS_BYTES) {
		query_begin(&q, tx->db, e, "SELECT seq FROM events WHERE job = ? ORDER BY seq LIMIT 1 OFFSET ?");
		query_text(&q, job);
		query_int(&q, n_events / 8);
		if (query_row(&q))
			gone = query_get_int(&q, 0);
		if (query_end(&q) != TD_OK)
			return q.status;

		query_begin(&q, tx->db, e, "DELETE FROM events WHERE job = ? AND seq <= ?");
		query_text(&q, job);
		query_int(&q, gone);
		if (query_run(&q) != TD_OK)
			return q.status;

		query_begin(&q, tx->db, e, "SELECT count(*), coalesce(sum(length(data)), 0) FROM events WHERE job = ?");
		query_text(&q, job);
		if (query_row(&q)) {
			n_events = query_get_int(&q, 0);
			n_bytes = query_get_int(&q, 1);
		}
		if (query_end(&q) != TD_OK)
			return q.status;
	}
	if (!gone)
		return TD_OK;
	query_begin(&q, tx->db, e, "UPDATE jobs SET n_events = ?, event_bytes = ?, events_gone = ? WHERE id = ?");
	query_int(&q, n_events);
	query_int(&q, n_bytes);
	query_int(&q, gone);
	query_text(&q, job);
	return query_run(&q);
}

static td_status insert_event(struct store_tx *tx, const char *job, const char *kind, const char *data, struct err *e)
{
	struct query q;
	int64_t n_events = 0, n_bytes = 0;

	query_begin(&q, tx->db, e, "INSERT INTO events (seq, job, kind, data) VALUES (?, ?, ?, ?)");
	query_int(&q, ++tx->seq);
	query_text(&q, job);
	query_text(&q, kind);
	query_text(&q, data);
	if (query_run(&q) != TD_OK)
		return q.status;

	query_begin(&q, tx->db, e,
		"UPDATE jobs SET seq = ?, updated_ms = ?, n_events = n_events + 1, event_bytes = event_bytes + ? "
		"WHERE id = ? RETURNING n_events, event_bytes");
	query_int(&q, tx->seq);
	query_int(&q, tx->now_ms);
	query_int(&q, (int64_t)strlen(data));
	query_text(&q, job);
	if (query_row(&q)) {
		n_events = query_get_int(&q, 0);
		n_bytes = query_get_int(&q, 1);
	}
	if (query_run(&q) != TD_OK)
		return q.status;
	return prune(tx, job, n_events, n_bytes, e);
}

/* Of progress only the newest event counts; it takes the place of the one before.  Other events stay, their rows are
 * small. */
static td_status replace_progress(struct store_tx *tx, const char *job, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"DELETE FROM events WHERE seq = (SELECT progress_seq FROM jobs WHERE id = ?1) AND job = ?1 "
		"RETURNING length(data)");
	query_text(&q, job);
	int64_t n_bytes = query_row(&q) ? query_get_int(&q, 0) : -1;
	if (query_run(&q) != TD_OK)
		return q.status;

	query_begin(&q, tx->db, e,
		"UPDATE jobs SET progress_seq = ?, n_events = n_events - ?, event_bytes = event_bytes - ? WHERE id = "
		"?");
	query_int(&q, tx->seq + 1);
	query_int(&q, n_bytes >= 0);
	query_int(&q, TD_MAX(n_bytes, 0));
	query_text(&q, job);
	return query_run(&q);
}

static td_status drop_old_deleted(struct store_tx *tx, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"DELETE FROM events WHERE kind = 'deleted' AND seq <= "
		"(SELECT seq FROM events WHERE kind = 'deleted' ORDER BY seq DESC LIMIT 1 OFFSET ?)");
	query_int(&q, DELETED_KEPT);
	return query_run(&q);
}

td_status tx_event(struct store_tx *tx, const char *job, const char *kind, cJSON *data, struct err *e)
{
	char *text = json_print(data);
	td_status status = TD_OK;

	cJSON_Delete(data);
	if (!strcmp(kind, "progress"))
		status = replace_progress(tx, job, e);
	if (status == TD_OK)
		status = insert_event(tx, job, kind, text, e);
	if (status == TD_OK && !strcmp(kind, "deleted"))
		status = drop_old_deleted(tx, e);
	mem_free(text);
	return status;
}

td_status tx_event_other(struct store_tx *tx, const char *kind, cJSON *data, struct err *e)
{
	char *text = json_print(data);
	td_status status = insert_event(tx, "", kind, text, e);
	struct query q;

	cJSON_Delete(data);
	mem_free(text);
	if (status != TD_OK)
		return status;
	query_begin(&q, tx->db, e,
		"DELETE FROM events WHERE job = '' AND seq <= "
		"(SELECT seq FROM events WHERE job = '' ORDER BY seq DESC LIMIT 1 OFFSET ?)");
	query_int(&q, OTHERS_KEPT);
	return query_run(&q);
}

static void put_point(struct buf *out, const struct point *p)
{
	cJSON *value = json_number(p->value);
	char *text = json_print(value);

	buf_printf(out, "[%lld,%lld,%s],", (long long)p->step, (long long)p->time_ms, text);
	mem_free(text);
	cJSON_Delete(value);
}

td_status tx_event_points(
	struct store_tx *tx, const char *job, const char *series, const struct point *points, int n, struct err *e)
{
	cJSON *name = cJSON_CreateString(series);
	char *name_text = json_print(name);
	td_status status = TD_OK;
	struct buf text;

	buf_init(&text, strlen(name_text) + 64 + (size_t)POINTS_PER_EVENT * POINT_TEXT);
	for (int i = 0; i < n && status == TD_OK; i += POINTS_PER_EVENT) {
		buf_clear(&text);
		buf_printf(&text, "{\"series\":%s,\"points\":[", name_text);
		for (int k = i; k < n && k < i + POINTS_PER_EVENT; k++)
			put_point(&text, &points[k]);
		text.len--; /* the last comma */
		buf_puts(&text, "]}");
		TD_ASSERT(!text.full);
		status = insert_event(tx, job, "metrics", text.data, e);
	}
	buf_release(&text);
	mem_free(name_text);
	cJSON_Delete(name);
	return status;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

#define RESET_DATA "'{\"detail\":\"earlier events are no longer kept; read the job again, and go on from here\"}'"

td_status store_events(struct store_reader *r, const char *id, int64_t after_seq, int n,
	void (*each)(void *arg, int64_t seq, const char *job, const char *kind, const char *data), void *arg, int *got,
	struct err *e)
{
	struct query q;

	/* A reset stands at the seq of the newest event that is gone, so it sorts before all that are kept. */
	query_begin(&q, &r->db, e,
		id ? "SELECT seq, job, kind, data FROM events WHERE job = ?1 AND seq > ?2 UNION ALL "
		     "SELECT events_gone, id, 'reset', " RESET_DATA " FROM jobs WHERE id = ?1 AND events_gone > ?2 "
		     "ORDER BY 1 LIMIT ?3"
		   : "SELECT seq, job, kind, data FROM events WHERE ?1 IS NULL AND seq > ?2 UNION ALL "
		     "SELECT events_gone, id, 'reset', " RESET_DATA
		     " FROM jobs WHERE events_gone > ?2 AND events_gone > 0 "
		     "ORDER BY 1 LIMIT ?3");
	query_text(&q, id);
	query_int(&q, after_seq);
	query_int(&q, n);
	for (*got = 0; query_row(&q); ++*got)
		each(arg, query_get_int(&q, 0), query_get_text(&q, 1), query_get_text(&q, 2), query_get_text(&q, 3));
	return query_end(&q);
}
