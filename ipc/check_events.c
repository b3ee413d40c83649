/*
 * check_events.c - what is written down of the ways of requests (events.h)
 *
 * Nothing hangs on it: `millrace trace` leaves out what is spoiled. But who overwrote it may have
 * overwritten more.
 */
#include "ipc/check.h"
#include "ipc/events.h"

static uint64_t load(const mr_word *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

/* A word is empty, or of this request and of one of the codes that its place may have. */
static bool word_fits(uint64_t word, uint32_t generation, uint32_t low, uint32_t high)
{
    const uint32_t code = mr_event_code_of(word);

    return !word || (word >> 56 == (generation & 255) && code >= low && code <= high);
}

static bool lease_fits(const uint64_t *words, uint32_t generation)
{
    return word_fits(words[MR_LEASE_BEGUN], generation, MR_EVENT_BEGUN, MR_EVENT_BEGUN) &&
           word_fits(words[MR_LEASE_BEGUN_AT], generation, MR_EVENT_SEQUENCE, MR_EVENT_SEQUENCE) &&
           word_fits(words[MR_LEASE_FIRST], generation, MR_EVENT_FIRST, MR_EVENT_FIRST) &&
           word_fits(words[MR_LEASE_ENDED], generation, MR_EVENT_END + MR_TRACE_DONE,
                     MR_EVENT_END + MR_TRACE_FAILED) &&
           word_fits(words[MR_LEASE_ENDED_AT], generation, MR_EVENT_SEQUENCE, MR_EVENT_SEQUENCE);
}

static bool way_is_wrong(mr_check *check, uint32_t index)
{
    mr_slot *slot = &check->domain->slots[index];
    const uint64_t word = mr_slot_load(slot);
    const mr_state_parts state = mr_state_unpack(word);
    const uint64_t leases = mr_leases_of(load(&slot->leases), state.generation);

    if (state.state < MR_STATE_READY || state.state >= MR_STATE_COUNT)
        return false;
    for (uint64_t i = 0; i < leases && i < MR_TRACE_LEASES; i++) {
        uint64_t words[MR_LEASE_WORDS];

        mr_events_copy_lease(words, mr_lease_record_of(slot, i));
        if (!lease_fits(words, state.generation) && mr_slot_load(slot) == word)
            return mr_check_wrong(check, "what it tells of lease %llu was overwritten",
                                  (unsigned long long)i + 1);
    }
    return false;
}

/* The one that is being ended is numbered before it is counted. */
static bool kept_are_wrong(mr_check *check, uint32_t unused)
{
    const uint32_t places = check->domain->finished_count;

    (void)unused;
    for (uint32_t i = 0; i < places; i++) {
        const uint64_t number = load(&check->domain->finished[i].number);
        const uint64_t finished = load(&check->domain->header->finished);

        if (number && (number > finished + 1 || (number - 1) % places != i))
            return mr_check_wrong(check, "place %u has request %llu of %llu that ended", i,
                                  (unsigned long long)number, (unsigned long long)finished);
    }
    return false;
}

void mr_check_events(mr_check *check)
{
    for (uint32_t i = 0; i < check->domain->slot_count; i++)
        if (mr_check_persists(check, way_is_wrong, i))
            mr_check_tell(check, "slot %u", i);
    if (mr_check_persists(check, kept_are_wrong, 0))
        mr_check_tell(check, "ended requests");
}
