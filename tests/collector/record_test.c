/*
 * Tests of runtime/collector/record.c: JSON, the same bytes each time
 */
#include "runtime/collector/record.h"
#include <check.h>
#include <errno.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
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

static void expect(const char *json)
{
    ck_assert_uint_eq(record.count, strlen(json));
    ck_assert_mem_eq(record.bytes, json, record.count);
    record.count = 0;
}

static void put(const char *bytes, size_t length)
{
    record_string(&record, (mr_bytes){bytes, length});
}

START_TEST(characters_that_json_forbids_are_escaped)
{
    put("a\"b\\c/", 6);
    expect("\"a\\\"b\\\\c/\"");
    put("\b\f\n\r\t\0\x01\x1f\x7f", 9);
    expect("\"\\b\\f\\n\\r\\t\\u0000\\u0001\\u001f\x7f\"");
}
END_TEST

START_TEST(characters_of_all_lengths_stand_as_they_are)
{
    put("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9);
    expect("\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
}
END_TEST

START_TEST(broken_utf8_is_repaired)
{
    put("a\xFFz\xE2\x82", 5);
    expect("\"a\xEF\xBF\xBDz\xEF\xBF\xBD\"");
}
END_TEST

START_TEST(an_empty_string_may_have_no_bytes_at_all)
{
    put(NULL, 0);
    expect("\"\"");
}
END_TEST

START_TEST(every_string_is_read_back_by_a_json_parser)
{
    srandom(4);
    for (int round = 0; round < 5000; round++) {
        char bytes[20];
        json_t *value;
        size_t length = (size_t)random() % sizeof(bytes);
        for (size_t i = 0; i < length; i++)
            bytes[i] = (char)(random() % 4 ? random() % 128 : random());
        put(bytes, length);
        value = json_loadb(record.bytes, record.count, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        ck_assert_ptr_nonnull(value);
        json_decref(value);
        record.count = 0;
    }
}
END_TEST

static void expect_real(double number, const char *json)
{
    record_real(&record, number);
    expect(json);
}

START_TEST(a_number_has_the_fewest_digits_that_tell_it)
{
    expect_real(0.1, "0.1");
    expect_real(0.30000000000000004, "0.30000000000000004");
    expect_real(-1.25, "-1.25");
    expect_real((double)-0.1f, "-0.10000000149011612");
    expect_real(5e-324, "5e-324");
    expect_real(DBL_MAX, "1.7976931348623157e+308");
    expect_real(1e22, "1e+22");
}
END_TEST

START_TEST(a_whole_number_keeps_its_point)
{
    expect_real(0, "0.0");
    expect_real(-0.0, "-0.0");
    expect_real(-3, "-3.0");
}
END_TEST

START_TEST(what_is_no_number_becomes_very_unlikely)
{
    expect_real(NAN, "-9999.0");
    expect_real(-INFINITY, "-9999.0");
}
END_TEST

START_TEST(every_number_is_read_back_bit_by_bit)
{
    srandom(5);
    for (int round = 0; round < 100000; round++) {
        uint64_t bits = (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
        double number, again;
        memcpy(&number, &bits, sizeof(number));
        if (!isfinite(number))
            continue;
        record_real(&record, number);
        record_raw(&record, " ");
        record.bytes[record.count - 1] = '\0';
        again = strtod(record.bytes, NULL);
        ck_assert_mem_eq(&again, &number, sizeof(number));
        record.count = 0;
    }
}
END_TEST

/* The numbers that log-probabilities are made of, and what printf() and strtod() say of them. */
static double random_number(int round)
{
    switch (round % 4) {
    case 0:
        return -(double)random() / 1e8;
    case 1:
        return (double)(float)random() / 16777216;
    case 2:
        return (double)(random() % 1000000) / pow(10, (double)(random() % 10));
    default:
        return ldexp((double)(random() % 4096), -(int)(random() % 40));
    }
}

START_TEST(every_number_has_the_fewest_digits_that_printf_needs)
{
    srandom(6);
    for (int round = 0; round < 200000; round++) {
        double number = random_number(round);
        char digits[400];
        int precision = 15;
        do
            snprintf(digits, sizeof(digits) - 2, "%.*g", precision++, number);
        while (strtod(digits, NULL) != number);
        if (strpbrk(digits, ".e") == NULL)
            strcat(digits, ".0");
        record_real(&record, number);
        if (record.count != strlen(digits) || memcmp(record.bytes, digits, record.count) != 0)
            ck_abort_msg("'%.*s' instead of '%s'", (int)record.count, record.bytes, digits);
        record.count = 0;
    }
}
END_TEST

START_TEST(a_large_whole_number_is_exact)
{
    record_int(&record, UINT64_MAX);
    expect("18446744073709551615");
}
END_TEST

START_TEST(a_writer_without_a_drain_grows)
{
    for (int i = 0; i < 300000; i++)
        record_raw(&record, "0123456789");
    ck_assert_int_eq(record.error, 0);
    ck_assert_uint_eq(record.count, 3000000);
    ck_assert_mem_eq(record.bytes + 2999990, "0123456789", 10);
}
END_TEST

struct drained {
    size_t count;
    size_t largest;
    int error;
};

static int drain(void *self, const char *bytes, size_t count)
{
    struct drained *drained = self;
    bool same = true;
    for (size_t i = 0; i < count; i++)
        same &= bytes[i] == "0123456789"[(drained->count + i) % 10];
    ck_assert(same);
    drained->count += count;
    drained->largest = count > drained->largest ? count : drained->largest;
    return drained->error;
}

START_TEST(a_writer_with_a_drain_takes_bounded_memory)
{
    struct drained drained = {0};
    record_free(&record);
    ck_assert_int_eq(record_init(&record, drain, &drained), 0);
    for (int i = 0; i < 300000; i++)
        record_raw(&record, "0123456789");
    ck_assert_int_eq(record_flush(&record), 0);
    ck_assert_uint_eq(drained.count, 3000000);
    ck_assert_uint_le(drained.largest, RECORD_DRAINED_ROOM);
}
END_TEST

START_TEST(after_an_error_of_the_drain_nothing_is_written)
{
    struct drained drained = {.error = -ESHUTDOWN};
    record_free(&record);
    ck_assert_int_eq(record_init(&record, drain, &drained), 0);
    record_raw(&record, "0123456789");
    ck_assert_int_eq(record_flush(&record), -ESHUTDOWN);
    record_raw(&record, "0123456789");
    ck_assert_int_eq(record_flush(&record), -ESHUTDOWN);
    ck_assert_uint_eq(drained.count, 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("records");
    TCase *tests = tcase_create("json");
    SRunner *runner;
    int failed;
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, characters_that_json_forbids_are_escaped);
    tcase_add_test(tests, characters_of_all_lengths_stand_as_they_are);
    tcase_add_test(tests, broken_utf8_is_repaired);
    tcase_add_test(tests, an_empty_string_may_have_no_bytes_at_all);
    tcase_add_test(tests, every_string_is_read_back_by_a_json_parser);
    tcase_add_test(tests, a_number_has_the_fewest_digits_that_tell_it);
    tcase_add_test(tests, a_whole_number_keeps_its_point);
    tcase_add_test(tests, what_is_no_number_becomes_very_unlikely);
    tcase_add_test(tests, every_number_is_read_back_bit_by_bit);
    tcase_add_test(tests, every_number_has_the_fewest_digits_that_printf_needs);
    tcase_add_test(tests, a_large_whole_number_is_exact);
    tcase_add_test(tests, a_writer_without_a_drain_grows);
    tcase_add_test(tests, a_writer_with_a_drain_takes_bounded_memory);
    tcase_add_test(tests, after_an_error_of_the_drain_nothing_is_written);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
