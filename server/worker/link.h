/* The worker's side of the socket: numbers, keeps and resends what the daemon has not acknowledged.
 *
 * A thread of its own reads acknowledgements and orders and reconnects after a break (same job, attempt and secret) for
 * the grace time; the training thread only appends and looks at link_stop.  The buffer is capped: when it is full,
 * link_send waits for acknowledgements, so a slow daemon slows the worker down and nothing is lost. */
#ifndef WORKER_LINK_H
#define WORKER_LINK_H

#include "proto.h"

struct link;

enum link_stop {
	LINK_GO,
	LINK_CANCEL,
	LINK_PAUSE,
	LINK_DRAIN,
	LINK_TIMEOUT,
	LINK_STALE,
	LINK_ORPHANED /* no daemon for the grace time; without a job, no daemon any more */
};

/* Connect to SOCKET, say hello as ROLE ("job", "checker", "preparer", "predictor", "replayer") with the one-use SECRET.
 */
td_status link_open(const char *socket, const char *secret, const char *role, const char *fingerprint,
	int grace_seconds, struct link **out, struct err *e);
void link_close(struct link *l);
/* Wait for the next order that is not an ACK or STOP (RUN, CHECK, PREPARE, PREDICT, REPLAY), at most TIMEOUT_MS
 * (LINK_FOREVER). 0: filled; 1: none came; -1: the daemon is gone for good, or wants this process to leave. */
#define LINK_FOREVER (-1)
int link_order(struct link *l, int timeout_ms, struct proto_msg *m);
/* After a RUN: its job and attempt, for hello after a break; numbering starts from 1. */
void link_set_job(struct link *l, const char *job, int attempt);
/* Takes BODY.  False: orphaned or stale; the caller checkpoints and leaves. */
bool link_send(struct link *l, enum proto_kind kind, cJSON *body);
/* What the daemon (or SIGTERM: drain) wants; looked at once a step. */
enum link_stop link_stop_wanted(const struct link *l);
void link_request_drain(struct link *l); /* async-signal-safe */
/* Wait until everything sent is acknowledged.  False: that did not happen within TIMEOUT_MS, or the daemon is gone. */
bool link_flush(struct link *l, int timeout_ms);

#endif
