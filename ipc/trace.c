/*
 * trace.c - reading the ways of requests (millrace/trace.h), of a domain at work
 *
 * Slots first, then what has ended: so a request that ends meanwhile is seen, and one that was seen
 * in its slot isn't told again. All is copied before it is judged. A slot's copy counts if its
 * state word is the same afterwards, or if the last of a few looks finds it so: a request that is
 * being worked on keeps its word.
 *
 * A word counts if its code and generation fit and its time lies between the acceptance and now.
 */
#include "ipc/cursors.h"
#include "ipc/error.h"
#include "ipc/events.h"
#include "ipc/member.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKS = 3 };

/* Between a look at the clock and a store of it a process may be stopped for long. */
static const uint64_t SLACK_NS = UINT64_C(1000000000);

/* ---- one word ---- */

typedef struct time_frame {
    uint64_t from; /* no event is older */
    uint64_t to;   /* nor younger */
    uint32_t generation;
} time_frame;

/* The time that is nearest before `to`; 0: it lies outside. */
static uint64_t time_of(const time_frame *frame, uint64_t word)
{
    const uint64_t to = frame->to >> MR_EVENT_TIME_SHIFT;
    const uint64_t back = (to - (word >> 10)) & MR_EVENT_TIME_MASK;
    const uint64_t time = (to - back) << MR_EVENT_TIME_SHIFT;

    return back <= to && (time | 63) >= frame->from ? time : 0;
}

static bool is_of(const time_frame *frame, uint64_t word)
{
    return word >> 56 == (frame->generation & 255);
}

static uint64_t time_if(const time_frame *frame, uint64_t word, uint32_t code)
{
    return is_of(frame, word) && mr_event_code_of(word) == code ? time_of(frame, word) : 0;
}

static uint32_t end_of(const time_frame *frame, uint64_t word)
{
    const uint32_t code = mr_event_code_of(word);

    return is_of(frame, word) && code > MR_EVENT_END && code <= MR_EVENT_END + MR_TRACE_FAILED
               ? code - MR_EVENT_END
               : MR_TRACE_RUNNING;
}

static bool is_sequence(const time_frame *frame, uint64_t word)
{
    return is_of(frame, word) && mr_event_code_of(word) == MR_EVENT_SEQUENCE;
}

/* ---- one lease ---- */

static void read_lease(const time_frame *frame, const uint64_t *words, mr_trace_lease *lease)
{
    *lease = (mr_trace_lease){
        .begun = time_if(frame, words[MR_LEASE_BEGUN], MR_EVENT_BEGUN),
        .first = time_if(frame, words[MR_LEASE_FIRST], MR_EVENT_FIRST),
        .end = end_of(frame, words[MR_LEASE_ENDED]),
        .member = MR_TRACE_NOBODY,
    };
    if (lease->end)
        lease->ended = time_of(frame, words[MR_LEASE_ENDED]);
    if (lease->begun) {
        lease->member = (uint32_t)words[MR_LEASE_BEGUN] >> 3 & 127;
        lease->stage = (uint32_t)words[MR_LEASE_BEGUN] & 7;
    } else if (lease->end) {
        lease->member = (uint32_t)words[MR_LEASE_ENDED] >> 3 & 127;
    }
    if (lease->first < lease->begun)
        lease->first = 0;
    if (lease->ended < lease->begun || lease->ended < lease->first)
        lease->ended = 0;
    if (is_sequence(frame, words[MR_LEASE_BEGUN_AT]) &&
        is_sequence(frame, words[MR_LEASE_ENDED_AT]))
        lease->commits = (uint32_t)words[MR_LEASE_ENDED_AT] - (uint32_t)words[MR_LEASE_BEGUN_AT];
}

static bool is_told(const mr_trace_lease *lease)
{
    return lease->begun || lease->end;
}

static void read_leases(const time_frame *frame, const mr_way *way, mr_trace *trace)
{
    const uint64_t count = way->leases < MR_TRACE_LEASES ? way->leases : MR_TRACE_LEASES;

    for (uint64_t i = 0; i < count; i++) {
        read_lease(frame, way->lease[i], &trace->lease[trace->leases]);
        trace->leases += is_told(&trace->lease[trace->leases]);
    }
    trace->left_out = way->leases - count < UINT32_MAX ? (uint32_t)(way->leases - count) : 0;
}

/* ---- one request ---- */

static uint64_t within(uint64_t time, uint64_t from, uint64_t to)
{
    return time >= from && time <= to ? time : 0;
}

static void read_way(const mr_way *way, uint64_t to, mr_trace *trace)
{
    const uint64_t accepted = within(way->accepted, 0, to);
    const time_frame frame = {accepted, to, mr_handle_generation(way->handle)};

    *trace = (mr_trace){
        .size = sizeof(*trace),
        .handle = way->handle,
        .ordinal = way->ordinal,
        .accepted = accepted,
        .queued = within(way->queued, accepted, to),
        .prompt_length = way->prompt_length,
        .length = way->length < way->prompt_length ? way->prompt_length : way->length,
        .choice = way->choice,
        .choices = way->choices,
        .kind = way->kind,
        .failed = way->failed,
        .cancel = way->cancel,
        .id_bytes = way->id_bytes,
    };
    memcpy(trace->id, way->id, sizeof(trace->id));
    read_leases(&frame, way, trace);
}

/* ---- slots ---- */

static bool is_in_use(uint64_t word)
{
    const uint32_t state = mr_state_unpack(word).state;

    return state >= MR_STATE_READY && state < MR_STATE_COUNT;
}

/* The present lease: it isn't over, and who holds it may be in a step. */
static void read_present(const mr_domain *domain, const mr_slot *slot, const mr_way *way,
                         mr_trace *trace)
{
    mr_trace_lease *last = trace->leases ? &trace->lease[trace->leases - 1] : NULL;
    const uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);
    const uint64_t count = way->leases < MR_TRACE_LEASES ? way->leases : MR_TRACE_LEASES;

    if (!last || last->end || last->member >= MR_MAX_MEMBERS ||
        !way->lease[count - 1][MR_LEASE_BEGUN])
        return;
    last->commits = (uint32_t)sequence - (uint32_t)way->lease[count - 1][MR_LEASE_BEGUN_AT];
    trace->step_begun =
        atomic_load_explicit(&domain->members[last->member].step_begun, memory_order_relaxed);
}

static bool see_slot(const mr_domain *domain, uint32_t index, mr_trace *trace)
{
    static const uint32_t states[MR_STATE_COUNT] = {[MR_STATE_READY] = MR_TRACE_WAITING,
                                                    [MR_STATE_LEASED] = MR_TRACE_HELD,
                                                    [MR_STATE_DONE] = MR_TRACE_ANSWERED};
    const mr_slot *slot = &domain->slots[index];

    for (int look = 0; look < LOOKS; look++) {
        const uint64_t word = mr_slot_load(slot);
        mr_way way;

        if (!is_in_use(word))
            return false;
        mr_events_read_slot(&way, domain, mr_handle_make(index, mr_state_unpack(word).generation));
        if (mr_slot_load(slot) != word && look + 1 < LOOKS)
            continue;
        if (mr_state_unpack(mr_slot_load(slot)).generation != mr_state_unpack(word).generation)
            return false;
        read_way(&way, mr_boottime_ns() + SLACK_NS, trace);
        trace->state = states[mr_state_unpack(word).state];
        if (trace->state == MR_TRACE_HELD)
            read_present(domain, slot, &way, trace);
        return true;
    }
    return false;
}

static int each_slot(const mr_domain *domain, mr_handle *seen, mr_trace_see *see, void *self)
{
    mr_trace trace;
    int rc = 0;

    for (uint32_t i = 0; i < domain->slot_count && !rc; i++) {
        if (!see_slot(domain, i, &trace))
            continue;
        seen[i] = trace.handle + 1;
        rc = see(self, &trace);
    }
    return rc;
}

/* ---- those that ended ---- */

/* Told before, or not at its place: spoilt. */
static bool is_new(const mr_domain *domain, const mr_handle *seen, const mr_way *way,
                   uint64_t number, uint32_t place)
{
    const uint32_t index = mr_handle_index(way->handle);

    return number && (number - 1) % domain->finished_count == place && index < domain->slot_count &&
           seen[index] != way->handle + 1;
}

static int each_finished(const mr_domain *domain, const mr_handle *seen, mr_trace_see *see,
                         void *self)
{
    int rc = 0;

    for (uint32_t i = 0; i < domain->finished_count && !rc; i++) {
        const mr_finished *entry = &domain->finished[i];
        const uint64_t now = mr_boottime_ns();
        const uint64_t emitted =
            within(atomic_load_explicit(&entry->emitted, memory_order_relaxed), 0, now);
        mr_trace trace;
        mr_way way;

        if (!is_new(domain, seen, &way, mr_events_read_finished(&way, entry), i))
            continue;
        read_way(&way, (emitted ? emitted : now) + SLACK_NS, &trace);
        trace.emitted = within(emitted, trace.accepted, now);
        rc = see(self, &trace);
    }
    return rc;
}

int mr_trace_each(const mr_domain *domain, mr_trace_see *see, void *self)
{
    mr_handle *seen = calloc(domain->slot_count, sizeof(*seen));
    int rc;

    if (!seen)
        return mr_fail(ENOMEM, "out of memory for %u slots", domain->slot_count);
    rc = each_slot(domain, seen, see, self);
    if (!rc)
        rc = each_finished(domain, seen, see, self);
    free(seen);
    return rc;
}

void mr_trace_member(const mr_domain *domain, uint32_t member, char name[MR_TRACE_NAME])
{
    name[0] = 0;
    if (member >= MR_MAX_MEMBERS)
        return;
    memcpy(name, domain->members[member].name, MR_TRACE_NAME);
    name[MR_TRACE_NAME - 1] = 0;
}
