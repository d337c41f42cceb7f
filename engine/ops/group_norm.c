/* Group norm and instance norm: over the pixels of groups of an image's channels.  Channels lie last in memory, so an
 * image is a matrix [pixels, C], and a group is some of its columns: sums are made by column and added by group. */
#include "ops/norm.h"

#include "td_ops.h"

typedef struct group_norm_attrs {
	double eps;
	int64_t groups; /* of channels; 0: every channel by itself */
} group_norm_attrs;

static const td_field group_norm_fields[] = { TD_FIELD(group_norm_attrs, eps), TD_FIELD(group_norm_attrs, groups),
	{ 0 } };

#define GROUP_SLICES_MOST 16 /* of a batch; each has a workspace of its own */

struct group_norm {
	int64_t batch, channels, pixels, groups, per_group; /* PER_GROUP: channels */
	int n_slices;
	int64_t per_slice; /* images */
	td_dtype dtype;
	size_t size;
	double eps;
	const char *x, *dy, *weight, *bias, *mean, *rstd;
	char *y, *means, *rstds; /* MEANS and RSTDS may be NULL */
	char *scratch;           /* by slice: two rows of double, two of elements, one entry a channel */
};

static void group_norm_init(struct group_norm *v, const group_norm_attrs *a, const td_shape *x)
{
	*v = (struct group_norm){ .batch = x->dim[0],
		.channels = x->dim[1],
		.pixels = 1,
		.groups = a->groups ? a->groups : x->dim[1],
		.dtype = x->dtype,
		.size = td_dtype_size(x->dtype),
		.eps = a->eps };
	for (int i = 2; i < x->rank; i++)
		v->pixels *= x->dim[i];
	v->per_group = v->groups ? v->channels / v->groups : 0;
	v->n_slices = (int)TD_MAX(1, TD_MIN(GROUP_SLICES_MOST, v->batch));
	v->per_slice = (v->batch + v->n_slices - 1) / v->n_slices;
}

static size_t slice_bytes(const struct group_norm *v)
{
	return 2 * (sizeof(double) + sizeof(double)) * (size_t)v->channels; /* elements have 8 bytes at most */
}

/* The parts of a slice's workspace, of one entry for each channel. */
struct rows {
	double *sum, *centre;
	char *first, *second;
};

static struct rows rows_of(const struct group_norm *v, int slice)
{
	struct rows r;

	r.sum = (double *)(void *)(v->scratch + (size_t)slice * slice_bytes(v));
	r.centre = r.sum + v->channels;
	r.first = (char *)(r.centre + v->channels);
	r.second = r.first + sizeof(double) * (size_t)v->channels;
	return r;
}

/* Every entry becomes the sum of its group's. */
static void add_up_groups(const struct group_norm *v, double *entries)
{
	for (int64_t g = 0; g < v->groups; g++) {
		double sum = 0;

		for (int64_t c = g * v->per_group; c < (g + 1) * v->per_group; c++)
			sum += entries[c];
		for (int64_t c = g * v->per_group; c < (g + 1) * v->per_group; c++)
			entries[c] = sum;
	}
}

static bool groups_legal(td_infer *q, const char *op)
{
	const group_norm_attrs *a = q->attrs;
	const td_shape *x = q->in[0];
	char text[TD_SHAPE_TEXT];

	if (!ops_need_float(q, op))
		return false;
	if (x->rank < 2) {
		td_fail(q->ctx, TD_SHAPE, "%s needs [N, C, ...], not %s", op, td_shape_text(x, text));
		return false;
	}
	if (a->groups < 0 || (a->groups && x->dim[1] % a->groups)) {
		td_fail(q->ctx, TD_SHAPE, "%s: %lld groups do not divide the %lld channels of %s", op,
			(long long)a->groups, (long long)x->dim[1], td_shape_text(x, text));
		return false;
	}
	return true;
}

/* One statistic for each image and group. */
static td_shape group_statistics(const group_norm_attrs *a, const td_shape *x)
{
	return (td_shape){ .dtype = x->dtype, .rank = 2, .dim = { x->dim[0], a->groups ? a->groups : x->dim[1] } };
}

/* ---- group_norm: y = (x - mean) rstd weight + bias with the mean and variance of each group of each image, as
 * torch.nn.GroupNorm (Wu and He, 2018); with a group for each channel as torch.nn.InstanceNorm2d.  Hidden outputs:
 * mean, rstd = 1 / sqrt(variance + eps) */

static void group_norm_infer(td_infer *q)
{
	struct group_norm v;
	td_shape channels;

	if (!groups_legal(q, "group_norm"))
		return;
	channels = (td_shape){ .dtype = q->in[0]->dtype, .rank = 1, .dim = { q->in[0]->dim[1] } };
	if (!ops_need_like(q, "group_norm", 1, &channels) || !ops_need_like(q, "group_norm", 2, &channels))
		return;
	ops_infer_same(q);
	q->out[1] = q->out[2] = group_statistics(q->attrs, q->in[0]);
	group_norm_init(&v, q->attrs, q->in[0]);
	q->workspace = slice_bytes(&v) * (size_t)v.n_slices;
}

static void group_norm_image(const struct group_norm *v, const struct rows *r, int64_t n)
{
	int64_t image = n * v->pixels * v->channels;
	double count = (double)(v->pixels * v->per_group);

	memset(r->sum, 0, sizeof(double) * (size_t)v->channels);
	TD_PICK(v->dtype, k_columns_sum)(r->sum, at_const(v->x, image, v->size), v->pixels, v->channels);
	add_up_groups(v, r->sum);
	for (int64_t c = 0; c < v->channels; c++) {
		r->centre[c] = r->sum[c] / count;
		ops_set(r->first, v->dtype, c, r->centre[c]);
		r->sum[c] = 0;
	}
	TD_PICK(v->dtype, k_columns_squares)
	(r->sum, at_const(v->x, image, v->size), r->centre, v->pixels, v->channels);
	add_up_groups(v, r->sum);
	for (int64_t c = 0; c < v->channels; c++)
		ops_set(r->second, v->dtype, c, 1 / sqrt(r->sum[c] / count + v->eps));
	TD_PICK(v->dtype, k_columns_normalize)
	(at(v->y, image, v->size), at_const(v->x, image, v->size), r->first, r->second, v->weight, v->bias, v->pixels,
		v->channels);
	for (int64_t g = 0; g < v->groups; g++) {
		if (v->means)
			ops_set(v->means, v->dtype, n * v->groups + g, ops_get(r->first, v->dtype, g * v->per_group));
		if (v->rstds)
			ops_set(v->rstds, v->dtype, n * v->groups + g, ops_get(r->second, v->dtype, g * v->per_group));
	}
}

static void group_norm_slice(void *arg, int slice)
{
	const struct group_norm *v = arg;
	struct rows r = rows_of(v, slice);
	int64_t from = slice * v->per_slice, to = TD_MIN(from + v->per_slice, v->batch);

	for (int64_t n = from; n < to; n++)
		group_norm_image(v, &r, n);
}

static void group_norm_forward(const td_call *call)
{
	struct group_norm v;

	group_norm_init(&v, call->attrs, call->in[0].shape);
	v.x = call->in[0].data;
	v.weight = call->in[1].data;
	v.bias = call->in[2].data;
	v.y = call->out[0].data;
	v.means = call->out[1].data;
	v.rstds = call->out[2].data;
	v.scratch = call->workspace;
	if (td_shape_count(call->out[0].shape))
		threads_run(call->threads, v.n_slices, group_norm_slice, &v);
}

static void group_norm_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const group_norm_attrs *a = n->attrs;
	td_value *x = n->in[0], *weight = n->in[1];

	if (td_wants(n, 0))
		dx[0] = td_group_norm_dx(c, weight ? td_mul(c, dy[0], norm_by_channel(c, weight, x)) : dy[0], x,
			n->out[1], n->out[2], a);
	if (td_wants(n, 1))
		dx[1] = norm_sum_by_channel(c, td_mul(c, dy[0], td_group_norm(c, x, NULL, NULL, a->groups, a->eps)));
	if (td_wants(n, 2))
		dx[2] = norm_sum_by_channel(c, dy[0]);
}

static td_value *group_norm_apply_2(td_ctx *c, td_value *const *in)
{
	return td_group_norm(c, in[0], in[1], in[2], 2, 1e-3);
}
static td_value *group_norm_apply_all(td_ctx *c, td_value *const *in)
{
	return td_group_norm(c, in[0], in[1], in[2], 0, 1e-3);
}

static bool group_norm_sample(int i, td_sample *s)
{
	static const int64_t rows[][TD_MAX_RANK] = { { 3, 4, 2, 3 }, { 3, 4, 2, 3 }, { 2, 6 }, { 3, 4, 5 },
		{ 40, 6, 5, 3 }, { 0, 4, 2, 2 }, { 2, 2, 3, 2, 2 } };
	static const int rank[] = { 4, 4, 2, 3, 4, 4, 5 };

	if (i >= (int)TD_COUNT(rank))
		return false;
	s->apply = i % 2 ? group_norm_apply_all : group_norm_apply_2;
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, rank[i], rows[i]);
	s->in[0].batched = true;
	s->in[0].shape.order = i == 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	for (int k = 0; k < 2 && i != 3; k++)
		SAMPLE_INPUT(s, TD_FILL_POSITIVE, TD_F32, rows[i][1]);
	return true;
}

TD_OP(group_norm, .n_in = 3, .n_out = 1, .n_hidden = 2, .optional = 6, .attrs_size = sizeof(group_norm_attrs),
	.fields = group_norm_fields, .infer = group_norm_infer, .forward = { group_norm_forward },
	.backward = group_norm_backward, .sample = group_norm_sample)

/* x [N, C, ...]; weight and bias [C] or NULL.  GROUPS divides C; 0: as many as there are channels. */
TD_API td_value *td_group_norm(td_ctx *c, td_value *x, td_value *weight, td_value *bias, int64_t groups, double eps)
{
	group_norm_attrs a = { eps, groups };

	return x ? TD_APPLY(c, group_norm, &a, ops_channels_last(c, x), weight, bias) : NULL;
}

/* ---- group_norm_dx: the gradient of group norm by its input: with g = dy weight and h = (x - mean) rstd,
 * dx = rstd (g - mean of g - h times the mean of g h), means over the group; its own gradient takes mean and rstd for
 * what they are of x (norm.h) */

static void group_norm_dx_infer(td_infer *q)
{
	struct group_norm v;
	td_shape row;

	if (!groups_legal(q, "group_norm_dx") || !ops_need_like(q, "group_norm_dx", 1, q->in[0]))
		return;
	row = group_statistics(q->attrs, q->in[0]);
	if (!ops_need_like(q, "group_norm_dx", 2, &row) || !ops_need_like(q, "group_norm_dx", 3, &row))
		return;
	ops_infer_same(q);
	group_norm_init(&v, q->attrs, q->in[0]);
	q->workspace = 2 * slice_bytes(&v) * (size_t)v.n_slices;
}

static void group_norm_dx_image(const struct group_norm *v, const struct rows *r, const struct rows *sums, int64_t n)
{
	int64_t image = n * v->pixels * v->channels;
	const char *dy = at_const(v->dy, image, v->size), *x = at_const(v->x, image, v->size);

	for (int64_t c = 0; c < v->channels; c++) {
		ops_set(r->first, v->dtype, c, ops_get(v->mean, v->dtype, n * v->groups + c / v->per_group));
		ops_set(r->second, v->dtype, c, ops_get(v->rstd, v->dtype, n * v->groups + c / v->per_group));
		r->sum[c] = r->centre[c] = 0;
	}
	TD_PICK(v->dtype, k_columns_sum)(r->sum, dy, v->pixels, v->channels);
	TD_PICK(v->dtype, k_columns_products)(r->centre, dy, x, r->first, r->second, v->pixels, v->channels);
	add_up_groups(v, r->sum);
	add_up_groups(v, r->centre);
	TD_PICK(v->dtype, k_store)(sums->first, r->sum, v->channels, 1);
	TD_PICK(v->dtype, k_store)(sums->second, r->centre, v->channels, 1);
	TD_PICK(v->dtype, k_columns_normalize_dx)
	(at(v->y, image, v->size), dy, x, r->first, r->second, NULL, sums->second, sums->first, v->pixels, v->channels,
		(double)(v->pixels * v->per_group));
}

static void group_norm_dx_slice(void *arg, int slice)
{
	const struct group_norm *v = arg;
	struct rows r = rows_of(v, 2 * slice), sums = rows_of(v, 2 * slice + 1);
	int64_t from = slice * v->per_slice, to = TD_MIN(from + v->per_slice, v->batch);

	for (int64_t n = from; n < to; n++)
		group_norm_dx_image(v, &r, &sums, n);
}

static void group_norm_dx_forward(const td_call *call)
{
	struct group_norm v;

	group_norm_init(&v, call->attrs, call->in[0].shape);
	v.dy = call->in[0].data;
	v.x = call->in[1].data;
	v.mean = call->in[2].data;
	v.rstd = call->in[3].data;
	v.y = call->out[0].data;
	v.scratch = call->workspace;
	if (td_shape_count(call->out[0].shape))
		threads_run(call->threads, v.n_slices, group_norm_dx_slice, &v);
}

/* Groups as rows: X [N, C, ...] as [N, groups, what is left]. */
static td_value *as_rows(td_ctx *c, td_value *x, const group_norm_attrs *a)
{
	int64_t dims[] = { TD_SIZE_OF(0), a->groups ? a->groups : TD_SIZE_OF(1), -1 };

	return td_reshape(c, x, dims, 3);
}

static void group_norm_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const group_norm_attrs *a = n->attrs;
	td_value *g = n->in[0], *x = n->in[1], *mean = n->in[2], *rstd = n->in[3],
		 *q = td_group_norm_dx(c, dy[0], x, mean, rstd, a);

	if (td_wants(n, 0))
		dx[0] = q;
	if (td_wants(n, 1)) {
		td_value *again = td_group_norm_dx(c, g, x, mean, rstd, a);

		dx[1] = norm_dx_by_x(c, as_rows(c, dy[0], a), as_rows(c, g, a), as_rows(c, x, a), as_rows(c, q, a),
			as_rows(c, again, a), 1u << 2, a->eps, true);
		dx[1] = td_reshape_like(c, dx[1], x);
	}
}

static td_value *group_norm_dx_apply(td_ctx *c, td_value *const *in)
{
	static const group_norm_attrs a = { 1e-3, 2 };
	td_value *x, *h, *rstd, *mean;

	if (!in[0] || !in[1])
		return NULL;
	x = as_rows(c, td_detach(c, in[1]), &a);
	norm_standardise(c, x, 1u << 2, a.eps, true, &h, &rstd);
	mean = td_mean(c, x, 1u << 2, false);
	return td_group_norm_dx(c, in[0], in[1], mean, td_sum(c, rstd, 1u << 2, false), &a);
}

static bool group_norm_dx_sample(int i, td_sample *s)
{
	s->apply = group_norm_dx_apply;
	for (int k = 0; k < 2; k++) {
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 2, 3);
		s->in[k].batched = true;
		s->in[k].shape.order = i ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	}
	return i < 2;
}

TD_OP(group_norm_dx, .n_in = 4, .n_out = 1, .inplace = 3, .attrs_size = sizeof(group_norm_attrs),
	.fields = group_norm_fields, .infer = group_norm_dx_infer, .forward = { group_norm_dx_forward },
	.backward = group_norm_dx_backward, .sample = group_norm_dx_sample)

/* DY: already times the weight.  mean, rstd: the hidden outputs of the norm of x; ATTRS: of that node. */
TD_API td_value *td_group_norm_dx(
	td_ctx *c, td_value *dy, td_value *x, td_value *mean, td_value *rstd, const void *attrs)
{
	return dy && x && mean && rstd ? TD_APPLY(c, group_norm_dx, attrs, ops_channels_last(c, dy),
						 ops_channels_last(c, x), mean, rstd)
				       : NULL;
}
