/*
 * group.h - the processes of a run and how each is started
 */
#ifndef RUNTIME_SUPERVISOR_GROUP_H
#define RUNTIME_SUPERVISOR_GROUP_H

#include "runtime/note.h"
#include "runtime/supervisor/children.h"
#include "runtime/supervisor/endpoints.h"
#include "runtime/supervisor/options.h"

enum { GROUP_MAX_WORKERS = MR_MAX_MEMBERS - 4 };

struct group {
    struct child *children; /* collector, tokenizer, workers */
    unsigned count;
};

/* group_make - 0, or -errno after it said why; starts nobody. group_free() is right in any case.
 * `tables` (model_file.h) stay the caller's. */
int group_make(struct group *group, const char *domain, const struct note *note,
               enum log_level log_level, int tables, const struct run_input *input,
               const struct run_output *output);
void group_free(struct group *group);

struct child *group_find_pid(struct group *group, pid_t pid);
struct child *group_find_member(struct group *group, int member);

/* group_add_worker - one more, in the place of one that has ended if there is such; it is started
 * when the supervisor looks next. NULL: no memory. Pointers to children are not valid any more. */
struct child *group_add_worker(struct group *group, const char *domain, const struct note *note);

/* Workers that run or are to be started and weren't told to leave; the one started last of them. */
unsigned group_workers(const struct group *group);
struct child *group_youngest_worker(struct group *group);

/* Workers that run or will be started again. */
unsigned group_workers_left(const struct group *group);

/* group_ended - no process is left */
bool group_ended(const struct group *group);

/* group_kill - SIGKILL to all that run */
void group_kill(struct group *group);

#endif
