/* Shapes, values and what they own.  An eager value and the nodes behind it are counted; freeing one may free a chain
 * as long as the training step, so it is done with a list and not by recursion. */
#include "core/core.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	size_t size;
} dtypes[TD_N_DTYPES] = {
	[TD_F32] = { "float32", 4 },
	[TD_F64] = { "float64", 8 },
	[TD_I32] = { "int32", 4 },
	[TD_I64] = { "int64", 8 },
	[TD_U8] = { "uint8", 1 },
	[TD_BOOL] = { "bool", 1 },
};

size_t td_dtype_size(td_dtype d)
{
	return d < TD_N_DTYPES ? dtypes[d].size : 0;
}

const char *td_dtype_name(td_dtype d)
{
	return d < TD_N_DTYPES ? dtypes[d].name : "(no type)";
}

bool td__is_float(td_dtype d)
{
	return d == TD_F32 || d == TD_F64;
}

td_shape td_shape_make(td_dtype dtype, int rank, ...)
{
	td_shape s = { .dtype = dtype, .rank = rank };
	va_list ap;

	TD_ASSERT(rank >= 0 && rank <= TD_MAX_RANK);
	va_start(ap, rank);
	for (int i = 0; i < rank; i++)
		s.dim[i] = va_arg(ap, int); /* literal sizes; larger ones are set in the struct */
	va_end(ap);
	return s;
}

int64_t td_shape_count(const td_shape *s)
{
	int64_t n = 1;

	for (int i = 0; i < s->rank; i++)
		n *= s->dim[i];
	return n;
}

size_t td_shape_bytes(const td_shape *s)
{
	return (size_t)td_shape_count(s) * td_dtype_size(s->dtype);
}

bool td_shape_same(const td_shape *a, const td_shape *b)
{
	return a->dtype == b->dtype && a->rank == b->rank &&
	       !memcmp(a->dim, b->dim, sizeof a->dim[0] * (size_t)a->rank);
}

void td_shape_strides(const td_shape *s, int64_t strides[TD_MAX_RANK])
{
	bool last = s->order == TD_CHANNELS_LAST;
	int64_t n = 1;

	if (last) {
		strides[1] = 1;
		n = s->dim[1];
	}
	for (int i = s->rank - 1; i >= 0; i--) {
		if (last && i == 1)
			continue;
		strides[i] = n;
		n *= s->dim[i];
	}
}

const char *td__shape_text(const td_shape *s, uint32_t unknown, char out[TD_SHAPE_TEXT])
{
	int at = snprintf(out, TD_SHAPE_TEXT, "%s[", td_dtype_name(s->dtype));

	for (int i = 0; i < s->rank && at < TD_SHAPE_TEXT - 24; i++) {
		size_t room = (size_t)(TD_SHAPE_TEXT - at);

		at += unknown >> i & 1 ? snprintf(out + at, room, "%s?", i ? ", " : "")
				       : snprintf(out + at, room, "%s%lld", i ? ", " : "", (long long)s->dim[i]);
	}
	snprintf(out + at, (size_t)(TD_SHAPE_TEXT - at), "]");
	return out;
}

const char *td_shape_text(const td_shape *s, char out[TD_SHAPE_TEXT])
{
	return td__shape_text(s, 0, out);
}

td_value *td__value_create(const td_shape *shape)
{
	td_value *v = MEM_NEW(td_value);

	v->refs = 1;
	v->id = -1;
	v->shape = *shape;
	return v;
}

td_value *td_ref(td_value *v)
{
	if (v && v->id < 0)
		v->refs++;
	return v;
}

/* What is to be freed: a list linked through CAPTURED, which an eager value has no other use for. */
static void doom(td_value **doomed, td_value *v)
{
	if (!v || v->id >= 0 || --v->refs)
		return;
	v->captured = *doomed;
	*doomed = v;
}

static void release_node(td_value **doomed, td_node *n)
{
	if (--n->refs)
		return;
	for (int i = 0; i < n->n_in; i++)
		doom(doomed, n->in[i]);
	for (int i = n->op->n_out; i < n->n_out; i++)
		doom(doomed, n->out[i]);
	mem_free(n);
}

void td_unref(td_value *v)
{
	td_value *doomed = NULL;

	doom(&doomed, v);
	while ((v = doomed)) {
		doomed = v->captured;
		doom(&doomed, v->grad);
		if (v->producer) {
			v->producer->out[v->out] = NULL;
			release_node(&doomed, v->producer);
		}
		td__storage_unref(v->storage);
		for (td_hook *h = v->hooks; h; h = v->hooks) {
			v->hooks = h->next;
			mem_free(h);
		}
		mem_free((void *)(uintptr_t)v->name);
		mem_free(v);
	}
}

td_value *td__base(td_value *v)
{
	while (v->producer && v->producer->op->view)
		v = v->producer->in[0];
	return v;
}

uint32_t td__version(td_value *v, const char **writer)
{
	if (!v->storage)
		v = td__base(v);
	*writer = v->storage ? v->storage->writer : v->writer;
	return v->storage ? v->storage->version : v->version;
}

const td_shape *td_shape_of(const td_value *v)
{
	return &v->shape;
}

void *td_data(td_value *v)
{
	return v->storage ? v->storage->bytes : NULL;
}

/* Copy between V's order and logical row-major order, element by element along the last logical axis. */
static void copy_logical(const td_shape *s, char *physical, char *logical, bool to_physical)
{
	int64_t strides[TD_MAX_RANK], index[TD_MAX_RANK] = { 0 }, n = td_shape_count(s);
	size_t size = td_dtype_size(s->dtype);

	if (s->order == TD_ROW_MAJOR) {
		memcpy(to_physical ? physical : logical, to_physical ? logical : physical, (size_t)n * size);
		return;
	}
	td_shape_strides(s, strides);
	for (int64_t i = 0; i < n; i++) {
		int64_t at = 0;
		for (int a = 0; a < s->rank; a++)
			at += index[a] * strides[a];
		char *p = physical + (size_t)at * size, *l = logical + (size_t)i * size;
		memcpy(to_physical ? p : l, to_physical ? l : p, size);
		for (int a = s->rank - 1; a >= 0 && ++index[a] == s->dim[a]; a--)
			index[a] = 0;
	}
}

void td_read(const td_value *v, void *out)
{
	TD_ASSERT(v->storage);
	copy_logical(&v->shape, v->storage->bytes, out, false);
}

void td_write(td_value *v, const void *data)
{
	TD_ASSERT(v->storage);
	v->storage->version++;
	v->storage->writer = NULL;
	copy_logical(&v->shape, v->storage->bytes, (char *)(uintptr_t)data, true);
}

double td_item(const td_value *v)
{
	const void *p = v->storage->bytes;

	TD_ASSERT(td_shape_count(&v->shape) == 1);
	switch (v->shape.dtype) {
	case TD_F32: return (double)*(const float *)p;
	case TD_F64: return *(const double *)p;
	case TD_I32: return *(const int32_t *)p;
	case TD_I64: return (double)*(const int64_t *)p;
	default: return *(const uint8_t *)p;
	}
}

td_value *td_tensor(td_ctx *c, const td_shape *shape, const void *data)
{
	td_value *v;
	td_storage *s;

	if (c->err.status)
		return NULL;
	s = td__storage_create(c->pool, td_shape_bytes(shape));
	if (!s) {
		char text[TD_SHAPE_TEXT];
		return td_fail(c, TD_NO_MEMORY, "no memory for a tensor %s (%zu bytes)", td_shape_text(shape, text),
			td_shape_bytes(shape));
	}
	v = td__value_create(shape);
	v->storage = s;
	if (data)
		td_write(v, data);
	else
		c->device->fill(s->bytes, 0, s->n_bytes);
	return v;
}

td_value *td_scalar(td_ctx *c, td_dtype dtype, double x)
{
	td_shape s = { .dtype = dtype };
	float f = (float)x;

	TD_ASSERT(td__is_float(dtype));
	return td_tensor(c, &s, dtype == TD_F32 ? (const void *)&f : (const void *)&x);
}

void td_set_name(td_value *v, const char *name)
{
	if (!v || v->id >= 0)
		return;
	mem_free((void *)(uintptr_t)v->name);
	v->name = mem_strdup(name);
}

const char *td_name_of(const td_value *v)
{
	return v->name ? v->name : "";
}

void td_require_grad(td_ctx *c, td_value *v, bool on)
{
	char text[TD_SHAPE_TEXT];

	if (!v || c->err.status || v->needs_grad == on)
		return;
	if (on && !td__is_float(v->shape.dtype))
		td_fail(c, TD_DTYPE, "%s has no gradient to want; only floating values have one, td_cast it first",
			td_shape_text(&v->shape, text));
	else if (v->producer)
		td_fail(c, TD_INVALID, "td_require_grad is for leaves, and %s was made by %s: %s",
			td_shape_text(&v->shape, text), v->producer->op->name,
			on ? "it wants a gradient where something that it is made from does"
			   : "td_detach it where its gradient is to stop");
	else
		v->needs_grad = on;
}

td_value *td_grad_of(const td_value *v)
{
	return v->grad;
}
