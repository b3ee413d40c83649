/*
 * stuck.c - telling a worker that is stuck from one that is busy
 */
#include "runtime/supervisor/stuck.h"
#include "runtime/log.h"

/* Whether it has moved since it was last looked at, or has no step to move in. */
static bool moves(const struct child *child, const mr_member_info *info)
{
    return info->step_begun == 0 || info->steps != child->steps || info->parts != child->parts;
}

static void look_at(struct child *child, const mr_domain *domain, mr_control *control,
                    unsigned after_s)
{
    mr_member_info info;
    uint64_t now = now_ms();
    if (mr_member_get_info(domain, child->member, &info) < 0)
        return;
    if (child->moved < child->started || moves(child, &info)) {
        child->steps = info.steps;
        child->parts = info.parts;
        child->moved = now;
        return;
    }
    if (now - child->moved < (uint64_t)after_s * 1000)
        return;
    log_warning("%s is stuck: it has been in one step for %u s without moving; it is killed",
                child->name, after_s);
    if (mr_supervisor_kill(control, child->member) < 0)
        log_error("cannot kill %s: %s", child->name, mr_error());
    child->moved = now;
}

void stuck_look(struct group *group, const mr_domain *domain, mr_control *control, unsigned after_s)
{
    for (unsigned i = 0; i < group->count && after_s > 0; i++)
        if (group->children[i].role == MR_ROLE_WORKER && group->children[i].state == CHILD_MEMBER)
            look_at(&group->children[i], domain, control, after_s);
}
