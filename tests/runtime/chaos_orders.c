/*
 * chaos_orders.c - what a person orders while members die: workers drain, the group is scaled
 *
 * One order after the other, each a process of the program: a worker leaves as for an upgrade and
 * is replaced, then there is one less for a while. An order may be refused, as its worker may have
 * died or the supervisor with it, but it has to be answered.
 */
#include "tests/runtime/chaos.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { STEPS = 4 };

static pid_t order; /* at work, since */
static double since;
static double next;
static unsigned step;

void orders_begin(void)
{
    step = 0;
    next = now() + below(500) / 1e3;
}

static void give(const char *verb, const char *number)
{
    const char *const argv[] = {"millrace", verb, chaos.name, number, NULL};
    order = chaos_start(chaos.program, argv, -1, -1, false);
    since = now();
}

static void drain_one(void)
{
    char worker[16];
    snprintf(worker, sizeof(worker), "mr-worker-%u", below(OWN_WORKERS));
    give("drain", worker);
}

static void give_next(void)
{
    static const unsigned workers[STEPS] = {0, OWN_WORKERS, OWN_WORKERS - 1, OWN_WORKERS};
    char number[16];
    unsigned count = workers[step++ % STEPS];
    if (count == 0) {
        drain_one();
        return;
    }
    snprintf(number, sizeof(number), "%u", count);
    give("scale", number);
}

void orders_tick(void)
{
    if (order != 0 && now() > since + PATIENCE_S)
        give_up("an order isn't answered");
    if (chaos.plan.orders && order == 0 && chaos.run != 0 && now() >= next)
        give_next();
}

bool orders_ended(pid_t pid, int status)
{
    if (pid != order || pid == 0)
        return false;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        give_up("an order ended as it must not");
    chaos.orders += WEXITSTATUS(status) == 0;
    order = 0;
    next = now() + 0.1 + below(500) / 1e3;
    return true;
}

void orders_end(void)
{
    while (order != 0) {
        orders_tick();
        chaos_bury();
        wait_ms(2);
    }
}
