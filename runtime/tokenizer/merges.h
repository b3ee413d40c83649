/*
 * merges.h - which two neighbouring tokens become one, and in what order
 *
 * A hash table from a pair of ids to the rank of its merge and the id that comes of it. The rank
 * is the merge's place in the vocabulary's list: the lowest rank is applied first.
 */
#ifndef MILLRACE_TOKENIZER_MERGES_H
#define MILLRACE_TOKENIZER_MERGES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t pair;  /* left id << 32 | right id */
    uint64_t merge; /* rank << 32 | id; MERGE_NONE: the slot is empty */
} merge_slot;

typedef struct {
    merge_slot *slots;
    size_t mask;
    unsigned shift;
} merge_table;

/* Above every merge, so that the least of several merges is the next one to apply. */
#define MERGE_NONE UINT64_MAX

/* Room for `count` merges. Returns 0 or -ENOMEM; merges_clear() frees it. */
int merges_init(merge_table *table, size_t count);
void merges_clear(merge_table *table);

/* Adds a merge; of two for one pair the first counts. Returns 0, or -EINVAL if too many pairs
 * share a place in the table, which happens only if they were made to. */
int merges_add(merge_table *table, int32_t left, int32_t right, uint32_t rank, int32_t id);

static inline size_t merges_place(const merge_table *table, uint64_t pair)
{
    /* 2^64 / golden ratio, an odd number whose multiples spread evenly; ids differ in few bits,
     * so that both halves are folded together before. */
    return (size_t)(((pair ^ pair >> 29) * UINT64_C(0x9E3779B97F4A7C15)) >> table->shift);
}

/* The merge of two ids as rank << 32 | id, or MERGE_NONE. */
static inline uint64_t merges_find(const merge_table *table, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t slot = merges_place(table, pair);

    while (table->slots[slot].pair != pair && table->slots[slot].merge != MERGE_NONE)
        slot = (slot + 1) & table->mask;
    return table->slots[slot].merge;
}

#endif
