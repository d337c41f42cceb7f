/* The small grammars of HTTP, each fed the same stranger's text. */
#include <string.h>
#include "base/mem.h"
#include "http/text.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	char *text = mem_strndup((const char *)data, n), *out = mem_alloc(n + 1);
	int64_t first = -1, count = -1, total = (int64_t)n * 37;
	double quality = text_accept(text, "text/csv", false);

	TD_ASSERT(quality >= 0 && quality <= 1);
	if (text_decode(text, strlen(text), true, out, n + 1))
		TD_ASSERT(strlen(out) <= n);
	if (text_range(text, total, &first, &count) == RANGE_PART)
		TD_ASSERT(first >= 0 && count > 0 && first <= total - count);
	text_etag_matches(text, "\"abc\"");
	text_cookie(text, "tandem", out, TD_MIN(n + 1, 8));
	text_host(text, out, TD_MIN(n + 1, 8));
	text_media_type_is(text, "application/json");
	text_in_list(text, "localhost");
	mem_free(text);
	mem_free(out);
	return 0;
}
