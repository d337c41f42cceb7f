/* Dropout: of values, of whole channels, and the one that keeps what selu normalises. */
#include "nn/layers.h"

#include <math.h>

struct dropout_options {
	double p;
};

static const struct opt dropout_opts[] = { { NN_ROW(dropout_options, p), .kind = OPT_FLOAT, .value = "0.5", .low = 0,
	.high = 1, .below = true, .doc = "Probability that a value, or a channel, becomes zero." } };

static double share_of(const struct nn_layer *l)
{
	return ((const struct dropout_options *)l->options)->p;
}

static void write_module(const char *module, const struct nn_layer *l, struct buf *out)
{
	char number[32];

	buf_printf(out, "nn.%s(%s)", module, json_shortest(share_of(l), number));
}

#define DROPOUT(layer, text)                                                                                           \
	.type = OPT_TYPE_OF(layer, dropout_opts, dropout_options, text), .forward = layer##_forward,                   \
	.torch = layer##_torch

/* ---- dropout: zero with probability p while training, and scale the rest by 1/(1-p) ------------------------------ */

static td_value *dropout_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	return p->training ? td_dropout(p->c, x[0], share_of(l)) : x[0];
}

static void dropout_torch(const struct nn_layer *l, struct buf *out)
{
	write_module("Dropout", l, out);
}

const struct nn_layer_type nn_dropout = {
	DROPOUT(dropout, "Zero values at random while training, as torch.nn.Dropout."),
};

/* ---- dropout1d and dropout2d: channels of [N, C, L] and [N, C, H, W] --------------------------------------------- */

static bool channels_fit(struct nn_builder *b, const struct nn_layer *l, int rank, const char *axes)
{
	char in[TD_SHAPE_TEXT];

	return l->in[0].rank == rank ||
	       nn_refuse(b, l, "%s takes %s, but gets %s from %s; use \"dropout\"", l->type->type.name, axes,
		       td_shape_text(&l->in[0], in), nn_source(b, l, 0));
}

/* One draw for each channel, and all that it holds times that. */
static td_value *drop_channels(const struct nn_pass *p, const struct nn_layer *l, td_value *x)
{
	uint32_t within = l->in[0].rank == 4 ? 1u << 2 | 1u << 3 : 1u << 2;
	td_value *ones;

	if (!p->training)
		return x;
	ones = td_ones_like(p->c, td_sum(p->c, x, within, true)); /* [N, C, 1, 1]; nobody reads the sums */
	return td_mul(p->c, x, td_dropout(p->c, ones, share_of(l)));
}

static bool dropout1d_build(struct nn_builder *b, struct nn_layer *l)
{
	return channels_fit(b, l, 3, "rows [N, C, L]");
}

static bool dropout2d_build(struct nn_builder *b, struct nn_layer *l)
{
	return channels_fit(b, l, 4, "images [N, C, H, W]");
}

static td_value *dropout1d_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	return drop_channels(p, l, x[0]);
}

static td_value *dropout2d_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	return drop_channels(p, l, x[0]);
}

static void dropout1d_torch(const struct nn_layer *l, struct buf *out)
{
	write_module("Dropout1d", l, out);
}

static void dropout2d_torch(const struct nn_layer *l, struct buf *out)
{
	write_module("Dropout2d", l, out);
}

const struct nn_layer_type nn_dropout1d = {
	DROPOUT(dropout1d, "Zero whole channels of [N, C, L] at random while training, as torch.nn.Dropout1d."),
	.build = dropout1d_build,
};
const struct nn_layer_type nn_dropout2d = {
	DROPOUT(dropout2d, "Zero whole channels of images at random while training, as torch.nn.Dropout2d."),
	.build = dropout2d_build,
};

/* ---- alpha_dropout: values become what selu comes to, and all is scaled so that mean and variance stay (Klambauer et
 * al., "Self-normalizing neural networks", 2017) ------------------------------------------------------------------- */

#define SELU_LIMIT (-1.7580993408473766) /* of very negative values: -scale * alpha */

/* y = a ((x - limit) m + limit) + b with m = 1 where the value stays */
static td_value *alpha_dropout_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	double share = share_of(l), keep = 1 - share, a = 1 / sqrt(keep * (1 + share * SELU_LIMIT * SELU_LIMIT)),
	       b = -a * share * SELU_LIMIT;
	td_value *mask, *kept;

	if (!p->training)
		return x[0];
	mask = td_scale_by(p->c, td_dropout(p->c, td_ones_like(p->c, x[0]), share), keep);
	kept = td_shift_by(p->c, td_mul(p->c, td_shift_by(p->c, x[0], -SELU_LIMIT), mask), SELU_LIMIT);
	return td_shift_by(p->c, td_scale_by(p->c, kept, a), b);
}

static void alpha_dropout_torch(const struct nn_layer *l, struct buf *out)
{
	write_module("AlphaDropout", l, out);
}

const struct nn_layer_type nn_alpha_dropout = {
	DROPOUT(alpha_dropout, "Dropout that keeps mean and variance, to go with \"selu\", as torch.nn.AlphaDropout."),
};
