/* Convolution, whichever way it goes (oneDNN, or patches and products), against plain loops: every number of channels
 * from 1 to 17 in and out, strides, kernels, dilations, groups and odd sizes, in the three directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
/* after those four */
#include <cmocka.h>

#include "base/mem.h"
#include "kernels/dnn.h"
#include "kernels/kernels.h"
#include "td.h"
#include "td_ops.h"

struct problem {
	int64_t batch, channels, filters, groups;
	int64_t image[2], kernel[2];
	td_conv2d_attrs attrs;
	/* what follows from these */
	struct k_window w;
	int64_t pixels;
};

static struct problem problem(int64_t batch, int64_t channels, int64_t filters, int64_t kernel, int64_t stride)
{
	return (struct problem){ .batch = batch,
		.channels = channels,
		.filters = filters,
		.groups = 1,
		.image = { 13, 11 },
		.kernel = { kernel, kernel },
		.attrs = { .stride = { stride, stride }, .padding = { kernel / 2, kernel / 2 } } };
}

/* The loops' view of P, with BEGIN zeros before each axis and END after it. */
static void complete(struct problem *p, const int64_t begin[2], const int64_t end[2])
{
	int64_t out[2];

	p->attrs.groups = p->groups;
	p->w = (struct k_window){
		.channels = p->channels / p->groups, .pixel = p->channels, .height = p->image[0], .width = p->image[1]
	};
	for (int i = 0; i < 2; i++) {
		p->w.kernel[i] = p->kernel[i];
		p->w.stride[i] = p->attrs.stride[i];
		p->w.dilation[i] = TD_MAX(p->attrs.dilation[i], 1);
		p->w.padding[i] = begin[i];
		out[i] = (p->image[i] + begin[i] + end[i] - p->w.dilation[i] * (p->kernel[i] - 1) - 1) /
				 p->attrs.stride[i] +
			 1;
	}
	p->w.out_height = out[0];
	p->w.out_width = out[1];
	p->pixels = out[0] * out[1];
}

/* A tensor that lies channels-last, with numbers in -0.5 .. 0.5. */
static td_value *filled(td_ctx *c, int64_t n, int64_t channels, int64_t h, int64_t w, uint32_t seed)
{
	td_shape shape = td_shape_make(TD_F32, 4, n, channels, h, w);
	int64_t count = td_shape_count(&shape);
	float *data = MEM_NEW_N(float, count + 1);
	td_value *v;

	shape.order = TD_CHANNELS_LAST;
	for (int64_t i = 0; i < count; i++) {
		seed = seed * 1664525u + 1013904223u;
		data[i] = (float)(seed >> 8) / (float)(1 << 24) - 0.5f;
	}
	v = td_tensor(c, &shape, data);
	mem_free(data);
	return v;
}

/* Sums of TERMS products in -1/4 .. 1/4 differ by no more than their rounding. */
static void assert_near(td_value *got, const float *want, int64_t terms, const struct problem *p, const char *what)
{
	const float *y = td_data(got);
	int64_t count = td_shape_count(td_shape_of(got));
	double bound = (double)(terms + 2) * 0.25 * 6e-8 * 2;

	assert_int_equal(td_shape_of(got)->order, TD_CHANNELS_LAST);
	for (int64_t i = 0; i < count; i++) {
		double off = (double)y[i] - (double)want[i];

		if (!(off <= bound && off >= -bound))
			fail_msg("%s of %lldx%lldx%lldx%lld, %lld filters %lldx%lld, %lld groups, stride %lld, "
				 "dilation %lld: element %lld is %g, not %g",
				what, (long long)p->batch, (long long)p->channels, (long long)p->image[0],
				(long long)p->image[1], (long long)p->filters, (long long)p->kernel[0],
				(long long)p->kernel[1], (long long)p->groups, (long long)p->attrs.stride[0],
				(long long)p->w.dilation[0], (long long)i, (double)y[i], (double)want[i]);
	}
}

/* What the loops make: y, dx and dw. */
static void by_loops(const struct problem *p, const float *x, const float *w, const float *b, const float *dy, float *y,
	float *dx, float *dw)
{
	int64_t image = p->channels * p->image[0] * p->image[1], result = p->filters * p->pixels;
	int64_t filters = p->filters / p->groups, channels = p->channels / p->groups;

	for (int64_t n = 0; n < p->batch; n++)
		for (int64_t g = 0; g < p->groups; g++) {
			int64_t at = n * image + g * channels, to = n * result + g * filters;
			int64_t from = g * filters * channels * p->kernel[0] * p->kernel[1];

			k_convolve_f32(y + to, x + at, w + from, b + g * filters, &p->w, filters, p->filters);
			k_convolve_dx_f32(dx + at, dy + to, w + from, &p->w, filters, p->filters);
			k_convolve_dw_f32(dw + from, dy + to, x + at, &p->w, filters, p->filters, n > 0);
		}
}

static void check(td_ctx *c, const struct problem *p)
{
	int64_t taps = p->kernel[0] * p->kernel[1];
	td_value *x = filled(c, p->batch, p->channels, p->image[0], p->image[1], 1),
		 *w = filled(c, p->filters, p->channels / p->groups, p->kernel[0], p->kernel[1], 2),
		 *dy = filled(c, p->batch, p->filters, p->w.out_height, p->w.out_width, 3), *bias, *y, *dx, *dw;
	float *want_y = MEM_NEW_N(float, p->batch * p->filters * p->pixels + 1),
	      *want_dx = MEM_NEW_N(float, td_shape_count(td_shape_of(x)) + 1),
	      *want_dw = MEM_NEW_N(float, td_shape_count(td_shape_of(w)) + 1), *b = MEM_NEW_N(float, p->filters);
	td_shape row = td_shape_make(TD_F32, 1, p->filters);

	for (int64_t i = 0; i < p->filters; i++)
		b[i] = (float)(i % 3) * 0.25f - 0.25f;
	bias = td_tensor(c, &row, b);
	by_loops(p, td_data(x), td_data(w), b, td_data(dy), want_y, want_dx, want_dw);
	y = td_conv2d(c, x, w, bias, &p->attrs);
	dx = td_conv2d_dx(c, dy, w, x, &p->attrs);
	dw = td_conv2d_dw(c, dy, x, w, &p->attrs);
	assert_int_equal(td_error(c)->status, TD_OK);
	assert_int_equal(td_shape_of(y)->dim[2], p->w.out_height);
	assert_int_equal(td_shape_of(y)->dim[3], p->w.out_width);
	assert_near(y, want_y, p->channels / p->groups * taps, p, "conv2d");
	assert_near(dx, want_dx, p->filters / p->groups * taps, p, "conv2d_dx");
	assert_near(dw, want_dw, p->batch * p->pixels, p, "conv2d_dw");
	mem_free(b);
	mem_free(want_y);
	mem_free(want_dx);
	mem_free(want_dw);
	td_unref(bias);
	td_unref(x);
	td_unref(w);
	td_unref(dy);
	td_step_end(c);
}

static void check_padded(td_ctx *c, struct problem *p)
{
	int64_t begin[2], end[2];

	for (int i = 0; i < 2; i++) {
		begin[i] = p->attrs.padding[i];
		end[i] = p->attrs.padding[i] + p->attrs.padding_more[i];
	}
	complete(p, begin, end);
	check(c, p);
}

static td_ctx *context(int threads)
{
	return td_ctx_create(&(td_ctx_options){ .threads = threads, .seed = 1 });
}

static void every_number_of_channels_agrees_with_plain_loops(void **state)
{
	td_ctx *c = context(1);

	(void)state;
	for (int64_t channels = 1; channels <= 17; channels++)
		for (int64_t filters = 1; filters <= 17; filters++) {
			int64_t i = channels * 17 + filters;
			struct problem p = problem(2, channels, filters, i % 5 + 1, i / 5 % 3 + 1);

			check_padded(c, &p);
		}
	td_ctx_free(c);
}

static void every_stride_and_kernel_agrees_with_plain_loops(void **state)
{
	td_ctx *c = context(2);

	(void)state;
	for (int64_t stride = 1; stride <= 3; stride++)
		for (int64_t kernel = 1; kernel <= 5; kernel++)
			for (int64_t channels = 1; channels <= 17; channels += 1 + channels / 4) {
				struct problem p = problem(9, channels, 18 - channels, kernel, stride);

				p.attrs.padding[1] = kernel / 3;
				p.attrs.padding_more[0] = stride - 1;
				check_padded(c, &p);
			}
	td_ctx_free(c);
}

static void dilation_and_groups_agree_with_plain_loops(void **state)
{
	static const int64_t groups[][3] = { { 2, 2, 1 }, { 17, 17, 17 }, { 16, 32, 2 }, { 3, 6, 3 }, { 6, 4, 2 },
		{ 8, 8, 1 }, { 48, 16, 1 }, { 16, 48, 1 } };
	td_ctx *c = context(1);

	(void)state;
	for (size_t k = 0; k < TD_COUNT(groups); k++)
		for (int64_t dilation = 1; dilation <= 3; dilation++) {
			struct problem p = problem(3, groups[k][0], groups[k][1], 3, 1 + (dilation + (int64_t)k) % 2);

			p.groups = groups[k][2];
			p.kernel[1] = 2;
			p.attrs.dilation[0] = dilation;
			p.attrs.dilation[1] = 4 - dilation;
			p.attrs.padding[0] = dilation;
			check_padded(c, &p);
		}
	td_ctx_free(c);
}

/* tensorflow.nn.conv2d's "SAME": size, kernel, stride, then zeros before and after. */
static void same_padding_is_what_tensorflow_adds(void **state)
{
	static const int64_t rows[][5] = { { 13, 3, 1, 1, 1 }, { 13, 2, 1, 0, 1 }, { 13, 4, 1, 1, 2 },
		{ 12, 3, 2, 0, 1 }, { 13, 3, 2, 1, 1 }, { 12, 2, 2, 0, 0 }, { 13, 5, 3, 2, 2 }, { 12, 1, 3, 0, 0 } };
	td_ctx *c = context(1);

	(void)state;
	for (size_t k = 0; k < TD_COUNT(rows); k++) {
		const int64_t *r = rows[k];
		struct problem p = problem(2, 3, 9, r[1], r[2]);

		p.image[0] = p.image[1] = r[0];
		p.attrs.same = true;
		complete(&p, (int64_t[]){ r[3], r[3] }, (int64_t[]){ r[4], r[4] });
		assert_int_equal(p.w.out_height, (r[0] + r[2] - 1) / r[2]);
		check(c, &p);
	}
	td_ctx_free(c);
}

static void no_images_give_no_result_and_a_gradient_of_zeros(void **state)
{
	td_ctx *c = context(2);
	struct problem p = problem(0, 3, 8, 3, 1);
	td_value *x, *w, *dy, *dw;

	(void)state;
	check_padded(c, &p);
	x = filled(c, 0, 3, 13, 11, 1);
	w = filled(c, 8, 3, 3, 3, 1);
	dy = filled(c, 0, 8, 13, 11, 1);
	dw = td_conv2d_dw(c, dy, x, w, &p.attrs);
	assert_non_null(dw);
	for (int64_t i = 0; i < td_shape_count(td_shape_of(dw)); i++)
		assert_true(((const float *)td_data(dw))[i] == 0);
	td_unref(x);
	td_unref(w);
	td_unref(dy);
	td_ctx_free(c);
}

static void an_image_has_the_same_bits_in_every_batch(void **state)
{
	td_ctx *c = context(1), *many = context(2);
	td_conv2d_attrs attrs = { .stride = { 1, 1 }, .padding = { 1, 1 } };
	td_value *w = filled(c, 16, 6, 3, 3, 2);
	td_value *big = filled(c, 29, 6, 13, 11, 1), *one = filled(c, 1, 6, 13, 11, 1);
	td_value *y = td_conv2d(c, one, w, NULL, &attrs), *all = td_conv2d(many, big, w, NULL, &attrs);

	(void)state;
	assert_memory_equal(td_data(y), td_data(all), td_shape_bytes(td_shape_of(y)));
	td_unref(w);
	td_unref(big);
	td_unref(one);
	td_ctx_free(many);
	td_ctx_free(c);
}

/* uxlfoundation/oneDNN#6035 writes past its buffers, or never ends. */
static void the_case_that_breaks_onednn_goes_elsewhere(void **state)
{
	(void)state;
	for (int64_t channels = 1; channels <= 17; channels++)
		for (int64_t stride = 1; stride <= 3; stride++) {
			struct dnn_sizes s = { .channels = channels,
				.filters = 16,
				.groups = 1,
				.image = { 32, 32 },
				.result = { 31 / stride + 1, 31 / stride + 1 },
				.kernel = { 1, 1 },
				.stride = { stride, stride },
				.dilation = { 1, 1 } };

			if (channels < 8 && stride > 1)
				assert_false(dnn_takes(DNN_BY_WEIGHTS, &s));
		}
}

/* A kernel of one element has no use for a dilation, and one result none for a stride. */
static void numbers_beyond_32_bits_of_bytes_agree_with_plain_loops(void **state)
{
	static const int64_t channels[] = { 3, 16, 17 };
	td_ctx *c = context(1);

	(void)state;
	for (size_t k = 0; k < TD_COUNT(channels); k++)
		for (int i = 0; i < 2; i++) {
			struct problem p = problem(2, channels[k], 16, 1, 1);

			p.attrs.padding[0] = p.attrs.padding[1] = 1;
			p.attrs.dilation[i] = INT32_MAX;
			check_padded(c, &p);
			p.attrs.dilation[i] = 1;
			p.attrs.stride[i] = INT32_MAX;
			check_padded(c, &p);
		}
	td_ctx_free(c);
}

#define PR_SET_MDWE 65 /* of Linux 6.3 */

static void a_process_that_may_not_make_code_leaves_onednn_and_says_so(void **state)
{
	struct dnn_sizes s = { .channels = 16,
		.filters = 16,
		.groups = 1,
		.image = { 32, 32 },
		.result = { 32, 32 },
		.kernel = { 1, 1 },
		.stride = { 1, 1 },
		.dilation = { 1, 1 } };
	pid_t child = fork(); /* before anything here has asked oneDNN */
	int status;

	(void)state;
	if (!child) {
		if (prctl(PR_SET_MDWE, 1, 0, 0, 0))
			_exit(2);
		_exit(dnn_takes(DNN_FORWARD, &s) || !strstr(td_fingerprint(), "-plain "));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status == 2 << 8)
		skip(); /* this Linux cannot forbid it */
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_that_may_not_make_code_leaves_onednn_and_says_so),
		cmocka_unit_test(every_number_of_channels_agrees_with_plain_loops),
		cmocka_unit_test(every_stride_and_kernel_agrees_with_plain_loops),
		cmocka_unit_test(dilation_and_groups_agree_with_plain_loops),
		cmocka_unit_test(same_padding_is_what_tensorflow_adds),
		cmocka_unit_test(no_images_give_no_result_and_a_gradient_of_zeros),
		cmocka_unit_test(an_image_has_the_same_bits_in_every_batch),
		cmocka_unit_test(the_case_that_breaks_onednn_goes_elsewhere),
		cmocka_unit_test(numbers_beyond_32_bits_of_bytes_agree_with_plain_loops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
