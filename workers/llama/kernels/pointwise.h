/*
 * pointwise.h - what is done to each activation by itself, norms, and exp
 */
#include "workers/llama/kernels/kernels.h"
#include "workers/llama/kernels/unroll.h"

#include <math.h>

/* Halves of 16 lanes are added until one is left: i + (i + 8), then i + (i + 4), ... */
static inline float fold(f32x16 a)
{
    float lane[LANES];

    f32x16_store(lane, a);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] = lane[i] + lane[i + half];
    return lane[0];
}

/*
 * e^x to about 1e-7 of its size, 0 below -87; above 88 it stays at e^88.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2; e^r is its series up to r^7, and 2^n is added to the
 * exponent. n is found by adding 1.5 * 2^23, which leaves it in the low bits of the sum. ln 2 is
 * split in two, so that n times the first part is exact.
 */
static inline f32x16 exp_lanes(f32x16 x)
{
    const f32x16 least = f32x16_all(-87.0f), shift = f32x16_all(0x1.8p23f);
    f32x16 t = f32x16_min(f32x16_max(x, least), f32x16_all(88.0f));
    f32x16 shifted = f32x16_add(f32x16_mul(t, f32x16_all(0x1.715476p0f)), shift);
    f32x16 n = f32x16_sub(shifted, shift);
    f32x16 r = f32x16_sub(t, f32x16_mul(n, f32x16_all(0x1.62e4p-1f)));
    r = f32x16_sub(r, f32x16_mul(n, f32x16_all(0x1.7f7d1cp-20f)));

    f32x16 p = f32x16_all(1.0f / 5040);
    p = f32x16_add(f32x16_mul(p, r), f32x16_all(1.0f / 720));
    p = f32x16_add(f32x16_mul(p, r), f32x16_all(1.0f / 120));
    p = f32x16_add(f32x16_mul(p, r), f32x16_all(1.0f / 24));
    p = f32x16_add(f32x16_mul(p, r), f32x16_all(1.0f / 6));
    p = f32x16_add(f32x16_mul(p, r), f32x16_all(0.5f));
    p = f32x16_add(f32x16_mul(p, r), f32x16_all(1.0f));
    p = f32x16_add(f32x16_mul(p, r), f32x16_all(1.0f));

    i32x16 power = i32x16_shift_23(i32x16_bits_of(shifted));
    return f32x16_zero_below(x, least, f32x16_of_bits(i32x16_add(i32x16_bits_of(p), power)));
}

static void quantise(const inputs *in, size_t row)
{
    const i32x16 magnitude = i32x16_all(0x7fffffff), shift = i32x16_all(0x4b400000);
    const f32x16 shift_by = f32x16_all(0x1.8p23f);
    size_t blocks = in->stride / BLOCK;

    for (size_t b = 0; b < blocks; b++) {
        size_t at = row * in->stride + b * BLOCK;
        f32x16 low = f32x16_load(in->x + at), high = f32x16_load(in->x + at + LANES);
        int32_t a = i32x16_greatest(i32x16_and(i32x16_bits_of(low), magnitude));
        int32_t c = i32x16_greatest(i32x16_and(i32x16_bits_of(high), magnitude));
        float largest = f32_of_bits((uint32_t)(a > c ? a : c));

        /* Magnitudes compare like their bits, NaN above all: a block that isn't finite spoils its
         * products by its scale alone. One as good as zero is zero. */
        bool usable = largest >= 1e-30f && largest <= 3.4e38f;
        f32x16 inverse = f32x16_all(usable ? 32767.0f / largest : 0.0f);
        i32x16 q_low = i32x16_all(0), q_high = q_low;
        if (usable) {
            q_low = i32x16_bits_of(f32x16_add(f32x16_mul(low, inverse), shift_by));
            q_high = i32x16_bits_of(f32x16_add(f32x16_mul(high, inverse), shift_by));
            q_low = i32x16_sub(q_low, shift);
            q_high = i32x16_sub(q_high, shift);
        }
        i32x16_store_i16(in->q + at, q_low);
        i32x16_store_i16(in->q + at + LANES, q_high);
        in->scale[row * blocks + b] = usable ? largest / 32767.0f : largest < 1e-30f ? 0.0f : NAN;
        in->sum[row * blocks + b] = (float)i32x16_sum(i32x16_add(q_low, q_high));
    }
}

static void norm(const float *x, const float *w, size_t n, size_t true_n, float epsilon, float *out)
{
    f32x16 squares = f32x16_all(0.0f);

    for (size_t i = 0; i < n; i += LANES) {
        f32x16 value = f32x16_load(x + i);
        squares = f32x16_add(squares, f32x16_mul(value, value));
    }
    float by = 1.0f / sqrtf(fold(squares) / (float)true_n + epsilon);
    for (size_t i = 0; i < n; i += LANES) {
        f32x16 value = f32x16_mul(f32x16_load(x + i), f32x16_all(by));
        f32x16_store(out + i, f32x16_mul(value, f32x16_load(w + i)));
    }
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        f32x16_store(x + i, f32x16_add(f32x16_load(x + i), f32x16_load(y + i)));
}

static void gate(float *gates, const float *up, size_t n)
{
    const f32x16 zero = f32x16_all(0.0f), one = f32x16_all(1.0f);

    for (size_t i = 0; i < n; i += LANES) {
        f32x16 x = f32x16_load(gates + i);
        f32x16 silu = f32x16_div(x, f32x16_add(one, exp_lanes(f32x16_sub(zero, x))));
        f32x16_store(gates + i, f32x16_mul(silu, f32x16_load(up + i)));
    }
}

static void exponentials(const float *x, size_t n, float greatest, float temperature, float *out)
{
    for (size_t i = 0; i < n; i += LANES) {
        f32x16 below = f32x16_sub(f32x16_load(x + i), f32x16_all(greatest));
        f32x16_store(out + i, exp_lanes(f32x16_div(below, f32x16_all(temperature))));
    }
}
