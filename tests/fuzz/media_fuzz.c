/*
 * media_fuzz.c - any bytes as an image, as a sound, as base64 and as a data: URL
 *
 * A libFuzzer target. What is decoded must survive being encoded and decoded again; what isn't
 * must leave a sentence and no memory. Paths are left out: they would read this machine's files.
 * The libraries behind the decoders are not instrumented, so it is our own code that it explores.
 */
#include "runtime/media/audio.h"
#include "runtime/media/base64.h"
#include "runtime/media/fetch.h"
#include "runtime/media/image.h"
#include "tests/fuzz/fuzz.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 18 };

static void require(int good)
{
    if (!good)
        abort();
}

static void check_image(const struct image *image)
{
    size_t size = (size_t)image->width * image->height * 3;
    struct media_bytes png;
    struct media_error error;
    struct image again;
    require(size > 0 && size <= (size_t)LIMIT * 3);
    require(image_encode_png(image->pixels, image->width, image->height, IMAGE_RGB, &png, &error) ==
            0);
    require(image_decode(png.bytes, png.length, LIMIT, &again, &error) == 0);
    require(again.width == image->width && again.height == image->height);
    require(memcmp(again.pixels, image->pixels, size) == 0);
    free(again.pixels);
    free(png.bytes);
}

static void try_image(const unsigned char *bytes, size_t size)
{
    struct media_error error = {""};
    struct image image;
    int status = image_decode(bytes, size, LIMIT, &image, &error);
    require(status < 0 ? error.sentence[0] != '\0' && image.pixels == NULL
                       : error.sentence[0] == '\0');
    if (status == 0)
        check_image(&image);
    free(image.pixels);
}

static void check_audio(const struct audio *audio)
{
    struct media_bytes wav;
    struct media_error error;
    struct audio again;
    require(audio->count >= 1 && audio->count <= LIMIT && audio->rate >= 1);
    require(audio_encode_wav(audio->samples, audio->count, audio->rate, &wav, &error) == 0);
    require(audio_decode(wav.bytes, wav.length, LIMIT, &again, &error) == 0);
    require(again.count == audio->count && again.rate == audio->rate);
    for (size_t i = 0; i < audio->count; i++) {
        float clipped = fminf(fmaxf(audio->samples[i], -1), 32767.0F / 32768);
        require(fabsf(again.samples[i] - clipped) <= 0.5F / 32768);
    }
    free(again.samples);
    free(wav.bytes);
}

static void try_audio(const unsigned char *bytes, size_t size)
{
    struct media_error error = {""};
    struct audio audio;
    int status = audio_decode(bytes, size, LIMIT, &audio, &error);
    require(status < 0 ? error.sentence[0] != '\0' && audio.samples == NULL
                       : error.sentence[0] == '\0');
    if (status == 0)
        check_audio(&audio);
    free(audio.samples);
}

/* Each sequence of bytes has one text, so a text that is good is what its bytes are encoded to. */
static void try_base64(const char *text, size_t length)
{
    unsigned char *bytes = malloc(BASE64_DECODED(length) + 1);
    char *again = malloc(length + 1);
    size_t count;
    require(bytes != NULL && again != NULL);
    if (base64_decode(text, length, bytes, &count) == 0) {
        require(BASE64_ENCODED(count) == length);
        base64_encode(bytes, count, again);
        require(memcmp(again, text, length) == 0);
    }
    free(bytes);
    free(again);
}

static void try_url(const char *url, size_t length)
{
    struct media_error error = {""};
    struct media_bytes bytes;
    if (length < 5 || memcmp(url, "data:", 5) != 0)
        return;
    if (media_fetch(url, length, LIMIT, &bytes, &error) < 0) {
        require(error.sentence[0] != '\0' && bytes.bytes == NULL);
        return;
    }
    require(bytes.length <= LIMIT);
    try_image(bytes.bytes, bytes.length);
    try_audio(bytes.bytes, bytes.length);
    free(bytes.bytes);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    try_image(bytes, size);
    try_audio(bytes, size);
    try_base64((const char *)bytes, size);
    try_url((const char *)bytes, size);
    return 0;
}
