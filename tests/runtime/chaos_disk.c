/*
 * chaos_disk.c - a disk that is full for a while
 *
 * In a round that has such spells a module is preloaded into the group (faulty_calls.c). While the
 * file "full" exists, one kind of write of the member that writes fails as on a full disk: the
 * collector's into the output or its spool, or from the spool into the output; the tokenizer's into
 * the spool of its input. Supervisor and workers write nothing once a run has begun. A spell counts
 * when a write failed in it.
 */
#include "tests/runtime/chaos.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct write {
    const char *member, *call;
};

static struct write failing;
static bool full;
static unsigned left; /* spells of this round that are still to come */
static double next;   /* when the spell begins, or ends */

static struct write choose_write(void)
{
    const struct write append = {"mr-collector", chaos.plan.plain ? "pwrite" : "completion"};
    unsigned dice = below(3);
    if (chaos.plan.way != FROM_PIPE || dice == 0)
        return append;
    return dice == 1 ? (struct write){"mr-collector", "sendfile"}
                     : (struct write){"mr-tokenizer", "splice"};
}

void disk_begin(void)
{
    left = chaos.plan.spells;
    failing = choose_write();
    next = now() + 0.05 + below(500) / 1e3;
}

static void set_path(const char *variable, const char *file)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", chaos.folder, file);
    setenv(variable, path, 1);
}

/* The address sanitizer wants to be the first library, and needn't be. */
static void preload(void)
{
    const char *of_asan = getenv("ASAN_OPTIONS");
    char path[600], options[600];
    snprintf(path, sizeof(path), "%s/tests/runtime/faulty_calls.so", chaos.build);
    snprintf(options, sizeof(options), "%s:verify_asan_link_order=0",
             of_asan != NULL ? of_asan : "");
    setenv("ASAN_OPTIONS", options, 1);
    setenv("LD_PRELOAD", path, 1);
}

void disk_preload(void)
{
    char number[16];
    if (chaos.plan.spells == 0)
        return;
    snprintf(number, sizeof(number), "%d", ENOSPC);
    setenv("FAULT_NAME", failing.member, 1);
    setenv("FAULT_CALL", failing.call, 1);
    setenv("FAULT_ERROR", number, 1);
    set_path("FAULT_WHILE", "full");
    set_path("FAULT_STRUCK", "struck");
    preload();
}

static void begin_spell(void)
{
    int file = open("full", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0)
        give_up("cannot make a file");
    close(file);
    full = true;
    left--;
    next = now() + 0.2 + below(1500) / 1e3;
}

static void end_spell(void)
{
    unlink("full");
    chaos.spells += unlink("struck") == 0;
    full = false;
    next = now() + below(1000) / 1e3;
}

void disk_tick(void)
{
    if (now() < next)
        return;
    if (full)
        end_spell();
    else if (left > 0)
        begin_spell();
}

void disk_end(void)
{
    if (full)
        end_spell();
}
