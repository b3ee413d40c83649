/*
 * answer.h - the records of the output, made of tokens
 *
 * One line each, keys in a fixed order, no blank; docs/formats.md shows them all:
 *
 *   answer_write   the result of a request, in the format of OpenAI's Batch API
 *   answer_refuse  a request that has no result, and why
 *   answer_piece   a piece of a text (--stream)
 *
 * The bytes depend on the request, its place in the input, the tokens and `created` alone.
 */
#ifndef RUNTIME_COLLECTOR_ANSWER_H
#define RUNTIME_COLLECTOR_ANSWER_H

#include "runtime/collector/logprobs.h"
#include "runtime/collector/record.h"
#include "runtime/media/media.h"
#include "runtime/reply.h"
#include "runtime/tokenizer/vocabulary.h"
#include <millrace/emission.h>

/* What was made of a context without a text: a file. */
struct result {
    struct media_bytes file;
    unsigned width; /* of an image */
    unsigned height;
};

/* A request with all its choices, each done and none failed. */
struct answer {
    const struct reply *reply;
    const vocabulary *vocabulary;
    uint64_t created;     /* seconds since the epoch */
    const mr_view *views; /* by choice */
    unsigned choices;
    const struct logprob_source *logprobs;
    const struct result *result; /* of an image or a speech; else NULL */
};

/*
 * answer_write - the final record of a request
 *
 *   tokens  out: generated tokens that count, of all choices
 *
 * Returns 0, or -ENOMEM. record->error is to be asked besides.
 */
int answer_write(struct record *record, const struct answer *answer, uint64_t *tokens);

/* answer_refuse - the record of a request without a result; `ordinal` is of its input record */
void answer_refuse(struct record *record, const struct reply *reply, uint64_t ordinal,
                   mr_bytes code, mr_bytes message);

/* answer_piece - `delta` stands at `offset` (bytes) in the text of a choice */
void answer_piece(struct record *record, mr_bytes custom_id, unsigned choice, uint64_t offset,
                  mr_bytes delta);

#endif
