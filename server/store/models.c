/* Weights by name, and whether a job still needs something that somebody wants to remove. */
#include "store/internal.h"

void model_release(struct model *m)
{
	mem_free(m->name);
	mem_free(m->owner);
	mem_free(m->sha256);
	mem_free(m->job);
	mem_free(m->checkpoint);
	mem_free(m->tensors);
	*m = (struct model){ 0 };
}

#define MODEL_COLUMNS "name, owner, sha256, n_bytes, created_ms, job, checkpoint, tensors"

static void take_model(struct query *q, struct model *m)
{
	*m = (struct model){ .name = query_take_text(q, 0),
		.owner = query_take_text(q, 1),
		.sha256 = query_take_text(q, 2),
		.n_bytes = query_get_int(q, 3),
		.created_ms = query_get_int(q, 4),
		.job = query_take_text(q, 5),
		.checkpoint = query_take_text(q, 6),
		.tensors = query_take_text(q, 7) };
}

static td_status model_missing(const char *name, struct err *e)
{
	return err_set(e, TD_NOT_FOUND, "there is no model \"%.64s\"; GET /api/v1/models lists them", name);
}

td_status store_model_set(struct store_tx *tx, struct model *m, struct err *e)
{
	struct query q;

	m->created_ms = tx->now_ms;
	query_begin(&q, tx->db, e, "INSERT OR REPLACE INTO models (" MODEL_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
	query_text(&q, m->name);
	query_text(&q, m->owner);
	query_text(&q, m->sha256);
	query_int(&q, m->n_bytes);
	query_int(&q, m->created_ms);
	query_text(&q, m->job);
	query_text(&q, m->checkpoint);
	query_text(&q, m->tensors);
	return query_run(&q);
}

td_status store_model_delete(struct store_tx *tx, const char *name, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "DELETE FROM models WHERE name = ?");
	query_text(&q, name);
	if (query_run(&q) == TD_OK && !query_changes(&q))
		return model_missing(name, e);
	return q.status;
}

td_status store_model_get(struct store_reader *r, const char *name, struct model *out, struct err *e)
{
	struct query q;
	bool found;

	*out = (struct model){ 0 };
	query_begin(&q, &r->db, e, "SELECT " MODEL_COLUMNS " FROM models WHERE name = ?");
	query_text(&q, name);
	found = query_row(&q);
	if (found)
		take_model(&q, out);
	if (query_end(&q) == TD_OK && !found)
		return model_missing(name, e);
	return q.status;
}

td_status store_model_each(struct store_reader *r, const char *after, int n,
	void (*each)(void *arg, const struct model *m), void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT " MODEL_COLUMNS " FROM models WHERE ?1 IS NULL OR name > ?1 ORDER BY name LIMIT ?2");
	query_text(&q, after);
	query_int(&q, n);
	while (query_row(&q)) {
		struct model m;

		take_model(&q, &m);
		each(arg, &m);
		model_release(&m);
	}
	return query_end(&q);
}

/* ---- Who needs it ----------------------------------------------------------------------------------------------- */

/* Of the few jobs that are not over, one whose spec says so. */
td_status tx_spec_unused(struct store_tx *tx, const char *path, const char *text, const char *what, struct err *e)
{
	enum job_state state;
	struct query q;

	query_begin(&q, tx->db, e,
		"SELECT j.id, j.state FROM jobs j JOIN documents d ON d.job = j.id AND d.kind = 'spec' "
		"WHERE j.finished_ms = 0 AND json_extract(d.json, ?) = ?");
	query_text(&q, path);
	query_text(&q, text);
	while (q.status == TD_OK && query_row(&q))
		if (job_state_parse(query_get_text(&q, 1), &state) && !job_state_terminal(state))
			q.status = err_set(e, TD_CONFLICT,
				"job %s is %s and needs %s \"%.64s\"; cancel it, or wait until it is over",
				query_get_text(&q, 0), job_state_name(state), what, text);
	return query_end(&q);
}

td_status store_model_unused(struct store_tx *tx, const char *name, struct err *e)
{
	return tx_spec_unused(tx, "$.init_from.model", name, "model", e);
}
