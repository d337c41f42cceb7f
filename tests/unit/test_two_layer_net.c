/* One small net, written in every style that the engine has, from plain loops to a net that is another one at each
 * step.
 *
 * The net is the one that many have met first: 64 inputs of 1000 numbers, a hidden layer of 100 with a ReLU, 10
 * outputs, and the sum of squared errors, without biases:
 *
 *	y = relu(x w1) w2        loss = sum (y - target)^2        w <- w - lr dloss/dw
 *
 * Read from top to bottom, each style takes one more thing off one's hands.  They all compute the same losses; those
 * that are made of the same ops compute the same bits, whether they run at once or as a graph. */
#include "learn_rig.h"

enum { N = 64, D_IN = 1000, HIDDEN = 100, D_OUT = 10, STEPS = 12 };
#define LR 1e-6

/* The problem: inputs, targets, initial weights; and the losses that a style makes of it. */
struct problem {
	float x[N * D_IN], target[N * D_OUT], w1[D_IN * HIDDEN], w2[HIDDEN * D_OUT];
	double loss[STEPS];
};

static void draw(float *to, int n, uint32_t stream)
{
	struct rng_key key = { .seed = 7, .stream = stream };

	for (int i = 0; i < n; i++) { /* the sum of twelve uniform numbers is nearly normal */
		to[i] = -6;
		for (int k = 0; k < 12; k++)
			to[i] += rng_unit(rng_u32(&key, (uint64_t)(12 * i + k)));
	}
}

static struct problem *problem_create(void)
{
	struct problem *p = MEM_NEW(struct problem);

	draw(p->x, N * D_IN, 1);
	draw(p->target, N * D_OUT, 2);
	draw(p->w1, D_IN * HIDDEN, 3);
	draw(p->w2, HIDDEN * D_OUT, 4);
	return p;
}

/* ---- 1. By hand: loops ------------------------------------------------------------------------------------------- */

static void multiply(int n, int m, int k, const double *a, int a_row, int a_column, const double *b, int b_row,
	int b_column, double *c)
{
	for (int i = 0; i < n; i++)
		for (int j = 0; j < m; j++) {
			c[i * m + j] = 0;
			for (int l = 0; l < k; l++)
				c[i * m + j] += a[i * a_row + l * a_column] * b[l * b_row + j * b_column];
		}
}

static void widen(double *to, const float *from, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (double)from[i];
}

static void by_hand(struct problem *p)
{
	static double x[N * D_IN], w1[D_IN * HIDDEN], w2[HIDDEN * D_OUT], h[N * HIDDEN], y[N * D_OUT], dh[N * HIDDEN],
		dw1[D_IN * HIDDEN], dw2[HIDDEN * D_OUT];

	widen(x, p->x, N * D_IN);
	widen(w1, p->w1, D_IN * HIDDEN);
	widen(w2, p->w2, HIDDEN * D_OUT);
	for (int step = 0; step < STEPS; step++) {
		multiply(N, HIDDEN, D_IN, x, D_IN, 1, w1, HIDDEN, 1, h); /* h = x w1 */
		for (int i = 0; i < N * HIDDEN; i++)
			h[i] = fmax(h[i], 0);
		multiply(N, D_OUT, HIDDEN, h, HIDDEN, 1, w2, D_OUT, 1, y); /* y = relu(h) w2 */
		p->loss[step] = 0;
		for (int i = 0; i < N * D_OUT; i++) {
			y[i] -= (double)p->target[i];
			p->loss[step] += y[i] * y[i];
			y[i] *= 2; /* dloss/dy */
		}
		multiply(HIDDEN, D_OUT, N, h, 1, HIDDEN, y, D_OUT, 1, dw2); /* dw2 = h' dy */
		multiply(N, HIDDEN, D_OUT, y, D_OUT, 1, w2, 1, D_OUT, dh);  /* dh = dy w2' */
		for (int i = 0; i < N * HIDDEN; i++)
			dh[i] = h[i] > 0 ? dh[i] : 0;
		multiply(D_IN, HIDDEN, N, x, 1, D_IN, dh, HIDDEN, 1, dw1); /* dw1 = x' dh */
		for (int i = 0; i < D_IN * HIDDEN; i++)
			w1[i] -= LR * dw1[i];
		for (int i = 0; i < HIDDEN * D_OUT; i++)
			w2[i] -= LR * dw2[i];
	}
}

/* ---- What the other styles share: tensors ------------------------------------------------------------------------ */

struct tensors {
	td_ctx *c;
	td_value *x, *target, *w[2], *lr, *one; /* owned */
};

static td_value *matrix(td_ctx *c, const char *name, int n, int m, const float *data)
{
	td_shape s = td_shape_make(TD_F32, 2, n, m);
	td_value *v = td_tensor(c, &s, data);

	td_set_name(v, name);
	return v;
}

static struct tensors tensors_create(const struct problem *p, bool wants_gradients)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 2, .seed = 7 });
	struct tensors t = { .c = c,
		.x = matrix(c, "x", N, D_IN, p->x),
		.target = matrix(c, "target", N, D_OUT, p->target),
		.w = { matrix(c, "w1", D_IN, HIDDEN, p->w1), matrix(c, "w2", HIDDEN, D_OUT, p->w2) },
		.lr = td_scalar(c, TD_F32, LR),
		.one = td_scalar(c, TD_F32, 1) };

	for (int i = 0; i < 2; i++)
		td_require_grad(c, t.w[i], wants_gradients);
	return t;
}

static void tensors_release(struct tensors *t)
{
	td_value *all[] = { t->x, t->target, t->w[0], t->w[1], t->lr, t->one };

	assert_string_equal(td_error(t->c)->text, "");
	td_zero_grad(t->c, t->w, 2, TD_ZERO_NONE);
	for (size_t i = 0; i < TD_COUNT(all); i++)
		td_unref(all[i]);
	td_ctx_free(t->c);
}

static bool drops; /* a third of the hidden layer, in the styles that compute it by forward() */

static td_value *forward(td_ctx *c, td_value *x, td_value *const *w)
{
	td_value *h = td_relu(c, td_matmul(c, x, w[0], false, false)); /* [64, 100] */

	return td_matmul(c, drops ? td_dropout(c, h, 1.0f / 3) : h, w[1], false, false);
}

static td_value *loss_of(td_ctx *c, td_value *y, td_value *target)
{
	return td_sum_squares(c, td_sub(c, y, target));
}

/* w <- w - lr g */
static void descend(const struct tensors *t, td_value *const *w, td_value *const *grads)
{
	td_no_grad_begin(t->c);
	for (int i = 0; i < 2; i++)
		td_sgd_update(t->c, w[i], grads[i], NULL, t->lr, t->one, t->one, &(td_sgd_attrs){ 0 });
	td_no_grad_end(t->c);
}

/* ---- 2. By ops: tensors, with the gradients written out ---------------------------------------------------------- */

static void by_ops(struct problem *p)
{
	struct tensors t = tensors_create(p, false);
	td_ctx *c = t.c;

	for (int step = 0; step < STEPS; step++) {
		td_value *h, *error, *dy, *dh;

		td_step_begin(c);
		h = td_relu(c, td_matmul(c, t.x, t.w[0], false, false));            /* [64, 100] */
		error = td_sub(c, td_matmul(c, h, t.w[1], false, false), t.target); /* [64, 10] */
		p->loss[step] = td_item(td_sum_squares(c, error));
		dy = td_add(c, error, error);
		dh = td_relu_dx(c, td_matmul(c, dy, t.w[1], false, true), h);
		descend(&t, t.w,
			(td_value *[]){ td_matmul(c, t.x, dh, true, false), td_matmul(c, h, dy, true, false) });
		td_step_end(c);
	}
	tensors_release(&t);
}

/* ---- 3. By the tape: PyTorch's way ------------------------------------------------------------------------------- */

static void by_tape(struct problem *p)
{
	struct tensors t = tensors_create(p, true);

	for (int step = 0; step < STEPS; step++) {
		td_value *loss;

		td_step_begin(t.c);
		loss = loss_of(t.c, forward(t.c, t.x, t.w), t.target);
		p->loss[step] = td_item(loss);
		td_backward(t.c, loss);
		descend(&t, t.w, (td_value *[]){ td_grad_of(t.w[0]), td_grad_of(t.w[1]) });
		td_zero_grad(t.c, t.w, 2, TD_ZERO_NONE);
		td_step_end(t.c);
	}
	tensors_release(&t);
}

/* ---- 4. By a function of one's own: torch.autograd.Function ------------------------------------------------------ */

static td_value *my_relu(td_ctx *c, void *arg, td_value *const *in, int n_in)
{
	(void)arg;
	(void)n_in;
	return td_clamp(c, in[0], 0, INFINITY);
}

static void my_relu_backward(
	td_ctx *c, void *arg, td_value *const *in, int n_in, td_value *y, td_value *dy, td_value **dx)
{
	(void)arg;
	(void)n_in;
	(void)y;
	dx[0] = td_where(c, td_greater(c, in[0], td_zeros_like(c, in[0])), dy, td_zeros_like(c, dy));
}

static void by_own_function(struct problem *p)
{
	static const td_custom relu = { .name = "my_relu", .forward = my_relu, .backward = my_relu_backward };
	struct tensors t = tensors_create(p, true);
	td_ctx *c = t.c;

	for (int step = 0; step < STEPS; step++) {
		td_value *h, *loss;

		td_step_begin(c);
		h = td_matmul(c, t.x, t.w[0], false, false);
		loss = loss_of(c, td_matmul(c, td_custom_call(c, &relu, &h, 1), t.w[1], false, false), t.target);
		p->loss[step] = td_item(loss);
		td_backward(c, loss);
		descend(&t, t.w, (td_value *[]){ td_grad_of(t.w[0]), td_grad_of(t.w[1]) });
		td_zero_grad(c, t.w, 2, TD_ZERO_NONE);
		td_step_end(c);
	}
	tensors_release(&t);
}

/* ---- 5. By a graph: TensorFlow 1's way --------------------------------------------------------------------------- */

static void by_graph(struct problem *p)
{
	struct tensors t = tensors_create(p, false); /* to feed, and to begin with */
	td_ctx *c = t.c;
	td_graph *g = td_graph_create();
	td_shape xs = td_shape_make(TD_F32, 2, TD_UNKNOWN(1), D_IN),
		 ys = td_shape_make(TD_F32, 2, TD_UNKNOWN(1), D_OUT);
	td_value *x, *target, *w[2], *loss, *grads[2];
	td_node *train;
	td_session *s;

	td_trace_begin(c, g);
	x = td_placeholder(c, "x", &xs);
	target = td_placeholder(c, "target", &ys);
	w[0] = td_get_variable(c, "w1", td_shape_of(t.w[0]), &TD_ZEROS, true);
	w[1] = td_get_variable(c, "w2", td_shape_of(t.w[1]), &TD_ZEROS, true);
	loss = loss_of(c, forward(c, x, w), target);
	td_gradients(c, &loss, NULL, 1, w, 2, 0, grads);
	td_group_begin(c);
	descend(&t, w, grads);
	train = td_group_end(c, "train");
	td_trace_end(c);

	s = td_session_open(c, g, 0);
	td_write(td_variable_tensor(w[0]), p->w1);
	td_write(td_variable_tensor(w[1]), p->w2);
	for (int step = 0; step < STEPS; step++) {
		td_fetch fetches[] = { TD_VALUE(loss), TD_OPERATION(train) };

		td_step_begin(c);
		td_session_fetch(s, c, fetches, 2, (td_feed[]){ { x, t.x }, { target, t.target } }, 2);
		assert_string_equal(td_error(c)->text, "");
		p->loss[step] = td_item(fetches[0].result);
		td_step_end(c);
	}
	td_session_free(s);
	td_graph_free(g);
	tensors_release(&t);
}

/* ---- 6. By a traced function: TensorFlow 2's way ----------------------------------------------------------------- */

static void train_step(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	const struct tensors *t = arg;
	td_tape *tape = td_tape_open(c, false);
	td_value *grads[2];

	out[0] = loss_of(c, forward(c, in[0], t->w), in[1]);
	td_tape_gradient(tape, out[0], t->w, 2, grads);
	td_tape_close(tape);
	descend(t, t->w, grads);
}

static void by_function(struct problem *p)
{
	struct tensors t = tensors_create(p, true);
	td_function *f = td_function_create("train_step", train_step, &t, 2, 1, 0);

	for (int step = 0; step < STEPS; step++) {
		td_value *loss;

		td_step_begin(t.c);
		assert_int_equal(td_function_call(t.c, f, (td_value *[]){ t.x, t.target }, &loss), TD_OK);
		p->loss[step] = td_item(loss);
		td_step_end(t.c);
	}
	assert_int_equal(td_function_counts(f).traces, 1);
	td_function_free(f);
	tensors_release(&t);
}

/* ---- 7. By layers and an optimizer: torch.nn and torch.optim ----------------------------------------------------- */

/* A linear layer keeps its weight as [out, in]. */
static void write_transposed(td_value *weight, const float *w, int n_in, int n_out)
{
	float *to = td_data(weight);

	for (int i = 0; i < n_in; i++)
		for (int o = 0; o < n_out; o++)
			to[o * n_in + i] = w[i * n_out + o];
}

static void by_layers(struct problem *p)
{
	struct tensors t = tensors_create(p, false);
	struct arena arena;
	struct faults faults;
	struct chosen sgd;
	struct nn_model_options options = { 0 };
	cJSON *document = cJSON_Parse("{\"layers\":[{\"type\":\"linear\",\"out_features\":100,\"bias\":false},\"relu\","
				      "{\"type\":\"linear\",\"out_features\":10,\"bias\":false}]}");
	struct nn_model *model;

	arena_init(&arena);
	faults_init(&faults);
	opt_read(&nn_model_section, document, "/model", &options, &arena, &faults);
	model = nn_model_create(&options, td_shape_of(t.x), 0, false, &faults);
	assert_int_equal(faults.n_found, 0);
	assert_int_equal(nn_model_allocate(model, t.c, 7), TD_OK);
	write_transposed(model->params[0].value, p->w1, D_IN, HIDDEN);
	write_transposed(model->params[1].value, p->w2, HIDDEN, D_OUT);
	chosen_init(&sgd, &nn_optimizers, "{\"type\":\"sgd\",\"lr\":1e-6}");
	for (int step = 0; step < STEPS; step++) {
		const struct nn_optimizer_type *optimizer = (const struct nn_optimizer_type *)sgd.choice.type;
		td_value *loss;

		td_step_begin(t.c);
		loss = loss_of(t.c, nn_forward(model, &(struct nn_pass){ .c = t.c, .training = true }, t.x), t.target);
		p->loss[step] = td_item(loss);
		td_backward(t.c, loss);
		td_no_grad_begin(t.c);
		for (int i = 0; i < model->n_params; i++) {
			td_value *w = model->params[i].value;
			optimizer->update(t.c, sgd.choice.options,
				&(struct nn_update){
					.param = w, .grad = td_grad_of(w), .lr = t.lr, .t = t.one, .gate = t.one });
			td_zero_grad(t.c, &w, 1, TD_ZERO_NONE);
		}
		td_no_grad_end(t.c);
		td_step_end(t.c);
	}
	nn_model_free(model);
	chosen_release(&sgd);
	faults_release(&faults);
	arena_release(&arena);
	cJSON_Delete(document);
	tensors_release(&t);
}

/* ---- 8. By a net that changes: the DynamicNet ------------------------------------------------------------------- */

/* Between the two layers stands a third, used as often as the step's dice say; each time it is the same weights.
 * Eagerly this is a loop of C.  As a graph it is a loop in the graph, whose rounds are fed. */
struct dynamic {
	struct tensors t;
	td_value *middle; /* owned; [100, 100] */
	td_function *test, *body;
};

static void more_rounds(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_cast(c, in[0], TD_I32);
	(void)c;
}

static void one_round(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_shift_by(c, in[0], -1);
	out[1] = td_relu(c, td_matmul(c, in[1], in[2], false, false));
}

static td_value *dynamic_loss(struct dynamic *d, int rounds, td_value *counter)
{
	td_ctx *c = d->t.c;
	td_value *h = td_relu(c, td_matmul(c, d->t.x, d->t.w[0], false, false));

	if (counter) {
		td_loop loop = { d->test, d->body, 2, 1, 3 };
		td_value *out[2];
		if (td_while(c, &loop, (td_value *[]){ counter, h }, &d->middle, out))
			return NULL;
		h = out[1];
	}
	for (int i = 0; !counter && i < rounds; i++)
		h = td_relu(c, td_matmul(c, h, d->middle, false, false));
	return loss_of(c, td_matmul(c, h, d->t.w[1], false, false), d->t.target);
}

static void by_dynamic_net(struct problem *p, bool looped)
{
	struct dynamic d = { .t = tensors_create(p, true),
		.test = td_function_create("more_rounds", more_rounds, NULL, 3, 1, 0),
		.body = td_function_create("one_round", one_round, NULL, 3, 2, 0) };
	td_ctx *c = d.t.c;
	struct rng_key dice = { .seed = 7, .stream = 5 };
	td_value *lr = td_scalar(c, TD_F32, 1e-8); /* the weights in the middle meet larger gradients */
	float *middle = mem_alloc(sizeof(float) * HIDDEN * HIDDEN);

	draw(middle, HIDDEN * HIDDEN, 6);
	for (int i = 0; i < HIDDEN * HIDDEN; i++)
		middle[i] *= 0.1f;
	d.middle = matrix(c, "middle", HIDDEN, HIDDEN, middle);
	td_require_grad(c, d.middle, true);
	for (int step = 0; step < STEPS; step++) {
		int rounds = (int)(rng_u32(&dice, (uint64_t)step) % 4);
		td_value *counter = td_scalar(c, TD_F32, rounds), *loss, *w[3] = { d.t.w[0], d.t.w[1], d.middle };

		td_step_begin(c);
		loss = dynamic_loss(&d, rounds, looped ? counter : NULL);
		assert_string_equal(td_error(c)->text, "");
		p->loss[step] = td_item(loss);
		td_backward(c, loss);
		td_no_grad_begin(c);
		for (int i = 0; i < 3; i++)
			if (td_grad_of(w[i]))
				td_sgd_update(
					c, w[i], td_grad_of(w[i]), NULL, lr, d.t.one, d.t.one, &(td_sgd_attrs){ 0 });
		td_no_grad_end(c);
		td_zero_grad(c, w, 3, TD_ZERO_NONE);
		td_step_end(c);
		td_unref(counter);
	}
	td_unref(lr);
	td_unref(d.middle);
	tensors_release(&d.t);
	td_function_free(d.test);
	td_function_free(d.body);
	mem_free(middle);
}

/* ---- They agree -------------------------------------------------------------------------------------------------- */

static void all_styles_compute_the_same_losses(void **state)
{
	static const struct {
		const char *name;
		void (*style)(struct problem *p);
		bool same_bits; /* as BY_OPS */
	} styles[] = {
		{ "by ops", by_ops, true }, { "by the tape", by_tape, true },
		{ "by a function of one's own", by_own_function, true }, { "by a graph", by_graph, true },
		{ "by a traced function", by_function, true },
		{ "by layers and an optimizer", by_layers, false }, /* its weights lie transposed */
	};
	struct problem *hand = problem_create(), *ops = problem_create();

	(void)state;
	by_hand(hand);
	by_ops(ops);
	assert_true(hand->loss[0] > 1e7 && hand->loss[STEPS - 1] < 0.5 * hand->loss[0]); /* it learns */
	for (size_t i = 0; i < TD_COUNT(styles); i++) {
		struct problem *p = problem_create();

		styles[i].style(p);
		for (int step = 0; step < STEPS; step++) {
			assert_near(p->loss[step], hand->loss[step], 1e-4, styles[i].name);
			if (styles[i].same_bits && p->loss[step] != ops->loss[step])
				fail_msg("%s, step %d: %.9g instead of %.9g", styles[i].name, step, p->loss[step],
					ops->loss[step]);
		}
		mem_free(p);
	}
	mem_free(hand);
	mem_free(ops);
}

/* What is dropped depends on the seed, the step and the place in it, whoever asks. */
static void the_three_doors_drop_the_same(void **state)
{
	static void (*const doors[])(struct problem * p) = { by_tape, by_graph, by_function };
	struct problem *first = problem_create(), *plain = problem_create();

	(void)state;
	by_tape(plain);
	drops = true;
	for (size_t i = 0; i < TD_COUNT(doors); i++) {
		struct problem *p = i ? problem_create() : first;

		doors[i](p);
		assert_memory_equal(p->loss, first->loss, sizeof p->loss);
		if (i)
			mem_free(p);
	}
	drops = false;
	assert_true(first->loss[0] != plain->loss[0]);
	mem_free(first);
	mem_free(plain);
}

static void a_net_that_changes_computes_the_same_in_a_loop_of_c_and_in_one_of_the_engine(void **state)
{
	struct problem *plain = problem_create(), *looped = problem_create();

	(void)state;
	by_dynamic_net(plain, false);
	by_dynamic_net(looped, true);
	for (int step = 0; step < STEPS; step++)
		assert_near(looped->loss[step], plain->loss[step], 1e-4, "the loss of the net that changes");
	assert_true(isfinite(plain->loss[STEPS - 1]));
	mem_free(plain);
	mem_free(looped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_styles_compute_the_same_losses),
		cmocka_unit_test(the_three_doors_drop_the_same),
		cmocka_unit_test(a_net_that_changes_computes_the_same_in_a_loop_of_c_and_in_one_of_the_engine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
