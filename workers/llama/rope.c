/*
 * rope.c - rotary position embedding
 *
 * Angles are computed in double and rounded once, so that they don't lose precision at large
 * positions, as those do that are made by multiplying floats again and again.
 */
#include "workers/llama/rope.h"

#include "workers/llama/elementary.h"

void rope_angles(const rope *r, uint32_t position, float *cosine, float *sine)
{
    for (uint32_t i = 0; i < r->size / 2; i++) {
        double s, c;

        elementary_sine_cosine(position * r->frequency[i], &s, &c);
        sine[i] = (float)s;
        cosine[i] = (float)c;
    }
}

void rope_turn(const rope *r, const float *cosine, const float *sine, float *x, size_t heads,
               size_t head_size)
{
    for (size_t head = 0; head < heads; head++, x += head_size)
        for (uint32_t i = 0; i < r->size / 2; i++) {
            float even = x[2 * i], odd = x[2 * i + 1];

            x[2 * i] = even * cosine[i] - odd * sine[i];
            x[2 * i + 1] = even * sine[i] + odd * cosine[i];
        }
}
