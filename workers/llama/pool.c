/*
 * pool.c - threads that wait for work, briefly awake, then asleep
 *
 * Who writes what:
 *   work, argument  the caller of pool_run(), before it raises `round`
 *   round           the caller: its change starts the work
 *   left            the caller sets it, each thread lowers it when its part is done
 *   asleep          whoever is about to sleep raises it, and lowers it after
 *
 * A model's step has hundreds of rounds of some microseconds each, so a thread looks for the next
 * round for a short while before it sleeps. Nobody makes a system call unless somebody sleeps: the
 * sleeper raises `asleep` and then looks again, the waker changes `round` (or `left`) and then
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
#include <stdlib.h>

enum { LOOKS = 5000 }; /* before sleeping; some 50 to 100 microseconds */

typedef struct {
    pool *pool;
    unsigned part;
    pthread_t thread;
} member;

struct pool {
    unsigned threads;
    unsigned started; /* members whose thread runs; only pool_create() writes */
    member *members;  /* [1, threads) */
    pool_work *work;
    void *argument;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    _Atomic unsigned round;
    _Atomic unsigned left;
    _Atomic unsigned asleep;
    bool stopping; /* written before a round is raised */
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Whether there is something to go on with: another round than `last`, or, for the caller, no part
 * left. The work is read after it, and what the others wrote: acquire is part of seq_cst (S2). */
static bool may_go_on(const pool *p, bool caller, unsigned last)
{
    return caller ? atomic_load(&p->left) == 0 : atomic_load(&p->round) != last;
}

static void await(pool *p, bool caller, unsigned last)
{
    for (int i = 0; i < LOOKS; i++) {
        if (may_go_on(p, caller, last))
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->asleep, 1); /* S1, before the look of S2 */
    while (!may_go_on(p, caller, last))
        pthread_cond_wait(&p->woken, &p->lock);
    atomic_fetch_sub(&p->asleep, 1);
    pthread_mutex_unlock(&p->lock);
}

/* After a change of `round` or `left` (S3). */
static void wake(pool *p)
{
    if (atomic_load(&p->asleep) == 0) /* S4 */
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->woken);
    pthread_mutex_unlock(&p->lock);
}

static void *run_member(void *argument)
{
    member *m = argument;
    pool *p = m->pool;

    for (unsigned round = 0;; round++) {
        await(p, false, round);
        if (p->stopping)
            return NULL;
        p->work(p->argument, m->part, p->threads);
        if (atomic_fetch_sub(&p->left, 1) == 1) /* S3 */
            wake(p);
    }
}

static void raise_round(pool *p)
{
    atomic_fetch_add(&p->round, 1); /* S3 */
    wake(p);
}

void pool_run(pool *p, pool_work *work, void *argument)
{
    if (p->threads > 1) {
        p->work = work;
        p->argument = argument;
        atomic_store(&p->left, p->threads - 1);
        raise_round(p);
    }
    work(argument, 0, p->threads);
    if (p->threads > 1)
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
    p->members = calloc(threads, sizeof(*p->members));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->woken, NULL);
    p->started = 1;
    for (int error = p->members ? 0 : ENOMEM; p->started < threads || error; p->started++) {
        if (!error) {
            p->members[p->started] = (member){.pool = p, .part = p->started};
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
    p->stopping = true;
    raise_round(p);
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
