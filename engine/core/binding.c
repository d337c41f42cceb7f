/* Bindings: a plan laid out for one set of feed sizes: shapes inferred, every value's place in the arena, handles
 * prepared, calls filled in. */
#include "core/session.h"

#include <string.h>

void td__layout_release(td_layout *l)
{
	mem_free(l->shapes);
	mem_free(l->offsets);
	mem_free(l->workspace);
	mem_free(l->workspace_at);
	mem_free(l->first);
	mem_free(l->last);
	mem_free(l->base);
	*l = (td_layout){ 0 };
}

void td__binding_release(const td_plan *p, td_binding *b)
{
	for (int k = 0; b->calls && k < p->n_steps; k++)
		if (b->calls[k].handle)
			p->steps[k].node->op->release(b->calls[k].handle);
	mem_free(b->feeds);
	mem_free(b->calls);
	td__layout_release(&b->layout);
	*b = (td_binding){ 0 };
}

bool td__plan_shapes(const td_plan *p, td_ctx *c, td_shape *shapes, size_t *workspace)
{
	for (int i = 0; i < p->n_recorded; i++)
		if (p->graph->values[i]->captured)
			shapes[i] = p->graph->values[i]->captured->shape;
	for (int k = 0; k < p->n_steps; k++) {
		const td_step_plan *step = &p->steps[k];
		const td_shape *in[TD_MOST_IN];
		td_shape out[TD_MOST_OUT] = { 0 };
		td_infer q = { .ctx = c, .attrs = step->node->attrs, .in = in, .n_in = step->node->n_in, .out = out };
		const char *layer = c->layer;

		for (int i = 0; i < TD_MOST_IN; i++)
			in[i] = step->in[i] >= 0 ? &shapes[step->in[i]] : NULL;
		c->layer = step->node->layer;
		step->node->op->infer(&q);
		for (int i = 0; i < step->node->n_out && !c->err.status; i++) {
			char text[TD_SHAPE_TEXT];
			if (!td__shape_sane(&out[i]))
				td_fail(c, TD_TOO_LARGE, "%s would make %s, which is larger than any memory",
					step->node->op->name, td_shape_text(&out[i], text));
			else if (step->out[i] >= 0)
				shapes[step->out[i]] = out[i];
		}
		c->layer = layer;
		if (c->err.status)
			return false;
		if (workspace)
			workspace[k] = q.workspace;
	}
	return true;
}

bool td__layout_make(const td_prepared *p, td_ctx *c, td_layout *l, const td_shape *inputs, unsigned flags)
{
	size_t n = (size_t)p->plan.n_values + 1, n_steps = (size_t)p->plan.n_steps + 1;

	*l = (td_layout){ .shapes = MEM_NEW_N(td_shape, n),
		.offsets = MEM_NEW_N(int64_t, n),
		.workspace = MEM_NEW_N(size_t, n_steps),
		.workspace_at = MEM_NEW_N(int64_t, n_steps),
		.first = MEM_NEW_N(int, n),
		.last = MEM_NEW_N(int, n),
		.base = MEM_NEW_N(int, n) };
	for (int i = 0; i < p->n_inputs; i++)
		l->shapes[p->inputs[i]] = inputs[i];
	if (!td__plan_shapes(&p->plan, c, l->shapes, l->workspace))
		return false;
	td__layout_places(&p->plan, l);
	if (flags & TD_SESSION_PARANOID)
		td__verify_layout(&p->plan, l);
	l->arena_bytes = TD_MAX(l->arena_bytes, 1); /* what is empty has a place, too: no kernel meets NULL for it */
	return true;
}

/* Value V as a kernel sees it: its bytes, if they lie in the arena. */
static td_view view_of(const td_binding *b, int v)
{
	const td_layout *l = &b->layout;

	if (v < 0)
		return (td_view){ 0 };
	return (td_view){ &l->shapes[v], l->offsets[v] >= 0 ? b->arena + l->offsets[v] : NULL };
}

/* Fill what does not change between runs: attributes, shapes, places in the arena. */
static void fill_calls(const td_plan *p, td_binding *b)
{
	const td_layout *l = &b->layout;

	for (int k = 0; k < p->n_steps; k++) {
		const td_step_plan *step = &p->steps[k];
		td_call *call = &b->calls[k];

		call->attrs = step->node->attrs;
		call->workspace = l->workspace[k] ? b->arena + l->workspace_at[k] : NULL;
		for (int i = 0; i < TD_MOST_IN; i++)
			call->in[i] = view_of(b, step->in[i]);
		for (int i = 0; i < TD_MOST_OUT; i++)
			call->out[i] = view_of(b, step->out[i]);
	}
}

/* B's calls know where C's arena lies; it may have moved since they ran last. */
static bool settle(const td_plan *p, td_ctx *c, td_binding *b)
{
	if (!td__arena_reserve(c, b->layout.arena_bytes))
		return td_fail(c, TD_NO_MEMORY, "no memory for a plan's arena of %zu bytes", b->layout.arena_bytes),
		       false;
	if (b->arena != c->arena) {
		b->arena = c->arena;
		fill_calls(p, b);
	}
	return true;
}

static bool binding_init(const td_prepared *p, td_ctx *c, td_binding *b, const td_shape *feeds, unsigned flags)
{
	const td_plan *plan = &p->plan;

	b->feeds = MEM_NEW_N(td_shape, p->n_inputs + 1);
	memcpy(b->feeds, feeds, sizeof *feeds * (size_t)p->n_inputs);
	b->calls = MEM_NEW_N(td_call, plan->n_steps + 1);
	if (!td__layout_make(p, c, &b->layout, feeds, flags) || !settle(plan, c, b))
		return false;
	for (int k = 0; k < plan->n_steps; k++)
		if (plan->steps[k].node->op->prepare)
			b->calls[k].handle = plan->steps[k].node->op->prepare(&b->calls[k]);
	c->counters.bindings++;
	c->counters.arena_bytes = TD_MAX(c->counters.arena_bytes, (int64_t)b->layout.arena_bytes);
	return true;
}

static bool same_feeds(const td_shape *a, const td_shape *b, int n)
{
	for (int i = 0; i < n; i++)
		if (!td_shape_same(&a[i], &b[i]) || a[i].order != b[i].order)
			return false;
	return true;
}

td_binding *td__binding_for(td_prepared *p, td_ctx *c, const td_shape *feeds, unsigned flags, uint64_t run)
{
	td_binding *oldest = p->bindings;

	for (td_binding *b = p->bindings; b < p->bindings + TD_BINDINGS_MOST; b++) {
		if (b->used && same_feeds(b->feeds, feeds, p->n_inputs)) {
			b->used = run;
			return settle(&p->plan, c, b) ? b : NULL;
		}
		if (b->used < oldest->used)
			oldest = b;
	}
	td__binding_release(&p->plan, oldest);
	if (!binding_init(p, c, oldest, feeds, flags)) {
		td__binding_release(&p->plan, oldest);
		return NULL;
	}
	oldest->used = run;
	return oldest;
}
