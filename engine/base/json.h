/* JSON from outside, made safe, and checked getters.  The only includer of cJSON; everybody else includes this.
 *
 * cJSON accepts trailing bytes, duplicate keys, \u0000, broken UTF-8 and integers that a double cannot hold; json_parse
 * refuses all of these before or after cJSON has seen the text, and says where. */
#ifndef TD_BASE_JSON_H
#define TD_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdint.h>
#include "base/fault.h"

#define JSON_DEPTH_MOST   64                 /* nesting; a job spec needs about 12 */
#define JSON_INTEGER_MOST 9007199254740991.0 /* 2^53 - 1: the last integer whose neighbours a double can tell apart */

/* Parse N bytes.  On failure returns NULL and sets E ("line 3, column 7: ...").  The tree is the caller's
 * (cJSON_Delete). */
cJSON *json_parse(const char *text, size_t n, struct err *e);

/* Line and column, from 1, of the value at POINTER in TEXT (which json_parse accepted); of the nearest existing parent
 * if there is no such value.  False: TEXT has no such place at all. */
bool json_locate(const char *text, size_t n, const char *pointer, int *line, int *column);

/* Compact text, one allocation (mem_free).  Numbers print so that they read back as the same double. */
char *json_print(const cJSON *v);
/* "NaN", "Infinity" or "-Infinity": what V, which is not finite, is called wherever we write it. */
const char *json_nonfinite(double v);
/* The shortest decimal text that reads back as V; or such a name. */
const char *json_shortest(double v, char out[32]);
/* A number, or such a name as a string: JSON has no such numbers. */
cJSON *json_number(double v);
/* The reverse of json_number.  False: V is neither. */
bool json_to_number(const cJSON *v, double *out);

/* Members by name, case-sensitive.  The defaults answer for an absent member or one of another type. */
const cJSON *json_get(const cJSON *object, const char *name);
const char *json_string(const cJSON *object, const char *name, const char *otherwise);
double json_double(const cJSON *object, const char *name, double otherwise);
int64_t json_int(const cJSON *object, const char *name, int64_t otherwise);
bool json_bool(const cJSON *object, const char *name, bool otherwise);
/* The value at an RFC 6901 pointer, or NULL. */
const cJSON *json_at(const cJSON *root, const char *pointer);
/* Put V (taken in any case) at POINTER: a member is replaced or added, an element replaced.  What it lies in must be
 * there, else false. */
bool json_set_at(cJSON *root, const char *pointer, cJSON *v);
/* Take the member at POINTER away; what is not there stays away.  False: it would lie in no object. */
bool json_remove_at(cJSON *root, const char *pointer);
/* Escape NAME for use as one token of a pointer ("~" and "/"), into OUT. */
void json_pointer_token(const char *name, char *out, size_t size);
bool json_is_integer(const cJSON *v);
/* Whether N bytes are well-formed UTF-8 (no overlong forms, no surrogates). */
bool utf8_valid(const char *text, size_t n);

#endif
