/* Metrics from the order of the answers: area under the ROC curve, average precision, and the curves themselves.
 *
 * Scores are kept as they come, for every class but of two only the second, and sorted at the end; equal scores make
 * one step of a curve.  Counts are integers, so an area does not depend on the order of the samples.  As in
 * scikit-learn, an area under a ROC curve is not a number where a class never or always occurs, and the precision of
 * what never occurs is 0. */
#include "nn/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCORES_MOST    50000000 /* of all classes together: 200 MB */
#define CLASSES_DRAWN  50       /* curves of a report */
#define CURVE_DECIMALS 1e6      /* more than any screen has pixels */

enum { CURVE_BUCKETS = (NN_CURVE_MOST - 2) / 2 }; /* stretches of a long curve, two points each */

struct ranks {
	const struct data_facts *facts; /* borrowed */
	int64_t n_columns;              /* classes whose scores are kept */
	int64_t n, room;                /* targets so far */
	float *scores;                  /* owned; [n, n_columns] */
	int32_t *labels;                /* owned; [n] */
	bool lost;                      /* a score was not a number, or there was no room: there is no result */
};

static int64_t columns_of(const struct data_facts *f)
{
	return f->n_classes == 2 ? 1 : f->n_classes;
}

static bool ranks_check(const char *name, const struct data_facts *f, struct err *why)
{
	double n = (double)TD_MAX(f->n[DATA_VALIDATION], f->n[DATA_TEST]);

	if (!metric_needs_classes(name, f, why))
		return false;
	n *= (double)columns_of(f) * (f->target == DATA_TOKENS ? (double)f->y.dim[0] : 1);
	if (n <= SCORES_MOST)
		return true;
	err_set(why, TD_TOO_LARGE,
		"%s keeps the scores of a whole split, which are %.0f for %s, more than %d; take a smaller "
		"\"split\", or leave this metric out",
		name, n, f->dataset, SCORES_MOST);
	return false;
}

static void *ranks_create(const void *options, const struct data_facts *f)
{
	struct ranks *s = MEM_NEW(struct ranks);

	(void)options;
	s->facts = f;
	s->n_columns = columns_of(f);
	return s;
}

static void ranks_destroy(void *state)
{
	struct ranks *s = state;

	mem_free(s->scores);
	mem_free(s->labels);
	mem_free(s);
}

/* Room for N targets more. */
static bool ranks_grow(struct ranks *s, int64_t n)
{
	int64_t room = TD_MAX(s->room, 1024), most = SCORES_MOST / s->n_columns;
	float *scores;
	int32_t *labels;

	if (s->n + n <= s->room)
		return true;
	if (s->n + n > most)
		return false;
	while (room < s->n + n)
		room = TD_MIN(room * 2, most);
	scores = mem_try_alloc(sizeof *scores * (size_t)(room * s->n_columns));
	labels = mem_try_alloc(sizeof *labels * (size_t)room);
	if (!scores || !labels) {
		mem_free(scores);
		mem_free(labels);
		return false;
	}
	if (s->n) {
		memcpy(scores, s->scores, sizeof *scores * (size_t)(s->n * s->n_columns));
		memcpy(labels, s->labels, sizeof *labels * (size_t)s->n);
	}
	mem_free(s->scores);
	mem_free(s->labels);
	s->scores = scores;
	s->labels = labels;
	s->room = room;
	return true;
}

static void ranks_add(void *state, const struct nn_answers *a)
{
	struct ranks *s = state;

	if (s->lost || !ranks_grow(s, a->n * a->steps)) {
		s->lost = true;
		return;
	}
	for (int64_t i = 0; i < a->n * a->steps; i++) {
		const float *from = a->answer + i * a->width + (s->n_columns == 1);
		int64_t label = nn_label(a, i);

		if (label < 0 || label >= s->facts->n_classes)
			continue;
		for (int64_t k = 0; k < s->n_columns; k++) {
			s->lost |= isnan(from[k]) != 0;
			s->scores[s->n * s->n_columns + k] = from[k];
		}
		s->labels[s->n++] = (int32_t)label;
	}
}

/* ---- One class: all targets in falling order of its score ------------------------------------------------------ */

/* A target as a number that sorts: the score upside down in the upper bits, then whether it is of the class. */
static uint64_t sort_key(float score, bool positive)
{
	float x = score + 0.0f; /* -0 is 0 */
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	bits = bits >> 31 ? ~bits : bits | 0x80000000u; /* rises with the score */
	return (uint64_t)~bits << 1 | positive;
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Targets up to the present score, and of all. */
struct rank_counts {
	int64_t right, wrong, n_right, n_wrong;
};

/* Calls EACH after every distinct score of column K.  False: no memory. */
static bool ranks_walk(const struct ranks *s, int64_t k, struct rank_counts *counts,
	void (*each)(void *arg, const struct rank_counts *before, const struct rank_counts *now), void *arg)
{
	uint64_t *keys = mem_try_alloc(sizeof *keys * (size_t)TD_MAX(s->n, 1));
	int32_t label = (int32_t)(s->n_columns == 1 ? 1 : k);

	if (!keys)
		return false;
	*counts = (struct rank_counts){ 0 };
	for (int64_t i = 0; i < s->n; i++) {
		keys[i] = sort_key(s->scores[i * s->n_columns + k], s->labels[i] == label);
		counts->n_right += s->labels[i] == label;
	}
	counts->n_wrong = s->n - counts->n_right;
	qsort(keys, (size_t)s->n, sizeof *keys, compare_keys);
	for (int64_t i = 0; i < s->n;) {
		struct rank_counts before = *counts;
		uint64_t score = keys[i] >> 1;

		for (; i < s->n && keys[i] >> 1 == score; i++) {
			counts->right += (int64_t)(keys[i] & 1);
			counts->wrong += (int64_t)(~keys[i] & 1);
		}
		each(arg, &before, counts);
	}
	mem_free(keys);
	return true;
}

/* Twice the pairs of a right and a wrong target that are in order; equal scores are half in order. */
static void add_pairs(void *arg, const struct rank_counts *before, const struct rank_counts *now)
{
	int64_t right = now->right - before->right, tied = now->wrong - before->wrong;

	*(int64_t *)arg += right * (2 * (now->n_wrong - now->wrong) + tied);
}

static double column_auc(const struct ranks *s, int64_t k, struct rank_counts *counts)
{
	int64_t pairs = 0;

	if (!ranks_walk(s, k, counts, add_pairs, &pairs) || !counts->n_right || !counts->n_wrong)
		return NAN;
	return (double)pairs / 2 / ((double)counts->n_right * (double)counts->n_wrong);
}

/* Precision at each score, weighted by the recall that the score adds. */
static void add_precision(void *arg, const struct rank_counts *before, const struct rank_counts *now)
{
	*(double *)arg += (double)(now->right - before->right) * (double)now->right / (double)(now->right + now->wrong);
}

static double column_precision(const struct ranks *s, int64_t k, struct rank_counts *counts)
{
	double sum = 0;

	if (!ranks_walk(s, k, counts, add_precision, &sum))
		return NAN;
	return counts->n_right ? sum / (double)counts->n_right : 0;
}

/* Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve"
 * (Radiology, 1982). */
static double auc_error(double area, const struct rank_counts *n)
{
	double right = (double)n->n_right, wrong = (double)n->n_wrong;
	double q1 = area / (2 - area), q2 = 2 * area * area / (1 + area);
	double variance = area * (1 - area) + (right - 1) * (q1 - area * area) + (wrong - 1) * (q2 - area * area);

	return sqrt(fmax(0, variance) / (right * wrong));
}

static double mean_over_columns(
	const struct ranks *s, double (*of)(const struct ranks *s, int64_t k, struct rank_counts *counts))
{
	struct rank_counts counts;
	double sum = 0;

	if (s->lost || !s->n)
		return NAN;
	for (int64_t k = 0; k < s->n_columns; k++)
		sum += of(s, k, &counts);
	return sum / (double)s->n_columns;
}

/* ---- Curves ---------------------------------------------------------------------------------------------------- */

struct point {
	double x, y;
	int64_t at; /* place on the curve */
};

/* At most NN_CURVE_MOST points of a curve of any length: all, while they are few enough; else its ends, and of each
 * stretch the lowest and the highest. */
struct curve {
	bool roc; /* x, y: false and true positive rate; else recall and precision */
	int64_t n;
	struct point few[NN_CURVE_MOST], last;
	struct {
		bool used;
		struct point low, high;
	} bucket[CURVE_BUCKETS];
};

static void curve_add(struct curve *curve, double x, double y)
{
	double along = curve->roc ? (x + y) / 2 : x; /* 0..1, never falling */
	int b = (int)(along * CURVE_BUCKETS);
	struct point p = { x, y, curve->n };

	if (curve->n < NN_CURVE_MOST)
		curve->few[curve->n] = p;
	b = TD_MIN(b, CURVE_BUCKETS - 1);
	if (!curve->bucket[b].used || y < curve->bucket[b].low.y)
		curve->bucket[b].low = p;
	if (!curve->bucket[b].used || y > curve->bucket[b].high.y)
		curve->bucket[b].high = p;
	curve->bucket[b].used = true;
	curve->last = p;
	curve->n++;
}

static void curve_step(void *arg, const struct rank_counts *before, const struct rank_counts *now)
{
	struct curve *curve = arg;
	double right = (double)now->right, rate = right / (double)now->n_right;

	(void)before;
	if (curve->roc)
		curve_add(curve, (double)now->wrong / (double)now->n_wrong, rate);
	else
		curve_add(curve, rate, right / (double)(now->right + now->wrong));
}

static void put_point(cJSON *xs, cJSON *ys, const struct point *p)
{
	cJSON_AddItemToArray(xs, cJSON_CreateNumber(round(p->x * CURVE_DECIMALS) / CURVE_DECIMALS));
	cJSON_AddItemToArray(ys, cJSON_CreateNumber(round(p->y * CURVE_DECIMALS) / CURVE_DECIMALS));
}

static void put_bucket(cJSON *xs, cJSON *ys, const struct curve *curve, int b)
{
	const struct point *low = &curve->bucket[b].low, *high = &curve->bucket[b].high;
	const struct point *first = low->at < high->at ? low : high, *second = first == low ? high : low;

	if (!curve->bucket[b].used)
		return;
	if (first->at > 0 && first->at < curve->n - 1)
		put_point(xs, ys, first);
	if (second->at != first->at && second->at < curve->n - 1)
		put_point(xs, ys, second);
}

static void put_curve(cJSON *object, const struct curve *curve)
{
	cJSON *xs = cJSON_AddArrayToObject(object, curve->roc ? "fpr" : "recall");
	cJSON *ys = cJSON_AddArrayToObject(object, curve->roc ? "tpr" : "precision");

	if (curve->n <= NN_CURVE_MOST) {
		for (int64_t i = 0; i < curve->n; i++)
			put_point(xs, ys, &curve->few[i]);
		return;
	}
	put_point(xs, ys, &curve->few[0]);
	for (int b = 0; b < CURVE_BUCKETS; b++)
		put_bucket(xs, ys, curve, b);
	put_point(xs, ys, &curve->last);
}

/* The curve of column K, or nothing where it has none. */
static void add_curve(cJSON *list, const struct ranks *s, int64_t k, bool roc)
{
	int64_t class_at = s->n_columns == 1 ? 1 : k;
	struct curve *curve = MEM_NEW(struct curve);
	struct rank_counts counts = { 0 };
	double area = roc ? column_auc(s, k, &counts) : column_precision(s, k, &counts);

	curve->roc = roc;
	curve_add(curve, 0, roc ? 0 : 1); /* above every score */
	if (counts.n_right && (counts.n_wrong || !roc) && ranks_walk(s, k, &counts, curve_step, curve)) {
		cJSON *object = cJSON_CreateObject();

		cJSON_AddItemToObject(object, "class",
			s->facts->class_names ? cJSON_CreateString(s->facts->class_names[class_at])
					      : cJSON_CreateNumber((double)class_at));
		put_curve(object, curve);
		cJSON_AddItemToObject(object, roc ? "auc" : "average_precision", json_number(area));
		cJSON_AddItemToArray(list, object);
	}
	mem_free(curve);
}

static cJSON *ranks_curves(const struct ranks *s, bool roc)
{
	cJSON *list = cJSON_CreateArray();

	for (int64_t k = 0; k < TD_MIN(s->n_columns, CLASSES_DRAWN) && s->n && !s->lost; k++)
		add_curve(list, s, k, roc);
	return list;
}

/* ---- roc_auc --------------------------------------------------------------------------------------------------- */

static bool roc_auc_check(const void *options, const struct data_facts *f, struct err *why)
{
	(void)options;
	return ranks_check("roc_auc", f, why);
}

static void roc_auc_result(void *state, double *value, double *error)
{
	struct ranks *s = state;
	struct rank_counts counts;

	*value = mean_over_columns(s, column_auc);
	*error = NAN;
	if (s->n_columns == 1 && !isnan(*value)) {
		column_auc(s, 0, &counts);
		*error = auc_error(*value, &counts);
	}
}

static cJSON *roc_auc_curves(void *state)
{
	return ranks_curves(state, true);
}

const struct nn_metric_type nn_metric_roc_auc = {
	.type = { .name = "roc_auc",
		.doc = "Area under the ROC curve: of the second of two classes, or the mean of each class against the "
		       "rest." },
	.check = roc_auc_check,
	.create = ranks_create,
	.add = ranks_add,
	.result = roc_auc_result,
	.curves = roc_auc_curves,
	.curve = "roc",
	.destroy = ranks_destroy,
};

/* ---- average_precision ----------------------------------------------------------------------------------------- */

static bool average_precision_check(const void *options, const struct data_facts *f, struct err *why)
{
	(void)options;
	return ranks_check("average_precision", f, why);
}

static void average_precision_result(void *state, double *value, double *error)
{
	*value = mean_over_columns(state, column_precision);
	*error = NAN;
}

static cJSON *average_precision_curves(void *state)
{
	return ranks_curves(state, false);
}

const struct nn_metric_type nn_metric_average_precision = {
	.type = { .name = "average_precision",
		.doc = "Area under the curve of precision over recall: of the second of two classes, or the mean of "
		       "each class against the rest." },
	.check = average_precision_check,
	.create = ranks_create,
	.add = ranks_add,
	.result = average_precision_result,
	.curves = average_precision_curves,
	.curve = "pr",
	.destroy = ranks_destroy,
};
