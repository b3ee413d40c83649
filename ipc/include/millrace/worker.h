/*
 * millrace/worker.h - become a worker of a running domain
 *
 *     mr_worker_attach() -> { mr_worker_batch(), work, mr_worker_hand_on() }* -> mr_worker_leave()
 *
 * A worker may be killed on any line: its contexts go back as of their last commit and are taken
 * by others. One mr_worker belongs to one thread; several may live in one process.
 */
#ifndef MILLRACE_WORKER_H
#define MILLRACE_WORKER_H

#include <millrace/context.h>
#include <millrace/domain.h>
#include <millrace/error.h>
#include <millrace/stats.h>
#include <millrace/text.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MR_WAIT = -1 }; /* as a timeout: for as long as it takes */

enum mr_worker_flags {
    MR_BATCH_INVARIANT = 1, /* same bits whatever the batch, the chunks and who computes */
    MR_KEEP_SIGNALS = 2     /* don't ignore SIGINT, SIGQUIT and SIGHUP */
};

typedef struct mr_worker mr_worker;

/*
 * Begin with {.size = sizeof(mr_worker_options)}; what stays 0 takes its default. It only grows at
 * its end: a program that was built with an older, smaller one attaches all the same.
 */
typedef struct mr_worker_options {
    uint32_t size;              /* sizeof(mr_worker_options) */
    uint32_t capacity;          /* contexts held at once, 1 to the domain's slots */
    const char *stage;          /* name of the stage; NULL: the first */
    const char *fingerprint;    /* what the arithmetic is: model, kernels, version; required */
    const char *name;           /* for ps and the stats; NULL: the program's */
    uint64_t model_fingerprint; /* of the tokenizer; 0: not known */
    uint64_t token_capacity; /* tokens of KV cache; contexts are claimed only if their worst case,
                                rounded up to pages, fits beside those held. 0: no limit */
    uint32_t token_page;     /* tokens a page of it; 0: 1 */
    uint32_t vocabulary;     /* 0: not known */
    uint32_t flags;          /* enum mr_worker_flags */
    uint32_t kinds;          /* enum mr_kinds that it can work on; 0: text alone */
} mr_worker_options;

/*
 * mr_worker_attach - join the domain `name` as a worker
 *
 * Returns 0; -ENOENT (no such domain), -EPROTO (another ABI), -EPERM (refused by the supervisor:
 * another user, a process it couldn't kill, another model, an unknown stage, a kind of request
 * that it can't work on; mr_error() says which), -EAGAIN (all places taken), -EINVAL, -E2BIG (an
 * option of a newer version of the library).
 */
int mr_worker_attach(mr_worker **worker, const char *name, const mr_worker_options *options);

/* mr_worker_join - the same for a thread of the supervisor's own process, without the socket */
int mr_worker_join(mr_worker **worker, mr_domain *domain, const mr_worker_options *options);

/*
 * mr_worker_batch - all contexts that this worker now holds: those of before and new ones
 *
 *   batch    room for `capacity` pointers
 *   timeout  milliseconds to wait when none is held and none is to be had; MR_WAIT; 0: don't
 *
 * A context is new in the first batch that has it (its processed length is 0 for a text context).
 * Returns their number; 0 (timeout); -ESHUTDOWN (leave now: the domain ends, or this worker was
 * told to leave, as by `millrace drain`; then what it held has been put back already and must not
 * be touched again). While a held context is suspect, the batch is that one alone. Cost without
 * sleeping: a few loads and one compare-and-swap per new context, no system call (but for one look
 * at the control socket each 50 ms).
 */
int mr_worker_batch(mr_worker *worker, mr_context **batch, int timeout);

/* mr_worker_fd - becomes readable when mr_worker_batch(..., 0) may have something new, for event
 * loops; armed by mr_worker_arm(), which returns 1 when there is something already (after 2 ms if
 * the last batch left what is there to others: to those of the kind that began it, or with room for
 * it) */
int mr_worker_fd(const mr_worker *worker);
int mr_worker_arm(mr_worker *worker);

/* mr_worker_hand_on - the context is finished here: to the next stage or, after the last, to the
 * collector. -EINVAL if it is in the last stage and neither done (mr_context_is_done()) nor
 * cancelled. One compare-and-swap; before it the context is still ours, after it never again. */
int mr_worker_hand_on(mr_worker *worker, mr_context *context);

/* mr_worker_put_back - let another worker take it (it is reset first, so that it is computed again
 * from its committed tokens) */
int mr_worker_put_back(mr_worker *worker, mr_context *context);

/* mr_worker_fail - end the request with an error; `why` is one sentence, cut at 190 bytes */
int mr_worker_fail(mr_worker *worker, mr_context *context, const char *why);

/* mr_worker_progress - tell that a long step moves: call it per layer or per chunk; plain stores */
void mr_worker_progress(mr_worker *worker);

/* Where it is. */
mr_domain *mr_worker_domain(mr_worker *worker);
int mr_worker_index(const mr_worker *worker);

/* mr_worker_stats - its page, for what only the worker knows: MR_STAT_computed_tokens, say. Steps,
 * batches, waits and tokens are counted by this library. */
mr_stats *mr_worker_stats(mr_worker *worker);

/* mr_worker_leave - puts back what is held, leaves the domain, frees the worker; NULL is fine */
void mr_worker_leave(mr_worker *worker);

#ifdef __cplusplus
}
#endif
#endif
