/* Sweeps: what was asked for, which children there are to be, and what was decided about them.
 *
 * A sweep's children are rows from the moment it is made.  Becoming a job, being decided about at a rung, and being
 * over are each written once: the row says whether it has happened, so whoever tries again after a crash is told. */
#include "store/internal.h"
#include "sched/sweep.h"

#include <stdio.h>
#include <string.h>

static const char *const states[SWEEP_N_STATES] = {
	[SWEEP_RUNNING] = "running", [SWEEP_SUCCEEDED] = "succeeded", [SWEEP_CANCELLED] = "cancelled"
};

const char *sweep_state_name(enum sweep_state s)
{
	TD_ASSERT((unsigned)s < SWEEP_N_STATES);
	return states[s];
}

void sweep_row_release(struct sweep_row *s)
{
	mem_free(s->name);
	mem_free(s->owner);
	mem_free(s->document);
	*s = (struct sweep_row){ 0 };
}

static td_status missing(const char *id, struct err *e)
{
	return err_set(e, TD_NOT_FOUND, "there is no sweep \"%.40s\"; GET /api/v1/sweeps lists them", id);
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static td_status event(struct store_tx *tx, const char *id, enum sweep_state state, struct err *e)
{
	cJSON *data = cJSON_CreateObject();

	cJSON_AddStringToObject(data, "id", id);
	cJSON_AddStringToObject(data, "state", sweep_state_name(state));
	return tx_event_other(tx, "sweep", data, e);
}

static td_status insert_child(
	struct store_tx *tx, const char *id, int index, const struct sweep_plan *plan, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "INSERT INTO sweep_children (sweep, child, params, spec) VALUES (?, ?, ?, ?)");
	query_text(&q, id);
	query_int(&q, index);
	query_text(&q, plan->params);
	query_text(&q, plan->spec);
	return query_run(&q);
}

static td_status check_room(struct store_tx *tx, struct err *e)
{
	struct query q;
	int64_t n;

	query_begin(&q, tx->db, e, "SELECT count(*) FROM sweeps WHERE state = 'running'");
	n = query_row(&q) ? query_get_int(&q, 0) : 0;
	if (query_end(&q) == TD_OK && n >= STORE_SWEEPS_MOST)
		return err_set(
			e, TD_BUSY, "%d sweeps are running; wait for one to end, or cancel one", STORE_SWEEPS_MOST);
	return q.status;
}

td_status store_sweep_insert(
	struct store_tx *tx, struct sweep_row *s, const struct sweep_plan *children, int n, struct err *e)
{
	struct query q;
	td_status status;

	if (check_room(tx, e) != TD_OK)
		return e->status;
	ulid_make(s->id);
	s->state = SWEEP_RUNNING;
	s->created_ms = tx->now_ms;
	query_begin(&q, tx->db, e,
		"INSERT INTO sweeps (id, state, name, owner, document, created_ms) VALUES (?, ?, ?, ?, ?, ?)");
	query_text(&q, s->id);
	query_text(&q, sweep_state_name(s->state));
	query_text(&q, s->name);
	query_text(&q, s->owner);
	query_text(&q, s->document);
	query_int(&q, s->created_ms);
	status = query_run(&q);
	for (int i = 0; i < n && status == TD_OK; i++)
		status = insert_child(tx, s->id, i, &children[i], e);
	return status == TD_OK ? event(tx, s->id, s->state, e) : status;
}

/* The state in which an earlier command has left it. */
static td_status check_running(struct store_tx *tx, const char *id, struct err *e)
{
	struct query q;
	bool found, runs;

	query_begin(&q, tx->db, e, "SELECT state = 'running' FROM sweeps WHERE id = ?");
	query_text(&q, id);
	found = query_row(&q);
	runs = found && query_get_int(&q, 0);
	if (query_end(&q) != TD_OK)
		return q.status;
	if (!found)
		return missing(id, e);
	return runs ? TD_OK : err_set(e, TD_CONFLICT, "sweep %s is over", id);
}

td_status store_sweep_plan_take(struct store_tx *tx, const char *id, int index, char **spec, struct err *e)
{
	struct query q;

	*spec = NULL;
	if (check_running(tx, id, e) != TD_OK)
		return e->status;
	query_begin(&q, tx->db, e, "SELECT spec FROM sweep_children WHERE sweep = ? AND child = ? AND job IS NULL");
	query_text(&q, id);
	query_int(&q, index);
	if (query_row(&q))
		*spec = query_take_text(&q, 0);
	if (query_end(&q) == TD_OK && !*spec)
		return err_set(
			e, TD_CONFLICT, "child %d of sweep %s is a job already, or was never planned", index, id);
	return q.status;
}

td_status store_sweep_child_started(struct store_tx *tx, const char *id, int index, const char *job, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"UPDATE sweep_children SET job = ?, spec = NULL WHERE sweep = ? AND child = ? AND job IS NULL");
	query_text(&q, job);
	query_text(&q, id);
	query_int(&q, index);
	if (query_run(&q) == TD_OK && !query_changes(&q))
		return err_set(e, TD_CONFLICT, "child %d of sweep %s is a job already", index, id);
	return q.status == TD_OK ? event(tx, id, SWEEP_RUNNING, e) : q.status;
}

td_status store_sweep_decide(struct store_tx *tx, const char *id, int index, int rung, int64_t step, double value,
	bool passed, struct err *e)
{
	struct query q;

	if (check_running(tx, id, e) != TD_OK)
		return e->status;
	query_begin(&q, tx->db, e,
		"INSERT INTO sweep_rungs (sweep, child, rung, step, value_bits, passed) VALUES (?, ?, ?, ?, ?, ?) "
		"ON CONFLICT DO NOTHING");
	query_text(&q, id);
	query_int(&q, index);
	query_int(&q, rung);
	query_int(&q, step);
	query_bits(&q, value);
	query_int(&q, passed);
	if (query_run(&q) == TD_OK && !query_changes(&q))
		return err_set(
			e, TD_CONFLICT, "child %d of sweep %s was decided about at rung %d before", index, id, rung);
	return q.status == TD_OK ? event(tx, id, SWEEP_RUNNING, e) : q.status;
}

td_status store_sweep_child_over(
	struct store_tx *tx, const char *id, int index, enum job_state state, const double *value, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		value ? "UPDATE sweep_children SET state = ?, value_bits = ? WHERE sweep = ? AND child = ?"
		      : "UPDATE sweep_children SET state = ?, value_bits = NULL WHERE sweep = ? AND child = ?");
	query_text(&q, job_state_name(state));
	if (value)
		query_bits(&q, *value);
	query_text(&q, id);
	query_int(&q, index);
	if (query_run(&q) != TD_OK)
		return q.status;
	return event(tx, id, SWEEP_RUNNING, e);
}

td_status store_sweep_end(struct store_tx *tx, const char *id, enum sweep_state state, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "UPDATE sweeps SET state = ?, finished_ms = ? WHERE id = ? AND state = 'running'");
	query_text(&q, sweep_state_name(state));
	query_int(&q, tx->now_ms);
	query_text(&q, id);
	if (query_run(&q) != TD_OK)
		return q.status;
	if (!query_changes(&q))
		return check_running(tx, id, e);
	/* What was never a job will be none. */
	query_begin(&q, tx->db, e, "UPDATE sweep_children SET spec = NULL WHERE sweep = ?");
	query_text(&q, id);
	return query_run(&q) == TD_OK ? event(tx, id, state, e) : q.status;
}

td_status store_sweep_cancel_jobs(struct store_tx *tx, const char *id, const char *reason, struct err *e)
{
	char jobs[SWEEP_JOBS_MOST][ULID_TEXT];
	struct query q;
	enum job_state state;
	int n = 0;

	query_begin(&q, tx->db, e, "SELECT id, state FROM jobs WHERE sweep = ? ORDER BY sweep_index");
	query_text(&q, id);
	while (query_row(&q) && n < SWEEP_JOBS_MOST)
		if (job_state_parse(query_get_text(&q, 1), &state) && !job_state_terminal(state) &&
			state != JOB_CANCELLING)
			snprintf(jobs[n++], ULID_TEXT, "%s", query_get_text(&q, 0));
	if (query_end(&q) != TD_OK)
		return q.status;
	for (int i = 0; i < n; i++)
		if (store_job_event(tx, jobs[i], JOB_EV_CANCEL, reason, NULL, NULL, e) != TD_OK)
			return e->status;
	return TD_OK;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

#define COLUMNS "id, state, name, owner, document, created_ms, finished_ms"

static void take_row(struct query *q, struct sweep_row *s)
{
	const char *state = query_get_text(q, 1);

	*s = (struct sweep_row){ .name = query_take_text(q, 2),
		.owner = query_take_text(q, 3),
		.document = query_take_text(q, 4),
		.created_ms = query_get_int(q, 5),
		.finished_ms = query_get_int(q, 6) };
	snprintf(s->id, sizeof s->id, "%s", query_get_text(q, 0));
	for (int i = 0; i < SWEEP_N_STATES; i++)
		if (!strcmp(state, states[i]))
			s->state = (enum sweep_state)i;
}

td_status store_sweep_get(struct store_reader *r, const char *id, struct sweep_row *out, struct err *e)
{
	struct query q;
	bool found;

	*out = (struct sweep_row){ 0 };
	query_begin(&q, &r->db, e, "SELECT " COLUMNS " FROM sweeps WHERE id = ?");
	query_text(&q, id);
	found = query_row(&q);
	if (found)
		take_row(&q, out);
	if (query_end(&q) == TD_OK && !found)
		return missing(id, e);
	return q.status;
}

td_status store_sweep_list(struct store_reader *r, bool running, const char *after, int n,
	void (*each)(void *arg, const struct sweep_row *s), void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT " COLUMNS " FROM sweeps WHERE (NOT ?1 OR state = 'running') AND (?2 IS NULL OR id < ?2) "
		"ORDER BY id DESC LIMIT ?3");
	query_int(&q, running);
	query_text(&q, after);
	query_int(&q, n);
	while (query_row(&q)) {
		struct sweep_row s;

		take_row(&q, &s);
		each(arg, &s);
		sweep_row_release(&s);
	}
	return query_end(&q);
}

struct rungs {
	double values[SWEEP_RUNGS_MOST];
	int64_t steps[SWEEP_RUNGS_MOST];
};

static td_status take_rungs(
	struct db *db, const char *id, struct sweep_child_row *c, struct rungs *rungs, struct err *e)
{
	struct query q;

	query_begin(&q, db, e,
		"SELECT step, value_bits, passed FROM sweep_rungs WHERE sweep = ? AND child = ? ORDER BY rung");
	query_text(&q, id);
	query_int(&q, c->index);
	while (query_row(&q) && c->n_rungs < SWEEP_RUNGS_MOST) {
		rungs->steps[c->n_rungs] = query_get_int(&q, 0);
		rungs->values[c->n_rungs] = query_get_bits(&q, 1);
		c->stopped = !query_get_int(&q, 2);
		c->n_rungs++;
	}
	c->rung_values = rungs->values;
	c->rung_steps = rungs->steps;
	return query_end(&q);
}

td_status store_sweep_children(struct store_reader *r, const char *id, const char *metric, bool planned,
	void (*each)(void *arg, const struct sweep_child_row *c), void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT c.child, c.params, c.job, j.state, c.state, c.value_bits IS NOT NULL, c.value_bits, "
		"s.last_bits IS NOT NULL, s.last_bits FROM sweep_children c LEFT JOIN jobs j ON j.id = c.job "
		"LEFT JOIN series s ON s.job = c.job AND s.name = ?2 AND s.count > 0 "
		"WHERE c.sweep = ?1 AND (?3 OR c.job IS NOT NULL) ORDER BY c.child");
	query_text(&q, id);
	query_text(&q, metric);
	query_int(&q, planned);
	while (query_row(&q)) {
		const char *now = query_get_text(&q, 3), *ended = query_get_text(&q, 4);
		struct sweep_child_row c = { .index = (int)query_get_int(&q, 0),
			.params = query_get_text(&q, 1),
			.job = query_get_text(&q, 2),
			.over = ended != NULL,
			.has_value = query_get_int(&q, 5),
			.value = query_get_bits(&q, 6),
			.has_last = query_get_int(&q, 7),
			.last = query_get_bits(&q, 8),
			.state = JOB_CANCELLED };
		struct rungs rungs;

		c.gone = c.job && !now;
		if (now || ended)
			job_state_parse(ended ? ended : now, &c.state);
		if (take_rungs(&r->db, id, &c, &rungs, e) != TD_OK)
			break;
		each(arg, &c);
	}
	return query_end(&q) ? q.status : e->status;
}
