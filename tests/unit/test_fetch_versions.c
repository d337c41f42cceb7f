/* Downloads of files of which only the server knows anything: versions, lengths, caps. */
#include "fetch/fetch.h"
#include "test_fetch.h"

static void a_file_without_a_checksum_is_taken_as_it_comes(void **state)
{
	struct err e = { 0 };
	struct trial t;

	(void)state;
	for (int chunked = 0; chunked < 2; chunked++) {
		trial_begin_unknown(&t);
		server.chunked = chunked;
		assert_int_equal(trial_run(&t, &e), FETCH_DONE);
		expect_whole(&t);
		trial_end(&t);
	}
}

static void it_goes_on_after_a_break_while_the_server_has_the_same_version(void **state)
{
	struct err e = { 0 };
	struct trial t;

	(void)state;
	trial_begin_unknown(&t);
	server.etag = "\"one\"";
	server.cut_after = 100000;
	server.n_cuts = 2;
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	assert_int_equal(server.n_resumed, 2);
	assert_int_equal(server.n_conditional, 2);
	trial_end(&t);
}

static void without_a_version_it_begins_anew_and_is_given_up_at_last(void **state)
{
	struct err e = { 0 };
	struct trial t;

	(void)state;
	trial_begin_unknown(&t);
	server.cut_after = 100000;
	server.n_cuts = 2;
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	assert_int_equal(server.n_resumed, 0);
	trial_end(&t);

	trial_begin_unknown(&t);
	server.cut_after = 100000;
	server.n_cuts = 1000;
	expect_failure(&t, "fetching");
	assert_in_range(server.n_requests, 2, 20);
	trial_end(&t);
}

/* What an earlier daemon left, with the version that its rows remember. */
static void leave_part(struct trial *t, const char *bytes, size_t n)
{
	struct err e = { 0 };
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/tiny", t->folder);
	assert_int_equal(file_make_folder(path, &e), TD_OK);
	snprintf(path, sizeof path, "%s/tiny/a.gz.part", t->folder);
	f = fopen(path, "w");
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static void another_version_is_never_mixed_with_what_is_there(void **state)
{
	static const char *const remembered[] = { "\"two\"", "\"one\"", NULL };
	struct err e = { 0 };
	struct trial t;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(remembered); i++) {
		bool same = remembered[i] && !strcmp(remembered[i], "\"two\"");
		trial_begin_unknown(&t);
		server.etag = "\"two\"";
		t.file.etag = remembered[i];
		leave_part(&t, same ? server.body : server.other, 200000);
		assert_int_equal(trial_run(&t, &e), FETCH_DONE);
		expect_whole(&t);
		assert_int_equal(server.n_resumed, same);
		trial_end(&t);
	}
}

static void a_server_that_does_not_look_at_the_version_cannot_mix_them(void **state)
{
	struct err e = { 0 };
	struct trial t;

	(void)state;
	trial_begin_unknown(&t);
	server.etag = "\"two\"";
	server.careless = true;
	t.file.etag = "\"one\"";
	leave_part(&t, server.other, 200000);
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	trial_end(&t);
}

static void a_part_that_nobody_asked_for_is_not_the_file(void **state)
{
	struct trial t;

	(void)state;
	trial_begin_unknown(&t);
	server.partial = true;
	expect_failure(&t, "a part of the file, though all of it was asked for");
	trial_end(&t);
}

static void a_weak_version_is_none(void **state)
{
	struct err e = { 0 };
	struct trial t;

	(void)state;
	trial_begin_unknown(&t);
	server.etag = "W/\"one\"";
	server.cut_after = 100000;
	server.n_cuts = 1;
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	assert_int_equal(server.n_resumed, 0);
	trial_end(&t);
}

static void a_dataset_larger_than_allowed_is_refused_whatever_the_server_says(void **state)
{
	char path[128];
	struct stat st;
	struct trial t;

	(void)state;
	for (int chunked = 0; chunked < 2; chunked++) {
		trial_begin_unknown(&t);
		t.request.max_bytes = 100000;
		server.chunked = chunked;
		expect_failure(&t, "100000");
		assert_int_equal(server.n_requests, 1);
		snprintf(path, sizeof path, "%s/tiny/a.gz.part", t.folder);
		assert_true(stat(path, &st) || st.st_size <= 100000);
		trial_end(&t);
	}
}

static void files_come_one_after_the_other_and_share_the_cap(void **state)
{
	struct fetch_file files[2];
	struct err e = { 0 };
	struct trial t;

	(void)state;
	for (int fits = 0; fits < 2; fits++) {
		trial_begin_unknown(&t);
		files[0] = files[1] = t.file;
		files[1].name = "b.gz";
		t.request.files = files;
		t.request.n_files = 2;
		t.request.max_bytes = fits ? 2 * BODY_MOST : 2 * BODY_MOST - 1;
		assert_int_equal(trial_run(&t, &e), fits ? FETCH_DONE : FETCH_FAILED);
		assert_int_equal(t.n_ready, fits ? 2 : 1);
		err_clear(&e);
		trial_end(&t);
	}
}

static void a_fetch_that_is_stopped_leaves_its_part_to_go_on_from(void **state)
{
	int64_t end = clock_monotonic_ms() + WAIT_MS;
	struct err e = { 0 };
	struct trial t;

	(void)state;
	trial_begin_unknown(&t);
	server.etag = "\"one\"";
	server.cut_after = 100000;
	server.n_cuts = 1;
	assert_int_equal(fetch_start(t.fetch, &t.request, &e), TD_OK);
	while (t.n_fetched < 100000 && clock_monotonic_ms() < end) {
		fetch_step(t.fetch, clock_monotonic_ms());
		fetch_wait(t.fetch, NULL, 0, 10);
	}
	fetch_stop(t.fetch, "tiny");
	assert_int_equal(fetch_state(t.fetch, "tiny", &e), FETCH_NONE);
	t.file.etag = t.etag;
	assert_string_equal(t.etag, "\"one\"");
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	assert_in_range(server.n_resumed, 1, 2);
	trial_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_without_a_checksum_is_taken_as_it_comes),
		cmocka_unit_test(it_goes_on_after_a_break_while_the_server_has_the_same_version),
		cmocka_unit_test(without_a_version_it_begins_anew_and_is_given_up_at_last),
		cmocka_unit_test(another_version_is_never_mixed_with_what_is_there),
		cmocka_unit_test(a_server_that_does_not_look_at_the_version_cannot_mix_them),
		cmocka_unit_test(a_part_that_nobody_asked_for_is_not_the_file),
		cmocka_unit_test(a_weak_version_is_none),
		cmocka_unit_test(a_dataset_larger_than_allowed_is_refused_whatever_the_server_says),
		cmocka_unit_test(files_come_one_after_the_other_and_share_the_cap),
		cmocka_unit_test(a_fetch_that_is_stopped_leaves_its_part_to_go_on_from),
	};

	return run_fetch_tests(tests, TD_COUNT(tests));
}
