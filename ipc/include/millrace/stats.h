/*
 * millrace/stats.h - what each process counts, for anybody to read
 *
 * Each member has a page in the domain's stats segment and is its only writer: plain stores, no
 * lock, no system call. The segment describes itself: a table of {name, kind, unit, help} lies in
 * it. Reading needs no permission on the data. docs/stats.md has the layout for other languages.
 *
 * A *counter* only grows; counters of the dead stay in the totals, so that a total never goes
 * backwards. A *gauge* is what is true now and goes with its process. A *histogram* counts how
 * often a value fell into each of its buckets, 8 for each power of two, and is a counter as a
 * whole.
 */
#ifndef MILLRACE_STATS_H
#define MILLRACE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* name, kind, unit, help. New rows at the end only: the number is the place in the page. */
#define MR_STATS(ROW)                                                                              \
    ROW(requests_accepted, counter, requests, "requests taken in, refused ones not counted")       \
    ROW(requests_refused, counter, requests, "records answered with an error at admission")        \
    ROW(requests_finished, counter, requests, "requests whose final record was emitted")           \
    ROW(requests_failed, counter, requests, "of these, how many with an error")                    \
    ROW(prompt_tokens, counter, tokens, "tokens of accepted prompts")                              \
    ROW(generated_tokens, counter, tokens, "tokens committed by workers")                          \
    ROW(emitted_tokens, counter, tokens, "generated tokens of finished requests")                  \
    ROW(emitted_bytes, counter, bytes, "bytes appended to the output")                             \
    ROW(steps, counter, steps, "model steps")                                                      \
    ROW(commits, counter, commits, "commits of contexts")                                          \
    ROW(claims, counter, contexts, "contexts claimed")                                             \
    ROW(stale_hints, counter, hints, "hints that named nothing claimable any more")                \
    ROW(put_back, counter, contexts, "contexts put back")                                          \
    ROW(slots_reclaimed, counter, contexts, "contexts taken back from dead members")               \
    ROW(slots_failed, counter, contexts, "contexts failed after too many deaths")                  \
    ROW(members_swept, counter, members, "members that died or left")                              \
    ROW(rescans, counter, scans, "looks through all slots after a hint was dropped")               \
    ROW(sleeps, counter, sleeps, "times this process slept for want of work")                      \
    ROW(held, gauge, contexts, "contexts held now")                                                \
    ROW(kv_tokens, gauge, tokens, "tokens of KV cache reserved now")                               \
    ROW(kv_capacity, gauge, tokens, "tokens of KV cache that there are; 0: not said")              \
    ROW(computed_tokens, counter, tokens, "positions computed by workers, prompts included")       \
    ROW(intake_waits, counter, waits, "times the tokenizer waited for room")                       \
    ROW(restarts, counter, processes, "processes of the group that were started again")            \
    ROW(slots, gauge, slots, "requests that can be in flight")                                     \
    ROW(slots_used, gauge, slots, "slots that hold a request now")                                 \
    ROW(contexts_waiting, gauge, contexts, "contexts that wait for a worker now")                  \
    ROW(contexts_running, gauge, contexts, "contexts held by workers now")                         \
    ROW(contexts_done, gauge, contexts, "contexts that wait for the collector alone now")          \
    ROW(arena_bytes, gauge, bytes, "shared memory for the requests' arrays")                       \
    ROW(arena_bytes_used, gauge, bytes, "of it, what requests have reserved now")                  \
    ROW(shared_bytes, gauge, bytes, "shared memory of the domain, all of it reserved")

/*
 * name, unit, low, high, help. Values below 2^low share a bucket, and so do those from 2^high on:
 * time from a microsecond to two hours. New rows at the end only.
 */
#define MR_HISTOGRAMS(ROW)                                                                         \
    ROW(time_to_first_token, nanoseconds, 10, 43,                                                  \
        "from reading a request to the collector's sight of its first token")                      \
    ROW(inter_token_latency, nanoseconds, 10, 43,                                                  \
        "between two tokens of a request, as the collector sees them")                             \
    ROW(queue_wait, nanoseconds, 10, 43, "from reading a request to its first claim by a worker")  \
    ROW(step_time, nanoseconds, 10, 43, "from one batch of a worker to its next call")             \
    ROW(batch_size, contexts, 0, 15, "contexts in a worker's batch")                               \
    ROW(end_to_end, nanoseconds, 10, 43,                                                           \
        "from reading a request to the commit of its final record")                                \
    ROW(prompt_length, tokens, 0, 20, "tokens of a request's prompt")                              \
    ROW(output_length, tokens, 0, 20, "generated tokens of a finished request")

enum mr_stat {
#define MR_STAT_ROW(name, kind, unit, help) MR_STAT_##name,
    MR_STATS(MR_STAT_ROW)
#undef MR_STAT_ROW
        MR_STAT_COUNT
};

enum mr_histogram {
#define MR_HISTOGRAM_ROW(name, unit, low, high, help) MR_HISTOGRAM_##name,
    MR_HISTOGRAMS(MR_HISTOGRAM_ROW)
#undef MR_HISTOGRAM_ROW
        MR_HISTOGRAM_COUNT
};

/* ---- writing: a page's owner alone, from one thread; a NULL page takes everything ---- */

typedef struct mr_stats mr_stats;

/* mr_stats_add, mr_stats_set, mr_stats_get - a counter or gauge of one's own page: a plain load and
 * store each; what a reader sees is the value before or after */
void mr_stats_add(mr_stats *stats, enum mr_stat stat, uint64_t amount);
void mr_stats_set(mr_stats *stats, enum mr_stat stat, uint64_t value);
uint64_t mr_stats_get(const mr_stats *stats, enum mr_stat stat);

/* mr_stats_record - `times` values of `value` into a histogram: two plain stores */
void mr_stats_record(mr_stats *stats, enum mr_histogram histogram, uint64_t value, uint64_t times);

struct mr_domain;

/* mr_stats_total - sum over all pages, living and dead (counters of the dead are kept) */
uint64_t mr_stats_total(const struct mr_domain *domain, enum mr_stat stat);

/* mr_stats_of - a member's page, for reading; MR_MAX_MEMBERS: the supervisor's; NULL: none */
const mr_stats *mr_stats_of(const struct mr_domain *domain, int member);

/* mr_stats_supervisor - the supervisor's own page, for it to write */
mr_stats *mr_stats_supervisor(struct mr_domain *domain);

/* mr_stats_measure - look at all slots and set the gauges that belong to the domain as a whole;
 * supervisor only. Some nanoseconds a slot; four times a second is often enough. */
void mr_stats_measure(struct mr_domain *domain);

/* ---- reading: by anybody, with the stats segment alone ---- */

typedef struct mr_stats_view mr_stats_view;

enum mr_stats_kind { MR_STATS_COUNTER = 1, MR_STATS_GAUGE = 2, MR_STATS_HISTOGRAM = 3 };

/* A row of the table: printable, whatever lies in the segment. */
typedef struct mr_stats_row {
    char name[40];  /* letters, digits, '_' */
    char unit[16];  /* letters, digits, '_' */
    char label[32]; /* KEY=VALUE, where several rows have one name; or "" */
    char help[128];
    enum mr_stats_kind kind;
    uint32_t first; /* its first value in a page */
    uint32_t count; /* values: 1; of a histogram the sum, then the buckets */
    uint32_t low;   /* of a histogram: see mr_stats_bucket_end() */
    uint32_t sub;
} mr_stats_row;

/* Of the segment. */
typedef struct mr_stats_head_info {
    uint32_t size;       /* set by the caller */
    uint32_t rows;       /* of the table */
    uint32_t pages;      /* that processes may have, in [0, pages) */
    uint32_t values;     /* in a page */
    uint64_t created;    /* seconds since the epoch */
    uint64_t created_at; /* CLOCK_BOOTTIME, nanoseconds */
    uint64_t looked_at;  /* when the supervisor last measured, CLOCK_BOOTTIME, nanoseconds */
    char name[48];
} mr_stats_head_info;

/* Of a page's owner. */
typedef struct mr_stats_owner {
    uint32_t size; /* set by the caller */
    int32_t pid;
    uint32_t role;  /* enum mr_role */
    uint32_t stage; /* of a worker */
    uint32_t capacity;
    uint32_t reserved;
    uint64_t start_time; /* field 22 of /proc/PID/stat */
    uint64_t joined_at;  /* CLOCK_BOOTTIME, nanoseconds */
    char name[32];
} mr_stats_owner;

/*
 * mr_stats_open - map the stats of a domain, living or dead, for reading
 *
 * Everything is checked against the segment's size before it is used. It may be of a newer or older
 * version of millrace, as long as its format is the same.
 * Returns 0; -ENOENT, -EACCES, -EPROTO (another format), -EBADMSG (corrupt), -EINVAL (the name).
 * A view belongs to one thread.
 */
int mr_stats_open(mr_stats_view **view, const char *domain);
void mr_stats_close(mr_stats_view *view); /* NULL is fine */

/* mr_stats_each - the names of the domains that have stats which this process may read, sorted;
 * `each` may stop it by returning non-zero, which is then returned. 0, or -errno. */
int mr_stats_each(int (*each)(void *self, const char *domain), void *self);

/* mr_stats_get_head, mr_stats_get_row, mr_stats_find_row - what the segment says of itself; a row
 * by its number in [0, rows) or by its name, valid until mr_stats_close() */
void mr_stats_get_head(const mr_stats_view *view, mr_stats_head_info *info);
const mr_stats_row *mr_stats_get_row(const mr_stats_view *view, uint32_t row);      /* NULL: none */
const mr_stats_row *mr_stats_find_row(const mr_stats_view *view, const char *name); /* the first */

/* mr_stats_get_owner - who has the page; -ENOENT: nobody */
int mr_stats_get_owner(const mr_stats_view *view, uint32_t page, mr_stats_owner *owner);

/*
 * mr_stats_read, mr_stats_read_total - all values of a page; of all pages, living and dead
 *
 *   values   room for mr_stats_head_info.values
 *
 * Each value is whole; those of one page need not be of one instant. No system call.
 * mr_stats_read() returns 0, or -ENOENT (nobody has the page).
 */
int mr_stats_read(const mr_stats_view *view, uint32_t page, uint64_t *values);
void mr_stats_read_total(const mr_stats_view *view, uint64_t *values);

/* mr_stats_alive - whether the supervisor runs: by its process where that can be seen, in another
 * pid namespace by whether it measured within the last seconds */
bool mr_stats_alive(const mr_stats_view *view);

/* ---- histograms as they were read ---- */

/* mr_stats_bucket_end - the first value beyond bucket `bucket`, in [0, row->count - 1); UINT64_MAX
 * for the last one */
uint64_t mr_stats_bucket_end(const mr_stats_row *row, uint32_t bucket);
uint64_t mr_stats_samples(const mr_stats_row *row, const uint64_t *values); /* recorded in all */

/* mr_stats_quantile - the value below which the part `part`, in [0, 1], of all samples lies, at
 * most an eighth off; 0 if there are none */
double mr_stats_quantile(const mr_stats_row *row, const uint64_t *values, double part);

#ifdef __cplusplus
}
#endif
#endif
