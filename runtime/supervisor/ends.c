/*
 * ends.c - what follows the end of a child
 *
 * A table decides (role x end). Whoever is started again must get on: one that ends again and again
 * without having done any of its work between is given up (children.c says after how many times),
 * and a run that can't do without it ends. Work is what shared memory shows: records taken in,
 * bytes put out, steps begun.
 */
#include "runtime/log.h"
#include "runtime/supervisor/orders.h"

enum verdict { RESTART, RETIRE, GIVE_UP, BREAK_OFF };

/* While the run goes on. A worker that leaves by itself is missed as much as one that dies. */
static const struct {
    enum verdict verdict;
    enum run_status status; /* of BREAK_OFF */
} verdicts[MR_ROLE_WORKER + 1][CHILD_ENDS] = {
    [MR_ROLE_TOKENIZER] = {[END_DONE] = {RETIRE, 0},
                           [END_INPUT_BROKEN] = {RETIRE, RUN_SOME_FAILED},
                           [END_DEATH] = {RESTART, 0},
                           [END_MODEL_CHANGED] = {BREAK_OFF, RUN_SOME_FAILED},
                           [END_OUTPUT_CLOSED] = {RESTART, 0},
                           [END_IMPOSSIBLE] = {BREAK_OFF, RUN_IMPOSSIBLE}},
    [MR_ROLE_COLLECTOR] = {[END_DONE] = {RESTART, 0},
                           [END_INPUT_BROKEN] = {RESTART, 0},
                           [END_DEATH] = {RESTART, 0},
                           [END_MODEL_CHANGED] = {BREAK_OFF, RUN_SOME_FAILED},
                           [END_OUTPUT_CLOSED] = {BREAK_OFF, RUN_SOME_FAILED},
                           [END_IMPOSSIBLE] = {BREAK_OFF, RUN_IMPOSSIBLE}},
    [MR_ROLE_WORKER] = {[END_DONE] = {RESTART, 0},
                        [END_INPUT_BROKEN] = {RESTART, 0},
                        [END_DEATH] = {RESTART, 0},
                        [END_MODEL_CHANGED] = {BREAK_OFF, RUN_SOME_FAILED},
                        [END_OUTPUT_CLOSED] = {RESTART, 0},
                        [END_IMPOSSIBLE] = {GIVE_UP, 0}},
};

/* ---- whether it gets on ---- */

/* How far the work of a child has come: a number that changes with it. */
static uint64_t work_of(const struct supervisor *run, const struct child *child)
{
    mr_domain_progress progress;
    mr_member_info info;
    switch (child->role) {
    case MR_ROLE_TOKENIZER:
        mr_domain_get_progress(run->domain, &progress);
        return progress.input_end + progress.records + progress.input_finished;
    case MR_ROLE_COLLECTOR:
        mr_domain_get_progress(run->domain, &progress);
        return progress.output_length;
    default:
        return mr_member_get_info(run->domain, child->member, &info) == 0 ? info.steps : 0;
    }
}

void supervisor_note_work(struct supervisor *run, struct child *child)
{
    child->got_on = work_of(run, child) != child->began_at;
}

/* ---- what follows ---- */

bool supervisor_has_workers(const struct supervisor *run)
{
    mr_member_info info;
    bool has = group_workers_left(&run->group) > 0;
    for (int i = 0; i < MR_MAX_MEMBERS && !has; i++)
        has = mr_member_get_info(run->domain, i, &info) == 0 && info.role == MR_ROLE_WORKER;
    return has;
}

static void give_up(struct supervisor *run, struct child *child)
{
    child->state = CHILD_ENDED;
    if (child->role == MR_ROLE_WORKER && supervisor_has_workers(run))
        return;
    if (child->role == MR_ROLE_WORKER)
        log_error("no worker is left");
    supervisor_break_off(run, RUN_IMPOSSIBLE);
}

static void restart(struct supervisor *run, struct child *child, const char *how)
{
    bool again = child_pause(child);
    run->restarts++;
    mr_stats_add(mr_stats_supervisor(run->domain), MR_STAT_restarts, 1);
    if (again) {
        log_warning("%s %s; it is started again", child->name, how);
    } else {
        log_error("%s %s, again and again without getting to work; it is given up", child->name,
                  how);
        run->gave_up = true;
        give_up(run, child);
    }
}

void supervisor_start(struct supervisor *run, struct child *child)
{
    child_start(child);
    child->began_at = child->role == MR_ROLE_WORKER ? 0 : work_of(run, child);
    if (child->state == CHILD_ENDED)
        give_up(run, child);
}

static void retire(struct supervisor *run, struct child *child, enum run_status status)
{
    child->state = CHILD_ENDED;
    run->input_done = true;
    if (run->status == RUN_ANSWERED)
        run->status = status;
}

/* Whatever ails a tokenizer, it is not needed any more once all of the input is taken in. */
static bool has_finished(const struct supervisor *run, const struct child *child)
{
    mr_domain_progress progress;
    if (child->role != MR_ROLE_TOKENIZER)
        return false;
    mr_domain_get_progress(run->domain, &progress);
    return progress.input_finished != 0;
}

void supervisor_judge(struct supervisor *run, struct child *child)
{
    char how[80];
    enum child_end end = child_end(child, how, sizeof(how));
    log_debug("%s %s", child->name, how);
    if (supervisor_ending(run)) {
        child->state = CHILD_ENDED;
        return;
    }
    if (child->leaving) {
        orders_worker_left(run, child);
        return;
    }
    if (has_finished(run, child)) {
        retire(run, child, RUN_ANSWERED);
        return;
    }
    switch (verdicts[child->role][end].verdict) {
    case RETIRE:
        retire(run, child, verdicts[child->role][end].status);
        break;
    case RESTART:
        restart(run, child, how);
        break;
    case GIVE_UP:
        give_up(run, child);
        break;
    case BREAK_OFF:
        child->state = CHILD_ENDED;
        supervisor_break_off(run, verdicts[child->role][end].status);
        break;
    }
}
