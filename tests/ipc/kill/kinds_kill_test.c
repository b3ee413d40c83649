/*
 * kinds_kill_test.c - a worker is killed at every instruction of the operations that speech, vision
 * and pixel contexts have beside the text's
 */
#include "tests/ipc/kill/context_kill.h"
#include <millrace/pixel.h>
#include <millrace/tts.h>
#include <millrace/vision.h>
#include <string.h>

/* ---- speech ---- */

static struct fixture *make_speaking(void)
{
    static const int64_t prompt[] = {1, 2, 3};
    static float silence[8] = {0.5f};
    mr_tts_request tts = {.speech_capacity = 32,
                          .audio_room = sizeof(silence),
                          .audio_buffer = {.dtype = MR_F32, .rank = 1, .shape = {4}}};
    mr_request request = fixture_request(prompt, 3, 20);

    tts.audio_buffer.data = silence;
    mr_array_make_contiguous(&tts.audio_buffer);
    request.kind = MR_KIND_TTS;
    request.tts = &tts;
    return fixture_new(&request, 24);
}

static const char *speak_on(mr_context *context)
{
    static const int64_t more[] = {7};

    return mr_tts_update_speech_tokens(mr_context_tts(context), more, 1) < 0 ? "it can't go on"
                                                                             : NULL;
}

static void speak(mr_context *context)
{
    static const int64_t tokens[] = {4, 5, 6};

    mr_tts_update_speech_tokens(mr_context_tts(context), tokens, 3);
}

static void token_and_speech(mr_context *context)
{
    mr_context_hold(context);
    mr_text_update(mr_context_text(context), 9, NULL);
    speak(context);
    mr_tts_set_decoded_index(mr_context_tts(context), 2);
    mr_context_release(context);
}

static void decode(mr_context *context)
{
    mr_tts_set_decoded_index(mr_context_tts(context), 2);
}

static void end_audio(mr_context *context)
{
    mr_tts_set_audio_generation_status(mr_context_tts(context), MR_END_OF_SEQUENCE);
}

static void new_audio_buffer(mr_context *context)
{
    mr_array place = {.dtype = MR_F32, .rank = 2, .shape = {2, 3}};
    float *samples;

    mr_context_array_prepare(context, MR_ARRAY_FIELD, "audio_buffer", &place);
    samples = place.data;
    for (int i = 0; i < 6; i++)
        samples[i] = (float)i + 1;
    mr_context_array_replace(context, MR_ARRAY_FIELD, "audio_buffer");
}

/* ---- vision ---- */

static struct fixture *make_seeing(void)
{
    static const int64_t prompt[] = {1, 8, 8, 2, 3, 4}, vision_tokens[] = {8};
    static float pixels[4];
    mr_image image = {
        .start_idx = 1, .end_idx = 3, .pixel_values = {.dtype = MR_F32, .rank = 1, .shape = {4}}};
    mr_vision_request vision = {.vision_token_ids = vision_tokens,
                                .vision_token_count = 1,
                                .images = &image,
                                .image_count = 1};
    mr_request request = fixture_request(prompt, 6, 20);

    image.pixel_values.data = pixels;
    mr_array_make_contiguous(&image.pixel_values);
    request.kind = MR_KIND_VISION;
    request.vision = &vision;
    return fixture_new(&request, 24);
}

static void chunk(mr_context *context)
{
    mr_text_chunk(mr_context_text(context), 4);
}

static void update(mr_context *context)
{
    mr_text_update(mr_context_text(context), 5, NULL);
}

/* ---- pixel ---- */

static struct fixture *make_painting(void)
{
    static int64_t prompt[] = {5, 6};
    static float noise[] = {0.1f, 0.2f, 0.3f, 0.4f};
    mr_pixel_request pixel;
    mr_request request = fixture_request(NULL, 0, 0);

    mr_pixel_request_defaults(&pixel);
    pixel.tokens = (mr_array){.dtype = MR_I64, .rank = 1, .shape = {2}, .data = prompt};
    pixel.noise = (mr_array){.dtype = MR_F32, .rank = 4, .shape = {1, 1, 2, 2}, .data = noise};
    mr_array_make_contiguous(&pixel.tokens);
    mr_array_make_contiguous(&pixel.noise);
    pixel.latents_room = 256;
    request.kind = MR_KIND_PIXEL;
    request.pixel = &pixel;
    return fixture_new(&request, 0);
}

static void paint(mr_context *context, uint8_t grey)
{
    uint8_t bytes[12];
    mr_array image = {.dtype = MR_U8, .rank = 3, .shape = {2, 2, 3}, .data = bytes};

    memset(bytes, grey, sizeof(bytes));
    mr_array_make_contiguous(&image);
    mr_pixel_update(mr_context_pixel(context), &image);
}

static void paint_dark(mr_context *context)
{
    paint(context, 10);
}

static void paint_bright(mr_context *context)
{
    paint(context, 200);
}

static void paint_twice(mr_context *context)
{
    paint_dark(context);
    paint_bright(context);
}

/* Both go to the idle place: the one that is committed must not be touched. */
static void paint_twice_under_a_hold(mr_context *context)
{
    mr_context_hold(context);
    paint(context, 60);
    paint(context, 70);
    mr_context_release(context);
}

static void reset(mr_context *context)
{
    mr_pixel_reset(mr_context_pixel(context));
}

static void restart(mr_context *context)
{
    mr_pixel_restart(mr_context_pixel(context));
}

static void finish(mr_context *context)
{
    mr_pixel_set_status(mr_context_pixel(context), MR_END_OF_SEQUENCE);
}

static const char *paint_on(mr_context *context)
{
    mr_pixel *pixel = mr_context_pixel(context);
    mr_pixel_output output;

    paint_dark(context);
    return mr_pixel_to_generation_output(pixel, &output, NULL, 0) < 0 ? "it can't go on" : NULL;
}

#define SPEECH(name, before, operate)                                                              \
    CONTEXT_CASE(name, make_speaking, before, operate, NULL, speak_on)
#define VISION(name, before, operate) CONTEXT_CASE(name, make_seeing, before, operate, NULL, NULL)
#define PIXEL(name, before, operate)                                                               \
    CONTEXT_CASE(name, make_painting, before, operate, NULL, paint_on)

int main(void)
{
    const struct kill_case cases[] = {
        SPEECH("update_speech_tokens", NULL, speak),
        SPEECH("update_speech_tokens_behind_others", speak, speak),
        SPEECH("a_token_and_its_speech_under_a_hold", speak, token_and_speech),
        SPEECH("set_decoded_index", speak, decode),
        SPEECH("set_audio_generation_status", speak, end_audio),
        SPEECH("replace_audio_buffer", NULL, new_audio_buffer),
        SPEECH("replace_audio_buffer_again", new_audio_buffer, new_audio_buffer),
        VISION("chunk_of_a_prompt_with_images", NULL, chunk),
        VISION("update_of_a_prompt_with_images", chunk, update),
        PIXEL("first_latents", NULL, paint_dark),
        PIXEL("second_latents", paint_dark, paint_bright),
        PIXEL("third_latents", paint_twice, paint_dark),
        PIXEL("latents_twice_under_a_hold", paint_twice, paint_twice_under_a_hold),
        PIXEL("reset_of_pixel", finish, reset),
        PIXEL("restart_of_pixel", paint_twice, restart),
        PIXEL("set_status_of_pixel", paint_dark, finish),
    };

    return kill_main(cases, sizeof(cases) / sizeof(*cases));
}
