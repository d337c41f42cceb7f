/* A training step without its update, written down once on symbols: nothing is allocated, so it costs the same for any
 * size of model.  It is how a checker learns what only shows where layers and loss meet, and what memory a step takes. */
#include "nn/learn.h"

/* Symbols for M's parameters until forget_symbols; those that learn are listed in LEARNT.  Returns how many these are. */
static int make_symbols(struct nn_model *m, td_ctx *c, td_value **learnt)
{
	int n = 0;

	for (int i = 0; i < m->n_layers; i++) {
		struct nn_layer *l = &m->layers[i];

		for (int k = 0; k < l->n_params; k++) {
			const struct nn_param *p = &m->params[l->param_at[k]];

			l->param[k] = td_placeholder(c, p->name, &p->shape);
			if (p->buffer || p->frozen)
				continue;
			td_require_grad(c, l->param[k], true);
			learnt[n++] = l->param[k];
		}
	}
	return n;
}

static void forget_symbols(struct nn_model *m)
{
	for (int i = 0; i < m->n_layers; i++)
		for (int k = 0; k < m->layers[i].n_params; k++)
			m->layers[i].param[k] = NULL;
}

static td_value *write_loss(td_ctx *c, const struct nn_rehearsal *r)
{
	const struct nn_model *m = r->model;
	const struct nn_loss_type *type = (const struct nn_loss_type *)r->loss->type;
	td_shape target = { .dtype = r->facts->y.dtype, .rank = r->facts->y.rank + 1, .dim = { m->in.dim[0] } },
		 lengths = td_shape_make(TD_I64, 1, m->in.dim[0]);
	struct nn_pass pass = { .c = c,
		.training = true,
		.lengths = r->facts->has_lengths ? td_placeholder(c, "lengths", &lengths) : NULL };
	td_value *output = nn_forward(m, &pass, td_placeholder(c, "input", &m->in)), *weight = NULL, *loss;

	for (int i = 0; i < r->facts->y.rank; i++)
		target.dim[i + 1] = r->facts->y.dim[i];
	nn_loss_look(c, r->loss, m);
	td_name_push(c, nn_parts[NN_PART_LOSS]);
	loss = type->each(c, r->loss->options, output, td_placeholder(c, "target", &target), &weight);
	loss = nn_loss_objective(c, r->loss, loss, nn_loss_mean(c, loss, weight));
	td_name_pop(c);
	return loss;
}

/* What a step takes that computes LOSS and the gradients of LEARNT, all of which it needs at its end: their norm. */
static size_t step_bytes(
	td_ctx *c, td_graph *g, const struct nn_rehearsal *r, td_value *loss, td_value *const *learnt, int n_learnt)
{
	td_value **fetches = MEM_NEW_N(td_value *, n_learnt + 1), **grads = MEM_NEW_N(td_value *, n_learnt + 1);
	size_t n_bytes = 0;
	td_session *s;
	int n = 0;

	td_no_grad_begin(c);
	td_gradients(c, &loss, NULL, 1, learnt, n_learnt, 0, grads);
	td_no_grad_end(c);
	td_trace_end(c);
	fetches[n++] = loss;
	for (int i = 0; i < n_learnt; i++)
		if (grads[i])
			fetches[n++] = grads[i];
	s = td_session_create(c, g, fetches, n);
	if (s) {
		td_session_set_flags(s, r->graph ? 0 : TD_SESSION_UNOPTIMISED);
		n_bytes = td_session_arena(s, c);
		td_session_free(s);
	}
	mem_free(fetches);
	mem_free(grads);
	return n_bytes;
}

td_status nn_rehearse(struct nn_rehearsal *r, struct err *e)
{
	td_value **learnt = MEM_NEW_N(td_value *, r->model->n_params + 1), *loss;
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	td_graph *g = td_graph_create();
	int n_learnt;

	td_on_warning(c, r->warn, r->arg);
	td_trace_begin(c, g);
	n_learnt = make_symbols(r->model, c, learnt);
	loss = write_loss(c, r);
	forget_symbols(r->model);
	r->n_bytes = step_bytes(c, g, r, loss, learnt, n_learnt);
	err_copy(e, td_error(c));
	td_graph_free(g);
	td_ctx_free(c);
	mem_free(learnt);
	return e->status;
}
