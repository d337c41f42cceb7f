/* The job's JSON Schema: the tables of options as a document (tandem-worker --schema prints it, the daemon embeds it).
 *
 * Two forms that are not the job's stand beside it, for the daemon checks them too: "$defs"/"external", jobs that train
 * elsewhere, and "$defs"/"format", how the files of a dataset are read. */
#include "data/prepare.h"
#include "worker/spec.h"
#include "worker/worker.h"

cJSON *worker_schema(void)
{
	cJSON *root = cJSON_CreateObject(), *defs = cJSON_CreateObject(), *job = opt_schema(&spec_type, defs), *member;

	cJSON_AddItemToObject(defs, "external", opt_schema(&spec_external, defs));
	cJSON_AddItemToObject(defs, "format", prepare_format_schema(defs));
	cJSON_AddStringToObject(root, "$schema", "https://json-schema.org/draft/2020-12/schema");
	cJSON_AddStringToObject(root, "$id", "/api/v1/schema/job.json");
	cJSON_AddStringToObject(root, "title", "A training job");
	while ((member = job->child)) {
		cJSON_DetachItemViaPointer(job, member);
		cJSON_AddItemToObject(root, member->string, member);
	}
	cJSON_Delete(job);
	cJSON_AddItemToObject(root, "$defs", defs);
	return root;
}
