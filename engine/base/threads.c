/* A pool that runs slices: see threads.h.
 *
 * Helpers spin for a short while between pieces of work, because the pieces of one training step follow each other
 * within microseconds, and then sleep.  A piece of work is published by bumping GENERATION; whoever takes the last
 * slice out does not end it: the caller waits until every helper that entered has left, so the next piece cannot be
 * mixed up with this one. */
#include "base/threads.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define SPIN_ROUNDS 2000 /* about 20 microseconds: longer than the gap between two ops of a small model */

struct threads {
	int n;
	pthread_t *helpers; /* owned; n - 1 */
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	atomic_uint generation;
	atomic_int next, inside; /* next slice; helpers inside the present piece */
	atomic_bool stop;
	int n_slices; /* these three: written by the caller before GENERATION is bumped */
	void (*fn)(void *arg, int slice);
	void *arg;
};

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void run_slices(struct threads *t)
{
	int i;

	while ((i = atomic_fetch_add(&t->next, 1)) < t->n_slices)
		t->fn(t->arg, i);
}

static void *help(void *arg)
{
	struct threads *t = arg;
	unsigned seen = 0;

	for (;;) {
		for (int spin = 0; spin < SPIN_ROUNDS && atomic_load(&t->generation) == seen; spin++)
			pause_briefly();
		pthread_mutex_lock(&t->lock);
		while (atomic_load(&t->generation) == seen && !atomic_load(&t->stop))
			pthread_cond_wait(&t->work, &t->lock);
		if (atomic_load(&t->stop)) {
			pthread_mutex_unlock(&t->lock);
			return NULL;
		}
		seen = atomic_load(&t->generation);
		pthread_mutex_unlock(&t->lock);
		run_slices(t);
		if (atomic_fetch_sub(&t->inside, 1) == 1) {
			pthread_mutex_lock(&t->lock);
			pthread_cond_signal(&t->idle);
			pthread_mutex_unlock(&t->lock);
		}
	}
}

struct threads *threads_create(int n)
{
	struct threads *t = MEM_NEW(struct threads);

	TD_ASSERT(n >= 1 && n <= THREADS_MOST);
	t->n = 1;
	t->helpers = MEM_NEW_N(pthread_t, n);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	pthread_cond_init(&t->idle, NULL);
	while (t->n < n && !pthread_create(&t->helpers[t->n - 1], NULL, help, t))
		t->n++;
	return t;
}

void threads_free(struct threads *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	atomic_store(&t->stop, true);
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	for (int i = 0; i < t->n - 1; i++)
		pthread_join(t->helpers[i], NULL);
	pthread_cond_destroy(&t->work);
	pthread_cond_destroy(&t->idle);
	pthread_mutex_destroy(&t->lock);
	mem_free(t->helpers);
	mem_free(t);
}

int threads_count(const struct threads *t)
{
	return t ? t->n : 1;
}

void threads_run(struct threads *t, int n_slices, void (*fn)(void *arg, int slice), void *arg)
{
	if (!t || t->n == 1 || n_slices <= 1) {
		for (int i = 0; i < n_slices; i++)
			fn(arg, i);
		return;
	}
	t->n_slices = n_slices;
	t->fn = fn;
	t->arg = arg;
	atomic_store(&t->next, 0);
	atomic_store(&t->inside, t->n - 1);
	pthread_mutex_lock(&t->lock);
	atomic_fetch_add(&t->generation, 1);
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	run_slices(t);
	for (int spin = 0; spin < SPIN_ROUNDS && atomic_load(&t->inside); spin++)
		pause_briefly();
	pthread_mutex_lock(&t->lock);
	while (atomic_load(&t->inside))
		pthread_cond_wait(&t->idle, &t->lock);
	pthread_mutex_unlock(&t->lock);
}
