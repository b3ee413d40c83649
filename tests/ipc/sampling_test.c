/*
 * sampling_test.c - sampling parameters beyond the golden vectors: requests from outside, what
 * can't be computed with
 */
#include <check.h>
#include <math.h>
#include <millrace/error.h>
#include <millrace/sampling.h>
#include <string.h>

static mr_sampling sampling;

static void begin(void)
{
    mr_sampling_defaults(&sampling);
}

START_TEST(a_refused_set_stays_as_it_was)
{
    mr_sampling before;

    sampling.top_k = 0;
    sampling.temperature = 0;
    sampling.repetition_penalty = 0;
    before = sampling;
    ck_assert_int_lt(mr_sampling_check(&sampling), 0);
    ck_assert_int_eq(mr_error_code(), MR_SAMPLING_REPETITION_PENALTY);
    ck_assert_mem_eq(&sampling, &before, sizeof(before));
}
END_TEST

START_TEST(no_field_may_be_nan_or_infinite)
{
    double *const fields[] = {&sampling.top_p,
                              &sampling.temperature,
                              &sampling.frequency_penalty,
                              &sampling.presence_penalty,
                              &sampling.repetition_penalty,
                              &sampling.min_p};
    const double values[] = {(double)NAN, (double)INFINITY};

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        for (size_t j = 0; j < 2; j++) {
            begin();
            sampling.top_k = 1;
            *fields[i] = values[j];
            ck_assert_int_lt(mr_sampling_check(&sampling), 0);
            ck_assert_int_lt(mr_sampling_check_request(&sampling), 0);
        }
}
END_TEST

START_TEST(a_request_may_have_min_p_with_any_top_k)
{
    sampling.min_p = 0.1;
    ck_assert_int_lt(mr_sampling_check(&sampling), 0);
    ck_assert_int_eq(mr_error_code(), MR_SAMPLING_MIN_P_WITH_TOP_K);
    ck_assert_int_eq(mr_sampling_check_request(&sampling), 0);
    sampling.min_p = 1.5;
    ck_assert_int_lt(mr_sampling_check_request(&sampling), 0);
    ck_assert_int_eq(mr_error_code(), MR_SAMPLING_MIN_P_RANGE);
}
END_TEST

START_TEST(a_request_may_have_a_large_top_k)
{
    sampling.top_k = 100000;
    ck_assert_int_lt(mr_sampling_check(&sampling), 0);
    ck_assert_int_eq(mr_sampling_check_request(&sampling), 0);
    ck_assert_int_eq(sampling.top_k, 100000);
    sampling.top_k = -2;
    ck_assert_int_lt(mr_sampling_check_request(&sampling), 0);
    ck_assert_int_eq(mr_error_code(), MR_SAMPLING_TOP_K_RANGE);
}
END_TEST

START_TEST(greedy_defaults_of_a_model_stick_until_both_fields_are_given)
{
    mr_sampling_given model = {0}, user = {.fields = MR_GIVEN_TOP_K, .values = {.top_k = 40}};

    mr_sampling_merge(&sampling, &model, true, &user);
    ck_assert_int_eq(mr_sampling_check(&sampling), 0);
    ck_assert_int_eq(sampling.top_k, 1);
    user.fields |= MR_GIVEN_TEMPERATURE;
    user.values.temperature = 0.7;
    mr_sampling_merge(&sampling, &model, true, &user);
    ck_assert_int_eq(mr_sampling_check(&sampling), 0);
    ck_assert_int_eq(sampling.top_k, 40);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampling");
    TCase *cases = tcase_create("sampling");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, begin, NULL);
    tcase_add_test(cases, a_refused_set_stays_as_it_was);
    tcase_add_test(cases, no_field_may_be_nan_or_infinite);
    tcase_add_test(cases, a_request_may_have_min_p_with_any_top_k);
    tcase_add_test(cases, a_request_may_have_a_large_top_k);
    tcase_add_test(cases, greedy_defaults_of_a_model_stick_until_both_fields_are_given);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
