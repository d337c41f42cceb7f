/* The process's own log: see log.h. */
#include "base/log.h"
#include "base/clock.h"

#include <stdio.h>

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static const char *program_name = "tandem";
static enum log_level least_level = LOG_INFO;

void log_init(const char *program, enum log_level least)
{
	program_name = program;
	least_level = least;
}

void log_line(enum log_level level, const char *what, const char *fmt, ...)
{
	char time[CLOCK_TEXT], text[1024], line[2048];
	size_t at;
	va_list ap;

	if (level < least_level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	clock_text(clock_now_ms(), time);
	at = (size_t)snprintf(
		line, sizeof line, "%s %s %s: %s%s", time, level_names[level], program_name, what, *text ? " " : "");
	for (const char *s = text; *s && at < sizeof line - 6; s++)
		if ((unsigned char)*s < 0x20)
			at += (size_t)snprintf(line + at, sizeof line - at, "\\x%02x", (unsigned char)*s);
		else
			line[at++] = *s;
	line[at++] = '\n';
	fwrite(line, 1, at, stderr); /* one write, so that lines of threads do not mix */
}
