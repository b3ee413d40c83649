/*
 * bad_input_test.c - whatever a record is, it gets one clear error and the others go on
 */
#include "tests/runtime/fixture.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- bad records, each between two good ones ---- */

#define CHAT(id, body)                                                                             \
    "{\"custom_id\": \"" id "\", \"method\": \"POST\", \"url\": \"/v1/chat/completions\", "        \
    "\"body\": {" body "}}"
#define COMPLETION(id, body)                                                                       \
    "{\"custom_id\": \"" id "\", \"method\": \"POST\", \"url\": \"/v1/completions\", "             \
    "\"body\": {" body "}}"
#define HELLO "\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]"

static const struct {
    const char *line, *code, *param;
} bad[] = {
    {"{\"custom_id\": ", "invalid_json", NULL},
    {"[1, 2]", "invalid_record", NULL},
    {"{} {}", "invalid_json", NULL},
    {"{\"custom_id\": \"x\", \"custom_id\": \"y\"}", "invalid_json", NULL},
    {"{\"custom_id\": \"\xC3\x28\"}", "invalid_json", NULL},
    {"{\"custom_id\": \"\\ud800\"}", "invalid_json", NULL},
    {"{\"url\": \"/v1/completions\", \"body\": {\"prompt\": \"x\"}}", "invalid_record",
     "custom_id"},
    {"{\"custom_id\": 7, \"url\": \"/v1/completions\", \"body\": {}}", "invalid_record",
     "custom_id"},
    {"{\"custom_id\": \"\", \"url\": \"/v1/completions\", \"body\": {}}", "invalid_record",
     "custom_id"},
    {COMPLETION("good", "\"prompt\": \"again\""), "duplicate_custom_id", "custom_id"},
    {"{\"custom_id\": \"u\", \"url\": \"/v1/embeddings\", \"body\": {}}", "unknown_url", "url"},
    {"{\"custom_id\": \"v\", \"body\": {}}", "invalid_record", "url"},
    {"{\"custom_id\": \"w\", \"url\": \"/v1/completions\"}", "invalid_record", "body"},
    {"{\"custom_id\": \"w2\", \"url\": \"/v1/completions\", \"body\": []}", "invalid_record",
     "body"},
    {"{\"custom_id\": \"w3\", \"url\": \"/v1/completions\", \"method\": \"GET\", \"body\": {}}",
     "invalid_record", "method"},
    {CHAT("m1", "\"model\": \"x\""), "invalid_parameter", "body.messages"},
    {CHAT("m2", "\"messages\": []"), "invalid_parameter", "body.messages"},
    {CHAT("m3", "\"messages\": [\"hello\"]"), "invalid_parameter", "body.messages[0]"},
    {CHAT("m4", "\"messages\": [{\"content\": \"x\"}]"), "invalid_parameter",
     "body.messages[0].role"},
    {CHAT("m5", "\"messages\": [{\"role\": \"robot\", \"content\": \"x\"}]"), "invalid_parameter",
     "body.messages[0].role"},
    {CHAT("m6", "\"messages\": [{\"role\": \"user\", \"content\": 5}]"), "invalid_parameter",
     "body.messages[0].content"},
    {CHAT("m7", "\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]"),
     "unsupported_parameter", "body.messages[0].content"},
    {CHAT("t1", HELLO ", \"tools\": [{\"type\": \"function\"}]"), "unsupported_parameter",
     "body.tools"},
    {CHAT("t2", HELLO ", \"response_format\": {\"type\": \"json_object\"}"),
     "unsupported_parameter", "body.response_format"},
    {CHAT("t3", HELLO ", \"temprature\": 1"), "unknown_parameter", "body.temprature"},
    {CHAT("t4", HELLO ", \"echo\": true"), "unknown_parameter", "body.echo"},
    {COMPLETION("p1", "\"max_tokens\": 5"), "invalid_parameter", "body.prompt"},
    {COMPLETION("p2", "\"prompt\": []"), "invalid_parameter", "body.prompt"},
    {COMPLETION("p3", "\"prompt\": {\"a\": 1}"), "invalid_parameter", "body.prompt"},
    {COMPLETION("p4", "\"prompt\": [1, 99999999]"), "invalid_parameter", "body.prompt"},
    {COMPLETION("p5", "\"prompt\": [\"a\", \"b\"]"), "unsupported_parameter", "body.prompt"},
    {COMPLETION("n1", "\"prompt\": \"x\", \"max_tokens\": 0"), "invalid_parameter",
     "body.max_tokens"},
    {COMPLETION("n2", "\"prompt\": \"x\", \"max_tokens\": -3"), "invalid_parameter",
     "body.max_tokens"},
    {COMPLETION("n3", "\"prompt\": \"x\", \"max_tokens\": \"5\""), "invalid_parameter",
     "body.max_tokens"},
    {COMPLETION("n4", "\"prompt\": \"x\", \"max_tokens\": 5.5"), "invalid_parameter",
     "body.max_tokens"},
    {COMPLETION("n5", "\"prompt\": \"x\", \"max_tokens\": 99999999999999999999"), "invalid_json",
     NULL},
    {COMPLETION("n6", "\"prompt\": \"x\", \"min_tokens\": 9, \"max_tokens\": 3"),
     "invalid_parameter", "body.min_tokens"},
    {COMPLETION("n7", "\"prompt\": \"x\", \"n\": 9"), "request_too_large", "body.n"},
    {COMPLETION("n8", "\"prompt\": \"x\", \"n\": 0"), "invalid_parameter", "body.n"},
    {COMPLETION("n9", "\"prompt\": \"x\", \"best_of\": 3"), "unsupported_parameter",
     "body.best_of"},
    {COMPLETION("s1", "\"prompt\": \"x\", \"temperature\": -1"), "invalid_parameter",
     "body.temperature"},
    {COMPLETION("s2", "\"prompt\": \"x\", \"temperature\": \"hot\""), "invalid_parameter",
     "body.temperature"},
    {COMPLETION("s3", "\"prompt\": \"x\", \"top_p\": 0"), "invalid_parameter", "body.top_p"},
    {COMPLETION("s4", "\"prompt\": \"x\", \"top_p\": 1.5"), "invalid_parameter", "body.top_p"},
    {COMPLETION("s5", "\"prompt\": \"x\", \"top_k\": -2"), "invalid_parameter", "body.top_k"},
    {COMPLETION("s6", "\"prompt\": \"x\", \"min_p\": 2"), "invalid_parameter", "body.min_p"},
    {COMPLETION("s7", "\"prompt\": \"x\", \"presence_penalty\": 3"), "invalid_parameter",
     "body.presence_penalty"},
    {COMPLETION("s8", "\"prompt\": \"x\", \"frequency_penalty\": -3"), "invalid_parameter",
     "body.frequency_penalty"},
    {COMPLETION("s9", "\"prompt\": \"x\", \"repetition_penalty\": 0"), "invalid_parameter",
     "body.repetition_penalty"},
    {COMPLETION("e1", "\"prompt\": \"x\", \"seed\": \"dice\""), "invalid_parameter", "body.seed"},
    {COMPLETION("e2", "\"prompt\": \"x\", \"stop\": \"\""), "invalid_parameter", "body.stop"},
    {COMPLETION("e3", "\"prompt\": \"x\", \"stop\": [\"a\", 1]"), "invalid_parameter", "body.stop"},
    {COMPLETION("e4", "\"prompt\": \"x\", \"stop_token_ids\": [-1]"), "invalid_parameter",
     "body.stop_token_ids"},
    {COMPLETION("e5", "\"prompt\": \"x\", \"logit_bias\": {\"01\": 1}"), "invalid_parameter",
     "body.logit_bias"},
    {COMPLETION("e6", "\"prompt\": \"x\", \"logit_bias\": {\"1\": 101}"), "invalid_parameter",
     "body.logit_bias"},
    {COMPLETION("e7", "\"prompt\": \"x\", \"logprobs\": 21"), "invalid_parameter", "body.logprobs"},
    {COMPLETION("e8", "\"prompt\": \"x\", \"logprobs\": true"), "invalid_parameter",
     "body.logprobs"},
    {CHAT("e9", HELLO ", \"top_logprobs\": 3"), "invalid_parameter", "body.top_logprobs"},
    {CHAT("e10", HELLO ", \"model\": 5"), "invalid_parameter", "body.model"},
};

enum { BAD = sizeof(bad) / sizeof(bad[0]) };

static json_t *answer_of_line(json_t *answers, unsigned line)
{
    char key[32];
    json_t *answer;
    snprintf(key, sizeof(key), "line %u", line);
    answer = json_object_get(answers, key);
    ck_assert_msg(answer != NULL, "line %u has no answer: %s", line, bad[line / 2 - 1].line);
    return json_object_get(answer, "error");
}

/* Line 2i of the file is bad[i - 1], the others are good. */
START_TEST(a_bad_record_gets_its_error_and_the_others_go_on)
{
    struct run run;
    json_t *answers;
    file_add("in", request("good", "one two", 2));
    for (unsigned i = 0; i < BAD; i++) {
        char id[16];
        snprintf(id, sizeof(id), "good %u", i);
        file_add("in", bad[i].line);
        file_add("in", "\n");
        file_add("in", request(id, "one two", 2));
    }
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "--slots", "8", "in"), 1);
    ck_assert_uint_eq(count_lines("out"), 2 * BAD + 1);
    answers = answers_read("out");
    ck_assert_str_eq(answer_text(answers, "good"), "one two");
    for (unsigned i = 0; i < BAD; i++) {
        json_t *error = answer_of_line(answers, 2 * i + 2);
        const char *code = json_string_value(json_object_get(error, "code"));
        const char *param = json_string_value(json_object_get(error, "param"));
        char id[16];
        snprintf(id, sizeof(id), "good %u", i);
        ck_assert_str_eq(answer_text(answers, id), "one two");
        ck_assert_msg(strcmp(code, bad[i].code) == 0, "%s: code '%s'", bad[i].line, code);
        ck_assert_msg(bad[i].param == NULL || (param != NULL && strcmp(param, bad[i].param) == 0),
                      "%s: param '%s'", bad[i].line, param != NULL ? param : "");
        ck_assert_uint_gt(json_string_length(json_object_get(error, "message")), 10);
    }
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(nul_bytes_are_refused_as_bytes_and_taken_as_characters)
{
    struct run run;
    json_t *answers;
    file_add_bytes("in", "{\"custom_id\": \"a\0b\"}\n\0\0\0\n", 25);
    file_add("in", request("nul", "x\\u0000y", 2));
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in"), 1);
    answers = answers_read("out");
    ck_assert_str_eq(answer_error(answers, "line 1"), "invalid_json");
    ck_assert_str_eq(answer_error(answers, "line 2"), "invalid_json");
    ck_assert_ptr_null(answer_error(answers, "nul"));
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(a_prompt_longer_than_the_context_is_refused)
{
    struct run run;
    json_t *answers;
    FILE *file = fopen("in", "we");
    fputs("{\"custom_id\": \"long\", \"url\": \"/v1/completions\", \"body\": {\"prompt\": \"",
          file);
    for (int i = 0; i < 200; i++)
        fputs("one two three four five ", file);
    fputs("\"}}\n", file);
    fclose(file);
    file_add("in", request("cut", "one two three", 5000)); /* ends with the context */
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "--max-len", "64", "in"), 1);
    answers = answers_read("out");
    ck_assert_str_eq(answer_error(answers, "long"), "context_length_exceeded");
    ck_assert_ptr_null(answer_error(answers, "cut"));
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
    struct run run;
    json_t *answers;
    FILE *file = fopen("in", "we");
    fputs("{\"custom_id\": \"deep\", \"body\": ", file);
    for (int i = 0; i < 1000000; i++)
        putc('[', file);
    putc('\n', file);
    fclose(file);
    file_add("in", request("b", "one", 1));
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in"), 1);
    answers = answers_read("out");
    ck_assert_str_eq(answer_error(answers, "line 1"), "invalid_json");
    ck_assert_str_eq(answer_text(answers, "b"), "one");
    json_decref(answers);
    run_free(&run);
}
END_TEST

/* ---- large lines ---- */

enum { MIB = 1 << 20 };

/* AddressSanitizer keeps what was freed for a while, so under it the sizes say nothing. */
static void took_at_most(const struct run *run, long mib)
{
#ifndef __SANITIZE_ADDRESS__
    ck_assert_int_lt(run->max_kb, mib * 1024);
#else
    ck_assert_int_gt(run->max_kb, 0);
    (void)mib;
#endif
}

static void add_many(const char *path, const char *piece, size_t bytes)
{
    FILE *file = fopen(path, "ae");
    for (size_t i = 0; i < bytes / strlen(piece); i++)
        fputs(piece, file);
    fclose(file);
}

static void check_large_line(const char *input)
{
    const char *named = input == NULL ? "in" : "-";
    struct run run;
    json_t *answers;
    ck_assert_int_eq(run_whole(&run, input, "-o", "out", "--slots", "4", named), 1);
    answers = answers_read("out");
    ck_assert_str_eq(answer_error(answers, "line 2"), "line_too_long");
    ck_assert_str_eq(answer_text(answers, "a"), "one");
    ck_assert_str_eq(answer_text(answers, "b"), "one");
    took_at_most(&run, 160);
    json_decref(answers);
    run_free(&run);
}

START_TEST(a_line_of_100_megabytes_is_refused_and_not_held)
{
    file_add("in", request("a", "one", 1));
    file_add("in", "{\"custom_id\": \"large\", \"body\": \"");
    add_many("in", "0123456789abcdef", 100 * MIB);
    file_add("in", "\"}\n");
    file_add("in", request("b", "one", 1));
    check_large_line(NULL);
    ck_assert_int_eq(mkfifo("fifo", 0600), 0);
    if (fork() == 0) { /* the same through a pipe */
        execlp("sh", "sh", "-c", "cat in >fifo", NULL);
        _exit(99);
    }
    check_large_line("fifo");
}
END_TEST

START_TEST(a_line_of_tiny_numbers_takes_bounded_memory)
{
    struct run run;
    json_t *answers;
    file_add("in", "{\"custom_id\": \"numbers\", \"body\": [1");
    add_many("in", ",1", 15 * MIB);
    file_add("in", "]}\n");
    file_add("in", request("b", "one", 1));
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in"), 1);
    answers = answers_read("out");
    ck_assert_str_eq(answer_error(answers, "line 1"), "request_too_large");
    ck_assert_str_eq(answer_text(answers, "b"), "one");
    took_at_most(&run, 240);
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(a_megabyte_without_a_blank_is_encoded_quickly)
{
    struct run run;
    json_t *answers;
    file_add("in",
             "{\"custom_id\": \"x\", \"url\": \"/v1/completions\", \"body\": {\"prompt\": \"");
    add_many("in", "x", 8 * MIB);
    file_add("in", "\"}}\n");
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in"), 1);
    answers = answers_read("out");
    ck_assert_str_eq(answer_error(answers, "x"), "context_length_exceeded");
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(more_ids_than_the_table_holds_are_answered_unchecked)
{
    struct run run;
    write_requests("in", 70000, 1);
    ck_assert_int_eq(
        run_whole(&run, NULL, "-o", "out", "--slots", "256", "--max-batch", "64", "in"), 0);
    ck_assert_ptr_nonnull(strstr(run.err, "custom_ids are no longer checked"));
    ck_assert_uint_eq(count_lines("out"), 70000);
    run_free(&run);
}
END_TEST

/* ---- full disks; each needs a mount of its own ---- */

static bool can_mount(const char *where, const char *size)
{
    char options[64];
    snprintf(options, sizeof(options), "size=%s", size);
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", where, "tmpfs", 0, options) == 0;
}

START_TEST(a_shared_memory_that_is_too_small_is_told_at_the_start)
{
    struct run run;
    file_add("in", request("a", "one", 1));
    if (!can_mount("/dev/shm", "1m"))
        return;
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "--slots", "64", "in"), 2);
    ck_assert_ptr_nonnull(strstr(run.err, "/dev/shm"));
    run_free(&run);
    umount("/dev/shm");
}
END_TEST

START_TEST(a_full_disk_is_told_once_and_waited_for)
{
    struct run run;
    write_requests("in", 200, 20);
    ck_assert_int_eq(mkdir("disk", 0700), 0);
    if (!can_mount("disk", "32k"))
        return;
    run_begin(&run, NULL, "--stuck-after", "1", "-o", "disk/out", "in");
    while (true) {
        char *err = file_read("stderr", NULL);
        bool told = strstr(err, "No space left") != NULL;
        free(err);
        if (told)
            break;
        wait_ms(10);
    }
    wait_ms(3500); /* who waits for the disk is not stuck */
    ck_assert_uint_lt(count_lines("disk/out"), 200);
    ck_assert_int_eq(mount("none", "disk", NULL, MS_REMOUNT, "size=4m"), 0);
    run_end(&run);
    ck_assert_int_eq(run.status, 0);
    ck_assert_uint_eq(count_lines("disk/out"), 200);
    ck_assert_ptr_nonnull(strstr(run.err, "; 0 restarts"));
    ck_assert_ptr_null(strstr(strstr(run.err, "No space left") + 1, "No space left"));
    run_free(&run);
    umount("disk");
}
END_TEST

static Suite *bad_input_suite(void)
{
    Suite *suite = suite_create("bad input");
    TCase *records = tcase_create("records"), *large = tcase_create("large");
    TCase *disks = tcase_create("disks");
    TCase *all[] = {records, large, disks};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        tcase_set_timeout(all[i], 60);
        tcase_add_checked_fixture(all[i], fixture_open, fixture_close);
        suite_add_tcase(suite, all[i]);
    }
    tcase_add_test(records, a_bad_record_gets_its_error_and_the_others_go_on);
    tcase_add_test(records, nul_bytes_are_refused_as_bytes_and_taken_as_characters);
    tcase_add_test(records, a_prompt_longer_than_the_context_is_refused);
    tcase_add_test(records, deep_nesting_is_refused);
    tcase_add_test(large, a_line_of_100_megabytes_is_refused_and_not_held);
    tcase_add_test(large, a_line_of_tiny_numbers_takes_bounded_memory);
    tcase_add_test(large, a_megabyte_without_a_blank_is_encoded_quickly);
    tcase_add_test(large, more_ids_than_the_table_holds_are_answered_unchecked);
    tcase_add_test(disks, a_shared_memory_that_is_too_small_is_told_at_the_start);
    tcase_add_test(disks, a_full_disk_is_told_once_and_waited_for);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(bad_input_suite());
    int failed;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
