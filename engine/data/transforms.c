/* Transforms: what happens to every sample, in training and in evaluation. */
#include "data/image_ops.h"

#include <string.h>

bool image_ops_plan(const struct opt_choices *list, const char *name, struct extent *x, struct faults *faults)
{
	bool fits = true;

	for (int i = 0; i < list->n; i++) {
		const struct opt_choice *c = &list->items[i];
		char *pointer = mem_printf("/data/%s/%d", name, i);

		if (c->type && image_op_of(c)->for_images && !x->is_image) {
			faults_add(faults, pointer, "%s works on pictures, but these data are none; leave it out",
				c->type->name);
			fits = false;
		} else if (c->type && image_op_of(c)->plan) {
			fits &= image_op_of(c)->plan(c->options, x, pointer, faults);
		}
		mem_free(pointer);
	}
	return fits;
}

/* ---- normalize: (x - mean) / std, by channel, on values in [0, 1]; torchvision's Normalize behind ToTensor ----- */

struct normalize_options {
	struct opt_floats mean, std; /* one for each channel, or one for all */
};

static const struct opt normalize_opts[] = {
	{ .name = "mean",
		.kind = OPT_FLOATS,
		.at = offsetof(struct normalize_options, mean),
		.low = -1e6,
		.high = 1e6,
		.most = CHANNELS_MOST,
		.required = true,
		.doc = "Subtracted from each channel's values, which are in [0, 1]." },
	{ .name = "std",
		.kind = OPT_FLOATS,
		.at = offsetof(struct normalize_options, std),
		.low = 1e-6,
		.high = 1e6,
		.most = CHANNELS_MOST,
		.required = true,
		.doc = "Divides what is left." },
};

static bool check_channels(
	const struct opt_floats *list, const char *name, int64_t n_channels, const char *pointer, struct faults *faults)
{
	char *at;

	if (list->n <= 1 || list->n == n_channels)
		return true;
	at = mem_printf("%s/%s", pointer, name);
	faults_add(faults, at,
		"%d values were given, but the data have %lld channel%s; give one value, or one for each channel",
		list->n, (long long)n_channels, n_channels == 1 ? "" : "s");
	mem_free(at);
	return false;
}

static bool normalize_plan(const void *options, struct extent *x, const char *pointer, struct faults *faults)
{
	const struct normalize_options *o = options;
	bool mean = check_channels(&o->mean, "mean", x->channels, pointer, faults),
	     std = check_channels(&o->std, "std", x->channels, pointer, faults);

	return mean && std;
}

static void normalize_scale(const void *options, int64_t channels, struct scaling *s)
{
	const struct normalize_options *o = options;

	for (int64_t c = 0; c < channels; c++) {
		s->mean[c] = o->mean.items[o->mean.n == 1 ? 0 : c];
		s->std[c] = o->std.items[o->std.n == 1 ? 0 : c];
	}
}

static const struct image_op normalize = {
	.type = OPT_TYPE(normalize, "(x - mean) / std for each channel, on values in [0, 1]."),
	.plan = normalize_plan,
	.scale = normalize_scale,
};

/* ---- standardize: the same with the training split's own numbers ----------------------------------------------- */

static void standardize_scale(const void *options, int64_t channels, struct scaling *s)
{
	(void)options;
	for (int64_t c = 0; c < channels; c++) { /* until it is fitted */
		s->mean[c] = 0;
		s->std[c] = 1;
	}
}

static const struct image_op standardize = {
	.type = { .name = "standardize",
		.doc = "(x - mean) / std with each channel's mean and standard deviation over the training split." },
	.scale = standardize_scale,
	.is_fitted = true,
};

/* ---- resize: Pillow's antialiased bilinear --------------------------------------------------------------------- */

static const char *const interpolation_names[] = { "bilinear", NULL };

struct resize_options {
	int64_t size[2]; /* height and width; a width of 0: the height is the shorter side's */
	int interpolation;
};

static const struct opt resize_opts[] = {
	{ .name = "size",
		.kind = OPT_PAIR,
		.at = offsetof(struct resize_options, size),
		.low = 1,
		.high = 4096,
		.alone = true,
		.required = true,
		.doc = "The shorter side, which keeps the proportions, or [height, width]." },
	{ .name = "interpolation",
		.kind = OPT_ENUM,
		.at = offsetof(struct resize_options, interpolation),
		.value = "\"bilinear\"",
		.names = interpolation_names,
		.doc = "How pixels are mixed: antialiased bilinear, as Pillow does." },
};

/* torchvision's Resize of one number: the shorter side is SIZE, the longer one is rounded down. */
static void resized(
	const struct resize_options *o, int64_t in_height, int64_t in_width, int64_t *height, int64_t *width)
{
	*height = o->size[0];
	*width = o->size[1];
	if (!o->size[1])
		resize_cover(in_height, in_width, o->size[0], o->size[0], height, width);
}

static bool resize_plan(const void *options, struct extent *x, const char *pointer, struct faults *faults)
{
	const struct resize_options *o = options;

	(void)pointer;
	(void)faults;
	if (x->height || o->size[1])
		resized(o, x->height, x->width, &x->height, &x->width);
	return true;
}

static td_status resize_op(const void *options, struct picture *p, const struct draws *d, struct err *e)
{
	struct window whole = { 0, 0, p->height, p->width };
	int64_t height, width;

	(void)d;
	resized(options, p->height, p->width, &height, &width);
	if (width > RESIZE_SIDE_MOST || height > RESIZE_SIDE_MOST)
		return err_set(e, TD_TOO_LARGE, "a picture of %lld x %lld would become one of %lld x %lld",
			(long long)p->height, (long long)p->width, (long long)height, (long long)width);
	if (height == p->height && width == p->width)
		return TD_OK;
	return picture_resize(p, whole, height, width, e);
}

static const struct image_op resize = {
	.type = OPT_TYPE(resize, "Another size, by Pillow's antialiased bilinear."),
	.for_images = true,
	.plan = resize_plan,
	.apply = resize_op,
	.any_size = true,
	.on_bytes = true,
};

/* ---- center_crop ----------------------------------------------------------------------------------------------- */

struct center_crop_options {
	int64_t size[2];
};

static const struct opt center_crop_opts[] = {
	{ .name = "size",
		.kind = OPT_PAIR,
		.at = offsetof(struct center_crop_options, size),
		.low = 1,
		.high = 4096,
		.required = true,
		.doc = "Height and width of the middle that stays; a smaller picture gets a border of zeros." },
};

static bool center_crop_plan(const void *options, struct extent *x, const char *pointer, struct faults *faults)
{
	const struct center_crop_options *o = options;

	(void)pointer;
	(void)faults;
	x->height = o->size[0];
	x->width = o->size[1];
	return true;
}

/* A border is shared out as torchvision does: the smaller half before. */
static int64_t middle(int64_t size, int64_t crop)
{
	return crop > size ? -((crop - size) / 2) : resize_centre(size, crop);
}

static td_status center_crop_op(const void *options, struct picture *p, const struct draws *d, struct err *e)
{
	const struct center_crop_options *o = options;
	struct window from = { middle(p->height, o->size[0]), middle(p->width, o->size[1]), o->size[0], o->size[1] };

	(void)d;
	return picture_crop(p, from, false, e);
}

static const struct image_op center_crop = {
	.type = OPT_TYPE(center_crop, "The middle of the picture."),
	.for_images = true,
	.plan = center_crop_plan,
	.apply = center_crop_op,
};

/* ---- one_hot --------------------------------------------------------------------------------------------------- */

static const struct image_op one_hot = {
	.type = { .name = "one_hot", .doc = "Classes as vectors of shares: 1 at the class, 0 elsewhere." },
	.for_targets = true,
};

static const struct opt_type *const types[] = { &normalize.type, &standardize.type, &resize.type, &center_crop.type,
	&one_hot.type };

const struct opt_family data_transforms = { .name = "transform", .types = types, .n_types = TD_COUNT(types) };
