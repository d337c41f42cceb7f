/* td_apply: the one place that knows whether an op runs now or is written down. */
#include "core/core.h"

#include <stdio.h>
#include <string.h>

/* Sizes beyond this are a mistake or an attack, and below it no product of a shape rule overflows. */
#define ELEMENTS_MOST ((int64_t)1 << 46)

static void copy_attrs(void *to, const void *attrs, const td_op *op)
{
	if (op->attrs_size) /* memcpy takes no NULL, not even for nothing */
		memcpy(to, attrs, op->attrs_size);
}

/* ---- Eager cache of prepared handles ----------------------------------------------------------------------------- */

#define HANDLES_MOST 64 /* ops with a handle (convolutions) in one step of a large model */

struct td_handle {
	const td_op *op;        /* NULL: free slot */
	unsigned char key[384]; /* attributes, then the inputs' shapes */
	size_t n_key;
	void *handle;  /* owned */
	uint64_t used; /* c->handle_uses at the last use; 0: never */
};

static size_t handle_key(const td_op *op, const td_call *call, unsigned char *key, size_t room)
{
	size_t n = 0;

	if (op->attrs_size + (size_t)op->n_in * sizeof(td_shape) > room)
		return 0;
	memset(key, 0, room);
	copy_attrs(key, call->attrs, op);
	n = op->attrs_size;
	for (int i = 0; i < op->n_in; i++, n += sizeof(td_shape))
		if (call->in[i].shape)
			memcpy(key + n, call->in[i].shape, sizeof(td_shape));
	return n;
}

/* The handle for CALL: the cached one, or a new one in the place of the least recently used. */
static void *handle_for(td_ctx *c, const td_op *op, const td_call *call)
{
	unsigned char key[sizeof c->handles->key];
	size_t n = handle_key(op, call, key, sizeof key);
	struct td_handle *oldest;

	TD_ASSERT(n); /* an op whose key is too long has no business with a handle */
	if (!c->handles)
		c->handles = MEM_NEW_N(struct td_handle, HANDLES_MOST);
	oldest = c->handles;
	for (struct td_handle *h = c->handles; h < c->handles + HANDLES_MOST; h++) {
		if (h->op == op && h->n_key == n && !memcmp(h->key, key, n)) {
			h->used = ++c->handle_uses;
			return h->handle;
		}
		if (h->used < oldest->used)
			oldest = h;
	}
	if (oldest->op)
		oldest->op->release(oldest->handle);
	oldest->op = op;
	oldest->n_key = n;
	memcpy(oldest->key, key, n);
	oldest->used = ++c->handle_uses;
	return oldest->handle = op->prepare(call);
}

void td__handles_free(td_ctx *c)
{
	for (int i = 0; c->handles && i < HANDLES_MOST; i++)
		if (c->handles[i].op)
			c->handles[i].op->release(c->handles[i].handle);
	mem_free(c->handles);
	c->handles = NULL;
}

/* ---- What both modes do ------------------------------------------------------------------------------------------ */

bool td__shape_sane(const td_shape *s)
{
	int64_t n = 1;

	if (s->dtype >= TD_N_DTYPES || s->order > TD_CHANNELS_LAST || (s->order && s->rank < 3))
		return false; /* what attributes from a file may ask for */
	for (int i = 0; i < s->rank; i++) {
		if (s->dim[i] < 0 || (s->dim[i] && n > ELEMENTS_MOST / s->dim[i]))
			return false;
		n *= TD_MAX(s->dim[i], 1);
	}
	return true;
}

/* Builders put this op where a kernel wants another order; nobody else knows of it. */
static bool is_hidden(const td_op *op)
{
	return op && !strcmp(op->name, "reorder");
}

/* What V is to people. */
static const td_value *shown(const td_value *v)
{
	while (v->producer && is_hidden(v->producer->op))
		v = v->producer->in[0];
	return v;
}

/* Where V comes from, for people: "relu of layer 2.act" or "\"fc.weight\""; empty: nobody can say. */
static void describe_origin(const td_value *v, char *out, size_t room)
{
	const td_op *op = v->producer ? v->producer->op : v->maker;
	const char *layer = v->producer ? v->producer->layer : v->made_in;
	const char *name = td_name_of(v->captured ? v->captured : v);

	*out = '\0';
	if (*name && !v->producer)
		snprintf(out, room, "is \"%s\"", name);
	else if (op)
		snprintf(out, room, *layer ? "comes from %s of layer %s" : "comes from %s", op->name, layer);
}

/* An eager result of OP says where it comes from although nothing of it is recorded. */
static void note_maker(const td_ctx *c, const td_op *op, const td_value *first, td_value *result)
{
	bool hidden = is_hidden(op);

	result->maker = hidden ? first->maker : op;
	result->made_in = hidden ? first->made_in : c->layer;
}

/* "fc.weight" in layer "fc" is the layer's own. */
static bool is_own(const td_ctx *c, const td_value *v)
{
	const char *name = td_name_of(v->captured ? v->captured : v);
	size_t n = strlen(c->layer);

	return n && !v->producer && !strncmp(name, c->layer, n) && name[n] == '.';
}

/* An op's shape rule knows its inputs' shapes alone; its complaint goes on with where they come from. */
static void add_origins(td_ctx *c, td_value *const *in, int n_in)
{
	char *text = c->err.text, origin[200];

	if (c->err.status != TD_SHAPE && c->err.status != TD_DTYPE)
		return;
	for (int i = 0, told = 0; i < n_in; i++) {
		const td_value *v = in[i] ? shown(in[i]) : NULL;
		size_t n = strlen(text);

		if (!v || is_own(c, v))
			continue;
		describe_origin(v, origin, sizeof origin);
		if (*origin)
			snprintf(text + n, sizeof c->err.text - n, "%s input %d %s", told++ ? "," : ";", i, origin);
	}
}

/* Shapes of all outputs.  False: C has the error. */
static bool infer(
	td_ctx *c, const td_op *op, const void *attrs, td_value *const *in, int n_in, td_infer *q, td_shape *out)
{
	static const td_shape none[TD_MOST_OUT];
	const td_shape *shapes[TD_MOST_IN] = { 0 };

	TD_ASSERT(n_in <= op->n_in && op->n_in <= TD_MOST_IN);
	for (int i = 0; i < op->n_in; i++) {
		if (i < n_in && in[i])
			shapes[i] = &in[i]->shape;
		else if (!(op->optional >> i & 1))
			TD_BUG("input %d of %s is missing", i, op->name);
	}
	memcpy(out, none, sizeof none);
	*q = (td_infer){ .ctx = c, .attrs = attrs, .in = shapes, .n_in = op->n_in, .out = out };
	op->infer(q);
	add_origins(c, in, n_in);
	for (int i = 0; i < op->n_out + op->n_hidden && !c->err.status; i++)
		if (!td__shape_sane(&out[i])) {
			char text[TD_SHAPE_TEXT];
			td_fail(c, TD_TOO_LARGE, "%s would make %s, which is no value or larger than any memory",
				op->name, td_shape_text(&out[i], text));
		}
	return !c->err.status;
}

static bool wants_gradient(const td_ctx *c, const td_op *op, td_value *const *in, int n_in)
{
	if (c->no_grad || op->backward == td_nodiff)
		return false;
	for (int i = 0; i < n_in; i++)
		if (in[i] && in[i]->needs_grad && !(op->shape_only >> i & 1))
			return true;
	return false;
}

/* ---- Writes in place --------------------------------------------------------------------------------------------- */

/* "\"fc.weight\" (float32[10, 4])" */
static const char *describe(const td_value *v, char *out, size_t room)
{
	char shape[TD_SHAPE_TEXT];

	td_shape_text(&v->shape, shape);
	if (*td_name_of(v))
		snprintf(out, room, "\"%s\" (%s)", td_name_of(v), shape);
	else if (v->producer)
		snprintf(out, room, "what %s made (%s)", v->producer->op->name, shape);
	else
		snprintf(out, room, "an input (%s)", shape);
	return out;
}

static void fresh(td_ctx *c, td_value *v, uint32_t seen)
{
	const char *writer;
	char what[160];

	if (td__version(v, &writer) == seen)
		return;
	td_fail(c, TD_INVALID,
		"the gradient of %s reads %s, but %s has written to it since; take the gradient before the write, or "
		"write to a copy",
		c->visiting->op->name, describe(v, what, sizeof what), writer ? writer : "the program (td_write)");
}

/* A gradient rule reads values of the forward pass: they must be what they were.  False: the sticky error. */
static bool reads_unchanged(td_ctx *c, const td_op *op, td_value *const *in, int n_in)
{
	const td_node *n = c->visiting;

	for (int i = 0; i < n_in; i++) {
		if (!in[i] || (op->shape_only >> i & 1))
			continue;
		for (int k = 0; k < n->n_in; k++)
			if (n->in[k] == in[i])
				fresh(c, in[i], n->version[k]);
		for (int k = 0; k < n->n_out; k++)
			if (n->out[k] == in[i])
				fresh(c, in[i], n->version[TD_MOST_IN + k]);
	}
	return !c->err.status;
}

/* A leaf that wants a gradient is not what the tape remembers once it is written to.  False: the sticky error. */
static bool may_write(td_ctx *c, const td_op *op, td_value *const *in, int n_in)
{
	for (int i = 0; i < n_in && !c->no_grad; i++)
		if (in[i] && (op->writes >> i & 1) && in[i]->needs_grad) {
			char what[160];
			td_fail(c, TD_INVALID,
				"%s writes to %s, which wants a gradient; do it between td_no_grad_begin and "
				"td_no_grad_end",
				op->name, describe(in[i], what, sizeof what));
			return false;
		}
	return true;
}

/* What N reads and made is as it is now. */
static void note_versions(td_node *n)
{
	const char *writer;

	for (int i = 0; i < n->n_in; i++)
		n->version[i] = n->in[i] ? td__version(n->in[i], &writer) : 0;
	for (int i = 0; i < n->n_out; i++)
		n->version[TD_MOST_IN + i] = n->out[i] ? td__version(n->out[i], &writer) : 0;
}

static void fill_node(td_ctx *c, td_node *n, const td_op *op)
{
	n->op = op;
	n->seq = ++c->seq;
	n->n_in = op->n_in;
	n->n_out = op->n_out + op->n_hidden;
	n->layer = c->layer;
	n->backward = c->in_backward;
	n->no_grad = c->no_grad > 0;
}

/* ---- Graph mode -------------------------------------------------------------------------------------------------- */

static void record(td_ctx *c, const td_op *op, const void *attrs, td_value *const *in, int n_in, const td_shape *out,
	td_value **result)
{
	td_graph *g = c->graph;
	td_node *n = arena_alloc(&g->arena, sizeof *n);
	bool grad = wants_gradient(c, op, in, n_in);

	fill_node(c, n, op);
	n->attrs = arena_alloc(&g->arena, TD_MAX(op->attrs_size, 1));
	copy_attrs(n->attrs, attrs, op);
	n->layer = arena_strdup(&g->arena, c->layer);
	for (int i = 0; i < n_in; i++)
		n->in[i] = in[i] && in[i]->id < 0 ? td__graph_capture(g, in[i]) : in[i];
	for (int i = 0; i < n->n_out; i++) {
		n->out[i] = td__graph_value(g, &out[i]);
		n->out[i]->producer = n;
		n->out[i]->out = i;
		n->out[i]->needs_grad = grad && i < op->n_out && td__is_float(out[i].dtype);
	}
	for (int i = 0; i < n_in; i++)
		if (n->in[i] && (op->writes >> i & 1)) {
			td_value *base = td__base(n->in[i]);

			base->version++;
			base->writer = op->name;
		}
	note_versions(n);
	td__graph_add(g, n);
	c->counters.recorded++;
	memcpy(result, n->out, sizeof *result * (size_t)op->n_out);
}

/* ---- Eager mode -------------------------------------------------------------------------------------------------- */

/* Storage for the outputs; hidden ones only when a gradient will want them. */
static bool allocate(td_ctx *c, const td_op *op, td_value *const *in, td_value **out, int n_out)
{
	for (int i = 0; i < n_out; i++) {
		if (op->view && i == 0) {
			out[i]->storage = in[0]->storage;
			out[i]->storage->refs++;
			continue;
		}
		out[i]->storage = td__storage_create(c->pool, td_shape_bytes(&out[i]->shape));
		if (!out[i]->storage) {
			char text[TD_SHAPE_TEXT];
			td_fail(c, TD_NO_MEMORY, "%s: no memory for its result %s (%zu bytes)", op->name,
				td_shape_text(&out[i]->shape, text), td_shape_bytes(&out[i]->shape));
			return false;
		}
	}
	return true;
}

static bool run(td_ctx *c, const td_op *op, const void *attrs, td_value *const *in, int n_in, td_value **out, int n_out,
	size_t workspace)
{
	td_call call = {
		.attrs = attrs, .err = &c->err, .threads = c->threads, .seed = c->seed, .step = (uint32_t)c->step
	};

	for (int i = 0; i < n_in; i++)
		if (in[i]) {
			call.in[i] = (td_view){ &in[i]->shape, in[i]->storage->bytes };
			if (op->writes >> i & 1) {
				in[i]->storage->version++;
				in[i]->storage->writer = op->name;
			}
		}
	for (int i = 0; i < n_out; i++)
		call.out[i] = (td_view){ &out[i]->shape, out[i]->storage->bytes };
	if (workspace && !td__arena_reserve(c, workspace)) {
		td_fail(c, TD_NO_MEMORY, "%s: no memory for %zu bytes of scratch", op->name, workspace);
		return false;
	}
	call.workspace = workspace ? c->arena : NULL;
	if (op->prepare)
		call.handle = handle_for(c, op, &call);
	op->forward[TD_CPU](&call);
	if (c->err.status && *c->layer)
		err_wrap(&c->err, "layer %s", c->layer);
	return !c->err.status;
}

/* The tape entry: outputs own the node, the node owns its inputs and hidden outputs. */
static void remember(
	td_ctx *c, const td_op *op, const void *attrs, td_value *const *in, int n_in, td_value **out, int n_out)
{
	td_node *n = mem_alloc(sizeof *n + op->attrs_size);

	fill_node(c, n, op);
	n->attrs = n + 1;
	copy_attrs(n->attrs, attrs, op);
	for (int i = 0; i < n_in; i++)
		n->in[i] = td_ref(in[i]);
	for (int i = 0; i < n_out; i++) {
		n->out[i] = out[i];
		if (i >= op->n_out) {
			td_ref(out[i]);
			continue;
		}
		n->refs++;
		out[i]->producer = n;
		out[i]->out = i;
		out[i]->needs_grad = td__is_float(out[i]->shape.dtype);
	}
	note_versions(n);
}

static void observe(td_ctx *c, const td_op *op, td_value *const *in, int n_in, td_value *const *out, int n_out)
{
	c->observer(c->observer_arg, &(td_event){ .kind = TD_EVENT_OP,
					     .op = op->name,
					     .layer = c->layer,
					     .backward = c->in_backward,
					     .in = in,
					     .n_in = n_in,
					     .written = op->writes,
					     .out = out,
					     .n_out = n_out });
}

static void execute(td_ctx *c, const td_op *op, const void *attrs, td_value *const *in, int n_in,
	const td_shape *shapes, size_t workspace, td_value **result)
{
	bool grad = wants_gradient(c, op, in, n_in);
	int n_out = op->n_out + (grad ? op->n_hidden : 0);
	td_value *out[TD_MOST_OUT] = { 0 };

	for (int i = 0; i < n_out; i++) {
		out[i] = td__value_create(&shapes[i]);
		note_maker(c, op, n_in ? in[0] : NULL, out[i]);
		td__keep(c, out[i]);
	}
	if (!allocate(c, op, in, out, n_out))
		return;
	if (!op->view && !run(c, op, attrs, in, n_in, out, n_out, workspace))
		return;
	if (grad)
		remember(c, op, attrs, in, n_in, out, n_out);
	c->counters.dispatched++;
	if (c->observer)
		observe(c, op, in, n_in, out, n_out);
	memcpy(result, out, sizeof *result * (size_t)op->n_out);
}

bool td_apply_all(
	td_ctx *c, const td_op *op, const void *attrs, td_value *const *in, int n_in, td_value *out[TD_MOST_OUT])
{
	td_shape shapes[TD_MOST_OUT];
	td_infer q;

	if (c->err.status || (op->writes && !may_write(c, op, in, n_in)) ||
		(c->visiting && !reads_unchanged(c, op, in, n_in)))
		return false;
	if (c->graph && !td__graph_open(c, op->name))
		return false;
	if (!infer(c, op, attrs, in, n_in, &q, shapes))
		return false;
	if (c->warn)
		td__lint(c, op, in, shapes);
	if (c->graph)
		record(c, op, attrs, in, n_in, shapes, out);
	else
		execute(c, op, attrs, in, n_in, shapes, q.workspace, out);
	return !c->err.status;
}

td_value *td_apply(td_ctx *c, const td_op *op, const void *attrs, td_value *const *in, int n_in)
{
	td_value *out[TD_MOST_OUT] = { 0 };

	td_apply_all(c, op, attrs, in, n_in, out);
	return out[0];
}
