/*
 * array_test.c - typed arrays, and the directory of a context that can't be trusted
 */
#include "ipc/parts.h"
#include "tests/ipc/fixture.h"
#include <check.h>
#include <errno.h>
#include <millrace/error.h>
#include <stdlib.h>
#include <string.h>

/* ---- descriptions ---- */

START_TEST(every_dtype_has_a_name_and_a_size)
{
    for (unsigned i = MR_BOOL; i < MR_DTYPES; i++) {
        ck_assert_uint_gt(mr_dtype_size(i), 0);
        ck_assert_uint_eq(mr_dtype_from_name(mr_dtype_name(i)), i);
    }
    ck_assert_uint_eq(mr_dtype_size(MR_DTYPES), 0);
    ck_assert_ptr_null(mr_dtype_name(MR_DTYPES));
    ck_assert_uint_eq(mr_dtype_from_name("float80"), MR_DTYPE_NONE);
}
END_TEST

START_TEST(sizes_that_no_memory_has_are_refused)
{
    mr_array array = {.dtype = MR_F64, .rank = 3, .shape = {INT64_MAX, 2, 0}};

    ck_assert_int_eq(mr_array_count(&array), -EOVERFLOW);
    array.shape[0] = INT64_MAX / 4;
    array.rank = 1;
    ck_assert_int_eq(mr_array_bytes(&array), -EOVERFLOW);
    array.shape[0] = -1;
    ck_assert_int_eq(mr_array_count(&array), -EINVAL);
    array.rank = MR_MAX_RANK + 1;
    ck_assert_int_eq(mr_array_count(&array), -EINVAL);
    array = (mr_array){.dtype = MR_DTYPES};
    ck_assert_int_eq(mr_array_count(&array), -EINVAL);
}
END_TEST

START_TEST(a_scalar_has_one_element_and_an_empty_array_none)
{
    mr_array scalar = {.dtype = MR_I16}, empty = {.dtype = MR_I16, .rank = 2, .shape = {3, 0}};

    ck_assert_int_eq(mr_array_bytes(&scalar), 2);
    ck_assert_int_eq(mr_array_bytes(&empty), 0);
    ck_assert(mr_array_is_contiguous(&scalar));
    ck_assert(mr_array_is_contiguous(&empty));
}
END_TEST

START_TEST(an_array_with_gaps_is_copied_together)
{
    static const int32_t matrix[] = {1, 2, 3, 4, 5, 6};
    mr_array transposed = {.dtype = MR_I32,
                           .rank = 2,
                           .shape = {3, 2},
                           .strides = {4, 12},
                           .data = (void *)(uintptr_t)matrix};
    const int32_t expected[] = {1, 4, 2, 5, 3, 6};
    int32_t copy[6];

    ck_assert(!mr_array_is_contiguous(&transposed));
    mr_array_copy(copy, &transposed);
    ck_assert_mem_eq(copy, expected, sizeof(expected));
}
END_TEST

START_TEST(a_hash_is_of_the_elements_in_order_whatever_their_strides)
{
    static const int32_t matrix[] = {1, 2, 3, 4, 5, 6}, ordered[] = {1, 4, 2, 5, 3, 6};
    mr_array transposed = {.dtype = MR_I32,
                           .rank = 2,
                           .shape = {3, 2},
                           .strides = {4, 12},
                           .data = (void *)(uintptr_t)matrix};
    mr_array flat = {.dtype = MR_I32, .rank = 1, .shape = {6}, .data = (void *)(uintptr_t)ordered};
    int64_t left, right;

    mr_array_make_contiguous(&flat);
    ck_assert_int_eq(mr_image_hash(&transposed, &left), 0);
    ck_assert_int_eq(mr_image_hash(&flat, &right), 0);
    ck_assert_int_eq(left, right);
    flat.shape[0] = -1;
    ck_assert_int_lt(mr_image_hash(&flat, &left), 0);
}
END_TEST

START_TEST(an_image_without_pixels_has_the_hash_of_nothing)
{
    mr_array gaps = {.dtype = MR_F32, .rank = 2, .shape = {0, 2}, .strides = {4, 99}};
    mr_array flat = {.dtype = MR_U8, .rank = 1, .shape = {0}, .strides = {1}};
    int64_t left = 1, right = 2;

    ck_assert(!mr_array_is_contiguous(&gaps));
    ck_assert_int_eq(mr_image_hash(&gaps, &left), 0);
    ck_assert_int_eq(mr_image_hash(&flat, &right), 0);
    ck_assert_int_eq(left, right);
    ck_assert_int_eq(left, 0x2d06800538d394c2); /* XXH3's of no bytes */
}
END_TEST

/* A sanitizer's malloc shall fail like any other. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* One float seen so often that no memory holds the copy. */
START_TEST(an_image_that_no_memory_holds_is_refused)
{
    static float one;
    mr_array endless = {
        .dtype = MR_F32, .rank = 2, .shape = {1 << 30, 1 << 28}, .strides = {0, 0}, .data = &one};
    int64_t hash = 5;

    ck_assert_int_eq(mr_image_hash(&endless, &hash), -ENOMEM);
    ck_assert_ptr_nonnull(strstr(mr_error(), "no memory for 1152921504606846976 bytes"));
    ck_assert_int_eq(hash, 5);
}
END_TEST

START_TEST(tokens_with_gaps_must_be_copied_first)
{
    static int64_t ids[] = {1, 2, 3, 4};
    mr_array array = {.dtype = MR_I64, .rank = 1, .shape = {2}, .strides = {16}, .data = ids};
    mr_tokens tokens;

    ck_assert_int_eq(mr_array_tokens(&array, &tokens), -ENOTSUP);
    array.shape[0] = -1;
    ck_assert_int_eq(mr_array_tokens(&array, &tokens), -EINVAL);
}
END_TEST

/* ---- a context with arrays ---- */

static struct fixture *fixture;
static mr_context *context;

static float noise[] = {1, 2, 3, 4};
static int64_t prompt[] = {5, 6};
static mr_array_given extras[2];
static mr_pixel_request pixel;

static mr_request painting_request(void)
{
    mr_request request = fixture_request(NULL, 0, 0);

    mr_pixel_request_defaults(&pixel);
    pixel.tokens = (mr_array){.dtype = MR_I64, .rank = 1, .shape = {2}, .data = prompt};
    pixel.noise = (mr_array){.dtype = MR_F32, .rank = 2, .shape = {2, 2}, .data = noise};
    mr_array_make_contiguous(&pixel.tokens);
    mr_array_make_contiguous(&pixel.noise);
    extras[0] = (mr_array_given){"scale", pixel.noise, 0};
    pixel.extra_params = extras;
    pixel.extra_count = 1;
    pixel.latents_room = 64;
    request.kind = MR_KIND_PIXEL;
    request.pixel = &pixel;
    return request;
}

static void begin(void)
{
    mr_request request = painting_request();

    fixture = fixture_new(&request, 0);
    ck_assert_ptr_nonnull(fixture);
    context = fixture_context(fixture);
}

static void end(void)
{
    fixture_free(fixture);
}

START_TEST(all_arrays_are_listed_with_their_names)
{
    size_t count = mr_context_array_count(context);
    mr_array_info info;
    mr_array array;
    bool extra = false;

    ck_assert_uint_eq(count, 12);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(mr_context_array_at(context, i, &info, &array), 0);
        extra |= info.group == MR_ARRAY_EXTRA && !strcmp(info.name, "scale");
        ck_assert_uint_eq(info.replaceable, !strcmp(info.name, "latents"));
    }
    ck_assert(extra);
    ck_assert_int_eq(mr_context_array_at(context, count, &info, &array), -ERANGE);
}
END_TEST

START_TEST(elements_begin_on_a_line)
{
    mr_array array;

    ck_assert_int_eq(mr_context_array(context, MR_ARRAY_EXTRA, "scale", &array), 0);
    ck_assert_uint_eq((uintptr_t)array.data % 64, 0);
    ck_assert_mem_eq(array.data, noise, sizeof(noise));
}
END_TEST

START_TEST(names_are_told_apart_by_their_group)
{
    mr_array array;

    ck_assert_int_eq(mr_context_array(context, MR_ARRAY_FIELD, "scale", &array), -ENOENT);
    ck_assert_str_eq(mr_error(), "the context has no array 'scale'");
}
END_TEST

START_TEST(only_what_has_room_for_it_is_replaced)
{
    mr_array place = {.dtype = MR_F32, .rank = 1, .shape = {17}};

    ck_assert_int_eq(mr_context_array_prepare(context, MR_ARRAY_FIELD, "noise", &place), -EROFS);
    ck_assert_int_eq(mr_context_array_prepare(context, MR_ARRAY_FIELD, "latents", &place), -ENOSPC);
    ck_assert_int_eq(mr_context_array_prepare(context, MR_ARRAY_FIELD, "none", &place), -ENOENT);
    ck_assert_int_eq(mr_context_array_replace(context, MR_ARRAY_FIELD, "none"), -ENOENT);
    ck_assert_int_eq(mr_context_array_replace(context, MR_ARRAY_FIELD, "latents"), -EINVAL);
    place.shape[0] = -1;
    ck_assert_int_eq(mr_context_array_prepare(context, MR_ARRAY_FIELD, "latents", &place), -EINVAL);
    place.shape[0] = 16;
    ck_assert_int_eq(mr_context_array_prepare(context, MR_ARRAY_FIELD, "latents", &place), 0);
    ck_assert_int_eq(mr_context_array_replace(context, MR_ARRAY_FIELD, "latents"), 0);
    ck_assert_int_eq(mr_context_array_replace(context, MR_ARRAY_FIELD, "latents"), -EINVAL);
}
END_TEST

/* ---- memory that can't be trusted ---- */

static mr_entry *entries(void)
{
    return (mr_entry *)(void *)(context->domain->data + context->params.directory.offset);
}

/* Each makes an entry, or the head of its place, say something that can't be. */
static void long_name(mr_entry *e, mr_array_place *place)
{
    (void)place;
    memset(e->name, 'x', sizeof(e->name));
}

static void before_the_arena(mr_entry *e, mr_array_place *place)
{
    (void)place;
    e->offset = 0;
}

static void behind_the_arena(mr_entry *e, mr_array_place *place)
{
    (void)place;
    e->offset = UINT64_MAX - 7;
}

static void unaligned(mr_entry *e, mr_array_place *place)
{
    (void)place;
    e->offset++;
}

static void too_long(mr_entry *e, mr_array_place *place)
{
    (void)place;
    e->bytes = INT64_MAX / 2;
}

static void too_short(mr_entry *e, mr_array_place *place)
{
    (void)place;
    e->bytes = 8;
}

static void many_places(mr_entry *e, mr_array_place *place)
{
    (void)place;
    e->places = 1u << 31;
}

static void no_dtype(mr_entry *e, mr_array_place *place)
{
    (void)e;
    place->dtype = 99;
}

static void high_rank(mr_entry *e, mr_array_place *place)
{
    (void)e;
    place->rank = 9;
}

static void large_shape(mr_entry *e, mr_array_place *place)
{
    (void)e;
    place->shape[0] = 1000;
}

static void negative_shape(mr_entry *e, mr_array_place *place)
{
    (void)e;
    place->shape[0] = -1;
}

START_TEST(an_entry_that_makes_no_sense_is_refused_and_nothing_outside_is_read)
{
    void (*const damages[])(mr_entry * e, mr_array_place * place) = {
        long_name,   before_the_arena, behind_the_arena, unaligned,   too_long,       too_short,
        many_places, no_dtype,         high_rank,        large_shape, negative_shape,
    };
    int where = mr_directory_where(context, MR_ARRAY_FIELD, "noise");
    mr_entry *entry = &entries()[where], saved = *entry;
    mr_array_place *place = (mr_array_place *)(void *)(context->domain->data + entry->offset);
    mr_array_place saved_place = *place;
    mr_array array;

    for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
        damages[i](entry, place);
        ck_assert_int_eq(mr_context_array(context, MR_ARRAY_FIELD, "noise", &array), -EBADMSG);
        *entry = saved;
        *place = saved_place;
    }
    ck_assert_int_eq(mr_context_array(context, MR_ARRAY_FIELD, "noise", &array), 0);
}
END_TEST

START_TEST(a_pixel_context_without_latents_or_noise_says_so)
{
    mr_pixel *own = mr_context_pixel(context);
    mr_entry *begun = &entries()[mr_directory_where(context, MR_ARRAY_FIELD, "noise")];
    mr_entry *latents = &entries()[mr_directory_where(context, MR_ARRAY_FIELD, "latents")];
    mr_array_place *place = (mr_array_place *)(void *)(context->domain->data + begun->offset);
    mr_array array;

    place->dtype = 99;
    ck_assert_int_eq(mr_pixel_latents(own, &array), -EBADMSG);
    latents->name[0] = 'x';
    ck_assert_int_eq(mr_pixel_latents(own, &array), -ENOENT);
    mr_pixel_set_status(own, MR_CANCELLED);
    mr_pixel_restart(own);
    ck_assert_int_eq(mr_pixel_status(own), MR_ACTIVE);
}
END_TEST

START_TEST(a_status_that_is_none_is_refused_when_a_pixel_context_is_loaded)
{
    context->now[MR_CURSOR_STATUS] = 7;
    mr_context_commit(context);
    ck_assert_int_eq(fixture_reload(fixture), -EBADMSG);
}
END_TEST

/* ---- requests ---- */

START_TEST(requests_whose_arrays_make_no_sense_are_refused)
{
    static const char long_name_text[] =
        "a name that is longer than the fifty-five bytes it may be";
    mr_request request = painting_request();

    extras[0].name = long_name_text;
    ck_assert_int_eq(mr_parts_check(&request), -EINVAL);
    extras[0].name = "";
    ck_assert_int_eq(mr_parts_check(&request), -EINVAL);
    extras[0].name = "scale";
    extras[1] = extras[0];
    pixel.extra_count = 2;
    ck_assert_int_eq(mr_parts_check(&request), -EINVAL);
    ck_assert_str_eq(mr_error(), "there are two arrays 'scale'");
    pixel.extra_count = 1;
    extras[0].array.dtype = 77;
    ck_assert_int_eq(mr_parts_check(&request), -EINVAL);
    extras[0].array.dtype = MR_F32;
    pixel.tokens.dtype = MR_I32;
    ck_assert_int_eq(mr_parts_check(&request), -EINVAL);
    ck_assert_int_eq(mr_error_code(), MR_TEXT_TOKENS_DTYPE);
    request.pixel = NULL;
    ck_assert_int_eq(mr_parts_check(&request), -EINVAL);
}
END_TEST

START_TEST(an_array_larger_than_its_room_is_refused)
{
    static const int64_t ids[] = {1};
    mr_tts_request tts = {.speech_capacity = 4, .audio_room = 4, .audio_buffer = {0}};
    mr_request request = fixture_request(ids, 1, 8);

    tts.audio_buffer = (mr_array){.dtype = MR_F32, .rank = 1, .shape = {4}, .data = noise};
    mr_array_make_contiguous(&tts.audio_buffer);
    request.kind = MR_KIND_TTS;
    request.tts = &tts;
    ck_assert_int_eq(mr_parts_check(&request), -EINVAL);
    tts.audio_room = 16;
    ck_assert_int_eq(mr_parts_check(&request), 0);
}
END_TEST

START_TEST(a_size_that_no_memory_has_saturates)
{
    mr_request request = painting_request();

    pixel.latents_room = UINT64_MAX;
    ck_assert_uint_eq(mr_parts_size(&request), UINT64_MAX);
    request.kind = MR_KIND_TEXT;
    ck_assert_uint_eq(mr_parts_size(&request), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("array");
    TCase *plain = tcase_create("descriptions"), *cases = tcase_create("context");
    SRunner *runner;
    int failed;

    tcase_add_test(plain, every_dtype_has_a_name_and_a_size);
    tcase_add_test(plain, sizes_that_no_memory_has_are_refused);
    tcase_add_test(plain, a_scalar_has_one_element_and_an_empty_array_none);
    tcase_add_test(plain, an_array_with_gaps_is_copied_together);
    tcase_add_test(plain, a_hash_is_of_the_elements_in_order_whatever_their_strides);
    tcase_add_test(plain, an_image_without_pixels_has_the_hash_of_nothing);
    tcase_add_test(plain, an_image_that_no_memory_holds_is_refused);
    tcase_add_test(plain, tokens_with_gaps_must_be_copied_first);
    tcase_add_test(plain, requests_whose_arrays_make_no_sense_are_refused);
    tcase_add_test(plain, an_array_larger_than_its_room_is_refused);
    tcase_add_test(plain, a_size_that_no_memory_has_saturates);
    tcase_add_checked_fixture(cases, begin, end);
    tcase_add_test(cases, all_arrays_are_listed_with_their_names);
    tcase_add_test(cases, elements_begin_on_a_line);
    tcase_add_test(cases, names_are_told_apart_by_their_group);
    tcase_add_test(cases, only_what_has_room_for_it_is_replaced);
    tcase_add_test(cases, an_entry_that_makes_no_sense_is_refused_and_nothing_outside_is_read);
    tcase_add_test(cases, a_pixel_context_without_latents_or_noise_says_so);
    tcase_add_test(cases, a_status_that_is_none_is_refused_when_a_pixel_context_is_loaded);
    suite_add_tcase(suite, plain);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
