/*
 * check.h - what the files of the check share (private to ipc/)
 *
 *     check.c         the header, places, marks, journal, ids; the order of it all
 *     check_slots.c   each slot by itself, then all of them together
 *     check_queues.c  rings, bells, hints
 *
 * A domain at work changes while it is looked at, so a finding must be found LOOKS times, each time
 * with the words that it hangs on unchanged during the look.
 */
#ifndef MILLRACE_IPC_CHECK_H
#define MILLRACE_IPC_CHECK_H

#include "ipc/domain.h"
#include <millrace/check.h>

typedef struct mr_check {
    mr_domain *domain; /* only looked at */
    mr_check_report *report;
    void *self;
    mr_census *census;
    int findings;
    bool at_rest; /* nobody has a place: all that ended are swept */
    char what[400];
} mr_check;

/* What a look found wrong is a sentence in check->what. Returns true: something is. */
__attribute__((format(printf, 2, 3))) bool mr_check_wrong(mr_check *check, const char *format, ...);

/* mr_check_tell - a finding: check->what, at this place */
__attribute__((format(printf, 2, 3))) void mr_check_tell(mr_check *check, const char *format, ...);

/* mr_check_persists - look again and again: true if each look finds something wrong. For what
 * hangs on no one word; `look` must load in an order in which a domain at work seems right. */
bool mr_check_persists(mr_check *check, bool (*look)(mr_check *, uint32_t), uint32_t which);

/* mr_check_pause - before the next look, if the domain is at work */
void mr_check_pause(const mr_check *check);

bool mr_check_place_taken(const mr_check *check, uint32_t place);

int mr_check_slots(mr_check *check);
void mr_check_events(mr_check *check);
int mr_check_queues(mr_check *check);

#endif
