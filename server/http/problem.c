/* Problems: errors for the reader, as RFC 9457 (application/problem+json) has them. */
#include "http/connection.h"

#include <stdio.h>
#include <string.h>

/* {type, title, status, detail, instance}; DETAIL may be NULL. */
static cJSON *problem_create(int code, const char *type, const char *title, const char *detail, const char *instance)
{
	cJSON *p = cJSON_CreateObject();
	char urn[80];

	snprintf(urn, sizeof urn, "urn:tandem:problem:%s", type);
	cJSON_AddStringToObject(p, "type", urn);
	cJSON_AddStringToObject(p, "title", title);
	cJSON_AddNumberToObject(p, "status", code);
	if (detail)
		cJSON_AddStringToObject(p, "detail", detail);
	if (instance)
		cJSON_AddStringToObject(p, "instance", instance);
	return p;
}

/* Append to its errors[]; line and column are left out where they are 0. */
static void problem_add(cJSON *problem, const char *pointer, int line, int column, const char *detail)
{
	cJSON *errors = cJSON_GetObjectItemCaseSensitive(problem, "errors"), *item = cJSON_CreateObject();

	if (!errors)
		errors = cJSON_AddArrayToObject(problem, "errors");
	if (pointer)
		cJSON_AddStringToObject(item, "pointer", pointer);
	if (line > 0) {
		cJSON_AddNumberToObject(item, "line", line);
		cJSON_AddNumberToObject(item, "column", column);
	}
	cJSON_AddStringToObject(item, "detail", detail);
	cJSON_AddItemToArray(errors, item);
}

static const char *title_of(int code)
{
	static const struct {
		int code;
		const char *title;
	} rows[] = { { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 409, "Conflict" },
		{ 413, "Content Too Large" }, { 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" }, { 421, "Misdirected Request" }, { 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
		{ 507, "Insufficient Storage" } };

	for (size_t i = 0; i < TD_COUNT(rows); i++)
		if (rows[i].code == code)
			return rows[i].title;
	return "Internal Server Error";
}

static void respond_with(struct response *r, int code, cJSON *problem)
{
	char *text = json_print(problem);

	cJSON_Delete(problem);
	respond_bytes(r, code, "application/problem+json", text, strlen(text));
}

void respond_problem(struct response *r, const struct request *q, int code, const char *type, const char *fmt, ...)
{
	char detail[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof detail, fmt, ap);
	va_end(ap);
	respond_with(r, code, problem_create(code, type, title_of(code), detail, q->path));
}

/* A syntax fault begins with its place ("line 3, column 7: "), which the problem also gives as numbers. */
static void add_place(cJSON *problem, const char *text)
{
	int line, column, n = 0;

	if (sscanf(text, "line %d, column %d: %n", &line, &column, &n) == 2 && n)
		problem_add(problem, NULL, line, column, text + n);
}

td_status respond_faults(struct response *r, const struct request *q, const struct faults *f, struct err *e)
{
	char detail[200];
	cJSON *p;

	snprintf(detail, sizeof detail,
		f->n_found == 1 ? "there is one fault in the document" : "there are %zu faults in the document%s",
		f->n_found, f->n < f->n_found ? "; the first of them follow" : "");
	(void)e;
	p = problem_create(422, "invalid-document", title_of(422), detail, q->path);
	for (size_t i = 0; i < f->n; i++) {
		int line = 0, column = 0;

		if (q->body)
			json_locate(q->body, q->n_body, f->items[i].pointer, &line, &column);
		problem_add(p, f->items[i].pointer, line, column, f->items[i].detail);
	}
	respond_with(r, 422, p);
	return TD_OK;
}

/* ---- Statuses ---------------------------------------------------------------------------------------------------- */

static const struct {
	int code;
	const char *type;
	int retry_after; /* seconds; 0: trying again does not help */
} statuses[TD_N_STATUSES] = {
	[TD_INVALID] = { 400, "invalid", 0 },
	[TD_SHAPE] = { 422, "shape", 0 },
	[TD_DTYPE] = { 422, "dtype", 0 },
	[TD_UNSUPPORTED] = { 422, "unsupported", 0 },
	[TD_UNAUTHORIZED] = { 401, "unauthorized", 0 },
	[TD_FORBIDDEN] = { 403, "forbidden", 0 },
	[TD_NOT_FOUND] = { 404, "not-found", 0 },
	[TD_CONFLICT] = { 409, "conflict", 0 },
	[TD_TOO_LARGE] = { 413, "too-large", 0 },
	[TD_BUSY] = { 429, "busy", 1 },
	[TD_UNAVAILABLE] = { 503, "unavailable", 2 },
	[TD_TIMEOUT] = { 504, "timeout", 5 },
	[TD_CANCELLED] = { 409, "cancelled", 0 },
	[TD_NO_MEMORY] = { 503, "no-memory", 10 },
	[TD_NO_SPACE] = { 507, "no-space", 0 },
	[TD_IO] = { 500, "io", 0 },
	[TD_CORRUPT] = { 500, "corrupt", 0 },
	[TD_INTERNAL] = { 500, "internal", 0 },
};

void router_fail(struct connection *c, const struct err *e)
{
	int code = e->status ? statuses[e->status].code : 500;
	cJSON *p = problem_create(code, e->status ? statuses[e->status].type : "internal", title_of(code),
		*e->text ? e->text : status_text(e->status), c->q.path);
	char seconds[16];

	response_reset(&c->r);
	add_place(p, e->text);
	if (code == 401)
		respond_header(&c->r, "WWW-Authenticate", "Bearer realm=\"tandem\"");
	if (e->status && statuses[e->status].retry_after) {
		snprintf(seconds, sizeof seconds, "%d", statuses[e->status].retry_after);
		respond_header(&c->r, "Retry-After", seconds);
	}
	respond_with(&c->r, code, p);
}
