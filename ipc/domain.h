/*
 * domain.h - a process's view of a domain (private to ipc/)
 */
#ifndef MILLRACE_IPC_DOMAIN_H
#define MILLRACE_IPC_DOMAIN_H

#include "ipc/ring.h"
#include <millrace/domain.h>
#include <millrace/stats.h>
#include <stdbool.h>

/* Members whose supervisor died leave by themselves, within a second where the machine isn't busy:
 * whoever comes next waits for them so long, and looks so often. */
enum { MR_LEAVE_MS = 5000, MR_LOOK_MS = 10 };

struct mr_domain {
    unsigned char *data; /* the mapping; data_bytes long */
    uint64_t data_bytes;
    unsigned char *stats;
    uint64_t stats_bytes;
    int data_fd; /* holds the lock */
    int stats_fd;
    bool supervisor;
    bool stats_writable;
    int eventfds[MR_QUEUES]; /* -1: not given */

    /* into `data`, checked when it was mapped */
    mr_header *header;
    mr_place_record *members;
    mr_queue *queues;
    mr_slot *slots;
    mr_id *ids;
    mr_finished *finished;
    /* private copies of what is constant: never read again from shared memory */
    uint32_t slot_count;
    uint32_t stage_count;
    uint32_t max_length;
    uint32_t vocabulary;
    uint32_t max_attempts;
    mr_entries entries[MR_QUEUES]; /* of each queue's ring */
    uint32_t spin_us;              /* how long a consumer of this process spins */
    uint64_t patience_ns; /* how long a context waits for a worker of the kind that began it */
    uint64_t id_count;
    uint32_t finished_count;
    uint64_t arena_offset;
    uint64_t arena_bytes;
    mr_domain_info info;
    struct mr_audit *audit; /* what the supervisor's last audit saw (audit.c); NULL: none yet */
};

/* The header's phase: the low half of the word says DRAIN, the high half STOP, by the majority of
 * their bits, so that a flipped one ends no run. */
#define MR_DRAIN_BITS UINT32_C(0x0000ffff)
#define MR_STOP_BITS  UINT32_C(0xffff0000)

static inline enum mr_phase mr_phase_of(uint32_t word)
{
    if (!word)
        return MR_PHASE_RUN;
    if (__builtin_popcount(word & MR_STOP_BITS) > 8)
        return MR_PHASE_STOP;
    return __builtin_popcount(word & MR_DRAIN_BITS) > 8 ? MR_PHASE_DRAIN : MR_PHASE_RUN;
}

static inline uint32_t mr_phase_word(enum mr_phase phase)
{
    return (phase >= MR_PHASE_DRAIN ? MR_DRAIN_BITS : 0) |
           (phase >= MR_PHASE_STOP ? MR_STOP_BITS : 0);
}

static inline bool mr_place_taken(const mr_domain *domain, uint32_t place)
{
    return __builtin_popcount(
               atomic_load_explicit(&domain->members[place].place, memory_order_acquire)) > 16;
}

#endif
