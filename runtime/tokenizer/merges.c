/*
 * merges.c - which two neighbouring tokens become one, and in what order
 *
 * Open addressing with linear probing, at most half full. As in token_map.c, a run of taken
 * slots that chance doesn't make is refused.
 */
#include "runtime/tokenizer/merges.h"

#include <errno.h>
#include <stdlib.h>

enum { MAX_PROBES = 1024 };

int merges_init(merge_table *table, size_t count)
{
    unsigned bits = 4;

    while (((size_t)1 << bits) < count * 2)
        bits++;
    table->mask = ((size_t)1 << bits) - 1;
    table->shift = 64 - bits;
    table->slots = malloc((table->mask + 1) * sizeof(*table->slots));
    if (!table->slots)
        return -ENOMEM;
    for (size_t i = 0; i <= table->mask; i++)
        table->slots[i] = (merge_slot){UINT64_MAX, MERGE_NONE};
    return 0;
}

void merges_clear(merge_table *table)
{
    free(table->slots);
    *table = (merge_table){0};
}

int merges_add(merge_table *table, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t slot = merges_place(table, pair);

    for (unsigned probes = 0; probes <= MAX_PROBES; probes++) {
        merge_slot *at = &table->slots[slot];

        if (at->pair == pair)
            return 0;
        if (at->merge == MERGE_NONE) {
            *at = (merge_slot){pair, (uint64_t)rank << 32 | (uint32_t)id};
            return 0;
        }
        slot = (slot + 1) & table->mask;
    }
    return -EINVAL;
}
