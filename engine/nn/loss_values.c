/* Losses of values: how far each output is from its target.  Definitions are those of torch.nn. */
#include "nn/loss.h"

static bool check_values(const char *name, const td_shape *out, const struct data_facts *f, struct err *why)
{
	char text[TD_SHAPE_TEXT];
	long long n = f->y.rank == 1 ? f->y.dim[0] : 1;

	if (f->target == DATA_CLASS || f->target == DATA_TOKENS) {
		err_set(why, TD_INVALID,
			"%s compares numbers, but the target of %s is a class; take \"cross_entropy\"%s", name,
			f->dataset,
			f->target == DATA_CLASS ? ", or {\"type\": \"one_hot\"} among /data/transforms" : "");
		return false;
	}
	if (out->rank != 2 || out->dim[1] != n) {
		err_set(why, TD_SHAPE,
			"the model's output is %s, but %s takes [N, %lld], one value for each of the targets of %s; %s"
			"{\"type\": \"linear\", \"out_features\": %lld} must come last",
			td_shape_text(out, text), name, n, f->dataset, out->rank == 2 ? "" : "\"flatten\" and ", n);
		return false;
	}
	return true;
}

static td_value *itself(td_ctx *c, const void *options, td_value *output)
{
	(void)c;
	(void)options;
	return output;
}

/* ---- mse: (output - target)^2 ------------------------------------------------------------------------------------ */

static bool mse_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	(void)options;
	return check_values("mse", out, f, why);
}

static td_value *mse_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	(void)options;
	(void)weight;
	return td_square(c, td_sub(c, output, y));
}

const struct nn_loss_type nn_loss_mse = {
	.type = { .name = "mse", .doc = "Mean squared error, as torch.nn.MSELoss." },
	.check = mse_check,
	.each = mse_each,
	.answer = itself,
};

/* ---- l1: |output - target| --------------------------------------------------------------------------------------- */

static bool l1_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	(void)options;
	return check_values("l1", out, f, why);
}

static td_value *l1_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	(void)options;
	(void)weight;
	return td_abs(c, td_sub(c, output, y));
}

const struct nn_loss_type nn_loss_l1 = {
	.type = { .name = "l1", .doc = "Mean absolute error, as torch.nn.L1Loss." },
	.check = l1_check,
	.each = l1_each,
	.answer = itself,
};

/* ---- huber: d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), d = output - target.
 *      smooth_l1: huber with delta = beta, over beta; of beta 0, l1. ---------------------------------------------- */

struct bend_options {
	double at; /* where the parabola becomes a line */
};

static const struct opt huber_opts[] = {
	{ .name = "delta",
		.kind = OPT_FLOAT,
		.at = offsetof(struct bend_options, at),
		.value = "1",
		.low = 0,
		.above = true,
		.high = 1e6,
		.doc = "Difference from which the loss grows linearly." },
};

static bool huber_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	(void)options;
	return check_values("huber", out, f, why);
}

static td_value *huber_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	(void)weight;
	return td_huber_each(c, output, y, ((const struct bend_options *)options)->at);
}

const struct nn_loss_type nn_loss_huber = {
	.type = { .name = "huber",
		.doc = "Squared for small differences, linear for large ones, as torch.nn.HuberLoss.",
		.options = huber_opts,
		.n_options = TD_COUNT(huber_opts),
		.n_bytes = sizeof(struct bend_options) },
	.check = huber_check,
	.each = huber_each,
	.answer = itself,
};

static const struct opt smooth_l1_opts[] = {
	{ .name = "beta",
		.kind = OPT_FLOAT,
		.at = offsetof(struct bend_options, at),
		.value = "1",
		.low = 0,
		.high = 1e6,
		.doc = "Difference from which the loss grows linearly; 0: l1." },
};

static bool smooth_l1_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	(void)options;
	return check_values("smooth_l1", out, f, why);
}

static td_value *smooth_l1_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	double beta = ((const struct bend_options *)options)->at;

	(void)weight;
	if (beta == 0)
		return td_abs(c, td_sub(c, output, y));
	return td_scale_by(c, td_huber_each(c, output, y, beta), 1 / beta);
}

const struct nn_loss_type nn_loss_smooth_l1 = {
	.type = { .name = "smooth_l1",
		.doc = "Like huber, scaled so that its linear part has slope 1, as torch.nn.SmoothL1Loss.",
		.options = smooth_l1_opts,
		.n_options = TD_COUNT(smooth_l1_opts),
		.n_bytes = sizeof(struct bend_options) },
	.check = smooth_l1_check,
	.each = smooth_l1_each,
	.answer = itself,
};
