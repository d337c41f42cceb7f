/* Prediction: what a trained model says of inputs that somebody sent.
 *
 * Nothing of the job is needed but its spec, its weights, and what was fitted on its training data; each question reads
 * them anew, so a predictor has no state and no cache that could be stale.  Inputs go through the model in batches of
 * the job's size; the daemon watches time and memory from outside. */
#include "worker/predict.h"
#include "worker/run.h"
#include "worker/worker.h"
#include "data/text.h"

#include <string.h>

#define STATE_MOST   (256u << 20)       /* bytes of preprocessing.json: a vocabulary of millions of words */
#define BODY_MOST    (33u << 20)        /* bytes of an input; the daemon takes 32 MiB */
#define WEIGHTS_MOST ((int64_t)8 << 30) /* bytes of a weights file; the process's memory limit is lower */
#define TOP_DEFAULT  5
#define ENTRIES_MOST 200000 /* numbers and labels of one answer, all inputs together: it fits into a message */

/* ---- Getting ready ----------------------------------------------------------------------------------------------- */

/* An error that is not about one place of the input. */
static bool fault_of(struct prediction *p, const struct err *e, const char *pointer)
{
	faults_add(&p->faults, pointer, "%s", e->text);
	return false;
}

static bool read_file(struct prediction *p, const char *path, size_t most, struct buf *out)
{
	struct err e = { 0 };

	buf_init(out, most);
	return !file_read(path, out, &e) || fault_of(p, &e, "");
}

static bool read_loader(struct prediction *p)
{
	struct err e = { 0 };
	struct buf text;
	cJSON *state = NULL;

	if (read_file(p, json_string(p->question, "preprocessing", ""), STATE_MOST, &text)) {
		state = json_parse(text.data ? text.data : "", text.len, &e);
		if (state)
			p->loader = loader_restore(&p->spec.data, json_get(state, "state"), &p->faults);
		else
			fault_of(p, &e, "");
	}
	cJSON_Delete(state);
	buf_release(&text);
	return p->loader && !p->faults.n_found;
}

static bool read_input(struct prediction *p)
{
	const char *media_type = json_string(p->question, "media_type", "application/json");

	return read_file(p, json_string(p->question, "input", ""), BODY_MOST, &p->body) &&
	       loader_input(
		       p->loader, media_type, p->body.data ? p->body.data : "", p->body.len, &p->input, &p->faults);
}

/* One sample as it was sent: text may be longer or shorter than the training's. */
static td_shape sample_shape(const struct prediction *p)
{
	td_shape x = loader_facts(p->loader)->x;

	if (p->input.steps)
		x.dim[0] = p->input.steps;
	return x;
}

/* Elements of each of N, which have COUNT together. */
static int64_t each_of(int64_t count, int64_t n)
{
	return count / TD_MAX(n, 1);
}

/* The model for samples of shape X. */
static struct nn_model *make_model(struct prediction *p, const td_shape *x)
{
	const struct data_facts *facts = loader_facts(p->loader);
	td_shape in = spec_batch_shape(x, TD_MIN(p->spec.data.batch_size, p->input.n));

	return nn_model_create(&p->spec.model, &in, facts->n_tokens, facts->has_lengths, &p->faults);
}

/* The layers say what does not fit of a sample that is longer or shorter than the training's, but the model is the
 * training's: as many positions have a row as there were. */
static bool make_trained_model(struct prediction *p)
{
	td_shape trained = loader_facts(p->loader)->x, sample = sample_shape(p);
	struct nn_model *sent = td_shape_same(&trained, &sample) ? NULL : make_model(p, &sample);

	p->model = p->faults.n_found ? NULL : make_model(p, &trained);
	if (p->model) {
		const td_shape *out = sent ? &sent->out : &p->model->out;

		p->n_outputs = each_of(td_shape_count(out), out->dim[0]);
	}
	nn_model_free(sent);
	return p->model != NULL;
}

static bool load_model(struct prediction *p)
{
	struct safetensors file;
	struct buf notes;
	struct err e = { 0 };
	bool ok;

	if (!make_trained_model(p))
		return false;
	p->c = td_ctx_create(&(td_ctx_options){ .threads = (int)json_int(p->question, "threads", 1), .seed = 1 });
	if (nn_model_allocate(p->model, p->c, 0))
		return fault_of(p, td_error(p->c), "");
	if (weights_read(json_string(p->question, "weights", ""), WEIGHTS_MOST, &file, &e))
		return fault_of(p, &e, "");
	buf_init(&notes, 1 << 16);
	ok = nn_model_load(p->model, &file, true, &(struct opt_strings){ 0 }, &notes, &p->faults);
	buf_release(&notes);
	safetensors_release(&file);
	return ok && !p->faults.n_found;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

bool prediction_run(struct prediction *p, const void *x, const int64_t *lengths, const td_shape *sample, int64_t n,
	struct answered *out)
{
	td_shape in = spec_batch_shape(sample, n), of_lengths = td_shape_make(TD_I64, 1, n);
	struct nn_pass pass = { .c = p->c };
	td_value *input = td_tensor(p->c, &in, x), *output, *answer;

	*out = (struct answered){ 0 };
	pass.lengths = lengths ? td_tensor(p->c, &of_lengths, lengths) : NULL;
	td_step_begin(p->c);
	td_no_grad_begin(p->c);
	output = nn_forward(p->model, &pass, input);
	answer = spec_loss(&p->spec)->answer(p->c, p->spec.loss.options, output);
	if (answer) {
		out->shape = *td_shape_of(answer);
		out->answer = mem_try_alloc(td_shape_bytes(&out->shape));
		out->n_output = td_shape_count(td_shape_of(output));
		out->output = mem_try_alloc(td_shape_bytes(td_shape_of(output)));
	}
	if (out->answer && out->output) {
		td_read(answer, out->answer);
		td_read(output, out->output);
	} else if (!td_error(p->c)->status) {
		td_fail(p->c, TD_NO_MEMORY, "no memory for the answers to %lld inputs", (long long)n);
	}
	td_no_grad_end(p->c);
	td_step_end(p->c);
	td_unref(input);
	td_unref(pass.lengths);
	return !td_error(p->c)->status || fault_of(p, td_error(p->c), "/inputs");
}

void answered_release(struct answered *a)
{
	mem_free(a->answer);
	mem_free(a->output);
	*a = (struct answered){ 0 };
}

/* ---- In words ---------------------------------------------------------------------------------------------------- */

static void add_label(const struct prediction *p, cJSON *o, const float *v, int64_t n_classes)
{
	cJSON *top = report_top(p->loader, v, n_classes, TD_MAX(p->top, 1)), *first = top->child;

	cJSON_AddStringToObject(o, "label", json_string(first, "label", ""));
	cJSON_AddItemToObject(o, "probability", cJSON_Duplicate(json_get(first, "probability"), true));
	cJSON_AddItemToObject(o, "top", top);
}

/* Input I as it was sent, for its words; NULL: it was no text. */
static const char *input_text(const struct prediction *p, int64_t i)
{
	const cJSON *text = cJSON_GetArrayItem(json_get(p->json, "inputs"), (int)i);

	return cJSON_IsString(text) ? text->valuestring : NULL;
}

/* [["word", "TAG"], ...] of input I, whose N_STEPS answers are at V. */
static void add_tags(
	const struct prediction *p, cJSON *o, int64_t i, const float *v, int64_t n_steps, int64_t n_classes)
{
	const char *text = input_text(p, i);
	int64_t n = p->input.lengths ? p->input.lengths[i] : n_steps, at = 0, size = text ? (int64_t)strlen(text) : 0;
	cJSON *tags = cJSON_AddArrayToObject(o, "tags");
	struct nn_answers a = { .answer = v, .width = n_classes };
	char word[TEXT_TOKEN_BYTES];

	for (int64_t t = 0; t < TD_MIN(n, n_steps) && text && text_next_word(text, size, &at, word); t++) {
		cJSON *pair = cJSON_CreateArray();

		cJSON_AddItemToArray(pair, cJSON_CreateString(word));
		cJSON_AddItemToArray(pair, cJSON_CreateString(loader_class_name(p->loader, nn_prediction(&a, t))));
		cJSON_AddItemToArray(tags, pair);
	}
}

static cJSON *prediction_json(const struct prediction *p, const struct answered *a, int64_t first, int64_t i)
{
	int64_t each = each_of(td_shape_count(&a->shape), a->shape.dim[0]), width = a->shape.dim[a->shape.rank - 1];
	const float *v = a->answer + i * each;
	cJSON *o = cJSON_CreateObject();

	switch (loader_facts(p->loader)->target) {
	case DATA_CLASS:
	case DATA_SHARES: add_label(p, o, v, width); break;
	case DATA_VALUES: cJSON_AddItemToObject(o, "values", report_values(p->loader, v, width, false)); break;
	case DATA_TOKENS: add_tags(p, o, first + i, v, each_of(each, width), width); break;
	}
	return o;
}

static cJSON *output_json(const struct answered *a, int64_t i)
{
	int64_t each = each_of(a->n_output, a->shape.dim[0]);
	cJSON *list = cJSON_CreateArray();

	for (int64_t k = 0; k < each; k++)
		cJSON_AddItemToArray(list, json_number(a->output[i * each + k]));
	return list;
}

/* ---- All inputs -------------------------------------------------------------------------------------------------- */

/* Whether the answer fits into a message. */
static bool fits(struct prediction *p, bool outputs)
{
	int64_t n_classes = loader_facts(p->loader)->n_classes,
		entries = 1 + TD_MIN(p->top, n_classes) + (outputs ? p->n_outputs : 0);

	if (loader_facts(p->loader)->target == DATA_TOKENS)
		entries += p->input.steps;
	if (p->input.n * entries <= ENTRIES_MOST)
		return true;
	faults_add(&p->faults, "/inputs",
		"%lld inputs with %lld numbers and labels each make an answer of more than %d; send fewer inputs, or "
		"ask for less of each",
		(long long)p->input.n, (long long)entries, ENTRIES_MOST);
	return false;
}

static void predict_batches(struct prediction *p, cJSON *predictions, cJSON *outputs)
{
	td_shape sample = sample_shape(p);
	size_t n_bytes = td_shape_bytes(&sample);
	int64_t size = p->model->in.dim[0];

	for (int64_t first = 0; first < p->input.n; first += size) {
		int64_t n = TD_MIN(size, p->input.n - first);
		const int64_t *lengths = p->input.lengths ? p->input.lengths + first : NULL;
		struct answered a;
		bool ok =
			prediction_run(p, (const char *)p->input.x + (size_t)first * n_bytes, lengths, &sample, n, &a);

		for (int64_t i = 0; ok && i < n; i++) {
			cJSON_AddItemToArray(predictions, prediction_json(p, &a, first, i));
			if (outputs)
				cJSON_AddItemToArray(outputs, output_json(&a, i));
		}
		answered_release(&a);
		if (!ok)
			return;
	}
}

/* Text goes on; tags belong to words. */
static bool is_language(const struct prediction *p)
{
	const struct data_facts *facts = loader_facts(p->loader);

	return facts->target == DATA_TOKENS && !facts->class_names;
}

static void answer_question(struct prediction *p, cJSON *answer)
{
	bool outputs = json_bool(p->question, "outputs", false);
	cJSON *predictions = cJSON_CreateArray(), *raw = outputs ? cJSON_CreateArray() : NULL;

	if (is_language(p))
		predict_text(p, predictions);
	else if (fits(p, outputs))
		predict_batches(p, predictions, raw);
	cJSON_AddItemToObject(answer, "predictions", predictions);
	cJSON_AddNumberToObject(answer, "n", (double)p->input.n);
	if (raw)
		cJSON_AddItemToObject(answer, "outputs", raw);
}

static void prediction_release(struct prediction *p)
{
	nn_model_free(p->model);
	if (p->c)
		td_ctx_free(p->c);
	data_input_release(&p->input);
	loader_free(p->loader);
	spec_release(&p->spec);
	cJSON_Delete(p->json);
	buf_release(&p->body);
	faults_release(&p->faults);
}

cJSON *worker_predict(const cJSON *predict)
{
	struct prediction p = { .question = predict, .top = (int)json_int(predict, "top", TOP_DEFAULT) };
	cJSON *answer = cJSON_CreateObject();

	faults_init(&p.faults);
	spec_read_stored(json_get(predict, "spec"), &p.spec, &p.faults);
	if (!p.faults.n_found && read_loader(&p) && read_input(&p) && load_model(&p)) {
		p.json = json_parse(p.body.data ? p.body.data : "", p.body.len, NULL);
		answer_question(&p, answer);
	}
	if (p.faults.n_found) {
		cJSON_Delete(answer);
		answer = cJSON_CreateObject();
		cJSON_AddItemToObject(answer, "faults", worker_faults(&p.faults));
	}
	prediction_release(&p);
	return answer;
}
