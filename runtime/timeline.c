/*
 * timeline.c - the ways of all requests of a domain, collected and named
 */
#include "runtime/timeline.h"
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- reading ---- */

static int keep(void *self, const mr_trace *trace)
{
    struct timeline *timeline = self;
    if (timeline->count == timeline->room) {
        size_t room = timeline->room > 0 ? timeline->room * 2 : 256;
        mr_trace *more = realloc(timeline->traces, room * sizeof(*more));
        if (more == NULL)
            return -ENOMEM;
        timeline->traces = more;
        timeline->room = room;
    }
    timeline->traces[timeline->count++] = *trace;
    return 0;
}

static int by_record(const void *a, const void *b)
{
    const mr_trace *x = a, *y = b;
    if (x->ordinal != y->ordinal)
        return x->ordinal > y->ordinal ? 1 : -1;
    return (x->choice > y->choice) - (x->choice < y->choice);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int timeline_read(struct timeline *timeline, const mr_domain *domain)
{
    int error;
    *timeline = (struct timeline){.info.size = sizeof(timeline->info)};
    mr_domain_get_info(domain, &timeline->info);
    for (uint32_t i = 0; i < MR_MAX_MEMBERS; i++)
        mr_trace_member(domain, i, timeline->members[i]);
    error = mr_trace_each(domain, keep, timeline);
    if (error < 0) {
        timeline_free(timeline);
        return error;
    }
    timeline->now = clock_ns(CLOCK_BOOTTIME);
    timeline->offset = clock_ns(CLOCK_REALTIME) - timeline->now;
    if (timeline->count > 0)
        qsort(timeline->traces, timeline->count, sizeof(*timeline->traces), by_record);
    return 0;
}

void timeline_free(struct timeline *timeline)
{
    free(timeline->traces);
    timeline->traces = NULL;
    timeline->count = timeline->room = 0;
}

/* ---- texts ---- */

const char *timeline_member(const struct timeline *timeline, uint32_t member)
{
    return member < MR_MAX_MEMBERS && timeline->members[member][0] != '\0'
               ? timeline->members[member]
               : "a worker";
}

const char *timeline_end(uint32_t end)
{
    static const char *const names[] = {"running",  "done",       "handed on",
                                        "put back", "taken back", "failed"};
    return names[end];
}

static bool is_utf8(const char *text)
{
    json_t *string = json_string(text);
    json_decref(string);
    return string != NULL;
}

/* A terminal must not obey what somebody put into an id. */
static void disarm(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++)
        if (*at < ' ' || *at == 0x7f)
            *at = '?';
}

void timeline_id(const mr_trace *trace, char id[TIMELINE_ID])
{
    size_t length = trace->id_bytes < MR_TRACE_ID ? trace->id_bytes : MR_TRACE_ID;
    memcpy(id, trace->id, length);
    id[length] = '\0';
    disarm(id);
    for (int cut = 0; cut < 3 && trace->id_bytes > MR_TRACE_ID && !is_utf8(id); cut++)
        id[--length] = '\0'; /* the beginning of a character */
    for (char *at = id; *at != '\0' && !is_utf8(id); at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    if (trace->id_bytes > MR_TRACE_ID)
        memcpy(id + strlen(id), "...", 4);
}

uint64_t timeline_until(const struct timeline *timeline, const mr_trace *trace, uint32_t number)
{
    const mr_trace_lease *lease = &trace->lease[number];
    if (lease->ended > 0)
        return lease->ended;
    if (lease->end == MR_TRACE_RUNNING && trace->state == MR_TRACE_HELD &&
        number + 1 == trace->leases)
        return timeline->now;
    return lease->first > 0 ? lease->first : lease->begun;
}
