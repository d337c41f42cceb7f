/* Replays: any step of a job, done once more, eagerly, with everything that it computed.
 *
 * A replay is a row that the control loop works off (control_replay.c) and a folder that the process wrote which did it
 * (worker/replay.c).  What follows is the whole of what clients see.
 *
 * POST /jobs/{id}/replay {"step": 120, "steps": 1}: 201 and a Replay, or 200 and the one that there is of this step.
 * One that has failed, whose files are gone, or whose verdict is open begins anew.  Steps 1 to the job's progress; a
 * running job's, too.  Of each job eight are kept; the oldest that is over goes, and where eight wait it is a 409.
 *
 * Replay:
 *	{"id", "job", "step": 120, "steps": 1,
 *	 "state": "queued" | "running" | "succeeded" | "failed",
 *	 "automatic": false,            made by itself, because the loss or the gradient norm was not finite; where the job
 *	                                goes on after such steps, of the first of them
 *	 "detail": "..." | null,        why it failed
 *	 "progress": {"phase": "prepare" | "forward" | "observe" | "verify", "done": 17, "total": 21} | null,
 *	 "created_at", "finished_at" | null,
 *	 "from": {"kind": "checkpoint" | "start", "step": 100} | null,
 *	 "verdict": Verdict | null, "culprit": Culprit | null,
 *	 "links": {"self", "job", "values": ".../replays/120/values/{value}", "samples": ".../replays/120/samples/{i}"}}
 *
 * Verdict: whether eager, graph and what the job recorded agree, bit by bit.
 *	{"identical": true,            false: they differ; null: nothing differs, but see "not_compared"
 *	 "exact": true,                 false: the job ran on another machine or version, and bits may differ
 *	 "compared": {"tensors": 24, "bytes": 1068036, "recorded_points": 9, "checkpoints": 1, "until_step": 130},
 *	 "weights": {"compared": true, whether something that the job recorded tells of the weights after the last step:
 *	             "by": "point" | "checkpoint" | "no_update" | null,    a loss, a gradient norm or a validation that
 *	                                came of them, a checkpoint with them, or the step was not finite and changed none;
 *	             "step": 130 | null},                                  of this step
 *	 "not_compared": "..." | null,  what of loss and weights could not be compared with what the job recorded, and why
 *	 "differences": [{"step": 120, "what": "parameter" | "buffer" | "optimizer" | "loss" | "grad_norm" | "point" |
 *	                          "checkpoint",
 *	                  "name": "0.weight", "between": ["eager", "graph"] | ["recorded", "replayed"],
 *	                  "values": [0.25, 0.26], "index": 17}]}     the first of each, null where a point is not there at
 *	                                                             all; at most 32
 *	"fingerprint": {"recorded", "here"} stands beside them.
 *
 * Culprit: where a step stopped being finite; null where all was.
 *	{"step": 120, "batch": 0, "what": "loss" | "grad_norm", "node": 41 | null, "value": 77, "name": "",
 *	 "op": "log" | null, "layer": "3", "phase": "forward" | "backward" | "update" | null,
 *	 "kind": "op" | "input" | "parameter",  an op made it of finite inputs; or it came in
 *	 "inputs": [{"value": 76, "name", "shape", "min", "max", "non_finite": 0}],
 *	 "samples": [3, 17] | null,     of the batch, the first with non-finite rows; null: it cannot be told
 *	 "n_samples": 2,                how many there are, of which "samples" has at most 64
 *	 "text": "log in layer 3 (forward) made 2 of its 640 values not finite, from 0 .. 1"}
 *
 * GET /jobs/{id}/replays: {"items": [Replay]}, newest first.
 *
 * GET /jobs/{id}/replays/{step}: a Replay and, once it has succeeded,
 *	{"done": [{"step": 120, "loss", "grad_norm", "factor": 1,     what the schedule multiplied the rates by
 *	           "batches": [{"n": 64, "first_sample": 0}]}],        several where steps accumulate
 *	 "values_bytes": 1234567, "values_truncated": false,   true: of some values there are statistics only,
 *	                                                            or ops after the first 20,000 were left out
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
#include "api/replays.h"
#include "jobfiles.h"
#include "replayfiles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUMBER_DIGITS 15         /* of a number in a path */
#define PIECE_BYTES   (1u << 20) /* of a file, at a time */

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

/* ---- Its files --------------------------------------------------------------------------------------------------- */

char *replay_file(const struct request *q, const struct replay_row *row, const char *name)
{
	char *all = job_replays_folder(q->srv->config, row->job), *path = mem_printf("%s/%s/%s", all, row->id, name);

	mem_free(all);
	return path;
}

static bool has_document(const struct request *q, const struct replay_row *row)
{
	char *path = replay_file(q, row, REPLAY_DOCUMENT);
	bool there = !access(path, R_OK);

	mem_free(path);
	return there;
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

/* Its verdict waits for what the job had not recorded yet. */
static bool is_undecided(const struct replay_row *row)
{
	cJSON *found = row->found ? cJSON_Parse(row->found) : NULL; /* our own column */
	bool undecided = cJSON_IsNull(json_at(found, "/verdict/identical"));

	cJSON_Delete(found);
	return undecided;
}

/* Whether it begins anew when it is asked for again. */
static bool is_open(const struct request *q, const struct replay_row *row)
{
	return row->state == REPLAY_FAILED ||
	       (row->state == REPLAY_SUCCEEDED && (!has_document(q, row) || is_undecided(row)));
}

struct ask {
	struct once once; /* first */
	const struct request *request;
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
		if (store_replay_room(tx, a->row.job, e) || store_replay_insert(tx, &a->row, e))
			return e->status;
		*answer = replay_json(&a->row, o->base);
		return TD_OK;
	}
	if (is_open(a->request, &there)) {
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
		.request = q,
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

int64_t replay_number(const char *text)
{
	size_t n = strlen(text);

	return n && n <= NUMBER_DIGITS && strspn(text, "0123456789") == n ? strtoll(text, NULL, 10) : -1;
}

td_status replay_find(struct request *q, struct replay_row *row, struct err *e)
{
	const char *step = q->param[1];
	int64_t n = replay_number(step);
	struct job j;

	*row = (struct replay_row){ 0 };
	if (api_job(q, &j, e))
		return e->status;
	job_release(&j);
	if (n < 1)
		return err_set(e, TD_NOT_FOUND, "\"%.40s\" is not the number of a step; the first is 1", step);
	return store_replay_get(q->reader, q->param[0], n, row, e);
}

FILE *replay_open(const struct request *q, const struct replay_row *row, const char *name, struct err *e)
{
	char *path = replay_file(q, row, name);
	FILE *f = NULL;

	if (row->state != REPLAY_SUCCEEDED)
		err_set(e, TD_CONFLICT, "the replay of step %lld is %s%s%s", (long long)row->step,
			replay_state_name(row->state), row->detail ? ": " : "", row->detail ? row->detail : "");
	else if (!(f = fopen(path, "re")) && errno == ENOENT)
		err_set(e, TD_NOT_FOUND,
			"the files of the replay of step %lld are gone; POST /api/v1/jobs/%s/replay {\"step\": %lld} "
			"makes them anew",
			(long long)row->step, row->job, (long long)row->step);
	else if (!f)
		err_errno(e, "reading %s", path);
	mem_free(path);
	return f;
}

struct part {
	char *head; /* owned; before what the file has */
	size_t n_head;
	FILE *f;          /* owned; stands where it goes on */
	int64_t at, left; /* bytes; AT: of both together */
};

static void part_free(void *state)
{
	struct part *p = state;

	fclose(p->f);
	mem_free(p->head);
	mem_free(p);
}

static bool next_piece(void *state, struct store_reader *reader, bool heartbeat, struct buf *out)
{
	struct part *p = state;
	size_t most = (size_t)TD_MIN(p->left, (int64_t)PIECE_BYTES), n;

	(void)reader;
	(void)heartbeat;
	if (p->at < (int64_t)p->n_head) {
		n = TD_MIN(most, p->n_head - (size_t)p->at);
		buf_append(out, p->head + p->at, n);
	} else {
		char *piece = mem_alloc(PIECE_BYTES);

		n = fread(piece, 1, most, p->f);
		buf_append(out, piece, n);
		mem_free(piece);
	}
	p->at += (int64_t)n;
	p->left = n ? p->left - (int64_t)n : 0;
	return p->left > 0;
}

td_status replay_send(const struct request *q, struct response *r, const char *media_type, char *head, FILE *f,
	int64_t from, int64_t n, struct err *e)
{
	struct part *p = MEM_NEW(struct part);
	int64_t n_head = head ? (int64_t)strlen(head) : 0;
	struct err refused = { 0 };

	*p = (struct part){ .head = head, .n_head = (size_t)n_head, .f = f };
	if (respond_range(r, q, n_head + n, &p->at, &p->left, &refused)) {
		part_free(p);
		return TD_OK; /* the response says why */
	}
	if (fseeko(f, (off_t)(from + TD_MAX(p->at - n_head, 0)), SEEK_SET)) {
		part_free(p);
		return err_errno(e, "reading a replay");
	}
	respond_stream(r, media_type, next_piece, p, part_free);
	return TD_OK;
}

/* The row's object and the document become one, without being read again. */
static td_status respond_whole(
	struct request *q, struct response *r, const struct replay_row *row, cJSON *o, struct err *e)
{
	FILE *f = replay_open(q, row, REPLAY_DOCUMENT, e);
	int64_t n = f && !fseeko(f, 0, SEEK_END) ? ftello(f) : 0;
	char *head;

	if (!f)
		return e->status;
	head = json_print(o);
	head[strlen(head) - 1] = ',';
	return replay_send(q, r, "application/json", head, f, 1, n - 1, e);
}

td_status job_replay_get(struct request *q, struct response *r, struct err *e)
{
	struct replay_row row;
	char *base;
	cJSON *o;

	if (replay_find(q, &row, e))
		return e->status;
	base = request_url(q, "");
	o = replay_json(&row, base);
	if (row.state == REPLAY_SUCCEEDED) {
		respond_whole(q, r, &row, o, e);
		cJSON_Delete(o);
	} else {
		respond_json(r, 200, o);
	}
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
	if (replay_find(q, &row, e))
		return e->status;
	if (store_write(q->srv->store, &c.cmd)) {
		err_copy(e, &c.cmd.err);
	} else {
		control_wake(q->srv->control, c.cmd.seq);
		folder = replay_file(q, &row, "");
		file_remove_tree(folder, &ignored); /* what is left of it goes at the next start */
		mem_free(folder);
		respond_empty(r, 204);
	}
	replay_release(&row);
	return e->status;
}
