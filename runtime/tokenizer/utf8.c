/*
 * utf8.c - telling UTF-8 from broken UTF-8, and repairing it
 */
#include "runtime/tokenizer/utf8.h"

#include <stdint.h>
#include <string.h>

/* What may follow a lead byte: how many bytes, and the range of the first of them. The others
 * are always in 80..BF. */
typedef struct {
    unsigned char more;
    unsigned char low;
    unsigned char high;
} continuation;

static continuation after(unsigned char lead)
{
    if (lead >= 0xC2 && lead <= 0xDF)
        return (continuation){1, 0x80, 0xBF};
    if (lead >= 0xE0 && lead <= 0xEF) /* no overlong forms, no surrogates */
        return (continuation){2, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF};
    if (lead >= 0xF0 && lead <= 0xF4) /* no overlong forms, nothing above U+10FFFF */
        return (continuation){3, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF};
    return (continuation){0};
}

size_t utf8_step(const char *text, size_t length, bool *valid)
{
    const unsigned char *bytes = (const unsigned char *)text;
    continuation next = after(bytes[0]);
    size_t n = 1;

    *valid = bytes[0] < 0x80;
    if (next.more == 0)
        return 1;
    while (n < length && n <= next.more) {
        unsigned char low = n == 1 ? next.low : 0x80;
        unsigned char high = n == 1 ? next.high : 0xBF;

        if (bytes[n] < low || bytes[n] > high)
            return n;
        n++;
    }
    *valid = n == next.more + (size_t)1;
    return n;
}

static size_t ascii_run(const char *text, size_t length)
{
    size_t n = 0;
    uint64_t eight;

    for (; n + sizeof(eight) <= length; n += sizeof(eight)) {
        memcpy(&eight, text + n, sizeof(eight));
        if (eight & UINT64_C(0x8080808080808080))
            break;
    }
    while (n < length && (unsigned char)text[n] < 0x80)
        n++;
    return n;
}

size_t utf8_valid(const char *text, size_t length)
{
    size_t n = 0;
    bool valid;

    while ((n += ascii_run(text + n, length - n)) < length) {
        size_t step = utf8_step(text + n, length - n, &valid);

        if (!valid)
            return n;
        n += step;
    }
    return n;
}

size_t utf8_repair(const char *text, size_t length, char *out)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t written = 0;
    size_t n = 0;
    bool valid;

    while (n < length) {
        size_t good = utf8_valid(text + n, length - n);

        memcpy(out + written, text + n, good);
        written += good;
        n += good;
        if (n == length)
            break;
        n += utf8_step(text + n, length - n, &valid);
        memcpy(out + written, replacement, sizeof(replacement) - 1);
        written += sizeof(replacement) - 1;
    }
    return written;
}

unsigned utf8_code_point(const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned more = after(bytes[0]).more;
    unsigned code = more ? bytes[0] & (0x3Fu >> more) : bytes[0];

    for (unsigned i = 1; i <= more; i++)
        code = code << 6 | (bytes[i] & 0x3Fu);
    return code;
}
