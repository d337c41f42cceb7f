/* A new job from a checkpoint of another.
 *
 * It starts as if it had been interrupted there: its folder gets the checkpoint's file and its rows name it, before
 * anybody may run it.  The file comes first (a folder without a job goes at the next start), then one commit. */
#include "api/api.h"
#include "jobfiles.h"
#include "weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Which checkpoint -------------------------------------------------------------------------------------------- */

struct choice {
	const char *kind; /* borrowed; "last", "best", or NULL: by step */
	int64_t step;
	struct artifact found; /* NAME NULL: none */
	struct buf all;        /* what there is, for people */
};

static void consider(void *arg, const struct artifact *a)
{
	struct choice *c = arg;

	buf_printf(&c->all, "%s%s (step:%lld)", c->all.len ? ", " : "", a->kind, (long long)a->step);
	if (c->found.name || (c->kind ? strcmp(a->kind, c->kind) != 0 : a->step != c->step))
		return;
	c->found = (struct artifact){ .name = mem_strdup(a->name),
		.file = mem_strdup(a->file),
		.sha256 = mem_strdup(a->sha256),
		.media_type = mem_strdup(a->media_type),
		.kind = mem_strdup(a->kind),
		.n_bytes = a->n_bytes,
		.step = a->step };
}

/* FROM as a choice.  False: it is none. */
static bool read_from(const char *from, struct choice *c)
{
	char *end;

	if (!strcmp(from, "best") || !strcmp(from, "last")) {
		c->kind = from;
		return true;
	}
	if (strncmp(from, "step:", 5) != 0 || from[5] < '0' || from[5] > '9')
		return false;
	c->step = strtoll(from + 5, &end, 10);
	return !*end;
}

static td_status choose(struct request *q, const struct job *old, const char *from, struct artifact *out, struct err *e)
{
	struct choice c = { .step = -1 };

	buf_init(&c.all, 400);
	if (!read_from(from, &c))
		err_set(e, TD_INVALID, "from is \"%.40s\"; expected \"best\", \"last\" or \"step:N\"", from);
	else if (!store_artifacts(q->reader, old->id, "checkpoint", consider, &c, e) && !c.found.name)
		err_set(e, TD_CONFLICT, "job %s has no checkpoint \"%.40s\"; it keeps %s", old->id, from,
			c.all.len ? c.all.data : "none (yet)");
	buf_release(&c.all);
	*out = c.found;
	return e->status;
}

/* ---- The new spec ------------------------------------------------------------------------------------------------ */

static void make_spec(struct request *q, const struct job *old, struct submission *s)
{
	const cJSON *set = json_get(q->json, "set"), *name = json_get(q->json, "name");
	cJSON *spec = cJSON_Parse(old->spec); /* our own column */
	struct faults f;

	faults_init(&f);
	fields_set(spec, set, &f);
	if (name)
		json_set_at(spec, "/name", cJSON_Duplicate(name, true));
	if (!f.n_found)
		s->spec = schema_check(q->srv->job_schema, spec, &f);
	fields_move_faults(&f, set, "/set", "/set", &s->faults);
	faults_release(&f);
	cJSON_Delete(spec);
}

/* The checker is to see whether the new model is that of the checkpoint.  A file that cannot be read is found where it
 * is placed. */
static void ask_for_weights(struct request *q, const struct job *old, const struct artifact *a, struct submission *s)
{
	struct err ignored = { 0 };
	char *path = NULL;
	cJSON *tensors;

	if (!job_file(q->srv->config, old->id, a, &path, &ignored) && !weights_tensors(path, &tensors, &ignored)) {
		s->ask = cJSON_CreateObject();
		cJSON_AddItemToObject(s->ask, "weights", tensors);
	}
	mem_free(path);
}

/* What the checker says of the spec is said of the fields, too. */
static void blame_fields(struct request *q, struct submission *s)
{
	struct faults found = s->faults;

	faults_init(&s->faults);
	fields_move_faults(&found, json_get(q->json, "set"), "/set", "/set", &s->faults);
	faults_release(&found);
}

/* A checkpoint at or behind the end leaves nothing to train.  Where the data is not known yet the worker says so. */
static void check_length(const struct artifact *a, struct submission *s)
{
	int64_t n_steps = json_int(s->checked, "steps", 0);

	if (n_steps && a->step >= n_steps)
		faults_add(&s->faults, "/set",
			"the checkpoint is of step %lld already, and this job has %lld steps in all; let it train "
			"longer: {\"/train/%s",
			(long long)a->step, (long long)n_steps,
			json_at(s->spec, "/train/steps") ? "steps\": ...}" : "epochs\": ...}");
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

static td_status place_file(
	struct request *q, const struct job *old, const struct artifact *a, const char *folder, struct err *e)
{
	char *from, *to = mem_printf("%s/%s", folder, a->file);
	struct err why = { 0 };

	if (!job_file(q->srv->config, old->id, a, &from, e) && !file_make_folder(folder, e) &&
		file_link(from, to, &why)) {
		if (why.status == TD_NOT_FOUND)
			err_set(e, TD_CONFLICT,
				"checkpoint %s of job %s has just been replaced by a newer one; try again", a->name,
				old->id);
		else
			err_copy(e, &why);
	}
	if (!e->status)
		file_sync(folder, e);
	mem_free(from);
	mem_free(to);
	return e->status;
}

/* ---- The job ----------------------------------------------------------------------------------------------------- */

static td_status add_checkpoint(struct store_tx *tx, struct submission *s, struct err *e)
{
	struct artifact a = *(const struct artifact *)s->arg;
	char *obsolete = NULL;
	td_status status;

	a.kind = (char *)"last"; /* what an interrupted job goes on from */
	status = store_checkpoint_add(tx, s->job.id, &a, 1, &obsolete, e);
	mem_free(obsolete);
	return status;
}

/* Whether SET gives learning rates or a schedule: then what a plateau has made of the old rates holds no more. */
static bool sets_rates(const cJSON *set)
{
	const cJSON *field;

	cJSON_ArrayForEach(field, set)
	{
		if (!strncmp(field->string, "/optimizer", 10) || !strncmp(field->string, "/schedule", 9))
			return true;
	}
	return false;
}

static char *parent_json(const struct job *old, const struct artifact *a, bool new_rates)
{
	cJSON *o = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(o, "job", old->id);
	cJSON_AddStringToObject(o, "checkpoint", a->kind);
	cJSON_AddNumberToObject(o, "step", (double)a->step);
	cJSON_AddStringToObject(o, "sha256", a->sha256);
	cJSON_AddBoolToObject(o, "new_rates", new_rates);
	text = json_print(o);
	cJSON_Delete(o);
	return text;
}

static td_status store_fork(struct request *q, struct response *r, const struct job *old, struct artifact *a,
	struct submission *s, struct err *e)
{
	char *folder;

	ulid_make(s->job.id);
	s->job.parent = parent_json(old, a, sets_rates(json_get(q->json, "set")));
	s->job.detail = mem_printf("forked from %s at step %lld", old->id, (long long)a->step);
	s->with = add_checkpoint;
	s->arg = a;
	folder = job_folder(q->srv->config, s->job.id);
	if (!place_file(q, old, a, folder, e))
		submission_store(q, r, s, e);
	if (e->status || s->replayed)
		file_remove_tree(folder, NULL);
	mem_free(folder);
	return e->status;
}

static void fork_from(struct request *q, struct response *r, const struct job *old, struct artifact *a,
	struct submission *s, struct err *e)
{
	bool parked = false, sound;

	make_spec(q, old, s);
	sound = !s->faults.n_found;
	if (!q->kept)
		ask_for_weights(q, old, a, s);
	if (submission_check(q, s, &parked, e) || parked)
		return; /* failed, or called again when the checker has answered */
	if (sound && s->faults.n_found)
		blame_fields(q, s);
	if (!s->faults.n_found)
		check_length(a, s);
	if (s->faults.n_found)
		respond_faults(r, q, &s->faults, e);
	else
		store_fork(q, r, old, a, s, e);
}

td_status job_fork(struct request *q, struct response *r, struct err *e)
{
	struct artifact a = { 0 };
	struct submission s;
	struct job old;

	if (api_still_waits(q))
		return TD_OK;
	if (api_job(q, &old, e))
		return e->status;
	submission_init(&s);
	if (job_external(&old))
		err_set(e, TD_CONFLICT, "job %s is external and has no checkpoints here", old.id);
	else if (choose(q, &old, json_string(q->json, "from", "last"), &a, e))
		; /* says so itself */
	else
		fork_from(q, r, &old, &a, &s, e);
	submission_release(&s);
	artifact_release(&a);
	job_release(&old);
	return e->status;
}
