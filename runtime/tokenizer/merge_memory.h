/*
 * merge_memory.h - working memory of merging: a piece's symbols, and the merges that may come next
 *
 * Symbols are a linked list, whose first is at index 0; each stands for some bytes of the piece.
 * Candidates, pairs of neighbouring symbols that are a token together, lie in a heap with the first
 * in order on top. One isn't taken out when one of its two symbols changes; it is recognised as
 * stale when it comes up: symbols only grow, so the pair at a place is the pair of then exactly if
 * it still has the same length.
 */
#ifndef MILLRACE_TOKENIZER_MERGE_MEMORY_H
#define MILLRACE_TOKENIZER_MERGE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MERGE_NOWHERE UINT32_MAX

typedef struct {
    int32_t id;
    uint32_t start;  /* of its bytes in the piece; for spm.c alone */
    uint32_t length; /* in bytes; 0: it was merged into the one before it */
    uint32_t before; /* index, or MERGE_NOWHERE */
    uint32_t after;
} merge_symbol;

typedef struct {
    uint64_t order;  /* rank << 32 | index of the left symbol: the lowest rank, then the leftmost */
    int32_t id;      /* of the token that it makes */
    uint32_t length; /* of both symbols together, in bytes */
} merge_candidate;

/* Of one thread; starts zeroed, grows to the longest piece seen. */
typedef struct {
    merge_symbol *symbols;
    size_t symbol_room;
    merge_candidate *heap;
    size_t heap_room;
    size_t heap_count;
} merge_memory;

/* merge_begin - room for the symbols of a piece of `count` bytes or symbols, and no candidates; 0
 * or -ENOMEM */
int merge_begin(merge_memory *memory, size_t count);
void merge_memory_free(merge_memory *memory);

int merge_push(merge_memory *memory, merge_candidate candidate); /* 0 or -ENOMEM */
merge_candidate merge_pop(merge_memory *memory);                 /* of a heap that isn't empty */

/* merge_join - the candidate's left symbol takes in the right one; false: it is stale, and nothing
 * is done */
bool merge_join(merge_memory *memory, merge_candidate candidate);

#endif
