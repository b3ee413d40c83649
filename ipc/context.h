/*
 * context.h - this process's view of a context (private to ipc/)
 *
 * A view is loaded from a slot with everything that it will dereference checked against the
 * segment: what the slot claims about ranges and cursors is never trusted. Operations work on the
 * private cursors `now` and then commit them: mr_context_commit() writes the idle copy and moves
 * the sequence word by one. Only the lease holder commits (or the supervisor, once the holder is
 * dead).
 */
#ifndef MILLRACE_IPC_CONTEXT_H
#define MILLRACE_IPC_CONTEXT_H

#include "ipc/domain.h"
#include <millrace/text.h>

struct mr_context {
    mr_domain *domain;
    mr_slot *slot;
    mr_handle handle;
    uint64_t state;    /* the state word under which it is held */
    mr_params params;  /* a private copy, checked */
    uint32_t index;    /* of the slot */
    uint64_t ordinal;  /* of its record */
    uint64_t sequence; /* of the last commit */
    size_t words;      /* cursors that its kind uses */
    int64_t now[MR_CURSOR_WORDS];
    int64_t cold[MR_CURSOR_WORDS - MR_CURSOR_HOT]; /* of the last commit */
    unsigned cold_due; /* copies in the slot whose cold words may be older than that */

    /* text: what others never see */
    int64_t *tokens; /* the array, params.capacity long */
    unsigned char *records;
    bool placeholder; /* the last token of `now` is MR_FUTURE_TOKEN: not committed until realised */
    bool reserved;    /* inside a reserve scope */
    bool held;        /* between mr_context_hold() and mr_context_release() */
    bool deferred;    /* `now` has changes that wait for the end of one of these three */
    int64_t status_before; /* what the status is without the placeholder */
    int64_t saved_end;     /* E and L from before the scope */
    int64_t saved_length;
    bool has_matcher;
    mr_matcher matcher;
    mr_text_output output;    /* the last one, for mr_text_output_logprobs() */
    int64_t output_start;     /* index of its first token */
    size_t output_record;     /* byte at which its records begin */
    uint64_t prepared;        /* a bit for each array whose idle place was written */
    int64_t counted;          /* length up to which generated tokens are counted in the stats */
    mr_stats *stats;          /* the holder's page, or NULL */
    struct mr_worker *worker; /* the holder, or NULL */
    uint32_t member;          /* its place */
    bool first_due;           /* the end of its first step isn't told yet */
    uint64_t leased_at;       /* the holder's time of a step when it was leased */
    const uint64_t *step_at;  /* the holder's time of the present step */
    const mr_context *ahead;  /* held by it too, a few places behind in its batch; or NULL */
    uint64_t fingerprint;     /* the holder's; put into the cursors with the first new token */
};

/* mr_context_load - fill `context` from a slot that the caller holds; -EBADMSG if it is corrupt
 * (mr_error() names the slot and the field) */
int mr_context_load(mr_context *context, mr_domain *domain, uint32_t index);

/* mr_context_peek - the same for one that somebody else may hold: only looks, changes nothing, and
 * leaves `tokens` and `records` out */
int mr_context_peek(mr_context *context, mr_domain *domain, uint32_t index);

/* mr_context_check_params - the part of it that asks whether all ranges lie where they may */
int mr_context_check_params(const mr_domain *domain, const mr_slot *slot, const mr_params *params);

/* mr_range_fits - is `part` none at all, or aligned and inside of `whole`? An empty one too is
 * turned into an address. */
bool mr_range_fits(const mr_range *whole, const mr_range *part);

/* mr_context_forget - what was not committed is gone, as it would be had the holder died */
void mr_context_forget(mr_context *context);

/* mr_context_commit - publish `now`: one store decides (twin.h). After it the collector is told
 * (news), if it isn't already. */
void mr_context_commit(mr_context *context);

/* The text part is the context itself. */
static inline mr_context *mr_context_of(const mr_text *text)
{
    return (mr_context *)(uintptr_t)text;
}

/* text_state.c: for kinds with text, the cursors against the geometry; 0, -EBADMSG */
int mr_text_check_cursors(const mr_context *context);

/* text.c: cursors of a context that has just been filled with a prompt */
void mr_text_start(mr_context *context, int64_t prompt_length);

/* text.c: reset for a take-over: as mr_text_reset(), but min_tokens, stop sequences and records go
 * on */
void mr_text_take_over(mr_context *context);

/* text.c: MAX's creation checks of a request's text fields (docs/contexts.md) */
struct mr_request;
int mr_text_check(const struct mr_request *request);

/* logprobs.c: bytes of records that a request needs at most */
uint64_t mr_records_size(const struct mr_request *request);

/* logprobs.c: walk records in memory shared with their writer; `used` bytes count. Finds the first
 * record at or behind byte *at whose key is `position`; -ENOENT. Never reads outside, whatever lies
 * there. */
int mr_records_find(const unsigned char *records, uint64_t used, uint64_t *at, int64_t position,
                    mr_logprobs *logprobs, mr_logprob *entries, size_t room, mr_top_logprob *tops,
                    size_t top_room);

#endif
