/* Program: the one place where a job's mode is looked at (see learn.h). */
#include "nn/learn.h"

#include <string.h>

/* Batches differ in how many samples they have and in how long these are: every size may differ between runs. */
static void place_inputs(struct nn_program *p, td_ctx *c, td_value *const *in, td_value **placeholder)
{
	for (int i = 0; i < p->n_in; i++) {
		td_shape any = in[i] ? *td_shape_of(in[i]) : (td_shape){ 0 };

		for (int k = 0; k < any.rank; k++)
			any.dim[k] = TD_UNKNOWN(any.dim[k]);
		placeholder[i] = in[i] ? td_placeholder(c, p->in_names[i], &any) : NULL;
	}
}

static td_status trace(struct nn_program *p, td_value *const *in)
{
	td_value *out[NN_PROGRAM_OUTPUTS] = { 0 }, *fetches[NN_PROGRAM_OUTPUTS];
	int n_fetches = 0;

	p->traced = td_graph_create();
	td_trace_begin(p->c, p->traced);
	place_inputs(p, p->c, in, p->placeholder);
	p->write(p->c, p->arg, p->placeholder, out);
	td_trace_end(p->c);
	for (int i = 0; i < p->n_out; i++) {
		p->fetch_at[i] = out[i] ? n_fetches : -1;
		if (out[i])
			fetches[n_fetches++] = out[i];
	}
	if (!td_error(p->c)->status)
		p->session = td_session_create(p->c, p->traced, fetches, n_fetches);
	return td_error(p->c)->status;
}

td_status nn_program_run(struct nn_program *p, td_value *const *in, td_value **out)
{
	td_feed feeds[NN_PROGRAM_INPUTS];
	td_value *fetched[NN_PROGRAM_OUTPUTS] = { 0 };
	int n_feeds = 0;
	td_status s;

	if (!p->graph) {
		p->write(p->c, p->arg, in, out);
		return td_error(p->c)->status;
	}
	if (!p->session && trace(p, in))
		return td_error(p->c)->status;
	for (int i = 0; i < p->n_in; i++)
		if (in[i])
			feeds[n_feeds++] = (td_feed){ p->placeholder[i], in[i] };
	s = td_session_run(p->session, p->c, feeds, n_feeds, fetched);
	for (int i = 0; i < p->n_out && !s; i++)
		out[i] = p->fetch_at[i] < 0 ? NULL : fetched[p->fetch_at[i]];
	return s;
}

td_status nn_program_draw(struct nn_program *p, td_value *const *in, void (*each)(void *arg, const td_node_view *node),
	void *arg, struct err *e)
{
	td_value *placeholder[NN_PROGRAM_INPUTS], *out[NN_PROGRAM_OUTPUTS] = { 0 };
	td_status s;
	td_graph *g;
	td_ctx *c;

	if (p->session) {
		td_session_each_node(p->session, each, arg);
		return TD_OK;
	}
	c = td_ctx_create(&(td_ctx_options){ .threads = 1 }); /* of its own: the job's counters show the job alone */
	g = td_graph_create();
	td_trace_begin(c, g);
	place_inputs(p, c, in, placeholder);
	p->write(c, p->arg, placeholder, out);
	td_trace_end(c);
	s = td_error(c)->status;
	if (s)
		err_set(e, s, "%s", td_error(c)->text);
	else
		td_graph_each_node(g, each, arg);
	td_graph_free(g);
	td_ctx_free(c);
	return s;
}

void nn_program_release(struct nn_program *p)
{
	if (p->session)
		td_session_free(p->session);
	if (p->traced)
		td_graph_free(p->traced);
	memset(p, 0, sizeof *p);
}
