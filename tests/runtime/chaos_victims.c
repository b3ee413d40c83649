/*
 * chaos_victims.c - who is killed, who is stopped, and who is spared
 *
 * A stop is short, and then the member goes on or is killed; or it lasts until the supervisor finds
 * it: that one is watched, at most one at a time, and its death within PATIENCE_S is the only one
 * that it may die.
 *
 * One thing is spared: a request, record or answer at which two members died in a row is given up
 * at the third death, as it must be. So nobody is killed while something innocent is that far
 * (spare()); it gets over it with its next step, within milliseconds.
 */
#include "ipc/domain.h"
#include "ipc/slot.h"
#include "ipc/twin.h"
#include "tests/runtime/chaos.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BETWEEN_MS = 120 };

static struct stopped {
    pid_t pid; /* 0: nobody */
    int pidfd;
    double since;
} stopped;

static unsigned left; /* long stops of this round that are still to come */
static double next;   /* when somebody is disturbed */

/* ---- who is there ---- */

/* A member of this role that has its place; 0: there is none now. Of the supervisor's workers those
 * that got to work: one that never does is given up after so many ends. */
static pid_t find_member(uint32_t role)
{
    pid_t found = 0;
    unsigned fitting = 0;
    for (int i = 0; i < MR_MAX_MEMBERS; i++) {
        mr_member_info info;
        if (mr_member_get_info(chaos.domain, i, &info) == 0 && info.role == role &&
            (role != MR_ROLE_WORKER || info.steps > 0) && !is_stranger(info.pid) &&
            below(++fitting) == 0)
            found = info.pid;
    }
    return found;
}

static pid_t pid_of(enum victim victim)
{
    switch (victim) {
    case WORKER:
        return find_member(MR_ROLE_WORKER);
    case STRANGER:
        return strangers_any();
    case TOKENIZER:
        return find_member(MR_ROLE_TOKENIZER);
    case COLLECTOR:
        return find_member(MR_ROLE_COLLECTOR);
    default:
        return chaos.run;
    }
}

/* A run whose requests or answers go through a pipe ends with its supervisor. */
static enum victim choose_victim(void)
{
    bool piped = chaos.plan.way == TO_PIPE || chaos.plan.way == FROM_PIPE;
    unsigned dice = below(piped ? 16 : 18);
    if (dice < 11)
        return chaos.plan.strangers > 0 && dice < 4 ? STRANGER : WORKER;
    return dice < 13 ? TOKENIZER : dice < 16 ? COLLECTOR : SUPERVISOR;
}

/* ---- who may be killed ---- */

static bool is_poison(const mr_slot *slot)
{
    return slot->params.sampling.seed == 666;
}

static uint64_t intake_mark(const mr_header *h)
{
    int64_t mark[MR_MARK_WORDS];
    mr_twin_read(&h->mark_sequence, h->mark[0], MR_MARK_WORDS, mark, MR_MARK_WORDS);
    return (uint64_t)mark[MR_MARK_ORDINAL];
}

/* Would another death make something innocent given up? */
static bool spare(void)
{
    const mr_domain *domain = chaos.domain;
    const mr_header *h = domain->header;
    unsigned last = domain->max_attempts - 1;
    bool near = atomic_load(&h->emission_deaths) >= last ||
                (atomic_load(&h->intake_deaths) >= last &&
                 atomic_load(&h->intake_death_at) > intake_mark(h));
    for (uint32_t i = 0; i < domain->slot_count && !near; i++) {
        mr_state_parts parts = mr_state_unpack(mr_slot_load(&domain->slots[i]));
        near = (parts.state == MR_STATE_READY || parts.state == MR_STATE_LEASED) &&
               parts.attempts >= last && !is_poison(&domain->slots[i]);
    }
    chaos.spared += near;
    return near;
}

/* ---- stops ---- */

bool is_stopped(pid_t pid)
{
    return pid != 0 && pid == stopped.pid;
}

static bool is_dead(void)
{
    struct pollfd death = {.fd = stopped.pidfd, .events = POLLIN};
    return poll(&death, 1, 0) == 1;
}

static void forget_stopped(void)
{
    close(stopped.pidfd);
    stopped.pid = 0;
}

static void stop_until_found(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return;
    stopped = (struct stopped){.pid = pid, .pidfd = pidfd, .since = now()};
    kill(pid, SIGSTOP);
    chaos.long_stops++;
    left--;
}

static void watch_stopped(void)
{
    if (stopped.pid == 0)
        return;
    if (is_dead()) {
        chaos.found++;
        forget_stopped();
    } else if (now() > stopped.since + PATIENCE_S) {
        give_up("the supervisor doesn't find a member that was stopped");
    }
}

/* The supervisor that had to find it is gone. Who goes on has to leave, whoever he was. */
static void let_stopped_go(void)
{
    if (stopped.pid == 0)
        return;
    kill(stopped.pid, SIGCONT);
    chaos.long_stops--;
    forget_stopped();
}

/* Whether it is to be killed now. */
static bool stop(enum victim victim, pid_t pid)
{
    chaos.stops++;
    if (victim != SUPERVISOR && left > 0 && stopped.pid == 0 && below(2) == 0) {
        stop_until_found(pid);
        return false;
    }
    kill(pid, SIGSTOP);
    wait_ms(below(150));
    if (below(2) == 0 || spare()) {
        kill(pid, SIGCONT);
        return false;
    }
    return true;
}

/* ---- a disturbance ---- */

static void disturb_one(void)
{
    enum victim victim = choose_victim();
    pid_t pid = pid_of(victim);
    if (pid <= 0 || is_stopped(pid) || spare())
        return;
    if (below(4) == 0 && !stop(victim, pid))
        return;
    if (kill(pid, SIGKILL) != 0)
        return;
    chaos.kills[victim]++;
    if (victim == SUPERVISOR) {
        let_stopped_go();
        chaos_resume();
    }
}

void victims_begin(void)
{
    left = chaos.plan.stops;
    next = now() + 0.05;
}

void victims_tick(void)
{
    watch_stopped();
    if (now() < next || chaos.run == 0)
        return;
    disturb_one();
    /* now and then two at once */
    next = now() + (below(6) ? 20 + below(BETWEEN_MS) : 0) / 1e3;
}

void victims_end(void)
{
    watch_stopped();
    let_stopped_go();
}
