/*
 * text_output.c - what was generated and not yet delivered to the worker's caller
 *
 * The collector doesn't use this: it reads committed tokens and records from a mark of its own
 * (emission.c), which no operation here moves.
 */
#include "ipc/error.h"
#include "ipc/text.h"
#include <errno.h>

/* Records under [start, end), which are about to be delivered. */
static size_t count_records(const mr_context *c, int64_t start, int64_t end)
{
    uint64_t at = (uint64_t)c->now[MR_CURSOR_RECORD_FIRST], found;
    size_t count = 0;

    for (int64_t position = start; position < end; position++)
        count += mr_records_seek(c, &at, position, &found);
    return count;
}

int mr_text_to_generation_output(mr_text *text, mr_text_output *output)
{
    static const char operation[] = "take the output of";
    mr_context *c = mr_context_of(text);
    int64_t start = c->now[MR_CURSOR_CONSUMED], end = c->now[MR_CURSOR_COMPLETION];
    int rc = mr_text_changeable(c, operation);

    if (rc < 0)
        return rc;
    if (c->placeholder && start < end)
        return mr_text_refuse(c, MR_TEXT_OUTPUT_FUTURE, operation,
                              "its last token is a placeholder; realise that first");
    *output = (mr_text_output){.tokens = {c->tokens + start, (size_t)(end - start)},
                               .status = mr_text_status(text),
                               .logprob_count = count_records(c, start, end)};
    c->output = *output;
    c->output_start = start;
    c->output_record = (size_t)c->now[MR_CURSOR_RECORD_FIRST];
    if (start == end)
        return 0;
    c->now[MR_CURSOR_CONSUMED] = end;
    mr_records_pass(c);
    mr_text_publish(c);
    return 0;
}

int mr_text_output_logprobs(const mr_text *text, size_t i, int64_t *position, mr_logprobs *logprobs,
                            mr_logprob *entries, size_t room, mr_top_logprob *tops, size_t top_room)
{
    const mr_context *c = mr_context_of(text);
    int64_t end = c->output_start + (int64_t)c->output.tokens.count;
    uint64_t at = c->output_record, found;
    size_t seen = 0;

    for (int64_t index = c->output_start; index < end; index++) {
        if (!mr_records_seek(c, &at, index, &found) || seen++ < i)
            continue;
        *position = index;
        return mr_records_read(c, found, logprobs, entries, room, tops, top_room);
    }
    return mr_fail(EINVAL,
                   "the last output has %zu records of log-probabilities, none is number %zu",
                   c->output.logprob_count, i);
}
