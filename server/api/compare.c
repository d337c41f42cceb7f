/* Jobs side by side: a few in full, or many in groups that differ in nothing but chance.
 *
 * Specs are compared as tables of leaves, so the work grows with the text of the specs and not with its square. */
#include "api/api.h"
#include "base/map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPARE_MOST 20
#define GROUPS_MOST  1000 /* jobs that are grouped: the newest */
#define LEAVES_MOST  4000 /* places of specs that a comparison looks at */

int api_split(char *list, char **items, int most)
{
	int n = 0;

	for (char *at = list; at; n++) {
		char *comma = strchr(at, ',');

		if (comma)
			*comma++ = '\0';
		if (!*at || n == most)
			return -1;
		items[n] = at;
		at = comma;
	}
	return n;
}

/* ---- Where specs differ ------------------------------------------------------------------------------------------ */

struct leaves { /* pointers of all leaves of some specs, in the order in which they were met */
	struct map seen;
	char *items[LEAVES_MOST]; /* owned */
	int n;
};

/* Arrays of plain values are one leaf: betas differ as a whole. */
static void collect(struct leaves *l, const cJSON *v, const char *path)
{
	const cJSON *child, *first = v ? v->child : NULL;
	char token[256], *below;
	int i = 0;

	if (!cJSON_IsObject(v) && !(cJSON_IsArray(v) && (cJSON_IsObject(first) || cJSON_IsArray(first)))) {
		if (l->n < LEAVES_MOST && !map_get(&l->seen, path)) {
			map_put(&l->seen, path, l);
			l->items[l->n++] = mem_strdup(path);
		}
		return;
	}
	cJSON_ArrayForEach(child, v)
	{
		if (cJSON_IsObject(v))
			json_pointer_token(child->string, token, sizeof token);
		else
			snprintf(token, sizeof token, "%d", i++);
		below = mem_printf("%s/%s", path, token);
		collect(l, child, below);
		mem_free(below);
	}
}

/* The leaves at which the N specs do not all say the same stay. */
static struct leaves *differences(cJSON *const *specs, int n)
{
	struct leaves *l = MEM_NEW(struct leaves);
	int n_kept = 0;

	map_init(&l->seen);
	for (int i = 0; i < n; i++)
		collect(l, specs[i], "");
	for (int k = 0; k < l->n; k++) {
		const cJSON *first = json_at(specs[0], l->items[k]);
		bool same = true;

		for (int i = 1; i < n && same; i++) {
			const cJSON *other = json_at(specs[i], l->items[k]);
			same = first && other ? cJSON_Compare(first, other, true) : first == other;
		}
		if (same)
			mem_free(l->items[k]);
		else
			l->items[n_kept++] = l->items[k];
	}
	l->n = n_kept;
	return l;
}

static void leaves_free(struct leaves *l)
{
	for (int k = 0; k < l->n; k++)
		mem_free(l->items[k]);
	map_release(&l->seen);
	mem_free(l);
}

static cJSON *value_at(const cJSON *spec, const char *pointer)
{
	const cJSON *v = json_at(spec, pointer);

	return v ? cJSON_Duplicate(v, true) : cJSON_CreateNull();
}

/* ---- A few in full ----------------------------------------------------------------------------------------------- */

static cJSON *differences_json(cJSON *const *specs, int n)
{
	struct leaves *l = differences(specs, n);
	cJSON *out = cJSON_CreateArray();

	for (int k = 0; k < l->n; k++) {
		cJSON *item = cJSON_CreateObject(), *values;

		cJSON_AddStringToObject(item, "pointer", l->items[k]);
		values = cJSON_AddArrayToObject(item, "values");
		for (int i = 0; i < n; i++)
			cJSON_AddItemToArray(values, value_at(specs[i], l->items[k]));
		cJSON_AddItemToArray(out, item);
	}
	leaves_free(l);
	return out;
}

td_status jobs_compare(struct request *q, struct response *r, struct err *e)
{
	char *list = mem_strdup(request_query(q, "jobs")), *ids[COMPARE_MOST];
	int n = list ? api_split(list, ids, COMPARE_MOST) : -1, n_read = 0;
	cJSON *specs[COMPARE_MOST] = { NULL }, *items = cJSON_CreateArray(), *answer;
	struct job j;

	if (n < 0)
		err_set(e, TD_INVALID, "the query's jobs are \"%.80s\"; expected 1 to %d ids, separated by commas",
			list ? list : "", COMPARE_MOST);
	for (; n_read < n; n_read++) {
		q->param[0] = ids[n_read];
		if (api_job(q, &j, e))
			break;
		specs[n_read] = cJSON_Parse(j.spec);
		cJSON_AddItemToArray(items, job_json(&j, clock_now_ms()));
		job_release(&j);
	}
	if (!e->status) {
		answer = cJSON_CreateObject();
		cJSON_AddItemToObject(answer, "items", items);
		cJSON_AddItemToObject(answer, "differences", differences_json(specs, n));
		items = NULL;
		respond_json(r, 200, answer);
	}
	for (int i = 0; i < n_read; i++)
		cJSON_Delete(specs[i]);
	cJSON_Delete(items);
	mem_free(list);
	return e->status;
}

/* ---- Groups ------------------------------------------------------------------------------------------------------ */

struct group {
	cJSON *spec;               /* owned; what its jobs agree in */
	cJSON *ids;                /* owned */
	int n;                     /* of its jobs have a value */
	double mean, m2, min, max; /* Welford's */
};

struct groups {
	const char *metric;               /* borrowed */
	struct map by_spec;               /* text of what they agree in -> struct group */
	struct group *items[GROUPS_MOST]; /* owned, the newest first */
	int n;
};

/* Members in the order of their names, so that equal specs have equal texts. */
static int by_name(const void *a, const void *b)
{
	const cJSON *const *x = a, *const *y = b;

	return strcmp((*x)->string, (*y)->string);
}

static void sort_members(cJSON *v)
{
	int n = cJSON_GetArraySize(v), i = 0;
	cJSON *child, **members;

	cJSON_ArrayForEach(child, v)
	{
		sort_members(child);
	}
	if (!cJSON_IsObject(v) || n < 2)
		return;
	members = MEM_NEW_N(cJSON *, n);
	while (v->child)
		members[i++] = cJSON_DetachItemViaPointer(v, v->child);
	qsort(members, (size_t)n, sizeof *members, by_name);
	for (i = 0; i < n; i++)
		cJSON_AddItemToArray(v, members[i]); /* they keep their names */
	mem_free(members);
}

static void add_value(struct group *g, double v)
{
	double before = g->mean;

	g->n++;
	g->mean += (v - before) / g->n;
	g->m2 += (v - before) * (v - g->mean);
	g->min = g->n == 1 ? v : fmin(g->min, v);
	g->max = g->n == 1 ? v : fmax(g->max, v);
}

static void add_to_group(void *arg, const struct job *j)
{
	static const char *const apart[] = { "seed", "name", "tags",
		"notes" }; /* what the jobs of a group may differ in */
	cJSON *spec = cJSON_Parse(j->spec), *summary = cJSON_Parse(j->summary); /* the store's own */
	struct groups *all = arg;
	struct group *g;
	double value;
	char *text;

	for (size_t i = 0; i < TD_COUNT(apart); i++)
		cJSON_DeleteItemFromObjectCaseSensitive(spec, apart[i]);
	sort_members(spec);
	text = json_print(spec);
	g = map_get(&all->by_spec, text);
	if (!g) {
		g = all->items[all->n++] = MEM_NEW(struct group);
		g->spec = spec;
		g->ids = cJSON_CreateArray();
		map_put(&all->by_spec, text, g);
		spec = NULL;
	}
	cJSON_AddItemToArray(g->ids, cJSON_CreateString(j->id));
	if (json_to_number(json_get(summary, all->metric), &value))
		add_value(g, value);
	mem_free(text);
	cJSON_Delete(spec);
	cJSON_Delete(summary);
}

static cJSON *group_json(struct group *g, const struct leaves *l)
{
	cJSON *o = cJSON_CreateObject(), *diff = cJSON_AddObjectToObject(o, "spec_diff");

	for (int k = 0; k < l->n; k++)
		cJSON_AddItemToObject(diff, l->items[k], value_at(g->spec, l->items[k]));
	cJSON_AddItemToObject(o, "jobs", g->ids);
	g->ids = NULL;
	cJSON_AddNumberToObject(o, "n", g->n);
	cJSON_AddItemToObject(o, "mean", g->n ? json_number(g->mean) : cJSON_CreateNull());
	cJSON_AddItemToObject(o, "std", g->n > 1 ? json_number(sqrt(g->m2 / (g->n - 1))) : cJSON_CreateNull());
	cJSON_AddItemToObject(o, "min", g->n ? json_number(g->min) : cJSON_CreateNull());
	cJSON_AddItemToObject(o, "max", g->n ? json_number(g->max) : cJSON_CreateNull());
	return o;
}

static cJSON *groups_json(struct groups *all)
{
	cJSON **specs = MEM_NEW_N(cJSON *, all->n + 1), *items = cJSON_CreateArray();
	struct leaves *l;

	for (int i = 0; i < all->n; i++)
		specs[i] = all->items[i]->spec;
	l = differences(specs, all->n);
	for (int i = 0; i < all->n; i++)
		cJSON_AddItemToArray(items, group_json(all->items[i], l));
	leaves_free(l);
	mem_free(specs);
	return items;
}

static void groups_free(struct groups *all)
{
	for (int i = 0; i < all->n; i++) {
		cJSON_Delete(all->items[i]->spec);
		cJSON_Delete(all->items[i]->ids);
		mem_free(all->items[i]);
	}
	map_release(&all->by_spec);
	mem_free(all);
}

td_status jobs_groups(struct request *q, struct response *r, struct err *e)
{
	struct job_query query = {
		.project = request_query(q, "project"), .tag = request_query(q, "tag"), .limit = GROUPS_MOST
	};
	struct groups *all = MEM_NEW(struct groups);
	char *next = NULL;

	map_init(&all->by_spec);
	all->metric = request_query(q, "metric");
	if (!all->metric || !*all->metric)
		err_set(e, TD_INVALID,
			"the query needs metric, the series whose last values are grouped, such as test/accuracy");
	else if (!store_job_list(q->reader, &query, add_to_group, all, &next, e))
		respond_list(r, groups_json(all), NULL);
	mem_free(next);
	groups_free(all);
	return e->status;
}
