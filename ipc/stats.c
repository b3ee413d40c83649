/*
 * stats.c - pages that cost a plain store, and what stays of the dead
 *
 * A page's values have one writer, its owner; so a value is moved by a relaxed load and store, no
 * locked instruction. Readers get each 64-bit value whole.
 *
 * What a dead member counted goes on to count, once, at each instant and wherever the supervisor is
 * killed. There are two pages of the dead, and the totals word says which one counts and which
 * page is void. To fold page p:
 *   1. The idle page of the dead gets the sums: those of the counting one, and p's counters.
 *   2. One store of the totals word (F1): the idle copy counts, p is void.
 *   3. p is emptied.
 *   4. A second store (F1): nothing is void.
 * Killed before 2, nothing has happened; before 4, the successor begins at 3. A reader adds up what
 * counts by the totals word and begins anew if the word has changed meanwhile.
 *
 * Orders: F1 release store / F1 acquire load: who sees the word sees the sums. F2 release fence
 * before the stores that follow a store of the word: they can't rise above it. F3 acquire fence
 * before the reader's second look: its loads can't sink below it. A load that saw a value of after
 * the word's change makes the second look see the change.
 */
#include "ipc/stats.h"
#include "ipc/member.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct row_text {
    const char *name;
    const char *kind;
    const char *unit;
    const char *help;
} row_text;

static const row_text scalars[] = {
#define ROW_TEXT(name, kind, unit, help) {#name, #kind, #unit, help},
    MR_STATS(ROW_TEXT)
#undef ROW_TEXT
};

static const row_text stage_gauges[MR_STATS_STAGE_VALUES] = {
    {"stage_waiting", "gauge", "contexts", "contexts that wait for a worker of this stage now"},
    {"stage_running", "gauge", "contexts", "contexts held by workers of this stage now"},
};

static const struct histogram {
    row_text text;
    uint32_t at;
    uint32_t low;
    uint32_t buckets;
} histograms[] = {
#define HISTOGRAM(name, unit, low, high, help)                                                     \
    {{#name, "histogram", #unit, help}, MR_STATS_AT_##name, low, MR_STATS_BUCKETS(low, high)},
    MR_HISTOGRAMS(HISTOGRAM)
#undef HISTOGRAM
};

_Static_assert((int)MR_STAT_COUNT + MR_STATS_STAGE_VALUES * MR_MAX_STAGES +
                       (int)MR_HISTOGRAM_COUNT <=
                   (int)MR_STATS_TABLE,
               "more rows than the table has room for");

/* ---- the table ---- */

/* The next row of the table, for `count` values from `first` on. */
static mr_stats_table_row *add_row(mr_stats_segment *segment, const row_text *text, uint32_t first,
                                   uint32_t count)
{
    mr_stats_table_row *row = &segment->table[segment->head.rows++];

    snprintf(row->name, sizeof(row->name), "%s", text->name);
    snprintf(row->kind, sizeof(row->kind), "%s", text->kind);
    snprintf(row->unit, sizeof(row->unit), "%s", text->unit);
    snprintf(row->help, sizeof(row->help), "%s", text->help);
    row->first = first;
    row->count = count;
    return row;
}

static void fill_table(mr_stats_segment *segment, const mr_domain_info *info)
{
    for (uint32_t i = 0; i < MR_STAT_COUNT; i++)
        add_row(segment, &scalars[i], i, 1);
    for (uint32_t i = 0; i < info->stages * MR_STATS_STAGE_VALUES; i++) {
        const char *stage = info->stage_names[i / MR_STATS_STAGE_VALUES];
        mr_stats_table_row *row =
            add_row(segment, &stage_gauges[i % MR_STATS_STAGE_VALUES], MR_STATS_STAGES + i, 1);

        snprintf(row->label, sizeof(row->label), "stage=%s", stage);
    }
    for (int i = 0; i < MR_HISTOGRAM_COUNT; i++) {
        const struct histogram *h = &histograms[i];
        mr_stats_table_row *row = add_row(segment, &h->text, h->at, 1 + h->buckets);

        row->low = h->low;
        row->sub = MR_STATS_SUB;
    }
}

void mr_stats_init(mr_stats_segment *segment, const mr_domain_info *info)
{
    mr_stats_head *head = &segment->head;

    fill_table(segment, info);
    head->row_bytes = sizeof(mr_stats_table_row);
    head->table_offset = offsetof(mr_stats_segment, table);
    head->pages = MR_STATS_PAGES;
    head->page_bytes = sizeof(struct mr_stats);
    head->pages_offset = offsetof(mr_stats_segment, pages);
    head->values = MR_STATS_VALUES;
    head->values_offset = offsetof(struct mr_stats, values);
    head->created = info->created;
    head->created_at = mr_boottime_ns();
    snprintf(head->domain, sizeof(head->domain), "%s", info->name);
    atomic_store_explicit(&head->magic, MR_STATS_MAGIC, memory_order_release);
}

/* ---- who has a page ---- */

static mr_stats_segment *segment_of(const mr_domain *domain)
{
    return domain->stats_writable ? (mr_stats_segment *)(void *)domain->stats : NULL;
}

struct mr_stats *mr_stats_page(const mr_domain *domain, int place)
{
    mr_stats_segment *segment = segment_of(domain);

    return segment ? &segment->pages[place] : NULL;
}

static void give(struct mr_stats *page, int32_t pid, uint32_t role, const char *name)
{
    page->pid = pid;
    page->role = role;
    page->start_time = mr_process_start_time(pid);
    page->pid_namespace = mr_process_namespace(pid);
    page->joined_at = mr_boottime_ns();
    snprintf(page->name, sizeof(page->name), "%s", name);
    atomic_store_explicit(&page->taken, 1, memory_order_release);
}

void mr_stats_give(mr_domain *domain, int place)
{
    struct mr_stats *page = mr_stats_page(domain, place);
    const mr_place_record *record = &domain->members[place];

    if (!page)
        return;
    page->stage = record->stage;
    page->capacity = record->capacity;
    give(page, record->pid, record->role, record->name);
}

void mr_stats_take_over(mr_domain *domain)
{
    struct mr_stats *page = mr_stats_supervisor(domain);

    if (!page)
        return;
    atomic_store_explicit(&page->taken, 0, memory_order_release);
    give(page, getpid(), MR_ROLE_SUPERVISOR, "millrace");
}

mr_stats *mr_stats_supervisor(struct mr_domain *domain)
{
    return domain->supervisor ? mr_stats_page(domain, MR_STATS_SUPERVISOR) : NULL;
}

/* ---- the dead ---- */

static bool is_gauge(uint32_t value)
{
    return value < MR_STAT_COUNT ? !strcmp(scalars[value].kind, "gauge")
                                 : value >= MR_STATS_STAGES && value < MR_STATS_HISTOGRAMS;
}

/* Steps 3 and 4: what the totals word calls void is emptied. */
static void empty_void(mr_stats_segment *segment)
{
    uint64_t totals = atomic_load_explicit(&segment->head.totals, memory_order_relaxed);
    unsigned page = mr_totals_void(totals);

    atomic_thread_fence(memory_order_release); /* F2 */
    if (!page || page > MR_MAX_MEMBERS)
        return;
    for (int i = 0; i < MR_STATS_VALUES; i++)
        atomic_store_explicit(&segment->pages[page - 1].values[i], 0, memory_order_relaxed);
    atomic_store_explicit(&segment->pages[page - 1].taken, 0, memory_order_release);
    atomic_store_explicit(&segment->head.totals, totals - page + (1 << 17),
                          memory_order_release); /* F1 */
    atomic_thread_fence(memory_order_release);   /* F2 */
}

static uint64_t load(const mr_word *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

void mr_stats_fold(mr_domain *domain, int place)
{
    mr_stats_segment *segment = segment_of(domain);
    const struct mr_stats *from, *page;
    struct mr_stats *to;
    uint64_t totals;

    if (!segment)
        return;
    empty_void(segment); /* a predecessor was killed in it */
    page = &segment->pages[place];
    if (!atomic_load_explicit(&page->taken, memory_order_acquire))
        return; /* it is done */
    totals = load(&segment->head.totals);
    from = &segment->pages[MR_STATS_DEAD + mr_totals_copy(totals)];
    to = &segment->pages[MR_STATS_DEAD + 1 - mr_totals_copy(totals)];
    for (uint32_t i = 0; i < MR_STATS_VALUES; i++)
        atomic_store_explicit(&to->values[i],
                              load(&from->values[i]) + (is_gauge(i) ? 0 : load(&page->values[i])),
                              memory_order_relaxed);
    totals = ((totals ^ 1 << 16) + (1 << 17)) | (unsigned)(place + 1);
    atomic_store_explicit(&segment->head.totals, totals, memory_order_release); /* F1 */
    empty_void(segment);
}

/* ---- values ---- */

void mr_stats_add(mr_stats *stats, enum mr_stat stat, uint64_t amount)
{
    if (stats)
        mr_stats_move(&stats->values[stat], amount);
}

void mr_stats_set(mr_stats *stats, enum mr_stat stat, uint64_t value)
{
    if (stats)
        atomic_store_explicit(&stats->values[stat], value, memory_order_relaxed);
}

uint64_t mr_stats_get(const mr_stats *stats, enum mr_stat stat)
{
    return stats ? load(&stats->values[stat]) : 0;
}

void mr_stats_record(mr_stats *stats, enum mr_histogram histogram, uint64_t value, uint64_t times)
{
    const struct histogram *h = &histograms[histogram];

    mr_stats_record_at(stats, h->at, h->low, h->buckets, value, times);
}

const mr_stats *mr_stats_of(const struct mr_domain *domain, int member)
{
    if (!domain->stats || member < 0 || member > MR_MAX_MEMBERS)
        return NULL;
    return &((const mr_stats_segment *)(const void *)domain->stats)->pages[member];
}

/* What counts of one value by this totals word. */
static uint64_t sum(const mr_stats_segment *segment, uint64_t totals, uint32_t value)
{
    const unsigned skip = mr_totals_void(totals);
    uint64_t all = load(&segment->pages[MR_STATS_DEAD + mr_totals_copy(totals)].values[value]);

    for (unsigned i = 0; i <= MR_STATS_SUPERVISOR; i++)
        if (i + 1 != skip)
            all += load(&segment->pages[i].values[value]);
    return all;
}

uint64_t mr_stats_total(const struct mr_domain *domain, enum mr_stat stat)
{
    const mr_stats_segment *segment = (const void *)domain->stats;
    uint64_t before, all;

    if (!segment)
        return 0;
    do {
        before = atomic_load_explicit(&segment->head.totals, memory_order_acquire); /* F1 */
        all = sum(segment, before, stat);
        atomic_thread_fence(memory_order_acquire); /* F3 */
    } while (load(&segment->head.totals) != before);
    return all;
}
