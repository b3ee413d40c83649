/*
 * cancel_test.c - ending what is not finished: by its client, by its deadline, by draining a worker
 */
#include "tests/ipc/support.h"
#include <errno.h>
#include <string.h>
#include <time.h>

static mr_domain *domain;
static mr_member *tokenizer;
static mr_intake *intake;
static uint64_t next_ordinal;

static void setup(void)
{
    domain = support_domain(8);
    intake = support_intake(domain, &tokenizer);
    next_ordinal = 1;
}

static void teardown(void)
{
    mr_intake_close(intake);
    mr_member_leave(tokenizer);
    support_close(domain);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void admit(const char *id, uint32_t choices, uint64_t deadline)
{
    mr_request request = support_request(next_ordinal++, 4);

    request.request_id = (mr_bytes){id, strlen(id)};
    request.sampling.choices = choices;
    request.deadline = deadline;
    ck_assert_msg(!mr_intake_admit(intake, &request), "%s", mr_error());
}

static size_t find(const char *id, mr_handle *handles, size_t room)
{
    return mr_supervisor_find(domain, (mr_bytes){id, strlen(id)}, handles, room);
}

static uint32_t in_state(enum mr_state state)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < domain->slot_count; i++)
        count += support_state(domain, i) == state;
    return count;
}

/* ---- by its client ---- */

START_TEST(a_request_is_found_by_its_id_with_all_its_choices)
{
    mr_handle handles[4];

    admit("one", 1, 0);
    admit("three", 3, 0);
    ck_assert_uint_eq(find("one", handles, 4), 1);
    ck_assert_uint_eq(find("three", handles, 4), 3);
    ck_assert_uint_eq(find("three", handles, 1), 3);
    ck_assert_uint_eq(find("on", handles, 4), 0);
    ck_assert_uint_eq(find("", handles, 4), 0);
}
END_TEST

START_TEST(an_id_outside_of_the_segment_is_nobodys)
{
    mr_handle handles[1];

    admit("one", 1, 0);
    for (uint32_t i = 0; i < domain->slot_count; i++)
        domain->slots[i].params.request_id.offset = domain->data_bytes - 1;
    ck_assert_uint_eq(find("one", handles, 1), 0);
    for (uint32_t i = 0; i < domain->slot_count; i++)
        domain->slots[i].params.request_id.offset = UINT64_MAX - 1;
    ck_assert_uint_eq(find("one", handles, 1), 0);
}
END_TEST

START_TEST(what_waits_is_done_as_soon_as_it_is_cancelled)
{
    mr_handle handles[1];

    admit("one", 1, 0);
    ck_assert_uint_eq(find("one", handles, 1), 1);
    ck_assert_int_eq(mr_supervisor_cancel(domain, handles[0], MR_CANCEL_CLIENT), 0);
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
    ck_assert_uint_eq(find("one", handles, 1), 0);
}
END_TEST

START_TEST(the_first_who_ends_a_context_says_why)
{
    mr_worker *worker = support_worker(domain, 1);
    mr_context *batch[1];

    admit("one", 1, 1); /* past its deadline from the start */
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    ck_assert_int_eq(mr_supervisor_cancel(domain, mr_context_handle(batch[0]), MR_CANCEL_CLIENT),
                     0);
    ck_assert_uint_eq(mr_supervisor_expire(domain), 0);
    ck_assert_int_eq(mr_context_cancelled(batch[0]), MR_CANCEL_CLIENT);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(the_collector_is_told_of_what_was_cancelled)
{
    mr_member *collector;
    mr_emission *emission = support_emission(domain, &collector);
    mr_handle handle, handles[1];
    mr_view view;

    while (!mr_emission_next(emission, &handle, 0))
        ;
    admit("one", 1, 0);
    find("one", handles, 1);
    ck_assert_int_eq(mr_supervisor_cancel(domain, handles[0], MR_CANCEL_CLIENT), 0);
    ck_assert_int_eq(mr_emission_next(emission, &handle, 0), 0);
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), 0);
    ck_assert_uint_eq(view.done, 1);
    ck_assert_uint_eq(view.cancel, MR_CANCEL_CLIENT);
    mr_emission_close(emission);
    mr_member_leave(collector);
}
END_TEST

/* ---- by its deadline ---- */

START_TEST(a_deadline_ends_what_waits_and_what_is_held)
{
    mr_worker *worker = support_worker(domain, 1);
    mr_context *batch[1];

    admit("held", 1, 1);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    admit("waiting", 1, 1);
    admit("early", 1, now_ns() + UINT64_C(3600000000000));
    admit("patient", 1, 0);
    ck_assert_uint_eq(mr_supervisor_expire(domain), 2);
    ck_assert_uint_eq(mr_supervisor_expire(domain), 0);
    ck_assert_int_eq(mr_context_cancelled(batch[0]), MR_CANCEL_DEADLINE);
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
    ck_assert_uint_eq(in_state(MR_STATE_READY), 2);
    ck_assert_int_eq(mr_worker_hand_on(worker, batch[0]), 0);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(what_is_put_back_after_its_cancel_does_not_wait)
{
    mr_worker *worker = support_worker(domain, 1);
    mr_context *batch[1];

    admit("one", 1, 0);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    ck_assert_int_eq(mr_supervisor_cancel(domain, mr_context_handle(batch[0]), MR_CANCEL_CLIENT),
                     0);
    ck_assert_int_eq(mr_worker_put_back(worker, batch[0]), 0);
    ck_assert_uint_eq(in_state(MR_STATE_READY), 1);
    ck_assert_uint_eq(mr_supervisor_expire(domain), 0);
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
    mr_worker_leave(worker);
}
END_TEST

/* ---- draining ---- */

START_TEST(a_worker_that_drains_puts_back_what_it_held)
{
    mr_worker *worker = support_worker(domain, 4), *other = support_worker(domain, 4);
    mr_context *batch[4];

    for (int i = 0; i < 3; i++)
        admit("one", 1, 0);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 3);
    ck_assert_int_eq(mr_text_update(mr_context_text(batch[0]), 9, NULL), 0);
    ck_assert_int_eq(mr_supervisor_drain(domain, mr_worker_index(worker)), 0);
    ck_assert_int_eq(mr_worker_batch(worker, batch, MR_WAIT), -ESHUTDOWN);
    ck_assert_ptr_nonnull(strstr(mr_error(), "told to leave"));
    ck_assert_uint_eq(in_state(MR_STATE_READY), 3);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), -ESHUTDOWN); /* it claims nothing more */
    ck_assert_int_eq(mr_worker_batch(other, batch, 0), 3);
    mr_worker_leave(worker);
    mr_worker_leave(other);
}
END_TEST

START_TEST(the_next_holder_of_a_drained_place_stays)
{
    mr_worker *worker = support_worker(domain, 1);
    mr_context *batch[1];
    int place = mr_worker_index(worker);

    mr_supervisor_drain(domain, place);
    mr_worker_leave(worker);
    support_die(domain, place);
    worker = support_worker(domain, 1);
    ck_assert_int_eq(mr_worker_index(worker), place);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 0);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(only_workers_are_drained)
{
    ck_assert_int_eq(mr_supervisor_drain(domain, mr_member_index(tokenizer)), -ENOENT);
    ck_assert_int_eq(mr_supervisor_drain(domain, MR_MAX_MEMBERS - 1), -ENOENT);
    ck_assert_int_eq(mr_supervisor_drain(domain, MR_MAX_MEMBERS), -ENOENT);
    ck_assert_int_eq(mr_supervisor_drain(domain, -1), -ENOENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cancel");
    TCase *tests = tcase_create("cancel");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_request_is_found_by_its_id_with_all_its_choices);
    tcase_add_test(tests, an_id_outside_of_the_segment_is_nobodys);
    tcase_add_test(tests, what_waits_is_done_as_soon_as_it_is_cancelled);
    tcase_add_test(tests, the_first_who_ends_a_context_says_why);
    tcase_add_test(tests, the_collector_is_told_of_what_was_cancelled);
    tcase_add_test(tests, a_deadline_ends_what_waits_and_what_is_held);
    tcase_add_test(tests, what_is_put_back_after_its_cancel_does_not_wait);
    tcase_add_test(tests, a_worker_that_drains_puts_back_what_it_held);
    tcase_add_test(tests, the_next_holder_of_a_drained_place_stays);
    tcase_add_test(tests, only_workers_are_drained);
    suite_add_tcase(suite, tests);
    return support_run(suite);
}
