/* How the server is: for people (system, workers), for machines that watch it (healthz, readyz), and for Prometheus. */
#include "api/api.h"
#include "http/listener.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TICK_LATE_MS 10000 /* a scheduler that has not ticked for so long is not ready */

td_status index_get(struct request *q, struct response *r, struct err *e)
{
	static const struct {
		const char *name, *path;
	} rows[] = { { "openapi", "/openapi.json" }, { "schema", "/schema/job.json" }, { "examples", "/examples" },
		{ "jobs", "/jobs" }, { "datasets", "/datasets" }, { "models", "/models" } };
	cJSON *o = cJSON_CreateObject(), *links;

	(void)e;
	cJSON_AddStringToObject(o, "version", TD_VERSION);
	links = cJSON_AddObjectToObject(o, "links");
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		char *path = mem_printf(API_BASE "%s", rows[i].path), *url = request_url(q, path);

		cJSON_AddStringToObject(links, rows[i].name, url);
		mem_free(url);
		mem_free(path);
	}
	respond_json(r, 200, o);
	return TD_OK;
}

td_status healthz(struct request *q, struct response *r, struct err *e)
{
	(void)q;
	(void)e;
	respond_text(r, 200, "{\"status\":\"ok\"}");
	return TD_OK;
}

td_status readyz(struct request *q, struct response *r, struct err *e)
{
	struct control_room room = control_room(q->srv->control);
	int64_t late_ms = clock_monotonic_ms() - room.last_tick_ms;

	if (listener_draining(q->srv->http))
		return err_set(e, TD_UNAVAILABLE, "the server is about to stop");
	if (!room.ticks || late_ms > TICK_LATE_MS)
		return err_set(e, TD_UNAVAILABLE, "the scheduler has not ticked for %lld ms", (long long)late_ms);
	if (store_probe(q->srv->store, e))
		return err_wrap(e, "the database takes no writes");
	respond_text(r, 200, "{\"status\":\"ready\"}");
	return TD_OK;
}

td_status workers_list(struct request *q, struct response *r, struct err *e)
{
	(void)e;
	respond_list(r, control_workers(q->srv->control), NULL);
	return TD_OK;
}

static void add_pair(cJSON *o, const char *name, double all, double free_now)
{
	cJSON *pair = cJSON_AddObjectToObject(o, name);

	cJSON_AddNumberToObject(pair, "total", all);
	cJSON_AddNumberToObject(pair, "free", free_now);
}

td_status system_get(struct request *q, struct response *r, struct err *e)
{
	struct control_room room = control_room(q->srv->control);
	cJSON *o = cJSON_CreateObject(), *devices;
	struct statvfs disk = { 0 };
	char host[256] = "";

	(void)e;
	gethostname(host, sizeof host - 1);
	statvfs(q->srv->config->data_dir, &disk);
	cJSON_AddStringToObject(o, "version", TD_VERSION);
	cJSON_AddStringToObject(o, "host", host);
	api_add_time(o, "started_at", q->srv->started_ms);
	api_add_time(o, "now", clock_now_ms());
	cJSON_AddNumberToObject(o, "cores", (double)sysconf(_SC_NPROCESSORS_ONLN));
	add_pair(o, "workers", room.workers, room.workers_free);
	add_pair(o, "threads", room.threads, room.threads_free);
	add_pair(o, "memory_bytes", (double)room.memory_bytes, (double)room.memory_free);
	add_pair(o, "disk_bytes", (double)disk.f_blocks * (double)disk.f_frsize,
		(double)disk.f_bavail * (double)disk.f_frsize);
	cJSON_AddNumberToObject(o, "database_bytes", (double)store_bytes(q->srv->store));
	devices = cJSON_AddArrayToObject(o, "devices");
	cJSON_AddItemToArray(devices, cJSON_CreateString("cpu"));
	cJSON_AddBoolToObject(o, "draining", listener_draining(q->srv->http));
	respond_json(r, 200, o);
	return TD_OK;
}

/* ---- Prometheus -------------------------------------------------------------------------------------------------- */

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(struct buf *out, const char *name, const char *type, const char *help, int64_t value)
{
	head(out, name, type, help);
	buf_printf(out, "%s %lld\n", name, (long long)value);
}

td_status prometheus(struct request *q, struct response *r, struct err *e)
{
	struct control_room room = control_room(q->srv->control);
	int64_t counts[JOB_N_STATES];
	struct listener_stats stats;
	struct buf out;
	size_t n;

	if (store_job_counts(q->reader, counts, e))
		return e->status;
	listener_stats(q->srv->http, &stats);
	buf_init(&out, 64 << 10);
	head(&out, "tandem_jobs", "gauge", "Jobs by state.");
	for (int s = 0; s < JOB_N_STATES; s++)
		buf_printf(&out, "tandem_jobs{state=\"%s\"} %lld\n", job_state_name(s), (long long)counts[s]);
	single(&out, "tandem_workers", "gauge", "Jobs that may run at once.", room.workers);
	single(&out, "tandem_workers_free", "gauge", "Of these, how many more may start now.", room.workers_free);
	single(&out, "tandem_threads", "gauge", "Threads that jobs draw on.", room.threads);
	single(&out, "tandem_threads_free", "gauge", "Threads that no job holds.", room.threads_free);
	single(&out, "tandem_memory_bytes", "gauge", "Memory that jobs draw on.", room.memory_bytes);
	single(&out, "tandem_memory_free_bytes", "gauge", "Memory that no job holds.", room.memory_free);
	single(&out, "tandem_scheduler_ticks_total", "counter", "Turns of the control loop.", room.ticks);
	head(&out, "tandem_http_requests_total", "counter", "Answers by class of their code.");
	for (int i = 1; i < 6; i++)
		buf_printf(&out, "tandem_http_requests_total{code=\"%dxx\"} %lld\n", i, (long long)stats.requests[i]);
	single(&out, "tandem_http_requests_open", "gauge", "Requests under way.", stats.connections);
	single(&out, "tandem_http_streams_open", "gauge", "Of these, streams and waiting ones.", stats.streams);
	single(&out, "tandem_store_bytes", "gauge", "Size of the database.", store_bytes(q->srv->store));
	single(&out, "tandem_store_seq", "counter", "Number of the last event.", store_seq(q->srv->store));
	n = out.len;
	respond_bytes(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_take(&out), n);
	return TD_OK;
}
