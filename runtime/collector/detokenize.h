/*
 * detokenize.h - from the tokens of one choice to its text, piece by piece
 *
 * The text is a function of the tokens alone, whatever the pieces in which they came, so that a
 * successor finds the same text again from committed tokens:
 *
 *  1. Each token gives its bytes; control tokens none (unless the request wants to see them), ids
 *     outside of the vocabulary none.
 *  2. Their bytes together are made valid UTF-8: each maximal part that begins a character but
 *     doesn't complete it, and each byte that can't begin one, becomes one U+FFFD (runtime/
 *     tokenizer/utf8.h). Only the end of the text completes a character that lacks bytes.
 *  3. The text ends before the stop string that is completed first (stop.h), or behind it if the
 *     request keeps it. One completed by a token of index below `min_tokens` is passed over, like
 *     an end token there. The token that completes it is the last that counts.
 *  4. With echo the prompt's text stands before all that; no stop string is looked for in it, and
 *     no character reaches from the prompt into what was generated.
 *
 * Held back are an unfinished character and what may be the beginning of a stop string; all else is
 * `ready` to be shown and will stand in the final text at this very place.
 */
#ifndef RUNTIME_COLLECTOR_DETOKENIZE_H
#define RUNTIME_COLLECTOR_DETOKENIZE_H

#include "runtime/collector/stop.h"
#include "runtime/reply.h"
#include "runtime/tokenizer/vocabulary.h"
#include <millrace/emission.h>

struct detokenizer {
    const vocabulary *vocabulary;
    struct stops *stops; /* NULL: none */
    bool show_special;
    bool keep_stop;
    int64_t min_tokens;
    char *bytes; /* of the text, what detokenizer_take() didn't take yet: [begin, begin + count) */
    size_t count;
    size_t room;
    uint64_t begin;
    uint64_t characters; /* code points of the text up to begin + count */
    int64_t tokens;      /* generated tokens that count */
    bool stopped;        /* a stop string was found: no further token changes anything */
    bool ended;
    bool failed; /* memory ran out; the text is not to be used */
    char unfinished[4];
    unsigned unfinished_count;
};

/* detokenizer_init - at the beginning of a text; stop strings and wishes are those of the reply,
 * which is not kept. 0, or -ENOMEM. */
int detokenizer_init(struct detokenizer *text, const vocabulary *vocab, const struct reply *reply,
                     int64_t min_tokens);
void detokenizer_free(struct detokenizer *text); /* fine also for one that is all zero */

/* detokenizer_begin - the same for a context, with the prompt's text before the first generated
 * token if the request wants its echo */
int detokenizer_begin(struct detokenizer *text, const vocabulary *vocab, const struct reply *reply,
                      const mr_view *view);

/* The prompt, before the first generated token: by its bytes, or by its tokens one by one; then
 * detokenizer_end_prompt(). */
void detokenizer_prompt_text(struct detokenizer *text, mr_bytes prompt);
void detokenizer_prompt_token(struct detokenizer *text, int64_t token);
void detokenizer_end_prompt(struct detokenizer *text);

/* detokenizer_add - the next generated token; nothing happens if the text has ended or stopped */
void detokenizer_add(struct detokenizer *text, int64_t token);

/* detokenizer_end - no token will follow */
void detokenizer_end(struct detokenizer *text);

/* detokenizer_ready - bytes of [begin, begin + count) that can be shown; whole characters */
size_t detokenizer_ready(const struct detokenizer *text);

/* detokenizer_take - the first `count` bytes were shown: forget them */
void detokenizer_take(struct detokenizer *text, size_t count);

/* Tokens of a snapshot: how many of them the prompt has, and one by its index (the last may have
 * changed its place). */
size_t view_prompt_length(const mr_view *view);
int64_t view_token(const mr_view *view, size_t index);

#endif
