/* Losses of values, and of shares: how far each output is from its target.  Definitions are those of torch.nn. */
#include "nn/loss.h"

#include <float.h>

/* ---- mse: (output - target)^2 ------------------------------------------------------------------------------------ */

static bool mse_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	(void)options;
	return loss_fits_values("mse", out, f, why);
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
	.answer = loss_itself,
};

/* ---- l1: |output - target| --------------------------------------------------------------------------------------- */

static bool l1_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	(void)options;
	return loss_fits_values("l1", out, f, why);
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
	.answer = loss_itself,
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
	return loss_fits_values("huber", out, f, why);
}

static td_value *huber_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	(void)weight;
	return td_huber_each(c, output, y, ((const struct bend_options *)options)->at);
}

const struct nn_loss_type nn_loss_huber = {
	.type = OPT_TYPE_OF(huber, huber_opts, bend_options,
		"Squared for small differences, linear for large ones, as torch.nn.HuberLoss."),
	.check = huber_check,
	.each = huber_each,
	.answer = loss_itself,
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
	return loss_fits_values("smooth_l1", out, f, why);
}

static td_value *smooth_l1_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	double beta = ((const struct bend_options *)options)->at;

	(void)weight;
	if (beta < FLT_MIN) /* its inverse, or even beta itself, would be no float32 */
		return td_abs(c, td_sub(c, output, y));
	return td_scale_by(c, td_huber_each(c, output, y, beta), 1 / beta);
}

const struct nn_loss_type nn_loss_smooth_l1 = {
	.type = OPT_TYPE_OF(smooth_l1, smooth_l1_opts, bend_options,
		"Like huber, scaled so that its linear part has slope 1, as torch.nn.SmoothL1Loss."),
	.check = smooth_l1_check,
	.each = smooth_l1_each,
	.answer = loss_itself,
};

/* ---- kl_div: the sum over classes of t (log t - output), of outputs that are logarithms of probabilities, targets t
 *      shares, or their logarithms; one for each sample, so its mean is torch's "batchmean" ------------------------ */

struct kl_div_options {
	bool log_target;
};

static const struct opt kl_div_opts[] = {
	{ .name = "log_target",
		.kind = OPT_BOOL,
		.at = offsetof(struct kl_div_options, log_target),
		.value = "false",
		.doc = "Targets are logarithms of probabilities, too." },
};

static bool kl_div_check(const void *options, const td_shape *out, const struct data_facts *f, struct err *why)
{
	(void)options;
	return loss_fits_values("kl_div", out, f, why);
}

static td_value *kl_div_each(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight)
{
	td_value *share = y, *log_share = y;

	(void)weight;
	if (((const struct kl_div_options *)options)->log_target)
		share = td_exp(c, y);
	else
		log_share = td_log(c, td_clamp(c, y, (double)FLT_MIN, FLT_MAX)); /* 0 log 0 is 0 */
	return td_sum(c, td_mul(c, share, td_sub(c, log_share, output)), 1u << 1, false);
}

static td_value *kl_div_answer(td_ctx *c, const void *options, td_value *output)
{
	(void)options;
	return td_exp(c, output);
}

const struct nn_loss_type nn_loss_kl_div = {
	.type = OPT_TYPE(kl_div,
		"Kullback-Leibler divergence of shares from outputs that are logarithms of probabilities "
		"(\"log_softmax\" comes last), as torch.nn.KLDivLoss with reduction \"batchmean\"."),
	.check = kl_div_check,
	.each = kl_div_each,
	.answer = kl_div_answer,
};
