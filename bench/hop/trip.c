/*
 * trip.c - W2: a handle there and back, by spinning or by sleeping
 */
#include "bench/hop/parts.h"
#include "ipc/queue.h"
#include <errno.h>
#include <fcntl.h>
#include <millrace/domain.h>
#include <millrace/error.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { AGAIN = 1, LAST = 2, SPIN_BLOCK = 200, SLEEP_BLOCK = 10, MAX_BLOCKS = 20000 };

/* ---- one run ---- */

struct two_sides {
    const trip *trip;
    void *shared;
    double seconds;
};

static void enter(const struct two_sides *t, int side)
{
    if (t->trip->enter)
        t->trip->enter(t->shared, side);
}

static void leave(const struct two_sides *t, int side)
{
    if (t->trip->leave)
        t->trip->leave(t->shared, side);
}

static void there(run *r, report *mine, void *shared)
{
    const struct two_sides *t = shared;
    static double blocks[MAX_BLOCKS];
    const int trips = t->trip->sleeps ? SLEEP_BLOCK : SPIN_BLOCK;
    size_t n = 0;
    uint64_t begun, end;

    enter(t, 0);
    run_begin(r, mine);
    begun = now_ns();
    end = begun + (uint64_t)(t->seconds * 1e9);
    while (begun < end && n < MAX_BLOCKS) {
        uint64_t now;

        for (int i = 0; i < trips; i++) {
            t->trip->give(t->shared, 0, AGAIN);
            t->trip->take(t->shared, 0);
        }
        now = now_ns();
        blocks[n++] = (double)(now - begun) / trips;
        begun = now;
    }
    t->trip->give(t->shared, 0, LAST);
    mine->value = quantile(blocks, n, 0.5);
    run_end(mine);
    leave(t, 0);
}

static void back(run *r, report *mine, void *shared)
{
    const struct two_sides *t = shared;

    enter(t, 1);
    run_begin(r, mine);
    while (t->trip->take(t->shared, 1) != LAST)
        t->trip->give(t->shared, 1, AGAIN);
    run_end(mine);
    leave(t, 1);
}

double round_trip(const trip *t, bool same_processor, double seconds)
{
    struct two_sides sides = {.trip = t, .shared = t->open(t), .seconds = seconds};
    run *r = run_new();
    double ns;

    run_add(r, there, &sides, 0);
    run_add(r, back, &sides, same_processor ? 0 : 1);
    run_go(r);
    run_wait(r);
    ns = r->reports[0].value;
    t->close(sides.shared);
    run_free(r);
    return ns;
}

/* ---- spinning: a line, and lanes ---- */

struct lines {
    _Alignas(128) _Atomic uint32_t words[2]; /* both on one line: what is measured is its way */
};

static void *line_open(const trip *t)
{
    (void)t;
    return share(sizeof(struct lines));
}

static void line_give(void *shared, int side, uint32_t word)
{
    struct lines *l = shared;

    atomic_store_explicit(&l->words[side], word, memory_order_release);
}

static uint32_t line_take(void *shared, int side)
{
    struct lines *l = shared;
    uint32_t word;

    while (!(word = atomic_load_explicit(&l->words[!side], memory_order_acquire)))
        relax();
    atomic_store_explicit(&l->words[!side], 0, memory_order_relaxed);
    return word;
}

static void line_close(void *shared)
{
    munmap(shared, sizeof(struct lines));
}

const trip trip_line = {
    .name = "a bare cache line",
    .open = line_open,
    .give = line_give,
    .take = line_take,
    .close = line_close,
};

struct lanes {
    const lane *lane;
    void *ways[2];
};

static void *lanes_open(const trip *t)
{
    struct lanes *l = share(sizeof(*l));

    l->lane = t->lane;
    for (int i = 0; i < 2; i++) {
        l->ways[i] = share(t->lane->bytes);
        t->lane->init(l->ways[i]);
    }
    return l;
}

static void lanes_give(void *shared, int side, uint32_t word)
{
    const struct lanes *l = shared;

    while (!l->lane->push(l->ways[side], word))
        relax();
}

static uint32_t lanes_take(void *shared, int side)
{
    const struct lanes *l = shared;
    uint32_t word;

    while (!l->lane->pop(l->ways[!side], &word))
        relax();
    return word;
}

static void lanes_close(void *shared)
{
    struct lanes *l = shared;

    for (int i = 0; i < 2; i++)
        munmap(l->ways[i], l->lane->bytes);
    munmap(l, sizeof(*l));
}

#define LANE_TRIP(title, which)                                                                    \
    {                                                                                              \
        .name = title, .lane = &(which), .open = lanes_open, .give = lanes_give,                   \
        .take = lanes_take, .close = lanes_close                                                   \
    }

const trip trip_ring = LANE_TRIP("millrace ring", lane_millrace);
const trip trip_lamport = LANE_TRIP("Lamport, cached indexes", lane_lamport);
const trip trip_vyukov = LANE_TRIP("Vyukov, bounded", lane_vyukov);

/* ---- millrace's queue: ring and doorbell, in a domain; stage 0 one way, stage 1 the other ---- */

struct queues {
    char name[MR_NAME_MAX + 1];
    mr_domain *domains[3]; /* of the two sides, and the creator's */
};

static void *queues_open(const trip *t)
{
    const mr_domain_options options = {
        .size = sizeof(options), .arena_bytes = 1 << 16, .max_length = 16, .stages = 2};
    struct queues *q = share(sizeof(*q));

    (void)t;
    snprintf(q->name, sizeof(q->name), "hop-%d", (int)getpid());
    if (mr_domain_create(&q->domains[2], q->name, &options))
        die("%s", mr_error());
    return q;
}

static void queues_enter(void *shared, int side)
{
    struct queues *q = shared;

    if (mr_domain_open(&q->domains[side], q->name))
        die("%s", mr_error());
}

static void queues_give(void *shared, int side, uint32_t word)
{
    struct queues *q = shared;

    mr_queue_push(q->domains[side], (uint32_t)side, word, 0);
}

static uint32_t queues_poll(void *shared, int side)
{
    struct queues *q = shared;
    uint32_t word, hint;

    while (mr_queue_pop(q->domains[side], (uint32_t)!side, &word, &hint))
        relax();
    return word;
}

static uint32_t queues_sleep(void *shared, int side)
{
    struct queues *q = shared;
    uint32_t word, hint;

    while (mr_queue_pop(q->domains[side], (uint32_t)!side, &word, &hint))
        mr_queue_sleep(q->domains[side], (uint32_t)!side, (unsigned)side, -1);
    return word;
}

static void queues_close(void *shared)
{
    struct queues *q = shared;

    mr_domain_remove(q->domains[2]);
    munmap(q, sizeof(*q));
}

const trip trip_queue = {
    .name = "millrace queue, polled",
    .open = queues_open,
    .enter = queues_enter,
    .give = queues_give,
    .take = queues_poll,
    .close = queues_close,
};

const trip trip_doorbell = {
    .name = "millrace queue, sleeping",
    .sleeps = true,
    .open = queues_open,
    .enter = queues_enter,
    .give = queues_give,
    .take = queues_sleep,
    .close = queues_close,
};

/* ---- bare doorbells: a word in shared memory and something to sleep on ---- */

struct bell {
    _Alignas(128) _Atomic uint32_t words[2];
    sem_t semaphores[2];
    int fds[2][2]; /* of each side: read end, write end */
};

static void *bell_open(const trip *t)
{
    struct bell *b = share(sizeof(*b));

    (void)t;
    for (int i = 0; i < 2; i++)
        sem_init(&b->semaphores[i], 1, 0);
    return b;
}

static void *eventfd_open(const trip *t)
{
    struct bell *b = bell_open(t);

    for (int i = 0; i < 2; i++)
        if ((b->fds[i][0] = b->fds[i][1] = eventfd(0, EFD_CLOEXEC)) < 0)
            die("no eventfd: %s", strerror(errno));
    return b;
}

static void *pipe_open(const trip *t)
{
    struct bell *b = bell_open(t);

    for (int i = 0; i < 2; i++)
        if (pipe2(b->fds[i], O_CLOEXEC))
            die("no pipe: %s", strerror(errno));
    return b;
}

static void semaphore_give(void *shared, int side, uint32_t word)
{
    struct bell *b = shared;

    atomic_store_explicit(&b->words[side], word, memory_order_release);
    sem_post(&b->semaphores[side]);
}

static uint32_t semaphore_take(void *shared, int side)
{
    struct bell *b = shared;

    sem_wait(&b->semaphores[!side]);
    return atomic_load_explicit(&b->words[!side], memory_order_acquire);
}

/* One that wakes by itself after a while, as millrace's sleepers must. */
static uint32_t bounded_take(void *shared, int side)
{
    struct bell *b = shared;
    struct timespec until;

    do {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
    } while (sem_clockwait(&b->semaphores[!side], CLOCK_MONOTONIC, &until));
    return atomic_load_explicit(&b->words[!side], memory_order_acquire);
}

static void fd_give(void *shared, int side, uint32_t word)
{
    const struct bell *b = shared;
    uint64_t message = word;

    if (write(b->fds[side][1], &message, sizeof(message)) != sizeof(message))
        die("a doorbell can't be rung: %s", strerror(errno));
}

static uint32_t fd_take(void *shared, int side)
{
    const struct bell *b = shared;
    uint64_t message;

    if (read(b->fds[!side][0], &message, sizeof(message)) != sizeof(message))
        die("a doorbell can't be heard: %s", strerror(errno));
    return (uint32_t)message;
}

static void bell_close(void *shared)
{
    struct bell *b = shared;

    for (int i = 0; i < 2; i++) {
        sem_destroy(&b->semaphores[i]);
        if (b->fds[i][0])
            close(b->fds[i][0]);
        if (b->fds[i][1] && b->fds[i][1] != b->fds[i][0])
            close(b->fds[i][1]);
    }
    munmap(b, sizeof(*b));
}

#define BELL_TRIP(title, how_open, how_give, how_take)                                             \
    {                                                                                              \
        .name = title, .sleeps = true, .open = how_open, .give = how_give, .take = how_take,       \
        .close = bell_close                                                                        \
    }

const trip trip_semaphore = BELL_TRIP("semaphore", bell_open, semaphore_give, semaphore_take);
const trip trip_bounded =
    BELL_TRIP("semaphore with a timeout", bell_open, semaphore_give, bounded_take);
const trip trip_eventfd = BELL_TRIP("eventfd", eventfd_open, fd_give, fd_take);
const trip trip_pipe = BELL_TRIP("pipe", pipe_open, fd_give, fd_take);
