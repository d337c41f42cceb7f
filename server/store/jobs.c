/* What changes a job: every function here is part of a command, and leaves an event. */
#include "store/internal.h"

#include <stdio.h>
#include <string.h>

td_status job_missing(const char *id, struct err *e)
{
	return err_set(e, TD_NOT_FOUND, "there is no job '%.40s'; GET /api/v1/jobs lists them", id);
}

static cJSON *changed(const char *what)
{
	cJSON *data = cJSON_CreateObject();

	cJSON_AddItemToArray(cJSON_AddArrayToObject(data, "changed"), cJSON_CreateString(what));
	return data;
}

/* Store a document of a job, or take it away (JSON NULL). */
static td_status write_document(struct store_tx *tx, const char *id, const char *kind, const char *json, struct err *e)
{
	struct query q;

	if (!json) {
		query_begin(&q, tx->db, e, "DELETE FROM documents WHERE job = ? AND kind = ?");
		query_text(&q, id);
		query_text(&q, kind);
		return query_run(&q);
	}
	query_begin(&q, tx->db, e,
		"INSERT INTO documents (job, kind, json) SELECT id, ?2, ?3 FROM jobs WHERE id = ?1 "
		"ON CONFLICT (job, kind) DO UPDATE SET json = excluded.json");
	query_text(&q, id);
	query_text(&q, kind);
	query_text(&q, json);
	if (query_run(&q) == TD_OK && !query_changes(&q))
		return job_missing(id, e);
	return q.status;
}

static td_status set_document(struct store_tx *tx, const char *id, const char *kind, const char *json, struct err *e)
{
	td_status status = write_document(tx, id, kind, json, e);

	return status == TD_OK ? tx_event(tx, id, "job", changed(kind), e) : status;
}

td_status store_job_set_error(struct store_tx *tx, const char *id, const char *error_json, struct err *e)
{
	return set_document(tx, id, "error", error_json, e);
}

td_status store_job_set_engine(struct store_tx *tx, const char *id, const char *engine_json, struct err *e)
{
	return set_document(tx, id, "engine", engine_json, e);
}

td_status store_job_set_report(struct store_tx *tx, const char *id, const char *report_json, struct err *e)
{
	return set_document(tx, id, "report", report_json, e);
}

td_status store_job_set_graph(struct store_tx *tx, const char *id, const char *graph_json, struct err *e)
{
	return set_document(tx, id, "graph", graph_json, e);
}

/* ---- States ----------------------------------------------------------------------------------------------------- */

/* What the row says about the job's state; kept apart from struct job, which has everything. */
struct standing {
	enum job_state state;
	int attempt;
	int64_t queued_ms, started_ms, finished_ms, run_ms, updated_ms, acked;
};

/* The row of the transition and its event. */
static td_status record_transition(struct store_tx *tx, const char *id, enum job_state from, const struct standing *now,
	const char *event, const char *reason, const char *detail, struct err *e)
{
	cJSON *data = cJSON_CreateObject();
	struct query q;
	td_status status;

	cJSON_AddStringToObject(data, "from", job_state_name(from));
	cJSON_AddStringToObject(data, "to", job_state_name(now->state));
	cJSON_AddStringToObject(data, "event", event);
	cJSON_AddStringToObject(data, "reason", reason);
	cJSON_AddItemToObject(data, "detail", detail ? cJSON_CreateString(detail) : cJSON_CreateNull());
	cJSON_AddNumberToObject(data, "attempt", now->attempt);
	json_add_time(data, "time", tx->now_ms);
	status = tx_event(tx, id, "state", data, e);
	if (status != TD_OK)
		return status;

	query_begin(&q, tx->db, e,
		"INSERT INTO transitions (seq, job, time_ms, from_state, to_state, event, attempt, reason, detail) "
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
	query_int(&q, tx->seq);
	query_text(&q, id);
	query_int(&q, tx->now_ms);
	query_text(&q, job_state_name(from));
	query_text(&q, job_state_name(now->state));
	query_text(&q, event);
	query_int(&q, now->attempt);
	query_text(&q, reason);
	query_text(&q, detail);
	return query_run(&q);
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static td_status insert_row(struct store_tx *tx, const struct job *j, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"INSERT INTO jobs (id, seq, state, reason, detail, name, project, owner, notes, tags, priority, "
		"threads, memory_bytes, timeout_ms, retries, n_steps, created_ms, updated_ms, queued_ms, kind, sweep, "
		"sweep_index, parent) VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	query_text(&q, j->id);
	query_text(&q, job_state_name(j->state));
	query_text(&q, "submitted");
	query_text(&q, j->detail);
	query_text(&q, or_empty(j->name));
	query_text(&q, or_empty(j->project));
	query_text(&q, or_empty(j->owner));
	query_text(&q, or_empty(j->notes));
	query_text(&q, j->tags ? j->tags : "[]");
	query_int(&q, j->priority);
	query_int(&q, j->threads);
	query_int(&q, j->memory_bytes);
	query_int(&q, j->timeout_ms);
	query_int(&q, j->retries);
	query_int(&q, j->n_steps);
	query_int(&q, j->created_ms);
	query_int(&q, j->updated_ms);
	query_int(&q, j->queued_ms);
	query_text(&q, j->kind ? j->kind : "train");
	query_text(&q, j->sweep);
	query_int(&q, j->sweep_index);
	query_text(&q, j->parent);
	return query_run(&q);
}

td_status store_job_insert(struct store_tx *tx, struct job *j, struct err *e)
{
	struct standing now = { .state = j->state };
	td_status status;

	TD_ASSERT(j->state == JOB_QUEUED || j->state == JOB_PREPARING);
	TD_ASSERT(j->spec);
	if (!*j->id)
		ulid_make(j->id);
	j->created_ms = j->updated_ms = tx->now_ms;
	j->queued_ms = j->state == JOB_QUEUED ? tx->now_ms : 0;
	status = insert_row(tx, j, e);
	if (status == TD_OK)
		status = write_document(tx, j->id, "spec", j->spec, e);
	if (status == TD_OK && j->checked)
		status = write_document(tx, j->id, "checked", j->checked, e);
	if (status == TD_OK)
		status = record_transition(tx, j->id, j->state, &now, "submitted", "submitted", j->detail, e);
	j->seq = tx->seq;
	return status;
}

static td_status read_standing(struct store_tx *tx, const char *id, struct standing *out, struct err *e)
{
	struct query q;
	bool found;

	query_begin(&q, tx->db, e,
		"SELECT state, attempt, queued_ms, started_ms, finished_ms, run_ms, updated_ms, acked FROM jobs "
		"WHERE id = ?");
	query_text(&q, id);
	found = query_row(&q);
	if (found) {
		const char *state = query_get_text(&q, 0);

		*out = (struct standing){ .attempt = (int)query_get_int(&q, 1),
			.queued_ms = query_get_int(&q, 2),
			.started_ms = query_get_int(&q, 3),
			.finished_ms = query_get_int(&q, 4),
			.run_ms = query_get_int(&q, 5),
			.updated_ms = query_get_int(&q, 6),
			.acked = query_get_int(&q, 7) };
		if (!job_state_parse(state, &out->state))
			q.status = err_set(e, TD_CORRUPT, "job %s is in a state '%s' that there is not", id, state);
	}
	if (query_end(&q) == TD_OK && !found)
		return job_missing(id, e);
	return q.status;
}

/* The move from BEFORE to state TO, in the times and counts of a job. */
static struct standing moved(const struct standing *before, enum job_state to, enum job_event event, int64_t now_ms)
{
	struct standing s = *before;

	s.state = to;
	if (to == JOB_QUEUED && event != JOB_EV_REQUEUE) /* an interrupted job keeps its place: it was not its fault */
		s.queued_ms = now_ms;
	if (event == JOB_EV_ASSIGN) {
		s.attempt++;
		s.acked = 0;
		s.started_ms = 0;
	}
	if (event == JOB_EV_STARTED || event == JOB_EV_BEGIN)
		s.started_ms = now_ms;
	if (job_state_occupies(before->state) && !job_state_occupies(to) && before->started_ms) {
		/* A worker may have been gone for long before that was noticed (the daemon was down): it ran until its
		 * last sign of life. */
		int64_t until = event == JOB_EV_LOST ? before->updated_ms : now_ms;
		s.run_ms += TD_MAX(until - before->started_ms, 0);
	}
	if (job_state_terminal(to))
		s.finished_ms = now_ms;
	return s;
}

td_status store_job_event(struct store_tx *tx, const char *id, enum job_event event, const char *reason,
	const char *detail, struct job *after, struct err *e)
{
	struct standing before, now;
	enum job_state to;
	struct query q;
	td_status status = read_standing(tx, id, &before, e);

	if (status != TD_OK)
		return status;
	if (!job_next_state(before.state, event, &to))
		return err_set(e, TD_CONFLICT, "job %s is %s; '%s' does not apply to it", id,
			job_state_name(before.state), job_event_name(event));
	now = moved(&before, to, event, tx->now_ms);
	query_begin(&q, tx->db, e,
		"UPDATE jobs SET state = ?, reason = ?, detail = ?, attempt = ?, acked = ?, queued_ms = ?, "
		"started_ms = ?, finished_ms = ?, run_ms = ? WHERE id = ?");
	query_text(&q, job_state_name(to));
	query_text(&q, or_empty(reason));
	query_text(&q, detail);
	query_int(&q, now.attempt);
	query_int(&q, now.acked);
	query_int(&q, now.queued_ms);
	query_int(&q, now.started_ms);
	query_int(&q, now.finished_ms);
	query_int(&q, now.run_ms);
	query_text(&q, id);
	status = query_run(&q);
	if (status == TD_OK)
		status = record_transition(
			tx, id, before.state, &now, job_event_name(event), or_empty(reason), detail, e);
	if (status == TD_OK && after)
		status = job_read(tx->db, id, after, e);
	return status;
}

bool store_job_accept(struct store_tx *tx, const char *id, int attempt, int64_t number)
{
	struct standing now;
	struct query q;

	if (read_standing(tx, id, &now, &tx->err) != TD_OK) {
		if (tx->err.status == TD_NOT_FOUND) /* deleted meanwhile: stale, not a failure */
			err_clear(&tx->err);
		return false;
	}
	if (attempt != now.attempt || number <= now.acked || !job_state_occupies(now.state))
		return false;
	query_begin(&q, tx->db, &tx->err, "UPDATE jobs SET acked = ?, updated_ms = ? WHERE id = ?");
	query_int(&q, number);
	query_int(&q, tx->now_ms);
	query_text(&q, id);
	return query_run(&q) == TD_OK;
}

td_status store_job_set_reason(
	struct store_tx *tx, const char *id, const char *reason, const char *detail, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "UPDATE jobs SET reason = ?, detail = ? WHERE id = ? AND state = 'queued'");
	query_text(&q, reason);
	query_text(&q, detail);
	query_text(&q, id);
	if (query_run(&q) != TD_OK || !query_changes(&q))
		return q.status;
	return tx_event(tx, id, "job", changed("reason"), e);
}

/* ---- What a user may change ------------------------------------------------------------------------------------- */

td_status store_job_patch(struct store_tx *tx, const char *id, const struct job_patch *p, struct err *e)
{
	const char *const names[] = { "name", "notes", "tags", "priority" };
	const bool given[] = { p->name, p->notes, p->tags, p->priority };
	cJSON *data, *list;
	struct query q;

	query_begin(&q, tx->db, e,
		"UPDATE jobs SET name = coalesce(?, name), notes = coalesce(?, notes), tags = coalesce(?, tags), "
		"priority = CASE WHEN ? THEN ? ELSE priority END WHERE id = ?");
	query_text(&q, p->name);
	query_text(&q, p->notes);
	query_text(&q, p->tags);
	query_int(&q, p->priority != NULL);
	query_int(&q, p->priority ? *p->priority : 0);
	query_text(&q, id);
	if (query_run(&q) != TD_OK)
		return q.status;
	if (!query_changes(&q))
		return job_missing(id, e);

	data = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(data, "changed");
	for (size_t i = 0; i < TD_COUNT(names); i++)
		if (given[i])
			cJSON_AddItemToArray(list, cJSON_CreateString(names[i]));
	return tx_event(tx, id, "job", data, e);
}

td_status store_job_delete(struct store_tx *tx, const char *id, bool purge, struct err *e)
{
	struct standing now;
	cJSON *data;
	struct query q;
	td_status status = read_standing(tx, id, &now, e);

	if (status != TD_OK)
		return status;
	if (!job_state_terminal(now.state))
		return err_set(
			e, TD_CONFLICT, "job %s is %s; cancel it before deleting it", id, job_state_name(now.state));
	query_begin(
		&q, tx->db, e, purge ? "DELETE FROM jobs WHERE id = ?" : "UPDATE jobs SET deleted = 1 WHERE id = ?");
	query_text(&q, id);
	status = query_run(&q);
	if (status == TD_OK && purge) {
		query_begin(&q, tx->db, e, "DELETE FROM events WHERE job = ?");
		query_text(&q, id);
		status = query_run(&q);
	}
	if (status != TD_OK)
		return status;
	data = cJSON_CreateObject();
	cJSON_AddBoolToObject(data, "purged", purge);
	return tx_event(tx, id, "deleted", data, e);
}

/* ---- How far it is ---------------------------------------------------------------------------------------------- */

td_status store_job_progress(
	struct store_tx *tx, const char *id, int64_t step, int64_t n_steps, const char *phase, int epoch, struct err *e)
{
	cJSON *data;
	struct query q;

	query_begin(&q, tx->db, e, "UPDATE jobs SET step = ?, n_steps = ?, phase = ?, epoch = ? WHERE id = ?");
	query_int(&q, step);
	query_int(&q, n_steps);
	query_text(&q, or_empty(phase));
	query_int(&q, epoch);
	query_text(&q, id);
	if (query_run(&q) != TD_OK)
		return q.status;
	if (!query_changes(&q))
		return job_missing(id, e);
	data = cJSON_CreateObject();
	cJSON_AddNumberToObject(data, "step", (double)step);
	cJSON_AddNumberToObject(data, "n_steps", (double)n_steps);
	cJSON_AddStringToObject(data, "phase", or_empty(phase));
	cJSON_AddNumberToObject(data, "epoch", epoch);
	json_add_time(data, "time", tx->now_ms);
	return tx_event(tx, id, "progress", data, e);
}

td_status store_job_outside(struct store_tx *tx, const char *id, struct err *e)
{
	char kind[16] = "", state[16] = "";
	struct query q;
	bool found;

	query_begin(&q, tx->db, e, "SELECT kind, state FROM jobs WHERE id = ?");
	query_text(&q, id);
	found = query_row(&q);
	if (found) {
		snprintf(kind, sizeof kind, "%s", query_get_text(&q, 0));
		snprintf(state, sizeof state, "%s", query_get_text(&q, 1));
	}
	if (query_end(&q) != TD_OK)
		return q.status;
	if (!found)
		return job_missing(id, e);
	if (strcmp(kind, "external"))
		return err_set(e, TD_CONFLICT,
			"job %s is trained by the server; only jobs of \"kind\": \"external\" are told from outside",
			id);
	if (strcmp(state, "running"))
		return err_set(e, TD_CONFLICT, "job %s is %s, and takes nothing more", id, state);
	return TD_OK;
}

td_status store_rewind(struct store_tx *tx, const char *id, int64_t step, struct err *e)
{
	cJSON *data;
	struct query q;
	td_status status = metrics_truncate(tx, id, step, e);

	if (status == TD_OK)
		status = histograms_truncate(tx, id, step, e);
	if (status == TD_OK)
		status = write_document(tx, id, "report", NULL, e);
	if (status != TD_OK)
		return status;
	query_begin(&q, tx->db, e, "UPDATE jobs SET step = min(step, ?) WHERE id = ?");
	query_int(&q, step);
	query_text(&q, id);
	if (query_run(&q) != TD_OK)
		return q.status;
	if (!query_changes(&q))
		return job_missing(id, e);
	data = cJSON_CreateObject();
	cJSON_AddNumberToObject(data, "step", (double)step);
	return tx_event(tx, id, "rewind", data, e);
}
