/*
 * matcher.c - a grammar's matcher beside a context
 *
 * The matcher knows which tokens may come next. It belongs to the worker and dies with it; what it
 * has seen are the tokens behind the original prompt, so the next worker's matcher can be brought
 * to the same state. Asking and telling it is part of the operations (text.c).
 */
#include "ipc/error.h"
#include "ipc/text.h"
#include <errno.h>
#include <string.h>

void mr_text_set_matcher(mr_text *text, const mr_matcher *matcher)
{
    mr_context *c = mr_context_of(text);

    c->has_matcher = matcher != NULL;
    if (matcher)
        c->matcher = *matcher;
}

const mr_matcher *mr_text_matcher(const mr_text *text)
{
    const mr_context *c = mr_context_of(text);

    return c->has_matcher ? &c->matcher : NULL;
}

int mr_text_rebuild_matcher(mr_text *text)
{
    mr_context *c = mr_context_of(text);
    const mr_matcher *matcher = mr_text_matcher(text);

    if (!matcher || !matcher->restart)
        return mr_fail(ENOTSUP, "the context has no matcher that can restart");
    matcher->restart(matcher->self);
    for (int64_t i = c->params.original_prompt; i < c->now[MR_CURSOR_LENGTH]; i++) {
        if (!matcher->accepts(matcher->self, c->tokens[i]))
            return mr_text_refuse(c, MR_TEXT_MATCHER, "rebuild the matcher of",
                                  "it refuses a token that was generated");
        matcher->accept(matcher->self, c->tokens[i]);
    }
    return 0;
}

static void ask_for_each(const mr_matcher *matcher, uint64_t *bits, size_t vocabulary)
{
    for (size_t token = 0; token < vocabulary; token++)
        if (!matcher || matcher->accepts(matcher->self, (int64_t)token))
            bits[token / 64] |= UINT64_C(1) << token % 64;
}

void mr_text_matcher_mask(const mr_text *text, uint64_t *bits, size_t vocabulary)
{
    const mr_matcher *matcher = mr_text_matcher(text);

    memset(bits, 0, (vocabulary + 63) / 64 * sizeof(*bits));
    if (matcher && matcher->mask)
        matcher->mask(matcher->self, bits, vocabulary);
    else
        ask_for_each(matcher, bits, vocabulary);
}

int mr_text_jump_forced(mr_text *text, int limit)
{
    const mr_matcher *matcher = mr_text_matcher(text);
    int64_t token;
    int count = 0;

    if (!matcher || !matcher->forced || mr_text_actively_chunked(text))
        return 0;
    while (count < limit && !mr_text_is_done(text) && matcher->forced(matcher->self, &token)) {
        int rc = mr_text_jump_ahead(text, token);

        if (rc < 0)
            return count ? count : rc;
        count++;
    }
    return count;
}
