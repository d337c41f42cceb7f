/* What a handler may reach: made by main.c, constant afterwards. */
#ifndef SERVER_H
#define SERVER_H

#include "base/file.h"
#include "config.h"
#include "control.h"
#include "store/store.h"

struct server {
	const struct config *config;
	struct store *store;
	struct control *control;
	const struct schema *job_schema; /* the worker's, embedded by the build; see schema.h */
	struct listener *http;           /* http/listener.h */
	bool private_address; /* only this machine can reach the listener: no token is needed before the first is made
			       */
	char local_hash[SHA256_TEXT]; /* of the secret in DATA/daemon.json, with which `tandemd token` talks to a
					 running daemon */
	int64_t started_ms;
};

#endif
