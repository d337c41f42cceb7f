/* Statuses and messages.
 *
 * One table of statuses for the whole project, and one message object.  The caller owns the object and passes it as the
 * last argument; a function that fails fills it once and returns its status.  The first error wins: a later err_set on
 * an object that already holds one changes nothing, so a chain of calls may be checked once, at its end.
 *
 * A bug (a broken promise between two of our own functions) is not a status: TD_BUG prints and aborts. */
#ifndef TD_BASE_ERR_H
#define TD_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

/* X(name, default text).  Only the router knows which HTTP code each becomes. */
#define TD_STATUSES(X)                                                                                                 \
	X(OK, "ok")                                                                                                    \
	X(INVALID, "the request is not valid")                                                                         \
	X(SHAPE, "shapes do not fit")                                                                                  \
	X(DTYPE, "the element type does not fit")                                                                      \
	X(UNSUPPORTED, "this is not supported")                                                                        \
	X(UNAUTHORIZED, "a token is needed")                                                                           \
	X(FORBIDDEN, "this token may not do that")                                                                     \
	X(NOT_FOUND, "there is no such thing")                                                                         \
	X(CONFLICT, "this does not fit the present state")                                                             \
	X(TOO_LARGE, "this is larger than the limit")                                                                  \
	X(BUSY, "too much is under way; try again")                                                                    \
	X(UNAVAILABLE, "this is not available now")                                                                    \
	X(TIMEOUT, "this took too long")                                                                               \
	X(CANCELLED, "this was cancelled")                                                                             \
	X(NO_MEMORY, "there is not enough memory")                                                                     \
	X(NO_SPACE, "there is not enough disk space")                                                                  \
	X(IO, "reading or writing failed")                                                                             \
	X(CORRUPT, "the stored data is damaged")                                                                       \
	X(INTERNAL, "something went wrong inside")

typedef enum td_status {
#define X(name, text) TD_##name,
	TD_STATUSES(X)
#undef X
		TD_N_STATUSES
} td_status;

/* "INVALID", "SHAPE", ... */
const char *status_name(td_status s);
/* The default sentence of a status. */
const char *status_text(td_status s);

struct err {
	td_status status;
	char text[600]; /* one sentence or two: the wrong value, what was expected, the fix */
};

#define TD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Fill E unless it already holds an error (E may be NULL).  Returns S. */
td_status err_set(struct err *e, td_status s, const char *fmt, ...) TD_PRINTF(3, 4);
td_status err_vset(struct err *e, td_status s, const char *fmt, va_list ap);
/* Put "CONTEXT: " before the message that E holds.  Returns E's status. */
td_status err_wrap(struct err *e, const char *fmt, ...) TD_PRINTF(2, 3);
/* err_set with ": strerror(errno)" after the text; ENOSPC and EDQUOT become TD_NO_SPACE. */
td_status err_errno(struct err *e, const char *fmt, ...) TD_PRINTF(2, 3);
/* err_set with what FROM holds. */
td_status err_copy(struct err *e, const struct err *from);
void err_clear(struct err *e);

_Noreturn void td_bug(const char *file, int line, const char *fmt, ...) TD_PRINTF(3, 4);
#define TD_BUG(...) td_bug(__FILE__, __LINE__, __VA_ARGS__)
#define TD_ASSERT(cond)                                                                                                \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			TD_BUG("broken promise: " #cond);                                                              \
	} while (0)

#endif
