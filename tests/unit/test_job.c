/* The table of moves between the states of a job. */
#include "sched/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The specification, written a second time and in another form: for each state, what may happen to it and where it
 * leads. */
static const char *const expected[] = {
	"preparing: data_ready>queued data_failed>failed cancel>cancelled",
	"queued: data_gone>preparing begin>running assign>starting fail>failed cancel>cancelled pause>paused",
	"starting: started>running fail>failed lost>interrupted stopped>interrupted cancel>cancelling pause>pausing "
	"timeout>timed_out",
	"running: done>succeeded fail>failed lost>interrupted stopped>interrupted cancel>cancelling pause>pausing "
	"timeout>timed_out",
	"pausing: started>pausing stopped>paused lost>paused done>succeeded fail>failed cancel>cancelling "
	"timeout>timed_out",
	"paused: resume>queued cancel>cancelled",
	"cancelling: started>cancelling stopped>cancelled lost>cancelled fail>cancelled timeout>cancelled "
	"done>succeeded",
	"interrupted: requeue>queued give_up>failed cancel>cancelled pause>paused",
	"succeeded:",
	"failed:",
	"cancelled:",
	"timed_out:",
};

static void every_pair_moves_as_specified_or_is_refused(void **state)
{
	(void)state;
	for (int s = 0; s < JOB_N_STATES; s++) {
		const char *name = job_state_name((enum job_state)s), *line = NULL;
		char text[64];

		for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
			if (!strncmp(expected[i], name, strlen(name)) && expected[i][strlen(name)] == ':')
				line = expected[i] + strlen(name) + 1;
		assert_non_null(line);
		for (int v = 0; v < JOB_N_EVENTS; v++) {
			enum job_state to = JOB_N_STATES;
			const char *row;

			snprintf(text, sizeof text, " %s>", job_event_name((enum job_event)v));
			row = strstr(line, text);
			assert_int_equal(job_next_state((enum job_state)s, (enum job_event)v, &to), row != NULL);
			if (!row) {
				assert_int_equal(to, JOB_N_STATES); /* untouched */
				continue;
			}
			row += strlen(text);
			assert_int_equal(strcspn(row, " "), strlen(job_state_name(to)));
			assert_memory_equal(row, job_state_name(to), strcspn(row, " "));
		}
	}
}

static void a_terminal_state_is_never_left_by_a_random_walk(void **state)
{
	(void)state;
	srand(20260101);
	for (int walk = 0; walk < 2000; walk++) {
		enum job_state s = walk % 2 ? JOB_QUEUED : JOB_PREPARING;

		for (int i = 0; i < 200; i++) {
			enum job_state before = s;
			bool moved = job_next_state(s, (enum job_event)(rand() % JOB_N_EVENTS), &s);

			if (job_state_terminal(before))
				assert_false(moved);
			if (!moved)
				assert_int_equal(s, before);
		}
	}
}

/* Whether a terminal state can be reached from S within N moves. */
static bool reaches_an_end(enum job_state s, int n)
{
	if (job_state_terminal(s))
		return true;
	for (int v = 0; n > 0 && v < JOB_N_EVENTS; v++) {
		enum job_state to;

		if (job_next_state(s, (enum job_event)v, &to) && reaches_an_end(to, n - 1))
			return true;
	}
	return false;
}

static void every_state_reaches_a_terminal_one(void **state)
{
	(void)state;
	for (int s = 0; s < JOB_N_STATES; s++)
		assert_true(reaches_an_end((enum job_state)s, 3));
}

static void a_user_can_cancel_whatever_is_not_at_its_end(void **state)
{
	(void)state;
	for (int s = 0; s < JOB_N_STATES; s++) {
		enum job_state to;
		bool moved = job_next_state((enum job_state)s, JOB_EV_CANCEL, &to);

		if (job_state_terminal((enum job_state)s))
			assert_false(moved);
		else
			assert_true(moved || s == JOB_CANCELLING);
		/* With a worker it takes the worker's word; without one it is done at once. */
		if (moved)
			assert_int_equal(to, job_state_occupies((enum job_state)s) ? JOB_CANCELLING : JOB_CANCELLED);
	}
}

static void a_lost_worker_frees_every_state_that_occupies_one(void **state)
{
	(void)state;
	for (int s = 0; s < JOB_N_STATES; s++) {
		enum job_state to;
		bool moved = job_next_state((enum job_state)s, JOB_EV_LOST, &to);

		assert_int_equal(moved, job_state_occupies((enum job_state)s));
		if (moved)
			assert_false(job_state_occupies(to));
	}
}

static void names_parse_back_and_others_do_not(void **state)
{
	enum job_state s = JOB_PAUSED;

	(void)state;
	for (int i = 0; i < JOB_N_STATES; i++) {
		assert_true(job_state_parse(job_state_name((enum job_state)i), &s));
		assert_int_equal(s, i);
	}
	s = JOB_PAUSED;
	assert_false(job_state_parse("", &s));
	assert_false(job_state_parse("Running", &s));
	assert_false(job_state_parse("runnin", &s));
	assert_int_equal(s, JOB_PAUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_moves_as_specified_or_is_refused),
		cmocka_unit_test(a_terminal_state_is_never_left_by_a_random_walk),
		cmocka_unit_test(every_state_reaches_a_terminal_one),
		cmocka_unit_test(a_user_can_cancel_whatever_is_not_at_its_end),
		cmocka_unit_test(a_lost_worker_frees_every_state_that_occupies_one),
		cmocka_unit_test(names_parse_back_and_others_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
