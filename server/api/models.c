/* Models: weights with a name, uploaded or taken from a job. */
#include "api/api.h"
#include "datasets.h"
#include "weights.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MODEL_BYTES_MOST (64LL << 30)
#define LIMIT_DEFAULT    100
#define LIMIT_MOST       1000
#define MEDIA_TYPE       "application/octet-stream"

/* ---- As JSON ----------------------------------------------------------------------------------------------------- */

/* TENSORS: also what is in it, which may be long. */
static cJSON *model_json(const struct model *m, const char *base, bool tensors)
{
	cJSON *o = cJSON_CreateObject(), *source, *links;
	char *self = mem_printf("%s" API_BASE "/models/%s", base, m->name), *weights = mem_printf("%s/weights", self);

	cJSON_AddStringToObject(o, "name", m->name);
	cJSON_AddNumberToObject(o, "bytes", (double)m->n_bytes);
	cJSON_AddStringToObject(o, "sha256", m->sha256);
	cJSON_AddStringToObject(o, "owner", m->owner);
	api_add_time(o, "created", m->created_ms);
	source = cJSON_AddObjectToObject(o, "source");
	if (m->job) {
		cJSON_AddStringToObject(source, "job", m->job);
		cJSON_AddStringToObject(source, "checkpoint", m->checkpoint ? m->checkpoint : "last");
	} else {
		cJSON_AddBoolToObject(source, "upload", true);
	}
	if (tensors)
		cJSON_AddRawToObject(o, "tensors", m->tensors);
	links = cJSON_AddObjectToObject(o, "links");
	cJSON_AddStringToObject(links, "self", self);
	cJSON_AddStringToObject(links, "weights", weights);
	mem_free(self);
	mem_free(weights);
	return o;
}

struct listing {
	cJSON *items;
	const char *base;
};

static void add_model(void *arg, const struct model *m)
{
	struct listing *l = arg;

	cJSON_AddItemToArray(l->items, model_json(m, l->base, false));
}

td_status models_list(struct request *q, struct response *r, struct err *e)
{
	struct listing l;
	int64_t limit;
	char *base;

	if (request_int(q, "limit", 1, LIMIT_MOST, LIMIT_DEFAULT, &limit, e))
		return e->status;
	base = request_url(q, "");
	l = (struct listing){ .items = cJSON_CreateArray(), .base = base };
	if (store_model_each(q->reader, request_query(q, "after"), (int)limit + 1, add_model, &l, e))
		cJSON_Delete(l.items);
	else
		respond_listed(q, r, l.items, (int)limit, "name");
	mem_free(base);
	return e->status;
}

static void respond_model(struct request *q, struct response *r, int code, const struct model *m)
{
	char *base = request_url(q, "");
	cJSON *o = model_json(m, base, true);

	if (code == 201)
		respond_header(r, "Location", json_string(json_get(o, "links"), "self", ""));
	respond_json(r, code, o);
	mem_free(base);
}

static td_status respond_weights(struct request *q, struct response *r, const struct model *m, struct err *e)
{
	char *path = weights_path(q->srv->config, m->name), *name = mem_printf("%s.safetensors", m->name);

	respond_file(r, q, path, MEDIA_TYPE, m->sha256, name, e);
	mem_free(path);
	mem_free(name);
	return e->status;
}

td_status model_get(struct request *q, struct response *r, struct err *e)
{
	struct model m;

	if (store_model_get(q->reader, q->param[0], &m, e))
		return e->status;
	respond_header(r, "Vary", "Accept");
	if (request_accepts(q, MEDIA_TYPE))
		respond_weights(q, r, &m, e);
	else
		respond_model(q, r, 200, &m);
	model_release(&m);
	return e->status;
}

td_status model_weights(struct request *q, struct response *r, struct err *e)
{
	struct model m;

	if (store_model_get(q->reader, q->param[0], &m, e))
		return e->status;
	respond_weights(q, r, &m, e);
	model_release(&m);
	return e->status;
}

/* ---- Putting one ------------------------------------------------------------------------------------------------- */

struct arrival {
	struct store_cmd cmd; /* first */
	struct model model;   /* its texts are owned */
	struct upload *from;  /* borrowed; the file, whole, under another name */
	char *path;           /* owned; where it goes */
};

/* The file gets its name within the transaction that says so; of what it replaces no job may be in need. */
static td_status run_arrival(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct arrival *a = (struct arrival *)cmd;

	if (store_model_unused(tx, a->model.name, e) || store_model_set(tx, &a->model, e))
		return e->status;
	return upload_keep(a->from, a->path, e);
}

/* TD_OK also when there is none of this name yet. */
static td_status check_owner(struct request *q, const char *name, struct err *e)
{
	struct err found = { 0 };
	struct model m;

	if (!dataset_name_safe(name)) /* the same rule for both */
		return err_set(e, TD_NOT_FOUND,
			"\"%.80s\" is no name; expected letters, digits, '-', '_' and '.', a letter or digit first, at "
			"most %d",
			name, DATASET_NAME_MOST);
	if (store_model_get(q->reader, name, &m, &found))
		return found.status == TD_NOT_FOUND ? TD_OK : err_copy(e, &found);
	api_own(q, "model", name, m.owner, e);
	model_release(&m);
	return e->status;
}

static td_status choose_path(const struct config *config, struct upload *u, struct err *e)
{
	char id[ULID_TEXT], *folder = weights_path(config, NULL);

	if (!file_make_folder(folder, e)) {
		ulid_make(id);
		u->path = mem_printf("%s/" WEIGHTS_UPLOAD "%s", folder, id);
		u->most = MODEL_BYTES_MOST;
	}
	mem_free(folder);
	return e->status;
}

td_status model_open(struct request *q, struct upload *u, struct err *e)
{
	return check_owner(q, q->param[0], e) ? e->status : choose_path(q->srv->config, u, e);
}

/* The file is whole: read what is in it, and make the row. */
static td_status keep_model(struct request *q, struct response *r, struct arrival *a, struct err *e)
{
	struct err found = { 0 };
	cJSON *tensors;

	if (weights_tensors(a->from->path, &tensors, &found)) {
		if (found.status != TD_INVALID)
			return err_copy(e, &found);
		respond_problem(r, q, 422, "weights", "%s", found.text);
		return TD_OK;
	}
	a->cmd.run = run_arrival;
	a->path = weights_path(q->srv->config, q->param[0]);
	a->model.name = mem_strdup(q->param[0]);
	a->model.owner = mem_strdup(q->token.owner);
	a->model.sha256 = mem_strdup(a->from->sha256);
	a->model.n_bytes = a->from->n_bytes;
	a->model.tensors = json_print(tensors);
	cJSON_Delete(tensors);
	if (store_write(q->srv->store, &a->cmd))
		err_copy(e, &a->cmd.err);
	else
		respond_model(q, r, 201, &a->model);
	mem_free(a->path);
	return e->status;
}

static td_status take_from_job(struct request *q, struct response *r, struct arrival *a, struct err *e)
{
	struct upload *u = &q->upload; /* as if it had come in the body: what is not kept goes with the request */
	char *path;

	if (weights_find(q->srv->config, q->reader, q->json, &path, e))
		return e->status;
	if (!choose_path(q->srv->config, u, e) && !file_link(path, u->path, e) &&
		!sha256_of_file(u->path, u->sha256, &u->n_bytes, e)) {
		a->model.job = mem_strdup(json_string(q->json, "job", ""));
		a->model.checkpoint = mem_strdup(json_string(q->json, "checkpoint", "last"));
		keep_model(q, r, a, e);
	}
	mem_free(path);
	return e->status;
}

td_status model_put(struct request *q, struct response *r, struct err *e)
{
	struct arrival a = { .from = &q->upload };

	if (q->upload.path)
		keep_model(q, r, &a, e);
	else if (!check_owner(q, q->param[0], e))
		take_from_job(q, r, &a, e);
	model_release(&a.model);
	return e->status;
}

/* ---- Deleting ---------------------------------------------------------------------------------------------------- */

struct removal {
	struct store_cmd cmd; /* first */
	const char *name, *path;
};

/* Row and file go together, so that neither is taken for that of the next model of this name; a file that is left by a
 * crash goes at the next start. */
static td_status run_removal(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	const struct removal *d = (const struct removal *)cmd;

	if (store_model_unused(tx, d->name, e) || store_model_delete(tx, d->name, e))
		return e->status;
	return unlink(d->path) && errno != ENOENT ? err_errno(e, "removing the model's file") : TD_OK;
}

td_status model_delete(struct request *q, struct response *r, struct err *e)
{
	char *path = weights_path(q->srv->config, q->param[0]);
	struct removal d = { .cmd.run = run_removal, .name = q->param[0], .path = path };

	if (!check_owner(q, d.name, e)) {
		if (store_write(q->srv->store, &d.cmd))
			err_copy(e, &d.cmd.err);
		else
			respond_empty(r, 204);
	}
	mem_free(path);
	return e->status;
}
