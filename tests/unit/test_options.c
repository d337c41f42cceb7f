/* Options: what one table row says about reading and about the schema, for lists, nested families and what their
 * members have in common; and that the daemon's validator takes the schema and refuses what a reading refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "nn/nn.h"
#include "schema.h"

/* ---- A family that holds itself, and a section with one of each -------------------------------------------------- */

struct shape_common {
	const char *name;
};

struct box_options {
	struct opt_choices inner;
	struct opt_choice_lists rows;
};

struct ball_options {
	int64_t radius;
};

static const struct opt_family shapes;

static const struct opt box_opts[] = {
	{ .name = "inner",
		.kind = OPT_CHOICES,
		.at = offsetof(struct box_options, inner),
		.value = "[]",
		.most = 4,
		.family = &shapes,
		.doc = "Shapes inside." },
	{ .name = "rows",
		.kind = OPT_CHOICE_LISTS,
		.at = offsetof(struct box_options, rows),
		.value = "[]",
		.most = 3,
		.family = &shapes,
		.doc = "Rows of shapes." },
};

static const struct opt ball_opts[] = {
	{ .name = "radius",
		.kind = OPT_INT,
		.at = offsetof(struct ball_options, radius),
		.required = true,
		.low = 1,
		.high = 9,
		.doc = "Its radius." },
};

static const struct opt common_opts[] = {
	{ .name = "name",
		.kind = OPT_STRING,
		.at = offsetof(struct shape_common, name),
		.value = "\"\"",
		.high = 8,
		.doc = "Its name." },
};

static const struct opt_type box = { .name = "box",
	.doc = "Holds others.",
	.options = box_opts,
	.n_options = TD_COUNT(box_opts),
	.n_bytes = sizeof(struct box_options) },
			     ball = { .name = "ball",
				     .doc = "Is round.",
				     .options = ball_opts,
				     .n_options = TD_COUNT(ball_opts),
				     .n_bytes = sizeof(struct ball_options) },
			     common = { .name = "shape",
				     .doc = "All.",
				     .options = common_opts,
				     .n_options = TD_COUNT(common_opts),
				     .n_bytes = sizeof(struct shape_common) };
static const struct opt_type *const shape_types[] = { &box, &ball };
static const struct opt_family shapes = { .name = "shape", .types = shape_types, .n_types = 2, .common = &common };

struct group {
	int64_t size;
};

static const struct opt group_opts[] = {
	{ .name = "size",
		.kind = OPT_INT,
		.at = offsetof(struct group, size),
		.required = true,
		.low = 0,
		.high = 99,
		.doc = "How large." },
};
static const struct opt_type group_type = {
	.name = "group", .doc = "A group.", .options = group_opts, .n_options = 1, .n_bytes = sizeof(struct group)
};

struct all {
	struct opt_choice shape;
	struct opt_sections groups;
	struct opt_ints sizes;
	int64_t padding[2];
	const cJSON *any;
};

static const char *const words[] = { "same", "valid", NULL };

static const struct opt all_opts[] = {
	{ .name = "shape",
		.kind = OPT_CHOICE,
		.at = offsetof(struct all, shape),
		.value = "\"box\"",
		.family = &shapes,
		.doc = "One shape." },
	{ .name = "groups",
		.kind = OPT_SECTIONS,
		.at = offsetof(struct all, groups),
		.value = "[]",
		.most = 3,
		.section = &group_type,
		.doc = "Some groups." },
	{ .name = "sizes",
		.kind = OPT_INTS,
		.at = offsetof(struct all, sizes),
		.value = "[1]",
		.least = 1,
		.most = 3,
		.low = 1,
		.high = 9,
		.doc = "Some sizes." },
	{ .name = "padding",
		.kind = OPT_PAIR,
		.at = offsetof(struct all, padding),
		.value = "0",
		.low = 0,
		.high = 9,
		.names = words,
		.doc = "A pair." },
	{ .name = "any", .kind = OPT_JSON, .at = offsetof(struct all, any), .doc = "Anything." },
};
static const struct opt_type all_type = { .name = "all",
	.doc = "All kinds.",
	.options = all_opts,
	.n_options = TD_COUNT(all_opts),
	.n_bytes = sizeof(struct all) };

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

struct reader {
	cJSON *document;
	struct arena arena;
	struct faults faults;
	struct all all;
};

static void reader_init(struct reader *r, const char *text)
{
	struct err e = { 0 };

	memset(r, 0, sizeof *r);
	r->document = json_parse(text, strlen(text), &e);
	assert_non_null(r->document);
	arena_init(&r->arena);
	faults_init(&r->faults);
	opt_read(&all_type, r->document, "", &r->all, &r->arena, &r->faults);
}

static void reader_release(struct reader *r)
{
	faults_release(&r->faults);
	arena_release(&r->arena);
	cJSON_Delete(r->document);
}

static void lists_and_nested_families_are_read_whole(void **state)
{
	struct reader r;
	const struct box_options *outer, *inner;
	const struct group *groups;

	(void)state;
	reader_init(&r, "{\"shape\":{\"type\":\"box\",\"name\":\"big\",\"inner\":[\"box\",{\"type\":\"ball\","
			"\"radius\":3,\"name\":\"b\"}],"
			"\"rows\":[[],[{\"type\":\"ball\",\"radius\":1}]]},\"groups\":[{\"size\":4},{\"size\":5}],"
			"\"sizes\":[7,8],"
			"\"padding\":\"valid\",\"any\":{\"x\":[1]}}");
	assert_int_equal(r.faults.n_found, 0);
	outer = r.all.shape.options;
	assert_string_equal(((const struct shape_common *)r.all.shape.common)->name, "big");
	assert_int_equal(outer->inner.n, 2);
	inner = outer->inner.items[0].options;
	assert_true(outer->inner.items[0].type == &box && inner->inner.n == 0 && inner->rows.n == 0);
	assert_string_equal(((const struct shape_common *)outer->inner.items[0].common)->name, "");
	assert_int_equal(((const struct ball_options *)outer->inner.items[1].options)->radius, 3);
	assert_true(outer->rows.n == 2 && outer->rows.items[0].n == 0 && outer->rows.items[1].n == 1);
	groups = r.all.groups.items;
	assert_true(r.all.groups.n == 2 && groups[0].size == 4 && groups[1].size == 5);
	assert_true(r.all.sizes.n == 2 && r.all.sizes.items[1] == 8);
	assert_true(r.all.padding[0] == -2 && r.all.padding[1] == -2);
	assert_int_equal(json_at(r.all.any, "/x/0")->valueint, 1);
	reader_release(&r);
}

static void what_is_absent_has_its_default(void **state)
{
	struct reader r;

	(void)state;
	reader_init(&r, "{}");
	assert_int_equal(r.faults.n_found, 0);
	assert_true(r.all.shape.type == &box && r.all.shape.common && r.all.groups.n == 0 && !r.all.any);
	assert_true(r.all.sizes.n == 1 && r.all.sizes.items[0] == 1 && r.all.padding[1] == 0);
	reader_release(&r);
}

/* A document, and where its one fault is. */
static const struct {
	const char *text, *pointer, *words;
} wrong[] = {
	{ "{\"shape\":{\"type\":\"box\",\"rows\":[[{\"type\":\"ball\",\"radius\":10}]]}}", "/shape/rows/0/0/radius",
		"10 is not" },
	{ "{\"shape\":{\"type\":\"box\",\"rows\":[3]}}", "/shape/rows/0", "3 is not an array of 0 to 1000 shapes" },
	{ "{\"shape\":{\"type\":\"box\",\"rows\":[[],[],[],[]]}}", "/shape/rows",
		"an array of 0 to 3 lists of shapes" },
	{ "{\"shape\":{\"type\":\"box\",\"inner\":[\"ball\"]}}", "/shape/inner/0", "\"radius\" is missing" },
	{ "{\"shape\":{\"type\":\"box\",\"inner\":[\"bal\"]}}", "/shape/inner/0", "did you mean \"ball\"" },
	{ "{\"shape\":{\"type\":\"box\",\"nam\":\"a\"}}", "/shape/nam", "did you mean \"name\"?" },
	{ "{\"shape\":{\"type\":\"box\",\"name\":\"123456789\"}}", "/shape/name", "at most 8 characters" },
	{ "{\"groups\":[{\"size\":1},{}]}", "/groups/1", "\"size\" is missing from group" },
	{ "{\"groups\":[{\"size\":1,\"sise\":2}]}", "/groups/0/sise", "did you mean \"size\"?" },
	{ "{\"groups\":[4]}", "/groups/0", "4 is not an object" },
	{ "{\"groups\":{}}", "/groups", "an array of 0 to 3 objects" },
	{ "{\"sizes\":[]}", "/sizes", "an array of 1 to 3 integers" },
	{ "{\"sizes\":[1,0]}", "/sizes/1", "0 is not an integer" },
	{ "{\"sizes\":[1.5]}", "/sizes/0", "1.5 is not an integer" },
	{ "{\"padding\":\"sane\"}", "/padding", "did you mean \"same\"?" },
	{ "{\"padding\":[1,2,3]}", "/padding", "[height, width]" },
};

static void every_fault_has_its_place_and_says_what_was_expected(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(wrong); i++) {
		struct reader r;

		reader_init(&r, wrong[i].text);
		if (r.faults.n_found != 1 || strcmp(r.faults.items[0].pointer, wrong[i].pointer) != 0 ||
			!strstr(r.faults.items[0].detail, wrong[i].words))
			fail_msg("%s: %d faults, at %s: %s", wrong[i].text, (int)r.faults.n_found,
				r.faults.n_found ? r.faults.items[0].pointer : "",
				r.faults.n_found ? r.faults.items[0].detail : "");
		reader_release(&r);
	}
}

/* ---- The schema -------------------------------------------------------------------------------------------------- */

static struct schema *make_schema(const struct opt_type *type)
{
	cJSON *defs = cJSON_CreateObject(), *s = opt_schema(type, defs);
	struct schema *schema = NULL;
	struct err e = { 0 };
	char *text;

	cJSON_AddItemToObject(s, "$defs", defs);
	text = json_print(s);
	if (schema_create(text, strlen(text), &schema, &e))
		fail_msg("%s", e.text);
	mem_free(text);
	cJSON_Delete(s);
	return schema;
}

static cJSON *check(const struct schema *schema, const char *text, struct faults *f)
{
	struct err e = { 0 };
	cJSON *document = json_parse(text, strlen(text), &e), *copy;

	assert_non_null(document);
	copy = schema_check(schema, document, f);
	cJSON_Delete(document);
	return copy;
}

static void the_validator_refuses_what_a_reading_refuses(void **state)
{
	struct schema *schema = make_schema(&all_type);

	(void)state;
	for (size_t i = 0; i < TD_COUNT(wrong); i++) {
		struct faults f;

		faults_init(&f);
		cJSON_Delete(check(schema, wrong[i].text, &f));
		if (f.n_found != 1)
			fail_msg("%s: %d faults", wrong[i].text, (int)f.n_found);
		faults_release(&f);
	}
	schema_free(schema);
}

static void the_validator_fills_in_defaults_down_to_the_innermost_member(void **state)
{
	struct schema *schema = make_schema(&all_type);
	struct faults f;
	cJSON *copy;

	(void)state;
	faults_init(&f);
	copy = check(
		schema, "{\"shape\":{\"type\":\"box\",\"rows\":[[\"box\"]]},\"padding\":\"same\",\"any\":[3]}", &f);
	assert_int_equal(f.n_found, 0);
	assert_string_equal(json_string(json_at(copy, "/shape/rows/0/0"), "type", ""), "box");
	assert_string_equal(json_string(json_at(copy, "/shape/rows/0/0"), "name", "?"), "");
	assert_int_equal(cJSON_GetArraySize(json_at(copy, "/shape/rows/0/0/inner")), 0);
	assert_int_equal(json_int(copy, "padding", 0), 0);
	assert_int_equal(json_at(copy, "/any/0")->valueint, 3);
	cJSON_Delete(copy);
	faults_release(&f);
	schema_free(schema);
}

static void the_schema_of_models_takes_layers_in_layers(void **state)
{
	static const char model[] =
		"{\"layers\":[{\"type\":\"residual\",\"name\":\"a\",\"layers\":[{\"type\":\"branches\","
		"\"paths\":[[{\"type\":\"conv2d\",\"out_channels\":2,\"kernel_size\":3,\"padding\":\"same\"}],"
		"[]]}]},{\"type\":\"add\",\"inputs\":[\"a\",\"input\"]},{\"type\":\"linear\",\"out_features\":2,"
		"\"share\":\"b\"}]}";
	struct schema *schema = make_schema(&nn_model_section);
	struct faults f;
	cJSON *copy;

	(void)state;
	faults_init(&f);
	copy = check(schema, model, &f);
	if (f.n_found)
		fail_msg("%s: %s", f.items[0].pointer, f.items[0].detail);
	assert_int_equal(json_int(json_at(copy, "/layers/0/layers/0/paths/0/0"), "groups", 0), 1);
	cJSON_Delete(copy);
	cJSON_Delete(check(schema,
		"{\"layers\":[{\"type\":\"residual\",\"layers\":[{\"type\":\"layer_norm\",\"normalized_shape\":3}]}]}",
		&f));
	assert_int_equal(f.n_found, 1);
	assert_string_equal(f.items[0].pointer, "/layers/0/layers/0/normalized_shape");
	assert_non_null(strstr(f.items[0].detail, "it follows from the layer before"));
	faults_release(&f);
	schema_free(schema);
}

static void a_document_as_deep_as_json_may_be_is_answered(void **state)
{
	struct schema *schema = make_schema(&all_type);
	struct reader r;
	struct faults f;
	struct buf text;

	(void)state;
	buf_init(&text, 10000);
	faults_init(&f);
	buf_puts(&text, "{\"shape\":");
	for (int i = 0; i < 30; i++)
		buf_puts(&text, "{\"type\":\"box\",\"inner\":[");
	buf_puts(&text, "{\"type\":\"ball\",\"radius\":0}");
	for (int i = 0; i < 30; i++)
		buf_puts(&text, "]}");
	buf_puts(&text, "}");
	reader_init(&r, text.data);
	assert_int_equal(r.faults.n_found, 1);
	cJSON_Delete(check(schema, text.data, &f));
	assert_int_equal(f.n_found, 1);
	reader_release(&r);
	faults_release(&f);
	schema_free(schema);
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_and_nested_families_are_read_whole),
		cmocka_unit_test(what_is_absent_has_its_default),
		cmocka_unit_test(every_fault_has_its_place_and_says_what_was_expected),
		cmocka_unit_test(the_validator_refuses_what_a_reading_refuses),
		cmocka_unit_test(the_validator_fills_in_defaults_down_to_the_innermost_member),
		cmocka_unit_test(the_schema_of_models_takes_layers_in_layers),
		cmocka_unit_test(a_document_as_deep_as_json_may_be_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
