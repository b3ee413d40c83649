/*
 * chaos_worker.c - the worker that is shipped, but for a request that kills it
 *
 * Linked with workers/llama and in place of mr_worker_batch() (--wrap): when the batch holds a
 * request whose seed is CHAOS_DIE_SEED, the process kills itself. All else, the arithmetic too, is
 * the shipped worker's.
 */
#include <millrace/worker.h>
#include <signal.h>
#include <stdlib.h>

int __real_mr_worker_batch(mr_worker *worker, mr_context **batch, int timeout);
int __wrap_mr_worker_batch(mr_worker *worker, mr_context **batch, int timeout);

int __wrap_mr_worker_batch(mr_worker *worker, mr_context **batch, int timeout)
{
    const char *deadly = getenv("CHAOS_DIE_SEED");
    int n = __real_mr_worker_batch(worker, batch, timeout);
    for (int i = 0; i < n && deadly != NULL; i++)
        if (mr_context_sampling(batch[i])->seed == strtoull(deadly, NULL, 10))
            raise(SIGKILL);
    return n;
}
