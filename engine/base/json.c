/* JSON from outside: see json.h.
 *
 * One strict scanner over the text does three jobs: it refuses what cJSON would let pass, it gives every refusal a line
 * and a column, and it finds the place of a JSON pointer again when a fault in a parsed document must be shown to its
 * author. */
#include "base/json.h"
#include "base/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* some editors put one in front */

struct scan {
	const char *text, *end, *at;
	struct err *err;
	const char *wanted; /* rest of the pointer looked for, or NULL */
	const char *found;  /* deepest place on the way to it */
	bool found_whole;   /* ... which is the place itself */
};

static void place_of(const char *text, const char *at, int *line, int *column)
{
	*line = *column = 1;
	for (; text < at; text++) {
		if (*text == '\n') {
			++*line;
			*column = 1;
		} else if (((unsigned char)*text & 0xc0) != 0x80) {
			++*column; /* a character, not a byte */
		}
	}
}

static bool refuse(struct scan *s, const char *at, const char *what)
{
	int line, column;

	place_of(s->text, at, &line, &column);
	err_set(s->err, TD_INVALID, "line %d, column %d: %s", line, column, what);
	return false;
}

static void skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

/* Length of the well-formed UTF-8 sequence at P, or 0 (overlong forms, surrogates and values past U+10FFFF are not). */
static int utf8_length(const unsigned char *p, const unsigned char *end)
{
	static const struct {
		unsigned char first, last, low, high; /* lead byte from..to, second byte from..to */
		int n;
	} rows[] = { { 0x00, 0x7f, 0, 0, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 } };

	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		if (*p < rows[i].first || *p > rows[i].last)
			continue;
		if (end - p < rows[i].n || (rows[i].n > 1 && (p[1] < rows[i].low || p[1] > rows[i].high)))
			return 0;
		for (int k = 2; k < rows[i].n; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return rows[i].n;
	}
	return 0;
}

bool utf8_valid(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + n;

	while (p < end) {
		int length = utf8_length(p, end);
		if (!length)
			return false;
		p += length;
	}
	return true;
}

static int hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef", *d = strchr(digits, p[i] | 0x20);
		if (!d || !p[i] || (p[i] < '0'))
			return -1;
		v = v * 16 + (int)(d - digits);
	}
	return v;
}

static bool scan_escape(struct scan *s)
{
	int high, low;

	if (s->end - s->at < 2 || !strchr("\"\\/bfnrtu", s->at[1]) || !s->at[1])
		return refuse(s, s->at, "this escape is not one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
	if (s->at[1] != 'u') {
		s->at += 2;
		return true;
	}
	high = hex4(s->at + 2, s->end);
	if (high < 0)
		return refuse(s, s->at, "\\u needs four hexadecimal digits");
	if (high == 0)
		return refuse(s, s->at, "\\u0000 is not allowed in a string");
	if (high >= 0xdc00 && high <= 0xdfff)
		return refuse(s, s->at, "the second half of a surrogate pair stands alone");
	if (high >= 0xd800 && high <= 0xdbff) {
		low = s->end - s->at > 7 && s->at[6] == '\\' && s->at[7] == 'u' ? hex4(s->at + 8, s->end) : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return refuse(s, s->at, "the first half of a surrogate pair stands alone");
		s->at += 6;
	}
	s->at += 6;
	return true;
}

static bool scan_string(struct scan *s)
{
	const char *start = s->at++;

	while (s->at < s->end && *s->at != '"') {
		if (*s->at == '\\') {
			if (!scan_escape(s))
				return false;
			continue;
		}
		if ((unsigned char)*s->at < 0x20)
			return refuse(
				s, s->at, "a control character in a string must be escaped (a line break is \\n)");
		int n = utf8_length((const unsigned char *)s->at, (const unsigned char *)s->end);
		if (!n)
			return refuse(s, s->at, "this is not valid UTF-8");
		s->at += n;
	}
	if (s->at == s->end)
		return refuse(s, start, "this string has no end");
	s->at++;
	return true;
}

static size_t skip_digits(struct scan *s)
{
	const char *start = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return (size_t)(s->at - start);
}

static bool scan_number(struct scan *s)
{
	const char *start = s->at;
	bool integer = true;
	double v;

	s->at += *s->at == '-';
	if (s->at < s->end && *s->at == '0')
		s->at++;
	else if (!skip_digits(s))
		return refuse(s, start, "this is not a JSON value");
	if (s->at < s->end && *s->at == '.') {
		integer = false;
		s->at++;
		if (!skip_digits(s))
			return refuse(s, start, "a decimal point needs digits behind it");
	}
	if (s->at < s->end && (*s->at | 0x20) == 'e') {
		integer = false;
		s->at++;
		s->at += s->at < s->end && (*s->at == '+' || *s->at == '-');
		if (!skip_digits(s))
			return refuse(s, start, "an exponent needs digits");
	}
	if (s->at - start > 60)
		return refuse(s, start, "this number has more digits than a float64 can hold");
	v = strtod(start, NULL); /* the text ends in a zero byte or in what ends a number */
	if (!isfinite(v))
		return refuse(s, start, "this number is too large for a float64");
	if (fabs(v) > JSON_INTEGER_MOST && integer)
		return refuse(s, start,
			"integers beyond 9007199254740991 lose digits; write it as a string or with an exponent");
	return true;
}

static bool scan_word(struct scan *s)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < TD_COUNT(words); i++) {
		size_t n = strlen(words[i]);
		if ((size_t)(s->end - s->at) >= n && !memcmp(s->at, words[i], n)) {
			s->at += n;
			return true;
		}
	}
	if (s->end - s->at >= 3 && (!memcmp(s->at, "NaN", 3) || !memcmp(s->at, "Inf", 3)))
		return refuse(s, s->at,
			"JSON has no NaN and no Infinity; write \"NaN\", \"Infinity\" or \"-Infinity\" as a string");
	if (*s->at == '\'')
		return refuse(s, s->at, "strings stand in double quotes");
	return refuse(s, s->at, "this is not a JSON value");
}

static bool scan_value(struct scan *s, int depth);

/* Does the token that the pointer wants next equal NAME (N bytes of JSON string, quotes off)?  *REST is what follows
 * it. */
static bool wants(const struct scan *s, const char *name, size_t n, const char **rest)
{
	const char *p = s->wanted;

	if (!p || *p != '/')
		return false;
	for (p++; *p && *p != '/'; p++, name++, n--) {
		char c = *p;
		if (c == '~' && (p[1] == '0' || p[1] == '1'))
			c = *++p == '0' ? '~' : '/';
		if (!n || *name != c)
			return false;
	}
	*rest = p;
	return n == 0;
}

/* One member or element: follow the pointer into it when it is the one that is wanted. */
static bool scan_child(struct scan *s, const char *name, size_t n, int depth)
{
	const char *before = s->wanted, *rest = NULL;
	bool on_the_way = wants(s, name, n, &rest), ok;

	s->wanted = on_the_way ? rest : NULL;
	ok = scan_value(s, depth);
	s->wanted = on_the_way ? NULL : before;
	return ok;
}

static bool scan_object(struct scan *s, int depth)
{
	s->at++;
	skip_space(s);
	if (s->at < s->end && *s->at == '}') {
		s->at++;
		return true;
	}
	for (;;) {
		const char *name = s->at;
		size_t n;

		if (s->at < s->end && *s->at == '\'')
			return refuse(s, s->at, "strings stand in double quotes, not in single ones");
		if (s->at == s->end || *s->at != '"')
			return refuse(
				s, s->at, "a member's name in double quotes was expected (is there a comma too many?)");
		if (!scan_string(s))
			return false;
		n = (size_t)(s->at - name) - 2;
		skip_space(s);
		if (s->at == s->end || *s->at != ':')
			return refuse(s, s->at, "':' was expected after a member's name");
		s->at++;
		skip_space(s);
		if (!scan_child(s, name + 1, n, depth + 1))
			return false;
		skip_space(s);
		if (s->at < s->end && *s->at == '}') {
			s->at++;
			return true;
		}
		if (s->at == s->end || *s->at != ',')
			return refuse(s, s->at, "',' or '}' was expected");
		s->at++;
		skip_space(s);
	}
}

static bool scan_array(struct scan *s, int depth)
{
	s->at++;
	skip_space(s);
	if (s->at < s->end && *s->at == ']') {
		s->at++;
		return true;
	}
	for (size_t i = 0;; i++) {
		char index[24];
		int n = snprintf(index, sizeof index, "%zu", i);

		if (!scan_child(s, index, (size_t)n, depth + 1))
			return false;
		skip_space(s);
		if (s->at < s->end && *s->at == ']') {
			s->at++;
			return true;
		}
		if (s->at == s->end || *s->at != ',')
			return refuse(s, s->at, "',' or ']' was expected");
		s->at++;
		skip_space(s);
	}
}

static bool scan_value(struct scan *s, int depth)
{
	if (s->wanted) {
		s->found = s->at;
		s->found_whole = *s->wanted == '\0';
	}
	if (s->at == s->end)
		return refuse(s, s->at, "the document ends where a value was expected");
	if (depth > JSON_DEPTH_MOST)
		return refuse(s, s->at, "this is nested more than 64 deep");
	if (*s->at == '{')
		return scan_object(s, depth);
	if (*s->at == '[')
		return scan_array(s, depth);
	if (*s->at == '"')
		return scan_string(s);
	if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9'))
		return scan_number(s);
	return scan_word(s);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

/* Duplicate names, found in sorted order so that a hostile object of 10^5 members costs no more than sorting it. */
static const cJSON *find_duplicate(const cJSON *object)
{
	const cJSON *child, **members, *found = NULL;
	size_t n = 0, i = 0;

	n = (size_t)cJSON_GetArraySize(object);
	members = MEM_NEW_N(const cJSON *, n + 1);
	cJSON_ArrayForEach(child, object)
	{
		members[i++] = child;
	}
	qsort(members, n, sizeof *members, compare_names);
	for (i = 1; i < n && !found; i++)
		if (!strcmp(members[i - 1]->string, members[i]->string))
			found = members[i];
	mem_free(members);
	return found;
}

/* The first duplicate name in V or below it; its pointer is appended to PATH. */
static const cJSON *find_duplicate_below(const cJSON *v, struct buf *path)
{
	const cJSON *child, *found = cJSON_IsObject(v) ? find_duplicate(v) : NULL;
	char token[256];
	size_t i = 0;

	if (found) {
		json_pointer_token(found->string, token, sizeof token);
		buf_printf(path, "/%s", token);
		return found;
	}
	cJSON_ArrayForEach(child, v)
	{
		size_t length = path->len;

		if (cJSON_IsObject(v))
			json_pointer_token(child->string, token, sizeof token);
		else
			snprintf(token, sizeof token, "%zu", i++);
		if (!cJSON_IsObject(child) && !cJSON_IsArray(child))
			continue;
		buf_printf(path, "/%s", token);
		found = find_duplicate_below(child, path);
		if (found)
			return found;
		path->data[path->len = length] = '\0';
	}
	return NULL;
}

static bool refuse_duplicates(const cJSON *root, const char *text, size_t n, struct err *e)
{
	struct buf path;
	const cJSON *found;
	int line = 1, column = 1;

	buf_init(&path, (size_t)(JSON_DEPTH_MOST + 2) * 260);
	found = find_duplicate_below(root, &path);
	if (found) {
		json_locate(text, n, path.data, &line, &column);
		err_set(e, TD_INVALID, "line %d, column %d: the name \"%.80s\" stands twice in this object; keep one",
			line, column, found->string);
	}
	buf_release(&path);
	return !found;
}

cJSON *json_parse(const char *text, size_t n, struct err *e)
{
	size_t mark = n >= 3 && !memcmp(text, BYTE_ORDER_MARK, 3) ? 3 : 0;
	char *copy = mem_strndup(text + mark, n - mark); /* strtod needs the terminator */
	struct scan s = { .text = copy, .end = copy + n - mark, .at = copy, .err = e };
	cJSON *root = NULL;

	skip_space(&s);
	if (!scan_value(&s, 0))
		goto out;
	skip_space(&s);
	if (s.at != s.end) {
		refuse(&s, s.at, "the document has ended, but more follows");
		goto out;
	}
	root = cJSON_ParseWithLength(copy, (size_t)(s.end - copy));
	if (!root) {
		err_set(e, TD_INVALID, "this is not JSON");
	} else if (!refuse_duplicates(root, copy, (size_t)(s.end - copy), e)) {
		cJSON_Delete(root);
		root = NULL;
	}
out:
	mem_free(copy);
	return root;
}

bool json_locate(const char *text, size_t n, const char *pointer, int *line, int *column)
{
	char *copy = mem_strndup(text, n);
	struct err ignored = { 0 };
	struct scan s = { .text = copy, .end = copy + n, .at = copy, .err = &ignored, .wanted = pointer };

	if (n >= 3 && !memcmp(copy, BYTE_ORDER_MARK, 3))
		s.text = s.at = copy + 3;
	skip_space(&s);
	scan_value(&s, 0);
	if (s.found)
		place_of(s.text, s.found, line, column);
	mem_free(copy);
	return s.found != NULL;
}

const char *json_nonfinite(double v)
{
	return isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity";
}

cJSON *json_number(double v)
{
	return isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateString(json_nonfinite(v));
}

bool json_to_number(const cJSON *v, double *out)
{
	if (cJSON_IsNumber(v))
		*out = v->valuedouble;
	else if (cJSON_IsString(v) && !strcmp(v->valuestring, "NaN"))
		*out = NAN;
	else if (cJSON_IsString(v) && !strcmp(v->valuestring, "Infinity"))
		*out = INFINITY;
	else if (cJSON_IsString(v) && !strcmp(v->valuestring, "-Infinity"))
		*out = -INFINITY;
	else
		return false;
	return true;
}

const cJSON *json_get(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

const char *json_string(const cJSON *object, const char *name, const char *otherwise)
{
	const cJSON *v = json_get(object, name);

	return cJSON_IsString(v) ? v->valuestring : otherwise;
}

double json_double(const cJSON *object, const char *name, double otherwise)
{
	const cJSON *v = json_get(object, name);

	return cJSON_IsNumber(v) ? v->valuedouble : otherwise;
}

int64_t json_int(const cJSON *object, const char *name, int64_t otherwise)
{
	const cJSON *v = json_get(object, name);

	return json_is_integer(v) ? (int64_t)v->valuedouble : otherwise;
}

bool json_bool(const cJSON *object, const char *name, bool otherwise)
{
	const cJSON *v = json_get(object, name);

	return cJSON_IsBool(v) ? (bool)cJSON_IsTrue(v) : otherwise;
}

const cJSON *json_at(const cJSON *root, const char *pointer)
{
	char token[256];

	while (root && *pointer == '/') {
		size_t n = 0;

		for (pointer++; *pointer && *pointer != '/'; pointer++) {
			char c = *pointer;
			if (c == '~' && (pointer[1] == '0' || pointer[1] == '1'))
				c = *++pointer == '0' ? '~' : '/';
			if (n == sizeof token - 1)
				return NULL;
			token[n++] = c;
		}
		token[n] = '\0';
		if (cJSON_IsArray(root)) {
			char *end;
			long i = strtol(token, &end, 10);
			root = n && !*end && i >= 0 && i <= INT32_MAX ? cJSON_GetArrayItem(root, (int)i) : NULL;
		} else {
			root = json_get(root, token);
		}
	}
	return *pointer ? NULL : root;
}

/* The name that the token of N bytes at TEXT stands for.  False: it has no room in OUT. */
static bool token_name(const char *text, size_t n, char *out, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < n && at < size - 1; i++) {
		bool escape = text[i] == '~' && i + 1 < n && (text[i + 1] == '0' || text[i + 1] == '1');
		out[at++] = escape ? (text[i + 1] == '0' ? '~' : '/') : text[i];
		i += escape;
	}
	out[at] = '\0';
	return n < size;
}

/* What POINTER's last token, put into NAME, lies in; NULL: nothing. */
static cJSON *holder_of(cJSON *root, const char *pointer, char *name, size_t size)
{
	const char *last = strrchr(pointer, '/');
	cJSON *holder;
	char *above;

	if (!last)
		return NULL;
	above = mem_strndup(pointer, (size_t)(last - pointer));
	holder = (cJSON *)json_at(root, above);
	mem_free(above);
	return holder && token_name(last + 1, strlen(last + 1), name, size) ? holder : NULL;
}

bool json_set_at(cJSON *root, const char *pointer, cJSON *v)
{
	char name[256] = "", *end;
	cJSON *into = holder_of(root, pointer, name, sizeof name);
	bool ok = false;

	if (cJSON_IsArray(into)) {
		long i = strtol(name, &end, 10);
		ok = *name && !*end && i >= 0 && i < cJSON_GetArraySize(into) &&
		     cJSON_ReplaceItemInArray(into, (int)i, v);
	} else if (cJSON_IsObject(into)) {
		ok = json_get(into, name) ? cJSON_ReplaceItemInObjectCaseSensitive(into, name, v)
					  : cJSON_AddItemToObject(into, name, v);
	}
	if (!ok)
		cJSON_Delete(v);
	return ok;
}

bool json_remove_at(cJSON *root, const char *pointer)
{
	char name[256] = "";
	cJSON *from = holder_of(root, pointer, name, sizeof name);

	if (cJSON_IsObject(from))
		cJSON_DeleteItemFromObjectCaseSensitive(from, name);
	return cJSON_IsObject(from);
}

bool json_is_integer(const cJSON *v)
{
	return cJSON_IsNumber(v) && v->valuedouble == floor(v->valuedouble) &&
	       fabs(v->valuedouble) <= JSON_INTEGER_MOST;
}
