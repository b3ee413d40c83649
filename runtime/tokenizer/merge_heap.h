/*
 * merge_heap.h - the merges that may come next, the first in order on top
 *
 * Of a piece's neighbouring symbols that merge to a token. A candidate isn't taken out when one of
 * its two symbols changes; it is recognised as stale when it comes up: symbols only grow, so the
 * pair at a place is the pair of then exactly if it still has the same length.
 */
#ifndef MILLRACE_TOKENIZER_MERGE_HEAP_H
#define MILLRACE_TOKENIZER_MERGE_HEAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t order;  /* rank << 32 | index of the left symbol: the lowest rank, then the leftmost */
    int32_t id;      /* of the token that it makes */
    uint32_t length; /* of both symbols together, in bytes */
} merge_candidate;

/* Starts zeroed; its room is kept when it is emptied by count = 0. */
typedef struct {
    merge_candidate *entries;
    size_t room;
    size_t count;
} merge_heap;

int merge_heap_push(merge_heap *heap, merge_candidate candidate); /* 0 or -ENOMEM */
merge_candidate merge_heap_pop(merge_heap *heap);                 /* of one that isn't empty */
void merge_heap_free(merge_heap *heap);

#endif
