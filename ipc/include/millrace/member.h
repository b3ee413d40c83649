/*
 * millrace/member.h - a process's place in a domain
 *
 * The supervisor knows every member by pid, start time and pidfd, gives it one of MR_MAX_MEMBERS
 * places (the *lease index*) and hands a place out again only after the sweep of its last holder.
 * Members of the runtime (tokenizer, collector, readers) join here; workers by worker.h.
 */
#ifndef MILLRACE_MEMBER_H
#define MILLRACE_MEMBER_H

#include <millrace/domain.h>
#include <millrace/error.h>
#include <millrace/stats.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_member mr_member;

enum mr_role {
    MR_ROLE_SUPERVISOR = 1,
    MR_ROLE_TOKENIZER = 2,
    MR_ROLE_COLLECTOR = 3,
    MR_ROLE_WORKER = 4
};

typedef struct mr_member_options {
    uint32_t size;
    uint32_t role;  /* enum mr_role */
    uint32_t stage; /* of a worker */
    uint32_t capacity;
    uint64_t model_fingerprint; /* 0: not known */
    uint32_t vocabulary;        /* 0: not known */
    uint32_t flags;             /* enum mr_worker_flags */
    const char *fingerprint;    /* of a worker's arithmetic */
    const char *stage_name;     /* of a worker, or NULL: `stage` counts */
    const char *name;
    uint32_t kinds; /* of a worker, enum mr_kinds; 0: text alone */
    uint32_t reserved;
} mr_member_options;

/* mr_member_attach - join by the control socket; errors as mr_worker_attach(). Opens the domain. */
int mr_member_attach(mr_member **member, const char *domain, const mr_member_options *options);

/* mr_member_join - join directly, in the supervisor's own process (itself, or threads in tests) */
int mr_member_join(mr_member **member, mr_domain *domain, const mr_member_options *options);

/* mr_member_leave - give the place back and free the member; NULL is fine. Dying does as well: the
 * supervisor sweeps both alike. */
void mr_member_leave(mr_member *member);

/* Its domain and its own stats page, both valid until it leaves; its place. */
mr_domain *mr_member_domain(mr_member *member);
int mr_member_index(const mr_member *member); /* lease index, in [0, MR_MAX_MEMBERS) */
mr_stats *mr_member_stats(mr_member *member);

/* mr_member_alive - false once the domain stops or its supervisor is gone: leave. Looks at the
 * socket at most each 50 ms. */
bool mr_member_alive(mr_member *member);

/* mr_member_progress - tell that a long step moves, or waits for something outside of the group (a
 * full disk): who doesn't for long is taken for stuck. Plain stores. */
void mr_member_progress(mr_member *member);

#ifdef __cplusplus
}
#endif
#endif
