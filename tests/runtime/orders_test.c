/*
 * orders_test.c - a running group is commanded: drain, scale, cancel; and requests with a deadline
 */
#include "tests/runtime/fixture.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a verb said, with both its streams, and its exit status. */
static char said[4096];

#define verb(...) verb_list((const char *const[]){"millrace", __VA_ARGS__, NULL})

static int verb_list(const char *const *arguments)
{
    int status = 0, ends[2];
    size_t length = 0;
    ssize_t got;
    pid_t pid;
    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close_range(3, ~0u, 0);
        execv(path_of_millrace(), (char **)(uintptr_t)arguments);
        _exit(99);
    }
    close(ends[1]);
    while ((got = read(ends[0], said + length, sizeof(said) - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void check_said(const char *what)
{
    ck_assert_msg(strstr(said, what) != NULL, "it didn't say '%s' but: %s", what, said);
}

static pid_t wait_for_process(const struct run *run, const char *name, bool there)
{
    for (int i = 0; i < 2000; i++) {
        pid_t pid = run_process(run, name);
        if ((pid > 0) == there)
            return pid;
        wait_ms(5);
    }
    ck_abort_msg("process '%s' %s", name, there ? "never came" : "stays");
    return 0;
}

/* A named run at work: 200 requests, and the answers that it should give. */
static char *begin_work(struct run *run, const char *workers)
{
    struct run whole;
    write_requests("in", 200, 20);
    ck_assert_int_eq(run_whole(&whole, NULL, "-o", "whole", "in"), 0);
    run_free(&whole);
    setenv("ECHO_STEP_US", "3000", 1);
    run_begin(run, NULL, "--name", own_name("orders"), "-n", workers, "-o", "out", "in");
    run_wait_for_lines("out", 1);
    return file_sorted("whole", NULL);
}

static void end_work(struct run *run, char *expected)
{
    char *sorted;
    run_end(run);
    ck_assert_msg(run->status == 0, "status %d: %s", run->status, run->err);
    sorted = file_sorted("out", NULL);
    ck_assert_str_eq(sorted, expected);
    ck_assert_msg(strstr(run->err, "; 0 restarts") != NULL, "%s", run->err);
    free(sorted);
    free(expected);
    run_free(run);
}

/* ---- drain and scale ---- */

START_TEST(a_worker_that_is_drained_hands_back_and_leaves)
{
    struct run run;
    char *expected = begin_work(&run, "2");
    ck_assert_int_gt(run_process(&run, "mr-worker-0"), 0);
    ck_assert_int_eq(verb("drain", own_name("orders"), "mr-worker-0"), 0);
    check_said("the worker has left");
    ck_assert_int_eq(run_process(&run, "mr-worker-0"), 0);
    ck_assert_int_gt(run_process(&run, "mr-worker-1"), 0);
    end_work(&run, expected);
}
END_TEST

START_TEST(a_worker_is_drained_by_its_pid_as_well)
{
    struct run run;
    char *expected = begin_work(&run, "2"), pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)wait_for_process(&run, "mr-worker-1", true));
    ck_assert_int_eq(verb("drain", own_name("orders"), pid), 0);
    ck_assert_int_eq(run_process(&run, "mr-worker-1"), 0);
    end_work(&run, expected);
}
END_TEST

START_TEST(draining_the_last_worker_and_scaling_up_loses_no_request)
{
    struct run run;
    char *expected = begin_work(&run, "1");
    for (int i = 0; i < 3; i++) {
        size_t before;
        ck_assert_int_eq(verb("drain", own_name("orders"), "mr-worker-0"), 0);
        before = count_lines("out");
        ck_assert_int_eq(verb("scale", own_name("orders"), "1"), 0);
        check_said("1 workers, 1 of them are being started");
        run_wait_for_lines("out", before + 1);
    }
    end_work(&run, expected);
}
END_TEST

START_TEST(the_number_of_workers_follows_the_order)
{
    struct run run;
    char *expected = begin_work(&run, "1");
    ck_assert_int_eq(verb("scale", own_name("orders"), "3"), 0);
    wait_for_process(&run, "mr-worker-2", true);
    ck_assert_int_gt(wait_for_process(&run, "mr-worker-1", true), 0);
    ck_assert_int_eq(verb("scale", own_name("orders"), "1"), 0);
    wait_for_process(&run, "mr-worker-2", false);
    wait_for_process(&run, "mr-worker-1", false);
    ck_assert_int_gt(run_process(&run, "mr-worker-0"), 0);
    end_work(&run, expected);
}
END_TEST

START_TEST(an_order_that_cannot_be_carried_out_is_one_clear_error)
{
    struct run run;
    char *expected = begin_work(&run, "1");
    ck_assert_int_eq(verb("drain", own_name("orders"), "nobody"), 1);
    check_said("is called 'nobody'");
    ck_assert_int_eq(verb("scale", own_name("orders"), "61"), 2);
    check_said("must lie in [0, 60]");
    ck_assert_int_eq(verb("cancel", own_name("orders"), "r9999"), 1);
    check_said("no request 'r9999' is at work");
    ck_assert_int_eq(verb("cancel", own_name("nothing"), "r1"), 1);
    check_said("there is none of that name");
    ck_assert_int_eq(verb("cancel", own_name("orders")), 2);
    ck_assert_int_eq(verb("drain", own_name("orders"), "a", "b"), 2);
    ck_assert_int_eq(verb("scale", "--help"), 0);
    check_said("usage: millrace scale NAME N");
    end_work(&run, expected);
}
END_TEST

START_TEST(the_only_run_needs_no_name)
{
    struct run run;
    char *expected = begin_work(&run, "2");
    /* Others of this user may be there while tests run beside each other. */
    if (verb("drain", "mr-worker-1") != 0)
        check_said("you have several runs; say which one has the worker 'mr-worker-1'");
    else
        ck_assert_int_eq(run_process(&run, "mr-worker-1"), 0);
    end_work(&run, expected);
}
END_TEST

START_TEST(another_user_may_not_give_orders)
{
    struct run run;
    char *expected;
    pid_t pid;
    int status;
    if (geteuid() != 0)
        return; /* only root can be somebody else for a moment */
    expected = begin_work(&run, "1");
    pid = fork();
    if (pid == 0) {
        if (chmod(".", 0755) < 0 || setuid(65534) < 0)
            _exit(98);
        _exit(verb("scale", own_name("orders"), "2"));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_ne(WEXITSTATUS(status), 0);
    ck_assert_int_eq(run_process(&run, "mr-worker-1"), 0);
    end_work(&run, expected);
}
END_TEST

/* ---- cancel ---- */

static const char *long_request(const char *id, const char *extra)
{
    static char line[400];
    snprintf(line, sizeof(line),
             "{\"custom_id\": \"%s\", \"method\": \"POST\", \"url\": \"/v1/completions\", "
             "\"body\": {\"prompt\": \"on and on\", \"max_tokens\": 900%s}}\n",
             id, extra);
    return line;
}

static void check_error(const char *id, const char *code)
{
    json_t *answers = answers_read("out");
    const char *error = answer_error(answers, id);
    ck_assert_msg(error != NULL, "'%s' has no error", id);
    ck_assert_str_eq(error, code);
    json_decref(answers);
}

START_TEST(a_request_that_is_at_work_is_cancelled)
{
    struct run run;
    file_add("in", long_request("long", ", \"n\": 3"));
    file_add("in", request("short", "one", 2));
    setenv("ECHO_STEP_US", "20000", 1);
    run_begin(&run, NULL, "--name", own_name("cancel"), "-n", "1", "-o", "out", "in");
    run_wait_for_lines("out", 1);
    ck_assert_int_eq(verb("cancel", own_name("cancel"), "long"), 0);
    check_said("request 'long' is cancelled");
    run_end(&run);
    ck_assert_int_eq(run.status, 1);
    ck_assert_uint_eq(count_lines("out"), 2);
    check_error("long", "cancelled");
    run_free(&run);
}
END_TEST

START_TEST(a_request_that_waits_is_cancelled_without_a_worker)
{
    struct run run;
    file_add("in", long_request("a", ""));
    file_add("in", long_request("b", ""));
    run_begin(&run, NULL, "--name", own_name("wait"), "-n", "0", "-o", "out", "in");
    for (int i = 0; i < 1000 && verb("cancel", own_name("wait"), "a") != 0; i++)
        wait_ms(10);
    run_wait_for_lines("out", 1);
    ck_assert_int_eq(verb("cancel", own_name("wait"), "a"), 1);
    for (int i = 0; i < 1000 && verb("cancel", own_name("wait"), "b") != 0; i++)
        wait_ms(10);
    run_end(&run);
    ck_assert_int_eq(run.status, 1);
    ck_assert_uint_eq(count_lines("out"), 2);
    check_error("a", "cancelled");
    check_error("b", "cancelled");
    run_free(&run);
}
END_TEST

/* ---- deadlines ---- */

START_TEST(a_request_that_waits_past_its_deadline_is_answered_with_an_error)
{
    struct run run;
    file_add("in", long_request("late", ", \"timeout\": 0.2"));
    file_add("in", long_request("later", ", \"timeout\": 0.4, \"n\": 4"));
    ck_assert_int_eq(run_whole(&run, NULL, "-n", "0", "-o", "out", "in"), 1);
    ck_assert_uint_eq(count_lines("out"), 2);
    check_error("late", "deadline_exceeded");
    check_error("later", "deadline_exceeded");
    run_free(&run);
}
END_TEST

START_TEST(a_request_at_work_ends_at_its_deadline_and_others_go_on)
{
    struct run run;
    json_t *answers;
    file_add("in", long_request("late", ", \"timeout\": 0.5"));
    file_add("in", request("good", "one two three", 4));
    file_add("in", long_request("patient", ", \"timeout\": 1000, \"stop\": \"and\""));
    setenv("ECHO_STEP_US", "10000", 1);
    ck_assert_int_eq(run_whole(&run, NULL, "-n", "1", "-o", "out", "in"), 1);
    ck_assert_uint_eq(count_lines("out"), 3);
    check_error("late", "deadline_exceeded");
    answers = answers_read("out");
    ck_assert_str_eq(answer_text(answers, "good"), "one two threeone");
    ck_assert_ptr_nonnull(answer_text(answers, "patient"));
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(a_timeout_that_is_none_is_refused)
{
    struct run run;
    file_add("in", long_request("zero", ", \"timeout\": 0"));
    file_add("in", long_request("less", ", \"timeout\": -1"));
    file_add("in", long_request("text", ", \"timeout\": \"1\""));
    file_add("in", long_request("huge", ", \"timeout\": 1e300"));
    ck_assert_int_eq(run_whole(&run, NULL, "-n", "1", "-o", "out", "in"), 1);
    check_error("zero", "invalid_parameter");
    check_error("less", "invalid_parameter");
    check_error("text", "invalid_parameter");
    check_error("huge", "invalid_parameter");
    run_free(&run);
}
END_TEST

static Suite *orders_suite(void)
{
    Suite *suite = suite_create("orders");
    TCase *workers = tcase_create("workers"), *ends = tcase_create("ends");
    TCase *all[] = {workers, ends};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        tcase_set_timeout(all[i], 60);
        tcase_add_checked_fixture(all[i], fixture_open, fixture_close);
        suite_add_tcase(suite, all[i]);
    }
    tcase_add_test(workers, a_worker_that_is_drained_hands_back_and_leaves);
    tcase_add_test(workers, a_worker_is_drained_by_its_pid_as_well);
    tcase_add_test(workers, draining_the_last_worker_and_scaling_up_loses_no_request);
    tcase_add_test(workers, the_number_of_workers_follows_the_order);
    tcase_add_test(workers, an_order_that_cannot_be_carried_out_is_one_clear_error);
    tcase_add_test(workers, the_only_run_needs_no_name);
    tcase_add_test(workers, another_user_may_not_give_orders);
    tcase_add_test(ends, a_request_that_is_at_work_is_cancelled);
    tcase_add_test(ends, a_request_that_waits_is_cancelled_without_a_worker);
    tcase_add_test(ends, a_request_that_waits_past_its_deadline_is_answered_with_an_error);
    tcase_add_test(ends, a_request_at_work_ends_at_its_deadline_and_others_go_on);
    tcase_add_test(ends, a_timeout_that_is_none_is_refused);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(orders_suite());
    int failed;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
