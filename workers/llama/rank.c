/*
 * rank.c - which tokens have the largest logits
 *
 * A token's key is a number that is the smaller the earlier its rank: the bits of the logit, turned
 * so that they compare like the logit falls, above its id. Few are kept in a heap with the worst
 * on top; for many, all are sorted by their upper half in three passes of 11 bits, which leave
 * equal ones in order of id.
 */
#include "workers/llama/rank.h"

#include "workers/llama/half.h"

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

static uint64_t key_of(float logit, size_t token)
{
    uint32_t bits = bits_of_f32(logit);

    /* Positive ones fall as their bits are complemented; negative ones do already. */
    bits = bits >> 31 ? bits : ~bits & 0x7fffffff;
    return (uint64_t)bits << 32 | token;
}

/* Lets the key at `at` sink below larger ones; heap[0, count) has the largest on top. */
static void sink(uint64_t *heap, size_t count, size_t at)
{
    uint64_t key = heap[at];

    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= key)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
}

static void find_few(const float *logits, size_t n, size_t count, uint64_t *heap)
{
    for (size_t i = 0; i < count; i++)
        heap[i] = key_of(logits[i], i);
    for (size_t i = count / 2; i-- > 0;)
        sink(heap, count, i);
    for (size_t i = count; i < n; i++) {
        uint64_t key = key_of(logits[i], i);

        if (key < heap[0]) {
            heap[0] = key;
            sink(heap, count, 0);
        }
    }
    for (size_t left = count; left-- > 1;) {
        uint64_t worst = heap[0];
        heap[0] = heap[left];
        heap[left] = worst;
        sink(heap, left, 0);
    }
}

static void sort_by_digit(const uint64_t *from, uint64_t *to, size_t n, unsigned shift)
{
    size_t start[DIGITS] = {0}, sum = 0;

    for (size_t i = 0; i < n; i++)
        start[from[i] >> shift & (DIGITS - 1)]++;
    for (size_t d = 0; d < DIGITS; d++) {
        size_t count = start[d];
        start[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        to[start[from[i] >> shift & (DIGITS - 1)]++] = from[i];
}

static void sort_all(const float *logits, size_t n, const rank_memory *memory)
{
    for (size_t i = 0; i < n; i++)
        memory->spare[i] = key_of(logits[i], i);
    sort_by_digit(memory->spare, memory->keys, n, 32);
    sort_by_digit(memory->keys, memory->spare, n, 32 + DIGIT_BITS);
    sort_by_digit(memory->spare, memory->keys, n, 32 + 2 * DIGIT_BITS);
}

void rank_first(const float *logits, size_t n, size_t count, const rank_memory *memory)
{
    if (count == 0)
        return;
    if (count <= RANK_FEW)
        find_few(logits, n, count, memory->keys);
    else
        sort_all(logits, n, memory);
}
