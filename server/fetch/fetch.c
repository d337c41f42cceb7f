/* Downloads of known datasets: see fetch.h.
 *
 * A dataset being fetched is a small machine: each step either hashes a piece of what an earlier life left behind, or
 * starts the transfer of the next file, or notices that a transfer has ended.  Nothing here waits. */
#include "fetch/fetch.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "fetch/address.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FETCHES_MOST     4         /* datasets at once */
#define TRIES_MOST       6         /* of one file, in a row without progress */
#define REST_MS          10000     /* a dataset that failed is left alone for so long */
#define HASH_BYTES       (1 << 20) /* of an old part, a step: below a millisecond */
#define WRITE_BACK_BYTES (4 << 20) /* the disk begins early, so that the sync at the end is short */
#define CONNECT_MS       10000
#define STALL_SECONDS    30 /* without a byte: try again */
#define REDIRECTS_MOST   5

struct download {
	const struct known_dataset *dataset; /* NULL: free slot */
	enum fetch_state state;
	int file;               /* index of the one in hand */
	int fd;                 /* its part; -1: none open */
	int64_t n_hashed;       /* bytes of the part that are in HASH */
	int64_t n_part;         /* bytes of the part */
	int64_t n_written_back; /* of these, handed to the disk */
	struct sha256_ctx hash;
	CURL *curl; /* of the transfer under way, or NULL */
	char curl_text[CURL_ERROR_SIZE];
	int n_tries;
	bool mismatched;       /* this file has come whole, and was another than ours, once */
	int64_t n_at_try;      /* bytes when this try began */
	int64_t not_before_ms; /* the next try, or for FETCH_FAILED the end of the rest */
	int64_t reported_ms;
	struct err err;
	struct fetch *fetch; /* borrowed: whose it is */
};

struct fetch {
	CURLM *multi;
	char *folder, *mirror; /* owned; MIRROR may be NULL */
	struct fetch_options options;
	struct download downloads[FETCHES_MOST];
};

struct fetch *fetch_create(const struct fetch_options *o)
{
	struct fetch *f = MEM_NEW(struct fetch);

	TD_ASSERT(!curl_global_init(CURL_GLOBAL_DEFAULT));
	f->multi = curl_multi_init();
	TD_ASSERT(f->multi);
	f->options = *o;
	f->folder = mem_strdup(o->folder);
	f->mirror = mem_strdup(o->mirror);
	return f;
}

static const struct known_file *file_of(const struct download *d)
{
	return &d->dataset->files[d->file];
}

static char *path_of(const struct download *d, const char *suffix)
{
	return mem_printf("%s/%s/%s%s", d->fetch->folder, d->dataset->name, file_of(d)->name, suffix);
}

static char *url_of(const struct download *d)
{
	const char *mirror = d->fetch->mirror;
	size_t n = mirror ? strlen(mirror) : 0;

	/* A mirror serves many datasets: BASE/NAME/FILE. */
	if (mirror)
		return mem_printf(
			"%s%s%s/%s", mirror, n && mirror[n - 1] == '/' ? "" : "/", d->dataset->name, file_of(d)->name);
	return mem_printf("%s%s", d->dataset->base_url, file_of(d)->name);
}

static void report(struct download *d, const char *state, const char *detail)
{
	const struct known_file *k = file_of(d);
	char *url = url_of(d);

	d->reported_ms = clock_monotonic_ms();
	d->fetch->options.report(d->fetch->options.arg, &(struct fetch_report){ .dataset = d->dataset->name,
								.file = k->name,
								.url = url,
								.sha256 = k->sha256,
								.n_bytes = k->n_bytes,
								.n_fetched = d->n_part,
								.state = state,
								.detail = detail });
	mem_free(url);
}

/* ---- The end of a transfer, a file, a dataset ------------------------------------------------------------------ */

static void end_transfer(struct download *d)
{
	if (!d->curl)
		return;
	curl_multi_remove_handle(d->fetch->multi, d->curl);
	curl_easy_cleanup(d->curl);
	d->curl = NULL;
}

static void close_part(struct download *d)
{
	end_transfer(d);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	for (int i = 0; i < FETCHES_MOST; i++)
		if (f->downloads[i].dataset)
			close_part(&f->downloads[i]);
	curl_multi_cleanup(f->multi);
	curl_global_cleanup();
	mem_free(f->folder);
	mem_free(f->mirror);
	mem_free(f);
}

/* Begin the part anew: what it holds is not what it should be. */
static void discard_part(struct download *d)
{
	if (d->fd >= 0 && ftruncate(d->fd, 0))
		err_errno(&d->err, "emptying a part of %s", file_of(d)->name);
	d->n_part = d->n_hashed = d->n_written_back = 0;
	sha256_init(&d->hash);
}

/* This try came to nothing, as D's error says: rest and try again, or give the dataset up. */
static void try_again(struct download *d, bool worth_it)
{
	char *url = url_of(d);

	end_transfer(d);
	if (d->n_part > d->n_at_try)
		d->n_tries = 0; /* a line that breaks often but moves is not a failure */
	err_wrap(&d->err, "fetching %s", url);
	if (!worth_it || ++d->n_tries >= TRIES_MOST) {
		log_line(LOG_WARN, "dataset cannot be fetched", "name=%s text=%s", d->dataset->name, d->err.text);
		report(d, "failed", d->err.text);
		close_part(d);
		d->state = FETCH_FAILED;
		d->not_before_ms = clock_monotonic_ms() + REST_MS;
	} else {
		d->not_before_ms =
			clock_monotonic_ms() + ((int64_t)d->fetch->options.retry_ms << TD_MAX(d->n_tries - 1, 0));
		report(d, "fetching", d->err.text);
		err_clear(&d->err);
	}
	mem_free(url);
}

/* Go on with the next file that is not there yet; without one, the dataset is done. */
static void next_file(struct download *d)
{
	for (d->file++; d->file < d->dataset->n_files; d->file++) {
		char *path = path_of(d, "");
		struct stat st;
		bool there = !stat(path, &st) && st.st_size == file_of(d)->n_bytes;
		mem_free(path);
		if (!there)
			break;
	}
	if (d->file == d->dataset->n_files) {
		log_line(LOG_INFO, "dataset fetched", "name=%s", d->dataset->name);
		d->dataset = NULL;
		return;
	}
	d->n_tries = 0;
	d->mismatched = false;
	d->n_at_try = 0;
	d->not_before_ms = 0;
}

/* What came is not the file.  A transfer may break one byte, so once more; then it is another file, and stays one. */
static void refuse_file(struct download *d)
{
	bool worth_it = !d->mismatched;

	d->mismatched = true;
	discard_part(d);
	d->n_at_try = 0; /* wrong bytes are no progress */
	try_again(d, worth_it);
}

/* All bytes are there: they must be the right ones. */
static void finish_file(struct download *d)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	char text[SHA256_TEXT], *part = path_of(d, ".part"), *path = path_of(d, "");

	sha256_digest(&d->hash, sizeof digest, digest);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	if (strcmp(text, file_of(d)->sha256)) {
		err_set(&d->err, TD_CORRUPT, "its SHA-256 is %s; expected %s", text, file_of(d)->sha256);
		refuse_file(d);
	} else if (file_sync(part, &d->err) || file_rename(part, path, &d->err)) {
		try_again(d, false);
	} else {
		report(d, "ready", NULL);
		close_part(d);
		next_file(d);
	}
	mem_free(part);
	mem_free(path);
}

/* ---- A transfer ------------------------------------------------------------------------------------------------ */

static size_t take_bytes(char *bytes, size_t size, size_t n, void *arg)
{
	struct download *d = arg;
	const struct known_file *k = file_of(d);

	n *= size;
	if ((int64_t)n > k->n_bytes - d->n_part) {
		err_set(&d->err, TD_TOO_LARGE, "it has more than the %lld bytes expected", (long long)k->n_bytes);
		return CURL_WRITEFUNC_ERROR;
	}
	for (size_t at = 0; at < n;) {
		ssize_t put = write(d->fd, bytes + at, n - at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			err_errno(&d->err, "writing it");
			return CURL_WRITEFUNC_ERROR;
		}
		at += (size_t)put;
	}
	sha256_update(&d->hash, n, (const uint8_t *)bytes);
	d->n_part += (int64_t)n;
	d->n_hashed = d->n_part;
	if (d->n_part - d->n_written_back >= WRITE_BACK_BYTES) {
		sync_file_range(d->fd, d->n_written_back, d->n_part - d->n_written_back, SYNC_FILE_RANGE_WRITE);
		d->n_written_back = d->n_part;
	}
	if (clock_monotonic_ms() - d->reported_ms >= FETCH_REPORT_MS)
		report(d, "fetching", NULL);
	return n;
}

static void start_transfer(struct download *d)
{
	char *url = url_of(d);
	CURL *c = curl_easy_init();

	TD_ASSERT(c);
	d->n_at_try = d->n_part;
	*d->curl_text = '\0';
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PRIVATE, d);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, d->curl_text);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, d);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "tandem");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MOST);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, d->fetch->mirror ? "http,https" : "https");
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, d->fetch->mirror ? "http,https" : "https");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)d->n_part);
	if (!d->fetch->mirror)
		curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, address_open_public);
	d->curl = c;
	TD_ASSERT(!curl_multi_add_handle(d->fetch->multi, c));
	report(d, "fetching", NULL);
	mem_free(url);
}

/* Whether another try may end better: not after an answer that says "no" for good. */
static bool may_pass(CURLcode code, long http, td_status s)
{
	if (s == TD_NO_SPACE || s == TD_IO)
		return false;
	if (code == CURLE_HTTP_RETURNED_ERROR)
		return http == 408 || http == 429 || http == 416 || http >= 500;
	return code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_URL_MALFORMAT && code != CURLE_TOO_MANY_REDIRECTS;
}

static void end_of_transfer(struct download *d, CURLcode code)
{
	long http = 0;

	curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &http);
	if (!code && d->n_part == file_of(d)->n_bytes) {
		end_transfer(d);
		finish_file(d);
		return;
	}
	if (!code)
		err_set(&d->err, TD_UNAVAILABLE, "it ended after %lld of %lld bytes", (long long)d->n_part,
			(long long)file_of(d)->n_bytes);
	else
		err_set(&d->err, TD_UNAVAILABLE, "%s", *d->curl_text ? d->curl_text : curl_easy_strerror(code));
	if (d->err.status == TD_TOO_LARGE) {
		refuse_file(d);
		return;
	}
	if (code == CURLE_RANGE_ERROR || http == 416) { /* a server without ranges: from the beginning */
		discard_part(d);
		d->n_at_try = 0;
	}
	try_again(d, may_pass(code, http, d->err.status));
}

/* ---- Steps ----------------------------------------------------------------------------------------------------- */

/* Open the part that an earlier try, or an earlier daemon, has left.  Its bytes are hashed before more are added. */
static bool open_part(struct download *d)
{
	char *folder = mem_printf("%s/%s", d->fetch->folder, d->dataset->name), *part = path_of(d, ".part");
	struct stat st;

	if (!file_make_folder(folder, &d->err)) {
		d->fd = open(part, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (d->fd < 0 || fstat(d->fd, &st))
			err_errno(&d->err, "opening %s", part);
	}
	if (!d->err.status) {
		d->n_part = st.st_size;
		d->n_hashed = d->n_written_back = 0;
		sha256_init(&d->hash);
		if (d->n_part > file_of(d)->n_bytes)
			discard_part(d);
	}
	mem_free(folder);
	mem_free(part);
	return !d->err.status;
}

static void hash_part(struct download *d)
{
	uint8_t *piece = mem_alloc(HASH_BYTES);
	ssize_t n = pread(d->fd, piece, HASH_BYTES, d->n_hashed);

	if (n <= 0) {
		discard_part(d);
	} else {
		sha256_update(&d->hash, (size_t)n, piece);
		d->n_hashed += n;
	}
	mem_free(piece);
}

static void step(struct download *d, int64_t now_ms)
{
	if (d->state != FETCH_RUNNING || d->curl || now_ms < d->not_before_ms)
		return;
	if (d->fd < 0 && !open_part(d)) {
		try_again(d, false);
		return;
	}
	if (d->n_hashed < d->n_part)
		hash_part(d);
	else if (d->n_part == file_of(d)->n_bytes)
		finish_file(d);
	else
		start_transfer(d);
}

void fetch_step(struct fetch *f, int64_t now_ms)
{
	int n_running, n_left;
	CURLMsg *m;

	for (int i = 0; i < FETCHES_MOST; i++)
		if (f->downloads[i].dataset)
			step(&f->downloads[i], now_ms);
	curl_multi_perform(f->multi, &n_running);
	while ((m = curl_multi_info_read(f->multi, &n_left))) {
		struct download *d;
		CURLcode code = m->data.result;
		if (m->msg == CURLMSG_DONE && !curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &d))
			end_of_transfer(d, code);
	}
}

/* Until one of the downloads has something to do besides its transfer. */
static int soonest(const struct fetch *f, int timeout_ms)
{
	int64_t now_ms = clock_monotonic_ms();

	for (int i = 0; i < FETCHES_MOST; i++) {
		const struct download *d = &f->downloads[i];
		if (d->dataset && d->state == FETCH_RUNNING && !d->curl) {
			int64_t left = TD_MAX(d->not_before_ms - now_ms, 0);
			if (timeout_ms < 0 || left < timeout_ms)
				timeout_ms = (int)left;
		}
	}
	return timeout_ms;
}

int fetch_wait(struct fetch *f, struct pollfd *fds, int n, int timeout_ms)
{
	struct curl_waitfd *extra;
	bool transferring = false;
	int n_ready = 0;

	for (int i = 0; i < FETCHES_MOST; i++)
		transferring |= f->downloads[i].curl != NULL;
	timeout_ms = soonest(f, timeout_ms);
	if (!transferring)
		return poll(fds, (nfds_t)n, timeout_ms);

	extra = MEM_NEW_N(struct curl_waitfd, n);
	for (int i = 0; i < n; i++) {
		short wanted = (short)((fds[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
				       (fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0));
		extra[i] = (struct curl_waitfd){ .fd = fds[i].fd, .events = wanted };
	}
	curl_multi_poll(f->multi, extra, (unsigned)n, timeout_ms, &n_ready);
	for (int i = 0; i < n; i++)
		fds[i].revents = (short)((extra[i].revents & CURL_WAIT_POLLIN ? POLLIN : 0) |
					 (extra[i].revents & CURL_WAIT_POLLOUT ? POLLOUT : 0));
	mem_free(extra);
	return n_ready;
}

/* ---- For the caller -------------------------------------------------------------------------------------------- */

static struct download *find(struct fetch *f, const char *name)
{
	for (int i = 0; i < FETCHES_MOST; i++)
		if (f->downloads[i].dataset && !strcmp(f->downloads[i].dataset->name, name))
			return &f->downloads[i];
	return NULL;
}

/* A slot that is free, or whose dataset failed and has rested. */
static struct download *free_slot(struct fetch *f)
{
	int64_t now_ms = clock_monotonic_ms();

	for (int i = 0; i < FETCHES_MOST; i++) {
		struct download *d = &f->downloads[i];
		if (!d->dataset || (d->state == FETCH_FAILED && now_ms >= d->not_before_ms))
			return d;
	}
	return NULL;
}

td_status fetch_start(struct fetch *f, const struct known_dataset *k, struct err *e)
{
	struct download *d = find(f, k->name);

	if (d && d->state == FETCH_RUNNING)
		return TD_OK;
	if (d && clock_monotonic_ms() < d->not_before_ms)
		return err_set(e, d->err.status, "%s", d->err.text);
	if (!d && !(d = free_slot(f)))
		return err_set(
			e, TD_BUSY, "%d datasets are being fetched already; try again when one is done", FETCHES_MOST);
	*d = (struct download){ .dataset = k, .state = FETCH_RUNNING, .file = -1, .fd = -1, .fetch = f };
	next_file(d);
	return TD_OK;
}

enum fetch_state fetch_state(struct fetch *f, const char *name, struct err *e)
{
	const struct download *d = find(f, name);

	if (!d)
		return FETCH_NONE;
	if (d->state == FETCH_FAILED)
		err_set(e, d->err.status, "%s", d->err.text);
	return d->state;
}
