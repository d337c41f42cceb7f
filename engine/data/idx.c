/* IDX headers: see idx.h.  The files come from elsewhere: nothing is believed before it is checked. */
#include "data/idx.h"

#define UNSIGNED_BYTE 8

td_status idx_header_bytes(const uint8_t magic[IDX_MAGIC], int64_t *out, struct err *e)
{
	if (magic[0] || magic[1] || magic[2] < UNSIGNED_BYTE || magic[2] > 14 || magic[3] < 1)
		return err_set(e, TD_CORRUPT,
			"it begins with the bytes %02x %02x %02x %02x, not with 00 00 08 and a number of axes (IDX); "
			"is it another file?",
			magic[0], magic[1], magic[2], magic[3]);
	if (magic[2] != UNSIGNED_BYTE)
		return err_set(e, TD_UNSUPPORTED,
			"it is an IDX file of element type %02x; only unsigned bytes (08) are read, so save other "
			"numbers as NPY",
			magic[2]);
	if (magic[3] > IDX_RANK_MOST)
		return err_set(e, TD_UNSUPPORTED, "it is an IDX file of %d axes; at most %d are read", magic[3],
			IDX_RANK_MOST);
	*out = IDX_MAGIC + 4 * magic[3];
	return TD_OK;
}

td_status idx_parse(const uint8_t *header, struct idx *out, struct err *e)
{
	*out = (struct idx){ .rank = header[3], .n = 1 };
	for (int i = 0; i < out->rank; i++) {
		const uint8_t *b = header + IDX_MAGIC + 4 * i;

		out->dim[i] = (int64_t)b[0] << 24 | (int64_t)b[1] << 16 | (int64_t)b[2] << 8 | b[3];
		if (!out->dim[i] || __builtin_mul_overflow(out->n, out->dim[i], &out->n) || out->n > IDX_ELEMENTS_MOST)
			return err_set(e, TD_CORRUPT, "axis %d of its header has size %lld, which cannot be", i,
				(long long)out->dim[i]);
	}
	return TD_OK;
}
