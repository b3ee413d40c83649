/*
 * Tests of runtime/collector/detokenize.c: the text of tokens, and what of it can be shown when
 */
#include "runtime/collector/detokenize.h"
#include "tests/collector/words.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct reply plain = {.endpoint = ENDPOINT_CHAT};

static struct reply with_stop(const char *stop)
{
    return (struct reply){.stop_count = 1, .stops = {{stop, strlen(stop)}}};
}

/* A text as it was shown: all that was ready after each token, joined. */
struct shown {
    char bytes[8192];
    size_t count;
    int64_t tokens;
    bool stopped;
};

static void show(struct shown *shown, struct detokenizer *text)
{
    size_t ready = detokenizer_ready(text);
    ck_assert_uint_eq(text->begin, shown->count);
    if (ready > 0)
        memcpy(shown->bytes + shown->count, text->bytes, ready);
    shown->count += ready;
    shown->bytes[shown->count] = '\0';
    detokenizer_take(text, ready);
}

static struct shown show_all(const struct reply *reply, int64_t min_tokens, const int64_t *tokens,
                             size_t count)
{
    struct shown shown = {.count = 0};
    struct detokenizer text;
    ck_assert_int_eq(detokenizer_init(&text, words, reply, min_tokens), 0);
    for (size_t i = 0; i < count; i++) {
        detokenizer_add(&text, tokens[i]);
        show(&shown, &text);
    }
    detokenizer_end(&text);
    show(&shown, &text);
    shown.tokens = text.tokens;
    shown.stopped = text.stopped;
    detokenizer_free(&text);
    return shown;
}

#define SHOW(reply, min_tokens, ...)                                                               \
    show_all(reply, min_tokens, (const int64_t[]){__VA_ARGS__},                                    \
             sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

START_TEST(words_are_joined)
{
    struct shown shown = SHOW(&plain, 0, WORD_HELLO, WORD_WORLD);
    ck_assert_str_eq(shown.bytes, "Hello world");
    ck_assert_int_eq(shown.tokens, 2);
    ck_assert(!shown.stopped);
}
END_TEST

START_TEST(control_tokens_are_not_shown_but_count)
{
    struct shown shown = SHOW(&plain, 0, WORD_HELLO, WORD_END);
    ck_assert_str_eq(shown.bytes, "Hello");
    ck_assert_int_eq(shown.tokens, 2);
}
END_TEST

START_TEST(control_tokens_are_shown_to_who_wants_them)
{
    struct reply reply = {.flags = REPLY_SHOW_SPECIAL};
    ck_assert_str_eq(SHOW(&reply, 0, WORD_HELLO, WORD_END).bytes, "Hello<|end|>");
}
END_TEST

START_TEST(tokens_outside_of_the_vocabulary_give_no_text)
{
    struct shown shown = SHOW(&plain, 0, -1, WORD_HELLO, WORD_COUNT, INT64_MAX, INT64_MIN);
    ck_assert_str_eq(shown.bytes, "Hello");
    ck_assert_int_eq(shown.tokens, 5);
}
END_TEST

START_TEST(a_character_in_two_tokens_is_held_back_until_it_is_whole)
{
    struct detokenizer text;
    ck_assert_int_eq(detokenizer_init(&text, words, &plain, 0), 0);
    detokenizer_add(&text, WORD_EURO_BEGIN);
    ck_assert_uint_eq(detokenizer_ready(&text), 0);
    ck_assert_uint_eq(text.characters, 0);
    detokenizer_add(&text, WORD_EURO_END);
    ck_assert_uint_eq(detokenizer_ready(&text), 4);
    ck_assert_mem_eq(text.bytes, "\xE2\x82\xAC!", 4);
    ck_assert_uint_eq(text.characters, 2);
    detokenizer_free(&text);
}
END_TEST

START_TEST(a_character_that_never_becomes_whole_is_replaced_at_the_end)
{
    ck_assert_str_eq(SHOW(&plain, 0, WORD_HELLO, WORD_EURO_BEGIN).bytes, "Hello\xEF\xBF\xBD");
}
END_TEST

START_TEST(a_character_that_is_broken_off_is_replaced_once)
{
    ck_assert_str_eq(SHOW(&plain, 0, WORD_EURO_BEGIN, 'x').bytes, "\xEF\xBF\xBDx");
    ck_assert_str_eq(SHOW(&plain, 0, WORD_EURO_BEGIN, WORD_EURO_BEGIN, 0xAC).bytes,
                     "\xEF\xBF\xBD\xE2\x82\xAC");
}
END_TEST

START_TEST(a_nul_is_a_character)
{
    struct shown shown = SHOW(&plain, 0, 'a', 0, 'b');
    ck_assert_uint_eq(shown.count, 3);
    ck_assert_mem_eq(shown.bytes, "a\0b", 3);
}
END_TEST

START_TEST(the_text_ends_before_the_stop_string_and_counts_its_last_token)
{
    struct reply reply = with_stop("lo w");
    struct shown shown = SHOW(&reply, 0, WORD_HELLO, WORD_WORLD, WORD_HELLO);
    ck_assert_str_eq(shown.bytes, "Hel");
    ck_assert_int_eq(shown.tokens, 2);
    ck_assert(shown.stopped);
}
END_TEST

START_TEST(the_stop_string_stays_if_wanted)
{
    struct reply reply = with_stop("lo w");
    reply.flags = REPLY_KEEP_STOP;
    ck_assert_str_eq(SHOW(&reply, 0, WORD_HELLO, WORD_WORLD).bytes, "Hello w");
}
END_TEST

START_TEST(what_looked_like_a_stop_string_is_shown_at_the_end)
{
    struct reply reply = with_stop("world!");
    struct shown shown = SHOW(&reply, 0, WORD_HELLO, WORD_WORLD);
    ck_assert_str_eq(shown.bytes, "Hello world");
    ck_assert(!shown.stopped);
}
END_TEST

START_TEST(a_stop_string_within_the_least_number_of_tokens_is_passed_over)
{
    struct reply reply = with_stop("aa");
    ck_assert_str_eq(SHOW(&reply, 2, 'a', 'a', 'b', 'a', 'a', 'c').bytes, "aab");
    ck_assert_str_eq(SHOW(&reply, 2, 'a', 'a', 'a', 'c').bytes, "a");
    ck_assert_str_eq(SHOW(&reply, 1, 'a', 'a', 'c').bytes, "");
}
END_TEST

START_TEST(a_stop_string_may_be_completed_by_the_replacement_at_the_end)
{
    struct reply reply = with_stop("o\xEF\xBF\xBD");
    struct shown shown = SHOW(&reply, 0, WORD_HELLO, WORD_EURO_BEGIN);
    ck_assert_str_eq(shown.bytes, "Hell");
    ck_assert(shown.stopped);
    ck_assert_int_eq(shown.tokens, 2);
}
END_TEST

START_TEST(an_echo_stands_before_the_text_and_holds_no_stop_string)
{
    struct reply reply = with_stop("Hello");
    struct mr_sampling sampling = {.min_new_tokens = 0};
    const int64_t tokens[] = {WORD_HELLO, WORD_EURO_BEGIN, 0xAC};
    mr_view view = {.tokens = {tokens, 3}, .last_token = 0xAC, .prompt_length = 2};
    struct detokenizer text;
    view.sampling = &sampling;
    reply.flags = REPLY_ECHO;
    ck_assert_int_eq(detokenizer_begin(&text, words, &reply, &view), 0);
    ck_assert(!text.stopped);
    detokenizer_add(&text, 0xAC);
    ck_assert_uint_eq(text.count, 11);
    ck_assert_mem_eq(text.bytes, "Hello\xEF\xBF\xBD\xEF\xBF\xBD", 11);
    detokenizer_free(&text);
}
END_TEST

START_TEST(an_echo_of_a_text_is_that_text)
{
    struct reply reply = {.flags = REPLY_ECHO, .prompt = {"<|end|>", 7}};
    struct mr_sampling sampling = {.min_new_tokens = 0};
    const int64_t tokens[] = {WORD_END};
    mr_view view = {.tokens = {tokens, 1}, .last_token = WORD_END, .prompt_length = 1};
    struct detokenizer text;
    view.sampling = &sampling;
    ck_assert_int_eq(detokenizer_begin(&text, words, &reply, &view), 0);
    ck_assert_uint_eq(text.count, 7);
    ck_assert_mem_eq(text.bytes, "<|end|>", 7);
    detokenizer_free(&text);
}
END_TEST

START_TEST(the_last_token_of_a_snapshot_is_not_read_from_the_array)
{
    const int64_t tokens[] = {1, 2, 3};
    mr_view view = {.tokens = {tokens, 3}, .last_token = 9, .prompt_length = 7};
    ck_assert_int_eq(view_token(&view, 1), 2);
    ck_assert_int_eq(view_token(&view, 2), 9);
    ck_assert_uint_eq(view_prompt_length(&view), 3);
    view.prompt_length = -1;
    ck_assert_uint_eq(view_prompt_length(&view), 0);
}
END_TEST

/* ---- random texts ---- */

/* Bytes that make and break characters of every length. */
static int64_t random_token(void)
{
    static const unsigned char bytes[] = {'a',  'b',  0x80, 0xBF, 0x9F, 0xA0, 0xC0, 0xC2,
                                          0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0xF5, 0xFF, 0};
    long choice = random() % 20;
    return choice < 16 ? bytes[choice] : 256 + random() % (WORD_COUNT - 256);
}

/* repair - rule 2 for a text as a whole, by its definition: one decoder, without look-ahead */
static size_t repair(const unsigned char *in, size_t count, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < count;) {
        unsigned lead = in[i], low = 0x80, high = 0xBF, need = 0, n = 1;
        if (lead >= 0xC2 && lead < 0xE0)
            need = 1;
        else if (lead >= 0xE0 && lead < 0xF0)
            need = 2;
        else if (lead >= 0xF0 && lead < 0xF5)
            need = 3;
        low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : low;
        high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : high;
        while (n <= need && i + n < count && in[i + n] >= (n == 1 ? low : 0x80u) &&
               in[i + n] <= (n == 1 ? high : 0xBFu))
            n++;
        if (lead < 0x80 || (need > 0 && n > need)) {
            while (n-- > 0)
                out[written++] = (char)in[i++];
        } else {
            for (unsigned k = 0; k < 3; k++)
                out[written++] = "\xEF\xBF\xBD"[k];
            i += n;
        }
    }
    return written;
}

START_TEST(a_text_does_not_depend_on_where_its_bytes_are_cut)
{
    srandom(2);
    for (int round = 0; round < 20000; round++) {
        int64_t tokens[12];
        unsigned char raw[4096];
        char whole[sizeof(raw) * 3];
        size_t count = (size_t)random() % 12, length = 0, expected;
        struct shown shown;
        for (size_t i = 0; i < count; i++) {
            gguf_text bytes;
            tokens[i] = random_token();
            bytes = vocabulary_bytes(words, tokens[i]);
            if (tokens[i] == WORD_END)
                continue;
            memcpy(raw + length, bytes.bytes, bytes.length);
            length += bytes.length;
        }
        expected = repair(raw, length, whole);
        shown = show_all(&plain, 0, tokens, count);
        ck_assert_uint_eq(shown.count, expected);
        ck_assert_mem_eq(shown.bytes, whole, expected);
    }
}
END_TEST

/* expect_stop - what rule 3 asks for, from the whole text without stop strings */
static void expect_stop(const struct shown *whole, const struct reply *reply,
                        const struct shown *shown)
{
    for (size_t end = 1; end <= whole->count; end++) {
        size_t longest = 0;
        for (unsigned i = 0; i < reply->stop_count; i++) {
            size_t length = reply->stops[i].length;
            if (length <= end && length > longest &&
                memcmp(whole->bytes + end - length, reply->stops[i].bytes, length) == 0)
                longest = length;
        }
        if (longest == 0)
            continue;
        ck_assert(shown->stopped);
        ck_assert_uint_eq(shown->count, end - longest);
        ck_assert_mem_eq(shown->bytes, whole->bytes, shown->count);
        return;
    }
    ck_assert(!shown->stopped);
    ck_assert_uint_eq(shown->count, whole->count);
}

START_TEST(random_texts_end_before_the_stop_string_completed_first)
{
    static const char *const stops[] = {"ab", "aab", "b\xEF\xBF\xBD", "Hello", "o w", "bb", "a"};
    srandom(3);
    for (int round = 0; round < 20000; round++) {
        int64_t tokens[16];
        size_t count = (size_t)random() % 16;
        struct reply reply = {.stop_count = 1 + (unsigned)random() % 3};
        struct shown whole, shown;
        for (unsigned i = 0; i < reply.stop_count; i++) {
            const char *stop = stops[(size_t)random() % (sizeof(stops) / sizeof(stops[0]))];
            reply.stops[i] = (mr_bytes){stop, strlen(stop)};
        }
        for (size_t i = 0; i < count; i++)
            tokens[i] = random_token();
        whole = show_all(&plain, 0, tokens, count);
        shown = show_all(&reply, 0, tokens, count);
        expect_stop(&whole, &reply, &shown);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("detokenizer");
    TCase *tests = tcase_create("detokenize");
    SRunner *runner;
    int failed;
    tcase_add_test(tests, words_are_joined);
    tcase_add_test(tests, control_tokens_are_not_shown_but_count);
    tcase_add_test(tests, control_tokens_are_shown_to_who_wants_them);
    tcase_add_test(tests, tokens_outside_of_the_vocabulary_give_no_text);
    tcase_add_test(tests, a_character_in_two_tokens_is_held_back_until_it_is_whole);
    tcase_add_test(tests, a_character_that_never_becomes_whole_is_replaced_at_the_end);
    tcase_add_test(tests, a_character_that_is_broken_off_is_replaced_once);
    tcase_add_test(tests, a_nul_is_a_character);
    tcase_add_test(tests, the_text_ends_before_the_stop_string_and_counts_its_last_token);
    tcase_add_test(tests, the_stop_string_stays_if_wanted);
    tcase_add_test(tests, what_looked_like_a_stop_string_is_shown_at_the_end);
    tcase_add_test(tests, a_stop_string_within_the_least_number_of_tokens_is_passed_over);
    tcase_add_test(tests, a_stop_string_may_be_completed_by_the_replacement_at_the_end);
    tcase_add_test(tests, an_echo_stands_before_the_text_and_holds_no_stop_string);
    tcase_add_test(tests, an_echo_of_a_text_is_that_text);
    tcase_add_test(tests, the_last_token_of_a_snapshot_is_not_read_from_the_array);
    tcase_add_test(tests, a_text_does_not_depend_on_where_its_bytes_are_cut);
    tcase_add_test(tests, random_texts_end_before_the_stop_string_completed_first);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
