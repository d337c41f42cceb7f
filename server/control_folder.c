/* A job's folder, DATA/jobs/ID: its checkpoints and artifacts, and worker.json.
 *
 * A file exists for Tandem when a row names it; whatever else lies in the folder was being written when somebody died.
 */
#include "control_internal.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOLDER_MOST 1024

void folder_remove_file(const struct control *c, const char *id, const char *name)
{
	char *path;

	if (!job_file_safe(name))
		return;
	path = mem_printf("%s/jobs/%s/%s", c->config->data_dir, id, name);
	if (unlink(path) && errno != ENOENT)
		log_line(LOG_WARN, "file cannot be removed", "path=%s text=%s", path, strerror(errno));
	mem_free(path);
}

/* ---- What rows name -------------------------------------------------------------------------------------------- */

static void keep_file(void *arg, const struct artifact *a)
{
	map_put(arg, a->file, arg); /* any value but NULL */
}

void folder_tidy(struct control *c, const char *id)
{
	char *folder = job_folder(c->config, id);
	struct err e = { 0 };
	struct dirent *d;
	struct map kept;
	DIR *dir = NULL;

	map_init(&kept);
	store_artifacts(c->reader, id, "checkpoint", keep_file, &kept, &e);
	store_artifacts(c->reader, id, "artifact", keep_file, &kept, &e);
	if (!e.status)
		dir = opendir(folder);
	while (dir && (d = readdir(dir)))
		if (*d->d_name != '.' && !map_get(&kept, d->d_name) && job_file_safe(d->d_name)) {
			log_line(LOG_INFO, "removing a file without a row", "job=%s file=%s", id, d->d_name);
			folder_remove_file(c, id, d->d_name);
		}
	if (dir)
		closedir(dir);
	map_release(&kept);
	mem_free(folder);
}

/* Of a job that is not over a worker may be writing: it is tidied before its next attempt. */
static void tidy_ended(struct control *c, const struct job *j)
{
	if (job_state_terminal(j->state))
		folder_tidy(c, j->id);
}

static void tidy_replays(struct control *c, const struct job *j)
{
	control_replays_tidy(c, j->id);
}

/* The folders in DATA/NAME are those of jobs. */
static void sweep_folders(struct control *c, const char *name, void (*tidy)(struct control *c, const struct job *j))
{
	char *all = mem_printf("%s/%s", c->config->data_dir, name);
	DIR *dir = opendir(all);
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		struct err e = { 0 };
		struct job j;
		if (strlen(d->d_name) != ULID_TEXT - 1)
			continue;
		if (store_job_get(c->reader, d->d_name, &j, &e) == TD_OK) {
			tidy(c, &j);
			job_release(&j);
		} else if (e.status == TD_NOT_FOUND) {
			char *folder = mem_printf("%s/%s", all, d->d_name);
			log_line(LOG_INFO, "removing a folder without a job", "path=%s", folder);
			file_remove_tree(folder, NULL);
			mem_free(folder);
		}
	}
	if (dir)
		closedir(dir);
	mem_free(all);
}

void folder_sweep(struct control *c)
{
	char *tmp = mem_printf("%s/tmp", c->config->data_dir);

	file_remove_tree(tmp, NULL); /* what requests under way had put there */
	mem_free(tmp);
	sweep_folders(c, "jobs", tidy_ended);
	sweep_folders(c, "replays", tidy_replays);
}

struct newest {
	const char *folder; /* borrowed */
	struct resume *found;
};

/* Rows come newest first; the first whose file is whole is the one to go on from. */
static void consider(void *arg, const struct artifact *a)
{
	struct newest *n = arg;
	struct stat st;
	char *path;

	if (n->found->file || strcmp(a->kind, "last"))
		return;
	path = mem_printf("%s/%s", n->folder, a->file);
	if (!stat(path, &st) && st.st_size == a->n_bytes) {
		n->found->file = mem_strdup(a->file);
		n->found->step = a->step;
		snprintf(n->found->sha256, sizeof n->found->sha256, "%s", a->sha256);
	} else {
		log_line(LOG_ERROR, "checkpoint is damaged or gone", "path=%s bytes_expected=%lld", path,
			(long long)a->n_bytes);
	}
	mem_free(path);
}

void folder_checkpoint(struct control *c, const char *id, struct resume *out)
{
	char *folder = job_folder(c->config, id);
	struct newest n = { .folder = folder, .found = out };
	struct err e = { 0 };

	*out = (struct resume){ 0 };
	if (store_artifacts(c->reader, id, "checkpoint", consider, &n, &e))
		log_line(LOG_ERROR, "checkpoints cannot be read", "job=%s text=%s", id, e.text);
	mem_free(folder);
}

/* ---- Who holds the attempt ------------------------------------------------------------------------------------- */

/* The kernel's name for this start of the machine: pids and start times begin anew with each. */
static void boot_name(char out[48])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, 47) : 0;

	if (fd >= 0)
		close(fd);
	out[TD_MAX(n, 0)] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

td_status holder_write(struct control *c, const char *id, const struct worker *w, struct err *e)
{
	char *path = mem_printf("%s/jobs/%s/" JOB_HOLDER, c->config->data_dir, id), *part = mem_printf("%s.part", path);
	cJSON *holder = cJSON_CreateObject();
	char boot[48], *text;
	FILE *f;

	boot_name(boot);
	cJSON_AddNumberToObject(holder, "attempt", w->attempt);
	cJSON_AddNumberToObject(holder, "pid", w->process.pid);
	cJSON_AddNumberToObject(holder, "born", (double)w->process.born);
	cJSON_AddStringToObject(holder, "boot", boot);
	cJSON_AddStringToObject(holder, "secret_sha256", w->secret_hash);
	text = json_print(holder);
	/* Replaced at once, but not synced: when the machine goes down, so does the worker, and nobody needs this any
	 * more. */
	f = fopen(part, "we");
	if (!f || fputs(text, f) < 0 || fflush(f) || rename(part, path))
		err_errno(e, "writing %s", path);
	if (f)
		fclose(f);
	mem_free(text);
	cJSON_Delete(holder);
	mem_free(part);
	mem_free(path);
	return e->status;
}

bool holder_read(const struct control *c, const char *id, struct holder *out)
{
	char *path = mem_printf("%s/jobs/%s/" JOB_HOLDER, c->config->data_dir, id);
	struct err e = { 0 };
	struct buf text;
	cJSON *holder = NULL;

	*out = (struct holder){ .pid = 0 };
	buf_init(&text, HOLDER_MOST);
	if (!file_read(path, &text, &e) && (holder = json_parse(text.data, text.len, &e))) {
		out->attempt = (int)json_int(holder, "attempt", 0);
		out->pid = (pid_t)json_int(holder, "pid", 0);
		out->born = json_int(holder, "born", 0);
		snprintf(out->boot, sizeof out->boot, "%s", json_string(holder, "boot", ""));
		snprintf(out->secret_hash, sizeof out->secret_hash, "%s", json_string(holder, "secret_sha256", ""));
	}
	cJSON_Delete(holder);
	buf_release(&text);
	mem_free(path);
	return out->pid > 0;
}

bool holder_this_boot(const struct holder *h)
{
	char boot[48];

	boot_name(boot);
	return *boot && !strcmp(boot, h->boot);
}
