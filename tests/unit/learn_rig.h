/* Choices of families, models and trainers from JSON, for the tests of learning. */
#ifndef TEST_LEARN_RIG_H
#define TEST_LEARN_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "nn/learn.h"

/* One member of a family, as a document chooses it. */
struct chosen {
	struct arena arena;
	struct faults faults;
	struct opt_choice choice;
};

/* TEXT is a name or an object, in a document with such DEFAULTS ("pytorch", "keras"); what is wrong with it stays in
 * FAULTS. */
static inline void chosen_read_as(
	struct chosen *c, const struct opt_family *family, const char *text, const char *defaults)
{
	static const char *const names[] = { "pytorch", "keras", NULL };
	struct test_document {
		struct opt_choice it;
		int defaults;
	} read;
	const struct opt rows[] = {
		{ .name = "it", .kind = OPT_CHOICE, .family = family, .doc = "" },
		{ .name = "defaults",
			.kind = OPT_ENUM,
			.at = offsetof(struct test_document, defaults),
			.names = names,
			.doc = "" },
	};
	struct opt_type type = { .name = "test", .options = rows, .n_options = 2, .n_bytes = sizeof read };
	char *document = mem_printf("{\"it\":%s,\"defaults\":\"%s\"}", text, defaults);
	cJSON *object = cJSON_Parse(document);

	assert_non_null(object);
	memset(c, 0, sizeof *c);
	arena_init(&c->arena);
	faults_init(&c->faults);
	memset(&read, 0, sizeof read);
	opt_read(&type, object, "", &read, &c->arena, &c->faults);
	c->choice = read.it;
	cJSON_Delete(object);
	mem_free(document);
}

static inline void chosen_read(struct chosen *c, const struct opt_family *family, const char *text)
{
	chosen_read_as(c, family, text, "pytorch");
}

static inline void chosen_init_as(
	struct chosen *c, const struct opt_family *family, const char *text, const char *defaults)
{
	chosen_read_as(c, family, text, defaults);
	if (c->faults.n_found)
		fail_msg("%s: %s", text, c->faults.items[0].detail);
}

static inline void chosen_init(struct chosen *c, const struct opt_family *family, const char *text)
{
	chosen_init_as(c, family, text, "pytorch");
}

static inline void chosen_release(struct chosen *c)
{
	arena_release(&c->arena);
	faults_release(&c->faults);
}

static inline void assert_near(double got, double want, double tolerance, const char *what)
{
	if (!(fabs(got - want) <= tolerance * (1 + fabs(want))) && !(isnan(got) && isnan(want)))
		fail_msg("%s is %.17g, but should be %.17g", what, got, want);
}

#endif
