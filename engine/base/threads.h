/* A pool that runs the slices of one piece of work.
 *
 * Work is cut by its caller, by shape; the pool only hands slices to whoever is free.  So which thread runs a slice,
 * and how many threads there are, cannot change a result. */
#ifndef TD_BASE_THREADS_H
#define TD_BASE_THREADS_H

struct threads;

#define THREADS_MOST 256

/* A pool of N threads in all, the caller's included (1: no thread is started). */
struct threads *threads_create(int n);
void threads_free(struct threads *t);
/* Call FN(arg, i) for i = 0 .. n_slices-1, each once, in any order and on any thread; returns when all are done.
 * One caller at a time; FN must not call threads_run on the same pool.  T may be NULL: runs them here. */
void threads_run(struct threads *t, int n_slices, void (*fn)(void *arg, int slice), void *arg);

#endif
