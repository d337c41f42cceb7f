/* What the handlers share: jobs, times and tables in the same words everywhere.  One file per resource; http/handlers.h
 * lists them. */
#ifndef API_API_H
#define API_API_H

#include "http/handlers.h"
#include "schema.h"
#include "server.h"

#define API_BASE        "/api/v1"
#define API_WAIT_MOST_S 60 /* of ?wait= */

/* ---- jobjson.c: a job as JSON ------------------------------------------------------------------------------------ */

/* What a list shows of it.  NOW_MS is for its estimated time of arrival. */
cJSON *job_json(const struct job *j, int64_t now_ms);
/* All of it but the history: spec, checked, engine, error, links.  BASE: "http://host" of the links. */
cJSON *job_json_whole(const struct job *j, const char *base, int64_t now_ms);
/* What COLUMN names: a spec pointer ("/optimizer/lr"), a series ("test/accuracy") or a field ("state").  Owned; null:
 * nothing. */
cJSON *job_column(const cJSON *spec, const cJSON *summary, const cJSON *brief, const char *column);
/* "2026-01-02T03:04:05.678Z", or null for 0. */
void api_add_time(cJSON *object, const char *name, int64_t ms);
/* A page of a list; takes ITEMS.  NEXT: the cursor behind it; NULL: this is the last page. */
void respond_list(struct response *r, cJSON *items, const char *next);
/* Link: <same address, after=NEXT>; rel="next" */
void respond_next(const struct request *q, struct response *r, const char *next);
/* A page of what is listed by its member BY, with both; takes ITEMS, of which those beyond LIMIT say only that there are
 * more. */
void respond_listed(const struct request *q, struct response *r, cJSON *items, int limit, const char *by);

/* ---- tokens.c ---------------------------------------------------------------------------------------------------- */

#define TOKEN_TEXT 47 /* "td_", 43 characters for 256 bits, and the zero byte */
/* A new token's text; its hash is what is stored. */
void token_make(char text[TOKEN_TEXT], char hash[SHA256_TEXT]);
td_status token_store(struct store *s, struct token *t, const char *hash, struct err *e);
/* Revoke it and the sessions that were made with it. */
td_status token_revoke(struct store *s, struct store_reader *reader, const char *id, struct err *e);
cJSON *token_json(const struct token *t);
td_status api_parse_time(const char *text, int64_t *ms, struct err *e);

/* ---- csv.c ------------------------------------------------------------------------------------------------------- */

/* One field of a row, quoted where it must be (RFC 4180); FIRST: no comma before it. */
void csv_field(struct buf *out, const char *text, bool first);
void csv_value(struct buf *out, const cJSON *v, bool first);
/* The shortest text that reads back as the same double. */
void csv_double(struct buf *out, double v);

/* ---- submit.c ---------------------------------------------------------------------------------------------------- */

/* The job of the path, or TD_NOT_FOUND; J is filled (job_release) when TD_OK. */
td_status api_job(struct request *q, struct job *j, struct err *e);
/* The same, and TD_FORBIDDEN unless the asker may change it. */
td_status api_own_job(struct request *q, struct job *j, struct err *e);
/* TD_FORBIDDEN unless the asker may change WHAT ("job"), whose owner is OWNER. */
td_status api_own(const struct request *q, const char *what, const char *id, const char *owner, struct err *e);

/* True: a question that this request asked has no answer yet, and it is parked again: return TD_OK.  First thing in a
 * handler that asks. */
bool api_still_waits(struct request *q);
/* Ask once (takes BODY, which is NULL when it was asked before); either *PARKED (return TD_OK, be called again), or
 * *ANSWER is the caller's. */
td_status api_ask(struct request *q, enum question_kind kind, cJSON *body, int64_t memory_bytes, cJSON **answer,
	bool *parked, struct err *e);

/* A job on its way in. */
struct submission {
	cJSON *spec;          /* owned; with all defaults */
	const char *at;       /* borrowed; pointer to where the spec stands in the request's body */
	struct faults faults; /* found so far, with pointers into the body */
	cJSON *ask;           /* owned; what else the checker is asked (proto.h: CHECK); NULL: nothing */
	cJSON *checked;       /* owned; the checker's answer */
	cJSON *warnings;      /* owned; what is probably not meant, as far as the checker sees it; NULL: nothing */
	struct job job;
	const struct config *config; /* borrowed */
	/* What else its commit needs, or NULL. */
	td_status (*with)(struct store_tx *tx, struct submission *s, struct err *e);
	void *arg;     /* borrowed; of WITH */
	bool replayed; /* nothing was stored: it failed, or was before */
};
void submission_init(struct submission *s);
void submission_release(struct submission *s);
/* Unless there are faults already: find all that its schema cannot, and fill S->job.  *PARKED: return TD_OK, and be
 * called again. */
td_status submission_check(struct request *q, struct submission *s, bool *parked, struct err *e);
/* Part of what stores the job, or what will make such jobs: the dataset that it waits for begins to come. */
td_status submission_ask_for_data(struct store_tx *tx, const struct submission *s, struct err *e);
td_status submission_store(struct request *q, struct response *r, struct submission *s, struct err *e);

/* A write that happens once for each Idempotency-Key, and its answer with it. */
struct once {
	struct store_cmd cmd; /* first */
	td_status (*act)(struct store_tx *tx, struct once *o, cJSON **answer, struct err *e);
	int status;             /* of success; ACT may make it another one */
	const char *collection; /* "jobs": Location, with a 201, is /jobs/ID (or NAME) of the answer; NULL: none */
	const char *base;       /* "http://host" for links; the rest is api_once's own, too */
	const char *owner, *key;
	char hash[SHA256_TEXT];
	bool replay, other_body;
	char *body;
};
td_status api_once(struct request *q, struct response *r, struct once *o, struct err *e);

/* ---- fields.c ---------------------------------------------------------------------------------------------------- */

/* Put the members of SET, {pointer: value}, into SPEC; null takes what is there away.  A place that SPEC does not have
 * is a fault at that pointer. */
void fields_set(cJSON *spec, const cJSON *set, struct faults *f);
/* Faults of a spec, said of the members of SET that brought them in: those at or below a member's pointer, or above it,
 * come to stand below BELOW ("/set" + "/~1optimizer~1lr"); all others at ELSEWHERE + their own pointer.  A place that
 * has a fault gets no second one. */
void fields_move_faults(
	const struct faults *from, const cJSON *set, const char *below, const char *elsewhere, struct faults *to);

/* ---- compare.c --------------------------------------------------------------------------------------------------- */

/* Cut LIST at its commas in place.  -1: more than MOST, or an empty entry. */
int api_split(char *list, char **items, int most);

#endif
