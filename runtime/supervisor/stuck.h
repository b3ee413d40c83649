/*
 * stuck.h - telling a member that is stuck from one that is busy
 *
 * A member counts its steps, and the parts inside a long one (layers, chunks of a prompt, looks at
 * a disk that is full). One that is in a step and moves neither count for a while will not come
 * back by itself. Nor will one that somebody stopped (SIGSTOP): it may hold anything, a hint that
 * it took and a wake-up included, also if it is in no step. Both are killed, and their death is
 * treated like any other. A member that waits for work is in no step and runs.
 */
#ifndef RUNTIME_SUPERVISOR_STUCK_H
#define RUNTIME_SUPERVISOR_STUCK_H

#include "runtime/supervisor/group.h"

/* What was last seen of a member; times are milliseconds of CLOCK_MONOTONIC. */
struct last_seen {
    pid_t pid; /* of whom */
    uint64_t start_time;
    uint64_t steps;
    uint64_t parts;
    uint64_t moved;   /* when it last did */
    uint64_t stopped; /* since when it is; 0: it isn't */
};

struct stuck {
    struct last_seen places[MR_MAX_MEMBERS];
    uint64_t looked; /* when they were looked at last */
};

/* stuck_look - once a second or so: kills members, own ones and strangers, that haven't moved for
 * `after_s` seconds or were stopped for as long, but at most 5; 0: nobody */
void stuck_look(struct stuck *stuck, struct group *group, const mr_domain *domain,
                mr_control *control, unsigned after_s);

#endif
