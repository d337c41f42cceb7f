/* Tables from CSV of any bytes: types, missing values, quotes, absurd headers and numbers. */
#include "prepare.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	fuzz_prepare("{\"type\":\"table\",\"test\":0.3}", "table.csv", data, n);
	return 0;
}
