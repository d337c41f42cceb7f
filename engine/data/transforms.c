/* Transforms: what happens to every value, in training and in evaluation. */
#include "data/data.h"

#include <string.h>

#define CHANNELS_MOST 16 /* entries of a list by channel */

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

static void check_channels(
	const struct opt_floats *list, const char *name, int64_t n_channels, const char *pointer, struct faults *faults)
{
	char *at = mem_printf("%s/%s", pointer, name);

	if (list->n && list->n != 1 && list->n != n_channels)
		faults_add(faults, at,
			"%d values were given, but the images have %lld channel%s; give one value, or one for each "
			"channel",
			list->n, (long long)n_channels, n_channels == 1 ? "" : "s");
	mem_free(at);
}

static void normalize_check(const void *options, int64_t n_channels, const char *pointer, struct faults *faults)
{
	const struct normalize_options *o = options;

	check_channels(&o->mean, "mean", n_channels, pointer, faults);
	check_channels(&o->std, "std", n_channels, pointer, faults);
}

static float normalize_apply(const void *options, int64_t channel, float x)
{
	const struct normalize_options *o = options;
	float mean = (float)o->mean.items[o->mean.n == 1 ? 0 : channel],
	      std = (float)o->std.items[o->std.n == 1 ? 0 : channel];

	return (x - mean) / std;
}

static const struct data_transform_type normalize = {
	.type = { .name = "normalize",
		.doc = "(x - mean) / std for each channel, on values in [0, 1].",
		.options = normalize_opts,
		.n_options = TD_COUNT(normalize_opts),
		.n_bytes = sizeof(struct normalize_options) },
	.check = normalize_check,
	.apply = normalize_apply,
};

static const struct opt_type *const types[] = { &normalize.type };

const struct opt_family data_transforms = { .name = "transform", .types = types, .n_types = TD_COUNT(types) };

/* ---- The table ------------------------------------------------------------------------------------------------- */

void data_table_init(struct data_table *t, const struct opt_choices *transforms, int64_t channels)
{
	t->channels = channels;
	t->value = MEM_NEW_N(float, channels * 256);
	for (int64_t c = 0; c < channels; c++)
		for (int byte = 0; byte < 256; byte++) {
			float x = (float)byte / 255.0f;

			for (int i = 0; i < transforms->n; i++) {
				const struct opt_choice *choice = &transforms->items[i];
				x = ((const struct data_transform_type *)choice->type)->apply(choice->options, c, x);
			}
			t->value[c * 256 + byte] = x;
		}
}

void data_table_release(struct data_table *t)
{
	mem_free(t->value);
	memset(t, 0, sizeof *t);
}
