/* The checks that every op must pass, and the samples they run on.  A check returns NULL or what is wrong, so that the
 * suite's own test can see each of them fail on an op that was broken on purpose. */
#ifndef OPS_SUITE_H
#define OPS_SUITE_H

#include "core/core.h"

typedef const char *suite_check(const td_op *op, const td_sample *s, int i);

/* Run the I-th sample of OP through one check. */
suite_check suite_infer_agrees; /* there is an eager result, with storage, and none of its elements is NaN */
suite_check suite_same_bits; /* eager = unoptimised graph = planned graph on a NaN-filled arena, on inputs that it may
				overwrite, 1 and 2 threads, other batch sizes */
suite_check suite_gradient;  /* against central differences in float64 of a random projection; second order too where
				there is one */
suite_check suite_precision; /* float32 against float64 */
suite_check suite_refuses;   /* wrong rank, type: a status, never a crash */
/* Whether the fields of OP name every byte of its attributes, but for padding, and none twice. */
const char *suite_fields(const td_op *op);

/* ---- What the files of the checks share -------------------------------------------------------------------------- */

/* What is wrong, in the one place for it. */
const char *suite_wrong(const char *fmt, ...) TD_PRINTF(1, 2);
td_ctx *suite_context(int threads);
/* Tensors for S, at another BATCH size (-1: the sample's own); F64: floats are float64.  Give back by suite_drop. */
void suite_make_inputs(td_ctx *c, const td_sample *s, int64_t batch, bool f64, uint32_t seed, td_value **in);
void suite_drop(td_value **values, int n);
/* Whether OP has a gradient by input K of S, and by any. */
bool suite_differentiable(const td_op *op, const td_sample *s, int k);
bool suite_has_gradient(const td_op *op, const td_sample *s);

#endif
