/* Shape and index ops against PyTorch's values, and what they refuse once they run.  The op suite has the gradients of
 * every order and the equality of the modes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/core.h"
#include "shapes_golden.h"

static td_ctx *new_context(void)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 2, .seed = 1 });

	td_step_begin(c);
	return c;
}

/* A tensor of integers 0, 1, 2, .. of a type. */
static td_value *counting(td_ctx *c, td_dtype dtype, int rank, const int64_t *dim)
{
	td_shape shape = { .dtype = TD_F64, .rank = rank };
	td_value *wide, *v;
	double data[256];

	memcpy(shape.dim, dim, sizeof *dim * (size_t)rank);
	assert_true(td_shape_count(&shape) <= 256);
	for (int i = 0; i < 256; i++)
		data[i] = i;
	wide = td_tensor(c, &shape, data);
	v = td_ref(td_cast(c, wide, dtype));
	td_unref(wide);
	return v;
}
#define COUNTING(c, dtype, ...)                                                                                        \
	counting(c, dtype, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (int64_t[]){ __VA_ARGS__ })

static td_value *indices(td_ctx *c, int rank, const int64_t *dim, const int64_t *data)
{
	td_shape shape = { .dtype = TD_I64, .rank = rank };

	memcpy(shape.dim, dim, sizeof *dim * (size_t)rank);
	return td_tensor(c, &shape, data);
}

/* V holds the N numbers WANT, in logical order. */
static void holds(td_ctx *c, td_value *v, const double *want, int64_t n, double bound)
{
	td_value *wide;
	double got[256];

	if (td_error(c)->status)
		fail_msg("%s", td_error(c)->text);
	wide = td_cast(c, v, TD_F64);
	assert_int_equal(td_shape_count(td_shape_of(v)), n);
	td_read(wide, got);
	for (int64_t i = 0; i < n; i++)
		if (!(fabs(got[i] - want[i]) <= bound))
			fail_msg("element %d is %.17g, not %.17g", (int)i, got[i], want[i]);
}
#define HOLDS(c, v, ...)                                                                                               \
	holds(c, v, (double[]){ __VA_ARGS__ }, (int64_t)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)), 0)

/* [1, 1, 3, 4]: (7 i mod 12) / 4 */
static td_value *golden_image(td_ctx *c, td_order order)
{
	td_shape shape = td_shape_make(TD_F64, 4, (int64_t)1, (int64_t)1, (int64_t)3, (int64_t)4);
	double data[12];
	td_value *x;

	shape.order = order;
	for (int i = 0; i < 12; i++)
		data[i] = i * 7 % 12 / 4.0;
	x = td_tensor(c, &shape, data);
	td_require_grad(c, x, true);
	return x;
}

/* Y and the gradient by X for dy = 1, 2, 3, .. are the golden ones. */
static void is_golden(td_ctx *c, td_value *x, td_value *y, const double *want_y, const double *want_dx)
{
	td_value *weights, *loss;
	int64_t n;

	if (!y)
		fail_msg("%s", td_error(c)->text);
	n = td_shape_count(td_shape_of(y));
	holds(c, y, want_y, n, 1e-14);
	weights = counting(c, TD_F64, td_shape_of(y)->rank, td_shape_of(y)->dim);
	loss = td_sum(c, td_mul(c, y, td_add(c, weights, td_ones_like(c, weights))), TD_ALL_AXES, false);
	td_backward(c, loss);
	holds(c, td_grad_of(x), want_dx, 12, 1e-12);
	assert_int_equal(td_shape_of(y)->order, td_shape_of(x)->order);
	td_unref(weights);
	td_unref(x);
}

static void resizing_is_torchs(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * TD_COUNT(resize_golden); i++) {
		td_ctx *c = new_context();
		td_value *x = golden_image(c, i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR);

		is_golden(c, x, td_resize(c, x, &resize_golden[i / 2].attrs), resize_golden[i / 2].y,
			resize_golden[i / 2].dx);
		td_ctx_free(c);
	}
}

static void padding_is_torchs(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * TD_COUNT(pad_golden); i++) {
		td_ctx *c = new_context();
		td_value *x = golden_image(c, i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR);

		is_golden(c, x,
			td_pad(c, x, pad_golden[i / 2].pads, 2, pad_golden[i / 2].mode, pad_golden[i / 2].value),
			pad_golden[i / 2].y, pad_golden[i / 2].dx);
		td_ctx_free(c);
	}
}

static void slices_are_torchs(void **state)
{
	td_ctx *c = new_context();
	td_value *x = COUNTING(c, TD_I32, 7), *m = COUNTING(c, TD_U8, 2, 5), *parts[3];

	(void)state;
	HOLDS(c, td_slice_step(c, x, 0, -6, 99, 2), 1, 3, 5);
	HOLDS(c, td_slice(c, x, 0, -3, -1), 4, 5);
	HOLDS(c, td_slice(c, x, -1, 5, TD_SIZE_END), 5, 6);
	assert_int_equal(td_shape_of(td_slice(c, x, 0, 5, 2))->dim[0], 0);
	HOLDS(c, td_select(c, m, 1, -1), 4, 9);
	HOLDS(c, td_select(c, m, 0, 1), 5, 6, 7, 8, 9);
	td_split(c, m, (int64_t[]){ 1, 2, 2 }, 3, 1, parts);
	HOLDS(c, parts[1], 1, 2, 6, 7);
	td_chunk(c, x, 3, 0, parts);
	HOLDS(c, parts[0], 0, 1, 2);
	HOLDS(c, parts[2], 6);
	HOLDS(c, td_flip(c, m, (int[]){ -1, 0 }, 2), 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	HOLDS(c, td_roll(c, m, (int64_t[]){ 2, -1 }, (int[]){ 1, 0 }, 2), 8, 9, 5, 6, 7, 3, 4, 0, 1, 2);
	HOLDS(c, td_roll(c, x, &(int64_t){ INT64_MAX }, &(int){ 0 }, 1), 0, 1, 2, 3, 4, 5, 6); /* 7 divides it */
	assert_null(td_select(c, m, 1, 5));
	assert_non_null(strstr(td_error(c)->text, "no element 5"));
	td_unref(x);
	td_unref(m);
	td_ctx_free(c);
}

static void shifts_that_int64_cannot_hold_are_refused(void **state)
{
	static const struct {
		int64_t shifts[2];
		int n;
	} rows[] = { { { INT64_MIN }, 1 }, { { INT64_MAX, 1 }, 2 }, { { INT64_MIN, -1 }, 2 } };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		td_ctx *c = new_context();
		td_value *x = COUNTING(c, TD_I32, 7);

		assert_null(td_roll(c, x, rows[i].shifts, (int[]){ 0, 0 }, rows[i].n));
		assert_int_equal(td_error(c)->status, TD_TOO_LARGE);
		td_unref(x);
		td_ctx_free(c);
	}
}

static void parts_and_factors_that_cannot_be_are_refused(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		td_ctx *c = new_context();
		td_value *x = COUNTING(c, TD_F32, 1, 4, 1, 2), *parts[2];

		if (i == 0)
			assert_null(td_pixel_shuffle(c, x, (int64_t)1 << 32)); /* its square is 0 in 64 bits */
		else if (i == 1)
			assert_null(td_split(c, x, NULL, -1, 1, parts));
		else
			assert_null(td_split(c, x, i == 2 ? (int64_t[]){ -1, 5 } : (int64_t[]){ 1, 2 }, 2, 1, parts));
		assert_true(td_error(c)->status == (i == 1 ? TD_INVALID : TD_SHAPE));
		td_unref(x);
		td_ctx_free(c);
	}
}

static void joining_and_axes_are_torchs(void **state)
{
	td_ctx *c = new_context();
	td_value *m = COUNTING(c, TD_I64, 2, 2), *image = COUNTING(c, TD_F32, 1, 4, 1, 2), *y;

	(void)state;
	HOLDS(c, td_concat_all(c, (td_value *[]){ m, m, m }, 3, 1), 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3);
	HOLDS(c, td_stack(c, (td_value *[]){ m, m }, 2, -1), 0, 0, 1, 1, 2, 2, 3, 3);
	HOLDS(c, td_swap_axes(c, m, 0, -1), 0, 2, 1, 3);
	HOLDS(c, td_expand(c, td_unsqueeze(c, m, 1), (int64_t[]){ -1, 2, -1 }, 3), 0, 1, 0, 1, 2, 3, 2, 3);
	HOLDS(c, td_pixel_shuffle(c, image, 2), 0, 2, 1, 3, 4, 6, 5, 7);
	y = td_pixel_unshuffle(c, td_pixel_shuffle(c, image, 2), 2);
	HOLDS(c, y, 0, 1, 2, 3, 4, 5, 6, 7);
	assert_null(td_squeeze(c, m, 0));
	assert_non_null(strstr(td_error(c)->text, "has not the size 1"));
	td_unref(m);
	td_unref(image);
	td_ctx_free(c);
}

static void masks_and_indices_are_torchs(void **state)
{
	td_ctx *c = new_context();
	td_value *m = COUNTING(c, TD_F32, 3, 3), *row = COUNTING(c, TD_F32, 3), *count, *kept;
	td_value *index = indices(c, 2, (int64_t[]){ 3, 1 }, (int64_t[]){ 2, 0, 1 });
	td_value *twice = indices(c, 1, (int64_t[]){ 3 }, (int64_t[]){ 2, 0, 2 });
	td_value *ids = indices(c, 3, (int64_t[]){ 1, 2, 2 }, (int64_t[]){ 2, 0, 1, 1 }), *y;

	(void)state;
	HOLDS(c, td_tril(c, m, 0), 0, 0, 0, 3, 4, 0, 6, 7, 8);
	HOLDS(c, td_tril(c, m, INT64_MAX), 0, 1, 2, 3, 4, 5, 6, 7, 8);
	HOLDS(c, td_tril(c, m, INT64_MIN), 0, 0, 0, 0, 0, 0, 0, 0, 0);
	HOLDS(c, td_triu(c, m, INT64_MAX), 0, 0, 0, 0, 0, 0, 0, 0, 0);
	HOLDS(c, td_triu(c, m, INT64_MIN), 0, 1, 2, 3, 4, 5, 6, 7, 8);
	HOLDS(c, td_triu(c, m, 1), 0, 1, 2, 0, 0, 5, 0, 0, 0);
	HOLDS(c, td_masked_fill(c, m, td_triu_mask(c, m, 1), -1), 0, -1, -1, 3, 4, -1, 6, 7, 8);
	kept = td_boolean_mask(c, m, td_cast(c, td_select(c, m, 1, 0), TD_BOOL), &count);
	HOLDS(c, kept, 3, 4, 5, 6, 7, 8, 0, 0, 0);
	HOLDS(c, count, 2);
	HOLDS(c, td_gather(c, m, 1, index), 2, 3, 7);
	HOLDS(c, td_scatter_add(c, m, 1, index, td_ones_like(c, td_gather(c, m, 1, index))), 0, 1, 3, 4, 4, 5, 6, 8, 8);
	HOLDS(c, td_index_select(c, m, 1, twice), 2, 0, 2, 5, 3, 5, 8, 6, 8);
	HOLDS(c, td_index_add(c, row, 0, twice, row), 1, 1, 4);
	y = td_embedding(c, m, td_reorder(c, ids, TD_CHANNELS_LAST), -1);
	HOLDS(c, td_slice(c, td_reshape(c, y, (int64_t[]){ -1, 3 }, 2), 0, 0, 2), 6, 7, 8, 0, 1, 2);
	HOLDS(c, td_one_hot(c, twice, 3, TD_I64), 0, 0, 1, 1, 0, 0, 0, 0, 1);
	HOLDS(c, td_arange_like(c, m, 0, TD_F64, 1, -0.5), 1, 0.5, 0);
	td_unref(m);
	td_unref(row);
	td_unref(index);
	td_unref(twice);
	td_unref(ids);
	td_ctx_free(c);
}

/* Of what comes to one place the last stays; x[rows, columns] and x[rows, columns] = y as numpy has them. */
static void writing_by_index_keeps_the_last(void **state)
{
	td_ctx *c = new_context();
	td_value *base = COUNTING(c, TD_F64, 2, 3), *x = COUNTING(c, TD_F64, 2, 2), *line = COUNTING(c, TD_F64, 3), *y;
	td_value *at_columns = indices(c, 2, (int64_t[]){ 2, 2 }, (int64_t[]){ 2, 2, 0, 1 });
	td_value *rows = indices(c, 1, (int64_t[]){ 3 }, (int64_t[]){ 1, 0, 1 }),
		 *columns = indices(c, 1, (int64_t[]){ 3 }, (int64_t[]){ 2, 1, 2 }), *both;

	(void)state;
	both = td_stack(c, (td_value *[]){ rows, columns }, 2, -1);
	HOLDS(c, td_scatter(c, base, 1, at_columns, x), 0, 1, 1, 2, 3, 5);
	HOLDS(c, td_gather_nd(c, base, both), 5, 1, 5);
	HOLDS(c, td_gather_nd(c, base, td_unsqueeze(c, rows, 1)), 3, 4, 5, 0, 1, 2, 3, 4, 5);
	HOLDS(c, td_index_put(c, base, both, line, true), 0, 2, 2, 3, 4, 7);
	td_require_grad(c, base, true);
	td_require_grad(c, line, true);
	y = td_index_put(c, base, both, line, false);
	HOLDS(c, y, 0, 1, 2, 3, 4, 2);
	td_backward(c, td_sum_squares(c, y));
	HOLDS(c, td_grad_of(base), 0, 0, 4, 6, 8, 0);
	HOLDS(c, td_grad_of(line), 0, 2, 4);
	assert_null(td_gather_nd(c, base, columns)); /* names three axes of two */
	assert_int_equal(td_error(c)->status, TD_SHAPE);
	td_unref(base);
	td_unref(x);
	td_unref(line);
	td_unref(at_columns);
	td_unref(rows);
	td_unref(columns);
	td_ctx_free(c);
}

/* ---- What only shows when an op runs ----------------------------------------------------------------------------- */

static td_value *out_of_range(td_ctx *c, int which, td_value *x, td_value *index)
{
	switch (which) {
	case 0: return td_gather(c, x, 0, td_expand_like(c, td_unsqueeze(c, index, 1), x));
	case 1: return td_scatter_add(c, x, 0, td_expand_like(c, td_unsqueeze(c, index, 1), x), x);
	case 2: return td_index_select(c, x, 0, index);
	case 3: return td_index_add(c, x, 0, index, x);
	case 4: return td_one_hot(c, index, 3, TD_F32);
	case 5: return td_scatter(c, x, 0, td_expand_like(c, td_unsqueeze(c, index, 1), x), x);
	case 6: return td_gather_nd(c, x, td_unsqueeze(c, index, 1));
	case 7: return td_index_put(c, x, td_unsqueeze(c, index, 1), x, false);
	case 8: return td_index_put(c, x, td_unsqueeze(c, index, 1), x, true);
	default: return td_embedding(c, x, index, -1);
	}
}

/* FN with an index of three entries whose second is WRONG fails in both modes with the words WANT, and the session goes
 * on afterwards. */
static void fails_when_it_runs(td_value *(*fn)(td_ctx *, int, td_value *, td_value *), int which, int64_t wrong,
	const int64_t *right, const char *want)
{
	td_ctx *c = new_context();
	td_graph *g = td_graph_create();
	td_value *x = COUNTING(c, TD_F32, 3, 2), *results[1], *y;
	td_value *index = indices(c, 1, (int64_t[]){ 3 }, (int64_t[]){ 0, wrong, right[2] });
	td_session *s;

	td_name_push(c, "head");
	assert_null(fn(c, which, x, index));
	td_name_pop(c);
	assert_int_equal(td_error(c)->status, TD_INVALID);
	assert_string_equal(td_error(c)->text, want);
	td_error_clear(c);

	td_trace_begin(c, g);
	td_name_push(c, "head");
	y = fn(c, which, x, index);
	td_name_pop(c);
	td_trace_end(c);
	assert_non_null(y);
	s = td_session_create(c, g, &y, 1);
	assert_int_equal(td_session_run(s, c, NULL, 0, results), TD_INVALID);
	assert_string_equal(td_error(c)->text, want);
	td_error_clear(c);
	td_write(index, right); /* and the session goes on */
	assert_int_equal(td_session_run(s, c, NULL, 0, results), TD_OK);
	td_session_free(s);
	td_graph_free(g);
	td_unref(x);
	td_unref(index);
	td_ctx_free(c);
}

static void an_index_out_of_range_is_an_error_in_both_modes(void **state)
{
	static const int64_t wrong[] = { 3, -1, INT64_MAX, INT64_MIN };
	static const char *const ops[] = { "gather", "scatter_add", "index_select", "index_add", "one_hot", "scatter",
		"gather_nd", "index_put", "index_put", "embedding" };
	char want[96];

	(void)state;
	for (int which = 0; which < (int)TD_COUNT(ops); which++)
		for (size_t k = 0; k < TD_COUNT(wrong); k++) {
			snprintf(want, sizeof want, "layer head: %s: index %lld is not in 0 .. 2", ops[which],
				(long long)wrong[k]);
			fails_when_it_runs(out_of_range, which, wrong[k], (int64_t[]){ 0, 1, 2 }, want);
		}
}

static td_value *no_class(td_ctx *c, int which, td_value *x, td_value *labels)
{
	td_value *row = td_sum(c, x, 1u << 1, false);

	switch (which) {
	case 0: return td_cross_entropy(c, x, labels);
	case 1: return td_cross_entropy_dx(c, x, labels, row, row);
	case 2: return td_nll_each(c, x, labels);
	default: return td_nll_dx(c, row, labels, x);
	}
}

static void a_label_that_is_no_class_is_an_error_in_both_modes(void **state)
{
	static const int64_t wrong[] = { 2, -1, INT64_MAX, INT64_MIN };
	static const char *const ops[] = { "cross_entropy", "cross_entropy_dx", "nll", "nll_dx" };
	char want[160];

	(void)state;
	for (int which = 0; which < (int)TD_COUNT(ops); which++)
		for (size_t k = 0; k < TD_COUNT(wrong); k++) {
			snprintf(want, sizeof want,
				"layer head: %s: row 1 has the label %lld, and there are 2 classes: labels are 0 .. 1, "
				"or "
				"-100 for a row that does not count",
				ops[which], (long long)wrong[k]);
			fails_when_it_runs(no_class, which, wrong[k], (int64_t[]){ 0, TD_IGNORE_LABEL, 1 }, want);
		}
}

/* V has the sizes WANT. */
static void has_sizes(td_ctx *c, const td_value *v, int rank, const int64_t *want)
{
	if (td_error(c)->status)
		fail_msg("%s", td_error(c)->text);
	assert_int_equal(td_shape_of(v)->rank, rank);
	for (int i = 0; i < rank; i++)
		assert_int_equal(td_shape_of(v)->dim[i], want[i]);
}
#define HAS_SIZES(c, v, ...)                                                                                           \
	has_sizes(c, v, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (int64_t[]){ __VA_ARGS__ })

static void what_is_left_of_no_elements_is_what_their_axes_hold(void **state)
{
	td_ctx *c = new_context();
	td_value *x = COUNTING(c, TD_F32, 0, 4, 2, 6), *none = COUNTING(c, TD_F32, 0, 3);

	(void)state;
	HAS_SIZES(c, td_flatten(c, x, 1), 0, 48);
	HAS_SIZES(c, td_flatten(c, x, 0), 0);
	HAS_SIZES(c, td_flatten(c, x, 2), 0, 4, 12);
	HAS_SIZES(c, td_unflatten(c, x, 1, (int64_t[]){ 2, -1 }, 2), 0, 2, 2, 2, 6);
	HAS_SIZES(c, td_unflatten(c, x, 0, (int64_t[]){ -1, 3 }, 2), 0, 3, 4, 2, 6);
	HAS_SIZES(c, td_pixel_shuffle(c, x, 2), 0, 1, 4, 12);
	HAS_SIZES(c, td_pixel_unshuffle(c, x, 2), 0, 16, 1, 3);
	HAS_SIZES(c, td_reshape(c, none, (int64_t[]){ TD_SIZE_OF(1), -1 }, 2), 3, 0);
	assert_null(td_unflatten(c, none, 1, (int64_t[]){ 2, -1 }, 2)); /* 3 is not even, of whatever there is */
	assert_int_equal(td_error(c)->status, TD_SHAPE);
	td_error_clear(c);
	assert_null(td_reshape(c, none, (int64_t[]){ 0, -1 }, 2)); /* any size would do */
	assert_int_equal(td_error(c)->status, TD_SHAPE);
	td_unref(none);
	td_unref(x);
	td_ctx_free(c);
}

/* The logits of images [N, 3, 4, 4]. */
static td_value *small_cnn(td_ctx *c, td_value *x, td_value *kernels, td_value *weight)
{
	td_value *y = td_relu(
		c, td_conv2d(c, x, kernels, NULL, &(td_conv2d_attrs){ .stride = { 1, 1 }, .padding = { 1, 1 } }));

	return td_linear(
		c, td_flatten(c, td_max_pool2d(c, y, &(td_pool2d_attrs){ .kernel = { 2, 2 } }), 1), weight, NULL);
}

static void a_network_takes_a_batch_of_no_images_in_both_modes(void **state)
{
	td_ctx *c = new_context();
	td_graph *g = td_graph_create();
	td_value *kernels = COUNTING(c, TD_F32, 2, 3, 3, 3), *weight = COUNTING(c, TD_F32, 5, 8), *fetches[2],
		 *results[2], *x = COUNTING(c, TD_F32, 0, 3, 4, 4), *labels = COUNTING(c, TD_I64, 0), *feed_x,
		 *feed_labels;
	td_shape images = td_shape_make(TD_F32, 4, TD_UNKNOWN((int64_t)2), (int64_t)3, (int64_t)4, (int64_t)4),
		 classes = td_shape_make(TD_I64, 1, TD_UNKNOWN((int64_t)2));
	td_value *y = small_cnn(c, x, kernels, weight);
	td_session *s;

	(void)state;
	HAS_SIZES(c, y, 0, 5);
	assert_true(isnan(td_item(td_cross_entropy(c, y, labels)))); /* as in torch: a mean of nothing */
	td_trace_begin(c, g);
	feed_x = td_placeholder(c, "x", &images);
	feed_labels = td_placeholder(c, "labels", &classes);
	fetches[0] = small_cnn(c, feed_x, kernels, weight);
	fetches[1] = td_cross_entropy(c, fetches[0], feed_labels);
	td_trace_end(c);
	s = td_session_create(c, g, fetches, 2);
	td_session_run(s, c, (td_feed[]){ { feed_x, x }, { feed_labels, labels } }, 2, results);
	HAS_SIZES(c, results[0], 0, 5);
	assert_true(isnan(td_item(results[1])));
	td_session_free(s);
	td_graph_free(g);
	td_unref(labels);
	td_unref(x);
	td_unref(weight);
	td_unref(kernels);
	td_ctx_free(c);
}

static void sizes_beyond_any_memory_are_refused(void **state)
{
	td_ctx *c = new_context();
	td_value *x = COUNTING(c, TD_F32, 1, 1, 2, 2);

	(void)state;
	assert_null(td_pad(c, x, (int64_t[]){ INT64_MAX, 0 }, 1, TD_PAD_CONSTANT, 0));
	assert_int_equal(td_error(c)->status, TD_TOO_LARGE);
	td_error_clear(c);
	assert_null(td_resize(c, x, &(td_resize_attrs){ .scale = { 1e300, 1 } }));
	assert_int_equal(td_error(c)->status, TD_SHAPE);
	td_error_clear(c);
	assert_null(td_resize(c, x, &(td_resize_attrs){ .scale = { NAN, 1 } }));
	assert_int_equal(td_error(c)->status, TD_INVALID);
	td_error_clear(c);
	assert_null(td_expand(c, x, (int64_t[]){ INT64_MAX, 1, 2, 2 }, 4));
	assert_int_equal(td_error(c)->status, TD_TOO_LARGE);
	td_unref(x);
	td_ctx_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resizing_is_torchs),
		cmocka_unit_test(padding_is_torchs),
		cmocka_unit_test(slices_are_torchs),
		cmocka_unit_test(shifts_that_int64_cannot_hold_are_refused),
		cmocka_unit_test(parts_and_factors_that_cannot_be_are_refused),
		cmocka_unit_test(joining_and_axes_are_torchs),
		cmocka_unit_test(masks_and_indices_are_torchs),
		cmocka_unit_test(writing_by_index_keeps_the_last),
		cmocka_unit_test(an_index_out_of_range_is_an_error_in_both_modes),
		cmocka_unit_test(a_label_that_is_no_class_is_an_error_in_both_modes),
		cmocka_unit_test(what_is_left_of_no_elements_is_what_their_axes_hold),
		cmocka_unit_test(a_network_takes_a_batch_of_no_images_in_both_modes),
		cmocka_unit_test(sizes_beyond_any_memory_are_refused),
	};

	return cmocka_run_group_tests_name("shapes", tests, NULL, NULL);
}
