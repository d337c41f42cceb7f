/* The report: what a trained model is worth, on numbers and on samples; what it cost; and what was computed.
 *
 * "splits" has figures {value, standard_error} for each split, "confusion" counts test samples (row: label, column:
 * prediction), "per_class" says how well each class is found, "samples" shows the first test samples and those wrong
 * ones that the model was surest of, with their pictures: bytes in base64, row by row, a pixel's channels together. */
#include "worker/run.h"
#include "base/clock.h"

#include <math.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SAMPLES_FIRST 32          /* samples from the split's beginning, right or wrong */
#define SAMPLES_WRONG 96          /* of the wrong ones, those the model was surest of */
#define IMAGE_MOST    (32 * 1024) /* bytes of an image that a report shows; keeps it far below a message's cap */

static const struct data_info *info_of(const struct run *r)
{
	return spec_dataset(&r->spec);
}

static int label_of(const struct evaluation *e, int64_t i)
{
	return e->view->data->part[e->view->part].labels[e->view->index[i]];
}

/* ---- Splits ---------------------------------------------------------------------------------------------------- */

static cJSON *figure_json(const struct figure *f)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddItemToObject(o, "value", json_number(figure_mean(f)));
	cJSON_AddItemToObject(o, "standard_error", json_number(figure_error(f)));
	return o;
}

static void add_split(const struct run *r, cJSON *splits, const char *name, const struct evaluation *e)
{
	cJSON *o = cJSON_AddObjectToObject(splits, name);

	cJSON_AddNumberToObject(o, "samples", (double)e->n);
	cJSON_AddNumberToObject(o, "of", (double)e->view->n);
	cJSON_AddItemToObject(o, "loss", figure_json(&e->loss));
	for (int i = 0; i < r->spec.metrics.n; i++)
		cJSON_AddItemToObject(o, r->spec.metrics.items[i].type->name, figure_json(&e->metric[i]));
}

/* ---- Classes --------------------------------------------------------------------------------------------------- */

static int64_t *count_confusion(const struct evaluation *e, int n_classes)
{
	int64_t *count = MEM_NEW_N(int64_t, n_classes * n_classes); /* [label][prediction] */

	for (int64_t i = 0; i < e->n; i++)
		count[label_of(e, i) * n_classes + e->prediction[i]]++;
	return count;
}

static cJSON *confusion_json(const int64_t *count, int n_classes)
{
	cJSON *rows = cJSON_CreateArray();

	for (int i = 0; i < n_classes; i++) {
		cJSON *row = cJSON_CreateArray();
		for (int k = 0; k < n_classes; k++)
			cJSON_AddItemToArray(row, cJSON_CreateNumber((double)count[i * n_classes + k]));
		cJSON_AddItemToArray(rows, row);
	}
	return rows;
}

/* 0 where nothing was predicted or nothing was there, as scikit-learn has it. */
static double ratio(int64_t part, int64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static cJSON *classes_json(const int64_t *count, const struct data_info *info)
{
	cJSON *list = cJSON_CreateArray();
	int n = info->n_classes;

	for (int i = 0; i < n; i++) {
		int64_t right = count[i * n + i], labelled = 0, predicted = 0;
		cJSON *o = cJSON_CreateObject();

		for (int k = 0; k < n; k++) {
			labelled += count[i * n + k];
			predicted += count[k * n + i];
		}
		cJSON_AddStringToObject(o, "name", info->class_names[i]);
		cJSON_AddNumberToObject(o, "support", (double)labelled);
		cJSON_AddNumberToObject(o, "precision", ratio(right, predicted));
		cJSON_AddNumberToObject(o, "recall", ratio(right, labelled));
		cJSON_AddNumberToObject(o, "f1", ratio(2 * right, labelled + predicted));
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

/* ---- Samples --------------------------------------------------------------------------------------------------- */

static cJSON *image_json(const struct data_info *info, const uint8_t *planes)
{
	int64_t area = info->height * info->width, n = info->channels * area;
	uint8_t *pixels = mem_alloc((size_t)n);
	char *text = mem_alloc(BASE64_ENCODE_RAW_LENGTH((size_t)n) + 1);
	cJSON *o = cJSON_CreateObject();

	for (int64_t i = 0; i < n; i++)
		pixels[i] = planes[i % info->channels * area + i / info->channels];
	base64_encode_raw(text, (size_t)n, pixels);
	cJSON_AddNumberToObject(o, "width", (double)info->width);
	cJSON_AddNumberToObject(o, "height", (double)info->height);
	cJSON_AddNumberToObject(o, "channels", (double)info->channels);
	cJSON_AddStringToObject(o, "data", text);
	mem_free(text);
	mem_free(pixels);
	return o;
}

static cJSON *sample_json(const struct data_info *info, const struct evaluation *e, int64_t i)
{
	int64_t size = info->channels * info->height * info->width;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "split", "test");
	cJSON_AddNumberToObject(o, "index", (double)e->view->index[i]);
	cJSON_AddNumberToObject(o, "label", label_of(e, i));
	cJSON_AddNumberToObject(o, "prediction", e->prediction[i]);
	cJSON_AddItemToObject(o, "probability", json_number((double)e->probability[i]));
	cJSON_AddBoolToObject(o, "wrong", e->prediction[i] != label_of(e, i));
	if (size <= IMAGE_MOST)
		cJSON_AddItemToObject(o, "image",
			image_json(info, e->view->data->part[e->view->part].images + e->view->index[i] * size));
	return o;
}

struct ranked {
	float probability;
	int64_t i;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->probability != y->probability && !isnan(x->probability) && !isnan(y->probability))
		return x->probability > y->probability ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

static cJSON *samples_json(const struct data_info *info, const struct evaluation *e)
{
	struct ranked *wrong = MEM_NEW_N(struct ranked, e->n);
	cJSON *list = cJSON_CreateArray();
	int64_t n = 0;

	for (int64_t i = 0; i < e->n; i++) {
		if (i < SAMPLES_FIRST)
			cJSON_AddItemToArray(list, sample_json(info, e, i));
		else if (e->prediction[i] != label_of(e, i))
			wrong[n++] = (struct ranked){ e->probability[i], i };
	}
	qsort(wrong, (size_t)n, sizeof *wrong, compare_ranked);
	for (int64_t i = 0; i < TD_MIN(n, SAMPLES_WRONG); i++)
		cJSON_AddItemToArray(list, sample_json(info, e, wrong[i].i));
	mem_free(wrong);
	return list;
}

/* ---- All of it ------------------------------------------------------------------------------------------------- */

static void add_costs(const struct run *r, cJSON *report)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	cJSON_AddNumberToObject(report, "time_s", (double)(clock_monotonic_ms() - r->began_ms) / 1e3);
	cJSON_AddNumberToObject(report, "train_s", (double)r->train_ns / 1e9);
	cJSON_AddNumberToObject(
		report, "samples_per_second", r->train_ns ? (double)r->train_samples * 1e9 / (double)r->train_ns : 0);
	cJSON_AddNumberToObject(report, "peak_bytes", (double)usage.ru_maxrss * 1024);
}

cJSON *report_json(struct run *r, const struct evaluation *train, const struct evaluation *validation,
	const struct evaluation *test)
{
	const struct data_info *info = info_of(r);
	int64_t *count = count_confusion(test, info->n_classes);
	cJSON *report = cJSON_CreateObject(), *splits;

	cJSON_AddStringToObject(report, "loss", r->spec.loss.type->name);
	cJSON_AddStringToObject(report, "dataset", info->name);
	cJSON_AddItemToObject(report, "classes", cJSON_CreateStringArray(info->class_names, info->n_classes));
	splits = cJSON_AddObjectToObject(report, "splits");
	add_split(r, splits, "train", train);
	if (validation)
		add_split(r, splits, "validation", validation);
	add_split(r, splits, "test", test);
	cJSON_AddItemToObject(report, "confusion", confusion_json(count, info->n_classes));
	cJSON_AddItemToObject(report, "per_class", classes_json(count, info));
	cJSON_AddItemToObject(report, "samples", samples_json(info, test));
	add_costs(r, report);
	mem_free(count);
	return report;
}

cJSON *engine_json(const struct run *r)
{
	td_counters c = td_ctx_counters(r->c);
	cJSON *o = cJSON_CreateObject(), *counters;

	cJSON_AddStringToObject(o, "fingerprint", td_fingerprint());
	cJSON_AddStringToObject(o, "mode", r->spec.mode == SPEC_GRAPH ? "graph" : "eager");
	cJSON_AddNumberToObject(o, "threads", r->threads);
	counters = cJSON_AddObjectToObject(o, "counters");
	cJSON_AddNumberToObject(counters, "dispatched", (double)c.dispatched);
	cJSON_AddNumberToObject(counters, "recorded", (double)c.recorded);
	cJSON_AddNumberToObject(counters, "replayed", (double)c.replayed);
	cJSON_AddNumberToObject(counters, "plans", (double)c.plans);
	cJSON_AddNumberToObject(counters, "bindings", (double)c.bindings);
	cJSON_AddNumberToObject(counters, "arena_bytes", (double)c.arena_bytes);
	cJSON_AddNumberToObject(counters, "peak_bytes", (double)c.peak_bytes);
	return o;
}

/* ---- The graph ------------------------------------------------------------------------------------------------- */

struct drawing {
	const struct run *run;
	cJSON *nodes;
};

/* "conv2d 0" for the path "0" of a layer; other paths ("loss", "optimizer") as they are. */
static const char *layer_title(const struct run *r, const char *path, char *out, size_t size)
{
	for (int i = 0; i < r->model->n_layers; i++) {
		const struct nn_layer *l = &r->model->layers[i];
		if (!strcmp(l->name, path)) {
			snprintf(out, size, "%s %s", l->type->type.name, l->name);
			return out;
		}
	}
	return path;
}

/* What an input of the graph is, and to which layer it belongs: its parameter, the optimizer's state, or fed at each
 * step. */
static void describe_input(const struct run *r, const char *name, cJSON *o)
{
	const char *op = "input";
	char title[64];

	for (int i = 0; i < r->model->n_params; i++) {
		const char *param = r->model->params[i].name;
		size_t n = strlen(param);

		if (!strcmp(param, name)) {
			char *layer = mem_strndup(name, strcspn(name, "."));
			op = "parameter";
			cJSON_AddStringToObject(o, "layer", layer_title(r, layer, title, sizeof title));
			mem_free(layer);
		} else if (!strncmp(param, name, n) && name[n] == '.') {
			op = "state";
			cJSON_AddStringToObject(o, "layer", "optimizer");
		}
	}
	cJSON_AddStringToObject(o, "op", op);
	cJSON_AddStringToObject(o, "name", name);
}

static void add_node(void *arg, const td_node_view *n)
{
	const struct drawing *d = arg;
	cJSON *o = cJSON_CreateObject(), *list;
	char title[64];

	cJSON_AddNumberToObject(o, "id", n->id);
	if (n->op) {
		cJSON_AddStringToObject(o, "op", n->op);
		cJSON_AddStringToObject(o, "layer", layer_title(d->run, n->name, title, sizeof title));
	} else {
		describe_input(d->run, n->name, o);
	}
	cJSON_AddStringToObject(o, "dtype", td_dtype_name(n->shape.dtype));
	list = cJSON_AddArrayToObject(o, "shape");
	for (int i = 0; i < n->shape.rank; i++)
		cJSON_AddItemToArray(list, cJSON_CreateNumber((double)n->shape.dim[i]));
	list = cJSON_AddArrayToObject(o, "inputs");
	for (int i = 0; i < n->n_inputs; i++)
		cJSON_AddItemToArray(list, cJSON_CreateNumber(n->inputs[i]));
	cJSON_AddBoolToObject(o, "backward", n->backward);
	cJSON_AddItemToArray(d->nodes, o);
}

cJSON *graph_json(struct run *r, const struct batch *b)
{
	cJSON *graph = cJSON_CreateObject();
	struct drawing d = { .run = r, .nodes = cJSON_AddArrayToObject(graph, "nodes") };

	if (!nn_trainer_draw(r->trainer, b->images, b->labels, add_node, &d, &r->err))
		return graph;
	cJSON_Delete(graph);
	return NULL;
}
