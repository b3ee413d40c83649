/*
 * chaos.h - what the parts of the chaos campaign share
 *
 * One process, one thread: a loop in chaos.c calls the `_tick` of each part every few milliseconds.
 * Every process that the campaign starts is its child, and so are those that a killed supervisor
 * leaves behind, since it is their subreaper; chaos_bury() alone waits for them.
 */
#ifndef TESTS_RUNTIME_CHAOS_H
#define TESTS_RUNTIME_CHAOS_H

#include <jansson.h>
#include <millrace/check.h>
#include <millrace/supervise.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    REQUESTS = 400,
    POISON = 40,     /* which of them kills its worker */
    OWN_WORKERS = 3, /* the supervisor's */
    STRANGERS = 2,   /* at most */
    STUCK_AFTER_S = 2,
    PATIENCE_S = 60 /* for what must happen by itself, on a machine that others use too */
};

/* How requests come and answers go. */
enum way {
    TO_FILE,   /* from a file to a file */
    TO_PIPE,   /* from a file to a pipe */
    STREAMED,  /* from a file to a file, in pieces */
    FROM_PIPE, /* from a pipe to standard output, which is a file */
    WAYS
};

enum victim { WORKER, STRANGER, TOKENIZER, COLLECTOR, SUPERVISOR, VICTIMS };

/* What a round has besides kills and short stops. */
struct plan {
    enum way way;
    bool plain;         /* without io_uring */
    unsigned workers;   /* of the supervisor; with 0 strangers serve alone */
    unsigned strangers; /* workers that attach by themselves */
    unsigned stops;     /* that the supervisor has to find */
    unsigned spells;    /* of a full disk */
    bool orders;        /* drain and scale */
};

extern struct chaos {
    uint64_t seed;
    char folder[64];
    char name[48]; /* of the domain */
    char model[512];
    char build[512];
    char program[600];
    char worker[600];
    mr_domain *domain;
    struct plan plan;
    pid_t run; /* the supervisor; 0: it has ended, with this status */
    int status;
    int feed; /* the writing end of its standard input, or -1 */
    bool resumed;
    unsigned round;
    unsigned kills[VICTIMS];
    unsigned stops, long_stops, found;
    unsigned spells, attaches, orders, resumes, spared;
    unsigned requests, lost, doubled, differing;
} chaos;

/* ---- chaos.c ---- */

unsigned below(unsigned n); /* at random, in [0, n) */
double now(void);           /* seconds */
void wait_ms(unsigned ms);
void give_up(const char *why) __attribute__((noreturn));
void chaos_bury(void);

/* chaos_start - a process of this program with its standard streams; its pid */
pid_t chaos_start(const char *program, const char *const *argv, int in, int out, bool faulty);
void chaos_resume(void); /* after the supervisor was killed */

/* ---- chaos_victims.c: who is killed, stopped and spared ---- */

void victims_begin(void);
void victims_tick(void);
void victims_end(void);     /* the run is over: nobody is to be found any more */
bool is_stopped(pid_t pid); /* for the supervisor to find */

/* ---- chaos_strangers.c: workers that attach by themselves ---- */

void strangers_begin(void);
void strangers_tick(void);
void strangers_end(void);                    /* those that live must leave by themselves */
bool strangers_ended(pid_t pid, int status); /* whether it was one */
pid_t strangers_any(void);                   /* at random, joined or not; 0: there is none */
bool is_stranger(pid_t pid);

/* ---- chaos_orders.c: drain and scale ---- */

void orders_begin(void);
void orders_tick(void);
void orders_end(void);
bool orders_ended(pid_t pid, int status); /* whether it was one */

/* ---- chaos_disk.c: a disk that is full for a while ---- */

void disk_begin(void);
void disk_preload(void); /* in a process that is to become the run */
void disk_tick(void);
void disk_end(void);

/* ---- chaos_answers.c: requests, and answers to compare ---- */

void answers_write_requests(const char *path);
void answers_expect(const char *path); /* an undisturbed run's */
void answers_check(const char *path);
void answers_free(void);
char *read_file(const char *path); /* "" if there is none; to be freed */

#endif
