/* Resizing pictures as Pillow does: antialiased bilinear on bytes.
 *
 * Each output pixel is a weighted mean of the input pixels below a triangle that widens with the factor of reduction.
 * Weights are fixed-point numbers of 22 bits and the horizontal pass is rounded to bytes before the vertical one, so
 * that the bytes equal those of PIL.Image.resize(..., BILINEAR) and of torchvision's Resize on PIL images.  (Pillow 13
 * chooses the order of the passes by their cost: where it begins with the vertical one, some pixels differ by 1.)
 *
 * A plan depends on sizes alone: make it once for pictures of one size.  Pictures are planes of bytes, [C, H, W]. */
#ifndef TD_DATA_RESIZE_H
#define TD_DATA_RESIZE_H

#include <stdint.h>
#include "base/err.h"

#define RESIZE_SIDE_MOST 16384 /* of input and output; sums of weights stay within 32 bits at any side */

/* Of one axis: which inputs an output is made of, and with which weights. */
struct resize_axis {
	int64_t in, out;  /* sizes */
	int64_t n_taps;   /* weights of each output, unused ones 0 */
	int32_t *first;   /* owned; [out]: first input */
	int32_t *n;       /* owned; [out]: how many inputs */
	int32_t *weights; /* owned; [out][n_taps], 1.0 is 1 << 22 */
};

struct resize {
	struct resize_axis x, y;
	uint8_t *between; /* owned; one plane after the horizontal pass, [y.in][x.out] */
};

/* Sizes are from 1 to RESIZE_SIDE_MOST (a broken promise otherwise).  TD_NO_MEMORY. */
td_status resize_init(
	struct resize *r, int64_t height, int64_t width, int64_t out_height, int64_t out_width, struct err *e);
void resize_release(struct resize *r);
/* CHANNELS planes of IN into OUT.  Not from two threads at a time: the plan holds the plane in between. */
void resize_apply(struct resize *r, const uint8_t *in, int64_t channels, uint8_t *out);

/* The smallest size of IN's proportions that covers OUT: where a resize before a centre crop goes.  As torchvision's
 * Resize of one number, the longer side is rounded down. */
void resize_cover(
	int64_t in_height, int64_t in_width, int64_t out_height, int64_t out_width, int64_t *height, int64_t *width);
/* Where a centre crop of CROP out of SIZE begins (torchvision's rounding: half to even). */
int64_t resize_centre(int64_t size, int64_t crop);

#endif
