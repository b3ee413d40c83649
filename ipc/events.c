/*
 * events.c - writing down a request's way (events.h)
 *
 * Who writes what: a slot's records, who owns the slot; the finished ones and their count, the
 * collector.
 *
 * A finished request: `number` is cleared, the entry is filled, `number` is stored, then the
 * header's count. Killed before the last store, a successor, which ends the request once more,
 * fills the same entry again.
 *
 * Orders: E1 release store of `leases` / acquire load: who sees a lease sees its words. E2 as in a
 * sequence lock: the entry's stores can't rise above the clearing of `number` (fence), nor sink
 * below its last store (release); a reader that finds the same number before and after has read
 * one entry.
 */
#include "ipc/events.h"
#include "ipc/context.h"
#include "ipc/cursors.h"
#include <string.h>

static void put(mr_word *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static uint64_t get(const mr_word *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* ---- leases ---- */

static void put_leases(mr_slot *slot, uint32_t generation, uint64_t leases)
{
    atomic_store_explicit(&slot->leases,
                          (uint64_t)(generation & MR_GENERATION_MASK) << MR_LEASES_BITS | leases,
                          memory_order_release); /* E1 */
}

/* A record that is used again holds nothing of its last lease before it has anything of the new. */
static mr_lease_record *next_record(mr_slot *slot, uint64_t number)
{
    mr_lease_record *record = mr_lease_record_of(slot, number);

    put(&record->begun, 0);
    put(&record->ended, 0);
    put(&record->ended_at, 0);
    put(&record->first, 0);
    put(&record->begun_at, 0);
    return record;
}

void mr_events_begin(mr_slot *slot, uint64_t held, uint64_t now, uint64_t sequence)
{
    const mr_state_parts state = mr_state_unpack(held);
    const uint64_t number = mr_leases_of(get(&slot->leases), state.generation);
    mr_lease_record *record = next_record(slot, number);

    put(&record->begun_at, mr_event_sequence(state.generation, sequence));
    put(&record->begun,
        mr_event_make(state.generation, MR_EVENT_BEGUN, now, state.owner, state.stage));
    put_leases(slot, state.generation, number + 1);
}

void mr_events_first(mr_slot *slot, uint64_t held, uint64_t now)
{
    const mr_state_parts state = mr_state_unpack(held);
    const uint64_t leases = mr_leases_of(get(&slot->leases), state.generation);

    if (leases)
        put(&mr_lease_record_of(slot, leases - 1)->first,
            mr_event_make(state.generation, MR_EVENT_FIRST, now, state.owner, state.stage));
}

/* Is it the end of the same lease, but for the time? Deaths are told apart by their number. */
static bool is_same_end(uint64_t a, uint64_t b)
{
    const uint64_t time = MR_EVENT_TIME_MASK << 10;

    return (a & ~time) == (b & ~time);
}

void mr_events_end(mr_slot *slot, uint64_t held, enum mr_trace_end end, uint64_t now)
{
    const mr_state_parts state = mr_state_unpack(held);
    const uint64_t leases = mr_leases_of(get(&slot->leases), state.generation);
    const uint64_t word =
        mr_event_make(state.generation, MR_EVENT_END + (uint32_t)end, now, state.owner,
                      end == MR_TRACE_TAKEN_BACK ? state.attempts : state.stage);
    mr_lease_record *record = leases ? mr_lease_record_of(slot, leases - 1) : NULL;
    const uint64_t before = record ? get(&record->ended) : 0;

    if (record && before && is_same_end(before, word))
        return;
    if (!record || before) /* the lease that ends is too short to have a record */
        record = next_record(slot, leases);
    put(&record->ended_at, mr_event_sequence(state.generation, get(&slot->sequence)));
    put(&record->ended, word);
    if (!leases || before)
        put_leases(slot, state.generation, leases + 1);
}

void mr_events_copy_lease(uint64_t words[MR_LEASE_WORDS], const mr_lease_record *record)
{
    words[MR_LEASE_BEGUN] = get(&record->begun);
    words[MR_LEASE_BEGUN_AT] = get(&record->begun_at);
    words[MR_LEASE_FIRST] = get(&record->first);
    words[MR_LEASE_ENDED] = get(&record->ended);
    words[MR_LEASE_ENDED_AT] = get(&record->ended_at);
}

/* ---- finished requests ---- */

static void copy_leases(mr_way *way, mr_slot *slot, uint32_t generation)
{
    const uint64_t leases =
        mr_leases_of(atomic_load_explicit(&slot->leases, memory_order_acquire), generation);

    way->leases = leases;
    for (uint64_t i = 0; i < leases && i < MR_TRACE_LEASES; i++)
        mr_events_copy_lease(way->lease[i], mr_lease_record_of(slot, i));
}

/* The range is checked on a copy: a member gone mad may have written it. */
static void copy_id(mr_way *way, const mr_domain *domain, mr_range id)
{
    const mr_range arena = {domain->arena_offset, domain->arena_bytes};

    if (!mr_range_fits(&arena, &id) || id.bytes > UINT32_MAX)
        return;
    way->id_bytes = (uint32_t)id.bytes;
    memcpy(way->id, domain->data + id.offset, id.bytes < MR_TRACE_ID ? id.bytes : MR_TRACE_ID);
}

void mr_events_read_slot(mr_way *way, const mr_domain *domain, mr_handle handle)
{
    mr_slot *slot = &domain->slots[mr_handle_index(handle)];
    const mr_params *params = &slot->params;
    const mr_glance glance = mr_glance_read(slot);

    *way = (mr_way){
        .handle = handle,
        .ordinal = get(&slot->ordinal),
        .accepted = params->accepted,
        .queued = get(&slot->queued),
        .prompt_length = params->original_prompt,
        .length = glance.length,
        .choice = params->choice,
        .choices = params->choices,
        .kind = params->kind,
        .failed = glance.failed,
        .cancel = mr_cancel_load(slot, mr_handle_generation(handle)),
    };
    copy_id(way, domain, params->request_id);
    copy_leases(way, slot, mr_handle_generation(handle));
}

/* Is it kept already? A predecessor was killed between that and giving the slot back. */
static bool is_kept(const mr_domain *domain, const mr_way *way)
{
    const uint64_t finished = get(&domain->header->finished);

    for (uint64_t i = 1; i <= MR_MAX_EMITTED && i <= domain->finished_count && i <= finished; i++) {
        const mr_finished *entry = &domain->finished[(finished - i) % domain->finished_count];
        mr_way kept;

        if (mr_events_read_finished(&kept, entry) && kept.handle == way->handle &&
            kept.ordinal == way->ordinal)
            return true;
    }
    return false;
}

void mr_events_finish(mr_domain *domain, mr_handle handle, bool again)
{
    const uint64_t finished = get(&domain->header->finished);
    mr_finished *entry = &domain->finished[finished % domain->finished_count];
    uint64_t words[sizeof(mr_way) / 8];
    mr_way way;

    mr_events_read_slot(&way, domain, handle);
    if (again && is_kept(domain, &way))
        return;
    memcpy(words, &way, sizeof(way));
    put(&entry->number, 0);
    atomic_thread_fence(memory_order_release); /* E2 */
    put(&entry->emitted, 0);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        put(&entry->way[i], words[i]);
    atomic_store_explicit(&entry->number, finished + 1, memory_order_release); /* E2 */
    atomic_store_explicit(&domain->header->finished, finished + 1, memory_order_release);
}

uint64_t mr_events_read_finished(mr_way *way, const mr_finished *entry)
{
    const uint64_t number = atomic_load_explicit(&entry->number, memory_order_acquire); /* E2 */
    uint64_t words[sizeof(mr_way) / 8];

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        words[i] = get(&entry->way[i]);
    atomic_thread_fence(memory_order_acquire); /* E2 */
    memcpy(way, words, sizeof(*way));
    return get(&entry->number) == number ? number : 0;
}

void mr_events_emitted(mr_domain *domain, uint64_t from, uint64_t now)
{
    const uint64_t finished = get(&domain->header->finished);

    for (uint64_t i = from; i < finished && i < from + MR_MAX_EMITTED; i++)
        put(&domain->finished[i % domain->finished_count].emitted, now);
}
