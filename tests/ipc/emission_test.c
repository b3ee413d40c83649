/*
 * emission_test.c - marks and journal: what is emitted counts once
 */
#include "ipc/cursors.h"
#include "ipc/news.h"
#include "tests/ipc/support.h"
#include <errno.h>
#include <string.h>

static mr_domain *domain;
static mr_member *tokenizer, *collector;
static mr_intake *intake;
static mr_emission *emission;
static mr_worker *worker;

static void setup(void)
{
    domain = support_domain(4);
    intake = support_intake(domain, &tokenizer);
    emission = support_emission(domain, &collector);
    worker = support_worker(domain, 4);
}

static void teardown(void)
{
    mr_worker_leave(worker);
    mr_emission_close(emission);
    mr_member_leave(collector);
    mr_intake_close(intake);
    mr_member_leave(tokenizer);
    support_close(domain);
}

static void admit(uint64_t ordinal, uint32_t choices, int64_t new_tokens)
{
    mr_request request = support_request(ordinal, new_tokens);

    request.sampling.choices = choices;
    request.want_log_probabilities = 1;
    request.log_probabilities = 2;
    ck_assert_msg(!mr_intake_admit(intake, &request), "%s", mr_error());
}

/* The worker makes `tokens` more of each held context and hands on what is done. */
static void work(int tokens)
{
    mr_context *batch[4];
    int n = mr_worker_batch(worker, batch, 0);

    for (int i = 0; i < n; i++) {
        mr_text *text = mr_context_text(batch[i]);

        for (int t = 0; t < tokens && !mr_text_is_done(text); t++) {
            const mr_top_logprob tops[] = {{5, -0.5}, {6, -1.5}};
            const mr_logprob entry = {-0.25 * (t + 1), tops, 2};

            ck_assert_int_eq(mr_text_update(text, 40 + t, &(mr_logprobs){&entry, 1}), 0);
        }
        if (mr_text_is_done(text))
            ck_assert_int_eq(mr_worker_hand_on(worker, batch[i]), 0);
    }
}

static mr_handle next_handle(void)
{
    mr_handle handle;

    ck_assert_int_eq(mr_emission_next(emission, &handle, 0), 0);
    return handle;
}

/* Nothing is new any more; the look at the beginning and a hint may tell of one thing twice. */
static void drain(void)
{
    mr_handle handle;

    while (!mr_emission_next(emission, &handle, 0))
        ;
}

static void succeed(mr_handle *suspect, unsigned *deaths)
{
    mr_member_options options = {.size = sizeof(options), .role = MR_ROLE_COLLECTOR};
    int place = mr_member_index(collector);

    mr_emission_close(emission);
    mr_member_leave(collector);
    support_die(domain, place);
    ck_assert_int_eq(mr_member_join(&collector, domain, &options), 0);
    ck_assert_int_eq(mr_emission_open(&emission, collector, suspect, deaths), 0);
}

START_TEST(a_view_shows_what_was_committed)
{
    mr_handle handle;
    mr_view view;

    admit(1, 1, 4);
    work(2);
    handle = next_handle();
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), 0);
    ck_assert(!view.done && !view.failed);
    ck_assert_int_eq((int)view.prompt_length, 3);
    ck_assert_uint_eq(view.tokens.count, 5);
    ck_assert_int_eq((int)view.tokens.ids[3], 40);
    ck_assert_int_eq((int)view.last_token, 41);
    ck_assert_uint_eq(view.ordinal, 1);
    ck_assert(!memcmp(view.reply.bytes, "note", 4));
    ck_assert_uint_eq(view.want_log_probabilities, 1);
    work(2);
    ck_assert_uint_eq(next_handle(), handle);
    mr_emission_view(emission, handle, &view);
    ck_assert(view.done);
    ck_assert_uint_eq(view.status, MR_MAXIMUM_LENGTH);
}
END_TEST

START_TEST(many_commits_make_one_hint)
{
    mr_handle handle;

    admit(1, 1, 20);
    work(1);
    drain();
    for (int i = 0; i < 8; i++)
        work(1);
    next_handle();
    ck_assert_int_eq(mr_emission_next(emission, &handle, 0), -EAGAIN);
    work(1);
    next_handle();
    ck_assert_int_eq(mr_emission_next(emission, &handle, 2), -EAGAIN);
}
END_TEST

START_TEST(marks_and_length_are_committed_together)
{
    mr_handle handle, suspect;
    unsigned deaths;
    mr_view view;

    admit(1, 1, 4);
    work(2);
    handle = next_handle();
    mr_emission_commit(emission, 100, &(mr_emitted){.handle = handle, .tokens = 2, .bytes = 9}, 1);
    /* killed between the commit and the copying of the marks */
    atomic_store(&domain->slots[mr_handle_index(handle)].emitted_tokens, 0);
    atomic_store(&domain->slots[mr_handle_index(handle)].emitted_bytes, 0);
    succeed(&suspect, &deaths);
    ck_assert_uint_eq(mr_emission_length(emission), 100);
    ck_assert_uint_eq(next_handle(), handle); /* every context in use is given once */
    mr_emission_view(emission, handle, &view);
    ck_assert_uint_eq(view.emitted_tokens, 2);
    ck_assert_uint_eq(view.emitted_bytes, 9);
    ck_assert_uint_eq(view.emitted_final, 0);
}
END_TEST

START_TEST(a_final_part_frees_the_slot_also_when_a_successor_does_it)
{
    mr_handle handle, suspect;
    mr_state_parts state;
    unsigned deaths;
    mr_slot *slot;
    mr_view view;

    admit(1, 1, 2);
    work(4);
    handle = next_handle();
    slot = &domain->slots[mr_handle_index(handle)];
    state = mr_state_unpack(mr_slot_load(slot));
    mr_emission_commit(emission, 50, &(mr_emitted){.handle = handle, .tokens = 2, .final = 1}, 1);
    ck_assert_uint_eq(mr_domain_unfinished(domain), 0);
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), -ESTALE);
    atomic_store(&slot->state, mr_state_pack(state)); /* killed before it was freed */
    succeed(&suspect, &deaths);
    ck_assert_uint_eq(mr_domain_unfinished(domain), 0);
    succeed(&suspect, &deaths); /* and again: nothing more happens */
    ck_assert_uint_eq(mr_domain_unfinished(domain), 0);
    ck_assert_uint_eq(mr_state_unpack(mr_slot_load(slot)).generation, state.generation + 1);
}
END_TEST

START_TEST(choices_are_found_by_their_request)
{
    mr_handle handle, other;
    mr_view view;

    admit(1, 3, 2);
    handle = next_handle();
    for (uint32_t c = 0; c < 3; c++) {
        ck_assert_int_eq(mr_emission_choice(emission, handle, c, &other), 0);
        ck_assert_int_eq(mr_emission_view(emission, other, &view), 0);
        ck_assert_uint_eq(view.choice, c);
        ck_assert_uint_eq(view.sampling->choice, c);
        ck_assert_uint_eq(view.choices, 3);
    }
    ck_assert_int_eq(mr_emission_choice(emission, handle, 3, &other), -ENOENT); /* taken in whole */
    ck_assert_int_eq(mr_emission_choice(emission, handle + (1 << 20), 0, &other), -ESTALE);
}
END_TEST

START_TEST(records_are_found_by_position)
{
    mr_logprob entries[2];
    mr_top_logprob tops[4];
    mr_logprobs found;
    mr_handle handle;

    admit(1, 1, 3);
    work(3);
    handle = next_handle();
    for (int64_t position = 3; position < 6; position++) {
        ck_assert_int_eq(
            mr_emission_logprobs(emission, handle, position, &found, entries, 2, tops, 4), 0);
        ck_assert_double_eq(found.entries[0].chosen, -0.25 * (double)(position - 2));
        ck_assert_int_eq((int)found.entries[0].top[1].token, 6);
    }
    ck_assert_int_eq(mr_emission_logprobs(emission, handle, 3, &found, entries, 2, tops, 4), 0);
    ck_assert_int_eq(mr_emission_logprobs(emission, handle, 6, &found, entries, 2, tops, 4),
                     -ENOENT);
    ck_assert_int_eq(mr_emission_logprobs(emission, handle, 3, &found, entries, 2, tops, 1),
                     -ENOSPC);
    ck_assert_int_eq(
        mr_emission_logprobs(emission, handle + (1 << 20), 3, &found, entries, 2, tops, 4),
        -ESTALE);
}
END_TEST

START_TEST(a_stop_reaches_the_worker)
{
    mr_context *batch[4];
    mr_handle handle;

    admit(1, 1, 50);
    work(1);
    handle = next_handle();
    mr_emission_stop(emission, handle);
    mr_emission_stop(emission, handle + (1 << 20)); /* a stale one is nothing */
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    ck_assert_int_eq(mr_context_cancelled(batch[0]), MR_CANCEL_STOPPED);
    ck_assert_int_eq(mr_worker_hand_on(worker, batch[0]), 0);
}
END_TEST

START_TEST(a_dropped_hint_is_looked_for)
{
    uint32_t index, hint;

    admit(1, 1, 5);
    work(1);
    ck_assert_int_eq(mr_queue_pop(domain, MR_QUEUE_COLLECTOR, &index, &hint), 0);
    mr_queue_rescan_raise(domain, MR_QUEUE_COLLECTOR);
    next_handle();
}
END_TEST

/* By the second commit the slot may hold the next context. */
START_TEST(a_context_that_is_ended_twice_spares_the_next_one)
{
    mr_emitted end = {.tokens = 1, .final = 1};
    mr_view view;

    admit(1, 1, 1);
    work(1);
    end.handle = next_handle();
    ck_assert_int_eq(mr_emission_view(emission, end.handle, &view), 0);
    ck_assert_int_eq(mr_emission_commit(emission, 1, &end, 1), 0);
    drain();
    for (uint64_t i = 2; i <= 5; i++) /* one a slot: the first slot's next context, too */
        if (mr_domain_unfinished(domain) < 4)
            admit(i, 1, 2);
    ck_assert_int_eq(mr_emission_commit(emission, 1, &end, 1), 0);
    work(2);
    while (!mr_emission_next(emission, &end.handle, 0)) {
        if (mr_emission_view(emission, end.handle, &view) == -ESTALE)
            continue;
        ck_assert(view.done && !view.emitted_final && !view.emitted_tokens);
        ck_assert_int_eq(mr_emission_commit(emission, 2, &end, 1), 0);
    }
    ck_assert_uint_eq(mr_domain_unfinished(domain), 0);
}
END_TEST

/* A worker that is slow between DONE and its news: by then the slot holds the next context. */
START_TEST(news_that_come_late_do_not_silence_the_next_context)
{
    mr_handle first, handle;

    admit(1, 1, 1);
    work(1);
    first = next_handle();
    mr_emission_commit(emission, 1, &(mr_emitted){.handle = first, .tokens = 1, .final = 1}, 1);
    drain();
    admit(2, 1, 4);
    mr_news_tell(domain, first);
    drain();
    work(1);
    handle = next_handle();
    ck_assert_uint_ne(handle, first);
    ck_assert_uint_eq(mr_handle_index(handle), mr_handle_index(first));
}
END_TEST

START_TEST(deaths_at_one_emission_are_counted)
{
    mr_handle handle, suspect;
    unsigned deaths;
    mr_view view;

    admit(1, 1, 5);
    for (unsigned i = 1; i <= 3; i++) {
        handle = next_handle();
        mr_emission_view(emission, handle, &view);
        succeed(&suspect, &deaths);
        ck_assert_uint_eq(suspect, handle);
        ck_assert_uint_eq(deaths, i);
    }
    drain(); /* nothing is at work */
    succeed(&suspect, &deaths);
    ck_assert_uint_eq(deaths, 3);
}
END_TEST

/* A long answer outlives many collectors: kills between which it went on aren't in a row. */
START_TEST(a_look_that_was_survived_ends_the_row_of_deaths)
{
    mr_handle handle, suspect;
    unsigned deaths;
    mr_view view;

    admit(1, 1, 20);
    for (unsigned i = 0; i < 8; i++) {
        handle = next_handle();
        ck_assert_int_eq(mr_emission_view(emission, handle, &view), 0);
        if (i % 2) { /* the first look after each second death goes well */
            work(1);
            ck_assert_uint_eq(next_handle(), handle);
            ck_assert_int_eq(mr_emission_view(emission, handle, &view), 0);
        }
        succeed(&suspect, &deaths);
        ck_assert_uint_eq(deaths, i ? 1 + (i + 1) % 2 : 1);
    }
}
END_TEST

START_TEST(a_record_range_that_went_bad_is_not_followed)
{
    mr_logprob entries[2];
    mr_top_logprob tops[4];
    mr_logprobs found;
    mr_handle handle;
    mr_params *params;
    mr_view view;

    admit(1, 1, 3);
    admit(2, 1, 3);
    work(3);
    handle = next_handle();
    params = &domain->slots[mr_handle_index(handle)].params;
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), 0);
    params->records = (mr_range){UINT64_C(1) << 50, UINT64_C(1) << 40};
    ck_assert_int_eq(mr_emission_logprobs(emission, handle, 4, &found, entries, 2, tops, 4), 0);
    handle = next_handle();
    domain->slots[mr_handle_index(handle)].params.records = params->records; /* before any look */
    ck_assert_int_eq(mr_emission_logprobs(emission, handle, 4, &found, entries, 2, tops, 4),
                     -EBADMSG);
}
END_TEST

START_TEST(tokens_of_a_kind_without_text_are_not_believed_in)
{
    mr_handle handle;
    mr_slot *slot;
    mr_view view;

    admit(1, 1, 3);
    handle = next_handle();
    slot = &domain->slots[mr_handle_index(handle)];
    slot->params.kind = MR_KIND_PIXEL;
    slot->params.tokens = (mr_range){0, 0};
    slot->params.capacity = INT64_MAX;
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), -EBADMSG);
}
END_TEST

/* What the journal names may be no slot, no context any more, or one that isn't done. */
START_TEST(a_journal_of_nonsense_marks_nothing)
{
    const mr_emitted parts[] = {{.handle = MR_INDEX_MASK, .tokens = 1, .final = 1},
                                {.handle = 1 << 20, .tokens = 1, .final = 1},
                                {.handle = 0, .tokens = 1, .final = 1}};
    mr_handle handle, suspect;
    unsigned deaths;
    mr_view view;

    admit(1, 1, 5);
    handle = next_handle();
    ck_assert_int_eq(mr_emission_commit(emission, 1, parts, 3), 0);
    ck_assert_int_eq(
        mr_emission_commit(emission, 1, &(mr_emitted){.handle = handle, .final = 1}, 1), 0);
    ck_assert_uint_eq(mr_domain_unfinished(domain), 1); /* it isn't done: it stays */
    atomic_store(&domain->header->journal[0][MR_JOURNAL_COUNT], (uint64_t)-1);
    atomic_store(&domain->header->journal[1][MR_JOURNAL_COUNT], (uint64_t)-1);
    ck_assert_int_eq(mr_emission_view(emission, MR_INDEX_MASK, &view), -ESTALE);
    mr_emission_close(emission);
    ck_assert_int_eq(mr_emission_open(&emission, collector, &suspect, &deaths), -EBADMSG);
    mr_emission_close(NULL);
    emission = NULL;
}
END_TEST

START_TEST(corruption_is_refused)
{
    mr_handle handle, suspect;
    mr_range before;
    mr_emission *second;
    unsigned deaths;
    mr_view view;
    mr_slot *slot;

    admit(1, 1, 5);
    handle = next_handle();
    slot = &domain->slots[mr_handle_index(handle)];
    slot->params.choices = 0;
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), -EBADMSG);
    ck_assert_uint_eq(view.handle, handle); /* enough to answer it with an error once it is done */
    ck_assert_uint_eq(view.done, 0);
    slot->params.choices = 1;
    before = slot->params.json_schema;
    slot->params.json_schema = (mr_range){.offset = UINT64_MAX}; /* empty, but becomes an address */
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), -EBADMSG);
    slot->params.json_schema = before;
    atomic_store(&slot->glance[0][MR_GLANCE_LENGTH], 1 << 20);
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), 0); /* the cursors tell */
    ck_assert_uint_eq(view.tokens.count, 3);
    atomic_store(&slot->cursors[0][MR_CURSOR_LENGTH], 1 << 20);
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), -EAGAIN); /* the next commit will */
    atomic_store(&slot->emitted_bytes, 7);
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), -EBADMSG);
    atomic_store(&domain->header->journal[0][MR_JOURNAL_COUNT], 9999);
    ck_assert_int_eq(mr_emission_open(&second, collector, &suspect, &deaths), -EBADMSG);
    ck_assert_int_eq(mr_emission_open(&second, tokenizer, &suspect, &deaths), -EPERM);
    atomic_store(&domain->header->journal[0][MR_JOURNAL_COUNT], 0);
    ck_assert_int_eq(mr_emission_commit(emission, 1, NULL, MR_MAX_EMITTED + 1), -E2BIG);
}
END_TEST

START_TEST(the_end_of_the_domain_ends_the_waiting)
{
    mr_handle handle;

    ck_assert_int_eq(mr_emission_arm(emission), 0);
    ck_assert_int_ge(mr_emission_fd(emission), 0);
    mr_domain_set_phase(domain, MR_PHASE_STOP);
    ck_assert_int_eq(mr_emission_next(emission, &handle, MR_WAIT), -ESHUTDOWN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emission");
    TCase *tests = tcase_create("emission");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_view_shows_what_was_committed);
    tcase_add_test(tests, a_context_that_is_ended_twice_spares_the_next_one);
    tcase_add_test(tests, many_commits_make_one_hint);
    tcase_add_test(tests, marks_and_length_are_committed_together);
    tcase_add_test(tests, a_final_part_frees_the_slot_also_when_a_successor_does_it);
    tcase_add_test(tests, choices_are_found_by_their_request);
    tcase_add_test(tests, records_are_found_by_position);
    tcase_add_test(tests, a_stop_reaches_the_worker);
    tcase_add_test(tests, a_dropped_hint_is_looked_for);
    tcase_add_test(tests, news_that_come_late_do_not_silence_the_next_context);
    tcase_add_test(tests, deaths_at_one_emission_are_counted);
    tcase_add_test(tests, a_look_that_was_survived_ends_the_row_of_deaths);
    tcase_add_test(tests, a_record_range_that_went_bad_is_not_followed);
    tcase_add_test(tests, tokens_of_a_kind_without_text_are_not_believed_in);
    tcase_add_test(tests, a_journal_of_nonsense_marks_nothing);
    tcase_add_test(tests, corruption_is_refused);
    tcase_add_test(tests, the_end_of_the_domain_ends_the_waiting);
    suite_add_tcase(suite, tests);
    return support_run(suite);
}
