/* The messages between daemon and worker: versioned, length-framed, over a Unix socket now and TCP later.
 *
 * A frame is a header of 16 bytes, little-endian: u32 body bytes, u16 version, u16 kind, u64 number; then the body, one
 * JSON object.  The worker numbers what it sends about a job from 1 within an attempt (0: not about a job, not
 * acknowledged). The daemon commits a batch, then acknowledges the last number; the worker keeps what is not
 * acknowledged and sends it again after a broken connection.  A number that was committed before is ignored: that makes
 * sending again harmless.
 *
 * Non-finite numbers are the strings "NaN", "Infinity", "-Infinity" (json_number). */
#ifndef PROTO_H
#define PROTO_H

#include "base/buf.h"
#include "base/json.h"

#define PROTO_VERSION   1
#define PROTO_BODY_MOST (8u << 20) /* bytes: a report with its samples, or a model's graph, is well below */
#define PROTO_HEADER    16

/* What a job may be called: the worker says so in the schema of jobs, the daemon where a label is changed later. */
#define LABEL_MOST    200 /* characters of a name, a project, a tag */
#define NOTES_MOST    10000
#define TAGS_MOST     32
#define PRIORITY_MOST 1000 /* either way */

/* X(NAME, "name", who sends it) and the members of its body */
/* clang-format off */
#define PROTO_KINDS(X)                                                                                                     \
	/* worker -> daemon */                                                                                             \
	X(HELLO, "hello", 'w')           /* secret, pid, role (worker/link.h), fingerprint; after a break also job, attempt */ \
	X(STARTED, "started", 'w')       /* fingerprint, data (name of the pack's folder), init (sha256, "": none was read), parameters, n_steps, series: [{name, deterministic}] */ \
	X(PROGRESS, "progress", 'w')     /* step, n_steps, epoch, phase ("train"|"validate"|"test"|"prepare"); of a preparer bytes, number 0 */ \
	X(METRICS, "metrics", 'w')       /* points: [[series, step, time_ms, value], ...], series as declared by name */  \
	X(LOG, "log", 'w')               /* level, text, time_ms */                                                        \
	X(GRAPH, "graph", 'w')           /* the computation graph, for drawing: nodes [...] */                             \
	X(CHECKPOINT, "checkpoint", 'w') /* step, file (name in the job's folder), sha256, bytes, kind ("last"|"best") */  \
	X(ARTIFACT, "artifact", 'w')     /* name, file, sha256, bytes, media_type */                                       \
	X(DONE, "done", 'w')             /* report, engine (counters) */                                                   \
	X(FAILED, "failed", 'w')         /* status, detail, pointer?, retry (whether another attempt may help) */          \
	X(STOPPED, "stopped", 'w')       /* step: checkpointed there, and left as told */                                  \
	X(CHECKED, "checked", 'w')       /* id, faults: [{pointer, detail}], warnings: [{code, layer, text}], layers [...], parameters, flops, bytes; others: the faults of each */ \
	/* daemon -> worker */                                                                                             \
	X(RUN, "run", 'd')               /* job, attempt, spec, folder, data (the pack), threads, memory_bytes, init: {path}|null, resume: {step, file, sha256, fork, new_rates}|null */ \
	X(CHECK, "check", 'd')           /* id, spec, data: the pack's info | null where it is not known yet; if wanted weights: [{name, shape}] of the checkpoint that the job goes on from, others: [spec] on the same data */ \
	X(ACK, "ack", 'd')               /* number */                                                                      \
	X(STOP, "stop", 'd')             /* why: "cancel"|"pause"|"drain"|"timeout"|"stale" (stale: leave at once, nothing more) */ \
	/* files to packs, and answers of trained models; not about a job, so not numbered */                              \
	X(PREPARE, "prepare", 'd')       /* id, dataset, format, files: [{name, path}], folder, memory_bytes */            \
	X(PREPARED, "prepared", 'w')     /* id, key (of files and format, in hexadecimal), info, bytes */                   \
	X(REFUSED, "refused", 'w')       /* id, faults: [{pointer, detail}] */                                             \
	X(PREDICT, "predict", 'd')       /* id, spec, preprocessing, weights, input (paths), media_type, top, outputs */   \
	X(PREDICTED, "predicted", 'w')   /* id, predictions [...], n, outputs?; or id, faults: [{pointer, detail}] */      \
	/* about a job again; new kinds stand at the end, so that the numbers of the others stay */                        \
	X(HISTOGRAM, "histogram", 'w')   /* name ("weights/0.weight"), step, edges [n+1], counts [n] */                    \
	/* not about a job's attempt, so not numbered; REFUSED has detail, PROGRESS id */                                  \
	X(REPLAY, "replay", 'd')         /* id, step, steps, folder (to write into), and of RUN spec, data, threads, init, resume; what the job recorded: progress, fingerprint, exact, data_recorded, init_recorded, points: {series: [[step, value]]}, checkpoints: [{step, kind, sha256}] */ \
	X(REPLAYED, "replayed", 'w')     /* id, from, verdict, culprit (server/api/replays.c) */                           \
	/* about a job */                                                                                                  \
	X(WARNING, "warning", 'w')       /* code, layer, text, time_ms; replay: a step that is to be replayed by itself, or none */
/* clang-format on */

enum proto_kind {
#define X(name, text, sender) PROTO_##name,
	PROTO_KINDS(X)
#undef X
		PROTO_N_KINDS
};

const char *proto_kind_name(enum proto_kind k);

struct proto_msg {
	enum proto_kind kind;
	int64_t number;
	cJSON *body; /* owned; proto_msg_release */
};

void proto_msg_release(struct proto_msg *m);

/* Append one frame to OUT.  False: the body is over the cap, or OUT is full; nothing was appended. */
bool proto_encode(struct buf *out, enum proto_kind kind, int64_t number, const cJSON *body);
/* Bytes of the first frame in IN, its header included; PROTO_HEADER while that is not known. */
size_t proto_frame_bytes(const struct buf *in);
/* Take the first whole frame out of IN.  1: *M is filled; 0: more bytes are needed; -1: the stream is broken (E says
 * how: version, size, kind, JSON). */
int proto_decode(struct buf *in, struct proto_msg *m, struct err *e);

#endif
