/* Layers against PyTorch's and Keras' numbers, in float64: projections of what they make and of the gradients. */
#include "test_model.h"
#include "keras_golden.h"
#include "layers_golden.h"

#include <math.h>

static const struct golden {
	const char *layer;
	int rank;
	int64_t dim[4];
	double output, input_gradient, gradients; /* each the sum of the elements times fraction(k, 3, 13) */
} golden[] = { GOLDEN_LAYERS }, golden_keras[] = { GOLDEN_KERAS_LAYERS };

/* Element K of what tests/parity/golden_layers.py makes. */
static double fraction(int64_t k, int64_t step, int64_t modulus)
{
	return (double)(k * step % modulus - modulus / 2) / 8;
}

static td_value *tensor(td_ctx *c, td_shape shape, int64_t step, int64_t modulus)
{
	int64_t n = td_shape_count(&shape);
	double *x = MEM_NEW_N(double, n);
	td_value *v;

	shape.dtype = TD_F64;
	for (int64_t k = 0; k < n; k++)
		x[k] = fraction(k, step, modulus);
	v = td_tensor(c, &shape, x);
	mem_free(x);
	return v;
}

static double projection(const td_value *v)
{
	int64_t n = td_shape_count(td_shape_of(v));
	double *x = MEM_NEW_N(double, n), sum = 0;

	td_read(v, x);
	for (int64_t k = 0; k < n; k++)
		sum += x[k] * fraction(k, 3, 13);
	mem_free(x);
	return sum;
}

/* What is kept but not learnt is as it is at the start. */
static td_value *buffer(td_ctx *c, const struct nn_param *p)
{
	int64_t n = td_shape_count(&p->shape);
	td_shape shape = p->shape;
	float *narrow = MEM_NEW_N(float, n);
	double *x = MEM_NEW_N(double, n);
	td_value *v;

	assert_true(nn_init_fill(p->init, p->init_options, &p->fans, 7, p->name, &p->shape, narrow));
	for (int64_t k = 0; k < n; k++)
		x[k] = (double)narrow[k];
	shape.dtype = TD_F64;
	v = td_tensor(c, &shape, x);
	mem_free(narrow);
	mem_free(x);
	return v;
}

/* A job's layer with its parameters in float64.  Returns how many are learnt; LEARNT has room. */
static int allocate(struct bench *b, td_value **learnt)
{
	struct nn_layer *l = &b->model->layers[0];
	int n = 0;

	for (int i = 0; i < b->model->n_params; i++) {
		struct nn_param *p = &b->model->params[i];

		p->value = p->buffer ? buffer(b->c, p) : tensor(b->c, p->shape, 5, 11);
		l->param[i] = p->value;
		td_require_grad(b->c, p->value, !p->buffer);
		if (!p->buffer)
			learnt[n++] = p->value;
	}
	return n;
}

static void assert_close(double got, double want, const char *layer, const char *what)
{
	if (!(fabs(got - want) <= 1e-11 * (1 + fabs(want))))
		fail_msg("%s: the %s projects to %.17g, but should to %.17g", layer, what, got, want);
}

static void check(const struct golden *g, const char *defaults)
{
	td_value *wanted[NN_LAYER_PARAMS + 1], *gradients[NN_LAYER_PARAMS + 1] = { NULL }, *x, *y, *seed;
	td_shape in = { .dtype = TD_F32, .rank = g->rank };
	struct bench b;
	double of_weights = 0;
	int n;

	memcpy(in.dim, g->dim, sizeof g->dim);
	bench_layers_as(&b, g->layer, in, defaults);
	n = allocate(&b, wanted);
	x = tensor(b.c, in, 7, 19);
	seed = tensor(b.c, b.model->out, 3, 13);
	td_require_grad(b.c, x, true);
	wanted[n] = x;
	td_step_begin(b.c);
	y = nn_forward(b.model, &(struct nn_pass){ .c = b.c, .training = true }, x);
	if (y)
		td_gradients(b.c, &y, &seed, 1, wanted, n + 1, 0, gradients);
	if (td_error(b.c)->status)
		fail_msg("%s: %s", g->layer, td_error(b.c)->text);
	for (int k = 0; k < n; k++)
		of_weights += projection(gradients[k]);
	assert_close(projection(y), g->output, g->layer, "output");
	assert_close(projection(gradients[n]), g->input_gradient, g->layer, "input's gradient");
	assert_close(of_weights, g->gradients, g->layer, "parameters' gradients");
	td_step_end(b.c);
	td_unref(x);
	td_unref(seed);
	bench_release(&b);
}

static void outputs_and_gradients_are_pytorchs(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(golden); i++)
		check(&golden[i], "pytorch");
}

static void outputs_and_gradients_of_kerass_defaults_are_kerass(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(golden_keras); i++)
		check(&golden_keras[i], "keras");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outputs_and_gradients_are_pytorchs),
		cmocka_unit_test(outputs_and_gradients_of_kerass_defaults_are_kerass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
