/* Losses of classes: cross-entropy, negative log-likelihood, margins between scores.  Definitions are those of
 * torch.nn.
 *
 * Where targets stand at each step, [N, T], outputs [N, T, C] and targets are seen as rows; a target that does not
 * count has no loss, and the mean is over those that do. */
#include "nn/loss.h"

#include <math.h>

#define KERAS_EPS 1e-7 /* keras.config.epsilon(): how near to 0 and 1 probabilities come */

#define IGNORE_ROW(type)                                                                                               \
	{                                                                                                              \
		.name = "ignore_index", .kind = OPT_INT, .at = offsetof(struct type, ignore_index), .value = "-100",   \
		.low = -100, .high = 1e9,                                                                              \
		.doc = "A class whose targets do not count; -100: none besides those that the data leaves out."        \
	}

static bool fits(const char *name, const struct opt_floats *weight, const td_shape *out, const struct data_facts *f,
	struct err *why)
{
	if (f->target != DATA_VALUES && weight && weight->n && weight->n != f->n_classes) {
		err_set(why, TD_INVALID, "%s has %d weights, but %s has %d classes; give one for each", name, weight->n,
			f->dataset, f->n_classes);
		return false;
	}
	return loss_fits_classes(name, out, f, why);
}

static bool fits_labels(const char *name, const td_shape *out, const struct data_facts *f, struct err *why)
{
	if (f->target != DATA_SHARES)
		return loss_fits_classes(name, out, f, why);
	err_set(why, TD_INVALID,
		"%s takes one class for each target, but those of %s are shares of many; take "
		"\"cross_entropy\"",
		name, f->dataset);
	return false;
}

/* Outputs and labels as rows, [n, C] and [n]. */
static void rows_of(td_ctx *c, td_value **output, td_value **labels, int64_t ignored)
{
	if (td_shape_of(*labels)->rank == 2) {
		*output = td_reshape(c, *output, (int64_t[]){ -1, TD_SIZE_OF(2) }, 2);
		*labels = td_reshape(c, *labels, (int64_t[]){ -1 }, 1);
	}
	if (ignored != TD_IGNORE_LABEL)
		*labels = td_ignore_label(c, *labels, ignored);
}

/* The probabilities that scores stand for. */
static td_value *softmax_answer(td_ctx *c, const void *options, td_value *output)
{
	(void)options;
	return output ? td_softmax(c, output, td_shape_of(output)->rank - 1) : NULL;
}

/* ---- cross_entropy: -w[label] log p[label], p = softmax(output), and with smoothing s, (1 - s) of that and s of the
 *      mean over all classes k of -w[k] log p[k]; of shares, the sum over k of -share[k] w[k] log p[k].  The mean over
 *      labels divides by the sum of their weights, the one over shares by their number.
 *      From probabilities, as keras.losses: p = output / its sum, held within [1e-7, 1 - 1e-7] -------------------- */

struct cross_entropy_options {
	struct opt_floats weight; /* n = 0: none */
	double label_smoothing;
	int64_t ignore_index;
	bool from_probabilities;
};

static const struct opt cross_entropy_opts[] = {
	LOSS_WEIGHTS_ROW(cross_entropy_options, weight, "How much each class counts: one number for each."),
	LOSS_FLOAT_ROW(cross_entropy_options, label_smoothing, "0", 1,
		"Share of a target that is spread evenly over all classes."),
	IGNORE_ROW(cross_entropy_options),
	{ .name = "from_probabilities",
		.kind = OPT_BOOL,
		.at = offsetof(struct cross_entropy_options, from_probabilities),
		.value = "false",
		.keras = "true",
		.doc = "The model ends with a softmax: its outputs are probabilities, as Keras' losses take them "
		       "unless from_logits is set." },
};

static bool cross_entropy_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	return fits("cross_entropy", &((const struct cross_entropy_options *)options)->weight, out, f, why);
}

/* OUTPUT [n, C] -> log p. */
static td_value *log_probabilities(td_ctx *c, const struct cross_entropy_options *o, td_value *output)
{
	if (!o->from_probabilities)
		return td_log_softmax(c, output, 1);
	output = td_div(c, output, td_sum(c, output, 1u << 1, true));
	return td_log(c, td_clamp(c, output, KERAS_EPS, 1 - KERAS_EPS));
}

/* NLL [n], weighted already, smoothed.  W [classes] or NULL. */
static td_value *smoothed(td_ctx *c, const struct cross_entropy_options *o, td_value *output, td_value *labels,
	td_value *nll, td_value *w)
{
	td_value *logp = log_probabilities(c, o, output);                                      /* [n, C] */
	td_value *even = td_neg(c, td_mean(c, w ? td_mul(c, logp, w) : logp, 1u << 1, false)); /* [n] */
	td_value *valid = loss_counts(c, labels, NULL, output); /* [n]; 0 where ignored */

	return td_add(c, td_scale_by(c, nll, 1 - o->label_smoothing),
		td_scale_by(c, td_mul(c, even, valid), o->label_smoothing));
}

static td_value *each_label(
	td_ctx *c, const struct cross_entropy_options *o, td_value *output, td_value *labels, td_value **weight)
{
	bool may_ignore = td_shape_of(labels)->rank == 2 || o->ignore_index != TD_IGNORE_LABEL;
	td_value *w = o->weight.n ? loss_weights(c, &o->weight, output) : NULL, *counts = NULL, *each;

	rows_of(c, &output, &labels, o->ignore_index);
	each = o->from_probabilities ? td_nll_each(c, log_probabilities(c, o, output), labels)
				     : td_cross_entropy_each(c, output, labels);
	if (w || may_ignore)
		counts = loss_counts(c, labels, w, output);
	if (w)
		each = td_mul(c, each, counts);
	if (o->label_smoothing > 0)
		each = smoothed(c, o, output, labels, each, w);
	if (counts)
		*weight = td_sum(c, counts, TD_ALL_AXES, false);
	return each;
}

static td_value *each_share(td_ctx *c, const struct cross_entropy_options *o, td_value *output, td_value *shares)
{
	td_value *w = o->weight.n ? loss_weights(c, &o->weight, output) : NULL;
	td_value *logp = log_probabilities(c, o, output), *sum, *even; /* [N, C]; [N] */

	logp = w ? td_mul(c, logp, w) : logp;
	sum = td_sum(c, td_mul(c, logp, shares), 1u << 1, false);
	if (o->label_smoothing > 0) {
		even = td_mean(c, logp, 1u << 1, false);
		sum = td_add(c, td_scale_by(c, sum, 1 - o->label_smoothing), td_scale_by(c, even, o->label_smoothing));
	}
	return td_neg(c, sum);
}

static td_value *cross_entropy_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	if (!output || !y)
		return NULL;
	if (loss_is_shares(y))
		return each_share(c, options, output, y);
	return td_reshape_like(c, each_label(c, options, output, y, weight), y);
}

static td_value *cross_entropy_answer(td_ctx *c, const void *options, td_value *output)
{
	int last = output ? td_shape_of(output)->rank - 1 : 0;

	if (!output || !((const struct cross_entropy_options *)options)->from_probabilities)
		return softmax_answer(c, options, output);
	return td_div(c, output, td_sum(c, output, 1u << last, true));
}

static int64_t cross_entropy_ignores(const void *options)
{
	return ((const struct cross_entropy_options *)options)->ignore_index;
}

static bool cross_entropy_of_probabilities(const void *options)
{
	return ((const struct cross_entropy_options *)options)->from_probabilities;
}

const struct nn_loss_type nn_loss_cross_entropy = {
	.type = OPT_TYPE(cross_entropy,
		"Softmax and negative log-likelihood of the label, as torch.nn.CrossEntropyLoss; from "
		"probabilities, as keras.losses."),
	.check = cross_entropy_check,
	.each = cross_entropy_each,
	.answer = cross_entropy_answer,
	.ignores = cross_entropy_ignores,
	.of_probabilities = cross_entropy_of_probabilities,
};

/* ---- nll: -w[label] output[label], of outputs that are logarithms of probabilities ------------------------------ */

struct nll_options {
	struct opt_floats weight; /* n = 0: none */
	int64_t ignore_index;
};

static const struct opt nll_opts[] = {
	LOSS_WEIGHTS_ROW(nll_options, weight, "How much each class counts: one number for each."),
	IGNORE_ROW(nll_options),
};

static bool nll_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	return fits("nll", &((const struct nll_options *)options)->weight, out, f, why) &&
	       fits_labels("nll", out, f, why);
}

static td_value *nll_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	const struct nll_options *o = options;
	td_value *labels = y, *w, *counts, *each;

	if (!output || !y)
		return NULL;
	rows_of(c, &output, &labels, o->ignore_index);
	w = o->weight.n ? loss_weights(c, &o->weight, output) : NULL;
	counts = loss_counts(c, labels, w, output);
	each = td_mul(c, td_nll_each(c, output, labels), counts);
	*weight = td_sum(c, counts, TD_ALL_AXES, false);
	return td_reshape_like(c, each, y);
}

static td_value *nll_answer(td_ctx *c, const void *options, td_value *output)
{
	(void)options;
	return td_exp(c, output);
}

static int64_t nll_ignores(const void *options)
{
	return ((const struct nll_options *)options)->ignore_index;
}

const struct nn_loss_type nn_loss_nll = {
	.type = OPT_TYPE(nll, "Negative log-likelihood of the label, of outputs that are logarithms of probabilities "
			      "(\"log_softmax\" comes last), as torch.nn.NLLLoss."),
	.check = nll_check,
	.each = nll_each,
	.answer = nll_answer,
	.ignores = nll_ignores,
};

/* ---- multi_margin: w[label] times the sum over the other classes k of max(0, margin - output[label] + output[k])^p,
 *      over their number, the label's included -------------------------------------------------------------------- */

struct multi_margin_options {
	struct opt_floats weight; /* n = 0: none */
	double margin;
	int64_t p;
};

static const struct opt multi_margin_opts[] = {
	{ .name = "p",
		.kind = OPT_INT,
		.at = offsetof(struct multi_margin_options, p),
		.value = "1",
		.low = 1,
		.high = 2,
		.doc = "2: margins are squared." },
	LOSS_FLOAT_ROW(multi_margin_options, margin, "1", 1e6, "How far the label's score is to be above all others."),
	LOSS_WEIGHTS_ROW(multi_margin_options, weight, "How much each class counts: one number for each."),
};

static bool multi_margin_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	return fits("multi_margin", &((const struct multi_margin_options *)options)->weight, out, f, why) &&
	       fits_labels("multi_margin", out, f, why);
}

static td_value *multi_margin_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	const struct multi_margin_options *o = options;
	td_value *labels = y, *each, *w;
	bool steps;

	if (!output || !y)
		return NULL;
	steps = td_shape_of(y)->rank == 2;
	rows_of(c, &output, &labels, TD_IGNORE_LABEL);
	/* the number of classes is the model's, not the batch's */
	each = td_multi_margin_each(c, output, labels, o->margin, (int)o->p);
	each = each ? td_scale_by(c, each, 1.0 / (double)TD_MAX(td_shape_of(output)->dim[1], 1)) : NULL;
	if (o->weight.n) {
		w = loss_weights(c, &o->weight, output);
		each = td_mul(c, each, loss_counts(c, labels, w, output));
	}
	if (steps)
		*weight = td_sum(c, loss_counts(c, labels, NULL, output), TD_ALL_AXES, false);
	return td_reshape_like(c, each, y);
}

const struct nn_loss_type nn_loss_multi_margin = {
	.type = OPT_TYPE(multi_margin, "Mean margin of each wrong class, as torch.nn.MultiMarginLoss."),
	.check = multi_margin_check,
	.each = multi_margin_each,
	.answer = softmax_answer,
};

/* ---- hinge: of classes, the sum over the others k of max(0, margin - output[label] + output[k]), the loss of a
 *      support vector machine (Weston and Watkins, ESANN 1999); of one output and targets t of -1 and 1,
 *      max(0, margin - t output), as keras.losses.Hinge ------------------------------------------------------------ */

struct hinge_options {
	double margin;
};

static const struct opt hinge_opts[] = {
	LOSS_FLOAT_ROW(hinge_options, margin, "1", 1e6, "How far the right side is to be kept."),
};

static bool one_output(const td_shape *out)
{
	return out->rank == 1 || (out->rank == 2 && out->dim[1] == 1);
}

static bool hinge_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	(void)options;
	if (f->target == DATA_CLASS && f->n_classes == 2 && one_output(out))
		return true;
	return fits_labels("hinge", out, f, why);
}

static td_value *hinge_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	double margin = ((const struct hinge_options *)options)->margin;
	td_value *labels = y, *sign;

	if (!output || !y)
		return NULL;
	if (one_output(td_shape_of(output))) {
		sign = td_shift_by(c, td_scale_by(c, td_cast(c, y, td_shape_of(output)->dtype), 2), -1);
		output = td_reshape(c, output, (int64_t[]){ -1 }, 1);
		return td_relu(c, td_shift_by(c, td_neg(c, td_mul(c, sign, output)), margin));
	}
	rows_of(c, &output, &labels, TD_IGNORE_LABEL);
	if (td_shape_of(y)->rank == 2)
		*weight = td_sum(c, loss_counts(c, labels, NULL, output), TD_ALL_AXES, false);
	return td_reshape_like(c, td_multi_margin_each(c, output, labels, margin, 1), y);
}

/* One output: [1 - p, p], p the sigmoid of the score. */
static td_value *hinge_answer(td_ctx *c, const void *options, td_value *output)
{
	if (!output || !one_output(td_shape_of(output)))
		return softmax_answer(c, options, output);
	return nn_loss_bce_with_logits.answer(c, options, output);
}

const struct nn_loss_type nn_loss_hinge = {
	.type = OPT_TYPE(hinge,
		"The loss of a support vector machine: how far each wrong class comes too near, added up; of two "
		"classes, one output may stand for both."),
	.check = hinge_check,
	.each = hinge_each,
	.answer = hinge_answer,
};
