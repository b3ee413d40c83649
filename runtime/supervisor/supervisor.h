/*
 * supervisor.h - a run as the supervisor sees it
 *
 * The supervisor starts the group, learns of its members' ends, sweeps and restarts, and ends the
 * run. It is one thread with one event loop (events.c) and touches no request.
 *
 *                 interrupt            interrupt               overdue
 *     RUNNING ---------------> DRAINING --------> STOPPING -------------> (all are killed)
 *        |   \                    |      broken      ^  ^
 *        |    +--- broken --------|------------------+  |
 *        | answered               | answered            | interrupt
 *        +----------> LEAVING <---+---------------------+
 *
 * RUNNING takes requests in, DRAINING finishes those that were accepted, LEAVING waits while the
 * collector hands the rest of the answers to a slow reader, STOPPING gives everybody a few seconds.
 */
#ifndef RUNTIME_SUPERVISOR_SUPERVISOR_H
#define RUNTIME_SUPERVISOR_SUPERVISOR_H

#include "runtime/supervisor/group.h"
#include "runtime/supervisor/model_file.h"
#include "runtime/supervisor/progress.h"
#include "runtime/supervisor/stuck.h"

enum run_state { RUN_RUNNING, RUN_DRAINING, RUN_LEAVING, RUN_STOPPING, RUN_STATES };

/* What `millrace run` exits with. */
enum run_status {
    RUN_ANSWERED = 0,
    RUN_SOME_FAILED = 1,
    RUN_IMPOSSIBLE = 2,
    RUN_INTERRUPTED = 130
};

struct supervisor {
    mr_domain *domain;
    mr_control *control;
    mr_domain_info info;
    struct note note;
    struct model_file model;
    struct run_input input;
    struct run_output output;
    struct group group;
    struct progress progress;
    enum run_state state;
    enum run_status status;
    bool resumed;
    bool input_done; /* every record of the input is taken in, or none will be */
    bool interrupted;
    bool gave_up;         /* a member was started too often; what was accepted is worth keeping */
    unsigned stuck_after; /* seconds, 0: never */
    struct stuck stuck;
    unsigned restarts;
    uint64_t callers[MR_MAX_MEMBERS]; /* who waits for a stranger in this place to leave */
    uint64_t deadline;                /* STOPPING: when all are killed; milliseconds */
    uint64_t last_audit;
    uint64_t last_shown;
    int epoll;
    int signals;
    int timer;
};

/* supervisor_open_events - block the signals, before any child is started; 0 or -errno, said */
int supervisor_open_events(struct supervisor *supervisor);

/* supervisor_ending - whether it is on its way out: nobody is started any more */
static inline bool supervisor_ending(const struct supervisor *run)
{
    return run->state == RUN_LEAVING || run->state == RUN_STOPPING;
}

/* supervisor_break_off - the run can't go on; `status` says why */
void supervisor_break_off(struct supervisor *supervisor, enum run_status status);

/* ends.c: supervisor_start - a child, and remember how far its work is; supervisor_note_work -
 * whether it has got on since, before its place is swept; supervisor_judge - what follows its end,
 * once it is reaped and its place is swept */
void supervisor_start(struct supervisor *supervisor, struct child *child);
void supervisor_note_work(struct supervisor *supervisor, struct child *child);
void supervisor_judge(struct supervisor *supervisor, struct child *child);

/* supervisor_has_workers - own ones that run or will be started again, or strangers */
bool supervisor_has_workers(const struct supervisor *supervisor);

/* supervisor_loop - start the group and run until no process of it is left */
void supervisor_loop(struct supervisor *supervisor);

#endif
