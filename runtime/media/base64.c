/*
 * base64.c - bytes as text and back
 */
#include "runtime/media/base64.h"
#include <errno.h>
#include <stdint.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* IS_LETTER and the six bits that a letter stands for; 0 for all other characters. */
enum { IS_LETTER = 64 };
static const uint8_t values[256] = {
    ['A'] = 64,  ['B'] = 65,  ['C'] = 66,  ['D'] = 67,  ['E'] = 68,  ['F'] = 69,  ['G'] = 70,
    ['H'] = 71,  ['I'] = 72,  ['J'] = 73,  ['K'] = 74,  ['L'] = 75,  ['M'] = 76,  ['N'] = 77,
    ['O'] = 78,  ['P'] = 79,  ['Q'] = 80,  ['R'] = 81,  ['S'] = 82,  ['T'] = 83,  ['U'] = 84,
    ['V'] = 85,  ['W'] = 86,  ['X'] = 87,  ['Y'] = 88,  ['Z'] = 89,  ['a'] = 90,  ['b'] = 91,
    ['c'] = 92,  ['d'] = 93,  ['e'] = 94,  ['f'] = 95,  ['g'] = 96,  ['h'] = 97,  ['i'] = 98,
    ['j'] = 99,  ['k'] = 100, ['l'] = 101, ['m'] = 102, ['n'] = 103, ['o'] = 104, ['p'] = 105,
    ['q'] = 106, ['r'] = 107, ['s'] = 108, ['t'] = 109, ['u'] = 110, ['v'] = 111, ['w'] = 112,
    ['x'] = 113, ['y'] = 114, ['z'] = 115, ['0'] = 116, ['1'] = 117, ['2'] = 118, ['3'] = 119,
    ['4'] = 120, ['5'] = 121, ['6'] = 122, ['7'] = 123, ['8'] = 124, ['9'] = 125, ['+'] = 126,
    ['/'] = 127,
};

void base64_encode(const void *bytes, size_t length, char *text)
{
    const uint8_t *in = bytes;
    for (; length >= 3; length -= 3, in += 3, text += 4) {
        uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        text[0] = letters[group >> 18];
        text[1] = letters[group >> 12 & 63];
        text[2] = letters[group >> 6 & 63];
        text[3] = letters[group & 63];
    }
    if (length > 0) {
        uint32_t group = (uint32_t)in[0] << 16 | (length == 2 ? (uint32_t)in[1] << 8 : 0);
        text[0] = letters[group >> 18];
        text[1] = letters[group >> 12 & 63];
        text[2] = length == 2 ? letters[group >> 6 & 63] : '=';
        text[3] = '=';
    }
}

/* The last group: one to three bytes. Returns how many, or 0 if it isn't a good one. */
static size_t decode_last(const uint8_t *in, unsigned char *out)
{
    size_t padding = in[3] != '=' ? 0 : in[2] != '=' ? 1 : 2;
    unsigned is_letter = IS_LETTER;
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned value = i < 4 - padding ? values[in[i]] : IS_LETTER;
        is_letter &= value;
        group = group << 6 | (value & 63);
    }
    if (!is_letter || (group & ((1U << 8 * padding) - 1)) != 0)
        return 0;
    for (size_t i = 0; i < 3 - padding; i++)
        out[i] = (unsigned char)(group >> (16 - 8 * i));
    return 3 - padding;
}

int base64_decode(const char *text, size_t length, unsigned char *bytes, size_t *bytes_length)
{
    const uint8_t *in = (const uint8_t *)text;
    unsigned char *out = bytes;
    unsigned is_letter = IS_LETTER;
    size_t last = 0;
    *bytes_length = 0;
    for (; length > 4; length -= 4, in += 4, out += 3) {
        unsigned a = values[in[0]], b = values[in[1]], c = values[in[2]], d = values[in[3]];
        is_letter &= a & b & c & d;
        out[0] = (unsigned char)(a << 2 | (b & 63) >> 4);
        out[1] = (unsigned char)(b << 4 | (c & 63) >> 2);
        out[2] = (unsigned char)(c << 6 | (d & 63));
    }
    if (length > 0)
        last = length == 4 ? decode_last(in, out) : 0;
    if (!is_letter || (length > 0 && last == 0))
        return -EINVAL;
    *bytes_length = (size_t)(out - bytes) + last;
    return 0;
}
