/*
 * restart_test.c - a member that ends again and again: how often it is started, and what then
 *
 * Faults are planted by a preloaded module (fault.c), by the environment of echo_worker, or by
 * killing a process each time that it appears.
 */
#include "tests/runtime/fixture.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The process `name` of each run from now on ends with `status`, whatever it did. */
static void plant(const char *name, const char *status)
{
    preload("fault.so");
    setenv("FAULT_NAME", name, 1);
    setenv("FAULT_EXIT", status, 1);
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

START_TEST(a_tokenizer_that_fails_after_its_work_is_not_missed)
{
    struct run run;
    write_requests("in", 20, 5);
    plant("mr-tokenizer", "23");
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in"), 0);
    ck_assert_uint_eq(count_lines("out"), 20);
    run_said(&run, "; 0 restarts");
    run_free(&run);
}
END_TEST

START_TEST(a_tokenizer_that_never_gets_on_is_given_up)
{
    const char *const arguments[] = {"-o", "out", "--name", own_name("endless"), NULL};
    struct run run;
    int in[2];
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    run_begin_fds(&run, in[0], in[0], arguments);
    dprintf(in[1], "%s", request("a", "one two three", 3));
    run_wait_for_lines("out", 1);
    for (int i = 0; i < 100 && kill(run.pid, 0) == 0; i++) {
        pid_t tokenizer;
        for (int j = 0; (tokenizer = run_process(&run, "mr-tokenizer")) == 0 && j < 500; j++)
            wait_ms(5);
        if (tokenizer == 0)
            break;
        kill(tokenizer, SIGKILL);
        while (run_process(&run, "mr-tokenizer") == tokenizer)
            wait_ms(1);
    }
    run_end(&run);
    ck_assert_int_eq(run.status, 2);
    run_said(&run,
             "mr-tokenizer was ended by signal 9 (Killed), again and again without getting to "
             "work; it is given up");
    run_said(&run, "--resume");
    ck_assert_uint_le(count_of(run.err, "it is started again"), 24);
    run_free(&run);
    ck_assert_int_eq(run_whole(&run, NULL, "--discard", own_name("endless")), 0);
    run_free(&run);
    close(in[0]);
    close(in[1]);
}
END_TEST

START_TEST(a_collector_that_never_gets_on_ends_the_run)
{
    struct run run;
    write_requests("in", 20, 20);
    setenv("ECHO_STEP_US", "2000000", 1);
    run_begin(&run, NULL, "-o", "out", "-n", "1", "in");
    for (int i = 0; i < 100; i++) {
        pid_t collector;
        for (int j = 0; (collector = run_process(&run, "mr-collector")) == 0 && j < 500; j++)
            wait_ms(5);
        if (collector == 0)
            break;
        kill(collector, SIGKILL);
        while (run_process(&run, "mr-collector") == collector)
            wait_ms(1);
    }
    run_end(&run);
    ck_assert_int_eq(run.status, 2);
    run_said(&run, "mr-collector was ended by signal 9 (Killed), again and again");
    run_free(&run);
}
END_TEST

START_TEST(a_signal_ends_a_run_whose_tokenizer_keeps_failing)
{
    struct run run;
    write_requests("in", 20, 5);
    plant("mr-tokenizer", "23");
    setenv("ECHO_STEP_US", "100000", 1);
    run_begin(&run, NULL, "-o", "out", "in");
    wait_ms(300);
    run_signal(&run, SIGTERM);
    run_end(&run);
    ck_assert_int_eq(run.status, 130);
    ck_assert_uint_eq(count_lines("out"), 20);
    run_free(&run);
}
END_TEST

START_TEST(workers_that_leave_without_work_are_given_up)
{
    struct run run;
    file_add("in", request("a", "one", 1));
    setenv("ECHO_LEAVE", "1", 1);
    ck_assert_int_eq(run_whole(&run, NULL, "-n", "1", "-o", "out", "in"), 2);
    run_said(&run, "mr-worker-0 ended with status 0, again and again");
    run_said(&run, "no worker is left");
    ck_assert_uint_le(count_of(run.err, "it is started again"), 12);
    run_free(&run);
}
END_TEST

START_TEST(the_group_goes_on_with_the_workers_that_are_left)
{
    struct run run;
    write_requests("in", 100, 20);
    setenv("ECHO_EXIT_NAME", "mr-worker-1", 1);
    setenv("ECHO_STEP_US", "40000", 1);
    ck_assert_int_eq(run_whole(&run, NULL, "-n", "2", "-o", "out", "in"), 0);
    run_said(&run, "mr-worker-1 ended with status 1, again and again");
    ck_assert_uint_eq(count_lines("out"), 100);
    run_free(&run);
}
END_TEST

START_TEST(a_worker_that_attached_by_itself_is_enough_to_go_on)
{
    struct run run;
    pid_t stranger;
    int status;
    write_requests("in", 100, 20);
    setenv("ECHO_EXIT_NAME", "mr-worker-0", 1);
    setenv("ECHO_STEP_US", "40000", 1);
    run_begin(&run, NULL, "-n", "1", "--name", own_name("alone"), "-o", "out", "in");
    while (access(own_file("alone", "sock"), F_OK) < 0)
        wait_ms(5);
    stranger = stranger_begin(own_name("alone"));
    run_end(&run);
    ck_assert_msg(run.status == 0, "status %d: %s", run.status, run.err);
    run_said(&run, "mr-worker-0 ended with status 1, again and again");
    ck_assert_uint_eq(count_lines("out"), 100);
    ck_assert_int_eq(waitpid(stranger, &status, 0), stranger);
    run_free(&run);
}
END_TEST

static Suite *restart_suite(void)
{
    Suite *suite = suite_create("restart");
    TCase *tests = tcase_create("restarts");
    tcase_set_timeout(tests, 90);
    tcase_add_checked_fixture(tests, fixture_open, fixture_close);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, a_tokenizer_that_fails_after_its_work_is_not_missed);
    tcase_add_test(tests, a_tokenizer_that_never_gets_on_is_given_up);
    tcase_add_test(tests, a_collector_that_never_gets_on_ends_the_run);
    tcase_add_test(tests, a_signal_ends_a_run_whose_tokenizer_keeps_failing);
    tcase_add_test(tests, workers_that_leave_without_work_are_given_up);
    tcase_add_test(tests, the_group_goes_on_with_the_workers_that_are_left);
    tcase_add_test(tests, a_worker_that_attached_by_itself_is_enough_to_go_on);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(restart_suite());
    int failed;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
