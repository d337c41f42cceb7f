/* Checking: build a job's model without allocating it, compare it with its data and its memory, and say what it costs.
 *
 * The data is known by the info of its pack alone; where even that is not there yet, only what needs no shapes is
 * checked, and the rest when the job starts. */
#include "worker/spec.h"
#include "worker/worker.h"
#include "base/map.h"
#include "io/io.h"

#include <string.h>

/* Floating-point operations of one training step: forward, and about twice that backward. */
static double step_flops(const struct spec *s, const struct nn_model *m)
{
	return 3 * m->flops * (double)s->train.accumulate;
}

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
		if (!m->params[l->param_at[i]].buffer)
			n += td_shape_count(&m->params[l->param_at[i]].shape);
	cJSON_AddStringToObject(o, "pointer", l->pointer);
	cJSON_AddStringToObject(o, "name", l->name);
	cJSON_AddStringToObject(o, "type", l->type->type.name);
	cJSON_AddItemToObject(o, "input", sizes(&l->in[0]));
	cJSON_AddItemToObject(o, "output", sizes(&l->out));
	cJSON_AddNumberToObject(o, "parameters", (double)n);
	cJSON_AddNumberToObject(o, "flops", (double)l->flops);
	return o;
}

cJSON *worker_faults(const struct faults *f)
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

cJSON *worker_warning(const td_warning *w)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "code", w->code);
	cJSON_AddStringToObject(o, "layer", w->layer);
	cJSON_AddStringToObject(o, "text", w->text);
	return o;
}

static void add_warning(void *arg, const td_warning *w)
{
	cJSON_AddItemToArray(arg, worker_warning(w));
}

cJSON *worker_metric_names(const struct spec *s)
{
	cJSON *list = cJSON_CreateArray();
	char name[NN_METRIC_NAME];

	for (int i = 0; i < s->metrics.n; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(nn_metric_name(&s->metrics.items[i], name)));
	return list;
}

/* What is known of S with its data: the model's layers and costs, the length of the training, the metrics in force. */
static void add_costs(
	cJSON *answer, const struct spec *s, const struct nn_model *m, const struct loader *l, int64_t n_bytes)
{
	const struct data_facts *facts = loader_facts(l);
	cJSON *layers = cJSON_AddArrayToObject(answer, "layers"), *samples;

	for (int i = 0; i < m->n_layers; i++)
		cJSON_AddItemToArray(layers, layer_json(m, &m->layers[i]));
	cJSON_AddNumberToObject(answer, "parameters", (double)m->n_parameters);
	cJSON_AddNumberToObject(answer, "flops", step_flops(s, m));
	cJSON_AddNumberToObject(answer, "bytes", (double)n_bytes);
	cJSON_AddNumberToObject(answer, "steps", (double)spec_steps(s, facts->n[DATA_TRAIN]));
	samples = cJSON_AddObjectToObject(answer, "samples");
	cJSON_AddNumberToObject(samples, "train", (double)facts->n[DATA_TRAIN]);
	cJSON_AddNumberToObject(samples, "validation", (double)facts->n[DATA_VALIDATION]);
	cJSON_AddNumberToObject(samples, "test", (double)facts->n[DATA_TEST]);
	cJSON_AddItemToObject(answer, "metrics", worker_metric_names(s));
}

static void add_nothing(cJSON *answer)
{
	cJSON_AddArrayToObject(answer, "layers");
	cJSON_AddNumberToObject(answer, "parameters", 0);
	cJSON_AddNumberToObject(answer, "flops", 0);
	cJSON_AddNumberToObject(answer, "bytes", 0);
}

/* ---- The weights that a job goes on from ------------------------------------------------------------------------- */

static bool same_sizes(const td_shape *s, const cJSON *list)
{
	const cJSON *size = list ? list->child : NULL;

	for (int i = 0; i < s->rank; i++, size = size->next)
		if (!size || size->valuedouble != (double)s->dim[i])
			return false;
	return !size;
}

/* P, of the layer that stands at POINTER, is in FILE (name -> its sizes) as the model has it. */
static void check_weight(const struct nn_param *p, const char *pointer, const struct map *file, struct faults *faults)
{
	const cJSON *have = map_get(file, p->name);
	char want[TD_SHAPE_TEXT], *text;

	if (!have) {
		faults_add(faults, pointer, "the checkpoint has no \"%s\": it belongs to another model", p->name);
	} else if (!same_sizes(&p->shape, have)) {
		text = json_print(have);
		faults_add(faults, pointer, "\"%s\" is %s, but %s in the checkpoint: it belongs to another model",
			p->name, td_shape_text(&p->shape, want), text);
		mem_free(text);
	}
}

/* Those of a checkpoint are the model's, all of them and no others, as io/ asks for when the job starts. */
static void check_weights(const struct nn_model *m, const cJSON *weights, struct faults *faults)
{
	const size_t n_prefix = strlen(CHECKPOINT_MODEL);
	size_t n_before = faults->n_found;
	const cJSON *w;
	struct map file;
	int n = 0;

	map_init(&file);
	cJSON_ArrayForEach(w, weights)
	{
		const char *name = json_string(w, "name", "");

		if (strncmp(name, CHECKPOINT_MODEL, n_prefix) != 0)
			continue;
		map_put(&file, name + n_prefix, (void *)json_get(w, "shape"));
		n++;
	}
	for (int i = 0; i < m->n_layers; i++)
		for (int k = 0; k < m->layers[i].n_params; k++)
			check_weight(&m->params[m->layers[i].param_at[k]], m->layers[i].pointer, &file, faults);
	if (faults->n_found == n_before && n != m->n_params)
		faults_add(faults, "/model",
			"the checkpoint has %d tensors, and this model %d: it belongs to another model", n,
			m->n_params);
	map_release(&file);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* JSON, a spec, on the data of CHECK, which goes on from WEIGHTS (or NULL). */
static cJSON *check_spec(const cJSON *check, const cJSON *json, const cJSON *weights)
{
	const cJSON *info = json_get(check, "data");
	cJSON *answer = cJSON_CreateObject(), *warnings;
	struct nn_model *m = NULL;
	struct loader *l = NULL;
	struct faults faults;
	int64_t n_bytes = 0;
	struct spec spec;

	faults_init(&faults);
	spec_read(json, &spec, &faults);
	if (!faults.n_found && cJSON_IsObject(info))
		l = loader_create(&spec.data, info, &faults);
	if (l)
		spec_meet_data(&spec, loader_facts(l), &faults);
	if (l && !faults.n_found)
		m = spec_model(&spec, loader_facts(l), &faults);
	if (m && weights)
		check_weights(m, weights, &faults);
	warnings = cJSON_AddArrayToObject(answer, "warnings");
	if (m)
		n_bytes = spec_rehearse(&spec, m, loader_facts(l), loader_bytes(l), add_warning, warnings, &faults);
	cJSON_AddItemToObject(answer, "faults", worker_faults(&faults));
	if (m)
		add_costs(answer, &spec, m, l, n_bytes);
	else
		add_nothing(answer);
	nn_model_free(m);
	loader_free(l);
	spec_release(&spec);
	faults_release(&faults);
	return answer;
}

cJSON *worker_check(const cJSON *check)
{
	cJSON *answer = check_spec(check, json_get(check, "spec"), json_get(check, "weights"));
	const cJSON *list = json_get(check, "others"), *other;
	cJSON *others = list ? cJSON_AddArrayToObject(answer, "others") : NULL;

	cJSON_AddItemToObject(answer, "id", cJSON_Duplicate(json_get(check, "id"), true));
	cJSON_ArrayForEach(other, list)
	{
		cJSON *of = check_spec(check, other, NULL);

		cJSON_AddItemToArray(others, cJSON_DetachItemFromObjectCaseSensitive(of, "faults"));
		cJSON_Delete(of);
	}
	return answer;
}
