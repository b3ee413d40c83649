/*
 * text_state.c - a text context's cursors: begun, loaded, taken over
 *
 * What a slot says about itself is checked here once, when a view is loaded; afterwards the private
 * cursors are moved by the operations alone and keep their invariants (text.h). The values of
 * tokens aren't checked: they reach nothing but the model.
 */
#include "ipc/error.h"
#include "ipc/text.h"
#include <errno.h>
#include <string.h>

void mr_text_start(mr_context *context, int64_t prompt_length)
{
    int64_t *now = context->now;

    memset(now, 0, sizeof(context->now));
    now[MR_CURSOR_LENGTH] = prompt_length;
    now[MR_CURSOR_PROMPT] = prompt_length;
    now[MR_CURSOR_END] = prompt_length;
    now[MR_CURSOR_CONSUMED] = prompt_length;
    now[MR_CURSOR_COMPLETION] = prompt_length;
    now[MR_CURSOR_BASE] = prompt_length;
    now[MR_CURSOR_LAST] = context->tokens[prompt_length - 1];
    now[MR_CURSOR_FLAGS] = MR_FLAG_INITIAL;
    mr_records_begin(context);
}

/* ---- loading ---- */

/* What is wrong with the ranges of tokens, or NULL. */
static const char *bad_ranges(const int64_t *now, const mr_params *params)
{
    int64_t length = now[MR_CURSOR_LENGTH], end = now[MR_CURSOR_END], start = now[MR_CURSOR_START];

    if (length < 1 || length > params->capacity)
        return "length";
    if (end < 0 || end > length || (end < length && !(now[MR_CURSOR_FLAGS] & MR_FLAG_CHUNKED)))
        return "end of the active tokens";
    if (start < 0 || start > end)
        return "start of the active tokens";
    if (now[MR_CURSOR_OFFSET] < -start || now[MR_CURSOR_OFFSET] > end - start)
        return "processing offset";
    if (now[MR_CURSOR_PROMPT] < 1 || now[MR_CURSOR_PROMPT] > length)
        return "prompt length";
    if (now[MR_CURSOR_CONSUMED] < now[MR_CURSOR_PROMPT] || now[MR_CURSOR_CONSUMED] > length ||
        now[MR_CURSOR_COMPLETION] != length)
        return "completion range";
    if (now[MR_CURSOR_BASE] < params->original_prompt ||
        now[MR_CURSOR_BASE] > now[MR_CURSOR_PROMPT])
        return "base of the generated tokens";
    return NULL;
}

static bool is_mark(int64_t byte, int64_t used)
{
    return byte >= 0 && byte <= used && byte % 8 == 0;
}

static const char *bad_words(const int64_t *now, const mr_params *params)
{
    int64_t used = now[MR_CURSOR_RECORDS];

    if (now[MR_CURSOR_STATUS] < MR_ACTIVE || now[MR_CURSOR_STATUS] > MR_CANCELLED)
        return "status";
    if (now[MR_CURSOR_FLAGS] & ~(int64_t)(MR_FLAG_CHUNKED | MR_FLAG_INITIAL))
        return "flags";
    if (used < 0 || (uint64_t)used > params->records.bytes || !is_mark(used, used) ||
        !is_mark(now[MR_CURSOR_RECORD_FIRST], used) || !is_mark(now[MR_CURSOR_RECORD_LATE], used))
        return "log-probability records";
    if (now[MR_CURSOR_ECHO] < 0 || now[MR_CURSOR_ECHO] > params->original_prompt)
        return "echo mark";
    return NULL;
}

int mr_text_check_cursors(const mr_context *context)
{
    const char *bad = bad_ranges(context->now, &context->params);

    if (!bad)
        bad = bad_words(context->now, &context->params);
    if (bad)
        return mr_fail(EBADMSG, "slot %td is corrupt: its %s is out of range",
                       context->slot - context->domain->slots, bad);
    return 0;
}

/* ---- taking over ---- */

/* A pure function of the committed state, so that it may be cut off and begun anew: where nothing
 * was processed since the last time there is nothing to do. */
void mr_text_take_over(mr_context *context)
{
    int64_t before[MR_CURSOR_WORDS];

    mr_context_forget(context);
    memcpy(before, context->now, sizeof(before));
    mr_text_restart(context);
    context->now[MR_CURSOR_FLAGS] |= MR_FLAG_INITIAL;
    if (!memcmp(before, context->now, sizeof(before)))
        return;
    mr_records_pass(context);
    context->now[MR_CURSOR_RESETS]++;
    mr_text_publish(context);
}
