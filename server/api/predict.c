/* What a trained model says of inputs.
 *
 * The daemon reads nothing of them: the body goes to a file as it comes, the predictor process reads that, the weights
 * and what was fitted to the training data, and answers; meanwhile the request is parked. */
#include "api/api.h"
#include "jobfiles.h"
#include "weights.h"

#include <stdio.h>
#include <string.h>

#define TOP_DEFAULT  5
#define TOP_MOST     1000
#define MEMORY_LEAST (1LL << 30) /* bytes for the predictor, however small the job was */
#define INPUT_MOST   (32 << 20)  /* bytes: a picture of a good camera, or a few thousand small ones */
#define SNIFF_BYTES  256
#define LINES_MOST   (1 << 20) /* bytes of JSON in which faults get lines and columns */

/* ---- What is asked ----------------------------------------------------------------------------------------------- */

/* By its first bytes: curl says "form" of whatever it sends. */
static const char *sniff(const char *bytes, size_t n)
{
	static const struct {
		const char *magic;
		size_t n;
		const char *type;
	} kinds[] = {
		{ "\x93NUMPY", 6, "application/x-npy" },
		{ "\x89PNG", 4, "image/png" },
		{ "\xff\xd8\xff", 3, "image/jpeg" },
	};
	const char *p = bytes + strspn(bytes, " \t\r\n");

	for (size_t i = 0; i < TD_COUNT(kinds); i++)
		if (n >= kinds[i].n && !memcmp(bytes, kinds[i].magic, kinds[i].n))
			return kinds[i].type;
	return *p == '{' || *p == '[' ? "application/json" : NULL;
}

/* The body's media type; NULL: it is refused. */
static const char *media_type(struct request *q, struct response *r, struct err *e)
{
	const char *given = request_header(q, "Content-Type"), *type;
	char bytes[SNIFF_BYTES + 1] = "";
	FILE *f;
	size_t n;

	if (!q->upload.n_bytes) {
		err_set(e, TD_INVALID,
			"the body is empty; expected {\"inputs\": [...]}, or a file: NPY, PNG or JPEG (curl "
			"--data-binary @FILE)");
		return NULL;
	}
	f = fopen(q->upload.path, "re");
	if (!f) {
		err_errno(e, "reading the input");
		return NULL;
	}
	n = fread(bytes, 1, SNIFF_BYTES, f);
	fclose(f);
	type = sniff(bytes, n);
	if (!type)
		respond_problem(r, q, 415, "media-type",
			"the body (of type \"%.80s\") is neither JSON nor NPY, PNG or JPEG", given ? given : "");
	return type;
}

/* ---- With what --------------------------------------------------------------------------------------------------- */

/* The path of file NAME of J; NULL and TD_OK: it has none. */
static td_status find(struct request *q, const struct job *j, const char *name, char **path, struct err *e)
{
	struct err none = { 0 };
	struct artifact a;

	*path = NULL;
	if (store_artifact_get(q->reader, j->id, name, &a, &none))
		return none.status == TD_NOT_FOUND ? TD_OK : err_copy(e, &none);
	job_file(q->srv->config, j->id, &a, path, e);
	artifact_release(&a);
	return e->status;
}

struct files {
	char *weights, *preprocessing; /* owned */
	const char *checkpoint;        /* "best" | "last": which WEIGHTS are */
};

static td_status find_files(struct request *q, const struct job *j, struct files *f, struct err *e)
{
	const char *wanted = request_query(q, "checkpoint");

	if (wanted && strcmp(wanted, "best") != 0 && strcmp(wanted, "last") != 0)
		return err_set(
			e, TD_INVALID, "the query's checkpoint is \"%.40s\"; expected \"best\" or \"last\"", wanted);
	f->checkpoint = "best";
	if (!wanted || !strcmp(wanted, "best"))
		find(q, j, weights_artifact("best"), &f->weights, e);
	if (!e->status && !f->weights && (!wanted || !strcmp(wanted, "last"))) {
		f->checkpoint = "last";
		find(q, j, weights_artifact("last"), &f->weights, e);
	}
	if (!e->status)
		find(q, j, "preprocessing.json", &f->preprocessing, e);
	if (!e->status && !f->weights && wanted && j->state == JOB_SUCCEEDED)
		return err_set(e, TD_CONFLICT,
			"job %s has no %s weights; with \"train\": {\"keep\": {\"best\": \"val/loss\"}} a job keeps "
			"its best",
			j->id, wanted);
	if (!e->status && f->weights && !f->preprocessing && j->state == JOB_SUCCEEDED)
		return err_set(e, TD_CONFLICT,
			"job %s is from before jobs kept how they prepare their inputs; train it again (POST "
			"/api/v1/jobs/%s/retry), or fork it and train a little longer",
			j->id, j->id);
	if (!e->status && (!f->weights || !f->preprocessing))
		return err_set(e, TD_CONFLICT, "job %s is %s and has no weights to predict with%s", j->id,
			job_state_name(j->state),
			job_state_terminal(j->state) ? "" : " yet; they are there when it has succeeded");
	return e->status;
}

static void files_release(struct files *f)
{
	mem_free(f->weights);
	mem_free(f->preprocessing);
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

static cJSON *question(
	const struct job *j, const struct files *f, const char *input, const char *type, int64_t top, int64_t outputs)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddItemToObject(body, "spec", cJSON_Parse(j->spec)); /* our own column */
	cJSON_AddStringToObject(body, "preprocessing", f->preprocessing);
	cJSON_AddStringToObject(body, "weights", f->weights);
	cJSON_AddStringToObject(body, "input", input);
	cJSON_AddStringToObject(body, "media_type", type);
	cJSON_AddNumberToObject(body, "top", (double)top);
	cJSON_AddBoolToObject(body, "outputs", outputs);
	return body;
}

static void respond_answer(
	struct request *q, struct response *r, cJSON *answer, const char *checkpoint, const char *type, struct err *e)
{
	const cJSON *fault, *faults = json_get(answer, "faults");
	struct err none = { 0 };
	struct faults f;
	struct buf text;

	if (!faults || !faults->child) {
		cJSON_DeleteItemFromObjectCaseSensitive(answer, "faults");
		cJSON_DeleteItemFromObjectCaseSensitive(answer, "id");
		cJSON_AddStringToObject(answer, "checkpoint", checkpoint);
		respond_json(r, 200, answer);
		return;
	}
	faults_init(&f);
	buf_init(&text, LINES_MOST);
	cJSON_ArrayForEach(fault, faults)
	{
		faults_add(
			&f, json_string(fault, "pointer", ""), "%s", json_string(fault, "detail", "this does not fit"));
	}
	/* In what is no JSON, or too long for anybody to count its lines, a fault has none. */
	if (!strcmp(type, "application/json") && !file_read(q->upload.path, &text, &none)) {
		q->body = text.data;
		q->n_body = text.len;
	}
	respond_faults(r, q, &f, e);
	q->body = NULL;
	buf_release(&text);
	faults_release(&f);
	cJSON_Delete(answer);
}

static td_status predict(struct request *q, struct response *r, const struct job *j, const struct files *f,
	const char *type, struct err *e)
{
	cJSON *body = NULL, *answer;
	int64_t top, outputs;
	bool parked;

	if (request_int(q, "top", 1, TOP_MOST, TOP_DEFAULT, &top, e) || request_int(q, "outputs", 0, 1, 0, &outputs, e))
		return e->status;
	if (!q->kept)
		body = question(j, f, q->upload.path, type, top, outputs);
	if (api_ask(q, ASK_PREDICT, body, TD_MAX(j->memory_bytes, MEMORY_LEAST), &answer, &parked, e) || parked)
		return e->status;
	respond_answer(q, r, answer, f->checkpoint, type, e);
	return e->status;
}

/* The job must have something to predict with before its input is let in. */
static td_status find_model(struct request *q, struct job *j, struct files *f, struct err *e)
{
	if (api_job(q, j, e))
		return e->status;
	if (job_external(j))
		return err_set(e, TD_CONFLICT, "job %s is external: its weights are not here", j->id);
	return find_files(q, j, f, e);
}

td_status predict_open(struct request *q, struct upload *u, struct err *e)
{
	char *folder = mem_printf("%s/tmp", q->srv->config->data_dir), id[ULID_TEXT];
	struct files f = { 0 };
	struct job j = { 0 };

	if (!find_model(q, &j, &f, e) && !file_make_folder(folder, e)) {
		ulid_make(id);
		u->path = mem_printf("%s/input-%s", folder, id);
		u->most = INPUT_MOST;
	}
	files_release(&f);
	job_release(&j);
	mem_free(folder);
	return e->status;
}

td_status job_predict(struct request *q, struct response *r, struct err *e)
{
	struct files f = { 0 };
	struct job j = { 0 };
	const char *type;

	if (api_still_waits(q))
		return TD_OK;
	if (!find_model(q, &j, &f, e) && (type = media_type(q, r, e)))
		predict(q, r, &j, &f, type, e);
	files_release(&f);
	job_release(&j);
	return e->status;
}
