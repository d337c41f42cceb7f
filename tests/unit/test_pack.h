/* Small packs written by hand, and a loader on them, for the tests of the loader. */
#ifndef TEST_PACK_H
#define TEST_PACK_H

#include "base/file.h"
#include "data/data.h"
#include "data/pack.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct lab {
	char folder[64];
	struct arena arena;
	struct faults faults;
	struct data_options options;
	struct loader *l;
	const char *pointer; /* of the last loader_open */
	struct err err;      /* likewise */
};

static inline int lab_setup(void **state)
{
	struct lab *lab = MEM_NEW(struct lab);

	snprintf(lab->folder, sizeof lab->folder, "/tmp/tandem-pack-XXXXXX");
	assert_non_null(mkdtemp(lab->folder));
	arena_init(&lab->arena);
	faults_init(&lab->faults);
	*state = lab;
	return 0;
}

static inline int lab_teardown(void **state)
{
	struct lab *lab = *state;

	loader_free(lab->l);
	faults_release(&lab->faults);
	arena_release(&lab->arena);
	assert_int_equal(file_remove_tree(lab->folder, NULL), TD_OK);
	mem_free(lab);
	return 0;
}

/* File NAME ("train.labels") of the pack. */
static inline void lab_write(struct lab *lab, const char *name, const void *bytes, size_t n)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", lab->folder, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}
#define LAB_WRITE(lab, name, array) lab_write(lab, name, array, sizeof(array))

static inline cJSON *lab_json(const char *text)
{
	struct err e = { 0 };
	cJSON *v = json_parse(text, strlen(text), &e);

	if (!v)
		fail_msg("%s in %s", e.text, text);
	return v;
}

static inline void lab_read_options(struct lab *lab, const char *options)
{
	cJSON *spec = lab_json(options);

	if (!json_get(spec, "dataset"))
		cJSON_AddStringToObject(spec, "dataset", "mine");
	faults_release(&lab->faults);
	memset(&lab->options, 0, sizeof lab->options);
	opt_read(&data_section, spec, "/data", &lab->options, &lab->arena, &lab->faults);
	cJSON_Delete(spec);
}

/* A loader by OPTIONS on INFO; NULL: its faults stay in LAB. */
static inline struct loader *lab_create(struct lab *lab, const char *options, const char *info)
{
	cJSON *parsed = lab_json(info);

	loader_free(lab->l);
	lab_read_options(lab, options);
	lab->l = lab->faults.n_found ? NULL : loader_create(&lab->options, parsed, &lab->faults);
	cJSON_Delete(parsed);
	return lab->l;
}

static inline td_status lab_try_open(struct lab *lab, uint64_t seed)
{
	err_clear(&lab->err);
	return loader_open(lab->l, lab->folder, seed, &lab->pointer, &lab->err);
}

static inline struct loader *lab_open(struct lab *lab, const char *options, const char *info, uint64_t seed)
{
	if (!lab_create(lab, options, info))
		fail_msg("%s: %s", lab->faults.items[0].pointer, lab->faults.items[0].detail);
	if (lab_try_open(lab, seed) != TD_OK)
		fail_msg("%s", lab->err.text);
	return lab->l;
}

static inline void lab_refused(
	struct lab *lab, const char *options, const char *info, const char *pointer, const char *part_of_detail)
{
	assert_null(lab_create(lab, options, info));
	assert_true(lab->faults.n > 0);
	assert_string_equal(lab->faults.items[0].pointer, pointer);
	if (!strstr(lab->faults.items[0].detail, part_of_detail))
		fail_msg("\"%s\" is not in: %s", part_of_detail, lab->faults.items[0].detail);
}

/* N samples of SPLIT in its own order; rooms are the test's (mem_free X and Y). */
static inline struct data_batch lab_batch(
	struct lab *lab, enum data_split split, int64_t epoch, const int64_t *order, int64_t first, int64_t n)
{
	const struct data_facts *f = loader_facts(lab->l);
	struct data_batch b = { mem_alloc((size_t)n * td_shape_bytes(&f->x)),
		mem_alloc((size_t)n * td_shape_bytes(&f->y)), f->has_lengths ? MEM_NEW_N(int64_t, n) : NULL };

	err_clear(&lab->err);
	if (loader_batch(lab->l, split, epoch, order, first, n, &b, &lab->err) != TD_OK)
		fail_msg("%s", lab->err.text);
	return b;
}

static inline void batch_free(struct data_batch *b)
{
	mem_free(b->x);
	mem_free(b->y);
	mem_free(b->lengths);
}

#define assert_near(a, b, within)                                                                                      \
	do {                                                                                                           \
		double a_ = (double)(a), b_ = (double)(b);                                                             \
		if (!(fabs(a_ - b_) <= (within)))                                                                      \
			fail_msg("%s is %.9g, not %.9g", #a, a_, b_);                                                  \
	} while (0)

#endif
