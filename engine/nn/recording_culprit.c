/* The culprit: where a step stopped being finite.
 *
 * The first non-finite value of a step need not matter: a mask may hold minus infinity on purpose.  So the walk goes
 * back from the loss, or else the gradient norm, through what is not finite alone, and ends at ops whose inputs are all
 * finite and at values that came in; the earliest of those is to blame. */
#include "nn/recording.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MOST 400

struct walk {
	const struct recording *r;
	bool *seen;    /* owned; by value */
	int *stack, n; /* owned; values to look at */
	int culprit;   /* value; -1: none yet */
};

/* Values are numbered as they appear, so the smallest number came first. */
static void blame(struct walk *w, int value)
{
	if (w->culprit < 0 || value < w->culprit)
		w->culprit = value;
}

static void push(struct walk *w, int value)
{
	if (w->seen[value])
		return;
	w->seen[value] = true;
	w->stack[w->n++] = value;
}

static void visit(struct walk *w, int value)
{
	const struct recording_value *v = &w->r->values[value];
	const struct recording_node *n;
	bool finite = true;

	if (v->producer < 0) {
		blame(w, value);
		return;
	}
	n = &w->r->nodes[v->producer];
	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0 && w->r->values[n->in[i]].n_non_finite) {
			finite = false;
			push(w, n->in[i]);
		}
	if (finite)
		blame(w, value);
}

/* The values called NAME of STEP that are not finite: a step has one gradient norm, and a loss for each of its batches.
 */
static bool push_named(struct walk *w, int64_t step, const char *name)
{
	for (int i = 0; i < w->r->n_values; i++) {
		const struct recording_value *v = &w->r->values[i];

		if (v->step == step && v->n_non_finite && !strcmp(v->name, name) && v->kind == RECORDING_ACTIVATION)
			push(w, i);
	}
	return w->n > 0;
}

static cJSON *shape_json(const td_shape *s)
{
	cJSON *list = cJSON_CreateArray();

	for (int i = 0; i < s->rank; i++)
		cJSON_AddItemToArray(list, cJSON_CreateNumber((double)s->dim[i]));
	return list;
}

static cJSON *id_json(int id)
{
	return id < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(id);
}

static cJSON *inputs_json(const struct recording *r, const struct recording_node *n)
{
	cJSON *list = cJSON_CreateArray();

	for (int i = 0; n && i < n->n_in; i++) {
		const struct recording_value *v = n->in[i] < 0 ? NULL : &r->values[n->in[i]];
		cJSON *o;

		if (!v)
			continue;
		o = cJSON_CreateObject();
		cJSON_AddNumberToObject(o, "value", n->in[i]);
		cJSON_AddStringToObject(o, "name", v->name);
		cJSON_AddItemToObject(o, "shape", shape_json(&v->shape));
		cJSON_AddItemToObject(o, "min", isfinite(v->min) ? cJSON_CreateNumber(v->min) : cJSON_CreateNull());
		cJSON_AddItemToObject(o, "max", isfinite(v->max) ? cJSON_CreateNumber(v->max) : cJSON_CreateNull());
		cJSON_AddNumberToObject(o, "non_finite", (double)v->n_non_finite);
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

static cJSON *samples_json(const struct recording_value *v)
{
	cJSON *list = v->n_rows ? cJSON_CreateArray() : cJSON_CreateNull();

	for (int i = 0; i < TD_MIN(v->n_rows, RECORDING_ROWS_MOST); i++)
		cJSON_AddItemToArray(list, cJSON_CreateNumber((double)v->row[i]));
	return list;
}

static void add_ranges(const struct recording *r, const struct recording_node *n, char text[TEXT_MOST])
{
	size_t at = strlen(text);
	const char *between = ", from ";

	for (int i = 0; i < n->n_in && at < TEXT_MOST - 1; i++) {
		const struct recording_value *v = n->in[i] < 0 ? NULL : &r->values[n->in[i]];

		if (!v || !isfinite(v->min))
			continue;
		at += (size_t)snprintf(text + at, TEXT_MOST - at, "%s%s%s%g .. %g", between, v->name,
			*v->name ? " in " : "", v->min, v->max);
		between = ", ";
	}
}

static void describe(const struct recording *r, const struct recording_value *v, char text[TEXT_MOST])
{
	const struct recording_node *n = v->producer < 0 ? NULL : &r->nodes[v->producer];
	long long bad = v->n_non_finite, all = td_shape_count(&v->shape);

	if (n) {
		snprintf(text, TEXT_MOST, "%s%s%s (%s) made %lld of its %lld values not finite", n->op,
			*n->layer ? " in layer " : "", n->layer, recording_phase_names[n->phase], bad, all);
		add_ranges(r, n, text);
	} else if (v->kind == RECORDING_INPUT) {
		snprintf(text, TEXT_MOST, "%lld of %lld values of the batch's %s are not finite", bad, all, v->name);
	} else if (v->step == 1) {
		snprintf(text, TEXT_MOST,
			"%lld of %lld values of %s were not finite from the start: look at the weights that the job "
			"begins with",
			bad, all, v->name);
	} else {
		snprintf(text, TEXT_MOST,
			"%lld of %lld values of %s were not finite before step %lld: the update of a step before it "
			"made them; replay that one",
			bad, all, v->name, (long long)v->step);
	}
}

static cJSON *culprit_json(const struct recording *r, int64_t step, const char *what, int value)
{
	const struct recording_value *v = &r->values[value];
	const struct recording_node *n = v->producer < 0 ? NULL : &r->nodes[v->producer];
	cJSON *o = cJSON_CreateObject();
	char text[TEXT_MOST];

	describe(r, v, text);
	cJSON_AddNumberToObject(o, "step", (double)step);
	cJSON_AddStringToObject(o, "what", what);
	cJSON_AddItemToObject(o, "node", id_json(v->producer));
	cJSON_AddNumberToObject(o, "value", value);
	cJSON_AddStringToObject(o, "kind", n ? "op" : v->kind == RECORDING_INPUT ? "input" : "parameter");
	cJSON_AddItemToObject(o, "op", n ? cJSON_CreateString(n->op) : cJSON_CreateNull());
	cJSON_AddStringToObject(o, "name", v->name);
	cJSON_AddStringToObject(o, "layer", n ? n->layer : "");
	cJSON_AddItemToObject(o, "phase", n ? cJSON_CreateString(recording_phase_names[n->phase]) : cJSON_CreateNull());
	cJSON_AddNumberToObject(o, "batch", v->batch);
	cJSON_AddItemToObject(o, "inputs", inputs_json(r, n));
	cJSON_AddItemToObject(o, "samples", samples_json(v));
	cJSON_AddNumberToObject(o, "n_samples", (double)v->n_rows);
	cJSON_AddStringToObject(o, "text", text);
	return o;
}

cJSON *recording_culprit(const struct recording *r, int64_t step)
{
	struct walk w = { .r = r,
		.seen = MEM_NEW_N(bool, r->n_values + 1),
		.stack = MEM_NEW_N(int, r->n_values + 1),
		.culprit = -1 };
	const char *what = push_named(&w, step, "loss")        ? "loss"
			   : push_named(&w, step, "grad_norm") ? "grad_norm"
							       : NULL;

	while (w.n)
		visit(&w, w.stack[--w.n]);
	mem_free(w.seen);
	mem_free(w.stack);
	return what && w.culprit >= 0 ? culprit_json(r, step, what, w.culprit) : NULL;
}
