/* Downloads of files over http and https, inside somebody else's poll loop.
 *
 * A file is written to NAME.part, goes on from there after a break (Range), must be what was promised (size and
 * checksum, as far as they are known; without a checksum the server must say that it still has the same version), and
 * only then gets its name: what has its name is whole.  Files of a dataset come one after the other.  The only user of
 * libcurl, and belongs to one thread. */
#ifndef FETCH_FETCH_H
#define FETCH_FETCH_H

#include <poll.h>
#include <stdint.h>
#include "base/err.h"

struct fetch;

enum fetch_state { FETCH_NONE, FETCH_RUNNING, FETCH_DONE, FETCH_FAILED };

/* What happened to a file, at most FETCH_REPORT_MS apart while it grows.  All strings are borrowed. */
struct fetch_report {
	const char *dataset, *file, *url, *sha256; /* SHA256: of a file that is ready; else as promised, or "" */
	const char *etag;                          /* which version the part holds; "": not known */
	int64_t n_bytes, n_fetched;                /* N_BYTES -1: not known yet */
	const char *state;                         /* "fetching" | "ready" | "failed" */
	const char *detail;                        /* why it failed, or is tried again; NULL: nothing to say */
	int position;                              /* among its dataset's files */
};
#define FETCH_REPORT_MS 1000

struct fetch_options {
	const char *folder; /* copied; a dataset goes to FOLDER/NAME */
	int retry_ms;       /* before the first retry, doubled for each that follows */
	int stall_s;        /* a transfer that has been slower than FETCH_SLOW_BYTES a second for so long is broken */
	void (*report)(void *arg, const struct fetch_report *r);
	void *arg;
};
#define FETCH_SLOW_BYTES 1024

struct fetch_file {
	const char *name, *url;
	const char *sha256; /* lower-case hexadecimal; NULL or "": not known */
	const char *etag;   /* of the version that a part holds; NULL or "": what it holds is not gone on from */
	int64_t n_bytes;    /* exactly; -1: not known */
};

struct fetch_request { /* all of it is copied */
	const char *name;
	const struct fetch_file *files;
	int n_files;
	int64_t max_bytes;  /* of all files together */
	bool allow_private; /* addresses of the machine's own network too */
};

struct fetch *fetch_create(const struct fetch_options *o);
void fetch_free(struct fetch *f); /* what was fetched so far stays, to go on from */

/* Begin, unless a dataset of this name is there in any state.  TD_BUSY: too many are under way. */
td_status fetch_start(struct fetch *f, const struct fetch_request *r, struct err *e);
/* Stop at once and forget NAME, whatever its state; parts stay on disk. */
void fetch_stop(struct fetch *f, const char *name);
/* How NAME fares; for FETCH_FAILED, E says why. */
enum fetch_state fetch_state(struct fetch *f, const char *name, struct err *e);
/* Call EACH with the names that there are. */
void fetch_each(struct fetch *f, void (*each)(void *arg, const char *name), void *arg);

/* poll() on FDS and on the downloads, for TIMEOUT_MS at most.  Returns what poll would. */
int fetch_wait(struct fetch *f, struct pollfd *fds, int n, int timeout_ms);
/* Do what can be done without waiting. */
void fetch_step(struct fetch *f, int64_t now_ms);

#endif
