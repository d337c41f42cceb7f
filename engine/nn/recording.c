/* Recording: see recording.h. */
#include "nn/recording.h"
#include "io/npy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- Which value a tensor is now --------------------------------------------------------------------------------- */

/* The map holds numbers from 1 on in place of addresses; NULL: it does not know the tensor. */
static int number_of(const void *place)
{
	return (int)(intptr_t)place - 1;
}

/* -1: it is none yet. */
static int value_of(struct recording *r, const td_value *v)
{
	return number_of(*ptrs_at(&r->seen, v));
}

static void remember(struct recording *r, const td_value *v, int value, bool stays)
{
	*ptrs_at(&r->seen, v) = (void *)((intptr_t)value + 1);
	r->values[value].stays = stays;
}

/* Their addresses may be those of others now. */
static void forget_passing(struct recording *r)
{
	struct ptrs old = r->seen;

	r->seen = (struct ptrs){ 0 };
	for (size_t i = 0; i < old.room; i++) {
		int value = number_of(old.entries[i].value);

		if (value >= 0 && r->values[value].stays)
			remember(r, old.entries[i].key, value, true);
	}
	ptrs_release(&old);
}

/* ---- What a value looks like ------------------------------------------------------------------------------------- */

double recording_element(const void *elements, td_dtype d, int64_t i)
{
	switch (d) {
	case TD_F32: return ((const float *)elements)[i];
	case TD_F64: return ((const double *)elements)[i];
	case TD_I32: return ((const int32_t *)elements)[i];
	case TD_I64: return (double)((const int64_t *)elements)[i];
	case TD_U8:
	case TD_BOOL: return ((const uint8_t *)elements)[i];
	case TD_N_DTYPES: break;
	}
	TD_BUG("a value of type %d", (int)d);
}

static void add_row(struct recording_value *v, int64_t row)
{
	if (v->n_rows < RECORDING_ROWS_MOST)
		v->row[v->n_rows] = row;
	v->n_rows++;
}

/* Of X between LOW and HIGH, halved because their distance may be more than the largest double; half of the smallest
 * ones is 0. */
static int bucket_of(double x, double low, double high)
{
	double width = high / 2 - low / 2, at = width > 0 ? (x / 2 - low / 2) / width : 0;

	return TD_MIN((int)(at * RECORDING_BUCKETS), RECORDING_BUCKETS - 1);
}

static void look_at(struct recording_value *v, const void *elements)
{
	int64_t n = td_shape_count(&v->shape), each = v->by_sample ? n / TD_MAX(v->shape.dim[0], 1) : 0, n_finite = 0;
	int64_t row = -1; /* the last that was added */
	double low = INFINITY, high = -INFINITY, sum = 0, squares = 0;

	for (int64_t i = 0; i < n; i++) {
		double x = recording_element(elements, v->shape.dtype, i);

		if (!isfinite(x)) {
			v->n_non_finite++;
			if (each && row != i / each)
				add_row(v, row = i / each);
			continue;
		}
		v->n_zero += x == 0;
		low = x < low ? x : low;
		high = x > high ? x : high;
		sum += x;
		squares += x * x;
		n_finite++;
	}
	v->min = n_finite ? low : NAN;
	v->max = n_finite ? high : NAN;
	v->mean = n_finite ? sum / (double)n_finite : NAN;
	v->norm = sqrt(squares);
	for (int64_t i = 0; i < n && n_finite; i++) {
		double x = recording_element(elements, v->shape.dtype, i);

		if (isfinite(x))
			v->bucket[bucket_of(x, low, high)]++;
	}
}

/* Write the ELEMENTS of V down, as long as there is room. */
static void keep(struct recording *r, struct recording_value *v, const void *elements)
{
	static const enum npy_type types[TD_N_DTYPES] = { [TD_F32] = NPY_F32,
		[TD_F64] = NPY_F64,
		[TD_I32] = NPY_I32,
		[TD_I64] = NPY_I64,
		[TD_U8] = NPY_U8,
		[TD_BOOL] = NPY_BOOL };
	size_t n_bytes = td_shape_bytes(&v->shape);
	struct buf header;

	if (r->n_bytes + (int64_t)n_bytes > RECORDING_BYTES_MOST) {
		r->truncated = true;
		return;
	}
	buf_init(&header, NPY_HEADER_MOST);
	npy_write_header(&header, types[v->shape.dtype], v->shape.dim, v->shape.rank);
	v->at = r->n_bytes;
	v->n_bytes = (int64_t)(header.len + n_bytes);
	r->n_bytes += v->n_bytes;
	if (fwrite(header.data, header.len, 1, r->file) != 1 || (n_bytes && fwrite(elements, n_bytes, 1, r->file) != 1))
		err_errno(&r->err, "writing the values of a step");
	buf_release(&header);
}

/* V as it is now.  Returns its id; -1: nothing more can be recorded. */
static int add_value(struct recording *r, const td_value *v, const struct recording_value *about)
{
	size_t n_bytes = td_shape_bytes(td_shape_of(v));
	struct recording_value *new;
	void *elements;

	if (r->err.status)
		return -1;
	elements = mem_try_alloc(TD_MAX(n_bytes, 1));
	if (!elements) {
		err_set(&r->err, TD_NO_MEMORY, "no memory to record a value of %zu bytes", n_bytes);
		return -1;
	}
	MEM_GROW(r->values, r->n_values, r->values_room);
	new = &r->values[r->n_values];
	*new = *about;
	new->name = mem_strdup(about->name ? about->name : td_name_of(v));
	new->shape = *td_shape_of(v);
	new->step = r->step;
	new->batch = r->batch;
	new->gradient = -1;
	new->at = -1;
	td_read(v, elements);
	look_at(new, elements);
	keep(r, new, elements);
	mem_free(elements);
	return r->n_values++;
}

/* A tensor that no op of the step has made. */
static int add_leaf(
	struct recording *r, const td_value *v, enum recording_kind kind, const char *name, bool by_sample, bool stays)
{
	int id = add_value(r, v,
		&(struct recording_value){ .kind = kind,
			.name = (char *)name,
			.layer = "",
			.of = -1,
			.producer = -1,
			.by_sample = by_sample });

	if (id >= 0)
		remember(r, v, id, stays);
	return id;
}

/* ---- What runs --------------------------------------------------------------------------------------------------- */

/* The trainer's own layers, which are no model's, say what is done there. */
static enum recording_phase phase_of(const td_event *e)
{
	static const enum recording_phase phases[NN_PARTS] = { [NN_PART_LOSS] = RECORDING_FORWARD,
		[NN_PART_METRICS] = RECORDING_METRICS,
		[NN_PART_ACCUMULATION] = RECORDING_UPDATING,
		[NN_PART_CLIPPING] = RECORDING_UPDATING,
		[NN_PART_OPTIMIZER] = RECORDING_UPDATING,
		[NN_PART_EMA] = RECORDING_UPDATING };

	if (e->backward)
		return RECORDING_BACKWARD;
	for (int i = 0; i < NN_PARTS; i++)
		if (!strcmp(e->layer, nn_parts[i]))
			return phases[i];
	return RECORDING_FORWARD;
}

static bool reads_samples(const struct recording *r, const struct recording_node *n, const td_value *out)
{
	const td_shape *s = td_shape_of(out);

	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0 && r->values[n->in[i]].by_sample)
			return s->rank > 0 && s->dim[0] == r->n_samples;
	return false;
}

static void add_outputs(struct recording *r, const td_event *e, struct recording_node *n)
{
	static const enum recording_kind kinds[RECORDING_PHASES] = { [RECORDING_FORWARD] = RECORDING_ACTIVATION,
		[RECORDING_BACKWARD] = RECORDING_GRADIENT,
		[RECORDING_UPDATING] = RECORDING_GRADIENT,
		[RECORDING_METRICS] = RECORDING_ACTIVATION };
	struct recording_value about = { .kind = kinds[n->phase], .layer = e->layer, .of = -1, .producer = r->n_nodes };

	for (int i = 0; i < e->n_out && n->n_out < RECORDING_OF_NODE_MOST; i++) {
		if (!e->out[i])
			continue;
		about.by_sample = reads_samples(r, n, e->out[i]);
		n->out[n->n_out] = add_value(r, e->out[i], &about);
		if (n->out[n->n_out] >= 0)
			remember(r, e->out[i], n->out[n->n_out], false);
		n->n_out++;
	}
}

/* What an op has changed in place is another value from now on. */
static void add_written(struct recording *r, const td_event *e, struct recording_node *n)
{
	for (int i = 0; i < e->n_in && n->n_out < RECORDING_OF_NODE_MOST; i++) {
		int before = n->in[i], id;

		if (!e->in[i] || !(e->written >> i & 1))
			continue;
		id = add_value(r, e->in[i],
			&(struct recording_value){ .kind = RECORDING_UPDATE,
				.name = before < 0 ? NULL : r->values[before].name,
				.layer = e->layer,
				.of = before,
				.producer = r->n_nodes });
		if (id >= 0)
			remember(r, e->in[i], id, true);
		n->out[n->n_out++] = id;
	}
}

static void add_node(struct recording *r, const td_event *e)
{
	struct recording_node n = { .op = e->op,
		.layer = e->layer,
		.phase = phase_of(e),
		.step = r->step,
		.batch = r->batch,
		.n_in = e->n_in };

	if (r->n_nodes == RECORDING_NODES_MOST) {
		r->truncated = true;
		return;
	}
	for (int i = 0; i < e->n_in; i++) {
		n.in[i] = e->in[i] ? value_of(r, e->in[i]) : -1;
		if (e->in[i] && n.in[i] < 0 && !(e->written >> i & 1))
			n.in[i] = add_leaf(r, e->in[i],
				strncmp(td_name_of(e->in[i]), NN_SUM, sizeof NN_SUM - 1) ? RECORDING_INPUT
											 : RECORDING_STATE,
				NULL, false, false);
	}
	add_outputs(r, e, &n);
	add_written(r, e, &n);
	MEM_GROW(r->nodes, r->n_nodes, r->nodes_room);
	r->nodes[r->n_nodes++] = n;
}

static void add_gradient(struct recording *r, const td_value *v, const td_value *grad)
{
	int of = value_of(r, v), id = value_of(r, grad);

	if (of < 0 || id < 0)
		return;
	r->values[of].gradient = id;
	r->values[id].kind = RECORDING_GRADIENT;
	r->values[id].of = of;
	r->values[id].by_sample = r->values[of].by_sample;
	if (!r->values[id].by_sample)
		r->values[id].n_rows = 0; /* a sample's row in the gradient of a parameter would be chance */
}

/* The tensors of the engine's step are about to go, and some have got names since they were made. */
static void end_step(struct recording *r)
{
	for (size_t i = 0; i < r->seen.room; i++) {
		int value = number_of(r->seen.entries[i].value);

		if (value < 0 || *r->values[value].name || !*td_name_of(r->seen.entries[i].key))
			continue;
		mem_free(r->values[value].name);
		r->values[value].name = mem_strdup(td_name_of(r->seen.entries[i].key));
	}
	forget_passing(r);
}

static void on_event(void *arg, const td_event *e)
{
	struct recording *r = arg;

	switch (e->kind) {
	case TD_EVENT_OP: add_node(r, e); break;
	case TD_EVENT_GRADIENT: add_gradient(r, e->in[0], e->out[0]); break;
	case TD_EVENT_STEP_END: end_step(r); break;
	}
}

/* ---- From outside ------------------------------------------------------------------------------------------------ */

td_status recording_init(struct recording *r, td_ctx *c, const char *path, struct err *e)
{
	*r = (struct recording){ .c = c };
	r->file = fopen(path, "we");
	return r->file ? TD_OK : err_errno(e, "making %s", path);
}

void recording_release(struct recording *r)
{
	recording_end(r);
	for (int i = 0; i < r->n_values; i++)
		mem_free(r->values[i].name);
	if (r->file)
		fclose(r->file);
	mem_free(r->values);
	mem_free(r->nodes);
	ptrs_release(&r->seen);
	*r = (struct recording){ 0 };
}

static void add_state(void *arg, const char *name, td_value *v)
{
	struct recording *r = arg;

	if (value_of(r, v) < 0)
		add_leaf(r, v, RECORDING_STATE, name, false, true);
}

void recording_begin(struct recording *r, struct nn_trainer *t, const struct nn_model *m, int64_t step)
{
	ptrs_release(&r->seen);
	r->step = step;
	r->batch = 0;
	r->n_samples = 0;
	for (int i = 0; i < m->n_params; i++)
		add_leaf(r, m->params[i].value, m->params[i].buffer ? RECORDING_BUFFER : RECORDING_PARAMETER,
			m->params[i].name, false, true);
	nn_trainer_tensors(t, add_state, r);
	td_observe(r->c, on_event, r);
}

static void add_input(struct recording *r, const td_value *v, const char *name)
{
	if (v)
		add_leaf(r, v, RECORDING_INPUT, name, td_shape_of(v)->rank > 0, false);
}

void recording_batch(struct recording *r, int i, const struct nn_batch *b, int64_t n)
{
	r->batch = i;
	r->n_samples = n;
	add_input(r, b->x, "input");
	add_input(r, b->y, "target");
	add_input(r, b->lengths, "lengths");
}

void recording_end(struct recording *r)
{
	if (r->c)
		td_observe(r->c, NULL, NULL);
}

td_status recording_sync(struct recording *r, struct err *e)
{
	FILE *f = r->file;

	if (r->err.status)
		return err_copy(e, &r->err);
	if (fflush(f) || fsync(fileno(f)))
		err_errno(e, "writing the values of a step");
	return e->status;
}
