/*
 * run_test.c - `millrace run` as its users see it: answers, exit status, what is left behind
 */
#include "tests/runtime/fixture.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void said_once(const struct run *run, const char *what)
{
    const char *first = strstr(run->err, what);
    run_said(run, what);
    ck_assert_msg(strstr(first + 1, what) == NULL, "it said '%s' twice: %s", what, run->err);
}

/* ---- answers ---- */

START_TEST(each_request_of_a_file_is_answered)
{
    struct run run;
    json_t *answers;
    file_add("in", request("a", "one two three", 4));
    file_add("in", request("b", "four", 2));
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in"), 0);
    answers = answers_read("out");
    ck_assert_str_eq(answer_text(answers, "a"), "one two threeone");
    ck_assert_str_eq(answer_text(answers, "b"), "fourfour");
    run_said(&run, "2 requests answered, 0 of them with an error; 6 tokens in ");
    ck_assert_str_eq(run.out, "");
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(a_chat_goes_through_the_template)
{
    struct run run;
    json_t *answers;
    file_add("in",
             "{\"custom_id\": \"c\", \"method\": \"POST\", \"url\": \"/v1/chat/completions\", "
             "\"body\": {\"model\": \"x\", \"messages\": [{\"role\": \"system\", \"content\": "
             "\"Be brief.\"}, {\"role\": \"user\", \"content\": [{\"type\": \"text\", "
             "\"text\": \"Say \"}, {\"type\": \"text\", \"text\": \"hello.\"}]}]}}\n");
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in"), 0);
    answers = answers_read("out");
    /* The echo begins with "<|im_start|>", which isn't shown, and ends at "<|im_end|>". */
    ck_assert_str_eq(answer_text(answers, "c"), "system\nBe brief.");
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(standard_input_and_output_are_the_defaults)
{
    struct run run;
    json_t *answers;
    file_add("in", request("a", "one two three", 3));
    ck_assert_int_eq(run_whole(&run, "in", NULL), 0);
    answers = answers_read("stdout");
    ck_assert_str_eq(answer_text(answers, "a"), "one two three");
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(requests_come_through_a_pipe_and_answers_leave_by_one)
{
    const char *const arguments[] = {"-", NULL};
    struct run run;
    int in[2], out[2];
    char answer[4096] = "";
    size_t length = 0;
    ssize_t got;
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    run_begin_fds(&run, in[0], out[1], arguments);
    close(in[0]);
    close(out[1]);
    dprintf(in[1], "%s", request("a", "one two three", 3));
    /* The answer comes while more may follow. */
    while (strchr(answer, '\n') == NULL &&
           (got = read(out[0], answer + length, sizeof(answer) - 1 - length)) > 0)
        length += (size_t)got;
    ck_assert_ptr_nonnull(strstr(answer, "one two three"));
    close(in[1]);
    run_end(&run);
    ck_assert_int_eq(run.status, 0);
    close(out[0]);
    run_free(&run);
}
END_TEST

START_TEST(requests_typed_at_a_terminal_are_answered)
{
    const char *const arguments[] = {"-o", "out", NULL};
    const char end_of_input = 4; /* Ctrl-D */
    struct run run;
    json_t *answers;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), in;
    ck_assert_int_ge(terminal, 0);
    ck_assert_int_eq(grantpt(terminal) | unlockpt(terminal), 0);
    in = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(in, 0);
    run_begin_fds(&run, in, in, arguments);
    dprintf(terminal, "%s", request("a", "one two three", 3));
    run_wait_for_lines("out", 1);
    ck_assert_int_eq(write(terminal, &end_of_input, 1), 1);
    run_end(&run);
    ck_assert_int_eq(run.status, 0);
    answers = answers_read("out");
    ck_assert_str_eq(answer_text(answers, "a"), "one two three");
    json_decref(answers);
    run_free(&run);
    close(terminal);
    close(in);
}
END_TEST

START_TEST(line_ends_and_a_byte_order_mark_make_no_difference)
{
    struct run run;
    json_t *answers;
    const char *first = request("a", "one", 1);
    file_add("in", "\xEF\xBB\xBF");
    file_add_bytes("in", first, strlen(first) - 1);
    file_add("in", "\r\n\n  \t\r\n");
    first = request("b", "two", 1);
    file_add_bytes("in", first, strlen(first) - 1); /* the last line has no newline */
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in"), 0);
    answers = answers_read("out");
    ck_assert_uint_eq(json_object_size(answers), 2);
    ck_assert_str_eq(answer_text(answers, "a"), "one");
    ck_assert_str_eq(answer_text(answers, "b"), "two");
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(two_runs_give_the_same_bytes_after_sort)
{
    static const char *const ways[][5] = {{"-n", "1", "--max-batch", "1", NULL},
                                          {"-n", "2", "--max-batch", "4", NULL},
                                          {"-n", "4", "--max-batch", "32", "--stream"},
                                          {"-n", "2", "--slots", "3", "--no-io-uring"}};
    char *expected = NULL;
    write_requests("in", 100, 12);
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct run run;
        char *sorted;
        ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in", ways[i][0], ways[i][1],
                                   ways[i][2], ways[i][3], ways[i][4]),
                         0);
        sorted = file_sorted("out", "\"delta\"");
        if (expected != NULL)
            ck_assert_str_eq(sorted, expected);
        free(expected);
        expected = sorted;
        run_free(&run);
    }
    free(expected);
}
END_TEST

START_TEST(the_worst_case_of_memory_is_told_and_may_be_set)
{
    struct run run;
    file_add("in", request("a", "one", 1));
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "--slots", "5", "--max-len", "100",
                               "--memory", "8M", "in"),
                     0);
    run_said(&run,
             "5 slots for requests of at most 100 tokens; 8.0 MiB of shared memory are reserved");
    run_free(&run);
}
END_TEST

START_TEST(every_process_has_its_name)
{
    static const char *const names[] = {"mr-collector", "mr-worker-0", "mr-worker-1"};
    struct run run;
    write_requests("in", 200, 20);
    setenv("ECHO_STEP_US", "5000", 1);
    run_begin(&run, NULL, "-o", "out", "-n", "2", "in");
    run_wait_for_lines("out", 1);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_msg(run_process(&run, names[i]) > 0, "no process is called '%s'", names[i]);
    run_end(&run);
    ck_assert_int_eq(run.status, 0);
    run_free(&run);
}
END_TEST

START_TEST(a_worker_that_attaches_by_itself_answers)
{
    struct run run;
    json_t *answers;
    pid_t stranger;
    int status;
    file_add("in", request("a", "one two three", 3));
    run_begin(&run, NULL, "-n", "0", "--name", own_name("strange"), "-o", "out", "in");
    while (access(own_file("strange", "sock"), F_OK) < 0)
        wait_ms(5);
    stranger = stranger_begin(own_name("strange"));
    run_end(&run);
    ck_assert_int_eq(run.status, 0);
    ck_assert_int_eq(waitpid(stranger, &status, 0), stranger);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    answers = answers_read("out");
    ck_assert_str_eq(answer_text(answers, "a"), "one two three");
    json_decref(answers);
    run_free(&run);
}
END_TEST

/* ---- usage ---- */

START_TEST(help_and_version_are_everywhere)
{
    static const char *const lines[] = {"--help",  "--version",  "help",
                                        "version", "run --help", "run --version"};
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char command[600];
        char *text;
        snprintf(command, sizeof(command), "%s %s >said", path_of_millrace(), lines[i]);
        ck_assert_int_eq(system(command), 0);
        text = file_read("said", NULL);
        ck_assert_ptr_nonnull(strstr(text, "millrace"));
        free(text);
    }
}
END_TEST

START_TEST(wrong_usage_is_told_and_ends_with_2)
{
    static const struct {
        const char *option, *value, *says;
    } wrong[] = {{"--slots", "0", "option '--slots' is '0'"},
                 {"--slots", "many", "option '--slots' is 'many'"},
                 {"--workers", "-1", "option '--workers' is '-1'"},
                 {"--memory", "5X", "option '--memory' is '5X'"},
                 {"--memory", "1K", "option '--memory' gives 1024 bytes"},
                 {"--max-len", "1", "option '--max-len' is '1'"},
                 {"--log-level", "loud", "option '--log-level' is 'loud'"},
                 {"--name", "a/b", "domain name 'a/b'"},
                 {"--resume", "x", "has its model, files and name already"},
                 {"--worker", "./nobody", "cannot find the worker './nobody'"},
                 {"--nonsense", "1", "nonsense"},
                 {"another", "file", "one file of requests too many"}};
    file_add("in", request("a", "one", 1));
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct run run;
        ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in", wrong[i].option, wrong[i].value),
                         2);
        run_said(&run, wrong[i].says);
        run_free(&run);
    }
}
END_TEST

START_TEST(a_model_that_is_none_is_told_and_ends_with_2)
{
    struct run run;
    char *model;
    size_t length;
    file_add("in", request("a", "one", 1));
    ck_assert_int_eq(run_whole(&run, NULL, "-m", "missing.gguf", "-o", "out", "in"), 2);
    said_once(&run, "missing.gguf");
    run_free(&run);
    model = file_read(path_of_model(), &length);
    file_add_bytes("cut.gguf", model, length / 2);
    ck_assert_int_eq(run_whole(&run, NULL, "-m", "cut.gguf", "-o", "out", "in"), 2);
    said_once(&run, "cut.gguf");
    run_free(&run);
    file_add("text.gguf", "this is no model at all, just some words");
    ck_assert_int_eq(run_whole(&run, NULL, "-m", "text.gguf", "-o", "out", "in"), 2);
    said_once(&run, "text.gguf");
    run_free(&run);
    free(model);
}
END_TEST

START_TEST(an_input_without_requests_is_told_and_ends_with_2)
{
    struct run run;
    file_add("empty", "");
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "empty"), 2);
    said_once(&run, "the requests 'empty' are an empty file");
    run_free(&run);
    ck_assert_int_eq(run_whole(&run, "empty", "-o", "out"), 2);
    said_once(&run, "the requests 'standard input' are an empty file");
    run_free(&run);
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out"), 2);
    said_once(&run, "the input held no request");
    run_free(&run);
    file_add("blank", "\n\n \n");
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "blank"), 2);
    said_once(&run, "the input held no request");
    run_free(&run);
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "missing"), 2);
    said_once(&run, "cannot open the requests 'missing'");
    run_free(&run);
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "/"), 2);
    said_once(&run, "a directory");
    run_free(&run);
}
END_TEST

START_TEST(the_file_of_the_requests_is_not_overwritten)
{
    struct run run;
    file_add("in", request("a", "one", 1));
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "in", "in"), 2);
    said_once(&run, "the output is the file of the requests");
    ck_assert_uint_eq(count_lines("in"), 1);
    run_free(&run);
}
END_TEST

START_TEST(a_name_or_output_in_use_is_refused)
{
    struct run first, second;
    char said[80];
    write_requests("in", 200, 20);
    setenv("ECHO_STEP_US", "10000", 1);
    run_begin(&first, NULL, "--name", own_name("taken"), "-o", "out", "in");
    run_wait_for_lines("out", 1);
    ck_assert_int_eq(run_whole(&second, NULL, "--name", own_name("taken"), "-o", "other", "in"), 2);
    snprintf(said, sizeof(said), "domain '%s' is running", own_name("taken"));
    said_once(&second, said);
    run_free(&second);
    ck_assert_int_eq(run_whole(&second, NULL, "-o", "out", "in"), 2);
    said_once(&second, "the output 'out' is being written by another run");
    run_free(&second);
    run_signal(&first, SIGTERM);
    run_end(&first);
    ck_assert_int_eq(first.status, 130);
    run_free(&first);
}
END_TEST

/* ---- workers that fail ---- */

START_TEST(a_worker_that_cannot_start_ends_the_run_with_2)
{
    struct run run;
    file_add("in", request("a", "one", 1));
    setenv("ECHO_EXIT", "2", 1);
    ck_assert_int_eq(
        run_whole(&run, NULL, "--name", own_name("hopeless"), "-n", "2", "-o", "out", "in"), 2);
    said_once(&run, "no worker is left");
    ck_assert_int_lt(access(own_file("hopeless", "data"), F_OK), 0);
    run_free(&run);
}
END_TEST

START_TEST(a_worker_that_dies_at_once_is_given_up_after_some_tries)
{
    struct run run;
    file_add("in", request("a", "one", 1));
    setenv("ECHO_EXIT", "1", 1);
    ck_assert_int_eq(run_whole(&run, NULL, "-n", "1", "-o", "out", "in"), 2);
    said_once(&run, "it is given up");
    run_free(&run);
}
END_TEST

START_TEST(a_model_that_changed_stops_the_run)
{
    struct run run;
    file_add("in", request("a", "one", 1));
    setenv("ECHO_EXIT", "3", 1);
    ck_assert_int_eq(run_whole(&run, NULL, "-n", "2", "-o", "out", "in"), 1);
    ck_assert_uint_eq(count_lines("out"), 0);
    run_free(&run);
}
END_TEST

START_TEST(a_request_that_kills_its_workers_fails_alone)
{
    struct run run;
    json_t *answers;
    write_requests("in", 20, 10);
    file_add("in",
             "{\"custom_id\": \"deadly\", \"method\": \"POST\", \"url\": \"/v1/completions\", "
             "\"body\": {\"prompt\": \"die\", \"seed\": 666}}\n");
    setenv("ECHO_DIE_SEED", "666", 1);
    ck_assert_int_eq(run_whole(&run, NULL, "-n", "2", "-o", "out", "in"), 1);
    answers = answers_read("out");
    ck_assert_uint_eq(count_lines("out"), 21);
    ck_assert_str_eq(answer_error(answers, "deadly"), "worker_failed");
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof(id), "r%d", i);
        ck_assert_ptr_nonnull(answer_text(answers, id));
    }
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(a_worker_that_is_stuck_is_killed_and_its_requests_go_on)
{
    struct run run;
    pid_t stuck;
    write_requests("in", 100, 20);
    setenv("ECHO_STEP_US", "2000", 1);
    run_begin(&run, NULL, "-n", "2", "--stuck-after", "1", "-o", "out", "in");
    run_wait_for_lines("out", 1);
    stuck = run_process(&run, "mr-worker-0");
    ck_assert_int_gt(stuck, 0);
    ck_assert_int_eq(kill(stuck, SIGSTOP), 0);
    run_end(&run);
    ck_assert_int_eq(run.status, 0);
    ck_assert_uint_eq(count_lines("out"), 100);
    said_once(&run, "mr-worker-0 is stuck");
    run_free(&run);
}
END_TEST

/* ---- signals ---- */

START_TEST(one_signal_finishes_what_was_accepted)
{
    struct run run;
    size_t lines;
    write_requests("in", 300, 20);
    setenv("ECHO_STEP_US", "2000", 1);
    run_begin(&run, NULL, "-o", "out", "--slots", "16", "in");
    run_wait_for_lines("out", 1);
    run_signal(&run, SIGINT);
    run_end(&run);
    lines = count_lines("out");
    ck_assert_int_eq(run.status, 130);
    ck_assert_uint_ge(lines, 16);
    ck_assert_uint_lt(lines, 300);
    said_once(&run, "interrupted");
    run_free(&run);
}
END_TEST

static void stop_at_once(struct run *run, const char *name)
{
    run_begin(run, NULL, "--name", name, "-o", "out", "in");
    run_wait_for_lines("out", 1);
    run_signal(run, SIGINT);
    wait_ms(100);
    run_signal(run, SIGINT);
    run_end(run);
    ck_assert_int_eq(run->status, 130);
    said_once(run, "--resume");
    run_free(run);
}

START_TEST(two_signals_stop_a_named_run_which_is_then_resumed)
{
    struct run run;
    char remedy[160];
    char *expected, *sorted;
    write_requests("in", 300, 20);
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "whole", "in"), 0);
    run_free(&run);
    setenv("ECHO_STEP_US", "2000", 1);
    stop_at_once(&run, own_name("halted"));
    ck_assert_uint_lt(count_lines("out"), 300);
    ck_assert_int_eq(run_whole(&run, NULL, "--name", own_name("halted"), "-o", "out", "in"), 2);
    snprintf(remedy, sizeof(remedy), "finish them with --resume %s or drop them with --discard %s",
             own_name("halted"), own_name("halted"));
    said_once(&run, remedy);
    run_free(&run);
    ck_assert_int_eq(run_whole(&run, NULL, "--resume", own_name("halted")), 0);
    run_free(&run);
    expected = file_sorted("whole", NULL);
    sorted = file_sorted("out", NULL);
    ck_assert_str_eq(sorted, expected);
    ck_assert_int_lt(access(own_file("halted", "data"), F_OK), 0);
    free(expected);
    free(sorted);
}
END_TEST

START_TEST(a_stopped_stream_goes_on_in_the_resumed_one)
{
    struct run run;
    char *expected, *sorted;
    write_requests("in", 300, 20);
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "whole", "in"), 0);
    run_free(&run);
    setenv("ECHO_STEP_US", "2000", 1);
    run_begin(&run, NULL, "--name", own_name("flow"), "in");
    run_wait_for_lines("stdout", 1);
    run_signal(&run, SIGTERM);
    wait_ms(20);
    run_signal(&run, SIGTERM);
    run_end(&run);
    ck_assert_int_eq(run.status, 130);
    file_add("both", run.out);
    run_free(&run);
    ck_assert_uint_lt(count_lines("both"), 300);
    ck_assert_int_eq(run_whole(&run, NULL, "--resume", own_name("flow")), 0);
    file_add("both", run.out);
    run_free(&run);
    expected = file_sorted("whole", NULL);
    sorted = file_sorted("both", NULL);
    /* If the first signal ended the reading before the second came, there is less. */
    if (count_lines("both") == 300)
        ck_assert_str_eq(sorted, expected);
    ck_assert_uint_ge(count_lines("both"), 64);
    free(expected);
    free(sorted);
}
END_TEST

START_TEST(a_stopped_run_can_be_discarded)
{
    struct run run;
    write_requests("in", 300, 20);
    setenv("ECHO_STEP_US", "2000", 1);
    stop_at_once(&run, own_name("dropped"));
    ck_assert_int_eq(run_whole(&run, NULL, "--discard", own_name("dropped")), 0);
    run_free(&run);
    ck_assert_int_lt(access(own_file("dropped", "data"), F_OK), 0);
    ck_assert_int_eq(run_whole(&run, NULL, "--discard", own_name("dropped")), 2);
    run_free(&run);
    ck_assert_int_eq(run_whole(&run, NULL, "--resume", own_name("dropped")), 2);
    run_free(&run);
}
END_TEST

START_TEST(a_reader_that_goes_away_is_told_and_ends_the_run)
{
    const char *const arguments[] = {"in", NULL};
    struct run run;
    int out[2];
    char byte;
    write_requests("in", 500, 20);
    setenv("ECHO_STEP_US", "500", 1);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    run_begin_fds(&run, open("/dev/null", O_RDONLY | O_CLOEXEC), out[1], arguments);
    close(out[1]);
    ck_assert_int_eq(read(out[0], &byte, 1), 1);
    close(out[0]);
    run_end(&run);
    ck_assert_int_eq(run.status, 1);
    said_once(&run, "the output was closed by its reader");
    run_free(&run);
}
END_TEST

static Suite *run_suite(void)
{
    Suite *suite = suite_create("run");
    TCase *answers = tcase_create("answers"), *usage = tcase_create("usage");
    TCase *failures = tcase_create("failures"), *signals = tcase_create("signals");
    TCase *all[] = {answers, usage, failures, signals};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        tcase_set_timeout(all[i], 60);
        tcase_add_checked_fixture(all[i], fixture_open, fixture_close);
        suite_add_tcase(suite, all[i]);
    }
    tcase_add_test(answers, each_request_of_a_file_is_answered);
    tcase_add_test(answers, a_chat_goes_through_the_template);
    tcase_add_test(answers, standard_input_and_output_are_the_defaults);
    tcase_add_test(answers, requests_come_through_a_pipe_and_answers_leave_by_one);
    tcase_add_test(answers, requests_typed_at_a_terminal_are_answered);
    tcase_add_test(answers, line_ends_and_a_byte_order_mark_make_no_difference);
    tcase_add_test(answers, two_runs_give_the_same_bytes_after_sort);
    tcase_add_test(answers, the_worst_case_of_memory_is_told_and_may_be_set);
    tcase_add_test(answers, every_process_has_its_name);
    tcase_add_test(answers, a_worker_that_attaches_by_itself_answers);
    tcase_add_test(usage, help_and_version_are_everywhere);
    tcase_add_test(usage, wrong_usage_is_told_and_ends_with_2);
    tcase_add_test(usage, a_model_that_is_none_is_told_and_ends_with_2);
    tcase_add_test(usage, an_input_without_requests_is_told_and_ends_with_2);
    tcase_add_test(usage, the_file_of_the_requests_is_not_overwritten);
    tcase_add_test(usage, a_name_or_output_in_use_is_refused);
    tcase_add_test(failures, a_worker_that_cannot_start_ends_the_run_with_2);
    tcase_add_test(failures, a_worker_that_dies_at_once_is_given_up_after_some_tries);
    tcase_add_test(failures, a_model_that_changed_stops_the_run);
    tcase_add_test(failures, a_request_that_kills_its_workers_fails_alone);
    tcase_add_test(failures, a_worker_that_is_stuck_is_killed_and_its_requests_go_on);
    tcase_add_test(signals, one_signal_finishes_what_was_accepted);
    tcase_add_test(signals, two_signals_stop_a_named_run_which_is_then_resumed);
    tcase_add_test(signals, a_stopped_stream_goes_on_in_the_resumed_one);
    tcase_add_test(signals, a_stopped_run_can_be_discarded);
    tcase_add_test(signals, a_reader_that_goes_away_is_told_and_ends_the_run);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(run_suite());
    int failed;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
