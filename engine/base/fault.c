/* A list of faults: see fault.h. */
#include "base/fault.h"
#include "base/mem.h"

#include <stdint.h>
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

size_t name_distance(const char *a, const char *b)
{
	size_t rows[3][NAME_MOST + 1], n = strlen(b);
	size_t *above2 = rows[0], *above = rows[1], *row = rows[2];

	if (n > NAME_MOST || strlen(a) > NAME_MOST)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t *oldest = above2;

		above2 = above;
		above = row;
		row = oldest;
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			bool same = !strncasecmp(&a[i - 1], &b[j - 1], 1);

			row[j] = TD_MIN(above[j - 1] + !same, TD_MIN(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && !strncasecmp(&a[i - 1], &b[j - 2], 1) &&
				!strncasecmp(&a[i - 2], &b[j - 1], 1))
				row[j] = TD_MIN(row[j], above2[j - 2] + 1);
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
		size_t d = name_distance(name, names[i]);
		bool tie = best && d == best_distance &&
			   strlen(names[i]) == strlen(name); /* letters swapped, rather than lost */

		if (d < best_distance || tie) {
			best_distance = d;
			best = names[i];
		}
	}
	return best;
}
