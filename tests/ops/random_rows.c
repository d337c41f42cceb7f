/* The calls that random programs are made of: one row each, a builder that is given values and numbers.  Here those of
 * elements, sums, products and shapes. */
#include "random_rows.h"

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
UNARY(neg)
UNARY(ceil)
UNARY(round)
UNARY(square)
UNARY(relu)
UNARY(sigmoid)
UNARY(tanh)
UNARY(softplus)
UNARY(silu)
UNARY(sin)
UNARY(cos)
UNARY(erf)
UNARY(floor)
UNARY(sign)
UNARY(detach)
UNARY(ones_like)
UNARY(sum_squares)
BINARY(add)
BINARY(sub)
BINARY(mul)
BINARY(maximum)
BINARY(minimum)
BINARY(outer)
REDUCTION(sum)
REDUCTION(mean)
REDUCTION(max)
REDUCTION(min)
REDUCTION(prod)
REDUCTION(logsumexp)

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
	td_value *w = a->leaves[a->n[1] & 1 ? LEAF_4_3 : LEAF_3_4], *bias = a->leaves[a->n[1] & 1 ? LEAF_4 : LEAF_3];

	return td_linear(c, a->x[0], a->n[2] & 1 ? w : a->x[1], a->n[0] & 1 ? bias : NULL);
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

static td_value *do_cast(td_ctx *c, const struct random_arguments *a)
{
	return td_cast(c, td_cast(c, a->x[0], a->n[0] & 1 ? TD_I32 : TD_F64), TD_F32);
}

static td_value *do_pow(td_ctx *c, const struct random_arguments *a)
{
	return td_pow(c, td_shift_by(c, td_abs(c, a->x[0]), 0.5), td_tanh(c, a->x[1]));
}

static td_value *do_pow_by(td_ctx *c, const struct random_arguments *a)
{
	return td_pow_by(c, td_shift_by(c, td_abs(c, a->x[0]), 0.5), (double)(a->n[0] % 4) - 1.5);
}

static td_value *do_remainder(td_ctx *c, const struct random_arguments *a)
{
	return td_remainder(c, a->x[0], td_shift_by(c, td_abs(c, a->x[1]), 0.5));
}

static td_value *do_rsqrt(td_ctx *c, const struct random_arguments *a)
{
	return td_rsqrt(c, td_shift_by(c, td_square(c, a->x[0]), 0.5));
}

static td_value *do_reciprocal(td_ctx *c, const struct random_arguments *a)
{
	return td_reciprocal(c, td_shift_by(c, td_square(c, a->x[0]), 0.5));
}

static td_value *do_expm1(td_ctx *c, const struct random_arguments *a)
{
	return td_expm1(c, td_tanh(c, a->x[0]));
}

static td_value *do_log1p(td_ctx *c, const struct random_arguments *a)
{
	return td_log1p(c, td_abs(c, a->x[0]));
}

static td_value *do_elu(td_ctx *c, const struct random_arguments *a)
{
	return td_elu(c, a->x[0], 0.7);
}

static td_value *do_std(td_ctx *c, const struct random_arguments *a)
{
	return td_std(c, td_concat(c, a->x[0], a->x[0], inner_axis(a)), axes_of(a), 0, a->n[2] & 1);
}

static td_value *do_lerp(td_ctx *c, const struct random_arguments *a)
{
	return td_lerp(c, a->x[0], a->x[1], td_sigmoid(c, a->x[2]));
}

static td_value *do_expand_like(td_ctx *c, const struct random_arguments *a)
{
	return td_expand_like(c, a->x[0], a->x[1]);
}

static td_value *do_zeros_like(td_ctx *c, const struct random_arguments *a)
{
	return td_add(c, td_zeros_like(c, a->x[0]), a->x[1]);
}

static td_value *do_unsqueeze(td_ctx *c, const struct random_arguments *a)
{
	return td_unsqueeze(c, a->x[0], (int)a->n[0] % (td_shape_of(a->x[0])->rank + 1));
}

static td_value *do_squeeze(td_ctx *c, const struct random_arguments *a)
{
	int axis = axis_of(a, 0);

	return td_squeeze(c, td_mean(c, a->x[0], 1u << axis, true), axis);
}

static td_value *do_unflatten(td_ctx *c, const struct random_arguments *a)
{
	return td_unflatten(c, a->x[0], inner_axis(a), (int64_t[]){ 2, -1 }, 2);
}

static td_value *do_pixel_shuffle(td_ctx *c, const struct random_arguments *a)
{
	td_value *x = of_rank(a, 4, LEAF_IMAGES), *y = td_pixel_shuffle(c, td_concat(c, x, td_sin(c, x), 1), 2);

	return a->n[0] & 1 ? y : td_pixel_unshuffle(c, td_tanh(c, y), 2);
}

static td_value *do_slice_step(td_ctx *c, const struct random_arguments *a)
{
	return td_slice_step(c, a->x[0], inner_axis(a), a->n[1] % 2, TD_SIZE_END, 2);
}

static td_value *do_select(td_ctx *c, const struct random_arguments *a)
{
	return td_select(c, a->x[0], inner_axis(a), (int64_t)(a->n[1] % 3) - 1);
}

static td_value *do_stack(td_ctx *c, const struct random_arguments *a)
{
	td_value *const parts[3] = { a->x[0], td_sin(c, a->x[0]), a->n[1] & 1 ? a->x[1] : a->x[0] };

	return td_stack(c, parts, 3, (int)a->n[0] % (td_shape_of(a->x[0])->rank + 1));
}

static td_value *do_concat_all(td_ctx *c, const struct random_arguments *a)
{
	td_value *const parts[3] = { a->x[0], td_sin(c, a->x[0]), a->n[1] & 1 ? a->x[1] : a->x[0] };

	return td_concat_all(c, parts, 3, inner_axis(a));
}

/* Two of the parts, so that one is read by nobody now and then. */
static td_value *do_chunk(td_ctx *c, const struct random_arguments *a)
{
	td_value *parts[2] = { 0 };

	td_chunk(c, a->x[0], 2, inner_axis(a), parts);
	return a->n[1] & 1 ? parts[a->n[2] & 1] : td_concat(c, parts[1], parts[0], inner_axis(a));
}

/* Inner sizes: what is reflected is no batch, whose size may be 1. */
static td_value *do_pad_edges(td_ctx *c, const struct random_arguments *a)
{
	static const td_pad_mode modes[] = { TD_PAD_REFLECT, TD_PAD_REPLICATE, TD_PAD_CIRCULAR };

	return td_pad(c, a->x[0], (int64_t[]){ a->n[0] % 3, a->n[1] % 2 }, 1, modes[a->n[2] % TD_COUNT(modes)], 0);
}

static td_value *do_triangle(td_ctx *c, const struct random_arguments *a)
{
	int64_t diagonal = (int64_t)(a->n[1] % 3) - 1;

	return a->n[0] & 1 ? td_tril(c, a->x[0], diagonal) : td_triu(c, a->x[0], diagonal);
}

static td_value *do_arange_like(td_ctx *c, const struct random_arguments *a)
{
	return td_add(c, td_arange_like(c, a->x[0], axis_of(a, 0), TD_F32, -1, 0.5), a->x[1]);
}

/* What is random has its stream by its place in the program. */
static td_value *do_random_like(td_ctx *c, const struct random_arguments *a)
{
	switch (a->n[0] % 4) {
	case 0: return td_uniform_like(c, a->x[0], -1, 2);
	case 1: return td_normal_like(c, a->x[0], 0.5, 2);
	case 2: return td_mul(c, a->x[0], td_bernoulli(c, td_sigmoid(c, a->x[0])));
	default: return td_cast(c, td_randperm_like(c, a->x[0]), TD_F32);
	}
}

/* float64 in between. */
static td_value *do_double(td_ctx *c, const struct random_arguments *a)
{
	td_value *x = td_cast(c, a->x[0], TD_F64), *y = td_cast(c, a->x[1], TD_F64);

	return td_cast(
		c, a->n[0] & 1 ? td_mul(c, td_tanh(c, x), y) : td_matmul(c, x, y, a->n[1] & 1, a->n[2] & 1), TD_F32);
}

static const struct random_row rows[] = {
	RANDOM_ROW(neg),
	RANDOM_ROW(ceil),
	RANDOM_ROW(round),
	RANDOM_ROW(abs),
	RANDOM_ROW(square),
	RANDOM_ROW(relu),
	RANDOM_ROW(sigmoid),
	RANDOM_ROW(tanh),
	RANDOM_ROW(softplus),
	RANDOM_ROW(silu),
	RANDOM_ROW(sin),
	RANDOM_ROW(cos),
	RANDOM_ROW(erf),
	RANDOM_ROW(floor),
	RANDOM_ROW(sign),
	RANDOM_ROW(detach),
	RANDOM_ROW(ones_like),
	RANDOM_ROW(sum_squares),
	RANDOM_ROW(add),
	RANDOM_ROW(sub),
	RANDOM_ROW(mul),
	RANDOM_ROW(div),
	RANDOM_ROW(maximum),
	RANDOM_ROW(minimum),
	RANDOM_ROW(outer),
	RANDOM_ROW(sum),
	RANDOM_ROW(mean),
	RANDOM_ROW(max),
	RANDOM_ROW(min),
	RANDOM_ROW(prod),
	RANDOM_ROW(logsumexp),
	RANDOM_ROW(exp),
	RANDOM_ROW(log),
	RANDOM_ROW(sqrt),
	RANDOM_ROW(gelu),
	RANDOM_ROW(leaky_relu),
	RANDOM_ROW(clamp),
	RANDOM_ROW(where),
	RANDOM_ROW(softmax),
	RANDOM_ROW(var),
	RANDOM_ROW(norm),
	RANDOM_ROW(cumsum),
	RANDOM_ROW(matmul),
	RANDOM_ROW(linear),
	RANDOM_ROW(flatten),
	RANDOM_ROW(reorder),
	RANDOM_ROW(transpose),
	RANDOM_ROW(reshape_like),
	RANDOM_ROW(concat),
	RANDOM_ROW(slice),
	RANDOM_ROW(roll),
	RANDOM_ROW(flip),
	RANDOM_ROW(pad),
	RANDOM_ROW(cast),
	RANDOM_ROW(pow),
	RANDOM_ROW(pow_by),
	RANDOM_ROW(remainder),
	RANDOM_ROW(rsqrt),
	RANDOM_ROW(reciprocal),
	RANDOM_ROW(expm1),
	RANDOM_ROW(log1p),
	RANDOM_ROW(elu),
	RANDOM_ROW(std),
	RANDOM_ROW(lerp),
	RANDOM_ROW(expand_like),
	RANDOM_ROW(zeros_like),
	RANDOM_ROW(unsqueeze),
	RANDOM_ROW(squeeze),
	RANDOM_ROW(unflatten),
	RANDOM_ROW(pixel_shuffle),
	RANDOM_ROW(slice_step),
	RANDOM_ROW(select),
	RANDOM_ROW(stack),
	RANDOM_ROW(concat_all),
	RANDOM_ROW(chunk),
	RANDOM_ROW(pad_edges),
	RANDOM_ROW(triangle),
	RANDOM_ROW(arange_like),
	RANDOM_ROW(random_like),
	RANDOM_ROW(double),
};
const struct random_group random_elements = { rows, TD_COUNT(rows) };

/* ---- All of them ------------------------------------------------------------------------------------------------- */

static const struct random_group *const groups[] = { &random_elements, &random_choices, &random_layers, &random_flow };

int random_n_rows(void)
{
	int n = 0;

	for (size_t i = 0; i < TD_COUNT(groups); i++)
		n += groups[i]->n;
	TD_ASSERT(n <= RANDOM_ROWS_MOST);
	return n;
}

const struct random_row *random_row(int k)
{
	size_t i = 0;

	for (; k >= groups[i]->n; i++)
		k -= groups[i]->n;
	return &groups[i]->rows[k];
}
