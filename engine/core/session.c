/* Sessions: a graph made ready to run again and again.
 *
 * A session keeps a plan for each set of fetches and feeds, and a plan keeps a binding for each set of sizes.  Running
 * is then a loop over calls. */
#include "core/session.h"

#include <string.h>

struct td_session {
	td_graph *graph; /* borrowed */
	td_ctx *c;       /* borrowed; whose warnings are about what was left out */
	unsigned flags;
	bool fixed;         /* made for the fetches of REQUEST */
	td_request request; /* owned; without feeds */
	td_prepared *prepared[TD_PLANS_MOST];
	uint64_t runs;
	bool *used; /* owned; by node id: some plan so far runs it */
	int n_used;
};

#ifdef TD_PARANOID
#define FLAGS_ALWAYS TD_SESSION_PARANOID
#else
#define FLAGS_ALWAYS 0
#endif

/* ---- Life -------------------------------------------------------------------------------------------------------- */

td_session *td_session_open(td_ctx *c, td_graph *g, unsigned flags)
{
	td_session *s;

	if (c->err.status)
		return NULL;
	TD_ASSERT(g->traced);
	s = MEM_NEW(td_session);
	s->graph = g;
	s->c = c;
	s->flags = flags | TD_SESSION_NEEDED | FLAGS_ALWAYS;
	g->n_sessions++;
	return s;
}

static void ask_for_value(td_request *r, const td_value *v)
{
	MEM_GROW(r->fetches, r->n_fetches, r->fetches_room);
	r->fetches[r->n_fetches++] = v->id;
}

td_session *td_session_create(td_ctx *c, td_graph *g, td_value *const *fetches, int n_fetches)
{
	td_session *s = td_session_open(c, g, 0);

	if (!s)
		return NULL;
	s->fixed = true;
	s->flags = FLAGS_ALWAYS;
	for (int i = 0; i < n_fetches; i++) {
		if (!fetches[i] || !td__graph_has(g, fetches[i])) {
			td_fail(c, TD_INVALID, "fetch %d is %s; a session fetches what was recorded in its graph", i,
				!fetches[i]          ? "missing"
				: fetches[i]->id < 0 ? "a tensor, which can be read as it is"
						     : "a value of another graph");
			td_session_free(s);
			return NULL;
		}
		ask_for_value(&s->request, fetches[i]);
	}
	return s;
}

void td_session_set_flags(td_session *s, unsigned flags)
{
	TD_ASSERT(!s->runs);
	s->flags = flags | FLAGS_ALWAYS | (s->fixed ? 0 : TD_SESSION_NEEDED);
}

void td_session_free(td_session *s)
{
	if (!s)
		return;
	if (!s->fixed && s->runs && s->graph->n_sessions == 1 && s->c->warn)
		td__lint_session(s->c, s->graph, s->used, s->n_used);
	for (int i = 0; i < TD_PLANS_MOST; i++)
		td__prepared_free(s->prepared[i]);
	td__request_release(&s->request);
	s->graph->n_sessions--;
	mem_free(s->used);
	mem_free(s);
}

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

static void note_used(td_session *s, const td_plan *p)
{
	if (s->n_used < s->graph->n_nodes) {
		s->used = mem_realloc(s->used, (size_t)s->graph->n_nodes);
		memset(s->used + s->n_used, 0, (size_t)(s->graph->n_nodes - s->n_used));
		s->n_used = s->graph->n_nodes;
	}
	for (int k = 0; k < p->n_steps; k++)
		s->used[p->steps[k].node->id] = true;
}

/* Of a graph's values only what stands for a tensor keeps what is written to it.  False: C has the error. */
static bool writes_variables_alone(td_ctx *c, td_graph *g)
{
	for (int k = 0; k < g->n_nodes; k++)
		for (int i = 0; i < g->nodes[k]->n_in; i++) {
			const td_op *op = g->nodes[k]->op;
			td_value *v = g->nodes[k]->in[i];

			if ((op->writes >> i & 1) && v && !td__base(v)->captured)
				return td_fail(c, TD_INVALID,
					       "%s writes to \"%s\", which is no variable; a graph that runs writes to "
					       "variables alone",
					       op->name, td_graph_name_of(g, v)),
				       false;
		}
	return true;
}

/* The plan for R, whose arrays it may take.  NULL: C has the error. */
static td_prepared *prepared_for(td_session *s, td_ctx *c, td_request *r)
{
	td_prepared **place = s->prepared;

	for (td_prepared **p = s->prepared; p < s->prepared + TD_PLANS_MOST; p++) {
		if (*p && td__request_same(&(*p)->request, r))
			return *p;
		if (*place && (!*p || (*p)->used < (*place)->used))
			place = p;
	}
	if (!writes_variables_alone(c, s->graph))
		return NULL;
	td__prepared_free(*place);
	*place = td__prepare(c, s->graph, r, !(s->flags & TD_SESSION_NEEDED), s->flags);
	note_used(s, &(*place)->plan);
	if (c->warn && s->fixed && !(s->flags & (TD_SESSION_UNOPTIMISED | TD_SESSION_NEEDED)))
		td__lint_plan(c, &(*place)->plan);
	return *place;
}

static td_request fixed_request(const td_session *s)
{
	td_request r = { 0 };

	TD_ASSERT(s->fixed);
	for (int i = 0; i < s->request.n_fetches; i++)
		ask_for_value(&r, s->graph->values[s->request.fetches[i]]);
	return r;
}

const td_plan *td__session_plan(td_session *s, td_ctx *c)
{
	td_request r = fixed_request(s);
	const td_prepared *p = prepared_for(s, c, &r);

	td__request_release(&r);
	return p ? &p->plan : NULL;
}

/* ---- Feeds ------------------------------------------------------------------------------------------------------- */

static bool fits(const td_value *v, const td_shape *fed)
{
	if (fed->rank != v->shape.rank)
		return false;
	for (int i = 0; i < fed->rank && v->placeholder; i++)
		if (!(v->unknown >> i & 1) && fed->dim[i] != v->shape.dim[i])
			return false;
	return true;
}

/* FEED as the graph's value lies, or NULL: C has the error. */
static td_value *accept_feed(td_session *s, td_ctx *c, const td_feed *feed)
{
	const td_value *v = feed->placeholder;
	const td_shape *fed = feed->tensor ? &feed->tensor->shape : NULL;
	char want[TD_SHAPE_TEXT], got[TD_SHAPE_TEXT];
	const char *what;

	TD_ASSERT(v);
	what = v->placeholder ? "placeholder" : "value";
	if (!td__graph_has(s->graph, v))
		return td_fail(c, TD_INVALID, "what is fed (\"%s\") is no value of the session's graph", td_name_of(v));
	if (!fed)
		return td_fail(c, TD_INVALID, "the %s \"%s\" is fed nothing", what, td_graph_name_of(s->graph, v));
	if (fed->dtype != v->shape.dtype)
		return td_fail(c, TD_DTYPE, "the %s \"%s\" takes %s, not %s", what, td_graph_name_of(s->graph, v),
			td_dtype_name(v->shape.dtype), td_dtype_name(fed->dtype));
	if (!fits(v, fed))
		return td_fail(c, TD_SHAPE, "the %s \"%s\" is %s and is fed %s%s", what, td_graph_name_of(s->graph, v),
			td__shape_text(&v->shape, v->unknown, want), td_shape_text(fed, got),
			v->placeholder ? "; a size that may differ is declared by TD_UNKNOWN" : "");
	return fed->order == v->shape.order ? feed->tensor : td_reorder(c, feed->tensor, v->shape.order);
}

/* TENSORS[i] is what feed i gives; which of them are computed otherwise is asked for in R. */
static bool accept_feeds(td_session *s, td_ctx *c, const td_feed *feeds, int n_feeds, td_value **tensors, td_request *r)
{
	for (int i = 0; i < n_feeds; i++) {
		const td_value *v = feeds[i].placeholder;
		int at;

		tensors[i] = accept_feed(s, c, &feeds[i]);
		if (!tensors[i])
			return false;
		for (int k = 0; k < i; k++)
			if (feeds[k].placeholder == v)
				return td_fail(c, TD_INVALID, "\"%s\" is fed twice", td_graph_name_of(s->graph, v)),
				       false;
		if (v->placeholder)
			continue;
		MEM_GROW(r->computed, r->n_computed, r->computed_room);
		for (at = r->n_computed++; at && r->computed[at - 1] > v->id; at--)
			r->computed[at] = r->computed[at - 1];
		r->computed[at] = v->id;
	}
	return true;
}

/* The bytes of every value that does not lie in the arena, by id: fed tensors and captured ones; and the inputs'
 * shapes. */
static bool outside_bytes(const td_prepared *p, td_ctx *c, const td_feed *feeds, int n_feeds, td_value *const *tensors,
	void **bytes, td_shape *shapes)
{
	for (int i = 0; i < p->plan.n_recorded; i++)
		if (p->plan.graph->values[i]->captured)
			bytes[i] = td_data(p->plan.graph->values[i]->captured);
	for (int i = 0; i < p->n_inputs; i++) {
		const td_value *v = td__plan_value(&p->plan, p->inputs[i]);
		int k = 0;

		while (k < n_feeds && feeds[k].placeholder != v)
			k++;
		if (k == n_feeds)
			return td_fail(c, TD_INVALID, "the placeholder \"%s\" is not fed", td_name_of(v)), false;
		bytes[p->inputs[i]] = td_data(tensors[k]);
		shapes[i] = tensors[k]->shape;
	}
	return true;
}

static bool variables_initialised(const td_prepared *p, td_ctx *c)
{
	for (int i = 0; i < p->n_reads; i++) {
		const td_value *v = p->plan.graph->values[p->reads[i]];
		if (!v->captured->storage->version)
			return td_fail(c, TD_CONFLICT,
				       "the variable \"%s\" is read before it has a value; run the operation of "
				       "td_initialise_variables, or restore it",
				       td_name_of(v)),
			       false;
	}
	return true;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* Paranoia: what a step is about to write, and its scratch, hold NaN before, so that a kernel that reads them too early
 * shows; and of what is there for its shape alone there are no bytes. */
static void poison(const td_plan *p, const td_layout *l, int k, td_call *call)
{
	const td_step_plan *step = &p->steps[k];

	for (int i = 0; i < TD_MOST_IN; i++)
		if (step->node->op->shape_only >> i & 1)
			call->in[i].data = NULL;
	if (call->workspace)
		memset(call->workspace, 0xff, l->workspace[k]);
	for (int i = 0; i < TD_MOST_OUT; i++) {
		bool shared = false;
		for (int j = 0; j < TD_MOST_IN; j++)
			shared |= call->in[j].data && call->in[j].data == call->out[i].data;
		if (step->out[i] >= 0 && call->out[i].data && !shared && l->offsets[step->out[i]] >= 0 &&
			!step->node->op->view)
			memset(call->out[i].data, 0xff, td_shape_bytes(call->out[i].shape));
	}
}

static void run_steps(const td_session *s, const td_prepared *p, td_ctx *c, td_binding *b, void **bytes)
{
	const td_layout *l = &b->layout;

	c->runs_plan = true;
	for (int k = 0; k < p->plan.n_steps && !c->err.status; k++) {
		const td_step_plan *step = &p->plan.steps[k];
		const td_op *op = step->node->op;
		td_call *call = &b->calls[k];

		for (int i = 0; i < op->n_in; i++) {
			int v = step->in[i];
			if (v >= 0 && l->offsets[v] < 0)
				call->in[i].data = bytes[l->base[v]];
			if (v >= 0 && (op->writes >> i & 1)) {
				td_storage *written = td__plan_value(&p->plan, l->base[v])->captured->storage;
				written->version++;
				written->writer = op->name;
			}
		}
		if (op->view)
			continue;
		call->err = &c->err;
		call->threads = c->threads;
		call->seed = c->seed;
		call->step = (uint32_t)c->step;
		if (s->flags & TD_SESSION_PARANOID)
			poison(&p->plan, l, k, call);
		op->forward[TD_CPU](call);
		if (c->err.status && *step->node->layer)
			err_wrap(&c->err, "layer %s", step->node->layer);
	}
	c->runs_plan = false;
	c->counters.replayed += c->err.status ? 0 : p->plan.n_steps;
}

/* A new tensor for each fetch, held by the step. */
static void copy_results(const td_prepared *p, td_ctx *c, const td_binding *b, void *const *bytes, td_value **results)
{
	for (int i = 0; i < p->plan.n_fetches && !c->err.status; i++) {
		int v = p->plan.fetches[i];
		td_value *r = td_tensor(c, &b->layout.shapes[v], NULL);

		results[i] = r;
		if (!r)
			return;
		c->device->copy(r->storage->bytes,
			b->layout.offsets[v] >= 0 ? b->arena + b->layout.offsets[v] : bytes[b->layout.base[v]],
			td_shape_bytes(&r->shape));
		td__keep(c, r);
	}
}

/* Run what R asks for; R is released. */
static td_status run(td_session *s, td_ctx *c, td_request *r, const td_feed *feeds, int n_feeds, td_value **results)
{
	td_value **tensors = MEM_NEW_N(td_value *, n_feeds + 1);
	td_prepared *p = NULL;
	td_binding *b = NULL;
	void **bytes = NULL;
	td_shape *shapes = NULL;

	s->runs++;
	if (!accept_feeds(s, c, feeds, n_feeds, tensors, r))
		goto out;
	p = prepared_for(s, c, r);
	if (!p)
		goto out;
	p->used = s->runs;
	bytes = MEM_NEW_N(void *, p->plan.n_values + 1);
	shapes = MEM_NEW_N(td_shape, p->n_inputs + 1);
	if (!outside_bytes(p, c, feeds, n_feeds, tensors, bytes, shapes) || !variables_initialised(p, c))
		goto out;
	b = td__binding_for(p, c, shapes, s->flags, s->runs);
	if (!b)
		goto out;
	run_steps(s, p, c, b, bytes);
	copy_results(p, c, b, bytes, results);
out:
	td__request_release(r);
	mem_free(shapes);
	mem_free(bytes);
	mem_free(tensors);
	return c->err.status;
}

td_status td_session_run(td_session *s, td_ctx *c, const td_feed *feeds, int n_feeds, td_value **results)
{
	td_request r;

	if (c->err.status)
		return c->err.status;
	TD_ASSERT(!c->graph);
	r = fixed_request(s);
	return run(s, c, &r, feeds, n_feeds, results);
}

/* ---- Nested fetches ---------------------------------------------------------------------------------------------- */

static bool ask_for(td_session *s, td_ctx *c, td_request *r, td_fetch *fetches, int n, int depth)
{
	const td_graph *g = s->graph;

	if (depth > TD_FETCH_DEPTH_MOST)
		return td_fail(c, TD_INVALID, "lists to fetch are nested deeper than %d", TD_FETCH_DEPTH_MOST), false;
	for (int i = 0; i < n; i++) {
		td_fetch *f = &fetches[i];

		f->result = NULL;
		if (f->value && !td__graph_has(g, f->value))
			return td_fail(c, TD_INVALID, "what is fetched (\"%s\") is no value of the session's graph",
				       td_name_of(f->value)),
			       false;
		if (f->value)
			ask_for_value(r, f->value);
		if (f->operation && !td__graph_has_node(g, f->operation))
			return td_fail(c, TD_INVALID, "what is to run (%s) is no operation of the session's graph",
				       f->operation->op->name),
			       false;
		if (f->operation) {
			MEM_GROW(r->operations, r->n_operations, r->operations_room);
			r->operations[r->n_operations++] = f->operation->id;
		}
		if (!f->value && !f->operation && !f->list)
			return td_fail(c, TD_INVALID,
				       "item %d of what is fetched is nothing, as the gradient by what an output does "
				       "not depend on",
				       i),
			       false;
		if (f->list && !ask_for(s, c, r, f->list, f->n, depth + 1))
			return false;
	}
	return true;
}

static td_value **hand_out(td_fetch *fetches, int n, td_value **results)
{
	for (int i = 0; i < n; i++) {
		if (fetches[i].value)
			fetches[i].result = *results++;
		if (fetches[i].list)
			results = hand_out(fetches[i].list, fetches[i].n, results);
	}
	return results;
}

td_status td_session_fetch(
	td_session *s, td_ctx *c, td_fetch *fetches, int n_fetches, const td_feed *feeds, int n_feeds)
{
	td_request r = { 0 };
	td_value **results;

	if (c->err.status)
		return c->err.status;
	TD_ASSERT(!c->graph);
	if (!ask_for(s, c, &r, fetches, n_fetches, 0)) {
		td__request_release(&r);
		return c->err.status;
	}
	results = MEM_NEW_N(td_value *, r.n_fetches + 1);
	if (!run(s, c, &r, feeds, n_feeds, results))
		hand_out(fetches, n_fetches, results);
	mem_free(results);
	return c->err.status;
}

/* ---- Looking at a session ---------------------------------------------------------------------------------------- */

/* It makes a plan of its own, which nothing runs: so what the graph writes to may be a mere symbol. */
size_t td_session_arena(td_session *s, td_ctx *c)
{
	unsigned flags = s->flags & ~(unsigned)TD_SESSION_PARANOID;
	td_request r = fixed_request(s);
	td_prepared *p = td__prepare(c, s->graph, &r, true, flags);
	td_shape *inputs = MEM_NEW_N(td_shape, p->n_inputs + 1);
	td_layout l = { 0 };
	size_t n_bytes = 0;

	for (int i = 0; i < p->n_inputs; i++)
		inputs[i] = td__plan_value(&p->plan, p->inputs[i])->shape;
	if (td__layout_make(p, c, &l, inputs, flags))
		n_bytes = l.arena_bytes;
	td__layout_release(&l);
	td__prepared_free(p);
	mem_free(inputs);
	return n_bytes;
}

/* What the last run ran; before the first, everything. */
void td_session_each_node(const td_session *s, void (*each)(void *arg, const td_node_view *node), void *arg)
{
	const td_prepared *last = NULL;
	td_node **nodes;

	for (int i = 0; i < TD_PLANS_MOST; i++)
		if (s->prepared[i] && (!last || s->prepared[i]->used > last->used))
			last = s->prepared[i];
	if (!last) {
		td_graph_each_node(s->graph, each, arg);
		return;
	}
	nodes = MEM_NEW_N(td_node *, last->plan.n_steps + 1);
	for (int k = 0; k < last->plan.n_steps; k++)
		nodes[k] = last->plan.steps[k].node;
	td__show_nodes(s->graph, nodes, last->plan.n_steps, each, arg);
	mem_free(nodes);
}

void td_session_each_unused(const td_session *s, void (*each)(void *arg, const td_node_view *node), void *arg)
{
	td_node **nodes = MEM_NEW_N(td_node *, s->graph->n_nodes + 1);
	int n = 0;

	for (int k = 0; k < s->graph->n_nodes; k++)
		if (k >= s->n_used || !s->used[k])
			nodes[n++] = s->graph->nodes[k];
	td__show_nodes(s->graph, nodes, n, each, arg);
	mem_free(nodes);
}
