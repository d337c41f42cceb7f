/* Statuses and messages: see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *text;
} statuses[TD_N_STATUSES] = {
#define X(name, text) { #name, text },
	TD_STATUSES(X)
#undef X
};

const char *status_name(td_status s)
{
	return s < TD_N_STATUSES ? statuses[s].name : "UNKNOWN";
}

const char *status_text(td_status s)
{
	return s < TD_N_STATUSES ? statuses[s].text : "unknown status";
}

td_status err_vset(struct err *e, td_status s, const char *fmt, va_list ap)
{
	if (!e || e->status)
		return s;
	e->status = s;
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	return s;
}

td_status err_set(struct err *e, td_status s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, s, fmt, ap);
	va_end(ap);
	return s;
}

td_status err_wrap(struct err *e, const char *fmt, ...)
{
	char context[sizeof e->text], text[sizeof e->text];
	va_list ap;

	if (!e)
		return TD_INTERNAL;
	va_start(ap, fmt);
	vsnprintf(context, sizeof context, fmt, ap);
	va_end(ap);
	memcpy(text, e->text, sizeof text);
	snprintf(e->text, sizeof e->text, "%.200s: %.380s", context, text);
	return e->status;
}

td_status err_errno(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	td_status s = saved == ENOSPC || saved == EDQUOT ? TD_NO_SPACE : saved == ENOENT ? TD_NOT_FOUND : TD_IO;
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(e, s, "%s: %s", text, strerror(saved));
}

td_status err_copy(struct err *e, const struct err *from)
{
	return err_set(e, from->status, "%s", from->text);
}

void err_clear(struct err *e)
{
	e->status = TD_OK;
	e->text[0] = '\0';
}

void td_bug(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "BUG at %s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}
