/* CS231n's notebook on what a network sees: SqueezeNet names photographs, shows which pixels it looks at, and is
 * fooled.
 */
#include "course.h"

#define SIZE 224

/* The shorter side becomes 256 pixels, the centre is cut out.  LISTED are the probabilities of the weights' README,
 * which rounded the longer side to the nearest pixel; PYTORCH those of PyTorch 2.13 with Pillow 13, on pictures resized
 * as torchvision does.  (The dragonfly is 512 x 418: one pixel more in width costs it 0.08.) */
static const struct photograph {
	const char *file, *label;
	double listed, pytorch;
} photographs[] = {
	{ "images/coffee.png", "espresso", 0.84, 0.8396 },
	{ "images/macaw.jpg", "macaw", 1.00, 0.9958 },
	{ "images/chickadee.jpg", "chickadee", 0.97, 0.9747 },
	{ "images/dragonfly.jpg", "dragonfly", 0.76, 0.8375 },
	{ "images/hot_dog.jpg", "hotdog", 0.68, 0.6766 },
	{ "images/tabby_cat.jpg", "Egyptian cat", 0.52, 0.5180 },
	{ "images/cat_chelsea.png", "Egyptian cat", 0.69, 0.7113 },
	{ "images/dog_retriever.jpg", "golden retriever", 0.67, 0.6705 },
};

/* The first name of class K. */
static void read_label(int64_t k, char *out, size_t n)
{
	char path[PATH_MAX];
	FILE *f = fopen(course_path("weights/imagenet_labels.txt", path), "r");

	assert_non_null(f);
	for (int64_t i = 0; i <= k; i++)
		assert_non_null(fgets(out, (int)n, f));
	out[strcspn(out, ",\r\n")] = 0;
	fclose(f);
}

/* A network and one photograph. */
struct seen {
	td_ctx *c;
	td_value *x; /* owned; [1, 3, 224, 224] */
	struct net net;
};

static void seen_init(struct seen *s, const char *file)
{
	course_need(SQUEEZENET);
	course_need(file);
	s->c = td_ctx_create(&(td_ctx_options){ .threads = 2, .seed = 7 });
	s->x = picture_tensor(s->c, file, SIZE, ROUND_DOWN, SIZE);
	squeezenet_init(&s->net, s->c, td_shape_of(s->x));
}

static void seen_release(struct seen *s)
{
	td_unref(s->x);
	net_release(&s->net);
	td_ctx_free(s->c);
}

static td_value *scores_of(struct seen *s, td_value *x)
{
	return nn_forward(s->net.model, &(struct nn_pass){ .c = s->c }, x); /* [1, 1000] */
}

/* scores.gather(1, k), as a scalar. */
static td_value *score(struct seen *s, td_value *scores, int64_t k)
{
	td_shape one = td_shape_make(TD_I64, 2, (int64_t)1, (int64_t)1);
	td_value *index = td_tensor(s->c, &one, &k), *y = td_gather(s->c, scores, 1, index);

	td_unref(index);
	return td_sum(s->c, y, TD_ALL_AXES, false);
}

static int64_t best(td_ctx *c, td_value *scores)
{
	int64_t k;

	td_read(td_argmax(c, scores, 1), &k);
	return k;
}

/* How sure the network is of P's label, which it must think the likeliest. */
static double probability(struct seen *s, const struct photograph *p, enum picture_rounding rounding)
{
	td_value *x = picture_tensor(s->c, p->file, 256, rounding, SIZE), *y;
	float probabilities[1000];
	char label[200];
	int64_t k;

	td_step_begin(s->c);
	y = td_softmax(s->c, scores_of(s, x), 1);
	assert_string_equal(td_error(s->c)->text, "");
	td_read(y, probabilities);
	k = best(s->c, y);
	td_step_end(s->c);
	td_unref(x);
	read_label(k, label, sizeof label);
	assert_string_equal(label, p->label);
	return (double)probabilities[k];
}

static void photographs_have_the_names_of_the_reference(void **state)
{
	struct seen s;

	(void)state;
	seen_init(&s, photographs[0].file);
	for (size_t i = 0; i < TD_COUNT(photographs); i++) {
		const struct photograph *p = &photographs[i];
		double nearest, down;

		course_need(p->file);
		nearest = probability(&s, p, ROUND_NEAREST);
		down = probability(&s, p, ROUND_DOWN);
		print_message("%-26s %-17s %.4f (listed %.2f)  %.4f (PyTorch %.4f)\n", p->file, p->label, nearest,
			p->listed, down, p->pytorch);
		assert_true(fabs(nearest - p->listed) <= 0.005);
		assert_true(fabs(down - p->pytorch) <= 0.0001);
	}
	seen_release(&s);
}

/* ---- Saliency ---------------------------------------------------------------------------------------------------- */

enum { PIXELS = SIZE * SIZE };

/* The score of class K at X + STEP G. */
static double score_beside(struct seen *s, int64_t k, const float *x, double step, const float *g)
{
	static float moved[3 * PIXELS];
	double y;

	for (int i = 0; i < 3 * PIXELS; i++)
		moved[i] = (float)((double)x[i] + step * (double)g[i]);
	td_write(s->x, moved);
	td_step_begin(s->c);
	y = td_item(score(s, scores_of(s, s->x), k));
	td_step_end(s->c);
	return y;
}

/* Along its gradient the score rises by the gradient's length: over so short a step the network is nearly linear. */
static void assert_slope(struct seen *s, int64_t k, const float *g)
{
	static float x[3 * PIXELS];
	double length = 0, measured;

	for (int i = 0; i < 3 * PIXELS; i++)
		length += (double)g[i] * (double)g[i];
	length = sqrt(length);
	assert_true(length > 0 && isfinite(length));
	td_read(s->x, x);
	measured = (score_beside(s, k, x, 0.01 / length, g) - score_beside(s, k, x, -0.01 / length, g)) / 0.02;
	print_message("slope of the score %.5f, measured %.5f\n", length, measured);
	assert_true(relative(length, measured) < 0.01);
}

/* The saliency of a pixel is the largest of |d score / d x| over its channels. */
static void saliency_is_the_slope_of_the_score(void **state)
{
	static float g[3 * PIXELS], saliency[PIXELS];
	char text[TD_SHAPE_TEXT];
	td_value *scores, *map;
	struct seen s;
	int64_t k;

	(void)state;
	seen_init(&s, "images/tabby_cat.jpg");
	td_require_grad(s.c, s.x, true);
	td_step_begin(s.c);
	scores = scores_of(&s, s.x);
	k = best(s.c, scores);
	td_backward(s.c, score(&s, scores, k));
	map = td_max(s.c, td_abs(s.c, td_grad_of(s.x)), 1u << 1, false);
	assert_string_equal(td_error(s.c)->text, "");
	assert_string_equal(td_shape_text(td_shape_of(map), text), "float32[1, 224, 224]");
	td_read(td_grad_of(s.x), g);
	td_read(map, saliency);
	td_zero_grad(s.c, &s.x, 1, TD_ZERO_NONE);
	td_step_end(s.c);
	for (int i = 0; i < PIXELS; i++) {
		float red = fabsf(g[i]), green = fabsf(g[PIXELS + i]), blue = fabsf(g[2 * PIXELS + i]);

		assert_true(saliency[i] == fmaxf(red, fmaxf(green, blue)));
	}
	td_require_grad(s.c, s.x, false);
	assert_slope(&s, k, g);
	seen_release(&s);
}

/* ---- Fooling ----------------------------------------------------------------------------------------------------- */

/* x += g / |g| until the network takes the cat for a stingray. */
static void a_picture_becomes_another_class_in_few_steps(void **state)
{
	enum { STINGRAY = 6, STEPS_MOST = 100 };
	struct seen s;
	int n = 0;

	(void)state;
	seen_init(&s, "images/tabby_cat.jpg");
	td_require_grad(s.c, s.x, true);
	for (; n < STEPS_MOST; n++) {
		td_value *scores, *g;
		int64_t k;

		td_step_begin(s.c);
		scores = scores_of(&s, s.x);
		k = best(s.c, scores);
		if (k != STINGRAY) {
			td_backward(s.c, score(&s, scores, STINGRAY));
			td_no_grad_begin(s.c);
			g = td_grad_of(s.x);
			td_assign(s.c, s.x, td_add(s.c, s.x, td_div(s.c, g, td_norm(s.c, g, 2, TD_ALL_AXES, false))));
			td_no_grad_end(s.c);
			td_zero_grad(s.c, &s.x, 1, TD_ZERO_NONE);
		}
		assert_string_equal(td_error(s.c)->text, "");
		td_step_end(s.c);
		if (k == STINGRAY)
			break;
	}
	print_message("fooled after %d steps\n", n);
	assert_in_range(n, 1, STEPS_MOST - 1);
	seen_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(photographs_have_the_names_of_the_reference),
		cmocka_unit_test(saliency_is_the_slope_of_the_score),
		cmocka_unit_test(a_picture_becomes_another_class_in_few_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
