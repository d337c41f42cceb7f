/* Datasets: files that arrive in the body of a request. */
#include "api/datasetjson.h"

#include <string.h>

struct arrival {
	struct store_cmd cmd; /* first */
	struct request *q;
	const char *path;     /* the file's name once it is whole */
	struct dataset *made; /* the row to be made; NULL: it is there */
};

struct room {
	const char *file; /* which is replaced, and so does not count */
	int64_t used;
	int n;
};

static void count_room(void *arg, const struct dataset_file *f)
{
	struct room *r = arg;

	if (strcmp(f->file, r->file) != 0) {
		r->used += TD_MAX(f->n_bytes, 0);
		r->n++;
	}
}

static td_status check_uploading(const struct dataset *d, struct err *e)
{
	if (strcmp(d->source, "upload") != 0)
		return err_set(e, TD_CONFLICT,
			"dataset \"%s\" was registered with its source (%s); files of others are "
			"uploaded",
			d->name, d->source);
	if (d->state != DATA_UPLOADING && d->state != DATA_FAILED)
		return err_set(e, TD_CONFLICT,
			"dataset \"%s\" is %s, and its files stay as they are: delete it first (DELETE "
			"/api/v1/datasets/%s), or take another name",
			d->name, data_state_name(d->state), d->name);
	return TD_OK;
}

/* Uploading to a name that is free registers it. */
static td_status find_target(struct request *q, struct dataset *d, struct err *e)
{
	struct err found = { 0 };

	if (!dataset_own(q, q->param[0], d, &found))
		return check_uploading(d, e);
	if (found.status != TD_NOT_FOUND || known_dataset(q->param[0]))
		return err_set(e, found.status == TD_NOT_FOUND ? TD_CONFLICT : found.status, "%s",
			found.status == TD_NOT_FOUND ? "this dataset is known by name, and fetched; choose another name"
						     : found.text);
	if (!dataset_name_safe(q->param[0]))
		return err_set(e, TD_NOT_FOUND, "there is no dataset \"%.80s\"", q->param[0]);
	d->name = mem_strdup(q->param[0]);
	d->source = mem_strdup("upload");
	d->state = DATA_UPLOADING;
	d->format = mem_strdup("{\"type\":\"auto\"}");
	d->request = mem_strdup("{}");
	d->owner = mem_strdup(q->token.owner);
	d->max_bytes = q->srv->config->dataset_max_bytes;
	return TD_OK;
}

td_status dataset_file_open(struct request *q, struct upload *u, struct err *e)
{
	struct room room = { .file = q->param[1] };
	char id[ULID_TEXT], *folder, *name;
	struct dataset d = { 0 };

	if (find_target(q, &d, e) || dataset_file_check(q->param[1], e) ||
		store_dataset_files(q->reader, d.name, count_room, &room, e))
		goto out;
	if (room.n >= DATASET_FILES_MOST) {
		err_set(e, TD_TOO_LARGE,
			"dataset \"%s\" has %d files, the most there may be; pack them into an archive", d.name,
			room.n);
		goto out;
	}
	folder = dataset_path(q->srv->config, d.name, NULL);
	if (!file_make_folder(folder, e)) {
		ulid_make(id);
		name = mem_printf(DATASET_UPLOAD "%s", id);
		u->path = dataset_path(q->srv->config, d.name, name);
		u->most = TD_MAX(d.max_bytes - room.used, 0);
		mem_free(name);
	}
	mem_free(folder);
out:
	dataset_release(&d);
	return e->status;
}

/* Of one that failed, a file is given again: it is being uploaded as before. */
static td_status go_on_uploading(struct store_tx *tx, const struct dataset *d, struct err *e)
{
	struct dataset_move m = { .from = 1u << DATA_FAILED, .to = DATA_UPLOADING, .created_ms = d->created_ms };

	if (check_uploading(d, e) || d->state == DATA_UPLOADING)
		return e->status;
	return store_dataset_move(tx, d->name, &m, e);
}

/* The file gets its name within the transaction that says so: no other change of the dataset comes between. */
static td_status run_arrival(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct arrival *a = (struct arrival *)cmd;
	struct upload *u = &a->q->upload;
	struct dataset_file f = { .dataset = a->q->param[0],
		.file = a->q->param[1],
		.sha256 = u->sha256,
		.n_bytes = u->n_bytes,
		.n_fetched = u->n_bytes,
		.state = "ready",
		.position = -1 };
	struct err found = { 0 };
	struct dataset d;

	if (store_dataset_read(tx, f.dataset, &d, &found) == TD_NOT_FOUND)
		store_dataset_insert(tx, a->made, NULL, 0, e);
	else if (found.status)
		err_copy(e, &found);
	else
		go_on_uploading(tx, &d, e);
	dataset_release(&d);
	if (!e->status && !store_dataset_file_set(tx, &f, e))
		upload_keep(u, a->path, e);
	return e->status;
}

td_status dataset_file_put(struct request *q, struct response *r, struct err *e)
{
	struct dataset d = { 0 };
	struct arrival a = { .cmd.run = run_arrival, .q = q, .made = &d };
	char *path = dataset_path(q->srv->config, q->param[0], q->param[1]);

	a.path = path;
	if (!q->upload.n_bytes)
		respond_problem(
			r, q, 422, "empty", "the body is empty; send the file's bytes: curl -T FILE %s", q->path);
	else if (!find_target(q, &d, e) && store_write(q->srv->store, &a.cmd))
		err_copy(e, &a.cmd.err);
	else if (!e->status)
		respond_dataset_named(q, r, 201, q->param[0], e);
	dataset_release(&d);
	mem_free(path);
	return e->status;
}
