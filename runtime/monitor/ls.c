/*
 * ls.c - `millrace ls`: the domains of this machine
 */
#include "runtime/log.h"
#include "runtime/monitor/monitor.h"
#include <getopt.h>
#include <inttypes.h>
#include <millrace/error.h>
#include <millrace/member.h>
#include <string.h>

static void help(void)
{
    puts("usage: millrace ls\n"
         "\n"
         "Lists the domains of this machine whose stats one may read: name, living or dead,\n"
         "the supervisor's pid, members, slots in use, and for how long it has lived.");
}

static unsigned count_members(const struct snapshot *snapshot, int32_t *pid)
{
    unsigned members = 0;
    for (uint32_t page = 0; page < snapshot->head.pages; page++) {
        mr_stats_owner owner = {.size = sizeof(owner)};
        if (mr_stats_get_owner(snapshot->view, page, &owner) < 0)
            continue;
        if (owner.role == MR_ROLE_SUPERVISOR)
            *pid = owner.pid;
        else
            members++;
    }
    return members;
}

static int list(void *self, const char *name)
{
    struct snapshot snapshot;
    char why[256], slots[48];
    int32_t pid = 0;
    unsigned members;
    (void)self;
    if (snapshot_open(&snapshot, name, why, sizeof(why)) < 0) {
        log_warning("%s", why);
        return 0;
    }
    members = count_members(&snapshot, &pid);
    snprintf(slots, sizeof(slots), "%" PRIu64 "/%" PRIu64, snapshot_value(&snapshot, "slots_used"),
             snapshot_value(&snapshot, "slots"));
    printf("%-24s %-7s %8d %8u %12s %12s\n", name, snapshot.alive ? "living" : "dead", pid, members,
           slots, time_text(snapshot_uptime(&snapshot)));
    snapshot_close(&snapshot);
    return 0;
}

int ls_main(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int option;
    monitor_begin("millrace");
    optind = 0;
    if ((option = getopt_long(argc, argv, "h", options, NULL)) == 'h') {
        help();
        return MONITOR_DONE;
    }
    if (option != -1 || optind < argc) {
        fputs("try 'millrace ls --help'\n", stderr);
        return MONITOR_FAILED;
    }
    printf("%-24s %-7s %8s %8s %12s %12s\n", "NAME", "STATE", "PID", "MEMBERS", "SLOTS USED",
           "UPTIME");
    if (mr_stats_each(list, NULL) == 0)
        return MONITOR_DONE;
    log_error("%s", mr_error());
    return MONITOR_FAILED;
}
