/* Class scores: softmax, cross-entropy from logits. */
#include "ops/ops.h"

#include "td_ops.h"

#define ROWS_PER_SLICE 64

_Static_assert(K_IGNORED == TD_IGNORE_LABEL, "kernels leave out the label that losses leave out");

static int n_row_slices(int64_t n_rows)
{
	return (int)((n_rows + ROWS_PER_SLICE - 1) / ROWS_PER_SLICE);
}

typedef struct axis_attrs {
	int axis;
} axis_attrs;

static const td_field axis_fields[] = { TD_FIELD(axis_attrs, axis), { 0 } };

/* ---- softmax: y = e^x / sum of e^x along an axis; dx = y (dy - sum of y dy) -------------------------------------- */

static void softmax_infer(td_infer *q)
{
	if (ops_need_float(q, "softmax") && ops_need_axis(q, "softmax", q->in[0], ((const axis_attrs *)q->attrs)->axis))
		ops_infer_same(q);
}

static void softmax_line(const td_call *call, const struct ops_lines *l, int64_t i)
{
	td_dtype d = call->in[0].shape->dtype;
	int64_t first = ops_line_start(l, i);

	TD_PICK(d, k_softmax)
	(at(call->out[0].data, first, td_dtype_size(d)), at_const(call->in[0].data, first, td_dtype_size(d)), l->n,
		l->inner);
}

static void softmax_forward(const td_call *call)
{
	ops_run_lines(call, ((const axis_attrs *)call->attrs)->axis, softmax_line);
}

static void softmax_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	uint32_t axis = 1u << ((const axis_attrs *)n->attrs)->axis;
	td_value *y = n->out[0];

	dx[0] = td_mul(c, y, td_sub(c, dy[0], td_sum(c, td_mul(c, y, dy[0]), axis, true)));
}

static td_value *softmax_apply_1(td_ctx *c, td_value *const *in)
{
	return td_softmax(c, in[0], 1);
}
static td_value *softmax_apply_0(td_ctx *c, td_value *const *in)
{
	return td_softmax(c, in[0], 0);
}

static bool softmax_sample(int i, td_sample *s)
{
	if (i >= 3)
		return false;
	s->apply = i == 1 ? softmax_apply_0 : softmax_apply_1;
	if (i < 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 6, 5);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 2, 3);
	s->in[0].shape.order = i == 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(softmax, .n_in = 1, .n_out = 1, .attrs_size = sizeof(axis_attrs), .fields = axis_fields, .infer = softmax_infer,
	.forward = { softmax_forward }, .backward = softmax_backward, .sample = softmax_sample)

/* AXIS: from the last if negative (torch.softmax). */
TD_API td_value *td_softmax(td_ctx *c, td_value *x, int axis)
{
	if (!x || !ops_axis(c, "softmax", x, &axis))
		return NULL;
	return TD_APPLY(c, softmax, (&(axis_attrs){ axis }), ops_row_major(c, x));
}

/* ---- log_softmax: y = x - log(sum of e^x) along an axis; dx = dy - e^y times the sum of dy ----------------------- */

static void log_softmax_line(const td_call *call, const struct ops_lines *l, int64_t i)
{
	td_dtype d = call->in[0].shape->dtype;
	int64_t first = ops_line_start(l, i);

	TD_PICK(d, k_log_softmax)
	(at(call->out[0].data, first, td_dtype_size(d)), at_const(call->in[0].data, first, td_dtype_size(d)), l->n,
		l->inner);
}

static void log_softmax_forward(const td_call *call)
{
	ops_run_lines(call, ((const axis_attrs *)call->attrs)->axis, log_softmax_line);
}

static void log_softmax_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	uint32_t axis = 1u << ((const axis_attrs *)n->attrs)->axis;

	dx[0] = td_sub(c, dy[0], td_mul(c, td_exp(c, n->out[0]), td_sum(c, dy[0], axis, true)));
}

static td_value *log_softmax_apply_1(td_ctx *c, td_value *const *in)
{
	return td_log_softmax(c, in[0], 1);
}
static td_value *log_softmax_apply_0(td_ctx *c, td_value *const *in)
{
	return td_log_softmax(c, in[0], 0);
}

static bool log_softmax_sample(int i, td_sample *s)
{
	if (!softmax_sample(i, s))
		return false;
	s->apply = i == 1 ? log_softmax_apply_0 : log_softmax_apply_1;
	return true;
}

TD_OP(log_softmax, .n_in = 1, .n_out = 1, .attrs_size = sizeof(axis_attrs), .fields = axis_fields,
	.infer = softmax_infer, .forward = { log_softmax_forward }, .backward = log_softmax_backward,
	.sample = log_softmax_sample)

/* AXIS: as of td_softmax. */
TD_API td_value *td_log_softmax(td_ctx *c, td_value *x, int axis)
{
	if (!x || !ops_axis(c, "log_softmax", x, &axis))
		return NULL;
	return TD_APPLY(c, log_softmax, (&(axis_attrs){ axis }), ops_row_major(c, x));
}

/* ---- cross_entropy_each: loss[n] = log(sum of e^x[n,:]) - x[n, label[n]].  Hidden output: that logarithm --------- */

static bool labels_legal(td_infer *q, const char *op)
{
	const td_shape *x = q->in[0], *labels = q->in[1];
	char tx[TD_SHAPE_TEXT], tl[TD_SHAPE_TEXT];

	if (td__is_float(x->dtype) && x->rank == 2 && labels->dtype == TD_I64 && labels->rank == 1 &&
		labels->dim[0] == x->dim[0])
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s needs logits float[N, classes] and labels int64[N], not %s and %s", op,
		td_shape_text(x, tx), td_shape_text(labels, tl));
	return false;
}

/* Whether every label of input 1 is a class or does not count; if not, the call fails and names the first that is
 * neither. */
static bool labels_in_range(const td_call *call, const char *op, int64_t classes)
{
	const int64_t *labels = call->in[1].data;

	for (int64_t i = 0; i < call->in[1].shape->dim[0]; i++)
		if ((labels[i] < 0 || labels[i] >= classes) && labels[i] != TD_IGNORE_LABEL) {
			err_set(call->err, TD_INVALID,
				"%s: row %lld has the label %lld, and there are %lld classes: labels are 0 .. %lld, or "
				"%d for "
				"a row that does not count",
				op, (long long)i, (long long)labels[i], (long long)classes, (long long)classes - 1,
				TD_IGNORE_LABEL);
			return false;
		}
	return true;
}

static void cross_entropy_each_infer(td_infer *q)
{
	if (!labels_legal(q, "cross_entropy"))
		return;
	q->out[0] = (td_shape){ .dtype = q->in[0]->dtype, .rank = 1, .dim = { q->in[0]->dim[0] } };
	q->out[1] = q->out[0];
}

static void cross_entropy_slice(void *arg, int slice)
{
	const td_call *call = arg;
	int64_t classes = call->in[0].shape->dim[1], n = call->in[0].shape->dim[0];
	size_t size = td_dtype_size(call->in[0].shape->dtype);
	const int64_t *labels = call->in[1].data;

	for (int64_t i = (int64_t)slice * ROWS_PER_SLICE; i < TD_MIN(((int64_t)slice + 1) * ROWS_PER_SLICE, n); i++)
		TD_PICK(call->in[0].shape->dtype, k_cross_entropy)
	(at(call->out[0].data, i, size), at(call->out[1].data, i, size), at_const(call->in[0].data, i * classes, size),
		labels[i], classes);
}

static void cross_entropy_each_forward(const td_call *call)
{
	const td_shape *x = call->in[0].shape;

	if (labels_in_range(call, "cross_entropy", x->dim[1]))
		threads_run(call->threads, n_row_slices(x->dim[0]), cross_entropy_slice, (void *)(uintptr_t)call);
}

static td_value *column(td_ctx *c, td_value *x)
{
	return td_reshape(c, x, (int64_t[]){ -1, 1 }, 2);
}

static void cross_entropy_each_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_cross_entropy_dx(c, n->in[0], n->in[1], n->out[1], dy[0]);
}

static td_value *cross_entropy_apply(td_ctx *c, td_value *const *in)
{
	return td_cross_entropy(c, in[0], in[1]);
}
static td_value *cross_entropy_each_apply(td_ctx *c, td_value *const *in)
{
	return td_cross_entropy_each(c, in[0], in[1]);
}

static bool cross_entropy_each_sample(int i, td_sample *s)
{
	static const int64_t sizes[][2] = { { 5, 4 }, { 1, 1 }, { 130, 10 } };

	if (i >= 6)
		return false;
	s->apply = i % 2 ? cross_entropy_apply : cross_entropy_each_apply;
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 2, sizes[i / 2]);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, sizes[i / 2][0]);
	s->in[1].classes = (int)sizes[i / 2][1];
	s->in[0].batched = s->in[1].batched = true;
	return true;
}

TD_OP(cross_entropy_each, .n_in = 2, .n_out = 1, .n_hidden = 1, .infer = cross_entropy_each_infer,
	.forward = { cross_entropy_each_forward }, .backward = cross_entropy_each_backward,
	.sample = cross_entropy_each_sample)

/* logits [N, C], labels int64 [N] -> [N]; 0 for TD_IGNORE_LABEL, and another that is no class is an error. */
TD_API td_value *td_cross_entropy_each(td_ctx *c, td_value *logits, td_value *labels)
{
	return logits && labels ? TD_APPLY(c, cross_entropy_each, NULL, ops_row_major(c, logits), labels) : NULL;
}

/* The mean over the batch (torch.nn.functional.cross_entropy). */
TD_API td_value *td_cross_entropy(td_ctx *c, td_value *logits, td_value *labels)
{
	return td_mean(c, td_cross_entropy_each(c, logits, labels), TD_ALL_AXES, false);
}

/* ---- cross_entropy_dx: dx[n,k] = (p[n,k] - [k = label[n]]) dy[n], p[n,k] = e^(x[n,k] - lse[n]); 0 in a row that does
 *      not count.  With u the gradient of dx: of x, with lse as what it is of x, p (u - the sum of p u) dy; of dy, the
 *      sum over k of (p - [k = label]) u ----------------------------------------------------------------------------
 */

static void cross_entropy_dx_infer(td_infer *q)
{
	td_shape row;

	if (!labels_legal(q, "cross_entropy_dx"))
		return;
	row = (td_shape){ .dtype = q->in[0]->dtype, .rank = 1, .dim = { q->in[0]->dim[0] } };
	if (ops_need_like(q, "cross_entropy_dx", 2, &row) && ops_need_like(q, "cross_entropy_dx", 3, &row))
		ops_infer_same(q);
}

static void cross_entropy_dx_slice(void *arg, int slice)
{
	const td_call *call = arg;
	int64_t classes = call->in[0].shape->dim[1], n = call->in[0].shape->dim[0];
	size_t size = td_dtype_size(call->in[0].shape->dtype);
	const int64_t *labels = call->in[1].data;

	for (int64_t i = (int64_t)slice * ROWS_PER_SLICE; i < TD_MIN(((int64_t)slice + 1) * ROWS_PER_SLICE, n); i++)
		TD_PICK(call->in[0].shape->dtype, k_cross_entropy_dx)
	(at(call->out[0].data, i * classes, size), at_const(call->in[0].data, i * classes, size),
		at_const(call->in[2].data, i, size), labels[i], at_const(call->in[3].data, i, size), classes);
}

static void cross_entropy_dx_forward(const td_call *call)
{
	const td_shape *x = call->in[0].shape;

	if (labels_in_range(call, "cross_entropy_dx", x->dim[1]))
		threads_run(call->threads, n_row_slices(x->dim[0]), cross_entropy_dx_slice, (void *)(uintptr_t)call);
}

static void cross_entropy_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *counts = td_cast(c, td_label_weights(c, n->in[1], NULL), n->in[0]->shape.dtype); /* [N] */
	td_value *p = td_softmax(c, n->in[0], 1), *pu = td_mul(c, p, dy[0]);                       /* [N, C] */
	td_value *sum = td_sum(c, pu, 1u << 1, false);                                             /* [N] */

	if (td_wants(n, 0))
		dx[0] = td_mul(c, td_sub(c, pu, td_mul(c, p, column(c, sum))), column(c, td_mul(c, n->in[3], counts)));
	if (td_wants(n, 3))
		dx[3] = td_add(c, td_mul(c, sum, counts), td_nll_each(c, dy[0], n->in[1]));
}

/* The logarithm as cross_entropy_each makes it: x - log softmax x, the same in every column. */
static td_value *cross_entropy_dx_apply(td_ctx *c, td_value *const *in)
{
	td_value *lse = td_mean(c, td_sub(c, in[0], td_log_softmax(c, in[0], 1)), 1u << 1, false);

	return td_cross_entropy_dx(c, in[0], in[1], td_detach(c, lse), in[2]);
}

static bool cross_entropy_dx_sample(int i, td_sample *s)
{
	if (i)
		return false;
	s->apply = cross_entropy_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 7, 5);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 7);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 7);
	s->in[1].classes = 5;
	for (int k = 0; k < 3; k++)
		s->in[k].batched = true;
	return true;
}

TD_OP(cross_entropy_dx, .n_in = 4, .n_out = 1, .inplace = 1, .infer = cross_entropy_dx_infer,
	.forward = { cross_entropy_dx_forward }, .backward = cross_entropy_dx_backward,
	.sample = cross_entropy_dx_sample)

/* lse [N]: cross_entropy_each's hidden output; dy [N]. */
TD_API td_value *td_cross_entropy_dx(td_ctx *c, td_value *logits, td_value *labels, td_value *lse, td_value *dy)
{
	return logits && labels && lse && dy
		       ? TD_APPLY(c, cross_entropy_dx, NULL, logits, labels, lse, ops_row_major(c, dy))
		       : NULL;
}

/* ---- nll_each: loss[n] = -x[n, label[n]], 0 where the label does not count (torch.nn.functional.nll_loss) ---------
 */

static void nll_each_infer(td_infer *q)
{
	if (labels_legal(q, "nll"))
		q->out[0] = (td_shape){ .dtype = q->in[0]->dtype, .rank = 1, .dim = { q->in[0]->dim[0] } };
}

static void nll_each_forward(const td_call *call)
{
	int64_t n = call->in[0].shape->dim[0], classes = call->in[0].shape->dim[1];
	size_t size = td_dtype_size(call->in[0].shape->dtype);
	const int64_t *labels = call->in[1].data;

	if (!labels_in_range(call, "nll", classes))
		return;
	for (int64_t i = 0; i < n; i++)
		TD_PICK(call->in[0].shape->dtype, k_nll)
	(at(call->out[0].data, i, size), at_const(call->in[0].data, i * classes, size), labels[i]);
}

static void nll_each_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_nll_dx(c, dy[0], n->in[1], n->in[0]);
}

static td_value *nll_each_apply(td_ctx *c, td_value *const *in)
{
	return td_nll_each(c, in[0], in[1]);
}

static bool nll_each_sample(int i, td_sample *s)
{
	if (!cross_entropy_each_sample(2 * i, s))
		return false;
	s->apply = nll_each_apply;
	return true;
}

TD_OP(nll_each, .n_in = 2, .n_out = 1, .infer = nll_each_infer, .forward = { nll_each_forward },
	.backward = nll_each_backward, .sample = nll_each_sample)

/* logarithms of probabilities [N, C], labels int64 [N] -> [N]; 0 for TD_IGNORE_LABEL, and another that is no class is an error. */
TD_API td_value *td_nll_each(td_ctx *c, td_value *x, td_value *labels)
{
	return x && labels ? TD_APPLY(c, nll_each, NULL, ops_row_major(c, x), labels) : NULL;
}

/* ---- nll_dx: dx[n,k] = -[k = label[n]] dy[n] ----------------------------------------------------------------------
 */

static void nll_dx_infer(td_infer *q)
{
	const td_shape *dy = q->in[0], *labels = q->in[1], *x = q->in[2];
	char td[TD_SHAPE_TEXT], tl[TD_SHAPE_TEXT], tx[TD_SHAPE_TEXT];

	if (!td__is_float(dy->dtype) || dy->rank != 1 || labels->dtype != TD_I64 || labels->rank != 1 ||
		labels->dim[0] != dy->dim[0] || x->rank != 2 || x->dim[0] != dy->dim[0]) {
		td_fail(q->ctx, TD_SHAPE,
			"nll_dx needs gradients float[N], labels int64[N] and logarithms [N, classes], not %s, %s and "
			"%s",
			td_shape_text(dy, td), td_shape_text(labels, tl), td_shape_text(x, tx));
		return;
	}
	q->out[0] = *x;
	q->out[0].dtype = dy->dtype;
	q->out[0].order = TD_ROW_MAJOR;
}

static void nll_dx_forward(const td_call *call)
{
	int64_t n = call->in[0].shape->dim[0], classes = call->out[0].shape->dim[1];
	size_t size = td_dtype_size(call->in[0].shape->dtype);
	const int64_t *labels = call->in[1].data;

	if (!labels_in_range(call, "nll_dx", classes))
		return;
	for (int64_t i = 0; i < n; i++)
		TD_PICK(call->in[0].shape->dtype, k_nll_dx)
	(at(call->out[0].data, i * classes, size), labels[i], at_const(call->in[0].data, i, size), classes);
}

static void nll_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_nll_each(c, dy[0], n->in[1]);
}

static td_value *nll_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_nll_dx(c, in[0], in[1], in[2]);
}

static bool nll_dx_sample(int i, td_sample *s)
{
	if (i)
		return false;
	s->apply = nll_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 7);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 7);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 7, 5);
	s->in[1].classes = 5;
	s->in[2].fixed = true;
	for (int k = 0; k < 3; k++)
		s->in[k].batched = true;
	return true;
}

TD_OP(nll_dx, .n_in = 3, .n_out = 1, .shape_only = 4, .infer = nll_dx_infer, .forward = { nll_dx_forward },
	.backward = nll_dx_backward, .sample = nll_dx_sample)

/* dy [N]; x [N, C]: for its shape. */
TD_API td_value *td_nll_dx(td_ctx *c, td_value *dy, td_value *labels, td_value *x)
{
	return dy && labels && x ? TD_APPLY(c, nll_dx, NULL, dy, labels, x) : NULL;
}
