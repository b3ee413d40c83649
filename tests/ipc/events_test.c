/*
 * events_test.c - the way of a request is told as it was, and nothing wrong is told whatever is
 * spoiled
 */
#include "ipc/events.h"
#include "ipc/member.h"
#include "tests/ipc/support.h"
#include <errno.h>
#include <millrace/trace.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 4, KEPT = 8, SEEN_MAX = 64 };

static mr_domain *domain;
static mr_member *tokenizer, *collector;
static mr_intake *intake;
static mr_emission *emission;
static uint64_t next_ordinal, now;
static mr_trace seen[SEEN_MAX];
static size_t seen_count;

static void begin(uint32_t stages)
{
    static const char *const names[] = {"first", "second"};

    domain = support_domain_with((mr_domain_options){.size = sizeof(mr_domain_options),
                                                     .slots = SLOTS,
                                                     .arena_bytes = 1 << 20,
                                                     .max_length = 128,
                                                     .stages = stages,
                                                     .stage_names = names,
                                                     .id_table = 64,
                                                     .finished = KEPT});
    intake = support_intake(domain, &tokenizer);
    emission = support_emission(domain, &collector);
    next_ordinal = 1;
}

static void setup(void)
{
    begin(1);
}

static void setup_two_stages(void)
{
    begin(2);
}

static void teardown(void)
{
    mr_emission_close(emission);
    mr_member_leave(collector);
    mr_intake_close(intake);
    mr_member_leave(tokenizer);
    support_close(domain);
}

/* ---- a request's life ---- */

static void admit(int64_t new_tokens)
{
    mr_request request = support_request(next_ordinal++, new_tokens);

    request.accepted = mr_boottime_ns();
    ck_assert_msg(!mr_intake_admit(intake, &request), "%s", mr_error());
}

static mr_worker *worker_of(const char *stage)
{
    const mr_worker_options options = {
        .size = sizeof(options), .capacity = SLOTS, .fingerprint = "test", .stage = stage};
    mr_worker *worker;

    ck_assert_msg(!mr_worker_join(&worker, domain, &options), "%s", mr_error());
    return worker;
}

/* Steps of one context, each with a commit, as a worker's loop makes them. */
static mr_context *steps(mr_worker *worker, int count)
{
    mr_context *batch[SLOTS];

    for (int i = 0; i < count; i++) {
        ck_assert_int_ge(mr_worker_batch(worker, batch, 0), 1);
        ck_assert_int_eq(mr_text_update(mr_context_text(batch[0]), 7, NULL), 0);
    }
    return batch[0];
}

/* Ends all that is done, as a collector does. */
static void emit(void)
{
    mr_handle handle;

    while (!mr_emission_next(emission, &handle, 0)) {
        mr_emitted part = {.handle = handle, .final = 1};
        mr_view view;

        if (mr_emission_view(emission, handle, &view) || !view.done)
            continue;
        ck_assert_int_eq(mr_emission_commit(emission, 1, &part, 1), 0);
        mr_emission_time(emission, mr_boottime_ns());
    }
}

static void answer(int64_t tokens)
{
    mr_worker *worker = worker_of(NULL);

    admit(tokens);
    ck_assert_int_eq(mr_worker_hand_on(worker, steps(worker, (int)tokens)), 0);
    emit();
    mr_worker_leave(worker);
}

/* ---- what is told ---- */

static int note(void *self, const mr_trace *trace)
{
    (void)self;
    ck_assert_uint_lt(seen_count, SEEN_MAX);
    seen[seen_count++] = *trace;
    return 0;
}

static void look(void)
{
    seen_count = 0;
    ck_assert_int_eq(mr_trace_each(domain, note, NULL), 0);
    now = mr_boottime_ns();
}

static const mr_trace *look_at_one(void)
{
    look();
    ck_assert_uint_eq(seen_count, 1);
    return &seen[0];
}

/* Each time that is told comes behind the one before it. */
static void is_in_order(const mr_trace *trace)
{
    uint64_t before = trace->accepted & ~UINT64_C(63);

    ck_assert_uint_ge(trace->queued, before);
    for (uint32_t i = 0; i < trace->leases; i++) {
        const uint64_t times[] = {trace->lease[i].begun, trace->lease[i].first,
                                  trace->lease[i].ended};

        for (int t = 0; t < 3; t++)
            if (times[t]) {
                ck_assert_uint_ge(times[t], before);
                before = times[t];
            }
    }
    ck_assert_uint_le(before, now);
    if (trace->emitted)
        ck_assert_uint_ge(trace->emitted, before);
}

/* ---- tests ---- */

START_TEST(the_way_of_an_answered_request_is_told)
{
    const mr_trace *trace;

    answer(5);
    trace = look_at_one();
    is_in_order(trace);
    ck_assert_uint_eq(trace->state, MR_TRACE_ENDED);
    ck_assert_uint_eq(trace->ordinal, 1);
    ck_assert_uint_eq(trace->kind, MR_KIND_TEXT);
    ck_assert_int_eq(trace->prompt_length, 3);
    ck_assert_int_eq(trace->length, 8);
    ck_assert_uint_eq(trace->failed, 0);
    ck_assert(trace->id_bytes == 2 && !memcmp(trace->id, "id", 2));
    ck_assert(trace->accepted && trace->queued && trace->emitted);
    ck_assert_uint_eq(trace->leases, 1);
    ck_assert_uint_eq(trace->left_out, 0);
    ck_assert_uint_eq(trace->lease[0].end, MR_TRACE_DONE);
    ck_assert_uint_eq(trace->lease[0].commits, 5);
    ck_assert(trace->lease[0].begun && trace->lease[0].first && trace->lease[0].ended);
}
END_TEST

START_TEST(a_request_of_one_step_has_no_end_of_a_first_one)
{
    const mr_trace *trace;

    answer(1);
    trace = look_at_one();
    ck_assert_uint_eq(trace->lease[0].first, 0);
    ck_assert_uint_eq(trace->lease[0].commits, 1);
}
END_TEST

START_TEST(a_request_in_flight_is_told_in_each_state)
{
    mr_worker *worker = worker_of(NULL);
    mr_context *context;

    admit(3);
    ck_assert_uint_eq(look_at_one()->state, MR_TRACE_WAITING);
    ck_assert_uint_eq(seen[0].leases, 0);
    context = steps(worker, 2);
    ck_assert_uint_eq(look_at_one()->state, MR_TRACE_HELD);
    ck_assert_uint_eq(seen[0].leases, 1);
    ck_assert_uint_eq(seen[0].lease[0].end, MR_TRACE_RUNNING);
    ck_assert_uint_eq(seen[0].lease[0].commits, 2);
    ck_assert_uint_eq(seen[0].lease[0].member, (uint32_t)mr_worker_index(worker));
    ck_assert_uint_ge(seen[0].step_begun, seen[0].lease[0].begun);
    steps(worker, 1);
    ck_assert_int_eq(mr_worker_hand_on(worker, context), 0);
    ck_assert_uint_eq(look_at_one()->state, MR_TRACE_ANSWERED);
    ck_assert_uint_eq(seen[0].lease[0].commits, 3);
    emit();
    ck_assert_uint_eq(look_at_one()->state, MR_TRACE_ENDED);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(what_was_put_back_and_taken_back_is_told_by_whom)
{
    mr_worker *first = worker_of(NULL), *second = worker_of(NULL), *third = worker_of(NULL);
    const mr_trace *trace;

    admit(9);
    ck_assert_int_eq(mr_worker_put_back(first, steps(first, 2)), 0);
    steps(second, 3);
    support_die(domain, mr_worker_index(second));
    ck_assert_int_eq(mr_worker_hand_on(third, steps(third, 4)), 0);
    emit();
    trace = look_at_one();
    is_in_order(trace);
    ck_assert_uint_eq(trace->leases, 3);
    ck_assert_uint_eq(trace->lease[0].end, MR_TRACE_PUT_BACK);
    ck_assert_uint_eq(trace->lease[0].member, (uint32_t)mr_worker_index(first));
    ck_assert_uint_eq(trace->lease[0].commits, 2);
    ck_assert_uint_eq(trace->lease[1].end, MR_TRACE_TAKEN_BACK);
    ck_assert_uint_eq(trace->lease[1].member, (uint32_t)mr_worker_index(second));
    ck_assert_uint_eq(trace->lease[1].commits, 3);
    ck_assert_uint_eq(trace->lease[2].end, MR_TRACE_DONE);
    ck_assert_uint_eq(trace->lease[2].commits, 4);
    mr_worker_leave(first);
    mr_worker_leave(second);
    mr_worker_leave(third);
}
END_TEST

START_TEST(of_many_leases_the_first_ones_and_the_last_are_told)
{
    enum { LEASES = 9 };
    mr_worker *worker = worker_of(NULL);
    const mr_trace *trace;

    admit(2 * LEASES);
    for (int i = 1; i < LEASES; i++)
        ck_assert_int_eq(mr_worker_put_back(worker, steps(worker, 1)), 0);
    ck_assert_int_eq(mr_worker_hand_on(worker, steps(worker, LEASES + 1)), 0);
    emit();
    trace = look_at_one();
    is_in_order(trace);
    ck_assert_uint_eq(trace->leases, MR_TRACE_LEASES);
    ck_assert_uint_eq(trace->left_out, LEASES - MR_TRACE_LEASES);
    for (int i = 0; i + 1 < MR_TRACE_LEASES; i++)
        ck_assert_uint_eq(trace->lease[i].end, MR_TRACE_PUT_BACK);
    ck_assert_uint_eq(trace->lease[MR_TRACE_LEASES - 1].end, MR_TRACE_DONE);
    ck_assert_uint_eq(trace->lease[MR_TRACE_LEASES - 1].commits, LEASES + 1);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(each_stage_of_a_request_is_a_lease)
{
    mr_worker *first = worker_of("first"), *second = worker_of("second");
    mr_context *batch[SLOTS];
    const mr_trace *trace;

    admit(2);
    ck_assert_int_eq(mr_worker_hand_on(first, steps(first, 2)), 0);
    ck_assert_int_eq(mr_worker_batch(second, batch, 0), 1);
    ck_assert_int_eq(mr_worker_hand_on(second, batch[0]), 0);
    emit();
    trace = look_at_one();
    is_in_order(trace);
    ck_assert_uint_eq(trace->leases, 2);
    ck_assert_uint_eq(trace->lease[0].end, MR_TRACE_HANDED_ON);
    ck_assert_uint_eq(trace->lease[0].stage, 0);
    ck_assert_uint_eq(trace->lease[1].end, MR_TRACE_DONE);
    ck_assert_uint_eq(trace->lease[1].stage, 1);
    ck_assert_uint_eq(trace->lease[1].commits, 0);
    mr_worker_leave(first);
    mr_worker_leave(second);
}
END_TEST

START_TEST(a_failed_request_says_who_failed_it)
{
    mr_worker *worker = worker_of(NULL);
    const mr_trace *trace;

    admit(3);
    ck_assert_int_eq(mr_worker_fail(worker, steps(worker, 1), "no"), 0);
    emit();
    trace = look_at_one();
    is_in_order(trace);
    ck_assert_uint_eq(trace->failed, 1);
    ck_assert_uint_eq(trace->leases, 1);
    ck_assert_uint_eq(trace->lease[0].end, MR_TRACE_FAILED);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_refused_request_has_no_lease)
{
    const mr_request refused = {.size = sizeof(refused),
                                .kind = MR_KIND_REFUSAL,
                                .ordinal = 1,
                                .accepted = mr_boottime_ns(),
                                .request_id = {"bad", 3}};

    ck_assert_int_eq(mr_intake_refuse(intake, &refused), 0);
    emit();
    ck_assert_uint_eq(look_at_one()->kind, MR_KIND_REFUSAL);
    ck_assert_uint_eq(seen[0].leases, 0);
    ck_assert_int_eq(seen[0].length, 0);
}
END_TEST

START_TEST(the_last_ended_requests_are_kept)
{
    uint64_t ordinals = 0;

    for (int i = 0; i < KEPT + 3; i++)
        answer(1);
    look();
    ck_assert_uint_eq(seen_count, KEPT);
    for (int i = 0; i < KEPT; i++) {
        ck_assert_uint_gt(seen[i].ordinal, 3);
        ordinals |= UINT64_C(1) << seen[i].ordinal;
    }
    ck_assert_int_eq(__builtin_popcountll(ordinals), KEPT);
}
END_TEST

START_TEST(a_long_id_is_kept_up_to_the_room_there_is)
{
    char id[2 * MR_TRACE_ID];
    mr_request request = support_request(1, 1);
    mr_worker *worker = worker_of(NULL);

    memset(id, 'x', sizeof(id));
    request.request_id = (mr_bytes){id, sizeof(id)};
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    ck_assert_int_eq(mr_worker_hand_on(worker, steps(worker, 1)), 0);
    emit();
    ck_assert_uint_eq(look_at_one()->id_bytes, sizeof(id));
    ck_assert(!memcmp(seen[0].id, id, MR_TRACE_ID));
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_collector_killed_while_it_ends_a_request_tells_it_once)
{
    mr_finished *entry = &domain->finished[0];
    mr_worker *worker = worker_of(NULL);
    mr_handle handle;

    admit(1);
    ck_assert_int_eq(mr_worker_hand_on(worker, steps(worker, 1)), 0);
    handle = look_at_one()->handle;
    mr_events_finish(domain, handle, false);
    ck_assert_uint_eq(look_at_one()->state, MR_TRACE_ANSWERED); /* kept, but still in its slot */

    atomic_store(&entry->number, 0); /* killed while it filled the entry */
    atomic_store(&domain->header->finished, 0);
    look_at_one();
    mr_events_finish(domain, handle, true);

    atomic_store(&domain->header->finished, 0); /* killed before it counted it */
    mr_events_finish(domain, handle, true);
    mr_events_finish(domain, handle, true); /* killed after that */
    ck_assert_uint_eq(atomic_load(&domain->header->finished), 1);
    emit();
    look();
    ck_assert_uint_eq(seen_count, 2); /* emit()'s own look kept it once more: it is no successor */
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_sweep_begun_anew_tells_of_one_death)
{
    mr_worker *worker = worker_of(NULL);
    mr_slot *slot;
    uint64_t word;

    admit(3);
    slot = steps(worker, 1)->slot;
    word = mr_slot_load(slot);
    mr_events_end(slot, word, MR_TRACE_TAKEN_BACK, mr_boottime_ns());
    support_die(domain, mr_worker_index(worker));
    ck_assert_uint_eq(look_at_one()->leases, 1);
    ck_assert_uint_eq(seen[0].lease[0].end, MR_TRACE_TAKEN_BACK);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(words_of_an_earlier_request_are_not_told)
{
    mr_worker *worker = worker_of(NULL);
    mr_slot *slot;
    uint64_t ended;

    admit(3);
    slot = steps(worker, 1)->slot;
    ended = mr_event_make(mr_state_unpack(mr_slot_load(slot)).generation + 1,
                          MR_EVENT_END + MR_TRACE_DONE, mr_boottime_ns(), 1, 0);
    atomic_store(&slot->first_lease.ended, ended);
    ck_assert_uint_eq(look_at_one()->lease[0].end, MR_TRACE_RUNNING);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_time_that_can_not_be_is_not_told)
{
    mr_worker *worker = worker_of(NULL);
    mr_slot *slot;
    uint64_t word;

    admit(3);
    slot = steps(worker, 2)->slot;
    word = atomic_load(&slot->first_lease.first);
    atomic_store(&slot->first_lease.first, word ^ UINT64_C(1) << 50); /* a day off */
    ck_assert_uint_eq(look_at_one()->lease[0].first, 0);
    ck_assert_uint_ne(seen[0].lease[0].begun, 0);
    mr_worker_leave(worker);
}
END_TEST

/* Whatever lies there: no crash, no hang, nothing outside of what can be. */
START_TEST(spoiled_memory_is_looked_at_without_harm)
{
    srand(7);
    answer(3);
    admit(3);
    admit(3);
    for (int round = 0; round < 300; round++) {
        unsigned char *slot = (unsigned char *)&domain->slots[rand() % SLOTS];
        unsigned char *entry = (unsigned char *)&domain->finished[rand() % KEPT];

        for (int i = 0; i < 8; i++) {
            slot[(size_t)rand() % sizeof(mr_slot)] = (unsigned char)rand();
            entry[(size_t)rand() % sizeof(mr_finished)] = (unsigned char)rand();
        }
        look();
        for (size_t i = 0; i < seen_count; i++) {
            ck_assert_uint_le(seen[i].leases, MR_TRACE_LEASES);
            for (uint32_t lease = 0; lease < seen[i].leases; lease++)
                ck_assert_uint_le(seen[i].lease[lease].end, MR_TRACE_FAILED);
        }
    }
}
END_TEST

START_TEST(a_members_name_is_told_as_long_as_its_place_is_nobody_elses)
{
    mr_worker *worker = worker_of(NULL);
    const uint32_t place = (uint32_t)mr_worker_index(worker);
    char name[MR_TRACE_NAME], before[MR_TRACE_NAME];

    mr_trace_member(domain, place, before);
    mr_worker_leave(worker);
    mr_trace_member(domain, place, name);
    ck_assert_str_eq(name, before);
    mr_trace_member(domain, MR_TRACE_NOBODY, name);
    ck_assert_str_eq(name, "");
}
END_TEST

static Suite *events_suite(void)
{
    Suite *suite = suite_create("events");
    TCase *tcase = tcase_create("one stage"), *stages = tcase_create("two stages");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_way_of_an_answered_request_is_told);
    tcase_add_test(tcase, a_request_of_one_step_has_no_end_of_a_first_one);
    tcase_add_test(tcase, a_request_in_flight_is_told_in_each_state);
    tcase_add_test(tcase, what_was_put_back_and_taken_back_is_told_by_whom);
    tcase_add_test(tcase, of_many_leases_the_first_ones_and_the_last_are_told);
    tcase_add_test(tcase, a_failed_request_says_who_failed_it);
    tcase_add_test(tcase, a_refused_request_has_no_lease);
    tcase_add_test(tcase, the_last_ended_requests_are_kept);
    tcase_add_test(tcase, a_long_id_is_kept_up_to_the_room_there_is);
    tcase_add_test(tcase, a_collector_killed_while_it_ends_a_request_tells_it_once);
    tcase_add_test(tcase, a_sweep_begun_anew_tells_of_one_death);
    tcase_add_test(tcase, words_of_an_earlier_request_are_not_told);
    tcase_add_test(tcase, a_time_that_can_not_be_is_not_told);
    tcase_add_test(tcase, spoiled_memory_is_looked_at_without_harm);
    tcase_add_test(tcase, a_members_name_is_told_as_long_as_its_place_is_nobody_elses);
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(stages, 60);
    tcase_add_checked_fixture(stages, setup_two_stages, teardown);
    tcase_add_test(stages, each_stage_of_a_request_is_a_lease);
    suite_add_tcase(suite, stages);
    return suite;
}

int main(void)
{
    return support_run(events_suite());
}
