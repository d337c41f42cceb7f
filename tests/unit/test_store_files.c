/* Logs, checkpoints, artifacts and warnings. */
#include "store/store.h"
#include "test_store.h"

/* ---- Log -------------------------------------------------------------------------------------------------------- */

static void the_log_is_one_stream_of_bytes_from_any_offset(void **state)
{
	struct box *b = *state;
	struct err e = { 0 };
	struct buf model;
	char id[ULID_TEXT], text[9000], *out = mem_alloc(1 << 20);
	int64_t size, got;

	buf_init(&model, 1 << 20);
	add_job(b, id);
	for (int i = 0; i < 120; i++) {
		int n = rand() % (i % 10 ? 200 : 8000);

		for (int k = 0; k < n; k++)
			text[k] = (char)('a' + k % 26);
		text[n] = '\0';
		buf_printf(&model, "2026-01-01T00:00:00.000Z info %s\n", text);
		if (i % 2)
			memcpy(text + n, "\n", 2); /* makes no empty line */
		assert_int_equal(do_tx(b, fn_log, &(struct log_args){ id, text }), TD_OK);
	}
	assert_int_equal(store_log_size(b->reader, id, &size, &e), TD_OK);
	assert_int_equal(size, model.len);
	for (int i = 0; i < 300; i++) {
		int64_t offset = i ? rand() % (size + 100) : 0, n = i ? rand() % 20000 : size;
		int64_t expected = TD_MAX(TD_MIN(n, size - offset), 0);

		assert_int_equal(store_log_read(b->reader, id, offset, out, n, &got, &e), TD_OK);
		assert_int_equal(got, expected);
		assert_memory_equal(out, model.data + TD_MIN(offset, size), (size_t)got);
	}
	assert_int_equal(store_log_size(b->reader, "nobody", &size, &e), TD_NOT_FOUND);
	buf_release(&model);
	mem_free(out);
}

static void a_long_line_is_cut_between_two_characters_and_says_so(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT], *text = mem_alloc(300001), *out = mem_alloc(300001);
	int64_t got;

	for (int i = 0; i < 300000; i += 3)
		memcpy(text + i, "€", 3);
	add_job(b, id);
	assert_int_equal(do_tx(b, fn_log, &(struct log_args){ id, text }), TD_OK);
	assert_int_equal(store_log_read(b->reader, id, 0, out, 300000, &got, NULL), TD_OK);
	assert_in_range(got, 60000, 70000);
	assert_non_null(strstr(out, "€ ... ("));
	assert_non_null(strstr(out, " bytes more)\n"));
	mem_free(text);
	mem_free(out);
}

static td_status fn_fill_log(struct store_tx *tx, void *arg, struct err *e)
{
	static char line[64001];
	td_status status = TD_OK;

	memset(line, 'l', 64000);
	for (int i = 0; i < 1200 && status == TD_OK; i++)
		status = store_log_append(tx, arg, 0, "info", line, e);
	return status;
}

static void a_full_log_says_so_once_and_takes_no_more(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT], end[600];
	int64_t size, again, got;

	add_job(b, id);
	assert_int_equal(do_tx(b, fn_fill_log, id), TD_OK);
	assert_int_equal(store_log_size(b->reader, id, &size, NULL), TD_OK);
	assert_in_range(size, STORE_LOG_MOST - (140 << 10), STORE_LOG_MOST);
	memset(end, 0, sizeof end);
	assert_int_equal(store_log_read(b->reader, id, size - 100, end, 100, &got, NULL), TD_OK);
	assert_non_null(strstr(end, "nothing more is kept\n"));
	assert_int_equal(do_tx(b, fn_log, &(struct log_args){ id, "late" }), TD_OK);
	assert_int_equal(store_log_size(b->reader, id, &again, NULL), TD_OK);
	assert_int_equal(size, again);
}

/* ---- Checkpoints and artifacts ---------------------------------------------------------------------------------- */

struct checkpoint_args {
	const char *id;
	struct artifact a;
	int keep; /* 0: one */
	char *obsolete;
};

static td_status fn_checkpoint(struct store_tx *tx, void *arg, struct err *e)
{
	struct checkpoint_args *c = arg;

	return store_checkpoint_add(tx, c->id, &c->a, c->keep ? c->keep : 1, &c->obsolete, e);
}

static td_status fn_artifact(struct store_tx *tx, void *arg, struct err *e)
{
	struct checkpoint_args *c = arg;

	return store_artifact_add(tx, c->id, &c->a, e);
}

/* Returns what became obsolete ("" for nothing), in a static buffer. */
static const char *checkpoint(
	struct box *b, const char *id, const char *name, const char *file, const char *kind, int64_t step)
{
	static char text[256];
	struct checkpoint_args c = { .id = id,
		.a = { .name = (char *)name,
			.file = (char *)file,
			.kind = (char *)kind,
			.sha256 = (char *)"00",
			.media_type = (char *)"application/octet-stream",
			.n_bytes = 5,
			.step = step } };

	assert_int_equal(do_tx(b, fn_checkpoint, &c), TD_OK);
	snprintf(text, sizeof text, "%s", c.obsolete ? c.obsolete : "");
	mem_free(c.obsolete);
	return text;
}

static void collect_artifact(void *arg, const struct artifact *a)
{
	buf_printf(arg, "%s=%s:%s ", a->kind, a->file, a->name);
}

static void a_new_checkpoint_makes_the_one_before_obsolete_unless_something_names_it(void **state)
{
	struct box *b = *state;
	struct artifact a;
	struct buf out;
	char id[ULID_TEXT], other[ULID_TEXT];

	add_job(b, id);
	add_job(b, other);
	assert_string_equal(checkpoint(b, other, "step-1", "f1", "last", 1), "");
	assert_string_equal(checkpoint(b, id, "step-1", "f1", "last", 1), "");
	assert_string_equal(checkpoint(b, id, "step-1", "f1", "best", 1), "");
	assert_string_equal(checkpoint(b, id, "step-2", "f2", "last", 2), ""); /* f1 is the best */
	assert_string_equal(checkpoint(b, id, "step-3", "f3", "last", 3), "f2\n");
	assert_string_equal(checkpoint(b, id, "step-3", "f3", "best", 3), "f1\n");
	assert_string_equal(checkpoint(b, id, "step-3", "f3b", "best", 3), ""); /* f3 is the last */
	assert_string_equal(checkpoint(b, id, "step-3", "f3c", "best", 3), "f3b\n");
	buf_init(&out, 1000);
	assert_int_equal(store_artifacts(b->reader, id, "checkpoint", collect_artifact, &out, NULL), TD_OK);
	assert_string_equal(out.data, "best=f3c:step-3 last=f3:step-3 ");
	buf_clear(&out);

	struct checkpoint_args c = { .id = id,
		.a = { .name = (char *)"m.safetensors",
			.file = (char *)"g",
			.sha256 = (char *)"1",
			.media_type = (char *)"x" } };
	assert_int_equal(do_tx(b, fn_artifact, &c), TD_OK);
	c.a.file = (char *)"g2";
	assert_int_equal(do_tx(b, fn_artifact, &c), TD_OK);
	assert_int_equal(store_artifacts(b->reader, id, "artifact", collect_artifact, &out, NULL), TD_OK);
	assert_string_equal(out.data, "artifact=g2:m.safetensors ");
	assert_int_equal(store_artifact_get(b->reader, id, "m.safetensors", &a, NULL), TD_OK);
	assert_int_equal(a.step, -1);
	artifact_release(&a);
	assert_int_equal(store_artifact_get(b->reader, id, "none", &a, NULL), TD_NOT_FOUND);
	buf_release(&out);
}

static void the_newest_of_a_kind_stay_as_many_as_are_asked_for(void **state)
{
	struct box *b = *state;
	struct buf out;
	char id[ULID_TEXT], name[16];

	add_job(b, id);
	assert_string_equal(checkpoint(b, id, "best", "fb", "best", 1), "");
	for (int step = 1; step <= 5; step++) {
		struct checkpoint_args c = { .id = id,
			.a = { .name = name,
				.file = name,
				.kind = (char *)"last",
				.sha256 = (char *)"0",
				.media_type = (char *)"x",
				.step = step },
			.keep = 3 };
		snprintf(name, sizeof name, "f%d", step);
		assert_int_equal(do_tx(b, fn_checkpoint, &c), TD_OK);
		if (step <= 3)
			assert_null(c.obsolete);
		else
			assert_string_equal(c.obsolete, step == 4 ? "f1\n" : "f2\n");
		mem_free(c.obsolete);
	}
	buf_init(&out, 1000);
	assert_int_equal(store_artifacts(b->reader, id, "checkpoint", collect_artifact, &out, NULL), TD_OK);
	assert_string_equal(out.data, "last=f5:f5 last=f4:f4 last=f3:f3 best=fb:best ");
	buf_release(&out);
}

/* ---- Warnings ---------------------------------------------------------------------------------------------------- */

struct warning_args {
	const char *id;
	struct store_warning w;
};

static td_status fn_warning(struct store_tx *tx, void *arg, struct err *e)
{
	const struct warning_args *a = arg;

	return store_warning_add(tx, a->id, &a->w, e);
}

static td_status warn(struct box *b, const char *id, const char *code, const char *layer)
{
	return do_tx(b, fn_warning, &(struct warning_args){ id, { code, layer, "leave it \"out\"", 0 } });
}

static void a_warning_is_kept_once_for_each_code_and_layer_and_is_in_the_log(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT], other[ULID_TEXT], log[1000];
	struct job j;
	int64_t got;

	add_job(b, id);
	add_job(b, other);
	for (int again = 0; again < 3; again++) {
		assert_int_equal(warn(b, id, "double_softmax", "5"), TD_OK);
		assert_int_equal(warn(b, id, "same_order", ""), TD_OK);
		box_shut(b);
		box_open(b);
	}
	assert_int_equal(store_job_get(b->reader, id, &j, NULL), TD_OK);
	assert_string_equal(j.warnings,
		"[{\"code\":\"double_softmax\",\"layer\":\"5\",\"text\":\"leave it \\\"out\\\"\"},"
		"{\"code\":\"same_order\",\"layer\":\"\",\"text\":\"leave it \\\"out\\\"\"}]");
	job_release(&j);
	assert_int_equal(store_log_read(b->reader, id, 0, log, sizeof log - 1, &got, NULL), TD_OK);
	log[got] = '\0';
	assert_string_equal(log, "1970-01-01T00:00:00.000Z warning layer 5: leave it \"out\"\n"
				 "1970-01-01T00:00:00.000Z warning leave it \"out\"\n");
	assert_int_equal(store_job_get(b->reader, other, &j, NULL), TD_OK);
	assert_string_equal(j.warnings, "[]");
	job_release(&j);
}

static void a_job_keeps_no_more_warnings_than_people_read(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT], layer[300];
	struct job j;
	cJSON *list;

	add_job(b, id);
	for (int i = 0; i < STORE_WARNINGS_MOST + 5; i++) {
		snprintf(layer, sizeof layer, "%d", i);
		assert_int_equal(warn(b, id, "unused", layer), TD_OK);
	}
	assert_int_equal(store_job_get(b->reader, id, &j, NULL), TD_OK);
	list = cJSON_Parse(j.warnings);
	assert_int_equal(cJSON_GetArraySize(list), STORE_WARNINGS_MOST);
	cJSON_Delete(list);
	job_release(&j);
	memset(layer, 'x', sizeof layer - 1);
	layer[sizeof layer - 1] = '\0';
	assert_int_equal(warn(b, id, "unused", layer), TD_INVALID);
	assert_int_equal(warn(b, id, "", "0"), TD_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		box_test(the_log_is_one_stream_of_bytes_from_any_offset),
		box_test(a_long_line_is_cut_between_two_characters_and_says_so),
		box_test(a_full_log_says_so_once_and_takes_no_more),
		box_test(a_new_checkpoint_makes_the_one_before_obsolete_unless_something_names_it),
		box_test(the_newest_of_a_kind_stay_as_many_as_are_asked_for),
		box_test(a_warning_is_kept_once_for_each_code_and_layer_and_is_in_the_log),
		box_test(a_job_keeps_no_more_warnings_than_people_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
