/* Automatic differentiation: the one reverse walk, for the tape and for graphs.
 *
 * Nodes are visited in falling order of their sequence number, so contributions to one gradient are added in the same
 * order in both modes.  A rule is made of op calls: eagerly they run, while tracing they are recorded. */
#include "core/core.h"

#include <string.h>

void td_nodiff(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	(void)c;
	(void)n;
	(void)dy;
	(void)dx;
	TD_BUG("a gradient was asked of %s, which has none", n->op->name);
}

void td_once(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	(void)dy;
	(void)dx;
	td_fail(c, TD_UNSUPPORTED, "%s is part of a gradient and has no gradient of its own", n->op->name);
}

/* What a walk adds up for a node that it will visit, or for a leaf: gradients of its outputs so far. */
struct pending {
	td_node *node;   /* NULL: a leaf */
	td_value *value; /* the leaf; of a node the output that was met first */
	td_value *dy[TD_MOST_OUT];
};

struct walk {
	td_ctx *c;
	bool spends;           /* the tape is used up */
	bool records;          /* what is computed can be differentiated again */
	struct arena met;      /* holds the pendings */
	struct ptrs pending;   /* of each node and leaf that a contribution has met */
	struct pending **heap; /* owned array; nodes to visit, largest sequence number first */
	int n_heap, heap_room;
	struct pending **leaves; /* owned array; as they were met */
	int n_leaves, leaves_room;
};

static td_value *sum_of(td_ctx *c, td_value *a, td_value *b)
{
	return a ? td_add(c, a, b) : b;
}

static void swap_pending(struct pending **a, struct pending **b)
{
	struct pending *t = *a;

	*a = *b;
	*b = t;
}

static void heap_push(struct walk *w, struct pending *p)
{
	int i;

	MEM_GROW(w->heap, w->n_heap, w->heap_room);
	w->heap[i = w->n_heap++] = p;
	for (; i && w->heap[(i - 1) / 2]->node->seq < w->heap[i]->node->seq; i = (i - 1) / 2)
		swap_pending(&w->heap[i], &w->heap[(i - 1) / 2]);
}

static struct pending *heap_pop(struct walk *w)
{
	struct pending *top = w->heap[0];

	w->heap[0] = w->heap[--w->n_heap];
	for (int i = 0;;) {
		int child = 2 * i + 1;
		if (child >= w->n_heap)
			break;
		if (child + 1 < w->n_heap && w->heap[child + 1]->node->seq > w->heap[child]->node->seq)
			child++;
		if (w->heap[i]->node->seq >= w->heap[child]->node->seq)
			break;
		swap_pending(&w->heap[i], &w->heap[child]);
		i = child;
	}
	return top;
}

/* Where V's gradient adds up: the place of what made it, or of the leaf. */
static void **pending_of(struct walk *w, td_value *v)
{
	return ptrs_at(&w->pending, v->producer ? (void *)v->producer : v);
}

/* V receives the contribution G.  What made V is yet to be visited: whoever contributes was recorded later. */
static void contribute(struct walk *w, td_value *v, td_value *g)
{
	void **place = pending_of(w, v);
	struct pending *p = *place;

	if (!p) {
		*place = p = arena_alloc(&w->met, sizeof *p);
		p->node = v->producer;
		p->value = v;
		if (p->node) {
			heap_push(w, p);
		} else {
			MEM_GROW(w->leaves, w->n_leaves, w->leaves_room);
			w->leaves[w->n_leaves++] = p;
		}
	}
	p->dy[v->out] = sum_of(w->c, p->dy[v->out], g);
}

/* What V's hooks make of its gradient G, which is complete. */
static td_value *through_hooks(td_ctx *c, const td_value *v, td_value *g)
{
	for (const td_hook *h = v->hooks; h && g && !c->err.status; h = h->next) {
		td_value *seen = h->see(c, h->arg, g);
		if (seen && !td_shape_same(&seen->shape, &g->shape)) {
			char got[TD_SHAPE_TEXT], want[TD_SHAPE_TEXT];
			return td_fail(c, TD_SHAPE, "a hook made a gradient %s out of one that is %s",
				td_shape_text(&seen->shape, got), td_shape_text(&g->shape, want));
		}
		g = seen ? seen : g;
	}
	return g;
}

/* A result that a tape watches may come from what wants no gradient: the walk ends there. */
static bool goes_on(const td_node *n)
{
	for (int i = 0; i < n->n_in; i++)
		if (td_wants(n, i) && !(n->op->shape_only >> i & 1))
			return n->op->backward != td_nodiff;
	return false;
}

static void visit(struct walk *w, const struct pending *p)
{
	td_node *n = p->node;
	td_value *dx[TD_MOST_IN] = { 0 };
	const char *layer = w->c->layer;
	const td_node *visiting = w->c->visiting;

	if (!goes_on(n))
		return;
	for (int i = 0; i < n->n_out; i++)
		td__observe_gradient(w->c, n->out[i], p->dy[i]);
	n->walked = true;
	w->c->layer = n->layer;
	w->c->visiting = n;
	if (n->spent)
		td_fail(w->c, TD_INVALID,
			"%s has been walked back through before, which used it up; give the first walk TD_RETAIN_GRAPH",
			n->op->name);
	else
		n->op->backward(w->c, n, p->dy, dx);
	n->spent = w->spends;
	w->c->visiting = visiting;
	w->c->layer = layer;
	for (int i = 0; i < n->n_in && !w->c->err.status; i++) {
		if (!dx[i] || !td_wants(n, i))
			continue;
		if (!td_shape_same(&dx[i]->shape, &n->in[i]->shape)) {
			char got[TD_SHAPE_TEXT], want[TD_SHAPE_TEXT];
			TD_BUG("the gradient rule of %s made %s for input %d, which is %s", n->op->name,
				td_shape_text(&dx[i]->shape, got), i, td_shape_text(&n->in[i]->shape, want));
		}
		contribute(w, n->in[i], dx[i]);
	}
}

/* The tensor that a symbol stands for, or the value itself. */
static td_value *leaf_of(td_value *v)
{
	return v->captured && v->id >= 0 ? v->captured : v;
}

/* The value as the walk sees it: while tracing, a captured tensor is its symbol. */
static td_value *seen_as(td_ctx *c, td_value *v)
{
	return c->graph && v->id < 0 ? td__graph_capture(c->graph, v) : v;
}

/* The seed of OUTPUT, which SEED is if there is one.  NULL: the sticky error. */
static td_value *seed_of(td_ctx *c, td_value *output, td_value *seed)
{
	char got[TD_SHAPE_TEXT], want[TD_SHAPE_TEXT];

	if (!seed)
		return td_ones_like(c, output);
	if (!td_shape_same(&seed->shape, &output->shape))
		return td_fail(c, TD_SHAPE, "the seed %s of an output that is %s has to have its shape",
			td_shape_text(&seed->shape, got), td_shape_text(&output->shape, want));
	return seed;
}

static void walk_begin(struct walk *w, td_ctx *c, unsigned flags)
{
	*w = (struct walk){
		.c = c, .spends = !(flags & (TD_RETAIN_GRAPH | TD_CREATE_GRAPH)), .records = flags & TD_CREATE_GRAPH
	};
	arena_init(&w->met);
	if (!w->records)
		td_no_grad_begin(c);
}

static void walk_end(struct walk *w)
{
	if (!w->records)
		td_no_grad_end(w->c);
	arena_release(&w->met);
	ptrs_release(&w->pending);
	mem_free(w->heap);
	mem_free(w->leaves);
}

/* Walk back from OUTPUTS; what leaves and results receive stays in W. */
static void walk_back(struct walk *w, td_value *const *outputs, td_value *const *seeds, int n_outputs)
{
	td_ctx *c = w->c;
	bool in_backward = c->in_backward;

	c->in_backward = true;
	for (int i = 0; i < n_outputs && !c->err.status; i++) {
		td_value *out = outputs[i] ? seen_as(c, outputs[i]) : NULL;
		td_value *seed = out && out->needs_grad ? seed_of(c, out, seeds ? seeds[i] : NULL) : NULL;
		if (seed)
			contribute(w, out, seed);
	}
	while (w->n_heap && !c->err.status) {
		struct pending *p = heap_pop(w);
		for (int o = 0; o < p->node->n_out; o++)
			if (p->dy[o] && p->node->out[o])
				p->dy[o] = through_hooks(c, p->node->out[o], p->dy[o]);
		visit(w, p);
	}
	for (int k = 0; k < w->n_leaves && !c->err.status; k++)
		w->leaves[k]->dy[0] = through_hooks(c, leaf_of(w->leaves[k]->value), w->leaves[k]->dy[0]);
	for (int k = 0; k < w->n_leaves; k++)
		td__observe_gradient(c, w->leaves[k]->value, w->leaves[k]->dy[0]);
	c->in_backward = in_backward;
}

/* Whether a backward from V makes sense at all. */
static bool starts_backward(td_ctx *c, const td_value *v, const td_value *seed)
{
	char text[TD_SHAPE_TEXT];

	if (v->shape.rank != 0 && !seed)
		return td_fail(c, TD_SHAPE,
			       "backward starts from a scalar, not from %s; sum or mean it first, or give a seed",
			       td_shape_text(&v->shape, text)),
		       false;
	if (!v->needs_grad)
		return td_fail(c, TD_INVALID,
			       "backward starts from %s, which depends on nothing that wants a gradient; "
			       "td_require_grad a leaf before it is used, and compute outside of td_no_grad_begin and "
			       "td_no_grad_end",
			       td_shape_text(&v->shape, text)),
		       false;
	return true;
}

void td_accumulate(td_ctx *c, bool meant)
{
	c->accumulates = meant;
}

/* LEAF's gradient is about to grow. */
static void note_accumulation(td_ctx *c, td_value *leaf)
{
	if (!leaf->grad)
		leaf->grad_step = c->step;
	else if (leaf->grad_step != c->step && !c->accumulates)
		td_warn(c, "accumulated",
			"the gradient of \"%s\" was not zeroed since step %lld and adds up; zero it after each update "
			"(td_zero_grad), or say that it is meant (td_accumulate)",
			td_name_of(leaf), (long long)leaf->grad_step);
}

void td_backward_from(td_ctx *c, td_value *const *outputs, td_value *const *seeds, int n_outputs, unsigned flags)
{
	struct walk w;

	for (int i = 0; i < n_outputs; i++)
		if (c->err.status || !outputs[i] || !starts_backward(c, outputs[i], seeds ? seeds[i] : NULL))
			return;
	walk_begin(&w, c, flags);
	walk_back(&w, outputs, seeds, n_outputs);
	for (int i = 0; i < w.n_leaves && !c->err.status; i++) {
		td_value *leaf = leaf_of(w.leaves[i]->value);
		td_value *sum = leaf->needs_grad ? sum_of(c, leaf->grad, w.leaves[i]->dy[0]) : NULL;

		if (!sum || c->err.status)
			continue;
		note_accumulation(c, leaf);
		td_ref(sum);
		td_unref(leaf->grad);
		leaf->grad = sum;
	}
	walk_end(&w);
}

void td_backward(td_ctx *c, td_value *loss)
{
	td_backward_from(c, &loss, NULL, 1, 0);
}

void td_zero_grad(td_ctx *c, td_value *const *values, int n, enum td_zero how)
{
	for (int i = 0; i < n; i++) {
		td_value *zeros = how == TD_ZERO_FILL && values[i]->grad ? td_ref(td_zeros_like(c, values[i])) : NULL;
		td_unref(values[i]->grad);
		values[i]->grad = zeros;
	}
}

/* ---- By what wants no gradient, as TensorFlow 1 ------------------------------------------------------------------ */

/* Values of a graph that want a gradient while one walk lasts. */
struct asked {
	td_value **values; /* owned array */
	int n, room;
};

static void ask(struct asked *a, td_value *v)
{
	if (v->needs_grad || !td__is_float(v->shape.dtype))
		return;
	v->needs_grad = true;
	MEM_GROW(a->values, a->n, a->room);
	a->values[a->n++] = v;
}

/* Whether G's value V is given a gradient unasked; a tensor that was met from outside has its owner's word. */
static bool may_ask(const td_graph *g, const td_value *v)
{
	bool may = !v->captured;

	if (v->id < 0 || v->needs_grad)
		return false;
	for (int i = 0; i < g->n_variables && !may; i++)
		may = g->variables[i].symbol == v;
	return may;
}

/* INPUTS want gradients, and what is made from them.  What is recorded for gradients that are wanted anyway stays as
 * it is: afterwards nobody wants more than before. */
static void asked_begin(struct asked *a, const td_graph *g, td_value *const *inputs, int n_inputs)
{
	for (int i = 0; i < n_inputs; i++)
		if (inputs[i] && may_ask(g, inputs[i]))
			ask(a, inputs[i]);
	for (int k = 0; k < g->n_nodes && a->n; k++) {
		const td_node *n = g->nodes[k];
		bool depends = false;

		for (int i = 0; i < n->n_in && !n->no_grad && n->op->backward != td_nodiff; i++)
			depends |= td_wants(n, i) && !(n->op->shape_only >> i & 1);
		for (int i = 0; i < n->op->n_out && depends; i++)
			ask(a, n->out[i]);
	}
}

static void asked_end(struct asked *a)
{
	for (int i = 0; i < a->n; i++)
		a->values[i]->needs_grad = false;
	mem_free(a->values);
}

void td_gradients(td_ctx *c, td_value *const *outputs, td_value *const *seeds, int n_outputs, td_value *const *inputs,
	int n_inputs, unsigned flags, td_value **grads)
{
	struct asked asked = { 0 };
	struct walk w;

	memset(grads, 0, sizeof *grads * (size_t)n_inputs);
	if (c->err.status)
		return;
	if (c->graph && !c->graph->of_function && !(flags & TD__WATCHED_ALONE))
		asked_begin(&asked, c->graph, inputs, n_inputs);
	walk_begin(&w, c, flags);
	walk_back(&w, outputs, seeds, n_outputs);
	for (int i = 0; i < n_inputs && !c->err.status; i++) {
		td_value *v = inputs[i] ? seen_as(c, inputs[i]) : NULL;
		const struct pending *p = v ? *pending_of(&w, v) : NULL;

		grads[i] = p ? p->dy[v->out] : NULL;
	}
	walk_end(&w);
	asked_end(&asked);
}

void td_hook_add(td_ctx *c, td_value *v, td_hook_fn *see, void *arg)
{
	td_hook *h, **last;

	if (c->err.status || !v)
		return;
	if (!v->needs_grad) {
		char text[TD_SHAPE_TEXT];
		td_fail(c, TD_INVALID,
			"a hook waits for the gradient of %s, which wants none; td_require_grad it first",
			td_shape_text(&v->shape, text));
		return;
	}
	h = v->id < 0 ? MEM_NEW(td_hook) : arena_alloc(&c->graph->arena, sizeof *h);
	*h = (td_hook){ .see = see, .arg = arg };
	for (last = &v->hooks; *last; last = &(*last)->next)
		;
	*last = h;
}
