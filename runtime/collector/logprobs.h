/*
 * logprobs.h - the log-probabilities of a choice, in the formats of the two text APIs
 *
 * Chat: {"content":[{token, logprob, bytes, top_logprobs}]}, one per generated token that counts.
 * Completions: {tokens, token_logprobs, top_logprobs, text_offset}, with echo also the prompt's
 * tokens. text_offset counts the code points of the text that are complete before the token.
 *
 * A token is written as its bytes; one whose bytes are no whole characters, or hold a NUL, as
 * "bytes:\xe2\x80" (so that no two tokens look alike), one outside of the vocabulary as
 * "token_id:7". A position for which the worker gave nothing has null (completions) or -9999.0 and
 * no alternatives (chat).
 */
#ifndef RUNTIME_COLLECTOR_LOGPROBS_H
#define RUNTIME_COLLECTOR_LOGPROBS_H

#include "runtime/collector/detokenize.h"
#include "runtime/collector/record.h"
#include <millrace/emission.h>

enum { LOGPROBS_MAX_ENTRIES = 8, LOGPROBS_MAX_TOP = 256 };

/* One position, with the room that reading it takes. */
struct logprob_position {
    mr_logprobs logprobs;
    mr_logprob entries[LOGPROBS_MAX_ENTRIES];
    mr_top_logprob tops[LOGPROBS_MAX_TOP];
};

/* Where they come from: shared memory, or a test. `read` returns 0 or -ENOENT. */
struct logprob_source {
    int (*read)(void *self, const mr_view *view, int64_t position, struct logprob_position *result);
    void *self;
};

/* The first `tokens` generated tokens of a choice. */
struct logprob_range {
    const mr_view *view;
    const struct reply *reply;
    const vocabulary *vocabulary;
    const struct logprob_source *source;
    int64_t tokens;
};

void logprobs_write_chat(struct record *record, const struct logprob_range *range);
int logprobs_write_completion(struct record *record,
                              const struct logprob_range *range); /* 0, -ENOMEM */

#endif
