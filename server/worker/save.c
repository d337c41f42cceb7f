/* Checkpoints and weights: which tensors go into which file under which names, and what the daemon is told about it. */
#include "worker/run.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES (NN_NAME + 16) /* "optimizer." and a name */

struct tensor_list {
	struct named_tensor *items; /* owned */
	char (*names)[NAME_BYTES];  /* owned; what the items' names point at */
	int n;
};

static void add(struct tensor_list *l, const char *prefix, const char *name, td_value *v)
{
	snprintf(l->names[l->n], NAME_BYTES, "%s%s", prefix, name);
	l->items[l->n] = (struct named_tensor){ l->names[l->n], v };
	l->n++;
}

/* All that changes while training: "model.0.weight", "optimizer.0.weight.exp_avg". */
static void list_init(struct tensor_list *l, const struct run *r, const char *prefix, bool with_state)
{
	const struct nn_trainer *t = r->trainer;
	int n = r->model->n_params, most = n * (1 + t->n_state);
	char name[NN_NAME];

	*l = (struct tensor_list){ .items = MEM_NEW_N(struct named_tensor, most),
		.names = mem_alloc((size_t)most * NAME_BYTES) };
	for (int i = 0; i < n; i++)
		add(l, prefix, r->model->params[i].name, r->model->params[i].value);
	for (int i = 0; i < n && with_state; i++)
		for (int k = 0; k < t->n_state; k++) {
			nn_trainer_state_name(t, i, k, name);
			add(l, "optimizer.", name, t->state[i * t->n_state + k]);
		}
}

static void list_release(struct tensor_list *l)
{
	mem_free(l->items);
	mem_free(l->names);
}

static cJSON *file_body(const char *file, const struct file_facts *facts)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddStringToObject(body, "file", file);
	cJSON_AddStringToObject(body, "sha256", facts->sha256);
	cJSON_AddNumberToObject(body, "bytes", (double)facts->n_bytes);
	return body;
}

bool save_checkpoint(struct run *r, const char *kind)
{
	char file[64], *path;
	struct file_facts facts;
	struct tensor_list list;
	cJSON *body;

	snprintf(file, sizeof file, "%s-%lld.safetensors", kind, (long long)r->at.step);
	path = mem_printf("%s/%s", r->folder, file);
	list_init(&list, r, "model.", true);
	checkpoint_write(path, &r->at, list.items, list.n, &facts, &r->err);
	list_release(&list);
	mem_free(path);
	if (r->err.status)
		return false;
	tell_flush(&r->tell); /* a checkpoint exists only after every point up to its step */
	tell_progress(&r->tell, r->at.step, r->at.epoch, "train", true);
	body = file_body(file, &facts);
	cJSON_AddNumberToObject(body, "step", (double)r->at.step);
	cJSON_AddStringToObject(body, "kind", kind);
	link_send(r->link, PROTO_CHECKPOINT, body);
	r->saved_ms = clock_monotonic_ms();
	if (!strcmp(kind, "last"))
		r->saved_step = r->at.step;
	return true;
}

bool load_checkpoint(struct run *r)
{
	const char *file = json_string(r->resume, "file", "");
	char *path = mem_printf("%s/%s", r->folder, file);
	struct tensor_list list;

	list_init(&list, r, "model.", true);
	checkpoint_read(path, json_string(r->resume, "sha256", ""), &r->at, list.items, list.n, &r->err);
	list_release(&list);
	mem_free(path);
	if (r->err.status)
		return false;
	if (r->at.seed != (uint64_t)r->spec.seed || r->at.step > r->n_steps || r->at.batch >= r->n_batches)
		err_set(&r->err, TD_CORRUPT, "%s is of step %lld and seed %llu; it does not belong to this job", file,
			(long long)r->at.step, (unsigned long long)r->at.seed);
	r->saved_step = r->at.step;
	return !r->err.status;
}

bool save_model(struct run *r)
{
	static const char file[] = "model.safetensors";
	cJSON *metadata = cJSON_CreateObject(), *body;
	struct file_facts facts;
	struct tensor_list list;
	char *path = mem_printf("%s/%s", r->folder, file);

	cJSON_AddStringToObject(metadata, "format", "pt"); /* what readers of PyTorch's weights look for */
	list_init(&list, r, "", false);
	safetensors_write(path, list.items, list.n, metadata, &facts, &r->err);
	list_release(&list);
	mem_free(path);
	cJSON_Delete(metadata);
	if (r->err.status)
		return false;
	body = file_body(file, &facts);
	cJSON_AddStringToObject(body, "name", file);
	cJSON_AddStringToObject(body, "media_type", "application/octet-stream");
	link_send(r->link, PROTO_ARTIFACT, body);
	return true;
}
