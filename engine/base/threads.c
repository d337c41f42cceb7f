/* A pool that runs slices: see threads.h.
 *
 * A piece of work is published by one number, the ticket: which piece it is, and which of its slices is the next.
 * Whoever moves the ticket on by one owns a slice, and the piece cannot end before that slice is done; so a helper that
 * comes late finds the ticket changed and leaves, and the caller waits for slices, never for helpers.  Helpers spin for
 * a short while between pieces, because those of one training step follow each other within microseconds, and then
 * sleep; nobody is woken who does not sleep. */
#include "base/threads.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define SPIN_ROUNDS 2000 /* some tens of microseconds: longer than the gap between two ops of a small model */

struct threads {
	int n;
	pthread_t *helpers; /* owned; n - 1 */
	pthread_mutex_t lock;
	pthread_cond_t work, finished;
	atomic_uint_fast64_t ticket; /* piece << 32 | next slice */
	atomic_int n_done;           /* slices of the present piece that are done */
	atomic_int n_sleeping;       /* helpers that wait for work */
	atomic_bool waiting;         /* the caller waits for FINISHED */
	atomic_bool stop;
	atomic_int n_slices; /* these three: written while the ticket is closed */
	_Atomic(void *) arg;
	void (*_Atomic fn)(void *arg, int slice);
};

#define CLOSED UINT32_MAX /* as the next slice: the piece is being written down */

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

/* Run slices of PIECE until none is left or the piece is over. */
static void run_slices(struct threads *t, uint32_t piece)
{
	for (;;) {
		uint_fast64_t ticket = atomic_load(&t->ticket);
		uint32_t slice = (uint32_t)ticket;
		int n_slices = atomic_load(&t->n_slices);
		void (*fn)(void *, int) = atomic_load(&t->fn);
		void *arg = atomic_load(&t->arg);

		if ((uint32_t)(ticket >> 32) != piece || slice >= (uint32_t)n_slices)
			return;
		if (!atomic_compare_exchange_weak(&t->ticket, &ticket, ticket + 1))
			continue;
		fn(arg, (int)slice);
		if (atomic_fetch_add(&t->n_done, 1) + 1 == n_slices && atomic_load(&t->waiting)) {
			pthread_mutex_lock(&t->lock);
			pthread_cond_signal(&t->finished);
			pthread_mutex_unlock(&t->lock);
		}
	}
}

static uint32_t present_piece(struct threads *t)
{
	return (uint32_t)(atomic_load(&t->ticket) >> 32);
}

static void *help(void *arg)
{
	struct threads *t = arg;
	uint32_t seen = 0;

	for (;;) {
		for (int spin = 0; spin < SPIN_ROUNDS && present_piece(t) == seen; spin++)
			pause_briefly();
		if (present_piece(t) == seen) {
			pthread_mutex_lock(&t->lock);
			atomic_fetch_add(&t->n_sleeping, 1);
			while (present_piece(t) == seen && !atomic_load(&t->stop))
				pthread_cond_wait(&t->work, &t->lock);
			atomic_fetch_sub(&t->n_sleeping, 1);
			pthread_mutex_unlock(&t->lock);
		}
		if (atomic_load(&t->stop))
			return NULL;
		while ((uint32_t)atomic_load(&t->ticket) == CLOSED)
			pause_briefly();
		seen = present_piece(t);
		run_slices(t, seen);
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
	pthread_cond_init(&t->finished, NULL);
	while (t->n < n && !pthread_create(&t->helpers[t->n - 1], NULL, help, t))
		t->n++;
	return t;
}

static void wake_helpers(struct threads *t)
{
	if (!atomic_load(&t->n_sleeping))
		return;
	pthread_mutex_lock(&t->lock);
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
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
	pthread_cond_destroy(&t->finished);
	pthread_mutex_destroy(&t->lock);
	mem_free(t->helpers);
	mem_free(t);
}

/* Until the last slice is done: it may run on a helper. */
static void wait_for_slices(struct threads *t, int n_slices)
{
	for (int spin = 0; spin < SPIN_ROUNDS && atomic_load(&t->n_done) < n_slices; spin++)
		pause_briefly();
	if (atomic_load(&t->n_done) == n_slices)
		return;
	pthread_mutex_lock(&t->lock);
	atomic_store(&t->waiting, true);
	while (atomic_load(&t->n_done) < n_slices)
		pthread_cond_wait(&t->finished, &t->lock);
	atomic_store(&t->waiting, false);
	pthread_mutex_unlock(&t->lock);
}

void threads_run(struct threads *t, int n_slices, void (*fn)(void *arg, int slice), void *arg)
{
	uint_fast64_t piece;

	if (!t || t->n == 1 || n_slices <= 1) {
		for (int i = 0; i < n_slices; i++)
			fn(arg, i);
		return;
	}
	piece = (uint_fast64_t)(uint32_t)(present_piece(t) + 1) << 32;
	atomic_store(&t->ticket, piece | CLOSED);
	atomic_store(&t->n_done, 0);
	atomic_store(&t->n_slices, n_slices);
	atomic_store(&t->fn, fn);
	atomic_store(&t->arg, arg);
	atomic_store(&t->ticket, piece);
	wake_helpers(t);
	run_slices(t, (uint32_t)(piece >> 32));
	wait_for_slices(t, n_slices);
}
