/* Functions in saved graphs from outside: what is wrong with them is said, with the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdint.h>
#include <string.h>

#include "core/core.h"

static td_ctx *context(void)
{
	return td_ctx_create(&(td_ctx_options){ .threads = 1 });
}

#define SCALAR(name, dtype)                                                                                            \
	"{\"name\": \"" name "\", \"kind\": \"placeholder\", \"dtype\": \"" dtype "\", \"shape\": []}"
#define GRAPH(version, nodes)                                                                                          \
	"{\"tandem_graph\": " version ", \"inputs\": [" SCALAR("x", "float32") ", " SCALAR(                            \
		"p", "bool") ", "                                                                                      \
			     "{\"name\": \"v\", \"kind\": \"variable\", \"dtype\": \"float32\", \"shape\": [], "       \
			     "\"gradient\": true}], "                                                                  \
			     "\"nodes\": [" nodes "]}"
#define BODY(inputs, nodes, results)                                                                                   \
	"{\"name\": \"f\", \"inputs\": [" inputs "], \"nodes\": [" nodes "], \"results\": [" results "]}"
#define PLAIN      BODY(SCALAR("a", "float32"), "", "\"a\"")
#define FOUR_NULLS "null, null, null, null, "
#define FOURTEEN   FOUR_NULLS FOUR_NULLS FOUR_NULLS "null, null"
#define COND(then) COND_OF("\"p\", \"x\", " FOURTEEN, then)
#define COND_OF(inputs, then)                                                                                          \
	"{\"name\": \"n\", \"op\": \"cond\", \"attributes\": {}, \"inputs\": [" inputs "], "                           \
	"\"functions\": {\"then\": " then ", \"otherwise\": " PLAIN "}}"
#define WHILE(inputs, most, test, body)                                                                                \
	"{\"name\": \"n\", \"op\": \"while\", \"attributes\": {\"most\": " most "}, \"inputs\": [" inputs "], "        \
	"\"functions\": {\"test\": " test ", \"body\": " body "}}"
#define TEST               BODY(SCALAR("a", "bool"), "", "\"a\"")
#define ONE_OF_SEVEN       "\"p\", null, null, null, null, null, null"
#define NODE(name, op, in) "{\"name\": \"" name "\", \"op\": \"" op "\", \"inputs\": [" in "], \"attributes\": {"

static const struct {
	const char *text, *says; /* SAYS NULL: nothing is wrong with it */
} hostile[] = {
	{ GRAPH("2", COND(PLAIN)), NULL },
	{ GRAPH("2", WHILE(ONE_OF_SEVEN, "3", TEST, TEST)), NULL },
	{ GRAPH("1", COND(PLAIN)), "/nodes/0: cond has functions, which version 1 of the format has not" },
	{ GRAPH("2", COND("null")), "/nodes/0: /functions/then: a function needs a name" },
	{ GRAPH("2", COND("{\"name\": \"f\"}")), "/functions/then: \"inputs\"" },
	{ GRAPH("2", COND("{\"name\": \"f\", \"inputs\": []}")), "/functions/then: \"nodes\"" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32"), "", ""))), "\"results\" is a list of 1 to 8" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32"), "", "\"x\""))), "the result \"x\" is not in the function's" },
	{ GRAPH("2", COND(BODY("", "", "\"a\""))), "the result \"a\"" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float64"), "", "\"a\""))), "input 0 of the function f is float64[]" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32") ", " SCALAR("b", "float32"), "", "\"a\""))),
		"a function of 1 inputs and 1 results stands where 2 and 1" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32"), "", "\"a\", \"a\""))), "where 1 and 2 are needed" },
	{ GRAPH("2", COND_OF("\"p\", null, \"x\", " FOUR_NULLS FOUR_NULLS FOUR_NULLS "null", PLAIN)),
		"the function f takes 1 inputs, not 2" },
	{ GRAPH("2", COND_OF("\"x\", \"x\", " FOURTEEN, PLAIN)), "cond is decided by" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32") ", {\"name\": \"w\", \"kind\": \"variable\", \"dtype\": "
						      "\"float32\", \"shape\": []}",
			     "", "\"a\""))),
		"/inputs/1: \"w\" is a variable of a function" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32") ", {\"name\": \"w\", \"kind\": \"outer\", \"of\": \"u\"}", "",
			     "\"a\""))),
		"is of \"u\", which is no variable" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32") ", {\"name\": \"w\", \"kind\": \"outer\", \"of\": \"x\"}", "",
			     "\"a\""))),
		"is of \"x\", which is no variable" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32") ", {\"name\": \"w\", \"kind\": \"outer\", \"of\": \"v\"}", "",
			     "\"a\""))),
		"uses \"w\", which wants a gradient" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32"), NODE("b", "assign", "\"a\", \"a\"") "}}", "\"a\""))),
		"is written and is no variable" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32"), NODE("b", "bernoulli", "\"a\"") "\"stream\": 1}}", "\"a\""))),
		"a function does not run bernoulli" },
	{ GRAPH("2", COND(BODY(SCALAR("a", "float32"), NODE("b", "exp", "\"x\"") "}}", "\"b\""))),
		"/nodes/0: input 0 of exp, \"x\", is not there" },
	{ GRAPH("2", COND(BODY("{\"name\": \"a\", \"kind\": \"placeholder\", \"dtype\": \"float32\", \"shape\": "
			       "[\"?1\", \"?1\", \"?1\"], \"order\": \"channels_last\"}",
			     "", "\"a\""))),
		"lies in rows" },
	{ GRAPH("2", WHILE(ONE_OF_SEVEN, "-1", TEST, TEST)), "cannot change in -1 rounds" },
	{ GRAPH("2", WHILE(ONE_OF_SEVEN, "\"9223372036854775807\"", TEST, TEST)), "larger than any memory" },
	{ GRAPH("2", WHILE("\"p\", null, \"x\", null, null, null, null", "1", TEST, TEST)), "stands where 3 and 1" },
	{ GRAPH("2", WHILE(ONE_OF_SEVEN, "1", TEST, BODY(SCALAR("a", "bool"), "", "\"a\", \"a\""))),
		"2 of 1 inputs cannot change" },
	{ GRAPH("2", WHILE(ONE_OF_SEVEN, "1", TEST,
			     BODY(SCALAR("a", "bool"), NODE("b", "cast", "\"a\"") "\"to\": 0}}", "\"b\""))),
		"/nodes/0" },
	{ GRAPH("2", "{\"name\": \"n\", \"op\": \"exp\", \"inputs\": [\"x\"], \"functions\": {\"then\": " PLAIN "}}"),
		"exp has 0 attributes and 0 functions, not 0 and 1" },
	{ GRAPH("2", "{\"name\": \"n\", \"op\": \"custom\", \"attributes\": {\"f\": 1, \"n_in\": 1}, "
		     "\"inputs\": [\"x\", \"x\"]}"),
		"the op custom is code of a program" },
	{ GRAPH("2", "{\"name\": \"n\", \"op\": \"while_dx\", \"attributes\": {}, \"inputs\": [\"p\", \"p\", "
		     "\"x\", " FOUR_NULLS "null, null], \"functions\": {\"gradient\": " BODY(
			     SCALAR("a", "float32") ", " SCALAR("b", "float32"), "", "\"b\"") "}}"),
		"are not the rounds and states of the loop" },
	{ GRAPH("2", "{\"name\": \"n\", \"op\": \"while_dx\", \"attributes\": {}, \"inputs\": [\"p\", \"p\", "
		     "\"x\", " FOUR_NULLS "null, null], \"functions\": {\"gradient\": " PLAIN "}}"),
		"0 variables of 1 inputs stand where 1 are needed" },
};

static void hostile_functions_are_refused_with_the_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(hostile); i++) {
		td_ctx *c = context();
		td_graph *g = td_graph_load(c, hostile[i].text, strlen(hostile[i].text), 1 << 20);

		assert_int_equal(g != NULL, !hostile[i].says);
		if (hostile[i].says && !strstr(td_error(c)->text, hostile[i].says))
			fail_msg("case %zu: not \"%s\" but: %s", i, hostile[i].says, td_error(c)->text);
		td_graph_free(g);
		td_ctx_free(c);
	}
}

/* Rounds that a file makes up are no more than there are states. */
static void a_gradient_of_a_loop_believes_no_number_of_rounds(void **state)
{
	static const char text[] =
		"{\"tandem_graph\": 2, \"inputs\": [{\"name\": \"rounds\", \"kind\": \"placeholder\", \"dtype\": "
		"\"int64\", \"shape\": []}, {\"name\": \"states\", \"kind\": \"placeholder\", \"dtype\": \"uint8\", "
		"\"shape\": [2, 4]}, " SCALAR(
			"x", "float32") "], \"nodes\": [{\"name\": \"n\", \"op\": \"while_dx\", "
					"\"attributes\": {}, \"inputs\": [\"rounds\", \"states\", \"x\", null, null, "
					"null, null, null, null], "
					"\"functions\": {\"gradient\": " BODY(
						SCALAR("a", "float32") ", " SCALAR("b", "float32"), "", "\"b\"") "}}]}";
	static const struct {
		int64_t rounds;
		td_status status;
	} cases[] = { { 0, TD_OK }, { 2, TD_OK }, { 3, TD_INVALID }, { -1, TD_INVALID }, { INT64_MAX, TD_INVALID } };
	td_shape integer = { .dtype = TD_I64 }, bytes = td_shape_make(TD_U8, 2, 2, 4), scalar = { 0 };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(cases); i++) {
		td_ctx *c = context();
		td_graph *g = td_graph_load(c, text, sizeof text - 1, 1 << 20);
		td_value *rounds = td_tensor(c, &integer, &cases[i].rounds), *states = td_tensor(c, &bytes, NULL),
			 *x = td_tensor(c, &scalar, (float[]){ 5 }), *y = td_graph_find(g, "n"), *result;
		td_session *s = td_session_create(c, g, &y, 1);
		td_feed feeds[] = { { td_graph_find(g, "rounds"), rounds }, { td_graph_find(g, "states"), states },
			{ td_graph_find(g, "x"), x } };

		td_step_begin(c);
		assert_int_equal(td_session_run(s, c, feeds, 3, &result), cases[i].status);
		if (cases[i].status == TD_OK)
			assert_float_equal(td_item(result), 5, 0);
		else
			assert_non_null(strstr(td_error(c)->text, "there are states of 2 rounds"));
		td_step_end(c);
		td_session_free(s);
		td_graph_free(g);
		td_unref(rounds);
		td_unref(states);
		td_unref(x);
		td_ctx_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_functions_are_refused_with_the_place),
		cmocka_unit_test(a_gradient_of_a_loop_believes_no_number_of_rounds),
	};

	return cmocka_run_group_tests_name("hostile_functions", tests, NULL, NULL);
}
