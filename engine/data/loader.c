/* Loaders: what is common to all kinds of data (see loader.h). */
#include "data/loader.h"
#include "data/mixup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SAMPLES_MOST 2147483647.0 /* that info.json may claim: counts of bytes stay far from overflow */

/* What loader_batch needs besides the caller's rooms; it grows to the largest batch. */
struct batch_room {
	int64_t n;        /* samples that there is room for */
	int64_t *samples; /* owned; [n]: positions in the part */
	int64_t *labels;  /* owned; [n]: classes before they become shares */
	int64_t *partner; /* owned; [n] */
	float *rows;      /* owned; copy of a batch that is mixed; NULL without mixup */
};

static const struct loader_kind *const kinds[] = {
	[PACK_IMAGES] = &load_images,
	[PACK_ARRAYS] = &load_arrays,
	[PACK_TABLE] = &load_table,
	[PACK_TEXT] = &load_text,
	[PACK_LABELLED_TEXT] = &load_labelled_text,
	[PACK_TAGGED_TEXT] = &load_tagged_text,
};

/* ---- For the kinds --------------------------------------------------------------------------------------------- */

bool loader_refuse_info(struct loader *l, struct faults *faults, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	faults_add(faults, "/data/dataset", "the description of dataset %s is damaged: %s; prepare it again",
		l->facts.dataset, text);
	return false;
}

const char *const *loader_read_names(struct loader *l, const cJSON *list, int n_least, int *n)
{
	const cJSON *name;
	const char **names;
	int i = 0;

	*n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1;
	if (*n < n_least || *n > CLASSES_MOST)
		return NULL;
	names = arena_alloc(&l->arena, sizeof *names * (size_t)(*n + 1));
	cJSON_ArrayForEach(name, list)
	{
		if (!cJSON_IsString(name))
			return NULL;
		names[i++] = arena_strdup(&l->arena, name->valuestring);
	}
	return names;
}

bool loader_read_classes(struct loader *l, const cJSON *info, struct faults *faults)
{
	l->facts.class_names = loader_read_names(l, json_get(info, "classes"), 1, &l->facts.n_classes);
	if (!l->facts.class_names)
		return loader_refuse_info(l, faults, "\"classes\" is no list of names");
	l->facts.target = DATA_CLASS;
	l->facts.y = td_shape_make(TD_I64, 0);
	return true;
}

bool loader_refuse_scalings(const struct loader *l, const char *hint, struct faults *faults)
{
	const struct opt_choices *t = &l->options->transforms;
	struct extent none = { .channels = 1 };
	bool good = image_ops_plan(&l->options->augment, "augment", &none, faults);

	for (int i = 0; i < t->n; i++) {
		const struct image_op *op = image_op_of(&t->items[i]);
		char pointer[48];

		if (!op || op->for_targets)
			continue;
		snprintf(pointer, sizeof pointer, "/data/transforms/%d", i);
		faults_add(faults, pointer, "%s does not apply to %s: %s", op->type.name, l->facts.dataset, hint);
		good = false;
	}
	return good;
}

td_status loader_map(const struct loader *l, const char *folder, enum pack_part part, const char *name, int64_t n_bytes,
	struct pack_column *out, struct err *e)
{
	return l->n_part[part] ? pack_map(folder, part, name, n_bytes, out, e) : TD_OK;
}

td_status loader_check_labels(const struct loader *l, enum pack_part part, const char *name, const int32_t *labels,
	int64_t n, int32_t least, int32_t n_classes, struct err *e)
{
	for (int64_t i = 0; i < n; i++)
		if (labels[i] < least || labels[i] >= n_classes)
			return err_set(e, TD_CORRUPT,
				"%s.%s of dataset %s: entry %lld is %d, but there are %d classes, from 0; prepare it "
				"again",
				pack_part_names[part], name, l->facts.dataset, (long long)i, labels[i], n_classes);
	return TD_OK;
}

td_status loader_check_offsets(const struct loader *l, enum pack_part part, const char *name, const int64_t *offsets,
	int64_t n, int64_t end, struct err *e)
{
	for (int64_t i = 0; i <= n; i++)
		if ((i == 0 && offsets[i] != 0) || (i > 0 && offsets[i] < offsets[i - 1]) ||
			(i == n && offsets[i] != end))
			return err_set(e, TD_CORRUPT,
				"%s.%s of dataset %s: entry %lld is %lld, which is out of order; prepare it again",
				pack_part_names[part], name, l->facts.dataset, (long long)i, (long long)offsets[i]);
	return TD_OK;
}

/* ---- Creating -------------------------------------------------------------------------------------------------- */

static bool read_parts(struct loader *l, struct faults *faults)
{
	const cJSON *parts = json_get(l->info, "parts");

	for (int p = 0; p < PACK_PARTS; p++) {
		int64_t n = json_int(json_get(parts, pack_part_names[p]), "samples", 0);

		if (n < 0 || (double)n > SAMPLES_MOST)
			return loader_refuse_info(
				l, faults, "it says %lld samples in part %s", (long long)n, pack_part_names[p]);
		l->n_part[p] = n;
	}
	return true;
}

static bool read_kind(struct loader *l, struct faults *faults)
{
	const char *kind = json_string(l->info, "kind", "");

	if (json_int(l->info, "version", 0) != PACK_VERSION)
		return loader_refuse_info(l, faults, "its version is %lld and not %d",
			(long long)json_int(l->info, "version", 0), PACK_VERSION);
	for (int k = 0; k < PACK_N_KINDS; k++)
		if (!strcmp(kind, pack_kind_names[k])) {
			l->kind = kinds[k];
			l->own = mem_alloc(l->kind->n_bytes);
			return true;
		}
	return loader_refuse_info(l, faults, "it is of kind \"%.40s\", which is not known", kind);
}

/* What options say of data of another kind would be silently without effect. */
static bool check_options_apply(const struct loader *l, struct faults *faults)
{
	const struct data_options *o = l->options;
	bool table = l->kind == &load_table, good = true;
	const struct {
		const char *pointer;
		bool is_given;
	} of_tables[] = { { "/data/features", o->features.n > 0 }, { "/data/target", o->target.n > 0 },
		{ "/data/standardize", o->standardize.n > 0 } };

	for (size_t i = 0; i < TD_COUNT(of_tables); i++)
		if (of_tables[i].is_given && !table) {
			faults_add(faults, of_tables[i].pointer,
				"this is about tables, but %s is of kind %s; leave it out", l->facts.dataset,
				json_string(l->info, "kind", ""));
			good = false;
		}
	return good;
}

/* Classes as shares: asked for, or needed to mix them. */
static bool plan_targets(struct loader *l, struct faults *faults)
{
	const struct data_options *o = l->options;
	bool classes = l->facts.target == DATA_CLASS, good = true;

	for (int i = 0; i < o->transforms.n; i++) {
		const struct image_op *op = image_op_of(&o->transforms.items[i]);
		char pointer[48];

		if (!op || !op->for_targets)
			continue;
		snprintf(pointer, sizeof pointer, "/data/transforms/%d", i);
		if (!classes)
			faults_add(faults, pointer, "%s is for classes, but the targets of %s are none; leave it out",
				op->type.name, l->facts.dataset);
		good &= classes;
		l->facts.target = DATA_SHARES;
	}
	for (int i = 0; i < o->augment.n; i++) {
		const struct image_op *op = image_op_of(&o->augment.items[i]);
		bool fits = l->facts.x.dtype == TD_F32 && l->facts.target != DATA_TOKENS;
		char pointer[48];

		if (!op || !op->for_batches)
			continue;
		snprintf(pointer, sizeof pointer, "/data/augment/%d", i);
		if (!fits)
			faults_add(faults, pointer, "%s mixes numbers, but the inputs are tokens; leave it out",
				op->type.name);
		else if (i != o->augment.n - 1)
			faults_add(faults, pointer, "%s mixes finished samples; put it last", op->type.name);
		good &= fits && i == o->augment.n - 1;
		l->mixup = op;
		l->mixup_options = o->augment.items[i].options;
		if (classes)
			l->facts.target = DATA_SHARES;
	}
	if (l->facts.target == DATA_SHARES)
		l->facts.y = td_shape_make(TD_F32, 1, (int64_t)l->facts.n_classes);
	return good;
}

static bool plan_splits(struct loader *l, struct faults *faults)
{
	const struct data_options *o = l->options;
	int64_t n = l->n_part[PACK_TRAIN], n_test = l->n_part[PACK_TEST], *counts = l->facts.n;
	size_t n_before = faults->n_found;

	split_counts(o, n, n_test, counts);
	if (n < 1)
		faults_add(faults, "/data/dataset", "%s has no training samples", l->facts.dataset);
	else if (o->limit > n)
		faults_add(faults, "/data/limit",
			"%lld is more than the %lld training samples of %s; leave it out to take all",
			(long long)o->limit, (long long)n, l->facts.dataset);
	else if (o->split.test > 0 && n_test)
		faults_add(faults, "/data/split/test", "%s has a test part of its own, of %lld samples; leave this out",
			l->facts.dataset, (long long)n_test);
	else if (counts[DATA_TRAIN] < 1)
		faults_add(faults, o->split.validation > 0 ? "/data/split/validation" : "/data/split/test",
			"%lld samples for validation and %lld for tests leave none of the %lld to train with; take "
			"fewer",
			(long long)counts[DATA_VALIDATION], (long long)(n_test ? 0 : counts[DATA_TEST]),
			(long long)(o->limit ? o->limit : n));
	if (o->split.by == DATA_BY_STRATIFIED && l->facts.target != DATA_CLASS && l->facts.target != DATA_SHARES)
		faults_add(faults, "/data/split/by",
			"\"stratified\" needs a class for each sample, which %s has not; use \"random\" or \"end\"",
			l->facts.dataset);
	return faults->n_found == n_before;
}

struct loader *loader_create(const struct data_options *options, const cJSON *info, struct faults *faults)
{
	struct loader *l = MEM_NEW(struct loader);

	l->options = options;
	arena_init(&l->arena);
	l->info = cJSON_Duplicate(info, true);
	l->facts.dataset = arena_strdup(&l->arena, json_string(l->info, "dataset", options->dataset));
	if (!l->facts.dataset)
		l->facts.dataset = "";
	if (read_kind(l, faults) && read_parts(l, faults) && check_options_apply(l, faults) &&
		l->kind->create(l, l->info, faults) && plan_targets(l, faults) && plan_splits(l, faults)) {
		l->room = MEM_NEW(struct batch_room);
		return l;
	}
	loader_free(l);
	return NULL;
}

static void batch_room_free(struct batch_room *r)
{
	if (!r)
		return;
	mem_free(r->samples);
	mem_free(r->labels);
	mem_free(r->partner);
	mem_free(r->rows);
	mem_free(r);
}

void loader_free(struct loader *l)
{
	if (!l)
		return;
	if (l->own)
		l->kind->release(l->own);
	mem_free(l->own);
	for (int i = 0; i < DATA_SPLITS; i++)
		mem_free(l->view[i].index);
	batch_room_free(l->room);
	cJSON_Delete(l->info);
	arena_release(&l->arena);
	mem_free(l);
}

const struct data_facts *loader_facts(const struct loader *l)
{
	return &l->facts;
}

int64_t loader_bytes(const struct loader *l)
{
	/* While the splits are made: two lists of a part's samples, the splits' own ones together, and what qsort
	 * takes. */
	int64_t samples = l->n_part[PACK_TRAIN] + l->n_part[PACK_TEST], batch = l->options->batch_size;
	int64_t row = td_shape_count(&l->facts.x) + td_shape_count(&l->facts.y);

	return samples * 4 * (int64_t)sizeof(int64_t) + batch * 3 * (int64_t)sizeof(int64_t) +
	       (l->mixup ? batch * row * (int64_t)sizeof(float) : 0) + l->kind->bytes(l);
}

/* ---- Opening --------------------------------------------------------------------------------------------------- */

td_status loader_open(struct loader *l, const char *folder, uint64_t seed, const char **pointer, struct err *e)
{
	const char *none;
	td_status s;

	TD_ASSERT(!l->view[DATA_TRAIN].index);
	if (!pointer)
		pointer = &none;
	*pointer = "/data/dataset";
	l->seed = seed;
	s = l->kind->map(l, folder, pointer, e);
	if (!s)
		s = split_make(l, pointer, e);
	if (!s && l->kind->fit)
		s = l->kind->fit(l, pointer, e);
	return s;
}

void loader_order(const struct loader *l, int64_t epoch, int64_t *order)
{
	struct rng_key key = { .seed = l->seed, .stream = rng_stream("shuffle"), .step = (uint32_t)epoch };
	int64_t n = l->facts.n[DATA_TRAIN];

	if (l->options->shuffle) {
		rng_permutation(&key, n, order);
		return;
	}
	for (int64_t i = 0; i < n; i++)
		order[i] = i;
}

int64_t data_batches(int64_t n, int64_t batch_size)
{
	return n / batch_size + (n % batch_size != 0);
}

/* ---- Batches --------------------------------------------------------------------------------------------------- */

static td_status grow_room(const struct loader *l, int64_t n, struct err *e)
{
	struct batch_room *r = l->room;
	int64_t row = TD_MAX(td_shape_count(&l->facts.x), td_shape_count(&l->facts.y));

	if (n <= r->n)
		return TD_OK;
	mem_free(r->rows);
	r->n = 0;
	r->rows = NULL;
	r->samples = mem_realloc(r->samples, sizeof *r->samples * (size_t)n);
	r->labels = mem_realloc(r->labels, sizeof *r->labels * (size_t)n);
	r->partner = mem_realloc(r->partner, sizeof *r->partner * (size_t)n);
	if (l->mixup) {
		r->rows = mem_try_alloc(sizeof(float) * (size_t)(n * row));
		if (!r->rows)
			return err_set(e, TD_NO_MEMORY, "no memory for mixing %lld samples; use a smaller batch",
				(long long)n);
	}
	r->n = n;
	return TD_OK;
}

static void labels_to_shares(const int64_t *labels, int64_t n, int64_t n_classes, float *shares)
{
	memset(shares, 0, sizeof *shares * (size_t)(n * n_classes));
	for (int64_t i = 0; i < n; i++)
		shares[i * n_classes + labels[i]] = 1.0f;
}

static void mix(const struct loader *l, const struct batch_request *q, const struct data_batch *out)
{
	struct mixing m = { .partner = l->room->partner };

	mixup_draw(l->mixup_options, l->seed, q->epoch, q->samples[0], q->n, &m);
	if (m.lambda == 1)
		return;
	mixup_rows(&m, q->n, td_shape_count(&l->facts.x), out->x, l->room->rows);
	mixup_rows(&m, q->n, td_shape_count(&l->facts.y), out->y, l->room->rows);
}

td_status loader_batch(const struct loader *l, enum data_split split, int64_t epoch, const int64_t *order,
	int64_t first, int64_t n, const struct data_batch *out, struct err *e)
{
	const struct view *v = &l->view[split];
	struct batch_request q = { .part = v->part, .n = n, .epoch = epoch };
	struct data_batch own = *out;
	td_status s = grow_room(l, n, e);

	TD_ASSERT(first >= 0 && n >= 0 && first + n <= v->n);
	if (s || !n)
		return s;
	for (int64_t i = 0; i < n; i++)
		l->room->samples[i] = v->index[order ? order[first + i] : first + i];
	q.samples = l->room->samples;
	if (l->facts.target == DATA_SHARES)
		own.y = l->room->labels;
	s = l->kind->fill(l, &q, &own, e);
	if (s)
		return s;
	if (l->facts.target == DATA_SHARES)
		labels_to_shares(l->room->labels, n, l->facts.n_classes, out->y);
	if (l->mixup && epoch >= 0)
		mix(l, &q, out);
	return TD_OK;
}

/* ---- For people ------------------------------------------------------------------------------------------------ */

cJSON *loader_sample_json(const struct loader *l, enum data_split split, int64_t i)
{
	const struct view *v = &l->view[split];
	cJSON *object = cJSON_CreateObject();

	TD_ASSERT(i >= 0 && i < v->n);
	cJSON_AddNumberToObject(object, "index", (double)v->index[i]);
	l->kind->show(l, v->part, v->index[i], object);
	return object;
}

void loader_describe(const struct loader *l, struct buf *out)
{
	buf_puts(out,
		"Inputs must be prepared as in training: preprocessing.json has the transforms, the vocabulary and\n"
		"the means and deviations, as far as there are any.\n");
	if (l->kind->describe)
		l->kind->describe(l, out);
}

const char *loader_class_name(const struct loader *l, int64_t k)
{
	if (!l->facts.class_names)
		return l->kind->token ? l->kind->token(l, k) : "";
	return k >= 0 && k < l->facts.n_classes ? l->facts.class_names[k] : "";
}

double loader_own_units(const struct loader *l, int k, double value)
{
	return l->kind->own_units ? l->kind->own_units(l, k, value) : value;
}

/* ---- Saving and restoring -------------------------------------------------------------------------------------- */

cJSON *loader_state(const struct loader *l)
{
	cJSON *state = cJSON_CreateObject();

	cJSON_AddItemToObject(state, "info", cJSON_Duplicate(l->info, true));
	l->kind->save(l, state);
	return state;
}

struct loader *loader_restore(const struct data_options *options, const cJSON *state, struct faults *faults)
{
	struct loader *l = loader_create(options, json_get(state, "info"), faults);

	if (!l || l->kind->restore(l, state))
		return l;
	loader_refuse_info(l, faults, "what was fitted on it does not fit its options");
	loader_free(l);
	return NULL;
}
