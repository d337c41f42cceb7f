/* The verifier: is a plan legal, is a layout free of overlaps?  It shares no code with what it checks. */
#include "core/core.h"

#include <stdio.h>

static _Noreturn void refuse(const td_plan *p, const char *after, int k, const char *what, int value)
{
	for (int i = TD_MAX(0, k - 2); i < TD_MIN(p->n_steps, k + 3); i++)
		fprintf(stderr, "%s step %d: %s (%s)\n", i == k ? "->" : "  ", i, p->steps[i].node->op->name,
			p->steps[i].node->layer);
	TD_BUG("after %s the plan is not legal: step %d, value %d: %s", after, k, value, what);
}

void td__verify_plan(const td_plan *p, const char *after)
{
	bool *made = MEM_NEW_N(bool, p->n_values + 1), *ran = MEM_NEW_N(bool, p->graph->n_nodes + 1);
	uint64_t seq = 0;

	for (int i = 0; i < p->n_values; i++)
		made[i] = i >= p->n_recorded || !p->graph->values[i]->producer;
	for (int k = 0; k < p->n_steps; k++) {
		const td_step_plan *s = &p->steps[k];
		const td_op *op = s->node->op;

		if (s->node->seq <= seq)
			refuse(p, after, k, "out of its recorded order", -1);
		seq = s->node->seq;
		for (int i = 0; i < s->node->n_after; i++)
			if (!ran[s->node->after[i]->id])
				refuse(p, after, k, "runs without what must run before it", i);
		ran[s->node->id] = true;
		for (int i = 0; i < op->n_in; i++) {
			if (s->in[i] < 0 && !(op->optional >> i & 1))
				refuse(p, after, k, "an input is missing", i);
			if (s->in[i] >= 0 && !made[s->in[i]])
				refuse(p, after, k, "read before it is made", s->in[i]);
			if (s->in[i] >= 0 && (op->writes >> i & 1) && !td__base(td__plan_value(p, s->in[i]))->captured)
				refuse(p, after, k, "written, but not a variable", s->in[i]);
		}
		for (int i = 0; i < op->n_out + op->n_hidden; i++) {
			if (s->out[i] < 0 && i < op->n_out)
				refuse(p, after, k, "a visible output is missing", i);
			if (s->out[i] >= 0 && made[s->out[i]])
				refuse(p, after, k, "made twice", s->out[i]);
			if (s->out[i] >= 0)
				made[s->out[i]] = true;
		}
	}
	for (int i = 0; i < p->n_fetches; i++)
		if (!made[p->fetches[i]])
			refuse(p, after, p->n_steps - 1, "fetched, but never made", p->fetches[i]);
	for (int i = 0; i < p->n_operations; i++)
		if (!ran[p->operations[i]])
			refuse(p, after, p->n_steps - 1, "an operation that was asked for does not run", -1);
	mem_free(ran);
	mem_free(made);
}

/* The steps during which a value holds something, found again from the plan alone; what a view shows lives as long as
 * the view, and the view itself is not looked at. */
static void live_ranges(const td_plan *p, int *root, int *first, int *last)
{
	for (int v = 0; v < p->n_values; v++) {
		root[v] = v;
		first[v] = -1;
		last[v] = -1;
	}
	for (int k = 0; k < p->n_steps; k++) {
		const td_step_plan *s = &p->steps[k];

		for (int i = 0; i < TD_MOST_IN; i++)
			if (s->in[i] >= 0)
				last[root[s->in[i]]] = k;
		for (int i = 0; i < TD_MOST_OUT; i++)
			if (s->out[i] >= 0 && s->node->op->view)
				root[s->out[i]] = root[s->in[0]];
			else if (s->out[i] >= 0)
				first[s->out[i]] = last[s->out[i]] = k;
	}
	for (int i = 0; i < p->n_fetches; i++)
		last[root[p->fetches[i]]] = p->n_steps;
}

static bool overlap(int64_t a, int64_t n_a, int64_t b, int64_t n_b)
{
	return a < b + n_b && b < a + n_a;
}

/* Whether step K may make B on top of A, which it reads for the last time. */
static bool in_place(const td_plan *p, const td_layout *l, const int *root, int k, int a, int b)
{
	const td_step_plan *s = &p->steps[k];

	if (s->out[0] != b || l->offsets[a] != l->offsets[b])
		return false;
	for (int i = 0; i < TD_MOST_IN; i++)
		if (s->in[i] >= 0 && root[s->in[i]] == a && (s->node->op->inplace >> i & 1))
			return true;
	return false;
}

void td__verify_layout(const td_plan *p, const td_layout *l)
{
	int n = p->n_values;
	int *root = MEM_NEW_N(int, n + 1), *first = MEM_NEW_N(int, n + 1), *last = MEM_NEW_N(int, n + 1);

	live_ranges(p, root, first, last);
	for (int a = 0; a < n; a++)
		for (int b = 0; b < n; b++) {
			if (a == b || first[a] < 0 || first[b] < 0 || first[a] > first[b] || last[a] < first[b])
				continue;
			if (!overlap(l->offsets[a], (int64_t)td_shape_bytes(&l->shapes[a]), l->offsets[b],
				    (int64_t)td_shape_bytes(&l->shapes[b])))
				continue;
			if (last[a] == first[b] && in_place(p, l, root, first[b], a, b))
				continue;
			refuse(p, "laying out", first[b], "lies on a value that is still alive", a);
		}
	for (int k = 0; k < p->n_steps; k++)
		for (int v = 0; v < n && l->workspace[k]; v++)
			if (first[v] >= 0 && first[v] <= k && k <= last[v] &&
				overlap(l->offsets[v], (int64_t)td_shape_bytes(&l->shapes[v]), l->workspace_at[k],
					(int64_t)l->workspace[k]))
				refuse(p, "laying out", k, "lies in the scratch of this step", v);
	mem_free(root);
	mem_free(first);
	mem_free(last);
}
