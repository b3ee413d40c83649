/*
 * step_kill_test.c - what a request carries through a death, killed at every step in turn
 *
 * Each request has something that a restart would lose: minimum tokens, a stop string that two
 * tokens make, log-probabilities with echo, penalties over what was generated, a seed, choices,
 * streamed pieces. One worker of the real kind answers them; it dies before or behind its first,
 * second, third ... commit, and the output must be that of the undisturbed run. STEP_STRIDE=1 tries
 * all steps, and not a sample.
 */
#include "tests/runtime/fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char requests[] =
    "{\"custom_id\":\"least\",\"url\":\"/v1/completions\",\"body\":{\"prompt\":\"Tom and Sam\","
    "\"max_tokens\":14,\"min_tokens\":12,\"stop\":[\"the\",\".\"],\"temperature\":0}}\n"
    "{\"custom_id\":\"stop\",\"url\":\"/v1/completions\",\"body\":{\"prompt\":\"Once upon a time\","
    "\"max_tokens\":40,\"temperature\":0,\"stop\":[\". T\",\"y w\",\", and\"]}}\n"
    "{\"custom_id\":\"logprobs\",\"url\":\"/v1/completions\",\"body\":{\"prompt\":\"The old man\","
    "\"max_tokens\":8,\"ignore_eos\":true,\"logprobs\":4,\"echo\":true,\"seed\":5}}\n"
    "{\"custom_id\":\"penalties\",\"url\":\"/v1/completions\",\"body\":{\"prompt\":\"A cat\","
    "\"max_tokens\":14,\"presence_penalty\":1.5,\"frequency_penalty\":1.2,"
    "\"repetition_penalty\":1.4,\"seed\":6}}\n"
    "{\"custom_id\":\"choices\",\"url\":\"/v1/chat/completions\",\"body\":{\"messages\":[{\"role\":"
    "\"user\",\"content\":\"Tell me a story\"}],\"max_tokens\":9,\"n\":3,\"seed\":7,\"logprobs\":"
    "true,\"top_logprobs\":2}}\n"
    "{\"custom_id\":\"bias\",\"url\":\"/v1/completions\",\"body\":{\"prompt\":\"The dog\","
    "\"max_tokens\":7,\"logit_bias\":{\"40\":3,\"41\":-5},\"top_k\":9,\"top_p\":0.8,"
    "\"seed\":8}}\n";

static char model[600], worker[600];

static void setup(void)
{
    fixture_open();
    snprintf(model, sizeof(model), "%s/../models/bundled/millrace-stories.gguf",
             getenv("MILLRACE_TEST_DATA"));
    snprintf(worker, sizeof(worker), "%s/tests/runtime/dying_worker", getenv("MILLRACE_BUILD"));
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    setenv("LC_ALL", "C", 1);
    setenv("DIE_COUNT", "commits", 1);
    file_add("in", requests);
}

static size_t commits(void)
{
    struct stat status = {0};
    return stat("commits", &status) == 0 ? (size_t)status.st_size : 0;
}

/* The pieces of each choice joined, by custom_id and choice. Each must begin where those before it
 * end. */
static char *joined_pieces(void)
{
    size_t length = 0;
    char *all = file_read("out", &length), *line = all, *rest = NULL;
    json_t *texts = json_object();
    char *result;
    for (line = strtok_r(all, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        json_t *piece = json_loads(line, 0, NULL), *before;
        const char *delta = json_string_value(json_object_get(piece, "delta"));
        char key[64], *text = NULL;
        if (delta != NULL) {
            snprintf(key, sizeof(key), "%s/%d",
                     json_string_value(json_object_get(piece, "custom_id")),
                     (int)json_integer_value(json_object_get(piece, "choice")));
            before = json_object_get(texts, key);
            ck_assert_int_eq(json_integer_value(json_object_get(piece, "offset")),
                             (json_int_t)json_string_length(before));
            ck_assert_int_ge(
                asprintf(&text, "%s%s", before ? json_string_value(before) : "", delta), 0);
            json_object_set_new(texts, key, json_string(text));
            free(text);
        }
        json_decref(piece);
    }
    result = json_dumps(texts, JSON_SORT_KEYS);
    json_decref(texts);
    free(all);
    return result;
}

/* One run; at 0 nobody dies. The final records, sorted, and the joined pieces. */
static void answer(unsigned at, bool after, char **finals, char **pieces)
{
    char number[16];
    struct run run;
    snprintf(number, sizeof(number), "%u", at);
    setenv("DIE_AT", number, 1);
    after ? setenv("DIE_AFTER", "1", 1) : unsetenv("DIE_AFTER");
    unlink("out");
    unlink("commits");
    ck_assert_msg(run_whole(&run, NULL, "-m", model, "--worker", worker, "-n", "1", "--threads",
                            "1", "--max-batch", "4", "--stream", "-o", "out", "in") == 0,
                  "killed at commit %u: status %d: %s", at, run.status, run.err);
    run_free(&run);
    *finals = file_sorted("out", "\"delta\"");
    *pieces = joined_pieces();
}

START_TEST(a_death_at_any_step_changes_nothing_that_a_request_carries)
{
    const char *given = getenv("STEP_STRIDE");
    unsigned deaths = 0, stride = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 13,
             tried = 0;
    char *right, *right_pieces, *got, *got_pieces;
    size_t steps;
    answer(0, false, &right, &right_pieces);
    steps = commits();
    ck_assert_uint_gt(steps, 60);
    for (unsigned at = 2; at <= 2 * steps + 1; at += stride, tried++) { /* twice a commit */
        answer(at / 2, at % 2, &got, &got_pieces);
        deaths += commits() >= at / 2; /* how far a worker runs on behind a stop string varies */
        ck_assert_msg(strcmp(got, right) == 0, "killed at commit %u:\n%s\nwithout:\n%s", at / 2,
                      got, right);
        ck_assert_str_eq(got_pieces, right_pieces);
        free(got);
        free(got_pieces);
    }
    fprintf(stderr, "%u deaths in %u runs of some %zu steps\n", deaths, tried, steps);
    ck_assert_uint_gt(deaths * 2, tried);
    free(right);
    free(right_pieces);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("step kill");
    TCase *steps = tcase_create("steps");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_checked_fixture(steps, setup, fixture_close);
    tcase_set_timeout(steps, 300);
    tcase_add_test(steps, a_death_at_any_step_changes_nothing_that_a_request_carries);
    suite_add_tcase(suite, steps);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
