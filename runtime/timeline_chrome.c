/*
 * timeline_chrome.c - a timeline in the trace-event format that Perfetto and chrome://tracing read
 *
 * The format is Google's "Trace Event Format": an object with an array of events, each with ph (its
 * kind), ts and dur (microseconds), pid, tid and name. Slices (X) of one tid must lie beside or
 * within each other, so a member that holds several requests at once has a lane for each.
 */
#include "runtime/timeline.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { REQUESTS = 1, MEMBERS = 2 }; /* pids: of the requests, of the first member */

/* A lease, and where it is drawn. */
struct slice {
    const mr_trace *trace;
    const mr_trace_lease *lease;
    uint64_t until;
    unsigned row;
    unsigned lane;
};

struct writer {
    const struct timeline *timeline;
    FILE *file;
    struct slice *slices;
    size_t count;
    bool begun; /* an event was written */
};

/* ---- one event ---- */

static void put_text(const struct writer *writer, const char *key, const char *text)
{
    json_t *string = json_string(text);
    fprintf(writer->file, ",\"%s\":", key);
    if (string == NULL || json_dumpf(string, writer->file, JSON_ENCODE_ANY) < 0)
        fputs("\"?\"", writer->file);
    json_decref(string);
}

static void put_time(const struct writer *writer, const char *key, uint64_t time)
{
    fprintf(writer->file, ",\"%s\":%" PRIu64 ".%03u", key, time / 1000, (unsigned)(time % 1000));
}

static void begin_event(struct writer *writer, char phase, unsigned pid, unsigned tid)
{
    fprintf(writer->file, "%s\n{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u", writer->begun ? "," : "",
            phase, pid, tid);
    writer->begun = true;
}

/* what: "process_name" or "thread_name" */
static void put_name(struct writer *writer, const char *what, unsigned pid, unsigned tid,
                     const char *name)
{
    begin_event(writer, 'M', pid, tid);
    fprintf(writer->file, ",\"name\":\"%s\",\"args\":{\"number\":%u", what, pid);
    put_text(writer, "name", name);
    fputs("}}", writer->file);
}

static void begin_slice(struct writer *writer, unsigned pid, unsigned tid, const char *name,
                        uint64_t from, uint64_t to)
{
    begin_event(writer, 'X', pid, tid);
    put_text(writer, "name", name);
    put_time(writer, "ts", from);
    put_time(writer, "dur", to - from);
}

static void put_slice(struct writer *writer, unsigned row, const char *name, uint64_t from,
                      uint64_t to)
{
    if (from == 0 || to < from)
        return;
    begin_slice(writer, REQUESTS, row, name, from, to);
    fputs("}", writer->file);
}

/* phase: s, from the request, or f, to the lease */
static void put_arrow(struct writer *writer, char phase, unsigned pid, unsigned tid, size_t number,
                      uint64_t time)
{
    begin_event(writer, phase, pid, tid);
    fprintf(writer->file, ",\"name\":\"leased\",\"cat\":\"lease\",\"id\":%zu%s", number + 1,
            phase == 'f' ? ",\"bp\":\"e\"" : "");
    put_time(writer, "ts", time);
    fputs("}", writer->file);
}

/* ---- members ---- */

static int by_member(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    if (x->lease->member != y->lease->member)
        return x->lease->member > y->lease->member ? 1 : -1;
    return (x->lease->begun > y->lease->begun) - (x->lease->begun < y->lease->begun);
}

/* The first lane of the member that is empty by then; its slices before this one have theirs. */
static void choose_lane(struct slice *slices, size_t first, size_t at, uint64_t *ends_at)
{
    unsigned lane = 0;
    if (first == at)
        memset(ends_at, 0, sizeof(*ends_at));
    while (ends_at[lane] > slices[at].lease->begun)
        lane++;
    if (ends_at[lane] == 0)
        ends_at[lane + 1] = 0; /* the end of the list moves on */
    ends_at[lane] = slices[at].until > 0 ? slices[at].until : 1;
    slices[at].lane = lane;
}

static int choose_lanes(struct writer *writer)
{
    uint64_t *ends_at = calloc(writer->count + 2, sizeof(*ends_at));
    size_t first = 0;
    if (ends_at == NULL)
        return -ENOMEM;
    if (writer->count > 0)
        qsort(writer->slices, writer->count, sizeof(*writer->slices), by_member);
    for (size_t i = 0; i < writer->count; i++) {
        if (writer->slices[i].lease->member != writer->slices[first].lease->member)
            first = i;
        choose_lane(writer->slices, first, i, ends_at);
    }
    free(ends_at);
    return 0;
}

static void put_lease(struct writer *writer, const struct slice *slice, size_t number)
{
    const mr_trace_lease *lease = slice->lease;
    const unsigned pid = MEMBERS + lease->member, lane = slice->lane + 1;
    char id[TIMELINE_ID];
    timeline_id(slice->trace, id);
    begin_slice(writer, pid, lane, id, lease->begun, slice->until);
    fprintf(writer->file, ",\"cat\":\"lease\",\"args\":{\"record\":%" PRIu64 ",\"commits\":%u",
            slice->trace->ordinal, lease->commits);
    put_text(writer, "end", timeline_end(lease->end));
    fputs("}}", writer->file);
    put_arrow(writer, 's', REQUESTS, slice->row, number, lease->begun);
    put_arrow(writer, 'f', pid, lane, number, lease->begun);
}

static void put_members(struct writer *writer)
{
    uint32_t named = UINT32_MAX;
    for (size_t i = 0; i < writer->count; i++) {
        const struct slice *slice = &writer->slices[i];
        if (slice->lease->member != named)
            put_name(writer, "process_name", MEMBERS + slice->lease->member, 0,
                     timeline_member(writer->timeline, slice->lease->member));
        named = slice->lease->member;
        put_lease(writer, slice, i);
    }
}

/* ---- requests ---- */

static void put_request(struct writer *writer, const mr_trace *trace, unsigned row)
{
    uint64_t since = trace->queued > 0 ? trace->queued : trace->accepted;
    char name[TIMELINE_ID + 40];
    timeline_id(trace, name);
    if (trace->choices > 1)
        snprintf(name + strlen(name), 40, ", choice %u", trace->choice);
    put_name(writer, "thread_name", REQUESTS, row, name);
    put_slice(writer, row, "taken in", trace->accepted, trace->queued);
    for (uint32_t i = 0; i < trace->leases; i++) {
        const mr_trace_lease *lease = &trace->lease[i];
        uint64_t until = timeline_until(writer->timeline, trace, i);
        snprintf(name, sizeof(name), "held by %s",
                 timeline_member(writer->timeline, lease->member));
        put_slice(writer, row, "waits", since, lease->begun);
        put_slice(writer, row, name, lease->begun, until);
        since = until;
    }
    if (trace->state == MR_TRACE_ENDED)
        put_slice(writer, row, "is answered", since, trace->emitted);
    else if (trace->state != MR_TRACE_HELD)
        put_slice(writer, row, "waits", since, writer->timeline->now);
}

/* The leases that can be drawn: of a known worker, from a known time. */
static int collect_slices(struct writer *writer)
{
    const struct timeline *timeline = writer->timeline;
    writer->slices = calloc(timeline->count * MR_TRACE_LEASES + 1, sizeof(*writer->slices));
    if (writer->slices == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < timeline->count; i++)
        for (uint32_t j = 0; j < timeline->traces[i].leases; j++) {
            const mr_trace_lease *lease = &timeline->traces[i].lease[j];
            if (lease->begun > 0 && lease->member < MR_MAX_MEMBERS)
                writer->slices[writer->count++] =
                    (struct slice){.trace = &timeline->traces[i],
                                   .lease = lease,
                                   .until = timeline_until(timeline, &timeline->traces[i], j),
                                   .row = (unsigned)i + 1};
        }
    return choose_lanes(writer);
}

int timeline_chrome(const struct timeline *timeline, FILE *file)
{
    struct writer writer = {.timeline = timeline, .file = file};
    int error = collect_slices(&writer);
    if (error == 0) {
        fprintf(file,
                "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"epoch_at_zero\":"
                "\"%" PRIu64 ".%09u\"",
                timeline->offset / 1000000000u, (unsigned)(timeline->offset % 1000000000u));
        put_text(&writer, "domain", timeline->info.name);
        fputs("},\"traceEvents\":[", file);
        put_name(&writer, "process_name", REQUESTS, 0, "requests");
        for (size_t i = 0; i < timeline->count; i++)
            put_request(&writer, &timeline->traces[i], (unsigned)i + 1);
        put_members(&writer);
        fputs("\n]}\n", file);
        error = fflush(file) == 0 && !ferror(file) ? 0 : -EIO;
    }
    free(writer.slices);
    return error;
}
