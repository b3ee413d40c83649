/*
 * elementary_test.c - exp, log, sine and cosine beside the C library's
 */
#include "tests/llama/fixture.h"
#include "workers/llama/elementary.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { TRIES = 200000 };

/* In [-size, size) */
static double between(uint64_t *state, double size)
{
    return ((double)(next_random(state) >> 11) * 0x1p-52 - 1) * size;
}

START_TEST(exp_is_within_an_ulp_or_so)
{
    uint64_t random = 1;

    for (int i = 0; i < TRIES; i++) {
        double x = between(&random, 700), true_value = exp(x);
        ck_assert_double_le(fabs(elementary_exp(x) - true_value), 5e-16 * true_value);
    }
}
END_TEST

START_TEST(exp_has_its_limits)
{
    ck_assert_double_eq(elementary_exp(0), 1);
    ck_assert_double_eq(elementary_exp(800), INFINITY);
    ck_assert_double_eq(elementary_exp(INFINITY), INFINITY);
    ck_assert_double_eq(elementary_exp(-800), 0);
    ck_assert_double_eq(elementary_exp(-INFINITY), 0);
    ck_assert_double_nan(elementary_exp(NAN));
}
END_TEST

START_TEST(log_is_within_an_ulp_or_so)
{
    uint64_t random = 2;

    for (int i = 0; i < TRIES; i++) {
        double x = exp(between(&random, 100)), true_value = log(x);
        ck_assert_double_le(fabs(elementary_log(x) - true_value), 1e-15 * fabs(true_value));
    }
}
END_TEST

START_TEST(log_has_its_limits)
{
    ck_assert_double_eq(elementary_log(1), 0);
    ck_assert_double_eq(elementary_log(0), -INFINITY);
    ck_assert_double_eq(elementary_log(INFINITY), INFINITY);
    ck_assert_double_nan(elementary_log(-1));
    ck_assert_double_nan(elementary_log(NAN));
    ck_assert_double_eq_tol(elementary_log(0x1p-1074), -1074 * log(2), 1e-12);
}
END_TEST

START_TEST(power_is_exp_of_log)
{
    ck_assert_double_eq_tol(elementary_power(10000, -0.5), 0.01, 1e-17);
    ck_assert_double_eq(elementary_power(10000, 0), 1);
}
END_TEST

START_TEST(sine_and_cosine_keep_their_precision_at_large_angles)
{
    uint64_t random = 3;

    for (int i = 0; i < TRIES; i++) {
        double x = between(&random, i % 2 ? 10 : ELEMENTARY_ANGLE_LIMIT), s, c;

        elementary_sine_cosine(x, &s, &c);
        ck_assert_double_le(fabs(s - sin(x)), 3e-16);
        ck_assert_double_le(fabs(c - cos(x)), 3e-16);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("elementary");
    TCase *tests = tcase_create("elementary");

    tcase_add_test(tests, exp_is_within_an_ulp_or_so);
    tcase_add_test(tests, exp_has_its_limits);
    tcase_add_test(tests, log_is_within_an_ulp_or_so);
    tcase_add_test(tests, log_has_its_limits);
    tcase_add_test(tests, power_is_exp_of_log);
    tcase_add_test(tests, sine_and_cosine_keep_their_precision_at_large_angles);
    suite_add_tcase(suite, tests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
