/* What the updates of parameters share: cut into slices of elements, every slice reads the same scalars. */
#ifndef OPS_UPDATE_H
#define OPS_UPDATE_H

#include "ops/ops.h"

struct ops_update {
	const td_call *call;
	const void *rule; /* a struct k_... of kernels.h */
	int64_t n;
	td_dtype dtype;
	size_t size; /* of an element */
};

/* Call SLICE with a struct ops_update for every part of input 0; not where input GATE is 0. */
void ops_update_run(const td_call *call, int gate, const void *rule, void (*slice)(void *arg, int slice));

/* Elements of slice SLICE, and where it begins in input I (NULL where that is left out). */
static inline int64_t ops_slice_n(const struct ops_update *u, int slice)
{
	int64_t first;

	return ops_slice(u->n, slice, &first);
}

static inline void *ops_slice_at(const struct ops_update *u, int i, int slice)
{
	return at(u->call->in[i].data, (int64_t)slice * SLICE_ELEMENTS, u->size);
}

/* A floating scalar. */
double ops_scalar(const td_view *v);

/* Shape rule: the first N inputs are like input 0 (the builder has seen to it that they lie alike), all others are
 * floating scalars. */
void ops_update_infer(td_infer *q, const char *op, int n);
/* GRAD as PARAM lies. */
td_value *ops_like_param(td_ctx *c, td_value *grad, const td_value *param);
/* N_ARRAYS inputs like a parameter, all but the gradient (input 1) written, and N_SCALARS. */
void ops_update_sample(td_sample *s, int n_arrays, int n_scalars, bool channels_last);

#endif
