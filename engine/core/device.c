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

#define N_BUCKETS   160 /* four to a power of two; larger blocks than these hold go by themselves */
#define BUCKET_MOST 16  /* blocks that wait in one bucket; what a step of a usual model frees at one size */

struct td_pool {
	const td_device *device;
	int refs;           /* the context and every storage */
	bool closed;        /* the context is gone: keep nothing */
	int64_t live, peak; /* bytes in tensors */
	int64_t waiting;    /* bytes in blocks that wait */
	struct {
		void *blocks[BUCKET_MOST];
		int n;
	} buckets[N_BUCKETS];
};

/* What a block of bucket B holds. */
static size_t size_of(int b)
{
	return (size_t)(4 + b % 4) << (4 + b / 4);
}

/* The bucket for N_BYTES; *SIZE is what its blocks hold: at most a quarter more, since a block that is used again is soon
 * touched to its end. */
static int bucket_of(size_t n_bytes, size_t *size)
{
	size_t n = TD_MAX(n_bytes, TD_ALIGN);
	int log = 63 - __builtin_clzll(n);
	size_t quarter = (size_t)1 << (log - 2);
	int b = 4 * (log - 6) + (int)((n + quarter - 1) / quarter) - 4;

	*size = b < N_BUCKETS ? size_of(b) : n_bytes;
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

/* A block that waits in bucket B. */
static void *take(td_pool *p, int b)
{
	p->waiting -= (int64_t)size_of(b);
	return p->buckets[b].blocks[--p->buckets[b].n];
}

/* A new block.  What lives and what waits are together never more than what lived at most: when the sizes change (a short
 * batch, an evaluation), the blocks of the old ones go. */
static void *ask_device(td_pool *p, size_t size)
{
	int64_t wanted = p->live + (int64_t)size, most = TD_MAX(p->peak, wanted);

	for (int b = N_BUCKETS - 1; b >= 0; b--)
		while (p->buckets[b].n && wanted + p->waiting > most)
			p->device->release(take(p, b));
	return p->device->alloc(size);
}

void td__pool_unref(td_pool *p)
{
	for (int b = 0; b < N_BUCKETS; b++)
		while (p->buckets[b].n)
			p->device->release(take(p, b));
	p->closed = true;
	pool_drop(p);
}

td_storage *td__storage_create(td_pool *p, size_t n_bytes)
{
	size_t size;
	int b = bucket_of(n_bytes, &size);
	bool waits = b < N_BUCKETS && p->buckets[b].n > 0;
	void *bytes = waits ? take(p, b) : ask_device(p, size);
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
	if (p->closed || b >= N_BUCKETS || p->buckets[b].n == BUCKET_MOST) {
		p->device->release(s->bytes);
	} else {
		p->buckets[b].blocks[p->buckets[b].n++] = s->bytes;
		p->waiting += (int64_t)size;
	}
	mem_free(s);
	pool_drop(p);
}

void td__pool_count(const td_pool *p, int64_t *live_bytes, int64_t *peak_bytes)
{
	*live_bytes = p->live;
	*peak_bytes = p->peak;
}
