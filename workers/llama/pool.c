/*
 * pool.c - threads that wait for work, briefly awake, then asleep
 *
 * Who writes what:
 *   work, argument  the caller of pool_run(), before it raises `round`
 *   round           the caller: the work that counts; odd bits mean nothing
 *   left            the caller sets it, each thread lowers it when its part is done
 *
 * A model's step has hundreds of rounds of some microseconds each, so a thread looks for the next
 * round for a short while before it sleeps on the condition variable.
 */
#include "workers/llama/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum { LOOKS = 2000 }; /* before sleeping; about 20 microseconds */

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
    pthread_cond_t begin, end;
    _Atomic unsigned round;
    _Atomic unsigned left;
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

/* Waits until `round` is no longer `last`. P1 acquire: the work is read after it. */
static unsigned await_round(pool *p, unsigned last)
{
    for (int i = 0; i < LOOKS; i++) {
        unsigned now = atomic_load_explicit(&p->round, memory_order_acquire);

        if (now != last)
            return now;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->round, memory_order_acquire) == last)
        pthread_cond_wait(&p->begin, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return atomic_load_explicit(&p->round, memory_order_acquire);
}

static void *run_member(void *argument)
{
    member *m = argument;
    pool *p = m->pool;
    unsigned round = 0;

    for (;;) {
        round = await_round(p, round);
        if (p->stopping)
            return NULL;
        p->work(p->argument, m->part, p->threads);
        /* D1 release, pairs with D2: what the part wrote is seen by the caller */
        if (atomic_fetch_sub_explicit(&p->left, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->end);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void raise_round(pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->round, 1, memory_order_release); /* P2, pairs with P1 */
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
}

static void await_end(pool *p)
{
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(&p->left, memory_order_acquire) == 0) /* D2 */
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->left, memory_order_acquire) != 0) /* D2 */
        pthread_cond_wait(&p->end, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(pool *p, pool_work *work, void *argument)
{
    if (p->threads > 1) {
        p->work = work;
        p->argument = argument;
        atomic_store_explicit(&p->left, p->threads - 1, memory_order_relaxed);
        raise_round(p);
    }
    work(argument, 0, p->threads);
    if (p->threads > 1)
        await_end(p);
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
    pthread_cond_init(&p->begin, NULL);
    pthread_cond_init(&p->end, NULL);
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
    pthread_cond_destroy(&p->begin);
    pthread_cond_destroy(&p->end);
    pthread_mutex_destroy(&p->lock);
    free(p->members);
    free(p);
}

unsigned pool_threads(const pool *p)
{
    return p->threads;
}
