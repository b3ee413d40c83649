/*
 * pool.h - a fixed set of threads that do one thing together
 *
 * pool_run() calls a function once for each part, one part a thread, and returns when all are
 * done. The caller does part 0 itself; with one thread nothing else happens.
 */
#ifndef MILLRACE_LLAMA_POOL_H
#define MILLRACE_LLAMA_POOL_H

typedef struct pool pool;

typedef void pool_work(void *argument, unsigned part, unsigned parts);

/* pool_create - `threads` in all, the caller's included; NULL if they can't be had (errno) */
pool *pool_create(unsigned threads);
void pool_destroy(pool *p); /* NULL is fine */

void pool_run(pool *p, pool_work *work, void *argument);
unsigned pool_threads(const pool *p);

#endif
