/*
 * audit_test.c - control words that were overwritten are found and mended, each by its own way
 *
 * tests/runtime/corruption_test flips bits at random in a running group; here each case that it
 * found, or could find, stands by itself.
 */
#include "ipc/cursors.h"
#include "tests/ipc/support.h"
#include <errno.h>
#include <millrace/check.h>
#include <millrace/supervise.h>

static mr_domain *domain;
static mr_member *tokenizer, *collector;
static mr_intake *intake;
static mr_emission *emission;
static mr_worker *worker;
static mr_context *batch[4];

static void open_domain(void)
{
    domain = support_domain(8);
    intake = support_intake(domain, &tokenizer);
    emission = support_emission(domain, &collector);
    worker = support_worker(domain, 4);
}

static void close_domain(void)
{
    mr_worker_leave(worker);
    mr_emission_close(emission);
    mr_intake_close(intake);
    mr_member_leave(collector);
    mr_member_leave(tokenizer);
    support_close(domain);
}

static mr_slot *admit(uint64_t ordinal)
{
    mr_request request = support_request(ordinal, 8);

    ck_assert_msg(!mr_intake_admit(intake, &request), "%s", mr_error());
    for (uint32_t i = 0; i < domain->slot_count; i++)
        if (support_state(domain, i) == MR_STATE_READY && domain->slots[i].ordinal == ordinal)
            return &domain->slots[i];
    ck_abort_msg("record %llu is in no slot", (unsigned long long)ordinal);
    return NULL;
}

static uint32_t state_of(const mr_slot *slot)
{
    return mr_state_unpack(mr_slot_load(slot)).state;
}

static void set_state(mr_slot *slot, uint32_t state, uint32_t owner)
{
    mr_state_parts parts = mr_state_unpack(mr_slot_load(slot));

    parts.state = state;
    parts.owner = owner;
    atomic_store(&slot->state, mr_state_pack(parts));
}

static void is_failed(const mr_slot *slot)
{
    ck_assert_uint_eq(state_of(slot), MR_STATE_DONE);
    ck_assert_uint_eq(mr_glance_read(slot).failed, 1);
    ck_assert_ptr_nonnull(strstr(slot->failure, "overwritten"));
}

static void empty_ring(uint32_t number)
{
    uint32_t value;

    while (!mr_ring_pop(&domain->queues[number].ring, domain->entries[number], &value))
        ;
    atomic_store(&domain->queues[number].ring.rescan, 0);
}

/* ---- states ---- */

START_TEST(a_request_that_seems_free_is_failed)
{
    mr_slot *slot = admit(1);

    set_state(slot, MR_STATE_FREE, 0);
    ck_assert_int_eq(mr_supervisor_audit(domain), 1);
    is_failed(slot);
    ck_assert_int_eq(mr_supervisor_audit(domain), 0);
}
END_TEST

START_TEST(a_request_that_was_answered_is_never_claimed_again)
{
    mr_slot *slot = admit(1);

    atomic_store(&slot->emitted_final, MR_FINAL);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 0);
    ck_assert_int_eq(mr_supervisor_audit(domain), 1);
    ck_assert_uint_eq(state_of(slot), MR_STATE_FREE);
}
END_TEST

START_TEST(what_is_filled_by_nobody_is_failed_at_the_second_look)
{
    mr_slot *slot = admit(1);

    set_state(slot, MR_STATE_FILLING, 0);
    ck_assert_int_eq(mr_supervisor_audit(domain), 0); /* the tokenizer may be at it */
    ck_assert_int_eq(mr_supervisor_audit(domain), 0); /* and slow */
    admit(2);
    ck_assert_int_eq(mr_supervisor_audit(domain), 1); /* but it was at another record since */
    is_failed(slot);
}
END_TEST

START_TEST(what_is_filled_after_the_end_of_the_input_is_failed)
{
    mr_slot *slot = admit(1);

    mr_intake_finish(intake);
    set_state(slot, MR_STATE_FILLING, 0);
    ck_assert_int_eq(mr_supervisor_audit(domain), 0);
    ck_assert_int_eq(mr_supervisor_audit(domain), 1);
    is_failed(slot);
}
END_TEST

START_TEST(a_lease_of_a_place_that_is_no_workers_is_taken_back)
{
    mr_slot *slot = admit(1);

    set_state(slot, MR_STATE_LEASED, (uint32_t)mr_member_index(tokenizer));
    ck_assert_int_eq(mr_supervisor_audit(domain), 1);
    ck_assert_uint_eq(state_of(slot), MR_STATE_READY);
}
END_TEST

START_TEST(a_lease_of_no_stage_is_failed_and_not_put_into_its_queue)
{
    mr_slot *slot = admit(1);
    mr_state_parts parts = mr_state_unpack(mr_slot_load(slot));

    parts = (mr_state_parts){
        .generation = parts.generation, .state = MR_STATE_LEASED, .stage = 200, .owner = 50};
    atomic_store(&slot->state, mr_state_pack(parts));
    ck_assert_int_eq(mr_supervisor_audit(domain), 1);
    is_failed(slot);
}
END_TEST

/* As a lease whose state lost a bit looks. */
START_TEST(what_waits_for_a_kind_that_did_not_begin_it_is_for_all_again)
{
    mr_slot *slot = admit(1);

    set_state(slot, MR_STATE_READY, 2);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 0);
    ck_assert_int_eq(mr_supervisor_audit(domain), 0);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    ck_assert_ptr_eq(batch[0]->slot, slot);
}
END_TEST

/* ---- leases ---- */

START_TEST(a_worker_gives_back_what_it_does_not_hold)
{
    mr_slot *slot = admit(1);

    set_state(slot, MR_STATE_LEASED, (uint32_t)mr_worker_index(worker));
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1); /* given back, and claimed in order */
    ck_assert_ptr_eq(batch[0]->slot, slot);
    ck_assert_uint_eq(mr_slot_load(slot), batch[0]->state);
}
END_TEST

START_TEST(a_worker_does_not_write_into_what_was_taken_from_it)
{
    mr_slot *slot = admit(1);
    uint64_t sequence;

    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    set_state(slot, MR_STATE_LEASED, 63);
    sequence = atomic_load(&slot->sequence);
    mr_text_update(mr_context_text(batch[0]), 5, NULL);
    ck_assert_uint_eq(atomic_load(&slot->sequence), sequence);
    ck_assert_int_eq(mr_worker_fail(worker, batch[0], "x"), -ESTALE);
    ck_assert_uint_eq(slot->failure[0], 0);
    admit(2);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    ck_assert_ptr_ne(batch[0]->slot, slot);
}
END_TEST

START_TEST(what_was_taken_away_is_dropped_from_the_batch)
{
    mr_slot *slot = admit(1);

    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    set_state(slot, MR_STATE_LEASED, 63);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 0);
    ck_assert_int_eq(mr_supervisor_audit(domain), 1);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
}
END_TEST

/* ---- hints ---- */

START_TEST(what_waits_without_a_hint_gets_one_at_the_second_look)
{
    mr_slot *slot = admit(1);

    empty_ring(0);
    mr_supervisor_audit(domain);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 0);
    mr_supervisor_audit(domain);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    ck_assert_ptr_eq(batch[0]->slot, slot);
}
END_TEST

START_TEST(news_without_a_hint_are_told_again)
{
    mr_slot *slot = admit(1);
    mr_handle handle;

    while (!mr_emission_next(emission, &handle, 0))
        ;
    mr_supervisor_audit(domain);
    atomic_store(&slot->news, 1);
    ck_assert_int_eq(mr_emission_next(emission, &handle, 0), -EAGAIN);
    mr_supervisor_audit(domain);
    ck_assert_int_eq(mr_emission_next(emission, &handle, 0), 0);
    ck_assert_uint_eq(mr_handle_index(handle), (uint32_t)(slot - domain->slots));
}
END_TEST

/* ---- queues ---- */

static void push_and_pop(uint32_t times)
{
    mr_ring *ring = &domain->queues[0].ring;
    uint32_t value;

    for (uint32_t i = 0; i < times; i++) {
        ck_assert_int_eq(mr_ring_push(ring, domain->entries[0], i), 0);
        ck_assert_int_eq(mr_ring_pop(ring, domain->entries[0], &value), 0);
        ck_assert_uint_eq(value, i);
    }
}

/* The far half of all cycles looks like the past: nobody may walk there step by step. */
START_TEST(an_index_that_was_overwritten_is_no_endless_walk)
{
    mr_ring *ring = &domain->queues[0].ring;
    uint32_t value;

    push_and_pop(37);
    for (unsigned bit = 3; bit < 64; bit++) {
        atomic_fetch_xor(&ring->tail, UINT64_C(1) << bit);
        atomic_fetch_xor(&ring->head, UINT64_C(1) << bit);
        mr_ring_push(ring, domain->entries[0], 1);
        mr_ring_pop(ring, domain->entries[0], &value);
        mr_ring_empty(ring, domain->entries[0]);
        mr_ring_mend(ring, domain->entries[0]);
        while (!mr_ring_pop(ring, domain->entries[0], &value))
            ;
        ck_assert_int_eq(mr_ring_check(ring, domain->entries[0]), 0);
        push_and_pop(20);
    }
}
END_TEST

START_TEST(an_entry_that_was_overwritten_is_mended_with_the_loss_of_its_hint)
{
    mr_entries entries = domain->entries[0];
    mr_ring *ring = &domain->queues[0].ring;
    uint32_t value;

    for (unsigned bit = 24; bit < 64; bit++) {
        push_and_pop(11);
        for (uint32_t i = 0; i < 4; i++)
            ck_assert_int_eq(mr_ring_push(ring, entries, i), 0);
        atomic_fetch_xor(&entries.at[bit % (entries.mask + 1)], UINT64_C(1) << bit);
        mr_ring_mend(ring, entries);
        for (unsigned got = 0; !mr_ring_pop(ring, entries, &value); got++)
            ck_assert_uint_lt(got, 4);
        ck_assert_int_eq(mr_ring_check(ring, entries), 0);
    }
}
END_TEST

START_TEST(a_bell_that_seems_to_have_been_rung_forever_is_silenced)
{
    sem_t *semaphore = &domain->queues[0].doorbell.semaphore;
    int posts;

    for (int i = 0; i < 1000; i++)
        sem_post(semaphore);
    mr_supervisor_audit(domain);
    sem_getvalue(semaphore, &posts);
    ck_assert_int_eq(posts, 0);
}
END_TEST

/* ---- words of which the majority counts ---- */

START_TEST(a_flipped_bit_ends_no_run_and_frees_no_place)
{
    mr_slot *slot = admit(1);
    int place = mr_worker_index(worker);

    for (unsigned bit = 0; bit < 32; bit++) {
        atomic_fetch_xor(&domain->header->phase, 1u << bit);
        ck_assert_int_eq(mr_domain_phase(domain), MR_PHASE_RUN);
        atomic_fetch_xor(&domain->header->phase, 1u << bit);
        atomic_fetch_xor(&domain->members[place].place, 1u << bit);
        ck_assert(mr_place_taken(domain, (uint32_t)place));
        atomic_fetch_xor(&domain->members[place].place, 1u << bit);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        atomic_store(&slot->emitted_final, UINT64_C(1) << bit);
        ck_assert(!mr_slot_is_final(slot));
        atomic_store(&slot->emitted_final, MR_FINAL ^ UINT64_C(1) << bit);
        ck_assert(mr_slot_is_final(slot));
    }
    atomic_store(&slot->emitted_final, 0);
    for (enum mr_phase phase = MR_PHASE_RUN; phase <= MR_PHASE_STOP; phase++) {
        mr_domain_set_phase(domain, phase);
        ck_assert_int_eq(mr_domain_phase(domain), phase);
    }
}
END_TEST

/* ---- every bit of what is checked ---- */

#define EACH_BIT(what, body)                                                                       \
    for (size_t bit = 0; bit < sizeof(what) * 8; bit++) {                                          \
        unsigned char *at = (unsigned char *)&(what) + bit / 8;                                    \
        *at ^= (unsigned char)(1u << bit % 8);                                                     \
        body;                                                                                      \
        *at ^= (unsigned char)(1u << bit % 8);                                                     \
    }

START_TEST(no_flipped_bit_of_a_request_goes_unseen)
{
    mr_slot *slot = admit(1);
    uint32_t index = (uint32_t)(slot - domain->slots);
    mr_context context;

    EACH_BIT(slot->params, ck_assert_int_eq(mr_context_peek(&context, domain, index), -EBADMSG));
    EACH_BIT(slot->arena, ck_assert_int_eq(mr_context_peek(&context, domain, index), -EBADMSG));
    EACH_BIT(slot->ordinal, ck_assert_int_eq(mr_context_peek(&context, domain, index), -EBADMSG));
    EACH_BIT(slot->choice, ck_assert_int_eq(mr_context_peek(&context, domain, index), -EBADMSG));
    EACH_BIT(slot->sequence, mr_context_peek(&context, domain, index)); /* never a crash */
    ck_assert_int_eq(mr_context_peek(&context, domain, index), 0);
}
END_TEST

START_TEST(no_flipped_bit_of_the_cursors_goes_unseen)
{
    mr_slot *slot = admit(1);
    uint64_t copy = atomic_load(&slot->sequence) & 1, sequence, tokens, bytes;
    int64_t now[MR_CURSOR_WORDS];

    EACH_BIT(slot->cursors[copy], ck_assert(!mr_cursors_read(slot, now, &sequence)));
    EACH_BIT(slot->glance[copy], ck_assert(!mr_glance_read(slot).sound));
    EACH_BIT(slot->sequence, ck_assert(!mr_cursors_read(slot, now, &sequence)));
    EACH_BIT(slot->sequence, ck_assert(!mr_glance_read(slot).sound));
    mr_marks_store(slot, 7, 40);
    EACH_BIT(slot->emitted_tokens, ck_assert(!mr_marks_load(slot, &tokens, &bytes)));
    EACH_BIT(slot->emitted_bytes, ck_assert(!mr_marks_load(slot, &tokens, &bytes)));
    mr_marks_store(slot, 0, 0);
    ck_assert(mr_cursors_read(slot, now, &sequence));
    ck_assert(mr_glance_read(slot).sound);
}
END_TEST

/* ---- owners mend their own words ---- */

START_TEST(the_collector_writes_its_length_anew)
{
    mr_header *h = domain->header;
    mr_domain_progress progress;
    mr_handle handle;

    ck_assert_int_eq(mr_emission_commit(emission, 700, NULL, 0), 0);
    atomic_fetch_xor(&h->journal[atomic_load(&h->journal_sequence) & 1][MR_JOURNAL_LENGTH], 1 << 9);
    ck_assert_int_eq(mr_emission_next(emission, &handle, 60), -EAGAIN);
    mr_domain_get_progress(domain, &progress);
    ck_assert_uint_eq(progress.output_length, 700);
}
END_TEST

START_TEST(the_tokenizer_writes_its_mark_anew)
{
    mr_header *h = domain->header;
    mr_domain_progress progress;

    admit(1);
    atomic_fetch_xor(&h->mark[atomic_load(&h->mark_sequence) & 1][MR_MARK_ORDINAL], 1 << 9);
    ck_assert_int_eq(mr_intake_wait(intake, 0), -ETIMEDOUT);
    mr_domain_get_progress(domain, &progress);
    ck_assert_uint_eq(progress.records, 1);
}
END_TEST

/* A generation that comes back must not bring back what was known of the context that had it. */
START_TEST(a_handle_that_was_answered_is_looked_at_anew)
{
    mr_slot *slot = admit(1);
    mr_handle handle;
    mr_view view;
    uint64_t word;

    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    mr_worker_fail(worker, batch[0], "no");
    word = mr_slot_load(slot);
    handle = mr_handle_make((uint32_t)(slot - domain->slots), mr_state_unpack(word).generation);
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), 0);
    ck_assert_uint_eq(view.ordinal, 1);
    ck_assert_int_eq(
        mr_emission_commit(emission, 1, &(mr_emitted){.handle = handle, .final = 1}, 1), 0);
    slot = NULL;
    for (uint64_t ordinal = 2; !slot || mr_handle_index(handle) != (uint32_t)(slot - domain->slots);
         ordinal++)
        slot = admit(ordinal);
    set_state(slot, MR_STATE_DONE, 0);
    word = mr_slot_load(slot);
    atomic_store(&slot->state, word - (UINT64_C(1) << 36)); /* the generation before */
    mr_emission_view(emission, handle, &view);
    ck_assert_uint_ne(view.ordinal, 1);
    atomic_store(&slot->state, word);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit");
    TCase *tests = tcase_create("audit");

    tcase_add_checked_fixture(tests, open_domain, close_domain);
    tcase_add_test(tests, a_request_that_seems_free_is_failed);
    tcase_add_test(tests, a_request_that_was_answered_is_never_claimed_again);
    tcase_add_test(tests, what_is_filled_by_nobody_is_failed_at_the_second_look);
    tcase_add_test(tests, what_is_filled_after_the_end_of_the_input_is_failed);
    tcase_add_test(tests, a_lease_of_a_place_that_is_no_workers_is_taken_back);
    tcase_add_test(tests, a_lease_of_no_stage_is_failed_and_not_put_into_its_queue);
    tcase_add_test(tests, what_waits_for_a_kind_that_did_not_begin_it_is_for_all_again);
    tcase_add_test(tests, a_worker_gives_back_what_it_does_not_hold);
    tcase_add_test(tests, a_worker_does_not_write_into_what_was_taken_from_it);
    tcase_add_test(tests, what_was_taken_away_is_dropped_from_the_batch);
    tcase_add_test(tests, what_waits_without_a_hint_gets_one_at_the_second_look);
    tcase_add_test(tests, news_without_a_hint_are_told_again);
    tcase_add_test(tests, an_index_that_was_overwritten_is_no_endless_walk);
    tcase_add_test(tests, an_entry_that_was_overwritten_is_mended_with_the_loss_of_its_hint);
    tcase_add_test(tests, a_bell_that_seems_to_have_been_rung_forever_is_silenced);
    tcase_add_test(tests, a_flipped_bit_ends_no_run_and_frees_no_place);
    tcase_add_test(tests, no_flipped_bit_of_a_request_goes_unseen);
    tcase_add_test(tests, no_flipped_bit_of_the_cursors_goes_unseen);
    tcase_add_test(tests, the_collector_writes_its_length_anew);
    tcase_add_test(tests, the_tokenizer_writes_its_mark_anew);
    tcase_add_test(tests, a_handle_that_was_answered_is_looked_at_anew);
    suite_add_tcase(suite, tests);
    return support_run(suite);
}
