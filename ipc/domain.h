/*
 * domain.h - a process's view of a domain (private to ipc/)
 */
#ifndef MILLRACE_IPC_DOMAIN_H
#define MILLRACE_IPC_DOMAIN_H

#include "ipc/ring.h"
#include <millrace/domain.h>
#include <millrace/stats.h>
#include <stdbool.h>

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
    uint64_t arena_offset;
    uint64_t arena_bytes;
    mr_domain_info info;
};

#endif
