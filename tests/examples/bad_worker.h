/*
 * bad_worker.h - included before a worker's source, it makes it do what `millrace verify-worker`
 * must find
 *
 * -DVARIES: its tokens depend on how many contexts it holds. -DDEAF: it doesn't leave when the
 * group ends. -DSTAYS: it leaves then, but not when it is drained.
 */
#ifndef TESTS_EXAMPLES_BAD_WORKER_H
#define TESTS_EXAMPLES_BAD_WORKER_H

#define _GNU_SOURCE
#include <errno.h>
#include <millrace/worker.h>
#include <unistd.h>

static int held;

static inline int batch_badly(mr_worker *worker, mr_context **batch, int timeout)
{
    held = mr_worker_batch(worker, batch, timeout);
#ifdef DEAF
    while (held == -ESHUTDOWN)
        pause();
#endif
#ifdef STAYS
    while (held == -ESHUTDOWN && mr_domain_phase(mr_worker_domain(worker)) < MR_PHASE_STOP)
        usleep(1000);
#endif
    return held;
}

static inline int update_badly(mr_text *text, int64_t token, const mr_logprobs *logprobs)
{
    usleep(100);
#ifdef VARIES
    token = 100 + held;
#endif
    return mr_text_update(text, token, logprobs);
}

#define mr_worker_batch batch_badly
#define mr_text_update  update_badly

#endif
