/* Options: one table row states everything about one option, and everything else is derived from the rows.
 *
 * Layers, initialisers, losses, optimizers, transforms and the sections of a job's spec all describe themselves with
 * these rows.  From a row come the checked reading of a document into a plain struct (opt_read, which finds every fault
 * and not only the first) and the JSON Schema (opt_schema) that the daemon embeds, so the two cannot disagree. */
#ifndef TD_NN_OPTIONS_H
#define TD_NN_OPTIONS_H

#include "base/arena.h"
#include "base/json.h"

enum opt_kind {
	OPT_INT,           /* int64_t */
	OPT_FLOAT,         /* double */
	OPT_BOOL,          /* bool */
	OPT_STRING,        /* const char *, at most `high` characters, or one of `names` where there are any */
	OPT_ENUM,          /* int: index into `names` */
	OPT_PAIR,          /* int64_t[2]; a single integer stands for both, or where `alone`, leaves the second 0; words
			    * of `names` (NULL: none) are -1, -2, ... for both */
	OPT_INTS,          /* struct opt_ints, `least` to `most` of them; `alone`: or one integer */
	OPT_FLOATS2,       /* double[2] */
	OPT_FLOATS,        /* struct opt_floats, 1 to `most` of them */
	OPT_STRINGS,       /* struct opt_strings, up to `most` of up to `high` characters; `alone`: or one string */
	OPT_INT_OR_WORD,   /* int64_t; words of `names` are -1, -2, ... */
	OPT_COUNT_OR_PART, /* double: an integer, or a fraction between 0 and 1 */
	OPT_CHOICE,        /* struct opt_choice: one member of `family` */
	OPT_CHOICES,       /* struct opt_choices: `least` to `most` members of `family` */
	OPT_CHOICE_LISTS,  /* struct opt_choice_lists: `least` to `most` lists of members of `family`; one may be empty
			    */
	OPT_SECTION,       /* the struct of `section`, in place */
	OPT_SECTIONS,      /* struct opt_sections: `least` to `most` structs of `section` */
	OPT_JSON,          /* const cJSON *: any value, borrowed from the document; no default but NULL */
};

struct opt {
	const char *name;
	enum opt_kind kind;
	size_t at;         /* offset of the value in the struct that is filled */
	const char *value; /* default as JSON text; NULL: none (the option is required, or absent means zeros) */
	const char *keras; /* the default instead where the document says "defaults": "keras"; NULL: VALUE */
	double low, high;  /* bounds of numbers; `high` also of a string's characters */
	bool above;        /* LOW itself is not allowed */
	bool below;        /* HIGH itself is not allowed */
	bool required;
	bool alone;               /* see OPT_PAIR, OPT_INTS, OPT_STRINGS */
	bool optional;            /* of OPT_SECTION: where it is absent nothing is filled in; its struct stays zeros */
	int least, most;          /* entries of a list */
	const char *const *names; /* of OPT_STRING, OPT_ENUM, OPT_PAIR and OPT_INT_OR_WORD; NULL-terminated */
	const struct opt_family *family;
	const struct opt_type *section;
	const char *like; /* an option of the same kind whose value the schema gives this one; a reading leaves zeros */
	const char *doc;  /* one sentence for the schema */
};

/* A named set of options, and the size of the struct that they fill. */
struct opt_type {
	const char *name;
	const char *doc;
	const struct opt *options;
	int n_options;
	size_t n_bytes;
	/* Options that torch asks for and that follow from the layer before; NULL: none, else NULL-terminated. */
	const char *const *inferred;
};

/* NAME, whose options are the ROWS of a struct of its own. */
#define OPT_TYPE_OF(type_name, rows, struct_of, text)                                                                  \
	{                                                                                                              \
		.name = #type_name, .doc = (text), .options = (rows), .n_options = TD_COUNT(rows),                     \
		.n_bytes = sizeof(struct struct_of)                                                                    \
	}
/* The same where rows and struct are called after it: NAME_opts and NAME_options. */
#define OPT_TYPE(type_name, text) OPT_TYPE_OF(type_name, type_name##_opts, type_name##_options, text)

/* Types of which a document chooses one: {"type": "conv2d", ...}, or just "relu" where nothing is required. */
struct opt_family {
	const char *name; /* "layer": also its place in the schema's $defs */
	const struct opt_type *const *types;
	int n_types;
	const struct opt_type *common; /* options that every member has besides its own, none required; NULL: none */
};

struct opt_choice {
	const struct opt_type *type;
	void *options; /* owned by the arena of the reading */
	void *common;  /* likewise; the struct of the family's common options, NULL where it has none */
};

struct opt_choices {
	struct opt_choice *items; /* owned by the arena */
	int n;
};

#define OPT_LIST_MOST 1000 /* members of each */

struct opt_choice_lists {
	struct opt_choices *items; /* owned by the arena */
	int n;
};

/* N structs of the section's n_bytes, one after the other. */
struct opt_sections {
	void *items; /* owned by the arena */
	int n;
};

struct opt_ints {
	int64_t *items; /* owned by the arena */
	int n;
};

struct opt_floats {
	double *items; /* owned by the arena */
	int n;
};

struct opt_strings {
	const char **items; /* owned by the arena */
	int n;
};

/* Read OBJECT (NULL: absent, all defaults) into OUT, TYPE's struct.  Its member "defaults", where TYPE has one, says
 * whose defaults stand in all that is below it.  What is wrong goes to FAULTS under POINTER; OUT is
 * whole in any case, with defaults where the document was wrong.  Strings and lists live in ARENA; what an OPT_JSON
 * says stays in the document. */
void opt_read(const struct opt_type *type, const cJSON *object, const char *pointer, void *out, struct arena *arena,
	struct faults *faults);
/* Likewise for an OBJECT that had all its options when it was stored.  Those that it lacks are younger, and get their
 * "value" whatever its "defaults" are: of a new option that is what things were before there was one. */
void opt_read_stored(
	const struct opt_type *type, const cJSON *object, void *out, struct arena *arena, struct faults *faults);

/* The schema of TYPE as an object.  What families it uses are added to DEFS, once each. */
cJSON *opt_schema(const struct opt_type *type, cJSON *defs);

#endif
