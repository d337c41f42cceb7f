/* Where values lie: one arena, offsets by best fit over live ranges, results on top of inputs that are read for the
 * last time.
 *
 * Values that share a place (a view and what it shows, an in-place result and its input) form one block; a block is
 * taken from the step that makes its first value to the last step that reads any.  Blocks are placed largest first,
 * each into the smallest gap left by the blocks that are alive at the same time (greedy by size: Pisarchyk and Lee,
 * "Efficient memory management for deep neural net inference", 2020). */
#include "core/core.h"

#include <stdlib.h>

struct block {
	int64_t bytes, offset;
	int first, last;     /* steps */
	int64_t *offset_out; /* where the result goes: a value's or a step's scratch */
};

/* The last step that reads a value, for every value; fetches live on. */
static void find_uses(const td_plan *p, td_layout *l)
{
	for (int v = 0; v < p->n_values; v++) {
		l->base[v] = v;
		l->first[v] = -1;
		l->last[v] = p->fetched[v] ? p->n_steps : -1;
		l->offsets[v] = -1;
	}
	for (int k = 0; k < p->n_steps; k++) {
		const td_step_plan *s = &p->steps[k];
		for (int i = 0; i < TD_MOST_IN; i++)
			if (s->in[i] >= 0)
				l->last[s->in[i]] = TD_MAX(l->last[s->in[i]], k);
		for (int i = 0; i < TD_MOST_OUT; i++)
			if (s->out[i] >= 0) {
				l->first[s->out[i]] = k;
				l->last[s->out[i]] = TD_MAX(l->last[s->out[i]], k);
			}
	}
}

/* The value in whose place V lies, as far as that is known. */
static int base_of(td_layout *l, int v)
{
	while (l->base[v] != v)
		v = l->base[v] = l->base[l->base[v]];
	return v;
}

/* The input that the output of step K may lie on, or -1. */
static int overwritable(const td_plan *p, td_layout *l, int k)
{
	const td_step_plan *s = &p->steps[k];

	for (int i = 0; i < s->node->op->n_in; i++) {
		int v = s->in[i], b = v >= 0 ? base_of(l, v) : -1;
		bool shared = false;

		if (!(s->node->op->inplace >> i & 1) || v < 0 || td__plan_outside(p, b) || l->last[b] != k)
			continue;
		for (int j = 0; j < s->node->op->n_in; j++)
			shared |= j != i && s->in[j] >= 0 && base_of(l, s->in[j]) == b;
		if (!shared && td_shape_bytes(&l->shapes[v]) == td_shape_bytes(&l->shapes[s->out[0]]) &&
			l->shapes[v].order == l->shapes[s->out[0]].order)
			return b;
	}
	return -1;
}

/* Join what shares a place.  Steps go forward, so a base is settled before anything is joined to it; the uses of what
 * is joined count for the base at once, because they decide whether a later step may overwrite it. */
static void join_blocks(const td_plan *p, td_layout *l)
{
	for (int k = 0; k < p->n_steps; k++) { /* views first: an overwrite must know every reader of the bytes */
		const td_step_plan *s = &p->steps[k];
		int b;

		if (!s->node->op->view)
			continue;
		b = l->base[s->out[0]] = base_of(l, s->in[0]);
		l->last[b] = TD_MAX(l->last[b], l->last[s->out[0]]);
	}
	for (int k = 0; k < p->n_steps && p->in_place; k++) {
		const td_step_plan *s = &p->steps[k];
		int out = s->node->op->n_out && !s->node->op->view ? s->out[0] : -1, b;

		if (out < 0 || (b = overwritable(p, l, k)) < 0)
			continue;
		l->last[b] = TD_MAX(l->last[b], l->last[out]);
		l->base[out] = b;
	}
	for (int v = 0; v < p->n_values; v++)
		l->base[v] = base_of(l, v);
}

static int larger_first(const void *a, const void *b)
{
	const struct block *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x->offset_out < y->offset_out ? -1 : 1);
}

/* The offset for BLOCK among the N that are placed, which are in order of offset: the smallest gap that holds it, or
 * behind the last. */
static int64_t best_fit(const struct block *block, struct block *const *placed, int n)
{
	int64_t at = 0, best = -1, best_gap = INT64_MAX;

	for (int i = 0; i < n; i++) {
		int64_t gap = placed[i]->offset - at;

		if (placed[i]->first > block->last || block->first > placed[i]->last)
			continue;
		if (gap >= block->bytes && gap < best_gap) {
			best = at;
			best_gap = gap;
		}
		at = TD_MAX(at, placed[i]->offset + placed[i]->bytes);
	}
	return best >= 0 ? best : at;
}

/* PLACED, in order of offset, with BLOCK among its N + 1. */
static void insert(struct block **placed, int n, struct block *block)
{
	while (n && placed[n - 1]->offset > block->offset) {
		placed[n] = placed[n - 1];
		n--;
	}
	placed[n] = block;
}

static int64_t rounded(size_t n_bytes)
{
	return (int64_t)((n_bytes + TD_ALIGN - 1) / TD_ALIGN * TD_ALIGN);
}

void td__layout_places(const td_plan *p, td_layout *l)
{
	struct block *blocks = MEM_NEW_N(struct block, p->n_values + p->n_steps + 1);
	struct block **placed = MEM_NEW_N(struct block *, p->n_values + p->n_steps + 1);
	int n = 0, whole = p->n_steps;

	find_uses(p, l);
	join_blocks(p, l);
	for (int v = 0; v < p->n_values; v++)
		if (l->first[v] >= 0 && l->base[v] == v)
			blocks[n++] = (struct block){ .bytes = rounded(td_shape_bytes(&l->shapes[v])),
				.first = p->in_place ? l->first[v] : 0,
				.last = p->in_place ? l->last[v] : whole,
				.offset_out = &l->offsets[v] };
	for (int k = 0; k < p->n_steps; k++)
		if (l->workspace[k])
			blocks[n++] = (struct block){ .bytes = rounded(l->workspace[k]),
				.first = k,
				.last = k,
				.offset_out = &l->workspace_at[k] };
	qsort(blocks, (size_t)n, sizeof *blocks, larger_first);
	l->arena_bytes = 0;
	for (int i = 0; i < n; i++) {
		blocks[i].offset = *blocks[i].offset_out = best_fit(&blocks[i], placed, i);
		insert(placed, i, &blocks[i]);
		l->arena_bytes = TD_MAX(l->arena_bytes, (size_t)(blocks[i].offset + blocks[i].bytes));
	}
	for (int v = 0; v < p->n_values; v++)
		l->offsets[v] = l->offsets[l->base[v]];
	mem_free(placed);
	mem_free(blocks);
}
