/* Moves of whole elements, axis by axis: see axis_map.h. */
#include "ops/axis_map.h"

#include "td_ops.h"

/* Axes up to the last that has a map, in memory order; what lies behind it moves together, as one unit. */
struct moves {
	int rank;
	int64_t y_dim[TD_MAX_RANK], x_stride[TD_MAX_RANK]; /* strides in units */
	const int64_t *map[TD_MAX_RANK];
	int64_t unit;        /* elements */
	int64_t row, n_rows; /* of y; a row has ROW units */
	int64_t per_slice;   /* rows */
	td_take_fn *take;
	td_dtype dtype;
	size_t size;
	char *y, *x; /* one of the two is only read */
	const void *fill;
};

static void moves_init(struct moves *v, const td_view *y, const td_view *x, const struct axis_maps *m)
{
	const td_shape *ys = y->shape, *xs = x->shape;
	int64_t x_dim[TD_MAX_RANK] = { 0 }, stride = 1;

	TD_ASSERT(ys->order == xs->order && ys->rank == xs->rank);
	*v = (struct moves){ .unit = 1, .n_rows = 1, .row = 1, .dtype = ys->dtype, .size = td_dtype_size(ys->dtype) };
	for (int i = 0; i < ys->rank; i++) {
		int axis = ops_memory_axis(ys, i);

		v->y_dim[i] = ys->dim[axis];
		x_dim[i] = xs->dim[axis];
		v->map[i] = m->map[axis];
		if (v->map[i])
			v->rank = i + 1;
	}
	for (int i = v->rank; i < ys->rank; i++)
		v->unit *= v->y_dim[i];
	for (int i = v->rank - 1; i >= 0; stride *= x_dim[i--])
		v->x_stride[i] = stride;
	for (int i = 0; i < v->rank - 1; i++)
		v->n_rows *= v->y_dim[i];
	if (v->rank)
		v->row = v->y_dim[v->rank - 1];
	v->y = y->data;
	v->x = x->data;
}

/* Where row R of y comes from, in units; -1: from nowhere. */
static int64_t row_source(const struct moves *v, int64_t r)
{
	int64_t from = 0;

	for (int i = v->rank - 2; i >= 0; r /= v->y_dim[i--]) {
		int64_t k = r % v->y_dim[i];

		if (v->map[i])
			k = v->map[i][k];
		if (k < 0)
			return -1;
		from += k * v->x_stride[i];
	}
	return from;
}

static void take_slice(void *arg, int slice)
{
	const struct moves *v = arg;
	const int64_t *map = v->rank ? v->map[v->rank - 1] : NULL;
	int64_t first = slice * v->per_slice;

	for (int64_t r = first; r < TD_MIN(first + v->per_slice, v->n_rows); r++) {
		int64_t from = row_source(v, r);

		v->take(at(v->y, r * v->row * v->unit, v->size),
			from < 0 ? NULL : at_const(v->x, from * v->unit, v->size), map, v->row, v->unit, v->fill);
	}
}

void axis_take(const td_call *call, const td_view *y, const td_view *x, const struct axis_maps *m, const void *fill)
{
	static const uint64_t zero;
	struct moves v;

	if (!td_shape_count(y->shape))
		return;
	moves_init(&v, y, x, m);
	v.fill = fill ? fill : &zero;
	v.take = TD_PICK_SIZE(v.size, k_take);
	v.per_slice = TD_MAX(1, SLICE_ELEMENTS / (v.row * v.unit));
	threads_run(call->threads, (int)((v.n_rows + v.per_slice - 1) / v.per_slice), take_slice, &v);
}

static void put_slice(void *arg, int slice)
{
	const struct moves *v = arg;
	const int64_t *map = v->rank ? v->map[v->rank - 1] : NULL;
	int64_t first = slice * v->per_slice;

	for (int64_t r = first; r < TD_MIN(first + v->per_slice, v->n_rows); r++) {
		int64_t to = row_source(v, r);

		if (to >= 0)
			TD_PICK_NUMBERS(v->dtype, k_put)
		(at(v->x, to * v->unit, v->size), at_const(v->y, r * v->row * v->unit, v->size), map, v->row, v->unit);
	}
}

/* Slices are cut along the leading axes without a map: no two of them add to one place. */
void axis_put(const td_call *call, const td_view *x, const td_view *y, const struct axis_maps *m)
{
	int64_t n_blocks = 1, rows, per_slice;
	struct moves v;

	if (!td_shape_count(y->shape))
		return;
	moves_init(&v, y, x, m);
	for (int i = 0; i < v.rank - 1 && !v.map[i]; i++)
		n_blocks *= v.y_dim[i];
	rows = v.n_rows / n_blocks;
	per_slice = TD_MAX(1, SLICE_ELEMENTS / (rows * v.row * v.unit));
	v.per_slice = rows * per_slice;
	threads_run(call->threads, (int)((n_blocks + per_slice - 1) / per_slice), put_slice, &v);
}

size_t axis_maps_bytes(const td_shape *y, uint32_t axes)
{
	int64_t n = 0;

	for (int i = 0; i < y->rank && !ops_is_empty(y); i++)
		n += axes >> i & 1 ? y->dim[i] : 0;
	return sizeof(int64_t) * (size_t)n;
}

void axis_maps_fill(struct axis_maps *m, void *workspace, const td_shape *y, uint32_t axes,
	int64_t (*place)(const void *arg, int axis, int64_t i), const void *arg)
{
	int64_t *map = workspace;

	*m = (struct axis_maps){ 0 };
	if (ops_is_empty(y))
		return;
	for (int axis = 0; axis < y->rank; axis++) {
		if (!(axes >> axis & 1))
			continue;
		m->map[axis] = map;
		for (int64_t i = 0; i < y->dim[axis]; i++)
			*map++ = place(arg, axis, i);
	}
}

td_value *index_of(td_ctx *c, td_value *index, bool bytes)
{
	td_dtype d = index ? index->shape.dtype : TD_I64;

	return d == TD_I32 || (bytes && d == TD_U8) ? td_cast(c, index, TD_I64) : index;
}

bool index_in_range(const td_call *call, const char *op, const int64_t *index, int64_t count, int64_t size)
{
	for (int64_t i = 0; i < count; i++)
		if (index[i] < 0 || index[i] >= size) {
			err_set(call->err, TD_INVALID, "%s: index %lld is not in 0 .. %lld", op, (long long)index[i],
				(long long)size - 1);
			return false;
		}
	return true;
}
