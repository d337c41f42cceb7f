/* Cutting text into tokens, the same way wherever it is done: when a pack's words are counted, when a vocabulary is
 * fitted, and when somebody sends a sentence to a trained model.
 *
 * A word is a run of letters, digits, apostrophes and bytes outside ASCII, in lower case as far as ASCII goes; every
 * other byte that is no space is a word of its own.  Whatever the bytes, tokens are well-formed UTF-8 if the text is.
 */
#ifndef TD_DATA_TEXT_H
#define TD_DATA_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#define TEXT_TOKEN_BYTES 256 /* room for a token and its zero byte; longer runs become several words */

/* The token of the N bytes of TEXT that begins at or after *AT, into TOKEN; *AT moves behind it.  False: there is none
 * left. */
typedef bool text_next(const char *text, int64_t n, int64_t *at, char token[TEXT_TOKEN_BYTES]);

text_next text_next_word;
/* One code point; what is no UTF-8, and the zero byte, becomes U+FFFD. */
text_next text_next_character;
/* The bytes up to the next '\n', lower-cased: tagged text has its words cut already. */
text_next text_next_line;

#endif
