/*
 * timeline.h - the ways of all requests of a domain, read at one time, and written for others
 */
#ifndef RUNTIME_TIMELINE_H
#define RUNTIME_TIMELINE_H

#include <millrace/trace.h>
#include <stdio.h>

/* Room for a request's id made fit to be shown: its bytes, three dots, an end. */
enum { TIMELINE_ID = MR_TRACE_ID + 4 };

struct timeline {
    mr_domain_info info;
    mr_trace *traces; /* in the order of the input */
    size_t count;
    size_t room;
    uint64_t now;    /* boot time of the look */
    uint64_t offset; /* add it to a boot time: nanoseconds since the epoch */
    char members[MR_MAX_MEMBERS][MR_TRACE_NAME];
};

/* timeline_read - look at a domain, one's own or an inspected one; 0 or -ENOMEM. To be freed. */
int timeline_read(struct timeline *timeline, const mr_domain *domain);
void timeline_free(struct timeline *timeline);

/* timeline_member - the name of a lease's worker; "a worker" if it isn't known */
const char *timeline_member(const struct timeline *timeline, uint32_t member);

/* timeline_end - how a lease ended (enum mr_trace_end), in words: "handed on" */
const char *timeline_end(uint32_t end);

/* timeline_id - the id as UTF-8 without control characters; what is cut off is three dots */
void timeline_id(const mr_trace *trace, char id[TIMELINE_ID]);

/* timeline_until - when lease `number` of a request was over: its end, or the last that is known of
 * it; now, if it goes on */
uint64_t timeline_until(const struct timeline *timeline, const mr_trace *trace, uint32_t number);

/*
 * timeline_chrome - all of it as Chrome trace events (JSON), for Perfetto and chrome://tracing
 *
 * A process a member, whose leases are slices, in as many lanes as it held requests at once; a row
 * a request in the process "requests"; an arrow from a request to each lease of it. Returns 0,
 * -ENOMEM, or -EIO when `file` can't be written.
 */
int timeline_chrome(const struct timeline *timeline, FILE *file);

#endif
