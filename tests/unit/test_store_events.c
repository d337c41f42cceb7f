/* The event stream: a client that comes back gets what it missed, once. */
#include "store/store.h"
#include "test_store.h"

#include <math.h>

/* What a client has made of the events so far. */
struct client {
	int64_t seq; /* last id seen */
	int n_events, n_states, n_logs, n_resets, n_rewinds, n_deleted, n_progress;
	int64_t progress;
	struct point points[20000]; /* of the series "a" */
	int n_points;
	char last_kind[16];
	char last_data[4096];
};

static void add_event_points(struct client *c, const cJSON *json)
{
	const cJSON *p;

	if (strcmp(json_string(json, "series", ""), "a"))
		return;
	cJSON_ArrayForEach(p, json_get(json, "points"))
	{
		struct point *to = &c->points[c->n_points++];

		assert_true(c->n_points < 20000);
		assert_int_equal(cJSON_GetArraySize(p), 3);
		to->step = (int64_t)cJSON_GetArrayItem(p, 0)->valuedouble;
		to->time_ms = (int64_t)cJSON_GetArrayItem(p, 1)->valuedouble;
		assert_true(json_to_number(cJSON_GetArrayItem(p, 2), &to->value));
	}
}

static void on_event(void *arg, int64_t seq, const char *job, const char *kind, const char *data)
{
	struct client *c = arg;
	struct err e = { 0 };
	cJSON *json = json_parse(data, strlen(data), &e);

	assert_non_null(json); /* always JSON, always one line */
	assert_null(strchr(data, '\n'));
	assert_int_equal(strlen(job), ULID_TEXT - 1);
	assert_true(seq > c->seq); /* in order, none twice */
	c->seq = seq;
	c->n_events++;
	c->n_states += !strcmp(kind, "state");
	c->n_logs += !strcmp(kind, "log");
	c->n_resets += !strcmp(kind, "reset");
	c->n_deleted += !strcmp(kind, "deleted");
	if (!strcmp(kind, "progress")) {
		c->n_progress++;
		c->progress = json_int(json, "step", -1);
	}
	if (!strcmp(kind, "metrics"))
		add_event_points(c, json);
	if (!strcmp(kind, "rewind")) {
		c->n_rewinds++;
		while (c->n_points && c->points[c->n_points - 1].step > json_int(json, "step", -1))
			c->n_points--;
	}
	snprintf(c->last_kind, sizeof c->last_kind, "%s", kind);
	snprintf(c->last_data, sizeof c->last_data, "%s", data);
	cJSON_Delete(json);
}

/* Read on from where C is, N at a time; stop after ROUNDS (-1: at the end). */
static void follow(struct box *b, const char *id, struct client *c, int n, int rounds)
{
	struct err e = { 0 };
	int got = n;

	for (; got == n && rounds; rounds--)
		assert_int_equal(store_events(b->reader, id, c->seq, n, on_event, c, &got, &e), TD_OK);
}

static void every_kind_of_change_is_told(void **state)
{
	struct box *b = *state;
	struct client *c = MEM_NEW(struct client);
	char id[ULID_TEXT];
	const struct point wild[] = { { 1, 10, NAN }, { 2, 20, -INFINITY }, { 3, 30, -0.0 }, { 4, 40, 0.1 } };

	add_job(b, id);
	follow(b, id, c, 10, -1);
	assert_string_equal(c->last_kind, "state");
	assert_non_null(strstr(c->last_data, "\"to\":\"queued\""));
	assert_int_equal(happen(b, id, JOB_EV_ASSIGN), TD_OK);
	follow(b, id, c, 10, -1);
	assert_non_null(strstr(c->last_data, "\"from\":\"queued\",\"to\":\"starting\",\"event\":\"assign\""));
	assert_non_null(strstr(c->last_data, "\"attempt\":1"));

	assert_int_equal(do_tx(b, fn_log, &(struct log_args){ id, "hello \"you\"\nsecond" }), TD_OK);
	follow(b, id, c, 10, -1);
	assert_string_equal(c->last_kind, "log");
	assert_non_null(strstr(c->last_data, "\"text\":\"hello \\\"you\\\"\\nsecond\""));
	assert_non_null(strstr(c->last_data, "\"offset\":0"));

	assert_int_equal(add_points(b, id, "a", wild, 4), TD_OK);
	follow(b, id, c, 10, -1);
	assert_string_equal(c->last_data,
		"{\"series\":\"a\",\"points\":[[1,10,\"NaN\"],[2,20,\"-Infinity\"],[3,30,-0],[4,40,0.1]]}");
	assert_int_equal(c->n_points, 4);

	assert_int_equal(happen(b, id, JOB_EV_STOPPED), TD_OK);
	assert_int_equal(do_tx(b, fn_rewind, &(struct step_args){ id, 2 }), TD_OK);
	follow(b, id, c, 10, -1);
	assert_string_equal(c->last_data, "{\"step\":2}");
	assert_int_equal(c->n_points, 2);
	assert_int_equal(c->seq, store_seq(b->store));
	mem_free(c);
}

static void of_progress_only_the_newest_is_kept(void **state)
{
	struct box *b = *state;
	struct client *c = MEM_NEW(struct client);
	char id[ULID_TEXT];

	add_job(b, id);
	for (int i = 1; i <= 50; i++)
		assert_int_equal(do_tx(b, fn_progress, &(struct step_args){ id, i }), TD_OK);
	follow(b, id, c, 3, -1);
	assert_int_equal(c->n_progress, 1);
	assert_int_equal(c->progress, 50);
	assert_int_equal(c->seq, store_seq(b->store));
	mem_free(c);
}

/* One client reads all along in large bites, another breaks off at every opportunity, a third only comes at the end: in
 * the end they agree with each other and with the tables. */
static void whoever_breaks_off_and_resumes_misses_nothing_and_gets_nothing_twice(void **state)
{
	struct box *b = *state;
	struct client *steady = MEM_NEW(struct client), *broken = MEM_NEW(struct client),
		      *late = MEM_NEW(struct client);
	struct point *table = MEM_NEW_N(struct point, 20000), batch[600];
	struct err e = { 0 };
	char id[ULID_TEXT], other[ULID_TEXT];
	int64_t step = 0;
	int got;

	add_job(b, id);
	add_job(b, other);
	assert_int_equal(happen(b, id, JOB_EV_ASSIGN), TD_OK);
	srand(7);
	for (int round = 0; round < 100; round++) {
		int n = 1 + rand() % (round % 10 ? 5 : 600);

		for (int i = 0; i < n; i++, step++)
			batch[i] = (struct point){ step, round, rand() % 50 ? rand() / 1e5 : NAN };
		assert_int_equal(add_points(b, id, "a", batch, n), TD_OK);
		assert_int_equal(add_points(b, other, "a", batch, n), TD_OK);
		if (rand() % 3 == 0)
			assert_int_equal(do_tx(b, fn_log, &(struct log_args){ id, "line" }), TD_OK);
		if (rand() % 10 == 0) {
			step -= rand() % 40;
			step = TD_MAX(step, 1);
			assert_int_equal(do_tx(b, fn_rewind, &(struct step_args){ id, step - 1 }), TD_OK);
			assert_int_equal(do_tx(b, fn_rewind, &(struct step_args){ other, step - 1 }), TD_OK);
		}
		follow(b, id, steady, 1000, -1);
		if (rand() % 4 == 0)
			follow(b, id, broken, 1 + rand() % 4, 1 + rand() % 3);
		if (round == 50) { /* the daemon restarts */
			box_shut(b);
			box_open(b);
		}
	}
	follow(b, id, broken, 2, -1);
	follow(b, id, late, 7, -1);
	assert_int_equal(store_points_read(b->reader, id, "a", -1, table, 20000, &got, &e), TD_OK);
	assert_int_equal(steady->n_resets + broken->n_resets + late->n_resets, 0);
	for (struct client *c = steady; c; c = c == steady ? broken : c == broken ? late : NULL) {
		assert_int_equal(c->seq, steady->seq);
		assert_int_equal(c->n_events, steady->n_events);
		assert_int_equal(c->n_logs, steady->n_logs);
		assert_int_equal(c->n_points, got);
		for (int i = 0; i < got; i++) {
			assert_int_equal(c->points[i].step, table[i].step);
			assert_int_equal(c->points[i].time_ms, table[i].time_ms);
			assert_true(c->points[i].value == table[i].value ||
				    (isnan(c->points[i].value) && isnan(table[i].value)));
		}
	}
	mem_free(table);
	mem_free(steady);
	mem_free(broken);
	mem_free(late);
}

static void who_is_older_than_what_is_kept_is_told_to_reset_first(void **state)
{
	struct box *b = *state;
	struct client *fresh = MEM_NEW(struct client), *recent = MEM_NEW(struct client), *all = MEM_NEW(struct client);
	struct query q;
	char id[ULID_TEXT], quiet[ULID_TEXT];

	add_job(b, quiet);
	add_job(b, id);
	for (int i = 0; i < STORE_EVENTS_MOST + 200; i++) {
		assert_int_equal(do_tx(b, fn_log, &(struct log_args){ id, "x" }), TD_OK);
		if (i == STORE_EVENTS_MOST / 2)
			recent->seq = store_seq(b->store);
	}
	follow(b, id, recent, 1000, -1);
	assert_int_equal(recent->n_resets, 0);
	assert_int_equal(recent->n_logs, STORE_EVENTS_MOST / 2 + 199);

	follow(b, id, fresh, 1000, 1);
	assert_int_equal(fresh->n_resets, 1);
	follow(b, id, fresh, 1000, -1);
	assert_int_equal(fresh->n_resets, 1);
	assert_in_range(fresh->n_events, STORE_EVENTS_MOST / 8 * 7, STORE_EVENTS_MOST + 1);
	assert_int_equal(fresh->seq, store_seq(b->store));

	follow(b, NULL, all, 1000, -1); /* of all jobs: one reset, and the other job is whole */
	assert_int_equal(all->n_resets, 1);
	assert_int_equal(all->n_states, 1);

	query_begin(&q, &b->reader->db, NULL,
		"SELECT n_events - (SELECT count(*) FROM events WHERE job = id), "
		"event_bytes - (SELECT sum(length(data)) FROM events WHERE job = id) FROM jobs WHERE id = ?");
	query_text(&q, id);
	assert_true(query_row(&q));
	assert_int_equal(query_get_int(&q, 0), 0);
	assert_int_equal(query_get_int(&q, 1), 0);
	query_end(&q);
	mem_free(fresh);
	mem_free(recent);
	mem_free(all);
}

static void the_text_of_events_is_bounded_too(void **state)
{
	struct box *b = *state;
	static char text[60000];
	struct query q;
	char id[ULID_TEXT];

	memset(text, 'y', sizeof text - 1);
	add_job(b, id);
	for (int i = 0; i < 60; i++)
		assert_int_equal(do_tx(b, fn_log, &(struct log_args){ id, text }), TD_OK);
	query_begin(&q, &b->reader->db, NULL, "SELECT sum(length(data)), count(*) FROM events WHERE job = ?");
	query_text(&q, id);
	assert_true(query_row(&q));
	assert_in_range(query_get_int(&q, 0), STORE_EVENTS_BYTES / 2, STORE_EVENTS_BYTES);
	query_end(&q);
}

static td_status fn_purge(struct store_tx *tx, void *arg, struct err *e)
{
	return store_job_delete(tx, arg, true, e);
}

static void a_purged_job_says_goodbye(void **state)
{
	struct box *b = *state;
	struct client *c = MEM_NEW(struct client);
	char id[ULID_TEXT];

	add_job(b, id);
	assert_int_equal(add_points(b, id, "a", (struct point[]){ { 1, 1, 1 } }, 1), TD_OK);
	assert_int_equal(happen(b, id, JOB_EV_CANCEL), TD_OK);
	assert_int_equal(do_tx(b, fn_purge, id), TD_OK);
	follow(b, NULL, c, 10, -1);
	assert_int_equal(c->n_events, 1);
	assert_int_equal(c->n_deleted, 1);
	assert_string_equal(c->last_data, "{\"purged\":true}");
	mem_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		box_test(every_kind_of_change_is_told),
		box_test(of_progress_only_the_newest_is_kept),
		box_test(whoever_breaks_off_and_resumes_misses_nothing_and_gets_nothing_twice),
		box_test(who_is_older_than_what_is_kept_is_told_to_reset_first),
		box_test(the_text_of_events_is_bounded_too),
		box_test(a_purged_job_says_goodbye),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
