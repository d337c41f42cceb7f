/* Versions of files that are fetched: see version.h. */
#include "fetch/version.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool begins(const char *line, size_t n, const char *with)
{
	return n > strlen(with) && !strncasecmp(line, with, strlen(with));
}

void version_learn(char version[VERSION_TEXT], const char *line, size_t n)
{
	static const char etag[] = "etag:", changed[] = "last-modified:";
	size_t skip = 0;

	if (begins(line, n, "HTTP/"))
		*version = '\0';
	else if (begins(line, n, etag))
		skip = sizeof etag - 1;
	else if (begins(line, n, changed) && *version != '"')
		skip = sizeof changed - 1;
	if (!skip)
		return;
	while (skip < n && line[skip] == ' ')
		skip++;
	while (n > skip && (line[n - 1] == '\r' || line[n - 1] == '\n'))
		n--;
	/* A weak ETag is no promise of the same bytes. */
	if (n - skip < VERSION_TEXT && strncmp(line + skip, "W/", 2) != 0)
		snprintf(version, VERSION_TEXT, "%.*s", (int)(n - skip), line + skip);
}

bool version_differs(const char *a, const char *b)
{
	return *a == '"' && *b == '"' && strcmp(a, b) != 0;
}
