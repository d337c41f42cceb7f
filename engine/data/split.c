/* Splits: which samples train, which validate, which test.
 *
 * The training part's first `limit` samples are divided; a part of its own for tests stays whole.  Random choice is one
 * permutation by the job's seed, so that the same seed divides the same data alike whatever else a job says.  Within
 * a split samples keep the order of the files. */
#include "data/loader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t count_of(double part, int64_t n)
{
	return part < 1 ? (int64_t)floor(part * (double)n) : (int64_t)part;
}

void split_counts(const struct data_options *o, int64_t n, int64_t n_test, int64_t counts[DATA_SPLITS])
{
	int64_t limit = o->limit ? TD_MIN(o->limit, n) : n;

	counts[DATA_VALIDATION] = count_of(o->split.validation, limit);
	counts[DATA_TEST] = n_test ? n_test : count_of(o->split.test, limit);
	counts[DATA_TRAIN] = limit - counts[DATA_VALIDATION] - (n_test ? 0 : counts[DATA_TEST]);
}

static int compare_indices(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static td_status view_init(struct view *v, enum pack_part part, const int64_t *from, int64_t n, struct err *e)
{
	*v = (struct view){ .part = part, .n = n, .index = mem_try_alloc(sizeof *from * (size_t)TD_MAX(n, 1)) };
	if (!v->index)
		return err_set(e, TD_NO_MEMORY, "no memory for a list of %lld samples", (long long)n);
	if (n)
		memcpy(v->index, from, sizeof *from * (size_t)n);
	qsort(v->index, (size_t)n, sizeof *from, compare_indices);
	return TD_OK;
}

/* ---- Stratified: every class gives its share ------------------------------------------------------------------- */

struct share {
	int64_t class;
	int64_t taken;    /* whole samples so far */
	double remainder; /* of the fair share */
};

static int compare_remainders(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	if (x->remainder != y->remainder)
		return x->remainder < y->remainder ? 1 : -1;
	return x->class < y->class ? -1 : 1;
}

/* Divide N among the classes in proportion to COUNT, whose sum is ALL, by largest remainder.  COUNT is lowered by what
 * is TAKEN, so that a second division takes of what is left. */
static void apportion(int64_t n, int64_t all, int64_t *count, int n_classes, int64_t *taken)
{
	struct share *shares = MEM_NEW_N(struct share, n_classes);
	int64_t left = n;

	for (int c = 0; c < n_classes; c++) {
		/* In whole numbers: two classes of one size have one remainder. */
		__int128 product = (__int128)n * count[c];
		shares[c] = (struct share){ c, all ? (int64_t)(product / all) : 0, all ? (double)(product % all) : 0 };
		left -= shares[c].taken;
	}
	qsort(shares, (size_t)n_classes, sizeof *shares, compare_remainders);
	for (int c = 0; c < n_classes; c++) {
		taken[shares[c].class] = shares[c].taken + (c < left);
		count[shares[c].class] -= taken[shares[c].class];
	}
	mem_free(shares);
}

/* Order INDEX [n], a random permutation of samples, so that its end holds the classes' shares: the last ones for the
 * test split, those before for validation. */
static void stratify(
	const struct loader *l, int64_t *index, const int64_t counts[DATA_SPLITS], int64_t n, int64_t *room)
{
	int n_classes = l->facts.n_classes;
	int64_t *count = MEM_NEW_N(int64_t, 3 * n_classes), *test = count + n_classes, *validation = test + n_classes;
	int64_t n_test = n - counts[DATA_TRAIN] - counts[DATA_VALIDATION], at[DATA_SPLITS] = { 0 };

	at[DATA_VALIDATION] = counts[DATA_TRAIN];
	at[DATA_TEST] = n - n_test;
	for (int64_t i = 0; i < n; i++)
		count[l->kind->label(l, PACK_TRAIN, index[i])]++;
	apportion(n_test, n, count, n_classes, test);
	apportion(counts[DATA_VALIDATION], n - n_test, count, n_classes, validation);
	for (int64_t i = 0; i < n; i++) {
		int32_t class = l->kind->label(l, PACK_TRAIN, index[i]);
		enum data_split s = test[class] ? DATA_TEST : validation[class] ? DATA_VALIDATION : DATA_TRAIN;

		test[class] -= s == DATA_TEST;
		validation[class] -= s == DATA_VALIDATION;
		room[at[s]++] = index[i];
	}
	memcpy(index, room, sizeof *index * (size_t)n);
	mem_free(count);
}

/* ---- The three splits ------------------------------------------------------------------------------------------ */

/* The positions of the samples of PART that take part, of its first LIMIT. */
static int64_t list_kept(const struct loader *l, enum pack_part part, int64_t limit, int64_t *out)
{
	int64_t n = 0;

	for (int64_t i = 0; i < limit; i++)
		if (!l->kind->keeps || l->kind->keeps(l, part, i))
			out[n++] = i;
	return n;
}

/* INDEX [n] in an order whose end becomes the splits; ROOM is as large. */
static void arrange(const struct loader *l, int64_t *index, const int64_t counts[DATA_SPLITS], int64_t n, int64_t *room)
{
	struct rng_key key = { .seed = l->seed, .stream = rng_stream("split") };
	int by = l->options->split.by;

	if (by == DATA_BY_END)
		return;
	rng_permutation(&key, n, room);
	for (int64_t i = 0; i < n; i++)
		room[i] = index[room[i]];
	memcpy(index, room, sizeof *index * (size_t)n);
	if (by == DATA_BY_STRATIFIED)
		stratify(l, index, counts, n, room);
}

static td_status divide(struct loader *l, int64_t *index, int64_t *room, const char **pointer, struct err *e)
{
	const struct data_options *o = l->options;
	int64_t limit = o->limit ? TD_MIN(o->limit, l->n_part[PACK_TRAIN]) : l->n_part[PACK_TRAIN];
	int64_t n = list_kept(l, PACK_TRAIN, limit, index), counts[DATA_SPLITS];
	bool own_test = l->n_part[PACK_TEST] > 0;
	td_status s;

	split_counts(o, n, own_test, counts);
	if (counts[DATA_TRAIN] < 1) {
		*pointer = "/data/split";
		return err_set(e, TD_INVALID,
			"of %lld samples nothing is left to train with, after %lld for validation and %lld for tests; "
			"take fewer of them",
			(long long)n, (long long)counts[DATA_VALIDATION],
			(long long)(own_test ? 0 : counts[DATA_TEST]));
	}
	arrange(l, index, counts, n, room);
	s = view_init(&l->view[DATA_TRAIN], PACK_TRAIN, index, counts[DATA_TRAIN], e);
	if (!s)
		s = view_init(
			&l->view[DATA_VALIDATION], PACK_TRAIN, index + counts[DATA_TRAIN], counts[DATA_VALIDATION], e);
	if (s)
		return s;
	if (!own_test)
		return view_init(&l->view[DATA_TEST], PACK_TRAIN, index + n - counts[DATA_TEST], counts[DATA_TEST], e);
	n = list_kept(l, PACK_TEST, l->n_part[PACK_TEST], index);
	return view_init(&l->view[DATA_TEST], PACK_TEST, index, n, e);
}

td_status split_make(struct loader *l, const char **pointer, struct err *e)
{
	size_t most = (size_t)TD_MAX(TD_MAX(l->n_part[PACK_TRAIN], l->n_part[PACK_TEST]), 1);
	int64_t *index = mem_try_alloc(sizeof *index * most), *room = mem_try_alloc(sizeof *room * most);
	td_status s;

	if (index && room)
		s = divide(l, index, room, pointer, e);
	else
		s = err_set(e, TD_NO_MEMORY, "no memory for a list of %zu samples", most);
	for (int i = 0; i < DATA_SPLITS; i++)
		l->facts.n[i] = l->view[i].n;
	mem_free(index);
	mem_free(room);
	return s;
}
