/* Reading jobs: one, the active ones, and what belongs to a job. */
#include "store/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- One job ---------------------------------------------------------------------------------------------------- */

/* The columns of JOB_COLUMNS, in their order. */
static void take_columns(struct query *q, struct job *j)
{
	int c = 0;

	*j = (struct job){ 0 };
	snprintf(j->id, sizeof j->id, "%s", query_get_text(q, c++));
	j->seq = query_get_int(q, c++);
	if (!job_state_parse(query_get_text(q, c++), &j->state))
		q->status = err_set(q->e, TD_CORRUPT, "job %s is in a state that there is not", j->id);
	j->reason = query_take_text(q, c++);
	j->detail = query_take_text(q, c++);
	j->name = query_take_text(q, c++);
	j->project = query_take_text(q, c++);
	j->owner = query_take_text(q, c++);
	j->notes = query_take_text(q, c++);
	j->tags = query_take_text(q, c++);
	j->priority = (int)query_get_int(q, c++);
	j->threads = (int)query_get_int(q, c++);
	j->memory_bytes = query_get_int(q, c++);
	j->timeout_ms = query_get_int(q, c++);
	j->retries = (int)query_get_int(q, c++);
	j->attempt = (int)query_get_int(q, c++);
	j->acked = query_get_int(q, c++);
	j->step = query_get_int(q, c++);
	j->n_steps = query_get_int(q, c++);
	j->phase = query_take_text(q, c++);
	j->epoch = (int)query_get_int(q, c++);
	j->created_ms = query_get_int(q, c++);
	j->updated_ms = query_get_int(q, c++);
	j->finished_ms = query_get_int(q, c++);
	j->queued_ms = query_get_int(q, c++);
	j->started_ms = query_get_int(q, c++);
	j->run_ms = query_get_int(q, c++);
	j->deleted = query_get_int(q, c++) != 0;
	j->kind = query_take_text(q, c++);
	j->sweep = query_take_text(q, c++);
	j->sweep_index = (int)query_get_int(q, c++);
	j->params = query_take_text(q, c++);
	j->parent = query_take_text(q, c++);
}

static td_status take_documents(struct db *db, struct job *j, struct err *e)
{
	struct {
		const char *kind;
		char **place;
	} places[] = { { "spec", &j->spec }, { "checked", &j->checked }, { "error", &j->error },
		{ "engine", &j->engine } };
	struct query q;

	query_begin(&q, db, e,
		"SELECT kind, json FROM documents WHERE job = ? AND kind IN ('spec', 'checked', 'error', 'engine')");
	query_text(&q, j->id);
	while (query_row(&q))
		for (size_t i = 0; i < TD_COUNT(places); i++)
			if (!strcmp(query_get_text(&q, 0), places[i].kind))
				*places[i].place = query_take_text(&q, 1);
	if (!j->spec)
		j->spec = mem_strdup("{}"); /* never NULL, not even when a damaged database has lost it */
	return query_end(&q);
}

/* The last value of each series, from the series themselves: there is no second copy that could differ. */
static td_status take_summary(struct db *db, struct job *j, struct err *e)
{
	cJSON *summary = cJSON_CreateObject();
	struct query q;

	query_begin(&q, db, e, "SELECT name, last_bits FROM series WHERE job = ? AND count > 0 ORDER BY name");
	query_text(&q, j->id);
	while (query_row(&q))
		cJSON_AddItemToObject(summary, query_get_text(&q, 0), json_number(query_get_bits(&q, 1)));
	j->summary = json_print(summary);
	cJSON_Delete(summary);
	return query_end(&q);
}

static td_status take_rest(struct db *db, struct job *j, struct err *e)
{
	td_status status = take_documents(db, j, e);

	return status == TD_OK ? take_summary(db, j, e) : status;
}

td_status job_read(struct db *db, const char *id, struct job *out, struct err *e)
{
	struct query q;
	td_status status;
	bool found;

	*out = (struct job){ 0 };
	query_begin(&q, db, e, "SELECT " JOB_COLUMNS " FROM jobs j WHERE j.id = ?");
	query_text(&q, id);
	found = query_row(&q);
	if (found)
		take_columns(&q, out);
	status = query_end(&q);
	if (status == TD_OK)
		status = found ? take_rest(db, out, e) : job_missing(id, e);
	if (status == TD_OK)
		status = warnings_read(db, id, &out->warnings, e); /* no list shows them */
	if (status != TD_OK)
		job_release(out);
	return status;
}

td_status store_job_get(struct store_reader *r, const char *id, struct job *out, struct err *e)
{
	bool mine;
	td_status status = db_snapshot(&r->db, &mine, e);

	*out = (struct job){ 0 };
	if (status != TD_OK)
		return status;
	status = job_read(&r->db, id, out, e);
	db_snapshot_end(&r->db, mine);
	return status;
}

void job_visit(struct query *q, void (*each)(void *arg, const struct job *j), void *arg)
{
	struct job j;
	td_status status;

	take_columns(q, &j);
	status = take_rest(q->db, &j, q->e);
	if (status != TD_OK)
		q->status = status;
	else if (q->status == TD_OK)
		each(arg, &j);
	job_release(&j);
}

td_status store_job_active(
	struct store_reader *r, void (*each)(void *arg, const struct job *j), void *arg, struct err *e)
{
	struct query q;
	struct buf names; /* of the states that are not terminal, from their table, as a JSON array */

	buf_init(&names, 1024);
	for (int s = 0; s < JOB_N_STATES; s++)
		if (!job_state_terminal((enum job_state)s))
			buf_printf(&names, "%s\"%s\"", names.len ? "," : "[", job_state_name((enum job_state)s));
	buf_puts(&names, "]");
	query_begin(&q, &r->db, e,
		"SELECT " JOB_COLUMNS " FROM jobs j WHERE j.state IN (SELECT value FROM json_each(?)) ORDER BY j.id");
	query_text(&q, names.data);
	while (query_row(&q))
		job_visit(&q, each, arg);
	query_end(&q);
	buf_release(&names);
	return q.status;
}

/* ---- What belongs to a job -------------------------------------------------------------------------------------- */

td_status store_transitions(struct store_reader *r, const char *id, void (*each)(void *arg, const struct transition *t),
	void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT seq, time_ms, from_state, to_state, attempt, event, reason, detail FROM transitions WHERE job "
		"= ? ORDER BY seq");
	query_text(&q, id);
	while (query_row(&q)) {
		struct transition t = { .seq = query_get_int(&q, 0),
			.time_ms = query_get_int(&q, 1),
			.attempt = (int)query_get_int(&q, 4),
			.event = query_get_text(&q, 5),
			.reason = query_get_text(&q, 6),
			.detail = query_get_text(&q, 7) };

		if (!job_state_parse(query_get_text(&q, 2), &t.from) || !job_state_parse(query_get_text(&q, 3), &t.to))
			q.status = err_set(e, TD_CORRUPT, "transition %lld of job %s has a state that there is not",
				(long long)t.seq, id);
		else
			each(arg, &t);
	}
	return query_end(&q);
}

static td_status document_get(struct store_reader *r, const char *id, const char *kind, char **json, struct err *e)
{
	struct query q;

	*json = NULL;
	query_begin(&q, &r->db, e, "SELECT json FROM documents WHERE job = ? AND kind = ?");
	query_text(&q, id);
	query_text(&q, kind);
	if (query_row(&q))
		*json = query_take_text(&q, 0);
	if (query_end(&q) == TD_OK && !*json)
		return err_set(e, TD_NOT_FOUND, "job %.40s has no %s (yet)", id, kind);
	return q.status;
}

td_status store_report_get(struct store_reader *r, const char *id, char **json, struct err *e)
{
	return document_get(r, id, "report", json, e);
}

td_status store_graph_get(struct store_reader *r, const char *id, char **json, struct err *e)
{
	return document_get(r, id, "graph", json, e);
}

td_status store_job_counts(struct store_reader *r, int64_t counts[JOB_N_STATES], struct err *e)
{
	struct query q;
	enum job_state state;

	memset(counts, 0, sizeof counts[0] * JOB_N_STATES);
	query_begin(&q, &r->db, e, "SELECT state, count(*) FROM jobs WHERE deleted = 0 GROUP BY state");
	while (query_row(&q))
		if (job_state_parse(query_get_text(&q, 0), &state))
			counts[state] = query_get_int(&q, 1);
	return query_end(&q);
}
