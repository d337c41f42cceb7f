/* What a step takes is known before anything is allocated; and all plans of a context run in one arena. */
#include "learn_rig.h"
#include "test_model.h"

static td_ctx *context(void)
{
	return td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 1 });
}

/* A chain on a vector of N: sum(exp(x) * x). */
static td_value *chain(td_ctx *c, td_value *x)
{
	return td_sum(c, td_mul(c, td_exp(c, x), x), TD_ALL_AXES, false);
}

static td_session *chain_session(td_ctx *c, td_graph *g, int64_t n, td_value **x)
{
	td_shape s = td_shape_make(TD_F32, 1, n);
	td_value *y;

	td_trace_begin(c, g);
	*x = td_placeholder(c, "x", &s);
	y = chain(c, *x);
	td_trace_end(c);
	return td_session_create(c, g, &y, 1);
}

static td_value *ramp(td_ctx *c, int64_t n)
{
	td_shape s = td_shape_make(TD_F32, 1, n);
	td_value *v = td_tensor(c, &s, NULL);

	for (int64_t i = 0; i < n; i++)
		((float *)td_data(v))[i] = (float)i / (float)n;
	return v;
}

static double run(td_session *s, td_ctx *c, td_value *x, td_value *fed)
{
	td_value *result = NULL;
	double y;

	td_step_begin(c);
	assert_int_equal(td_session_run(s, c, &(td_feed){ x, fed }, 1, &result), TD_OK);
	y = td_item(result);
	td_step_end(c);
	return y;
}

static void all_sessions_of_a_context_run_in_one_arena_whose_size_is_foretold(void **state)
{
	td_ctx *c = context();
	td_graph *g[2] = { td_graph_create(), td_graph_create() };
	td_value *x[2], *fed[2] = { ramp(c, 100), ramp(c, 100000) };
	td_session *s[2] = { chain_session(c, g[0], 100, &x[0]), chain_session(c, g[1], 100000, &x[1]) };
	size_t foretold[2] = { td_session_arena(s[0], c), td_session_arena(s[1], c) };
	double small, large;

	(void)state;
	assert_int_equal(td_ctx_counters(c).arena_bytes, 0);
	small = run(s[0], c, x[0], fed[0]);
	assert_int_equal(td_ctx_counters(c).arena_bytes, foretold[0]);
	large = run(s[1], c, x[1], fed[1]); /* the arena grows, and moves */
	assert_int_equal(td_ctx_counters(c).arena_bytes, foretold[1]);
	assert_true(foretold[1] >= 100000 * sizeof(float) && foretold[0] < 2000);
	assert_true(run(s[0], c, x[0], fed[0]) == small);
	assert_true(run(s[1], c, x[1], fed[1]) == large);
	for (int i = 0; i < 2; i++) {
		td_session_free(s[i]);
		td_graph_free(g[i]);
		td_unref(fed[i]);
	}
	td_ctx_free(c);
}

static void an_eager_step_takes_what_its_unoptimised_plan_foretells(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_value *x, *fed = ramp(c, 1024); /* whole blocks of the pool */
	td_session *s = chain_session(c, g, 1024, &x);
	int64_t before = td_ctx_counters(c).live_bytes;
	size_t planned = td_session_arena(s, c), unoptimised;

	(void)state;
	td_session_set_flags(s, TD_SESSION_UNOPTIMISED);
	unoptimised = td_session_arena(s, c);
	td_step_begin(c);
	chain(c, fed);
	assert_in_range(unoptimised - (size_t)(td_ctx_counters(c).live_bytes - before), 0, 64); /* the sum's scratch */
	td_step_end(c);
	assert_true(planned < unoptimised);
	td_session_free(s);
	td_graph_free(g);
	td_unref(fed);
	td_ctx_free(c);
}

/* Cross-entropy on ten classes after a small convolutional net with running statistics, which a step writes to. */
static size_t rehearsed(struct bench *b, bool graph, bool frozen)
{
	struct data_facts facts = { .y = { .dtype = TD_I64 }, .n_classes = 10 };
	struct nn_rehearsal r = { .model = b->model, .facts = &facts, .graph = graph };
	struct err e = { 0 };
	struct chosen loss;

	chosen_init(&loss, &nn_losses, "\"cross_entropy\"");
	r.loss = &loss.choice;
	for (int i = 0; i < b->model->n_params; i++)
		b->model->params[i].frozen = frozen;
	if (nn_rehearse(&r, &e))
		fail_msg("%s", e.text);
	chosen_release(&loss);
	return r.n_bytes;
}

static void a_rehearsal_tells_what_a_step_takes(void **state)
{
	struct bench b;
	size_t planned, eager, batch = 8 * 4 * 16 * 16 * sizeof(float);

	(void)state;
	bench_init(&b,
		"{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":4,\"kernel_size\":3,\"padding\":1},\"batch_norm\","
		"\"relu\",\"flatten\",{\"type\":\"linear\",\"out_features\":10}]}",
		td_shape_make(TD_F32, 4, 8, 1, 16, 16), 0, false);
	assert_non_null(b.model);
	planned = rehearsed(&b, true, false);
	eager = rehearsed(&b, false, false);
	assert_true(planned >= 2 * batch); /* an activation and its gradient */
	assert_true(eager >= 5 * batch && eager > planned);
	assert_true(rehearsed(&b, true, true) < planned);
	bench_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_sessions_of_a_context_run_in_one_arena_whose_size_is_foretold),
		cmocka_unit_test(an_eager_step_takes_what_its_unoptimised_plan_foretells),
		cmocka_unit_test(a_rehearsal_tells_what_a_step_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
