/* The process's own log: one line of key=value text a call, on standard error.  Not the log of a job. */
#ifndef TD_BASE_LOG_H
#define TD_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_init(const char *program, enum log_level least);
/* log_line(LOG_INFO, "worker started", "pid=%d job=%s", pid, id) -> 2026-01-02T03:04:05.678Z info tandemd: worker
 * started pid=1 job=x
 * Control characters in the formatted text are written as \xNN.  Words for people come last, as text=..., to the end of
 * the line: they need no quotes then. */
void log_line(enum log_level level, const char *what, const char *fmt, ...) TD_PRINTF(3, 4);

#endif
