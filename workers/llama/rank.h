/*
 * rank.h - which tokens have the largest logits
 *
 * The rank of tokens is by logit, the largest first, and among equal ones by id, the lowest first:
 * a total order, so that no choice depends on how it was found. Logits are clean (sample.c): no
 * NaN and no -0.
 */
#ifndef MILLRACE_LLAMA_RANK_H
#define MILLRACE_LLAMA_RANK_H

#include <stddef.h>
#include <stdint.h>

enum { RANK_FEW = 256 }; /* up to so many are found without sorting all */

typedef struct {
    uint64_t *keys, *spare; /* n each: the rank as a number, and the token in its low half */
} rank_memory;

/* rank_first - the first `count` tokens of `n` in their rank; memory->keys[i] for i in [0, count);
 * count <= n. Takes time in proportion to n. */
void rank_first(const float *logits, size_t n, size_t count, const rank_memory *memory);

static inline uint32_t rank_token(uint64_t key)
{
    return (uint32_t)key;
}

#endif
