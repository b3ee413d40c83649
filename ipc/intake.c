/*
 * intake.c - each record of the input becomes contexts exactly once
 *
 * For a record: FREE -> FILLING (its slots and ranges, all or none); the ordinal; the filling; the
 * CAS to READY, which is the acceptance; then the mark {ordinal, input end}; only then the next
 * FILLING. A FREE slot keeps its ordinal until it is used again, and only the tokenizer takes slots
 * out of FREE. So the largest ordinal over mark and all slots that aren't FILLING tells up to where
 * records were accepted, whatever instruction the predecessor died at (tests/model/intake.pml).
 *
 * A record with several choices is accepted slot by slot; if its last one is missing the successor
 * admits the record again and makes only those that aren't there. The collector doesn't free a
 * choice before it has all of them, so those that are there stay.
 *
 * The ranges in use are a private list, rebuilt from the slots (arena.c).
 */
#include "ipc/intake.h"
#include "ipc/arena.h"
#include "ipc/error.h"
#include "ipc/member.h"
#include "ipc/news.h"
#include "ipc/probes.h"
#include "ipc/queue.h"
#include "ipc/slot.h"
#include "ipc/twin.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What this process knows of a slot: is it on the free stack, which range of the list is its own?
 * The slot's own word isn't asked again: spoiled, it could name the range of another. */
typedef struct known_slot {
    bool on_stack;
    bool has_range;
    uint64_t range; /* offset in the arena */
} known_slot;

struct mr_intake {
    mr_member *member;
    mr_domain *domain;
    mr_arena *arena;
    mr_intake_mark mark;
    bool finished;
    uint64_t at_work; /* ordinal, as stored in the header */
    uint64_t partial; /* ordinal of a record of which some choices are there already; 0: none */
    uint32_t free_count;
    uint32_t *free_stack;
    known_slot *known;
};

/* ---- the mark ---- */

static void commit_mark(mr_intake *intake)
{
    mr_header *h = intake->domain->header;
    const int64_t values[MR_MARK_WORDS] = {
        [MR_MARK_ORDINAL] = (int64_t)intake->mark.ordinal,
        [MR_MARK_INPUT_END] = (int64_t)intake->mark.input_end,
        [MR_MARK_FINISHED] = intake->finished,
    };

    mr_twin_write(&h->mark_sequence, h->mark[0], MR_MARK_WORDS, values, MR_MARK_WORDS);
}

static void move_mark(mr_intake *intake, uint64_t ordinal, uint64_t input_end)
{
    intake->mark = (mr_intake_mark){ordinal, input_end};
    commit_mark(intake);
}

/* ---- slots ---- */

static uint64_t slot_ordinal(const mr_slot *slot)
{
    return atomic_load_explicit(&slot->ordinal, memory_order_relaxed);
}

static uint32_t slot_choice(const mr_slot *slot)
{
    return (uint32_t)atomic_load_explicit(&slot->choice, memory_order_relaxed);
}

static uint32_t slot_choices(const mr_slot *slot)
{
    return (uint32_t)(atomic_load_explicit(&slot->choice, memory_order_relaxed) >> 32);
}

/* A slot was found FREE: its range is free, and it may be taken. */
static void note_free(mr_intake *intake, uint32_t index)
{
    known_slot *known = &intake->known[index];

    if (known->on_stack)
        return;
    if (known->has_range) {
        mr_arena_give(intake->arena, known->range);
        known->has_range = false;
    }
    known->on_stack = true;
    intake->free_stack[intake->free_count++] = index;
}

/* One with a request that was never answered isn't free: its state word was overwritten, and the
 * supervisor's audit sees to it. */
static bool is_free(const mr_slot *slot)
{
    return mr_state_unpack(mr_slot_load(slot)).state == MR_STATE_FREE &&
           !mr_slot_is_unanswered(slot);
}

static void look_at_slot(mr_intake *intake, uint32_t index)
{
    if (is_free(&intake->domain->slots[index]))
        note_free(intake, index);
}

static void collect_free(mr_intake *intake)
{
    uint32_t index, hint;

    while (!mr_queue_pop(intake->domain, MR_QUEUE_FREE, &index, &hint))
        look_at_slot(intake, index);
    if (mr_queue_rescan_begin(intake->domain, MR_QUEUE_FREE))
        for (uint32_t i = 0; i < intake->domain->slot_count; i++)
            look_at_slot(intake, i);
}

/* Those on top of the stack that are no longer FREE were overwritten: who mends them hints again.
 */
static void drop_spoilt(mr_intake *intake)
{
    while (intake->free_count) {
        uint32_t index = intake->free_stack[intake->free_count - 1];

        if (is_free(&intake->domain->slots[index]))
            return;
        intake->known[index].on_stack = false;
        intake->free_count--;
    }
}

/* FREE -> FILLING, with a range of `bytes`. 0, or -EAGAIN. */
static int take_slot(mr_intake *intake, uint64_t bytes, uint32_t *out)
{
    uint64_t offset, word;
    uint32_t index;
    mr_state_parts state;
    mr_slot *slot;
    int rc;

    drop_spoilt(intake);
    if (!intake->free_count)
        return -EAGAIN;
    if ((rc = mr_arena_take(intake->arena, bytes, &offset)))
        return rc;
    index = intake->free_stack[--intake->free_count];
    intake->known[index] = (known_slot){.has_range = true, .range = offset};
    slot = &intake->domain->slots[index];
    word = mr_slot_load(slot);
    state = mr_state_unpack(word);
    state.state = MR_STATE_FILLING;
    state.attempts = 0;
    mr_slot_change(slot, word, state); /* only we take slots out of FREE */
    slot->arena = (mr_range){intake->domain->arena_offset + offset, bytes};
    *out = index;
    return 0;
}

/* FILLING -> FREE. The ordinal goes first: a FREE slot's ordinal says "accepted". */
static void give_slot_back(mr_intake *intake, uint32_t index)
{
    mr_slot *slot = &intake->domain->slots[index];
    uint64_t word = mr_slot_load(slot);
    mr_state_parts state = mr_state_unpack(word);

    atomic_store_explicit(&slot->ordinal, 0, memory_order_relaxed);
    state.state = MR_STATE_FREE;
    mr_slot_change(slot, word, state);
    note_free(intake, index);
}

/* ---- recovery ---- */

static void read_mark(mr_intake *intake)
{
    const mr_header *h = intake->domain->header;
    int64_t values[MR_MARK_WORDS];

    mr_twin_read(&h->mark_sequence, h->mark[0], MR_MARK_WORDS, values, MR_MARK_WORDS);
    intake->mark.ordinal = (uint64_t)values[MR_MARK_ORDINAL];
    intake->mark.input_end = (uint64_t)values[MR_MARK_INPUT_END];
    intake->finished = values[MR_MARK_FINISHED] != 0;
}

/* The record that was accepted, in whole or in part, behind the mark: there is one at most. */
static void find_accepted(mr_intake *intake)
{
    uint64_t largest = intake->mark.ordinal, input_end = 0;
    uint32_t there = 0, choices = 0;

    for (uint32_t i = 0; i < intake->domain->slot_count; i++) {
        const mr_slot *slot = &intake->domain->slots[i];

        if (mr_state_unpack(mr_slot_load(slot)).state == MR_STATE_FILLING ||
            slot_ordinal(slot) <= intake->mark.ordinal || slot_ordinal(slot) < largest)
            continue;
        there = slot_ordinal(slot) == largest ? there + 1 : 1;
        largest = slot_ordinal(slot);
        choices = slot_choices(slot);
        input_end = atomic_load_explicit(&slot->input_end, memory_order_relaxed);
    }
    if (largest == intake->mark.ordinal)
        return;
    if (there < choices)
        intake->partial = largest;
    else
        intake->mark = (mr_intake_mark){largest, input_end};
}

/* Ranges in use go into the list, half-made slots and free ones onto the stack. */
static int rebuild(mr_intake *intake)
{
    const mr_domain *domain = intake->domain;

    for (uint32_t i = 0; i < domain->slot_count; i++) {
        const mr_slot *slot = &domain->slots[i];
        uint32_t state = mr_state_unpack(mr_slot_load(slot)).state;

        if (is_free(slot)) {
            note_free(intake, i);
        } else if (state == MR_STATE_FILLING) {
            give_slot_back(intake, i);
        } else if (slot->arena.offset < domain->arena_offset ||
                   mr_arena_claim(intake->arena, slot->arena.offset - domain->arena_offset,
                                  slot->arena.bytes)) {
            return mr_fail(EBADMSG,
                           "slot %u of domain '%s' is corrupt: its range overlaps another or lies "
                           "outside of the arena",
                           i, domain->info.name);
        } else {
            intake->known[i] =
                (known_slot){.has_range = true, .range = slot->arena.offset - domain->arena_offset};
        }
    }
    return 0;
}

/* A record of which some choices are there was accepted: it must be completed, not refused, or its
 * answer would wait for the others for ever. */
static unsigned deaths_here(const mr_intake *intake)
{
    const mr_header *h = intake->domain->header;

    if (intake->partial)
        return 0;
    if (atomic_load_explicit(&h->intake_death_at, memory_order_relaxed) != intake->mark.ordinal + 1)
        return 0;
    return (unsigned)atomic_load_explicit(&h->intake_deaths, memory_order_acquire);
}

int mr_intake_open(mr_intake **out, mr_member *member, mr_intake_mark *mark, unsigned *deaths)
{
    mr_domain *domain = mr_member_domain(member);
    mr_intake *intake;
    int rc;

    if (member->role != MR_ROLE_TOKENIZER)
        return mr_fail(EPERM, "only the tokenizer takes requests in");
    intake = calloc(1, sizeof(*intake));
    if (intake) {
        intake->member = member;
        intake->domain = domain;
        intake->arena = mr_arena_new(domain->arena_bytes, domain->slot_count);
        intake->free_stack = calloc(domain->slot_count, sizeof(*intake->free_stack));
        intake->known = calloc(domain->slot_count, sizeof(*intake->known));
    }
    if (!intake || !intake->arena || !intake->free_stack || !intake->known) {
        mr_intake_close(intake);
        return mr_fail(ENOMEM, "out of memory for %u slots", domain->slot_count);
    }
    read_mark(intake);
    find_accepted(intake);
    if ((rc = rebuild(intake))) {
        mr_intake_close(intake);
        return rc;
    }
    commit_mark(intake);
    *mark = intake->mark;
    if (deaths)
        *deaths = deaths_here(intake);
    *out = intake;
    return 0;
}

void mr_intake_close(mr_intake *intake)
{
    if (!intake)
        return;
    mr_arena_free(intake->arena);
    free(intake->free_stack);
    free(intake->known);
    free(intake);
}

/* ---- admission ---- */

static void store_at_work(const mr_intake *intake, uint64_t ordinal)
{
    atomic_store_explicit(&intake->domain->header->intaking, ordinal, memory_order_relaxed);
    if (ordinal)
        mr_member_begin(intake->member);
    else
        mr_member_rest(intake->member);
}

void mr_intake_work(mr_intake *intake, uint64_t ordinal)
{
    intake->at_work = ordinal;
    store_at_work(intake, ordinal);
}

int mr_intake_check(mr_intake *intake, const mr_request *request)
{
    return mr_request_check(intake->domain, request);
}

/* Is this choice of the record there already, from before a predecessor's death? */
static bool is_there(const mr_intake *intake, uint64_t ordinal, uint32_t choice)
{
    for (uint32_t i = 0; i < intake->domain->slot_count; i++) {
        const mr_slot *slot = &intake->domain->slots[i];
        uint32_t state = mr_state_unpack(mr_slot_load(slot)).state;

        if (state >= MR_STATE_READY && slot_ordinal(slot) == ordinal && slot_choice(slot) == choice)
            return true;
    }
    return false;
}

static void fill(mr_intake *intake, uint32_t index, const mr_request *request, uint32_t choice)
{
    mr_slot *slot = &intake->domain->slots[index];
    uint64_t choices = request->kind == MR_KIND_REFUSAL ? 1 : request->sampling.choices;

    atomic_store_explicit(&slot->ordinal, request->ordinal, memory_order_relaxed);
    atomic_store_explicit(&slot->input_end, request->input_end, memory_order_relaxed);
    atomic_store_explicit(&slot->choice, choices << 32 | choice, memory_order_relaxed);
    mr_request_fill(intake->domain, slot, request, choice);
}

/* FILLING -> READY, or DONE for a refusal: the acceptance. */
static void publish(mr_intake *intake, uint32_t index, const mr_request *request)
{
    mr_slot *slot = &intake->domain->slots[index];
    uint64_t word = mr_slot_load(slot);
    mr_state_parts state = mr_state_unpack(word);

    state.stage = request->stage;
    atomic_store_explicit(&slot->queued, request->accepted ? mr_boottime_ns() : 0,
                          memory_order_relaxed);
    MR_PROBE3(accept, request->ordinal, index, request->prompt_length);
    if (request->kind == MR_KIND_REFUSAL) {
        state.state = MR_STATE_DONE;
        mr_slot_change(slot, word, state);
        mr_news_tell(intake->domain, mr_handle_make(index, state.generation));
    } else {
        state.state = MR_STATE_READY;
        mr_slot_change(slot, word, state);
        mr_queue_push(intake->domain, request->stage, index, state.generation);
    }
}

/* `count` slots, all or none. */
static int take_slots(mr_intake *intake, const mr_request *request, uint32_t count, uint32_t *slots)
{
    uint64_t bytes = mr_request_size(request);

    for (uint32_t i = 0; i < count; i++) {
        int rc = take_slot(intake, bytes, &slots[i]);

        if (rc) {
            while (i--)
                give_slot_back(intake, slots[i]);
            return rc;
        }
    }
    return 0;
}

static void count_accepted(const mr_intake *intake, const mr_request *request)
{
    struct mr_stats *stats = intake->member->stats;

    if (request->kind == MR_KIND_REFUSAL) {
        mr_stats_add(stats, MR_STAT_requests_refused, 1);
    } else {
        mr_stats_add(stats, MR_STAT_requests_accepted, 1);
        mr_stats_add(stats, MR_STAT_prompt_tokens, request->prompt_length);
    }
}

static int admit(mr_intake *intake, const mr_request *request, uint32_t choices)
{
    uint32_t wanted[MR_MAX_CHOICES], slots[MR_MAX_CHOICES], count = 0;
    int rc;

    for (uint32_t choice = 0; choice < choices; choice++)
        if (request->ordinal != intake->partial || !is_there(intake, request->ordinal, choice))
            wanted[count++] = choice;
    collect_free(intake);
    if ((rc = take_slots(intake, request, count, slots)))
        return rc;
    for (uint32_t i = 0; i < count; i++)
        fill(intake, slots[i], request, wanted[i]);
    for (uint32_t i = 0; i < count; i++)
        publish(intake, slots[i], request);
    move_mark(intake, request->ordinal, request->input_end);
    mr_intake_work(intake, 0);
    count_accepted(intake, request);
    return 0;
}

int mr_intake_admit(mr_intake *intake, const mr_request *request)
{
    int rc = mr_request_check(intake->domain, request);

    return rc ? rc : admit(intake, request, request->sampling.choices);
}

int mr_intake_refuse(mr_intake *intake, const mr_request *request)
{
    mr_request refusal = *request;
    int rc;

    refusal.kind = MR_KIND_REFUSAL;
    rc = mr_request_check(intake->domain, &refusal);
    return rc ? rc : admit(intake, &refusal, 1);
}

void mr_intake_skip(mr_intake *intake, uint64_t ordinal, uint64_t input_end)
{
    move_mark(intake, ordinal, input_end);
    mr_intake_work(intake, 0);
}

/* ---- ids ---- */

int mr_intake_seen(mr_intake *intake, const uint64_t hash[2], uint64_t ordinal)
{
    const mr_domain *domain = intake->domain;

    for (uint64_t probe = 0; probe < domain->id_count; probe++) {
        mr_id *id = &domain->ids[(hash[0] + probe) & (domain->id_count - 1)];

        if (!id->ordinal) {
            id->hash[0] = hash[0];
            id->hash[1] = hash[1];
            atomic_signal_fence(
                memory_order_release); /* killed before the next store: still empty */
            id->ordinal = ordinal;
            return 0;
        }
        if (id->hash[0] == hash[0] && id->hash[1] == hash[1])
            return id->ordinal < ordinal;
    }
    return mr_fail(ENOSPC, "the table of %llu custom ids is full",
                   (unsigned long long)domain->id_count);
}

/* ---- the end, and waiting ---- */

void mr_intake_finish(mr_intake *intake)
{
    intake->finished = true;
    commit_mark(intake);
}

bool mr_intake_finished(const mr_intake *intake)
{
    return intake->finished;
}

/* Nobody else writes the mark: what differs from ours was overwritten. */
static void mind_mark(mr_intake *intake)
{
    const mr_header *h = intake->domain->header;
    int64_t values[MR_MARK_WORDS];

    mr_twin_read(&h->mark_sequence, h->mark[0], MR_MARK_WORDS, values, MR_MARK_WORDS);
    if ((uint64_t)values[MR_MARK_ORDINAL] != intake->mark.ordinal ||
        (uint64_t)values[MR_MARK_INPUT_END] != intake->mark.input_end ||
        values[MR_MARK_FINISHED] != intake->finished)
        commit_mark(intake);
}

int mr_intake_wait(mr_intake *intake, int timeout)
{
    uint64_t end = mr_monotonic_ns() + (timeout > 0 ? (uint64_t)timeout * 1000000 : 0);
    uint32_t before = intake->free_count;

    store_at_work(intake, 0);
    for (;;) {
        uint64_t now = mr_monotonic_ns();

        if (!mr_member_alive(intake->member))
            return mr_fail(ESHUTDOWN, "domain '%s' ends", intake->domain->info.name);
        mind_mark(intake);
        collect_free(intake);
        if (intake->free_count > before) {
            store_at_work(intake, intake->at_work);
            return 0;
        }
        if (timeout >= 0 && now >= end)
            return -ETIMEDOUT;
        mr_queue_sleep(intake->domain, MR_QUEUE_FREE, (unsigned)intake->member->index,
                       timeout < 0 ? -1 : (int)((end - now) / 1000000) + 1);
    }
}

int mr_intake_fd(const mr_intake *intake)
{
    return intake->domain->eventfds[MR_QUEUE_FREE];
}

int mr_intake_arm(mr_intake *intake)
{
    unsigned index = (unsigned)intake->member->index;

    mr_queue_unwatch(intake->domain, MR_QUEUE_FREE, index);
    return mr_queue_watch(intake->domain, MR_QUEUE_FREE, index);
}
