/* What a running job tells its daemon: see tell.h. */
#include "worker/tell.h"
#include "worker/worker.h"
#include "base/clock.h"

#include <stdio.h>

void tell_init(struct tell *t, struct link *l)
{
	*t = (struct tell){ .link = l };
}

void tell_release(struct tell *t)
{
	cJSON_Delete(t->points);
	t->points = NULL;
}

void tell_flush(struct tell *t)
{
	cJSON *body;

	if (!t->points)
		return;
	body = cJSON_CreateObject();
	cJSON_AddItemToObject(body, "points", t->points);
	t->points = NULL;
	t->n_points = 0;
	t->sent_ms = clock_monotonic_ms();
	link_send(t->link, PROTO_METRICS, body);
}

void tell_due(struct tell *t)
{
	if (t->points && (!t->sent_ms || clock_monotonic_ms() - t->sent_ms >= TELL_METRICS_MS))
		tell_flush(t);
}

void tell_point(struct tell *t, const char *series, int64_t step, double value)
{
	cJSON *point;

	if (t->point) {
		t->point(t->arg, series, step, value);
		return;
	}
	point = cJSON_CreateArray();
	cJSON_AddItemToArray(point, cJSON_CreateString(series));
	cJSON_AddItemToArray(point, cJSON_CreateNumber((double)step));
	cJSON_AddItemToArray(point, cJSON_CreateNumber((double)clock_now_ms()));
	cJSON_AddItemToArray(point, json_number(value));
	if (!t->points)
		t->points = cJSON_CreateArray();
	cJSON_AddItemToArray(t->points, point);
	if (++t->n_points >= TELL_POINTS_MOST)
		tell_flush(t);
}

void tell_progress(struct tell *t, int64_t step, int64_t epoch, const char *phase, bool urgent)
{
	int64_t now = clock_monotonic_ms();
	cJSON *body;

	if (t->point || (!urgent && now - t->progress_ms < TELL_PROGRESS_MS))
		return;
	t->progress_ms = now;
	body = cJSON_CreateObject();
	cJSON_AddNumberToObject(body, "step", (double)step);
	cJSON_AddNumberToObject(body, "n_steps", (double)t->n_steps);
	cJSON_AddNumberToObject(body, "epoch", (double)epoch);
	cJSON_AddStringToObject(body, "phase", phase);
	link_send(t->link, PROTO_PROGRESS, body);
}

void tell_log(struct tell *t, const char *level, const char *fmt, ...)
{
	cJSON *body;
	char text[1000];
	va_list ap;

	if (t->point)
		return;
	body = cJSON_CreateObject();
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	cJSON_AddStringToObject(body, "level", level);
	cJSON_AddStringToObject(body, "text", text);
	cJSON_AddNumberToObject(body, "time_ms", (double)clock_now_ms());
	link_send(t->link, PROTO_LOG, body);
}

void tell_warning(struct tell *t, const td_warning *w)
{
	cJSON *body;

	if (t->point)
		return;
	body = worker_warning(w);
	cJSON_AddNumberToObject(body, "time_ms", (double)clock_now_ms());
	link_send(t->link, PROTO_WARNING, body);
}

void tell_left_out(struct tell *t, int64_t step, const char *what, const char *value)
{
	cJSON *body;
	char *text;

	if (t->point)
		return;
	tell_flush(t); /* the replay compares them */
	text = mem_printf(
		"step %lld: the %s is %s, so its update is left out, and so will be others; the replay of this "
		"step, which is made by itself, names the op to blame (GET .../replays/%lld, or the job's "
		"Replay tab), and train/skipped counts them",
		(long long)step, what, value, (long long)step);
	body = worker_warning(&(td_warning){ .code = "nonfinite", .layer = "", .text = text });
	cJSON_AddNumberToObject(body, "time_ms", (double)clock_now_ms());
	cJSON_AddNumberToObject(body, "replay", (double)step);
	link_send(t->link, PROTO_WARNING, body);
	mem_free(text);
}

void tell_failed(struct tell *t, td_status s, const char *detail, const char *pointer, bool retry, int64_t step)
{
	cJSON *body = cJSON_CreateObject();

	tell_flush(t);
	cJSON_AddStringToObject(body, "status", step ? "NONFINITE" : status_name(s));
	cJSON_AddStringToObject(body, "detail", detail);
	if (pointer)
		cJSON_AddStringToObject(body, "pointer", pointer);
	cJSON_AddBoolToObject(body, "retry", retry);
	if (step)
		cJSON_AddNumberToObject(body, "step", (double)step);
	link_send(t->link, PROTO_FAILED, body);
}
