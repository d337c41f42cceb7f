/* Products of matrices and vectors, and random numbers, by their values. */
#include "elements_rig.h"

/* ---- Products ---------------------------------------------------------------------------------------------------- */

static void a_batch_of_products_is_each_product(void **state)
{
	enum { B = 3, M = 70, K = 40, N = 50 };
	td_shape sa = td_shape_make(TD_F32, 3, B, M, K), sb = td_shape_make(TD_F32, 3, B, K, N);
	float *a = MEM_NEW_N(float, B *M *K), *b = MEM_NEW_N(float, B *K *N), *y = MEM_NEW_N(float, B *M *N),
	      *each = MEM_NEW_N(float, M *N);

	(void)state;
	for (int i = 0; i < B * M * K; i++)
		a[i] = (float)sin(i);
	for (int i = 0; i < B * K * N; i++)
		b[i] = (float)cos(i);
	td_read(td_matmul(c, hold(td_tensor(c, &sa, a)), hold(td_tensor(c, &sb, b)), false, false), y);
	sa = td_shape_make(TD_F32, 2, M, K);
	sb = td_shape_make(TD_F32, 2, K, N);
	for (int i = 0; i < B; i++) {
		td_value *ai = hold(td_tensor(c, &sa, a + i * M * K)), *bi = hold(td_tensor(c, &sb, b + i * K * N));

		td_read(td_matmul(c, ai, bi, false, false), each);
		assert_memory_equal(each, y + i * M * N, sizeof(float) * M * N);
	}
	mem_free(a);
	mem_free(b);
	mem_free(y);
	mem_free(each);
}

static void what_lies_before_matrices_broadcasts(void **state)
{
	td_shape sa = td_shape_make(TD_F64, 4, 2, 1, 2, 3), sb = td_shape_make(TD_F64, 3, 3, 3, 2);
	double a[12], b[18], y[24];
	td_value *product;

	(void)state;
	for (int i = 0; i < 18; i++) {
		a[i % 12] = sin(i);
		b[i] = cos(i);
	}
	product = td_matmul(c, hold(td_tensor(c, &sa, a)), hold(td_tensor(c, &sb, b)), false, false);
	assert_int_equal(td_error(c)->status, TD_OK);
	assert_int_equal(td_shape_count(td_shape_of(product)), 24); /* [2, 3, 2, 2] */
	td_read(product, y);
	for (int e = 0; e < 24; e++) {
		const double *row = a + e / 12 * 6 + e / 2 % 2 * 3, *column = b + e / 4 % 3 * 6 + e % 2;
		double want = row[0] * column[0] + row[1] * column[2] + row[2] * column[4];

		assert_true(fabs(y[e] - want) < 1e-14);
	}
	assert_null(td_matmul(c, product, hold(td_tensor(c, &sb, b)), false, false));
	refused("the two must be equal");
}

/* In every type, transposed or not, alone and in batches: within what a byte holds, as floating values. */
static void products_of_integers_are_those_of_floating_values(void **state)
{
	static const td_dtype types[] = { TD_I32, TD_I64, TD_U8 };
	double a[24], b[24], want[32], got[32];

	(void)state;
	for (int i = 0; i < 24; i++) {
		a[i] = i * 7 % 5;
		b[i] = i * 5 % 7;
	}
	for (int i = 0; i < 24; i++) {
		bool ta = i & 1, tb = i & 2, batch = i & 4;
		td_shape sa = td_shape_make(TD_F64, 3, batch ? 2 : 1, ta ? 3 : 4, ta ? 4 : 3),
			 sb = td_shape_make(TD_F64, batch ? 3 : 2, 2, 3, 4);
		td_value *x, *y, *z;

		sb.dim[sb.rank - 2] = tb ? 4 : 3;
		sb.dim[sb.rank - 1] = tb ? 3 : 4;
		x = hold(td_tensor(c, &sa, a));
		y = hold(td_tensor(c, &sb, b));
		z = td_matmul(c, x, y, ta, tb);
		td_read(z, want);
		z = td_matmul(c, as(x, types[i / 8]), as(y, types[i / 8]), ta, tb);
		assert_int_equal(td_shape_of(z)->dtype, types[i / 8]);
		td_read(td_cast(c, z, TD_F64), got);
		assert_memory_equal(got, want, sizeof(double) * (size_t)td_shape_count(td_shape_of(z)));
	}
	HOLDS(td_matmul(c, td_unsqueeze(c, as(VECTOR(2147483647, 2), TD_I32), 0),
		      td_unsqueeze(c, as(VECTOR(2, 1), TD_I32), 1), false, false),
		0); /* around once */
}

/* What comes to one place is added; narrow indices are indices. */
static void integers_are_scattered_and_chosen_as_floating_values_are(void **state)
{
	static const td_dtype types[] = { TD_I32, TD_I64, TD_U8 };
	td_value *base = VECTOR(1, 2, 3), *x = VECTOR(10, 20, 30, 40), *at = VECTOR(2, 0, 2, 1);
	td_shape s = td_shape_make(TD_F64, 2, (int64_t)3, (int64_t)2);
	td_value *table = hold(td_tensor(c, &s, (double[]){ 1, 2, 3, 4, 5, 6 }));

	(void)state;
	for (int i = 0; i < 3; i++) {
		td_value *b = as(base, types[i]), *v = as(x, types[i]), *narrow = as(at, TD_I32),
			 *bytes = as(at, TD_U8);

		HOLDS(td_scatter_add(c, b, 0, narrow, v), 21, 42, 43);
		HOLDS(td_index_add(c, b, 0, narrow, v), 21, 42, 43);
		HOLDS(td_gather(c, v, 0, narrow), 30, 10, 30, 20);
		HOLDS(td_index_select(c, v, 0, narrow), 30, 10, 30, 20);
		assert_int_equal(td_shape_of(td_scatter_add(c, b, 0, narrow, v))->dtype, types[i]);
		HOLDS(td_embedding(c, table, narrow, -1), 5, 6, 1, 2, 5, 6, 3, 4);
		HOLDS(td_embedding(c, table, bytes, -1), 5, 6, 1, 2, 5, 6, 3, 4);
		HOLDS(td_one_hot(c, narrow, 3, types[i]), 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0);
		HOLDS(td_one_hot(c, bytes, 3, TD_F32), 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0);
	}
	assert_null(td_gather(c, x, 0, as(at, TD_U8)));
	refused("an index int64 or int32"); /* a byte for each element is rather a mask */
}

static void vectors_have_inner_and_outer_products(void **state)
{
	td_value *a = VECTOR(1, 2), *b = VECTOR(3, 4), *three = VECTOR(1, 2, 3);

	(void)state;
	HOLDS(td_dot(c, a, b), 11);
	HOLDS(td_outer(c, a, three), 1, 2, 3, 2, 4, 6);
	HOLDS(td_lerp(c, a, b, VECTOR(0.5)), 2, 3);
	assert_null(td_dot(c, a, three));
	refused("two vectors of one size");
}

/* ---- Randomness -------------------------------------------------------------------------------------------------- */

static void random_numbers_have_their_moments(void **state)
{
	td_shape shape = td_shape_make(TD_F32, 1, 200000);
	td_value *x = hold(td_tensor(c, &shape, NULL)), *u, *n, *b;

	(void)state;
	u = td_uniform_like(c, x, -1, 3);
	n = td_normal_like(c, x, 2, 0.5);
	b = td_bernoulli(c, td_uniform_like(c, x, 0.25, 0.25));
	assert_true(fabs(td_item(td_mean(c, u, ALL, false)) - 1) < 0.01);
	assert_true(fabs(td_item(td_var(c, u, ALL, 1, false)) - 16.0 / 12) < 0.01);
	assert_true(td_item(td_min(c, u, ALL, false)) >= -1 && td_item(td_max(c, u, ALL, false)) < 3);
	assert_true(fabs(td_item(td_mean(c, n, ALL, false)) - 2) < 0.01);
	assert_true(fabs(td_item(td_std(c, n, ALL, 1, false)) - 0.5) < 0.005);
	assert_true(fabs(td_item(td_mean(c, b, ALL, false)) - 0.25) < 0.005);
	assert_true(
		td_item(td_max(c, td_sub(c, td_uniform_like(c, x, -1, 3), u), ALL, false)) > 1); /* another stream */
}

static void a_random_order_holds_each_number_once(void **state)
{
	td_value *x = VECTOR(0, 0, 0, 0, 0, 0, 0, 0, 0, 0), *order = td_randperm_like(c, x);

	(void)state;
	HOLDS(td_sort(c, order, 0, false, NULL), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
	assert_true(td_item(td_sum(c, td_equal(c, order, td_sort(c, order, 0, false, NULL)), ALL, false)) < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_batch_of_products_is_each_product),
		TEST(what_lies_before_matrices_broadcasts),
		TEST(products_of_integers_are_those_of_floating_values),
		TEST(integers_are_scattered_and_chosen_as_floating_values_are),
		TEST(vectors_have_inner_and_outer_products),
		TEST(random_numbers_have_their_moments),
		TEST(a_random_order_holds_each_number_once),
	};

	return cmocka_run_group_tests_name("products", tests, NULL, NULL);
}
