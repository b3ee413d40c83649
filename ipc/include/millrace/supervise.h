/*
 * millrace/supervise.h - the supervisor's side: who is a member, who is dead, what they held
 *
 * The supervisor listens on the domain's control socket, gives each member that it can see and kill
 * a place, and after a death sweeps that place. It holds a pidfd of every member; death is learnt
 * from it and never guessed.
 */
#ifndef MILLRACE_SUPERVISE_H
#define MILLRACE_SUPERVISE_H

#include <millrace/context.h>
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
    MR_CONTROL_JOINED = 1,  /* a member has its place */
    MR_CONTROL_DIED = 2,    /* the kernel says that it is dead: sweep it */
    MR_CONTROL_LEFT = 3,    /* it left in order and holds nothing: sweep it all the same */
    MR_CONTROL_REFUSED = 4, /* somebody was refused; `why` is the sentence he got */
    MR_CONTROL_COMMAND = 5 /* somebody of the same user commands: mr_control_answer() must follow */
};

enum mr_verb {
    MR_VERB_DRAIN = 1, /* the worker `word` shall leave: its name or its pid */
    MR_VERB_SCALE = 2, /* `number` own workers */
    MR_VERB_CANCEL = 3 /* the request with the id `word` shall end */
};

typedef struct mr_command {
    uint32_t verb; /* enum mr_verb; any number may come */
    uint32_t number;
    char word[520]; /* ends with a NUL */
} mr_command;

typedef struct mr_control_event {
    enum mr_control_kind kind;
    int member; /* lease index, or -1 */
    pid_t pid;
    enum mr_role role;
    char why[200];
    uint64_t caller;    /* MR_CONTROL_COMMAND: whom to answer */
    mr_command command; /* MR_CONTROL_COMMAND */
} mr_control_event;

/*
 * mr_control_next - the next event, without waiting; MR_CONTROL_NONE when there is none
 *
 * A member that is a child of ours must also be reaped by the caller (waitid). After DIED or LEFT
 * the place stays taken until mr_supervisor_sweep().
 */
int mr_control_next(mr_control *control, mr_control_event *event);

/*
 * mr_control_answer - tell the caller of a command what came of it, and hang up
 *
 * `result` is 0 or -errno and `text` one sentence. May come late; a caller who didn't wait for it
 * is no error.
 */
void mr_control_answer(mr_control *control, uint64_t caller, int result, const char *text);

/*
 * mr_control_ask - command a running domain, and wait for the answer
 *
 *   text  the sentence of the answer, or why there is none
 *
 * For any process of the domain's user; it need not be a member. Returns what mr_control_answer()
 * was given, or -ENOENT, -ESTALE (no such domain, a dead one), -EACCES (another user's), -EPROTO.
 */
int mr_control_ask(const char *domain, const mr_command *command, char *text, size_t size);

/* What is known of a member; from its record in shared memory. */
typedef struct mr_member_info {
    int index;
    enum mr_role role;
    pid_t pid;
    uint64_t start_time; /* clock ticks since boot, as /proc/PID/stat has it */
    uint32_t stage;
    uint32_t capacity;
    uint32_t held;       /* contexts that it holds now */
    uint64_t steps;      /* begun: of a worker, records of a tokenizer, looks of a collector */
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
 * record is still alive after it was given 5 s to end (mr_error() names the pid) */
int mr_supervisor_sweep_all(mr_domain *domain);

/*
 * mr_supervisor_audit - look through all slots and queues for what should not be, and mend it
 *
 * A lease of nobody, a word that is no state, a request that was freed without an answer, a ring
 * whose entries don't fit: what an overwritten word leaves. Some is only known to be wrong when it
 * is still so at the next call, so each second is often enough. Also gives what waits without a
 * hint one. Returns how many requests were put back, failed or freed; -ENOMEM.
 */
int mr_supervisor_audit(mr_domain *domain);

/*
 * mr_supervisor_cancel - ask that a context ends, if it doesn't already
 *
 * One that waits is DONE when this returns; one that is held is handed on by its worker after the
 * step that it is in. The first who asks says why. Returns 0, -ESTALE (it has ended), -EINVAL.
 */
int mr_supervisor_cancel(mr_domain *domain, uint64_t handle, int cancel);

/* mr_supervisor_find - the contexts of a request that are not yet done, by its request id, the
 * first `room` of them; returns how many there are in all */
size_t mr_supervisor_find(const mr_domain *domain, mr_bytes request_id, uint64_t *handles,
                          size_t room);

/* mr_supervisor_expire - end what has passed its deadline, and what waits although it is cancelled
 * (a worker put it back). Many times a second is right: one look at each slot. Returns how many
 * deadlines have passed. */
unsigned mr_supervisor_expire(mr_domain *domain);

/* mr_supervisor_drain - tell a worker to leave: its next mr_worker_batch() puts back what it holds
 * and returns -ESHUTDOWN. -ENOENT when the place holds no worker. */
int mr_supervisor_drain(mr_domain *domain, int member);

/* Which process may be a member: decided by the supervisor for strangers; see mr_control_allow().
 */
typedef bool (*mr_control_policy)(void *self, pid_t pid, uid_t uid, const mr_member_options *wants,
                                  char *why, size_t why_size);
void mr_control_allow(mr_control *control, mr_control_policy policy, void *self);

#ifdef __cplusplus
}
#endif
#endif
