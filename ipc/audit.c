/*
 * audit.c - what a supervisor looks for each second, and mends
 *
 * Memory that members share may be overwritten by one of them gone mad, or by a flipped bit. Then a
 * request may be in a state in which nobody would ever look at it again, and the run would wait for
 * it for ever. The audit finds these states and ends them: the request is put back where that is
 * safe, and failed with a sentence where its context can't be trusted. What is only slow, or held
 * by a living worker, it leaves alone: a worker looks itself for leases that it doesn't know
 * (worker.c), since it alone knows what it holds.
 *
 * Whatever is mended is taken first: one CAS to LEASED by nobody, from the word that was found
 * wrong. So a slot that somebody is just changing stays his. Killed after that CAS: the next audit
 * finds the lease of nobody.
 *
 * The look of the last audit is kept: what is a moment's state for a process at work (FILLING, a
 * hint popped and not followed yet) is wrong if it is still the same a second later.
 */
#include "ipc/cursors.h"
#include "ipc/error.h"
#include "ipc/lease.h"
#include "ipc/queue.h"
#include "ipc/ring.h"
#include "ipc/slot.h"
#include "ipc/sweep.h"
#include <errno.h>
#include <millrace/member.h>
#include <millrace/supervise.h>
#include <stdlib.h>
#include <string.h>

enum { NOBODY = 0xfffff }; /* an owner that no place has */

struct mr_audit {
    uint64_t mark_sequence; /* of the intake mark, after the slots were looked at */
    bool idle;              /* no record was at work then, and none will be */
    uint64_t *hinted;       /* of one queue: a bit a slot */
    uint64_t words[];       /* each slot's */
};

static struct mr_audit *audit_of(mr_domain *domain)
{
    size_t bitmap = (domain->slot_count + 63) / 64;

    if (!domain->audit) {
        domain->audit =
            calloc(1, sizeof(*domain->audit) + (domain->slot_count + bitmap) * sizeof(uint64_t));
        if (domain->audit) {
            domain->audit->hinted = domain->audit->words + domain->slot_count;
            memset(domain->audit->words, 0xff, domain->slot_count * sizeof(uint64_t));
        }
    }
    return domain->audit;
}

/* ---- states ---- */

static bool is_leased_to_nobody(const mr_domain *domain, mr_state_parts state)
{
    return state.state == MR_STATE_LEASED &&
           (state.owner >= MR_MAX_MEMBERS || !mr_place_taken(domain, state.owner) ||
            domain->members[state.owner].role != MR_ROLE_WORKER);
}

/* The tokenizer fills a slot within one record: one that is FILLING through a second, in which the
 * mark moved after it was seen or no record was at work, isn't the tokenizer's. */
static bool is_filled_by_nobody(const mr_domain *domain, uint32_t index, uint64_t word)
{
    const struct mr_audit *audit = domain->audit;

    return word == audit->words[index] &&
           (audit->idle || atomic_load_explicit(&domain->header->mark_sequence,
                                                memory_order_acquire) != audit->mark_sequence);
}

static bool is_wrong(const mr_domain *domain, uint32_t index, uint64_t word)
{
    const mr_slot *slot = &domain->slots[index];
    mr_state_parts state = mr_state_unpack(word);

    switch (state.state) {
    case MR_STATE_FREE: /* freed without an answer */
        return mr_slot_is_unanswered(slot);
    case MR_STATE_FILLING:
        return is_filled_by_nobody(domain, index, word);
    case MR_STATE_READY: /* of no stage, or with nothing in it that anybody asked for */
        return state.stage >= domain->stage_count || !mr_slot_is_unanswered(slot);
    case MR_STATE_LEASED:
        return is_leased_to_nobody(domain, state) || state.stage >= domain->stage_count;
    case MR_STATE_DONE:
        return !atomic_load_explicit(&slot->ordinal, memory_order_acquire);
    default:
        return true;
    }
}

/* ---- mending ---- */

/* To LEASED by nobody; 0 if the word has changed. */
static uint64_t seize(mr_slot *slot, uint64_t word)
{
    mr_state_parts state = mr_state_unpack(word);

    state.state = MR_STATE_LEASED;
    state.owner = NOBODY;
    return mr_slot_change(slot, word, state) ? mr_state_pack(state) : 0;
}

static void free_again(mr_domain *domain, uint32_t index, uint64_t word)
{
    mr_state_parts state = {.generation =
                                (mr_state_unpack(word).generation + 1) & MR_GENERATION_MASK,
                            .state = MR_STATE_FREE};

    if (mr_slot_change(&domain->slots[index], word, state))
        mr_queue_push(domain, MR_QUEUE_FREE, index, state.generation);
}

static int mend(mr_domain *domain, uint32_t index, uint64_t word)
{
    mr_slot *slot = &domain->slots[index];
    mr_state_parts state = mr_state_unpack(word);
    uint64_t held = seize(slot, word);

    if (!held)
        return 0;
    if (!mr_slot_is_unanswered(slot))
        free_again(domain, index, held);
    else if (state.state == MR_STATE_LEASED && state.stage < domain->stage_count)
        mr_sweep_take_back(domain, index, held, 0);
    else
        mr_lease_fail(domain, index, held, "the request's state word was overwritten");
    return 1;
}

/* READY for workers of a kind that didn't begin it: nobody would come for it. (A lease of which one
 * bit flipped looks so, too.) Its cursors say who did. */
static void mend_kind(mr_domain *domain, uint32_t index, uint64_t word)
{
    mr_slot *slot = &domain->slots[index];
    mr_state_parts state = mr_state_unpack(word);
    int64_t now[MR_CURSOR_WORDS];
    uint64_t sequence;
    uint32_t begun_by;

    if (state.state != MR_STATE_READY || !state.owner || !mr_cursors_read(slot, now, &sequence))
        return;
    begun_by = mr_begun_by((uint64_t)now[MR_CURSOR_FINGERPRINT]);
    if (state.owner == begun_by)
        return;
    state.owner = begun_by;
    if (mr_slot_change(slot, word, state))
        mr_queue_push(domain, state.stage, index, state.generation);
}

static int mend_slots(mr_domain *domain)
{
    int mended = 0;

    for (uint32_t i = 0; i < domain->slot_count; i++) {
        uint64_t word = mr_slot_load(&domain->slots[i]);

        if (is_wrong(domain, i, word) && mr_slot_load(&domain->slots[i]) == word)
            mended += mend(domain, i, word);
        else
            mend_kind(domain, i, word);
    }
    return mended;
}

/* ---- queues ---- */

static void collect_hints(mr_domain *domain, uint32_t number)
{
    mr_entries entries = domain->entries[number];
    uint64_t *hinted = domain->audit->hinted;

    memset(hinted, 0, (domain->slot_count + 63) / 64 * sizeof(*hinted));
    for (uint64_t i = 0; i <= entries.mask; i++) {
        uint32_t hint, index;

        if (!mr_ring_entry(entries, i, &hint) ||
            (index = hint & (uint32_t)MR_INDEX_MASK) >= domain->slot_count)
            continue;
        if (mr_hint_fits(hint, index,
                         mr_state_unpack(mr_slot_load(&domain->slots[index])).generation))
            hinted[index / 64] |= UINT64_C(1) << index % 64;
    }
}

static bool waits_in(const mr_slot *slot, mr_state_parts state, uint32_t number)
{
    if (number != MR_QUEUE_COLLECTOR)
        return state.state == MR_STATE_READY && state.stage == number;
    return state.state == MR_STATE_DONE ||
           (state.state >= MR_STATE_READY && state.state < MR_STATE_COUNT &&
            atomic_load_explicit(&slot->news, memory_order_relaxed));
}

/* What has waited for a second without a hint gets one; a second hint does no harm. */
static void hint_waiting(mr_domain *domain, uint32_t number)
{
    const struct mr_audit *audit = domain->audit;

    collect_hints(domain, number);
    for (uint32_t i = 0; i < domain->slot_count; i++) {
        uint64_t word = mr_slot_load(&domain->slots[i]);
        mr_state_parts state = mr_state_unpack(word);

        if (word == audit->words[i] && waits_in(&domain->slots[i], state, number) &&
            !(audit->hinted[i / 64] >> i % 64 & 1))
            mr_queue_push(domain, number, i, state.generation);
    }
}

/* A bell that seems to have been rung more often than there can be sleepers would wake them for
 * nothing again and again. Who sleeps at it now wakes by himself, within a tenth of a second. */
static void mend_bell(mr_domain *domain, uint32_t number)
{
    sem_t *semaphore = &domain->queues[number].doorbell.semaphore;
    int posts = 0;

    if (sem_getvalue(semaphore, &posts) || posts < 0 || posts > MR_MAX_MEMBERS)
        sem_init(semaphore, 1, 0);
}

/* Hints behind a head or a tail that was spoiled are seen by nobody: it is put right, and the
 * consumers look at the slots. Where the ring is just being used it may only seem so, and costs one
 * look. */
static void mend_queue(mr_domain *domain, uint32_t number)
{
    mr_ring *ring = &domain->queues[number].ring;

    if (mr_ring_check(ring, domain->entries[number])) {
        mr_ring_mend(ring, domain->entries[number]);
        mr_queue_rescan_raise(domain, number);
        mr_queue_ring_all(domain, number);
    }
    mend_bell(domain, number);
}

/* ---- the audit ---- */

static void remember(mr_domain *domain)
{
    const mr_header *h = domain->header;
    struct mr_audit *audit = domain->audit;

    for (uint32_t i = 0; i < domain->slot_count; i++)
        audit->words[i] = mr_slot_load(&domain->slots[i]);
    /* after the words: a mark that moves from here on is of a record that was being filled then, or
     * of a later one */
    audit->mark_sequence = atomic_load_explicit(&h->mark_sequence, memory_order_acquire);
    audit->idle = h->mark[audit->mark_sequence & 1][MR_MARK_FINISHED] &&
                  !atomic_load_explicit(&h->intaking, memory_order_acquire);
}

int mr_supervisor_audit(mr_domain *domain)
{
    int mended;

    if (!audit_of(domain))
        return mr_fail(ENOMEM, "out of memory for %u slots", domain->slot_count);
    mended = mend_slots(domain);
    for (uint32_t i = 0; i < MR_QUEUES; i++) {
        if (i >= domain->stage_count && i < MR_QUEUE_COLLECTOR)
            continue;
        mend_queue(domain, i);
        if (i != MR_QUEUE_FREE)
            hint_waiting(domain, i);
    }
    remember(domain);
    return mended;
}
