/* The small grammars of HTTP against what strangers send. */
#include "http/text.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void escapes_are_decoded(void **state)
{
	static const struct {
		const char *in, *out;
		bool plus;
	} rows[] = { { "", "", false }, { "abc", "abc", false }, { "a%20b", "a b", false }, { "a+b", "a+b", false },
		{ "a+b", "a b", true }, { "%2F%2f", "//", false }, { "%E2%82%AC", "\xe2\x82\xac", false },
		{ "%25%32%30", "%20", false } };
	char out[64];

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		assert_true(text_decode(rows[i].in, strlen(rows[i].in), rows[i].plus, out, sizeof out));
		assert_string_equal(out, rows[i].out);
	}
}

static void broken_escapes_zero_bytes_and_bad_utf8_are_refused(void **state)
{
	static const char *const rows[] = { "%", "%4", "%g1", "%1g", "a%", "%00", "a%00b", "%ff", "%c0%af", "%ed%a0%80",
		"%e2%82", "\xff" };
	char out[64];

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++)
		if (text_decode(rows[i], strlen(rows[i]), true, out, sizeof out))
			fail_msg("%s was decoded", rows[i]);
}

static void decoding_stays_within_its_room(void **state)
{
	char out[4];

	(void)state;
	assert_true(text_decode("abc", 3, false, out, sizeof out));
	assert_false(text_decode("abcd", 4, false, out, sizeof out));
	assert_false(text_decode("%41%42%43%44", 12, false, out, sizeof out));
}

static void a_range_gives_its_part(void **state)
{
	static const struct {
		const char *header;
		int64_t total;
		enum range kind;
		int64_t first, n;
	} rows[] = {
		{ "bytes=0-9", 100, RANGE_PART, 0, 10 },
		{ "bytes=5-14", 100, RANGE_PART, 5, 10 },
		{ "bytes=90-", 100, RANGE_PART, 90, 10 },
		{ "bytes=90-1000", 100, RANGE_PART, 90, 10 },
		{ "bytes=99-99", 100, RANGE_PART, 99, 1 },
		{ "bytes=-16", 100, RANGE_PART, 84, 16 },
		{ "bytes=-1000", 100, RANGE_PART, 0, 100 },
		{ "BYTES=0-0", 100, RANGE_PART, 0, 1 },
		{ "bytes=100-", 100, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=100-200", 100, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-0", 100, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-5", 0, RANGE_UNSATISFIABLE, 0, 0 },
		{ NULL, 100, RANGE_NONE, 0, 0 },
		{ "", 100, RANGE_NONE, 0, 0 },
		{ "bytes=", 100, RANGE_NONE, 0, 0 },
		{ "bytes=-", 100, RANGE_NONE, 0, 0 },
		{ "bytes=9-5", 100, RANGE_NONE, 0, 0 },
		{ "bytes=200-150", 100, RANGE_NONE, 0, 0 },
		{ "bytes=0-1,5-6", 100, RANGE_NONE, 0, 0 },
		{ "bytes=a-b", 100, RANGE_NONE, 0, 0 },
		{ "bytes=1-2x", 100, RANGE_NONE, 0, 0 },
		{ "lines=1-2", 100, RANGE_NONE, 0, 0 },
		{ "bytes=99999999999999999999-", 100, RANGE_NONE, 0, 0 },
		{ "bytes=0-99999999999999999999", 100, RANGE_NONE, 0, 0 },
		{ "bytes=--5", 100, RANGE_NONE, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		int64_t first = 0, n = 0;
		enum range kind = text_range(rows[i].header, rows[i].total, &first, &n);

		if (kind != rows[i].kind || (kind == RANGE_PART && (first != rows[i].first || n != rows[i].n)))
			fail_msg("%s of %lld: %d, %lld+%lld", rows[i].header ? rows[i].header : "none",
				(long long)rows[i].total, kind, (long long)first, (long long)n);
	}
}

static void etags_are_compared_whole(void **state)
{
	(void)state;
	assert_true(text_etag_matches("\"a\"", "\"a\""));
	assert_true(text_etag_matches("\"b\", \"a\"", "\"a\""));
	assert_true(text_etag_matches("W/\"a\"", "\"a\""));
	assert_true(text_etag_matches("*", "\"a\""));
	assert_false(text_etag_matches("\"ab\"", "\"a\""));
	assert_false(text_etag_matches("\"b\"", "\"a\""));
	assert_false(text_etag_matches("a", "\"a\""));
	assert_false(text_etag_matches("", "\"a\""));
	assert_false(text_etag_matches(NULL, "\"a\""));
	assert_false(text_etag_matches(",,,", "\"a\""));
}

static void a_cookie_is_found_by_its_whole_name(void **state)
{
	char out[8];

	(void)state;
	assert_true(text_cookie("s=1", "s", out, sizeof out));
	assert_string_equal(out, "1");
	assert_true(text_cookie("xs=0; s=2 ; t=3", "s", out, sizeof out));
	assert_string_equal(out, "2");
	assert_true(text_cookie("a;;s=x=y", "s", out, sizeof out));
	assert_string_equal(out, "x=y");
	assert_false(text_cookie("xs=0; sx=1", "s", out, sizeof out));
	assert_false(text_cookie("s", "s", out, sizeof out));
	assert_false(text_cookie("", "s", out, sizeof out));
	assert_false(text_cookie(NULL, "s", out, sizeof out));
	assert_false(text_cookie("s=12345678", "s", out, sizeof out));
}

static void a_host_loses_its_port_and_nothing_else(void **state)
{
	static const char *const bad[] = { "", ":80", "a b", "a/b", "a:b", "a:", "[::1", "[::1]x", "[]", "a\tb", "a,b",
		"a@b", "a:80:80" };
	char out[16];

	(void)state;
	assert_true(text_host("LocalHost:8080", out, sizeof out));
	assert_string_equal(out, "localhost");
	assert_true(text_host("[::1]:80", out, sizeof out));
	assert_string_equal(out, "::1");
	assert_true(text_host("[::1]", out, sizeof out));
	assert_true(text_host("127.0.0.1", out, sizeof out));
	assert_string_equal(out, "127.0.0.1");
	assert_false(text_host(NULL, out, sizeof out));
	assert_false(text_host("sixteen-letters.x", out, sizeof out));
	for (size_t i = 0; i < TD_COUNT(bad); i++)
		if (text_host(bad[i], out, sizeof out))
			fail_msg("\"%s\" passed as \"%s\"", bad[i], out);
}

static void the_most_specific_entry_of_accept_decides(void **state)
{
	const char *csv = "text/csv";

	(void)state;
	assert_true(text_accept("text/csv", csv, true) == 1);
	assert_true(text_accept("*/*", csv, true) == 0);
	assert_true(text_accept("*/*", csv, false) == 1);
	assert_true(text_accept(NULL, csv, true) == 0);
	assert_true(text_accept(NULL, csv, false) == 1);
	assert_true(text_accept("text/csv;q=0.5, */*", csv, false) == 0.5);
	assert_true(text_accept("text/*;q=0.3, */*;q=0.9", csv, false) == 0.3);
	assert_true(text_accept("application/json, text/csv; q=0.9", csv, true) == 0.9);
	assert_true(text_accept("text/csvx", csv, true) == 0);
	assert_true(text_accept("text/csv;q=nonsense", csv, true) == 0);
	assert_true(text_accept("text/csv;q=-1", csv, true) == 0);
	assert_true(text_accept(",,;;,", csv, true) == 0);
}

static void media_types_may_have_parameters(void **state)
{
	(void)state;
	assert_true(text_media_type_is("application/json; charset=utf-8", "application/json"));
	assert_true(text_media_type_is("Application/JSON", "application/json"));
	assert_false(text_media_type_is("application/jsonx", "application/json"));
	assert_false(text_media_type_is("application/problem+json", "application/json"));
	assert_false(text_media_type_is(NULL, "application/json"));
}

static void lists_are_searched_by_whole_entries(void **state)
{
	(void)state;
	assert_true(text_in_list("a.example, b.example", "B.example"));
	assert_true(text_in_list("a", "a"));
	assert_false(text_in_list("a.example", "a"));
	assert_false(text_in_list("a.example", "example"));
	assert_false(text_in_list("", ""));
	assert_false(text_in_list(NULL, "a"));
}

static void secrets_are_equal_or_not(void **state)
{
	(void)state;
	assert_true(text_same_secret("abc", "abc"));
	assert_true(text_same_secret("", ""));
	assert_false(text_same_secret("abc", "abd"));
	assert_false(text_same_secret("abc", "ab"));
	assert_false(text_same_secret("ab", "abc"));
	assert_false(text_same_secret("", "a"));
	assert_false(text_same_secret("a", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes_are_decoded),
		cmocka_unit_test(broken_escapes_zero_bytes_and_bad_utf8_are_refused),
		cmocka_unit_test(decoding_stays_within_its_room),
		cmocka_unit_test(a_range_gives_its_part),
		cmocka_unit_test(etags_are_compared_whole),
		cmocka_unit_test(a_cookie_is_found_by_its_whole_name),
		cmocka_unit_test(a_host_loses_its_port_and_nothing_else),
		cmocka_unit_test(the_most_specific_entry_of_accept_decides),
		cmocka_unit_test(media_types_may_have_parameters),
		cmocka_unit_test(lists_are_searched_by_whole_entries),
		cmocka_unit_test(secrets_are_equal_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
