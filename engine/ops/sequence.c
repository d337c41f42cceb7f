/* What sequences [N, T, ...] need besides recurrent layers and attention: zeros behind each one's end, and what stands
 * for the positions of their steps. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- mask_steps: y[n,t] = x[n,t] where t < length, else 0 -------------------------------------------------------- */

static void mask_steps_infer(td_infer *q)
{
	const td_shape *x = q->in[0], *lengths = q->in[1];
	char tx[TD_SHAPE_TEXT], tl[TD_SHAPE_TEXT];

	if (!td__is_float(x->dtype) || x->rank < 2 || lengths->dtype != TD_I64 || lengths->rank != 1 ||
		lengths->dim[0] != x->dim[0]) {
		td_fail(q->ctx, TD_SHAPE,
			"mask_steps needs sequences float[N, T, ...] and lengths int64[N], not %s and %s",
			td_shape_text(x, tx), td_shape_text(lengths, tl));
		return;
	}
	q->out[0] = *x;
	q->out[0].order = TD_ROW_MAJOR;
}

static void mask_steps_slice(void *arg, int n)
{
	const td_call *call = arg;
	const td_shape *x = call->in[0].shape;
	size_t all = td_shape_bytes(x) / (size_t)x->dim[0], step = x->dim[1] ? all / (size_t)x->dim[1] : 0;
	int64_t length = ((const int64_t *)call->in[1].data)[n];
	size_t kept = (size_t)TD_MAX(0, TD_MIN(length, x->dim[1])) * step;
	char *y = (char *)call->out[0].data + (size_t)n * all;

	if (call->out[0].data != call->in[0].data)
		memcpy(y, (const char *)call->in[0].data + (size_t)n * all, kept);
	memset(y + kept, 0, all - kept);
}

static void mask_steps_forward(const td_call *call)
{
	if (td_shape_count(call->in[0].shape))
		threads_run(call->threads, (int)call->in[0].shape->dim[0], mask_steps_slice, (void *)(uintptr_t)call);
}

static void mask_steps_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_mask_steps(c, dy[0], n->in[1]);
}

static td_value *mask_steps_apply(td_ctx *c, td_value *const *in)
{
	return td_mask_steps(c, in[0], in[1]);
}

static bool mask_steps_sample(int i, td_sample *s)
{
	static const int64_t sizes[][3] = { { 4, 5, 3 }, { 3, 1, 2 }, { 2, 0, 3 } };

	if (i >= 3)
		return false;
	s->apply = mask_steps_apply;
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, i == 1 ? 2 : 3, sizes[i]);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, sizes[i][0]);
	s->in[1].classes = 7;
	s->in[0].batched = s->in[1].batched = true;
	return true;
}

TD_OP(mask_steps, .n_in = 2, .n_out = 1, .inplace = 1, .infer = mask_steps_infer, .forward = { mask_steps_forward },
	.backward = mask_steps_backward, .sample = mask_steps_sample)

/* x [N, T, ...], lengths int64 [N] -> the same shape. */
TD_API td_value *td_mask_steps(td_ctx *c, td_value *x, td_value *lengths)
{
	return x && lengths ? TD_APPLY(c, mask_steps, NULL, ops_row_major(c, x), lengths) : NULL;
}

/* ---- first_rows: the rows of a table for the steps of x; of x only the shape is read ----------------------------- */

/* Steps of X [..., T, D]. */
static int64_t steps_of(const td_shape *x)
{
	return x->dim[x->rank - 2];
}

/* TABLE is [P, D] and X [..., T, D] with T <= P. */
static bool rows_fit(td_infer *q, const char *op, const td_shape *table, const td_shape *x)
{
	char tt[TD_SHAPE_TEXT], tx[TD_SHAPE_TEXT];

	if (td__is_float(table->dtype) && table->rank == 2 && x->rank >= 2 && x->dtype == table->dtype &&
		x->dim[x->rank - 1] == table->dim[1] && steps_of(x) <= table->dim[0])
		return true;
	td_fail(q->ctx, TD_SHAPE,
		"%s needs a table float[P, D] and sequences float[..., T, D] of at most P steps, not %s and %s", op,
		td_shape_text(table, tt), td_shape_text(x, tx));
	return false;
}

static void first_rows_infer(td_infer *q)
{
	if (!rows_fit(q, "first_rows", q->in[0], q->in[1]))
		return;
	q->out[0] = *q->in[0];
	q->out[0].dim[0] = steps_of(q->in[1]);
}

static void first_rows_forward(const td_call *call)
{
	memcpy(call->out[0].data, call->in[0].data, td_shape_bytes(call->out[0].shape));
}

static void first_rows_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_first_rows_dx(c, dy[0], n->in[0]);
}

static td_value *first_rows_apply(td_ctx *c, td_value *const *in)
{
	return td_first_rows(c, in[0], in[1]);
}

static bool first_rows_sample(int i, td_sample *s)
{
	static const int64_t steps[] = { 3, 5, 0 };

	if (i >= 3)
		return false;
	s->apply = first_rows_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, steps[i], 4);
	s->in[1].batched = s->in[1].fixed = true;
	return true;
}

TD_OP(first_rows, .n_in = 2, .n_out = 1, .shape_only = 2, .infer = first_rows_infer, .forward = { first_rows_forward },
	.backward = first_rows_backward, .sample = first_rows_sample)

/* table [P, D], x [..., T, D] -> [T, D]: rows 0 to T - 1. */
TD_API td_value *td_first_rows(td_ctx *c, td_value *table, td_value *x)
{
	return table && x ? TD_APPLY(c, first_rows, NULL, ops_row_major(c, table), x) : NULL;
}

/* ---- first_rows_dx: dy [T, D], and zeros below; of the table only the shape is read ------------------------------ */

static void first_rows_dx_infer(td_infer *q)
{
	if (!ops_need_rank(q, "first_rows_dx", 0, 2, "[T, D]") || !rows_fit(q, "first_rows_dx", q->in[1], q->in[0]))
		return;
	q->out[0] = *q->in[1];
	q->out[0].order = TD_ROW_MAJOR;
}

static void first_rows_dx_forward(const td_call *call)
{
	size_t kept = td_shape_bytes(call->in[0].shape), all = td_shape_bytes(call->out[0].shape);

	memcpy(call->out[0].data, call->in[0].data, kept);
	memset((char *)call->out[0].data + kept, 0, all - kept);
}

/* Linear in dy. */
static void first_rows_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_first_rows(c, dy[0], n->in[0]);
}

static td_value *first_rows_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_first_rows_dx(c, in[0], in[1]);
}

static bool first_rows_dx_sample(int i, td_sample *s)
{
	s->apply = first_rows_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 5, 4);
	s->in[1].fixed = true;
	return i < 1;
}

TD_OP(first_rows_dx, .n_in = 2, .n_out = 1, .shape_only = 2, .infer = first_rows_dx_infer,
	.forward = { first_rows_dx_forward }, .backward = first_rows_dx_backward, .sample = first_rows_dx_sample)

TD_API td_value *td_first_rows_dx(td_ctx *c, td_value *dy, td_value *table)
{
	return dy && table ? TD_APPLY(c, first_rows_dx, NULL, ops_row_major(c, dy), table) : NULL;
}

/* ---- sinusoids: fixed numbers for the positions of the steps of x (Vaswani et al., 2017, section 3.5); of x only the
 * shape is read ---------------------------------------------------------------------------------------------------- */

static void sinusoids_infer(td_infer *q)
{
	const td_shape *x = q->in[0];
	char text[TD_SHAPE_TEXT];

	if (!td__is_float(x->dtype) || x->rank < 2) {
		td_fail(q->ctx, TD_SHAPE, "sinusoids needs sequences float[..., T, D], not %s", td_shape_text(x, text));
		return;
	}
	q->out[0] = (td_shape){ .dtype = x->dtype, .rank = 2, .dim = { steps_of(x), x->dim[x->rank - 1] } };
}

static void sinusoids_forward(const td_call *call)
{
	const td_shape *y = call->out[0].shape;

	TD_PICK(y->dtype, k_sinusoids)(call->out[0].data, y->dim[0], y->dim[1]);
}

static td_value *sinusoids_apply(td_ctx *c, td_value *const *in)
{
	return td_sinusoids(c, in[0]);
}

static bool sinusoids_sample(int i, td_sample *s)
{
	static const int64_t sizes[][3] = { { 2, 5, 6 }, { 1, 3, 7 }, { 2, 0, 4 } };

	if (i >= 3)
		return false;
	s->apply = sinusoids_apply;
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 3, sizes[i]);
	s->in[0].batched = true;
	return true;
}

TD_OP(sinusoids, .n_in = 1, .n_out = 1, .shape_only = 1, .infer = sinusoids_infer, .forward = { sinusoids_forward },
	.backward = td_nodiff, .sample = sinusoids_sample)

/* x [..., T, D] -> [T, D]: of position t, sin(t / 10000^(2i/D)) and its cos in columns 2i and 2i + 1. */
TD_API td_value *td_sinusoids(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, sinusoids, NULL, x) : NULL;
}
