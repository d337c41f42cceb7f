/* Losses of two classes, one output deciding between them, or of many, each decided for itself.  Definitions are those
 * of torch.nn. */
#include "nn/loss.h"

#include <float.h>

/* Targets like OUTPUT, which is made to fit: labels 0 and 1 are numbers for one output, [N]. */
static void pair_up(td_ctx *c, td_value **output, td_value **y)
{
	if (loss_is_shares(*y))
		return;
	*output = td_reshape(c, *output, (int64_t[]){ -1 }, 1); /* [N] */
	*y = td_cast(c, *y, *output ? td_shape_of(*output)->dtype : TD_F32);
}

static bool is_many(const td_value *output)
{
	return td_shape_of(output)->rank == 2 && td_shape_of(output)->dim[1] > 1;
}

/* ---- bce_with_logits: -(w t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))), w the weight of what is positive ---- */

struct bce_with_logits_options {
	struct opt_floats pos_weight; /* n = 0: none */
};

static const struct opt bce_with_logits_opts[] = {
	LOSS_WEIGHTS_ROW(bce_with_logits_options, pos_weight,
		"How much positive targets count: one number, or one for each output."),
};

static bool bce_with_logits_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	const struct bce_with_logits_options *o = options;
	int n = f->target == DATA_CLASS ? 1 : f->n_classes;

	if (!loss_fits_binary("bce_with_logits", out, f, why))
		return false;
	if (o->pos_weight.n > 1 && o->pos_weight.n != n) {
		err_set(why, TD_INVALID,
			"bce_with_logits has %d positive weights for %d outputs; give one, or one for each",
			o->pos_weight.n, n);
		return false;
	}
	return true;
}

static td_value *bce_with_logits_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	const struct bce_with_logits_options *o = options;
	td_value *w;

	(void)weight;
	if (!output || !y)
		return NULL;
	pair_up(c, &output, &y);
	w = o->pos_weight.n ? loss_weights(c, &o->pos_weight, output) : NULL;
	return td_bce_logits_each(c, output, y, w);
}

/* One output: [1 - p, p], a column for each of the two classes.  Many: the probability of each. */
static td_value *bce_with_logits_answer(td_ctx *c, const void *options, td_value *output)
{
	td_value *x;

	(void)options;
	if (!output)
		return NULL;
	if (is_many(output))
		return td_sigmoid(c, output);
	x = td_reshape(c, output, (int64_t[]){ -1, 1 }, 2);
	return td_concat(c, td_sigmoid(c, td_neg(c, x)), td_sigmoid(c, x), 1);
}

const struct nn_loss_type nn_loss_bce_with_logits = {
	.type = OPT_TYPE(bce_with_logits,
		"Sigmoid and binary cross-entropy: of two classes (one output), or of each class for itself (one-hot "
		"targets), as torch.nn.BCEWithLogitsLoss."),
	.check = bce_with_logits_check,
	.each = bce_with_logits_each,
	.answer = bce_with_logits_answer,
};

/* ---- bce: -(t log p + (1 - t) log(1 - p)) of outputs p that are probabilities; logarithms end at -100, as torch's do,
 *      or with eps > 0 p is held within [eps, 1 - eps], as Keras does -------------------------------------------- */

#define LOG_LEAST    (-100.0)
#define SPREAD_LEAST 1e-12

struct bce_options {
	double eps;
};

static const struct opt bce_opts[] = {
	{ .name = "eps",
		.kind = OPT_FLOAT,
		.at = offsetof(struct bce_options, eps),
		.value = "0",
		.keras = "1e-7",
		.low = 0,
		.high = 0.5,
		.below = true,
		.doc = "How near to 0 and 1 probabilities come; 0: their logarithms end at -100." },
};

static bool bce_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	(void)options;
	return loss_fits_binary("bce", out, f, why);
}

/* Without eps, a zero is held at the least number first: log(0) is no infinity that a look for one would find. */
static td_value *log_held(td_ctx *c, const struct bce_options *o, td_value *p)
{
	if (o->eps > 0)
		return td_log(c, td_clamp(c, p, o->eps, 1 - o->eps));
	return td_clamp(c, td_log(c, td_clamp(c, p, FLT_TRUE_MIN, 1)), LOG_LEAST, 0);
}

/* The loss of P in IN[0] for targets in IN[1], ARG: struct bce_options. */
static td_value *bce_of(td_ctx *c, void *arg, td_value *const *in, int n_in)
{
	const struct bce_options *o = arg;
	td_value *other = td_shift_by(c, td_neg(c, in[0]), 1), *rest = td_shift_by(c, td_neg(c, in[1]), 1);

	(void)n_in;
	return td_neg(c, td_add(c, td_mul(c, in[1], log_held(c, o, in[0])), td_mul(c, rest, log_held(c, o, other))));
}

/* (p - t) / (p (1 - p)), whose divisor ends where torch's does: at p = 0 or 1 the logarithms have no slope of their own,
 * and a sigmoid before it takes the large one back to what it should be. */
static void bce_slope(td_ctx *c, void *arg, td_value *const *in, int n_in, td_value *y, td_value *dy, td_value **dx)
{
	td_value *spread = td_mul(c, in[0], td_shift_by(c, td_neg(c, in[0]), 1));

	(void)arg;
	(void)n_in;
	(void)y;
	dx[0] = td_mul(c, dy, td_div(c, td_sub(c, in[0], in[1]), td_clamp(c, spread, SPREAD_LEAST, 1)));
}

static td_value *bce_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	const struct bce_options *o = options;
	td_custom f = { .name = "bce", .forward = bce_of, .backward = bce_slope, .arg = (void *)o };

	(void)weight;
	if (!output || !y)
		return NULL;
	pair_up(c, &output, &y);
	return o->eps > 0 ? bce_of(c, f.arg, (td_value *[]){ output, y }, 2)
			  : td_custom_call(c, &f, (td_value *[]){ output, y }, 2);
}

static td_value *bce_answer(td_ctx *c, const void *options, td_value *output)
{
	td_value *p;

	(void)options;
	if (!output || is_many(output))
		return output;
	p = td_reshape(c, output, (int64_t[]){ -1, 1 }, 2);
	return td_concat(c, td_shift_by(c, td_neg(c, p), 1), p, 1);
}

static bool bce_of_probabilities(const void *options)
{
	(void)options;
	return true;
}

const struct nn_loss_type nn_loss_bce = {
	.type = OPT_TYPE(bce, "Binary cross-entropy of outputs that are probabilities (\"sigmoid\" comes last), as "
			      "torch.nn.BCELoss."),
	.check = bce_check,
	.each = bce_each,
	.answer = bce_answer,
	.of_probabilities = bce_of_probabilities,
};

/* ---- hinge_embedding: x where the target is 1, max(0, margin - x) where it is -1 (class 0): x is a distance ---- */

struct hinge_embedding_options {
	double margin;
};

static const struct opt hinge_embedding_opts[] = {
	LOSS_FLOAT_ROW(hinge_embedding_options, margin, "1", 1e6, "From which distance on what is unlike has no loss."),
};

static bool hinge_embedding_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	(void)options;
	return loss_fits_binary("hinge_embedding", out, f, why);
}

static td_value *hinge_embedding_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	td_value *unlike;

	(void)weight;
	if (!output || !y)
		return NULL;
	pair_up(c, &output, &y);
	unlike = td_relu(
		c, td_shift_by(c, td_neg(c, output), ((const struct hinge_embedding_options *)options)->margin));
	return td_add(c, td_mul(c, y, output), td_mul(c, td_shift_by(c, td_neg(c, y), 1), unlike));
}

/* A small distance is class 1. */
static td_value *hinge_embedding_answer(td_ctx *c, const void *options, td_value *output)
{
	double margin = ((const struct hinge_embedding_options *)options)->margin;

	return bce_with_logits_answer(c, options, td_shift_by(c, td_neg(c, output), margin / 2));
}

const struct nn_loss_type nn_loss_hinge_embedding = {
	.type = OPT_TYPE(hinge_embedding,
		"Of outputs that are distances: small ones for class 1, beyond the margin for class 0, as "
		"torch.nn.HingeEmbeddingLoss."),
	.check = hinge_embedding_check,
	.each = hinge_embedding_each,
	.answer = hinge_embedding_answer,
};
