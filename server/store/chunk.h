/* How points and buckets are packed into a chunk's bytes.  Pure.
 *
 * Exact: a double keeps its 64 bits, whatever they are.  Small: steps and times are differences, as zigzag varints (a
 * byte or two each in a series that is written regularly); values are not compressed, since the low bits of a loss are
 * noise. */
#ifndef STORE_CHUNK_H
#define STORE_CHUNK_H

#include "base/buf.h"
#include "store/downsample.h"
#include "store/store.h"

#define CHUNK_POINTS  1024           /* in a chunk of level 0; one bucket of level 2 */
#define CHUNK_BUCKETS DOWNSAMPLE_FAN /* in a chunk of level 1 and up; one bucket of the next level */
#define CHUNK_BYTES   (64 << 10)     /* cap of a packed chunk; the worst is 1024 points of 28 bytes */

/* Append N points to OUT (cap at least CHUNK_BYTES). */
void chunk_pack_points(const struct point *points, int n, struct buf *out);
/* Returns how many points (at most CHUNK_POINTS, room for which is in OUT), or -1: the bytes are damaged. */
int chunk_unpack_points(const void *bytes, size_t n_bytes, struct point *out);

/* The same for N buckets of equal length (bucket.count is not stored: COUNT says it). */
void chunk_pack_buckets(const struct bucket *buckets, int n, struct buf *out);
int chunk_unpack_buckets(const void *bytes, size_t n_bytes, int64_t count, struct bucket *out);

#endif
