/* Leave out what reaches neither a fetch nor an effect, and hidden outputs that nobody reads.
 *
 * One sweep from the end: when a step is met, every step that could need it has been seen. */
#include "core/core.h"

void td__pass_prune(td_plan *p)
{
	bool *needed = MEM_NEW_N(bool, p->graph->n_values + 1);
	bool *keep = MEM_NEW_N(bool, p->n_steps + 1);
	int n = 0;

	for (int i = 0; i < p->n_fetches; i++)
		needed[p->fetches[i]] = true;
	for (int k = p->n_steps - 1; k >= 0; k--) {
		td_step_plan *s = &p->steps[k];

		keep[k] = s->node->op->writes != 0;
		for (int i = 0; i < s->node->n_out; i++)
			keep[k] |= needed[s->out[i]];
		if (!keep[k])
			continue;
		for (int i = 0; i < s->node->n_in; i++)
			if (s->in[i] >= 0)
				needed[s->in[i]] = true;
		for (int i = s->node->op->n_out; i < s->node->n_out; i++)
			if (!needed[s->out[i]])
				s->out[i] = -1;
	}
	for (int k = 0; k < p->n_steps; k++)
		if (keep[k])
			p->steps[n++] = p->steps[k];
	p->n_steps = n;
	mem_free(keep);
	mem_free(needed);
}
