/* Lists of jobs: orders, filters and pages. */
#include "store/store.h"
#include "test_store.h"

#include <math.h>

static td_status fn_delete(struct store_tx *tx, void *arg, struct err *e)
{
	return store_job_delete(tx, arg, false, e);
}

/* ---- Lists ------------------------------------------------------------------------------------------------------ */

static void collect_name(void *arg, const struct job *j)
{
	buf_printf(arg, "%s ", j->name);
}

/* The names of all pages of LIMIT each, in order. */
static const char *names(struct box *b, struct job_query q, int limit)
{
	static char text[4096];
	char *cursor = NULL, *next;
	struct err e = { 0 };
	struct buf out;

	buf_init(&out, sizeof text - 1);
	buf_puts(&out, "");
	do {
		q.limit = limit;
		q.after = cursor;
		if (store_job_list(b->reader, &q, collect_name, &out, &next, &e) != TD_OK)
			fail_msg("%s", e.text);
		mem_free(cursor);
		cursor = next;
	} while (cursor);
	snprintf(text, sizeof text, "%s", out.data ? out.data : "");
	buf_release(&out);
	return text;
}

static void add_value(struct box *b, const char *id, double v)
{
	assert_int_equal(
		add_points(b, id, "test/accuracy", (struct point[]){ { 1, 1, 0.123 }, { 2, 2, v } }, 2), TD_OK);
}

static void lists_sort_by_column_by_spec_and_by_series_on_pages_of_any_size(void **state)
{
	struct box *b = *state;
	char id[8][ULID_TEXT];

	add_job_with(b, "a", "{\"optimizer\":{\"lr\":0.1},\"layers\":[{\"type\":\"z\"}]}", id[0]);
	add_job_with(b, "b", "{\"optimizer\":{\"lr\":0.001},\"layers\":[{\"type\":\"y\"}]}", id[1]);
	add_job_with(b, "c", "{\"optimizer\":{}}", id[2]);
	add_job_with(b, "d", "{\"optimizer\":{\"lr\":0.01},\"layers\":[{\"type\":\"x\"}]}", id[3]);
	add_job_with(b, "e", "{\"optimizer\":{\"lr\":0.01}}", id[4]);
	add_value(b, id[0], 0.5);
	add_value(b, id[1], NAN);
	add_value(b, id[3], INFINITY);
	add_value(b, id[4], 0.1 + 0.2);
	for (int limit = 1; limit < 7; limit++) {
		assert_string_equal(names(b, (struct job_query){ 0 }, limit), "e d c b a ");
		assert_string_equal(names(b, (struct job_query){ .sort = "name" }, limit), "a b c d e ");
		assert_string_equal(names(b, (struct job_query){ .sort = "-name" }, limit), "e d c b a ");
		assert_string_equal(names(b, (struct job_query){ .sort = "project" }, limit), "e d c b a ");
		assert_string_equal(names(b, (struct job_query){ .sort = "-created" }, limit), "e d c b a ");
		assert_string_equal(names(b, (struct job_query){ .sort = "finished" }, limit), "e d c b a ");
		assert_string_equal(names(b, (struct job_query){ .sort = "/optimizer/lr" }, limit), "b e d a c ");
		assert_string_equal(names(b, (struct job_query){ .sort = "-/optimizer/lr" }, limit), "a e d b c ");
		assert_string_equal(names(b, (struct job_query){ .sort = "/layers/0/type" }, limit), "d b a e c ");
		assert_string_equal(names(b, (struct job_query){ .sort = "test/accuracy" }, limit), "e a d c b ");
		assert_string_equal(names(b, (struct job_query){ .sort = "-test/accuracy" }, limit), "d a e c b ");
	}
}

static void lists_filter(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	struct job tagged = { .state = JOB_QUEUED,
		.name = (char *)"50%_off",
		.project = (char *)"other",
		.owner = (char *)"ann",
		.notes = (char *)"Some Words",
		.tags = (char *)"[\"x\",\"y z\"]",
		.spec = (char *)"{}" };

	add_job_with(b, "gone", "{}", id);
	assert_int_equal(happen(b, id, JOB_EV_CANCEL), TD_OK);
	assert_int_equal(do_tx(b, fn_delete, id), TD_OK);
	add_job_with(b, "plain", "{}", id);
	assert_int_equal(happen(b, id, JOB_EV_ASSIGN), TD_OK);
	assert_int_equal(do_tx(b, fn_insert, &tagged), TD_OK);

	assert_string_equal(names(b, (struct job_query){ 0 }, 10), "50%_off plain ");
	assert_string_equal(names(b, (struct job_query){ .deleted = true }, 10), "50%_off plain gone ");
	assert_string_equal(names(b, (struct job_query){ .project = "other" }, 10), "50%_off ");
	assert_string_equal(names(b, (struct job_query){ .owner = "o" }, 10), "plain ");
	assert_string_equal(names(b, (struct job_query){ .state = "starting" }, 10), "plain ");
	assert_string_equal(names(b, (struct job_query){ .state = "queued,starting" }, 10), "50%_off plain ");
	assert_string_equal(names(b, (struct job_query){ .state = "failed" }, 10), "");
	assert_string_equal(names(b, (struct job_query){ .tag = "y z" }, 10), "50%_off ");
	assert_string_equal(names(b, (struct job_query){ .tag = "y" }, 10), "");
	assert_string_equal(names(b, (struct job_query){ .text = "some w" }, 10), "50%_off ");
	assert_string_equal(names(b, (struct job_query){ .text = "0%_o" }, 10), "50%_off ");
	assert_string_equal(names(b, (struct job_query){ .text = "%" }, 10), "50%_off ");
	assert_string_equal(names(b, (struct job_query){ .text = "5__o" }, 10), "");
	assert_string_equal(names(b, (struct job_query){ .text = id }, 10), "plain ");
}

static void a_page_goes_on_where_it_was_whatever_is_inserted_meanwhile(void **state)
{
	static const char *const orders[] = { NULL, "name", "-priority", "/x", "-a/b" };
	struct box *b = *state;

	for (size_t o = 0; o < TD_COUNT(orders); o++) {
		struct job_query q = { .sort = orders[o], .limit = 7, .project = orders[o] ? orders[o] : "newest" };
		struct buf seen;
		char *cursor = NULL, *next;
		struct err e = { 0 };
		int n = 0;

		buf_init(&seen, 1 << 16);
		buf_puts(&seen, " ");
		for (; n < 40 || cursor; n++) {
			/* Forty jobs first; then pages, with one more job between any two. */
			char name[16], spec[32];
			struct job j = { .state = JOB_QUEUED,
				.name = name,
				.spec = spec,
				.priority = rand() % 5,
				.project = (char *)q.project };

			snprintf(name, sizeof name, "%c%d", 'a' + rand() % 26, n);
			snprintf(spec, sizeof spec, "{\"x\":%d}", rand() % 10);
			assert_int_equal(do_tx(b, fn_insert, &j), TD_OK);
			if (n % 3)
				assert_int_equal(
					add_points(b, j.id, "a/b", (struct point[]){ { 1, 1, rand() % 6 } }, 1), TD_OK);
			if (n < 39)
				continue;
			q.after = cursor;
			assert_int_equal(store_job_list(b->reader, &q, collect_name, &seen, &next, &e), TD_OK);
			mem_free(cursor);
			cursor = next;
		}
		mem_free(cursor);
		/* Each of the first forty is there exactly once; a later one at most once. */
		for (int i = 0; i < n; i++) {
			int times = 0;

			for (const char *p = seen.data; (p = strchr(p, ' ')) && p[1]; p++)
				times += strtol(p + 2, NULL, 10) == i;
			assert_in_range(times, i < 40 ? 1 : 0, 1);
		}
		buf_release(&seen);
	}
}

static void orders_states_and_cursors_that_make_no_sense_are_refused(void **state)
{
	struct box *b = *state;
	char *next, id[ULID_TEXT];
	struct err e = { 0 };
	const struct job_query bad[] = {
		{ .sort = "nmae", .limit = 5 },
		{ .sort = "/a\"b", .limit = 5 },
		{ .state = "runing", .limit = 5 },
		{ .state = "", .limit = 5 },
		{ .after = "zz", .limit = 5 },
		{ .after = "", .limit = 5 },
		{ .after = "7b7d", .limit = 5 },
		{ .limit = 0 },
		{ .limit = 1001 },
	};

	for (size_t i = 0; i < TD_COUNT(bad); i++) {
		struct buf out;

		err_clear(&e);
		buf_init(&out, 1000);
		assert_int_equal(store_job_list(b->reader, &bad[i], collect_name, &out, &next, &e), TD_INVALID);
		assert_null(next);
		if (!i)
			assert_non_null(strstr(e.text, "did you mean 'name'"));
		buf_release(&out);
	}
	/* A cursor of another order. */
	add_job(b, id);
	add_job(b, id);
	struct buf out;
	buf_init(&out, 1000);
	assert_int_equal(store_job_list(b->reader, &(struct job_query){ .sort = "name", .limit = 1 }, collect_name,
				 &out, &next, NULL),
		TD_OK);
	assert_non_null(next);
	err_clear(&e);
	char *again;
	assert_int_equal(store_job_list(b->reader, &(struct job_query){ .sort = "-name", .limit = 1, .after = next },
				 collect_name, &out, &again, &e),
		TD_INVALID);
	mem_free(next);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		box_test(lists_sort_by_column_by_spec_and_by_series_on_pages_of_any_size),
		box_test(lists_filter),
		box_test(a_page_goes_on_where_it_was_whatever_is_inserted_meanwhile),
		box_test(orders_states_and_cursors_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
