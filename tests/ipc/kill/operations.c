/*
 * operations.c - see operations.h
 */
#include "tests/ipc/kill/operations.h"
#include "ipc/context.h"
#include "ipc/cursors.h"
#include "ipc/member.h"
#include "ipc/queue.h"
#include "ipc/ring.h"
#include "ipc/slot.h"
#include "ipc/twin.h"
#include <errno.h>
#include <millrace/supervise.h>
#include <stdlib.h>

/* ---- what lies about ---- */

static void admit(struct world *world, enum world_who who)
{
    (void)who;
    if (world_admit(world))
        abort();
}

/* Moves a ring on to the last entry of its lap, which is the last of a line too: the next push
 * moves the tail, and the one after it begins another cycle. What is in the ring stays in it. */
static void turn(mr_ring *ring, mr_entries entries)
{
    uint32_t value = 0;

    while (!atomic_load(&entries.at[entries.mask - 1])) {
        bool was_empty = mr_ring_empty(ring, entries);

        if (was_empty && mr_ring_push(ring, entries, value))
            abort();
        if (mr_ring_pop(ring, entries, &value) ||
            (!was_empty && mr_ring_push(ring, entries, value)))
            abort();
    }
}

static void turn_rings(struct world *world)
{
    for (uint32_t i = 0; i < MR_QUEUES; i++)
        turn(&world->domain->queues[i].ring, world->domain->entries[i]);
}

/* Whoever pushed and popped died before it moved head and tail. */
static void indexes_lag(struct world *world, enum world_who who)
{
    (void)who;
    turn_rings(world);
    for (uint32_t i = 0; i < MR_QUEUES; i++) {
        mr_ring *ring = &world->domain->queues[i].ring;

        for (uint32_t value = 0; atomic_load(&ring->tail) == 0; value++)
            if (mr_ring_push(ring, world->domain->entries[i], 0) ||
                mr_ring_pop(ring, world->domain->entries[i], &value))
                abort();
        atomic_store(&ring->head, 0);
        atomic_store(&ring->tail, 0);
    }
}

static void lagging_and_admit(struct world *world, enum world_who who)
{
    indexes_lag(world, who);
    admit(world, who);
}

static void turn_and_admit(struct world *world, enum world_who who)
{
    turn_rings(world);
    admit(world, who);
}

/* Hints that fit no context: of a generation that is over. */
static void push_stale(struct world *world, uint32_t queue, int count)
{
    for (int i = 0; i < count; i++)
        mr_queue_push(world->domain, queue, (uint32_t)i % WORLD_SLOTS, 200);
}

static void fill_with_stale(struct world *world, uint32_t queue)
{
    mr_ring *ring = &world->domain->queues[queue].ring;

    turn_rings(world);
    while (!mr_ring_push(ring, world->domain->entries[queue], mr_hint_make(0, 200)))
        ;
}

static void drop_hints(struct world *world, uint32_t queue)
{
    uint32_t index, hint;

    while (!mr_queue_pop(world->domain, queue, &index, &hint))
        ;
}

static void sleep_beside(struct world *world, uint32_t queue, int member)
{
    atomic_fetch_or(&world->domain->queues[queue].doorbell.sleepers, UINT64_C(1) << member);
}

static uint32_t slot_of_record(const struct world *world, uint64_t ordinal, uint32_t choice)
{
    for (uint32_t i = 0; i < WORLD_SLOTS; i++)
        if (atomic_load(&world->domain->slots[i].ordinal) == ordinal &&
            (uint32_t)atomic_load(&world->domain->slots[i].choice) == choice)
            return i;
    abort();
}

static mr_handle handle_of_record(const struct world *world, uint64_t ordinal)
{
    uint32_t index = slot_of_record(world, ordinal, 0);

    return mr_handle_make(index,
                          mr_state_unpack(mr_slot_load(&world->domain->slots[index])).generation);
}

/* ---- claiming ---- */

static void claim(struct world *world, enum world_who who)
{
    world_claim(world, who);
}

static void admit_three(struct world *world, enum world_who who)
{
    for (int i = 0; i < 3; i++)
        admit(world, who);
}

static void stale_then_fresh(struct world *world, enum world_who who)
{
    push_stale(world, 0, 2);
    admit(world, who);
}

static void doubled(struct world *world, enum world_who who)
{
    admit(world, who);
    mr_queue_push(world->domain, 0, slot_of_record(world, world->mark, 0), 0);
}

static void dropped(struct world *world, enum world_who who)
{
    fill_with_stale(world, 0);
    admit(world, who);
    admit(world, who);
}

static void only_rescan(struct world *world, enum world_who who)
{
    admit(world, who);
    drop_hints(world, 0);
    mr_queue_rescan_raise(world->domain, 0);
}

static void hold_one(struct world *world, enum world_who who)
{
    admit(world, who);
    world->held[who] = world_claim(world, who);
}

/* One that a worker died with. */
static void suspect(struct world *world, enum world_who who)
{
    hold_one(world, WORLD_DEAD);
    if (mr_supervisor_sweep(world->domain, world->places[WORLD_DEAD], NULL) != 1)
        abort();
    (void)who;
}

static void suspect_and_fresh(struct world *world, enum world_who who)
{
    suspect(world, who);
    admit(world, who);
}

static void of_another_kind(struct world *world, enum world_who who)
{
    int64_t now[MR_CURSOR_WORDS];
    mr_state_parts state;
    uint64_t sequence;
    mr_slot *slot;

    hold_one(world, who);
    world_update(world->held[who]);
    slot = world->held[who]->slot;
    world->may_fail |= UINT64_C(1) << world->mark;
    if (mr_worker_put_back(world->workers[who], world->held[who]))
        abort();
    mr_cursors_read(slot, now, &sequence);
    now[MR_CURSOR_FINGERPRINT] = 12345;
    mr_cursors_write(slot, sequence, now, MR_CURSOR_WORDS);
    state = mr_state_unpack(mr_slot_load(slot)); /* the word doesn't tell: it must be looked into */
    state.owner = 0;
    atomic_store(&slot->state, mr_state_pack(state));
}

/* ---- commits ---- */

static void update(struct world *world, enum world_who who)
{
    world_update(world->held[who]);
}

static void finish(struct world *world, enum world_who who)
{
    world_finish(world->held[who]);
}

static void hold_begun(struct world *world, enum world_who who)
{
    hold_one(world, who);
    world_update(world->held[who]);
}

/* The collector has seen what is there. */
static void hold_begun_and_seen(struct world *world, enum world_who who)
{
    hold_begun(world, who);
    world_emit(world);
}

static void hold_suspect(struct world *world, enum world_who who)
{
    suspect(world, who);
    world->held[who] = world_claim(world, who);
}

static void collector_sleeps(struct world *world, enum world_who who)
{
    (void)who;
    while (!mr_ring_empty(&world->domain->queues[MR_QUEUE_COLLECTOR].ring,
                          world->domain->entries[MR_QUEUE_COLLECTOR]))
        world_emit(world);
    sleep_beside(world, MR_QUEUE_COLLECTOR, mr_member_index(world->collector));
}

static void collector_watches(struct world *world, enum world_who who)
{
    (void)who;
    if (mr_emission_arm(world->emission))
        abort();
}

static void second_sleeps(struct world *world, enum world_who who)
{
    (void)who;
    sleep_beside(world, 0, world->places[WORLD_SECOND]);
}

static void collector_queue_full(struct world *world, enum world_who who)
{
    (void)who;
    fill_with_stale(world, MR_QUEUE_COLLECTOR);
}

static void rings_turned(struct world *world, enum world_who who)
{
    (void)who;
    turn_rings(world);
}

/* ---- letting go ---- */

static void hold_finished(struct world *world, enum world_who who)
{
    hold_one(world, who);
    finish(world, who);
}

static void hold_next_stage(struct world *world, enum world_who who)
{
    hold_finished(world, WORLD_SECOND);
    if (mr_worker_hand_on(world->workers[WORLD_SECOND], world->held[WORLD_SECOND]))
        abort();
    world->held[who] = world_claim(world, who);
}

static void hold_cancelled(struct world *world, enum world_who who)
{
    hold_begun(world, who);
    world->may_be_short |= UINT64_C(1) << world->mark;
    if (mr_supervisor_cancel(world->domain, mr_context_handle(world->held[who]), MR_CANCEL_CLIENT))
        abort();
}

static void hand_on(struct world *world, enum world_who who)
{
    if (mr_worker_hand_on(world->workers[who], world->held[who]))
        abort();
}

static void put_back(struct world *world, enum world_who who)
{
    if (mr_worker_put_back(world->workers[who], world->held[who]))
        abort();
}

static void hold_to_fail(struct world *world, enum world_who who)
{
    hold_begun(world, who);
    world->may_fail |= UINT64_C(1) << world->mark;
}

static void fail(struct world *world, enum world_who who)
{
    if (mr_worker_fail(world->workers[who], world->held[who], "it can't be computed"))
        abort();
}

static void hold_two(struct world *world, enum world_who who)
{
    hold_one(world, who);
    hold_begun(world, who);
}

static void leave(struct world *world, enum world_who who)
{
    mr_worker_leave(world->workers[who]);
    world->workers[who] = NULL;
}

static void hold_two_and_drain(struct world *world, enum world_who who)
{
    hold_two(world, who);
    if (mr_supervisor_drain(world->domain, world->places[who]))
        abort();
}

static void be_drained(struct world *world, enum world_who who)
{
    mr_context *batch[WORLD_SLOTS];

    if (mr_worker_batch(world->workers[who], batch, 0) != -ESHUTDOWN)
        abort();
    leave(world, who);
}

/* ---- the collector's ---- */

static void done_one(struct world *world, enum world_who who)
{
    (void)who;
    hold_finished(world, WORLD_SECOND);
    hand_on(world, WORLD_SECOND);
}

/* The record with two choices; those before it are answered. */
static void done_two_choices(struct world *world, enum world_who who)
{
    while (world->mark < 4) {
        done_one(world, who);
        world_emit(world);
    }
    while ((world->held[WORLD_SECOND] = world_claim(world, WORLD_SECOND))) {
        finish(world, WORLD_SECOND);
        hand_on(world, WORLD_SECOND);
    }
}

static void done_refusal(struct world *world, enum world_who who)
{
    while (world->mark < 5)
        admit(world, who);
    drop_hints(world, MR_QUEUE_COLLECTOR);
    admit(world, who);
}

/* Past hints of what isn't done. */
static void emit_what_is_done(struct world *world)
{
    for (int i = 0; !world_emit(world); i++)
        if (i == WORLD_SLOTS)
            abort();
}

static void emit(struct world *world, enum world_who who)
{
    (void)who;
    world_emit(world);
}

static void emit_all(struct world *world, enum world_who who)
{
    (void)who;
    world_emit_all(world);
}

static void only_rescan_of_collector(struct world *world, enum world_who who)
{
    world_emit_all(world); /* its first look at all slots is behind it */
    done_one(world, who);
    drop_hints(world, MR_QUEUE_COLLECTOR);
    mr_queue_rescan_raise(world->domain, MR_QUEUE_COLLECTOR);
}

static void tokenizer_sleeps(struct world *world, enum world_who who)
{
    (void)who;
    turn_rings(world);
    sleep_beside(world, MR_QUEUE_FREE, mr_member_index(world->tokenizer));
}

static void free_queue_full(struct world *world, enum world_who who)
{
    (void)who;
    fill_with_stale(world, MR_QUEUE_FREE);
}

static void begun_and_told(struct world *world, enum world_who who)
{
    hold_begun(world, WORLD_SECOND);
    world->handles[who] = mr_context_handle(world->held[WORLD_SECOND]);
    (void)who;
}

static void emit_piece(struct world *world, enum world_who who)
{
    mr_emitted part = {.handle = world->handles[who], .tokens = 1, .bytes = 4};

    (void)who;
    if (mr_emission_commit(world->emission, mr_emission_length(world->emission), &part, 1))
        abort();
}

static void stop_text(struct world *world, enum world_who who)
{
    (void)who;
    mr_emission_stop(world->emission, world->handles[who]);
}

static void begun_to_stop(struct world *world, enum world_who who)
{
    begun_and_told(world, who);
    world->may_be_short |= UINT64_C(1) << world->mark;
}

/* The last collector died behind its commit and before it freed the slot. */
static void committed_not_freed(struct world *world, enum world_who who)
{
    uint64_t words[WORLD_SLOTS];

    done_one(world, who);
    done_one(world, who);
    for (uint32_t i = 0; i < WORLD_SLOTS; i++)
        words[i] = mr_slot_load(&world->domain->slots[i]);
    emit_what_is_done(world);
    drop_hints(world, MR_QUEUE_FREE);
    for (uint32_t i = 0; i < WORLD_SLOTS; i++)
        if (mr_slot_load(&world->domain->slots[i]) != words[i]) {
            atomic_store(&world->domain->slots[i].state, words[i]);
            atomic_store(&world->domain->slots[i].emitted_final, 0);
        }
    mr_emission_close(world->emission);
    world->emission = NULL;
}

static void open_emission(struct world *world, enum world_who who)
{
    mr_handle handle;
    unsigned deaths;

    (void)who;
    if (mr_emission_open(&world->emission, world->collector, &handle, &deaths))
        abort();
}

/* ---- the tokenizer's ---- */

static void freed_one(struct world *world, enum world_who who)
{
    done_one(world, who);
    emit_what_is_done(world);
}

static void up_to_two_choices(struct world *world, enum world_who who)
{
    turn_rings(world);
    while (world->mark < 3)
        admit(world, who);
}

static void up_to_refusal(struct world *world, enum world_who who)
{
    while (world->mark < 5)
        admit(world, who);
}

static void answer_one(struct world *world)
{
    mr_context *context = world_claim(world, WORLD_SECOND);

    if (context) {
        world->held[WORLD_SECOND] = context;
        finish(world, WORLD_SECOND);
        hand_on(world, WORLD_SECOND);
    }
    world_emit(world);
}

static void try_to_admit(struct world *world, enum world_who who)
{
    (void)who;
    world_admit(world);
}

static void no_room(struct world *world, enum world_who who)
{
    (void)who;
    while (!world_admit(world))
        ;
    world->records = world->mark + 1;
}

/* One slot is free, and the next record has two choices. */
static void one_slot_left(struct world *world, enum world_who who)
{
    world->records = 12;
    while (world->mark < 11)
        if (world_admit(world))
            answer_one(world);
    while (mr_domain_unfinished(world->domain) > WORLD_SLOTS - 1)
        answer_one(world);
    (void)who;
}

static void free_queue_asks_for_look(struct world *world, enum world_who who)
{
    freed_one(world, who);
    drop_hints(world, MR_QUEUE_FREE);
    mr_queue_rescan_raise(world->domain, MR_QUEUE_FREE);
}

static void stage_queue_full(struct world *world, enum world_who who)
{
    (void)who;
    fill_with_stale(world, 0);
}

static void set_state(struct world *world, uint32_t index, uint32_t to)
{
    mr_slot *slot = &world->domain->slots[index];
    mr_state_parts state = mr_state_unpack(mr_slot_load(slot));

    state.state = to;
    atomic_store(&slot->state, mr_state_pack(state));
}

static void set_mark(struct world *world, uint64_t ordinal)
{
    const int64_t values[MR_MARK_WORDS] = {(int64_t)ordinal, (int64_t)ordinal * 10, 0};
    mr_header *h = world->domain->header;

    mr_twin_write(&h->mark_sequence, h->mark[0], MR_MARK_WORDS, values, MR_MARK_WORDS);
}

/* The last tokenizer died when it had published the first of two choices. */
static void one_choice_of_two(struct world *world, enum world_who who)
{
    while (world->mark < 4)
        admit(world, who);
    set_state(world, slot_of_record(world, 4, 1), MR_STATE_FILLING);
    set_mark(world, 3);
    mr_intake_close(world->intake);
    world->intake = NULL;
}

/* Or behind the last publication and before its mark. */
static void accepted_not_marked(struct world *world, enum world_who who)
{
    freed_one(world, who);
    admit_three(world, who);
    set_mark(world, 3);
    mr_intake_close(world->intake);
    world->intake = NULL;
}

static void open_intake(struct world *world, enum world_who who)
{
    mr_intake_mark mark;

    (void)who;
    if (mr_intake_open(&world->intake, world->tokenizer, &mark, NULL))
        abort();
    world->mark = mark.ordinal;
}

static void one_choice_missing(struct world *world, enum world_who who)
{
    one_choice_of_two(world, who);
    open_intake(world, who);
}

static void end_input(struct world *world, enum world_who who)
{
    (void)who;
    mr_intake_finish(world->intake);
}

/* ---- the supervisor's ---- */

static void dead_holds_all_sorts(struct world *world, enum world_who who)
{
    int dead = world->places[WORLD_DEAD];
    mr_slot *slot;

    (void)who;
    hold_one(world, WORLD_DEAD);   /* claimed */
    hold_begun(world, WORLD_DEAD); /* begun */
    admit(world, WORLD_DEAD);
    world->held[WORLD_DEAD] = world_claim(world, WORLD_DEAD);
    finish(world, WORLD_DEAD); /* done, not handed on */
    hold_one(world, WORLD_DEAD);
    slot = world->held[WORLD_DEAD]->slot; /* given up: the third death */
    atomic_store(&slot->state, mr_slot_load(slot) | UINT64_C(2) << 32);
    world->may_fail |= UINT64_C(1) << world->mark;
    sleep_beside(world, 0, dead);
}

static void dead_holds_one(struct world *world, enum world_who who)
{
    (void)who;
    hold_begun(world, WORLD_DEAD);
}

static void sweep(struct world *world, enum world_who who)
{
    int place = world->dead == WORLD_TOKENIZER   ? mr_member_index(world->tokenizer)
                : world->dead == WORLD_COLLECTOR ? mr_member_index(world->collector)
                                                 : world->places[world->dead];

    (void)who;
    if (mr_supervisor_sweep(world->domain, place, NULL) < 0)
        abort();
}

static void dead_tokenizer(struct world *world, enum world_who who)
{
    world->dead = WORLD_TOKENIZER;
    one_choice_of_two(world, who);
    mr_queue_rescan_begin(world->domain, 0);
}

static void dead_collector(struct world *world, enum world_who who)
{
    world->dead = WORLD_COLLECTOR;
    committed_not_freed(world, who);
}

static void waits_to_be_cancelled(struct world *world, enum world_who who)
{
    admit(world, who);
    world->may_be_short |= UINT64_C(1) << world->mark;
    world->handles[who] = handle_of_record(world, world->mark);
}

static void held_to_be_cancelled(struct world *world, enum world_who who)
{
    begun_to_stop(world, who);
}

static void cancel(struct world *world, enum world_who who)
{
    (void)who;
    if (mr_supervisor_cancel(world->domain, world->handles[who], MR_CANCEL_CLIENT))
        abort();
}

/* ---- bells and places ---- */

static void sleep_a_moment(struct world *world, enum world_who who)
{
    mr_queue_sleep(world->domain, 0, (unsigned)world->places[who], 0);
}

static void posted(struct world *world, enum world_who who)
{
    (void)who;
    sem_post(&world->domain->queues[0].doorbell.semaphore);
}

static void arm(struct world *world, enum world_who who)
{
    mr_worker_arm(world->workers[who]);
}

static void armed(struct world *world, enum world_who who)
{
    arm(world, who);
    admit(world, who);
}

static void join(struct world *world, enum world_who who)
{
    mr_worker_options options = {.size = sizeof(options), .capacity = 2, .fingerprint = "points"};

    (void)who;
    if (mr_worker_join(&world->workers[WORLD_NEXT], world->domain, &options))
        abort();
}

const struct operation operations[] = {
    {"claim", WORLD_FIRST, 0, NULL, admit, claim, false, true},
    {"claim_of_three", WORLD_FIRST, 0, NULL, admit_three, claim, false, false},
    {"claim_where_the_cycle_turns", WORLD_FIRST, 0, NULL, turn_and_admit, claim, false, false},
    {"claim_behind_a_lagging_head", WORLD_FIRST, 0, NULL, lagging_and_admit, claim, false, false},
    {"claim_behind_stale_hints", WORLD_FIRST, 0, NULL, stale_then_fresh, claim, false, false},
    {"claim_by_doubled_hints", WORLD_FIRST, 0, NULL, doubled, claim, false, false},
    {"claim_of_a_dropped_hint", WORLD_FIRST, 0, NULL, dropped, claim, false, false},
    {"claim_by_a_look_at_slots", WORLD_FIRST, 0, NULL, only_rescan, claim, false, true},
    {"claim_of_nothing", WORLD_FIRST, 0, NULL, second_sleeps, claim, false, false},
    {"claim_of_a_suspect", WORLD_FIRST, 0, NULL, suspect_and_fresh, claim, false, false},
    {"claim_of_another_kind", WORLD_FIRST, 0, NULL, of_another_kind, claim, false, false},
    {"commit", WORLD_FIRST, 0, hold_one, NULL, update, false, true},
    {"commit_of_a_second_token", WORLD_FIRST, 0, hold_begun, NULL, update, false, false},
    {"commit_behind_the_collector", WORLD_FIRST, 0, hold_begun_and_seen, rings_turned, update,
     false, true},
    {"commit_of_all_tokens", WORLD_FIRST, 0, hold_one, NULL, finish, false, false},
    {"commit_beside_a_sleeping_collector", WORLD_FIRST, 0, hold_one, collector_sleeps, update,
     false, false},
    {"commit_beside_a_watching_collector", WORLD_FIRST, 0, hold_one, collector_watches, update,
     false, false},
    {"commit_behind_a_lagging_tail", WORLD_FIRST, 0, hold_one, indexes_lag, update, false, false},
    {"commit_into_a_full_queue", WORLD_FIRST, 0, hold_one, collector_queue_full, update, false,
     false},
    {"commit_of_a_suspect", WORLD_FIRST, 0, hold_suspect, NULL, update, false, false},
    {"hand_on", WORLD_FIRST, 0, hold_finished, NULL, hand_on, false, true},
    {"hand_on_beside_a_sleeping_collector", WORLD_FIRST, 0, hold_finished, collector_sleeps,
     hand_on, false, false},
    {"hand_on_to_the_next_stage", WORLD_FIRST, 2, hold_finished, rings_turned, hand_on, false,
     false},
    {"hand_on_from_the_next_stage", WORLD_NEXT, 2, hold_next_stage, NULL, hand_on, false, false},
    {"hand_on_of_what_is_cancelled", WORLD_FIRST, 0, hold_cancelled, NULL, hand_on, false, false},
    {"put_back", WORLD_FIRST, 0, hold_one, NULL, put_back, false, true},
    {"put_back_of_what_is_begun", WORLD_FIRST, 0, hold_begun, NULL, put_back, false, true},
    {"put_back_beside_a_sleeper", WORLD_FIRST, 0, hold_begun, second_sleeps, put_back, false,
     false},
    {"put_back_of_what_is_done", WORLD_FIRST, 0, hold_finished, NULL, put_back, false, false},
    {"fail", WORLD_FIRST, 0, hold_to_fail, NULL, fail, false, true},
    {"leave", WORLD_FIRST, 0, hold_two, NULL, leave, false, false},
    {"leave_when_told_to", WORLD_FIRST, 0, hold_two_and_drain, NULL, be_drained, false, false},
    {"emit", WORLD_COLLECTOR, 0, done_one, NULL, emit, false, true},
    {"emit_all", WORLD_COLLECTOR, 0, done_one, NULL, emit_all, false, true},
    {"emit_both_choices", WORLD_COLLECTOR, 0, done_two_choices, NULL, emit, false, true},
    {"emit_a_refusal", WORLD_COLLECTOR, 0, NULL, done_refusal, emit, false, false},
    {"emit_by_a_look_at_slots", WORLD_COLLECTOR, 0, only_rescan_of_collector, NULL, emit, false,
     false},
    {"emit_beside_a_sleeping_tokenizer", WORLD_COLLECTOR, 0, done_one, tokenizer_sleeps, emit,
     false, false},
    {"emit_into_a_full_free_queue", WORLD_COLLECTOR, 0, done_one, free_queue_full, emit, false,
     false},
    {"emit_a_piece", WORLD_COLLECTOR, 0, begun_and_told, NULL, emit_piece, false, true},
    {"stop_a_text", WORLD_COLLECTOR, 0, begun_to_stop, NULL, stop_text, false, true},
    {"begin_to_emit", WORLD_COLLECTOR, 0, committed_not_freed, NULL, open_emission, false, false},
    {"admit", WORLD_TOKENIZER, 0, NULL, NULL, try_to_admit, false, true},
    {"admit_into_a_freed_slot", WORLD_TOKENIZER, 0, freed_one, rings_turned, try_to_admit, false,
     true},
    {"admit_two_choices", WORLD_TOKENIZER, 0, NULL, up_to_two_choices, try_to_admit, false, false},
    {"admit_beside_a_sleeping_worker", WORLD_TOKENIZER, 0, NULL, second_sleeps, try_to_admit, false,
     false},
    {"admit_into_a_full_queue", WORLD_TOKENIZER, 0, NULL, stage_queue_full, try_to_admit, false,
     false},
    {"admit_by_a_look_at_slots", WORLD_TOKENIZER, 0, free_queue_asks_for_look, NULL, try_to_admit,
     false, false},
    {"admit_without_room", WORLD_TOKENIZER, 0, NULL, no_room, try_to_admit, false, false},
    {"admit_with_room_for_one_of_two", WORLD_TOKENIZER, 0, one_slot_left, NULL, try_to_admit, false,
     false},
    {"refuse", WORLD_TOKENIZER, 0, NULL, up_to_refusal, try_to_admit, false, false},
    {"begin_with_one_choice_of_two", WORLD_TOKENIZER, 0, NULL, one_choice_of_two, open_intake,
     false, false},
    {"admit_the_missing_choice", WORLD_TOKENIZER, 0, NULL, one_choice_missing, try_to_admit, false,
     false},
    {"begin_behind_the_mark", WORLD_TOKENIZER, 0, accepted_not_marked, NULL, open_intake, false,
     false},
    {"end_of_input", WORLD_TOKENIZER, 0, NULL, NULL, end_input, false, false},
    {"sweep_of_a_worker", WORLD_SUPERVISOR, 0, dead_holds_all_sorts, rings_turned, sweep, false,
     false},
    {"sweep_of_a_worker_with_one", WORLD_SUPERVISOR, 0, dead_holds_one, NULL, sweep, true, true},
    {"sweep_of_the_tokenizer", WORLD_SUPERVISOR, 0, NULL, dead_tokenizer, sweep, true, false},
    {"sweep_of_the_collector", WORLD_SUPERVISOR, 0, dead_collector, NULL, sweep, true, false},
    {"cancel_of_what_waits", WORLD_SUPERVISOR, 0, NULL, waits_to_be_cancelled, cancel, false, true},
    {"cancel_of_what_is_held", WORLD_SUPERVISOR, 0, held_to_be_cancelled, NULL, cancel, false,
     true},
    {"sleep", WORLD_FIRST, 0, NULL, NULL, sleep_a_moment, false, true},
    {"sleep_with_a_post", WORLD_FIRST, 0, NULL, posted, sleep_a_moment, false, false},
    {"sleep_beside_work", WORLD_FIRST, 0, NULL, admit, sleep_a_moment, false, false},
    {"arm", WORLD_FIRST, 0, NULL, NULL, arm, false, true},
    {"arm_again", WORLD_FIRST, 0, NULL, armed, arm, false, false},
    {"join", WORLD_NOBODY, 0, NULL, NULL, join, false, false},
};

const size_t operation_count = sizeof(operations) / sizeof(*operations);
