/* Replays: any step of a job, done once more, eagerly, with everything that it computed.
 *
 * A replay is a row that the control loop works off (control_replay.c) and a folder that the process wrote which did it
 * (worker/replay.c).  What follows is the whole of what clients see.
 *
 * POST /jobs/{id}/replay {"step": 120, "steps": 1}: 201 and a Replay, or 200 and the one that there is of this step.
 * One that has failed or was cancelled begins anew.  Steps 1 to the job's progress; a running job's, too.
 *
 * Replay:
 *	{"job", "step": 120, "steps": 1,
 *	 "state": "queued" | "running" | "succeeded" | "failed" | "cancelled",
 *	 "automatic": false,            made by itself, because the loss or the gradient norm was not finite
 *	 "detail": "..." | null,        why it failed
 *	 "progress": {"phase": "prepare" | "forward" | "observe" | "verify", "done": 17, "total": 21} | null,
 *	 "created_at", "finished_at" | null,
 *	 "from": {"kind": "checkpoint" | "start", "step": 100} | null,
 *	 "verdict": Verdict | null, "culprit": Culprit | null,
 *	 "links": {"self", "job", "values": ".../replays/120/values/{value}", "samples": ".../replays/120/samples/{i}"}}
 *
 * Verdict: whether eager, graph and what the job recorded agree, bit by bit.
 *	{"identical": true,
 *	 "exact": true,                 false: the job ran on another machine or version, and bits may differ
 *	 "compared": {"tensors": 24, "bytes": 1068036, "recorded_points": 9, "checkpoints": 1, "until_step": 130},
 *	 "differences": [{"step": 120, "what": "parameter" | "buffer" | "optimizer" | "loss" | "grad_norm" | "point" |
 *	                          "checkpoint",
 *	                  "name": "0.weight", "between": ["eager", "graph"] | ["recorded", "replayed"],
 *	                  "values": [0.25, 0.26], "index": 17}]}     the first of each; at most 32
 *	"fingerprint": {"recorded", "here"} stands beside them.
 *
 * Culprit: where a step stopped being finite; null where all was.
 *	{"step": 120, "what": "loss" | "grad_norm", "node": 41 | null, "value": 77, "op": "log" | null,
 *	 "layer": "3", "phase": "forward" | "backward" | "update",
 *	 "kind": "op" | "input" | "parameter",  an op made it of finite inputs; or it came in
 *	 "inputs": [{"value": 76, "name", "shape", "min", "max", "non_finite": 0}],
 *	 "samples": [3, 17] | null,     of the batch, those with non-finite rows; null: it cannot be told
 *	 "text": "log in layer 3 (forward) made 2 non-finite of 640 values from inputs in 0 .. 1"}
 *
 * GET /jobs/{id}/replays: {"items": [Replay]}, newest first.
 *
 * GET /jobs/{id}/replays/{step}: a Replay and, once it has succeeded,
 *	{"done": [{"step": 120, "loss", "grad_norm", "factor": 1,     what the schedule multiplied the rates by
 *	           "batches": [{"n": 64, "first_sample": 0}]}],        several where steps accumulate
 *	 "values_bytes": 1234567, "values_truncated": false,   true: of some values there are statistics only
 *	 "nodes": [Node], "values": [Value], "samples": [Sample]}
 *
 * Node: one op that ran; in the order in which they ran; "id" is its place in the list.
 *	{"id": 41, "step": 120, "batch": 0, "op": "conv2d", "layer": "0",
 *	 "phase": "forward" | "backward" | "update" | "metrics",
 *	 "inputs": [3, 7, null],        values; null: an optional one that was left out
 *	 "outputs": [12]}               values; what it wrote in place is among them as a new value
 *
 * Value: "id" is its place in the list.  Non-finite numbers are "NaN", "Infinity", "-Infinity".
 *	{"id": 12, "step": 120, "name": "0.weight" | "", "layer": "0",
 *	 "kind": "parameter" | "buffer" | "state" | "input" | "activation" | "gradient" | "update",
 *	 "of": 7 | null,                of a gradient: the value it is the gradient of; of an update: what stood there
 *before "gradient": 80 | null,         the other way round "dtype": "float32", "shape": [64, 32, 28, 28], "order":
 *"row_major" | "channels_last", "min", "max", "mean",          of the finite ones; null: there are none "zeros": 0.52,
 *share "non_finite": 0,               count "histogram": {"low": -1.5, "high": 2.5, "counts": [..]} | null,    at most
 *64 buckets of equal width "producer": 41 | null, "consumers": [42, 77], "kept": true}                  its elements
 *can be fetched
 *
 * Sample: one of the batches' samples; "id" is its place in the list.
 *	{"id": 0, "step": 120, "batch": 0, "row": 0, "sample": 51234,    row of the batch; index in the training data
 *	 "label": "Sneaker" | [...] | null, "text": "..." | null,
 *	 "image": true,                 GET .../samples/0 has it as PNG, as the model saw it
 *	 "loss": 0.71 | null, "prediction": "Sandal" | null}
 *
 * GET /jobs/{id}/replays/{step}/values/{value}: NPY, row-major; with format=json {"dtype", "shape", "data": [..]},
 *flat, of at most 10,000 elements. GET /jobs/{id}/replays/{step}/samples/{i}: PNG. DELETE /jobs/{id}/replays/{step}:
 *204; one that is under way is cancelled by it.
 *
 * On the event stream: replay {"step", "state", "phase", "done", "total"}. */
#include "api/api.h"
