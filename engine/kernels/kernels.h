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
/* Of what only moves elements, one for each size that elements have. */
#define TD_PICK_SIZE(size, name) ((size) == 1 ? name##_1 : (size) == 4 ? name##_4 : name##_8)

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

/* Of floating values and of integers; bool is one of the bytes. */
#define TD_KERNEL_NUMBERS(name, args)                                                                                  \
	TD_KERNEL(name, args)                                                                                          \
	void name##_i32 args;                                                                                          \
	void name##_i64 args;                                                                                          \
	void name##_u8 args;
#define TD_PICK_NUMBERS(dtype, name)                                                                                   \
	((dtype) == TD_F32          ? name##_f32                                                                       \
		: (dtype) == TD_F64 ? name##_f64                                                                       \
		: (dtype) == TD_I32 ? name##_i32                                                                       \
		: (dtype) == TD_I64 ? name##_i64                                                                       \
				    : name##_u8)

TD_KERNEL_NUMBERS(k_add, TD_ROW) /* integers wrap around */
TD_KERNEL_NUMBERS(k_sub, TD_ROW)
TD_KERNEL_NUMBERS(k_mul, TD_ROW)
TD_KERNEL(k_div, TD_ROW)
TD_KERNEL_NUMBERS(k_remainder, TD_ROW) /* with the sign of b; of integers 0 where b is 0 */
TD_KERNEL_NUMBERS(k_neg, TD_ROW)
TD_KERNEL_NUMBERS(k_square, TD_ROW)
TD_KERNEL_NUMBERS(k_abs, TD_ROW)
TD_KERNEL_NUMBERS(k_sign, TD_ROW)
TD_KERNEL_NUMBERS(k_maximum, TD_ROW) /* NaN wins */
TD_KERNEL_NUMBERS(k_minimum, TD_ROW)
TD_KERNEL(k_maximum_slope, TD_ROW) /* 1 where a > b, 1/2 where they are equal, else 0 */
TD_KERNEL(k_relu, TD_ROW)
TD_KERNEL(k_relu_dx, TD_ROW) /* a: dy, b: y */
/* y: one byte an element */
TD_KERNEL_NUMBERS(k_equal, TD_ROW)
TD_KERNEL_NUMBERS(k_not_equal, TD_ROW)
TD_KERNEL_NUMBERS(k_less, TD_ROW)
TD_KERNEL_NUMBERS(k_less_equal, TD_ROW)
TD_KERNEL(k_is_finite, TD_ROW)
td_row_fn k_and, k_or, k_not; /* of bytes */
/* y = a where the byte b is not 0; other elements of y stay.  By the size of an element. */
td_row_fn k_choose_1, k_choose_4, k_choose_8;

TD_KERNEL(k_exp, TD_ROW)
TD_KERNEL(k_expm1, TD_ROW)
TD_KERNEL(k_log, TD_ROW)
TD_KERNEL(k_log1p, TD_ROW)
TD_KERNEL(k_sqrt, TD_ROW)
TD_KERNEL(k_rsqrt, TD_ROW)
TD_KERNEL(k_reciprocal, TD_ROW)
TD_KERNEL(k_sin, TD_ROW)
TD_KERNEL(k_cos, TD_ROW)
TD_KERNEL(k_erf, TD_ROW)
TD_KERNEL(k_floor, TD_ROW)
TD_KERNEL(k_ceil, TD_ROW)
TD_KERNEL(k_round, TD_ROW)       /* halves to even */
TD_KERNEL_NUMBERS(k_pow, TD_ROW) /* of integers: wraps around; a negative power is 0 but of 1 and -1 */

TD_KERNEL(k_mask, TD_ROW) /* y = a where the byte b is not 0, else 0 */

/* Activations of a, and their derivatives (_slope).  b points at the op's parameters and does not move. */
TD_KERNEL(k_scale_by, TD_ROW) /* b[0] a */
TD_KERNEL(k_shift_by, TD_ROW) /* a + b[0] */
TD_KERNEL(k_pow_by, TD_ROW)   /* a^b[0] */
TD_KERNEL(k_sigmoid, TD_ROW)
TD_KERNEL(k_tanh, TD_ROW)
TD_KERNEL(k_softplus, TD_ROW)
TD_KERNEL(k_gelu, TD_ROW)
TD_KERNEL(k_gelu_slope, TD_ROW)
TD_KERNEL(k_gelu_tanh, TD_ROW)
TD_KERNEL(k_gelu_tanh_slope, TD_ROW)
TD_KERNEL(k_leaky_relu, TD_ROW) /* b[0]: the slope below 0 */
TD_KERNEL(k_leaky_relu_slope, TD_ROW)
TD_KERNEL(k_elu, TD_ROW) /* b[0]: alpha */
TD_KERNEL(k_elu_slope, TD_ROW)
TD_KERNEL_NUMBERS(k_clamp, TD_ROW) /* b[0], b[1]: the bounds, of the type of a */
TD_KERNEL(k_clamp_slope, TD_ROW)

/* y[i] = scale * a[i] */
TD_KERNEL(k_scale, (void *y, const void *a, int64_t n, double scale))

/* Reductions: element j of X goes into acc[j * so], j < n; with SO == 0 the whole row into one, by way of eight lanes.
 * ACC are doubles for floating X and int64 for integers; SHIFT, where it is read, are doubles that lie as ACC does. */
typedef void td_reduce_fn(void *acc, const void *shift, const void *x, int64_t n, int64_t sx, int64_t so);
#define TD_REDUCE (void *acc, const void *shift, const void *x, int64_t n, int64_t sx, int64_t so)
TD_KERNEL_NUMBERS(k_reduce_sum, TD_REDUCE)
TD_KERNEL_NUMBERS(k_reduce_prod, TD_REDUCE)
TD_KERNEL_NUMBERS(k_reduce_max, TD_REDUCE) /* NaN wins */
TD_KERNEL_NUMBERS(k_reduce_min, TD_REDUCE)
TD_KERNEL_NUMBERS(k_reduce_any, TD_REDUCE) /* ACC are int64 for every X: whether it differs from 0 */
TD_KERNEL_NUMBERS(k_reduce_all, TD_REDUCE)
TD_KERNEL(k_reduce_squares, TD_REDUCE) /* the sum of (x - shift)^2; SHIFT may be NULL: 0 */
TD_KERNEL(k_reduce_exp, TD_REDUCE)     /* the sum of e^(x - shift) */
/* y[i] = acc[i] * scale */
TD_KERNEL(k_store, (void *y, const double *acc, int64_t n, double scale))

/* Running sums of N elements, STRIDE apart, in double (integers: int64, which y is then); from the end if REVERSE. */
TD_KERNEL_NUMBERS(k_cumsum, (void *y, const void *x, int64_t n, int64_t stride, bool reverse))
/* Numbers that are ordered as the N elements of X are, STRIDE apart: NaN is the largest, and -0 equals 0. */
TD_KERNEL_NUMBERS(k_sort_keys, (int64_t * keys, const void *x, int64_t n, int64_t stride))
/* ORDER becomes the numbers 0..n-1 by rising (falling) key, equal keys as they stood.  SCRATCH: n numbers. */
void k_sort(int64_t *order, int64_t *scratch, const int64_t *keys, int64_t n, bool descending);

/* Random numbers for the elements from FIRST on: uniform in [low, high); normal; 1 with probability P, else 0. */
struct rng_key;
TD_KERNEL(k_uniform, (void *y, int64_t first, int64_t n, double low, double high, const struct rng_key *key))
TD_KERNEL(k_normal, (void *y, int64_t first, int64_t n, double mean, double std, const struct rng_key *key))
TD_KERNEL(k_bernoulli, (void *y, const void *p, int64_t first, int64_t n, const struct rng_key *key))
/* mask[i] = whether element first+i survives with probability 1-p; y = x * mask / (1-p).  mask may be NULL. */
TD_KERNEL(k_dropout,
	(void *y, uint8_t *mask, const void *x, int64_t first, int64_t n, double p, const struct rng_key *key))

/* The place of the first largest (smallest) of N elements, STRIDE apart; a NaN counts as that. */
TD_KERNEL_NUMBERS(k_argmax, (int64_t * y, const void *x, int64_t n, int64_t stride))
TD_KERNEL_NUMBERS(k_argmin, (int64_t * y, const void *x, int64_t n, int64_t stride))

/* Rows of N classes: softmax and its logarithm; -log softmax at the label, which is 0 for one that does not count. */
enum { K_IGNORED = -100 };
TD_KERNEL(k_softmax, (void *y, const void *x, int64_t n, int64_t stride))
TD_KERNEL(k_log_softmax, (void *y, const void *x, int64_t n, int64_t stride))
TD_KERNEL(k_cross_entropy, (void *loss, void *lse, const void *x, int64_t label, int64_t n))
TD_KERNEL(k_cross_entropy_dx, (void *dx, const void *x, const void *lse, int64_t label, const void *dy, int64_t n))
/* -x at the label, 0 for one that does not count; and its gradient */
TD_KERNEL(k_nll, (void *loss, const void *x, int64_t label))
TD_KERNEL(k_nll_dx, (void *dx, int64_t label, const void *dy, int64_t n))

/* C[m,n] = op(A)[m,k] op(B)[k,n] + beta C, one thread; integers wrap around, and their BETA is 0 or 1. */
TD_KERNEL_NUMBERS(k_gemm, (bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
				  int64_t ldb, double beta, void *c, int64_t ldc))

/* Before the first product of a process; and which processor's loops OpenBLAS chose, for the fingerprint. */
void k_gemm_one_thread(void);
const char *k_gemm_core(void);

/* Geometry of a 2-d convolution or pool; images are [H, W, C] in memory. */
struct k_window {
	int64_t channels, height, width; /* of one input image; a group of its channels alone has fewer than ... */
	int64_t pixel;                   /* ... these elements from one pixel to the next */
	int64_t out_height, out_width;
	int64_t kernel[2], stride[2], padding[2], dilation[2];
};
/* One image to patches [out_height * out_width, kernel_h * kernel_w * channels], zeros outside. */
TD_KERNEL(k_im2col, (void *patches, const void *image, const struct k_window *w))
/* The reverse: add every patch to its place in an image that holds zeros. */
TD_KERNEL(k_col2im, (void *image, const void *patches, const struct k_window *w))
/* The convolution of one image by plain loops, and its gradients by the image and by the weights [O, kh, kw, C]; FILTERS:
 * O; RESULT: elements from one pixel of y to the next.  BIAS may be NULL; ADD: to what DW holds. */
TD_KERNEL(k_convolve, (void *y, const void *image, const void *weight, const void *bias, const struct k_window *w,
			      int64_t filters, int64_t result))
TD_KERNEL(k_convolve_dx,
	(void *image, const void *dy, const void *weight, const struct k_window *w, int64_t filters, int64_t result))
TD_KERNEL(k_convolve_dw, (void *dw, const void *dy, const void *image, const struct k_window *w, int64_t filters,
				 int64_t result, bool add))
/* rows of y = bias (or 0 when NULL), m rows of n */
TD_KERNEL(k_fill_rows, (void *y, const void *bias, int64_t m, int64_t n))

/* Pools over rectangles: which rows, or columns, one result takes, every STEP-th, and how many they count as. */
struct k_span {
	int64_t from, to, step, count;
};
/* One image [H, W, C] to [N_ROWS, N_COLUMNS, C]; which[o, c] is the pixel of the largest, -1: none (may be NULL). */
TD_KERNEL(
	k_max_pool, (void *y, int32_t *which, const void *x, int64_t channels, int64_t width, const struct k_span *rows,
			    int64_t n_rows, const struct k_span *columns, int64_t n_columns))
/* For M results of N channels and an image of N_PIXELS: x[which[i, c], c] += y[i, c]; and y[i, c] = x[which[i, c], c],
 * 0 outside. */
TD_KERNEL(k_scatter_pixels, (void *x, const int32_t *which, const void *y, int64_t m, int64_t n, int64_t n_pixels))
TD_KERNEL(k_gather_pixels, (void *y, const int32_t *which, const void *x, int64_t m, int64_t n, int64_t n_pixels))
/* The means, every row and column of a span; and the gradient, added to DX. */
TD_KERNEL(k_mean_pool, (void *y, const void *x, int64_t channels, int64_t width, const struct k_span *rows,
			       int64_t n_rows, const struct k_span *columns, int64_t n_columns))
TD_KERNEL(k_mean_pool_dx, (void *dx, const void *dy, int64_t channels, int64_t width, const struct k_span *rows,
				  int64_t n_rows, const struct k_span *columns, int64_t n_columns))

/* Resizing along one axis: output i is the sum of weight[t] times element place[t], t = first[i] .. first[i + 1] - 1. */
struct k_taps {
	int64_t n_out;
	const int64_t *first; /* n_out + 1 */
	const int64_t *place;
	const double *weight;
};
/* One image [H, WIDTH, C] to [rows->n_out, columns->n_out, C]; and the gradient, added to DX. */
TD_KERNEL(k_resample, (void *y, const void *x, int64_t channels, int64_t width, const struct k_taps *rows,
			      const struct k_taps *columns))
TD_KERNEL(k_resample_dx, (void *dx, const void *dy, int64_t channels, int64_t width, const struct k_taps *rows,
				 const struct k_taps *columns))

/* Normalisation.  M rows of N elements; a statistic for each column (batch norm), or for each row (layer norm). */
TD_KERNEL(k_columns_sum, (double *acc, const void *x, int64_t m, int64_t n))
TD_KERNEL(k_columns_squares, (double *acc, const void *x, const double *mean, int64_t m, int64_t n))
/* acc[j] += dy (x - mean[j]) rstd[j] */
TD_KERNEL(k_columns_products,
	(double *acc, const void *dy, const void *x, const void *mean, const void *rstd, int64_t m, int64_t n))
/* y = (x - mean) rstd weight + bias; WEIGHT and BIAS may be NULL */
TD_KERNEL(k_columns_normalize, (void *y, const void *x, const void *mean, const void *rstd, const void *weight,
				       const void *bias, int64_t m, int64_t n))
/* dx = weight rstd (dy - db / count - (x - mean) rstd dw / count) */
TD_KERNEL(k_columns_normalize_dx,
	(void *dx, const void *dy, const void *x, const void *mean, const void *rstd, const void *weight,
		const void *dw, const void *db, int64_t m, int64_t n, double count))
/* Not CENTRED: the mean counts as 0 (RMS norm). */
TD_KERNEL(k_rows_normalize, (void *y, void *mean, void *rstd, const void *x, const void *weight, const void *bias,
				    int64_t m, int64_t n, double eps, bool centred))
TD_KERNEL(k_rows_normalize_dx, (void *dx, const void *dy, const void *x, const void *mean, const void *rstd,
				       const void *weight, int64_t m, int64_t n, bool centred))
/* acc[j] += dy (x - mean[i]) rstd[i] */
TD_KERNEL(k_rows_products,
	(double *acc, const void *dy, const void *x, const void *mean, const void *rstd, int64_t m, int64_t n))

/* y[i] = table[id[i]], rows of N */
TD_KERNEL(k_embedding, (void *y, const void *table, const int64_t *id, int64_t count, int64_t n))
/* table[id[i]] += dy[i] for ids in FROM .. TO-1, but not SKIP */
TD_KERNEL(k_embedding_dw, (void *table, const void *dy, const int64_t *id, int64_t count, int64_t n, int64_t from,
				  int64_t to, int64_t skip))

/* Rows of the sines and cosines that stand for T positions: of position t, sin(t / 10000^(2i/n)) and the same cos in
 * columns 2i and 2i + 1. */
TD_KERNEL(k_sinusoids, (void *y, int64_t t, int64_t n))

/* One step of one sequence with H units: OUTPUT, in, the sum of what the input and the last output give; out, its tanh
 * or relu.  DGATES, in, the gradient by the output. */
TD_KERNEL(k_rnn_step, (void *output, int64_t h, bool relu))
TD_KERNEL(k_rnn_step_dx, (void *dgates, const void *output, int64_t h, bool relu))
/* One step of one sequence of an LSTM or a GRU with H units.  GATES: in, what the input and the last output give
 * (GRU: of r and z the sum, of n the input's share); out, the gates' values.  HIDDEN: the last output's share of n,
 * bias included. */
TD_KERNEL(k_lstm_step, (void *gates, void *cell, void *output, int64_t h))
TD_KERNEL(k_lstm_step_dx, (void *dgates, void *dcell, const void *doutput, const void *gates, const void *cell,
				  const void *last_cell, int64_t h))
TD_KERNEL(k_gru_step, (void *gates, const void *hidden, void *output, const void *last, int64_t h))
TD_KERNEL(
	k_gru_step_dx, (void *dgates, void *dlast, const void *doutput, const void *gates, const void *last, int64_t h))

/* Updates of parameters.  KERAS: the rule of keras.optimizers; see the ops. */
struct k_sgd {
	double lr, momentum, dampening, weight_decay;
	bool nesterov, keras, first;
};
TD_KERNEL(k_sgd, (void *param, const void *grad, void *buffer, int64_t n, const struct k_sgd *s))
struct k_adam {
	double lr, beta1, beta2, eps, weight_decay, t;
	bool decoupled; /* AdamW: weight decay shrinks the parameter and leaves the gradient alone */
	bool keras;
};
/* TOP (AMSGrad) may be NULL. */
TD_KERNEL(k_adam, (void *param, const void *grad, void *m, void *v, void *top, int64_t n, const struct k_adam *s))
struct k_rmsprop {
	double lr, alpha, eps, momentum, weight_decay;
	bool keras;
};
/* BUFFER (momentum) and AVERAGE (centered) may be NULL. */
TD_KERNEL(k_rmsprop, (void *param, const void *grad, void *square, void *buffer, void *average, int64_t n,
			     const struct k_rmsprop *s))
struct k_adagrad {
	double lr, lr_decay, eps, weight_decay, t;
	bool keras;
};
TD_KERNEL(k_adagrad, (void *param, const void *grad, void *sum, int64_t n, const struct k_adagrad *s))
struct k_adadelta {
	double lr, rho, eps, weight_decay;
	bool decoupled;
};
TD_KERNEL(k_adadelta, (void *param, const void *grad, void *square, void *delta, int64_t n, const struct k_adadelta *s))
/* y = keep y + (1 - keep) x */
TD_KERNEL(k_lerp, (void *y, const void *x, int64_t n, double keep))

/* Rows that copy elements of a size, for transposing and reordering. */
td_row_fn k_copy_1, k_copy_4, k_copy_8;
/* y[i] = x[map[i]] for i < n, in units of UNIT elements of a size; FILL (one element) where map[i] is negative or X is
 * NULL.  MAP NULL: as they stand. */
typedef void td_take_fn(void *y, const void *x, const int64_t *map, int64_t n, int64_t unit, const void *fill);
td_take_fn k_take_1, k_take_4, k_take_8;
/* x[map[i]] += y[i], likewise; nothing where map[i] is negative. */
TD_KERNEL_NUMBERS(k_put, (void *x, const void *y, const int64_t *map, int64_t n, int64_t unit))
/* y[i] = x[index[i] along + i sx], elements of a size */
typedef void td_gather_fn(void *y, const void *x, const int64_t *index, int64_t n, int64_t along, int64_t sx);
td_gather_fn k_gather_1, k_gather_4, k_gather_8;
/* x[index[i] along + i sx] = y[i], likewise; the last one stays */
typedef void td_scatter_fn(void *x, const void *y, const int64_t *index, int64_t n, int64_t along, int64_t sx);
td_scatter_fn k_scatter_1, k_scatter_4, k_scatter_8;
/* x[index[i] along + i sx] += y[i] */
TD_KERNEL_NUMBERS(k_scatter_add, (void *x, const void *y, const int64_t *index, int64_t n, int64_t along, int64_t sx))
/* Conversion of one row; tables by element type in convert.c. */
void k_convert(int to, int from, void *y, const void *x, int64_t n, int64_t sx);

#endif
