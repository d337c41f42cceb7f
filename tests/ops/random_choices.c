/* Calls that choose elements: by index, by mask, by size; and sums in whole numbers. */
#include "random_rows.h"

static td_value *do_gather(td_ctx *c, const struct random_arguments *a)
{
	td_value *index = td_argsort(c, a->x[0], axis_of(a, 1), a->n[2] & 1);

	return td_gather(c, a->x[0], axis_of(a, 1), a->n[3] & 1 ? td_slice(c, index, inner_axis(a), 0, 1) : index);
}

static td_value *do_scatter_add(td_ctx *c, const struct random_arguments *a)
{
	td_value *index = td_argsort(c, a->x[0], axis_of(a, 1), a->n[2] & 1);

	return td_scatter_add(c, a->x[0], axis_of(a, 1), index, a->n[3] & 1 ? a->x[1] : td_sin(c, a->x[0]));
}

static td_value *do_scatter(td_ctx *c, const struct random_arguments *a)
{
	td_value *index = td_argsort(c, a->x[0], axis_of(a, 1), a->n[2] & 1);

	if (a->n[0] & 1) /* and some come to one place */
		index = td_minimum(c, index, td_ones_like(c, index));
	return td_scatter(c, a->x[0], axis_of(a, 1), index, a->n[3] & 1 ? a->x[1] : td_sin(c, a->x[0]));
}

/* Where the largest elements of the other axes are: an index may come twice. */
static td_value *largest_places(td_ctx *c, const struct random_arguments *a, int axis)
{
	td_value *places = td_argmax(c, a->x[0], axis);

	return td_reshape(c, places, (int64_t[]){ -1 }, 1);
}

static td_value *do_index_select(td_ctx *c, const struct random_arguments *a)
{
	int axis = inner_axis(a);

	return td_index_select(c, a->x[0], axis, largest_places(c, a, axis));
}

static td_value *do_index_add(td_ctx *c, const struct random_arguments *a)
{
	int axis = inner_axis(a);
	td_value *index = largest_places(c, a, axis);

	return td_index_add(c, a->x[0], axis, index, td_cos(c, td_index_select(c, a->x[0], axis, index)));
}

/* Rows of the first axis; some of them come twice. */
static td_value *rows_by_number(td_ctx *c, const struct random_arguments *a)
{
	return td_reshape(c, td_argmax(c, a->x[0], 0), (int64_t[]){ -1, 1 }, 2);
}

static td_value *do_gather_nd(td_ctx *c, const struct random_arguments *a)
{
	return td_gather_nd(c, a->x[0], rows_by_number(c, a));
}

static td_value *do_index_put(td_ctx *c, const struct random_arguments *a)
{
	td_value *index = rows_by_number(c, a), *y = td_cos(c, td_gather_nd(c, a->x[0], index));

	return td_index_put(c, a->x[0], index, y, a->n[2] & 1);
}

static td_value *do_embedding(td_ctx *c, const struct random_arguments *a)
{
	td_value *table = of_rank(a, 2, LEAF_4_3);

	return td_embedding(c, table, td_argmax(c, table, 0), a->n[0] & 1 ? 0 : -1);
}

static td_value *do_sort(td_ctx *c, const struct random_arguments *a)
{
	td_value *order = NULL, *y = td_sort(c, a->x[0], axis_of(a, 0), a->n[1] & 1, a->n[2] & 1 ? &order : NULL);

	return order ? td_add(c, y, td_cast(c, order, TD_F32)) : y;
}

static td_value *do_topk(td_ctx *c, const struct random_arguments *a)
{
	return td_topk(c, a->x[0], 1 + a->n[0] % 2, inner_axis(a), a->n[2] & 1, NULL);
}

/* Of the type that N chooses; within what a byte holds. */
static td_value *whole(td_ctx *c, td_value *x, uint32_t n)
{
	static const td_dtype types[] = { TD_I32, TD_I64, TD_U8 };

	x = td_where(c, td_isfinite(c, x), td_clamp(c, td_scale_by(c, td_abs(c, x), 5), 0, 9), td_zeros_like(c, x));
	return td_cast(c, x, types[n % TD_COUNT(types)]);
}

static td_value *do_extreme_places(td_ctx *c, const struct random_arguments *a)
{
	td_value *x = a->n[3] & 1 ? whole(c, a->x[0], a->n[1]) : a->x[0],
		 *y = a->n[2] & 1 ? td_argmin(c, x, axis_of(a, 0)) : td_argmax(c, x, axis_of(a, 0));

	return td_mul(c, td_cast(c, y, TD_F32), a->x[1]);
}

static td_value *do_one_hot(td_ctx *c, const struct random_arguments *a)
{
	int axis = inner_axis(a);

	return td_one_hot_like(c, td_argmax(c, a->x[0], axis), a->x[0], axis);
}

static td_value *do_masked_fill(td_ctx *c, const struct random_arguments *a)
{
	return td_masked_fill(c, a->x[0], td_greater(c, a->x[1], a->x[2]), -0.25);
}

static td_value *do_boolean_mask(td_ctx *c, const struct random_arguments *a)
{
	td_value *count = NULL, *mask = td_greater_equal(c, a->x[1], td_mean(c, a->x[1], TD_ALL_AXES, false)),
		 *y = td_boolean_mask(c, a->x[0], mask, &count);

	return a->n[0] & 1 ? td_boolean_unmask(c, td_tanh(c, y), mask) : td_mul(c, y, td_cast(c, count, TD_F32));
}

static td_value *do_tril_mask(td_ctx *c, const struct random_arguments *a)
{
	return td_masked_fill(c, a->x[0], td_triu_mask(c, a->x[0], 1), a->n[0] & 1 ? -1 : 2);
}

static td_value *do_logic(td_ctx *c, const struct random_arguments *a)
{
	td_value *p = td_less_equal(c, a->x[0], a->x[1]), *q = td_isfinite(c, a->x[2]);

	p = a->n[0] & 1 ? td_logical_and(c, p, q) : td_logical_or(c, td_logical_not(c, p), td_isnan(c, a->x[2]));
	return td_where(c, p, a->x[0], a->x[1]);
}

static td_value *do_any_all(td_ctx *c, const struct random_arguments *a)
{
	td_value *p = td_not_equal(c, td_sign(c, a->x[0]), td_sign(c, a->x[1]));

	p = a->n[3] & 1 ? td_any(c, p, axes_of(a), a->n[2] & 1) : td_all(c, p, axes_of(a), a->n[2] & 1);
	return td_cast(c, p, TD_F32);
}

static td_value *do_whole_numbers(td_ctx *c, const struct random_arguments *a)
{
	td_value *p = whole(c, a->x[0], a->n[1]), *q = whole(c, a->x[1], a->n[1]);

	switch (a->n[0] % 9) {
	case 0: p = td_add(c, p, td_mul(c, q, p)); break;
	case 1: p = td_sub(c, td_maximum(c, p, q), td_minimum(c, p, q)); break;
	case 2: p = td_where(c, td_equal(c, p, q), p, q); break;
	case 3: p = td_remainder(c, p, td_maximum(c, q, td_ones_like(c, q))); break;
	case 4: p = td_concat(c, p, p, inner_axis(a)); break;
	case 5: p = td_pow(c, td_clamp(c, p, 1, 7), q); break;
	case 6: p = td_matmul(c, p, q, a->n[2] & 1, a->n[3] & 1); break;
	case 7: p = td_scatter_add(c, p, axis_of(a, 1), td_argsort(c, p, axis_of(a, 1), false), q); break;
	default: p = td_flip(c, p, (int[]){ axis_of(a, 2) }, 1);
	}
	return td_cast(c, p, TD_F32);
}

static td_value *do_whole_sums(td_ctx *c, const struct random_arguments *a)
{
	td_value *p = whole(c, a->x[0], a->n[3]);

	switch (a->n[0] % 5) {
	case 0: p = td_sum(c, p, axes_of(a), a->n[2] & 1); break;
	case 1: p = td_cumsum(c, p, axis_of(a, 1), a->n[2] & 1); break;
	case 2: p = td_max(c, p, axes_of(a), a->n[2] & 1); break;
	case 3: p = td_sort(c, p, axis_of(a, 1), a->n[2] & 1, NULL); break;
	default: p = td_prod(c, p, axes_of(a), a->n[2] & 1);
	}
	return td_cast(c, p, TD_F32);
}

static const struct random_row rows[] = {
	RANDOM_ROW(gather),
	RANDOM_ROW(scatter_add),
	RANDOM_ROW(scatter),
	RANDOM_ROW(index_select),
	RANDOM_ROW(index_add),
	RANDOM_ROW(gather_nd),
	RANDOM_ROW(index_put),
	RANDOM_ROW(embedding),
	RANDOM_ROW(sort),
	RANDOM_ROW(topk),
	RANDOM_ROW(extreme_places),
	RANDOM_ROW(one_hot),
	RANDOM_ROW(masked_fill),
	RANDOM_ROW(boolean_mask),
	RANDOM_ROW(tril_mask),
	RANDOM_ROW(logic),
	RANDOM_ROW(any_all),
	RANDOM_ROW(whole_numbers),
	RANDOM_ROW(whole_sums),
};
const struct random_group random_choices = { rows, TD_COUNT(rows) };
