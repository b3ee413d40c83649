/*
 * merge_memory.c - the symbols of a piece, and a binary heap of the merges that may come next
 */
#include "runtime/tokenizer/merge_memory.h"
#include "runtime/tokenizer/grow.h"

int merge_begin(merge_memory *memory, size_t count)
{
    memory->heap_count = 0;
    return GROW(memory->symbols, memory->symbol_room, count) ? 0 : -ENOMEM;
}

void merge_memory_free(merge_memory *memory)
{
    free(memory->symbols);
    free(memory->heap);
    *memory = (merge_memory){0};
}

int merge_push(merge_memory *memory, merge_candidate candidate)
{
    size_t at = memory->heap_count;

    if (!GROW(memory->heap, memory->heap_room, at + 1))
        return -ENOMEM;
    memory->heap_count++;
    while (at > 0 && memory->heap[(at - 1) / 2].order > candidate.order) {
        memory->heap[at] = memory->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    memory->heap[at] = candidate;
    return 0;
}

merge_candidate merge_pop(merge_memory *memory)
{
    merge_candidate *heap = memory->heap;
    merge_candidate top = heap[0];
    merge_candidate last = heap[--memory->heap_count];
    size_t count = memory->heap_count;
    size_t at = 0;
    size_t child;

    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && heap[child + 1].order < heap[child].order)
            child++;
        if (heap[child].order >= last.order)
            break;
        heap[at] = heap[child];
        at = child;
    }
    if (count)
        heap[at] = last;
    return top;
}

bool merge_join(merge_memory *memory, merge_candidate candidate)
{
    merge_symbol *symbols = memory->symbols;
    uint32_t at = (uint32_t)candidate.order;
    merge_symbol *left = &symbols[at];

    if (left->length == 0 || left->after == MERGE_NOWHERE ||
        left->length + symbols[left->after].length != candidate.length)
        return false;
    left->id = candidate.id;
    left->length = candidate.length;
    symbols[left->after].length = 0;
    left->after = symbols[left->after].after;
    if (left->after != MERGE_NOWHERE)
        symbols[left->after].before = at;
    return true;
}
