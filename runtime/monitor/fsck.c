/*
 * fsck.c - `millrace fsck NAME`: is everything in a domain's memory as it must be?
 *
 * It only looks, at a domain that runs as well as at one whose processes are all dead.
 */
#include "runtime/monitor/fsck.h"
#include "runtime/log.h"
#include <errno.h>
#include <millrace/check.h>
#include <millrace/error.h>
#include <stdio.h>
#include <string.h>

enum fsck_status { FSCK_CLEAN = 0, FSCK_FINDINGS = 1, FSCK_IMPOSSIBLE = 2 };

static const char help[] =
    "usage: millrace fsck NAME\n"
    "\n"
    "Looks through the shared memory of domain NAME, which may be running or dead, for what\n"
    "can't be: a line for each finding, or one that says 'clean'. Changes nothing.\n"
    "\n"
    "exit status: 0 clean, 1 something was found, 2 the domain can't be looked at\n";

static void print_finding(void *self, const char *place, const char *what)
{
    (void)self;
    printf("%s: %s\n", place, what);
}

static void print_clean(const mr_census *census)
{
    printf("clean: %u slots, %u free, %u filling, %u ready, %u leased, %u done; %u members; "
           "%llu of %llu bytes of arena in use\n",
           census->slots, census->free, census->filling, census->ready, census->leased,
           census->done, census->members, (unsigned long long)census->arena_bytes,
           (unsigned long long)census->arena_size);
}

static int check(mr_domain *domain)
{
    mr_census census = {.size = sizeof(census)};
    int findings = mr_domain_check(domain, print_finding, NULL, &census);
    if (findings < 0) {
        log_error("%s", mr_error());
        return FSCK_IMPOSSIBLE;
    }
    if (findings == 0)
        print_clean(&census);
    return findings > 0 ? FSCK_FINDINGS : FSCK_CLEAN;
}

int fsck_main(int argc, char **argv)
{
    mr_domain *domain;
    int status, error;
    log_open("millrace", LOG_LEVEL_WARNING);
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (argc != 2 || argv[1][0] == '-') {
        log_error("fsck takes the name of one domain; see 'millrace fsck --help'");
        return FSCK_IMPOSSIBLE;
    }
    error = mr_domain_inspect(&domain, argv[1]);
    if (error == -EBADMSG) {
        printf("header: %s\n", mr_error());
        return FSCK_FINDINGS;
    }
    if (error < 0) {
        log_error("%s", mr_error());
        return FSCK_IMPOSSIBLE;
    }
    status = check(domain);
    mr_domain_close(domain);
    return status;
}
