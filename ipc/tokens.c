/*
 * tokens.c - the token buffer: one growing array seen through views that move independently
 *
 * Killed anywhere: an append stores behind the committed length, where nobody reads, and becomes
 * true with the commit. The last committed token counts from its cursor word, not from the array,
 * so that another last token is one commit too: first the cursor, afterwards the array, and what
 * was cut off there is stored again by the next append or by the next owner's load.
 *
 * A placeholder (MR_FUTURE_TOKEN) is never committed: it is the last token of the private view
 * alone, and all commits wait until it is realised, overwritten or deleted.
 */
#include "ipc/error.h"
#include "ipc/parts.h"
#include "ipc/text.h"
#include <errno.h>

int mr_text_refuse(const mr_context *context, int code, const char *operation, const char *why)
{
    mr_bytes id = mr_context_request_id(context);
    int length = id.length < 100 ? (int)id.length : 100;
    int errnum = code == MR_TEXT_CAPACITY || code == MR_TTS_CAPACITY ? ENOSPC
                 : code == MR_TEXT_INDEX                             ? ERANGE
                                                                     : EINVAL;

    return mr_fail_code(errnum, code, "cannot %s '%.*s': %s", operation, length, id.bytes, why);
}

int mr_text_changeable(const mr_context *context, const char *operation)
{
    if (!context->reserved)
        return 0;
    return mr_text_refuse(context, MR_TEXT_RESERVED, operation,
                          "it is inside a reserve scope; leave that first");
}

void mr_text_publish(mr_context *context)
{
    context->deferred = context->placeholder || context->reserved || context->held;
    if (!context->deferred)
        mr_context_commit(context);
}

void mr_context_hold(mr_context *context)
{
    context->held = true;
}

void mr_context_release(mr_context *context)
{
    context->held = false;
    if (context->deferred)
        mr_text_publish(context);
}

/* ---- where the active window lies ---- */

int mr_text_apply_processing_offset(mr_text *text, int64_t offset)
{
    static const char operation[] = "apply an offset to";
    mr_context *c = mr_context_of(text);
    int64_t start = c->now[MR_CURSOR_START];
    int rc = mr_text_changeable(c, operation);

    if (rc < 0)
        return rc;
    if (offset < -start)
        return mr_text_refuse(c, MR_TEXT_OFFSET_START, operation,
                              "the active tokens would begin before the first one");
    if (offset > c->now[MR_CURSOR_END] - start)
        return mr_text_refuse(c, MR_TEXT_OFFSET_END, operation,
                              "the active tokens would begin behind their end");
    c->now[MR_CURSOR_OFFSET] = offset;
    mr_text_publish(c);
    return 0;
}

int mr_text_rewind_processing(mr_text *text, int64_t n)
{
    static const char operation[] = "rewind";
    mr_context *c = mr_context_of(text);
    int64_t start = c->now[MR_CURSOR_START];
    int rc = mr_text_changeable(c, operation);

    if (rc < 0)
        return rc;
    if (n < 0)
        return mr_text_refuse(c, MR_TEXT_NEGATIVE_N, operation, "the number of tokens is negative");
    if (n > start)
        return mr_text_refuse(c, MR_TEXT_RANGE_START, operation,
                              "fewer tokens than that were processed");
    if (n > start + c->now[MR_CURSOR_OFFSET])
        return mr_text_refuse(c, MR_TEXT_OFFSET_START, operation,
                              "with its offset, the active tokens would begin before the first");
    c->now[MR_CURSOR_START] -= n;
    mr_text_publish(c);
    return 0;
}

int mr_text_skip_processing(mr_text *text, int64_t n)
{
    static const char operation[] = "skip tokens of";
    mr_context *c = mr_context_of(text);
    int rc = mr_text_changeable(c, operation);

    if (rc < 0)
        return rc;
    if (n < 0)
        return mr_text_refuse(c, MR_TEXT_NEGATIVE_N, operation, "the number of tokens is negative");
    if (n >= mr_text_active_length(text))
        return mr_text_refuse(c, MR_TEXT_SKIP_ALL, operation,
                              "at least one active token must remain");
    if (n > c->now[MR_CURSOR_END] - c->now[MR_CURSOR_START])
        return mr_text_refuse(c, MR_TEXT_RANGE_START, operation,
                              "processing would begin behind the end of the active tokens");
    c->now[MR_CURSOR_START] += n;
    mr_text_publish(c);
    return 0;
}

/* ---- chunks of a long prompt ---- */

int mr_text_chunk(mr_text *text, int64_t size)
{
    static const char operation[] = "chunk";
    mr_context *c = mr_context_of(text);
    int64_t active = mr_text_active_length(text), end;
    int rc = mr_text_changeable(c, operation);

    if (rc < 0)
        return rc;
    if (size <= 0 || size >= active)
        return mr_text_refuse(c, MR_TEXT_CHUNK_SIZE, operation,
                              "a chunk must be larger than 0 and smaller than the active part");
    if (size < -c->now[MR_CURSOR_OFFSET])
        return mr_text_refuse(c, MR_TEXT_RANGE_END, operation,
                              "with its offset, the chunk would end before what was processed");
    end = c->now[MR_CURSOR_END] + size - active;
    rc = mr_vision_check_chunk(c, operation, end);
    if (rc < 0)
        return rc;
    c->now[MR_CURSOR_END] = end;
    c->now[MR_CURSOR_FLAGS] |= MR_FLAG_CHUNKED;
    mr_text_publish(c);
    return 0;
}

void mr_text_next_chunk(mr_context *context)
{
    context->now[MR_CURSOR_OFFSET] = 0;
    context->now[MR_CURSOR_START] = context->now[MR_CURSOR_END];
    context->now[MR_CURSOR_END] = context->now[MR_CURSOR_LENGTH];
    context->now[MR_CURSOR_FLAGS] &= ~(int64_t)MR_FLAG_CHUNKED;
}

int mr_text_advance_chunk(mr_text *text)
{
    static const char operation[] = "advance the chunk of";
    mr_context *c = mr_context_of(text);
    int rc = mr_text_changeable(c, operation);

    if (rc < 0)
        return rc;
    if (!mr_text_actively_chunked(text))
        return mr_text_refuse(c, MR_TEXT_NOT_CHUNKED, operation, "it is not chunked");
    mr_text_next_chunk(c);
    mr_text_publish(c);
    return 0;
}

/* ---- tokens ---- */

int mr_text_check_append(const mr_context *context, const char *operation, int64_t token)
{
    if (context->placeholder)
        return mr_text_refuse(context, MR_TEXT_AFTER_FUTURE, operation,
                              "its last token is a placeholder; realise that first");
    if (token < 0)
        return mr_text_refuse(context, MR_TEXT_NEGATIVE_TOKEN, operation, "the token is negative");
    if (context->now[MR_CURSOR_LENGTH] >= context->params.capacity)
        return mr_text_refuse(context, MR_TEXT_CAPACITY, operation,
                              "the room for its tokens is used up");
    return 0;
}

/* Whose arithmetic made the generated tokens: the first to commit one. */
static void sign(mr_context *context, int64_t token)
{
    if (!context->now[MR_CURSOR_FINGERPRINT] && token != MR_FUTURE_TOKEN)
        context->now[MR_CURSOR_FINGERPRINT] = (int64_t)context->fingerprint;
}

void mr_text_append(mr_context *context, int64_t token, bool mark_previous_as_processed)
{
    int64_t *now = context->now;
    int64_t length = now[MR_CURSOR_LENGTH];

    context->tokens[length - 1] = now[MR_CURSOR_LAST];
    context->tokens[length] = token;
    if (mark_previous_as_processed)
        now[MR_CURSOR_START] = now[MR_CURSOR_END];
    now[MR_CURSOR_END]++;
    now[MR_CURSOR_COMPLETION]++;
    now[MR_CURSOR_LENGTH] = length + 1;
    now[MR_CURSOR_OFFSET] = 0;
    now[MR_CURSOR_LAST] = token;
    sign(context, token);
}

int mr_text_advance_with_token(mr_text *text, int64_t token, bool mark_previous_as_processed)
{
    static const char operation[] = "append a token to";
    mr_context *c = mr_context_of(text);
    int rc = mr_text_changeable(c, operation);

    if (rc < 0)
        return rc;
    if (mr_text_actively_chunked(text))
        return mr_text_refuse(c, MR_TEXT_CHUNKED, operation,
                              "it is chunked; advance the chunk first");
    rc = mr_text_check_append(c, operation, token);
    if (rc < 0)
        return rc;
    mr_text_append(c, token, mark_previous_as_processed);
    mr_text_publish(c);
    return 0;
}

void mr_text_replace_last(mr_context *context, int64_t token)
{
    context->placeholder = false;
    context->now[MR_CURSOR_LAST] = token;
    sign(context, token);
    mr_text_publish(context);
    /* Others read this place only once the token isn't the last one any more. */
    context->tokens[context->now[MR_CURSOR_LENGTH] - 1] = token;
}

int mr_text_overwrite_last_token(mr_text *text, int64_t token)
{
    static const char operation[] = "overwrite the last token of";
    mr_context *c = mr_context_of(text);
    int rc = mr_text_changeable(c, operation);

    if (rc < 0)
        return rc;
    if (mr_text_generated_length(text) == 0)
        return mr_text_refuse(c, MR_TEXT_NOTHING_GENERATED, operation,
                              "none was generated, the last one belongs to the prompt");
    if (token < 0)
        return mr_text_refuse(c, MR_TEXT_NEGATIVE_TOKEN, operation, "the token is negative");
    mr_text_replace_last(c, token);
    return 0;
}

int mr_text_consume_recently_generated_tokens(mr_text *text, mr_tokens *tokens)
{
    static const char operation[] = "consume tokens of";
    mr_context *c = mr_context_of(text);
    int64_t start = c->now[MR_CURSOR_CONSUMED], end = c->now[MR_CURSOR_COMPLETION];
    int rc = mr_text_changeable(c, operation);

    if (rc < 0)
        return rc;
    if (start == end)
        return mr_text_refuse(c, MR_TEXT_NOTHING_OUTSTANDING, operation,
                              "no generated token is outstanding");
    *tokens = (mr_tokens){c->tokens + start, (size_t)(end - start)};
    c->now[MR_CURSOR_CONSUMED] = end;
    mr_records_pass(c);
    mr_text_publish(c);
    return 0;
}

/* ---- begin anew ---- */

static void delete_placeholder(mr_context *context)
{
    if (!context->placeholder)
        return;
    context->placeholder = false;
    context->now[MR_CURSOR_LENGTH]--;
    context->now[MR_CURSOR_LAST] = context->tokens[context->now[MR_CURSOR_LENGTH] - 1];
    context->now[MR_CURSOR_STATUS] = context->status_before;
}

void mr_text_restart(mr_context *context)
{
    int64_t *now = context->now;

    delete_placeholder(context);
    now[MR_CURSOR_START] = 0;
    now[MR_CURSOR_OFFSET] = 0;
    now[MR_CURSOR_END] = now[MR_CURSOR_LENGTH];
    now[MR_CURSOR_PROMPT] = now[MR_CURSOR_LENGTH];
    now[MR_CURSOR_CONSUMED] = now[MR_CURSOR_LENGTH];
    now[MR_CURSOR_COMPLETION] = now[MR_CURSOR_LENGTH];
    now[MR_CURSOR_FLAGS] &= ~(int64_t)MR_FLAG_CHUNKED;
}

int mr_text_reset_as_new_prompt(mr_text *text)
{
    mr_context *c = mr_context_of(text);
    int rc = mr_text_changeable(c, "reset");

    if (rc < 0)
        return rc;
    mr_text_restart(c);
    c->now[MR_CURSOR_BASE] = c->now[MR_CURSOR_PROMPT];
    mr_records_drop(c);
    mr_text_publish(c);
    return 0;
}
