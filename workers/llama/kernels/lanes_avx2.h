/*
 * lanes_avx2.h - the operations of lanes_portable.h on two registers of 256 bits
 *
 * Needs AVX2 and F16C. Lanes 0 to 7 are in `low`, 8 to 15 in `high`.
 */
#ifndef MILLRACE_LLAMA_LANES_H
#define MILLRACE_LLAMA_LANES_H

#include "workers/llama/kernels/unroll.h"

#include <immintrin.h>
#include <stdint.h>

typedef struct {
    __m256 low, high;
} f32x16;

typedef struct {
    __m256i low, high;
} i32x16;

enum { ROWS_AT_ONCE = 4 };

static inline f32x16 f32x16_load(const float *from)
{
    return (f32x16){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}

static inline void f32x16_store(float *to, f32x16 a)
{
    _mm256_storeu_ps(to, a.low);
    _mm256_storeu_ps(to + 8, a.high);
}

static inline f32x16 f32x16_all(float value)
{
    __m256 all = _mm256_set1_ps(value);
    return (f32x16){all, all};
}

static inline f32x16 f32x16_add(f32x16 a, f32x16 b)
{
    return (f32x16){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}

static inline f32x16 f32x16_sub(f32x16 a, f32x16 b)
{
    return (f32x16){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}

static inline f32x16 f32x16_mul(f32x16 a, f32x16 b)
{
    return (f32x16){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}

static inline f32x16 f32x16_div(f32x16 a, f32x16 b)
{
    return (f32x16){_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}

static inline f32x16 f32x16_max(f32x16 a, f32x16 b)
{
    return (f32x16){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

static inline f32x16 f32x16_min(f32x16 a, f32x16 b)
{
    return (f32x16){_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}

static inline f32x16 f32x16_zero_below(f32x16 x, f32x16 limit, f32x16 a)
{
    return (f32x16){_mm256_andnot_ps(_mm256_cmp_ps(x.low, limit.low, _CMP_LT_OQ), a.low),
                    _mm256_andnot_ps(_mm256_cmp_ps(x.high, limit.high, _CMP_LT_OQ), a.high)};
}

static inline f32x16 f32x16_from_i32(i32x16 a)
{
    return (f32x16){_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)};
}

static inline f32x16 f32x16_from_f16(const uint16_t *from)
{
    return (f32x16){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)from)),
                    _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(from + 8)))};
}

static inline __m256 eight_from_bf16(const uint16_t *from)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

static inline f32x16 f32x16_from_bf16(const uint16_t *from)
{
    return (f32x16){eight_from_bf16(from), eight_from_bf16(from + 8)};
}

static inline f32x16 f32x16_of_bits(i32x16 a)
{
    return (f32x16){_mm256_castsi256_ps(a.low), _mm256_castsi256_ps(a.high)};
}

static inline i32x16 i32x16_bits_of(f32x16 a)
{
    return (i32x16){_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)};
}

static inline i32x16 i32x16_load(const int32_t *from)
{
    return (i32x16){_mm256_loadu_si256((const __m256i *)(const void *)from),
                    _mm256_loadu_si256((const __m256i *)(const void *)(from + 8))};
}

static inline void i32x16_store(int32_t *to, i32x16 a)
{
    _mm256_storeu_si256((__m256i *)(void *)to, a.low);
    _mm256_storeu_si256((__m256i *)(void *)(to + 8), a.high);
}

static inline i32x16 i32x16_all(int32_t value)
{
    __m256i all = _mm256_set1_epi32(value);
    return (i32x16){all, all};
}

static inline i32x16 i32x16_add(i32x16 a, i32x16 b)
{
    return (i32x16){_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}

static inline i32x16 i32x16_sub(i32x16 a, i32x16 b)
{
    return (i32x16){_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}

static inline i32x16 i32x16_and(i32x16 a, i32x16 b)
{
    return (i32x16){_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)};
}

static inline i32x16 i32x16_shift_23(i32x16 a)
{
    return (i32x16){_mm256_slli_epi32(a.low, 23), _mm256_slli_epi32(a.high, 23)};
}

static inline int32_t i32x16_greatest(i32x16 a)
{
    __m256i eight = _mm256_max_epi32(a.low, a.high);
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtsi128_si32(four);
}

static inline int32_t i32x16_sum(i32x16 a)
{
    __m256i eight = _mm256_add_epi32(a.low, a.high);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtsi128_si32(four);
}

static inline void i32x16_store_i16(int16_t *to, i32x16 a)
{
    /* packs works within 128 bits; the permutation puts the quarters back in order */
    __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.low, a.high), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)to, both);
}

static inline i32x16 pairs_from_i8(const unsigned char *from)
{
    const __m128i *bytes = (const __m128i *)(const void *)from;
    return (i32x16){_mm256_cvtepi8_epi16(_mm_loadu_si128(bytes)),
                    _mm256_cvtepi8_epi16(_mm_loadu_si128(bytes + 1))};
}

static inline i32x16 pairs_from_u4(const unsigned char *from)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
    __m128i mask = _mm_set1_epi8(15);
    return (i32x16){_mm256_cvtepu8_epi16(_mm_and_si128(bytes, mask)),
                    _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(bytes, 4), mask))};
}

static inline i32x16 pairs_less(i32x16 a, int value)
{
    __m256i all = _mm256_set1_epi16((short)value);
    return (i32x16){_mm256_sub_epi16(a.low, all), _mm256_sub_epi16(a.high, all)};
}

static inline i32x16 i32x16_add_pairs(i32x16 sum, i32x16 a, i32x16 b)
{
    return (i32x16){_mm256_add_epi32(sum.low, _mm256_madd_epi16(a.low, b.low)),
                    _mm256_add_epi32(sum.high, _mm256_madd_epi16(a.high, b.high))};
}

/* out[j].lane[i] = in[i].lane[j], 8 by 8 */
ALWAYS_INLINE void transpose_8x8(const __m256i in[8], __m256i out[8])
{
    __m256i two[8], four[8];

    UNROLL for (int i = 0; i < 8; i += 2)
    {
        two[i] = _mm256_unpacklo_epi32(in[i], in[i + 1]);
        two[i + 1] = _mm256_unpackhi_epi32(in[i], in[i + 1]);
    }
    UNROLL for (int i = 0; i < 8; i += 4)
    {
        four[i] = _mm256_unpacklo_epi64(two[i], two[i + 2]);
        four[i + 1] = _mm256_unpackhi_epi64(two[i], two[i + 2]);
        four[i + 2] = _mm256_unpacklo_epi64(two[i + 1], two[i + 3]);
        four[i + 3] = _mm256_unpackhi_epi64(two[i + 1], two[i + 3]);
    }
    UNROLL for (int i = 0; i < 4; i++)
    {
        out[i] = _mm256_permute2x128_si256(four[i], four[i + 4], 0x20);
        out[i + 4] = _mm256_permute2x128_si256(four[i], four[i + 4], 0x31);
    }
}

ALWAYS_INLINE void i32x16_transpose(i32x16 row[16])
{
    __m256i in[4][8], out[4][8];

    UNROLL for (int i = 0; i < 8; i++)
    {
        in[0][i] = row[i].low;
        in[1][i] = row[i].high;
        in[2][i] = row[i + 8].low;
        in[3][i] = row[i + 8].high;
    }
    UNROLL for (int quarter = 0; quarter < 4; quarter++) transpose_8x8(in[quarter], out[quarter]);
    UNROLL for (int i = 0; i < 8; i++)
    {
        row[i] = (i32x16){out[0][i], out[2][i]};
        row[i + 8] = (i32x16){out[1][i], out[3][i]};
    }
}

/* lane[i] = sum of the lanes of row[i], 8 by 8 */
ALWAYS_INLINE __m256i sums_of_8(const i32x16 row[8])
{
    __m256i one[8], two[4], four[2];

    UNROLL for (int i = 0; i < 8; i++) one[i] = _mm256_add_epi32(row[i].low, row[i].high);
    UNROLL for (int i = 0; i < 4; i++) two[i] = _mm256_hadd_epi32(one[2 * i], one[2 * i + 1]);
    UNROLL for (int i = 0; i < 2; i++) four[i] = _mm256_hadd_epi32(two[2 * i], two[2 * i + 1]);
    return _mm256_add_epi32(_mm256_permute2x128_si256(four[0], four[1], 0x20),
                            _mm256_permute2x128_si256(four[0], four[1], 0x31));
}

ALWAYS_INLINE i32x16 i32x16_sums(const i32x16 row[16])
{
    return (i32x16){sums_of_8(row), sums_of_8(row + 8)};
}

#endif
