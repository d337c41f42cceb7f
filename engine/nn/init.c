/* Initialisers: the values that weights start from.
 *
 * Definitions are those of torch.nn.init (He et al., "Delving deep into rectifiers", ICCV 2015).  A value is addressed
 * by the job's seed, the weight's name and the element, so models that share a layer's name and shape start it alike.
 */
#include "nn/nn.h"

#include <math.h>

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

/* Uniform in [-bound, bound). */
static float uniform(const struct rng_key *key, uint64_t i, double bound)
{
	return (float)((2.0 * (double)rng_unit(rng_u32(key, i)) - 1.0) * bound);
}

static float kaiming_uniform(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	return uniform(key, i, sqrt(3.0) * kaiming_std(options, fans));
}

/* Box and Muller's transform of the numbers 2i and 2i+1; the first is moved into (0, 1], where the logarithm is finite.
 */
static float kaiming_normal(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	double radius = sqrt(-2.0 * log(1.0 - (double)rng_unit(rng_u32(key, 2 * i))));
	double angle = 2.0 * M_PI * (double)rng_unit(rng_u32(key, 2 * i + 1));

	return (float)(radius * cos(angle) * kaiming_std(options, fans));
}

static float bias_uniform(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	(void)options;
	return uniform(key, i, 1.0 / sqrt((double)TD_MAX(fans->in, 1)));
}

static const struct nn_init_type kaiming_uniform_type = {
	.type = { .name = "kaiming_uniform",
		.doc = "Uniform within sqrt(6 / ((1 + a^2) fan)).",
		.options = kaiming_opts,
		.n_options = TD_COUNT(kaiming_opts),
		.n_bytes = sizeof(struct kaiming_options) },
	.element = kaiming_uniform,
};

static const struct nn_init_type kaiming_normal_type = {
	.type = { .name = "kaiming_normal",
		.doc = "Normal with standard deviation sqrt(2 / ((1 + a^2) fan)).",
		.options = kaiming_opts,
		.n_options = TD_COUNT(kaiming_opts),
		.n_bytes = sizeof(struct kaiming_options) },
	.element = kaiming_normal,
};

const struct nn_init_type nn_bias_uniform = {
	.type = { .name = "bias_uniform", .doc = "Uniform within 1 / sqrt(fan in)." },
	.element = bias_uniform,
};

static const struct opt_type *const types[] = { &kaiming_uniform_type.type, &kaiming_normal_type.type };

const struct opt_family nn_inits = { .name = "init", .types = types, .n_types = TD_COUNT(types) };

void nn_init_fill(const struct nn_init_type *init, const void *options, const struct nn_fans *fans, uint64_t seed,
	const char *name, int64_t count, float *out)
{
	struct rng_key key = { .seed = seed, .stream = rng_stream(name), .step = 0 };

	for (int64_t i = 0; i < count; i++)
		out[i] = init->element(options, fans, &key, (uint64_t)i);
}
