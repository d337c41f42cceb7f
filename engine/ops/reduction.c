/* See reduction.h. */
#include "ops/reduction.h"

#include "td_ops.h"

#define PARTIALS_MOST 16
#define PARTIAL_WORK  32768 /* elements worth a slice */
#define TOTAL         sizeof(double)

_Static_assert(sizeof(int64_t) == TOTAL, "totals are doubles or int64");

const td_field mean_fields[] = { TD_FIELD(mean_attrs, of.axes), TD_FIELD(mean_attrs, of.keep),
	TD_FIELD(mean_attrs, correction), { 0 } };
const td_field reduce_fields[] = { TD_FIELD(reduce_attrs, axes), TD_FIELD(reduce_attrs, keep), { 0 } };

/* ---- Where elements go ------------------------------------------------------------------------------------------- */

void reduction_init(struct reduction *r, const td_shape *x, const int64_t *out_stride, int64_t n_out)
{
	int64_t strides[TD_MAX_RANK];

	*r = (struct reduction){ .count = td_shape_count(x), .n_out = n_out, .dtype = x->dtype };
	td_shape_strides(x, strides);
	for (int i = 0; i < x->rank; i++) {
		int axis = ops_memory_axis(x, i), last = r->rank - 1;

		if (x->dim[axis] == 1)
			continue;
		if (!r->rank || r->in_stride[last] != strides[axis] * x->dim[axis] ||
			r->out_stride[last] != out_stride[axis] * x->dim[axis] ||
			!r->out_stride[last] != !out_stride[axis]) {
			last = r->rank++;
			r->dim[last] = 1;
		}
		r->dim[last] *= x->dim[axis];
		r->in_stride[last] = strides[axis];
		r->out_stride[last] = out_stride[axis];
	}
	if (!r->rank) {
		r->rank = 1;
		r->dim[0] = 1;
	}
	r->partial = r->out_stride[0] == 0;
	r->n_slices = (int)TD_MIN(TD_MIN(r->count / PARTIAL_WORK + 1, PARTIALS_MOST), TD_MAX(r->dim[0], 1));
}

int64_t reduction_strides(const reduce_attrs *a, const td_shape *x, int64_t strides[TD_MAX_RANK])
{
	int64_t n = 1;

	for (int i = x->rank - 1; i >= 0; i--) {
		strides[i] = a->axes >> i & 1 ? 0 : n;
		n *= a->axes >> i & 1 ? 1 : x->dim[i];
	}
	return n;
}

void reduction_over(struct reduction *r, const reduce_attrs *a, const td_shape *x)
{
	int64_t strides[TD_MAX_RANK] = { 0 }, n = reduction_strides(a, x, strides);

	reduction_init(r, x, strides, n);
}

size_t reduction_workspace(const struct reduction *r)
{
	return TOTAL * (size_t)(r->n_out * (r->partial ? r->n_slices : 1));
}

double reduction_each(const struct reduction *r, double correction)
{
	return TD_MAX((double)r->count / (double)r->n_out - correction, 0);
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

#define NUMBERS(name)                                                                                                  \
	{                                                                                                              \
		name##_f32, name##_f64, name##_i32, name##_i64, name##_u8, name##_u8                                   \
	}

/* How elements come into a total, how totals are joined, and what a total of nothing is. */
static const struct kind {
	td_reduce_fn *fn[TD_N_DTYPES];
	td_reduce_fn *join_doubles, *join_integers;
	double start;
	int64_t integer_start;
	bool truth; /* totals are int64 for every type */
} kinds[] = {
	[REDUCE_SUM] = { NUMBERS(k_reduce_sum), k_reduce_sum_f64, k_reduce_sum_i64, 0, 0, false },
	[REDUCE_PROD] = { NUMBERS(k_reduce_prod), k_reduce_prod_f64, k_reduce_prod_i64, 1, 1, false },
	[REDUCE_MAX] = { NUMBERS(k_reduce_max), k_reduce_max_f64, k_reduce_max_i64, -INFINITY, INT64_MIN, false },
	[REDUCE_MIN] = { NUMBERS(k_reduce_min), k_reduce_min_f64, k_reduce_min_i64, INFINITY, INT64_MAX, false },
	[REDUCE_ANY] = { NUMBERS(k_reduce_any), NULL, k_reduce_any_i64, 0, 0, true },
	[REDUCE_ALL] = { NUMBERS(k_reduce_all), NULL, k_reduce_all_i64, 0, 1, true },
	[REDUCE_SQUARES] = { { k_reduce_squares_f32, k_reduce_squares_f64 }, k_reduce_sum_f64, NULL, 0, 0, false },
	[REDUCE_EXP] = { { k_reduce_exp_f32, k_reduce_exp_f64 }, k_reduce_sum_f64, NULL, 0, 0, false },
};

/* Dimension 0 from FROM to TO, the others whole. */
static void reduce_range(const struct reduction *r, char *acc, int64_t from, int64_t to)
{
	int last = r->rank - 1;
	int64_t row = last ? r->dim[last] : to - from, n_rows = last ? to - from : 1;
	size_t size = td_dtype_size(r->dtype);

	for (int i = 1; i < last; i++)
		n_rows *= r->dim[i];
	for (int64_t k = 0; k < n_rows && row > 0; k++) {
		int64_t rest = k, in = 0, out = 0;

		for (int i = last - 1; i > 0; i--, rest /= r->dim[i + 1]) {
			in += rest % r->dim[i] * r->in_stride[i];
			out += rest % r->dim[i] * r->out_stride[i];
		}
		in += (last ? from + rest : from) * r->in_stride[0];
		out += (last ? from + rest : from) * r->out_stride[0];
		r->fn(at(acc, out, TOTAL), at_const(r->shift, out, TOTAL), at_const(r->x, in, size), row,
			r->in_stride[last], r->out_stride[last]);
	}
}

static void reduce_slice(void *arg, int slice)
{
	const struct reduction *r = arg;
	int64_t per = (r->dim[0] + r->n_slices - 1) / r->n_slices, from = slice * per;

	reduce_range(r, at(r->acc, r->partial ? slice * r->n_out : 0, TOTAL), from, TD_MIN(from + per, r->dim[0]));
}

void reduction_run(const td_call *call, struct reduction *r, enum reduction_kind kind, const void *x,
	const double *shift, void *acc)
{
	const struct kind *k = &kinds[kind];
	bool integer = k->truth || !td__is_float(r->dtype);
	int64_t n = (int64_t)(reduction_workspace(r) / TOTAL);

	r->fn = k->fn[r->dtype];
	r->x = x;
	r->acc = acc;
	r->shift = (const char *)shift;
	for (int64_t i = 0; i < n; i++)
		if (integer)
			((int64_t *)acc)[i] = k->integer_start;
		else
			((double *)acc)[i] = k->start;
	if (r->count)
		threads_run(call->threads, r->n_slices, reduce_slice, r);
	for (int s = 1; r->partial && s < r->n_slices; s++)
		(integer ? k->join_integers : k->join_doubles)(acc, NULL, at(acc, s * r->n_out, TOTAL), r->n_out, 1, 1);
}

void reduction_forward(const td_call *call, enum reduction_kind kind)
{
	td_dtype d = call->out[0].shape->dtype;
	struct reduction r;

	reduction_over(&r, call->attrs, call->in[0].shape);
	reduction_run(call, &r, kind, call->in[0].data, NULL, call->workspace);
	k_convert((int)d, td__is_float(d) ? TD_F64 : TD_I64, call->out[0].data, call->workspace, r.n_out, 1);
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

reduce_attrs *reduction_attrs(reduce_attrs *a, const td_value *x, uint32_t axes, bool keep)
{
	memset(a, 0, sizeof *a);
	a->axes = axes == TD_ALL_AXES ? (1u << x->shape.rank) - 1 : axes;
	a->keep = keep;
	return a;
}

mean_attrs *reduction_mean_attrs(mean_attrs *a, const td_value *x, uint32_t axes, bool keep, double correction)
{
	memset(a, 0, sizeof *a);
	reduction_attrs(&a->of, x, axes, keep);
	a->correction = correction;
	return a;
}

void reduction_shape(const reduce_attrs *a, const td_shape *x, td_shape *y)
{
	*y = (td_shape){ .dtype = x->dtype };
	for (int i = 0; i < x->rank; i++)
		if (!(a->axes >> i & 1))
			y->dim[y->rank++] = x->dim[i];
		else if (a->keep)
			y->dim[y->rank++] = 1;
}

bool reduction_axes_legal(td_ctx *c, const char *op, const td_shape *x, uint32_t axes)
{
	char text[TD_SHAPE_TEXT];

	if (axes == TD_ALL_AXES || !(axes >> x->rank))
		return true;
	td_fail(c, TD_SHAPE, "%s: %s has no axis %d; bit i of the axes stands for axis i", op, td_shape_text(x, text),
		x->rank + __builtin_ctz(axes >> x->rank));
	return false;
}

bool reduction_infer(td_infer *q, const reduce_attrs *a, const char *op)
{
	struct reduction r;

	if (!reduction_axes_legal(q->ctx, op, q->in[0], a->axes))
		return false;
	reduction_shape(a, q->in[0], &q->out[0]);
	reduction_over(&r, a, q->in[0]);
	q->workspace = reduction_workspace(&r);
	return true;
}

bool reduction_infer_float(td_infer *q, const reduce_attrs *a, const char *op)
{
	return ops_need_float(q, op) && reduction_infer(q, a, op);
}

void reduction_infer_int64(td_infer *q, const char *op)
{
	if (reduction_infer(q, q->attrs, op) && !td__is_float(q->in[0]->dtype))
		q->out[0].dtype = TD_I64;
}

td_value *reduction_beside(td_ctx *c, td_value *y, td_value *x, const reduce_attrs *a)
{
	return reduction_spread(c, y, x, a, false, 0);
}

bool reduction_sample(int i, td_sample *s)
{
	if (i > 3)
		return false;
	if (i < 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5, 6);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 40, 3, 17, 19); /* enough for several slices */
	s->in[0].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

bool reduction_sample_all(int i, td_sample *s, bool empty)
{
	static const td_dtype others[] = { TD_I32, TD_I64, TD_U8, TD_BOOL };

	if (i < 12)
		return reduction_sample(i % 4, s);
	if (i < 16) {
		SAMPLE_INPUT(s, TD_FILL_LABELS, others[i - 12], 5, 6);
		s->in[0].classes = i == 15 ? 2 : 7;
		s->in[0].batched = true;
	} else if (i == 16) {
		ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 0, NULL);
	} else if (i == 17) {
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 0);
	}
	return i < (empty ? 18 : 17);
}
