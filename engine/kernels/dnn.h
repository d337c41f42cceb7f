/* Convolution by oneDNN: float32, images and weights channels-last, one thread a call.
 *
 * A convolution is made ready once for a set of sizes and then runs slice by slice, each slice a number of whole
 * images, on whichever thread asks.  oneDNN wants the weights in an order of its own, so they are brought into it
 * before the slices run, or out of it afterwards.  Buffers are the caller's, but for what oneDNN itself needs while a
 * slice runs.
 *
 * Whether oneDNN is used at all is a table in dnn.c, keyed by sizes and instruction set, never by a measurement at run
 * time: the same sizes give the same bits. */
#ifndef KERNELS_DNN_H
#define KERNELS_DNN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dnn_pass { DNN_FORWARD, DNN_BY_DATA, DNN_BY_WEIGHTS };

/* Sizes of one image and of what it becomes; height before width. */
struct dnn_sizes {
	int64_t channels, filters, groups;
	int64_t image[2], result[2]; /* height, width */
	int64_t kernel[2], stride[2], dilation[2];
	int64_t padding[2], padding_end[2]; /* at the top and left; at the bottom and right, may be negative */
	bool bias;                          /* forward only */
};

/* Whether the table gives PASS with these sizes to oneDNN.  A pure function of the sizes, the instruction set, and
 * whether this process may make code. */
bool dnn_takes(enum dnn_pass pass, const struct dnn_sizes *s);

/* Bytes that hold the weights in oneDNN's order, whichever it chooses. */
size_t dnn_weights_bytes(const struct dnn_sizes *s);

struct dnn_conv;

/* Make PASS ready for N_SLICES slices of PER_SLICE images, of which the last has LAST (0: as the others).  NULL: oneDNN
 * has no fast kernel for it on this processor; the caller must have another way. */
struct dnn_conv *dnn_conv_create(
	enum dnn_pass pass, const struct dnn_sizes *s, int n_slices, int64_t per_slice, int64_t last);
void dnn_conv_free(struct dnn_conv *d);

/* FROM [O, kh, kw, I] into oneDNN's order, at TO (dnn_weights_bytes); and, of a gradient, the way back. */
void dnn_weights_in(struct dnn_conv *d, void *to, const void *from);
void dnn_weights_out(struct dnn_conv *d, void *to, const void *from);
/* Elements of the weights in oneDNN's order. */
int64_t dnn_weights_count(const struct dnn_conv *d);

/* Run slice I.  X: its images; WEIGHTS: in oneDNN's order; BIAS: may be NULL; Y: its results.  Which of them is written
 * is the pass's matter: by data X, by weights WEIGHTS.  Different slices may run at the same time. */
void dnn_conv_slice(struct dnn_conv *d, int i, void *x, void *weights, void *bias, void *y);

/* Version and instruction set, for the fingerprint: "2.6.3-avx512"; "2.6.3-plain" where no code may be made. */
const char *dnn_name(void);

#endif
