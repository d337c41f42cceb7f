/* Layers that compute nothing or almost nothing: other shapes, and several inputs made one. */
#include "nn/layers.h"

static double no_flops(const struct nn_layer *l)
{
	(void)l;
	return 0;
}

/* ---- identity ---------------------------------------------------------------------------------------------------- */

static td_value *identity_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	(void)p;
	(void)l;
	return x[0];
}

static void identity_torch(const struct nn_layer *l, struct buf *out)
{
	(void)l;
	buf_puts(out, "nn.Identity()");
}

const struct nn_layer_type nn_identity = {
	.type = { .name = "identity", .doc = "What comes in, as torch.nn.Identity." },
	.takes_tokens = true,
	.forward = identity_forward,
	.flops = no_flops,
	.torch = identity_torch,
};

/* ---- flatten: [N, a, b, ...] becomes [N, a*b*...], in C, H, W order ---------------------------------------------- */

struct flatten_options {
	int64_t start_dim, end_dim;
};

static const struct opt flatten_opts[] = { NN_AXIS_ROW(flatten_options, start_dim, "1",
						   "The first of the axes that become one."),
	NN_AXIS_ROW(flatten_options, end_dim, "-1", "The last of them.") };

/* Axis FROM to axis TO become one. */
static void flatten_axes(const struct nn_layer *l, int *from, int *to)
{
	const struct flatten_options *o = l->options;

	*from = nn_axis(o->start_dim, l->in[0].rank);
	*to = nn_axis(o->end_dim, l->in[0].rank);
}

static bool flatten_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct flatten_options *o = l->options;
	int from, to;
	char in[TD_SHAPE_TEXT];

	flatten_axes(l, &from, &to);
	return (from > 0 && to >= from) || l->in[0].rank == 1 ||
	       nn_refuse(b, l,
		       "flatten: start_dim %lld and end_dim %lld must be axes of %s from %s behind the batch, axis 0, "
		       "in this order",
		       (long long)o->start_dim, (long long)o->end_dim, td_shape_text(&l->in[0], in),
		       nn_source(b, l, 0));
}

static td_value *flatten_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	int64_t dims[TD_MAX_RANK];
	int from, to, rank = l->in[0].rank, n = 0;

	flatten_axes(l, &from, &to);
	if (to == rank - 1)
		return td_flatten(p->c, x[0], from);
	for (int i = 0; i < rank; i++)
		if (i <= from || i > to)
			dims[n++] = i == from ? -1 : TD_SIZE_OF(i);
	return td_reshape(p->c, x[0], dims, n);
}

static void flatten_torch(const struct nn_layer *l, struct buf *out)
{
	const struct flatten_options *o = l->options;

	if (o->start_dim == 1 && o->end_dim == -1)
		buf_puts(out, "nn.Flatten()");
	else
		buf_printf(out, "nn.Flatten(%lld, %lld)", (long long)o->start_dim, (long long)o->end_dim);
}

const struct nn_layer_type nn_flatten = {
	.type = OPT_TYPE(
		flatten, "Several axes become one, all but the first where nothing is said, as torch.nn.Flatten."),
	.build = flatten_build,
	.forward = flatten_forward,
	.flops = no_flops,
	.torch = flatten_torch,
};

/* ---- unflatten: one axis becomes several ------------------------------------------------------------------------- */

struct unflatten_options {
	int64_t dim;
	struct opt_ints unflattened_size;
};

static const struct opt unflatten_opts[] = { NN_AXIS_ROW(unflatten_options, dim, "1", "The axis."),
	{ NN_ROW(unflatten_options, unflattened_size), .kind = OPT_INTS, .least = 1, .most = TD_MAX_RANK - 1, .low = -1,
		.high = 1e12, .required = true, .doc = "Sizes of what it becomes; one may be -1: what is left." } };

/* Fault where SIZES, of which one may be -1, do not hold COUNT elements. */
static bool sizes_hold(struct nn_builder *b, struct nn_layer *l, const struct opt_ints *sizes, int64_t count)
{
	const char *type = l->type->type.name;
	int64_t given = 1;
	int left = 0;
	char in[TD_SHAPE_TEXT];

	for (int i = 0; i < sizes->n; i++) {
		if (!sizes->items[i])
			return nn_refuse(b, l, "%s: a size is 0; give the size, or -1 for what is left", type);
		left += sizes->items[i] < 0;
		given = nn_product(given, TD_MAX(sizes->items[i], 1));
	}
	if (left > 1)
		return nn_refuse(b, l, "%s: %d sizes are -1; at most one can be what is left", type, left);
	if (left ? count % given : count != given)
		return nn_refuse(b, l,
			"%s: the sizes make %lld elements, but %s from %s has %lld to fill them in each sample; %s",
			type, (long long)given, td_shape_text(&l->in[0], in), nn_source(b, l, 0), (long long)count,
			left ? "use sizes that divide them" : "make both equal, or one size -1");
	return true;
}

static bool unflatten_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct unflatten_options *o = l->options;
	int axis = nn_axis(o->dim, l->in[0].rank);
	char in[TD_SHAPE_TEXT];

	if (axis < 1)
		return nn_refuse(b, l, "unflatten: %s from %s has no axis %lld behind the batch, axis 0",
			td_shape_text(&l->in[0], in), nn_source(b, l, 0), (long long)o->dim);
	if (l->in[0].rank - 1 + o->unflattened_size.n > TD_MAX_RANK)
		return nn_refuse(b, l, "unflatten: %s from %s would have more than %d axes; give fewer sizes",
			td_shape_text(&l->in[0], in), nn_source(b, l, 0), TD_MAX_RANK);
	return sizes_hold(b, l, &o->unflattened_size, l->in[0].dim[axis]);
}

static td_value *unflatten_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct unflatten_options *o = l->options;
	int axis = nn_axis(o->dim, l->in[0].rank), n = 0;
	int64_t dims[TD_MAX_RANK];

	for (int i = 0; i < l->in[0].rank; i++) {
		if (i != axis)
			dims[n++] = TD_SIZE_OF(i);
		for (int k = 0; i == axis && k < o->unflattened_size.n; k++)
			dims[n++] = o->unflattened_size.items[k];
	}
	return td_reshape(p->c, x[0], dims, n);
}

static void unflatten_torch(const struct nn_layer *l, struct buf *out)
{
	const struct unflatten_options *o = l->options;

	buf_printf(out, "nn.Unflatten(%d, (", nn_axis(o->dim, l->in[0].rank));
	for (int k = 0; k < o->unflattened_size.n; k++)
		buf_printf(out, "%lld, ", (long long)o->unflattened_size.items[k]);
	buf_puts(out, "))");
}

const struct nn_layer_type nn_unflatten = {
	.type = OPT_TYPE(unflatten, "One axis becomes several, as torch.nn.Unflatten."),
	.build = unflatten_build,
	.forward = unflatten_forward,
	.flops = no_flops,
	.torch = unflatten_torch,
};

/* ---- reshape: the elements of a sample in another shape ---------------------------------------------------------- */

struct reshape_options {
	struct opt_ints shape; /* without the batch */
};

static const struct opt reshape_opts[] = { { NN_ROW(reshape_options, shape), .kind = OPT_INTS, .least = 1,
	.most = TD_MAX_RANK - 1, .low = -1, .high = 1e12, .required = true,
	.doc = "Sizes of one sample, without the batch; one may be -1: what is left." } };

static bool reshape_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct reshape_options *o = l->options;
	int64_t count = 1;

	for (int i = 1; i < l->in[0].rank; i++)
		count = nn_product(count, l->in[0].dim[i]);
	return sizes_hold(b, l, &o->shape, count);
}

static td_value *reshape_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct reshape_options *o = l->options;
	int64_t dims[TD_MAX_RANK] = { TD_SIZE_OF(0) };

	for (int i = 0; i < o->shape.n; i++)
		dims[i + 1] = o->shape.items[i];
	return td_reshape(p->c, x[0], dims, o->shape.n + 1);
}

static void reshape_call(const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	const struct reshape_options *o = l->options;

	(void)module;
	buf_printf(out, "%s.reshape(%s.shape[0]", x[0], x[0]);
	for (int i = 0; i < o->shape.n; i++)
		buf_printf(out, ", %lld", (long long)o->shape.items[i]);
	buf_puts(out, ")");
}

const struct nn_layer_type nn_reshape = {
	.type = OPT_TYPE(reshape, "The elements of each sample in another shape, as torch.reshape."),
	.build = reshape_build,
	.forward = reshape_forward,
	.flops = no_flops,
	.call = reshape_call,
};

/* ---- transpose: two axes change places --------------------------------------------------------------------------- */

struct transpose_options {
	int64_t dim0, dim1;
};

static const struct opt transpose_opts[] = { NN_AXIS_ROW(transpose_options, dim0, "1", "One axis."),
	NN_AXIS_ROW(transpose_options, dim1, "2", "The other.") };

static bool transpose_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct transpose_options *o = l->options;
	int rank = l->in[0].rank;
	char in[TD_SHAPE_TEXT];

	return (nn_axis(o->dim0, rank) > 0 && nn_axis(o->dim1, rank) > 0) ||
	       nn_refuse(b, l, "transpose: dim0 %lld and dim1 %lld must be axes of %s from %s behind the batch, axis 0",
		       (long long)o->dim0, (long long)o->dim1, td_shape_text(&l->in[0], in), nn_source(b, l, 0));
}

static td_value *transpose_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct transpose_options *o = l->options;
	int rank = l->in[0].rank, a = nn_axis(o->dim0, rank), b = nn_axis(o->dim1, rank), perm[TD_MAX_RANK];

	for (int i = 0; i < rank; i++)
		perm[i] = i == a ? b : i == b ? a : i;
	return td_transpose(p->c, x[0], perm, rank);
}

static void transpose_call(const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	const struct transpose_options *o = l->options;

	(void)module;
	buf_printf(out, "%s.transpose(%lld, %lld)", x[0], (long long)o->dim0, (long long)o->dim1);
}

const struct nn_layer_type nn_transpose = {
	.type = OPT_TYPE(transpose, "Two axes change places, as torch.transpose: [N, T, D] becomes [N, D, T]."),
	.build = transpose_build,
	.forward = transpose_forward,
	.flops = no_flops,
	.call = transpose_call,
};

/* ---- What layers with several inputs say ------------------------------------------------------------------------- */

#define AXIS_NAME 24 /* bytes */

static const char *axis_name(int rank, int axis, char room[AXIS_NAME])
{
	static const char *const image[] = { "batch", "channels", "height", "width" };

	if (rank == 4)
		return image[axis];
	if (rank == 2)
		return axis ? "features" : image[0];
	snprintf(room, AXIS_NAME, "axis %d", axis);
	return room;
}

#define DIFFERENCE_TEXT 200

/* How A and B differ but for axis BUT_FOR: "channels (8 and 1) and width (26 and 24)". */
static const char *difference(const td_shape *a, const td_shape *b, int but_for, char out[DIFFERENCE_TEXT])
{
	char room[AXIS_NAME];
	size_t n = 0;

	if (a->rank != b->rank) {
		snprintf(out, DIFFERENCE_TEXT, "the number of axes (%d and %d)", a->rank, b->rank);
		return out;
	}
	*out = '\0';
	for (int i = 0; i < a->rank && n < DIFFERENCE_TEXT; i++)
		if (i != but_for && a->dim[i] != b->dim[i])
			n += (size_t)snprintf(out + n, DIFFERENCE_TEXT - n, "%s%s (%lld and %lld)", n ? " and " : "",
				axis_name(a->rank, i, room), (long long)a->dim[i], (long long)b->dim[i]);
	return out;
}

/* What makes B like A. */
static const char *remedy(const td_shape *a, const td_shape *b)
{
	if (a->rank != b->rank)
		return "bring one of them to the axes of the other with \"reshape\" or \"flatten\"";
	if (a->rank != 4)
		return "a \"linear\" changes the last axis (in a residual, as its \"shortcut\")";
	if (a->dim[2] != b->dim[2] || a->dim[3] != b->dim[3])
		return "let both shrink the image alike: \"padding\": \"same\" keeps height and width, equal strides "
		       "divide them equally";
	return "a conv2d of kernel_size 1 changes the channels (in a residual, as its \"shortcut\")";
}

/* Fault: inputs 0 and I of L, which does WHAT, differ in more than axis BUT_FOR. */
static bool refuse_difference(struct nn_builder *b, const struct nn_layer *l, int i, int but_for, const char *what)
{
	char first[TD_SHAPE_TEXT], other[TD_SHAPE_TEXT], source[NN_NAME], how[DIFFERENCE_TEXT];

	snprintf(source, sizeof source, "%s", nn_source(b, l, 0));
	return nn_refuse(b, l, "%s: %s from %s and %s from %s differ in %s; %s", what, td_shape_text(&l->in[0], first),
		source, td_shape_text(&l->in[i], other), nn_source(b, l, i),
		difference(&l->in[0], &l->in[i], but_for, how), remedy(&l->in[0], &l->in[i]));
}

/* ---- add: the sum of several inputs ------------------------------------------------------------------------------ */

static bool add_build(struct nn_builder *b, struct nn_layer *l)
{
	for (int i = 1; i < l->n_inputs; i++)
		if (!td_shape_same(&l->in[0], &l->in[i]))
			return refuse_difference(b, l, i, -1, l->type->type.name);
	return true;
}

static td_value *add_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	td_value *sum = x[0];

	for (int i = 1; i < l->n_inputs; i++)
		sum = td_add(p->c, sum, x[i]);
	return sum;
}

static double add_flops(const struct nn_layer *l)
{
	return (double)td_shape_count(&l->out) * (l->n_inputs - 1);
}

static void add_call(const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	(void)module;
	for (int i = 0; i < l->n_inputs; i++)
		buf_printf(out, "%s%s", i ? " + " : "", x[i]);
}

const struct nn_layer_type nn_add = {
	.type = { .name = "add", .doc = "The sum of its inputs, which have one shape." },
	.n_inputs = -1,
	.build = add_build,
	.forward = add_forward,
	.flops = add_flops,
	.call = add_call,
};

/* ---- concat: the inputs one after the other along an axis -------------------------------------------------------- */

static const struct opt concat_opts[] = { NN_AXIS_ROW(
	nn_concat_options, dim, "1", "The axis along which they are joined; the others have the same sizes.") };

static int concat_axis(const struct nn_layer *l)
{
	return nn_axis(((const struct nn_concat_options *)l->options)->dim, l->in[0].rank);
}

static bool concat_build(struct nn_builder *b, struct nn_layer *l)
{
	int axis = concat_axis(l);
	char text[TD_SHAPE_TEXT], name[AXIS_NAME], what[64];

	if (axis < 1)
		return nn_refuse(b, l, "concat: %s from %s has no axis %lld behind the batch, axis 0",
			td_shape_text(&l->in[0], text), nn_source(b, l, 0),
			(long long)((const struct nn_concat_options *)l->options)->dim);
	for (int i = 1; i < l->n_inputs; i++) {
		td_shape fitting = l->in[0];

		fitting.dim[axis] = l->in[i].dim[axis];
		if (td_shape_same(&fitting, &l->in[i]))
			continue;
		snprintf(what, sizeof what, "%s, which joins the %s", l->type->type.name,
			axis_name(l->in[0].rank, axis, name));
		return refuse_difference(b, l, i, axis, what);
	}
	return true;
}

static td_value *concat_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	td_value *joined = x[0];

	for (int i = 1; i < l->n_inputs; i++)
		joined = td_concat(p->c, joined, x[i], concat_axis(l));
	return joined;
}

static void concat_call(const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	(void)module;
	buf_puts(out, "torch.cat((");
	for (int i = 0; i < l->n_inputs; i++)
		buf_printf(out, "%s, ", x[i]);
	buf_printf(out, "), %d)", concat_axis(l));
}

const struct nn_layer_type nn_concat = {
	.type = OPT_TYPE_OF(
		concat, concat_opts, nn_concat_options, "Its inputs one after the other along an axis, as torch.cat."),
	.n_inputs = -1,
	.build = concat_build,
	.forward = concat_forward,
	.flops = no_flops,
	.call = concat_call,
};
