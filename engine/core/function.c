/* Functions: pieces of a program that are traced once for each kind of input and then replayed.
 *
 * A trace is a graph with a session.  Inside another trace a function is simply called; eagerly it is replayed.  Ops
 * with control flow (ops/flow.c) hold traces in their attributes and run them from their kernels, in a context of
 * the function's own. */
#include "core/function.h"
#include "core/session.h"

#include <stdio.h>
#include <string.h>

struct td_function {
	char *name; /* owned */
	td_body *body;
	void *arg; /* borrowed */
	int n_in, n_out;
	unsigned flags;
	td_trace **traces; /* owned */
	int n_traces, traces_room;
	td_function *gradient; /* owned; NULL: never asked for */
	td_ctx *inner;         /* owned; where kernels run traces */
	td_function_stats stats;
	char reason[300];
};

td_function *td_function_create(const char *name, td_body *body, void *arg, int n_in, int n_out, unsigned flags)
{
	td_function *f = MEM_NEW(td_function);

	TD_ASSERT(n_in >= 0 && n_in <= TD_MOST_IN && n_out >= 1 && n_out <= TD_MOST_OUT);
	f->name = mem_strdup(name);
	f->body = body;
	f->arg = arg;
	f->n_in = n_in;
	f->n_out = n_out;
	f->flags = flags;
	return f;
}

static void trace_free(td_trace *t)
{
	td_session_free(t->session);
	td_graph_free(t->graph);
	mem_free(t);
}

void td_function_free(td_function *f)
{
	if (!f)
		return;
	td_function_free(f->gradient);
	for (int i = 0; i < f->n_traces; i++)
		trace_free(f->traces[i]);
	td_ctx_free(f->inner);
	mem_free(f->traces);
	mem_free(f->name);
	mem_free(f);
}

td_function_stats td_function_counts(const td_function *f)
{
	td_function_stats s = f->stats;

	s.reason = f->reason;
	return s;
}

int td__function_inputs(const td_function *f)
{
	return f->n_in;
}

int td__function_results(const td_function *f)
{
	return f->n_out;
}

const char *td__function_name(const td_function *f)
{
	return f->name;
}

/* ---- Tracing ----------------------------------------------------------------------------------------------------- */

struct td_outside td__go_inside(td_ctx *c, td_graph *g, bool no_grad)
{
	struct td_outside o = { c->graph, c->visiting, c->no_grad };

	c->graph = g;
	g->n_scopes = c->n_scopes;
	c->visiting = NULL;
	c->no_grad = no_grad;
	return o;
}

void td__come_back(td_ctx *c, const struct td_outside *o)
{
	td_trace_end(c);
	c->graph = o->graph;
	c->visiting = o->visiting;
	c->no_grad = o->no_grad;
}

/* A result as a symbol of the trace. */
static td_value *result_symbol(td_ctx *c, td_function *f, td_value *v, int i, bool row_major)
{
	if (c->err.status)
		return NULL;
	if (!v)
		return td_fail(c, TD_INVALID, "the function %s left its result %d out", f->name, i);
	if (v->id < 0)
		v = td__graph_capture(c->graph, v);
	return row_major && v->shape.order != TD_ROW_MAJOR ? td_reorder(c, v, TD_ROW_MAJOR) : v;
}

/* T has its signature; write its graph.  False: the sticky error. */
static bool write_trace(td_ctx *c, td_function *f, td_trace *t)
{
	td_value *out[TD_MOST_OUT] = { 0 };
	struct td_outside o;

	t->function = f;
	t->graph = td_graph_create();
	t->graph->of_function = true;
	t->random_base = c->n_random;
	o = td__go_inside(c, t->graph, t->no_grad);
	for (int i = 0; i < f->n_in; i++) {
		td_shape any = t->in[i];
		char name[24];

		for (int a = 0; a < any.rank; a++)
			any.dim[a] = TD_UNKNOWN(any.dim[a]);
		snprintf(name, sizeof name, "input %d", i);
		t->placeholder[i] = td_placeholder(c, name, &any);
		if (t->placeholder[i])
			t->placeholder[i]->needs_grad = t->needs_grad[i];
	}
	td_name_push(c, f->name);
	if (!c->err.status)
		f->body(c, f->arg, t->placeholder, out);
	td_name_pop(c);
	for (int i = 0; i < f->n_out; i++)
		t->result[i] = result_symbol(c, f, out[i], i, t->pinned);
	td__come_back(c, &o);
	t->n_random = c->n_random - t->random_base;
	c->n_random = t->random_base;
	f->stats.traces++;
	if (!c->err.status)
		t->session = td_session_create(c, t->graph, t->result, f->n_out);
	return t->session != NULL;
}

static td_trace *add_trace(td_function *f)
{
	td_trace *t = MEM_NEW(td_trace);

	MEM_GROW(f->traces, f->n_traces, f->traces_room);
	return f->traces[f->n_traces++] = t;
}

static void drop_trace(td_function *f, int i)
{
	trace_free(f->traces[i]);
	f->traces[i] = f->traces[--f->n_traces];
}

/* ---- Signatures -------------------------------------------------------------------------------------------------- */

/* Whether T serves for the signature WANT; if not, WHY receives the first difference.  Sizes do not matter to a pinned
 * trace: the shape rule of the op that runs it finds them. */
static bool fits(
	const td_function *f, const td_trace *t, const td_trace *want, uint32_t random_base, char *why, size_t room)
{
	char is[TD_SHAPE_TEXT], was[TD_SHAPE_TEXT];
	bool any_size = want->pinned || (f->flags & TD_ANY_SIZE);

	for (int i = 0; i < f->n_in; i++) {
		const td_shape *a = &t->in[i], *b = &want->in[i];
		bool same = any_size ? a->dtype == b->dtype && a->rank == b->rank : td_shape_same(a, b);

		if (!same)
			return snprintf(why, room, "input %d is %s, it was traced for %s", i, td_shape_text(b, is),
				       td_shape_text(a, was)),
			       false;
		if (a->order != b->order)
			return snprintf(why, room, "input %d lies in another order", i), false;
		if (t->needs_grad[i] != want->needs_grad[i])
			return snprintf(why, room, "input %d %s a gradient now", i,
				       want->needs_grad[i] ? "wants" : "no longer wants"),
			       false;
	}
	if (t->no_grad != want->no_grad)
		return snprintf(why, room, "gradients are %s now", want->no_grad ? "not recorded" : "recorded"), false;
	if (t->n_random && t->random_base != random_base)
		return snprintf(why, room, "it draws random numbers, and begins at the step's draw %u instead of %u",
			       (unsigned)random_base, (unsigned)t->random_base),
		       false;
	return true;
}

/* The trace for the signature WANT, or NULL.  The reason says how it differs from the one that was used last. */
static td_trace *find_trace(td_function *f, const td_trace *want, uint32_t random_base)
{
	td_trace *newest = NULL;

	for (int i = 0; i < f->n_traces; i++) {
		td_trace *t = f->traces[i];
		char why[sizeof f->reason];
		if (t->pinned != want->pinned)
			continue;
		if (fits(f, t, want, random_base, why, sizeof why))
			return t;
		if (!newest || t->used > newest->used)
			newest = t;
	}
	if (newest)
		fits(f, newest, want, random_base, f->reason, sizeof f->reason);
	return NULL;
}

#define PINNED_MOST 32 /* types, ranks and orders for which one function is a branch or a loop */

/* How many traces are pinned, or are not, and the one of them that was not used for longest. */
static int count_traces(const td_function *f, bool pinned, int *oldest)
{
	int n = 0;

	for (int i = 0; i < f->n_traces; i++) {
		if (f->traces[i]->pinned != pinned)
			continue;
		if (!n++ || f->traces[i]->used < f->traces[*oldest]->used)
			*oldest = i;
	}
	return n;
}

/* One more trace is to come: there is a place for it.  False: the sticky error. */
static bool make_room(td_ctx *c, td_function *f, bool pinned)
{
	int oldest = 0, n = count_traces(f, pinned, &oldest);

	if (pinned && n >= PINNED_MOST)
		return td_fail(c, TD_TOO_LARGE,
			       "the function %s has %d kinds of inputs, the most for a branch or a loop", f->name, n),
		       false;
	if (!pinned && n >= TD_TRACES_MOST)
		drop_trace(f, oldest);
	return true;
}

/* Find or make the trace for WANT.  NULL: the sticky error. */
static td_trace *trace_for(td_ctx *c, td_function *f, const td_trace *want)
{
	td_trace *t = find_trace(f, want, c->n_random);

	if (!t) {
		if (!make_room(c, f, want->pinned))
			return NULL;
		t = add_trace(f);
		*t = *want;
		if (!write_trace(c, f, t)) {
			drop_trace(f, f->n_traces - 1);
			return NULL;
		}
	}
	t->used = (uint64_t)f->stats.calls;
	return t;
}

/* ---- Calling ----------------------------------------------------------------------------------------------------- */

static td_status call_inline(td_ctx *c, td_function *f, td_value *const *in, td_value **out, const char *why)
{
	f->stats.inlined++;
	snprintf(f->reason, sizeof f->reason, "%s", why);
	td_name_push(c, f->name);
	f->body(c, f->arg, in, out);
	td_name_pop(c);
	return c->err.status;
}

/* Whether what T computes would be recorded for a gradient, if it ran op by op. */
static bool result_wants_gradient(const td_function *f, const td_trace *t)
{
	for (int i = 0; i < f->n_out; i++)
		if (t->result[i]->needs_grad)
			return true;
	return false;
}

td_status td_function_call(td_ctx *c, td_function *f, td_value *const *in, td_value **out)
{
	td_trace want = { .no_grad = c->no_grad };
	td_feed feeds[TD_MOST_IN];
	td_trace *t;

	if (c->err.status)
		return c->err.status;
	f->stats.calls++;
	if (c->graph)
		return call_inline(c, f, in, out, "it was called inside a trace, and became part of that");
	for (int i = 0; i < f->n_in; i++) {
		if (!in[i])
			return td_fail(c, TD_INVALID, "input %d of the function %s is missing", i, f->name),
			       c->err.status;
		want.in[i] = in[i]->shape;
		want.needs_grad[i] = in[i]->needs_grad && !c->no_grad;
	}
	t = trace_for(c, f, &want);
	if (!t)
		return c->err.status;
	if ((c->n_tapes || (f->flags & TD_DIFFERENTIABLE)) && result_wants_gradient(f, t))
		return call_inline(
			c, f, in, out, "a gradient of its result is wanted, for which a trace keeps nothing");
	for (int i = 0; i < f->n_in; i++)
		feeds[i] = (td_feed){ t->placeholder[i], in[i] };
	f->stats.replayed++;
	c->n_random += t->n_random;
	return td_session_run(t->session, c, feeds, f->n_in, out);
}

/* ---- For control flow -------------------------------------------------------------------------------------------- */

/* What may not stand in a body that an op runs by itself. */
static bool pure(td_ctx *c, const td_function *f, const td_trace *t)
{
	if (t->n_random)
		td_fail(c, TD_UNSUPPORTED,
			"the function %s draws random numbers, which a branch or a loop cannot; draw them "
			"outside and pass them in",
			f->name);
	for (int k = 0; k < t->graph->n_nodes; k++)
		if (t->graph->nodes[k]->op->writes)
			td_fail(c, TD_UNSUPPORTED,
				"the function %s writes to a variable (%s), which a branch or a loop cannot; return "
				"the new value and write it outside",
				f->name, t->graph->nodes[k]->op->name);
	for (int i = 0; i < t->graph->n_values; i++)
		if (t->graph->values[i]->captured && t->graph->values[i]->needs_grad)
			td_fail(c, TD_INVALID,
				"the function %s uses \"%s\", which wants a gradient, without taking it as an input; "
				"pass it in",
				f->name, td_name_of(t->graph->values[i]));
	return !c->err.status;
}

td_trace *td__function_pin(td_ctx *c, td_function *f, const td_shape *in)
{
	td_trace want = { .pinned = true };
	td_trace *t;

	for (int i = 0; i < f->n_in; i++) {
		want.in[i] = in[i];
		want.needs_grad[i] = td__is_float(in[i].dtype); /* so the trace knows what its body detaches */
	}
	t = trace_for(c, f, &want);
	return t && pure(c, f, t) ? t : NULL;
}

td_value *td__zeros_of(td_ctx *c, td_value *v)
{
	if (!v || td__is_float(v->shape.dtype))
		return td_zeros_like(c, v);
	return td_cast(c, td_zeros_like(c, td_cast(c, v, TD_F32)), v->shape.dtype);
}

/* The gradients of a function's inputs, where F has n of them and m results: IN are the n inputs and m gradients, OUT
 * are n gradients; what has none gives zeros. */
static void gradient_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	const td_function *f = arg;
	td_value *y[TD_MOST_OUT] = { 0 }, *seeds[TD_MOST_OUT], *grads[TD_MOST_IN] = { 0 };
	bool before[TD_MOST_IN] = { 0 };
	int n = 0;

	for (int i = 0; i < f->n_in; i++) {
		before[i] = in[i]->needs_grad;
		in[i]->needs_grad |= td__is_float(in[i]->shape.dtype);
	}
	f->body(c, f->arg, in, y);
	for (int i = 0; i < f->n_out && !c->err.status; i++)
		if (y[i] && td__is_float(y[i]->shape.dtype)) {
			y[n] = y[i];
			seeds[n++] = in[f->n_in + i];
		}
	td_gradients(c, y, seeds, n, in, f->n_in, TD_CREATE_GRAPH, grads);
	for (int i = 0; i < f->n_in; i++) {
		out[i] = grads[i] ? grads[i] : td__zeros_of(c, in[i]);
		in[i]->needs_grad = before[i];
	}
}

td_function *td__function_gradient(td_ctx *c, td_function *f)
{
	char name[64];

	if (!f->gradient) {
		if (f->n_in + f->n_out >= TD_MOST_IN || f->n_in > TD_MOST_OUT) {
			td_fail(c, TD_UNSUPPORTED,
				"a gradient of the function %s would have %d inputs and %d results; at most %d and %d "
				"are possible",
				f->name, f->n_in + f->n_out, f->n_in, TD_MOST_IN - 1, TD_MOST_OUT);
			return NULL;
		}
		snprintf(name, sizeof name, "%s gradient", f->name);
		f->gradient = td_function_create(name, gradient_body, f, f->n_in + f->n_out, f->n_in, f->flags);
	}
	return f->gradient;
}

/* ---- From a file ------------------------------------------------------------------------------------------------- */

/* N of a read function's graph, recorded once more: NOW are the values there, by their ids here, and NODES likewise. */
static void replay_node(td_ctx *c, const td_node *n, td_value **now, td_node **nodes)
{
	td_graph *g = c->graph;
	td_value *in[TD_MOST_IN] = { 0 }, *out[TD_MOST_OUT];
	bool in_backward = c->in_backward;
	int n_control = g->n_control;

	for (int i = 0; i < n->n_in; i++)
		in[i] = n->in[i] ? now[n->in[i]->id] : NULL;
	for (int i = 0; i < n->n_after; i++) {
		MEM_GROW(g->control, g->n_control, g->control_room);
		g->control[g->n_control++] = nodes[n->after[i]->id];
	}
	c->in_backward |= n->backward;
	c->no_grad += n->no_grad;
	td_apply_all(c, n->op, n->attrs, in, n->n_in, out);
	c->no_grad -= n->no_grad;
	c->in_backward = in_backward;
	g->n_control = n_control;
	if (c->err.status)
		return;
	nodes[n->id] = g->nodes[g->n_nodes - 1];
	for (int i = 0; i < n->n_out; i++) /* the hidden ones, too */
		now[n->out[i]->id] = nodes[n->id]->out[i];
}

/* The body of a function that was read.  What runs it by itself has its trace; this is for its gradient. */
static void replay(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	const td_function *f = arg;
	const td_trace *t = td__function_only_trace(f);
	const td_graph *g = t->graph;
	td_value **now = MEM_NEW_N(td_value *, g->n_values + 1);
	td_node **nodes = MEM_NEW_N(td_node *, g->n_nodes + 1);

	TD_ASSERT(c->graph);
	for (int i = 0; i < g->n_values; i++)
		now[i] = g->values[i]->captured;
	for (int i = 0; i < f->n_in; i++)
		now[t->placeholder[i]->id] = in[i];
	for (int k = 0; k < g->n_nodes && !c->err.status; k++)
		replay_node(c, g->nodes[k], now, nodes);
	for (int i = 0; i < f->n_out; i++)
		out[i] = now[t->result[i]->id];
	mem_free(nodes);
	mem_free(now);
}

const td_trace *td__function_only_trace(const td_function *f)
{
	return f->traces[0];
}

/* What a file says of T is what td__function_pin makes of it.  False: the sticky error. */
static bool as_pinned(td_ctx *c, const td_function *f, const td_trace *t)
{
	for (int i = 0; i < f->n_in + f->n_out; i++) {
		const td_value *v = i < f->n_in ? t->placeholder[i] : t->result[i - f->n_in];

		if (v->shape.order != TD_ROW_MAJOR)
			return td_fail(c, TD_INVALID,
				       "the function %s takes and gives what lies in rows, unlike \"%s\"", f->name,
				       td_graph_name_of(t->graph, v)),
			       false;
	}
	return pure(c, f, t);
}

td_function *td__function_from(
	td_ctx *c, const char *name, td_graph *g, td_value *const *in, int n_in, td_value *const *out, int n_out)
{
	td_function *f = td_function_create(name, replay, NULL, n_in, n_out, 0);
	td_trace *t = add_trace(f);

	f->arg = f;
	g->of_function = true;
	*t = (td_trace){ .function = f, .pinned = true, .graph = g };
	for (int i = 0; i < n_in; i++) {
		t->placeholder[i] = in[i];
		t->in[i] = in[i]->shape;
		t->needs_grad[i] = in[i]->needs_grad;
	}
	memcpy(t->result, out, sizeof *out * (size_t)n_out);
	if (!c->err.status && as_pinned(c, f, t))
		t->session = td_session_create(c, g, out, n_out);
	if (t->session)
		return f;
	td_function_free(f);
	return NULL;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* Where kernels run the traces of F. */
static td_ctx *inner_of(td_function *f)
{
	if (!f->inner)
		f->inner = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	return f->inner;
}

/* False: the sticky error. */
static bool takes(td_ctx *c, const td_trace *t, const td_shape *const *in, int n_in)
{
	const td_function *f = t->function;

	if (n_in != f->n_in)
		return td_fail(c, TD_INVALID, "the function %s takes %d inputs, not %d", f->name, f->n_in, n_in), false;
	for (int i = 0; i < n_in; i++) {
		const td_value *v = t->placeholder[i];
		bool fits = in[i] && in[i]->dtype == v->shape.dtype && in[i]->rank == v->shape.rank &&
			    in[i]->order == TD_ROW_MAJOR;
		char want[TD_SHAPE_TEXT], got[TD_SHAPE_TEXT];

		for (int a = 0; fits && a < v->shape.rank; a++)
			fits = v->unknown >> a & 1 || in[i]->dim[a] == v->shape.dim[a];
		if (!fits)
			return td_fail(c, TD_SHAPE, "input %d of the function %s is %s, not %s", i, f->name,
				       td__shape_text(&v->shape, v->unknown, want),
				       in[i] ? td_shape_text(in[i], got) : "left out"),
			       false;
	}
	return true;
}

bool td__trace_shapes(td_ctx *c, const td_trace *t, const td_shape *const *in, int n_in, td_shape *out)
{
	const td_function *f = t->function;
	const td_plan *p = td__session_plan(t->session, inner_of(t->function));
	td_shape *shapes;
	bool ok;

	if (!p || !takes(c, t, in, n_in))
		return false;
	shapes = MEM_NEW_N(td_shape, p->n_values + 1); /* by value id */
	for (int i = 0; i < f->n_in; i++)
		shapes[t->placeholder[i]->id] = *in[i];
	ok = td__plan_shapes(p, c, shapes, NULL);
	for (int i = 0; i < f->n_out; i++)
		out[i] = shapes[p->fetches[i]];
	mem_free(shapes);
	return ok;
}

bool td__trace_run(const td_trace *t, const td_call *call, const td_view *in, const td_view *out)
{
	td_function *f = t->function;
	td_feed feeds[TD_MOST_IN] = { 0 };
	td_value *results[TD_MOST_OUT] = { 0 };
	td_ctx *c = inner_of(f);
	struct threads *own = c->threads;

	c->threads = call->threads;
	td_step_begin(c);
	for (int i = 0; i < f->n_in; i++) {
		feeds[i] = (td_feed){ t->placeholder[i], td_tensor(c, in[i].shape, NULL) };
		if (feeds[i].tensor)
			c->device->copy(feeds[i].tensor->storage->bytes, in[i].data, td_shape_bytes(in[i].shape));
	}
	td_session_run(t->session, c, feeds, f->n_in, results);
	for (int i = 0; i < f->n_out && !c->err.status; i++)
		if (out[i].data)
			c->device->copy(out[i].data, results[i]->storage->bytes, td_shape_bytes(out[i].shape));
	for (int i = 0; i < f->n_in; i++)
		td_unref(feeds[i].tensor);
	td_step_end(c);
	c->threads = own;
	err_copy(call->err, &c->err);
	td_error_clear(c);
	return !call->err->status;
}
