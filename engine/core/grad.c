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

/* A node that the walk will visit, with the gradients of its outputs so far. */
struct pending {
	td_node *node;
	td_value *dy[TD_MOST_OUT];
};

struct leaf {
	td_value *value, *grad;
};

struct walk {
	td_ctx *c;
	struct pending *heap; /* owned; largest sequence number first */
	int n_heap, heap_room;
	struct leaf *leaves; /* owned */
	int n_leaves, leaves_room;
};

static td_value *sum_of(td_ctx *c, td_value *a, td_value *b)
{
	return a ? td_add(c, a, b) : b;
}

static void swap_pending(struct pending *a, struct pending *b)
{
	struct pending t = *a;

	*a = *b;
	*b = t;
}

static void heap_push(struct walk *w, const struct pending *p)
{
	int i;

	MEM_GROW(w->heap, w->n_heap, w->heap_room);
	w->heap[i = w->n_heap++] = *p;
	for (; i && w->heap[(i - 1) / 2].node->seq < w->heap[i].node->seq; i = (i - 1) / 2)
		swap_pending(&w->heap[i], &w->heap[(i - 1) / 2]);
}

static struct pending heap_pop(struct walk *w)
{
	struct pending top = w->heap[0];

	w->heap[0] = w->heap[--w->n_heap];
	for (int i = 0;;) {
		int child = 2 * i + 1;
		if (child >= w->n_heap)
			break;
		if (child + 1 < w->n_heap && w->heap[child + 1].node->seq > w->heap[child].node->seq)
			child++;
		if (w->heap[i].node->seq >= w->heap[child].node->seq)
			break;
		swap_pending(&w->heap[i], &w->heap[child]);
		i = child;
	}
	return top;
}

/* V receives the contribution G. */
static void contribute(struct walk *w, td_value *v, td_value *g)
{
	td_node *n = v->producer;

	if (n) {
		for (int i = 0; i < w->n_heap; i++)
			if (w->heap[i].node == n) {
				w->heap[i].dy[v->out] = sum_of(w->c, w->heap[i].dy[v->out], g);
				return;
			}
		struct pending p = { .node = n };
		p.dy[v->out] = g;
		heap_push(w, &p);
		return;
	}
	for (int i = 0; i < w->n_leaves; i++)
		if (w->leaves[i].value == v) {
			w->leaves[i].grad = sum_of(w->c, w->leaves[i].grad, g);
			return;
		}
	MEM_GROW(w->leaves, w->n_leaves, w->leaves_room);
	w->leaves[w->n_leaves++] = (struct leaf){ v, g };
}

static void visit(struct walk *w, const struct pending *p)
{
	const td_node *n = p->node;
	td_value *dx[TD_MOST_IN] = { 0 };
	const char *layer = w->c->layer;

	for (int i = 0; i < n->n_out; i++)
		td__observe_gradient(w->c, n->out[i], p->dy[i]);
	w->c->layer = n->layer;
	n->op->backward(w->c, n, p->dy, dx);
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

/* The value as the walk sees it: while tracing, a captured tensor is its symbol. */
static td_value *seen_as(td_ctx *c, td_value *v)
{
	return c->graph && v->id < 0 ? td__graph_capture(c->graph, v) : v;
}

/* Walk back from OUTPUTS.  GRADS receives the gradients of INPUTS, leaves or not; all leaves' stay in W. */
static void walk_back(struct walk *w, td_value *const *outputs, td_value *const *seeds, int n_outputs,
	td_value *const *inputs, int n_inputs, td_value **grads)
{
	bool in_backward = w->c->in_backward;

	w->c->in_backward = true;
	for (int i = 0; i < n_outputs && !w->c->err.status; i++) {
		td_value *out = seen_as(w->c, outputs[i]);
		if (out->needs_grad)
			contribute(w, out, seeds && seeds[i] ? seeds[i] : td_ones_like(w->c, out));
	}
	while (w->n_heap && !w->c->err.status) {
		struct pending p = heap_pop(w);
		for (int i = 0; i < n_inputs; i++) /* an input that is not a leaf: its gradient is complete now */
			if (inputs[i] && seen_as(w->c, inputs[i])->producer == p.node)
				grads[i] = p.dy[inputs[i]->out];
		visit(w, &p);
	}
	for (int i = 0; i < n_inputs; i++)
		for (int k = 0; inputs[i] && k < w->n_leaves; k++)
			if (w->leaves[k].value == seen_as(w->c, inputs[i]))
				grads[i] = w->leaves[k].grad;
	for (int i = 0; i < w->n_leaves; i++)
		td__observe_gradient(w->c, w->leaves[i].value, w->leaves[i].grad);
	w->c->in_backward = in_backward;
}

/* Gradients of gradients are for td_gradients alone: what td_backward computes is not recorded on the tape. */
void td_backward(td_ctx *c, td_value *loss)
{
	struct walk w = { .c = c };

	if (c->err.status || !loss)
		return;
	if (loss->shape.rank != 0) {
		char text[TD_SHAPE_TEXT];
		td_fail(c, TD_SHAPE, "backward starts from a scalar, not from %s; sum or mean it first",
			td_shape_text(&loss->shape, text));
		return;
	}
	td_no_grad_begin(c);
	walk_back(&w, &loss, NULL, 1, NULL, 0, NULL);
	for (int i = 0; i < w.n_leaves && !c->err.status; i++) {
		td_value *leaf = w.leaves[i].value->captured ? w.leaves[i].value->captured : w.leaves[i].value;
		td_value *sum = sum_of(c, leaf->grad, w.leaves[i].grad);

		if (c->err.status || !leaf->needs_grad)
			continue;
		td_ref(sum);
		td_unref(leaf->grad);
		leaf->grad = sum;
	}
	td_no_grad_end(c);
	mem_free(w.heap);
	mem_free(w.leaves);
}

void td_zero_grad(td_value *const *values, int n)
{
	for (int i = 0; i < n; i++) {
		td_unref(values[i]->grad);
		values[i]->grad = NULL;
	}
}

void td_gradients(td_ctx *c, td_value *const *outputs, td_value *const *seeds, int n_outputs, td_value *const *inputs,
	int n_inputs, td_value **grads)
{
	struct walk w = { .c = c };

	memset(grads, 0, sizeof *grads * (size_t)n_inputs);
	if (c->err.status)
		return;
	walk_back(&w, outputs, seeds, n_outputs, inputs, n_inputs, grads);
	mem_free(w.heap);
	mem_free(w.leaves);
}
