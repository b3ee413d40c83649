/*
 * kinds_test.c - vision, speech and pixel contexts beyond the golden vectors: fields, what a
 * successor refuses, what models prepare that no vector covers
 */
#include "ipc/parts.h"
#include "tests/ipc/fixture.h"
#include <check.h>
#include <errno.h>
#include <math.h>
#include <millrace/error.h>
#include <millrace/prepare.h>
#include <stdlib.h>
#include <string.h>

/* ---- vision ---- */

static struct fixture *make_seeing(void)
{
    static const int64_t ids[] = {1, 8, 8, 2, 3}, vision_tokens[] = {8, 9};
    static float values[] = {0.25f, 0.5f};
    static float zero;
    static mr_array_given extra = {"image_grid_thw", {.dtype = MR_F32, .data = &zero}, 0};
    mr_image image = {.start_idx = 1,
                      .end_idx = 3,
                      .has_hash = true,
                      .hash = -5,
                      .pixel_values = {.dtype = MR_F32, .rank = 1, .shape = {2}, .data = values}};
    mr_vision_request vision = {.vision_token_ids = vision_tokens,
                                .vision_token_count = 2,
                                .images = &image,
                                .image_count = 1,
                                .extra_model_args = &extra,
                                .extra_count = 1};
    mr_request request = fixture_request(ids, 5, 20);

    mr_array_make_contiguous(&image.pixel_values);
    request.kind = MR_KIND_VISION;
    request.vision = &vision;
    return fixture_new(&request, 24);
}

START_TEST(an_image_keeps_its_place_values_and_hash)
{
    struct fixture *fixture = make_seeing();
    mr_vision *vision = mr_context_vision(fixture_context(fixture));
    mr_image image;
    mr_array argument;
    size_t count;

    ck_assert_uint_eq(mr_vision_image_count(vision), 1);
    ck_assert_int_eq(mr_vision_image(vision, 0, &image), 0);
    ck_assert_int_eq(image.start_idx, 1);
    ck_assert_int_eq(image.end_idx, 3);
    ck_assert(image.has_hash);
    ck_assert_int_eq(image.hash, -5);
    ck_assert(((const float *)image.pixel_values.data)[1] == 0.5f);
    ck_assert_int_eq(mr_vision_image(vision, 1, &image), -ERANGE);
    ck_assert_int_eq(mr_vision_token_ids(vision, &count)[1], 9);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(mr_vision_extra_model_arg(vision, "image_grid_thw", &argument), 0);
    ck_assert_int_eq(mr_vision_extra_model_arg(vision, "other", &argument), -ENOENT);
    ck_assert_ptr_null(mr_context_tts(fixture_context(fixture)));
    ck_assert_ptr_null(mr_context_pixel(fixture_context(fixture)));
    fixture_free(fixture);
}
END_TEST

START_TEST(a_chunk_may_end_at_an_image_but_not_in_it)
{
    struct fixture *fixture = make_seeing();
    mr_text *text = fixture_text(fixture);

    ck_assert_int_eq(mr_text_chunk(text, 2), -EINVAL);
    ck_assert_int_eq(mr_error_code(), MR_VISION_BISECT);
    ck_assert_int_eq(mr_text_chunk(text, 3), 0);
    ck_assert_int_eq(mr_text_chunk(text, 1), 0);
    fixture_free(fixture);
}
END_TEST

/* ---- speech ---- */

enum { AUDIO_ROOM = 64 };

static struct fixture *make_speaking(void)
{
    static const int64_t ids[] = {1};
    static int16_t voice[] = {7, -7};
    mr_tts_request tts = {
        .audio_prompt_tokens = {.dtype = MR_I16, .rank = 1, .shape = {2}, .data = voice},
        .audio_room = AUDIO_ROOM,
        .speech_capacity = 4,
        .prev_samples_beyond_offset = 3,
        .arrival_time = 12.5,
        .streaming = 1};
    mr_request request = fixture_request(ids, 1, 8);

    mr_array_make_contiguous(&tts.audio_prompt_tokens);
    request.kind = MR_KIND_TTS;
    request.tts = &tts;
    return fixture_new(&request, 8);
}

START_TEST(a_speaking_context_keeps_its_fields)
{
    struct fixture *fixture = make_speaking();
    mr_tts *tts = mr_context_tts(fixture_context(fixture));
    mr_array voice;

    ck_assert(mr_tts_streaming(tts));
    ck_assert(mr_tts_arrival_time(tts) == 12.5);
    ck_assert_int_eq(mr_tts_prev_samples_beyond_offset(tts), 3);
    ck_assert_uint_eq(mr_tts_speech_capacity(tts), 4);
    ck_assert_int_eq(
        mr_context_array(fixture_context(fixture), MR_ARRAY_FIELD, "audio_prompt_tokens", &voice),
        0);
    ck_assert_int_eq(((const int16_t *)voice.data)[1], -7);
    ck_assert_int_eq(
        mr_context_array(fixture_context(fixture), MR_ARRAY_FIELD, "buffer_speech_tokens", &voice),
        0);
    ck_assert_uint_eq(voice.dtype, MR_DTYPE_NONE);
    ck_assert_ptr_null(mr_context_vision(fixture_context(fixture)));
    fixture_free(fixture);
}
END_TEST

START_TEST(an_audio_buffer_is_replaced_up_to_its_room)
{
    struct fixture *fixture = make_speaking();
    mr_context *context = fixture_context(fixture);
    mr_array audio = {.dtype = MR_F32, .rank = 1, .shape = {AUDIO_ROOM / sizeof(float)}};

    for (int i = 0; i < 3; i++) {
        audio.shape[0] = AUDIO_ROOM / sizeof(float);
        ck_assert_int_eq(mr_context_array_prepare(context, MR_ARRAY_FIELD, "audio_buffer", &audio),
                         0);
        *(float *)audio.data = (float)i;
        ck_assert_int_eq(mr_context_array_replace(context, MR_ARRAY_FIELD, "audio_buffer"), 0);
        ck_assert_int_eq(fixture_reload(fixture), 0);
        ck_assert_int_eq(mr_context_array(context, MR_ARRAY_FIELD, "audio_buffer", &audio), 0);
        ck_assert(*(const float *)audio.data == (float)i);
    }
    audio.shape[0]++;
    ck_assert_int_eq(mr_context_array_prepare(context, MR_ARRAY_FIELD, "audio_buffer", &audio),
                     -ENOSPC);
    fixture_free(fixture);
}
END_TEST

START_TEST(speech_beyond_its_room_is_refused_whole)
{
    static const int64_t tokens[] = {1, 2, 3};
    struct fixture *fixture = make_speaking();
    mr_tts *tts = mr_context_tts(fixture_context(fixture));

    ck_assert_int_eq(mr_tts_update_speech_tokens(tts, tokens, 3), 0);
    ck_assert_int_eq(mr_tts_update_speech_tokens(tts, tokens, 2), -ENOSPC);
    ck_assert_int_eq(mr_error_code(), MR_TTS_CAPACITY);
    ck_assert_uint_eq(mr_tts_speech_tokens(tts).count, 3);
    ck_assert_int_eq(mr_tts_block_counter(tts), 1);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_token_and_its_speech_are_one_commit_under_a_hold)
{
    static const int64_t tokens[] = {1, 2};
    struct fixture *fixture = make_speaking();
    mr_context *context = fixture_context(fixture);

    mr_context_hold(context);
    ck_assert_int_eq(mr_text_update(mr_context_text(context), 5, NULL), 0);
    ck_assert_int_eq(mr_tts_update_speech_tokens(mr_context_tts(context), tokens, 2), 0);
    ck_assert_int_eq(fixture_reload(fixture), 0);
    ck_assert_int_eq(mr_text_length(mr_context_text(context)), 1);
    ck_assert_uint_eq(mr_tts_speech_tokens(mr_context_tts(context)).count, 0);
    mr_context_hold(context);
    ck_assert_int_eq(mr_text_update(mr_context_text(context), 5, NULL), 0);
    ck_assert_int_eq(mr_tts_update_speech_tokens(mr_context_tts(context), tokens, 2), 0);
    mr_context_release(context);
    ck_assert_int_eq(fixture_reload(fixture), 0);
    ck_assert_int_eq(mr_text_length(mr_context_text(context)), 2);
    ck_assert_uint_eq(mr_tts_speech_tokens(mr_context_tts(context)).count, 2);
    fixture_free(fixture);
}
END_TEST

START_TEST(what_is_put_back_under_a_hold_goes_back_as_it_was)
{
    static const int64_t tokens[] = {1, 2};
    struct fixture *fixture = make_speaking();
    mr_context *context = fixture_context(fixture);

    mr_context_hold(context);
    ck_assert_int_eq(mr_tts_update_speech_tokens(mr_context_tts(context), tokens, 2), 0);
    mr_text_take_over(context);
    ck_assert_int_eq(fixture_reload(fixture), 0);
    ck_assert_uint_eq(mr_tts_speech_tokens(mr_context_tts(context)).count, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(speech_cursors_out_of_range_are_refused_when_a_context_is_loaded)
{
    static const struct {
        enum mr_cursor cursor;
        int64_t value;
    } bad[] = {{MR_CURSOR_SPEECH, -1},  {MR_CURSOR_SPEECH, 5},       {MR_CURSOR_BLOCKS, -1},
               {MR_CURSOR_DECODED, -1}, {MR_CURSOR_AUDIO_STATUS, 4}, {MR_CURSOR_AUDIO_STATUS, -1}};
    struct fixture *fixture = make_speaking();
    mr_context *context = fixture_context(fixture);
    int64_t good[MR_CURSOR_WORDS];

    memcpy(good, context->now, sizeof(good));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        memcpy(context->now, good, sizeof(good));
        context->now[bad[i].cursor] = bad[i].value;
        mr_context_commit(context);
        ck_assert_int_eq(fixture_reload(fixture), -EBADMSG);
        memcpy(context->now, good, sizeof(good));
        mr_context_commit(context);
        ck_assert_int_eq(fixture_reload(fixture), 0);
    }
    fixture_free(fixture);
}
END_TEST

START_TEST(ranges_outside_of_the_arena_are_refused_when_a_context_is_loaded)
{
    struct fixture *fixture = make_speaking();
    mr_params *params = &fixture_context(fixture)->slot->params;

    params->tts.speech.offset = 0;
    ck_assert_int_eq(fixture_reload(fixture), -EBADMSG);
    params->tts.speech.offset = UINT64_MAX - 7;
    ck_assert_int_eq(fixture_reload(fixture), -EBADMSG);
    fixture_free(fixture);
    fixture = make_seeing();
    fixture_context(fixture)->slot->params.vision.images.bytes = UINT64_MAX;
    ck_assert_int_eq(fixture_reload(fixture), -EBADMSG);
    fixture_free(fixture);
}
END_TEST

/* ---- pixel ---- */

static struct fixture *make_painting(const mr_array *noise)
{
    static int64_t ids[] = {5, 6};
    mr_request request = fixture_request(NULL, 0, 0);
    mr_pixel_request pixel;

    mr_pixel_request_defaults(&pixel);
    pixel.tokens = (mr_array){.dtype = MR_I64, .rank = 1, .shape = {2}, .data = ids};
    mr_array_make_contiguous(&pixel.tokens);
    pixel.noise = *noise;
    pixel.latents_room = 64;
    pixel.num_warmup_steps = 2;
    pixel.num_images_per_prompt = 3;
    pixel.true_cfg_scale = 4.5;
    request.kind = MR_KIND_PIXEL;
    request.pixel = &pixel;
    return fixture_new(&request, 0);
}

START_TEST(a_restart_goes_back_to_the_noise_that_an_update_replaced)
{
    static float values[] = {0.1f, 0.2f};
    static uint8_t image[] = {1, 2};
    mr_array noise = {.dtype = MR_F32, .rank = 1, .shape = {2}, .data = values};
    mr_array painted = {.dtype = MR_U8, .rank = 2, .shape = {1, 2}, .data = image}, latents;
    struct fixture *fixture;
    mr_pixel *pixel;

    mr_array_make_contiguous(&noise);
    mr_array_make_contiguous(&painted);
    fixture = make_painting(&noise);
    pixel = mr_context_pixel(fixture_context(fixture));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(mr_pixel_update(pixel, &painted), 0);
    mr_pixel_reset(pixel);
    ck_assert_int_eq(mr_pixel_latents(pixel, &latents), 0);
    ck_assert_uint_eq(latents.dtype, MR_U8);
    mr_pixel_restart(pixel);
    ck_assert_int_eq(mr_pixel_latents(pixel, &latents), 0);
    ck_assert_mem_eq(latents.data, values, sizeof(values));
    ck_assert_int_eq(mr_pixel_num_warmup_steps(pixel), 2);
    ck_assert_int_eq(mr_pixel_num_images_per_prompt(pixel), 3);
    ck_assert(mr_pixel_true_cfg_scale(pixel) == 4.5);
    ck_assert(mr_pixel_guidance_scale(pixel) == 3.5);
    ck_assert_ptr_null(mr_context_text(fixture_context(fixture)));
    fixture_free(fixture);
}
END_TEST

START_TEST(each_array_of_a_pixel_request_is_found_by_its_name)
{
    static int64_t values[10] = {11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    static const char *const names[] = {
        "tokens",    "mask",   "tokens_2", "negative_tokens",  "negative_tokens_2",
        "timesteps", "sigmas", "noise",    "latent_image_ids", "guidance"};
    mr_pixel_request wanted;
    mr_array *const arrays[] = {&wanted.tokens,
                                &wanted.mask,
                                &wanted.tokens_2,
                                &wanted.negative_tokens,
                                &wanted.negative_tokens_2,
                                &wanted.timesteps,
                                &wanted.sigmas,
                                &wanted.noise,
                                &wanted.latent_image_ids,
                                &wanted.guidance};
    mr_array_given extra = {"strength", {.dtype = MR_I64, .data = &values[3]}, 0};
    mr_request request = fixture_request(NULL, 0, 0);
    struct fixture *fixture;
    mr_pixel *pixel;
    mr_array found;

    mr_pixel_request_defaults(&wanted);
    for (int i = 0; i < 10; i++) {
        *arrays[i] = (mr_array){.dtype = MR_I64, .rank = 1, .shape = {1}, .data = &values[i]};
        mr_array_make_contiguous(arrays[i]);
    }
    wanted.mask.dtype = MR_BOOL;
    wanted.mask.strides[0] = 1;
    wanted.width = 48;
    wanted.height = 32;
    wanted.extra_params = &extra;
    wanted.extra_count = 1;
    request.kind = MR_KIND_PIXEL;
    request.pixel = &wanted;
    fixture = fixture_new(&request, 0);
    pixel = mr_context_pixel(fixture_context(fixture));
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(
            mr_context_array(fixture_context(fixture), MR_ARRAY_FIELD, names[i], &found), 0);
        ck_assert_uint_eq(found.dtype, arrays[i]->dtype);
        ck_assert_int_eq(*(const unsigned char *)found.data, values[i]);
    }
    ck_assert_int_eq(mr_context_array(fixture_context(fixture), MR_ARRAY_EXTRA, "strength", &found),
                     0);
    ck_assert_int_eq(*(const int64_t *)found.data, 14);
    ck_assert_int_eq(mr_pixel_width(pixel), 48);
    ck_assert_int_eq(mr_pixel_height(pixel), 32);
    ck_assert_int_eq(mr_pixel_num_inference_steps(pixel), 50);
    fixture_free(fixture);
}
END_TEST

START_TEST(latents_with_gaps_are_copied_together)
{
    static uint8_t matrix[] = {1, 2, 3, 4, 5, 6};
    const uint8_t expected[] = {1, 4, 2, 5, 3, 6};
    mr_array none = {.dtype = MR_DTYPE_NONE}, latents;
    mr_array turned = {
        .dtype = MR_U8, .rank = 2, .shape = {3, 2}, .strides = {1, 3}, .data = matrix};
    struct fixture *fixture = make_painting(&none);
    mr_pixel *pixel = mr_context_pixel(fixture_context(fixture));

    ck_assert_int_eq(mr_pixel_update(pixel, &turned), 0);
    ck_assert_int_eq(mr_pixel_latents(pixel, &latents), 0);
    ck_assert_mem_eq(latents.data, expected, sizeof(expected));
    fixture_free(fixture);
}
END_TEST

/* ---- preparation ---- */

static mr_pixel_model model;
static mr_pixel_options options;

static void begin_preparing(void)
{
    mr_pixel_model_defaults(&model);
    mr_pixel_options_defaults(&options);
    options.width = options.height = 64;
    options.steps = 5;
}

static mr_pixel_request prepare(void **memory)
{
    mr_pixel_request request;
    mr_pixel_plan plan;

    ck_assert_int_eq(mr_prepare_plan(&model, &options, &plan), 0);
    *memory = malloc(plan.bytes);
    ck_assert_ptr_nonnull(*memory);
    mr_pixel_request_defaults(&request);
    mr_prepare_pixel(&plan, *memory, &request);
    return request;
}

static void refused(int code)
{
    mr_pixel_plan plan;

    ck_assert_int_lt(mr_prepare_plan(&model, &options, &plan), 0);
    ck_assert_int_eq(mr_error_code(), code);
    begin_preparing();
}

START_TEST(options_out_of_range_are_refused)
{
    options.guidance_scale = 0;
    refused(MR_PIXEL_OPTION_RANGE);
    options.true_cfg_scale = NAN;
    refused(MR_PIXEL_OPTION_RANGE);
    options.true_cfg_scale = INFINITY;
    refused(MR_PIXEL_OPTION_RANGE);
    options.width = 0;
    refused(MR_PIXEL_OPTION_RANGE);
    options.height = -2;
    refused(MR_PIXEL_OPTION_RANGE);
    options.steps = 0;
    refused(MR_PIXEL_OPTION_RANGE);
    options.num_images = 0;
    refused(MR_PIXEL_OPTION_RANGE);
    model.vae_blocks = 60;
    refused(MR_PIXEL_OPTION_RANGE);
    options.seed = INT64_C(1) << 32;
    refused(MR_PIXEL_SEED_RANGE);
    options.height = 15;
    refused(MR_PIXEL_TOO_SMALL);
    options.height = options.width = INT64_MAX;
    refused(0);
    options.num_images = INT64_MAX / 2;
    refused(MR_PIXEL_OPTION_RANGE);
    options.steps = INT64_MAX;
    refused(MR_PIXEL_OPTION_RANGE);
    options.num_images = options.steps = INT32_MAX;
    model.in_channels = INT64_MAX;
    refused(0);
}
END_TEST

START_TEST(flow_sigmas_go_straight_from_zero_to_one)
{
    const float up[] = {0, 250, 500, 750, 1000};
    mr_pixel_request request;
    void *memory;

    model.flow_sigmas = 1;
    request = prepare(&memory);
    ck_assert_int_eq(request.sigmas.shape[0], 5);
    for (int i = 0; i < 5; i++) {
        ck_assert(((float *)request.timesteps.data)[i] == up[i]);
        ck_assert(((float *)request.sigmas.data)[i] == up[i] / 1000.0f);
    }
    free(memory);
    model.time_upward = 1;
    request = prepare(&memory);
    for (int i = 0; i < 5; i++)
        ck_assert(((float *)request.timesteps.data)[i] == up[4 - i]);
    free(memory);
}
END_TEST

START_TEST(one_step_of_flow_begins_at_zero)
{
    mr_pixel_request request;
    void *memory;

    model.flow_sigmas = 1;
    options.steps = 1;
    request = prepare(&memory);
    ck_assert(*(float *)request.timesteps.data == 0);
    free(memory);
}
END_TEST

START_TEST(batched_ids_are_integers_for_each_image)
{
    mr_pixel_request request;
    const int64_t *ids;
    void *memory;

    model.batched_ids = 1;
    options.num_images = 2;
    options.width = 48;
    request = prepare(&memory);
    ids = request.latent_image_ids.data;
    ck_assert_uint_eq(request.latent_image_ids.dtype, MR_I64);
    ck_assert_int_eq(request.latent_image_ids.shape[0], 2);
    ck_assert_int_eq(request.latent_image_ids.shape[1], 12);
    for (int64_t i = 0; i < 24; i++) {
        ck_assert_int_eq(ids[4 * i], 0);
        ck_assert_int_eq(ids[4 * i + 1], i % 12 / 3);
        ck_assert_int_eq(ids[4 * i + 2], i % 3);
        ck_assert_int_eq(ids[4 * i + 3], 0);
    }
    free(memory);
}
END_TEST

/* The shift of FLUX.2, worked out by hand for 16 patches and 5 steps: m200 = 0.45937498,
 * m10 = 1.89973142, slope -0.00758082, intercept 1.97553955, mu = 1.93763545. */
START_TEST(the_empirical_shift_is_that_of_its_formula)
{
    const double e = exp(1.93763545);
    mr_pixel_request request;
    const float *sigmas;
    void *memory;

    model.dynamic_shift = model.empirical_shift = 1;
    request = prepare(&memory);
    sigmas = request.sigmas.data;
    ck_assert(fabs(sigmas[1] - e / (e + 1 / 0.8 - 1)) < 1e-6);
    ck_assert(fabs(sigmas[4] - e / (e + 1 / 0.2 - 1)) < 1e-6);
    ck_assert(sigmas[0] == 1 && sigmas[5] == 0);
    free(memory);
}
END_TEST

START_TEST(a_large_image_is_shifted_by_its_size_alone)
{
    const double mu = 0.00016927 * 4356 + 0.45666666, e = exp(mu);
    mr_pixel_request request;
    void *memory;

    model.dynamic_shift = model.empirical_shift = 1;
    model.in_channels = 4;
    options.width = options.height = 1056; /* 66 x 66 patches */
    request = prepare(&memory);
    ck_assert(fabs(((float *)request.sigmas.data)[4] - e / (e + 4)) < 1e-6);
    free(memory);
}
END_TEST

/* ---- FLUX.2 and flow models: no vector has them, so their formulas, in long double ---- */

/* How much FLUX.2 shifts: a line through what was measured at 10 and at 200 steps, each a line in
 * the number of patches; beyond 4,300 patches the latter alone. */
static long double measured_shift(int64_t patches, int64_t steps)
{
    long double at_200 = 0.00016927L * (long double)patches + 0.45666666L;
    long double at_10 = 8.73809524e-05L * (long double)patches + 1.89833333L;

    if (patches > 4300)
        return at_200;
    return at_10 + (at_200 - at_10) * (long double)(steps - 10) / 190;
}

static void check_flux(int64_t width, int64_t height, int64_t steps)
{
    mr_pixel_request request;
    const float *sigmas, *timesteps;
    long double e;
    void *memory;

    options.width = width;
    options.height = height;
    options.steps = steps;
    request = prepare(&memory);
    sigmas = request.sigmas.data;
    timesteps = request.timesteps.data;
    e = expl(measured_shift((width / 16) * (height / 16), steps));
    ck_assert_int_eq(request.sigmas.shape[0], steps + 1);
    ck_assert_int_eq(request.timesteps.shape[0], steps);
    for (int64_t i = 0; i < steps; i++) {
        long double straight = steps == 1 ? 1 : 1 - (long double)i / (long double)steps;
        float scaled = sigmas[i] * 1000.0f;

        ck_assert(fabsl((long double)sigmas[i] - e / (e + 1 / straight - 1)) < 2e-7L);
        ck_assert(timesteps[i] == (model.time_upward ? 1000.0f - scaled : scaled) / 1000.0f);
    }
    ck_assert(sigmas[steps] == 0);
    free(memory);
}

START_TEST(the_schedule_of_flux_2_follows_from_patches_and_steps)
{
    const int64_t steps[] = {1, 2, 10, 28, 200};

    model.dynamic_shift = model.empirical_shift = model.batched_ids = 1;
    model.in_channels = 4;
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        check_flux(64, 48, steps[i]);
        check_flux(1024, 1024, steps[i]);
        check_flux(1600, 688, steps[i]); /* 4,300 patches: the last that count the steps */
        check_flux(2992, 368, steps[i]); /* 4,301 */
        check_flux(2048, 2048, steps[i]);
    }
    model.time_upward = 1;
    check_flux(1024, 1024, 28);
}
END_TEST

/* Each of n places in a row from 0 to 1000, both included, and sigmas a thousandth of it. */
START_TEST(flow_sigmas_of_any_number_of_steps_are_evenly_spaced)
{
    model.flow_sigmas = 1;
    for (int64_t n = 2; n <= 60; n++)
        for (uint32_t upward = 0; upward < 2; upward++) {
            mr_pixel_request request;
            const float *timesteps, *sigmas;
            void *memory;

            model.time_upward = upward;
            options.steps = n;
            request = prepare(&memory);
            timesteps = request.timesteps.data;
            sigmas = request.sigmas.data;
            ck_assert_int_eq(request.sigmas.shape[0], n);
            for (int64_t i = 0; i < n; i++) {
                int64_t place = upward ? n - 1 - i : i;
                long double exact = 1000 * (long double)place / (long double)(n - 1);

                ck_assert(fabsl((long double)timesteps[i] - exact) <= exact * 6e-8L);
                ck_assert(sigmas[i] == timesteps[i] / 1000.0f);
            }
            ck_assert(timesteps[upward ? n - 1 : 0] == 0);
            ck_assert(timesteps[upward ? 0 : n - 1] == 1000);
            free(memory);
        }
}
END_TEST

START_TEST(lengths_never_overflow)
{
    ck_assert_int_eq(mr_prepare_max_length(10, -1, INT64_MAX), INT64_MAX);
    ck_assert_int_eq(mr_prepare_max_length(10, INT64_MAX, INT64_MAX), INT64_MAX);
    ck_assert_int_eq(mr_prepare_max_length(10, 8, 5), 10);
}
END_TEST

START_TEST(more_image_places_than_room_are_counted)
{
    static const int64_t ids[] = {8, 1, 8, 8, 1, 8}, vision_token[] = {8};
    mr_image images[2];

    ck_assert_uint_eq(mr_prepare_image_places((mr_tokens){ids, 6}, vision_token, 1, images, 2), 3);
    ck_assert_int_eq(images[1].start_idx, 2);
    ck_assert_int_eq(images[1].end_idx, 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kinds");
    TCase *kinds = tcase_create("kinds"), *preparation = tcase_create("preparation");
    SRunner *runner;
    int failed;

    tcase_add_test(kinds, an_image_keeps_its_place_values_and_hash);
    tcase_add_test(kinds, a_chunk_may_end_at_an_image_but_not_in_it);
    tcase_add_test(kinds, a_speaking_context_keeps_its_fields);
    tcase_add_test(kinds, speech_beyond_its_room_is_refused_whole);
    tcase_add_test(kinds, a_token_and_its_speech_are_one_commit_under_a_hold);
    tcase_add_test(kinds, what_is_put_back_under_a_hold_goes_back_as_it_was);
    tcase_add_test(kinds, speech_cursors_out_of_range_are_refused_when_a_context_is_loaded);
    tcase_add_test(kinds, ranges_outside_of_the_arena_are_refused_when_a_context_is_loaded);
    tcase_add_test(kinds, a_restart_goes_back_to_the_noise_that_an_update_replaced);
    tcase_add_test(kinds, each_array_of_a_pixel_request_is_found_by_its_name);
    tcase_add_test(kinds, latents_with_gaps_are_copied_together);
    tcase_add_test(kinds, an_audio_buffer_is_replaced_up_to_its_room);
    tcase_add_checked_fixture(preparation, begin_preparing, NULL);
    tcase_add_test(preparation, options_out_of_range_are_refused);
    tcase_add_test(preparation, flow_sigmas_go_straight_from_zero_to_one);
    tcase_add_test(preparation, one_step_of_flow_begins_at_zero);
    tcase_add_test(preparation, batched_ids_are_integers_for_each_image);
    tcase_add_test(preparation, the_empirical_shift_is_that_of_its_formula);
    tcase_add_test(preparation, a_large_image_is_shifted_by_its_size_alone);
    tcase_add_test(preparation, the_schedule_of_flux_2_follows_from_patches_and_steps);
    tcase_add_test(preparation, flow_sigmas_of_any_number_of_steps_are_evenly_spaced);
    tcase_add_test(preparation, lengths_never_overflow);
    tcase_add_test(preparation, more_image_places_than_room_are_counted);
    suite_add_tcase(suite, kinds);
    suite_add_tcase(suite, preparation);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
