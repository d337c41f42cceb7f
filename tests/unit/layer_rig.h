/* Inputs of layers, for the tests of these. */
#ifndef TEST_LAYER_RIG_H
#define TEST_LAYER_RIG_H

#include "test_model.h"

#define IMAGE(n, c, h, w)                                                                                              \
	{                                                                                                              \
		TD_F32, TD_ROW_MAJOR, 4,                                                                               \
		{                                                                                                      \
			n, c, h, w                                                                                     \
		}                                                                                                      \
	}
#define SEQUENCE(n, t, d)                                                                                              \
	{                                                                                                              \
		TD_F32, TD_ROW_MAJOR, 3,                                                                               \
		{                                                                                                      \
			n, t, d                                                                                        \
		}                                                                                                      \
	}
#define FLAT(n, f)                                                                                                     \
	{                                                                                                              \
		TD_F32, TD_ROW_MAJOR, 2,                                                                               \
		{                                                                                                      \
			n, f                                                                                           \
		}                                                                                                      \
	}
#define TOKENS(n, t)                                                                                                   \
	{                                                                                                              \
		TD_I64, TD_ROW_MAJOR, 2,                                                                               \
		{                                                                                                      \
			n, t                                                                                           \
		}                                                                                                      \
	}

/* Elements of V in row-major order; mem_free. */
static inline float *elements(td_value *v)
{
	float *out = mem_alloc(TD_MAX(td_shape_bytes(td_shape_of(v)), 1));

	td_read(v, out);
	return out;
}

#endif
