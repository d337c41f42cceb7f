/* The small grammars of HTTP: see text.h. */
#include "http/text.h"
#include "base/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_decode(const char *s, size_t n, bool plus, char *out, size_t room)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (at + 1 >= room)
			return false;
		if (c == '%') {
			int high = i + 2 < n ? hex_digit(s[i + 1]) : -1, low = i + 2 < n ? hex_digit(s[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (!c)
			return false;
		out[at++] = c;
	}
	out[at] = '\0';
	return utf8_valid(out, at);
}

/* Digits at *P as a number; false: there are none, or too many for an int64. */
static bool read_digits(const char **p, int64_t *out)
{
	const char *start = *p;

	for (*out = 0; **p >= '0' && **p <= '9'; ++*p) {
		if (*p - start >= 18)
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return *p > start;
}

enum range text_range(const char *header, int64_t total, int64_t *first, int64_t *n)
{
	const char *p = header;
	int64_t low = 0, high = total - 1;

	if (!header || strncasecmp(header, "bytes=", 6) != 0)
		return RANGE_NONE;
	p += 6;
	if (*p == '-') { /* the last so many */
		p++;
		if (!read_digits(&p, &high) || *p)
			return RANGE_NONE;
		if (high == 0 || total == 0)
			return RANGE_UNSATISFIABLE;
		low = high > total ? 0 : total - high;
		high = total - 1;
	} else {
		bool open;

		if (!read_digits(&p, &low) || *p++ != '-')
			return RANGE_NONE;
		open = !*p;
		if (!open && (!read_digits(&p, &high) || *p || high < low))
			return RANGE_NONE;
		if (low >= total)
			return RANGE_UNSATISFIABLE;
		if (high >= total)
			high = total - 1;
	}
	*first = low;
	*n = high - low + 1;
	return RANGE_PART;
}

bool text_etag_matches(const char *header, const char *etag)
{
	size_t n = strlen(etag);

	while (header && *header) {
		header += strspn(header, " \t,");
		if (*header == '*')
			return true;
		if (!strncmp(header, "W/", 2)) /* If-None-Match compares weakly */
			header += 2;
		if (!strncmp(header, etag, n) && (!header[n] || strchr(" \t,", header[n])))
			return true;
		header += strcspn(header, ",");
	}
	return false;
}

bool text_cookie(const char *header, const char *name, char *out, size_t room)
{
	size_t n_name = strlen(name);

	while (header && *header) {
		size_t n;

		header += strspn(header, " \t;");
		n = strcspn(header, ";");
		if (n > n_name && !strncmp(header, name, n_name) && header[n_name] == '=') {
			const char *value = header + n_name + 1;

			n -= n_name + 1;
			while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
				n--;
			if (n >= room)
				return false;
			memcpy(out, value, n);
			out[n] = '\0';
			return true;
		}
		header += n;
	}
	return false;
}

bool text_host(const char *header, char *out, size_t room)
{
	const char *start = header, *end;
	size_t n;

	if (!header)
		return false;
	if (*header == '[') {
		start = header + 1;
		end = strchr(start, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		header = end + 1;
	} else {
		end = header + strcspn(header, ":");
		header = end;
	}
	if (*header == ':' && (!header[1] || header[1 + strspn(header + 1, "0123456789")]))
		return false;
	n = (size_t)(end - start);
	if (!n || n >= room)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)start[i]) && !strchr(".-_:%", start[i]))
			return false;
		out[i] = (char)tolower((unsigned char)start[i]);
	}
	out[n] = '\0';
	return true;
}

double text_accept(const char *header, const char *media_type, bool exact)
{
	size_t n_major = strcspn(media_type, "/") + 1;
	double best = 0, best_weight = 0;

	if (!header)
		return exact ? 0 : 1;
	while (*header) {
		size_t n, n_entry;
		double q = 1, weight = 0;
		const char *parameter;

		header += strspn(header, " \t,");
		n_entry = strcspn(header, ",");
		n = strcspn(header, ",; \t");
		if (n == strlen(media_type) && !strncasecmp(header, media_type, n))
			weight = 3;
		else if (n == n_major + 1 && !strncasecmp(header, media_type, n_major) && header[n_major] == '*')
			weight = exact ? 0 : 2;
		else if (n == 3 && !strncmp(header, "*/*", 3))
			weight = exact ? 0 : 1;
		parameter = memmem(header, n_entry, ";q=", 3);
		if (!parameter)
			parameter = memmem(header, n_entry, "; q=", 4);
		if (parameter)
			q = strtod(strchr(parameter, '=') + 1, NULL);
		if (weight > best_weight) { /* the most specific entry decides */
			best_weight = weight;
			best = q >= 0 && q <= 1 ? q : 0;
		}
		header += n_entry;
	}
	return best;
}

bool text_media_type_is(const char *content_type, const char *media_type)
{
	size_t n = strlen(media_type);

	return content_type && !strncasecmp(content_type, media_type, n) &&
	       (!content_type[n] || strchr("; \t", content_type[n]));
}

bool text_in_list(const char *list, const char *name)
{
	size_t n_name = strlen(name);

	while (list && *list) {
		size_t n;

		list += strspn(list, " \t,");
		n = strcspn(list, " \t,");
		if (n == n_name && n && !strncasecmp(list, name, n))
			return true;
		list += n;
	}
	return false;
}

bool text_same_secret(const char *a, const char *b)
{
	size_t n = strlen(a);
	volatile unsigned char different = n != strlen(b);

	for (size_t i = 0; i < n; i++)
		different |= (unsigned char)(a[i] ^ b[different & 1 ? 0 : i]);
	return !different;
}
