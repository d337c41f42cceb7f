/* Checking: build a job's model without allocating it, compare it with its data and its memory, and say what it costs.
 */
#include "worker/spec.h"
#include "worker/worker.h"

/* The process before its data: program, libraries, stacks.  Measured: 40 MiB with two threads. */
#define PROCESS_BYTES ((int64_t)48 << 20)

static int64_t data_bytes(const struct spec *s)
{
	const struct data_info *info = spec_dataset(s);
	int64_t n = spec_limit(s) + info->n[DATA_TEST];

	/* a sample's pixels and label, its place in a view, and in the order of an epoch */
	return n * (info->channels * info->height * info->width + 1 + 2 * (int64_t)sizeof(int64_t));
}

/* Memory that a training needs at about its peak: data, parameters, gradients, optimizer, activations, a checkpoint. */
static int64_t spec_bytes(const struct spec *s, const struct nn_model *m)
{
	int64_t n_state = spec_optimizer(s)->n_state(s->optimizer.options), size = (int64_t)td_dtype_size(TD_F32);

	/* parameter, gradient and state; a checkpoint is put together in memory; activations and their gradients */
	return PROCESS_BYTES + data_bytes(s) + m->n_parameters * size * (2 + n_state + 1 + n_state) +
	       2 * (m->activation_bytes + (int64_t)td_shape_bytes(&m->in));
}

/* Floating-point operations of one training step: forward, and about twice that backward. */
static double spec_flops(const struct nn_model *m)
{
	return 3 * m->flops;
}

static bool fits(const struct spec *s, const struct nn_model *m, struct faults *f)
{
	const struct data_info *info = spec_dataset(s);
	struct err why = { 0 };
	int64_t most = s->resources.memory_mb << 20, bytes = spec_bytes(s, m);

	if (!m->n_params) {
		faults_add(f, "/model/layers",
			"no layer has parameters, so there is nothing to train; add a \"linear\" or a \"conv2d\"");
		return false;
	}
	if (!spec_loss(s)->check(&m->out, info->n_classes, info->name, &why)) {
		faults_add(f, m->layers[m->n_layers - 1].pointer, "%s", why.text);
		return false;
	}
	if (bytes > most) {
		faults_add(f, "/resources/memory_mb",
			"this job needs about %lld MiB (%lld parameters, %lld MiB of activations for a batch of %lld), "
			"more than its %lld; "
			"ask for more, or use a smaller model or batch_size",
			(long long)(bytes >> 20), (long long)m->n_parameters, (long long)(m->activation_bytes >> 20),
			(long long)m->in.dim[0], (long long)s->resources.memory_mb);
		return false;
	}
	return true;
}

struct nn_model *spec_model(const struct spec *s, struct faults *faults)
{
	const struct data_info *info = spec_dataset(s);
	int64_t n = TD_MIN(s->data.batch_size, spec_limit(s) - spec_validation(s));
	td_shape in = td_shape_make(TD_F32, 4, n, info->channels, info->height, info->width);
	struct nn_model *m = nn_model_create(&s->model.layers, &in, faults);

	if (m && !fits(s, m, faults)) {
		nn_model_free(m);
		m = NULL;
	}
	return m;
}

/* ---- The answer to a CHECK message ----------------------------------------------------------------------------- */

static cJSON *sizes(const td_shape *s)
{
	cJSON *list = cJSON_CreateArray();

	for (int i = 0; i < s->rank; i++)
		cJSON_AddItemToArray(list, cJSON_CreateNumber((double)s->dim[i]));
	return list;
}

static cJSON *layer_json(const struct nn_model *m, const struct nn_layer *l)
{
	cJSON *o = cJSON_CreateObject();
	int64_t n = 0;

	for (int i = 0; i < l->n_params; i++)
		n += td_shape_count(&m->params[l->first_param + i].shape);
	cJSON_AddStringToObject(o, "pointer", l->pointer);
	cJSON_AddStringToObject(o, "name", l->name);
	cJSON_AddStringToObject(o, "type", l->type->type.name);
	cJSON_AddItemToObject(o, "input", sizes(&l->in));
	cJSON_AddItemToObject(o, "output", sizes(&l->out));
	cJSON_AddNumberToObject(o, "parameters", (double)n);
	cJSON_AddNumberToObject(o, "flops", (double)l->flops);
	return o;
}

static cJSON *faults_json(const struct faults *f)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < f->n; i++) {
		cJSON *o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "pointer", f->items[i].pointer);
		cJSON_AddStringToObject(o, "detail", f->items[i].detail);
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

cJSON *worker_check(const cJSON *check)
{
	cJSON *answer = cJSON_CreateObject(), *layers;
	struct nn_model *m = NULL;
	struct faults faults;
	struct spec spec;

	faults_init(&faults);
	spec_read(json_get(check, "spec"), &spec, &faults);
	if (!faults.n_found)
		m = spec_model(&spec, &faults);
	cJSON_AddItemToObject(answer, "id", cJSON_Duplicate(json_get(check, "id"), true));
	cJSON_AddItemToObject(answer, "faults", faults_json(&faults));
	layers = cJSON_AddArrayToObject(answer, "layers");
	for (int i = 0; m && i < m->n_layers; i++)
		cJSON_AddItemToArray(layers, layer_json(m, &m->layers[i]));
	cJSON_AddNumberToObject(answer, "parameters", m ? (double)m->n_parameters : 0);
	cJSON_AddNumberToObject(answer, "flops", m ? spec_flops(m) : 0);
	cJSON_AddNumberToObject(answer, "bytes", m ? (double)spec_bytes(&spec, m) : 0);
	nn_model_free(m);
	spec_release(&spec);
	faults_release(&faults);
	return answer;
}
