/*
 * bytes_test.c - the real worker: the same bytes whoever answers, in whatever company
 *
 * One file of mixed requests is answered by the bundled model with different numbers of workers,
 * batch limits and threads, streamed and not, and while workers are killed; after sort all outputs
 * must be one. BYTES_REQUESTS in the environment makes the file longer (the 1,000).
 */
#include "tests/runtime/fixture.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char model[600], worker[600];

static unsigned requests_wanted(void)
{
    const char *value = getenv("BYTES_REQUESTS");
    return value != NULL ? (unsigned)strtoul(value, NULL, 10) : 60;
}

/* Mixed lengths, of prompts and of answers; every third request with something special. */
static void write_mixed(const char *path, unsigned count)
{
    static const char *const openings[] = {
        "Once upon a time", "The old man looked at the sea and",
        "A cat and a dog lived in a small house near the woods. One day the cat said to the dog",
        "Tom"};
    static const char *const extras[] = {
        "",
        ", \"temperature\": 0",
        ", \"logprobs\": 3",
        ", \"stop\": [\".\", \"and\"]",
        ", \"seed\": 12345, \"top_p\": 0.8",
        ", \"n\": 2, \"temperature\": 0.7",
        ", \"echo\": true, \"logprobs\": 1",
        ", \"presence_penalty\": 0.5, \"frequency_penalty\": 0.5",
        ", \"min_p\": 0.1, \"repetition_penalty\": 1.1, \"min_tokens\": 5"};
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    for (unsigned i = 0; i < count; i++)
        fprintf(file,
                "{\"custom_id\": \"r%u\", \"method\": \"POST\", \"url\": \"/v1/completions\", "
                "\"body\": {\"prompt\": \"%s %u\", \"max_tokens\": %u%s}}\n",
                i, openings[i % 4], i, 5 + i * 7 % 40, extras[i % 9]);
    ck_assert_int_eq(fclose(file), 0);
}

static void open_bytes(void)
{
    fixture_open();
    snprintf(model, sizeof(model), "%s/../models/bundled/millrace-stories.gguf",
             getenv("MILLRACE_TEST_DATA"));
    snprintf(worker, sizeof(worker), "%s/millrace-worker-llama", getenv("MILLRACE_BUILD"));
    write_mixed("in", requests_wanted());
}

static char *answer_all(const char *workers, const char *batch, const char *threads,
                        const char *stream)
{
    struct run run;
    int status = run_whole(&run, NULL, "-m", model, "--worker", worker, "-o", "out", "-n", workers,
                           "--max-batch", batch, "--threads", threads, "in", stream);
    ck_assert_msg(status == 0, "status %d with %s workers and batches of %s: %s", status, workers,
                  batch, run.err);
    run_free(&run);
    return file_sorted("out", "\"delta\"");
}

START_TEST(workers_batches_and_threads_change_no_byte)
{
    static const char *const ways[][4] = {{"1", "4", "2", NULL},  {"1", "32", "1", NULL},
                                          {"2", "1", "1", NULL},  {"2", "4", "1", "--stream"},
                                          {"2", "32", "2", NULL}, {"4", "1", "1", NULL},
                                          {"4", "4", "1", NULL},  {"4", "32", "1", "--stream"}};
    char *expected = answer_all("1", "1", "1", NULL);
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        char *sorted = answer_all(ways[i][0], ways[i][1], ways[i][2], ways[i][3]);
        ck_assert_msg(strcmp(sorted, expected) == 0,
                      "%s workers with batches of %s and %s threads give other bytes", ways[i][0],
                      ways[i][1], ways[i][2]);
        free(sorted);
    }
    free(expected);
}
END_TEST

START_TEST(a_worker_killed_in_the_middle_changes_no_byte)
{
    char *expected = answer_all("2", "32", "1", NULL), *sorted;
    struct run run;
    unsigned kills = 0;
    run_begin(&run, NULL, "-m", model, "--worker", worker, "-o", "out2", "-n", "2", "--threads",
              "1", "--max-attempts", "15", "in");
    for (size_t lines = 1; lines < requests_wanted(); lines += requests_wanted() / 5) {
        pid_t victim;
        run_wait_for_lines("out2", lines);
        victim = run_any_process(&run, "mr-worker");
        if (victim > 0 && kill(victim, SIGKILL) == 0)
            kills++;
    }
    run_end(&run);
    ck_assert_int_eq(run.status, 0);
    ck_assert_uint_gt(kills, 0);
    sorted = file_sorted("out2", NULL);
    ck_assert_str_eq(sorted, expected);
    free(sorted);
    free(expected);
    run_free(&run);
}
END_TEST

START_TEST(a_model_cut_while_it_is_served_stops_the_run)
{
    struct run run;
    size_t length;
    char *bytes = file_read(model, &length);
    file_add_bytes("cut.gguf", bytes, length);
    run_begin(&run, NULL, "-m", "cut.gguf", "--worker", worker, "--name", own_name("cut"), "-o",
              "out", "-n", "2", "in");
    run_wait_for_lines("out", 2);
    ck_assert_int_eq(truncate("cut.gguf", (off_t)length / 2), 0);
    run_end(&run);
    ck_assert_int_eq(run.status, 1);
    ck_assert_ptr_nonnull(strstr(run.err, "model file"));
    run_free(&run);
    ck_assert_int_eq(run_whole(&run, NULL, "--discard", own_name("cut")), 0);
    run_free(&run);
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bytes");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;
    tcase_set_timeout(all, 300);
    tcase_add_checked_fixture(all, open_bytes, fixture_close);
    tcase_add_test(all, workers_batches_and_threads_change_no_byte);
    tcase_add_test(all, a_worker_killed_in_the_middle_changes_no_byte);
    tcase_add_test(all, a_model_cut_while_it_is_served_stops_the_run);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
