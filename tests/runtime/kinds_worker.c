/*
 * kinds_worker.c - a worker for contexts of every kind that any test can foretell (kinds_sums.h)
 *
 *   text     as echo_worker: the prompt again and again
 *   vision   a token a step, made of all images
 *   tts      a token and its block of speech a step, as one commit; then the audio in chunks
 *   pixel    all steps, each a commit; then the picture. A successor begins at the noise again
 *
 * KINDS_STEP_US is how long it sleeps after each step.
 */
#include "tests/runtime/kinds_sums.h"
#include <errno.h>
#include <getopt.h>
#include <millrace/pixel.h>
#include <millrace/tts.h>
#include <millrace/vision.h>
#include <millrace/worker.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { BATCH_MAX = 16, CHUNK = 8, BEFORE = 2 };

static useconds_t pause_us;

static int64_t generated(const mr_text *text)
{
    return mr_text_length(text) - mr_text_original_prompt_length(text);
}

static int64_t echo(const mr_text *text)
{
    return mr_text_all(text).ids[generated(text) % mr_text_original_prompt_length(text)];
}

static int step_text(mr_text *text)
{
    return mr_text_update(text, echo(text), NULL);
}

static int step_vision(mr_context *context)
{
    const mr_vision *vision = mr_context_vision(context);
    mr_text *text = mr_context_text(context);
    uint64_t sum = 0;

    for (size_t i = 0; i < mr_vision_image_count(vision); i++) {
        mr_image image;
        int error = mr_vision_image(vision, i, &image);
        if (error < 0)
            return error;
        sum = vision_sum(sum, image.pixel_values.data, (size_t)mr_array_count(&image.pixel_values));
    }
    return mr_text_update(text, vision_token(sum, generated(text)), NULL);
}

/* ---- tts ---- */

static int64_t prompt_sum(const mr_context *context)
{
    mr_array prompt;
    int64_t sum = 0;

    if (mr_context_array(context, MR_ARRAY_FIELD, "audio_prompt_tokens", &prompt) < 0)
        return 0;
    for (int64_t i = 0; prompt.dtype == MR_I16 && i < prompt.shape[0]; i++)
        sum += ((const int16_t *)prompt.data)[i];
    for (int64_t i = 0; prompt.dtype == MR_I64 && i < prompt.shape[0]; i++)
        sum += ((const int64_t *)prompt.data)[i];
    return sum;
}

static int speak(mr_context *context)
{
    mr_tts *tts = mr_context_tts(context);
    mr_text *text = mr_context_text(context);
    int64_t block[SPEECH_BLOCK], token = echo(text), sum = prompt_sum(context);
    int error;

    for (int i = 0; i < SPEECH_BLOCK; i++)
        block[i] = speech_token(token, generated(text) * SPEECH_BLOCK + i, sum);
    mr_context_hold(context);
    error = mr_text_update(text, token, NULL);
    if (error == 0)
        error = mr_tts_update_speech_tokens(tts, block, SPEECH_BLOCK);
    mr_context_release(context);
    return error;
}

/* The audio so far, and behind it the samples of the next chunk, in one commit with the index. */
static int sound(mr_context *context)
{
    mr_tts *tts = mr_context_tts(context);
    const int64_t most = CHUNK, before = BEFORE;
    mr_array now, next = {.dtype = MR_F32, .rank = 1};
    mr_speech chunk;
    int64_t used, old;
    float *to;
    int error = mr_tts_next_speech_tokens(tts, &most, &before, &chunk, &used);

    if (error < 0 || (error = mr_context_array(context, MR_ARRAY_FIELD, "audio_buffer", &now)) < 0)
        return error;
    old = now.dtype == MR_DTYPE_NONE ? 0 : now.shape[0];
    next.shape[0] = old + ((int64_t)chunk.count - used) * SPEECH_SAMPLES;
    error = mr_context_array_prepare(context, MR_ARRAY_FIELD, "audio_buffer", &next);
    if (error < 0)
        return error;
    to = next.data;
    if (old > 0)
        memcpy(to, now.data, (size_t)old * sizeof(*to));
    for (size_t i = (size_t)used; i < chunk.count; i++)
        for (int j = 0; j < SPEECH_SAMPLES; j++)
            to[old++] = speech_sample(chunk.tokens[i], j);
    mr_context_hold(context);
    error = mr_context_array_replace(context, MR_ARRAY_FIELD, "audio_buffer");
    if (error == 0)
        error =
            mr_tts_set_decoded_index(tts, mr_tts_decoded_index(tts) + (int64_t)chunk.count - used);
    if ((size_t)mr_tts_decoded_index(tts) == mr_tts_speech_tokens(tts).count)
        mr_tts_set_audio_generation_status(tts, MR_END_OF_SEQUENCE);
    mr_context_release(context);
    return error;
}

/* ---- pixel ---- */

static int get(const mr_context *context, const char *name, mr_array *array)
{
    return mr_context_array(context, MR_ARRAY_FIELD, name, array);
}

static int denoise(mr_worker *worker, mr_context *context, int64_t step)
{
    mr_array tokens, sigmas, now, next;
    int error;

    if ((error = get(context, "tokens", &tokens)) < 0 ||
        (error = get(context, "sigmas", &sigmas)) < 0 ||
        (error = mr_pixel_latents(mr_context_pixel(context), &now)) < 0)
        return error;
    next = now;
    error = mr_context_array_prepare(context, MR_ARRAY_FIELD, "latents", &next);
    for (int64_t i = 0; error == 0 && i < mr_array_count(&now); i++)
        ((float *)next.data)[i] =
            pixel_step(((const float *)now.data)[i], ((const float *)sigmas.data)[step],
                       ((const int64_t *)tokens.data)[i % tokens.shape[0]]);
    mr_worker_progress(worker);
    return error < 0 ? error : mr_context_array_replace(context, MR_ARRAY_FIELD, "latents");
}

/* The latents' first three channels, each cell a square of pixels. */
static int develop(mr_context *context)
{
    mr_pixel *pixel = mr_context_pixel(context);
    int64_t height = mr_pixel_height(pixel), width = mr_pixel_width(pixel);
    mr_array now, next = {.dtype = MR_F32, .rank = 3, .shape = {height, width, 3}};
    int64_t rows, columns;
    int error = mr_pixel_latents(pixel, &now);

    if (error < 0 || (error = mr_context_array_prepare(context, MR_ARRAY_FIELD, "latents", &next)))
        return error;
    rows = now.shape[2];
    columns = now.shape[3];
    for (int64_t i = 0; i < height * width * 3; i++) {
        int64_t c = i % 3, x = i / 3 % width, y = i / 3 / width;
        int64_t cell = (c * rows + y * rows / height) * columns + x * columns / width;
        ((float *)next.data)[i] = pixel_value(((const float *)now.data)[cell]);
    }
    mr_context_hold(context);
    error = mr_context_array_replace(context, MR_ARRAY_FIELD, "latents");
    mr_pixel_set_status(pixel, MR_END_OF_SEQUENCE);
    mr_context_release(context);
    return error;
}

static int paint(mr_worker *worker, mr_context *context)
{
    mr_pixel *pixel = mr_context_pixel(context);
    int error = 0;

    mr_pixel_restart(pixel);
    for (int64_t i = 0; i < mr_pixel_num_inference_steps(pixel) && error == 0; i++) {
        error = denoise(worker, context, i);
        if (pause_us > 0)
            usleep(pause_us);
    }
    return error < 0 ? error : develop(context);
}

/* ---- the loop ---- */

static int step(mr_worker *worker, mr_context *context)
{
    switch (mr_context_kind(context)) {
    case MR_KIND_VISION:
        return step_vision(context);
    case MR_KIND_TTS:
        return mr_text_is_done(mr_context_text(context)) ? sound(context) : speak(context);
    case MR_KIND_PIXEL:
        return paint(worker, context);
    case MR_KIND_TEXT:
    case MR_KIND_REFUSAL:
        break;
    }
    return step_text(mr_context_text(context));
}

static int work(mr_worker *worker)
{
    mr_context *batch[BATCH_MAX];
    int n;

    while ((n = mr_worker_batch(worker, batch, MR_WAIT)) >= 0) {
        for (int i = 0; i < n; i++) {
            bool cancelled = mr_context_cancelled(batch[i]);
            int error = 0;
            if (!cancelled && !mr_context_is_done(batch[i]))
                error = step(worker, batch[i]);
            if (error < 0)
                mr_worker_fail(worker, batch[i], mr_error());
            else if (cancelled || mr_context_is_done(batch[i]))
                mr_worker_hand_on(worker, batch[i]);
        }
        if (pause_us > 0)
            usleep(pause_us);
    }
    return n;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"attach", required_argument, NULL, 'a'},  {"model", required_argument, NULL, 'm'},
        {"name", required_argument, NULL, 'n'},    {"max-batch", required_argument, NULL, 'b'},
        {"threads", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
    mr_worker_options wants = {.size = sizeof(wants),
                               .fingerprint = "kinds-1",
                               .name = "kinds",
                               .capacity = 4,
                               .flags = MR_BATCH_INVARIANT,
                               .kinds = MR_TAKES_ALL};
    const char *domain = "", *pause = getenv("KINDS_STEP_US");
    mr_worker *worker = NULL;
    int option, n;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'a')
            domain = optarg;
        else if (option == 'n')
            wants.name = optarg;
        else if (option == '?')
            return 2;
    }
    pause_us = pause != NULL ? (useconds_t)strtoul(pause, NULL, 10) : 0;
    prctl(PR_SET_NAME, wants.name);
    n = mr_worker_attach(&worker, domain, &wants);
    if (n == 0)
        n = work(worker);
    if (n != -ESHUTDOWN)
        fprintf(stderr, "%s: %s\n", wants.name, mr_error());
    mr_worker_leave(worker);
    return n != -ESHUTDOWN;
}
