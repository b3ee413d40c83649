/*
 * reserve.c - room for more tokens in several contexts at once, for the time of a scope
 *
 * The scope changes L and E of private views and puts them back; nothing of it is committed, so a
 * process that dies inside it leaves no trace. While it is open the contexts refuse to be changed:
 * in the original a change inside leaves the token buffer inconsistent (Q32).
 */
#include "ipc/error.h"
#include "ipc/text.h"
#include <errno.h>
#include <string.h>

/* Contexts are told apart by request id and choice (Q44). */
static bool same_context(const mr_context *a, const mr_context *b)
{
    mr_bytes left = mr_context_request_id(a), right = mr_context_request_id(b);

    return a->slot == b->slot ||
           (left.length == right.length && a->params.choice == b->params.choice &&
            !memcmp(left.bytes, right.bytes, left.length));
}

static int check_twice(mr_text *const *batch, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (same_context(mr_context_of(batch[i]), mr_context_of(batch[j])))
                return mr_fail(EEXIST, "contexts %zu and %zu of the batch have the same request id",
                               j, i);
    return 0;
}

static int check_room(const mr_context *c, int64_t n)
{
    static const char operation[] = "reserve tokens for";

    if (c->reserved)
        return mr_text_refuse(c, MR_TEXT_RESERVED, operation, "it is in another reserve scope");
    if (n < c->now[MR_CURSOR_START] - c->now[MR_CURSOR_END])
        return mr_text_refuse(c, MR_TEXT_RANGE_END, operation,
                              "the active tokens would end before what was processed");
    if (n > c->params.capacity - c->now[MR_CURSOR_LENGTH])
        return mr_text_refuse(c, MR_TEXT_CAPACITY, operation, "it has no room for so many");
    return 0;
}

static void reserve(mr_context *c, int64_t n)
{
    c->reserved = true;
    c->saved_end = c->now[MR_CURSOR_END];
    c->saved_length = c->now[MR_CURSOR_LENGTH];
    c->now[MR_CURSOR_END] += n;
    c->now[MR_CURSOR_LENGTH] += n;
}

int mr_reserve_enter(mr_text *const *batch, size_t count, int64_t n)
{
    int rc = check_twice(batch, count);

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = check_room(mr_context_of(batch[i]), n);
    for (size_t i = 0; i < count && rc == 0; i++)
        reserve(mr_context_of(batch[i]), n);
    return rc;
}

static void leave(mr_context *c)
{
    if (!c->reserved)
        return;
    c->reserved = false;
    c->now[MR_CURSOR_END] = c->saved_end;
    c->now[MR_CURSOR_LENGTH] = c->saved_length;
    if (c->deferred)
        mr_text_publish(c);
}

void mr_reserve_leave(mr_text *const *batch, size_t count)
{
    for (size_t i = 0; i < count; i++)
        leave(mr_context_of(batch[i]));
}
