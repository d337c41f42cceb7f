/* A list of faults: see fault.h. */
#include "base/fault.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void faults_init(struct faults *f)
{
	f->n = f->n_found = 0;
}

void faults_release(struct faults *f)
{
	for (size_t i = 0; i < f->n; i++) {
		mem_free(f->items[i].pointer);
		mem_free(f->items[i].detail);
	}
	faults_init(f);
}

void faults_add(struct faults *f, const char *pointer, const char *fmt, ...)
{
	char detail[700];
	va_list ap;

	f->n_found++;
	if (f->n == FAULTS_MOST)
		return;
	va_start(ap, fmt);
	vsnprintf(detail, sizeof detail, fmt, ap);
	va_end(ap);
	f->items[f->n++] = (struct fault){ mem_strdup(pointer), mem_strdup(detail) };
}

#define NAME_MOST 64

/* Levenshtein's distance, letters compared without case. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MOST + 1], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t substitute = diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);

			diagonal = row[j];
			row[j] = TD_MIN(substitute, TD_MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[n];
}

const char *nearest_name(const char *name, const char *const *names, size_t n_names)
{
	const char *best = NULL;
	size_t best_distance = strlen(name) / 3 + 2; /* a hint must share most of its letters with the name */

	if (strlen(name) > NAME_MOST)
		return NULL;
	for (size_t i = 0; i < n_names; i++) {
		size_t d = strlen(names[i]) > NAME_MOST ? best_distance : distance(name, names[i]);
		if (d < best_distance) {
			best_distance = d;
			best = names[i];
		}
	}
	return best;
}
