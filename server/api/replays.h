/* What the routes of replays share with those of what a replay has kept. */
#ifndef API_REPLAYS_H
#define API_REPLAYS_H

#include "api/api.h"

/* A number of a path: digits alone, as links have it.  -1: it is none. */
int64_t replay_number(const char *text);
/* The row of the path, whose job there is; replay_release when TD_OK. */
td_status replay_find(struct request *q, struct replay_row *row, struct err *e);
/* Path of one of ROW's files (replayfiles.h); owned by the caller. */
char *replay_file(const struct request *q, const struct replay_row *row, const char *name);
/* Its document, as the worker wrote it; buf_release in any case. */
td_status replay_document(const struct request *q, const struct replay_row *row, struct buf *out, struct err *e);

#endif
