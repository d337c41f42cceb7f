/* Pooling: windows of images, or of rows, which are images with a height of 1; and means over all that there is. */
#include "nn/layers.h"

/* ---- Windows: what max and average have in common ---------------------------------------------------------------- */

/* Options of all four; a layer reads those that its rows fill. */
struct window_options {
	int64_t kernel_size[2], stride[2], padding[2], dilation[2]; /* stride 0: the kernel size; dilation 0: 1 */
	int64_t divisor_override;                                   /* 0: none */
	bool ceil_mode, count_include_pad;
};

/* The one-dimensional ones; made a window of height 1 by window_of. */
struct row_options {
	int64_t kernel_size, stride, padding, dilation;
	bool ceil_mode, count_include_pad;
};

#define PAIR_ROW(field, least, otherwise, text)                                                                        \
	{                                                                                                              \
		NN_ROW(window_options, field), .kind = OPT_PAIR, .low = (least), .high = NN_SIZE_MOST,                 \
					       .value = (otherwise), .doc = (text)                                     \
	}
#define SIZE_ROW(field, least, otherwise, text)                                                                        \
	{                                                                                                              \
		NN_ROW(row_options, field), .kind = OPT_INT, .low = (least), .high = NN_SIZE_MOST,                     \
					    .value = (otherwise), .doc = (text)                                        \
	}

#define STRIDE_DOC "Step from one window to the next; the kernel size where it is not given."
#define CEIL_DOC   "Also take a last window that begins inside and ends beyond the input."
#define COUNT_DOC  "Divide by the whole window, padding included."
#define SPREAD_DOC "Step from one of a window's elements to the next."

#define WINDOW_ROWS(padding_doc)                                                                                       \
	{ NN_ROW(window_options, kernel_size), .kind = OPT_PAIR, .low = 1, .high = NN_SIZE_MOST, .required = true,     \
		.doc = "Height and width of the windows." },                                                           \
		{ NN_ROW(window_options, stride), .kind = OPT_PAIR, .low = 1, .high = NN_SIZE_MOST,                    \
			.like = "kernel_size", .doc = STRIDE_DOC },                                                    \
		PAIR_ROW(padding, 0, "0", padding_doc), NN_FLAG_ROW(window_options, ceil_mode, "false", CEIL_DOC)
#define ROW_ROWS(padding_doc)                                                                                          \
	{ NN_ROW(row_options, kernel_size), .kind = OPT_INT, .low = 1, .high = NN_SIZE_MOST, .required = true,         \
		.doc = "Length of the windows." },                                                                     \
		{ NN_ROW(row_options, stride), .kind = OPT_INT, .low = 1, .high = NN_SIZE_MOST, .like = "kernel_size", \
			.doc = STRIDE_DOC },                                                                           \
		SIZE_ROW(padding, 0, "0", padding_doc), NN_FLAG_ROW(row_options, ceil_mode, "false", CEIL_DOC)

#define MAX_PADDING_DOC "Minus infinity added on each side; at most half of the kernel size."
#define AVG_PADDING_DOC "Zeros added on each side; at most half of the kernel size."

static const struct opt max_pool2d_opts[] = { WINDOW_ROWS(MAX_PADDING_DOC), PAIR_ROW(dilation, 1, "1", SPREAD_DOC) };
static const struct opt avg_pool2d_opts[] = { WINDOW_ROWS(AVG_PADDING_DOC),
	NN_FLAG_ROW(window_options, count_include_pad, "true", COUNT_DOC),
	{ NN_ROW(window_options, divisor_override), .kind = OPT_INT, .low = 1, .high = NN_FEATURES_MOST,
		.doc = "Divide by this, whatever the window holds." } };
static const struct opt max_pool1d_opts[] = { ROW_ROWS(MAX_PADDING_DOC), SIZE_ROW(dilation, 1, "1", SPREAD_DOC) };
static const struct opt avg_pool1d_opts[] = { ROW_ROWS(AVG_PADDING_DOC),
	NN_FLAG_ROW(row_options, count_include_pad, "true", COUNT_DOC) };

static bool is_row(const struct nn_layer *l)
{
	return l->type == &nn_max_pool1d || l->type == &nn_avg_pool1d;
}

static bool is_average(const struct nn_layer *l)
{
	return l->type == &nn_avg_pool1d || l->type == &nn_avg_pool2d;
}

static struct window_options window_of(const struct nn_layer *l)
{
	struct window_options w;

	if (is_row(l)) {
		const struct row_options *o = l->options;

		w = (struct window_options){ .kernel_size = { 1, o->kernel_size },
			.stride = { 1, o->stride },
			.padding = { 0, o->padding },
			.dilation = { 1, o->dilation },
			.ceil_mode = o->ceil_mode,
			.count_include_pad = o->count_include_pad };
	} else {
		w = *(const struct window_options *)l->options;
	}
	for (int i = 0; i < 2; i++) {
		w.stride[i] = w.stride[i] ? w.stride[i] : w.kernel_size[i];
		w.dilation[i] = TD_MAX(w.dilation[i], 1);
	}
	return w;
}

static bool pool_build(struct nn_builder *b, struct nn_layer *l)
{
	struct window_options w = window_of(l);
	const char *op = l->type->type.name;
	int axes = is_row(l) ? 1 : 2;
	char in[TD_SHAPE_TEXT];

	td_shape_text(&l->in[0], in);
	if (!nn_takes(b, l, 0, axes == 1 ? NN_ROWS : NN_IMAGES))
		return false;
	for (int i = 2 - axes; i < 2; i++) {
		int64_t size = l->in[0].dim[axes + i] + 2 * w.padding[i],
			reach = (w.kernel_size[i] - 1) * w.dilation[i] + 1;

		if (w.padding[i] > reach / 2)
			return nn_refuse(b, l,
				"%s: padding %lld is more than half of kernel_size %lld; some windows would be empty",
				op, (long long)w.padding[i], (long long)w.kernel_size[i]);
		if (reach > size)
			return nn_refuse(b, l,
				"%s: kernel_size %lld%s is larger than the padded input, %lld (%s from %s); use a "
				"kernel of at most %lld here, more padding, or less pooling before it",
				op, (long long)w.kernel_size[i], w.dilation[i] > 1 ? " with its dilation" : "",
				(long long)size, in, nn_source(b, l, 0), (long long)((size - 1) / w.dilation[i] + 1));
	}
	return true;
}

static td_value *pool_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	struct window_options w = window_of(l);
	td_pool2d_attrs attrs = { .kernel = { w.kernel_size[0], w.kernel_size[1] },
		.stride = { w.stride[0], w.stride[1] },
		.padding = { w.padding[0], w.padding[1] },
		.dilation = { w.dilation[0], w.dilation[1] },
		.ceil_mode = w.ceil_mode,
		.count_include_pad = w.count_include_pad,
		.divisor_override = w.divisor_override };
	td_value *in = is_row(l) ? nn_row_to_image(p->c, x[0]) : x[0], *y;

	y = is_average(l) ? td_avg_pool2d(p->c, in, &attrs) : td_max_pool2d(p->c, in, &attrs);
	return is_row(l) ? nn_image_to_row(p->c, y) : y;
}

static double pool_flops(const struct nn_layer *l)
{
	struct window_options w = window_of(l);

	return (double)td_shape_count(&l->out) * (double)w.kernel_size[0] * (double)w.kernel_size[1];
}

static void pool_torch(const struct nn_layer *l, struct buf *out)
{
	struct window_options w = window_of(l);
	const char *kind = is_average(l) ? "Avg" : "Max";

	if (is_row(l))
		buf_printf(out, "nn.%sPool1d(%lld, stride=%lld, padding=%lld", kind, (long long)w.kernel_size[1],
			(long long)w.stride[1], (long long)w.padding[1]);
	else
		buf_printf(out, "nn.%sPool2d((%lld, %lld), stride=(%lld, %lld), padding=(%lld, %lld)", kind,
			(long long)w.kernel_size[0], (long long)w.kernel_size[1], (long long)w.stride[0],
			(long long)w.stride[1], (long long)w.padding[0], (long long)w.padding[1]);
	if (is_row(l) && w.dilation[1] > 1)
		buf_printf(out, ", dilation=%lld", (long long)w.dilation[1]);
	else if (w.dilation[0] > 1 || w.dilation[1] > 1)
		buf_printf(out, ", dilation=(%lld, %lld)", (long long)w.dilation[0], (long long)w.dilation[1]);
	if (w.ceil_mode)
		buf_puts(out, ", ceil_mode=True");
	if (is_average(l) && !w.count_include_pad)
		buf_puts(out, ", count_include_pad=False");
	if (w.divisor_override)
		buf_printf(out, ", divisor_override=%lld", (long long)w.divisor_override);
	buf_puts(out, ")");
}

#define POOL(layer, struct_of, text)                                                                                   \
	const struct nn_layer_type nn_##layer = {                                                                      \
		.type = OPT_TYPE_OF(layer, layer##_opts, struct_of, text),                                             \
		.build = pool_build,                                                                                   \
		.forward = pool_forward,                                                                               \
		.flops = pool_flops,                                                                                   \
		.torch = pool_torch,                                                                                   \
	}

POOL(max_pool2d, window_options, "Largest value of each window, as torch.nn.MaxPool2d.");
POOL(avg_pool2d, window_options, "Mean of each window, as torch.nn.AvgPool2d.");
POOL(max_pool1d, row_options, "Largest value of each window of [N, C, L], as torch.nn.MaxPool1d.");
POOL(avg_pool1d, row_options, "Mean of each window of [N, C, L], as torch.nn.AvgPool1d.");

/* ---- Adaptive pools: as many windows as are asked for ------------------------------------------------------------ */

struct cells_options {
	int64_t output_size[2];
};

struct row_cells_options {
	int64_t output_size;
};

static const struct opt cells_opts[] = { { NN_ROW(cells_options, output_size), .kind = OPT_PAIR, .low = 1,
	.high = NN_SIZE_MOST, .required = true,
	.doc = "Height and width of the output, whatever those of the input are." } };
static const struct opt row_cells_opts[] = { { NN_ROW(row_cells_options, output_size), .kind = OPT_INT, .low = 1,
	.high = NN_SIZE_MOST, .required = true, .doc = "Length of the output, whatever that of the input is." } };

static bool has_row_cells(const struct nn_layer *l)
{
	return l->type == &nn_adaptive_avg_pool1d || l->type == &nn_adaptive_max_pool1d;
}

static bool means_cells(const struct nn_layer *l)
{
	return l->type == &nn_adaptive_avg_pool1d || l->type == &nn_adaptive_avg_pool2d;
}

static bool adaptive_build(struct nn_builder *b, struct nn_layer *l)
{
	return nn_takes(b, l, 0, has_row_cells(l) ? NN_ROWS : NN_IMAGES);
}

static td_value *adaptive_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct row_cells_options *r = l->options;
	const struct cells_options *o = l->options;
	td_value *y = has_row_cells(l) ? nn_row_to_image(p->c, x[0]) : x[0];
	int64_t height = has_row_cells(l) ? 1 : o->output_size[0],
		width = has_row_cells(l) ? r->output_size : o->output_size[1];

	y = means_cells(l) ? td_adaptive_avg_pool2d(p->c, y, height, width)
			   : td_adaptive_max_pool2d(p->c, y, height, width);
	return has_row_cells(l) ? nn_image_to_row(p->c, y) : y;
}

static double whole_input_flops(const struct nn_layer *l)
{
	return (double)td_shape_count(&l->in[0]);
}

static void adaptive_torch(const struct nn_layer *l, struct buf *out)
{
	const struct row_cells_options *r = l->options;
	const struct cells_options *o = l->options;

	buf_printf(out, "nn.Adaptive%sPool%s(", means_cells(l) ? "Avg" : "Max", has_row_cells(l) ? "1d" : "2d");
	if (has_row_cells(l))
		buf_printf(out, "%lld)", (long long)r->output_size);
	else
		buf_printf(out, "(%lld, %lld))", (long long)o->output_size[0], (long long)o->output_size[1]);
}

#define ADAPTIVE(layer, rows, text)                                                                                    \
	const struct nn_layer_type nn_##layer = {                                                                      \
		.type = OPT_TYPE_OF(layer, rows##_opts, rows##_options, text),                                         \
		.build = adaptive_build,                                                                               \
		.forward = adaptive_forward,                                                                           \
		.flops = whole_input_flops,                                                                            \
		.torch = adaptive_torch,                                                                               \
	}

ADAPTIVE(adaptive_avg_pool2d, cells, "Means of a given number of windows, as torch.nn.AdaptiveAvgPool2d.");
ADAPTIVE(adaptive_max_pool2d, cells, "Largest values of a given number of windows, as torch.nn.AdaptiveMaxPool2d.");
ADAPTIVE(adaptive_avg_pool1d, row_cells,
	"Means of a given number of windows of [N, C, L], as torch.nn.AdaptiveAvgPool1d.");
ADAPTIVE(adaptive_max_pool1d, row_cells,
	"Largest values of a given number of windows of [N, C, L], as torch.nn.AdaptiveMaxPool1d.");

/* ---- global_avg_pool, global_max_pool: [N, C, H, W] or [N, C, L] becomes [N, C] ---------------------------------- */

static bool global_build(struct nn_builder *b, struct nn_layer *l)
{
	char in[TD_SHAPE_TEXT];

	return l->in[0].rank == 3 || l->in[0].rank == 4 ||
	       nn_refuse(b, l,
		       "%s takes images [N, C, H, W] or rows [N, C, L], but gets %s from %s; put it before \"flatten\" "
		       "and \"linear\", or leave it out",
		       l->type->type.name, td_shape_text(&l->in[0], in), nn_source(b, l, 0));
}

static td_value *global_avg_pool_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	return td_mean(p->c, x[0], l->in[0].rank == 4 ? 1u << 2 | 1u << 3 : 1u << 2, false);
}

static td_value *global_max_pool_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	static const int64_t channels[] = { TD_SIZE_OF(0), TD_SIZE_OF(1) };
	td_value *in = l->in[0].rank == 3 ? nn_row_to_image(p->c, x[0]) : x[0];

	return td_reshape(p->c, td_adaptive_max_pool2d(p->c, in, 1, 1), channels, 2);
}

static void global_call(const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	(void)module;
	buf_printf(out, "%s.%s(%s)", x[0], l->type == &nn_global_max_pool ? "amax" : "mean",
		l->in[0].rank == 4 ? "(2, 3)" : "2");
}

const struct nn_layer_type nn_global_avg_pool = {
	.type = { .name = "global_avg_pool", .doc = "Mean of each channel: [N, C, H, W] or [N, C, L] becomes [N, C]." },
	.build = global_build,
	.forward = global_avg_pool_forward,
	.flops = whole_input_flops,
	.call = global_call,
};

const struct nn_layer_type nn_global_max_pool = {
	.type = { .name = "global_max_pool",
		.doc = "Largest value of each channel: [N, C, H, W] or [N, C, L] becomes [N, C]." },
	.build = global_build,
	.forward = global_max_pool_forward,
	.flops = whole_input_flops,
	.call = global_call,
};
