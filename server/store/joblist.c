/* The list of jobs, with its filters, orders and cursor.
 *
 * A page of the list begins after the (sort value, id) of the last row of the page before.  Rows that are inserted
 * meanwhile shift nothing, which an offset could not promise. */
#include "store/internal.h"

#include <nettle/base16.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The order of the list -------------------------------------------------------------------------------------- */

/* Names a user may sort by, and what they are in SQL. */
static const struct {
	const char *name, *sql;
} sort_columns[] = {
	{ "id", "j.id" },
	{ "name", "j.name" },
	{ "project", "j.project" },
	{ "owner", "j.owner" },
	{ "state", "j.state" },
	{ "priority", "j.priority" },
	{ "threads", "j.threads" },
	{ "attempt", "j.attempt" },
	{ "step", "j.step" },
	{ "created", "j.created_ms" },
	{ "updated", "j.updated_ms" },
	{ "queued", "nullif(j.queued_ms, 0)" },
	{ "started", "nullif(j.started_ms, 0)" },
	{ "finished", "nullif(j.finished_ms, 0)" },
};

struct order {
	const char *sql; /* of the sort value; borrowed; ?1 in it is PARAMETER */
	char *parameter; /* owned; NULL: none */
	bool descending;
};

/* "/model/layers/3/type" as SQLite writes paths: $."model"."layers"[3]."type". */
static td_status path_of_pointer(const char *pointer, char **path, struct err *e)
{
	struct buf out;

	buf_init(&out, 1024);
	buf_puts(&out, "$");
	for (const char *p = pointer; *p == '/';) {
		size_t n = strcspn(++p, "/");
		bool index = n > 0 && strspn(p, "0123456789") >= n;

		buf_puts(&out, index ? "[" : ".\"");
		for (size_t i = 0; i < n; i++) {
			bool escape = p[i] == '~' && i + 1 < n && (p[i + 1] == '0' || p[i + 1] == '1');
			char c = escape ? (p[i + 1] == '0' ? '~' : '/') : p[i];

			i += escape;
			out.full |= c == '"' || c == '\\'; /* SQLite's paths cannot say these */
			buf_append(&out, &c, 1);
		}
		buf_puts(&out, index ? "]" : "\"");
		p += n;
	}
	if (out.full) {
		buf_release(&out);
		return err_set(e, TD_INVALID, "sort: '%.100s' is not a pointer into a job's spec", pointer);
	}
	*path = buf_take(&out);
	return TD_OK;
}

static td_status order_of(const char *sort, struct order *out, struct err *e)
{
	const char *names[TD_COUNT(sort_columns)], *near;

	*out = (struct order){ .sql = "j.id", .descending = true };
	if (!sort || !sort[0])
		return TD_OK;
	out->descending = sort[0] == '-';
	sort += out->descending;
	if (sort[0] == '/') {
		out->sql = "json_extract((SELECT json FROM documents WHERE job = j.id AND kind = 'spec'), ?1)";
		return path_of_pointer(sort, &out->parameter, e);
	}
	for (size_t i = 0; i < TD_COUNT(sort_columns); i++) {
		names[i] = sort_columns[i].name;
		if (strcmp(sort, names[i]))
			continue;
		out->sql = sort_columns[i].sql;
		return TD_OK;
	}
	if (strchr(sort, '/')) {
		out->sql = "(SELECT bits_real(last_bits) FROM series WHERE job = j.id AND name = ?1)";
		out->parameter = mem_strdup(sort);
		return TD_OK;
	}
	near = nearest_name(sort, names, TD_COUNT(names));
	return err_set(e, TD_INVALID,
		"sort: '%.100s' is not a column%s%s%s; a series (test/accuracy) or a pointer into the spec "
		"(/optimizer/lr) will do too, with '-' in front for descending",
		sort, near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
}

/* ---- The cursor ------------------------------------------------------------------------------------------------- */

/* JSON {"sort", "id", "type": "null"|"integer"|"real"|"text", "value": text}, in hexadecimal: nobody is tempted to
 * build one. */
struct cursor {
	cJSON *json;                   /* owned; NULL: from the start */
	const char *id, *type, *value; /* borrowed from JSON */
};

static char *hex_encode(const char *text)
{
	size_t n = strlen(text);
	char *out = mem_alloc(2 * n + 1);

	base16_encode_update(out, n, (const uint8_t *)text);
	return out;
}

static cJSON *hex_decode_json(const char *hex)
{
	size_t n = strlen(hex), n_out = n / 2 + 1;
	uint8_t *text = mem_alloc(n_out + 1);
	struct base16_decode_ctx ctx;
	struct err ignored = { 0 };
	cJSON *json = NULL;

	base16_decode_init(&ctx);
	if (base16_decode_update(&ctx, &n_out, text, n, hex) && base16_decode_final(&ctx))
		json = json_parse((const char *)text, n_out, &ignored);
	mem_free(text);
	return json;
}

static td_status cursor_read(const char *text, const char *sort, struct cursor *out, struct err *e)
{
	*out = (struct cursor){ 0 };
	if (!text)
		return TD_OK;
	out->json = hex_decode_json(text);
	out->id = json_string(out->json, "id", NULL);
	out->type = json_string(out->json, "type", NULL);
	out->value = json_string(out->json, "value", NULL);
	if (!out->id || !out->type || !out->value)
		return err_set(e, TD_INVALID,
			"after: '%.40s' is not a cursor; take it from the page before, or leave it out", text);
	if (strcmp(json_string(out->json, "sort", ""), sort))
		return err_set(e, TD_INVALID, "after: this cursor belongs to the order '%.100s', not to '%.100s'",
			json_string(out->json, "sort", ""), sort);
	return TD_OK;
}

/* The cursor behind the row that Q stands on, whose sort value is in COLUMN. */
static char *cursor_write(struct query *q, int column, const char *sort)
{
	static const char *const types[] = { [SQLITE_INTEGER] = "integer",
		[SQLITE_FLOAT] = "real",
		[SQLITE_TEXT] = "text",
		[SQLITE_BLOB] = "text",
		[SQLITE_NULL] = "null" };
	int type = sqlite3_column_type(q->stmt, column);
	cJSON *json = cJSON_CreateObject();
	char number[40], *text, *hex;

	snprintf(number, sizeof number, "%.17g", sqlite3_column_double(q->stmt, column));
	cJSON_AddStringToObject(json, "sort", sort);
	cJSON_AddStringToObject(json, "id", query_get_text(q, 0));
	cJSON_AddStringToObject(json, "type", types[type]);
	cJSON_AddStringToObject(json, "value",
		type == SQLITE_FLOAT  ? number
		: type == SQLITE_NULL ? ""
				      : query_get_text(q, column));
	text = json_print(json);
	hex = hex_encode(text);
	mem_free(text);
	cJSON_Delete(json);
	return hex;
}

static void bind_cursor(struct query *q, const struct cursor *c)
{
	bool there = c->json != NULL;

	query_text(q, there ? c->id : NULL);
	if (!there || !strcmp(c->type, "null"))
		query_text(q, NULL);
	else if (!strcmp(c->type, "integer"))
		query_int(q, strtoll(c->value, NULL, 10));
	else if (!strcmp(c->type, "real"))
		query_double(q, strtod(c->value, NULL));
	else
		query_text(q, c->value);
}

/* ---- The list --------------------------------------------------------------------------------------------------- */

/* What the rows of the list must satisfy, whatever their order. */
#define FILTERS                                                                                                        \
	"(?4 IS NULL OR j.project = ?4) AND (?5 IS NULL OR j.owner = ?5) AND "                                         \
	"(?6 IS NULL OR instr(',' || ?6 || ',', ',' || j.state || ',')) AND "                                          \
	"(?7 IS NULL OR EXISTS (SELECT 1 FROM json_each(j.tags) WHERE value = ?7)) AND "                               \
	"(?8 IS NULL OR j.id LIKE ?8 ESCAPE '\\' OR j.name LIKE ?8 ESCAPE '\\' OR "                                    \
	"j.project LIKE ?8 ESCAPE '\\' OR j.notes LIKE ?8 ESCAPE '\\') AND (?9 OR NOT j.deleted) AND "                 \
	"(?11 IS NULL OR j.sweep = ?11) AND (?12 IS NULL OR j.kind = ?12)"

/* Texts that are the same for every query of one kind of order, so that the statements stay in the cache.  Rows without
 * a value come last in either direction; equal values are ordered newest first. */
static char *list_sql(const struct order *o)
{
	const char *way = o->descending ? "DESC" : "ASC";
	char beyond = o->descending ? '<' : '>';

	/* The id has no equals and is never missing, and the primary key has the order already: nothing is sorted. */
	if (!strcmp(o->sql, "j.id"))
		return mem_printf("SELECT " JOB_COLUMNS ", j.id FROM jobs j WHERE " FILTERS
				  " AND (?2 IS NULL OR j.id %c ?2) ORDER BY j.id %s LIMIT ?10",
			beyond, way);
	return mem_printf("SELECT * FROM (SELECT " JOB_COLUMNS ", %s AS sort_value FROM jobs j WHERE " FILTERS ") "
			  "WHERE ?2 IS NULL OR (?3 IS NULL AND sort_value IS NULL AND id < ?2) OR (?3 IS NOT NULL AND "
			  "(sort_value IS NULL OR sort_value %c ?3 OR (sort_value = ?3 AND id < ?2))) "
			  "ORDER BY sort_value IS NULL, sort_value %s, id DESC LIMIT ?10",
		o->sql, beyond, way);
}

/* TEXT anywhere, as a pattern of LIKE with every wildcard escaped; NULL stays NULL. */
static char *like_pattern(const char *text)
{
	struct buf out;

	if (!text)
		return NULL;
	buf_init(&out, 2 * strlen(text) + 3);
	buf_puts(&out, "%");
	for (; *text; text++) {
		if (strchr("%_\\", *text))
			buf_puts(&out, "\\");
		buf_append(&out, text, 1);
	}
	buf_puts(&out, "%");
	return buf_take(&out);
}

static td_status check_states(const char *list, struct err *e)
{
	const char *names[JOB_N_STATES];
	struct buf known;
	td_status status = TD_OK;

	buf_init(&known, 1024);
	for (int s = 0; s < JOB_N_STATES; s++) {
		names[s] = job_state_name((enum job_state)s);
		buf_printf(&known, "%s%s", s ? ", " : "", names[s]);
	}
	for (const char *p = list; p && status == TD_OK;) {
		size_t n = strcspn(p, ",");
		char *one = mem_strndup(p, n);
		enum job_state ignored;

		if (!job_state_parse(one, &ignored))
			status = err_set(e, TD_INVALID, "state: '%.40s' is not a state; there are %s", one, known.data);
		mem_free(one);
		p = p[n] ? p + n + 1 : NULL;
	}
	buf_release(&known);
	return status;
}

static td_status list(struct db *db, const struct job_query *jq, const struct order *o, const struct cursor *c,
	const char *sort, void (*each)(void *arg, const struct job *j), void *arg, char **next_cursor, struct err *e)
{
	char *sql = list_sql(o), *pattern = like_pattern(jq->text), *cursor = NULL;
	struct query q;
	int n = 0;

	query_begin(&q, db, e, sql);
	query_text(&q, o->parameter);
	bind_cursor(&q, c);
	query_text(&q, jq->project);
	query_text(&q, jq->owner);
	query_text(&q, jq->state);
	query_text(&q, jq->tag);
	query_text(&q, pattern);
	query_int(&q, jq->deleted);
	query_int(&q, jq->limit + 1); /* one more says whether there is a next page */
	query_text(&q, jq->sweep);
	query_text(&q, jq->kind);
	while (query_row(&q)) {
		if (++n > jq->limit) {
			*next_cursor = cursor;
			cursor = NULL;
			break;
		}
		job_visit(&q, each, arg);
		if (n == jq->limit)
			cursor = cursor_write(&q, sqlite3_column_count(q.stmt) - 1, sort);
	}
	query_end(&q);
	mem_free(cursor);
	mem_free(pattern);
	mem_free(sql);
	return q.status;
}

td_status store_job_list(struct store_reader *r, const struct job_query *q,
	void (*each)(void *arg, const struct job *j), void *arg, char **next_cursor, struct err *e)
{
	const char *sort = q->sort ? q->sort : "";
	struct cursor cursor = { 0 };
	struct order order = { 0 };
	td_status status;

	*next_cursor = NULL;
	if (q->limit < 1 || q->limit > 1000)
		return err_set(e, TD_INVALID, "limit is %d; it must be within 1 and 1000", q->limit);
	status = check_states(q->state, e);
	if (status == TD_OK)
		status = order_of(sort, &order, e);
	if (status == TD_OK)
		status = cursor_read(q->after, sort, &cursor, e);
	if (status == TD_OK)
		status = list(&r->db, q, &order, &cursor, sort, each, arg, next_cursor, e);
	cJSON_Delete(cursor.json);
	mem_free(order.parameter);
	return status;
}
