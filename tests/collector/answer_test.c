/*
 * Tests of runtime/collector/answer.c and logprobs.c: whole lines, byte for byte
 */
#include "runtime/collector/answer.h"
#include "tests/collector/words.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct record record;

static void set_up(void)
{
    ck_assert_int_eq(record_init(&record, NULL, NULL), 0);
}

static void tear_down(void)
{
    record_free(&record);
}

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static void expect(const char *line)
{
    record_raw(&record, "\n");
    record.bytes[--record.count] = '\0';
    ck_assert_str_eq(record.bytes, line);
    record.count = 0;
}

/* expect_behind - that the line goes on like this behind its first `mark` */
static void expect_behind(const char *mark, const char *rest)
{
    const char *found;
    record_raw(&record, "\n");
    record.bytes[--record.count] = '\0';
    found = strstr(record.bytes, mark);
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found + strlen(mark), rest);
    record.count = 0;
}

/* ---- a source of log-probabilities: position p has -p/4 and the alternatives 'a' and 'b' ---- */

static int read_logprobs(void *self, const mr_view *view, int64_t position,
                         struct logprob_position *result)
{
    (void)self;
    if (position == 0 || view->log_probabilities == 0)
        return -ENOENT;
    result->tops[0] = (mr_top_logprob){'a', -0.5};
    result->tops[1] = (mr_top_logprob){'b', -1.5};
    result->tops[2] = (mr_top_logprob){'c', -2.5};
    result->entries[0] = (mr_logprob){-(double)position / 4, result->tops, 3};
    result->logprobs = (mr_logprobs){result->entries, 1};
    return 0;
}

static const struct logprob_source source = {read_logprobs, NULL};
static const struct mr_sampling sampling = {.min_new_tokens = 0};

/* A finished choice: a prompt of two tokens, then `tokens`. */
struct choice {
    int64_t tokens[8];
    mr_view view;
};

static void make_choice(struct choice *choice, unsigned index, const int64_t *tokens, size_t count)
{
    choice->tokens[0] = WORD_HELLO;
    choice->tokens[1] = '?';
    memcpy(choice->tokens + 2, tokens, count * sizeof(*tokens));
    choice->view = (mr_view){.kind = MR_KIND_TEXT,
                             .done = 1,
                             .status = MR_END_OF_SEQUENCE,
                             .choice = index,
                             .ordinal = 7,
                             .prompt_length = 2,
                             .tokens = {choice->tokens, count + 2},
                             .last_token = choice->tokens[count + 1],
                             .log_probabilities = 2,
                             .sampling = &sampling};
}

#define CHOICE(choice, index, ...)                                                                 \
    make_choice(choice, index, (const int64_t[]){__VA_ARGS__},                                     \
                sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static uint64_t write_answer(const struct reply *reply, const mr_view *views, unsigned choices)
{
    const struct answer answer = {.reply = reply,
                                  .vocabulary = words,
                                  .created = 1700000000,
                                  .views = views,
                                  .choices = choices,
                                  .logprobs = &source};
    uint64_t tokens;
    ck_assert_int_eq(answer_write(&record, &answer, &tokens), 0);
    ck_assert_int_eq(record.error, 0);
    return tokens;
}

static struct reply reply_of(enum endpoint endpoint, unsigned flags)
{
    return (struct reply){.endpoint = endpoint,
                          .flags = flags,
                          .line = 9,
                          .top_logprobs = 2,
                          .custom_id = bytes_of("one"),
                          .model = bytes_of("tiny")};
}

START_TEST(a_chat_completion_looks_like_this)
{
    struct reply reply = reply_of(ENDPOINT_CHAT, 0);
    struct choice choice;
    CHOICE(&choice, 0, WORD_HELLO, WORD_WORLD, WORD_END);
    ck_assert_uint_eq(write_answer(&reply, &choice.view, 1), 3);
    expect("{\"id\":\"batch_req_6233111f6e6fef48f1af8b1c5f680d36\",\"custom_id\":\"one\","
           "\"response\":{\"status_code\":200,"
           "\"request_id\":\"req_0ddab684819cadabca506ad9e6c1e44d\",\"body\":{"
           "\"id\":\"chatcmpl-75b2340b1bb1b6a511a803496dbf30ac\",\"object\":\"chat.completion\","
           "\"created\":1700000000,"
           "\"model\":\"tiny\",\"choices\":[{\"index\":0,"
           "\"message\":{\"role\":\"assistant\",\"content\":\"Hello world\"},\"logprobs\":null,"
           "\"finish_reason\":\"stop\"}],"
           "\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3,\"total_tokens\":5}}},"
           "\"error\":null}\n");
}
END_TEST

START_TEST(a_completion_looks_like_this)
{
    struct reply reply = reply_of(ENDPOINT_COMPLETION, 0);
    struct choice choice;
    CHOICE(&choice, 0, WORD_HELLO);
    choice.view.status = MR_MAXIMUM_LENGTH;
    write_answer(&reply, &choice.view, 1);
    expect_behind(
        "\"body\":",
        "{\"id\":\"cmpl-75b2340b1bb1b6a511a803496dbf30ac\",\"object\":\"text_completion\","
        "\"created\":1700000000,\"model\":\"tiny\",\"choices\":[{"
        "\"index\":0,\"text\":\"Hello\",\"logprobs\":null,"
        "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":2,"
        "\"completion_tokens\":1,\"total_tokens\":3}}},\"error\":null}\n");
}
END_TEST

START_TEST(choices_stand_in_one_record_and_the_prompt_counts_once)
{
    struct reply reply = reply_of(ENDPOINT_COMPLETION, 0);
    struct choice choices[2];
    mr_view views[2];
    CHOICE(&choices[0], 0, 'x', 'y');
    CHOICE(&choices[1], 1, 'z');
    views[0] = choices[0].view;
    views[1] = choices[1].view;
    views[1].cancel = MR_CANCEL_CLIENT;
    views[1].status = MR_ACTIVE;
    ck_assert_uint_eq(write_answer(&reply, views, 2), 3);
    expect_behind("\"choices\":",
                  "[{\"index\":0,\"text\":\"xy\",\"logprobs\":null,\"finish_reason\":\"stop\"},"
                  "{\"index\":1,\"text\":\"z\",\"logprobs\":null,\"finish_reason\":\"cancelled\"}],"
                  "\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3,\"total_tokens\":5}}},"
                  "\"error\":null}\n");
}
END_TEST

START_TEST(stop_wins_over_length_and_cuts_everything)
{
    struct reply reply = reply_of(ENDPOINT_COMPLETION, REPLY_LOGPROBS);
    struct choice choice;
    CHOICE(&choice, 0, 'x', 'y', 'z', 'u');
    choice.view.status = MR_MAXIMUM_LENGTH;
    reply.stop_count = 1;
    reply.stops[0] = bytes_of("yz");
    reply.top_logprobs = 0;
    ck_assert_uint_eq(write_answer(&reply, &choice.view, 1), 3);
    expect_behind("\"choices\":",
                  "[{\"index\":0,\"text\":\"x\",\"logprobs\":{\"tokens\":[\"x\",\"y\",\"z\"],"
                  "\"token_logprobs\":[-0.5,-0.75,-1.0],"
                  "\"top_logprobs\":[{\"x\":-0.5},{\"y\":-0.75},{\"z\":-1.0}],"
                  "\"text_offset\":[0,1,2]},\"finish_reason\":\"stop\"}],"
                  "\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3,\"total_tokens\":5}}},"
                  "\"error\":null}\n");
}
END_TEST

START_TEST(log_probabilities_of_a_chat_have_bytes)
{
    struct reply reply = reply_of(ENDPOINT_CHAT, REPLY_LOGPROBS);
    struct choice choice;
    CHOICE(&choice, 0, WORD_EURO_BEGIN);
    choice.view.cancel = MR_CANCEL_DEADLINE;
    choice.view.status = MR_ACTIVE;
    write_answer(&reply, &choice.view, 1);
    expect_behind(
        "\"message\":",
        "{\"role\":\"assistant\",\"content\":\"\xEF\xBF\xBD\"},\"logprobs\":{\"content\":["
        "{\"token\":\"bytes:\\\\xe2\\\\x82\",\"logprob\":-0.5,\"bytes\":[226,130],"
        "\"top_logprobs\":[{\"token\":\"a\",\"logprob\":-0.5,\"bytes\":[97]},"
        "{\"token\":\"b\",\"logprob\":-1.5,\"bytes\":[98]}]}]},"
        "\"finish_reason\":\"deadline\"}],\"usage\":{\"prompt_tokens\":2,"
        "\"completion_tokens\":1,\"total_tokens\":3}}},\"error\":null}\n");
}
END_TEST

START_TEST(a_token_with_a_nul_is_written_by_its_bytes)
{
    struct reply reply = reply_of(ENDPOINT_COMPLETION, REPLY_LOGPROBS);
    struct choice choice;
    CHOICE(&choice, 0, 0);
    reply.top_logprobs = 0;
    write_answer(&reply, &choice.view, 1);
    expect_behind("\"tokens\":", "[\"bytes:\\\\x00\"],\"token_logprobs\":[-0.5],\"top_logprobs\":["
                                 "{\"bytes:\\\\x00\":-0.5}],\"text_offset\":[0]},"
                                 "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":2,"
                                 "\"completion_tokens\":1,\"total_tokens\":3}}},\"error\":null}\n");
}
END_TEST

START_TEST(a_position_without_log_probabilities_is_told_apart)
{
    struct reply reply = reply_of(ENDPOINT_CHAT, REPLY_LOGPROBS);
    struct choice choice;
    CHOICE(&choice, 0, 4000);
    choice.view.log_probabilities = 0;
    write_answer(&reply, &choice.view, 1);
    expect_behind("\"logprobs\":",
                  "{\"content\":[{\"token\":\"token_id:4000\",\"logprob\":-9999.0,\"bytes\":[],"
                  "\"top_logprobs\":[]}]},\"finish_reason\":\"stop\"}],\"usage\":{"
                  "\"prompt_tokens\":2,\"completion_tokens\":1,\"total_tokens\":3}}},"
                  "\"error\":null}\n");
}
END_TEST

START_TEST(an_echo_has_the_prompts_log_probabilities)
{
    struct reply reply = reply_of(ENDPOINT_COMPLETION, REPLY_LOGPROBS | REPLY_ECHO);
    struct choice choice;
    CHOICE(&choice, 0, WORD_EURO_BEGIN, WORD_EURO_END, 'a');
    write_answer(&reply, &choice.view, 1);
    expect_behind(
        "\"choices\":",
        "[{\"index\":0,\"text\":\"Hello?\xE2\x82\xAC!a\",\"logprobs\":{"
        "\"tokens\":[\"Hello\",\"?\",\"bytes:\\\\xe2\\\\x82\",\"bytes:\\\\xac\\\\x21\",\"a\"],"
        "\"token_logprobs\":[null,-0.25,-0.5,-0.75,-1.0],"
        "\"top_logprobs\":[null,{\"a\":-0.5,\"b\":-1.5,\"?\":-0.25},"
        "{\"a\":-0.5,\"b\":-1.5,\"bytes:\\\\xe2\\\\x82\":-0.5},"
        "{\"a\":-0.5,\"b\":-1.5,\"bytes:\\\\xac\\\\x21\":-0.75},{\"a\":-0.5,\"b\":-1.5}],"
        "\"text_offset\":[0,5,6,6,8]},\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3,\"total_tokens\":5}}},"
        "\"error\":null}\n");
}
END_TEST

START_TEST(offsets_behind_an_echoed_text_count_that_text)
{
    struct reply reply = reply_of(ENDPOINT_COMPLETION, REPLY_LOGPROBS | REPLY_ECHO);
    struct choice choice;
    CHOICE(&choice, 0, 'x', 'y');
    reply.prompt = bytes_of("<|end|>\xE2\x82\xAC");
    reply.top_logprobs = 0;
    write_answer(&reply, &choice.view, 1);
    expect_behind("\"text_offset\":", "[0,5,8,9]},\"finish_reason\":\"stop\"}],"
                                      "\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":2,"
                                      "\"total_tokens\":4}}},\"error\":null}\n");
}
END_TEST

START_TEST(a_refusal_looks_like_this)
{
    struct reply reply = reply_of(ENDPOINT_UNKNOWN, REPLY_REFUSED);
    reply.error_param = bytes_of("body.n");
    answer_refuse(&record, &reply, 7, bytes_of("invalid_parameter"), bytes_of("'n' is \"x\""));
    expect("{\"id\":\"batch_req_6233111f6e6fef48f1af8b1c5f680d36\",\"custom_id\":\"one\","
           "\"response\":null,\"error\":{\"code\":\"invalid_parameter\","
           "\"message\":\"'n' is \\\"x\\\"\",\"param\":\"body.n\",\"line\":9}}\n");
    reply.custom_id = (mr_bytes){NULL, 0};
    reply.error_param = (mr_bytes){NULL, 0};
    answer_refuse(&record, &reply, 7, bytes_of("invalid_json"), bytes_of("no"));
    expect_behind("\",\"custom_id\":",
                  "null,\"response\":null,\"error\":{\"code\":\"invalid_json\","
                  "\"message\":\"no\",\"line\":9}}\n");
}
END_TEST

START_TEST(a_piece_looks_like_this)
{
    answer_piece(&record, bytes_of("one"), 2, 40, bytes_of("and \"so\n"));
    expect("{\"custom_id\":\"one\",\"choice\":2,\"offset\":40,\"delta\":\"and \\\"so\\n\"}\n");
}
END_TEST

START_TEST(ids_differ_by_record_and_by_custom_id)
{
    struct reply reply = reply_of(ENDPOINT_UNKNOWN, REPLY_REFUSED);
    char ids[3][43];
    for (unsigned i = 0; i < 3; i++) {
        if (i == 2)
            reply.custom_id = bytes_of("two");
        answer_refuse(&record, &reply, i == 1 ? 8 : 7, bytes_of("x"), bytes_of("y"));
        memcpy(ids[i], record.bytes + 7, 42);
        ids[i][42] = '\0';
        record.count = 0;
    }
    ck_assert_str_ne(ids[0], ids[1]);
    ck_assert_str_ne(ids[0], ids[2]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("answers");
    TCase *tests = tcase_create("lines");
    SRunner *runner;
    int failed;
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_chat_completion_looks_like_this);
    tcase_add_test(tests, a_completion_looks_like_this);
    tcase_add_test(tests, choices_stand_in_one_record_and_the_prompt_counts_once);
    tcase_add_test(tests, stop_wins_over_length_and_cuts_everything);
    tcase_add_test(tests, log_probabilities_of_a_chat_have_bytes);
    tcase_add_test(tests, a_token_with_a_nul_is_written_by_its_bytes);
    tcase_add_test(tests, a_position_without_log_probabilities_is_told_apart);
    tcase_add_test(tests, an_echo_has_the_prompts_log_probabilities);
    tcase_add_test(tests, offsets_behind_an_echoed_text_count_that_text);
    tcase_add_test(tests, a_refusal_looks_like_this);
    tcase_add_test(tests, a_piece_looks_like_this);
    tcase_add_test(tests, ids_differ_by_record_and_by_custom_id);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
