/*
 * audio.c - WAV and FLAC files to samples, by libsndfile
 */
#include "runtime/media/audio.h"
#include "runtime/media/wav.h"
#include <errno.h>
#include <math.h>
#include <sndfile.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A file in memory, as libsndfile reads it. */
struct memory {
    const unsigned char *bytes;
    sf_count_t length, at; /* at in [0, length] */
};

static sf_count_t on_length(void *user)
{
    const struct memory *memory = user;
    return memory->length;
}

static sf_count_t on_seek(sf_count_t offset, int whence, void *user)
{
    struct memory *memory = user;
    sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? memory->at : memory->length;
    if (offset < -from || offset > memory->length - from)
        return -1;
    memory->at = from + offset;
    return memory->at;
}

static sf_count_t on_read(void *bytes, sf_count_t count, void *user)
{
    struct memory *memory = user;
    if (count > memory->length - memory->at)
        count = memory->length - memory->at;
    if (count <= 0)
        return 0;
    memcpy(bytes, memory->bytes + memory->at, (size_t)count);
    memory->at += count;
    return count;
}

static sf_count_t on_tell(void *user)
{
    const struct memory *memory = user;
    return memory->at;
}

static int broken(struct media_error *error, const char *name, const char *why)
{
    return media_fail(error, -EINVAL, "the %s file is broken: %.120s", name, why);
}

/* The mean of each frame's channels; false: one is no finite number. */
static bool mix(const float *frames, sf_count_t count, int channels, float *samples)
{
    for (sf_count_t i = 0; i < count; i++) {
        double sum = 0;
        for (int c = 0; c < channels; c++)
            sum += *frames++;
        samples[i] = (float)(sum / channels);
        if (!isfinite(samples[i]))
            return false;
    }
    return true;
}

static int read_samples(SNDFILE *file, const SF_INFO *info, const char *name, struct audio *audio,
                        struct media_error *error)
{
    enum { BLOCK = 8192 };
    float block[BLOCK];
    sf_count_t done = 0;
    while (done < info->frames) {
        sf_count_t wanted = BLOCK / info->channels, count;
        if (wanted > info->frames - done)
            wanted = info->frames - done;
        count = sf_readf_float(file, block, wanted);
        if (sf_error(file) != SF_ERR_NO_ERROR)
            return broken(error, name, sf_strerror(file));
        if (count < wanted)
            return broken(error, name, "it ends too early");
        if (!mix(block, count, info->channels, audio->samples + done))
            return broken(error, name, "a sample is no finite number");
        done += count;
    }
    return 0;
}

static int read_file(SNDFILE *file, const SF_INFO *info, const char *name, uint64_t max_samples,
                     struct audio *audio, struct media_error *error)
{
    if (info->frames < 1 || info->channels < 1 || info->samplerate < 1)
        return broken(error, name, "it has no samples");
    if ((uint64_t)info->frames > max_samples || (uint64_t)info->frames > SIZE_MAX / sizeof(float))
        return media_fail(error, -EFBIG, "the %s file has %jd samples; %ju are allowed", name,
                          (intmax_t)info->frames, (uintmax_t)max_samples);
    audio->rate = (unsigned)info->samplerate;
    audio->count = (size_t)info->frames;
    audio->samples = malloc(audio->count * sizeof(float));
    if (audio->samples == NULL)
        return media_fail(error, -ENOMEM, "no memory for the %zu samples of a %s file",
                          audio->count, name);
    return read_samples(file, info, name, audio, error);
}

static int decode(const unsigned char *bytes, size_t length, const char *name, uint64_t max_samples,
                  struct audio *audio, struct media_error *error)
{
    static SF_VIRTUAL_IO calls = {on_length, on_seek, on_read, NULL, on_tell};
    struct memory memory = {bytes, (sf_count_t)length, 0};
    SF_INFO info = {0};
    SNDFILE *file = sf_open_virtual(&calls, SFM_READ, &info, &memory);
    int status;
    if (file == NULL)
        return broken(error, name, sf_strerror(NULL));
    status = read_file(file, &info, name, max_samples, audio, error);
    sf_close(file);
    return status;
}

static int choose(const unsigned char *bytes, size_t length, uint64_t max_samples,
                  struct audio *audio, struct media_error *error)
{
    if (length >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WAVE", 4) == 0) {
        int status = wav_check(bytes, length, error);
        return status < 0 ? status : decode(bytes, length, "WAV", max_samples, audio, error);
    }
    if (length >= 4 && memcmp(bytes, "fLaC", 4) == 0)
        return decode(bytes, length, "FLAC", max_samples, audio, error);
    return media_fail(error, -ENOTSUP, "the sound is neither WAV nor FLAC");
}

int audio_decode(const void *bytes, size_t length, uint64_t max_samples, struct audio *audio,
                 struct media_error *error)
{
    int status;
    *audio = (struct audio){0};
    status = choose(bytes, length, max_samples, audio, error);
    if (status < 0) {
        free(audio->samples);
        *audio = (struct audio){0};
    }
    return status;
}
