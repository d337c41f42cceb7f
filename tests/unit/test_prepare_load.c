/* What a preparation writes a loader reads: every kind of pack, from files of a stranger to a batch. */
#include "test_pack.h"

#include "data/prepare.h"
#include "io/image.h"
#include "io/npy.h"

/* Prepare N_FILES files of the lab's folder into it and open a loader by OPTIONS on the pack. */
static void prepare_and_open(
	struct lab *lab, const char *format, const char *const *names, int n_files, const char *options)
{
	struct prepare_file files[4];
	struct prepare_order order = { .dataset = "mine", .files = files, .n_files = n_files };
	struct prepared out;
	char *folder = mem_printf("%s/pack", lab->folder), *info;
	cJSON *asked = lab_json(format);

	assert_int_equal(file_make_folder(folder, NULL), TD_OK);
	for (int i = 0; i < n_files; i++)
		files[i] = (struct prepare_file){ names[i], mem_printf("%s/%s", lab->folder, names[i]) };
	order.format = asked;
	order.folder = folder;
	if (!prepare_run(&order, &out, &lab->faults))
		fail_msg("%s: %s", lab->faults.items[0].pointer, lab->faults.items[0].detail);
	info = json_print(out.info);
	if (!lab_create(lab, options, info))
		fail_msg("%s: %s\n%s", lab->faults.items[0].pointer, lab->faults.items[0].detail, info);
	if (loader_open(lab->l, folder, 7, &lab->pointer, &lab->err) != TD_OK)
		fail_msg("%s\n%s", lab->err.text, info);
	mem_free(info);
	prepared_release(&out);
	for (int i = 0; i < n_files; i++)
		mem_free((char *)(uintptr_t)files[i].path);
	mem_free(folder);
	cJSON_Delete(asked);
}

static void write_array(struct lab *lab, const char *name, enum npy_type type, const int64_t *dim, int rank,
	const void *elements, size_t n_bytes)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_true(npy_write_header(&b, type, dim, rank) && buf_append(&b, elements, n_bytes));
	lab_write(lab, name, b.data, b.len);
	buf_release(&b);
}

static void a_table_with_holes_is_trained_on(void **state)
{
	struct lab *lab = *state;
	const char *csv = "price,area,colour\n", *const names[] = { "houses.csv" };
	struct data_batch b;
	struct buf text;

	buf_init(&text, 1 << 16);
	buf_puts(&text, csv);
	for (int i = 0; i < 40; i++)
		buf_printf(&text, "%d,%s,%s\n", 10 * i, i == 3 ? "" : "5", i % 2 ? "red" : "blue");
	lab_write(lab, names[0], text.data, text.len);
	buf_release(&text);
	prepare_and_open(lab, "{\"type\":\"table\"}", names, 1,
		"{\"target\":[\"price\"],\"missing\":\"mean\",\"split\":{\"validation\":0.25}}");
	assert_int_equal(loader_facts(lab->l)->n[DATA_TRAIN], 30);
	assert_int_equal(loader_facts(lab->l)->x.dim[0], 3);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 2, 2);
	assert_near(((float *)b.x)[3], 5, 0); /* the hole */
	assert_near(((float *)b.y)[1], 30, 0);
	assert_near(((float *)b.x)[1] + ((float *)b.x)[2], 1, 0);
	batch_free(&b);
}

static void arrays_are_trained_on(void **state)
{
	struct lab *lab = *state;
	const char *const names[] = { "x.npy", "y.npy" };
	const int64_t x_dim[2] = { 4, 3 }, y_dim[1] = { 4 }, y[4] = { 0, 1, 1, 0 };
	const float x[12] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
	struct data_batch b;

	write_array(lab, "x.npy", NPY_F32, x_dim, 2, x, sizeof x);
	write_array(lab, "y.npy", NPY_I64, y_dim, 1, y, sizeof y);
	prepare_and_open(lab, "{\"type\":\"arrays\"}", names, 2, "{}");
	assert_int_equal(loader_facts(lab->l)->target, DATA_CLASS);
	assert_int_equal(loader_facts(lab->l)->n_classes, 2);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 4);
	assert_memory_equal(b.x, x, sizeof x);
	assert_memory_equal(b.y, y, sizeof y);
	batch_free(&b);
}

static void arrays_of_bytes_are_pictures(void **state)
{
	struct lab *lab = *state;
	const char *const names[] = { "x.npy", "y.npy" };
	const int64_t x_dim[4] = { 2, 4, 4, 3 }, y_dim[1] = { 2 }, y[2] = { 0, 1 };
	uint8_t x[96] = { 0 };
	struct data_batch b;

	x[48 + 3 * 5 + 2] = 255; /* picture 1, pixel (1, 1), blue */
	write_array(lab, "x.npy", NPY_U8, x_dim, 4, x, sizeof x);
	write_array(lab, "y.npy", NPY_I64, y_dim, 1, y, sizeof y);
	prepare_and_open(lab, "{\"type\":\"arrays\"}", names, 2, "{\"augment\":[{\"type\":\"random_flip\",\"p\":0}]}");
	assert_int_equal(loader_facts(lab->l)->x.dim[0], 3);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 2);
	assert_near(((float *)b.x)[48 + 32 + 5], 1, 0);
	batch_free(&b);
}

static void a_text_is_trained_on(void **state)
{
	struct lab *lab = *state;
	const char *const names[] = { "poem.txt" };
	const char *text = "One fish, two fish, red fish, blue fish. \xc3\x9c"
			   "ber fish!\n";
	struct data_batch b;

	lab_write(lab, names[0], text, strlen(text));
	prepare_and_open(lab, "{\"type\":\"text\"}", names, 1, "{\"sequence_length\":10}");
	assert_int_equal(loader_facts(lab->l)->n[DATA_TRAIN], 5); /* 52 characters */
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 1);
	assert_string_equal(loader_class_name(lab->l, ((int64_t *)b.x)[0]), "O");
	assert_string_equal(loader_class_name(lab->l, ((int64_t *)b.y)[0]), "n");
	batch_free(&b);
}

static void texts_with_labels_are_trained_on(void **state)
{
	struct lab *lab = *state;
	const char *const names[] = { "reviews.csv" };
	const char *csv = "text,label\n\"Good, good film\",good\nBad film,bad\nA bad one,bad\nNot good,bad\n";
	struct data_batch b;

	lab_write(lab, names[0], csv, strlen(csv));
	prepare_and_open(lab, "{\"type\":\"labelled_text\"}", names, 1, "{\"tokenizer\":\"word\"}");
	assert_int_equal(loader_facts(lab->l)->x.dim[0], 4);
	assert_int_equal(loader_facts(lab->l)->n_tokens, 2 + 7); /* good , film bad a one not */
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 2);
	assert_int_equal(b.lengths[0], 4);
	assert_int_equal(b.lengths[1], 2);
	assert_string_equal(loader_class_name(lab->l, ((int64_t *)b.y)[0]), "good");
	batch_free(&b);
}

static void texts_with_tags_are_trained_on(void **state)
{
	struct lab *lab = *state;
	const char *const names[] = { "places.conll" };
	const char *text = "In O\nNew LOC\nYork LOC\n. O\n\nParis LOC\n\nU.S. LOC\nlaw O\n";
	struct data_batch b;

	lab_write(lab, names[0], text, strlen(text));
	prepare_and_open(lab, "{\"type\":\"tagged_text\"}", names, 1, "{}");
	assert_int_equal(loader_facts(lab->l)->n[DATA_TRAIN], 3);
	assert_int_equal(loader_facts(lab->l)->x.dim[0], 4);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 3);
	assert_int_equal(b.lengths[0], 4);
	assert_string_equal(loader_class_name(lab->l, ((int64_t *)b.y)[1]), "LOC");
	assert_int_equal(((int64_t *)b.y)[4 + 1], DATA_IGNORE);
	assert_true(((int64_t *)b.x)[8] > 1); /* "u.s." is a word of the vocabulary */
	batch_free(&b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_table_with_holes_is_trained_on),
		TEST(arrays_are_trained_on),
		TEST(arrays_of_bytes_are_pictures),
		TEST(a_text_is_trained_on),
		TEST(texts_with_labels_are_trained_on),
		TEST(texts_with_tags_are_trained_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
