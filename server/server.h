/* What a handler may reach: made by main.c, constant afterwards. */
#ifndef SERVER_H
#define SERVER_H

#include "config.h"
#include "control.h"
#include "store/store.h"

struct server {
	const struct config *config;
	struct store *store;
	struct control *control;
	const struct schema *job_schema; /* the worker's, embedded by the build; see api/schema.h */
	int64_t started_ms;
};

#endif
