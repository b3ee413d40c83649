/*
 * throughput.c - W1: how many handles a second go through a lane between processes
 */
#include "bench/hop/parts.h"
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TRIES_BEFORE_YIELD = 200, PUSHES_A_LOOK = 64, VALUE_MASK = (1 << 23) - 1 };

struct channel {
    const lane *lane;
    void *memory;
};

/* Waiting is the same for every lane: a pause, and now and then the processor for others. */
static void wait_a_little(unsigned *tries)
{
    if (++*tries % TRIES_BEFORE_YIELD)
        relax();
    else
        sched_yield();
}

static void produce(run *r, report *mine, void *shared)
{
    const struct channel *c = shared;
    unsigned tries = 0;

    run_begin(r, mine);
    while (!run_stopped(r))
        for (int i = 0; i < PUSHES_A_LOOK; i++) {
            uint32_t handle = (uint32_t)mine->count & VALUE_MASK;

            while (!c->lane->push(c->memory, handle))
                wait_a_little(&tries);
            mine->count++;
            mine->sum += handle;
        }
    run_end(mine);
    atomic_fetch_sub(&r->feeding, 1);
}

static void consume(run *r, report *mine, void *shared)
{
    const struct channel *c = shared;
    unsigned tries = 0;

    run_begin(r, mine);
    for (;;) {
        bool last = !atomic_load_explicit(&r->feeding, memory_order_acquire);
        uint32_t handle;

        while (c->lane->pop(c->memory, &handle)) {
            mine->count++;
            mine->sum += handle;
        }
        if (last)
            break;
        wait_a_little(&tries);
    }
    run_end(mine);
}

double throughput(const lane *l, int pairs, double seconds)
{
    struct channel c = {.lane = l, .memory = share(l->bytes)};
    uint64_t count = 0, sum = 0, begun = UINT64_MAX, ended = 0;
    run *r = run_new();

    l->init(c.memory);
    atomic_store(&r->feeding, (uint32_t)pairs);
    for (int i = 0; i < pairs; i++) {
        run_add(r, produce, &c, 0);
        run_add(r, consume, &c, 1);
    }
    run_go(r);
    usleep((useconds_t)(seconds * 1e6));
    run_stop(r);
    run_wait(r);
    for (int i = 0; i < 2 * pairs; i += 2) {
        count += r->reports[i].count - r->reports[i + 1].count;
        sum += r->reports[i].sum - r->reports[i + 1].sum;
    }
    if (count || sum)
        die("%s lost or doubled handles", l->name);
    for (int i = 0; i < 2 * pairs; i++) {
        begun = r->reports[i].begun < begun ? r->reports[i].begun : begun;
        ended = r->reports[i].ended > ended ? r->reports[i].ended : ended;
        count += i % 2 ? r->reports[i].count : 0;
    }
    munmap(c.memory, l->bytes);
    run_free(r);
    return (double)count / ((double)(ended - begun) / 1e9);
}
