/* Reading what somebody sent to be predicted: nested lists of JSON, NPY files, and where faults in them are. */
#ifndef TD_DATA_INPUT_H
#define TD_DATA_INPUT_H

#include "data/loader.h"

#define INPUT_RANK_MOST 8
#define INPUT_POINTER   160 /* bytes of a pointer into the body */

/* Numbers in row-major order. */
struct input_array {
	int rank;
	int64_t dim[INPUT_RANK_MOST];
	double *values; /* owned; mem_free */
	int64_t n, room;
	bool is_float; /* of an NPY file: floats, whatever their values */
};

/* V, a number or nested lists of numbers of one shape.  False: FAULTS says under POINTER where it is not. */
bool input_read_array(const cJSON *v, const char *pointer, struct input_array *out, struct faults *faults);
/* A whole NPY file of at most INPUT_VALUES_MOST elements.  False: FAULTS. */
bool input_read_npy(const void *body, size_t n_bytes, struct input_array *out, struct faults *faults);
void input_array_release(struct input_array *a);
/* "[3, 32, 32]", for faults. */
const char *input_shape_text(const int64_t *dim, int rank, char out[TD_SHAPE_TEXT]);

#define INPUT_VALUES_MOST ((int64_t)1 << 25) /* elements: what a body of 32 MiB can hold as bytes */

#endif
