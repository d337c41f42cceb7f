/* Sweeps: who is born, who is stopped, and when it is over.
 *
 * A round looks at the committed rows of every running sweep and posts one command with what they lack: children whose
 * turn it is, decisions that can be made, ends that are not recorded.  Nothing is remembered between rounds, and the
 * rows refuse whatever has happened already, so a kill at any moment loses and doubles nothing. */
#include "control_internal.h"
#include "base/log.h"
#include "sched/jobspec.h"
#include "sched/sweep.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Sweeps are not looked at more often than this share of the time allows: points of metrics wake the loop too. */
#define LOOK_SHARE   10
#define LOOK_MOST_MS 500

struct child {
	int index;
	char job[ULID_TEXT];
	enum job_state state;
	bool gone, over;
	int n_rungs;
	bool stopped;
	double rung_values[SWEEP_RUNGS_MOST], next, last;
	int64_t next_step;
	bool has_next, has_last;
};

/* A sweep as its rows say. */
struct picture {
	struct control *c;
	struct sweep_row row;
	struct sweep rules; /* borrows DOCUMENT */
	cJSON *document;    /* owned */
	struct child *children;
	int n, cap;
};

/* ---- The command ------------------------------------------------------------------------------------------------ */

enum deed_kind { DEED_BEAR, DEED_DECIDE, DEED_OVER, DEED_END };

struct deed {
	enum deed_kind kind;
	int index, rung;
	int64_t step;
	double value;
	bool has_value, pass;
	enum job_state state;
	char job[ULID_TEXT];
	char detail[200]; /* why it is stopped */
};

struct sweep_action {
	struct action action; /* first */
	char id[ULID_TEXT];
	char owner[200];
	struct deed deeds[SWEEP_MOST];
	int n;
};

/* The plan becomes a job.  PREPARING first, whatever its data: the loop finds out. */
static td_status bear(struct store_tx *tx, const struct sweep_action *a, const struct deed *d, struct err *e)
{
	struct job j = { 0 };
	char *text;
	cJSON *spec;

	if (store_sweep_plan_take(tx, a->id, d->index, &text, e))
		return e->status;
	spec = cJSON_Parse(text); /* our own column */
	job_from_spec(&j, spec, a->owner);
	j.state = JOB_PREPARING;
	j.sweep = mem_strdup(a->id);
	j.sweep_index = d->index;
	if (!store_job_insert(tx, &j, e))
		store_sweep_child_started(tx, a->id, d->index, j.id, e);
	job_release(&j);
	cJSON_Delete(spec);
	mem_free(text);
	return e->status;
}

/* The decision and what it means for the job are one commit.  A job that has ended meanwhile stays as it is. */
static td_status decide(struct store_tx *tx, const struct sweep_action *a, const struct deed *d, struct err *e)
{
	struct err late = { 0 };

	if (store_sweep_decide(tx, a->id, d->index, d->rung, d->step, d->value, d->pass, e) || d->pass)
		return e->status;
	if (store_job_event(tx, d->job, JOB_EV_CANCEL, "sweep", d->detail, NULL, &late) && late.status != TD_CONFLICT &&
		late.status != TD_NOT_FOUND)
		return err_copy(e, &late);
	return TD_OK;
}

static td_status run_deed(struct store_tx *tx, const struct sweep_action *a, const struct deed *d, struct err *e)
{
	switch (d->kind) {
	case DEED_BEAR: return bear(tx, a, d, e);
	case DEED_DECIDE: return decide(tx, a, d, e);
	case DEED_OVER:
		return store_sweep_child_over(tx, a->id, d->index, d->state, d->has_value ? &d->value : NULL, e);
	case DEED_END: return store_sweep_end(tx, a->id, SWEEP_SUCCEEDED, e);
	}
	return TD_OK;
}

static td_status run_sweep(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct sweep_action *a = (struct sweep_action *)cmd;

	for (int i = 0; i < a->n; i++)
		if (run_deed(tx, a, &a->deeds[i], e))
			return e->status;
	return TD_OK;
}

static void finish_sweep(struct control *c, struct action *action)
{
	struct sweep_action *a = (struct sweep_action *)action;
	const struct err *e = &action->cmd.err;

	c->sweep_pending = false;
	c->sweeps_seq = 0; /* look again at once: there may be more to do */
	c->reread = true;
	if (e->status && e->status != TD_CONFLICT) { /* a conflict: somebody was faster, and the rows show it */
		log_line(LOG_ERROR, "a sweep cannot go on now", "sweep=%s text=%s", a->id, e->text);
		c->sweeps_after_ms = c->now_ms + RETRY_MS;
	}
	mem_free(a);
}

/* ---- What the rows say ------------------------------------------------------------------------------------------ */

static void take_child(void *arg, const struct sweep_child_row *r)
{
	struct picture *p = arg;
	struct child *k;

	MEM_GROW(p->children, p->n, p->cap);
	k = &p->children[p->n++];
	*k = (struct child){ .index = r->index,
		.state = r->state,
		.gone = r->gone,
		.over = r->over,
		.n_rungs = r->n_rungs,
		.stopped = r->stopped,
		.last = r->last,
		.has_last = r->has_last };
	snprintf(k->job, sizeof k->job, "%s", r->job);
	memcpy(k->rung_values, r->rung_values, sizeof k->rung_values[0] * (size_t)r->n_rungs);
}

/* The value at the rung that comes next: the metric's first point at or after its step. */
static td_status read_next(struct picture *p, struct child *k, struct err *e)
{
	int64_t step = sweep_rung_step(&p->rules, k->n_rungs);
	struct err none = { 0 };
	struct point point;
	int got = 0;

	if (k->stopped || k->gone || k->n_rungs == SWEEP_RUNGS_MOST || step == INT64_MAX)
		return TD_OK;
	if (store_points_read(p->c->reader, k->job, p->rules.metric, step - 1, &point, 1, &got, &none))
		return none.status == TD_NOT_FOUND ? TD_OK : err_copy(e, &none);
	k->has_next = got == 1;
	k->next = point.value;
	k->next_step = point.step;
	return TD_OK;
}

static td_status take_picture(struct picture *p, struct err *e)
{
	struct faults f;

	p->document = cJSON_Parse(p->row.document); /* our own column */
	faults_init(&f);
	sweep_read(p->document, &p->rules, &f);
	if (f.n_found)
		err_set(e, TD_CORRUPT, "its document is not valid: %s: %s", f.items[0].pointer, f.items[0].detail);
	faults_release(&f);
	/* States before values: a job that has ended has no more to come. */
	if (!e->status)
		store_sweep_children(p->c->reader, p->row.id, p->rules.metric, false, take_child, p, e);
	for (int i = 0; i < p->n && !e->status && p->rules.strategy == SWEEP_ASHA; i++)
		read_next(p, &p->children[i], e);
	return e->status;
}

static void picture_release(struct picture *p)
{
	sweep_row_release(&p->row);
	cJSON_Delete(p->document);
	mem_free(p->children);
}

/* ---- What they lack --------------------------------------------------------------------------------------------- */

static struct deed *add(struct sweep_action *a, enum deed_kind kind, int index)
{
	struct deed *d = &a->deeds[a->n++];

	*d = (struct deed){ .kind = kind, .index = index };
	return d;
}

static void explain(struct deed *d, const struct sweep *rules, const struct sweep_decision *s)
{
	int n_best = (s->m + rules->eta - 1) / rules->eta;

	if (s->rank >= n_best)
		snprintf(d->detail, sizeof d->detail, "sweep: rung %d: value %.6g is not among the best %d of %d",
			s->rung, s->value, n_best, s->m);
	else
		snprintf(d->detail, sizeof d->detail, "sweep: rung %d: value %.6g is worse than the median of %d",
			s->rung, s->value, s->m);
}

static void add_decisions(struct picture *p, struct sweep_action *a)
{
	struct sweep_child *children = MEM_NEW_N(struct sweep_child, p->n + 1);
	struct sweep_decision out[SWEEP_MOST];
	int n;

	for (int i = 0; i < p->n; i++) {
		const struct child *k = &p->children[i];
		children[i] = (struct sweep_child){ .n_passed = k->n_rungs - k->stopped,
			.stopped = k->stopped,
			.over = k->gone || job_state_terminal(k->state),
			.has_next = k->has_next,
			.next = k->next,
			.value = k->rung_values };
	}
	n = sweep_decide(&p->rules, children, p->n, out, SWEEP_MOST - a->n);
	for (int i = 0; i < n; i++) {
		const struct child *k = &p->children[out[i].child];
		struct deed *d = add(a, DEED_DECIDE, out[i].child);
		d->rung = out[i].rung;
		d->step = k->next_step;
		d->value = out[i].value;
		d->pass = out[i].pass;
		memcpy(d->job, k->job, sizeof d->job);
		if (!d->pass)
			explain(d, &p->rules, &out[i]);
	}
	mem_free(children);
}

/* A stopped child counts with its value where it was stopped: how far it came after that is a matter of chance. */
static void add_ends(struct picture *p, struct sweep_action *a)
{
	for (int i = 0; i < p->n && a->n < SWEEP_MOST; i++) {
		const struct child *k = &p->children[i];
		struct deed *d;
		/* While a decision may still come, what the child is worth is not settled. */
		if (k->over || !(k->gone || job_state_terminal(k->state)) || (k->has_next && !k->stopped))
			continue;
		d = add(a, DEED_OVER, k->index);
		d->state = k->state;
		d->has_value = k->stopped || k->has_last;
		d->value = k->stopped ? k->rung_values[k->n_rungs - 1] : k->last;
	}
}

static void add_births(struct picture *p, struct sweep_action *a)
{
	int n_active = 0;

	for (int i = 0; i < p->n; i++)
		n_active += !p->children[i].gone && !job_state_terminal(p->children[i].state);
	for (int i = p->n; i < p->rules.max_jobs && n_active < p->rules.parallel && a->n < SWEEP_MOST; i++, n_active++)
		add(a, DEED_BEAR, i);
}

/* The sweep has ended: every child has been born and is recorded as over. */
static bool all_over(const struct picture *p)
{
	for (int i = 0; i < p->n; i++)
		if (!p->children[i].over)
			return false;
	return p->n == p->rules.max_jobs;
}

static void look_at(struct picture *p)
{
	struct control *c = p->c;
	struct sweep_action *a;
	struct err e = { 0 };

	if (take_picture(p, &e)) {
		log_line(LOG_ERROR, "a sweep cannot be read", "sweep=%s text=%s", p->row.id, e.text);
		c->sweeps_after_ms = c->now_ms + RETRY_MS;
		return;
	}
	a = MEM_NEW(struct sweep_action);
	a->action = (struct action){ .cmd.run = run_sweep, .control = c, .finish = finish_sweep };
	snprintf(a->id, sizeof a->id, "%s", p->row.id);
	snprintf(a->owner, sizeof a->owner, "%s", p->row.owner);
	add_decisions(p, a);
	add_ends(p, a);
	add_births(p, a);
	if (!a->n && all_over(p))
		add(a, DEED_END, 0);
	if (a->n) {
		c->sweep_pending = true;
		control_post(c, &a->action);
	} else {
		mem_free(a);
	}
}

struct running {
	struct sweep_row rows[STORE_SWEEPS_MOST]; /* owned */
	int n;
};

static void take_running(void *arg, const struct sweep_row *row)
{
	struct running *r = arg;
	struct sweep_row *to = &r->rows[r->n++];

	*to = *row;
	to->name = mem_strdup(row->name);
	to->owner = mem_strdup(row->owner);
	to->document = mem_strdup(row->document);
}

static void look_at_all(struct control *c)
{
	struct running *r = MEM_NEW(struct running);
	struct err e = { 0 };

	if (store_sweep_list(c->reader, true, NULL, STORE_SWEEPS_MOST, take_running, r, &e)) {
		log_line(LOG_ERROR, "sweeps cannot be read", "text=%s", e.text);
		c->sweeps_after_ms = c->now_ms + RETRY_MS;
	}
	for (int i = 0; i < r->n; i++) {
		struct picture p = { .c = c, .row = r->rows[i] };
		if (!c->sweep_pending)
			look_at(&p);
		picture_release(&p);
	}
	mem_free(r);
}

void control_sweeps_step(struct control *c)
{
	int64_t seq = store_seq(c->store), start_ns = clock_monotonic_ns();

	if (seq == c->sweeps_seq || c->sweep_pending || c->draining)
		return;
	if (c->now_ms < c->sweeps_after_ms) {
		control_due(c, c->sweeps_after_ms);
		return;
	}
	look_at_all(c);
	/* A command under way looks again when it is done. */
	c->sweeps_seq = seq;
	c->sweeps_after_ms = TD_MAX(c->sweeps_after_ms,
		c->now_ms + TD_MIN((clock_monotonic_ns() - start_ns) * LOOK_SHARE / 1000000, LOOK_MOST_MS));
}
