/* What the three passes of a convolution share: its sizes, the way that it goes, and its split into slices. */
#ifndef OPS_CONV_H
#define OPS_CONV_H

#include "kernels/dnn.h"
#include "ops/ops.h"

struct conv {
	struct k_window w;
	int64_t batch, out_channels, pixels, patch; /* pixels of one result, elements of one patch of one group */
	int64_t groups, out_group;                  /* result channels of a group */
	int n_slices;
	int64_t per_slice;      /* images; the last slice may have fewer */
	int64_t padding_end[2]; /* at the bottom and right; the top's and left's are the window's */
	td_dtype dtype;
	size_t size;
	struct dnn_conv *dnn; /* borrowed; the way is oneDNN's */
	bool plain;           /* the way is the loops' */
	const char *x, *weight, *bias, *dy;
	char *y, *dx, *dw;
	char *scratch;   /* patches, [n_slices, pixels * patch]; of oneDNN the weights in its order */
	char *partials;  /* of the weights' gradient: one for each slice, ... */
	int64_t partial; /* ... of so many elements, */
};

/* Whether the attributes make sense for an image X and a weight W; complains otherwise. */
bool conv_legal(td_infer *q, const td_conv2d_attrs *a, const td_shape *x, const td_shape *w);
void conv_init(struct conv *v, const td_conv2d_attrs *a, const td_shape *x, const td_shape *weight);
void conv_result_shape(const struct conv *v, td_shape *y);

/* Elements of one image and of one result; bytes of one image's patches and of the weights. */
int64_t conv_image_elements(const struct conv *v);
int64_t conv_result_elements(const struct conv *v);
size_t conv_patch_bytes(const struct conv *v);
size_t conv_weight_bytes(const struct conv *v);
/* Where slice I begins in an array with COUNT elements for each image. */
void *conv_slice_of(const struct conv *v, const char *images, int64_t count, int i);

/* Scratch of PASS, whichever way it goes; its handle (NULL: not oneDNN's way); and the run of all slices. */
size_t conv_workspace(const struct conv *v, enum dnn_pass pass);
void *conv_prepare(const struct conv *v, enum dnn_pass pass, bool bias);
void conv_release(void *handle);
void conv_run(struct conv *v, const td_call *call, enum dnn_pass pass, void (*slice)(void *arg, int slice));

#endif
