/*
 * safety.c - W5: what it costs that a kill loses nothing
 *
 * A producer writes a context's tokens and hands it on; a consumer reads them all, adds one, and
 * gives the place back. The safe way is millrace's: states by compare-and-swap, hints through the
 * ring, the token as a commit. The bare way has the same payload on Lamport's queue and nothing
 * else: a process killed in it loses what it held.
 */
#include "bench/hop/parts.h"
#include "ipc/cursors.h"
#include "ipc/slot.h"
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLACES = 64, LONGEST = 1024, TRIES_BEFORE_YIELD = 200 };

struct desk {
    const lane *lane;
    bool safe;
    int tokens;
    void *there, *back; /* the lanes' memories */
    mr_slot *slots;
    int64_t (*payload)[LONGEST + 1];
};

static void wait_a_little(unsigned *tries)
{
    if (++*tries % TRIES_BEFORE_YIELD)
        relax();
    else
        sched_yield();
}

static void turn(mr_slot *slot, enum mr_state from, enum mr_state to)
{
    uint64_t word = mr_slot_load(slot);
    mr_state_parts parts = mr_state_unpack(word);

    if (parts.state != from)
        die("a place is in state %u, not %d", parts.state, (int)from);
    parts.state = to;
    parts.generation += to == MR_STATE_FREE;
    if (!mr_slot_change(slot, word, parts))
        die("a place was changed by another");
}

static void write_payload(struct desk *d, uint32_t seat, uint64_t number)
{
    int64_t *to = d->payload[seat];

    for (int i = 0; i < d->tokens; i++)
        to[i] = (int64_t)number + i;
}

static void produce(run *r, report *mine, void *shared)
{
    struct desk *d = shared;
    unsigned tries = 0;
    uint32_t seat;

    run_begin(r, mine);
    while (!run_stopped(r)) {
        if (!d->lane->pop(d->back, &seat)) {
            wait_a_little(&tries);
            continue;
        }
        if (d->safe)
            turn(&d->slots[seat], MR_STATE_FREE, MR_STATE_FILLING);
        write_payload(d, seat, mine->count);
        if (d->safe)
            turn(&d->slots[seat], MR_STATE_FILLING, MR_STATE_READY);
        while (!d->lane->push(d->there, seat))
            wait_a_little(&tries);
        mine->count++;
    }
    run_end(mine);
    atomic_fetch_sub(&r->feeding, 1);
}

static uint64_t read_payload(const struct desk *d, uint32_t seat)
{
    uint64_t sum = 0;

    for (int i = 0; i < d->tokens; i++)
        sum += (uint64_t)d->payload[seat][i];
    return sum;
}

/* One token behind the others; the safe way commits it. */
static void step(struct desk *d, uint32_t seat, uint64_t sum)
{
    mr_slot *slot = &d->slots[seat];
    int64_t cursors[MR_CURSOR_WORDS] = {d->tokens + 1, (int64_t)sum};

    d->payload[seat][d->tokens] = (int64_t)sum;
    if (d->safe)
        mr_cursors_write(slot, atomic_load_explicit(&slot->sequence, memory_order_relaxed), cursors,
                         MR_CURSOR_HOT);
}

static void consume(run *r, report *mine, void *shared)
{
    struct desk *d = shared;
    unsigned tries = 0;

    run_begin(r, mine);
    for (;;) {
        bool last = !atomic_load_explicit(&r->feeding, memory_order_acquire);
        uint32_t seat;

        while (d->lane->pop(d->there, &seat)) {
            if (d->safe)
                turn(&d->slots[seat], MR_STATE_READY, MR_STATE_LEASED);
            mine->sum += read_payload(d, seat);
            step(d, seat, mine->sum);
            if (d->safe) {
                turn(&d->slots[seat], MR_STATE_LEASED, MR_STATE_DONE);
                turn(&d->slots[seat], MR_STATE_DONE, MR_STATE_FREE);
            }
            while (!d->lane->push(d->back, seat))
                wait_a_little(&tries);
            mine->count++;
        }
        if (last)
            break;
        wait_a_little(&tries);
    }
    run_end(mine);
}

double hand_over(bool safe, int tokens, double seconds)
{
    const lane *l = safe ? &lane_millrace : &lane_lamport;
    struct desk d = {.lane = l,
                     .safe = safe,
                     .tokens = tokens,
                     .there = share(l->bytes),
                     .back = share(l->bytes),
                     .slots = share(PLACES * sizeof(mr_slot)),
                     .payload = share(PLACES * sizeof(*d.payload))};
    run *r = run_new();
    double nanoseconds;

    l->init(d.there);
    l->init(d.back);
    for (uint32_t i = 0; i < PLACES; i++)
        l->push(d.back, i);
    atomic_store(&r->feeding, 1);
    run_add(r, produce, &d, 0);
    run_add(r, consume, &d, 1);
    run_go(r);
    usleep((useconds_t)(seconds * 1e6));
    run_stop(r);
    run_wait(r);
    if (r->reports[0].count != r->reports[1].count || !r->reports[1].count)
        die("contexts were lost: %llu of %llu", (unsigned long long)r->reports[1].count,
            (unsigned long long)r->reports[0].count);
    nanoseconds = (double)(r->reports[1].ended - r->reports[1].begun) / (double)r->reports[1].count;
    munmap(d.there, l->bytes);
    munmap(d.back, l->bytes);
    munmap(d.slots, PLACES * sizeof(mr_slot));
    munmap(d.payload, PLACES * sizeof(*d.payload));
    run_free(r);
    return nanoseconds;
}
