/* Jobs: submitting one, reading it, changing it, and the verbs that move it. */
#include "api/api.h"
#include "jobfiles.h"

#include <stdio.h>
#include <string.h>

/* ---- Submitting -------------------------------------------------------------------------------------------------- */

/* A record of a training elsewhere: a form of its own, beside the job's. */
static bool is_external(const cJSON *document)
{
	return !strcmp(json_string(document, "kind", ""), "external");
}

/* What ?dry_run=1 answers: the checker's findings, and the spec with all defaults. */
static void respond_checked(struct response *r, struct submission *s)
{
	cJSON *answer = s->checked ? s->checked : cJSON_CreateObject();

	cJSON_AddItemToObject(answer, "warnings", s->warnings ? s->warnings : cJSON_CreateArray());
	cJSON_AddItemToObject(answer, "spec", s->spec);
	respond_json(r, 200, answer);
	s->checked = s->spec = s->warnings = NULL;
}

td_status jobs_create(struct request *q, struct response *r, struct err *e)
{
	struct submission s;
	int64_t dry_run;
	bool parked;

	if (api_still_waits(q))
		return TD_OK;
	if (request_int(q, "dry_run", 0, 1, 0, &dry_run, e))
		return e->status;
	submission_init(&s);
	s.spec = schema_check_as(q->srv->job_schema, is_external(q->json) ? "/$defs/external" : "", q->json, &s.faults);
	if (submission_check(q, &s, &parked, e) || parked)
		; /* failed, or called again when the checker has answered */
	else if (s.faults.n_found)
		respond_faults(r, q, &s.faults, e);
	else if (dry_run)
		respond_checked(r, &s);
	else
		submission_store(q, r, &s, e);
	submission_release(&s);
	return e->status;
}

/* The same job once more: a new one, because a terminal state never changes. */
td_status job_retry(struct request *q, struct response *r, struct err *e)
{
	struct submission s;
	struct job old;
	bool parked;

	if (api_still_waits(q))
		return TD_OK;
	if (api_own_job(q, &old, e))
		return e->status;
	submission_init(&s);
	s.spec = cJSON_Parse(old.spec);
	if (!job_state_terminal(old.state))
		err_set(e, TD_CONFLICT, "job %s is %s; only one that has ended can be tried again", old.id,
			job_state_name(old.state));
	else if (submission_check(q, &s, &parked, e) || parked)
		; /* failed, or called again when the checker has answered */
	else if (s.faults.n_found)
		respond_faults(r, q, &s.faults, e);
	else {
		s.job.detail = mem_printf("tried again after %s", old.id);
		submission_store(q, r, &s, e);
	}
	submission_release(&s);
	job_release(&old);
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

	if (request_int(q, "wait", 0, API_WAIT_MOST_S, 0, &wait_s, e) || api_job(q, &j, e))
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
	struct job after = { 0 };
	td_status s = store_job_event(tx, c->id, c->event, c->reason, NULL, &after, e);

	/* Nobody works on an external job who would have to be told first. */
	if (!s && job_external(&after) && after.state == JOB_CANCELLING)
		s = store_job_event(tx, c->id, JOB_EV_STOPPED, c->reason, NULL, NULL, e);
	job_release(&after);
	return s;
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

	if (api_own_job(q, &j, e))
		return e->status;
	job_release(&j);
	c->id = q->param[0];
	if (store_write(q->srv->store, &c->cmd))
		return err_copy(e, &c->cmd.err);
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
		folder = job_folder(q->srv->config, q->param[0]);
		file_remove_tree(folder, &ignored);
		mem_free(folder);
		folder = job_replays_folder(q->srv->config, q->param[0]);
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
	struct job j;

	if (api_job(q, &j, e))
		return e->status;
	if (job_external(&j))
		err_set(e, TD_CONFLICT, "job %s is external: what runs it elsewhere cannot be paused from here", j.id);
	job_release(&j);
	return e->status ? e->status : move(q, r, JOB_EV_PAUSE, "paused_by_user", e);
}

td_status job_resume(struct request *q, struct response *r, struct err *e)
{
	return move(q, r, JOB_EV_RESUME, "resumed_by_user", e);
}
