/*
 * events.c - the supervisor's loop: signals, members' ends, and the clock
 *
 * A table decides what the run does next (state x event); the rest of the file turns what the
 * kernel says into those events. What follows the end of a child stands in ends.c.
 */
#include "runtime/log.h"
#include "runtime/supervisor/orders.h"
#include "runtime/supervisor/stuck.h"
#include "runtime/supervisor/supervisor.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TICK_MS = 50,
    SHOW_MS = 250,
    AUDIT_MS = 1000,
    GRACE_MS = 5000 /* that members have to leave in order */
};

/* ---- what the run does next ---- */

enum run_event {
    EVENT_INTERRUPT, /* SIGINT, SIGTERM, SIGHUP */
    EVENT_ANSWERED,  /* the input is taken in, and every answer is written and sent */
    EVENT_BROKEN,    /* it can't go on; the status says why */
    EVENT_OVERDUE,   /* the deadline is over */
    RUN_EVENTS
};

static void drain(struct supervisor *run)
{
    run->interrupted = true;
    run->state = RUN_DRAINING;
    log_warning("interrupted: finishing what was accepted; interrupt again to stop now");
    mr_domain_set_phase(run->domain, MR_PHASE_DRAIN);
}

static void leave(struct supervisor *run)
{
    run->state = RUN_LEAVING;
    mr_domain_set_phase(run->domain, MR_PHASE_STOP);
}

static void stop(struct supervisor *run)
{
    run->state = RUN_STOPPING;
    run->deadline = now_ms() + GRACE_MS;
    mr_domain_set_phase(run->domain, MR_PHASE_STOP);
}

static void interrupt(struct supervisor *run)
{
    run->interrupted = true;
    stop(run);
}

static void kill_all(struct supervisor *run)
{
    run->deadline = UINT64_MAX;
    group_kill(&run->group);
}

static void (*const run_table[RUN_STATES][RUN_EVENTS])(struct supervisor *) = {
    [RUN_RUNNING] = {[EVENT_INTERRUPT] = drain, [EVENT_ANSWERED] = leave, [EVENT_BROKEN] = stop},
    [RUN_DRAINING] =
        {[EVENT_INTERRUPT] = interrupt, [EVENT_ANSWERED] = leave, [EVENT_BROKEN] = stop},
    [RUN_LEAVING] = {[EVENT_INTERRUPT] = interrupt, [EVENT_BROKEN] = stop},
    [RUN_STOPPING] = {[EVENT_INTERRUPT] = kill_all, [EVENT_OVERDUE] = kill_all},
};

static void happen(struct supervisor *run, enum run_event event)
{
    if (run_table[run->state][event] != NULL)
        run_table[run->state][event](run);
}

void supervisor_break_off(struct supervisor *run, enum run_status status)
{
    if (run->state == RUN_RUNNING || run->state == RUN_DRAINING)
        run->status = status;
    happen(run, EVENT_BROKEN);
}

/* ---- members ---- */

static void member_ended(struct supervisor *run, const mr_control_event *event)
{
    struct child *child = group_find_member(&run->group, event->member);
    unsigned failed = 0;
    int taken;
    if (child != NULL)
        supervisor_note_work(run, child); /* while its place still tells */
    taken = mr_supervisor_sweep(run->domain, event->member, &failed);
    if (taken < 0)
        log_error("cannot sweep place %d: %s", event->member, mr_error());
    else if (taken > 0)
        log_info("%d requests of a dead member were taken back, %u of them given up", taken,
                 failed);
    orders_member_left(run, event->member);
    if (child == NULL)
        log_info("member %d (process %d) has left", event->member, (int)event->pid);
    else if (child_swept(child))
        supervisor_judge(run, child);
}

static void member_joined(struct supervisor *run, const mr_control_event *event)
{
    struct child *child = group_find_pid(&run->group, event->pid);
    if (child != NULL)
        child_joined(child, event->member);
    else
        log_info("process %d joined as member %d", (int)event->pid, event->member);
}

static void hear_control(struct supervisor *run)
{
    mr_control_event event;
    while (mr_control_next(run->control, &event) == 0 && event.kind != MR_CONTROL_NONE) {
        switch (event.kind) {
        case MR_CONTROL_JOINED:
            member_joined(run, &event);
            break;
        case MR_CONTROL_DIED:
        case MR_CONTROL_LEFT:
            member_ended(run, &event);
            break;
        case MR_CONTROL_REFUSED:
            log_warning("process %d may not join: %s", (int)event.pid, event.why);
            break;
        case MR_CONTROL_COMMAND:
            orders_obey(run, &event);
            break;
        case MR_CONTROL_NONE:
            break;
        }
    }
}

/* What has joined was heard of before (hear_control()): so a child without a member never had one.
 */
static void reap(struct supervisor *run)
{
    for (unsigned i = 0; i < run->group.count; i++) {
        struct child *child = &run->group.children[i];
        int status;
        if (child->pid > 0 && waitpid(child->pid, &status, WNOHANG) == child->pid &&
            child_reaped(child, status))
            supervisor_judge(run, child);
    }
}

/* ---- signals and the clock ---- */

static void hear_signals(struct supervisor *run)
{
    struct signalfd_siginfo signal;
    while (read(run->signals, &signal, sizeof(signal)) == (ssize_t)sizeof(signal))
        if (signal.ssi_signo != SIGCHLD)
            happen(run, EVENT_INTERRUPT);
}

static void start_due(struct supervisor *run, uint64_t now)
{
    for (unsigned i = 0; i < run->group.count && !supervisor_ending(run); i++) {
        struct child *child = &run->group.children[i];
        if (child->state == CHILD_OFF || (child->state == CHILD_PAUSED && child->due <= now))
            supervisor_start(run, child);
    }
}

/* What is worth a look each second. */
static void look_for_trouble(struct supervisor *run)
{
    int mended = mr_supervisor_audit(run->domain);
    if (mended > 0)
        log_warning("%d requests were in a state that can't be; they were taken back", mended);
    stuck_look(&run->stuck, &run->group, run->domain, run->control, run->stuck_after);
}

/* A request whose state word was overwritten counts as none until the audit finds it; what may be a
 * moment's state is found by the second look. */
static bool nothing_is_lost(struct supervisor *run)
{
    int first = mr_supervisor_audit(run->domain), second = mr_supervisor_audit(run->domain);
    return first <= 0 && second <= 0;
}

/* Only then may the collector leave: a successor of one that is killed while a slow reader takes
 * the last answers is started as at any other time. */
static bool all_is_sent(struct supervisor *run)
{
    mr_domain_progress progress;
    mr_domain_get_progress(run->domain, &progress);
    return progress.unfinished == 0 && run_output_sent(&run->output, progress.output_length) &&
           nothing_is_lost(run);
}

static void look_around(struct supervisor *run)
{
    uint64_t now = now_ms();
    start_due(run, now);
    mr_supervisor_expire(run->domain);
    run_input_pump(&run->input);
    if (now - run->last_audit >= AUDIT_MS) {
        run->last_audit = now;
        look_for_trouble(run);
    }
    if (now - run->last_shown >= SHOW_MS) {
        run->last_shown = now;
        mr_stats_measure(run->domain);
        progress_show(&run->progress, run->domain);
    }
    if (run->input_done && !supervisor_ending(run) && all_is_sent(run))
        happen(run, EVENT_ANSWERED);
    if (run->state == RUN_STOPPING && now >= run->deadline)
        happen(run, EVENT_OVERDUE);
}

static void hear_timer(struct supervisor *run)
{
    uint64_t ticks;
    /* Several ticks that were missed are one look. */
    if (read(run->timer, &ticks, sizeof(ticks)) < 0)
        return;
    look_around(run);
}

static int watch(struct supervisor *run, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd >= 0 && epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    log_error("cannot watch for events: %s", strerror(errno));
    return -errno;
}

int supervisor_open_events(struct supervisor *run)
{
    const struct itimerspec tick = {{0, TICK_MS * 1000000L}, {0, TICK_MS * 1000000L}};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    run->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    run->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (run->timer >= 0)
        timerfd_settime(run->timer, 0, &tick, NULL);
    if (watch(run, run->signals) < 0 || watch(run, run->timer) < 0 ||
        watch(run, mr_control_fd(run->control)) < 0)
        return -EMFILE;
    return 0;
}

void supervisor_loop(struct supervisor *run)
{
    struct epoll_event event;
    look_around(run);
    while (!(supervisor_ending(run) && group_ended(&run->group))) {
        if (epoll_wait(run->epoll, &event, 1, -1) < 0)
            continue;
        hear_control(run);
        reap(run);
        start_due(run, now_ms());
        hear_signals(run);
        hear_timer(run);
    }
    hear_control(run); /* sweeps the last ones */
}
