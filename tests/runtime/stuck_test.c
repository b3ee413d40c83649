/*
 * stuck_test.c - members that are stopped or loop: noticed, killed, and their work goes on
 */
#include "tests/runtime/fixture.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t wait_for_process(const struct run *run, const char *name)
{
    pid_t pid = 0;
    for (int i = 0; i < 2000 && pid == 0; i++) {
        pid = run_process(run, name);
        if (pid == 0)
            wait_ms(5);
    }
    ck_assert_msg(pid > 0, "no process is called '%s'", name);
    return pid;
}

static void stop(const struct run *run, const char *name)
{
    ck_assert_int_eq(kill(wait_for_process(run, name), SIGSTOP), 0);
}

/* A run of 60 slow requests in few slots, so that each of its members has something to do. */
static void begin_work(struct run *run)
{
    write_requests("in", 60, 20);
    setenv("ECHO_STEP_US", "3000", 1);
    run_begin(run, NULL, "-n", "1", "--slots", "8", "--stuck-after", "1", "-o", "out", "in");
    run_wait_for_lines("out", 1);
}

static void end_work(struct run *run, const char *who)
{
    char what[64];
    snprintf(what, sizeof(what), "%s is stuck", who);
    run_end(run);
    ck_assert_msg(run->status == 0, "status %d: %s", run->status, run->err);
    ck_assert_uint_eq(count_lines("out"), 60);
    run_said(run, what);
    run_free(run);
}

/* ---- stopped ---- */

START_TEST(a_tokenizer_that_is_stopped_is_replaced)
{
    struct run run;
    begin_work(&run);
    stop(&run, "mr-tokenizer");
    end_work(&run, "mr-tokenizer");
}
END_TEST

START_TEST(a_collector_that_is_stopped_is_replaced)
{
    struct run run;
    begin_work(&run);
    stop(&run, "mr-collector");
    end_work(&run, "mr-collector");
}
END_TEST

START_TEST(a_worker_that_is_stopped_at_work_is_replaced)
{
    struct run run;
    begin_work(&run);
    stop(&run, "mr-worker-0");
    end_work(&run, "mr-worker-0");
}
END_TEST

/* It is in no step, and may have been woken for the next request already. */
START_TEST(a_worker_that_is_stopped_while_it_waits_is_replaced)
{
    const char *const arguments[] = {"-n", "1", "--stuck-after", "1", "-o", "out", NULL};
    struct run run;
    int in[2];
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    run_begin_fds(&run, in[0], in[0], arguments);
    dprintf(in[1], "%s", request("a", "one two three", 3));
    run_wait_for_lines("out", 1);
    stop(&run, "mr-worker-0");
    dprintf(in[1], "%s", request("b", "one two three", 3));
    run_wait_for_lines("out", 2);
    close(in[0]);
    close(in[1]);
    run_end(&run);
    ck_assert_int_eq(run.status, 0);
    run_said(&run, "mr-worker-0 is stuck: somebody stopped it");
    run_free(&run);
}
END_TEST

START_TEST(a_worker_that_is_stopped_before_it_joins_is_replaced)
{
    struct run run;
    write_requests("in", 20, 5);
    setenv("ECHO_STOP_ONCE", "stopped", 1);
    ck_assert_int_eq(run_whole(&run, NULL, "-n", "1", "--stuck-after", "1", "-o", "out", "in"), 0);
    run_said(&run, "mr-worker-0 is stuck: somebody stopped it before it began");
    ck_assert_uint_eq(count_lines("out"), 20);
    run_free(&run);
}
END_TEST

/* It has joined when there is an answer, since nobody else could have given it. */
START_TEST(a_stranger_that_is_stopped_is_killed_and_its_requests_go_on)
{
    struct run run;
    pid_t first, second;
    int status;
    write_requests("in", 60, 20);
    setenv("ECHO_STEP_US", "3000", 1);
    run_begin(&run, NULL, "-n", "0", "--name", own_name("strange"), "--slots", "8", "--stuck-after",
              "1", "-o", "out", "in");
    while (access(own_file("strange", "sock"), F_OK) < 0)
        wait_ms(5);
    first = stranger_begin(own_name("strange"));
    run_wait_for_lines("out", 1);
    ck_assert_int_eq(kill(first, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(first, &status, 0), first);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    second = stranger_begin(own_name("strange"));
    run_end(&run);
    ck_assert_int_eq(run.status, 0);
    ck_assert_uint_eq(count_lines("out"), 60);
    run_said(&run, "stranger is stuck: somebody stopped it");
    ck_assert_int_eq(waitpid(second, &status, 0), second);
    run_free(&run);
}
END_TEST

/* ---- looping ---- */

static void plant_loop(const char *name, const char *text)
{
    preload("fault.so");
    setenv("FAULT_NAME", name, 1);
    setenv("FAULT_LOOP", text, 1);
}

/* One request at which the member `name` never ends; it alone is answered with `code`. */
static void check_loop(const char *name, const char *code)
{
    struct run run;
    json_t *answers;
    char what[64];
    write_requests("in", 10, 5);
    file_add("in", request("endless", "one", 2));
    file_add("in", request("after", "one two three", 3));
    plant_loop(name, "endless");
    ck_assert_int_eq(run_whole(&run, NULL, "-n", "1", "--stuck-after", "1", "-o", "out", "in"), 1);
    ck_assert_uint_eq(count_lines("out"), 12);
    answers = answers_read("out");
    ck_assert_ptr_nonnull(strstr(run.err, "is stuck: it has been in one step for 1 s"));
    ck_assert_str_eq(answer_text(answers, "after"), "one two three");
    snprintf(what, sizeof(what), "\"code\":\"%s\"", code);
    free(run.out);
    run.out = file_read("out", NULL);
    ck_assert_msg(strstr(run.out, what) != NULL, "no answer has %s: %s", what, run.out);
    json_decref(answers);
    run_free(&run);
}

START_TEST(a_record_at_which_the_tokenizer_loops_is_refused)
{
    check_loop("mr-tokenizer", "kills_tokenizer");
}
END_TEST

START_TEST(a_result_at_which_the_collector_loops_is_answered_with_an_error)
{
    check_loop("mr-collector", "kills_collector");
}
END_TEST

static Suite *stuck_suite(void)
{
    Suite *suite = suite_create("stuck");
    TCase *tests = tcase_create("stuck");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, fixture_open, fixture_close);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, a_tokenizer_that_is_stopped_is_replaced);
    tcase_add_test(tests, a_collector_that_is_stopped_is_replaced);
    tcase_add_test(tests, a_worker_that_is_stopped_at_work_is_replaced);
    tcase_add_test(tests, a_worker_that_is_stopped_while_it_waits_is_replaced);
    tcase_add_test(tests, a_worker_that_is_stopped_before_it_joins_is_replaced);
    tcase_add_test(tests, a_stranger_that_is_stopped_is_killed_and_its_requests_go_on);
    tcase_add_test(tests, a_record_at_which_the_tokenizer_loops_is_refused);
    tcase_add_test(tests, a_result_at_which_the_collector_loops_is_answered_with_an_error);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(stuck_suite());
    int failed;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
