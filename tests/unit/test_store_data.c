/* Rows of datasets and models: how they move, what they refuse, what they tell. */
#include "store/store.h"
#include "test_store.h"

static struct dataset make(const char *name, enum data_state state)
{
	return (struct dataset){ .name = (char *)name,
		.state = state,
		.source = (char *)"url",
		.format = (char *)"{}",
		.request = (char *)"{\"url\":\"u\"}",
		.owner = (char *)"ann",
		.max_bytes = 100 };
}

struct insert_args {
	struct dataset *d;
	const struct dataset_file *files;
	int n;
};

static td_status fn_dataset(struct store_tx *tx, void *arg, struct err *e)
{
	const struct insert_args *a = arg;

	return store_dataset_insert(tx, a->d, a->files, a->n, e);
}

static td_status insert(struct box *b, struct dataset *d)
{
	const struct dataset_file files[] = {
		{ .dataset = d->name, .file = "z", .url = "u/z", .n_bytes = -1, .state = "waiting", .position = 0 },
		{ .dataset = d->name, .file = "a", .url = "u/a", .n_bytes = 5, .state = "waiting", .position = 1 },
	};

	return do_tx(b, fn_dataset, &(struct insert_args){ d, files, 2 });
}

struct move_args {
	const char *name;
	struct dataset_move move;
};

static td_status fn_move(struct store_tx *tx, void *arg, struct err *e)
{
	const struct move_args *a = arg;

	return store_dataset_move(tx, a->name, &a->move, e);
}

static td_status move(struct box *b, const char *name, struct dataset_move m)
{
	return do_tx(b, fn_move, &(struct move_args){ name, m });
}

static void expect_state(struct box *b, const char *name, const char *state)
{
	struct dataset d;

	assert_int_equal(store_dataset_get(b->reader, name, &d, NULL), TD_OK);
	assert_string_equal(data_state_name(d.state), state);
	dataset_release(&d);
}

static void a_dataset_goes_from_its_files_to_its_pack(void **state)
{
	struct box *b = *state;
	struct dataset d = make("flowers", DATA_FETCHING), row;

	assert_int_equal(insert(b, &d), TD_OK);
	assert_int_equal(insert(b, &d), TD_CONFLICT);
	assert_int_equal(
		move(b, "flowers", (struct dataset_move){ .from = 1u << DATA_FETCHING, .to = DATA_PREPARING }), TD_OK);
	assert_int_equal(move(b, "flowers",
				 (struct dataset_move){ .from = 1u << DATA_PREPARING,
					 .to = DATA_READY,
					 .pack = "0123",
					 .info = "{\"kind\":\"images\"}",
					 .pack_bytes = 7 }),
		TD_OK);
	assert_int_equal(store_dataset_get(b->reader, "flowers", &row, NULL), TD_OK);
	assert_int_equal(row.state, DATA_READY);
	assert_string_equal(row.pack, "0123");
	assert_string_equal(row.info, "{\"kind\":\"images\"}");
	assert_int_equal(row.pack_bytes, 7);
	assert_int_equal(row.max_bytes, 100);
	assert_string_equal(row.phase, "");
	assert_null(row.detail);
	assert_null(row.folder);
	dataset_release(&row);
	/* Prepared again, what there was is nobody's any more. */
	assert_int_equal(
		move(b, "flowers",
			(struct dataset_move){
				.from = 1u << DATA_READY, .to = DATA_PREPARING, .format = "{\"type\":\"table\"}" }),
		TD_OK);
	assert_int_equal(store_dataset_get(b->reader, "flowers", &row, NULL), TD_OK);
	assert_string_equal(row.format, "{\"type\":\"table\"}");
	assert_null(row.pack);
	assert_null(row.info);
	dataset_release(&row);
}

static void a_move_that_does_not_fit_the_row_is_refused(void **state)
{
	struct box *b = *state;
	struct dataset d = make("d", DATA_PREPARING);
	struct dataset_move m = { .from = 1u << DATA_FETCHING, .to = DATA_READY };

	assert_int_equal(insert(b, &d), TD_OK);
	assert_int_equal(move(b, "d", m), TD_CONFLICT);
	assert_non_null(strstr(b->err.text, "preparing"));
	m.from = 1u << DATA_PREPARING;
	m.created_ms = d.created_ms + 1; /* an order about a dataset of this name that was deleted since */
	assert_int_equal(move(b, "d", m), TD_CONFLICT);
	m.created_ms = d.created_ms;
	m.format_was = "{\"type\":\"text\"}"; /* about a preparation in another way */
	assert_int_equal(move(b, "d", m), TD_CONFLICT);
	expect_state(b, "d", "preparing");
	m.format_was = "{}";
	assert_int_equal(move(b, "d", m), TD_OK);
	assert_int_equal(move(b, "e", m), TD_NOT_FOUND);
}

static void why_it_failed_is_kept_until_it_is_tried_again(void **state)
{
	struct box *b = *state;
	struct dataset d = make("d", DATA_PREPARING), row;

	assert_int_equal(insert(b, &d), TD_OK);
	assert_int_equal(move(b, "d",
				 (struct dataset_move){ .from = 1u << DATA_PREPARING,
					 .to = DATA_FAILED,
					 .detail = "no such column",
					 .pointer = "/format/columns/x" }),
		TD_OK);
	assert_int_equal(store_dataset_get(b->reader, "d", &row, NULL), TD_OK);
	assert_string_equal(row.detail, "no such column");
	assert_string_equal(row.pointer, "/format/columns/x");
	dataset_release(&row);
	assert_int_equal(move(b, "d", (struct dataset_move){ .from = 1u << DATA_FAILED, .to = DATA_PREPARING }), TD_OK);
	assert_int_equal(store_dataset_get(b->reader, "d", &row, NULL), TD_OK);
	assert_null(row.detail);
	assert_null(row.pointer);
	dataset_release(&row);
}

static void collect_name(void *arg, const struct dataset *d)
{
	buf_printf(arg, "%s ", d->name);
}

static void lists_are_in_order_and_the_loop_sees_what_is_under_way(void **state)
{
	struct box *b = *state;
	static const struct {
		const char *name;
		enum data_state state;
	} rows[] = { { "e", DATA_FETCHING }, { "a", DATA_READY }, { "c", DATA_PREPARING }, { "b", DATA_FAILED },
		{ "d", DATA_UPLOADING }, { "f", DATA_CANCELLED } };
	struct buf out;

	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct dataset d = make(rows[i].name, rows[i].state);
		assert_int_equal(insert(b, &d), TD_OK);
	}
	buf_init(&out, 1000);
	assert_int_equal(store_dataset_each(b->reader, false, NULL, -1, collect_name, &out, NULL), TD_OK);
	assert_string_equal(out.data, "a b c d e f ");
	buf_clear(&out);
	assert_int_equal(store_dataset_each(b->reader, true, NULL, -1, collect_name, &out, NULL), TD_OK);
	assert_string_equal(out.data, "c e ");
	buf_clear(&out);
	assert_int_equal(store_dataset_each(b->reader, false, "b", 3, collect_name, &out, NULL), TD_OK);
	assert_string_equal(out.data, "c d e ");
	buf_clear(&out);
	assert_int_equal(store_dataset_each(b->reader, true, "c", 9, collect_name, &out, NULL), TD_OK);
	assert_string_equal(out.data, "e ");
	buf_release(&out);
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

static void collect_file(void *arg, const struct dataset_file *f)
{
	buf_printf(arg, "%d:%s:%s:%lld ", f->position, f->file, f->state, (long long)f->n_bytes);
}

static void expect_files(struct box *b, const char *name, const char *files)
{
	struct buf out;

	buf_init(&out, 1000);
	assert_int_equal(store_dataset_files(b->reader, name, collect_file, &out, NULL), TD_OK);
	assert_string_equal(out.len ? out.data : "", files);
	buf_release(&out);
}

static td_status fn_file(struct store_tx *tx, void *arg, struct err *e)
{
	return store_dataset_file_set(tx, arg, e);
}

static void files_keep_their_order_and_their_cap(void **state)
{
	struct box *b = *state;
	struct dataset d = make("d", DATA_FETCHING);
	struct dataset_file f = { .dataset = "d", .file = "late", .n_bytes = 95, .state = "ready", .position = -1 };

	assert_int_equal(insert(b, &d), TD_OK);
	expect_files(b, "d", "0:z:waiting:-1 1:a:waiting:5 ");
	assert_int_equal(do_tx(b, fn_file, &f), TD_OK);
	expect_files(b, "d", "0:z:waiting:-1 1:a:waiting:5 2:late:ready:95 ");
	f.n_bytes = 96; /* with the other, one more than max_bytes */
	assert_int_equal(do_tx(b, fn_file, &f), TD_TOO_LARGE);
	expect_files(b, "d", "0:z:waiting:-1 1:a:waiting:5 2:late:ready:95 ");
	f.n_bytes = 4;
	assert_int_equal(do_tx(b, fn_file, &f), TD_OK);
	assert_int_equal(
		move(b, "d", (struct dataset_move){ .from = 1u << DATA_FETCHING, .to = DATA_PREPARING }), TD_OK);
	expect_files(b, "d", "0:z:ready:-1 1:a:ready:5 2:late:ready:4 ");
}

static td_status fn_delete(struct store_tx *tx, void *arg, struct err *e)
{
	return store_dataset_unused(tx, arg, e) ? e->status : store_dataset_delete(tx, arg, e);
}

static void a_dataset_that_a_job_needs_stays(void **state)
{
	struct box *b = *state;
	struct dataset d = make("d", DATA_READY);
	char id[ULID_TEXT], other[ULID_TEXT];

	assert_int_equal(insert(b, &d), TD_OK);
	add_job_with(b, "j", "{\"data\":{\"dataset\":\"d\"}}", id);
	add_job_with(b, "k", "{\"data\":{\"dataset\":\"e\"}}", other);
	assert_int_equal(do_tx(b, fn_delete, (void *)"d"), TD_CONFLICT);
	assert_non_null(strstr(b->err.text, id));
	expect_state(b, "d", "ready");
	assert_int_equal(happen(b, id, JOB_EV_CANCEL), TD_OK);
	assert_int_equal(do_tx(b, fn_delete, (void *)"d"), TD_OK);
	assert_int_equal(do_tx(b, fn_delete, (void *)"d"), TD_NOT_FOUND);
	expect_files(b, "d", "");
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

struct progress_args {
	const char *name, *phase;
	int64_t created_ms;
};

static td_status fn_data_progress(struct store_tx *tx, void *arg, struct err *e)
{
	const struct progress_args *a = arg;

	return store_dataset_progress(tx, a->name, a->created_ms, a->phase, 3, 10, "z", e);
}

static void collect_event(void *arg, int64_t seq, const char *job, const char *kind, const char *data)
{
	(void)seq;
	buf_printf(arg, "%s|%s|%s\n", job, kind, data);
}

static void every_change_is_told_to_those_who_follow_all(void **state)
{
	struct box *b = *state;
	struct dataset d = make("d", DATA_FETCHING);
	struct buf out;
	int got;

	assert_int_equal(insert(b, &d), TD_OK);
	assert_int_equal(do_tx(b, fn_data_progress, &(struct progress_args){ "d", "fetching", d.created_ms }), TD_OK);
	/* Of what is gone, or has gone on, nothing is told. */
	assert_int_equal(do_tx(b, fn_data_progress, &(struct progress_args){ "d", "preparing", d.created_ms }), TD_OK);
	assert_int_equal(do_tx(b, fn_data_progress, &(struct progress_args){ "d", "fetching", 1 }), TD_OK);
	assert_int_equal(do_tx(b, fn_delete, (void *)"d"), TD_OK);
	buf_init(&out, 4000);
	assert_int_equal(store_events(b->reader, NULL, 0, 100, collect_event, &out, &got, NULL), TD_OK);
	assert_string_equal(out.data, "|dataset|{\"name\":\"d\",\"state\":\"fetching\",\"progress\":null}\n"
				      "|dataset|{\"name\":\"d\",\"state\":\"fetching\",\"progress\":{\"phase\":"
				      "\"fetching\",\"done\":3,\"total\":10,"
				      "\"file\":\"z\"}}\n"
				      "|dataset|{\"name\":\"d\",\"state\":\"deleted\"}\n");
	buf_release(&out);
}

static td_status fn_many_events(struct store_tx *tx, void *arg, struct err *e)
{
	const struct progress_args *a = arg;
	td_status s = TD_OK;

	for (int i = 0; i < 1500 && !s; i++)
		s = store_dataset_progress(tx, a->name, a->created_ms, a->phase, i, 10, "z", e);
	return s;
}

static void count_event(void *arg, int64_t seq, const char *job, const char *kind, const char *data)
{
	(void)seq;
	(void)job;
	(void)kind;
	(void)data;
	++*(int *)arg;
}

static void events_of_datasets_do_not_pile_up(void **state)
{
	struct box *b = *state;
	struct dataset d = make("d", DATA_FETCHING);
	int n = 0, got;

	assert_int_equal(insert(b, &d), TD_OK);
	assert_int_equal(do_tx(b, fn_many_events, &(struct progress_args){ "d", "fetching", d.created_ms }), TD_OK);
	assert_int_equal(store_events(b->reader, NULL, 0, 10000, count_event, &n, &got, NULL), TD_OK);
	assert_int_equal(n, 1000);
}

/* ---- Models ----------------------------------------------------------------------------------------------------- */

static td_status fn_model(struct store_tx *tx, void *arg, struct err *e)
{
	return store_model_set(tx, arg, e);
}

static td_status fn_model_delete(struct store_tx *tx, void *arg, struct err *e)
{
	return store_model_unused(tx, arg, e) ? e->status : store_model_delete(tx, arg, e);
}

static void a_model_is_replaced_and_removed_unless_a_job_begins_from_it(void **state)
{
	struct box *b = *state;
	struct model m = { .name = (char *)"net",
		.owner = (char *)"ann",
		.sha256 = (char *)"aa",
		.n_bytes = 10,
		.tensors = (char *)"[]" },
		     row;
	char id[ULID_TEXT];

	assert_int_equal(do_tx(b, fn_model, &m), TD_OK);
	m.job = (char *)"J";
	m.checkpoint = (char *)"best";
	m.n_bytes = 11;
	assert_int_equal(do_tx(b, fn_model, &m), TD_OK);
	assert_int_equal(store_model_get(b->reader, "net", &row, NULL), TD_OK);
	assert_int_equal(row.n_bytes, 11);
	assert_string_equal(row.job, "J");
	assert_string_equal(row.checkpoint, "best");
	assert_true(row.created_ms > 0);
	model_release(&row);
	add_job_with(b, "j", "{\"init_from\":{\"model\":\"net\"}}", id);
	assert_int_equal(do_tx(b, fn_model_delete, (void *)"net"), TD_CONFLICT);
	assert_int_equal(happen(b, id, JOB_EV_CANCEL), TD_OK);
	assert_int_equal(do_tx(b, fn_model_delete, (void *)"net"), TD_OK);
	assert_int_equal(store_model_get(b->reader, "net", &row, NULL), TD_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		box_test(a_dataset_goes_from_its_files_to_its_pack),
		box_test(a_move_that_does_not_fit_the_row_is_refused),
		box_test(why_it_failed_is_kept_until_it_is_tried_again),
		box_test(lists_are_in_order_and_the_loop_sees_what_is_under_way),
		box_test(files_keep_their_order_and_their_cap),
		box_test(a_dataset_that_a_job_needs_stays),
		box_test(every_change_is_told_to_those_who_follow_all),
		box_test(events_of_datasets_do_not_pile_up),
		box_test(a_model_is_replaced_and_removed_unless_a_job_begins_from_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
