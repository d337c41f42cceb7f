/* Shapes: reshape, transpose, reorder, and constants in the shape of another value. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- reshape: the same elements, row by row, under another shape.  One that was recorded at one batch size must fit
 * any other, so sizes of the input stand in it by axis, never by number */

typedef struct reshape_attrs {
	int rank;
	int64_t dim[TD_MAX_RANK]; /* a size, -1 (what is left), or TD_SIZE_OF(i): the size of axis i of the input */
} reshape_attrs;

static const td_field reshape_fields[] = { TD_FIELD(reshape_attrs, rank), TD_FIELDS(reshape_attrs, dim), { 0 } };

/* What the builder has seen to, but a file may not: every size is one, or stands for one. */
static bool sizes_legal(const reshape_attrs *a, const td_shape *x)
{
	int64_t n = 1;

	if (a->rank < 0 || a->rank > TD_MAX_RANK)
		return false;
	for (int i = 0; i < a->rank; i++) {
		int64_t d = a->dim[i];

		if (d <= TD_SIZE_OF(x->rank))
			return false;
		d = d <= TD_SIZE_OF(0) ? x->dim[TD_SIZE_OF(0) - d] : d;
		if (d > 0 && __builtin_mul_overflow(n, d, &n))
			return false;
	}
	return true;
}

/* What -1 stands for: the elements of x, shared out over the other sizes.  Where a size is 0 a quotient of counts would
 * not tell, so axes of x that stand in the new shape as they are come out first; -1: no number would do. */
static int64_t size_left(const reshape_attrs *a, const td_shape *x)
{
	int64_t rest = 1, given = 1;
	uint32_t taken = 0;

	for (int i = 0; i < a->rank; i++) {
		int64_t axis = TD_SIZE_OF(0) - a->dim[i];

		if (axis >= 0 && !(taken >> axis & 1))
			taken |= 1u << axis;
		else if (a->dim[i] != -1)
			given *= axis >= 0 ? x->dim[axis] : a->dim[i];
	}
	for (int i = 0; i < x->rank; i++)
		rest *= taken >> i & 1 ? 1 : x->dim[i];
	return given && rest % given == 0 ? rest / given : -1;
}

static void reshape_infer(td_infer *q)
{
	const reshape_attrs *a = q->attrs;
	const td_shape *x = q->in[0];
	int64_t count = td_shape_count(x);
	char text[TD_SHAPE_TEXT], to[TD_SHAPE_TEXT];
	bool fits = true;

	if (x->order != TD_ROW_MAJOR || !sizes_legal(a, x)) {
		td_fail(q->ctx, TD_SHAPE, "reshape: these sizes are not made from a row-major %s",
			td_shape_text(x, text));
		return;
	}
	q->out[0] = (td_shape){ .dtype = x->dtype, .rank = a->rank };
	for (int i = 0; i < a->rank; i++) {
		int64_t d = a->dim[i];

		q->out[0].dim[i] = d == -1 ? size_left(a, x) : d <= TD_SIZE_OF(0) ? x->dim[TD_SIZE_OF(0) - d] : d;
		fits = fits && q->out[0].dim[i] >= 0;
	}
	if (!fits || td_shape_count(&q->out[0]) != count)
		td_fail(q->ctx, TD_SHAPE, "reshape: %s has %lld elements, which do not fill %s", td_shape_text(x, text),
			(long long)count, td_shape_text(&q->out[0], to));
}

static void reshape_forward(const td_call *call)
{
	(void)call; /* a view */
}

static void reshape_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_reshape_like(c, dy[0], n->in[0]);
}

static td_value *reshape_apply_flat(td_ctx *c, td_value *const *in)
{
	return td_flatten(c, in[0], 1);
}
static td_value *reshape_apply_split(td_ctx *c, td_value *const *in)
{
	return td_reshape(c, in[0], (int64_t[]){ TD_SIZE_OF(0), 2, -1 }, 3);
}

static td_value *reshape_apply_axes(td_ctx *c, td_value *const *in)
{
	return td_squeeze(c, td_unsqueeze(c, td_unflatten(c, in[0], 1, (int64_t[]){ 2, -1 }, 2), -1), 5);
}
static td_value *reshape_apply_shuffle(td_ctx *c, td_value *const *in)
{
	return td_pixel_shuffle(c, in[0], 2);
}
static td_value *reshape_apply_unshuffle(td_ctx *c, td_value *const *in)
{
	return td_pixel_unshuffle(c, in[0], 2);
}

static td_value *(*const reshape_applies[])(td_ctx *, td_value *const *) = { reshape_apply_flat, reshape_apply_split,
	reshape_apply_axes, reshape_apply_shuffle, reshape_apply_unshuffle };

static bool reshape_sample(int i, td_sample *s)
{
	if (i >= 2 * (int)TD_COUNT(reshape_applies))
		return false;
	s->apply = reshape_applies[i / 2];
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 6, 2);
	s->in[0].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(reshape, .n_in = 1, .n_out = 1, .view = true, .attrs_size = sizeof(reshape_attrs), .fields = reshape_fields,
	.infer = reshape_infer, .forward = { reshape_forward }, .backward = reshape_backward, .sample = reshape_sample)

/* DIMS: RANK entries, each a size, at most one -1, or TD_SIZE_OF(i).  Of a value without elements -1 is what is left of
 * the axes that no TD_SIZE_OF names: no images [0, 3, 4, 4] as [TD_SIZE_OF(0), -1] are [0, 48]. */
TD_API td_value *td_reshape(td_ctx *c, td_value *x, const int64_t *dims, int rank)
{
	reshape_attrs a;
	int n_left = 0;

	if (!x)
		return NULL;
	memset(&a, 0, sizeof a);
	a.rank = rank;
	for (int i = 0; i < rank && rank <= TD_MAX_RANK; i++) {
		a.dim[i] = dims[i];
		n_left += dims[i] == -1;
	}
	if (rank < 0 || rank > TD_MAX_RANK || n_left > 1)
		return td_fail(c, TD_SHAPE, "reshape takes up to %d sizes, at most one of them -1", TD_MAX_RANK);
	return TD_APPLY(c, reshape, &a, ops_row_major(c, x));
}

/* Axes from START_AXIS on become one. */
TD_API td_value *td_flatten(td_ctx *c, td_value *x, int start_axis)
{
	int64_t dims[TD_MAX_RANK];
	char text[TD_SHAPE_TEXT];

	if (!x)
		return NULL;
	if (start_axis < 0 || start_axis >= x->shape.rank)
		return td_fail(c, TD_SHAPE, "flatten: %s has no axis %d to begin from", td_shape_text(&x->shape, text),
			start_axis);
	for (int i = 0; i < start_axis; i++)
		dims[i] = TD_SIZE_OF(i);
	dims[start_axis] = -1;
	return td_reshape(c, x, dims, start_axis + 1);
}

/* torch.squeeze of one axis, which must have the size 1 (a plan would change its axes with its sizes otherwise). */
TD_API td_value *td_squeeze(td_ctx *c, td_value *x, int axis)
{
	int64_t dims[TD_MAX_RANK];
	char text[TD_SHAPE_TEXT];
	int n = 0;

	if (!x || !ops_axis(c, "squeeze", x, &axis))
		return NULL;
	if (x->shape.dim[axis] != 1)
		return td_fail(
			c, TD_SHAPE, "squeeze: axis %d of %s has not the size 1", axis, td_shape_text(&x->shape, text));
	for (int i = 0; i < x->shape.rank; i++)
		if (i != axis)
			dims[n++] = TD_SIZE_OF(i);
	return td_reshape(c, x, dims, n);
}

/* torch.unsqueeze: a new axis of size 1, which stands at AXIS of y (-1: last). */
TD_API td_value *td_unsqueeze(td_ctx *c, td_value *x, int axis)
{
	int64_t dims[TD_MAX_RANK];
	int rank;

	if (!x)
		return NULL;
	rank = x->shape.rank + 1;
	if (axis < -rank || axis >= rank || rank > TD_MAX_RANK)
		return td_fail(c, TD_SHAPE, "unsqueeze: no axis %d can be added to a value of %d axes (at most %d)",
			axis, x->shape.rank, TD_MAX_RANK);
	axis += axis < 0 ? rank : 0;
	for (int i = 0; i < rank; i++)
		dims[i] = i == axis ? 1 : TD_SIZE_OF(i - (i > axis));
	return td_reshape(c, x, dims, rank);
}

/* torch.unflatten: AXIS becomes N axes of the sizes DIMS, one of which may be -1. */
TD_API td_value *td_unflatten(td_ctx *c, td_value *x, int axis, const int64_t *dims, int n)
{
	int64_t all[TD_MAX_RANK];
	int rank;

	if (!x || !ops_axis(c, "unflatten", x, &axis))
		return NULL;
	rank = x->shape.rank - 1 + n;
	if (n < 1 || rank > TD_MAX_RANK)
		return td_fail(
			c, TD_SHAPE, "unflatten makes 1 to %d axes of one, not %d", TD_MAX_RANK - x->shape.rank + 1, n);
	for (int i = 0; i < rank; i++)
		all[i] = i < axis ? TD_SIZE_OF(i) : i < axis + n ? dims[i - axis] : TD_SIZE_OF(i - n + 1);
	return td_reshape(c, x, all, rank);
}

/* [N, C r r, H, W] -> [N, C, H r, W r] by torch.pixel_shuffle, in x's order. */
TD_API td_value *td_pixel_shuffle(td_ctx *c, td_value *x, int64_t r)
{
	td_value *y = x;
	char text[TD_SHAPE_TEXT];

	if (!x)
		return NULL;
	if (x->shape.rank != 4 || r < 1 || r > INT32_MAX || x->shape.dim[1] % (r * r))
		return td_fail(c, TD_SHAPE,
			"pixel_shuffle by %lld needs images [N, C, H, W] with C a multiple of its square, not %s",
			(long long)r, td_shape_text(&x->shape, text));
	y = td_unflatten(c, y, 1, (int64_t[]){ -1, r, r }, 3);
	y = td_transpose(c, y, (int[]){ 0, 1, 4, 2, 5, 3 }, 6); /* [N, C, H, r, W, r] */
	y = td_flatten(c, y, 4);
	y = td_reshape(c, y, (int64_t[]){ TD_SIZE_OF(0), TD_SIZE_OF(1), -1, TD_SIZE_OF(4) }, 4);
	return y ? ops_in_order(c, y, x) : NULL;
}

/* The reverse: [N, C, H r, W r] -> [N, C r r, H, W]. */
TD_API td_value *td_pixel_unshuffle(td_ctx *c, td_value *x, int64_t r)
{
	td_value *y = x;
	char text[TD_SHAPE_TEXT];

	if (!x)
		return NULL;
	if (x->shape.rank != 4 || r < 1 || x->shape.dim[2] % r || x->shape.dim[3] % r)
		return td_fail(c, TD_SHAPE,
			"pixel_unshuffle by %lld needs images [N, C, H, W] with H and W multiples of it, not %s",
			(long long)r, td_shape_text(&x->shape, text));
	y = td_unflatten(c, y, 3, (int64_t[]){ -1, r }, 2);
	y = td_unflatten(c, y, 2, (int64_t[]){ -1, r }, 2);
	y = td_transpose(c, y, (int[]){ 0, 1, 3, 5, 2, 4 }, 6); /* [N, C, r, r, H, W] */
	y = td_reshape(c, y, (int64_t[]){ TD_SIZE_OF(0), -1, TD_SIZE_OF(4), TD_SIZE_OF(5) }, 4);
	return y ? ops_in_order(c, y, x) : NULL;
}

/* ---- reshape_like: x's elements in the shape of y, whose shape alone is read ------------------------------------- */

static void reshape_like_infer(td_infer *q)
{
	char tx[TD_SHAPE_TEXT], ty[TD_SHAPE_TEXT];

	q->out[0] = *q->in[1];
	q->out[0].order = TD_ROW_MAJOR;
	q->out[0].dtype = q->in[0]->dtype;
	if (td_shape_count(q->in[0]) != td_shape_count(q->in[1]))
		td_fail(q->ctx, TD_SHAPE, "reshape_like: %s and %s hold different numbers of elements",
			td_shape_text(q->in[0], tx), td_shape_text(q->in[1], ty));
}

static td_value *reshape_like_apply(td_ctx *c, td_value *const *in)
{
	return td_reshape_like(c, in[0], in[1]);
}

static bool reshape_like_sample(int i, td_sample *s)
{
	if (i >= 2)
		return false;
	s->apply = reshape_like_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 6, 2, 5);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 6, 10);
	s->in[0].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = s->in[1].batched = s->in[1].fixed = true;
	return true;
}

TD_OP(reshape_like, .n_in = 2, .n_out = 1, .view = true, .shape_only = 2, .infer = reshape_like_infer,
	.forward = { reshape_forward }, .backward = reshape_backward, .sample = reshape_like_sample)

TD_API td_value *td_reshape_like(td_ctx *c, td_value *x, td_value *y)
{
	return x && y ? TD_APPLY(c, reshape_like, NULL, ops_row_major(c, x), y) : NULL;
}

/* ---- transpose: axis i of y is axis perm[i] of x; y is row-major ------------------------------------------------- */

typedef struct transpose_attrs {
	int perm[TD_MAX_RANK];
} transpose_attrs;

static const td_field transpose_fields[] = { TD_FIELDS(transpose_attrs, perm), { 0 } };

static void transpose_infer(td_infer *q)
{
	const transpose_attrs *a = q->attrs;
	int rank = q->in[0]->rank;
	char text[TD_SHAPE_TEXT];
	uint32_t seen = 0;

	for (int i = 0; i < rank; i++)
		seen |= a->perm[i] >= 0 && a->perm[i] < rank ? 1u << a->perm[i] : 0;
	if (seen != (1u << rank) - 1) {
		td_fail(q->ctx, TD_SHAPE, "transpose needs each of the %d axes of %s once", rank,
			td_shape_text(q->in[0], text));
		return;
	}
	q->out[0] = (td_shape){ .dtype = q->in[0]->dtype, .rank = rank };
	for (int i = 0; i < rank; i++)
		q->out[0].dim[i] = q->in[0]->dim[a->perm[i]];
}

static void transpose_forward(const td_call *call)
{
	const transpose_attrs *a = call->attrs;
	int64_t own[TD_MAX_RANK], strides[TD_MAX_RANK] = { 0 };
	size_t size = td_dtype_size(call->out[0].shape->dtype);

	td_shape_strides(call->in[0].shape, own);
	for (int i = 0; i < call->out[0].shape->rank; i++)
		strides[i] = own[a->perm[i]];
	ops_rows_strided(call, ops_copy_row(size), &call->out[0], call->in[0].data, strides, NULL, NULL,
		(size_t[]){ size, size, size });
}

static void transpose_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const transpose_attrs *a = n->attrs;
	int inverse[TD_MAX_RANK] = { 0 };

	for (int i = 0; i < n->in[0]->shape.rank; i++)
		inverse[a->perm[i]] = i;
	dx[0] = td_transpose(c, dy[0], inverse, n->in[0]->shape.rank);
}

static td_value *transpose_apply(td_ctx *c, td_value *const *in)
{
	return td_transpose(c, in[0], (int[]){ 2, 0, 3, 1 }, 4);
}
static td_value *transpose_apply_matrix(td_ctx *c, td_value *const *in)
{
	return td_transpose(c, in[0], (int[]){ 1, 0 }, 2);
}

static bool transpose_sample(int i, td_sample *s)
{
	if (i >= 3)
		return false;
	s->apply = i == 2 ? transpose_apply_matrix : transpose_apply;
	if (i == 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 3);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 4, 5);
	s->in[0].shape.order = i == 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(transpose, .n_in = 1, .n_out = 1, .attrs_size = sizeof(transpose_attrs), .fields = transpose_fields,
	.infer = transpose_infer, .forward = { transpose_forward }, .backward = transpose_backward,
	.sample = transpose_sample)

/* torch.permute: axis i of y is axis PERM[i] of x; RANK entries, each axis once, negative ones from the last. */
TD_API td_value *td_transpose(td_ctx *c, td_value *x, const int *perm, int rank)
{
	transpose_attrs a = { 0 };
	char text[TD_SHAPE_TEXT];
	uint32_t seen = 0;

	if (!x)
		return NULL;
	for (int i = 0; i < rank && i < x->shape.rank; i++) {
		a.perm[i] = perm[i];
		if (!ops_axis(c, "transpose", x, &a.perm[i]))
			return NULL;
		seen |= 1u << a.perm[i];
	}
	if (rank != x->shape.rank || seen != (1u << rank) - 1)
		return td_fail(c, TD_SHAPE, "transpose needs each of the %d axes of %s once, not %d axes",
			x->shape.rank, td_shape_text(&x->shape, text), rank);
	return TD_APPLY(c, transpose, &a, x);
}

/* torch.swapaxes: axes A and B change places. */
TD_API td_value *td_swap_axes(td_ctx *c, td_value *x, int a, int b)
{
	int perm[TD_MAX_RANK];

	if (!x || !ops_axis(c, "swap_axes", x, &a) || !ops_axis(c, "swap_axes", x, &b))
		return NULL;
	for (int i = 0; i < x->shape.rank; i++)
		perm[i] = i == a ? b : i == b ? a : i;
	return td_transpose(c, x, perm, x->shape.rank);
}

/* ---- reorder: the same value, lying otherwise -------------------------------------------------------------------- */

typedef struct reorder_attrs {
	td_order order;
} reorder_attrs;

static const td_field reorder_fields[] = { TD_FIELD(reorder_attrs, order), { 0 } };

static void reorder_infer(td_infer *q)
{
	q->out[0] = *q->in[0];
	q->out[0].order = ((const reorder_attrs *)q->attrs)->order;
	if (q->out[0].order == TD_CHANNELS_LAST && q->out[0].rank < 3)
		td_fail(q->ctx, TD_SHAPE, "channels-last order needs at least 3 axes, not %d", q->out[0].rank);
}

static void reorder_forward(const td_call *call)
{
	int64_t strides[TD_MAX_RANK] = { 0 };
	size_t size = td_dtype_size(call->out[0].shape->dtype);

	td_shape_strides(call->in[0].shape, strides);
	ops_rows_strided(call, ops_copy_row(size), &call->out[0], call->in[0].data, strides, NULL, NULL,
		(size_t[]){ size, size, size });
}

static void reorder_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = dy[0]->shape.order == n->in[0]->shape.order ? dy[0] : td_reorder(c, dy[0], n->in[0]->shape.order);
}

static td_value *reorder_apply_last(td_ctx *c, td_value *const *in)
{
	return td_reorder(c, in[0], TD_CHANNELS_LAST);
}
static td_value *reorder_apply_rows(td_ctx *c, td_value *const *in)
{
	return td_reorder(c, in[0], TD_ROW_MAJOR);
}

static bool reorder_sample(int i, td_sample *s)
{
	if (i >= 5)
		return false;
	s->apply = i % 2 ? reorder_apply_rows : reorder_apply_last;
	if (i < 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5, 6);
	else if (i < 4)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 1, 7, 5);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 0, 3, 3);
	s->in[0].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(reorder, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reorder_attrs), .fields = reorder_fields,
	.infer = reorder_infer, .forward = { reorder_forward }, .backward = reorder_backward, .sample = reorder_sample)

TD_API td_value *td_reorder(td_ctx *c, td_value *x, td_order order)
{
	return x ? TD_APPLY(c, reorder, (&(reorder_attrs){ order }), x) : NULL;
}

/* ---- fill_like: a constant in the shape, type and order of x ----------------------------------------------------- */

typedef struct fill_like_attrs {
	double value;
} fill_like_attrs;

static const td_field fill_like_fields[] = { TD_FIELD(fill_like_attrs, value), { 0 } };

static void fill_like_forward(const td_call *call)
{
	const td_shape scalar = { .dtype = call->out[0].shape->dtype };
	size_t size = td_dtype_size(scalar.dtype);
	uint64_t value = 0;

	k_convert((int)scalar.dtype, TD_F64, &value, &((const fill_like_attrs *)call->attrs)->value, 1, 1);
	ops_rows(call, ops_copy_row(size), &call->out[0], &(td_view){ &scalar, &value }, NULL,
		(size_t[]){ size, size, size });
}

static td_value *fill_like_apply(td_ctx *c, td_value *const *in)
{
	return td_ones_like(c, in[0]);
}

static bool fill_like_sample(int i, td_sample *s)
{
	static const td_dtype types[] = { TD_F32, TD_F32, TD_I32, TD_I64, TD_U8, TD_BOOL };

	if (i >= (int)TD_COUNT(types))
		return false;
	s->apply = fill_like_apply;
	SAMPLE_INPUT(s, i < 2 ? TD_FILL_NORMAL : TD_FILL_LABELS, types[i], 3, 4, 5);
	s->in[0].classes = 2;
	s->in[0].shape.order = i == 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(fill_like, .n_in = 1, .n_out = 1, .shape_only = 1, .attrs_size = sizeof(fill_like_attrs),
	.fields = fill_like_fields, .infer = ops_infer_same, .forward = { fill_like_forward }, .backward = td_nodiff,
	.sample = fill_like_sample)

/* VALUE in the type of x: truncated for integers, and whether it differs from 0 for bools (torch.full_like). */
TD_API td_value *td_full_like(td_ctx *c, td_value *x, double value)
{
	return x ? TD_APPLY(c, fill_like, (&(fill_like_attrs){ value }), x) : NULL;
}

TD_API td_value *td_ones_like(td_ctx *c, td_value *x)
{
	return td_full_like(c, x, 1);
}

TD_API td_value *td_zeros_like(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, fill_like, (&(fill_like_attrs){ 0 }), x) : NULL;
}

/* ---- detach: the same bytes, no gradient ------------------------------------------------------------------------- */

static td_value *detach_apply(td_ctx *c, td_value *const *in)
{
	return td_detach(c, in[0]);
}

static bool detach_sample(int i, td_sample *s)
{
	s->apply = detach_apply;
	return fill_like_sample(i, s) && (s->apply = detach_apply);
}

TD_OP(detach, .n_in = 1, .n_out = 1, .view = true, .infer = ops_infer_same, .forward = { reshape_forward },
	.backward = td_nodiff, .sample = detach_sample)

TD_API td_value *td_detach(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, detach, NULL, x) : NULL;
}
