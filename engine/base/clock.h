/* Time and sortable ids. */
#ifndef TD_BASE_CLOCK_H
#define TD_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_TEXT 25 /* "2026-01-02T03:04:05.678Z" and the zero byte */
#define ULID_TEXT  27 /* 26 characters of Crockford's base 32 and the zero byte */

int64_t clock_now_ms(void);       /* milliseconds since 1970, UTC */
int64_t clock_monotonic_ms(void); /* for deadlines and durations */
int64_t clock_monotonic_ns(void);
void clock_text(int64_t ms, char out[CLOCK_TEXT]); /* RFC 3339 UTC with milliseconds */

/* 80 random bits behind 48 bits of time; ids made by one process sort in the order in which they were made. */
void ulid_make(char out[ULID_TEXT]);
/* Fill with bytes of the operating system's generator. */
void random_bytes(void *out, int n_bytes);

#endif
