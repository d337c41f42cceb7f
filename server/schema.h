/* A validator for JSON Schema 2020-12: the subset in which our own schemas are written.
 *
 * One walk does two jobs: it collects every fault of a document, with pointer, value, expectation and a hint, and it
 * builds a copy in which all defaults are filled in.  Unions are told apart by properties.type.const; a string that
 * stands for an object without options ("relu") becomes that object where a branch for it exists, so the copy says
 * every constant in force. */
#ifndef SCHEMA_H
#define SCHEMA_H

#include "base/json.h"

struct schema;

/* Read a schema.  A keyword that the validator does not know is TD_UNSUPPORTED: it would silently check nothing. */
td_status schema_create(const char *text, size_t n, struct schema **out, struct err *e);
void schema_free(struct schema *s);

/* Check DOCUMENT; faults are added to F.  Returns the copy with defaults (cJSON_Delete), complete only when F stayed
 * empty. */
cJSON *schema_check(const struct schema *s, const cJSON *document, struct faults *f);
/* The same with the schema that stands at PLACE ("/$defs/external") of S, which must be there. */
cJSON *schema_check_as(const struct schema *s, const char *place, const cJSON *document, struct faults *f);

#endif
