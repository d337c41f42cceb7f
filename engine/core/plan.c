/* Plans: which nodes run for what is asked, in the order in which they were recorded.  A plan knows no sizes. */
#include "core/session.h"

#include <string.h>

void td__request_release(td_request *r)
{
	mem_free(r->fetches);
	mem_free(r->operations);
	mem_free(r->computed);
	*r = (td_request){ 0 };
}

static bool same_ids(const int *a, int n_a, const int *b, int n_b)
{
	return n_a == n_b && (!n_a || !memcmp(a, b, sizeof *a * (size_t)n_a));
}

bool td__request_same(const td_request *a, const td_request *b)
{
	return same_ids(a->fetches, a->n_fetches, b->fetches, b->n_fetches) &&
	       same_ids(a->operations, a->n_operations, b->operations, b->n_operations) &&
	       same_ids(a->computed, a->n_computed, b->computed, b->n_computed);
}

/* The id that readers of value V read: its stand-in where it is fed. */
static int read_as(const td_plan *p, const int *stand_in, int v)
{
	return stand_in[v] ? p->n_recorded + stand_in[v] - 1 : v;
}

static void add_steps(td_plan *p, const int *stand_in)
{
	p->steps = MEM_NEW_N(td_step_plan, p->graph->n_nodes + 1);
	for (int k = 0; k < p->graph->n_nodes; k++) {
		td_node *n = p->graph->nodes[k];
		td_step_plan *s = &p->steps[p->n_steps++];

		s->node = n;
		for (int i = 0; i < TD_MOST_IN; i++) {
			bool there = i < n->n_in && n->in[i];
			bool written = n->op->writes >> i & 1; /* the variable itself, whatever its readers are fed */

			s->in[i] = !there ? -1 : written ? n->in[i]->id : read_as(p, stand_in, n->in[i]->id);
		}
		for (int i = 0; i < TD_MOST_OUT; i++)
			s->out[i] = i < n->n_out ? n->out[i]->id : -1;
	}
}

static void plan_init(td_plan *p, const td_graph *g, const td_request *r, bool effects)
{
	int *stand_in = MEM_NEW_N(int, g->n_values + 1); /* number of a value's stand-in, from 1 */

	p->graph = g;
	p->effects = effects;
	p->n_recorded = g->n_values;
	p->n_values = g->n_values + r->n_computed;
	p->stand_ins = MEM_NEW_N(int, r->n_computed + 1);
	for (int i = 0; i < r->n_computed; i++) {
		p->stand_ins[i] = r->computed[i];
		stand_in[r->computed[i]] = i + 1;
	}
	p->fetches = MEM_NEW_N(int, r->n_fetches + 1);
	p->fetched = MEM_NEW_N(bool, p->n_values + 1);
	for (int i = 0; i < r->n_fetches; i++) {
		int v = read_as(p, stand_in, r->fetches[i]);

		p->fetches[p->n_fetches++] = v;
		p->fetched[v] = true;
	}
	p->operations = MEM_NEW_N(int, r->n_operations + 1);
	for (int i = 0; i < r->n_operations; i++)
		p->operations[p->n_operations++] = r->operations[i];
	add_steps(p, stand_in);
	mem_free(stand_in);
}

static void find_inputs(td_prepared *r)
{
	const td_plan *p = &r->plan;
	bool *seen = MEM_NEW_N(bool, p->n_values + 1);

	for (int k = 0; k < p->n_steps; k++)
		for (int i = 0; i < TD_MOST_IN; i++)
			if (p->steps[k].in[i] >= 0)
				seen[p->steps[k].in[i]] = true;
	for (int i = 0; i < p->n_fetches; i++)
		seen[p->fetches[i]] = true;
	r->inputs = MEM_NEW_N(int, p->n_values + 1);
	for (int v = 0; v < p->n_values; v++)
		if (seen[v] && (v >= p->n_recorded || p->graph->values[v]->placeholder))
			r->inputs[r->n_inputs++] = v;
	mem_free(seen);
}

static void find_reads(td_prepared *r)
{
	const td_plan *p = &r->plan;
	bool *settled = MEM_NEW_N(bool, p->n_values + 1); /* listed, written, or no variable */

	r->reads = MEM_NEW_N(int, p->graph->n_variables + 1);
	for (int v = 0; v < p->n_values; v++)
		settled[v] = true;
	for (int i = 0; i < p->graph->n_variables; i++)
		settled[p->graph->variables[i].symbol->id] = false;
	for (int k = 0; k <= p->n_steps; k++)
		for (int i = 0; i < (k < p->n_steps ? TD_MOST_IN : p->n_fetches); i++) {
			int v = k < p->n_steps ? p->steps[k].in[i] : p->fetches[i];

			if (v < 0 || settled[v])
				continue;
			settled[v] = true;
			if (k == p->n_steps || !(p->steps[k].node->op->overwrites >> i & 1))
				r->reads[r->n_reads++] = v;
		}
	mem_free(settled);
}

td_prepared *td__prepare(td_ctx *c, td_graph *g, td_request *request, bool effects, unsigned flags)
{
	td_prepared *r = MEM_NEW(td_prepared);
	bool verify = flags & TD_SESSION_PARANOID;

	r->request = *request;
	*request = (td_request){ 0 };
	plan_init(&r->plan, g, &r->request, effects);
	r->plan.in_place = !(flags & TD_SESSION_UNOPTIMISED);
	if (verify)
		td__verify_plan(&r->plan, "recording");
	if (!effects || r->request.n_computed) /* no optimisation: what is not needed must not run */
		td__plan_keep_needed(&r->plan);
	if (!(flags & TD_SESSION_UNOPTIMISED))
		td__passes_run(&r->plan, verify);
	find_inputs(r);
	find_reads(r);
	c->counters.plans++;
	return r;
}

void td__prepared_free(td_prepared *r)
{
	if (!r)
		return;
	for (int i = 0; i < TD_BINDINGS_MOST; i++)
		td__binding_release(&r->plan, &r->bindings[i]);
	td__request_release(&r->request);
	mem_free(r->plan.stand_ins);
	mem_free(r->plan.steps);
	mem_free(r->plan.fetches);
	mem_free(r->plan.fetched);
	mem_free(r->plan.operations);
	mem_free(r->inputs);
	mem_free(r->reads);
	mem_free(r);
}
