/* The op suite's checks: see suite.h. */
#include "suite.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *suite_wrong(const char *fmt, ...)
{
	static char report[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(report, sizeof report, fmt, ap);
	va_end(ap);
	return report;
}

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

/* Distinct numbers, none near 0 or near another, in an order that depends on the seed: no kink of relu or max is met.
 */
static double number_at(enum td_fill fill, int classes, int64_t i, int64_t n, uint32_t seed)
{
	struct rng_key key = { seed, rng_stream("suite"), 0 };
	int64_t place = (int64_t)(((uint64_t)i * 7919u + seed) % (uint64_t)TD_MAX(n, 1));

	switch (fill) {
	case TD_FILL_POSITIVE: return 0.5 + 1.5 * ((double)place + 0.5) / (double)n;
	case TD_FILL_SMALL: return 0.05 + 0.15 * ((double)place + 0.5) / (double)n;
	case TD_FILL_LABELS: return (double)(rng_u32(&key, (uint64_t)i) % (uint32_t)TD_MAX(classes, 1));
	case TD_FILL_ONES: return 1;
	default:
		return (((double)place + 0.5) / (double)n - 0.5) * 4 +
		       (n % 2 && 2 * place + 1 == n ? 0.37 / (double)n : 0);
	}
}

static td_value *make_input(td_ctx *c, const td_sample *s, int k, int64_t batch, bool f64, uint32_t seed)
{
	td_shape shape = s->in[k].shape, row;
	td_value *wide, *v;
	double *data;
	int64_t n;

	if (batch >= 0 && s->in[k].batched)
		shape.dim[0] = batch;
	n = td_shape_count(&shape);
	data = MEM_NEW_N(double, n + 1);
	for (int64_t i = 0; i < n; i++)
		data[i] = number_at(s->in[k].fill, s->in[k].classes, i, n, seed + (uint32_t)k);
	if (f64 && shape.dtype == TD_F32)
		shape.dtype = TD_F64;
	row = shape;
	row.dtype = TD_F64;
	wide = td_tensor(c, &row, data);
	v = td_ref(td_cast(c, wide,
		shape.dtype)); /* a cast keeps the order; its node is not kept, for nothing here wants a gradient */
	td_unref(wide);
	mem_free(data);
	return v;
}

void suite_make_inputs(td_ctx *c, const td_sample *s, int64_t batch, bool f64, uint32_t seed, td_value **in)
{
	for (int k = 0; k < s->n_in; k++)
		in[k] = make_input(c, s, k, batch, f64, seed);
}

void suite_drop(td_value **values, int n)
{
	for (int i = 0; i < n; i++)
		td_unref(values[i]);
}

bool suite_differentiable(const td_op *op, const td_sample *s, int k)
{
	return op->backward != td_nodiff && op->backward != td_once && s->in[k].shape.dtype == TD_F32 &&
	       !s->in[k].fixed && !(op->shape_only >> k & 1) && !s->in[k].variable;
}

bool suite_has_gradient(const td_op *op, const td_sample *s)
{
	for (int k = 0; k < s->n_in; k++)
		if (suite_differentiable(op, s, k))
			return true;
	return false;
}

/* Casts to integers have no gradient to check. */
static bool gives_floats(const td_op *op, const td_sample *s)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ 0 });
	td_value *in[TD_MOST_IN] = { 0 }, *y;
	bool floats;

	suite_make_inputs(c, s, -1, false, 1, in);
	y = s->apply(c, in);
	floats = op->n_out && y && td__is_float(y->shape.dtype);
	suite_drop(in, s->n_in);
	td_ctx_free(c);
	return floats;
}

td_ctx *suite_context(int threads)
{
	return td_ctx_create(&(td_ctx_options){ .threads = threads, .seed = 99 });
}

/* A projection of Y on fixed pseudo-random weights: a plain sum is blind to whatever keeps its sum, as softmax does. */
static td_value *project(td_ctx *c, td_value *y)
{
	td_shape shape;
	td_value *w, *p;
	double *data;
	int64_t n;

	if (!y)
		return NULL;
	shape = y->shape;
	n = td_shape_count(&shape);
	data = MEM_NEW_N(double, n + 1);
	for (int64_t i = 0; i < n; i++)
		data[i] = sin(1.7 * (double)i + 0.3) + 0.1;
	shape.dtype = TD_F64;
	shape.order = TD_ROW_MAJOR;
	w = td_tensor(c, &shape, data);
	mem_free(data);
	p = td_sum(c, td_mul(c, td_cast(c, y, TD_F64), w), TD_ALL_AXES, false);
	td_unref(w);
	return p;
}

/* ---- The checks -------------------------------------------------------------------------------------------------- */

const char *suite_infer_agrees(const td_op *op, const td_sample *s, int i)
{
	td_ctx *c = suite_context(1);
	td_value *in[TD_MOST_IN] = { 0 }, *y;
	const char *wrong = NULL;

	suite_make_inputs(c, s, -1, false, 5, in);
	y = s->apply(c, in);
	if (c->err.status)
		wrong = suite_wrong("%s sample %d: %s", op->name, i, c->err.text);
	else if (!y && op->n_out)
		wrong = suite_wrong("%s sample %d: no result", op->name, i);
	else if (y && !y->storage)
		wrong = suite_wrong("%s sample %d: a result without storage", op->name, i);
	else if (y && td__is_float(y->shape.dtype))
		for (int64_t k = 0; k < td_shape_count(&y->shape) && !wrong; k++) {
			double v =
				y->shape.dtype == TD_F32 ? (double)((float *)td_data(y))[k] : ((double *)td_data(y))[k];
			if (v != v)
				wrong = suite_wrong("%s sample %d: element %lld is NaN", op->name, i, (long long)k);
		}
	suite_drop(in, s->n_in);
	td_ctx_free(c);
	return wrong;
}

/* The projection (or, for second order, the projected gradients) as a number, with element E of input K moved by STEP.
 */
static double moved(
	td_ctx *c, const td_op *op, const td_sample *s, td_value **in, int k, int64_t e, double step, bool second)
{
	double *p = (double *)td_data(in[k]) + e, before = *p, result = 0;
	td_value *y, *loss, *grads[TD_MOST_IN];

	*p += step;
	td_step_begin(c);
	td_step_set(c, 0);
	c->n_random = 0;
	y = s->apply(c, in);
	loss = project(c, y);
	if (!second) {
		result = loss ? td_item(loss) : NAN;
	} else {
		td_gradients(c, &loss, NULL, 1, in, s->n_in, TD_CREATE_GRAPH, grads);
		for (int g = 0; g < s->n_in; g++)
			if (suite_differentiable(op, s, g) && grads[g])
				result += td_item(project(c, grads[g]));
	}
	td_step_end(c);
	*p = before;
	return result;
}

/* Compare the analytic GRAD of input K with central differences. */
static const char *compare(
	td_ctx *c, const td_op *op, const td_sample *s, int i, td_value **in, int k, const double *grad, bool second)
{
	const double step = 1e-5, bound = 1e-6;
	int64_t n = td_shape_count(&in[k]->shape), stride = n / 40 + 1;
	/* where all is smaller, cancellation decides: of numbers about 1 such a difference is known to 1e-11 */
	double largest = 1e-3;

	for (int64_t e = 0; e < n; e++)
		largest = TD_MAX(largest, fabs(grad ? grad[e] : 0));
	for (int64_t e = 0; e < n; e += stride) {
		double numeric = (moved(c, op, s, in, k, e, step, second) - moved(c, op, s, in, k, e, -step, second)) /
				 (2 * step);
		double analytic = grad ? grad[e] : 0;
		if (!(fabs(numeric - analytic) <= bound * largest))
			return suite_wrong(
				"%s sample %d: the %sgradient of input %d at %lld is %.9g, differences say %.9g",
				op->name, i, second ? "second " : "", k, (long long)e, analytic, numeric);
	}
	return NULL;
}

static const char *check_gradient(td_ctx *c, const td_op *op, const td_sample *s, int i, td_value **in, bool second)
{
	td_value *loss, *grads[TD_MOST_IN] = { 0 }, *outer = NULL, *inner[TD_MOST_IN];
	double *copies[TD_MOST_IN] = { 0 };
	const char *wrong = NULL;
	bool declared;

	td_step_begin(c);
	td_step_set(c, 0);
	c->n_random = 0;
	loss = project(c, s->apply(c, in));
	td_gradients(c, &loss, NULL, 1, in, s->n_in, TD_CREATE_GRAPH, second ? inner : grads);
	for (int k = 0; second && k < s->n_in; k++)
		if (suite_differentiable(op, s, k) && inner[k])
			outer = outer ? td_add(c, outer, project(c, inner[k])) : project(c, inner[k]);
	if (second && outer && outer->needs_grad)
		td_gradients(c, &outer, NULL, 1, in, s->n_in, TD_CREATE_GRAPH, grads);
	for (int k = 0; k < s->n_in; k++)
		if (grads[k] && !c->err.status) { /* in the input's own order, as moved() addresses elements */
			td_value *g = grads[k]->shape.order == in[k]->shape.order
					      ? grads[k]
					      : td_reorder(c, grads[k], in[k]->shape.order);
			copies[k] = mem_alloc(td_shape_bytes(&g->shape));
			memcpy(copies[k], td_data(g), td_shape_bytes(&g->shape));
		}
	td_step_end(c);
	declared = second && c->err.status == TD_UNSUPPORTED; /* the rule says that it ends after one gradient */
	if (c->err.status && !declared)
		wrong = suite_wrong("%s sample %d: %s", op->name, i, c->err.text);
	for (int k = 0; k < s->n_in && !wrong && !declared; k++)
		if (suite_differentiable(op, s, k))
			wrong = compare(c, op, s, i, in, k, copies[k], second);
	for (int k = 0; k < s->n_in; k++)
		mem_free(copies[k]);
	return wrong;
}

const char *suite_gradient(const td_op *op, const td_sample *s, int i)
{
	td_ctx *c;
	td_value *in[TD_MOST_IN] = { 0 };
	const char *wrong;

	if (!suite_has_gradient(op, s) || !gives_floats(op, s))
		return NULL;
	c = suite_context(1);
	suite_make_inputs(c, s, -1, true, 11, in);
	for (int k = 0; k < s->n_in; k++)
		if (suite_differentiable(op, s, k))
			td_require_grad(c, in[k], true);
	td_step_end(c);
	wrong = check_gradient(c, op, s, i, in, false);
	if (!wrong)
		wrong = check_gradient(c, op, s, i, in, true);
	suite_drop(in, s->n_in);
	td_ctx_free(c);
	return wrong;
}

const char *suite_precision(const td_op *op, const td_sample *s, int i)
{
	td_ctx *c = suite_context(1);
	td_value *in[2][TD_MOST_IN] = { 0 }, *y[2], *wide;
	const char *wrong = NULL;

	suite_make_inputs(c, s, -1, false, 23, in[0]);
	for (int k = 0; k < s->n_in; k++) /* the very numbers that float32 sees */
		in[1][k] = td_ref(s->in[k].shape.dtype == TD_F32 ? td_cast(c, in[0][k], TD_F64) : in[0][k]);
	for (int f = 0; f < 2; f++) {
		c->n_random = 0;
		y[f] = s->apply(c, in[f]);
		for (int k = 0; k < s->n_in && !y[f]; k++)
			if (s->in[k].variable)
				y[f] = in[f][k];
	}
	if (c->err.status) {
		wrong = suite_wrong("%s sample %d: %s", op->name, i, c->err.text);
	} else if (y[0] && y[0]->shape.dtype == TD_F32 && y[1]->shape.dtype == TD_F64) {
		int64_t n = td_shape_count(&y[0]->shape);
		double largest = 1;

		wide = y[1];
		for (int64_t e = 0; e < n; e++)
			largest = TD_MAX(largest, fabs(((double *)td_data(wide))[e]));
		for (int64_t e = 0; e < n && !wrong; e++) {
			double narrow = (double)((float *)td_data(y[0]))[e], exact = ((double *)td_data(wide))[e];
			if (!(fabs(narrow - exact) <= 64 * 5.96e-8 * largest))
				wrong = suite_wrong(
					"%s sample %d: element %lld is %.9g in float32 and %.12g in float64", op->name,
					i, (long long)e, narrow, exact);
		}
	} else if (y[0] && !td__is_float(y[0]->shape.dtype) &&
		   memcmp(td_data(y[0]), td_data(y[1]), td_shape_bytes(&y[0]->shape)) != 0) {
		wrong = suite_wrong("%s sample %d: float32 and float64 give other integers", op->name, i);
	}
	suite_drop(in[0], s->n_in);
	suite_drop(in[1], s->n_in);
	td_ctx_free(c);
	return wrong;
}

/* Every input in turn with a wrong type, one axis too many, one too few, and every size one larger. */
const char *suite_refuses(const td_op *op, const td_sample *s, int i)
{
	int refused = 0, tried = 0;

	for (int k = 0; k < s->n_in; k++)
		for (int fault = 0; fault < 4; fault++) {
			td_sample bad = *s;
			td_shape *shape = &bad.in[k].shape;
			td_ctx *c = suite_context(1);
			td_value *in[TD_MOST_IN] = { 0 };

			if (fault == 0) /* some take ids of every size */
				shape->dtype = td__is_float(shape->dtype) ? TD_U8 : TD_BOOL;
			else if (fault == 1 && shape->rank < TD_MAX_RANK)
				shape->dim[shape->rank++] = 2;
			else if (fault == 2 && shape->rank > 0)
				shape->rank--;
			else if (fault == 3 && shape->rank > 0)
				shape->dim[shape->rank - 1]++;
			if (shape->rank < 3)
				shape->order = TD_ROW_MAJOR;
			suite_make_inputs(c, &bad, -1, false, 3, in);
			bad.apply(c, in);
			tried++;
			refused += c->err.status != TD_OK;
			if (c->err.status && !*c->err.text)
				return suite_wrong("%s sample %d: a refusal without a word", op->name, i);
			suite_drop(in, s->n_in);
			td_ctx_free(c);
		}
	return refused || op->view || op->n_in <= 1
		       ? NULL
		       : suite_wrong("%s sample %d: none of %d wrong inputs was refused", op->name, i, tried);
}

/* ---- Fields ------------------------------------------------------------------------------------------------------ */

#define ATTRS_MOST 512 /* bytes */

/* What stands between two fields is padding when the second could not begin earlier; after the last, when the struct of
 * the widest could not end earlier. */
const char *suite_fields(const td_op *op)
{
	static const size_t sizes[] = { [TD_FIELD_INT] = sizeof(int),
		[TD_FIELD_INT64] = sizeof(int64_t),
		[TD_FIELD_MASK] = sizeof(uint32_t),
		[TD_FIELD_FLOAT] = sizeof(float),
		[TD_FIELD_DOUBLE] = sizeof(double),
		[TD_FIELD_BOOL] = sizeof(bool),
		[TD_FIELD_FUNCTION] = sizeof(const td_trace *),
		[TD_FIELD_CODE] = sizeof(td_custom) };
	size_t owner_size[ATTRS_MOST] = { 0 }, widest = 1, gap = 0;

	if (op->attrs_size > ATTRS_MOST)
		return suite_wrong("%s: attributes of %zu bytes", op->name, op->attrs_size);
	for (const td_field *f = op->fields; f && f->name; f++) {
		size_t size = sizes[f->kind], bytes = size * (size_t)TD_MAX(f->count, 1);

		if (f->at + bytes > op->attrs_size)
			return suite_wrong("%s: the field %s lies beyond the attributes", op->name, f->name);
		for (size_t i = f->at; i < f->at + bytes; i++) {
			if (owner_size[i])
				return suite_wrong("%s: the field %s lies on another", op->name, f->name);
			owner_size[i] = size;
		}
		widest = TD_MAX(widest, size);
	}
	for (size_t i = 0; i <= op->attrs_size; i++) {
		size_t next = i == op->attrs_size ? widest : owner_size[i];

		if (next && gap >= next)
			return suite_wrong(
				"%s: no field names the %zu bytes of the attributes before byte %zu", op->name, gap, i);
		gap = next ? 0 : gap + 1;
	}
	return NULL;
}
