/* Checkpoints: which tensors go into which file under which names, and what the daemon is told about it. */
#include "worker/run.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct tensor_list {
	struct named_tensor *items; /* owned, with their names */
	int n, cap;
};

static void add_tensor(void *arg, const char *name, td_value *v)
{
	struct tensor_list *l = arg;

	MEM_GROW(l->items, l->n, l->cap);
	l->items[l->n++] = (struct named_tensor){ mem_strdup(name), v };
}

static struct tensor_list list_tensors(struct run *r)
{
	struct tensor_list l = { 0 };

	nn_trainer_tensors(r->trainer, add_tensor, &l);
	return l;
}

static void list_release(struct tensor_list *l)
{
	for (int i = 0; i < l->n; i++)
		mem_free((char *)l->items[i].name);
	mem_free(l->items);
}

bool write_checkpoint(struct run *r, const char *path, const struct checkpoint *at, struct file_facts *facts)
{
	struct tensor_list list = list_tensors(r);

	checkpoint_write(path, at, list.items, list.n, facts, &r->err);
	list_release(&list);
	return !r->err.status;
}

bool save_checkpoint(struct run *r, const char *kind)
{
	struct file_facts facts;
	char file[64], *path;
	cJSON *body;
	bool ok;

	if (r->watch)
		return true;
	snprintf(file, sizeof file, "%s-%lld.safetensors", kind, (long long)r->at.step);
	path = mem_printf("%s/%s", r->folder, file);
	ok = write_checkpoint(r, path, &r->at, &facts);
	mem_free(path);
	if (!ok)
		return false;
	tell_flush(&r->tell); /* a checkpoint exists only after every point up to its step */
	tell_progress(&r->tell, r->at.step, r->at.epoch, "train", true);
	body = cJSON_CreateObject();
	cJSON_AddStringToObject(body, "file", file);
	cJSON_AddStringToObject(body, "sha256", facts.sha256);
	cJSON_AddNumberToObject(body, "bytes", (double)facts.n_bytes);
	cJSON_AddNumberToObject(body, "step", (double)r->at.step);
	cJSON_AddStringToObject(body, "kind", kind);
	link_send(r->link, PROTO_CHECKPOINT, body);
	r->saved_ms = clock_monotonic_ms();
	if (!strcmp(kind, "last"))
		r->saved_step = r->at.step;
	return true;
}

/* ---- Going on ---------------------------------------------------------------------------------------------------- */

/* The checkpoint must be one that this job can have made. */
static void check_resumed(struct run *r, const char *file)
{
	if (r->at.seed != (uint64_t)r->spec.seed || r->at.step > r->n_steps || r->at.batch >= r->n_batches)
		err_set(&r->err, TD_CORRUPT, "%s is of step %lld and seed %llu; it does not belong to this job", file,
			(long long)r->at.step, (unsigned long long)r->at.seed);
}

/* Another job's checkpoint: its place in the training is counted in this job's steps.  What it had decided about its
 * own best is not this job's, and neither are its running means: they may be of other metrics. */
static void adopt(struct run *r)
{
	int64_t epoch_steps = spec_epoch_steps(&r->spec, r->facts->n[DATA_TRAIN]);

	if (r->at.step >= r->n_steps) {
		r->err_pointer = "/train";
		err_set(&r->err, TD_INVALID,
			"the checkpoint is of step %lld already, and this job has %lld steps; let it train longer",
			(long long)r->at.step, (long long)r->n_steps);
	}
	r->at.seed = (uint64_t)r->spec.seed;
	r->at.epoch = r->at.step / epoch_steps;
	r->at.batch = r->at.step % epoch_steps * r->spec.train.accumulate;
	r->at.best = r->at.early_best = NAN;
	r->at.best_step = r->at.bad = 0;
	r->at.window_loss = 0;
	r->at.window_targets = 0;
	memset(r->at.window_metric, 0, sizeof r->at.window_metric);
	r->at.stopped = r->at.finished = false;
	r->at.skipped = 0;
	if (json_bool(r->resume, "new_rates", false)) {
		r->at.plateau.best = NAN;
		r->at.plateau.bad = 0;
		r->at.plateau.factor = 1;
	}
	tell_log(&r->tell, "info",
		"forked at step %lld: the weights are the other job's, and what its optimizer kept where this one "
		"keeps the same",
		(long long)r->at.step);
}

bool load_checkpoint(struct run *r)
{
	const char *file = json_string(r->resume, "file", ""), *sha256 = json_string(r->resume, "sha256", "");
	bool fork = json_bool(r->resume, "fork", false);
	char *path = mem_printf("%s/%s", r->folder, file);
	struct tensor_list list = list_tensors(r);

	(fork ? checkpoint_read_fork : checkpoint_read)(path, sha256, &r->at, list.items, list.n, &r->err);
	list_release(&list);
	mem_free(path);
	if (r->err.status) {
		r->err_pointer = fork ? "/model" : NULL;
		return false;
	}
	if (fork)
		adopt(r);
	else
		check_resumed(r, file);
	r->saved_step = r->at.step;
	return !r->err.status;
}

bool load_init(struct run *r)
{
	const struct spec_init *from = &r->spec.init_from;
	bool is_job = from->job && *from->job;
	const char *kind = is_job ? "job" : "model", *name = is_job ? from->job : from->model;
	struct safetensors file;
	struct buf notes;
	char *line, *next;
	bool ok;

	r->err_pointer = "/init_from";
	if (!r->init) {
		err_set(&r->err, TD_NOT_FOUND,
			"the %s \"%.60s\", with whose weights the job begins, is gone or has none any more", kind,
			name);
		return false;
	}
	if (weights_read(r->init, r->spec.resources.memory_mb << 20, &file, &r->err))
		return false;
	snprintf(r->init_sha256, sizeof r->init_sha256, "%s", file.sha256);
	buf_init(&notes, 1 << 20);
	ok = nn_model_load(r->model, &file, r->spec.init_from.strict, &r->spec.init_from.skip, &notes, &r->faults);
	if (!ok)
		err_set(&r->err, TD_INVALID, "%s", r->faults.n ? r->faults.items[0].detail : "the weights do not fit");
	for (line = notes.data; ok && line && *line; line = next) {
		next = line + strcspn(line, "\n");
		tell_log(&r->tell, "info", "init_from: %.*s", (int)(next - line), line);
		next += *next == '\n';
	}
	buf_release(&notes);
	safetensors_release(&file);
	if (!ok)
		return false;
	r->err_pointer = NULL;
	tell_log(&r->tell, "info", "beginning with the weights of %s %s", kind, name);
	return true;
}
