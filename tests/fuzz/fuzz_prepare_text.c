/* Texts of any bytes: the first says as which kind they are read. */
#include "prepare.h"

static const char *const formats[] = {
	"{\"type\":\"text\"}",
	"{\"type\":\"labelled_text\",\"test\":0.3}",
	"{\"type\":\"tagged_text\",\"test\":0.3}",
	"{\"type\":\"labelled_text\",\"text_column\":\"2\",\"label_column\":\"1\",\"header\":\"no\"}",
	"{}",
};

static const struct seed seeds[] = {
	SEED("0Once upon a time,\n\xe2\x80\x9cthere\xe2\x80\x9d was\r\na text.\n"),
	SEED("1text,label\n\"a good, long film\",good\nbad,bad\n,good\nso-so,bad\n"),
	SEED("1__label__good what a film\n__label__bad no\n"),
	SEED("2John B-PER\nlives O\nhere O\n\nParis B-LOC\n. O\n"),
	SEED("2-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n"),
	SEED("3pos,well done\nneg,\"not\nwell\"\n"),
	SEED("4ham\tsee you\nspam\twin now\nham\tok\n"),
};

FUZZ_MUTATOR(seeds)

FUZZ_ONE(formats, "text.txt")
