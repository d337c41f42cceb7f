/* Events and logs as they happen.
 *
 * A stream remembers one number, the last event or byte that it has sent, and asks the store for what came after it,
 * page by page.  So a stream costs nothing while nothing happens, can be taken up after any break, and holds no read
 * transaction. */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_EVENTS 64           /* of one query */
#define PIECE_BYTES (256u << 10) /* appended by one call; an event that begins before this border is appended whole */
#define LOG_PAGE    32768
#define RETRY_MS    2000 /* after which a browser comes back */

/* ---- Server-Sent Events ------------------------------------------------------------------------------------------ */

struct events {
	char id[ULID_TEXT]; /* empty: all jobs */
	int64_t after;      /* seq of the last event sent */
	bool greeted;
	struct buf *out; /* borrowed during a call */
	bool paused;     /* enough for one piece */
};

static void add_event(void *arg, int64_t seq, const char *job, const char *kind, const char *data)
{
	struct events *s = arg;

	if (s->paused || s->out->len >= PIECE_BYTES) {
		s->paused = true;
		return;
	}
	/* DATA is an object on one line; every event of a job says whose it is, others say of what they are */
	if (*job)
		buf_printf(s->out, "id: %lld\nevent: %s\ndata: {\"job\":\"%s\"%s%s\n\n", (long long)seq, kind, job,
			data[1] == '}' ? "" : ",", data + 1);
	else
		buf_printf(s->out, "id: %lld\nevent: %s\ndata: %s\n\n", (long long)seq, kind, data);
	s->after = seq;
}

/* Whether job ID has come to its end. */
static td_status job_has_ended(struct store_reader *reader, const char *id, bool *ended, struct err *e)
{
	struct job j;

	if (store_job_get(reader, id, &j, e))
		return e->status;
	*ended = job_state_terminal(j.state);
	job_release(&j);
	return TD_OK;
}

/* The stream of a job ends with the event "end" once the job has ended and all is sent; that of all jobs never does. */
static bool next_events(void *state, struct store_reader *reader, bool heartbeat, struct buf *out)
{
	struct events *s = state;
	struct err e = { 0 };
	bool ended = false;
	int got = 0;

	if (!s->greeted) {
		buf_printf(out, "retry: %d\n\n", RETRY_MS);
		s->greeted = true;
	}
	if (*s->id &&
		job_has_ended(reader, s->id, &ended, &e)) /* first the state, then the events: the last is not missed */
		return false;
	s->out = out;
	s->paused = false;
	do {
		if (store_events(reader, *s->id ? s->id : NULL, s->after, PAGE_EVENTS, add_event, s, &got, &e))
			return false; /* the client comes back, and goes on after the last id */
	} while (got == PAGE_EVENTS && !s->paused);
	if (ended && !s->paused) {
		buf_puts(out, "event: end\ndata: {}\n\n");
		return false;
	}
	if (heartbeat && !out->len)
		buf_puts(out, ": still here\n\n");
	return true;
}

/* Where to go on: ?after=, else what a browser sends by itself when it comes back, else OTHERWISE. */
static td_status read_after(const struct request *q, int64_t otherwise, int64_t *after, struct err *e)
{
	const char *last = request_header(q, "Last-Event-ID");
	char *end;

	if (request_query(q, "after"))
		return request_int(q, "after", 0, INT64_MAX / 10, 0, after, e);
	*after = otherwise;
	if (!last)
		return TD_OK;
	*after = strtoll(last, &end, 10);
	if (!*last || *end || *last < '0' || *last > '9' || strlen(last) > 18)
		return err_set(e, TD_INVALID,
			"the Last-Event-ID \"%.60s\" is none of ours; expected the id of an event, a number", last);
	return TD_OK;
}

static td_status respond_events(struct request *q, struct response *r, const char *id, int64_t otherwise, struct err *e)
{
	struct events *s;
	int64_t after;

	if (read_after(q, otherwise, &after, e))
		return e->status;
	s = MEM_NEW(struct events);
	snprintf(s->id, sizeof s->id, "%s", id);
	s->after = TD_MIN(after, store_seq(q->srv->store)); /* an id beyond ours is of an earlier data folder */
	respond_header(r, "X-Accel-Buffering", "no");       /* proxies would wait for more */
	respond_stream(r, "text/event-stream", next_events, s, mem_free);
	return TD_OK;
}

td_status job_events(struct request *q, struct response *r, struct err *e)
{
	struct job j;

	if (api_job(q, &j, e))
		return e->status;
	respond_events(q, r, j.id, 0, e);
	job_release(&j);
	return e->status;
}

td_status all_events(struct request *q, struct response *r, struct err *e)
{
	return respond_events(q, r, "", store_seq(q->srv->store), e);
}

/* ---- Logs -------------------------------------------------------------------------------------------------------- */

struct log_stream {
	char id[ULID_TEXT];
	int64_t at, end; /* bytes; END -1: as far as it goes, while the job does */
};

static bool next_log(void *state, struct store_reader *reader, bool heartbeat, struct buf *out)
{
	struct log_stream *s = state;
	struct err e = { 0 };
	char page[LOG_PAGE];
	int64_t got = 0, most;
	bool ended = true;

	(void)heartbeat;
	if (s->end < 0 && job_has_ended(reader, s->id, &ended, &e)) /* as for events */
		return false;
	do {
		most = s->end < 0 ? LOG_PAGE : TD_MIN(LOG_PAGE, s->end - s->at);
		if (!most)
			return false;
		if (store_log_read(reader, s->id, s->at, page, most, &got, &e))
			return false;
		buf_append(out, page, (size_t)got);
		s->at += got;
	} while (got == LOG_PAGE && out->len < PIECE_BYTES);
	return got > 0 || !ended;
}

td_status job_log(struct request *q, struct response *r, struct err *e)
{
	struct log_stream *s;
	struct err refused = { 0 };
	struct job j;
	int64_t follow, total, first = 0, n = 0;

	if (request_int(q, "follow", 0, 1, 0, &follow, e) || api_job(q, &j, e))
		return e->status;
	job_release(&j);
	if (!follow) {
		if (store_log_size(q->reader, q->param[0], &total, e))
			return e->status;
		if (respond_range(r, q, total, &first, &n, &refused))
			return TD_OK; /* the response says why */
	}
	s = MEM_NEW(struct log_stream);
	snprintf(s->id, sizeof s->id, "%s", q->param[0]);
	s->at = first;
	s->end = follow ? -1 : first + n;
	respond_stream(r, "text/plain; charset=utf-8", next_log, s, mem_free);
	return TD_OK;
}
