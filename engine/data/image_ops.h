/* What is done to inputs between a pack and a batch: transforms, and augmentations before them.
 *
 * An operation is one block: its options, what it makes of a size (known before any data is), and what it does.  Those
 * of one kind, (x - mean) / std by channel, are only described; they apply to arrays as well, and where nothing moves
 * pixels they are folded into a table of the 256 bytes.  Randomness is addressed, never remembered: a draw depends on
 * (seed, epoch, sample, place of the operation, which draw). */
#ifndef TD_DATA_IMAGE_OPS_H
#define TD_DATA_IMAGE_OPS_H

#include "base/rng.h"
#include "data/data.h"
#include "data/resize.h"

#define OPS_MOST      16 /* of a list */
#define CHANNELS_MOST 16 /* entries of a list by channel */

/* What an operation gets and gives, without one sample's numbers. */
struct extent {
	int64_t channels;
	int64_t height, width; /* 0: samples differ */
	bool is_image;         /* height and width are meant; else samples are arrays whose axis 0 is the channel */
};

/* One sample under way: planes of floats, in [0, 1] at first.  Pictures are as large as cameras make them and mostly
 * become small at once, so they stay the pack's bytes until an operation asks for floats. */
struct picture {
	int64_t channels, height, width;
	const uint8_t *source;    /* borrowed; [channels][height][width], while it is still bytes; else NULL */
	float *at;                /* owned; [channels][height][width] */
	float *other;             /* owned; the same room, where the next operation writes */
	int64_t room;             /* floats that each has room for */
	uint8_t *bytes, *resized; /* owned; for resizing */
	int64_t bytes_room, resized_room;
	struct resize plan; /* of the last resize; most samples share it */
};

/* Where a sample's random numbers for one operation live. */
struct draws {
	struct rng_key key;
	uint64_t first;
};

#define DRAWS_MOST 32 /* of one operation on one sample */

/* By channel: (x - mean) / std. */
struct scaling {
	double *mean, *std; /* owned by the arena of the loader; [channels] */
};

struct image_op {
	struct opt_type type; /* first: an opt_choice's type is the operation */
	/* What comes of IN; false: FAULTS says under POINTER why it does not fit.  NULL: the same as before. */
	bool (*plan)(const void *options, struct extent *x, const char *pointer, struct faults *faults);
	/* One of these two; neither: the operation is not on inputs (one_hot), or on whole batches (mixup). */
	td_status (*apply)(const void *options, struct picture *p, const struct draws *d, struct err *e);
	/* Fill S from the options; NULL S: only say that this is a scaling. */
	void (*scale)(const void *options, int64_t channels, struct scaling *s);
	bool any_size;    /* of resize: whatever the size before, the one after is planned */
	bool on_bytes;    /* APPLY works on bytes as well as on floats */
	bool for_images;  /* refused where samples are no pictures */
	bool is_fitted;   /* a scaling whose numbers come from the training split */
	bool for_targets; /* changes targets: classes become shares */
	bool for_batches; /* mixes samples of a batch: mixup.h */
};

extern const struct opt_family data_transforms, data_augmentations;
extern const struct image_op augment_color_jitter, augment_mixup; /* of files of their own */

static inline const struct image_op *image_op_of(const struct opt_choice *c)
{
	return (const struct image_op *)c->type;
}

/* Walk the extents through LIST (choices that could not be read are passed over). */
bool image_ops_plan(const struct opt_choices *list, const char *name, struct extent *x, struct faults *faults);

/* ---- For operations -------------------------------------------------------------------------------------------- */

/* Uniform in [0, 1). */
double draw_unit(const struct draws *d, int k);
double draw_between(const struct draws *d, int k, double low, double high);
/* Uniform in 0 .. n-1. */
int64_t draw_below(const struct draws *d, int k, int64_t n);

/* Begin with BYTES, which stay the caller's and stand for values of byte / 255. */
void picture_begin(struct picture *p, const uint8_t *bytes, int64_t channels, int64_t height, int64_t width);
/* Make sure that AT holds the values.  The pipeline calls it before every operation that is not ON_BYTES. */
td_status picture_floats(struct picture *p, struct err *e);
void picture_release(struct picture *p);
/* OTHER, of the new size, becomes AT. */
void picture_swap(struct picture *p, int64_t height, int64_t width);

struct window {
	int64_t top, left, height, width;
};
/* As Pillow does on bytes: values are rounded to bytes, resized, and become values again.  FROM lies within. */
td_status picture_resize(struct picture *p, struct window from, int64_t height, int64_t width, struct err *e);
/* The window, which may reach beyond the picture: zeros there, or its reflection (torch's "reflect"). */
td_status picture_crop(struct picture *p, struct window from, bool reflect, struct err *e);

#endif
