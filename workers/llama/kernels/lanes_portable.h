/*
 * lanes_portable.h - sixteen lanes in plain C
 *
 * The kernels (dense.h, blocks.h, attention.h, pointwise.h) are written once, in terms of the
 * operations below; lanes_avx2.h and lanes_avx512.h define the same operations on registers. Each
 * is one IEEE operation a lane, or an exact operation on integers, so that whatever is written
 * with them has the same bits on every machine. This file is the definition; it also serves the
 * machines that have no file of their own.
 *
 *   f32x16   16 floats
 *   i32x16   16 int32, or 16 pairs of int16 (the even element in the low half)
 */
#ifndef MILLRACE_LLAMA_LANES_H
#define MILLRACE_LLAMA_LANES_H

#include "workers/llama/half.h"

#include <stdint.h>
#include <string.h>

typedef struct {
    float lane[16];
} f32x16;

typedef struct {
    int32_t lane[16];
} i32x16;

/* Batch rows that a matrix kernel takes at once; they share the registers with one weight. */
enum { ROWS_AT_ONCE = 4 };

/* Lanes are arrays here and stay in memory: unrolling would only make the compiler work. */
#define UNROLL

#define EACH_LANE for (int i = 0; i < 16; i++)

static inline f32x16 f32x16_load(const float *from)
{
    f32x16 r;
    memcpy(r.lane, from, sizeof(r.lane));
    return r;
}

static inline void f32x16_store(float *to, f32x16 a)
{
    memcpy(to, a.lane, sizeof(a.lane));
}

static inline f32x16 f32x16_all(float value)
{
    f32x16 r;
    EACH_LANE r.lane[i] = value;
    return r;
}

static inline f32x16 f32x16_add(f32x16 a, f32x16 b)
{
    EACH_LANE a.lane[i] += b.lane[i];
    return a;
}

static inline f32x16 f32x16_sub(f32x16 a, f32x16 b)
{
    EACH_LANE a.lane[i] -= b.lane[i];
    return a;
}

static inline f32x16 f32x16_mul(f32x16 a, f32x16 b)
{
    EACH_LANE a.lane[i] *= b.lane[i];
    return a;
}

static inline f32x16 f32x16_div(f32x16 a, f32x16 b)
{
    EACH_LANE a.lane[i] /= b.lane[i];
    return a;
}

/* b where a is not greater, so also where one of them is NaN */
static inline f32x16 f32x16_max(f32x16 a, f32x16 b)
{
    EACH_LANE a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}

static inline f32x16 f32x16_min(f32x16 a, f32x16 b)
{
    EACH_LANE a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}

/* a where x < limit is false, 0 elsewhere */
static inline f32x16 f32x16_zero_below(f32x16 x, f32x16 limit, f32x16 a)
{
    EACH_LANE a.lane[i] = x.lane[i] < limit.lane[i] ? 0.0f : a.lane[i];
    return a;
}

static inline f32x16 f32x16_from_i32(i32x16 a)
{
    f32x16 r;
    EACH_LANE r.lane[i] = (float)a.lane[i];
    return r;
}

static inline f32x16 f32x16_from_f16(const uint16_t *from)
{
    f32x16 r;
    EACH_LANE r.lane[i] = f32_from_f16(from[i]);
    return r;
}

static inline f32x16 f32x16_from_bf16(const uint16_t *from)
{
    f32x16 r;
    EACH_LANE r.lane[i] = f32_from_bf16(from[i]);
    return r;
}

static inline f32x16 f32x16_of_bits(i32x16 a)
{
    f32x16 r;
    memcpy(r.lane, a.lane, sizeof(r.lane));
    return r;
}

static inline i32x16 i32x16_bits_of(f32x16 a)
{
    i32x16 r;
    memcpy(r.lane, a.lane, sizeof(r.lane));
    return r;
}

static inline i32x16 i32x16_load(const int32_t *from)
{
    i32x16 r;
    memcpy(r.lane, from, sizeof(r.lane));
    return r;
}

static inline void i32x16_store(int32_t *to, i32x16 a)
{
    memcpy(to, a.lane, sizeof(a.lane));
}

static inline i32x16 i32x16_all(int32_t value)
{
    i32x16 r;
    EACH_LANE r.lane[i] = value;
    return r;
}

/* modulo 2^32 */
static inline i32x16 i32x16_add(i32x16 a, i32x16 b)
{
    EACH_LANE a.lane[i] = (int32_t)((uint32_t)a.lane[i] + (uint32_t)b.lane[i]);
    return a;
}

static inline i32x16 i32x16_sub(i32x16 a, i32x16 b)
{
    EACH_LANE a.lane[i] = (int32_t)((uint32_t)a.lane[i] - (uint32_t)b.lane[i]);
    return a;
}

static inline i32x16 i32x16_and(i32x16 a, i32x16 b)
{
    EACH_LANE a.lane[i] &= b.lane[i];
    return a;
}

static inline i32x16 i32x16_shift_23(i32x16 a)
{
    EACH_LANE a.lane[i] = (int32_t)((uint32_t)a.lane[i] << 23);
    return a;
}

static inline int32_t i32x16_greatest(i32x16 a)
{
    int32_t r = a.lane[0];
    EACH_LANE r = a.lane[i] > r ? a.lane[i] : r;
    return r;
}

static inline int32_t i32x16_sum(i32x16 a)
{
    uint32_t r = 0;
    EACH_LANE r += (uint32_t)a.lane[i];
    return (int32_t)r;
}

/* Each value must fit into 16 bits. */
static inline void i32x16_store_i16(int16_t *to, i32x16 a)
{
    EACH_LANE to[i] = (int16_t)a.lane[i];
}

static inline int32_t pair_of(int low, int high)
{
    return (int32_t)((uint32_t)(uint16_t)low | (uint32_t)(uint16_t)high << 16);
}

/* 32 signed bytes as pairs */
static inline i32x16 pairs_from_i8(const unsigned char *from)
{
    i32x16 r;
    EACH_LANE r.lane[i] = pair_of((int8_t)from[2 * i], (int8_t)from[2 * i + 1]);
    return r;
}

/* 32 half-bytes as pairs: elements 0 to 15 are the low halves of the bytes, 16 to 31 the high */
static inline i32x16 pairs_from_u4(const unsigned char *from)
{
    i32x16 r;
    for (int i = 0; i < 8; i++) {
        r.lane[i] = pair_of(from[2 * i] & 15, from[2 * i + 1] & 15);
        r.lane[i + 8] = pair_of(from[2 * i] >> 4, from[2 * i + 1] >> 4);
    }
    return r;
}

/* Subtracts `value` from both elements of each pair. */
static inline i32x16 pairs_less(i32x16 a, int value)
{
    EACH_LANE a.lane[i] = pair_of((int16_t)a.lane[i] - value, (a.lane[i] >> 16) - value);
    return a;
}

/* sum + a.even * b.even + a.odd * b.odd */
static inline i32x16 i32x16_add_pairs(i32x16 sum, i32x16 a, i32x16 b)
{
    EACH_LANE sum.lane[i] +=
        (int16_t)a.lane[i] * (int16_t)b.lane[i] + (a.lane[i] >> 16) * (b.lane[i] >> 16);
    return sum;
}

/* row[i].lane[j] and row[j].lane[i] change places */
static inline void i32x16_transpose(i32x16 row[16])
{
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < i; j++) {
            int32_t other = row[i].lane[j];
            row[i].lane[j] = row[j].lane[i];
            row[j].lane[i] = other;
        }
}

/* lane[i] = sum of the lanes of row[i] */
static inline i32x16 i32x16_sums(const i32x16 row[16])
{
    i32x16 sums;
    EACH_LANE sums.lane[i] = i32x16_sum(row[i]);
    return sums;
}

#endif
