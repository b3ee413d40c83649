/*
 * Tests of runtime/collector/stop.c: stop strings in a text that comes byte by byte
 */
#include "runtime/collector/stop.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STRINGS = 5 };

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

/* Where in the text the first stop string is complete (0: nowhere), and its length. */
struct finding {
    size_t end;
    size_t length;
};

static struct finding find(const char *const *strings, unsigned count, const char *text)
{
    mr_bytes list[MAX_STRINGS];
    struct finding finding = {0, 0};
    struct stops *stops;
    for (unsigned i = 0; i < count; i++)
        list[i] = bytes_of(strings[i]);
    ck_assert_int_eq(stops_new(&stops, list, count), 0);
    for (size_t i = 0; text[i] != '\0' && finding.end == 0; i++) {
        finding.length = stops_feed(stops, (unsigned char)text[i]);
        finding.end = finding.length > 0 ? i + 1 : 0;
    }
    stops_free(stops);
    return finding;
}

/* The same by trying every end and every string. */
static struct finding find_slowly(const char *const *strings, unsigned count, const char *text)
{
    struct finding finding = {0, 0};
    for (size_t end = 1; end <= strlen(text) && finding.end == 0; end++)
        for (unsigned i = 0; i < count; i++) {
            size_t length = strlen(strings[i]);
            if (length == 0 || length > end || length <= finding.length ||
                memcmp(text + end - length, strings[i], length) != 0)
                continue;
            finding = (struct finding){end, length};
        }
    return finding;
}

static size_t pending_slowly(const char *const *strings, unsigned count, const char *text,
                             size_t end)
{
    size_t longest = 0;
    for (unsigned i = 0; i < count; i++)
        for (size_t n = 1; n < strlen(strings[i]) && n <= end; n++)
            if (memcmp(text + end - n, strings[i], n) == 0 && n > longest)
                longest = n;
    return longest;
}

START_TEST(the_string_that_is_completed_first_counts)
{
    const char *strings[] = {"abcd", "c"};
    struct finding finding = find(strings, 2, "xabcd");
    ck_assert_uint_eq(finding.end, 4);
    ck_assert_uint_eq(finding.length, 1);
}
END_TEST

START_TEST(of_two_that_end_together_the_longer_counts)
{
    const char *strings[] = {"b", "aab", "ab"};
    struct finding finding = find(strings, 3, "aaab");
    ck_assert_uint_eq(finding.end, 4);
    ck_assert_uint_eq(finding.length, 3);
}
END_TEST

START_TEST(a_string_that_overlaps_itself_is_found_where_it_ends_first)
{
    const char *strings[] = {"aabaabaaa"};
    ck_assert_uint_eq(find(strings, 1, "aabaabaabaaa").end, 12);
}
END_TEST

START_TEST(an_empty_string_is_never_found)
{
    const char *strings[] = {"", "z"};
    ck_assert_uint_eq(find(strings, 2, "abc").end, 0);
    ck_assert_uint_eq(find(strings, 2, "abz").end, 3);
}
END_TEST

START_TEST(no_strings_find_nothing)
{
    struct stops *stops;
    ck_assert_int_eq(stops_new(&stops, NULL, 0), 0);
    ck_assert_uint_eq(stops_feed(stops, 'a'), 0);
    ck_assert_uint_eq(stops_pending(stops), 0);
    stops_free(stops);
}
END_TEST

START_TEST(bytes_of_all_values_are_found)
{
    const mr_bytes string = {"\0\xff\x80", 3};
    struct stops *stops;
    ck_assert_int_eq(stops_new(&stops, &string, 1), 0);
    ck_assert_uint_eq(stops_feed(stops, 0), 0);
    ck_assert_uint_eq(stops_pending(stops), 1);
    ck_assert_uint_eq(stops_feed(stops, 0xff), 0);
    ck_assert_uint_eq(stops_feed(stops, 0x80), 3);
    stops_free(stops);
}
END_TEST

static void random_text(char *text, size_t length, unsigned letters)
{
    for (size_t i = 0; i < length; i++)
        text[i] = (char)('a' + (unsigned)random() % letters);
    text[length] = '\0';
}

/* compare - what is found and what is pending, byte by byte, with the slow way */
static void compare(const char *const *strings, unsigned count, const char *text)
{
    struct finding slow = find_slowly(strings, count, text);
    struct finding fast = find(strings, count, text);
    mr_bytes list[MAX_STRINGS];
    struct stops *stops;
    ck_assert_uint_eq(fast.end, slow.end);
    ck_assert_uint_eq(fast.length, slow.length);
    for (unsigned i = 0; i < count; i++)
        list[i] = bytes_of(strings[i]);
    ck_assert_int_eq(stops_new(&stops, list, count), 0);
    for (size_t i = 0; text[i] != '\0' && stops_feed(stops, (unsigned char)text[i]) == 0; i++)
        ck_assert_uint_eq(stops_pending(stops), pending_slowly(strings, count, text, i + 1));
    stops_free(stops);
}

START_TEST(random_strings_are_found_as_by_trying_all)
{
    srandom(1);
    for (int round = 0; round < 20000; round++) {
        char store[MAX_STRINGS][12], text[60];
        const char *strings[MAX_STRINGS];
        unsigned letters = 1 + (unsigned)random() % 3;
        unsigned count = 1 + (unsigned)random() % MAX_STRINGS;
        for (unsigned i = 0; i < count; i++) {
            random_text(store[i], 1 + (size_t)random() % 10, letters);
            strings[i] = store[i];
        }
        random_text(text, (size_t)random() % 59, letters);
        compare(strings, count, text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stop strings");
    TCase *tests = tcase_create("stop");
    SRunner *runner;
    int failed;
    tcase_add_test(tests, the_string_that_is_completed_first_counts);
    tcase_add_test(tests, of_two_that_end_together_the_longer_counts);
    tcase_add_test(tests, a_string_that_overlaps_itself_is_found_where_it_ends_first);
    tcase_add_test(tests, an_empty_string_is_never_found);
    tcase_add_test(tests, no_strings_find_nothing);
    tcase_add_test(tests, bytes_of_all_values_are_found);
    tcase_add_test(tests, random_strings_are_found_as_by_trying_all);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
