/*
 * carry_test.c - contexts of every kind on their way: taken in, worked on, taken over, emitted
 */
#include "tests/ipc/support.h"
#include <errno.h>
#include <string.h>

static const int64_t prompt[] = {7, 50, 50, 8};
static const int64_t image_token = 50;
static float pixels[] = {0.25f, 0.5f, 0.75f, 1.0f};
static float noise[] = {1, 2, 3, 4};
static int16_t samples[] = {-5, 0, 5};

static mr_domain *domain;
static mr_member *tokenizer, *collector;
static mr_intake *intake;
static mr_emission *emission;

static void setup(void)
{
    domain = support_domain_with((mr_domain_options){.size = sizeof(mr_domain_options),
                                                     .slots = 8,
                                                     .arena_bytes = 1 << 20,
                                                     .max_length = 128,
                                                     .id_table = 64,
                                                     .kinds = MR_TAKES_ALL});
    intake = support_intake(domain, &tokenizer);
    emission = support_emission(domain, &collector);
}

static void teardown(void)
{
    mr_emission_close(emission);
    mr_intake_close(intake);
    mr_member_leave(collector);
    mr_member_leave(tokenizer);
    support_close(domain);
}

static mr_worker *join_worker(void)
{
    const mr_worker_options options = {
        .size = sizeof(options), .capacity = 8, .fingerprint = "all", .kinds = MR_TAKES_ALL};
    mr_worker *worker;

    ck_assert_msg(!mr_worker_join(&worker, domain, &options), "%s", mr_error());
    return worker;
}

static mr_array array_of(enum mr_dtype dtype, void *data, int64_t count)
{
    mr_array array = {.dtype = dtype, .rank = 1, .shape = {count}, .data = data};

    mr_array_make_contiguous(&array);
    return array;
}

static void admit(mr_request *request)
{
    ck_assert_msg(!mr_intake_admit(intake, request), "%s", mr_error());
}

static void admit_vision(uint64_t ordinal)
{
    mr_request request = support_request(ordinal, 5);
    mr_image image = {.start_idx = 1, .end_idx = 3, .pixel_values = array_of(MR_F32, pixels, 4)};
    mr_vision_request vision = {.vision_token_ids = &image_token,
                                .vision_token_count = 1,
                                .images = &image,
                                .image_count = 1};

    request.kind = MR_KIND_VISION;
    request.prompt = prompt;
    request.prompt_length = 4;
    request.max_length = 9;
    request.vision = &vision;
    admit(&request);
}

static void admit_tts(uint64_t ordinal)
{
    mr_request request = support_request(ordinal, 5);
    mr_tts_request tts = {.audio_prompt_tokens = array_of(MR_I16, samples, 3),
                          .audio_room = 64,
                          .speech_capacity = 16,
                          .prev_samples_beyond_offset = 4};

    request.kind = MR_KIND_TTS;
    request.tts = &tts;
    admit(&request);
}

static void admit_pixel(uint64_t ordinal)
{
    mr_request request = support_request(ordinal, 5);
    mr_pixel_request pixel;

    mr_pixel_request_defaults(&pixel);
    pixel.tokens = array_of(MR_I64, (void *)(uintptr_t)prompt, 4);
    pixel.noise = array_of(MR_F32, noise, 4);
    pixel.latents_room = 64;
    request.kind = MR_KIND_PIXEL;
    request.pixel = &pixel;
    admit(&request);
}

static mr_context *claim_one(mr_worker *worker)
{
    mr_context *batch[8];

    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    return batch[0];
}

static mr_handle next_done(void)
{
    mr_handle handle;
    mr_view view;

    do
        ck_assert_int_eq(mr_emission_next(emission, &handle, 1000), 0);
    while (mr_emission_view(emission, handle, &view) < 0 || !view.done);
    return handle;
}

/* Emits it; the slot must then be free, and its memory too. */
static void finish(mr_handle handle)
{
    const mr_emitted part = {.handle = handle, .final = 1};

    ck_assert_int_eq(mr_emission_commit(emission, 0, &part, 1), 0);
    ck_assert_uint_eq(mr_domain_unfinished(domain), 0);
}

START_TEST(a_vision_request_brings_its_images)
{
    mr_worker *worker = join_worker();
    mr_context *context;
    mr_image image;
    mr_array array;

    admit_vision(1);
    context = claim_one(worker);
    ck_assert_uint_eq(mr_vision_image_count(mr_context_vision(context)), 1);
    ck_assert_int_eq(mr_vision_image(mr_context_vision(context), 0, &image), 0);
    ck_assert_mem_eq(image.pixel_values.data, pixels, sizeof(pixels));
    mr_text_set_status(mr_context_text(context), MR_END_OF_SEQUENCE);
    ck_assert_int_eq(mr_worker_hand_on(worker, context), 0);
    ck_assert_int_eq(mr_emission_context(emission, next_done(), &context), 0);
    ck_assert_int_eq(mr_context_array(context, MR_ARRAY_IMAGE, "0", &array), 0);
    ck_assert_mem_eq(array.data, pixels, sizeof(pixels));
    finish(mr_context_handle(context));
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_tts_context_is_done_when_its_audio_is)
{
    mr_worker *worker = join_worker();
    mr_context *context;
    const int64_t speech[] = {3, 1, 4};
    mr_tts *tts;

    admit_tts(1);
    context = claim_one(worker);
    tts = mr_context_tts(context);
    ck_assert_int_eq(mr_tts_prev_samples_beyond_offset(tts), 4);
    mr_text_set_status(mr_context_text(context), MR_END_OF_SEQUENCE);
    ck_assert_int_eq(mr_worker_hand_on(worker, context), -EINVAL);
    ck_assert_int_eq(mr_tts_update_speech_tokens(tts, speech, 3), 0);
    mr_tts_set_audio_generation_status(tts, MR_END_OF_SEQUENCE);
    ck_assert_int_eq(mr_worker_hand_on(worker, context), 0);
    ck_assert_int_eq(mr_emission_context(emission, next_done(), &context), 0);
    ck_assert_uint_eq(mr_tts_speech_tokens(mr_context_tts(context)).count, 3);
    finish(mr_context_handle(context));
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_pixel_context_goes_on_at_its_last_commit_when_its_worker_dies)
{
    mr_worker *worker = join_worker(), *other;
    mr_context *context;
    mr_array latents = array_of(MR_F32, pixels, 4), place = latents;

    admit_pixel(1);
    context = claim_one(worker);
    ck_assert_int_eq(mr_worker_hand_on(worker, context), -EINVAL);
    ck_assert_int_eq(mr_pixel_update(mr_context_pixel(context), &latents), 0);
    ck_assert_int_eq(mr_context_array_prepare(context, MR_ARRAY_FIELD, "latents", &place), 0);
    memset(place.data, 0x55, sizeof(pixels)); /* never committed */
    support_die(domain, mr_worker_index(worker));
    other = join_worker();
    context = claim_one(other);
    ck_assert(mr_context_suspect(context));
    ck_assert_int_eq(mr_pixel_latents(mr_context_pixel(context), &latents), 0);
    ck_assert_mem_eq(latents.data, pixels, sizeof(pixels));
    mr_pixel_set_status(mr_context_pixel(context), MR_END_OF_SEQUENCE);
    ck_assert_int_eq(mr_worker_hand_on(other, context), 0);
    finish(next_done());
    mr_worker_leave(other);
    mr_worker_leave(worker); /* what is left of it; its place was the other's */
}
END_TEST

START_TEST(a_pixel_context_that_is_put_back_forgets_what_was_not_committed)
{
    mr_worker *worker = join_worker();
    mr_context *context;

    admit_pixel(1);
    context = claim_one(worker);
    mr_context_hold(context);
    mr_pixel_set_status(mr_context_pixel(context), MR_END_OF_SEQUENCE);
    ck_assert_int_eq(mr_worker_put_back(worker, context), 0);
    context = claim_one(worker);
    ck_assert_int_eq(mr_pixel_status(mr_context_pixel(context)), MR_ACTIVE);
    mr_pixel_set_status(mr_context_pixel(context), MR_END_OF_SEQUENCE);
    ck_assert_int_eq(mr_worker_hand_on(worker, context), 0);
    finish(next_done());
    mr_worker_leave(worker);
}
END_TEST

START_TEST(an_unfinished_context_is_not_shown_whole)
{
    mr_context *context;
    mr_handle handle;

    admit_pixel(1);
    ck_assert_int_eq(mr_emission_next(emission, &handle, 1000), 0);
    ck_assert_int_eq(mr_emission_context(emission, handle, &context), -EAGAIN);
    ck_assert_ptr_null(context);
}
END_TEST

START_TEST(a_worker_must_take_all_kinds_of_its_domain)
{
    mr_worker_options options = {
        .size = sizeof(options), .capacity = 1, .fingerprint = "some", .kinds = MR_TAKES_TEXT};
    mr_worker *worker;

    ck_assert_int_eq(mr_worker_join(&worker, domain, &options), -EINVAL);
    ck_assert_ptr_nonnull(strstr(mr_error(), "serves vision requests"));
    options.kinds = 0;
    ck_assert_int_eq(mr_worker_join(&worker, domain, &options), -EINVAL);
}
END_TEST

START_TEST(a_domain_takes_only_its_kinds)
{
    mr_domain *texts = support_domain(2);
    mr_member *member;
    mr_intake *other = support_intake(texts, &member);
    mr_request request = support_request(1, 5);

    request.kind = MR_KIND_PIXEL;
    ck_assert_int_eq(mr_intake_admit(other, &request), -EINVAL);
    ck_assert_ptr_nonnull(strstr(mr_error(), "takes no requests of kind 4"));
    mr_intake_close(other);
    mr_member_leave(member);
    support_close(texts);
}
END_TEST

START_TEST(a_request_larger_than_all_memory_is_refused)
{
    mr_request request = support_request(1, 5);
    mr_tts_request tts = {.audio_room = UINT64_MAX - 5, .speech_capacity = 1};

    request.kind = MR_KIND_TTS;
    request.tts = &tts;
    ck_assert_int_eq(mr_intake_admit(intake, &request), -E2BIG);
    tts = (mr_tts_request){.audio_room = 1 << 19, .speech_capacity = 1};
    ck_assert_int_eq(mr_intake_admit(intake, &request), -E2BIG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("carry");
    TCase *kinds = tcase_create("kinds");

    tcase_add_checked_fixture(kinds, setup, teardown);
    tcase_add_test(kinds, a_vision_request_brings_its_images);
    tcase_add_test(kinds, a_tts_context_is_done_when_its_audio_is);
    tcase_add_test(kinds, a_pixel_context_goes_on_at_its_last_commit_when_its_worker_dies);
    tcase_add_test(kinds, a_pixel_context_that_is_put_back_forgets_what_was_not_committed);
    tcase_add_test(kinds, an_unfinished_context_is_not_shown_whole);
    tcase_add_test(kinds, a_worker_must_take_all_kinds_of_its_domain);
    tcase_add_test(kinds, a_domain_takes_only_its_kinds);
    tcase_add_test(kinds, a_request_larger_than_all_memory_is_refused);
    suite_add_tcase(suite, kinds);
    return support_run(suite);
}
