/* Sweeps and histograms in the store: every step happens once, whoever tries it again. */
#include "store/store.h"
#include "test_store.h"

#include <math.h>

/* ---- Sweeps ------------------------------------------------------------------------------------------------------ */

static td_status fn_sweep(struct store_tx *tx, void *arg, struct err *e)
{
	struct sweep_row *s = arg;
	const struct sweep_plan plans[] = { { (char *)"{\"/seed\":0}", (char *)"{\"seed\":0}" },
		{ (char *)"{\"/seed\":1}", (char *)"{\"seed\":1}" },
		{ (char *)"{\"/seed\":2}", (char *)"{\"seed\":2}" } };

	return store_sweep_insert(tx, s, plans, 3, e);
}

static void add_sweep(struct box *b, char id[ULID_TEXT])
{
	struct sweep_row s = { .name = (char *)"s", .owner = (char *)"o", .document = (char *)"{}" };

	assert_int_equal(do_tx(b, fn_sweep, &s), TD_OK);
	memcpy(id, s.id, ULID_TEXT);
}

struct child_args {
	const char *id;
	int index, rung;
	int64_t step;
	double value;
	bool has_value, pass;
	enum job_state state;
	char job[ULID_TEXT];
};

/* What the control loop does to make a child a job. */
static td_status fn_bear(struct store_tx *tx, void *arg, struct err *e)
{
	struct child_args *a = arg;
	struct job j = { .state = JOB_QUEUED, .sweep = (char *)a->id, .sweep_index = a->index, .retries = 1 };
	char *spec;

	if (store_sweep_plan_take(tx, a->id, a->index, &spec, e))
		return e->status;
	j.spec = spec;
	if (!store_job_insert(tx, &j, e))
		store_sweep_child_started(tx, a->id, a->index, j.id, e);
	memcpy(a->job, j.id, ULID_TEXT);
	mem_free(spec);
	return e->status;
}

static td_status fn_decide(struct store_tx *tx, void *arg, struct err *e)
{
	const struct child_args *a = arg;

	return store_sweep_decide(tx, a->id, a->index, a->rung, a->step, a->value, a->pass, e);
}

static td_status fn_over(struct store_tx *tx, void *arg, struct err *e)
{
	const struct child_args *a = arg;

	return store_sweep_child_over(tx, a->id, a->index, a->state, a->has_value ? &a->value : NULL, e);
}

static td_status fn_end(struct store_tx *tx, void *arg, struct err *e)
{
	return store_sweep_end(tx, arg, SWEEP_SUCCEEDED, e);
}

static td_status fn_cancel(struct store_tx *tx, void *arg, struct err *e)
{
	return store_sweep_end(tx, arg, SWEEP_CANCELLED, e) ? e->status : store_sweep_cancel_jobs(tx, arg, "test", e);
}

static td_status fn_purge(struct store_tx *tx, void *arg, struct err *e)
{
	return store_job_delete(tx, arg, true, e);
}

struct children {
	int n;
	struct sweep_child_row rows[4]; /* without their texts */
	char jobs[4][ULID_TEXT];
	double rungs[4][4];
};

static void take_child(void *arg, const struct sweep_child_row *c)
{
	struct children *all = arg;

	all->rows[all->n] = *c;
	snprintf(all->jobs[all->n], ULID_TEXT, "%s", c->job ? c->job : "");
	for (int i = 0; i < c->n_rungs; i++)
		all->rungs[all->n][i] = c->rung_values[i];
	all->n++;
}

static struct children children(struct box *b, const char *id, const char *metric, bool planned)
{
	struct children all = { 0 };
	struct err e = { 0 };

	if (store_sweep_children(b->reader, id, metric, planned, take_child, &all, &e))
		fail_msg("%s", e.text);
	return all;
}

static void a_child_becomes_a_job_once_and_the_job_says_what_it_is_a_child_of(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	struct child_args one = { .id = id, .index = 1 };
	struct children all;
	struct job j;

	add_sweep(b, id);
	assert_int_equal(children(b, id, "val/loss", false).n, 0);
	assert_int_equal(children(b, id, "val/loss", true).n, 3);
	assert_int_equal(do_tx(b, fn_bear, &one), TD_OK);
	assert_int_equal(do_tx(b, fn_bear, &(struct child_args){ .id = id, .index = 1 }), TD_CONFLICT);
	assert_int_equal(do_tx(b, fn_bear, &(struct child_args){ .id = id, .index = 7 }), TD_CONFLICT);
	all = children(b, id, "val/loss", false);
	assert_int_equal(all.n, 1);
	assert_string_equal(all.jobs[0], one.job);
	assert_int_equal(all.rows[0].state, JOB_QUEUED);
	assert_int_equal(store_job_get(b->reader, one.job, &j, NULL), TD_OK);
	assert_string_equal(j.sweep, id);
	assert_int_equal(j.sweep_index, 1);
	assert_string_equal(j.params, "{\"/seed\":1}");
	assert_string_equal(j.spec, "{\"seed\":1}");
	job_release(&j);
}

static td_status fn_twin(struct store_tx *tx, void *arg, struct err *e)
{
	const struct child_args *a = arg;
	struct job j = { .state = JOB_QUEUED, .sweep = (char *)a->id, .sweep_index = a->index, .spec = (char *)"{}" };

	return store_job_insert(tx, &j, e);
}

static void two_jobs_can_never_be_the_same_child(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	struct child_args one = { .id = id, .index = 0 };

	add_sweep(b, id);
	assert_int_equal(do_tx(b, fn_bear, &one), TD_OK);
	assert_int_not_equal(do_tx(b, fn_twin, &one), TD_OK);
}

static void a_decision_is_made_once_with_its_value_to_the_bit(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	struct child_args pass = { .id = id, .step = 10, .value = 0.1, .pass = true },
			  stop = { .id = id, .rung = 1, .step = 31, .value = NAN };
	struct children all;

	add_sweep(b, id);
	assert_int_equal(do_tx(b, fn_bear, &pass), TD_OK);
	assert_int_equal(do_tx(b, fn_decide, &pass), TD_OK);
	pass.pass = false;
	assert_int_equal(do_tx(b, fn_decide, &pass), TD_CONFLICT);
	assert_false(children(b, id, "x", false).rows[0].stopped);
	assert_int_equal(do_tx(b, fn_decide, &stop), TD_OK);
	all = children(b, id, "x", false);
	assert_int_equal(all.rows[0].n_rungs, 2);
	assert_true(all.rows[0].stopped);
	assert_true(all.rungs[0][0] == 0.1);
	assert_true(isnan(all.rungs[0][1]));
}

static void a_child_keeps_state_and_value_when_its_job_is_purged(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	struct child_args one = { .id = id, .value = -0.0, .has_value = true, .state = JOB_SUCCEEDED };
	const struct point points[] = { { 1, 1, 3.0 }, { 2, 2, 2.5 } };
	struct children all;

	add_sweep(b, id);
	assert_int_equal(do_tx(b, fn_bear, &one), TD_OK);
	assert_int_equal(add_points(b, one.job, "val/loss", points, 2), TD_OK);
	all = children(b, id, "val/loss", false);
	assert_true(all.rows[0].has_last && all.rows[0].last == 2.5);
	assert_false(children(b, id, "val/accuracy", false).rows[0].has_last);
	assert_int_equal(happen(b, one.job, JOB_EV_CANCEL), TD_OK);
	assert_int_equal(do_tx(b, fn_over, &one), TD_OK);
	assert_int_equal(do_tx(b, fn_purge, one.job), TD_OK);
	all = children(b, id, "val/loss", false);
	assert_true(all.rows[0].gone && all.rows[0].over && all.rows[0].has_value);
	assert_int_equal(all.rows[0].state, JOB_SUCCEEDED); /* as it was recorded */
	assert_true(all.rows[0].value == 0 && signbit(all.rows[0].value));
}

static void nothing_happens_to_a_sweep_that_is_over(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	struct child_args one = { .id = id, .step = 1 };
	struct sweep_row row;

	add_sweep(b, id);
	assert_int_equal(do_tx(b, fn_end, id), TD_OK);
	assert_int_equal(do_tx(b, fn_end, id), TD_CONFLICT);
	assert_int_equal(do_tx(b, fn_bear, &one), TD_CONFLICT);
	assert_int_equal(do_tx(b, fn_decide, &one), TD_CONFLICT);
	assert_int_equal(store_sweep_get(b->reader, id, &row, NULL), TD_OK);
	assert_int_equal(row.state, SWEEP_SUCCEEDED);
	assert_true(row.finished_ms >= row.created_ms && row.created_ms > 0);
	sweep_row_release(&row);
	assert_int_equal(do_tx(b, fn_end, (void *)"nosuch"), TD_NOT_FOUND);
}

static void cancelling_a_sweep_cancels_its_jobs_in_whatever_state_they_are(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	struct child_args queued = { .id = id }, running = { .id = id, .index = 1 }, done = { .id = id, .index = 2 };
	struct children all;

	add_sweep(b, id);
	assert_int_equal(do_tx(b, fn_bear, &queued), TD_OK);
	assert_int_equal(do_tx(b, fn_bear, &running), TD_OK);
	assert_int_equal(do_tx(b, fn_bear, &done), TD_OK);
	assert_int_equal(happen(b, running.job, JOB_EV_ASSIGN), TD_OK);
	assert_int_equal(happen(b, done.job, JOB_EV_ASSIGN), TD_OK);
	assert_int_equal(happen(b, done.job, JOB_EV_STARTED), TD_OK);
	assert_int_equal(happen(b, done.job, JOB_EV_DONE), TD_OK);
	assert_int_equal(do_tx(b, fn_cancel, id), TD_OK);
	all = children(b, id, "x", false);
	assert_int_equal(all.rows[0].state, JOB_CANCELLED);
	assert_int_equal(all.rows[1].state, JOB_CANCELLING);
	assert_int_equal(all.rows[2].state, JOB_SUCCEEDED);
}

static void count_row(void *arg, const struct sweep_row *s)
{
	(void)s;
	++*(int *)arg;
}

static void only_so_many_sweeps_run_at_once(void **state)
{
	struct box *b = *state;
	struct sweep_row s = { .name = (char *)"s", .owner = (char *)"o", .document = (char *)"{}" };
	char id[ULID_TEXT];
	int n = 0;

	for (int i = 0; i < STORE_SWEEPS_MOST; i++)
		add_sweep(b, id);
	assert_int_equal(do_tx(b, fn_sweep, &s), TD_BUSY);
	assert_int_equal(do_tx(b, fn_end, id), TD_OK);
	add_sweep(b, id);
	assert_int_equal(store_sweep_list(b->reader, true, NULL, 100, count_row, &n, NULL), TD_OK);
	assert_int_equal(n, STORE_SWEEPS_MOST);
}

/* ---- External jobs ----------------------------------------------------------------------------------------------- */

static td_status fn_outside(struct store_tx *tx, void *arg, struct err *e)
{
	return store_job_outside(tx, arg, e);
}

static void only_a_running_external_job_is_told_from_outside(void **state)
{
	struct box *b = *state;
	struct job j = { .state = JOB_QUEUED, .spec = (char *)"{}", .kind = (char *)"external" };
	char id[ULID_TEXT];

	add_job(b, id);
	assert_int_equal(do_tx(b, fn_outside, id), TD_CONFLICT);
	assert_int_equal(do_tx(b, fn_outside, (void *)"nosuch"), TD_NOT_FOUND);
	assert_int_equal(do_tx(b, fn_insert, &j), TD_OK);
	assert_int_equal(do_tx(b, fn_outside, j.id), TD_CONFLICT);
	assert_int_equal(happen(b, j.id, JOB_EV_BEGIN), TD_OK);
	assert_int_equal(do_tx(b, fn_outside, j.id), TD_OK);
	assert_int_equal(happen(b, j.id, JOB_EV_DONE), TD_OK);
	assert_int_equal(do_tx(b, fn_outside, j.id), TD_CONFLICT);
}

/* ---- Histograms -------------------------------------------------------------------------------------------------- */

struct histogram_args {
	const char *id, *name, *edges, *counts;
	int64_t from, to;
};

static td_status fn_histograms(struct store_tx *tx, void *arg, struct err *e)
{
	const struct histogram_args *a = arg;
	cJSON *edges = cJSON_Parse(a->edges), *counts = cJSON_Parse(a->counts);

	for (int64_t step = a->from; step <= a->to && !e->status; step++)
		store_histogram_add(tx, a->id, a->name, step, edges, counts, e);
	cJSON_Delete(edges);
	cJSON_Delete(counts);
	return e->status;
}

static void take_step(void *arg, int64_t step, const char *data)
{
	assert_non_null(strstr(data, "\"edges\""));
	buf_printf(arg, "%lld ", (long long)step);
}

static const char *steps(struct box *b, const char *id, const char *name, int most)
{
	static char text[400];
	struct buf out;

	buf_init(&out, sizeof text);
	assert_int_equal(store_histograms(b->reader, id, name, most, take_step, &out, NULL), TD_OK);
	snprintf(text, sizeof text, "%s", out.data ? out.data : "");
	buf_release(&out);
	return text;
}

static void take_name(void *arg, const char *name, int64_t n, int64_t last_step)
{
	buf_printf(arg, "%s:%lld:%lld ", name, (long long)n, (long long)last_step);
}

static void histograms_are_kept_by_step_spread_evenly_and_taken_back_by_a_rewind(void **state)
{
	struct box *b = *state;
	struct histogram_args a = { .name = "weights/0", .edges = "[0,1,2]", .counts = "[3,4]", .from = 1, .to = 10 };
	char id[ULID_TEXT];
	struct buf out;

	add_job(b, id);
	a.id = id;
	assert_int_equal(do_tx(b, fn_histograms, &a), TD_OK);
	a.to = 3; /* again, as after a restart: no twins */
	assert_int_equal(do_tx(b, fn_histograms, &a), TD_OK);
	assert_string_equal(steps(b, id, "weights/0", 100), "1 2 3 4 5 6 7 8 9 10 ");
	assert_string_equal(steps(b, id, "weights/0", 5), "2 4 6 8 10 ");
	assert_string_equal(steps(b, id, "weights/0", 1), "10 ");
	assert_string_equal(steps(b, id, "weights/1", 5), "");
	assert_int_equal(do_tx(b, fn_rewind, &(struct step_args){ id, 4 }), TD_OK);
	assert_string_equal(steps(b, id, "weights/0", 100), "1 2 3 4 ");
	buf_init(&out, 100);
	assert_int_equal(store_histogram_names(b->reader, id, take_name, &out, NULL), TD_OK);
	assert_string_equal(out.data, "weights/0:4:4 ");
	buf_release(&out);
}

static void of_too_many_histograms_the_oldest_go(void **state)
{
	struct box *b = *state;
	struct histogram_args a = {
		.name = "w", .edges = "[0,1]", .counts = "[1]", .from = 1, .to = STORE_HISTOGRAMS_MOST + 5
	};
	char id[ULID_TEXT];
	struct buf out;
	char expected[60];

	add_job(b, id);
	a.id = id;
	assert_int_equal(do_tx(b, fn_histograms, &a), TD_OK);
	buf_init(&out, 100);
	assert_int_equal(store_histogram_names(b->reader, id, take_name, &out, NULL), TD_OK);
	snprintf(expected, sizeof expected, "w:%d:%d ", STORE_HISTOGRAMS_MOST, STORE_HISTOGRAMS_MOST + 5);
	assert_string_equal(out.data, expected);
	buf_release(&out);
}

static void a_histogram_that_is_none_is_refused(void **state)
{
	static const struct histogram_args cases[] = {
		{ .name = "", .edges = "[0,1]", .counts = "[1]" },
		{ .name = "w", .edges = "[0,1]", .counts = "[]" },
		{ .name = "w", .edges = "[0,1,2]", .counts = "[1]" },
		{ .name = "w", .edges = "[1,0]", .counts = "[1]" },
		{ .name = "w", .edges = "[0,1]", .counts = "[-1]" },
		{ .name = "w", .edges = "[0,\"1\"]", .counts = "[1]" },
		{ .name = "w", .edges = "{}", .counts = "[1]" },
		{ .name = "w", .edges = "[0,1]", .counts = "[1]", .from = -1, .to = -1 },
	};
	struct box *b = *state;
	char id[ULID_TEXT];

	add_job(b, id);
	for (size_t i = 0; i < TD_COUNT(cases); i++) {
		struct histogram_args a = cases[i];
		a.id = id;
		assert_int_equal(do_tx(b, fn_histograms, &a), TD_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		box_test(a_child_becomes_a_job_once_and_the_job_says_what_it_is_a_child_of),
		box_test(two_jobs_can_never_be_the_same_child),
		box_test(a_decision_is_made_once_with_its_value_to_the_bit),
		box_test(a_child_keeps_state_and_value_when_its_job_is_purged),
		box_test(nothing_happens_to_a_sweep_that_is_over),
		box_test(cancelling_a_sweep_cancels_its_jobs_in_whatever_state_they_are),
		box_test(only_so_many_sweeps_run_at_once),
		box_test(only_a_running_external_job_is_told_from_outside),
		box_test(histograms_are_kept_by_step_spread_evenly_and_taken_back_by_a_rewind),
		box_test(of_too_many_histograms_the_oldest_go),
		box_test(a_histogram_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
