/*
 * wav_encode.c - samples to WAV files of 16-bit integers
 */
#include "runtime/media/audio.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 44, SAMPLE = 2 };

static unsigned char *put(unsigned char *at, uint32_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
    return at + bytes;
}

static unsigned char *put_name(unsigned char *at, const char *name)
{
    memcpy(at, name, 4);
    return at + 4;
}

static unsigned char *put_header(unsigned char *at, uint32_t data, unsigned rate)
{
    at = put_name(at, "RIFF");
    at = put(at, HEADER - 8 + data, 4);
    at = put_name(at, "WAVE");
    at = put_name(at, "fmt ");
    at = put(at, 16, 4);            /* the chunk's size */
    at = put(at, 1, 2);             /* integers */
    at = put(at, 1, 2);             /* channels */
    at = put(at, rate, 4);          /* frames a second */
    at = put(at, rate * SAMPLE, 4); /* bytes a second */
    at = put(at, SAMPLE, 2);        /* bytes a frame */
    at = put(at, 8 * SAMPLE, 2);    /* bits a sample */
    at = put_name(at, "data");
    return put(at, data, 4);
}

int audio_to_integer(float sample)
{
    float scaled = sample * 32768.0F;
    if (isnan(scaled))
        return 0;
    if (scaled <= -32768.0F)
        return -32768;
    return scaled >= 32767.0F ? 32767 : (int)lrintf(scaled);
}

int audio_encode_wav(const float *samples, size_t count, unsigned rate, struct media_bytes *wav,
                     struct media_error *error)
{
    unsigned char *at;
    *wav = (struct media_bytes){0};
    if (rate < 1 || rate > INT32_MAX)
        return media_fail(error, -EINVAL, "a rate of %u samples a second can't be", rate);
    if (count > (UINT32_MAX - HEADER) / SAMPLE)
        return media_fail(error, -EFBIG, "%zu samples are too many for a WAV file", count);
    wav->length = HEADER + count * SAMPLE;
    wav->bytes = malloc(wav->length);
    if (wav->bytes == NULL) {
        *wav = (struct media_bytes){0};
        return media_fail(error, -ENOMEM, "no memory for a WAV file of %zu samples", count);
    }
    at = put_header(wav->bytes, (uint32_t)(count * SAMPLE), rate);
    for (size_t i = 0; i < count; i++)
        at = put(at, (uint32_t)audio_to_integer(samples[i]), SAMPLE);
    return 0;
}
