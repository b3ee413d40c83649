/*
 * ring.c - bounded FIFO of hints between any number of processes
 *
 * A ring carries hints, not truth: an entry says "this slot may want you", and who takes it must
 * still win the slot's state word (slot.h). So a lost hint costs a look through the slots, a
 * doubled one a failed claim, and neither costs a request.
 *
 * Who writes what:
 *   entries[i]  any pusher or popper, by CAS from the value it read
 *   tail, head  anybody, by CAS, forward only; hints as well
 *   entries, mask  the creator, before the segment is published; read once by each process
 *
 * An entry is {cycle 40, full 1, value 23}. Position p (a 64-bit count) lies in entry p & mask and
 * belongs to cycle p / entries. A push turns {c, empty} into {c, full, v}, a pop {c, full, v} into
 * {c + 1, empty}: one CAS is the whole operation. Killed before it nothing has happened; after it
 * the operation is done, and whoever comes next moves tail or head.
 *
 * Invariants (mr_ring_check()):
 *   1. an entry's cycle only grows, and two entries' cycles differ by one at most;
 *   2. the entries alone tell the true head and tail; `head` and `tail` never lie beyond them.
 *
 * head and tail are moved once a line of eight entries only, which spares the other side a miss;
 * a process walks over at most that many entries (and those of the dead) to find its place.
 * Cycles are compared by signed difference, so that they may wrap (2^40 laps: years).
 *
 * Entries whose cycles somebody spoiled could send a walk round for ever: after a few laps it ends,
 * as if the ring were full, or empty. Hints that are missed so are made up for by looking through
 * the slots (the supervisor's audit finds such a ring and asks for it).
 *
 * Model: tests/model/ring.pml. Orders:
 *   R1 the CAS of an entry is acq_rel and its load acquire. The data behind a hint is guarded by
 * the slot's own word; this order only keeps "published, then hinted" visible in that order, so
 * that a popper doesn't find the slot not READY yet and drop the one hint there was. R2 head and
 * tail: relaxed would do, as walkers ask the entries; release keeps a reader of the index from
 * seeing entries older than it, which would read as "full" for a moment.
 */
#include "ipc/ring.h"
#include <errno.h>

enum { ENTRIES_A_LINE = 8, LAPS_A_WALK = 4 };

#define FULL_BIT    (UINT64_C(1) << MR_RING_VALUE_BITS)
#define VALUE_MASK  (FULL_BIT - 1)
#define CYCLE_BITS  40
#define CYCLE_SHIFT (64 - CYCLE_BITS)

static uint64_t entry_of(uint64_t cycle, uint64_t full, uint32_t value)
{
    return cycle << CYCLE_SHIFT | full | value;
}

/* How far the entry's cycle is ahead of position p's: 0 the same, > 0 later, < 0 earlier. */
static int64_t cycles_ahead(mr_entries entries, uint64_t entry, uint64_t position)
{
    uint64_t cycle = position >> __builtin_ctzll(entries.mask + 1);

    return (int64_t)((entry & ~(FULL_BIT | VALUE_MASK)) - (cycle << CYCLE_SHIFT)) >> CYCLE_SHIFT;
}

/* The position at which a walk from here is given up. */
static uint64_t end_of_walk(mr_entries entries, uint64_t position)
{
    return position + LAPS_A_WALK * (entries.mask + 1);
}

/* Move an index forward to `to`, once a line. */
static void advance(mr_word *index, uint64_t to)
{
    if (to % ENTRIES_A_LINE)
        return;

    uint64_t now = atomic_load_explicit(index, memory_order_relaxed);

    while ((int64_t)(to - now) > 0 &&
           !atomic_compare_exchange_weak_explicit(index, &now, to, memory_order_release,
                                                  memory_order_relaxed))
        ; /* R2 */
}

void mr_ring_init(mr_ring *ring, uint64_t entries_offset, uint64_t count)
{
    atomic_store_explicit(&ring->head, 0, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, 0, memory_order_relaxed);
    atomic_store_explicit(&ring->rescan, 0, memory_order_relaxed);
    ring->entries = entries_offset;
    ring->mask = count - 1;
}

int mr_ring_push(mr_ring *ring, mr_entries entries, uint32_t value)
{
    uint64_t position = atomic_load_explicit(&ring->tail, memory_order_acquire);
    const uint64_t end = end_of_walk(entries, position);
    mr_word *at = &entries.at[position & entries.mask];
    uint64_t entry = atomic_load_explicit(at, memory_order_acquire);

    for (;;) {
        int64_t ahead = cycles_ahead(entries, entry, position);

        if (ahead < 0)
            return -ENOBUFS;
        if (ahead == 0 && !(entry & FULL_BIT)) {
            uint64_t filled = entry | FULL_BIT | (value & VALUE_MASK);

            if (atomic_compare_exchange_strong_explicit(at, &entry, filled, memory_order_acq_rel,
                                                        memory_order_acquire)) { /* R1 */
                advance(&ring->tail, position + 1);
                return 0;
            }
            continue; /* somebody changed this entry: `entry` has its new value */
        }
        if (++position == end)
            return -ENOBUFS;
        advance(&ring->tail, position);
        at = &entries.at[position & entries.mask];
        entry = atomic_load_explicit(at, memory_order_acquire);
    }
}

int mr_ring_pop(mr_ring *ring, mr_entries entries, uint32_t *value)
{
    uint64_t position = atomic_load_explicit(&ring->head, memory_order_acquire);
    const uint64_t end = end_of_walk(entries, position);
    mr_word *at = &entries.at[position & entries.mask];
    uint64_t entry = atomic_load_explicit(at, memory_order_acquire);

    for (;;) {
        int64_t ahead = cycles_ahead(entries, entry, position);

        if (ahead < 0 || (ahead == 0 && !(entry & FULL_BIT)))
            return -EAGAIN; /* an earlier cycle is there only if `head` was spoiled */
        if (ahead == 0) {
            uint64_t cycle = (entry >> CYCLE_SHIFT) + 1;
            uint64_t emptied = entry_of(cycle, 0, 0);

            if (atomic_compare_exchange_strong_explicit(at, &entry, emptied, memory_order_acq_rel,
                                                        memory_order_acquire)) { /* R1 */
                *value = (uint32_t)(entry & VALUE_MASK);
                advance(&ring->head, position + 1);
                return 0;
            }
            continue;
        }
        if (++position == end)
            return -EAGAIN;
        advance(&ring->head, position);
        at = &entries.at[position & entries.mask];
        entry = atomic_load_explicit(at, memory_order_acquire);
    }
}

bool mr_ring_empty(const mr_ring *ring, mr_entries entries)
{
    uint64_t position = atomic_load_explicit(&ring->head, memory_order_acquire);
    const uint64_t end = end_of_walk(entries, position);

    for (; position != end; position++) {
        uint64_t entry =
            atomic_load_explicit(&entries.at[position & entries.mask], memory_order_acquire);
        int64_t ahead = cycles_ahead(entries, entry, position);

        if (ahead <= 0)
            return ahead < 0 || !(entry & FULL_BIT);
    }
    return true;
}

bool mr_ring_entry(mr_entries entries, uint64_t i, uint32_t *value)
{
    uint64_t entry = atomic_load_explicit(&entries.at[i], memory_order_acquire);

    *value = (uint32_t)(entry & VALUE_MASK);
    return entry & FULL_BIT;
}

int mr_ring_check(const mr_ring *ring, mr_entries entries)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    uint64_t lap = entries.mask + 1;
    uint64_t full = 0;
    uint64_t position = head;

    /* from the head on: popped entries (later cycle), then full ones, then empty ones of this lap
     */
    while (cycles_ahead(
               entries,
               atomic_load_explicit(&entries.at[position & entries.mask], memory_order_acquire),
               position) > 0 &&
           position - head < lap)
        position++;
    for (; full < lap; full++, position++) {
        uint64_t entry =
            atomic_load_explicit(&entries.at[position & entries.mask], memory_order_acquire);

        if (cycles_ahead(entries, entry, position) != 0 || !(entry & FULL_BIT))
            break;
    }
    if (tail > position)
        return -EBADMSG;
    for (uint64_t i = 0; i < lap - full; i++, position++) {
        uint64_t entry =
            atomic_load_explicit(&entries.at[position & entries.mask], memory_order_acquire);

        if (cycles_ahead(entries, entry, position) != 0 || (entry & FULL_BIT))
            return -EBADMSG;
    }
    return 0;
}

/* ---- mending ---- */

static uint64_t cycle_of(mr_entries entries, uint64_t i)
{
    return atomic_load_explicit(&entries.at[i], memory_order_acquire) >> CYCLE_SHIFT;
}

/* How many entries are of this cycle or the next. */
static uint64_t supporters(mr_entries entries, uint64_t cycle)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i <= entries.mask; i++)
        count += cycle_of(entries, i) == cycle || cycle_of(entries, i) == cycle + 1;
    return count;
}

/* The cycle that the head is in: that of the most entries, those before the head being one ahead.
 * Candidates are the cycles at three places, and each one's predecessor. */
static uint64_t true_cycle(mr_entries entries)
{
    const uint64_t places[] = {0, entries.mask / 2, entries.mask};
    uint64_t best = 0, most = 0;

    for (size_t i = 0; i < 6; i++) {
        uint64_t cycle = cycle_of(entries, places[i / 2]) - i % 2;
        uint64_t count = supporters(entries, cycle & (UINT64_MAX >> CYCLE_SHIFT));

        if (count > most) {
            most = count;
            best = cycle & (UINT64_MAX >> CYCLE_SHIFT);
        }
    }
    return best;
}

/* Is the entry of this cycle or the next, and not waiting to be filled? */
static bool is_used(uint64_t entry, uint64_t cycle)
{
    return entry >> CYCLE_SHIFT == cycle + 1 || (entry >> CYCLE_SHIFT == cycle && entry & FULL_BIT);
}

/* Behind the last used entry all wait to be filled; before it none does. */
static uint64_t used_end(mr_entries entries, uint64_t cycle)
{
    uint64_t end = entries.mask + 1;

    while (end && !is_used(atomic_load_explicit(&entries.at[end - 1], memory_order_acquire), cycle))
        end--;
    return end;
}

/*
 * An entry of an impossible cycle, or one that waits to be filled before others that were, becomes
 * {cycle + 1, empty}: behind the head it is what it must be, and before the tail it looks as if it
 * had been popped. Behind the tail it becomes {cycle, empty}. Head and tail are hints, and whoever
 * reads them walks on by himself: so both may be set to the beginning of the lap by a plain store,
 * also while others push and pop. What they do meanwhile may leave the ring wrong once more; the
 * caller raises `rescan` and looks again.
 */
void mr_ring_mend(mr_ring *ring, mr_entries entries)
{
    uint64_t cycle = true_cycle(entries), end = used_end(entries, cycle);
    uint64_t position = cycle * (entries.mask + 1);

    for (uint64_t i = 0; i <= entries.mask; i++) {
        uint64_t entry = atomic_load_explicit(&entries.at[i], memory_order_acquire);
        uint64_t wanted = entry_of(i < end ? cycle + 1 : cycle, 0, 0);

        if (!is_used(entry, cycle) && entry != wanted)
            atomic_compare_exchange_strong_explicit(&entries.at[i], &entry, wanted,
                                                    memory_order_acq_rel, memory_order_relaxed);
    }
    atomic_store_explicit(&ring->head, position, memory_order_release);
    atomic_store_explicit(&ring->tail, position, memory_order_release);
}
