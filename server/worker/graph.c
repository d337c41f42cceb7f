/* The traced step, for drawing: its nodes, with the layers that they belong to. */
#include "worker/run.h"

#include <stdio.h>
#include <string.h>

#define TITLE 200 /* bytes of "conv2d features.0" */

struct drawing {
	const struct run *run;
	cJSON *nodes;
};

/* "conv2d 0" for the path "0" of a layer; other paths ("loss", "optimizer") as they are. */
static const char *layer_title(const struct run *r, const char *path, char out[TITLE])
{
	for (int i = 0; i < r->model->n_layers; i++) {
		const struct nn_layer *l = &r->model->layers[i];
		if (!strcmp(l->name, path)) {
			snprintf(out, TITLE, "%s %s", l->type->type.name, l->name);
			return out;
		}
	}
	return path;
}

/* The title of the layer that parameter P is one of. */
static const char *owner_title(const struct run *r, int p, char out[TITLE])
{
	for (int i = 0; i < r->model->n_layers; i++)
		for (int k = 0; k < r->model->layers[i].n_params; k++)
			if (r->model->layers[i].param_at[k] == p)
				return layer_title(r, r->model->layers[i].name, out);
	return "model";
}

/* What an input of the graph is, and to which layer it belongs: its parameter, the optimizer's state, or fed at each
 * step. */
static void describe_input(const struct run *r, const char *name, cJSON *o)
{
	const char *op = "input", *layer = NULL;
	char title[TITLE];

	for (int i = 0; i < r->model->n_params && !layer; i++) {
		const char *param = r->model->params[i].name;
		size_t n = strlen(param);

		if (!strcmp(param, name)) {
			op = "parameter";
			layer = owner_title(r, i, title);
		} else if (!strncmp(param, name, n) && name[n] == '.') {
			op = "state";
			layer = "optimizer";
		}
	}
	if (layer)
		cJSON_AddStringToObject(o, "layer", layer);
	cJSON_AddStringToObject(o, "op", op);
	cJSON_AddStringToObject(o, "name", name);
}

static void add_node(void *arg, const td_node_view *n)
{
	const struct drawing *d = arg;
	cJSON *o = cJSON_CreateObject(), *list;
	char title[TITLE];

	cJSON_AddNumberToObject(o, "id", n->id);
	if (n->op) {
		cJSON_AddStringToObject(o, "op", n->op);
		cJSON_AddStringToObject(o, "layer", layer_title(d->run, n->name, title));
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

	if (!nn_trainer_draw(r->trainer, &b->of, add_node, &d, &r->err))
		return graph;
	cJSON_Delete(graph);
	return NULL;
}
