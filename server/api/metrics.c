/* Series: what there is, windows for charts, and every raw point as CSV. */
#include "api/api.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTS_DEFAULT 500
#define JOBS_MOST      20   /* in one answer */
#define PAGE_POINTS    1024 /* of an export; one chunk of the store */
#define PIECE_BYTES    (128u << 10)

/* ---- What there is ----------------------------------------------------------------------------------------------- */

static void add_series(void *arg, const struct series_info *s)
{
	cJSON *o = cJSON_CreateObject(), *last = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", s->name);
	cJSON_AddStringToObject(o, "kind", "scalar");
	cJSON_AddBoolToObject(o, "deterministic", s->deterministic);
	cJSON_AddNumberToObject(o, "count", (double)s->count);
	cJSON_AddNumberToObject(last, "step", (double)s->last.step);
	cJSON_AddNumberToObject(last, "time", (double)s->last.time_ms);
	cJSON_AddItemToObject(last, "value", json_number(s->last.value));
	cJSON_AddItemToObject(o, "last", last);
	cJSON_AddItemToObject(o, "min", json_number(s->min));
	cJSON_AddItemToObject(o, "max", json_number(s->max));
	cJSON_AddNumberToObject(o, "non_finite", (double)s->non_finite);
	cJSON_AddItemToArray(arg, o);
}

static td_status respond_index(struct request *q, struct response *r, const char *id, struct err *e)
{
	cJSON *items = cJSON_CreateArray();

	if (store_series_each(q->reader, id, add_series, items, e)) {
		cJSON_Delete(items);
		return e->status;
	}
	respond_list(r, items, NULL);
	return TD_OK;
}

/* ---- Windows ----------------------------------------------------------------------------------------------------- */

struct view {
	const char *name;
	int64_t from, to, max_points;
};

static td_status read_view(const struct request *q, struct view *v, struct err *e)
{
	const int64_t most = (int64_t)JSON_INTEGER_MOST;

	v->name = request_query(q, "name");
	if (request_int(q, "from", 0, most, 0, &v->from, e) || request_int(q, "to", 0, most, most, &v->to, e) ||
		request_int(q, "max_points", 2, STORE_WINDOW_MOST, POINTS_DEFAULT, &v->max_points, e))
		return e->status;
	if (v->from > v->to)
		return err_set(e, TD_INVALID, "the query's from (%lld) lies behind its to (%lld)", (long long)v->from,
			(long long)v->to);
	return TD_OK;
}

static void add_integers(cJSON *o, const char *name, const int64_t *values, int64_t n)
{
	cJSON *column = cJSON_AddArrayToObject(o, name);

	for (int64_t i = 0; i < n; i++)
		cJSON_AddItemToArray(column, cJSON_CreateNumber((double)values[i]));
}

static void add_numbers(cJSON *o, const char *name, const double *values, int64_t n)
{
	cJSON *column = cJSON_AddArrayToObject(o, name);

	for (int64_t i = 0; i < n; i++)
		cJSON_AddItemToArray(column, json_number(values[i]));
}

/* A window in columns; times are milliseconds since 1970, as charts want them. */
static cJSON *window_json(const char *name, const struct window *w)
{
	cJSON *o = cJSON_CreateObject(), *odd;

	cJSON_AddStringToObject(o, "name", name);
	add_integers(o, "step", w->step, w->n);
	add_integers(o, "time", w->time_ms, w->n);
	add_numbers(o, "value", w->value, w->n);
	add_numbers(o, "min", w->min, w->n);
	add_numbers(o, "max", w->max, w->n);
	add_numbers(o, "mean", w->mean, w->n);
	add_integers(o, "count", w->count, w->n);
	odd = cJSON_AddArrayToObject(o, "non_finite");
	for (int64_t i = 0; i < w->n; i++)
		cJSON_AddItemToArray(odd, cJSON_CreateBool(w->non_finite[i]));
	cJSON_AddBoolToObject(o, "raw", w->raw);
	cJSON_AddNumberToObject(o, "total", (double)w->total);
	return o;
}

static td_status read_window(struct request *q, const char *id, const struct view *v, cJSON **out, struct err *e)
{
	struct window w = { 0 };

	if (store_window(q->reader, id, v->name, v->from, v->to, (int)v->max_points, &w, e))
		return e->status;
	*out = window_json(v->name, &w);
	window_release(&w);
	return TD_OK;
}

/* ---- CSV: every point, page by page ------------------------------------------------------------------------------ */

struct export
{
	char id[ULID_TEXT];
	char *names[STORE_SERIES_MOST]; /* owned */
	int n_names, at;
	int64_t after; /* step of the last point of names[at] */
	bool named;    /* the client asked for one: rows do not repeat its name */
	bool begun;
};

static void release_export(void *state)
{
	struct export *x = state;

	for (int i = 0; i < x->n_names; i++)
		mem_free(x->names[i]);
	mem_free(x);
}

static void add_name(void *arg, const struct series_info *s)
{
	struct export *x = arg;

	if (x->n_names < STORE_SERIES_MOST)
		x->names[x->n_names++] = mem_strdup(s->name);
}

static void add_point(const struct export *x, const struct point *p, struct buf *out)
{
	char time[CLOCK_TEXT];

	clock_text(p->time_ms, time);
	if (!x->named) {
		csv_field(out, x->names[x->at], true);
		buf_puts(out, ",");
	}
	buf_printf(out, "%lld,%s,", (long long)p->step, time);
	csv_double(out, p->value);
	buf_puts(out, "\n");
}

static bool next_points(void *state, struct store_reader *reader, bool heartbeat, struct buf *out)
{
	struct export *x = state;
	struct point page[PAGE_POINTS];
	struct err e = { 0 };
	int got;

	(void)heartbeat;
	if (!x->begun) {
		buf_puts(out, x->named ? "step,time,value\n" : "series,step,time,value\n");
		x->begun = true;
	}
	while (x->at < x->n_names && out->len < PIECE_BYTES) {
		if (store_points_read(reader, x->id, x->names[x->at], x->after, page, PAGE_POINTS, &got, &e))
			return false;
		for (int i = 0; i < got; i++)
			add_point(x, &page[i], out);
		if (got == PAGE_POINTS) {
			x->after = page[got - 1].step;
		} else {
			x->at++;
			x->after = -1;
		}
	}
	return x->at < x->n_names;
}

static td_status respond_export(struct request *q, struct response *r, const char *id, const char *name, struct err *e)
{
	struct export *x = MEM_NEW(struct export);
	struct point first;
	int got;

	snprintf(x->id, sizeof x->id, "%s", id);
	x->after = -1;
	x->named = name != NULL;
	if (name) {
		x->names[x->n_names++] = mem_strdup(name);
		store_points_read(q->reader, id, name, -1, &first, 1, &got,
			e); /* an unknown name is refused before the stream begins */
	} else {
		store_series_each(q->reader, id, add_name, x, e);
	}
	if (e->status)
		release_export(x);
	else
		respond_stream(r, "text/csv; charset=utf-8", next_points, x, release_export);
	return e->status;
}

/* ---- Handlers ---------------------------------------------------------------------------------------------------- */

td_status job_metrics(struct request *q, struct response *r, struct err *e)
{
	struct view v;
	struct job j;
	cJSON *answer;

	if (read_view(q, &v, e) || api_job(q, &j, e))
		return e->status;
	if (request_accepts(q, "text/csv"))
		respond_export(q, r, j.id, v.name, e);
	else if (!v.name)
		respond_index(q, r, j.id, e);
	else if (!read_window(q, j.id, &v, &answer, e))
		respond_json(r, 200, answer);
	job_release(&j);
	return e->status;
}

/* One job's part of a comparison; a series that it does not have (yet) is an empty one. */
static td_status add_job(struct request *q, const char *id, const struct view *v, cJSON *items, struct err *e)
{
	struct err none = { 0 };
	struct window empty = { 0 };
	cJSON *item;
	struct job j;

	q->param[0] = id;
	if (api_job(q, &j, e))
		return e->status;
	if (read_window(q, id, v, &item, &none)) {
		if (none.status != TD_NOT_FOUND) {
			job_release(&j);
			return err_copy(e, &none);
		}
		item = window_json(v->name, &empty);
	}
	cJSON_AddStringToObject(item, "job", j.id);
	cJSON_AddStringToObject(item, "job_name", j.name);
	cJSON_AddItemToArray(items, item);
	job_release(&j);
	return TD_OK;
}

td_status jobs_metrics(struct request *q, struct response *r, struct err *e)
{
	char *list = mem_strdup(request_query(q, "jobs")), *save = NULL;
	cJSON *answer = cJSON_CreateObject(), *items = cJSON_AddArrayToObject(answer, "items");
	struct view v;

	read_view(q, &v, e);
	if (!list || !v.name)
		err_set(e, TD_INVALID, "the query needs jobs (ids, separated by commas) and name (of a series)");
	for (char *id = list ? strtok_r(list, ",", &save) : NULL; id && !e->status; id = strtok_r(NULL, ",", &save)) {
		if (cJSON_GetArraySize(items) == JOBS_MOST)
			err_set(e, TD_INVALID, "the query names more than %d jobs", JOBS_MOST);
		else
			add_job(q, id, &v, items, e);
	}
	mem_free(list);
	if (e->status)
		cJSON_Delete(answer);
	else
		respond_json(r, 200, answer);
	return e->status;
}
