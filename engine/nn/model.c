/* The model builder: from a list of layers and the shape of a batch to shapes, parameters and costs, then to weights.
 *
 * Building is symbolic: every layer's forward pass is recorded once on placeholders in a graph that is thrown away, so
 * the ops' shape rules are the only ones, and a checker can build a model that no memory could hold. */
#include "nn/nn.h"

#include <stdio.h>
#include <string.h>

struct nn_builder {
	td_ctx *c;
	struct nn_model *model;
	struct faults *faults;
	size_t param_cap; /* room in the model's parameters */
	char source[64];  /* what nn_source says */
};

bool nn_refuse(struct nn_builder *b, const struct nn_layer *l, const char *fmt, ...)
{
	char text[sizeof((struct err *)0)->text];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	faults_add(b->faults, l->pointer, "%s", text);
	return false;
}

const char *nn_source(struct nn_builder *b, const struct nn_layer *l)
{
	if (l == b->model->layers)
		return "the data";
	snprintf(b->source, sizeof b->source, "layer %s (%s)", l[-1].name, l[-1].type->type.name);
	return b->source;
}

/* Elements of S, or -1 when that is more than any memory holds. */
static int64_t count_within_limit(const td_shape *s)
{
	int64_t n = 1;

	for (int i = 0; i < s->rank; i++)
		if (__builtin_mul_overflow(n, s->dim[i], &n) || n > NN_ELEMENTS_MOST)
			return -1;
	return n;
}

bool nn_declare(struct nn_builder *b, struct nn_layer *l, const char *name, const td_shape *shape, struct nn_fans fans,
	const struct nn_init_type *init, const void *init_options)
{
	struct nn_model *m = b->model;
	char text[TD_SHAPE_TEXT];
	int64_t count = count_within_limit(shape);
	struct nn_param *p;

	TD_ASSERT(l->n_params < NN_LAYER_PARAMS);
	if (count < 0)
		return nn_refuse(b, l,
			"%s: its %s would be %s, more than the %lld elements that one tensor may have; make it smaller",
			l->type->type.name, name, td_shape_text(shape, text), (long long)NN_ELEMENTS_MOST);
	MEM_GROW(m->params, m->n_params, b->param_cap);
	p = &m->params[m->n_params++];
	*p = (struct nn_param){ .shape = *shape, .fans = fans, .init = init, .init_options = init_options };
	snprintf(p->name, sizeof p->name, "%s.%s", l->name, name);
	m->n_parameters += count;
	l->param[l->n_params++] = td_placeholder(b->c, p->name, shape);
	return true;
}

/* Build layer L on symbol X.  Returns its output, or NULL with a fault. */
static td_value *build_layer(struct nn_builder *b, struct nn_layer *l, td_value *x)
{
	char in[TD_SHAPE_TEXT], out[TD_SHAPE_TEXT];
	td_value *y;
	int64_t count;

	l->in = *td_shape_of(x);
	l->first_param = b->model->n_params;
	if (l->type->build && !l->type->build(b, l))
		return NULL;
	td_name_push(b->c, l->name);
	y = l->type->forward(b->c, l, x, true);
	td_name_pop(b->c);
	if (!y) {
		nn_refuse(b, l, "%s does not fit its input %s from %s: %s", l->type->type.name,
			td_shape_text(&l->in, in), nn_source(b, l), td_error(b->c)->text);
		return NULL;
	}
	l->out = *td_shape_of(y);
	count = count_within_limit(&l->out);
	if (count < 0) {
		nn_refuse(b, l,
			"%s: its output for one batch would be %s, more than the %lld elements that one tensor may "
			"have",
			l->type->type.name, td_shape_text(&l->out, out), (long long)NN_ELEMENTS_MOST);
		return NULL;
	}
	l->flops = (int64_t)(l->type->flops ? TD_MIN(l->type->flops(l), 9e18) : (double)count);
	b->model->flops += (double)l->flops;
	b->model->activation_bytes += (int64_t)td_shape_bytes(&l->out);
	return y;
}

static bool build_layers(struct nn_builder *b, const struct opt_choices *layers)
{
	struct nn_model *m = b->model;
	td_value *x = td_placeholder(b->c, "input", &m->in);

	for (int i = 0; i < layers->n; i++) {
		struct nn_layer *l = &m->layers[m->n_layers++];

		l->type = (const struct nn_layer_type *)layers->items[i].type;
		l->options = layers->items[i].options;
		snprintf(l->name, sizeof l->name, "%d", i);
		snprintf(l->pointer, sizeof l->pointer, "/model/layers/%d", i);
		x = build_layer(b, l, x);
		if (!x)
			return false; /* what follows has no input: one fault, not a row of them */
	}
	m->out = *td_shape_of(x);
	for (int i = 0; i < m->n_layers; i++)
		memset(m->layers[i].param, 0, sizeof m->layers[i].param); /* the symbols go with the graph */
	return true;
}

struct nn_model *nn_model_create(const struct opt_choices *layers, const td_shape *in, struct faults *faults)
{
	struct nn_model *m = MEM_NEW(struct nn_model);
	struct nn_builder b = { .model = m, .faults = faults };
	td_graph *g = td_graph_create();
	bool ok;

	m->in = *in;
	m->layers = MEM_NEW_N(struct nn_layer, layers->n);
	b.c = td_ctx_create(&(td_ctx_options){ .threads = 1 }); /* of its own: the job's counters show the job alone */
	td_trace_begin(b.c, g);
	ok = build_layers(&b, layers);
	td_trace_end(b.c);
	td_graph_free(g);
	td_ctx_free(b.c);
	if (ok)
		return m;
	nn_model_free(m);
	return NULL;
}

void nn_model_free(struct nn_model *m)
{
	if (!m)
		return;
	for (int i = 0; i < m->n_params; i++)
		td_unref(m->params[i].value);
	mem_free(m->params);
	mem_free(m->layers);
	mem_free(m);
}

static td_status allocate_param(struct nn_param *p, td_ctx *c, uint64_t seed)
{
	int64_t count = td_shape_count(&p->shape);
	float *data = mem_try_alloc(TD_MAX(td_shape_bytes(&p->shape), 1));

	if (!data) {
		td_fail(c, TD_NO_MEMORY, "no memory for the initial values of %s", p->name);
		return TD_NO_MEMORY;
	}
	nn_init_fill(p->init, p->init_options, &p->fans, seed, p->name, count, data);
	p->value = td_tensor(c, &p->shape, data);
	mem_free(data);
	if (!p->value)
		return td_error(c)->status;
	td_set_name(p->value, p->name);
	td_require_grad(p->value, true);
	return TD_OK;
}

td_status nn_model_allocate(struct nn_model *m, td_ctx *c, uint64_t seed)
{
	for (int i = 0; i < m->n_params; i++) {
		td_status s = allocate_param(&m->params[i], c, seed);
		if (s)
			return s;
	}
	for (int i = 0; i < m->n_layers; i++)
		for (int k = 0; k < m->layers[i].n_params; k++)
			m->layers[i].param[k] = m->params[m->layers[i].first_param + k].value;
	return TD_OK;
}

td_value *nn_forward(const struct nn_model *m, td_ctx *c, td_value *x, bool training)
{
	for (int i = 0; i < m->n_layers; i++) {
		const struct nn_layer *l = &m->layers[i];

		td_name_push(c, l->name);
		x = l->type->forward(c, l, x, training);
		td_name_pop(c);
	}
	return x;
}
