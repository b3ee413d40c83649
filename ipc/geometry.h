/*
 * geometry.h - where everything lies in a domain with given options, and what two binaries must
 * agree on to share it (private to ipc/)
 */
#ifndef MILLRACE_IPC_GEOMETRY_H
#define MILLRACE_IPC_GEOMETRY_H

#include <millrace/domain.h>

typedef struct mr_geometry {
    mr_domain_options options; /* with defaults filled in */
    uint64_t ring_entries;     /* of each queue, a power of two */
    uint64_t members_offset;
    uint64_t queues_offset;
    uint64_t entries_offset; /* of all rings, one behind the other */
    uint64_t slots_offset;
    uint64_t ids_offset;
    uint64_t finished_offset;
    uint64_t arena_offset;
    uint64_t data_bytes;  /* of the data segment */
    uint64_t stats_bytes; /* of the stats segment */
} mr_geometry;

/* mr_geometry_plan - 0, or -EINVAL when an option is out of range (mr_error() names it) */
int mr_geometry_plan(const mr_domain_options *options, mr_geometry *geometry);

/* mr_layout_epoch - a hash over sizes and offsets of the shared structs, and the C library (whose
 * semaphore lies among them) */
uint64_t mr_layout_epoch(void);

#endif
