/*
 * stuck.c - telling a member that is stuck from one that is busy
 *
 * Death comes first, through the pidfd; only when the kernel has confirmed it the place is swept,
 * by the same path as after any other death. Whether a process is stopped is asked of /proc by its
 * number, which may be another process's by then: the pidfd makes sure that nobody else is killed.
 *
 * A supervisor that itself was away (stopped, or frozen with its group) can't tell how long a
 * member has not moved: after a gap all are looked at as if for the first time.
 */
#include "runtime/supervisor/stuck.h"
#include "runtime/log.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { STOPPED_MAX_S = 5, GAP_MS = 5000 };

/* The state that /proc/PID/stat tells; 0: there is no such process. The name before it may hold
 * anything, so it counts from the last parenthesis. */
static char state_of(pid_t pid)
{
    char path[40], line[512];
    const char *name_end = NULL;
    FILE *file;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) != NULL)
        name_end = strrchr(line, ')');
    fclose(file);
    return name_end != NULL && name_end[1] == ' ' ? name_end[2] : 0;
}

/* Whether it has been stopped for so long; a debugger's hold ('t') is no stop. */
static bool stopped_for(uint64_t *since, pid_t pid, uint64_t now, unsigned after_s)
{
    unsigned most_s = after_s < STOPPED_MAX_S ? after_s : STOPPED_MAX_S;
    if (state_of(pid) != 'T') {
        *since = 0;
        return false;
    }
    if (*since == 0)
        *since = now;
    return now - *since >= (uint64_t)most_s * 1000;
}

/* Whether it has moved since it was last looked at, or has no step to move in. */
static bool moves(const struct last_seen *seen, const mr_member_info *info)
{
    return info->step_begun == 0 || info->steps != seen->steps || info->parts != seen->parts;
}

static bool is_still_for(struct last_seen *seen, const mr_member_info *info, uint64_t now,
                         unsigned after_s)
{
    if (moves(seen, info)) {
        seen->steps = info->steps;
        seen->parts = info->parts;
        seen->moved = now;
    }
    return now - seen->moved >= (uint64_t)after_s * 1000;
}

static void look_at(struct last_seen *seen, const mr_member_info *info, mr_control *control,
                    unsigned after_s)
{
    uint64_t now = now_ms();
    if (seen->pid != info->pid || seen->start_time != info->start_time)
        *seen = (struct last_seen){.pid = info->pid, .start_time = info->start_time, .moved = now};
    if (stopped_for(&seen->stopped, info->pid, now, after_s))
        log_warning("%s is stuck: somebody stopped it, and it isn't continued; it is killed",
                    info->name);
    else if (is_still_for(seen, info, now, after_s))
        log_warning("%s is stuck: it has been in one step for %u s without moving; it is killed",
                    info->name, after_s);
    else
        return;
    if (mr_supervisor_kill(control, info->index) < 0)
        log_error("cannot kill %s: %s", info->name, mr_error());
    seen->moved = now;
    seen->stopped = 0;
}

/* One of our own that was stopped before it joined. It is our child, so its number is its own. */
static void look_at_beginner(struct child *child, unsigned after_s)
{
    if (!stopped_for(&child->stopped, child->pid, now_ms(), after_s))
        return;
    log_warning("%s is stuck: somebody stopped it before it began; it is killed", child->name);
    kill(child->pid, SIGKILL);
}

void stuck_look(struct stuck *stuck, struct group *group, const mr_domain *domain,
                mr_control *control, unsigned after_s)
{
    uint64_t now = now_ms();
    if (now - stuck->looked > GAP_MS)
        *stuck = (struct stuck){0};
    stuck->looked = now;
    for (int i = 0; i < MR_MAX_MEMBERS && after_s > 0; i++) {
        mr_member_info info;
        if (mr_member_get_info(domain, i, &info) == 0)
            look_at(&stuck->places[i], &info, control, after_s);
    }
    for (unsigned i = 0; i < group->count && after_s > 0; i++)
        if (group->children[i].state == CHILD_STARTING && group->children[i].pid > 0)
            look_at_beginner(&group->children[i], after_s);
}
