/* Images made larger (or smaller) without parameters. */
#include "nn/layers.h"

struct upsample_options {
	int64_t size[2]; /* 0: by SCALE_FACTOR */
	double scale_factor;
	int mode;
	bool align_corners;
};

static const char *const modes[] = { "nearest", "bilinear", NULL };
static const td_resize_mode resize_modes[] = { TD_RESIZE_NEAREST, TD_RESIZE_BILINEAR };

static const struct opt upsample_opts[] = {
	{ NN_ROW(upsample_options, size), .kind = OPT_PAIR, .low = 1, .high = NN_SIZE_MOST,
		.doc = "Height and width of the output; give this or scale_factor." },
	{ NN_ROW(upsample_options, scale_factor), .kind = OPT_FLOAT, .low = 0, .above = true, .high = NN_SIZE_MOST,
		.doc = "How many times as high and as wide the output is." },
	{ NN_ROW(upsample_options, mode), .kind = OPT_ENUM, .value = "\"nearest\"", .names = modes,
		.doc = "Take the nearest pixel, or a mean of four, weighted by how near they are." },
	NN_FLAG_ROW(upsample_options, align_corners, "false",
		"Of bilinear: the middles of the corners' pixels stay where they are, instead of the corners."),
};

static bool upsample_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct upsample_options *o = l->options;
	char in[TD_SHAPE_TEXT];

	td_shape_text(&l->in[0], in);
	if (!nn_takes(b, l, 0, NN_IMAGES))
		return false;
	if ((o->size[0] > 0) == (o->scale_factor > 0))
		return nn_refuse(
			b, l, "upsample: give either \"size\" or \"scale_factor\"%s", o->size[0] ? ", not both" : "");
	if (o->align_corners && resize_modes[o->mode] != TD_RESIZE_BILINEAR)
		return nn_refuse(b, l, "upsample: align_corners is for the mode \"bilinear\"");
	for (int i = 2; i < 4; i++)
		if (o->scale_factor > 0 && (double)l->in[0].dim[i] * o->scale_factor < 1)
			return nn_refuse(b, l, "upsample: a scale_factor of %g leaves nothing of %s from %s",
				o->scale_factor, in, nn_source(b, l, 0));
	return true;
}

static td_value *upsample_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct upsample_options *o = l->options;
	td_resize_attrs attrs = { .size = { o->size[0], o->size[1] },
		.scale = { o->scale_factor, o->scale_factor },
		.mode = resize_modes[o->mode],
		.align_corners = o->align_corners };

	return td_resize(p->c, x[0], &attrs);
}

static double upsample_flops(const struct nn_layer *l)
{
	const struct upsample_options *o = l->options;

	return resize_modes[o->mode] == TD_RESIZE_BILINEAR ? 7.0 * (double)td_shape_count(&l->out) : 0;
}

static void upsample_torch(const struct nn_layer *l, struct buf *out)
{
	const struct upsample_options *o = l->options;
	char number[32];

	if (o->size[0])
		buf_printf(out, "nn.Upsample(size=(%lld, %lld)", (long long)o->size[0], (long long)o->size[1]);
	else
		buf_printf(out, "nn.Upsample(scale_factor=%s", json_shortest(o->scale_factor, number));
	buf_printf(out, ", mode=\"%s\"%s)", modes[o->mode], o->align_corners ? ", align_corners=True" : "");
}

const struct nn_layer_type nn_upsample = {
	.type = OPT_TYPE(upsample, "Images of another size, as torch.nn.Upsample."),
	.build = upsample_build,
	.forward = upsample_forward,
	.flops = upsample_flops,
	.torch = upsample_torch,
};
