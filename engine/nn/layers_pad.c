/* Layers that add a border to images. */
#include "nn/layers.h"

struct pad2d_options {
	struct opt_ints padding;
};

static const struct opt pad2d_opts[] = { { NN_ROW(pad2d_options, padding), .kind = OPT_INTS, .least = 4, .most = 4,
	.alone = true, .low = 0, .high = NN_SIZE_MOST, .required = true,
	.doc = "What is added to the left, the right, the top and the bottom; one number stands for all four." } };

/* left, right, top, bottom */
static void sides_of(const struct nn_layer *l, int64_t sides[4])
{
	const struct pad2d_options *o = l->options;

	for (int i = 0; i < 4; i++)
		sides[i] = o->padding.n == 4 ? o->padding.items[i] : o->padding.n ? o->padding.items[0] : 0;
}

static td_pad_mode mode_of(const struct nn_layer *l)
{
	return l->type == &nn_reflection_pad2d    ? TD_PAD_REFLECT
	       : l->type == &nn_replication_pad2d ? TD_PAD_REPLICATE
						  : TD_PAD_CONSTANT;
}

static bool pad2d_build(struct nn_builder *b, struct nn_layer *l)
{
	char in[TD_SHAPE_TEXT];
	int64_t sides[4];

	td_shape_text(&l->in[0], in);
	sides_of(l, sides);
	if (!nn_takes(b, l, 0, NN_IMAGES))
		return false;
	for (int i = 0; i < 4 && mode_of(l) == TD_PAD_REFLECT; i++) {
		int64_t size = l->in[0].dim[i < 2 ? 3 : 2];

		if (sides[i] >= size)
			return nn_refuse(b, l,
				"reflection_pad2d: a padding of %lld needs a %s of more than that to mirror, and %s "
				"from %s has %lld; use at most %lld",
				(long long)sides[i], i < 2 ? "width" : "height", in, nn_source(b, l, 0),
				(long long)size, (long long)size - 1);
	}
	return true;
}

static td_value *pad2d_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	int64_t sides[4];

	sides_of(l, sides);
	return td_pad(p->c, x[0], sides, 2, mode_of(l), 0);
}

static double pad2d_flops(const struct nn_layer *l)
{
	(void)l;
	return 0;
}

static void pad2d_torch(const struct nn_layer *l, struct buf *out)
{
	int64_t sides[4];

	sides_of(l, sides);
	buf_printf(out, "nn.%sPad2d((%lld, %lld, %lld, %lld))",
		mode_of(l) == TD_PAD_REFLECT     ? "Reflection"
		: mode_of(l) == TD_PAD_REPLICATE ? "Replication"
						 : "Zero",
		(long long)sides[0], (long long)sides[1], (long long)sides[2], (long long)sides[3]);
}

#define PAD2D(layer, text)                                                                                             \
	const struct nn_layer_type nn_##layer = {                                                                      \
		.type = OPT_TYPE_OF(layer, pad2d_opts, pad2d_options, text),                                           \
		.build = pad2d_build,                                                                                  \
		.forward = pad2d_forward,                                                                              \
		.flops = pad2d_flops,                                                                                  \
		.torch = pad2d_torch,                                                                                  \
	}

PAD2D(zero_pad2d, "A border of zeros around images, as torch.nn.ZeroPad2d.");
PAD2D(reflection_pad2d, "A border that mirrors the images, as torch.nn.ReflectionPad2d.");
PAD2D(replication_pad2d, "A border that repeats the images' outermost pixels, as torch.nn.ReplicationPad2d.");
