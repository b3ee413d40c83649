/*
 * stats.c - counters that cost a plain store
 *
 * A page's values have one writer, its member; so a value is moved by a relaxed load and store, no
 * locked instruction. Readers get each 64-bit value whole. What a dead member counted is added to
 * one page of the dead, so that totals never go backwards: its page is emptied value by value, each
 * first added, then cleared. A supervisor killed between the two counts that one value twice, which
 * is the one place where a statistic may be wrong; nothing else depends on it.
 */
#include "ipc/stats.h"
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *kind;
    const char *unit;
    const char *help;
} rows[] = {
#define ROW_TEXT(name, kind, unit, help) {#name, #kind, #unit, help},
    MR_STATS(ROW_TEXT)
#undef ROW_TEXT
};

_Static_assert((int)MR_STAT_COUNT <= (int)MR_STATS_ROWS, "more rows than a page has room for");

void mr_stats_init(mr_stats_segment *segment, const char *domain, uint64_t created)
{
    mr_stats_head *head = &segment->head;

    for (int i = 0; i < MR_STAT_COUNT; i++) {
        snprintf(segment->table[i].name, sizeof(segment->table[i].name), "%s", rows[i].name);
        snprintf(segment->table[i].kind, sizeof(segment->table[i].kind), "%s", rows[i].kind);
        snprintf(segment->table[i].unit, sizeof(segment->table[i].unit), "%s", rows[i].unit);
        snprintf(segment->table[i].help, sizeof(segment->table[i].help), "%s", rows[i].help);
    }
    head->rows = MR_STAT_COUNT;
    head->row_bytes = sizeof(mr_stats_row);
    head->table_offset = offsetof(mr_stats_segment, table);
    head->pages = MR_MAX_MEMBERS + 1;
    head->page_bytes = sizeof(struct mr_stats);
    head->pages_offset = offsetof(mr_stats_segment, pages);
    head->created = created;
    snprintf(head->domain, sizeof(head->domain), "%s", domain);
    atomic_store_explicit(&head->magic, MR_STATS_MAGIC, memory_order_release);
}

struct mr_stats *mr_stats_page(const mr_domain *domain, int place)
{
    if (!domain->stats || !domain->stats_writable)
        return NULL;
    return &((mr_stats_segment *)(void *)domain->stats)->pages[place];
}

void mr_stats_give(mr_domain *domain, int place, int32_t pid, uint32_t role, uint64_t start_time,
                   const char *name)
{
    struct mr_stats *page = mr_stats_page(domain, place);

    if (!page)
        return;
    page->pid = pid;
    page->role = role;
    page->start_time = start_time;
    snprintf(page->name, sizeof(page->name), "%s", name ? name : "");
    atomic_store_explicit(&page->taken, 1, memory_order_release);
}

void mr_stats_fold(mr_domain *domain, int place)
{
    struct mr_stats *page = mr_stats_page(domain, place);
    struct mr_stats *dead = mr_stats_page(domain, MR_MAX_MEMBERS);

    if (!page)
        return;
    for (int i = 0; i < MR_STAT_COUNT; i++) {
        uint64_t value = mr_stats_get(page, (enum mr_stat)i);

        if (!value)
            continue;
        if (strcmp(rows[i].kind, "counter") == 0)
            mr_stats_add(dead, (enum mr_stat)i, value);
        mr_stats_set(page, (enum mr_stat)i, 0);
    }
    atomic_store_explicit(&page->taken, 0, memory_order_release);
}

void mr_stats_add(mr_stats *stats, enum mr_stat stat, uint64_t amount)
{
    if (stats)
        mr_stats_set(stats, stat, mr_stats_get(stats, stat) + amount);
}

void mr_stats_set(mr_stats *stats, enum mr_stat stat, uint64_t value)
{
    if (stats)
        atomic_store_explicit(&stats->values[stat], value, memory_order_relaxed);
}

uint64_t mr_stats_get(const mr_stats *stats, enum mr_stat stat)
{
    return stats ? atomic_load_explicit(&stats->values[stat], memory_order_relaxed) : 0;
}

const mr_stats *mr_stats_of(const struct mr_domain *domain, int member)
{
    if (!domain->stats || member < 0 || member > MR_MAX_MEMBERS)
        return NULL;
    return &((const mr_stats_segment *)(const void *)domain->stats)->pages[member];
}

uint64_t mr_stats_total(const struct mr_domain *domain, enum mr_stat stat)
{
    uint64_t sum = 0;

    for (int i = 0; i <= MR_MAX_MEMBERS; i++)
        sum += mr_stats_get(mr_stats_of(domain, i), stat);
    return sum;
}
