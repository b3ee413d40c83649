/*
 * pool.h - a fixed set of threads that do one thing together
 *
 * pool_run() calls a function once for each part and returns when all are done. There are more
 * parts than threads, and whoever is free takes the next one, the caller too: a thread that is
 * late, since it slept or its processor has other work, holds up nobody.
 */
#ifndef MILLRACE_LLAMA_POOL_H
#define MILLRACE_LLAMA_POOL_H

typedef struct pool pool;

typedef struct {
    unsigned number, of; /* this part, in [0, of) */
    unsigned thread;     /* tells those apart that run at the same time, in [0, threads) */
} pool_part;

typedef void pool_work(void *argument, pool_part part);

/* pool_create - `threads` in all, the caller's included; NULL if they can't be had (errno) */
pool *pool_create(unsigned threads);
void pool_destroy(pool *p); /* NULL is fine */

void pool_run(pool *p, pool_work *work, void *argument);
unsigned pool_threads(const pool *p);

#endif
