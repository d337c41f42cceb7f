/* Lists of jobs: pages as JSON, leaderboards as CSV. */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 50
#define LIMIT_MOST    1000
#define COLUMNS_MOST  32
#define CSV_MOST      (16u << 20)

/* ---- Pages ------------------------------------------------------------------------------------------------------- */

struct page {
	int64_t now_ms;
	char *columns[COLUMNS_MOST];
	int n_columns;
	cJSON *items;   /* of a JSON page */
	struct buf csv; /* of a CSV page */
};

static void add_row(void *arg, const struct job *j)
{
	struct page *p = arg;
	cJSON *brief = job_json(j, p->now_ms), *spec = NULL, *summary = NULL, *columns = NULL;

	if (p->n_columns) {
		spec = cJSON_Parse(j->spec); /* the store's own, both */
		summary = cJSON_Parse(j->summary);
	}
	if (p->n_columns && p->items)
		columns = cJSON_AddObjectToObject(brief, "columns");
	for (int i = 0; i < p->n_columns; i++) {
		cJSON *v = job_column(spec, summary, brief, p->columns[i]);

		if (columns) {
			cJSON_AddItemToObject(columns, p->columns[i], v);
		} else {
			csv_value(&p->csv, v, false);
			cJSON_Delete(v);
		}
	}
	if (p->items)
		cJSON_AddItemToArray(p->items, brief);
	else
		cJSON_Delete(brief);
	cJSON_Delete(spec);
	cJSON_Delete(summary);
}

/* The columns that every CSV row begins with. */
static const char *const csv_columns[] = { "id", "name", "project", "owner", "state", "created_at", "finished_at" };

static void add_csv_row(void *arg, const struct job *j)
{
	struct page *p = arg;
	cJSON *brief = job_json(j, p->now_ms);

	for (size_t i = 0; i < TD_COUNT(csv_columns); i++)
		csv_value(&p->csv, json_get(brief, csv_columns[i]), i == 0);
	cJSON_Delete(brief);
	add_row(p, j);
	buf_puts(&p->csv, "\n");
}

void respond_next(const struct request *q, struct response *r, const char *next)
{
	static const char *const kept[] = { "project", "state", "owner", "tag", "q", "sweep", "kind", "sort", "columns",
		"limit" };
	struct buf link;

	buf_init(&link, 4000);
	buf_printf(&link, "<%s?after=%s", q->path, next);
	for (size_t i = 0; i < TD_COUNT(kept); i++) {
		const char *v = request_query(q, kept[i]);

		if (!v)
			continue;
		buf_printf(&link, "&%s=", kept[i]);
		for (; *v; v++)
			buf_printf(&link,
				strchr("/-_.~,", *v) || (*v >= '0' && *v <= '9') || (*v >= 'a' && *v <= 'z') ||
						(*v >= 'A' && *v <= 'Z')
					? "%c"
					: "%%%02X",
				(unsigned char)*v);
	}
	if (buf_puts(&link, ">; rel=\"next\""))
		respond_header(r, "Link", link.data);
	buf_release(&link);
}

void respond_listed(const struct request *q, struct response *r, cJSON *items, int limit, const char *by)
{
	bool more = cJSON_GetArraySize(items) > limit;
	char *next = NULL;

	while (cJSON_GetArraySize(items) > limit)
		cJSON_DeleteItemFromArray(items, limit);
	if (more) {
		next = mem_strdup(json_string(cJSON_GetArrayItem(items, limit - 1), by, ""));
		respond_next(q, r, next);
	}
	respond_list(r, items, next);
	mem_free(next);
}

static td_status read_columns(const struct request *q, struct page *p, char **text, struct err *e)
{
	*text = mem_strdup(request_query(q, "columns"));
	if (!*text)
		return TD_OK;
	p->n_columns = api_split(*text, p->columns, COLUMNS_MOST);
	if (p->n_columns < 0)
		return err_set(e, TD_INVALID,
			"the query's columns are \"%.80s\"; expected 1 to %d names, separated by commas",
			request_query(q, "columns"), COLUMNS_MOST);
	return TD_OK;
}

static void respond_page(const struct request *q, struct response *r, struct page *p, const char *next)
{
	size_t n = p->csv.len;

	if (next)
		respond_next(q, r, next);
	if (!p->items) {
		respond_bytes(r, 200, "text/csv; charset=utf-8", buf_take(&p->csv), n);
		return;
	}
	respond_list(r, p->items, next);
	p->items = NULL;
}

td_status jobs_list(struct request *q, struct response *r, struct err *e)
{
	struct page p = { .now_ms = clock_now_ms() };
	bool csv = request_accepts(q, "text/csv");
	struct job_query query = { .project = request_query(q, "project"),
		.state = request_query(q, "state"),
		.owner = request_query(q, "owner"),
		.tag = request_query(q, "tag"),
		.text = request_query(q, "q"),
		.sweep = request_query(q, "sweep"),
		.kind = request_query(q, "kind"),
		.sort = request_query(q, "sort"),
		.after = request_query(q, "after") };
	char *columns = NULL, *next = NULL;
	int64_t limit;

	buf_init(&p.csv, CSV_MOST);
	if (request_int(q, "limit", 1, LIMIT_MOST, csv ? LIMIT_MOST : LIMIT_DEFAULT, &limit, e) ||
		read_columns(q, &p, &columns, e))
		goto out;
	query.limit = (int)limit;
	if (!csv)
		p.items = cJSON_CreateArray();
	for (size_t i = 0; csv && i < TD_COUNT(csv_columns); i++)
		csv_field(&p.csv, csv_columns[i], i == 0);
	for (int i = 0; csv && i < p.n_columns; i++)
		csv_field(&p.csv, p.columns[i], false);
	buf_puts(&p.csv, "\n");
	if (store_job_list(q->reader, &query, csv ? add_csv_row : add_row, &p, &next, e))
		goto out;
	if (p.csv.full)
		err_set(e, TD_TOO_LARGE, "this table has more than %u MB; ask for fewer rows with limit",
			CSV_MOST >> 20);
	else
		respond_page(q, r, &p, next);
out:
	cJSON_Delete(p.items);
	buf_release(&p.csv);
	mem_free(columns);
	mem_free(next);
	return e->status;
}
