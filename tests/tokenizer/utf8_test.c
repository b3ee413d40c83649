/*
 * utf8_test.c - broken text is repaired as Unicode recommends, good text is left alone
 */
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/utf8.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define FFFD "\xEF\xBF\xBD"

static void repair(const char *text, size_t length, const char *wanted, size_t wanted_length)
{
    char *out = malloc(UTF8_REPAIRED_ROOM(length) + 1);
    size_t written = utf8_repair(text, length, out);

    if (written != wanted_length || memcmp(out, wanted, wanted_length) != 0)
        ck_abort_msg("%zu bytes are repaired to %zu bytes: '%.*s'", length, written, (int)written,
                     out);
    free(out);
}

START_TEST(each_maximal_broken_part_becomes_one_replacement)
{
    static const struct {
        const char *text;
        const char *wanted;
    } cases[] = {
        {"", ""},
        {"plain text", "plain text"},
        {"\xC3\xA9\xE6\xB0\xB4\xF0\x9F\x98\x80", "\xC3\xA9\xE6\xB0\xB4\xF0\x9F\x98\x80"},
        {"a\x80z", "a" FFFD "z"},
        {"\xC3", FFFD},
        {"\xC3z", FFFD "z"},
        {"\xE2\x82", FFFD},
        {"\xE2\x82z", FFFD "z"},
        {"\xE2\x28\xA1", FFFD "(" FFFD},
        {"\xC0\x80", FFFD FFFD},
        {"\xE0\x80\x80", FFFD FFFD FFFD},
        {"\xED\xA0\x80", FFFD FFFD FFFD},
        {"\xF0\x9F\x98", FFFD},
        {"\xF0\x8F\xBF\xBF", FFFD FFFD FFFD FFFD},
        {"\xF4\x90\x80\x80", FFFD FFFD FFFD FFFD},
        {"\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF"},
        {"\xF5\xFF", FFFD FFFD},
        {"12345678\xFF", "12345678" FFFD},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        repair(cases[i].text, strlen(cases[i].text), cases[i].wanted, strlen(cases[i].wanted));
}
END_TEST

START_TEST(nul_is_a_character)
{
    repair("a\0\xFFz", 4, "a\0" FFFD "z", 6);
    ck_assert_uint_eq(utf8_valid("a\0z", 3), 3);
}
END_TEST

START_TEST(the_valid_beginning_is_measured)
{
    ck_assert_uint_eq(utf8_valid("0123456789\xC3\xA9\xC3", 13), 12);
    ck_assert_uint_eq(utf8_valid("\xFF", 1), 0);
    ck_assert_uint_eq(utf8_valid("", 0), 0);
}
END_TEST

static size_t put(unsigned code, char *out)
{
    size_t more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};

    for (size_t i = more; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (char)(leads[more] | code);
    return more + 1;
}

START_TEST(every_code_point_but_the_surrogates_is_valid)
{
    char text[4];
    bool valid;

    for (unsigned code = 0; code <= 0x10FFFF; code++) {
        size_t length = put(code, text);
        size_t step = utf8_step(text, length, &valid);
        bool surrogate = code >= 0xD800 && code < 0xE000;

        if (valid == surrogate || (valid && step != length))
            ck_abort_msg("U+%04X", code);
        if (valid && utf8_code_point(text) != code)
            ck_abort_msg("U+%04X is read as U+%04X", code, utf8_code_point(text));
    }
}
END_TEST

START_TEST(each_byte_has_one_letter_of_the_alphabet)
{
    bool seen[256] = {false};
    char text[4];
    unsigned char byte;
    size_t length;
    unsigned letters = 0;

    for (unsigned code = 0; code < 0x400; code++) {
        if (!byte_level_decode(text, put(code, text), &byte, &length))
            continue;
        ck_assert_uint_eq(length, 1);
        ck_assert(!seen[byte]);
        seen[byte] = true;
        letters++;
    }
    ck_assert_uint_eq(letters, 256);
    ck_assert(byte_level_decode("\xC4\xA0t", 3, (unsigned char *)text, &length));
    ck_assert_uint_eq(length, 2);
    ck_assert_int_eq(memcmp(text, " t", 2), 0);
    ck_assert(!byte_level_decode("a b", 3, (unsigned char *)text, &length));
    ck_assert(!byte_level_decode("\xC4", 1, (unsigned char *)text, &length));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tests = tcase_create("utf8");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, each_maximal_broken_part_becomes_one_replacement);
    tcase_add_test(tests, nul_is_a_character);
    tcase_add_test(tests, the_valid_beginning_is_measured);
    tcase_add_test(tests, every_code_point_but_the_surrogates_is_valid);
    tcase_add_test(tests, each_byte_has_one_letter_of_the_alphabet);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
