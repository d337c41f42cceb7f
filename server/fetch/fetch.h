/* Downloads of known datasets, inside somebody else's poll loop.
 *
 * A file is written to NAME.part, goes on from there after a break (Range), must have the size and checksum that the
 * table says, and only then gets its name: what has its name is whole.  Files of a dataset come one after the other.
 * The only user of libcurl, and belongs to one thread. */
#ifndef FETCH_FETCH_H
#define FETCH_FETCH_H

#include <poll.h>
#include "base/err.h"
#include "fetch/known.h"

struct fetch;

enum fetch_state { FETCH_NONE, FETCH_RUNNING, FETCH_FAILED };

/* What happened to a file, at most FETCH_REPORT_MS apart while it grows.  All strings are borrowed. */
struct fetch_report {
	const char *dataset, *file, *url, *sha256;
	int64_t n_bytes, n_fetched;
	const char *state;  /* "fetching" | "ready" | "failed" */
	const char *detail; /* why it failed, or why it is tried again; NULL: nothing to say */
};
#define FETCH_REPORT_MS 1000

struct fetch_options {
	const char *folder; /* copied; a dataset goes to FOLDER/NAME */
	const char *mirror; /* copied; in place of a dataset's own address, may be http and private; NULL: none */
	int retry_ms;       /* before the first retry, doubled for each that follows */
	void (*report)(void *arg, const struct fetch_report *r);
	void *arg;
};

struct fetch *fetch_create(const struct fetch_options *o);
void fetch_free(struct fetch *f); /* what was fetched so far stays, to go on from */

/* Begin with D unless that is under way.  TD_BUSY: too many are. */
td_status fetch_start(struct fetch *f, const struct known_dataset *d, struct err *e);
/* How NAME fares; for FETCH_FAILED, E says why.  A dataset that is there is FETCH_NONE, like one that nobody asked for.
 */
enum fetch_state fetch_state(struct fetch *f, const char *name, struct err *e);

/* poll() on FDS and on the downloads, for TIMEOUT_MS at most.  Returns what poll would. */
int fetch_wait(struct fetch *f, struct pollfd *fds, int n, int timeout_ms);
/* Do what can be done without waiting. */
void fetch_step(struct fetch *f, int64_t now_ms);

#endif
