/* Elementwise ops, reductions and order where the values are special: NaN, infinities, ties, zeros,
 * integers at their ends, mixed types.  The op suite checks everything else. */
#include "elements_rig.h"

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

static void integers_wrap_around_and_keep_their_type(void **state)
{
	td_value *big = as(VECTOR(2147483647, -2147483648.0), TD_I32), *one = as(VECTOR(1), TD_I32);
	td_value *bytes = as(VECTOR(250, 3), TD_U8), *ten = as(VECTOR(10), TD_U8);

	(void)state;
	HOLDS(td_add(c, big, one), -2147483648.0, -2147483647.0);
	HOLDS(td_sub(c, big, one), 2147483646, 2147483647);
	HOLDS(td_neg(c, big), -2147483647.0, -2147483648.0);
	HOLDS(td_add(c, bytes, ten), 4, 13);
	HOLDS(td_mul(c, bytes, ten), 196, 30);
	assert_int_equal(td_shape_of(td_mul(c, bytes, ten))->dtype, TD_U8);
	HOLDS(td_abs(c, as(VECTOR(-5, 0, 7), TD_I64)), 5, 0, 7);
	HOLDS(td_sign(c, as(VECTOR(-5, 0, 7), TD_I32)), -1, 0, 1);
	HOLDS(td_sign(c, VECTOR(-5, -0.0, 7, NAN)), -1, 0, 1, 0);
}

static void integers_have_bounds_powers_and_places_as_in_torch(void **state)
{
	td_value *x = as(VECTOR(-7, 0, 5, 5), TD_I32), *bytes = as(VECTOR(3, 250, 7), TD_U8),
		 *far = as(VECTOR(-9223372036854775808.0, 5), TD_I64);

	(void)state;
	HOLDS(td_clamp(c, x, -2, 3), -2, 0, 3, 3);
	HOLDS(td_clamp(c, x, -INFINITY, 1), -7, 0, 1, 1);
	HOLDS(td_clamp(c, bytes, -5, 100), 3, 100, 7);
	HOLDS(td_clamp(c, bytes, 5, 1e300), 5, 250, 7);
	HOLDS(td_clamp(c, far, -1e300, 0), -9223372036854775808.0, 0);
	assert_int_equal(td_shape_of(td_clamp(c, x, 0, 1))->dtype, TD_I32);
	assert_null(td_clamp(c, x, 0.5, 2));
	refused("clamp holds int32[4] between whole numbers, not 0.5 and 2");
	assert_null(td_clamp(c, as(x, TD_BOOL), 0, 1));
	refused("clamp needs numbers");
	HOLDS(td_pow(c, as(VECTOR(-3, 2, 0, 7), TD_I64), as(VECTOR(3, 62, 0, 1), TD_I64)), -27, 4611686018427387904.0,
		1, 7);
	HOLDS(td_pow(c, as(VECTOR(1, -1, -1, 2), TD_I32), as(VECTOR(-3, -3, -2, -1), TD_I32)), 1, -1, 1, 0);
	HOLDS(td_pow(c, as(VECTOR(3, 2), TD_U8), as(VECTOR(6, 8), TD_U8)), 217, 0); /* 729 modulo 256 */
	HOLDS(td_pow_by(c, x, 3), -343, 0, 125, 125);
	HOLDS(td_pow_by(c, x, 0), 1, 1, 1, 1);
	assert_null(td_pow_by(c, x, -1));
	refused("pow_by takes int32[4] to whole powers from 0 to 255, not to -1");
	HOLDS(td_argmax(c, x, 0), 2);
	HOLDS(td_argmin(c, x, 0), 0);
	HOLDS(td_argmin(c, far, 0), 0); /* whose negative is itself */
	HOLDS(td_argmin(c, bytes, 0), 0);
	assert_null(td_argmin(c, as(x, TD_BOOL), 0));
	refused("argmin needs numbers");
	HOLDS(td_ones_like(c, bytes), 1, 1, 1);
	HOLDS(td_full_like(c, as(x, TD_BOOL), 3), 1, 1, 1, 1);
	HOLDS(td_full_like(c, x, -7.9), -7, -7, -7, -7);
}

static void a_remainder_has_the_sign_of_the_divisor(void **state)
{
	td_value *smallest = as(VECTOR(-9223372036854775808.0, 4), TD_I64), *by = as(VECTOR(-1, 0), TD_I64);

	(void)state;
	HOLDS(td_remainder(c, VECTOR(-7, 7, -7, 7, 6), VECTOR(3, -3, -3, 3, 3)), 2, -2, -1, 1, 0);
	HOLDS(td_remainder(c, VECTOR(1, INFINITY), VECTOR(0, 2)), NAN, NAN);
	HOLDS(td_remainder(c, as(VECTOR(-7, 7), TD_I32), as(VECTOR(3, -3), TD_I32)), 2, -2);
	HOLDS(td_remainder(c, smallest, by), 0, 0); /* neither of which the processor would survive */
}

static void the_larger_of_a_nan_is_the_nan_and_ties_share_the_gradient(void **state)
{
	td_value *a = leaf(VECTOR(1, 5, 2, NAN, 3)), *b = leaf(VECTOR(4, 5, 1, 0, NAN));

	(void)state;
	HOLDS(td_maximum(c, a, b), 4, 5, 2, NAN, NAN);
	HOLDS(td_minimum(c, a, b), 1, 5, 1, NAN, NAN);
	a = leaf(VECTOR(1, 5, 2));
	b = leaf(VECTOR(4, 5, 1));
	HOLDS(gradient(td_maximum(c, a, b), a), 0, 0.5, 1);
	HOLDS(gradient(td_maximum(c, a, b), b), 1, 0.5, 0);
	HOLDS(gradient(td_minimum(c, a, b), a), 1, 0.5, 0);
}

static void a_clamp_may_be_open_and_keeps_nan(void **state)
{
	td_value *x = VECTOR(-3, 0.5, 4, NAN);

	(void)state;
	HOLDS(td_clamp(c, x, -INFINITY, 1), -3, 0.5, 1, NAN);
	HOLDS(td_clamp(c, x, 0, INFINITY), 0, 0.5, 4, NAN);
	HOLDS(td_clamp(c, VECTOR(-3, 0.5, 4), 2, 1), 1, 1, 1); /* torch: the upper bound wins */
	x = leaf(VECTOR(-1, 0, 0.5, 1, 2));
	HOLDS(gradient(td_clamp(c, x, 0, 1), x), 0, 1, 1, 1, 0);
	x = leaf(VECTOR(NAN));
	HOLDS(gradient(td_clamp(c, x, 0, 1), x), 0);
}

static void rounding_goes_to_even(void **state)
{
	td_value *x = VECTOR(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5);

	(void)state;
	HOLDS(td_round(c, x), -2, -2, -0.0, 0, 2, 2);
	HOLDS(td_floor(c, x), -3, -2, -1, 0, 1, 2);
	HOLDS(td_ceil(c, x), -2, -1, -0.0, 1, 2, 3);
}

static void powers_of_zero_have_the_slopes_of_torch(void **state)
{
	td_value *a = leaf(VECTOR(0, 0, 2, -2)), *b = leaf(VECTOR(0, 3, 0, 2));

	(void)state;
	HOLDS(td_pow(c, a, b), 1, 0, 1, 4);
	HOLDS(gradient(td_pow(c, a, b), a), 0, 0, 0, -4);
	a = leaf(VECTOR(0, 0, 2));
	b = leaf(VECTOR(0, 3, 3));
	HOLDS(gradient(td_pow(c, a, b), b), 0, 0, 8 * log(2));
	a = leaf(VECTOR(-3, 0, 2));
	HOLDS(td_pow_by(c, a, 3), -27, 0, 8);
	HOLDS(gradient(td_pow_by(c, a, 3), a), 27, 0, 12);
	HOLDS(td_pow_by(c, a, 0), 1, 1, 1);
}

static void a_nan_is_equal_to_nothing(void **state)
{
	td_value *a = VECTOR(NAN, INFINITY, -0.0, 1), *b = VECTOR(NAN, INFINITY, 0.0, 2);

	(void)state;
	HOLDS(td_equal(c, a, b), 0, 1, 1, 0);
	HOLDS(td_not_equal(c, a, b), 1, 0, 0, 1);
	HOLDS(td_less(c, a, b), 0, 0, 0, 1);
	HOLDS(td_greater_equal(c, a, b), 0, 1, 1, 0);
	HOLDS(td_greater(c, b, a), 0, 0, 0, 1);
	HOLDS(td_isnan(c, a), 1, 0, 0, 0);
	HOLDS(td_isfinite(c, a), 0, 0, 1, 1);
	HOLDS(td_isfinite(c, as(VECTOR(1, 2), TD_I32)), 1, 1);
	HOLDS(td_logical_and(c, a, VECTOR(1, 0, 1, 1)), 1, 0, 0, 1);
	HOLDS(td_logical_or(c, VECTOR(0, 2), VECTOR(0, 0)), 0, 1);
	HOLDS(td_logical_not(c, as(VECTOR(0, 2), TD_I64)), 1, 0);
}

static void what_where_does_not_choose_has_no_influence(void **state)
{
	td_value *x = leaf(VECTOR(-1, 0, 4)), *is_positive = td_less(c, VECTOR(0, 0, 0), x);
	td_value *y = td_where(c, is_positive, td_log(c, x), x);

	(void)state;
	HOLDS(y, -1, 0, log(4));
	HOLDS(td_where(c, is_positive, as(VECTOR(1, 2, 3), TD_I64), as(VECTOR(9), TD_I64)), 9, 9, 3);
	y = td_where(c, is_positive, VECTOR(NAN, NAN, 5), x);
	HOLDS(gradient(y, x), 1, 1, 0);
	td_where(c, x, x, x);
	refused("cast it to bool");
}

static void mixed_types_are_refused_with_the_cast_to_write(void **state)
{
	td_value *f = VECTOR(1, 2), *i = as(f, TD_I64), *b = as(f, TD_BOOL);

	(void)state;
	assert_null(td_add(c, f, i));
	refused("add takes inputs of one type, not float64[2] and int64[2]; cast the second to float64");
	assert_null(td_mul(c, as(f, TD_U8), i));
	refused("cast the first to int64");
	assert_null(td_exp(c, i));
	refused("exp takes floating values, not int64[2]; cast it to float32");
	assert_null(td_add(c, b, b));
	refused("add takes numbers, not bool[2]; cast it to int64");
	assert_null(td_mean(c, i, ALL, false));
	refused("cast it to float32");
}

static void refusals_speak_of_what_was_called(void **state)
{
	td_value *i = as(VECTOR(1, 2), TD_I64), *f = VECTOR(1, 2), *three = VECTOR(1, 2, 3);
	td_value *images = hold(td_tensor(c, &(td_shape){ .dtype = TD_I64, .rank = 4, .dim = { 1, 1, 2, 2 } }, NULL));

	(void)state;
	assert_null(td_scale_by(c, i, 2));
	refused("scale_by needs floating inputs");
	assert_null(td_tanh(c, i));
	refused("tanh needs floating inputs");
	assert_null(td_var(c, i, ALL, 0, false));
	refused("var needs floating inputs");
	assert_null(td_std(c, i, ALL, 0, false));
	refused("std needs floating inputs");
	assert_null(td_uniform_like(c, i, 0, 1));
	refused("uniform_like needs floating inputs");
	assert_null(td_normal_like(c, i, 0, 1));
	refused("normal_like needs floating inputs");
	assert_null(td_stack(c, (td_value *[]){ f, three }, 2, 0));
	refused("stack needs values of one shape, not float64[2] and float64[3]");
	assert_null(td_stack(c, (td_value *[]){ f, f }, 2, 2));
	refused("stack: no axis 2");
	assert_null(td_avg_pool2d(c, images, &(td_pool2d_attrs){ .kernel = { 2, 2 } }));
	refused("avg_pool2d needs floating inputs");
	assert_null(td_adaptive_avg_pool2d(c, images, 1, 1));
	refused("adaptive_avg_pool2d needs floating inputs");
	assert_null(td_attention(c, f, f, f, NULL, 1, false, 0));
	refused("attention needs queries");
	assert_null(td_multi_margin_each(c, f, i, 1, 1));
	refused("multi_margin needs scores float[N, classes] and labels int64[N], not float64[2] and int64[2]");
}

/* ---- Losses ------------------------------------------------------------------------------------------------------ */

static void a_loss_refuses_targets_that_would_be_spread(void **state)
{
	td_value *x = VECTOR(1, 2, 3), *column = td_unsqueeze(c, x, 1);

	(void)state;
	assert_null(td_bce_logits_each(c, column, x, NULL));
	refused("bce_logits needs a target for each output, not outputs float64[3, 1] and targets float64[3]");
	assert_null(td_bce_logits_each(c, x, VECTOR(1), NULL));
	refused("outputs float64[3] and targets float64[1]");
	assert_null(td_bce_logits_each(c, x, x, column));
	refused("bce_logits needs weights that can be broadcast to float64[3], not float64[3, 1]");
	assert_null(td_bce_logits_each(c, x, as(x, TD_I64), NULL));
	refused("bce_logits needs outputs and targets of one type, not float64[3] and int64[3]");
	assert_null(td_huber_each(c, column, x, 1));
	refused("huber needs a target for each output, not outputs float64[3, 1] and targets float64[3]");
	HOLDS(td_huber_each(c, x, VECTOR(1, 1, 1), 1), 0, 0.5, 1.5);
}

/* ---- Axes -------------------------------------------------------------------------------------------------------- */

static void the_largest_of_a_nan_is_the_nan_and_ties_share_the_gradient(void **state)
{
	td_value *x = leaf(VECTOR(3, 1, 3, 2));

	(void)state;
	HOLDS(td_max(c, x, ALL, false), 3);
	HOLDS(gradient(td_max(c, x, ALL, false), x), 0.5, 0, 0.5, 0);
	HOLDS(gradient(td_min(c, x, ALL, false), x), 0, 1, 0, 0);
	HOLDS(td_max(c, VECTOR(1, NAN, 2), ALL, false), NAN);
	HOLDS(td_min(c, VECTOR(1, NAN, 2), ALL, false), NAN);
	HOLDS(td_max(c, VECTOR(-INFINITY, -INFINITY), ALL, false), -INFINITY);
	HOLDS(td_max(c, as(VECTOR(-9, -3), TD_I32), ALL, false), -3);
	x = td_sub(c, as(VECTOR(-9223372036854775808.0), TD_I64), as(VECTOR(1), TD_I64)); /* the largest int64 */
	HOLDS(td_max(c, x, ALL, false), 9223372036854775807.0);
	assert_null(td_max(c, hold(td_tensor(c, &(td_shape){ .dtype = TD_F32, .rank = 1 }, NULL)), ALL, false));
	refused("no elements");
}

static void an_axis_that_is_not_there_is_refused_by_name(void **state)
{
	td_value *x = hold(td_tensor(c, &(td_shape){ .dtype = TD_F32, .rank = 2, .dim = { 2, 4 } }, NULL));
	td_value *one = hold(td_tensor(c, &(td_shape){ .dtype = TD_F32 }, NULL));

	(void)state;
	assert_null(td_sum(c, x, 1u << 5, false));
	refused("sum: float32[2, 4] has no axis 5");
	assert_null(td_max(c, x, 1u << 0 | 1u << 2, true));
	refused("max: float32[2, 4] has no axis 2");
	assert_null(td_min(c, x, 4, false));
	refused("min: float32[2, 4] has no axis 2");
	assert_null(td_prod(c, x, 4, false));
	refused("prod: float32[2, 4] has no axis 2");
	assert_null(td_any(c, x, 4, false));
	refused("any: float32[2, 4] has no axis 2");
	assert_null(td_all(c, x, 4, false));
	refused("all: float32[2, 4] has no axis 2");
	assert_null(td_mean(c, x, 4, false));
	refused("mean: float32[2, 4] has no axis 2");
	assert_null(td_var(c, x, 4, 1, false));
	refused("var: float32[2, 4] has no axis 2");
	assert_null(td_std(c, x, 4, 1, false));
	refused("std: float32[2, 4] has no axis 2");
	assert_null(td_logsumexp(c, x, 4, false));
	refused("logsumexp: float32[2, 4] has no axis 2");
	for (int p = 1; p <= 2; p++) {
		assert_null(td_norm(c, x, p, 4, false));
		refused("norm: float32[2, 4] has no axis 2");
	}
	assert_null(td_norm(c, x, INFINITY, 4, false));
	refused("norm: float32[2, 4] has no axis 2");
	assert_null(td_sum(c, one, 1, false));
	refused("sum: float32[] has no axis 0");
	HOLDS(td_sum(c, one, ALL, true), 0);
	HOLDS(td_sum(c, x, 0, false), 0, 0, 0, 0, 0, 0, 0, 0);
}

static void a_product_beside_zeros_has_its_gradient_at_the_zero(void **state)
{
	td_value *x = leaf(VECTOR(2, 3, 4));

	(void)state;
	HOLDS(gradient(td_prod(c, x, ALL, false), x), 12, 8, 6);
	x = leaf(VECTOR(2, 0, 4));
	HOLDS(gradient(td_prod(c, x, ALL, false), x), 0, 8, 0);
	x = leaf(VECTOR(0, 0, 4));
	HOLDS(gradient(td_prod(c, x, ALL, false), x), 0, 0, 0);
	HOLDS(td_prod(c, as(VECTOR(3, 100, 7), TD_U8), ALL, false), 2100);
}

static void sums_of_integers_are_int64(void **state)
{
	td_value *bytes = as(VECTOR(200, 200, 200), TD_U8), *truths = as(VECTOR(1, 0, 5), TD_BOOL);

	(void)state;
	HOLDS(td_sum(c, bytes, ALL, false), 600);
	HOLDS(td_sum(c, truths, ALL, false), 2);
	assert_int_equal(td_shape_of(td_sum(c, truths, ALL, false))->dtype, TD_I64);
	HOLDS(td_cumsum(c, bytes, 0, false), 200, 400, 600);
	HOLDS(td_any(c, truths, ALL, false), 1);
	HOLDS(td_all(c, truths, ALL, false), 0);
	HOLDS(td_any(c, VECTOR(0, NAN), ALL, false), 1);
}

static void logsumexp_is_exact_at_infinities_and_does_not_overflow(void **state)
{
	td_value *x = leaf(VECTOR(-INFINITY, -INFINITY));

	(void)state;
	HOLDS(td_logsumexp(c, VECTOR(1000, 1000), ALL, false), 1000 + log(2));
	HOLDS(td_logsumexp(c, VECTOR(-1000, -INFINITY), ALL, false), -1000);
	HOLDS(td_logsumexp(c, VECTOR(0, INFINITY), ALL, false), INFINITY);
	HOLDS(td_logsumexp(c, VECTOR(0, NAN), ALL, false), NAN);
	HOLDS(td_logsumexp(c, x, ALL, false), -INFINITY);
	HOLDS(gradient(td_logsumexp(c, x, ALL, false), x), 0, 0);
}

static void variances_are_corrected_as_in_torch(void **state)
{
	td_value *x = leaf(VECTOR(1, 2, 3, 6));

	(void)state;
	HOLDS(td_var(c, x, ALL, 1, false), 14.0 / 3);
	HOLDS(td_var(c, x, ALL, 0, false), 14.0 / 4);
	HOLDS(td_std(c, x, ALL, 1, true), sqrt(14.0 / 3));
	HOLDS(td_var(c, VECTOR(5), ALL, 1, false), NAN);
	HOLDS(td_var(c, VECTOR(1e8, 1e8 + 1, 1e8 + 2), ALL, 1, false), 1); /* no difference of large squares */
}

static void roots_at_zero_have_the_slope_zero(void **state)
{
	td_value *x = leaf(VECTOR(0, 0)), *same = leaf(VECTOR(4, 4));

	(void)state;
	HOLDS(td_norm(c, VECTOR(3, -4), 2, ALL, false), 5);
	HOLDS(td_norm(c, VECTOR(3, -4), 1, ALL, false), 7);
	HOLDS(td_norm(c, VECTOR(3, -4), INFINITY, ALL, false), 4);
	HOLDS(gradient(td_norm(c, x, 2, ALL, false), x), 0, 0);
	HOLDS(gradient(td_norm(c, x, 1, ALL, false), x), 0, 0);
	HOLDS(gradient(td_norm(c, x, INFINITY, ALL, false), x), 0, 0);
	HOLDS(gradient(td_std(c, same, ALL, 1, false), same), 0, 0);
	assert_null(td_norm(c, x, 3, ALL, false));
	refused("1, 2 or infinity");
}

enum { SUM, MEAN, MAX, MIN, PROD, NORM, VAR, LOGSUMEXP, N_KINDS };

static td_value *reduced(td_value *x, int kind, uint32_t axes)
{
	switch (kind) {
	case SUM: return td_sum(c, x, axes, false);
	case MEAN: return td_mean(c, x, axes, false);
	case MAX: return td_max(c, x, axes, false);
	case MIN: return td_min(c, x, axes, false);
	case PROD: return td_prod(c, x, axes, false);
	case NORM: return td_norm(c, x, 2, axes, false);
	case VAR: return td_var(c, x, axes, 0, false);
	default: return td_logsumexp(c, x, axes, false);
	}
}

/* The same of N numbers in a row. */
static double reduced_plainly(const double *x, int n, int kind)
{
	double sum = 0, squares = 0, largest = -INFINITY, smallest = INFINITY, product = 1, exps = 0, variance = 0;

	for (int i = 0; i < n; i++) {
		sum += x[i];
		squares += x[i] * x[i];
		largest = TD_MAX(largest, x[i]);
		smallest = TD_MIN(smallest, x[i]);
		product *= x[i];
		exps += exp(x[i]);
	}
	for (int i = 0; i < n; i++)
		variance += (x[i] - sum / n) * (x[i] - sum / n) / n;
	return (double[]){ sum, sum / n, largest, smallest, product, sqrt(squares), variance, log(exps) }[kind];
}

/* X's elements of result O, when the axes go; how many there are. */
static int taken_by(const double *x, const int64_t *dim, uint32_t axes, int64_t o, double *row)
{
	int n = 0;

	for (int64_t e = 0; e < dim[0] * dim[1] * dim[2] * dim[3]; e++) {
		int64_t rest = e, place[4], result = 0;

		for (int i = 3; i >= 0; rest /= dim[i], i--)
			place[i] = rest % dim[i];
		for (int i = 0; i < 4; i++)
			result = axes >> i & 1 ? result : result * dim[i] + place[i];
		if (result == o)
			row[n++] = x[e];
	}
	return n;
}

static void reductions_agree_with_plain_loops_over_every_set_of_axes(void **state)
{
	enum { N = 3 * 4 * 5 * 6 };
	td_shape shape = td_shape_make(TD_F64, 4, 3, 4, 5, 6);
	double x[N], row[N], got[N];

	(void)state;
	for (int i = 0; i < N; i++)
		x[i] = 1 + 0.5 * sin(i * 1.3);
	for (int order = 0; order < 2; order++) {
		td_value *v = td_reorder(c, hold(td_tensor(c, &shape, x)), order ? TD_CHANNELS_LAST : TD_ROW_MAJOR);

		for (int kind = 0; kind < N_KINDS; kind++)
			for (uint32_t axes = 0; axes < 16; axes++) {
				td_value *y = reduced(v, kind, axes);

				assert_int_equal(td_error(c)->status, TD_OK);
				td_read(y, got);
				for (int64_t o = 0; o < td_shape_count(td_shape_of(y)); o++) {
					int n = taken_by(x, shape.dim, axes, o, row);
					double want = reduced_plainly(row, n, kind);

					if (fabs(got[o] - want) > 1e-12 * TD_MAX(fabs(want), 1))
						fail_msg("kind %d, axes %u, order %d, result %lld: %.17g, not %.17g",
							kind, axes, order, (long long)o, got[o], want);
				}
			}
	}
}

static void many_slices_give_what_one_row_gives(void **state)
{
	enum { N = 200001 };
	td_shape shape = td_shape_make(TD_F64, 1, N);
	double *x = MEM_NEW_N(double, N);
	td_value *v;

	(void)state;
	for (int i = 0; i < N; i++)
		x[i] = sin(i * 0.7) * 1e-3;
	v = hold(td_tensor(c, &shape, x));
	for (int kind = 0; kind < N_KINDS; kind++) {
		double got = td_item(reduced(v, kind, ALL)), want = reduced_plainly(x, N, kind);

		assert_true(fabs(got - want) <= 1e-9 * TD_MAX(fabs(want), 1e-3));
	}
	mem_free(x);
}

static void running_sums_go_along_their_axis_in_both_directions(void **state)
{
	td_shape shape = td_shape_make(TD_F32, 2, 2, 3);
	td_value *x = hold(td_tensor(c, &shape, (float[]){ 1, 2, 3, 4, 5, 6 }));

	(void)state;
	HOLDS(td_cumsum(c, x, 1, false), 1, 3, 6, 4, 9, 15);
	HOLDS(td_cumsum(c, x, 0, false), 1, 2, 3, 5, 7, 9);
	HOLDS(td_cumsum(c, x, -1, true), 6, 5, 3, 15, 11, 6);
	HOLDS(gradient(td_mul(c, td_cumsum(c, leaf(x), 1, false), x), x), 7, 8, 9, 19, 20, 21);
}

/* ---- Order ------------------------------------------------------------------------------------------------------- */

static void sorting_is_stable_and_nan_is_the_largest(void **state)
{
	td_value *x = leaf(VECTOR(2, NAN, -INFINITY, 2, -0.0, 0.0, INFINITY)), *i;

	(void)state;
	HOLDS(td_sort(c, x, 0, false, &i), -INFINITY, -0.0, 0.0, 2, 2, INFINITY, NAN);
	HOLDS(i, 2, 4, 5, 0, 3, 6, 1);
	HOLDS(td_sort(c, x, -1, true, &i), NAN, INFINITY, 2, 2, -0.0, 0.0, -INFINITY);
	HOLDS(i, 1, 6, 0, 3, 4, 5, 2);
	HOLDS(td_argsort(c, as(VECTOR(9223372036854774784.0, -9223372036854775808.0, 0), TD_I64), 0, true), 0, 2, 1);
	HOLDS(td_argmin(c, VECTOR(3, 1, 1), 0), 1);
	HOLDS(td_argmin(c, VECTOR(3, NAN, 1), 0), 1);
}

static void places_of_the_largest_are_of_some_elements_along_any_axis(void **state)
{
	td_shape none = td_shape_make(TD_F32, 2, (int64_t)3, (int64_t)0);
	td_value *x = td_reshape(c, VECTOR(1, 5, 2, 4, 3, 6), (int64_t[]){ 2, 3 }, 2),
		 *empty = hold(td_tensor(c, &none, NULL));

	(void)state;
	HOLDS(td_argmax(c, x, -1), 1, 2);
	HOLDS(td_argmax(c, x, -2), 1, 0, 1);
	HOLDS(td_sum(c, td_softmax(c, x, -1), TD_ALL_AXES, false), 2);
	assert_non_null(td_argmax(c, empty, 0)); /* of no columns, no places */
	assert_null(td_argmax(c, empty, 1));
	assert_non_null(strstr(td_error(c)->text, "no elements along axis 1"));
	td_error_clear(c);
}

static void the_largest_k_come_with_their_places_and_gradients(void **state)
{
	td_value *x = leaf(VECTOR(1, 9, 4, 9, 2)), *i, *y = td_topk(c, x, 3, 0, true, &i);

	(void)state;
	HOLDS(y, 9, 9, 4);
	HOLDS(i, 1, 3, 2);
	HOLDS(gradient(td_mul(c, y, VECTOR(1, 2, 3)), x), 0, 1, 3, 2, 0);
	HOLDS(td_topk(c, x, 2, 0, false, NULL), 1, 2);
	assert_null(td_topk(c, x, 6, 0, true, &i));
	assert_null(i);
	refused("no 6 elements");
}

static void every_permutation_of_a_long_row_is_sorted(void **state)
{
	enum { N = 1000 };
	double x[N], sorted[N];
	int64_t order[N];
	td_value *v, *i, *y;

	(void)state;
	for (int k = 0; k < N; k++)
		x[k] = (double)((k * 7919 + 13) % 331);
	v = vector(c, x, N);
	y = td_sort(c, v, 0, false, &i);
	td_read(y, sorted);
	td_read(i, order);
	for (int k = 0; k < N; k++) {
		assert_true(sorted[k] == x[order[k]]);
		if (k)
			assert_true(
				sorted[k - 1] < sorted[k] || (sorted[k - 1] == sorted[k] && order[k - 1] < order[k]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(integers_wrap_around_and_keep_their_type),
		TEST(integers_have_bounds_powers_and_places_as_in_torch),
		TEST(a_remainder_has_the_sign_of_the_divisor),
		TEST(the_larger_of_a_nan_is_the_nan_and_ties_share_the_gradient),
		TEST(a_clamp_may_be_open_and_keeps_nan),
		TEST(rounding_goes_to_even),
		TEST(powers_of_zero_have_the_slopes_of_torch),
		TEST(a_nan_is_equal_to_nothing),
		TEST(what_where_does_not_choose_has_no_influence),
		TEST(mixed_types_are_refused_with_the_cast_to_write),
		TEST(refusals_speak_of_what_was_called),
		TEST(a_loss_refuses_targets_that_would_be_spread),
		TEST(the_largest_of_a_nan_is_the_nan_and_ties_share_the_gradient),
		TEST(an_axis_that_is_not_there_is_refused_by_name),
		TEST(a_product_beside_zeros_has_its_gradient_at_the_zero),
		TEST(sums_of_integers_are_int64),
		TEST(logsumexp_is_exact_at_infinities_and_does_not_overflow),
		TEST(variances_are_corrected_as_in_torch),
		TEST(roots_at_zero_have_the_slope_zero),
		TEST(reductions_agree_with_plain_loops_over_every_set_of_axes),
		TEST(many_slices_give_what_one_row_gives),
		TEST(running_sums_go_along_their_axis_in_both_directions),
		TEST(sorting_is_stable_and_nan_is_the_largest),
		TEST(places_of_the_largest_are_of_some_elements_along_any_axis),
		TEST(the_largest_k_come_with_their_places_and_gradients),
		TEST(every_permutation_of_a_long_row_is_sorted),
	};

	return cmocka_run_group_tests_name("elements", tests, NULL, NULL);
}
