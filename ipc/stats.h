/*
 * stats.h - layout of the stats segment (private to ipc/; docs/stats.md tells readers in other
 * languages)
 *
 *     head | table of rows | MR_MAX_MEMBERS pages | the supervisor's page | two pages of the dead
 *
 * The *totals word* of the head decides what counts: {count 47, copy 1, void 16}. `copy` says which
 * page of the dead holds their sums; `void` is a page + 1 whose values have just been added to that
 * sum and no longer count by themselves, 0: none. stats.c tells how it moves.
 */
#ifndef MILLRACE_IPC_STATS_H
#define MILLRACE_IPC_STATS_H

#include "ipc/domain.h"

#define MR_STATS_MAGIC UINT64_C(0x325354415453524d) /* "MRSTATS2" */

enum {
    MR_STATS_TABLE = 192,      /* rows that there is room for */
    MR_STATS_SCALARS = 120,    /* values: counters and gauges, by enum mr_stat */
    MR_STATS_STAGE_VALUES = 2, /* gauges of each stage: waiting, running */
    MR_STATS_STAGES = MR_STATS_SCALARS,
    MR_STATS_HISTOGRAMS = MR_STATS_STAGES + MR_STATS_STAGE_VALUES * MR_MAX_STAGES,
    MR_STATS_VALUES = 2048, /* of a page */
    MR_STATS_SUB = 3,       /* bits of a value that tell the buckets of one power of two apart */
    MR_STATS_SUPERVISOR = MR_MAX_MEMBERS, /* its page */
    MR_STATS_DEAD = MR_MAX_MEMBERS + 1,   /* the first of their two */
    MR_STATS_PAGES = MR_MAX_MEMBERS + 3
};

/* Values that a histogram takes: its sum and its buckets. */
#define MR_STATS_BUCKETS(low, high) ((((high) - (low)-MR_STATS_SUB) + 1) << MR_STATS_SUB)
#define MR_STATS_WORDS(low, high)   (1 + MR_STATS_BUCKETS(low, high))

typedef struct mr_stats_table_row {
    char name[40];
    char kind[16];
    char unit[16];
    char label[32];
    char help[128];
    uint32_t first;
    uint32_t count;
    uint32_t low;
    uint32_t sub;
} mr_stats_table_row;

/* A process's page. The supervisor writes the first part, `taken` last; its owner the values. */
struct mr_stats {
    _Alignas(128) mr_word taken; /* 0: the page belongs to nobody */
    int32_t pid;
    uint32_t role;
    uint64_t start_time;
    uint64_t pid_namespace;
    uint64_t joined_at;
    uint32_t stage;
    uint32_t capacity;
    char name[32];
    uint64_t reserved[6];
    mr_word values[MR_STATS_VALUES];
};

typedef struct mr_stats_head {
    mr_word magic; /* stored last */
    uint32_t rows;
    uint32_t row_bytes;
    uint32_t pages;
    uint32_t values;
    uint64_t table_offset;
    uint64_t pages_offset;
    uint64_t page_bytes;
    uint64_t values_offset; /* in a page */
    uint64_t created;
    uint64_t created_at;
    mr_word totals;    /* by the supervisor */
    mr_word looked_at; /* by the supervisor */
    char domain[MR_NAME_MAX + 1];
} mr_stats_head;

_Static_assert(sizeof(mr_stats_head) == 136 && sizeof(mr_stats_table_row) == 248 &&
                   offsetof(struct mr_stats, values) == 128 &&
                   offsetof(mr_stats_head, domain) == 88,
               "docs/stats.md says so");

typedef struct mr_stats_segment {
    mr_stats_head head;
    mr_stats_table_row table[MR_STATS_TABLE];
    struct mr_stats pages[MR_STATS_PAGES];
} mr_stats_segment;

static inline unsigned mr_totals_void(uint64_t totals) /* page + 1 */
{
    return totals & 0xffff;
}

static inline unsigned mr_totals_copy(uint64_t totals)
{
    return totals >> 16 & 1;
}

/* mr_stats_bucket - of a value, among `buckets` */
static inline uint32_t mr_stats_bucket(uint64_t value, uint32_t low, uint32_t buckets)
{
    uint64_t scaled = value >> low;
    uint32_t bucket = (uint32_t)scaled;

    if (scaled >> MR_STATS_SUB) {
        uint32_t shift = 63 - (uint32_t)__builtin_clzll(scaled) - MR_STATS_SUB;

        bucket = (shift << MR_STATS_SUB) + (uint32_t)(scaled >> shift);
    }
    return bucket < buckets ? bucket : buckets - 1;
}

/* Where a histogram's values begin in a page, and what they are, as constants. */
enum {
#define MR_STATS_PLACE(name, unit, low, high, help)                                                \
    MR_STATS_AT_##name, MR_STATS_END_##name = MR_STATS_AT_##name + MR_STATS_WORDS(low, high) - 1,
    MR_STATS_BEFORE = MR_STATS_HISTOGRAMS - 1,
    MR_HISTOGRAMS(MR_STATS_PLACE)
#undef MR_STATS_PLACE
        MR_STATS_BEHIND
};

enum {
#define MR_STATS_RANGE(name, unit, low, high, help)                                                \
    MR_STATS_LOW_##name = (low), MR_STATS_BUCKETS_##name = MR_STATS_BUCKETS(low, high),
    MR_HISTOGRAMS(MR_STATS_RANGE)
#undef MR_STATS_RANGE
};

_Static_assert((int)MR_STAT_COUNT <= (int)MR_STATS_SCALARS &&
                   (int)MR_STATS_BEHIND <= (int)MR_STATS_VALUES,
               "more values than a page has room for");

static inline void mr_stats_move(mr_word *value, uint64_t amount)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

/* mr_stats_add() without a call, for hot places. */
static inline void mr_stats_count(struct mr_stats *stats, enum mr_stat stat, uint64_t amount)
{
    if (stats)
        mr_stats_move(&stats->values[stat], amount);
}

static inline void mr_stats_record_at(struct mr_stats *stats, uint32_t at, uint32_t low,
                                      uint32_t buckets, uint64_t value, uint64_t times)
{
    if (!stats)
        return;
    mr_stats_move(&stats->values[at], value * times);
    mr_stats_move(&stats->values[at + 1 + mr_stats_bucket(value, low, buckets)], times);
}

/* For hot places: the histogram's name, so that all but the value is constant. */
#define MR_STATS_RECORD(stats, name, value)                                                        \
    mr_stats_record_at(stats, MR_STATS_AT_##name, MR_STATS_LOW_##name, MR_STATS_BUCKETS_##name,    \
                       value, 1)

/* mr_stats_init - describe the segment and publish it */
void mr_stats_init(mr_stats_segment *segment, const mr_domain_info *info);

/* mr_stats_take_over - the supervisor's page goes to the calling process, its counters go on */
void mr_stats_take_over(mr_domain *domain);

/* mr_stats_page - a page to be written; NULL where the process can't write it */
struct mr_stats *mr_stats_page(const mr_domain *domain, int place);

/* mr_stats_give - hand the page of a filled place to its member; mr_stats_fold - add a dead
 * member's counters to those of the dead and empty its page. Supervisor only. */
void mr_stats_give(mr_domain *domain, int place);
void mr_stats_fold(mr_domain *domain, int place);

#endif
