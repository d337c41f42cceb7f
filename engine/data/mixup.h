/* mixup (Zhang et al., 2018): every sample of a batch becomes lambda of itself and 1 - lambda of another one. */
#ifndef TD_DATA_MIXUP_H
#define TD_DATA_MIXUP_H

#include "data/image_ops.h"

/* What happens to one batch of N samples; a function of (seed, epoch, the batch's first sample) alone. */
struct mixing {
	double lambda;    /* 1: nothing */
	int64_t *partner; /* the caller's, [n]: a permutation */
};

void mixup_draw(const void *options, uint64_t seed, int64_t epoch, int64_t first_sample, int64_t n, struct mixing *m);
/* Rows of ROW floats: ROWS[i] = lambda ROWS[i] + (1 - lambda) ROWS[partner[i]], all from the old rows.  COPY has room
 * for N rows. */
void mixup_rows(const struct mixing *m, int64_t n, int64_t row, float *rows, float *copy);

#endif
