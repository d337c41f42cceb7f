/* Calls that layers and losses are made of: convolutions, pools, norms, attention, recurrent layers. */
#include <string.h>
#include "random_rows.h"

/* ---- Images ------------------------------------------------------------------------------------------------------ */

static td_value *do_conv2d(td_ctx *c, const struct random_arguments *a)
{
	bool three = a->n[3] & 4; /* channels of the result */
	td_conv2d_attrs attrs = { .stride = { 1 + a->n[0] % 2, 1 },
		.padding = { a->n[1] % 2, a->n[1] % 2 },
		.dilation = { 1, 1 + a->n[3] % 2 },
		.same = a->n[3] % 4 == 3 };

	return td_conv2d(c, of_rank(a, 4, LEAF_IMAGES), a->leaves[three ? LEAF_3_FILTERS : LEAF_2_FILTERS],
		a->n[2] & 1 ? a->leaves[three ? LEAF_3 : LEAF_2] : NULL, &attrs);
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

static td_value *do_grouped_conv2d(td_ctx *c, const struct random_arguments *a)
{
	td_conv2d_attrs attrs = { .stride = { 1, 1 + a->n[0] % 2 }, .groups = 2, .padding = { 1, 1 } };
	td_value *w = td_slice(c, a->leaves[a->n[1] & 1 ? LEAF_2_FILTERS : LEAF_3_FILTERS], 1, 0, 1);

	return td_conv2d(c, of_rank(a, 4, LEAF_IMAGES), td_concat(c, w, w, 0), NULL, &attrs);
}

static td_value *do_conv_transpose2d(td_ctx *c, const struct random_arguments *a)
{
	td_conv2d_attrs attrs = { .stride = { 1 + a->n[0] % 2, 2 }, .padding = { a->n[1] % 2, 0 } };

	return td_conv_transpose2d(c, of_rank(a, 4, LEAF_IMAGES), a->leaves[LEAF_2_FILTERS],
		a->n[2] & 1 ? a->leaves[LEAF_2] : NULL, &attrs, a->n[3] & 1 ? (int64_t[]){ 0, 1 } : NULL);
}

static td_value *do_resize(td_ctx *c, const struct random_arguments *a)
{
	td_resize_attrs attrs = { .scale = { 1.5, 2 }, .mode = a->n[0] & 1 ? TD_RESIZE_NEAREST : TD_RESIZE_BILINEAR };

	if (a->n[1] & 1)
		memcpy(attrs.size, (int64_t[]){ 3, 2 }, sizeof attrs.size);
	attrs.align_corners = attrs.mode == TD_RESIZE_BILINEAR && a->n[2] & 1;
	attrs.antialias = attrs.mode == TD_RESIZE_BILINEAR && a->n[3] & 1;
	return td_resize(c, a->x[0], &attrs);
}

/* ---- Norms and losses -------------------------------------------------------------------------------------------- */

static td_value *do_layer_norm(td_ctx *c, const struct random_arguments *a)
{
	return a->n[0] & 1 ? td_layer_norm(c, a->x[0], NULL, NULL, 1, 1e-5) : td_rms_norm(c, a->x[0], NULL, 1, 1e-5);
}

static td_value *do_dropout(td_ctx *c, const struct random_arguments *a)
{
	return td_dropout(c, a->x[0], 0.3f);
}

/* A class for each row of the first value, out of those that it has. */
static td_value *labels_of(td_ctx *c, const struct random_arguments *a)
{
	return td_argmax(c, a->n[1] & 1 ? td_cos(c, a->x[0]) : td_sin(c, a->x[0]), -1);
}

static td_value *do_cross_entropy(td_ctx *c, const struct random_arguments *a)
{
	return td_cross_entropy_each(c, a->x[0], labels_of(c, a));
}

static td_value *do_weighted_norm(td_ctx *c, const struct random_arguments *a)
{
	td_value *w = a->leaves[a->n[1] & 1 ? LEAF_3 : LEAF_4];

	return td_layer_norm(c, a->x[0], w, a->n[0] & 1 ? td_sin(c, w) : NULL, 1, 1e-3);
}

static td_value *do_group_norm(td_ctx *c, const struct random_arguments *a)
{
	return td_group_norm(c, a->x[0], NULL, NULL, a->n[0] % 3, 1e-4);
}

/* By running means that are read: those that are written are variables, which programs keep to themselves. */
static td_value *do_batch_norm(td_ctx *c, const struct random_arguments *a)
{
	td_batch_norm_attrs attrs = { .momentum = 0.1, .eps = 1e-3 };

	return td_batch_norm(c, a->x[0], a->n[0] & 1 ? a->x[2] : NULL, NULL, a->x[1],
		td_shift_by(c, td_square(c, a->x[1]), 0.5), &attrs);
}

static td_value *do_nll(td_ctx *c, const struct random_arguments *a)
{
	return td_nll_each(c, td_log_softmax(c, a->x[0], -1), labels_of(c, a));
}

static td_value *do_multi_margin(td_ctx *c, const struct random_arguments *a)
{
	return td_multi_margin_each(c, a->x[0], labels_of(c, a), 0.5, 1 + (int)a->n[0] % 2);
}

static td_value *do_bce_logits(td_ctx *c, const struct random_arguments *a)
{
	return td_bce_logits_each(c, a->x[0], td_sigmoid(c, a->x[1]), a->n[0] & 1 ? td_abs(c, a->x[2]) : NULL);
}

static td_value *do_huber(td_ctx *c, const struct random_arguments *a)
{
	return td_huber_each(c, a->x[0], a->x[1], 0.5);
}

/* ---- Sequences --------------------------------------------------------------------------------------------------- */

/* One or two steps of each sequence of X [N, T, ..]; NULL: all. */
static td_value *lengths_of(td_ctx *c, td_value *x, uint32_t n)
{
	td_value *sums;

	if (n & 1 || td_shape_of(x)->rank != 3)
		return NULL;
	sums = td_sum(c, td_detach(c, x), 1u << 1 | 1u << 2, false);
	sums = td_where(c, td_isfinite(c, sums), sums, td_zeros_like(c, sums));
	return td_cast(c, td_clamp(c, td_shift_by(c, td_abs(c, sums), 1), 1, 2), TD_I64);
}

/* Gates for as many units as WEIGHTS [n] say, from sequences. */
static td_value *gates_of(td_ctx *c, td_value *x, td_value *weights)
{
	return td_mul(c, td_mean(c, x, 1u << 2, true), weights);
}

static td_value *do_lstm(td_ctx *c, const struct random_arguments *a)
{
	td_value *x = of_rank(a, 3, LEAF_SEQUENCES), *w = td_slice(c, a->leaves[LEAF_4_3], 1, 0, 1);

	return td_lstm(c, gates_of(c, x, a->leaves[LEAF_4]), w, lengths_of(c, x, a->n[0]), a->n[1] & 1);
}

static td_value *do_gru(td_ctx *c, const struct random_arguments *a)
{
	td_value *x = of_rank(a, 3, LEAF_SEQUENCES), *w = td_slice(c, a->leaves[LEAF_3_4], 1, 1, 2),
		 *weights = a->leaves[LEAF_3];

	return td_gru(c, gates_of(c, x, weights), w, td_cos(c, weights), lengths_of(c, x, a->n[0]), a->n[1] & 1);
}

static td_value *do_rnn(td_ctx *c, const struct random_arguments *a)
{
	td_value *x = of_rank(a, 3, LEAF_SEQUENCES), *weights = a->leaves[a->n[2] & 1 ? LEAF_2 : LEAF_4];

	return td_rnn(c, gates_of(c, x, weights), td_outer(c, weights, td_sin(c, weights)), lengths_of(c, x, a->n[0]),
		a->n[1] & 1, a->n[3] & 1);
}

static td_value *do_attention(td_ctx *c, const struct random_arguments *a)
{
	td_value *q = of_rank(a, 3, LEAF_SEQUENCES), *k = a->n[3] & 4 ? q : a->leaves[LEAF_SEQUENCES],
		 *lengths = lengths_of(c, k, a->n[0]);

	return td_attention(c, q, k, td_sin(c, k), lengths, 1 + a->n[1] % 2, a->n[2] & 1, a->n[3] % 3 ? 0 : 0.3);
}

static td_value *do_last_step(td_ctx *c, const struct random_arguments *a)
{
	return td_last_step(c, a->x[0], lengths_of(c, a->x[0], a->n[0]), a->n[1] & 1);
}

static td_value *do_mask_steps(td_ctx *c, const struct random_arguments *a)
{
	td_value *lengths = lengths_of(c, a->x[0], 0);

	return lengths ? td_mask_steps(c, a->x[0], lengths) : NULL;
}

static td_value *do_positions(td_ctx *c, const struct random_arguments *a)
{
	return td_add(c, a->x[0], a->n[0] & 1 ? td_sinusoids(c, a->x[0]) : td_first_rows(c, a->x[1], a->x[0]));
}

static const struct random_row rows[] = {
	RANDOM_ROW(conv2d),
	RANDOM_ROW(grouped_conv2d),
	RANDOM_ROW(conv_transpose2d),
	RANDOM_ROW(max_pool),
	RANDOM_ROW(avg_pool),
	RANDOM_ROW(adaptive_pool),
	RANDOM_ROW(resize),
	RANDOM_ROW(layer_norm),
	RANDOM_ROW(weighted_norm),
	RANDOM_ROW(group_norm),
	RANDOM_ROW(batch_norm),
	RANDOM_ROW(dropout),
	RANDOM_ROW(cross_entropy),
	RANDOM_ROW(nll),
	RANDOM_ROW(multi_margin),
	RANDOM_ROW(bce_logits),
	RANDOM_ROW(huber),
	RANDOM_ROW(lstm),
	RANDOM_ROW(gru),
	RANDOM_ROW(rnn),
	RANDOM_ROW(attention),
	RANDOM_ROW(last_step),
	RANDOM_ROW(mask_steps),
	RANDOM_ROW(positions),
};
const struct random_group random_layers = { rows, TD_COUNT(rows) };
