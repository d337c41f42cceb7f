/* Jobs whose numbers come from outside: a script that trains elsewhere posts its points here and says when it is done.
 *
 * To everything else they are jobs like others: series, events, leaderboards.  No worker belongs to them, so the table
 * of jobs alone says whether they may still speak. */
#include "api/api.h"
#include "http/text.h"

#include <stdio.h>
#include <string.h>

#define POINTS_MOST 10000 /* in one request */

struct outside_point {
	const char *name; /* borrowed from the JSON */
	struct point p;
	bool taken; /* by a run of its series */
};

struct outside {
	struct once once; /* first */
	const char *id;
	cJSON *body;                  /* owned; what the points borrow from */
	struct outside_point *points; /* owned */
	int n;
	bool lines; /* a point a line: places are not pointers */
	struct faults faults;
};

/* ---- Reading points ---------------------------------------------------------------------------------------------- */

/* Of a series' name: it must read well in lists, and not look like a pointer into a spec. */
static bool name_fits(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == ',')
			return false;
	return n > 0 && n <= STORE_SERIES_NAME && *name != '/' && *name != '-';
}

static bool read_time(const cJSON *time, int64_t *ms)
{
	struct err e = { 0 };

	if (!time)
		return true;
	if (cJSON_IsString(time))
		return api_parse_time(time->valuestring, ms, &e) == TD_OK;
	if (!json_is_integer(time) || time->valuedouble < 0)
		return false;
	*ms = (int64_t)time->valuedouble;
	return true;
}

/* The point that stands at POINTER of the body. */
static void read_point(struct outside *o, const cJSON *v, const char *pointer)
{
	static const char *const known[] = { "name", "step", "value", "time" };
	struct outside_point *p = &o->points[o->n];
	const cJSON *step = json_get(v, "step"), *member;
	const char *wrong = NULL;

	*p = (struct outside_point){ .name = json_string(v, "name", ""), .p.time_ms = clock_now_ms() };
	cJSON_ArrayForEach(member, v)
	{
		bool found = false;
		for (size_t i = 0; i < TD_COUNT(known); i++)
			found |= member->string && !strcmp(member->string, known[i]);
		if (!found)
			wrong = "a point has name, step, value, and time if you like";
	}
	if (!cJSON_IsObject(v))
		wrong = "expected an object {\"name\": \"train/loss\", \"step\": 10, \"value\": 0.5}";
	else if (!name_fits(p->name))
		wrong = "name is the series: 1 to " TD_TEXT(
			STORE_SERIES_NAME) " bytes, no commas, and it begins with neither / nor -";
	else if (!json_is_integer(step) || step->valuedouble < 0)
		wrong = "step is an integer from 0";
	else if (!json_to_number(json_get(v, "value"), &p->p.value))
		wrong = "value is a number, or \"NaN\", \"Infinity\", \"-Infinity\"";
	else if (!read_time(json_get(v, "time"), &p->p.time_ms))
		wrong = "time is milliseconds since 1970, or a time in UTC like 2027-01-31T12:00:00Z";
	if (wrong) {
		faults_add(&o->faults, o->lines ? "" : pointer, "%s%s%s", o->lines ? pointer : "", o->lines ? ": " : "",
			wrong);
		return;
	}
	p->p.step = (int64_t)step->valuedouble;
	o->n++;
}

static td_status read_points(struct outside *o, const cJSON *list, struct err *e)
{
	int n = cJSON_GetArraySize(list), i = 0;
	char pointer[40];
	const cJSON *v;

	if (n > POINTS_MOST)
		return err_set(e, TD_TOO_LARGE, "%d points are more than one request may have, %d", n, POINTS_MOST);
	o->points = MEM_NEW_N(struct outside_point, n + 1);
	cJSON_ArrayForEach(v, list)
	{
		snprintf(pointer, sizeof pointer, "/points/%d", i++);
		read_point(o, v, pointer);
	}
	return TD_OK;
}

/* A point a line: the lines become the list that the JSON form has at once. */
static cJSON *parse_lines(const char *text, size_t n, struct err *e)
{
	cJSON *list = cJSON_CreateArray();
	const char *end = text + n;
	int line = 0;

	for (const char *at = text; at < end && !e->status;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((stop ? stop : end) - at);

		line++;
		if (strspn(at, " \t\r") < length) {
			cJSON *v = json_parse(at, length, e);
			if (!v)
				err_wrap(e, "point in line %d of the body", line);
			else if (line > POINTS_MOST)
				err_set(e, TD_TOO_LARGE, "the body has more than %d lines", POINTS_MOST);
			cJSON_AddItemToArray(list, v);
		}
		at += length + 1;
	}
	return list;
}

static bool is_lines(const struct request *q)
{
	const char *type = request_header(q, "Content-Type");

	return type &&
	       (text_media_type_is(type, "application/x-ndjson") || text_media_type_is(type, "application/jsonl"));
}

static td_status read_body(struct request *q, struct outside *o, struct err *e)
{
	const cJSON *list;

	if (!q->n_body)
		return err_set(
			e, TD_INVALID, "the body is empty; expected {\"points\": [{\"name\", \"step\", \"value\"}]}");
	o->lines = is_lines(q);
	if (o->lines) {
		o->body = parse_lines(q->body, q->n_body, e);
		list = o->body;
	} else {
		o->body = json_parse(q->body, q->n_body, e);
		list = json_get(o->body, "points");
		if (o->body && (!cJSON_IsArray(list) || cJSON_GetArraySize(o->body) != 1))
			faults_add(&o->faults, "",
				"expected {\"points\": [...]}; a point a line has the type application/x-ndjson");
	}
	return e->status || o->faults.n_found ? e->status : read_points(o, list, e);
}

/* ---- Storing them ------------------------------------------------------------------------------------------------ */

/* The store takes a series at a time, in its order. */
static td_status points_act(struct store_tx *tx, struct once *once, cJSON **answer, struct err *e)
{
	struct outside *o = (struct outside *)once;
	struct point *run = MEM_NEW_N(struct point, o->n + 1);
	int64_t last = 0;

	for (int i = 0; i < o->n; i++)
		o->points[i].taken = false;
	store_job_outside(tx, o->id, e);
	for (int i = 0; i < o->n && !e->status; i++) {
		int n = 0;
		last = TD_MAX(last, o->points[i].p.step);
		if (o->points[i].taken)
			continue;
		for (int k = i; k < o->n; k++)
			if (!o->points[k].taken && !strcmp(o->points[k].name, o->points[i].name)) {
				run[n++] = o->points[k].p;
				o->points[k].taken = true;
			}
		store_points_add(tx, o->id, o->points[i].name, run, n, e);
	}
	mem_free(run);
	if (o->n && !e->status)
		store_job_progress(tx, o->id, last, 0, "train", 0, e);
	if (e->status)
		return e->status;
	*answer = cJSON_CreateObject();
	cJSON_AddNumberToObject(*answer, "accepted", o->n);
	return TD_OK;
}

td_status job_points(struct request *q, struct response *r, struct err *e)
{
	struct outside o = { .once = { .act = points_act, .status = 200 }, .id = q->param[0] };
	struct job j;

	if (api_own_job(q, &j, e))
		return e->status;
	job_release(&j);
	faults_init(&o.faults);
	if (!read_body(q, &o, e) && o.faults.n_found)
		respond_faults(r, q, &o.faults, e);
	else if (!e->status)
		api_once(q, r, &o.once, e);
	faults_release(&o.faults);
	cJSON_Delete(o.body);
	mem_free(o.points);
	return e->status;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

struct finish {
	struct once once; /* first */
	const char *id, *detail;
	bool failed;
};

static td_status finish_act(struct store_tx *tx, struct once *o, cJSON **answer, struct err *e)
{
	struct finish *f = (struct finish *)o;
	struct job after = { 0 };
	cJSON *error;
	char *text;

	if (store_job_outside(tx, f->id, e))
		return e->status;
	if (f->failed) {
		error = cJSON_CreateObject();
		cJSON_AddStringToObject(error, "status", "FAILED");
		cJSON_AddStringToObject(error, "detail", f->detail ? f->detail : "the script says that it has failed");
		text = json_print(error);
		store_job_set_error(tx, f->id, text, e);
		mem_free(text);
		cJSON_Delete(error);
	}
	if (!e->status && !store_job_event(tx, f->id, f->failed ? JOB_EV_FAIL : JOB_EV_DONE,
				  f->failed ? "failed_outside" : "done", f->detail, &after, e)) {
		*answer = job_json_whole(&after, o->base, after.updated_ms);
		job_release(&after);
	}
	return e->status;
}

td_status job_finish(struct request *q, struct response *r, struct err *e)
{
	struct finish f = { .once = { .act = finish_act, .status = 200 },
		.id = q->param[0],
		.detail = json_string(q->json, "detail", NULL),
		.failed = !strcmp(json_string(q->json, "state", ""), "failed") };
	struct job j;

	if (api_own_job(q, &j, e))
		return e->status;
	job_release(&j);
	return api_once(q, r, &f.once, e);
}
