/*
 * check_slots.c - the contexts: each slot by itself, then all of them together
 *
 * A slot's finding hangs on its state word and the number of its last commit: a look during which
 * one of them changed doesn't count. What two slots have together hangs on both state words, which
 * are asked once more when the pair was found.
 */
#include "ipc/check.h"
#include "ipc/context.h"
#include "ipc/cursors.h"
#include "ipc/error.h"
#include "ipc/slot.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SAME_LOOKS = 3, MOST_LOOKS = 20 };

static uint64_t load(const mr_word *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static bool in_use(uint32_t state)
{
    return state >= MR_STATE_READY && state < MR_STATE_COUNT;
}

/* ---- one slot: its word ---- */

static bool lease_is_wrong(mr_check *check, mr_state_parts state)
{
    const mr_place_record *place = &check->domain->members[state.owner % MR_MAX_MEMBERS];

    if (state.owner >= MR_MAX_MEMBERS)
        return mr_check_wrong(check, "it is leased to place %u, of %d", state.owner,
                              MR_MAX_MEMBERS);
    if (!mr_check_place_taken(check, state.owner))
        return mr_check_wrong(check, "it is leased to place %u, which is free", state.owner);
    if (place->role != MR_ROLE_WORKER)
        return mr_check_wrong(check, "it is leased to place %u, which is no worker's", state.owner);
    if (place->stage != state.stage)
        return mr_check_wrong(check, "it is leased for stage %u to place %u, which is of stage %u",
                              state.stage, state.owner, place->stage);
    return false;
}

static bool word_is_wrong(mr_check *check, mr_state_parts state)
{
    bool at_work = state.state == MR_STATE_READY || state.state == MR_STATE_LEASED;

    if (state.state >= MR_STATE_COUNT)
        return mr_check_wrong(check, "state %u is unknown", state.state);
    if (at_work && state.stage >= check->domain->stage_count)
        return mr_check_wrong(check, "stage %u is not in [0, %u)", state.stage,
                              check->domain->stage_count);
    if (at_work && state.attempts >= check->domain->max_attempts)
        return mr_check_wrong(check, "%u workers died with it, and it was not given up",
                              state.attempts);
    return state.state == MR_STATE_LEASED && lease_is_wrong(check, state);
}

/* ---- one slot: its record, cursors and marks ---- */

static bool glance_is_wrong(mr_check *check, const mr_context *context)
{
    const mr_glance glance = mr_glance_read(context->slot);

    return (!glance.sound || glance.length != context->now[MR_CURSOR_LENGTH] ||
            glance.last_token != context->now[MR_CURSOR_LAST] ||
            glance.status != ((uint32_t)context->now[MR_CURSOR_STATUS] & 255) ||
            glance.failed != (context->now[MR_CURSOR_FAILURE] != 0)) &&
           mr_check_wrong(check,
                          "what the collector sees (%lld tokens) isn't what was committed "
                          "(%lld tokens)",
                          (long long)glance.length, (long long)context->now[MR_CURSOR_LENGTH]);
}

/* The marks were loaded before the cursors: they are of the same commit or an earlier one. */
static bool marks_are_wrong(mr_check *check, const mr_context *context, mr_state_parts state,
                            uint64_t emitted, bool final)
{
    int64_t generated = context->now[MR_CURSOR_LENGTH] - context->params.original_prompt;

    if (final && state.state != MR_STATE_DONE)
        return mr_check_wrong(check, "it was answered already, but isn't done");
    if (mr_context_text((mr_context *)(uintptr_t)context) && emitted > (uint64_t)generated)
        return mr_check_wrong(check, "%llu tokens were emitted, but %lld were generated",
                              (unsigned long long)emitted, (long long)generated);
    return false;
}

/* The collector answers what is DONE: it must be at its end, failed or cancelled. */
static bool end_is_wrong(mr_check *check, const mr_context *context, mr_state_parts state)
{
    return state.state == MR_STATE_DONE && !mr_context_is_done(context) &&
           !context->now[MR_CURSOR_FAILURE] && !mr_context_cancelled(context) &&
           mr_check_wrong(check, "it was handed to the collector before its end");
}

/* A collector that died while it copied the marks has a successor that copies them again. */
static bool is_in_journal(const mr_header *h, mr_handle handle)
{
    int64_t journal[MR_JOURNAL_WORDS], count;

    mr_twin_read(&h->journal_sequence, h->journal[0], MR_JOURNAL_WORDS, journal, MR_JOURNAL_WORDS);
    count = journal[MR_JOURNAL_COUNT];
    for (int64_t i = 0; i < count && i < MR_MAX_EMITTED; i++)
        if ((mr_handle)journal[MR_JOURNAL_PARTS + i * MR_PART_WORDS] == handle)
            return true;
    return false;
}

/* Workers of another kind leave it alone. */
static bool kind_is_wrong(mr_check *check, const mr_context *context, mr_state_parts state)
{
    return state.state == MR_STATE_READY && state.owner &&
           state.owner != mr_begun_by((uint64_t)context->now[MR_CURSOR_FINGERPRINT]) &&
           mr_check_wrong(check, "it waits for a kind of worker that didn't begin it");
}

static bool context_is_wrong(mr_check *check, uint32_t index, mr_state_parts state)
{
    const mr_slot *slot = &check->domain->slots[index];
    uint64_t emitted, bytes;
    bool sound = mr_marks_load(slot, &emitted, &bytes);
    bool final = mr_slot_is_final(slot);
    mr_context context;

    if (mr_context_peek(&context, check->domain, index))
        return mr_check_wrong(check, "%s", mr_error());
    return kind_is_wrong(check, &context, state) || glance_is_wrong(check, &context) ||
           marks_are_wrong(check, &context, state, emitted, final) ||
           (!sound && !is_in_journal(check->domain->header, context.handle) &&
            mr_check_wrong(check, "what was emitted of it was overwritten")) ||
           end_is_wrong(check, &context, state);
}

/* Freed without an answer: nobody would ever look at its request again. */
static bool free_is_wrong(mr_check *check, const mr_slot *slot)
{
    return load(&slot->ordinal) && !mr_slot_is_final(slot) &&
           mr_check_wrong(check, "it is free, but record %llu in it was never answered",
                          (unsigned long long)load(&slot->ordinal));
}

static bool slot_is_wrong(mr_check *check, uint32_t index, mr_state_parts state)
{
    if (word_is_wrong(check, state))
        return true;
    if (state.state == MR_STATE_FREE)
        return free_is_wrong(check, &check->domain->slots[index]);
    return in_use(state.state) && context_is_wrong(check, index, state);
}

static void check_slot(mr_check *check, uint32_t index)
{
    const mr_slot *slot = &check->domain->slots[index];
    int same = 0;

    for (int looks = 0; looks < MOST_LOOKS && same < SAME_LOOKS; looks++) {
        uint64_t word = mr_slot_load(slot), sequence = load(&slot->sequence);

        if (!slot_is_wrong(check, index, mr_state_unpack(word)))
            return;
        if (mr_slot_load(slot) == word && load(&slot->sequence) == sequence)
            same++;
        mr_check_pause(check);
    }
    if (same == SAME_LOOKS)
        mr_check_tell(check, "slot %u", index);
}

/* ---- all slots ---- */

typedef struct used_slot {
    uint32_t index;
    uint32_t choice;
    uint64_t word;
    uint64_t ordinal;
    mr_range range;
} used_slot;

static void count_state(mr_census *census, uint32_t state)
{
    uint32_t *const counts[] = {&census->free, &census->filling, &census->ready, &census->leased,
                                &census->done};

    if (state < MR_STATE_COUNT)
        ++*counts[state];
}

/* The slots in use, each as of one moment. */
static size_t see_used(mr_check *check, used_slot *used)
{
    size_t count = 0;

    for (uint32_t i = 0; i < check->domain->slot_count; i++) {
        const mr_slot *slot = &check->domain->slots[i];
        used_slot *u = &used[count];

        *u = (used_slot){.index = i, .word = mr_slot_load(slot)};
        u->range = slot->arena;
        u->ordinal = load(&slot->ordinal);
        u->choice = (uint32_t)load(&slot->choice);
        count_state(check->census, mr_state_unpack(u->word).state);
        if (in_use(mr_state_unpack(u->word).state) && mr_slot_load(slot) == u->word) {
            check->census->arena_bytes += (u->range.bytes + 63) / 64 * 64;
            count++;
        }
    }
    return count;
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const used_slot *)a)->range.offset, y = ((const used_slot *)b)->range.offset;

    return (x > y) - (x < y);
}

static int by_record(const void *a, const void *b)
{
    const used_slot *x = a, *y = b;

    if (x->ordinal != y->ordinal)
        return x->ordinal > y->ordinal ? 1 : -1;
    return (x->choice > y->choice) - (x->choice < y->choice);
}

/* Both are still what they were: so they were it at the same time. */
static bool still_so(const mr_check *check, const used_slot *a, const used_slot *b)
{
    return mr_slot_load(&check->domain->slots[a->index]) == a->word &&
           mr_slot_load(&check->domain->slots[b->index]) == b->word;
}

static void check_overlaps(mr_check *check, used_slot *used, size_t count)
{
    qsort(used, count, sizeof(*used), by_offset);
    for (size_t i = 1; i < count; i++) {
        const used_slot *a = &used[i - 1], *b = &used[i];

        if (b->range.offset - a->range.offset < a->range.bytes && b->range.bytes &&
            still_so(check, a, b) &&
            mr_check_wrong(check, "its range overlaps that of slot %u", a->index))
            mr_check_tell(check, "slot %u", b->index);
    }
}

static void check_doubles(mr_check *check, used_slot *used, size_t count)
{
    qsort(used, count, sizeof(*used), by_record);
    for (size_t i = 1; i < count; i++) {
        const used_slot *a = &used[i - 1], *b = &used[i];

        if (by_record(a, b) == 0 && still_so(check, a, b) &&
            mr_check_wrong(check, "it holds record %llu, choice %u, as slot %u does",
                           (unsigned long long)a->ordinal, a->choice, a->index))
            mr_check_tell(check, "slot %u", b->index);
    }
}

int mr_check_slots(mr_check *check)
{
    const mr_domain *domain = check->domain;
    used_slot *used = calloc(domain->slot_count, sizeof(*used));
    size_t count;

    if (!used)
        return mr_fail(ENOMEM, "out of memory for %u slots", domain->slot_count);
    for (uint32_t i = 0; i < domain->slot_count; i++)
        check_slot(check, i);
    check->census->slots = domain->slot_count;
    check->census->arena_size = domain->arena_bytes;
    count = see_used(check, used);
    check_overlaps(check, used, count);
    check_doubles(check, used, count);
    free(used);
    return 0;
}
