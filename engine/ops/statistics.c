/* Statistics over axes that take two passes, or a root. */
#include "ops/reduction.h"

#include "td_ops.h"

/* ---- logsumexp: y = log(sum of e^x), shifted by the largest so that nothing overflows; dx = dy e^(x - y) --------- */

static void logsumexp_infer(td_infer *q)
{
	if (reduction_infer_float(q, q->attrs, "logsumexp"))
		q->workspace += sizeof(double) * (size_t)td_shape_count(&q->out[0]);
}

/* All -inf (or nothing at all) gives -inf, and one inf gives inf: an infinite largest is no shift. */
static void logsumexp_forward(const td_call *call)
{
	double *shift = call->workspace, *total;
	struct reduction r;

	reduction_over(&r, call->attrs, call->in[0].shape);
	total = shift + r.n_out;
	reduction_run(call, &r, REDUCE_MAX, call->in[0].data, NULL, total);
	for (int64_t i = 0; i < r.n_out; i++)
		shift[i] = isinf(total[i]) ? 0 : total[i];
	reduction_run(call, &r, REDUCE_EXP, call->in[0].data, shift, total);
	for (int64_t i = 0; i < r.n_out; i++)
		total[i] = log(total[i]) + shift[i];
	TD_PICK(r.dtype, k_store)(call->out[0].data, total, r.n_out, 1);
}

/* Where y is -inf all x are, and none of them moves it. */
static void logsumexp_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *x = n->in[0], *y = n->out[0];
	td_value *finite = td_masked_fill(c, y, td_logical_not(c, td_isfinite(c, y)), 0);
	td_value *share = td_exp(c, td_sub(c, x, reduction_beside(c, finite, x, n->attrs)));

	dx[0] = td_mul(c, share, reduction_beside(c, dy[0], x, n->attrs));
}

static td_value *logsumexp_apply_all(td_ctx *c, td_value *const *in)
{
	return td_logsumexp(c, in[0], TD_ALL_AXES, false);
}
static td_value *logsumexp_apply_rest(td_ctx *c, td_value *const *in)
{
	return td_logsumexp(c, in[0], 2 | 8, true);
}

static bool sample_with_scalar(int i, td_sample *s)
{
	if (i < 8)
		return reduction_sample(i % 4, s);
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 0, NULL);
	return i == 8;
}

static bool logsumexp_sample(int i, td_sample *s)
{
	s->apply = i % 2 ? logsumexp_apply_rest : logsumexp_apply_all;
	return sample_with_scalar(i, s);
}

TD_OP(logsumexp, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields,
	.infer = logsumexp_infer, .forward = { logsumexp_forward }, .backward = logsumexp_backward,
	.sample = logsumexp_sample)

TD_API td_value *td_logsumexp(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	reduce_attrs a;

	return x ? TD_APPLY(c, logsumexp, reduction_attrs(&a, x, axes, keep), x) : NULL;
}

/* ---- var, std: the sum of squared distances from the mean, divided by their number less the correction; its root --
 */

static void spread_infer(td_infer *q, const char *op)
{
	if (reduction_infer_float(q, &((const mean_attrs *)q->attrs)->of, op))
		q->workspace += sizeof(double) * (size_t)td_shape_count(&q->out[0]);
}

static void var_infer(td_infer *q)
{
	spread_infer(q, "var");
}

static void std_infer(td_infer *q)
{
	spread_infer(q, "std");
}

/* The totals of r are the variances. */
static double *variances(const td_call *call, struct reduction *r)
{
	const mean_attrs *a = call->attrs;
	double *mean = call->workspace, *total;

	reduction_over(r, &a->of, call->in[0].shape);
	total = mean + r->n_out;
	reduction_run(call, r, REDUCE_SUM, call->in[0].data, NULL, total);
	for (int64_t i = 0; i < r->n_out; i++)
		mean[i] = total[i] / reduction_each(r, 0);
	reduction_run(call, r, REDUCE_SQUARES, call->in[0].data, mean, total);
	for (int64_t i = 0; i < r->n_out; i++)
		total[i] /= reduction_each(r, a->correction);
	return total;
}

static void var_forward(const td_call *call)
{
	struct reduction r;
	double *total = variances(call, &r);

	TD_PICK(r.dtype, k_store)(call->out[0].data, total, r.n_out, 1);
}

static void std_forward(const td_call *call)
{
	struct reduction r;
	double *total = variances(call, &r);

	for (int64_t i = 0; i < r.n_out; i++)
		total[i] = sqrt(total[i]);
	TD_PICK(r.dtype, k_store)(call->out[0].data, total, r.n_out, 1);
}

static td_value *from_mean(td_ctx *c, td_value *x, const reduce_attrs *a)
{
	return td_sub(c, x, td_mean(c, x, a->axes, true));
}

/* dx = 2 dy (x - mean) / (number - correction) */
static void var_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const mean_attrs *a = n->attrs;
	td_value *twice = td_add(c, dy[0], dy[0]);

	dx[0] = td_mul(
		c, from_mean(c, n->in[0], &a->of), reduction_spread(c, twice, n->in[0], &a->of, true, a->correction));
}

/* dy / y, but 0 where y is 0: there a root has no slope, and torch takes 0. */
static td_value *by_root(td_ctx *c, td_value *dy, td_value *y)
{
	td_value *zero = td_equal(c, y, td_zeros_like(c, y));

	return td_masked_fill(c, td_div(c, dy, td_masked_fill(c, y, zero, 1)), zero, 0);
}

/* dx = dy (x - mean) / y / (number - correction) */
static void std_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const mean_attrs *a = n->attrs;

	dx[0] = td_mul(c, from_mean(c, n->in[0], &a->of),
		reduction_spread(c, by_root(c, dy[0], n->out[0]), n->in[0], &a->of, true, a->correction));
}

static td_value *var_apply_all(td_ctx *c, td_value *const *in)
{
	return td_var(c, in[0], TD_ALL_AXES, 1, false);
}
static td_value *var_apply_rest(td_ctx *c, td_value *const *in)
{
	return td_var(c, in[0], 2 | 8, 0, true);
}
static td_value *std_apply_all(td_ctx *c, td_value *const *in)
{
	return td_std(c, in[0], TD_ALL_AXES, 0, false);
}
static td_value *std_apply_rest(td_ctx *c, td_value *const *in)
{
	return td_std(c, in[0], 2 | 8, 1, true);
}

static bool var_sample(int i, td_sample *s)
{
	s->apply = i / 4 ? var_apply_rest : var_apply_all;
	return i < 8 && reduction_sample(i % 4, s);
}

static bool std_sample(int i, td_sample *s)
{
	s->apply = i / 4 ? std_apply_rest : std_apply_all;
	return i < 8 && reduction_sample(i % 4, s);
}

TD_OP(var, .n_in = 1, .n_out = 1, .attrs_size = sizeof(mean_attrs), .fields = mean_fields, .infer = var_infer,
	.forward = { var_forward }, .backward = var_backward, .sample = var_sample)
TD_OP(std, .n_in = 1, .n_out = 1, .attrs_size = sizeof(mean_attrs), .fields = mean_fields, .infer = std_infer,
	.forward = { std_forward }, .backward = std_backward, .sample = std_sample)

/* NaN where the correction leaves nothing to divide by (torch.var). */
TD_API td_value *td_var(td_ctx *c, td_value *x, uint32_t axes, double correction, bool keep)
{
	mean_attrs a;

	return x ? TD_APPLY(c, var, reduction_mean_attrs(&a, x, axes, keep, correction), x) : NULL;
}

TD_API td_value *td_std(td_ctx *c, td_value *x, uint32_t axes, double correction, bool keep)
{
	mean_attrs a;

	return x ? TD_APPLY(c, std, reduction_mean_attrs(&a, x, axes, keep, correction), x) : NULL;
}

/* ---- norm: y = the root of the sum of x^2; dx = dy x / y, 0 where y is 0 ----------------------------------------- */

static void norm_infer(td_infer *q)
{
	reduction_infer_float(q, q->attrs, "norm");
}

static void norm_forward(const td_call *call)
{
	double *total = call->workspace;
	struct reduction r;

	reduction_over(&r, call->attrs, call->in[0].shape);
	reduction_run(call, &r, REDUCE_SQUARES, call->in[0].data, NULL, total);
	for (int64_t i = 0; i < r.n_out; i++)
		total[i] = sqrt(total[i]);
	TD_PICK(r.dtype, k_store)(call->out[0].data, total, r.n_out, 1);
}

static void norm_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, n->in[0], reduction_beside(c, by_root(c, dy[0], n->out[0]), n->in[0], n->attrs));
}

static td_value *norm_apply_all(td_ctx *c, td_value *const *in)
{
	return td_norm(c, in[0], 2, TD_ALL_AXES, false);
}
static td_value *norm_apply_rest(td_ctx *c, td_value *const *in)
{
	return td_norm(c, in[0], 2, 2 | 8, true);
}
static td_value *norm_apply_one(td_ctx *c, td_value *const *in)
{
	return td_norm(c, in[0], 1, 1, false);
}
static td_value *norm_apply_infinite(td_ctx *c, td_value *const *in)
{
	return td_norm(c, in[0], INFINITY, 4, false);
}

static bool norm_sample(int i, td_sample *s)
{
	s->apply = i / 4 == 0   ? norm_apply_all
		   : i / 4 == 1 ? norm_apply_rest
		   : i / 4 == 2 ? norm_apply_one
				: norm_apply_infinite;
	return i < 16 && reduction_sample(i % 4, s);
}

TD_OP(norm, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = norm_infer,
	.forward = { norm_forward }, .backward = norm_backward, .sample = norm_sample)

/* P: 1, 2 or INFINITY (torch.linalg.vector_norm). */
TD_API td_value *td_norm(td_ctx *c, td_value *x, double p, uint32_t axes, bool keep)
{
	reduce_attrs a;

	if (!x || !reduction_axes_legal(c, "norm", &x->shape, axes))
		return NULL;
	if (p == 1)
		return td_sum(c, td_abs(c, x), axes, keep);
	if (isinf(p) && p > 0)
		return td_max(c, td_abs(c, x), axes, keep);
	if (p != 2)
		return td_fail(c, TD_INVALID, "norm takes a p of 1, 2 or infinity, not %g", p);
	return TD_APPLY(c, norm, reduction_attrs(&a, x, axes, keep), x);
}
