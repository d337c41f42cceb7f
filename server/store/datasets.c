/* Datasets and their files.
 *
 * A row says how far a dataset has come; the control loop looks at rows and does what is missing.  So every change of a
 * state is compared and set here, inside the writer's transaction, and what a loop did for a row that has changed
 * meanwhile comes to nothing. */
#include "store/internal.h"

#include <string.h>

static const char *const states[DATA_N_STATES] = {
	[DATA_UPLOADING] = "uploading",
	[DATA_FETCHING] = "fetching",
	[DATA_PREPARING] = "preparing",
	[DATA_READY] = "ready",
	[DATA_FAILED] = "failed",
	[DATA_CANCELLED] = "cancelled",
};

const char *data_state_name(enum data_state s)
{
	TD_ASSERT((size_t)s < DATA_N_STATES);
	return states[s];
}

void dataset_release(struct dataset *d)
{
	char *texts[] = { d->name, d->source, d->folder, d->format, d->request, d->owner, d->detail, d->pointer,
		d->phase, d->file, d->pack, d->info };

	for (size_t i = 0; i < TD_COUNT(texts); i++)
		mem_free(texts[i]);
	*d = (struct dataset){ 0 };
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

#define DATASET_COLUMNS                                                                                                \
	"name, state, source, folder, format, request, owner, max_bytes, detail, pointer, phase, done, total, file, "  \
	"pack, pack_bytes, info, created_ms, updated_ms"

static void take_dataset(struct query *q, struct dataset *d)
{
	const char *state = query_get_text(q, 1);

	*d = (struct dataset){ .state = DATA_N_STATES };
	for (int s = 0; s < DATA_N_STATES; s++)
		if (!strcmp(state, states[s]))
			d->state = (enum data_state)s;
	if (d->state == DATA_N_STATES) {
		d->state = DATA_FAILED; /* may do nothing */
		q->status = err_set(q->e, TD_CORRUPT, "a dataset is \"%.40s\", a state that there is not", state);
	}
	d->name = query_take_text(q, 0);
	d->source = query_take_text(q, 2);
	d->folder = query_take_text(q, 3);
	d->format = query_take_text(q, 4);
	d->request = query_take_text(q, 5);
	d->owner = query_take_text(q, 6);
	d->max_bytes = query_get_int(q, 7);
	d->detail = query_take_text(q, 8);
	d->pointer = query_take_text(q, 9);
	d->phase = query_take_text(q, 10);
	d->done = query_get_int(q, 11);
	d->total = query_get_int(q, 12);
	d->file = query_take_text(q, 13);
	d->pack = query_take_text(q, 14);
	d->pack_bytes = query_get_int(q, 15);
	d->info = query_take_text(q, 16);
	d->created_ms = query_get_int(q, 17);
	d->updated_ms = query_get_int(q, 18);
}

static td_status dataset_missing(const char *name, struct err *e)
{
	return err_set(e, TD_NOT_FOUND, "there is no dataset \"%.64s\"; GET /api/v1/datasets lists them", name);
}

static td_status read_one(struct db *db, const char *name, struct dataset *out, struct err *e)
{
	struct query q;
	bool found;

	*out = (struct dataset){ 0 };
	query_begin(&q, db, e, "SELECT " DATASET_COLUMNS " FROM datasets WHERE name = ?");
	query_text(&q, name);
	found = query_row(&q);
	if (found)
		take_dataset(&q, out);
	if (query_end(&q) == TD_OK && !found)
		return dataset_missing(name, e);
	if (q.status != TD_OK)
		dataset_release(out);
	return q.status;
}

td_status store_dataset_get(struct store_reader *r, const char *name, struct dataset *out, struct err *e)
{
	return read_one(&r->db, name, out, e);
}

td_status store_dataset_read(struct store_tx *tx, const char *name, struct dataset *out, struct err *e)
{
	return read_one(tx->db, name, out, e);
}

td_status store_dataset_each(struct store_reader *r, bool active, const char *after, int n,
	void (*each)(void *arg, const struct dataset *d), void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT " DATASET_COLUMNS
		" FROM datasets WHERE (NOT ?1 OR state IN ('fetching', 'preparing')) AND (?2 IS NULL OR name > ?2) "
		"ORDER BY name LIMIT ?3");
	query_int(&q, active);
	query_text(&q, after);
	query_int(&q, n);
	while (query_row(&q)) {
		struct dataset d;

		take_dataset(&q, &d);
		if (q.status == TD_OK)
			each(arg, &d);
		dataset_release(&d);
	}
	return query_end(&q);
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

/* Tell of the row as it now is. */
static td_status tell(struct store_tx *tx, const char *name, struct err *e)
{
	cJSON *data = cJSON_CreateObject(), *progress;
	struct dataset d;
	struct query q;

	if (read_one(tx->db, name, &d, e)) {
		cJSON_Delete(data);
		return e->status;
	}
	cJSON_AddStringToObject(data, "name", name);
	cJSON_AddStringToObject(data, "state", data_state_name(d.state));
	if (*d.phase) {
		progress = cJSON_AddObjectToObject(data, "progress");
		cJSON_AddStringToObject(progress, "phase", d.phase);
		cJSON_AddNumberToObject(progress, "done", (double)d.done);
		cJSON_AddNumberToObject(progress, "total", (double)d.total);
		cJSON_AddStringToObject(progress, "file", d.file);
	} else {
		cJSON_AddNullToObject(data, "progress");
	}
	if (d.detail)
		cJSON_AddStringToObject(data, "detail", d.detail);
	dataset_release(&d);
	if (tx_event_other(tx, "dataset", data, e))
		return e->status;
	query_begin(&q, tx->db, e, "UPDATE datasets SET seq = ? WHERE name = ?");
	query_int(&q, tx->seq);
	query_text(&q, name);
	return query_run(&q);
}

static td_status set_file(struct store_tx *tx, const struct dataset_file *f, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"INSERT INTO dataset_files (dataset, file, url, sha256, n_bytes, n_fetched, state, detail, etag, "
		"position) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, iif(?10 >= 0, ?10, "
		"(SELECT coalesce(max(position), -1) + 1 FROM dataset_files WHERE dataset = ?1))) "
		"ON CONFLICT (dataset, file) DO UPDATE SET url = excluded.url, sha256 = excluded.sha256, "
		"n_bytes = excluded.n_bytes, n_fetched = excluded.n_fetched, state = excluded.state, "
		"detail = excluded.detail, etag = excluded.etag, position = iif(?10 >= 0, ?10, position)");
	query_text(&q, f->dataset);
	query_text(&q, f->file);
	query_text(&q, f->url ? f->url : "");
	query_text(&q, f->sha256 ? f->sha256 : "");
	query_int(&q, f->n_bytes);
	query_int(&q, f->n_fetched);
	query_text(&q, f->state);
	query_text(&q, f->detail ? f->detail : "");
	query_text(&q, f->etag ? f->etag : "");
	query_int(&q, f->position);
	return query_run(&q);
}

td_status store_dataset_insert(
	struct store_tx *tx, struct dataset *d, const struct dataset_file *files, int n_files, struct err *e)
{
	struct query q;

	d->created_ms = d->updated_ms = tx->now_ms;
	query_begin(&q, tx->db, e,
		"INSERT INTO datasets (name, seq, state, source, folder, format, request, owner, max_bytes, "
		"created_ms, updated_ms) VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING");
	query_text(&q, d->name);
	query_text(&q, data_state_name(d->state));
	query_text(&q, d->source);
	query_text(&q, d->folder);
	query_text(&q, d->format);
	query_text(&q, d->request);
	query_text(&q, d->owner);
	query_int(&q, d->max_bytes);
	query_int(&q, d->created_ms);
	query_int(&q, d->updated_ms);
	if (query_run(&q) == TD_OK && !query_changes(&q))
		return err_set(e, TD_CONFLICT, "there is a dataset \"%.64s\" already", d->name);
	if (q.status != TD_OK)
		return q.status;

	/* Rows of an earlier version, which kept files without a dataset, must not add to ours. */
	query_begin(&q, tx->db, e, "DELETE FROM dataset_files WHERE dataset = ?");
	query_text(&q, d->name);
	query_run(&q);
	for (int i = 0; i < n_files && q.status == TD_OK; i++)
		q.status = set_file(tx, &files[i], e);
	return q.status == TD_OK ? tell(tx, d->name, e) : q.status;
}

static td_status refuse_move(const struct dataset *d, const struct dataset_move *m, struct err *e)
{
	TD_ASSERT(d->format); /* NOT NULL */
	bool other = (m->created_ms && m->created_ms != d->created_ms) ||
		     (m->format_was && strcmp(m->format_was, d->format) != 0);

	if (other)
		return err_set(e, TD_CONFLICT, "dataset \"%.64s\" has been registered anew meanwhile", d->name);
	if (!(m->from & 1u << d->state))
		return err_set(e, TD_CONFLICT, "dataset \"%.64s\" is %s, and so cannot become %s", d->name,
			data_state_name(d->state), data_state_name(m->to));
	return TD_OK;
}

static td_status files_are_there(struct store_tx *tx, const char *name, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"UPDATE dataset_files SET state = 'ready', detail = '', n_fetched = max(n_bytes, 0) WHERE dataset = ?");
	query_text(&q, name);
	return query_run(&q);
}

td_status store_dataset_move(struct store_tx *tx, const char *name, const struct dataset_move *m, struct err *e)
{
	struct dataset d;
	struct query q;

	if (read_one(tx->db, name, &d, e))
		return e->status;
	if (refuse_move(&d, m, e)) {
		dataset_release(&d);
		return e->status;
	}
	dataset_release(&d);
	query_begin(&q, tx->db, e,
		"UPDATE datasets SET state = ?, format = coalesce(?, format), detail = ?, pointer = ?, phase = '', "
		"done = 0, total = 0, file = '', pack = ?, pack_bytes = ?, info = ?, updated_ms = ? WHERE name = ?");
	query_text(&q, data_state_name(m->to));
	query_text(&q, m->format);
	query_text(&q, m->detail);
	query_text(&q, m->pointer);
	query_text(&q, m->pack);
	query_int(&q, m->pack_bytes);
	query_text(&q, m->info);
	query_int(&q, tx->now_ms);
	query_text(&q, name);
	query_run(&q);
	if (q.status == TD_OK && (m->to == DATA_PREPARING || m->to == DATA_READY))
		q.status = files_are_there(tx, name, e);
	return q.status == TD_OK ? tell(tx, name, e) : q.status;
}

td_status store_dataset_progress(struct store_tx *tx, const char *name, int64_t created_ms, const char *phase,
	int64_t done, int64_t total, const char *file, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"UPDATE datasets SET phase = ?1, done = ?2, total = ?3, file = ?4, updated_ms = ?5 "
		"WHERE name = ?6 AND created_ms = ?7 AND state = ?1");
	query_text(&q, phase);
	query_int(&q, done);
	query_int(&q, total);
	query_text(&q, file ? file : "");
	query_int(&q, tx->now_ms);
	query_text(&q, name);
	query_int(&q, created_ms);
	if (query_run(&q) != TD_OK || !query_changes(&q))
		return q.status;
	return tell(tx, name, e);
}

td_status store_dataset_delete(struct store_tx *tx, const char *name, struct err *e)
{
	cJSON *data = cJSON_CreateObject();
	struct query q;

	cJSON_AddStringToObject(data, "name", name);
	cJSON_AddStringToObject(data, "state", "deleted");
	query_begin(&q, tx->db, e, "DELETE FROM dataset_files WHERE dataset = ?");
	query_text(&q, name);
	if (query_run(&q) == TD_OK) {
		query_begin(&q, tx->db, e, "DELETE FROM datasets WHERE name = ?");
		query_text(&q, name);
		if (query_run(&q) == TD_OK && !query_changes(&q))
			q.status = dataset_missing(name, e);
	}
	if (q.status == TD_OK)
		return tx_event_other(tx, "dataset", data, e);
	cJSON_Delete(data);
	return q.status;
}

td_status store_dataset_unused(struct store_tx *tx, const char *name, struct err *e)
{
	return tx_spec_unused(tx, "$.data.dataset", name, "dataset", e);
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

td_status store_dataset_file_set(struct store_tx *tx, const struct dataset_file *f, struct err *e)
{
	int64_t sum = 0, most = INT64_MAX;
	struct query q;

	if (set_file(tx, f, e))
		return e->status;
	query_begin(&q, tx->db, e,
		"SELECT sum(max(n_bytes, n_fetched)), (SELECT max_bytes FROM datasets WHERE name = ?1) "
		"FROM dataset_files WHERE dataset = ?1");
	query_text(&q, f->dataset);
	if (query_row(&q)) {
		sum = query_get_int(&q, 0);
		most = query_get_int(&q, 1);
	}
	if (query_end(&q) == TD_OK && most && sum > most)
		return err_set(e, TD_TOO_LARGE,
			"with \"%.80s\" the files of dataset \"%.64s\" have %lld bytes, more than its max_bytes, %lld",
			f->file, f->dataset, (long long)sum, (long long)most);
	return q.status;
}

static td_status read_files(struct db *db, const char *dataset, void (*each)(void *arg, const struct dataset_file *f),
	void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, db, e,
		"SELECT dataset, file, url, sha256, n_bytes, n_fetched, state, detail, etag, position FROM "
		"dataset_files WHERE dataset = ? ORDER BY position, file");
	query_text(&q, dataset);
	while (query_row(&q)) {
		struct dataset_file f = { .dataset = query_get_text(&q, 0),
			.file = query_get_text(&q, 1),
			.url = query_get_text(&q, 2),
			.sha256 = query_get_text(&q, 3),
			.n_bytes = query_get_int(&q, 4),
			.n_fetched = query_get_int(&q, 5),
			.state = query_get_text(&q, 6),
			.detail = query_get_text(&q, 7),
			.etag = query_get_text(&q, 8),
			.position = (int)query_get_int(&q, 9) };

		each(arg, &f);
	}
	return query_end(&q);
}

td_status store_dataset_files(struct store_reader *r, const char *dataset,
	void (*each)(void *arg, const struct dataset_file *f), void *arg, struct err *e)
{
	return read_files(&r->db, dataset, each, arg, e);
}

td_status store_dataset_files_read(struct store_tx *tx, const char *dataset,
	void (*each)(void *arg, const struct dataset_file *f), void *arg, struct err *e)
{
	return read_files(tx->db, dataset, each, arg, e);
}
