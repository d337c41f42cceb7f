/* The calls that random programs are made of. */
#ifndef OPS_RANDOM_ROWS_H
#define OPS_RANDOM_ROWS_H

#include "core/core.h"

/* The values that every program begins with; those before LEAF_SCALAR are fed, with a batch N on axis 0. */
enum random_leaf {
	LEAF_ROWS_3,    /* [N, 3] */
	LEAF_ROWS_4,    /* [N, 4] */
	LEAF_IMAGES,    /* [N, 2, 4, 5] */
	LEAF_NUMBERS,   /* [N] */
	LEAF_SEQUENCES, /* [N, 3, 4] */
	LEAF_SCALAR,
	LEAF_3, /* [3], and so on */
	LEAF_4,
	LEAF_2,
	LEAF_3_4,
	LEAF_4_3,
	LEAF_3_FILTERS, /* [3, 2, 2, 3] */
	LEAF_2_FILTERS, /* [2, 2, 3, 3] */
	LEAF_MATRICES,  /* [2, 4, 3] */
	LEAVES,
	BATCHED = LEAF_SCALAR
};

/* What a call takes: values, and numbers that the row may use as axes, flags or sizes. */
struct random_arguments {
	td_value *x[3];
	uint32_t n[4];
	td_value *const *leaves; /* where X does not fit what the row needs */
};

struct random_row {
	const char *name;
	td_value *(*call)(td_ctx *c, const struct random_arguments *a); /* NULL: it did not fit */
};

#define RANDOM_ROW(name)                                                                                               \
	{                                                                                                              \
#name, do_##name                                                                                       \
	}

/* Rows of a file: random_rows.c, random_choices.c, random_layers.c, random_flow.c. */
struct random_group {
	const struct random_row *rows;
	int n;
};
extern const struct random_group random_elements, random_choices, random_layers, random_flow;

/* All rows, one group after the other. */
int random_n_rows(void);
const struct random_row *random_row(int k);
#define RANDOM_ROWS_MOST 192

/* An axis of x[0], by number WHICH. */
static inline int axis_of(const struct random_arguments *a, int which)
{
	int rank = td_shape_of(a->x[0])->rank;

	return rank ? (int)a->n[which] % rank : 0;
}

/* Not the batch's axis: what is cut or joined there would not fit another batch size. */
static inline int inner_axis(const struct random_arguments *a)
{
	int rank = td_shape_of(a->x[0])->rank;

	return rank > 1 ? 1 + (int)a->n[0] % (rank - 1) : 0;
}

/* x[0] if it has so many axes, else a leaf that has. */
static inline td_value *of_rank(const struct random_arguments *a, int rank, enum random_leaf otherwise)
{
	return td_shape_of(a->x[0])->rank == rank ? a->x[0] : a->leaves[otherwise];
}

static inline uint32_t axes_of(const struct random_arguments *a)
{
	return a->n[0] % 3 && td_shape_of(a->x[0])->rank ? 1u << axis_of(a, 1) : TD_ALL_AXES;
}

/* Whether one of the rows is wrong every so often, so that the check can be seen to fail.  Before anything else. */
void random_rows_break(bool broken);
/* What branches and loops are made of; around everything that is recorded with it. */
void random_flow_init(void);
void random_flow_release(void);

#endif
