/* What the files of elementwise ops share: which types an op takes, its rows, its samples.  One or two inputs, which
 * broadcast as in NumPy; what broadcasting repeated, sum_like adds up again in the gradient. */
#ifndef OPS_ELEMENTWISE_H
#define OPS_ELEMENTWISE_H

#include "ops/ops.h"

/* Which element types an op takes. */
enum elementwise_types { FLOATS, NUMBERS /* and int32, int64, uint8 */, ANYTHING /* and bool */ };

/* The shape rule: all inputs of one type out of TYPES; the output in their common shape and type. */
bool elementwise_infer(td_infer *q, const char *op, enum elementwise_types types);
/* Output 0 = FN of the one or two inputs, row by row. */
void elementwise_forward(const td_call *call, td_row_fn *fn);
/* Sample I: pairs that broadcast in every way, also as integers where the op takes them; and the same for one input. */
bool elementwise_sample_binary(int i, td_sample *s, enum td_fill fill, enum elementwise_types types);
bool elementwise_sample_unary(int i, td_sample *s, enum td_fill fill, enum elementwise_types types);

#define PICK_FLOATS  TD_PICK
#define PICK_NUMBERS TD_PICK_NUMBERS

/* NAME_forward, by the kernels k_NAME. */
#define ELEMENTWISE_FORWARD(name, types)                                                                               \
	static void name##_forward(const td_call *call)                                                                \
	{                                                                                                              \
		elementwise_forward(call, PICK_##types(call->in[0].shape->dtype, k_##name));                           \
	}

/* NAME_infer and NAME_forward. */
#define ELEMENTWISE(name, types)                                                                                       \
	static void name##_infer(td_infer *q)                                                                          \
	{                                                                                                              \
		elementwise_infer(q, #name, types);                                                                    \
	}                                                                                                              \
	ELEMENTWISE_FORWARD(name, types)

/* NAME_apply: td_NAME of one input, with the further arguments that there are; and of two. */
#define APPLY_UNARY(name, ...)                                                                                         \
	static td_value *name##_apply(td_ctx *c, td_value *const *in)                                                  \
	{                                                                                                              \
		return td_##name(c, in[0], ##__VA_ARGS__);                                                             \
	}
#define APPLY_BINARY(name)                                                                                             \
	static td_value *name##_apply(td_ctx *c, td_value *const *in)                                                  \
	{                                                                                                              \
		return td_##name(c, in[0], in[1]);                                                                     \
	}

/* Everything that an op is but its gradient and its builder; _OP: what its record says of that. */
#define UNARY(name, types, fill)                                                                                       \
	ELEMENTWISE(name, types)                                                                                       \
	APPLY_UNARY(name)                                                                                              \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		s->apply = name##_apply;                                                                               \
		return elementwise_sample_unary(i, s, fill, types);                                                    \
	}
#define BINARY(name, types, fill)                                                                                      \
	ELEMENTWISE(name, types)                                                                                       \
	APPLY_BINARY(name)                                                                                             \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		s->apply = name##_apply;                                                                               \
		return elementwise_sample_binary(i, s, fill, types);                                                   \
	}
#define UNARY_OP(name)                                                                                                 \
	.n_in = 1, .n_out = 1, .inplace = 1, .infer = name##_infer, .forward = { name##_forward },                     \
	.sample = name##_sample
#define BINARY_OP(name)                                                                                                \
	.n_in = 2, .n_out = 1, .inplace = 3, .broadcasts = true, .infer = name##_infer, .forward = { name##_forward }, \
	.sample = name##_sample

#endif
