/* Moves of whole elements, axis by axis: element (i, j, ..) of y is element (map0[i], map1[j], ..) of x.
 *
 * Padding, rolling, flipping, choosing and nearest-neighbour resizing are such moves and differ in their maps alone.
 * The way back, which adds up whatever was taken from one place, is the gradient of all of them. */
#ifndef OPS_AXIS_MAP_H
#define OPS_AXIS_MAP_H

#include "ops/ops.h"

/* One map for each logical axis: as many entries as the side of y has elements there, each a place on x's side, or -1:
 * on none.  NULL: every element stays in its place.  Maps are borrowed, from a workspace or from an input. */
struct axis_maps {
	const int64_t *map[TD_MAX_RANK];
};

/* y = x moved; FILL (one element) where a map says -1.  Both lie in the same order. */
void axis_take(const td_call *call, const td_view *y, const td_view *x, const struct axis_maps *m, const void *fill);
/* x += y moved back, for numbers; each sum in the order in which y lies. */
void axis_put(const td_call *call, const td_view *x, const td_view *y, const struct axis_maps *m);

/* Bytes for a map of every axis of Y that is in AXES (bit i: axis i); an empty Y needs none. */
size_t axis_maps_bytes(const td_shape *y, uint32_t axes);
/* Places for these maps in WORKSPACE; PLACE(arg, axis, i) is entry i of the map of an axis. */
void axis_maps_fill(struct axis_maps *m, void *workspace, const td_shape *y, uint32_t axes,
	int64_t (*place)(const void *arg, int axis, int64_t i), const void *arg);

/* INDEX, or NULL, as ops read it: int64, to which int32 is cast, and with BYTES also uint8, which elsewhere is rather a
 * mask. */
td_value *index_of(td_ctx *c, td_value *index, bool bytes);

/* Whether all COUNT indices lie in 0 .. SIZE-1; if not, the call fails and names the first that does not. */
bool index_in_range(const td_call *call, const char *op, const int64_t *index, int64_t count, int64_t size);

#endif
