/* The handlers that the route table names: defined in api/, one file per resource. */
#ifndef HTTP_HANDLERS_H
#define HTTP_HANDLERS_H

#include "http/http.h"

typedef td_status http_handler(struct request *q, struct response *r, struct err *e);

/* jobs.c */
http_handler jobs_create, job_get, job_patch, job_delete, job_cancel, job_pause, job_resume, job_retry;
/* fork.c */
http_handler job_fork;
/* external.c */
http_handler job_points, job_finish;
/* predict.c */
http_handler job_predict;
td_status predict_open(struct request *q, struct upload *u, struct err *e);
/* sweeps.c */
http_handler sweep_create, sweeps_list, sweep_get, sweep_cancel;
/* joblist.c, compare.c */
http_handler jobs_list, jobs_compare, jobs_groups;
/* datasetjson.c, datasets.c, datasetfiles.c */
http_handler datasets_list, dataset_get, datasets_create, dataset_cancel, dataset_prepare_again, dataset_delete,
	dataset_file_put;
td_status dataset_file_open(struct request *q, struct upload *u, struct err *e);
/* models.c */
http_handler models_list, model_get, model_weights, model_put, model_delete;
td_status model_open(struct request *q, struct upload *u, struct err *e);
/* streams.c */
http_handler job_events, all_events, job_log;
/* metrics.c */
http_handler job_metrics, jobs_metrics;
/* results.c */
http_handler job_graph, job_report, job_checkpoints, job_artifacts, job_artifact, job_pytorch, job_histograms;
/* replays.c */
http_handler job_replay, job_replays, job_replay_get, job_replay_delete;
/* replay_values.c */
http_handler job_replay_value, job_replay_sample;
/* examples.c */
http_handler examples_list, example_get, schema_get, client_get;
/* system.c */
http_handler index_get, healthz, readyz, prometheus, workers_list, system_get;
/* tokens.c */
http_handler tokens_list, token_create, token_delete, session_get, session_create, session_delete;
/* openapi.c */
http_handler openapi_get;

#endif
