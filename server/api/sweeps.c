/* Sweeps: a job, a space of fields to vary, and a way to choose among what comes out.
 *
 * All children are planned and checked when the sweep is posted: what would be refused is refused then, and the control
 * loop needs to know nothing of schemas to bear them one after the other. */
#include "api/api.h"
#include "base/map.h"
#include "sched/jobspec.h"
#include "sched/sweep.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_DEFAULT 20
#define LIMIT_MOST    100
#define PLAN_MOST     (32u << 20) /* bytes of all children's specs */
#define CORNER_BYTES  (2u << 20)  /* of their specs, which go to the checker in one message */
#define CORNERS_MOST  32          /* children whose models are built when the sweep is posted */

/* ---- As JSON ----------------------------------------------------------------------------------------------------- */

struct summary {
	const struct sweep *rules; /* borrowed */
	cJSON *counts, *jobs;      /* borrowed; JOBS NULL: not wanted */
	cJSON *best;               /* owned; NULL: none */
	double best_value;
	int n_planned;
};

static void count(cJSON *counts, const char *state)
{
	cJSON *n = cJSON_GetObjectItemCaseSensitive(counts, state);

	if (n)
		cJSON_SetNumberValue(n, n->valuedouble + 1);
	else
		cJSON_AddNumberToObject(counts, state, 1);
}

/* What a child is compared by: its value where it was stopped, that of its end, or its last so far. */
static bool value_of(const struct sweep_child_row *c, double *value)
{
	*value = c->n_rungs && c->stopped ? c->rung_values[c->n_rungs - 1] : c->over ? c->value : c->last;
	return (c->n_rungs && c->stopped) || (c->over ? c->has_value : c->has_last);
}

static cJSON *child_json(const struct sweep_child_row *c, bool has_value, double value)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "id", c->job);
	cJSON_AddNumberToObject(o, "index", c->index);
	cJSON_AddRawToObject(o, "params", c->params);
	cJSON_AddStringToObject(o, "state", job_state_name(c->state));
	cJSON_AddItemToObject(o, "value", has_value ? json_number(value) : cJSON_CreateNull());
	cJSON_AddItemToObject(o, "rung", c->n_rungs ? cJSON_CreateNumber(c->n_rungs - 1) : cJSON_CreateNull());
	cJSON_AddItemToObject(o, "stopped_at",
		c->stopped ? cJSON_CreateNumber((double)c->rung_steps[c->n_rungs - 1]) : cJSON_CreateNull());
	if (c->gone)
		cJSON_AddTrueToObject(o, "purged");
	return o;
}

static void add_child(void *arg, const struct sweep_child_row *c)
{
	struct summary *s = arg;
	double value = 0;
	bool has_value;

	if (!c->job) {
		s->n_planned++;
		return;
	}
	has_value = value_of(c, &value);
	count(s->counts, job_state_name(c->state));
	if (s->jobs)
		cJSON_AddItemToArray(s->jobs, child_json(c, has_value, value));
	if (!has_value || isnan(value) || (s->best && !sweep_better(s->rules, value, s->best_value)))
		return; /* of equals the first stays */
	cJSON_Delete(s->best);
	s->best = cJSON_CreateObject();
	s->best_value = value;
	cJSON_AddStringToObject(s->best, "job", c->job);
	cJSON_AddNumberToObject(s->best, "index", c->index);
	cJSON_AddItemToObject(s->best, "value", json_number(value));
	cJSON_AddRawToObject(s->best, "params", c->params);
}

static void add_links(cJSON *o, const char *id, const char *base)
{
	cJSON *links = cJSON_AddObjectToObject(o, "links");
	char url[700];

	snprintf(url, sizeof url, "%s" API_BASE "/sweeps/%s", base, id);
	cJSON_AddStringToObject(links, "self", url);
	snprintf(url, sizeof url, "%s/sweeps/%s", base, id);
	cJSON_AddStringToObject(links, "page", url);
	snprintf(url, sizeof url, "%s" API_BASE "/jobs?sweep=%s", base, id);
	cJSON_AddStringToObject(links, "jobs", url);
}

/* READER NULL: it has been made in this moment, and no child is a job yet. */
static td_status sweep_json(struct store_reader *reader, const struct sweep_row *row, const char *base, bool whole,
	cJSON **out, struct err *e)
{
	cJSON *o = cJSON_CreateObject(), *document = cJSON_Parse(row->document); /* our own column */
	struct summary s = { 0 };
	struct sweep rules;
	const cJSON *member;
	struct faults f;

	faults_init(&f);
	sweep_read(document, &rules, &f);
	faults_release(&f);
	s.rules = &rules;
	cJSON_AddStringToObject(o, "id", row->id);
	cJSON_AddStringToObject(o, "state", sweep_state_name(row->state));
	cJSON_AddStringToObject(o, "owner", row->owner);
	cJSON_ArrayForEach(member, document)
	{
		if (whole || (strcmp(member->string, "base") != 0 && strcmp(member->string, "warnings") != 0))
			cJSON_AddItemToObject(o, member->string, cJSON_Duplicate(member, true));
	}
	if (whole && !json_get(document, "warnings")) /* it was made before there were any */
		cJSON_AddArrayToObject(o, "warnings");
	s.counts = cJSON_AddObjectToObject(o, "counts");
	s.jobs = whole ? cJSON_CreateArray() : NULL;
	if (reader)
		store_sweep_children(reader, row->id, rules.metric, true, add_child, &s, e);
	if (!reader || (s.n_planned && row->state == SWEEP_RUNNING))
		cJSON_AddNumberToObject(s.counts, "planned", reader ? s.n_planned : rules.max_jobs);
	cJSON_AddItemToObject(o, "best", s.best ? s.best : cJSON_CreateNull());
	if (whole)
		cJSON_AddItemToObject(o, "jobs", s.jobs);
	api_add_time(o, "created", row->created_ms);
	api_add_time(o, "finished", row->finished_ms);
	add_links(o, row->id, base);
	cJSON_Delete(document);
	if (e->status)
		cJSON_Delete(o);
	else
		*out = o;
	return e->status;
}

/* ---- Making one -------------------------------------------------------------------------------------------------- */

struct new_sweep {
	struct once once; /* first */
	cJSON *document;  /* owned; the request, with the base's defaults */
	struct sweep rules;
	struct sweep_row row;
	struct sweep_plan *plans; /* owned */
	int n;
	int corners[CORNERS_MOST], n_corners; /* the plans that the checker sees */
	struct submission base;
};

static void new_release(struct new_sweep *n)
{
	for (int i = 0; i < n->n; i++) {
		mem_free(n->plans[i].params);
		mem_free(n->plans[i].spec);
	}
	mem_free(n->plans);
	cJSON_Delete(n->document);
	sweep_row_release(&n->row);
	submission_release(&n->base);
}

/* Whether the space chooses metrics, so that those of the base say nothing. */
static bool varies_metrics(const cJSON *space)
{
	const cJSON *field;

	cJSON_ArrayForEach(field, space)
	{
		if (!strncmp(field->string, "/metrics", 8))
			return true;
	}
	return false;
}

/* Whether LIST has the name of which SERIES is that of a split; a LIST that is not there says nothing. */
static bool measures(const cJSON *list, const char *series)
{
	const char *name = strchr(series, '/');
	const cJSON *metric;

	if (!list || !name || !strcmp(name, "/loss") || !strncmp(series, "train/", 6))
		return true;
	cJSON_ArrayForEach(metric, list)
	{
		if (cJSON_IsString(metric) && !strcmp(metric->valuestring, name + 1))
			return true;
	}
	return false;
}

/* The metric must be one that the base gives. */
static void check_metric(struct new_sweep *n)
{
	const cJSON *split = json_at(n->base.spec, "/data/split");

	if (!varies_metrics(json_get(n->document, "space")) &&
		!measures(json_get(n->base.checked, "metrics"), n->rules.metric))
		faults_add(&n->base.faults, "/metric",
			"the base does not measure \"%.60s\"; it has \"loss\" and what its \"metrics\" name",
			n->rules.metric);

	if (!strncmp(n->rules.metric, "val/", 4) && cJSON_IsObject(split) && json_double(split, "validation", 1) == 0)
		faults_add(&n->base.faults, "/metric",
			"the base has no validation split, so there is no %s; give it \"split\": {\"validation\": 0.1}",
			n->rules.metric);
}

static void name_child(const struct new_sweep *n, cJSON *spec, const cJSON *params, int index)
{
	const char *name = json_string(n->document, "name", "");
	char *text;

	if (json_get(params, "/name"))
		return;
	text = mem_printf("%.180s #%d", *name ? name : job_name_of(n->base.spec), index);
	json_set_at(spec, "/name", cJSON_CreateString(text));
	mem_free(text);
}

/* Child INDEX as a spec with all defaults, in text; its faults are said of the space. */
static char *plan_child(struct request *q, struct new_sweep *n, const cJSON *params, int index)
{
	cJSON *spec = cJSON_Duplicate(n->base.spec, true), *whole = NULL;
	struct faults f;
	char *text = NULL;

	faults_init(&f);
	name_child(n, spec, params, index);
	fields_set(spec, params, &f);
	if (!f.n_found)
		whole = schema_check(q->srv->job_schema, spec, &f);
	fields_move_faults(&f, params, "/space", "/base", &n->base.faults);
	if (!f.n_found)
		text = json_print(whole);
	faults_release(&f);
	cJSON_Delete(whole);
	cJSON_Delete(spec);
	return text;
}

static td_status plan(struct request *q, struct new_sweep *n, struct err *e)
{
	size_t n_bytes = 0;

	n->plans = MEM_NEW_N(struct sweep_plan, n->rules.max_jobs);
	for (; n->n < n->rules.max_jobs && n->base.faults.n_found < FAULTS_MOST; n->n++) {
		cJSON *params = sweep_params(&n->rules, n->n);
		struct sweep_plan *p = &n->plans[n->n];

		p->params = json_print(params);
		p->spec = plan_child(q, n, params, n->n);
		cJSON_Delete(params);
		n_bytes += p->spec ? strlen(p->spec) : 0;
		if (n_bytes > PLAN_MOST)
			return err_set(e, TD_TOO_LARGE,
				"the specs of the sweep's %d jobs have more than %u MB together; make max_jobs smaller",
				n->rules.max_jobs, PLAN_MOST >> 20);
	}
	return TD_OK;
}

/* ---- Checking one ------------------------------------------------------------------------------------------------ */

/* Whether shapes may depend on the field POINTER. */
static bool shapes_a_model(const char *pointer)
{
	static const char *const sections[] = { "/model", "/data", "/loss", "/metrics" };

	for (size_t i = 0; i < TD_COUNT(sections); i++)
		if (!strncmp(pointer, sections[i], strlen(sections[i])))
			return true;
	return false;
}

/* Of the children, those that are the first to have a value of AXIS or, of a range, the least and the largest. */
static void choose_along(const struct new_sweep *n, const struct sweep_axis *axis, cJSON *const *params, bool *chosen)
{
	double least = INFINITY, largest = -INFINITY;
	int first = 0, last = 0;
	struct map seen;

	map_init(&seen);
	for (int i = 0; i < n->n; i++) {
		const cJSON *v = json_get(params[i], axis->pointer);
		char *text = json_print(v);

		if (axis->kind == AXIS_VALUES && !map_put(&seen, text, params[i]))
			chosen[i] = true;
		mem_free(text);
		if (axis->kind == AXIS_VALUES)
			continue;
		if (v->valuedouble < least) {
			least = v->valuedouble;
			first = i;
		}
		if (v->valuedouble > largest) {
			largest = v->valuedouble;
			last = i;
		}
	}
	if (axis->kind != AXIS_VALUES)
		chosen[first] = chosen[last] = true;
	map_release(&seen);
}

/* The corners of the space, as far as children lie in them: their models are built before any of them is a job.  N->CORNERS
 * says which they are. */
static void choose_corners(struct new_sweep *n)
{
	cJSON **params = MEM_NEW_N(cJSON *, n->n), *others = cJSON_CreateArray(), *spec;
	bool *chosen = MEM_NEW_N(bool, n->n);
	size_t n_bytes = 0;

	for (int i = 0; i < n->n; i++)
		params[i] = cJSON_Parse(n->plans[i].params); /* our own */
	for (int k = 0; k < n->rules.n_axes; k++)
		if (shapes_a_model(n->rules.axes[k].pointer))
			choose_along(n, &n->rules.axes[k], params, chosen);
	for (int i = 0; i < n->n && n->n_corners < CORNERS_MOST; i++) {
		n_bytes += chosen[i] ? strlen(n->plans[i].spec) : 0;
		if (n_bytes > CORNER_BYTES)
			break;
		spec = chosen[i] ? cJSON_Parse(n->plans[i].spec) : NULL;
		if (spec && !strcmp(json_string(json_get(spec, "data"), "dataset", ""),
				    json_string(json_get(n->base.spec, "data"), "dataset", ""))) {
			cJSON_AddItemToArray(others, spec);
			n->corners[n->n_corners++] = i;
		} else {
			cJSON_Delete(spec);
		}
	}
	n->base.ask = cJSON_CreateObject();
	cJSON_AddItemToObject(n->base.ask, "others", others);
	for (int i = 0; i < n->n; i++)
		cJSON_Delete(params[i]);
	mem_free(params);
	mem_free(chosen);
}

/* What the checker says of the corners, each with what is particular to it. */
static void blame_corners(struct new_sweep *n)
{
	const cJSON *of, *fault;
	int i = 0;

	cJSON_ArrayForEach(of, json_get(n->base.checked, "others"))
	{
		const struct sweep_plan *p = &n->plans[n->corners[i]];
		cJSON *params = cJSON_Parse(p->params); /* our own */
		struct faults f;

		faults_init(&f);
		cJSON_ArrayForEach(fault, of)
		{
			faults_add(&f, json_string(fault, "pointer", ""), "with %.200s: %s", p->params,
				json_string(fault, "detail", "this does not fit"));
		}
		fields_move_faults(&f, params, "/space", "/base", &n->base.faults);
		faults_release(&f);
		cJSON_Delete(params);
		if (++i == n->n_corners)
			break;
	}
}

/* Is the base a job, does its model fit together, and do those of its children? */
static td_status check(struct request *q, struct new_sweep *n, bool *parked, struct err *e)
{
	const cJSON *base = json_get(q->json, "base");
	struct faults f;

	*parked = false;
	if (!strcmp(json_string(base, "kind", "train"), "external"))
		faults_add(&n->base.faults, "/base/kind", "an external job runs elsewhere: a sweep cannot start it");
	faults_init(&f);
	n->base.spec = schema_check(q->srv->job_schema, base, &f);
	fields_move_faults(&f, NULL, "", "/base", &n->base.faults);
	faults_release(&f);
	n->base.at = "/base";
	if (!n->base.faults.n_found && plan(q, n, e))
		return e->status;
	if (n->base.faults.n_found)
		return TD_OK;
	choose_corners(n);
	if (submission_check(q, &n->base, parked, e) || *parked)
		return e->status;
	if (!n->base.faults.n_found)
		blame_corners(n);
	if (!n->base.faults.n_found)
		check_metric(n);
	return TD_OK;
}

/* What is kept of the request: with the number of jobs that it comes to, the base as it was posted, and what the checker
 * warned of in that; each job has warnings of its own. */
static void fill_row(struct request *q, struct new_sweep *n)
{
	cJSON_DeleteItemFromObjectCaseSensitive(n->document, "max_jobs");
	cJSON_AddNumberToObject(n->document, "max_jobs", n->rules.max_jobs);
	if (!json_get(n->document, "name"))
		cJSON_AddStringToObject(n->document, "name", n->base.job.name);
	cJSON_AddRawToObject(n->document, "warnings", n->base.job.warnings ? n->base.job.warnings : "[]");
	n->row.name = mem_strdup(json_string(n->document, "name", ""));
	n->row.owner = mem_strdup(q->token.owner);
	n->row.document = json_print(n->document);
}

static td_status create_act(struct store_tx *tx, struct once *o, cJSON **answer, struct err *e)
{
	struct new_sweep *n = (struct new_sweep *)o;

	if (store_sweep_insert(tx, &n->row, n->plans, n->n, e) || submission_ask_for_data(tx, &n->base, e))
		return e->status;
	return sweep_json(NULL, &n->row, o->base, true, answer, e);
}

td_status sweep_create(struct request *q, struct response *r, struct err *e)
{
	struct new_sweep n = { .once = { .act = create_act, .status = 201, .collection = "sweeps" } };
	bool parked = false;

	if (api_still_waits(q))
		return TD_OK;
	submission_init(&n.base);
	n.document = cJSON_Duplicate(q->json, true);
	sweep_read(n.document, &n.rules, &n.base.faults);
	if (check(q, &n, &parked, e) || parked)
		goto out; /* failed, or called again when the checker has answered */
	if (n.base.faults.n_found) {
		respond_faults(r, q, &n.base.faults, e);
	} else {
		fill_row(q, &n);
		api_once(q, r, &n.once, e);
	}
out:
	new_release(&n);
	return e->status;
}

/* ---- Reading and stopping ---------------------------------------------------------------------------------------- */

static td_status respond_sweep(struct request *q, struct response *r, const struct sweep_row *row, struct err *e)
{
	char *base = request_url(q, "");
	cJSON *answer;

	if (!sweep_json(q->reader, row, base, true, &answer, e))
		respond_json(r, 200, answer);
	mem_free(base);
	return e->status;
}

td_status sweep_get(struct request *q, struct response *r, struct err *e)
{
	struct sweep_row row;
	int64_t wait_s;

	if (request_int(q, "wait", 0, API_WAIT_MOST_S, 0, &wait_s, e) ||
		store_sweep_get(q->reader, q->param[0], &row, e))
		return e->status;
	if (!wait_s || row.state != SWEEP_RUNNING || !request_park(q, (int)wait_s * 1000))
		respond_sweep(q, r, &row, e);
	sweep_row_release(&row);
	return e->status;
}

struct listing {
	struct store_reader *reader;
	const char *base;
	cJSON *items;
	struct err *e;
};

static void add_sweep(void *arg, const struct sweep_row *row)
{
	struct listing *l = arg;
	cJSON *item;

	if (!sweep_json(l->reader, row, l->base, false, &item, l->e))
		cJSON_AddItemToArray(l->items, item);
}

td_status sweeps_list(struct request *q, struct response *r, struct err *e)
{
	struct listing l = { .reader = q->reader, .e = e };
	int64_t limit;
	char *base;

	if (request_int(q, "limit", 1, LIMIT_MOST, LIMIT_DEFAULT, &limit, e))
		return e->status;
	l.base = base = request_url(q, "");
	l.items = cJSON_CreateArray();
	store_sweep_list(q->reader, false, request_query(q, "after"), (int)limit + 1, add_sweep, &l, e);
	if (e->status)
		cJSON_Delete(l.items);
	else
		respond_listed(q, r, l.items, (int)limit, "id");
	mem_free(base);
	return e->status;
}

struct stop {
	struct store_cmd cmd; /* first */
	const char *id;
};

static td_status stop_run(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	const struct stop *s = (const struct stop *)cmd;

	if (store_sweep_end(tx, s->id, SWEEP_CANCELLED, e))
		return e->status;
	return store_sweep_cancel_jobs(tx, s->id, "sweep_cancelled", e);
}

td_status sweep_cancel(struct request *q, struct response *r, struct err *e)
{
	struct stop s = { .cmd.run = stop_run, .id = q->param[0] };
	struct sweep_row row;

	if (store_sweep_get(q->reader, s.id, &row, e))
		return e->status;
	if (!api_own(q, "sweep", row.id, row.owner, e) && store_write(q->srv->store, &s.cmd))
		err_copy(e, &s.cmd.err);
	sweep_row_release(&row);
	if (e->status)
		return e->status;
	control_wake(q->srv->control, s.cmd.seq);
	if (!store_sweep_get(q->reader, s.id, &row, e)) {
		respond_sweep(q, r, &row, e);
		sweep_row_release(&row);
	}
	return e->status;
}
