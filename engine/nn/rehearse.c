/* The forward half of a training step, written down once on symbols: nothing is allocated, so it costs the same for any
 * size of model.  It is how a checker learns what only shows where layers and loss meet. */
#include "nn/learn.h"

/* Symbols for M's parameters until forget_symbols. */
static void make_symbols(struct nn_model *m, td_ctx *c)
{
	for (int i = 0; i < m->n_layers; i++) {
		struct nn_layer *l = &m->layers[i];

		for (int k = 0; k < l->n_params; k++) {
			const struct nn_param *p = &m->params[l->param_at[k]];

			l->param[k] = td_placeholder(c, p->name, &p->shape);
		}
	}
}

static void forget_symbols(struct nn_model *m)
{
	for (int i = 0; i < m->n_layers; i++)
		for (int k = 0; k < m->layers[i].n_params; k++)
			m->layers[i].param[k] = NULL;
}

static void write_loss(
	td_ctx *c, const struct nn_model *m, const struct opt_choice *loss, const td_shape *target, bool has_lengths)
{
	const struct nn_loss_type *type = (const struct nn_loss_type *)loss->type;
	td_shape lengths = td_shape_make(TD_I64, 1, m->in.dim[0]);
	struct nn_pass pass = {
		.c = c, .training = true, .lengths = has_lengths ? td_placeholder(c, "lengths", &lengths) : NULL
	};
	td_value *output = nn_forward(m, &pass, td_placeholder(c, "input", &m->in)), *weight = NULL, *each;

	td_name_push(c, nn_parts[NN_PART_LOSS]);
	each = type->each(c, loss->options, output, td_placeholder(c, "target", target), &weight);
	nn_loss_mean(c, each, weight);
	td_name_pop(c);
}

td_status nn_rehearse(struct nn_model *m, const struct opt_choice *loss, const struct data_facts *facts,
	td_warning_fn *warn, void *arg, struct err *e)
{
	td_shape target = { .dtype = facts->y.dtype, .rank = facts->y.rank + 1, .dim = { m->in.dim[0] } };
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	td_graph *g = td_graph_create();

	for (int i = 0; i < facts->y.rank; i++)
		target.dim[i + 1] = facts->y.dim[i];
	td_on_warning(c, warn, arg);
	td_trace_begin(c, g);
	make_symbols(m, c);
	write_loss(c, m, loss, &target, facts->has_lengths);
	forget_symbols(m);
	td_trace_end(c);
	err_copy(e, td_error(c));
	td_graph_free(g);
	td_ctx_free(c);
	return e->status;
}
