/* What a job's spec decides of its row.  Pure. */
#ifndef SCHED_JOBSPEC_H
#define SCHED_JOBSPEC_H

#include "base/json.h"
#include "sched/job.h"

/* Fill a new J for OWNER from SPEC, which has all defaults: what may be said of it without asking anybody.  Its state
 * is QUEUED. */
void job_from_spec(struct job *j, const cJSON *spec, const char *owner);
/* What a job of SPEC is called, where nothing else is said.  Borrowed from SPEC. */
const char *job_name_of(const cJSON *spec);

#endif
