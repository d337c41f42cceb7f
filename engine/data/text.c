/* Cutting text into tokens: see text.h. */
#include "data/text.h"
#include "base/mem.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static bool is_space(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || !c;
}

static bool is_in_word(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '\'' || c >= 0x80;
}

static bool is_continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

static void copy_lower(char *token, const char *from, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		token[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] - 'A' + 'a' : from[i]);
	token[n] = '\0';
}

/* How much of the N bytes at TEXT fits into a token without cutting a code point. */
static int64_t fitting(const char *text, int64_t n)
{
	int64_t most = TEXT_TOKEN_BYTES - 1;

	if (n <= most)
		return n;
	for (int back = 0; back < 3 && is_continuation((unsigned char)text[most]); back++)
		most--;
	return most;
}

bool text_next_word(const char *text, int64_t n, int64_t *at, char token[TEXT_TOKEN_BYTES])
{
	int64_t from = *at, to;

	while (from < n && is_space((unsigned char)text[from]))
		from++;
	for (to = from; to < n && to - from <= TEXT_TOKEN_BYTES && is_in_word((unsigned char)text[to]); to++)
		;
	if (to == from && to < n)
		to++;
	to = from + fitting(text + from, to - from);
	copy_lower(token, text + from, to - from);
	*at = to;
	return to > from;
}

/* Bytes of the code point at S, of which N are left; 0: it is no UTF-8. */
static int64_t code_point(const unsigned char *s, int64_t n)
{
	int64_t size = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	if (!size || size > n)
		return 0;
	for (int64_t i = 1; i < size; i++)
		if (!is_continuation(s[i]))
			return 0;
	/* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return size;
}

bool text_next_character(const char *text, int64_t n, int64_t *at, char token[TEXT_TOKEN_BYTES])
{
	int64_t size;

	if (*at >= n)
		return false;
	size = text[*at] ? code_point((const unsigned char *)text + *at, n - *at) : 0;
	memcpy(token, size ? text + *at : REPLACEMENT, size ? (size_t)size : sizeof REPLACEMENT - 1);
	token[size ? size : (int64_t)sizeof REPLACEMENT - 1] = '\0';
	*at += TD_MAX(size, 1);
	return true;
}

bool text_next_line(const char *text, int64_t n, int64_t *at, char token[TEXT_TOKEN_BYTES])
{
	const char *end;
	int64_t size;

	if (*at >= n)
		return false;
	end = memchr(text + *at, '\n', (size_t)(n - *at));
	size = end ? end - (text + *at) : n - *at;
	copy_lower(token, text + *at, fitting(text + *at, size)); /* the rest of an endless word says nothing new */
	*at += size + 1;
	return true;
}
