/* Texts of any bytes: the first says as which kind they are read. */
#include "prepare.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	static const char *const formats[] = { "{\"type\":\"text\"}", "{\"type\":\"labelled_text\"}",
		"{\"type\":\"tagged_text\"}", "{}" };

	if (n)
		fuzz_prepare(formats[data[0] % TD_COUNT(formats)], "text.txt", data + 1, n - 1);
	return 0;
}
