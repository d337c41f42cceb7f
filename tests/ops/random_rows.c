/* The calls that random programs are made of: one row each, a builder that is given values and numbers. */
#include "random_rows.h"

static int axis_of(const struct random_arguments *a, int which)
{
	int rank = td_shape_of(a->x[0])->rank;

	return rank ? (int)a->n[which] % rank : 0;
}

/* Not the batch's axis: what is cut or joined there would not fit another batch size. */
static int inner_axis(const struct random_arguments *a)
{
	int rank = td_shape_of(a->x[0])->rank;

	return rank > 1 ? 1 + (int)a->n[0] % (rank - 1) : 0;
}

static uint32_t axes_of(const struct random_arguments *a)
{
	return a->n[0] % 3 ? 1u << axis_of(a, 1) : TD_ALL_AXES;
}

#define UNARY(name)                                                                                                    \
	static td_value *do_##name(td_ctx *c, const struct random_arguments *a)                                        \
	{                                                                                                              \
		return td_##name(c, a->x[0]);                                                                          \
	}
#define BINARY(name)                                                                                                   \
	static td_value *do_##name(td_ctx *c, const struct random_arguments *a)                                        \
	{                                                                                                              \
		return td_##name(c, a->x[0], a->x[1]);                                                                 \
	}
#define REDUCTION(name)                                                                                                \
	static td_value *do_##name(td_ctx *c, const struct random_arguments *a)                                        \
	{                                                                                                              \
		return td_##name(c, a->x[0], axes_of(a), a->n[2] & 1);                                                 \
	}
UNARY(abs)
UNARY(square) UNARY(relu) UNARY(sigmoid) UNARY(tanh) UNARY(softplus) UNARY(silu) UNARY(sin) UNARY(cos) UNARY(erf)
	UNARY(floor) UNARY(sign) UNARY(detach) UNARY(ones_like) UNARY(sum_squares) BINARY(add) BINARY(sub) BINARY(mul)
		BINARY(maximum) BINARY(minimum) BINARY(outer) REDUCTION(sum) REDUCTION(mean) REDUCTION(max)
			REDUCTION(min) REDUCTION(prod) REDUCTION(logsumexp)

				static td_value *do_exp(td_ctx *c, const struct random_arguments *a)
{
	return td_exp(c, td_tanh(c, a->x[0]));
}

static td_value *do_log(td_ctx *c, const struct random_arguments *a)
{
	return td_log(c, td_shift_by(c, td_square(c, a->x[0]), 0.5));
}

static td_value *do_sqrt(td_ctx *c, const struct random_arguments *a)
{
	return td_sqrt(c, td_shift_by(c, td_abs(c, a->x[0]), 0.25));
}

static td_value *do_div(td_ctx *c, const struct random_arguments *a)
{
	return td_div(c, a->x[0], td_shift_by(c, td_square(c, a->x[1]), 1));
}

static td_value *do_gelu(td_ctx *c, const struct random_arguments *a)
{
	return td_gelu(c, a->x[0], a->n[0] & 1);
}

static td_value *do_leaky_relu(td_ctx *c, const struct random_arguments *a)
{
	return td_leaky_relu(c, a->x[0], 0.01);
}

static td_value *do_clamp(td_ctx *c, const struct random_arguments *a)
{
	return td_clamp(c, a->x[0], -0.5, 1);
}

static td_value *do_where(td_ctx *c, const struct random_arguments *a)
{
	return td_where(c, td_less(c, a->x[0], a->x[1]), a->x[0], a->x[2]);
}

static td_value *do_softmax(td_ctx *c, const struct random_arguments *a)
{
	return a->n[1] & 1 ? td_log_softmax(c, a->x[0], axis_of(a, 0)) : td_softmax(c, a->x[0], axis_of(a, 0));
}

static td_value *do_var(td_ctx *c, const struct random_arguments *a)
{
	return td_var(c, a->x[0], axes_of(a), 0, a->n[2] & 1);
}

static td_value *do_norm(td_ctx *c, const struct random_arguments *a)
{
	return td_norm(c, a->x[0], 2, axes_of(a), a->n[2] & 1);
}

static td_value *do_cumsum(td_ctx *c, const struct random_arguments *a)
{
	return td_cumsum(c, a->x[0], axis_of(a, 0), a->n[1] & 1);
}

static td_value *do_matmul(td_ctx *c, const struct random_arguments *a)
{
	return td_matmul(c, a->x[0], a->x[1], a->n[0] & 1, a->n[1] & 1);
}

static td_value *do_linear(td_ctx *c, const struct random_arguments *a)
{
	return td_linear(c, a->x[0], a->x[1], a->n[0] & 1 ? a->x[2] : NULL);
}

static td_value *do_conv2d(td_ctx *c, const struct random_arguments *a)
{
	td_conv2d_attrs attrs = { .stride = { 1 + a->n[0] % 2, 1 }, .padding = { a->n[1] % 2, a->n[1] % 2 } };

	return td_conv2d(c, a->x[0], a->x[1], a->n[2] & 1 ? a->x[2] : NULL, &attrs);
}

static td_value *do_max_pool(td_ctx *c, const struct random_arguments *a)
{
	td_pool2d_attrs attrs = { .kernel = { 2, 2 }, .stride = { 1 + a->n[0] % 2, 2 }, .ceil_mode = a->n[1] & 1 };

	return td_max_pool2d(c, a->x[0], &attrs);
}

static td_value *do_avg_pool(td_ctx *c, const struct random_arguments *a)
{
	td_pool2d_attrs attrs = { .kernel = { 2, 1 }, .stride = { 1 + a->n[0] % 2, 1 }, .ceil_mode = a->n[1] & 1 };

	return td_avg_pool2d(c, a->x[0], &attrs);
}

static td_value *do_adaptive_pool(td_ctx *c, const struct random_arguments *a)
{
	return a->n[0] & 1 ? td_adaptive_avg_pool2d(c, a->x[0], 2, 1) : td_adaptive_max_pool2d(c, a->x[0], 1, 2);
}

static td_value *do_layer_norm(td_ctx *c, const struct random_arguments *a)
{
	return a->n[0] & 1 ? td_layer_norm(c, a->x[0], NULL, NULL, 1, 1e-5) : td_rms_norm(c, a->x[0], NULL, 1, 1e-5);
}

static td_value *do_dropout(td_ctx *c, const struct random_arguments *a)
{
	return td_dropout(c, a->x[0], 0.3f);
}

static td_value *do_flatten(td_ctx *c, const struct random_arguments *a)
{
	return td_flatten(c, a->x[0], (int)a->n[0] % 2);
}

static td_value *do_reorder(td_ctx *c, const struct random_arguments *a)
{
	return td_reorder(c, a->x[0], a->n[0] & 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR);
}

static td_value *do_transpose(td_ctx *c, const struct random_arguments *a)
{
	int rank = td_shape_of(a->x[0])->rank, perm[TD_MAX_RANK], i = axis_of(a, 0), k = axis_of(a, 1);

	for (int p = 0; p < rank; p++)
		perm[p] = p == i ? k : p == k ? i : p;
	return td_transpose(c, a->x[0], perm, rank);
}

static td_value *do_reshape_like(td_ctx *c, const struct random_arguments *a)
{
	return td_reshape_like(c, a->x[0], a->x[1]);
}

static td_value *do_concat(td_ctx *c, const struct random_arguments *a)
{
	return td_concat(c, a->x[0], a->x[1], inner_axis(a));
}

static td_value *do_slice(td_ctx *c, const struct random_arguments *a)
{
	return td_slice(c, a->x[0], inner_axis(a), a->n[1] % 2, a->n[2] & 1 ? TD_SIZE_END : 2);
}

static td_value *do_roll(td_ctx *c, const struct random_arguments *a)
{
	return td_roll(c, a->x[0], (int64_t[]){ (int64_t)(a->n[1] % 5) - 2 }, (int[]){ axis_of(a, 0) }, 1);
}

static td_value *do_flip(td_ctx *c, const struct random_arguments *a)
{
	return td_flip(c, a->x[0], (int[]){ axis_of(a, 0) }, 1);
}

static td_value *do_pad(td_ctx *c, const struct random_arguments *a)
{
	return td_pad(c, a->x[0], (int64_t[]){ a->n[0] % 3, a->n[1] % 2 }, 1, TD_PAD_CONSTANT, 0.5);
}

static td_value *do_cross_entropy(td_ctx *c, const struct random_arguments *a)
{
	return td_cross_entropy_each(c, a->x[0], td_argmax(c, a->x[1], td_shape_of(a->x[1])->rank - 1));
}

/* A copy of neg that is wrong every so often, once it is broken. */
static td_op fragile;
static int64_t n_fragile;

static void fragile_forward(const td_call *call)
{
	td__op_find("neg")->forward[TD_CPU](call);
	if (++n_fragile % 5 == 0 && td_shape_count(call->out[0].shape))
		*(float *)call->out[0].data += 1;
}

void random_rows_break(bool broken)
{
	fragile = *td__op_find("neg");
	if (broken)
		fragile.forward[TD_CPU] = fragile_forward;
}

static td_value *do_fragile(td_ctx *c, const struct random_arguments *a)
{
	return td_apply(c, &fragile, NULL, a->x, 1);
}

static td_value *do_cast(td_ctx *c, const struct random_arguments *a)
{
	return td_cast(c, td_cast(c, a->x[0], a->n[0] & 1 ? TD_I32 : TD_F64), TD_F32);
}

/* ---- Control flow and functions of one's own --------------------------------------------------------------------- */

static void then_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_mul(c, td_tanh(c, in[0]), in[1]);
}

static void otherwise_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_add(c, td_mul(c, in[0], in[1]), in[0]);
}

static void test_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_cast(c, in[0], TD_I32);
}

static void loop_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_shift_by(c, in[0], -1);
	out[1] = td_tanh(c, td_add(c, td_mul(c, in[1], in[2]), in[1]));
}

static struct {
	td_function *then, *otherwise;
	td_loop loop;
} flow; /* the program's; they outlive its graphs */

void random_flow_init(void)
{
	flow.then = td_function_create("then", then_body, NULL, 2, 1, 0);
	flow.otherwise = td_function_create("otherwise", otherwise_body, NULL, 2, 1, 0);
	flow.loop = (td_loop){ .test = td_function_create("test", test_body, NULL, 3, 1, 0),
		.body = td_function_create("body", loop_body, NULL, 3, 2, 0),
		.n_vars = 2,
		.n_constants = 1,
		.most = 4 };
}

void random_flow_release(void)
{
	td_function_free(flow.then);
	td_function_free(flow.otherwise);
	td_function_free(flow.loop.test);
	td_function_free(flow.loop.body);
}

/* A scalar that depends on the data: 0 or more. */
static td_value *count_of(td_ctx *c, const struct random_arguments *a, double most)
{
	return td_detach(c, td_clamp(c, td_floor(c, td_sum(c, td_abs(c, a->x[2]), TD_ALL_AXES, false)), 0, most));
}

static td_value *do_cond(td_ctx *c, const struct random_arguments *a)
{
	td_value *out,
		*less = td_less(c, td_sum(c, a->x[2], TD_ALL_AXES, false), td_sum(c, a->x[0], TD_ALL_AXES, false));

	return td_cond(c, less, flow.then, flow.otherwise, a->x, 2, &out) ? NULL : out;
}

static td_value *do_while(td_ctx *c, const struct random_arguments *a)
{
	td_value *out[2];

	return td_while(c, &flow.loop, (td_value *[]){ count_of(c, a, 4), a->x[0] }, &a->x[1], out) ? NULL : out[1];
}

static td_value *custom_forward(td_ctx *c, void *arg, td_value *const *in, int n_in)
{
	(void)arg;
	(void)n_in;
	return td_mul(c, in[0], td_sigmoid(c, in[1]));
}

static void custom_backward(
	td_ctx *c, void *arg, td_value *const *in, int n_in, td_value *y, td_value *dy, td_value **dx)
{
	(void)arg;
	(void)n_in;
	(void)y;
	dx[0] = td_sum_like(c, td_mul(c, dy, td_sigmoid(c, in[1])), in[0]);
}

static td_value *do_custom(td_ctx *c, const struct random_arguments *a)
{
	static const td_custom f = { "gate", custom_forward, custom_backward, NULL };

	return td_custom_call(c, &f, a->x, 2);
}

#define ROW(name)                                                                                                      \
	{                                                                                                              \
#name, do_##name                                                                                       \
	}
const struct random_row random_rows[] = {
	ROW(fragile),
	ROW(abs),
	ROW(square),
	ROW(relu),
	ROW(sigmoid),
	ROW(tanh),
	ROW(softplus),
	ROW(silu),
	ROW(sin),
	ROW(cos),
	ROW(erf),
	ROW(floor),
	ROW(sign),
	ROW(detach),
	ROW(ones_like),
	ROW(sum_squares),
	ROW(add),
	ROW(sub),
	ROW(mul),
	ROW(div),
	ROW(maximum),
	ROW(minimum),
	ROW(outer),
	ROW(sum),
	ROW(mean),
	ROW(max),
	ROW(min),
	ROW(prod),
	ROW(logsumexp),
	ROW(exp),
	ROW(log),
	ROW(sqrt),
	ROW(gelu),
	ROW(leaky_relu),
	ROW(clamp),
	ROW(where),
	ROW(softmax),
	ROW(var),
	ROW(norm),
	ROW(cumsum),
	ROW(matmul),
	ROW(linear),
	ROW(conv2d),
	ROW(max_pool),
	ROW(avg_pool),
	ROW(adaptive_pool),
	ROW(layer_norm),
	ROW(dropout),
	ROW(flatten),
	ROW(reorder),
	ROW(transpose),
	ROW(reshape_like),
	ROW(concat),
	ROW(slice),
	ROW(roll),
	ROW(flip),
	ROW(pad),
	ROW(cross_entropy),
	ROW(cast),
	ROW(cond),
	ROW(while),
	ROW(custom),
};
const int random_n_rows = TD_COUNT(random_rows);
