/*
 * rope.h - rotary position embedding, as GGUF's architecture "llama" has it
 *
 * The rows of the query and key weights are permuted in such files, so that the dimensions that
 * turn together are neighbours: the pair (2i, 2i+1) of a head turns by position * frequency[i].
 * Dimensions from `size` on don't turn.
 */
#ifndef MILLRACE_LLAMA_ROPE_H
#define MILLRACE_LLAMA_ROPE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t size;     /* dimensions that turn; even */
    double *frequency; /* size / 2 angles a position, scaling included */
} rope;

/* rope_angles - cosine and sine of each pair's angle at a position; size / 2 each */
void rope_angles(const rope *r, uint32_t position, float *cosine, float *sine);

/* rope_turn - turns `heads` heads of head_size dimensions, in place */
void rope_turn(const rope *r, const float *cosine, const float *sine, float *x, size_t heads,
               size_t head_size);

#endif
