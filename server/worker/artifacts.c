/* What a job leaves behind: weights, the best weights, how its inputs are prepared, its model as Python, and a picture
 * of what it saw. */
#include "worker/run.h"

#include <stdio.h>
#include <string.h>

#define PYTHON_MOST  (4u << 20)  /* bytes of a model as source */
#define ABOUT_MOST   (1u << 20)  /* of these about its inputs */
#define PICTURE_MOST (32u << 20) /* bytes of samples.png: 64 images of 400 x 400 */

static void announce(struct run *r, const char *file, const char *media_type, const struct file_facts *facts)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddStringToObject(body, "name", file);
	cJSON_AddStringToObject(body, "file", file);
	cJSON_AddStringToObject(body, "sha256", facts->sha256);
	cJSON_AddNumberToObject(body, "bytes", (double)facts->n_bytes);
	cJSON_AddStringToObject(body, "media_type", media_type);
	link_send(r->link, PROTO_ARTIFACT, body);
}

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

/* The average of the model's tensor NAME in a checkpoint, or that tensor. */
static struct stored_tensor averaged(const struct safetensors *file, const struct stored_tensor *model)
{
	char *name = mem_printf("%s%s", CHECKPOINT_AVERAGE, model->name + strlen(CHECKPOINT_MODEL));
	const struct stored_tensor *average = safetensors_find(file, name);
	struct stored_tensor t = average ? *average : *model;

	mem_free(name);
	t.name = model->name + strlen(CHECKPOINT_MODEL);
	return t;
}

td_status weights_read(const char *path, int64_t bytes_most, struct safetensors *out, struct err *e)
{
	size_t prefix = strlen(CHECKPOINT_MODEL);
	struct stored_tensor *own;
	int n = 0;

	if (safetensors_read(path, bytes_most, out, e))
		return e->status;
	if (strcmp(json_string(out->metadata, "format", ""), "tandem-checkpoint") != 0)
		return TD_OK;
	own = MEM_NEW_N(struct stored_tensor, TD_MAX(out->n, 1));
	for (int i = 0; i < out->n; i++)
		if (!strncmp(out->items[i].name, CHECKPOINT_MODEL, prefix))
			own[n++] = averaged(out, &out->items[i]);
	memcpy(out->items, own, sizeof *own * (size_t)n);
	out->n = n;
	mem_free(own);
	return TD_OK;
}

static bool write_weights(struct run *r, const char *file, const struct named_tensor *tensors, int n)
{
	cJSON *metadata = cJSON_CreateObject();
	char *path = mem_printf("%s/%s", r->folder, file);
	struct file_facts facts;

	cJSON_AddStringToObject(metadata, "format", "pt"); /* what readers of PyTorch's weights look for */
	safetensors_write(path, tensors, n, metadata, &facts, &r->err);
	mem_free(path);
	cJSON_Delete(metadata);
	if (!r->err.status)
		announce(r, file, "application/octet-stream", &facts);
	return !r->err.status;
}

static bool save_last(struct run *r)
{
	struct named_tensor *list = MEM_NEW_N(struct named_tensor, TD_MAX(r->model->n_params, 1));
	bool ok;

	for (int i = 0; i < r->model->n_params; i++)
		list[i] = (struct named_tensor){ r->model->params[i].name, nn_trainer_weight(r->trainer, i) };
	ok = write_weights(r, "model.safetensors", list, r->model->n_params);
	mem_free(list);
	return ok;
}

/* The best checkpoint's weights alone.  A lost file costs the job this artifact and not all others. */
static bool save_best(struct run *r)
{
	char *path = mem_printf("%s/best-%lld.safetensors", r->folder, (long long)r->at.best_step);
	struct named_tensor *list = NULL;
	struct safetensors file;
	struct err why = { 0 };
	bool ok = true;

	if (weights_read(path, r->spec.resources.memory_mb << 20, &file, &why)) {
		tell_log(&r->tell, "warning", "there are no best weights to keep: %s", why.text);
		mem_free(path);
		return true;
	}
	list = MEM_NEW_N(struct named_tensor, TD_MAX(file.n, 1));
	for (int i = 0; i < file.n; i++)
		list[i] = (struct named_tensor){ file.items[i].name,
			td_tensor(r->c, &file.items[i].shape, file.items[i].bytes) };
	if (td_error(r->c)->status)
		ok = err_set(&r->err, td_error(r->c)->status, "the best weights: %s", td_error(r->c)->text) == TD_OK;
	ok = ok && write_weights(r, "best.safetensors", list, file.n);
	for (int i = 0; i < file.n; i++)
		td_unref(list[i].value);
	mem_free(list);
	safetensors_release(&file);
	mem_free(path);
	return ok;
}

/* ---- Texts and pictures ------------------------------------------------------------------------------------------ */

static bool write_bytes(struct run *r, const char *file, const char *media_type, const char *bytes, size_t n)
{
	char *path = mem_printf("%s/%s", r->folder, file);
	struct file_facts facts = { .n_bytes = (int64_t)n };

	sha256_of(bytes, n, facts.sha256);
	file_write(path, bytes, n, &r->err);
	mem_free(path);
	if (!r->err.status)
		announce(r, file, media_type, &facts);
	return !r->err.status;
}

static bool save_preprocessing(struct run *r)
{
	cJSON *o = cJSON_CreateObject();
	char *text;
	bool ok;

	cJSON_AddNumberToObject(o, "version", 1);
	cJSON_AddItemToObject(o, "options", cJSON_Duplicate(json_get(r->document, "data"), true));
	cJSON_AddItemToObject(o, "state", loader_state(r->loader));
	text = json_print(o);
	ok = write_bytes(r, "preprocessing.json", "application/json", text, strlen(text));
	mem_free(text);
	cJSON_Delete(o);
	return ok;
}

static bool save_pytorch(struct run *r)
{
	struct buf text, about;
	bool ok;

	buf_init(&text, PYTHON_MOST);
	buf_init(&about, ABOUT_MOST);
	loader_describe(r->loader, &about);
	nn_model_pytorch(r->model, about.len ? about.data : "", &text);
	buf_release(&about);
	ok = !text.len || write_bytes(r, "pytorch.py", "text/x-python", text.data, text.len);
	buf_release(&text);
	return ok;
}

bool save_artifacts(struct run *r)
{
	return save_last(r) && (!r->at.best_step || save_best(r)) && save_preprocessing(r) && save_pytorch(r);
}

bool save_samples(struct run *r)
{
	int64_t n = TD_MIN(r->spec.data.batch_size, r->facts->n[DATA_TRAIN]);
	int64_t *order = MEM_NEW_N(int64_t, r->facts->n[DATA_TRAIN]);
	struct buf png;
	bool ok;

	loader_order(r->loader, 0, order);
	buf_init(&png, PICTURE_MOST);
	ok = run_batch(r, DATA_TRAIN, 0, order, 0, n);
	if (ok && r->facts->x.dtype == TD_F32 &&
		loader_grid_png(r->loader, r->room.x, TD_MIN(n, r->spec.log.images), &png))
		ok = write_bytes(r, "samples.png", "image/png", png.data, png.len);
	else if (ok)
		tell_log(&r->tell, "info", "no samples.png: these samples are no images");
	buf_release(&png);
	mem_free(order);
	return ok;
}
