/* Models from outside: the input's bytes choose layers and their options from the tables of options themselves, within
 * their bounds and at them.  Whatever comes out is built or refused in words; what is built has names of its own and
 * can be written down for PyTorch. */
#include <string.h>
#include "documents.h"

#define DOCUMENT_MOST 60000

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static void look_at(const struct nn_model *m)
{
	struct buf source;

	TD_ASSERT(m->n_layers <= NN_LAYERS_MOST && m->output >= 0 && m->output < m->n_layers && m->flops >= 0);
	for (int i = 0; i < m->n_params; i++)
		for (int k = 0; k < i; k++)
			TD_ASSERT(strcmp(m->params[i].name, m->params[k].name) != 0);
	for (int i = 0; i < m->n_layers; i++)
		for (int k = 0; k < m->layers[i].n_inputs; k++)
			TD_ASSERT(m->layers[i].input[k] < i);
	buf_init(&source, 1 << 24);
	nn_model_pytorch(m, "", &source);
	TD_ASSERT(!source.full);
	buf_release(&source);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	static const td_shape inputs[] = { { TD_F32, TD_ROW_MAJOR, 4, { 2, 4, 8, 8 } },
		{ TD_F32, TD_ROW_MAJOR, 3, { 2, 4, 4 } }, { TD_F32, TD_ROW_MAJOR, 2, { 2, 4 } },
		{ TD_I64, TD_ROW_MAJOR, 2, { 2, 4 } } };
	struct choices c = { .data = data, .n = n };
	const td_shape *in = &inputs[pick(&c, TD_COUNT(inputs))];
	bool has_lengths = in->rank < 4 && pick(&c, 2);
	struct nn_model_options options = { 0 };
	struct arena arena;
	struct faults faults;
	struct buf text;
	struct err e = { 0 };
	cJSON *document;

	buf_init(&text, DOCUMENT_MOST);
	write_section(&c, &nn_model_section, &text, 0);
	document = text.full ? NULL : json_parse(text.data, text.len, &e);
	arena_init(&arena);
	faults_init(&faults);
	if (document)
		opt_read(&nn_model_section, document, "/model", &options, &arena, &faults);
	if (document && !faults.n_found) {
		struct nn_model *m = nn_model_create(&options, in, in->dtype == TD_I64 ? 7 : 0, has_lengths, &faults);

		TD_ASSERT((m != NULL) == (faults.n_found == 0));
		if (m)
			look_at(m);
		nn_model_free(m);
	}
	faults_release(&faults);
	arena_release(&arena);
	cJSON_Delete(document);
	buf_release(&text);
	return 0;
}
