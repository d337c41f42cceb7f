/* Artifacts and checkpoints: rows that say which files are true.  A file without a row does not exist. */
#include "store/internal.h"

#include <string.h>

#define COLUMNS "name, file, sha256, media_type, n_bytes, created_ms, step, kind"

void artifact_release(struct artifact *a)
{
	char *owned[] = { a->name, a->file, a->sha256, a->media_type, a->kind };

	for (size_t i = 0; i < TD_COUNT(owned); i++)
		mem_free(owned[i]);
	*a = (struct artifact){ 0 };
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static td_status insert(struct store_tx *tx, const char *id, const struct artifact *a, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"INSERT INTO artifacts (job, " COLUMNS
		") SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM jobs WHERE id = ?1 "
		"ON CONFLICT (job, kind, name) DO UPDATE SET file = excluded.file, sha256 = excluded.sha256, "
		"media_type = excluded.media_type, n_bytes = excluded.n_bytes, created_ms = excluded.created_ms, "
		"step = excluded.step");
	query_text(&q, id);
	query_text(&q, a->name);
	query_text(&q, a->file);
	query_text(&q, a->sha256);
	query_text(&q, a->media_type);
	query_int(&q, a->n_bytes);
	query_int(&q, tx->now_ms);
	query_int(&q, a->step);
	query_text(&q, a->kind);
	if (query_run(&q) == TD_OK && !query_changes(&q))
		return job_missing(id, e);
	return q.status;
}

static td_status event(struct store_tx *tx, const char *id, const char *kind, const struct artifact *a, struct err *e)
{
	cJSON *data = cJSON_CreateObject();

	cJSON_AddStringToObject(data, "name", a->name);
	cJSON_AddStringToObject(data, "kind", a->kind);
	cJSON_AddNumberToObject(data, "step", (double)a->step);
	cJSON_AddStringToObject(data, "sha256", a->sha256);
	cJSON_AddNumberToObject(data, "bytes", (double)a->n_bytes);
	cJSON_AddStringToObject(data, "media_type", a->media_type);
	json_add_time(data, "time", tx->now_ms);
	return tx_event(tx, id, kind, data, e);
}

td_status store_artifact_add(struct store_tx *tx, const char *id, const struct artifact *a, struct err *e)
{
	struct artifact row = *a;
	td_status status;

	row.kind = (char *)"artifact";
	row.step = -1;
	status = insert(tx, id, &row, e);
	return status == TD_OK ? event(tx, id, "artifact", &row, e) : status;
}

/* Remove the checkpoints of A's kind but for A's own row, the newest KEEP - 1 others and the one that a fork began from,
 * without which none of its steps could be replayed; the files of those that go are named in FILES. */
static td_status drop_older(
	struct store_tx *tx, const char *id, const struct artifact *a, int keep, struct buf *files, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"DELETE FROM artifacts WHERE job = ?1 AND kind = ?2 AND (name = ?3 OR name NOT IN (SELECT name FROM "
		"artifacts WHERE job = ?1 AND kind = ?2 AND name <> ?3 ORDER BY step DESC LIMIT ?4)) AND sha256 <> "
		"(SELECT coalesce(json_extract(parent, '$.sha256'), '') FROM jobs WHERE id = ?1) RETURNING file");
	query_text(&q, id);
	query_text(&q, a->kind);
	query_text(&q, a->name);
	query_int(&q, keep - 1);
	while (query_row(&q))
		buf_printf(files, "%s\n", query_get_text(&q, 0));
	return query_end(&q);
}

static td_status is_named(struct store_tx *tx, const char *id, const char *file, bool *named, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "SELECT 1 FROM artifacts WHERE job = ? AND file = ? LIMIT 1");
	query_text(&q, id);
	query_text(&q, file);
	*named = query_row(&q);
	return query_end(&q);
}

td_status store_checkpoint_add(
	struct store_tx *tx, const char *id, const struct artifact *a, int keep, char **obsolete, struct err *e)
{
	struct buf files, gone;
	td_status status;

	*obsolete = NULL;
	buf_init(&files, 1 << 20);
	buf_init(&gone, 1 << 20);
	status = drop_older(tx, id, a, keep, &files, e);
	if (status == TD_OK)
		status = insert(tx, id, a, e);
	/* "last" and "best" may be one file, so a file goes only when nothing names it. */
	for (char *file = files.data, *end; status == TD_OK && file && *file; file = end + 1) {
		bool named;

		end = strchr(file, '\n');
		*end = '\0';
		status = is_named(tx, id, file, &named, e);
		if (!named)
			buf_printf(&gone, "%s\n", file);
	}
	if (status == TD_OK)
		status = event(tx, id, "checkpoint", a, e);
	if (status == TD_OK && gone.len)
		*obsolete = buf_take(&gone);
	buf_release(&gone);
	buf_release(&files);
	return status;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

static void take_columns(struct query *q, struct artifact *a)
{
	*a = (struct artifact){ .name = query_take_text(q, 0),
		.file = query_take_text(q, 1),
		.sha256 = query_take_text(q, 2),
		.media_type = query_take_text(q, 3),
		.n_bytes = query_get_int(q, 4),
		.created_ms = query_get_int(q, 5),
		.step = query_get_int(q, 6),
		.kind = query_take_text(q, 7) };
}

td_status store_artifacts(struct store_reader *r, const char *id, const char *kind,
	void (*each)(void *arg, const struct artifact *a), void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT " COLUMNS " FROM artifacts WHERE job = ?1 AND (kind = 'artifact') = (?2 = 'artifact') "
		"ORDER BY step DESC, name, kind");
	query_text(&q, id);
	query_text(&q, kind);
	while (query_row(&q)) {
		struct artifact a;

		take_columns(&q, &a);
		each(arg, &a);
		artifact_release(&a);
	}
	return query_end(&q);
}

td_status store_artifact_get(
	struct store_reader *r, const char *id, const char *name, struct artifact *out, struct err *e)
{
	struct query q;
	bool found;

	*out = (struct artifact){ 0 };
	query_begin(&q, &r->db, e,
		"SELECT " COLUMNS
		" FROM artifacts WHERE job = ? AND name = ? ORDER BY kind <> 'artifact', kind DESC LIMIT 1");
	query_text(&q, id);
	query_text(&q, name);
	found = query_row(&q);
	if (found)
		take_columns(&q, out);
	if (query_end(&q) == TD_OK && !found)
		return err_set(e, TD_NOT_FOUND, "job %.40s has no artifact or checkpoint '%.200s'", id, name);
	return q.status;
}
