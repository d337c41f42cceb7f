/* CS231n's notebook on generative adversarial networks: its losses against their check values, and its three pairs of
 * networks trained for a few steps, with the same bits in both modes.
 *
 * (Parameter counts of these networks: tests/unit/test_model.c.) */
#include "course.h"

/* ---- The notebook's functions ------------------------------------------------------------------------------------ */

/* The mean of the binary cross-entropy of LOGITS and targets that are all ones, or all zeros. */
static td_value *bce_loss(td_ctx *c, td_value *logits, bool ones)
{
	td_value *targets = ones ? td_ones_like(c, logits) : td_zeros_like(c, logits);

	return td_mean(c, td_bce_logits_each(c, logits, targets, NULL), TD_ALL_AXES, false);
}

static td_value *discriminator_loss(td_ctx *c, td_value *real, td_value *fake)
{
	return td_add(c, bce_loss(c, real, true), bce_loss(c, fake, false));
}

static td_value *generator_loss(td_ctx *c, td_value *fake)
{
	return bce_loss(c, fake, true);
}

/* 1/2 mean (scores - target)^2 */
static td_value *half_square(td_ctx *c, td_value *scores, double target)
{
	return td_scale_by(c, td_mean(c, td_square(c, td_shift_by(c, scores, -target)), TD_ALL_AXES, false), 0.5);
}

static td_value *ls_discriminator_loss(td_ctx *c, td_value *real, td_value *fake)
{
	return td_add(c, half_square(c, real, 1), half_square(c, fake, 0));
}

static td_value *ls_generator_loss(td_ctx *c, td_value *fake)
{
	return half_square(c, fake, 1);
}

struct game {
	td_value *(*discriminator)(td_ctx *c, td_value *real, td_value *fake);
	td_value *(*generator)(td_ctx *c, td_value *fake);
};
static const struct game vanilla = { discriminator_loss, generator_loss };
static const struct game least_squares = { ls_discriminator_loss, ls_generator_loss };

/* ---- Check values ------------------------------------------------------------------------------------------------ */

/* The notebook's bound is 1e-7, which float32 keeps with its 24 bits; float64 has to be nearer. */
static void compare(const char *what, td_dtype type, double got, double want)
{
	print_message("%-20s %s  relative error %.1e\n", what, td_dtype_name(type), relative(got, want));
	assert_true(relative(got, want) < (type == TD_F32 ? 1e-7 : 1e-15));
}

static void losses_are_those_of_the_notebook(void **state)
{
	(void)state;
	course_need(GAN_CHECKS);
	for (td_dtype type = TD_F32; type <= TD_F64; type++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
		td_value *real = check_tensor(c, type, GAN_CHECKS, "logits_real"),
			 *fake = check_tensor(c, type, GAN_CHECKS, "logits_fake");

		td_step_begin(c);
		compare("discriminator", type, td_item(discriminator_loss(c, real, fake)),
			check_number(GAN_CHECKS, "d_loss_true"));
		compare("generator", type, td_item(generator_loss(c, fake)), check_number(GAN_CHECKS, "g_loss_true"));
		compare("LSGAN discriminator", type, td_item(ls_discriminator_loss(c, real, fake)),
			check_number(GAN_CHECKS, "d_loss_lsgan_true"));
		compare("LSGAN generator", type, td_item(ls_generator_loss(c, fake)),
			check_number(GAN_CHECKS, "g_loss_lsgan_true"));
		assert_string_equal(td_error(c)->text, "");
		td_step_end(c);
		td_unref(real);
		td_unref(fake);
		td_ctx_free(c);
	}
}

static void leaky_relu_is_that_of_the_notebook(void **state)
{
	struct check want;

	(void)state;
	course_need(GAN_CHECKS);
	want = check_read(GAN_CHECKS, "lrelu_y");
	for (td_dtype type = TD_F32; type <= TD_F64; type++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
		td_value *x = check_tensor(c, type, GAN_CHECKS, "lrelu_x"), *y;
		double most = 0;

		td_step_begin(c);
		y = td_leaky_relu(c, x, 0.01);
		assert_int_equal(td_shape_count(td_shape_of(y)), want.shape.n);
		for (int64_t i = 0; i < want.shape.n; i++) {
			double got = type == TD_F32 ? (double)((const float *)td_data(y))[i]
						    : ((const double *)td_data(y))[i];

			most = fmax(most, relative(got, want.values[i]));
		}
		print_message("%-20s %s  relative error %.1e\n", "leaky relu", td_dtype_name(type), most);
		assert_true(most < (type == TD_F32 ? 1e-7 : 1e-15));
		td_step_end(c);
		td_unref(x);
		td_ctx_free(c);
	}
	mem_free(want.values);
}

/* ---- Training ---------------------------------------------------------------------------------------------------- */

#define LINEAR(n) "{\"type\":\"linear\",\"out_features\":" #n "}"
#define XAVIER(n) "{\"type\":\"linear\",\"out_features\":" #n ",\"init\":\"xavier_uniform\"}"
#define CONV(n)   "{\"type\":\"conv2d\",\"out_channels\":" #n ",\"kernel_size\":5}"
#define CONV_T(n)                                                                                                      \
	"{\"type\":\"conv_transpose2d\",\"out_channels\":" #n                                                          \
	",\"kernel_size\":4,\"stride\":2,\"padding\":1,\"init\":\"xavier_uniform\"}"
#define POOL "{\"type\":\"max_pool2d\",\"kernel_size\":2}"

enum { BATCH = 6, NOISE = 96, PIXELS = 784, STEPS = 4 };

static const char plain_discriminator[] =
	"{\"layers\":[" LINEAR(256) ",\"leaky_relu\"," LINEAR(256) ",\"leaky_relu\"," LINEAR(1) "]}";
static const char plain_generator[] =
	"{\"layers\":[" LINEAR(1024) ",\"relu\"," LINEAR(1024) ",\"relu\"," LINEAR(784) ",\"tanh\"]}";
static const char deep_discriminator[] = "{\"layers\":[{\"type\":\"unflatten\",\"unflattened_size\":[1,28,28]}," CONV(
	32) ",\"leaky_relu\"," POOL "," CONV(64) ",\"leaky_relu\"," POOL
						 ",\"flatten\"," XAVIER(1024) ",\"leaky_relu\"," XAVIER(1) "]}";
static const char deep_generator[] = "{\"layers\":[" XAVIER(1024) ",\"relu\",\"batch_norm1d\"," XAVIER(
	6272) ",\"relu\",\"batch_norm1d\","
	      "{\"type\":\"unflatten\",\"unflattened_size\":[128,7,7]}," CONV_T(
		      64) ",\"relu\",\"batch_norm2d\"," CONV_T(1) ",\"tanh\",\"flatten\"]}";

/* A pair of networks, each with an optimizer of its own. */
struct pair {
	td_ctx *c;
	const struct game *game;
	struct net d, g;
	struct learner d_solver, g_solver;
	td_value *like_noise; /* owned; [BATCH, NOISE]: the noise's shape */
};

static void solver_init(struct learner *l, td_ctx *c, const struct nn_model *m)
{
	learner_init(l, c, "{\"type\":\"adam\",\"lr\":0.001,\"betas\":[0.5,0.999]}");
	for (int i = 0; i < m->n_params; i++)
		if (!m->params[i].buffer)
			learner_add(l, c, m->params[i].value);
}

static void pair_init(struct pair *p, const char *discriminator, const char *generator, const struct game *game)
{
	td_shape picture = td_shape_make(TD_F32, 2, (int64_t)BATCH, (int64_t)PIXELS),
		 noise = td_shape_make(TD_F32, 2, (int64_t)BATCH, (int64_t)NOISE);

	*p = (struct pair){ .c = td_ctx_create(&(td_ctx_options){ .threads = 2, .seed = 7 }), .game = game };
	net_init(&p->d, p->c, discriminator, &picture, 7);
	net_init(&p->g, p->c, generator, &noise, 8);
	solver_init(&p->d_solver, p->c, p->d.model);
	solver_init(&p->g_solver, p->c, p->g.model);
	p->like_noise = td_tensor(p->c, &noise, NULL);
}

static void pair_release(struct pair *p)
{
	td_unref(p->like_noise);
	learner_release(&p->d_solver);
	learner_release(&p->g_solver);
	net_release(&p->d);
	net_release(&p->g);
	td_ctx_free(p->c);
}

static td_value *look(struct pair *p, td_value *pictures)
{
	return nn_forward(p->d.model, &(struct nn_pass){ .c = p->c, .training = true }, pictures); /* [BATCH, 1] */
}

/* Pictures from noise in [-1, 1). */
static td_value *draw(struct pair *p)
{
	td_value *noise = td_uniform_like(p->c, p->like_noise, -1, 1);

	return nn_forward(p->g.model, &(struct nn_pass){ .c = p->c, .training = true }, noise); /* [BATCH, 784] */
}

/* run_a_gan's step.  in: pictures, the number of the step; out: both losses. */
static void play(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	struct pair *p = arg;
	td_value *real = look(p, in[0]);

	out[0] = p->game->discriminator(c, real, look(p, td_detach(c, draw(p))));
	td_backward(c, out[0]);
	learner_step(&p->d_solver, c, in[1]);

	out[1] = p->game->generator(c, look(p, draw(p)));
	td_backward(c, out[1]);
	td_zero_grad(c, p->d_solver.params, p->d_solver.n, TD_ZERO_NONE); /* the generator's loss reaches them, too */
	learner_step(&p->g_solver, c, in[1]);
}

/* Step STEP's pictures: strokes that move. */
static td_value *pictures(td_ctx *c, int step)
{
	td_shape s = td_shape_make(TD_F32, 2, (int64_t)BATCH, (int64_t)PIXELS);
	static float x[BATCH * PIXELS];

	for (int n = 0; n < BATCH; n++)
		for (int i = 0; i < PIXELS; i++)
			x[n * PIXELS + i] = abs(i % 28 - i / 28 - 3 * n + step) < 3 ? 1 : -1;
	return td_tensor(c, &s, x);
}

static void copy_weights(const struct net *n, struct buf *out)
{
	for (int i = 0; i < n->model->n_params; i++) {
		const struct nn_param *p = &n->model->params[i];
		void *bytes = mem_alloc(td_shape_bytes(&p->shape));

		td_read(p->value, bytes);
		assert_true(buf_append(out, bytes, td_shape_bytes(&p->shape)));
		mem_free(bytes);
	}
}

/* Losses of each step in LOSSES, and all weights afterwards in WEIGHTS. */
static void train(struct pair *p, bool graph, double losses[STEPS][2], struct buf *weights)
{
	static const char *const names[] = { "pictures", "t" };
	struct nn_program program = {
		.c = p->c, .graph = graph, .n_in = 2, .n_out = 2, .in_names = names, .write = play, .arg = p
	};

	for (int step = 0; step < STEPS; step++) {
		td_value *in[] = { pictures(p->c, step), td_scalar(p->c, TD_F32, step + 1) }, *out[2];

		td_step_begin(p->c);
		nn_program_run(&program, in, out);
		assert_string_equal(td_error(p->c)->text, "");
		for (int i = 0; i < 2; i++)
			losses[step][i] = td_item(out[i]);
		td_step_end(p->c);
		td_unref(in[0]);
		td_unref(in[1]);
	}
	copy_weights(&p->d, weights);
	copy_weights(&p->g, weights);
	nn_program_release(&program);
}

static void pairs_train_with_the_same_bits_in_both_modes(void **state)
{
	static const struct {
		const char *name, *discriminator, *generator;
		const struct game *game;
		double chance; /* the discriminator's loss when it knows nothing */
	} rows[] = {
		{ "vanilla", plain_discriminator, plain_generator, &vanilla, 1.386 },
		{ "LSGAN", plain_discriminator, plain_generator, &least_squares, 0.5 },
		{ "DCGAN", deep_discriminator, deep_generator, &vanilla, 1.386 },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		double losses[2][STEPS][2];
		struct buf weights[2];

		for (int graph = 0; graph <= 1; graph++) {
			struct pair p;

			pair_init(&p, rows[i].discriminator, rows[i].generator, rows[i].game);
			buf_init(&weights[graph], 64 << 20);
			train(&p, graph, losses[graph], &weights[graph]);
			pair_release(&p);
		}
		for (int step = 0; step < STEPS; step++)
			print_message("%-8s step %d: D %.4f  G %.4f\n", rows[i].name, step + 1, losses[0][step][0],
				losses[0][step][1]);
		assert_true(fabs(losses[0][0][0] - rows[i].chance) < 0.3);
		assert_true(losses[0][1][0] < losses[0][0][0]); /* the discriminator has learnt from one batch */
		assert_memory_equal(losses[0], losses[1], sizeof losses[0]);
		assert_int_equal(weights[0].len, weights[1].len);
		assert_memory_equal(weights[0].data, weights[1].data, weights[0].len);
		buf_release(&weights[0]);
		buf_release(&weights[1]);
	}
}

/* What detach is for: the discriminator's loss does not reach the generator, its own does. */
static void a_detached_picture_teaches_the_discriminator_alone(void **state)
{
	td_value *grads[LEARNER_MOST], *loss;
	struct pair p;

	(void)state;
	for (int detached = 0; detached <= 1; detached++) {
		td_value *x, *fake;

		pair_init(&p, plain_discriminator, plain_generator, &vanilla);
		x = pictures(p.c, 0);
		td_step_begin(p.c);
		fake = draw(&p);
		loss = discriminator_loss(p.c, look(&p, x), look(&p, detached ? td_detach(p.c, fake) : fake));
		td_gradients(p.c, &loss, NULL, 1, p.g_solver.params, p.g_solver.n, TD_RETAIN_GRAPH, grads);
		for (int i = 0; i < p.g_solver.n; i++)
			assert_true((grads[i] == NULL) == detached);
		td_gradients(p.c, &loss, NULL, 1, p.d_solver.params, p.d_solver.n, 0, grads);
		for (int i = 0; i < p.d_solver.n; i++)
			assert_non_null(grads[i]);
		assert_string_equal(td_error(p.c)->text, "");
		td_step_end(p.c);
		td_unref(x);
		pair_release(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(losses_are_those_of_the_notebook),
		cmocka_unit_test(leaky_relu_is_that_of_the_notebook),
		cmocka_unit_test(pairs_train_with_the_same_bits_in_both_modes),
		cmocka_unit_test(a_detached_picture_teaches_the_discriminator_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
