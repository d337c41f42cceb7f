/* Jobs: submitting one, reading it, changing it, and the verbs that move it.
 *
 * A submission is checked in the order in which its author would want to hear of it: syntax (router), names and types
 * (schema), data set, shapes (the checker process), the machine's budget; then it is stored, and only then does anybody
 * act. */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

#define KEY_MOST    255 /* bytes of an Idempotency-Key */
#define WAIT_MOST_S 60  /* of ?wait= */

td_status api_job(struct request *q, struct job *j, struct err *e)
{
	struct err found = { 0 };

	if (store_job_get(q->reader, q->param[0], j, &found)) {
		if (found.status == TD_NOT_FOUND)
			return err_set(e, TD_NOT_FOUND, "there is no job \"%.60s\"", q->param[0]);
		return err_set(e, found.status, "%s", found.text);
	}
	return TD_OK;
}

/* Refuse changes to another's job.  J is filled when TD_OK. */
static td_status own_job(struct request *q, struct job *j, struct err *e)
{
	if (api_job(q, j, e))
		return e->status;
	if (q->token.scope == SCOPE_ADMIN || !strcmp(q->token.owner, j->owner))
		return TD_OK;
	err_set(e, TD_FORBIDDEN,
		"job %s belongs to \"%.80s\"; a token with scope \"run\" changes jobs of its owner, \"%.80s\", only",
		j->id, j->owner, q->token.owner);
	job_release(j);
	return e->status;
}

/* ---- Checking a submission --------------------------------------------------------------------------------------- */

static enum dataset_state check_dataset(struct request *q, const cJSON *spec, struct faults *f)
{
	const char *name = json_string(json_at(spec, "/data"), "dataset", "");
	struct err e = { 0 };
	enum dataset_state state = control_dataset(q->srv->control, name, &e);

	if (state == DATASET_UNKNOWN)
		faults_add(f, "/data/dataset", "%s", *e.text ? e.text : "there is no data set of this name");
	return state;
}

static void check_budget(struct request *q, const struct job *j, const cJSON *checked, struct faults *f)
{
	struct control_room room = control_room(q->srv->control);
	long long wanted_mb = (long long)(j->memory_bytes >> 20), machine_mb = (long long)(room.memory_bytes >> 20);
	double needed = json_double(checked, "bytes", 0);

	if (j->threads > room.threads)
		faults_add(f, "/resources/threads",
			"%d threads are more than this server has for jobs, %d; ask for at most that", j->threads,
			room.threads);
	if (j->memory_bytes > room.memory_bytes)
		faults_add(f, "/resources/memory_mb",
			"%lld MB are more than this server has for jobs, %lld MB; ask for at most that", wanted_mb,
			machine_mb);
	else if (needed > (double)j->memory_bytes)
		faults_add(f, "/resources/memory_mb",
			"a step of this model needs about %.0f MB, but the job may use %lld MB; raise it, "
			"or make data/batch_size smaller",
			needed / (1 << 20), wanted_mb);
}

/* Shapes, as the checker sees them; its answer without the faults is left in *CHECKED. */
static td_status check_shapes(struct request *q, const cJSON *spec, cJSON **checked, struct faults *f, struct err *e)
{
	char *text = json_print(spec);
	const cJSON *fault;
	td_status s = control_check(q->srv->control, text, checked, e);

	mem_free(text);
	if (s)
		return s;
	cJSON_ArrayForEach(fault, json_get(*checked, "faults"))
	{
		faults_add(
			f, json_string(fault, "pointer", ""), "%s", json_string(fault, "detail", "this does not fit"));
	}
	cJSON_DeleteItemFromObjectCaseSensitive(*checked, "faults");
	cJSON_DeleteItemFromObjectCaseSensitive(*checked, "id");
	return TD_OK;
}

static char *text_of(const cJSON *spec, const char *name, const char *otherwise)
{
	return mem_strdup(json_string(spec, name, otherwise));
}

/* The row's fields that the spec decides. */
static void fill_job(struct job *j, const cJSON *spec, const struct request *q)
{
	const cJSON *resources = json_get(spec, "resources"), *tags = json_get(spec, "tags");

	j->name = text_of(spec, "name", json_string(json_get(spec, "data"), "dataset", "job"));
	if (!*j->name) {
		mem_free(j->name);
		j->name = text_of(json_get(spec, "data"), "dataset", "job");
	}
	j->project = text_of(spec, "project", "");
	j->notes = text_of(spec, "notes", "");
	j->owner = mem_strdup(q->token.owner);
	j->tags = tags ? json_print(tags) : mem_strdup("[]");
	j->spec = json_print(spec);
	j->priority = (int)json_int(spec, "priority", 0);
	j->threads = (int)TD_MIN(json_int(resources, "threads", 1), INT32_MAX);
	j->memory_bytes = TD_MIN(json_int(resources, "memory_mb", 1024), 1LL << 40) << 20;
	j->timeout_ms = json_int(spec, "timeout_s", 0) * 1000;
	j->retries = (int)json_int(spec, "retries", 0);
	j->state = JOB_QUEUED;
	j->reason = mem_strdup("submitted");
}

/* Everything that can be wrong with SPEC (defaults filled in) beyond its schema.  J and *CHECKED are filled. */
static td_status check_spec(
	struct request *q, const cJSON *spec, struct job *j, cJSON **checked, struct faults *f, struct err *e)
{
	enum dataset_state data = check_dataset(q, spec, f);

	fill_job(j, spec, q);
	if (data == DATASET_FETCHING || data == DATASET_FAILED) /* what failed is tried again */
		j->state = JOB_PREPARING;
	if (data != DATASET_UNKNOWN && check_shapes(q, spec, checked, f, e))
		return e->status;
	check_budget(q, j, *checked, f);
	if (*checked)
		j->checked = json_print(*checked);
	return TD_OK;
}

/* ---- Storing it -------------------------------------------------------------------------------------------------- */

struct submit {
	struct store_cmd cmd;
	struct job *job;
	const char *owner, *key, *hash; /* KEY NULL: none was given */
	const char *base;               /* for links */
	bool replay, other_body;
	int status;
	char *body; /* owned; the answer */
};

/* Row, answer and key are one commit: a crash leaves all of them or none. */
static td_status submit_run(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct submit *s = (struct submit *)cmd;
	cJSON *answer;

	if (s->key && store_idempotency_begin(tx, s->owner, s->key, s->hash, &s->replay, &s->status, &s->body, e)) {
		s->other_body = e->status == TD_CONFLICT;
		return e->status;
	}
	if (s->replay)
		return TD_OK;
	if (store_job_insert(tx, s->job, e))
		return e->status;
	answer = job_json_whole(s->job, s->base, s->job->created_ms);
	s->status = 201;
	s->body = json_print(answer);
	cJSON_Delete(answer);
	return s->key ? store_idempotency_end(tx, s->owner, s->key, s->status, s->body, e) : TD_OK;
}

static td_status respond_submitted(struct request *q, struct response *r, const struct submit *s, struct err *e)
{
	cJSON *answer = cJSON_Parse(s->body);
	char location[80];

	if (!answer)
		return err_set(e, TD_CORRUPT, "the stored answer is not JSON");
	snprintf(location, sizeof location, API_BASE "/jobs/%s", json_string(answer, "id", ""));
	cJSON_Delete(answer);
	respond_header(r, "Location", location);
	if (s->replay)
		respond_header(r, "Idempotent-Replayed", "true");
	else
		control_wake(q->srv->control, s->cmd.seq);
	respond_text(r, s->status, s->body);
	return TD_OK;
}

/* What a key stands for: this body at this address.  Two jobs that are tried again have the same body, none. */
static void request_hash(const struct request *q, char hash[SHA256_TEXT])
{
	char *text = mem_printf("%s\n%.*s", q->path, (int)q->n_body, q->body ? q->body : "");

	sha256_of(text, strlen(text), hash);
	mem_free(text);
}

static td_status submit(struct request *q, struct response *r, struct job *j, struct err *e)
{
	const char *key = request_header(q, "Idempotency-Key");
	struct submit s = { .cmd.run = submit_run, .job = j, .owner = q->token.owner, .key = key };
	char hash[SHA256_TEXT], *base = request_url(q, "");
	td_status status;

	if (key && (!*key || strlen(key) > KEY_MOST)) {
		mem_free(base);
		return err_set(e, TD_INVALID, "the Idempotency-Key has %zu characters; expected 1 to %d", strlen(key),
			KEY_MOST);
	}
	request_hash(q, hash);
	s.hash = hash;
	s.base = base;
	status = store_write(q->srv->store, &s.cmd);
	if (!status)
		status = respond_submitted(q, r, &s, e);
	else if (s.other_body)
		respond_problem(r, q, 422, "idempotency-key",
			"the Idempotency-Key \"%.80s\" was used for another request; use a new one", key);
	else
		err_set(e, status, "%s", s.cmd.err.text);
	mem_free(s.body);
	mem_free(base);
	return s.other_body ? TD_OK : status;
}

/* What ?dry_run=1 answers: the checker's findings, and the spec with all defaults. */
static void respond_checked(struct response *r, cJSON **checked, cJSON **spec)
{
	cJSON_AddItemToObject(*checked, "spec", *spec);
	respond_json(r, 200, *checked);
	*checked = *spec = NULL;
}

td_status jobs_create(struct request *q, struct response *r, struct err *e)
{
	struct job j = { 0 };
	struct faults f;
	cJSON *spec, *checked = NULL;
	int64_t dry_run;

	if (request_int(q, "dry_run", 0, 1, 0, &dry_run, e))
		return e->status;
	faults_init(&f);
	spec = schema_check(q->srv->job_schema, q->json, &f);
	if (!f.n_found && check_spec(q, spec, &j, &checked, &f, e))
		goto out;
	if (f.n_found)
		respond_faults(r, q, &f, e);
	else if (dry_run)
		respond_checked(r, &checked, &spec);
	else
		submit(q, r, &j, e);
out:
	cJSON_Delete(spec);
	cJSON_Delete(checked);
	job_release(&j);
	faults_release(&f);
	return e->status;
}

/* The same job once more: a new one, because a terminal state never changes. */
td_status job_retry(struct request *q, struct response *r, struct err *e)
{
	struct job old, j = { 0 };
	struct faults f;
	cJSON *spec, *checked = NULL;

	if (own_job(q, &old, e))
		return e->status;
	faults_init(&f);
	spec = cJSON_Parse(old.spec);
	if (!job_state_terminal(old.state)) {
		err_set(e, TD_CONFLICT, "job %s is %s; only one that has ended can be tried again", old.id,
			job_state_name(old.state));
	} else if (!check_spec(q, spec, &j, &checked, &f, e)) {
		j.detail = mem_printf("tried again after %s", old.id);
		if (f.n_found)
			respond_faults(r, q, &f, e);
		else
			submit(q, r, &j, e);
	}
	cJSON_Delete(spec);
	cJSON_Delete(checked);
	job_release(&old);
	job_release(&j);
	faults_release(&f);
	return e->status;
}

/* ---- Reading one ------------------------------------------------------------------------------------------------- */

static void add_transition(void *arg, const struct transition *t)
{
	cJSON *item = cJSON_CreateObject();

	api_add_time(item, "time", t->time_ms);
	cJSON_AddStringToObject(item, "from", job_state_name(t->from));
	cJSON_AddStringToObject(item, "to", job_state_name(t->to));
	cJSON_AddStringToObject(item, "event", t->event);
	cJSON_AddStringToObject(item, "reason", t->reason);
	if (t->detail)
		cJSON_AddStringToObject(item, "detail", t->detail);
	cJSON_AddNumberToObject(item, "attempt", t->attempt);
	cJSON_AddItemToArray(arg, item);
}

static td_status respond_job(struct request *q, struct response *r, const struct job *j, struct err *e)
{
	char *base = request_url(q, "");
	cJSON *answer = job_json_whole(j, base, clock_now_ms()), *history = cJSON_AddArrayToObject(answer, "history");

	mem_free(base);
	if (store_transitions(q->reader, j->id, add_transition, history, e)) {
		cJSON_Delete(answer);
		return e->status;
	}
	respond_json(r, 200, answer);
	return TD_OK;
}

td_status job_get(struct request *q, struct response *r, struct err *e)
{
	struct job j;
	int64_t wait_s;

	if (request_int(q, "wait", 0, WAIT_MOST_S, 0, &wait_s, e) || api_job(q, &j, e))
		return e->status;
	if (wait_s && !job_state_terminal(j.state) && request_park(q, (int)wait_s * 1000)) {
		job_release(&j);
		return TD_OK;
	}
	respond_job(q, r, &j, e);
	job_release(&j);
	return e->status;
}

/* The job as it is after a change. */
static td_status respond_changed(struct request *q, struct response *r, struct err *e)
{
	struct job j;

	if (api_job(q, &j, e))
		return e->status;
	respond_job(q, r, &j, e);
	job_release(&j);
	return e->status;
}

/* ---- Changing one ------------------------------------------------------------------------------------------------ */

struct change {
	struct store_cmd cmd;
	const char *id;
	enum job_event event;
	const char *reason;
	struct job_patch patch;
	bool purge;
};

static td_status patch_run(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct change *c = (struct change *)cmd;

	return store_job_patch(tx, c->id, &c->patch, e);
}

static td_status event_run(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct change *c = (struct change *)cmd;

	return store_job_event(tx, c->id, c->event, c->reason, NULL, NULL, e);
}

static td_status delete_run(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct change *c = (struct change *)cmd;

	return store_job_delete(tx, c->id, c->purge, e);
}

/* The job must be the asker's; then C runs on the writer. */
static td_status change(struct request *q, struct change *c, struct err *e)
{
	struct job j;

	if (own_job(q, &j, e))
		return e->status;
	job_release(&j);
	c->id = q->param[0];
	if (store_write(q->srv->store, &c->cmd))
		return err_set(e, c->cmd.err.status, "%s", c->cmd.err.text);
	control_wake(q->srv->control, c->cmd.seq);
	return TD_OK;
}

td_status job_patch(struct request *q, struct response *r, struct err *e)
{
	const cJSON *tags = json_get(q->json, "tags"), *priority = json_get(q->json, "priority");
	int priority_value = (int)json_int(q->json, "priority", 0);
	char *tags_text = tags ? json_print(tags) : NULL;
	struct change c = { .cmd.run = patch_run,
		.patch = { .name = json_string(q->json, "name", NULL),
			.notes = json_string(q->json, "notes", NULL),
			.tags = tags_text,
			.priority = priority ? &priority_value : NULL } };

	if (!change(q, &c, e))
		respond_changed(q, r, e);
	mem_free(tags_text);
	return e->status;
}

td_status job_delete(struct request *q, struct response *r, struct err *e)
{
	struct change c = { .cmd.run = delete_run };
	struct err ignored = { 0 };
	int64_t purge;
	char *folder;

	if (request_int(q, "purge", 0, 1, 0, &purge, e))
		return e->status;
	if (purge && q->token.scope != SCOPE_ADMIN)
		return err_set(e, TD_FORBIDDEN,
			"?purge=1 removes a job for good and needs a token with scope \"admin\"; without it the job is "
			"hidden");
	c.purge = purge;
	if (change(q, &c, e))
		return e->status;
	if (purge) { /* without rows the folder is nobody's; what is left of it goes at the next start */
		folder = mem_printf("%s/jobs/%s", q->srv->config->data_dir, q->param[0]);
		file_remove_tree(folder, &ignored);
		mem_free(folder);
	}
	respond_empty(r, 204);
	return TD_OK;
}

static td_status move(struct request *q, struct response *r, enum job_event event, const char *reason, struct err *e)
{
	struct change c = { .cmd.run = event_run, .event = event, .reason = reason };

	return change(q, &c, e) ? e->status : respond_changed(q, r, e);
}

td_status job_cancel(struct request *q, struct response *r, struct err *e)
{
	return move(q, r, JOB_EV_CANCEL, "cancelled_by_user", e);
}

td_status job_pause(struct request *q, struct response *r, struct err *e)
{
	return move(q, r, JOB_EV_PAUSE, "paused_by_user", e);
}

td_status job_resume(struct request *q, struct response *r, struct err *e)
{
	return move(q, r, JOB_EV_RESUME, "resumed_by_user", e);
}
