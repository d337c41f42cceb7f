/* A file of tensors comes back bit for bit, and a hostile one is refused before any of it is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "io/io.h"

static char folder[64];

static char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

/* ---- Reading what others wrote --------------------------------------------------------------------------------- */

/* A file with HEADER and N_DATA bytes of data behind it; the length in front says N_HEADER. */
static const char *write_file(const char *header, uint64_t n_header, size_t n_data)
{
	size_t n = strlen(header);
	uint8_t *bytes = mem_alloc(8 + n + n_data + 1);

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(n_header >> (8 * i));
	memcpy(bytes + 8, header, n);
	assert_int_equal(file_write(path_of("hostile"), bytes, 8 + n + n_data, NULL), TD_OK);
	mem_free(bytes);
	return path_of("hostile");
}

static void refused(const char *header, size_t n_data, const char *text)
{
	struct safetensors file;
	struct err e = { 0 };

	assert_int_equal(safetensors_read(write_file(header, strlen(header), n_data), 1 << 20, &file, &e), TD_CORRUPT);
	if (!strstr(e.text, text))
		fail_msg("\"%s\" was expected in: %s", text, e.text);
	assert_null(file.items);
}

#define ENTRY(name, dtype, shape, from, to)                                                                            \
	"\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static void a_good_file_is_read_whatever_the_order_of_its_entries(void **state)
{
	static const char header[] = "{" ENTRY("b", "F32", "[2]", 4, 12) "," ENTRY("a", "U8", "[2,2]", 0, 4) "," ENTRY(
		"empty", "F64", "[0,9007199254740991,7]", 4, 4) "," ENTRY("scalar", "I64", "[]", 12,
		20) ",\"__metadata__\":{\"k\":\"v\"}} ";
	struct safetensors file;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(safetensors_read(write_file(header, strlen(header), 20), 1 << 20, &file, &e), TD_OK);
	assert_int_equal(file.n, 4);
	assert_string_equal(json_string(file.metadata, "k", ""), "v");
	assert_int_equal(safetensors_find(&file, "b")->shape.dim[0], 2);
	assert_int_equal(safetensors_find(&file, "a")->shape.rank, 2);
	assert_int_equal(safetensors_find(&file, "scalar")->shape.rank, 0);
	assert_null(safetensors_find(&file, "c"));
	safetensors_release(&file);
}

static void a_hostile_header_is_refused(void **state)
{
	struct safetensors file;

	(void)state;
	refused("{" ENTRY("a", "F32", "[2]", 0, 8) "}", 9, "belong to no tensor");
	refused("{" ENTRY("a", "F32", "[2]", 0, 8) "}", 7, "do not lie in the file");
	refused("{" ENTRY("a", "F32", "[3]", 0, 8) "}", 8, "not as far apart");
	refused("{" ENTRY("a", "F32", "[1]", 0, 4) "," ENTRY("b", "F32", "[1]", 8, 12) "}", 12, "hole");
	refused("{" ENTRY("a", "F32", "[2]", 0, 8) "," ENTRY("b", "F32", "[1]", 4, 8) "}", 8, "overlaps");
	refused("{" ENTRY("a", "F32", "[1]", 0, 4) "," ENTRY("a", "F32", "[1]", 4, 8) "}", 8, "twice");
	refused("{" ENTRY("a", "F32", "[9007199254740991,9007199254740991]", 0, 4) "}", 4, "a size that cannot be");
	refused("{" ENTRY("a", "F32", "[-1]", 0, 4) "}", 4, "a size that cannot be");
	refused("{" ENTRY("a", "F32", "[1.5]", 0, 4) "}", 4, "a size that cannot be");
	refused("{" ENTRY("a", "F32", "[1,1,1,1,1,1,1]", 0, 4) "}", 4, "at most 6 axes");
	refused("{" ENTRY("a", "F16", "[2]", 0, 4) "}", 4, "element type");
	refused("{" ENTRY("a", "F32", "[1]", 4, 0) "}", 4, "do not lie in the file");
	refused("{" ENTRY("a", "F32", "[1]", -4, 0) "}", 4, "do not lie in the file");
	refused("{" ENTRY("a", "F32", "[1]", 0, 1e300) "}", 4, "do not lie in the file");
	refused("{\"a\":5}", 0, "not described by exactly");
	refused("{\"a\":{}}", 0, "not described by exactly");
	refused("{\"__metadata__\":{\"k\":1}}", 0, "is not a string");
	refused("{\"__metadata__\":[]}", 0, "is not an object");
	refused("[]", 0, "header");
	refused("{", 0, "header");
	refused("{} x", 0, "header");
	assert_int_equal(safetensors_read(write_file("{}", 1000, 0), 1 << 20, &file, NULL), TD_CORRUPT);
	assert_int_equal(safetensors_read(write_file("{}", UINT64_MAX, 0), 1 << 20, &file, NULL), TD_CORRUPT);
	assert_int_equal(safetensors_read(write_file("{}", 2, 100), 50, &file, NULL), TD_TOO_LARGE);
	assert_int_equal(file_write(path_of("short"), "1234567", 7, NULL), TD_OK);
	assert_int_equal(safetensors_read(path_of("short"), 1 << 20, &file, NULL), TD_CORRUPT);
}

/* ---- Checkpoints ----------------------------------------------------------------------------------------------- */

struct fixture {
	td_ctx *c;
	struct named_tensor tensors[2];
};

static struct fixture make_fixture(const float weight[24], double t)
{
	struct fixture f = { .c = td_ctx_create(&(td_ctx_options){ .threads = 1 }) };
	td_shape shape = td_shape_make(TD_F32, 4, 2, 3, 2, 2);

	shape.order = TD_CHANNELS_LAST;
	f.tensors[0] = (struct named_tensor){ "model.0.weight", td_tensor(f.c, &shape, weight) };
	f.tensors[1] = (struct named_tensor){ "optimizer.0.t", td_scalar(f.c, TD_F64, t) };
	return f;
}

static void release_fixture(struct fixture *f)
{
	td_unref(f->tensors[0].value);
	td_unref(f->tensors[1].value);
	td_ctx_free(f->c);
}

static void a_checkpoint_comes_back_bit_for_bit(void **state)
{
	float weight[24], zeros[24] = { 0 }, back[24];
	struct checkpoint ck = { .step = 1234567890123,
		.epoch = 3,
		.batch = 17,
		.seed = UINT64_MAX,
		.fingerprint = "avx2",
		.window_loss = 0.1 + 0.2,
		.window_targets = 640,
		.window_metric = { { 17, -0.0, 640 }, { 1e-320, INFINITY, 3 }, [15] = { 0.1, 0.01, INT64_MAX } },
		.best = NAN,
		.best_step = 99,
		.bad = 3,
		.plateau = { .best = 0.25, .factor = 0.1, .bad = 2 },
		.stopped = true,
		.finished = true };
	struct checkpoint read;
	struct file_facts facts, again;
	struct err e = { 0 };
	int64_t n_bytes;
	char sha[SHA256_TEXT];

	(void)state;
	for (int i = 0; i < 24; i++)
		weight[i] = 1.0f / (float)(i - 7);
	struct fixture f = make_fixture(weight, 0.1), g = make_fixture(zeros, 0);

	assert_int_equal(checkpoint_write(path_of("ck"), &ck, f.tensors, 2, &facts, &e), TD_OK);
	assert_int_equal(checkpoint_write(path_of("ck2"), &ck, f.tensors, 2, &again, &e), TD_OK);
	assert_string_equal(facts.sha256, again.sha256);
	assert_int_equal(sha256_of_file(path_of("ck"), sha, &n_bytes, &e), TD_OK);
	assert_string_equal(sha, facts.sha256);
	assert_int_equal(n_bytes, facts.n_bytes);

	assert_int_equal(checkpoint_read(path_of("ck"), facts.sha256, &read, g.tensors, 2, &e), TD_OK);
	td_read(g.tensors[0].value, back);
	assert_memory_equal(back, weight, sizeof weight);
	assert_true(td_item(g.tensors[1].value) == 0.1);
	assert_true(read.step == ck.step && read.epoch == 3 && read.batch == 17 && read.seed == UINT64_MAX);
	assert_memory_equal(&read.window_loss, &ck.window_loss, sizeof(double));
	assert_memory_equal(read.window_metric, ck.window_metric, sizeof ck.window_metric);
	assert_true(isnan(read.best) && read.finished && read.window_targets == 640);
	assert_true(read.best_step == 99 && read.bad == 3 && read.stopped);
	assert_true(read.plateau.best == 0.25 && read.plateau.factor == 0.1 && read.plateau.bad == 2);
	assert_string_equal(read.fingerprint, "avx2");
	release_fixture(&f);
	release_fixture(&g);
}

static void a_files_elements_lie_in_row_major_order(void **state)
{
	float weight[24];
	struct safetensors file;
	struct file_facts facts;
	struct err e = { 0 };

	(void)state;
	for (int i = 0; i < 24; i++)
		weight[i] = (float)i;
	struct fixture f = make_fixture(weight, 0);
	assert_int_equal(safetensors_write(path_of("w"), f.tensors, 2, NULL, &facts, &e), TD_OK);
	assert_int_equal(safetensors_read(path_of("w"), 1 << 20, &file, &e), TD_OK);
	assert_memory_equal(safetensors_find(&file, "model.0.weight")->bytes, weight, sizeof weight);
	assert_int_equal((uintptr_t)((const char *)file.items[0].bytes - file.file.data) % 8, 0);
	safetensors_release(&file);
	release_fixture(&f);
}

/* Write FIELD of the metadata as TEXT and read it back. */
static td_status read_changed(const char *from, const char *to, struct fixture *f, struct err *e)
{
	struct checkpoint ck = { .step = 5, .seed = 7, .best = NAN };
	struct file_facts facts;
	struct buf b;
	char *at;
	td_status s;

	buf_init(&b, 1 << 20);
	assert_int_equal(checkpoint_write(path_of("ck"), &ck, f->tensors, 2, &facts, NULL), TD_OK);
	assert_int_equal(file_read(path_of("ck"), &b, NULL), TD_OK);
	at = memmem(b.data, b.len, from, strlen(from));
	assert_non_null(at);
	assert_int_equal(strlen(from), strlen(to));
	memcpy(at, to, strlen(to));
	assert_int_equal(file_write(path_of("changed"), b.data, b.len, NULL), TD_OK);
	s = checkpoint_read(path_of("changed"), NULL, &ck, f->tensors, 2, e);
	buf_release(&b);
	return s;
}

static void a_checkpoint_of_something_else_is_refused_and_touches_nothing(void **state)
{
	float weight[24] = { 1, 2, 3 }, back[24];
	struct fixture f = make_fixture(weight, 1);
	struct checkpoint ck = { .step = 5 };
	struct file_facts facts;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(read_changed("\"version\":\"3\"", "\"version\":\"4\"", &f, &e), TD_UNSUPPORTED);
	assert_non_null(strstr(e.text, "version \"4\""));
	assert_int_equal(read_changed("\"version\":\"3\"", "\"version\":\"0\"", &f, NULL), TD_CORRUPT);
	assert_int_equal(read_changed("\"version\":\"3\"", "\"version\":\"x\"", &f, NULL), TD_CORRUPT);
	assert_int_equal(
		read_changed("\"version\":\"3\"", "\"version\":\"1\"", &f, NULL), TD_CORRUPT); /* of its kind */
	assert_int_equal(read_changed("tandem-checkpoint", "tandem-chickpoint", &f, NULL), TD_CORRUPT);
	assert_int_equal(read_changed("\"step\":\"5\"", "\"step\":\"x\"", &f, NULL), TD_CORRUPT);
	assert_int_equal(read_changed("\"step\":\"5\"", "\"stop\":\"5\"", &f, NULL), TD_CORRUPT);
	assert_int_equal(read_changed("model.0.weight", "model.1.weight", &f, NULL), TD_CORRUPT);
	assert_int_equal(read_changed("[2,3,2,2]", "[3,2,2,2]", &f, NULL), TD_CORRUPT);
	assert_int_equal(read_changed("\"finished\":\"false\"", "\"finished\":\"maybe\"", &f, NULL), TD_CORRUPT);

	assert_int_equal(checkpoint_write(path_of("ck"), &ck, f.tensors, 1, &facts, NULL), TD_OK);
	assert_int_equal(
		checkpoint_read(path_of("ck"), NULL, &ck, f.tensors, 2, NULL), TD_CORRUPT); /* one is missing */
	assert_int_equal(checkpoint_write(path_of("ck"), &ck, f.tensors, 2, &facts, NULL), TD_OK);
	assert_int_equal(checkpoint_read(path_of("ck"), NULL, &ck, f.tensors, 1, NULL), TD_CORRUPT); /* one too many */
	facts.sha256[0] ^= 1;
	assert_int_equal(checkpoint_read(path_of("ck"), facts.sha256, &ck, f.tensors, 2, NULL), TD_CORRUPT);
	td_read(f.tensors[0].value, back);
	assert_memory_equal(back, weight, sizeof weight);
	release_fixture(&f);
}

/* What version 1 wrote: no early stopping, four means over samples. */
static void a_checkpoint_of_version_1_goes_on(void **state)
{
	static const char *const members[][2] = { { "format", "tandem-checkpoint" }, { "version", "1" },
		{ "step", "640" }, { "epoch", "1" }, { "batch", "2" }, { "seed", "7" }, { "fingerprint", "avx2" },
		{ "window.loss", "0x1.8p+1" }, { "window.metric.0", "0x1p+4" }, { "window.metric.1", "0x0p+0" },
		{ "window.metric.2", "0x0p+0" }, { "window.metric.3", "0x0p+0" }, { "window.samples", "64" },
		{ "best", "0x1p-1" }, { "finished", "false" } };
	cJSON *metadata = cJSON_CreateObject();
	float weight[24] = { 1, 2, 3 }, zeros[24] = { 0 }, back[24];
	struct fixture f = make_fixture(weight, 0.5), g = make_fixture(zeros, 0);
	struct file_facts facts;
	struct checkpoint ck;
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(members); i++)
		cJSON_AddStringToObject(metadata, members[i][0], members[i][1]);
	assert_int_equal(safetensors_write(path_of("v1"), f.tensors, 2, metadata, &facts, &e), TD_OK);
	assert_int_equal(checkpoint_read(path_of("v1"), facts.sha256, &ck, g.tensors, 2, &e), TD_OK);
	td_read(g.tensors[0].value, back);
	assert_memory_equal(back, weight, sizeof weight);
	assert_true(ck.step == 640 && ck.epoch == 1 && ck.batch == 2 && ck.seed == 7 && ck.best == 0.5);
	assert_true(ck.window_loss == 3 && ck.window_targets == 64);
	assert_true(ck.window_metric[0].sum == 16 && ck.window_metric[0].n == 64);
	assert_true(ck.best_step == 0 && ck.bad == 0 && !ck.stopped && !ck.finished);
	assert_true(isnan(ck.plateau.best) && ck.plateau.factor == 1 && ck.plateau.bad == 0);
	cJSON_Delete(metadata);
	release_fixture(&f);
	release_fixture(&g);
}

/* A fork takes the model as it is, and of another optimizer's state what both have. */
static void a_fork_reads_the_model_and_what_else_fits(void **state)
{
	float weight[24] = { 1, 2, 3 }, zeros[24] = { 0 }, back[24];
	struct fixture f = make_fixture(weight, 0.5), g = make_fixture(zeros, 0.25);
	struct checkpoint ck = { .step = 5, .plateau.factor = 1 }, read = { .step = 77 };
	td_shape three = td_shape_make(TD_F32, 1, (int64_t)3);
	struct named_tensor other[3] = { g.tensors[0], { "optimizer.0.momentum", td_scalar(g.c, TD_F64, 0.75) },
		{ "optimizer.0.t", td_tensor(g.c, &three, (float[]){ 7, 8, 9 }) } };
	struct file_facts facts;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(checkpoint_write(path_of("ck"), &ck, f.tensors, 2, &facts, &e), TD_OK);
	assert_int_equal(checkpoint_read(path_of("ck"), NULL, &read, other, 3, NULL), TD_CORRUPT);
	assert_int_equal(read.step, 77);
	assert_int_equal(checkpoint_read_fork(path_of("ck"), facts.sha256, &read, other, 3, &e), TD_OK);
	assert_int_equal(read.step, 5);
	td_read(other[0].value, back);
	assert_memory_equal(back, weight, sizeof weight);
	assert_true(td_item(other[1].value) == 0.75); /* not in the file */
	td_read(other[2].value, back);
	assert_true(back[0] == 7 && back[2] == 9); /* of another shape there */
	assert_int_equal(checkpoint_read_fork(path_of("ck"), NULL, &read, g.tensors, 2, &e), TD_OK);
	assert_true(td_item(g.tensors[1].value) == 0.5); /* the same state is taken over */

	/* Another model, or a part of it, is still refused. */
	assert_int_equal(checkpoint_read_fork(path_of("ck"), NULL, &read, other + 1, 2, NULL), TD_CORRUPT);
	other[0].name = "model.1.weight";
	assert_int_equal(checkpoint_read_fork(path_of("ck"), NULL, &read, other, 3, NULL), TD_CORRUPT);
	td_unref(other[1].value);
	td_unref(other[2].value);
	release_fixture(&f);
	release_fixture(&g);
}

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/test_io.XXXXXX");
	return !mkdtemp(folder);
}

static int remove_folder(void **state)
{
	(void)state;
	return file_remove_tree(folder, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_file_is_read_whatever_the_order_of_its_entries),
		cmocka_unit_test(a_hostile_header_is_refused),
		cmocka_unit_test(a_checkpoint_comes_back_bit_for_bit),
		cmocka_unit_test(a_files_elements_lie_in_row_major_order),
		cmocka_unit_test(a_checkpoint_of_something_else_is_refused_and_touches_nothing),
		cmocka_unit_test(a_checkpoint_of_version_1_goes_on),
		cmocka_unit_test(a_fork_reads_the_model_and_what_else_fits),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
