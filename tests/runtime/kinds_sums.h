/*
 * kinds_sums.h - what kinds_worker makes of a context, as sums that a test can do as well
 *
 * No model, but each result depends on all that its request brought: tokens, pixels, sound, noise,
 * schedule. All is exact in 32-bit floats or integers, so that equal is equal to the bit.
 */
#ifndef TESTS_RUNTIME_KINDS_SUMS_H
#define TESTS_RUNTIME_KINDS_SUMS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* ---- vision: the answer spells the sum of all pixel values in nibbles, lowest first ---- */

enum { VISION_FIRST_TOKEN = 64 };

static inline uint64_t vision_sum(uint64_t sum, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum = sum * 3 + (uint64_t)lrintf(values[i] * 255);
    return sum;
}

static inline int64_t vision_token(uint64_t sum, int64_t index)
{
    return VISION_FIRST_TOKEN + (int64_t)(sum >> (4 * (index % 16)) & 15);
}

/* ---- tts: each token becomes a block of speech tokens, each of these three samples ---- */

enum { SPEECH_BLOCK = 5, SPEECH_TOKENS = 1000, SPEECH_SAMPLES = 3 };

static inline int64_t speech_token(int64_t token, int64_t index, int64_t prompt_sum)
{
    return (token * 31 + index * 7 + (prompt_sum & 0xffff)) % SPEECH_TOKENS;
}

/* A whole number of 16-bit steps. */
static inline float speech_sample(int32_t speech, int index)
{
    return (float)((speech * 37 + index * 11) % 4001 - 2000) / 32768;
}

/* ---- pixel: a step moves each latent; at the end a pixel shows the latent of its place ---- */

static inline float pixel_step(float latent, float sigma, int64_t token)
{
    return latent * 0.5f + sigma * 0.25f + (float)(token % 64) * 0.0078125f;
}

static inline float pixel_value(float latent)
{
    return latent - floorf(latent);
}

#endif
