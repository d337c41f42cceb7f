/* Kernels: naked loops over pointers and sizes, and the one user of OpenBLAS.  No td types, no allocation, no context.
 *
 * Every file of this folder is compiled twice, for float32 and for float64 (TD_REAL), so the reference for gradient
 * checks is the same source.  TD_KERNEL declares both; TD_PICK chooses by element type.
 *
 * Elements are added in an order that the source fixes (lanes and blocks, never what a compiler might choose), and
 * -ffp-contract=off holds, so the instruction set changes the speed of these loops and not their bits. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TD_KERNEL(name, args)                                                                                          \
	void name##_f32 args;                                                                                          \
	void name##_f64 args;
#define TD_PICK(dtype, name) ((dtype) == TD_F64 ? name##_f64 : name##_f32)

#ifdef TD_REAL
#if TD_REAL == 64
typedef double real;
#define K(name)     name##_f64
#define R(function) function
#else
typedef float real;
#define K(name)     name##_f32
#define R(function) function##f
#endif
#endif

/* The same loop once more for AVX2, chosen when the program starts.  Sanitizers run before such choices can be made,
 * and clang names the clones in a way that no other file finds. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TD_VECTOR __attribute__((target_clones("avx2", "default")))
#else
#define TD_VECTOR
#endif

/* One row of an elementwise op: y[i] = f(a[i*sa], b[i*sb]) for i < n; y is contiguous and may be a or b itself. */
typedef void td_row_fn(void *y, const void *a, const void *b, int64_t n, int64_t sa, int64_t sb);
#define TD_ROW (void *y, const void *a, const void *b, int64_t n, int64_t sa, int64_t sb)

TD_KERNEL(k_add, TD_ROW)
TD_KERNEL(k_sub, TD_ROW)
TD_KERNEL(k_mul, TD_ROW)
TD_KERNEL(k_div, TD_ROW)
TD_KERNEL(k_neg, TD_ROW)
TD_KERNEL(k_exp, TD_ROW)
TD_KERNEL(k_log, TD_ROW)
TD_KERNEL(k_sqrt, TD_ROW)
TD_KERNEL(k_square, TD_ROW)
TD_KERNEL(k_relu, TD_ROW)
TD_KERNEL(k_relu_dx, TD_ROW) /* a: dy, b: y */
TD_KERNEL(k_equal, TD_ROW)   /* y: one byte an element */
TD_KERNEL(k_mask, TD_ROW)    /* y = a where the byte b is not 0, else 0 */

/* y[i] = scale * a[i] */
TD_KERNEL(k_scale, (void *y, const void *a, int64_t n, double scale))
TD_KERNEL(k_fill, (void *y, int64_t n, double value))
/* mask[i] = whether element first+i survives with probability 1-p; y = x * mask / (1-p).  mask may be NULL. */
TD_KERNEL(k_dropout, (void *y, uint8_t *mask, const void *x, int64_t first, int64_t n, double p, uint64_t seed,
			     uint32_t stream, uint32_t step))

/* acc[j * so] += x[j * sx] for j < n; with SO == 0 the row's sum, in eight lanes of double. */
TD_KERNEL(k_accumulate, (double *acc, const void *x, int64_t n, int64_t sx, int64_t so))
/* the same of x squared, into acc[0] */
TD_KERNEL(k_accumulate_squares, (double *acc, const void *x, int64_t n))
/* y[i] = acc[i] * scale */
TD_KERNEL(k_store, (void *y, const double *acc, int64_t n, double scale))

/* Rows of N classes: softmax; index of the first largest (NaN counts as larger than all); -log softmax at the label. */
TD_KERNEL(k_softmax, (void *y, const void *x, int64_t n, int64_t stride))
TD_KERNEL(k_argmax, (int64_t * y, const void *x, int64_t n, int64_t stride))
TD_KERNEL(k_cross_entropy, (void *loss, void *lse, const void *x, int64_t label, int64_t n))
TD_KERNEL(k_cross_entropy_dx, (void *dx, const void *x, const void *lse, int64_t label, const void *dy, int64_t n))

/* C[m,n] = op(A)[m,k] op(B)[k,n] + beta C, one thread. */
TD_KERNEL(k_gemm, (bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
			  int64_t ldb, double beta, void *c, int64_t ldc))

/* Before the first product of a process; and which processor's loops OpenBLAS chose, for the fingerprint. */
void k_gemm_one_thread(void);
const char *k_gemm_core(void);

/* Geometry of a 2-d convolution or pool; images are [H, W, C] in memory. */
struct k_window {
	int64_t channels, height, width; /* of one input image */
	int64_t out_height, out_width;
	int64_t kernel[2], stride[2], padding[2];
};
/* One image to patches [out_height * out_width, kernel_h * kernel_w * channels], zeros outside. */
TD_KERNEL(k_im2col, (void *patches, const void *image, const struct k_window *w))
/* The reverse: add every patch to its place in an image that holds zeros. */
TD_KERNEL(k_col2im, (void *image, const void *patches, const struct k_window *w))
/* rows of y = bias (or 0 when NULL), m rows of n */
TD_KERNEL(k_fill_rows, (void *y, const void *bias, int64_t m, int64_t n))
/* One image; which[o, c] is the place in the window of the largest (may be NULL). */
TD_KERNEL(k_max_pool, (void *y, int32_t *which, const void *x, const struct k_window *w))
TD_KERNEL(k_max_pool_dx, (void *dx, const int32_t *which, const void *dy, const struct k_window *w))

struct k_sgd {
	double lr, momentum, dampening, weight_decay;
	bool nesterov, first;
};
TD_KERNEL(k_sgd, (void *param, const void *grad, void *buffer, int64_t n, const struct k_sgd *s))
struct k_adam {
	double lr, beta1, beta2, eps, weight_decay, t;
};
TD_KERNEL(k_adam, (void *param, const void *grad, void *m, void *v, int64_t n, const struct k_adam *s))

/* Rows that copy elements of a size, for transposing and reordering. */
td_row_fn k_copy_1, k_copy_4, k_copy_8;
/* Conversion of one row; tables by element type in convert.c. */
void k_convert(int to, int from, void *y, const void *x, int64_t n, int64_t sx);
td_row_fn k_equal_i64;

#endif
