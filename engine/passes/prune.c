/* Leave out what nothing asked for needs, and hidden outputs that nobody reads.
 *
 * One sweep from the end: when a step is met, every step that could need it has been seen, for what runs before a node
 * was recorded before it. */
#include "core/core.h"

void td__plan_keep_needed(td_plan *p)
{
	bool *needed = MEM_NEW_N(bool, p->n_values + 1), *runs = MEM_NEW_N(bool, p->graph->n_nodes + 1);
	int n = 0;

	for (int i = 0; i < p->n_fetches; i++)
		needed[p->fetches[i]] = true;
	for (int i = 0; i < p->n_operations; i++)
		runs[p->operations[i]] = true;
	for (int k = p->n_steps - 1; k >= 0; k--) {
		const td_step_plan *s = &p->steps[k];
		const td_node *node = s->node;

		runs[node->id] |= p->effects && node->op->writes;
		for (int i = 0; i < node->n_out; i++)
			runs[node->id] |= s->out[i] >= 0 && needed[s->out[i]];
		if (!runs[node->id])
			continue;
		for (int i = 0; i < node->n_in; i++)
			if (s->in[i] >= 0)
				needed[s->in[i]] = true;
		for (int i = 0; i < node->n_after; i++)
			runs[node->after[i]->id] = true;
	}
	for (int k = 0; k < p->n_steps; k++)
		if (runs[p->steps[k].node->id])
			p->steps[n++] = p->steps[k];
	p->n_steps = n;
	mem_free(runs);
	mem_free(needed);
}

static void drop_hidden_outputs(td_plan *p)
{
	bool *needed = MEM_NEW_N(bool, p->n_values + 1);

	for (int i = 0; i < p->n_fetches; i++)
		needed[p->fetches[i]] = true;
	for (int k = 0; k < p->n_steps; k++)
		for (int i = 0; i < p->steps[k].node->n_in; i++)
			if (p->steps[k].in[i] >= 0)
				needed[p->steps[k].in[i]] = true;
	for (int k = 0; k < p->n_steps; k++)
		for (int i = p->steps[k].node->op->n_out; i < p->steps[k].node->n_out; i++)
			if (p->steps[k].out[i] >= 0 && !needed[p->steps[k].out[i]])
				p->steps[k].out[i] = -1;
	mem_free(needed);
}

void td__pass_prune(td_plan *p)
{
	td__plan_keep_needed(p);
	drop_hidden_outputs(p);
}
