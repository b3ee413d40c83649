/*
 * arena.c - the tokenizer's list of used ranges
 *
 * The list is private memory: the truth are the ranges that stand in the slots, from which a
 * successor builds it anew. It is a sorted array of what is used; the gaps are what is free, so
 * freed neighbours are one range again by themselves, and an empty arena is one range whatever
 * happened before.
 *
 * Taking goes round from where the last one was found (next fit): requests end in about the order
 * in which they began, so the gap that follows is most often the right one.
 */
#include "ipc/arena.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { GRAIN = 64 };

typedef struct used_range {
    uint64_t offset;
    uint64_t bytes;
} used_range;

struct mr_arena {
    uint64_t bytes;
    uint64_t used;
    uint32_t room;
    uint32_t count;
    uint32_t next; /* the gap before range `next` is tried first */
    used_range ranges[];
};

mr_arena *mr_arena_new(uint64_t bytes, uint32_t ranges)
{
    mr_arena *arena = calloc(1, sizeof(*arena) + ranges * sizeof(used_range));

    if (arena) {
        arena->bytes = bytes;
        arena->room = ranges;
    }
    return arena;
}

void mr_arena_free(mr_arena *arena)
{
    free(arena);
}

/* The first range at or behind `offset`. */
static uint32_t place_of(const mr_arena *arena, uint64_t offset)
{
    uint32_t low = 0, high = arena->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (arena->ranges[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t gap_begin(const mr_arena *arena, uint32_t i)
{
    return i ? arena->ranges[i - 1].offset + arena->ranges[i - 1].bytes : 0;
}

static uint64_t gap_end(const mr_arena *arena, uint32_t i)
{
    return i < arena->count ? arena->ranges[i].offset : arena->bytes;
}

static void insert(mr_arena *arena, uint32_t i, uint64_t offset, uint64_t bytes)
{
    memmove(&arena->ranges[i + 1], &arena->ranges[i], (arena->count - i) * sizeof(used_range));
    arena->ranges[i] = (used_range){offset, bytes};
    arena->count++;
    arena->used += bytes;
}

static uint64_t grains(uint64_t bytes)
{
    return bytes ? (bytes + GRAIN - 1) / GRAIN * GRAIN : GRAIN;
}

int mr_arena_take(mr_arena *arena, uint64_t bytes, uint64_t *offset)
{
    bytes = grains(bytes);
    if (arena->count == arena->room || bytes > arena->bytes - arena->used)
        return -EAGAIN;
    for (uint32_t tried = 0; tried <= arena->count; tried++) {
        uint32_t i = (arena->next + tried) % (arena->count + 1);
        uint64_t begin = gap_begin(arena, i);

        if (gap_end(arena, i) - begin < bytes)
            continue;
        insert(arena, i, begin, bytes);
        arena->next = i + 1;
        *offset = begin;
        return 0;
    }
    return -EAGAIN;
}

int mr_arena_claim(mr_arena *arena, uint64_t offset, uint64_t bytes)
{
    uint32_t i = place_of(arena, offset);

    if (bytes > arena->bytes)
        return -EBADMSG;
    bytes = grains(bytes);
    if (arena->count == arena->room || offset > arena->bytes || bytes > arena->bytes - offset ||
        gap_begin(arena, i) > offset || gap_end(arena, i) < offset + bytes)
        return -EBADMSG;
    insert(arena, i, offset, bytes);
    return 0;
}

void mr_arena_give(mr_arena *arena, uint64_t offset)
{
    uint32_t i = place_of(arena, offset);

    if (i == arena->count || arena->ranges[i].offset != offset)
        return;
    arena->used -= arena->ranges[i].bytes;
    arena->count--;
    memmove(&arena->ranges[i], &arena->ranges[i + 1], (arena->count - i) * sizeof(used_range));
    if (arena->next > i)
        arena->next--;
}

uint64_t mr_arena_used(const mr_arena *arena)
{
    return arena->used;
}
