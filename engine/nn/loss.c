/* Losses of classes: cross-entropy and its binary kin.  What all losses share stands here too: the family, and the
 * mean. Definitions are those of torch.nn. */
#include "nn/loss.h"

#include <string.h>

td_value *nn_loss_mean(td_ctx *c, td_value *each, td_value *weight)
{
	return weight ? td_div(c, td_sum(c, each, TD_ALL_AXES, false), weight) : td_mean(c, each, TD_ALL_AXES, false);
}

/* One number for each class, [classes].  The caller's. */
static td_value *vector(td_ctx *c, const struct opt_floats *list)
{
	td_shape shape = td_shape_make(TD_F32, 1, (int64_t)list->n);
	float *data = MEM_NEW_N(float, list->n);
	td_value *v;

	for (int i = 0; i < list->n; i++)
		data[i] = (float)list->items[i];
	v = td_tensor(c, &shape, data);
	mem_free(data);
	return v;
}

static bool is_shares(const td_value *y)
{
	return td_shape_of(y)->dtype == TD_F32;
}

/* ---- cross_entropy: -w[label] log softmax(output)[label], and with smoothing s, (1 - s) of that and s of the mean
 * over all classes k of -w[k] log softmax(output)[k]; of shares, the sum over k of -share[k] w[k] log
 * softmax(output)[k]. The mean over labels divides by the sum of their weights, the one over shares by their number. */

struct cross_entropy_options {
	struct opt_floats weight; /* n = 0: none */
	double label_smoothing;
};

static const struct opt cross_entropy_opts[] = {
	{ .name = "weight",
		.kind = OPT_FLOATS,
		.at = offsetof(struct cross_entropy_options, weight),
		.low = 0,
		.high = 1e6,
		.most = LOSS_CLASSES_MOST,
		.doc = "How much each class counts: one number for each." },
	{ .name = "label_smoothing",
		.kind = OPT_FLOAT,
		.at = offsetof(struct cross_entropy_options, label_smoothing),
		.value = "0",
		.low = 0,
		.high = 1,
		.doc = "Share of a target that is spread evenly over all classes." },
};

static bool check_tokens(const td_shape *out, const struct data_facts *f, struct err *why)
{
	char text[TD_SHAPE_TEXT];
	int64_t steps = f->y.dim[0];

	if (out->rank == 3 && out->dim[1] == steps && out->dim[2] == f->n_classes)
		return true;
	err_set(why, TD_SHAPE,
		"the model's output is %s, but %s has a target at each step, and cross_entropy takes [N, %lld, %d]: "
		"steps, "
		"then one value for each class; end with {\"type\": \"linear\", \"out_features\": %d} behind layers "
		"that keep "
		"the steps",
		td_shape_text(out, text), f->dataset, (long long)steps, f->n_classes, f->n_classes);
	return false;
}

static bool check_classes(const td_shape *out, const struct data_facts *f, struct err *why)
{
	char text[TD_SHAPE_TEXT];
	int n = f->n_classes;

	td_shape_text(out, text);
	if (out->rank != 2) {
		err_set(why, TD_SHAPE,
			"the model's output is %s, but cross_entropy takes [N, %d], one value for each class of %s; "
			"put \"flatten\" and {\"type\": \"linear\", \"out_features\": %d} behind this layer",
			text, n, f->dataset, n);
		return false;
	}
	if (out->dim[1] != n) {
		err_set(why, TD_SHAPE,
			"the model's output is %s, but %s has %d classes and cross_entropy takes [N, %d]; "
			"the last linear layer needs \"out_features\": %d",
			text, f->dataset, n, n, n);
		return false;
	}
	return true;
}

static bool cross_entropy_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	const struct cross_entropy_options *o = options;

	if (f->target == DATA_VALUES) {
		err_set(why, TD_INVALID,
			"cross_entropy compares classes, but the target of %s is a number; take \"mse\", \"l1\" or "
			"\"huber\"",
			f->dataset);
		return false;
	}
	if (o->weight.n && o->weight.n != f->n_classes) {
		err_set(why, TD_INVALID, "cross_entropy has %d weights, but %s has %d classes; give one for each",
			o->weight.n, f->dataset, f->n_classes);
		return false;
	}
	return f->target == DATA_TOKENS ? check_tokens(out, f, why) : check_classes(out, f, why);
}

/* LOGITS [n, classes], LABELS [n], NLL [n] weighted already -> [n].  W [classes] or NULL. */
static td_value *smoothed(td_ctx *c, td_value *logits, td_value *labels, td_value *nll, td_value *w, double smoothing)
{
	td_value *logp = td_log_softmax(c, logits, 1);                                         /* [n, classes] */
	td_value *even = td_neg(c, td_mean(c, w ? td_mul(c, logp, w) : logp, 1u << 1, false)); /* [n] */
	td_value *valid = td_label_weights(c, labels, NULL); /* [n]; 0 where ignored */

	return td_add(c, td_scale_by(c, nll, 1 - smoothing), td_scale_by(c, td_mul(c, even, valid), smoothing));
}

static td_value *each_label(td_ctx *c, const struct cross_entropy_options *o, td_value *logits, td_value *labels,
	bool may_ignore, td_value **weight)
{
	td_value *w = o->weight.n ? vector(c, &o->weight) : NULL, *counts = NULL;
	td_value *each = td_cross_entropy_each(c, logits, labels);

	if (w || may_ignore)
		counts = td_label_weights(c, labels, w);
	if (w)
		each = td_mul(c, each, counts);
	if (o->label_smoothing > 0)
		each = smoothed(c, logits, labels, each, w, o->label_smoothing);
	if (counts)
		*weight = td_sum(c, counts, TD_ALL_AXES, false);
	td_unref(w);
	return each;
}

static td_value *each_share(td_ctx *c, const struct cross_entropy_options *o, td_value *logits, td_value *shares)
{
	td_value *w = o->weight.n ? vector(c, &o->weight) : NULL;
	td_value *logp = td_log_softmax(c, logits, 1), *sum, *even; /* [N, classes]; [N] */

	logp = w ? td_mul(c, logp, w) : logp;
	sum = td_sum(c, td_mul(c, logp, shares), 1u << 1, false);
	if (o->label_smoothing > 0) {
		even = td_mean(c, logp, 1u << 1, false);
		sum = td_add(c, td_scale_by(c, sum, 1 - o->label_smoothing), td_scale_by(c, even, o->label_smoothing));
	}
	td_unref(w);
	return td_neg(c, sum);
}

static td_value *cross_entropy_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	td_value *each;

	if (!output || !y)
		return NULL;
	if (is_shares(y))
		return each_share(c, options, output, y);
	if (td_shape_of(y)->rank == 1)
		return each_label(c, options, output, y, false, weight);
	each = each_label(c, options, td_reshape(c, output, (int64_t[]){ -1, TD_SIZE_OF(2) }, 2),
		td_reshape(c, y, (int64_t[]){ -1 }, 1), true, weight);
	return td_reshape_like(c, each, y); /* [N, T] */
}

static td_value *cross_entropy_answer(td_ctx *c, const void *options, td_value *output)
{
	(void)options;
	return output ? td_softmax(c, output, td_shape_of(output)->rank - 1) : NULL;
}

static const struct nn_loss_type cross_entropy = {
	.type = { .name = "cross_entropy",
		.doc = "Softmax and negative log-likelihood of the label, as torch.nn.CrossEntropyLoss.",
		.options = cross_entropy_opts,
		.n_options = TD_COUNT(cross_entropy_opts),
		.n_bytes = sizeof(struct cross_entropy_options) },
	.check = cross_entropy_check,
	.each = cross_entropy_each,
	.answer = cross_entropy_answer,
};

/* ---- bce_with_logits: -(w t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))), w the weight of what is positive ---- */

struct bce_options {
	struct opt_floats pos_weight; /* n = 0: none */
};

static const struct opt bce_opts[] = {
	{ .name = "pos_weight",
		.kind = OPT_FLOATS,
		.at = offsetof(struct bce_options, pos_weight),
		.low = 0,
		.high = 1e6,
		.most = LOSS_CLASSES_MOST,
		.doc = "How much positive targets count: one number, or one for each output." },
};

static bool bce_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	const struct bce_options *o = options;
	bool one = f->target == DATA_CLASS;
	int n = one ? 1 : f->n_classes;
	char text[TD_SHAPE_TEXT];

	if (f->target != DATA_SHARES && !(one && f->n_classes == 2)) {
		const char *what = f->target == DATA_CLASS    ? "more"
				   : f->target == DATA_TOKENS ? "a target at each step"
							      : "numbers";
		err_set(why, TD_INVALID, "bce_with_logits decides between two classes, but %s has %s; take \"%s\"%s",
			f->dataset, what, f->target == DATA_VALUES ? "mse" : "cross_entropy",
			f->target == DATA_CLASS
				? ", or {\"type\": \"one_hot\"} among /data/transforms to decide about each class"
				: "");
		return false;
	}
	if (!(out->rank == 2 && out->dim[1] == n) && !(one && out->rank == 1)) {
		err_set(why, TD_SHAPE,
			"the model's output is %s, but bce_with_logits takes [N, %d] for %s; the last linear layer "
			"needs "
			"\"out_features\": %d",
			td_shape_text(out, text), n, f->dataset, n);
		return false;
	}
	if (o->pos_weight.n > 1 && o->pos_weight.n != n) {
		err_set(why, TD_INVALID,
			"bce_with_logits has %d positive weights for %d outputs; give one, or one for each",
			o->pos_weight.n, n);
		return false;
	}
	return true;
}

static td_value *bce_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	const struct bce_options *o = options;
	td_value *w, *each;

	(void)weight;
	if (!output || !y)
		return NULL;
	if (!is_shares(y)) {
		output = td_reshape(c, output, (int64_t[]){ -1 }, 1); /* [N] */
		y = td_cast(c, y, TD_F32);
	}
	w = o->pos_weight.n ? vector(c, &o->pos_weight) : NULL;
	each = td_bce_logits_each(c, output, y, w);
	td_unref(w);
	return each;
}

/* One output: [1 - p, p], a column for each of the two classes.  Many: the probability of each. */
static td_value *bce_answer(td_ctx *c, const void *options, td_value *output)
{
	td_value *x;

	(void)options;
	if (!output)
		return NULL;
	if (td_shape_of(output)->rank == 2 && td_shape_of(output)->dim[1] > 1)
		return td_sigmoid(c, output);
	x = td_reshape(c, output, (int64_t[]){ -1, 1 }, 2);
	return td_concat(c, td_sigmoid(c, td_neg(c, x)), td_sigmoid(c, x), 1);
}

static const struct nn_loss_type bce_with_logits = {
	.type = { .name = "bce_with_logits",
		.doc = "Sigmoid and binary cross-entropy: of two classes (one output), or of each class for itself "
		       "(one-hot "
		       "targets), as torch.nn.BCEWithLogitsLoss.",
		.options = bce_opts,
		.n_options = TD_COUNT(bce_opts),
		.n_bytes = sizeof(struct bce_options) },
	.check = bce_check,
	.each = bce_each,
	.answer = bce_answer,
};

static const struct opt_type *const losses[] = { &cross_entropy.type, &bce_with_logits.type, &nn_loss_mse.type,
	&nn_loss_l1.type, &nn_loss_huber.type, &nn_loss_smooth_l1.type };

const struct opt_family nn_losses = { .name = "loss", .types = losses, .n_types = TD_COUNT(losses) };
