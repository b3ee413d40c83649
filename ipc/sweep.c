/*
 * sweep.c - after a death: what the dead one held goes back, and everybody is woken
 *
 * The order is that of the model (tests/model/slot.pml, news.pml); each part may be done twice, so
 * a sweep that is cut off is begun anew from the start:
 *   1. The caller knows from the kernel that the member is dead.
 *   2. Each slot leased to it is reset and given back by one CAS, which also counts the death: no
 *      death is counted twice, since after the CAS the slot isn't leased to the dead one any more.
 *   3. Hints may have died with it: every READY slot is hinted to its stage, every slot in use to
 * the collector, every FREE one to the tokenizer. Pushing never waits; a full ring raises `rescan`,
 *      which is raised for all queues in any case (the dead one may have lowered it before its
 * look).
 *   4. Its numbers are added to the totals.
 *   5. All bells are rung, once a sleeper: wake-ups die too.
 *   6. The place is free again. Only now may a successor be started.
 */
#include "ipc/sweep.h"
#include "ipc/context.h"
#include "ipc/error.h"
#include "ipc/events.h"
#include "ipc/lease.h"
#include "ipc/member.h"
#include "ipc/probes.h"
#include "ipc/queue.h"
#include "ipc/slot.h"
#include "ipc/twin.h"
#include <errno.h>
#include <millrace/supervise.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* ---- contexts ---- */

/* Reset a context whose holder is dead, so that its successor computes it anew from its tokens. */
static int take_over(mr_context *context, mr_domain *domain, uint32_t index)
{
    int rc = mr_context_load(context, domain, index);

    if (!rc && mr_context_text(context)) {
        mr_text_take_over(context);
        mr_context_commit(context);
    }
    return rc;
}

/* Was the context at work when its holder died? One that waited beside a suspect was not: blamed
 * with it, it would be given up with it, without ever having been tried. */
static bool was_at_work(uint64_t alone, uint32_t index, uint32_t generation)
{
    return !alone || alone == mr_handle_make(index, generation) + 1;
}

bool mr_sweep_take_back(mr_domain *domain, uint32_t index, uint64_t held, uint64_t alone)
{
    mr_state_parts state = mr_state_unpack(held);
    uint32_t attempts = state.attempts + was_at_work(alone, index, state.generation);
    mr_context context;

    mr_events_end(&domain->slots[index], held, MR_TRACE_TAKEN_BACK, mr_boottime_ns());
    MR_PROBE3(sweep, atomic_load_explicit(&domain->slots[index].ordinal, memory_order_relaxed),
              index, state.owner);
    if (state.stage >= domain->stage_count) {
        mr_lease_fail(domain, index, held, "the request's state word was overwritten");
        return true;
    }
    if (take_over(&context, domain, index)) {
        mr_lease_fail(domain, index, held, mr_error());
        return true;
    }
    if (attempts >= domain->max_attempts && !mr_context_is_done(&context)) {
        char why[160];

        snprintf(why, sizeof(why),
                 "the request was given up: %u workers in a row died while they worked on it",
                 attempts);
        mr_lease_fail(domain, index, held, why);
        return true;
    }
    mr_lease_release(domain, index, &context, attempts);
    return false;
}

static unsigned take_back_all(mr_domain *domain, int member, unsigned *failed)
{
    uint64_t alone = atomic_load_explicit(&domain->members[member].alone, memory_order_relaxed);
    unsigned taken = 0;

    for (uint32_t i = 0; i < domain->slot_count; i++) {
        uint64_t word = mr_slot_load(&domain->slots[i]);
        mr_state_parts state = mr_state_unpack(word);

        if (state.state != MR_STATE_LEASED || state.owner != (uint32_t)member)
            continue;
        taken++;
        *failed += mr_sweep_take_back(domain, i, word, alone);
    }
    return taken;
}

/* ---- hints and bells ---- */

static void hint_all(mr_domain *domain)
{
    for (uint32_t i = 0; i < domain->slot_count; i++) {
        mr_state_parts state = mr_state_unpack(mr_slot_load(&domain->slots[i]));

        if (state.state == MR_STATE_READY && state.stage < domain->stage_count)
            mr_queue_push(domain, state.stage, i, state.generation);
        if (state.state == MR_STATE_FREE)
            mr_queue_push(domain, MR_QUEUE_FREE, i, state.generation);
        else if (state.state != MR_STATE_FILLING)
            mr_queue_push(domain, MR_QUEUE_COLLECTOR, i, state.generation);
    }
    for (uint32_t i = 0; i < MR_QUEUES; i++)
        mr_queue_rescan_raise(domain, i);
}

static void forget(mr_domain *domain, int member)
{
    for (uint32_t i = 0; i < MR_QUEUES; i++)
        mr_queue_forget(domain, i, (unsigned)member);
}

static void ring_all(mr_domain *domain)
{
    for (uint32_t i = 0; i < MR_QUEUES; i++)
        mr_queue_ring_all(domain, i);
}

/* ---- deaths in a row at one record, at one emission ---- */

static void count_death(mr_word *deaths, mr_word *at, uint64_t now_at)
{
    uint64_t before = atomic_load_explicit(at, memory_order_relaxed);

    if (!now_at)
        return;
    /* `at` first: a sweep begun anew counts one death twice at worst, for a record that the dead
     * tokenizer had really begun */
    if (before != now_at) {
        atomic_store_explicit(deaths, 0, memory_order_relaxed);
        atomic_store_explicit(at, now_at, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(deaths, 1, memory_order_release);
}

static void lay_at_its_door(mr_domain *domain, uint32_t role)
{
    mr_header *h = domain->header;

    if (role == MR_ROLE_TOKENIZER)
        count_death(&h->intake_deaths, &h->intake_death_at,
                    atomic_exchange_explicit(&h->intaking, 0, memory_order_acq_rel));
    if (role == MR_ROLE_COLLECTOR)
        count_death(&h->emission_deaths, &h->emission_death_at,
                    atomic_exchange_explicit(&h->emitting, 0, memory_order_acq_rel));
}

/* ---- the sweep ---- */

/* On the supervisor's own page. */
static void count_sweep(mr_domain *domain, unsigned taken, unsigned failed)
{
    struct mr_stats *page = mr_stats_page(domain, MR_MAX_MEMBERS);

    mr_stats_add(page, MR_STAT_members_swept, 1);
    mr_stats_add(page, MR_STAT_slots_reclaimed, taken);
    mr_stats_add(page, MR_STAT_slots_failed, failed);
}

int mr_supervisor_sweep(mr_domain *domain, int member, unsigned *failed)
{
    mr_place_record *place;
    unsigned lost = 0, taken;

    if (member < 0 || member >= MR_MAX_MEMBERS)
        return mr_fail(EINVAL, "place %d is not in [0, %d)", member, MR_MAX_MEMBERS);
    place = &domain->members[member];
    if (!mr_place_taken(domain, (uint32_t)member))
        return 0;
    taken = take_back_all(domain, member, &lost);
    lay_at_its_door(domain, place->role);
    hint_all(domain);
    mr_stats_fold(domain, member);
    count_sweep(domain, taken, lost);
    forget(domain, member);
    ring_all(domain);
    atomic_store_explicit(&place->place, MR_PLACE_FREE, memory_order_release);
    if (failed)
        *failed = lost;
    return (int)taken;
}

/* Whether the place is nobody's that lives. One that has left needs a moment more to end. */
static bool has_ended(const mr_domain *domain, uint32_t index, unsigned patience_ms)
{
    const mr_place_record *place = &domain->members[index];

    for (unsigned waited = 0; mr_place_taken(domain, index) && place->start_time &&
                              mr_process_start_time(place->pid) == place->start_time;
         waited += MR_LOOK_MS) {
        if (waited >= patience_ms)
            return false;
        usleep(MR_LOOK_MS * 1000);
    }
    return true;
}

int mr_supervisor_sweep_all(mr_domain *domain)
{
    int taken = 0;

    for (uint32_t i = 0; i < MR_MAX_MEMBERS; i++)
        if (!has_ended(domain, i, MR_LEAVE_MS))
            return mr_fail(EBUSY,
                           "process %d, a member of domain '%s', is still alive; end it first",
                           domain->members[i].pid, domain->info.name);
    for (int i = 0; i < MR_MAX_MEMBERS; i++) {
        int rc = mr_supervisor_sweep(domain, i, NULL);

        if (rc < 0)
            return rc;
        taken += rc;
    }
    hint_all(domain);
    return taken;
}
