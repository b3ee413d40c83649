/*
 * follow.c - what the collector remembers of a context while its tokens come
 */
#include "runtime/collector/follow.h"
#include <errno.h>

void followed_forget(struct followed *followed)
{
    detokenizer_free(&followed->text);
    *followed = (struct followed){0};
}

void followed_use(struct followed *followed, mr_handle handle)
{
    if (followed->handle == handle)
        return;
    followed_forget(followed);
    followed->handle = handle;
}

void followed_note(struct followed *followed, const struct reply *reply)
{
    followed->stream = (reply->flags & REPLY_STREAM) != 0;
    followed->wanted = followed->stream || reply->stop_count > 0;
    followed->known = true;
}

static void take(struct detokenizer *text, uint64_t count)
{
    size_t ready = detokenizer_ready(text);
    detokenizer_take(text, count < ready ? (size_t)count : ready);
}

int followed_update(struct followed *followed, const vocabulary *vocab, const mr_view *view,
                    const struct reply *reply)
{
    struct detokenizer *text = &followed->text;
    bool anew = !followed->begun;
    if (anew && detokenizer_begin(text, vocab, reply, view) < 0)
        return -ENOMEM;
    followed->begun = true;
    for (size_t i = view_prompt_length(view) + (size_t)text->tokens;
         i < view->tokens.count && !text->stopped; i++) {
        detokenizer_add(text, view_token(view, i));
        if (!followed->stream)
            take(text, UINT64_MAX);
    }
    if (view->done)
        detokenizer_end(text);
    if (followed->stream && anew)
        take(text, view->emitted_bytes);
    return text->failed ? -ENOMEM : 0;
}
