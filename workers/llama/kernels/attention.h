/*
 * attention.h - what a query takes from the keys and values before it
 *
 * Up to QUERIES_AT_ONCE queries of one sequence and key head walk over the pages together, so that
 * keys and values are read once for them. Each sees only the positions up to its own last one: the
 * others get weight 0.
 */
#include "workers/llama/kernels/kernels.h"
#include "workers/llama/kernels/unroll.h"

#include <math.h>

ALWAYS_INLINE uint32_t last_of(const query *queries, int count)
{
    uint32_t last = 0;

    for (int i = 0; i < count; i++)
        last = queries[i].last > last ? queries[i].last : last;
    return last;
}

/* Positions behind the query's last one get -infinity. */
ALWAYS_INLINE void mask(float *scores, size_t first, uint32_t last)
{
    for (size_t i = 0; i < LANES; i++)
        if (first + i > last)
            scores[i] = -INFINITY;
}

/* scores[i][position] = scale * (query i . key), -infinity where it may not look; greatest[i] */
ALWAYS_INLINE void score(const cache_view *cache, const query *queries, const int count,
                         size_t pages, float *scores, size_t stride, float *greatest)
{
    f32x16 most[QUERIES_AT_ONCE];
    UNROLL for (int i = 0; i < count; i++) most[i] = f32x16_all(-INFINITY);

    for (size_t page = 0; page < pages; page++) {
        const float *keys = cache->memory + cache->pages[page] * cache->page_floats + cache->offset;
        f32x16 sum[QUERIES_AT_ONCE];
        UNROLL for (int i = 0; i < count; i++) sum[i] = f32x16_all(0.0f);

        for (uint32_t d = 0; d < cache->size; d++) {
            f32x16 key = f32x16_load(keys + d * LANES);
            UNROLL for (int i = 0; i < count; i++) sum[i] =
                f32x16_add(sum[i], f32x16_mul(key, f32x16_all(queries[i].q[d])));
        }
        UNROLL for (int i = 0; i < count; i++)
        {
            float *to = scores + (size_t)i * stride + page * LANES;
            f32x16_store(to, f32x16_mul(sum[i], f32x16_all(cache->scale)));
            if ((page + 1) * LANES > (size_t)queries[i].last + 1)
                mask(to, page * LANES, queries[i].last);
            most[i] = f32x16_max(most[i], f32x16_load(to));
        }
    }
    UNROLL for (int i = 0; i < count; i++)
    {
        float lane[LANES];
        f32x16_store(lane, most[i]);
        greatest[i] = lane[0];
        for (int l = 1; l < LANES; l++)
            greatest[i] = lane[l] > greatest[i] ? lane[l] : greatest[i];
    }
}

/* scores = exp(scores - greatest); returns their sum */
ALWAYS_INLINE float weigh(float *scores, size_t pages, float greatest)
{
    f32x16 sum = f32x16_all(0.0f);

    for (size_t page = 0; page < pages; page++) {
        f32x16 below = f32x16_sub(f32x16_load(scores + page * LANES), f32x16_all(greatest));
        f32x16 weight = exp_lanes(below);
        f32x16_store(scores + page * LANES, weight);
        sum = f32x16_add(sum, weight);
    }
    return fold(sum);
}

/* Dimensions [from, from + LANES) of the outputs: the weighted values over the weights' sum. */
ALWAYS_INLINE void mix(const cache_view *cache, const query *queries, const int count,
                       uint32_t last, const float *weights, size_t stride, const float *total,
                       uint32_t from)
{
    size_t values_at = cache->offset + (size_t)cache->size * LANES + from;
    f32x16 sum[QUERIES_AT_ONCE];
    UNROLL for (int i = 0; i < count; i++) sum[i] = f32x16_all(0.0f);

    for (size_t first = 0; first <= last; first += LANES) {
        const float *values =
            cache->memory + cache->pages[first / LANES] * cache->page_floats + values_at;
        size_t end = last - first < LANES ? last - first + 1 : LANES;
        f32x16 part[QUERIES_AT_ONCE];
        UNROLL for (int i = 0; i < count; i++) part[i] = f32x16_all(0.0f);

        for (size_t j = 0; j < end; j++) {
            f32x16 value = f32x16_load(values + j * cache->padded);
            UNROLL for (int i = 0; i < count; i++)
            {
                f32x16 weight = f32x16_all(weights[(size_t)i * stride + first + j]);
                part[i] = f32x16_add(part[i], f32x16_mul(value, weight));
            }
        }
        UNROLL for (int i = 0; i < count; i++) sum[i] = f32x16_add(sum[i], part[i]);
    }
    UNROLL for (int i = 0; i < count; i++)
    {
        float out[LANES];
        size_t width = cache->size - from < LANES ? cache->size - from : LANES;
        f32x16_store(out, f32x16_div(sum[i], f32x16_all(total[i])));
        memcpy(queries[i].out + from, out, width * sizeof(float));
    }
}

ALWAYS_INLINE void attend_some(const cache_view *cache, const query *queries, const int count,
                               float *scores, size_t stride)
{
    uint32_t last = last_of(queries, count);
    size_t pages = (size_t)last / LANES + 1;
    float greatest[QUERIES_AT_ONCE], total[QUERIES_AT_ONCE];

    score(cache, queries, count, pages, scores, stride, greatest);
    for (int i = 0; i < count; i++)
        total[i] = weigh(scores + (size_t)i * stride, pages, greatest[i]);
    for (uint32_t from = 0; from < cache->size; from += LANES)
        mix(cache, queries, count, last, scores, stride, total, from);
}

static void attend(const cache_view *cache, const query *queries, size_t count, float *scores,
                   size_t stride)
{
    switch (count) {
    case 1:
        attend_some(cache, queries, 1, scores, stride);
        break;
    case 2:
        attend_some(cache, queries, 2, scores, stride);
        break;
    case 3:
        attend_some(cache, queries, 3, scores, stride);
        break;
    default:
        attend_some(cache, queries, QUERIES_AT_ONCE, scores, stride);
    }
}
