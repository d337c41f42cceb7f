/* A job's folders: DATA/jobs/ID with its files, for those who write them and those who give them out, and
 * DATA/replays/ID with one of each of its replays (replayfiles.h). */
#ifndef JOBFILES_H
#define JOBFILES_H

#include "config.h"
#include "store/store.h"

#define JOB_HOLDER "worker.json" /* says which process holds the present attempt; no file of the job's */

char *job_folder(const struct config *c, const char *id);         /* owned */
char *job_replays_folder(const struct config *c, const char *id); /* owned */
/* A plain file name that cannot leave the folder. */
bool job_file_safe(const char *name);
/* Where the file of A lies (owned).  TD_CORRUPT: not in the folder; its name came from a worker. */
td_status job_file(const struct config *c, const char *id, const struct artifact *a, char **path, struct err *e);

#endif
