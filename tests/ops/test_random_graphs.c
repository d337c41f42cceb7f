/* Random programs compute the same bits in every way of running them: TANDEM_GRAPHS of them (400), from TANDEM_SEED (1)
 * on. A seed that fails is printed; TANDEM_SEED=N TANDEM_GRAPHS=1 runs it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "random_graphs.h"

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void random_programs_compute_the_same_bits_in_every_mode(void **state)
{
	uint64_t first = number("TANDEM_SEED", 1), n = number("TANDEM_GRAPHS", 400);

	(void)state;
	for (uint64_t seed = first; seed < first + n; seed++) {
		const char *wrong = random_graph_check(seed, false);
		if (wrong)
			fail_msg("%s", wrong);
	}
	if (getenv("TANDEM_GRAPHS"))
		random_graph_tell();
}

static void a_wrong_op_is_seen(void **state)
{
	int n_seen = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++)
		n_seen += random_graph_check(seed, true) != NULL;
	assert_true(n_seen > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_programs_compute_the_same_bits_in_every_mode),
		cmocka_unit_test(a_wrong_op_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
