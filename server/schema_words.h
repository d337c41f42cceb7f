/* What a schema says, in words, for the faults that schema.c finds; nobody else includes it.  ROOT is the whole schema,
 * in which references are looked up. */
#ifndef SCHEMA_WORDS_H
#define SCHEMA_WORDS_H

#include "base/buf.h"
#include "base/json.h"

#define NAMES_MOST 128 /* alternatives that a hint chooses from */

const char *schema_type_of(const cJSON *v);            /* "object", "number" ... */
bool schema_is_type(const cJSON *v, const char *type); /* "integer" too */
/* The value for a message: a scalar as it is, shortened; of the others the kind.  Returns OUT. */
const char *schema_show(const cJSON *v, char *out, size_t room);
/* Follow $ref ("#/$defs/layer").  NULL: it leads nowhere. */
const cJSON *schema_resolve(const cJSON *root, const cJSON *schema);
/* The list of a union's branches, or NULL; and the name that tells an object branch from its sisters
 * (properties.type.const). */
const cJSON *schema_branches(const cJSON *schema);
const char *schema_branch_name(const cJSON *branch);
/* Every name that a union knows, from its object branches and the enums of its string branches.  Returns how many. */
size_t schema_names(const cJSON *root, const cJSON *schema, const char **names, size_t most);
/* "did you mean "conv2d"?" or, where nothing is near, "known are a, b, c". */
void schema_hint(const char *name, const char *const *names, size_t n, char *out, size_t room);
/* What SCHEMA wants: "an integer >= 1", "one of "a", "b"", "a string or an object". */
void schema_describe(const cJSON *root, const cJSON *schema, struct buf *out);

/* Whether schema.c knows every keyword in SCHEMA, and every reference leads somewhere; if not, E. */
td_status schema_known(const cJSON *root, const cJSON *schema, struct err *e);

#endif
