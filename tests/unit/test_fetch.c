/* Downloads against a server played by the test, which breaks every promise that a server can break. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "fetch/address.h"
#include "fetch/fetch.h"
#include "fetch/known.h"

#define WAIT_MS    20000
#define BODY_MOST  300000
#define EXTRA_MOST 16

/* ---- The server -------------------------------------------------------------------------------------------------- */

static struct {
	pthread_t thread;
	int listener, port;
	char body[BODY_MOST + EXTRA_MOST], other[BODY_MOST + EXTRA_MOST];
	/* How it behaves; set while the server's thread may look. */
	atomic_int n_failures;        /* answer so many requests with STATUS first */
	_Atomic(const char *) status; /* "500 Broken" */
	atomic_int cut_after;         /* close after so many bytes of a body, CUTS times; 0: never */
	atomic_int n_cuts;
	atomic_bool no_ranges;          /* ignore Range */
	atomic_int extra;               /* bytes too many at the end */
	atomic_bool wrong;              /* another body than the right one */
	_Atomic(const char *) location; /* redirect there; NULL: no */
	_Atomic(const char *) etag;     /* of the body, with its quotes; NULL: none is said */
	atomic_bool chunked;            /* the length is not said: the body ends with the connection */
	/* What it has seen. */
	atomic_int n_accepted, n_requests, n_resumed, n_conditional;
} server;

static void answer(int fd)
{
	char request[4096] = "", head[512];
	const char *range, *condition;
	long from = 0, n;
	size_t at = 0;
	bool same;

	while (at < sizeof request - 1 && !strstr(request, "\r\n\r\n")) {
		ssize_t got = read(fd, request + at, sizeof request - 1 - at);
		if (got <= 0)
			return;
		at += (size_t)got;
		request[at] = '\0';
	}
	server.n_requests++;
	if (server.location) {
		dprintf(fd, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			server.location);
		return;
	}
	if (server.n_failures) {
		server.n_failures--;
		dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", server.status);
		return;
	}
	condition = strstr(request, "If-Range: ");
	server.n_conditional += condition != NULL;
	same = !condition || (server.etag && !strncmp(condition + 10, server.etag, strlen(server.etag)));
	if ((range = strstr(request, "\nRange: bytes=")) && !server.no_ranges && same) {
		from = strtol(range + 14, NULL, 10);
		server.n_resumed++;
	}
	n = BODY_MOST + server.extra - from;
	at = (size_t)snprintf(
		head, sizeof head, "HTTP/1.1 %s\r\nConnection: close\r\n", from ? "206 Partial Content" : "200 OK");
	if (!server.chunked)
		at += (size_t)snprintf(head + at, sizeof head - at, "Content-Length: %ld\r\n", n);
	if (from)
		at += (size_t)snprintf(head + at, sizeof head - at, "Content-Range: bytes %ld-%ld/%d\r\n", from,
			from + n - 1, BODY_MOST);
	if (server.etag)
		at += (size_t)snprintf(head + at, sizeof head - at, "ETag: %s\r\n", server.etag);
	snprintf(head + at, sizeof head - at, "\r\n");
	if (write(fd, head, strlen(head)) < 0)
		return;
	if (server.n_cuts && server.cut_after < n) {
		server.n_cuts--;
		n = server.cut_after;
	}
	while (n > 0) { /* many small pieces */
		ssize_t put = send(
			fd, (server.wrong ? server.other : server.body) + from, (size_t)TD_MIN(n, 1000), MSG_NOSIGNAL);
		if (put < 0)
			return;
		from += put;
		n -= put;
	}
}

static void *serve(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(server.listener, NULL, NULL)) >= 0) {
		server.n_accepted++;
		answer(fd);
		shutdown(fd, SHUT_WR);
		close(fd);
	}
	return NULL;
}

static int server_up(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof address;

	(void)state;
	for (size_t i = 0; i < sizeof server.body; i++) {
		server.body[i] = (char)(i * 31 + i / 251);
		server.other[i] = (char)(i * 37 + i / 241);
	}
	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server.listener, (struct sockaddr *)&address, n) || listen(server.listener, 8) ||
		getsockname(server.listener, (struct sockaddr *)&address, &n))
		return -1;
	server.port = ntohs(address.sin_port);
	return pthread_create(&server.thread, NULL, serve, NULL);
}

static int server_down(void **state)
{
	(void)state;
	shutdown(server.listener, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.listener);
	return 0;
}

/* ---- One download ------------------------------------------------------------------------------------------------ */

struct trial {
	char folder[64], url[96], sha256[SHA256_TEXT], etag[64];
	struct fetch_file file;
	struct fetch_request request;
	struct fetch *fetch;
	int n_ready, n_failed, n_retried;
	int64_t n_fetched;
};

static void count(void *arg, const struct fetch_report *r)
{
	struct trial *t = arg;

	t->n_ready += !strcmp(r->state, "ready");
	t->n_failed += !strcmp(r->state, "failed");
	t->n_retried += !strcmp(r->state, "fetching") && r->detail;
	t->n_fetched = r->n_fetched;
	snprintf(t->etag, sizeof t->etag, "%s", r->etag);
	if (!strcmp(r->state, "ready"))
		snprintf(t->sha256, sizeof t->sha256, "%s", r->sha256);
	assert_true(r->n_bytes < 0 || r->n_fetched <= r->n_bytes);
}

static struct fetch *make_fetch(struct trial *t)
{
	return fetch_create(&(struct fetch_options){
		.folder = t->folder, .retry_ms = 10, .stall_s = 1, .report = count, .arg = t });
}

/* Of a file whose size and checksum are known, as of the known datasets, from an address that is allowed. */
static void trial_begin(struct trial *t)
{
	*t = (struct trial){ 0 };
	server.n_failures = server.cut_after = server.n_cuts = server.extra = server.n_accepted = server.n_requests =
		server.n_resumed = server.n_conditional = 0;
	server.no_ranges = server.wrong = server.chunked = false;
	server.location = server.etag = NULL;
	snprintf(t->folder, sizeof t->folder, "/tmp/tandem-fetch-XXXXXX");
	assert_non_null(mkdtemp(t->folder));
	snprintf(t->url, sizeof t->url, "http://127.0.0.1:%d/sets/tiny/a.gz", server.port);
	sha256_of(server.body, BODY_MOST, t->sha256);
	t->file = (struct fetch_file){ .name = "a.gz", .url = t->url, .sha256 = t->sha256, .n_bytes = BODY_MOST };
	t->request = (struct fetch_request){
		.name = "tiny", .files = &t->file, .n_files = 1, .max_bytes = BODY_MOST, .allow_private = true
	};
	t->fetch = make_fetch(t);
}

/* The same for a file of which nobody knows anything. */
static void trial_begin_unknown(struct trial *t)
{
	trial_begin(t);
	t->file.sha256 = NULL;
	t->file.n_bytes = -1;
}

static void trial_end(struct trial *t)
{
	fetch_free(t->fetch);
	assert_int_equal(file_remove_tree(t->folder, NULL), TD_OK);
}

static enum fetch_state trial_run(struct trial *t, struct err *e)
{
	int64_t end = clock_monotonic_ms() + WAIT_MS;

	assert_int_equal(fetch_start(t->fetch, &t->request, e), TD_OK);
	while (fetch_state(t->fetch, "tiny", e) == FETCH_RUNNING && clock_monotonic_ms() < end) {
		fetch_step(t->fetch, clock_monotonic_ms());
		fetch_wait(t->fetch, NULL, 0, 100);
	}
	return fetch_state(t->fetch, "tiny", e);
}

static void expect_whole(struct trial *t)
{
	char path[128], sha256[SHA256_TEXT], expected[SHA256_TEXT];
	struct err e = { 0 };
	int64_t n;

	sha256_of(server.body, BODY_MOST, expected);
	snprintf(path, sizeof path, "%s/tiny/a.gz", t->folder);
	assert_int_equal(sha256_of_file(path, sha256, &n, &e), TD_OK);
	assert_string_equal(sha256, expected);
	assert_string_equal(t->sha256, expected);
	snprintf(path, sizeof path, "%s/tiny/a.gz.part", t->folder);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(t->n_ready, 1);
}

static void expect_failure(struct trial *t, const char *says)
{
	struct err e = { 0 };
	char path[128];

	assert_int_equal(trial_run(t, &e), FETCH_FAILED);
	if (!strstr(e.text, says))
		fail_msg("\"%s\" does not say \"%s\"", e.text, says);
	assert_int_equal(t->n_failed, 1);
	snprintf(path, sizeof path, "%s/tiny/a.gz", t->folder);
	assert_int_equal(access(path, F_OK), -1);
}

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

/* ---- Files of which only the server knows anything --------------------------------------------------------------- */

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
		cmocka_unit_test(a_file_without_a_checksum_is_taken_as_it_comes),
		cmocka_unit_test(it_goes_on_after_a_break_while_the_server_has_the_same_version),
		cmocka_unit_test(without_a_version_it_begins_anew_and_is_given_up_at_last),
		cmocka_unit_test(another_version_is_never_mixed_with_what_is_there),
		cmocka_unit_test(a_weak_version_is_none),
		cmocka_unit_test(a_dataset_larger_than_allowed_is_refused_whatever_the_server_says),
		cmocka_unit_test(files_come_one_after_the_other_and_share_the_cap),
		cmocka_unit_test(a_fetch_that_is_stopped_leaves_its_part_to_go_on_from),
		cmocka_unit_test(only_public_addresses_are_connected_to_unless_others_are_allowed),
		cmocka_unit_test(other_protocols_are_refused),
		cmocka_unit_test(a_redirect_without_end_is_given_up),
		cmocka_unit_test(a_redirect_to_a_file_of_this_machine_is_refused),
		cmocka_unit_test(other_descriptors_are_polled_while_a_download_runs),
		cmocka_unit_test(addresses_inside_are_told_from_public_ones),
		cmocka_unit_test(the_table_of_known_datasets_is_sound),
	};
	static const char *const proxies[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };

	for (size_t i = 0; i < TD_COUNT(proxies); i++)
		unsetenv(proxies[i]);
	return cmocka_run_group_tests(tests, server_up, server_down);
}
