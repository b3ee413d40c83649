/*
 * pool_test.c - each part of a round is done once, and done when the round is over
 */
#include "workers/llama/pool.h"

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

enum { MOST = 5 };

typedef struct {
    int done[64]; /* plain: pool_run() must order them */
    _Atomic int at_work[MOST];
    _Atomic bool wrong; /* Check's assertions are for one thread */
    unsigned parts, threads;
    long pause; /* nanoseconds, of the last part */
} record;

static void do_part(void *argument, pool_part part)
{
    record *r = argument;

    if (part.thread >= r->threads || atomic_fetch_add(&r->at_work[part.thread], 1) != 0)
        atomic_store(&r->wrong, true);
    if (part.number + 1 == part.of && r->pause)
        nanosleep(&(struct timespec){.tv_nsec = r->pause}, NULL);
    r->done[part.number]++;
    if (part.number == 0)
        r->parts = part.of;
    atomic_fetch_sub(&r->at_work[part.thread], 1);
}

static void run_rounds(unsigned threads, int rounds, long pause, long between)
{
    pool *p = pool_create(threads);
    record r = {.pause = pause, .threads = threads};

    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(pool_threads(p), threads);
    for (int round = 1; round <= rounds; round++) {
        pool_run(p, do_part, &r);
        ck_assert_uint_ge(r.parts, threads);
        ck_assert_uint_le(r.parts, 64);
        for (unsigned part = 0; part < r.parts; part++)
            ck_assert_int_eq(r.done[part], round);
        if (between)
            nanosleep(&(struct timespec){.tv_nsec = between}, NULL);
    }
    pool_destroy(p);
    ck_assert(!r.wrong);
}

START_TEST(one_thread_does_all_itself)
{
    run_rounds(1, 100, 0, 0);
}
END_TEST

START_TEST(many_rounds_in_a_row_are_each_done_once)
{
    run_rounds(2, 5000, 0, 0);
    run_rounds(MOST, 1000, 0, 0);
}
END_TEST

START_TEST(threads_that_fell_asleep_are_woken)
{
    run_rounds(3, 20, 0, 10000000);
}
END_TEST

START_TEST(a_caller_that_fell_asleep_is_woken)
{
    run_rounds(3, 20, 10000000, 0);
}
END_TEST

START_TEST(a_pool_can_end_before_it_worked)
{
    run_rounds(MOST, 0, 0, 0);
    pool_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tests = tcase_create("pool");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, one_thread_does_all_itself);
    tcase_add_test(tests, many_rounds_in_a_row_are_each_done_once);
    tcase_add_test(tests, threads_that_fell_asleep_are_woken);
    tcase_add_test(tests, a_caller_that_fell_asleep_is_woken);
    tcase_add_test(tests, a_pool_can_end_before_it_worked);
    suite_add_tcase(suite, tests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
