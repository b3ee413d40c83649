/*
 * pretokenize_test.c - the cuts of each pre-tokenizer, compiled and interpreted, in good time
 *
 * That they agree with the reference is vectors_test.c's business.
 */
#include "runtime/tokenizer/pretokenize.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"default", "gpt-2", "smollm", "llama-bpe", "qwen2"};
enum { NAMES = 5 };

static char error[256];

static pretokenizer *open_cutter(const char *name, bool jit)
{
    pretokenizer *cutter = pretokenizer_new(name, jit, error, sizeof(error));

    ck_assert_msg(cutter != NULL, "%s", error);
    return cutter;
}

/* The pieces, each behind a bar. */
static const char *cuts(const char *name, const char *text)
{
    static char shown[512];
    pretokenizer *cutter = open_cutter(name, true);
    size_t length = strlen(text);
    size_t used = 0;
    size_t end;

    for (size_t start = 0; start < length; start = end) {
        ck_assert_int_eq(pretokenizer_next(cutter, text, length, start, &end), 0);
        used += (size_t)snprintf(shown + used, sizeof(shown) - used, "|%.*s", (int)(end - start),
                                 text + start);
    }
    pretokenizer_free(cutter);
    return shown;
}

START_TEST(words_keep_the_blank_before_them)
{
    for (size_t i = 0; i < NAMES; i++)
        ck_assert_str_eq(cuts(names[i], "the mill  race"), "|the| mill| | race");
}
END_TEST

START_TEST(digits_are_cut_as_each_family_has_it)
{
    ck_assert_str_eq(cuts("default", "in 12345"), "|in| |123|45");
    ck_assert_str_eq(cuts("gpt-2", "in 12345"), "|in| 12345");
    ck_assert_str_eq(cuts("smollm", "in 12345"), "|in| |1|2|3|4|5");
    ck_assert_str_eq(cuts("llama-bpe", "in 12345"), "|in| |123|45");
    ck_assert_str_eq(cuts("qwen2", "in 12345"), "|in| |1|2|3|4|5");
}
END_TEST

START_TEST(contractions_are_cut_as_each_family_has_it)
{
    ck_assert_str_eq(cuts("default", "I'll SAY'S"), "|I|'|ll| SAY|'|S");
    ck_assert_str_eq(cuts("gpt-2", "I'll SAY'S"), "|I|'ll| SAY|'|S");
    ck_assert_str_eq(cuts("smollm", "I'll SAY'S"), "|I|'ll| SAY|'|S");
    ck_assert_str_eq(cuts("llama-bpe", "I'll SAY'S"), "|I|'ll| SAY|'S");
    ck_assert_str_eq(cuts("qwen2", "'\xC5\xBF"), "|'\xC5\xBF"); /* long s is a case of s */
}
END_TEST

START_TEST(the_mongolian_vowel_separator_is_no_blank)
{
    ck_assert_str_eq(cuts("gpt-2", "a\xE1\xA0\x8E!"), "|a|\xE1\xA0\x8E!");
    ck_assert_str_eq(cuts("llama-bpe", "a  \xE1\xA0\x8E"), "|a| | \xE1\xA0\x8E");
}
END_TEST

START_TEST(an_unknown_name_is_refused_with_the_known_ones)
{
    ck_assert_ptr_null(pretokenizer_new("tekken", true, error, sizeof(error)));
    ck_assert_str_eq(error, "the model file's pre-tokenizer 'tekken' is not known; it can be one "
                            "of 'default', 'gpt-2', 'smollm', 'llama-bpe', 'qwen2'");
    ck_assert_ptr_null(pretokenizer_new("", false, error, sizeof(error)));
}
END_TEST

static void fill(char *text, size_t length, const char *unit)
{
    size_t n = strlen(unit);

    for (size_t i = 0; i < length; i++)
        text[i] = unit[i % n];
}

/* Pieces of a text, and a hash of where they end. */
static size_t count_pieces(pretokenizer *cutter, const char *text, size_t length, size_t *hash)
{
    size_t pieces = 0;
    size_t end;

    *hash = 0;
    for (size_t start = 0; start < length; start = end, pieces++) {
        if (pretokenizer_next(cutter, text, length, start, &end) != 0 || end <= start)
            ck_abort_msg("no piece at %zu of '%.8s...'", start, text);
        *hash = *hash * 31 + end;
    }
    return pieces;
}

static void compare(const char *name, const char *unit, size_t size)
{
    size_t length = size / strlen(unit) * strlen(unit);
    char *text = malloc(length + 1);
    pretokenizer *compiled = open_cutter(name, true);
    pretokenizer *interpreted = open_cutter(name, false);
    size_t hashes[2];

    fill(text, length, unit);
    text[length] = 'x';
    ck_assert_uint_eq(count_pieces(compiled, text, length + 1, &hashes[0]),
                      count_pieces(interpreted, text, length + 1, &hashes[1]));
    ck_assert_uint_eq(hashes[0], hashes[1]);
    pretokenizer_free(compiled);
    pretokenizer_free(interpreted);
    free(text);
}

START_TEST(a_megabyte_of_one_class_is_cut_compiled_and_interpreted_alike)
{
    static const char *const units[] = {
        "a", " ", "\n", "\t", "!", "_", "$", "\1", "\r\n", "\xC3\xA9", "\xE6\xB0\xB4", "\xC2\xA0",
    };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        compare(names[_i], units[i], 1000000);
    compare(names[_i], "\xD9\xA1", 200000); /* a digit: a piece each, for some */
}
END_TEST

START_TEST(alternating_classes_are_cut_compiled_and_interpreted_alike)
{
    static const char *const units[] = {
        "1",
        ".\n",
        " \n",
        "a1",
        "'",
        "'s",
        " !",
        "  a",
        "12 ",
        "x  ",
        "\n ",
        "1\n",
        "\xD9\xA1\x31\x32",
    };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        compare(names[_i], units[i], 50000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pre-tokenizers");
    TCase *tests = tcase_create("cuts");
    TCase *runs = tcase_create("runs");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, words_keep_the_blank_before_them);
    tcase_add_test(tests, digits_are_cut_as_each_family_has_it);
    tcase_add_test(tests, contractions_are_cut_as_each_family_has_it);
    tcase_add_test(tests, the_mongolian_vowel_separator_is_no_blank);
    tcase_add_test(tests, an_unknown_name_is_refused_with_the_known_ones);
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(runs, a_megabyte_of_one_class_is_cut_compiled_and_interpreted_alike, 0,
                        NAMES);
    tcase_add_loop_test(runs, alternating_classes_are_cut_compiled_and_interpreted_alike, 0, NAMES);
    suite_add_tcase(suite, runs);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
