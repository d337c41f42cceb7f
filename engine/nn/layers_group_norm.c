/* Norms within a sample: over groups of its channels, over each channel, over channels beside each other.  None looks
 * at the rest of the batch. */
#include "nn/layers.h"

/* ---- group_norm: each group of channels with mean 0 and variance 1, then a learnt scale and shift ---------------- */

struct group_norm_options {
	int64_t num_groups;
	double eps;
	bool affine;
};

static const struct opt group_norm_opts[] = {
	NN_COUNT_ROW(group_norm_options, num_groups, "Groups of channels that are normalised together."),
	NN_FLOAT_ROW_OR(group_norm_options, eps, 0, 1, "1e-5", "1e-3", "Added to the variance."),
	NN_FLAG_ROW(group_norm_options, affine, "true", "Learn a scale and a shift for each channel."),
};

static const char *const group_norm_inferred[] = { "num_channels", NULL };

static bool group_norm_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct group_norm_options *o = l->options;
	char in[TD_SHAPE_TEXT];

	td_shape_text(&l->in[0], in);
	if (l->in[0].rank < 2)
		return nn_refuse(b, l, "group_norm takes [N, C, ...], but gets %s from %s", in, nn_source(b, l, 0));
	if (l->in[0].dim[1] % o->num_groups)
		return nn_refuse(b, l,
			"group_norm: num_groups %lld does not divide the %lld channels of %s from %s; use a divisor of "
			"them",
			(long long)o->num_groups, (long long)l->in[0].dim[1], in, nn_source(b, l, 0));
	return !o->affine || nn_declare_affine(b, l);
}

static td_value *group_norm_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct group_norm_options *o = l->options;

	return td_group_norm(p->c, x[0], l->param[0], l->param[1], o->num_groups, o->eps);
}

static void group_norm_torch(const struct nn_layer *l, struct buf *out)
{
	const struct group_norm_options *o = l->options;

	buf_printf(out, "nn.GroupNorm(%lld, %lld", (long long)o->num_groups, (long long)l->in[0].dim[1]);
	nn_put_number(out, "eps", o->eps, 1e-5);
	buf_puts(out, o->affine ? ")" : ", affine=False)");
}

const struct nn_layer_type nn_group_norm = {
	.type = OPT_TYPE(group_norm, "Normalise groups of the channels of each sample, as torch.nn.GroupNorm."),
	.type.inferred = group_norm_inferred,
	.build = group_norm_build,
	.forward = group_norm_forward,
	.flops = nn_norm_flops,
	.torch = group_norm_torch,
};

/* ---- instance_norm: each channel of each sample with mean 0 and variance 1 --------------------------------------- */

struct instance_norm_options {
	double eps, momentum;
	bool affine, track_running_stats;
};

/* Keras has it as GroupNormalization of as many groups as there are channels, whose defaults these are. */
static const struct opt instance_norm_opts[] = {
	NN_FLOAT_ROW_OR(instance_norm_options, eps, 0, 1, "1e-5", "1e-3", "Added to the variance."),
	NN_FLOAT_ROW(instance_norm_options, momentum, 0, 1, "0.1",
		"How much of each batch goes into the running statistics."),
	NN_FLAG_ROW_OR(instance_norm_options, affine, "false", "true", "Learn a scale and a shift for each channel."),
	NN_FLAG_ROW(instance_norm_options, track_running_stats, "false",
		"Keep running statistics, and evaluate with them instead of each sample's own."),
};

static const char *const instance_norm_inferred[] = { "num_features", NULL };

static bool instance_norm_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct instance_norm_options *o = l->options;
	int rank = l->type == &nn_instance_norm1d ? 3 : 4;
	char in[TD_SHAPE_TEXT];

	td_shape_text(&l->in[0], in);
	if (!nn_takes(b, l, 0, rank == 3 ? NN_ROWS : NN_IMAGES))
		return false;
	if (l->in[0].dim[2] * (rank == 4 ? l->in[0].dim[3] : 1) == 1)
		return nn_refuse(b, l,
			"%s needs more than one value in each channel of a sample, and %s from %s has one; use "
			"\"layer_norm\" or less pooling before it",
			l->type->type.name, in, nn_source(b, l, 0));
	return (!o->affine || nn_declare_affine(b, l)) && (!o->track_running_stats || nn_declare_running(b, l));
}

/* RUNNING moves by MOMENTUM towards the batch's mean of PRESENT [N, C]. */
static void move_running(td_ctx *c, td_value *running, td_value *present, double momentum)
{
	td_value *mean = td_mean(c, present, 1, false);

	td_assign(c, running, td_add(c, td_scale_by(c, running, 1 - momentum), td_scale_by(c, mean, momentum)));
}

/* The mean and the unbiased variance of every channel of X, each sample's by itself, then the batch's mean of them. */
static void track(td_ctx *c, td_value *x, td_value *const *running, double momentum)
{
	uint32_t axes = td_shape_of(x)->rank == 4 ? 1u << 2 | 1u << 3 : 1u << 2;
	td_value *d, *count, *squares;

	td_no_grad_begin(c);
	x = td_detach(c, x);
	d = td_sub(c, x, td_mean(c, x, axes, true));
	count = td_sum(c, td_ones_like(c, x), axes, false);
	squares = td_sum(c, td_square(c, d), axes, false);
	move_running(c, running[0], td_mean(c, x, axes, false), momentum);
	move_running(c, running[1], td_div(c, squares, td_shift_by(c, count, -1)), momentum);
	td_no_grad_end(c);
}

static td_value *instance_norm_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct instance_norm_options *o = l->options;
	td_value *weight = o->affine ? l->param[0] : NULL, *bias = o->affine ? l->param[1] : NULL;
	td_value *const *running = l->param + (o->affine ? 2 : 0);
	td_batch_norm_attrs frozen = { .eps = o->eps };

	if (o->track_running_stats && !p->training)
		return td_batch_norm(p->c, x[0], weight, bias, running[0], running[1], &frozen);
	if (o->track_running_stats && x[0])
		track(p->c, x[0], running, o->momentum);
	return td_group_norm(p->c, x[0], weight, bias, 0, o->eps);
}

static void instance_norm_torch(const struct nn_layer *l, struct buf *out)
{
	const struct instance_norm_options *o = l->options;

	buf_printf(out, "nn.InstanceNorm%s(%lld", l->in[0].rank == 4 ? "2d" : "1d", (long long)l->in[0].dim[1]);
	nn_put_number(out, "eps", o->eps, 1e-5);
	nn_put_number(out, "momentum", o->momentum, 0.1);
	if (o->affine)
		buf_puts(out, ", affine=True");
	buf_puts(out, o->track_running_stats ? ", track_running_stats=True)" : ")");
}

#define INSTANCE_NORM(layer, text)                                                                                     \
	const struct nn_layer_type nn_##layer = {                                                                      \
		.type = OPT_TYPE_OF(layer, instance_norm_opts, instance_norm_options, text),                           \
		.type.inferred = instance_norm_inferred,                                                               \
		.build = instance_norm_build,                                                                          \
		.forward = instance_norm_forward,                                                                      \
		.flops = nn_norm_flops,                                                                                \
		.torch = instance_norm_torch,                                                                          \
	}

INSTANCE_NORM(instance_norm2d, "Normalise each channel of each image, as torch.nn.InstanceNorm2d.");
INSTANCE_NORM(instance_norm1d, "Normalise each channel of each row of [N, C, L], as torch.nn.InstanceNorm1d.");

/* ---- local_response_norm: y = x / (k + alpha / size sum of x^2 over SIZE channels around it)^beta ---------------- */

struct local_response_norm_options {
	int64_t size;
	double alpha, beta, k;
};

static const struct opt local_response_norm_opts[] = {
	{ NN_ROW(local_response_norm_options, size), .kind = OPT_INT, .low = 1, .high = NN_SIZE_MOST, .required = true,
		.doc = "Channels that are summed over." },
	NN_FLOAT_ROW(local_response_norm_options, alpha, 0, 1e6, "0.0001", "Factor of the mean of the squares."),
	NN_FLOAT_ROW(local_response_norm_options, beta, 0, 1e3, "0.75", "Exponent."),
	{ NN_ROW(local_response_norm_options, k), .kind = OPT_FLOAT, .low = 0, .above = true, .high = 1e6, .value = "1",
		.doc = "Added to the mean." },
};

static bool local_response_norm_build(struct nn_builder *b, struct nn_layer *l)
{
	char in[TD_SHAPE_TEXT];

	return l->in[0].rank >= 3 ||
	       nn_refuse(b, l, "local_response_norm takes [N, C, L] or images [N, C, H, W], but gets %s from %s",
		       td_shape_text(&l->in[0], in), nn_source(b, l, 0));
}

/* The channels of all pixels are the rows of an image of one channel, [N, 1, C, pixels]: the means are pooled. */
static td_value *local_response_norm_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	static const int64_t image[] = { TD_SIZE_OF(0), 1, TD_SIZE_OF(1), -1 };
	const struct local_response_norm_options *o = l->options;
	int64_t pads[] = { 0, 0, o->size / 2, (o->size - 1) / 2 };
	td_pool2d_attrs window = { .kernel = { o->size, 1 }, .stride = { 1, 1 } };
	td_value *mean = td_reshape(p->c, td_square(p->c, x[0]), image, 4), *power;

	mean = td_avg_pool2d(p->c, td_pad(p->c, mean, pads, 2, TD_PAD_CONSTANT, 0), &window);
	power = td_shift_by(p->c, td_scale_by(p->c, td_reshape_like(p->c, mean, x[0]), o->alpha), o->k);
	return td_mul(p->c, x[0], td_pow_by(p->c, power, -o->beta));
}

static double local_response_norm_flops(const struct nn_layer *l)
{
	const struct local_response_norm_options *o = l->options;

	return (6.0 + (double)o->size) * (double)td_shape_count(&l->in[0]);
}

static void local_response_norm_torch(const struct nn_layer *l, struct buf *out)
{
	const struct local_response_norm_options *o = l->options;
	char alpha[32], beta[32], k[32];

	buf_printf(out, "nn.LocalResponseNorm(%lld, alpha=%s, beta=%s, k=%s)", (long long)o->size,
		json_shortest(o->alpha, alpha), json_shortest(o->beta, beta), json_shortest(o->k, k));
}

const struct nn_layer_type nn_local_response_norm = {
	.type = OPT_TYPE(
		local_response_norm, "Divide by the size of the channels around, as torch.nn.LocalResponseNorm."),
	.build = local_response_norm_build,
	.forward = local_response_norm_forward,
	.flops = local_response_norm_flops,
	.torch = local_response_norm_torch,
};
