/*
 * kv_test.c - pages of the cache: bounded, given back, shared
 */
#include "tests/llama/fixture.h"
#include "workers/llama/kv.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

enum { PAGES = 12, SEQUENCES = 6, LONGEST = 80 };

/* The cache asks for these of a model alone. */
static const model SIZES = {.layers = 2, .key_heads = 3, .head_size = 20};

static kv cache;

static void make_cache(void)
{
    ck_assert_int_eq(kv_create(&cache, &SIZES, PAGES, SEQUENCES, LONGEST), 0);
}

static void destroy_cache(void)
{
    kv_destroy(&cache);
}

START_TEST(a_sequence_takes_all_its_pages_at_once)
{
    kv_sequence *a, *b;

    ck_assert_int_eq(kv_open(&cache, 1, NULL, 0, &a), 0);
    ck_assert_uint_eq(cache.free_count, PAGES - 1);
    ck_assert_int_eq(kv_open(&cache, 17, NULL, 0, &b), 0);
    ck_assert_uint_eq(cache.free_count, PAGES - 3);
    kv_close(&cache, a);
    kv_close(&cache, b);
    ck_assert_uint_eq(cache.free_count, PAGES);
    ck_assert(kv_check(&cache));
}
END_TEST

START_TEST(a_full_cache_refuses_until_pages_come_back)
{
    kv_sequence *a, *b, *c;

    ck_assert_int_eq(kv_open(&cache, LONGEST, NULL, 0, &a), 0);
    ck_assert_int_eq(kv_open(&cache, LONGEST, NULL, 0, &b), 0);
    ck_assert_int_eq(kv_open(&cache, 33, NULL, 0, &c), -EAGAIN);
    ck_assert_int_eq(kv_open(&cache, 32, NULL, 0, &c), 0);
    ck_assert_uint_eq(cache.free_count, 0);
    kv_close(&cache, b);
    ck_assert_int_eq(kv_open(&cache, LONGEST, NULL, 0, &b), 0);
    ck_assert(kv_check(&cache));
}
END_TEST

START_TEST(what_can_never_fit_is_told_apart)
{
    kv small;
    kv_sequence *s;

    ck_assert_int_eq(kv_open(&cache, LONGEST + 1, NULL, 0, &s), -E2BIG);
    ck_assert_int_eq(kv_open(&cache, 0, NULL, 0, &s), -E2BIG);
    ck_assert_int_eq(kv_create(&small, &SIZES, 2, 1, LONGEST), 0);
    ck_assert_int_eq(kv_open(&small, 33, NULL, 0, &s), -E2BIG);
    ck_assert_int_eq(kv_open(&small, 32, NULL, 0, &s), 0);
    kv_destroy(&small);
}
END_TEST

START_TEST(there_are_no_more_sequences_than_places)
{
    kv_sequence *s;

    for (int i = 0; i < SEQUENCES; i++)
        ck_assert_int_eq(kv_open(&cache, 1, NULL, 0, &s), 0);
    ck_assert_int_eq(kv_open(&cache, 1, NULL, 0, &s), -EAGAIN);
}
END_TEST

START_TEST(full_pages_of_a_common_beginning_are_shared)
{
    kv_sequence *a, *b;

    ck_assert_int_eq(kv_open(&cache, 60, NULL, 0, &a), 0);
    a->length = 40;
    ck_assert_int_eq(kv_open(&cache, 60, a, 40, &b), 0);
    ck_assert_uint_eq(b->length, 32);
    ck_assert_uint_eq(b->pages[0], a->pages[0]);
    ck_assert_uint_eq(b->pages[1], a->pages[1]);
    ck_assert_uint_ne(b->pages[2], a->pages[2]);
    ck_assert_uint_eq(cache.free_count, PAGES - 6);
    kv_close(&cache, a);
    ck_assert(kv_check(&cache));
    ck_assert_uint_eq(cache.free_count, PAGES - 4);
}
END_TEST

START_TEST(only_computed_and_common_positions_are_shared)
{
    kv_sequence *a, *b, *c;

    ck_assert_int_eq(kv_open(&cache, 60, NULL, 0, &a), 0);
    a->length = 31;
    ck_assert_int_eq(kv_open(&cache, 60, a, 60, &b), 0);
    ck_assert_uint_eq(b->length, 16);
    a->length = 60;
    ck_assert_int_eq(kv_open(&cache, 20, a, 15, &c), 0);
    ck_assert_uint_eq(c->length, 0);
    ck_assert(kv_check(&cache));
}
END_TEST

/* The new sequence would begin at its end: it must keep a page to write in. */
START_TEST(a_sequence_of_whole_pages_can_be_shared_to_its_end)
{
    kv_sequence *a, *b;

    ck_assert_int_eq(kv_open(&cache, 32, NULL, 0, &a), 0);
    a->length = 32;
    ck_assert_int_eq(kv_open(&cache, 32, a, 32, &b), 0);
    ck_assert_uint_eq(b->length, 32);
    ck_assert(kv_check(&cache));
}
END_TEST

/* Its length must not pass its limit. */
START_TEST(a_short_sequence_shares_no_more_than_it_may_have)
{
    kv_sequence *a, *b;

    ck_assert_int_eq(kv_open(&cache, 32, NULL, 0, &a), 0);
    a->length = 32;
    ck_assert_int_eq(kv_open(&cache, 5, a, 32, &b), 0);
    ck_assert_uint_eq(b->length, 0);
    ck_assert(kv_check(&cache));
}
END_TEST

START_TEST(positions_lie_where_the_kernels_look)
{
    kv_sequence *s;
    float keys[3 * 20], values[3 * 20];

    ck_assert_int_eq(kv_open(&cache, 40, NULL, 0, &s), 0);
    for (int i = 0; i < 60; i++) {
        keys[i] = (float)i;
        values[i] = (float)(100 + i);
    }
    kv_put(&cache, s, 1, 18, keys, values);
    const float *head =
        cache.memory + s->pages[1] * cache.page_floats + kv_head_offset(&cache, 1, 2);
    ck_assert_float_eq(head[5 * LANES + 2], 45);
    ck_assert_float_eq(head[20 * LANES + 2 * 32 + 5], 145);
    ck_assert_uint_eq(kv_page_bytes(&SIZES), 2 * 3 * (20 + 32) * 16 * sizeof(float));
}
END_TEST

START_TEST(no_page_is_lost_whatever_is_opened_and_closed)
{
    kv_sequence *open[SEQUENCES] = {0};
    uint64_t random = 11;

    for (int round = 0; round < 20000; round++) {
        uint64_t r = next_random(&random);
        kv_sequence **at = &open[r % SEQUENCES];
        const kv_sequence *from = open[r >> 8 & 3];

        if (*at && r >> 20 & 1) {
            uint32_t room = (*at)->limit - (*at)->length;
            (*at)->length += room ? (uint32_t)(r >> 32) % (room + 1) : 0;
        } else if (*at) {
            kv_close(&cache, *at);
            *at = NULL;
        } else if (kv_open(&cache, (uint32_t)(r >> 32) % 90, from, (uint32_t)(r >> 40) % 90, at) <
                   0) {
            *at = NULL;
        }
        ck_assert(kv_check(&cache));
    }
    for (int i = 0; i < SEQUENCES; i++)
        if (open[i])
            kv_close(&cache, open[i]);
    ck_assert_uint_eq(cache.free_count, PAGES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kv");
    TCase *tests = tcase_create("kv");

    tcase_add_checked_fixture(tests, make_cache, destroy_cache);
    tcase_add_test(tests, a_sequence_takes_all_its_pages_at_once);
    tcase_add_test(tests, a_full_cache_refuses_until_pages_come_back);
    tcase_add_test(tests, what_can_never_fit_is_told_apart);
    tcase_add_test(tests, there_are_no_more_sequences_than_places);
    tcase_add_test(tests, full_pages_of_a_common_beginning_are_shared);
    tcase_add_test(tests, only_computed_and_common_positions_are_shared);
    tcase_add_test(tests, a_sequence_of_whole_pages_can_be_shared_to_its_end);
    tcase_add_test(tests, a_short_sequence_shares_no_more_than_it_may_have);
    tcase_add_test(tests, positions_lie_where_the_kernels_look);
    tcase_add_test(tests, no_page_is_lost_whatever_is_opened_and_closed);
    suite_add_tcase(suite, tests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
