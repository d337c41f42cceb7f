/* Models and files: weights from our own files, from checkpoints and from PyTorch's, and the source for PyTorch. */
#include "test_model.h"
#include "base/file.h"
#include "io/io.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGE ((td_shape){ TD_F32, TD_ROW_MAJOR, 4, { 2, 3, 8, 8 } })
#define FLAT  ((td_shape){ TD_F32, TD_ROW_MAJOR, 2, { 2, 6 } })

#define CONV(options)   "{\"type\":\"conv2d\",\"out_channels\":3,\"kernel_size\":3,\"padding\":1" options "}"
#define LINEAR(options) "{\"type\":\"linear\",\"out_features\":6" options "}"

/* ---- Weights from files ------------------------------------------------------------------------------------------ */

struct file {
	char path[64];
	struct safetensors tensors;
};

/* The parameters of B under PREFIX, without the last N_LESS of them, and one tensor MORE (NULL: none). */
static void file_init(struct file *f, struct bench *b, const char *prefix, int n_less, const char *more)
{
	struct named_tensor items[32];
	char names[32][160];
	struct file_facts facts;
	struct err e = { 0 };
	int n = b->model->n_params - n_less, fd;

	snprintf(f->path, sizeof f->path, "/tmp/tandem-test-XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0 && n < 31);
	close(fd);
	for (int i = 0; i < n; i++) {
		snprintf(names[i], sizeof names[i], "%s%s", prefix, b->model->params[i].name);
		items[i] = (struct named_tensor){ names[i], b->model->params[i].value };
	}
	if (more)
		items[n++] = (struct named_tensor){ more, b->model->params[0].value };
	assert_int_equal(safetensors_write(f->path, items, n, NULL, &facts, &e), TD_OK);
	assert_int_equal(safetensors_read(f->path, 1 << 20, &f->tensors, &e), TD_OK);
}

static void file_release(struct file *f)
{
	safetensors_release(&f->tensors);
	unlink(f->path);
}

static void assert_same_weights(const struct bench *a, const struct bench *b)
{
	for (int i = 0; i < a->model->n_params; i++)
		assert_memory_equal(td_data(a->model->params[i].value), td_data(b->model->params[i].value),
			td_shape_bytes(&a->model->params[i].shape));
}

#define NET CONV("") ",\"batch_norm\",\"flatten\"," LINEAR(",\"name\":\"head\"")

static bool load(struct bench *b, struct file *f, bool strict, const char *skip, struct buf *notes)
{
	struct opt_strings patterns = { &skip, skip ? 1 : 0 };

	buf_clear(notes);
	return nn_model_load(b->model, &f->tensors, strict, &patterns, notes, &b->faults);
}

static void weights_come_back_from_a_file_and_from_a_checkpoint(void **state)
{
	static const char *const prefixes[] = { "", "model." }, *const more[] = { "1.num_batches_tracked",
		"optimizer.0.weight.exp_avg" };
	struct buf notes;

	(void)state;
	buf_init(&notes, 10000);
	for (size_t i = 0; i < TD_COUNT(prefixes); i++) {
		struct bench a, b;
		struct file f;

		bench_layers(&a, NET, IMAGE);
		bench_layers(&b, NET, IMAGE);
		assert_int_equal(nn_model_allocate(a.model, a.c, 1), TD_OK);
		assert_int_equal(nn_model_allocate(b.model, b.c, 2), TD_OK);
		file_init(&f, &a, prefixes[i], 0, more[i]);
		assert_true(load(&b, &f, true, NULL, &notes));
		assert_int_equal(notes.len, 0);
		assert_same_weights(&a, &b);
		file_release(&f);
		bench_release(&a);
		bench_release(&b);
	}
	buf_release(&notes);
}

static void strict_loading_names_every_difference_and_changes_nothing(void **state)
{
	struct bench a, b, before;
	struct file f;
	struct buf notes;

	(void)state;
	buf_init(&notes, 10000);
	bench_layers(&a,
		CONV("") ",\"batch_norm\",\"flatten\",{\"type\":\"linear\",\"out_features\":4,\"name\":\"head\"}",
		IMAGE);
	bench_layers(&b, NET, IMAGE);
	bench_layers(&before, NET, IMAGE);
	assert_int_equal(nn_model_allocate(a.model, a.c, 1), TD_OK);
	assert_int_equal(nn_model_allocate(b.model, b.c, 2), TD_OK);
	assert_int_equal(nn_model_allocate(before.model, before.c, 2), TD_OK);
	file_init(&f, &a, "", 1, "tail.weight");
	assert_false(load(&b, &f, true, NULL, &notes));
	assert_int_equal(b.faults.n_found, 3);
	assert_string_equal(b.faults.items[0].detail,
		"head.weight is float32[4, 192] in the file, but the model needs float32[6, 192]");
	assert_string_equal(b.faults.items[1].detail, "head.bias is missing from the file");
	assert_non_null(strstr(b.faults.items[2].detail, "tail.weight is in the file"));
	assert_same_weights(&b, &before);

	faults_release(&b.faults);
	faults_init(&b.faults);
	assert_true(load(&b, &f, false, NULL, &notes)); /* what fits is taken, the rest is told */
	assert_non_null(strstr(notes.data, "head.bias is missing"));
	assert_memory_equal(td_data(find_param(a.model, "0.weight")->value),
		td_data(find_param(b.model, "0.weight")->value), 81 * sizeof(float));
	assert_memory_equal(td_data(find_param(before.model, "head.weight")->value),
		td_data(find_param(b.model, "head.weight")->value), 6 * 192 * sizeof(float));
	buf_release(&notes);
	file_release(&f);
	bench_release(&before);
	bench_release(&a);
	bench_release(&b);
}

static void what_is_skipped_is_left_alone(void **state)
{
	struct bench a, b, before;
	struct file f;
	struct buf notes;

	(void)state;
	buf_init(&notes, 10000);
	bench_layers(&a, NET, IMAGE);
	bench_layers(&b, NET, IMAGE);
	bench_layers(&before, NET, IMAGE);
	assert_int_equal(nn_model_allocate(a.model, a.c, 1), TD_OK);
	assert_int_equal(nn_model_allocate(b.model, b.c, 2), TD_OK);
	assert_int_equal(nn_model_allocate(before.model, before.c, 2), TD_OK);
	file_init(&f, &a, "", 0, NULL);
	assert_true(load(&b, &f, true, "head.*", &notes));
	assert_memory_equal(td_data(find_param(before.model, "head.weight")->value),
		td_data(find_param(b.model, "head.weight")->value), 6 * 192 * sizeof(float));
	assert_memory_not_equal(td_data(find_param(before.model, "0.weight")->value),
		td_data(find_param(b.model, "0.weight")->value), 81 * sizeof(float));
	assert_false(load(&b, &f, false, "*", &notes)); /* nothing at all is a mistake, strict or not */
	assert_non_null(strstr(b.faults.items[0].detail, "no tensor of the file fits"));
	buf_release(&notes);
	file_release(&f);
	bench_release(&before);
	bench_release(&a);
	bench_release(&b);
}

/* ---- PyTorch ----------------------------------------------------------------------------------------------------- */

static void write_source(const char *path, const struct nn_model *m)
{
	FILE *f = fopen(path, "w");
	struct buf source;

	assert_non_null(f);
	buf_init(&source, 1 << 20);
	nn_model_pytorch(m, "x: \\ \"\"\"\n", &source);
	assert_false(source.full);
	assert_int_equal(fwrite(source.data, 1, source.len, f), source.len);
	assert_int_equal(fclose(f), 0);
	buf_release(&source);
}

/* The exit code of Python with CODE and ARGUMENT; -1: there is no Python. */
static int run_python(const char *code, const char *argument)
{
	char *const argv[] = { (char *)"python3", (char *)"-c", (char *)code, (char *)argument, NULL };
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, "python3", NULL, NULL, argv, environ))
		return -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void the_source_for_pytorch_is_python(void **state)
{
	static const char *const models[] = { "{\"name\":\"resnet18\",\"args\":{\"classes\":10}}",
		"{\"layers\":[" LINEAR(",\"name\":\"class\"") ",{\"type\":\"relu\",\"name\":\"a-b\"}," LINEAR(
			",\"share\":\"class\"") ",{\"type\":\"add\",\"inputs\":[\"a-b\",\"2\"]}]}",
		"{\"layers\":[{\"type\":\"lstm\",\"hidden_size\":3},\"sequence_mean\"]}" };
	td_shape in[] = { { TD_F32, TD_ROW_MAJOR, 4, { 2, 3, 64, 64 } }, FLAT,
		{ TD_F32, TD_ROW_MAJOR, 3, { 2, 5, 4 } } };
	char path[] = "/tmp/tandem-test-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	if (run_python("", "") != 0) {
		unlink(path);
		skip();
	}
	for (size_t i = 0; i < TD_COUNT(models); i++) {
		struct bench b;

		bench_init(&b, models[i], in[i], 0, false);
		write_source(path, b.model);
		assert_int_equal(
			run_python("import sys; compile(open(sys.argv[1]).read(), 'pytorch.py', 'exec')", path), 0);
		bench_release(&b);
	}
	unlink(path);
}

static void the_source_calls_one_module_for_shared_parameters(void **state)
{
	struct buf source;
	struct bench b;

	(void)state;
	bench_layers(&b, LINEAR(",\"name\":\"a\"") ",\"relu\"," LINEAR(",\"share\":\"a\""), FLAT);
	buf_init(&source, 1 << 20);
	nn_model_pytorch(b.model, "0: \"\"\"a\\\n", &source);
	assert_non_null(strstr(
		source.data, "0: \\\"\\\"\\\"a\\\\\n\"\"\"\nimport json")); /* nothing ends the docstring early */
	assert_non_null(strstr(source.data, "put(self, \"a\", nn.Linear(6, 6))"));
	assert_null(strstr(source.data, "put(self, \"2\""));
	assert_non_null(strstr(source.data, "x2 = part(\"a\")(x1)"));
	buf_release(&source);
	bench_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weights_come_back_from_a_file_and_from_a_checkpoint),
		cmocka_unit_test(strict_loading_names_every_difference_and_changes_nothing),
		cmocka_unit_test(what_is_skipped_is_left_alone),
		cmocka_unit_test(the_source_for_pytorch_is_python),
		cmocka_unit_test(the_source_calls_one_module_for_shared_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
