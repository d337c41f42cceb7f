/* Flags and environment: which wins, what is refused, what the machine decides. */
#include "config.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LOAD(c, e, ...)                                                                                                \
	config_load(c, (int)TD_COUNT(((char *[]){ (char *)"tandemd", __VA_ARGS__ })),                                  \
		(char *[]){ (char *)"tandemd", __VA_ARGS__ }, e)
#define FLAG(text) ((char *)(text))

static void without_flags_everything_has_a_value(void **state)
{
	struct config c = { 0 };
	struct err e = { 0 };
	char *argv[] = { FLAG("tandemd") };

	(void)state;
	assert_int_equal(config_load(&c, 1, argv, &e), TD_OK);
	assert_string_equal(c.listen, "127.0.0.1:8080");
	assert_true(c.data_dir[0] == '/');
	assert_true(c.worker_path[0] == '/');
	assert_true(c.threads >= 1 && c.workers == c.threads);
	assert_true(c.memory_bytes > 0);
	assert_int_equal(c.drain_seconds, 8);
	assert_false(c.insecure);
	assert_false(c.fetch_private);
	assert_int_equal(c.dataset_max_bytes, 64LL << 30);
	config_release(&c);
}

static void flags_win_over_the_environment(void **state)
{
	struct config c = { 0 };
	struct err e = { 0 };

	(void)state;
	setenv("TANDEM_THREADS", "3", 1);
	setenv("TANDEM_DATA_DIR", "/srv/x", 1);
	assert_int_equal(LOAD(&c, &e, FLAG("--threads"), FLAG("5"), FLAG("--insecure"), FLAG("--memory-mb=100"),
				 FLAG("--fetch-private"), FLAG("on"), FLAG("--dataset-max-bytes=10000000000")),
		TD_OK);
	assert_true(c.fetch_private);
	assert_int_equal(c.dataset_max_bytes, 10000000000);
	assert_int_equal(c.threads, 5);
	assert_string_equal(c.data_dir, "/srv/x");
	assert_true(c.insecure);
	assert_int_equal(c.memory_bytes, 100 << 20);
	config_release(&c);
	unsetenv("TANDEM_THREADS");
	unsetenv("TANDEM_DATA_DIR");
}

static void what_is_wrong_is_named_with_what_was_expected(void **state)
{
	static const struct {
		const char *flag, *value, *says;
	} rows[] = {
		{ "--threads", "0", "--threads is \"0\"; expected an integer from 1" },
		{ "--threads", "two", "\"two\"" },
		{ "--threads", "5x", "\"5x\"" },
		{ "--threads", "", "empty" },
		{ "--drain-seconds", "-1", "from 0" },
		{ "--log-level", "loud", "debug, info, warn or error" },
		{ "--insecure=maybe", "x", "1 or 0" },
		{ "--fetch-private", "yes", "on or off" },
		{ "--dataset-max-bytes", "0", "from 1" },
		{ "--thread", "1", "did you mean --threads?" },
		{ "--quantum", "1", "--help" },
		{ "threads", "1", "there is no flag threads" },
		{ "-t", "1", "there is no flag -t" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct config c = { 0 };
		struct err e = { 0 };

		assert_int_equal(LOAD(&c, &e, FLAG(rows[i].flag), FLAG(rows[i].value)), TD_INVALID);
		if (!strstr(e.text, rows[i].says))
			fail_msg(
				"%s %s: \"%s\" does not say \"%s\"", rows[i].flag, rows[i].value, e.text, rows[i].says);
		config_release(&c);
	}
}

static void a_flag_at_the_end_needs_its_value(void **state)
{
	struct config c = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(LOAD(&c, &e, FLAG("--listen")), TD_INVALID);
	assert_non_null(strstr(e.text, "--listen HOST:PORT"));
	config_release(&c);
}

static void a_wrong_environment_is_blamed_by_its_own_name(void **state)
{
	struct config c = { 0 };
	struct err e = { 0 };
	char *argv[] = { FLAG("tandemd") };

	(void)state;
	setenv("TANDEM_WORKERS", "many", 1);
	assert_int_equal(config_load(&c, 1, argv, &e), TD_INVALID);
	assert_non_null(strstr(e.text, "TANDEM_WORKERS is \"many\""));
	config_release(&c);
	unsetenv("TANDEM_WORKERS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_flags_everything_has_a_value),
		cmocka_unit_test(flags_win_over_the_environment),
		cmocka_unit_test(what_is_wrong_is_named_with_what_was_expected),
		cmocka_unit_test(a_flag_at_the_end_needs_its_value),
		cmocka_unit_test(a_wrong_environment_is_blamed_by_its_own_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
