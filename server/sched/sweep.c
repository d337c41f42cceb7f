/* Sweeps as a pure function of their document and their children's values: see sweep.h. */
#include "sched/sweep.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- The document ------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	int n; /* numbers it takes */
} axis_kinds[] = {
	[AXIS_VALUES] = { "values", 0 },
	[AXIS_UNIFORM] = { "uniform", 2 },
	[AXIS_LOG_UNIFORM] = { "log_uniform", 2 },
	[AXIS_INT_UNIFORM] = { "int_uniform", 2 },
	[AXIS_QUANTIZED] = { "quantized", 3 },
};

static const char *const strategy_names[] = { [SWEEP_GRID] = "grid", [SWEEP_RANDOM] = "random", [SWEEP_ASHA] = "asha" };

static int index_of(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (name && !strcmp(name, names[i]))
			return i;
	return -1;
}

/* The pointer of member NAME of /space, with WHAT below it. */
static char *space_pointer(const char *name, const char *what)
{
	char token[600];

	json_pointer_token(name, token, sizeof token);
	return mem_printf("/space/%s%s%s", token, *what ? "/" : "", what);
}

static const char *range_fault(enum sweep_kind kind, const double *v)
{
	if (kind == AXIS_LOG_UNIFORM && v[0] <= 0)
		return "a logarithmic range begins above 0";
	if (v[0] > v[1] || (v[0] == v[1] && kind != AXIS_INT_UNIFORM))
		return "the first number is the lower end, the second the upper one";
	if (kind == AXIS_INT_UNIFORM && (v[0] != floor(v[0]) || v[1] != floor(v[1]) || v[1] - v[0] > 1e9))
		return "both ends are integers, at most 10^9 apart";
	if (kind == AXIS_QUANTIZED && (v[2] <= 0 || v[2] > v[1] - v[0]))
		return "the third number is the distance between values: above 0, and no more than the range";
	return NULL;
}

static const char *read_range(const cJSON *given, struct sweep_axis *axis)
{
	int n = axis_kinds[axis->kind].n;
	double v[3] = { 0 };

	if (!cJSON_IsArray(given) || cJSON_GetArraySize(given) != n)
		return n == 3 ? "expected [low, high, step]" : "expected [low, high]";
	for (int i = 0; i < n; i++) {
		const cJSON *number = cJSON_GetArrayItem(given, i);
		if (!cJSON_IsNumber(number) || !isfinite(number->valuedouble))
			return "every end of a range is a number";
		v[i] = number->valuedouble;
	}
	axis->low = v[0];
	axis->high = v[1];
	axis->quantum = v[2];
	return range_fault(axis->kind, v);
}

static void read_axis(const cJSON *given, struct sweep_axis *axis, struct faults *f)
{
	const char *names[TD_COUNT(axis_kinds)], *wrong = NULL;
	const cJSON *only = cJSON_IsObject(given) ? given->child : NULL;
	char *pointer = space_pointer(given->string, only ? only->string : "");
	int kind;

	for (size_t i = 0; i < TD_COUNT(names); i++)
		names[i] = axis_kinds[i].name;
	kind = only && !only->next ? index_of(only->string, names, TD_COUNT(names)) : -1;
	axis->pointer = given->string;
	axis->kind = (enum sweep_kind)TD_MAX(kind, 0);
	if (*given->string != '/')
		wrong = "its name is a pointer into the job, such as \"/optimizer/lr\"";
	else if (kind < 0)
		wrong = "expected one of {\"values\": [...]}, {\"uniform\": [low, high]}, {\"log_uniform\": [low, "
			"high]}, {\"int_uniform\": [low, high]}, {\"quantized\": [low, high, step]}";
	else if (kind != AXIS_VALUES)
		wrong = read_range(only, axis);
	else if (!cJSON_IsArray(only) || !only->child)
		wrong = "expected an array with at least one value";
	axis->values = only;
	if (wrong)
		faults_add(f, pointer, "%s", wrong);
	mem_free(pointer);
}

static void read_space(const cJSON *space, struct sweep *s, struct faults *f)
{
	const cJSON *given;

	if (!cJSON_IsObject(space) || !space->child)
		faults_add(f, "/space",
			"expected an object of pointers and what they take: {\"/optimizer/lr\": {\"values\": [0.1, "
			"0.01]}}");
	cJSON_ArrayForEach(given, space)
	{
		if (s->n_axes == SWEEP_AXES_MOST) {
			faults_add(f, "/space", "a sweep varies at most %d fields", SWEEP_AXES_MOST);
			return;
		}
		read_axis(given, &s->axes[s->n_axes++], f);
	}
}

/* Points of the grid, or more than SWEEP_JOBS_MOST. */
static int64_t grid_points(const struct sweep *s)
{
	int64_t n = 1;

	for (int i = 0; i < s->n_axes && n <= SWEEP_JOBS_MOST; i++)
		n *= cJSON_GetArraySize(s->axes[i].values);
	return n;
}

static void read_grid(struct sweep *s, struct faults *f)
{
	int64_t n;

	for (int i = 0; i < s->n_axes; i++)
		if (s->axes[i].kind != AXIS_VALUES) {
			char *pointer = space_pointer(s->axes[i].pointer, axis_kinds[s->axes[i].kind].name);
			faults_add(f, pointer,
				"a grid needs {\"values\": [...]} everywhere; the strategies random and asha draw from "
				"ranges");
			mem_free(pointer);
			return;
		}
	n = grid_points(s);
	if (n > SWEEP_JOBS_MOST)
		faults_add(f, "/space",
			"the grid has more than %d points, the most that a sweep may have; take values out",
			SWEEP_JOBS_MOST);
	else if (n > s->max_jobs)
		faults_add(f, "/max_jobs", "the grid has %d points and max_jobs is %d; raise it, or take values out",
			(int)n, s->max_jobs);
	s->max_jobs = (int)TD_MIN(n, s->max_jobs);
}

static void read_asha(const cJSON *asha, struct sweep *s, struct faults *f)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, asha)
	{
		if (strcmp(member->string, "min_steps") && strcmp(member->string, "eta") &&
			strcmp(member->string, "median"))
			faults_add(f, "/asha", "there is no \"%.60s\"; it takes min_steps, eta and median",
				member->string);
	}
	s->min_steps = json_int(asha, "min_steps", 0);
	s->eta = (int)json_int(asha, "eta", 3);
	s->median = json_bool(asha, "median", false);
	if (s->min_steps < 1)
		faults_add(
			f, "/asha", "asha needs min_steps, the steps before the first decision: {\"min_steps\": 500}");
	if (s->eta < 2 || s->eta > 10)
		faults_add(f, "/asha/eta", "eta is %d; of the jobs at a rung one in eta goes on, with eta from 2 to 10",
			s->eta);
	if (!strncmp(s->metric, "test/", 5))
		faults_add(f, "/metric",
			"\"%.80s\" is known only when a job has ended; asha decides while it runs: name a series of "
			"val/ or train/",
			s->metric);
}

static int read_count(const cJSON *document, const char *name, int most, int otherwise, struct faults *f)
{
	const cJSON *v = json_get(document, name);
	char pointer[40];

	if (!v || (json_is_integer(v) && v->valuedouble >= 1 && v->valuedouble <= most))
		return v ? (int)v->valuedouble : otherwise;
	snprintf(pointer, sizeof pointer, "/%s", name);
	faults_add(f, pointer, "expected an integer from 1 to %d", most);
	return otherwise;
}

static const char *split_of(const char *metric)
{
	static const char *const splits[] = { "train/", "val/", "test/" };

	for (size_t i = 0; i < TD_COUNT(splits); i++)
		if (!strncmp(metric, splits[i], strlen(splits[i])) && metric[strlen(splits[i])])
			return splits[i];
	return NULL;
}

void sweep_read(const cJSON *document, struct sweep *out, struct faults *f)
{
	const char *goal = json_string(document, "goal", NULL);
	int strategy = index_of(json_string(document, "strategy", "random"), strategy_names, TD_COUNT(strategy_names));
	const cJSON *seed = json_get(document, "seed");

	*out = (struct sweep){ .metric = json_string(document, "metric", ""), .eta = 3 };
	if (!split_of(out->metric))
		faults_add(f, "/metric",
			"\"%.80s\" is no series of a job; expected one such as \"val/accuracy\" or \"val/loss\"",
			out->metric);
	if (!goal || (strcmp(goal, "max") && strcmp(goal, "min")))
		faults_add(f, "/goal", "expected \"max\" or \"min\": whether a large %s is good",
			*out->metric ? out->metric : "metric");
	if (strategy < 0)
		faults_add(f, "/strategy", "expected \"grid\", \"random\" or \"asha\"");
	if (seed && (!json_is_integer(seed) || seed->valuedouble < 0))
		faults_add(f, "/seed", "expected an integer from 0");
	out->maximise = goal && !strcmp(goal, "max");
	out->strategy = (enum sweep_strategy)TD_MAX(strategy, 0);
	out->seed = (uint64_t)TD_MAX(json_int(document, "seed", 0), 0);
	out->max_jobs =
		read_count(document, "max_jobs", SWEEP_JOBS_MOST, out->strategy == SWEEP_GRID ? SWEEP_JOBS_MOST : 0, f);
	out->parallel = read_count(document, "parallel", SWEEP_PARALLEL_MOST, 1, f);
	read_space(json_get(document, "space"), out, f);
	if (!out->max_jobs)
		faults_add(f, "", "a sweep that draws needs max_jobs, the number of its jobs");
	if (f->n_found)
		return;
	if (out->strategy == SWEEP_GRID)
		read_grid(out, f);
	if (out->strategy == SWEEP_ASHA)
		read_asha(json_get(document, "asha"), out, f);
}

/* ---- Parameters -------------------------------------------------------------------------------------------------- */

/* Uniform in [0, 1), 53 bits. */
static double unit(const struct sweep *s, const char *axis, int index)
{
	struct rng_key key = { .seed = s->seed, .stream = rng_stream(axis), .step = (uint32_t)index };
	uint32_t bits[4];

	rng_block(&key, 0, bits);
	return (double)(((uint64_t)bits[0] << 32 | bits[1]) >> 11) * 0x1p-53;
}

static cJSON *draw(const struct sweep_axis *a, double u)
{
	double v = 0;

	switch (a->kind) {
	case AXIS_VALUES:
		return cJSON_Duplicate(cJSON_GetArrayItem(a->values, (int)(u * cJSON_GetArraySize(a->values))), true);
	case AXIS_UNIFORM: v = a->low + u * (a->high - a->low); break;
	case AXIS_LOG_UNIFORM: v = exp(log(a->low) + u * (log(a->high) - log(a->low))); break;
	case AXIS_INT_UNIFORM: v = a->low + floor(u * (a->high - a->low + 1)); break;
	/* A range that is a whole number of steps but for rounding includes its end. */
	case AXIS_QUANTIZED:
		v = a->low + a->quantum * floor(u * (floor((a->high - a->low) / a->quantum + 1e-9) + 1));
		break;
	}
	return cJSON_CreateNumber(fmin(fmax(v, a->low), a->high));
}

/* Child INDEX's place on each axis of a grid; the last axis varies fastest. */
static const cJSON *grid_value(const struct sweep *s, int axis, int index)
{
	int behind = 1;

	for (int i = s->n_axes - 1; i > axis; i--)
		behind *= cJSON_GetArraySize(s->axes[i].values);
	return cJSON_GetArrayItem(s->axes[axis].values, index / behind % cJSON_GetArraySize(s->axes[axis].values));
}

cJSON *sweep_params(const struct sweep *s, int index)
{
	cJSON *params = cJSON_CreateObject();

	for (int i = 0; i < s->n_axes; i++) {
		const struct sweep_axis *a = &s->axes[i];
		cJSON *v = s->strategy == SWEEP_GRID ? cJSON_Duplicate(grid_value(s, i, index), true)
						     : draw(a, unit(s, a->pointer, index));
		cJSON_AddItemToObject(params, a->pointer, v);
	}
	return params;
}

/* ---- asha -------------------------------------------------------------------------------------------------------- */

bool sweep_better(const struct sweep *s, double a, double b)
{
	if (isnan(a) || isnan(b))
		return !isnan(a) && isnan(b);
	return s->maximise ? a > b : a < b;
}

int64_t sweep_rung_step(const struct sweep *s, int rung)
{
	int64_t step = s->min_steps;

	for (int i = 0; i < rung; i++) {
		if (step > INT64_MAX / s->eta)
			return INT64_MAX;
		step *= s->eta;
	}
	return step;
}

/* What is known of C at RUNG.  True: a value, or that there will be none (*HAS false).  A child that has ended may
 * still come to a further rung when the one before is decided in its favour. */
static bool known_at(const struct sweep_child *c, int rung, bool *has, double *value)
{
	bool decided = rung < c->n_passed || (c->stopped && rung == c->n_passed);

	*has = decided || (rung == c->n_passed && !c->stopped && c->has_next);
	if (*has)
		*value = decided ? c->value[rung] : c->next;
	return *has || c->stopped || (c->over && !c->has_next);
}

/* Whether the last of M values passes; *RANK: how many stand before it, equals that came earlier among them. */
static bool passes(const struct sweep *s, const double *values, int m, int *rank)
{
	double own = values[m - 1];
	int n_best = (m + s->eta - 1) / s->eta, n_better = 0;

	*rank = 0;
	for (int i = 0; i < m - 1; i++) {
		*rank += !sweep_better(s, own, values[i]);
		n_better += sweep_better(s, values[i], own);
	}
	if (s->median && m >= 3 && n_better >= (m + 1) / 2) /* then it is worse than the median */
		return false;
	return m < s->eta || *rank < n_best;
}

/* Decide about the children at RUNG, in their order, up to the first of which too little is known.  A decision made
 * here does not give its child a further one: its value at the next rung is read after this one is stored. */
static int decide_at(const struct sweep *s, const struct sweep_child *children, int n, int rung, double *values,
	struct sweep_decision *out, int most)
{
	int m = 0, n_out = 0;

	for (int i = 0; i < n && n_out < most; i++) {
		const struct sweep_child *c = &children[i];
		double value = 0;
		bool has, pass;
		int rank;

		if (!known_at(c, rung, &has, &value))
			break;
		if (!has)
			continue;
		values[m++] = value;
		if (rung != c->n_passed || c->stopped)
			continue; /* decided before */
		pass = passes(s, values, m, &rank);
		out[n_out++] = (struct sweep_decision){
			.child = i, .rung = rung, .pass = pass, .value = value, .rank = rank, .m = m
		};
	}
	return n_out;
}

int sweep_decide(const struct sweep *s, const struct sweep_child *children, int n, struct sweep_decision *out, int most)
{
	double *values = MEM_NEW_N(double, n + 1);
	int n_out = 0;

	for (int rung = 0; rung < SWEEP_RUNGS_MOST && s->strategy == SWEEP_ASHA; rung++)
		n_out += decide_at(s, children, n, rung, values, out + n_out, most - n_out);
	mem_free(values);
	return n_out;
}
