/* Norms over the batch, and over the last axes of each sample. */
#include "nn/layers.h"

#include <stdlib.h>

/* ---- batch_norm: each channel with mean 0 and variance 1 over the batch, then a learnt scale and shift ----------- */

struct batch_norm_options {
	int64_t num_features;
	double eps, momentum;
	bool affine, track_running_stats, frozen, freeze_statistics;
};

/* Where the parameters stand; without AFFINE only the buffers do, and those only where they are tracked. */
enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };

static const struct opt batch_norm_opts[] = {
	NN_GIVEN_ROW(batch_norm_options, num_features, "Channels of the input; they follow from the layer before."),
	NN_FLOAT_ROW_OR(batch_norm_options, eps, 0, 1, "1e-5", "1e-3", "Added to the variance."),
	NN_FLOAT_ROW_OR(batch_norm_options, momentum, 0, 1, "0.1", "0.01",
		"How much of each batch goes into the running statistics."),
	NN_FLAG_ROW(batch_norm_options, affine, "true", "Learn a scale and a shift for each channel."),
	NN_FLAG_ROW(batch_norm_options, track_running_stats, "true",
		"Keep running statistics to evaluate with; else evaluate with those of the batch, too."),
	NN_FLAG_ROW(batch_norm_options, frozen, "false",
		"Nothing changes while training: normalise with the running statistics that weights were loaded with, "
		"and learn neither scale nor shift, as torchvision's FrozenBatchNorm2d."),
	NN_FLAG_ROW_OR(batch_norm_options, freeze_statistics, "false", "true",
		"Where /freeze has both scale and shift, the running statistics stay as they are and are normalised "
		"with, as in Keras; else they go on following the batches, as in torch."),
};

bool nn_declare_affine(struct nn_builder *b, struct nn_layer *l)
{
	td_shape channels = td_shape_make(TD_F32, 1, l->in[0].dim[1]);
	struct nn_fans fans = { 1, 1 };

	return nn_declare(b, l, "weight", &channels, fans, &nn_ones, NULL) &&
	       nn_declare(b, l, "bias", &channels, fans, &nn_zeros, NULL);
}

bool nn_declare_running(struct nn_builder *b, struct nn_layer *l)
{
	td_shape channels = td_shape_make(TD_F32, 1, l->in[0].dim[1]);

	return nn_declare_buffer(b, l, "running_mean", &channels, &nn_zeros) &&
	       nn_declare_buffer(b, l, "running_var", &channels, &nn_ones);
}

/* The running statistics stand for the batch's while training, too. */
static bool is_fixed(const struct nn_layer *l)
{
	const struct batch_norm_options *o = l->options;

	return o->frozen || (o->freeze_statistics && o->track_running_stats && l->frozen);
}

static bool declare_fixed(struct nn_builder *b, struct nn_layer *l)
{
	const struct batch_norm_options *o = l->options;
	td_shape channels = td_shape_make(TD_F32, 1, l->in[0].dim[1]);

	if (!o->track_running_stats)
		return nn_refuse(b, l,
			"%s: \"frozen\" needs the running statistics that \"track_running_stats\": false leaves out; "
			"give one of the two",
			l->type->type.name);
	return (!o->affine || (nn_declare_buffer(b, l, "weight", &channels, &nn_ones) &&
				      nn_declare_buffer(b, l, "bias", &channels, &nn_zeros))) &&
	       nn_declare_running(b, l);
}

static bool batch_norm_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct batch_norm_options *o = l->options;
	int rank = l->in[0].rank, least = l->type == &nn_batch_norm2d ? 4 : 2,
	    most = l->type == &nn_batch_norm1d ? 3 : 4;
	char in[TD_SHAPE_TEXT];

	if (rank < least || rank > most)
		return nn_refuse(b, l, "%s takes %s, but gets %s from %s%s", l->type->type.name,
			least == 4  ? "images [N, C, H, W]"
			: most == 3 ? "[N, C] or [N, C, L]"
				    : "[N, C], [N, C, L] or [N, C, H, W]",
			td_shape_text(&l->in[0], in), nn_source(b, l, 0),
			rank >= 2 && rank <= 4 ? "; \"batch_norm\" takes all of these" : "");
	if (!nn_expect(b, l, 0, "num_features", o->num_features, l->in[0].dim[1]))
		return false;
	if (o->frozen)
		return declare_fixed(b, l);
	return (!o->affine || nn_declare_affine(b, l)) && (!o->track_running_stats || nn_declare_running(b, l));
}

/* With the batch's own statistics and none besides: every channel is a group of one sample. */
static td_value *normalise_batch(td_ctx *c, td_value *x, td_value *weight, td_value *bias, double eps)
{
	static const int swapped[] = { 1, 0, 2, 3 };
	static const int64_t rows[] = { 1, TD_SIZE_OF(0), -1 };
	int rank = x ? td_shape_of(x)->rank : 0;
	td_value *by_channel = td_transpose(c, x, swapped, rank), /* [C, N, ..] */
		*y = td_group_norm(c, td_reshape(c, by_channel, rows, 3), weight, bias, 0, eps);

	return td_transpose(c, td_reshape_like(c, y, by_channel), swapped, rank);
}

static td_value *batch_norm_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct batch_norm_options *o = l->options;
	td_batch_norm_attrs attrs = { .momentum = o->momentum, .eps = o->eps, .training = p->training && !is_fixed(l) };
	td_value *const *running = l->param + (o->affine ? RUNNING_MEAN : 0);
	td_value *weight = o->affine ? l->param[WEIGHT] : NULL, *bias = o->affine ? l->param[BIAS] : NULL;

	if (!o->track_running_stats)
		return normalise_batch(p->c, x[0], weight, bias, o->eps);
	return td_batch_norm(p->c, x[0], weight, bias, running[0], running[1], &attrs);
}

/* A difference, two sums and a product for each element. */
double nn_norm_flops(const struct nn_layer *l)
{
	return 5.0 * (double)td_shape_count(&l->in[0]);
}

static void batch_norm_torch(const struct nn_layer *l, struct buf *out)
{
	const struct batch_norm_options *o = l->options;

	buf_printf(out, "nn.BatchNorm%s(%lld", l->in[0].rank == 4 ? "2d" : "1d", (long long)l->in[0].dim[1]);
	nn_put_number(out, "eps", o->eps, 1e-5);
	nn_put_number(out, "momentum", o->momentum, 0.1);
	if (!o->track_running_stats)
		buf_puts(out, ", track_running_stats=False");
	buf_puts(out, o->affine ? ")" : ", affine=False)");
	if (is_fixed(l))
		buf_puts(out, ".requires_grad_(False)");
}

/* torch's module would let the running statistics follow as soon as it trains. */
static void batch_norm_call(const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	char eps[32];

	if (!is_fixed(l)) {
		buf_printf(out, "%s(%s)", module, x[0]);
		return;
	}
	buf_printf(out, "nn.functional.batch_norm(%s, %s.running_mean, %s.running_var, %s.weight, %s.bias, eps=%s)",
		x[0], module, module, module, module,
		json_shortest(((const struct batch_norm_options *)l->options)->eps, eps));
}

#define BATCH_NORM(layer, text)                                                                                        \
	const struct nn_layer_type nn_##layer = {                                                                      \
		.type = OPT_TYPE_OF(layer, batch_norm_opts, batch_norm_options, text),                                 \
		.over_batch = true,                                                                                    \
		.build = batch_norm_build,                                                                             \
		.forward = batch_norm_forward,                                                                         \
		.flops = nn_norm_flops,                                                                                \
		.torch = batch_norm_torch,                                                                             \
		.call = batch_norm_call,                                                                               \
	}

const struct nn_layer *nn_needs_samples(const struct nn_model *m)
{
	for (int i = 0; i < m->n_layers; i++) {
		const struct nn_layer *l = &m->layers[i];

		if (l->type->over_batch && !is_fixed(l) && td_shape_count(&l->in[0]) == m->in.dim[0] * l->in[0].dim[1])
			return l;
	}
	return NULL;
}

BATCH_NORM(batch_norm, "Normalise each channel over the batch, as torch.nn.BatchNorm1d or 2d.");
BATCH_NORM(batch_norm1d, "Normalise each channel of [N, C] or [N, C, L] over the batch, as torch.nn.BatchNorm1d.");
BATCH_NORM(batch_norm2d, "Normalise each channel of images over the batch, as torch.nn.BatchNorm2d.");

/* ---- layer_norm: each sample with mean 0 and variance 1 over its last axes --------------------------------------- */

struct layer_norm_options {
	int64_t axes;
	double eps;
	bool elementwise_affine, bias; /* of rms_norm no BIAS */
};

static const struct opt layer_norm_opts[] = {
	{ NN_ROW(layer_norm_options, axes), .kind = OPT_INT, .value = "1", .low = 1, .high = TD_MAX_RANK - 1,
		.doc = "How many axes, counted from the last one, are normalised together." },
	NN_FLOAT_ROW_OR(layer_norm_options, eps, 0, 1, "1e-5", "1e-3", "Added to the variance."),
	NN_FLAG_ROW(layer_norm_options, elementwise_affine, "true", "Learn a scale and a shift for each element."),
	NN_FLAG_ROW(layer_norm_options, bias, "true", "The shift; without it only the scale is learnt."),
};

static const char *const layer_norm_inferred[] = { "normalized_shape", NULL };

/* The sizes of the axes that are normalised. */
static td_shape normalized(const struct nn_layer *l)
{
	const struct layer_norm_options *o = l->options;
	td_shape s = { .dtype = TD_F32, .rank = (int)o->axes };

	for (int i = 0; i < s.rank; i++)
		s.dim[i] = l->in[0].dim[l->in[0].rank - s.rank + i];
	return s;
}

static bool axes_fit(struct nn_builder *b, const struct nn_layer *l)
{
	const struct layer_norm_options *o = l->options;
	char in[TD_SHAPE_TEXT];

	return o->axes < l->in[0].rank ||
	       nn_refuse(b, l, "%s: axes %lld would take in the batch of %s from %s; at most %d here",
		       l->type->type.name, (long long)o->axes, td_shape_text(&l->in[0], in), nn_source(b, l, 0),
		       l->in[0].rank - 1);
}

static bool layer_norm_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct layer_norm_options *o = l->options;
	struct nn_fans fans = { 1, 1 };
	td_shape shape;

	if (!axes_fit(b, l))
		return false;
	shape = normalized(l);
	return !o->elementwise_affine || (nn_declare(b, l, "weight", &shape, fans, &nn_ones, NULL) &&
						 (!o->bias || nn_declare(b, l, "bias", &shape, fans, &nn_zeros, NULL)));
}

static td_value *layer_norm_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct layer_norm_options *o = l->options;

	return td_layer_norm(p->c, x[0], l->param[0], l->param[1], (int)o->axes, o->eps);
}

/* The module KIND, whose eps is EPS where none is given. */
static void put_rows(const struct nn_layer *l, const char *kind, double eps, struct buf *out)
{
	const struct layer_norm_options *o = l->options;
	td_shape shape = normalized(l);

	buf_printf(out, "nn.%s((", kind);
	for (int i = 0; i < shape.rank; i++)
		buf_printf(out, "%lld, ", (long long)shape.dim[i]);
	buf_puts(out, ")");
	nn_put_number(out, "eps", o->eps, eps);
	if (!o->elementwise_affine)
		buf_puts(out, ", elementwise_affine=False");
	else if (l->type == &nn_layer_norm && !o->bias)
		buf_puts(out, ", bias=False");
	buf_puts(out, ")");
}

static void layer_norm_torch(const struct nn_layer *l, struct buf *out)
{
	put_rows(l, "LayerNorm", 1e-5, out);
}

const struct nn_layer_type nn_layer_norm = {
	.type = OPT_TYPE(layer_norm, "Normalise each sample over its last axes, as torch.nn.LayerNorm."),
	.type.inferred = layer_norm_inferred,
	.build = layer_norm_build,
	.forward = layer_norm_forward,
	.flops = nn_norm_flops,
	.torch = layer_norm_torch,
};

/* ---- rms_norm: each sample with a mean square of 1 over its last axes -------------------------------------------- */

#define RMS_EPS "1.1920928955078125e-07" /* of float32, as torch has it where none is given */

static const struct opt rms_norm_opts[] = {
	{ NN_ROW(layer_norm_options, axes), .kind = OPT_INT, .value = "1", .low = 1, .high = TD_MAX_RANK - 1,
		.doc = "How many axes, counted from the last one, are normalised together." },
	NN_FLOAT_ROW_OR(layer_norm_options, eps, 0, 1, RMS_EPS, "1e-6", "Added to the mean square."),
	NN_FLAG_ROW(layer_norm_options, elementwise_affine, "true", "Learn a scale for each element."),
};

static bool rms_norm_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct layer_norm_options *o = l->options;
	struct nn_fans fans = { 1, 1 };
	td_shape shape;

	if (!axes_fit(b, l))
		return false;
	shape = normalized(l);
	return !o->elementwise_affine || nn_declare(b, l, "weight", &shape, fans, &nn_ones, NULL);
}

static td_value *rms_norm_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct layer_norm_options *o = l->options;

	return td_rms_norm(p->c, x[0], l->param[0], (int)o->axes, o->eps);
}

static void rms_norm_torch(const struct nn_layer *l, struct buf *out)
{
	put_rows(l, "RMSNorm", strtod(RMS_EPS, NULL), out);
}

const struct nn_layer_type nn_rms_norm = {
	.type = OPT_TYPE_OF(rms_norm, rms_norm_opts, layer_norm_options,
		"Divide each sample by its size over its last axes, as torch.nn.RMSNorm."),
	.type.inferred = layer_norm_inferred,
	.build = rms_norm_build,
	.forward = rms_norm_forward,
	.flops = nn_norm_flops,
	.torch = rms_norm_torch,
};
