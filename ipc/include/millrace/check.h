/*
 * millrace/check.h - whether everything in a domain's memory is as it must be
 *
 * A check only looks: it holds no lock, changes nothing and can't be seen by the members. The
 * domain may be at work: what is found wrong is looked at again, and counts only if it stays wrong
 * while the words that it hangs on stay as they are. It may also be dead, with all its processes:
 * what they were at is no finding, as a sweep expects it so.
 */
#ifndef MILLRACE_CHECK_H
#define MILLRACE_CHECK_H

#include <millrace/domain.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * mr_domain_inspect - map a domain to be looked at, living or dead
 *
 * Takes no lock: a domain that is removed meanwhile stays mapped until mr_domain_close(), and
 * nobody is kept from resuming or discarding it. Of the other functions only those that read may
 * be called: _get_info, _get_progress, _phase, _unfinished, _check.
 * Returns as mr_domain_open(), but for -ESTALE.
 */
int mr_domain_inspect(mr_domain **domain, const char *name);

/* What is in use now. Begin with {.size = sizeof(mr_census)}. */
typedef struct mr_census {
    uint32_t size;
    uint32_t slots;
    uint32_t free;
    uint32_t filling; /* being written by the tokenizer */
    uint32_t ready;   /* wait for a worker */
    uint32_t leased;
    uint32_t done;    /* wait for the collector */
    uint32_t members; /* places taken */
    uint32_t hints;   /* in the queues of stages and collector, stale ones too */
    uint32_t reserved;
    uint64_t arena_bytes; /* in use by contexts */
    uint64_t arena_size;
} mr_census;

/* One thing that doesn't hold: where ("slot 3", "queue 'generate'"), and a sentence. The texts are
 * valid during the call. */
typedef void mr_check_report(void *self, const char *place, const char *what);

/*
 * mr_domain_check - look at everything; docs/fsck.md lists what is asked
 *
 *   report   called for each finding; of a slot, a queue or a place the first alone
 *   census   NULL: not wanted; exact while nobody is at work
 *
 * When no member has a place, so all that ended were swept, hints are asked for too: whatever waits
 * must be in its queue, or the queue's consumers must have been told to look through the slots.
 * Returns how many findings there are, or -ENOMEM. Takes milliseconds, some more for each finding
 * in a domain at work. Any thread of any process that has the domain mapped.
 */
int mr_domain_check(mr_domain *domain, mr_check_report *report, void *self, mr_census *census);

#ifdef __cplusplus
}
#endif
#endif
