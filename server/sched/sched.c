/* Queue policy: see sched.h.  Order first, then room; both can be said in a sentence, so that a user can foresee them.
 */
#include "sched/sched.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct place {
	const struct sched_job *job; /* borrowed */
	int64_t rank; /* higher first: milliseconds of waiting that its priority and its waiting are worth */
};

/* A job that was queued "later than now" (the clock was set back) has not waited yet. */
static int64_t rank_of(const struct sched_job *j, int64_t now_ms)
{
	return (int64_t)j->priority * SCHED_AGING_MS + TD_MAX(now_ms - j->queued_ms, 0);
}

static int by_rank(const void *left, const void *right)
{
	const struct place *a = left, *b = right;

	if (a->rank != b->rank)
		return a->rank > b->rank ? -1 : 1;
	if (a->job->queued_ms != b->job->queued_ms)
		return a->job->queued_ms < b->job->queued_ms ? -1 : 1;
	return strcmp(a->job->id, b->job->id);
}

/* Who wants nothing of a thing is not kept waiting by the lack of it. */
static bool enough(int64_t wanted, int64_t free_now)
{
	return wanted <= 0 || wanted <= free_now;
}

static bool fits(const struct sched_job *j, const struct sched_room *room)
{
	return enough(j->threads, room->threads) && enough(j->memory_bytes, room->memory_bytes) &&
	       enough(1, room->workers);
}

int sched_pick(const struct sched_job *jobs, int n, struct sched_room room, int64_t now_ms, int *picked)
{
	struct place *places = MEM_NEW_N(struct place, n + 1);
	bool held = false;
	int n_picked = 0;

	for (int i = 0; i < n; i++)
		places[i] = (struct place){ .job = &jobs[i], .rank = rank_of(&jobs[i], now_ms) };
	qsort(places, (size_t)n, sizeof *places, by_rank);
	for (int i = 0; i < n; i++) {
		const struct sched_job *j = places[i].job;
		bool starts = fits(j, &room);

		if (!starts && held)
			continue;
		/* The first that does not fit takes its room too, as far as there is any: what it lacks goes below
		 * zero, so nobody passes who needs some of that, and what becomes free meets it first. */
		room.threads -= j->threads;
		room.memory_bytes -= j->memory_bytes;
		room.workers--;
		if (starts)
			picked[n_picked++] = (int)(j - jobs);
		else
			held = true;
	}
	mem_free(places);
	return n_picked;
}

const char *sched_why(const struct sched_job *job, struct sched_room room)
{
	if (!enough(1, room.workers))
		return "waiting_for_worker";
	if (!enough(job->threads, room.threads))
		return "waiting_for_threads";
	if (!enough(job->memory_bytes, room.memory_bytes))
		return "waiting_for_memory";
	return "waiting_for_turn";
}
