/*
 * pool.c - threads that wait for work, briefly awake, then asleep
 *
 * Who writes what:
 *   work, argument  the caller of pool_run(), before it opens the round
 *   claims          {round, next part}: the caller opens a round, whoever takes a part raises it
 *   left            parts not done yet: the caller sets it, whoever did a part lowers it
 *   asleep          threads, and whether the caller, sleep or are about to: they themselves
 *
 * A part is claimed by one addition to `claims`, which also tells of which round it is. One below
 * `parts` is the claimer's: the round can't end, nor `work` change, before it is done. One that is
 * not below says that the round has no more, and `work` isn't looked at.
 *
 * A model's step has hundreds of rounds of some microseconds each, so a thread looks for the next
 * round for a short while before it sleeps. Nobody makes a system call unless somebody sleeps: the
 * sleeper raises `asleep` and then looks again, the waker changes `claims` (or `left`) and then
 * looks at `asleep`, all four sequentially consistent, so one of the two sees the other (S1 to
 * S4); and the waker takes the lock, which the sleeper gives up only as it falls asleep.
 */
#include "workers/llama/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { LOOKS = 5000 }; /* before sleeping; some 50 to 100 microseconds */

enum { PARTS_A_THREAD = 4 };

#define ROUND ((uint64_t)1 << 32) /* what the number of a round counts in `claims` */

typedef struct {
    pool *pool;
    unsigned number;
    pthread_t thread;
} member;

struct pool {
    unsigned threads, parts;
    unsigned started; /* members whose thread runs; only pool_create() writes */
    member *members;  /* [1, threads) */
    pool_work *work;
    void *argument;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    _Atomic uint64_t claims;
    _Atomic unsigned left;
    _Atomic unsigned asleep[2]; /* threads; the caller */
    _Atomic bool stopping;      /* written before the last round is opened */
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint64_t round_of(uint64_t claims)
{
    return claims / ROUND;
}

/* Whether there is something to go on with: another round than `last`, or, for the caller, no part
 * left. The work is read after it, and what the others wrote: acquire is part of seq_cst (S2). */
static bool may_go_on(const pool *p, bool caller, uint64_t last)
{
    return caller ? atomic_load(&p->left) == 0 : round_of(atomic_load(&p->claims)) != last;
}

static void await(pool *p, bool caller, uint64_t last)
{
    for (int i = 0; i < LOOKS; i++) {
        if (may_go_on(p, caller, last))
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->asleep[caller], 1); /* S1, before the look of S2 */
    while (!may_go_on(p, caller, last))
        pthread_cond_wait(&p->woken, &p->lock);
    atomic_fetch_sub(&p->asleep[caller], 1);
    pthread_mutex_unlock(&p->lock);
}

/* The threads after a change of `claims`, or the caller after one of `left` (S3). */
static void wake(pool *p, bool caller)
{
    if (atomic_load(&p->asleep[caller]) == 0) /* S4 */
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->woken);
    pthread_mutex_unlock(&p->lock);
}

/* Does parts until none is left to claim; returns the round that had no more. */
static uint64_t do_parts(pool *p, unsigned thread)
{
    for (;;) {
        uint64_t claim = atomic_fetch_add(&p->claims, 1);
        uint64_t part = claim % ROUND;

        if (part >= p->parts)
            return round_of(claim);
        p->work(p->argument, (pool_part){(unsigned)part, p->parts, thread});
        if (atomic_fetch_sub(&p->left, 1) == 1) /* S3 */
            wake(p, true);
    }
}

static void *run_member(void *argument)
{
    member *m = argument;
    uint64_t round = 0;

    while (!atomic_load(&m->pool->stopping)) {
        await(m->pool, false, round);
        round = do_parts(m->pool, m->number);
    }
    return NULL;
}

/* With `first` at p->parts there is nothing to do in it. */
static void open_round(pool *p, uint64_t first)
{
    uint64_t next = round_of(atomic_load(&p->claims)) + 1;

    atomic_store(&p->claims, next * ROUND + first); /* S3 */
    wake(p, false);
}

void pool_run(pool *p, pool_work *work, void *argument)
{
    if (p->threads == 1) {
        work(argument, (pool_part){0, 1, 0});
        return;
    }
    p->work = work;
    p->argument = argument;
    atomic_store(&p->left, p->parts);
    open_round(p, 0);
    do_parts(p, 0);
    await(p, true, 0);
}

/* Signals are for the caller's thread. */
static int start_member(member *m)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int error = pthread_create(&m->thread, NULL, run_member, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

pool *pool_create(unsigned threads)
{
    pool *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->threads = threads;
    p->parts = threads * PARTS_A_THREAD;
    p->members = calloc(threads, sizeof(*p->members));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->woken, NULL);
    p->started = 1;
    for (int error = p->members ? 0 : ENOMEM; p->started < threads || error; p->started++) {
        if (!error) {
            p->members[p->started] = (member){.pool = p, .number = p->started};
            error = start_member(&p->members[p->started]);
        }
        if (error) {
            pool_destroy(p);
            errno = error;
            return NULL;
        }
    }
    return p;
}

void pool_destroy(pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stopping, true);
    open_round(p, p->parts);
    for (unsigned i = 1; i < p->started; i++)
        pthread_join(p->members[i].thread, NULL);
    pthread_cond_destroy(&p->woken);
    pthread_mutex_destroy(&p->lock);
    free(p->members);
    free(p);
}

unsigned pool_threads(const pool *p)
{
    return p->threads;
}
