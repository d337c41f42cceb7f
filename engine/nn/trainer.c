/* The trainer: one train step and one evaluation, each written once for both modes. */
#include "nn/nn.h"

#include <stdio.h>
#include <string.h>

enum { IN_X, IN_LABELS, IN_LR, IN_T, IN_GATE, N_STEP_IN, N_EVALUATION_IN = IN_LABELS + 1 };
enum { OUT_LOSS, OUT_GRAD_NORM, OUT_METRICS };
enum { OUT_LOSSES, OUT_PREDICTIONS, OUT_PROBABILITIES, N_EVALUATION_OUT };

static const char *const in_names[] = { "images", "labels", "lr", "t", "gate" };

static const struct nn_loss_type *loss_of(const struct nn_trainer *t)
{
	return (const struct nn_loss_type *)t->loss.type;
}

static const struct nn_optimizer_type *optimizer_of(const struct nn_trainer *t)
{
	return (const struct nn_optimizer_type *)t->optimizer.type;
}

static td_value *gradient_norm(td_ctx *c, td_value *const *grads, int n)
{
	td_value *sum = NULL;

	for (int i = 0; i < n; i++)
		if (grads[i])
			sum = sum ? td_add(c, sum, td_sum_squares(c, grads[i])) : td_sum_squares(c, grads[i]);
	return sum ? td_sqrt(c, sum) : NULL;
}

static void write_updates(td_ctx *c, struct nn_trainer *t, td_value *const *in)
{
	struct nn_update u = { .lr = in[IN_LR], .t = in[IN_T], .gate = in[IN_GATE] };

	td_name_push(c, "optimizer");
	for (int i = 0; i < t->model->n_params; i++) {
		if (!t->grads[i])
			continue; /* the loss does not depend on it */
		u.param = t->model->params[i].value;
		u.grad = t->grads[i];
		for (int k = 0; k < t->n_state; k++)
			u.state[k] = t->state[i * t->n_state + k];
		optimizer_of(t)->update(c, t->optimizer.options, &u);
	}
	td_name_pop(c);
}

static void write_step(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	struct nn_trainer *t = arg;
	struct nn_model *m = t->model;
	td_value *output = nn_forward(m, c, in[IN_X], true); /* [N, classes] */

	td_name_push(c, "loss");
	out[OUT_LOSS] = loss_of(t)->mean(c, t->loss.options, output, in[IN_LABELS]);
	td_name_pop(c);

	td_value **params = t->grads + m->n_params;
	for (int i = 0; i < m->n_params; i++)
		params[i] = m->params[i].value;
	memset(t->grads, 0, sizeof *t->grads * (size_t)m->n_params);
	td_no_grad_begin(c); /* nobody wants gradients of the gradients */
	td_gradients(c, &out[OUT_LOSS], NULL, 1, params, m->n_params, t->grads);
	td_name_push(c, "metrics");
	out[OUT_GRAD_NORM] = gradient_norm(c, t->grads, m->n_params);
	for (int i = 0; i < t->metrics.n; i++) {
		const struct nn_metric_type *metric = (const struct nn_metric_type *)t->metrics.items[i].type;
		out[OUT_METRICS + i] = metric->sum(c, t->metrics.items[i].options, output, in[IN_LABELS]);
	}
	td_name_pop(c);
	write_updates(c, t, in);
	td_no_grad_end(c);
}

static void write_evaluation(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	struct nn_trainer *t = arg;

	td_no_grad_begin(c);
	td_value *output = nn_forward(t->model, c, in[IN_X], false); /* [N, classes] */
	out[OUT_LOSSES] = loss_of(t)->each(c, t->loss.options, output, in[IN_LABELS]);
	out[OUT_PREDICTIONS] = td_argmax(c, output, 1);
	out[OUT_PROBABILITIES] = td_softmax(c, output, 1);
	td_no_grad_end(c);
}

static bool create_state(struct nn_trainer *t)
{
	char name[NN_NAME];

	for (int i = 0; i < t->model->n_params; i++)
		for (int k = 0; k < t->n_state; k++) {
			td_value *v = td_tensor(t->c, &t->model->params[i].shape, NULL);
			if (!v)
				return false;
			nn_trainer_state_name(t, i, k, name);
			td_set_name(v, name);
			t->state[i * t->n_state + k] = v;
		}
	return true;
}

struct nn_trainer *nn_trainer_create(const struct nn_trainer_options *o)
{
	struct nn_trainer *t = MEM_NEW(struct nn_trainer);
	int n = o->model->n_params;

	TD_ASSERT(o->metrics.n <= NN_METRICS_MOST && OUT_METRICS + o->metrics.n <= NN_PROGRAM_OUTPUTS);
	t->c = o->c;
	t->model = o->model;
	t->loss = o->loss;
	t->optimizer = o->optimizer;
	t->metrics = o->metrics;
	t->n_state = optimizer_of(t)->n_state(o->optimizer.options);
	t->state = MEM_NEW_N(td_value *, n * t->n_state + 1);
	t->grads = MEM_NEW_N(td_value *, 2 * n + 1);
	t->lr = td_scalar(t->c, TD_F32, 0);
	t->t = td_scalar(t->c, TD_F32, 0);
	t->gate = td_scalar(t->c, TD_F32, 1);
	t->step = (struct nn_program){ .c = t->c,
		.graph = o->graph,
		.n_in = N_STEP_IN,
		.n_out = OUT_METRICS + o->metrics.n,
		.in_names = in_names,
		.write = write_step,
		.arg = t };
	t->evaluation = (struct nn_program){ .c = t->c,
		.graph = o->graph,
		.n_in = N_EVALUATION_IN,
		.n_out = N_EVALUATION_OUT,
		.in_names = in_names,
		.write = write_evaluation,
		.arg = t };
	if (t->lr && t->t && t->gate && create_state(t))
		return t;
	nn_trainer_free(t);
	return NULL;
}

void nn_trainer_free(struct nn_trainer *t)
{
	if (!t)
		return;
	nn_program_release(&t->step);
	nn_program_release(&t->evaluation);
	for (int i = 0; i < t->model->n_params * t->n_state; i++)
		td_unref(t->state[i]);
	td_unref(t->lr);
	td_unref(t->t);
	td_unref(t->gate);
	mem_free(t->state);
	mem_free(t->grads);
	mem_free(t);
}

void nn_trainer_state_name(const struct nn_trainer *t, int p, int i, char out[NN_NAME])
{
	snprintf(out, NN_NAME, "%s.%s", t->model->params[p].name, optimizer_of(t)->state_names[i]);
}

td_status nn_trainer_step(struct nn_trainer *t, int64_t number, td_value *x, td_value *labels, struct nn_step_result *r)
{
	td_value *in[N_STEP_IN] = { x, labels, t->lr, t->t, t->gate }, *out[NN_PROGRAM_OUTPUTS] = { 0 };
	float lr = (float)((const struct nn_optimizer_options *)t->optimizer.options)->lr, at = (float)number;
	td_status s;

	td_write(t->lr, &lr);
	td_write(t->t, &at);
	td_step_set(t->c, number - 1); /* evaluations in between do not count: randomness depends on the number alone */
	td_step_begin(t->c);
	s = nn_program_run(&t->step, in, out);
	if (!s) {
		r->loss = td_item(out[OUT_LOSS]);
		r->grad_norm = out[OUT_GRAD_NORM] ? td_item(out[OUT_GRAD_NORM]) : 0;
		for (int i = 0; i < t->metrics.n; i++)
			r->metric[i] = td_item(out[OUT_METRICS + i]);
	}
	td_step_end(t->c);
	return s;
}

td_status nn_trainer_evaluate(
	struct nn_trainer *t, td_value *x, td_value *labels, float *losses, int64_t *predictions, float *probabilities)
{
	td_value *in[N_EVALUATION_IN] = { x, labels }, *out[NN_PROGRAM_OUTPUTS] = { 0 };
	td_status s;

	td_step_begin(t->c);
	s = nn_program_run(&t->evaluation, in, out);
	if (!s) {
		if (losses)
			td_read(out[OUT_LOSSES], losses);
		if (predictions)
			td_read(out[OUT_PREDICTIONS], predictions);
		if (probabilities)
			td_read(out[OUT_PROBABILITIES], probabilities);
	}
	td_step_end(t->c);
	return s;
}

td_status nn_trainer_draw(struct nn_trainer *t, td_value *x, td_value *labels,
	void (*each)(void *arg, const td_node_view *node), void *arg, struct err *e)
{
	td_value *in[N_STEP_IN] = { x, labels, t->lr, t->t, t->gate };

	return nn_program_draw(&t->step, in, each, arg, e);
}
