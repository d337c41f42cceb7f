/* The queue policy, against a naive model and in a simulation. */
#include "sched/sched.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define MOST 40

static void empty_queue_picks_nothing(void **state)
{
	int picked[1];

	(void)state;
	assert_int_equal(sched_pick(NULL, 0, (struct sched_room){ 4, 4, 1000 }, 0, picked), 0);
}

static void higher_priority_then_longer_waiting_then_id_goes_first(void **state)
{
	const struct sched_job jobs[] = {
		{ "c", 0, 1000, 1, 1 },
		{ "b", 0, 1000, 1, 1 },
		{ "late", 0, 2000, 1, 1 },
		{ "urgent", 5, 2000, 1, 1 },
	};
	const int order[] = { 3, 1, 0, 2 };
	int picked[4];

	(void)state;
	assert_int_equal(sched_pick(jobs, 4, (struct sched_room){ 8, 8, 100 }, 3000, picked), 4);
	assert_memory_equal(picked, order, sizeof order);
}

static void a_minute_of_waiting_is_worth_one_priority(void **state)
{
	struct sched_job jobs[] = { { "old", 0, 0, 1, 1 }, { "new", 1, 0, 1, 1 } };
	int picked[2];

	(void)state;
	jobs[1].queued_ms = SCHED_AGING_MS - 1;
	sched_pick(jobs, 2, (struct sched_room){ 1, 1, 100 }, 10 * SCHED_AGING_MS, picked);
	assert_int_equal(picked[0], 1);
	jobs[1].queued_ms = SCHED_AGING_MS + 1;
	sched_pick(jobs, 2, (struct sched_room){ 1, 1, 100 }, 10 * SCHED_AGING_MS, picked);
	assert_int_equal(picked[0], 0);
}

static void a_clock_that_was_set_back_is_no_advantage(void **state)
{
	const struct sched_job jobs[] = { { "future", 0, 9000000, 1, 1 }, { "now", 0, 1000, 1, 1 } };
	int picked[2];

	(void)state;
	assert_int_equal(sched_pick(jobs, 2, (struct sched_room){ 1, 1, 100 }, 2000, picked), 1);
	assert_int_equal(picked[0], 1);
}

static void nobody_passes_the_first_that_waits_for_what_they_need(void **state)
{
	const struct sched_job jobs[] = { { "big", 0, 1, 4, 10 }, { "small", 0, 2, 1, 10 } };
	int picked[2];

	(void)state;
	assert_int_equal(sched_pick(jobs, 2, (struct sched_room){ 3, 2, 1000 }, 5, picked), 0);
	assert_string_equal(sched_why(&jobs[0], (struct sched_room){ 3, 2, 1000 }), "waiting_for_threads");
	assert_string_equal(sched_why(&jobs[1], (struct sched_room){ 3, 2, 1000 }), "waiting_for_turn");
}

static void who_leaves_the_first_its_room_may_pass(void **state)
{
	/* The first waits for memory alone; the second needs none, and a thread and a worker are left over. */
	const struct sched_job jobs[] = { { "fat", 0, 1, 2, 500 }, { "thin", 0, 2, 1, 0 }, { "wide", 0, 3, 2, 0 } };
	int picked[3];

	(void)state;
	assert_int_equal(sched_pick(jobs, 3, (struct sched_room){ 4, 3, 400 }, 5, picked), 1);
	assert_int_equal(picked[0], 1);
	assert_int_equal(sched_pick(jobs, 3, (struct sched_room){ 4, 1, 400 }, 5, picked), 0);
}

static void each_want_has_its_reason(void **state)
{
	const struct sched_job j = { "j", 0, 0, 2, 200 };

	(void)state;
	assert_string_equal(sched_why(&j, (struct sched_room){ 2, 0, 200 }), "waiting_for_worker");
	assert_string_equal(sched_why(&j, (struct sched_room){ 1, 1, 200 }), "waiting_for_threads");
	assert_string_equal(sched_why(&j, (struct sched_room){ 2, 1, 199 }), "waiting_for_memory");
	assert_string_equal(sched_why(&j, (struct sched_room){ 2, 1, 200 }), "waiting_for_turn");
}

/* ---- Against a naive model -------------------------------------------------------------------------------------- */

/* Whether A goes before B, by the words of sched.h. */
static bool before(const struct sched_job *a, const struct sched_job *b, int64_t now)
{
	int64_t wait_a = now > a->queued_ms ? now - a->queued_ms : 0,
		wait_b = now > b->queued_ms ? now - b->queued_ms : 0;
	double rank_a = a->priority + (double)wait_a / 60000.0, rank_b = b->priority + (double)wait_b / 60000.0;

	if (rank_a > rank_b + 1e-9 || rank_a < rank_b - 1e-9)
		return rank_a > rank_b;
	return a->queued_ms != b->queued_ms ? a->queued_ms < b->queued_ms : strcmp(a->id, b->id) < 0;
}

static int naive_pick(const struct sched_job *jobs, int n, struct sched_room room, int64_t now, int *picked)
{
	bool seen[MOST] = { false };
	const struct sched_job *holder = NULL;
	int got = 0;

	for (int round = 0; round < n; round++) {
		int best = -1;

		for (int i = 0; i < n; i++)
			if (!seen[i] && (best < 0 || before(&jobs[i], &jobs[best], now)))
				best = i;
		seen[best] = true;
		struct sched_room left = { room.threads - jobs[best].threads, room.workers - 1,
			room.memory_bytes - jobs[best].memory_bytes };
		bool fits = left.threads >= 0 && left.workers >= 0 && left.memory_bytes >= 0;

		if (!fits) {
			if (!holder)
				holder = &jobs[best];
			continue;
		}
		/* Of everything it takes, the holder's need must be left. */
		if (holder && (left.threads < holder->threads || left.workers < 1 ||
				      (jobs[best].memory_bytes > 0 && left.memory_bytes < holder->memory_bytes)))
			continue;
		picked[got++] = best;
		room = left;
	}
	return got;
}

static void random_queues_agree_with_the_model(void **state)
{
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 20000; round++) {
		struct sched_job jobs[MOST];
		char ids[MOST][8];
		int n = rand() % 12, picked[MOST], model[MOST], got;
		struct sched_room room = { rand() % 9, rand() % 5, rand() % 5 * 100 };

		for (int i = 0; i < n; i++) {
			snprintf(ids[i], sizeof ids[i], "j%02d", i);
			jobs[i] = (struct sched_job){ ids[i], rand() % 4 - 1, rand() % 4 * 30000, 1 + rand() % 4,
				rand() % 4 * 100 };
		}
		got = sched_pick(jobs, n, room, 100000, picked);
		assert_int_equal(got, naive_pick(jobs, n, room, 100000, model));
		assert_memory_equal(picked, model, sizeof *picked * (size_t)got);
	}
}

/* ---- In a simulation -------------------------------------------------------------------------------------------- */

/* A large job waits among a stream of small, urgent ones: it must start before its waiting has outgrown their priority
 * by much. */
static void no_job_starves(void **state)
{
	enum { RUNNING_MOST = 4, MINUTE = 60000 };
	int64_t ends[RUNNING_MOST] = { 0 }, big_started = -1, big_ends = 0;
	struct sched_job queue[MOST] = { { "big", 0, 0, 4, 100 } };
	char ids[MOST][24];
	int n = 1, made = 0;

	(void)state;
	for (int64_t now = 0; now < 60 * MINUTE && big_started < 0; now += 1000) {
		struct sched_room room = { 4, RUNNING_MOST, 1000 };
		int picked[MOST], got;

		for (int i = 0; i < RUNNING_MOST; i++)
			if (ends[i] > now) {
				room.threads--;
				room.workers--;
			}
		/* Always eight small ones are waiting, with priority 5, one minute long each. */
		for (; n < 9; n++, made++) {
			snprintf(ids[n], sizeof ids[n], "s%06d", made);
			queue[n] = (struct sched_job){ ids[n], 5, now, 1, 100 };
		}
		got = sched_pick(queue, n, room, now, picked);
		bool gone[MOST] = { false };
		for (int i = 0; i < got; i++) {
			gone[picked[i]] = true;
			if (!strcmp(queue[picked[i]].id, "big")) {
				big_started = now;
				big_ends = now + MINUTE;
				continue;
			}
			for (int k = 0; k < RUNNING_MOST; k++)
				if (ends[k] <= now) {
					ends[k] = now + MINUTE;
					break;
				}
		}
		int kept = 0;
		for (int i = 0; i < n; i++) {
			if (gone[i])
				continue;
			char id[24];
			snprintf(id, sizeof id, "%s", queue[i].id);
			queue[kept] = queue[i];
			if (i) {
				snprintf(ids[kept], sizeof ids[kept], "%s", id);
				queue[kept].id = ids[kept];
			}
			kept++;
		}
		n = kept;
	}
	assert_true(big_ends > 0);
	assert_true(big_started >= 4 * MINUTE);  /* priority counted ... */
	assert_true(big_started <= 12 * MINUTE); /* ... but did not starve it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_queue_picks_nothing),
		cmocka_unit_test(higher_priority_then_longer_waiting_then_id_goes_first),
		cmocka_unit_test(a_minute_of_waiting_is_worth_one_priority),
		cmocka_unit_test(a_clock_that_was_set_back_is_no_advantage),
		cmocka_unit_test(nobody_passes_the_first_that_waits_for_what_they_need),
		cmocka_unit_test(who_leaves_the_first_its_room_may_pass),
		cmocka_unit_test(each_want_has_its_reason),
		cmocka_unit_test(random_queues_agree_with_the_model),
		cmocka_unit_test(no_job_starves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
