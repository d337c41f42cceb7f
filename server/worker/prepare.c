/* The preparer: the files of one dataset become a pack, in a process of its own, because what they hold comes from
 * outside. */
#include "data/prepare.h"
#include "worker/worker.h"

#include <sys/resource.h>

#define FLUSH_MS 5000 /* the last answer */
#define NICENESS 10   /* of 19: about a tenth of a job's share where both want a core */

static void on_progress(void *of, int64_t done, int64_t total)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddNumberToObject(body, "step", (double)done);
	cJSON_AddNumberToObject(body, "n_steps", (double)total);
	cJSON_AddNumberToObject(body, "epoch", 0);
	cJSON_AddStringToObject(body, "phase", "prepare");
	link_send(of, PROTO_PROGRESS, body);
}

/* FILES of the message; the strings stay the message's. */
static struct prepare_file *read_files(const cJSON *files, int *n)
{
	struct prepare_file *out = MEM_NEW_N(struct prepare_file, cJSON_GetArraySize(files) + 1);
	const cJSON *file;

	*n = 0;
	cJSON_ArrayForEach(file, files) out[(*n)++] =
		(struct prepare_file){ json_string(file, "name", ""), json_string(file, "path", "") };
	return out;
}

void worker_prepare(struct link *l, const cJSON *message)
{
	cJSON *answer = cJSON_CreateObject();
	struct prepare_order order = {
		.dataset = json_string(message, "dataset", ""),
		.format = json_get(message, "format"),
		.folder = json_string(message, "folder", ""),
		.progress = on_progress,
		.of = l,
	};
	struct prepare_file *files = read_files(json_get(message, "files"), &order.n_files);
	struct prepared prepared;
	struct faults faults;
	bool done;

	/* No job has paid for this thread, and a full machine must not keep a dataset waiting for days: it takes what
	 * the jobs leave. */
	setpriority(PRIO_PROCESS, 0, NICENESS);
	faults_init(&faults);
	order.files = files;
	cJSON_AddItemToObject(answer, "id", cJSON_Duplicate(json_get(message, "id"), true));
	done = prepare_run(&order, &prepared, &faults);
	if (done) {
		cJSON_AddStringToObject(answer, "key", prepared.key);
		cJSON_AddItemToObject(answer, "info", cJSON_Duplicate(prepared.info, true));
		cJSON_AddNumberToObject(answer, "bytes", (double)prepared.n_bytes);
	} else {
		cJSON_AddItemToObject(answer, "faults", worker_faults(&faults));
	}
	link_send(l, done ? PROTO_PREPARED : PROTO_REFUSED, answer);
	link_flush(l, FLUSH_MS);
	prepared_release(&prepared);
	faults_release(&faults);
	mem_free(files);
}
