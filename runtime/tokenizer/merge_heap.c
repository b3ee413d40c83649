/*
 * merge_heap.c - the merges that may come next: a binary heap
 */
#include "runtime/tokenizer/merge_heap.h"
#include "runtime/tokenizer/grow.h"

int merge_heap_push(merge_heap *heap, merge_candidate candidate)
{
    size_t at = heap->count;

    if (!GROW(heap->entries, heap->room, at + 1))
        return -ENOMEM;
    heap->count++;
    while (at > 0 && heap->entries[(at - 1) / 2].order > candidate.order) {
        heap->entries[at] = heap->entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->entries[at] = candidate;
    return 0;
}

merge_candidate merge_heap_pop(merge_heap *heap)
{
    merge_candidate *entries = heap->entries;
    merge_candidate top = entries[0];
    merge_candidate last = entries[--heap->count];
    size_t count = heap->count;
    size_t at = 0;
    size_t child;

    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && entries[child + 1].order < entries[child].order)
            child++;
        if (entries[child].order >= last.order)
            break;
        entries[at] = entries[child];
        at = child;
    }
    if (count)
        entries[at] = last;
    return top;
}

void merge_heap_free(merge_heap *heap)
{
    free(heap->entries);
    *heap = (merge_heap){0};
}
