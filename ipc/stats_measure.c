/*
 * stats_measure.c - the gauges of a domain as a whole
 *
 * They are looked up and not kept: a count that each process moved would be wrong for good after a
 * kill between its two sides. The supervisor writes them into its own page. Slots change meanwhile,
 * so the numbers are of about one moment.
 */
#include "ipc/member.h"
#include "ipc/slot.h"
#include "ipc/stats.h"

struct look {
    uint64_t waiting[MR_MAX_STAGES];
    uint64_t running[MR_MAX_STAGES];
    uint64_t all_waiting, all_running, done, used, arena;
};

/* Its range is constant while the slot is in use. The tokenizer may be giving it another one just
 * now: then the number is that of one of the two. */
static uint64_t range_bytes(const mr_slot *slot)
{
    return __atomic_load_n(&slot->arena.bytes, __ATOMIC_RELAXED);
}

static void look_at(const mr_domain *domain, const mr_slot *slot, struct look *look)
{
    mr_state_parts state = mr_state_unpack(mr_slot_load(slot));
    uint32_t stage = state.stage < domain->stage_count ? state.stage : 0;

    if (state.state == MR_STATE_FREE || state.state >= MR_STATE_COUNT)
        return;
    look->used++;
    look->arena += range_bytes(slot);
    if (state.state == MR_STATE_READY) {
        look->waiting[stage]++;
        look->all_waiting++;
    } else if (state.state == MR_STATE_LEASED) {
        look->running[stage]++;
        look->all_running++;
    } else if (state.state == MR_STATE_DONE) {
        look->done++;
    }
}

void mr_stats_measure(struct mr_domain *domain)
{
    struct mr_stats *page = mr_stats_supervisor(domain);
    struct look look = {.used = 0};

    if (!page)
        return;
    for (uint32_t i = 0; i < domain->slot_count; i++)
        look_at(domain, &domain->slots[i], &look);
    for (uint32_t i = 0; i < domain->stage_count; i++) {
        mr_word *gauges = &page->values[MR_STATS_STAGES + MR_STATS_STAGE_VALUES * i];

        atomic_store_explicit(&gauges[0], look.waiting[i], memory_order_relaxed);
        atomic_store_explicit(&gauges[1], look.running[i], memory_order_relaxed);
    }
    mr_stats_set(page, MR_STAT_slots, domain->slot_count);
    mr_stats_set(page, MR_STAT_slots_used, look.used);
    mr_stats_set(page, MR_STAT_contexts_waiting, look.all_waiting);
    mr_stats_set(page, MR_STAT_contexts_running, look.all_running);
    mr_stats_set(page, MR_STAT_contexts_done, look.done);
    mr_stats_set(page, MR_STAT_arena_bytes, domain->arena_bytes);
    mr_stats_set(page, MR_STAT_arena_bytes_used, look.arena);
    mr_stats_set(page, MR_STAT_shared_bytes, domain->info.total_bytes);
    atomic_store_explicit(&((mr_stats_segment *)(void *)domain->stats)->head.looked_at,
                          mr_boottime_ns(), memory_order_relaxed);
}
