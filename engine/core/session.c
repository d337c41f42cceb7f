/* Sessions: a graph made ready to run again and again.
 *
 * The plan says which nodes run and in what order; it knows no sizes.  A binding lays one set of feed sizes out: shapes
 * inferred, every value's place in the arena, handles prepared, calls filled in.  Running is then a loop over calls. */
#include "core/core.h"

#include <string.h>

typedef struct td_binding {
	td_shape *feeds; /* owned; the key: one shape per placeholder of the plan */
	td_layout layout;
	td_call *calls; /* owned; one per step */
	uint64_t used;  /* run number of the last use; 0: free slot */
} td_binding;

struct td_session {
	td_graph *graph; /* borrowed */
	td_plan plan;
	unsigned flags;
	int *placeholders; /* owned; ids that the plan needs fed */
	int n_placeholders;
	td_binding bindings[TD_BINDINGS_MOST];
	char *arena; /* owned; as large as the largest binding asks */
	size_t arena_bytes;
	uint64_t runs;
	bool planned;
};

#ifdef TD_PARANOID
#define FLAGS_ALWAYS TD_SESSION_PARANOID
#else
#define FLAGS_ALWAYS 0
#endif

/* ---- Plan -------------------------------------------------------------------------------------------------------- */

static void plan_init(td_plan *p, const td_graph *g, td_value *const *fetches, int n_fetches)
{
	p->graph = g;
	p->steps = MEM_NEW_N(td_step_plan, g->n_nodes);
	p->fetches = MEM_NEW_N(int, n_fetches);
	p->fetched = MEM_NEW_N(bool, g->n_values + 1);
	for (int i = 0; i < n_fetches; i++) {
		p->fetches[p->n_fetches++] = fetches[i]->id;
		p->fetched[fetches[i]->id] = true;
	}
	for (int k = 0; k < g->n_nodes; k++) {
		td_node *n = g->nodes[k];
		td_step_plan *s = &p->steps[p->n_steps++];

		s->node = n;
		for (int i = 0; i < TD_MOST_IN; i++)
			s->in[i] = i < n->n_in && n->in[i] ? n->in[i]->id : -1;
		for (int i = 0; i < TD_MOST_OUT; i++)
			s->out[i] = i < n->n_out ? n->out[i]->id : -1;
	}
}

static void plan_release(td_plan *p)
{
	mem_free(p->steps);
	mem_free(p->fetches);
	mem_free(p->fetched);
}

static void find_placeholders(td_session *s)
{
	bool *seen = MEM_NEW_N(bool, s->graph->n_values + 1);

	s->n_placeholders = 0;
	for (int k = 0; k < s->plan.n_steps; k++)
		for (int i = 0; i < TD_MOST_IN; i++)
			if (s->plan.steps[k].in[i] >= 0)
				seen[s->plan.steps[k].in[i]] = true;
	for (int i = 0; i < s->plan.n_fetches; i++)
		seen[s->plan.fetches[i]] = true;
	s->placeholders = MEM_NEW_N(int, s->graph->n_values);
	for (int i = 0; i < s->graph->n_values; i++)
		if (seen[i] && s->graph->values[i]->placeholder)
			s->placeholders[s->n_placeholders++] = i;
	mem_free(seen);
}

td_session *td_session_create(td_ctx *c, td_graph *g, td_value *const *fetches, int n_fetches)
{
	td_session *s;

	if (c->err.status)
		return NULL;
	TD_ASSERT(g->traced);
	for (int i = 0; i < n_fetches; i++)
		TD_ASSERT(fetches[i] && fetches[i]->id >= 0);
	s = MEM_NEW(td_session);
	s->graph = g;
	s->flags = FLAGS_ALWAYS;
	plan_init(&s->plan, g, fetches, n_fetches);
	g->n_sessions++;
	return s;
}

void td_session_set_flags(td_session *s, unsigned flags)
{
	TD_ASSERT(!s->runs);
	s->flags = flags | FLAGS_ALWAYS;
}

/* At the first run, when the flags are known. */
static void finish_plan(td_session *s, td_ctx *c)
{
	bool verify = s->flags & TD_SESSION_PARANOID;

	if (s->planned)
		return;
	s->planned = true;
	s->plan.in_place = !(s->flags & TD_SESSION_UNOPTIMISED);
	if (verify)
		td__verify_plan(&s->plan, "recording");
	if (!(s->flags & TD_SESSION_UNOPTIMISED))
		td__passes_run(&s->plan, verify);
	find_placeholders(s);
	c->counters.plans++;
}

/* ---- Bindings ---------------------------------------------------------------------------------------------------- */

static void binding_release(const td_plan *p, td_binding *b)
{
	for (int k = 0; b->calls && k < p->n_steps; k++)
		if (b->calls[k].handle)
			p->steps[k].node->op->release(b->calls[k].handle);
	mem_free(b->feeds);
	mem_free(b->calls);
	mem_free(b->layout.shapes);
	mem_free(b->layout.offsets);
	mem_free(b->layout.workspace);
	mem_free(b->layout.workspace_at);
	mem_free(b->layout.first);
	mem_free(b->layout.last);
	mem_free(b->layout.base);
	*b = (td_binding){ 0 };
}

/* Shapes of everything, from the feeds'. */
static bool infer_all(td_session *s, td_ctx *c, td_layout *l)
{
	for (int i = 0; i < s->graph->n_values; i++)
		if (s->graph->values[i]->captured)
			l->shapes[i] = s->graph->values[i]->captured->shape;
	for (int k = 0; k < s->plan.n_steps; k++) {
		const td_step_plan *step = &s->plan.steps[k];
		const td_shape *in[TD_MOST_IN];
		td_shape out[TD_MOST_OUT] = { 0 };
		td_infer q = { .ctx = c, .attrs = step->node->attrs, .in = in, .n_in = step->node->n_in, .out = out };
		const char *layer = c->layer;

		for (int i = 0; i < TD_MOST_IN; i++)
			in[i] = step->in[i] >= 0 ? &l->shapes[step->in[i]] : NULL;
		c->layer = step->node->layer;
		step->node->op->infer(&q);
		c->layer = layer;
		if (c->err.status)
			return false;
		l->workspace[k] = q.workspace;
		for (int i = 0; i < step->node->n_out; i++)
			if (step->out[i] >= 0)
				l->shapes[step->out[i]] = out[i];
	}
	return true;
}

/* Fill what does not change between runs: attributes, shapes, places in the arena. */
static void fill_calls(td_session *s, td_binding *b)
{
	const td_layout *l = &b->layout;

	for (int k = 0; k < s->plan.n_steps; k++) {
		const td_step_plan *step = &s->plan.steps[k];
		td_call *call = &b->calls[k];

		call->attrs = step->node->attrs;
		call->workspace = l->workspace[k] ? s->arena + l->workspace_at[k] : NULL;
		for (int i = 0; i < TD_MOST_IN; i++) {
			int v = step->in[i];
			call->in[i] = v < 0 ? (td_view){ 0 }
					    : (td_view){ &l->shapes[v],
						      l->offsets[v] >= 0 ? s->arena + l->offsets[v] : NULL };
		}
		for (int i = 0; i < TD_MOST_OUT; i++) {
			int v = step->out[i];
			call->out[i] = v < 0 ? (td_view){ 0 }
					     : (td_view){ &l->shapes[v],
						       l->offsets[v] >= 0 ? s->arena + l->offsets[v] : NULL };
		}
	}
}

static bool binding_init(td_session *s, td_ctx *c, td_binding *b, const td_shape *feeds)
{
	size_t n = (size_t)s->graph->n_values + 1, n_steps = (size_t)s->plan.n_steps + 1;
	td_layout *l = &b->layout;

	b->feeds = MEM_NEW_N(td_shape, s->n_placeholders + 1);
	memcpy(b->feeds, feeds, sizeof *feeds * (size_t)s->n_placeholders);
	b->calls = MEM_NEW_N(td_call, n_steps);
	*l = (td_layout){ .shapes = MEM_NEW_N(td_shape, n),
		.offsets = MEM_NEW_N(int64_t, n),
		.workspace = MEM_NEW_N(size_t, n_steps),
		.workspace_at = MEM_NEW_N(int64_t, n_steps),
		.first = MEM_NEW_N(int, n),
		.last = MEM_NEW_N(int, n),
		.base = MEM_NEW_N(int, n) };
	for (int i = 0; i < s->n_placeholders; i++)
		l->shapes[s->placeholders[i]] = feeds[i];
	if (!infer_all(s, c, l))
		return false;
	td__layout_places(&s->plan, l);
	if (s->flags & TD_SESSION_PARANOID)
		td__verify_layout(&s->plan, l);
	if (l->arena_bytes > s->arena_bytes) {
		char *arena = mem_try_alloc(l->arena_bytes);
		if (!arena) {
			td_fail(c, TD_NO_MEMORY, "no memory for a plan's arena of %zu bytes", l->arena_bytes);
			return false;
		}
		mem_free(s->arena);
		s->arena = arena;
		s->arena_bytes = l->arena_bytes;
		for (int i = 0; i < TD_BINDINGS_MOST; i++) /* the older ones point into the arena that is gone */
			if (s->bindings[i].used)
				fill_calls(s, &s->bindings[i]);
	}
	fill_calls(s, b);
	for (int k = 0; k < s->plan.n_steps; k++)
		if (s->plan.steps[k].node->op->prepare)
			b->calls[k].handle = s->plan.steps[k].node->op->prepare(&b->calls[k]);
	c->counters.bindings++;
	c->counters.arena_bytes = TD_MAX(c->counters.arena_bytes, (int64_t)s->arena_bytes);
	return true;
}

static bool same_feeds(const td_shape *a, const td_shape *b, int n)
{
	for (int i = 0; i < n; i++)
		if (!td_shape_same(&a[i], &b[i]) || a[i].order != b[i].order)
			return false;
	return true;
}

static td_binding *binding_for(td_session *s, td_ctx *c, const td_shape *feeds)
{
	td_binding *oldest = s->bindings;

	for (td_binding *b = s->bindings; b < s->bindings + TD_BINDINGS_MOST; b++) {
		if (b->used && same_feeds(b->feeds, feeds, s->n_placeholders)) {
			b->used = s->runs;
			return b;
		}
		if (b->used < oldest->used)
			oldest = b;
	}
	binding_release(&s->plan, oldest);
	if (!binding_init(s, c, oldest, feeds)) {
		binding_release(&s->plan, oldest);
		return NULL;
	}
	oldest->used = s->runs;
	return oldest;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* The bytes of every value that does not lie in the arena, by id: fed tensors and captured ones, and views of these. */
static bool outside_bytes(td_session *s, td_ctx *c, const td_feed *feeds, int n_feeds, void **bytes, td_shape *shapes)
{
	for (int i = 0; i < s->graph->n_values; i++)
		if (s->graph->values[i]->captured)
			bytes[i] = td_data(s->graph->values[i]->captured);
	for (int i = 0; i < n_feeds; i++) {
		TD_ASSERT(feeds[i].placeholder && feeds[i].placeholder->placeholder);
		if (!feeds[i].tensor)
			return td_fail(c, TD_INVALID, "the placeholder \"%s\" is fed nothing",
				       td_name_of(feeds[i].placeholder)),
			       false;
		if (feeds[i].tensor->shape.dtype != feeds[i].placeholder->shape.dtype)
			return td_fail(c, TD_DTYPE, "the placeholder \"%s\" takes %s, not %s",
				       td_name_of(feeds[i].placeholder),
				       td_dtype_name(feeds[i].placeholder->shape.dtype),
				       td_dtype_name(feeds[i].tensor->shape.dtype)),
			       false;
		bytes[feeds[i].placeholder->id] = td_data(feeds[i].tensor);
	}
	for (int i = 0; i < s->n_placeholders; i++) {
		const td_value *tensor = NULL;
		for (int k = 0; k < n_feeds; k++)
			if (feeds[k].placeholder->id == s->placeholders[i])
				tensor = feeds[k].tensor;
		if (!tensor)
			return td_fail(c, TD_INVALID, "the placeholder \"%s\" is not fed",
				       td_name_of(s->graph->values[s->placeholders[i]])),
			       false;
		shapes[i] = tensor->shape;
	}
	return true;
}

/* Paranoia: what a step is about to write, and its scratch, hold NaN before; a kernel that reads them too early shows.
 */
static void poison(const td_plan *p, const td_layout *l, int k, const td_call *call)
{
	const td_step_plan *step = &p->steps[k];

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

static void run_steps(td_session *s, td_ctx *c, td_binding *b, void **bytes)
{
	const td_layout *l = &b->layout;

	for (int k = 0; k < s->plan.n_steps; k++) {
		const td_step_plan *step = &s->plan.steps[k];
		const td_op *op = step->node->op;
		td_call *call = &b->calls[k];

		for (int i = 0; i < op->n_in; i++) {
			int v = step->in[i];
			if (v >= 0 && l->offsets[v] < 0)
				call->in[i].data = bytes[l->base[v]];
			if (v >= 0 && (op->writes >> i & 1))
				s->graph->values[l->base[v]]->captured->storage->version++;
		}
		if (op->view)
			continue;
		call->err = &c->err;
		call->threads = c->threads;
		call->seed = c->seed;
		call->step = (uint32_t)c->step;
		if (s->flags & TD_SESSION_PARANOID)
			poison(&s->plan, l, k, call);
		op->forward[TD_CPU](call);
		if (c->err.status) {
			if (*step->node->layer)
				err_wrap(&c->err, "layer %s", step->node->layer);
			return;
		}
	}
	c->counters.replayed += s->plan.n_steps;
}

td_status td_session_run(td_session *s, td_ctx *c, const td_feed *feeds, int n_feeds, td_value **results)
{
	void **bytes;
	td_shape *shapes;
	td_binding *b = NULL;

	if (c->err.status)
		return c->err.status;
	TD_ASSERT(!c->graph);
	finish_plan(s, c);
	s->runs++;
	bytes = MEM_NEW_N(void *, s->graph->n_values + 1);
	shapes = MEM_NEW_N(td_shape, s->n_placeholders + 1);
	if (outside_bytes(s, c, feeds, n_feeds, bytes, shapes))
		b = binding_for(s, c, shapes);
	if (b) {
		run_steps(s, c, b, bytes);
		for (int i = 0; i < s->plan.n_fetches && !c->err.status; i++) {
			int v = s->plan.fetches[i];
			td_value *r = td_tensor(c, &b->layout.shapes[v], NULL);

			results[i] = r;
			if (!r)
				break;
			c->device->copy(r->storage->bytes,
				b->layout.offsets[v] >= 0 ? s->arena + b->layout.offsets[v] : bytes[b->layout.base[v]],
				td_shape_bytes(&r->shape));
			MEM_GROW(c->made, c->n_made, c->made_room);
			c->made[c->n_made++] = r;
		}
	}
	mem_free(shapes);
	mem_free(bytes);
	return c->err.status;
}

void td_session_free(td_session *s)
{
	if (!s)
		return;
	for (int i = 0; i < TD_BINDINGS_MOST; i++)
		binding_release(&s->plan, &s->bindings[i]);
	s->graph->n_sessions--;
	plan_release(&s->plan);
	mem_free(s->placeholders);
	mem_free(s->arena);
	mem_free(s);
}

void td_session_each_node(const td_session *s, void (*each)(void *arg, const td_node_view *node), void *arg)
{
	td_node **nodes = MEM_NEW_N(td_node *, s->plan.n_steps + 1);

	for (int k = 0; k < s->plan.n_steps; k++)
		nodes[k] = s->plan.steps[k].node;
	td__show_nodes(s->graph, nodes, s->plan.n_steps, each, arg);
	mem_free(nodes);
}
