/*
 * children.c - the processes that the supervisor starts, and what it does about their ends
 */
#include "runtime/supervisor/children.h"
#include "runtime/log.h"
#include "runtime/process.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

/*
 * Ends in a row without work between are added up by their weight, and at FAILURES_MAX the child is
 * given up: after 6 ends before it joined (some 3 s), 12 failures of its own, 24 kills. Who is
 * killed may be quite well, and is only given up since something keeps it from its work all the
 * same. The pause doubles with each PAUSE_STEP.
 */
enum {
    FAILURES_MAX = 24,
    WEIGHT_NOT_JOINED = 4,
    WEIGHT_FAILED = 2,
    WEIGHT_KILLED = 1,
    PAUSE_STEP = 4,
    PAUSE_MIN_MS = 50,
    SHORT_LIFE_MS = 1000,
    LONG_LIFE_MS = 60000 /* as good as work: it may have waited for some */
};

uint64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

void child_start(struct child *child)
{
    child->state = CHILD_STARTING;
    child->member = -1;
    child->joined = false;
    child->leaving = false;
    child->got_on = false;
    child->stopped = 0;
    child->status = 0;
    child->started = now_ms();
    child->launch.argv = child->argv;
    child->pid = launch(&child->launch);
    if (child->pid < 0) {
        log_error("cannot start %s: %s", child->name, strerror(-child->pid));
        child->pid = 0;
        if (!child_pause(child))
            child->state = CHILD_ENDED;
    }
}

void child_joined(struct child *child, int member)
{
    child->state = CHILD_MEMBER;
    child->member = member;
    child->joined = true;
}

bool child_reaped(struct child *child, int status)
{
    child->pid = 0;
    child->status = status;
    return child->member < 0;
}

bool child_swept(struct child *child)
{
    child->member = -1;
    return child->pid <= 0;
}

static enum child_end end_of_exit(int code)
{
    static const enum child_end ends[] = {
        [PROCESS_DONE] = END_DONE,
        [PROCESS_FAILED] = END_DEATH,
        [PROCESS_IMPOSSIBLE] = END_IMPOSSIBLE,
        [PROCESS_MODEL_CHANGED] = END_MODEL_CHANGED,
        [PROCESS_OUTPUT_CLOSED] = END_OUTPUT_CLOSED,
        [PROCESS_INPUT_BROKEN] = END_INPUT_BROKEN,
    };
    return (size_t)code < sizeof(ends) / sizeof(ends[0]) ? ends[code] : END_DEATH;
}

enum child_end child_end(const struct child *child, char *text, size_t size)
{
    if (WIFSIGNALED(child->status)) {
        int number = WTERMSIG(child->status);
        snprintf(text, size, "was ended by signal %d (%s)", number, strsignal(number));
        return END_DEATH;
    }
    snprintf(text, size, "ended with status %d", WEXITSTATUS(child->status));
    return end_of_exit(WEXITSTATUS(child->status));
}

static unsigned weight_of_end(const struct child *child)
{
    if (!child->joined)
        return WEIGHT_NOT_JOINED;
    return WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGKILL ? WEIGHT_KILLED
                                                                            : WEIGHT_FAILED;
}

bool child_pause(struct child *child)
{
    uint64_t lived = now_ms() - child->started;
    unsigned doublings;
    if (child->joined && (child->got_on || lived >= LONG_LIFE_MS))
        child->failures = 0;
    else
        child->failures += weight_of_end(child);
    if (child->failures >= FAILURES_MAX)
        return false;
    doublings = child->failures / PAUSE_STEP;
    child->state = CHILD_PAUSED;
    child->due = now_ms();
    if (doublings > 0 || lived < SHORT_LIFE_MS)
        child->due += (uint64_t)PAUSE_MIN_MS << doublings;
    return true;
}

int child_argument(struct child *child, const char *format, ...)
{
    va_list arguments;
    char **end = child->argv;
    int length;
    while (*end != NULL)
        end++;
    if (end == child->argv + CHILD_ARGUMENTS - 1)
        return -E2BIG;
    va_start(arguments, format);
    length = vasprintf(end, format, arguments);
    va_end(arguments);
    if (length < 0)
        *end = NULL;
    return length < 0 ? -ENOMEM : 0;
}

void child_free(struct child *child)
{
    for (int i = 0; i < CHILD_ARGUMENTS; i++)
        free(child->argv[i]);
    *child = (struct child){.member = -1};
}
