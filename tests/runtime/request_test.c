/*
 * request_test.c - what a record says is what the request holds
 *
 * What a record may not say is in bad_input_test.c, by way of the program.
 */
#include "runtime/tokenizer/request.h"
#include <check.h>
#include <stdio.h>
#include <string.h>

enum { VOCABULARY = 1000 };

static const struct served served = {VOCABULARY, MR_TAKES_ALL};

static struct request request;
static struct refusal refusal;

static void read_line(const char *line)
{
    ck_assert_msg(request_open(&request, line, strlen(line), &refusal), "%s", refusal.message);
    ck_assert_msg(request_read(&request, &served, &refusal), "%s", refusal.message);
}

/* A body's fields behind those that are required. */
static void read_completion(const char *fields)
{
    char line[2048];
    snprintf(
        line, sizeof(line),
        "{\"custom_id\": \"i\", \"url\": \"/v1/completions\", \"body\": {\"prompt\": \"p\"%s}}",
        fields);
    read_line(line);
}

static void read_chat(const char *fields)
{
    char line[2048];
    snprintf(line, sizeof(line),
             "{\"custom_id\": \"i\", \"method\": \"POST\", \"url\": \"/v1/chat/completions\", "
             "\"body\": {\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]%s}}",
             fields);
    read_line(line);
}

static void check_bytes(mr_bytes bytes, const char *expected)
{
    ck_assert_uint_eq(bytes.length, strlen(expected));
    ck_assert_mem_eq(bytes.bytes, expected, bytes.length);
}

static void check_text(gguf_text text, const char *expected)
{
    check_bytes((mr_bytes){text.bytes, text.length}, expected);
}

START_TEST(what_is_not_said_has_openais_default)
{
    read_completion("");
    ck_assert_int_eq(request.endpoint, ENDPOINT_COMPLETION);
    check_bytes(request.custom_id, "i");
    check_bytes(request.text, "p");
    ck_assert_int_eq(request.sampling.max_new_tokens, 16);
    ck_assert(request.sampling.temperature == 1 && request.sampling.top_p == 1);
    ck_assert(request.sampling.min_p == 0 && request.sampling.repetition_penalty == 1);
    ck_assert_uint_eq(request.sampling.choices, 1);
    ck_assert(!request.has_seed && !request.echo && !request.logprobs && request.begin);
    ck_assert(!request.ignore_eos && !request.keep_stop && !request.show_special);
    ck_assert_uint_eq(request.stop_count + request.stop_id_count + request.bias_count, 0);
    request_free(&request);
    read_chat("");
    ck_assert_int_eq(request.endpoint, ENDPOINT_CHAT);
    ck_assert_int_eq(request.sampling.max_new_tokens, -1);
    request_free(&request);
}
END_TEST

START_TEST(null_is_as_good_as_absent)
{
    read_completion(", \"max_tokens\": null, \"stop\": null, \"logit_bias\": null, \"seed\": null, "
                    "\"logprobs\": null, \"n\": null, \"echo\": null, \"model\": null, "
                    "\"suffix\": null, \"response_format\": null");
    ck_assert_int_eq(request.sampling.max_new_tokens, 16);
    ck_assert(!request.has_seed && !request.logprobs);
    request_free(&request);
}
END_TEST

START_TEST(sampling_parameters_are_taken_as_they_stand)
{
    read_completion(
        ", \"max_tokens\": 7, \"min_tokens\": 3, \"temperature\": 0.5, \"top_p\": 0.25, "
        "\"top_k\": 40, \"min_p\": 0.125, \"presence_penalty\": -2, "
        "\"frequency_penalty\": 1.5, \"repetition_penalty\": 1.25, \"n\": 3, "
        "\"best_of\": 3, \"seed\": -1, \"priority\": -5");
    ck_assert_int_eq(request.sampling.max_new_tokens, 7);
    ck_assert_int_eq(request.sampling.min_new_tokens, 3);
    ck_assert(request.sampling.temperature == 0.5 && request.sampling.top_p == 0.25);
    ck_assert_int_eq(request.sampling.top_k, 40);
    ck_assert(request.sampling.min_p == 0.125 && request.sampling.presence_penalty == -2);
    ck_assert(request.sampling.frequency_penalty == 1.5);
    ck_assert(request.sampling.repetition_penalty == 1.25);
    ck_assert_uint_eq(request.sampling.choices, 3);
    ck_assert(request.has_seed && request.sampling.seed == UINT64_MAX);
    ck_assert_int_eq(request.priority, -5);
    request_free(&request);
}
END_TEST

START_TEST(max_completion_tokens_wins)
{
    read_chat(", \"max_tokens\": 9, \"max_completion_tokens\": 5");
    ck_assert_int_eq(request.sampling.max_new_tokens, 5);
    request_free(&request);
}
END_TEST

START_TEST(stops_are_a_string_or_several)
{
    read_completion(", \"stop\": \"END\", \"stop_token_ids\": [5, 999], \"ignore_eos\": true, "
                    "\"include_stop_str_in_output\": true, \"skip_special_tokens\": false");
    ck_assert_uint_eq(request.stop_count, 1);
    check_bytes(request.stops[0], "END");
    ck_assert_uint_eq(request.stop_id_count, 2);
    ck_assert_int_eq(request.stop_ids[1], 999);
    ck_assert(request.ignore_eos && request.keep_stop && request.show_special);
    request_free(&request);
    read_chat(", \"stop\": [\"a\", \"\\u00e9\", \"c\"]");
    ck_assert_uint_eq(request.stop_count, 3);
    check_bytes(request.stops[1], "\xC3\xA9");
    request_free(&request);
}
END_TEST

START_TEST(biases_name_tokens)
{
    read_completion(", \"logit_bias\": {\"0\": -100, \"999\": 0.5}");
    ck_assert_uint_eq(request.bias_count, 2);
    for (size_t i = 0; i < 2; i++)
        ck_assert(request.biases[i].bias == (request.biases[i].token == 0 ? -100.0F : 0.5F));
    request_free(&request);
}
END_TEST

START_TEST(log_probabilities_are_asked_for_in_each_endpoints_way)
{
    read_completion(", \"logprobs\": 0, \"echo\": true");
    ck_assert(request.logprobs && request.top_logprobs == 0 && request.echo);
    request_free(&request);
    read_completion(", \"logprobs\": 5");
    ck_assert(request.logprobs && request.top_logprobs == 5);
    request_free(&request);
    read_chat(", \"logprobs\": true, \"top_logprobs\": 20");
    ck_assert(request.logprobs && request.top_logprobs == 20);
    request_free(&request);
    read_chat(", \"logprobs\": false, \"top_logprobs\": 0");
    ck_assert(!request.logprobs);
    request_free(&request);
}
END_TEST

START_TEST(a_prompt_is_a_string_or_tokens_or_an_array_of_one)
{
    static const char *const texts[] = {"\"hi\"", "[\"hi\"]"};
    static const char *const tokens[] = {"[1, 2, 3]", "[[1, 2, 3]]"};
    char line[256];
    for (int i = 0; i < 2; i++) {
        snprintf(line, sizeof(line),
                 "{\"custom_id\": \"i\", \"url\": \"/v1/completions\", \"body\": {\"prompt\": %s}}",
                 texts[i]);
        read_line(line);
        check_bytes(request.text, "hi");
        ck_assert_ptr_null(request.tokens);
        request_free(&request);
        snprintf(line, sizeof(line),
                 "{\"custom_id\": \"i\", \"url\": \"/v1/completions\", \"body\": {\"prompt\": %s}}",
                 tokens[i]);
        read_line(line);
        ck_assert_uint_eq(request.token_count, 3);
        ck_assert_int_eq(request.tokens[2], 3);
        request_free(&request);
    }
}
END_TEST

START_TEST(parts_of_a_content_are_joined)
{
    read_line(
        "{\"custom_id\": \"i\", \"url\": \"/v1/chat/completions\", \"body\": {\"messages\": ["
        "{\"role\": \"developer\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}, "
        "{\"type\": \"text\", \"text\": \"\"}, {\"type\": \"text\", \"text\": \"b\\u0000\"}]}, "
        "{\"role\": \"user\", \"content\": [], \"name\": \"x\", \"tool_calls\": []}]}}");
    ck_assert_uint_eq(request.message_count, 2);
    check_text(request.messages[0].role, "system");
    ck_assert_uint_eq(request.messages[0].content.length, 3);
    ck_assert_mem_eq(request.messages[0].content.bytes, "ab", 3);
    check_text(request.messages[1].role, "user");
    check_text(request.messages[1].content, "");
    request_free(&request);
}
END_TEST

START_TEST(what_makes_no_difference_is_ignored)
{
    read_chat(", \"user\": \"me\", \"metadata\": {\"a\": 1}, \"store\": true, \"stream\": true, "
              "\"stream_options\": {}, \"service_tier\": \"auto\", \"tools\": [], "
              "\"tool_choice\": \"none\", \"response_format\": {\"type\": \"text\"}");
    request_free(&request);
}
END_TEST

START_TEST(a_message_is_valid_utf8_whatever_the_record_was)
{
    static const char line[] = "{\"custom_id\": \"i\", \"\xC3\x28\xFF";
    ck_assert(!request_open(&request, line, sizeof(line) - 1, &refusal));
    ck_assert_str_eq(refusal.code, REFUSAL_INVALID_JSON);
    for (const char *at = refusal.message; *at != '\0'; at++)
        ck_assert_int_ge(*at, ' ');
    request_free(&request);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;
    tcase_add_test(all, what_is_not_said_has_openais_default);
    tcase_add_test(all, null_is_as_good_as_absent);
    tcase_add_test(all, sampling_parameters_are_taken_as_they_stand);
    tcase_add_test(all, max_completion_tokens_wins);
    tcase_add_test(all, stops_are_a_string_or_several);
    tcase_add_test(all, biases_name_tokens);
    tcase_add_test(all, log_probabilities_are_asked_for_in_each_endpoints_way);
    tcase_add_test(all, a_prompt_is_a_string_or_tokens_or_an_array_of_one);
    tcase_add_test(all, parts_of_a_content_are_joined);
    tcase_add_test(all, what_makes_no_difference_is_ignored);
    tcase_add_test(all, a_message_is_valid_utf8_whatever_the_record_was);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
