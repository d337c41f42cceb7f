/* A store in a temporary folder, and one-line commands, for the tests of the store. */
#ifndef TEST_STORE_H
#define TEST_STORE_H

#include "base/file.h"
#include "base/log.h"
#include "store/internal.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct box {
	char folder[64];
	struct store *store;
	struct store_reader *reader;
	struct err err; /* of the last command */
};

static inline void box_open(struct box *b)
{
	struct err e = { 0 };

	if (!b->folder[0]) {
		snprintf(b->folder, sizeof b->folder, "/tmp/tandem-test-XXXXXX");
		assert_non_null(mkdtemp(b->folder));
	}
	if (store_open(b->folder, &b->store, &e) != TD_OK || store_reader_open(b->store, &b->reader, &e) != TD_OK)
		fail_msg("%s", e.text);
}

static inline void box_shut(struct box *b)
{
	store_reader_close(b->reader);
	store_close(b->store);
	b->reader = NULL;
	b->store = NULL;
}

static inline void box_close(struct box *b)
{
	box_shut(b);
	assert_int_equal(file_remove_tree(b->folder, NULL), TD_OK);
	b->folder[0] = '\0';
}

static inline int setup_box(void **state)
{
	struct box *b = MEM_NEW(struct box);

	log_init("test", LOG_ERROR + 1);
	box_open(b);
	*state = b;
	return 0;
}

static inline int teardown_box(void **state)
{
	box_close(*state);
	mem_free(*state);
	return 0;
}

#define box_test(name) cmocka_unit_test_setup_teardown(name, setup_box, teardown_box)

/* ---- Commands --------------------------------------------------------------------------------------------------- */

struct call {
	struct store_cmd cmd;
	td_status (*fn)(struct store_tx *tx, void *arg, struct err *e);
	void *arg;
};

static inline td_status run_call(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct call *c = (struct call *)cmd;

	return c->fn(tx, c->arg, e);
}

/* Run FN in a command of its own; the outcome is in B->err too. */
static inline td_status do_tx(struct box *b, td_status (*fn)(struct store_tx *tx, void *arg, struct err *e), void *arg)
{
	struct call c = { .cmd.run = run_call, .fn = fn, .arg = arg };
	td_status status = store_write(b->store, &c.cmd);

	b->err = c.cmd.err;
	return status;
}

static inline td_status fn_insert(struct store_tx *tx, void *arg, struct err *e)
{
	return store_job_insert(tx, arg, e);
}

/* A queued job with NAME and SPEC; its id goes to ID. */
static inline void add_job_with(struct box *b, const char *name, const char *spec, char id[ULID_TEXT])
{
	struct job j = { .state = JOB_QUEUED,
		.name = (char *)name,
		.project = (char *)"p",
		.owner = (char *)"o",
		.spec = (char *)spec,
		.threads = 1,
		.retries = 2 };

	assert_int_equal(do_tx(b, fn_insert, &j), TD_OK);
	memcpy(id, j.id, ULID_TEXT);
}

static inline void add_job(struct box *b, char id[ULID_TEXT])
{
	add_job_with(b, "n", "{}", id);
}

struct event_args {
	const char *id;
	enum job_event event;
};

static inline td_status fn_event(struct store_tx *tx, void *arg, struct err *e)
{
	const struct event_args *a = arg;

	return store_job_event(tx, a->id, a->event, "test", NULL, NULL, e);
}

static inline td_status happen(struct box *b, const char *id, enum job_event event)
{
	return do_tx(b, fn_event, &(struct event_args){ id, event });
}

struct points_args {
	const char *id, *series;
	const struct point *points;
	int n;
};

static inline td_status fn_points(struct store_tx *tx, void *arg, struct err *e)
{
	const struct points_args *a = arg;

	return store_points_add(tx, a->id, a->series, a->points, a->n, e);
}

static inline td_status add_points(struct box *b, const char *id, const char *series, const struct point *points, int n)
{
	return do_tx(b, fn_points, &(struct points_args){ id, series, points, n });
}

struct step_args {
	const char *id;
	int64_t step;
};

static inline td_status fn_rewind(struct store_tx *tx, void *arg, struct err *e)
{
	const struct step_args *a = arg;

	return store_rewind(tx, a->id, a->step, e);
}

static inline td_status fn_progress(struct store_tx *tx, void *arg, struct err *e)
{
	const struct step_args *a = arg;

	return store_job_progress(tx, a->id, a->step, 100, "train", 1, e);
}

struct log_args {
	const char *id, *text;
};

static inline td_status fn_log(struct store_tx *tx, void *arg, struct err *e)
{
	const struct log_args *a = arg;

	return store_log_append(tx, a->id, 1767225600000, "info", a->text, e);
}

#endif
