/* The table of moves between the states of a job, and nothing else: see job.h.
 *
 *   preparing --data_ready--> queued --assign--> starting --started--> running --done--> SUCCEEDED
 *                               ^  ^                |  |                 |  |
 *                       requeue |  | resume         |  +------pause------+  +--fail--> FAILED
 *                               |  |                |          |         |  +--timeout--> TIMED_OUT
 *                               |  +---- paused <---|--- pausing         |
 *                               |          stopped, lost   |             |
 *                               |                   |      | cancel      |
 *                               |                   +------+---cancel----+--> cancelling --stopped, lost--> CANCELLED
 *                               |                   |                    |
 *                               +-- interrupted <---+--- lost, stopped --+
 *                                     |
 *                                     +--give_up--> FAILED
 *
 * What decides the races:
 * - A state in capitals is terminal and never changes: cancel after done loses, and done after a timeout too.
 * - Work that is finished is not thrown away: a worker that was done before it heard of pause or cancel has succeeded.
 * - What a user asked for wins over what goes wrong meanwhile: a worker that dies or fails while it cancels has
 *   cancelled, one that dies while it pauses has paused (it goes on from the last checkpoint).  Only a job that
 *   cannot succeed still fails.
 * - A worker may say "started" after the user has asked it to pause or cancel: noted (running time counts), and the
 *   state stays.
 * - Stopped without having been asked by a user means drained: interrupted, and queued again.
 * - Where no worker has the job, cancel and pause happen at once.
 * - A queued job whose dataset is not there when its turn comes is preparing again: the pack was removed, or the job is
 *   from before there were packs.
 * - An external job begins without a worker; who cancels it says in the same breath that it has stopped.
 *
 * A retry of a failed job is a new job, so no move leads out of a terminal state. */
#include "sched/job.h"
#include "base/mem.h"

#include <string.h>

static const struct {
	enum job_state from;
	enum job_event event;
	enum job_state to;
} job_moves[] = {
	{ JOB_PREPARING, JOB_EV_DATA_READY, JOB_QUEUED },
	{ JOB_PREPARING, JOB_EV_DATA_FAILED, JOB_FAILED },
	{ JOB_PREPARING, JOB_EV_CANCEL, JOB_CANCELLED },

	{ JOB_QUEUED, JOB_EV_BEGIN, JOB_RUNNING },
	{ JOB_QUEUED, JOB_EV_DATA_GONE,
		JOB_PREPARING }, /* so it is fetched and prepared again, or the job says why not */
	{ JOB_QUEUED, JOB_EV_ASSIGN, JOB_STARTING },
	{ JOB_QUEUED, JOB_EV_FAIL, JOB_FAILED }, /* after a restart on a smaller machine it may never fit */
	{ JOB_QUEUED, JOB_EV_CANCEL, JOB_CANCELLED },
	{ JOB_QUEUED, JOB_EV_PAUSE, JOB_PAUSED },

	{ JOB_STARTING, JOB_EV_STARTED, JOB_RUNNING },
	{ JOB_STARTING, JOB_EV_FAIL, JOB_FAILED },
	{ JOB_STARTING, JOB_EV_LOST, JOB_INTERRUPTED },
	{ JOB_STARTING, JOB_EV_STOPPED, JOB_INTERRUPTED },
	{ JOB_STARTING, JOB_EV_CANCEL, JOB_CANCELLING },
	{ JOB_STARTING, JOB_EV_PAUSE, JOB_PAUSING },
	{ JOB_STARTING, JOB_EV_TIMEOUT, JOB_TIMED_OUT },

	{ JOB_RUNNING, JOB_EV_DONE, JOB_SUCCEEDED },
	{ JOB_RUNNING, JOB_EV_FAIL, JOB_FAILED },
	{ JOB_RUNNING, JOB_EV_LOST, JOB_INTERRUPTED },
	{ JOB_RUNNING, JOB_EV_STOPPED, JOB_INTERRUPTED },
	{ JOB_RUNNING, JOB_EV_CANCEL, JOB_CANCELLING },
	{ JOB_RUNNING, JOB_EV_PAUSE, JOB_PAUSING },
	{ JOB_RUNNING, JOB_EV_TIMEOUT, JOB_TIMED_OUT },

	{ JOB_PAUSING, JOB_EV_STARTED, JOB_PAUSING },
	{ JOB_PAUSING, JOB_EV_STOPPED, JOB_PAUSED },
	{ JOB_PAUSING, JOB_EV_LOST, JOB_PAUSED },
	{ JOB_PAUSING, JOB_EV_DONE, JOB_SUCCEEDED },
	{ JOB_PAUSING, JOB_EV_FAIL, JOB_FAILED },
	{ JOB_PAUSING, JOB_EV_CANCEL, JOB_CANCELLING },
	{ JOB_PAUSING, JOB_EV_TIMEOUT, JOB_TIMED_OUT },

	{ JOB_PAUSED, JOB_EV_RESUME, JOB_QUEUED },
	{ JOB_PAUSED, JOB_EV_CANCEL, JOB_CANCELLED },

	{ JOB_CANCELLING, JOB_EV_STARTED, JOB_CANCELLING },
	{ JOB_CANCELLING, JOB_EV_STOPPED, JOB_CANCELLED },
	{ JOB_CANCELLING, JOB_EV_LOST, JOB_CANCELLED },
	{ JOB_CANCELLING, JOB_EV_FAIL, JOB_CANCELLED },
	{ JOB_CANCELLING, JOB_EV_TIMEOUT, JOB_CANCELLED },
	{ JOB_CANCELLING, JOB_EV_DONE, JOB_SUCCEEDED },

	{ JOB_INTERRUPTED, JOB_EV_REQUEUE, JOB_QUEUED },
	{ JOB_INTERRUPTED, JOB_EV_GIVE_UP, JOB_FAILED },
	{ JOB_INTERRUPTED, JOB_EV_CANCEL, JOB_CANCELLED },
	{ JOB_INTERRUPTED, JOB_EV_PAUSE, JOB_PAUSED },
};

static const struct {
	const char *name;
	bool terminal, occupies;
} states[JOB_N_STATES] = {
#define X(id, text, ends, works) [JOB_##id] = { .name = text, .terminal = ends, .occupies = works },
	JOB_STATES(X)
#undef X
};

static const char *const events[JOB_N_EVENTS] = {
#define X(id, text) [JOB_EV_##id] = text,
	JOB_EVENTS(X)
#undef X
};

const char *job_state_name(enum job_state s)
{
	TD_ASSERT((unsigned)s < JOB_N_STATES);
	return states[s].name;
}

bool job_state_parse(const char *name, enum job_state *out)
{
	for (int s = 0; s < JOB_N_STATES; s++) {
		if (strcmp(name, states[s].name))
			continue;
		*out = (enum job_state)s;
		return true;
	}
	return false;
}

bool job_state_terminal(enum job_state s)
{
	TD_ASSERT((unsigned)s < JOB_N_STATES);
	return states[s].terminal;
}

bool job_state_occupies(enum job_state s)
{
	TD_ASSERT((unsigned)s < JOB_N_STATES);
	return states[s].occupies;
}

const char *job_event_name(enum job_event e)
{
	TD_ASSERT((unsigned)e < JOB_N_EVENTS);
	return events[e];
}

bool job_next_state(enum job_state from, enum job_event event, enum job_state *to)
{
	for (size_t i = 0; i < TD_COUNT(job_moves); i++) {
		if (job_moves[i].from != from || job_moves[i].event != event)
			continue;
		*to = job_moves[i].to;
		return true;
	}
	return false;
}

bool job_external(const struct job *j)
{
	return j->kind && !strcmp(j->kind, "external");
}

void job_release(struct job *j)
{
	char *owned[] = { j->reason, j->detail, j->name, j->project, j->owner, j->notes, j->tags, j->spec, j->checked,
		j->summary, j->error, j->engine, j->phase, j->kind, j->sweep, j->params, j->parent, j->warnings };

	for (size_t i = 0; i < TD_COUNT(owned); i++)
		mem_free(owned[i]);
	*j = (struct job){ 0 };
}
