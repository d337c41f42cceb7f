/* NPY: the format of numpy.save, versions 1.0 to 3.0.
 *
 * Magic, version, a Python dictionary with the element type, the order and the shape, then the elements.  The header is
 * parsed, never evaluated, and checked before it is believed.  (An NPZ file is a zip archive of such files: whoever
 * walks archives reads it with these functions.) */
#ifndef TD_IO_NPY_H
#define TD_IO_NPY_H

#include "base/buf.h"

#define NPY_RANK_MOST   8
#define NPY_HEADER_MOST 65536 /* bytes of the dictionary; NumPy writes below 128 */
#define NPY_PREFIX      12    /* bytes in which the length of the header stands */

/* X(NAME, NumPy's name, its code without byte order, bytes) */
#define NPY_TYPES(X)                                                                                                   \
	X(BOOL, "bool", "b1", 1)                                                                                       \
	X(U8, "uint8", "u1", 1)                                                                                        \
	X(U16, "uint16", "u2", 2)                                                                                      \
	X(U32, "uint32", "u4", 4)                                                                                      \
	X(I8, "int8", "i1", 1)                                                                                         \
	X(I16, "int16", "i2", 2)                                                                                       \
	X(I32, "int32", "i4", 4)                                                                                       \
	X(I64, "int64", "i8", 8)                                                                                       \
	X(F16, "float16", "f2", 2)                                                                                     \
	X(F32, "float32", "f4", 4)                                                                                     \
	X(F64, "float64", "f8", 8)

enum npy_type {
#define X(name, word, code, bytes) NPY_##name,
	NPY_TYPES(X)
#undef X
		NPY_N_TYPES
};

struct npy {
	enum npy_type type;
	int rank;
	int64_t dim[NPY_RANK_MOST];
	int64_t n;        /* elements: the product of DIM */
	int64_t n_header; /* bytes before the first element */
};

int64_t npy_type_bytes(enum npy_type t);
bool npy_is_float(enum npy_type t);

/* How many bytes of the file the header takes, from its first NPY_PREFIX (or fewer) bytes: whoever streams reads so
 * many and calls npy_parse.  TD_CORRUPT: no NPY file. */
td_status npy_header_bytes(const void *bytes, size_t n_bytes, int64_t *out, struct err *e);
/* Read the header at the beginning of BYTES.  Refused, with what to do in Python: big-endian elements, Fortran order of
 * more than one axis, text, objects and records. */
td_status npy_parse(const void *bytes, size_t n_bytes, struct npy *out, struct err *e);
/* N elements of TYPE (little-endian, not aligned) as doubles or integers.  npy_to_ints: TYPE is no float. */
void npy_to_floats(enum npy_type type, const void *elements, int64_t n, float *out);
void npy_to_doubles(enum npy_type type, const void *elements, int64_t n, double *out);
void npy_to_ints(enum npy_type type, const void *elements, int64_t n, int64_t *out);

/* Append a header of version 1.0 for elements of TYPE; they follow in C order. */
bool npy_write_header(struct buf *out, enum npy_type type, const int64_t *dim, int rank);

#endif
