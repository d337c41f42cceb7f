/* Jobs: their states, documents and end. */
#include "store/store.h"
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

/* ---- One job ---------------------------------------------------------------------------------------------------- */

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

static td_status fn_reason(struct store_tx *tx, void *arg, struct err *e)
{
	return store_job_set_reason(tx, arg, "waiting_for_threads", "2 of 4", e);
}

static void a_queued_job_says_why_it_waits_and_no_other_does(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	struct job j;
	int64_t seq;

	add_job(b, id);
	assert_int_equal(do_tx(b, fn_reason, id), TD_OK);
	j = get(b, id);
	assert_string_equal(j.reason, "waiting_for_threads");
	assert_string_equal(j.detail, "2 of 4");
	assert_int_equal(j.state, JOB_QUEUED);
	job_release(&j);
	assert_int_equal(happen(b, id, JOB_EV_ASSIGN), TD_OK);
	seq = store_seq(b->store);
	assert_int_equal(do_tx(b, fn_reason, id), TD_OK);
	assert_int_equal(store_seq(b->store), seq);
	j = get(b, id);
	assert_string_equal(j.reason, "test");
	job_release(&j);
}

static void jobs_are_counted_by_state_without_the_deleted(void **state)
{
	struct box *b = *state;
	int64_t counts[JOB_N_STATES];
	char id[ULID_TEXT];

	add_job(b, id);
	add_job(b, id);
	add_job(b, id);
	happen(b, id, JOB_EV_CANCEL);
	add_job(b, id);
	happen(b, id, JOB_EV_CANCEL);
	assert_int_equal(do_tx(b, fn_delete, id), TD_OK);
	assert_int_equal(store_job_counts(b->reader, counts, NULL), TD_OK);
	assert_int_equal(counts[JOB_QUEUED], 2);
	assert_int_equal(counts[JOB_CANCELLED], 1);
	assert_int_equal(counts[JOB_RUNNING], 0);
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
	assert_int_equal(
		add_points(b, id, "test/accuracy", (struct point[]){ { 1, 1, 0.5 }, { 2, 2, NAN } }, 2), TD_OK);
	assert_int_equal(add_points(b, id, "b", (struct point[]){ { 1, 1, 0.1 } }, 1), TD_OK);
	j = get(b, id);
	assert_string_equal(j.summary, "{\"b\":0.1,\"test/accuracy\":\"NaN\"}");
	job_release(&j);
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
		box_test(a_queued_job_says_why_it_waits_and_no_other_does),
		box_test(jobs_are_counted_by_state_without_the_deleted),
		box_test(the_active_jobs_are_those_not_at_their_end_and_the_summary_has_last_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
