/*
 * generation.c - TextGenerationOutput: what was generated, put together from several parts
 */
#include "ipc/error.h"
#include <errno.h>
#include <millrace/text.h>

static int check_parts(const mr_generation *parts, size_t count)
{
    if (count == 0)
        return mr_fail_code(EINVAL, MR_TEXT_MERGE_EMPTY, "there are no outputs to merge");
    for (size_t i = 1; i < count; i++)
        if (parts[i].has_logprobs != parts[0].has_logprobs)
            return mr_fail_code(EINVAL, MR_TEXT_MERGE_MIXED,
                                "only some of the outputs to merge have log-probabilities");
    return 0;
}

static int check_room(const mr_generation *parts, size_t count, size_t token_room,
                      size_t record_room)
{
    for (size_t i = 0; i < count; i++) {
        if (parts[i].tokens.count > token_room || parts[i].logprob_count > record_room)
            return mr_fail(ENOSPC, "the outputs to merge don't fit into the room for them");
        token_room -= parts[i].tokens.count;
        record_room -= parts[i].logprob_count;
    }
    return 0;
}

int mr_generation_merge(const mr_generation *parts, size_t count, int64_t *tokens,
                        size_t token_room, mr_logprobs *records, size_t record_room,
                        mr_generation *merged)
{
    size_t token_count = 0, record_count = 0;
    int rc;

    if ((rc = check_parts(parts, count)) ||
        (rc = check_room(parts, count, token_room, record_room)))
        return rc;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < parts[i].tokens.count; j++)
            tokens[token_count++] = parts[i].tokens.ids[j];
        for (size_t j = 0; j < parts[i].logprob_count; j++)
            records[record_count++] = parts[i].logprobs[j];
    }
    *merged = (mr_generation){.request_id = parts[0].request_id,
                              .tokens = {tokens, token_count},
                              .final_status = parts[count - 1].final_status,
                              .has_logprobs = parts[0].has_logprobs,
                              .logprobs = records,
                              .logprob_count = record_count};
    return 0;
}
