/*
 * chaos_strangers.c - workers that attach by themselves, leave, die, and come again
 *
 * They are children of the campaign, not of the supervisor. Each is the worker that is shipped (but
 * for the poison, chaos_worker.c), started by hand as the manual says. One that was drained or
 * killed, or whose supervisor died, is gone; a new one comes after a pause. At the end of a run
 * they must leave by themselves.
 */
#include "tests/runtime/chaos.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static struct stranger {
    pid_t pid; /* 0: there is none */
    bool joined;
    double next; /* when a new one comes */
} strangers[STRANGERS];

void strangers_begin(void)
{
    for (unsigned i = 0; i < STRANGERS; i++)
        strangers[i] = (struct stranger){.next = now() + below(400) / 1e3};
}

static void start(struct stranger *stranger)
{
    char name[24];
    const char *const argv[] = {"stranger",  "--attach", chaos.name, "--model", chaos.model,
                                "--threads", "1",        "--name",   name,      NULL};
    snprintf(name, sizeof(name), "stranger-%d", (int)(stranger - strangers));
    stranger->pid = chaos_start(chaos.worker, argv, -1, -1, false);
    stranger->joined = false;
}

static bool is_member(pid_t pid)
{
    mr_member_info info;
    for (int i = 0; i < MR_MAX_MEMBERS; i++)
        if (mr_member_get_info(chaos.domain, i, &info) == 0 && info.pid == pid)
            return true;
    return false;
}

void strangers_tick(void)
{
    for (unsigned i = 0; i < chaos.plan.strangers; i++) {
        struct stranger *stranger = &strangers[i];
        if (stranger->pid == 0 && chaos.run != 0 && now() >= stranger->next)
            start(stranger);
        if (stranger->pid != 0 && !stranger->joined && is_member(stranger->pid)) {
            stranger->joined = true;
            chaos.attaches++;
        }
    }
}

bool strangers_ended(pid_t pid, int status)
{
    for (unsigned i = 0; i < STRANGERS; i++) {
        if (pid != strangers[i].pid)
            continue;
        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
            give_up("a stranger crashed");
        strangers[i].pid = 0;
        strangers[i].next = now() + below(400) / 1e3;
        return true;
    }
    return false;
}

pid_t strangers_any(void)
{
    return strangers[below(STRANGERS)].pid;
}

bool is_stranger(pid_t pid)
{
    bool is = false;
    for (unsigned i = 0; i < STRANGERS; i++)
        is = is || strangers[i].pid == pid;
    return is;
}

void strangers_end(void)
{
    double end = now() + PATIENCE_S;
    for (unsigned i = 0; i < STRANGERS; i++)
        while (strangers[i].pid != 0) {
            if (now() > end)
                give_up("a stranger doesn't leave when the run is over");
            chaos_bury();
            wait_ms(2);
        }
}
