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

/* NAME_infer and NAME_forward.  PICK: TD_PICK or TD_PICK_NUMBERS, as TYPES says. */
#define ELEMENTWISE(name, types, pick)                                                                                 \
	static void name##_infer(td_infer *q)                                                                          \
	{                                                                                                              \
		elementwise_infer(q, #name, types);                                                                    \
	}                                                                                                              \
	static void name##_forward(const td_call *call)                                                                \
	{                                                                                                              \
		elementwise_forward(call, pick(call->in[0].shape->dtype, k_##name));                                   \
	}

/* NAME_apply and NAME_sample. */
#define SAMPLES_BINARY(name, fill, types)                                                                              \
	static td_value *name##_apply(td_ctx *c, td_value *const *in)                                                  \
	{                                                                                                              \
		return td_##name(c, in[0], in[1]);                                                                     \
	}                                                                                                              \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		s->apply = name##_apply;                                                                               \
		return elementwise_sample_binary(i, s, fill, types);                                                   \
	}
#define SAMPLES_UNARY(name, fill, types)                                                                               \
	static td_value *name##_apply(td_ctx *c, td_value *const *in)                                                  \
	{                                                                                                              \
		return td_##name(c, in[0]);                                                                            \
	}                                                                                                              \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		s->apply = name##_apply;                                                                               \
		return elementwise_sample_unary(i, s, fill, types);                                                    \
	}

#endif
