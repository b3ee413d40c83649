/*
 * millrace/supervise.h - the supervisor's side: who is a member, who is dead, what they held
 *
 * The supervisor listens on the domain's control socket, gives each member that it can see and kill
 * a place, and after a death sweeps that place. It holds a pidfd of every member; death is learnt
 * from it and never guessed.
 */
#ifndef MILLRACE_SUPERVISE_H
#define MILLRACE_SUPERVISE_H

#include <millrace/member.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_control mr_control;

/* mr_control_open - listen on the domain's control socket; returns 0 or -errno */
int mr_control_open(mr_control **control, mr_domain *domain);
void mr_control_close(mr_control *control);

/* mr_control_fd - an epoll descriptor: readable when mr_control_next() has something */
int mr_control_fd(const mr_control *control);

enum mr_control_kind {
    MR_CONTROL_NONE = 0,
    MR_CONTROL_JOINED = 1, /* a member has its place */
    MR_CONTROL_DIED = 2,   /* the kernel says that it is dead: sweep it */
    MR_CONTROL_LEFT = 3,   /* it left in order and holds nothing: sweep it all the same */
    MR_CONTROL_REFUSED = 4 /* somebody was refused; `why` is the sentence he got */
};

typedef struct mr_control_event {
    enum mr_control_kind kind;
    int member; /* lease index, or -1 */
    pid_t pid;
    enum mr_role role;
    char why[200];
} mr_control_event;

/*
 * mr_control_next - the next event, without waiting; MR_CONTROL_NONE when there is none
 *
 * A member that is a child of ours must also be reaped by the caller (waitid). After DIED or LEFT
 * the place stays taken until mr_supervisor_sweep().
 */
int mr_control_next(mr_control *control, mr_control_event *event);

/* What is known of a member; from its record in shared memory. */
typedef struct mr_member_info {
    int index;
    enum mr_role role;
    pid_t pid;
    uint64_t start_time; /* clock ticks since boot, as /proc/PID/stat has it */
    uint32_t stage;
    uint32_t capacity;
    uint32_t held;       /* contexts that it holds now */
    uint64_t steps;      /* commits */
    uint64_t parts;      /* progress inside steps */
    uint64_t step_begun; /* CLOCK_BOOTTIME nanoseconds; 0: idle */
    uint64_t fingerprint;
    uint32_t flags;
    char name[32];
} mr_member_info;

/* mr_member_get_info - -ENOENT if the place is free */
int mr_member_get_info(const mr_domain *domain, int index, mr_member_info *info);

/* mr_supervisor_kill - SIGKILL through the pidfd, then wait until it is dead; 0, -ESRCH, -ETIMEDOUT
 */
int mr_supervisor_kill(mr_control *control, int member);
int mr_supervisor_signal(mr_control *control, int member, int signal);

/*
 * mr_supervisor_sweep - take back what a dead member held, and wake whoever may wait for it
 *
 * Call it only when the kernel has said that the member is dead. May be begun anew at any point.
 * Returns how many contexts were taken back; *failed counts those that had used up their attempts.
 */
int mr_supervisor_sweep(mr_domain *domain, int member, unsigned *failed);

/* mr_supervisor_sweep_all - the same for every place of a resumed domain; -EBUSY if a member on
 * record is still alive (mr_error() names the pid) */
int mr_supervisor_sweep_all(mr_domain *domain);

/* mr_supervisor_audit - look through all slots for what should not be (a lease without a holder, a
 * word that is no state) and mend it; returns how many. Each second is often enough. */
int mr_supervisor_audit(mr_domain *domain);

/* mr_supervisor_cancel - ask that a context ends, if it doesn't already; -ESTALE */
int mr_supervisor_cancel(mr_domain *domain, uint64_t handle, int cancel);

/* Which process may be a member: decided by the supervisor for strangers; see mr_control_allow().
 */
typedef bool (*mr_control_policy)(void *self, pid_t pid, uid_t uid, const mr_member_options *wants,
                                  char *why, size_t why_size);
void mr_control_allow(mr_control *control, mr_control_policy policy, void *self);

#ifdef __cplusplus
}
#endif
#endif
