/* Control flow: branches and loops, whose bodies are functions that were traced before (core/function.h).
 *
 * Both are ops like any other, the same in both modes: their kernels run the bodies' sessions.  The gradient of a
 * branch is a branch between the gradients; that of a loop walks through the states that the loop kept. */
#include "core/function.h"
#include "ops/ops.h"

#define FLOW_MOST (TD_MOST_IN - 1) /* inputs beside the predicate: those of a gradient are inputs and gradients */

static const td_shape nothing = { .dtype = TD_U8, .rank = 1 }; /* of results that there are not */

static bool same_results(td_infer *q, const char *op, const td_shape *is, const td_shape *should, int n)
{
	char got[TD_SHAPE_TEXT], want[TD_SHAPE_TEXT];

	for (int i = 0; i < n; i++)
		if (!td_shape_same(&is[i], &should[i]))
			return td_fail(q->ctx, TD_SHAPE,
				       "%s: result %d is %s in one place and %s in another; it has to be the same", op,
				       i, td_shape_text(&is[i], got), td_shape_text(&should[i], want)),
			       false;
	return true;
}

/* What a scalar decides: whatever is not 0 is true. */
static bool decides(const td_view *v)
{
	static const char zeros[8];

	return memcmp(v->data, zeros, td_dtype_size(v->shape->dtype)) != 0;
}

static bool need_predicate(td_infer *q, const char *op, const td_shape *s)
{
	char text[TD_SHAPE_TEXT];

	if (td_shape_count(s) == 1 && !td__is_float(s->dtype))
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s is decided by one element of bool or an integer type, not by %s", op,
		td_shape_text(s, text));
	return false;
}

/* ---- cond -------------------------------------------------------------------------------------------------------- */

/* y = predicate ? then(x) : otherwise(x) */
typedef struct cond_attrs {
	td_function *function[2]; /* then, otherwise; borrowed */
	const td_trace *trace[2]; /* theirs */
	int n_in, n_out;
} cond_attrs;

static void cond_infer(td_infer *q)
{
	const cond_attrs *a = q->attrs;
	td_shape in[FLOW_MOST], other[TD_MOST_OUT];

	if (!need_predicate(q, "cond", q->in[0]))
		return;
	for (int i = 0; i < a->n_in; i++)
		in[i] = *q->in[i + 1];
	if (!td__trace_shapes(q->ctx, a->trace[0], in, q->out) || !td__trace_shapes(q->ctx, a->trace[1], in, other))
		return;
	same_results(q, "cond", other, q->out, a->n_out);
	for (int i = a->n_out; i < TD_MOST_OUT; i++)
		q->out[i] = nothing;
}

static void cond_forward(const td_call *call)
{
	const cond_attrs *a = call->attrs;

	td__trace_run(a->trace[decides(&call->in[0]) ? 0 : 1], call, &call->in[1], call->out);
}

static td_status cond_apply(td_ctx *c, td_value *predicate, td_function *then, td_function *otherwise,
	td_value *const *in, int n_in, td_value **out);

static void cond_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const cond_attrs *a = n->attrs;
	td_function *then = td__function_gradient(c, a->function[0]),
		    *otherwise = td__function_gradient(c, a->function[1]);
	td_value *in[TD_MOST_IN] = { 0 };

	for (int i = 0; i < a->n_in; i++)
		in[i] = n->in[i + 1];
	for (int i = 0; i < a->n_out; i++)
		in[a->n_in + i] = dy[i] ? dy[i] : td_zeros_like(c, n->out[i]);
	if (!c->err.status)
		cond_apply(c, n->in[0], then, otherwise, in, a->n_in + a->n_out, &dx[1]);
}

/* Of a sample: two branches of two inputs; the third decides. */
static void product_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_mul(c, td_square(c, in[0]), in[1]);
	out[1] = td_add(c, in[0], in[1]);
}

static void sum_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_add(c, td_mul(c, in[0], in[1]), in[1]);
	out[1] = td_exp(c, in[0]);
}

static td_value *cond_sample_apply(td_ctx *c, td_value *const *in)
{
	static td_function *then, *otherwise; /* the suite's, for good */
	td_value *out[2] = { 0 };

	if (!then) {
		then = td_function_create("product", product_body, NULL, 2, 2, 0);
		otherwise = td_function_create("sum", sum_body, NULL, 2, 2, 0);
	}
	if (td_cond(c, td_cast(c, in[2], TD_BOOL), then, otherwise, in, 2, out))
		return NULL;
	return td_add(c, out[0], out[1]);
}

static bool cond_sample(int i, td_sample *s)
{
	static const int64_t width[] = { 5, 3, 0 };

	if (i >= 3)
		return false;
	SAMPLE_INPUT(s, TD_FILL_SMALL, TD_F32, 4, width[i]);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, width[i]);
	s->in[0].batched = true;
	ops_sample_input(s, i == 1 ? TD_FILL_ONES : TD_FILL_LABELS, TD_F32, 0, NULL); /* labels of one class: 0 */
	s->in[2].classes = 1;
	s->in[2].fixed = true;
	s->apply = cond_sample_apply;
	return true;
}

TD_OP(cond, .n_in = TD_MOST_IN, .n_out = TD_MOST_OUT, .optional = 0xfffe, .attrs_size = sizeof(cond_attrs),
	.infer = cond_infer, .forward = { cond_forward }, .backward = cond_backward, .sample = cond_sample)

static td_status cond_apply(td_ctx *c, td_value *predicate, td_function *then, td_function *otherwise,
	td_value *const *in, int n_in, td_value **out)
{
	cond_attrs a = { { then, otherwise }, { NULL, NULL }, n_in, td__function_results(then) };
	td_value *all[TD_MOST_IN] = { predicate }, *results[TD_MOST_OUT];
	td_shape shapes[TD_MOST_IN];

	for (int i = 0; i < n_in; i++) {
		all[i + 1] = ops_row_major(c, in[i]);
		if (all[i + 1])
			shapes[i] = *td_shape_of(all[i + 1]);
	}
	for (int k = 0; k < 2 && !c->err.status; k++)
		a.trace[k] = td__function_pin(c, a.function[k], shapes);
	if (!c->err.status && td_apply_all(c, &td_op_cond, &a, all, n_in + 1, results))
		memcpy(out, results, sizeof *out * (size_t)a.n_out);
	return c->err.status;
}

/* False: the sticky error. */
static bool takes(td_ctx *c, const char *op, const td_function *f, int n_in, int n_out)
{
	if (td__function_inputs(f) == n_in && td__function_results(f) == n_out)
		return true;
	td_fail(c, TD_INVALID, "%s: a function of %d inputs and %d results stands where %d and %d are needed", op,
		td__function_inputs(f), td__function_results(f), n_in, n_out);
	return false;
}

td_status td_cond(td_ctx *c, td_value *predicate, td_function *then, td_function *otherwise, td_value *const *in,
	int n_in, td_value **out)
{
	if (c->err.status || !takes(c, "cond", then, n_in, td__function_results(then)) ||
		!takes(c, "cond", otherwise, n_in, td__function_results(then)))
		return c->err.status;
	TD_ASSERT(n_in <= TD_FUNCTION_MOST);
	return cond_apply(c, predicate, then, otherwise, in, n_in, out);
}

/* ---- while ------------------------------------------------------------------------------------------------------- */

/* Behind the visible results stand, for the gradient, the rounds and every round's variables. */
enum { LOOP_ROUNDS = TD_LOOP_MOST, LOOP_STATES };

typedef struct while_attrs {
	td_function *body; /* borrowed */
	const td_trace *test_trace, *body_trace;
	int n_vars, n_constants;
	int64_t most;
} while_attrs;

static int64_t state_bytes(const td_shape *const *vars, int n)
{
	int64_t bytes = 0;

	for (int i = 0; i < n; i++)
		bytes += (int64_t)td_shape_bytes(vars[i]);
	return bytes;
}

static void while_infer(td_infer *q)
{
	const while_attrs *a = q->attrs;
	td_shape in[TD_MOST_IN], after[TD_MOST_OUT], decision[TD_MOST_OUT];

	for (int i = 0; i < a->n_vars + a->n_constants; i++)
		in[i] = *q->in[i];
	if (!td__trace_shapes(q->ctx, a->test_trace, in, decision) || !need_predicate(q, "while", &decision[0]) ||
		!td__trace_shapes(q->ctx, a->body_trace, in, after) || !same_results(q, "while", after, in, a->n_vars))
		return;
	for (int i = 0; i < TD_LOOP_MOST; i++)
		q->out[i] = i < a->n_vars ? in[i] : nothing;
	q->out[LOOP_ROUNDS] = (td_shape){ .dtype = TD_I64 };
	q->out[LOOP_STATES] =
		(td_shape){ .dtype = TD_U8, .rank = 2, .dim = { a->most, state_bytes(q->in, a->n_vars) } };
}

/* Keep the variables (whose bytes are in VARS) as those of round ROUND. */
static void keep_state(const while_attrs *a, const td_view *vars, const td_view *states, int64_t round)
{
	char *to = (char *)states->data + round * states->shape->dim[1];

	for (int i = 0; i < a->n_vars; i++) {
		size_t n = td_shape_bytes(vars[i].shape);
		if (n)
			memcpy(to, vars[i].data, n);
		to += n;
	}
}

static void while_forward(const td_call *call)
{
	const while_attrs *a = call->attrs;
	td_view in[TD_MOST_IN];
	td_shape scalar[TD_MOST_OUT] = { a->test_trace->result[0]->shape };
	char decision[8];
	td_view test = { &scalar[0], decision };
	int64_t round = 0;

	for (int i = 0; i < a->n_vars + a->n_constants; i++)
		in[i] = call->in[i];
	for (int i = 0; i < a->n_vars; i++) {
		if (td_shape_bytes(in[i].shape))
			memcpy(call->out[i].data, in[i].data, td_shape_bytes(in[i].shape));
		in[i].data = call->out[i].data; /* from here on the variables lie where their last values will */
	}
	while (td__trace_run(a->test_trace, call, in, &test) && decides(&test)) {
		if (round == a->most) {
			err_set(call->err, TD_INVALID, "while: the test still says go on after %lld rounds, its limit",
				(long long)a->most);
			return;
		}
		if (call->out[LOOP_STATES].data)
			keep_state(a, in, &call->out[LOOP_STATES], round);
		if (!td__trace_run(a->body_trace, call, in, call->out))
			return;
		round++;
	}
	if (call->out[LOOP_ROUNDS].data)
		*(int64_t *)call->out[LOOP_ROUNDS].data = round;
}

/* ---- while_dx ---------------------------------------------------------------------------------------------------- */

/* Inputs: rounds, states, gradients of the results, constants.  Results: gradients of variables and constants. */
typedef struct while_dx_attrs {
	const td_trace *gradient; /* of the body */
	int n_vars, n_constants;
} while_dx_attrs;

static void while_dx_infer(td_infer *q)
{
	const while_dx_attrs *a = q->attrs;

	for (int i = 0; i < TD_MOST_OUT; i++)
		q->out[i] = i < a->n_vars + a->n_constants ? *q->in[2 + i] : nothing;
	for (int i = 0; i < a->n_constants; i++)
		q->workspace += td_shape_bytes(&q->out[a->n_vars + i]);
}

static void add_to(const td_view *sum, const void *x)
{
	int64_t n = td_shape_count(sum->shape);

	if (sum->shape->dtype == TD_F32)
		for (int64_t i = 0; i < n; i++)
			((float *)sum->data)[i] += ((const float *)x)[i];
	if (sum->shape->dtype == TD_F64)
		for (int64_t i = 0; i < n; i++)
			((double *)sum->data)[i] += ((const double *)x)[i];
}

static void while_dx_forward(const td_call *call)
{
	const while_dx_attrs *a = call->attrs;
	const td_view *states = &call->in[1], *dy = &call->in[2], *constants = &call->in[2 + a->n_vars];
	int n = a->n_vars + a->n_constants;
	td_view in[TD_MOST_IN], out[TD_MOST_OUT];
	char *scratch = call->workspace;

	for (int i = 0; i < n; i++) { /* round by round: d vars in place, d constants into scratch and then added */
		size_t bytes = td_shape_bytes(call->out[i].shape);
		out[i] = call->out[i];
		if (i < a->n_vars && bytes)
			memcpy(out[i].data, dy[i].data, bytes);
		if (i >= a->n_vars) {
			memset(out[i].data, 0, bytes);
			out[i].data = scratch;
			scratch += bytes;
		}
	}
	for (int64_t round = *(const int64_t *)call->in[0].data - 1; round >= 0; round--) {
		char *state = (char *)states->data + round * states->shape->dim[1];
		for (int i = 0; i < a->n_vars; i++) {
			in[i] = (td_view){ dy[i].shape, state };
			state += td_shape_bytes(dy[i].shape);
			in[n + i] = out[i];
		}
		for (int i = 0; i < a->n_constants; i++)
			in[a->n_vars + i] = constants[i];
		if (!td__trace_run(a->gradient, call, in, out))
			return;
		for (int i = a->n_vars; i < n; i++)
			add_to(&call->out[i], out[i].data);
	}
}

static void while_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx);
static bool while_sample(int i, td_sample *s);

TD_OP(while, .n_in = TD_FUNCTION_MOST, .n_out = TD_LOOP_MOST, .n_hidden = 2, .optional = 0x7e,
	.attrs_size = sizeof(while_attrs), .infer = while_infer, .forward = { while_forward },
	.backward = while_backward, .sample = while_sample)
TD_OP(while_dx, .n_in = 2 + TD_FUNCTION_MOST, .n_out = TD_MOST_OUT, .optional = 0x1f8,
	.attrs_size = sizeof(while_dx_attrs), .infer = while_dx_infer, .forward = { while_dx_forward },
	.backward = td_once, .sample = while_sample)

static void while_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const while_attrs *a = n->attrs;
	int total = a->n_vars + a->n_constants;
	while_dx_attrs attrs = { .n_vars = a->n_vars, .n_constants = a->n_constants };
	td_function *gradient = td__function_gradient(c, a->body);
	td_value *in[2 + TD_FUNCTION_MOST] = { n->out[LOOP_ROUNDS], n->out[LOOP_STATES] }, *out[TD_MOST_OUT];
	td_shape shapes[TD_MOST_IN];

	for (int i = 0; i < a->n_vars; i++)
		in[2 + i] = dy[i] ? ops_row_major(c, dy[i]) : td_zeros_like(c, n->out[i]);
	for (int i = 0; i < a->n_constants; i++)
		in[2 + a->n_vars + i] = n->in[a->n_vars + i];
	for (int i = 0; i < total; i++)
		shapes[i] = n->in[i]->shape;
	for (int i = 0; i < a->n_vars; i++)
		shapes[total + i] = n->in[i]->shape;
	if (gradient && !c->err.status)
		attrs.gradient = td__function_pin(c, gradient, shapes);
	if (!c->err.status && td_apply_all(c, &td_op_while_dx, &attrs, in, 2 + total, out))
		memcpy(dx, out, sizeof *out * (size_t)total);
}

td_status td_while(td_ctx *c, const td_loop *loop, td_value *const *vars, td_value *const *constants, td_value **out)
{
	int n = loop->n_vars + loop->n_constants;
	while_attrs a = {
		.body = loop->body, .n_vars = loop->n_vars, .n_constants = loop->n_constants, .most = loop->most
	};
	td_value *in[TD_FUNCTION_MOST], *results[TD_MOST_OUT];
	td_shape shapes[TD_MOST_IN];

	TD_ASSERT(loop->n_vars >= 1 && loop->n_vars <= TD_LOOP_MOST && n <= TD_FUNCTION_MOST && loop->most >= 0);
	if (c->err.status || !takes(c, "while", loop->test, n, 1) || !takes(c, "while", loop->body, n, loop->n_vars))
		return c->err.status;
	for (int i = 0; i < n; i++) {
		in[i] = ops_row_major(c, i < loop->n_vars ? vars[i] : constants[i - loop->n_vars]);
		if (in[i])
			shapes[i] = *td_shape_of(in[i]);
	}
	if (!c->err.status)
		a.test_trace = td__function_pin(c, loop->test, shapes);
	if (!c->err.status)
		a.body_trace = td__function_pin(c, loop->body, shapes);
	if (!c->err.status && td_apply_all(c, &td_op_while, &a, in, n, results))
		memcpy(out, results, sizeof *out * (size_t)a.n_vars);
	return c->err.status;
}

/* Of a sample: x = x w + x, as often as a counter says. */
static void count_test(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_cast(c, in[0], TD_I32);
}

static void grow_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_sub(c, in[0], td_ones_like(c, in[0]));
	out[1] = td_add(c, td_mul(c, in[1], in[2]), in[1]);
}

static td_value *while_sample_apply(td_ctx *c, td_value *const *in)
{
	static td_loop loop = { .n_vars = 2, .n_constants = 1, .most = 5 }; /* the suite's, for good */
	td_value *out[2] = { 0 };

	if (!loop.test) {
		loop.test = td_function_create("test", count_test, NULL, 3, 1, 0);
		loop.body = td_function_create("body", grow_body, NULL, 3, 2, 0);
	}
	return td_while(c, &loop, (td_value *[]){ in[2], in[0] }, &in[1], out) ? NULL : out[1];
}

static bool while_sample(int i, td_sample *s)
{
	static const int64_t width[] = { 5, 1, 0 };

	if (i >= 3)
		return false;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 4, width[i]);
	SAMPLE_INPUT(s, TD_FILL_SMALL, TD_F32, width[i]);
	s->in[0].batched = true;
	ops_sample_input(s, i ? TD_FILL_ONES : TD_FILL_LABELS, TD_F32, 0, NULL); /* 0 or 1 or some rounds */
	s->in[2].classes = 5;
	s->in[2].fixed = true;
	s->apply = while_sample_apply;
	return true;
}
