/*
 * matcher_test.c - a small automaton beside a context: it takes 1, then any number of 2, then 3 4
 * 5, and then nothing more
 */
#include "ipc/text.h"
#include "tests/ipc/fixture.h"
#include <check.h>
#include <errno.h>
#include <millrace/error.h>

enum { STATES = 6, TOKENS = 70 };

/* Where a token leads from a state; 0: nowhere. States are counted from 1. */
static const int next_state[STATES + 1][6] = {
    [1] = {[1] = 2}, [2] = {[2] = 2, [3] = 3}, [3] = {[4] = 4}, [4] = {[5] = 5}};

struct automaton {
    int state;
    int taken;
};

static bool accepts(void *self, int64_t token)
{
    const struct automaton *a = self;

    return token >= 0 && token < 6 && next_state[a->state][token] != 0;
}

static void accept(void *self, int64_t token)
{
    struct automaton *a = self;

    a->state = next_state[a->state][token];
    a->taken++;
}

static void restart(void *self)
{
    *(struct automaton *)self = (struct automaton){.state = 1};
}

static void mask(const void *self, uint64_t *bits, size_t vocabulary)
{
    const struct automaton *a = self;

    for (size_t token = 0; token < 6 && token < vocabulary; token++)
        if (next_state[a->state][token])
            bits[0] |= UINT64_C(1) << token;
}

static bool forced(const void *self, int64_t *token)
{
    const struct automaton *a = self;
    int count = 0;

    for (int i = 0; i < 6; i++)
        if (next_state[a->state][i]) {
            *token = i;
            count++;
        }
    return count == 1;
}

/* ---- a context with it ---- */

static struct automaton automaton;
static mr_matcher matcher = {accepts, accept, &automaton, restart, mask, forced};
static struct fixture *fixture;
static mr_text *text;

static void begin(void)
{
    static const int64_t prompt[] = {9, 9}, end_token[] = {5};
    mr_request request = fixture_request(prompt, 2, 20);

    request.eos_token_ids = end_token;
    request.eos_token_count = 1;
    fixture = fixture_new(&request, 20);
    ck_assert_ptr_nonnull(fixture);
    text = fixture_text(fixture);
    restart(&automaton);
    matcher.mask = mask;
    mr_text_set_matcher(text, &matcher);
}

static void end(void)
{
    fixture_free(fixture);
}

START_TEST(a_token_that_it_refuses_changes_nothing)
{
    ck_assert_int_eq(mr_text_update(text, 2, NULL), -EINVAL);
    ck_assert_int_eq(mr_error_code(), MR_TEXT_MATCHER);
    ck_assert_int_eq(mr_text_length(text), 2);
    ck_assert_int_eq(automaton.taken, 0);
    ck_assert_int_eq(mr_text_update(text, 1, NULL), 0);
    ck_assert_int_eq(automaton.taken, 1);
}
END_TEST

START_TEST(the_mask_has_the_tokens_that_may_come_next)
{
    uint64_t bits[2] = {~UINT64_C(0), ~UINT64_C(0)};

    ck_assert_int_eq(mr_text_update(text, 1, NULL), 0);
    mr_text_matcher_mask(text, bits, TOKENS);
    ck_assert_uint_eq(bits[0], 1 << 2 | 1 << 3);
    ck_assert_uint_eq(bits[1], 0);
}
END_TEST

START_TEST(without_a_mask_of_its_own_each_token_is_asked_for)
{
    uint64_t bits[2];

    matcher.mask = NULL;
    mr_text_set_matcher(text, &matcher);
    mr_text_matcher_mask(text, bits, TOKENS);
    ck_assert_uint_eq(bits[0], 1 << 1);
    ck_assert_uint_eq(bits[1], 0);
}
END_TEST

START_TEST(without_a_matcher_every_token_may_come)
{
    uint64_t bits[2];

    mr_text_set_matcher(text, NULL);
    mr_text_matcher_mask(text, bits, TOKENS);
    ck_assert_uint_eq(bits[0], UINT64_MAX);
    ck_assert_uint_eq(bits[1], (1 << 6) - 1);
    ck_assert_int_eq(mr_text_jump_forced(text, 10), 0);
    ck_assert_int_eq(mr_text_rebuild_matcher(text), -ENOTSUP);
}
END_TEST

START_TEST(forced_tokens_are_jumped_over_up_to_the_end)
{
    ck_assert_int_eq(mr_text_jump_forced(text, 10), 1);
    ck_assert_int_eq(mr_text_jump_forced(text, 10), 0);
    ck_assert_int_eq(mr_text_update(text, 3, NULL), 0);
    ck_assert_int_eq(mr_text_jump_forced(text, 1), 1);
    ck_assert_int_eq(mr_text_jump_forced(text, 10), 1);
    ck_assert_int_eq(mr_text_status(text), MR_END_OF_SEQUENCE);
    ck_assert_int_eq(mr_text_active_length(text), 3);
}
END_TEST

START_TEST(a_prompt_in_chunks_is_not_jumped_over)
{
    ck_assert_int_eq(mr_text_chunk(text, 1), 0);
    ck_assert_int_eq(mr_text_jump_forced(text, 10), 0);
    ck_assert(mr_text_actively_chunked(text));
}
END_TEST

START_TEST(a_successors_matcher_comes_to_the_same_state)
{
    ck_assert_int_eq(mr_text_update(text, 1, NULL), 0);
    ck_assert_int_eq(mr_text_update(text, 2, NULL), 0);
    ck_assert_int_eq(mr_text_update(text, 3, NULL), 0);
    ck_assert_int_eq(fixture_reload(fixture), 0);
    mr_text_take_over(fixture_context(fixture));
    automaton = (struct automaton){.state = STATES};
    mr_text_set_matcher(text, &matcher);
    ck_assert_int_eq(mr_text_rebuild_matcher(text), 0);
    ck_assert_int_eq(automaton.state, 3);
    ck_assert_int_eq(automaton.taken, 3);
}
END_TEST

START_TEST(the_matcher_of_another_request_is_found_out)
{
    mr_text_set_matcher(text, NULL);
    ck_assert_int_eq(mr_text_update(text, 4, NULL), 0);
    mr_text_set_matcher(text, &matcher);
    ck_assert_int_eq(mr_text_rebuild_matcher(text), -EINVAL);
    ck_assert_int_eq(mr_error_code(), MR_TEXT_MATCHER);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("matcher");
    TCase *cases = tcase_create("matcher");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, begin, end);
    tcase_add_test(cases, a_token_that_it_refuses_changes_nothing);
    tcase_add_test(cases, the_mask_has_the_tokens_that_may_come_next);
    tcase_add_test(cases, without_a_mask_of_its_own_each_token_is_asked_for);
    tcase_add_test(cases, without_a_matcher_every_token_may_come);
    tcase_add_test(cases, forced_tokens_are_jumped_over_up_to_the_end);
    tcase_add_test(cases, a_prompt_in_chunks_is_not_jumped_over);
    tcase_add_test(cases, a_successors_matcher_comes_to_the_same_state);
    tcase_add_test(cases, the_matcher_of_another_request_is_found_out);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
