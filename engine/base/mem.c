/* Memory: see mem.h. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory(size_t n_bytes)
{
	fprintf(stderr, "out of memory: %zu bytes\n", n_bytes);
	abort();
}

void *mem_alloc(size_t n_bytes)
{
	void *p = calloc(1, n_bytes ? n_bytes : 1);

	if (!p)
		out_of_memory(n_bytes);
	return p;
}

void *mem_realloc(void *p, size_t n_bytes)
{
	p = realloc(p, n_bytes ? n_bytes : 1);
	if (!p)
		out_of_memory(n_bytes);
	return p;
}

char *mem_strndup(const char *s, size_t n)
{
	char *copy = mem_alloc(n + 1);

	memcpy(copy, s, n);
	return copy;
}

char *mem_strdup(const char *s)
{
	return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(0);
	return text;
}

void mem_free(void *p)
{
	free(p);
}

static bool told_to_fail(void)
{
	static atomic_long countdown;
	static atomic_bool known;

	if (!atomic_load(&known)) {
		const char *at = getenv("FAIL_AT");
		atomic_store(&countdown, at ? strtol(at, NULL, 10) : 0);
		atomic_store(&known, true);
	}
	return atomic_load(&countdown) > 0 && atomic_fetch_sub(&countdown, 1) == 1;
}

void *mem_try_alloc(size_t n_bytes)
{
	void *p = NULL;

	if (told_to_fail() || n_bytes > PTRDIFF_MAX - TD_ALIGN)
		return NULL;
	if (posix_memalign(&p, TD_ALIGN, n_bytes ? n_bytes : TD_ALIGN))
		return NULL;
	return p;
}
