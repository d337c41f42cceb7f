/* JSON from outside: what is refused, where the fault is, and what survives a round trip. */
#include "base/json.h"
#include "base/buf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void good_documents_are_read(void **state)
{
	static const char *const rows[] = { "{}", "[]", "null", "true", "0", "-0", "1.5e-3", "\"\"",
		" \t\r\n{ \"a\" : [ 1 , 2 ] } ", "\"\\u00e9\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"",
		"9007199254740991", "-9007199254740991", "1e300", "\xef\xbb\xbf{}", "{\"a\":{\"x\":1},\"b\":{\"x\":1}}",
		"{\"a\":1,\"A\":2}", "{\"\":1}" };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct err e = { 0 };
		cJSON *v = json_parse(rows[i], strlen(rows[i]), &e);

		if (!v)
			fail_msg("%s: %s", rows[i], e.text);
		cJSON_Delete(v);
	}
}

static void bad_documents_are_refused_with_their_place(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "line 1, column 1" },
		{ "{", "line 1, column 2" },
		{ "{} x", "line 1, column 4" },
		{ "{\n \"a\": 1,\n}", "line 3, column 1" },
		{ "{\n\"a\" 1}", "line 2, column 5" },
		{ "[1 2]", "line 1, column 4" },
		{ "[1,]", "line 1, column 4" },
		{ "{'a':1}", "line 1, column 2: strings stand in double quotes" },
		{ "['a']", "double quotes" },
		{ "[NaN]", "\"NaN\"" },
		{ "[Infinity]", "\"Infinity\"" },
		{ "[01]", "line 1, column 3" },
		{ "[+1]", "line 1, column 2" },
		{ "[1.]", "digits" },
		{ "[.5]", "line 1, column 2" },
		{ "[1e]", "digits" },
		{ "[1e999]", "too large" },
		{ "[9007199254740993]", "lose digits" },
		{ "[-9007199254740992]", "lose digits" },
		{ "[1111111111111111111111111111111111111111111111111111111111111111111111]", "more digits" },
		{ "\"a", "no end" },
		{ "\"\\x\"", "escape" },
		{ "\"\\u12\"", "four hexadecimal" },
		{ "\"\\u0000\"", "\\u0000" },
		{ "\"\\ud800\"", "surrogate" },
		{ "\"\\udc00\"", "surrogate" },
		{ "\"\\ud800\\u0041\"", "surrogate" },
		{ "\"a\nb\"", "control character" },
		{ "\"\xff\"", "UTF-8" },
		{ "\"\xc0\xaf\"", "UTF-8" },
		{ "\"\xed\xa0\x80\"", "UTF-8" },
		{ "\"\xe2\x82", "UTF-8" },
		{ "\"\xf4\x90\x80\x80\"", "UTF-8" },
		{ "tru", "not a JSON value" },
		{ "truex", "line 1, column 5" },
		{ "{\"a\":1,\"a\":2}", "line 1, column 6: the name \"a\" stands twice" },
		{ "{\"b\":[0,\n{\"a\":1,\n\"a\":2}]}", "line 2, column 6: the name \"a\" stands twice" },
		{ "{\"\":1,\"\":2}", "stands twice" },
		{ "{\"\\u0061\":1,\"a\":2}", "stands twice" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct err e = { 0 };
		cJSON *v = json_parse(rows[i].text, strlen(rows[i].text), &e);

		if (v)
			fail_msg("%s was read", rows[i].text);
		if (!strstr(e.text, rows[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].text, e.text, rows[i].says);
	}
}

static void a_zero_byte_is_refused_wherever_it_stands(void **state)
{
	static const char inside[] = "{\"a\0b\":1}", behind[] = "{}\0", alone[] = "\0";
	struct err e = { 0 };

	(void)state;
	assert_null(json_parse(inside, sizeof inside - 1, &e));
	assert_null(json_parse(behind, sizeof behind - 1, &(struct err){ 0 }));
	assert_null(json_parse(alone, 1, &(struct err){ 0 }));
}

static char *nested(int depth, const char *open, const char *close)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (int i = 0; i < depth; i++)
		buf_puts(&b, open);
	buf_puts(&b, "1");
	for (int i = 0; i < depth; i++)
		buf_puts(&b, close);
	return buf_take(&b);
}

static void depth_is_limited(void **state)
{
	struct err e = { 0 };
	char *text = nested(JSON_DEPTH_MOST, "[", "]");
	cJSON *v = json_parse(text, strlen(text), &e);

	(void)state;
	assert_non_null(v);
	cJSON_Delete(v);
	mem_free(text);
	text = nested(JSON_DEPTH_MOST + 1, "[", "]");
	assert_null(json_parse(text, strlen(text), &e));
	mem_free(text);
	text = nested(100000, "{\"a\":", "}");
	assert_null(json_parse(text, strlen(text), &e));
	mem_free(text);
}

static void pointers_are_located_in_the_text(void **state)
{
	static const char text[] = "{\n  \"a\": [10, {\"b/c\": 1, \"d~e\": 2}],\n  \"\xc3\xa9\": true, \"f\": \"x\"\n}";
	static const struct {
		const char *pointer;
		int line, column;
	} rows[] = { { "", 1, 1 }, { "/a", 2, 8 }, { "/a/0", 2, 9 }, { "/a/1", 2, 13 }, { "/a/1/b~1c", 2, 21 },
		{ "/a/1/d~0e", 2, 31 }, { "/f", 3, 19 }, { "/a/7", 2, 8 }, { "/none", 1, 1 },
		{ "/a/1/none/below", 2, 13 } };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		int line = 0, column = 0;

		assert_true(json_locate(text, strlen(text), rows[i].pointer, &line, &column));
		if (line != rows[i].line || column != rows[i].column)
			fail_msg("%s: %d:%d, expected %d:%d", rows[i].pointer, line, column, rows[i].line,
				rows[i].column);
	}
}

static void a_byte_order_mark_shifts_no_column(void **state)
{
	static const char text[] = "\xef\xbb\xbf{\"a\":1}";
	int line = 0, column = 0;

	(void)state;
	assert_true(json_locate(text, strlen(text), "/a", &line, &column));
	assert_int_equal(line, 1);
	assert_int_equal(column, 6);
}

static void numbers_survive_a_round_trip(void **state)
{
	static const double rows[] = { 0, 0.1, 1.0 / 3, 1e-308, 5e-324, 1.7976931348623157e308, 9007199254740991.0,
		-1e-7, 0.00010000000000000002, 9007199254740992.0, 93423446912345670.0, -1e16, 1e17 };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		cJSON *v = json_number(rows[i]), *back;
		struct err e = { 0 };
		char *text = json_print(v);

		back = json_parse(text, strlen(text), &e);
		if (!back || back->valuedouble != rows[i])
			fail_msg("%.17g became %s", rows[i], text);
		mem_free(text);
		cJSON_Delete(v);
		cJSON_Delete(back);
	}
}

static void printing_escapes_what_must_be_escaped(void **state)
{
	cJSON *v = cJSON_CreateObject();
	char *text;

	(void)state;
	cJSON_AddStringToObject(v, "a\"\\\b\f\n\r\t\x01/\xc3\xa9", "");
	cJSON_AddItemToObject(v, "b", cJSON_CreateRaw("[1]"));
	cJSON_AddItemToObject(v, "c", cJSON_CreateArray());
	cJSON_AddItemToObject(v, "d", cJSON_CreateNumber(-0.0));
	text = json_print(v);
	assert_string_equal(text, "{\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\xc3\xa9\":\"\",\"b\":[1],\"c\":[],\"d\":-0}");
	mem_free(text);
	cJSON_Delete(v);
}

/* Ten thousand random bit patterns: 15 digits would do for most, not for all. */
static void every_bit_of_a_number_is_printed(void **state)
{
	uint64_t bits = 88172645463325252u;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		double x, back;
		cJSON *v;
		char *text;

		bits ^= bits << 13;
		bits ^= bits >> 7;
		bits ^= bits << 17;
		memcpy(&x, &bits, sizeof x);
		if (!isfinite(x))
			continue;
		v = cJSON_CreateNumber(x);
		text = json_print(v);
		back = strtod(text, NULL);
		assert_memory_equal(&x, &back, sizeof x);
		mem_free(text);
		cJSON_Delete(v);
	}
}

static void what_is_no_number_travels_as_text(void **state)
{
	static const double rows[] = { NAN, INFINITY, -INFINITY };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		cJSON *v = json_number(rows[i]);
		double back;

		assert_true(cJSON_IsString(v));
		assert_true(json_to_number(v, &back));
		assert_true(isnan(rows[i]) ? isnan(back) : back == rows[i]);
		cJSON_Delete(v);
	}
}

static void pointers_find_values_and_nothing_else(void **state)
{
	static const char text[] = "{\"a\":[1,{\"b/c\":2}],\"\":3}";
	struct err e = { 0 };
	cJSON *v = json_parse(text, strlen(text), &e);

	(void)state;
	assert_ptr_equal(json_at(v, ""), v);
	assert_int_equal(json_at(v, "/a/1/b~1c")->valueint, 2);
	assert_int_equal(json_at(v, "/")->valueint, 3);
	assert_null(json_at(v, "/a/2"));
	assert_null(json_at(v, "/a/-1"));
	assert_null(json_at(v, "/a/x"));
	assert_null(json_at(v, "/a/0/b"));
	assert_null(json_at(v, "a"));
	assert_null(json_at(v, "/b"));
	cJSON_Delete(v);
}

static void a_value_is_put_where_a_pointer_says_if_what_it_lies_in_is_there(void **state)
{
	static const struct {
		const char *pointer, *after; /* NULL: there is no such place */
	} cases[] = {
		{ "/a", "{\"a\":9,\"b/c\":{\"x\":1}}" },
		{ "/new", "{\"a\":[1,{\"b\":2}],\"b/c\":{\"x\":1},\"new\":9}" },
		{ "/a/0", "{\"a\":[9,{\"b\":2}],\"b/c\":{\"x\":1}}" },
		{ "/a/1/b", "{\"a\":[1,{\"b\":9}],\"b/c\":{\"x\":1}}" },
		{ "/b~1c/x", "{\"a\":[1,{\"b\":2}],\"b/c\":{\"x\":9}}" },
		{ "/b~1c/~0", "{\"a\":[1,{\"b\":2}],\"b/c\":{\"x\":1,\"~\":9}}" },
		{ "/", "{\"a\":[1,{\"b\":2}],\"b/c\":{\"x\":1},\"\":9}" },
		{ "", NULL },
		{ "a", NULL },
		{ "/a/2", NULL },
		{ "/a/-", NULL },
		{ "/a/-1", NULL },
		{ "/a/0x", NULL },
		{ "/a/", NULL },
		{ "/a/0/b", NULL },
		{ "/no/where", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cJSON *v = cJSON_Parse("{\"a\":[1,{\"b\":2}],\"b/c\":{\"x\":1}}");
		char *text;

		assert_int_equal(json_set_at(v, cases[i].pointer, cJSON_CreateNumber(9)), cases[i].after != NULL);
		text = json_print(v);
		assert_string_equal(text, cases[i].after ? cases[i].after : "{\"a\":[1,{\"b\":2}],\"b/c\":{\"x\":1}}");
		mem_free(text);
		cJSON_Delete(v);
	}
}

static void a_pointer_takes_members_of_objects_away(void **state)
{
	static const struct {
		const char *pointer, *after; /* NULL: refused */
	} cases[] = {
		{ "/a", "{\"b/c\":{\"x\":1,\"y\":null}}" },
		{ "/b~1c/x", "{\"a\":[1],\"b/c\":{\"y\":null}}" },
		{ "/b~1c/y", "{\"a\":[1],\"b/c\":{\"x\":1}}" },
		{ "/B", "{\"a\":[1],\"b/c\":{\"x\":1,\"y\":null}}" },
		{ "", NULL },
		{ "a", NULL },
		{ "/a/0", NULL },
		{ "/b~1c/x/z", NULL },
		{ "/no/where", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *before = "{\"a\":[1],\"b/c\":{\"x\":1,\"y\":null}}";
		cJSON *v = cJSON_Parse(before);
		char *text;

		assert_int_equal(json_remove_at(v, cases[i].pointer), cases[i].after != NULL);
		text = json_print(v);
		assert_string_equal(text, cases[i].after ? cases[i].after : before);
		mem_free(text);
		cJSON_Delete(v);
	}
}

static void names_are_escaped_for_pointers_and_cut_to_their_room(void **state)
{
	char out[16];

	(void)state;
	json_pointer_token("a/b~c", out, sizeof out);
	assert_string_equal(out, "a~1b~0c");
	json_pointer_token("////////////////", out, sizeof out);
	assert_true(strlen(out) < sizeof out);
}

static void utf8_is_checked_to_its_end(void **state)
{
	(void)state;
	assert_true(utf8_valid("", 0));
	assert_true(utf8_valid("\xe2\x82\xac", 3));
	assert_false(utf8_valid("\xe2\x82\xac", 2));
	assert_false(utf8_valid("a\x80", 2));
	assert_false(utf8_valid("\xf5\x80\x80\x80", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_documents_are_read),
		cmocka_unit_test(bad_documents_are_refused_with_their_place),
		cmocka_unit_test(a_zero_byte_is_refused_wherever_it_stands),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(pointers_are_located_in_the_text),
		cmocka_unit_test(a_byte_order_mark_shifts_no_column),
		cmocka_unit_test(numbers_survive_a_round_trip),
		cmocka_unit_test(printing_escapes_what_must_be_escaped),
		cmocka_unit_test(every_bit_of_a_number_is_printed),
		cmocka_unit_test(what_is_no_number_travels_as_text),
		cmocka_unit_test(pointers_find_values_and_nothing_else),
		cmocka_unit_test(a_value_is_put_where_a_pointer_says_if_what_it_lies_in_is_there),
		cmocka_unit_test(a_pointer_takes_members_of_objects_away),
		cmocka_unit_test(names_are_escaped_for_pointers_and_cut_to_their_room),
		cmocka_unit_test(utf8_is_checked_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
