/* A server that breaks every promise that a server can break, and one download from it, for the tests of downloads. */
#ifndef TEST_FETCH_H
#define TEST_FETCH_H

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
	atomic_bool careless;           /* ignore If-Range */
	atomic_bool partial;            /* answer with 206, whatever was asked */
	atomic_int extra;               /* bytes too many at the end */
	atomic_bool wrong;              /* another body than the right one */
	_Atomic(const char *) location; /* redirect there; NULL: no */
	_Atomic(const char *) etag;     /* of the body, with its quotes; NULL: none is said */
	atomic_bool chunked;            /* the length is not said: the body ends with the connection */
	/* What it has seen. */
	atomic_int n_accepted, n_requests, n_resumed, n_conditional;
} server;

static inline void answer(int fd)
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
	same = !condition || server.careless ||
	       (server.etag && !strncmp(condition + 10, server.etag, strlen(server.etag)));
	if ((range = strstr(request, "\nRange: bytes=")) && !server.no_ranges && same) {
		from = strtol(range + 14, NULL, 10);
		server.n_resumed++;
	}
	n = BODY_MOST + server.extra - from;
	at = (size_t)snprintf(head, sizeof head, "HTTP/1.1 %s\r\nConnection: close\r\n",
		from || server.partial ? "206 Partial Content" : "200 OK");
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

static inline void *serve(void *arg)
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

static inline int server_up(void **state)
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

static inline int server_down(void **state)
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

static inline void count(void *arg, const struct fetch_report *r)
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

static inline struct fetch *make_fetch(struct trial *t)
{
	return fetch_create(&(struct fetch_options){
		.folder = t->folder, .retry_ms = 10, .stall_s = 1, .report = count, .arg = t });
}

/* Of a file whose size and checksum are known, as of the known datasets, from an address that is allowed. */
static inline void trial_begin(struct trial *t)
{
	*t = (struct trial){ 0 };
	server.n_failures = server.cut_after = server.n_cuts = server.extra = server.n_accepted = server.n_requests =
		server.n_resumed = server.n_conditional = 0;
	server.no_ranges = server.wrong = server.chunked = server.careless = server.partial = false;
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
static inline void trial_begin_unknown(struct trial *t)
{
	trial_begin(t);
	t->file.sha256 = NULL;
	t->file.n_bytes = -1;
}

static inline void trial_end(struct trial *t)
{
	fetch_free(t->fetch);
	assert_int_equal(file_remove_tree(t->folder, NULL), TD_OK);
}

static inline enum fetch_state trial_run(struct trial *t, struct err *e)
{
	int64_t end = clock_monotonic_ms() + WAIT_MS;

	assert_int_equal(fetch_start(t->fetch, &t->request, e), TD_OK);
	while (fetch_state(t->fetch, "tiny", e) == FETCH_RUNNING && clock_monotonic_ms() < end) {
		fetch_step(t->fetch, clock_monotonic_ms());
		fetch_wait(t->fetch, NULL, 0, 100);
	}
	return fetch_state(t->fetch, "tiny", e);
}

static inline void expect_whole(struct trial *t)
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

static inline void expect_failure(struct trial *t, const char *says)
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

static inline int run_fetch_tests(const struct CMUnitTest *tests, size_t n)
{
	static const char *const proxies[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };

	for (size_t i = 0; i < TD_COUNT(proxies); i++)
		unsetenv(proxies[i]);
	return _cmocka_run_group_tests("downloads", tests, n, server_up, server_down);
}

#endif
