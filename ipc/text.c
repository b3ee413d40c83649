/*
 * text.c - the operations of TextContext: a step's token comes, the status follows
 *
 * Each checks everything before it changes anything, the matcher's answer included, and is one
 * commit. Sources: docs/contexts.md; the numbers Qn there name where this differs from the
 * original.
 */
#include "ipc/text.h"
#include <string.h>

/* ---- status ---- */

void mr_text_set_status(mr_text *text, enum mr_status status)
{
    mr_context *c = mr_context_of(text);

    c->now[MR_CURSOR_STATUS] = status;
    c->status_before = status;
    mr_text_publish(c);
}

static bool is_eos_id(const mr_text *text, int64_t token)
{
    size_t count;
    const int64_t *ids = mr_text_eos_token_ids(text, &count);

    for (size_t i = 0; i < count; i++)
        if (ids[i] == token)
            return true;
    return false;
}

/* Do the tokens that count as generated end with this sequence? */
static bool ends_with(const mr_context *c, mr_tokens sequence)
{
    int64_t length = c->now[MR_CURSOR_LENGTH];
    uint64_t generated = (uint64_t)(length - c->now[MR_CURSOR_BASE]);

    return sequence.count > 0 && sequence.count <= generated &&
           !memcmp(c->tokens + length - sequence.count, sequence.ids,
                   sequence.count * sizeof(*sequence.ids));
}

/* The end-of-sequence check of the token that now lies last in the array. */
static bool ends_sequence(const mr_context *c, const mr_text *text, int64_t token)
{
    mr_sequences rest = mr_text_sequences(c);
    mr_tokens sequence;

    if (is_eos_id(text, token))
        return true;
    while (mr_text_next_sequence(&rest, &sequence))
        if (ends_with(c, sequence))
            return true;
    return false;
}

/* What follows from an append: a placeholder ends no sequence, but it can reach the limit. */
static void after_append(mr_context *c, const mr_text *text, int64_t token)
{
    if (token != MR_FUTURE_TOKEN && ends_sequence(c, text, token))
        c->now[MR_CURSOR_STATUS] = MR_END_OF_SEQUENCE;
    else if (mr_text_current_position(text) >= c->params.max_length)
        c->now[MR_CURSOR_STATUS] = MR_MAXIMUM_LENGTH;
    c->now[MR_CURSOR_FLAGS] &= ~(int64_t)MR_FLAG_INITIAL;
}

/* ---- the matcher ---- */

static int check_matcher(const mr_context *c, const char *operation, int64_t token)
{
    if (!c->has_matcher || c->matcher.accepts(c->matcher.self, token))
        return 0;
    return mr_text_refuse(c, MR_TEXT_MATCHER, operation, "its matcher refuses the token");
}

static void tell_matcher(mr_context *c, int64_t token)
{
    if (c->has_matcher)
        c->matcher.accept(c->matcher.self, token);
}

/* ---- a step ---- */

static int advance_chunk(mr_context *c)
{
    mr_text_next_chunk(c);
    mr_text_publish(c);
    return 0;
}

int mr_text_update(mr_text *text, int64_t token, const mr_logprobs *logprobs)
{
    static const char operation[] = "update";
    mr_context *c = mr_context_of(text);
    int rc;

    if ((rc = mr_text_changeable(c, operation)) < 0)
        return rc;
    if (mr_text_actively_chunked(text))
        return advance_chunk(c);
    if ((rc = mr_text_check_append(c, operation, token)) < 0 ||
        (rc = check_matcher(c, operation, token)) < 0 ||
        (rc = mr_records_check(c, operation, logprobs)) < 0)
        return rc;
    mr_records_append(c, mr_text_current_position(text), logprobs);
    mr_text_append(c, token, true);
    after_append(c, text, token);
    mr_text_publish(c);
    tell_matcher(c, token);
    return 0;
}

int mr_text_jump_ahead(mr_text *text, int64_t token)
{
    static const char operation[] = "jump ahead in";
    mr_context *c = mr_context_of(text);
    int rc;

    if ((rc = mr_text_changeable(c, operation)) < 0)
        return rc;
    if (mr_text_actively_chunked(text))
        return advance_chunk(c);
    if ((rc = mr_text_check_append(c, operation, token)) < 0 ||
        (rc = check_matcher(c, operation, token)) < 0)
        return rc;
    mr_text_append(c, token, false);
    after_append(c, text, token);
    mr_text_publish(c);
    tell_matcher(c, token);
    return 0;
}

/* ---- placeholders ---- */

int mr_text_update_with_future_token(mr_text *text)
{
    static const char operation[] = "add a placeholder to";
    mr_context *c = mr_context_of(text);
    int rc;

    if ((rc = mr_text_changeable(c, operation)) < 0)
        return rc;
    if (c->has_matcher)
        return mr_text_refuse(c, MR_TEXT_FUTURE_MATCHER, operation,
                              "it has a matcher, which must see each token at once");
    if (c->placeholder)
        return mr_text_refuse(c, MR_TEXT_FUTURE_TWICE, operation,
                              "its last token is one already; realise that first");
    if (mr_text_actively_chunked(text)) {
        advance_chunk(c);
        return 1;
    }
    if ((rc = mr_text_check_append(c, operation, 0)) < 0)
        return rc;
    c->placeholder = true;
    c->deferred = true;
    c->status_before = c->now[MR_CURSOR_STATUS];
    mr_text_append(c, MR_FUTURE_TOKEN, true);
    after_append(c, text, MR_FUTURE_TOKEN);
    return 0;
}

int mr_text_realize_future_token(mr_text *text, int64_t token, const mr_logprobs *logprobs)
{
    static const char operation[] = "realise a token of";
    mr_context *c = mr_context_of(text);
    int rc;

    if ((rc = mr_text_changeable(c, operation)) < 0)
        return rc;
    if (mr_text_generated_length(text) == 0)
        return mr_text_refuse(c, MR_TEXT_REALIZE_EMPTY, operation, "no token was generated");
    if (!c->placeholder)
        return mr_text_refuse(c, MR_TEXT_REALIZE_NOT_FUTURE, operation,
                              "its last token is no placeholder");
    if (token < 0)
        return mr_text_refuse(c, MR_TEXT_NEGATIVE_TOKEN, operation, "the token is negative");
    if ((rc = mr_records_check(c, operation, logprobs)) < 0)
        return rc;
    mr_records_append(c, mr_text_current_position(text) - 1, logprobs);
    /* The placeholder's place lies behind the committed length, so nobody reads it yet. */
    c->tokens[c->now[MR_CURSOR_LENGTH] - 1] = token;
    if (ends_sequence(c, text, token))
        c->now[MR_CURSOR_STATUS] = MR_END_OF_SEQUENCE;
    mr_text_replace_last(c, token);
    return 0;
}

/* ---- begin anew ---- */

int mr_text_reset(mr_text *text)
{
    mr_context *c = mr_context_of(text);
    int rc = mr_text_changeable(c, "reset");

    if (rc < 0)
        return rc;
    mr_text_restart(c);
    c->now[MR_CURSOR_BASE] = c->now[MR_CURSOR_PROMPT];
    c->now[MR_CURSOR_FLAGS] |= MR_FLAG_INITIAL;
    mr_records_drop(c);
    mr_text_publish(c);
    return 0;
}
