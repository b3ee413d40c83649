/*
 * member.h - a place in a domain, as its holder sees it (private to ipc/)
 */
#ifndef MILLRACE_IPC_MEMBER_H
#define MILLRACE_IPC_MEMBER_H

#include "ipc/domain.h"
#include "ipc/stats.h"
#include <millrace/member.h>

struct mr_member {
    mr_domain *domain;
    bool owns_domain;
    int socket; /* to the supervisor; -1: joined directly */
    int index;
    uint32_t role;
    uint32_t stage;
    uint64_t fingerprint;
    mr_place_record *place;
    struct mr_stats *stats;
    uint64_t next_look; /* when the socket is looked at again, monotonic nanoseconds */
    bool gone;          /* the supervisor is */
};

/* mr_place_take - give a free place to a process; returns its index, -EAGAIN when all are taken,
 * -EINVAL (the options don't fit the domain; mr_error() says which). Supervisor only. */
int mr_place_take(mr_domain *domain, const mr_member_options *options, int32_t pid);

/* mr_place_stage - the stage that options name; -EINVAL */
int mr_place_stage(const mr_domain *domain, const mr_member_options *options);

/* A hash of a fingerprint's text; never 0. */
uint64_t mr_fingerprint_hash(const char *text);

/* Start time of a process in clock ticks since boot, and its pid namespace; 0 if it can't be seen.
 */
uint64_t mr_process_start_time(int32_t pid);
uint64_t mr_process_namespace(int32_t pid);

/* mr_member_begin, mr_member_rest - a step of a tokenizer or collector begins (the one before
 * ends); it has nothing to do. Plain stores. */
void mr_member_begin(mr_member *member);
void mr_member_rest(mr_member *member);

uint64_t mr_monotonic_ns(void);
uint64_t mr_boottime_ns(void);

#endif
