/* mixup: see mixup.h. */
#include "data/mixup.h"

#include <math.h>
#include <string.h>

#define PI            3.14159265358979323846
#define GAMMA_TRIES   64 /* each is refused with a probability below 5 %: this is never the end */
#define DRAWS_A_GAMMA (3 * GAMMA_TRIES + 1)

struct mixup_options {
	double alpha, p;
};

static const struct opt mixup_opts[] = {
	{ .name = "alpha",
		.kind = OPT_FLOAT,
		.at = offsetof(struct mixup_options, alpha),
		.value = "0.2",
		.low = 0,
		.above = true,
		.high = 100,
		.doc = "Shares are drawn from Beta(alpha, alpha): near 0 almost pure samples, at 1 all mixtures "
		       "alike." },
	{ .name = "p",
		.kind = OPT_FLOAT,
		.at = offsetof(struct mixup_options, p),
		.value = "1",
		.low = 0,
		.high = 1,
		.doc = "How probable it is that a batch is mixed." },
};

const struct image_op augment_mixup = {
	.type = OPT_TYPE(mixup, "Samples of a finished batch are mixed in pairs, inputs and targets; stands last."),
	.for_batches = true,
};

/* (0, 1]: its logarithm is finite. */
static double positive_unit(const struct rng_key *key, uint64_t at)
{
	return 1.0 - (double)rng_unit(rng_u32(key, at));
}

/* The logarithm of a draw from Gamma(SHAPE, 1), by Marsaglia and Tsang (2000); a shape below 1 by their boost.  In
 * logarithms, because for a small shape the draw itself may be below the smallest double. */
static double log_gamma_draw(double shape, const struct rng_key *key, uint64_t at)
{
	double boost = shape < 1 ? log(positive_unit(key, at)) / shape : 0, whole = shape < 1 ? shape + 1 : shape;
	double d = whole - 1.0 / 3.0, c = 1 / sqrt(9 * d);

	for (int k = 0; k < GAMMA_TRIES; k++) {
		uint64_t three = at + 1 + 3 * (uint64_t)k;
		double normal = sqrt(-2 * log(positive_unit(key, three))) * cos(2 * PI * positive_unit(key, three + 1));
		double v = 1 + c * normal;

		v = v * v * v;
		if (v > 0 && log(positive_unit(key, three + 2)) < 0.5 * normal * normal + d - d * v + d * log(v))
			return log(d * v) + boost;
	}
	return log(d) + boost;
}

void mixup_draw(const void *options, uint64_t seed, int64_t epoch, int64_t first_sample, int64_t n, struct mixing *m)
{
	const struct mixup_options *o = options;
	struct rng_key batches = { .seed = seed, .stream = rng_stream("mixup"), .step = (uint32_t)epoch }, own;
	uint64_t at = 2 * (uint64_t)first_sample;
	double a, b;

	/* A batch has a generator of its own, since it draws as many numbers as it has samples. */
	own = (struct rng_key){ .seed = (uint64_t)rng_u32(&batches, at) << 32 | rng_u32(&batches, at + 1),
		.stream = rng_stream("mixup/share") };
	m->lambda = 1;
	if ((double)rng_unit(rng_u32(&own, 0)) < o->p) {
		a = log_gamma_draw(o->alpha, &own, 1);
		b = log_gamma_draw(o->alpha, &own, 1 + DRAWS_A_GAMMA);
		m->lambda = 1 / (1 + exp(b - a));
	}
	own.stream = rng_stream("mixup/partner");
	rng_permutation(&own, n, m->partner);
}

void mixup_rows(const struct mixing *m, int64_t n, int64_t row, float *rows, float *copy)
{
	float share = (float)m->lambda, rest = (float)(1 - m->lambda);

	memcpy(copy, rows, sizeof *copy * (size_t)(n * row));
	for (int64_t i = 0; i < n; i++) {
		const float *with = copy + m->partner[i] * row;
		float *own = rows + i * row;

		for (int64_t k = 0; k < row; k++)
			own[k] = share * own[k] + rest * with[k];
	}
}
