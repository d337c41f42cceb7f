/* The store: everything that must survive, in one SQLite database (WAL, synchronous=FULL).  The only user of SQLite.
 *
 * Writes: one thread owns the one write connection.  Others hand it commands; it runs as many as are waiting in one
 * transaction (each in a savepoint, so one that fails takes back only itself), commits once, then completes them.
 * Everything that can be streamed is an event with a number of its own, its seq, counted up from 1 over the life of the
 * database and across restarts: the SSE id.  (One number per event, not per commit: a stream that breaks in the middle
 * of a commit can go on in the middle.)  A commit's seq is that of its last event, made known through the wake-up
 * function.
 * Reads: every HTTP thread has a reader of its own, read-only; rows come out as structs or through callbacks.
 *
 * Persist, then act, then answer: when store_write returns TD_OK, it is on disk. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "base/json.h"
#include "sched/job.h"

struct store;
struct store_reader; /* a read-only connection; one thread at a time */
struct store_tx;     /* the write connection inside a transaction; exists only inside a command */

/* ---- Life ------------------------------------------------------------------------------------------------------- */

/* Open DATA/tandem.db (copying it aside and migrating when it is older), start the writer.  A database that is newer
 * than this program is refused.  Only one daemon per folder (a lock file), else TD_CONFLICT. */
td_status store_open(const char *data_dir, struct store **out, struct err *e);
/* TD_NOT_FOUND: no daemon uses DATA_DIR now.  TD_OK: one does, or its lock file is not ours to read. */
td_status store_is_used(const char *data_dir, struct err *e);
void store_close(struct store *s); /* commits what is queued, stops the writer */

/* Called by the writer after a commit that has events, with its seq.  Must not block.  Set before the first command. */
void store_on_commit(struct store *s, void (*wake)(void *arg, int64_t seq), void *arg);
int64_t store_seq(const struct store *s); /* of the last commit; thread-safe */

td_status store_reader_open(struct store *s, struct store_reader **out, struct err *e);
void store_reader_close(struct store_reader *r);

/* ---- Commands --------------------------------------------------------------------------------------------------- */

struct store_cmd {
	/* Runs on the writer, inside the transaction.  A status other than TD_OK rolls this command back. */
	td_status (*run)(struct store_tx *tx, struct store_cmd *cmd, struct err *e);
	/* Runs on the writer after the commit (cmd->err says how it went).  NULL for store_write. */
	void (*done)(struct store_cmd *cmd);
	struct err err;         /* outcome */
	int64_t seq;            /* of the store after the commit it was part of */
	struct store_cmd *next; /* the store's own, like the next two */
	bool waited_for, finished;
};

#define STORE_QUEUE_MOST 1024 /* commands waiting; store_post refuses more */

/* Waits until committed; returns cmd->err.status.  TD_BUSY: the queue stayed full for STORE_WAIT_MS; TD_UNAVAILABLE:
 * closing; in both cases nothing happened. */
#define STORE_WAIT_MS 10000
td_status store_write(struct store *s, struct store_cmd *cmd);
bool store_post(struct store *s, struct store_cmd *cmd); /* false: the queue is full or closing, nothing happened */

/* ---- Jobs (writes) ---------------------------------------------------------------------------------------------- */

/* New row with its first transition (event and reason "submitted", from and to J's state: QUEUED or PREPARING).  J's
 * times and seq are filled in by this, and its id unless it has one; NULL texts are stored as empty ones. */
td_status store_job_insert(struct store_tx *tx, struct job *j, struct err *e);
/* Apply EVENT to the present row (compare and set by the table of job.c), write the transition, keep times, attempt
 * (ASSIGN counts it up and zeroes acked), run_ms.  No move: TD_CONFLICT, and the text names the state.  *AFTER (may be
 * NULL; job_release). */
td_status store_job_event(struct store_tx *tx, const char *id, enum job_event event, const char *reason,
	const char *detail, struct job *after, struct err *e);
/* Say why a queued job waits: reason and detail of the row, without a transition.  No longer queued: nothing happens.
 */
td_status store_job_set_reason(
	struct store_tx *tx, const char *id, const char *reason, const char *detail, struct err *e);
/* Change what a user may: name, tags (JSON), notes, priority; NULL members of PATCH stay. */
struct job_patch {
	const char *name, *notes, *tags;
	const int *priority;
};
td_status store_job_patch(struct store_tx *tx, const char *id, const struct job_patch *p, struct err *e);
/* Only a job in a terminal state (else TD_CONFLICT).  PURGE: rows are gone for good; the caller removes the job's
 * folder. */
td_status store_job_delete(struct store_tx *tx, const char *id, bool purge, struct err *e);
/* Whether NUMBER of (ID, ATTEMPT) is new; if so it becomes the last acknowledged.  False also for a stale attempt, and
 * for a job whose state has no worker any more. */
bool store_job_accept(struct store_tx *tx, const char *id, int attempt, int64_t number);
td_status store_job_set_error(struct store_tx *tx, const char *id, const char *error_json, struct err *e);
td_status store_job_set_engine(struct store_tx *tx, const char *id, const char *engine_json, struct err *e);
td_status store_job_set_report(struct store_tx *tx, const char *id, const char *report_json, struct err *e);
td_status store_job_set_graph(struct store_tx *tx, const char *id, const char *graph_json, struct err *e);
td_status store_job_progress(struct store_tx *tx, const char *id, int64_t step, int64_t n_steps, const char *phase,
	int epoch, struct err *e);
/* TD_CONFLICT unless it is an external job that runs: then points and an end may come from outside. */
td_status store_job_outside(struct store_tx *tx, const char *id, struct err *e);
/* One line "TIME level text" of the job's log.  Past STORE_LOG_MOST bytes nothing more is kept, and the last line says
 * so. */
#define STORE_LOG_MOST (64 << 20)
td_status store_log_append(
	struct store_tx *tx, const char *id, int64_t time_ms, const char *level, const char *text, struct err *e);

/* What the author of a job probably did not mean, with the fix.  One of the same code and layer is there already:
 * nothing happens, nor past STORE_WARNINGS_MOST of a job; otherwise it is also a line of the log, of level warning. */
#define STORE_WARNINGS_MOST 100
#define STORE_WARNING_CODE  40  /* bytes, like the two below */
#define STORE_WARNING_LAYER 255 /* a dotted path; empty: it is about none */
#define STORE_WARNING_TEXT  1000
struct store_warning {
	const char *code, *layer, *text; /* borrowed */
	int64_t time_ms;
};
td_status store_warning_add(struct store_tx *tx, const char *id, const struct store_warning *w, struct err *e);

struct artifact {
	char *name, *file, *sha256, *media_type; /* owned; FILE is relative to the job's folder */
	int64_t n_bytes, created_ms;
	int64_t step; /* of a checkpoint; -1 for an artifact */
	char *kind;   /* "last" | "best" for a checkpoint, "artifact" */
};
void artifact_release(struct artifact *a);
/* A checkpoint exists when this commits.  Of the same kind the newest KEEP (1 or more) stay, it among them; the files
 * of those that go are listed in *OBSOLETE (newline-separated names, mem_free; NULL: none), for the caller to delete
 * after the commit. */
td_status store_checkpoint_add(
	struct store_tx *tx, const char *id, const struct artifact *a, int keep, char **obsolete, struct err *e);
td_status store_artifact_add(struct store_tx *tx, const char *id, const struct artifact *a, struct err *e);
/* Forget every point after STEP (deterministic or not) and the report, set progress back, and record a rewind event. */
td_status store_rewind(struct store_tx *tx, const char *id, int64_t step, struct err *e);

/* ---- Metrics ---------------------------------------------------------------------------------------------------- */

#define STORE_SERIES_MOST 256 /* of one job: a typing error in a loop must not fill the database */
#define STORE_SERIES_NAME 200 /* bytes of a series' name */

struct point {
	int64_t step;
	int64_t time_ms;
	double value; /* bit-exact, NaN, infinities and -0.0 included */
};

/* Declare or find a series of a job.  DETERMINISTIC: the same bits in every run. */
td_status store_series(
	struct store_tx *tx, const char *id, const char *name, bool deterministic, int64_t *series, struct err *e);
/* Append points; the series is declared (not deterministic) if need be.  Steps grow strictly within a series and are at
 * least 0, else TD_CONFLICT and nothing is added. */
td_status store_points_add(
	struct store_tx *tx, const char *id, const char *series_name, const struct point *points, int n, struct err *e);

struct series_info {
	const char *name; /* borrowed during the callback */
	bool deterministic;
	int64_t count;
	struct point last;
	double min, max;    /* of the finite values; NaN when there is none */
	int64_t non_finite; /* how many values are NaN or infinite */
};
td_status store_series_each(struct store_reader *r, const char *id,
	void (*each)(void *arg, const struct series_info *s), void *arg, struct err *e);

/* A window of a series: the points with steps FROM..TO, both included, in at most MAX_POINTS buckets (2..2048); raw
 * points when they fit.  Buckets are cut at multiples of a power of two of the points' positions in the series, so they
 * stay the same while a curve grows or a view is moved. */
struct window {
	int64_t n;
	int64_t *step, *time_ms; /* of the last point of each bucket */
	double *value, *min, *max,
		*mean;    /* value: the last point's; the others of the finite values, NaN when there is none */
	int64_t *count;   /* points in the bucket */
	bool *non_finite; /* a NaN or infinity is in the bucket */
	bool raw;         /* every bucket is one point */
	int64_t total;    /* points in the window */
};
#define STORE_WINDOW_MOST 2048
td_status store_window(struct store_reader *r, const char *id, const char *name, int64_t from, int64_t to,
	int max_points, struct window *out, struct err *e);
void window_release(struct window *w);
/* All raw points with steps after AFTER (-1: from the start), at most N at a time (exports page by key).  Returns how
 * many through *GOT. */
td_status store_points_read(struct store_reader *r, const char *id, const char *name, int64_t after_step,
	struct point *out, int n, int *got, struct err *e);

/* ---- Histograms ------------------------------------------------------------------------------------------------- */

#define STORE_HISTOGRAMS_MOST 2000 /* of one name: then the oldest goes */
#define STORE_HISTOGRAM_NAMES 4096 /* of one job */
#define STORE_HISTOGRAM_BINS  512
/* EDGES has n + 1 numbers that grow, COUNTS n that are at least 0.  A histogram of the same step is replaced. */
td_status store_histogram_add(struct store_tx *tx, const char *id, const char *name, int64_t step, const cJSON *edges,
	const cJSON *counts, struct err *e);
/* The names, in their order, with how many there are and the last step. */
td_status store_histogram_names(struct store_reader *r, const char *id,
	void (*each)(void *arg, const char *name, int64_t n, int64_t last_step), void *arg, struct err *e);
/* At most MOST (1 or more) of NAME, by step, evenly spread with the newest among them.  DATA: {"edges", "counts"}. */
td_status store_histograms(struct store_reader *r, const char *id, const char *name, int most,
	void (*each)(void *arg, int64_t step, const char *data), void *arg, struct err *e);

/* ---- Sweeps ----------------------------------------------------------------------------------------------------- */

#define STORE_SWEEPS_MOST 64 /* running at once: each is looked at whenever rows change */

enum sweep_state { SWEEP_RUNNING, SWEEP_SUCCEEDED, SWEEP_CANCELLED, SWEEP_N_STATES };
const char *sweep_state_name(enum sweep_state s);

struct sweep_row {
	char id[ULID_TEXT];
	enum sweep_state state;
	char *name, *owner; /* owned */
	char *document;     /* owned; JSON: what was asked for, all defaults filled in */
	int64_t created_ms, finished_ms;
};
void sweep_row_release(struct sweep_row *s);

struct sweep_plan {          /* a child before it is a job */
	char *params, *spec; /* JSON */
};
/* New row in state running with all its children.  S's id and time are filled in.  TD_BUSY: STORE_SWEEPS_MOST run. */
td_status store_sweep_insert(
	struct store_tx *tx, struct sweep_row *s, const struct sweep_plan *children, int n, struct err *e);
/* Make child INDEX a job: *SPEC (owned) is its plan's.  TD_CONFLICT: the sweep is not running, or the child is a job
 * already. */
td_status store_sweep_plan_take(struct store_tx *tx, const char *id, int index, char **spec, struct err *e);
td_status store_sweep_child_started(struct store_tx *tx, const char *id, int index, const char *job, struct err *e);
/* A decision, never made twice (TD_CONFLICT), and only while the sweep runs. */
td_status store_sweep_decide(struct store_tx *tx, const char *id, int index, int rung, int64_t step, double value,
	bool passed, struct err *e);
/* Its job has ended in STATE; VALUE: by which it is compared, NULL: it has none. */
td_status store_sweep_child_over(
	struct store_tx *tx, const char *id, int index, enum job_state state, const double *value, struct err *e);
/* From running, else TD_CONFLICT. */
td_status store_sweep_end(struct store_tx *tx, const char *id, enum sweep_state state, struct err *e);
/* Cancel every job of it that is not over. */
td_status store_sweep_cancel_jobs(struct store_tx *tx, const char *id, const char *reason, struct err *e);

struct sweep_child_row {
	int index;
	const char *params;   /* borrowed, like all texts here */
	const char *job;      /* NULL: it is none yet */
	bool gone;            /* its job was purged */
	enum job_state state; /* of its job, or that in which it ended */
	bool over;            /* recorded as ended */
	bool has_value;       /* only then */
	double value;
	int n_rungs;               /* decided */
	bool stopped;              /* at the last of them */
	const double *rung_values; /* n_rungs of them */
	const int64_t *rung_steps;
	double last; /* the metric's last value so far; NaN: none */
	bool has_last;
};
td_status store_sweep_get(struct store_reader *r, const char *id, struct sweep_row *out, struct err *e);
/* Newest first, those with ids below AFTER (NULL: from the start), at most N.  RUNNING: only those. */
td_status store_sweep_list(struct store_reader *r, bool running, const char *after, int n,
	void (*each)(void *arg, const struct sweep_row *s), void *arg, struct err *e);
/* The children of a sweep by index, with METRIC's last value.  PLANNED: also those that are no job yet. */
td_status store_sweep_children(struct store_reader *r, const char *id, const char *metric, bool planned,
	void (*each)(void *arg, const struct sweep_child_row *c), void *arg, struct err *e);

/* ---- Jobs (reads) ----------------------------------------------------------------------------------------------- */

td_status store_job_get(struct store_reader *r, const char *id, struct job *out, struct err *e); /* TD_NOT_FOUND */
struct job_query {
	const char *project, *owner, *tag; /* NULL: any */
	const char *sweep, *kind;          /* likewise: a sweep's id; "train" or "external" */
	const char *state;                 /* one or more, separated by commas; NULL: any */
	const char *text;                  /* in id, name, project or notes, without regard to ASCII case; NULL: any */
	const char *sort;  /* column ("created"), spec pointer ("/optimizer/lr") or series name ("test/accuracy": its
			    * last value);
			    * '-' in front: descending; NULL: newest first.  Jobs without the value come last, NaN too */
	const char *after; /* opaque cursor of the page before, or NULL */
	int limit;         /* 1..1000 */
	bool deleted;      /* include those */
};
td_status store_job_list(struct store_reader *r, const struct job_query *q,
	void (*each)(void *arg, const struct job *j), void *arg, char **next_cursor,
	struct err *e); /* *NEXT_CURSOR owned, NULL at the end */
/* How many jobs (deleted ones left out) are in each state, for /metrics. */
td_status store_job_counts(struct store_reader *r, int64_t counts[JOB_N_STATES], struct err *e);
/* Jobs in a state that is not terminal: what the control loop starts from. */
td_status store_job_active(
	struct store_reader *r, void (*each)(void *arg, const struct job *j), void *arg, struct err *e);
struct transition {
	int64_t seq, time_ms;
	enum job_state from, to;
	int attempt;
	const char *event, *reason, *detail; /* borrowed; DETAIL may be NULL */
};
td_status store_transitions(struct store_reader *r, const char *id, void (*each)(void *arg, const struct transition *t),
	void *arg, struct err *e);
td_status store_report_get(
	struct store_reader *r, const char *id, char **json, struct err *e); /* owned; TD_NOT_FOUND */
td_status store_graph_get(struct store_reader *r, const char *id, char **json, struct err *e);
/* Log text as one stream of bytes. */
td_status store_log_size(struct store_reader *r, const char *id, int64_t *n_bytes, struct err *e);
td_status store_log_read(
	struct store_reader *r, const char *id, int64_t offset, char *out, int64_t n, int64_t *got, struct err *e);
/* KIND "checkpoint" or "artifact". */
td_status store_artifacts(struct store_reader *r, const char *id, const char *kind,
	void (*each)(void *arg, const struct artifact *a), void *arg, struct err *e);
td_status store_artifact_get(
	struct store_reader *r, const char *id, const char *name, struct artifact *out, struct err *e);

/* ---- The event stream ------------------------------------------------------------------------------------------- */

/* Everything about a job (or all jobs: ID NULL) that committed after SEQ, in order, at most N events; *GOT says how
 * many (fewer than N: there is no more now).  DATA is one line of JSON, borrowed.  Going on after the last seq seen
 * misses nothing and repeats nothing.  The kinds:
 *
 * - state: {"from", "to", "event", "reason", "detail", "attempt", "time"}
 * - metrics: {"series", "points": [[step, time_ms, value], ...]}
 * - log: {"offset", "time", "level", "text"}, where OFFSET is the line's place in the bytes of the log
 * - progress: {"step", "n_steps", "phase", "epoch", "time"}; only the newest of a job is kept
 * - artifact, checkpoint: {"name", "kind", "step", "sha256", "bytes", "media_type", "time"}
 * - rewind: {"step"}; forget the points after it
 * - histogram: {"name", "step"}
 * - warning: {"code", "layer", "text"}
 * - replay: {"step", "state", "phase", "done", "total"}; its states and "deleted"
 * - sweep: {"id", "state"}, of no job; read the sweep again
 * - job: {"changed": ["name", ...]}; read the job again
 * - deleted: {"purged"}
 * - dataset: {"name", "state", "progress", "detail"}, of no job
 * - reset: {"detail"}; what came before is no longer kept: read the job again, and go on from here
 *
 * Of each job the newest STORE_EVENTS_MOST events are kept, and at most STORE_EVENTS_BYTES of their text: the tables,
 * not the events, are the truth. */
#define STORE_EVENTS_MOST  8192
#define STORE_EVENTS_BYTES (1 << 20)
td_status store_events(struct store_reader *r, const char *id, int64_t after_seq, int n,
	void (*each)(void *arg, int64_t seq, const char *job, const char *kind, const char *data), void *arg, int *got,
	struct err *e);

/* ---- Tokens, sessions, idempotency ------------------------------------------------------------------------------ */

enum token_scope { SCOPE_NONE, SCOPE_READ, SCOPE_RUN, SCOPE_ADMIN };
struct token {
	char id[ULID_TEXT];
	char *owner, *note; /* owned; token_release */
	enum token_scope scope;
	int64_t created_ms, expires_ms, used_ms; /* expires 0: never */
};
void token_release(struct token *t);
const char *token_scope_name(enum token_scope s);
bool token_scope_parse(const char *name, enum token_scope *out);
/* Only the hash is stored: SHA-256 of the text, in hexadecimal. */
td_status store_token_add(
	struct store_tx *tx, struct token *t, const char *hash, struct err *e); /* fills id, created */
td_status store_token_revoke(struct store_tx *tx, const char *id, struct err *e);
td_status store_token_used(struct store_tx *tx, const char *id, int64_t now_ms, struct err *e);
/* TD_NOT_FOUND: unknown, revoked or expired.  The others leave out what is revoked. */
td_status store_token_find(struct store_reader *r, const char *hash, int64_t now_ms, struct token *out, struct err *e);
td_status store_token_each(
	struct store_reader *r, void (*each)(void *arg, const struct token *t), void *arg, struct err *e);
/* How many were ever made, revoked ones included: revoking the last token does not open the door again. */
td_status store_token_count(struct store_reader *r, int64_t *n, struct err *e);

/* Idempotency-Key: TD_OK: first use, reserved for REQUEST_HASH in this transaction; TD_CONFLICT: the key has another
 * body; TD_BUSY: reserved, and not answered yet (a reservation without an answer lapses after STORE_RESERVED_MS); when
 * a stored answer exists, *STATUS and *BODY (owned) are filled and TD_OK is returned with *REPLAY true. */
#define STORE_IDEMPOTENCY_MS (24LL * 3600 * 1000)
#define STORE_RESERVED_MS    60000
td_status store_idempotency_begin(struct store_tx *tx, const char *owner, const char *key, const char *request_hash,
	bool *replay, int *status, char **body, struct err *e);
td_status store_idempotency_end(
	struct store_tx *tx, const char *owner, const char *key, int status, const char *body, struct err *e);

/* ---- Datasets --------------------------------------------------------------------------------------------------- */

#define DATASET_NAME_MOST  64
#define DATASET_FILE_MOST  128  /* bytes of a file's name */
#define DATASET_FILES_MOST 1000 /* files of a dataset: more belong into an archive */

/* uploading -> fetching -> preparing -> ready, as far as its source needs; failed or cancelled on the way; and from any
 * rest back to fetching or preparing when somebody asks for it. */
enum data_state {
	DATA_UPLOADING,
	DATA_FETCHING,
	DATA_PREPARING,
	DATA_READY,
	DATA_FAILED,
	DATA_CANCELLED,
	DATA_N_STATES
};
const char *data_state_name(enum data_state s);

struct dataset {
	char *name; /* owned, like all texts here; those that a row lacks are NULL */
	enum data_state state;
	char *source;           /* "url" | "folder" | "upload" | "known" */
	char *folder;           /* below --data-root, for "folder" */
	char *format;           /* JSON object: how the files are to be read */
	char *request;          /* JSON object: what was registered, to tell a repetition from a conflict */
	char *owner;            /* "": a job has asked for a known one, and it is everybody's */
	int64_t max_bytes;      /* of all files together */
	char *detail, *pointer; /* why it failed or was cancelled, and the member of the format that is to blame */
	char *phase;            /* "fetching" | "preparing" | "": what DONE counts */
	int64_t done, total;    /* bytes; TOTAL 0: not known yet */
	char *file;             /* at hand */
	char *pack;             /* KEY: its pack lies in datasets/NAME/pack-KEY */
	int64_t pack_bytes;
	char *info; /* JSON: the pack's info.json */
	int64_t created_ms, updated_ms;
};
void dataset_release(struct dataset *d);

struct dataset_file {
	const char *dataset, *file, *url, *sha256; /* "" or NULL: none, or not known (yet) */
	int64_t n_bytes, n_fetched;                /* N_BYTES -1: not known yet */
	const char *state;                         /* "waiting" | "fetching" | "ready" | "failed" */
	const char *detail;
	const char *etag; /* of what is being fetched: a strong ETag, or the time of its last change */
	int position;     /* files are read in this order */
};

/* New row with its files; D's times are filled in.  TD_CONFLICT: the name is taken. */
td_status store_dataset_insert(
	struct store_tx *tx, struct dataset *d, const struct dataset_file *files, int n_files, struct err *e);

/* One move of the state, compared and set: TD_CONFLICT, with the state in the text, when the row is in none of the
 * states FROM, or is not the one that was meant. */
struct dataset_move {
	unsigned from; /* bits 1u << state */
	enum data_state to;
	int64_t created_ms;           /* of the row that is meant; 0: whichever has the name */
	const char *format_was;       /* likewise its format; NULL: whichever */
	const char *format;           /* the new one; NULL: stays */
	const char *detail, *pointer; /* of FAILED and CANCELLED */
	const char *pack, *info;      /* of READY */
	int64_t pack_bytes;
};
td_status store_dataset_move(struct store_tx *tx, const char *name, const struct dataset_move *m, struct err *e);
/* No row, or one that was made at another time, is no error: nobody waits for the progress of what is gone. */
td_status store_dataset_progress(struct store_tx *tx, const char *name, int64_t created_ms, const char *phase,
	int64_t done, int64_t total, const char *file, struct err *e);
td_status store_dataset_delete(struct store_tx *tx, const char *name, struct err *e);
/* TD_CONFLICT, with the job's id in the text, while a job that is not over names the dataset. */
td_status store_dataset_unused(struct store_tx *tx, const char *name, struct err *e);
/* Insert or replace; POSITION -1: behind the others.  TD_TOO_LARGE when the dataset's files would pass its max_bytes.
 */
td_status store_dataset_file_set(struct store_tx *tx, const struct dataset_file *f, struct err *e);

td_status store_dataset_get(struct store_reader *r, const char *name, struct dataset *out, struct err *e);
td_status store_dataset_read(struct store_tx *tx, const char *name, struct dataset *out, struct err *e);
/* N of them (-1: all) in the order of their names, behind AFTER (NULL: from the first).  ACTIVE: only those that are
 * being fetched or prepared. */
td_status store_dataset_each(struct store_reader *r, bool active, const char *after, int n,
	void (*each)(void *arg, const struct dataset *d), void *arg, struct err *e);
/* In their own order. */
td_status store_dataset_files(struct store_reader *r, const char *dataset,
	void (*each)(void *arg, const struct dataset_file *f), void *arg, struct err *e);
td_status store_dataset_files_read(struct store_tx *tx, const char *dataset,
	void (*each)(void *arg, const struct dataset_file *f), void *arg, struct err *e);

/* ---- Replays ---------------------------------------------------------------------------------------------------- */

#define STORE_REPLAYS_MOST 8 /* of one job: then the oldest goes that is over, if there is one */

enum replay_state { REPLAY_QUEUED, REPLAY_RUNNING, REPLAY_SUCCEEDED, REPLAY_FAILED, REPLAY_N_STATES };
const char *replay_state_name(enum replay_state s);

struct replay_row {
	char id[ULID_TEXT], job[ULID_TEXT];
	int64_t step, steps;
	enum replay_state state;
	bool automatic;      /* made by itself, because the step was not finite */
	char *detail;        /* owned, like the other texts; why it failed; NULL: it has not */
	char *phase;         /* "" or NULL: it has not begun */
	int64_t done, total; /* progress */
	int attempts;        /* processes that were at it */
	char *found;         /* JSON: from, verdict, culprit; NULL: nothing yet */
	int64_t created_ms, finished_ms;
};
void replay_release(struct replay_row *r);
/* TD_CONFLICT: so many of JOB's wait already that a new one would make the oldest go. */
td_status store_replay_room(struct store_tx *tx, const char *job, struct err *e);
/* New row in state queued; R's id, state and time are filled in. */
td_status store_replay_insert(struct store_tx *tx, struct replay_row *r, struct err *e);
/* R, which is over, is queued again for R->steps steps. */
td_status store_replay_again(struct store_tx *tx, struct replay_row *r, struct err *e);
/* State, detail, progress, attempts and findings of R, which is queued or runs, else TD_CONFLICT. */
td_status store_replay_move(struct store_tx *tx, const struct replay_row *r, struct err *e);
td_status store_replay_delete(struct store_tx *tx, const struct replay_row *r, struct err *e);
td_status store_replay_get(
	struct store_reader *r, const char *job, int64_t step, struct replay_row *out, struct err *e);
td_status store_replay_read(struct store_tx *tx, const char *job, int64_t step, struct replay_row *out, struct err *e);
/* Of a job, newest first. */
td_status store_replays(struct store_reader *r, const char *job, void (*each)(void *arg, const struct replay_row *r),
	void *arg, struct err *e);
/* What to work on: the one that runs, else the oldest that is queued.  TD_NOT_FOUND: there is none. */
td_status store_replay_next(struct store_reader *r, struct replay_row *out, struct err *e);

/* ---- Models ----------------------------------------------------------------------------------------------------- */

struct model {
	char *name; /* owned, like all texts here */
	char *owner, *sha256;
	int64_t n_bytes, created_ms;
	char *job, *checkpoint; /* whose weights they are; NULL: uploaded */
	char *tensors;          /* JSON array: name, dtype, shape */
};
void model_release(struct model *m);
/* Insert or replace; M's time is filled in. */
td_status store_model_set(struct store_tx *tx, struct model *m, struct err *e);
td_status store_model_delete(struct store_tx *tx, const char *name, struct err *e);
/* TD_CONFLICT, with the job's id in the text, while a job that is not over begins from the model. */
td_status store_model_unused(struct store_tx *tx, const char *name, struct err *e);
td_status store_model_get(struct store_reader *r, const char *name, struct model *out, struct err *e);
/* N of them (-1: all) in the order of their names, behind AFTER (NULL: from the first). */
td_status store_model_each(struct store_reader *r, const char *after, int n,
	void (*each)(void *arg, const struct model *m), void *arg, struct err *e);

/* ---- Health ----------------------------------------------------------------------------------------------------- */

/* A write that reaches the disk, for /readyz. */
td_status store_probe(struct store *s, struct err *e);
int64_t store_bytes(const struct store *s);

#endif
