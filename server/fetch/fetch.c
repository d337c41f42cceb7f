/* Downloads: see fetch.h.
 *
 * A dataset being fetched is a small machine: each step either hashes a piece of what an earlier life left behind, or
 * starts the transfer of the next file, or notices that a transfer has ended.  Nothing here waits. */
#include "fetch/fetch.h"
#include "base/clock.h"
#include "base/log.h"
#include "fetch/address.h"
#include "fetch/version.h"
#include "part.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FETCHES_MOST   4 /* datasets at once */
#define TRIES_MOST     6 /* of one file, in a row without progress */
#define CONNECT_MS     10000
#define REDIRECTS_MOST 5

struct file {
	char *name, *url, *sha256; /* owned */
	int64_t n_bytes;           /* as promised; -1: not known */
};

struct download {
	char *name; /* owned; NULL: free slot */
	enum fetch_state state;
	struct file *files; /* owned */
	int n_files;
	int64_t max_bytes;
	bool allow_private;
	int at;                    /* index of the file in hand */
	struct part part;          /* of it */
	char etag[VERSION_TEXT];   /* of what is in the part */
	char coming[VERSION_TEXT]; /* of the answer that comes */
	int64_t n_promised;        /* its bytes, as the table or the server says; -1: not known */
	int64_t n_before;          /* bytes of the files before it */
	CURL *curl;                /* of the transfer under way, or NULL */
	struct curl_slist *headers;
	char curl_text[CURL_ERROR_SIZE];
	int n_tries;
	int64_t n_furthest;    /* most bytes that any try of this file has reached */
	bool mismatched;       /* this file has come whole, and was another than ours, once */
	bool refused_private;  /* an address was refused */
	bool other_version;    /* COMING is not ETAG */
	int64_t n_at_try;      /* bytes when this try began */
	int64_t not_before_ms; /* the next try */
	int64_t reported_ms;   /* when the last report was made */
	int64_t n_reported;    /* bytes that it told of */
	struct err err;
	struct fetch *fetch; /* borrowed: whose it is */
};

struct fetch {
	CURLM *multi;
	char *folder; /* owned */
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
	return f;
}

static const struct file *file_of(const struct download *d)
{
	return &d->files[d->at];
}

static char *path_of(const struct download *d, const char *suffix)
{
	return mem_printf("%s/%s/%s%s", d->fetch->folder, d->name, file_of(d)->name, suffix);
}

static void report(struct download *d, const char *state, const char *sha256, const char *detail)
{
	const struct file *f = file_of(d);

	d->reported_ms = clock_monotonic_ms();
	d->n_reported = d->part.n;
	d->fetch->options.report(d->fetch->options.arg, &(struct fetch_report){ .dataset = d->name,
								.file = f->name,
								.url = f->url,
								.sha256 = sha256,
								.etag = d->etag,
								.n_bytes = d->n_promised,
								.n_fetched = d->part.n,
								.state = state,
								.detail = detail,
								.position = d->at });
}

/* ---- The end of a transfer, a file, a dataset ------------------------------------------------------------------ */

static void end_transfer(struct download *d)
{
	if (!d->curl)
		return;
	curl_multi_remove_handle(d->fetch->multi, d->curl);
	curl_easy_cleanup(d->curl);
	curl_slist_free_all(d->headers);
	d->curl = NULL;
	d->headers = NULL;
}

static void close_part(struct download *d)
{
	end_transfer(d);
	part_close(&d->part);
}

static void release(struct download *d)
{
	close_part(d);
	for (int i = 0; i < d->n_files; i++) {
		mem_free(d->files[i].name);
		mem_free(d->files[i].url);
		mem_free(d->files[i].sha256);
	}
	mem_free(d->files);
	mem_free(d->name);
	*d = (struct download){ 0 };
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	for (int i = 0; i < FETCHES_MOST; i++)
		if (f->downloads[i].name)
			release(&f->downloads[i]);
	curl_multi_cleanup(f->multi);
	curl_global_cleanup();
	mem_free(f->folder);
	mem_free(f);
}

/* Begin the part anew: what it holds is not what it should be. */
static void discard_part(struct download *d)
{
	part_empty(&d->part, &d->err);
	*d->etag = '\0';
}

/* This try came to nothing, as D's error says: rest and try again, or give the dataset up. */
static void try_again(struct download *d, bool worth_it)
{
	end_transfer(d);
	if (d->part.n > d->n_furthest) { /* a line that breaks often but moves is not a failure */
		d->n_furthest = d->part.n;
		d->n_tries = 0;
	}
	err_wrap(&d->err, "fetching %.300s", file_of(d)->url);
	if (!worth_it || ++d->n_tries >= TRIES_MOST) {
		log_line(LOG_WARN, "dataset cannot be fetched", "name=%s text=%s", d->name, d->err.text);
		report(d, "failed", file_of(d)->sha256, d->err.text);
		close_part(d);
		d->state = FETCH_FAILED;
		return;
	}
	d->not_before_ms = clock_monotonic_ms() + ((int64_t)d->fetch->options.retry_ms << TD_MAX(d->n_tries - 1, 0));
	report(d, "fetching", file_of(d)->sha256, d->err.text);
	err_clear(&d->err);
}

/* Whether the file in hand is there, whole; its bytes count in any case. */
static bool is_there(struct download *d)
{
	char *path = path_of(d, "");
	struct stat st;
	bool there = !stat(path, &st) && S_ISREG(st.st_mode) &&
		     (file_of(d)->n_bytes < 0 || st.st_size == file_of(d)->n_bytes);

	mem_free(path);
	if (there)
		d->n_before += st.st_size;
	return there;
}

/* Go on with the next file that is not there yet; without one, the dataset is done. */
static void next_file(struct download *d)
{
	for (d->at++; d->at < d->n_files && is_there(d); d->at++)
		;
	*d->etag = '\0';
	part_init(&d->part);
	d->n_tries = 0;
	d->mismatched = false;
	d->n_furthest = 0;
	d->not_before_ms = 0;
	if (d->at == d->n_files) {
		log_line(LOG_INFO, "dataset fetched", "name=%s bytes=%lld", d->name, (long long)d->n_before);
		d->state = FETCH_DONE;
	} else {
		d->n_promised = file_of(d)->n_bytes;
	}
}

/* What came is not the file.  A transfer may break one byte, so once more; then it is another file, and stays one. */
static void refuse_file(struct download *d)
{
	bool worth_it = !d->mismatched;

	d->mismatched = true;
	discard_part(d);
	try_again(d, worth_it);
}

/* All bytes are there: they must be the right ones. */
static void finish_file(struct download *d)
{
	char text[SHA256_TEXT], *part = path_of(d, ".part"), *path = path_of(d, "");
	const char *wanted = file_of(d)->sha256;
	int64_t n = d->part.n;

	if (part_finish(&d->part, text, &d->err)) {
		try_again(d, false);
	} else if (*wanted && strcmp(text, wanted) != 0) {
		err_set(&d->err, TD_CORRUPT, "its SHA-256 is %s; expected %s", text, wanted);
		if (part_open(&d->part, part, &d->err))
			try_again(d, false);
		else
			refuse_file(d);
	} else if (file_rename(part, path, &d->err)) {
		try_again(d, false);
	} else {
		d->n_promised = n;
		report(d, "ready", text, NULL);
		d->n_before += n;
		next_file(d);
	}
	mem_free(part);
	mem_free(path);
}

/* ---- A transfer ------------------------------------------------------------------------------------------------ */

/* The first bytes have come, so the answer's head has been read: are they those that were asked for?  A server may give
 * a range without regard to If-Range. */
static bool accept_version(struct download *d)
{
	long http = 0;

	curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &http);
	d->other_version = d->n_at_try && version_differs(d->etag, d->coming);
	if (d->other_version || (http == 206 && !d->n_at_try)) {
		err_set(&d->err, TD_CORRUPT, "the server sent a part of %s",
			d->other_version ? "another version" : "the file, though all of it was asked for");
		return false;
	}
	if (!d->n_at_try)
		memcpy(d->etag, d->coming, sizeof d->etag);
	return true;
}

/* How long it says it is must be what was promised, or at least allowed. */
static bool learn_size(struct download *d)
{
	curl_off_t length = -1;
	int64_t whole;

	curl_easy_getinfo(d->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (length < 0 || file_of(d)->n_bytes >= 0)
		return true;
	whole = d->n_at_try + length;
	if (whole > d->max_bytes - d->n_before) {
		err_set(&d->err, TD_TOO_LARGE,
			"it has %lld bytes; with it the dataset would pass its max_bytes, %lld; register it with more, "
			"or start the daemon with a larger --dataset-max-bytes",
			(long long)whole, (long long)d->max_bytes);
		return false;
	}
	d->n_promised = whole;
	return true;
}

static size_t take_bytes(char *bytes, size_t size, size_t n, void *arg)
{
	struct download *d = arg;
	int64_t exactly = file_of(d)->n_bytes, most = exactly >= 0 ? exactly : d->max_bytes - d->n_before;

	n *= size;
	if (d->part.n == d->n_at_try && (!accept_version(d) || !learn_size(d)))
		return CURL_WRITEFUNC_ERROR;
	if ((int64_t)n > most - d->part.n) {
		err_set(&d->err, TD_TOO_LARGE, "it has more than the %lld bytes %s", (long long)most,
			exactly >= 0 ? "expected" : "that the dataset may have; register it with a larger max_bytes");
		return CURL_WRITEFUNC_ERROR;
	}
	if (part_append(&d->part, bytes, n, &d->err))
		return CURL_WRITEFUNC_ERROR;
	return n;
}

static size_t take_header(char *line, size_t size, size_t n, void *arg)
{
	struct download *d = arg;

	version_learn(d->coming, line, n * size);
	return n * size;
}

/* Where it may connect to.  A proxy that the administrator has set makes all connections itself, and decides itself. */
static void limit_addresses(struct download *d, CURL *c)
{
	const char *proxy = address_proxy();

	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	if (d->allow_private)
		return;
	curl_easy_setopt(c, CURLOPT_PROXY, proxy ? proxy : "");
	curl_easy_setopt(c, CURLOPT_NOPROXY, "");
	if (proxy)
		return;
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, address_open_public);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, &d->refused_private);
}

static void start_transfer(struct download *d)
{
	CURL *c = curl_easy_init();

	TD_ASSERT(c);
	d->n_at_try = d->part.n;
	d->refused_private = d->other_version = false;
	*d->curl_text = *d->coming = '\0';
	curl_easy_setopt(c, CURLOPT_URL, file_of(d)->url);
	curl_easy_setopt(c, CURLOPT_PRIVATE, d);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, d->curl_text);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, d);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, d);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "tandem");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MOST);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)FETCH_SLOW_BYTES);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)d->fetch->options.stall_s);
	curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)d->part.n);
	limit_addresses(d, c);
	if (d->part.n && !*file_of(d)->sha256) { /* nothing else would tell a mixture of two versions */
		char *line = mem_printf("If-Range: %s", d->etag);
		d->headers = curl_slist_append(NULL, line);
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, d->headers);
		mem_free(line);
	}
	d->curl = c;
	TD_ASSERT(!curl_multi_add_handle(d->fetch->multi, c));
	report(d, "fetching", file_of(d)->sha256, NULL);
}

/* Whether another try may end better: not after an answer that says "no" for good. */
static bool may_pass(const struct download *d, CURLcode code, long http)
{
	if (d->err.status == TD_NO_SPACE || d->err.status == TD_IO || d->refused_private)
		return false;
	if (code == CURLE_HTTP_RETURNED_ERROR)
		return http == 408 || http == 429 || http == 416 || http >= 500;
	return code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_URL_MALFORMAT && code != CURLE_TOO_MANY_REDIRECTS;
}

static void describe_end(struct download *d, CURLcode code)
{
	if (d->refused_private)
		err_set(&d->err, TD_FORBIDDEN,
			"its address is not a public one; with --fetch-private on the daemon fetches from this network "
			"too");
	else if (code)
		err_set(&d->err, TD_UNAVAILABLE, "%s", *d->curl_text ? d->curl_text : curl_easy_strerror(code));
	else
		err_set(&d->err, TD_UNAVAILABLE, "it ended after %lld of %lld bytes", (long long)d->part.n,
			(long long)d->n_promised);
}

static void end_of_transfer(struct download *d, CURLcode code)
{
	long http = 0;

	curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &http);
	if (!code && (d->n_promised < 0 || d->part.n == d->n_promised)) {
		end_transfer(d);
		finish_file(d);
		return;
	}
	describe_end(d, code);
	if (d->err.status == TD_TOO_LARGE) {
		if (file_of(d)->n_bytes < 0)
			d->mismatched = true; /* a cap stays a cap */
		refuse_file(d);
		return;
	}
	if (code == CURLE_RANGE_ERROR || http == 416 ||
		d->other_version) /* a server without ranges, or with another version */
		discard_part(d);
	try_again(d, may_pass(d, code, http));
}

/* ---- Steps ----------------------------------------------------------------------------------------------------- */

/* Whether more bytes may be added to the part: something must tell in the end that all are of one version. */
static bool may_go_on(const struct download *d)
{
	const struct file *f = file_of(d);

	return (*f->sha256 || *d->etag) && (f->n_bytes < 0 || d->part.n <= f->n_bytes);
}

/* Open the part that an earlier try, or an earlier daemon, has left.  Its bytes are hashed before more are added. */
static bool open_part(struct download *d)
{
	char *folder = mem_printf("%s/%s", d->fetch->folder, d->name), *part = path_of(d, ".part");

	if (!file_make_folder(folder, &d->err) && !part_open(&d->part, part, &d->err) && !may_go_on(d))
		discard_part(d);
	mem_free(folder);
	mem_free(part);
	return !d->err.status;
}

static void step(struct download *d, int64_t now_ms)
{
	if (d->curl && d->part.n != d->n_reported && now_ms >= d->reported_ms + FETCH_REPORT_MS)
		report(d, "fetching", file_of(d)->sha256, NULL);
	if (d->state != FETCH_RUNNING || d->curl || now_ms < d->not_before_ms)
		return;
	if (d->part.fd < 0 && !open_part(d))
		try_again(d, false);
	else if (d->part.n_hashed < d->part.n)
		part_hash(&d->part);
	else if (d->part.n && d->part.n == file_of(d)->n_bytes)
		finish_file(d);
	else if (d->part.n && !may_go_on(d))
		discard_part(d);
	else
		start_transfer(d);
}

void fetch_step(struct fetch *f, int64_t now_ms)
{
	int n_running, n_left;
	CURLMsg *m;

	for (int i = 0; i < FETCHES_MOST; i++)
		if (f->downloads[i].name)
			step(&f->downloads[i], now_ms);
	curl_multi_perform(f->multi, &n_running);
	while ((m = curl_multi_info_read(f->multi, &n_left))) {
		struct download *d;
		CURLcode code = m->data.result;
		if (m->msg == CURLMSG_DONE && !curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &d))
			end_of_transfer(d, code);
	}
}

/* Until one of the downloads has something to do, or to tell, besides its transfer. */
static int soonest(const struct fetch *f, int timeout_ms)
{
	int64_t now_ms = clock_monotonic_ms();

	for (int i = 0; i < FETCHES_MOST; i++) {
		const struct download *d = &f->downloads[i];
		int64_t due_ms = d->curl ? d->reported_ms + FETCH_REPORT_MS : d->not_before_ms;
		int64_t left = TD_MAX(due_ms - now_ms, 0);
		if (!d->name || d->state != FETCH_RUNNING || (d->curl && d->part.n == d->n_reported))
			continue;
		if (timeout_ms < 0 || left < timeout_ms)
			timeout_ms = (int)left;
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
		if (f->downloads[i].name && !strcmp(f->downloads[i].name, name))
			return &f->downloads[i];
	return NULL;
}

static struct download *free_slot(struct fetch *f)
{
	for (int i = 0; i < FETCHES_MOST; i++)
		if (!f->downloads[i].name)
			return &f->downloads[i];
	return NULL;
}

static void copy_request(struct download *d, const struct fetch_request *r)
{
	d->name = mem_strdup(r->name);
	d->n_files = r->n_files;
	d->files = MEM_NEW_N(struct file, r->n_files);
	d->max_bytes = r->max_bytes;
	d->allow_private = r->allow_private;
	for (int i = 0; i < r->n_files; i++) {
		const struct fetch_file *f = &r->files[i];
		d->files[i] = (struct file){ .name = mem_strdup(f->name),
			.url = mem_strdup(f->url),
			.sha256 = mem_strdup(f->sha256 ? f->sha256 : ""),
			.n_bytes = f->n_bytes };
	}
}

td_status fetch_start(struct fetch *f, const struct fetch_request *r, struct err *e)
{
	struct download *d = find(f, r->name);
	const char *etag;

	if (d)
		return TD_OK;
	if (!(d = free_slot(f)))
		return err_set(
			e, TD_BUSY, "%d datasets are being fetched already; try again when one is done", FETCHES_MOST);
	*d = (struct download){ .state = FETCH_RUNNING, .at = -1, .fetch = f };
	copy_request(d, r);
	next_file(d);
	/* Only the file that a break has left behind has a part to go on from. */
	etag = d->state == FETCH_RUNNING ? r->files[d->at].etag : NULL;
	if (etag && strlen(etag) < sizeof d->etag)
		snprintf(d->etag, sizeof d->etag, "%s", etag);
	return TD_OK;
}

void fetch_stop(struct fetch *f, const char *name)
{
	struct download *d = find(f, name);

	if (d)
		release(d);
}

enum fetch_state fetch_state(struct fetch *f, const char *name, struct err *e)
{
	const struct download *d = find(f, name);

	if (!d)
		return FETCH_NONE;
	if (d->state == FETCH_FAILED)
		err_copy(e, &d->err);
	return d->state;
}

void fetch_each(struct fetch *f, void (*each)(void *arg, const char *name), void *arg)
{
	for (int i = 0; i < FETCHES_MOST; i++)
		if (f->downloads[i].name)
			each(arg, f->downloads[i].name);
}
