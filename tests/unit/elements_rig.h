/* Small tensors written as lists, for tests of single ops: a context, and what is held until the end of a test. */
#ifndef TEST_ELEMENTS_RIG_H
#define TEST_ELEMENTS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "core/core.h"

#define VECTOR(...) vector(c, (double[]){ __VA_ARGS__ }, (int)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)))
#define ALL         TD_ALL_AXES

static td_ctx *c;

static inline int begin(void **state)
{
	(void)state;
	c = td_ctx_create(&(td_ctx_options){ .threads = 2, .seed = 3 });
	td_step_begin(c);
	return 0;
}

static inline int end(void **state)
{
	(void)state;
	td_step_end(c);
	td_ctx_free(c);
	return 0;
}

static td_value *held[64];
static int n_held;

/* Released by the next test. */
static inline td_value *hold(td_value *v)
{
	assert_true(n_held < (int)TD_COUNT(held));
	return held[n_held++] = v;
}

static inline int drop(void **state)
{
	for (int i = 0; i < n_held; i++)
		td_unref(held[i]);
	n_held = 0;
	return end(state);
}

static inline td_value *vector(td_ctx *ctx, const double *data, int n)
{
	td_shape shape = td_shape_make(TD_F64, 1, n);

	return hold(td_tensor(ctx, &shape, data));
}

static inline td_value *as(td_value *v, td_dtype d)
{
	return td_cast(c, v, d);
}

/* V holds exactly these numbers; NaN equals NaN, and 0 differs from -0. */
#define HOLDS(v, ...) holds(v, (double[]){ __VA_ARGS__ }, (int)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)))

static inline void holds(td_value *v, const double *want, int n)
{
	double got[64];

	assert_int_equal(td_error(c)->status, TD_OK);
	assert_non_null(v);
	assert_int_equal(td_shape_count(td_shape_of(v)), n);
	td_read(td_cast(c, v, TD_F64), got);
	for (int i = 0; i < n; i++) {
		if (isnan(want[i]) && isnan(got[i]))
			continue;
		if (fabs(got[i] - want[i]) > 1e-12 * fabs(want[i]) || isnan(got[i]) != isnan(want[i]) ||
			isinf(got[i]) != isinf(want[i]) || signbit(got[i]) != signbit(want[i]))
			fail_msg("element %d is %.17g, not %.17g", i, got[i], want[i]);
	}
}

/* The gradient of sum(Y) by X. */
static inline td_value *gradient(td_value *y, td_value *x)
{
	td_value *loss = td_sum(c, y, ALL, false), *g;

	td_gradients(c, &loss, NULL, 1, &x, 1, 0, &g);
	return g;
}

static inline td_value *leaf(td_value *v)
{
	td_require_grad(c, v, true);
	return v;
}

static inline void refused(const char *words)
{
	assert_int_not_equal(td_error(c)->status, TD_OK);
	if (!strstr(td_error(c)->text, words))
		fail_msg("\"%s\" does not say \"%s\"", td_error(c)->text, words);
	td_error_clear(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, drop)

#endif
