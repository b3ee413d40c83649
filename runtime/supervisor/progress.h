/*
 * progress.h - what a run tells a person while it goes on and at its end
 *
 * The progress line is for terminals alone; the summary is always written, to stderr.
 */
#ifndef RUNTIME_SUPERVISOR_PROGRESS_H
#define RUNTIME_SUPERVISOR_PROGRESS_H

#include <millrace/domain.h>
#include <stdbool.h>

struct progress {
    bool terminal;      /* somebody sees the line */
    bool shown;         /* a line stands there */
    uint64_t requests;  /* records in the input, 0: not known */
    uint64_t began;     /* milliseconds, CLOCK_MONOTONIC */
    uint64_t finished0; /* of a resumed domain, when this run began */
    uint64_t failed0;
    uint64_t emitted0;
    uint64_t generated0;
};

/*
 * progress_open
 *
 *   input    counted, if somebody sees the line; -1: it can't be
 *   answers  where they go: on a terminal they are sight enough, and the line would mix with them
 */
void progress_open(struct progress *progress, const mr_domain *domain, int input, int answers);

/* progress_show - write the line anew; a few times a second */
void progress_show(struct progress *progress, const mr_domain *domain);
void progress_clear(struct progress *progress);

/* What this run has answered so far. */
uint64_t progress_finished(const struct progress *progress, const mr_domain *domain);
uint64_t progress_failed(const struct progress *progress, const mr_domain *domain);

void progress_summary(struct progress *progress, const mr_domain *domain, unsigned restarts);

#endif
