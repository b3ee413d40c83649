/*
 * millrace/trace.h - the way of each request: what was done with it, by whom and when
 *
 * A request in flight tells it in its slot; of those that ended, a domain keeps the last
 * (mr_domain_options.finished). Times are nanoseconds of CLOCK_BOOTTIME, told to 64 ns; 0: not
 * known, or not yet. They are taken where a member knows the time anyway, so that telling them
 * costs it next to nothing: docs/trace.md says what each is exact to.
 */
#ifndef MILLRACE_TRACE_H
#define MILLRACE_TRACE_H

#include <millrace/domain.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MR_TRACE_LEASES = 5,   /* told of a request: the first ones and the last */
    MR_TRACE_ID = 88,      /* bytes of a request's id that are kept when it has ended */
    MR_TRACE_NOBODY = 127, /* a member that isn't known */
    MR_TRACE_NAME = 32     /* bytes of a member's name, its end included */
};

/* How a worker's holding of a request ended. */
enum mr_trace_end {
    MR_TRACE_RUNNING = 0,    /* it hasn't, or that isn't known */
    MR_TRACE_DONE = 1,       /* to the collector */
    MR_TRACE_HANDED_ON = 2,  /* to the next stage */
    MR_TRACE_PUT_BACK = 3,   /* by the worker, in order */
    MR_TRACE_TAKEN_BACK = 4, /* from a dead worker: swept */
    MR_TRACE_FAILED = 5      /* to the collector, with an error */
};

/* Where a request is. */
enum mr_trace_state {
    MR_TRACE_ENDED = 0,   /* its answer is in the output */
    MR_TRACE_WAITING = 1, /* for a worker */
    MR_TRACE_HELD = 2,    /* by the worker of the last lease */
    MR_TRACE_ANSWERED = 3 /* waits for the collector */
};

typedef struct mr_trace_lease {
    uint64_t begun;
    uint64_t first; /* when its first step was over, if a second one followed */
    uint64_t ended;
    uint32_t commits; /* of the worker; of one that still holds it, until now */
    uint32_t member;  /* place of the worker; MR_TRACE_NOBODY */
    uint32_t stage;
    uint32_t end; /* enum mr_trace_end */
} mr_trace_lease;

/* A request, or one of its choices. */
typedef struct mr_trace {
    uint32_t size;
    uint32_t state; /* enum mr_trace_state */
    uint64_t handle;
    uint64_t ordinal;  /* of its record in the input */
    uint64_t accepted; /* when its record was read */
    uint64_t queued;   /* when it was given to the workers */
    uint64_t emitted;  /* when its answer was in the output */
    int64_t prompt_length;
    int64_t length; /* tokens, prompt and generated; of kinds without text: 0 */
    uint32_t choice;
    uint32_t choices;
    uint32_t kind;       /* enum mr_kind */
    uint32_t failed;     /* 1: ended by an error */
    uint32_t cancel;     /* enum mr_cancel */
    uint32_t leases;     /* in `lease` */
    uint32_t left_out;   /* leases before the last that are not told */
    uint32_t id_bytes;   /* of the whole id */
    uint64_t step_begun; /* of a step that its holder is in now; 0: none */
    mr_trace_lease lease[MR_TRACE_LEASES];
    char id[MR_TRACE_ID]; /* its first bytes; no end is put behind them */
} mr_trace;

/* Called with each request; another value than 0 ends the look. `trace` is valid during the call.
 */
typedef int mr_trace_see(void *self, const mr_trace *trace);

/*
 * mr_trace_each - look at all requests in flight, then at those that ended and are kept
 *
 * Only looks, at a domain from mr_domain_inspect() as well as at one's own; it may be at work. A
 * request that ends meanwhile is seen once. What a member was just writing when it was killed, or
 * what was overwritten, is left out and never told wrong. The order within both parts is not that
 * of the input. Returns 0, what `see` returned, or -ENOMEM.
 */
int mr_trace_each(const mr_domain *domain, mr_trace_see *see, void *self);

/* mr_trace_member - the name of who has place `member`, or of who had it last; "" if nobody had */
void mr_trace_member(const mr_domain *domain, uint32_t member, char name[MR_TRACE_NAME]);

#ifdef __cplusplus
}
#endif
#endif
