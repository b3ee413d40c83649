/*
 * children.h - the processes that the supervisor starts, and what it does about their ends
 *
 *            start            joined                  left/died, reaped and swept
 *     OFF ----------> STARTING -----> MEMBER ------------------------------------+
 *      ^                 |                                                       |
 *      |                 +---- ended before it joined ---------------------------+
 *      |                                                                         v
 *      +--- the pause is over --- PAUSED <--- restart --- (table: role x end) ---+
 *                                                              |
 *                                              ENDED <---------+
 *
 * A child is two things at once: a process, whose end waitpid(2) tells, and a member, whose end
 * mr_control_next() tells and whose place must be swept. Only when both are settled is its end
 * judged, so a successor never meets its predecessor.
 */
#ifndef RUNTIME_SUPERVISOR_CHILDREN_H
#define RUNTIME_SUPERVISOR_CHILDREN_H

#include "runtime/supervisor/launch.h"
#include <millrace/supervise.h>
#include <stdbool.h>
#include <stdint.h>

enum { CHILD_ARGUMENTS = 20 };

enum child_state { CHILD_OFF, CHILD_STARTING, CHILD_MEMBER, CHILD_PAUSED, CHILD_ENDED };

/* How a process ended. */
enum child_end {
    END_DONE,
    END_DEATH,
    END_IMPOSSIBLE,
    END_MODEL_CHANGED,
    END_OUTPUT_CLOSED,
    END_INPUT_BROKEN,
    CHILD_ENDS
};

struct child {
    enum child_state state;
    enum mr_role role;
    char name[24];
    struct launch launch;
    char *argv[CHILD_ARGUMENTS]; /* owned */
    pid_t pid;                   /* > 0: not reaped yet */
    int member;                  /* >= 0: not swept yet */
    int status;                  /* as waitpid(2) gave it, once reaped */
    bool joined;                 /* since it was started */
    bool leaving;                /* it was told to, and isn't started again */
    uint64_t caller;             /* who waits for that (mr_control_answer()); 0: nobody */
    bool got_on;                 /* since it was started it has done some of its work */
    unsigned failures;           /* ends in a row without that, weighed (children.c) */
    uint64_t began_at;           /* how far its work was when it was started (ends.c) */
    uint64_t started;            /* CLOCK_MONOTONIC, milliseconds */
    uint64_t stopped;            /* as in struct last_seen (stuck.h), before it has a place */
    uint64_t due;                /* CHILD_PAUSED: when to start it, CLOCK_MONOTONIC milliseconds */
};

/* child_start - OFF or PAUSED to STARTING; a failure to fork counts as an end before it joined */
void child_start(struct child *child);

/* child_joined - the member of this pid has its place */
void child_joined(struct child *child, int member);

/* child_reaped, child_swept - half of its end is settled; true when the other half is too */
bool child_reaped(struct child *child, int status);
bool child_swept(struct child *child);

/* child_end - how it ended, once it is settled; `text` says it in words */
enum child_end child_end(const struct child *child, char *text, size_t size);

/* child_pause - to be started again: at once if it had lived for a while, else after a pause, which
 * grows as long as it doesn't get on. False when it was tried too often. */
bool child_pause(struct child *child);

/* child_argument - add one (with a format: its value) to its command line; 0 or -ENOMEM */
int child_argument(struct child *child, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void child_free(struct child *child);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t now_ms(void);

#endif
