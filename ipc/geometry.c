/*
 * geometry.c - the places of a domain's parts, from its options
 *
 * A domain never grows: what is planned here is all the memory that it will ever have, and the sum
 * is what the user is told before the first request.
 */
#include "ipc/geometry.h"
#include "ipc/error.h"
#include "ipc/layout.h"
#include "ipc/slot.h"
#include "ipc/stats.h"
#include <errno.h>
#include <gnu/libc-version.h>
#include <string.h>

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

static uint64_t power_of_two(uint64_t at_least)
{
    uint64_t power = 1;

    while (power < at_least)
        power *= 2;
    return power;
}

static int check_options(const mr_domain_options *o)
{
    if (o->slots < 1 || o->slots > MR_MAX_SLOTS)
        return mr_fail(EINVAL, "slots '%u' is not in 1 to %d", o->slots, MR_MAX_SLOTS);
    if (o->stages < 1 || o->stages > MR_MAX_STAGES)
        return mr_fail(EINVAL, "stages '%u' is not in 1 to %d", o->stages, MR_MAX_STAGES);
    if (o->max_length < 2 || o->max_length > 1u << 27)
        return mr_fail(EINVAL, "maximum length '%u' is not in 2 to %u", o->max_length, 1u << 27);
    if (o->arena_bytes < 4096 || o->arena_bytes > UINT64_C(1) << 46)
        return mr_fail(EINVAL, "memory of '%llu' bytes is not in 4096 to 2^46",
                       (unsigned long long)o->arena_bytes);
    if (o->max_attempts > MR_ATTEMPTS_MAX)
        return mr_fail(EINVAL, "attempts '%u' are more than %u", o->max_attempts, MR_ATTEMPTS_MAX);
    if (o->kinds & ~(uint32_t)MR_TAKES_ALL)
        return mr_fail(EINVAL, "kinds '%#x' has some that are unknown", o->kinds);
    if (o->finished > MR_MAX_FINISHED)
        return mr_fail(EINVAL, "to keep '%u' ended requests is more than %d", o->finished,
                       MR_MAX_FINISHED);
    if (o->id_table > UINT64_C(1) << 32)
        return mr_fail(EINVAL, "a table of '%llu' ids is more than 2^32",
                       (unsigned long long)o->id_table);
    return 0;
}

int mr_geometry_plan(const mr_domain_options *options, mr_geometry *g)
{
    int rc;

    *g = (mr_geometry){0};
    memcpy(&g->options, options,
           options->size < sizeof(g->options) ? options->size : sizeof(g->options));
    g->options.slots = g->options.slots ? g->options.slots : 64;
    g->options.stages = g->options.stages ? g->options.stages : 1;
    g->options.max_attempts = g->options.max_attempts ? g->options.max_attempts : 3;
    g->options.kinds = g->options.kinds ? g->options.kinds : MR_TAKES_TEXT;
    g->options.finished = g->options.finished ? g->options.finished : 4096;
    g->options.id_table = power_of_two(g->options.id_table ? g->options.id_table : 65536);
    if ((rc = check_options(&g->options)))
        return rc;
    g->options.arena_bytes = round_up(g->options.arena_bytes, 4096);
    g->ring_entries =
        power_of_two((uint64_t)g->options.slots * 2 > 16 ? (uint64_t)g->options.slots * 2 : 16);
    g->members_offset = round_up(sizeof(mr_header), 4096);
    g->queues_offset = round_up(g->members_offset + MR_MAX_MEMBERS * sizeof(mr_place_record), 4096);
    g->entries_offset = round_up(g->queues_offset + MR_QUEUES * sizeof(mr_queue), 4096);
    g->slots_offset = round_up(g->entries_offset + MR_QUEUES * g->ring_entries * 8, 4096);
    g->ids_offset = round_up(g->slots_offset + g->options.slots * sizeof(mr_slot), 4096);
    g->finished_offset = round_up(g->ids_offset + g->options.id_table * sizeof(mr_id), 4096);
    g->arena_offset =
        round_up(g->finished_offset + g->options.finished * sizeof(mr_finished), 4096);
    g->data_bytes = g->arena_offset + g->options.arena_bytes;
    g->stats_bytes = round_up(sizeof(mr_stats_segment), 4096);
    return 0;
}

uint64_t mr_domain_size(const mr_domain_options *options)
{
    mr_geometry g;

    return mr_geometry_plan(options, &g) ? 0 : g.data_bytes + g.stats_bytes;
}

/* ---- the layout epoch ---- */

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;

    for (size_t i = 0; i < n; i++)
        hash = (hash ^ b[i]) * UINT64_C(1099511628211); /* FNV-1a */
    return hash;
}

uint64_t mr_layout_epoch(void)
{
    const uint64_t facts[] = {
        sizeof(mr_header),
        offsetof(mr_header, phase),
        offsetof(mr_header, mark_sequence),
        offsetof(mr_header, journal_sequence),
        sizeof(mr_place_record),
        sizeof(mr_queue),
        offsetof(mr_queue, doorbell),
        sizeof(mr_slot),
        offsetof(mr_slot, sequence),
        offsetof(mr_slot, leases),
        offsetof(mr_slot, later_leases),
        offsetof(mr_slot, ordinal),
        offsetof(mr_slot, seal),
        offsetof(mr_slot, params),
        sizeof(mr_params),
        offsetof(mr_params, sampling),
        sizeof(mr_sampling),
        sizeof(mr_id),
        sizeof(mr_finished),
        offsetof(mr_header, finished),
        sizeof(sem_t),
        MR_CURSOR_WORDS,
        MR_JOURNAL_WORDS,
        MR_MAX_MEMBERS,
        MR_MAX_STAGES,
    };
    const char *libc = gnu_get_libc_version();

    return hash_bytes(hash_bytes(UINT64_C(14695981039346656037), facts, sizeof(facts)), libc,
                      strlen(libc));
}
