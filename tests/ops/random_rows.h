/* The calls that random programs are made of. */
#ifndef OPS_RANDOM_ROWS_H
#define OPS_RANDOM_ROWS_H

#include "core/core.h"

/* What a call takes: values, and numbers that the row may use as axes, flags or sizes. */
struct random_arguments {
	td_value *x[3];
	uint32_t n[4];
};

struct random_row {
	const char *name;
	td_value *(*call)(td_ctx *c, const struct random_arguments *a); /* NULL: it did not fit */
};

extern const struct random_row random_rows[];
extern const int random_n_rows;
#define RANDOM_ROWS_MOST 128

/* Whether one of the rows is wrong every so often, so that the check can be seen to fail.  Before anything else. */
void random_rows_break(bool broken);
/* What branches and loops are made of; around everything that is recorded with it. */
void random_flow_init(void);
void random_flow_release(void);

#endif
