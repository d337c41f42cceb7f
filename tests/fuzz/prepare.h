/* What the fuzzers of dataset formats share: any bytes as a file, and their decoding, whose columns must be whole.
 *
 * Files are read from memory and columns stay there (columns.c), so nothing is left behind. */
#ifndef FUZZ_PREPARE_H
#define FUZZ_PREPARE_H

#include <stdio.h>
#include <string.h>
#include "data/formats.h"
#include "seeds.h"

/* Bytes of a column that was made; -1: there is none. */
int64_t columns_bytes(enum pack_part part, const char *name);
void columns_forget(void);

/* A part has as many labels, and so on, as it says that it has samples. */
static inline void fuzz_check_part(const cJSON *info, enum pack_part part, int64_t n)
{
	const char *kind = json_string(info, "kind", "");

	if (!strcmp(kind, pack_kind_names[PACK_IMAGES])) {
		const cJSON *image = json_get(info, "image");
		int64_t size = json_int(image, "height", 0) * json_int(image, "width", 0);

		TD_ASSERT(columns_bytes(part, "labels") == 4 * n);
		TD_ASSERT(!size || columns_bytes(part, "images") == n * size * json_int(image, "channels", 0));
		TD_ASSERT(size || columns_bytes(part, "offsets") == 8 * (n + 1));
	}
	if (!strcmp(kind, pack_kind_names[PACK_TABLE])) {
		const cJSON *columns = json_get(info, "columns"), *column;
		int k = 0;

		cJSON_ArrayForEach(column, columns)
		{
			const char *type = json_string(column, "type", "");
			char name[32];

			snprintf(name, sizeof name, "column-%d", k++);
			if (k < 50)
				TD_ASSERT(columns_bytes(part, name) == (!strcmp(type, "number")            ? 8 * n
									       : !strcmp(type, "category") ? 4 * n
													   : -1));
		}
	}
	if (!strcmp(kind, pack_kind_names[PACK_TEXT]))
		TD_ASSERT(columns_bytes(part, "text") >= n); /* of characters */
	if (!strcmp(kind, pack_kind_names[PACK_LABELLED_TEXT]))
		TD_ASSERT(columns_bytes(part, "labels") == 4 * n && columns_bytes(part, "offsets") == 8 * (n + 1));
	if (!strcmp(kind, pack_kind_names[PACK_TAGGED_TEXT]))
		TD_ASSERT(columns_bytes(part, "offsets") == 8 * (n + 1) &&
			  columns_bytes(part, "tag_offsets") == 8 * (n + 1));
}

/* What was made is JSON that can be read back. */
static inline void fuzz_check_json(const cJSON *v)
{
	char *text = json_print(v);
	struct err e = { 0 };
	cJSON *again = json_parse(text, strlen(text), &e);

	TD_ASSERT(again);
	cJSON_Delete(again);
	mem_free(text);
}

/* The columns are what info says, and some of the documents are read back, which takes as long as all the rest. */
static inline void fuzz_check(const struct prepare *p)
{
	const cJSON *parts = json_get(p->info, "parts"), *part;

	TD_ASSERT(json_get(p->info, "kind") && cJSON_GetArraySize(parts) >= 1);
	if (p->source.n_total % 8 == 0) {
		fuzz_check_json(p->info);
		fuzz_check_json(p->summary);
	}
	cJSON_ArrayForEach(part, parts)
		fuzz_check_part(p->info, strcmp(part->string, pack_part_names[PACK_TRAIN]) ? PACK_TEST : PACK_TRAIN,
			json_int(part, "samples", 0));
}

/* Decode FILES as FORMAT says: refused with a reason, or whole. */
static inline void fuzz_decode(const cJSON *format, const struct prepare_file *files, int n_files)
{
	struct prepare_order order = { .dataset = "fuzz", .files = files, .n_files = n_files, .format = format };
	struct prepare p;
	struct faults faults;
	struct err e = { 0 };

	faults_init(&faults);
	TD_ASSERT(prepare_begin(&p, &order, &faults));
	if (!prepare_decode(&p, &e))
		fuzz_check(&p);
	else
		TD_ASSERT(e.text[0]);
	prepare_end(&p);
	faults_release(&faults);
	columns_forget();
}

static inline void fuzz_one(const cJSON *format, const char *name, const unsigned char *data, size_t n)
{
	fuzz_decode(format, &(struct prepare_file){ name, fuzz_file(0, data, n) }, 1);
}

/* DATA is two files; its first two bytes say where the second begins. */
static inline void fuzz_two(const cJSON *format, const char *const names[2], const unsigned char *data, size_t n)
{
	size_t cut = n < 2 ? 0 : ((size_t)data[0] << 8 | data[1]) % (n - 1);
	struct prepare_file files[2];

	if (n < 2)
		return;
	data += 2;
	files[0] = (struct prepare_file){ names[0], fuzz_file(0, data, cut) };
	files[1] = (struct prepare_file){ names[1], fuzz_file(1, data + cut, n - 2 - cut) };
	fuzz_decode(format, files, 2);
}

/* The first byte chooses one of FORMATS, which are parsed once into TREES. */
static inline const cJSON *fuzz_format(const char *const *formats, cJSON **trees, size_t n, unsigned char choice)
{
	size_t k = choice % n;

	if (!trees[k])
		trees[k] = cJSON_Parse(formats[k]);
	TD_ASSERT(trees[k]);
	return trees[k];
}

/* The fuzzer of a file NAME whose first byte chooses how it is read. */
#define FUZZ_ONE(formats, name)                                                                                        \
	int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)                                                \
	{                                                                                                              \
		static cJSON *trees[TD_COUNT(formats)];                                                                \
                                                                                                                       \
		if (n)                                                                                                 \
			fuzz_one(fuzz_format(formats, trees, TD_COUNT(formats), data[0]), name, data + 1, n - 1);      \
		return 0;                                                                                              \
	}

#endif
