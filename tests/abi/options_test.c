/*
 * options_test.c - programs built with older and newer headers attach: options begin with their
 * size
 */
#include "tests/ipc/support.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>

static mr_domain *domain;

static void setup(void)
{
    domain = support_domain(4);
}

static void teardown(void)
{
    support_close(domain);
}

/* Ends where the first release's required options end; what lies behind it is not the library's. */
START_TEST(an_older_and_smaller_struct_of_options_still_joins)
{
    struct {
        _Alignas(mr_worker_options) unsigned char options[offsetof(mr_worker_options,
                                                                   model_fingerprint)];
        unsigned char behind[sizeof(mr_worker_options)];
    } old;
    mr_worker_options options = {
        .size = sizeof(old.options), .capacity = 2, .fingerprint = "old", .name = "old"};
    mr_member_info info;
    mr_worker *worker;

    memset(&old, 0xff, sizeof(old));
    memcpy(old.options, &options, sizeof(old.options));
    ck_assert_msg(!mr_worker_join(&worker, domain, (const mr_worker_options *)(void *)&old), "%s",
                  mr_error());
    ck_assert_int_eq(mr_member_get_info(domain, mr_worker_index(worker), &info), 0);
    ck_assert_uint_eq(info.capacity, 2);
    ck_assert_uint_eq(info.flags, 0);
    ck_assert_str_eq(info.name, "old");
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_newer_and_larger_struct_joins_if_it_asks_for_nothing_new)
{
    struct {
        mr_worker_options options;
        uint64_t new_option;
    } new = {.options = {.size = sizeof(new), .capacity = 2, .fingerprint = "new"}};
    mr_worker *worker;

    ck_assert_msg(!mr_worker_join(&worker, domain, &new.options), "%s", mr_error());
    mr_worker_leave(worker);
    new.new_option = 1;
    ck_assert_int_eq(mr_worker_join(&worker, domain, &new.options), -E2BIG);
    ck_assert_ptr_nonnull(strstr(mr_error(), mr_version()));
}
END_TEST

START_TEST(a_size_that_no_release_had_is_refused)
{
    const uint32_t sizes[] = {0, 4, offsetof(mr_worker_options, model_fingerprint) - 1, 4097,
                              UINT32_MAX};
    mr_worker *worker;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        mr_worker_options options = {.size = sizes[i], .capacity = 1, .fingerprint = "x"};

        ck_assert_int_eq(mr_worker_join(&worker, domain, &options), -EINVAL);
        ck_assert_ptr_nonnull(strstr(mr_error(), ".size"));
    }
}
END_TEST

START_TEST(an_older_and_smaller_struct_of_answers_is_filled_as_far_as_it_goes)
{
    struct {
        mr_domain_info info;
        unsigned char canary;
    } out = {.info = {.size = offsetof(mr_domain_info, kinds)}, .canary = 0xa5};

    out.info.kinds = 77;
    mr_domain_get_info(domain, &out.info);
    ck_assert_uint_eq(out.info.slots, 4);
    ck_assert_uint_eq(out.info.kinds, 77);
    ck_assert_uint_eq(out.canary, 0xa5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("abi");
    TCase *tests = tcase_create("sizes");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_older_and_smaller_struct_of_options_still_joins);
    tcase_add_test(tests, a_newer_and_larger_struct_joins_if_it_asks_for_nothing_new);
    tcase_add_test(tests, a_size_that_no_release_had_is_refused);
    tcase_add_test(tests, an_older_and_smaller_struct_of_answers_is_filled_as_far_as_it_goes);
    suite_add_tcase(suite, tests);
    return support_run(suite);
}
