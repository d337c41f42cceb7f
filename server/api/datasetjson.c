/* Datasets as JSON: one, with its files, and all of them. */
#include "api/datasetjson.h"

#include <string.h>

#define SUMMARY_MOST  (8u << 20) /* bytes; a preparer makes at most about 1 MB */
#define LIMIT_DEFAULT 100
#define LIMIT_MOST    1000

static void add_file(void *arg, const struct dataset_file *f)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", *f->file ? f->file : f->dataset);
	if (*f->url)
		cJSON_AddStringToObject(o, "url", f->url);
	cJSON_AddItemToObject(o, "bytes", f->n_bytes < 0 ? cJSON_CreateNull() : cJSON_CreateNumber((double)f->n_bytes));
	cJSON_AddItemToObject(o, "sha256", *f->sha256 ? cJSON_CreateString(f->sha256) : cJSON_CreateNull());
	cJSON_AddStringToObject(o, "state", f->state);
	cJSON_AddNumberToObject(o, "fetched", (double)f->n_fetched);
	if (*f->detail)
		cJSON_AddStringToObject(o, "detail", f->detail);
	cJSON_AddItemToArray(arg, o);
}

static cJSON *source_json(const struct dataset *d, const cJSON *files)
{
	cJSON *o = cJSON_CreateObject(), *urls;
	const cJSON *file;

	if (!strcmp(d->source, "folder")) {
		cJSON_AddStringToObject(o, "folder", d->folder ? d->folder : "");
	} else if (strcmp(d->source, "url") != 0) {
		cJSON_AddBoolToObject(o, d->source, true);
	} else if (cJSON_GetArraySize(files) == 1) {
		cJSON_AddStringToObject(o, "url", json_string(cJSON_GetArrayItem(files, 0), "url", ""));
	} else {
		urls = cJSON_AddArrayToObject(o, "urls");
		cJSON_ArrayForEach(file, files)
		{
			cJSON_AddItemToArray(urls, cJSON_CreateString(json_string(file, "url", "")));
		}
	}
	return o;
}

/* The bytes of the dataset's FILES; what lies in folders below was counted when it was prepared. */
static double count_bytes(const cJSON *files, const cJSON *info)
{
	const cJSON *file;
	bool whole = true;
	double n = 0;

	cJSON_ArrayForEach(file, files)
	{
		n += TD_MAX(json_double(file, "bytes", 0), json_double(file, "fetched", 0));
		whole &= cJSON_IsNumber(json_get(file, "bytes"));
	}
	return whole ? n : json_double(info, "input_bytes", n);
}

/* What the pack's info says that a list shows: kind, samples of each part, number of classes. */
static void add_info(cJSON *o, const cJSON *info)
{
	cJSON *samples;
	const cJSON *part, *classes = json_get(info, "classes");

	if (!classes)
		classes = json_at(info, "/y/classes");
	cJSON_AddItemToObject(o, "kind", info ? cJSON_CreateString(json_string(info, "kind", "")) : cJSON_CreateNull());
	samples = cJSON_AddObjectToObject(o, "samples");
	cJSON_ArrayForEach(part, json_get(info, "parts"))
	{
		cJSON_AddNumberToObject(samples, part->string, (double)json_int(part, "samples", 0));
	}
	cJSON_AddItemToObject(o, "classes",
		cJSON_IsArray(classes) ? cJSON_CreateNumber(cJSON_GetArraySize(classes)) : cJSON_CreateNull());
}

static void add_state(cJSON *o, const struct dataset *d)
{
	cJSON *error = NULL, *progress = NULL;

	if (d->detail) {
		error = cJSON_CreateObject();
		cJSON_AddStringToObject(error, "detail", d->detail);
		if (d->pointer)
			cJSON_AddStringToObject(error, "pointer", d->pointer);
	}
	if (*d->phase) {
		progress = cJSON_CreateObject();
		cJSON_AddStringToObject(progress, "phase", d->phase);
		cJSON_AddNumberToObject(progress, "done", (double)d->done);
		cJSON_AddNumberToObject(progress, "total", (double)d->total);
		cJSON_AddStringToObject(progress, "file", d->file);
	}
	cJSON_AddItemToObject(o, "error", error ? error : cJSON_CreateNull());
	cJSON_AddItemToObject(o, "progress", progress ? progress : cJSON_CreateNull());
}

static void add_links(cJSON *o, const char *base, const char *name)
{
	cJSON *links = cJSON_AddObjectToObject(o, "links");
	char *self = mem_printf("%s" API_BASE "/datasets/%s", base, name),
	     *page = mem_printf("%s/datasets/%s", base, name);

	cJSON_AddStringToObject(links, "self", self);
	cJSON_AddStringToObject(links, "page", page);
	mem_free(self);
	mem_free(page);
}

/* What is to be done next, where nothing goes on by itself. */
static void add_hint(cJSON *o, const struct dataset *d, const cJSON *files)
{
	bool none = !cJSON_GetArraySize(files);
	char *hint;

	if (d->state != DATA_UPLOADING)
		return;
	hint = mem_printf("%sPUT %s to " API_BASE
			  "/datasets/%s/files/FILE; when all are there, POST {\"name\":\"%s\"} to " API_BASE
			  "/datasets%s",
		none ? "it has no files: " : "", none ? "them" : "more files", d->name, d->name,
		none ? "; one with a \"url\" or \"folder\" is registered with that, under another name or after DELETE"
		     : "");
	cJSON_AddStringToObject(o, "hint", hint);
	mem_free(hint);
}

/* FILES: taken. */
static cJSON *one_json(const struct dataset *d, cJSON *files, const char *base)
{
	cJSON *o = cJSON_CreateObject(), *info = d->info ? cJSON_Parse(d->info) : NULL; /* our own column */

	cJSON_AddStringToObject(o, "name", d->name);
	cJSON_AddStringToObject(o, "state", data_state_name(d->state));
	cJSON_AddBoolToObject(o, "known", !strcmp(d->source, "known"));
	cJSON_AddItemToObject(o, "source", source_json(d, files));
	cJSON_AddRawToObject(o, "format", d->format);
	cJSON_AddStringToObject(o, "owner", d->owner);
	api_add_time(o, "created", d->created_ms);
	api_add_time(o, "updated", d->updated_ms);
	cJSON_AddNumberToObject(o, "bytes", count_bytes(files, info));
	cJSON_AddNumberToObject(o, "max_bytes", (double)d->max_bytes);
	cJSON_AddNumberToObject(o, "pack_bytes", (double)d->pack_bytes);
	add_info(o, info);
	add_state(o, d);
	add_hint(o, d, files);
	cJSON_AddItemToObject(o, "files", files);
	add_links(o, base, d->name);
	cJSON_Delete(info);
	return o;
}

/* One that is known by name and that nobody has asked for. */
static cJSON *known_json(const struct known_dataset *k, const char *base)
{
	cJSON *o = cJSON_CreateObject(), *files = cJSON_CreateArray(), *info = cJSON_Parse(k->info);
	double n_bytes = 0;

	for (int i = 0; i < k->n_files; i++) {
		cJSON *file = cJSON_CreateObject();

		n_bytes += (double)k->files[i].n_bytes;
		cJSON_AddStringToObject(file, "name", k->files[i].name);
		cJSON_AddNumberToObject(file, "bytes", (double)k->files[i].n_bytes);
		cJSON_AddStringToObject(file, "sha256", k->files[i].sha256);
		cJSON_AddStringToObject(file, "state", "waiting");
		cJSON_AddNumberToObject(file, "fetched", 0);
		cJSON_AddItemToArray(files, file);
	}
	cJSON_AddStringToObject(o, "name", k->name);
	cJSON_AddStringToObject(o, "state", "known");
	cJSON_AddBoolToObject(o, "known", true);
	cJSON_AddBoolToObject(cJSON_AddObjectToObject(o, "source"), "known", true);
	cJSON_AddRawToObject(o, "format", k->format);
	cJSON_AddNumberToObject(o, "bytes", n_bytes);
	add_info(o, info);
	cJSON_AddNullToObject(o, "error");
	cJSON_AddNullToObject(o, "progress");
	cJSON_AddItemToObject(o, "files", files);
	add_links(o, base, k->name);
	cJSON_Delete(info);
	return o;
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

struct listing {
	cJSON *items;
	const char *last; /* name of the last that stands in them, or what they stand behind; borrowed */
	struct request *q;
	const char *base;
	struct err *e;
};

static void add_item(struct listing *l, cJSON *o)
{
	cJSON_AddItemToArray(l->items, o);
	l->last = json_string(o, "name", "");
}

/* The first behind NAME of those that are known by name; NULL: there is none. */
static const struct known_dataset *known_behind(const char *name)
{
	const struct known_dataset *k, *next = NULL;

	for (size_t i = 0; (k = known_at(i)); i++)
		if (strcmp(k->name, name) > 0 && (!next || strcmp(k->name, next->name) < 0))
			next = k;
	return next;
}

/* The known ones between the last of L and BEFORE (NULL: all that are left). */
static void add_known(struct listing *l, const char *before)
{
	const struct known_dataset *k;

	while ((k = known_behind(l->last)) && (!before || strcmp(k->name, before) < 0))
		add_item(l, known_json(k, l->base));
}

static void add_one(void *arg, const struct dataset *d)
{
	struct listing *l = arg;
	cJSON *files = cJSON_CreateArray();

	add_known(l, d->name);
	store_dataset_files(l->q->reader, d->name, add_file, files, l->e);
	add_item(l, one_json(d, files, l->base));
}

td_status datasets_list(struct request *q, struct response *r, struct err *e)
{
	const char *after = request_query(q, "after");
	struct listing l = { .q = q, .e = e, .last = after ? after : "" };
	int64_t limit;
	char *base;

	if (request_int(q, "limit", 1, LIMIT_MOST, LIMIT_DEFAULT, &limit, e))
		return e->status;
	l.base = base = request_url(q, "");
	l.items = cJSON_CreateArray();
	store_dataset_each(q->reader, false, after, (int)limit + 1, add_one, &l, e);
	add_known(&l, NULL);
	if (e->status)
		cJSON_Delete(l.items);
	else
		respond_listed(q, r, l.items, (int)limit, "name");
	mem_free(base);
	return e->status;
}

/* ---- One --------------------------------------------------------------------------------------------------------- */

cJSON *dataset_summary(const struct config *c, const struct dataset *d)
{
	char *pack = d->pack ? dataset_pack_path(c, d->name, d->pack) : NULL;
	char *path = pack ? mem_printf("%s/summary.json", pack) : NULL;
	struct err e = { 0 };
	cJSON *summary = NULL;
	struct buf text;

	buf_init(&text, SUMMARY_MOST);
	if (path && !file_read(path, &text, &e))
		summary = json_parse(text.data, text.len, &e);
	buf_release(&text);
	mem_free(path);
	mem_free(pack);
	return summary ? summary : cJSON_CreateNull();
}

/* Takes FILES and SUMMARY. */
static cJSON *whole_json(const struct dataset *d, cJSON *files, cJSON *summary, const char *base)
{
	cJSON *o = one_json(d, files, base);

	if (d->info)
		cJSON_AddRawToObject(o, "info", d->info);
	else
		cJSON_AddNullToObject(o, "info");
	cJSON_AddItemToObject(o, "summary", summary);
	return o;
}

td_status dataset_json_read(
	struct store_tx *tx, const char *name, cJSON *summary, const char *base, cJSON **out, struct err *e)
{
	cJSON *files = cJSON_CreateArray();
	struct dataset d;

	if (store_dataset_read(tx, name, &d, e) || store_dataset_files_read(tx, name, add_file, files, e)) {
		cJSON_Delete(files);
		cJSON_Delete(summary);
	} else {
		*out = whole_json(&d, files, summary, base);
	}
	dataset_release(&d);
	return e->status;
}

static td_status respond_dataset(
	struct request *q, struct response *r, int code, const struct dataset *d, struct err *e)
{
	cJSON *files = cJSON_CreateArray(), *o;
	char *base;

	if (store_dataset_files(q->reader, d->name, add_file, files, e)) {
		cJSON_Delete(files);
		return e->status;
	}
	base = request_url(q, "");
	o = whole_json(d, files, dataset_summary(q->srv->config, d), base);
	if (code == 201)
		respond_header(r, "Location", json_string(json_get(o, "links"), "self", ""));
	mem_free(base);
	respond_json(r, code, o);
	return TD_OK;
}

td_status respond_dataset_named(struct request *q, struct response *r, int code, const char *name, struct err *e)
{
	struct dataset d;

	if (store_dataset_get(q->reader, name, &d, e))
		return e->status;
	respond_dataset(q, r, code, &d, e);
	dataset_release(&d);
	return e->status;
}

td_status dataset_own(struct request *q, const char *name, struct dataset *d, struct err *e)
{
	if (store_dataset_get(q->reader, name, d, e))
		return e->status;
	if (*d->owner && api_own(q, "dataset", name, d->owner, e))
		dataset_release(d);
	return e->status;
}

static void respond_known(struct request *q, struct response *r, const struct known_dataset *k)
{
	char *base = request_url(q, "");
	cJSON *o = known_json(k, base);

	cJSON_AddRawToObject(o, "info", k->info);
	cJSON_AddNullToObject(o, "summary");
	respond_json(r, 200, o);
	mem_free(base);
}

static bool is_at_rest(enum data_state s)
{
	return s == DATA_READY || s == DATA_FAILED || s == DATA_CANCELLED;
}

td_status dataset_get(struct request *q, struct response *r, struct err *e)
{
	const struct known_dataset *k = known_dataset(q->param[0]);
	struct err found = { 0 };
	struct dataset d;
	int64_t wait_s;

	if (request_int(q, "wait", 0, API_WAIT_MOST_S, 0, &wait_s, e))
		return e->status;
	if (store_dataset_get(q->reader, q->param[0], &d, &found)) {
		if (found.status != TD_NOT_FOUND || !k)
			return err_copy(e, &found);
		respond_known(q, r, k);
		return TD_OK;
	}
	if (!wait_s || is_at_rest(d.state) || !request_park(q, (int)wait_s * 1000))
		respond_dataset(q, r, 200, &d, e);
	dataset_release(&d);
	return e->status;
}
