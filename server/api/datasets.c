/* Datasets: registering one, preparing it again, cancelling, deleting.
 *
 * A handler changes the row and nothing else; the control loop sees the row and does the work. */
#include "api/datasetjson.h"
#include "embedded.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define URL_MOST 2000

/* ---- "format" ---------------------------------------------------------------------------------------------------- */

static struct schema *format_schema; /* of {"format": ...}; made once, then constant */
static struct err format_err;

/* The worker alone knows formats; their schema comes with the job's. */
static void make_format_schema(void)
{
	const struct embedded_file *f = embedded_find("schema/job.json");
	cJSON *job = f ? cJSON_ParseWithLength((const char *)f->data, f->n_bytes) : NULL, *all, *properties;
	char *text;

	if (!json_at(job, "/$defs/format")) {
		err_set(&format_err, TD_INTERNAL, "this build carries no schema of formats");
		cJSON_Delete(job);
		return;
	}
	all = cJSON_CreateObject();
	properties = cJSON_AddObjectToObject(all, "properties");
	cJSON_AddStringToObject(cJSON_AddObjectToObject(properties, "format"), "$ref", "#/$defs/format");
	cJSON_AddItemToObject(all, "$defs", cJSON_DetachItemFromObjectCaseSensitive(job, "$defs"));
	text = json_print(all);
	schema_create(text, strlen(text), &format_schema, &format_err);
	mem_free(text);
	cJSON_Delete(all);
	cJSON_Delete(job);
}

static td_status check_format(const cJSON *body, struct faults *f, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	cJSON *only;

	if (!json_get(body, "format"))
		return TD_OK;
	pthread_once(&once, make_format_schema);
	if (format_err.status)
		return err_copy(e, &format_err);
	only = cJSON_CreateObject();
	cJSON_AddItemReferenceToObject(only, "format", (cJSON *)json_get(body, "format"));
	cJSON_Delete(schema_check(format_schema, only, f));
	cJSON_Delete(only);
	return TD_OK;
}

/* ---- Registering: what was asked for ----------------------------------------------------------------------------- */

struct registration {
	struct once once; /* first */
	const struct config *config;
	cJSON *summary;             /* of its pack, if it has one; owned until it is answered */
	struct dataset d;           /* its texts are owned */
	struct dataset_file *files; /* owned, names and urls too */
	int n_files, room;
	bool has_format; /* it came with one; else the one that was given before stays */
};

static void add_file(void *arg, const char *name, int64_t n_bytes)
{
	struct registration *g = arg;

	MEM_GROW(g->files, g->n_files, g->room);
	g->files[g->n_files] = (struct dataset_file){ .dataset = g->d.name,
		.file = mem_strdup(name),
		.n_bytes = n_bytes,
		.state = "waiting",
		.position = g->n_files };
	g->n_files++;
}

static void release(struct registration *g)
{
	for (int i = 0; i < g->n_files; i++) {
		mem_free((char *)g->files[i].file);
		mem_free((char *)g->files[i].url);
		mem_free((char *)g->files[i].sha256);
	}
	mem_free(g->files);
	cJSON_Delete(g->summary);
	dataset_release(&g->d);
}

/* A name for what lies at URL: the last part of its path, with what could make trouble taken out. */
static char *name_of_url(const char *url, int n)
{
	size_t n_path = strcspn(url, "?#");
	const char *start = url + n_path;
	char *name, *p;

	while (start > url && start[-1] != '/')
		start--;
	name = mem_strndup(start, TD_MIN((size_t)(url + n_path - start), DATASET_FILE_MOST));
	for (p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			*p = '_';
	if (!dataset_file_check(name, NULL))
		return name;
	mem_free(name);
	return mem_printf("file-%d", n + 1);
}

static void check_url(const char *url, const char *pointer, struct faults *f)
{
	size_t scheme = !strncasecmp(url, "https://", 8) ? 8 : !strncasecmp(url, "http://", 7) ? 7 : 0;
	const char *host = url + scheme;
	size_t n_host = strcspn(host, "/?#");

	if (!scheme || !n_host || strlen(url) > URL_MOST)
		faults_add(f, pointer,
			"\"%.200s\" is not an address; expected http://HOST/PATH or https://HOST/PATH, at most "
			"%d bytes",
			url, URL_MOST);
	else if (memchr(host, '@', n_host))
		faults_add(f, pointer,
			"this address holds a name or password, which everybody could read here; "
			"use one without");
	for (const char *p = url; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f) {
			faults_add(f, pointer, "the address holds a space or a control character; write it as %%20");
			break;
		}
}

static void check_sha256(const char *text, const char *pointer, struct faults *f)
{
	if (*text && (strlen(text) != SHA256_TEXT - 1 || strspn(text, "0123456789abcdefABCDEF") != SHA256_TEXT - 1))
		faults_add(f, pointer, "\"%.80s\" is no SHA-256; expected 64 hexadecimal digits", text);
}

static char *lower(const char *text)
{
	char *copy = mem_strdup(text);

	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

/* One file of "files", or the body itself with its "url". */
static void read_file(struct registration *g, const cJSON *item, const char *pointer, struct faults *f)
{
	const char *url = json_string(item, "url", ""), *name = *pointer ? json_string(item, "name", NULL) : NULL;
	const char *sha256 = json_string(item, "sha256", "");
	char *at = mem_printf("%s/url", pointer), *given = name ? mem_strdup(name) : name_of_url(url, g->n_files);
	struct err e = { 0 };

	check_url(url, at, f);
	mem_free(at);
	at = mem_printf("%s/sha256", pointer);
	check_sha256(sha256, at, f);
	mem_free(at);
	at = mem_printf("%s/name", pointer);
	if (dataset_file_check(given, &e))
		faults_add(f, at, "%s", e.text);
	for (int i = 0; i < g->n_files; i++)
		if (!strcmp(g->files[i].file, given))
			faults_add(f, at, "two files are called \"%s\"; give one of them another \"name\"", given);
	mem_free(at);
	add_file(g, given, -1);
	g->files[g->n_files - 1].url = mem_strdup(url);
	g->files[g->n_files - 1].sha256 = lower(sha256);
	mem_free(given);
}

static void read_files(struct registration *g, const cJSON *body, struct faults *f)
{
	const cJSON *list = json_get(body, "files"), *item;
	char pointer[32];
	int i = 0;

	g->d.source = mem_strdup("url");
	g->d.state = DATA_FETCHING;
	if (json_get(body, "url")) {
		read_file(g, body, "", f);
		return;
	}
	cJSON_ArrayForEach(item, list)
	{
		snprintf(pointer, sizeof pointer, "/files/%d", i++);
		read_file(g, item, pointer, f);
	}
}

static void read_folder(struct registration *g, const char *folder, struct faults *f)
{
	struct err e = { 0 };
	char *path;

	g->d.source = mem_strdup("folder");
	g->d.state = DATA_PREPARING;
	g->d.folder = mem_strdup(folder);
	if (dataset_root_folder(g->config, folder, &path, &e) || dataset_list_folder(g->config, path, add_file, g, &e))
		faults_add(f, "/folder", "%s", e.text);
	mem_free(path);
}

static void read_source(struct registration *g, const cJSON *body, struct faults *f)
{
	static const char *const sources[] = { "url", "files", "folder" };
	const char *given = NULL;

	for (size_t i = 0; i < TD_COUNT(sources); i++) {
		char pointer[16];

		if (!json_get(body, sources[i]))
			continue;
		snprintf(pointer, sizeof pointer, "/%s", sources[i]);
		if (given)
			faults_add(f, pointer, "\"%s\" is given too; a dataset has one source", given);
		else if (known_dataset(g->d.name))
			faults_add(f, pointer,
				"\"%s\" is known by name, with its address; leave this out, or choose another "
				"name",
				g->d.name);
		given = sources[i];
	}
	if (f->n_found)
		return;
	if (!given) {
		g->d.source = mem_strdup(known_dataset(g->d.name) ? "known" : "upload");
		g->d.state = DATA_UPLOADING;
	} else if (!strcmp(given, "folder")) {
		read_folder(g, json_string(body, "folder", ""), f);
	} else {
		read_files(g, body, f);
	}
}

/* All that can be wrong beyond the body's schema; G->d is filled. */
static td_status read_registration(struct registration *g, const struct request *q, struct faults *f, struct err *e)
{
	const cJSON *body = q->json, *format = json_get(body, "format");
	const char *name = json_string(body, "name", "");
	cJSON *rest = cJSON_Duplicate(body, true);

	cJSON_DeleteItemFromObjectCaseSensitive(rest, "name");
	g->d.name = mem_strdup(name);
	g->d.owner = mem_strdup(q->token.owner);
	g->has_format = format != NULL;
	g->d.format = format ? json_print(format) : mem_strdup("{\"type\":\"auto\"}");
	g->d.request = json_print(rest);
	g->d.max_bytes = json_int(body, "max_bytes", q->srv->config->dataset_max_bytes);
	cJSON_Delete(rest);
	if (!dataset_name_safe(name))
		faults_add(f, "/name",
			"\"%.80s\" is no name; expected letters, digits, '-', '_' and '.', a letter or digit "
			"first, at most %d",
			name, DATASET_NAME_MOST);
	if (g->d.max_bytes > q->srv->config->dataset_max_bytes)
		faults_add(f, "/max_bytes", "%lld bytes are more than this server allows, %lld (--dataset-max-bytes)",
			(long long)g->d.max_bytes, (long long)q->srv->config->dataset_max_bytes);
	if (known_dataset(name) && format)
		faults_add(f, "/format", "\"%s\" is known by name, and so is its format; leave this out", name);
	read_source(g, body, f);
	return check_format(body, f, e);
}

/* ---- Registering: the row ---------------------------------------------------------------------------------------- */

static bool same_request(const char *a, const char *b)
{
	cJSON *x = cJSON_Parse(a), *y = cJSON_Parse(b); /* our own columns */
	bool same = cJSON_Compare(x, y, true);

	cJSON_Delete(x);
	cJSON_Delete(y);
	return same;
}

static void count_file(void *arg, const struct dataset_file *f)
{
	(void)f;
	++*(int *)arg;
}

/* The row is there.  Of one that is being uploaded, a registration without a source says that its files are complete.
 */
static td_status register_again(
	struct store_tx *tx, const struct registration *g, const struct dataset *before, struct err *e)
{
	struct dataset_move m = {
		.from = 1u << DATA_UPLOADING, .to = DATA_PREPARING, .format = g->has_format ? g->d.format : NULL
	};
	int n_files = 0;

	if (before->state == DATA_UPLOADING && !strcmp(g->d.source, "upload")) {
		if (!store_dataset_files_read(tx, g->d.name, count_file, &n_files, e) && n_files)
			store_dataset_move(tx, g->d.name, &m, e);
		return e->status;
	}
	if (same_request(before->request, g->d.request))
		return TD_OK;
	return err_set(e, TD_CONFLICT,
		"there is a dataset \"%s\" already, and it was registered with something else; DELETE it first, or "
		"choose another name",
		g->d.name);
}

static td_status register_row(struct store_tx *tx, struct registration *g, struct err *e)
{
	struct err found = { 0 };
	struct dataset before;

	if (!store_dataset_read(tx, g->d.name, &before, &found)) {
		g->once.status = 200;
		register_again(tx, g, &before, e);
		dataset_release(&before);
		return e->status;
	}
	if (found.status != TD_NOT_FOUND)
		return err_copy(e, &found);
	if (!strcmp(g->d.source, "known"))
		return dataset_add_known(tx, g->config, known_dataset(g->d.name), g->d.owner, e);
	return store_dataset_insert(tx, &g->d, g->files, g->n_files, e);
}

static td_status register_act(struct store_tx *tx, struct once *o, cJSON **answer, struct err *e)
{
	struct registration *g = (struct registration *)o;
	cJSON *summary = g->summary;

	if (register_row(tx, g, e))
		return e->status;
	g->summary = NULL;
	return dataset_json_read(tx, g->d.name, summary, o->base, answer, e);
}

td_status datasets_create(struct request *q, struct response *r, struct err *e)
{
	struct registration g = { .once = { .act = register_act, .status = 201, .collection = "datasets" },
		.config = q->srv->config };
	struct dataset before;
	struct faults f;

	faults_init(&f);
	if (read_registration(&g, q, &f, e))
		goto out;
	if (f.n_found) {
		respond_faults(r, q, &f, e);
		goto out;
	}
	if (dataset_own(q, g.d.name, &before, e) && e->status != TD_NOT_FOUND)
		goto out;
	err_clear(e);
	g.summary = dataset_summary(q->srv->config, &before);
	dataset_release(&before);
	api_once(q, r, &g.once, e);
out:
	release(&g);
	faults_release(&f);
	return e->status;
}

/* ---- Changing ---------------------------------------------------------------------------------------------------- */

struct change {
	struct store_cmd cmd; /* first */
	const char *name;
	struct dataset_move move;
	bool unused; /* no job may need it */
};

static td_status run_change(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	const struct change *c = (const struct change *)cmd;

	if (c->unused && store_dataset_unused(tx, c->name, e))
		return e->status;
	return store_dataset_move(tx, c->name, &c->move, e);
}

static td_status change(struct request *q, struct response *r, struct change *c, struct err *e)
{
	c->cmd.run = run_change;
	c->name = q->param[0];
	if (store_write(q->srv->store, &c->cmd))
		return err_copy(e, &c->cmd.err);
	control_wake(q->srv->control, c->cmd.seq);
	return respond_dataset_named(q, r, 200, c->name, e);
}

td_status dataset_cancel(struct request *q, struct response *r, struct err *e)
{
	char detail[200];
	struct change c = { .move = { .from = 1u << DATA_UPLOADING | 1u << DATA_FETCHING | 1u << DATA_PREPARING,
				    .to = DATA_CANCELLED,
				    .detail = detail } };
	struct dataset d;

	snprintf(detail, sizeof detail, "cancelled by %.100s", q->token.owner);
	if (dataset_own(q, q->param[0], &d, e))
		return e->status;
	dataset_release(&d);
	return change(q, r, &c, e);
}

td_status dataset_prepare_again(struct request *q, struct response *r, struct err *e)
{
	const cJSON *format = json_get(q->json, "format");
	char *text = format ? json_print(format) : NULL;
	struct change c = { .unused = true, .move = { .format = text } };
	struct dataset d = { 0 };
	struct faults f;
	int n_files = 0;

	faults_init(&f);
	if (dataset_own(q, q->param[0], &d, e) || check_format(q->json, &f, e) ||
		store_dataset_files(q->reader, d.name, count_file, &n_files, e))
		goto out;
	if (!n_files)
		faults_add(&f, "", "dataset \"%s\" has no files yet; PUT them below %s/files/ first", d.name, q->path);
	if (format && !strcmp(d.source, "known"))
		faults_add(&f, "/format", "\"%s\" is known by name, and so is its format", d.name);
	if (f.n_found) {
		respond_faults(r, q, &f, e);
		goto out;
	}
	/* A download finds the files that it has; what was uploaded or lies in a folder is there. */
	c.move.to = !strcmp(d.source, "url") || !strcmp(d.source, "known") ? DATA_FETCHING : DATA_PREPARING;
	c.move.from = ~(1u << DATA_FETCHING);
	change(q, r, &c, e);
out:
	mem_free(text);
	dataset_release(&d);
	faults_release(&f);
	return e->status;
}

/* ---- Deleting ---------------------------------------------------------------------------------------------------- */

struct removal {
	struct store_cmd cmd; /* first */
	const char *name, *folder, *gone;
};

/* Row and folder go together, so that neither is taken for that of the next dataset of this name. */
static td_status run_removal(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	const struct removal *d = (const struct removal *)cmd;

	if (store_dataset_unused(tx, d->name, e) || store_dataset_delete(tx, d->name, e))
		return e->status;
	return rename(d->folder, d->gone) && errno != ENOENT ? err_errno(e, "moving the dataset's folder away") : TD_OK;
}

td_status dataset_delete(struct request *q, struct response *r, struct err *e)
{
	struct removal d = { .cmd.run = run_removal, .name = q->param[0] };
	char id[ULID_TEXT], *folder, *gone;
	struct err ignored = { 0 };
	struct dataset was;

	if (dataset_own(q, d.name, &was, e))
		return e->status;
	dataset_release(&was);
	ulid_make(id);
	d.folder = folder = dataset_path(q->srv->config, d.name, NULL);
	d.gone = gone = mem_printf("%s/datasets/" DATASET_GONE "%s", q->srv->config->data_dir, id);
	if (store_write(q->srv->store, &d.cmd)) {
		err_copy(e, &d.cmd.err);
	} else {
		control_wake(q->srv->control, d.cmd.seq);
		file_remove_tree(gone, &ignored); /* what a crash leaves of it goes at the next start */
		respond_empty(r, 204);
	}
	mem_free(folder);
	mem_free(gone);
	return e->status;
}
