/*
 * wav_check.c - what a WAV file must be before libsndfile sees it
 *
 * A RIFF file is "RIFF", its size, "WAVE", then chunks: a name of four letters, a size, so many
 * bytes and one more if they are odd. Numbers are little-endian. Source: "Multimedia Programming
 * Interface and Data Specifications 1.0", IBM and Microsoft, 1991; the extensible header is that of
 * WAVEFORMATEXTENSIBLE.
 */
#include "runtime/media/wav.h"
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { PCM = 1, FLOATS = 3, EXTENSIBLE = 0xFFFE }; /* of the word that begins a "fmt " chunk */
enum { HEADER = 12, CHUNK_HEADER = 8, FORMAT = 16, EXTENSIBLE_FORMAT = 40, SUBFORMAT_AT = 24 };
#define SIZE_UNKNOWN UINT32_MAX

static unsigned word(const unsigned char *bytes)
{
    return bytes[0] | (unsigned)bytes[1] << 8;
}

static uint32_t long_word(const unsigned char *bytes)
{
    return word(bytes) | (uint32_t)word(bytes + 2) << 16;
}

static int broken(struct media_error *error, const char *why)
{
    return media_fail(error, -EINVAL, "the WAV file is broken: %s", why);
}

static int check_format(const unsigned char *format, size_t size, struct media_error *error)
{
    unsigned codec, bits;
    if (size < FORMAT)
        return broken(error, "its 'fmt ' chunk is too short");
    codec = word(format);
    bits = word(format + 14);
    if (codec == EXTENSIBLE && size >= EXTENSIBLE_FORMAT)
        codec = word(format + SUBFORMAT_AT);
    if (codec == PCM && (bits == 8 || bits == 16 || bits == 24 || bits == 32))
        return 0;
    if (codec == FLOATS && (bits == 32 || bits == 64))
        return 0;
    return media_fail(
        error, -ENOTSUP,
        "the WAV file has codec %u with %u bits; integers of 8, 16, 24 or 32 bits and "
        "floats of 32 or 64 are taken",
        codec, bits);
}

static int check_data(uint32_t size, size_t left, bool has_format, struct media_error *error)
{
    if (!has_format)
        return broken(error, "it has no 'fmt ' chunk before its data");
    if (size == 0 || left == 0)
        return broken(error, "it has no samples");
    if (size != SIZE_UNKNOWN && size > left)
        return broken(error, "it ends too early");
    return 0;
}

int wav_check(const unsigned char *bytes, size_t length, struct media_error *error)
{
    bool has_format = false;
    size_t at = HEADER;
    while (at < length && length - at >= CHUNK_HEADER) {
        const unsigned char *chunk = bytes + at;
        size_t left = length - at - CHUNK_HEADER;
        uint32_t size = long_word(chunk + 4);
        if (memcmp(chunk, "data", 4) == 0)
            return check_data(size, left, has_format, error);
        if (size > left)
            break;
        if (memcmp(chunk, "fmt ", 4) == 0) {
            int status = check_format(chunk + CHUNK_HEADER, size, error);
            if (status < 0)
                return status;
            has_format = true;
        }
        at += CHUNK_HEADER + (size_t)size + (size & 1);
    }
    return broken(error, "it ends before its data");
}
