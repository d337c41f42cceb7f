/* Resizing of images as torch.nn.functional.interpolate does it.  Along each axis every new element is a weighted sum
 * of old ones (taps), and an image's is the product of its row's and its column's; nearest-neighbour resizing moves
 * elements as they are. */
#include "ops/axis_map.h"

#include "td_ops.h"

static const td_field resize_fields[] = { TD_FIELDS(td_resize_attrs, size), TD_FIELDS(td_resize_attrs, scale),
	TD_FIELD(td_resize_attrs, mode), TD_FIELD(td_resize_attrs, align_corners), TD_FIELD(td_resize_attrs, antialias),
	{ 0 } };

#define IMAGE_AXES 0xcu      /* height and width of [N, C, H, W] */
#define SIDE_MOST  (1 << 24) /* pixels of a resized image's side, far beyond any that fits in memory */

/* ---- Geometry ---------------------------------------------------------------------------------------------------- */

/* X's shape, resized, into Y. */
static bool resize_shape(td_infer *q, const char *op, const td_shape *x, td_shape *y)
{
	const td_resize_attrs *a = q->attrs;
	char text[TD_SHAPE_TEXT];

	*y = *x;
	if (x->rank != 4 || (a->mode != TD_RESIZE_NEAREST && !td__is_float(x->dtype))) {
		td_fail(q->ctx, TD_SHAPE, "%s needs images [N, C, H, W], floating unless by the nearest pixel, not %s",
			op, td_shape_text(x, text));
		return false;
	}
	for (int i = 0; i < 2; i++) {
		double side = a->size[i] ? (double)a->size[i] : floor((double)x->dim[2 + i] * a->scale[i]);

		if (x->dim[2 + i] < 1 || !(side >= 1 && side <= SIDE_MOST)) {
			td_fail(q->ctx, TD_SHAPE,
				"%s: %s cannot be resized so: both sides need at least 1 pixel before and after, and "
				"at most %d after",
				op, td_shape_text(x, text), SIDE_MOST);
			return false;
		}
		y->dim[2 + i] = (int64_t)side;
	}
	return true;
}

/* Old elements per new one along side I (0: height), from IN to OUT elements. */
static double step_of(const td_resize_attrs *a, int i, int64_t in, int64_t out)
{
	if (a->align_corners)
		return out > 1 ? (double)(in - 1) / (double)(out - 1) : 0;
	return a->size[i] ? (double)in / (double)out : 1 / a->scale[i];
}

struct resizing {
	const td_resize_attrs *attrs;
	const td_shape *x, *y; /* before and after */
};

/* torch computes this in float32 for all types, which decides where a boundary falls. */
static int64_t nearest_place(const void *arg, int axis, int64_t k)
{
	const struct resizing *r = arg;
	int64_t in = r->x->dim[axis], out = r->y->dim[axis];
	float step;

	if (in == out)
		return k;
	if (out == 2 * in)
		return k / 2;
	step = r->attrs->size[axis - 2] ? (float)in / (float)out : (float)(1 / r->attrs->scale[axis - 2]);
	return TD_MIN((int64_t)floorf((float)k * step), in - 1);
}

/* The taps of output K, and how many there are; WEIGHT and PLACE may be NULL. */
static int64_t taps_at(
	const td_resize_attrs *a, int i, int64_t in, int64_t out, int64_t k, int64_t *place, double *weight)
{
	double step = step_of(a, i, in, out), wide = TD_MAX(step, 1), centre = ((double)k + 0.5) * step, from, sum = 0;
	int64_t first, n;

	if (!a->antialias) {
		from = a->align_corners ? (double)k * step : TD_MAX(centre - 0.5, 0);
		first = TD_MIN((int64_t)from, in - 1);
		n = first < in - 1 ? 2 : 1;
		for (int64_t t = 0; t < n && place; t++) {
			place[t] = first + t;
			weight[t] = n == 1 ? 1 : t ? from - (double)first : 1 - (from - (double)first);
		}
		return n;
	}
	first = TD_MAX((int64_t)(centre - wide + 0.5), 0);
	n = TD_MIN((int64_t)(centre + wide + 0.5), in) - first;
	for (int64_t t = 0; t < n && place; t++) {
		place[t] = first + t;
		weight[t] = TD_MAX(0, 1 - fabs(((double)(first + t) - centre + 0.5) / wide));
		sum += weight[t];
	}
	for (int64_t t = 0; t < n && place && sum != 0; t++)
		weight[t] /= sum;
	return n;
}

static int64_t count_taps(const td_resize_attrs *a, int i, int64_t in, int64_t out)
{
	int64_t n = 0;

	for (int64_t k = 0; k < out; k++)
		n += taps_at(a, i, in, out, k, NULL, NULL);
	return n;
}

/* For both sides: first (out + 1), place and weight (a tap each). */
static size_t resize_workspace(const td_resize_attrs *a, const td_shape *x, const td_shape *y)
{
	size_t n = 0;

	if (a->mode == TD_RESIZE_NEAREST)
		return axis_maps_bytes(y, IMAGE_AXES);
	for (int i = 0; i < 2; i++)
		n += sizeof(int64_t) * (size_t)(y->dim[2 + i] + 1) +
		     (sizeof(int64_t) + sizeof(double)) * (size_t)count_taps(a, i, x->dim[2 + i], y->dim[2 + i]);
	return n;
}

/* Fill TAPS of side I at WORKSPACE; returns where the next side's begin. */
static void *fill_taps(struct k_taps *taps, const td_resize_attrs *a, int i, int64_t in, int64_t out, void *workspace)
{
	int64_t *first = workspace, *place = first + out + 1, total = count_taps(a, i, in, out), n = 0;
	double *weight = (double *)(void *)(place + total);

	for (int64_t k = 0; k < out; k++) {
		first[k] = n;
		n += taps_at(a, i, in, out, k, place + n, weight + n);
	}
	first[out] = n;
	*taps = (struct k_taps){ out, first, place, weight };
	return weight + total;
}

/* ---- Images ------------------------------------------------------------------------------------------------------ */

typedef void resample_fn(void *to, const void *from, int64_t channels, int64_t width, const struct k_taps *rows,
	const struct k_taps *columns);

/* Images as the loops see them: [n, H, W, channels]; in row-major order each channel is an image of its own. */
struct images {
	resample_fn *fn;
	int64_t n, channels, width, from_count, to_count;
	struct k_taps rows, columns;
	const char *from;
	char *to;
	size_t size;
};

static void resample_image(void *arg, int n)
{
	const struct images *m = arg;

	m->fn(at(m->to, n * m->to_count, m->size), at_const(m->from, n * m->from_count, m->size), m->channels, m->width,
		&m->rows, &m->columns);
}

/* FROM to TO by FN; X and Y are the shapes before and after resizing. */
static void resample(const td_call *call, resample_fn *fn, const td_view *to, const td_view *from, const td_shape *x,
	const td_shape *y)
{
	const td_resize_attrs *a = call->attrs;
	bool last = x->order == TD_CHANNELS_LAST;
	struct images m = { .fn = fn,
		.n = x->dim[0] * (last ? 1 : x->dim[1]),
		.channels = last ? x->dim[1] : 1,
		.width = x->dim[3],
		.from = from->data,
		.to = to->data,
		.size = td_dtype_size(x->dtype) };

	if (!td_shape_count(y))
		return;
	m.from_count = td_shape_count(from->shape) / m.n;
	m.to_count = td_shape_count(to->shape) / m.n;
	fill_taps(&m.columns, a, 1, x->dim[3], y->dim[3],
		fill_taps(&m.rows, a, 0, x->dim[2], y->dim[2], call->workspace));
	threads_run(call->threads, (int)m.n, resample_image, &m);
}

/* ---- resize ------------------------------------------------------------------------------------------------------ */

static void resize_infer(td_infer *q)
{
	if (resize_shape(q, "resize", q->in[0], &q->out[0]))
		q->workspace = resize_workspace(q->attrs, q->in[0], &q->out[0]);
}

static void resize_forward(const td_call *call)
{
	const td_shape *x = call->in[0].shape, *y = call->out[0].shape;
	struct axis_maps m;

	if (((const td_resize_attrs *)call->attrs)->mode != TD_RESIZE_NEAREST) {
		resample(call, TD_PICK(x->dtype, k_resample), &call->out[0], &call->in[0], x, y);
		return;
	}
	axis_maps_fill(&m, call->workspace, y, IMAGE_AXES, nearest_place, &(struct resizing){ call->attrs, x, y });
	axis_take(call, &call->out[0], &call->in[0], &m, NULL);
}

static void resize_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_resize_dx(c, dy[0], n->in[0], n->attrs);
}

static const struct {
	int64_t x[4];
	td_dtype dtype;
	td_resize_attrs attrs;
} resize_samples[] = {
	{ { 2, 3, 4, 5 }, TD_F32, { .scale = { 2, 2 } } },
	{ { 2, 3, 4, 5 }, TD_F32, { .size = { 7, 3 } } },
	{ { 2, 3, 4, 5 }, TD_U8, { .scale = { 1.5, 0.5 } } },
	{ { 2, 0, 4, 5 }, TD_F32, { .scale = { 1.5, 0.5 } } },
	{ { 2, 3, 4, 5 }, TD_F32, { .scale = { 2, 2 }, .mode = TD_RESIZE_BILINEAR } },
	{ { 2, 3, 4, 5 }, TD_F32, { .size = { 3, 9 }, .mode = TD_RESIZE_BILINEAR, .align_corners = true } },
	{ { 2, 3, 4, 1 }, TD_F32, { .size = { 1, 3 }, .mode = TD_RESIZE_BILINEAR, .align_corners = true } },
	{ { 2, 3, 9, 7 }, TD_F32, { .size = { 4, 3 }, .mode = TD_RESIZE_BILINEAR, .antialias = true } },
	{ { 2, 3, 4, 7 }, TD_F32, { .scale = { 1.7, 0.3 }, .mode = TD_RESIZE_BILINEAR, .antialias = true } },
};

#define RESIZE_SAMPLE(i)                                                                                               \
	static td_value *resize_apply_##i(td_ctx *c, td_value *const *in)                                              \
	{                                                                                                              \
		return td_resize(c, in[0], &resize_samples[i].attrs);                                                  \
	}
RESIZE_SAMPLE(0)
RESIZE_SAMPLE(1)
RESIZE_SAMPLE(2)
RESIZE_SAMPLE(3)
RESIZE_SAMPLE(4)
RESIZE_SAMPLE(5)
RESIZE_SAMPLE(6)
RESIZE_SAMPLE(7)
RESIZE_SAMPLE(8)

static bool resize_sample(int i, td_sample *s)
{
	static td_value *(*const applies[])(td_ctx *, td_value *const *) = { resize_apply_0, resize_apply_1,
		resize_apply_2, resize_apply_3, resize_apply_4, resize_apply_5, resize_apply_6, resize_apply_7,
		resize_apply_8 };
	const int n = (int)TD_COUNT(applies);

	if (i >= 2 * n)
		return false;
	s->apply = applies[i % n];
	ops_sample_input(s, resize_samples[i % n].dtype == TD_F32 ? TD_FILL_NORMAL : TD_FILL_LABELS,
		resize_samples[i % n].dtype, 4, resize_samples[i % n].x);
	s->in[0].classes = 9;
	s->in[0].shape.order = i / n ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(resize, .n_in = 1, .n_out = 1, .attrs_size = sizeof(td_resize_attrs), .fields = resize_fields,
	.infer = resize_infer, .forward = { resize_forward }, .backward = resize_backward, .sample = resize_sample)

/* torch.nn.functional.interpolate: x [N, C, H, W] -> [N, C, size] or [N, C, floor(H scale), floor(W scale)], in x's
 * order.  By the nearest pixel: any type.  Bilinear: floating; ALIGN_CORNERS and ANTIALIAS as there. */
TD_API td_value *td_resize(td_ctx *c, td_value *x, const td_resize_attrs *attrs)
{
	bool sized = attrs->size[0] > 0 && attrs->size[1] > 0, none = !attrs->size[0] && !attrs->size[1];

	if (!x)
		return NULL;
	if (!sized && !(none && attrs->scale[0] > 0 && attrs->scale[1] > 0))
		return td_fail(c, TD_INVALID,
			"resize needs two sizes of at least 1, or none and two scales above 0, not %lld x %lld and %g "
			"x %g",
			(long long)attrs->size[0], (long long)attrs->size[1], attrs->scale[0], attrs->scale[1]);
	if ((attrs->align_corners || attrs->antialias) && attrs->mode != TD_RESIZE_BILINEAR)
		return td_fail(c, TD_INVALID, "resize: align_corners and antialias are for bilinear resizing");
	return TD_APPLY(c, resize, attrs, x);
}

/* ---- resize_dx: dy back to the pixels that it came from; only the shape of x is read ------------------------------
 */

static void resize_dx_infer(td_infer *q)
{
	td_shape y;

	if (!ops_need_float(q, "resize_dx") || !resize_shape(q, "resize_dx", q->in[1], &y) ||
		!ops_need_like(q, "resize_dx", 0, &y))
		return;
	q->out[0] = *q->in[1];
	q->out[0].order = q->in[0]->order;
	q->workspace = resize_workspace(q->attrs, q->in[1], &y);
}

static void resize_dx_forward(const td_call *call)
{
	const td_shape *x = call->out[0].shape, *y = call->in[0].shape;
	struct axis_maps m;

	memset(call->out[0].data, 0, td_shape_bytes(x));
	if (((const td_resize_attrs *)call->attrs)->mode != TD_RESIZE_NEAREST) {
		resample(call, TD_PICK(x->dtype, k_resample_dx), &call->out[0], &call->in[0], x, y);
		return;
	}
	axis_maps_fill(&m, call->workspace, y, IMAGE_AXES, nearest_place, &(struct resizing){ call->attrs, x, y });
	axis_put(call, &call->out[0], &call->in[0], &m);
}

static void resize_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_resize(c, dy[0], n->attrs);
}

static td_value *resize_dx_apply_nearest(td_ctx *c, td_value *const *in)
{
	return td_resize_dx(c, in[0], in[1], &(td_resize_attrs){ .size = { 7, 3 } });
}
static td_value *resize_dx_apply_bilinear(td_ctx *c, td_value *const *in)
{
	return td_resize_dx(c, in[0], in[1], &(td_resize_attrs){ .size = { 7, 3 }, .mode = TD_RESIZE_BILINEAR });
}

static bool resize_dx_sample(int i, td_sample *s)
{
	s->apply = i % 2 ? resize_dx_apply_bilinear : resize_dx_apply_nearest;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 7, 3);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 2, 3, 4, 5);
	s->in[0].shape.order = i / 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = s->in[1].batched = true;
	s->in[1].fixed = true;
	return i < 4;
}

TD_OP(resize_dx, .n_in = 2, .n_out = 1, .shape_only = 2, .attrs_size = sizeof(td_resize_attrs), .fields = resize_fields,
	.infer = resize_dx_infer, .forward = { resize_dx_forward }, .backward = resize_dx_backward,
	.sample = resize_dx_sample)

/* ATTRS: of the resize that made y. */
TD_API td_value *td_resize_dx(td_ctx *c, td_value *dy, td_value *x, const td_resize_attrs *attrs)
{
	return dy && x ? TD_APPLY(c, resize_dx, attrs, dy, x) : NULL;
}
