/*
 * lanes_avx512.h - the operations of lanes_portable.h on one register of 512 bits
 *
 * Needs AVX-512 F, BW, DQ, VL and VNNI.
 */
#ifndef MILLRACE_LLAMA_LANES_H
#define MILLRACE_LLAMA_LANES_H

#include "workers/llama/kernels/unroll.h"

#include <immintrin.h>
#include <stdint.h>

typedef __m512 f32x16;

/* A struct, since __m512i is one type for lanes of every width and a mistake would compile. */
typedef struct {
    __m512i all;
} i32x16;

enum { ROWS_AT_ONCE = 8 };

static inline f32x16 f32x16_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline void f32x16_store(float *to, f32x16 a)
{
    _mm512_storeu_ps(to, a);
}

static inline f32x16 f32x16_all(float value)
{
    return _mm512_set1_ps(value);
}

static inline f32x16 f32x16_add(f32x16 a, f32x16 b)
{
    return _mm512_add_ps(a, b);
}

static inline f32x16 f32x16_sub(f32x16 a, f32x16 b)
{
    return _mm512_sub_ps(a, b);
}

static inline f32x16 f32x16_mul(f32x16 a, f32x16 b)
{
    return _mm512_mul_ps(a, b);
}

static inline f32x16 f32x16_div(f32x16 a, f32x16 b)
{
    return _mm512_div_ps(a, b);
}

static inline f32x16 f32x16_max(f32x16 a, f32x16 b)
{
    return _mm512_max_ps(a, b);
}

static inline f32x16 f32x16_min(f32x16 a, f32x16 b)
{
    return _mm512_min_ps(a, b);
}

static inline f32x16 f32x16_zero_below(f32x16 x, f32x16 limit, f32x16 a)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), a);
}

static inline f32x16 f32x16_from_i32(i32x16 a)
{
    return _mm512_cvtepi32_ps(a.all);
}

static inline f32x16 f32x16_from_f16(const uint16_t *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)from));
}

static inline f32x16 f32x16_from_bf16(const uint16_t *from)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static inline f32x16 f32x16_of_bits(i32x16 a)
{
    return _mm512_castsi512_ps(a.all);
}

static inline i32x16 i32x16_bits_of(f32x16 a)
{
    return (i32x16){_mm512_castps_si512(a)};
}

static inline i32x16 i32x16_load(const int32_t *from)
{
    return (i32x16){_mm512_loadu_si512(from)};
}

static inline void i32x16_store(int32_t *to, i32x16 a)
{
    _mm512_storeu_si512(to, a.all);
}

static inline i32x16 i32x16_all(int32_t value)
{
    return (i32x16){_mm512_set1_epi32(value)};
}

static inline i32x16 i32x16_add(i32x16 a, i32x16 b)
{
    return (i32x16){_mm512_add_epi32(a.all, b.all)};
}

static inline i32x16 i32x16_sub(i32x16 a, i32x16 b)
{
    return (i32x16){_mm512_sub_epi32(a.all, b.all)};
}

static inline i32x16 i32x16_and(i32x16 a, i32x16 b)
{
    return (i32x16){_mm512_and_si512(a.all, b.all)};
}

static inline i32x16 i32x16_shift_23(i32x16 a)
{
    return (i32x16){_mm512_slli_epi32(a.all, 23)};
}

static inline int32_t i32x16_greatest(i32x16 a)
{
    return _mm512_reduce_max_epi32(a.all);
}

static inline int32_t i32x16_sum(i32x16 a)
{
    return _mm512_reduce_add_epi32(a.all);
}

static inline void i32x16_store_i16(int16_t *to, i32x16 a)
{
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtepi32_epi16(a.all));
}

static inline i32x16 pairs_from_i8(const unsigned char *from)
{
    const __m256i *bytes = (const __m256i *)(const void *)from;
    return (i32x16){_mm512_cvtepi8_epi16(_mm256_loadu_si256(bytes))};
}

static inline i32x16 pairs_from_u4(const unsigned char *from)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
    __m256i halves = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
    return (i32x16){_mm512_cvtepu8_epi16(_mm256_and_si256(halves, _mm256_set1_epi8(15)))};
}

static inline i32x16 pairs_less(i32x16 a, int value)
{
    return (i32x16){_mm512_sub_epi16(a.all, _mm512_set1_epi16((short)value))};
}

static inline i32x16 i32x16_add_pairs(i32x16 sum, i32x16 a, i32x16 b)
{
    return (i32x16){_mm512_dpwssd_epi32(sum.all, a.all, b.all)};
}

/* The first two steps of a transposition: of each group of four rows, two by two, then four. */
ALWAYS_INLINE void interleave_fours(const i32x16 row[16], __m512i four[16])
{
    __m512i two[16];

    UNROLL for (int i = 0; i < 16; i += 2)
    {
        two[i] = _mm512_unpacklo_epi32(row[i].all, row[i + 1].all);
        two[i + 1] = _mm512_unpackhi_epi32(row[i].all, row[i + 1].all);
    }
    UNROLL for (int i = 0; i < 16; i += 4)
    {
        four[i] = _mm512_unpacklo_epi64(two[i], two[i + 2]);
        four[i + 1] = _mm512_unpackhi_epi64(two[i], two[i + 2]);
        four[i + 2] = _mm512_unpacklo_epi64(two[i + 1], two[i + 3]);
        four[i + 3] = _mm512_unpackhi_epi64(two[i + 1], two[i + 3]);
    }
}

ALWAYS_INLINE void i32x16_transpose(i32x16 row[16])
{
    __m512i a[16], four[16];

    /* four[4 * g + c] holds rows 4g to 4g + 3 of columns c, c + 4, c + 8 and c + 12 */
    interleave_fours(row, four);
    UNROLL for (int c = 0; c < 4; c++)
    {
        a[c] = _mm512_shuffle_i32x4(four[c], four[4 + c], 0x88);
        a[c + 4] = _mm512_shuffle_i32x4(four[c], four[4 + c], 0xdd);
        a[c + 8] = _mm512_shuffle_i32x4(four[8 + c], four[12 + c], 0x88);
        a[c + 12] = _mm512_shuffle_i32x4(four[8 + c], four[12 + c], 0xdd);
    }
    UNROLL for (int c = 0; c < 4; c++)
    {
        row[c].all = _mm512_shuffle_i32x4(a[c], a[c + 8], 0x88);
        row[c + 8].all = _mm512_shuffle_i32x4(a[c], a[c + 8], 0xdd);
        row[c + 4].all = _mm512_shuffle_i32x4(a[c + 4], a[c + 12], 0x88);
        row[c + 12].all = _mm512_shuffle_i32x4(a[c + 4], a[c + 12], 0xdd);
    }
}

/* lane[i] = sum of the lanes of row[i] */
ALWAYS_INLINE i32x16 i32x16_sums(const i32x16 row[16])
{
    __m512i two[8], four[4];

    UNROLL for (int i = 0; i < 8; i++) two[i] =
        _mm512_add_epi32(_mm512_unpacklo_epi32(row[2 * i].all, row[2 * i + 1].all),
                         _mm512_unpackhi_epi32(row[2 * i].all, row[2 * i + 1].all));
    UNROLL for (int i = 0; i < 4; i++) four[i] =
        _mm512_add_epi32(_mm512_unpacklo_epi64(two[2 * i], two[2 * i + 1]),
                         _mm512_unpackhi_epi64(two[2 * i], two[2 * i + 1]));
    /* each quarter of four[i] has a part of the sums of rows 4i to 4i + 3 */
    __m512i a = _mm512_add_epi32(_mm512_shuffle_i32x4(four[0], four[1], 0x88),
                                 _mm512_shuffle_i32x4(four[0], four[1], 0xdd));
    __m512i b = _mm512_add_epi32(_mm512_shuffle_i32x4(four[2], four[3], 0x88),
                                 _mm512_shuffle_i32x4(four[2], four[3], 0xdd));
    return (i32x16){
        _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd))};
}

#endif
