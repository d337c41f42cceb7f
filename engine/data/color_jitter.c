/* color_jitter: torchvision's ColorJitter on values in [0, 1], always in the order of the names below. */
#include "data/image_ops.h"

struct color_jitter_options {
	double brightness, contrast, saturation, hue;
};

/* Factors are uniform in [1 - x, 1 + x], never negative. */
static const struct opt color_jitter_opts[] = {
	{ .name = "brightness",
		.kind = OPT_FLOAT,
		.at = offsetof(struct color_jitter_options, brightness),
		.value = "0",
		.low = 0,
		.high = 10,
		.doc = "Times 1 plus or minus up to this." },
	{ .name = "contrast",
		.kind = OPT_FLOAT,
		.at = offsetof(struct color_jitter_options, contrast),
		.value = "0",
		.low = 0,
		.high = 10,
		.doc = "Distance from the mean of the grey picture times 1 plus or minus up to this." },
	{ .name = "saturation",
		.kind = OPT_FLOAT,
		.at = offsetof(struct color_jitter_options, saturation),
		.value = "0",
		.low = 0,
		.high = 10,
		.doc = "Distance from the grey picture times 1 plus or minus up to this." },
	{ .name = "hue",
		.kind = OPT_FLOAT,
		.at = offsetof(struct color_jitter_options, hue),
		.value = "0",
		.low = 0,
		.high = 0.5,
		.doc = "Turn of the colour circle, up to this share of it either way." },
};

static bool color_jitter_plan(const void *options, struct extent *x, const char *pointer, struct faults *faults)
{
	(void)options;
	if (x->channels != 1 && x->channels != 3)
		faults_add(faults, pointer,
			"color_jitter knows grey and RGB pictures, but these have %lld channels; leave it out",
			(long long)x->channels);
	return x->channels == 1 || x->channels == 3;
}

static float unit(float x)
{
	return x < 0 ? 0 : x > 1 ? 1 : x;
}

static float grey(float r, float g, float b)
{
	return 0.2989f * r + 0.587f * g + 0.114f * b;
}

/* Each value's distance from WITH, times FACTOR. */
static float blend(float x, float with, float factor)
{
	return unit(factor * x + (1 - factor) * with);
}

static void brighten(struct picture *p, float factor)
{
	int64_t n = p->channels * p->height * p->width;

	for (int64_t i = 0; i < n; i++)
		p->at[i] = unit(factor * p->at[i]);
}

static void change_contrast(struct picture *p, float factor)
{
	int64_t area = p->height * p->width, n = p->channels * area;
	double sum = 0;
	float mean;

	for (int64_t i = 0; i < area; i++)
		sum += (double)(p->channels == 1 ? p->at[i] : grey(p->at[i], p->at[area + i], p->at[2 * area + i]));
	mean = (float)(sum / (double)area);
	for (int64_t i = 0; i < n; i++)
		p->at[i] = blend(p->at[i], mean, factor);
}

static void saturate(struct picture *p, float factor)
{
	int64_t area = p->height * p->width;

	for (int64_t i = 0; i < area; i++) {
		float with = grey(p->at[i], p->at[area + i], p->at[2 * area + i]);

		for (int c = 0; c < 3; c++)
			p->at[c * area + i] = blend(p->at[c * area + i], with, factor);
	}
}

static float most_of(float a, float b, float c)
{
	return a > b ? (a > c ? a : c) : (b > c ? b : c);
}

/* Red, green, blue to hue (of a circle of 6) and back, in place: only the hue changes, by TURN of the circle. */
static void turn_hue(float *r, float *g, float *b, float turn)
{
	float most = most_of(*r, *g, *b), least = -most_of(-*r, -*g, -*b), range = most - least, hue, part, falls,
	      rises;

	if (range == 0)
		return;
	hue = most == *r ? (*g - *b) / range : most == *g ? 2 + (*b - *r) / range : 4 + (*r - *g) / range;
	hue += turn * 6; /* from -4 to 8 */
	hue += hue < 0 ? 6 : 0;
	hue -= hue >= 6 ? 6 : 0;
	part = hue - (float)(int)hue;
	falls = most - range * part;
	rises = most - range * (1 - part);
	switch ((int)hue) {
	case 0: *r = most, *g = rises, *b = least; break;
	case 1: *r = falls, *g = most, *b = least; break;
	case 2: *r = least, *g = most, *b = rises; break;
	case 3: *r = least, *g = falls, *b = most; break;
	case 4: *r = rises, *g = least, *b = most; break;
	default: *r = most, *g = least, *b = falls; break;
	}
}

static td_status color_jitter_apply(const void *options, struct picture *p, const struct draws *d, struct err *e)
{
	const struct color_jitter_options *o = options;
	const double amount[3] = { o->brightness, o->contrast, o->saturation };
	int64_t area = p->height * p->width;
	float factor[3], turn = (float)draw_between(d, 3, -o->hue, o->hue);

	(void)e;
	for (int k = 0; k < 3; k++)
		factor[k] = (float)draw_between(d, k, TD_MAX(0, 1 - amount[k]), 1 + amount[k]);
	if (o->brightness > 0)
		brighten(p, factor[0]);
	if (o->contrast > 0)
		change_contrast(p, factor[1]);
	if (o->saturation > 0 && p->channels == 3)
		saturate(p, factor[2]);
	if (o->hue > 0 && p->channels == 3)
		for (int64_t i = 0; i < area; i++)
			turn_hue(&p->at[i], &p->at[area + i], &p->at[2 * area + i], turn);
	return TD_OK;
}

const struct image_op augment_color_jitter = {
	.type = OPT_TYPE(color_jitter, "Other brightness, contrast, saturation and hue, each by chance."),
	.for_images = true,
	.plan = color_jitter_plan,
	.apply = color_jitter_apply,
};
