/*
 * lane.h - one way for handles between processes: millrace's ring and plain peers
 *
 * A lane is memory that several processes share; push and pop never wait. The peers are written
 * after their published algorithms as yardsticks; neither survives what a ring of millrace does: a
 * process killed inside Vyukov's queue wedges it, and Lamport's has one producer and one consumer
 * at most.
 */
#ifndef MILLRACE_BENCH_HOP_LANE_H
#define MILLRACE_BENCH_HOP_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANE_ENTRIES = 1024 };

typedef struct lane {
    const char *name;
    bool single; /* one producer and one consumer only */
    size_t bytes;
    void (*init)(void *memory); /* which is zero */
    bool (*push)(void *memory, uint32_t handle);
    bool (*pop)(void *memory, uint32_t *handle);
} lane;

extern const lane lane_millrace;
extern const lane lane_lamport;
extern const lane lane_vyukov;

#endif
