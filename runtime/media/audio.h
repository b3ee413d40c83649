/*
 * audio.h - sound in memory: WAV and FLAC to samples, and samples to WAV
 *
 * A sound is told by its first bytes, whatever its name or URL says. It becomes one channel of
 * floats, the same bits on each machine: n-bit integers divided by 2^(n-1), so in [-1, 1), floats
 * as they are; then the mean of the channels. The rate is that of the file: nothing is resampled.
 *
 *   WAV   RIFF; integers of 8, 16, 24 and 32 bits, floats of 32 and 64, the extensible header too.
 *         The size of its data may be unknown (0xFFFFFFFF, as programs write it into a pipe):
 *         then it goes on to the file's end
 *   FLAC  native, not in Ogg; its length must stand in its header
 *
 * Broken is also what ends too early, has no samples, fails a checksum, or has a sample that is
 * no finite number.
 */
#ifndef RUNTIME_MEDIA_AUDIO_H
#define RUNTIME_MEDIA_AUDIO_H

#include "runtime/media/media.h"
#include <stdint.h>

/* A limit that does for most: 64 MiB of samples, 17 minutes at 16 kHz, 5 at 48 kHz. */
#define AUDIO_MAX_SAMPLES ((uint64_t)16 << 20)

struct audio {
    float *samples; /* from malloc, the caller's to free */
    size_t count;   /* at least 1 */
    unsigned rate;  /* samples a second, at least 1 */
};

/*
 * audio_decode - a WAV or FLAC file to mono
 *
 *   max_samples  of one channel, checked before they are allocated
 *
 * Returns 0 or a failure as in media.h: all other formats and codecs are -ENOTSUP.
 */
int audio_decode(const void *bytes, size_t length, uint64_t max_samples, struct audio *audio,
                 struct media_error *error);

/* audio_to_integer - a sample as one of 16 bits, as audio_encode_wav() has it */
int audio_to_integer(float sample);

/*
 * audio_encode_wav - mono samples to a WAV file of 16-bit integers
 *
 *   rate  samples a second, in [1, 2^31)
 *
 * A sample times 32768 is rounded to the nearest integer, of two the even one, and clipped to
 * [-32768, 32767]; what is no number becomes 0. So a mono WAV of 16 bits that was decoded is
 * encoded to the same samples. Returns 0 or a failure as in media.h: a WAV holds less than 4 GiB.
 */
int audio_encode_wav(const float *samples, size_t count, unsigned rate, struct media_bytes *wav,
                     struct media_error *error);

#endif
