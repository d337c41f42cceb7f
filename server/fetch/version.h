/* What names the version of a file that a server sends: a strong ETag, or else the time of its last change. */
#ifndef FETCH_VERSION_H
#define FETCH_VERSION_H

#include <stdbool.h>
#include <stddef.h>

#define VERSION_TEXT 200 /* a longer one is not used, and the file not gone on from */

/* Learn from one LINE of an answer's head.  A redirect's head comes first, and what it said is forgotten. */
void version_learn(char version[VERSION_TEXT], const char *line, size_t n);
/* Whether bytes of A and B are certainly not of one file; an empty one says nothing. */
bool version_differs(const char *a, const char *b);

#endif
