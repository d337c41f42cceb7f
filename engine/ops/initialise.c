/* How a graph's variable gets its first value. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- initialise: the variable becomes a constant, or draws (tf.random_uniform_initializer, truncated_normal,
 * Keras' VarianceScaling: variance = scale / fan).
 *
 * Element i is drawn at the address (seed, STREAM, 0, i), i in logical row-major order, so the same variable of the
 * same seed begins alike at any step, in any graph and in any order.  A truncated normal draws again, at i + 2^32, ...,
 * what lies beyond two deviations, and is made wider for what it loses, so that its deviation is the one asked for. */

#define TRUNCATED_DEVIATION 0.87962566103423978 /* of a standard normal cut off at two deviations */
#define DRAWS_MOST          64                  /* 0.0455^64: never */

typedef struct initialise_attrs {
	int kind, fan; /* enum td_init_kind, enum td_fan */
	double a, b;
	uint32_t stream;
} initialise_attrs;

static const td_field initialise_fields[] = {
	TD_FIELD(initialise_attrs, kind),
	TD_FIELD(initialise_attrs, fan),
	TD_FIELD(initialise_attrs, a),
	TD_FIELD(initialise_attrs, b),
	TD_FIELD(initialise_attrs, stream),
	{ .name = NULL },
};

static void initialise_infer(td_infer *q)
{
	const initialise_attrs *a = q->attrs;
	char text[TD_SHAPE_TEXT];

	if (a->kind < 0 || a->kind >= TD_N_INIT_KINDS || a->fan < 0 || a->fan >= TD_N_FANS)
		td_fail(q->ctx, TD_INVALID, "initialise: there is no kind %d with fan %d", a->kind, a->fan);
	else if (a->kind != TD_INIT_CONSTANT && !td__is_float(q->in[0]->dtype))
		td_fail(q->ctx, TD_DTYPE, "initialise: %s cannot be drawn; only a constant can begin it",
			td_shape_text(q->in[0], text));
	else if (a->fan && a->kind != TD_INIT_CONSTANT && !q->in[0]->rank)
		td_fail(q->ctx, TD_SHAPE, "initialise: a scalar has no fan; give its bounds or its deviation");
}

/* Of a weight [out, in, window...]; a vector's two are its size. */
static double fan_of(const td_shape *s, int mode)
{
	double window = 1, in, out;

	for (int i = 2; i < s->rank; i++)
		window *= (double)s->dim[i];
	in = (double)s->dim[s->rank > 1] * window;
	out = (double)s->dim[0] * window;
	return mode == TD_FAN_IN ? in : mode == TD_FAN_OUT ? out : (in + out) / 2;
}

/* What the draws are shifted and scaled by: A and the width of B. */
static void bounds_of(const initialise_attrs *o, const td_shape *s, double *shift, double *width)
{
	double deviation;

	if (!o->fan) {
		*shift = o->a;
		*width = o->kind == TD_INIT_UNIFORM ? o->b - o->a : o->b;
		return;
	}
	deviation = sqrt(o->b / TD_MAX(fan_of(s, o->fan), 1));
	*width = o->kind == TD_INIT_UNIFORM     ? 2 * sqrt(3.0) * deviation
		 : o->kind == TD_INIT_TRUNCATED ? deviation / TRUNCATED_DEVIATION
						: deviation;
	*shift = o->kind == TD_INIT_UNIFORM ? -sqrt(3.0) * deviation : 0;
}

/* Box and Muller's transform of two numbers of one block. */
static double normal_at(const struct rng_key *key, uint64_t i)
{
	uint32_t x[4];

	rng_block(key, i, x);
	return sqrt(-2 * log(1 - (double)rng_unit(x[0]))) * cos(2 * M_PI * (double)rng_unit(x[1]));
}

static double draw(int kind, const struct rng_key *key, uint64_t i)
{
	double z = kind == TD_INIT_UNIFORM ? (double)rng_unit(rng_u32(key, i)) : normal_at(key, i);

	for (uint64_t k = 1; kind == TD_INIT_TRUNCATED && fabs(z) > 2 && k < DRAWS_MOST; k++)
		z = normal_at(key, i + (k << 32));
	return z;
}

static void put(const td_view *v, int64_t i, double x)
{
	td_dtype dtype = v->shape->dtype;

	k_convert((int)dtype, TD_F64, at(v->data, i, td_dtype_size(dtype)), &x, 1, 1);
}

static void initialise_forward(const td_call *call)
{
	const initialise_attrs *o = call->attrs;
	const td_shape *s = call->in[0].shape;
	struct rng_key key = { .seed = call->seed, .stream = o->stream };
	int64_t strides[TD_MAX_RANK], index[TD_MAX_RANK] = { 0 }, n = td_shape_count(s);
	double shift, width;

	if (!n)
		return;
	bounds_of(o, s, &shift, &width);
	td_shape_strides(s, strides);
	for (int64_t i = 0; i < n; i++) {
		int64_t place = 0;

		for (int k = 0; k < s->rank; k++)
			place += index[k] * strides[k];
		put(&call->in[0], place,
			o->kind == TD_INIT_CONSTANT ? o->a : shift + width * draw(o->kind, &key, (uint64_t)i));
		for (int k = s->rank - 1; k >= 0 && ++index[k] == s->dim[k]; k--)
			index[k] = 0;
	}
}

static const td_init samples[] = {
	{ TD_INIT_CONSTANT, TD_FAN_NONE, 0.25, 0 },
	{ TD_INIT_UNIFORM, TD_FAN_NONE, -1, 3 },
	{ TD_INIT_NORMAL, TD_FAN_IN, 0, 2 },
	{ TD_INIT_TRUNCATED, TD_FAN_OUT, 0, 1 },
	{ TD_INIT_UNIFORM, TD_FAN_AVERAGE, 0, 1 },
};

#define SAMPLE_APPLY(i)                                                                                                \
	static td_value *initialise_apply_##i(td_ctx *c, td_value *const *in)                                          \
	{                                                                                                              \
		td_initialise(c, in[0], &samples[i], "w");                                                             \
		return NULL;                                                                                           \
	}
SAMPLE_APPLY(0)
SAMPLE_APPLY(1)
SAMPLE_APPLY(2)
SAMPLE_APPLY(3)
SAMPLE_APPLY(4)

static bool initialise_sample(int i, td_sample *s)
{
	static td_value *(*const applies[])(td_ctx *, td_value *const *) = { initialise_apply_0, initialise_apply_1,
		initialise_apply_2, initialise_apply_3, initialise_apply_4 };

	if (i >= 6)
		return false;
	s->apply = applies[i % 5];
	if (i == 5)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 0, 3);
	else if (i == 1)
		ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 0, NULL);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4, 3);
	s->in[0].variable = true;
	s->in[0].shape.order = i == 3 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	return true;
}

TD_OP(initialise, .n_in = 1, .n_out = 0, .writes = 1, .overwrites = 1, .attrs_size = sizeof(initialise_attrs),
	.fields = initialise_fields, .infer = initialise_infer, .forward = { initialise_forward },
	.backward = td_nodiff, .sample = initialise_sample)

/* NAME: addresses the draws. */
TD_API void td_initialise(td_ctx *c, td_value *variable, const td_init *init, const char *name)
{
	initialise_attrs a;

	if (!variable)
		return;
	memset(&a, 0, sizeof a);
	a.kind = init->kind;
	a.fan = init->fan;
	a.a = init->a;
	a.b = init->b;
	a.stream = rng_stream(name);
	TD_APPLY(c, initialise, &a, variable);
}
