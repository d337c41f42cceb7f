/* The header of IDX files (the format of MNIST): two zero bytes, a type, the number of axes, their sizes as big-endian
 * 32-bit numbers; the elements follow. */
#ifndef TD_DATA_IDX_H
#define TD_DATA_IDX_H

#include <stdint.h>
#include "base/err.h"

#define IDX_RANK_MOST     4
#define IDX_MAGIC         4 /* bytes that say how long the header is */
#define IDX_HEADER_MOST   (IDX_MAGIC + 4 * IDX_RANK_MOST)
#define IDX_ELEMENTS_MOST ((int64_t)1 << 40) /* more is no dataset but a damaged header */

struct idx {
	int rank;
	int64_t dim[IDX_RANK_MOST];
	int64_t n; /* elements: the product of DIM */
};

/* Bytes of the header, from its first IDX_MAGIC ones.  Only unsigned bytes are read.  TD_CORRUPT, TD_UNSUPPORTED. */
td_status idx_header_bytes(const uint8_t magic[IDX_MAGIC], int64_t *out, struct err *e);
/* Read a header of idx_header_bytes bytes; every size is checked. */
td_status idx_parse(const uint8_t *header, struct idx *out, struct err *e);

#endif
