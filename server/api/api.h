/* What the handlers share: jobs, times and tables in the same words everywhere.  One file per resource; http/handlers.h
 * lists them. */
#ifndef API_API_H
#define API_API_H

#include "http/handlers.h"
#include "schema.h"
#include "server.h"

#define API_BASE "/api/v1"

/* ---- jobjson.c: a job as JSON ------------------------------------------------------------------------------------ */

/* What a list shows of it.  NOW_MS is for its estimated time of arrival. */
cJSON *job_json(const struct job *j, int64_t now_ms);
/* All of it but the history: spec, checked, engine, error, links.  BASE: "http://host" of the links. */
cJSON *job_json_whole(const struct job *j, const char *base, int64_t now_ms);
/* What COLUMN names: a spec pointer ("/optimizer/lr"), a series ("test/accuracy") or a field ("state").  Owned; null:
 * nothing. */
cJSON *job_column(const struct job *j, const cJSON *spec, const cJSON *brief, const char *column);
/* "2026-01-02T03:04:05.678Z", or null for 0. */
void api_add_time(cJSON *object, const char *name, int64_t ms);
/* A page of a list; takes ITEMS.  NEXT: the cursor behind it; NULL: this is the last page. */
void respond_list(struct response *r, cJSON *items, const char *next);

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
void csv_number(struct buf *out, double v);

/* ---- jobs.c ------------------------------------------------------------------------------------------------------ */

/* The job of the path, or TD_NOT_FOUND; J is filled (job_release) when TD_OK. */
td_status api_job(struct request *q, struct job *j, struct err *e);

#endif
