/* A file that grows while it comes over the network, and is hashed as it grows.
 *
 * It has a name of its own until it is whole; its owner then syncs it and gives it the name that others look for. */
#ifndef PART_H
#define PART_H

#include <nettle/sha2.h>
#include "base/file.h"

struct part {
	int fd;                 /* -1: closed */
	int64_t n;              /* bytes in it */
	int64_t n_hashed;       /* of these, how many are in HASH */
	int64_t n_written_back; /* of these, how many the disk was asked to take */
	struct sha256_ctx hash;
};

void part_init(struct part *p);
/* Open PATH, made if need be.  What an earlier life left in it stays, not hashed yet: part_hash takes it in. */
td_status part_open(struct part *p, const char *path, struct err *e);
void part_close(struct part *p);
/* Take in one more piece of what was there before.  False: there was an error, and the part is empty now. */
bool part_hash(struct part *p);
td_status part_append(struct part *p, const void *bytes, size_t n, struct err *e);
/* Begin anew. */
td_status part_empty(struct part *p, struct err *e);
/* Everything is hashed and written: make it durable and say its SHA-256.  The part is closed. */
td_status part_finish(struct part *p, char sha256[SHA256_TEXT], struct err *e);

#endif
