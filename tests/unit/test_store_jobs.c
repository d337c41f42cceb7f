/* Jobs, their lists, logs, checkpoints, tokens and idempotency keys. */
#include "test_store.h"

#include <math.h>

static struct job get(struct box *b, const char *id)
{
	struct job j;
	struct err e = { 0 };

	if (store_job_get(b->reader, id, &j, &e) != TD_OK)
		fail_msg("%s", e.text);
	return j;
}

/* ---- One job -------------------------------------------------------------------------------------------------------
 */

static void a_job_comes_back_as_it_was_stored(void **state)
{
	struct box *b = *state;
	struct job in = { .state = JOB_PREPARING,
		.name = (char *)"n\"'; DROP TABLE jobs;--",
		.project = (char *)"p",
		.owner = (char *)"o",
		.notes = (char *)"ü",
		.tags = (char *)"[\"a\"]",
		.spec = (char *)"{\"seed\":7}",
		.checked = (char *)"{}",
		.detail = (char *)"waits",
		.priority = -3,
		.threads = 2,
		.memory_bytes = 1LL << 40,
		.timeout_ms = 5,
		.retries = 4,
		.n_steps = 99 };
	struct job j;

	assert_int_equal(do_tx(b, fn_insert, &in), TD_OK);
	j = get(b, in.id);
	assert_int_equal(j.state, JOB_PREPARING);
	assert_string_equal(j.name, in.name);
	assert_string_equal(j.notes, in.notes);
	assert_string_equal(j.tags, in.tags);
	assert_string_equal(j.spec, in.spec);
	assert_string_equal(j.checked, in.checked);
	assert_string_equal(j.detail, in.detail);
	assert_string_equal(j.reason, "submitted");
	assert_string_equal(j.summary, "{}");
	assert_null(j.error);
	assert_int_equal(j.priority, -3);
	assert_int_equal(j.memory_bytes, 1LL << 40);
	assert_int_equal(j.timeout_ms, 5);
	assert_int_equal(j.retries, 4);
	assert_int_equal(j.n_steps, 99);
	assert_int_equal(j.seq, in.seq);
	assert_int_equal(j.created_ms, in.created_ms);
	assert_int_equal(j.queued_ms, 0);
	job_release(&j);
}

static void collect_transition(void *arg, const struct transition *t)
{
	struct buf *out = arg;

	buf_printf(out, "%s>%s:%d ", job_state_name(t->from), job_state_name(t->to), t->attempt);
}

static void a_life_with_interruptions_counts_attempts_and_time(void **state)
{
	struct box *b = *state;
	static const enum job_event life[] = { JOB_EV_ASSIGN, JOB_EV_STARTED, JOB_EV_LOST, JOB_EV_REQUEUE,
		JOB_EV_ASSIGN, JOB_EV_PAUSE, JOB_EV_STARTED, JOB_EV_STOPPED, JOB_EV_RESUME, JOB_EV_ASSIGN,
		JOB_EV_STARTED, JOB_EV_DONE };
	struct err e = { 0 };
	struct job j;
	struct buf path;
	char id[ULID_TEXT];
	int64_t queued_ms;

	add_job(b, id);
	j = get(b, id);
	queued_ms = j.queued_ms;
	assert_true(queued_ms > 0);
	job_release(&j);
	for (size_t i = 0; i < TD_COUNT(life); i++) {
		usleep(3000);
		assert_int_equal(happen(b, id, life[i]), TD_OK);
		j = get(b, id);
		if (life[i] == JOB_EV_ASSIGN)
			assert_true(j.started_ms == 0 && j.acked == 0);
		if (life[i] == JOB_EV_REQUEUE)
			assert_int_equal(j.queued_ms, queued_ms); /* keeps its place */
		if (life[i] == JOB_EV_RESUME)
			assert_true(j.queued_ms > queued_ms); /* was its user's wish */
		job_release(&j);
	}
	j = get(b, id);
	assert_int_equal(j.state, JOB_SUCCEEDED);
	assert_int_equal(j.attempt, 3);
	assert_in_range(j.run_ms, 3, 3000);
	assert_true(j.finished_ms >= j.started_ms && j.started_ms > queued_ms);
	job_release(&j);
	buf_init(&path, 4096);
	assert_int_equal(store_transitions(b->reader, id, collect_transition, &path, &e), TD_OK);
	assert_string_equal(path.data,
		"queued>queued:0 queued>starting:1 starting>running:1 running>interrupted:1 interrupted>queued:1 "
		"queued>starting:2 starting>pausing:2 pausing>pausing:2 pausing>paused:2 paused>queued:2 "
		"queued>starting:3 "
		"starting>running:3 running>succeeded:3 ");
	buf_release(&path);
	assert_int_equal(happen(b, id, JOB_EV_CANCEL), TD_CONFLICT);
	assert_non_null(strstr(b->err.text, "is succeeded"));
	assert_int_equal(happen(b, "01ARZ3NDEKTSV4RRFFQ69G5FAV", JOB_EV_CANCEL), TD_NOT_FOUND);
}

struct accept_args {
	const char *id;
	int attempt;
	int64_t number;
	bool accepted;
};

static td_status fn_accept(struct store_tx *tx, void *arg, struct err *e)
{
	struct accept_args *a = arg;

	(void)e;
	a->accepted = store_job_accept(tx, a->id, a->attempt, a->number);
	return TD_OK;
}

static bool accepts(struct box *b, const char *id, int attempt, int64_t number)
{
	struct accept_args a = { id, attempt, number, false };

	assert_int_equal(do_tx(b, fn_accept, &a), TD_OK);
	return a.accepted;
}

static void messages_are_taken_once_and_only_from_the_present_attempt(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];

	add_job(b, id);
	assert_false(accepts(b, id, 0, 1)); /* nobody works on it */
	happen(b, id, JOB_EV_ASSIGN);
	assert_true(accepts(b, id, 1, 1));
	assert_false(accepts(b, id, 1, 1));
	assert_true(accepts(b, id, 1, 5));
	assert_false(accepts(b, id, 1, 4));
	happen(b, id, JOB_EV_LOST);
	assert_false(accepts(b, id, 1, 6)); /* given up */
	happen(b, id, JOB_EV_REQUEUE);
	happen(b, id, JOB_EV_ASSIGN);
	assert_false(accepts(b, id, 1, 7)); /* stale */
	assert_true(accepts(b, id, 2, 1));
	assert_false(accepts(b, "01ARZ3NDEKTSV4RRFFQ69G5FAV", 1, 1));
}

static td_status fn_patch(struct store_tx *tx, void *arg, struct err *e)
{
	int priority = 9;
	struct job_patch p = { .notes = "new", .priority = &priority };

	return store_job_patch(tx, arg, &p, e);
}

static td_status fn_delete(struct store_tx *tx, void *arg, struct err *e)
{
	return store_job_delete(tx, arg, false, e);
}

static td_status fn_purge(struct store_tx *tx, void *arg, struct err *e)
{
	return store_job_delete(tx, arg, true, e);
}

static void a_patch_changes_what_it_names_and_nothing_else(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	struct job j;

	add_job_with(b, "kept", "{}", id);
	assert_int_equal(do_tx(b, fn_patch, id), TD_OK);
	j = get(b, id);
	assert_string_equal(j.name, "kept");
	assert_string_equal(j.notes, "new");
	assert_int_equal(j.priority, 9);
	job_release(&j);
	assert_int_equal(do_tx(b, fn_patch, (void *)"nobody"), TD_NOT_FOUND);
}

static td_status fn_documents(struct store_tx *tx, void *arg, struct err *e)
{
	td_status s = store_job_set_report(tx, arg, "{\"r\":1}", e);

	s = s ? s : store_job_set_report(tx, arg, "{\"r\":2}", e);
	s = s ? s : store_job_set_graph(tx, arg, "{\"g\":1}", e);
	s = s ? s : store_job_set_engine(tx, arg, "{\"f\":1}", e);
	return s ? s : store_job_set_error(tx, arg, "{\"e\":1}", e);
}

static void documents_are_kept_and_the_last_one_counts(void **state)
{
	struct box *b = *state;
	struct err e = { 0 };
	char id[ULID_TEXT], *json;
	struct job j;

	add_job(b, id);
	assert_int_equal(store_report_get(b->reader, id, &json, &e), TD_NOT_FOUND);
	assert_int_equal(do_tx(b, fn_documents, id), TD_OK);
	assert_int_equal(store_report_get(b->reader, id, &json, NULL), TD_OK);
	assert_string_equal(json, "{\"r\":2}");
	mem_free(json);
	assert_int_equal(store_graph_get(b->reader, id, &json, NULL), TD_OK);
	assert_string_equal(json, "{\"g\":1}");
	mem_free(json);
	j = get(b, id);
	assert_string_equal(j.engine, "{\"f\":1}");
	assert_string_equal(j.error, "{\"e\":1}");
	job_release(&j);
	assert_int_equal(do_tx(b, fn_documents, (void *)"nobody"), TD_NOT_FOUND);
}

static void only_a_finished_job_is_deleted_and_a_purge_leaves_no_row(void **state)
{
	static const char *const tables[] = { "documents", "transitions", "log", "series", "artifacts" };
	struct box *b = *state;
	struct err e = { 0 };
	char id[ULID_TEXT];
	struct job j;

	add_job(b, id);
	assert_int_equal(do_tx(b, fn_delete, id), TD_CONFLICT);
	assert_int_equal(add_points(b, id, "a", (struct point[]){ { 1, 1, 1 } }, 1), TD_OK);
	assert_int_equal(do_tx(b, fn_log, &(struct log_args){ id, "x" }), TD_OK);
	assert_int_equal(happen(b, id, JOB_EV_CANCEL), TD_OK);
	assert_int_equal(do_tx(b, fn_delete, id), TD_OK);
	j = get(b, id);
	assert_true(j.deleted);
	job_release(&j);
	assert_int_equal(do_tx(b, fn_purge, id), TD_OK);
	assert_int_equal(store_job_get(b->reader, id, &j, &e), TD_NOT_FOUND);
	for (size_t i = 0; i < TD_COUNT(tables); i++) {
		char sql[64];
		struct query q;

		snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", tables[i]);
		query_begin(&q, &b->reader->db, NULL, sql);
		assert_true(query_row(&q));
		assert_int_equal(query_get_int(&q, 0), 0);
		query_end(&q);
	}
}

/* ---- Lists ---------------------------------------------------------------------------------------------------------
 */

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
				times += atoi(p + 2) == i;
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

static void count_job(void *arg, const struct job *j)
{
	assert_false(job_state_terminal(j->state));
	++*(int *)arg;
}

static void the_active_jobs_are_those_not_at_their_end_and_the_summary_has_last_values(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	struct job j;
	int n = 0;

	add_job(b, id);
	happen(b, id, JOB_EV_CANCEL);
	add_job(b, id);
	happen(b, id, JOB_EV_ASSIGN);
	add_job(b, id);
	assert_int_equal(store_job_active(b->reader, count_job, &n, NULL), TD_OK);
	assert_int_equal(n, 2);
	add_value(b, id, NAN);
	assert_int_equal(add_points(b, id, "b", (struct point[]){ { 1, 1, 0.1 } }, 1), TD_OK);
	j = get(b, id);
	assert_string_equal(j.summary, "{\"b\":0.1,\"test/accuracy\":\"NaN\"}");
	job_release(&j);
}

/* ---- Log -----------------------------------------------------------------------------------------------------------
 */

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
			strcpy(text + n, "\n"); /* makes no empty line */
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

/* ---- Checkpoints and artifacts -------------------------------------------------------------------------------------
 */

struct checkpoint_args {
	const char *id;
	struct artifact a;
	char *obsolete;
};

static td_status fn_checkpoint(struct store_tx *tx, void *arg, struct err *e)
{
	struct checkpoint_args *c = arg;

	return store_checkpoint_add(tx, c->id, &c->a, &c->obsolete, e);
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

/* ---- Tokens and idempotency ----------------------------------------------------------------------------------------
 */

struct token_args {
	struct token t;
	const char *hash;
};

static td_status fn_token(struct store_tx *tx, void *arg, struct err *e)
{
	struct token_args *a = arg;

	return store_token_add(tx, &a->t, a->hash, e);
}

static td_status fn_revoke(struct store_tx *tx, void *arg, struct err *e)
{
	return store_token_revoke(tx, arg, e);
}

static void tokens_are_found_until_they_expire_or_are_revoked(void **state)
{
	struct box *b = *state;
	struct token_args a = {
		{ .owner = (char *)"ann", .note = (char *)"laptop", .scope = SCOPE_RUN, .expires_ms = 1000 }, "h"
	};
	struct token_args forever = { { .owner = (char *)"bob", .scope = SCOPE_ADMIN }, "h2" };
	struct token t;
	int64_t n;

	assert_int_equal(do_tx(b, fn_token, &a), TD_OK);
	assert_int_equal(do_tx(b, fn_token, &forever), TD_OK);
	assert_int_equal(do_tx(b, fn_token, &forever), TD_CONFLICT); /* the same hash */
	assert_int_equal(store_token_find(b->reader, "h", 999, &t, NULL), TD_OK);
	assert_string_equal(t.owner, "ann");
	assert_string_equal(t.note, "laptop");
	assert_int_equal(t.scope, SCOPE_RUN);
	token_release(&t);
	assert_int_equal(store_token_find(b->reader, "h", 1000, &t, NULL), TD_NOT_FOUND);
	assert_int_equal(store_token_find(b->reader, "H2", 1, &t, NULL), TD_NOT_FOUND);
	assert_int_equal(store_token_find(b->reader, "h2", INT64_MAX, &t, NULL), TD_OK);
	assert_int_equal(do_tx(b, fn_revoke, t.id), TD_OK);
	assert_int_equal(do_tx(b, fn_revoke, t.id), TD_NOT_FOUND);
	token_release(&t);
	assert_int_equal(store_token_find(b->reader, "h2", 1, &t, NULL), TD_NOT_FOUND);
	assert_int_equal(store_token_count(b->reader, &n, NULL), TD_OK);
	assert_int_equal(n, 2);
}

struct key_args {
	const char *owner, *key, *hash;
	int64_t age_ms; /* pretend that so much time has passed */
	bool replay;
	int status;
	char *body;
};

static td_status fn_begin(struct store_tx *tx, void *arg, struct err *e)
{
	struct key_args *a = arg;

	tx->now_ms += a->age_ms;
	return store_idempotency_begin(tx, a->owner, a->key, a->hash, &a->replay, &a->status, &a->body, e);
}

static td_status fn_end(struct store_tx *tx, void *arg, struct err *e)
{
	struct key_args *a = arg;

	return store_idempotency_end(tx, a->owner, a->key, 201, "{\"id\":1}", e);
}

static void a_key_answers_again_for_a_day_and_never_for_another_request(void **state)
{
	struct box *b = *state;
	struct key_args a = { .owner = "o", .key = "k", .hash = "h1" }, again = a, other = a, stranger = a;

	assert_int_equal(do_tx(b, fn_begin, &a), TD_OK);
	assert_false(a.replay);
	assert_int_equal(do_tx(b, fn_begin, &again), TD_BUSY);
	again.age_ms = STORE_RESERVED_MS + 1000; /* whoever reserved it has died */
	assert_int_equal(do_tx(b, fn_begin, &again), TD_OK);
	assert_false(again.replay);
	again.age_ms = 0;
	assert_int_equal(do_tx(b, fn_end, &a), TD_OK);
	assert_int_equal(do_tx(b, fn_begin, &again), TD_OK);
	assert_true(again.replay);
	assert_int_equal(again.status, 201);
	assert_string_equal(again.body, "{\"id\":1}");
	mem_free(again.body);
	other.hash = "h2";
	assert_int_equal(do_tx(b, fn_begin, &other), TD_CONFLICT);
	stranger.owner = "p"; /* keys belong to their owner */
	assert_int_equal(do_tx(b, fn_begin, &stranger), TD_OK);
	assert_false(stranger.replay);
	other.age_ms = STORE_IDEMPOTENCY_MS + STORE_RESERVED_MS + 2000;
	assert_int_equal(do_tx(b, fn_begin, &other), TD_OK);
	assert_false(other.replay);
}

static void collect_file(void *arg, const struct dataset_file *f)
{
	buf_printf(arg, "%s/%s:%s:%lld/%lld ", f->dataset, f->file, f->state, (long long)f->n_fetched,
		(long long)f->n_bytes);
}

static td_status fn_file(struct store_tx *tx, void *arg, struct err *e)
{
	return store_dataset_file_set(tx, arg, e);
}

static void a_download_is_remembered(void **state)
{
	struct box *b = *state;
	struct dataset_file f = {
		.dataset = "d", .file = "f", .url = "u", .sha256 = "s", .n_bytes = 10, .state = "fetching"
	};
	struct buf out;

	buf_init(&out, 1000);
	assert_int_equal(do_tx(b, fn_file, &f), TD_OK);
	f.n_fetched = 10;
	f.state = "ready";
	assert_int_equal(do_tx(b, fn_file, &f), TD_OK);
	assert_int_equal(store_dataset_files(b->reader, "d", collect_file, &out, NULL), TD_OK);
	assert_string_equal(out.data, "d/f:ready:10/10 ");
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		box_test(a_job_comes_back_as_it_was_stored),
		box_test(a_life_with_interruptions_counts_attempts_and_time),
		box_test(messages_are_taken_once_and_only_from_the_present_attempt),
		box_test(a_patch_changes_what_it_names_and_nothing_else),
		box_test(documents_are_kept_and_the_last_one_counts),
		box_test(only_a_finished_job_is_deleted_and_a_purge_leaves_no_row),
		box_test(lists_sort_by_column_by_spec_and_by_series_on_pages_of_any_size),
		box_test(lists_filter),
		box_test(a_page_goes_on_where_it_was_whatever_is_inserted_meanwhile),
		box_test(orders_states_and_cursors_that_make_no_sense_are_refused),
		box_test(the_active_jobs_are_those_not_at_their_end_and_the_summary_has_last_values),
		box_test(the_log_is_one_stream_of_bytes_from_any_offset),
		box_test(a_long_line_is_cut_between_two_characters_and_says_so),
		box_test(a_full_log_says_so_once_and_takes_no_more),
		box_test(a_new_checkpoint_makes_the_one_before_obsolete_unless_something_names_it),
		box_test(tokens_are_found_until_they_expire_or_are_revoked),
		box_test(a_key_answers_again_for_a_day_and_never_for_another_request),
		box_test(a_download_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
