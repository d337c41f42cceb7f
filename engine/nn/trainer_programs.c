/* What a trainer computes, written once for both modes.
 *
 * A step of one batch is one program: forward, loss, backward, clipping, update.  A step of several batches is made of
 * two: each batch adds the gradients of its summed loss to what is there (gather), and then the sum is divided by all
 * the weight that the batches had together (unless the loss is a sum) and used (update), so that many small batches are
 * one large batch. */
#include "nn/trainer.h"

#include <string.h>

#define CLIP_EPS 1e-6 /* of torch.nn.utils.clip_grad_norm_ */

const char *const nn_parts[NN_PARTS] = { [NN_PART_LOSS] = "loss",
	[NN_PART_METRICS] = "metrics",
	[NN_PART_ACCUMULATION] = "accumulation",
	[NN_PART_CLIPPING] = "clipping",
	[NN_PART_OPTIMIZER] = "optimizer",
	[NN_PART_EMA] = "ema" };

/* ---- Forward and backward -------------------------------------------------------------------------------------- */

/* SLOTS' gradients of LOSS. */
static void differentiate(td_ctx *c, struct nn_trainer *t, td_value *loss)
{
	int n_params = t->model->n_params, n = 0;
	td_value **params = MEM_NEW_N(td_value *, n_params + 1), **grads = MEM_NEW_N(td_value *, n_params + 1);

	for (int i = 0; i < n_params; i++)
		if (t->slots[i].learns)
			params[n++] = t->model->params[i].value;
	if (loss)
		td_gradients(c, &loss, NULL, 1, params, n, 0, grads);
	n = 0;
	for (int i = 0; i < n_params; i++)
		t->slots[i].grad = t->slots[i].learns ? grads[n++] : NULL;
	mem_free(params);
	mem_free(grads);
}

/* The loss of a batch, its sum or its mean, and the gradients of that or of what the loss is reduced to.  Gradients are
 * off when it returns: nobody wants gradients of the gradients. */
static void write_backward(td_ctx *c, const struct trainer_variant *v, bool sum, td_value *const *in, td_value **out)
{
	struct nn_trainer *t = v->t;
	struct nn_pass pass = { .c = c, .training = true, .lengths = in[IN_LENGTHS] };
	td_value *output = nn_forward(t->model, &pass, in[IN_X]), *each, *objective;

	nn_loss_look(c, &t->loss, t->model);
	td_name_push(c, nn_parts[NN_PART_LOSS]);
	each = trainer_loss(t)->each(c, t->loss.options, output, in[IN_Y], &out[OUT_WEIGHT]);
	out[OUT_LOSS] = sum ? td_sum(c, each, TD_ALL_AXES, false) : nn_loss_mean(c, each, out[OUT_WEIGHT]);
	objective = sum ? out[OUT_LOSS] : nn_loss_objective(c, &t->loss, each, out[OUT_LOSS]);
	td_name_pop(c);
	if (out[OUT_LOSS])
		td_set_name(out[OUT_LOSS], "loss");
	td_no_grad_begin(c);
	differentiate(c, t, objective);
	if (!v->answers)
		return;
	td_name_push(c, nn_parts[NN_PART_METRICS]);
	out[OUT_ANSWER] = trainer_loss(t)->answer(c, t->loss.options, output);
	out[OUT_EACH] = each;
	td_name_pop(c);
}

/* ---- From gradients to updates --------------------------------------------------------------------------------- */

/* GATE where LOSS (NULL: it was judged before) and NORM (NULL: there is none) are finite, else 0: x - x is 0 for just
 * those. */
static td_value *finite_gate(td_ctx *c, td_value *gate, td_value *loss, td_value *norm)
{
	td_value *judged[] = { loss, norm };

	td_name_push(c, nn_parts[NN_PART_METRICS]);
	for (size_t i = 0; i < TD_COUNT(judged); i++) {
		td_value *zero = judged[i] ? td_sub(c, judged[i], judged[i]) : NULL;

		if (judged[i])
			gate = td_mul(c, gate, td_cast(c, td_equal(c, zero, td_zeros_like(c, zero)), TD_F32));
	}
	td_name_pop(c);
	return gate;
}

static td_value *gradient_norm(td_ctx *c, const struct nn_trainer *t)
{
	td_value *sum = NULL;

	for (int i = 0; i < t->model->n_params; i++)
		if (t->slots[i].grad)
			sum = sum ? td_add(c, sum, td_sum_squares(c, t->slots[i].grad))
				  : td_sum_squares(c, t->slots[i].grad);
	return sum ? td_sqrt(c, sum) : NULL;
}

static void write_kept(td_ctx *c, struct nn_trainer *t)
{
	for (int i = 0; i < t->model->n_params; i++)
		if (t->slots[i].grad) {
			td_assign(c, t->slots[i].kept, t->slots[i].grad);
			t->slots[i].has_kept = true;
		}
}

/* torch.nn.utils.clip_grad_norm_: every gradient times min(clip / (norm + 1e-6), 1). */
static void write_clipping(td_ctx *c, struct nn_trainer *t, td_value *norm)
{
	td_value *scale = td_clamp(c,
		td_div(c, td_scale_by(c, td_ones_like(c, norm), t->clip_norm), td_shift_by(c, norm, CLIP_EPS)), 0, 1);

	for (int i = 0; i < t->model->n_params; i++)
		if (t->slots[i].grad)
			t->slots[i].grad = td_mul(c, t->slots[i].grad, scale);
}

/* torch.nn.utils.clip_grad_value_: every element of the gradients between -clip and clip. */
static void write_value_clipping(td_ctx *c, struct nn_trainer *t)
{
	for (int i = 0; i < t->model->n_params; i++)
		if (t->slots[i].grad)
			t->slots[i].grad = td_clamp(c, t->slots[i].grad, -t->clip_value, t->clip_value);
}

static void write_updates(td_ctx *c, struct nn_trainer *t, td_value *const *in, td_value *gate)
{
	td_name_push(c, nn_parts[NN_PART_OPTIMIZER]);
	for (int i = 0; i < t->model->n_params; i++) {
		const struct trainer_slot *slot = &t->slots[i];
		struct nn_update u = { .param = t->model->params[i].value,
			.grad = slot->grad,
			.lr = t->lr[1 + slot->group],
			.t = in[IN_T],
			.gate = gate,
			.momentum = t->momentum,
			.group = slot->group,
			.weight_decay = nn_group_weight_decay(t->optimizer.options, slot->group) };

		if (!slot->grad)
			continue; /* the loss does not depend on it */
		memcpy(u.state, slot->state, sizeof u.state);
		trainer_optimizer(t)->update(c, t->optimizer.options, &u);
	}
	td_name_pop(c);
}

/* Each average follows its parameter: a = d a + (1 - d) p, after the first update p itself, as
 * torch.optim.swa_utils.AveragedModel with an EMA function. */
static void write_averages(td_ctx *c, struct nn_trainer *t, td_value *gate)
{
	td_value *keep;

	if (!t->n_averaged)
		return;
	td_name_push(c, nn_parts[NN_PART_EMA]);
	keep = td_scale_by(c, td_clamp(c, t->n_averaged, 0, 1), t->ema_decay);
	for (int i = 0; i < t->model->n_params; i++)
		td_lerp_update(c, t->slots[i].average, t->model->params[i].value, keep, gate);
	td_assign(c, t->n_averaged, td_add(c, t->n_averaged, gate));
	td_name_pop(c);
}

/* The layers' parameters are the averages, or again those that are trained. */
static void use_averages(struct nn_trainer *t, bool averages)
{
	for (int i = 0; i < t->model->n_layers; i++) {
		struct nn_layer *l = &t->model->layers[i];

		for (int k = 0; k < l->n_params; k++)
			l->param[k] = averages ? nn_trainer_weight(t, l->param_at[k])
					       : t->model->params[l->param_at[k]].value;
	}
}

/* LOSS: to be judged with the norm. */
static void write_use(td_ctx *c, const struct trainer_variant *v, td_value *const *in, td_value *loss, td_value **out)
{
	struct nn_trainer *t = v->t;
	td_value *gate;

	td_name_push(c, nn_parts[NN_PART_METRICS]);
	out[OUT_GRAD_NORM] = gradient_norm(c, t);
	if (out[OUT_GRAD_NORM])
		td_set_name(out[OUT_GRAD_NORM], "grad_norm");
	if (v->keeps)
		write_kept(c, t);
	td_name_pop(c);
	td_name_push(c, nn_parts[NN_PART_CLIPPING]);
	if (t->clip_norm > 0 && out[OUT_GRAD_NORM])
		write_clipping(c, t, out[OUT_GRAD_NORM]);
	if (t->clip_value > 0)
		write_value_clipping(c, t);
	td_name_pop(c);
	gate = finite_gate(c, in[IN_GATE], loss, out[OUT_GRAD_NORM]);
	write_updates(c, t, in, gate);
	write_averages(c, t, gate);
}

/* ---- The programs ---------------------------------------------------------------------------------------------- */

void trainer_write_step(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	write_backward(c, arg, false, in, out);
	write_use(c, arg, in, out[OUT_LOSS], out);
	td_no_grad_end(c);
}

void trainer_write_gather(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	const struct trainer_variant *v = arg;

	write_backward(c, v, true, in, out);
	td_name_push(c, nn_parts[NN_PART_ACCUMULATION]);
	for (int i = 0; i < v->t->model->n_params; i++) {
		struct trainer_slot *slot = &v->t->slots[i];

		if (!slot->grad)
			continue;
		td_assign(c, slot->sum, td_add(c, slot->sum, slot->grad));
		slot->summed = true;
	}
	td_name_pop(c);
	td_no_grad_end(c);
}

void trainer_write_update(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	const struct trainer_variant *v = arg;

	td_no_grad_begin(c);
	td_name_push(c, nn_parts[NN_PART_ACCUMULATION]);
	for (int i = 0; i < v->t->model->n_params; i++) {
		struct trainer_slot *slot = &v->t->slots[i];

		slot->grad = !slot->summed               ? NULL
			     : nn_loss_sums(&v->t->loss) ? slot->sum
							 : td_div(c, slot->sum, in[IN_WEIGHT]);
	}
	td_name_pop(c);
	write_use(c, v, in, NULL, out);
	td_no_grad_end(c);
}

void trainer_write_evaluation(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	struct nn_trainer *t = ((const struct trainer_variant *)arg)->t;
	struct nn_pass pass = { .c = c, .training = false, .lengths = in[IN_LENGTHS] };
	td_value *weight = NULL, *output;

	td_no_grad_begin(c);
	use_averages(t, true);
	output = nn_forward(t->model, &pass, in[IN_X]);
	use_averages(t, false);
	out[OUT_EACH] = trainer_loss(t)->each(c, t->loss.options, output, in[IN_Y], &weight);
	out[OUT_WEIGHT] = weight;
	out[OUT_ANSWER] = trainer_loss(t)->answer(c, t->loss.options, output);
	td_no_grad_end(c);
}
