/* Downloads whose sizes and checksums are known, and where downloads may connect to. */
#include "fetch/fetch.h"
#include "test_fetch.h"

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static void a_file_is_fetched_checked_and_gets_its_name(void **state)
{
	struct err e = { 0 };
	struct trial t;

	(void)state;
	trial_begin(&t);
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	assert_int_equal(server.n_requests, 1);
	trial_end(&t);
}

static void a_file_that_is_there_is_not_fetched_again(void **state)
{
	struct err e = { 0 };
	struct trial t;

	(void)state;
	trial_begin(&t);
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	fetch_stop(t.fetch, "tiny");
	assert_int_equal(fetch_state(t.fetch, "tiny", &e), FETCH_NONE);
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	assert_int_equal(server.n_requests, 1);
	trial_end(&t);
}

static void a_broken_line_goes_on_where_it_broke(void **state)
{
	struct err e = { 0 };
	struct trial t;

	(void)state;
	trial_begin(&t);
	server.cut_after = 30000;
	server.n_cuts = 8; /* more than the tries without progress */
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	assert_int_equal(server.n_resumed, 8);
	assert_int_equal(t.n_retried, 8);
	trial_end(&t);
}

static void the_part_of_an_earlier_daemon_is_gone_on_from(void **state)
{
	struct err e = { 0 };
	char path[128];
	struct trial t;
	FILE *f;

	(void)state;
	trial_begin(&t);
	snprintf(path, sizeof path, "%s/tiny", t.folder);
	assert_int_equal(file_make_folder(path, &e), TD_OK);
	snprintf(path, sizeof path, "%s/tiny/a.gz.part", t.folder);
	f = fopen(path, "w");
	assert_int_equal(fwrite(server.body, 1, 200000, f), 200000);
	fclose(f);
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	assert_int_equal(server.n_requests, 1);
	assert_int_equal(server.n_resumed, 1);
	trial_end(&t);
}

static void a_damaged_part_is_found_and_fetched_anew(void **state)
{
	struct err e = { 0 };
	char path[128];
	struct trial t;
	FILE *f;

	(void)state;
	trial_begin(&t);
	snprintf(path, sizeof path, "%s/tiny", t.folder);
	assert_int_equal(file_make_folder(path, &e), TD_OK);
	snprintf(path, sizeof path, "%s/tiny/a.gz.part", t.folder);
	f = fopen(path, "w");
	for (int i = 0; i < 200000; i++)
		fputc('z', f);
	fclose(f);
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	assert_int_equal(server.n_requests, 2);
	trial_end(&t);
}

static void a_server_without_ranges_sends_all_of_it_again(void **state)
{
	struct err e = { 0 };
	struct trial t;

	(void)state;
	trial_begin(&t);
	server.no_ranges = true;
	server.cut_after = 100000;
	server.n_cuts = 2;
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	trial_end(&t);
}

static void a_server_that_is_busy_is_asked_again(void **state)
{
	struct err e = { 0 };
	struct trial t;

	(void)state;
	trial_begin(&t);
	server.n_failures = 3;
	server.status = "503 Busy";
	assert_int_equal(trial_run(&t, &e), FETCH_DONE);
	expect_whole(&t);
	assert_int_equal(server.n_requests, 4);
	trial_end(&t);
}

static void a_server_that_stays_broken_is_given_up(void **state)
{
	struct trial t;

	(void)state;
	trial_begin(&t);
	server.n_failures = 1000;
	server.status = "500 Broken";
	expect_failure(&t, "500");
	assert_in_range(server.n_requests, 2, 20);
	trial_end(&t);
}

static void a_file_that_is_not_there_is_not_asked_for_twice(void **state)
{
	struct trial t;

	(void)state;
	trial_begin(&t);
	server.n_failures = 1000;
	server.status = "404 Not Found";
	expect_failure(&t, "404");
	assert_int_equal(server.n_requests, 1);
	trial_end(&t);
}

static void wrong_bytes_never_get_the_name(void **state)
{
	struct trial t;

	(void)state;
	trial_begin(&t);
	server.wrong = true;
	expect_failure(&t, "SHA-256");
	assert_int_equal(server.n_requests, 2); /* a transfer may break; a second time it is the file */
	trial_end(&t);
}

static void a_file_larger_than_promised_is_cut_off(void **state)
{
	char path[128];
	struct stat st;
	struct trial t;

	(void)state;
	trial_begin(&t);
	server.extra = 5;
	expect_failure(&t, "more than the 300000 bytes");
	snprintf(path, sizeof path, "%s/tiny/a.gz.part", t.folder);
	assert_true(stat(path, &st) || st.st_size <= BODY_MOST);
	trial_end(&t);
}

/* ---- Where it may connect to ------------------------------------------------------------------------------------- */

static void only_public_addresses_are_connected_to_unless_others_are_allowed(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0" };
	struct trial t;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(hosts); i++) {
		trial_begin(&t);
		t.request.allow_private = false;
		snprintf(t.url, sizeof t.url, "http://%s:%d/a", hosts[i], server.port);
		expect_failure(&t, "--fetch-private");
		assert_int_equal(server.n_accepted, 0);
		trial_end(&t);
	}
}

static void other_protocols_are_refused(void **state)
{
	static const char *const urls[] = { "file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/a" };
	struct trial t;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(urls); i++) {
		trial_begin(&t);
		snprintf(t.url, sizeof t.url, "%s", urls[i]);
		expect_failure(&t, "rotocol");
		trial_end(&t);
	}
}

static void a_redirect_without_end_is_given_up(void **state)
{
	struct trial t;
	char location[64];

	(void)state;
	trial_begin(&t);
	snprintf(location, sizeof location, "http://127.0.0.1:%d/again", server.port);
	server.location = location;
	expect_failure(&t, "redirect");
	assert_in_range(server.n_requests, 2, 10);
	trial_end(&t);
}

static void a_redirect_to_a_file_of_this_machine_is_refused(void **state)
{
	struct trial t;

	(void)state;
	trial_begin(&t);
	server.location = "file:///etc/passwd";
	expect_failure(&t, "rotocol");
	trial_end(&t);
}

static void other_descriptors_are_polled_while_a_download_runs(void **state)
{
	struct err e = { 0 };
	struct trial t;
	struct pollfd fd = { .events = POLLIN };
	int ends[2];

	(void)state;
	trial_begin(&t);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fd.fd = ends[0];
	server.n_failures = 1;
	server.status = "503 Busy";
	assert_int_equal(fetch_start(t.fetch, &t.request, &e), TD_OK);
	fetch_step(t.fetch, clock_monotonic_ms());
	assert_int_equal(write(ends[1], "x", 1), 1);
	for (int i = 0; i < 100 && !fd.revents; i++)
		fetch_wait(t.fetch, &fd, 1, 1000);
	assert_true(fd.revents & POLLIN);
	close(ends[0]);
	close(ends[1]);
	trial_end(&t);
}

static void addresses_inside_are_told_from_public_ones(void **state)
{
	static const struct {
		const char *text;
		bool is_public;
	} rows[] = { { "8.8.8.8", true }, { "185.199.108.133", true }, { "127.0.0.1", false }, { "10.1.2.3", false },
		{ "172.16.0.1", false }, { "172.32.0.1", true }, { "192.168.1.1", false }, { "169.254.169.254", false },
		{ "100.64.0.1", false }, { "0.0.0.0", false }, { "224.0.0.1", false }, { "255.255.255.255", false },
		{ "2606:50c0:8000::154", true }, { "::1", false }, { "::", false }, { "fe80::1", false },
		{ "fd00::1", false }, { "::ffff:127.0.0.1", false }, { "::ffff:8.8.8.8", true },
		{ "64:ff9b::a00:1", false }, { "2002:7f00:1::", false }, { "ff02::1", false } };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct sockaddr_in v4 = { .sin_family = AF_INET };
		struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
		bool is_v4 = inet_pton(AF_INET, rows[i].text, &v4.sin_addr) == 1;
		if (!is_v4)
			assert_int_equal(inet_pton(AF_INET6, rows[i].text, &v6.sin6_addr), 1);
		if (address_is_public(is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6) != rows[i].is_public)
			fail_msg("%s is %spublic", rows[i].text, rows[i].is_public ? "" : "not ");
	}
}

static void the_table_of_known_datasets_is_sound(void **state)
{
	static const char *const names[] = { "mnist", "fashion-mnist", "cifar10", "cifar100" };
	static const int n_classes[] = { 10, 10, 10, 100 };
	const struct known_dataset *d;

	(void)state;
	assert_null(known_dataset("Fashion-MNIST"));
	assert_null(known_at(TD_COUNT(names)));
	for (size_t k = 0; (d = known_at(k)); k++) {
		cJSON *info = cJSON_Parse(d->info), *format = cJSON_Parse(d->format);

		assert_string_equal(d->name, names[k]);
		assert_ptr_equal(known_dataset(d->name), d);
		assert_false(known_complete(d, "/nowhere"));
		assert_non_null(json_get(format, "type"));
		assert_string_equal(json_string(info, "dataset", ""), d->name);
		assert_int_equal(cJSON_GetArraySize(json_get(info, "classes")), n_classes[k]);
		assert_true(json_int(json_at(info, "/parts/train"), "samples", 0) >= 50000);
		for (int i = 0; i < d->n_files; i++) {
			assert_int_equal(strlen(d->files[i].sha256), SHA256_TEXT - 1);
			assert_int_equal(strspn(d->files[i].sha256, "0123456789abcdef"), SHA256_TEXT - 1);
			assert_true(d->files[i].n_bytes > 0);
		}
		cJSON_Delete(info);
		cJSON_Delete(format);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_fetched_checked_and_gets_its_name),
		cmocka_unit_test(a_file_that_is_there_is_not_fetched_again),
		cmocka_unit_test(a_broken_line_goes_on_where_it_broke),
		cmocka_unit_test(the_part_of_an_earlier_daemon_is_gone_on_from),
		cmocka_unit_test(a_damaged_part_is_found_and_fetched_anew),
		cmocka_unit_test(a_server_without_ranges_sends_all_of_it_again),
		cmocka_unit_test(a_server_that_is_busy_is_asked_again),
		cmocka_unit_test(a_server_that_stays_broken_is_given_up),
		cmocka_unit_test(a_file_that_is_not_there_is_not_asked_for_twice),
		cmocka_unit_test(wrong_bytes_never_get_the_name),
		cmocka_unit_test(a_file_larger_than_promised_is_cut_off),
		cmocka_unit_test(only_public_addresses_are_connected_to_unless_others_are_allowed),
		cmocka_unit_test(other_protocols_are_refused),
		cmocka_unit_test(a_redirect_without_end_is_given_up),
		cmocka_unit_test(a_redirect_to_a_file_of_this_machine_is_refused),
		cmocka_unit_test(other_descriptors_are_polled_while_a_download_runs),
		cmocka_unit_test(addresses_inside_are_told_from_public_ones),
		cmocka_unit_test(the_table_of_known_datasets_is_sound),
	};

	return run_fetch_tests(tests, TD_COUNT(tests));
}
