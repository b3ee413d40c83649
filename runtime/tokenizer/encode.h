/*
 * encode.h - from text to tokens
 *
 * Control tokens ("<|im_end|>") are recognised only in the parts of a text that the caller marks
 * as its own, such as the markers of a chat template; in all that a user wrote they are plain
 * text. Tokens that a vocabulary calls user-defined are recognised everywhere, as the reference
 * does. Between two recognised tokens the text is cut and merged as one, whoever wrote it.
 *
 * Broken UTF-8 is repaired first (utf8.h), NUL is text. A text is not normalised (NFC).
 */
#ifndef MILLRACE_TOKENIZER_ENCODE_H
#define MILLRACE_TOKENIZER_ENCODE_H

#include "runtime/tokenizer/vocabulary.h"

/* What encoding needs besides the vocabulary: one a thread. */
typedef struct encoder encoder;

/* A part of a text, in bytes: [start, end). */
typedef struct {
    size_t start;
    size_t end;
} text_range;

typedef struct {
    const char *bytes;
    size_t length;
    const text_range *own; /* where control tokens are recognised: ascending, disjoint */
    size_t own_count;
    bool begin; /* put the BOS token in front, if the vocabulary has it so */
} encoder_text;

typedef struct {
    const int64_t *ids; /* valid until the encoder's next call */
    size_t count;
} encoder_tokens;

/*
 * encoder_new - an encoder of a vocabulary, which must outlive it
 *
 *   error  out, on failure: one sentence; a pre-tokenizer that isn't known is one
 *
 * Returns it, to be freed with encoder_free(), or NULL.
 */
encoder *encoder_new(const vocabulary *vocab, char *error, size_t error_size);
void encoder_free(encoder *coder); /* NULL is fine */

/*
 * encoder_run - the tokens of a text
 *
 *   limit   most tokens wanted; memory is bounded by it, however long the text is
 *   tokens  out, on success
 *
 * Returns 0, -E2BIG (more tokens than `limit`), -ENOMEM, or -EIO (a limit of PCRE2, which no
 * text is known to reach).
 */
int encoder_run(encoder *coder, const encoder_text *text, size_t limit, encoder_tokens *tokens);

#endif
