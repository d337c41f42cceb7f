/* One model as files, for pytorch_module.py to compare: FOLDER/model.json says which, and beside it are written its
 * weights, its Python source, an input with the output for it, and the gradients of the sum of the output's squares. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "io/io.h"
#include "nn/nn.h"

#define MODEL_BYTES_MOST (1 << 20)
#define FILE_BYTES_MOST  (1 << 20)

static void fail_with(const char *what)
{
	fprintf(stderr, "model_files: %s\n", what);
	exit(1);
}

/* {"model": {...}, "input": [2, 3, 8, 8], "tokens": 0, "lengths": [5, 3]} */
struct job {
	cJSON *document;
	struct arena arena;
	struct nn_model_options options;
	td_shape in;
	int64_t tokens;
	const cJSON *lengths;
};

static void job_init(struct job *j, const char *folder)
{
	char *path = mem_printf("%s/model.json", folder);
	const cJSON *size;
	struct err e = { 0 };
	struct faults faults;
	struct buf text;

	buf_init(&text, MODEL_BYTES_MOST);
	if (file_read(path, &text, &e))
		fail_with(e.text);
	j->document = json_parse(text.data, text.len, &e);
	if (!j->document)
		fail_with(e.text);
	arena_init(&j->arena);
	faults_init(&faults);
	opt_read(&nn_model_section, json_get(j->document, "model"), "/model", &j->options, &j->arena, &faults);
	if (faults.n_found)
		fail_with(faults.items[0].detail);
	j->tokens = json_int(j->document, "tokens", 0);
	j->lengths = json_get(j->document, "lengths");
	j->in = (td_shape){ .dtype = j->tokens ? TD_I64 : TD_F32 };
	cJSON_ArrayForEach(size, json_get(j->document, "input")) j->in.dim[j->in.rank++] = (int64_t)size->valuedouble;
	faults_release(&faults);
	buf_release(&text);
	mem_free(path);
}

static td_value *make_input(const struct job *j, td_ctx *c)
{
	struct rng_key key = { .seed = 5, .stream = 1 };
	int64_t n = td_shape_count(&j->in), *tokens = MEM_NEW_N(int64_t, n);
	float *numbers = MEM_NEW_N(float, n);
	td_value *x;

	for (int64_t i = 0; i < n; i++) {
		numbers[i] = 2 * rng_unit(rng_u32(&key, (uint64_t)i)) - 1;
		tokens[i] = j->tokens ? rng_u32(&key, (uint64_t)i) % j->tokens : 0;
	}
	x = td_tensor(c, &j->in, j->tokens ? (void *)tokens : numbers);
	mem_free(tokens);
	mem_free(numbers);
	return x;
}

static td_value *make_lengths(const struct job *j, td_ctx *c)
{
	td_shape shape = td_shape_make(TD_I64, 1, j->in.dim[0]);
	int64_t lengths[64];

	if (!j->lengths)
		return NULL;
	for (int i = 0; i < cJSON_GetArraySize(j->lengths) && i < 64; i++)
		lengths[i] = (int64_t)cJSON_GetArrayItem(j->lengths, i)->valuedouble;
	return td_tensor(c, &shape, lengths);
}

/* A few batches in training mode, so that running statistics are not those of the start. */
static void warm_up(const struct nn_model *m, td_ctx *c, td_value *x, td_value *lengths)
{
	struct nn_pass pass = { .c = c, .training = true, .lengths = lengths };

	for (int i = 0; i < 3; i++) {
		td_step_begin(c);
		nn_forward(m, &pass, x);
		td_step_end(c);
	}
}

static void write_tensors(const char *folder, const char *file, const struct named_tensor *tensors, int n)
{
	char *path = mem_printf("%s/%s", folder, file);
	struct file_facts facts;
	struct err e = { 0 };

	if (safetensors_write(path, tensors, n, NULL, &facts, &e))
		fail_with(e.text);
	mem_free(path);
}

static void write_source(const char *folder, const struct nn_model *m)
{
	char *path = mem_printf("%s/pytorch.py", folder);
	FILE *f = fopen(path, "w");
	struct buf source;

	buf_init(&source, FILE_BYTES_MOST);
	nn_model_pytorch(m, "", &source);
	if (!f || source.full || fwrite(source.data, 1, source.len, f) != source.len || fclose(f))
		fail_with("pytorch.py cannot be written");
	buf_release(&source);
	mem_free(path);
}

static void write_gradients(const char *folder, const struct nn_model *m, td_ctx *c, td_value *y)
{
	struct named_tensor *gradients = MEM_NEW_N(struct named_tensor, TD_MAX(m->n_params, 1));
	int n = 0;

	td_backward(c, td_sum_squares(c, y));
	for (int i = 0; i < m->n_params; i++)
		if (!m->params[i].buffer)
			gradients[n++] = (struct named_tensor){ m->params[i].name, td_grad_of(m->params[i].value) };
	for (int i = 0; i < n; i++)
		if (!gradients[i].value)
			fail_with("a parameter has no gradient");
	write_tensors(folder, "gradients.safetensors", gradients, n);
	mem_free(gradients);
}

int main(int argc, char **argv)
{
	struct job j = { 0 };
	struct faults faults;
	struct nn_model *m;
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 3 });
	td_value *x, *lengths, *y;

	if (argc != 2)
		fail_with("give a folder");
	job_init(&j, argv[1]);
	faults_init(&faults);
	m = nn_model_create(&j.options, &j.in, j.tokens, j.lengths != NULL, &faults);
	if (!m)
		fail_with(faults.items[0].detail);
	if (nn_model_allocate(m, c, 3))
		fail_with(td_error(c)->text);
	x = make_input(&j, c);
	lengths = make_lengths(&j, c);
	warm_up(m, c, x, lengths);

	struct named_tensor *weights = MEM_NEW_N(struct named_tensor, m->n_params);
	for (int i = 0; i < m->n_params; i++)
		weights[i] = (struct named_tensor){ m->params[i].name, m->params[i].value };
	write_tensors(argv[1], "model.safetensors", weights, m->n_params);
	write_source(argv[1], m);

	td_step_begin(c);
	y = nn_forward(m, &(struct nn_pass){ .c = c, .lengths = lengths }, x);
	if (!y)
		fail_with(td_error(c)->text);
	write_tensors(argv[1], "values.safetensors",
		(struct named_tensor[]){ { "x", x }, { "y", y }, { "lengths", lengths } }, lengths ? 3 : 2);
	write_gradients(argv[1], m, c, y);
	td_step_end(c);
	mem_free(weights);
	td_unref(x);
	td_unref(lengths);
	nn_model_free(m);
	td_ctx_free(c);
	faults_release(&faults);
	arena_release(&j.arena);
	cJSON_Delete(j.document);
	return 0;
}
