/* What a job's spec decides of its row: see jobspec.h. */
#include "sched/jobspec.h"
#include "base/mem.h"

#include <string.h>

#define MEMORY_MOST_MB (1LL << 40)

const char *job_name_of(const cJSON *spec)
{
	const char *name = json_string(spec, "name", "");

	return *name ? name : json_string(json_get(spec, "data"), "dataset", "job");
}

void job_from_spec(struct job *j, const cJSON *spec, const char *owner)
{
	const cJSON *resources = json_get(spec, "resources"), *tags = json_get(spec, "tags");

	*j = (struct job){ .state = JOB_QUEUED };
	j->name = mem_strdup(job_name_of(spec));
	j->project = mem_strdup(json_string(spec, "project", ""));
	j->notes = mem_strdup(json_string(spec, "notes", ""));
	j->owner = mem_strdup(owner);
	j->tags = tags ? json_print(tags) : mem_strdup("[]");
	j->spec = json_print(spec);
	j->kind = mem_strdup(json_string(spec, "kind", "train"));
	j->priority = (int)json_int(spec, "priority", 0);
	j->timeout_ms = json_int(spec, "timeout_s", 0) * 1000;
	j->retries = (int)json_int(spec, "retries", 0);
	j->reason = mem_strdup("submitted");
	if (job_external(j)) /* it runs elsewhere */
		return;
	j->threads = (int)TD_MIN(json_int(resources, "threads", 1), INT32_MAX);
	j->memory_bytes = TD_MIN(json_int(resources, "memory_mb", 1024), MEMORY_MOST_MB) << 20;
}
