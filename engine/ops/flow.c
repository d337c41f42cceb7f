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

/* How many inputs stand from FIRST on: up to the last that was not left out. */
static int count_inputs(const td_infer *q, int first)
{
	int n = q->n_in - first;

	while (n > 0 && !q->in[first + n - 1])
		n--;
	return n;
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

/* ---- cond -------------------------------------------------------------------------------------------------------- */

/* y = predicate ? then(x) : otherwise(x) */
typedef struct cond_attrs {
	const td_trace *then, *otherwise; /* their functions' */
} cond_attrs;

static const td_field cond_fields[] = { TD_FIELD(cond_attrs, then), TD_FIELD(cond_attrs, otherwise), { 0 } };

static void cond_infer(td_infer *q)
{
	const cond_attrs *a = q->attrs;
	int n_in = count_inputs(q, 1), n_out = td__function_results(a->then->function);
	td_shape other[TD_MOST_OUT];

	if (!need_predicate(q, "cond", q->in[0]) ||
		!takes(q->ctx, "cond", a->otherwise->function, td__function_inputs(a->then->function), n_out) ||
		!td__trace_shapes(q->ctx, a->then, q->in + 1, n_in, q->out) ||
		!td__trace_shapes(q->ctx, a->otherwise, q->in + 1, n_in, other))
		return;
	same_results(q, "cond", other, q->out, n_out);
	for (int i = n_out; i < TD_MOST_OUT; i++)
		q->out[i] = nothing;
}

static void cond_forward(const td_call *call)
{
	const cond_attrs *a = call->attrs;

	td__trace_run(decides(&call->in[0]) ? a->then : a->otherwise, call, &call->in[1], call->out);
}

static td_status cond_apply(td_ctx *c, td_value *predicate, td_function *then, td_function *otherwise,
	td_value *const *in, int n_in, td_value **out);

static void cond_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const cond_attrs *a = n->attrs;
	int n_in = td__function_inputs(a->then->function), n_out = td__function_results(a->then->function);
	td_function *then = td__function_gradient(c, a->then->function),
		    *otherwise = td__function_gradient(c, a->otherwise->function);
	td_value *in[TD_MOST_IN] = { 0 };

	for (int i = 0; i < n_in; i++)
		in[i] = n->in[i + 1];
	for (int i = 0; i < n_out; i++)
		in[n_in + i] = dy[i] ? dy[i] : td__zeros_of(c, n->out[i]);
	if (!c->err.status)
		cond_apply(c, n->in[0], then, otherwise, in, n_in + n_out, &dx[1]);
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
	.fields = cond_fields, .infer = cond_infer, .forward = { cond_forward }, .backward = cond_backward,
	.sample = cond_sample)

static td_status cond_apply(td_ctx *c, td_value *predicate, td_function *then, td_function *otherwise,
	td_value *const *in, int n_in, td_value **out)
{
	cond_attrs a = { 0 };
	td_value *all[TD_MOST_IN] = { predicate }, *results[TD_MOST_OUT];
	td_shape shapes[TD_MOST_IN];

	for (int i = 0; i < n_in; i++) {
		all[i + 1] = ops_row_major(c, in[i]);
		if (all[i + 1])
			shapes[i] = *td_shape_of(all[i + 1]);
	}
	if (!c->err.status)
		a.then = td__function_pin(c, then, shapes);
	if (!c->err.status)
		a.otherwise = td__function_pin(c, otherwise, shapes);
	if (!c->err.status && td_apply_all(c, &td_op_cond, &a, all, n_in + 1, results))
		memcpy(out, results, sizeof *out * (size_t)td__function_results(then));
	return c->err.status;
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
	const td_trace *test, *body; /* their functions' */
	int64_t most;                /* rounds */
} while_attrs;

static const td_field while_fields[] = { TD_FIELD(while_attrs, test), TD_FIELD(while_attrs, body),
	TD_FIELD(while_attrs, most), { 0 } };

/* The body takes variables and constants, and gives the variables again. */
static int n_vars(const while_attrs *a)
{
	return td__function_results(a->body->function);
}

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
	int n_in = count_inputs(q, 0), vars = n_vars(a);
	td_shape before[TD_LOOP_MOST], after[TD_MOST_OUT], decision[TD_MOST_OUT];

	if (vars > TD_MIN(n_in, TD_LOOP_MOST) || a->most < 0) {
		td_fail(q->ctx, TD_INVALID, "while: %d of %d inputs cannot change in %lld rounds", vars, n_in,
			(long long)a->most);
		return;
	}
	if (!takes(q->ctx, "while", a->test->function, n_in, 1) ||
		!td__trace_shapes(q->ctx, a->test, q->in, n_in, decision) ||
		!need_predicate(q, "while", &decision[0]) || !td__trace_shapes(q->ctx, a->body, q->in, n_in, after))
		return;
	for (int i = 0; i < vars; i++)
		before[i] = *q->in[i];
	if (!same_results(q, "while", after, before, vars))
		return;
	for (int i = 0; i < TD_LOOP_MOST; i++)
		q->out[i] = i < vars ? before[i] : nothing;
	q->out[LOOP_ROUNDS] = (td_shape){ .dtype = TD_I64 };
	q->out[LOOP_STATES] = (td_shape){ .dtype = TD_U8, .rank = 2, .dim = { a->most, state_bytes(q->in, vars) } };
}

/* Keep the variables (whose bytes are in VARS) as those of round ROUND. */
static void keep_state(const while_attrs *a, const td_view *vars, const td_view *states, int64_t round)
{
	char *to = (char *)states->data + round * states->shape->dim[1];

	for (int i = 0; i < n_vars(a); i++) {
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
	td_shape one = { .dtype = a->test->result[0]->shape.dtype }; /* whatever sizes the test was traced for */
	char decision[8];
	td_view test = { &one, decision };
	int64_t round = 0;

	for (int i = 0; i < td__function_inputs(a->body->function); i++)
		in[i] = call->in[i];
	for (int i = 0; i < n_vars(a); i++) {
		if (td_shape_bytes(in[i].shape))
			memcpy(call->out[i].data, in[i].data, td_shape_bytes(in[i].shape));
		in[i].data = call->out[i].data; /* from here on the variables lie where their last values will */
	}
	while (td__trace_run(a->test, call, in, &test) && decides(&test)) {
		if (round == a->most) {
			err_set(call->err, TD_INVALID, "while: the test still says go on after %lld rounds, its limit",
				(long long)a->most);
			return;
		}
		if (call->out[LOOP_STATES].data)
			keep_state(a, in, &call->out[LOOP_STATES], round);
		if (!td__trace_run(a->body, call, in, call->out))
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
} while_dx_attrs;

static const td_field while_dx_fields[] = { TD_FIELD(while_dx_attrs, gradient), { 0 } };

/* The gradient takes variables, constants, and gradients of the variables; it gives gradients of both.  Returns how
 * many variables there are. */
static int n_both(const while_dx_attrs *a, int *n)
{
	*n = td__function_results(a->gradient->function);
	return td__function_inputs(a->gradient->function) - *n;
}

static size_t padded(size_t n_bytes)
{
	return (n_bytes + TD_ALIGN - 1) / TD_ALIGN * TD_ALIGN;
}

/* Rounds and states are what a loop of these variables leaves.  False: the sticky error. */
static bool need_states(td_infer *q, int vars)
{
	const td_shape *rounds = q->in[0], *states = q->in[1];
	char text[2][TD_SHAPE_TEXT];

	if (rounds->dtype == TD_I64 && !rounds->rank && states->dtype == TD_U8 && states->rank == 2 &&
		states->dim[1] == state_bytes(q->in + 2, vars))
		return true;
	td_fail(q->ctx, TD_SHAPE, "while_dx: %s and %s are not the rounds and states of the loop",
		td_shape_text(rounds, text[0]), td_shape_text(states, text[1]));
	return false;
}

static void while_dx_infer(td_infer *q)
{
	const td_shape *in[TD_MOST_IN + TD_MOST_OUT];
	td_shape grads[TD_MOST_OUT];
	int n, vars = n_both(q->attrs, &n), given = count_inputs(q, 2);

	if (vars < 1 || vars > n || given != n) {
		td_fail(q->ctx, TD_INVALID, "while_dx: %d variables of %d inputs stand where %d are needed", vars,
			given, n);
		return;
	}
	for (int i = 0; i < n; i++)
		in[i] = q->in[2 + i];
	for (int i = 0; i < vars; i++)
		in[n + i] = q->in[2 + i];
	if (!td__trace_shapes(q->ctx, ((const while_dx_attrs *)q->attrs)->gradient, in, n + vars, grads) ||
		!need_states(q, vars))
		return;
	for (int i = 0; i < TD_MOST_OUT; i++)
		q->out[i] = i < n ? *q->in[2 + i] : nothing;
	same_results(q, "while_dx", grads, q->out, n);
	for (int i = vars; i < n; i++)
		q->workspace += padded(td_shape_bytes(&q->out[i]));
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
	int n, vars = n_both(a, &n);
	const td_view *states = &call->in[1], *dy = &call->in[2];
	int64_t rounds = *(const int64_t *)call->in[0].data;
	td_view in[TD_MOST_IN], out[TD_MOST_OUT];
	char *scratch = call->workspace;

	if (rounds < 0 || rounds > states->shape->dim[0]) {
		err_set(call->err, TD_INVALID, "while_dx: there are states of %lld rounds, not of %lld",
			(long long)states->shape->dim[0], (long long)rounds);
		return;
	}

	for (int i = 0; i < n; i++) { /* round by round: d vars in place, d constants into scratch and then added */
		size_t bytes = td_shape_bytes(call->out[i].shape);
		out[i] = call->out[i];
		if (i < vars && bytes)
			memcpy(out[i].data, dy[i].data, bytes);
		if (i >= vars) {
			memset(out[i].data, 0, bytes);
			out[i].data = scratch;
			scratch += padded(bytes);
		}
	}
	for (int64_t round = rounds - 1; round >= 0; round--) {
		char *state = (char *)states->data + round * states->shape->dim[1];
		for (int i = 0; i < vars; i++) {
			in[i] = (td_view){ dy[i].shape, state };
			state += td_shape_bytes(dy[i].shape);
			in[n + i] = out[i];
		}
		for (int i = vars; i < n; i++)
			in[i] = dy[i];
		if (!td__trace_run(a->gradient, call, in, out))
			return;
		for (int i = vars; i < n; i++)
			add_to(&call->out[i], out[i].data);
	}
}

static void while_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx);
static bool while_sample(int i, td_sample *s);

TD_OP(while, .n_in = TD_FUNCTION_MOST, .n_out = TD_LOOP_MOST, .n_hidden = 2, .optional = 0x7e,
	.attrs_size = sizeof(while_attrs), .fields = while_fields, .infer = while_infer, .forward = { while_forward },
	.backward = while_backward, .sample = while_sample)
TD_OP(while_dx, .n_in = 2 + TD_FUNCTION_MOST, .n_out = TD_MOST_OUT, .optional = 0x1f8,
	.attrs_size = sizeof(while_dx_attrs), .fields = while_dx_fields, .infer = while_dx_infer,
	.forward = { while_dx_forward }, .backward = td_once, .sample = while_sample)

static void while_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const while_attrs *a = n->attrs;
	int total = td__function_inputs(a->body->function), vars = n_vars(a);
	while_dx_attrs attrs = { 0 };
	td_function *gradient = td__function_gradient(c, a->body->function);
	td_value *in[2 + TD_FUNCTION_MOST] = { n->out[LOOP_ROUNDS], n->out[LOOP_STATES] }, *out[TD_MOST_OUT];
	td_shape shapes[TD_MOST_IN];

	for (int i = 0; i < total; i++)
		in[2 + i] = i >= vars ? n->in[i] : dy[i] ? ops_row_major(c, dy[i]) : td__zeros_of(c, n->out[i]);
	for (int i = 0; i < total; i++)
		shapes[i] = n->in[i]->shape;
	for (int i = 0; i < vars; i++)
		shapes[total + i] = n->in[i]->shape;
	if (gradient && !c->err.status)
		attrs.gradient = td__function_pin(c, gradient, shapes);
	if (!c->err.status && td_apply_all(c, &td_op_while_dx, &attrs, in, 2 + total, out))
		memcpy(dx, out, sizeof *out * (size_t)total);
}

td_status td_while(td_ctx *c, const td_loop *loop, td_value *const *vars, td_value *const *constants, td_value **out)
{
	int n = loop->n_vars + loop->n_constants;
	while_attrs a = { .most = loop->most };
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
		a.test = td__function_pin(c, loop->test, shapes);
	if (!c->err.status)
		a.body = td__function_pin(c, loop->body, shapes);
	if (!c->err.status && td_apply_all(c, &td_op_while, &a, in, n, results))
		memcpy(out, results, sizeof *out * (size_t)loop->n_vars);
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
