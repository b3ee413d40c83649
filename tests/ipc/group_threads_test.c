/*
 * group_threads_test.c - a whole group as threads of one process
 *
 * Every hand-over of the protocols happens between threads here, so that ThreadSanitizer can follow
 * it. Processes that die are in group_kill_test.c.
 */
#include "tests/ipc/group.h"
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORKERS = 3 };

typedef struct job {
    const group_plan *plan;
    mr_domain *domain;
    int output;
    int rc;
} job;

static void *tokenizer(void *argument)
{
    job *j = argument;
    mr_member *member = NULL;
    mr_member_options options = {.size = sizeof(options), .role = MR_ROLE_TOKENIZER};

    if (!(j->rc = mr_member_join(&member, j->domain, &options)))
        j->rc = group_tokenizer(member, j->plan);
    mr_member_leave(member);
    return NULL;
}

static void *collector(void *argument)
{
    job *j = argument;
    mr_member *member = NULL;
    mr_member_options options = {.size = sizeof(options), .role = MR_ROLE_COLLECTOR};

    if (!(j->rc = mr_member_join(&member, j->domain, &options)))
        j->rc = group_collector(member, j->plan, j->output);
    mr_member_leave(member);
    return NULL;
}

static void *worker(void *argument)
{
    job *j = argument;
    mr_worker *w = NULL;
    mr_worker_options options = {
        .size = sizeof(options), .capacity = j->plan->capacity, .fingerprint = "hash"};

    if (!(j->rc = mr_worker_join(&w, j->domain, &options)))
        j->rc = group_worker(w, j->plan);
    mr_worker_leave(w);
    return NULL;
}

static void run(const group_plan *plan)
{
    void *(*const bodies[])(void *) = {tokenizer, collector, worker, worker, worker};
    pthread_t threads[2 + WORKERS];
    job jobs[2 + WORKERS];
    mr_domain_options options = group_domain(plan);
    mr_domain *domain;
    char name[32], why[300] = "";
    FILE *file = tmpfile();

    snprintf(name, sizeof(name), "threads-%d", (int)getpid());
    ck_assert_int_eq(mr_domain_create(&domain, name, &options), 0);
    for (int i = 0; i < 2 + WORKERS; i++) {
        jobs[i] = (job){.plan = plan, .domain = domain, .output = fileno(file)};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, bodies[i], &jobs[i]), 0);
    }
    while (!group_finished(domain))
        usleep(1000);
    mr_domain_set_phase(domain, MR_PHASE_STOP);
    for (int i = 0; i < 2 + WORKERS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(jobs[i].rc, 0);
    }
    ck_assert_msg(group_output_is_right(plan, fileno(file), why, sizeof(why)), "%s", why);
    fclose(file);
    mr_domain_remove(domain);
}

START_TEST(every_request_is_answered_once)
{
    run(&(group_plan){.requests = 300, .slots = 16, .capacity = 4, .arena_bytes = 1 << 20});
}
END_TEST

START_TEST(pieces_are_streamed_in_order)
{
    run(&(group_plan){
        .requests = 200, .slots = 8, .capacity = 3, .arena_bytes = 1 << 20, .stream = true});
}
END_TEST

START_TEST(a_small_arena_makes_requests_wait_and_loses_none)
{
    run(&(group_plan){.requests = 200, .slots = 32, .capacity = 4, .arena_bytes = 8192});
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_threads");
    TCase *tests = tcase_create("threads");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, every_request_is_answered_once);
    tcase_add_test(tests, pieces_are_streamed_in_order);
    tcase_add_test(tests, a_small_arena_makes_requests_wait_and_loses_none);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
