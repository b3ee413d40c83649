/*
 * byte_level.c - the alphabet in which byte-level BPE vocabularies are written
 */
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/utf8.h"

static bool stands_for_itself(unsigned code)
{
    return (code >= 0x21 && code <= 0x7E) || (code >= 0xA1 && code <= 0xAC) ||
           (code >= 0xAE && code <= 0xFF);
}

/* The 68 bytes without a character of their own, in order: 00..20, 7F..A0, AD. */
static bool byte_of(unsigned code, unsigned char *byte)
{
    if (stands_for_itself(code))
        *byte = (unsigned char)code;
    else if (code >= 0x100 && code <= 0x120)
        *byte = (unsigned char)(code - 0x100);
    else if (code >= 0x121 && code <= 0x142)
        *byte = (unsigned char)(code - 0x121 + 0x7F);
    else if (code == 0x143)
        *byte = 0xAD;
    else
        return false;
    return true;
}

bool byte_level_decode(const char *text, size_t length, unsigned char *out, size_t *out_length)
{
    size_t n = 0;
    size_t step;
    bool valid;

    for (size_t i = 0; i < length; i += step) {
        step = utf8_step(text + i, length - i, &valid);
        if (!valid || !byte_of(utf8_code_point(text + i), &out[n++]))
            return false;
    }
    *out_length = n;
    return true;
}
