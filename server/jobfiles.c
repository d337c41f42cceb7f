/* A job's folder: see jobfiles.h. */
#include "jobfiles.h"

#include <string.h>

#define NAME_MOST 200 /* bytes */

char *job_folder(const struct config *c, const char *id)
{
	return mem_printf("%s/jobs/%s", c->data_dir, id);
}

char *job_replays_folder(const struct config *c, const char *id)
{
	return mem_printf("%s/replays/%s", c->data_dir, id);
}

bool job_file_safe(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n < NAME_MOST && *name != '.' && !strchr(name, '/') && strcmp(name, JOB_HOLDER) != 0;
}

td_status job_file(const struct config *c, const char *id, const struct artifact *a, char **path, struct err *e)
{
	*path = NULL;
	if (!job_file_safe(a->file))
		return err_set(
			e, TD_CORRUPT, "the file of \"%.80s\" lies outside of the folder of job %s", a->name, id);
	*path = mem_printf("%s/jobs/%s/%s", c->data_dir, id, a->file);
	return TD_OK;
}
