/* Weights from outside: a file of any bytes is refused, or every tensor that it names lies within it. */
#include "io/io.h"
#include "seeds.h"

static const struct seed seeds[] = {
	SEED("\x51\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"__metadata__\":{"
	     "\"k\":\"v\"}}  01234567"),
	SEED("\x6e\0\0\0\0\0\0\0{\"b\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[8,16]},\"a\":{\"dtype\":"
	     "\"BOOL\",\"shape\":[2,4],\"data_offsets\":[0,8]}}0123456701234567"),
};

FUZZ_MUTATOR(seeds)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct safetensors file = { 0 };
	struct err e = { 0 };
	unsigned char sum = 0;

	if (safetensors_read(fuzz_file(0, data, n), 1 << 20, &file, &e) == TD_OK) {
		for (int i = 0; i < file.n; i++) {
			const unsigned char *bytes = file.items[i].bytes;

			TD_ASSERT(safetensors_find(&file, file.items[i].name));
			if (td_shape_count(&file.items[i].shape) > 0)
				sum = (unsigned char)(sum + bytes[0]); /* the sanitizer looks */
		}
		safetensors_release(&file);
	} else {
		TD_ASSERT(e.text[0]);
	}
	__asm__ volatile("" : : "r"(sum));
	return 0;
}
