/* Augmentations that move pixels: what a picture could have been, on training data alone.
 *
 * The geometry and the distributions are torchvision's; the random numbers are this project's own, addressed ones. */
#include "data/image_ops.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

/* ---- random_crop ----------------------------------------------------------------------------------------------- */

static const char *const padding_names[] = { "zeros", "reflect", NULL };

struct random_crop_options {
	int64_t size[2], padding;
	int padding_mode; /* 1: reflect */
};

static const struct opt random_crop_opts[] = {
	{ .name = "size",
		.kind = OPT_PAIR,
		.at = offsetof(struct random_crop_options, size),
		.low = 1,
		.high = 4096,
		.required = true,
		.doc = "Height and width of what is cut out." },
	{ .name = "padding",
		.kind = OPT_INT,
		.at = offsetof(struct random_crop_options, padding),
		.value = "0",
		.low = 0,
		.high = 1024,
		.doc = "Pixels that are added on each side first." },
	{ .name = "padding_mode",
		.kind = OPT_ENUM,
		.at = offsetof(struct random_crop_options, padding_mode),
		.value = "\"zeros\"",
		.names = padding_names,
		.doc = "What is added: zeros, or the picture's reflection." },
};

static bool random_crop_plan(const void *options, struct extent *x, const char *pointer, struct faults *faults)
{
	const struct random_crop_options *o = options;

	if (x->height && (o->size[0] > x->height + 2 * o->padding || o->size[1] > x->width + 2 * o->padding)) {
		faults_add(faults, pointer,
			"%lld x %lld is more than the pictures' %lld x %lld with %lld of padding on each side; give a "
			"smaller \"size\" or more \"padding\"",
			(long long)o->size[0], (long long)o->size[1], (long long)x->height, (long long)x->width,
			(long long)o->padding);
		return false;
	}
	x->height = o->size[0];
	x->width = o->size[1];
	return true;
}

/* Where the crop begins; a picture that is too small for it is put into its middle. */
static int64_t crop_start(const struct draws *d, int k, int64_t size, int64_t padding, int64_t crop)
{
	int64_t spare = size + 2 * padding - crop;

	return (spare < 0 ? spare / 2 : draw_below(d, k, spare + 1)) - padding;
}

static td_status random_crop_apply(const void *options, struct picture *p, const struct draws *d, struct err *e)
{
	const struct random_crop_options *o = options;
	struct window from = { crop_start(d, 0, p->height, o->padding, o->size[0]),
		crop_start(d, 1, p->width, o->padding, o->size[1]), o->size[0], o->size[1] };

	return picture_crop(p, from, o->padding_mode, e);
}

static const struct image_op random_crop = {
	.type = OPT_TYPE(random_crop, "A window at a random place, of the picture with a border."),
	.plan = random_crop_plan,
	.for_images = true,
	.apply = random_crop_apply,
};

/* ---- random_flip ----------------------------------------------------------------------------------------------- */

struct random_flip_options {
	double p;
	bool vertical;
};

static const struct opt random_flip_opts[] = {
	{ .name = "p",
		.kind = OPT_FLOAT,
		.at = offsetof(struct random_flip_options, p),
		.value = "0.5",
		.low = 0,
		.high = 1,
		.doc = "How probable it is." },
	{ .name = "vertical",
		.kind = OPT_BOOL,
		.at = offsetof(struct random_flip_options, vertical),
		.value = "false",
		.doc = "Upside down instead of left to right." },
};

static td_status random_flip_apply(const void *options, struct picture *p, const struct draws *d, struct err *e)
{
	const struct random_flip_options *o = options;
	int64_t rows = p->channels * p->height;

	(void)e;
	if (draw_unit(d, 0) >= o->p)
		return TD_OK;
	for (int64_t r = 0; r < rows; r++) {
		int64_t y = r % p->height, source = o->vertical ? r - y + p->height - 1 - y : r;
		const float *from = p->at + source * p->width;
		float *to = p->other + r * p->width;

		if (o->vertical)
			memcpy(to, from, sizeof *to * (size_t)p->width);
		for (int64_t x = 0; !o->vertical && x < p->width; x++)
			to[x] = from[p->width - 1 - x];
	}
	picture_swap(p, p->height, p->width);
	return TD_OK;
}

static const struct image_op random_flip = {
	.type = OPT_TYPE(random_flip, "The mirror image, by chance."),
	.for_images = true,
	.apply = random_flip_apply,
};

/* ---- random_rotation ------------------------------------------------------------------------------------------- */

struct random_rotation_options {
	double degrees;
};

static const struct opt random_rotation_opts[] = {
	{ .name = "degrees",
		.kind = OPT_FLOAT,
		.at = offsetof(struct random_rotation_options, degrees),
		.low = 0,
		.high = 180,
		.required = true,
		.doc = "The angle is uniform between minus this and this." },
};

/* The four pixels about a point, and how much each counts; what lies outside counts nothing. */
struct taps {
	int64_t at[4];
	float weight[4];
};

static struct taps taps_at(const struct picture *p, double y, double x)
{
	int64_t top = (int64_t)floor(y), left = (int64_t)floor(x);
	double below = y - (double)top, right = x - (double)left;
	struct taps t = { 0 };

	for (int k = 0; k < 4; k++) {
		int64_t row = top + k / 2, column = left + k % 2;

		if (row < 0 || row >= p->height || column < 0 || column >= p->width)
			continue;
		t.at[k] = row * p->width + column;
		t.weight[k] = (float)((k / 2 ? below : 1 - below) * (k % 2 ? right : 1 - right));
	}
	return t;
}

static td_status random_rotation_apply(const void *options, struct picture *p, const struct draws *d, struct err *e)
{
	const struct random_rotation_options *o = options;
	double angle = draw_between(d, 0, -o->degrees, o->degrees) * PI / 180;
	double cosine = cos(angle), sine = sin(angle);
	double middle_y = (double)(p->height - 1) / 2, middle_x = (double)(p->width - 1) / 2;
	int64_t area = p->height * p->width;

	(void)e;
	/* Counter-clockwise, as one sees it; each output pixel asks the input where it came from. */
	for (int64_t i = 0; i < area; i++) {
		int64_t row = i / p->width, column = i % p->width;
		double y = (double)row - middle_y, x = (double)column - middle_x;
		struct taps t = taps_at(p, sine * x + cosine * y + middle_y, cosine * x - sine * y + middle_x);
		const float *plane = p->at;

		for (int64_t c = 0; c < p->channels; c++, plane += area)
			p->other[c * area + i] = t.weight[0] * plane[t.at[0]] + t.weight[1] * plane[t.at[1]] +
						 t.weight[2] * plane[t.at[2]] + t.weight[3] * plane[t.at[3]];
	}
	picture_swap(p, p->height, p->width);
	return TD_OK;
}

static const struct image_op random_rotation = {
	.type = OPT_TYPE(random_rotation, "Turned about its middle, bilinear, with zeros where nothing was."),
	.for_images = true,
	.apply = random_rotation_apply,
};

/* ---- random_resized_crop --------------------------------------------------------------------------------------- */

#define CROP_ATTEMPTS 10 /* torchvision's */

struct random_resized_crop_options {
	int64_t size[2];
	double scale[2], ratio[2];
};

static const struct opt random_resized_crop_opts[] = {
	{ .name = "size",
		.kind = OPT_PAIR,
		.at = offsetof(struct random_resized_crop_options, size),
		.low = 1,
		.high = 4096,
		.required = true,
		.doc = "Height and width of the result." },
	{ .name = "scale",
		.kind = OPT_FLOATS2,
		.at = offsetof(struct random_resized_crop_options, scale),
		.value = "[0.08, 1]",
		.low = 0,
		.above = true,
		.high = 1,
		.doc = "Least and greatest share of the picture's area." },
	{ .name = "ratio",
		.kind = OPT_FLOATS2,
		.at = offsetof(struct random_resized_crop_options, ratio),
		.value = "[0.75, 1.3333333333333333]",
		.low = 0.01,
		.high = 100,
		.doc = "Least and greatest width for a height of 1." },
};

static bool check_ascending(const double pair[2], const char *name, const char *pointer, struct faults *faults)
{
	char *at;

	if (pair[0] <= pair[1])
		return true;
	at = mem_printf("%s/%s", pointer, name);
	faults_add(faults, at, "[%g, %g] is no range; the smaller number comes first", pair[0], pair[1]);
	mem_free(at);
	return false;
}

static bool random_resized_crop_plan(const void *options, struct extent *x, const char *pointer, struct faults *faults)
{
	const struct random_resized_crop_options *o = options;

	if (!check_ascending(o->scale, "scale", pointer, faults) ||
		!check_ascending(o->ratio, "ratio", pointer, faults))
		return false;
	x->height = o->size[0];
	x->width = o->size[1];
	return true;
}

/* The middle, as large as the bounds of the ratio allow: where no attempt fits. */
static struct window widest_middle(const struct random_resized_crop_options *o, const struct picture *p)
{
	double ratio = (double)p->width / (double)p->height;
	struct window w = { .height = p->height, .width = p->width };

	if (ratio < o->ratio[0])
		w.height = TD_MIN((int64_t)lrint((double)p->width / o->ratio[0]), p->height);
	else if (ratio > o->ratio[1])
		w.width = TD_MIN((int64_t)lrint((double)p->height * o->ratio[1]), p->width);
	w.height = TD_MAX(w.height, 1);
	w.width = TD_MAX(w.width, 1);
	w.top = (p->height - w.height) / 2;
	w.left = (p->width - w.width) / 2;
	return w;
}

static struct window random_window(
	const struct random_resized_crop_options *o, const struct picture *p, const struct draws *d)
{
	double area = (double)(p->height * p->width), low = log(o->ratio[0]), high = log(o->ratio[1]);

	for (int k = 0; k < CROP_ATTEMPTS; k++) {
		double target = area * draw_between(d, 2 * k, o->scale[0], o->scale[1]);
		double ratio = exp(draw_between(d, 2 * k + 1, low, high));
		int64_t width = lrint(sqrt(target * ratio)), height = lrint(sqrt(target / ratio));

		if (width > 0 && width <= p->width && height > 0 && height <= p->height)
			return (struct window){ draw_below(d, 2 * CROP_ATTEMPTS, p->height - height + 1),
				draw_below(d, 2 * CROP_ATTEMPTS + 1, p->width - width + 1), height, width };
	}
	return widest_middle(o, p);
}

static td_status random_resized_crop_apply(const void *options, struct picture *p, const struct draws *d, struct err *e)
{
	const struct random_resized_crop_options *o = options;

	return picture_resize(p, random_window(o, p, d), o->size[0], o->size[1], e);
}

static const struct image_op random_resized_crop = {
	.type = OPT_TYPE(random_resized_crop, "A window of random place, area and proportions, resized."),
	.plan = random_resized_crop_plan,
	.for_images = true,
	.apply = random_resized_crop_apply,
	.on_bytes = true,
};

/* ---- cutout ---------------------------------------------------------------------------------------------------- */

struct cutout_options {
	int64_t size;
	double p;
};

static const struct opt cutout_opts[] = {
	{ .name = "size",
		.kind = OPT_INT,
		.at = offsetof(struct cutout_options, size),
		.low = 1,
		.high = 4096,
		.required = true,
		.doc = "Side of the square; what lies beyond the picture is cut off." },
	{ .name = "p",
		.kind = OPT_FLOAT,
		.at = offsetof(struct cutout_options, p),
		.value = "1",
		.low = 0,
		.high = 1,
		.doc = "How probable it is." },
};

static td_status cutout_apply(const void *options, struct picture *p, const struct draws *d, struct err *e)
{
	const struct cutout_options *o = options;
	int64_t top = draw_below(d, 1, p->height) - o->size / 2, left = draw_below(d, 2, p->width) - o->size / 2;
	int64_t bottom = TD_MIN(top + o->size, p->height), right = TD_MIN(left + o->size, p->width);

	(void)e;
	if (draw_unit(d, 0) >= o->p)
		return TD_OK;
	top = TD_MAX(top, 0);
	left = TD_MAX(left, 0);
	for (int64_t c = 0; c < p->channels; c++)
		for (int64_t y = top; y < bottom; y++)
			memset(p->at + (c * p->height + y) * p->width + left, 0,
				sizeof *p->at * (size_t)(right - left));
	return TD_OK;
}

static const struct image_op cutout = {
	.type = OPT_TYPE(cutout, "Zeros in a square about a random pixel (DeVries and Taylor, 2017)."),
	.for_images = true,
	.apply = cutout_apply,
};

/* ---- The table ------------------------------------------------------------------------------------------------- */

static const struct opt_type *const types[] = { &random_crop.type, &random_flip.type, &random_rotation.type,
	&random_resized_crop.type, &cutout.type, &augment_color_jitter.type, &augment_mixup.type };

const struct opt_family data_augmentations = { .name = "augmentation", .types = types, .n_types = TD_COUNT(types) };
