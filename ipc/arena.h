/*
 * arena.h - which ranges of the arena are in use (private to ipc/, the tokenizer's)
 */
#ifndef MILLRACE_IPC_ARENA_H
#define MILLRACE_IPC_ARENA_H

#include <stdint.h>

typedef struct mr_arena mr_arena;

/* mr_arena_new - book-keeping for up to `ranges` ranges in `bytes` bytes; NULL: out of memory */
mr_arena *mr_arena_new(uint64_t bytes, uint32_t ranges);
void mr_arena_free(mr_arena *arena);

/* mr_arena_take - find room; offsets and sizes are multiples of 64. 0, or -EAGAIN */
int mr_arena_take(mr_arena *arena, uint64_t bytes, uint64_t *offset);

/* mr_arena_claim - note a range that is in use (recovery); -EBADMSG if it overlaps another */
int mr_arena_claim(mr_arena *arena, uint64_t offset, uint64_t bytes);

void mr_arena_give(mr_arena *arena, uint64_t offset); /* one that was taken or claimed */
uint64_t mr_arena_used(const mr_arena *arena);

#endif
