/* Tables from CSV of any bytes: types, missing values, quotes, absurd headers and numbers.  The first byte says what is
 * told about them. */
#include "prepare.h"

static const char *const formats[] = {
	"{\"type\":\"table\",\"test\":0.3}",
	"{\"type\":\"table\",\"header\":\"no\",\"columns\":{\"1\":\"number\"}}",
	"{\"type\":\"table\",\"header\":\"yes\",\"columns\":{\"a\":\"category\",\"b\":\"text\",\"c\":\"number\"}}",
	"{\"type\":\"table\",\"delimiter\":\";\",\"test\":0.5}",
	"{}",
};

static const struct seed seeds[] = {
	SEED("0a,b,c\n1,x,2.5\n2,y,\n3,x,-1e9\n4,\"z, \"\"q\"\"\",NaN\n"),
	SEED("11,2\r\n3,4\r\n5,NA\r\n6,7e300\r\n"),
	SEED("2a,b,c\nx,some words,1\ny,\"more\nwords\",0.000001\nx,,null\n"),
	SEED("3\xef\xbb\xbf"
	     "a;b\n1;\xc3\xa9\n-0.0;x\n1e308;?\n-1e308;x\n"),
	SEED("4a\tb\n1\tx\n2\ty\n3\tx\n"),
	SEED("0a,a,,a\n9007199254740993,123456789.125,.5,1.\n1e-320,00012,+3,-\n"),
};

#define COLUMNS_MOST 6 /* wider tables only take their time; fuzz_csv has them */

size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t n, size_t most, unsigned random)
{
	int n_delimiters = 0;

	n = fuzz_mutate(data, n, most, random, seeds, TD_COUNT(seeds));
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n' || data[i] == '\r')
			n_delimiters = 0;
		else if (data[i] && strchr(",;\t|", data[i]) && ++n_delimiters >= COLUMNS_MOST)
			data[i] = '1';
	}
	return n;
}

FUZZ_ONE(formats, "table.csv")
