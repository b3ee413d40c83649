/*
 * half.h - the 16-bit floating-point formats of model files, widened exactly
 */
#ifndef MILLRACE_LLAMA_HALF_H
#define MILLRACE_LLAMA_HALF_H

#include <stdint.h>
#include <string.h>

static inline float f32_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint32_t bits_of_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* IEEE binary16; subnormals and infinities included */
static inline float f32_from_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;

    if (rest >= 0x7c00) /* infinity, NaN */
        return f32_of_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    if (rest >= 0x0400) /* normal: move the exponent's bias from 15 to 127 */
        return f32_of_bits(sign | ((rest << 13) + (112u << 23)));
    float magnitude = (float)rest * 0x1p-24f;
    return f32_of_bits(sign | bits_of_f32(magnitude));
}

static inline float f32_from_bf16(uint16_t half)
{
    return f32_of_bits((uint32_t)half << 16);
}

#endif
