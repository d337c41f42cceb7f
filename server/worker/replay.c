/* Replay: some steps of a job once more, eagerly and watched, and then as a graph from the same state.
 *
 * From a checkpoint, or the start, the job is run in its own mode up to the step; nothing of that is saved or told.
 * Then each step runs twice from one state: eagerly, while a recording watches, and as a graph; what the two leave is
 * compared bit by bit.  In its own mode the run then goes on until something that the job had recorded tells of the
 * updated weights, too: the loss at a step tests the weights before that step, never those after it.  What the run says
 * on the way is compared with the job's points and checkpoints.  The forms of what is written are in the server's
 * api/replays.c. */
#include "worker/replay.h"
#include "worker/worker.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DOCUMENT_MOST (512u << 20) /* bytes of replay.json: 20,000 ops with what they read and made */
#define FLUSH_MS      5000
#define PROGRESS_MS   100

/* ---- How far ----------------------------------------------------------------------------------------------------- */

static void say_progress(struct replay *p, const char *phase)
{
	int64_t now = clock_monotonic_ms();
	cJSON *body;

	if (phase == p->phase && now - p->said_ms < PROGRESS_MS)
		return;
	p->phase = phase;
	p->said_ms = now;
	body = cJSON_CreateObject();
	cJSON_AddItemToObject(body, "id", cJSON_Duplicate(json_get(p->message, "id"), true));
	cJSON_AddNumberToObject(body, "step", (double)TD_MAX(p->run.at.step - p->from, 0));
	cJSON_AddNumberToObject(body, "n_steps", (double)(p->until - p->from));
	cJSON_AddNumberToObject(body, "epoch", (double)p->run.at.epoch);
	cJSON_AddStringToObject(body, "phase", phase);
	link_send(p->run.link, PROTO_PROGRESS, body);
}

static bool may_go_on(struct replay *p)
{
	if (link_stop_wanted(p->run.link) == LINK_GO)
		return true;
	err_set(&p->run.err, TD_CANCELLED, "the daemon wants it to leave");
	return false;
}

/* One step in the job's own mode with all that follows it, as train_all has it.  False: R->err. */
static bool advance(struct replay *p)
{
	struct run *r = &p->run;

	return may_go_on(p) && train_step(r) && (!validation_due(r) || validate(r));
}

/* ---- A step, twice ----------------------------------------------------------------------------------------------- */

/* What is left of a step: the tensors, and where the training stands. */
struct state {
	struct tensors tensors;
	struct checkpoint at;
	double loss, grad_norm;
	const char *nonfinite;
};

static void look(struct replay *p, struct state *s)
{
	struct run *r = &p->run;

	tensors_read(&s->tensors, r->trainer);
	s->at = r->at;
	s->loss = r->loss;
	s->grad_norm = r->grad_norm;
	s->nonfinite = r->nonfinite;
}

/* A step that stops the job is as good as any here: its update has not happened. */
static bool step_to_look_at(struct replay *p)
{
	struct run *r = &p->run;

	r->nonfinite = NULL;
	if (train_step(r))
		return true;
	if (!r->nonfinite)
		return false;
	err_clear(&r->err);
	return true;
}

static bool record_step(struct replay *p, int64_t step)
{
	bool ok;

	nn_trainer_set_mode(p->run.trainer, false);
	recording_begin(&p->recording, p->run.trainer, p->run.model, step);
	p->recorded = true;
	ok = step_to_look_at(p);
	p->recorded = false;
	recording_end(&p->recording);
	if (ok && p->recording.err.status) {
		err_copy(&p->run.err, &p->recording.err);
		ok = false;
	}
	return ok;
}

static void add_done(struct replay *p, int64_t step, const struct state *s)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "step", (double)step);
	cJSON_AddItemToObject(o, "loss", json_number(s->loss));
	cJSON_AddItemToObject(o, "grad_norm", json_number(s->grad_norm));
	cJSON_AddNumberToObject(o, "factor", p->run.factor);
	cJSON_AddItemToObject(o, "batches", p->batches ? p->batches : cJSON_CreateArray());
	p->batches = NULL;
	cJSON_AddItemToArray(p->done, o);
}

/* The step after which R stands, eagerly and as a graph; *STOPPED: the job ended here.  False: R->err. */
static bool replay_step(struct replay *p, bool *stopped)
{
	struct run *r = &p->run;
	struct state before = { 0 }, eager = { 0 };
	int64_t step = r->at.step + 1;
	bool ok;

	say_progress(p, "observe");
	p->listens = false;
	look(p, &before);
	ok = may_go_on(p) && record_step(p, step);
	if (ok) {
		look(p, &eager);
		add_done(p, step, &eager);
		if (!p->culprit)
			p->culprit = recording_culprit(&p->recording, step);
		tensors_write(&before.tensors);
		r->at = before.at;
		p->listens = true;
		nn_trainer_set_mode(r->trainer, true);
		ok = may_go_on(p) && step_to_look_at(p);
	}
	if (ok) {
		compare_number(p, step, "loss", eager.loss, r->loss);
		compare_number(p, step, "grad_norm", eager.grad_norm, r->grad_norm);
		compare_tensors(p, step, &eager.tensors);
	}
	*stopped = r->nonfinite != NULL;
	p->last = step;
	p->last_unfinite = !(isfinite(r->loss) && isfinite(r->grad_norm));
	nn_trainer_set_mode(r->trainer, r->spec.mode == SPEC_GRAPH);
	tensors_release(&before.tensors);
	tensors_release(&eager.tensors);
	return ok && (*stopped || !validation_due(r) || validate(r));
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static bool has_same_data(struct replay *p)
{
	const char *pack = json_string(p->message, "data_recorded", "");

	if (!*pack || !strcmp(pack, run_pack(&p->run)))
		return true;
	err_set(&p->run.err, TD_CONFLICT,
		"the data set \"%.64s\" has other contents than when the job trained, so its steps cannot be made "
		"again; upload the earlier files again",
		json_string(json_at(p->message, "/spec/data"), "dataset", ""));
	return false;
}

/* Where the run begins with weights from elsewhere, they are those that the job began with. */
static bool has_same_init(struct replay *p)
{
	struct run *r = &p->run;
	const char *init = json_string(p->message, "init_recorded", "");

	if (*init && *r->init_sha256 && strcmp(init, r->init_sha256) != 0)
		err_set(&r->err, TD_CONFLICT,
			"the job began with other weights (sha256 %.12s...) than its \"init_from\" names now "
			"(%.12s...), and no checkpoint before step %lld is kept; put the earlier weights there again",
			init, r->init_sha256, (long long)p->step);
	return !r->err.status;
}

/* A step on the way stopped here, where the job went on. */
static void strayed(struct replay *p)
{
	struct run *r = &p->run;

	err_clear(&r->err);
	err_set(&r->err, TD_CONFLICT,
		"on the way to step %lld, step %lld was not finite here, but the job had passed it: these are not its "
		"bits; it ran on %s, this is %s",
		(long long)p->step, (long long)r->at.step + 1,
		json_string(p->message, "fingerprint", "another machine"), td_fingerprint());
}

static bool go_there(struct replay *p)
{
	struct run *r = &p->run;

	p->from = r->at.step;
	p->until = compare_until(p);
	if (r->at.step >= p->step) {
		err_set(&r->err, TD_CORRUPT, "the checkpoint to begin from is of step %lld, behind step %lld",
			(long long)r->at.step, (long long)p->step);
		return false;
	}
	while (r->at.step < p->step - 1) {
		say_progress(p, "forward");
		if (!advance(p)) {
			if (r->nonfinite)
				strayed(p);
			return false;
		}
	}
	return true;
}

/* On, to what the job had recorded later; it may have stopped there.  False: R->err. */
static bool go_on(struct replay *p, bool *stopped)
{
	struct run *r = &p->run;

	say_progress(p, "verify");
	r->nonfinite = NULL;
	if (advance(p))
		return compare_checkpoints(p);
	*stopped = r->nonfinite != NULL;
	if (*stopped)
		err_clear(&r->err);
	return *stopped;
}

static bool replay_steps(struct replay *p)
{
	struct run *r = &p->run;
	char *path = mem_printf("%s/" REPLAY_VALUES, r->folder);
	bool ok = !recording_init(&p->recording, r->c, path, &r->err), stopped = false;

	mem_free(path);
	for (int64_t i = 0; ok && i < p->steps && !stopped && !r->at.stopped && r->at.step < r->n_steps; i++) {
		ok = replay_step(p, &stopped);
		ok = ok && (stopped || compare_checkpoints(p));
	}
	while (ok && !stopped && r->at.step < p->until && !r->at.stopped)
		ok = go_on(p, &stopped);
	p->listens = false;
	compare_unmet(p);
	return ok;
}

static bool write_document(struct replay *p)
{
	struct run *r = &p->run;
	cJSON *head = cJSON_CreateObject();
	char *text, *path = mem_printf("%s/" REPLAY_DOCUMENT, r->folder);
	struct buf out;

	cJSON_AddItemToObject(head, "done", p->done);
	cJSON_AddNumberToObject(head, "values_bytes", (double)p->recording.n_bytes);
	cJSON_AddBoolToObject(head, "values_truncated", p->recording.truncated);
	cJSON_AddItemToObject(head, "samples", p->samples);
	p->done = p->samples = NULL;
	text = json_print(head);
	buf_init(&out, DOCUMENT_MOST);
	buf_append(&out, text, strlen(text) - 1); /* what follows goes before the last brace */
	buf_puts(&out, ",\n");
	recording_print(&p->recording, &out);
	buf_puts(&out, "}\n");
	if (out.full)
		err_set(&r->err, TD_TOO_LARGE, "the description of the steps is over %u MB; replay fewer steps",
			DOCUMENT_MOST >> 20);
	else if (!recording_sync(&p->recording, &r->err) && !file_sync_folder(r->folder, &r->err))
		file_write(path, out.data, out.len, &r->err);
	buf_release(&out);
	mem_free(text);
	mem_free(path);
	cJSON_Delete(head);
	return !r->err.status;
}

static cJSON *from_json(const struct replay *p)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "kind", p->run.resume ? "checkpoint" : "start");
	cJSON_AddNumberToObject(o, "step", (double)p->from);
	return o;
}

static void answer(struct replay *p, bool ok)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddItemToObject(body, "id", cJSON_Duplicate(json_get(p->message, "id"), true));
	if (ok) {
		cJSON_AddItemToObject(body, "from", from_json(p));
		cJSON_AddItemToObject(body, "verdict", verdict_json(p));
		cJSON_AddItemToObject(body, "culprit", p->culprit ? p->culprit : cJSON_CreateNull());
		p->culprit = NULL;
	} else {
		cJSON_AddStringToObject(body, "detail", p->run.err.text);
	}
	link_send(p->run.link, ok ? PROTO_REPLAYED : PROTO_REFUSED, body);
	link_flush(p->run.link, FLUSH_MS);
}

void worker_replay(struct link *l, const cJSON *message)
{
	struct replay p = { .message = message,
		.step = json_int(message, "step", 1),
		.steps = json_int(message, "steps", 1),
		.done = cJSON_CreateArray(),
		.samples = cJSON_CreateArray(),
		.differences = cJSON_CreateArray(),
		.unmet = cJSON_Duplicate(json_get(message, "points"), true) };
	bool ok;

	run_init(&p.run, l, message);
	replay_watch(&p);
	ok = has_same_data(&p) && run_open(&p.run) && has_same_init(&p) && go_there(&p) && replay_steps(&p) &&
	     write_document(&p);
	recording_release(&p.recording); /* its file is closed when the daemon removes it */
	answer(&p, ok);
	run_release(&p.run);
	cJSON_Delete(p.done);
	cJSON_Delete(p.batches);
	cJSON_Delete(p.samples);
	cJSON_Delete(p.differences);
	cJSON_Delete(p.unmet);
	cJSON_Delete(p.culprit);
}
