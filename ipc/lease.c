/*
 * lease.c - the ends of a lease: ready for another, done, failed
 *
 * Each is one CAS of the state word; the hint comes after it. Killed before the CAS the context is
 * still held and the sweep takes it back; killed between CAS and hint, the sweep hints it again.
 */
#include "ipc/lease.h"
#include "ipc/cursors.h"
#include "ipc/events.h"
#include "ipc/member.h"
#include "ipc/news.h"
#include "ipc/queue.h"
#include <errno.h>
#include <stdio.h>

int mr_lease_to_ready(mr_domain *domain, uint32_t index, uint64_t held, uint32_t stage,
                      uint32_t attempts, uint64_t fingerprint)
{
    mr_state_parts state = mr_state_unpack(held);

    state.state = MR_STATE_READY;
    state.stage = stage;
    state.attempts = attempts;
    state.owner = mr_begun_by(fingerprint);
    if (!mr_slot_change(&domain->slots[index], held, state))
        return -ESTALE;
    mr_queue_push(domain, stage, index, state.generation);
    return 0;
}

int mr_lease_to_done(mr_domain *domain, uint32_t index, uint64_t held)
{
    mr_state_parts state = mr_state_unpack(held);

    state.state = MR_STATE_DONE;
    state.owner = 0;
    if (!mr_slot_change(&domain->slots[index], held, state))
        return -ESTALE;
    mr_news_tell(domain, mr_handle_make(index, state.generation));
    return 0;
}

int mr_lease_release(mr_domain *domain, uint32_t index, const mr_context *context,
                     uint32_t attempts)
{
    uint32_t stage = mr_state_unpack(context->state).stage;

    if (context->now[MR_CURSOR_FAILURE])
        return mr_lease_to_done(domain, index, context->state);
    if (!mr_context_is_done(context))
        return mr_lease_to_ready(domain, index, context->state, stage, attempts,
                                 (uint64_t)context->now[MR_CURSOR_FINGERPRINT]);
    if (stage + 1 < domain->stage_count)
        return mr_lease_to_ready(domain, index, context->state, stage + 1, 0, 0);
    return mr_lease_to_done(domain, index, context->state);
}

int mr_lease_fail(mr_domain *domain, uint32_t index, uint64_t held, const char *why)
{
    mr_slot *slot = &domain->slots[index];
    int64_t cursors[MR_CURSOR_WORDS];
    uint64_t sequence;

    snprintf(slot->failure, sizeof(slot->failure), "%s", why);
    mr_cursors_read(slot, cursors, &sequence);
    cursors[MR_CURSOR_FAILURE] = 1;
    mr_cursors_write(slot, sequence, cursors, MR_CURSOR_WORDS);
    mr_events_end(slot, held, MR_TRACE_FAILED, mr_boottime_ns());
    return mr_lease_to_done(domain, index, held);
}
