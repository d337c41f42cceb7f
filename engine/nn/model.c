/* The model: built from a document and the shape of a batch to shapes, parameters and costs, then filled with weights.
 *
 * Building is symbolic: every layer's forward pass is recorded once on placeholders in a graph that is thrown away, so
 * the ops' shape rules are the only ones, and a checker can build a model that no memory could hold. */
#include "nn/model.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const struct opt model_opts[] = {
	{ .name = "layers",
		.kind = OPT_CHOICES,
		.at = offsetof(struct nn_model_options, layers),
		.least = 1,
		.most = NN_LAYERS_MOST,
		.family = &nn_layers,
		.doc = "The layers in order; the first one gets the data, the last one's output is the model's." },
	{ .name = "outputs",
		.kind = OPT_STRINGS,
		.at = offsetof(struct nn_model_options, outputs),
		.high = NN_NAME,
		.most = 1,
		.doc = "Name of the layer whose output is the model's; the last one where none is given." },
	{ .name = "name",
		.kind = OPT_STRING,
		.at = offsetof(struct nn_model_options, name),
		.names = nn_known_names,
		.doc = "A known model in place of layers." },
	{ .name = "args",
		.kind = OPT_JSON,
		.at = offsetof(struct nn_model_options, args),
		.doc = "Arguments of the known model, {\"classes\": 10}; what it does not know is answered with what "
		       "it does." },
};

const struct opt_type nn_model_section = { .name = "model",
	.doc = "What learns: layers, or a known model by name.",
	.options = model_opts,
	.n_options = TD_COUNT(model_opts),
	.n_bytes = sizeof(struct nn_model_options) };

/* ---- What layers say while they are built ------------------------------------------------------------------------ */

void nn_refuse_at(struct nn_builder *b, const struct nn_spot *spot, const char *below, const char *fmt, ...)
{
	char text[sizeof((struct err *)0)->text], pointer[sizeof spot->pointer + 32];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (spot->named_model) {
		faults_add(b->faults, spot->pointer, "%s, layer %s: %s", spot->named_model, spot->path, text);
		return;
	}
	snprintf(pointer, sizeof pointer, "%s%s", spot->pointer, below);
	faults_add(b->faults, pointer, "%s", text);
}

bool nn_refuse(struct nn_builder *b, const struct nn_layer *l, const char *fmt, ...)
{
	char text[sizeof((struct err *)0)->text];
	va_list ap;

	(void)l; /* it is the one that is being built */
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	nn_refuse_at(b, b->spot, "", "%s", text);
	return false;
}

const struct nn_layer *nn_input_layer(const struct nn_builder *b, const struct nn_layer *l, int i)
{
	return l->input[i] == NN_INPUT ? NULL : &b->model->layers[l->input[i]];
}

bool nn_expect(struct nn_builder *b, const struct nn_layer *l, int i, const char *name, int64_t given, int64_t actual)
{
	char below[64];

	if (!given || given == actual)
		return true;
	snprintf(below, sizeof below, "/%s", name);
	nn_refuse_at(b, b->spot, below, "%s: %s is %lld, but %s gives %lld; leave \"%s\" out: it follows from there",
		l->type->type.name, name, (long long)given, nn_source(b, l, i), (long long)actual, name);
	return false;
}

const char *nn_source(struct nn_builder *b, const struct nn_layer *l, int i)
{
	const struct nn_layer *from = nn_input_layer(b, l, i);

	if (!from)
		return "the data";
	snprintf(b->source, sizeof b->source, "layer %s (%s)", from->name, from->type->type.name);
	return b->source;
}

struct arena *nn_arena(struct nn_builder *b)
{
	return &b->model->arena;
}

int64_t nn_tokens(const struct nn_builder *b)
{
	return b->n_tokens;
}

bool nn_lengths_fit(struct nn_builder *b, const struct nn_layer *l, int i)
{
	int64_t steps = b->model->in.dim[1];

	return !b->lengths || l->in[i].dim[1] == steps ||
	       nn_refuse(b, l,
		       "%s: sequences differ in length, but what comes from %s has %lld steps and no longer the data's "
		       "%lld; keep the number of steps up to here, for example with \"padding\": \"same\"",
		       l->type->type.name, nn_source(b, l, i), (long long)l->in[i].dim[1], (long long)steps);
}

/* ---- Parameters -------------------------------------------------------------------------------------------------- */

/* Elements of S, or -1 when that is more than any memory holds. */
static int64_t count_within_limit(const td_shape *s)
{
	int64_t n = 1;

	for (int i = 0; i < s->rank; i++)
		if (__builtin_mul_overflow(n, s->dim[i], &n) || n > NN_ELEMENTS_MOST)
			return -1;
	return n;
}

/* The part of the name of OWNER's parameter P that is not OWNER's. */
static const char *own_name(const struct nn_layer *owner, const struct nn_param *p)
{
	return p->name + strlen(owner->name) + 1;
}

/* Parameter NAME of L is that of the layer whose parameters L uses, if they are alike. */
static bool use_shared(struct nn_builder *b, struct nn_layer *l, const char *name, const td_shape *shape)
{
	const struct nn_layer *owner = &b->model->layers[b->share];
	const struct nn_param *p =
		l->n_params < owner->n_params ? &b->model->params[owner->param_at[l->n_params]] : NULL;
	char own[TD_SHAPE_TEXT], other[TD_SHAPE_TEXT];

	if (!p || strcmp(own_name(owner, p), name) != 0)
		return nn_refuse(b, l,
			"share: layer %s has no parameter \"%s\" for this one to use; give both the same options",
			owner->name, name);
	if (!td_shape_same(shape, &p->shape))
		return nn_refuse(b, l,
			"share: the %s of layer %s is %s, but this layer needs %s; both need the same options and "
			"inputs of the same size",
			name, owner->name, td_shape_text(&p->shape, other), td_shape_text(shape, own));
	l->param[l->n_params] = owner->param[l->n_params];
	l->param_at[l->n_params] = owner->param_at[l->n_params];
	l->n_params++;
	return true;
}

static bool declare(struct nn_builder *b, struct nn_layer *l, const char *name, const struct nn_param *param)
{
	struct nn_model *m = b->model;
	char text[TD_SHAPE_TEXT];
	int64_t count = count_within_limit(&param->shape);
	struct nn_param *p;

	TD_ASSERT(l->n_params < NN_LAYER_PARAMS);
	if (count < 0)
		return nn_refuse(b, l,
			"%s: its %s would be %s, more than the %lld elements that one tensor may have; make it smaller",
			l->type->type.name, name, td_shape_text(&param->shape, text), (long long)NN_ELEMENTS_MOST);
	if (b->share >= 0)
		return use_shared(b, l, name, &param->shape);
	MEM_GROW(m->params, m->n_params, b->param_cap);
	l->param_at[l->n_params] = m->n_params;
	p = &m->params[m->n_params++];
	*p = *param;
	snprintf(p->name, sizeof p->name, "%s.%s", l->name, name);
	m->n_parameters += param->buffer ? 0 : count;
	l->param[l->n_params++] = td_placeholder(b->c, p->name, &p->shape);
	return true;
}

bool nn_declare(struct nn_builder *b, struct nn_layer *l, const char *name, const td_shape *shape, struct nn_fans fans,
	const struct nn_init_type *init, const void *init_options)
{
	return declare(b, l, name,
		&(struct nn_param){ .shape = *shape, .fans = fans, .init = init, .init_options = init_options });
}

bool nn_declare_buffer(struct nn_builder *b, struct nn_layer *l, const char *name, const td_shape *shape,
	const struct nn_init_type *init)
{
	return declare(b, l, name, &(struct nn_param){ .shape = *shape, .init = init, .buffer = true });
}

/* ---- One layer --------------------------------------------------------------------------------------------------- */

static bool takes_inputs(struct nn_builder *b, const struct nn_layer *l)
{
	char in[TD_SHAPE_TEXT];
	int wanted = l->type->n_inputs ? l->type->n_inputs : 1, most = TD_MAX(wanted, l->type->n_inputs_most);

	if (wanted > 0 && wanted < most && l->n_inputs > most)
		return nn_refuse(b, l, "%s takes %d to %d inputs, but \"inputs\" names %d", l->type->type.name, wanted,
			most, l->n_inputs);
	if (wanted > 0 && wanted == most && l->n_inputs != wanted)
		return nn_refuse(b, l,
			"%s takes %d input%s, but \"inputs\" names %d; join them before it, with \"add\" or \"concat\"",
			l->type->type.name, wanted, wanted > 1 ? "s" : "", l->n_inputs);
	for (int i = 0; i < l->n_inputs && !l->type->takes_tokens; i++)
		if (l->in[i].dtype != TD_F32)
			return nn_refuse(b, l,
				"%s takes numbers, but gets tokens, %s, from %s; put \"embedding\" before it",
				l->type->type.name, td_shape_text(&l->in[i], in), nn_source(b, l, i));
	return true;
}

static bool may_share(struct nn_builder *b, const struct nn_layer *l)
{
	const struct nn_layer *owner = &b->model->layers[b->share];

	if (l->type != owner->type)
		return nn_refuse(b, l,
			"share: layer %s is a %s, this one a %s; only layers of one type have the same parameters",
			owner->name, owner->type->type.name, l->type->type.name);
	return owner->n_params ||
	       nn_refuse(b, l, "share: layer %s (%s) has no parameters", owner->name, owner->type->type.name);
}

/* A layer that uses another's parameters does the same with them: in generated code both are one module. */
static bool is_same_module(struct nn_builder *b, const struct nn_layer *l)
{
	const struct nn_layer *owner = &b->model->layers[b->share];
	struct buf own, other;
	bool same;

	buf_init(&own, 1000);
	buf_init(&other, 1000);
	l->type->torch(l, &own);
	owner->type->torch(owner, &other);
	same = !strcmp(own.data, other.data);
	if (!same)
		nn_refuse(b, l,
			"share: this layer would be %s, but layer %s, whose parameters it uses, is %s; give both the "
			"same options",
			own.data, owner->name, other.data);
	buf_release(&own);
	buf_release(&other);
	return same;
}

static bool declare_all(struct nn_builder *b, struct nn_layer *l)
{
	bool shares = b->share >= 0;

	return (!shares || may_share(b, l)) && (!l->type->build || l->type->build(b, l)) &&
	       (!shares || is_same_module(b, l));
}

/* What an op says inside of L, without the "layer PATH: " that the fault says anyway. */
static const char *without_layer(const struct nn_layer *l, const char *text)
{
	char begin[sizeof l->name + 16];
	size_t n = (size_t)snprintf(begin, sizeof begin, "layer %s: ", l->name);

	return strncmp(text, begin, n) ? text : text + n;
}

/* The output of L on X, a symbol; NULL with a fault. */
static td_value *record(struct nn_builder *b, struct nn_layer *l, td_value *const *x)
{
	struct nn_pass pass = { .c = b->c, .training = true, .lengths = b->lengths };
	char in[TD_SHAPE_TEXT], out[TD_SHAPE_TEXT];
	td_value *y;
	int64_t count;

	if (!takes_inputs(b, l) || !declare_all(b, l))
		return NULL;
	td_name_push(b->c, l->name);
	y = l->type->forward(&pass, l, x);
	td_name_pop(b->c);
	if (!y) {
		nn_refuse(b, l, "%s does not fit its input %s from %s: %s", l->type->type.name,
			td_shape_text(&l->in[0], in), nn_source(b, l, 0), without_layer(l, td_error(b->c)->text));
		td_error_clear(b->c);
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
	return y;
}

static td_value *output_of(const struct nn_builder *b, int layer)
{
	return layer == NN_INPUT ? b->input : layer == NN_HOLE ? NULL : b->out[layer];
}

int nn_build_layer(struct nn_builder *b, const struct nn_layer_type *type, const struct nn_spot *spot,
	const int *inputs, int n_inputs, int share)
{
	struct nn_model *m = b->model;
	td_value *x[NN_LAYER_INPUTS];
	struct nn_layer *l;
	bool hole = share == NN_HOLE || (share >= 0 && !b->out[share]);
	int at = m->n_layers;

	MEM_GROW(m->layers, at, b->layer_cap);
	MEM_GROW(b->out, at, b->out_cap);
	MEM_GROW(b->read, at, b->read_cap);
	b->out[at] = NULL;
	b->read[at] = false;
	l = &m->layers[m->n_layers++];
	*l = (struct nn_layer){ .type = type, .options = spot->options, .n_inputs = n_inputs };
	snprintf(l->name, sizeof l->name, "%s", spot->path);
	snprintf(l->pointer, sizeof l->pointer, "%s", spot->pointer);
	for (int i = 0; i < n_inputs; i++) {
		l->input[i] = inputs[i];
		x[i] = output_of(b, inputs[i]);
		hole |= !x[i];
		if (x[i])
			l->in[i] = *td_shape_of(x[i]);
		if (inputs[i] >= 0)
			b->read[inputs[i]] = true;
	}
	if (hole)
		return at;
	b->spot = spot;
	b->share = share;
	b->out[at] = record(b, l, x);
	return at;
}

/* ---- All layers -------------------------------------------------------------------------------------------------- */

/* A layer that nobody reads learns nothing: its author meant something else. */
static void refuse_unread(struct nn_builder *b)
{
	for (int i = 0; i < b->model->n_layers; i++) {
		const struct nn_layer *l = &b->model->layers[i];

		if (!b->read[i] && i != b->model->output && b->out[i])
			faults_add(b->faults, l->pointer,
				"nothing reads the output of layer %s (%s); name it in the \"inputs\" of another "
				"layer, or leave it out",
				l->name, l->type->type.name);
	}
}

/* Which layer's output is the model's. */
static int find_output(struct nn_builder *b, const struct nn_spot *root, const struct opt_strings *outputs, int last)
{
	bool found;
	int at;

	if (!outputs->n)
		return last;
	at = nn_find(b, root, outputs->items[0], &found);
	if (!found || at == NN_INPUT)
		faults_add(b->faults, "/model/outputs/0",
			"there is no layer \"%.60s\"; give the name of one of the model's layers", outputs->items[0]);
	return at;
}

static void build_layers(struct nn_builder *b, const struct opt_choices *layers, const struct nn_model_options *o)
{
	struct nn_model *m = b->model;
	struct nn_spot root = { .from = NN_INPUT, .pointer = "/model" };
	int last;

	if (o->name) {
		root.named_model = o->name;
		snprintf(root.pointer, sizeof root.pointer, "/model/name");
	}
	last = nn_build_list(b, &root, layers, "", "/layers");
	m->output = find_output(b, &root, &o->outputs, last);
	if (b->faults->n_found > b->n_faults)
		return;
	TD_ASSERT(m->output >= 0);
	refuse_unread(b);
	m->out = m->layers[m->output].out;
}

/* The symbols go with the graph. */
static void forget_symbols(struct nn_model *m)
{
	for (int i = 0; i < m->n_layers; i++)
		memset(m->layers[i].param, 0, sizeof m->layers[i].param);
}

static bool find_layers(struct nn_model *m, const struct nn_model_options *o, int64_t n_tokens,
	struct opt_choices *layers, struct faults *faults)
{
	size_t before = faults->n_found;

	if (o->name && o->layers.n)
		faults_add(faults, "/model", "give \"layers\" or the \"name\" of a known model, not both");
	else if (!o->name && !o->layers.n)
		faults_add(faults, "/model", "give \"layers\", or the \"name\" of a known model");
	else if (!o->name && o->args)
		faults_add(faults, "/model/args", "these are for a known model: give its \"name\", or leave them out");
	else if (o->name)
		return nn_known_layers(o->name, o->args, n_tokens, &m->arena, layers, faults);
	*layers = o->layers;
	return faults->n_found == before;
}

struct nn_model *nn_model_create(
	const struct nn_model_options *o, const td_shape *in, int64_t n_tokens, bool has_lengths, struct faults *faults)
{
	struct nn_model *m = MEM_NEW(struct nn_model);
	struct nn_builder b = { .model = m, .faults = faults, .n_tokens = n_tokens, .n_faults = faults->n_found };
	td_shape lengths = td_shape_make(TD_I64, 1, in->dim[0]);
	struct opt_choices layers;
	td_graph *g;

	arena_init(&m->arena);
	m->in = *in;
	if (!find_layers(m, o, n_tokens, &layers, faults)) {
		nn_model_free(m);
		return NULL;
	}
	g = td_graph_create();
	map_init(&b.paths);
	b.c = td_ctx_create(&(td_ctx_options){ .threads = 1 }); /* of its own: the job's counters show the job alone */
	td_trace_begin(b.c, g);
	b.input = td_placeholder(b.c, "input", in);
	b.lengths = has_lengths ? td_placeholder(b.c, "lengths", &lengths) : NULL;
	build_layers(&b, &layers, o);
	forget_symbols(m);
	td_trace_end(b.c);
	td_graph_free(g);
	td_ctx_free(b.c);
	map_release(&b.paths);
	mem_free(b.out);
	mem_free(b.read);
	if (faults->n_found == b.n_faults)
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
	arena_release(&m->arena);
	mem_free(m);
}

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

static td_status allocate_param(struct nn_param *p, td_ctx *c, uint64_t seed)
{
	float *data = mem_try_alloc(TD_MAX(td_shape_bytes(&p->shape), 1));

	if (!data || !nn_init_fill(p->init, p->init_options, &p->fans, seed, p->name, &p->shape, data)) {
		mem_free(data);
		td_fail(c, TD_NO_MEMORY, "no memory for the initial values of %s", p->name);
		return TD_NO_MEMORY;
	}
	p->value = td_tensor(c, &p->shape, data);
	mem_free(data);
	if (!p->value)
		return td_error(c)->status;
	td_set_name(p->value, p->name);
	td_require_grad(c, p->value, !p->buffer && !p->frozen);
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
			m->layers[i].param[k] = m->params[m->layers[i].param_at[k]].value;
	return TD_OK;
}

static bool is_frozen(const struct nn_model *m, const struct nn_layer *l)
{
	int n_frozen = 0;

	for (int k = 0; k < l->n_params; k++) {
		const struct nn_param *p = &m->params[l->param_at[k]];

		if (!p->buffer && !p->frozen)
			return false;
		n_frozen += p->frozen;
	}
	return n_frozen > 0;
}

void nn_model_freeze(struct nn_model *m, const struct opt_strings *patterns, const char *pointer, struct faults *faults)
{
	for (int k = 0; k < patterns->n; k++) {
		bool matched = false;

		for (int i = 0; i < m->n_params; i++) {
			if (m->params[i].buffer || fnmatch(patterns->items[k], m->params[i].name, 0) != 0)
				continue;
			m->params[i].frozen = matched = true;
		}
		if (!matched) {
			char *at = mem_printf("%s/%d", pointer, k);

			faults_add(faults, at,
				"no parameter's name matches \"%.80s\"; names are like \"%s\", and \"*\" stands for "
				"any characters",
				patterns->items[k], m->n_params ? m->params[0].name : "0.weight");
			mem_free(at);
		}
	}
	for (int i = 0; i < m->n_layers; i++)
		m->layers[i].frozen = is_frozen(m, &m->layers[i]);
}

int nn_model_find(const struct nn_model *m, const char *name)
{
	size_t n = strlen(name);

	for (int i = m->n_layers - 1; i >= 0; i--) {
		const char *at = m->layers[i].name;

		if (!strncmp(at, name, n) && (!at[n] || at[n] == '.'))
			return i;
	}
	return -1;
}

void nn_features(
	const struct nn_model *m, const struct nn_pass *p, td_value *x, const int *layers, int n, td_value **out)
{
	td_value **y = MEM_NEW_N(td_value *, TD_MAX(m->n_layers, 1)), *in[NN_LAYER_INPUTS];
	int last = -1;

	for (int i = 0; i < n; i++)
		last = TD_MAX(last, layers[i]);
	for (int i = 0; i <= last; i++) {
		const struct nn_layer *l = &m->layers[i];

		for (int k = 0; k < l->n_inputs; k++)
			in[k] = l->input[k] == NN_INPUT ? x : y[l->input[k]];
		td_name_push(p->c, l->name);
		y[i] = l->type->forward(p, l, in);
		td_name_pop(p->c);
	}
	for (int i = 0; i < n; i++)
		out[i] = y[layers[i]];
	mem_free(y);
}

td_value *nn_forward(const struct nn_model *m, const struct nn_pass *p, td_value *x)
{
	td_value *y;

	nn_features(m, p, x, &m->output, 1, &y);
	return y;
}
