/* The samples of the steps that a replay looks at: what they are, and what the model saw and said of them. */
#include "worker/replay.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SAMPLES_MOST  1024       /* of all batches together; of the others only their number is told */
#define PICTURES_MOST 256        /* files */
#define PICTURE_MOST  (8u << 20) /* bytes of one */
#define SHARE_LEAST   0.001f     /* smaller ones are not listed */

static bool write_file(const char *path, const struct buf *bytes)
{
	FILE *f = fopen(path, "we");
	bool ok = f && fwrite(bytes->data, bytes->len, 1, f) == 1;

	return f && !fclose(f) && ok;
}

/* It is on disk when the whole folder is (replay.c): waiting for each would take longer than the step. */
static bool write_picture(struct replay *p, int64_t row, int id)
{
	struct run *r = &p->run;
	const char *x = (const char *)r->room.x + (size_t)row * td_shape_bytes(&r->facts->x);
	char name[40], *path;
	struct buf png;
	bool ok;

	if (id >= PICTURES_MOST || r->facts->x.dtype != TD_F32)
		return false;
	buf_init(&png, PICTURE_MOST);
	snprintf(name, sizeof name, REPLAY_SAMPLE, id);
	path = mem_printf("%s/%s", r->folder, name);
	ok = loader_grid_png(r->loader, (const float *)(const void *)x, 1, &png) && write_file(path, &png);
	buf_release(&png);
	mem_free(path);
	return ok;
}

/* A mixed sample is some of one class and some of another: [["Sandal", 0.7], ...]. */
static cJSON *shares_json(const struct run *r, const float *share)
{
	cJSON *list = cJSON_CreateArray();

	for (int k = 0; k < r->facts->n_classes; k++) {
		cJSON *pair;

		if (!(share[k] >= SHARE_LEAST))
			continue;
		pair = cJSON_CreateArray();
		cJSON_AddItemToArray(pair, cJSON_CreateString(loader_class_name(r->loader, k)));
		cJSON_AddItemToArray(pair, json_number(share[k]));
		cJSON_AddItemToArray(list, pair);
	}
	return list;
}

static cJSON *label_json(const struct run *r, int64_t row)
{
	int64_t each = td_shape_count(&r->facts->y);

	switch (r->facts->target) {
	case DATA_CLASS: return cJSON_CreateString(loader_class_name(r->loader, ((const int64_t *)r->room.y)[row]));
	case DATA_SHARES: return shares_json(r, (const float *)r->room.y + row * each);
	case DATA_VALUES: return report_values(r->loader, (const float *)r->room.y + row * each, each, false);
	case DATA_TOKENS: break; /* a label for each token: they are in the value "target" */
	}
	return cJSON_CreateNull();
}

static cJSON *sample_json(struct replay *p, int batch, int64_t row, int64_t position)
{
	cJSON *o = cJSON_CreateObject(), *shown = loader_sample_json(p->run.loader, DATA_TRAIN, position);
	int id = cJSON_GetArraySize(p->samples);

	cJSON_AddNumberToObject(o, "id", id);
	cJSON_AddNumberToObject(o, "step", (double)(p->run.at.step + 1));
	cJSON_AddNumberToObject(o, "batch", batch);
	cJSON_AddNumberToObject(o, "row", (double)row);
	cJSON_AddNumberToObject(o, "sample", (double)json_int(shown, "index", position));
	cJSON_AddItemToObject(o, "label", label_json(&p->run, row));
	cJSON_AddItemToObject(o, "text",
		json_get(shown, "text") ? cJSON_Duplicate(json_get(shown, "text"), true) : cJSON_CreateNull());
	if (json_get(shown, "row"))
		cJSON_AddItemToObject(o, "columns", cJSON_Duplicate(json_get(shown, "row"), true));
	cJSON_AddBoolToObject(o, "image", write_picture(p, row, id));
	cJSON_AddNullToObject(o, "loss");
	cJSON_AddNullToObject(o, "prediction");
	cJSON_Delete(shown);
	return o;
}

static void see_batch(void *arg, int i, const struct batch *b, const int64_t *order, int64_t first)
{
	struct replay *p = arg;
	cJSON *o;

	if (!p->recorded)
		return;
	recording_batch(&p->recording, i, &b->of, b->n);
	if (!p->batches)
		p->batches = cJSON_CreateArray();
	o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "n", (double)b->n);
	cJSON_AddNumberToObject(o, "first_sample", cJSON_GetArraySize(p->samples));
	cJSON_AddItemToArray(p->batches, o);
	p->first_sample = cJSON_GetArraySize(p->samples);
	for (int64_t row = 0; row < b->n && cJSON_GetArraySize(p->samples) < SAMPLES_MOST; row++)
		cJSON_AddItemToArray(p->samples, sample_json(p, i, row, order[first + row]));
}

static void see_answers(void *arg, int i, const struct nn_answers *a)
{
	struct replay *p = arg;
	cJSON *sample = p->recorded ? cJSON_GetArrayItem(p->samples, p->first_sample) : NULL;

	(void)i;
	for (int64_t row = 0; sample && row < a->n; row++, sample = sample->next) {
		cJSON_ReplaceItemInObjectCaseSensitive(sample, "loss", json_number(answers_loss(a, row, NAN)));
		if (p->run.facts->target == DATA_CLASS || p->run.facts->target == DATA_SHARES)
			cJSON_ReplaceItemInObjectCaseSensitive(sample, "prediction",
				cJSON_CreateString(loader_class_name(p->run.loader, nn_prediction(a, row))));
		else if (p->run.facts->target == DATA_VALUES)
			cJSON_ReplaceItemInObjectCaseSensitive(sample, "prediction",
				report_values(p->run.loader, a->answer + row * a->width, a->width, true));
	}
}

void replay_watch(struct replay *p)
{
	p->watch = (struct run_watch){ .batch = see_batch, .answers = see_answers, .arg = p };
	p->run.watch = &p->watch;
	p->run.tell.point = compare_point;
	p->run.tell.arg = p;
}
