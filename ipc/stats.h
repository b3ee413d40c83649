/*
 * stats.h - layout of the stats segment (private to ipc/; docs/stats.md tells readers in other
 * languages)
 *
 *     head | table of rows | MR_MAX_MEMBERS pages | page of the dead
 */
#ifndef MILLRACE_IPC_STATS_H
#define MILLRACE_IPC_STATS_H

#include "ipc/domain.h"

#define MR_STATS_MAGIC UINT64_C(0x315354415453524d) /* "MRSTATS1" */

enum { MR_STATS_ROWS = 120 };

typedef struct mr_stats_row {
    char name[40];
    char kind[16];
    char unit[16];
    char help[120];
} mr_stats_row;

/* One member's page. `taken` is stored last when a member gets it. */
struct mr_stats {
    _Alignas(128) mr_word taken; /* 0: the page belongs to nobody */
    int32_t pid;
    uint32_t role;
    uint64_t start_time;
    char name[32];
    mr_word values[MR_STATS_ROWS];
};

typedef struct mr_stats_head {
    mr_word magic; /* stored last */
    uint32_t rows;
    uint32_t row_bytes;
    uint64_t table_offset;
    uint32_t pages;
    uint32_t page_bytes;
    uint64_t pages_offset;
    uint64_t created;
    char domain[MR_NAME_MAX + 1];
} mr_stats_head;

typedef struct mr_stats_segment {
    mr_stats_head head;
    mr_stats_row table[MR_STATS_ROWS];
    struct mr_stats pages[MR_MAX_MEMBERS + 1];
} mr_stats_segment;

/* mr_stats_init - describe the segment and publish it */
void mr_stats_init(mr_stats_segment *segment, const char *domain, uint64_t created);

/* mr_stats_page - a place's page; NULL where the process can't write it */
struct mr_stats *mr_stats_page(const mr_domain *domain, int place);

/* mr_stats_give - hand a page to a member; mr_stats_fold - add a dead member's counters to the page
 * of the dead and empty it. Supervisor only. */
void mr_stats_give(mr_domain *domain, int place, int32_t pid, uint32_t role, uint64_t start_time,
                   const char *name);
void mr_stats_fold(mr_domain *domain, int place);

#endif
