/*
 * check_queues.c - rings, bells, and whether whatever waits is known to somebody
 *
 * A ring is judged by a copy that is taken twice and the same both times: no push or pop came
 * between, since each changes an entry, and an entry is never again what it was. A ring that is
 * never quiet for so long is at work, and nothing is said of it.
 */
#include "ipc/check.h"
#include "ipc/context.h"
#include "ipc/error.h"
#include "ipc/queue.h"
#include "ipc/slot.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 50 };

typedef struct still_ring {
    mr_ring ring;
    mr_entries entries;
} still_ring;

static uint64_t load(const mr_word *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static void place_name(const mr_check *check, uint32_t number, char name[40])
{
    const char *text = number == MR_QUEUE_COLLECTOR ? "collector"
                       : number == MR_QUEUE_FREE    ? "free"
                                                    : check->domain->info.stage_names[number];

    snprintf(name, 40, "queue '%s'", text);
}

/* ---- rings ---- */

static void copy_entries(mr_entries from, mr_word *to)
{
    for (uint64_t i = 0; i <= from.mask; i++)
        atomic_store_explicit(&to[i], load(&from.at[i]), memory_order_relaxed);
}

static bool equals(mr_entries entries, const mr_word *copy)
{
    for (uint64_t i = 0; i <= entries.mask; i++)
        if (load(&entries.at[i]) != atomic_load_explicit(&copy[i], memory_order_relaxed))
            return false;
    return true;
}

/* False: the ring is never still. */
static bool hold_still(const mr_check *check, uint32_t number, still_ring *still)
{
    const mr_ring *ring = &check->domain->queues[number].ring;
    mr_entries entries = check->domain->entries[number];

    for (int i = 0; i < TRIES; i++) {
        copy_entries(entries, still->entries.at);
        atomic_store_explicit(&still->ring.head, load(&ring->head), memory_order_relaxed);
        atomic_store_explicit(&still->ring.tail, load(&ring->tail), memory_order_relaxed);
        if (equals(entries, still->entries.at))
            return true;
        mr_check_pause(check);
    }
    return false;
}

static bool ring_is_wrong(mr_check *check, uint32_t number, const still_ring *still)
{
    const mr_domain *domain = check->domain;
    const mr_ring *ring = &domain->queues[number].ring;
    uint64_t offset = (uint64_t)((const unsigned char *)domain->entries[number].at - domain->data);

    if (ring->entries != offset || ring->mask != domain->entries[number].mask)
        return mr_check_wrong(check, "where its ring lies was overwritten");
    for (uint64_t i = 0; i <= still->entries.mask; i++) {
        uint32_t value;

        if (mr_ring_entry(still->entries, i, &value) &&
            (value & MR_INDEX_MASK) >= domain->slot_count)
            return mr_check_wrong(check, "entry %llu is a hint to slot %u, of %u",
                                  (unsigned long long)i, (uint32_t)(value & MR_INDEX_MASK),
                                  domain->slot_count);
    }
    return mr_ring_check(&still->ring, still->entries) &&
           mr_check_wrong(check, "the cycles of its entries, its head and its tail don't fit");
}

static void count_hints(mr_check *check, uint32_t number, const still_ring *still)
{
    uint32_t value;

    for (uint64_t i = 0; i <= still->entries.mask && number != MR_QUEUE_FREE; i++)
        check->census->hints += mr_ring_entry(still->entries, i, &value);
}

/* ---- bells ---- */

/* The holder of a place clears its bits before it leaves, and the sweep before the place is free.
 */
static bool bell_is_wrong(mr_check *check, uint32_t number)
{
    mr_doorbell *bell = &check->domain->queues[number].doorbell;
    uint64_t bits = load(&bell->sleepers) | load(&bell->watchers);
    int posts = 0;

    for (uint32_t i = 0; i < MR_MAX_MEMBERS; i++)
        if ((bits >> i & 1) && !mr_check_place_taken(check, i))
            return mr_check_wrong(check, "place %u sleeps at it, and is free", i);
    sem_getvalue(&bell->semaphore, &posts);
    return posts > MR_MAX_MEMBERS &&
           mr_check_wrong(check, "its bell was rung %d times for at most %d sleepers", posts,
                          MR_MAX_MEMBERS);
}

/* ---- hints, of a domain at rest ---- */

static bool is_hinted(const still_ring *still, uint32_t index, uint32_t generation)
{
    uint32_t value;

    for (uint64_t i = 0; i <= still->entries.mask; i++)
        if (mr_ring_entry(still->entries, i, &value) && mr_hint_fits(value, index, generation))
            return true;
    return false;
}

/* A slot that was never used is no news to a tokenizer, which begins with a look at all. */
static uint32_t queue_of(const mr_check *check, mr_state_parts state)
{
    if (state.state == MR_STATE_FREE)
        return state.generation ? MR_QUEUE_FREE : MR_QUEUES;
    if (state.state == MR_STATE_DONE)
        return MR_QUEUE_COLLECTOR;
    return state.state == MR_STATE_READY && state.stage < check->domain->stage_count ? state.stage
                                                                                     : MR_QUEUES;
}

/* Consumers that were told to look through the slots need no hints. */
static void check_hints(mr_check *check, uint32_t number, const still_ring *still)
{
    char name[40];

    place_name(check, number, name);
    if (!check->at_rest || load(&check->domain->queues[number].ring.rescan))
        return;
    for (uint32_t i = 0; i < check->domain->slot_count; i++) {
        mr_state_parts state = mr_state_unpack(mr_slot_load(&check->domain->slots[i]));

        if (queue_of(check, state) == number && !is_hinted(still, i, state.generation) &&
            mr_check_wrong(check, "it waits for %s, where no hint tells of it", name))
            mr_check_tell(check, "slot %u", i);
    }
}

/* ---- each queue ---- */

static void check_queue(mr_check *check, uint32_t number, still_ring *still)
{
    char name[40];
    bool wrong = false;

    place_name(check, number, name);
    still->entries.mask = check->domain->entries[number].mask;
    if (hold_still(check, number, still)) {
        wrong = ring_is_wrong(check, number, still);
        count_hints(check, number, still);
        if (!wrong)
            check_hints(check, number, still);
    }
    if (wrong || mr_check_persists(check, bell_is_wrong, number))
        mr_check_tell(check, "%s", name);
}

static bool is_used(const mr_check *check, uint32_t number)
{
    return number >= MR_QUEUE_COLLECTOR || number < check->domain->stage_count;
}

int mr_check_queues(mr_check *check)
{
    still_ring still = {0};
    uint64_t most = 0;

    for (uint32_t i = 0; i < MR_QUEUES; i++)
        if (check->domain->entries[i].mask > most)
            most = check->domain->entries[i].mask;
    if (!(still.entries.at = calloc(most + 1, sizeof(*still.entries.at))))
        return mr_fail(ENOMEM, "out of memory for a ring of %llu entries",
                       (unsigned long long)most + 1);
    for (uint32_t i = 0; i < MR_QUEUES; i++)
        if (is_used(check, i))
            check_queue(check, i, &still);
    free(still.entries.at);
    return 0;
}
