/* JSON from outside: whatever is accepted prints to text that is accepted again and says the same; every place that a
 * fault could name is found. */
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct err e = { 0 };
	char *text = mem_strndup((const char *)data, n); /* exact size: a read past the end is seen */
	cJSON *tree = json_parse(text, n, &e), *again;
	char *printed;
	int line = 0, column = 0;

	if (!tree) {
		TD_ASSERT(e.status != TD_OK && e.text[0]);
		mem_free(text);
		return 0;
	}
	TD_ASSERT(json_locate(text, n, "", &line, &column) && line >= 1 && column >= 1);
	if (tree->child && tree->child->string) {
		char pointer[4096] = "/";

		json_pointer_token(tree->child->string, pointer + 1, sizeof pointer - 1);
		TD_ASSERT(json_locate(text, n, pointer, &line, &column) && line >= 1 && column >= 1);
	}
	printed = json_print(tree);
	again = json_parse(printed, strlen(printed), &e);
	TD_ASSERT(again && cJSON_Compare(tree, again, true));
	cJSON_Delete(again);
	cJSON_Delete(tree);
	mem_free(printed);
	mem_free(text);
	return 0;
}
