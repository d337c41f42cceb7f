/* Losses of single targets besides the cross-entropy, and what a label counts. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- label_weights: the weight of each label's class (1 without WEIGHTS), 0 for a label that does not count */

static void label_weights_infer(td_infer *q)
{
	char tl[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];

	if (q->in[0]->dtype != TD_I64 || (q->in[1] && (q->in[1]->rank != 1 || !td__is_float(q->in[1]->dtype)))) {
		td_fail(q->ctx, TD_SHAPE, "label_weights needs labels int64 and weights float[classes], not %s and %s",
			td_shape_text(q->in[0], tl), q->in[1] ? td_shape_text(q->in[1], tw) : "none");
		return;
	}
	ops_infer_same(q);
	q->out[0].dtype = q->in[1] ? q->in[1]->dtype : TD_F32;
}

static void label_weights_forward(const td_call *call)
{
	const int64_t *label = call->in[0].data;
	int64_t n = td_shape_count(call->in[0].shape), classes = call->in[1].data ? call->in[1].shape->dim[0] : 0;
	td_dtype d = call->out[0].shape->dtype;

	for (int64_t i = 0; i < n; i++) {
		double w = label[i] != TD_IGNORE_LABEL;

		if (classes && label[i] >= 0 && label[i] < classes)
			w = ops_get(call->in[1].data, d, label[i]);
		ops_set(call->out[0].data, d, i, w);
	}
}

static td_value *label_weights_apply(td_ctx *c, td_value *const *in)
{
	return td_label_weights(c, in[0], in[1]);
}

static bool label_weights_sample(int i, td_sample *s)
{
	if (i >= 2)
		return false;
	s->apply = label_weights_apply;
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 6, 3);
	s->in[0].classes = 4;
	s->in[0].batched = true;
	if (i)
		SAMPLE_INPUT(s, TD_FILL_POSITIVE, TD_F32, 4);
	return true;
}

TD_OP(label_weights, .n_in = 2, .n_out = 1, .optional = 2, .infer = label_weights_infer,
	.forward = { label_weights_forward }, .backward = td_nodiff, .sample = label_weights_sample)

/* labels int64 [..], weights [classes] or NULL -> [..], float32 or as the weights. */
TD_API td_value *td_label_weights(td_ctx *c, td_value *labels, td_value *weights)
{
	return labels ? TD_APPLY(c, label_weights, NULL, labels, weights) : NULL;
}

/* ---- ignore_label: labels of one class do not count any more: they become TD_IGNORE_LABEL -------------------------
 */

typedef struct ignore_attrs {
	int64_t label;
} ignore_attrs;

static const td_field ignore_label_fields[] = { TD_FIELD(ignore_attrs, label), { 0 } };

static void ignore_label_infer(td_infer *q)
{
	char text[TD_SHAPE_TEXT];

	if (q->in[0]->dtype == TD_I64)
		ops_infer_same(q);
	else
		td_fail(q->ctx, TD_SHAPE, "ignore_label needs labels int64, not %s", td_shape_text(q->in[0], text));
}

static void ignore_label_forward(const td_call *call)
{
	int64_t ignored = ((const ignore_attrs *)call->attrs)->label, *y = call->out[0].data;
	const int64_t *label = call->in[0].data;

	for (int64_t i = 0; i < td_shape_count(call->in[0].shape); i++)
		y[i] = label[i] == ignored ? TD_IGNORE_LABEL : label[i];
}

static td_value *ignore_label_apply(td_ctx *c, td_value *const *in)
{
	return td_ignore_label(c, in[0], 2);
}

static bool ignore_label_sample(int i, td_sample *s)
{
	if (i >= 2)
		return false;
	s->apply = ignore_label_apply;
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, i ? 0 : 6, 3);
	s->in[0].classes = 4;
	s->in[0].batched = true;
	return true;
}

TD_OP(ignore_label, .n_in = 1, .n_out = 1, .attrs_size = sizeof(ignore_attrs), .fields = ignore_label_fields,
	.infer = ignore_label_infer, .forward = { ignore_label_forward }, .backward = td_nodiff,
	.sample = ignore_label_sample)

TD_API td_value *td_ignore_label(td_ctx *c, td_value *labels, int64_t label)
{
	return labels ? TD_APPLY(c, ignore_label, (&(ignore_attrs){ label }), labels) : NULL;
}

/* ---- multi_margin_each: the sum over k other than the label of max(0, margin - x[n,label] + x[n,k])^p, p 1 or 2
 * (Weston and Watkins, 1999; torch.nn.MultiMarginLoss divides by the number of classes).  The label's own term is
 * margin^p */

/* x [N, C], labels int64 [N] -> [N]; 0 where the label does not count. */
TD_API td_value *td_multi_margin_each(td_ctx *c, td_value *x, td_value *labels, double margin, int p)
{
	td_value *own, *over, *sum, *counts;
	char tx[TD_SHAPE_TEXT], tl[TD_SHAPE_TEXT];

	if (!x || !labels)
		return NULL;
	if (!td__is_float(x->shape.dtype) || x->shape.rank != 2 || labels->shape.dtype != TD_I64 ||
		labels->shape.rank != 1)
		return td_fail(c, TD_SHAPE,
			"multi_margin needs scores float[N, classes] and labels int64[N], not %s and %s",
			td_shape_text(&x->shape, tx), td_shape_text(&labels->shape, tl));
	own = td_neg(c, td_nll_each(c, x, labels));
	if (!own)
		return NULL;
	over = td_relu(c, td_shift_by(c, td_sub(c, x, td_reshape(c, own, (int64_t[]){ -1, 1 }, 2)), margin));
	sum = td_sum(c, p == 2 ? td_square(c, over) : over, 1u << 1, false);
	counts = td_cast(c, td_label_weights(c, labels, NULL), td_shape_of(x)->dtype);
	return td_mul(c, td_shift_by(c, sum, p == 2 ? -margin * margin : -margin), counts);
}

/* ---- Losses of values: outputs and targets are alike.  Broadcasting would make [N, N] differences of [N, 1] and [N],
 * and a mean that falls and means nothing */

/* False, with an error: X and T are not alike. */
static bool targets_fit(td_ctx *c, const char *op, const td_value *x, const td_value *t)
{
	char tx[TD_SHAPE_TEXT], tt[TD_SHAPE_TEXT];

	if (td_shape_same(&x->shape, &t->shape))
		return true;
	if (x->shape.dtype != t->shape.dtype && ops_fits(&x->shape, &t->shape) && ops_fits(&t->shape, &x->shape))
		td_fail(c, TD_DTYPE, "%s needs outputs and targets of one type, not %s and %s; cast one of them", op,
			td_shape_text(&x->shape, tx), td_shape_text(&t->shape, tt));
	else
		td_fail(c, TD_SHAPE,
			"%s needs a target for each output, not outputs %s and targets %s; give both the same sizes, "
			"with td_reshape, td_squeeze or td_unsqueeze",
			op, td_shape_text(&x->shape, tx), td_shape_text(&t->shape, tt));
	return false;
}

/* ---- bce_logits_each: -(w t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))), in a form that does not overflow
 * (torch.nn.functional.binary_cross_entropy_with_logits): softplus(x) - x t without a weight */

/* x, t: alike, as torch demands; pos_weight: broadcast to them, or NULL. */
TD_API td_value *td_bce_logits_each(td_ctx *c, td_value *x, td_value *t, td_value *pos_weight)
{
	td_value *heavier;
	char tw[TD_SHAPE_TEXT], tx[TD_SHAPE_TEXT];

	if (!x || !t || !targets_fit(c, "bce_logits", x, t))
		return NULL;
	if (pos_weight && !ops_fits(&pos_weight->shape, &x->shape))
		return td_fail(c, TD_SHAPE, "bce_logits needs weights that can be broadcast to %s, not %s",
			td_shape_text(&x->shape, tx), td_shape_text(&pos_weight->shape, tw));
	td__lint_binary_logits(c, x);
	if (!pos_weight)
		return td_sub(c, td_softplus(c, x), td_mul(c, x, t));
	/* (1 - t) x + (1 + (w - 1) t) softplus(-x) */
	heavier = td_shift_by(c, td_mul(c, t, td_shift_by(c, pos_weight, -1)), 1);
	return td_add(c, td_sub(c, x, td_mul(c, x, t)), td_mul(c, heavier, td_softplus(c, td_neg(c, x))));
}

/* ---- huber_each: d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2), with d = x - t (Huber, 1964;
 * torch.nn.HuberLoss).  With c = d held within delta both are c (d - c / 2), gradient included */

/* x, t: alike; torch only warns of others. */
TD_API td_value *td_huber_each(td_ctx *c, td_value *x, td_value *t, double delta)
{
	td_value *d, *held;

	if (!x || !t || !targets_fit(c, "huber", x, t))
		return NULL;
	d = td_sub(c, x, t);
	held = td_clamp(c, d, -delta, delta);
	return td_mul(c, held, td_sub(c, d, td_scale_by(c, held, 0.5)));
}
