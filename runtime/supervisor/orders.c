/*
 * orders.c - what a running group is told to do over its control socket: drain, scale, cancel
 *
 * A worker that drains is told by a word in its member record, hands its contexts back between two
 * steps and leaves; the group goes on without it. A group without any worker waits: the next one
 * may come by `scale` or attach by itself.
 */
#include "runtime/supervisor/orders.h"
#include "runtime/log.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 100 }; /* bytes of what the caller gave that an answer repeats */

static void answer(struct supervisor *run, const mr_control_event *event, int result,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

static void answer(struct supervisor *run, const mr_control_event *event, int result,
                   const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_info("an order was answered: %s", text);
    mr_control_answer(run->control, event->caller, result, text);
}

/* ---- drain ---- */

static bool is_named(const mr_member_info *info, const char *word)
{
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)info->pid);
    return info->role == MR_ROLE_WORKER &&
           (strcmp(info->name, word) == 0 || strcmp(pid, word) == 0);
}

/* The place of the worker of this name or pid; -ENOENT, or -EEXIST when there are several. */
static int find_member(const struct supervisor *run, const char *word)
{
    int found = -ENOENT;
    for (int i = 0; i < MR_MAX_MEMBERS; i++) {
        mr_member_info info;
        if (mr_member_get_info(run->domain, i, &info) < 0 || !is_named(&info, word))
            continue;
        if (found >= 0)
            return -EEXIST;
        found = i;
    }
    return found;
}

/* One of our own that has no place yet: being started, or waiting for it. */
static struct child *find_child(struct supervisor *run, const char *word)
{
    for (unsigned i = 0; i < run->group.count; i++) {
        struct child *child = &run->group.children[i];
        if (child->role == MR_ROLE_WORKER && child->state != CHILD_ENDED &&
            strcmp(child->name, word) == 0)
            return child;
    }
    return NULL;
}

/* let_go - a worker of our own; one that has joined leaves by itself, another holds nothing yet */
static void let_go(struct supervisor *run, struct child *child)
{
    child->leaving = true;
    if (child->member >= 0)
        mr_supervisor_drain(run->domain, child->member);
    else if (child->pid > 0)
        kill(child->pid, SIGKILL);
    else
        orders_worker_left(run, child);
}

static void drain_member(struct supervisor *run, const mr_control_event *event, int member)
{
    struct child *child = group_find_member(&run->group, member);
    if (run->callers[member] != 0 || (child != NULL && child->leaving)) {
        answer(run, event, -EALREADY, "worker '%.*s' was told to leave already", SHOWN_MAX,
               event->command.word);
    } else if (child != NULL) {
        child->caller = event->caller;
        let_go(run, child);
    } else {
        run->callers[member] = event->caller;
        mr_supervisor_drain(run->domain, member);
    }
}

static void drain(struct supervisor *run, const mr_control_event *event)
{
    const char *word = event->command.word;
    int member = find_member(run, word);
    struct child *child = member == -ENOENT ? find_child(run, word) : NULL;
    if (member >= 0) {
        drain_member(run, event, member);
    } else if (child != NULL) {
        let_go(run, child);
        answer(run, event, 0, "worker '%s' had not begun yet and will not", child->name);
    } else if (member == -EEXIST) {
        answer(run, event, member, "several workers are called '%.*s'; name one by its pid",
               SHOWN_MAX, word);
    } else {
        answer(run, event, member, "no worker of '%s' is called '%.*s'", run->info.name, SHOWN_MAX,
               word);
    }
}

static void say_left(struct supervisor *run, uint64_t *caller)
{
    if (*caller != 0)
        mr_control_answer(run->control, *caller, 0, "the worker has left");
    *caller = 0;
}

void orders_member_left(struct supervisor *run, int member)
{
    say_left(run, &run->callers[member]);
}

void orders_worker_left(struct supervisor *run, struct child *child)
{
    child->state = CHILD_ENDED;
    child->leaving = false;
    say_left(run, &child->caller);
    log_info("%s has left, as it was told to", child->name);
    if (!supervisor_has_workers(run))
        log_warning(
            "the last worker has left; what is accepted waits for 'millrace scale %s N', or "
            "for a worker that attaches by itself",
            run->info.name);
}

/* ---- scale ---- */

static int add_workers(struct supervisor *run, unsigned count)
{
    while (count-- > 0)
        if (group_add_worker(&run->group, run->info.name, &run->note) == NULL)
            return -ENOMEM;
    return 0;
}

static void scale(struct supervisor *run, const mr_control_event *event)
{
    unsigned before = group_workers(&run->group), wanted = event->command.number;
    if (wanted > GROUP_MAX_WORKERS) {
        answer(run, event, -EINVAL, "a run has at most %d workers, not %u", GROUP_MAX_WORKERS,
               wanted);
        return;
    }
    if (wanted > before && add_workers(run, wanted - before) < 0) {
        answer(run, event, -ENOMEM, "there is no memory for %u workers", wanted);
        return;
    }
    for (unsigned i = wanted; i < before; i++)
        let_go(run, group_youngest_worker(&run->group));
    if (wanted > before)
        answer(run, event, 0, "%u workers, %u of them are being started", wanted, wanted - before);
    else
        answer(run, event, 0, "%u workers, %u others were told to leave", wanted, before - wanted);
}

/* ---- cancel ---- */

static void cancel(struct supervisor *run, const mr_control_event *event)
{
    uint64_t handles[MR_MAX_CHOICES];
    mr_bytes id = {event->command.word, strlen(event->command.word)};
    size_t count = mr_supervisor_find(run->domain, id, handles, MR_MAX_CHOICES);
    unsigned ended = 0;
    for (size_t i = 0; i < count && i < MR_MAX_CHOICES; i++)
        ended += mr_supervisor_cancel(run->domain, handles[i], MR_CANCEL_CLIENT) == 0;
    if (ended > 0)
        answer(run, event, 0, "request '%.*s' is cancelled", SHOWN_MAX, id.bytes);
    else
        answer(run, event, -ENOENT,
               "no request '%.*s' is at work in '%s': it is answered, not read yet, or unknown",
               SHOWN_MAX, id.bytes, run->info.name);
}

void orders_obey(struct supervisor *run, const mr_control_event *event)
{
    if (supervisor_ending(run)) {
        answer(run, event, -ESHUTDOWN, "'%s' is ending", run->info.name);
        return;
    }
    switch (event->command.verb) {
    case MR_VERB_DRAIN:
        drain(run, event);
        break;
    case MR_VERB_SCALE:
        scale(run, event);
        break;
    case MR_VERB_CANCEL:
        cancel(run, event);
        break;
    default:
        answer(run, event, -EINVAL, "order %u is unknown", event->command.verb);
    }
}
