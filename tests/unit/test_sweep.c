/* Sweeps as a pure function: documents, parameters, and decisions that do not depend on who came first. */
#include "sched/sweep.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static cJSON *parse(const char *text)
{
	struct err e = { 0 };
	cJSON *v = json_parse(text, strlen(text), &e);

	if (!v)
		fail_msg("%s: %s", text, e.text);
	return v;
}

/* ---- Documents --------------------------------------------------------------------------------------------------- */

#define REST "\"metric\":\"val/loss\",\"goal\":\"min\",\"max_jobs\":8"

static void a_fault_of_a_document_is_said_where_it_is(void **state)
{
	static const struct {
		const char *document, *pointer, *says;
	} cases[] = {
		{ "{" REST "}", "/space", "expected an object" },
		{ "{" REST ",\"space\":{}}", "/space", "expected an object" },
		{ "{" REST ",\"space\":{\"lr\":{\"values\":[1]}}}", "/space/lr/values", "pointer" },
		{ "{" REST ",\"space\":{\"/a~1b/c\":{\"vlaues\":[1]}}}", "/space/~1a~01b~1c/vlaues",
			"expected one of" },
		{ "{" REST ",\"space\":{\"/a\":{\"values\":[]}}}", "/space/~1a/values", "at least one" },
		{ "{" REST ",\"space\":{\"/a\":{\"values\":[1],\"uniform\":[0,1]}}}", "/space/~1a/values",
			"expected one of" },
		{ "{" REST ",\"space\":{\"/a\":[1,2]}}", "/space/~1a", "expected one of" },
		{ "{" REST ",\"space\":{\"/a\":{\"uniform\":[1]}}}", "/space/~1a/uniform", "[low, high]" },
		{ "{" REST ",\"space\":{\"/a\":{\"uniform\":[1,\"x\"]}}}", "/space/~1a/uniform", "number" },
		{ "{" REST ",\"space\":{\"/a\":{\"uniform\":[2,1]}}}", "/space/~1a/uniform", "lower end" },
		{ "{" REST ",\"space\":{\"/a\":{\"log_uniform\":[0,1]}}}", "/space/~1a/log_uniform", "above 0" },
		{ "{" REST ",\"space\":{\"/a\":{\"int_uniform\":[0,1.5]}}}", "/space/~1a/int_uniform", "integers" },
		{ "{" REST ",\"space\":{\"/a\":{\"quantized\":[0,1]}}}", "/space/~1a/quantized", "[low, high, step]" },
		{ "{" REST ",\"space\":{\"/a\":{\"quantized\":[0,1,0]}}}", "/space/~1a/quantized", "distance" },
		{ "{" REST ",\"strategy\":\"grid\",\"space\":{\"/a\":{\"uniform\":[0,1]}}}", "/space/~1a/uniform",
			"grid" },
		{ "{" REST
		  ",\"strategy\":\"grid\",\"space\":{\"/a\":{\"values\":[1,2,3]},\"/b\":{\"values\":[1,2,3]}}}",
			"/max_jobs", "9 points" },
		{ "{" REST ",\"strategy\":\"hyper\",\"space\":{\"/a\":{\"values\":[1]}}}", "/strategy", "asha" },
		{ "{" REST ",\"strategy\":\"asha\",\"space\":{\"/a\":{\"values\":[1]}}}", "/asha", "min_steps" },
		{ "{" REST
		  ",\"strategy\":\"asha\",\"asha\":{\"min_steps\":1,\"eta\":1},\"space\":{\"/a\":{\"values\":[1]}}}",
			"/asha/eta", "from 2" },
		{ "{" REST
		  ",\"strategy\":\"asha\",\"asha\":{\"min_steps\":1,\"rungs\":1},\"space\":{\"/a\":{\"values\":[1]}}}",
			"/asha", "rungs" },
		{ "{\"metric\":\"test/"
		  "loss\",\"goal\":\"min\",\"max_jobs\":2,\"strategy\":\"asha\",\"asha\":{\"min_steps\":1},"
		  "\"space\":{\"/a\":{\"values\":[1]}}}",
			"/metric", "while it runs" },
		{ "{\"metric\":\"loss\",\"goal\":\"min\",\"max_jobs\":2,\"space\":{\"/a\":{\"values\":[1]}}}",
			"/metric", "val/accuracy" },
		{ "{\"metric\":\"val/loss\",\"goal\":\"low\",\"max_jobs\":2,\"space\":{\"/a\":{\"values\":[1]}}}",
			"/goal", "min" },
		{ "{\"metric\":\"val/loss\",\"goal\":\"min\",\"max_jobs\":1e9,\"space\":{\"/a\":{\"values\":[1]}}}",
			"/max_jobs", "1000" },
		{ "{\"metric\":\"val/loss\",\"goal\":\"min\",\"space\":{\"/a\":{\"uniform\":[0,1]}}}", "", "max_jobs" },
		{ "{" REST ",\"parallel\":0,\"space\":{\"/a\":{\"values\":[1]}}}", "/parallel", "from 1" },
		{ "{" REST ",\"seed\":-1,\"space\":{\"/a\":{\"values\":[1]}}}", "/seed", "from 0" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(cases); i++) {
		cJSON *document = parse(cases[i].document);
		struct sweep s;
		struct faults f;
		bool found = false;

		faults_init(&f);
		sweep_read(document, &s, &f);
		for (size_t k = 0; k < f.n; k++)
			found |= !strcmp(f.items[k].pointer, cases[i].pointer) &&
				 strstr(f.items[k].detail, cases[i].says);
		if (!found)
			fail_msg("%s: %s: %s", cases[i].document, f.n ? f.items[0].pointer : "no fault",
				f.n ? f.items[0].detail : "");
		faults_release(&f);
		cJSON_Delete(document);
	}
}

static void read_good(cJSON *document, struct sweep *s)
{
	struct faults f;

	faults_init(&f);
	sweep_read(document, s, &f);
	if (f.n_found)
		fail_msg("%s: %s", f.items[0].pointer, f.items[0].detail);
	faults_release(&f);
}

/* ---- Parameters -------------------------------------------------------------------------------------------------- */

static void a_grid_has_each_point_once_and_its_last_axis_turns_fastest(void **state)
{
	cJSON *document = parse("{\"metric\":\"val/loss\",\"goal\":\"min\",\"strategy\":\"grid\","
				"\"space\":{\"/a\":{\"values\":[1,2]},\"/b\":{\"values\":[\"x\",{\"y\":1},null]}}}");
	static const char *const expected[] = { "{\"/a\":1,\"/b\":\"x\"}", "{\"/a\":1,\"/b\":{\"y\":1}}",
		"{\"/a\":1,\"/b\":null}", "{\"/a\":2,\"/b\":\"x\"}", "{\"/a\":2,\"/b\":{\"y\":1}}",
		"{\"/a\":2,\"/b\":null}" };
	struct sweep s;

	(void)state;
	read_good(document, &s);
	assert_int_equal(s.max_jobs, TD_COUNT(expected));
	for (int i = 0; i < s.max_jobs; i++) {
		cJSON *params = sweep_params(&s, i);
		char *text = json_print(params);

		assert_string_equal(text, expected[i]);
		mem_free(text);
		cJSON_Delete(params);
	}
	cJSON_Delete(document);
}

static void draws_stay_in_their_ranges_and_depend_on_seed_and_index_alone(void **state)
{
	static const char text[] =
		"{\"metric\":\"val/loss\",\"goal\":\"min\",\"max_jobs\":1000,\"seed\":%d,\"space\":{"
		"\"/u\":{\"uniform\":[-1,1]},\"/l\":{\"log_uniform\":[0.0001,0.1]},"
		"\"/i\":{\"int_uniform\":[3,5]},\"/q\":{\"quantized\":[0,0.3,0.1]},\"/v\":{\"values\":[1,2]}}}";
	char *first = mem_printf(text, 1), *second = mem_printf(text, 2);
	cJSON *one = parse(first), *two = parse(second);
	int seen_i[6] = { 0 }, seen_q[4] = { 0 }, n_low = 0, n_same = 0;
	struct sweep s, other;

	(void)state;
	read_good(one, &s);
	read_good(two, &other);
	for (int i = 0; i < 1000; i++) {
		cJSON *params = sweep_params(&s, i), *again = sweep_params(&s, i), *differs = sweep_params(&other, i);
		double u = json_double(params, "/u", 9), l = json_double(params, "/l", 9),
		       q = json_double(params, "/q", 9);
		int k = (int)json_int(params, "/i", 0);

		assert_true(cJSON_Compare(params, again, true));
		n_same += json_double(differs, "/u", 0) == u;
		assert_true(u >= -1 && u <= 1 && l >= 0.0001 && l <= 0.1 && k >= 3 && k <= 5);
		assert_true(fabs(q * 10 - round(q * 10)) < 1e-9 && q >= 0 && q <= 0.3);
		seen_i[k]++;
		seen_q[(int)round(q * 10)]++;
		n_low += l < 0.00316; /* half of the decades */
		cJSON_Delete(params);
		cJSON_Delete(again);
		cJSON_Delete(differs);
	}
	assert_int_equal(n_same, 0);
	for (int k = 3; k <= 5; k++)
		assert_in_range(seen_i[k], 250, 420);
	for (int k = 0; k < 4; k++)
		assert_in_range(seen_q[k], 170, 330);
	assert_in_range(n_low, 430, 570);
	cJSON_Delete(one);
	cJSON_Delete(two);
	mem_free(first);
	mem_free(second);
}

/* ---- Decisions --------------------------------------------------------------------------------------------------- */

#define N_CHILDREN 40
#define N_RUNGS    4

/* A sweep as it would go: what each child's metric is at each rung (NAN and missing among them), how far each has
 * trained, and what has been decided. */
struct world {
	struct sweep s;
	double curve[N_CHILDREN][N_RUNGS];
	int length[N_CHILDREN]; /* rungs that it reaches if nobody stops it */
	int reached[N_CHILDREN];
	bool over[N_CHILDREN];
	int n; /* children created */
	struct sweep_child children[N_CHILDREN];
	double decided[N_CHILDREN][N_RUNGS];
};

static void look(struct world *w)
{
	for (int i = 0; i < w->n; i++) {
		struct sweep_child *c = &w->children[i];
		c->value = w->decided[i];
		c->over = w->over[i];
		c->has_next = !c->stopped && c->n_passed < w->reached[i];
		c->next = c->has_next ? w->curve[i][c->n_passed] : 0;
	}
}

static void decide(struct world *w, int most)
{
	struct sweep_decision out[N_CHILDREN];
	int n;

	look(w);
	n = sweep_decide(&w->s, w->children, w->n, out, most);
	for (int i = 0; i < n; i++) {
		struct sweep_child *c = &w->children[out[i].child];
		assert_int_equal(out[i].rung, c->n_passed);
		assert_false(c->stopped);
		w->decided[out[i].child][out[i].rung] = out[i].value;
		if (out[i].pass)
			c->n_passed++;
		else
			c->stopped = true;
	}
}

static void world_init(struct world *w, unsigned seed, bool median)
{
	*w = (struct world){ .s = { .strategy = SWEEP_ASHA,
				     .min_steps = 10,
				     .eta = 2 + (int)(seed % 3),
				     .maximise = seed % 2,
				     .median = median } };
	srand(seed);
	for (int i = 0; i < N_CHILDREN; i++) {
		w->length[i] = rand() % (N_RUNGS + 1);
		for (int k = 0; k < N_RUNGS; k++)
			w->curve[i][k] = rand() % 20 == 0 ? NAN : rand() % 10;
	}
}

/* Children start in order, train at their own random pace, and are stopped late; ORDER chooses the pace. */
static void run_world(struct world *w, unsigned order)
{
	srand(order);
	for (int idle = 0; idle < 2000; idle++) {
		int i = rand() % N_CHILDREN;
		if (i >= w->n && w->n < N_CHILDREN && rand() % 3 == 0)
			w->n++;
		if (i < w->n && !w->over[i]) {
			if (w->children[i].stopped && rand() % 4 == 0)
				w->over[i] = true; /* the worker has heard of it */
			else if (w->reached[i] < w->length[i])
				w->reached[i]++;
			else
				w->over[i] = true;
		}
		if (rand() % 3 == 0)
			decide(w, 1 + rand() % 5);
	}
	while (w->n < N_CHILDREN)
		w->n++;
	for (int i = 0; i < N_CHILDREN; i++) {
		w->reached[i] = w->length[i];
		w->over[i] = true;
	}
	for (int i = 0; i < N_CHILDREN * N_RUNGS; i++)
		decide(w, N_CHILDREN);
}

/* Every decision written a second time, from its definition: on all curves, with no state. */
static void expect_world(const struct world *w, int n_passed[N_CHILDREN], bool stopped[N_CHILDREN])
{
	for (int i = 0; i < N_CHILDREN; i++) {
		n_passed[i] = 0;
		stopped[i] = false;
	}
	for (int k = 0; k < N_RUNGS; k++) {
		double values[N_CHILDREN];
		int m = 0;
		for (int i = 0; i < N_CHILDREN; i++) {
			int before = 0, n_better = 0;
			if (w->length[i] <= k || stopped[i] || n_passed[i] < k)
				continue;
			values[m++] = w->curve[i][k];
			for (int j = 0; j < m - 1; j++) {
				n_better += sweep_better(&w->s, values[j], values[m - 1]);
				before += !sweep_better(&w->s, values[m - 1], values[j]);
			}
			if (m >= w->s.eta && before >= (int)ceil((double)m / w->s.eta))
				stopped[i] = true;
			if (w->s.median && m >= 3 && 2 * n_better >= m)
				stopped[i] = true;
			n_passed[i] += !stopped[i];
		}
	}
}

static void decisions_are_those_of_the_definition_in_whatever_order_values_come(void **state)
{
	int n_stopped = 0, n_went_on = 0;

	(void)state;
	for (unsigned seed = 0; seed < 60; seed++) {
		int n_passed[N_CHILDREN];
		bool stopped[N_CHILDREN];

		for (unsigned order = 0; order < 4; order++) {
			struct world w;
			world_init(&w, seed, seed % 5 == 0);
			expect_world(&w, n_passed, stopped);
			run_world(&w, 1000 * seed + order);
			for (int i = 0; i < N_CHILDREN; i++) {
				if (w.children[i].n_passed != n_passed[i] || w.children[i].stopped != stopped[i])
					fail_msg("seed %u order %u: child %d passed %d%s, expected %d%s", seed, order,
						i, w.children[i].n_passed,
						w.children[i].stopped ? " and was stopped" : "", n_passed[i],
						stopped[i] ? " and stopped" : "");
				n_stopped += stopped[i];
				n_went_on += n_passed[i] > 1;
			}
		}
	}
	assert_true(n_stopped > 1000 && n_went_on > 500); /* the cases are no trivial ones */
}

static void nothing_is_decided_while_an_earlier_child_has_neither_value_nor_end(void **state)
{
	struct sweep s = { .strategy = SWEEP_ASHA, .min_steps = 10, .eta = 2 };
	struct sweep_child children[] = { { 0 }, { .has_next = true, .next = 1 }, { .has_next = true, .next = 2 } };
	struct sweep_decision out[3];

	(void)state;
	assert_int_equal(sweep_decide(&s, children, 3, out, 3), 0);
	children[0].over = true;
	assert_int_equal(sweep_decide(&s, children, 3, out, 3), 2);
	assert_true(out[0].pass);
	assert_false(out[1].pass); /* the second of two, and one in two goes on */
	s.strategy = SWEEP_RANDOM;
	assert_int_equal(sweep_decide(&s, children, 3, out, 3), 0);
}

static void rungs_grow_by_eta_and_stop_at_the_end_of_numbers(void **state)
{
	struct sweep s = { .min_steps = 100, .eta = 3 };

	(void)state;
	assert_int_equal(sweep_rung_step(&s, 0), 100);
	assert_int_equal(sweep_rung_step(&s, 3), 2700);
	s.min_steps = INT64_MAX / 2;
	assert_int_equal(sweep_rung_step(&s, SWEEP_RUNGS_MOST), INT64_MAX);
}

static void what_is_not_a_number_is_worse_than_every_number(void **state)
{
	struct sweep s = { 0 };

	(void)state;
	for (int maximise = 0; maximise < 2; maximise++) {
		s.maximise = maximise;
		assert_true(sweep_better(&s, maximise ? -1e300 : 1e300, NAN));
		assert_false(sweep_better(&s, NAN, maximise ? -INFINITY : INFINITY));
		assert_false(sweep_better(&s, NAN, NAN));
		assert_int_equal(sweep_better(&s, 2, 1), maximise);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_of_a_document_is_said_where_it_is),
		cmocka_unit_test(a_grid_has_each_point_once_and_its_last_axis_turns_fastest),
		cmocka_unit_test(draws_stay_in_their_ranges_and_depend_on_seed_and_index_alone),
		cmocka_unit_test(decisions_are_those_of_the_definition_in_whatever_order_values_come),
		cmocka_unit_test(nothing_is_decided_while_an_earlier_child_has_neither_value_nor_end),
		cmocka_unit_test(rungs_grow_by_eta_and_stop_at_the_end_of_numbers),
		cmocka_unit_test(what_is_not_a_number_is_worse_than_every_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
