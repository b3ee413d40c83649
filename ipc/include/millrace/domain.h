/*
 * millrace/domain.h - one running group of processes and the memory they share
 *
 * A domain is two POSIX shared-memory objects, /dev/shm/millrace.NAME.data and .stats (a third,
 * .kv, where pages are handed between workers), and a control socket beside them. It *lives* while
 * any member holds its lock, whatever the pid namespace.
 *
 * Life cycle: mr_domain_create() in the supervisor, mr_domain_open() in everybody else,
 * mr_domain_close() in all, mr_domain_remove() in the supervisor at the end.
 *
 * A mr_domain may be used by several threads of a process at once; its mapping is not inherited
 * over fork(2).
 */
#ifndef MILLRACE_DOMAIN_H
#define MILLRACE_DOMAIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MR_NAME_MAX = 47,  /* bytes of a domain's name: letters, digits, '.', '_', '-' */
    MR_MAX_STAGES = 8, /* steps of a pipeline */
    MR_MAX_MEMBERS = 64,
    MR_MAX_SLOTS = 32768,
    MR_MAX_CHOICES = 128,
    MR_MAX_FINISHED = 65536,
    MR_STAGE_NAME_MAX = 15
};

/* Sets of kinds of contexts (enum mr_kind). A worker takes all kinds that its domain serves. */
enum mr_kinds {
    MR_TAKES_TEXT = 1 << 1,
    MR_TAKES_VISION = 1 << 2,
    MR_TAKES_TTS = 1 << 3,
    MR_TAKES_PIXEL = 1 << 4,
    MR_TAKES_ALL = MR_TAKES_TEXT | MR_TAKES_VISION | MR_TAKES_TTS | MR_TAKES_PIXEL
};

typedef struct mr_domain mr_domain;

/* Begin with {.size = sizeof(mr_domain_options)}; what stays 0 takes its default. */
typedef struct mr_domain_options {
    uint32_t size;
    uint32_t slots;        /* contexts in flight, default 64, at most MR_MAX_SLOTS */
    uint64_t arena_bytes;  /* for the contexts' arrays; required */
    uint32_t max_length;   /* tokens of the longest context; required */
    uint32_t vocabulary;   /* ids lie in [0, vocabulary); 0: not checked */
    uint32_t stages;       /* default 1 */
    uint32_t max_attempts; /* deaths in a row without a step before a context is failed; 3 */
    const char *const *stage_names; /* default {"generate"} */
    uint64_t model_fingerprint;     /* of the tokenizer; a worker's must equal it; 0: any */
    uint64_t seed;                  /* from which missing seeds are drawn */
    uint64_t created;               /* seconds since the epoch, for results; 0: now */
    uint64_t id_table;              /* custom ids that are checked for duplicates; 0: 65,536 */
    uint32_t named;                 /* 1: the user gave the name, so a dead one is kept for him */
    uint32_t spin_us;  /* microseconds that a consumer spins before it sleeps; 0: by the cores */
    uint32_t kinds;    /* enum mr_kinds of the requests taken in; 0: text alone */
    uint32_t finished; /* ended requests of which the way is kept (trace.h); 0: 4,096 */
} mr_domain_options;

/* What a domain is, from its header; constant while it lives. */
typedef struct mr_domain_info {
    uint32_t size;
    uint32_t slots;
    uint32_t stages;
    uint32_t max_length;
    uint32_t vocabulary;
    uint32_t max_attempts;
    uint64_t arena_bytes;
    uint64_t model_fingerprint;
    uint64_t seed;
    uint64_t created;
    uint64_t total_bytes; /* of all segments */
    uint32_t named;
    uint32_t creator;
    char name[MR_NAME_MAX + 1];
    char stage_names[MR_MAX_STAGES][MR_STAGE_NAME_MAX + 1];
    uint32_t kinds; /* enum mr_kinds */
    uint32_t reserved;
} mr_domain_info;

/* What the supervisor wants of all members; only it may change it, and only upward. */
enum mr_phase {
    MR_PHASE_RUN = 0,
    MR_PHASE_DRAIN = 1, /* accept nothing more, finish what was accepted */
    MR_PHASE_STOP = 2   /* leave now; what is unfinished stays in the domain */
};

/*
 * mr_domain_size - bytes of shared memory that a domain with these options takes, all segments
 *
 * Returns the size, or 0 when an option is out of range (mr_error() names it). This is the worst
 * case: a domain never grows.
 */
uint64_t mr_domain_size(const mr_domain_options *options);

/*
 * mr_domain_create - make a domain, reserve all its memory, become its supervisor
 *
 *   name   1 to MR_NAME_MAX letters, digits, '.', '_' or '-'
 *
 * A dead domain of that name is replaced if it was unnamed or everything in it was answered.
 * Returns 0; -EEXIST (a living domain has that name), -ENOTEMPTY (a dead one has unfinished
 * requests; the sentence names the remedies), -ENOSPC (/dev/shm has not that much room), -EINVAL.
 * The header is published last: nobody attaches to a half-made domain. Killed in it: what lies
 * there is dead and is removed by the next start.
 */
int mr_domain_create(mr_domain **domain, const char *name, const mr_domain_options *options);

/*
 * mr_domain_open - map an existing domain and check it
 *
 * Magic, ABI version, layout epoch, geometry and every offset are checked against the mapped size
 * before anything is used. Takes the shared lock that tells others that the domain lives.
 * Returns 0; -ENOENT (there is none), -EPROTO (another ABI or layout), -EBADMSG (corrupt),
 * -ESTALE (dead: its supervisor is gone), -EACCES.
 */
int mr_domain_open(mr_domain **domain, const char *name);

/* mr_domain_resume - become the supervisor of a dead domain, to finish what was accepted
 *
 * Members that are left without a supervisor leave by themselves; they are waited for, 5 s at most.
 * Returns 0, -ENOENT, -EBUSY (it lives), or as mr_domain_open(). Leases of all former members must
 * then be swept (mr_supervisor_sweep_all()), after making sure that none of them is alive. */
int mr_domain_resume(mr_domain **domain, const char *name);

/* mr_domain_close, mr_domain_remove - unmap it; NULL is fine. A domain that all have closed and
 * nobody removed is dead. The supervisor alone may remove one: that unlinks the segments too. */
void mr_domain_close(mr_domain *domain);
void mr_domain_remove(mr_domain *domain);

/* mr_domain_discard - remove a dead domain by name; -EBUSY if it lives, as mr_domain_resume(),
 * -ENOENT */
int mr_domain_discard(const char *name);

/* mr_domain_clean - remove this user's dead unnamed domains; returns how many */
int mr_domain_clean(void);

/* mr_domain_get_info - fill *info up to info->size, which the caller sets */
void mr_domain_get_info(const mr_domain *domain, mr_domain_info *info);

/* mr_domain_phase, mr_domain_set_phase - what the supervisor wants of all. Setting it rings
 * everybody; only the supervisor may, and only upward. */
enum mr_phase mr_domain_phase(const mr_domain *domain);
void mr_domain_set_phase(mr_domain *domain, enum mr_phase phase);

/* mr_domain_unfinished - accepted requests' contexts that are not yet emitted, right now */
uint64_t mr_domain_unfinished(const mr_domain *domain);

/*
 * mr_domain_get_progress - how far intake and emission have come
 *
 * `complete` is 1 when no record will follow, every one was taken in and every answer is in the
 * output: nothing is left to do. For supervisors and monitors; any thread.
 */
typedef struct mr_domain_progress {
    uint64_t records;        /* of the input taken in so far */
    uint64_t input_end;      /* bytes of it */
    uint64_t output_length;  /* bytes of the output that count */
    uint64_t unfinished;     /* contexts accepted and not yet emitted */
    uint32_t input_finished; /* no record will follow */
    uint32_t complete;
} mr_domain_progress;
void mr_domain_get_progress(const mr_domain *domain, mr_domain_progress *progress);

/* mr_domain_set_note, mr_domain_note - a text of the runtime's own (its options, as JSON, for a
 * resume), at most MR_NOTE_MAX bytes; written by the supervisor before members start */
enum { MR_NOTE_MAX = 8191 };
int mr_domain_set_note(mr_domain *domain, const char *text);
const char *mr_domain_note(const mr_domain *domain);

#ifdef __cplusplus
}
#endif
#endif
