/* Problems: errors for the reader, as RFC 9457 (application/problem+json) has them. */
#ifndef HTTP_PROBLEM_H
#define HTTP_PROBLEM_H

#include "base/json.h"

/* {type, title, status, detail, instance}; DETAIL may be NULL. */
cJSON *problem_create(int code, const char *type, const char *title, const char *detail, const char *instance);
/* Append to its errors[]; line and column are left out where they are 0. */
void problem_add(cJSON *problem, const char *pointer, int line, int column, const char *detail);

#endif
