/* A model from JSON, and assertions about what is wrong with one, for the tests of layers and models. */
#ifndef TEST_MODEL_H
#define TEST_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nn/nn.h"

struct bench {
	cJSON *document;
	struct arena arena;
	struct faults faults; /* of reading and building */
	struct nn_model_options options;
	const char *defaults;   /* whose they are; owned by ARENA */
	struct nn_model *model; /* NULL: FAULTS says why */
	td_ctx *c;
};

/* What the engine's own layers do is meant. */
static inline void no_warning(void *arg, const td_warning *w)
{
	(void)arg;
	fail_msg("layer %s: warning %s: %s", w->layer, w->code, w->text);
}

/* TEXT is the "model" of a spec with such DEFAULTS; N_TOKENS 0: IN are numbers. */
static inline void bench_init_as(
	struct bench *b, const char *text, td_shape in, int64_t n_tokens, bool has_lengths, const char *defaults)
{
	static const struct opt rows[] = {
		{ .name = "model",
			.kind = OPT_SECTION,
			.at = offsetof(struct bench, options),
			.section = &nn_model_section,
			.doc = "" },
		{ .name = "defaults",
			.kind = OPT_STRING,
			.at = offsetof(struct bench, defaults),
			.high = 10,
			.doc = "" },
	};
	static const struct opt_type type = { .name = "bench", .options = rows, .n_options = TD_COUNT(rows) };
	char *document = mem_printf("{\"model\":%s,\"defaults\":\"%s\"}", text, defaults);
	struct err e = { 0 };

	memset(b, 0, sizeof *b);
	b->document = json_parse(document, strlen(document), &e);
	if (!b->document)
		fail_msg("%s", e.text);
	mem_free(document);
	arena_init(&b->arena);
	faults_init(&b->faults);
	b->c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
	td_on_warning(b->c, no_warning, NULL);
	opt_read(&type, b->document, "", b, &b->arena, &b->faults);
	if (!b->faults.n_found)
		b->model = nn_model_create(&b->options, &in, n_tokens, has_lengths, &b->faults);
	assert_true((b->model != NULL) == (b->faults.n_found == 0));
}

static inline void bench_init(struct bench *b, const char *text, td_shape in, int64_t n_tokens, bool has_lengths)
{
	bench_init_as(b, text, in, n_tokens, has_lengths, "pytorch");
}

static inline void bench_release(struct bench *b)
{
	nn_model_free(b->model);
	td_ctx_free(b->c);
	faults_release(&b->faults);
	arena_release(&b->arena);
	cJSON_Delete(b->document);
}

/* A model that must be right; LAYERS: the elements of its array. */
static inline void bench_layers_as(struct bench *b, const char *layers, td_shape in, const char *defaults)
{
	char *text = mem_printf("{\"layers\":[%s]}", layers);

	bench_init_as(b, text, in, in.dtype == TD_I64 ? 20 : 0, false, defaults);
	if (!b->model)
		fail_msg("%s: %s: %s", layers, b->faults.items[0].pointer, b->faults.items[0].detail);
	mem_free(text);
}

static inline void bench_layers(struct bench *b, const char *layers, td_shape in)
{
	bench_layers_as(b, layers, in, "pytorch");
}

/* The one fault of TEXT is at POINTER, and its detail has WORDS in it. */
static inline void assert_refused(const char *text, td_shape in, const char *pointer, const char *words)
{
	struct bench b;

	bench_init(&b, text, in, in.dtype == TD_I64 ? 20 : 0, false);
	if (b.model)
		fail_msg("%s is taken; expected a fault at %s: %s", text, pointer, words);
	if (b.faults.n_found != 1 || strcmp(b.faults.items[0].pointer, pointer) != 0 ||
		!strstr(b.faults.items[0].detail, words))
		fail_msg("%s: %d faults, the first at %s: %s; expected one at %s: %s", text, (int)b.faults.n_found,
			b.faults.items[0].pointer, b.faults.items[0].detail, pointer, words);
	bench_release(&b);
}

static inline const struct nn_param *find_param(const struct nn_model *m, const char *name)
{
	for (int i = 0; i < m->n_params; i++)
		if (!strcmp(m->params[i].name, name))
			return &m->params[i];
	fail_msg("there is no parameter %s", name);
	return NULL;
}

#endif
