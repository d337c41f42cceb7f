/* Flags and environment: one table (config.c) of flag, environment name, default and help. */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdint.h>
#include "base/err.h"

struct config {
	const char *listen;         /* "127.0.0.1:8080"; port 0 picks a free one */
	const char *data_dir;       /* absolute after config_load */
	bool names_data_dir;        /* it was given, and is not the default */
	const char *data_root;      /* read-only folder of datasets; default /usr/share/datasets */
	const char *dataset_mirror; /* base URL that known datasets are fetched from, http or private too; NULL: their
				       own */
	bool fetch_private;         /* fetch from addresses of the machine's own network too */
	int64_t dataset_max_bytes;  /* of all files of one dataset together */
	const char *web_dir;        /* serve the dashboard from disk while developing; NULL: the embedded files */
	const char *worker_path;    /* tandem-worker; default: beside tandemd */
	const char *allowed_hosts;  /* comma-separated Host names besides localhost and the listen address */
	int workers;                /* jobs at once */
	int threads;                /* the machine's budget that jobs draw on */
	int64_t memory_bytes;       /* likewise */
	int drain_seconds;          /* from SIGTERM until workers are killed */
	int grace_seconds;          /* a worker goes on without its daemon for so long */
	int http_threads;
	int log_level;
	bool insecure; /* serve others without tokens (not advised) */
};

/* Fill C (config_release) from ARGV and the environment (flags win).  TD_CANCELLED: --help or --version was printed. */
td_status config_load(struct config *c, int argc, char **argv, struct err *e);
void config_release(struct config *c); /* also after config_load has failed */

#endif
