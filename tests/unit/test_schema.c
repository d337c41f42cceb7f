/* The schema validator: every fault with its pointer, hints that help, defaults filled in, hostile documents. */
#include "schema.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* A job in small: a union of layers that nests, sections with defaults, a plain union. */
static const char schema_text[] =
	"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\",\"properties\":{"
	"\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":5},"
	"\"seed\":{\"type\":\"integer\",\"minimum\":0,\"default\":7},"
	"\"mode\":{\"enum\":[\"graph\",\"eager\"],\"default\":\"graph\"},"
	"\"lr\":{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1},"
	"\"pair\":{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":false,"
	"\"minItems\":2},"
	"\"every\":{\"oneOf\":[{\"type\":\"integer\",\"minimum\":1},{\"enum\":[\"epoch\",\"never\"]}]},"
	"\"kernel\":{\"oneOf\":[{\"type\":\"integer\",\"minimum\":1},{\"type\":\"array\",\"items\":{\"type\":"
	"\"integer\",\"minimum\":1},"
	"\"minItems\":2,\"maxItems\":2}]},"
	"\"note\":{\"type\":[\"string\",\"null\"]},"
	"\"resources\":{\"$ref\":\"#/$defs/resources\"},"
	"\"layers\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/$defs/layer\"}}},"
	"\"required\":[\"layers\"],\"additionalProperties\":false,\"$defs\":{"
	"\"resources\":{\"type\":\"object\",\"properties\":{\"threads\":{\"type\":\"integer\",\"minimum\":1,"
	"\"default\":1}},"
	"\"additionalProperties\":false,\"default\":{}},"
	"\"layer\":{\"title\":\"layer\",\"oneOf\":[{\"type\":\"string\",\"enum\":[\"relu\",\"flatten\"]},"
	"{\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"relu\"}},\"required\":[\"type\"],"
	"\"additionalProperties\":false},"
	"{\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"conv2d\"},\"out\":{\"type\":\"integer\","
	"\"minimum\":1},"
	"\"pad\":{\"type\":\"integer\",\"x-default-from\":\"edge\"},\"edge\":{\"type\":\"integer\"},"
	"\"bias\":{\"type\":\"boolean\",\"default\":true}},\"required\":[\"type\",\"out\"],\"additionalProperties\":"
	"false,\"x-inferred\":[\"in\"]},"
	"{\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"residual\"},\"layers\":{\"type\":\"array\","
	"\"items\":{\"$ref\":"
	"\"#/$defs/layer\"}}},\"required\":[\"type\",\"layers\"],\"additionalProperties\":false}]}}}";

struct checked {
	struct faults faults;
	cJSON *copy;
};

static struct checked check(const char *document)
{
	struct checked c;
	struct schema *s;
	struct err e = { 0 };
	cJSON *doc = json_parse(document, strlen(document), &e);

	faults_init(&c.faults);
	if (schema_create(schema_text, strlen(schema_text), &s, &e) || !doc)
		fail_msg("%s", e.text);
	c.copy = schema_check(s, doc, &c.faults);
	schema_free(s);
	cJSON_Delete(doc);
	return c;
}

static void release(struct checked *c)
{
	faults_release(&c->faults);
	cJSON_Delete(c->copy);
}

/* DOCUMENT has exactly one fault, at POINTER, whose text holds SAYS. */
static void assert_fault(const char *document, const char *pointer, const char *says)
{
	struct checked c = check(document);

	if (c.faults.n != 1)
		fail_msg("%zu faults in %s (first: %s %s)", c.faults.n, document,
			c.faults.n ? c.faults.items[0].pointer : "", c.faults.n ? c.faults.items[0].detail : "");
	assert_string_equal(c.faults.items[0].pointer, pointer);
	if (!strstr(c.faults.items[0].detail, says))
		fail_msg("\"%s\" does not say \"%s\"", c.faults.items[0].detail, says);
	release(&c);
}

static void assert_becomes(const char *document, const char *expected)
{
	struct checked c = check(document);
	char *text = json_print(c.copy);

	if (c.faults.n)
		fail_msg("%s: %s %s", document, c.faults.items[0].pointer, c.faults.items[0].detail);
	assert_string_equal(text, expected);
	mem_free(text);
	release(&c);
}

static void defaults_are_filled_in_at_every_depth(void **state)
{
	(void)state;
	assert_becomes("{\"layers\":[{\"type\":\"conv2d\",\"out\":3}]}",
		"{\"layers\":[{\"type\":\"conv2d\",\"out\":3,\"bias\":true}],\"seed\":7,\"mode\":\"graph\","
		"\"resources\":{\"threads\":1}}");
}

static void the_document_may_say_whose_defaults_stand(void **state)
{
	static const char text[] =
		"{\"type\":\"object\",\"properties\":{\"defaults\":{\"enum\":[\"a\",\"b\"],\"default\":"
		"\"a\"},\"norm\":{\"type\":\"object\",\"properties\":{\"eps\":{\"type\":\"integer\","
		"\"default\":1,\"x-defaults\":{\"b\":2}},\"n\":{\"type\":\"integer\",\"default\":3}},"
		"\"default\":{}}}}";
	static const struct {
		const char *document, *becomes;
	} rows[] = {
		{ "{}", "{\"defaults\":\"a\",\"norm\":{\"eps\":1,\"n\":3}}" },
		{ "{\"defaults\":\"b\"}", "{\"defaults\":\"b\",\"norm\":{\"eps\":2,\"n\":3}}" },
		{ "{\"defaults\":\"b\",\"norm\":{\"eps\":7}}", "{\"defaults\":\"b\",\"norm\":{\"eps\":7,\"n\":3}}" },
	};
	struct schema *s;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(schema_create(text, strlen(text), &s, &e), TD_OK);
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		cJSON *document = json_parse(rows[i].document, strlen(rows[i].document), &e);
		cJSON *want = json_parse(rows[i].becomes, strlen(rows[i].becomes), &e), *copy;
		struct faults faults;

		faults_init(&faults);
		copy = schema_check(s, document, &faults);
		assert_int_equal(faults.n_found, 0);
		assert_true(cJSON_Compare(copy, want, true));
		faults_release(&faults);
		cJSON_Delete(document);
		cJSON_Delete(want);
		cJSON_Delete(copy);
	}
	schema_free(s);
}

static void a_default_may_be_the_value_of_a_sister(void **state)
{
	(void)state;
	assert_becomes(
		"{\"layers\":[{\"type\":\"conv2d\",\"out\":3,\"edge\":2,\"bias\":true}],\"seed\":1,\"mode\":\"graph\","
		"\"resources\":{\"threads\":1}}",
		"{\"layers\":[{\"type\":\"conv2d\",\"out\":3,\"edge\":2,\"bias\":true,\"pad\":2}],\"seed\":1,\"mode\":"
		"\"graph\","
		"\"resources\":{\"threads\":1}}");
}

static void a_wrong_sister_is_one_fault(void **state)
{
	(void)state;
	assert_fault("{\"layers\":[{\"type\":\"conv2d\",\"out\":3,\"edge\":\"x\"}]}", "/layers/0/edge", "an integer");
}

static void what_was_given_stays(void **state)
{
	(void)state;
	assert_becomes(
		"{\"layers\":[\"flatten\"],\"seed\":0,\"mode\":\"eager\",\"resources\":{\"threads\":4},\"note\":null}",
		"{\"layers\":[\"flatten\"],\"seed\":0,\"mode\":\"eager\",\"resources\":{\"threads\":4},\"note\":null}");
}

static void a_name_alone_becomes_the_object_it_stands_for(void **state)
{
	struct checked c = check("{\"layers\":[\"relu\"]}");

	(void)state;
	assert_string_equal(json_string(json_at(c.copy, "/layers/0"), "type", ""), "relu");
	release(&c);
}

static void the_document_is_not_changed(void **state)
{
	const char *text = "{\"layers\":[\"relu\"]}";
	struct err e = { 0 };
	struct schema *s;
	struct faults f;
	cJSON *doc = json_parse(text, strlen(text), &e);
	char *after;

	(void)state;
	faults_init(&f);
	assert_int_equal(schema_create(schema_text, strlen(schema_text), &s, &e), TD_OK);
	cJSON_Delete(schema_check(s, doc, &f));
	after = json_print(doc);
	assert_string_equal(after, text);
	mem_free(after);
	cJSON_Delete(doc);
	schema_free(s);
}

static void each_keyword_finds_its_fault(void **state)
{
	static const struct {
		const char *document, *pointer, *says;
	} rows[] = {
		{ "[]", "", "an object" },
		{ "{}", "", "\"layers\" is missing" },
		{ "{\"layers\":[]}", "/layers", "at least 1" },
		{ "{\"layers\":{}}", "/layers", "an array" },
		{ "{\"layers\":[\"relu\"],\"seed\":-1}", "/seed", ">= 0" },
		{ "{\"layers\":[\"relu\"],\"seed\":1.5}", "/seed", "an integer" },
		{ "{\"layers\":[\"relu\"],\"seed\":\"7\"}", "/seed", "\"7\"" },
		{ "{\"layers\":[\"relu\"],\"seed\":null}", "/seed", "null" },
		{ "{\"layers\":[\"relu\"],\"seed\":true}", "/seed", "true" },
		{ "{\"layers\":[\"relu\"],\"name\":\"\"}", "/name", "at least 1" },
		{ "{\"layers\":[\"relu\"],\"name\":\"123456\"}", "/name", "at most 5" },
		{ "{\"layers\":[\"relu\"],\"lr\":0}", "/lr", "> 0" },
		{ "{\"layers\":[\"relu\"],\"lr\":1}", "/lr", "< 1" },
		{ "{\"layers\":[\"relu\"],\"mode\":\"grpah\"}", "/mode", "did you mean \"graph\"" },
		{ "{\"layers\":[\"relu\"],\"mode\":\"quantum\"}", "/mode", "one of \"graph\", \"eager\"" },
		{ "{\"layers\":[\"relu\"],\"mode\":5}", "/mode", "one of" },
		{ "{\"layers\":[\"relu\"],\"pair\":[1]}", "/pair", "at least 2" },
		{ "{\"layers\":[\"relu\"],\"pair\":[1,2]}", "/pair/1", "a string" },
		{ "{\"layers\":[\"relu\"],\"pair\":[1,\"a\",3]}", "/pair/2", "too many" },
		{ "{\"layers\":[\"relu\"],\"note\":5}", "/note", "a string or a null" },
		{ "{\"layers\":[\"relu\"],\"every\":0}", "/every", ">= 1" },
		{ "{\"layers\":[\"relu\"],\"every\":\"epochs\"}", "/every", "\"epoch\"" },
		{ "{\"layers\":[\"relu\"],\"every\":[]}", "/every", "an array" },
		{ "{\"layers\":[\"relu\"],\"kernel\":[3]}", "/kernel", "at least 2" },
		{ "{\"layers\":[\"relu\"],\"kernel\":[3,0]}", "/kernel/1", ">= 1" },
		{ "{\"layers\":[\"relu\"],\"resources\":{\"thread\":1}}", "/resources/thread", "\"threads\"" },
		{ "{\"layers\":[\"relu\"],\"sede\":1}", "/sede", "did you mean \"seed\"" },
		{ "{\"layers\":[\"relu\"],\"a/b~c\":1}", "/a~1b~0c", "no field" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++)
		assert_fault(rows[i].document, rows[i].pointer, rows[i].says);
}

static void unions_by_type_name_the_fault_of_the_branch_that_was_meant(void **state)
{
	(void)state;
	assert_fault("{\"layers\":[\"relu\",\"flaten\"]}", "/layers/1",
		"unknown layer type \"flaten\"; did you mean \"flatten\"?");
	assert_fault("{\"layers\":[{\"type\":\"conv2\",\"out\":1}]}", "/layers/0/type", "did you mean \"conv2d\"?");
	assert_fault("{\"layers\":[{\"type\":\"attention\"}]}", "/layers/0/type",
		"known are relu, flatten, conv2d, residual");
	assert_fault(
		"{\"layers\":[{\"type\":\"conv2d\"}]}", "/layers/0", "\"out\" is missing; expected an integer >= 1");
	assert_fault("{\"layers\":[{\"type\":\"conv2d\",\"out\":1,\"bais\":true}]}", "/layers/0/bais", "\"bias\"");
	assert_fault("{\"layers\":[{\"type\":5}]}", "/layers/0/type", "not a string");
	assert_fault("{\"layers\":[{\"out\":1}]}", "/layers/0", "\"type\" is missing");
	assert_fault("{\"layers\":[\"conv2d\"]}", "/layers/0", "needs options");
	assert_fault("{\"layers\":[{\"type\":\"flatten\"}]}", "/layers/0", "takes no options");
	assert_fault("{\"layers\":[5]}", "/layers/0", "5");
	assert_fault("{\"layers\":[{\"type\":\"residual\",\"layers\":[\"relu\",{\"type\":\"conv2d\",\"out\":0}]}]}",
		"/layers/0/layers/1/out", ">= 1");
}

static void a_misspelt_name_explains_the_field_that_is_missing(void **state)
{
	struct checked c = check("{\"layer\":[\"relu\"],\"layerss\":[]}");

	(void)state;
	assert_int_equal(c.faults.n, 2); /* two mistakes: the first took the missing name */
	release(&c);
	assert_fault("{\"layer\":[\"relu\"]}", "/layer", "did you mean \"layers\"?");
	/* "pad" and "out" are both one or two changes off; "out" is the one that is missing */
	assert_fault("{\"layers\":[{\"type\":\"conv2d\",\"ot\":1}]}", "/layers/0/ot", "did you mean \"out\"?");
	assert_fault("{\"layers\":[{\"type\":\"conv2d\",\"out\":1,\"edgy\":1}]}", "/layers/0/edgy", "\"edge\"");
}

static void a_size_that_follows_from_elsewhere_is_left_out(void **state)
{
	(void)state;
	assert_fault("{\"layers\":[{\"type\":\"conv2d\",\"out\":1,\"in\":3}]}", "/layers/0/in",
		"leave \"in\" out: it follows from the layer before");
}

static void all_faults_are_found_not_only_the_first(void **state)
{
	struct checked c =
		check("{\"layers\":[\"x\",{\"type\":\"conv2d\",\"out\":-1,\"y\":1}],\"seed\":\"z\",\"lr\":2,\"w\":0}");

	(void)state;
	assert_int_equal(c.faults.n, 6);
	release(&c);
}

static void faults_past_the_cap_are_counted(void **state)
{
	struct checked c;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_puts(&text, "{\"layers\":[0");
	for (int i = 1; i < 1000; i++)
		buf_puts(&text, ",0");
	buf_puts(&text, "]}");
	c = check(text.data);
	assert_int_equal(c.faults.n, FAULTS_MOST);
	assert_int_equal(c.faults.n_found, 1000);
	release(&c);
	buf_release(&text);
}

/* Nested unions must not cost the depth in powers of two: this test would not end. */
static void depth_costs_no_powers_of_two(void **state)
{
	struct checked c;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_puts(&text, "{\"layers\":[");
	for (int i = 0; i < 30; i++)
		buf_puts(&text, "{\"type\":\"residual\",\"layers\":[");
	buf_puts(&text, "{\"type\":\"conv2d\",\"out\":0}");
	for (int i = 0; i < 30; i++)
		buf_puts(&text, "]}");
	buf_puts(&text, "]}");
	c = check(text.data);
	assert_int_equal(c.faults.n_found, 1);
	release(&c);
	buf_release(&text);
}

static void values_in_messages_are_shortened(void **state)
{
	char document[3000] = "{\"layers\":[\"relu\"],\"seed\":\"";
	struct checked c;

	(void)state;
	memset(document + strlen(document), 'x', 2000);
	strncat(document, "\"}", 3);
	c = check(document);
	assert_int_equal(c.faults.n, 1);
	assert_true(strlen(c.faults.items[0].detail) < 200);
	release(&c);
}

static void a_schema_that_the_validator_cannot_honour_is_refused(void **state)
{
	static const char *const texts[] = { "{\"pattern\":\"^a\"}", "{\"properties\":{\"a\":{\"not\":{}}}}",
		"{\"$ref\":\"#/$defs/none\"}", "{\"$ref\":\"#\"}", "{\"oneOf\":[{\"$ref\":\"http://x\"}]}", "[]", "{" };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(texts); i++) {
		struct schema *s = NULL;
		struct err e = { 0 };

		assert_int_not_equal(schema_create(texts[i], strlen(texts[i]), &s, &e), TD_OK);
		assert_null(s);
		assert_true(*e.text);
	}
}

static void a_part_of_a_schema_checks_what_it_describes(void **state)
{
	struct schema *s;
	struct err e = { 0 };
	struct faults f;
	cJSON *good = cJSON_Parse("{}"), *bad = cJSON_Parse("{\"threads\":0,\"layers\":[]}"), *copy;

	(void)state;
	assert_int_equal(schema_create(schema_text, strlen(schema_text), &s, &e), TD_OK);
	faults_init(&f);
	copy = schema_check_as(s, "/$defs/resources", good, &f);
	assert_int_equal(f.n_found, 0);
	assert_true(json_int(copy, "threads", 0) == 1);
	cJSON_Delete(copy);
	cJSON_Delete(schema_check_as(s, "/$defs/resources", bad, &f));
	assert_int_equal(f.n_found, 2);
	assert_string_equal(f.items[0].pointer, "/threads");
	assert_string_equal(f.items[1].pointer, "/layers");
	faults_release(&f);
	cJSON_Delete(good);
	cJSON_Delete(bad);
	schema_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_filled_in_at_every_depth),
		cmocka_unit_test(the_document_may_say_whose_defaults_stand),
		cmocka_unit_test(a_default_may_be_the_value_of_a_sister),
		cmocka_unit_test(a_wrong_sister_is_one_fault),
		cmocka_unit_test(what_was_given_stays),
		cmocka_unit_test(a_part_of_a_schema_checks_what_it_describes),
		cmocka_unit_test(a_name_alone_becomes_the_object_it_stands_for),
		cmocka_unit_test(the_document_is_not_changed),
		cmocka_unit_test(each_keyword_finds_its_fault),
		cmocka_unit_test(unions_by_type_name_the_fault_of_the_branch_that_was_meant),
		cmocka_unit_test(a_misspelt_name_explains_the_field_that_is_missing),
		cmocka_unit_test(a_size_that_follows_from_elsewhere_is_left_out),
		cmocka_unit_test(all_faults_are_found_not_only_the_first),
		cmocka_unit_test(faults_past_the_cap_are_counted),
		cmocka_unit_test(depth_costs_no_powers_of_two),
		cmocka_unit_test(values_in_messages_are_shortened),
		cmocka_unit_test(a_schema_that_the_validator_cannot_honour_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
