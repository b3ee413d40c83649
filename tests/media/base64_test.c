/*
 * Tests of runtime/media/base64.h
 */
#include "runtime/media/base64.h"
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int decode(const char *text, unsigned char *bytes, size_t *length)
{
    return base64_decode(text, strlen(text), bytes, length);
}

/* RFC 4648, section 10, and one of the last two letters. */
START_TEST(the_examples_of_the_rfc_come_out)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xFB\xEF\xBF", "+++/"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const char *plain = pairs[i][0], *text = pairs[i][1];
        unsigned char bytes[16];
        char encoded[16];
        size_t length;
        base64_encode(plain, strlen(plain), encoded);
        ck_assert_uint_eq(BASE64_ENCODED(strlen(plain)), strlen(text));
        ck_assert_mem_eq(encoded, text, strlen(text));
        ck_assert_int_eq(decode(text, bytes, &length), 0);
        ck_assert_uint_eq(length, strlen(plain));
        ck_assert_mem_eq(bytes, plain, length);
    }
}
END_TEST

START_TEST(bytes_of_all_lengths_and_values_come_back)
{
    enum { MOST = 300 };
    for (size_t length = 0; length < MOST; length++) {
        unsigned char *bytes = malloc(length + 1), *back = malloc(BASE64_DECODED(MOST * 2));
        char *text = malloc(BASE64_ENCODED(length) + 1);
        size_t back_length;
        for (size_t i = 0; i < length; i++)
            bytes[i] = (unsigned char)(i * 151 + length * 7);
        base64_encode(bytes, length, text);
        ck_assert_int_eq(base64_decode(text, BASE64_ENCODED(length), back, &back_length), 0);
        ck_assert_uint_eq(back_length, length);
        ck_assert_mem_eq(back, bytes, length);
        free(bytes);
        free(back);
        free(text);
    }
}
END_TEST

START_TEST(a_text_is_decoded_in_its_own_memory)
{
    char text[] = "Zm9vYmFyZm9vYmFyZm9vYg==";
    size_t length;
    ck_assert_int_eq(decode(text, (unsigned char *)text, &length), 0);
    ck_assert_uint_eq(length, 16);
    ck_assert_mem_eq(text, "foobarfoobarfoob", 16);
}
END_TEST

START_TEST(what_is_not_strict_is_refused)
{
    static const char *const bad[] = {
        "Z",    "Zg",       "Zg=",        "Zm9",  "Zm9vY",     "=",        "====",      "Z===",
        "Zh==", "Zm9=",     "Z=g=",       "=g==", "Zg==Zg==",  "Zm8=Zm9v", " Zm9v",     "Zm9v\n",
        "Zm 9", "Zm9v Zm9", "Zm9v\r\nZm", "Zm-_", "Zm9vZm9v=", "Zm9v====", "\xC3\xA9Zm"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unsigned char bytes[16];
        size_t length;
        ck_assert_msg(decode(bad[i], bytes, &length) == -EINVAL, "'%s'", bad[i]);
    }
}
END_TEST

START_TEST(no_other_character_is_a_letter_at_any_place)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (unsigned c = 0; c < 256; c++)
        for (size_t at = 0; at < 8; at++) {
            char text[] = "AAAAAAAA";
            unsigned char bytes[8];
            size_t length;
            bool good = (c != 0 && strchr(letters, (int)c) != NULL) || (c == '=' && at == 7);
            text[at] = (char)c;
            ck_assert_int_eq(base64_decode(text, 8, bytes, &length) == 0, good);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base64");
    TCase *tests = tcase_create("base64");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_test(tests, the_examples_of_the_rfc_come_out);
    tcase_add_test(tests, bytes_of_all_lengths_and_values_come_back);
    tcase_add_test(tests, a_text_is_decoded_in_its_own_memory);
    tcase_add_test(tests, what_is_not_strict_is_refused);
    tcase_add_test(tests, no_other_character_is_a_letter_at_any_place);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
