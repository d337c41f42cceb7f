/* THE route table: every address of the API, what its gates let pass, and who answers.
 *
 * The router walks it, the OpenAPI document is made from it, and the tests walk every row of that document.  Of rows
 * that fit the same path the first wins, so /jobs/compare stands before /jobs/{id}. */
#include "http/handlers.h"
#include "proto.h"
#include "replayfiles.h"

#define API              "/api/v1"
#define JOB_BODY_MOST    (1u << 20) /* a spec of a thousand layers has 100 kB */
#define SMALL_BODY_MOST  (64u << 10)
#define POINTS_BODY_MOST (4u << 20) /* 10,000 points with long names */

/* clang-format off */
#define OBJECT(properties, required)                                                                                   \
	"{\"type\":\"object\",\"properties\":{" properties "},\"required\":[" required "],\"additionalProperties\":false}"
#define TEXT(name, most)       "\"" name "\":{\"type\":\"string\",\"maxLength\":" TD_TEXT(most) "}"
#define LIST(name, most, item) "\"" name "\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":" TD_TEXT(most) ",\"items\":" item "}"
#define ANY(name)              "\"" name "\":{\"type\":\"object\"}"

#define PATCH_SCHEMA                                                                                                   \
	OBJECT("\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":" TD_TEXT(LABEL_MOST) "},"                 \
		TEXT("notes", NOTES_MOST) ","                                                                          \
		"\"priority\":{\"type\":\"integer\",\"minimum\":-" TD_TEXT(PRIORITY_MOST) ",\"maximum\":" TD_TEXT(PRIORITY_MOST) "}," \
		"\"tags\":{\"type\":\"array\",\"maxItems\":" TD_TEXT(TAGS_MOST) ",\"items\":"                          \
			"{\"type\":\"string\",\"minLength\":1,\"maxLength\":" TD_TEXT(LABEL_MOST) "}}", "")
#define TOKEN_SCHEMA                                                                                                   \
	OBJECT("\"owner\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100},"                                    \
		"\"scope\":{\"enum\":[\"read\",\"run\",\"admin\"]}," TEXT("note", 1000) "," TEXT("expires", 40),       \
		"\"owner\",\"scope\"")
#define SESSION_SCHEMA OBJECT(TEXT("token", 200), "\"token\"")

#define FORK_SCHEMA   OBJECT(TEXT("from", 40) "," TEXT("name", LABEL_MOST) "," ANY("set"), "")
#define FINISH_SCHEMA OBJECT("\"state\":{\"enum\":[\"succeeded\",\"failed\"]}," TEXT("detail", 2000), "\"state\"")
#define SWEEP_SCHEMA                                                                                                   \
	OBJECT(TEXT("name", LABEL_MOST) "," TEXT("notes", NOTES_MOST) "," ANY("base") "," ANY("space") ","             \
		TEXT("metric", STORE_SERIES_NAME) ",\"goal\":{\"enum\":[\"max\",\"min\"]},"                            \
		"\"strategy\":{\"enum\":[\"grid\",\"random\",\"asha\"],\"default\":\"random\"},"                       \
		"\"max_jobs\":{\"type\":\"integer\"},\"parallel\":{\"type\":\"integer\",\"default\":1},"               \
		"\"seed\":{\"type\":\"integer\",\"default\":0}," ANY("asha"),                                          \
		"\"base\",\"space\",\"metric\",\"goal\"")

#define FORMAT_SCHEMA "\"format\":{\"type\":\"object\",\"description\":\"as $defs/format of /api/v1/schema/job.json says\"}"
#define FILE_SCHEMA   TEXT("url", 2000) "," TEXT("sha256", 64)
#define DATASET_SCHEMA                                                                                                 \
	OBJECT(TEXT("name", DATASET_NAME_MOST) "," FILE_SCHEMA "," TEXT("folder", 1000) "," FORMAT_SCHEMA ","          \
		"\"max_bytes\":{\"type\":\"integer\",\"minimum\":1},"                                                  \
		LIST("files", DATASET_FILES_MOST, OBJECT(FILE_SCHEMA "," TEXT("name", DATASET_FILE_MOST), "\"url\"")), \
		"\"name\"")
#define REPLAY_SCHEMA                                                                                                  \
	OBJECT("\"step\":{\"type\":\"integer\",\"minimum\":1},"                                                     \
		"\"steps\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":" TD_TEXT(REPLAY_STEPS_MOST) ",\"default\":1}", \
		"\"step\"")
#define PREPARE_SCHEMA OBJECT(FORMAT_SCHEMA, "")
#define MODEL_SCHEMA                                                                                                   \
	OBJECT(TEXT("job", 40) ",\"checkpoint\":{\"enum\":[\"best\",\"last\"],\"default\":\"last\"}", "\"job\"")
/* clang-format on */

#define GET(where, who, needs, group, text, names, schema)                                                             \
	{                                                                                                              \
		.method = "GET", .path = where, .handler = who, .scope = needs, .tag = group, .summary = text,         \
		.query = names, .success = 200, .response_schema = schema                                              \
	}
#define VERB(where, who, text)                                                                                         \
	{                                                                                                              \
		.method = "POST", .path = where, .handler = who, .scope = SCOPE_RUN, .tag = "jobs", .summary = text,   \
		.success = 200, .response_schema = "Job"                                                               \
	}

/* clang-format off */
const struct route routes[] = {
	{ .method = "POST", .path = API "/jobs", .handler = jobs_create, .scope = SCOPE_RUN, .body = BODY_JSON, .max_body = JOB_BODY_MOST,
		.tag = "jobs", .summary = "Submit a job; with dry_run=1 only check it: shapes, parameters, FLOPs and memory per step",
		.query = "dry_run:int", .success = 201, .response_schema = "Job" },
	GET(API "/jobs", jobs_list, SCOPE_READ, "jobs", "Jobs, newest first, or as a leaderboard; JSON or CSV",
		"project:string state:string owner:string tag:string q:string sweep:string kind:string sort:string columns:string limit:int after:string", "JobList"),
	GET(API "/jobs/compare", jobs_compare, SCOPE_READ, "jobs", "A few jobs side by side: the fields in which their specs differ, and their results",
		"jobs:string", "Comparison"),
	GET(API "/jobs/groups", jobs_groups, SCOPE_READ, "jobs", "Jobs whose specs agree in all but seed, name, tags and notes: mean and deviation of a series",
		"project:string tag:string metric:string", "List"),
	GET(API "/jobs/{id}", job_get, SCOPE_READ, "jobs", "One job, with its spec and history; wait=SECONDS answers when it has ended, or then",
		"wait:int", "Job"),
	{ .method = "PATCH", .path = API "/jobs/{id}", .handler = job_patch, .scope = SCOPE_RUN, .body = BODY_JSON, .max_body = SMALL_BODY_MOST,
		.body_schema = PATCH_SCHEMA, .tag = "jobs", .summary = "Change a job's name, tags, notes or priority", .success = 200,
		.response_schema = "Job" },
	{ .method = "DELETE", .path = API "/jobs/{id}", .handler = job_delete, .scope = SCOPE_RUN, .tag = "jobs",
		.summary = "Hide a job that has ended; with purge=1 (admin) remove it and its files for good", .query = "purge:int", .success = 204 },
	VERB(API "/jobs/{id}/cancel", job_cancel, "Stop a job for good"),
	VERB(API "/jobs/{id}/pause", job_pause, "Checkpoint a job and give its place to others"),
	VERB(API "/jobs/{id}/resume", job_resume, "Queue a paused job again; it goes on from its checkpoint"),
	{ .method = "POST", .path = API "/jobs/{id}/retry", .handler = job_retry, .scope = SCOPE_RUN, .tag = "jobs",
		.summary = "Submit the spec of a job that has ended once more, as a new job", .success = 201, .response_schema = "Job" },

	{ .method = "POST", .path = API "/jobs/{id}/fork", .handler = job_fork, .scope = SCOPE_RUN, .body = BODY_JSON, .max_body = SMALL_BODY_MOST,
		.body_schema = FORK_SCHEMA, .tag = "jobs", .summary = "A new job that goes on from a checkpoint (best, last, step:N), with fields of its spec set",
		.success = 201, .response_schema = "Job" },
	{ .method = "POST", .path = API "/jobs/{id}/metrics", .handler = job_points, .scope = SCOPE_RUN, .body = BODY_BYTES, .max_body = POINTS_BODY_MOST,
		.tag = "metrics", .summary = "Points of an external job, as JSON {points: [{name, step, value, time}]} or a point a line", .success = 200 },
	{ .method = "POST", .path = API "/jobs/{id}/finish", .handler = job_finish, .scope = SCOPE_RUN, .body = BODY_JSON, .max_body = SMALL_BODY_MOST,
		.body_schema = FINISH_SCHEMA, .tag = "jobs", .summary = "Say how an external job has ended", .success = 200, .response_schema = "Job" },
	{ .method = "POST", .path = API "/jobs/{id}/predict", .handler = job_predict, .scope = SCOPE_READ, .body = BODY_FILE, .open = predict_open,
		.tag = "results", .summary = "What the trained model says of inputs: JSON {inputs: [...]}, NPY, PNG or JPEG",
		.query = "checkpoint:string outputs:int top:int", .success = 200 },

	{ .method = "POST", .path = API "/sweeps", .handler = sweep_create, .scope = SCOPE_RUN, .body = BODY_JSON, .max_body = JOB_BODY_MOST,
		.body_schema = SWEEP_SCHEMA, .tag = "sweeps", .summary = "Many jobs from one, with fields drawn from a space: grid, random, or asha, which stops the worse ones early",
		.success = 201, .response_schema = "Sweep" },
	GET(API "/sweeps", sweeps_list, SCOPE_READ, "sweeps", "Sweeps, newest first", "limit:int after:string", "List"),
	GET(API "/sweeps/{id}", sweep_get, SCOPE_READ, "sweeps", "One sweep with its jobs; wait=SECONDS answers when it is over, or then", "wait:int", "Sweep"),
	{ .method = "POST", .path = API "/sweeps/{id}/cancel", .handler = sweep_cancel, .scope = SCOPE_RUN, .tag = "sweeps",
		.summary = "Stop a sweep and its jobs", .success = 200, .response_schema = "Sweep" },

	GET(API "/datasets", datasets_list, SCOPE_READ, "datasets", "The datasets that are registered, and those that are known by name, in the order of their names", "limit:int after:string", "DatasetList"),
	{ .method = "POST", .path = API "/datasets", .handler = datasets_create, .scope = SCOPE_RUN, .body = BODY_JSON, .max_body = JOB_BODY_MOST,
		.body_schema = DATASET_SCHEMA, .tag = "datasets", .summary = "Register a dataset by its address, a folder below --data-root, or for files to be uploaded; "
		"of one whose files have been uploaded it says that all are there", .success = 201, .response_schema = "Dataset" },
	GET(API "/datasets/{name}", dataset_get, SCOPE_READ, "datasets", "One dataset, with its summary: classes, statistics, samples; wait=SECONDS answers when it is at rest, or then",
		"wait:int", "Dataset"),
	{ .method = "POST", .path = API "/datasets/{name}/cancel", .handler = dataset_cancel, .scope = SCOPE_RUN, .tag = "datasets",
		.summary = "Stop fetching or preparing it, at once", .success = 200, .response_schema = "Dataset" },
	{ .method = "POST", .path = API "/datasets/{name}/prepare", .handler = dataset_prepare_again, .scope = SCOPE_RUN, .body = BODY_JSON,
		.max_body = JOB_BODY_MOST, .body_schema = PREPARE_SCHEMA, .tag = "datasets", .summary = "Prepare it again, with a corrected format", .success = 200,
		.response_schema = "Dataset" },
	{ .method = "PUT", .path = API "/datasets/{name}/files/{file}", .handler = dataset_file_put, .open = dataset_file_open, .scope = SCOPE_RUN,
		.body = BODY_FILE, .tag = "datasets", .summary = "Upload a file of a dataset; a name that is free is registered", .success = 201, .response_schema = "Dataset" },
	{ .method = "DELETE", .path = API "/datasets/{name}", .handler = dataset_delete, .scope = SCOPE_RUN, .tag = "datasets",
		.summary = "Forget a dataset that no job needs, and remove its files", .success = 204 },

	GET(API "/models", models_list, SCOPE_READ, "models", "Weights with a name, in the order of their names", "limit:int after:string", "List"),
	GET(API "/models/{name}", model_get, SCOPE_READ, "models", "One model and what is in it; as application/octet-stream its weights", NULL, "Model"),
	GET(API "/models/{name}/weights", model_weights, SCOPE_READ, "models", "Its safetensors file, or a Range of it", NULL, NULL),
	{ .method = "PUT", .path = API "/models/{name}", .handler = model_put, .open = model_open, .scope = SCOPE_RUN, .body = BODY_FILE, .max_body = SMALL_BODY_MOST,
		.body_schema = MODEL_SCHEMA, .tag = "models", .summary = "Give weights a name: a safetensors body, or JSON that names a job and a checkpoint", .success = 201,
		.response_schema = "Model" },
	{ .method = "DELETE", .path = API "/models/{name}", .handler = model_delete, .scope = SCOPE_RUN, .tag = "models",
		.summary = "Remove a model that no job needs", .success = 204 },

	GET(API "/events", all_events, SCOPE_READ, "streams", "Everything that happens from now on, as Server-Sent Events", "after:int", NULL),
	GET(API "/jobs/{id}/events", job_events, SCOPE_READ, "streams",
		"All that happened to a job and happens, as Server-Sent Events: state, metrics, log, progress, artifact, checkpoint, rewind",
		"after:int", NULL),
	GET(API "/jobs/{id}/log", job_log, SCOPE_READ, "streams", "The job's log as text, a Range of it, or with follow=1 as it grows",
		"follow:int", NULL),

	GET(API "/jobs/{id}/metrics", job_metrics, SCOPE_READ, "metrics",
		"The job's series; with name a window of one in columns; as text/csv every raw point", "name:string from:int to:int max_points:int",
		"Metrics"),
	GET(API "/metrics", jobs_metrics, SCOPE_READ, "metrics", "A window of one series of several jobs",
		"jobs:string name:string from:int to:int max_points:int", "MetricsOfJobs"),

	GET(API "/jobs/{id}/graph", job_graph, SCOPE_READ, "results", "The computation graph of a job's training step", NULL, NULL),
	GET(API "/jobs/{id}/report", job_report, SCOPE_READ, "results", "Results on train, validation and test; filter=wrong keeps wrong samples only",
		"filter:string", NULL),
	GET(API "/jobs/{id}/checkpoints", job_checkpoints, SCOPE_READ, "results", "The job's checkpoints", NULL, "ArtifactList"),
	GET(API "/jobs/{id}/artifacts", job_artifacts, SCOPE_READ, "results", "The job's files", NULL, "ArtifactList"),
	GET(API "/jobs/{id}/artifacts/{name}", job_artifact, SCOPE_READ, "results", "One file, or a Range of it", NULL, NULL),

	GET(API "/jobs/{id}/pytorch.py", job_pytorch, SCOPE_READ, "results", "The job's model as a torch.nn.Module that loads its weights", NULL, NULL),
	GET(API "/jobs/{id}/histograms", job_histograms, SCOPE_READ, "results", "Histograms of weights and gradients: their names, or with name one in columns",
		"name:string max:int", NULL),

	{ .method = "POST", .path = API "/jobs/{id}/replay", .handler = job_replay, .scope = SCOPE_RUN, .body = BODY_JSON, .max_body = SMALL_BODY_MOST,
		.body_schema = REPLAY_SCHEMA, .tag = "replays", .summary = "Do a step of a job again, eagerly, with all that it computes; "
		"the one that there is of this step is given back", .success = 201, .response_schema = "Replay" },
	GET(API "/jobs/{id}/replays", job_replays, SCOPE_READ, "replays", "The replays of a job, newest first", NULL, "List"),
	GET(API "/jobs/{id}/replays/{step}", job_replay_get, SCOPE_READ, "replays",
		"One replay: its verdict, every op and value of the step, and the batch's samples", NULL, "Replay"),
	{ .method = "DELETE", .path = API "/jobs/{id}/replays/{step}", .handler = job_replay_delete, .scope = SCOPE_RUN, .tag = "replays",
		.summary = "Remove a replay, or stop it", .success = 204 },
	GET(API "/jobs/{id}/replays/{step}/values/{value}", job_replay_value, SCOPE_READ, "replays",
		"The elements of a value as NPY; with format=json as JSON", "format:string", NULL),
	GET(API "/jobs/{id}/replays/{step}/samples/{sample}", job_replay_sample, SCOPE_READ, "replays",
		"A sample of the step's batch as the model saw it, as PNG", NULL, NULL),

	GET(API, index_get, SCOPE_READ, "documents", "Where to begin: links to the other addresses", NULL, NULL),
	GET(API "/", index_get, SCOPE_READ, "documents", "The same", NULL, NULL),
	GET(API "/examples", examples_list, SCOPE_READ, "examples", "The ready-made jobs", NULL, "List"),
	GET(API "/examples/{name}", example_get, SCOPE_READ, "examples", "One of them, ready to be posted to /jobs", NULL, NULL),
	GET(API "/schema/job.json", schema_get, SCOPE_READ, "documents", "The JSON Schema of a job, with every default", NULL, NULL),
	GET(API "/tandem.py", client_get, SCOPE_READ, "documents", "A client for Python: one file, standard library only", NULL, NULL),
	GET(API "/openapi.json", openapi_get, SCOPE_READ, "documents", "This document", NULL, NULL),

	GET(API "/workers", workers_list, SCOPE_READ, "system", "What runs where", NULL, "List"),
	GET(API "/system", system_get, SCOPE_READ, "system", "Versions, threads, memory, disk", NULL, NULL),

	GET(API "/tokens", tokens_list, SCOPE_ADMIN, "access", "The tokens, without their text", NULL, "List"),
	{ .method = "POST", .path = API "/tokens", .handler = token_create, .scope = SCOPE_ADMIN, .body = BODY_JSON, .max_body = SMALL_BODY_MOST,
		.body_schema = TOKEN_SCHEMA, .tag = "access", .summary = "Make a token; its text is in this answer and nowhere else", .success = 201,
		.response_schema = "Token" },
	{ .method = "DELETE", .path = API "/tokens/{id}", .handler = token_delete, .scope = SCOPE_ADMIN, .tag = "access",
		.summary = "Revoke a token and the sessions made with it", .success = 204 },
	GET(API "/session", session_get, SCOPE_NONE, "access", "Who the server takes you for", NULL, "Session"),
	{ .method = "POST", .path = API "/session", .handler = session_create, .scope = SCOPE_NONE, .body = BODY_JSON, .max_body = SMALL_BODY_MOST,
		.body_schema = SESSION_SCHEMA, .while_draining = true, .tag = "access", .summary = "Sign a browser in: trades a token for a cookie",
		.success = 200, .response_schema = "Session" },
	{ .method = "DELETE", .path = API "/session", .handler = session_delete, .scope = SCOPE_NONE, .while_draining = true, .tag = "access",
		.summary = "Sign it out", .success = 204 },

	GET("/healthz", healthz, SCOPE_NONE, "health", "The process is there", NULL, NULL),
	GET("/readyz", readyz, SCOPE_READ, "health", "The scheduler ticks and the database takes writes", NULL, NULL),
	GET("/metrics", prometheus, SCOPE_READ, "health", "Counters and gauges in Prometheus's text format", NULL, NULL),
	{ 0 },
};
/* clang-format on */
