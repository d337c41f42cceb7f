/* The small grammars of HTTP: percent-encoding, Range, ETag lists, cookies, Host, Accept.
 *
 * Pure functions over text that a stranger sent; nothing here allocates, and none trusts its input. */
#ifndef HTTP_TEXT_H
#define HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decode %XX (and '+' as a space when PLUS) of N bytes of S into OUT, zero-terminated.  False: a broken escape, a zero
 * byte, bytes that are not UTF-8, or ROOM is too small. */
bool text_decode(const char *s, size_t n, bool plus, char *out, size_t room);

/* What a Range header asks for of TOTAL bytes.  Several ranges, another unit or nonsense are ignored, as RFC 9110
 * allows. */
enum range { RANGE_NONE, RANGE_PART, RANGE_UNSATISFIABLE };
enum range text_range(const char *header, int64_t total, int64_t *first, int64_t *n);

/* Whether an If-None-Match or If-Range list names ETAG (with its quotes); "*" names every one. */
bool text_etag_matches(const char *header, const char *etag);

/* The value of cookie NAME.  False: absent, or longer than ROOM. */
bool text_cookie(const char *header, const char *name, char *out, size_t room);

/* Host header without its port, lower-case, brackets off: "[::1]:80" -> "::1".  False: it is malformed. */
bool text_host(const char *header, char *out, size_t room);

/* Quality (0..1) that an Accept header gives to MEDIA_TYPE ("text/csv"); wildcards count unless EXACT. */
double text_accept(const char *header, const char *media_type, bool exact);

/* Whether a Content-Type is MEDIA_TYPE, whatever its parameters. */
bool text_media_type_is(const char *content_type, const char *media_type);

/* Whether NAME is one of the comma-separated entries of LIST, ignoring case and spaces. */
bool text_in_list(const char *list, const char *name);

/* Compare secrets in a time that does not depend on where they differ. */
bool text_same_secret(const char *a, const char *b);

#endif
