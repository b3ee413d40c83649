/*
 * lane.c - millrace's ring, Lamport's queue with cached indexes, Vyukov's bounded queue
 */
#include "bench/hop/lane.h"
#include "ipc/ring.h"
#include <stdatomic.h>

enum { MASK = LANE_ENTRIES - 1 };

/* ---- millrace: ipc/ring.c as it is ---- */

struct millrace_lane {
    mr_ring ring;
    _Alignas(128) mr_word entries[LANE_ENTRIES];
};

static void millrace_init(void *memory)
{
    struct millrace_lane *l = memory;

    mr_ring_init(&l->ring, offsetof(struct millrace_lane, entries), LANE_ENTRIES);
}

static bool millrace_push(void *memory, uint32_t handle)
{
    struct millrace_lane *l = memory;

    return !mr_ring_push(&l->ring, (mr_entries){l->entries, MASK}, handle);
}

static bool millrace_pop(void *memory, uint32_t *handle)
{
    struct millrace_lane *l = memory;

    return !mr_ring_pop(&l->ring, (mr_entries){l->entries, MASK}, handle);
}

const lane lane_millrace = {
    .name = "millrace ring",
    .bytes = sizeof(struct millrace_lane),
    .init = millrace_init,
    .push = millrace_push,
    .pop = millrace_pop,
};

/* ---- Lamport's queue: each side writes its own index and keeps a copy of the other's ---- */

struct lamport_lane {
    _Alignas(128) _Atomic uint64_t tail;
    uint64_t head_seen; /* the producer's */
    _Alignas(128) _Atomic uint64_t head;
    uint64_t tail_seen; /* the consumer's */
    _Alignas(128) uint64_t entries[LANE_ENTRIES];
};

static void lamport_init(void *memory)
{
    (void)memory;
}

static bool lamport_push(void *memory, uint32_t handle)
{
    struct lamport_lane *l = memory;
    uint64_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);

    if (tail - l->head_seen == LANE_ENTRIES) {
        l->head_seen = atomic_load_explicit(&l->head, memory_order_acquire);
        if (tail - l->head_seen == LANE_ENTRIES)
            return false;
    }
    l->entries[tail & MASK] = handle;
    atomic_store_explicit(&l->tail, tail + 1, memory_order_release);
    return true;
}

static bool lamport_pop(void *memory, uint32_t *handle)
{
    struct lamport_lane *l = memory;
    uint64_t head = atomic_load_explicit(&l->head, memory_order_relaxed);

    if (head == l->tail_seen) {
        l->tail_seen = atomic_load_explicit(&l->tail, memory_order_acquire);
        if (head == l->tail_seen)
            return false;
    }
    *handle = (uint32_t)l->entries[head & MASK];
    atomic_store_explicit(&l->head, head + 1, memory_order_release);
    return true;
}

const lane lane_lamport = {
    .name = "Lamport, cached indexes",
    .single = true,
    .bytes = sizeof(struct lamport_lane),
    .init = lamport_init,
    .push = lamport_push,
    .pop = lamport_pop,
};

/* ---- Vyukov's bounded queue: a ticket by CAS, then the cell's own sequence ---- */

struct vyukov_lane {
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) struct {
        _Atomic uint64_t sequence;
        uint64_t handle;
    } cells[LANE_ENTRIES];
};

static void vyukov_init(void *memory)
{
    struct vyukov_lane *l = memory;

    for (uint64_t i = 0; i < LANE_ENTRIES; i++)
        atomic_store_explicit(&l->cells[i].sequence, i, memory_order_relaxed);
}

/* A position whose cell has come to `ahead` beyond it; false: it hasn't yet. */
static bool take_ticket(struct vyukov_lane *l, _Atomic uint64_t *index, uint64_t ahead,
                        uint64_t *position)
{
    *position = atomic_load_explicit(index, memory_order_relaxed);
    for (;;) {
        uint64_t sequence =
            atomic_load_explicit(&l->cells[*position & MASK].sequence, memory_order_acquire);
        int64_t difference = (int64_t)(sequence - (*position + ahead));

        if (difference < 0)
            return false;
        if (difference > 0)
            *position = atomic_load_explicit(index, memory_order_relaxed);
        else if (atomic_compare_exchange_weak_explicit(index, position, *position + 1,
                                                       memory_order_relaxed, memory_order_relaxed))
            return true;
    }
}

static bool vyukov_push(void *memory, uint32_t handle)
{
    struct vyukov_lane *l = memory;
    uint64_t position;

    if (!take_ticket(l, &l->tail, 0, &position))
        return false;
    l->cells[position & MASK].handle = handle;
    atomic_store_explicit(&l->cells[position & MASK].sequence, position + 1, memory_order_release);
    return true;
}

static bool vyukov_pop(void *memory, uint32_t *handle)
{
    struct vyukov_lane *l = memory;
    uint64_t position;

    if (!take_ticket(l, &l->head, 1, &position))
        return false;
    *handle = (uint32_t)l->cells[position & MASK].handle;
    atomic_store_explicit(&l->cells[position & MASK].sequence, position + LANE_ENTRIES,
                          memory_order_release);
    return true;
}

const lane lane_vyukov = {
    .name = "Vyukov, bounded",
    .bytes = sizeof(struct vyukov_lane),
    .init = vyukov_init,
    .push = vyukov_push,
    .pop = vyukov_pop,
};
