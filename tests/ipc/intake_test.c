/*
 * intake_test.c - records become contexts exactly once, whatever the predecessor died at
 */
#include "ipc/arena.h"
#include "tests/ipc/support.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static mr_domain *domain;
static mr_member *member;
static mr_intake *intake;

static void setup(void)
{
    domain = support_domain(4);
    intake = support_intake(domain, &member);
}

static void teardown(void)
{
    mr_intake_close(intake);
    mr_member_leave(member);
    support_close(domain);
}

/* The tokenizer is gone; a successor opens. */
static mr_intake_mark succeed(unsigned *deaths)
{
    mr_member_options options = {.size = sizeof(options), .role = MR_ROLE_TOKENIZER};
    int place = mr_member_index(member);
    mr_intake_mark mark;

    mr_intake_close(intake);
    mr_member_leave(member);
    support_die(domain, place);
    ck_assert_int_eq(mr_member_join(&member, domain, &options), 0);
    ck_assert_int_eq(mr_intake_open(&intake, member, &mark, deaths), 0);
    return mark;
}

static void put_state(uint32_t index, enum mr_state state)
{
    mr_slot *slot = &domain->slots[index];
    mr_state_parts parts = mr_state_unpack(mr_slot_load(slot));

    parts.state = state;
    atomic_store(&slot->state, mr_state_pack(parts));
}

static uint32_t slot_of(uint64_t ordinal, uint32_t choice)
{
    for (uint32_t i = 0; i < domain->slot_count; i++)
        if (atomic_load(&domain->slots[i].ordinal) == ordinal &&
            (uint32_t)atomic_load(&domain->slots[i].choice) == choice)
            return i;
    ck_abort_msg("no slot has ordinal %llu", (unsigned long long)ordinal);
    return 0;
}

static void admit(uint64_t ordinal)
{
    mr_request request = support_request(ordinal, 5);

    ck_assert_msg(!mr_intake_admit(intake, &request), "%s", mr_error());
}

START_TEST(an_admitted_request_is_ready_and_moves_the_mark)
{
    unsigned deaths;

    admit(1);
    ck_assert_uint_eq(support_state(domain, slot_of(1, 0)), MR_STATE_READY);
    ck_assert_uint_eq(succeed(&deaths).ordinal, 1);
    ck_assert_uint_eq(deaths, 0);
}
END_TEST

START_TEST(only_a_tokenizer_takes_in)
{
    mr_member *other = support_join(domain, MR_ROLE_COLLECTOR);
    mr_intake_mark mark;
    mr_intake *second;

    ck_assert_int_eq(mr_intake_open(&second, other, &mark, NULL), -EPERM);
    mr_member_leave(other);
}
END_TEST

START_TEST(no_room_is_said_and_waited_for)
{
    mr_request request = support_request(5, 5);

    for (uint64_t i = 1; i <= 4; i++)
        admit(i);
    ck_assert_int_eq(mr_intake_admit(intake, &request), -EAGAIN);
    ck_assert_int_eq(mr_intake_wait(intake, 10), -ETIMEDOUT);
    ck_assert_int_eq(mr_intake_arm(intake), 0);
    ck_assert_int_ge(mr_intake_fd(intake), 0);
    mr_domain_set_phase(domain, MR_PHASE_STOP);
    ck_assert_int_eq(mr_intake_wait(intake, MR_WAIT), -ESHUTDOWN);
}
END_TEST

START_TEST(published_but_not_marked_is_found)
{
    mr_intake_mark mark;

    admit(1);
    admit(2);
    domain->header->mark_sequence--; /* killed before the mark moved to 2 */
    mark = succeed(NULL);
    ck_assert_uint_eq(mark.ordinal, 2);
    ck_assert_uint_eq(mark.input_end, 200);
}
END_TEST

START_TEST(a_freed_slot_still_tells_its_ordinal)
{
    admit(1);
    admit(2);
    put_state(slot_of(2, 0), MR_STATE_FREE); /* answered already */
    domain->header->mark_sequence--;
    ck_assert_uint_eq(succeed(NULL).ordinal, 2);
}
END_TEST

START_TEST(a_half_made_slot_is_given_back_and_not_counted)
{
    uint32_t index;

    admit(1);
    admit(2);
    index = slot_of(2, 0);
    put_state(index, MR_STATE_FILLING); /* killed before the publication */
    domain->header->mark_sequence--;
    ck_assert_uint_eq(succeed(NULL).ordinal, 1);
    ck_assert_uint_eq(support_state(domain, index), MR_STATE_FREE);
    ck_assert_uint_eq(atomic_load(&domain->slots[index].ordinal), 0);
    admit(2);
}
END_TEST

START_TEST(a_record_with_missing_choices_is_completed)
{
    mr_request request = support_request(1, 5);
    uint32_t second;

    request.sampling.choices = 3;
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    second = slot_of(1, 1);
    put_state(slot_of(1, 2), MR_STATE_FILLING);
    domain->header->mark_sequence--;
    ck_assert_uint_eq(succeed(NULL).ordinal, 0);
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    ck_assert_uint_eq(slot_of(1, 1), second); /* what was there stayed */
    ck_assert_uint_eq(support_state(domain, slot_of(1, 2)), MR_STATE_READY);
    ck_assert_uint_eq(mr_domain_unfinished(domain), 3);
}
END_TEST

START_TEST(choices_are_taken_all_or_none)
{
    mr_request request = support_request(3, 5);

    admit(1);
    admit(2);
    request.sampling.choices = 3;
    ck_assert_int_eq(mr_intake_admit(intake, &request), -EAGAIN);
    ck_assert_uint_eq(mr_domain_unfinished(domain), 2);
    request.sampling.choices = 5;
    ck_assert_int_eq(mr_intake_admit(intake, &request), -E2BIG);
    request.sampling.choices = 2;
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
}
END_TEST

START_TEST(what_can_never_fit_is_refused_with_the_reason)
{
    mr_request request = support_request(1, 5);

    request.max_length = 129;
    ck_assert_int_eq(mr_intake_check(intake, &request), -E2BIG);
    request.max_length = 100;
    request.draft_tokens = 29;
    ck_assert_int_eq(mr_intake_check(intake, &request), -E2BIG);
    request.draft_tokens = 0;
    request.max_length = 100;
    request.log_probabilities = 20000;
    request.want_log_probabilities = 1;
    ck_assert_int_eq(mr_intake_check(intake, &request), -E2BIG);
    ck_assert_ptr_nonnull(strstr(mr_error(), "--memory"));
    request = support_request(1, 5);
    request.stage = 1;
    ck_assert_int_eq(mr_intake_check(intake, &request), -EINVAL);
    request = support_request(1, 5);
    request.kind = 99;
    ck_assert_int_eq(mr_intake_check(intake, &request), -EINVAL);
    request.size = 8;
    ck_assert_int_eq(mr_intake_check(intake, &request), -EINVAL);
    request = support_request(1, 5);
    request.sampling.choices = 0;
    ck_assert_int_eq(mr_intake_check(intake, &request), -E2BIG);
}
END_TEST

START_TEST(tokens_outside_the_vocabulary_are_refused)
{
    mr_domain *small = support_domain_with((mr_domain_options){.size = sizeof(mr_domain_options),
                                                               .slots = 2,
                                                               .arena_bytes = 65536,
                                                               .max_length = 64,
                                                               .vocabulary = 13});
    mr_request request = support_request(1, 5); /* 11, 12, 13 */
    mr_member *tokenizer;
    mr_intake *other = support_intake(small, &tokenizer);

    ck_assert_int_eq(mr_intake_admit(other, &request), -EINVAL);
    ck_assert_ptr_nonnull(strstr(mr_error(), "index 2"));
    mr_intake_close(other);
    mr_member_leave(tokenizer);
    support_close(small);
}
END_TEST

START_TEST(a_refusal_takes_a_slot_and_is_done_at_once)
{
    mr_request request = support_request(1, 5);

    request.prompt_length = 0; /* whatever was wrong with it */
    ck_assert_int_eq(mr_intake_refuse(intake, &request), 0);
    ck_assert_uint_eq(support_state(domain, slot_of(1, 0)), MR_STATE_DONE);
    ck_assert_uint_eq(domain->slots[slot_of(1, 0)].params.kind, MR_KIND_REFUSAL);
    ck_assert_uint_eq(succeed(NULL).ordinal, 1);
}
END_TEST

START_TEST(an_empty_record_moves_the_mark_alone)
{
    mr_intake_mark mark;

    mr_intake_skip(intake, 1, 42);
    mark = succeed(NULL);
    ck_assert_uint_eq(mark.ordinal, 1);
    ck_assert_uint_eq(mark.input_end, 42);
    ck_assert(!mr_intake_finished(intake));
    mr_intake_finish(intake);
    succeed(NULL);
    ck_assert(mr_intake_finished(intake));
}
END_TEST

START_TEST(deaths_at_one_record_are_counted)
{
    unsigned deaths;

    admit(1);
    for (unsigned i = 1; i <= 3; i++) {
        mr_intake_work(intake, 2);
        succeed(&deaths);
        ck_assert_uint_eq(deaths, i);
    }
    succeed(&deaths); /* died while nothing was at work */
    ck_assert_uint_eq(deaths, 3);
    admit(2);
    mr_intake_work(intake, 3);
    succeed(&deaths);
    ck_assert_uint_eq(deaths, 1);
}
END_TEST

/* The third death came between the choices: the record was accepted, so it can't be refused. */
START_TEST(a_record_with_missing_choices_is_never_too_deadly)
{
    unsigned deaths;
    mr_request request = support_request(1, 5);

    request.sampling.choices = 2;
    for (unsigned i = 1; i <= 2; i++) {
        mr_intake_work(intake, 1);
        succeed(&deaths);
        ck_assert_uint_eq(deaths, i);
    }
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    put_state(slot_of(1, 1), MR_STATE_FILLING); /* killed before its publication */
    domain->header->mark_sequence--;
    mr_intake_work(intake, 1);
    succeed(&deaths);
    ck_assert_uint_eq(deaths, 0);
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    ck_assert_uint_eq(mr_domain_unfinished(domain), 2);
}
END_TEST

/* What a slot says of its range may be spoiled while it is in use. */
START_TEST(a_spoiled_range_frees_nothing_of_another)
{
    uint64_t freed;
    mr_slot *first;

    teardown();
    domain = support_domain_with((mr_domain_options){
        .size = sizeof(mr_domain_options), .slots = 4, .arena_bytes = 4096, .max_length = 128});
    intake = support_intake(domain, &member);
    for (uint64_t i = 1; i <= 4; i++) { /* four fill the arena */
        mr_request request = support_request(i, 120);

        ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    }
    first = &domain->slots[slot_of(1, 0)];
    freed = first->arena.offset;
    first->arena = domain->slots[slot_of(2, 0)].arena;
    atomic_store(&first->emitted_final, MR_FINAL); /* answered */
    put_state(slot_of(1, 0), MR_STATE_FREE);
    mr_queue_rescan_raise(domain, MR_QUEUE_FREE);
    admit(5);
    ck_assert_uint_eq(domain->slots[slot_of(5, 0)].arena.offset, freed);
}
END_TEST

START_TEST(a_slot_freed_without_an_answer_is_not_used_again)
{
    for (uint64_t i = 1; i <= domain->slot_count; i++)
        admit(i);
    put_state(slot_of(1, 0), MR_STATE_FREE); /* its word was overwritten */
    mr_queue_rescan_raise(domain, MR_QUEUE_FREE);
    ck_assert_int_eq(mr_intake_wait(intake, 0), -ETIMEDOUT);
    ck_assert_int_eq(mr_supervisor_audit(domain), 1);
    ck_assert_uint_eq(support_state(domain, slot_of(1, 0)), MR_STATE_DONE);
}
END_TEST

START_TEST(ids_are_remembered_across_tokenizers)
{
    const uint64_t a[2] = {1, 2}, b[2] = {1, 3};

    ck_assert_int_eq(mr_intake_seen(intake, a, 1), 0);
    ck_assert_int_eq(mr_intake_seen(intake, a, 1), 0); /* the same record, read again */
    ck_assert_int_eq(mr_intake_seen(intake, b, 2), 0);
    succeed(NULL);
    ck_assert_int_eq(mr_intake_seen(intake, a, 3), 1);
    for (uint64_t i = 0; i < 62; i++) {
        const uint64_t id[2] = {i, 100 + i};

        ck_assert_int_eq(mr_intake_seen(intake, id, 10 + i), 0);
    }
    ck_assert_int_eq(mr_intake_seen(intake, (const uint64_t[2]){9, 9}, 99), -ENOSPC);
    ck_assert_int_eq(mr_intake_seen(intake, b, 99), 1); /* old ones are still known */
}
END_TEST

START_TEST(overlapping_ranges_are_refused)
{
    mr_intake_mark mark;
    mr_intake *second;

    admit(1);
    admit(2);
    domain->slots[slot_of(2, 0)].arena = domain->slots[slot_of(1, 0)].arena;
    ck_assert_int_eq(mr_intake_open(&second, member, &mark, NULL), -EBADMSG);
    domain->slots[slot_of(2, 0)].arena = (mr_range){domain->arena_offset, UINT64_MAX - 9};
    ck_assert_int_eq(mr_intake_open(&second, member, &mark, NULL), -EBADMSG);
    domain->slots[slot_of(2, 0)].arena.offset = 0;
    ck_assert_int_eq(mr_intake_open(&second, member, &mark, NULL), -EBADMSG);
}
END_TEST

/* ---- the arena ---- */

START_TEST(an_empty_arena_is_one_range_again)
{
    mr_arena *arena = mr_arena_new(1024, 16);
    uint64_t offset[16], whole;

    for (int i = 0; i < 16; i++)
        ck_assert_int_eq(mr_arena_take(arena, 64, &offset[i]), 0);
    ck_assert_int_eq(mr_arena_take(arena, 1, &whole), -EAGAIN);
    for (int i = 0; i < 16; i += 2)
        mr_arena_give(arena, offset[i]);
    ck_assert_uint_eq(mr_arena_used(arena), 512);
    ck_assert_int_eq(mr_arena_take(arena, 128, &whole), -EAGAIN); /* only holes of 64 */
    for (int i = 1; i < 16; i += 2)
        mr_arena_give(arena, offset[i]);
    mr_arena_give(arena, 4096); /* not ours: nothing happens */
    ck_assert_int_eq(mr_arena_take(arena, 1024, &whole), 0);
    mr_arena_free(arena);
}
END_TEST

START_TEST(ranges_that_cannot_be_are_not_claimed)
{
    mr_arena *arena = mr_arena_new(1024, 3);
    uint64_t offset;

    ck_assert_int_eq(mr_arena_claim(arena, 128, 128), 0);
    ck_assert_int_eq(mr_arena_claim(arena, 128, 128), -EBADMSG); /* the same */
    ck_assert_int_eq(mr_arena_claim(arena, 64, 128), -EBADMSG);  /* reaches into it */
    ck_assert_int_eq(mr_arena_claim(arena, 192, 64), -EBADMSG);  /* begins in it */
    ck_assert_int_eq(mr_arena_claim(arena, 2048, 64), -EBADMSG);
    ck_assert_int_eq(mr_arena_claim(arena, 960, 128), -EBADMSG);
    ck_assert_int_eq(mr_arena_claim(arena, 0, 2048), -EBADMSG);
    ck_assert_int_eq(mr_arena_claim(arena, 256, 0), 0);
    mr_arena_give(arena, 200); /* begins nowhere: nothing happens */
    ck_assert_int_eq(mr_arena_take(arena, 0, &offset), 0);
    ck_assert_int_eq(mr_arena_take(arena, 64, &offset), -EAGAIN); /* of three, none is left */
    ck_assert_int_eq(mr_arena_claim(arena, 512, 64), -EBADMSG);
    mr_arena_free(arena);
}
END_TEST

START_TEST(ranges_never_overlap)
{
    enum { RANGES = 40, BYTES = 1 << 16 };
    mr_arena *arena = mr_arena_new(BYTES, RANGES);
    struct {
        uint64_t offset, bytes;
    } held[RANGES];
    uint32_t count = 0, seed = 7;

    for (int step = 0; step < 20000; step++) {
        uint64_t offset;

        seed = seed * 1103515245 + 12345;
        if (seed >> 31 && count) {
            uint32_t i = (seed >> 8) % count;

            mr_arena_give(arena, held[i].offset);
            held[i] = held[--count];
        } else if (!mr_arena_take(arena, 1 + (seed >> 8) % 5000, &offset)) {
            uint64_t bytes = 1 + (seed >> 8) % 5000;

            ck_assert_uint_le(offset + bytes, BYTES);
            for (uint32_t i = 0; i < count; i++)
                ck_assert(offset + bytes <= held[i].offset ||
                          held[i].offset + held[i].bytes <= offset);
            held[count].offset = offset;
            held[count++].bytes = bytes;
        }
    }
    mr_arena_free(arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("intake");
    TCase *tests = tcase_create("intake"), *arenas = tcase_create("arena");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_admitted_request_is_ready_and_moves_the_mark);
    tcase_add_test(tests, only_a_tokenizer_takes_in);
    tcase_add_test(tests, no_room_is_said_and_waited_for);
    tcase_add_test(tests, published_but_not_marked_is_found);
    tcase_add_test(tests, a_freed_slot_still_tells_its_ordinal);
    tcase_add_test(tests, a_half_made_slot_is_given_back_and_not_counted);
    tcase_add_test(tests, a_record_with_missing_choices_is_completed);
    tcase_add_test(tests, choices_are_taken_all_or_none);
    tcase_add_test(tests, what_can_never_fit_is_refused_with_the_reason);
    tcase_add_test(tests, tokens_outside_the_vocabulary_are_refused);
    tcase_add_test(tests, a_refusal_takes_a_slot_and_is_done_at_once);
    tcase_add_test(tests, an_empty_record_moves_the_mark_alone);
    tcase_add_test(tests, deaths_at_one_record_are_counted);
    tcase_add_test(tests, a_record_with_missing_choices_is_never_too_deadly);
    tcase_add_test(tests, a_spoiled_range_frees_nothing_of_another);
    tcase_add_test(tests, a_slot_freed_without_an_answer_is_not_used_again);
    tcase_add_test(tests, ids_are_remembered_across_tokenizers);
    tcase_add_test(tests, overlapping_ranges_are_refused);
    tcase_add_test(arenas, an_empty_arena_is_one_range_again);
    tcase_add_test(arenas, ranges_that_cannot_be_are_not_claimed);
    tcase_add_test(arenas, ranges_never_overlap);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, arenas);
    return support_run(suite);
}
