/*
 * cancel.c - ending what is not finished: by its client, by its deadline, by taking its worker away
 *
 * A context is ended by whoever owns it, and asked to end by its cancel word, which the supervisor
 * and the collector raise from NONE by compare-and-swap: the first says why, and that stays. A
 * worker looks at the word once a step and hands the context on. One that waits has no owner; the
 * supervisor turns it from READY to DONE by one CAS, as a worker would that claimed it and saw the
 * word.
 *
 * A race: 1. the word is raised while a worker holds the context; 2. the worker, which had looked
 * before, is drained and puts it back READY. Nobody may have room for it then, so
 * mr_supervisor_expire() looks for what waits although it is cancelled, each time.
 *
 * Killed between the raising and the CAS: the next supervisor's look finds both.
 */
#include "ipc/error.h"
#include "ipc/lease.h"
#include "ipc/member.h"
#include "ipc/queue.h"
#include "ipc/slot.h"
#include <errno.h>
#include <millrace/supervise.h>
#include <string.h>

/* ---- ending one ---- */

static void raise_cancel(mr_slot *slot, uint32_t generation, uint32_t why)
{
    uint64_t none = mr_cancel_make(generation, MR_CANCEL_NONE);

    /* Of an older or later generation, or raised: it isn't ours to say. */
    atomic_compare_exchange_strong_explicit(&slot->cancel, &none, mr_cancel_make(generation, why),
                                            memory_order_acq_rel, memory_order_relaxed);
}

/* If it waits and is cancelled, it is done. */
static void end_waiting(mr_domain *domain, uint32_t index)
{
    uint64_t word = mr_slot_load(&domain->slots[index]);
    mr_state_parts state = mr_state_unpack(word);

    if (state.state == MR_STATE_READY &&
        mr_cancel_load(&domain->slots[index], state.generation) != MR_CANCEL_NONE)
        mr_lease_to_done(domain, index, word);
}

int mr_supervisor_cancel(mr_domain *domain, uint64_t handle, int cancel)
{
    uint32_t index = mr_handle_index(handle), generation = mr_handle_generation(handle);
    mr_state_parts state;

    if (index >= domain->slot_count)
        return mr_fail(EINVAL, "slot %u is not in [0, %u)", index, domain->slot_count);
    state = mr_state_unpack(mr_slot_load(&domain->slots[index]));
    if (state.generation != generation || state.state < MR_STATE_READY)
        return mr_fail(ESTALE, "the request has ended");
    raise_cancel(&domain->slots[index], generation, (uint32_t)cancel);
    end_waiting(domain, index);
    return 0;
}

/* ---- deadlines ---- */

static bool is_unfinished(mr_state_parts state)
{
    return state.state == MR_STATE_READY || state.state == MR_STATE_LEASED;
}

/* The parameters are constant while the state is one of these. Should the slot be given to the next
 * request meanwhile, what is raised names a generation that is over, and hits nobody. */
unsigned mr_supervisor_expire(mr_domain *domain)
{
    uint64_t now = mr_boottime_ns();
    unsigned expired = 0;

    for (uint32_t i = 0; i < domain->slot_count; i++) {
        mr_slot *slot = &domain->slots[i];
        mr_state_parts state = mr_state_unpack(mr_slot_load(slot));

        if (!is_unfinished(state))
            continue;
        if (slot->params.deadline && slot->params.deadline <= now &&
            mr_cancel_load(slot, state.generation) == MR_CANCEL_NONE) {
            raise_cancel(slot, state.generation, MR_CANCEL_DEADLINE);
            expired++;
        }
        end_waiting(domain, i);
    }
    return expired;
}

/* ---- a request by its id ---- */

/* The range is checked before it is read: a member gone mad may have written it. */
static bool has_id(const mr_domain *domain, const mr_slot *slot, mr_bytes id)
{
    mr_range range = slot->params.request_id;

    return range.bytes == id.length && range.offset <= domain->data_bytes &&
           range.bytes <= domain->data_bytes - range.offset &&
           !memcmp(domain->data + range.offset, id.bytes, id.length);
}

size_t mr_supervisor_find(const mr_domain *domain, mr_bytes request_id, uint64_t *handles,
                          size_t room)
{
    size_t count = 0;

    for (uint32_t i = 0; i < domain->slot_count; i++) {
        mr_state_parts state = mr_state_unpack(mr_slot_load(&domain->slots[i]));

        if (!is_unfinished(state) || !has_id(domain, &domain->slots[i], request_id))
            continue;
        if (count < room)
            handles[count] = mr_handle_make(i, state.generation);
        count++;
    }
    return count;
}

/* ---- taking a worker away ---- */

int mr_supervisor_drain(mr_domain *domain, int member)
{
    mr_place_record *place;

    if (member < 0 || member >= MR_MAX_MEMBERS)
        return mr_fail(ENOENT, "place %d is not in [0, %d)", member, MR_MAX_MEMBERS);
    place = &domain->members[member];
    if (!mr_place_taken(domain, (uint32_t)member) || place->role != MR_ROLE_WORKER)
        return mr_fail(ENOENT, "place %d holds no worker", member);
    atomic_store_explicit(&place->leave, 1, memory_order_relaxed);
    for (uint32_t stage = 0; stage < domain->stage_count; stage++)
        mr_queue_ring_all(domain, stage); /* its record may have been spoiled: it may be any */
    return 0;
}
