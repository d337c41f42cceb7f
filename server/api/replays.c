/* Replays: any step of a job, done once more, eagerly, with everything that it computed.
 *
 * A replay is a row that the control loop works off (control_replay.c) and a folder that the process wrote which did it
 * (worker/replay.c).  What follows is the whole of what clients see.
 *
 * POST /jobs/{id}/replay {"step": 120, "steps": 1}: 201 and a Replay, or 200 and the one that there is of this step.
 * One that has failed begins anew.  Steps 1 to the job's progress; a running job's, too.
 *
 * Replay:
 *	{"id", "job", "step": 120, "steps": 1,
 *	 "state": "queued" | "running" | "succeeded" | "failed",
 *	 "automatic": false,            made by itself, because the loss or the gradient norm was not finite
 *	 "detail": "..." | null,        why it failed
 *	 "progress": {"phase": "prepare" | "forward" | "observe" | "verify", "done": 17, "total": 21} | null,
 *	 "created_at", "finished_at" | null,
 *	 "from": {"kind": "checkpoint" | "start", "step": 100} | null,
 *	 "verdict": Verdict | null, "culprit": Culprit | null,
 *	 "links": {"self", "job", "values": ".../replays/120/values/{value}", "samples": ".../replays/120/samples/{i}"}}
 *
 * Verdict: whether eager, graph and what the job recorded agree, bit by bit.
 *	{"identical": true,
 *	 "exact": true,                 false: the job ran on another machine or version, and bits may differ
 *	 "compared": {"tensors": 24, "bytes": 1068036, "recorded_points": 9, "checkpoints": 1, "until_step": 130},
 *	 "differences": [{"step": 120, "what": "parameter" | "buffer" | "optimizer" | "loss" | "grad_norm" | "point" |
 *	                          "checkpoint",
 *	                  "name": "0.weight", "between": ["eager", "graph"] | ["recorded", "replayed"],
 *	                  "values": [0.25, 0.26], "index": 17}]}     the first of each; at most 32
 *	"fingerprint": {"recorded", "here"} stands beside them.
 *
 * Culprit: where a step stopped being finite; null where all was.
 *	{"step": 120, "batch": 0, "what": "loss" | "grad_norm", "node": 41 | null, "value": 77, "name": "",
 *	 "op": "log" | null, "layer": "3", "phase": "forward" | "backward" | "update" | null,
 *	 "kind": "op" | "input" | "parameter",  an op made it of finite inputs; or it came in
 *	 "inputs": [{"value": 76, "name", "shape", "min", "max", "non_finite": 0}],
 *	 "samples": [3, 17] | null,     of the batch, those with non-finite rows; null: it cannot be told
 *	 "text": "log in layer 3 (forward) made 2 of its 640 values not finite, from 0 .. 1"}
 *
 * GET /jobs/{id}/replays: {"items": [Replay]}, newest first.
 *
 * GET /jobs/{id}/replays/{step}: a Replay and, once it has succeeded,
 *	{"done": [{"step": 120, "loss", "grad_norm", "factor": 1,     what the schedule multiplied the rates by
 *	           "batches": [{"n": 64, "first_sample": 0}]}],        several where steps accumulate
 *	 "values_bytes": 1234567, "values_truncated": false,   true: of some values there are statistics only
 *	 "nodes": [Node], "values": [Value], "samples": [Sample]}
 *
 * Node: one op that ran; in the order in which they ran; "id" is its place in the list.
 *	{"id": 41, "step": 120, "batch": 0, "op": "conv2d", "layer": "0",
 *	 "phase": "forward" | "backward" | "update" | "metrics",
 *	 "inputs": [3, 7, null],        values; null: an optional one that was left out
 *	 "outputs": [12]}               values; what it wrote in place is among them as a new value
 *
 * Value: "id" is its place in the list.  Non-finite numbers are "NaN", "Infinity", "-Infinity".
 *	{"id": 12, "step": 120, "batch": 0, "name": "0.weight" | "", "layer": "0",
 *	 "kind": "parameter" | "buffer" | "state" | "input" | "activation" | "gradient" | "update",
 *	 "of": 7 | null,                of a gradient: the value it is the gradient of; of an update: what stood there before
 *	 "gradient": 80 | null,         the other way round
 *	 "dtype": "float32", "shape": [64, 32, 28, 28], "order": "row_major" | "channels_last",
 *	 "min", "max", "mean",          of the finite ones; null: there are none
 *	 "norm": 12.5,                  Euclidean, of the finite ones
 *	 "zeros": 0.52,                 share
 *	 "non_finite": 0,               count
 *	 "histogram": {"low": -1.5, "high": 2.5, "counts": [..]} | null,    at most 64 buckets of equal width
 *	 "producer": 41 | null, "consumers": [42, 77],
 *	 "kept": true, "bytes": 9536}   its elements can be fetched, as an NPY file of so many bytes
 *
 * Sample: one of the batches' samples; "id" is its place in the list.
 *	{"id": 0, "step": 120, "batch": 0, "row": 0, "sample": 51234,    row of the batch; index in the training data
 *	 "label": "Sneaker" | [["Sneaker", 0.7], ..] | {"price": 3} | null, "text": "..." | null,
 *	 "columns": {"rooms": 4},       of a table; else it is left out
 *	 "image": true,                 GET .../samples/0 has it as PNG, as the model saw it
 *	 "loss": 0.71 | null, "prediction": "Sandal" | {"price": 3.1} | null}
 *
 * GET /jobs/{id}/replays/{step}/values/{value}: NPY, row-major; with format=json {"dtype", "shape", "data": [..]},
 * flat, of at most 10,000 elements.
 *
 * GET /jobs/{id}/replays/{step}/samples/{i}: PNG.
 *
 * DELETE /jobs/{id}/replays/{step}: 204; one that is under way is stopped by it.
 *
 * On the event stream: replay {"step", "state", "phase", "done", "total"}. */
#include "api/api.h"
#include "jobfiles.h"
#include "replayfiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT_MOST (512u << 20) /* bytes; as the worker writes it */
#define NUMBERS_MOST  10000        /* elements of a value as JSON */
#define PIECE_BYTES   (1u << 20)   /* of a value, at a time */
#define NUMBER_DIGITS 15           /* of a number in a path */

/* ---- A replay as JSON -------------------------------------------------------------------------------------------- */

static void add_links(cJSON *o, const struct replay_row *row, const char *base)
{
	cJSON *links = cJSON_AddObjectToObject(o, "links");
	char *job = mem_printf("%s" API_BASE "/jobs/%s", base, row->job),
	     *self = mem_printf("%s/replays/%lld", job, (long long)row->step),
	     *values = mem_printf("%s/values/{value}", self), *samples = mem_printf("%s/samples/{i}", self);

	cJSON_AddStringToObject(links, "self", self);
	cJSON_AddStringToObject(links, "job", job);
	cJSON_AddStringToObject(links, "values", values);
	cJSON_AddStringToObject(links, "samples", samples);
	mem_free(job);
	mem_free(self);
	mem_free(values);
	mem_free(samples);
}

static cJSON *progress_json(const struct replay_row *row)
{
	cJSON *o;

	if (!row->phase || !*row->phase)
		return cJSON_CreateNull();
	o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "phase", row->phase);
	cJSON_AddNumberToObject(o, "done", (double)row->done);
	cJSON_AddNumberToObject(o, "total", (double)row->total);
	return o;
}

/* A member of what the worker found, or null. */
static void add_found(cJSON *o, cJSON *found, const char *name)
{
	cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(found, name);

	cJSON_AddItemToObject(o, name, item ? item : cJSON_CreateNull());
}

static cJSON *replay_json(const struct replay_row *row, const char *base)
{
	cJSON *o = cJSON_CreateObject(), *found = row->found ? cJSON_Parse(row->found) : NULL; /* our own column */

	cJSON_AddStringToObject(o, "id", row->id);
	cJSON_AddStringToObject(o, "job", row->job);
	cJSON_AddNumberToObject(o, "step", (double)row->step);
	cJSON_AddNumberToObject(o, "steps", (double)row->steps);
	cJSON_AddStringToObject(o, "state", replay_state_name(row->state));
	cJSON_AddBoolToObject(o, "automatic", row->automatic);
	cJSON_AddItemToObject(o, "detail", row->detail ? cJSON_CreateString(row->detail) : cJSON_CreateNull());
	cJSON_AddItemToObject(o, "progress", progress_json(row));
	api_add_time(o, "created_at", row->created_ms);
	api_add_time(o, "finished_at", row->finished_ms);
	add_found(o, found, "from");
	add_found(o, found, "verdict");
	add_found(o, found, "culprit");
	add_links(o, row, base);
	cJSON_Delete(found);
	return o;
}

/* ---- Asking for one ---------------------------------------------------------------------------------------------- */

/* The last step that can be looked at: the one that stopped the job counts. */
static int64_t last_step(const struct job *j)
{
	cJSON *error = j->error ? cJSON_Parse(j->error) : NULL;
	int64_t last = TD_MAX(j->step, json_int(error, "step", 0));

	cJSON_Delete(error);
	return last;
}

static td_status check_job(struct request *q, const struct job *j, int64_t step, int64_t steps, struct err *e)
{
	cJSON *spec = cJSON_Parse(j->spec); /* our own column */
	int64_t last = last_step(j);
	struct err why = { 0 };

	if (job_external(j))
		err_set(e, TD_CONFLICT, "job %s is external: its steps were not made here", j->id);
	else if (!last)
		err_set(e, TD_CONFLICT, "job %s is %s and has done no step yet", j->id, job_state_name(j->state));
	else if (step + steps - 1 > last)
		err_set(e, TD_CONFLICT, "job %s has done %lld steps so far; step %lld is not among them", j->id,
			(long long)last, (long long)(step + steps - 1));
	else if (control_dataset(q->srv->control, json_string(json_get(spec, "data"), "dataset", ""), &why) !=
		 DATASET_READY)
		err_set(e, TD_CONFLICT, "the step needs the data set \"%.64s\", which is not here now%s%s",
			json_string(json_get(spec, "data"), "dataset", ""), why.status ? ": " : "", why.text);
	cJSON_Delete(spec);
	return e->status;
}

struct ask {
	struct once once; /* first */
	struct replay_row row;
};

static td_status ask_act(struct store_tx *tx, struct once *o, cJSON **answer, struct err *e)
{
	struct ask *a = (struct ask *)o;
	struct err none = { 0 };
	struct replay_row there;

	if (store_replay_read(tx, a->row.job, a->row.step, &there, &none)) {
		if (none.status != TD_NOT_FOUND)
			return err_copy(e, &none);
		if (store_replay_insert(tx, &a->row, e))
			return e->status;
		*answer = replay_json(&a->row, o->base);
		return TD_OK;
	}
	if (there.state == REPLAY_FAILED) {
		there.steps = a->row.steps;
		store_replay_again(tx, &there, e);
	} else if (a->row.steps > there.steps) {
		err_set(e, TD_CONFLICT,
			"there is a replay of step %lld with %lld step%s already; DELETE it, or ask for step %lld",
			(long long)there.step, (long long)there.steps, there.steps == 1 ? "" : "s",
			(long long)(there.step + there.steps));
	} else {
		o->status = 200;
	}
	if (!e->status)
		*answer = replay_json(&there, o->base);
	replay_release(&there);
	return e->status;
}

td_status job_replay(struct request *q, struct response *r, struct err *e)
{
	struct ask a = { .once = { .act = ask_act, .status = 201 },
		.row = { .step = json_int(q->json, "step", 0), .steps = json_int(q->json, "steps", 1) } };
	struct job j;

	if (api_job(q, &j, e))
		return e->status;
	snprintf(a.row.job, sizeof a.row.job, "%s", j.id);
	if (!check_job(q, &j, a.row.step, a.row.steps, e))
		api_once(q, r, &a.once, e);
	job_release(&j);
	return e->status;
}

/* ---- Looking at them --------------------------------------------------------------------------------------------- */

struct list {
	cJSON *items;
	const char *base;
};

static void add_replay(void *arg, const struct replay_row *row)
{
	struct list *l = arg;

	cJSON_AddItemToArray(l->items, replay_json(row, l->base));
}

td_status job_replays(struct request *q, struct response *r, struct err *e)
{
	char *base = request_url(q, "");
	struct list l = { .items = cJSON_CreateArray(), .base = base };
	struct job j;

	if (!api_job(q, &j, e)) {
		job_release(&j);
		store_replays(q->reader, q->param[0], add_replay, &l, e);
	}
	if (e->status)
		cJSON_Delete(l.items);
	else
		respond_list(r, l.items, NULL);
	mem_free(base);
	return e->status;
}

/* A number of a path: digits alone, as links have it.  -1: it is none. */
static int64_t number_of(const char *text)
{
	size_t n = strlen(text);

	return n && n <= NUMBER_DIGITS && strspn(text, "0123456789") == n ? strtoll(text, NULL, 10) : -1;
}

/* The row of the path, whose job there is; replay_release when TD_OK. */
static td_status find(struct request *q, struct replay_row *row, struct err *e)
{
	const char *step = q->param[1];
	int64_t n = number_of(step);
	struct job j;

	*row = (struct replay_row){ 0 };
	if (api_job(q, &j, e))
		return e->status;
	job_release(&j);
	if (n < 0)
		return err_set(e, TD_NOT_FOUND, "\"%.40s\" is not the number of a step", step);
	return store_replay_get(q->reader, q->param[0], n, row, e);
}

static char *file_of(const struct request *q, const struct replay_row *row, const char *name)
{
	char *all = job_replays_folder(q->srv->config, row->job), *path = mem_printf("%s/%s/%s", all, row->id, name);

	mem_free(all);
	return path;
}

static td_status read_document(const struct request *q, const struct replay_row *row, struct buf *out, struct err *e)
{
	char *path = file_of(q, row, REPLAY_DOCUMENT);

	buf_init(out, DOCUMENT_MOST);
	if (row->state != REPLAY_SUCCEEDED)
		err_set(e, TD_CONFLICT, "the replay of step %lld is %s%s%s", (long long)row->step,
			replay_state_name(row->state), row->detail ? ": " : "", row->detail ? row->detail : "");
	else
		file_read(path, out, e);
	mem_free(path);
	return e->status;
}

td_status job_replay_get(struct request *q, struct response *r, struct err *e)
{
	struct replay_row row;
	struct buf document;
	char *base, *head;
	cJSON *o;

	if (find(q, &row, e))
		return e->status;
	base = request_url(q, "");
	o = replay_json(&row, base);
	if (row.state != REPLAY_SUCCEEDED) {
		respond_json(r, 200, o);
		o = NULL;
	} else if (!read_document(q, &row, &document, e)) { /* two objects become one, without being read again */
		size_t n;

		head = json_print(o);
		n = strlen(head);
		head[n - 1] = ',';
		head = mem_realloc(head, n + document.len);
		memcpy(head + n, document.data + 1, document.len - 1);
		respond_bytes(r, 200, "application/json", head, n + document.len - 1);
	}
	if (row.state == REPLAY_SUCCEEDED)
		buf_release(&document);
	cJSON_Delete(o);
	mem_free(base);
	replay_release(&row);
	return e->status;
}

struct change {
	struct store_cmd cmd; /* first */
	const struct replay_row *row;
};

static td_status delete_run(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	return store_replay_delete(tx, ((struct change *)cmd)->row, e);
}

td_status job_replay_delete(struct request *q, struct response *r, struct err *e)
{
	struct replay_row row;
	struct change c = { .cmd.run = delete_run, .row = &row };
	struct err ignored = { 0 };
	struct job j;
	char *folder;

	if (api_own_job(q, &j, e))
		return e->status;
	job_release(&j);
	if (find(q, &row, e))
		return e->status;
	if (store_write(q->srv->store, &c.cmd)) {
		err_copy(e, &c.cmd.err);
	} else {
		control_wake(q->srv->control, c.cmd.seq);
		folder = file_of(q, &row, "");
		file_remove_tree(folder, &ignored); /* what is left of it goes at the next start */
		mem_free(folder);
		respond_empty(r, 204);
	}
	replay_release(&row);
	return e->status;
}

/* ---- Values and samples ------------------------------------------------------------------------------------------ */

/* A value as it lies in the file: an NPY file, whose elements are its end. */
struct value {
	int64_t at, n_bytes, n;
	const char *dtype; /* borrowed from the document, like the next one */
	const cJSON *shape;
};

static td_status describe_value(const cJSON *v, struct value *out, struct err *e)
{
	const cJSON *dim;

	*out = (struct value){ .at = json_int(v, "at", -1),
		.n_bytes = json_int(v, "bytes", 0),
		.n = 1,
		.dtype = json_string(v, "dtype", ""),
		.shape = json_get(v, "shape") };
	cJSON_ArrayForEach(dim, out->shape) out->n *= (int64_t)dim->valuedouble;
	if (out->at < 0)
		return err_set(e, TD_CONFLICT,
			"of value %lld there are figures only: the steps were too large to keep all elements",
			(long long)json_int(v, "id", 0));
	return TD_OK;
}

/* One of the document's "values", without parsing the megabytes around it: each stands on a line of its own. */
static td_status read_value(
	const struct request *q, const struct replay_row *row, const char *number, cJSON **v, struct err *e)
{
	struct buf document;
	char *line, key[40];
	int64_t id = number_of(number);

	*v = NULL;
	if (read_document(q, row, &document, e)) {
		buf_release(&document);
		return e->status;
	}
	line = document.data ? strstr(document.data, "\n\"values\":[") : NULL;
	snprintf(key, sizeof key, "\n{\"id\":%lld,", (long long)id);
	line = line && id >= 0 ? strstr(line + 1, key) : NULL;
	if (line) {
		size_t n = strcspn(line + 1, "\n");

		while (n && line[n] != '}')
			n--;
		*v = json_parse(line + 1, n, e);
	}
	buf_release(&document);
	if (!*v && !e->status)
		err_set(e, TD_NOT_FOUND, "the replay of step %lld has no value \"%.40s\"", (long long)row->step,
			number);
	return e->status;
}

struct pieces {
	FILE *f;      /* owned */
	int64_t left; /* bytes */
};

static void pieces_free(void *state)
{
	struct pieces *p = state;

	fclose(p->f);
	mem_free(p);
}

static bool next_piece(void *state, struct store_reader *reader, bool heartbeat, struct buf *out)
{
	struct pieces *p = state;
	char *piece = mem_alloc(PIECE_BYTES);
	size_t n = fread(piece, 1, (size_t)TD_MIN(p->left, (int64_t)PIECE_BYTES), p->f);

	(void)reader;
	(void)heartbeat;
	buf_append(out, piece, n);
	p->left = n ? p->left - (int64_t)n : 0;
	mem_free(piece);
	return p->left > 0;
}

static void respond_npy(struct response *r, const struct value *v, FILE *f)
{
	struct pieces *p = MEM_NEW(struct pieces);

	*p = (struct pieces){ f, v->n_bytes };
	respond_stream(r, "application/x-npy", next_piece, p, pieces_free);
}

/* Element I of BYTES, of the type that DTYPE names. */
static double element(const char *dtype, const char *bytes, int64_t i)
{
	double d;
	float f;
	int32_t i32;
	int64_t i64;

	if (!strcmp(dtype, "float32"))
		return memcpy(&f, bytes + i * 4, 4), f;
	if (!strcmp(dtype, "float64"))
		return memcpy(&d, bytes + i * 8, 8), d;
	if (!strcmp(dtype, "int32"))
		return memcpy(&i32, bytes + i * 4, 4), i32;
	if (!strcmp(dtype, "int64"))
		return memcpy(&i64, bytes + i * 8, 8), (double)i64;
	return (unsigned char)bytes[i];
}

static int64_t size_of(const char *dtype)
{
	return strstr(dtype, "64") ? 8 : strstr(dtype, "32") ? 4 : 1;
}

static td_status respond_numbers(struct response *r, const struct value *v, FILE *f, struct err *e)
{
	char *bytes = mem_alloc((size_t)TD_MAX(v->n_bytes, 1));
	const char *elements = bytes + v->n_bytes - v->n * size_of(v->dtype);
	cJSON *o, *data;

	if (elements < bytes || fread(bytes, (size_t)v->n_bytes, 1, f) != 1) {
		err_set(e, TD_CORRUPT, "the values of this replay end too early");
	} else {
		o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "dtype", v->dtype);
		cJSON_AddItemToObject(o, "shape", cJSON_Duplicate(v->shape, true));
		data = cJSON_AddArrayToObject(o, "data");
		for (int64_t i = 0; i < v->n; i++)
			cJSON_AddItemToArray(data, json_number(element(v->dtype, elements, i)));
		respond_json(r, 200, o);
	}
	mem_free(bytes);
	return e->status;
}

static td_status respond_value(
	struct request *q, struct response *r, const struct replay_row *row, const struct value *v, struct err *e)
{
	const char *format = request_query(q, "format");
	bool json = format && !strcmp(format, "json");
	char *path = file_of(q, row, REPLAY_VALUES);
	FILE *f = NULL;

	if (format && !json && strcmp(format, "npy") != 0)
		err_set(e, TD_INVALID, "the query's format is \"%.40s\"; expected \"npy\" or \"json\"", format);
	else if (json && v->n > NUMBERS_MOST)
		err_set(e, TD_TOO_LARGE, "the value has %lld elements; as JSON there are at most %d, as NPY all",
			(long long)v->n, NUMBERS_MOST);
	else if (!(f = fopen(path, "re")) || fseeko(f, (off_t)v->at, SEEK_SET))
		err_errno(e, "reading %s", path);
	mem_free(path);
	if (!e->status && json)
		respond_numbers(r, v, f, e);
	else if (!e->status)
		respond_npy(r, v, f);
	if (f && (json || e->status))
		fclose(f); /* else the stream's */
	return e->status;
}

td_status job_replay_value(struct request *q, struct response *r, struct err *e)
{
	struct replay_row row;
	struct value v;
	cJSON *found = NULL;

	if (find(q, &row, e))
		return e->status;
	if (!read_value(q, &row, q->param[2], &found, e) && !describe_value(found, &v, e))
		respond_value(q, r, &row, &v, e);
	cJSON_Delete(found);
	replay_release(&row);
	return e->status;
}

td_status job_replay_sample(struct request *q, struct response *r, struct err *e)
{
	char *path, name[40];
	struct replay_row row;
	int64_t i = number_of(q->param[2]);

	if (i < 0 || i > INT32_MAX)
		return err_set(e, TD_NOT_FOUND, "\"%.40s\" is not the number of a sample", q->param[2]);
	if (find(q, &row, e))
		return e->status;
	snprintf(name, sizeof name, REPLAY_SAMPLE, (int)i);
	path = file_of(q, &row, name);
	if (row.state != REPLAY_SUCCEEDED)
		err_set(e, TD_CONFLICT, "the replay of step %lld is %s", (long long)row.step,
			replay_state_name(row.state));
	else if (respond_file(r, q, path, "image/png", NULL, NULL, e)) {
		err_clear(e);
		err_set(e, TD_NOT_FOUND, "the replay of step %lld has no picture of sample %lld", (long long)row.step,
			(long long)i);
	}
	mem_free(path);
	replay_release(&row);
	return e->status;
}
