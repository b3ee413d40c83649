/*
 * ring.h - bounded FIFO of hints (private to ipc/; ring.c says how it works)
 */
#ifndef MILLRACE_IPC_RING_H
#define MILLRACE_IPC_RING_H

#include "ipc/layout.h"
#include <stdbool.h>

enum { MR_RING_VALUE_BITS = 23 };

/* A ring's entries, where this process found them when it checked the domain: what the ring's own
 * words say of them isn't asked again, since anybody may have spoiled it by then. */
typedef struct mr_entries {
    mr_word *at;
    uint64_t mask; /* their number - 1, which is a power of two */
} mr_entries;

/* mr_ring_init - empty ring over `count` (a power of two) entries at `entries`, which must be zero
 */
void mr_ring_init(mr_ring *ring, uint64_t entries_offset, uint64_t count);

/* mr_ring_push - append; -ENOBUFS when the ring is full (exact) */
int mr_ring_push(mr_ring *ring, mr_entries entries, uint32_t value);

/* mr_ring_pop - take the oldest; -EAGAIN when the ring is empty (exact) */
int mr_ring_pop(mr_ring *ring, mr_entries entries, uint32_t *value);

/* mr_ring_empty - asked of the entry that the next pop would take */
bool mr_ring_empty(const mr_ring *ring, mr_entries entries);

/* mr_ring_mend - put head and entries right that don't fit the others, while the ring is in use;
 * hints in them are lost */
void mr_ring_mend(mr_ring *ring, mr_entries entries);

/* mr_ring_entry - whether entry i is full, and then its value */
bool mr_ring_entry(mr_entries entries, uint64_t i, uint32_t *value);

/* mr_ring_check - 0, or -EBADMSG when an invariant doesn't hold (ring.c lists them); exact only
 * while nobody pushes or pops */
int mr_ring_check(const mr_ring *ring, mr_entries entries);

#endif
