/* CSV as it is found: types are inferred over all rows, and what does not fit is named with line and column. */
#include <math.h>
#include "data/csv.h"
#include "test_prepare.h"

static void numbers_are_read_exactly_and_nothing_else_is_one(void **state)
{
	static const char *const good[] = { "0", "-1", "+7", "3.", ".5", "1e3", "1E-3", " 42 ", "0.1",
		"123456789012345678", "-0.00012", "1.7976931348623157e308", "5e-324", "9007199254740993",
		"0000000000000000000000000000.5" };
	static const char *const bad[] = { "", " ", "-", ".", "e5", "1e", "1e+", "0x10", "inf", "nan", "1e999", "1,5",
		"1 2", "1.2.3", "--1", "1f", "12a" };
	double x;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(good); i++) {
		if (!csv_number(good[i], strlen(good[i]), &x))
			fail_msg("\"%s\" is a number", good[i]);
		assert_true(x == strtod(good[i], NULL));
	}
	for (size_t i = 0; i < TD_COUNT(bad); i++)
		if (csv_number(bad[i], strlen(bad[i]), &x))
			fail_msg("\"%s\" is no number", bad[i]);
}

static void types_are_inferred_over_all_rows(void **state)
{
	(void)state;
	write_text("t.csv", "\xef\xbb\xbf"
			    "age,city,id,empty,late\r\n"
			    "3,Rome,\"a, \"\"b\"\"\",,1\r\n"
			    "NA,Oslo,c,?,2\r\n"
			    "\r\n"
			    "4.5, Rome ,d,null,x\r\n");
	prepared_well(prepare("{}", "t.csv", NULL));
	assert_info("/format", "\"table\"");
	assert_info("/parts/train/samples", "3");
	assert_info("/columns/0", "{\"name\":\"age\",\"type\":\"number\",\"missing\":1,\"min\":3,\"max\":4.5,\"mean\":"
				  "3.75,\"std\":0.75}");
	assert_info("/columns/1/categories", "[\"Oslo\",\"Rome\"]");
	assert_info("/columns/2/categories", "[\"a, \\\"b\\\"\",\"c\",\"d\"]");
	assert_info("/columns/3/type", "\"ignored\"");
	assert_info("/columns/4/categories", "[\"1\",\"2\",\"x\"]"); /* its last value is no number */
	assert_column("train.column-1", int32_t, 1, 0, 1);
	{
		const double *age = column("train.column-0", 3 * sizeof(double));
		assert_true(age[0] == 3 && isnan(age[1]) && age[2] == 4.5);
	}
	assert_false(has_column("train.column-3"));
	assert_false(has_column("train.column-4.numbers"));
	assert_true(json_is_integer(json_at(summary, "/columns/0/histogram/counts/0")));
	assert_string_equal(json_string(json_at(summary, "/columns/1/values/0"), "value", ""), "Rome");
	assert_true(noted("first row was taken for the columns' names"));
}

/* Found by fuzzing: 9007199254740993 was printed in digits, as no integer of JSON may be. */
static void numbers_beyond_all_integers_are_described_so_that_they_are_read_again(void **state)
{
	(void)state;
	write_text("t.csv", "x\n9007199254740993\n666666666666666666\n-12345678901234567\n");
	prepared_well(prepare("{}", "t.csv", NULL));
	assert_true(json_double(json_at(summary, "/columns/0"), "max", 0) == 666666666666666666.0);
	assert_true(json_double(json_at(summary, "/columns/0"), "min", 0) == -12345678901234567.0);
}

static void decimal_commas_between_semicolons_are_numbers_by_the_column(void **state)
{
	struct buf b;

	(void)state;
	write_text("t.csv", "x;y;mixed;none\n0,5;1,25;0,5;1,2,3\n-1;3;1.5;2\n,75;2,5e1;2;3\n");
	prepared_well(prepare("{}", "t.csv", NULL));
	assert_column("train.column-0", double, 0.5, -1, 0.75);
	assert_column("train.column-1", double, 1.25, 3, 25);
	assert_info("/columns/2/categories", "[\"1.5\",\"2\",\"0,5\"]");
	assert_info("/columns/3/type", "\"category\"");
	assert_true(noted("\"x\": its numbers were read with a decimal comma"));
	assert_true(noted("\"mixed\" is category: of its numbers, 1 have a decimal point and 1 a decimal comma"));
	assert_true(json_double(json_at(summary, "/samples/0/row"), "y", 0) == 1.25);
	refused_for(prepare("{\"columns\":{\"mixed\":\"number\"}}", "t.csv", NULL), "/format/columns/mixed", "line 3");
	write_text("t.csv", "0,5;1,25\n1,5;2,25\n"); /* as even between commas */
	prepared_well(prepare("{}", "t.csv", NULL));
	assert_info("/parts/train/samples", "2");
	assert_column("train.column-1", double, 1.25, 2.25);
	prepared_well(prepare("{\"delimiter\":\",\"}", "t.csv", NULL));
	assert_info("/columns/1/categories", "[\"5;1\",\"5;2\"]");
	buf_init(&b, 1 << 20); /* too many for categories, and commas begin late */
	for (int i = 0; i < 3000; i++)
		buf_printf(&b, i < 2000 ? "%d;a\n" : "%d,5;a\n", i);
	write_file("t.csv", b.data, b.len);
	prepared_well(prepare("{\"header\":\"no\"}", "t.csv", NULL));
	assert_info("/columns/0/max", "2999.5");
	buf_release(&b);
}

static void a_dash_among_numbers_is_missing_and_another_word_is_told(void **state)
{
	struct buf b;

	(void)state;
	write_text("t.csv", "n,word,dash\n1,a,-\n-,-,-\n3,a,-\n");
	prepared_well(prepare("{}", "t.csv", NULL));
	{
		const double *n = column("train.column-0", 3 * sizeof(double));
		assert_true(n[0] == 1 && isnan(n[1]) && n[2] == 3);
	}
	assert_info("/columns/0/missing", "1");
	assert_info("/columns/1/categories", "[\"-\",\"a\"]");
	assert_info("/columns/2/categories", "[\"-\"]");
	assert_true(noted("\"n\": 1 value is \"-\" among numbers, taken for missing"));
	assert_true(cJSON_IsNull(json_at(summary, "/samples/1/row/n")));
	buf_init(&b, 1 << 20);
	buf_puts(&b, "few,many\n");
	for (int i = 0; i < 2000; i++)
		buf_printf(&b, i == 40 ? "x?,unknown\n" : "%d,%d\n", i % 7, i);
	write_file("t.csv", b.data, b.len);
	prepared_well(prepare("{}", "t.csv", NULL));
	assert_true(noted("\"few\" is category, though 1999 of its 2000 values are numbers: \"x?\" in line 42"));
	assert_true(noted("\"many\" is text, though 1999 of its 2000 values are numbers: \"unknown\" in line 42"));
	buf_release(&b);
}

static void corrections_are_taken_or_named(void **state)
{
	(void)state;
	write_text("t.csv", "zip,name\n10,x\n20,y\n10,7\n");
	prepared_well(prepare("{\"columns\":{\"zip\":\"category\",\"name\":\"ignored\"}}", "t.csv", NULL));
	assert_info("/columns/0/categories", "[\"10\",\"20\"]");
	assert_info("/columns/1/type", "\"ignored\"");
	assert_column("train.column-0", int32_t, 0, 1, 0);
	refused_for(prepare("{\"columns\":{\"name\":\"number\"}}", "t.csv", NULL), "/format/columns/name",
		"t.csv, line 2, column \"name\": \"x\" is no number");
	refused_for(prepare("{\"columns\":{\"nane\":\"number\"}}", "t.csv", NULL), "/format/columns/nane",
		"did you mean \"name\"");
	refused_for(prepare("{\"columns\":{\"zip\":\"date\"}}", "t.csv", NULL), "/format/columns/zip", "\"category\"");
	refused_for(prepare("{\"columns\":[1]}", "t.csv", NULL), "/format/columns", "object");
}

static void too_many_values_are_text(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_puts(&b, "id,n\n");
	for (int i = 0; i < 1500; i++)
		buf_printf(&b, "user-%d,%d\n", i, i);
	write_file("t.csv", b.data, b.len);
	prepared_well(prepare("{}", "t.csv", NULL));
	assert_info("/columns/0/type", "\"text\"");
	assert_info("/columns/1/type", "\"number\"");
	assert_false(has_column("train.column-0") || has_column("train.column-0.codes"));
	column("train.column-1", 1500 * sizeof(double));
	prepared_well(prepare("{\"columns\":{\"id\":\"category\"}}", "t.csv", NULL));
	column("train.column-0", 1500 * sizeof(int32_t));
	buf_release(&b);
}

static void words_that_hardly_come_again_are_text(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_puts(&b, "name,town,seldom\n");
	for (int i = 0; i < 60; i++)
		buf_printf(&b, "name-%d,town-%d,%s\n", i, i % 30, i % 20 ? "" : "x");
	write_file("t.csv", b.data, b.len);
	prepared_well(prepare("{}", "t.csv", NULL));
	assert_info("/columns/0/type", "\"text\"");
	assert_info("/columns/1/type", "\"category\"");
	assert_info("/columns/2/type", "\"category\"");
	assert_true(noted("Column \"name\" is text: 60 of its 60 values are distinct"));
	assert_false(has_column("train.column-0") || has_column("train.column-0.codes"));
	prepared_well(prepare("{\"columns\":{\"name\":\"category\"}}", "t.csv", NULL));
	column("train.column-0", 60 * sizeof(int32_t));
	buf_release(&b);
}

static void delimiter_and_header_are_found_out(void **state)
{
	static const struct {
		const char *text, *first, *n;
	} cases[] = {
		{ "a;b\n1,5;2\n3,5;4\n", "\"a\"", "2" }, { "a\tb\n1\t2\n", "\"a\"", "1" },
		{ "a|b|c\n1|2|3\n", "\"a\"", "1" }, { "1,2\n3,4\n", "\"1\"", "2" },
		{ "ham,hello\nspam,go\nham,you\n", "\"1\"", "3" }, /* a value that comes again is no name */
		{ "kind,word\nspam,go\nham,you\n", "\"kind\"", "2" }, { "x\n1\n2\n", "\"x\"", "2" },
		{ ",a,b\n0,1.5,x\n1,2.5,y\n", "\"1\"", "2" }, /* as pandas writes it, with its index */
		{ "a,a,b\n1,2,x\n3,4,y\n", "\"a\"", "2" },
		{ "?,spam\nham,eggs\n", "\"1\"", "2" }, /* a value that is missing is no name */
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(cases); i++) {
		write_text("t.csv", cases[i].text);
		prepared_well(prepare("{\"type\":\"table\"}", "t.csv", NULL));
		assert_info("/columns/0/name", cases[i].first);
		assert_info("/parts/train/samples", cases[i].n);
	}
	write_text("t.csv", "1,2\n3,4\n");
	prepared_well(prepare("{\"header\":\"yes\"}", "t.csv", NULL));
	assert_info("/parts/train/samples", "1");
	write_text("t.csv", "a:b\n3:4\n");
	prepared_well(prepare("{\"type\":\"table\",\"delimiter\":\":\"}", "t.csv", NULL));
	assert_info("/columns/1/name", "\"b\"");
}

static void what_cannot_stand_between_fields_is_no_delimiter(void **state)
{
	(void)state;
	write_text("t.csv", "a,b\n1,2\n");
	refused_for(prepare("{\"type\":\"table\",\"delimiter\":\"\\\"\"}", "t.csv", NULL), "/format/delimiter",
		"quotation");
	refused_for(
		prepare("{\"type\":\"table\",\"delimiter\":\"\\n\"}", "t.csv", NULL), "/format/delimiter", "line end");
	refused_for(
		prepare("{\"type\":\"table\",\"delimiter\":\"\u00e9\"}", "t.csv", NULL), "/format/delimiter", "ASCII");
}

static void quotes_hold_delimiters_and_line_ends(void **state)
{
	(void)state;
	write_text("t.csv", "a,b\n\"x\ny\",1\n\"\",2\n\"p\" ,3");
	prepared_well(prepare("{\"type\":\"table\"}", "t.csv", NULL));
	assert_info("/columns/0/categories", "[\"p\",\"x\\ny\"]");
	assert_column("train.column-0", int32_t, 1, -1, 0);
	write_text("t.csv", "a,b\n\"x\n\ny\",1\n2,3,4\n");
	refused_for(
		prepare("{\"type\":\"table\"}", "t.csv", NULL), "", "t.csv, line 5: it has 3 fields"); /* lines count */
	write_text("t.csv", "a,b\n1,2\n\"x,1\n2,3\n");
	refused_for(prepare("{\"type\":\"table\"}", "t.csv", NULL), "", "t.csv, line 3: a quote");
	write_text("t.csv", "a,b\n1,2\n\"x\"y,1\n");
	refused_for(prepare("{\"type\":\"table\"}", "t.csv", NULL), "", "t.csv, line 3: text after a closing quote");
	write_file("t.csv", "a,b\n1,\0\n", 8);
	refused_for(prepare("{\"type\":\"table\"}", "t.csv", NULL), "", "line 2: a zero byte");
	write_file("t.csv",
		"\xff\xfe"
		"a\0,\0",
		6);
	refused_for(prepare("{\"type\":\"table\"}", "t.csv", NULL), "", "UTF-16");
	write_text("t.csv", "");
	refused_for(prepare("{\"type\":\"table\"}", "t.csv", NULL), "", "has no rows");
	write_text("t.csv", "a,b\n");
	refused_for(prepare("{\"type\":\"table\",\"header\":\"yes\"}", "t.csv", NULL), "", "no samples");
}

static void parts_come_from_names_or_are_dealt_out(void **state)
{
	struct buf b;
	const double *x;
	int64_t n_train;

	(void)state;
	write_text("train.csv", "a,b\n1,x\n2,y\n");
	write_text("test.csv", "a,b\n3,x\n");
	prepared_well(prepare("{}", "train.csv", "test.csv", NULL));
	assert_info("/parts", "{\"train\":{\"samples\":2},\"test\":{\"samples\":1}}");
	assert_column("test.column-0", double, 3);
	assert_info("/columns/0/mean", "1.5"); /* of the training part */
	write_text("test.csv", "a\n3\n");
	refused_for(prepare("{}", "train.csv", "test.csv", NULL), "", "test.csv has 1 columns, but train.csv has 2");
	write_text("test.csv", "b,a\nx,3\n");
	refused_for(prepare("{}", "train.csv", "test.csv", NULL), "", "column 1 of test.csv is called \"b\"");
	refused_for(prepare("{}", "test.csv", NULL), "", "none to train on");
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,%d\n", i, i);
	write_file("t.csv", b.data, b.len);
	prepared_well(prepare("{\"test\":0.25}", "t.csv", NULL));
	n_train = json_int(json_at(got.info, "/parts/train"), "samples", 0);
	assert_in_range(n_train, 700, 800);
	x = column("train.column-1", (size_t)n_train * sizeof(double));
	for (int64_t i = 1; i < n_train; i++)
		assert_true(x[i] > x[i - 1]); /* each once, in order */
	buf_release(&b);
}

static void a_wide_and_hostile_header_is_survived(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 22);
	for (int row = 0; row < 2; row++)
		for (int k = 0; k < 16000; k++)
			buf_printf(&b, "%s%c", row ? "1" : "same", k == 15999 ? '\n' : ',');
	write_file("t.csv", b.data, b.len);
	prepared_well(prepare("{\"type\":\"table\",\"header\":\"yes\"}", "t.csv", NULL));
	assert_info("/columns/15999/name", "\"same.16000\"");
	buf_clear(&b);
	for (int k = 0; k < 20000; k++)
		buf_puts(&b, "1,");
	write_file("t.csv", b.data, b.len);
	refused_for(prepare("{\"type\":\"table\"}", "t.csv", NULL), "", "fields");
	buf_release(&b);
}

static void a_test_part_that_takes_all_is_blamed_on_its_size(void **state)
{
	(void)state;
	write_text("t.csv", "a,b\n1,2\n3,4\n");
	refused_for(prepare("{\"test\":0.9999}", "t.csv", NULL), "/format/test", "make it smaller");
}

static void words_that_are_no_utf8_are_noted(void **state)
{
	(void)state;
	write_text("t.csv", "a,b\n1,caf\xe9\n2,bar\n");
	prepared_well(prepare("{}", "t.csv", NULL));
	assert_info("/columns/1/type", "\"text\"");
	assert_true(noted("line 2 is not UTF-8"));
}

static void the_same_table_has_the_same_key_and_bytes(void **state)
{
	char key[PREPARE_KEY];

	(void)state;
	write_text("t.csv", "a,b\n1,x\n2,y\n");
	prepared_well(prepare("{\"type\":\"table\",\"test\":0}", "t.csv", NULL));
	memcpy(key, got.key, sizeof key);
	assert_int_equal(strlen(key), 32);
	prepared_well(prepare("{\"test\":0,\"type\":\"table\"}", "t.csv", NULL)); /* another order of members */
	assert_string_equal(got.key, key);
	prepared_well(prepare("{\"type\":\"table\",\"test\":0,\"columns\":{\"a\":\"ignored\"}}", "t.csv", NULL));
	assert_string_not_equal(got.key, key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_exactly_and_nothing_else_is_one),
		cmocka_unit_test(types_are_inferred_over_all_rows),
		cmocka_unit_test(numbers_beyond_all_integers_are_described_so_that_they_are_read_again),
		cmocka_unit_test(decimal_commas_between_semicolons_are_numbers_by_the_column),
		cmocka_unit_test(a_dash_among_numbers_is_missing_and_another_word_is_told),
		cmocka_unit_test(corrections_are_taken_or_named),
		cmocka_unit_test(too_many_values_are_text),
		cmocka_unit_test(words_that_hardly_come_again_are_text),
		cmocka_unit_test(delimiter_and_header_are_found_out),
		cmocka_unit_test(what_cannot_stand_between_fields_is_no_delimiter),
		cmocka_unit_test(quotes_hold_delimiters_and_line_ends),
		cmocka_unit_test(parts_come_from_names_or_are_dealt_out),
		cmocka_unit_test(a_wide_and_hostile_header_is_survived),
		cmocka_unit_test(a_test_part_that_takes_all_is_blamed_on_its_size),
		cmocka_unit_test(words_that_are_no_utf8_are_noted),
		cmocka_unit_test(the_same_table_has_the_same_key_and_bytes),
	};

	return cmocka_run_group_tests(tests, make_room, remove_room);
}
