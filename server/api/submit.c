/* New jobs: how their specs are checked and how they are stored, whoever makes them.
 *
 * A submission is checked in the order in which its author would want to hear of it: syntax (router), names and types
 * (schema), data set and weights, shapes (the checker process, meanwhile the request is parked), the machine's budget;
 * then it is stored, and only then does anybody act. */
#include "api/api.h"
#include "sched/jobspec.h"
#include "weights.h"

#include <stdio.h>
#include <string.h>

#define KEY_MOST      255  /* bytes of an Idempotency-Key */
#define PARK_SLACK_MS 2000 /* beyond the question's own deadline, which says more about what went wrong */

td_status api_job(struct request *q, struct job *j, struct err *e)
{
	struct err found = { 0 };

	if (store_job_get(q->reader, q->param[0], j, &found)) {
		if (found.status == TD_NOT_FOUND)
			return err_set(e, TD_NOT_FOUND, "there is no job \"%.60s\"", q->param[0]);
		return err_copy(e, &found);
	}
	return TD_OK;
}

td_status api_own(const struct request *q, const char *what, const char *id, const char *owner, struct err *e)
{
	if (q->token.scope == SCOPE_ADMIN || !strcmp(q->token.owner, owner))
		return TD_OK;
	return err_set(e, TD_FORBIDDEN,
		"%s %s belongs to \"%.80s\"; a token with scope \"run\" changes those of its owner, \"%.80s\", only",
		what, id, owner, q->token.owner);
}

td_status api_own_job(struct request *q, struct job *j, struct err *e)
{
	if (api_job(q, j, e))
		return e->status;
	if (api_own(q, "job", j->id, j->owner, e))
		job_release(j);
	return e->status;
}

/* ---- Asking while parked ----------------------------------------------------------------------------------------- */

static void release_question(struct server *srv, void *kept)
{
	control_forget(srv->control, kept);
}

static int park_ms(enum question_kind kind)
{
	return PARK_SLACK_MS + (kind == ASK_CHECK ? CONTROL_CHECK_MS : CONTROL_PREDICT_MS);
}

bool api_still_waits(struct request *q)
{
	return q->kept && !control_is_answered(q->srv->control, q->kept) && request_park(q, park_ms(ASK_PREDICT));
}

td_status api_ask(struct request *q, enum question_kind kind, cJSON *body, int64_t memory_bytes, cJSON **answer,
	bool *parked, struct err *e)
{
	struct question *k = q->kept;

	*answer = NULL;
	*parked = false;
	if (!k) {
		if (control_ask(q->srv->control, kind, body, memory_bytes, &k, e))
			return e->status;
		q->kept = k;
		q->release_kept = release_question;
	}
	if (control_answered(q->srv->control, k, answer, e))
		return e->status;
	*parked = request_park(q, park_ms(kind));
	return *parked ? TD_OK
		       : err_set(e, TD_UNAVAILABLE,
				 "the server is stopping, or has no room for another request that waits; try again");
}

/* ---- Checking ---------------------------------------------------------------------------------------------------- */

void submission_init(struct submission *s)
{
	*s = (struct submission){ .at = "" };
	faults_init(&s->faults);
}

void submission_release(struct submission *s)
{
	cJSON_Delete(s->spec);
	cJSON_Delete(s->ask);
	cJSON_Delete(s->checked);
	cJSON_Delete(s->warnings);
	job_release(&s->job);
	faults_release(&s->faults);
}

static void fault(struct submission *s, const char *pointer, const char *fmt, ...) TD_PRINTF(3, 4);

/* Where the spec stands in the request's body is the submission's business. */
static void fault(struct submission *s, const char *pointer, const char *fmt, ...)
{
	char *whole = mem_printf("%s%s", s->at, pointer), detail[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof detail, fmt, ap);
	va_end(ap);
	faults_add(&s->faults, whole, "%s", detail);
	mem_free(whole);
}

static enum dataset_state check_dataset(struct request *q, struct submission *s)
{
	const char *name = json_string(json_get(s->spec, "data"), "dataset", "");
	struct err e = { 0 };
	enum dataset_state state = control_dataset(q->srv->control, name, &e);

	if (state == DATASET_UNKNOWN)
		fault(s, "/data/dataset", "%s", *e.text ? e.text : "there is no data set of this name");
	return state;
}

/* The weights to begin with must be there now; that they fit is the worker's to say. */
static void check_init(struct request *q, struct submission *s)
{
	const cJSON *from = json_get(s->spec, "init_from");
	bool model = *json_string(from, "model", "") != '\0', job = *json_string(from, "job", "") != '\0';
	struct err e = { 0 };
	char *path = NULL;

	if ((model || job) && weights_find(q->srv->config, q->reader, from, &path, &e))
		fault(s, model ? "/init_from/model" : "/init_from/job", "%s", e.text);
	mem_free(path);
}

static void check_budget(struct request *q, struct submission *s)
{
	struct control_room room = control_room(q->srv->control);
	const struct job *j = &s->job;
	long long wanted_mb = (long long)(j->memory_bytes >> 20), machine_mb = (long long)(room.memory_bytes >> 20);
	double needed = json_double(s->checked, "bytes", 0);

	if (j->threads > room.threads)
		fault(s, "/resources/threads",
			"%d threads are more than this server has for jobs, %d; ask for at most that", j->threads,
			room.threads);
	if (j->memory_bytes > room.memory_bytes)
		fault(s, "/resources/memory_mb",
			"%lld MB are more than this server has for jobs, %lld MB; ask for at most that", wanted_mb,
			machine_mb);
	else if (needed > (double)j->memory_bytes)
		fault(s, "/resources/memory_mb",
			"a step of this model needs about %.0f MB, but the job may use %lld MB; raise it, or make "
			"data/batch_size smaller",
			needed / (1 << 20), wanted_mb);
}

/* Shapes, as the checker sees them; its answer without the faults stays in S->checked. */
static td_status check_shapes(struct request *q, struct submission *s, bool *parked, struct err *e)
{
	cJSON *body = NULL;
	const cJSON *fault_at;

	if (!q->kept) {
		body = s->ask ? cJSON_Duplicate(s->ask, true) : cJSON_CreateObject();
		cJSON_AddItemToObject(body, "spec", cJSON_Duplicate(s->spec, true));
	}
	if (api_ask(q, ASK_CHECK, body, 0, &s->checked, parked, e) || *parked)
		return e->status;
	cJSON_ArrayForEach(fault_at, json_get(s->checked, "faults"))
	{
		fault(s, json_string(fault_at, "pointer", ""), "%s",
			json_string(fault_at, "detail", "this does not fit"));
	}
	cJSON_DeleteItemFromObjectCaseSensitive(s->checked, "faults");
	cJSON_DeleteItemFromObjectCaseSensitive(s->checked, "id");
	s->warnings = cJSON_DetachItemFromObjectCaseSensitive(s->checked, "warnings");
	return TD_OK;
}

td_status submission_check(struct request *q, struct submission *s, bool *parked, struct err *e)
{
	enum dataset_state data;

	*parked = false;
	if (s->faults.n_found)
		return TD_OK;
	s->config = q->srv->config;
	job_from_spec(&s->job, s->spec, q->token.owner);
	if (job_external(&s->job))
		return TD_OK;
	data = check_dataset(q, s);
	check_init(q, s);
	if (data == DATASET_FETCHING || data == DATASET_FAILED) /* what failed is tried again */
		s->job.state = JOB_PREPARING;
	if (data != DATASET_UNKNOWN && (check_shapes(q, s, parked, e) || *parked))
		return e->status;
	check_budget(q, s);
	s->job.checked = s->checked ? json_print(s->checked) : NULL;
	s->job.warnings = s->warnings ? json_print(s->warnings) : NULL;
	return TD_OK;
}

td_status submission_ask_for_data(struct store_tx *tx, const struct submission *s, struct err *e)
{
	if (s->job.state != JOB_PREPARING)
		return TD_OK;
	return control_dataset_ask(tx, s->config, json_string(json_get(s->spec, "data"), "dataset", ""), e);
}

/* ---- Storing, once for each Idempotency-Key ---------------------------------------------------------------------- */

/* Rows, answer and key are one commit: a crash leaves all of them or none. */
static td_status once_run(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct once *o = (struct once *)cmd;
	cJSON *answer = NULL;

	if (o->key && store_idempotency_begin(tx, o->owner, o->key, o->hash, &o->replay, &o->status, &o->body, e)) {
		o->other_body = e->status == TD_CONFLICT;
		return e->status;
	}
	if (o->replay)
		return TD_OK;
	if (o->act(tx, o, &answer, e))
		return e->status;
	o->body = json_print(answer);
	cJSON_Delete(answer);
	return o->key ? store_idempotency_end(tx, o->owner, o->key, o->status, o->body, e) : TD_OK;
}

static td_status respond_once(struct request *q, struct response *r, const struct once *o, struct err *e)
{
	cJSON *answer = cJSON_Parse(o->body);
	char location[sizeof API_BASE + 100];

	if (!answer)
		return err_set(e, TD_CORRUPT, "the stored answer is not JSON");
	snprintf(location, sizeof location, API_BASE "/%s/%s", o->collection ? o->collection : "",
		json_string(answer, "id", json_string(answer, "name", "")));
	cJSON_Delete(answer);
	if (o->collection && o->status == 201)
		respond_header(r, "Location", location);
	if (o->replay)
		respond_header(r, "Idempotent-Replayed", "true");
	else
		control_wake(q->srv->control, o->cmd.seq);
	respond_text(r, o->status, o->body);
	return TD_OK;
}

/* What a key stands for: this body at this address.  Two jobs that are tried again have the same body, none. */
static void request_hash(const struct request *q, char hash[SHA256_TEXT])
{
	char both[2 * SHA256_TEXT];

	sha256_of(q->path, strlen(q->path), both);
	sha256_of(q->body ? q->body : "", q->n_body, both + SHA256_TEXT - 1);
	sha256_of(both, strlen(both), hash);
}

td_status api_once(struct request *q, struct response *r, struct once *o, struct err *e)
{
	char *base = request_url(q, "");
	td_status status;

	o->key = request_header(q, "Idempotency-Key");
	o->owner = q->token.owner;
	o->base = base;
	o->cmd.run = once_run;
	if (o->key && (!*o->key || strlen(o->key) > KEY_MOST)) {
		mem_free(base);
		return err_set(e, TD_INVALID, "the Idempotency-Key has %zu characters; expected 1 to %d",
			strlen(o->key), KEY_MOST);
	}
	request_hash(q, o->hash);
	status = store_write(q->srv->store, &o->cmd);
	if (!status)
		status = respond_once(q, r, o, e);
	else if (o->other_body)
		respond_problem(r, q, 422, "idempotency-key",
			"the Idempotency-Key \"%.80s\" was used for another request; use a new one", o->key);
	else
		err_copy(e, &o->cmd.err);
	mem_free(o->body);
	mem_free(base);
	return o->other_body ? TD_OK : status;
}

struct store_job {
	struct once once; /* first */
	struct submission *s;
};

/* An external job runs where it was submitted from, and so at once. */
static td_status begin_external(struct store_tx *tx, struct job *j, struct err *e)
{
	struct job after = { 0 };
	td_status s = store_job_event(tx, j->id, JOB_EV_BEGIN, "external", NULL, &after, e);

	if (s == TD_OK) {
		job_release(j);
		*j = after;
	}
	return s;
}

/* They are the job's from the start; its worker, which sees more, adds to them. */
static td_status store_warnings(struct store_tx *tx, const struct submission *s, struct err *e)
{
	const cJSON *w;

	cJSON_ArrayForEach(w, s->warnings)
	{
		struct store_warning row = { .code = json_string(w, "code", ""),
			.layer = json_string(w, "layer", ""),
			.text = json_string(w, "text", ""),
			.time_ms = s->job.created_ms };

		if (store_warning_add(tx, s->job.id, &row, e))
			return e->status;
	}
	return TD_OK;
}

static td_status store_job_act(struct store_tx *tx, struct once *o, cJSON **answer, struct err *e)
{
	struct submission *s = ((struct store_job *)o)->s;
	struct job *j = &s->job;

	if (store_job_insert(tx, j, e) || store_warnings(tx, s, e) || submission_ask_for_data(tx, s, e) ||
		(s->with && s->with(tx, s, e)) || (job_external(j) && begin_external(tx, j, e)))
		return e->status;
	*answer = job_json_whole(j, o->base, j->created_ms);
	return TD_OK;
}

td_status submission_store(struct request *q, struct response *r, struct submission *s, struct err *e)
{
	struct store_job c = { .once = { .act = store_job_act, .status = 201, .collection = "jobs" }, .s = s };
	td_status status = api_once(q, r, &c.once, e);

	s->replayed = c.once.replay || status || c.once.other_body;
	return status;
}
