/* How many distinct characters and words a text has, in bounded memory, and small things that formats of text share. */
#ifndef TD_DATA_CENSUS_H
#define TD_DATA_CENSUS_H

#include "data/formats.h"

#define WORDS_MOST (1 << 22)  /* distinct words that are counted: 64 MiB of hashes */
#define TEXT_MOST  (16 << 20) /* bytes of one text of many, or of one tagged sentence */
#define TEXT_SHOWN 300        /* bytes of a text in a summary */

struct census {
	uint8_t *seen; /* owned; a bit for each code point */
	int64_t n_characters;
	uint64_t *words; /* owned; hashes in open addressing, 0: free */
	int64_t n_words, room;
};

void census_init(struct census *c);
void census_release(struct census *c);
/* Count TEXT (UTF-8) in.  Both return how many it has, distinct or not. */
int64_t census_characters(struct census *c, const char *text, size_t n);
int64_t census_words(struct census *c, const char *text, size_t n);
/* One word as it is. */
void census_word(struct census *c, const char *word);
/* Members "characters" and "words" of info. */
void census_tell(const struct census *c, struct prepare *p);
/* All that info says of many texts: KIND, CLASSES, census, and the length of the longest in both units. */
void texts_tell(struct prepare *p, enum pack_kind kind, const struct classes *classes, const struct census *c,
	int64_t longest_characters, int64_t longest_words);

/* The beginning of the flushed column TEXT from FROM to END, whole characters only, with LINE_END between lines: sample
 * AT of the summary, of class LABEL (NULL: it has none). */
td_status text_tell(struct prepare *p, const struct column *text, int64_t from, int64_t end, char line_end, int64_t at,
	const char *label, struct err *e);
/* The same of text AT of many, where OFFSETS says. */
td_status text_tell_one(struct prepare *p, const struct column *text, const struct column *offsets, char line_end,
	int64_t at, const char *label, struct err *e);

#endif
