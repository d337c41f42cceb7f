/* Initialisers: the values that weights start from.
 *
 * Definitions are those of torch.nn.init (He et al., "Delving deep into rectifiers", ICCV 2015; Glorot and Bengio,
 * "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010; Saxe et al., "Exact
 * solutions to the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014), and Keras'
 * VarianceScaling.  A value is addressed by
 * the job's seed, the weight's name and the element, so models that share a layer's name and shape start it alike. */
#include "nn/nn.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- Draws ------------------------------------------------------------------------------------------------------- */

/* Uniform in [-bound, bound). */
static float draw_uniform(const struct rng_key *key, uint64_t i, double bound)
{
	return (float)((2.0 * (double)rng_unit(rng_u32(key, i)) - 1.0) * bound);
}

/* Box and Muller's transform of the numbers 2i and 2i+1; the first is moved into (0, 1], where the logarithm is finite.
 */
static double draw_normal(const struct rng_key *key, uint64_t i)
{
	double radius = sqrt(-2.0 * log(1.0 - (double)rng_unit(rng_u32(key, 2 * i))));
	double angle = 2.0 * M_PI * (double)rng_unit(rng_u32(key, 2 * i + 1));

	return radius * cos(angle);
}

/* The same without what lies beyond two standard deviations: such a draw is repeated, from numbers that no element
 * reaches (NN_ELEMENTS_MOST). */
static double draw_truncated(const struct rng_key *key, uint64_t i)
{
	double x = draw_normal(key, i);

	for (uint64_t again = 1; fabs(x) > 2 && again < 16; again++) /* one in 22 is; 16 in a row are 10^-22 */
		x = draw_normal(key, i + (again << 48));
	return fmax(-2, fmin(2, x));
}

/* ---- Kaiming: keep the variance behind a (leaky) ReLU ------------------------------------------------------------ */

struct kaiming_options {
	double a; /* negative slope of the leaky ReLU that follows; 0: ReLU, 1: nothing */
	int mode; /* index into fan_modes */
};

static const char *const fan_modes[] = { "fan_in", "fan_out", NULL };

static const struct opt kaiming_opts[] = {
	{ .name = "a",
		.kind = OPT_FLOAT,
		.at = offsetof(struct kaiming_options, a),
		.value = "0",
		.low = -1e6,
		.high = 1e6,
		.doc = "Negative slope of the leaky ReLU that follows the layer; 0 is ReLU." },
	{ .name = "mode",
		.kind = OPT_ENUM,
		.at = offsetof(struct kaiming_options, mode),
		.value = "\"fan_in\"",
		.names = fan_modes,
		.doc = "Keep the variance of the forward pass (fan_in) or of the backward pass (fan_out)." },
};

/* Standard deviation: gain / sqrt(fan), gain = sqrt(2 / (1 + a^2)). */
static double kaiming_std(const struct kaiming_options *o, const struct nn_fans *fans)
{
	int64_t fan = o->mode == 0 ? fans->in : fans->out;

	return sqrt(2.0 / (1.0 + o->a * o->a)) / sqrt((double)TD_MAX(fan, 1));
}

static float kaiming_uniform(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	return draw_uniform(key, i, sqrt(3.0) * kaiming_std(options, fans));
}

static float kaiming_normal(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	return (float)(draw_normal(key, i) * kaiming_std(options, fans));
}

static const struct nn_init_type kaiming_uniform_type = {
	.type = OPT_TYPE_OF(
		kaiming_uniform, kaiming_opts, kaiming_options, "Uniform within sqrt(6 / ((1 + a^2) fan))."),
	.element = kaiming_uniform,
};

static const struct nn_init_type kaiming_normal_type = {
	.type = OPT_TYPE_OF(kaiming_normal, kaiming_opts, kaiming_options,
		"Normal with standard deviation sqrt(2 / ((1 + a^2) fan))."),
	.element = kaiming_normal,
};

/* ---- Xavier: keep the variance in both directions behind something linear ---------------------------------------- */

struct xavier_options {
	double gain;
};

static const struct opt xavier_opts[] = {
	{ .name = "gain",
		.kind = OPT_FLOAT,
		.at = offsetof(struct xavier_options, gain),
		.value = "1",
		.low = 0,
		.high = 1e6,
		.doc = "Factor for what the activation takes away: 5/3 for tanh, sqrt(2) for ReLU." },
};

static double xavier_std(const struct xavier_options *o, const struct nn_fans *fans)
{
	return o->gain * sqrt(2.0 / TD_MAX((double)fans->in + (double)fans->out, 1.0));
}

static float xavier_uniform(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	return draw_uniform(key, i, sqrt(3.0) * xavier_std(options, fans));
}

static float xavier_normal(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	return (float)(draw_normal(key, i) * xavier_std(options, fans));
}

static const struct nn_init_type xavier_uniform_type = {
	.type = OPT_TYPE_OF(
		xavier_uniform, xavier_opts, xavier_options, "Uniform within gain sqrt(6 / (fan in + fan out))."),
	.element = xavier_uniform,
};

static const struct nn_init_type xavier_normal_type = {
	.type = OPT_TYPE_OF(xavier_normal, xavier_opts, xavier_options,
		"Normal with standard deviation gain sqrt(2 / (fan in + fan out))."),
	.element = xavier_normal,
};

/* ---- Keras: VarianceScaling; he_normal is scale 2, lecun_normal scale 1, glorot_normal mode fan_avg ---------------- */

struct variance_scaling_options {
	double scale;
	int mode;         /* index into keras_modes */
	int distribution; /* index into distributions */
};

static const char *const keras_modes[] = { "fan_in", "fan_out", "fan_avg", NULL };
static const char *const distributions[] = { "truncated_normal", "untruncated_normal", "uniform", NULL };

static const struct opt variance_scaling_opts[] = {
	{ .name = "scale",
		.kind = OPT_FLOAT,
		.at = offsetof(struct variance_scaling_options, scale),
		.value = "1",
		.low = 0,
		.high = 1e6,
		.doc = "Factor of the variance; 2 before a ReLU." },
	{ .name = "mode",
		.kind = OPT_ENUM,
		.at = offsetof(struct variance_scaling_options, mode),
		.value = "\"fan_in\"",
		.names = keras_modes,
		.doc = "What the variance is divided by; fan_avg is the mean of both fans." },
	{ .name = "distribution",
		.kind = OPT_ENUM,
		.at = offsetof(struct variance_scaling_options, distribution),
		.value = "\"truncated_normal\"",
		.names = distributions,
		.doc = "A normal distribution is cut off at two of its standard deviations, or is not." },
};

#define TRUNCATED_STD 0.87962566103423978 /* of a standard normal distribution that is cut off at -2 and 2 */

static float variance_scaling(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	const struct variance_scaling_options *o = options;
	const double n[] = { (double)fans->in, (double)fans->out, ((double)fans->in + (double)fans->out) / 2 };
	double std = sqrt(o->scale / TD_MAX(n[o->mode], 1.0));

	if (o->distribution == 0)
		return (float)(draw_truncated(key, i) * std / TRUNCATED_STD);
	if (o->distribution == 1)
		return (float)(draw_normal(key, i) * std);
	return draw_uniform(key, i, sqrt(3.0) * std);
}

static const struct nn_init_type variance_scaling_type = {
	.type = OPT_TYPE(
		variance_scaling, "Variance scale / fan, as keras.initializers.VarianceScaling; he_normal is scale 2."),
	.element = variance_scaling,
};

/* ---- Plain distributions ----------------------------------------------------------------------------------------- */

struct normal_options {
	double mean, std;
};

static const struct opt normal_opts[] = {
	{ .name = "mean",
		.kind = OPT_FLOAT,
		.at = offsetof(struct normal_options, mean),
		.value = "0",
		.low = -1e6,
		.high = 1e6,
		.doc = "Mean." },
	{ .name = "std",
		.kind = OPT_FLOAT,
		.at = offsetof(struct normal_options, std),
		.value = "1",
		.low = 0,
		.high = 1e6,
		.doc = "Standard deviation." },
};

static float normal(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	const struct normal_options *o = options;

	(void)fans;
	return (float)(o->mean + o->std * draw_normal(key, i));
}

static const struct nn_init_type normal_type = {
	.type = OPT_TYPE(normal, "Normal."),
	.element = normal,
};

struct uniform_options {
	double a, b;
};

static const struct opt uniform_opts[] = {
	{ .name = "a",
		.kind = OPT_FLOAT,
		.at = offsetof(struct uniform_options, a),
		.value = "0",
		.low = -1e6,
		.high = 1e6,
		.doc = "Lower bound." },
	{ .name = "b",
		.kind = OPT_FLOAT,
		.at = offsetof(struct uniform_options, b),
		.value = "1",
		.low = -1e6,
		.high = 1e6,
		.doc = "Upper bound." },
};

static float uniform(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	const struct uniform_options *o = options;

	(void)fans;
	return (float)(o->a + (o->b - o->a) * (double)rng_unit(rng_u32(key, i)));
}

static const struct nn_init_type uniform_type = {
	.type = OPT_TYPE(uniform, "Uniform from a to b."),
	.element = uniform,
};

static float bias_uniform(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	(void)options;
	return draw_uniform(key, i, 1.0 / sqrt((double)TD_MAX(fans->in, 1)));
}

const struct nn_init_type nn_bias_uniform = {
	.type = { .name = "bias_uniform", .doc = "Uniform within 1 / sqrt(fan in), torch's rule for biases." },
	.element = bias_uniform,
};

/* ---- Constants --------------------------------------------------------------------------------------------------- */

static float zeros(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	(void)options;
	(void)fans;
	(void)key;
	(void)i;
	return 0;
}

const struct nn_init_type nn_zeros = {
	.type = { .name = "zeros", .doc = "Zeros." },
	.element = zeros,
};

static float ones(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	(void)options;
	(void)fans;
	(void)key;
	(void)i;
	return 1;
}

const struct nn_init_type nn_ones = {
	.type = { .name = "ones", .doc = "Ones." },
	.element = ones,
};

/* ---- Matrices whose rows or columns stand at right angles -------------------------------------------------------- */

struct orthogonal_options {
	double gain;
};

static const struct opt orthogonal_opts[] = {
	{ .name = "gain",
		.kind = OPT_FLOAT,
		.at = offsetof(struct orthogonal_options, gain),
		.value = "1",
		.low = 0,
		.high = 1e6,
		.doc = "Length of each row or column." },
};

/* Gram and Schmidt's rule, modified: every column of A [M, N] is freed of those before it and made as long as GAIN.  This
 * is the Q of a QR decomposition whose R has a positive diagonal.  R has room for N. */
static void orthogonalise(double *a, int64_t m, int64_t n, double gain, double *r)
{
	for (int64_t k = 0; k < n; k++) {
		double size;

		memset(r + k, 0, sizeof *r * (size_t)(n - k));
		for (int64_t i = 0; i < m; i++)
			for (int64_t j = k; j < n; j++)
				r[j] += a[i * n + k] * a[i * n + j];
		size = TD_MAX(r[k], DBL_MIN);
		for (int64_t j = k + 1; j < n; j++)
			r[j] /= size;
		for (int64_t i = 0; i < m; i++) {
			for (int64_t j = k + 1; j < n; j++)
				a[i * n + j] -= a[i * n + k] * r[j];
			a[i * n + k] *= gain / sqrt(size);
		}
	}
}

static bool orthogonal(const void *options, const struct nn_fans *fans, const struct rng_key *key, int64_t rows,
	int64_t columns, float *out)
{
	bool tall = rows >= columns;
	int64_t m = tall ? rows : columns, n = tall ? columns : rows;
	double *a = mem_try_alloc(sizeof *a * (size_t)(m * n + n)); /* [M, N], and a row for the rule */

	(void)fans;
	if (!a)
		return false;
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++)
			a[i * n + j] = draw_normal(key, (uint64_t)(tall ? i * n + j : j * m + i));
	orthogonalise(a, m, n, ((const struct orthogonal_options *)options)->gain, a + m * n);
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++)
			out[tall ? i * n + j : j * m + i] = (float)a[i * n + j];
	mem_free(a);
	return true;
}

static const struct nn_init_type orthogonal_type = {
	.type = OPT_TYPE(orthogonal, "Rows or columns, whichever are fewer, at right angles to each other, as "
				     "torch.nn.init.orthogonal_; a vector is one column."),
	.fill = orthogonal,
};

/* ---- All of them ------------------------------------------------------------------------------------------------- */

static const struct opt_type *const types[] = { &kaiming_uniform_type.type, &kaiming_normal_type.type,
	&xavier_uniform_type.type, &xavier_normal_type.type, &variance_scaling_type.type, &normal_type.type,
	&uniform_type.type, &nn_zeros.type, &nn_ones.type, &nn_bias_uniform.type, &orthogonal_type.type };

const struct opt_family nn_inits = { .name = "init", .types = types, .n_types = TD_COUNT(types) };

static bool fill(const struct nn_init_type *init, const void *options, const struct nn_fans *fans,
	const struct rng_key *key, int64_t rows, int64_t columns, float *out)
{
	if (init->fill)
		return init->fill(options, fans, key, rows, columns, out);
	for (int64_t i = 0; i < rows * columns; i++)
		out[i] = init->element(options, fans, key, (uint64_t)i);
	return true;
}

static bool masked(const void *options, const struct nn_fans *fans, const struct rng_key *key, int64_t rows,
	int64_t columns, float *out)
{
	const struct nn_mask *m = options;

	if (!fill(m->init, m->options, fans, key, rows, columns, out))
		return false;
	for (int64_t i = m->first; i < m->end; i++)
		out[i] = m->value;
	return true;
}

const struct nn_init_type nn_masked = {
	.type = { .name = "masked", .doc = "Another initialiser, but one value in a range." },
	.fill = masked,
};

bool nn_init_fill(const struct nn_init_type *init, const void *options, const struct nn_fans *fans, uint64_t seed,
	const char *name, const td_shape *shape, float *out)
{
	struct rng_key key = { .seed = seed, .stream = rng_stream(name), .step = 0 };
	int64_t rows = shape->rank ? shape->dim[0] : 1;

	return fill(init, options, fans, &key, rows, td_shape_count(shape) / rows, out);
}
