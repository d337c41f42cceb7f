/* Branches, loops, functions of one's own, and a call that is wrong on purpose. */
#include "random_rows.h"

/* A copy of neg that is wrong every so often, once it is broken. */
static td_op fragile;
static int64_t n_fragile;

static void fragile_forward(const td_call *call)
{
	td__op_find("neg")->forward[TD_CPU](call);
	if (++n_fragile % 5 == 0 && td_shape_count(call->out[0].shape))
		*(float *)call->out[0].data += 1;
}

void random_rows_break(bool broken)
{
	fragile = *td__op_find("neg");
	if (broken)
		fragile.forward[TD_CPU] = fragile_forward;
}

static td_value *do_fragile(td_ctx *c, const struct random_arguments *a)
{
	return td_apply(c, &fragile, NULL, a->x, 1);
}

/* ---- Control flow and functions of one's own --------------------------------------------------------------------- */

static void then_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_mul(c, td_tanh(c, in[0]), in[1]);
}

static void otherwise_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_add(c, td_mul(c, in[0], in[1]), in[0]);
}

static void test_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_cast(c, in[0], TD_I32);
}

static void loop_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_shift_by(c, in[0], -1);
	out[1] = td_tanh(c, td_add(c, td_mul(c, in[1], in[2]), in[1]));
}

static struct {
	td_function *then, *otherwise;
	td_loop loop;
} flow; /* the program's; they outlive its graphs */

void random_flow_init(void)
{
	flow.then = td_function_create("then", then_body, NULL, 2, 1, 0);
	flow.otherwise = td_function_create("otherwise", otherwise_body, NULL, 2, 1, 0);
	flow.loop = (td_loop){ .test = td_function_create("test", test_body, NULL, 3, 1, 0),
		.body = td_function_create("body", loop_body, NULL, 3, 2, 0),
		.n_vars = 2,
		.n_constants = 1,
		.most = 4 };
}

void random_flow_release(void)
{
	td_function_free(flow.then);
	td_function_free(flow.otherwise);
	td_function_free(flow.loop.test);
	td_function_free(flow.loop.body);
}

/* A scalar that depends on the data: 0 or more, and where that is not finite, MOST: counting down from NaN has no end. */
static td_value *count_of(td_ctx *c, const struct random_arguments *a, double most)
{
	td_value *sum = td_sum(c, td_abs(c, a->x[2]), TD_ALL_AXES, false);

	sum = td_masked_fill(c, sum, td_logical_not(c, td_isfinite(c, sum)), most);
	return td_detach(c, td_clamp(c, td_floor(c, sum), 0, most));
}

static td_value *do_cond(td_ctx *c, const struct random_arguments *a)
{
	td_value *out,
		*less = td_less(c, td_sum(c, a->x[2], TD_ALL_AXES, false), td_sum(c, a->x[0], TD_ALL_AXES, false));

	return td_cond(c, less, flow.then, flow.otherwise, a->x, 2, &out) ? NULL : out;
}

static td_value *do_while(td_ctx *c, const struct random_arguments *a)
{
	td_value *out[2];

	return td_while(c, &flow.loop, (td_value *[]){ count_of(c, a, 4), a->x[0] }, &a->x[1], out) ? NULL : out[1];
}

static td_value *custom_forward(td_ctx *c, void *arg, td_value *const *in, int n_in)
{
	(void)arg;
	(void)n_in;
	return td_mul(c, in[0], td_sigmoid(c, in[1]));
}

static void custom_backward(
	td_ctx *c, void *arg, td_value *const *in, int n_in, td_value *y, td_value *dy, td_value **dx)
{
	(void)arg;
	(void)n_in;
	(void)y;
	dx[0] = td_sum_like(c, td_mul(c, dy, td_sigmoid(c, in[1])), in[0]);
}

static td_value *do_custom(td_ctx *c, const struct random_arguments *a)
{
	static const td_custom f = { "gate", custom_forward, custom_backward, NULL };

	return td_custom_call(c, &f, a->x, 2);
}

static const struct random_row rows[] = {
	RANDOM_ROW(fragile),
	RANDOM_ROW(cond),
	RANDOM_ROW(while),
	RANDOM_ROW(custom),
};
const struct random_group random_flow = { rows, TD_COUNT(rows) };
