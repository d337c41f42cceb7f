/* Loaders from descriptions and options that are almost right, and inputs to predict that are anything.
 *
 * Bytes choose templates, change a few places of them, and what is left is the body of a prediction and a text. */
#include "data/data.h"
#include "data/text.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

#define CHANGES_MOST 4
#define INPUT_MOST   (1 << 20) /* bytes of a sample: larger ones only cost time */

static const char *const infos[] = {
	"{\"version\":1,\"dataset\":\"a\",\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":50},\"test\":{"
	"\"samples\":5}},"
	"\"image\":{\"channels\":3,\"height\":8,\"width\":6},\"classes\":[\"x\",\"y\"]}",
	"{\"version\":1,\"dataset\":\"b\",\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":50}},"
	"\"image\":{\"channels\":1,\"height\":0,\"width\":0},\"classes\":[\"x\",\"y\"]}",
	"{\"version\":1,\"dataset\":\"c\",\"kind\":\"arrays\",\"parts\":{\"train\":{\"samples\":50}},"
	"\"x\":{\"dtype\":\"float32\",\"shape\":[2,3]},\"y\":{\"dtype\":\"float32\",\"shape\":[2]}}",
	"{\"version\":1,\"dataset\":\"d\",\"kind\":\"arrays\",\"parts\":{\"train\":{\"samples\":50}},"
	"\"x\":{\"dtype\":\"int64\",\"shape\":[4]},\"y\":{\"dtype\":\"int64\",\"shape\":[]},\"classes\":[\"x\",\"y\"]}",
	"{\"version\":1,\"dataset\":\"e\",\"kind\":\"table\",\"parts\":{\"train\":{\"samples\":50}},\"columns\":["
	"{\"name\":\"a\",\"type\":\"number\",\"missing\":1},{\"name\":\"b\",\"type\":\"number\",\"missing\":0},"
	"{\"name\":\"c\",\"type\":\"category\",\"categories\":[\"x\",\"y\"],\"missing\":2},{\"name\":\"d\",\"type\":"
	"\"text\"}]}",
	"{\"version\":1,\"dataset\":\"f\",\"kind\":\"text\",\"parts\":{\"train\":{\"samples\":500}},\"bytes\":600,"
	"\"characters\":40,\"words\":90}",
	"{\"version\":1,\"dataset\":\"g\",\"kind\":\"labelled_text\",\"parts\":{\"train\":{\"samples\":50}},"
	"\"classes\":[\"x\",\"y\"],\"characters\":40,\"words\":90,\"longest\":{\"characters\":50,\"words\":9}}",
	"{\"version\":1,\"dataset\":\"h\",\"kind\":\"tagged_text\",\"parts\":{\"train\":{\"samples\":50}},"
	"\"classes\":[\"x\",\"y\"],\"words\":90,\"longest\":{\"words\":9}}",
};

static const char *const options[] = {
	"{\"dataset\":\"a\",\"transforms\":[]}",
	"{\"dataset\":\"a\",\"limit\":30,\"split\":{\"validation\":0.2,\"test\":3,\"by\":\"random\"},\"transforms\":[{"
	"\"type\":"
	"\"normalize\",\"mean\":[0.5],\"std\":[0.5]},\"standardize\",\"one_hot\"],\"augment\":[\"random_flip\",{"
	"\"type\":\"mixup\","
	"\"alpha\":1}]}",
	"{\"dataset\":\"a\",\"split\":{\"validation\":9,\"by\":\"stratified\"},\"transforms\":[{\"type\":\"resize\","
	"\"size\":7},{"
	"\"type\":\"center_crop\",\"size\":[4,5]}],\"augment\":[{\"type\":\"random_crop\",\"size\":6,\"padding\":2},{"
	"\"type\":"
	"\"random_resized_crop\",\"size\":8},{\"type\":\"color_jitter\",\"hue\":0.1}]}",
	"{\"dataset\":\"a\",\"target\":[\"b\"],\"features\":[\"a\",\"c\"],\"missing\":\"mean\",\"standardize\":["
	"\"features\","
	"\"target\"]}",
	"{\"dataset\":\"a\",\"target\":[\"c\"],\"features\":[\"*\"],\"missing\":\"drop\"}",
	"{\"dataset\":\"a\",\"tokenizer\":\"word\",\"sequence_length\":8,\"max_length\":5,\"vocab\":20}",
};

static const double numbers[] = { -1, 0, 1, 2, 3, 255, 1e6, 2147483647, 9007199254740991, 1e300 };
static const char *const words[] = { "", "x", "number", "category", "float32", "int64", "*", "a", "images", "text" };
static const char *const types[] = { "application/json", "application/x-npy", "image/png", "" };

struct bytes {
	const unsigned char *at;
	size_t n;
};

static unsigned next(struct bytes *b)
{
	if (!b->n)
		return 0;
	b->n--;
	return *b->at++;
}

/* The value that a walk of STEPS through TREE, parents first, comes to. */
static cJSON *walk(cJSON *tree, unsigned *steps)
{
	cJSON *found = NULL;

	if (!(*steps)--)
		return tree;
	for (cJSON *child = tree->child; child && !found; child = child->next)
		found = walk(child, steps);
	return found;
}

static void change(cJSON *tree, struct bytes *b)
{
	unsigned steps = next(b), what = next(b);
	cJSON *place = walk(tree, &steps);

	if (!place)
		return;
	if (cJSON_IsNumber(place))
		cJSON_SetNumberValue(place, numbers[what % TD_COUNT(numbers)]);
	else if (cJSON_IsString(place))
		cJSON_SetValuestring(place, words[what % TD_COUNT(words)]);
	else if (place->child)
		cJSON_Delete(cJSON_DetachItemViaPointer(place, place->child));
}

static cJSON *choose(const char *const *templates, size_t n, struct bytes *b)
{
	cJSON *tree = cJSON_Parse(templates[next(b) % n]);

	for (unsigned i = next(b) % (CHANGES_MOST + 1); i > 0; i--)
		change(tree, b);
	return tree;
}

static void check_facts(const struct loader *l)
{
	const struct data_facts *f = loader_facts(l);

	TD_ASSERT(f->n[DATA_TRAIN] >= 1 && f->n[DATA_VALIDATION] >= 0 && f->n[DATA_TEST] >= 0);
	TD_ASSERT(td_shape_count(&f->x) >= 1 && td_shape_count(&f->y) >= 1);
	TD_ASSERT(loader_bytes(l) >= 0);
	TD_ASSERT(f->n_classes > 0 || f->target == DATA_VALUES);
}

static void predict(const struct loader *l, struct bytes *b)
{
	const char *type = types[next(b) % TD_COUNT(types)];
	struct data_input in;
	struct faults faults;

	if (td_shape_bytes(&loader_facts(l)->x) > INPUT_MOST)
		return;
	faults_init(&faults);
	if (loader_input(l, type, b->at, b->n, &in, &faults)) {
		TD_ASSERT(in.n >= 1 && in.n <= DATA_INPUTS_MOST && in.x);
		data_input_release(&in);
	} else {
		TD_ASSERT(faults.n_found && !in.x);
	}
	faults_release(&faults);
}

static void cut(text_next *cutter, struct bytes *b)
{
	char token[TEXT_TOKEN_BYTES];
	int64_t at = 0, before = 0;

	while (cutter((const char *)b->at, (int64_t)b->n, &at, token)) {
		TD_ASSERT(at > before && memchr(token, 0, sizeof token));
		before = at;
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct bytes b = { data, n };
	cJSON *info = choose(infos, TD_COUNT(infos), &b), *spec = choose(options, TD_COUNT(options), &b);
	struct data_options o = { 0 };
	struct arena arena;
	struct faults faults;
	struct loader *l = NULL, *again;

	arena_init(&arena);
	faults_init(&faults);
	opt_read(&data_section, spec, "/data", &o, &arena, &faults);
	if (!faults.n_found) {
		l = loader_create(&o, info, &faults);
		TD_ASSERT(!l == !!faults.n_found);
	}
	if (l) {
		cJSON *state = loader_state(l);

		check_facts(l);
		again = loader_restore(&o, state, &faults);
		TD_ASSERT(again);
		predict(again, &b);
		loader_free(again);
		cJSON_Delete(state);
	}
	loader_free(l);
	cut(text_next_word, &b);
	cut(text_next_character, &b);
	cut(text_next_line, &b);
	faults_release(&faults);
	arena_release(&arena);
	cJSON_Delete(spec);
	cJSON_Delete(info);
	return 0;
}
