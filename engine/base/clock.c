/* Time and sortable ids: see clock.h. */
#include "base/clock.h"
#include "base/err.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

int64_t clock_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_monotonic_ms(void)
{
	return clock_monotonic_ns() / 1000000;
}

void clock_text(int64_t ms, char out[CLOCK_TEXT])
{
	time_t seconds = (time_t)(ms / 1000);
	char tail[8];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(out, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(tail, sizeof tail, ".%03uZ", (unsigned)(ms % 1000) % 1000);
	memcpy(out + 19, tail, 6);
}

void random_bytes(void *out, int n_bytes)
{
	if (getrandom(out, (size_t)n_bytes, 0) != n_bytes)
		TD_BUG("getrandom failed");
}

void ulid_make(char out[ULID_TEXT])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int64_t last_ms;
	static uint8_t last[10];
	uint8_t bytes[10];
	int64_t ms;

	pthread_mutex_lock(&lock);
	ms = clock_now_ms();
	if (ms > last_ms) {
		last_ms = ms;
		random_bytes(last, sizeof last);
		last[0] &= 0x7f; /* room to count up */
	} else {
		for (int i = 9; i >= 0 && ++last[i] == 0; i--)
			;
	}
	ms = last_ms;
	memcpy(bytes, last, sizeof bytes);
	pthread_mutex_unlock(&lock);
	for (int i = 9; i >= 0; i--, ms >>= 5)
		out[i] = digits[ms & 31];
	for (int half = 0; half < 2; half++) {
		uint64_t v = 0;
		for (int i = 0; i < 5; i++)
			v = v << 8 | bytes[half * 5 + i];
		for (int i = 7; i >= 0; i--, v >>= 5)
			out[10 + half * 8 + i] = digits[v & 31];
	}
	out[26] = '\0';
}
