/* Devices: the table, and the pool in which released storage waits for its next use. */
#include "core/core.h"

#include <string.h>

static void synchronise_cpu(void)
{
}

static void copy_cpu(void *to, const void *from, size_t n_bytes)
{
	if (n_bytes)
		memcpy(to, from, n_bytes);
}

static void fill_cpu(void *to, int byte, size_t n_bytes)
{
	memset(to, byte, n_bytes);
}

const td_device td__devices[TD_N_DEVICES] = {
	[TD_CPU] = { "cpu", mem_try_alloc, mem_free, copy_cpu, fill_cpu, synchronise_cpu },
};

#define N_BUCKETS   48 /* powers of two */
#define BUCKET_MOST 16 /* blocks that wait in one bucket; what a step of a usual model frees at one size */

struct td_pool {
	const td_device *device;
	int refs;           /* the context and every storage */
	bool closed;        /* the context is gone: keep nothing */
	int64_t live, peak; /* bytes in tensors */
	struct {
		void *blocks[BUCKET_MOST];
		int n;
	} buckets[N_BUCKETS];
};

/* The bucket whose blocks hold N_BYTES; *SIZE is what they hold. */
static int bucket_of(size_t n_bytes, size_t *size)
{
	int b = 6; /* TD_ALIGN */

	while (b < N_BUCKETS - 1 && ((size_t)1 << b) < n_bytes)
		b++;
	*size = TD_MAX((size_t)1 << b, n_bytes);
	return b;
}

td_pool *td__pool_create(const td_device *device)
{
	td_pool *p = MEM_NEW(td_pool);

	p->device = device;
	p->refs = 1;
	return p;
}

static void pool_drop(td_pool *p)
{
	if (--p->refs)
		return;
	mem_free(p);
}

void td__pool_unref(td_pool *p)
{
	for (int b = 0; b < N_BUCKETS; b++)
		while (p->buckets[b].n)
			p->device->release(p->buckets[b].blocks[--p->buckets[b].n]);
	p->closed = true;
	pool_drop(p);
}

td_storage *td__storage_create(td_pool *p, size_t n_bytes)
{
	size_t size;
	int b = bucket_of(n_bytes, &size);
	bool waits = b < N_BUCKETS - 1 && p->buckets[b].n > 0;
	void *bytes = waits ? p->buckets[b].blocks[--p->buckets[b].n] : p->device->alloc(size);
	td_storage *s;

	if (!bytes)
		return NULL;
	s = MEM_NEW(td_storage);
	*s = (td_storage){ .refs = 1, .n_bytes = n_bytes, .bytes = bytes, .pool = p };
	p->refs++;
	p->live += (int64_t)size;
	p->peak = TD_MAX(p->peak, p->live);
	return s;
}

void td__storage_unref(td_storage *s)
{
	td_pool *p;
	size_t size;
	int b;

	if (!s || --s->refs)
		return;
	p = s->pool;
	b = bucket_of(s->n_bytes, &size);
	p->live -= (int64_t)size;
	if (!p->closed && p->buckets[b].n < BUCKET_MOST && b < N_BUCKETS - 1)
		p->buckets[b].blocks[p->buckets[b].n++] = s->bytes;
	else
		p->device->release(s->bytes);
	mem_free(s);
	pool_drop(p);
}

void td__pool_count(const td_pool *p, int64_t *live_bytes, int64_t *peak_bytes)
{
	*live_bytes = p->live;
	*peak_bytes = p->peak;
}
