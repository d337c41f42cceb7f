/* What the files of this folder share; nobody else includes it but their tests. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "store/db.h"
#include "store/store.h"

struct store_reader {
	struct db db;
};

struct store_tx {
	struct db *db;  /* borrowed: the writer's */
	int64_t seq;    /* of the last event so far */
	int64_t now_ms; /* one time for everything in the transaction */
	struct err err; /* of functions that have no other way to report; fails the command */
};

/* ---- migrate.c -------------------------------------------------------------------------------------------------- */

struct migration {
	const char *path; /* "migrations/0001_init.sql": version 1 */
	const char *sql;
};
/* Bring the database at PATH, open as DB, up to the last of the N migrations, which are in order and start at
 * version 1. */
td_status store_migrate(struct db *db, const char *path, const struct migration *migrations, int n, struct err *e);
/* Those that the program carries: calls store_migrate. */
td_status store_migrate_embedded(struct db *db, const char *path, struct err *e);

/* ---- events.c --------------------------------------------------------------------------------------------------- */

/* Record an event of a job: numbers it, stamps the job's row, drops what is over the caps.  Takes DATA (json_print). */
td_status tx_event(struct store_tx *tx, const char *job, const char *kind, cJSON *data, struct err *e);
/* Record an event of something that is no job; its data says of what.  Takes DATA. */
td_status tx_event_other(struct store_tx *tx, const char *kind, cJSON *data, struct err *e);
/* The event for N new points. */
td_status tx_event_points(
	struct store_tx *tx, const char *job, const char *series, const struct point *points, int n, struct err *e);
/* Add a member NAME with MS as RFC 3339 text. */
void json_add_time(cJSON *object, const char *name, int64_t ms);

/* TD_CONFLICT, naming the job, when a job that is not over has TEXT at the JSON path PATH of its spec; WHAT it is, for
 * the message. */
td_status tx_spec_unused(struct store_tx *tx, const char *path, const char *text, const char *what, struct err *e);

/* ---- jobs.c, jobread.c ------------------------------------------------------------------------------------------ */

td_status job_missing(const char *id, struct err *e); /* TD_NOT_FOUND, with the sentence */
td_status job_read(struct db *db, const char *id, struct job *out, struct err *e);

/* The columns that job_visit reads, of a table jobs that is named j. */
#define JOB_COLUMNS                                                                                                    \
	"j.id, j.seq, j.state, j.reason, j.detail, j.name, j.project, j.owner, j.notes, j.tags, j.priority, "          \
	"j.threads, "                                                                                                  \
	"j.memory_bytes, j.timeout_ms, j.retries, j.attempt, j.acked, j.step, j.n_steps, j.phase, j.epoch, "           \
	"j.created_ms, "                                                                                               \
	"j.updated_ms, j.finished_ms, j.queued_ms, j.started_ms, j.run_ms, j.deleted, j.kind, j.sweep, "               \
	"j.sweep_index, "                                                                                              \
	"(SELECT params FROM sweep_children c WHERE c.sweep = j.sweep AND c.child = j.sweep_index), j.parent"
/* Call EACH with the job that Q, which selects JOB_COLUMNS first, stands on.  As long as Q is not ended, the other
 * queries that this needs see Q's moment. */
void job_visit(struct query *q, void (*each)(void *arg, const struct job *j), void *arg);

/* ---- metrics.c -------------------------------------------------------------------------------------------------- */

/* Append to the tables alone, without an event. */
td_status metrics_append(
	struct store_tx *tx, const char *job, const char *series, const struct point *points, int n, struct err *e);
/* Drop the points after STEP from every series of JOB. */
td_status metrics_truncate(struct store_tx *tx, const char *job, int64_t step, struct err *e);

/* ---- warnings.c ------------------------------------------------------------------------------------------------- */

/* *JSON (owned): an array of {"code", "layer", "text"}, oldest first. */
td_status warnings_read(struct db *db, const char *id, char **json, struct err *e);

/* ---- histograms.c ----------------------------------------------------------------------------------------------- */

/* Drop the histograms after STEP. */
td_status histograms_truncate(struct store_tx *tx, const char *job, int64_t step, struct err *e);

#endif
