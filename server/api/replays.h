/* What the routes of replays share with those of what a replay has kept. */
#ifndef API_REPLAYS_H
#define API_REPLAYS_H

#include "api/api.h"

#include <stdio.h>

/* A number of a path: digits alone, as links have it.  -1: it is none. */
int64_t replay_number(const char *text);
/* The row of the path, whose job there is; replay_release when TD_OK. */
td_status replay_find(struct request *q, struct replay_row *row, struct err *e);
/* Path of one of ROW's files (replayfiles.h); owned by the caller. */
char *replay_file(const struct request *q, const struct replay_row *row, const char *name);
/* One of them, to be read; the caller's.  NULL: E says why. */
FILE *replay_open(const struct request *q, const struct replay_row *row, const char *name, struct err *e);
/* Answer with HEAD (NULL: nothing), then the N bytes of F from FROM on, a piece at a time.  Takes HEAD and F. */
td_status replay_send(const struct request *q, struct response *r, const char *media_type, char *head, FILE *f,
	int64_t from, int64_t n, struct err *e);

#endif
