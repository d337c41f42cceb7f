/* Leaves that want gradients, for the tests of automatic differentiation. */
#ifndef TEST_LEAF_RIG_H
#define TEST_LEAF_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "td.h"

/* A leaf of N float64 values. */
static inline td_value *leaf(td_ctx *c, const char *name, int n, const double *data)
{
	td_shape s = td_shape_make(TD_F64, 1, n);
	td_value *v = td_tensor(c, &s, data);

	td_set_name(v, name);
	td_require_grad(c, v, true);
	return v;
}

static inline double at(const td_value *v, int i)
{
	double all[16];

	assert_true(td_shape_count(td_shape_of(v)) <= 16);
	td_read(v, all);
	return all[i];
}

#endif
