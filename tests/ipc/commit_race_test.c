/*
 * commit_race_test.c - a reader that doesn't wait for news sees only what was committed
 *
 * One thread appends tokens, another looks again and again and reads every token below the
 * committed length. ThreadSanitizer must be silent; built with
 * -DMR_COMMIT_ORDER=memory_order_relaxed it must speak (./dev check does both), which shows that it
 * sees this hand-over at all. The two keep step, or on a busy machine the reader might see nothing
 * but the end: by relaxed atomics, which order nothing.
 */
#include "tests/ipc/support.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { TOKENS = 20000, APART = 100 };

static mr_worker *worker;
static _Atomic int64_t looked_at; /* tokens that the reader has seen */

static int64_t token_of(size_t index)
{
    return (int64_t)(index * 31 % 1009);
}

static void *append(void *context)
{
    mr_text *text = mr_context_text(context);

    while (!mr_text_is_done(text)) {
        while (mr_text_length(text) >
               atomic_load_explicit(&looked_at, memory_order_relaxed) + APART)
            sched_yield();
        if (mr_text_update(text, token_of((size_t)mr_text_length(text)), NULL))
            return NULL;
    }
    mr_worker_hand_on(worker, context);
    return NULL;
}

/* True when all of them are those that were appended. */
static bool tokens_are_right(const mr_view *view, size_t from)
{
    for (size_t i = from; i + 1 < view->tokens.count; i++)
        if (view->tokens.ids[i] != token_of(i))
            return false;
    return view->tokens.count == 3 || view->last_token == token_of(view->tokens.count - 1);
}

START_TEST(a_reader_sees_only_committed_tokens)
{
    mr_domain *domain = support_domain_with((mr_domain_options){.size = sizeof(mr_domain_options),
                                                                .slots = 1,
                                                                .arena_bytes = 1 << 20,
                                                                .max_length = TOKENS + 3});
    mr_request request = support_request(1, TOKENS);
    mr_member *tokenizer, *collector;
    mr_intake *intake = support_intake(domain, &tokenizer);
    mr_emission *emission = support_emission(domain, &collector);
    mr_context *batch[1];
    pthread_t thread;
    mr_handle handle;
    mr_view view;
    size_t seen = 3;

    worker = support_worker(domain, 1);
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    ck_assert_int_eq(mr_emission_next(emission, &handle, 0), 0);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    pthread_create(&thread, NULL, append, batch[0]);
    do {
        ck_assert_int_eq(mr_emission_view(emission, handle, &view), 0);
        ck_assert_uint_ge(view.tokens.count, seen);
        ck_assert(tokens_are_right(&view, seen));
        seen = view.tokens.count;
        atomic_store_explicit(&looked_at, (int64_t)seen, memory_order_relaxed);
    } while (!view.done);
    ck_assert_uint_eq(seen, TOKENS + 3);
    pthread_join(thread, NULL);
    mr_worker_leave(worker);
    mr_emission_close(emission);
    mr_member_leave(collector);
    mr_intake_close(intake);
    mr_member_leave(tokenizer);
    support_close(domain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("commit_race");
    TCase *tests = tcase_create("commit");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_reader_sees_only_committed_tokens);
    suite_add_tcase(suite, tests);
    return support_run(suite);
}
