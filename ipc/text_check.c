/*
 * text_check.c - what a request must fulfil to become a text context
 *
 * MAX's checks of a TextContext and its TokenBuffer, in their order, then those that the contexts
 * specification adds: no negative token (Q10), no empty stop sequence (Q25), end tokens within 32
 * bits, as the logit mask has them.
 */
#include "ipc/error.h"
#include "ipc/text.h"
#include <errno.h>
#include <millrace/intake.h>
#include <string.h>

static int check_tokens(const mr_request *r)
{
    if (r->prompt_length == 0)
        return mr_fail_code(EINVAL, MR_TEXT_TOKENS_EMPTY, "the prompt has no tokens");
    for (size_t i = 0; i < r->prompt_length; i++)
        if (r->prompt[i] < 0)
            return mr_fail_code(EINVAL, MR_TEXT_NEGATIVE_TOKEN,
                                "token %zu of the prompt is negative: %lld", i,
                                (long long)r->prompt[i]);
    return 0;
}

static int check_length(const mr_request *r)
{
    int64_t shortest;

    if (!__builtin_add_overflow(r->sampling.min_new_tokens, (int64_t)r->prompt_length, &shortest) &&
        shortest <= r->max_length)
        return 0;
    return mr_fail_code(EINVAL, MR_TEXT_MIN_TOKENS_MAX_LENGTH,
                        "a prompt of %zu tokens and at least %lld more don't fit into %lld",
                        r->prompt_length, (long long)r->sampling.min_new_tokens,
                        (long long)r->max_length);
}

static bool begins_with(mr_bytes text, const char *prefix)
{
    size_t length = strlen(prefix);

    return text.length >= length && !memcmp(text.bytes, prefix, length);
}

/* Is there a colon behind the last "://"? */
static bool has_port(mr_bytes endpoint)
{
    size_t i = endpoint.length;

    while (i >= 3 && memcmp(endpoint.bytes + i - 3, "://", 3))
        i--;
    return memchr(endpoint.bytes + i, ':', endpoint.length - i) != NULL;
}

static int check_endpoint(mr_bytes endpoint)
{
    int shown = endpoint.length < 100 ? (int)endpoint.length : 100;

    if (!endpoint.bytes)
        return 0;
    if (!begins_with(endpoint, "tcp://") && !begins_with(endpoint, "ipc://"))
        return mr_fail_code(EINVAL, MR_TEXT_ENDPOINT_SCHEME,
                            "the target endpoint '%.*s' must begin with tcp:// or ipc://", shown,
                            endpoint.bytes);
    if (begins_with(endpoint, "tcp://") && !has_port(endpoint))
        return mr_fail_code(EINVAL, MR_TEXT_ENDPOINT_PORT,
                            "the target endpoint '%.*s' has no port: write tcp://HOST:PORT", shown,
                            endpoint.bytes);
    return 0;
}

static int check_ends(const mr_request *r)
{
    for (size_t i = 0; i < r->eos_sequence_count; i++)
        if (r->eos_sequences[i].count == 0)
            return mr_fail_code(EINVAL, MR_TEXT_EMPTY_STOP_SEQUENCE,
                                "stop sequence %zu has no tokens", i);
    for (size_t i = 0; i < r->eos_token_count; i++)
        if (r->eos_token_ids[i] < INT32_MIN || r->eos_token_ids[i] > INT32_MAX)
            return mr_fail_code(EINVAL, MR_TEXT_EOS_RANGE,
                                "end token %lld doesn't fit into 32 bits",
                                (long long)r->eos_token_ids[i]);
    return 0;
}

int mr_text_check(const struct mr_request *request)
{
    int rc;

    if ((rc = check_tokens(request)) || (rc = check_length(request)) ||
        (rc = check_endpoint(request->target_endpoint)))
        return rc;
    return check_ends(request);
}
