/*
 * lease.h - giving a held context away (private to ipc/)
 */
#ifndef MILLRACE_IPC_LEASE_H
#define MILLRACE_IPC_LEASE_H

#include "ipc/context.h"
#include "ipc/slot.h"

/*
 * Each takes the state word under which the context is held and makes the one CAS that gives it
 * away, then hints. Returns 0, or -ESTALE when the word has changed (the lease isn't ours any
 * more).
 */

/* To stage `stage`; attempts as given; `fingerprint`: whose arithmetic has begun it there, 0:
 * nobody has. */
int mr_lease_to_ready(mr_domain *domain, uint32_t index, uint64_t held, uint32_t stage,
                      uint32_t attempts, uint64_t fingerprint);

/* To the collector. */
int mr_lease_to_done(mr_domain *domain, uint32_t index, uint64_t held);

/* Where a context belongs whose holder lets go of it in the middle: one that was failed to the
 * collector and one that is done to the next stage or the collector (the holder died just before it
 * handed it on), others to their own stage again. */
int mr_lease_release(mr_domain *domain, uint32_t index, const mr_context *context,
                     uint32_t attempts);

/* To the collector, as failed: `why` is written and committed first. Works on the raw cursors, so
 * also on a context that can't be loaded. */
int mr_lease_fail(mr_domain *domain, uint32_t index, uint64_t held, const char *why);

#endif
