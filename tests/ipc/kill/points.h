/*
 * points.h - each place of a protocol's operation at which its process may die or be overtaken
 *
 * The operation runs in a child under ptrace(2), one instruction at a time, on shared memory. At
 * each stop the memory is what a kill there would leave, and the rest of the group is tried on it:
 *
 *   - a process forked from the parent, with all members' objects as they were before the
 *     operation, gets the memory as its own (mapped privately) and runs `killed`: it sweeps, goes
 *     on and checks. Where no word has changed since the stop before, the outcome is known already
 *     (nothing else of the dead one is left), so such a stop counts without being tried again,
 *     unless MILLRACE_POINTS=all says otherwise.
 *   - at some stops, evenly spread, the child is really killed first, and reaped;
 *   - with `meanwhile`, a copy of the child is made where it stands. The copy does what another
 *     member may do meanwhile, whole, then goes on with the operation at full speed, then runs
 *     `ended`. A second copy of the memory gets `meanwhile` and then `killed`.
 *
 * When the operation has ended `ended` runs as well, without any death.
 */
#ifndef MILLRACE_TESTS_POINTS_H
#define MILLRACE_TESTS_POINTS_H

#include <stdbool.h>
#include <stddef.h>

enum { POINTS_REGIONS = 4 };

/* Shared memory of the case: a mapping of `fd` from its beginning. What is `still` is not asked
 * whether it has changed. */
struct points_region {
    void *at;
    size_t bytes;
    int fd;
    bool still;
};

struct points_case {
    void *(*prepare)(const void *data);
    size_t (*memory)(void *subject, struct points_region regions[POINTS_REGIONS]);
    void (*operate)(void *subject);
    void (*meanwhile)(void *subject);     /* or NULL */
    const char *(*killed)(void *subject); /* NULL, or what is wrong */
    const char *(*ended)(void *subject);  /* the same */
    void (*discard)(void *subject);
    const void *data;
};

struct points_count {
    size_t points; /* instructions after which a kill was tried, or known to be as the one before */
    size_t tried;  /* times the others went on, after a kill */
    size_t kills;  /* of them: times the process itself was killed */
    size_t beside; /* times another's operation ran in the middle, and both went on */
};

/* How densely; points_settings() reads them from the environment. */
struct points_settings {
    bool all;      /* try each stop, changed or not */
    size_t kills;  /* real ones a case */
    size_t stride; /* of `meanwhile`: each such stop, and each that changed a word */
};

/* points_settings - MILLRACE_POINTS=all makes everything exhaustive; else `stride` */
struct points_settings points_settings(size_t stride);

/* points_try - one case; NULL, or what was wrong and where */
const char *points_try(const struct points_case *points_case,
                       const struct points_settings *settings, struct points_count *count);

/* points_available - false where ptrace is refused. Also pins this process to one processor. */
bool points_available(void);

#endif
