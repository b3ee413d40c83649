/*
 * group.c - the processes of a run and how each is started
 */
#include "runtime/supervisor/group.h"
#include "runtime/process.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLLECTOR, TOKENIZER, FIRST_WORKER };

/* A process of the runtime: this very binary with a hidden verb. */
static int make_runtime(struct child *child, const char *verb, const char *domain,
                        enum log_level log_level, int tables)
{
    int error = 0;
    snprintf(child->name, sizeof(child->name), "mr-%s", verb);
    child->launch = (struct launch){.path = "/proc/self/exe", .fds = LAUNCH_NO_FDS};
    child->launch.fds[PROCESS_TABLES_FD - 3] = tables;
    if (child_argument(child, "%s", child->name) < 0 || child_argument(child, "%s", verb) < 0 ||
        child_argument(child, "--attach") < 0 || child_argument(child, "%s", domain) < 0 ||
        child_argument(child, "--log-level") < 0 ||
        child_argument(child, "%s", log_level_name(log_level)) < 0)
        error = -ENOMEM;
    return error;
}

static int make_collector(struct child *child, const char *domain, enum log_level log_level,
                          int tables, const struct run_output *output)
{
    int error = make_runtime(child, "collector", domain, log_level, tables);
    child->role = MR_ROLE_COLLECTOR;
    child->launch.fds[PROCESS_OUTPUT_FD - 3] = output->fd;
    child->launch.fds[PROCESS_SPOOL_FD - 3] = output->spool;
    return error;
}

static int make_tokenizer(struct child *child, const char *domain, enum log_level log_level,
                          int tables, const struct run_input *input)
{
    int error = make_runtime(child, "tokenizer", domain, log_level, tables);
    child->role = MR_ROLE_TOKENIZER;
    child->launch.fds[PROCESS_INPUT_FD - 3] = input->fd;
    child->launch.fds[PROCESS_SPOOL_FD - 3] = input->spool;
    child->launch.fds[PROCESS_RELAY_READ_FD - 3] = input->relay[0];
    child->launch.fds[PROCESS_RELAY_WRITE_FD - 3] = input->relay[1];
    return error;
}

static int make_worker(struct child *child, unsigned number, const char *domain,
                       const struct note *note)
{
    int error = 0;
    child->role = MR_ROLE_WORKER;
    snprintf(child->name, sizeof(child->name), "mr-worker-%u", number);
    child->launch = (struct launch){.path = note->worker, .fds = LAUNCH_NO_FDS};
    if (child_argument(child, "%s", child->name) < 0 || child_argument(child, "--attach") < 0 ||
        child_argument(child, "%s", domain) < 0 || child_argument(child, "--model") < 0 ||
        child_argument(child, "%s", note->model) < 0 || child_argument(child, "--name") < 0 ||
        child_argument(child, "%s", child->name) < 0 || child_argument(child, "--threads") < 0 ||
        child_argument(child, "%u", note->threads) < 0)
        error = -ENOMEM;
    if (error == 0 && note->max_batch > 0 &&
        (child_argument(child, "--max-batch") < 0 ||
         child_argument(child, "%u", note->max_batch) < 0))
        error = -ENOMEM;
    return error;
}

static unsigned number_of(const struct group *group, const struct child *child)
{
    return (unsigned)(child - group->children) - FIRST_WORKER;
}

struct child *group_add_worker(struct group *group, const char *domain, const struct note *note)
{
    struct child *children, *child = NULL;
    for (unsigned i = FIRST_WORKER; i < group->count && child == NULL; i++)
        if (group->children[i].state == CHILD_ENDED)
            child = &group->children[i];
    if (child == NULL) {
        children = realloc(group->children, (group->count + 1) * sizeof(*children));
        if (children == NULL)
            return NULL;
        group->children = children;
        child = &children[group->count++];
        *child = (struct child){.member = -1};
    }
    child_free(child);
    child->state = CHILD_ENDED;
    if (make_worker(child, number_of(group, child), domain, note) < 0)
        return NULL;
    child->state = CHILD_OFF;
    return child;
}

int group_make(struct group *group, const char *domain, const struct note *note,
               enum log_level log_level, int tables, const struct run_input *input,
               const struct run_output *output)
{
    int error;
    *group = (struct group){.count = FIRST_WORKER + note->workers};
    group->children = calloc(group->count, sizeof(*group->children));
    if (group->children == NULL)
        error = -ENOMEM;
    else
        error = make_collector(&group->children[COLLECTOR], domain, log_level, tables, output);
    if (error == 0)
        error = make_tokenizer(&group->children[TOKENIZER], domain, log_level, tables, input);
    for (unsigned i = 0; i < note->workers && error == 0; i++)
        error = make_worker(&group->children[FIRST_WORKER + i], i, domain, note);
    for (unsigned i = 0; group->children != NULL && i < group->count; i++)
        group->children[i].member = -1;
    if (error < 0)
        log_error("cannot make the group of processes: %s", strerror(-error));
    return error;
}

void group_free(struct group *group)
{
    for (unsigned i = 0; group->children != NULL && i < group->count; i++)
        child_free(&group->children[i]);
    free(group->children);
    *group = (struct group){0};
}

struct child *group_find_pid(struct group *group, pid_t pid)
{
    for (unsigned i = 0; i < group->count; i++)
        if (group->children[i].pid == pid)
            return &group->children[i];
    return NULL;
}

struct child *group_find_member(struct group *group, int member)
{
    for (unsigned i = 0; i < group->count; i++)
        if (group->children[i].member == member)
            return &group->children[i];
    return NULL;
}

struct child *group_youngest_worker(struct group *group)
{
    struct child *youngest = NULL;
    for (unsigned i = FIRST_WORKER; i < group->count; i++) {
        struct child *child = &group->children[i];
        if (child->state != CHILD_ENDED && !child->leaving &&
            (youngest == NULL || child->started >= youngest->started))
            youngest = child;
    }
    return youngest;
}

unsigned group_workers(const struct group *group)
{
    unsigned count = 0;
    for (unsigned i = FIRST_WORKER; i < group->count; i++)
        count += group->children[i].state != CHILD_ENDED && !group->children[i].leaving;
    return count;
}

unsigned group_workers_left(const struct group *group)
{
    unsigned left = 0;
    for (unsigned i = 0; i < group->count; i++)
        left +=
            group->children[i].role == MR_ROLE_WORKER && group->children[i].state != CHILD_ENDED;
    return left;
}

bool group_ended(const struct group *group)
{
    for (unsigned i = 0; i < group->count; i++)
        if (group->children[i].pid > 0)
            return false;
    return true;
}

void group_kill(struct group *group)
{
    for (unsigned i = 0; i < group->count; i++)
        if (group->children[i].pid > 0)
            kill(group->children[i].pid, SIGKILL);
}
