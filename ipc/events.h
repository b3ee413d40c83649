/*
 * events.h - what is written down of a request's way, for `millrace trace` (private to ipc/)
 *
 * Who owns a slot writes, with plain stores, into lines that it writes anyway: a lease's record
 * lies beside the state word that was just changed. A lease is told by five words, however many
 * steps it has: when it was begun, when its first step was over, when it ended, and the slot's
 * sequence at both ends, whose difference is the number of commits. So a token costs nothing.
 *
 * Each word is complete in itself, {generation 8, code 4, time 42, member 7, stage 3}, so none is
 * ever torn; the code says what it is, and a word of another request has another generation. Times
 * are boot time / 64 ns, modulo 2^42 (three days): who reads them knows one that is near.
 *
 * A record counts once `leases` {generation 28, leases 36} says so, stored after its words. Killed
 * before that store: there is one lease less. Killed before another: that end, or that first step,
 * isn't known. When there are more leases than records, the last record is used again.
 */
#ifndef MILLRACE_IPC_EVENTS_H
#define MILLRACE_IPC_EVENTS_H

#include "ipc/slot.h"
#include <millrace/trace.h>

enum mr_event_code {
    MR_EVENT_NONE = 0,
    MR_EVENT_BEGUN = 1,
    MR_EVENT_SEQUENCE = 2,
    MR_EVENT_FIRST = 3,
    MR_EVENT_END = 4 /* and upward: + enum mr_trace_end */
};

enum { MR_EVENT_TIME_BITS = 42, MR_EVENT_TIME_SHIFT = 6, MR_LEASES_BITS = 36 };

#define MR_EVENT_TIME_MASK ((UINT64_C(1) << MR_EVENT_TIME_BITS) - 1)
#define MR_LEASES_MASK     ((UINT64_C(1) << MR_LEASES_BITS) - 1)

_Static_assert(MR_MAX_STAGES <= 8 && (int)MR_MAX_MEMBERS <= (int)MR_TRACE_NOBODY,
               "three bits tell a stage, seven a member");

static inline uint64_t mr_event_make(uint32_t generation, uint32_t code, uint64_t time,
                                     uint32_t member, uint32_t stage)
{
    return (uint64_t)(generation & 255) << 56 | (uint64_t)code << 52 |
           (time >> MR_EVENT_TIME_SHIFT & MR_EVENT_TIME_MASK) << 10 |
           (uint64_t)(member < MR_MAX_MEMBERS ? member : MR_TRACE_NOBODY) << 3 | (stage & 7);
}

static inline uint64_t mr_event_sequence(uint32_t generation, uint64_t sequence)
{
    return (uint64_t)(generation & 255) << 56 | (uint64_t)MR_EVENT_SEQUENCE << 52 |
           (sequence & UINT32_MAX);
}

static inline uint32_t mr_event_code_of(uint64_t word)
{
    return (uint32_t)(word >> 52) & 15;
}

/* Leases of the request of this generation, all that there were. */
static inline uint64_t mr_leases_of(uint64_t word, uint32_t generation)
{
    return word >> MR_LEASES_BITS == (generation & MR_GENERATION_MASK) ? word & MR_LEASES_MASK : 0;
}

/* The record of lease `number`, which counts from 0. */
static inline mr_lease_record *mr_lease_record_of(mr_slot *slot, uint64_t number)
{
    if (!number)
        return &slot->first_lease;
    return &slot->later_leases[number < MR_TRACE_LEASES ? number - 1 : MR_TRACE_LEASES - 2];
}

/* mr_events_begin - the slot was leased, at `now`, to who calls; `held`: its state word */
void mr_events_begin(mr_slot *slot, uint64_t held, uint64_t now, uint64_t sequence);

/* mr_events_first - the first step of the lease is over */
void mr_events_first(mr_slot *slot, uint64_t held, uint64_t now);

/* mr_events_end - the lease ends so; before the slot is given away, by who still owns it. Told
 * twice of the same lease (a sweep begun anew), the first counts. */
void mr_events_end(mr_slot *slot, uint64_t held, enum mr_trace_end end, uint64_t now);

/* mr_events_finish - the request's final record is committed: keep its way. Collector only, before
 * it gives the slot back. `again`: from the journal, by a successor */
void mr_events_finish(mr_domain *domain, mr_handle handle, bool again);

/* mr_events_copy_lease, _read_slot, _read_finished - private copies, of words that may change
 * meanwhile; of a finished one its number, 0: just being written, or nothing is there */
void mr_events_copy_lease(uint64_t words[MR_LEASE_WORDS], const mr_lease_record *record);
void mr_events_read_slot(mr_way *way, const mr_domain *domain, mr_handle handle);
uint64_t mr_events_read_finished(mr_way *way, const mr_finished *entry);

/* mr_events_emitted - requests kept since number `from` were in the output at `now` */
void mr_events_emitted(mr_domain *domain, uint64_t from, uint64_t now);

#endif
