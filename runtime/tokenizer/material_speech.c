/*
 * material_speech.c - what a speech is made of: the prompt of sound, and room for the result
 */
#include "runtime/media/audio.h"
#include "runtime/media/fetch.h"
#include "runtime/tokenizer/material.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

/* Samples of the audio prompt: a model's own worker makes tokens of its codec of them. */
static bool decode_prompt(struct material *material, const struct request *request,
                          unsigned sample_rate, mr_array *tokens, struct refusal *refusal)
{
    struct media_bytes file;
    struct media_error error;
    struct audio audio = {0};
    int16_t *samples = NULL;
    int result = media_fetch(request->audio_prompt.bytes, request->audio_prompt.length,
                             MATERIAL_MAX_FILE, &file, &error);
    if (result == 0)
        result = audio_decode(file.bytes, file.length, MATERIAL_MAX_SAMPLES, &audio, &error);
    free(file.bytes);
    if (result < 0)
        return refuse(refusal,
                      result == -EFBIG || result == -ENOMEM ? REFUSAL_TOO_LARGE
                                                            : REFUSAL_INVALID_PARAMETER,
                      "body.audio_prompt", "'body.audio_prompt': %s", error.sentence);
    if (audio.rate != sample_rate)
        refuse(refusal, REFUSAL_INVALID_PARAMETER, "body.audio_prompt",
               "'body.audio_prompt' has %u samples a second, but this run works with %u; convert "
               "it, or see --sample-rate",
               audio.rate, sample_rate);
    else
        samples = material_take(material, audio.count * sizeof(*samples), refusal);
    for (size_t i = 0; samples != NULL && i < audio.count; i++)
        samples[i] = (int16_t)audio_to_integer(audio.samples[i]);
    *tokens =
        (mr_array){.dtype = MR_I16, .rank = 1, .shape = {(int64_t)audio.count}, .data = samples};
    free(audio.samples);
    return samples != NULL;
}

static double seconds_since_epoch(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

bool material_speech(struct material *material, const struct request *request, unsigned sample_rate,
                     mr_request *wanted, struct refusal *refusal)
{
    mr_array *prompt = &material->tts.audio_prompt_tokens;
    material->tts = (mr_tts_request){
        .audio_room = (uint64_t)ceil(request->max_seconds * sample_rate) * sizeof(float),
        .speech_capacity = (uint64_t)ceil(request->max_seconds * MATERIAL_SPEECH_RATE),
        .arrival_time = seconds_since_epoch()};
    if (request->audio_prompt.length > 0 &&
        !decode_prompt(material, request, sample_rate, prompt, refusal))
        return false;
    if (request->audio_prompt_tokens != NULL)
        *prompt = (mr_array){.dtype = MR_I64,
                             .rank = 1,
                             .shape = {(int64_t)request->audio_prompt_count},
                             .data = request->audio_prompt_tokens};
    if (prompt->dtype != MR_DTYPE_NONE)
        mr_array_make_contiguous(prompt);
    wanted->tts = &material->tts;
    return true;
}
